"""A small classifier, which judges samples."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._checks import (
    IMAGE_AXES,
    check_images,
    check_labels,
    check_positive_integer,
    check_sizes,
    refuse_sample_weight,
    shape_of,
)
from vqlib._model import CheckedModel
from vqlib._progress import announced

IMAGES_PER_BATCH = 1024  # in features and classify


@keras.saving.register_keras_serializable("vqlib")
class Classifier(CheckedModel):
    """A small convolutional classifier, which judges samples: by the class that it reads, and by its features.

    Trained by ``compile(optimizer)`` and ``fit(images, labels)``. Called on images (B, H, W, C) it returns logits
    (B, num_classes). Metrics, over the dataset: ``loss``, the mean cross-entropy in nats, and ``accuracy``.

    For each entry of `filters` a 3 x 3 convolution with a ReLU and a 2 x 2 max-pooling; then the features, a dense
    layer with a leaky ReLU, so that none of them dies; then the logits. With the defaults 89,546 parameters.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C).
    num_classes : int
    filters : sequence of int
        Channels of each convolution; the last is also F, the number of features.
    """

    _compile_takes = ("metrics",)

    def __init__(self, image_shape=(28, 28, 1), num_classes=10, filters=(16, 32, 64), **kwargs):
        super().__init__(**{"name": "classifier", **kwargs})  # fixed names: the same weights make the same file
        self.image_shape = check_sizes("image_shape", image_shape, IMAGE_AXES)
        self.num_classes = check_positive_integer("num_classes", num_classes)
        self.filters = tuple(check_positive_integer("Each entry of filters", width) for width in filters)
        self.body = keras.Sequential([keras.Input(self.image_shape)], name="body")  # (B, H, W, C) -> (B, F)
        for i, width in enumerate(self.filters):
            self.body.add(layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{i}"))
            self.body.add(layers.MaxPooling2D(padding="same", name=f"pool_{i}"))
        self.body.add(layers.Flatten(name="flatten"))
        self.body.add(layers.Dense(self.filters[-1], activation="leaky_relu", dtype="float32", name="features"))
        self.logits = layers.Dense(self.num_classes, dtype="float32", name="logits")  # float32 also in mixed precision
        self.logits.build((None, self.filters[-1]))
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    def call(self, images):
        """Return the logits: (B, H, W, C) -> (B, num_classes) float32."""
        return self.logits(self.body(images))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean cross-entropy of a batch, in nats."""
        refuse_sample_weight(sample_weight)
        self.accuracy.update_state(y, y_pred)
        nats = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)  # (B,)
        return backend.share_of_replica(ops.mean(nats))

    def _input_signature(self) -> keras.InputSpec:
        """Return the shape and dtype of images."""
        return keras.InputSpec(shape=(None, *self.image_shape), dtype="float32", name="images")

    def _check_inputs(self, x: Any, purpose: str) -> Any:
        """Raise unless `x` are images; return them, a list as an array."""
        return check_images(x, self.image_shape, f"images {purpose}")

    def _check_targets(self, x: Any, y: Any) -> Any:
        """Raise unless `y` are class labels for the images `x`; return them, a list as an array."""
        return check_labels(y, shape_of(x)[0], self.num_classes)

    def _outputs_of_none(self) -> np.ndarray:
        """Return no logits."""
        return np.zeros((0, self.num_classes), "float32")

    def features(self, images):
        """Return the features, what the logits are made of: (N, H, W, C) in [-0.5, 0.5] -> (N, F) float32, NumPy."""
        return self._in_batches(_features, images, np.zeros((0, self.filters[-1]), "float32"))

    def classify(self, images):
        """Return the likeliest class of each image: (N, H, W, C) in [-0.5, 0.5] -> (N,) int32, NumPy."""
        return self._in_batches(_classify, images, np.zeros(0, "int32"))

    def get_config(self):
        """Return the arguments that make this model anew."""
        config = {"image_shape": self.image_shape, "num_classes": self.num_classes, "filters": self.filters}
        return {**super().get_config(), **config}

    def _in_batches(self, function, images, empty):
        check_images(images, self.image_shape)
        run = backend.compiled(self, function, keras.KerasTensor((None, *self.image_shape), "float32"))
        starts = announced(range(0, len(images), IMAGES_PER_BATCH), "classifier")
        batches = (np.asarray(images[i : i + IMAGES_PER_BATCH], "float32") for i in starts)
        return np.concatenate([empty, *(ops.convert_to_numpy(run(batch)) for batch in batches)])


def _features(model, images):
    return model.body(images)


def _classify(model, images):
    return ops.cast(ops.argmax(model(images), axis=-1), "int32")

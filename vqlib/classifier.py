"""A small classifier, which judges samples."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._batches import batch_size_for, bytes_of_activations, in_batches
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
from vqlib._types import Tensor


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
        How many labels there are: 0..num_classes - 1.
    filters : sequence of int
        Channels of each convolution; the last is also F, the number of features.
    """

    _compile_takes = ("metrics",)

    def __init__(
        self,
        image_shape: Sequence[int] = (28, 28, 1),
        num_classes: int = 10,
        filters: Sequence[int] = (16, 32, 64),
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "classifier", **kwargs})  # fixed names: the same weights make the same file
        self.image_shape = check_sizes("image_shape", image_shape, IMAGE_AXES)
        self.num_classes = check_positive_integer("num_classes", num_classes)
        if np.ndim(filters) != 1 or not len(filters):
            raise ValueError(
                "filters must be the channels of each convolution, at least one, for example (16, 32, 64), "
                f"but {filters!r} was given."
            )
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

    def call(self, images: Tensor) -> Tensor:
        """Return the logits: (B, H, W, C) -> (B, num_classes) float32."""
        return self.logits(self.body(images))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool | None = True
    ) -> Tensor:
        """Return the mean cross-entropy of a batch, in nats."""
        refuse_sample_weight(sample_weight)
        y = ops.reshape(y, (-1,))  # (B, 1) -> (B,)
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
        """Raise unless `y` are class labels for the images `x`; return them, (N,), a list as an array."""
        return check_labels(y, shape_of(x)[0], self.num_classes)

    def _outputs_of_none(self) -> np.ndarray:
        """Return no logits."""
        return np.zeros((0, self.num_classes), "float32")

    def features(self, images: npt.ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """Return the features, which the logits are made of.

        Parameters
        ----------
        images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        batch_size : int, optional
            Images at once; by default as many as half a gigabyte holds, and 1024 at most.

        Returns
        -------
        features : float32 NumPy array, shape (N, F)

        Raises
        ------
        TypeError, ValueError
            If the images have another type, shape or range.
        """
        found = self._in_batches(self._features_of_batch, images, batch_size)
        return np.concatenate([np.zeros((0, self.filters[-1]), "float32"), *found])

    def classify(self, images: npt.ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """Return the likeliest class of each image.

        Parameters
        ----------
        images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        batch_size : int, optional
            Images at once; by default as many as half a gigabyte holds, and 1024 at most.

        Returns
        -------
        labels : int32 NumPy array, shape (N,), in 0..num_classes - 1

        Raises
        ------
        TypeError, ValueError
            If the images have another type, shape or range.
        """
        found = self._in_batches(self._classes_of_batch, images, batch_size)
        return np.concatenate([np.zeros(0, "int32"), *found])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this model anew."""
        config = {"image_shape": self.image_shape, "num_classes": self.num_classes, "filters": self.filters}
        return {**super().get_config(), **config}

    def _in_batches(self, method: Any, images: Any, batch_size: int | None) -> list[np.ndarray]:
        images = check_images(images, self.image_shape)
        size = batch_size_for(bytes_of_activations(self.body), batch_size)
        return [found for (found,) in in_batches(method, images, dtype="float32", batch_size=size, what="classifier")]

    def _features_of_batch(self, images: Tensor) -> tuple[Tensor]:
        return (self.body(images),)

    def _classes_of_batch(self, images: Tensor) -> tuple[Tensor]:
        return (ops.cast(ops.argmax(self(images), axis=-1), "int32"),)

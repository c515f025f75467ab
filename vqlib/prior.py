"""What every prior over grids of codes does, whatever its network: loss, metrics, training, checks."""

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._callbacks import show_data
from vqlib._checks import (
    check_code_type,
    check_codes,
    check_condition,
    check_positive_integer,
    inputs_of,
    is_array,
    refuse_sample_weight,
)
from vqlib.metrics import bits_per_image


class Prior(keras.Model):
    """A prior over grids of codes: a product over positions, each given those before it in raster order.

    A subclass gives `self.network`, from codes (B, h, w) int to logits (B, h, w, K) float32, or, where it is
    conditioned, from [codes, condition]; ``get_config``; and ``incremental``, the network one position at a time, for
    :func:`vqlib.sample`. It has names fixed for all of its layers: the same weights make the same file.

    Metrics, over the dataset: ``loss`` and ``nats_per_code``, the mean negative log-likelihood of a code;
    ``bits_per_image``, the same for a whole grid, in bits; ``accuracy``, how often the likeliest code is right.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K.
    condition_shape : tuple of int, optional
        () where class labels condition the prior, (h', w') where a grid of codes does.
    num_conditions : int, optional
        How many labels, or codes of that grid, there are.
    """

    def __init__(self, code_shape, num_embeddings, condition_shape=None, num_conditions=None, **kwargs):
        super().__init__(**kwargs)
        if len(code_shape) != 2:
            raise ValueError(f"code_shape must be (height, width), but {tuple(code_shape)} was given.")
        for name, size in (("code_shape", code_shape[0]), ("code_shape", code_shape[1])):
            check_positive_integer(name, size)
        check_positive_integer("num_embeddings", num_embeddings)
        self.code_shape = tuple(code_shape)
        self.num_embeddings = num_embeddings
        self.condition_shape = None if condition_shape is None else tuple(condition_shape)
        self.num_conditions = num_conditions
        self.nats_per_code = keras.metrics.Mean(name="nats_per_code")
        self.bits_per_image = BitsPerImage(self.code_shape)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    def call(self, inputs, training=None):
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K) float32.

        A conditioned prior takes the pair (codes, condition).
        """
        codes, *condition = self._parts(inputs)
        check_code_type(codes, self.code_shape)
        if is_array(codes):
            check_codes(codes, self.num_embeddings, self.code_shape)
        for each in condition:
            check_condition(self, each)
        return self.network([codes, *condition] if condition else codes, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean negative log-likelihood of a code, in nats. The codes are their own targets."""
        refuse_sample_weight(sample_weight)
        codes = self._parts(x)[0]
        nats = keras.losses.sparse_categorical_crossentropy(codes, y_pred, from_logits=True)  # (B, h, w)
        self.nats_per_code.update_state(nats)
        self.bits_per_image.update_state(nats)
        self.accuracy.update_state(codes, y_pred)
        return backend.share_of_replica(ops.mean(nats))

    def compile(self, *args, **kwargs):
        """Configure the training, see ``keras.Model.compile``.

        XLA has no sparse sums: where it compiles the training, the first layer multiplies one-hot vectors instead.
        """
        super().compile(*args, **kwargs)
        for layer in self.network.layers:
            if hasattr(layer, "look_up"):
                layer.look_up = backend.sparse_sums_pay() and not self.jit_compile

    def compile_from_config(self, config):
        """Compile a loaded model as it was. Keras does so by itself only where ``compile`` is its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, *args, **kwargs):
        """Train on codes, see ``keras.Model.fit``; arrays are checked first, ``tf.data`` is taken as it is.

        A conditioned prior is trained on the pair (codes, condition), and validated on ``((codes, condition),)``.
        """
        self._check(x, "codes to train on")
        self._check(inputs_of(kwargs.get("validation_data")), "codes to validate on")
        show_data(kwargs.get("callbacks"), x, batch_size=kwargs.get("batch_size"))
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Evaluate on codes, see ``keras.Model.evaluate``; ``return_dict=True`` names the metrics."""
        self._check(x, "codes to evaluate")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Return the logits of codes in batches, see ``keras.Model.predict``: (N, h, w) -> (N, h, w, K), NumPy."""
        self._check(x, "codes")
        return super().predict(x, *args, **kwargs)

    def _parts(self, inputs, name="codes"):
        """Return [codes], or [codes, condition] of a conditioned prior."""
        is_pair = isinstance(inputs, (tuple, list)) and len(inputs) == 2
        if self.condition_shape is None:
            if isinstance(inputs, tuple):
                raise ValueError(
                    f"{name}: a tuple was given, but this prior takes an array of codes alone. "
                    "GatedPixelCNN, with condition_shape and num_conditions, takes the pair (codes, condition)."
                )
            return [inputs]
        if not is_pair:
            raise ValueError(
                f"{name}: this prior is conditioned and takes the pair (codes, condition), "
                "as in fit((codes, condition), validation_data=((codes, condition),))."
            )
        return list(inputs)

    def _check(self, inputs, name):
        if not isinstance(inputs, (np.ndarray, tuple, list)):
            return
        codes, *condition = self._parts(inputs, name)
        if isinstance(codes, np.ndarray):
            check_codes(codes, self.num_embeddings, self.code_shape, name)
        for each in condition:
            check_condition(self, each, len(codes))


@keras.saving.register_keras_serializable("vqlib")
class Dense(keras.layers.Dense):
    """A Dense layer for grids, (B, H, W, C) -> (B, H, W, units): the same matrix at every position.

    A grid of one row goes without that axis. With it, TensorFlow 2.18 and 2.19 write beyond their memory on a CPU, and
    the process dies. Called as in Keras, because files of weights name a layer by its class.
    """

    def call(self, inputs, **arguments):
        """Return the output at each position."""
        if len(inputs.shape) == 4 and inputs.shape[1] == 1:
            return super().call(inputs[:, 0], **arguments)[:, None]
        return super().call(inputs, **arguments)


@keras.saving.register_keras_serializable("vqlib")
class BitsPerImage(keras.metrics.Mean):
    """The mean of nats a code, given as bits for a whole grid of codes, see :func:`vqlib.metrics.bits_per_image`."""

    def __init__(self, code_shape, name="bits_per_image", **kwargs):
        super().__init__(name=name, **kwargs)
        self.code_shape = tuple(code_shape)

    def result(self):
        """Return the bits."""
        return super().result() * bits_per_image(1.0, self.code_shape)

    def get_config(self):
        """Return the arguments that make this metric anew."""
        return {**super().get_config(), "code_shape": self.code_shape}

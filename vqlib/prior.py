"""What every prior over grids of codes does, whatever its network: loss, metrics, training, checks."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import (
    check_code_type,
    check_codes,
    check_condition,
    check_positive_integer,
    check_sizes,
    inputs_of,
    is_array,
    refuse_sample_weight,
)
from vqlib._types import Tensor
from vqlib.code_lookup import look_up_where_it_pays
from vqlib.metrics import BitsPerImage


class Prior(keras.Model):
    """A prior over grids of codes: a product over positions, each given those before it in raster order.

    Called on codes (B, h, w) int it returns logits (B, h, w, K): those at a position depend only on codes above it, or
    to its left in the same row. It is trained without targets, on codes alone: they are their own.

    A subclass gives ``get_config`` and `self.network`, from codes (B, h, w) int to logits (B, h, w, K) float32, or,
    where it is conditioned, from [codes, condition]. It has names fixed for all of its layers: the same weights make
    the same file. How to draw from it fast, see :func:`vqlib.incremental.incremental`.

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

    network: keras.Model

    def __init__(
        self,
        code_shape: Sequence[int],
        num_embeddings: int,
        condition_shape: Sequence[int] | None = None,
        num_conditions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.code_shape = check_sizes("code_shape", code_shape, ("height", "width"))
        self.num_embeddings = check_positive_integer("num_embeddings", num_embeddings)
        if (condition_shape is None) != (num_conditions is None):
            raise ValueError(
                "Give both condition_shape and num_conditions, or neither, but "
                f"condition_shape={condition_shape} and num_conditions={num_conditions} were given. "
                "For class labels, condition_shape=()."
            )
        self.condition_shape = None if condition_shape is None else _check_condition_shape(condition_shape)
        self.num_conditions = (
            None if num_conditions is None else check_positive_integer("num_conditions", num_conditions)
        )
        self.nats_per_code = keras.metrics.Mean(name="nats_per_code")
        self.bits_per_image = BitsPerImage(self.code_shape)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
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

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Tensor = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
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
        look_up_where_it_pays(self.network, self.jit_compile)

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


def _check_condition_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape as a tuple of Python integers; raise unless it is that of labels or of grids."""
    if np.ndim(shape) != 1 or len(shape) not in (0, 2):
        raise ValueError(
            "condition_shape must be () for class labels, or (height, width) for grids of codes, "
            f"but {shape!r} was given. How many classes or codes there are is num_conditions."
        )
    return tuple(check_positive_integer("Each entry of condition_shape", size) for size in shape)

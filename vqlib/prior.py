"""What every model of grids of codes does, whatever its network, and what every prior does: loss, metrics, training."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import (
    as_array,
    check_code_range,
    check_code_type,
    check_condition,
    check_positive_integer,
    check_sizes,
    is_array,
    refuse_sample_weight,
    shape_of,
)
from vqlib._model import CheckedModel
from vqlib._types import Tensor
from vqlib.code_lookup import look_up_where_it_pays, multiplying
from vqlib.metrics import BitsPerImage


class CodeModel(CheckedModel):
    """A model of grids of codes, which may be told a class or another grid: shapes, checks, export.

    Called on codes (B, h, w) int, or where it is conditioned on the pair (codes, condition), it returns logits
    (B, h, w, K). It is trained without targets, on codes alone: they are their own.

    A subclass gives ``compute_loss``, ``get_config`` and `self.network`, from codes (B, h, w) int to logits
    (B, h, w, K) float32, or, where it is conditioned, from [codes, condition]. It has names fixed for all of its
    layers: the same weights make the same file.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K, the number of codes.
    condition_shape : tuple of int, optional
        () where class labels condition the model, (h', w') where a grid of codes does.
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
        if np.ndim(code_shape) == 1 and len(code_shape) == 3:
            raise ValueError(
                f"code_shape must be (height, width), with one code at each place, but {tuple(code_shape)} was given. "
                "A prior takes no stages or parts of a vector's code; train it on one of them: codes[..., 0]."
            )
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

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K) float32.

        A conditioned model takes the pair (codes, condition).
        """
        codes, *condition = self._parts(inputs)
        check_code_type(codes, self.code_shape)
        if is_array(codes):
            self._check_code_range(codes)
        for each in condition:
            check_condition(self, each)
        return self.network([codes, *condition] if condition else codes, training=training)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configure the training, see ``keras.Model.compile``.

        XLA has no sparse sums: where it compiles the training, the first layer multiplies one-hot vectors instead.
        """
        super().compile(*args, **kwargs)
        look_up_where_it_pays(self.network, self.jit_compile)

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Write the model for use without Keras, see ``keras.Model.export``; it need not have been called before.

        TensorFlow alone has sparse sums: for all other formats, the first layer multiplies one-hot vectors instead.
        """
        with contextlib.nullcontext() if format == "tf_saved_model" else multiplying(self.network):
            super().export(filepath, format, **kwargs)

    def _input_signature(self) -> Any:
        """Return the shape and dtype of codes, or of the pair (codes, condition)."""
        codes = keras.InputSpec(shape=(None, *self.code_shape), dtype="int32", name="codes")
        if self.condition_shape is None:
            return codes
        return codes, keras.InputSpec(shape=(None, *self.condition_shape), dtype="int32", name="condition")

    def _check_code_range(self, codes: Any, purpose: str = "") -> None:
        """Raise unless codes lie in 0..K - 1."""
        check_code_range(codes, self.num_embeddings, f"codes {purpose}".strip())

    def _check_inputs(self, x: Any, purpose: str) -> Any:
        """Raise unless `x` are codes, or the pair (codes, condition); return them, lists as arrays."""
        name = f"codes {purpose}"
        codes, *condition = self._parts(x, name)
        codes = as_array(codes, name)
        check_code_type(codes, self.code_shape, name)
        if is_array(codes):
            self._check_code_range(codes, purpose)
        if not condition:
            return codes
        return codes, check_condition(self, condition[0], shape_of(codes)[0])

    def _check_targets(self, x: Any, y: Any) -> Any:
        """Return `y`, a list as an array. Anything will do: codes are their own targets."""
        return None if y is None else as_array(y, "y")

    def _outputs_of_none(self) -> np.ndarray:
        """Return no logits."""
        return np.zeros((0, *self.code_shape, self.num_embeddings), "float32")

    def _is_all_inputs(self, data: Any) -> bool:
        """Whether `data` is a list of single grids or, of a conditioned prior, the pair (codes, condition)."""
        if self.condition_shape is None:
            return isinstance(data, list) and all(len(shape_of(codes)) == 2 for codes in data)
        return isinstance(data, (tuple, list)) and len(data) == 2 and not isinstance(data[0], (tuple, list))

    def _parts(self, inputs: Any, name: str = "codes") -> list[Any]:
        """Return [codes], or [codes, condition] of a conditioned prior."""
        is_pair = isinstance(inputs, (tuple, list)) and len(inputs) == 2
        if self.condition_shape is None:
            if isinstance(inputs, tuple):
                raise ValueError(
                    f"{name}: a tuple was given, but this prior takes an array of codes alone. "
                    "GatedPixelCNN or a transformer, with condition_shape and num_conditions, takes the pair "
                    "(codes, condition)."
                )
            return [inputs]
        if not is_pair:
            raise ValueError(
                f"{name}: this prior is conditioned and takes the pair (codes, condition), as in "
                "fit((codes, condition), validation_data=(codes, condition)). A dataset's batches hold that pair "
                "alone: dataset.map(lambda codes, condition: ((codes, condition),))."
            )
        return list(inputs)


class Prior(CodeModel):
    """A prior over grids of codes: a product over positions, each given those before it in raster order.

    The logits at a position depend only on codes above it, or to its left in the same row. How to draw from it fast,
    see :func:`vqlib.incremental.incremental`.

    Metrics, over the dataset: ``loss`` and ``nats_per_code``, the mean negative log-likelihood of a code;
    ``bits_per_image``, the same for a whole grid, in bits; ``accuracy``, how often the likeliest code is right.

    Parameters
    ----------
    code_shape, num_embeddings, condition_shape, num_conditions
        As for :class:`CodeModel`.
    """

    def __init__(
        self,
        code_shape: Sequence[int],
        num_embeddings: int,
        condition_shape: Sequence[int] | None = None,
        num_conditions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(code_shape, num_embeddings, condition_shape, num_conditions, **kwargs)
        self.nats_per_code = keras.metrics.Mean(name="nats_per_code")
        self.bits_per_image = BitsPerImage(self.code_shape)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

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


@keras.saving.register_keras_serializable("vqlib")
class Dense(keras.layers.Dense):
    """A Dense layer for grids, (B, H, W, C) -> (B, H, W, units): the same matrix at every position.

    A grid of one row goes without that axis. With it, TensorFlow 2.18 to 2.20, which Colab has, writes beyond its
    memory on a CPU: numbers are wrong, or the process dies. Called as in Keras, because files of weights name a layer
    by its class.
    """

    def call(self, inputs: Tensor, **arguments: Any) -> Tensor:
        """Return the output at each position."""
        if len(inputs.shape) == 4 and inputs.shape[1] == 1:
            return super().call(inputs[:, 0], **arguments)[:, None]
        return super().call(inputs, **arguments)


def dtype_of_logits() -> str:
    """Return the dtype of the logits' layer: float32 also in mixed precision, float64 where all is float64."""
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"


def _check_condition_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape as a tuple of Python integers; raise unless it is that of labels or of grids."""
    if np.ndim(shape) != 1 or len(shape) not in (0, 2):
        raise ValueError(
            "condition_shape must be () for class labels, or (height, width) for grids of codes, "
            f"but {shape!r} was given. How many classes or codes there are is num_conditions."
        )
    return tuple(check_positive_integer("Each entry of condition_shape", size) for size in shape)

"""FiniteScalarQuantizer: codes without a codebook to learn."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib._checks import check_positive_integer, check_vectors
from vqlib._types import Tensor
from vqlib.quantizers import Quantized, Quantizer, straight_through

MOST_CODES = 2**31 - 1  # codes are int32


@keras.saving.register_keras_serializable("vqlib")
class FiniteScalarQuantizer(Quantizer):
    """Round each entry of a vector to one of a few levels; the code is the combination of levels.

    Mentzer et al. (2023, "Finite scalar quantization: VQ-VAE made simple"), section 3.1. The codebook is a grid that
    nothing moves, so no entry can be left behind, and no loss is added. Entry d is squashed by a tanh into a range that
    holds ``levels[d]`` integers, rounded, with a straight-through gradient, and divided into [-1, 1].

    Parameters
    ----------
    levels : sequence of int, each at least 2
        D is their number, K their product: (8, 4, 4) has 128 codes for vectors of 3 entries. The paper finds at least
        5 levels in each entry best.

    Raises
    ------
    ValueError
        If an entry of levels is below 2, or K above what int32 holds, or the last axis of an input is not D.
    TypeError
        If an input is not floating point, or codes are not integers.
    """

    def __init__(self, levels: Sequence[int], **kwargs: Any) -> None:
        if np.ndim(levels) != 1 or not len(levels):
            raise ValueError(f"levels must hold at least one number, for example (8, 4, 4), but {levels!r} was given.")
        levels = tuple(check_positive_integer("Each entry of levels", level) for level in levels)
        if 1 in levels:
            raise ValueError("Each entry of levels must be at least 2, but is 1: one level says nothing.")
        if math.prod(levels) > MOST_CODES:
            raise ValueError(
                f"levels must have at most {MOST_CODES} combinations, which int32 can number, but {levels} have "
                f"{math.prod(levels):,}."
            )
        super().__init__(math.prod(levels), len(levels), **kwargs)
        self.levels = levels
        self._levels = np.array(self.levels, "int32")
        self._steps = np.cumprod([1, *self.levels[:-1]]).astype("int32")  # of the code, for one level more in an entry
        half = (self._levels - 1) / 2
        offset = np.where(self._levels % 2, 0, 0.5)  # an even number of integers does not lie around 0
        self._half = half.astype("float32")
        self._offset = offset.astype("float32")
        self._shift = np.arctanh(np.where(self._levels == 2, 0, offset / half)).astype("float32")  # 0 stays 0

    def call(self, z: Tensor, return_quantized: bool = False) -> Any:
        """Quantize: (..., D) -> (..., D), in [-1, 1], with the straight-through gradient.

        With ``return_quantized=True`` the answer is a :class:`vqlib.quantizers.Quantized`, which has the codes, too.
        """
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        bounded = self._bound(ops.cast(z, "float32"))
        z_q = ops.cast(straight_through(bounded, ops.round(bounded)) / (self._levels // 2), dtype)
        return Quantized(z_q, self._encode(z)) if return_quantized else z_q

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "levels": self.levels}

    def _bound(self, z: Tensor) -> Tensor:
        """Squash each entry into the range that rounds to its levels: -(L // 2) .. (L - 1) // 2."""
        return ops.tanh(z + self._shift) * self._half - self._offset

    def _within_reach(self, z: Tensor) -> Tensor:
        """Squash each entry into the range whose points have a level within half a step, by a tanh of slope 1."""
        steps = self._levels // 2  # to a length of 1
        middle, reach = (-self._offset / steps).astype("float32"), (self._levels / 2 / steps).astype("float32")
        return middle + reach * ops.tanh((z - middle) / reach)

    def _search(self, vectors: Tensor) -> Tensor:
        levels = ops.cast(ops.round(self._bound(vectors)), "int32") + self._levels // 2  # (N, D), from 0
        return ops.sum(levels * self._steps, axis=-1)

    def _look_up(self, codes: Tensor) -> Tensor:
        levels = ops.expand_dims(codes, -1) // self._steps % self._levels  # (..., D), from 0
        return ops.cast(levels - self._levels // 2, "float32") / (self._levels // 2)

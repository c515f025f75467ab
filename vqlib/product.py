"""ProductQuantizer: several codes for each vector, each for some of its channels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib._checks import check_vectors
from vqlib._types import Tensor
from vqlib.composite import CompositeQuantizer
from vqlib.quantizers import Quantized, Quantizer


@keras.saving.register_keras_serializable("vqlib")
class ProductQuantizer(CompositeQuantizer):
    """Split the channels of a vector into parts, and quantize each part by itself.

    Jégou, Douze and Schmid (2011, "Product quantization for nearest neighbor search"), section II.B. The codebook is
    the Cartesian product of those of the parts: N parts of K codes tell K**N vectors apart, and keep N K shorter
    entries. Part n quantizes as many channels as its ``embedding_dim`` says, in order; D is their sum. For z of shape
    (32, 7, 7, 16) and four parts of 4 channels, the codes are (32, 7, 7, 4).

    Unlike the stages of a :class:`vqlib.ResidualQuantizer`, parts do not build on each other: the nearest entries of
    the parts are together the nearest of all products, so there is nothing to search ahead for. But no part can be left
    out, and what channels of different parts have in common is said more than once.

    The losses are the sums of those of the parts, each a mean over its own channels; each part's estimator gives the
    gradient of its channels. :class:`vqlib.VQVAE` measures for each part n ``part_n_perplexity`` and
    ``part_n_codes_used``.

    Parameters
    ----------
    parts : list of Quantizer, or Quantizer
        All of the same K. One quantizer alone is shared by all parts.
    num_parts : int, optional
        N, where the parts share one quantizer.

    Raises
    ------
    ValueError
        If parts differ in K, or the last axis of an input is not D.
    TypeError
        If a part is not one of vqlib's quantizers with one code a vector, or an input is not floating point.
    """

    part = "part"

    def __init__(self, parts: Quantizer | Sequence[Quantizer], num_parts: int | None = None, **kwargs: Any) -> None:
        super().__init__(parts, num_parts, split=True, **kwargs)
        ends = np.cumsum([quantizer.embedding_dim for quantizer in self.each]).tolist()
        self._ranges = list(zip([0, *ends[:-1]], ends, strict=True))

    @property
    def parts(self) -> list[Quantizer]:
        """The quantizer of each part, N of them, all the same one where it is shared."""
        return self.each

    def call(self, z: Tensor, training: bool | None = None, return_quantized: bool = False) -> Any:
        """Quantize: (..., D) -> (..., D), with the gradient of the parts' estimators; the parts add their losses.

        With ``return_quantized=True`` the answer is a :class:`vqlib.quantizers.Quantized`: codes (..., N), and the
        losses, summed over parts.
        """
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        z_q, codes, losses = self._call_each(self._split(ops.cast(z, "float32")), training)
        z_q = ops.cast(ops.concatenate(z_q, axis=-1), dtype)
        return Quantized(z_q, codes, **losses) if return_quantized else z_q

    def _encode(self, z: Tensor) -> Tensor:
        pairs = zip(self.parts, self._split(z), strict=True)
        return ops.stack([quantizer._encode(channels) for quantizer, channels in pairs], axis=-1)

    def _look_up(self, codes: Tensor) -> Tensor:
        entries = [quantizer._look_up(codes[..., n]) for n, quantizer in enumerate(self.parts)]
        return ops.concatenate(entries, axis=-1)

    def _split(self, z: Any) -> list[Any]:
        """Return the channels of each part: (..., D) -> N times (..., d)."""
        return [z[..., start:end] for start, end in self._ranges]

    def _initialize(self, vectors: np.ndarray, method: str, seed: int | None) -> None:
        parts = self._split(vectors)
        if self.shared:
            parts = [np.concatenate(parts)]
        for quantizer, channels in zip(self.quantizers, parts, strict=True):
            if hasattr(quantizer, "initialize"):
                quantizer.initialize(channels, method, seed)

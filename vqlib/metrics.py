"""What is measured: how many codes are in use, how far pictures are off, how many bits they cost."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vqlib._checks import check_codes, check_positive_integer, refuse_sample_weight
from vqlib._types import Tensor


def code_counts(codes: ArrayLike, num_embeddings: int) -> np.ndarray:
    """Count how often each code occurs.

    Parameters
    ----------
    codes : array of int, any shape, values in 0..num_embeddings - 1
    num_embeddings : int, K

    Returns
    -------
    counts : int64 array, shape (K,)
    """
    return np.bincount(check_codes(codes, num_embeddings).ravel(), minlength=num_embeddings)


def perplexity(counts: ArrayLike) -> float:
    r"""Return the perplexity of a code histogram, :math:`\exp(-\sum_k p_k \ln p_k)`.

    The number of equally likely codes that would be as hard to guess: 1 when one code does all the work, K when all
    codes are used equally often. It depends on how many codes were counted: compare only over the same dataset.

    Parameters
    ----------
    counts : array, shape (K,), finite, not negative, not all zero

    Returns
    -------
    float, in [1, K]

    Raises
    ------
    ValueError
        If the counts are not so.
    """
    counts = np.asarray(counts, "float64")
    if not np.isfinite(counts).all() or (counts < 0).any() or not counts.any():
        raise ValueError(
            f"counts must be finite and not negative, and at least one of them above zero, but are {counts}. "
            "For codes: vqlib.metrics.code_counts(codes, num_embeddings)."
        )
    p = counts[counts > 0] / counts.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def mean_squared_error(images: ArrayLike, reconstructions: ArrayLike) -> float:
    """Return the mean squared error per pixel, in squared units of the images, as a float."""
    if np.shape(images) != np.shape(reconstructions):
        raise ValueError(f"Shapes must be equal, but are {np.shape(images)} and {np.shape(reconstructions)}.")
    difference = np.asarray(images, "float64") - np.asarray(reconstructions, "float64")
    return float(np.mean(difference**2))


def psnr(mse: float, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in decibels: 10 log10(peak² / mse).

    `peak` is the width of the range of the pixels: 1 for [-0.5, 0.5] and [0, 1]. Infinity when `mse` is 0, and NaN
    when it is NaN.
    """
    return float("inf") if mse == 0 else float(10 * np.log10(peak**2 / mse))


def bits_per_image(nats_per_code: float, code_shape: Sequence[int]) -> float:
    """Return the bits that an image costs: nats a code, over ln 2, times the codes in a grid of `code_shape`."""
    return float(nats_per_code / np.log(2) * np.prod(code_shape))


def position_bits(codes: ArrayLike, training_codes: ArrayLike, num_embeddings: int) -> float:
    """Return the bits that an image costs with a table of frequencies for each position, and nothing else.

    The static code of order 0: each position pays -log2 of how often its code stood there in training, every code
    counted once more than it occurred (Laplace 1814), so that none is impossible. A prior has to beat it, and it has
    to beat h * w * log2(K), which knows nothing.

    Parameters
    ----------
    codes : int array, shape (N, h, w), values in 0..num_embeddings - 1
        What is paid for: test images.
    training_codes : int array, shape (M, h, w)
        What the tables are made of.
    num_embeddings : int, K

    Returns
    -------
    float, the mean over images
    """
    known = check_codes(training_codes, num_embeddings, name="training_codes")
    paid_for = check_codes(codes, num_embeddings, known.shape[1:])
    positions = np.arange(int(np.prod(known.shape[1:])))
    counts = np.ones((len(positions), num_embeddings))
    np.add.at(counts, (positions, known.reshape(-1, len(positions))), 1)
    bits = -np.log2(counts / counts.sum(axis=1, keepdims=True))  # (h * w, K)
    return float(bits[positions, paid_for.reshape(-1, len(positions))].sum(axis=1).mean())


@keras.saving.register_keras_serializable("vqlib")
class CodesUsed(keras.metrics.Metric):
    """The number of different codes seen since the last reset: over the dataset, not averaged over batches.

    Update it with codes: int32, any shape, values in 0..num_embeddings - 1.
    """

    def __init__(self, num_embeddings: int, name: str = "codes_used", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.num_embeddings = check_positive_integer("num_embeddings", num_embeddings)
        self.counts = self.add_variable((self.num_embeddings,), "zeros", dtype="float32", name="counts")

    def update_state(self, codes: Tensor, sample_weight: None = None) -> None:
        """Count the codes of one batch; weights are refused."""
        refuse_sample_weight(sample_weight)
        codes = ops.ravel(codes)
        ones = ops.ones_like(codes, "float32")
        self.counts.assign_add(ops.segment_sum(ones, codes, self.num_embeddings))  # XLA compiles no bincount

    def result(self) -> Tensor:
        """Return the number of codes counted at least once."""
        return ops.sum(ops.cast(self.counts > 0, "float32"))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this metric anew."""
        return {**super().get_config(), "num_embeddings": self.num_embeddings}


@keras.saving.register_keras_serializable("vqlib")
class Perplexity(CodesUsed):
    """The perplexity of the codes seen since the last reset, see :func:`perplexity`; 1 before any code was seen."""

    def __init__(self, num_embeddings: int, name: str = "perplexity", **kwargs: Any) -> None:
        super().__init__(num_embeddings, name=name, **kwargs)

    def result(self) -> Tensor:
        """Return exp of the entropy of the counts."""
        p = self.counts / ops.maximum(ops.sum(self.counts), 1.0)
        return ops.exp(-ops.sum(p * ops.log(ops.maximum(p, 1e-12))))


@keras.saving.register_keras_serializable("vqlib")
class BitsPerImage(keras.metrics.Mean):
    """The mean of nats a code, given as bits for a whole grid of codes, see :func:`bits_per_image`."""

    def __init__(self, code_shape: Sequence[int], name: str = "bits_per_image", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.code_shape = tuple(code_shape)

    def result(self) -> Tensor:
        """Return the bits."""
        return super().result() * bits_per_image(1.0, self.code_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this metric anew."""
        return {**super().get_config(), "code_shape": self.code_shape}

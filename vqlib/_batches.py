"""Arrays through a model batch by batch, so that memory is bounded whatever the number and the size of the pictures."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import VALUES_AT_ONCE, check_positive_integer, shape_of
from vqlib._progress import announced
from vqlib._types import Tensor

ROWS_PER_BATCH = 1024  # at most
BYTES_PER_BATCH = 2**29  # of all activations together; at 28 x 28 pixels the rows are fewer


def batch_size_for(bytes_of_example: int, asked_for: int | None = None) -> int:
    """Return how many examples to work on at once: as many as were asked for, or as fit into the budget of bytes."""
    if asked_for is not None:
        return check_positive_integer("batch_size", asked_for)
    return max(1, min(ROWS_PER_BATCH, BYTES_PER_BATCH // max(1, bytes_of_example)))


def bytes_of_activations(*networks: keras.layers.Layer) -> int:
    """Return the bytes of all that the layers of networks make of one example, in float32.

    A layer whose shapes Keras does not know counts as nothing.
    """
    total = 0
    for network in networks:
        for layer in getattr(network, "layers", ()):
            if hasattr(layer, "layers"):
                total += bytes_of_activations(layer)
            else:
                total += sum(4 * _size(output.shape) for output in keras.tree.flatten(getattr(layer, "output", ())))
    return total


def variance(images: np.ndarray) -> float:
    """Return ``np.var(images, dtype="float64")``, to the last bit, without NumPy's copy of all of them in float64."""
    mean = np.mean(images, dtype="float64")
    return float(_sum_of_squares(np.reshape(images, -1), mean) / images.size)


def in_batches(method: Any, *arrays: Any, dtype: str, batch_size: int, what: str) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield what a model's method makes of arrays, batch by batch, in NumPy.

    The method is compiled once for all arrays of one shape but for their length.

    Parameters
    ----------
    method : bound method of a model
        Takes one batch of each array, and returns a tuple of tensors.
    arrays : arrays of the same length
    dtype : str
        What the batches are converted to.
    batch_size : int
    what : str
        The name of the work, for the line that says how far it is.
    """
    specs = [keras.KerasTensor((None, *shape_of(array)[1:]), dtype) for array in arrays]
    name = f"{method.__name__} of {[spec.shape[1:] for spec in specs]}"  # codes may be cut behind one of their stages
    run = backend.compiled(method.__self__, name, method, *specs)
    for start in announced(range(0, len(arrays[0]), batch_size), what):
        batch = [np.asarray(array[start : start + batch_size], dtype) for array in arrays]
        yield tuple(ops.convert_to_numpy(output) for output in run(*batch))


def is_finite(*tensors: Tensor) -> Tensor:
    """Return whether all entries of tensors are finite, a bool tensor."""
    return ops.all(ops.stack([ops.all(ops.isfinite(tensor)) for tensor in tensors]))


def _sum_of_squares(values: np.ndarray, mean: np.float64) -> np.float64:
    """Return the sum of the squared distances from the mean, halved where NumPy's pairwise summation halves it."""
    if len(values) <= VALUES_AT_ONCE:
        return np.sum((values - mean) ** 2)
    half = len(values) // 2
    half -= half % 8
    return _sum_of_squares(values[:half], mean) + _sum_of_squares(values[half:], mean)


def _size(shape: tuple[int | None, ...]) -> int:
    """Return the entries of one example; an unknown size counts as 1."""
    return int(np.prod([size or 1 for size in shape[1:]]))

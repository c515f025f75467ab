"""Convolutions of one-hot codes without a product: rows of the kernel are looked up and added."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib._backend import tf
from vqlib._checks import check_positive_integer
from vqlib._types import Tensor

PARTS = 4  # of a sum of rows, each on a core


class CodeLookupMixin:
    """What makes a convolution one of one-hot codes: a mixin.

    A kernel tap times a one-hot vector is one row of that tap. So the kernel is a table of a row for each tap and code,
    and each output is the sum of the rows that the codes in its view look up. The gradient goes to these rows alone.

    Where `look_up` is False, as on accelerators and under XLA, which has no sparse sums, the convolution has to
    multiply one-hot vectors, see :func:`look_up_where_it_pays`.

    Made with `num_embeddings` before the convolution's own arguments.

    Attributes
    ----------
    name, compute_dtype : str
    filters : int
    kernel : weight, shape (rows, columns, K, filters)
    bias : weight, shape (filters,)
    mask : float array, shape (rows, columns)
    origin : tuple of int
        The row and the column of the kernel that lie on the position that is computed.
    """

    name: str
    compute_dtype: str
    filters: int
    kernel: Tensor
    bias: Tensor
    mask: np.ndarray
    origin: tuple[int, int]

    def __init__(self, num_embeddings: int, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.num_embeddings = check_positive_integer("num_embeddings", num_embeddings)
        self.look_up = sparse_sums_pay()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel that the same convolution of one-hot codes would have."""
        super().build((*input_shape, self.num_embeddings))  # type: ignore[misc]  # of the layer that this is mixed into

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "num_embeddings": self.num_embeddings}  # type: ignore[misc]

    def sum_looked_up(self, codes: Tensor) -> Tensor:
        """Return the sums of the rows that codes look up, without a bias: (B, H, W) int -> (B, H, W, filters)."""
        height, width = codes.shape[1:]
        outputs, inputs, taps = self.tap_pairs(height, width)
        codes = ops.reshape(codes, (-1, height * width))
        rows = ops.take(codes, inputs, axis=1) + taps * self.num_embeddings  # (B, pairs)
        sums = segment_sum_rows(self.table(), rows, outputs, height * width)  # (B, H * W, filters)
        return ops.reshape(sums, (-1, height, width, self.filters))

    def table(self) -> Tensor:
        """Return the kernel as a table, one row for each tap and code: (rows * columns * K, filters)."""
        return ops.cast(ops.reshape(self.kernel, (-1, self.filters)), self.compute_dtype)

    def tap_pairs(self, height: int, width: int) -> np.ndarray:
        """Return the pairs (output, input) of positions that a live tap joins, and the tap: int32, (3, pairs).

        In the order of the outputs; positions and taps are numbered in raster order. Taps beyond the border join
        nothing: on a 7 x 7 grid, 660 of the 24 * 49 of a 7 x 7 kernel of type A are left.
        """
        rows, columns = self.mask.shape
        i, j, a, b = np.indices((height, width, rows, columns)).reshape(4, -1)
        y = i + a - self.origin[0]
        x = j + b - self.origin[1]
        live = (self.mask[a, b] > 0) & (y >= 0) & (x >= 0) & (y < height) & (x < width)
        pairs = np.stack([i * width + j, y * width + x, a * columns + b])[:, live]
        return pairs.astype("int32")


def look_up_where_it_pays(network: keras.Model, jit_compile: bool) -> None:
    """Let the convolutions of codes in a network look rows up where that pays, and elsewhere multiply.

    Parameters
    ----------
    network : keras.Model
    jit_compile : bool
        Whether XLA compiles the network's training.
    """
    for layer in network.layers:
        if isinstance(layer, CodeLookupMixin):
            layer.look_up = sparse_sums_pay() and not jit_compile


@contextlib.contextmanager
def multiplying(network: keras.Model) -> Iterator[None]:
    """Let the convolutions of codes in a network multiply one-hot vectors within the block, and then do as before."""
    layers = [layer for layer in network.layers if isinstance(layer, CodeLookupMixin)]
    before = [layer.look_up for layer in layers]
    for layer in layers:
        layer.look_up = False
    try:
        yield
    finally:
        for layer, look_up in zip(layers, before, strict=True):
            layer.look_up = look_up


def sparse_sums_pay() -> bool:
    """Whether sums of looked-up rows beat products with one-hot vectors: on TensorFlow, on a machine without a GPU."""
    return tf is not None and not tf.config.list_physical_devices("GPU")


def segment_sum_rows(table: Tensor, rows: Tensor, outputs: np.ndarray, num_outputs: int) -> Tensor:
    """Add up rows of a table, without a copy of each: output ``outputs[p]`` of grid b gets ``table[rows[b, p]]``.

    Parameters
    ----------
    table : float tensor, shape (R, F)
    rows : int tensor, shape (B, P), in 0..R - 1
    outputs : int array, shape (P,), ascending, in 0..num_outputs - 1
    num_outputs : int

    Returns
    -------
    float tensor, shape (B, num_outputs, F); its gradient has the table's shape
    """
    batch = ops.shape(rows)[0]
    filters = table.shape[1]
    parts = PARTS if tf is not None else 1  # TensorFlow adds up a sum on one core
    sums = []
    for positions in np.array_split(np.arange(num_outputs), min(parts, num_outputs)):
        start, end = np.searchsorted(outputs, [positions[0], positions[-1] + 1])
        size = len(positions)
        if start == end:  # the gradient of TensorFlow's empty sum is not zero but uninitialised
            sums.append(ops.zeros((batch, size, filters), table.dtype))
            continue
        numbers = ops.arange(batch, dtype="int32")[:, None] * size + (outputs[start:end] - positions[0])
        some = _segment_sum(table, ops.ravel(rows[:, start:end]), ops.ravel(numbers), batch * size)
        sums.append(ops.reshape(some, (-1, size, filters)))
    return ops.concatenate(sums, axis=1)


def _segment_sum(table: Tensor, rows: Tensor, segments: Tensor, num_segments: Tensor) -> Tensor:
    """Return the sums of ``table[rows]`` over each segment; `segments`, as long as `rows`, ascend."""
    if tf is None:
        return ops.segment_sum(ops.take(table, rows, axis=0), segments, num_segments, sorted=True)
    return tf.raw_ops.SparseSegmentSumWithNumSegments(
        data=table, indices=rows, segment_ids=segments, num_segments=num_segments
    )

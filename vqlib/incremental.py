"""Priors one position at a time: each computed once, from what is kept of the positions before.

Ramachandran et al. (2017, "Fast generation for convolutional autoregressive models"). With the defaults of PixelCNN
that takes 180,224 multiply-adds a position, where running the whole network for every position costs 49 times that.
"""

import functools
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops

from vqlib._types import Tensor
from vqlib.code_lookup import CodeLookupMixin, segment_sum_rows
from vqlib.gated import CroppedConv2D, GatedPixelCNN
from vqlib.pixelcnn import MaskedConv2D, PixelCNN


class Incremental(Protocol):
    """A network that runs one position at a time, in raster order: what :func:`vqlib.sample` needs of a prior.

    It is used like this::

        state = network.initial_state(batch)
        for i in range(h):
            row = network.begin_row(state)
            codes = []
            for j in range(w):
                logits = network.step(row, codes)
                codes.append(...)
            state = network.end_row(row, codes)

    The loop over rows is compiled, so a state must have the same shapes above every row; the loop over positions is
    written out. Layers that remember follow the same protocol, with features in place of codes and logits.
    """

    def initial_state(self, batch: Tensor) -> Any:
        """Return what the first row needs to know of the rows above: tensors, in any nesting of lists and tuples.

        `batch`, an int tensor, is B, how many grids are drawn.
        """

    def begin_row(self, state: Any) -> Any:
        """Return what the steps of a row need to know, given the state above it."""

    def step(self, row: Any, inputs: list[Tensor]) -> Tensor:
        """Return the logits at the next position, (B, K), given the codes left of it, each (B,) int32.

        Of a layer: its output there, (B, filters), given its inputs so far in this row.
        """

    def end_row(self, row: Any, inputs: list[Tensor]) -> Any:
        """Return the state above the next row, given all codes, or inputs, of this one."""


@functools.singledispatch
def incremental(prior: Any, condition: Tensor | None = None) -> Incremental:
    """Return a prior's network as it runs one position at a time, with the weights that it has now.

    For your own class of models, from codes (B, h, w) to logits (B, h, w, K), with `code_shape` and `num_embeddings`,
    register a function of the prior, and of the condition if it takes one::

        @vqlib.incremental.incremental.register(MyPrior)
        def _(prior, condition=None):
            return MyIncremental(prior)  # initial_state, begin_row, step and end_row, see Incremental

    Parameters
    ----------
    prior : PixelCNN, GatedPixelCNN, TransformerPrior, or an object of a class that is registered
    condition : int tensor, shape (B,) or (B, h', w'), optional
        What conditions it.

    Raises
    ------
    TypeError
        If its class is not registered. Running the whole network for every position would do, but take h * w times as
        long without a word: who wants that asks for :func:`vqlib.sampling.sample_plainly`.
    """
    raise TypeError(
        f"vqlib.sample does not know how to run a {type(prior).__name__} one position at a time. "
        "vqlib.sampling.sample_plainly draws from it all the same, slowly; "
        "to draw fast, register its class: help(vqlib.incremental.incremental)."
    )


class IncrementalPixelCNN:
    """A :class:`vqlib.PixelCNN`, one position at a time."""

    def __init__(self, prior: PixelCNN) -> None:
        width = prior.code_shape[1]
        self.stack = prior.stack
        self.first = IncrementalCodeConv(self.stack.first, width)
        self.convs = [IncrementalConv(block.masked, width) for block in self.stack.blocks]

    def initial_state(self, batch: Tensor) -> Any:
        """Return the codes above, and the inputs above of each masked convolution."""
        return [self.first.initial_state(batch), *(conv.initial_state(batch) for conv in self.convs)]

    def begin_row(self, state: Any) -> Any:
        """Return what the rows above give each convolution."""
        codes, *others = state
        convs = [InRow(conv, each) for conv, each in zip(self.convs, others, strict=True)]
        return self.first.begin_row(codes), convs

    def step(self, row: Any, inputs: list[Tensor]) -> Tensor:
        """Return the logits at the next position, (B, K)."""
        first, convs = row
        x = self.stack.first.activation(self.first.step(first, inputs))
        for block, conv in zip(self.stack.blocks, convs, strict=True):
            x = block.step(x, conv)
        return self.stack.head(x)

    def end_row(self, row: Any, inputs: list[Tensor]) -> Any:
        """Return the state above the next row."""
        first, convs = row
        return [self.first.end_row(first, inputs), *(conv.end() for conv in convs)]


class GatedRow(NamedTuple):
    """What an :class:`IncrementalGatedPixelCNN` knows in a row: all that its vertical stack gives, and where it is."""

    number: Tensor  # () int32, from 0
    codes_above: Any  # of vertical_0
    codes_left: Any  # of horizontal_0
    vertical: list["InRow"]
    horizontal: list["InRow"]
    from_above: list[Tensor]  # what the vertical stack gives the horizontal one at each layer, (B, W, 2 F)


class IncrementalGatedPixelCNN:
    """A :class:`vqlib.GatedPixelCNN`: one row of its vertical stack, one position of its horizontal stack at a time."""

    def __init__(self, prior: GatedPixelCNN, condition: Tensor | None = None) -> None:
        width = prior.code_shape[1]
        self.stacks = prior.stacks
        first, *later = self.stacks.layers
        self.codes_above = IncrementalCodeConv(first.vertical, width)
        self.codes_left = IncrementalCodeConv(first.horizontal, width)
        self.vertical = [IncrementalVerticalConv(layer.vertical, width) for layer in later]
        self.horizontal = [IncrementalHorizontalConv(layer.horizontal) for layer in later]
        self.condition = None  # else (B, h or 1, w or 1, C)
        if condition is not None:
            self.condition = prior.network.get_layer("condition")(condition)

    def initial_state(self, batch: Tensor) -> Any:
        """Return the number of the row, the codes above, and the inputs above of each vertical convolution."""
        above = self.codes_above.initial_state(batch)
        left = self.codes_left.initial_state(batch)
        return [ops.zeros((), "int32"), above, left, *(conv.initial_state(batch) for conv in self.vertical)]

    def begin_row(self, state: Any) -> GatedRow:
        """Run the vertical stack over a row."""
        number, above, left, *others = state
        condition = self.condition
        if condition is not None and condition.shape[1] > 1:
            condition = ops.take(condition, number[None], axis=1)  # (B, 1, w, C)
        first, *later = self.stacks.layers
        codes_above = self.codes_above.begin_row(above)
        vertical = [InRow(conv, each) for conv, each in zip(self.vertical, others, strict=True)]
        x, given = first.vertical_step(codes_above.sums[:, None], condition)  # (B, 1, W, F) and (B, 1, W, 2 F)
        from_above = [given[:, 0]]
        for layer, conv in zip(later, vertical, strict=True):
            x, given = layer.vertical_step(conv(x), condition)
            from_above.append(given[:, 0])
        horizontal = [InRow(conv, None) for conv in self.horizontal]
        return GatedRow(number, codes_above, self.codes_left.begin_row(left), vertical, horizontal, from_above)

    def step(self, row: GatedRow, inputs: list[Tensor]) -> Tensor:
        """Return the logits at the next position, (B, K)."""
        first, *later = self.stacks.layers
        from_above = [each[:, len(inputs)] for each in row.from_above]
        x = first.horizontal_step(self.codes_left.step(row.codes_left, inputs), from_above[0])
        for layer, conv, given in zip(later, row.horizontal, from_above[1:], strict=True):
            x = layer.horizontal_step(conv(x), given, x)
        return self.stacks.head(x)

    def end_row(self, row: GatedRow, inputs: list[Tensor]) -> Any:
        """Return the state above the next row."""
        above = self.codes_above.end_row(row.codes_above, inputs)
        left = self.codes_left.end_row(row.codes_left, inputs)
        return [row.number + 1, above, left, *(conv.end() for conv in row.vertical)]


class InRow:
    """A layer that remembers, within a row: called like the layer itself, with one input after the other."""

    def __init__(self, layer: Incremental, state: Any) -> None:
        self.layer = layer
        self.row = layer.begin_row(state)
        self.inputs: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Take the next input, and return the output there."""
        self.inputs.append(x)
        return self.layer.step(self.row, self.inputs)

    def end(self) -> Any:
        """Return the state above the next row."""
        return self.layer.end_row(self.row, self.inputs)


class Above(NamedTuple):
    """The rows above that a convolution sees, and what they add to each position of a row."""

    rows: Tensor  # (B, rows, W) or (B, rows, W, C)
    sums: Tensor  # (B, W, filters), with the bias


class IncrementalConv:
    """A :class:`vqlib.pixelcnn.MaskedConv2D` of type B, one position at a time.

    What the rows above add is computed for a whole row at once: a large product is faster than many small ones.
    """

    def __init__(self, layer: MaskedConv2D, width: int) -> None:
        self.layer = layer
        self.width = width
        self.half = layer.kernel_size // 2
        self.taps = int(layer.mask[self.half].sum())  # live ones in the row of the centre
        kernel = layer.causal_kernel()
        self.above = kernel[:-1]  # (k // 2, k, C, filters)
        self.here = ops.reshape(kernel[-1, : self.taps], (-1, layer.filters))  # (taps * C, filters)
        self.bias = ops.cast(layer.bias, layer.compute_dtype)

    def initial_state(self, batch: Tensor) -> Tensor:
        """Return the rows above the first one, zeros: (B, k // 2, W, C)."""
        return ops.zeros((batch, self.half, self.width, self.layer.kernel.shape[2]), self.layer.compute_dtype)

    def begin_row(self, state: Tensor) -> Above:
        """Convolve the rows above."""
        rows = ops.pad(state, [[0, 0], [0, 0], [self.half, self.half], [0, 0]])
        return Above(state, ops.conv(rows, self.above)[:, 0] + self.bias)

    def step(self, row: Above, inputs: list[Tensor]) -> Tensor:
        """Return the output at the position of the last input: (B, filters)."""
        window = ops.concatenate(inputs[-self.taps :], axis=-1)
        added = ops.matmul(window, self.here[-window.shape[-1] :])
        return self.layer.activation(row.sums[:, len(inputs) - 1] + added)

    def end_row(self, row: Above, inputs: list[Tensor]) -> Tensor:
        """Return the rows above the next row."""
        return ops.concatenate([row.rows[:, 1:], ops.stack(inputs, axis=1)[:, None]], axis=1)


class IncrementalCodeConv:
    """A convolution of codes, one position at a time, before its activation. It sees no code from the position on."""

    def __init__(self, layer: CodeLookupMixin, width: int) -> None:
        top, left = layer.origin
        if layer.mask[top : top + 1, left:].any() or layer.mask[top + 1 :].any():
            raise ValueError(
                f"The layer {layer.name!r} sees the code that is to be drawn: its mask or origin lets through more "
                "than what comes before. vqlib.sampling.sample_plainly draws from such a network all the same."
            )
        self.layer = layer
        self.width = width
        self.height = top  # rows above that are in view
        self.columns = (
            np.flatnonzero(layer.mask[top : top + 1, :left].any(axis=0)) - left
        )  # and codes left: -1, -2, ...
        self.outside = layer.num_embeddings  # stands for a code beyond the border, looks up zeros
        self.table = ops.pad(layer.table(), [[0, 1], [0, 0]])
        self.bias = ops.cast(layer.bias, layer.compute_dtype)

    def initial_state(self, batch: Tensor) -> Tensor:
        """Return the codes of the rows above the first one: (B, rows, W) int32."""
        return ops.full((batch, self.height, self.width), self.outside, "int32")

    def begin_row(self, state: Tensor) -> Above:
        """Sum what the codes of the rows above look up for every position of a row."""
        if self.height == 0:
            return Above(state, ops.zeros((ops.shape(state)[0], self.width, 1), self.bias.dtype) + self.bias)
        outputs, inputs, taps = self.layer.tap_pairs(self.height + 1, self.width)
        here = self.height * self.width  # the row itself is the last of these
        from_above = (outputs >= here) & (inputs < here)
        outputs = outputs[from_above] - here
        inputs = inputs[from_above]
        taps = taps[from_above]
        codes = ops.take(ops.reshape(state, (-1, here)), inputs, axis=1)  # (B, pairs)
        last = self.table.shape[0] - 1
        rows = ops.where(codes == self.outside, last, taps * self.layer.num_embeddings + codes)
        return Above(state, segment_sum_rows(self.table, rows, outputs, self.width) + self.bias)

    def step(self, row: Above, inputs: list[Tensor]) -> Tensor:
        """Return the output at the next position, (B, filters), given the codes left of it, each (B,)."""
        above = row.sums[:, len(inputs)]
        columns = self.columns[self.columns >= -len(inputs)]
        if not len(columns):
            return above
        top, left = self.layer.origin
        taps = (top * self.layer.mask.shape[1] + left + columns).astype("int32")
        codes = ops.stack([inputs[column] for column in columns], axis=1)  # (B, columns)
        rows = ops.take(self.table, taps * self.layer.num_embeddings + codes, axis=0)
        return above + ops.sum(rows, axis=1)

    def end_row(self, row: Above, inputs: list[Tensor]) -> Tensor:
        """Return the codes of the rows above the next row."""
        return ops.concatenate([row.rows, ops.stack(inputs, axis=1)[:, None]], axis=1)[:, 1:]


class IncrementalVerticalConv:
    """A later vertical :class:`vqlib.gated.CroppedConv2D`, one row at a time: a row has one input, the row itself."""

    def __init__(self, layer: CroppedConv2D, width: int) -> None:
        self.layer = layer
        self.width = width
        self.kernel = ops.cast(layer.kernel, layer.compute_dtype)
        self.bias = ops.cast(layer.bias, layer.compute_dtype)

    def initial_state(self, batch: Tensor) -> Tensor:
        """Return the row above the first one, zeros: (B, 1, W, C)."""
        return ops.zeros((batch, 1, self.width, self.layer.kernel.shape[2]), self.layer.compute_dtype)

    def begin_row(self, state: Tensor) -> Tensor:
        """Return the row above."""
        return state

    def step(self, row: Tensor, inputs: list[Tensor]) -> Tensor:
        """Return the output of the whole row: (B, 1, W, C) -> (B, 1, W, filters)."""
        rows = ops.pad(ops.concatenate([row, inputs[-1]], axis=1), [[0, 0], [0, 0], [1, 1], [0, 0]])
        return ops.conv(rows, self.kernel) + self.bias

    def end_row(self, row: Tensor, inputs: list[Tensor]) -> Tensor:
        """Return this row, which is above the next one."""
        return inputs[-1]


class IncrementalHorizontalConv:
    """A later horizontal :class:`vqlib.gated.CroppedConv2D`, one position at a time. Rows above are nothing to it."""

    def __init__(self, layer: CroppedConv2D) -> None:
        self.kernel = ops.cast(ops.reshape(layer.kernel, (-1, layer.filters)), layer.compute_dtype)  # (2 C, filters)
        self.bias = ops.cast(layer.bias, layer.compute_dtype)

    def initial_state(self, batch: Tensor) -> None:
        """Return nothing."""

    def begin_row(self, state: None) -> None:
        """Return nothing."""

    def step(self, row: None, inputs: list[Tensor]) -> Tensor:
        """Return the output at the position of the last input: (B, C) -> (B, filters)."""
        left = inputs[-2] if len(inputs) > 1 else ops.zeros_like(inputs[-1])
        return ops.matmul(ops.concatenate([left, inputs[-1]], axis=-1), self.kernel) + self.bias

    def end_row(self, row: None, inputs: list[Tensor]) -> None:
        """Return nothing."""


@incremental.register(PixelCNN)
def _(prior: PixelCNN) -> Incremental:
    return IncrementalPixelCNN(prior)


@incremental.register(GatedPixelCNN)
def _(prior: GatedPixelCNN, condition: Tensor | None = None) -> Incremental:
    return IncrementalGatedPixelCNN(prior, condition)

"""Gated PixelCNN: two stacks that together see every code before, and may be told what to draw.

In the symbols of van den Oord et al. (2016, "Conditional image generation with PixelCNN decoders"), equation 4 and
figure 2: a layer's `vertical` and `horizontal` convolutions are W_f * x and W_g * x of the two stacks, the halves of
one kernel, as :func:`gate` takes them apart; `condition_to_vertical` and `condition_to_horizontal` are V_f h and V_g h;
`to_horizontal` is the 1 x 1 layer from the vertical to the horizontal stack, `out` the one before the residual sum.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._checks import check_positive_integer, check_share
from vqlib._types import Tensor
from vqlib.code_lookup import CodeLookupMixin
from vqlib.conditions import build_condition, check_condition_dropout
from vqlib.prior import Dense, Prior, dtype_of_logits


@keras.saving.register_keras_serializable("vqlib")
class CroppedConv2D(layers.Layer):
    """A convolution with a kernel cut to what it may see, in place of a mask: (B, H, W, C) -> (B, H, W, filters).

    Parameters
    ----------
    filters : int
    rows, columns : tuple of int
        First and last row, and column, that the kernel covers, counted from the position that is computed. Rows
        (-3, -1) and columns (-3, 3) are three rows above it, seven wide. Neither may begin after the position.
    """

    def __init__(self, filters: int, rows: Sequence[int], columns: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_integer("filters", filters)
        for name, (first, last) in (("rows", rows), ("columns", columns)):
            if not first <= min(last, 0):
                raise ValueError(f"{name} must begin at 0 or before, and not end before that: {first, last} was given.")
        self.rows = tuple(rows)
        self.columns = tuple(columns)
        self.origin = (-rows[0], -columns[0])
        self.mask = np.ones((rows[1] - rows[0] + 1, columns[1] - columns[0] + 1), "float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make kernel and bias."""
        shape = (*self.mask.shape, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        """Convolve, with zeros beyond the border."""
        height, width = x.shape[1:3]
        above, left = self.origin
        x = ops.pad(x, [[0, 0], [above, max(self.rows[1], 0)], [left, max(self.columns[1], 0)], [0, 0]])
        x = x[:, : height + self.mask.shape[0] - 1, : width + self.mask.shape[1] - 1]
        return ops.conv(x, ops.cast(self.kernel, self.compute_dtype)) + self.bias

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "filters": self.filters, "rows": self.rows, "columns": self.columns}


@keras.saving.register_keras_serializable("vqlib")
class CroppedCodeConv2D(CodeLookupMixin, CroppedConv2D):
    """A :class:`CroppedConv2D` of one-hot codes: (B, H, W) int -> (B, H, W, filters). It looks codes up on a CPU.

    Made as ``CroppedCodeConv2D(num_embeddings, filters, rows, columns)``.
    """

    def call(self, codes: Tensor) -> Tensor:
        """Sum the rows that the codes in view look up, add the bias."""
        if not self.look_up:
            return super().call(ops.one_hot(codes, self.num_embeddings, dtype=self.compute_dtype))
        return self.sum_looked_up(codes) + self.bias


def gate(x: Tensor) -> Tensor:
    """Return tanh of the first half of the channels, times sigmoid of the second: (..., 2 C) -> (..., C)."""
    values, openness = ops.split(x, 2, axis=-1)
    return backend.tanh(values) * ops.sigmoid(openness)


class GatedLayer:
    """A layer of both stacks: in each a convolution and a gate, and the way from the vertical stack to the horizontal.

    Van den Oord et al. (2016), figure 2. The first layer reads codes: vertically three rows above the position, seven
    wide, horizontally three codes to its left. Nothing of a row is in what the vertical stack made of the rows above
    it; so later layers see the row above and their own, three wide. (The paper moves each layer's result down a row
    instead, which comes to the same.) Horizontally they see the position to the left and their own.

    Its `vertical` and `horizontal` are those convolutions. What is behind them, :meth:`vertical_step` and
    :meth:`horizontal_step`, works at each position by itself, and therefore on whole grids and on parts of them alike.
    A plain object, so that its layers stay layers of the network that it is called in.

    Parameters
    ----------
    n : int
        Which layer it is, from 0. Names of its layers end with it.
    num_embeddings : int
        K, the number of codes.
    filters : int
        Channels of each stack, F.
    dropout : float
    conditioned : bool
        Whether there is a condition.
    """

    def __init__(self, n: int, num_embeddings: int, filters: int, dropout: float, conditioned: bool) -> None:
        self.reads_codes = n == 0
        if self.reads_codes:
            self.vertical = CroppedCodeConv2D(num_embeddings, 2 * filters, (-3, -1), (-3, 3), name="vertical_0")
            self.horizontal = CroppedCodeConv2D(num_embeddings, 2 * filters, (0, 0), (-3, -1), name="horizontal_0")
        else:
            self.vertical = CroppedConv2D(2 * filters, (-1, 0), (-1, 1), name=f"vertical_{n}")
            self.horizontal = CroppedConv2D(2 * filters, (0, 0), (-1, 0), name=f"horizontal_{n}")
        self.to_horizontal = Dense(2 * filters, name=f"vertical_to_horizontal_{n}")
        self.dropout = layers.Dropout(dropout, name=f"dropout_{n}")
        self.out = Dense(filters, name=f"out_{n}")
        if conditioned:
            self.condition_to_vertical = Dense(2 * filters, use_bias=False, name=f"condition_to_vertical_{n}")
            self.condition_to_horizontal = Dense(2 * filters, use_bias=False, name=f"condition_to_horizontal_{n}")

    def __call__(self, above: Tensor, here: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what both stacks give the next layer: two (B, H, W, F).

        `above` and `here` are what they gave this layer, for the first one the codes (B, H, W). `condition` is what
        :func:`vqlib.conditions.build_condition` makes of it.
        """
        y = self.vertical(above)  # (B, H, W, 2 F)
        above, from_above = self.vertical_step(y, condition)
        y = self.horizontal(here)  # (B, H, W, 2 F)
        return above, self.horizontal_step(y, from_above, None if self.reads_codes else here)

    def vertical_step(self, y: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what the vertical stack gives its next layer, and what it gives the horizontal stack at this one.

        `y` is its convolution's output for a grid or some of its rows: (..., 2 F) -> (..., F) and (..., 2 F). The
        condition is added to both: what the horizontal stack is given is all that it has to know beside its own codes.
        """
        if condition is not None:
            y = y + self.condition_to_vertical(condition)
        from_above = self.to_horizontal(y)
        if condition is not None:
            from_above = from_above + self.condition_to_horizontal(condition)
        return gate(y), from_above

    def horizontal_step(self, y: Tensor, from_above: Tensor, here: Tensor | None = None) -> Tensor:
        """Return what the horizontal stack gives its next layer: (..., F).

        `y` is its convolution's output for a grid or one position, (..., 2 F), and `here` what came into it, (..., F),
        which is added, but by the first layer, where codes came in.
        """
        y = gate(y + from_above)
        y = self.out(self.dropout(y))
        return y if here is None else here + y


class TwoStacks:
    """What a :class:`GatedPixelCNN` consists of: gated layers, and two 1 x 1 layers on top of the horizontal stack."""

    def __init__(self, num_embeddings: int, filters: int, num_layers: int, dropout: float, conditioned: bool) -> None:
        self.layers = [GatedLayer(n, num_embeddings, filters, dropout, conditioned) for n in range(num_layers)]
        self.hidden = Dense(2 * filters, activation="relu", name="hidden")
        self.logits = Dense(num_embeddings, dtype=dtype_of_logits(), name="logits")

    def __call__(self, codes: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K)."""
        above = here = codes
        for layer in self.layers:
            above, here = layer(above, here, condition)
        return self.head(here)

    def head(self, here: Tensor) -> Tensor:
        """Return the logits for what the last layer gives, of a grid or of one position: (..., F) -> (..., K)."""
        return self.logits(self.hidden(ops.relu(here)))


@keras.saving.register_keras_serializable("vqlib")
class GatedPixelCNN(Prior):
    """A :class:`~vqlib.prior.Prior` without a blind spot, which may be conditioned on a class or on another grid.

    Van den Oord et al. (2016, "Conditional image generation with PixelCNN decoders"), equation 4 and figure 2: a
    vertical stack sees all rows above, a horizontal one the codes to the left, and in each layer both pass through
    tanh(W_f * x + V_f h) * sigmoid(W_g * x + V_g h), with the condition h.

    Trained by ``compile(optimizer)`` and ``fit(codes)``. A conditioned prior takes the pair (codes, condition) wherever
    the other takes codes: ``fit((codes, labels), validation_data=(val_codes, val_labels))``.

    The defaults have 470,048 parameters and 173,568 multiply-adds a position, beside the looking up of codes; the
    plain PixelCNN has 1,049,728, of which half are masked, and 180,224. N layers see N + 2 rows and columns far, with
    4 all of a 7 x 7 grid.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K, the number of codes.
    filters : int
        Channels of each stack, F.
    num_layers : int
        Gated layers. The first sees three rows up and three columns to each side, each other one more.
    dropout : float in [0, 1)
        The share of the horizontal stack's channels that a training step leaves out, in the residual branches.
    condition_shape : tuple of int, optional
        () for class labels (B,), (h', w') for grids of codes (B, h', w'); h and w are multiples of h' and w'.
    num_conditions : int, optional
        How many classes, or different codes in these grids, there are.
    condition_dropout : float in [0, 1)
        The share of the examples of a training step that are not told their class. Above 0, the label -1 stands for
        nothing told, and :func:`vqlib.sample` can be given `guidance`.
    """

    def __init__(
        self,
        code_shape: Sequence[int] = (7, 7),
        num_embeddings: int = 128,
        filters: int = 48,
        num_layers: int = 4,
        dropout: float = 0.0,
        condition_shape: Sequence[int] | None = None,
        num_conditions: int | None = None,
        condition_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            code_shape, num_embeddings, condition_shape, num_conditions, **{"name": "gated_pixelcnn", **kwargs}
        )
        self.filters = check_positive_integer("filters", filters)
        self.num_layers = check_positive_integer("num_layers", num_layers)
        self.dropout = check_share("dropout", dropout)
        self.condition_dropout = check_condition_dropout(condition_dropout, self.condition_shape, self.code_shape)
        conditioned = self.condition_shape is not None
        self.stacks = TwoStacks(self.num_embeddings, self.filters, self.num_layers, self.dropout, conditioned)
        self.network = self._build_network()
        self.built = True

    def _build_network(self) -> keras.Model:
        codes = keras.Input(self.code_shape, dtype="int32", name="codes")
        if self.condition_shape is None:
            self._build_vertical_kernels()
            return keras.Model(codes, self.stacks(codes), name="network")
        assert self.num_conditions is not None  # given together with the shape
        condition = keras.Input(self.condition_shape, dtype="int32", name="condition_codes")
        features = build_condition(
            self.condition_shape, self.num_conditions, self.condition_dropout, self.code_shape, self.filters
        )(condition)
        self._build_vertical_kernels()
        return keras.Model([codes, condition], self.stacks(codes, features), name="network")

    def _build_vertical_kernels(self) -> None:
        """Draw the vertical kernels before all horizontal ones: the order on which what a seed gives depends."""
        first, *later = self.stacks.layers
        first.vertical.build((None, *self.code_shape))
        for layer in later:
            layer.vertical.build((None, *self.code_shape, self.filters))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "code_shape": self.code_shape,
            "num_embeddings": self.num_embeddings,
            "filters": self.filters,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "condition_shape": self.condition_shape,
            "num_conditions": self.num_conditions,
            "condition_dropout": self.condition_dropout,
        }

"""Gated PixelCNN: two stacks that together see every code before, and may be told what to draw."""

import keras
import numpy as np
from keras import layers, ops

from vqlib._checks import check_positive_integer
from vqlib.pixelcnn import IncrementalCodeConv, LooksCodesUp
from vqlib.prior import Dense, Prior


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

    def __init__(self, filters, rows, columns, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("filters", filters)
        for name, (first, last) in (("rows", rows), ("columns", columns)):
            if not first <= min(last, 0):
                raise ValueError(f"{name} must begin at 0 or before, and not end before that: {first, last} was given.")
        self.filters = filters
        self.rows = tuple(rows)
        self.columns = tuple(columns)
        self.origin = (-rows[0], -columns[0])
        self.mask = np.ones((rows[1] - rows[0] + 1, columns[1] - columns[0] + 1), "float32")

    def build(self, input_shape):
        """Make kernel and bias."""
        shape = (*self.mask.shape, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        """Convolve, with zeros beyond the border."""
        height, width = x.shape[1:3]
        above, left = self.origin
        x = ops.pad(x, [[0, 0], [above, max(self.rows[1], 0)], [left, max(self.columns[1], 0)], [0, 0]])
        x = x[:, : height + self.mask.shape[0] - 1, : width + self.mask.shape[1] - 1]
        return ops.conv(x, ops.cast(self.kernel, self.compute_dtype)) + self.bias

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "filters": self.filters, "rows": self.rows, "columns": self.columns}


@keras.saving.register_keras_serializable("vqlib")
class CroppedCodeConv2D(LooksCodesUp, CroppedConv2D):
    """A :class:`CroppedConv2D` of one-hot codes: (B, H, W) int -> (B, H, W, filters). It looks codes up on a CPU.

    Made as ``CroppedCodeConv2D(num_embeddings, filters, rows, columns)``.
    """

    def call(self, codes):
        """Sum the rows that the codes in view look up, add the bias."""
        if not self.look_up:
            return super().call(ops.one_hot(codes, self.num_embeddings, dtype=self.compute_dtype))
        return self.sums_of_rows(codes) + self.bias


def gate(x):
    """Return tanh of the first half of the channels, times sigmoid of the second: (..., 2 C) -> (..., C)."""
    values, openness = ops.split(x, 2, axis=-1)
    return ops.tanh(values) * ops.sigmoid(openness)


def make_layers(num_embeddings, filters, num_layers, dropout, conditioned):
    """Return all layers of the two stacks and the head, by name."""
    made = [
        CroppedCodeConv2D(num_embeddings, 2 * filters, (-3, -1), (-3, 3), name="vertical_0"),
        CroppedCodeConv2D(num_embeddings, 2 * filters, (0, 0), (-3, -1), name="horizontal_0"),
    ]
    for n in range(1, num_layers):
        made.append(CroppedConv2D(2 * filters, (-1, 0), (-1, 1), name=f"vertical_{n}"))
        made.append(CroppedConv2D(2 * filters, (0, 0), (-1, 0), name=f"horizontal_{n}"))
    for n in range(num_layers):
        made.append(Dense(2 * filters, name=f"vertical_to_horizontal_{n}"))
        made.append(layers.Dropout(dropout, name=f"dropout_{n}"))
        made.append(Dense(filters, name=f"out_{n}"))
        if conditioned:
            made.append(Dense(2 * filters, use_bias=False, name=f"condition_to_vertical_{n}"))
            made.append(Dense(2 * filters, use_bias=False, name=f"condition_to_horizontal_{n}"))
    made.append(Dense(2 * filters, activation="relu", name="hidden"))
    made.append(Dense(num_embeddings, dtype="float32", name="logits"))
    return {layer.name: layer for layer in made}


def vertical_stack(layer, num_layers, codes, condition=None):
    """Return what the vertical stack gives the horizontal one at each layer: a list of (B, H, W, 2 F).

    Its first layer sees the rows above, and nothing of the row itself; so the later ones may look at that row too.
    (The paper moves each layer's result down a row instead, which comes to the same.) The condition, if there is one,
    comes along: everything that a row of the horizontal stack has to know beside its own codes.

    `layer` maps the name of each layer to what computes it; this and :func:`horizontal_stack` are the network, written
    once for whole grids and for sampling.
    """
    x, given = codes, []
    for n in range(num_layers):
        y = layer[f"vertical_{n}"](x)  # (B, H, W, 2 F)
        if condition is not None:
            y = y + layer[f"condition_to_vertical_{n}"](condition)
        from_above = layer[f"vertical_to_horizontal_{n}"](y)
        if condition is not None:
            from_above = from_above + layer[f"condition_to_horizontal_{n}"](condition)
        given.append(from_above)
        x = gate(y)
    return given


def horizontal_stack(layer, codes, given):
    """Return the logits of codes, given what the vertical stack gives at each layer."""
    x = codes
    for n, from_above in enumerate(given):
        y = gate(layer[f"horizontal_{n}"](x) + from_above)
        y = layer[f"out_{n}"](layer[f"dropout_{n}"](y))
        x = x + y if n else y
    return layer["logits"](layer["hidden"](ops.relu(x)))


def build_condition(condition_shape, num_conditions, code_shape, filters):
    """Return the model from a condition to what the layers see of it: (B,) -> (B, 1, 1, K'), or -> (B, h, w, F).

    A class label becomes a one-hot vector, the same for all positions. A grid of codes is looked up, brought to the
    size of the grid to draw, and goes through two ordinary convolutions: all of it is known in advance.
    """
    condition = keras.Input(condition_shape, dtype="int32", name="condition")
    if condition_shape == ():
        return keras.Model(condition, ops.one_hot(condition, num_conditions)[:, None, None], name="condition")
    factors = tuple(n // m for n, m in zip(code_shape, condition_shape, strict=True))
    x = layers.Embedding(num_conditions, filters, name="condition_embedding")(condition)
    x = layers.UpSampling2D(factors, name="condition_up")(x)
    for n in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"condition_conv_{n}")(x)
    return keras.Model(condition, x, name="condition")


@keras.saving.register_keras_serializable("vqlib")
class GatedPixelCNN(Prior):
    """A prior over grids of codes without a blind spot, which may be conditioned on a class or on another grid.

    Van den Oord et al. (2016, "Conditional image generation with PixelCNN decoders"), equation 4 and figure 2: a
    vertical stack sees all rows above, a horizontal one the codes to the left, and in each layer both pass through
    tanh(W_f * x + V_f h) * sigmoid(W_g * x + V_g h), with the condition h.

    Called on codes (B, h, w) int32 it returns logits (B, h, w, K): those at a position depend on codes above it, and
    to its left in the same row. Trained by ``compile(optimizer)`` and ``fit(codes)``, with the metrics of
    :class:`vqlib.PixelCNN`. A conditioned prior takes the pair (codes, condition) wherever the other takes codes:
    ``fit((codes, labels), validation_data=((codes, labels),))``.

    The defaults have 470,048 parameters and 173,568 multiply-adds a position, beside the looking up of codes; the
    plain PixelCNN has 1,049,728, of which half are masked, and 180,224. N layers see N + 2 rows and columns far, with
    4 all of a 7 x 7 grid.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K.
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
    """

    def __init__(
        self,
        code_shape=(7, 7),
        num_embeddings=128,
        filters=48,
        num_layers=4,
        dropout=0.0,
        condition_shape=None,
        num_conditions=None,
        **kwargs,
    ):
        super().__init__(
            code_shape, num_embeddings, condition_shape, num_conditions, **{"name": "gated_pixelcnn", **kwargs}
        )
        check_positive_integer("filters", filters)
        check_positive_integer("num_layers", num_layers)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, but {dropout!r} was given.")
        self._check_condition_arguments()
        self.filters = filters
        self.num_layers = num_layers
        self.dropout = dropout
        self.network = self._build_network()
        self.built = True

    def _build_network(self):
        conditioned = self.condition_shape is not None
        layer = make_layers(self.num_embeddings, self.filters, self.num_layers, self.dropout, conditioned)
        codes = keras.Input(self.code_shape, dtype="int32", name="codes")
        if not conditioned:
            given = vertical_stack(layer, self.num_layers, codes)
            return keras.Model(codes, horizontal_stack(layer, codes, given), name="network")
        condition = keras.Input(self.condition_shape, dtype="int32", name="condition_codes")
        features = build_condition(self.condition_shape, self.num_conditions, self.code_shape, self.filters)(condition)
        given = vertical_stack(layer, self.num_layers, codes, features)
        return keras.Model([codes, condition], horizontal_stack(layer, codes, given), name="network")

    def _check_condition_arguments(self):
        if (self.condition_shape is None) != (self.num_conditions is None):
            raise ValueError(
                "Give both condition_shape and num_conditions, or neither, but "
                f"condition_shape={self.condition_shape} and num_conditions={self.num_conditions} were given. "
                "For class labels, condition_shape=()."
            )
        if self.condition_shape is None:
            return
        check_positive_integer("num_conditions", self.num_conditions)
        for size in self.condition_shape:
            check_positive_integer("Each entry of condition_shape", size)
        fits = [n % m == 0 for n, m in zip(self.code_shape, self.condition_shape, strict=False)]
        if len(self.condition_shape) not in (0, 2) or not all(fits):
            raise ValueError(
                "condition_shape must be () for class labels, or (height, width) that divide those of "
                f"code_shape={self.code_shape}, but {self.condition_shape} was given."
            )

    def incremental(self, condition=None):
        """Return this network as sampling computes it, one position at a time, given a condition if it takes one."""
        return IncrementalGatedPixelCNN(self, condition)

    def get_config(self):
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
        }


class IncrementalVerticalConv:
    """A later vertical :class:`CroppedConv2D`, one row at a time: the row above is kept."""

    def __init__(self, layer):
        self.layer = layer

    def empty(self, batch, width):
        """Return the row above the first one, zeros: (B, 1, W, C)."""
        return ops.zeros((batch, 1, width, self.layer.kernel.shape[2]), self.layer.compute_dtype)

    def begin_row(self, above):
        """Take the input of the row above, (B, 1, W, C)."""
        self.above = above

    def __call__(self, x):
        """Return the output of a row for its input: (B, 1, W, C) -> (B, 1, W, filters)."""
        self.x = x
        rows = ops.pad(ops.concatenate([self.above, x], axis=1), [[0, 0], [0, 0], [1, 1], [0, 0]])
        return ops.conv(rows, ops.cast(self.layer.kernel, rows.dtype)) + ops.cast(self.layer.bias, rows.dtype)

    def end_row(self):
        """Return the input of this row, which is above the next one."""
        return self.x


class IncrementalHorizontalConv:
    """A later horizontal :class:`CroppedConv2D`, one position at a time: the position to the left is kept."""

    def __init__(self, layer):
        self.layer = layer
        self.kernel = ops.cast(ops.reshape(layer.kernel, (-1, layer.filters)), layer.compute_dtype)  # (2 C, filters)

    def begin_row(self):
        """Forget the row before."""
        self.left = None

    def __call__(self, x):
        """Take the next position's input, (B, C), and return its output, (B, filters)."""
        left, self.left = ops.zeros_like(x) if self.left is None else self.left, x
        return ops.matmul(ops.concatenate([left, x], axis=-1), self.kernel) + ops.cast(self.layer.bias, x.dtype)


class IncrementalGatedPixelCNN:
    """A :class:`GatedPixelCNN`, one row of the vertical stack and one position of the horizontal one at a time.

    It uses the weights as they are when it is made. See :class:`vqlib.pixelcnn.IncrementalPixelCNN` for how it is used.
    """

    def __init__(self, prior, condition=None):
        self.prior = prior
        self.layers = {layer.name: layer for layer in prior.network.layers}
        self.condition = None if condition is None else self.layers["condition"](condition)  # (B, h or 1, w or 1, C)
        self.codes = IncrementalCodeConv(self.layers["vertical_0"])
        self.left = IncrementalCodeConv(self.layers["horizontal_0"])
        later = range(1, prior.num_layers)
        self.vertical = [IncrementalVerticalConv(self.layers[f"vertical_{n}"]) for n in later]
        self.horizontal = [IncrementalHorizontalConv(self.layers[f"horizontal_{n}"]) for n in later]
        self.layers["vertical_0"] = self._sums_from_above
        self.layers["horizontal_0"] = lambda row: self.left.from_left(row, self.left.bias)
        for n in later:
            self.layers[f"vertical_{n}"] = self.vertical[n - 1]
            self.layers[f"horizontal_{n}"] = self.horizontal[n - 1]

    def empty(self, batch):
        """Return what is kept above the first row: its number, codes, and the input of each vertical convolution."""
        width = self.prior.code_shape[1]
        return [ops.zeros((), "int32"), *(conv.empty(batch, width) for conv in (self.codes, *self.vertical))]

    def begin_row(self, kept):
        """Start a row, with what was kept of the rows above: all of its vertical stack is computed."""
        self.number, codes, *rows = kept
        for conv, above in zip(self.vertical, rows, strict=True):
            conv.begin_row(above)
        for conv in self.horizontal:
            conv.begin_row()
        condition = self.condition
        if condition is not None and condition.shape[1] > 1:
            condition = ops.take(condition, self.number[None], axis=1)  # (B, 1, w, C)
        self.given = [x[:, 0] for x in vertical_stack(self.layers, self.prior.num_layers, codes, condition)]

    def __call__(self, row):
        """Return the logits at the next position, (B, K), given the codes left of it: a list, each (B,)."""
        return horizontal_stack(self.layers, row, [x[:, len(row)] for x in self.given])

    def end_row(self, row):
        """Return what to keep for the next row, given the codes of this one, (B, W)."""
        return [self.number + 1, self.codes.end_row(row), *(conv.end_row() for conv in self.vertical)]

    def _sums_from_above(self, rows):
        self.codes.begin_row(rows)
        return self.codes.above[:, None]  # (B, 1, W, filters)

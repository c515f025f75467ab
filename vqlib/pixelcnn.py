"""PixelCNN: masked convolutions that predict each code from those above it and to its left."""

import keras
import numpy as np
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._checks import check_positive_integer
from vqlib.prior import Dense, Prior


def causal_mask(kernel_size, mask_type):
    """Return the mask of a causal convolution.

    Van den Oord, Kalchbrenner and Kavukcuoglu (2016, "Pixel recurrent neural networks"), figure 2 and section 3.4.

    Parameters
    ----------
    kernel_size : int, odd
    mask_type : "A" or "B"
        Both let through the rows above, and what is to the left in the same row. "A", for the first layer, hides the
        position itself; "B", for all later layers, lets it through, since it no longer holds the code to predict.

    Returns
    -------
    float32 array, shape (kernel_size, kernel_size), of ones and zeros
    """
    check_positive_integer("kernel_size", kernel_size)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that the kernel has a centre, but {kernel_size} was given.")
    if mask_type not in ("A", "B"):
        raise ValueError(f'mask_type must be "A" or "B", but {mask_type!r} was given.')
    centre = kernel_size // 2
    mask = np.zeros((kernel_size, kernel_size), "float32")
    mask[:centre] = 1
    mask[centre, : centre + (mask_type == "B")] = 1
    return mask


@keras.saving.register_keras_serializable("vqlib")
class MaskedConv2D(layers.Layer):
    """A 'same' convolution whose kernel is multiplied by :func:`causal_mask`: (B, H, W, C) -> (B, H, W, filters).

    The mask is a constant and the kernel keeps its full shape, (k, k, C, filters), as in the textbook. Its lower rows
    are always masked, so they are cut off before the convolution and cost nothing.

    Parameters
    ----------
    filters : int
    kernel_size : int, odd
    mask_type : "A" or "B"
    activation : str or callable, optional
    kernel_initializer : str or keras.initializers.Initializer
    """

    def __init__(self, filters, kernel_size, mask_type, activation=None, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("filters", filters)
        self.filters = filters
        self.kernel_size = kernel_size
        self.mask_type = mask_type
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.mask = causal_mask(kernel_size, mask_type)
        self.origin = (kernel_size // 2, kernel_size // 2)

    def build(self, input_shape):
        """Make kernel and bias."""
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        """Convolve with the masked kernel, add the bias, apply the activation."""
        half = self.kernel_size // 2
        if half == 0:
            return self.activation(ops.matmul(x, self.live_kernel()[0, 0]) + self.bias)
        x = ops.pad(x, [[0, 0], [half, 0], [half, half], [0, 0]])
        return self.activation(ops.conv(x, self.live_kernel()) + self.bias)

    def live_kernel(self):
        """Return the rows of the masked kernel that are not all zero: (k // 2 + 1, k, C, filters)."""
        mask = ops.convert_to_tensor(self.mask[:, :, None, None], self.compute_dtype)
        return (ops.cast(self.kernel, self.compute_dtype) * mask)[: self.kernel_size // 2 + 1]

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "mask_type": self.mask_type,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


class LooksCodesUp:
    """What makes a convolution one of one-hot codes, without a product: a mixin.

    A kernel tap times a one-hot vector is one row of that tap. So the kernel is a table of a row for each tap and code,
    and each output is the sum of the rows that the codes in its view look up. The gradient goes to these rows alone.

    The convolution has `filters`, a `kernel` (rows, columns, K, filters), a `mask` (rows, columns), and `origin`, the
    row and column of the kernel that lie on the position that is computed. Where `look_up` is False, as on accelerators
    and under XLA, which has no sparse sums, it has to multiply one-hot vectors.
    """

    def __init__(self, num_embeddings, *arguments, **kwargs):
        super().__init__(*arguments, **kwargs)
        check_positive_integer("num_embeddings", num_embeddings)
        self.num_embeddings = num_embeddings
        self.look_up = backend.sparse_sums_pay()

    def build(self, input_shape):
        """Make the kernel that the same convolution of one-hot codes would have."""
        super().build((*input_shape, self.num_embeddings))

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "num_embeddings": self.num_embeddings}

    def sums_of_rows(self, codes):
        """Return the sums, without a bias: (B, H, W) int -> (B, H, W, filters)."""
        height, width = codes.shape[1:]
        outputs, inputs, taps = self.views(height, width)
        codes = ops.reshape(codes, (-1, height * width))
        rows = ops.take(codes, inputs, axis=1) + taps * self.num_embeddings  # (B, pairs)
        sums = backend.sum_of_rows(self.table(), rows, outputs, height * width)  # (B, H * W, filters)
        return ops.reshape(sums, (-1, height, width, self.filters))

    def table(self):
        """Return the kernel as a table, one row for each tap and code: (rows * columns * K, filters)."""
        return ops.cast(ops.reshape(self.kernel, (-1, self.filters)), self.compute_dtype)

    def views(self, height, width):
        """Return the pairs (output, input) of positions that a live tap joins, and the tap: three int arrays.

        In the order of the outputs; positions and taps are numbered in raster order. Taps beyond the border join
        nothing: on a 7 x 7 grid, 660 of the 24 * 49 of a 7 x 7 kernel of type A are left.
        """
        rows, columns = self.mask.shape
        i, j, a, b = np.indices((height, width, rows, columns)).reshape(4, -1)
        y, x = i + a - self.origin[0], j + b - self.origin[1]
        live = (self.mask[a, b] > 0) & (y >= 0) & (x >= 0) & (y < height) & (x < width)
        pairs = np.stack([i * width + j, y * width + x, a * columns + b])[:, live]
        return pairs.astype("int32")


@keras.saving.register_keras_serializable("vqlib")
class MaskedCodeConv2D(LooksCodesUp, MaskedConv2D):
    """A :class:`MaskedConv2D` of one-hot codes: (B, H, W) int -> (B, H, W, filters).

    Made as ``MaskedCodeConv2D(num_embeddings, filters, kernel_size, mask_type, activation)``. On a CPU it looks rows
    up, see :class:`LooksCodesUp`.
    """

    def call(self, codes):
        """Sum the rows that the neighbours' codes look up, add the bias, apply the activation."""
        if not self.look_up:
            return super().call(ops.one_hot(codes, self.num_embeddings, dtype=self.compute_dtype))
        return self.activation(self.sums_of_rows(codes) + self.bias)


def build_network(code_shape, num_embeddings, filters, num_residual_blocks, num_pixelcnn_layers):
    """Return the network, codes (B, h, w) int -> logits (B, h, w, K).

    Each residual block is 1 x 1, masked 3 x 3 with half the channels, 1 x 1, each with a ReLU, added to its input. A
    1 x 1 convolution is a Dense layer: the same matrix at every position.
    """
    made = [MaskedCodeConv2D(num_embeddings, filters, 7, "A", activation="relu", name="codes_masked")]
    for i in range(num_residual_blocks):
        made.append(Dense(filters, activation="relu", name=f"block_{i}_in"))
        made.append(MaskedConv2D(filters // 2, 3, "B", activation="relu", name=f"block_{i}_masked"))
        made.append(Dense(filters, activation="relu", name=f"block_{i}_out"))
        made.append(layers.Add(name=f"block_{i}_sum"))
    for i in range(num_pixelcnn_layers):
        made.append(MaskedConv2D(filters, 1, "B", activation="relu", name=f"masked_{i}"))
    made.append(Dense(num_embeddings, dtype="float32", name="logits"))
    layer = {each.name: each for each in made}
    codes = keras.Input(code_shape, dtype="int32", name="codes")
    return keras.Model(codes, connect(layer, codes, num_residual_blocks, num_pixelcnn_layers), name="network")


def connect(layer, codes, num_residual_blocks, num_pixelcnn_layers):
    """Return the logits of codes: the network, written once for whole grids and for one position at a time.

    `layer` maps the name of each layer to what computes it.
    """
    x = layer["codes_masked"](codes)
    for i in range(num_residual_blocks):
        y = layer[f"block_{i}_in"](x)
        y = layer[f"block_{i}_masked"](y)
        y = layer[f"block_{i}_out"](y)
        x = layer[f"block_{i}_sum"]([x, y])
    for i in range(num_pixelcnn_layers):
        x = layer[f"masked_{i}"](x)
    return layer["logits"](x)


@keras.saving.register_keras_serializable("vqlib")
class PixelCNN(Prior):
    """A prior over grids of codes: a product over positions, each given those before it in raster order.

    Van den Oord, Kalchbrenner and Kavukcuoglu (2016, "Pixel recurrent neural networks"), equation 1.

    Called on codes (B, h, w) int32 it returns logits (B, h, w, K): those at a position depend only on codes above it,
    or to its left in the same row. Trained by ``compile(optimizer)`` and ``fit(codes)``, without targets: the codes
    are their own. Metrics, over the dataset: ``loss`` and ``nats_per_code``, the mean negative log-likelihood of a
    code; ``bits_per_image``, the same for a whole grid, in bits; ``accuracy``, how often the likeliest code is right.

    The defaults are the architecture of the Keras example of 2021: 1,049,728 parameters, masked ones counted.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K.
    filters : int, even
        Channels of the hidden layers.
    num_residual_blocks, num_pixelcnn_layers : int
        How many residual blocks, and how many masked 1 x 1 layers behind them.
    """

    def __init__(
        self,
        code_shape=(7, 7),
        num_embeddings=128,
        filters=128,
        num_residual_blocks=2,
        num_pixelcnn_layers=2,
        **kwargs,
    ):
        if {"condition_shape", "num_conditions"} & set(kwargs):
            raise ValueError("PixelCNN takes no condition: leave condition_shape out, or take GatedPixelCNN.")
        super().__init__(code_shape, num_embeddings, **{"name": "pixelcnn", **kwargs})
        check_positive_integer("filters", filters)
        self.filters = filters
        self.num_residual_blocks = num_residual_blocks
        self.num_pixelcnn_layers = num_pixelcnn_layers
        self.network = build_network(self.code_shape, num_embeddings, filters, num_residual_blocks, num_pixelcnn_layers)
        self.built = True

    def incremental(self):
        """Return this network as sampling computes it, one position at a time."""
        return IncrementalPixelCNN(self)

    def get_config(self):
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "code_shape": self.code_shape,
            "num_embeddings": self.num_embeddings,
            "filters": self.filters,
            "num_residual_blocks": self.num_residual_blocks,
            "num_pixelcnn_layers": self.num_pixelcnn_layers,
        }


class IncrementalConv:
    """A :class:`MaskedConv2D` of type B, one position at a time: each input comes once and is kept while it is needed.

    For each row: :meth:`begin_row`, then a call for each position from left to right, then :meth:`end_row`.
    """

    def __init__(self, layer):
        self.layer = layer
        self.half = layer.kernel_size // 2
        self.taps = int(layer.mask[self.half].sum())  # live ones in the row of the centre

    def empty(self, batch, width):
        """Return the rows above the first one, zeros: (B, k // 2, W, C)."""
        return ops.zeros((batch, self.half, width, self.layer.kernel.shape[2]), self.layer.compute_dtype)

    def begin_row(self, rows):
        """Compute what the k // 2 rows above, (B, k // 2, W, C), add to every position of a row."""
        self.rows, self.row = rows, []
        kernel = self.layer.live_kernel()
        rows = ops.pad(rows, [[0, 0], [0, 0], [self.half, self.half], [0, 0]])
        self.above = ops.conv(rows, kernel[:-1])[:, 0] + ops.cast(self.layer.bias, rows.dtype)  # (B, W, filters)
        self.kernel = ops.reshape(kernel[-1, : self.taps], (-1, self.layer.filters))  # (taps * C, filters)

    def __call__(self, x):
        """Take the next position's input, (B, C), and return its output, (B, filters)."""
        self.row.append(x)
        row = ops.concatenate(self.row[-self.taps :], axis=-1)
        added = ops.matmul(row, self.kernel[-row.shape[-1] :])
        return self.layer.activation(self.above[:, len(self.row) - 1] + added)

    def end_row(self):
        """Return the rows above the next row."""
        return ops.concatenate([self.rows[:, 1:], ops.stack(self.row, axis=1)[:, None]], axis=1)


class IncrementalCodeConv:
    """A layer that :class:`LooksCodesUp`, one position at a time, see :class:`IncrementalConv`.

    Its view ends before the position itself.
    """

    def __init__(self, layer):
        self.layer = layer
        self.height, self.left = layer.origin  # rows above and columns to the left that are in view
        self.outside = layer.num_embeddings  # stands for a code beyond the border, looks up zeros
        self.table = ops.pad(layer.table(), [[0, 1], [0, 0]])
        self.bias = ops.cast(layer.bias, layer.compute_dtype)

    def empty(self, batch, width):
        """Return the rows above the first one: (B, height, W) int32."""
        return ops.full((batch, self.height, width), self.outside, "int32")

    def begin_row(self, rows):
        """Sum what the codes of the rows above, (B, height, W), look up for every position of a row."""
        self.rows = rows
        width = rows.shape[2]
        outputs, inputs, taps = self.layer.views(self.height + 1, width)
        here = self.height * width  # the row itself is the last of these
        from_above = (outputs >= here) & (inputs < here)
        outputs, inputs, taps = outputs[from_above] - here, inputs[from_above], taps[from_above]
        codes = ops.take(ops.reshape(rows, (-1, here)), inputs, axis=1)  # (B, pairs)
        last = self.table.shape[0] - 1
        looked_up = ops.where(codes == self.outside, last, taps * self.layer.num_embeddings + codes)
        self.above = backend.sum_of_rows(self.table, looked_up, outputs, width) + self.bias

    def __call__(self, row):
        """Return the output at the next position, (B, filters), given the codes left of it: a list, each (B,)."""
        return self.layer.activation(self.from_left(row, self.above[:, len(row)]))

    def from_left(self, row, start):
        """Add what the codes left of a position, a list, each (B,), look up for it to `start`, (B, filters)."""
        row = row[-self.left :]
        if not row:
            return start
        here = self.height * self.layer.mask.shape[1] + self.left
        taps = np.arange(here - len(row), here, dtype="int32")
        looked_up = taps * self.layer.num_embeddings + ops.stack(row, axis=1)  # (B, len(row))
        return start + ops.sum(ops.take(self.table, looked_up, axis=0), axis=1)

    def end_row(self, row):
        """Return the rows above the next row, given the codes of this one, (B, W)."""
        return ops.concatenate([self.rows[:, 1:], row[:, None]], axis=1)


class IncrementalPixelCNN:
    """A :class:`PixelCNN`, one position at a time, for sampling (Ramachandran et al. 2017).

    Each position's features are computed once, from features kept before: 180,224 multiply-adds with the defaults,
    where running the whole network for every position costs 49 times that. It uses the weights as they are when it
    is made. For each row: :meth:`begin_row`, a call for each position, :meth:`end_row`.
    """

    def __init__(self, prior):
        self.prior = prior
        self.layers = {layer.name: layer for layer in prior.network.layers}
        first = self.layers["codes_masked"]
        if first.mask[first.origin]:
            raise ValueError(
                "The first layer sees the code that is to be drawn: its mask must be of type A. "
                "vqlib.sampling.sample_plainly draws from such a network all the same."
            )
        self.codes = self.layers["codes_masked"] = IncrementalCodeConv(first)
        self.convs = []
        for name, layer in self.layers.items():
            if isinstance(layer, MaskedConv2D) and layer.kernel_size > 1:
                self.layers[name] = IncrementalConv(layer)
                self.convs.append(self.layers[name])

    def empty(self, batch):
        """Return what is kept above the first row: codes, and the input of each masked convolution."""
        width = self.prior.code_shape[1]
        return [conv.empty(batch, width) for conv in (self.codes, *self.convs)]

    def begin_row(self, kept):
        """Start a row, with what was kept of the rows above."""
        for conv, rows in zip((self.codes, *self.convs), kept, strict=True):
            conv.begin_row(rows)

    def __call__(self, row):
        """Return the logits at the next position, (B, K), given the codes left of it: a list, each (B,)."""
        return connect(self.layers, row, self.prior.num_residual_blocks, self.prior.num_pixelcnn_layers)

    def end_row(self, row):
        """Return what to keep for the next row, given the codes of this one, (B, W)."""
        return [self.codes.end_row(row), *(conv.end_row() for conv in self.convs)]

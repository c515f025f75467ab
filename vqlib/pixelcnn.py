"""PixelCNN: masked convolutions that predict each code from those above it and to its left."""

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._checks import check_positive_integer, check_share
from vqlib._types import Tensor
from vqlib.code_lookup import CodeLookupMixin
from vqlib.prior import Dense, Prior, dtype_of_logits


def causal_mask(kernel_size: int, mask_type: str) -> np.ndarray:
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

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        mask_type: str,
        activation: str | Callable[[Tensor], Tensor] | None = None,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_integer("filters", filters)
        self.mask = causal_mask(kernel_size, mask_type)
        self.kernel_size = int(kernel_size)
        self.mask_type = mask_type
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.origin = (self.kernel_size // 2, self.kernel_size // 2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make kernel and bias."""
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        """Convolve with the masked kernel, add the bias, apply the activation."""
        half = self.kernel_size // 2
        if half == 0:
            return self.activation(backend.matmul(x, self.causal_kernel()[0, 0]) + self.bias)
        x = ops.pad(x, [[0, 0], [half, 0], [half, half], [0, 0]])
        return self.activation(ops.conv(x, self.causal_kernel()) + self.bias)

    def causal_kernel(self) -> Tensor:
        """Return the rows of the masked kernel that are not all zero: (k // 2 + 1, k, C, filters)."""
        mask = ops.convert_to_tensor(self.mask[:, :, None, None], self.compute_dtype)
        return (ops.cast(self.kernel, self.compute_dtype) * mask)[: self.kernel_size // 2 + 1]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "mask_type": self.mask_type,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("vqlib")
class MaskedCodeConv2D(CodeLookupMixin, MaskedConv2D):
    """A :class:`MaskedConv2D` of one-hot codes: (B, H, W) int -> (B, H, W, filters).

    Made as ``MaskedCodeConv2D(num_embeddings, filters, kernel_size, mask_type, activation)``. On a CPU it looks rows
    up, see :class:`vqlib.code_lookup.CodeLookupMixin`.
    """

    def call(self, codes: Tensor) -> Tensor:
        """Sum the rows that the neighbours' codes look up, add the bias, apply the activation."""
        if not self.look_up:
            return super().call(ops.one_hot(codes, self.num_embeddings, dtype=self.compute_dtype))
        return self.activation(self.sum_looked_up(codes) + self.bias)


def dropout_layer(share: float, name: str) -> Callable[[Tensor], Tensor]:
    """Return a Dropout layer, or none where nothing is left out: files of weights name each layer."""
    return layers.Dropout(share, name=name) if share else keras.activations.linear


class ResidualBlock:
    """A residual block: 1 x 1, masked 3 x 3 with half the channels, 1 x 1, each with a ReLU, added to its input.

    Van den Oord, Kalchbrenner and Kavukcuoglu (2016), figure 5, left. A 1 x 1 convolution is a Dense layer: the same
    matrix at every position. A plain object, so that its layers stay layers of the network that it is called in.

    Parameters
    ----------
    filters : int
        Channels of the input, and of the output.
    name : str
        What the names of its layers begin with.
    dropout : float
        The share of the masked convolution's channels that a training step leaves out.
    """

    def __init__(self, filters: int, name: str, dropout: float = 0.0) -> None:
        self.reduce = Dense(filters, activation="relu", name=f"{name}_in")
        self.masked = MaskedConv2D(filters // 2, 3, "B", activation="relu", name=f"{name}_masked")
        self.dropout = dropout_layer(dropout, f"{name}_dropout")
        self.expand = Dense(filters, activation="relu", name=f"{name}_out")
        self.add = layers.Add(name=f"{name}_sum")

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output for a grid: (B, H, W, filters) -> (B, H, W, filters)."""
        return self.step(x, self.masked)

    def step(self, x: Tensor, masked: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the output at one position, (B, filters) -> (B, filters), or for a grid.

        `masked` is the masked layer, or does at one position what it does: it has seen the positions before.
        """
        y = self.reduce(x)
        y = masked(y)
        y = self.expand(self.dropout(y))
        return self.add([x, y])


class MaskedStack:
    """What a :class:`PixelCNN` consists of, in the order of the data.

    A masked layer that reads the codes, residual blocks, masked 1 x 1 layers, logits. A plain object, too.
    """

    def __init__(
        self, num_embeddings: int, filters: int, num_residual_blocks: int, num_pixelcnn_layers: int, dropout: float
    ) -> None:
        self.first = MaskedCodeConv2D(num_embeddings, filters, 7, "A", activation="relu", name="codes_masked")
        self.dropout = dropout_layer(dropout, "codes_dropout")
        self.blocks = [ResidualBlock(filters, f"block_{i}", dropout) for i in range(num_residual_blocks)]
        self.masked = [
            MaskedConv2D(filters, 1, "B", activation="relu", name=f"masked_{i}") for i in range(num_pixelcnn_layers)
        ]
        self.logits = Dense(num_embeddings, dtype=dtype_of_logits(), name="logits")

    def __call__(self, codes: Tensor) -> Tensor:
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K)."""
        x = self.dropout(self.first(codes))
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def head(self, x: Tensor) -> Tensor:
        """Return the logits for what the blocks give, of a grid or of one position: (..., filters) -> (..., K)."""
        for masked in self.masked:
            x = masked(x)
        return self.logits(x)


@keras.saving.register_keras_serializable("vqlib")
class PixelCNN(Prior):
    """A :class:`~vqlib.prior.Prior` of masked convolutions.

    Van den Oord, Kalchbrenner and Kavukcuoglu (2016, "Pixel recurrent neural networks"), equation 1 and section 3.

    Trained by ``compile(optimizer)`` and ``fit(codes)``. The defaults are the architecture of the Keras example of
    2021: 1,049,728 parameters, masked ones counted.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K, the number of codes.
    filters : int, at least 2
        Channels of the hidden layers; the masked convolutions of the residual blocks have half as many.
    num_residual_blocks, num_pixelcnn_layers : int
        How many residual blocks, and how many masked 1 x 1 layers behind them.
    dropout : float in [0, 1)
        The share of channels that a training step leaves out, behind the masked convolutions of the first layer and of
        the residual blocks: where the gated prior has it.
    """

    def __init__(
        self,
        code_shape: Sequence[int] = (7, 7),
        num_embeddings: int = 128,
        filters: int = 128,
        num_residual_blocks: int = 2,
        num_pixelcnn_layers: int = 2,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if {"condition_shape", "num_conditions"} & set(kwargs):
            raise ValueError("PixelCNN takes no condition: leave condition_shape out, or take GatedPixelCNN.")
        super().__init__(code_shape, num_embeddings, **{"name": "pixelcnn", **kwargs})
        self.filters = check_positive_integer("filters", filters)
        if self.filters < 2:
            raise ValueError("filters must be at least 2, because half of them are used within a block; 1 was given.")
        self.num_residual_blocks = _check_count("num_residual_blocks", num_residual_blocks)
        self.num_pixelcnn_layers = _check_count("num_pixelcnn_layers", num_pixelcnn_layers)
        self.dropout = check_share("dropout", dropout)
        self.stack = MaskedStack(
            self.num_embeddings, self.filters, self.num_residual_blocks, self.num_pixelcnn_layers, self.dropout
        )
        codes = keras.Input(self.code_shape, dtype="int32", name="codes")
        self.network = keras.Model(codes, self.stack(codes), name="network")
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "code_shape": self.code_shape,
            "num_embeddings": self.num_embeddings,
            "filters": self.filters,
            "num_residual_blocks": self.num_residual_blocks,
            "num_pixelcnn_layers": self.num_pixelcnn_layers,
            "dropout": self.dropout,
        }


def _check_count(name: str, value: int) -> int:
    """Return `value` as a Python integer; raise unless it is an integer of at least 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ValueError(f"{name} must be an integer of at least 0, but {value!r} was given.")
    return int(value)

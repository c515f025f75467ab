"""The boxes of a transformer, for all positions at once and, equally, for one after the other with what is kept.

In the symbols of Vaswani et al. (2017, "Attention is all you need"), equation 1, Q, K and V are queries, keys and
values, (B, H, T, d): H heads of d channels each, at T positions; C = H d. Elsewhere in vqlib, K is the number of codes.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from vqlib._checks import check_positive_integer
from vqlib._types import Tensor
from vqlib.prior import Dense

HIDDEN = -1e9  # the score of what may not be seen: its weight is exactly 0, in float32 and in bfloat16
EPSILON = 1e-6  # of a mean square, below which a norm leaves features small


def attend(queries: Tensor, keys: Tensor, values: Tensor, visible: np.ndarray | None = None) -> Tensor:
    """Return softmax(Q K^T / sqrt(d)) V, for each head: (B, H, T, d) -> (B, H, T, d). Vaswani et al., equation 1.

    Parameters
    ----------
    queries : float tensor, shape (B, H, T, d)
    keys, values : float tensors, shape (B, H, S, d)
    visible : bool array, shape (T, S), optional
        Which positions each one may look at, at least one. Without it, all.
    """
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2)) * queries.shape[-1] ** -0.5  # (B, H, T, S)
    if visible is not None:
        scores = ops.where(visible, scores, HIDDEN)
    weights = ops.softmax(scores) if keys.shape[2] > 1 else ops.ones_like(scores)  # of one alone, Keras would warn
    return ops.matmul(weights, values)


def gelu(x: Tensor) -> Tensor:
    """Return x times about the probability that a standard normal variable is below it.

    Hendrycks and Gimpel (2016, "Gaussian error linear units"), the approximation in section 2 by a tanh, here written
    as a sigmoid. That of Keras takes constants in float32 on TensorFlow: backends would differ in double precision.
    """
    return x * ops.sigmoid(1.5957691216057308 * x * (1 + 0.044715 * ops.square(x)))  # 2 sqrt(2 / pi)


@keras.saving.register_keras_serializable("vqlib")
class RMSNorm(layers.Layer):
    """Divides features by the root of their mean square, times a learned scale for each: (..., C) -> (..., C).

    Zhang and Sennrich (2019, "Root mean square layer normalization"), equation 4: layer normalization without taking
    off the mean, which does as well for less work. Keras's own computes float64 in float32 on JAX.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the scale."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x: Tensor) -> Tensor:
        """Return the features, of mean square 1 before the scale."""
        wide = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))  # squares of float16 end at 65,504
        scaled = wide * ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + EPSILON)
        return ops.cast(scaled, x.dtype) * self.scale


class Attention:
    """Multi-head self-attention: each position asks all that it may see. Vaswani et al. (2017), section 3.2.2.

    A plain object, so that its layers stay layers of the network that it is called in.

    Parameters
    ----------
    hidden_dim : int
        Channels C of the input, and of the output.
    num_heads : int
        H, which divides C.
    causal : bool
        Whether a position sees only itself and those before it, or all.
    name : str
        What the names of its layers begin with.
    """

    def __init__(self, hidden_dim: int, num_heads: int, causal: bool, name: str) -> None:
        self.num_heads = num_heads
        self.causal = causal
        self.query = Dense(hidden_dim, use_bias=False, name=f"{name}_query")
        self.key = Dense(hidden_dim, use_bias=False, name=f"{name}_key")
        self.value = Dense(hidden_dim, use_bias=False, name=f"{name}_value")
        self.out = Dense(hidden_dim, use_bias=False, name=f"{name}_out")

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output at all positions: (B, T, C) -> (B, T, C)."""
        length = x.shape[1]
        visible = np.tril(np.ones((length, length), bool)) if self.causal else None
        queries, keys, values = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        return self.merge(attend(queries, keys, values, visible))

    def step(self, x: Tensor, kept: "KeptRow") -> Tensor:
        """Return the output at the next position, and keep its key and value: (B, C) -> (B, C)."""
        x = x[:, None]
        kept.keys.append(self.split(self.key(x)))
        kept.values.append(self.split(self.value(x)))
        return self.merge(kept.attend(self.split(self.query(x))))[:, 0]

    def split(self, x: Tensor) -> Tensor:
        """Return the channels of each head by themselves: (B, T, C) -> (B, H, T, d)."""
        _, length, channels = x.shape
        x = ops.reshape(x, (-1, length, self.num_heads, channels // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def merge(self, x: Tensor) -> Tensor:
        """Return one output of what all heads give: (B, H, T, d) -> (B, T, C)."""
        _, _, length, channels = x.shape
        return self.out(ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, length, self.num_heads * channels)))


class Block:
    """Attention, then two layers at each position by itself, each added to its input: (B, T, C) -> (B, T, C).

    Vaswani et al. (2017), figure 1, left, with the norms inside of the residual branches (Xiong et al. 2020, "On layer
    normalization in the transformer architecture", figure 1b): what is added up stays a plain sum. A plain object, too.

    Parameters
    ----------
    hidden_dim, num_heads, causal, name
        As for :class:`Attention`. Between the two layers there are 4 C channels.
    dropout : float
        The share of what each branch adds that a training step leaves out.
    """

    def __init__(self, hidden_dim: int, num_heads: int, causal: bool, dropout: float, name: str) -> None:
        self.attention = Attention(hidden_dim, num_heads, causal, f"{name}_attention")
        self.attention_norm = RMSNorm(name=f"{name}_attention_norm")
        self.attention_dropout = layers.Dropout(dropout, name=f"{name}_attention_dropout")
        self.norm = RMSNorm(name=f"{name}_norm")
        self.expand = Dense(4 * hidden_dim, name=f"{name}_expand")
        self.contract = Dense(hidden_dim, name=f"{name}_contract")
        self.dropout = layers.Dropout(dropout, name=f"{name}_dropout")

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output at all positions."""
        return self._with(self.attention, x)

    def step(self, x: Tensor, kept: "KeptRow") -> Tensor:
        """Return the output at the next position, and keep its key and value: (B, C) -> (B, C)."""
        return self._with(lambda y: self.attention.step(y, kept), x)

    def _with(self, attention: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        x = x + self.attention_dropout(attention(self.attention_norm(x)))
        return x + self.dropout(self.contract(gelu(self.expand(self.norm(x)))))


class KeptRow:
    """Keys and values that one :class:`Attention` keeps of a grid in raster order, while a row of it is computed.

    Between rows they are a pair of tensors of the same shape above every row, (B, H, h * w, d), with zeros where
    nothing was computed yet: what :meth:`start` gives for the first row, and :meth:`end` for the one below.

    Parameters
    ----------
    state : pair of tensors
        Keys and values of the rows above.
    number : int tensor, shape ()
        Of the row, from 0.
    code_shape : tuple of int
        (h, w).
    """

    def __init__(self, state: tuple[Tensor, Tensor], number: Tensor, code_shape: tuple[int, ...]) -> None:
        self.state = state
        self.number = number
        self.height, width = code_shape
        self.rows = np.repeat(np.arange(self.height), width)  # of each position
        self.keys: list[Tensor] = []  # of this row, each (B, H, 1, d)
        self.values: list[Tensor] = []

    @staticmethod
    def start(attention: Attention, batch: Tensor, code_shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return keys and values above the first row: none."""
        layer = attention.key
        shape = (batch, attention.num_heads, int(np.prod(code_shape)), layer.units // attention.num_heads)
        return ops.zeros(shape, layer.compute_dtype), ops.zeros(shape, layer.compute_dtype)

    def attend(self, queries: Tensor) -> Tensor:
        """Return what :func:`attend` does, over the rows above and what there is of this one: (B, H, 1, d)."""
        keys, values = self.state
        above = ops.matmul(queries, ops.swapaxes(keys, -1, -2))  # (B, H, 1, h * w)
        above = ops.where(self.rows < self.number, above, HIDDEN)
        here = ops.matmul(queries, ops.swapaxes(ops.concatenate(self.keys, axis=2), -1, -2))
        weights = ops.softmax(ops.concatenate([above, here], axis=-1) * queries.shape[-1] ** -0.5)
        above, here = weights[..., : len(self.rows)], weights[..., len(self.rows) :]
        return ops.matmul(above, values) + ops.matmul(here, ops.concatenate(self.values, axis=2))

    def end(self) -> tuple[Tensor, Tensor]:
        """Return keys and values above the next row."""
        is_here = ops.expand_dims(self.rows == self.number, axis=-1)  # (h * w, 1)
        keys, values = self.state
        return self._put(is_here, self.keys, keys), self._put(is_here, self.values, values)

    def _put(self, is_here: Tensor, row: list[Tensor], all_rows: Tensor) -> Tensor:
        return ops.where(is_here, ops.tile(ops.concatenate(row, axis=2), (1, 1, self.height, 1)), all_rows)


@keras.saving.register_keras_serializable("vqlib")
class GridPositions(layers.Layer):
    """Adds to each position of a grid a learned vector for its row, and one for its column: (B, T, C) -> (B, T, C).

    Parameters
    ----------
    code_shape : tuple of int
        (h, w); T is h * w + `before`.
    before : int
        How many of the T come before the grid, and get nothing added.
    """

    def __init__(self, code_shape: tuple[int, ...], before: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.code_shape = tuple(code_shape)
        self.before = before

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the vectors."""
        height, width = self.code_shape
        self.row_vectors = self.add_weight(shape=(height, input_shape[-1]), initializer=small(), name="rows")
        self.column_vectors = self.add_weight(shape=(width, input_shape[-1]), initializer=small(), name="columns")

    def call(self, x: Tensor) -> Tensor:
        """Add the vectors."""
        return x + ops.pad(self.vectors(), [[self.before, 0], [0, 0]])

    def vectors(self) -> Tensor:
        """Return the vector of each position of the grid: (h * w, C)."""
        vectors = self.row_vectors[:, None] + self.column_vectors[None]  # (h, w, C)
        return ops.cast(ops.reshape(vectors, (-1, vectors.shape[-1])), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "code_shape": self.code_shape, "before": self.before}


def small() -> keras.initializers.Initializer:
    """Return an initializer of vectors that are added to others: small, so that at first the sums are, too."""
    return keras.initializers.RandomNormal(stddev=0.02)


def check_heads(hidden_dim: int, num_heads: int) -> tuple[int, int]:
    """Return both as Python integers; raise unless the channels can be divided among the heads."""
    hidden_dim = check_positive_integer("hidden_dim", hidden_dim)
    num_heads = check_positive_integer("num_heads", num_heads)
    if hidden_dim % num_heads:
        raise ValueError(
            f"hidden_dim={hidden_dim} cannot be divided among num_heads={num_heads}: give a multiple of it, such as "
            f"{num_heads * max(1, round(hidden_dim / num_heads))}."
        )
    return hidden_dim, num_heads

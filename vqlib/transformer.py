"""A transformer over the codes of a grid, and a prior made of it, which sees every code before with one layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from vqlib._checks import check_positive_integer, check_share
from vqlib._types import Tensor
from vqlib.attention import Block, GridPositions, KeptRow, RMSNorm, check_heads, small
from vqlib.conditions import build_condition, check_condition_dropout
from vqlib.incremental import Incremental, incremental
from vqlib.prior import CodeModel, Dense, Prior, dtype_of_logits


class Transformer:
    """What both transformers consist of: tokens, blocks, logits. One flag tells them apart, `causal`.

    The grid becomes a sequence in raster order. Causal, it is moved on by one: at each position stands the code before,
    at the first a token [START], and a position sees only those up to it. Otherwise [START] is put in front, each
    position has its own code or [MASK], and sees all.

    A class is added to [START]; a grid of codes, brought to this size, to each position. A plain object, so that its
    layers stay layers of the network that it is called in.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w); below, N = h * w, and T is the length of the sequence, N or 1 + N.
    num_embeddings : int
        K, the number of codes. The tokens are numbered from there: [START], or [MASK] and [START].
    hidden_dim, num_layers, num_heads, dropout
        As for :class:`TransformerPrior`.
    causal : bool
    condition_shape : tuple of int, optional
        () of a class, (h', w') of a grid of codes.
    """

    def __init__(
        self,
        code_shape: tuple[int, ...],
        num_embeddings: int,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        causal: bool,
        condition_shape: tuple[int, ...] | None,
    ) -> None:
        self.causal = causal
        self.is_told_class = condition_shape == ()
        self.start = num_embeddings if causal else num_embeddings + 1
        self.front = 0 if causal else 1  # tokens in front of the grid
        self.tokens = layers.Embedding(self.start + 1, hidden_dim, small(), name="tokens")
        self.positions = GridPositions(code_shape, self.front, name="positions")
        if condition_shape is not None:
            self.condition_to_tokens = Dense(hidden_dim, use_bias=False, name="condition_to_tokens")
        self.blocks = [Block(hidden_dim, num_heads, causal, dropout, f"block_{n}") for n in range(num_layers)]
        self.norm = RMSNorm(name="norm")
        self.logits = Dense(num_embeddings, dtype=dtype_of_logits(), name="logits")

    def __call__(self, codes: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K).

        `condition` is what :func:`vqlib.conditions.build_condition` makes of it.
        """
        _, height, width = codes.shape
        sequence = ops.reshape(codes, (-1, height * width))
        if self.causal:
            sequence = sequence[:, :-1]
        sequence = ops.pad(sequence, [[0, 0], [1, 0]], constant_values=self.start)  # (B, T)
        x = self.positions(self.tokens(sequence))  # (B, T, C)
        if condition is not None:
            x = x + self.told(condition, sequence.shape[1])
        for block in self.blocks:
            x = block(x)
        logits = self.head(x[:, self.front :])
        return ops.reshape(logits, (-1, height, width, logits.shape[-1]))

    def told(self, condition: Tensor, length: int) -> Tensor:
        """Return what a condition adds to a sequence: (B, 1, 1, K') or (B, h, w, F) -> (B, T, C)."""
        x = self.condition_to_tokens(condition)
        x = ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
        missing = length - x.shape[1]
        return ops.pad(x, [[0, 0], [0, missing] if self.is_told_class else [missing, 0], [0, 0]])

    def head(self, x: Tensor) -> Tensor:
        """Return the logits for what the last block gives, at all positions or one: (..., C) -> (..., K)."""
        return self.logits(self.norm(x))


class TransformerModel(CodeModel):
    """A model of grids of codes whose network is a :class:`Transformer`: its arguments, and how it is built.

    A subclass says whether it is `causal`, and by a second parent what it is trained for. Parameters are those of
    :class:`vqlib.TransformerPrior`.
    """

    causal: bool

    def __init__(
        self,
        code_shape: Sequence[int] = (7, 7),
        num_embeddings: int = 128,
        hidden_dim: int = 96,
        num_layers: int = 4,
        num_heads: int = 4,
        dropout: float = 0.1,
        condition_shape: Sequence[int] | None = None,
        num_conditions: int | None = None,
        condition_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        name = "transformer_prior" if self.causal else "masked_transformer"
        super().__init__(code_shape, num_embeddings, condition_shape, num_conditions, **{"name": name, **kwargs})
        self.hidden_dim, self.num_heads = check_heads(hidden_dim, num_heads)
        self.num_layers = check_positive_integer("num_layers", num_layers)
        self.dropout = check_share("dropout", dropout)
        self.condition_dropout = check_condition_dropout(condition_dropout, self.condition_shape, self.code_shape)
        self.transformer = Transformer(
            self.code_shape,
            self.num_embeddings,
            self.hidden_dim,
            self.num_layers,
            self.num_heads,
            self.dropout,
            self.causal,
            self.condition_shape,
        )
        self.network = self._build_network()
        self.built = True

    def _build_network(self) -> keras.Model:
        codes = keras.Input(self.code_shape, dtype="int32", name="codes")
        if self.condition_shape is None:
            return keras.Model(codes, self.transformer(codes), name="network")
        assert self.num_conditions is not None  # given together with the shape
        condition = keras.Input(self.condition_shape, dtype="int32", name="condition_codes")
        features = build_condition(
            self.condition_shape, self.num_conditions, self.condition_dropout, self.code_shape, self.hidden_dim
        )(condition)
        return keras.Model([codes, condition], self.transformer(codes, features), name="network")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "code_shape": self.code_shape,
            "num_embeddings": self.num_embeddings,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "condition_shape": self.condition_shape,
            "num_conditions": self.num_conditions,
            "condition_dropout": self.condition_dropout,
        }


@keras.saving.register_keras_serializable("vqlib")
class TransformerPrior(TransformerModel, Prior):
    """A :class:`~vqlib.prior.Prior` by attention: with one layer, each position sees every code before it.

    Vaswani et al. (2017, "Attention is all you need"), the decoder alone; over the codes of a picture, Esser, Rombach
    and Ommer (2021, "Taming transformers for high-resolution image synthesis"), section 3.2.

    Trained by ``compile(optimizer)`` and ``fit(codes)``. A conditioned prior takes the pair (codes, condition) wherever
    the other takes codes. It learns best with a learning rate that rises at first and falls at the end, and with
    weights averaged over the last steps: ``keras.optimizers.AdamW(..., use_ema=True)``.

    The defaults have 471,296 parameters, about as many as :class:`vqlib.GatedPixelCNN`, and 454,656 multiply-adds a
    position beside the attention itself, which takes 2 C more for each position that is seen, in each layer. With
    ``hidden_dim=64, num_layers=3`` it is a transformer of about the gated prior's multiply-adds.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K, the number of codes.
    hidden_dim : int
        Channels C of each position between the blocks.
    num_layers : int
        Blocks, each of attention and two layers at each position.
    num_heads : int
        Heads of each attention. They divide the channels, so `hidden_dim` is a multiple of it.
    dropout : float in [0, 1)
        The share of what each branch of a block adds that a training step leaves out.
    condition_shape : tuple of int, optional
        () for class labels (B,), (h', w') for grids of codes (B, h', w'); h and w are multiples of h' and w'.
    num_conditions : int, optional
        How many classes, or different codes in these grids, there are.
    condition_dropout : float in [0, 1)
        The share of the examples of a training step that are not told their class. Above 0, the label -1 stands for
        nothing told, and :func:`vqlib.sample` can be given `guidance`.
    """

    causal = True


class TransformerRow(NamedTuple):
    """What an :class:`IncrementalTransformer` knows in a row."""

    before: Tensor  # the code before the row, [START] before the first, (B,)
    added: Tensor  # to the token of each position, (B or 1, w, C)
    kept: list[KeptRow]  # of each block


class IncrementalTransformer:
    """A :class:`TransformerPrior`, one position at a time: keys and values of all positions before are kept."""

    def __init__(self, prior: TransformerPrior, condition: Tensor | None = None) -> None:
        self.transformer = prior.transformer
        self.code_shape = prior.code_shape
        length = self.code_shape[0] * self.code_shape[1]
        added = self.transformer.positions.vectors()[None]  # (1, h * w, C)
        if condition is not None:
            added = added + self.transformer.told(prior.network.get_layer("condition")(condition), length)
        self.added = ops.reshape(added, (-1, *self.code_shape, added.shape[-1]))  # (B or 1, h, w, C)

    def initial_state(self, batch: Tensor) -> Any:
        """Return the number of the row, the token before the grid, and no keys and values for each block."""
        start = ops.full((batch,), self.transformer.start, "int32")
        kept = [KeptRow.start(block.attention, batch, self.code_shape) for block in self.transformer.blocks]
        return [ops.zeros((), "int32"), start, kept]

    def begin_row(self, state: Any) -> TransformerRow:
        """Return the code before the row, what is added to its tokens, and what each attention keeps."""
        number, before, kept = state
        added = ops.take(self.added, number, axis=1)
        return TransformerRow(before, added, [KeptRow(each, number, self.code_shape) for each in kept])

    def step(self, row: TransformerRow, inputs: list[Tensor]) -> Tensor:
        """Return the logits at the next position, (B, K)."""
        before = inputs[-1] if inputs else row.before
        x = self.transformer.tokens(before) + row.added[:, len(inputs)]
        for block, kept in zip(self.transformer.blocks, row.kept, strict=True):
            x = block.step(x, kept)
        return self.transformer.head(x)

    def end_row(self, row: TransformerRow, inputs: list[Tensor]) -> Any:
        """Return the state above the next row."""
        return [row.kept[0].number + 1, inputs[-1], [kept.end() for kept in row.kept]]


@incremental.register(TransformerPrior)
def _(prior: TransformerPrior, condition: Tensor | None = None) -> Incremental:
    return IncrementalTransformer(prior, condition)

"""A transformer that guesses hidden codes from all others, and so fills a grid in a few steps, many codes at once.

Chang et al. (2022, "MaskGIT: masked generative image transformer"). :func:`vqlib.sample_masked` draws from it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vqlib import _backend as backend
from vqlib._checks import check_code_range, range_of, refuse_sample_weight, shape_of
from vqlib._types import Tensor
from vqlib.metrics import BitsPerImage
from vqlib.prior import CodeModel
from vqlib.transformer import TransformerModel

TEST_SEED = 0  # of what is hidden in evaluation


def hidden_share(progress: ArrayLike) -> np.ndarray:
    """Return the share of codes that are hidden after a part of the way, both in 0..1: the cosine schedule.

    Chang et al. (2022), section 3.3: cos(pi / 2 * progress). At first few codes are found at a time, when little is
    known of the grid, and many at the end.
    """
    return np.cos(np.pi / 2 * np.asarray(progress))


def hidden_probabilities(number: int) -> np.ndarray:
    """Return how likely training hides n of `number` codes, n = 1..number: float64, (number,).

    n is number * hidden_share(u), rounded up, with u uniform in [0, 1): at most n with probability
    2 / pi * arcsin(n / number).
    """
    return np.diff(2 / np.pi * np.arcsin(np.arange(number + 1) / number))


class MaskedModel(CodeModel):
    """A model that guesses hidden codes from all others, and what it is trained for: hiding, loss, metrics.

    Called on codes (B, h, w) int in 0..K, where K, `mask_code`, stands for a code that is hidden, it returns the logits
    (B, h, w, K) of each position's code. Those of hidden codes know nothing of each other. A conditioned one takes the
    pair (codes, condition).

    It is trained without targets, on codes in 0..K - 1: each step hides some of them, between one and all, by the
    cosine schedule (Chang et al. 2022, section 3.1). Evaluation hides some, too, each time the same. So this is no
    :class:`~vqlib.prior.Prior`: it gives no grid a probability. What can be said all the same: written code by code in
    a random order that the reader knows, each code given those before it, a grid takes ``bits_per_image_bound`` on
    average over the orders (Hoogeboom et al. 2022, "Autoregressive diffusion models", section 3).

    Metrics, over the dataset: ``loss`` and ``nats_per_code``, the mean negative log-likelihood of a hidden code;
    ``accuracy``, how often the likeliest code is right there; ``bits_per_image_bound``, in which every number of hidden
    codes counts alike.

    Parameters
    ----------
    code_shape, num_embeddings, condition_shape, num_conditions
        As for :class:`~vqlib.prior.CodeModel`.
    """

    def __init__(
        self,
        code_shape: Sequence[int],
        num_embeddings: int,
        condition_shape: Sequence[int] | None = None,
        num_conditions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(code_shape, num_embeddings, condition_shape, num_conditions, **kwargs)
        self.mask_code = self.num_embeddings
        self.nats_per_code = keras.metrics.Mean(name="nats_per_code")
        self.bits_per_image_bound = BitsPerImage(self.code_shape, name="bits_per_image_bound")
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.training_seeds = keras.random.SeedGenerator()
        self.test_seeds = keras.random.SeedGenerator(TEST_SEED)
        self._first_test_seed = ops.convert_to_numpy(self.test_seeds.state)
        self._hides = False

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K) float32.

        Within a step of ``fit`` or ``evaluate``, which hides codes first, also which ones, (B, h, w) bool.
        """
        if not self._hides:
            return super().call(inputs, training)
        codes, *condition = self._parts(inputs)
        codes = ops.cast(codes, "int32")  # small integers may have no room for mask_code
        hidden = self.hide(codes, self.training_seeds if training else self.test_seeds)
        seen = ops.where(hidden, self.mask_code, codes)
        return super().call((seen, *condition) if condition else seen, training), hidden

    def hide(self, codes: Tensor, seeds: keras.random.SeedGenerator) -> Tensor:
        """Return which codes of a batch to hide: (B, h, w) bool.

        The progress of a batch's examples is spread evenly over 0..1, round from a random start, so that each may have
        any, and their mean varies less from one batch to another (Kingma et al. 2021, "Variational diffusion models",
        appendix I.1).
        """
        batch, positions = ops.shape(codes)[0], int(np.prod(self.code_shape))
        each = ops.cast(ops.arange(batch), "float32")[:, None]
        start = keras.random.uniform((1, 1), dtype="float32", seed=seeds)
        progress = (start + each / ops.cast(batch, "float32")) % 1  # (B, 1)
        at_least = 1 - np.cumsum(hidden_probabilities(positions))[:-1]  # how likely 2, 3, ... codes or more are hidden
        number = 1 + ops.sum(ops.cast(progress < at_least.astype("float32"), "int32"), axis=1, keepdims=True)  # (B, 1)
        places = ops.argsort(ops.argsort(keras.random.uniform((batch, positions), seed=seeds), axis=-1), axis=-1)
        return ops.reshape(ops.cast(places, "int32") < number, (-1, *self.code_shape))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean negative log-likelihood of a hidden code, in nats. `y_pred` is what ``call`` gives a step."""
        refuse_sample_weight(sample_weight)
        codes = self._parts(x)[0]
        logits, is_hidden = y_pred
        nats = keras.losses.sparse_categorical_crossentropy(codes, logits, from_logits=True)  # (B, h, w)
        hidden = ops.cast(is_hidden, nats.dtype)
        number = ops.sum(hidden, axis=(1, 2))  # (B,)
        of_example = ops.sum(nats * hidden, axis=(1, 2))  # (B,)
        likely = hidden_probabilities(int(np.prod(self.code_shape)))
        weights = ops.take(ops.cast(1 / likely / len(likely), nats.dtype), ops.cast(number, "int32") - 1)
        self.nats_per_code.update_state(nats, sample_weight=hidden)
        self.bits_per_image_bound.update_state(weights * of_example / number)
        self.accuracy.update_state(codes, logits, sample_weight=hidden)
        return backend.share_of_replica(ops.sum(of_example) / ops.sum(number))

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Hide codes, and train on them, as Keras does."""
        with self._hiding():
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """Hide codes, and evaluate, as Keras does."""
        with self._hiding():
            return super().test_step(*args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, see ``keras.Model.evaluate``; each time the same codes are hidden of the same batches."""
        self.test_seeds.state.assign(self._first_test_seed)
        return super().evaluate(x, y, *args, **kwargs)

    @contextlib.contextmanager
    def _hiding(self) -> Iterator[None]:
        self._hides = True
        try:
            yield
        finally:
            self._hides = False

    def _check_code_range(self, codes: Any, purpose: str = "") -> None:
        """Raise unless codes lie in 0..K - 1, or, where codes may be hidden, in 0..K."""
        if purpose not in ("", "to predict from"):
            check_code_range(codes, self.num_embeddings, f"codes {purpose}")
            return
        low, high = range_of(codes) if 0 not in shape_of(codes) else (0, 0)
        if low < 0 or high > self.mask_code:
            raise ValueError(
                f"{f'codes {purpose}'.strip()} must lie in 0..{self.num_embeddings - 1} "
                f"(num_embeddings={self.num_embeddings}), or be {self.mask_code} where they are hidden (mask_code), "
                f"but lie in {low}..{high}."
            )


@keras.saving.register_keras_serializable("vqlib")
class MaskedTransformer(TransformerModel, MaskedModel):
    """A :class:`~vqlib.masked.MaskedModel` by attention: each position sees all that are not hidden, on every side.

    Chang et al. (2022, "MaskGIT: masked generative image transformer"). Trained by ``compile(optimizer)`` and
    ``fit(codes)``; a conditioned one takes the pair (codes, condition) wherever the other takes codes.
    :func:`vqlib.sample_masked` draws from it.

    Parameters are those of :class:`vqlib.TransformerPrior`, and so is its network, but for what a position sees. The
    defaults have 471,392 parameters.
    """

    causal = False

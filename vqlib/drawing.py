"""From logits to a code, as all samplers draw it: temperature, guidance, top-k, nucleus, noise."""

import functools
import math
import numbers
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import check_positive_integer
from vqlib._types import Tensor


class Strengths(NamedTuple):
    """How codes are drawn, as asked for; within a compiled function, tensors, and None where nothing was asked for."""

    temperature: Any = 1.0
    guidance: Any = 0.0
    top_k: Any = None
    top_p: Any = None

    def check(self, prior: Any) -> None:
        """Raise unless a prior's codes can be drawn so."""
        if not self.temperature > 0:
            raise ValueError(
                f"temperature must be above 0, but {self.temperature!r} was given. "
                "For nearly always the likeliest code, use a small one such as 0.01."
            )
        if not isinstance(self.guidance, numbers.Real) or not math.isfinite(self.guidance):
            raise ValueError(f"guidance must be a finite number, but {self.guidance!r} was given.")
        if self.guidance and not getattr(prior, "condition_dropout", 0):
            raise ValueError(
                f"guidance={self.guidance!r} was given, but this prior never learned what to say when it is told "
                "nothing. GatedPixelCNN(condition_shape=(), num_conditions=10, condition_dropout=0.1) does."
            )
        if self.top_k is not None:
            check_positive_integer("top_k", self.top_k)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(
                f"top_p must be above 0 and at most 1, how much probability stays, but {self.top_p!r} was given."
            )

    def compiled(
        self, name: str, loop: Callable[..., Tensor], prior: Any, *arrays: keras.KerasTensor
    ) -> Callable[..., Tensor]:
        """Return a loop compiled, as a function of arrays; it serves all values of the same strengths.

        Parameters
        ----------
        name : str
            Under which it is kept with the prior.
        loop : callable
            Of strengths, as tensors, and arrays.
        prior : keras.Model
        arrays : keras.KerasTensor
            Shapes and dtypes of the arrays.
        """
        is_guided = bool(self.guidance)
        is_truncated = self.top_k is not None or self.top_p is not None

        def run(temperature: Tensor, guidance: Tensor, top_k: Tensor, top_p: Tensor, *arrays: Tensor) -> Tensor:
            truncation = (top_k, top_p) if is_truncated else ()
            return loop(Strengths(temperature, guidance if is_guided else None, *truncation), *arrays)

        kinds = [kind for kind, is_asked in (("guided", is_guided), ("truncated", is_truncated)) if is_asked]
        scalars = (keras.KerasTensor((), dtype) for dtype in ("float32", "float32", "int32", "float32"))
        function = backend.compiled(prior, ", ".join([name, *kinds]), run, *scalars, *arrays)
        top_k = min(self.top_k or prior.num_embeddings, prior.num_embeddings)
        values = np.float32(self.temperature), np.float32(self.guidance), np.int32(top_k), np.float32(self.top_p or 1)
        return functools.partial(function, *values)

    def logits_of(self, prior: Any, codes: Tensor, *condition: Tensor) -> Tensor:
        """Return the logits of whole grids, guided where that was asked for: (B, h, w) int -> (B, h, w, K)."""
        logits = prior((codes, *condition) if condition else codes)
        if self.guidance is None:
            return logits
        return guided(logits, prior((codes, untold(*condition))), self.guidance)

    def adjust(self, logits: Tensor) -> Tensor:
        """Return the logits of what is drawn from: divided by the temperature, truncated where that was asked for."""
        logits = ops.cast(logits, "float32") / self.temperature
        return logits if self.top_k is None else truncated(logits, self.top_k, self.top_p)

    def draw(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Return codes drawn with standard Gumbel noise: (..., K) float and (..., K) -> (...) int32."""
        return ops.cast(ops.argmax(self.adjust(logits) + noise, axis=-1), "int32")


def guided(told: Tensor, untold: Tensor, guidance: Tensor) -> Tensor:
    """Return the logits told a condition, moved away from those told nothing. Ho and Salimans (2022), equation 6."""
    return told + ops.cast(guidance, told.dtype) * (told - untold)


def untold(condition: Tensor) -> Tensor:
    """Return the labels that tell nothing: -1 for each."""
    return -ops.ones_like(condition)


def truncated(logits: Tensor, top_k: Tensor | int, top_p: Tensor | float = 1.0) -> Tensor:
    """Return logits without those of unlikely codes, which become -infinity: (..., K) -> (..., K).

    Top-k sampling (Fan, Lewis and Dauphin 2018, "Hierarchical neural story generation", section 5.4) and nucleus
    sampling (Holtzman et al. 2020, "The curious case of neural text degeneration", section 3.1). A code as likely as
    the least likely one that stays, stays, too.

    Parameters
    ----------
    logits : float tensor, shape (..., K)
    top_k : int
        How many codes stay.
    top_p : float above 0, at most 1
        How much probability they hold at least: the fewest codes that do, or all where it is 1. With both, what both
        let stay.
    """
    ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
    p = ops.softmax(ordered)
    of_likelier = ops.cumsum(p, axis=-1) - p  # together, of those before each
    in_nucleus = (of_likelier < top_p) | (top_p >= 1)  # sums may be rounded to 1 before the last codes
    stays = in_nucleus & (ops.arange(logits.shape[-1], dtype="int32") < top_k)
    number = ops.sum(ops.cast(stays, "int32"), axis=-1, keepdims=True)
    least = ops.take_along_axis(ordered, number - 1, axis=-1)
    return ops.where(logits >= least, logits, -np.inf)


def generator_of(seed: int | None) -> np.random.Generator:
    """Return a generator of noise. Without a seed, that is drawn from where Keras's layers have theirs.

    ``keras.utils.set_random_seed`` seeds it.
    """
    return np.random.default_rng(random.randrange(2**32) if seed is None else seed)

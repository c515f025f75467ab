"""Codes from a :class:`vqlib.MaskedTransformer`: many at once, the surest first."""

import functools
import math
import numbers
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vqlib._checks import check_positive_integer
from vqlib._progress import announced
from vqlib._sampling_arguments import starting_point
from vqlib._types import Tensor
from vqlib.drawing import Strengths, generator_of
from vqlib.masked import hidden_share
from vqlib.sampling import gumbel_noise, samples_at_once


def sample_masked(
    prior: Any,
    num_samples: int | None = None,
    *,
    steps: int = 8,
    confidence_noise: float = 4.5,
    temperature: float = 1.0,
    guidance: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    codes: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    condition: ArrayLike | None = None,
) -> np.ndarray:
    """Draw grids of codes from a masked transformer in a few steps, many codes in each.

    Chang et al. (2022, "MaskGIT: masked generative image transformer"), section 3.2. At first all codes are hidden.
    Each step draws those that are, each given those that are not, keeps the ones of which it is surest, and hides the
    others again: how many, see :func:`vqlib.masked_sampling.num_hidden`. Codes of one step know nothing of each other,
    so that with fewer steps they fit less well. All steps are one compiled call.

    Parameters
    ----------
    prior : MaskedTransformer
        Or a model of your own, from codes (N, h, w) to logits (N, h, w, K), that has ``code_shape``, ``num_embeddings``
        and ``mask_code``, the code that stands for a hidden one.
    num_samples : int, optional
        How many grids; left out where `codes` or a condition for each grid are given.
    steps : int
        How many. 1 draws all codes independently, h * w or more draw one at a time.
    confidence_noise : float, at least 0
        How sure a step is of a code: its log-probability in what it is drawn from, plus standard Gumbel noise times
        this, which falls to 0 at the last step, as in the authors' code. Without noise, what is likely in any picture
        is always kept first, and samples have less variety.
    temperature, guidance, top_k, top_p, seed, condition
        As for :func:`vqlib.sample`.
    codes : int array, shape (num_samples, h, w), optional
        Codes to keep in part (inpainting).
    keep : bool array, shape (h, w) or (num_samples, h, w), optional
        Where True, the code is kept; elsewhere it is drawn, given all that are kept, on whatever side they lie.

    Returns
    -------
    int32 array, shape (num_samples, h, w), NumPy

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit the prior or another argument, or if `prior` is none of these.
    """
    _check_prior(prior)
    steps = check_positive_integer("steps", steps)
    if not (isinstance(confidence_noise, numbers.Real) and 0 <= confidence_noise < math.inf):
        raise ValueError(f"confidence_noise must be a finite number, at least 0, but {confidence_noise!r} was given.")
    asked = Strengths(temperature, guidance, top_k, top_p)
    asked.check(prior)
    codes, keep, conditions = starting_point(prior, num_samples, codes, keep, condition)
    codes = np.where(keep, codes, prior.mask_code).astype("int32")
    hidden = num_hidden((~keep).sum(axis=(1, 2)), steps)  # (N, steps)
    strength = (confidence_noise * (1 - np.arange(1, steps + 1) / steps)).astype("float32")
    generator = generator_of(seed)
    grid = prior.code_shape
    arrays = (
        keras.KerasTensor((None, *grid), "int32"),
        keras.KerasTensor((None, None), "int32"),
        keras.KerasTensor((None,), "float32"),
        keras.KerasTensor((None, None, *grid, prior.num_embeddings + 1), "float32"),
        *(keras.KerasTensor((None, *each.shape[1:]), "int32") for each in conditions),
    )
    run = asked.compiled("sample_masked", functools.partial(_loop, prior), prior, *arrays)
    drawn = [np.zeros((0, *grid), "int32")]
    at_once = max(1, samples_at_once(prior) // steps)
    for i in announced(range(0, len(codes), at_once), "sampling"):
        some = slice(i, i + at_once)
        noise = gumbel_noise(generator, (len(codes[some]), steps, *grid, prior.num_embeddings + 1))
        found = run(codes[some], hidden[some], strength, noise, *(each[some] for each in conditions))
        drawn.append(ops.convert_to_numpy(found))
    return np.concatenate(drawn)


def num_hidden(number: ArrayLike, steps: int) -> np.ndarray:
    """Return how many codes are still hidden after each step: ints, (N,) -> (N, steps) int32, the last ones 0.

    Chang et al. (2022), section 3.2: those hidden at first times :func:`vqlib.masked.hidden_share`, rounded down, as in
    the authors' code (the paper says up); but at least one code is found in each step, until none is left.
    """
    at_first = np.asarray(number)[..., None]
    done = np.arange(1, steps + 1)
    by_schedule = np.floor(at_first * hidden_share(done / steps) + 1e-6)  # a product that is whole may be just below
    return np.clip(np.minimum(by_schedule, at_first - done), 0, None).astype("int32")


def _loop(
    prior: Any, strengths: Strengths, codes: Tensor, hidden: Tensor, strength: Tensor, noise: Tensor, *condition: Tensor
) -> Tensor:
    """Step by step: what is hidden is `mask_code`."""
    height, width = prior.code_shape
    mask = prior.mask_code

    def draw(step: Tensor, codes: Tensor) -> Tensor:
        logits = strengths.logits_of(prior, codes, *condition)  # (N, h, w, K)
        noise_of_step = ops.take(noise, step, axis=1)  # (N, h, w, K + 1)
        found = strengths.draw(logits, noise_of_step[..., :-1])
        log_p = ops.log_softmax(strengths.adjust(logits))
        sureness = ops.take_along_axis(log_p, found[..., None], axis=-1)[..., 0]  # (N, h, w)
        sureness = sureness + ops.take(strength, step) * noise_of_step[..., -1]
        is_hidden = codes == mask
        codes = ops.where(is_hidden, found, codes)
        places = ops.reshape(ops.where(is_hidden, sureness, np.inf), (-1, height * width))
        places = ops.argsort(ops.argsort(places, axis=-1), axis=-1)  # 0 for the least sure
        again = ops.cast(places, "int32") < ops.take(hidden, step, axis=1)[:, None]
        return ops.where(ops.reshape(again, (-1, height, width)), mask, codes)

    return ops.fori_loop(0, ops.shape(hidden)[1], draw, codes)


def _check_prior(prior: Any) -> None:
    """Raise unless codes can be hidden from `prior`."""
    if not (callable(prior) and all(hasattr(prior, name) for name in ("code_shape", "num_embeddings", "mask_code"))):
        raise TypeError(
            "sample_masked takes a MaskedTransformer, from which codes can be hidden, but a "
            f"{type(prior).__name__} was given. Priors that write code by code are drawn from by vqlib.sample."
        )

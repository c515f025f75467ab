"""Codes from a prior, one position after the other: first plainly, then fast."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vqlib._progress import announced
from vqlib._sampling_arguments import check_prior, starting_point
from vqlib._types import Tensor
from vqlib.drawing import Strengths, generator_of, guided, untold
from vqlib.incremental import Incremental, incremental

SAMPLES_AT_ONCE = 1024  # at most, and fewer of large grids:
BYTES_AT_ONCE = 2**27  # of noise, or of one layer's output of CHANNELS, or of all scores of one attention
CHANNELS = 128
RESOLUTION = 2.0**-24  # of NumPy's float32 exponential noise: a 0 stands for anything below about this


def sample_plainly(
    prior: Any,
    num_samples: int | None = None,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    codes: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    condition: ArrayLike | None = None,
) -> np.ndarray:
    """Draw as :func:`sample` does, and the same codes, by running the whole network for every position.

    The readable reference, h * w times the work. It takes any model from codes (N, h, w) to logits (N, h, w, K) that
    has ``code_shape`` and ``num_embeddings``. The sums have another order, so that the last digits of the logits may
    differ from :func:`sample`'s, and with them, very rarely, a code that had two nearly equal candidates.
    """
    asked = Strengths(temperature, guidance, top_k, top_p)
    return _sample("sample_plainly", _plain_loop, prior, num_samples, asked, seed, codes, keep, condition)


def _plain_loop(
    prior: Any, strengths: Strengths, codes: Tensor, keep: Tensor, noise: Tensor, *condition: Tensor
) -> Tensor:
    """Position by position, each time with the whole network for the whole grid."""
    height, width = prior.code_shape
    positions = height * width
    noise = ops.reshape(noise, (-1, positions, prior.num_embeddings))

    def draw(position: Tensor, codes: Tensor) -> Tensor:
        logits = ops.reshape(strengths.logits_of(prior, codes, *condition), (-1, positions, prior.num_embeddings))
        drawn = strengths.draw(logits[:, position], noise[:, position])  # (N,)
        here = ops.reshape(ops.arange(positions, dtype="int32") == position, (height, width)) & ~keep
        return ops.where(here, drawn[:, None, None], codes)

    return ops.fori_loop(0, positions, draw, codes)


def sample(
    prior: Any,
    num_samples: int | None = None,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    codes: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    condition: ArrayLike | None = None,
) -> np.ndarray:
    """Draw grids of codes from a prior, position by position in raster order (ancestral sampling).

    One compiled call, in which each position is computed once, from features kept of the positions before it
    (Ramachandran et al. 2017, "Fast generation for convolutional autoregressive models"). A code is drawn as the
    argmax of logits / temperature plus Gumbel noise, which is a draw from their softmax. The first call compiles the
    loop, for any number of samples, seed and temperature. When it takes long, a line says how far it is.

    Parameters
    ----------
    prior : PixelCNN, GatedPixelCNN or TransformerPrior
        Or a prior of your own, see :func:`vqlib.incremental.incremental`.
    num_samples : int, optional
        How many grids; left out where `codes` or a condition for each grid are given.
    temperature : float, above 0
        1 samples the model as it is; below 1 prefers likely codes.
    guidance : float
        How strongly codes are drawn towards the class: from the logits l + guidance (l - l0), over the temperature,
        with l told the class and l0 told nothing. 0 samples the prior as it is; anything else takes twice the work and
        memory. Classifier-free guidance, Ho and Salimans (2022), equation 6. Only for a prior with `condition_dropout`.
    top_k : int, optional
        How many codes may be drawn at each position, the likeliest ones, in the proportions that they have after
        temperature and guidance. Those as likely as the last of them may be drawn, too.
    top_p : float above 0, at most 1, optional
        Only the fewest codes that together have this probability may be drawn (the nucleus); with 1, all. With `top_k`,
        those that both let stay. Like a low temperature, either makes likelier grids and fewer kinds of them. The
        prior's bits say nothing of such samples, which come from another distribution: one that gives a real grid no
        probability where a code of it is left out, and so could not write that grid into a file of any length.
    seed : int, optional
        The same seed gives the same codes, on the same machine. Without one, each call draws other codes: its seed
        comes from Keras's global one, as those of Keras's layers do, so that after ``keras.utils.set_random_seed(0)``
        the same calls draw the same codes.
    codes : int array, shape (num_samples, h, w), optional
        Codes to keep in part (inpainting).
    keep : bool array, shape (h, w) or (num_samples, h, w), optional
        Where True, the code is kept; elsewhere it is drawn, given the codes before it. Later kept codes do not
        influence earlier drawn ones: the prior only looks back.
    condition : int array, shape (num_samples,) or (num_samples, h', w'), optional
        For a conditioned prior, and only for one: the class labels, or the grids of codes, to draw for. One label, or
        one grid (h', w'), stands for all samples. The label -1 tells nothing, to a prior with `condition_dropout`.

    Returns
    -------
    int32 array, shape (num_samples, h, w), NumPy

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit the prior or another argument, or if `prior` is none; each says what would do.
    """
    asked = Strengths(temperature, guidance, top_k, top_p)
    return _sample("sample", _incremental_loop, prior, num_samples, asked, seed, codes, keep, condition)


def _incremental_loop(
    prior: Any, strengths: Strengths, codes: Tensor, keep: Tensor, noise: Tensor, *condition: Tensor
) -> Tensor:
    """Row by row, and within a row position by position."""
    height, width = prior.code_shape
    network = incremental(prior, *condition)
    if strengths.guidance is not None:
        network = Guided(network, incremental(prior, untold(*condition)), strengths.guidance)

    def draw_row(i: Tensor, loop: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
        codes, state = loop
        known = ops.take(codes, i, axis=1)  # (N, w)
        stays = ops.take(keep, i, axis=1)  # (N, w)
        noise_of_row = ops.take(noise, i, axis=1)  # (N, w, K)
        row = network.begin_row(state)
        drawn: list[Tensor] = []
        for j in range(width):
            logits = network.step(row, drawn)  # (N, K)
            code = strengths.draw(logits, noise_of_row[:, j])  # (N,)
            drawn.append(ops.where(stays[:, j], known[:, j], code))
        here = ops.reshape(ops.arange(height, dtype="int32") == i, (height, 1))
        codes = ops.where(here, ops.stack(drawn, axis=1)[:, None], codes)
        return codes, network.end_row(row, drawn)

    return ops.fori_loop(0, height, draw_row, (codes, network.initial_state(ops.shape(codes)[0])))[0]


class Guided:
    """Two :class:`~vqlib.incremental.Incremental` of one prior, told a condition and told nothing, as one."""

    def __init__(self, told: Incremental, untold: Incremental, guidance: Tensor) -> None:
        self.both = (told, untold)
        self.guidance = guidance

    def initial_state(self, batch: Tensor) -> Any:
        """Return what the first row of each needs to know."""
        return [network.initial_state(batch) for network in self.both]

    def begin_row(self, state: Any) -> Any:
        """Return what the steps of a row of each need to know."""
        return [network.begin_row(each) for network, each in zip(self.both, state, strict=True)]

    def step(self, row: Any, inputs: list[Tensor]) -> Tensor:
        """Return the guided logits at the next position, (B, K)."""
        told, untold = (network.step(each, inputs) for network, each in zip(self.both, row, strict=True))
        return guided(told, untold, self.guidance)

    def end_row(self, row: Any, inputs: list[Tensor]) -> Any:
        """Return the state above the next row of each."""
        return [network.end_row(each, inputs) for network, each in zip(self.both, row, strict=True)]


def gumbel_noise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard Gumbel noise, float32, below 20: minus the logarithm of exponential noise.

    Of 7 million draws of NumPy's exponential noise one is exactly 0. Minus its logarithm would beat any logit.
    """
    noise = generator.standard_exponential(shape, dtype="float32")
    noise[noise == 0] = RESOLUTION
    np.log(noise, out=noise)
    return np.negative(noise, out=noise)


def _sample(
    name: str,
    loop: Callable[..., Tensor],
    prior: Any,
    num_samples: int | None,
    asked: Strengths,
    seed: int | None,
    codes: Any,
    keep: Any,
    condition: Any,
) -> np.ndarray:
    """Check the arguments, and run a loop over some of the grids at a time.

    The noise is one stream, whatever the number of grids at a time.
    """
    check_prior(prior)
    asked.check(prior)
    codes, keep, conditions = starting_point(prior, num_samples, codes, keep, condition)
    generator = generator_of(seed)
    grid = (None, *prior.code_shape)
    arrays = (
        keras.KerasTensor(grid, "int32"),
        keras.KerasTensor(grid, "bool"),
        keras.KerasTensor((*grid, prior.num_embeddings), "float32"),
        *(keras.KerasTensor((None, *each.shape[1:]), "int32") for each in conditions),
    )
    run = asked.compiled(name, functools.partial(loop, prior), prior, *arrays)
    drawn = [np.zeros((0, *prior.code_shape), "int32")]
    at_once = samples_at_once(prior)
    for i in announced(range(0, len(codes), at_once), "sampling"):
        some = slice(i, i + at_once)
        noise = gumbel_noise(generator, (*codes[some].shape, prior.num_embeddings))
        drawn.append(ops.convert_to_numpy(run(codes[some], keep[some], noise, *(each[some] for each in conditions))))
    return np.concatenate(drawn)


def samples_at_once(prior: Any) -> int:
    """Return how many grids are drawn at a time, so that memory is bounded whatever their size."""
    positions = np.prod(prior.code_shape, dtype=int)
    scores = positions * getattr(prior, "num_heads", 0)  # of each position, for all of them
    bytes_each = 4 * positions * max(prior.num_embeddings, CHANNELS, scores)
    return int(np.clip(BYTES_AT_ONCE // bytes_each, 1, SAMPLES_AT_ONCE))

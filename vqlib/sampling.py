"""Codes from a prior, one position after the other: first plainly, then fast."""

import functools
import math
import numbers
import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vqlib import _backend as backend
from vqlib._checks import check_codes, check_condition, check_positive_integer, dtype_of
from vqlib._progress import announced
from vqlib._types import Tensor
from vqlib.incremental import Incremental, incremental

SAMPLES_AT_ONCE = 1024  # at most, and fewer of large grids:
BYTES_AT_ONCE = 2**27  # of noise, or of one layer's output of CHANNELS
CHANNELS = 128
RESOLUTION = 2.0**-24  # of NumPy's float32 exponential noise: a 0 stands for anything below about this


def sample_plainly(
    prior: Any,
    num_samples: int | None = None,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
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
    return _sample(
        "sample_plainly", _plain_loop, prior, num_samples, temperature, guidance, seed, codes, keep, condition
    )


def _plain_loop(
    prior: Any,
    is_guided: bool,
    codes: Tensor,
    keep: Tensor,
    noise: Tensor,
    temperature: Tensor,
    guidance: Tensor,
    *condition: Tensor,
) -> Tensor:
    """Position by position, each time with the whole network for the whole grid."""
    height, width = prior.code_shape
    positions = height * width
    noise = ops.reshape(noise, (-1, positions, prior.num_embeddings))

    def draw(position: Tensor, codes: Tensor) -> Tensor:
        logits = prior((codes, *condition) if condition else codes)
        if is_guided:
            logits = guided(logits, prior((codes, untold(*condition))), guidance)
        logits = ops.reshape(logits, (-1, positions, prior.num_embeddings))[:, position]
        drawn = draw_codes(logits, temperature, noise[:, position])  # (N,)
        here = ops.reshape(ops.arange(positions) == position, (height, width)) & ~keep
        return ops.where(here, drawn[:, None, None], codes)

    return ops.fori_loop(0, positions, draw, codes)


def sample(
    prior: Any,
    num_samples: int | None = None,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
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
    prior : PixelCNN or GatedPixelCNN
        Or a prior of your own, see :func:`vqlib.incremental.incremental`.
    num_samples : int, optional
        How many grids; left out where `codes` or a condition for each grid are given.
    temperature : float, above 0
        1 samples the model as it is; below 1 prefers likely codes.
    guidance : float
        How strongly codes are drawn towards the class: from the logits l + guidance (l - l0), over the temperature,
        with l told the class and l0 told nothing. 0 samples the prior as it is; anything else takes twice the work and
        memory. Classifier-free guidance, Ho and Salimans (2022), equation 6. Only for a prior with `condition_dropout`.
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
    return _sample("sample", _incremental_loop, prior, num_samples, temperature, guidance, seed, codes, keep, condition)


def _incremental_loop(
    prior: Any,
    is_guided: bool,
    codes: Tensor,
    keep: Tensor,
    noise: Tensor,
    temperature: Tensor,
    guidance: Tensor,
    *condition: Tensor,
) -> Tensor:
    """Row by row, and within a row position by position."""
    height, width = prior.code_shape
    network = incremental(prior, *condition)
    if is_guided:
        network = Guided(network, incremental(prior, untold(*condition)), guidance)

    def draw_row(i: Tensor, loop: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
        codes, state = loop
        known = ops.take(codes, i, axis=1)  # (N, w)
        stays = ops.take(keep, i, axis=1)  # (N, w)
        noise_of_row = ops.take(noise, i, axis=1)  # (N, w, K)
        row = network.begin_row(state)
        drawn: list[Tensor] = []
        for j in range(width):
            logits = network.step(row, drawn)  # (N, K)
            code = draw_codes(logits, temperature, noise_of_row[:, j])  # (N,)
            drawn.append(ops.where(stays[:, j], known[:, j], code))
        here = ops.reshape(ops.arange(height) == i, (height, 1))
        codes = ops.where(here, ops.stack(drawn, axis=1)[:, None], codes)
        return codes, network.end_row(row, drawn)

    return ops.fori_loop(0, height, draw_row, (codes, network.initial_state(ops.shape(codes)[0])))[0]


def draw_codes(logits: Tensor, temperature: Tensor, noise: Tensor) -> Tensor:
    """Return the code with the largest sum of logit over temperature and noise: (N, K) twice -> (N,) int32."""
    return ops.cast(ops.argmax(ops.cast(logits, "float32") / temperature + noise, axis=-1), "int32")


def guided(told: Tensor, untold: Tensor, guidance: Tensor) -> Tensor:
    """Return the logits told a condition, moved away from those told nothing. Ho and Salimans (2022), equation 6."""
    return told + ops.cast(guidance, told.dtype) * (told - untold)


def untold(condition: Tensor) -> Tensor:
    """Return the labels that tell nothing: -1 for each."""
    return -ops.ones_like(condition)


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
    temperature: float,
    guidance: float,
    seed: int | None,
    codes: Any,
    keep: Any,
    condition: Any,
) -> np.ndarray:
    """Check the arguments, and run a loop over some of the grids at a time.

    The noise is one stream, whatever the number of grids at a time.
    """
    _check_prior(prior)
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, but {temperature!r} was given. "
            "For nearly always the likeliest code, use a small one such as 0.01."
        )
    if not isinstance(guidance, numbers.Real) or not math.isfinite(guidance):
        raise ValueError(f"guidance must be a finite number, but {guidance!r} was given.")
    if guidance and not getattr(prior, "condition_dropout", 0):
        raise ValueError(
            f"guidance={guidance!r} was given, but this prior never learned what to say when it is told nothing. "
            "GatedPixelCNN(condition_shape=(), num_conditions=10, condition_dropout=0.1) does."
        )
    codes, keep, conditions = _starting_point(prior, num_samples, codes, keep, condition)
    if seed is None:
        seed = random.randrange(2**32)  # from where Keras's layers have theirs; keras.utils.set_random_seed seeds it
    generator = np.random.default_rng(seed)
    grid = (None, *prior.code_shape)
    run = backend.compiled(
        prior,
        f"{name}, guided" if guidance else name,
        functools.partial(loop, prior, bool(guidance)),
        keras.KerasTensor(grid, "int32"),
        keras.KerasTensor(grid, "bool"),
        keras.KerasTensor((*grid, prior.num_embeddings), "float32"),
        keras.KerasTensor((), "float32"),
        keras.KerasTensor((), "float32"),
        *(keras.KerasTensor((None, *each.shape[1:]), "int32") for each in conditions),
    )
    drawn = [np.zeros((0, *prior.code_shape), "int32")]
    at_once = samples_at_once(prior)
    for i in announced(range(0, len(codes), at_once), "sampling"):
        some = slice(i, i + at_once)
        noise = gumbel_noise(generator, (*codes[some].shape, prior.num_embeddings))
        strengths = np.float32(temperature), np.float32(guidance)
        arrays = (codes[some], keep[some], noise, *strengths, *(each[some] for each in conditions))
        drawn.append(ops.convert_to_numpy(run(*arrays)))
    return np.concatenate(drawn)


def samples_at_once(prior: Any) -> int:
    """Return how many grids are drawn at a time, so that memory is bounded whatever their size."""
    positions = np.prod(prior.code_shape, dtype=int)
    bytes_each = 4 * positions * max(prior.num_embeddings, CHANNELS)
    return int(np.clip(BYTES_AT_ONCE // bytes_each, 1, SAMPLES_AT_ONCE))


def _check_prior(prior: Any) -> None:
    """Raise unless `prior` looks like one; say what to do with what is often given in its place."""
    if isinstance(prior, (tuple, list)):
        raise TypeError(
            f"sample takes a prior, but a {type(prior).__name__} of {len(prior)} was given. "
            "Take apart what load_pretrained returns: `model, prior = vqlib.load_pretrained()`, then sample(prior)."
        )
    if hasattr(prior, "encode") and hasattr(prior, "decode"):
        raise TypeError(
            f"sample takes a prior, and this is the {type(prior).__name__}: `model, prior = vqlib.load_pretrained()`, "
            "then `codes = vqlib.sample(prior, 64)` and `images = model.decode(codes)`."
        )
    if not (callable(prior) and hasattr(prior, "code_shape") and hasattr(prior, "num_embeddings")):
        raise TypeError(
            f"sample takes a prior, a model of codes with code_shape and num_embeddings such as PixelCNN or "
            f"GatedPixelCNN, but a {type(prior).__name__} was given."
        )


def _starting_point(
    prior: Any, num_samples: int | None, codes: Any, keep: Any, condition: Any
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return codes (N, h, w), keep (N, h, w), and a list of the condition, (N, ...), or of nothing: all checked.

    Where no codes are given, they are zeros and none is kept.
    """
    if (codes is None) != (keep is None):
        raise ValueError("For inpainting give both codes and keep; give neither to sample whole grids.")
    if num_samples is not None:
        num_samples = check_positive_integer("num_samples", num_samples)
    condition, is_shared = _condition(prior, condition)
    if codes is not None:
        codes = check_codes(codes, prior.num_embeddings, prior.code_shape)
        keep = _keep(prior, keep, codes.shape)
        if num_samples not in (None, len(codes)):
            raise ValueError(
                f"num_samples={num_samples}, but {len(codes)} grids of codes were given. Leave num_samples out."
            )
        num_samples = len(codes)
    elif num_samples is None and condition is not None and not is_shared:
        num_samples = len(condition)
    if num_samples is None:
        raise ValueError(
            "Give num_samples, the number of grids to draw, or codes and keep for inpainting, "
            "or a condition for each grid."
        )
    if codes is None:
        codes = np.zeros((num_samples, *prior.code_shape), "int32")
        keep = np.zeros(codes.shape, bool)
    if condition is None:
        return codes, keep, []
    if is_shared:
        condition = np.broadcast_to(condition, (num_samples, *condition.shape))
    check_condition(prior, condition, num_samples)
    return codes, keep, [np.asarray(condition, "int32")]


def _keep(prior: Any, keep: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return `keep`, checked, for each grid: (N, h, w)."""
    if dtype_of(keep) != "bool" or np.shape(keep) not in (tuple(prior.code_shape), shape):
        raise ValueError(
            f"keep must be a bool array of shape {tuple(prior.code_shape)} or {shape}, "
            f"but is {dtype_of(keep)} of shape {np.shape(keep)}."
        )
    return np.broadcast_to(keep, shape).copy()


def _condition(prior: Any, condition: Any) -> tuple[np.ndarray | None, bool]:
    """Return the condition, None of a prior without one, and whether it is one for all grids."""
    condition_shape = getattr(prior, "condition_shape", None)
    if condition_shape is None:
        if condition is not None:
            raise ValueError("condition was given, but this prior is not conditioned: leave it out.")
        return None, False
    condition_shape = tuple(condition_shape)
    if condition is None:
        what = "class labels" if condition_shape == () else "grids of codes"
        shape = ", ".join(str(n) for n in ("num_samples", *condition_shape))
        raise ValueError(
            f"This prior is conditioned on {what}: give condition, an int array of shape ({shape}), or one of shape "
            f"{condition_shape} for all samples, with values in 0..{prior.num_conditions - 1}"
            f"{', or -1 for nothing told' if getattr(prior, 'condition_dropout', 0) else ''}."
        )
    condition = np.asarray(condition)
    return condition, condition.shape == condition_shape

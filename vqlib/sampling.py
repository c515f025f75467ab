"""Codes from a prior, one position after the other."""

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import check_codes, check_condition, check_positive_integer, dtype_of
from vqlib._progress import announced

SAMPLES_AT_ONCE = 1024  # bounds the noise: 25 MB for 7 x 7 codes and K = 128


def sample(prior, num_samples=None, *, temperature=1.0, seed=0, codes=None, keep=None, condition=None):
    """Draw grids of codes from a prior, position by position in raster order (ancestral sampling).

    One compiled call, in which each position is computed once, from features kept of the positions before it
    (Ramachandran et al. 2017, "Fast generation for convolutional autoregressive models"). A code is drawn as the
    argmax of logits / temperature plus Gumbel noise, which is a draw from their softmax. The first call compiles the
    loop, for any number of samples, seed and temperature. When it takes long, a line says how far it is.

    Parameters
    ----------
    prior : PixelCNN or GatedPixelCNN
    num_samples : int, optional
        How many grids; left out where `codes` are given.
    temperature : float, above 0
        1 samples the model as it is; below 1 prefers likely codes.
    seed : int
        The same seed gives the same codes, on the same machine.
    codes : int array, shape (num_samples, h, w), optional
        Codes to keep in part (inpainting).
    keep : bool array, shape (h, w) or (num_samples, h, w), optional
        Where True, the code is kept; elsewhere it is drawn, given the codes before it. Later kept codes do not
        influence earlier drawn ones: the prior only looks back.
    condition : int array, shape (num_samples,) or (num_samples, h', w')
        For a conditioned prior, and only for one: the class labels, or the grids of codes, to draw for.

    Returns
    -------
    int32 array, shape (num_samples, h, w), NumPy
    """
    return _sample(_incremental_loop, prior, num_samples, temperature, seed, codes, keep, condition)


def sample_plainly(prior, num_samples=None, *, temperature=1.0, seed=0, codes=None, keep=None, condition=None):
    """Draw as :func:`sample` does, and the same codes, by running the whole network for every position.

    The readable reference, h * w times the work. It takes any model from codes (N, h, w) to logits (N, h, w, K) that
    has ``code_shape`` and ``num_embeddings``. The sums have another order, so that the last digits of the logits may
    differ from :func:`sample`'s, and with them, very rarely, a code that had two nearly equal candidates.
    """
    return _sample(_plain_loop, prior, num_samples, temperature, seed, codes, keep, condition)


def _sample(loop, prior, num_samples, temperature, seed, codes, keep, condition):
    """Check the arguments, and run a loop over at most SAMPLES_AT_ONCE grids at a time."""
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, but {temperature!r} was given. "
            "For nearly always the likeliest code, use a small one such as 0.01."
        )
    codes, keep = _starting_point(prior, num_samples, codes, keep)
    conditions = _conditions(prior, condition, len(codes))
    generator = np.random.default_rng(seed)
    temperature = np.float32(temperature)
    grid = (None, *prior.code_shape)
    run = backend.compiled(
        prior,
        loop,
        keras.KerasTensor(grid, "int32"),
        keras.KerasTensor(grid, "bool"),
        keras.KerasTensor((*grid, prior.num_embeddings), "float32"),
        keras.KerasTensor((), "float32"),
        *(keras.KerasTensor((None, *each.shape[1:]), "int32") for each in conditions),
    )
    drawn = [np.zeros((0, *prior.code_shape), "int32")]
    for i in announced(range(0, len(codes), SAMPLES_AT_ONCE), "sampling"):
        some = slice(i, i + SAMPLES_AT_ONCE)
        noise = gumbel_noise(generator, (*codes[some].shape, prior.num_embeddings))
        drawn.append(
            ops.convert_to_numpy(run(codes[some], keep[some], noise, temperature, *(each[some] for each in conditions)))
        )
    return np.concatenate(drawn)


def gumbel_noise(generator, shape):
    """Return standard Gumbel noise, float32: minus the logarithm of exponential noise."""
    exponential = generator.standard_exponential(shape, dtype="float32")
    return -np.log(np.maximum(exponential, np.finfo("float32").tiny))


def _incremental_loop(prior, codes, keep, noise, temperature, *condition):
    """Row by row, and within a row position by position."""
    height, width = prior.code_shape
    network = prior.incremental(*condition)

    def draw_row(i, state):
        codes, kept = state
        known, stays, noise_of_row = (ops.take(x, i, axis=1) for x in (codes, keep, noise))
        network.begin_row(kept)
        row = []
        for j in range(width):
            drawn = ops.argmax(network(row) / temperature + noise_of_row[:, j], axis=-1)  # (N,)
            row.append(ops.where(stays[:, j], known[:, j], ops.cast(drawn, "int32")))
        row = ops.stack(row, axis=1)  # (N, w)
        here = ops.reshape(ops.arange(height) == i, (height, 1))
        return ops.where(here, row[:, None], codes), network.end_row(row)

    return ops.fori_loop(0, height, draw_row, (codes, network.empty(ops.shape(codes)[0])))[0]


def _plain_loop(prior, codes, keep, noise, temperature, *condition):
    """Position by position, each time with the whole network for the whole grid."""
    height, width = prior.code_shape
    positions = height * width
    noise = ops.reshape(noise, (-1, positions, prior.num_embeddings))

    def draw(position, codes):
        logits = prior((codes, *condition) if condition else codes)
        logits = ops.reshape(logits, (-1, positions, prior.num_embeddings))[:, position]
        drawn = ops.argmax(logits / temperature + noise[:, position], axis=-1)  # (N,)
        here = ops.reshape(ops.arange(positions) == position, (height, width)) & ~keep
        return ops.where(here, ops.cast(drawn, "int32")[:, None, None], codes)

    return ops.fori_loop(0, positions, draw, codes)


def _starting_point(prior, num_samples, codes, keep):
    """Return codes (N, h, w) and keep (N, h, w), checked; zeros and False where nothing was given."""
    if (codes is None) != (keep is None):
        raise ValueError("For inpainting give both codes and keep; give neither to sample whole grids.")
    if codes is None:
        if num_samples is None:
            raise ValueError("Give num_samples, the number of grids to draw, or codes and keep for inpainting.")
        check_positive_integer("num_samples", num_samples)
        codes = np.zeros((num_samples, *prior.code_shape), "int32")
        return codes, np.zeros(codes.shape, bool)
    codes = check_codes(codes, prior.num_embeddings, prior.code_shape)
    if num_samples not in (None, len(codes)):
        raise ValueError(
            f"num_samples={num_samples}, but {len(codes)} grids of codes were given. Leave num_samples out."
        )
    if dtype_of(keep) != "bool" or np.shape(keep) not in (prior.code_shape, codes.shape):
        raise ValueError(
            f"keep must be a bool array of shape {prior.code_shape} or {codes.shape}, "
            f"but is {dtype_of(keep)} of shape {np.shape(keep)}."
        )
    return codes, np.broadcast_to(keep, codes.shape).copy()


def _conditions(prior, condition, number):
    """Return the condition, checked, as a list of one int32 array (N, ...); of a prior without one, an empty list."""
    condition_shape = getattr(prior, "condition_shape", None)
    if condition_shape is None:
        if condition is not None:
            raise ValueError("condition was given, but this prior is not conditioned: leave it out.")
        return []
    if condition is None:
        what = "class labels" if condition_shape == () else "grids of codes"
        raise ValueError(
            f"This prior is conditioned on {what}: give condition, an int array of shape "
            f"{(number, *condition_shape)} with values in 0..{prior.num_conditions - 1}."
        )
    check_condition(prior, condition, number)
    return [np.asarray(condition, "int32")]

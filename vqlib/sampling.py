"""Codes from a prior, one position after the other."""

import numpy as np
from keras import ops

from vqlib._checks import check_codes, check_positive_integer, dtype_of
from vqlib._quiet import tensorflow as tf


def sample(prior, num_samples=None, *, temperature=1.0, seed=0, codes=None, keep=None):
    """Draw grids of codes from a prior, position by position in raster order (ancestral sampling).

    The readable reference: one compiled loop, in which the whole network runs once for each position. A code is drawn
    as the argmax of logits / temperature plus Gumbel noise, which is a draw from their softmax.

    Parameters
    ----------
    prior : PixelCNN
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

    Returns
    -------
    int32 array, shape (num_samples, h, w), NumPy
    """
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, but {temperature!r} was given. "
            "For nearly always the likeliest code, use a small one such as 0.01."
        )
    codes, keep = _starting_point(prior, num_samples, codes, keep)
    noise = np.random.default_rng(seed).gumbel(size=(*codes.shape, prior.num_embeddings)).astype("float32")
    return _sample_loop(prior)(codes, keep, noise, tf.constant(temperature, "float32")).numpy()


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


def _sample_loop(prior):
    """Return the prior's compiled sampling loop, made on first use and kept with the prior."""
    if not hasattr(prior, "_compiled_sample_loop"):
        height, width = prior.code_shape
        positions = height * width

        @tf.function(reduce_retracing=True)
        def loop(codes, keep, noise, temperature):
            noise = ops.reshape(noise, (-1, positions, prior.num_embeddings))

            def step(position, codes):
                logits = ops.reshape(prior(codes), (-1, positions, prior.num_embeddings))[:, position]
                drawn = ops.argmax(logits / temperature + noise[:, position], axis=-1)  # (N,)
                here = ops.reshape(ops.arange(positions) == position, (height, width)) & ~keep
                return ops.where(here, ops.cast(drawn, "int32")[:, None, None], codes)

            return ops.fori_loop(0, positions, step, codes)

        prior._compiled_sample_loop = loop
    return prior._compiled_sample_loop

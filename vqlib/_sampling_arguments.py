"""What samplers are given, checked at their doors."""

from typing import Any

import numpy as np

from vqlib._checks import check_codes, check_condition, check_positive_integer, dtype_of


def check_prior(prior: Any) -> None:
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
    if hasattr(prior, "mask_code"):
        raise TypeError(
            f"A {type(prior).__name__} has no order in which it writes: draw from it by vqlib.sample_masked(prior, 64)."
        )
    if not (callable(prior) and hasattr(prior, "code_shape") and hasattr(prior, "num_embeddings")):
        raise TypeError(
            f"sample takes a prior, a model of codes with code_shape and num_embeddings such as PixelCNN or "
            f"GatedPixelCNN, but a {type(prior).__name__} was given."
        )


def starting_point(
    prior: Any, num_samples: int | None, codes: Any, keep: Any, condition: Any
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return codes (N, h, w), keep (N, h, w), and a list of the condition, (N, ...), or of nothing: all checked.

    Where no codes are given, they are zeros and none is kept.
    """
    if (codes is None) != (keep is None):
        raise ValueError("For inpainting give both codes and keep; give neither to sample whole grids.")
    if num_samples is not None:
        num_samples = check_positive_integer("num_samples", num_samples)
    condition, is_shared = _checked_condition(prior, condition)
    if codes is not None:
        codes = check_codes(codes, prior.num_embeddings, prior.code_shape)
        keep = _checked_keep(prior, keep, codes.shape)
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


def _checked_keep(prior: Any, keep: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return `keep`, checked, for each grid: (N, h, w)."""
    if dtype_of(keep) != "bool" or np.shape(keep) not in (tuple(prior.code_shape), shape):
        raise ValueError(
            f"keep must be a bool array of shape {tuple(prior.code_shape)} or {shape}, "
            f"but is {dtype_of(keep)} of shape {np.shape(keep)}."
        )
    return np.broadcast_to(keep, shape).copy()


def _checked_condition(prior: Any, condition: Any) -> tuple[np.ndarray | None, bool]:
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

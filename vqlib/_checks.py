"""Arguments checked at the door: each error says what was given, what was expected and how to fix it."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from vqlib import _backend as backend


def shape_of(x):
    """Return the static shape of an array or tensor, without copying it."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def dtype_of(x):
    """Return the name of the dtype of an array or tensor, for example ``"float32"``."""
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    return getattr(dtype, "name", str(dtype))


def check_positive_integer(name: str, value: Any) -> int:
    """Return `value` as a Python integer, which Keras's layers want; raise unless it is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, but {value!r} was given.")
    return int(value)


def check_sizes(name: str, sizes: Any, axes: Sequence[str]) -> tuple[int, ...]:
    """Return `sizes` as a tuple of Python integers; raise unless there is a positive integer for each of the axes."""
    if np.ndim(sizes) != 1 or len(sizes) != len(axes):
        given = tuple(sizes) if np.ndim(sizes) == 1 else sizes
        raise ValueError(f"{name} must be ({', '.join(axes)}), but {given!r} was given.")
    return tuple(check_positive_integer(f"Each entry of {name}", size) for size in sizes)


def check_images(images, image_shape=None, name="images"):
    """Raise unless `images` is a float array (N, H, W, C) of finite values in [-0.5, 0.5]."""
    shape, dtype = shape_of(images), dtype_of(images)
    if len(shape) != 4:
        raise ValueError(
            f"{name} must have rank 4, (batch, height, width, channels), but have shape {shape}. "
            "For one image, add a batch axis: images[None]; for images without channels, images[..., None]."
        )
    if image_shape is not None and shape[1:3] != tuple(image_shape[:2]):
        raise ValueError(f"{name} must be {image_shape[0]} x {image_shape[1]}, but have shape {shape}.")
    if image_shape is not None and shape[3] != image_shape[2]:
        raise ValueError(f"{name} must have {image_shape[2]} channel(s) on the last axis, but have shape {shape}.")
    if not dtype.startswith(("float", "bfloat")):
        raise TypeError(
            f"{name} must be floating point, but are {dtype}. Convert: images.astype('float32') / 255 - 0.5."
        )
    values = np.asarray(images)
    if not np.isfinite(values).all():
        bad = np.count_nonzero(~np.isfinite(values).all(axis=(1, 2, 3)))
        raise ValueError(f"{name} contain NaN or infinity, in {bad} of {len(values)} images.")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low < -0.5 or high > 0.5:
        raise ValueError(
            f"{name} must lie in [-0.5, 0.5], but lie in [{low:g}, {high:g}]. "
            "For pixels in 0..255, convert: images / 255 - 0.5; for pixels in [0, 1]: images - 0.5. "
            "What a decoder made may lie a little beyond: clip it, np.clip(images, -0.5, 0.5)."
        )


def check_codes(codes, num_embeddings, code_shape=None, name="codes"):
    """Raise unless `codes` is an integer array in [0, num_embeddings); return it as int32 NumPy."""
    check_code_type(codes, code_shape, name)
    values = np.asarray(codes)
    if values.size and (values.min() < 0 or values.max() >= num_embeddings):
        raise ValueError(
            f"{name} must lie in 0..{num_embeddings - 1} (num_embeddings={num_embeddings}), "
            f"but lie in {values.min()}..{values.max()}."
        )
    return values.astype("int32")


def check_code_type(codes, code_shape=None, name="codes"):
    """Raise unless `codes` are integers and, if `code_shape` is given, of shape (N, *code_shape)."""
    shape, dtype = shape_of(codes), dtype_of(codes)
    if not dtype.startswith(("int", "uint")):
        raise TypeError(f"{name} must be integers (code indices), but are {dtype}. Convert: codes.astype('int32').")
    if code_shape is not None and shape[1:] != tuple(code_shape):
        expected = ", ".join(str(n) for n in code_shape)
        raise ValueError(f"{name} must have shape (batch, {expected}), but have shape {shape}.")


def check_condition(prior, condition, number=None):
    """Raise unless `condition` is what conditions a prior: class labels (N,), or grids of codes (N, h', w').

    `number` is the N that it must have. Of a tensor inside a compiled function, only dtype and shape are checked.
    """
    what = "grids of codes" if prior.condition_shape else "class labels"
    shape, dtype = shape_of(condition), dtype_of(condition)
    if not dtype.startswith(("int", "uint")):
        raise TypeError(f"condition must be integers, {what}, but is {dtype}. Convert: condition.astype('int32').")
    if len(shape) < 1 or shape[1:] != prior.condition_shape or number not in (None, shape[0]):
        expected = ", ".join(str(n) for n in ("batch" if number is None else number, *prior.condition_shape))
        raise ValueError(f"condition must be {what} of shape ({expected}), but has shape {shape}.")
    if not is_array(condition):
        return
    values = np.asarray(condition)
    if values.size and (values.min() < 0 or values.max() >= prior.num_conditions):
        raise ValueError(
            f"condition, {what}, must lie in 0..{prior.num_conditions - 1} (num_conditions={prior.num_conditions}), "
            f"but lies in {values.min()}..{values.max()}."
        )


def check_vectors(z, embedding_dim):
    """Raise unless `z` is a floating-point array or tensor (..., embedding_dim)."""
    shape, dtype = shape_of(z), dtype_of(z)
    if len(shape) < 1 or shape[-1] != embedding_dim:
        raise ValueError(
            f"The last axis of z must have embedding_dim={embedding_dim} entries, but z has shape {shape}. "
            "Channels come last: (batch, height, width, embedding_dim)."
        )
    if not dtype.startswith(("float", "bfloat")):
        raise TypeError(f"z must be floating point, but is {dtype}.")


def refuse_sample_weight(sample_weight):
    """Raise if there are sample weights: the losses are plain means."""
    if sample_weight is not None:
        raise ValueError("sample_weight is not supported: every image weighs the same. Leave it out.")


def inputs_of(validation_data):
    """Return the inputs in what ``fit`` takes as validation data: x alone, or (x, y)."""
    return validation_data[0] if isinstance(validation_data, (tuple, list)) else validation_data


def is_array(x):
    """Whether the values of `x` can be looked at now: an array, rather than a tensor inside a compiled function."""
    return isinstance(x, (np.ndarray, list, tuple)) or (ops.is_tensor(x) and backend.has_values(x))

"""Arguments checked at the door: each error says what was given, what was expected and how to fix it."""

import math
import numbers
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend

ROUNDING = 1e-3  # how far beyond [-0.5, 0.5] an image may lie: resizing in float32 rounds. A quarter of a grey value.
VALUES_AT_ONCE = 2**22  # looked at in one part of an array
IMAGE_AXES = ("height", "width", "channels")


# Numbers and shapes


def check_positive_integer(name: str, value: Any) -> int:
    """Return `value` as a Python integer, which Keras's layers want; raise unless it is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, but {value!r} was given.")
    return int(value)


def check_share(name: str, value: Any) -> float:
    """Return `value` as a Python float; raise unless it is a number of at least 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, but {value!r} was given.")
    return float(value)


def check_sizes(name: str, sizes: Any, axes: Sequence[str]) -> tuple[int, ...]:
    """Return `sizes` as a tuple of Python integers; raise unless there is a positive integer for each of the axes."""
    if np.ndim(sizes) != 1 or len(sizes) != len(axes):
        given = tuple(sizes) if np.ndim(sizes) == 1 else sizes
        raise ValueError(f"{name} must be ({', '.join(axes)}), but {given!r} was given.")
    return tuple(check_positive_integer(f"Each entry of {name}", size) for size in sizes)


# Arrays and tensors


def shape_of(x: Any) -> tuple[Any, ...]:
    """Return the static shape of an array or tensor, without copying it; None where any size will do."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def dtype_of(x: Any) -> str:
    """Return the name of the dtype of an array, or of a tensor of any library, for example ``"float32"``."""
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    return getattr(dtype, "name", str(dtype).rpartition(".")[2])  # PyTorch's has no name, and prints "torch.float32"


def is_array(x: Any) -> bool:
    """Whether the values of `x` can be looked at now: an array, rather than a tensor inside a compiled function."""
    if isinstance(x, keras.KerasTensor):
        return False
    if ops.is_tensor(x):
        return backend.has_values(x)
    return isinstance(x, (list, tuple)) or hasattr(x, "__array__")


def as_array(x: Any, name: str) -> Any:
    """Return an array or tensor as it is, and a list of arrays or numbers as one array; raise for anything else."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return x
    if isinstance(x, (list, tuple)):
        shapes = {shape_of(each) for each in x}
        if len(shapes) > 1:
            some = ", ".join(str(shape) for shape in sorted(shapes, key=str)[:3])
            raise ValueError(f"{name} must all have one shape, but have several: {some}. Resize or crop them first.")
        return np.stack([to_numpy(each) for each in x]) if x else np.asarray(x)
    if hasattr(x, "__array__") or isinstance(x, numbers.Number):
        return np.asarray(x)
    if isinstance(x, Iterable) and not isinstance(x, (str, bytes, dict)):
        raise TypeError(
            f"{name} must be an array, but a {type(x).__name__} was given. Take its batches one by one, "
            "for batch in dataset, or put them together: np.concatenate(list(dataset))."
        )
    raise TypeError(f"{name} must be an array, but {_in_words(x)} was given.")


def to_numpy(x: Any) -> np.ndarray:
    """Return the values of an array, or of a tensor of any library."""
    if hasattr(x, "detach"):  # PyTorch
        x = x.detach().cpu()
    return np.asarray(x)


def parts_of(x: Any) -> Iterator[np.ndarray]:
    """Yield an array or tensor part by part, as NumPy arrays that are small whatever its size."""
    shape = shape_of(x)
    if not shape:
        yield to_numpy(x)
        return
    rows = max(1, VALUES_AT_ONCE // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], rows):
        yield to_numpy(x[start : start + rows])


def range_of(x: Any) -> tuple[float, float]:
    """Return the lowest and the highest value of an array that is not empty; NaN for both if one value is NaN."""
    with np.errstate(invalid="ignore"):
        lows, highs = zip(*((part.min(), part.max()) for part in parts_of(x)), strict=True)
    return np.min(lows), np.max(highs)


def check_images(images: Any, image_shape: Sequence[int] | None = None, name: str = "images") -> Any:
    """Raise unless `images` is a float array (N, H, W, C) of finite values in [-0.5, 0.5], but for rounding.

    Of a tensor inside a compiled function, only shape and dtype are checked. Returns `images`; a list as an array.
    """
    if isinstance(images, (tuple, list)) and any(len(shape_of(each)) == 4 for each in images):
        raise ValueError(
            f"{name} must be one array, but a {type(images).__name__} of {len(images)} arrays was given. Give the "
            "images alone; if these are several batches, np.concatenate(images)."
        )
    images = as_array(images, name)
    check_image_type(images, image_shape, name)
    if not is_array(images) or 0 in shape_of(images):
        return images
    low, high = range_of(images)
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = sum(np.count_nonzero(~np.isfinite(part).all(axis=(1, 2, 3))) for part in parts_of(images))
        raise ValueError(f"{name} contain NaN or infinity, in {bad} of {len(images)} images.")
    if low < -0.5 - ROUNDING or high > 0.5 + ROUNDING:
        raise ValueError(
            f"{name} must lie in [-0.5, 0.5], but lie in [{low:.7g}, {high:.7g}]. "
            "For pixels in 0..255, convert: images / 255 - 0.5; for pixels in [0, 1]: images - 0.5. "
            "What a decoder alone made may lie a little beyond: clip it, np.clip(images, -0.5, 0.5)."
        )
    return images


def check_image_type(images: Any, image_shape: Sequence[int] | None = None, name: str = "images") -> None:
    """Raise unless `images`, an array or tensor, is floating point and has the shape (N, *image_shape)."""
    shape, dtype = shape_of(images), dtype_of(images)
    if len(shape) != 4:
        raise ValueError(
            f"{name} must have rank 4, (batch, height, width, channels), but have shape {shape}. "
            "For one image, add a batch axis: images[None]; for images without channels, images[..., None]."
        )
    if image_shape is not None and not _fits(shape[1:3], image_shape[:2]):
        raise ValueError(f"{name} must be {image_shape[0]} x {image_shape[1]}, but have shape {shape}.")
    if image_shape is not None and not _fits(shape[3:], image_shape[2:]):
        raise ValueError(f"{name} must have {image_shape[2]} channel(s) on the last axis, but have shape {shape}.")
    if not dtype.startswith(("float", "bfloat")):
        raise TypeError(
            f"{name} must be floating point, but are {dtype}. Convert: images.astype('float32') / 255 - 0.5."
        )


def check_labels(labels: Any, number: int | None, num_classes: int | None = None, name: str = "labels") -> Any:
    """Raise unless `labels` are `number` integers in [0, num_classes), or from 0 where no `num_classes` is given.

    Returns them, of shape (N,): a list as an array, a column (N, 1) without its second axis. Of a tensor inside a
    compiled function, only shape and dtype are checked.
    """
    expected = f"{'' if number is None else f'{number} '}integers, one an image"
    if labels is None:
        raise ValueError(f"{name} are missing. Give {expected}.")
    labels = _without_column(as_array(labels, name))
    shape, dtype = shape_of(labels), dtype_of(labels)
    is_vector = len(shape) == 1 or _is_column(shape)
    if not is_vector or number not in (None, shape[0]) or not dtype.startswith(("int", "uint")):
        hint = _hint_for_labels(shape, dtype)
        raise ValueError(f"{name} must be {expected}, but are {dtype} of shape {shape}.{hint}")
    if is_array(labels) and len(labels):
        low, high = range_of(labels)
        if low < 0 or (num_classes is not None and high >= num_classes):
            inside = "be labels from 0" if num_classes is None else f"lie in 0..{num_classes - 1}"
            raise ValueError(f"{name} must {inside}, but lie in {low}..{high}.")
    return labels


def _without_column(labels: Any) -> Any:
    """Return labels in a column, (N, 1), as (N,), and all others as they are; so, too, what only describes a tensor."""
    return labels[:, 0] if _is_column(shape_of(labels)) and hasattr(labels, "__getitem__") else labels


def _is_column(shape: Sequence[int | None]) -> bool:
    return len(shape) == 2 and shape[1] == 1


def _hint_for_labels(shape: Sequence[int | None], dtype: str) -> str:
    if len(shape) == 2 and not _is_column(shape):
        return " For one-hot labels: np.argmax(labels, axis=-1)."
    if dtype.startswith(("str", "bytes", "object")):
        return " For names: class_names, labels = np.unique(names, return_inverse=True)."
    return "" if dtype.startswith(("int", "uint")) else " Convert: labels.astype('int32')."


def check_codes(
    codes: Any, num_embeddings: int, code_shape: Sequence[int] | None = None, name: str = "codes"
) -> np.ndarray:
    """Raise unless `codes` is an integer array in [0, num_embeddings); return it as int32 NumPy."""
    codes = as_array(codes, name)
    check_code_type(codes, code_shape, name)
    check_code_range(codes, num_embeddings, name)
    return to_numpy(codes).astype("int32")


def check_code_type(codes: Any, code_shape: Sequence[int] | None = None, name: str = "codes") -> None:
    """Raise unless `codes` are integers and, if `code_shape` is given, of shape (N, *code_shape)."""
    shape, dtype = shape_of(codes), dtype_of(codes)
    if not dtype.startswith(("int", "uint")):
        raise TypeError(f"{name} must be integers (code indices), but are {dtype}. Convert: codes.astype('int32').")
    if code_shape is not None and not (shape and _fits(shape[1:], code_shape)):
        expected = ", ".join(str(n) for n in code_shape)
        raise ValueError(f"{name} must have shape (batch, {expected}), but have shape {shape}.")


def check_code_range(codes: Any, num_embeddings: int, name: str = "codes") -> None:
    """Raise unless `codes`, an array or tensor, lie in [0, num_embeddings)."""
    low, high = range_of(codes) if 0 not in shape_of(codes) else (0, 0)
    if low < 0 or high >= num_embeddings:
        raise ValueError(
            f"{name} must lie in 0..{num_embeddings - 1} (num_embeddings={num_embeddings}), but lie in {low}..{high}."
        )


def check_condition(prior: Any, condition: Any, number: int | None = None) -> Any:
    """Raise unless `condition` is what conditions a prior: class labels (N,), or grids of codes (N, h', w').

    A prior that learned to be told nothing, with `condition_dropout`, takes the label -1 for that.
    `number` is the N that it must have. Of a tensor inside a compiled function, only dtype and shape are checked.
    Returns the condition; a list as an array.
    """
    what = "grids of codes" if prior.condition_shape else "class labels"
    condition = as_array(condition, "condition")
    shape, dtype = shape_of(condition), dtype_of(condition)
    if not dtype.startswith(("int", "uint")):
        raise TypeError(f"condition must be integers, {what}, but is {dtype}. Convert: condition.astype('int32').")
    if len(shape) < 1 or not _fits(shape[1:], prior.condition_shape) or number not in (None, shape[0]):
        expected = ", ".join(str(n) for n in ("batch" if number is None else number, *prior.condition_shape))
        hint = " For labels in a column: condition[:, 0]." if _is_column(shape) and not prior.condition_shape else ""
        raise ValueError(f"condition must be {what} of shape ({expected}), but has shape {shape}.{hint}")
    if not is_array(condition):
        return condition
    low, high = range_of(condition) if 0 not in shape else (0, 0)
    lowest = -1 if getattr(prior, "condition_dropout", 0) else 0
    if low < lowest or high >= prior.num_conditions:
        nothing = ", or be -1 for nothing," if lowest else ""
        raise ValueError(
            f"condition, {what}, must lie in 0..{prior.num_conditions - 1} (num_conditions={prior.num_conditions})"
            f"{nothing or ','} but lies in {low}..{high}."
        )
    return condition


def check_vectors(z: Any, embedding_dim: int) -> None:
    """Raise unless `z` is a floating-point array or tensor (..., embedding_dim)."""
    shape, dtype = shape_of(z), dtype_of(z)
    if len(shape) < 1 or shape[-1] != embedding_dim:
        raise ValueError(
            f"The last axis of z must have embedding_dim={embedding_dim} entries, but z has shape {shape}. "
            "Channels come last: (batch, height, width, embedding_dim)."
        )
    if not dtype.startswith(("float", "bfloat")):
        raise TypeError(f"z must be floating point, but is {dtype}.")


def refuse_sample_weight(sample_weight: Any, name: str = "sample_weight") -> None:
    """Raise if there are weights: the losses are plain means."""
    if sample_weight is not None:
        raise ValueError(f"{name} is not supported: every example weighs the same. Leave it out.")


def _fits(sizes: Sequence[int | None], expected: Sequence[int]) -> bool:
    """Whether a static shape, with None where any size will do, can be the expected one."""
    return len(sizes) == len(expected) and all(size in (None, n) for size, n in zip(sizes, expected, strict=True))


def _in_words(x: Any) -> str:
    if isinstance(x, dict):
        return f"a dict of {', '.join(map(repr, x))}"
    return repr(x) if x is None or isinstance(x, (str, bytes)) else f"a {type(x).__name__}"

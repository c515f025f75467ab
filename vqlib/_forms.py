"""The forms in which people have images and labels, made into the one that every model takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqlib._checks import ROUNDING, as_array, to_numpy

OURS = (-0.5, 0.5)


def as_images(given: Mapping[str, Any], value_range: tuple[float, float] | None = None) -> dict[str, np.ndarray]:
    """Return images as float32 arrays (N, H, W, C) in [-0.5, 0.5].

    Parameters
    ----------
    given : dict of str to array, tensor or sequence of images
        By the name that an error is to call them; (N, H, W) or (N, H, W, C), all with the same H, W and C.
    value_range : pair of float, optional
        The values of black and white. Without it they are found from dtype and values of all arrays together: uint8 in
        0..255, floating point in [0, 1] or in [-0.5, 0.5].

    Raises
    ------
    TypeError, ValueError
        If shapes or values are none of these, or leave the range open.
    """
    arrays = {name: _with_channels(name, _as_array(name, value)) for name, value in given.items()}
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"All images must have the same height, width and channels, but there are: {found}.")
    for name, array in arrays.items():
        bad = np.count_nonzero(~np.isfinite(array).all(axis=(1, 2, 3)))
        if bad:
            raise ValueError(f"{name} contains NaN or infinity, in {bad} of {len(array)} images.")
    black, white = _found_range(arrays) if value_range is None else _checked_range(value_range)
    return {name: _rescaled(name, array, black, white) for name, array in arrays.items()}


def split_rows(
    number: int, validation: float, test: float, seed: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which of `number` rows are to train, to validate and to test on, in an order drawn with the seed.

    `validation` and `test` are shares of all rows; one that is not 0 gets a row at least. Where both are 0, nothing is
    drawn, and the order stays.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise ValueError(f"{name} must be a share of the images, at least 0 and below 1, but {share!r} was given.")
    sizes = [max(round(share * number), 1) if share else 0 for share in (validation, test)]
    if sum(sizes) >= number:
        raise ValueError(
            f"{number} images are too few to set {sizes[0]} aside for validation and {sizes[1]} for tests, "
            "and train on the others. Give more images, or smaller shares."
        )
    order = np.random.default_rng(seed).permutation(number) if any(sizes) else np.arange(number)
    train_rows, validation_rows, test_rows = np.split(order, [number - sum(sizes), number - sizes[1]])
    return train_rows, validation_rows, test_rows


def rescaled(pixels: np.ndarray, black: float, white: float) -> np.ndarray:
    """Return ``(pixels - black) / (white - black) - 0.5`` in float32, without more than one copy."""
    images = pixels.astype("float32")
    if (black, white) == OURS:
        return images
    images -= np.float32(black)
    images /= np.float32(white - black)
    images -= np.float32(0.5)
    return images


def _as_array(name: str, images: Any) -> np.ndarray:
    """Return images as an array of numbers or booleans, whatever its shape."""
    array = to_numpy(as_array(images, name))
    if array.dtype != bool and not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
        raise TypeError(f"{name} must be images, arrays of numbers, but is {array.dtype} of shape {array.shape}.")
    return array


def _with_channels(name: str, array: np.ndarray) -> np.ndarray:
    """Return images as (N, H, W, C), or raise if the shape is not clearly that of images."""
    shape = array.shape
    expected = f"{name} must have shape (images, height, width) or (images, height, width, channels), but has {shape}. "
    if array.ndim == 3 and shape[-1] in (1, 3, 4):
        raise ValueError(f"{expected}If it is one image, add an axis in front: {name}[None].")
    if array.ndim == 3:
        return array[..., None]
    if array.ndim == 2:
        raise ValueError(f"{expected}If each row is one image, give it back its sides: {name}.reshape(-1, 28, 28).")
    if array.ndim != 4:
        raise ValueError(expected.strip())
    if shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise ValueError(f"{expected}Its channels come first: move them to the end, np.moveaxis({name}, 1, -1).")
    return array


def _checked_range(value_range: Any) -> tuple[float, float]:
    if np.shape(value_range) != (2,) or not value_range[0] < value_range[1]:
        raise ValueError(f"value_range must be (black, white), the first below the second, but is {value_range!r}.")
    return float(value_range[0]), float(value_range[1])


def _found_range(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return the values of black and white, where dtype and values tell; otherwise raise with what was found."""
    names, kinds = " and ".join(arrays), sorted({str(array.dtype) for array in arrays.values()})
    filled = [array for array in arrays.values() if array.size]
    if not filled:
        raise ValueError(f"{names}: there are no images.")
    low, high = min(float(array.min()) for array in filled), max(float(array.max()) for array in filled)
    found = f"{names}: the values are {' and '.join(kinds)} in [{low:.6g}, {high:.6g}]"
    if kinds == ["bool"]:
        return 0.0, 1.0
    if kinds == ["uint8"]:
        if high > 1:
            return 0.0, 255.0
        raise ValueError(
            f"{found}, so that nearly black pixels in 0..255 cannot be told from pixels that are 0 or 1. "
            "Say which: value_range=(0, 255) or value_range=(0, 1)."
        )
    if all(np.issubdtype(kind, np.floating) for kind in kinds):
        if -0.5 - ROUNDING <= low < -ROUNDING and high <= 0.5 + ROUNDING:
            return OURS
        if low >= -ROUNDING and 0.5 + ROUNDING < high <= 1 + ROUNDING:
            return 0.0, 1.0
        if low >= -ROUNDING and high <= 0.5 + ROUNDING:
            raise ValueError(
                f"{found}, which may be the dark half of [0, 1] or the bright half of [-0.5, 0.5]. "
                "Say which: value_range=(0, 1) or value_range=(-0.5, 0.5)."
            )
    raise ValueError(
        f"{found}, which is none of the usual forms: uint8 in 0..255, floating point in [0, 1], floating point in "
        "[-0.5, 0.5]. Say which values are black and white, for example value_range=(0, 255), (0, 16) or (-1, 1)."
    )


def _rescaled(name: str, array: np.ndarray, black: float, white: float) -> np.ndarray:
    """Return images in [-0.5, 0.5]; a rounding beyond the range is cut off, and more is refused."""
    if array.size:
        low, high, slack = float(array.min()), float(array.max()), ROUNDING * (white - black)
        if low < black - slack or high > white + slack:
            raise ValueError(
                f"{name} must lie in [{black:g}, {white:g}], its value_range, but lies in [{low:.6g}, {high:.6g}]."
            )
    images = rescaled(array, black, white)
    return np.clip(images, *OURS, out=images)

"""What picture formats pay for images, and what they lose: the rivals of codes and a prior."""

import io
import math
import numbers
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.features
import PIL.Image

from vqlib._checks import check_images, to_numpy
from vqlib.data import to_images, to_pixels
from vqlib.metrics import mean_squared_error

# How Pillow writes each format, at its smallest, with and without loss.
LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"optimize": True}, "WebP": {"method": 6}}
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {"optimize": True},
    "WebP": {"method": 6, "lossless": True, "quality": 100},
}


def codec_rate(
    images: npt.ArrayLike, codec: Literal["PNG", "JPEG", "WebP"], quality: int | None = None, sheet: bool = False
) -> tuple[float, float]:
    """Measure what a picture format pays for images and what it loses, from files that Pillow writes and reads back.

    Pillow comes with Matplotlib.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        Grey or colour: C is 1 or 3. Rounded to 8 bits a channel first.
    codec : "PNG", "JPEG" or "WebP"
    quality : int in 0..100, optional
        For JPEG and WebP; without it, PNG and WebP lose nothing.
    sheet : bool
        False: a file for each image, which for a small image is mostly header. True: one file, with all images tiled
        in a square, the rest black. They share the header, and also the blocks and tables of the codec.

    Returns
    -------
    bits_per_image : float
        8 times the bytes of all files, header and all, over N.
    mse : float
        Mean squared error of what the files decode to, on the scale of the images.

    Raises
    ------
    TypeError, ValueError
        If the images have another type, shape or range, there are none, or the codec does not go with the quality.
    RuntimeError
        If this Pillow cannot write WebP.
    """
    images = to_numpy(check_images(images))
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, grey or colour, but have shape {images.shape}.")
    if not len(images):
        raise ValueError("There are no images to measure.")
    options = _options(codec, quality)
    pixels = np.stack([to_pixels(image) for image in images])
    pictures = [_tile(pixels)] if sheet else list(pixels)
    grey = pixels.shape[-1] == 1
    size, decoded = 0, []
    for picture in pictures:
        file = io.BytesIO()
        PIL.Image.fromarray(picture[..., 0] if grey else picture).save(file, codec, **options)
        size += len(file.getvalue())
        read = PIL.Image.open(file).convert("L" if grey else "RGB")  # WebP has no grey
        decoded.append(np.asarray(read).reshape(picture.shape))
    found = _untile(decoded[0], pixels.shape) if sheet else np.stack(decoded)
    return 8 * size / len(images), mean_squared_error(images, to_images(found))


def codec_rate_at(images: npt.ArrayLike, codec: Literal["JPEG", "WebP"], mse: float, sheet: bool = False) -> float:
    """Return the bits an image that a lossy picture format pays for a given error.

    Qualities are whole numbers, and none gives exactly this error. So the two neighbours are found between which the
    error lies, and the logarithm of the bits is interpolated along the logarithm of the error, in which a format's
    curve is nearly straight.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        As for :func:`codec_rate`.
    codec : "JPEG" or "WebP"
    mse : float, above 0
        The mean squared error to be reached, on the scale of the images.
    sheet : bool
        As for :func:`codec_rate`.

    Returns
    -------
    bits_per_image : float

    Raises
    ------
    TypeError, ValueError
        As for :func:`codec_rate`; and if `mse` is not above 0, or if even the worst quality is better than that, or the
        best one worse.
    """
    if not (isinstance(mse, numbers.Real) and mse > 0):
        raise ValueError(f"mse must be above 0, but {mse!r} was given. Without loss: codec_rate(images, codec).")
    low, high = 0, 100
    worse, better = (codec_rate(images, codec, quality, sheet) for quality in (low, high))
    if not better[1] <= mse <= worse[1]:
        raise ValueError(
            f"{codec} reaches errors from {better[1]:.3g}, at quality {high}, to {worse[1]:.3g}, at quality {low}, "
            f"on these images, but mse is {mse:.3g}."
        )
    while high - low > 1:  # the error lies between the two throughout, even where it does not fall at each step
        quality = (low + high) // 2
        found = codec_rate(images, codec, quality, sheet)
        if found[1] > mse:
            low, worse = quality, found
        else:
            high, better = quality, found
    if better[1] == 0 or worse[1] == better[1]:  # a logarithm of 0, or no line between the two
        return better[0]
    share = math.log(worse[1] / mse) / math.log(worse[1] / better[1])  # of the way from the worse to the better
    return worse[0] ** (1 - share) * better[0] ** share


def _options(codec: str, quality: int | None) -> dict[str, Any]:
    """Return how Pillow is to write the format, or raise."""
    known, how = (LOSSLESS, "without") if quality is None else (LOSSY, "with")
    if codec not in known:
        raise ValueError(f"There is no codec {codec!r} {how} a quality. Known {how} one: {', '.join(known)}.")
    if codec == "WebP" and not PIL.features.check("webp"):
        raise RuntimeError("This Pillow was built without WebP. Install one from PyPI: pip install --upgrade pillow.")
    if quality is None:
        return known[codec]
    is_integer = isinstance(quality, numbers.Integral) and not isinstance(quality, bool)
    if not is_integer or not 0 <= quality <= 100:
        raise ValueError(f"quality must be an integer in 0..100, but {quality!r} was given.")
    return {**known[codec], "quality": int(quality)}


def _tile(pixels: np.ndarray) -> np.ndarray:
    """Return one picture of all images, row by row: (N, H, W, C) -> (h * H, w * W, C), zero where images run out."""
    number, height, width, channels = pixels.shape
    columns = math.ceil(math.sqrt(number))
    padded = np.pad(pixels, [[0, -number % columns], [0, 0], [0, 0], [0, 0]])
    grid = padded.reshape(-1, columns, height, width, channels).swapaxes(1, 2)  # (h, H, w, W, C)
    return grid.reshape(-1, columns * width, channels)


def _untile(sheet: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the images of a sheet that :func:`_tile` made: (h * H, w * W, C) -> `shape`, (N, H, W, C)."""
    number, height, width, channels = shape
    grid = sheet.reshape(len(sheet) // height, height, -1, width, channels).swapaxes(1, 2)  # (h, w, H, W, C)
    return grid.reshape(-1, height, width, channels)[:number]

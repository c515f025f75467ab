"""How good samples and codes are: distances between features, nearest images, picture codecs."""

import io
import math
import numbers
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.features
import PIL.Image

from vqlib._checks import check_images, check_positive_integer, to_numpy
from vqlib._progress import announced
from vqlib.data import to_images
from vqlib.metrics import mean_squared_error

# How Pillow writes each format, at its smallest, with and without loss.
LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"optimize": True}, "WebP": {"method": 6}}
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {"optimize": True},
    "WebP": {"method": 6, "lossless": True, "quality": 100},
}


def frechet_distance(features: npt.ArrayLike, other_features: npt.ArrayLike) -> float:
    r"""Return the Frechet distance between two sets of features, each taken for a Gaussian.

    :math:`\|\mu_1 - \mu_2\|^2 + \mathrm{Tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})`, equation 6 of Heusel
    et al. (2017), "GANs trained by a two time-scale update rule converge to a local Nash equilibrium": the square of
    the distance, which is what gets reported. It compares only with what the same features gave at the same N.

    Parameters
    ----------
    features, other_features : float arrays, shapes (N, F) and (M, F)
        Finite; N and M above F, since fewer rows leave a covariance without full rank.

    Returns
    -------
    float, at least 0, in squared units of the features; computed in float64

    Raises
    ------
    ValueError
        If the features have another shape, too few rows, or values that are not finite.
    """
    mean, covariance = _moments(features, "features")
    other_mean, other_covariance = _moments(other_features, "other_features")
    if len(mean) != len(other_mean):
        raise ValueError(f"Both must have as many features, but have {len(mean)} and {len(other_mean)}.")
    # Tr((S1 S2)^(1/2)) is the sum of the singular values of S1^(1/2) S2^(1/2): no root of an unsymmetric matrix.
    fidelity = np.linalg.norm(_root(covariance) @ _root(other_covariance), "nuc")
    distance = np.sum((mean - other_mean) ** 2) + np.trace(covariance + other_covariance) - 2 * fidelity
    return max(float(distance), 0.0)  # rounding can leave it below by 1e-14 of the traces


def frechet_floor(features: npt.ArrayLike, sizes: Sequence[int], repeats: int = 10, seed: int | None = 0) -> np.ndarray:
    """Return Frechet distances of real against real: what a perfect model would score, by the number of images.

    The distance between finite sets is biased: its mean falls about as 1 / N towards the true one (Chong and Forsyth
    2020, "Effectively unbiased FID and Inception Score and where to find them"). Judge N samples by the floor at N.

    Parameters
    ----------
    features : float array, shape (M, F)
        Of real images.
    sizes : sequence of int
        Each N above F, and at most M / 2.
    repeats : int
        How many draws of two disjoint sets of N rows. All are from the same M rows, so that near N = M / 2 they spread
        less than fresh images would.
    seed : int or None
        None draws anew each time.

    Returns
    -------
    float64 array, shape (len(sizes), repeats); its mean and standard deviation over the last axis are the floor
    """
    check_positive_integer("repeats", repeats)
    rows = to_numpy(features)
    for size in sizes:
        check_positive_integer("Each entry of sizes", size)
        if 2 * size > len(rows):
            raise ValueError(f"Two disjoint sets of {size} need {2 * size} rows, but features has {len(rows)}.")
    generator = np.random.default_rng(seed)

    def draw(size: int) -> float:
        drawn = generator.permutation(rows)[: 2 * size]
        return frechet_distance(drawn[:size], drawn[size:])

    draws = announced([size for size in sizes for _ in range(repeats)], "frechet_floor")
    return np.reshape([draw(size) for size in draws], (len(sizes), repeats))


def _moments(features: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (F,) and covariance (F, F) in float64, of checked features."""
    rows = to_numpy(features).astype("float64")
    if rows.ndim != 2:
        raise ValueError(f"{name} must have shape (images, features), but has shape {rows.shape}.")
    if len(rows) <= rows.shape[1]:
        least = rows.shape[1] + 1
        raise ValueError(f"{name} has {len(rows)} rows; a covariance of full rank needs {least}. Give more images.")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinity.")
    return rows.mean(axis=0), np.cov(rows, rowvar=False).reshape(rows.shape[1], -1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def nearest_images(images: npt.ArrayLike, training_images: npt.ArrayLike, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Find the training images nearest to each image, pixel by pixel: a sample that was memorised shows itself.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
    training_images : float array, shape (M, H, W, C), in [-0.5, 0.5]
    k : int, at most M

    Returns
    -------
    indices : int64 array, shape (N, k)
        Into `training_images`, the nearest first.
    squared_distances : float64 array, shape (N, k)
        Sums over the pixels; divided by H * W * C, mean squared errors.

    Raises
    ------
    TypeError, ValueError
        If the images have another type, shape or range, or there are fewer than k training images.
    """
    from sklearn.neighbors import NearestNeighbors

    queries = to_numpy(check_images(images))
    collection = to_numpy(check_images(training_images, queries.shape[1:], "training_images"))
    if check_positive_integer("k", k) > len(collection):
        raise ValueError(f"k must be at most the number of training images, {len(collection)}, but {k} was given.")
    if not len(queries):
        return np.zeros((0, k), "int64"), np.zeros((0, k))
    rows, training_rows = (np.reshape(x, (len(x), -1)) for x in (queries, collection))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(training_rows)  # in chunks, by its own working
    indices = search.kneighbors(rows, return_distance=False)  # (N, k)
    differences = (training_rows[some] - row.astype("float64") for some, row in zip(indices, rows, strict=True))
    return indices, np.stack([np.sum(difference**2, axis=-1) for difference in differences])


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
    pixels = np.stack([_pixels(image) for image in images])
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


def _pixels(image: np.ndarray) -> np.ndarray:
    """Return an image in [-0.5, 0.5], or a rounding beyond, as pixels, uint8."""
    return np.clip(np.round((image.astype("float64") + 0.5) * 255), 0, 255).astype("uint8")


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

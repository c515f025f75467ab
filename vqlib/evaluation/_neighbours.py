"""Did a model learn by heart? The training images, or training grids of codes, that are nearest to its samples."""

import numpy as np
import numpy.typing as npt

from vqlib._checks import as_array, check_code_type, check_images, check_positive_integer, shape_of, to_numpy
from vqlib._progress import announced


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
    _check_number(k, len(collection), "images")
    if not len(queries):
        return np.zeros((0, k), "int64"), np.zeros((0, k))
    rows, training_rows = (np.reshape(x, (len(x), -1)) for x in (queries, collection))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(training_rows)  # in chunks, by its own working
    indices = search.kneighbors(rows, return_distance=False)  # (N, k)
    differences = (training_rows[some] - row.astype("float64") for some, row in zip(indices, rows, strict=True))
    return indices, np.stack([np.sum(difference**2, axis=-1) for difference in differences])


def nearest_grids(codes: npt.ArrayLike, training_codes: npt.ArrayLike, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Find the training grids nearest to each grid, in Hamming distance: the number of places where codes differ.

    The distance of Hamming (1950), "Error detecting and error correcting codes". Codes are names: two different ones
    are as different as any other two.

    Parameters
    ----------
    codes : int array, shape (N, h, w)
    training_codes : int array, shape (M, h, w)
    k : int, at most M

    Returns
    -------
    indices : int64 array, shape (N, k)
        Into `training_codes`, the nearest first; of equally near ones, the earlier first.
    distances : int64 array, shape (N, k), in 0..h * w

    Raises
    ------
    TypeError, ValueError
        If the codes are no integers, the grids have another shape, or there are fewer than k training grids.
    """
    queries = _check_grids(codes, "codes")
    collection = _check_grids(training_codes, "training_codes", shape_of(queries)[1:])
    _check_number(k, len(collection), "grids")
    indices, distances = np.zeros((2, len(queries), k), "int64")
    small = np.min_scalar_type(collection[0].size)  # a sort of small integers counts them, which is quick
    for n, query in enumerate(announced(list(queries), "nearest_grids")):
        differences = np.count_nonzero(collection != query, axis=(1, 2)).astype(small)  # (M,)
        indices[n] = np.argsort(differences, kind="stable")[:k]
        distances[n] = differences[indices[n]]
    return indices, distances


def _check_grids(codes: npt.ArrayLike, name: str, code_shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return grids of integers (N, h, w) as int32, or raise."""
    codes = as_array(codes, name)
    check_code_type(codes, code_shape, name)
    if len(shape_of(codes)) != 3:
        shape = shape_of(codes)
        raise ValueError(
            f"{name} must be grids, (number, height, width), but have shape {shape}. For one grid: codes[None]."
        )
    return to_numpy(codes).astype("int32")


def _check_number(k: int, number: int, what: str) -> None:
    if check_positive_integer("k", k) > number:
        raise ValueError(f"k must be at most the number of training {what}, {number}, but {k} was given.")

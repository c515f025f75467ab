"""Are two sets of images alike? Distances between their features, and the two ways in which samples can fail."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqlib._checks import check_positive_integer, to_numpy
from vqlib._progress import announced

VALUES_AT_ONCE = 2**22  # of a matrix with a row for each image of one set, and a column for each of the other


# The Frechet distance


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
    rows, other_rows = _check_features(features, other_features, ("features", "other_features"))
    mean, covariance = _moments(rows, "features")
    other_mean, other_covariance = _moments(other_rows, "other_features")
    # Tr((S1 S2)^(1/2)) is the sum of the singular values of S1^(1/2) S2^(1/2): no root of an unsymmetric matrix.
    fidelity = np.linalg.norm(_root(covariance) @ _root(other_covariance), "nuc")
    distance = np.sum((mean - other_mean) ** 2) + np.trace(covariance + other_covariance) - 2 * fidelity
    return max(float(distance), 0.0)  # rounding can leave it below by 1e-14 of the traces


def frechet_floor(features: npt.ArrayLike, sizes: Sequence[int], repeats: int = 10, seed: int | None = 0) -> np.ndarray:
    """Return Frechet distances of real against real: what a perfect model would score, by the number of images.

    The distance between finite sets is biased: its mean falls about as 1 / N towards the true one (Chong and Forsyth
    2020, "Effectively unbiased FID and Inception Score and where to find them"). Judge N samples by the floor at N:
    :func:`frechet_excess` does.

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
        _check_pair_of_sets("Each entry of sizes", size, len(rows), "features")
    generator = np.random.default_rng(seed)

    def draw(size: int) -> float:
        drawn = generator.permutation(rows)[: 2 * size]
        return frechet_distance(drawn[:size], drawn[size:])

    draws = announced([size for size in sizes for _ in range(repeats)], "frechet_floor")
    return np.reshape([draw(size) for size in draws], (len(sizes), repeats))


def frechet_excess(
    features: npt.ArrayLike, real_features: npt.ArrayLike, size: int, repeats: int = 10, seed: int | None = 0
) -> np.ndarray:
    """Return Frechet distances of samples above their floor, which hardly depend on the number of images.

    Each draw takes N samples and two disjoint sets of N real images, and returns the distance of the samples from the
    first set, less the distance of the second set from the first. The bias, which falls as 1 / N (Chong and Forsyth
    2020), is in both and cancels as far as samples and real images are spread alike; :func:`frechet_limit` presumes
    nothing of the kind. What is peculiar to the first set, by chance, cancels too. For samples that are as good as
    other real images the mean is 0, and single draws lie to both sides of it.

    Samples that were made of these real images, by a change, would meet their originals in a draw: give other ones.

    Parameters
    ----------
    features : float array, shape (M, F)
        Of samples.
    real_features : float array, shape (L, F)
        Of real images, in any order.
    size : int, N
        Above F, at most M, and at most L / 2.
    repeats : int
        How many draws. All are from the same rows: near N = M or N = L / 2 they spread less than fresh images would.
    seed : int or None
        None draws anew each time.

    Returns
    -------
    float64 array, shape (repeats,), in squared units of the features; its mean is the estimate

    Raises
    ------
    ValueError
        If the features have another shape or values that are not finite, or if there are too few of them.
    """
    check_positive_integer("repeats", repeats)
    rows, real_rows = _check_features(features, real_features, ("features", "real_features"))
    _check_set("size", size, len(rows), "features")
    _check_pair_of_sets("size", size, len(real_rows), "real_features")
    generator = np.random.default_rng(seed)

    def draw() -> float:
        some, real = generator.permutation(rows)[:size], generator.permutation(real_rows)[: 2 * size]
        return frechet_distance(some, real[:size]) - frechet_distance(real[size:], real[:size])

    return np.array([draw() for _ in announced(range(repeats), "frechet_excess")])


def frechet_limit(
    features: npt.ArrayLike,
    real_features: npt.ArrayLike,
    sizes: Sequence[int],
    repeats: int = 10,
    seed: int | None = 0,
) -> np.ndarray:
    """Return Frechet distances extrapolated to infinitely many images.

    Each repeat draws N samples and N real images for each N of `sizes`, fits a straight line to the distances over
    1 / N by least squares, and returns its value at 1 / N = 0: the FID with an index of infinity of Chong and Forsyth
    (2020), "Effectively unbiased FID and Inception Score and where to find them". (There all real images are used at
    each N; here both sets grow, so that nothing is left of the bias of either.)

    Parameters
    ----------
    features : float array, shape (M, F)
        Of samples.
    real_features : float array, shape (L, F)
        Of real images, in any order.
    sizes : sequence of int
        Two different ones or more; each N above F, at most M and at most L. The largest should be several times the
        smallest, and the smallest several times F, below which the bias falls faster than 1 / N.
    repeats : int
        How many lines. All draws are from the same rows, so that they spread less than fresh images would.
    seed : int or None
        None draws anew each time.

    Returns
    -------
    float64 array, shape (repeats,), in squared units of the features; its mean is the estimate. Near 0 it may be below.

    Raises
    ------
    ValueError
        If the features have another shape or values that are not finite, or if there are too few of them or of sizes.
    """
    check_positive_integer("repeats", repeats)
    rows, real_rows = _check_features(features, real_features, ("features", "real_features"))
    for size in sizes:
        _check_set("Each entry of sizes", size, len(rows), "features")
        _check_set("Each entry of sizes", size, len(real_rows), "real_features")
    if len(set(sizes)) < 2:
        raise ValueError(f"A line needs two different sizes, but sizes are {list(sizes)}.")
    generator = np.random.default_rng(seed)

    def draw(size: int) -> float:
        return frechet_distance(generator.permutation(rows)[:size], generator.permutation(real_rows)[:size])

    draws = announced([size for _ in range(repeats) for size in sizes], "frechet_limit")
    distances = np.reshape([draw(size) for size in draws], (repeats, len(sizes)))
    return np.polynomial.polynomial.polyfit(1 / np.asarray(sizes), distances.T, 1)[0]


# A distance without a bias


def kernel_distance(features: npt.ArrayLike, other_features: npt.ArrayLike) -> float:
    r"""Return the squared maximum mean discrepancy between two sets of features, without bias.

    With the kernel :math:`k(x, y) = (x^\top y / F + 1)^3`, the mean of k over pairs within the one set, plus that
    within the other, less twice that over pairs of both: the Kernel Inception Distance of Binkowski et al. (2018),
    "Demystifying MMD GANs", where F features of the Inception network are meant. No image is paired with
    itself, which makes the estimate unbiased (Gretton et al. 2012, equation 3): its mean is the same for any number of
    images. It compares means, covariances and third moments, and takes nothing for a Gaussian.

    Parameters
    ----------
    features, other_features : float arrays, shapes (N, F) and (M, F)
        Finite; N and M at least 2.

    Returns
    -------
    float; 0 in the mean for two sets from one distribution, and so below 0 by chance

    Raises
    ------
    ValueError
        If the features have another shape, too few rows, or values that are not finite.
    """
    rows, other_rows = _check_features(features, other_features, ("features", "other_features"))

    def sum_of_kernel(some: np.ndarray, others: np.ndarray) -> float:
        return sum(float(np.sum((part @ others.T / others.shape[1] + 1) ** 3)) for part in _parts(some, len(others)))

    def mean_within(some: np.ndarray) -> float:
        with_themselves = np.sum((np.sum(some**2, axis=1) / some.shape[1] + 1) ** 3)
        return (sum_of_kernel(some, some) - float(with_themselves)) / (len(some) * (len(some) - 1))

    between = sum_of_kernel(rows, other_rows) / (len(rows) * len(other_rows))
    return mean_within(rows) + mean_within(other_rows) - 2 * between


# Two ways to fail


class PrecisionAndRecall(NamedTuple):
    """The share of samples that look real, and the share of real images that samples come close to; both in [0, 1]."""

    precision: float
    recall: float


def precision_and_recall(features: npt.ArrayLike, real_features: npt.ArrayLike, k: int = 3) -> PrecisionAndRecall:
    """Return the precision and the recall of samples: whether each looks real, and whether nothing real is missing.

    Around each image of a set lies a ball in the space of features, which reaches to the k-th nearest other image of
    that set; all balls together stand for where the set has its images. Precision is the share of samples that lie in
    a ball of real images, recall the share of real images that lie in a ball of samples: equations 1 and 2 of
    Kynkaanniemi et al. (2019), "Improved precision and recall metric for assessing generative models". Both depend on
    the number of images, which should be the same for both sets and be named.

    Parameters
    ----------
    features : float array, shape (N, F)
        Of samples; finite, N above k.
    real_features : float array, shape (M, F)
        Of real images; finite, M above k.
    k : int

    Returns
    -------
    PrecisionAndRecall

    Raises
    ------
    ValueError
        If the features have another shape, too few rows, or values that are not finite.
    """
    check_positive_integer("k", k)
    rows, real_rows = _check_features(features, real_features, ("features", "real_features"))
    for each, name in ((rows, "features"), (real_rows, "real_features")):
        if len(each) <= k:
            raise ValueError(f"{name} has {len(each)} rows; k={k} needs {k + 1} or more. Give more images.")

    def squared_distances(some: np.ndarray, others: np.ndarray) -> Iterator[np.ndarray]:
        norms = np.sum(others**2, axis=1)
        for part in _parts(some, len(others)):
            yield np.sum(part**2, axis=1)[:, None] + norms - 2 * part @ others.T

    def radii(some: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row to its k-th nearest other row."""
        # its own distance, 0 but for rounding, is the least or equals the least: one place further
        return np.concatenate([np.partition(part, k, axis=1)[:, k] for part in squared_distances(some, some)])

    def share_inside(some: np.ndarray, others: np.ndarray) -> float:
        reach = radii(others)
        inside = [(part <= reach).any(axis=1) for part in squared_distances(some, others)]
        return float(np.mean(np.concatenate(inside)))

    return PrecisionAndRecall(share_inside(rows, real_rows), share_inside(real_rows, rows))


# Features, checked


def _check_features(features: Any, others: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return two sets of features in float64, or raise unless both are (rows, F), of 2 rows or more, and finite."""
    both = []
    for x, name in zip((features, others), names, strict=True):
        rows = to_numpy(x).astype("float64")
        if rows.ndim != 2:
            raise ValueError(f"{name} must have shape (images, features), but has shape {rows.shape}.")
        if len(rows) < 2:
            raise ValueError(f"{name} has {len(rows)} rows; at least 2 are needed. Give more images.")
        if not np.isfinite(rows).all():
            raise ValueError(f"{name} holds NaN or infinity.")
        both.append(rows)
    first, second = both
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"Both must have as many features, but have {first.shape[1]} and {second.shape[1]}.")
    return first, second


def _check_set(argument: str, size: int, number: int, name: str) -> None:
    """Raise unless a set of `size` can be drawn from `number` rows."""
    if check_positive_integer(argument, size) > number:
        raise ValueError(f"A set of {size} needs {size} rows, but {name} has {number}.")


def _check_pair_of_sets(argument: str, size: int, number: int, name: str) -> None:
    """Raise unless two disjoint sets of `size` can be drawn from `number` rows."""
    if 2 * check_positive_integer(argument, size) > number:
        raise ValueError(f"Two disjoint sets of {size} need {2 * size} rows, but {name} has {number}.")


def _moments(rows: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (F,) and covariance (F, F), or raise where there are too few rows for it."""
    if len(rows) <= rows.shape[1]:
        least = rows.shape[1] + 1
        raise ValueError(f"{name} has {len(rows)} rows; a covariance of full rank needs {least}. Give more images.")
    return rows.mean(axis=0), np.cov(rows, rowvar=False).reshape(rows.shape[1], -1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _parts(rows: np.ndarray, columns: int) -> Iterator[np.ndarray]:
    """Yield the rows in parts, so that a matrix with `columns` entries for each stays small."""
    step = max(1, VALUES_AT_ONCE // columns)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]

"""One idea of "equal" for the exercises of the chapters and for the checks of the assignments.

Whole numbers and truth values are equal if they are the same. Floats are equal within a tolerance that is relative to
the largest number that is expected, entry by entry: an array that was computed in float32 is wrong by about that much
everywhere, in its small entries too. What is expected to be zero throughout may be missed by the tolerance itself.
"""

from typing import Any

import numpy as np

SMALLEST = 1e-12  # below it, what is expected counts as zero throughout


def as_numbers(answer: Any) -> np.ndarray:
    """Return an answer as an array of numbers.

    Raises
    ------
    TypeError
        If it is none. Its text says what the answer is instead.
    """
    try:
        array = np.asarray(answer)
    except Exception as error:  # unequal lists, symbolic tensors: each library has its own
        parts = isinstance(answer, list | tuple)
        raise TypeError("a list of unequal parts" if parts else f"a {type(answer).__name__}") from error
    if array.dtype.kind not in "biufV" or array.dtype.type is np.void:  # bfloat16 is of the kind V, too
        raise TypeError(str(array.dtype))
    return array


def is_whole(array: np.ndarray) -> bool:
    """Return whether an array holds whole numbers or truth values by its type."""
    return array.dtype.kind in "iub"


def agrees(answer: np.ndarray, expected: np.ndarray, tolerance: float) -> np.ndarray:
    """Return for each entry of two arrays of one shape whether they are equal.

    Parameters
    ----------
    answer, expected : arrays of numbers
        NaN equals NaN.
    tolerance : float
        For floats, relative to the largest finite number of `expected`.
    """
    if is_whole(answer) and is_whole(expected):
        return answer == expected
    answer, expected = answer.astype("float64"), expected.astype("float64")
    largest = float(np.max(np.abs(expected[np.isfinite(expected)]), initial=0))
    scale = largest if largest > SMALLEST else 1.0
    return np.isclose(answer, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def is_equal(answer: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Return whether two arrays have one shape and are equal in each entry."""
    return answer.shape == expected.shape and bool(np.all(agrees(answer, expected, tolerance)))

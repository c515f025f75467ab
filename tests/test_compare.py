"""One idea of "equal": the exercises of the chapters and the checks of the assignments give one verdict."""

import ml_dtypes
import numpy as np
import pytest

import vqlib.coursework
from vqlib import check
from vqlib._compare import agrees, as_numbers, is_equal


def verdicts(answer, expected, tolerance=1e-5):
    """Return whether an answer passes as an exercise's, and as an assignment's."""
    try:
        vqlib.coursework.compare(answer, expected, tolerance=tolerance)
        passes = True
    except AssertionError:
        passes = False
    return check(lambda: answer, ((), expected), tolerance=tolerance), passes


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ([1.05e-4], [1e-4], False),  # small is not near to small
        ([1.000001e-4], [1e-4], True),
        ([1e6, 1.0], [1e6, 1.5], True),  # an array in float32 is wrong by about that much everywhere
        ([1e6, 1.0], [1e6, 21.5], False),
        ([1e-16, 0], [0.0, 0.0], True),
        ([1e-3, 0], [0.0, 0.0], False),
        ([np.nan, 1.0], [np.nan, 1.0], True),
        ([np.nan, 1.0], [0.5, 1.0], False),
        ([np.inf, 1.0], [np.inf, 1.0], True),
        ([-np.inf, 1.0], [np.inf, 1.0], False),
        (np.array([1, 2], "int8"), [1, 2], True),
        ([1, 3], [1, 2], False),
        ([1.0, 2.0], [1, 2], False),  # whole numbers are asked for
        ([1, 2], [1.0, 2.0], True),
        ([True, False], [True, False], True),
        (np.array([0.5, 1.5], ml_dtypes.bfloat16), [0.5, 1.5], True),
        (2**53 + 1, 2**53, False),
        (["a"], [1.0], False),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], False),
        ([1.0, 2.0], [[1.0, 2.0]], False),
    ],
)
def test_exercises_and_assignments_agree(answer, expected, right):
    assert verdicts(answer, expected) == (right, right)


def test_tolerance_is_relative_to_the_largest_finite_number_that_is_expected():
    expected = np.array([100.0, 1.0, np.inf])
    np.testing.assert_array_equal(agrees(np.array([100.9, 1.9, np.inf]), expected, 0.01), [True, True, True])
    np.testing.assert_array_equal(agrees(np.array([102.1, 2.1, np.inf]), expected, 0.01), [False, False, True])


def test_arrays_of_other_shapes_are_not_equal():
    assert not is_equal(np.ones(3), np.ones((1, 3)), 1e-5)
    assert is_equal(np.ones(3), np.ones(3), 1e-5)


class Symbolic:
    """A tensor without a value."""

    def __array__(self, *arguments, **named):
        """Refuse."""
        raise NotImplementedError("no value")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([[1], [2, 3]], "a list of unequal parts"),
        (Symbolic(), "a Symbolic"),
        (["a"], "<U1"),
        ({"mean": 1}, "object"),
        (np.zeros(2, "V8"), r"\|V8"),
    ],
)
def test_what_is_no_array_of_numbers_is_said(answer, words):
    with pytest.raises(TypeError, match=f"^{words}$"):
        as_numbers(answer)

"""The checks of the exercises: right answers pass however they are written, wrong ones do not, blanks are told."""

import functools

import keras
import numpy as np
import pytest

from vqlib import check


def says(capsys):
    return capsys.readouterr().out


CODES = (([[1, 2], [0, 2]],), np.array([[1, 2], [0, 2]]), "look at the axes")
MEAN = ((np.array([1.0, 2.0, 4.5]),), 2.5)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: x,
        lambda x: np.array(x, "int32"),
        lambda x: np.array(x, "uint8"),
        lambda x: tuple(map(tuple, x)),
        lambda x: keras.ops.convert_to_tensor(x),
        functools.partial(np.asarray, dtype="int64"),
    ],
)
def test_right_codes_pass_however_they_are_written(answer, capsys):
    assert check(answer, CODES) is True
    assert "the check passes" in says(capsys)


def test_an_empty_answer_need_not_say_of_what_it_is_empty():
    assert check(lambda x: [], ((1,), np.flatnonzero([0, 0]))) is True
    assert check(lambda x: [], ((1,), np.flatnonzero([0, 1]))) is False


@pytest.mark.parametrize(
    "answer",
    [
        np.mean,
        lambda x: float(sum(x) / len(x)),
        lambda x: np.float32(np.mean(x)),
        lambda x: keras.ops.mean(keras.ops.cast(x, "float32")),
        lambda x: np.mean(x) + 1e-7,
        keras.ops.mean,
    ],
)
def test_right_numbers_pass_however_they_are_written(answer, capsys):
    assert check(answer, MEAN) is True
    assert "the check passes" in says(capsys)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: [[1, 2], [0, 1]], "1 of 4 entries are not right"),
        (lambda x: [[1, 2]], r"The shape is (1, 2), but (2, 2) is expected"),
        (lambda x: np.array(x).ravel(), r"The shape is (4,), but (2, 2) is expected"),
        (lambda x: np.array(x, float).T, "2 of 4 entries are not right"),
    ],
)
def test_wrong_codes_fail_with_the_hint(answer, message, capsys):
    assert check(answer, CODES) is False
    out = says(capsys)
    assert message in out
    assert "Hint: look at the axes" in out
    assert "pass" not in out


def test_codes_as_floats_fail_without_a_hint_that_is_about_their_values(capsys):
    assert check(lambda x: np.array(x, float), CODES) is False
    out = says(capsys)
    assert "The values are right, but of type float64; int64 is expected." in out
    assert "Hint" not in out


@pytest.mark.parametrize("answer", [np.sum, np.median, lambda x: np.mean(x) + 1e-3, lambda x: np.nan, lambda x: "2.5"])
def test_wrong_numbers_fail(answer, capsys):
    assert check(answer, MEAN) is False
    assert "not yet" in says(capsys)


def test_an_answer_that_is_no_array_fails_without_an_exception(capsys):
    assert check(lambda x: [[1.0], [1.0, 2.0]], MEAN) is False
    assert check(lambda x: {"mean": 2.5}, MEAN) is False
    assert check(lambda x: lambda: 2.5, MEAN) is False
    assert says(capsys).count("not yet") == 3


def test_the_right_answer_is_not_given_away(capsys):
    check(lambda x: 2.0, MEAN)
    assert "2.5" not in says(capsys)


def test_tolerance_is_used():
    assert check(lambda: 1.01, ((), 1.0), tolerance=0.1)
    assert not check(lambda: 1.01, ((), 1.0), tolerance=1e-3)


def test_every_case_counts(capsys):
    double = ((2,), 4)
    assert check(lambda x: x * 2, double, ((3,), 6))
    assert not check(lambda x: x**2, double, ((3,), 6, "2 x 2 is also 2 squared"))
    assert "Hint: 2 x 2 is also 2 squared" in says(capsys)


def test_only_the_hint_of_the_failing_case_is_shown(capsys):
    check(lambda x: x**2, ((2,), 4, "first"), ((3,), 6, "second"), ((4,), 8, "third"))
    out = says(capsys)
    assert "second" in out
    assert "first" not in out
    assert "third" not in out


def blank(x):
    """An exercise as the reader finds it."""
    ...  # your code here


@pytest.mark.parametrize("attempt", [blank, lambda x: None, lambda x: ...])
def test_blanks_are_told_from_wrong_answers(attempt, capsys):
    assert check(attempt, MEAN) is False
    out = says(capsys)
    assert "Fill in the blank" in out
    assert "not yet." not in out


def test_the_function_is_named(capsys):
    check(blank, MEAN)
    assert says(capsys).startswith("blank:")


def test_an_attempt_that_changes_its_arguments_does_not_spoil_the_cases():
    values = np.array([3.0, 1.0, 2.0])
    case = ((values,), np.array([1.0, 2.0, 3.0]))

    def sort_in_place(x):
        x.sort()
        return x

    assert check(sort_in_place, case)
    np.testing.assert_array_equal(values, [3, 1, 2])


def test_an_exception_in_an_attempt_is_shown_as_it_is():
    def broken(x):
        raise ZeroDivisionError("in the reader's own line")

    with pytest.raises(ZeroDivisionError, match="the reader's own line"):
        check(broken, MEAN)

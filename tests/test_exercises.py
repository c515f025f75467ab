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


def case(expected):
    """Return a case that expects this, whatever the reader's function is given."""
    return (0,), expected


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (2.0, 2.5, "The answer is 2.0, but 2.5 is expected."),
        (np.float32(1 / 3), 1 / 2, "The answer is 0.3333, but 0.5 is expected."),
        (3, 2, "The answer is 3, but 2 is expected."),
        (2.5, 2, "The answer is 2.5, but 2 is expected."),
        (np.nan, 2.5, "The answer is nan, but 2.5 is expected."),
        (False, True, "The answer is False, but True is expected."),
        (930.0, 931.0, "The answer is 930.0, but 931.0 is expected."),
        (-1234567.0, 1234568.5, "The answer is -1234567.0, but 1234568.5 is expected."),
        (1e-9, 2.5e20, "The answer is 1.000e-09, but 2.500e+20 is expected."),
        ([0.5, 0.25], [0.5, 0.75], "1 of 2 entries are not right. Yours: [0.5, 0.25]. Expected: [0.5, 0.75]."),
        ([[1, 2], [0, 1]], [[1, 2], [0, 2]], "Yours: [[1, 2], [0, 1]]. Expected: [[1, 2], [0, 2]]."),
        ([1, 2], [[1], [2]], "but (2, 1) is expected. Yours: [1, 2]. Expected: [[1], [2]]."),
        (1.5, [1.5], "but (1,) is expected. Yours: 1.5. Expected: [1.5]."),
        ([], [3], "but (1,) is expected. Yours: []. Expected: [3]."),
        (np.ones((0, 2)), np.ones(0), "The shape is (0, 2), but (0,) is expected. "),
        ("2.5", 2.5, "The answer is '2.5', a text, but float64 is expected."),
        (100 * "2", 2.5, f"The answer is '{40 * '2'}...', a text, but float64 is expected."),
    ],
)
def test_short_answer_is_shown_beside_what_is_expected(answer, expected, words, capsys):
    check(lambda x: answer, case(np.array(expected)))
    assert words in says(capsys).replace("\n", " ")


def test_empty_arrays_of_two_shapes_are_not_shown_as_the_same(capsys):
    check(lambda x: np.ones((2, 0)), case(np.ones((1, 0))))
    check(lambda x: np.ones((0, 2)), case(np.ones(0)))
    assert says(capsys).count("Yours") == 1  # [[], []] and [[]]


def test_tensors_of_low_precision_are_shown(capsys):
    check(lambda x: keras.ops.cast([0.5, 1.5], "bfloat16"), case(np.array([0.5, 2.5])))
    assert "Yours: [0.5, 1.5]. Expected: [0.5, 2.5]." in says(capsys)


@pytest.mark.parametrize(("size", "shown"), [(8, True), (9, False)])
def test_only_so_many_numbers_are_shown_as_a_reader_can_compare(size, shown, capsys):
    check(lambda x: np.arange(size), case(np.arange(size)[::-1]))
    check(lambda x: np.arange(size), case(np.arange(4).reshape(2, 2)))
    out = says(capsys)
    assert out.count("Yours:") == out.count("Expected:") == 2 * shown


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 12345.0, 1e12])
@pytest.mark.parametrize("error", [3e-5, 1e-3, 0.5])
def test_wrong_answer_never_looks_like_what_is_expected(scale, error, capsys):
    right = scale * (1 + np.sqrt([2, 3, 5, 7]) / 3)
    check(lambda x: right[0] * (1 + error), case(right[0]))
    check(lambda x: right + right.max() * error * np.eye(4)[1], case(right))
    scalars, arrays = says(capsys).splitlines()
    mine, theirs = scalars.partition("The answer is ")[2].removesuffix(" is expected.").split(", but ")
    assert mine != theirs
    assert float(mine) == pytest.approx(right[0] * (1 + error), abs=5e-4 * right[0])
    _, mine, theirs = (part.partition("]")[0].split(", ") for part in arrays.split("["))
    assert [one == other for one, other in zip(mine, theirs, strict=True)] == [True, False, True, True]


def test_digits_that_rounding_changed_do_not_make_a_right_entry_look_wrong(capsys):
    check(lambda x: [1 / 3 + 1e-7, 1.00003], case(np.array([1 / 3, 1.0])))
    assert "Yours: [0.3333, 1.00003]. Expected: [0.3333, 1.0]." in says(capsys)


def test_number_that_the_reader_looks_for_is_not_given_away(capsys):
    """A function of nothing is a blank with one right filling."""
    check(lambda: 2.0, ((), 2.5))
    check(lambda: [2.0, 1.0], ((), np.array([2.5, 1.0])))
    check(lambda: [2.0], ((), np.array([2.5, 1.0])))
    out = says(capsys)
    assert "The answer is 2.0, which is not right." in out
    assert "1 of 2 entries are not right." in out
    assert "The shape is (1,), but (2,) is expected." in out
    assert "2.5" not in out


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
    cases = (((blank,), 5.0), ((lambda x: x,), 5.0))
    for case in cases:
        check(lambda attempt: attempt(5.0), case, name="the_readers")
    lines = says(capsys).splitlines()
    assert lines == [
        "the_readers: nothing returned yet. Fill in the blank and run this cell again.",
        "the_readers: the check passes.",
    ]


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

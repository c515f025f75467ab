"""Checks for the exercises: they say what is wrong, and show short answers beside what is expected.

An assignment's checks are others, in :mod:`vqlib.coursework`: they never show what is expected.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from vqlib._compare import agrees, as_numbers, is_whole

SHORT = 8  # numbers in an answer that is shown
SHORT_TEXT = 40  # characters in one
FEWEST_DIGITS, MOST_DIGITS = 4, 17  # of a float that is shown; 17 tell any two apart


def check(
    attempt: Callable[..., Any], *cases: tuple[Any, ...], tolerance: float = 1e-5, name: str | None = None
) -> bool:
    """Try a function on cases, print what came out, and return whether all of it was right.

    Parameters
    ----------
    attempt : callable
        The reader's function. A blank, one that returns None or ``...``, is told apart from a wrong answer.
    cases : tuples ``(arguments, expected)`` or ``(arguments, expected, hint)``
        `arguments` is a tuple. Floats are compared within `tolerance`, relative to the largest number that is
        expected; integers and shapes exactly. The hint is shown when this case fails, but not when only the type of the
        numbers is wrong. Where both are short, the answer is shown beside what is expected; not where `arguments` is
        empty, because then the number that is expected is itself what the reader looks for.
    tolerance : float
    name : str, optional
        What the lines that are printed call it; the function's own name unless given. For a helper that is handed the
        reader's function: that one's name.

    Returns
    -------
    bool
    """
    name = name or getattr(attempt, "__name__", "your answer")
    for arguments, expected, *hint in cases:
        answer = attempt(*copy.deepcopy(arguments))  # an attempt may change them in place
        if answer is None or answer is ...:
            print(f"{name}: nothing returned yet. Fill in the blank and run this cell again.")
            return False
        wrong = _difference(answer, expected, tolerance, shown=bool(arguments))
        if wrong:
            print(f"{name}: not yet. {wrong}", *(f"Hint: {text}" for text in hint))
            return False
        wrong = _difference_of_type(answer, expected)
        if wrong:
            print(f"{name}: not yet. {wrong}")  # the hint is about values
            return False
    print(f"{name}: {'the check passes' if len(cases) == 1 else f'all {len(cases)} checks pass'}.")
    return True


def _difference(answer: Any, expected: Any, tolerance: float, shown: bool) -> str:
    """Return in words how an answer differs from what is expected in shape or values, or an empty string.

    With `shown`, the words give both where they are short.
    """
    expected = np.asarray(expected)
    if isinstance(answer, str):
        return f"The answer is {_quoted(answer)}, a text, but {expected.dtype} is expected."
    try:
        answer = as_numbers(answer)
    except TypeError as error:
        return f"The answer is {error}, but {expected.dtype} is expected."
    if answer.shape != expected.shape:
        both = _beside(_shown(answer), _shown(expected)) if shown and _are_short(answer, expected) else ""
        return f"The shape is {answer.shape}, but {expected.shape} is expected.{both}"
    right = agrees(answer, expected, tolerance)
    if np.all(right):
        return ""
    texts = _told_apart(answer, expected, right) if _are_short(answer, expected) else ("", "")
    if answer.ndim == 0:
        return f"The answer is {texts[0]}, {f'but {texts[1]} is expected' if shown else 'which is not right'}."
    both = _beside(*texts) if shown and all(texts) else ""
    return f"{np.count_nonzero(~right)} of {right.size} entries are not right.{both}"


def _quoted(text: str) -> str:
    """Return a text in quotes, its beginning if it is long."""
    return repr(text if len(text) <= SHORT_TEXT else f"{text[:SHORT_TEXT]}...")


def _are_short(*arrays: np.ndarray) -> bool:
    """Return whether arrays have so few numbers that a reader can compare them."""
    return all(array.size <= SHORT for array in arrays)


def _beside(answer: str, expected: str) -> str:
    """Return a sentence that shows two arrays, or nothing where they would look the same: empty ones do."""
    return f" Yours: {answer}. Expected: {expected}." if answer != expected else ""


def _told_apart(answer: np.ndarray, expected: np.ndarray, right: np.ndarray) -> tuple[str, str]:
    """Return two short arrays of one shape as text, with so many digits that no wrong entry looks right.

    A right entry is shown as what is expected, from which only rounding keeps it.
    """
    texts = np.full((2, *right.shape), "", object)
    for place in np.ndindex(right.shape):
        for digits in range(FEWEST_DIGITS, MOST_DIGITS + 1):
            mine, theirs = _number(answer[place], digits), _number(expected[place], digits)
            if right[place] or mine != theirs:
                break
        texts[(0, *place)], texts[(1, *place)] = theirs if right[place] else mine, theirs
    return _nested(texts[0]), _nested(texts[1])


def _shown(array: np.ndarray) -> str:
    """Return a short array as text."""
    texts = np.full(array.shape, "", object)
    for place in np.ndindex(array.shape):
        texts[place] = _number(array[place], FEWEST_DIGITS)
    return _nested(texts)


def _nested(texts: Any) -> str:
    """Return the texts of an array's entries as one text, in brackets as a list has them."""
    if np.ndim(texts) == 0:
        return str(texts)
    return f"[{', '.join(_nested(part) for part in texts)}]"


def _number(value: Any, digits: int) -> str:
    """Return a number as text: a float with at least so many digits, and all of those before the point."""
    if is_whole(np.asarray(value)):
        return str(value)
    value = float(value)
    if not np.isfinite(value) or value == 0:
        return str(value)
    exponent = int(np.floor(np.log10(abs(value))))
    if not -5 < exponent < 15:
        return f"{value:.{digits - 1}e}"
    text = f"{value:.{max(digits - 1 - exponent, 1)}f}"
    return text.rstrip("0") + "0" * text.rstrip("0").endswith(".")


def _difference_of_type(answer: Any, expected: Any) -> str:
    """Return in words that right values are floats in place of integers, or an empty string."""
    answer, expected = np.asarray(answer), np.asarray(expected)
    if is_whole(expected) and answer.size and not is_whole(answer):
        return f"The values are right, but of type {answer.dtype}; {expected.dtype} is expected."
    return ""

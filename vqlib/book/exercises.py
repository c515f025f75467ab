"""Checks for the exercises: they say what is wrong without giving the answer away."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np


def check(attempt: Callable[..., Any], *cases: tuple[Any, ...], tolerance: float = 1e-5) -> bool:
    """Try a function on cases, print what came out, and return whether all of it was right.

    Parameters
    ----------
    attempt : callable
        The reader's function. A blank, one that returns None or ``...``, is told apart from a wrong answer.
    cases : tuples ``(arguments, expected)`` or ``(arguments, expected, hint)``
        `arguments` is a tuple. Numbers and arrays are compared within `tolerance`, relative and absolute; integers
        and shapes exactly. The hint is shown when this case fails, but not when only the type of the numbers is wrong.
    tolerance : float

    Returns
    -------
    bool
    """
    name = getattr(attempt, "__name__", "your answer")
    for arguments, expected, *hint in cases:
        answer = attempt(*copy.deepcopy(arguments))  # an attempt may change them in place
        if answer is None or answer is ...:
            print(f"{name}: nothing returned yet. Fill in the blank and run this cell again.")
            return False
        wrong = _difference(answer, expected, tolerance)
        if wrong:
            print(f"{name}: not yet. {wrong}", *(f"Hint: {text}" for text in hint))
            return False
        wrong = _difference_of_type(answer, expected)
        if wrong:
            print(f"{name}: not yet. {wrong}")  # the hint is about values
            return False
    print(f"{name}: {'the check passes' if len(cases) == 1 else f'all {len(cases)} checks pass'}.")
    return True


def _difference(answer: Any, expected: Any, tolerance: float) -> str:
    """Return in words how an answer differs from what is expected in shape or values, or an empty string."""
    expected = np.asarray(expected)
    try:
        answer = np.asarray(answer)
    except ValueError:
        return "The answer is a list of unequal parts, not an array."
    if answer.dtype.kind not in "biuf":
        return f"The answer is {answer.dtype}, but {expected.dtype} is expected."
    if answer.shape != expected.shape:
        return f"The shape is {answer.shape}, but {expected.shape} is expected."
    exact = expected.dtype.kind in "iub"
    right = answer == expected if exact else np.isclose(answer, expected, rtol=tolerance, atol=tolerance)
    if not np.all(right):
        if answer.ndim == 0:
            return f"The answer is {answer}, which is not right."
        return f"{np.count_nonzero(~right)} of {right.size} entries are not right."
    return ""


def _difference_of_type(answer: Any, expected: Any) -> str:
    """Return in words that right values are floats in place of integers, or an empty string."""
    answer, expected = np.asarray(answer), np.asarray(expected)
    if expected.dtype.kind in "iub" and answer.size and answer.dtype.kind not in "iub":
        return f"The values are right, but of type {answer.dtype}; {expected.dtype} is expected."
    return ""

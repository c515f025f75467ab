"""Checks for the exercises: they say what is wrong without giving the answer away."""

import copy

import numpy as np


def check(attempt, *cases, tolerance=1e-5):
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
        wrong, of_type_alone = _difference(answer, expected, tolerance)
        if wrong:
            print(f"{name}: not yet. {wrong}", *(f"Hint: {text}" for text in hint if not of_type_alone))
            return False
    print(f"{name}: {'the check passes' if len(cases) == 1 else f'all {len(cases)} checks pass'}.")
    return True


def _difference(answer, expected, tolerance):
    """Return in words how an answer differs from what is expected, or an empty string; and if only in its type."""
    expected = np.asarray(expected)
    try:
        answer = np.asarray(answer)
    except ValueError:
        return "The answer is a list of unequal parts, not an array.", False
    if answer.dtype.kind not in "biuf":
        return f"The answer is {answer.dtype}, but {expected.dtype} is expected.", False
    if answer.shape != expected.shape:
        return f"The shape is {answer.shape}, but {expected.shape} is expected.", False
    exact = expected.dtype.kind in "iub"
    right = answer == expected if exact else np.isclose(answer, expected, rtol=tolerance, atol=tolerance)
    if not np.all(right):
        if answer.ndim == 0:
            return f"The answer is {answer}, which is not right.", False
        return f"{np.count_nonzero(~right)} of {right.size} entries are not right.", False
    if exact and answer.size and answer.dtype.kind not in "iub":
        return f"The values are right, but of type {answer.dtype}; {expected.dtype} is expected.", True
    return "", False

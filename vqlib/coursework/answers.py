"""Comparing a student's answers with what is expected, in words that help and do not give the answer away.

An answer may live in this process or, while a folder is graded, in another one: then the grader gives an object that
stands for it, and is called like the function that it stands for.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vqlib._compare import agrees, as_numbers, is_equal, is_whole
from vqlib.coursework import probes


class AnswerError(Exception):
    """A student's code stopped with an error in its own process; the message says with which."""


def call(function: Callable[..., Any] | None, *arguments: Any) -> Any:
    """Return what a student's function gives, as an array where it can be one.

    Raises
    ------
    AssertionError
        If there is no such function, if it is still blank, or if it stopped with an error.
    """
    if function is None or function is ...:
        raise AssertionError("The function is not defined. Run the cell that defines it, then this one again.")
    name = getattr(function, "__name__", "Your function")
    try:
        answer = function(*copy.deepcopy(arguments))  # an answer may change its arguments in place
    except AnswerError as error:
        raise AssertionError(f"{name} stopped with {error}") from error
    except Exception as error:
        raise AssertionError(f"{name} stopped with {type(error).__name__}: {error}") from error
    if answer is None or answer is ...:
        raise AssertionError(f"{name} returns nothing yet. Fill in the blank and run its cell again.")
    return answer


def compare(
    answer: Any,
    expected: ArrayLike,
    what: str = "the answer",
    mistakes: Mapping[str, ArrayLike] | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Raise an AssertionError, in words, unless an answer is as expected.

    Parameters
    ----------
    answer, expected : array-like
        Integers and booleans are compared exactly; floats within `tolerance`, relative to the largest of them.
    what : str
        What the answer is, in the chapter's words.
    mistakes : dict, hint -> wrong answer, optional
        An answer that equals one of the wrong ones is told its hint.
    tolerance : float
    """
    right = np.asarray(expected)
    if answer is None or answer is ...:
        raise AssertionError(f"There is no value yet for {what}. Fill in the blank and run its cell again.")
    try:
        found = as_numbers(answer)
    except TypeError as error:
        raise AssertionError(f"{_capital(what)} should be numbers, but it is {error}.") from error
    for hint, wrong in (mistakes or {}).items():
        if is_equal(found, np.asarray(wrong), tolerance) and not is_equal(found, right, tolerance):
            raise AssertionError(f"{_capital(what)} is not right yet. {hint}")
    if found.shape != right.shape:
        raise AssertionError(f"{_capital(what)} should have the shape {right.shape}, but it has {found.shape}.")
    if is_whole(right) and not is_whole(found):
        raise AssertionError(f"{_capital(what)} should be whole numbers, {right.dtype}, but it is {found.dtype}.")
    if not is_equal(found, right, tolerance):
        raise AssertionError(f"{_capital(what)} is not right yet. {_difference(found, right, tolerance)}")


def expect(
    function: Callable[..., Any] | None,
    arguments: tuple[Any, ...],
    expected: ArrayLike,
    what: str = "the answer",
    mistakes: Mapping[str, ArrayLike] | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Call a student's function on a tuple of arguments and compare what it gives; see :func:`compare`."""
    compare(call(function, *arguments), expected, what, mistakes, tolerance)


def probe(name: str, *arguments: Any) -> Any:
    """Do something with a student's objects that takes more than a call, where these objects live.

    Parameters
    ----------
    name : str
        A function of :mod:`vqlib.coursework.probes`.
    arguments
        For that function. It returns data: numbers, strings, arrays, and lists or dicts of them.
    """
    for argument in arguments:
        if hasattr(argument, "_vqlib_probe"):
            return argument._vqlib_probe(name, arguments)
        if argument is None or argument is ...:
            raise AssertionError("The function is not defined. Run the cell that defines it, then this one again.")
    return getattr(probes, name)(*arguments)


def _capital(text: str) -> str:
    """Return a text as a sentence begins, but for a name, such as `my_codes`."""
    return text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def _difference(answer: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    """Return in words how an answer of the right shape and type differs."""
    if answer.dtype.kind == "f" and not np.all(np.isfinite(answer)) and np.all(np.isfinite(expected)):
        return f"{np.count_nonzero(~np.isfinite(answer))} of {answer.size} entries are not finite numbers."
    if answer.ndim == 0:
        return f"It is {answer}."
    different = ~agrees(answer, expected, tolerance)
    return f"{np.count_nonzero(different)} of {different.size} entries differ from what is expected."

"""Comparing a student's answers with what is expected, in words that help and do not give the answer away.

An answer may live in this process or, while a folder is graded, in another one: then it is a
:class:`vqlib.coursework.session.Remote`, which is called like the function that it stands for.
"""

import copy

import numpy as np

from vqlib.coursework import probes, wire


class AnswerError(Exception):
    """A student's code stopped with an error in its own process; it says with which."""

    def __init__(self, answer):
        parts = [answer[key] for key in ("error", "message") if answer.get(key)]
        super().__init__(wire.words(": ".join(map(str, parts))))


def call(function, *arguments):
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


def compare(answer, expected, what="the answer", mistakes=None, tolerance=1e-5):
    """Raise an AssertionError, in words, unless an answer is as expected.

    Parameters
    ----------
    answer, expected : array-like
        Integers and booleans are compared exactly; floats within `tolerance`, relative to the largest of them.
    what : str
        What the answer is, in the chapter's words.
    mistakes : dict, hint -> wrong answer, optional
        An answer that equals one of the wrong ones is told its hint.
    """
    expected = np.asarray(expected)
    if answer is None or answer is ...:
        raise AssertionError(f"There is no value yet for {what}. Fill in the blank and run its cell again.")
    try:
        answer = np.asarray(answer)
    except Exception:  # lists of different lengths, symbolic tensors: each library has its own
        answer = np.asarray(None)
    if answer.dtype.kind not in "biufV" or answer.dtype.type is np.void:  # bfloat16 is of the kind V, too
        raise AssertionError(f"{_capital(what)} should be numbers, but it is {answer.dtype}.")
    for hint, wrong in (mistakes or {}).items():
        if _equal(answer, np.asarray(wrong), tolerance) and not _equal(answer, expected, tolerance):
            raise AssertionError(f"{_capital(what)} is not right yet. {hint}")
    if answer.shape != expected.shape:
        raise AssertionError(f"{_capital(what)} should have the shape {expected.shape}, but it has {answer.shape}.")
    if expected.dtype.kind in "iub" and answer.dtype.kind not in "iub":
        raise AssertionError(f"{_capital(what)} should be whole numbers, {expected.dtype}, but it is {answer.dtype}.")
    if not _equal(answer, expected, tolerance):
        raise AssertionError(f"{_capital(what)} is not right yet. {_difference(answer, expected, tolerance)}")


def expect(function, arguments, expected, what="the answer", mistakes=None, tolerance=1e-5):
    """Call a student's function on a tuple of arguments and compare what it gives; see :func:`compare`."""
    compare(call(function, *arguments), expected, what, mistakes, tolerance)


def probe(name, *arguments):
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


def _capital(words):
    """Return words as a sentence begins, but for a name, such as `my_codes`."""
    return words if "_" in words.partition(" ")[0] else words[:1].upper() + words[1:]


def _equal(answer, expected, tolerance):
    """Whether two arrays agree in shape and, exactly or within the tolerance, in value."""
    if answer.shape != expected.shape:
        return False
    if expected.dtype.kind in "iub" and answer.dtype.kind in "iub":
        return np.array_equal(answer, expected)
    return bool(np.all(_close(answer, expected, tolerance)))


def _close(answer, expected, tolerance):
    answer, expected = answer.astype("float64"), expected.astype("float64")
    finite = expected[np.isfinite(expected)]
    largest = float(np.max(np.abs(finite), initial=0))
    scale = largest if largest > 1e-12 else 1.0  # what is expected to be zero need not be so to the last digit
    return np.isclose(answer, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _difference(answer, expected, tolerance):
    if answer.dtype.kind == "f" and not np.all(np.isfinite(answer)) and np.all(np.isfinite(expected)):
        return f"{np.count_nonzero(~np.isfinite(answer))} of {answer.size} entries are not finite numbers."
    if answer.ndim == 0:
        return f"It is {answer}."
    exact = expected.dtype.kind in "iub"
    right = answer == expected if exact else _close(answer, expected, tolerance)
    return f"{np.count_nonzero(~right)} of {right.size} entries differ from what is expected."

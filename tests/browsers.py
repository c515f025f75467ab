"""The browser that tests look at the book with: the one that book/print.py prints it with."""

import importlib.util
import os
import pathlib

import pytest

BOOK = pathlib.Path(__file__).parents[1] / "book"
_spec = importlib.util.spec_from_file_location("book_print", BOOK / "print.py")
printing = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(printing)
FLAGS, PATIENCE = printing.FLAGS, printing.PATIENCE


def find_browser():
    """Return the path of Chromium or Chrome; without one, skip, or fail where `VQLIB_NEEDS_BROWSER` is set."""
    if path := printing.find_browser():
        return path
    message = f"The book is not looked at. {printing.NO_BROWSER}"
    if os.environ.get("VQLIB_NEEDS_BROWSER"):
        pytest.fail(message)
    pytest.skip(message)

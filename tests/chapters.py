"""The code of the chapters, for tests that run parts of it."""

import ast
import functools
import pathlib

import jupytext
import numpy as np

import vqlib

BOOK = pathlib.Path(__file__).parents[1] / "book"


@functools.cache
def cells(chapter):
    """Return the code of a chapter's cells."""
    (path,) = BOOK.glob(f"{chapter:02}-*.md")
    return [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def cell_with(chapter, words):
    """Return the code of the one cell of a chapter that holds these words."""
    (cell,) = (cell for cell in cells(chapter) if words in cell)
    return cell


def functions(chapter, *names, given):
    """Return `given` with functions of a chapter, by name; of one that it defines twice, the last."""
    namespace = dict(given)
    for cell in cells(chapter):
        if not any(f"def {name}(" in cell for name in names):
            continue
        for node in ast.parse(cell).body:
            if isinstance(node, ast.FunctionDef) and node.name in names:
                exec(compile(ast.Module([node], []), node.name, "exec"), namespace)
    assert set(names) <= set(namespace)
    return namespace


def passes(exercise, namespace):
    """Return what the check of an exercise, as "3.1", says of the attempt in a namespace: the last that it assigns."""
    code = cell_with(int(exercise.partition(".")[0]), f"# @title Check of exercise {exercise}\n")
    names = dict(namespace)
    exec(code, names)
    return names[ast.parse(code).body[-1].targets[0].id]


def accepts(chapter, names, exercise, attempt):
    """Return what an exercise's check that uses NumPy and vqlib alone says of an attempt, run as a reader runs it.

    `names` says by exercise how the chapter calls what the reader writes.
    """
    return passes(f"{chapter}.{exercise}", {"np": np, "vqlib": vqlib, names[exercise]: attempt})


def solution(chapter, exercise):
    """Return a chapter's own solution to an exercise, one that uses NumPy alone."""
    name = f"solution_{chapter}_{exercise}"
    return functions(chapter, name, given={"np": np})[name]

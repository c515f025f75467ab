"""What is kept of a graded notebook, as JSON can hold it."""

from typing import Any, TypedDict

import nbformat


class Case(TypedDict):
    """What came of one test: `reason` says in words for the student why it failed."""

    passed: bool
    hidden: bool
    reason: str


class QuestionResult(TypedDict):
    """The score of a question, and what came of each of its tests."""

    score: float
    cases: list[Case]


class Result(TypedDict):
    """What came of a notebook.

    `errors` has, by the index of a cell as text, what the cell stopped with; `late` the indices of cells that ran only
    in the second round; `notebook` the cells with their outputs.
    """

    questions: dict[str, QuestionResult]
    errors: dict[str, str]
    late: list[int]
    notebook: nbformat.NotebookNode


Row = dict[str, Any]  # of a table: column -> what stands there
Marks = dict[tuple[str, str], Row]  # (student, question) -> row of marks.csv

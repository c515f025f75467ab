"""Run one notebook and its tests, in a process of its own, and keep what came out."""

import dataclasses
import json
import pathlib
import resource
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nbformat

from vqgrader import report, wire
from vqgrader.limits import Limits
from vqgrader.results import Case, QuestionResult, Result
from vqgrader.session import GRACE, Namespace, Session
from vqgrader.tables import write
from vqgrader.worker import TooSlow, at_most
from vqlib.coursework._otter import Question


@dataclasses.dataclass(frozen=True)
class Task:
    """A notebook to be graded.

    Attributes
    ----------
    result, page : where the result goes, and the page to be marked by eye, if one is wanted
    key : what the result depends on; a result that was kept under another key does not count
    cells : the notebook's
    student : whose it is
    tests : the files with the tests, one for each question
    limits : for the student's process
    isolated : whether it runs in a sandbox
    """

    result: pathlib.Path
    page: pathlib.Path | None
    key: list[Any]
    cells: Sequence[nbformat.NotebookNode]
    student: str
    tests: Sequence[pathlib.Path]
    limits: Limits
    isolated: bool


def examine(task: Task) -> Result:
    """Run a notebook and its tests."""
    with Session.start(task.cells, task.limits, task.isolated) as session:
        session.run()
        names = Namespace(session, STUDENT_ID=task.student)
        questions = dict(examine_question(path, names, session.left) for path in task.tests)
    return {
        "questions": questions,
        "errors": {str(index): message for index, message in sorted(session.errors.items())},
        "late": sorted(session.late),
        "notebook": report.executed(task.cells, session.outputs),
    }


def examine_question(
    path: pathlib.Path, names: Mapping[str, Any], left: Callable[[], float]
) -> tuple[str, QuestionResult]:
    """Run the tests of a question; return its name, and its score with what each test says.

    What a student's functions return can keep a test busy here, such as a number that it counts up to. So tests end
    with the time for all, too.
    """
    question, limit = Question(path), max(1, left() + GRACE)
    try:
        with at_most(limit):
            question.run(names)
    except TooSlow as error:
        question.fail_rest(str(error))
    cases: list[Case] = [
        {"passed": case.passed, "hidden": case.hidden, "reason": wire.truncate(case.reason)} for case in question.cases
    ]
    return question.name, {"score": round(float(question.score), 4), "cases": cases}


def keep(task: Task) -> None:
    """Write the page to be marked by eye, if one is wanted, and then what :func:`examine` gives: so it is done."""
    resource.setrlimit(resource.RLIMIT_AS, (task.limits.memory * 2**20,) * 2)  # large answers come here, too
    result = examine(task)
    if task.page:
        write(task.page, report.manual_page(task.student, result["notebook"]))
    write(task.result, json.dumps({"key": task.key, **result}))


def kept(path: pathlib.Path, key: list[Any]) -> Result | None:
    """Return what a file keeps of a notebook under a key, or None."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.pop("key") != key:
        return None
    found["notebook"] = nbformat.from_dict(found["notebook"])
    return found

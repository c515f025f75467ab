"""All that vqlib and its grader ask of otter-grader's own objects, in one place: otter does not promise to keep them.

`tests/test_coursework.py` says what each of them has to do.
"""

import copy
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from otter.test_files.exception_test import ExceptionTestFile

from vqlib.coursework.answers import AnswerError


@dataclasses.dataclass(frozen=True)
class Case:
    """What came of one test of a question.

    Attributes
    ----------
    passed : bool
    hidden : bool, whether students do not have this test
    reason : str, why it failed, in words for the student
    """

    passed: bool
    hidden: bool
    reason: str = ""


class Question:
    """The tests of one question, read from a file that `otter assign` made.

    Attributes
    ----------
    name : str
    possible : the points of all its tests
    cases : list of :class:`Case`, those that ran, in order
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._file = ExceptionTestFile.from_file(str(path))
        self.name: str = self._file.name
        self.possible: float = self._file.possible
        self.cases: list[Case] = []

    def run(self, names: Mapping[str, Any]) -> None:
        """Run the tests on the names of a notebook, a dict or what is read like one."""
        self.cases = []
        for test in self._file.test_cases:
            try:
                test.body.call_func(names)
                self.cases.append(Case(True, test.hidden))
            except Exception as error:
                self.cases.append(Case(False, test.hidden, reason(error)))

    def fail_rest(self, why: str) -> None:
        """Count the tests that did not run as failed."""
        rest = self._file.test_cases[len(self.cases) :]
        self.cases += [Case(False, test.hidden, why) for test in rest]

    @property
    def score(self) -> float:
        """The points of the tests that passed; none, if the question gives all of its points or none."""
        if self._file.all_or_nothing and not all(case.passed for case in self.cases):
            return 0
        ran = zip(self._file.test_cases, self.cases, strict=False)  # after an interruption there are fewer cases
        return sum(test.points for test, case in ran if case.passed)


def reason(error: Exception) -> str:
    """Return in words why a test failed. The words of a check speak for themselves; other errors need their name."""
    speaks = isinstance(error, AssertionError | AnswerError)
    return str(error).strip() if speaks else f"{type(error).__name__}: {error}"


def manual_cells(notebook: Any) -> Any:
    """Return a copy of a notebook with the cells that a person grades, and no other."""
    from otter.export.exporters.base_exporter import BaseExporter

    return BaseExporter.filter_cells(copy.deepcopy(notebook), pagebreaks=False)


def assign(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Split an assignment's source into `folder`/student and `folder`/autograder, with the zip file of the latter."""
    import otter.assign

    otter.assign.main(str(source), str(folder), no_run_tests=True)

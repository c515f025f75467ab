"""The assignment as a student's notebook sees it."""

import hashlib
import json
import pathlib
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from vqlib._files import write_atomically

if TYPE_CHECKING:
    from vqlib.coursework import _otter

SALT = "vqlib"  # a fork that changes it gives its students other numbers
CHECKS = pathlib.Path(__file__).with_name("checks")
DOWNLOAD = "Download it from the File menu instead."


def identity(student_id: str) -> str:
    """Return a student id as it is compared: upper and lower case, and space around it, make no difference."""
    return unicodedata.normalize("NFC", student_id).strip().lower()


def file_name(student: str) -> str:
    """Return a file name for a student: the id, and a hash behind it if the id holds what a name may not, or a hash."""
    plain = re.sub(r"[^a-z0-9@._-]", "-", student)[:80]
    if plain == student and not re.search("-[0-9a-f]{6}$", student):
        return plain
    return f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:6]}"


def rng(assignment: str, student_id: str, label: str) -> np.random.Generator:
    """Return the random generator of one student for one purpose: the same whenever and wherever it is asked for.

    Parameters
    ----------
    assignment, label : str
        The name of the assignment, and of what the numbers are for, such as "q3".
    student_id : str
        See :func:`identity`.
    """
    text = "/".join((SALT, assignment, identity(student_id), label))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def describe(question: "_otter.Question") -> str:
    """Return the outcome of a question's checks in words, without the source of a check."""
    passed = sum(case.passed for case in question.cases)
    lines = [f"{question.name}: {passed} of {len(question.cases)} checks pass."]
    lines += [f"- {case.reason}" for case in question.cases if not case.passed]
    return "\n".join(lines)


def anonymous(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without what programs note down in it: who ran which cell, and when. Colab does so."""
    cells = [{**cell, "metadata": {}} for cell in notebook["cells"]]
    kept = {key: value for key, value in notebook.get("metadata", {}).items() if key in ("kernelspec", "language_info")}
    return {**notebook, "cells": cells, "metadata": kept}


class Assignment:
    """One student's assignment.

    Parameters
    ----------
    name : str
        Such as "01-quantization".
    student_id : str
        It seeds the student's own numbers, and names the file to hand in.
    """

    def __init__(self, name: str, student_id: str) -> None:
        if not isinstance(student_id, str) or not student_id.strip():
            raise ValueError('Write your student id first, in quotes: STUDENT_ID = "your id". Then run it again.')
        if not (CHECKS / name).is_dir():
            known = ", ".join(sorted(path.name for path in CHECKS.iterdir()))
            raise ValueError(f"There is no assignment {name!r}. There are: {known}.")
        self.name = name
        self.student_id = identity(student_id)

    def rng(self, label: str) -> np.random.Generator:
        """Return this student's random generator for one purpose; see :func:`rng`."""
        return rng(self.name, self.student_id, label)

    def check(self, question: str) -> None:
        """Run the public checks of a question on the notebook's names, and print what they say."""
        from vqlib.coursework._otter import Question  # otter-grader is an extra: rng and submit do without

        path = CHECKS / self.name / f"{question}.py"
        if not path.exists():
            known = ", ".join(sorted(path.stem for path in path.parent.glob("*.py")))
            raise ValueError(f"There is no check for {question!r} in {self.name}. There are: {known}.")
        checks = Question(path)
        checks.run(sys._getframe(1).f_globals)
        print(describe(checks))

    def submit(self) -> None:
        """Write the notebook, as it was saved last, to the file to hand in, and print the file's name.

        On Colab the notebook comes from the page, and the file is downloaded.

        Raises
        ------
        FileNotFoundError
            If there is no notebook of this assignment in this folder.
        TimeoutError
            If Colab's page does not answer.
        """
        target = pathlib.Path(f"{self.name}_{file_name(self.student_id)}.ipynb")
        on_colab = "google.colab" in sys.modules
        notebook = self._shown() if on_colab else self._saved()
        write_atomically(target, json.dumps(anonymous(notebook), indent=1))
        if on_colab:
            from google.colab import files

            print(f"Hand in the file {target}.")
            files.download(str(target))
        else:
            print(f"Hand in the file {target}. It holds the notebook as it was saved last.")

    def _shown(self) -> dict[str, Any]:
        """Return the notebook that Colab's page shows."""
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", timeout_sec=60)
        if answer is None:
            raise TimeoutError(f"Colab's page did not give the notebook of {self.name}. {DOWNLOAD}")
        return answer["ipynb"]

    def _saved(self) -> dict[str, Any]:
        """Return the notebook in this folder that is this assignment's, the one saved last if there are several.

        That may be the file to hand in, which a student has opened again to go on in it.
        """
        marker = f'Assignment(\\"{self.name}\\"'.encode()
        found = [path for path in pathlib.Path().glob("*.ipynb") if marker in path.read_bytes()]
        if not found:
            raise FileNotFoundError(f"No notebook of {self.name} in {pathlib.Path.cwd()}. {DOWNLOAD}")
        return json.loads(max(found, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))

"""The assignment as a student's notebook sees it."""

import hashlib
import inspect
import json
import pathlib
import re
import sys
import unicodedata

import numpy as np

SALT = "vqlib"  # a fork that changes it gives its students other numbers
CHECKS = pathlib.Path(__file__).with_name("checks")


def identity(student_id):
    """Return a student id as it is compared: upper and lower case, and space around it, make no difference."""
    return unicodedata.normalize("NFC", student_id).strip().lower()


def file_name(student):
    """Return a file name for a student: the id, and a hash behind it if the id holds what a name may not, or a hash."""
    plain = re.sub(r"[^a-z0-9@._-]", "-", student)[:80]
    if plain == student and not re.search("-[0-9a-f]{6}$", student):
        return plain
    return f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:6]}"


def rng(assignment, student_id, label):
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


def describe(result):
    """Return the outcome of a question's checks in words, without the source of a check.

    Parameters
    ----------
    result : otter.test_files.TestFile
        After its run.
    """
    passed = [case.passed for case in result.test_case_results]
    lines = [f"{result.name}: {sum(passed)} of {len(passed)} checks pass."]
    lines += [f"- {reason(case)}" for case in result.test_case_results if not case.passed]
    return "\n".join(lines)


def reason(case):
    """Return why a check failed: what stands behind otter's headline, its place and its line of source."""
    return re.sub("^(AssertionError|AnswerError): ", "", case.message.split("\n", 3)[-1]).strip()


def anonymous(notebook):
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

    def __init__(self, name, student_id):
        if not isinstance(student_id, str) or not student_id.strip():
            raise ValueError('Write your student id first, in quotes: STUDENT_ID = "your id". Then run it again.')
        if not (CHECKS / name).is_dir():
            known = ", ".join(sorted(path.name for path in CHECKS.iterdir()))
            raise ValueError(f"There is no assignment {name!r}. There are: {known}.")
        self.name, self.student_id = name, identity(student_id)

    def rng(self, label):
        """Return this student's random generator for one purpose; see :func:`rng`."""
        return rng(self.name, self.student_id, label)

    def check(self, question):
        """Run the public checks of a question on the notebook's names, and print what they say."""
        from otter.execute import Checker
        from otter.nbmeta_config import NBMetadataConfig

        path = CHECKS / self.name / f"{question}.py"
        names = inspect.currentframe().f_back.f_globals
        print(describe(Checker.check(str(path), NBMetadataConfig(), global_env=names)))

    def submit(self):
        """Write the notebook, as it was saved last, to the file to hand in, and return the file's name."""
        target = pathlib.Path(f"{self.name}_{file_name(self.student_id)}.ipynb")
        colab = sys.modules.get("google.colab")
        if colab:
            from google.colab import _message, files

            notebook = _message.blocking_request("get_ipynb", timeout_sec=60)["ipynb"]
        else:
            notebook = self._saved()
        target.write_text(json.dumps(anonymous(notebook), indent=1))
        print(f"Hand in the file {target}.", "" if colab else "It holds the notebook as it was saved last.")
        if colab:
            files.download(str(target))
        return str(target)

    def _saved(self):
        """Return the notebook in this folder that is this assignment's, the one saved last if there are several.

        That may be the file to hand in, which a student has opened again to go on in it.
        """
        marker = f'Assignment(\\"{self.name}\\"'.encode()
        found = [path for path in pathlib.Path().glob("*.ipynb") if marker in path.read_bytes()]
        if not found:
            raise FileNotFoundError(
                f"No notebook of {self.name} in {pathlib.Path.cwd()}. Download it from the File menu instead."
            )
        return json.loads(max(found, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))

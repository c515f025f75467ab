"""Grade a folder of notebooks.

Each notebook runs in a process of its own, with limits and, by bubblewrap on Linux, without network and without other
files. The tests run here, in another process for each notebook: of a hidden test, only its inputs reach the student's.
What is graded is kept, so that the same command goes on after an interruption, grades what is new, and leaves the rest
as it is. In `out`:

- ``scores.csv``: a row for each student, a column for each question;
- ``files.csv``: a row for each file that was handed in, with what became of it;
- ``summary.txt``: how each question went, and which tests nobody passed;
- ``feedback/``: a page for each student;
- ``by-eye/`` and ``marks.csv``: the questions that no test grades. Write marks into the latter and run again. A mark
  for a question that tests grade stands in place of their score.
"""

import contextlib
import dataclasses
import datetime
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vqgrader import examine, handed_in, pool, report, sandbox, wire
from vqgrader.bundle import Bundle
from vqgrader.limits import Limits
from vqgrader.results import Marks, Result, Row
from vqgrader.session import GRACE
from vqgrader.tables import GradingError, read_table, write, write_table
from vqlib.coursework.assignment import file_name, identity

MARKS = ("student", "question", "possible", "mark", "comment", "file")
KEPT = 3  # goes up when what is kept of a graded notebook changes


@dataclasses.dataclass(frozen=True)
class Paths:
    """Where a student's result, page to be marked by eye and page of feedback are."""

    result: pathlib.Path
    by_eye: pathlib.Path
    feedback: pathlib.Path

    @classmethod
    def of(cls, out: pathlib.Path, student: str) -> "Paths":
        """Return the paths of a student in the folder `out`."""
        name = file_name(student)
        return cls(out / "results" / f"{name}.json", out / "by-eye" / f"{name}.html", out / "feedback" / f"{name}.html")


def marks_of(path: pathlib.Path, bundle: Bundle, files: Mapping[str, handed_in.File]) -> Marks:
    """Return the rows of marks.csv, by student and question: those that are there, and empty ones for new students."""
    rows: Marks = {}
    for found in read_table(path, *MARKS) if path.exists() else ():
        row: Row = {**found, "student": identity(found["student"])}
        place, key = f"{path}: {row['student']}, {row['question']}:", (row["student"], row["question"])
        if row["question"] not in bundle.questions:
            raise GradingError(f"{place} there is no such question. There are {', '.join(bundle.questions)}.")
        if key in rows:
            raise GradingError(f"{place} there are two lines. Which one holds?")
        row["possible"] = bundle.questions[row["question"]]["points"]
        if row["mark"] and not is_mark(row["mark"], row["possible"]):
            raise GradingError(f"{place} the mark must be 0 to {row['possible']}, not {row['mark']!r}.")
        rows[key] = row
    for student in files:
        for name in bundle.manual:
            new = {"student": student, "question": name, "possible": bundle.questions[name]["points"]}
            rows.setdefault((student, name), {**new, "mark": "", "comment": "", "file": ""})
    for (student, _), row in rows.items():
        if student in files and not (row["mark"] and row["file"]):
            row["file"] = files[student].sha256[:12]
    return rows


def is_mark(text: str, possible: float) -> bool:
    """Return whether a text is a number from 0 to what is possible."""
    try:
        return 0 <= float(text) <= possible
    except ValueError:
        return False


def score_row(student: str, file: handed_in.File | None, result: Result | None, bundle: Bundle, marks: Marks) -> Row:
    """Return a student's row of scores.csv.

    Parameters
    ----------
    student : str
    file : the one that counts, if there is one
    result : what is kept of its notebook, if it was graded
    bundle : Bundle
    marks : dict, (student, question) -> row of marks.csv
    """
    row: Row = {"student": student}
    notes = list(file.notes) if file else ["nothing handed in"]
    for name, question in bundle.questions.items():
        mark: Row = marks.get((student, name), {"mark": ""})
        score: float | str = 0
        if file and file.cells is not None:
            score = result["questions"][name]["score"] if result and not question["manual"] else ""
        if mark["mark"]:
            if file and file.cells is not None and mark["file"] != file.sha256[:12]:
                notes.append(f"{name} was marked on an earlier file")
            if not question["manual"]:
                notes.append(f"{name} has a mark in place of {format_score(score)} by tests")
            score = mark["mark"]
        row[name] = format_score(score)
    if result:
        if result["errors"]:
            notes.append(f"{cell_count(len(result['errors']))} stopped with an error")
        if result["late"]:
            notes.append(f"{cell_count(len(result['late']))} ran only after cells below")
    row["total"] = format_score(sum(row[name] for name in bundle.questions if row[name] != ""))
    row["possible"] = format_score(sum(question["points"] for question in bundle.questions.values()))
    return {**row, "file": file.name if file else "", "notes": "; ".join(notes)}


def cell_count(number: int) -> str:
    """Return a number of cells in words."""
    return f"{number} cell{'' if number == 1 else 's'}"


def format_score(score: float | str) -> float | str:
    """Return a score as a number that reads well, 3 and not 3.0, nor 3.3000000000000003; none stays empty."""
    if score == "":
        return score
    value = round(float(score), 4)
    return int(value) if value == int(value) else value


def grade_files(
    files: Mapping[str, handed_in.File],
    bundle: Bundle,
    out: pathlib.Path,
    limits: Limits,
    isolated: bool,
    jobs: int,
    say: Callable[[str], object],
) -> dict[str, Result | None]:
    """Grade notebooks, unless they are kept; return what is kept of each, and note with each file what went wrong.

    Parameters
    ----------
    files : dict, student -> file with a notebook
    """
    results: dict[str, Result | None] = {}
    tasks: dict[str, examine.Task] = {}
    for student, file in files.items():
        paths = Paths.of(out, student)
        page = paths.by_eye if bundle.manual else None
        key: list[Any] = [KEPT, bundle.sha256, [*dataclasses.astuple(limits)], isolated, student, file.sha256]
        result = results[student] = examine.kept(paths.result, key)
        if not result:
            cells = file.cells or []
            tasks[student] = examine.Task(paths.result, page, key, cells, student, bundle.tests, limits, isolated)
        elif page and not page.exists():
            write(page, report.manual_page(student, result["notebook"]))
    if len(files) > len(tasks):
        say(f"{len(files) - len(tasks)} of {len(files)} notebooks are graded already.")
    start, longest = time.monotonic(), limits.total + sandbox.START + 4 * GRACE
    arguments = {student: (task,) for student, task in tasks.items()}
    ended = pool.run(examine.keep, arguments, jobs, longest, fatal=sandbox.SandboxError)
    with contextlib.closing(ended):
        for count, (student, failure, taken) in enumerate(ended, 1):
            if failure and failure.kind is pool.Kind.FATAL:
                raise sandbox.SandboxError(failure.message)
            if failure:
                files[student].notes.append(f"could not be graded: {wire.one_line(failure.error, failure.message)}")
            else:
                results[student] = examine.kept(tasks[student].result, tasks[student].key)
            left = (time.monotonic() - start) / count * (len(tasks) - count) / 60
            became = "could not be graded" if failure else f"{taken:.0f} s"
            say(f"[{count}/{len(tasks)}] {student}: {became}; about {left:.0f} minutes left")
    return results


def grade_folder(
    bundle: Bundle,
    folder: pathlib.Path,
    out: pathlib.Path,
    limits: Limits | None = None,
    isolated: bool = True,
    roster: Sequence[str] = (),
    deadline: datetime.datetime | None = None,
    jobs: int = 1,
    say: Callable[[str], object] = print,
) -> list[Row]:
    """Grade all that is in a folder; return the rows of scores.csv.

    Parameters
    ----------
    bundle : Bundle
    folder, out : paths
    limits : Limits, optional
    isolated : bool
        With False, students' code can read and write what you can, and use the network.
    roster : list of student ids
        A student on it who handed in nothing gets a row, too.
    deadline : datetime, optional
        What came later is noted, and graded like the rest.
    jobs : int
        How many notebooks are graded at a time.
    say : function that takes a line of text on what has been done
    """
    limits = limits or Limits()
    if isolated:
        sandbox.refuse_to_show(bundle.folder, folder, out)
    roster = [identity(student) for student in roster]
    files = handed_in.scan(folder, bundle.name, roster, deadline)
    counting = handed_in.newest(files)
    readable = {student: file for student, file in counting.items() if file.cells is not None}
    marks = marks_of(out / "marks.csv", bundle, readable)
    results = grade_files(readable, bundle, out, limits, isolated, jobs, say)
    rows = []
    for student in sorted({*counting, *roster, *(student for student, _ in marks)}):
        row = score_row(student, counting.get(student), results.get(student), bundle, marks)
        rows.append(row)
        page = report.feedback(bundle, row, results.get(student), marks)
        write(Paths.of(out, student).feedback, page)
    write_table(out / "scores.csv", ["student", *bundle.questions, "total", "possible", "file", "notes"], rows)
    if marks:
        write_table(out / "marks.csv", MARKS, [marks[key] for key in sorted(marks)])
    table = [
        {"file": file.name, "time": file.time, "student": file.student, "graded": file in readable.values()}
        | {"notes": "; ".join(file.notes)}
        for file in files
    ]
    write_table(out / "files.csv", ["file", "time", "student", "graded", "notes"], table)
    write(out / "summary.txt", report.summary(bundle, rows, results))
    return rows

"""Grade a folder of notebooks.

    python -m vqlib.coursework.grade build/coursework/01-quantization submissions --out grades

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

import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import json
import pathlib
import signal
import sys
import time

from vqlib.coursework import examine, handed_in, pool, report, sandbox, wire
from vqlib.coursework.assignment import file_name, identity
from vqlib.coursework.session import GRACE
from vqlib.coursework.tables import GradingError, read_table, write, write_table

MARKS = ("student", "question", "possible", "mark", "comment", "file")
KEPT = 2  # goes up when what is kept of a graded notebook changes


class Bundle:
    """An assignment as `make coursework` built it.

    Attributes
    ----------
    name : str
    questions : dict, name -> {"points": number, "manual": bool}, in the order of the notebook
    tests : list of paths, with the hidden ones
    sha256 : a hash of all of it
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        if not (self.folder / "questions.json").is_file():
            raise GradingError(f"{folder} is no assignment. `make coursework` builds them, in build/coursework.")
        self.name = self.folder.name
        self.questions = json.loads((self.folder / "questions.json").read_text(encoding="utf-8"))
        self.tests = sorted((self.folder / "tests").glob("*.py"))
        texts = [path.read_bytes() for path in (self.folder / "questions.json", *self.tests)]
        self.sha256 = hashlib.sha256(b"\0".join(texts)).hexdigest()

    @property
    def manual(self):
        """The questions that a person marks."""
        return [name for name, question in self.questions.items() if question["manual"]]


def marks_of(path, bundle, files):
    """Return the rows of marks.csv, by student and question: those that are there, and empty ones for new students."""
    rows = {}
    for row in read_table(path, *MARKS) if path.exists() else ():
        row["student"] = identity(row["student"])
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


def is_mark(text, possible):
    """Whether a text is a number from 0 to what is possible."""
    try:
        return 0 <= float(text) <= possible
    except ValueError:
        return False


def score_row(student, file, result, bundle, marks):
    """Return a student's row of scores.csv.

    Parameters
    ----------
    file : handed_in.File or None
    result : dict, what is kept of its notebook, or None if there is none
    marks : dict, (student, question) -> row of marks.csv
    """
    row, notes = {"student": student}, list(file.notes) if file else ["nothing handed in"]
    for name, question in bundle.questions.items():
        mark, score = marks.get((student, name), {"mark": ""}), 0
        if file and file.cells is not None:
            score = result["questions"][name]["score"] if result and not question["manual"] else ""
        if mark["mark"]:
            if file and file.cells is not None and mark["file"] != file.sha256[:12]:
                notes.append(f"{name} was marked on an earlier file")
            if not question["manual"]:
                notes.append(f"{name} has a mark in place of {number(score)} by tests")
            score = mark["mark"]
        row[name] = number(score)
    if result:
        if result["errors"]:
            notes.append(f"{cells(result['errors'])} stopped with an error")
        if result["late"]:
            notes.append(f"{cells(result['late'])} ran only after cells below")
    row["total"] = number(sum(row[name] for name in bundle.questions if row[name] != ""))
    row["possible"] = number(sum(question["points"] for question in bundle.questions.values()))
    return {**row, "file": file.name if file else "", "notes": "; ".join(notes)}


def cells(found):
    """Return how many cells there are, in words."""
    return f"{len(found)} cell{'' if len(found) == 1 else 's'}"


def number(value):
    """Return a score as a number that reads well, 3 and not 3.0, nor 3.3000000000000003; none stays empty."""
    if value == "":
        return value
    value = round(float(value), 4)
    return int(value) if value == int(value) else value


def places(out, student):
    """Return where a student's result, page to be marked by eye and page of feedback are."""
    folders = (("results", "json"), ("by-eye", "html"), ("feedback", "html"))
    return [out / folder / f"{file_name(student)}.{ending}" for folder, ending in folders]


def grade_files(files, bundle, out, limits, isolated, jobs, say):
    """Grade notebooks, unless they are kept; return what is kept of each, and note with each file what went wrong.

    Parameters
    ----------
    files : dict, student -> handed_in.File
    """
    results, tasks = {}, {}
    for student, file in files.items():
        path, page, _ = places(out, student)
        page = page if bundle.manual else None
        key = [KEPT, bundle.sha256, [*dataclasses.astuple(limits)], isolated, student, file.sha256]
        results[student] = examine.kept(path, key)
        if not results[student]:
            tasks[student] = path, page, key, file.cells, student, bundle.tests, limits, isolated
        elif page and not page.exists():
            write(page, report.by_eye(student, results[student]["notebook"]))
    if len(files) > len(tasks):
        say(f"{len(files) - len(tasks)} of {len(files)} notebooks are graded already.")
    start, longest = time.monotonic(), limits.total + sandbox.START + 4 * GRACE
    with contextlib.closing(pool.run(examine.keep, tasks, jobs, longest)) as ended:
        for count, (student, failure, taken) in enumerate(ended, 1):
            if failure and failure.kind == sandbox.SandboxError.__name__:
                raise sandbox.SandboxError(failure.message)
            if failure:
                files[student].notes.append(f"could not be graded: {wire.line(*failure)}")
            else:
                path, _, key, *_ = tasks[student]
                results[student] = examine.kept(path, key)
            left = (time.monotonic() - start) / count * (len(tasks) - count) / 60
            became = "could not be graded" if failure else f"{taken:.0f} s"
            say(f"[{count}/{len(tasks)}] {student}: {became}; about {left:.0f} minutes left")
    return results


def grade_folder(bundle, folder, out, limits=None, isolated=True, roster=(), deadline=None, jobs=1, say=print):
    """Grade all that is in a folder; return the rows of scores.csv.

    Parameters
    ----------
    bundle : Bundle
    folder, out : paths
    limits : vqlib.coursework.sandbox.Limits, optional
    isolated : bool
        With False, students' code can read and write what you can, and use the network.
    roster : list of student ids
        A student on it who handed in nothing gets a row, too.
    deadline : datetime, optional
        What came later is noted, and graded like the rest.
    jobs : int
        How many notebooks are graded at a time.
    """
    limits, out = limits or sandbox.Limits(), pathlib.Path(out)
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
        write(places(out, student)[2], page)
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


def local_time(text):
    """Return a time in ISO format as local time without a zone, which it may name; times of files are so, too."""
    time = datetime.datetime.fromisoformat(text)
    return time.astimezone().replace(tzinfo=None) if time.tzinfo else time


def number_of_jobs(text):
    """Return a number of notebooks at a time, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"an integer of at least 1 is needed, but {text!r} was given.")
    return int(text)


def parser():
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m vqlib.coursework.grade")
    parser.add_argument("assignment", help="its folder in build/coursework")
    parser.add_argument("submissions", type=pathlib.Path, help="the folder with notebooks and zip files")
    parser.add_argument("--out", type=pathlib.Path, help="where results go; build/grades/NN-name by default")
    parser.add_argument("--roster", help="a CSV file with a column student")
    parser.add_argument("--deadline", type=local_time, help="such as 2026-12-01T23:59, local time")
    parser.add_argument(
        "--jobs", type=number_of_jobs, help="notebooks at a time; by default as many as suit this machine"
    )
    parser.add_argument("--cell", type=float, default=sandbox.Limits.cell, help="seconds for a cell or a test's call")
    parser.add_argument("--total", type=float, default=sandbox.Limits.total, help="seconds for a notebook")
    parser.add_argument("--memory", type=int, default=sandbox.Limits.memory, help="MB of address space")
    parser.add_argument("--unsafe", action="store_true", help="without bubblewrap: only for code that you trust")
    return parser


def stop(*_):
    """End the grading as Ctrl-C does."""
    raise KeyboardInterrupt


def main():
    """Grade what the command line names."""
    arguments = parser().parse_args()
    if not (arguments.unsafe or sandbox.is_available()):
        sys.exit(
            "bubblewrap (bwrap) 0.8 or newer is not installed, or may not work here. Without it, students' code can\n"
            "read your files, the hidden tests among them, and use the network.\n"
            "On Debian and Ubuntu: apt install bubblewrap. On macOS and Windows: a Linux machine or Gradescope.\n"
            "For code that you trust: --unsafe."
        )
    signal.signal(signal.SIGTERM, stop)
    try:
        bundle = Bundle(arguments.assignment)
        if not arguments.submissions.is_dir():
            raise GradingError(f"{arguments.submissions} is not a folder.")
        out = arguments.out or pathlib.Path("build") / "grades" / bundle.name
        rows = grade_folder(
            bundle,
            arguments.submissions,
            out,
            sandbox.Limits(cell=arguments.cell, total=arguments.total, memory=arguments.memory),
            not arguments.unsafe,
            [row["student"] for row in read_table(arguments.roster, "student")] if arguments.roster else (),
            arguments.deadline,
            arguments.jobs or pool.default_jobs(arguments.memory),
        )
    except (GradingError, sandbox.SandboxError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from here.")
    print((out / "summary.txt").read_text(encoding="utf-8"))
    print(f"{len(rows)} students: {out / 'scores.csv'}")


if __name__ == "__main__":
    main()

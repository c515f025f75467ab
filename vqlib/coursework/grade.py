"""Grade a folder of notebooks.

    python -m vqlib.coursework.grade build/coursework/01-quantization submissions --out grades

Each notebook runs in a process of its own, with limits and, by bubblewrap on Linux, without network and without other
files. The tests run here: of a hidden test, only its inputs reach the student's process. What is graded is kept, so
that the same command goes on after an interruption, grades what is new, and leaves the rest as it is. In `out`:

- ``scores.csv``: a row for each student, a column for each question;
- ``files.csv``: a row for each file that was handed in, with what became of it;
- ``feedback/``: a page for each student;
- ``by-eye/`` and ``marks.csv``: the questions that no test grades. Write marks into the latter and run again.
"""

import argparse
import csv
import datetime
import hashlib
import json
import pathlib
import re
import sys

import nbformat

from vqlib.coursework import handed_in, report, sandbox
from vqlib.coursework.assignment import reason
from vqlib.coursework.session import Names, Session

MARKS = ("student", "question", "possible", "mark", "comment", "file")
KEPT = 1  # goes up when what is kept of a graded notebook changes


class GradingError(Exception):
    """The grader, not a student, has to mend something."""


def read_table(path):
    """Return the rows of a CSV file as dicts."""
    with pathlib.Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write(path, text):
    """Write a file whole or not at all, and not at all if it says that already."""
    path = pathlib.Path(path)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_table(path, columns, rows):
    """Write a CSV file."""
    lines = [columns, *[[row[column] for column in columns] for row in rows]]
    stream = report.Lines()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    write(path, stream.text)


def file_name(student):
    """Return a file name for a student: the id, and a hash behind it if the id holds what a name may not."""
    plain = re.sub(r"[^a-z0-9@._-]", "-", student)
    return plain if plain == student else f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:6]}"


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
        folder = pathlib.Path(folder)
        if not (folder / "questions.json").is_file():
            raise GradingError(f"{folder} is no assignment. `make coursework` builds them, in build/coursework.")
        self.name = folder.resolve().name
        self.questions = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
        self.tests = sorted((folder / "tests").glob("*.py"))
        texts = [path.read_bytes() for path in (folder / "questions.json", *self.tests)]
        self.sha256 = hashlib.sha256(b"\0".join(texts)).hexdigest()


def grade(file, bundle, limits, isolated):
    """Run a notebook and its tests; return what is kept of it, as JSON can hold it."""
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import create_test_file

    notebook = nbformat.reads(file.text, as_version=4)
    session, questions = Session(notebook.cells, limits, isolated), {}
    try:
        names = Names(session, STUDENT_ID=file.student)
        for path in bundle.tests:
            test = create_test_file(str(path), NBMetadataConfig())
            test.run(names)
            cases = [
                {"passed": case.passed, "hidden": case.test_case.hidden, "reason": "" if case.passed else reason(case)}
                for case in test.test_case_results
            ]
            questions[test.name] = {"score": round(float(test.score), 4), "cases": cases}
    finally:
        session.close()
    return {
        "questions": questions,
        "errors": {str(index): message for index, message in sorted(session.errors.items())},
        "late": sorted(session.late),
        "notebook": report.executed(notebook, session.outputs),
    }


def kept(path, key, make):
    """Return what a file keeps under a key; if it does not, make it and keep it."""
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["key"] == key:
            return found
    found = {"key": key, **make()}
    write(path, json.dumps(found))
    return found


def marks_of(out, bundle, counting):
    """Return the rows of marks.csv, by student and question: those that are there, and empty ones for new students."""
    path = out / "marks.csv"
    rows = {(row["student"], row["question"]): row for row in (read_table(path) if path.exists() else [])}
    manual = {name: question["points"] for name, question in bundle.questions.items() if question["manual"]}
    for (student, question), row in rows.items():
        if row["mark"].strip():
            try:
                right = 0 <= float(row["mark"]) <= float(row["possible"])
            except ValueError:
                right = False
            if not right:
                limits = f"0 to {row['possible']}"
                raise GradingError(f"{path}: {student}, {question}: the mark must be {limits}, not {row['mark']!r}.")
    for student, file in counting.items():
        for question, points in manual.items():
            new = {"student": student, "question": question, "possible": points, "mark": "", "comment": "", "file": ""}
            row = rows.setdefault((student, question), new)
            if not row["mark"].strip():
                row["file"] = file.sha256[:12]
    return rows


def score_row(student, file, result, bundle, marks):
    """Return a student's row of scores.csv."""
    row, notes = {"student": student}, list(file.notes) if file else ["nothing handed in"]
    for name, question in bundle.questions.items():
        if not file:
            row[name] = 0
        elif question["manual"]:
            entry = marks[student, name]
            row[name] = number(entry["mark"]) if entry["mark"].strip() else ""
            if entry["mark"].strip() and entry["file"] != file.sha256[:12]:
                notes.append(f"{name} was marked on an earlier file")
        else:
            row[name] = number(result["questions"][name]["score"])
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
    """Return a score as a number that reads well: 3, not 3.0."""
    value = float(value)
    return int(value) if value == int(value) else value


def grade_folder(bundle, folder, out, limits=None, isolated=True, roster=(), deadline=None, say=print):
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
    """
    limits, out = limits or sandbox.Limits(), pathlib.Path(out)
    roster = [student.strip().lower() for student in roster]
    files = handed_in.scan(folder, bundle.name, roster, deadline)
    counting = handed_in.newest(files)
    marks, results = marks_of(out, bundle, counting), {}
    key = [KEPT, bundle.sha256, str(limits), isolated]
    for position, (student, file) in enumerate(counting.items(), 1):
        say(f"[{position}/{len(counting)}] {student}: {file.name}")
        path = out / "results" / f"{file_name(student)}.json"
        results[student] = kept(
            path, [*key, student, file.sha256], lambda file=file: grade(file, bundle, limits, isolated)
        )
        notebook = nbformat.from_dict(results[student]["notebook"])
        if any(question["manual"] for question in bundle.questions.values()):
            write(out / "by-eye" / f"{file_name(student)}.html", report.by_eye(student, notebook))
    rows = []
    for student in sorted({*counting, *roster}):
        row = score_row(student, counting.get(student), results.get(student), bundle, marks)
        rows.append(row)
        page = report.feedback(bundle, row, results.get(student), marks)
        write(out / "feedback" / f"{file_name(student)}.html", page)
    columns = ["student", *bundle.questions, "total", "possible", "file", "notes"]
    write_table(out / "scores.csv", columns, rows)
    if marks:
        write_table(out / "marks.csv", MARKS, [marks[key] for key in sorted(marks)])
    table = [
        {"file": file.name, "time": file.time, "student": file.student, "graded": file in counting.values()}
        | {"notes": "; ".join(file.notes)}
        for file in files
    ]
    write_table(out / "files.csv", ["file", "time", "student", "graded", "notes"], table)
    return rows


def main():
    """Grade what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m vqlib.coursework.grade")
    parser.add_argument("assignment", help="its folder in build/coursework")
    parser.add_argument("submissions", type=pathlib.Path, help="the folder with notebooks and zip files")
    parser.add_argument("--out", type=pathlib.Path, help="where results go; build/grades/NN-name by default")
    parser.add_argument("--roster", help="a CSV file with a column student")
    parser.add_argument("--deadline", type=datetime.datetime.fromisoformat, help="such as 2026-12-01T23:59, local time")
    parser.add_argument("--cell", type=float, default=sandbox.Limits.cell, help="seconds for a cell or a test's call")
    parser.add_argument("--total", type=float, default=sandbox.Limits.total, help="seconds for a notebook")
    parser.add_argument("--memory", type=int, default=sandbox.Limits.memory, help="MB of address space")
    parser.add_argument("--unsafe", action="store_true", help="without bubblewrap: only for code that you trust")
    arguments = parser.parse_args()
    if not (arguments.unsafe or sandbox.is_available()):
        sys.exit(
            "bubblewrap (bwrap) is not installed, or may not work here. Without it, students' code can read your "
            "files, the hidden tests among them, and use the network.\nOn Debian and Ubuntu: apt install bubblewrap. "
            "On macOS and Windows: a Linux machine or Gradescope. For code that you trust: --unsafe."
        )
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
            [row["student"] for row in read_table(arguments.roster)] if arguments.roster else (),
            arguments.deadline,
        )
    except (GradingError, sandbox.SandboxError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from here.")
    print(f"{len(rows)} students: {out / 'scores.csv'}")


if __name__ == "__main__":
    main()

"""Grading a folder: what is handed in, what runs where, what comes out."""

import contextlib
import csv
import datetime
import json
import math
import multiprocessing
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unicodedata
import zipfile

import nbformat
import numpy as np
import pytest

from vqgrader import command, examine, grade, handed_in, pool, report, sandbox, session, tables, wire
from vqgrader.bundle import Bundle
from vqgrader.limits import Limits
from vqgrader.session import Namespace, Session
from vqlib.coursework import expect, probe, probes
from vqlib.coursework.answers import AnswerError
from vqlib.coursework.assignment import file_name

pytestmark = pytest.mark.grading

ROOT = pathlib.Path(__file__).parents[1]
PATIENCE = Limits(cell=20, total=300)
HANGS = 600  # seconds after which something will not end any more, however busy the machine is


def cell(source):
    """Return a code cell."""
    return nbformat.v4.new_code_cell(source)


@pytest.fixture(scope="session")
def isolated():
    """Skip where bubblewrap cannot work, or fail where `VQLIB_NEEDS_SANDBOX` is set."""
    if not sandbox.is_available():
        message = "Students' code is not run in a sandbox: bubblewrap (bwrap) is not installed or may not work here."
        if os.environ.get("VQLIB_NEEDS_SANDBOX"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Assignment 1 as `make coursework` builds it, from the committed notebook, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("bundle") / "01-quantization"
    script = (
        "import sys, pathlib; sys.path.insert(0, 'notebooks'); import coursework, nbformat\n"
        "notebook = nbformat.read('notebooks/coursework/01-quantization.ipynb', as_version=4)\n"
        "coursework.make(notebook, '01-quantization', pathlib.Path(sys.argv[1]))"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", script, folder], cwd=ROOT, check=True)
    return folder, math.ceil(time.monotonic() - start)


@pytest.fixture(scope="module")
def bundle(made):
    """Assignment 1."""
    return made[0]


@pytest.fixture(scope="module")
def pace(made):
    """Some seconds; more of them where other programs keep the machine busy, for limits that only a hang may reach."""
    return made[1]


def submission(bundle, student, change=None, blank=False):
    """Return a notebook, as JSON, with a student's id; `change` maps pieces of its code to other ones."""
    notebook = nbformat.read(bundle / ("student.ipynb" if blank else "instructor.ipynb"), as_version=4)
    text = [re.sub(r"STUDENT_ID = .*", f'STUDENT_ID = "{student}"', cell.source) for cell in notebook.cells]
    for old, new in (change or {}).items():
        assert sum(old in source for source in text) == 1, old
        text = [source.replace(old, new) for source in text]
    for number, source in enumerate(text):
        notebook.cells[number].source = source
    return nbformat.writes(notebook)


Q1, Q2, Q3 = (
    "    norms = np.sum(weights",
    "    distances = np.sum((x[:, None]",
    "    mantissa, exponent = np.frexp(values)",
)
SPY = """    import os, pathlib, sys, urllib.request
    frame, seen = sys._getframe(), ""
    while frame:
        seen += repr(frame.f_locals)[:2000] + frame.f_code.co_filename
        frame = frame.f_back
    for folder in ("{tests}", "{outside}", "/"):
        for path in pathlib.Path(folder).rglob("q2.py"):
            seen += path.read_text()
    for attempt in ("{outside}/mark", "/usr/mark", "/mark"):
        try:
            pathlib.Path(attempt).write_text("here")
        except OSError as error:
            seen += str(error)
    raise ValueError("found " + str("test_q2_" + "many" in seen) + " " + str(os.path.exists("{tests}")))
"""

FORGED = """import gc, json, socket
line = next(thing for thing in gc.get_objects() if isinstance(thing, socket.socket))
lie = {"value": {"kind": "all"}, "outputs": [{"image/png": '"><script>'}], "error": [1], "message": {}}
text = json.dumps(lie).encode()
for _ in range(100):
    line.sendall(len(text).to_bytes(4, "big") + text)
"""

EXPECTED = """\
student,q1,q2,q3,q4,q5,q6,total,possible,file,notes
ada,4,3,4,3,3,,17,23,ada.ipynb,also handed in: old/ada.ipynb
bob,0,0,0,0,0,,0,23,bob.ipynb,
cyd,1,3,4,3,3,,14,23,cyd.ipynb,
dan,4,3,4,1,3,,15,23,dan.ipynb,
eve,4,3,4,3,0,,14,23,eve.ipynb,
fay,4,0,4,3,3,,14,23,fay.ipynb,1 cell stopped with an error
gus,4,3,0,3,3,,13,23,gus.ipynb,2 cells stopped with an error
hal,4,0,4,3,3,,14,23,hal.ipynb,
ivy,4,3,4,3,3,,17,23,ivy.ipynb,{order}
jan,4,3,4,3,3,,17,23,Homework FINAL (2).zip,late: 2026-12-04 12:00:00
kim,0,0,0,0,0,0,0,23,,nothing handed in
lea,0,0,0,0,0,,0,23,lea.ipynb,2 cells stopped with an error
"""


def notebook_of(*sources):
    """Return a notebook of code cells, as JSON."""
    return nbformat.writes(nbformat.v4.new_notebook(cells=[cell(source) for source in sources]))


@pytest.fixture(scope="module")
def handed(bundle, pace, tmp_path_factory):
    """Return the arguments that grade a folder: ten submissions, one more that forges, and what else it may hold."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("out")
    spy = SPY.format(tests=bundle / "tests", outside=folder)
    texts = {
        "ada": submission(bundle, "ada"),
        "bob": submission(bundle, "bob", blank=True),
        "cyd": submission(
            bundle,
            "cyd",
            {Q1: "    return np.argmin([[np.dot(weights, abs(row - e)) for e in codebook] for row in x], 1)\n" + Q1},
        ),
        "dan": submission(
            bundle,
            "dan",
            {"[best // len(second), best % len(second)]": "[best % len(second), best // len(second)]"},
        ),
        "eve": submission(
            bundle, "eve", {"    return float(-np.sum(p * np.log2(p)))": "    return float(-np.sum(p * np.log(p)))"}
        ),
        "fay": submission(bundle, "fay", {"def margins(": "import os\n\nos._exit(1)\n\n\ndef margins("}),
        "gus": submission(bundle, "gus", {"def round_bits(": "import time\n\ntime.sleep(10**6)\n\n\ndef round_bits("}),
        "hal": submission(bundle, "hal", {Q2: spy + Q2}),
        "ivy": submission(bundle, "ivy"),
        "lea": notebook_of('STUDENT_ID = "lea"', FORGED, "1 + 1"),
    }
    notebook = nbformat.reads(texts["ivy"], as_version=4)
    notebook.cells.sort(key=lambda cell: "import numpy as np" in cell.source)  # the imports last of all
    texts["ivy"] = nbformat.writes(notebook)
    for student, text in texts.items():
        (folder / f"{student}.ipynb").write_text(text)
    with zipfile.ZipFile(folder / "Homework FINAL (2).zip", "w") as archive:
        archive.writestr("whatever/untitled.ipynb", submission(bundle, "jan"))
    (folder / "old").mkdir()
    (folder / "old" / "ada.ipynb").write_text(texts["bob"].replace("bob", "ada"))
    (folder / "notes.txt").write_text("I could not do question 6.")
    for path in folder.rglob("*.*"):
        day = 1 if path.parent.name == "old" else 4 if "FINAL" in path.name else 2
        os.utime(path, (moment := datetime.datetime(2026, 12, day, 12).timestamp(), moment))
    return {
        "bundle": Bundle(bundle),
        "folder": folder,
        "out": out,
        "limits": Limits(cell=max(30, 6 * pace), total=max(300, 60 * pace)),
        "roster": [*texts, "jan", "kim"],
        "deadline": datetime.datetime(2026, 12, 2, 12),
        "jobs": 3,  # one of the notebooks only waits
        "say": lambda line: None,
    }


@pytest.fixture(scope="module")
def stopped(isolated, handed, tmp_path_factory):
    """The command, killed and ended when it works, and interrupted when something is graded.

    What it said, the results it left, its processes, and those of them that are left.
    """
    roster = tmp_path_factory.mktemp("roster") / "roster.csv"
    roster.write_text("\n".join(["student", *handed["roster"]]))
    words = [sys.executable, "-m", "vqgrader", "grade", handed["bundle"].folder, handed["folder"]]
    words += ["--out", handed["out"], "--jobs", "2", "--roster", roster, "--deadline", "2026-12-02T12:00"]
    words += ["--cell", str(handed["limits"].cell), "--total", str(handed["limits"].total)]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    folder, during, said = handed["out"] / "results", [], ""
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in a script's background it is ignored
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, **how)
        signal.signal(signal.SIGINT, before)
        while process.poll() is None and not (found := students_processes(process.pid)):
            time.sleep(0.1)
        while process.poll() is None and number == signal.SIGINT and not list(folder.glob("*.json")):
            time.sleep(0.1)
        during += found
        if number == signal.SIGINT:  # a terminal sends Ctrl-C to all of the group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said += process.communicate(timeout=HANGS)[0]
    kept = {path: path.read_bytes() for path in folder.glob("*.json")}
    return {"said": said, "kept": kept, "during": during, "left": wait_for_end(during)}


def students_processes(pid):
    """Return what a process started, if students' code is among it."""
    found = descendants(pid)
    return found if any("bwrap" in command_of(child) for child in found) else []


def command_of(pid):
    """Return the command of a process, or nothing if it has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def descendants(pid):
    """Return the processes that a process started, and theirs."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def wait_for_end(pids):
    """Return which processes are still there after two minutes; what the tests start sleeps for longer."""
    until = time.monotonic() + 120
    while time.monotonic() < until and any(map(is_running, pids)):
        time.sleep(0.1)
    return [pid for pid in pids if is_running(pid)]


def is_running(pid):
    """Whether a process is there and not only waits to be forgotten."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def graded(stopped, handed):
    """All of the folder graded for real, after the interruption."""
    grade.grade_folder(**handed)
    return handed


def results(graded, student):
    """Return what is kept of a student."""
    return json.loads((graded["out"] / "results" / f"{student}.json").read_text())


def test_ten_submissions_give_exactly_these_scores(graded):
    text = (graded["out"] / "scores.csv").read_text()
    order = f"{len(results(graded, 'ivy')['late'])} cells ran only after cells below"
    assert text == EXPECTED.format(order=order)
    assert len(results(graded, "ivy")["late"]) >= 5
    assert not results(graded, "ivy")["errors"]


def test_an_interruption_leaves_no_process(stopped):
    assert stopped["said"].count("Stopped. The same command goes on from here.") == 2
    assert "Traceback" not in stopped["said"]
    assert len(stopped["during"]) >= 9
    assert not stopped["left"]


def test_an_interruption_loses_nothing(stopped, graded):
    assert stopped["kept"]
    assert {path: path.read_bytes() for path in stopped["kept"]} == stopped["kept"]


def test_the_spy_saw_nothing_and_left_nothing(graded, bundle):
    assert not list(graded["folder"].rglob("mark"))
    reasons = [case["reason"] for case in results(graded, "hal")["questions"]["q2"]["cases"]]
    assert reasons == ["margins stopped with ValueError: found False False"] * 3


def test_each_file_is_accounted_for(graded):
    with (graded["out"] / "files.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert set(rows) == {str(p.relative_to(graded["folder"])) for p in graded["folder"].rglob("*") if p.is_file()}
    assert rows["notes.txt"]["graded"] == "False"
    assert "not a notebook" in rows["notes.txt"]["notes"]
    assert rows["old/ada.ipynb"]["notes"] == "not graded: ada.ipynb is newer"
    assert rows["Homework FINAL (2).zip"]["student"] == "jan"


def test_feedback_says_what_was_wrong_and_does_not_show_a_test(graded):
    pages = {path.stem: path.read_text() for path in (graded["out"] / "feedback").glob("*.html")}
    assert set(pages) == {"ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "jan", "kim", "lea"}
    assert "squared before it is weighted" in pages["cyd"]
    assert "stands before" in pages["dan"]
    assert "nats" in pages["eve"]
    assert f"stopped after {graded['limits'].cell} seconds" in pages["gus"]
    assert "brought its process down" in pages["fay"]
    assert not [name for name, page in pages.items() if re.search(r"Error at line|def test_|expected = ", page)]


def test_page_for_grading_by_eye_holds_the_answer_and_its_figure(graded):
    page = (graded["out"] / "by-eye" / "ada.html").read_text()
    assert re.search(r"<h2[^>]*>Question 6", page)
    assert "&lt;" not in page.partition("Question 6")[2].partition("<pre>")[0]  # no tag is shown as text
    assert "data:image/png;base64" in page
    assert "Question 5" not in page


def test_grading_again_runs_nothing_and_changes_nothing(graded, monkeypatch):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in graded["out"].rglob("*.*")}
    monkeypatch.setattr(examine, "keep", lambda *_: pytest.fail("a notebook ran again"))
    grade.grade_folder(**graded)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in graded["out"].rglob("*.*")} == before


def test_marks_by_eye_are_merged_and_kept(graded):
    path = graded["out"] / "marks.csv"
    original = path.read_text()
    assert original.splitlines()[1].startswith("ada,q6,6,,,")
    path.write_text(original.replace("ada,q6,6,,,", "ada,q6,6,4.5,Say why.,"))
    try:
        rows = {row["student"]: row for row in grade.grade_folder(**graded)}
        assert (rows["ada"]["q6"], rows["ada"]["total"], rows["bob"]["q6"]) == (4.5, 21.5, "")
        assert "Say why." in (graded["out"] / "feedback" / "ada.html").read_text()
        assert "ada,q6,6,4.5,Say why.," in path.read_text()
        path.write_text(re.sub(r"^ada.*$", "ada,q6,6,7,,x", original, flags=re.MULTILINE))
        with pytest.raises(tables.GradingError, match="0 to 6, not '7'"):
            grade.grade_folder(**graded)
        path.write_text(re.sub(r"^ada.*$", "ada,q6,6,5,,0123456789ab", original, flags=re.MULTILINE))
        rows = {row["student"]: row for row in grade.grade_folder(**graded)}
        assert "q6 was marked on an earlier file" in rows["ada"]["notes"]
    finally:
        path.write_text(original)
        grade.grade_folder(**graded)


@pytest.fixture
def pretend(monkeypatch):
    """Grade without running anything: each answer gets one point. Return the students in the order of their grading."""
    students = []

    def run(function, tasks, jobs, seconds, fatal):
        for student, (task,) in tasks.items():
            students.append(student)
            cases = [{"passed": False, "hidden": True, "reason": "Why?"}]
            questions = {test.stem: {"score": 1.0, "cases": cases} for test in task.tests}
            kept = {"questions": questions, "errors": {}, "late": [], "notebook": report.executed(task.cells, {})}
            tables.write(task.result, json.dumps({"key": task.key, **kept}))
            tables.write(task.page, "by eye")
            yield student, None, 1.0

    monkeypatch.setattr(pool, "run", run)
    return students


def test_only_what_is_new_is_graded(bundle, tmp_path, pretend):
    folder, out, assignment, limits = tmp_path / "in", tmp_path / "out", Bundle(bundle), Limits(cell=1)
    folder.mkdir()
    for student in "abc":
        (folder / f"{student}.ipynb").write_text(submission(bundle, student, blank=True))
    grade.grade_folder(assignment, folder, out)
    (folder / "b.ipynb").write_text(submission(bundle, "b"))
    (out / "results" / "c.json").unlink()  # how an appeal is graded again
    (out / "by-eye" / "a.html").unlink()
    rows = grade.grade_folder(assignment, folder, out)
    assert pretend == ["a", "b", "c", "b", "c"]
    assert [(row["student"], row["total"]) for row in rows] == [("a", 5), ("b", 5), ("c", 5)]
    assert "Question 6" in (out / "by-eye" / "a.html").read_text()
    summary = (out / "summary.txt").read_text()
    assert "q1: mean 1.00 of 4 (3 x 1)\n" in summary
    assert "q6: no score yet\n" in summary
    assert "q1: nobody passed test 1, a hidden test" in summary
    assert "3 answers are without a mark" in summary
    pretend.clear()
    grade.grade_folder(assignment, folder, out, limits)
    shutil.copytree(bundle, tmp_path / assignment.name)
    with (tmp_path / assignment.name / "tests" / "q3.py").open("a") as file:
        file.write("# another test\n")
    grade.grade_folder(Bundle(tmp_path / assignment.name), folder, out, limits)
    assert pretend == ["a", "b", "c"] * 2


def test_a_notebook_that_cannot_be_graded_has_no_score_and_is_tried_again(bundle, tmp_path, monkeypatch):
    folder, out, failure = (
        tmp_path / "in",
        tmp_path / "out",
        pool.Failure(pool.Kind.RAISED, "MemoryError", "so\n\ud800much"),
    )
    folder.mkdir()
    (folder / "a.ipynb").write_text(notebook_of("STUDENT_ID = 'a'"))
    monkeypatch.setattr(pool, "run", lambda function, tasks, *_, **__: ((name, failure, 1.0) for name in tasks))
    for _ in range(2):
        (row,) = grade.grade_folder(Bundle(bundle), folder, out)
        assert (row["q1"], row["total"]) == ("", 0)
        assert row["notes"] == "could not be graded: MemoryError: so \N{REPLACEMENT CHARACTER}much"
    failure = pool.Failure(pool.Kind.FATAL, "SandboxError", "No process")
    with pytest.raises(sandbox.SandboxError, match="No process"):
        grade.grade_folder(Bundle(bundle), folder, out)


def test_marks_by_hand_stand_in_place_of_tests(bundle, tmp_path, pretend):
    folder, out, assignment = tmp_path / "in", tmp_path / "out", Bundle(bundle)
    folder.mkdir()
    (folder / "x.ipynb").write_text(notebook_of("STUDENT_ID = '=1+1'"))
    grade.grade_folder(assignment, folder, out)
    marks = out / "marks.csv"
    assert "\n'=1+1,q6,6,,," in marks.read_text()  # no spreadsheet computes this
    with marks.open("a") as file:
        file.write("'=1+1,q1,,3.5,-2 since p < 0,\npaper,q6,,4,,\n")
    rows = {row["student"]: row for row in grade.grade_folder(assignment, folder, out)}
    assert (rows["=1+1"]["q1"], rows["=1+1"]["total"]) == (3.5, 7.5)
    assert "q1 has a mark in place of 1 by tests" in rows["=1+1"]["notes"]
    assert (rows["paper"]["total"], rows["paper"]["notes"]) == (4, "nothing handed in")
    assert "'=1+1,q1,4,3.5,'-2 since p < 0," in marks.read_text()
    assert "-2 since p &lt; 0" in (out / "feedback" / f"{file_name('=1+1')}.html").read_text()
    before = marks.read_text()
    grade.grade_folder(assignment, folder, out)
    assert marks.read_text() == before
    for line, words in (
        ("paper,q6,,1,,", "two lines"),
        ("paper,q66,,1,,", "no such question"),
        ("x,q6,,6.5,,", "0 to 6"),
    ):
        marks.write_text(f"{before}{line}\n")
        with pytest.raises(tables.GradingError, match=words):
            grade.grade_folder(assignment, folder, out)
    marks.write_text(before.replace(",", ";"))  # as spreadsheets save it in many countries
    assert grade.grade_folder(assignment, folder, out) == list(rows.values())


def test_scores_read_well():
    assert [repr(grade.format_score(score)) for score in (3.0, "4.5", 1.1 + 2.2, 1 / 3, "")] == [
        "3",
        "4.5",
        "3.3",
        "0.3333",
        "''",
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"name\nada\n", "there is no student"), (b"student\n\xe4\n", "CSV UTF-8"), (None, "cannot be read")],
)
def test_a_table_that_does_not_fit_is_named(tmp_path, data, words):
    path = tmp_path / "table.csv"
    if data:
        path.write_bytes(data)
    with pytest.raises(tables.GradingError, match=words):
        tables.read_table(path, "student")


def test_rows_that_a_spreadsheet_left_empty_are_nobodys(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("student,name\nada,Ada\n,\n,,\n \nbob,\n")
    assert tables.read_table(path, "student") == [{"student": "ada"}, {"student": "bob"}]


def test_gradescope_archive_gives_the_reference_full_marks(bundle, tmp_path):
    """otter's own run of the file that is uploaded, but for the making of its environment."""
    path = tmp_path / "submission.ipynb"
    path.write_text(submission(bundle, "ada"))
    command = [sys.executable, "-m", "otter", "run", "-a", bundle / "autograder.zip", "-o", tmp_path, path]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    tests = json.loads((tmp_path / "results.json").read_text())["tests"]
    scored = [test for test in tests if test.get("max_score")]
    assert sum(test["score"] for test in scored) == sum(test["max_score"] for test in scored) == 17


def write(folder, name, source, seconds=0):
    """Write a notebook of one cell."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="same")]), path)
    os.utime(path, (1_700_000_000 + seconds,) * 2)


def test_whose_notebook_it_is(tmp_path):
    write(tmp_path, "Ada Lovelace_1815/work.ipynb", 'STUDENT_ID = "byron"')
    write(tmp_path, "grace.hopper-late.ipynb", "STUDENT_ID = ...")
    write(tmp_path, "x.ipynb", "STUDENT_ID = 'Alan '  # mine\nAssignment('02-other', STUDENT_ID)")
    write(tmp_path, "unknown.ipynb", "1 + 1")
    roster = ["ada lovelace", "grace.hopper", "alan"]
    files = {file.name: file for file in handed_in.scan(tmp_path, "01-quantization", roster)}
    students = {name: file.student for name, file in files.items()}
    assert students == {
        "Ada Lovelace_1815/work.ipynb": "ada lovelace",
        "grace.hopper-late.ipynb": "grace.hopper",
        "x.ipynb": "alan",
        "unknown.ipynb": "unknown",
    }
    assert files["Ada Lovelace_1815/work.ipynb"].notes == ["the notebook has the student id byron"]
    assert files["x.ipynb"].notes == ["this is the assignment 02-other"]
    assert files["unknown.ipynb"].notes == ["the notebook has no student id", "not on the roster"]


def test_the_last_student_id_of_a_notebook_counts_and_a_byte_order_mark_does_not(tmp_path):
    write(tmp_path, "x.ipynb", "STUDENT_ID = 'first'\nAssignment('01-quantization', STUDENT_ID)")
    notebook = nbformat.read(tmp_path / "x.ipynb", as_version=4)
    notebook.cells.append(cell("STUDENT_ID = 'second'"))
    (tmp_path / "x.ipynb").write_bytes(b"\xef\xbb\xbf" + nbformat.writes(notebook).encode())
    (file,) = handed_in.scan(tmp_path, "01-quantization")
    assert (file.student, file.notes) == ("second", [])


def test_the_newest_counts_and_damaged_files_are_named(tmp_path):
    write(tmp_path, "b.ipynb", 'STUDENT_ID = "ada"', seconds=5)
    write(tmp_path, "a.ipynb", 'STUDENT_ID = "ada"', seconds=9)
    write(tmp_path, "c.ipynb", 'STUDENT_ID = "ada"\n1', seconds=1)
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    (tmp_path / "binary.ipynb").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("1.ipynb", notebook_of("STUDENT_ID = 'one'"))
        archive.writestr("2.ipynb", notebook_of("STUDENT_ID = 'two'"))
    (tmp_path / "ada.zip").write_bytes(b"no zip file, and newer")
    files = handed_in.scan(tmp_path, "01-quantization")
    counting = handed_in.newest(files)
    found = {student: file.name for student, file in counting.items()}
    assert found == {"ada": "a.ipynb", "binary": "binary.ipynb", "broken": "broken.zip", "two": "two.zip"}
    assert counting["ada"].notes == [
        "also handed in: ada.zip, which cannot be read",
        "also handed in: c.ipynb",
        "also handed in: b.ipynb with the same content",
    ]
    damaged = [file.name for file in files if any("not a notebook" in note for note in file.notes)]
    assert damaged == ["ada.zip", "binary.ipynb", "broken.ipynb", "broken.zip", "two.zip"]


def bomb(path, inside, times=1):
    """Write a zip file that becomes so many times larger than it may."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(inside, "w") as file:
        for _ in range(times * handed_in.LARGEST // 2**20 + 1):
            file.write(bytes(2**20))


def test_hostile_files_are_reported_and_stop_nothing(tmp_path, bundle, pretend):
    folder = tmp_path / "in"
    folder.mkdir()
    notebook = notebook_of("STUDENT_ID = 'ada'")
    (folder / "ada.ipynb").write_text(notebook)
    os.utime(folder / "ada.ipynb", (1e9, 1e9))
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "ada-checkpoint.ipynb").write_text(notebook.replace("'ada'", "'ada'  # older"))
    bomb(folder / "bomb.zip", "a.ipynb")
    with zipfile.ZipFile(folder / "locked.zip", "w") as archive:
        archive.writestr("a.ipynb", notebook)
    data = bytearray((folder / "locked.zip").read_bytes())
    for place in (6, data.index(b"PK\x01\x02") + 8):
        data[place] |= 1  # says that it is encrypted
    (folder / "locked.zip").write_bytes(data)
    bomb(folder / "torn.zip", "a.ipynb")
    data = bytearray((folder / "torn.zip").read_bytes())
    data[60:90] = bytes(30)
    (folder / "torn.zip").write_bytes(data)
    with zipfile.ZipFile(folder / "up.zip", "w") as archive:
        archive.writestr("../../outside.ipynb", notebook_of("STUDENT_ID = 'up'"))
    (folder / "deep.ipynb").write_text('{"cells": ' + "[" * 100_000)
    (folder / "odd.ipynb").write_text('{"cells": [{"cell_type": ["code"], "source": 7}]}')
    (folder / "many.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": ""}] * 2001}))
    (folder / "large.ipynb").write_text(" " * (handed_in.LARGEST + 1))
    (tmp_path / "mine.ipynb").write_text(notebook_of("STUDENT_ID = 'mine'"))
    (folder / "link.ipynb").symlink_to(tmp_path / "mine.ipynb")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "surrogate.ipynb").write_text(notebook.replace("'ada'", "'\\\\ud800'"))
    (folder / "half.ipynb").write_text(notebook.replace("'ada'", "'\\ud800'"))
    (folder / "long.ipynb").write_text(notebook_of(f"STUDENT_ID = {'x' * 300!r}"))
    (folder / "screen.ipynb").write_text(notebook_of("STUDENT_ID = 'a\x1b[2Jb'"))
    (folder / "nested.ipynb").write_text(notebook_of("STUDENT_ID = 'a'" + ".b" * 100_000 + "+ 'c'"))
    (folder / "\x1b[2J\n.ipynb").write_text(notebook_of("STUDENT_ID = ..."))
    pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/\xff.ipynb")).write_text(notebook)
    os.utime(os.fsencode(folder) + b"/\xff.ipynb", (1e8, 1e8))
    rows = {row["student"]: row for row in grade.grade_folder(Bundle(bundle), folder, tmp_path / "out")}
    notes = {row["file"]: row["notes"] for row in tables.read_table(tmp_path / "out" / "files.csv", "file", "notes")}
    assert len(notes) == 19
    for name in ("bomb.zip", "locked.zip", "torn.zip", "up.zip", "deep", "odd", "many", "large", "link", "pipe"):
        name = name if "." in name else f"{name}.ipynb"
        assert "not a notebook that can be read" in notes[name], name
        assert "not a notebook that can be read" in rows[name.split(".")[0]]["notes"]
    assert "larger than 16 MB" in notes["bomb.zip"]
    assert "hidden" in notes[".ipynb_checkpoints/ada-checkpoint.ipynb"]
    assert rows["ada"]["file"] == "ada.ipynb"
    assert rows["ada"]["notes"] == "also handed in: \N{REPLACEMENT CHARACTER}.ipynb with the same content"
    odd = "\N{REPLACEMENT CHARACTER}"
    assert pretend == ["ada", "long", "nested", "screen", "surrogate", odd, f"{odd}[2j{odd}"]
    assert not list(tmp_path.parent.rglob("outside.ipynb"))


def test_a_zip_file_cannot_fill_the_memory(tmp_path):
    bomb(tmp_path / "bomb.zip", "a.ipynb", times=5)
    assert probes.peak_megabytes(handed_in.scan, tmp_path, "01-quantization") < 3 * handed_in.LARGEST / 1e6


@pytest.mark.parametrize("zone", [None, datetime.UTC, datetime.timezone(datetime.timedelta(hours=-5))], ids=str)
def test_a_deadline_is_in_local_time_or_names_its_zone(tmp_path, zone):
    said = datetime.datetime.fromtimestamp(1_700_000_001, zone).isoformat()
    deadline = command.make_parser().parse_args(["grade", "bundle", "submissions", "--deadline", said]).deadline
    for seconds, late in ((1, False), (2, True)):
        write(tmp_path, "ada.ipynb", "1", seconds)
        (file,) = handed_in.scan(tmp_path, "01-quantization", deadline=deadline)
        assert any("late" in note for note in file.notes) == late


def test_names_are_compared_as_people_read_them(tmp_path):
    write(tmp_path, unicodedata.normalize("NFD", "Jürgen Ω.ipynb"), "1")
    write(tmp_path, "ada_bob.ipynb", "STUDENT_ID = 'bob'")
    write(tmp_path, "anna.maria-1.ipynb", "1")
    files = handed_in.scan(tmp_path, "01-quantization", ["jürgen ω", "ada", "bob", "anna", "anna.maria"])
    assert {file.student for file in files} == {"jürgen ω", "bob", "anna.maria"}
    assert [file.notes for file in files if file.student == "bob"] == [["the path names several students: ada, bob"]]


@pytest.mark.parametrize("student", ["../../up", "a/b", "ada lovelace", "ä", "x" * 300, "=1+1"])
def test_a_student_id_cannot_lead_out_of_the_folder(student):
    assert re.fullmatch(r"[a-z0-9@._-]{1,80}-[0-9a-f]{6}", file_name(student))
    assert file_name(student) != file_name(student + "x")
    assert file_name(file_name(student)) != file_name(student)  # that id is nobody's neighbour's


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path, real = tmp_path / "in" / "file", pathlib.Path.write_bytes
    tables.write(path, "first")
    monkeypatch.setattr(pathlib.Path, "write_bytes", lambda path, data: real(path, data[:3]) and pytest.fail("no room"))
    tables.write(path, "first")
    with pytest.raises(pytest.fail.Exception, match="no room"):
        tables.write(path, "second")
    assert path.read_text() == "first"


@pytest.mark.parametrize("text", ["=1", "'=1", "''=1", "'tis", "-2 points", "it's", "@", "'", ""])
def test_a_table_gives_back_what_it_was_given(tmp_path, text):
    rows = [{"text": text, "row": "1"}, {"text": "end", "row": "2"}]
    tables.write_table(tmp_path / "table.csv", ["text", "row"], rows)
    assert tables.read_table(tmp_path / "table.csv", "text", "row") == rows


VALUES = [
    None,
    ...,
    True,
    3,
    2.5,
    float("inf"),
    "text",
    [1, [2.0, "a"]],
    (1, 2),
    {"a": 1, 2: None},
    np.arange(6, dtype="int32").reshape(2, 3),
    np.array([[np.nan, 1.0]]),
    np.array(True),
    np.zeros((0, 3), "float32"),
    np.array(["a", "bc"]),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_travel_by_value(value):
    there = json.loads(json.dumps(wire.pack(value, pytest.fail)))
    back = wire.unpack(there, pytest.fail)
    np.testing.assert_equal(back, value)
    assert type(back) is type(value)
    assert getattr(back, "dtype", None) == getattr(value, "dtype", None)


def test_tensors_and_bfloat16_arrive_as_arrays():
    import tensorflow as tf

    for tensor in (tf.constant([1, 2]), tf.Variable([0.5]), tf.cast([1.5, 2.0], "bfloat16")):
        back = wire.unpack(json.loads(json.dumps(wire.pack(tensor, pytest.fail))), pytest.fail)
        assert isinstance(back, np.ndarray)
        assert back.dtype.name == tensor.dtype.name
        np.testing.assert_array_equal(back.astype("float32"), np.asarray(tensor).astype("float32"))


def framed(text):
    """Return bytes with their length before them."""
    return len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize(
    "sent",
    [b"", b"12", b"\xff\xff\xff\xff{}", framed(b"{}x"), framed(b"[]"), framed(b"{}")[:-1], framed(b"[" * 9999)],
)
def test_what_is_no_message_is_the_end(sent):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=lambda: (theirs.sendall(sent), theirs.close()))
        sender.start()
        with pytest.raises(EOFError):
            wire.receive(ours)
        sender.join()


def test_a_message_that_is_too_long_is_not_waited_for():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall((wire.LONGEST + 1).to_bytes(4, "big"))
        with pytest.raises(EOFError):
            wire.receive(ours, time.monotonic() + 1)


def test_a_message_that_trickles_in_does_not_hold_the_grader():
    ours, theirs = socket.socketpair()

    def trickle():
        with contextlib.suppress(OSError):
            for byte in framed(b" " * 1200):
                theirs.sendall(bytes([byte]))
                time.sleep(0.05)

    sender = threading.Thread(target=trickle)
    sender.start()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive(ours, start + 0.5)
    assert time.monotonic() - start < 30  # all of it takes a minute
    ours.close()
    sender.join()
    theirs.close()


def test_too_large_a_message_is_refused_where_it_is_sent():
    with pytest.raises(OverflowError, match="40 MB, and 32 MB may be"):
        wire.encode({"value": "x" * 40 * 2**20})


def test_the_largest_notebook_reaches_the_process_in_any_script():
    source = "\u00e9" * (handed_in.LARGEST // 2)
    assert len(wire.encode({"do": "run", "source": source})) < handed_in.LARGEST + 100


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\u00e9\U0001f600\0\x7f\u2028"], ids=ascii)
def test_text_arrives_as_it_was_also_half_a_character(text):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire.encode({"value": text}))
        assert wire.receive(ours) == {"value": text}


@pytest.mark.parametrize("dtype", ["O", "f4,f4", "M8[s]", "V8", "no type"])
def test_only_arrays_of_numbers_and_text_are_unpacked(dtype):
    with pytest.raises(TypeError):
        wire.unpack({"kind": "array", "dtype": dtype, "shape": [1], "data": "AAAAAAAAAAA="}, pytest.fail)


def task(cells, tests, limits=PATIENCE):
    """Return what is to be examined, of a student called ada."""
    return examine.Task(pathlib.Path("ada.json"), None, [], cells, "ada", tests, limits, True)


class Liar:
    """Stands in for a sandbox whose process answers what it likes."""

    answers = ()

    def __init__(self, limits, isolated):
        self.left = list(self.answers)

    def ask(self, message, seconds):
        """Return the next lie."""
        return self.left.pop(0) if self.left else {}

    def close(self):
        """Do nothing."""


LIES = [
    {},
    {"error": {"a": 1}, "message": [2]},
    {"error": "NameError", "misses_name": True},
    {"outputs": 7},
    {"outputs": [1, None, {"text/html": "<script>"}, {"image/png": 'x"><script>'}, {"image/png": 5}]},
    {"outputs": [{"text/plain": {"a": "\ud800"}}], "error": "E", "message": "\ud800" * 10_000},
    {"value": {"kind": "exported"}},
    {"value": {"kind": "exported", "name": ["x"] * 999, "number": -1}},
    {"value": {"kind": "dict", "items": [[{"kind": "list", "items": []}, 1]]}},
    {"value": {"kind": "array", "dtype": "f8", "shape": [-1, -1], "data": "!"}},
    {"value": 10**400},
    {"error": "<script>", "message": "<script>"},
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: repr(lie)[:60])
def test_whatever_a_process_answers_it_is_graded_and_shown(lie, bundle, monkeypatch):
    monkeypatch.setattr(session, "Sandbox", type("Liar", (Liar,), {"answers": [lie] * 500}))
    cells = [cell("1"), cell("2")]
    kept = examine.examine(task(cells, Bundle(bundle).tests))
    assert [question["score"] for question in kept["questions"].values()] == [0] * 5
    assert len(json.dumps(kept)) < 300_000
    page = report.manual_page("ada", nbformat.from_dict(kept["notebook"]))
    row = grade.score_row("ada", None, kept, Bundle(bundle), {})
    page += report.feedback(Bundle(bundle), row, kept, {})
    assert "<script" not in page
    page.encode()


def test_outputs_have_room_for_so_much_and_no_more(monkeypatch):
    answer = {"outputs": [{"text/plain": "x" * 30_000}] * 2}
    monkeypatch.setattr(session, "Sandbox", type("Liar", (Liar,), {"answers": [answer] * 3}))
    monkeypatch.setattr(session, "OUTPUTS", 100_000)
    with Session.start([cell("1")] * 3, PATIENCE) as begun:
        begun.run()
    outputs = begun.outputs
    assert [len(outputs[index]) for index in range(3)] == [2, 2, 1]
    assert len(outputs[0][0]["text/plain"]) < 21_000
    assert "not kept" in outputs[2][0]["text/plain"]


@pytest.fixture
def examined(tmp_path, monkeypatch):
    """Return a function: (what tests do with `env`, the value that they find there) -> what is kept of each test."""

    def examined(bodies, value):
        source = "from otter.test_files import test_case\nOK_FORMAT = False\nname = 'q'\npoints = None\n"
        for number, body in enumerate(bodies):
            source += f"@test_case(points=1, hidden=True)\ndef test_{number}(env):\n    {body}\n"
        (tmp_path / "q.py").write_text(source)
        monkeypatch.setattr(session, "Sandbox", type("Liar", (Liar,), {"answers": [{}, {"value": value}]}))
        monkeypatch.setattr(examine, "GRACE", 1)
        kept = examine.examine(task([cell("1")], [tmp_path / "q.py"], limits=Limits(total=1)))
        return kept["questions"]["q"]["cases"]

    return examined


def test_a_value_in_the_words_of_a_test_is_cut_and_can_be_written(examined):
    (case,) = examined(["assert False, env['n']"], "\ud800" * 10_000)
    assert case["reason"] == "\N{REPLACEMENT CHARACTER}" * wire.LONGEST_ERROR + " ... (cut here)"


def test_a_value_that_keeps_a_test_busy_costs_its_student_only(examined):
    """A test that counts up to a student's number runs in the grader."""
    cases = examined(["pass", "[None for _ in range(env['n'])]", "pass"], 10**15)
    assert [case["passed"] for case in cases] == [True, False, False]
    assert "stopped after 2 seconds" in cases[1]["reason"]


def test_answers_cannot_fill_the_memory_of_the_grader(tmp_path):
    source = f"""import pathlib, resource
from vqgrader import examine
from vqgrader.limits import Limits
examine.examine = lambda task: {{"limit": resource.getrlimit(resource.RLIMIT_AS)}}
path, limits = pathlib.Path("{tmp_path}/ada.json"), Limits(memory=3000)
examine.keep(examine.Task(path, None, ["key"], [], "ada", [], limits, True))"""
    assert ends({"ada": (source, {})}, function=exec) == {"ada": None}
    assert json.loads((tmp_path / "ada.json").read_text())["limit"] == [3000 * 2**20] * 2


HOSTILE_PAGE = """<script>alert(1)</script> <img src="x" onerror="alert(2)"> [a](javascript:alert(3))
<iframe src="https://example.org"></iframe> ![b](https://example.org/seen.png) <style>body {display: none}</style>"""


def test_a_page_for_the_grader_runs_nothing_and_fetches_nothing():
    cells = [nbformat.v4.new_markdown_cell(HOSTILE_PAGE), cell("'<script>alert(4)</script>'")]
    outputs = {1: [{"text/plain": "<script>alert(5)</script>\x1b[31m<b>red</b>"}]}
    page = report.manual_page("<script>alert(6)</script>", report.executed(cells, outputs))
    assert not re.search(r"<(script|iframe|style>body)|<img[^>]+onerror|href=.javascript|<b>red", page)
    assert "default-src 'none'; img-src data:" in page


def test_a_page_for_a_student_shows_names_as_text(bundle):
    file = handed_in.File("<i>.ipynb", datetime.datetime(2026, 12, 1), [], notes=["also handed in: <b>.ipynb"])
    row = grade.score_row("<u>", file, None, Bundle(bundle), {})
    page = report.feedback(Bundle(bundle), row, None, {})
    assert "01-quantization: &lt;u&gt;" in page
    assert "also handed in: &lt;b&gt;.ipynb" in page
    assert not re.search("<[ibu]>", page)


@pytest.fixture(scope="module")
def student(isolated, pace, tmp_path_factory):
    """A session of many cells, good and hostile. One for several tests, since some of them wait for a limit."""
    outside = tmp_path_factory.mktemp("outside") / "outside.txt"
    outside.write_text("secret")
    sources = {
        "early": "y = later + 1",
        "later": "later = 1",
        "double": "import numpy as np, os, pathlib, socket, subprocess, sys, time\n\ndef double(x):\n    return 2 * x",
        "box": "class Box:\n    size = (2, 3)\n    def scale(self, x, by=1): return by * np.array(x)\nbox = Box()",
        "mine": "pathlib.Path('mine').write_text('a file of my own')",
        "endless": "while True:\n    try:\n        while True: time.sleep(1)\n    except Exception: pass",
        "exit": "raise SystemExit",
        "outside": f"pathlib.Path({str(outside)!r}).read_text()",
        "network": "socket.create_connection(('1.1.1.1', 80), timeout=5)",
        "system": "pathlib.Path('/usr/x').write_text('')",
        "device": "pathlib.Path('/dev/x').write_text('')",
        "root": "pathlib.Path('/x').write_text('')",
        "memory": "big = np.empty(9 * 2**30, 'uint8')",
        "file": "open('full', 'wb').write(bytes(9 * 2**20))",
        "shared": "for n in range(6): pathlib.Path(f'/dev/shm/{n}').write_bytes(bytes(7 * 2**20))",
        "folder": "for n in range(6): pathlib.Path(f'{n}').write_bytes(bytes(7 * 2**20))",
        "namespace": "subprocess.run(['unshare', '-Um', 'true'], check=True)",
        "long": "raise ValueError('x' * 10**6)",
        "said": "print('said'); 6 * 7",
        "shout": "print('x' * 10**6)",
        "html": "from IPython.display import HTML\nHTML('<script>alert(1)</script>')",
        "secrets": "print(open('/proc/1/environ').read(), os.environ)",
        "first": "print(open('/proc/self/oom_score_adj').read())",
        "behind": "left = subprocess.Popen(['sleep', '600'], start_new_session=True)",
        "all": "class All:\n    shape, dtype = (2,), np.dtype(int)\n    def __eq__(self, other): return True\n"
        "    def __array__(self, *_, **__): return np.array([self], object)\ndef everything(): return All()",
        "forward": "def forward(network, top, bottom): return network(top, bottom)",
        "huge": "def huge(): return np.zeros(2**22)",
        "leave": "def leave(): raise SystemExit",
        "end": "def end():\n    os._exit(1)\ndef fine():\n    return 1",
        "grader's files": "import vqgrader\nprint(*sorted(os.listdir(vqgrader.__path__[0])))",
        "processes": "import resource\nprint(resource.getrlimit(resource.RLIMIT_NPROC))",
        "check": "grader.check('q1')  # mine\n",
        "check and more": "def check_and_more(): pass\ntry:\n    grader.check('q1')\nexcept NameError: pass",
    }
    limits = Limits(cell=max(4, pace), total=50 * max(4, pace), file=8, folder=32)
    os.environ["VQLIB_SECRET"] = "a secret of the grader"
    with Session.start([cell(source) for source in sources.values()], limits) as session:
        del os.environ["VQLIB_SECRET"]
        session.run()
        session.places = {name: index for index, name in enumerate(sources)}
        yield session
    assert outside.read_text() == "secret"


def printed(session, name):
    """Return the first text that a cell put out."""
    return session.outputs[session.places[name]][0]["text/plain"]


def test_a_cell_can_do_what_is_its_own_and_no_more(student):
    names = {index: name for name, index in student.places.items()}
    assert {names[index]: message.split(":")[0] for index, message in student.errors.items()} == {
        "endless": "TooSlow",
        "exit": "SystemExit",
        "outside": "FileNotFoundError",
        "network": "OSError",
        "system": "OSError",
        "device": "OSError",
        "root": "OSError",
        "memory": "MemoryError",
        "file": "OSError",
        "shared": "OSError",
        "folder": "OSError",
        "namespace": "CalledProcessError",
        "long": "ValueError",
    }
    assert student.late == [student.places["early"]]
    assert student.places["check"] not in student.outputs
    assert len(student.errors[student.places["long"]]) < 3000


def test_what_a_cell_shows_is_kept_but_not_what_could_run(student):
    assert printed(student, "said") == "said\nOut[0]: 42\n"
    assert len(printed(student, "shout")) < 21_000
    assert not [output for outputs in student.outputs.values() for output in outputs if "text/html" in output]
    assert "a secret of the grader" not in printed(student, "secrets")
    assert "PYTHONPATH" in printed(student, "secrets")
    assert printed(student, "first").strip() == "1000"


def test_a_test_sees_names_and_works_with_what_stays_there(student):
    names = Namespace(student, STUDENT_ID="ada")
    assert (names["y"], names["STUDENT_ID"], names.get("nothing"), names.get("nothing", 5)) == (2, "ada", None, 5)
    assert ("y" in names, "STUDENT_ID" in names, "nothing" in names) == (True, True, False)
    np.testing.assert_array_equal(names["double"](np.ones(3)), 2 * np.ones(3))
    assert names["box"].size == (2, 3)
    np.testing.assert_array_equal(names["box"].scale([1, 2], by=3), [3, 6])
    assert names["double"].__name__ == "double"
    assert callable(names["check_and_more"])
    codes = np.ones((1, 1, 1), int)
    every = np.ones((1, 1, 1, 1), bool)
    (logits,) = probe("answers_about_networks", names["forward"], [[every, every]], codes, codes)
    np.testing.assert_array_equal(logits, probes.table_network(every, every)(codes, codes))
    expect(lambda box: box.size, (names["box"],), [2, 3])
    with pytest.raises(AnswerError, match="TypeError"):
        names["double"]({})
    with pytest.raises(AnswerError, match="SystemExit"):
        names["leave"]()
    with pytest.raises(AnswerError, match="no attribute 'missing'"):
        print(names["box"].missing)
    with pytest.raises(AnswerError, match="too large to hand over"):
        names["huge"]()
    with pytest.raises(AssertionError, match="should be numbers"):
        expect(names["everything"], (), [1, 2])


def test_a_call_that_brings_the_process_down_costs_only_itself(student):
    names, before = Namespace(student), descendants(student.sandbox.process.pid)
    assert len(before) >= 3  # bubblewrap's, the worker, what it left behind
    with pytest.raises(AssertionError, match="end stopped with brought its process down"):
        expect(names["end"], (), 1)
    assert names["fine"]() == 1
    assert not wait_for_end(before)


def test_without_bubblewrap_grading_refuses(bundle, tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    words = ["grade", str(bundle), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"(?s)bubblewrap.*--unsafe"):
        command.main(words)
    assert not (tmp_path / "out").exists()
    command.main([*words, "--unsafe"])
    assert "0 students" in capsys.readouterr().out


def test_code_without_a_sandbox_leaves_no_process_and_no_folder(tmp_path, monkeypatch):
    """The process is another program here: what it starts, and its folder, must be gone in the end."""
    script = tmp_path / "worker"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! $$ > {tmp_path}/started\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(sandbox, "START", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(sandbox.SandboxError):
        Session.start([cell("1")], PATIENCE, isolated=False)
    assert not wait_for_end([int(pid) for pid in (tmp_path / "started").read_text().split()])
    assert not list(tmp_path.glob("grading-*"))


def test_nothing_to_be_graded_may_lie_where_students_code_reads(bundle, tmp_path):
    with pytest.raises(sandbox.SandboxError, match="Move it"):
        sandbox.refuse_to_show(tmp_path, sandbox.VQLIB / "hidden")
    sandbox.refuse_to_show(tmp_path, bundle)
    with pytest.raises(sandbox.SandboxError, match="Move it"):
        grade.grade_folder(Bundle(bundle), tmp_path, pathlib.Path("/usr/grades"))


def ends(tasks, jobs=2, seconds=HANGS, function=time.sleep, fatal=()):
    """Return what each task of a pool ended with."""
    return {name: outcome for name, outcome, _ in pool.run(function, tasks, jobs, seconds, fatal)}


def test_a_task_that_fails_crashes_or_hangs_stops_no_other(pace):
    assert ends({"a": (0,), "b": (0,), "c": (0,)}) == {"a": None, "b": None, "c": None}
    invalid = "invalid literal for int() with base 10: 'x'"
    assert ends({"a": ("x",)}, function=int)["a"] == (pool.Kind.RAISED, "ValueError", invalid)
    assert ends({"a": ("x",)}, function=int, fatal=ValueError)["a"].kind is pool.Kind.FATAL
    assert ends({"a": (1,)}, function=os._exit)["a"].kind is pool.Kind.DIED
    odd = "class Odd(Exception):\n    def __init__(self): super().__init__('cannot be pickled and back')\nraise Odd()"
    assert ends({"a": (odd, {})}, function=exec)["a"] == (pool.Kind.RAISED, "Odd", "cannot be pickled and back")
    interrupt = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)"
    assert ends({"a": (interrupt, {})}, function=exec) == {"a": None}  # the first process alone says when to end
    found = ends({"slow": (HANGS,), "quick": (0,)}, seconds=max(3, pace))
    assert found["quick"] is None
    assert found["slow"].kind is pool.Kind.LATE


def test_tasks_run_at_the_same_time_and_end_with_the_pool():
    ended = pool.run(time.sleep, {"long": (600,), "short": (0,), "next": (0,), "last": (600,)}, 2, 900)
    assert [next(ended)[0], next(ended)[0]] == ["short", "next"]
    assert len(multiprocessing.active_children()) == 1
    ended.close()
    assert not multiprocessing.active_children()


def test_a_task_that_is_stopped_can_clear_up(tmp_path):
    source = f"import time\ntry:\n    open('{tmp_path}/began', 'w')\n    time.sleep(600)\n"
    source += f"finally:\n    open('{tmp_path}/ended', 'w')"
    ended = pool.run(exec, {"quick": ("", {}), "long": (source, {})}, 2, 900)
    next(ended)
    while not (tmp_path / "began").exists():
        time.sleep(0.05)
    ended.close()
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize("jobs", ["-1", "0", "two", "1.5"])
def test_a_number_of_jobs_that_is_none_is_refused(jobs, capsys):
    with pytest.raises(SystemExit):
        command.make_parser().parse_args(["grade", "bundle", "submissions", f"--jobs={jobs}"])
    assert f"--jobs: an integer of at least 1 is needed, but '{jobs}' was given." in capsys.readouterr().err


@pytest.mark.parametrize("megabytes", ["-1", "0", "8GB", "1.5"])
def test_a_memory_that_is_none_is_refused(megabytes, capsys):
    with pytest.raises(SystemExit):
        command.make_parser().parse_args(["grade", "bundle", "submissions", f"--memory={megabytes}"])
    assert f"--memory: an integer of at least 1 is needed, but '{megabytes}' was given." in capsys.readouterr().err


@pytest.mark.parametrize("option", ["cell", "total"])
@pytest.mark.parametrize("text", ["-5", "0", "nan", "inf"])
def test_a_time_that_is_none_is_refused(option, text, capsys):
    with pytest.raises(SystemExit):
        command.make_parser().parse_args(["grade", "bundle", "submissions", f"--{option}={text}"])
    assert f"--{option}: a number of seconds above 0 is needed, but '{text}' was given." in capsys.readouterr().err


def test_limits_are_those_of_the_command_line():
    words = ["grade", "bundle", "submissions", "--cell", "0.5", "--total", "60", "--memory", "512", "--jobs", "3"]
    arguments = command.make_parser().parse_args(words)
    assert (arguments.cell, arguments.total, arguments.memory, arguments.jobs) == (0.5, 60, 512, 3)


def test_jobs_suit_the_machine():
    assert pool.default_jobs(10**9) == 1
    assert 1 <= pool.default_jobs(1) <= os.cpu_count()


def test_make_grade_passes_on_what_it_is_given():
    given = {
        "ASSIGNMENT": "99",  # not built: the grader says so
        "SUBMISSIONS": "handed in",
        "OUT": "my out",
        "ROSTER": "all of them.csv",
        "DEADLINE": "2026-12-01T23:59",
        "JOBS": "3",
    }
    command = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "grade",
        f"PYTHON={sys.executable}",  # or make looks for one
        *[f"{name}={value}" for name, value in given.items()],
    ]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.replace("\\\n", "")
    words = [
        "build/coursework/99",
        "handed in",
        "--out",
        "my out",
        "--roster",
        "all of them.csv",
        "--deadline",
        "2026-12-01T23:59",
        "--jobs",
        "3",
    ]
    assert shlex.split(said)[-len(words) :] == words


def test_a_sandbox_that_does_not_start_is_not_the_students_fault(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    with pytest.raises(sandbox.SandboxError):
        Session.start([cell("1")], PATIENCE, isolated=False)


HELP = """import sys
from vqgrader.command import main
try:
    main(["grade", "--help"])
except SystemExit as ended:
    assert not ended.code
print(sorted({"keras", "nbformat", "numpy", "otter", "tensorflow", "vqlib"} & set(sys.modules)))
"""


def test_help_answers_without_importing_what_takes_long():
    script = [sys.executable, "-c", HELP]
    said = subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "grade a folder of notebooks" in said
    assert "--deadline" in said
    assert said.splitlines()[-1] == "[]"


def test_windows_is_told_that_it_cannot_grade():
    script = "import sys\nsys.modules['resource'], sys.platform = None, 'win32'  # Windows has no such module\n"
    script += "from vqgrader.command import main\nmain(['grade', 'bundle', 'submissions'])"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == (
        "The grader does not work on Windows. Use a Linux machine, which may be a virtual one, or Gradescope.\n"
    )


def test_a_result_without_isolation_does_not_count_as_one_with_it(bundle, tmp_path, pretend):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.ipynb").write_text(notebook_of("STUDENT_ID = 'a'"))
    for isolated in (False, True, True):
        grade.grade_folder(Bundle(bundle), folder, out, isolated=isolated)
    assert pretend == ["a", "a"]


def test_a_session_runs_nothing_until_it_is_told_to(monkeypatch):
    monkeypatch.setattr(session, "Sandbox", type("Counting", (Liar,), {"answers": [{}] * 9}))
    with Session.start([cell("1"), cell("2")], PATIENCE) as begun:
        assert len(begun.sandbox.left) == 9
        begun.run()
        assert len(begun.sandbox.left) == 7
    assert begun.sandbox is None


def test_a_process_that_a_call_brought_down_is_replaced_when_the_next_value_is_wanted(monkeypatch):
    class Fragile(Liar):
        """Falls at the second message."""

        def ask(self, message, seconds):
            """Return an answer, or none."""
            if message["do"] == "call":
                raise EOFError
            return {"value": 3}

    monkeypatch.setattr(session, "Sandbox", Fragile)
    with Session.start([cell("1")], PATIENCE) as begun:
        begun.run()
        with pytest.raises(AnswerError, match="brought its process down"):
            begun.value({"do": "call"})
        assert (begun.starts, begun.sandbox) == (1, None)
        assert begun.value({"do": "get"}) == 3
        assert begun.starts == 2


def test_a_students_process_sees_of_the_grader_what_it_runs_and_no_more(student):
    seen = printed(student, "grader's files").split()
    assert seen == ["__init__.py", "wire.py", "worker.py"]


def test_the_number_of_processes_is_limited(student):
    assert printed(student, "processes").strip() == f"({Limits().processes}, {Limits().processes})"


@pytest.mark.parametrize(
    ("release", "counts"),
    [("5.13.19", False), ("4.19.0-26-amd64", False), ("5.14.0-427.el9", True), ("6.8", True), ("unknown", False)],
)
def test_processes_are_limited_where_linux_counts_those_of_a_sandbox_alone(monkeypatch, release, counts):
    """Before, a limit would count all processes of the user, and TensorFlow might not start for a browser's many."""
    monkeypatch.setattr("platform.release", lambda: release)
    assert sandbox.counts_processes() is counts

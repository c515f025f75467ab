"""Grading a folder: what is handed in, what runs where, what comes out."""

import csv
import datetime
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import zipfile

import nbformat
import numpy as np
import pytest

from vqlib.coursework import grade, handed_in, probe, sandbox, wire
from vqlib.coursework.session import AnswerError, Names, Session

ROOT = pathlib.Path(__file__).parents[1]
PATIENCE = sandbox.Limits(cell=20, total=300)


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
def bundle(tmp_path_factory):
    """Assignment 1 as `make coursework` builds it, from the committed notebook."""
    folder = tmp_path_factory.mktemp("bundle") / "01-quantization"
    script = (
        "import sys, pathlib; sys.path.insert(0, 'notebooks'); import coursework, nbformat\n"
        "notebook = nbformat.read('notebooks/coursework/01-quantization.ipynb', as_version=4)\n"
        "coursework.make(notebook, '01-quantization', pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", script, folder], cwd=ROOT, check=True)
    return folder


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
"""


@pytest.fixture(scope="module")
def graded(isolated, bundle, tmp_path_factory):
    """Ten submissions and what else a folder may hold, graded for real."""
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
        "dan": submission(bundle, "dan", {"        rows = rows - ops.take(codebook, codes[-1], axis=0)\n": ""}),
        "eve": submission(
            bundle, "eve", {"    return float(-np.sum(p * np.log2(p)))": "    return float(-np.sum(p * np.log(p)))"}
        ),
        "fay": submission(bundle, "fay", {"def margins(": "import os\n\nos._exit(1)\n\n\ndef margins("}),
        "gus": submission(bundle, "gus", {"def round_bits(": "while True:\n    pass\n\n\ndef round_bits("}),
        "hal": submission(bundle, "hal", {Q2: spy + Q2}),
        "ivy": submission(bundle, "ivy"),
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
        os.utime(path, (time := datetime.datetime(2026, 12, day, 12).timestamp(), time))
    arguments = {
        "bundle": grade.Bundle(bundle),
        "folder": folder,
        "out": out,
        "limits": sandbox.Limits(cell=25, total=300),
        "roster": [*texts, "jan", "kim"],
        "deadline": datetime.datetime(2026, 12, 2, 12),
    }
    grade.grade_folder(**arguments, say=lambda line: None)
    return arguments


def results(graded, student):
    """Return what is kept of a student."""
    return json.loads((graded["out"] / "results" / f"{student}.json").read_text())


def test_ten_submissions_give_exactly_these_scores(graded):
    text = (graded["out"] / "scores.csv").read_text()
    order = f"{len(results(graded, 'ivy')['late'])} cells ran only after cells below"
    assert text == EXPECTED.format(order=order)
    assert len(results(graded, "ivy")["late"]) >= 5
    assert not results(graded, "ivy")["errors"]


def test_the_spy_saw_nothing_and_left_nothing(graded, bundle):
    assert not list(graded["folder"].rglob("mark"))
    reasons = [case["reason"] for case in results(graded, "hal")["questions"]["q2"]["cases"]]
    assert reasons == ["margins stopped with AnswerError: ValueError: found False False"] * 3


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
    assert set(pages) == {"ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "jan", "kim"}
    assert "squared before it is weighted" in pages["cyd"]
    assert "leaves over" in pages["dan"]
    assert "nats" in pages["eve"]
    assert "stopped after 25 seconds" in pages["gus"]
    assert "brought its process down" in pages["fay"]
    assert not [name for name, page in pages.items() if re.search(r"Error at line|def test_|expected = ", page)]


def test_page_for_grading_by_eye_holds_the_answer_and_its_figure(graded):
    page = (graded["out"] / "by-eye" / "ada.html").read_text()
    assert "Question 6" in page
    assert "data:image/png;base64" in page
    assert "Question 5" not in page


def test_grading_again_runs_nothing_and_changes_nothing(graded, monkeypatch):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in graded["out"].rglob("*.*")}
    monkeypatch.setattr(sandbox, "start", lambda *_: pytest.fail("a notebook ran again"))
    grade.grade_folder(**graded, say=lambda line: None)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in graded["out"].rglob("*.*")} == before


def test_marks_by_eye_are_merged_and_kept(graded):
    path = graded["out"] / "marks.csv"
    original = path.read_text()
    assert original.splitlines()[1].startswith("ada,q6,6,,,")
    path.write_text(original.replace("ada,q6,6,,,", "ada,q6,6,4.5,Say why.,"))
    try:
        rows = {row["student"]: row for row in grade.grade_folder(**graded, say=lambda line: None)}
        assert (rows["ada"]["q6"], rows["ada"]["total"], rows["bob"]["q6"]) == (4.5, 21.5, "")
        assert "Say why." in (graded["out"] / "feedback" / "ada.html").read_text()
        assert "ada,q6,6,4.5,Say why.," in path.read_text()
        path.write_text(re.sub(r"^ada.*$", "ada,q6,6,7,,x", original, flags=re.MULTILINE))
        with pytest.raises(grade.GradingError, match="0 to 6, not '7'"):
            grade.grade_folder(**graded, say=lambda line: None)
        path.write_text(re.sub(r"^ada.*$", "ada,q6,6,5,,0123456789ab", original, flags=re.MULTILINE))
        rows = {row["student"]: row for row in grade.grade_folder(**graded, say=lambda line: None)}
        assert "q6 was marked on an earlier file" in rows["ada"]["notes"]
    finally:
        path.write_text(original)
        grade.grade_folder(**graded, say=lambda line: None)


def test_grading_goes_on_after_an_interruption(bundle, tmp_path, monkeypatch):
    folder, graded, fake = tmp_path / "in", [], {"questions": {}, "errors": {}, "late": [], "notebook": {}}
    folder.mkdir()
    assignment = grade.Bundle(bundle)
    fake["questions"] = {name: {"score": 1.0, "cases": []} for name in assignment.questions}
    fake["notebook"] = nbformat.v4.new_notebook()
    for student in "abc":
        (folder / f"{student}.ipynb").write_text(submission(bundle, student, blank=True))

    def pretend(file, *_):
        if file.student == stop_at:
            raise KeyboardInterrupt
        graded.append(file.student)
        return fake

    monkeypatch.setattr(grade, "grade", pretend)
    stop_at = "b"
    with pytest.raises(KeyboardInterrupt):
        grade.grade_folder(assignment, folder, tmp_path / "out", say=lambda line: None)
    stop_at = None
    rows = grade.grade_folder(assignment, folder, tmp_path / "out", say=lambda line: None)
    assert graded == ["a", "b", "c"]
    assert [row["student"] for row in rows] == ["a", "b", "c"]
    (folder / "b.ipynb").write_text(submission(bundle, "b"))
    grade.grade_folder(assignment, folder, tmp_path / "out", say=lambda line: None)
    assert graded == ["a", "b", "c", "b"]


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


def test_the_newest_counts_and_damaged_files_are_named(tmp_path):
    write(tmp_path, "b.ipynb", 'STUDENT_ID = "ada"', seconds=5)
    write(tmp_path, "a.ipynb", 'STUDENT_ID = "ada"', seconds=9)
    write(tmp_path, "c.ipynb", 'STUDENT_ID = "ada"\n1', seconds=1)
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    (tmp_path / "binary.ipynb").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("1.ipynb", "{}")
        archive.writestr("2.ipynb", "{}")
    files = handed_in.scan(tmp_path, "01-quantization")
    counting = handed_in.newest(files)
    assert {student: file.name for student, file in counting.items()} == {"ada": "a.ipynb"}
    assert counting["ada"].notes == ["also handed in: c.ipynb", "also handed in: b.ipynb with the same content"]
    damaged = [file.name for file in files if any("not a notebook" in note for note in file.notes)]
    assert damaged == ["binary.ipynb", "broken.ipynb", "broken.zip", "two.zip"]


@pytest.mark.parametrize("student", ["../../up", "a/b", "ada lovelace", "ä"])
def test_a_student_id_cannot_lead_out_of_the_folder(student):
    assert re.fullmatch(r"[a-z0-9@._-]+-[0-9a-f]{6}", grade.file_name(student))
    assert "/" not in grade.file_name(student)


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


@pytest.mark.parametrize(
    "sent", [b"", b"12", b"abc\n{}", b"-5\n", b"99999999999\n{}", b"3\n{}x", b"2\n[]", b"1\n{", b"9999\n" + b"[" * 9999]
)
def test_what_is_no_message_is_the_end(sent):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=lambda: (theirs.sendall(sent), theirs.close()))
        sender.start()
        with pytest.raises(EOFError):
            wire.receive(ours)
        sender.join()


def test_a_student_process_does_what_a_test_needs_and_no_more(isolated, tmp_path):
    """One process for all of this, since starting TensorFlow takes seconds."""
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    cells = [
        cell("y = later + 1"),
        cell("later = 1"),
        cell("import numpy as np, pathlib, socket, keras\n\ndef double(x):\n    return 2 * x"),
        cell(
            "class Box:\n    size = (2, 3)\n    def scale(self, x, by=1):\n        return by * np.array(x)\nbox = Box()"
        ),
        cell("while True:\n    try:\n        while True: pass\n    except Exception: pass"),
        cell("raise SystemExit"),
        cell(f"pathlib.Path({str(outside)!r}).read_text()"),
        cell("socket.create_connection(('1.1.1.1', 80), timeout=5)"),
        cell("pathlib.Path('/usr/x').write_text('')"),
        cell("big = np.ones(2**33)"),
        cell("open('full', 'wb').write(bytes(70 * 2**20))"),
        cell("pathlib.Path('mine').write_text('a file of my own')"),
        cell("print('said'); 6 * 7"),
        cell("grader.check('q1')"),
    ]
    session = Session(cells, sandbox.Limits(cell=4, total=120))
    try:
        assert session.late == [0]
        kinds = {index: message.split(":")[0] for index, message in session.errors.items()}
        assert kinds == {
            4: "TooSlow",
            5: "SystemExit",
            6: "FileNotFoundError",
            7: "OSError",
            8: "OSError",
            9: "MemoryError",
            10: "OSError",
        }
        assert session.outputs[12] == [{"text/plain": "said\nOut[0]: 42\n"}]
        names = Names(session, STUDENT_ID="ada")
        assert (names["y"], names["STUDENT_ID"], names.get("nothing"), names.get("nothing", 5)) == (2, "ada", None, 5)
        np.testing.assert_array_equal(names["double"](np.ones(3)), 2 * np.ones(3))
        assert names["box"].size == (2, 3)
        np.testing.assert_array_equal(names["box"].scale([1, 2], by=3), [3, 6])
        assert names["double"].__name__ == "double"
        np.testing.assert_array_equal(probe("gradients", names["double"], np.ones(2, "float32"))[0], [2, 2])
        with pytest.raises(AnswerError, match="TypeError"):
            names["double"]({})
        with pytest.raises(AnswerError, match="no attribute 'missing'"):
            print(names["box"].missing)
    finally:
        session.close()
    assert outside.read_text() == "secret"


def test_a_call_that_brings_the_process_down_costs_only_itself(isolated):
    cells = [cell("import os\ndef end():\n    os._exit(1)\ndef fine():\n    return 1")]
    session = Session(cells, PATIENCE)
    try:
        with pytest.raises(AnswerError, match="brought its process down"):
            Names(session)["end"]()
        assert Names(session)["fine"]() == 1
    finally:
        session.close()


def test_without_bubblewrap_grading_refuses(bundle, tmp_path):
    command = [sys.executable, "-m", "vqlib.coursework.grade", bundle, tmp_path, "--out", tmp_path / "out"]
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bubblewrap" in done.stderr
    assert "--unsafe" in done.stderr
    assert not (tmp_path / "out").exists()
    done = subprocess.run([*command, "--unsafe"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 students" in done.stdout


def test_a_sandbox_that_does_not_start_is_not_the_students_fault(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    with pytest.raises(sandbox.SandboxError):
        Session([cell("1")], PATIENCE, isolated=False)

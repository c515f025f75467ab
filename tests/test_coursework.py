"""Assignments: students get no solution and no hidden test; the tests refuse wrong answers and pass right ones."""

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import zipfile

import jupytext
import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

import vqlib.coursework
from vqlib.coursework import _otter

pytestmark = pytest.mark.coursework

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "book" / "coursework").glob("*.md"))
VARIANTS = ROOT / "tests" / "coursework"
every_assignment = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def load(name):
    """Return a script of notebooks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "notebooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


run = load("run")
coursework = load("coursework")
colab = load("colab")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a function that makes an assignment from its source, once, and returns the folder."""
    folders = {}

    def build(source):
        if source not in folders:
            folders[source] = tmp_path_factory.mktemp("coursework") / source.stem
            coursework.make(coursework.generate(source), source.stem, folders[source])
        return folders[source]

    return build


def answer(notebook, student="ada"):
    """Write a student's id into a notebook, as the student would."""
    for cell in notebook.cells:
        cell.source = re.sub(r"^STUDENT_ID = .*$", f'STUDENT_ID = "{student}"', cell.source, flags=re.MULTILINE)
    return notebook


def code(notebook):
    """Return the sources of the code cells, but those that call the grader."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return [source for source in cells if not source.startswith("grader.")]


def run_cells(sources, names, blanks=False):
    """Run cells in this process, as IPython would; with `blanks`, cells may fail for want of an answer."""
    for source in sources:
        plain = TransformerManager().transform_cell(source)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.ExitStack() as stack:
            if blanks:
                stack.enter_context(contextlib.suppress(TypeError, AttributeError, ValueError, NameError))
            exec(compile(plain, "<cell>", "exec"), names)
    return names


def examine(path, names):
    """Run the tests of a question; return its score, what is possible, and what the failed ones say."""
    question = _otter.Question(path)
    question.run(names)
    return question.score, question.possible, vqlib.coursework.assignment.describe(question)


def variants(source):
    """Return (question, score, possible, title, what a check must say, code) for each answer of an assignment."""
    found = []
    for cell in jupytext.read(VARIANTS / f"{source.stem}.py").cells:
        title = cell.metadata.get("title")
        if title:
            question, score, possible, words = re.fullmatch(r"(\S+) ([\d.]+) of ([\d.]+): (.+)", title).groups()
            says = re.match(r"# says: (.+)", cell.source)
            found.append((question, float(score), float(possible), words, says and says[1], cell.source))
    return found


@every_assignment
def test_pair_agrees_and_was_run_from_top_to_bottom(source):
    wanted = coursework.generate(source).cells
    found = nbformat.read(ROOT / "notebooks" / "coursework" / f"{source.stem}.ipynb", as_version=4).cells
    for want, have in zip(wanted, found, strict=True):
        assert (want.cell_type, want.source, want.metadata) == (have.cell_type, have.source, have.metadata), (
            f"book/coursework/{source.name} changed: `make coursework ASSIGNMENT={source.name[:2]}`"
        )
    counts = [cell.execution_count for cell in found if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in found if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@every_assignment
def test_what_students_fetch_is_what_the_source_makes(source, built):
    remedy = f"`make coursework ASSIGNMENT={source.name[:2]}` makes it again."
    student = ROOT / "notebooks" / "coursework" / "student" / f"{source.stem}.ipynb"
    assert student.read_text() == (built(source) / "student.ipynb").read_text(), remedy
    made = {path.name: path.read_text() for path in (built(source) / "checks").iterdir()}
    checks = ROOT / "vqlib" / "coursework" / "checks" / source.stem
    assert {path.name: path.read_text() for path in checks.glob("*.py")} == made, remedy


def test_nothing_is_left_of_an_assignment_that_is_gone():
    stems = {source.stem for source in SOURCES}
    for folder in (
        "notebooks/coursework",
        "notebooks/coursework/student",
        "vqlib/coursework/checks",
        "tests/coursework",
    ):
        names = {path.stem for path in (ROOT / folder).iterdir() if re.match(r"\d\d-", path.name)}
        assert names == stems, folder


def secrets(source):
    """Return the lines of a source that stand only in solutions, rubrics and hidden tests, and say something."""
    hidden, shown, in_solution, inside = set(), set(), False, False
    for cell in coursework.generate(source).cells:
        if cell.cell_type == "raw":
            in_solution = {"# BEGIN SOLUTION": True, "# END SOLUTION": False}.get(cell.source.strip(), in_solution)
            continue
        secret_cell = "hidden: true" in cell.source or (in_solution and cell.cell_type == "markdown")
        for line in cell.source.splitlines():
            inside = (inside or "# BEGIN SOLUTION" in line) and "# END SOLUTION" not in line
            target = hidden if secret_cell or inside or "# SOLUTION" in line else shown
            target.add(line.split("  # SOLUTION")[0].strip())
    generic = re.compile(r"(from|import) |rng = np\.random\.default_rng\(")
    return {line for line in hidden - shown if len(line) > 20 and not generic.match(line)}


@every_assignment
def test_nothing_that_students_get_holds_a_solution_or_a_hidden_test(source, site, built):
    secret = secrets(source)
    assert len(secret) > 40
    files = [ROOT / "notebooks" / "coursework" / "student" / f"{source.stem}.ipynb"]
    files += [path for path in (site / "vqlib").rglob("*") if path.suffix in {".py", ".json", ".ipynb", ".md"}]
    assert any("checks" in path.parts for path in files)
    for path in files:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            notebook = nbformat.reads(text, as_version=4)
            assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
            assert not [cell for cell in notebook.cells if "mystnb" in cell.metadata]  # what a solution's figure shows
            text = "\n".join(cell.source for cell in notebook.cells)
        leaked = secret & {line.strip() for line in text.splitlines()}
        assert not leaked, f"{path.name}: {sorted(leaked)[:3]}"
        assert not re.search(r"hidden=True|BEGIN SOLUTION|# SOLUTION\b|BEGIN TEST", text), path.name
    instructor = (built(source) / "instructor.ipynb").read_text()
    assert "Rubric" in instructor


@every_assignment
def test_each_question_names_an_objective_of_its_chapter(source):
    chapter = (ROOT / "book" / source.name).read_text()
    objectives = re.search(r"\*\*You will learn to\*\*\n\n(.*?)\n\n\*\*", chapter, flags=re.DOTALL)[1]
    listed = {" ".join(line.split()).rstrip(";.") for line in re.split(r"^- ", objectives, flags=re.MULTILINE)[1:]}
    text = " ".join(source.read_text().split())
    named = [objective.rstrip(".") for objective in re.findall(r"\*Objective: (.*?)\*(?=\s)", text)]
    assert len(named) == source.read_text().count("# BEGIN QUESTION") >= 4
    assert set(named) <= listed, set(named) - listed


@every_assignment
def test_link_opens_the_student_notebook_in_colab(source):
    url, branch = coursework.address()
    path = f"notebooks/coursework/student/{source.stem}.ipynb"
    cells = nbformat.read(ROOT / path, as_version=4).cells
    place = url.removeprefix("https://github.com/")
    assert f"(https://colab.research.google.com/github/{place}/blob/{branch}/{path})" in cells[1].source


QUESTION = """from otter.test_files import test_case
OK_FORMAT = False
name = "q7"
points = None
{more}

@test_case(points=2, hidden=False)
def test_first(answer):
    assert answer == 1, "Look once more."

@test_case(points=1, hidden=True)
def test_second(env):
    assert env["answer"], "   "
    raise KeyError("other")

@test_case(points=0.5, hidden=True)
def test_third(env, nothing):
    env["stop"]()
    assert nothing is None
"""


@pytest.fixture
def question(tmp_path):
    """Return a function that makes a question of three tests, of whose file more lines may be given."""

    def make(more=""):
        path = tmp_path / "q7.py"
        path.write_text(QUESTION.format(more=more))
        return _otter.Question(path)

    return make


def test_otter_reads_and_calls_tests_as_we_need_it(question):
    made = question()
    assert (made.name, made.possible, made.cases) == ("q7", 3.5, [])
    made.run({"answer": 1, "stop": list})
    second = _otter.Case(False, True, "KeyError: 'other'")
    assert made.cases == [_otter.Case(True, False), second, _otter.Case(True, True)]
    assert made.score == 2.5
    made.run({"answer": 2, "stop": list})
    assert made.cases[0] == _otter.Case(False, False, "Look once more.")
    assert made.score == 0.5


def test_tests_that_were_interrupted_count_as_failed(question):
    class Stop(BaseException):
        """Not an Exception."""

    def stop():
        raise Stop

    made = question()
    with pytest.raises(Stop):
        made.run({"answer": 1, "stop": stop})
    assert len(made.cases) == 2
    made.fail_rest("too slow")
    assert made.cases[2] == _otter.Case(False, True, "too slow")
    assert made.score == 2


def test_a_question_may_give_all_of_its_points_or_none(question):
    made = question("all_or_nothing = True")
    made.run({"answer": 1, "stop": list})
    assert made.score == 0


def test_otter_finds_the_cells_that_a_person_grades():
    sources = ["before", "<!-- BEGIN QUESTION -->\n# Question 6", "an answer", "<!-- END QUESTION -->", "after"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source) for source in sources])
    found = [cell.source for cell in _otter.manual_cells(notebook).cells]
    assert any("Question 6" in source for source in found)
    assert "an answer" in found
    assert not {"before", "after"} & set(found)
    assert len(notebook.cells) == 5


def installs(monkeypatch, absent):
    """Return what the first cell of an assignment hands to pip where these modules are absent, by IPython's magic."""
    asked, real = [], importlib.util.find_spec
    there = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else there)
    python = TransformerManager().transform_cell(coursework.SETUP)
    shell = types.SimpleNamespace(run_line_magic=lambda magic, line: asked.append((magic, line.format(**names))))
    names = {"get_ipython": lambda: shell}
    exec(python, names)
    monkeypatch.setattr(importlib.util, "find_spec", real)
    return asked


def test_first_cell_installs_what_is_missing_and_replaces_nothing(monkeypatch):
    small = f'install --quiet --no-deps "vqlib{run.VERSION}" "otter-grader>=7,<8" fica python-frontmatter ipylab'
    assert installs(monkeypatch, []) == []
    assert installs(monkeypatch, ["vqlib", "otter", "fica", "frontmatter", "ipylab"]) == [("pip", small)]
    assert installs(monkeypatch, ["ipylab"]) == [("pip", small)]
    everything = f'install --quiet "vqlib[coursework]{run.VERSION}"'
    assert installs(monkeypatch, ["wrapt", "otter"]) == [("pip", everything)]


@every_assignment
def test_gradescope_installs_the_vqlib_that_students_install(source, built):
    with zipfile.ZipFile(built(source) / "autograder.zip") as archive:
        lines = archive.read("environment.yml").decode()
    assert f"- vqlib[coursework]{run.VERSION}\n" in lines


def check_without(modules):
    """Return a process that has checked a question where these modules cannot be imported."""
    script = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(modules)!r}))\n"
        "import vqlib.coursework\n"
        "vqlib.coursework.Assignment('01-quantization', 'ada').check('q1')\n"
    )
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)


def test_a_check_needs_of_otters_requirements_only_what_colab_has_and_three_small_ones():
    """The first cell installs these without what they require; other requirements of otter are not importable here."""
    modules = {"python-frontmatter": "frontmatter", "pyyaml": "yaml"}
    lines = [line for line in importlib.metadata.requires("otter-grader") if "extra ==" not in line]
    names = [re.match(r"[\w.-]+", line)[0].lower() for line in lines]
    required = {modules.get(name, name.replace("-", "_")) for name in names} | {"playwright"}  # of nbconvert[webpdf]
    large, small = (set(words.split()) for words in re.findall(r'= "([\w ]+)"', coursework.SETUP))
    absent = required - large - small - {"ipython", "nbformat", "requests"}  # which IPython and TensorFlow bring
    assert absent >= {"playwright", "python_on_whales"}
    ended = check_without(absent)
    assert "q1: 0 of 2 checks pass." in ended.stdout, ended.stderr
    assert "ModuleNotFoundError: import of fica halted" in check_without({"fica"}).stderr


def test_only_checks_of_which_all_pass_and_some_were_asked_do_not_fail_with_colabs_versions():
    passing = ["q1: 2 of 2 checks pass.\n", "q2: 10 of 10 checks pass.\n"]
    others = ["q3: 0 of 0 checks pass.\n", "q4: 1 of 10 checks pass.\n", "q5: 0 of 2 checks pass.\n", ""]
    assert colab.failing(passing + others) == others


@pytest.mark.parametrize("name", ["", "none.txt"])
def test_without_a_list_colabs_versions_stay_and_a_sentence_says_what_to_give(name, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["colab.py", "renew", name])
    with pytest.raises(SystemExit, match=r"LIST=file"):
        colab.main()


def test_setup_is_the_same_everywhere():
    cells = [
        next(cell for cell in coursework.generate(source).cells if cell.cell_type == "code").source
        for source in SOURCES
    ]
    assert len(set(cells)) == 1


@every_assignment
def test_tests_see_through(source, built, monkeypatch):
    """The reference gets all, the blank nothing, and each other answer what its title says."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    tests = built(source) / "tests"
    questions = json.loads((built(source) / "questions.json").read_text())
    automatic = [name for name, question in questions.items() if not question["manual"]]
    assert [name for name in automatic if not (tests / f"{name}.py").exists()] == []

    blank = answer(nbformat.read(built(source) / "student.ipynb", as_version=4))
    names = run_cells(code(blank), {}, blanks=True)
    for name in automatic:
        assert examine(tests / f"{name}.py", names)[0] == 0, f"{name} gives points to a blank"

    reference = answer(nbformat.read(built(source) / "instructor.ipynb", as_version=4))
    by_eye = code(_otter.manual_cells(reference))  # trains for long; it runs with the other notebooks
    assert by_eye
    names = run_cells([cell for cell in code(reference) if cell not in by_eye], {})
    for name in automatic:
        score, possible, report = examine(tests / f"{name}.py", names)
        assert score == possible == questions[name]["points"], report

    wrong, right = dict.fromkeys(automatic, 0), dict.fromkeys(automatic, 0)
    for name, wanted, of, title, says, attempt in variants(source):
        score, possible, report = examine(tests / f"{name}.py", run_cells([attempt], dict(names)))
        assert (round(score, 3), possible) == (wanted, of), f"{name}, {title}:\n{report}"
        if wanted < of:
            wrong[name] += 1
            assert says, f"{name}, {title}: which words tell the student?"
            assert says in report, f"{name}, {title}:\n{report}"
        else:
            right[name] += 1
    assert not [name for name in automatic if wrong[name] < 2], "two wrong answers for each question"
    assert not [name for name in automatic if right[name] < 1], "one other right answer for each question"


@every_assignment
def test_neighbours_get_other_numbers(source, built):
    graders = []
    for student in ("ada", "bob"):
        cells = code(answer(nbformat.read(built(source) / "student.ipynb", as_version=4), student))
        last = next(number for number, cell in enumerate(cells) if "grader = " in cell)
        graders.append(run_cells(cells[: last + 1], {})["grader"])
    own = set(re.findall(r"grader\.rng\(\"(\w+)\"\)", source.read_text()))
    assert own
    for label in own:
        assert graders[0].rng(label).integers(2**60) != graders[1].rng(label).integers(2**60)
    assert (
        vqlib.coursework.rng(source.stem, " ADA", "x").random()
        == vqlib.coursework.rng(source.stem, "ada", "x").random()
    )


def test_student_notebook_runs_as_on_colab(site, tmp_path):
    """From an empty folder, with the wheel and otter: its checks answer, and the file to hand in is made."""
    notebook = answer(nbformat.read(ROOT / "notebooks/coursework/student/01-quantization.ipynb", as_version=4), "Ada")
    for cell in notebook.cells:
        cell.source = cell.source.replace(
            '(D,) -> (N,) int."""\n    ...',
            '(D,) -> (N,) int."""\n    return [np.argmin(((e - codebook) ** 2) @ weights) for e in x]',
        )
    notebook.cells.append(nbformat.v4.new_code_cell("print(vqlib.__file__)"))
    nbformat.write(notebook, tmp_path / "assignment.ipynb")
    environment = {"PYTHONPATH": str(site), "MPLBACKEND": "", "VQLIB_PROFILE": "quick"}
    client = NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, **environment})
    printed = {
        cell.source: "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    assert printed["print(vqlib.__file__)"].startswith(str(site))
    assert "q1: 1 of 2 checks pass." in printed['grader.check("q1")']
    assert "no value yet" in printed['grader.check("q1")']
    assert "nothing yet" in printed['grader.check("q2")']
    assert "01-quantization_ada.ipynb" in printed["grader.submit()"]
    handed_in = nbformat.read(tmp_path / "01-quantization_ada.ipynb", as_version=4)
    assert [cell.source for cell in handed_in.cells] == [cell.source for cell in notebook.cells]
    assert {path.name for path in tmp_path.iterdir()} == {"assignment.ipynb", "01-quantization_ada.ipynb"}


@pytest.fixture
def on_colab(tmp_path, monkeypatch):
    """Return a function that lets Colab's page answer so; it returns what was asked, and what was downloaded.

    It stands in for Colab's module, which exists only there.
    """
    monkeypatch.chdir(tmp_path)

    def stand_in(answer):
        asked, downloads = [], []
        colab = types.ModuleType("google.colab")
        colab._message = types.SimpleNamespace(blocking_request=lambda name, timeout_sec: asked.append(name) or answer)
        colab.files = types.SimpleNamespace(download=downloads.append)
        monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
        monkeypatch.setitem(sys.modules, "google.colab", colab)
        return asked, downloads

    return stand_in


def test_on_colab_the_notebook_comes_from_the_browser(tmp_path, on_colab, capsys):
    """Colab keeps no file of a notebook."""
    noted = {"executionInfo": {"user": {"displayName": "Ada Lovelace"}, "timestamp": 1}}
    cells = [{"cell_type": "markdown", "source": "hello", "metadata": noted}]
    notebook = {"cells": cells, "metadata": {"colab": {"provenance": ["a place"]}, "kernelspec": {"name": "python3"}}}
    asked, downloads = on_colab({"ipynb": notebook})
    shown = vqlib.coursework.Assignment("01-quantization", "A/b c").submit()
    assert shown is None  # it is the last line of its cell, and what it gives would be printed once more
    (name,) = downloads
    assert re.fullmatch(r"01-quantization_a-b-c-[0-9a-f]{6}\.ipynb", name)
    assert capsys.readouterr().out == f"Hand in the file {name}.\n"
    assert asked == ["get_ipynb"]
    assert json.loads((tmp_path / name).read_text()) == {
        "cells": [{"cell_type": "markdown", "source": "hello", "metadata": {}}],
        "metadata": {"kernelspec": {"name": "python3"}},
    }


def test_a_page_of_colab_that_does_not_answer_is_told_with_a_way_out(tmp_path, on_colab):
    """Its tab may sleep, or the notebook be shown by another program."""
    _, downloads = on_colab(None)
    with pytest.raises(TimeoutError, match=r"01-quantization.*Download it from the File menu instead"):
        vqlib.coursework.Assignment("01-quantization", "ada").submit()
    assert not downloads
    assert not list(tmp_path.iterdir())


def test_submit_takes_the_notebook_that_was_saved_last(tmp_path, monkeypatch):
    """The file to hand in, too, where a student has opened it again and gone on in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.ipynb").write_bytes(b"\xff")
    target = tmp_path / "01-quantization_ada.ipynb"
    for name, text, saved in (("mine.ipynb", "first", 1), (target.name, "second", 2), ("mine.ipynb", "third", 3)):
        cells = [nbformat.v4.new_code_cell(f'Assignment("01-quantization", "ada")  # {text}')]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), name)
        os.utime(name, (2_000_000_000 + saved,) * 2)
        vqlib.coursework.Assignment("01-quantization", "ada").submit()
        assert text in target.read_text()


def test_an_interrupted_submit_leaves_the_file_of_the_last_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [nbformat.v4.new_code_cell('Assignment("01-quantization", "ada")')]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), "mine.ipynb")
    assignment = vqlib.coursework.Assignment("01-quantization", "ada")
    assignment.submit()
    target = tmp_path / "01-quantization_ada.ipynb"
    before = target.read_bytes()

    def die(path, *_, **__):
        path.write_bytes(b"{")
        raise KeyboardInterrupt

    for writes in ("write_text", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, writes, die)
            with contextlib.suppress(KeyboardInterrupt):
                assignment.submit()
        assert target.read_bytes() == before


def test_one_student_has_one_id_and_a_file_name_of_sensible_length():
    assert vqlib.coursework.Assignment("01-quantization", " Zoe\u0301 ").student_id == "zo\u00e9"
    draws = [vqlib.coursework.rng("01-quantization", name, "q").random() for name in ("ZOE\u0301", " zo\u00e9")]
    assert draws[0] == draws[1]
    assert len(vqlib.coursework.assignment.file_name("x" * 500)) < 100


def test_submit_without_a_notebook_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="File menu"):
        vqlib.coursework.Assignment("01-quantization", "ada").submit()


@pytest.mark.parametrize("student", [..., "", "  ", 7])
def test_assignment_asks_for_a_student_id(student):
    with pytest.raises(ValueError, match="student id first"):
        vqlib.coursework.Assignment("01-quantization", student)


def test_a_check_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ValueError, match=r"no check for 'q9' in 01-quantization. There are: q1, q2, q3, q4, q5."):
        vqlib.coursework.Assignment("01-quantization", "ada").check("q9")


def test_assignment_names_those_that_there_are():
    with pytest.raises(ValueError, match="01-quantization"):
        vqlib.coursework.Assignment("99-nothing", "ada")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "nothing yet"),
        (..., "nothing yet"),
        ([1, 2, 3], "shape"),
        ([1.0, 2.0], "whole numbers"),
        ([[1], [2, 3]], "should be numbers"),
        (["a", "b"], "should be numbers"),
        ([1, 3], "1 of 2 entries"),
        ([2, 1], "backwards"),
    ],
)
def test_expect_says_what_is_wrong(given, words):
    with pytest.raises(AssertionError, match=words):
        vqlib.coursework.expect(lambda: given, (), [1, 2], mistakes={"Is it backwards?": [2, 1]})


def test_expect_passes_what_is_right_in_any_clothes():
    import tensorflow as tf

    for right in ([1, 2], (1, 2), np.array([1, 2], "int8"), tf.constant([1, 2])):
        vqlib.coursework.expect(lambda right=right: right, (), [1, 2])
    vqlib.coursework.expect(lambda: np.float32(0.1), (), 0.1)
    vqlib.coursework.expect(lambda: tf.constant([1e-9, 1.0]), (), [0.0, 1.0])


class All:
    """Pretends to be equal to everything."""

    shape, dtype = (2,), np.dtype(int)

    def __init__(self, array):
        self.array = array

    def __eq__(self, other):
        """Say yes."""
        return True

    def __hash__(self):
        """Be something that can be compared."""
        return 0

    def __array__(self, *arguments, **named):
        """Return what it is asked to be, or raise it."""
        if isinstance(self.array, Exception):
            raise self.array
        return self.array


@pytest.mark.parametrize(
    "pretender",
    [
        All(np.array([{}, {}])),
        All(NotImplementedError("no value")),
        All(np.zeros(2, "f4,f4")),
        [All(None)] * 2,
        np.zeros(2, "V8"),
        np.array([np.nan, np.nan]),
    ],
)
def test_nothing_that_only_pretends_passes(pretender):
    with pytest.raises(AssertionError):
        vqlib.coursework.expect(lambda: pretender, (), [1, 2])
    with pytest.raises(AssertionError):
        vqlib.coursework.expect(lambda: pretender, (), [1.0, 2.0])


def test_expect_refuses_what_is_not_there_or_stops():
    with pytest.raises(AssertionError, match="not defined"):
        vqlib.coursework.expect(None, (), 1)
    with pytest.raises(AssertionError, match="stopped with ZeroDivisionError"):
        vqlib.coursework.expect(lambda: 1 / 0, (), 1)
    with pytest.raises(AssertionError, match="not finite"):
        vqlib.coursework.expect(lambda: [np.nan, 1.0], (), [0.5, 1.0])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.25, 0.4375),
        (3, 4375),
        (False, 4375),
        ([0.25, 1.0], [0.4375, 1.0]),
        ([1, 2], [1, 4375]),
        ([1.0, 2.0], [1, 4375]),
        ([[1, 2]], [1, 4375]),
        (np.nan, 0.4375),
        ([np.nan, 1.0], [0.4375, 1.0]),
        ("text", 0.4375),
        ({"mean": 1}, [0.4375]),
    ],
)
def test_what_is_expected_is_not_given_away(answer, expected):
    """Hidden tests say why they failed, in reports that students get: unlike the exercises, never what is right."""
    with pytest.raises(AssertionError) as refused:
        vqlib.coursework.compare(answer, expected)
    assert "4375" not in str(refused.value)


@pytest.mark.parametrize("folder", ["book/coursework", "notebooks/coursework", "vqlib/coursework/checks"])
def test_no_assignment_uses_the_check_of_the_exercises_which_shows_what_is_expected(folder):
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py", ".ipynb")]
    assert len(files) >= 8
    found = r"\bvqlib\.check\(|\bimport .*\bcheck\b|vqlib\.book\.exercises"
    assert not [path.name for path in files if re.search(found, path.read_text(encoding="utf-8"))]


def test_zero_may_be_missed_by_the_last_digits_and_names_stay_as_they_are():
    vqlib.coursework.compare([1e-16, 0], [0.0, 0.0])
    vqlib.coursework.compare(0.0, 1e-16)
    with pytest.raises(AssertionError, match=r"^my_gradient is not right yet"):
        vqlib.coursework.compare([1e-3, 0], [0.0, 0.0], "my_gradient")
    with pytest.raises(AssertionError, match=r"^The gradient is not right yet"):
        vqlib.coursework.compare([1.0, 0], [0.0, 1e-3], "the gradient")


def test_tolerance_is_relative_to_the_largest_number_that_is_expected():
    vqlib.coursework.compare([1e6, 1.0], [1e6, 1.5])
    vqlib.coursework.compare([1.000001e-4], [1e-4])
    with pytest.raises(AssertionError, match="not right yet"):
        vqlib.coursework.compare([1.05e-4], [1e-4])


def test_an_answer_cannot_change_what_it_is_compared_with():
    x = np.zeros(3)

    def spoil(array):
        array += 1
        return array

    with pytest.raises(AssertionError):
        vqlib.coursework.expect(spoil, (x,), x)
    assert not x.any()

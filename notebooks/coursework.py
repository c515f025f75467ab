"""Make the coursework: from each source in book/coursework, what students get and what instructors get.

    python notebooks/coursework.py [NN ...]

otter-grader's `otter assign` takes the solutions and the hidden tests out. For each assignment this writes

- ``notebooks/coursework/NN-name.ipynb``, the source with outputs; it runs again only if its code changed;
- ``notebooks/coursework/student/NN-name.ipynb`` and ``vqlib/coursework/checks/NN-name``, which students fetch, the one
  with Colab, the other with vqlib;
- ``build/coursework/NN-name``: the student's notebook, the instructor's with solutions and rubric, and the autograder,
  which grades a folder here and can be uploaded to Gradescope as it is.
"""

import argparse
import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile

import nbformat
import run
import yaml

from vqlib._files import write_atomically
from vqlib.coursework import _otter

ROOT = run.ROOT
SOURCES = run.BOOK / "coursework"
EXECUTED = run.NOTEBOOKS / "coursework"
STUDENT = EXECUTED / "student"
CHECKS = ROOT / "vqlib" / "coursework" / "checks"
BUILD = ROOT / "build" / "coursework"

# Where all is there that Colab has, pip must not look for it: it would replace some of it by versions that otter names.
SETUP = f"""\
# Works on Colab and on a laptop: installs only what is missing.
import importlib.util

version = "{run.VERSION}"
large = "tensorflow matplotlib sklearn dill ipywidgets jinja2 nbconvert pandas wrapt yaml"  # Colab has all of these
small = "vqlib otter fica frontmatter ipylab"
if None in map(importlib.util.find_spec, large.split()):
    print("Installing vqlib, otter-grader and what they need. That takes some minutes.")
    %pip install --quiet "vqlib[coursework]{{version}}"
elif None in map(importlib.util.find_spec, small.split()):
    print("Installing vqlib and otter-grader.")
    %pip install --quiet --no-deps "vqlib{{version}}" "otter-grader>=7,<8" fica python-frontmatter ipylab"""

HOW = """\
[![Open this assignment in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})

**How it works.** Write your student id into the second cell. Replace each `...` by your answer, run the cell, then run
the check below it. A check says what it expected, not the answer. It is not the whole examination: grading runs further
checks, on other data. You may write loops, NumPy or Keras operations, as you like, and add cells. Keep the names that
are given. Some numbers depend on your student id, so that your neighbour's are not yours."""
HAND_IN = """\
## Hand in

Choose *Restart and run all* (Colab: *Restart session and run all*), and look at the checks once more; outside Colab,
save. The next cell writes the file to hand in. It holds this notebook with its outputs and your student id, and nothing
else."""


def sources(numbers=()):
    """Return the sources with these two-digit numbers, or all."""
    found = {path.name[:2]: path for path in sorted(SOURCES.glob("[0-9][0-9]-*.md"))}
    unknown = set(numbers) - set(found)
    if unknown:
        sys.exit(f"There is no assignment {min(unknown)}. There are {', '.join(found)}.")
    return [found[number] for number in (sorted(set(numbers)) or found)]


def address():
    """Return the repository's public address and its branch."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    return repository["url"], repository["branch"]


def generate(source):
    """Return the notebook of a source without outputs; its first code cell installs what is missing."""
    notebook = run.generate(source)
    first = next(index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    quiet = {"tags": ["nbval-ignore-output"]}
    notebook.cells.insert(first, nbformat.v4.new_code_cell(SETUP, metadata=quiet))
    run.name_cells(notebook)
    return notebook


def settings():
    """Return the cell that tells otter what holds for all assignments."""
    config = {
        "init_cell": False,
        "export_cell": False,
        "strip_solutions_from_all_cells": True,
        "show_question_points": True,
        "tests": {"files": True, "ok_format": False},
        "python_version": "3.11",
        "requirements": [f"vqlib[coursework]{run.VERSION}"],
    }
    return nbformat.v4.new_raw_cell("# ASSIGNMENT CONFIG\n" + yaml.safe_dump(config))


def assign(notebook, stem, folder):
    """Let otter split a source: into `folder`/student and `folder`/autograder, with the zip file of the latter."""
    notebook = nbformat.from_dict(notebook)
    notebook.cells = [settings(), *notebook.cells]
    source = folder / "source" / f"{stem}.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(notebook, source)
    with contextlib.redirect_stdout(io.StringIO()):
        _otter.assign(source, folder)


def student_notebook(path, stem):
    """Return the notebook that students get: otter's, with a way in and a way out."""
    notebook = nbformat.read(path, as_version=4)
    owner_and_name = address()[0].removeprefix("https://github.com/")
    link = (
        f"https://colab.research.google.com/github/{owner_and_name}/blob/{address()[1]}/"
        f"{STUDENT.relative_to(ROOT)}/{stem}.ipynb"
    )
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(HOW.format(link=link)))
    notebook.cells += [nbformat.v4.new_markdown_cell(HAND_IN), nbformat.v4.new_code_cell("grader.submit()")]
    notebook.metadata.pop("otter", None)
    for cell in notebook.cells:
        cell.metadata.pop("mystnb", None)  # what a figure of the solution shows
    run.name_cells(notebook)
    return notebook


def questions(notebook, tests):
    """Return the points of each question and whether a person gives them, in the order of a source."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "raw" and cell.source.startswith("# BEGIN QUESTION"):
            config = yaml.safe_load(cell.source)
            manual, name = config.get("manual", False), config["name"]
            points = config["points"] if manual else _otter.Question(tests / f"{name}.py").possible
            found[name] = {"points": points, "manual": manual}
    return found


def make(notebook, stem, folder):
    """Make everything for one assignment in a new folder, from its source as a notebook.

    It then holds student.ipynb and checks/, for students; instructor.ipynb, autograder.zip and tests/ with the hidden
    ones, and questions.json, for instructors.
    """
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        assign(notebook, stem, work)
        folder.mkdir(parents=True)
        student = student_notebook(work / "student" / f"{stem}.ipynb", stem)
        (folder / "student.ipynb").write_text(nbformat.writes(student) + "\n", encoding="utf-8")
        shutil.copytree(work / "student" / "tests", folder / "checks")
        shutil.copy(work / "autograder" / f"{stem}.ipynb", folder / "instructor.ipynb")
        shutil.copytree(work / "autograder" / "tests", folder / "tests")
        (archive,) = (work / "autograder").glob("*.zip")
        shutil.copy(archive, folder / "autograder.zip")
    table = questions(notebook, folder / "tests")
    (folder / "questions.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    for path in (*(folder / "checks").glob("*.py"), *(folder / "tests").glob("*.py")):
        path.write_text(path.read_text(encoding="utf-8").rstrip() + "\n", encoding="utf-8")


def code_cells(notebook):
    """Return the cells of a notebook that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def executed(source):
    """Return a source as a notebook with outputs: of the run that is there or, if code changed, of a new one.

    Text may change without a run, and so may the first cell of code, which installs what is missing.
    """
    notebook, path = generate(source), EXECUTED / f"{source.stem}.ipynb"
    new = code_cells(notebook)
    ran = code_cells(nbformat.read(path, as_version=4)) if path.exists() else []
    if [cell.source for cell in new[1:]] == [cell.source for cell in ran[1:]]:
        for cell, before in zip(new, ran, strict=True):
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
    else:
        run.execute(notebook, source.stem, VQLIB_PROFILE="quick")
    write_atomically(path, nbformat.writes(notebook).encode() + b"\n")
    return notebook


def main():
    """Make the assignments that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", metavar="NN", help="such as 01; all by default")
    for source in sources(parser.parse_args().numbers):
        folder = BUILD / source.stem
        shutil.rmtree(folder, ignore_errors=True)
        (CHECKS / source.stem).mkdir(parents=True, exist_ok=True)  # the source runs like a student's notebook
        try:
            make(executed(source), source.stem, folder)
        except run.ChapterError as error:
            sys.exit(str(error))
        STUDENT.mkdir(exist_ok=True)
        shutil.copy(folder / "student.ipynb", STUDENT / f"{source.stem}.ipynb")
        shutil.rmtree(CHECKS / source.stem, ignore_errors=True)
        shutil.copytree(folder / "checks", CHECKS / source.stem)
        print(f"{source.stem}: {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

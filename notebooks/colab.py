"""Run an assignment with Google Colab's versions, and bring the list of these up to date.

    python notebooks/colab.py assignment
    python notebooks/colab.py renew pip-freeze.txt

The first is for the environment that `make colab` makes. It runs what a student has of one assignment, with the
instructor's answers in it, and asks every check.
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints-colab.txt"
ASSIGNMENT = "01-quantization"


def normal(name):
    """Return a package's name in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def renewed(constraints, frozen):
    """Return constraints with the versions of a list as `pip freeze` prints it; a package that it lacks is an error."""
    versions = {normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", frozen, re.MULTILINE)}
    lines = []
    for line in constraints.splitlines():
        if not line.startswith("#"):
            name, _, _ = line.partition("==")
            if normal(name) not in versions:
                sys.exit(f"The list has no {name}. Colab no longer has it, or this is not Colab's list.")
            line = f"{name}=={versions[normal(name)]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def answered(notebook):
    """Return an assignment's source as a student would hand it in: without tests, with a check behind each question."""
    import nbformat

    kept, in_tests, question, has_tests = [], False, None, False
    for cell in notebook.cells:
        if cell.cell_type != "raw":
            if not in_tests:
                kept.append(cell)
        elif found := re.match(r"# BEGIN QUESTION\nname: (\w+)", cell.source):
            question, has_tests = found[1], False
        elif cell.source == "# BEGIN TESTS":
            in_tests = has_tests = True
        elif cell.source == "# END TESTS":
            in_tests = False
        elif cell.source == "# END QUESTION" and has_tests:
            kept.append(nbformat.v4.new_code_cell(f'grader.check("{question}")'))
    return nbformat.from_dict({**notebook, "cells": kept})


def failing(said):
    """Return those of the texts that checks printed in which not all pass, or none was asked."""
    return [text for text in said if not re.search(r": ([1-9]\d*) of \1 checks pass\.", text)]


def run_assignment():
    """Run an assignment from an empty folder; end with the checks that fail."""
    import coursework
    import run

    notebook = answered(coursework.generate(coursework.SOURCES / f"{ASSIGNMENT}.md"))
    try:
        run.execute(notebook, f"assignment {ASSIGNMENT}", VQLIB_PROFILE="quick")
    except run.ChapterError as error:
        sys.exit(str(error))
    checks = [cell for cell in notebook.cells if cell.source.startswith("grader.check(")]
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in checks]
    if failing(said) or not said:
        sys.exit("\n".join(["Failed:", *failing(said)]))
    print(f"With Colab's versions, {len(said)} questions of assignment {ASSIGNMENT} pass their checks.")


def main():
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("assignment", help="run an assignment in this environment")
    commands.add_parser("renew", help="take over versions").add_argument("list", type=pathlib.Path, help="Colab's list")
    arguments = parser.parse_args()
    if arguments.command == "assignment":
        run_assignment()
    elif not arguments.list.is_file():
        sys.exit("There is no such list. constraints-colab.txt says where to fetch it: make colab-versions LIST=file")
    else:
        CONSTRAINTS.write_text(renewed(CONSTRAINTS.read_text(), arguments.list.read_text()))


if __name__ == "__main__":
    main()

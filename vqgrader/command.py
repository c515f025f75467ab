"""The command line. What takes long to import is imported once the command line is read."""

import argparse
import datetime
import math
import pathlib
import signal
import sys
from collections.abc import Sequence

from vqgrader.limits import Limits


def local_time(text: str) -> datetime.datetime:
    """Return a time in ISO format as local time without a zone, which it may name; times of files are so, too."""
    time = datetime.datetime.fromisoformat(text)
    return time.astimezone().replace(tzinfo=None) if time.tzinfo else time


def integer(text: str) -> int:
    """Return an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"an integer of at least 1 is needed, but {text!r} was given.")
    return int(text)


def seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 is needed, but {text!r} was given.")
    return number


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m vqgrader", description="The grader of the coursework.")
    words = "grade a folder of notebooks"
    grade = parser.add_subparsers(required=True, metavar="command").add_parser("grade", help=words, description=words)
    grade.add_argument("assignment", type=pathlib.Path, help="its folder in build/coursework")
    grade.add_argument("submissions", type=pathlib.Path, help="the folder with notebooks and zip files")
    grade.add_argument("--out", type=pathlib.Path, help="where results go; build/grades/NN-name by default")
    grade.add_argument("--roster", type=pathlib.Path, help="a CSV file with a column student")
    grade.add_argument("--deadline", type=local_time, help="such as 2026-12-01T23:59, local time")
    grade.add_argument("--jobs", type=integer, help="notebooks at a time; by default as many as suit this machine")
    grade.add_argument("--cell", type=seconds, default=Limits.cell, help="seconds for a cell or a test's call")
    grade.add_argument("--total", type=seconds, default=Limits.total, help="seconds for a notebook")
    grade.add_argument("--memory", type=integer, default=Limits.memory, help="MB of address space")
    grade.add_argument("--unsafe", action="store_true", help="without bubblewrap: only for code that you trust")
    return parser


def grade(arguments: argparse.Namespace) -> None:
    """Grade what the command line names."""
    from vqgrader import pool, sandbox
    from vqgrader.bundle import Bundle
    from vqgrader.grade import grade_folder
    from vqgrader.tables import GradingError, read_table

    if not (arguments.unsafe or sandbox.is_available()):
        sys.exit(
            "bubblewrap (bwrap) 0.8 or newer is not installed, or may not work here. Without it, students' code can\n"
            "read your files, the hidden tests among them, and use the network.\n"
            "On Debian and Ubuntu: apt install bubblewrap. On macOS: a Linux machine or Gradescope.\n"
            "For code that you trust: --unsafe."
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
            Limits(cell=arguments.cell, total=arguments.total, memory=arguments.memory),
            not arguments.unsafe,
            [row["student"] for row in read_table(arguments.roster, "student")] if arguments.roster else (),
            arguments.deadline,
            arguments.jobs or pool.default_jobs(arguments.memory),
        )
    except (GradingError, sandbox.SandboxError) as error:
        sys.exit(str(error))
    print((out / "summary.txt").read_text(encoding="utf-8"))
    print(f"{len(rows)} students: {out / 'scores.csv'}")


def stop(*_: object) -> None:
    """End the grading as Ctrl-C does."""
    raise KeyboardInterrupt


def main(words: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    arguments = make_parser().parse_args(words)
    if sys.platform == "win32":
        sys.exit("The grader does not work on Windows. Use a Linux machine, which may be a virtual one, or Gradescope.")
    signal.signal(signal.SIGTERM, stop)
    try:
        grade(arguments)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from here.")

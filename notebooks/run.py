"""Make the notebooks: code and text from book/, outputs from a run.

    python notebooks/run.py --profile full --chapter 3
    python notebooks/run.py --text

Each chapter runs from an empty folder. With ``--profile full``, its notebook is written here when it ran without an
error and without a word on stderr; other profiles only check. A full run can be interrupted: trainings resume from
runs/, and a chapter that is finished, and whose inputs are as they were, is skipped. With ``--text``, changed text is
brought into the notebooks, with tags and alt texts of cells. They keep their outputs, as long as no code has changed.
Only a changed first cell, which installs and shows the versions, runs, alone: no other cell depends on it.
"""

import argparse
import asyncio
import base64
import collections
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
import time

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from vqlib._files import write_atomically
from vqlib.book.profiles import Profile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BOOK, NOTEBOOKS, RUNS = ROOT / "book", ROOT / "notebooks", ROOT / "runs"
TIMES = BOOK / "benchmarks" / "chapters.json"  # what --record writes, and the status page shows
LANDING_PICTURE = BOOK / "_static" / "samples.png"  # of the cell with the tag landing-picture


class ChapterError(Exception):
    """A chapter did not run as it should."""


def chapters(numbers=()):
    """Return the text halves of the chapters with these numbers, or of all."""
    found = {int(path.name[:2]): path for path in sorted(BOOK.glob("[0-9][0-9]-*.md"))}
    unknown = set(numbers) - set(found)
    if unknown:
        sys.exit(f"There is no chapter {min(unknown)}. There are {', '.join(map(str, found))}.")
    return [found[number] for number in (sorted(set(numbers)) or found)]


def generate(source):
    """Return the notebook of a chapter, without outputs: the same one whenever the text is the same."""
    notebook = jupytext.read(source)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": notebook.metadata["kernelspec"],
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        }
    )
    name_cells(notebook)
    return notebook


def name_cells(notebook):
    """Give each cell an id that depends on the cell alone, so that a new cell does not rename those behind it."""
    seen = collections.Counter()
    for cell in notebook.cells:
        name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"


class LiveClient(NotebookClient):
    """Runs a notebook and shows which cell runs, and what it prints, as it happens."""

    def __init__(self, notebook, title, **kwargs):
        self.numbers = {}
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                self.numbers[index] = len(self.numbers) + 1
        self.title = title
        self.started = time.monotonic()
        super().__init__(notebook, on_cell_execute=self.announce, **kwargs)

    def announce(self, cell, cell_index):
        """Print the number of a cell and its first line that says something."""
        lines = [line.strip() for line in cell.source.splitlines() if line.strip()] or [""]
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        place = f"{self.numbers[cell_index]}/{len(self.numbers)}"
        print(f"[{self.title} {place} {minutes}:{seconds:02d}] {lines[0][:90]}", flush=True)

    def process_message(self, msg, cell, cell_index):
        """Print streams while they come, then handle the message."""
        if msg["msg_type"] == "stream":
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def execute(notebook, title, **environment):
    """Run a notebook from an empty folder, and raise ChapterError on an error or output on stderr."""
    if "VQLIB_DATA_DIR" in os.environ:  # may be relative to where the command was given
        environment["VQLIB_DATA_DIR"] = str(pathlib.Path(os.environ["VQLIB_DATA_DIR"]).absolute())
    with tempfile.TemporaryDirectory() as folder:
        client = LiveClient(
            notebook,
            title,
            timeout=None,
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=False,
            extra_arguments=["--log-level=40"],  # the kernel's, whose warnings concern nobody here
            resources={"metadata": {"path": folder}},
        )
        language_info = notebook.metadata["language_info"]
        try:
            client.execute(env={**os.environ, "MPLBACKEND": "", **environment})  # empty: figures go into the notebook
        except CellExecutionError as error:
            raise ChapterError(f"{title}: a cell failed.\n{error}") from error
        except (AssertionError, asyncio.CancelledError) as error:  # nbclient's, when a signal stopped its kernel
            raise KeyboardInterrupt from error
        except DeadKernelError as error:
            raise ChapterError(f"{title}: the kernel died; was there enough memory?") from error
        notebook.metadata["language_info"] = language_info  # the kernel's names its patch version
    for index, cell in enumerate(notebook.cells):
        if "outputs" in cell:  # without the empty places of progress lines
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise ChapterError(f"{title}: cell {index} wrote to stderr:\n{output.text}")


def inputs(source):
    """Return a hash of what a chapter's outputs depend on, but for data and checkpoints."""
    digest = hashlib.sha256()
    for path in (source, *sorted((ROOT / "vqlib").rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def shipped():
    """Return the hash of each shipped checkpoint, by name."""
    cards = sorted((ROOT / "vqlib" / "checkpoints").glob("*.json"))
    return {path.stem: json.loads(path.read_text())["sha256"] for path in cards}


def stamp_of(source):
    """Return the file that says with which inputs a chapter finished its last full run."""
    return RUNS / "finished" / f"{source.stem}.json"


def is_finished(source):
    """Whether a chapter's notebook is that of a full run with the inputs as they are now."""
    if not (stamp_of(source).exists() and (NOTEBOOKS / f"{source.stem}.ipynb").exists()):
        return False
    stamp, now = json.loads(stamp_of(source).read_text()), shipped()
    return stamp["inputs"] == inputs(source) and all(now.get(k) == v for k, v in stamp["checkpoints"].items())


def run_full(source, force=False):
    """Run a chapter in the full profile and write its notebook; return the minutes that it took."""
    trainings = sorted(RUNS.glob(f"{source.name[:2]}-*"))
    if force:
        stamp_of(source).unlink(missing_ok=True)
        for folder in trainings:
            shutil.rmtree(folder)
    elif trainings:
        names = ", ".join(folder.name for folder in trainings)
        print(f"Takes up the trainings kept in runs/: {names}. Changed what they do? FORCE=1 trains afresh.")
    started, before = time.monotonic(), inputs(source)
    notebook = generate(source)
    execute(notebook, source.stem, VQLIB_PROFILE="full", VQLIB_RUN_DIR=str(RUNS))
    minutes = (time.monotonic() - started) / 60
    write_atomically(NOTEBOOKS / f"{source.stem}.ipynb", nbformat.writes(notebook).encode() + b"\n")
    for cell in notebook.cells:
        if "landing-picture" in cell.metadata.get("tags", []):
            png = next(output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {}))
            write_atomically(LANDING_PICTURE, base64.b64decode(png))
    stamp = {"inputs": before, "checkpoints": shipped(), "minutes": round(minutes, 1)}
    write_atomically(stamp_of(source), json.dumps(stamp).encode())
    return minutes


def refresh_text(source, path):
    """Write a chapter's notebook anew with the outputs that it has; raise ChapterError where code has changed.

    The first cell alone may have changed: it runs. Returns whether the notebook was another one before.
    """
    notebook, kept = generate(source), nbformat.read(path, as_version=4)
    cells, ran = ([cell for cell in each.cells if cell.cell_type == "code"] for each in (notebook, kept))
    first_changed = cells[0].source != ran[0].source
    remedy = f"Run the chapter: make notebooks PROFILE=full CHAPTER={int(source.name[:2])}"
    for number, (new, old) in enumerate(zip(cells, ran, strict=False), 1):
        if new.source != old.source and not (number == 1 and first_changed):
            line = (new.source.strip() or "(empty)").splitlines()[0]
            raise ChapterError(f"{source.stem}: code cell {number}, `{line}`, is not the one that ran. {remedy}")
        new.outputs, new.execution_count = old.outputs, old.execution_count
    if len(cells) != len(ran):
        raise ChapterError(f"{source.stem}: {len(cells)} code cells, but {len(ran)} ran. {remedy}")
    if first_changed:
        alone = generate(source)
        alone.cells = cells[:1]
        execute(alone, source.stem, VQLIB_PROFILE="full")
    before, after = path.read_bytes(), nbformat.writes(notebook).encode() + b"\n"
    write_atomically(path, after)
    return before != after


def machine():
    """Return in words what a chapter's minutes depend on, and how busy the machine is with other work."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras"))
    return (
        f"{named[1] if named else platform.machine()}, {os.cpu_count()} cores, load average "
        f"{os.getloadavg()[0]:.0f} before the run; {versions}; {datetime.date.today().isoformat()}"
    )


def record(stem, profile, minutes, about):
    """Note a chapter's minutes for the status page."""
    times = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    times.setdefault(stem, {})[profile] = {"minutes": round(minutes, 1), "machine": about}
    write_atomically(TIMES, (json.dumps(times, indent=1, sort_keys=True) + "\n").encode())


def main():
    """Run the chapters that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=[*map(str, Profile)], default="quick")
    parser.add_argument("--chapter", type=int, nargs="+", default=(), metavar="N", help="only these; all by default")
    parser.add_argument("--force", action="store_true", help="also what is finished; trainings start afresh")
    parser.add_argument("--record", action="store_true", help="note the minutes for the book's page on its status")
    parser.add_argument("--text", action="store_true", help="bring in changed text; run only a changed first cell")
    arguments = parser.parse_args()
    if arguments.record and arguments.profile == "full" and not arguments.force:
        parser.error("--record with the full profile needs --force: kept trainings would cost no time")
    about, failures = machine() if arguments.record else None, []

    def report(stem, minutes):
        print(f"{stem}: {minutes:.1f} minutes ({arguments.profile})")
        if arguments.record:
            record(stem, arguments.profile, minutes, about)

    for source in chapters(arguments.chapter):
        try:
            if arguments.text:
                changed = refresh_text(source, NOTEBOOKS / f"{source.stem}.ipynb")
                print(f"{source.stem}: {'new text' if changed else 'as it was'}")
            elif arguments.profile != "full":
                started = time.monotonic()
                execute(generate(source), source.stem, VQLIB_PROFILE=arguments.profile)
                report(source.stem, (time.monotonic() - started) / 60)
            elif is_finished(source) and not arguments.force:
                print(f"{source.stem}: finished before with the same text and code. FORCE=1 runs it again.")
            else:
                report(source.stem, run_full(source, arguments.force))
        except ChapterError as error:
            failures.append(str(error))
            print(error, file=sys.stderr)
            if arguments.profile == "full":
                break  # later chapters load what this one trains
        except KeyboardInterrupt:
            sys.exit("\nStopped. The same command goes on from here.")
    if failures:
        sys.exit("Failed: " + "; ".join(failure.splitlines()[0] for failure in failures))


if __name__ == "__main__":
    main()

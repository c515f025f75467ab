"""Make the notebooks: code and text from book/, outputs from a run.

    python notebooks/run.py --profile full --chapter 3
    python notebooks/run.py --text

A notebook is its chapter as Colab needs it: the first cell installs what is missing, a line leads to the book, links to
the book's pages are whole addresses, and hidden cells are forms.

Each chapter runs from an empty folder. With ``--profile full``, its notebook is written here when it ran without an
error and without a word on stderr; other profiles only check. A full run can be interrupted: trainings resume from
runs/, and a chapter that is finished is skipped, as long as its code and that of the modules that it imports compute
the same. With ``--text``, all that computes nothing is brought into the notebooks: text, tags and alt texts, and in the
code its formatting, its comments and the order of imports. They keep their outputs. Only a changed first cell runs,
alone: no other cell depends on it.
"""

import argparse
import ast
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
import tokenize

import jupytext
import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from vqlib._files import write_atomically
from vqlib.book.profiles import Profile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BOOK, NOTEBOOKS, RUNS = ROOT / "book", ROOT / "notebooks", ROOT / "runs"
TIMES = BOOK / "benchmarks" / "chapters.json"  # what --record writes, and the status page shows
LANDING_PICTURE = BOOK / "_static" / "samples.png"  # of the cell with the tag landing-picture
sys.path.append(str(BOOK / "_ext"))

import addresses  # noqa: E402, of the book's links

# Which vqlib the first cells of chapters and assignments install, and Gradescope: that of the main branch, or a release
# as "==1.2.3". The one place that says so; CONTRIBUTING.md says when it changes.
VERSION = f" @ git+{addresses.repository()[0]}"
# What stands above the first code cell of every chapter.
SETUP = f"""\
# Works on Colab and on a laptop: installs only what is missing.
import importlib.util

needed = (
    "tensorflow",
    "tensorflow_probability",
    "tf_keras",
    "matplotlib",
    "sklearn",
    "vqlib",
)
missing = [name for name in needed if importlib.util.find_spec(name) is None]
if missing:
    print(
        "Installing vqlib and, of what it needs, only what is missing here:",
        ", ".join(missing),
    )
    %pip install --quiet "vqlib[chapters]{VERSION}"

"""
SUPPORT = re.compile(r"vqlib\.(_progress|_quiet|_stderr|_version|book\..+)")  # carries a chapter, computes no output


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


def generate_chapter(source):
    """Return the notebook of a chapter as Colab needs it, without outputs."""
    notebook = generate(source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = addresses.whole(cell.source)
        elif {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", [])):
            if not cell.source.startswith("# @title "):
                line = cell.source.partition("\n")[0]
                raise ChapterError(
                    f"{source.stem}: a hidden cell begins with `{line}`, not with `# @title` and a title."
                )
            cell.metadata.update({"cellView": "form", "jupyter": {"source_hidden": True}})  # Colab's, and JupyterLab's
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = with_installation(first.source)
    title, _, text = notebook.cells[0].source.partition("\n")
    parts = [nbformat.v4.new_markdown_cell(part) for part in (title, way_back(source.stem), text.strip())]
    parts[1].metadata["tags"] = ["remove-cell"]  # the book needs no way to itself
    notebook.cells[:1] = parts
    name_cells(notebook)
    return notebook


def with_installation(source):
    """Return a first cell with the installation in it: below its title, if it is folded and has one."""
    title = re.match(r"# @title .*\n|", source)[0]
    return title + SETUP + source.removeprefix(title)


def way_back(stem):
    """Return the line below a chapter's title that leads to the book."""
    repository, branch = addresses.repository()
    links = {
        "This chapter in the book": f"{addresses.pages()}notebooks/{stem}.html",
        "Contents": f"{addresses.pages()}book/index.html",
        "Licence": f"{repository}/blob/{branch}/LICENSE",
    }
    return " · ".join(f"[{text}]({address})" for text, address in links.items())


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


def program(source):
    """Return what a cell computes, not how it is written: no format, comments, docstrings, nor order of imports."""
    python = TransformerManager().transform_cell(source)  # magics become calls
    body, imports = [], []
    for statement in [*without_docstrings(ast.parse(python), ast.ClassDef, ast.FunctionDef).body, None]:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            statement.names.sort(key=ast.dump)
            imports.append(ast.dump(statement))
            continue
        body += sorted(imports)
        imports = []
        if statement is not None:
            body.append(ast.dump(statement))
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(iter(python.splitlines(keepends=True)).__next__)
    ends = [token.string for token in tokens if token.type not in layout]
    return [*body, "silent" if ends[-1:] == [";"] else "shown"]  # IPython shows no value before a last semicolon


def program_of_module(source):
    """Return what a module computes: its syntax tree without docstrings."""
    return ast.dump(without_docstrings(ast.parse(source), ast.Module, ast.ClassDef, ast.FunctionDef))


def without_docstrings(tree, *kinds):
    """Return a syntax tree without the docstrings of these kinds of nodes."""
    for node in ast.walk(tree):
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            del node.body[0]
    return tree


def file_of(module):
    """Return the file of a module of vqlib, given its dotted name, or None where there is no such module."""
    path = ROOT.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def modules_in(*trees):
    """Return the dotted names of the modules of vqlib that code refers to: by import, or as `vqlib.name`."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("vqlib.")}
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "vqlib":
            found |= {home_of(f"{node.module}.{alias.name}") for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "vqlib":
            found.add(home_of(f"vqlib.{node.attr}"))
    return found - {None}


def home_of(name):
    """Return the module that a dotted name of vqlib is, or is in; None for what the package itself holds."""
    package, _, last = name.rpartition(".")
    if file_of(name):
        return name
    if package != "vqlib":
        return package
    tree = ast.parse(file_of("vqlib").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return next((node.module for node in imports if last in [alias.name for alias in node.names]), None)


def inputs(source):
    """Return a hash of what a chapter's outputs depend on, but for data and checkpoints.

    It is made of what compute its cells, but for the first, on which no other depends, and the modules of vqlib that
    they refer to, and those that these refer to.
    """
    _, *cells = (cell.source for cell in generate(source).cells if cell.cell_type == "code")
    programs = {f"cell {number}": str(program(cell)) for number, cell in enumerate(cells)}
    queue = modules_in(*(ast.parse(TransformerManager().transform_cell(cell)) for cell in cells))
    while queue:
        module = queue.pop()
        if module not in programs and not SUPPORT.fullmatch(module):
            text = file_of(module).read_text(encoding="utf-8")
            programs[module] = program_of_module(text)
            queue |= modules_in(ast.parse(text))
    return hashlib.sha256(json.dumps(programs, sort_keys=True).encode()).hexdigest()


def shipped():
    """Return the hash of each shipped checkpoint, by name."""
    cards = sorted((ROOT / "vqlib" / "checkpoints").glob("*.json"))
    return {path.stem: json.loads(path.read_text())["sha256"] for path in cards}


def stamp_of(source):
    """Return the file that says with which inputs a chapter finished its last full run."""
    return RUNS / "finished" / f"{source.stem}.json"


def is_finished(source):
    """Whether a chapter's notebook is that of a full run with inputs and checkpoints as they are now."""
    if not (stamp_of(source).exists() and (NOTEBOOKS / f"{source.stem}.ipynb").exists()):
        return False
    stamp = json.loads(stamp_of(source).read_text())
    return stamp["inputs"] == inputs(source) and stamp["checkpoints"].items() <= shipped().items()


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
    started = time.monotonic()
    before = inputs(source)  # an edit while it runs makes it stale
    notebook = generate_chapter(source)
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
    notebook, kept = generate_chapter(source), nbformat.read(path, as_version=4)
    cells, ran = ([cell for cell in each.cells if cell.cell_type == "code"] for each in (notebook, kept))
    remedy = f"Run the chapter: make notebooks PROFILE=full CHAPTER={int(source.name[:2])}"
    for number, (new, old) in enumerate(zip(cells, ran, strict=False), 1):
        if number > 1 and program(new.source) != program(old.source):
            line = (new.source.strip() or "(empty)").splitlines()[0]
            raise ChapterError(f"{source.stem}: code cell {number}, `{line}`, is not the one that ran. {remedy}")
        new.outputs, new.execution_count = old.outputs, old.execution_count
    if len(cells) != len(ran):
        raise ChapterError(f"{source.stem}: {len(cells)} code cells, but {len(ran)} ran. {remedy}")
    if program(cells[0].source) != program(ran[0].source):
        alone = generate_chapter(source)
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
                execute(generate_chapter(source), source.stem, VQLIB_PROFILE=arguments.profile)
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

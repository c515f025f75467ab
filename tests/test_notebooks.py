"""The notebooks are what book/ makes, were run to their end, and need nothing but the wheel."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def load_run():
    """Return notebooks/run.py as a module."""
    spec = importlib.util.spec_from_file_location("notebooks_run", ROOT / "notebooks" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load_run()


def code_cells(path):
    """Return (index, cell) for each code cell of a notebook that holds code."""
    cells = nbformat.read(path, as_version=4).cells
    return [(i, cell) for i, cell in enumerate(cells) if cell.cell_type == "code" and cell.source.strip()]


def test_each_notebook_has_its_pair():
    assert SOURCES
    assert [path.stem for path in SOURCES] == [path.stem for path in NOTEBOOKS]


@every_notebook
def test_pair_agrees_cell_by_cell(path):
    source = ROOT / "book" / f"{path.stem}.md"
    wanted, found = run.generate(source).cells, nbformat.read(path, as_version=4).cells
    remedy = f"Edit book/{source.name}, never the notebook; then `make notebooks PROFILE=full CHAPTER={path.name[:2]}`."
    for i, (want, have) in enumerate(zip(wanted, found, strict=False)):
        for key in ("cell_type", "source", "metadata"):
            assert have[key] == want[key], f"{path.stem}, cell {i}: {key} differs from book/{source.name}. {remedy}"
    assert len(found) == len(wanted), f"{path.stem}: {len(found)} cells, book/{source.name} has {len(wanted)}. {remedy}"


@every_notebook
def test_notebook_ran_from_top_to_bottom(path):
    counts = [cell.execution_count for _, cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_notebook_shows_no_error_and_no_stderr(path):
    wrong = [
        f"cell {i}: {output.get('name', 'error')}"
        for i, cell in code_cells(path)
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert not wrong


@every_notebook
def test_each_figure_is_described(path):
    for i, cell in code_cells(path):
        kinds = [kind for output in cell.outputs for kind in output.get("data", {}) if kind.startswith("image/")]
        if kinds:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 20, f"cell {i} draws a figure; describe it in mystnb.image.alt"
            assert len(kinds) == 1, f"cell {i} draws {len(kinds)} figures under one description"


@every_notebook
def test_notebook_is_small_enough_to_open_on_a_phone(path):
    assert path.stat().st_size < 1.5 * 2**20


@every_notebook
def test_notebook_holds_no_trace_of_when_and_where_it_ran(path):
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not [i for i, cell in enumerate(notebook.cells) if "execution" in cell.metadata]
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|Users|content)/\w", path.read_text())
    for i, cell in enumerate(notebook.cells):
        streams = [output.name for output in cell.get("outputs", []) if output.output_type == "stream"]
        assert len(streams) == len(set(streams)), f"cell {i}: its streams are not merged"


@every_notebook
def test_text_reads_well_as_plain_markdown(path):
    """Colab shows directives and roles as raw text."""
    for i, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "markdown":
            assert not re.search(r"(```|~~~|:::)\s*\{|\{[a-z][\w:-]*\}`", cell.source), f"cell {i}"


def test_first_code_cell_is_the_same_everywhere():
    assert len({code_cells(path)[0][1].source for path in NOTEBOOKS}) <= 1


def test_running_left_nothing_behind():
    """The nbval run comes before the unit tests, and its working folder is notebooks/."""
    ours = ("run.py", "coursework.py", "coursework")
    left = [path.name for path in (ROOT / "notebooks").iterdir() if path.suffix != ".ipynb" and path.name not in ours]
    left += [path.name for path in (ROOT / "notebooks" / "coursework").iterdir() if path.suffix != ".ipynb"]
    assert set(left) <= {"__pycache__", ".ipynb_checkpoints", "student"}


def test_wheel_carries_every_module_and_checkpoint(site):
    def names(folder):
        files = (folder / "vqlib").rglob("*.*")
        return {str(path.relative_to(folder)) for path in files if path.suffix in {".py", ".json", ".h5"}}

    assert names(site) == names(ROOT)


def test_chapter_runs_from_an_empty_folder_with_only_the_wheel(site, tmp_path):
    (source,) = run.chapters([4])
    environment = {"PYTHONPATH": str(site), "VQLIB_PROFILE": "quick"}
    imported = subprocess.run(
        [sys.executable, "-c", "import vqlib; print(vqlib.__file__)"],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert pathlib.Path(imported.strip()).is_relative_to(site)
    run.execute(run.generate(source), source.stem, **environment)


def test_run_refuses_a_chapter_that_writes_to_stderr_or_fails():
    for cell, message in (("import sys; sys.stderr.write('look out')", "stderr"), ("1 / 0", "ZeroDivisionError")):
        notebook = run.generate(SOURCES[0])
        notebook.cells = [nbformat.v4.new_code_cell(cell)]
        with pytest.raises(run.ChapterError, match=message):
            run.execute(notebook, "a chapter")

"""The notebooks are what book/ makes, were run to their end, and need nothing but the wheel."""

import importlib.util
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest
import yaml

import vqlib

pytestmark = pytest.mark.notebooks

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ASSIGNMENTS = sorted((ROOT / "notebooks" / "coursework").glob("*.ipynb"))
FRONT_MATTER = "kernelspec:\n  display_name: Python 3\n  language: python\n  name: python3\n"
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
    wanted, found = run.generate_chapter(source).cells, nbformat.read(path, as_version=4).cells
    remedy = f"Edit book/{source.name}, never the notebook; then `make text`; CONTRIBUTING.md says what code needs."
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


@pytest.mark.parametrize("path", NOTEBOOKS + ASSIGNMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
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
def test_notebook_keeps_no_lab(path):
    assert "vqlabs" not in path.read_text(encoding="utf-8")


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


def test_first_code_cell_is_the_same_everywhere_but_for_what_takes_long():
    setups = {code_cells(path)[0][1].source.partition("vqlib.show_setup(")[0] for path in NOTEBOOKS}
    (setup,) = {each.removeprefix("# @title Setup\n") for each in setups}
    assert setup == run.SETUP + "import vqlib\n\n"


def test_first_code_cell_installs_what_the_chapters_need_a_version_or_from_the_public_address():
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    wanted = rf'%pip install --quiet "vqlib\[chapters\](==\d+\.\d+\.\d+| @ git\+{re.escape(url)})"\n'
    assert re.search(wanted, run.SETUP)


@every_notebook
def test_each_hidden_cell_is_a_form_with_a_title(path):
    hidden = [cell for _, cell in code_cells(path) if {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", []))]
    assert len(hidden) >= 15
    kinds = "Setup|Imports and data|Figure|Table|Result|Check of|Solution to|Full run|For the next figures"
    for cell in hidden:
        assert re.match(rf"# @title ({kinds})\b", cell.source)
        assert cell.metadata["cellView"] == "form", cell.source
        assert cell.metadata["jupyter"] == {"source_hidden": True}, cell.source
    titles = [cell.source.partition("\n")[0] for cell in hidden]
    assert len(set(titles)) == len(titles)


@every_notebook
def test_no_link_of_a_notebook_needs_the_book_beside_it(path):
    """Colab opens a notebook that lies beside this one. It opens no Markdown, and knows no heading of another file."""
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    relative = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?://|#", link)]
    assert relative
    assert not [link for link in relative if link not in {other.name for other in NOTEBOOKS}]
    assert "](../" not in text


@every_notebook
def test_way_back_stands_below_the_title(path):
    title, way_back = nbformat.read(path, as_version=4).cells[:2]
    assert re.fullmatch(r"# \d+\. .+", title.source)
    owner, name = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].split("/")[-2:]
    pages = f"https://{owner}.github.io/{name}"
    assert f"[This chapter in the book]({pages}/notebooks/{path.stem}.html)" in way_back.source
    assert f"[Contents]({pages}/book/index.html)" in way_back.source
    assert re.search(rf"\[Licence\]\(https://github.com/{owner}/{name}/blob/\w+/LICENSE\)", way_back.source)


def test_links_written_out_and_taken_back_are_those_of_the_source():
    text = (
        "[a](../book/pictures.md#two-stacks), [b](06-codebooks.ipynb#restart-the-dead), [c](../book/speed.md), "
        "[d](02-straight-through.ipynb) and [e](https://arxiv.org/abs/1711.00937)"
    )
    written = run.addresses.whole(text)
    pages = run.addresses.pages()
    assert f"[a]({pages}book/pictures.html#two-stacks), [b]({pages}notebooks/06-codebooks.html#rest" in written
    assert f"[c]({pages}book/speed.html), [d](02-straight-through.ipynb) and [e](https://arxiv" in written
    assert run.addresses.within(written) == text


def test_hidden_cell_without_a_title_is_refused(pair):
    source, _ = pair
    source.write_text(source.read_text().replace("# @title Figure: a sum\n", ""))
    with pytest.raises(run.ChapterError, match="01-small: a hidden cell begins with `1 \\+ 1`"):
        run.generate_chapter(source)


@every_notebook
def test_first_code_cell_shows_versions_device_profile_and_what_takes_long(path):
    shown = code_cells(path)[0][1].outputs[-1].text
    assert re.match(r"vqlib \S+, Keras 3\S+ on TensorFlow \S+, Python 3\S+\nComputes on: .+\n", shown)
    assert re.search(r'^Profile "full": .+\nTakes long, .+: .+$', shown, flags=re.MULTILINE)


@every_notebook
def test_header_and_first_code_cell_give_the_time_to_run_that_was_measured(path):
    duration = r"(half a|a|\d+)( and a half)? minutes?(?=( in all)? on two processor cores)"
    cells = nbformat.read(path, as_version=4).cells
    place, cell = code_cells(path)[0]
    code = re.sub(r'"\s+"', "", cell.source)  # a string may go on in the next line
    header, first = (" ".join(text.split()) for text in ("\n".join(c.source for c in cells[:place]), code))
    says = [re.search(duration, text) for text in (header, first)]
    assert says[0][0] == says[1][0]
    minutes = float({"half a": 0.5, "a": 1}.get(says[0][1], says[0][1])) + (0.5 if says[0][2] else 0)
    measured = json.loads(run.TIMES.read_text())[path.stem]["default"]["minutes"]
    assert minutes == pytest.approx(measured, rel=0.15, abs=0.5)


def test_running_left_nothing_behind():
    """The nbval run comes before the tests of this file, and its working folder is notebooks/."""
    ours = ("run.py", "coursework.py", "colab.py", "coursework")
    left = [path.name for path in (ROOT / "notebooks").iterdir() if path.suffix != ".ipynb" and path.name not in ours]
    left += [path.name for path in (ROOT / "notebooks" / "coursework").iterdir() if path.suffix != ".ipynb"]
    assert set(left) <= {"__pycache__", ".ipynb_checkpoints", "student"}


def test_wheel_carries_every_module_checkpoint_and_script(site):
    def names(folder):
        files = (folder / "vqlib").rglob("*.*")
        return {
            str(path.relative_to(folder)) for path in files if path.suffix in {".py", ".json", ".h5", ".js", ".css"}
        }

    assert names(site) == names(ROOT)


def test_lab_is_made_with_only_the_wheel(site, tmp_path):
    code = "import vqlib; print(vqlib.__file__, vqlib.lab('paint', vqlib.VQVAE())._repr_html_())"
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert made.startswith(str(site))
    assert "vqlabs.arithmetic = " in made


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
    run.execute(run.generate_chapter(source), source.stem, **environment)


@pytest.fixture
def pair(tmp_path):
    """A chapter and its notebook, to change."""
    paths = tmp_path / "01-small.md", tmp_path / "01-small.ipynb"
    cells = (
        "```{code-cell}\nprint(0)\n```\n\n```{code-cell}\n:tags: [hide-input]\n\n# @title Figure: a sum\n1 + 1\n```\n\n"
        "```{code-cell}\nimport os\nimport sys  # noqa\n\n2 + 2\n```\n"
    )
    paths[0].write_text(f"---\n{FRONT_MATTER}---\n# One\n\nOld text.\n\n{cells}")
    notebook = run.generate_chapter(paths[0])
    for count, (cell, result) in enumerate(zip(notebook.cells[3:], "024", strict=True), 1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": result}, execution_count=count)]
    nbformat.write(notebook, paths[1])
    return paths


def outputs(path):
    """Return the count and the result of each code cell."""
    return [(cell.execution_count, cell.outputs[0].data["text/plain"]) for _, cell in code_cells(path)]


def test_changed_text_comes_into_the_notebook_and_outputs_stay(pair):
    source, path = pair
    before = nbformat.read(path, as_version=4)
    assert not run.refresh_text(source, path)
    source.write_text(source.read_text().replace("Old text.", "New text.\n\n+++\n\nA cell more."))
    assert run.refresh_text(source, path)
    after = nbformat.read(path, as_version=4)
    assert [cell.source for cell in after.cells[2:4]] == ["New text.", "A cell more."]
    assert after.cells[4:] == before.cells[3:]


def test_changed_tags_come_into_the_notebook_and_outputs_stay(pair):
    source, path = pair
    source.write_text(source.read_text().replace("hide-input", "hide-output"))
    assert run.refresh_text(source, path)
    assert code_cells(path)[1][1].metadata == {"tags": ["hide-output"]}
    assert outputs(path) == [(1, "0"), (2, "2"), (3, "4")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 + 2", "2 +  2  # both are 2"),
        ("2 + 2", "(\n    2 + 2\n)"),
        ("import os\nimport sys  # noqa\n", "import sys\n# isort: split\nimport os\n"),
        ("Figure: a sum", "Figure: another title"),
    ],
)
def test_code_that_is_only_written_in_another_way_comes_into_the_notebook_and_outputs_stay(pair, old, new):
    source, path = pair
    source.write_text(source.read_text().replace(old, new))
    assert run.refresh_text(source, path)
    assert new in "\n".join(cell.source for _, cell in code_cells(path))
    assert outputs(path) == [(1, "0"), (2, "2"), (3, "4")]


def test_changed_first_cell_runs_alone(pair, monkeypatch):
    monkeypatch.setattr(run, "SETUP", "")  # it would look for all that a chapter needs
    source, path = pair
    source.write_text(source.read_text().replace("print(0)", "1 + 6"))
    assert run.refresh_text(source, path)
    assert code_cells(path)[0][1].source == "1 + 6"
    assert outputs(path) == [(1, "7"), (2, "2"), (3, "4")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 + 2", "2 + 3", "code cell 3, `import os`.*CHAPTER=1"),
        ("2 + 2", "2 + 2;", "code cell 3"),
        ("import os\nimport sys  # noqa\n\n2 + 2", "2 + 2\nimport os\nimport sys", "code cell 3"),
        ("# @title Figure: a sum\n1 + 1", "# @title Figure: a sum\n%time 1 + 1", "code cell 2, `# @title"),
        ("```{code-cell}\nimport os\nimport sys  # noqa\n\n2 + 2\n```\n", "", "2 code cells, but 3 ran"),
    ],
)
def test_changed_code_is_refused_and_nothing_is_written(pair, old, new, message):
    source, path = pair
    before = path.read_bytes()
    source.write_text(source.read_text().replace("Old", "New").replace(old, new))
    with pytest.raises(run.ChapterError, match=message):
        run.refresh_text(source, path)
    assert path.read_bytes() == before


@pytest.fixture
def finished(pair, monkeypatch, tmp_path):
    """The source of a chapter that draws samples and has finished a full run, in a repository of its own."""
    source, _ = pair
    files = {
        "__init__": "from vqlib import metrics\nfrom vqlib.sampling import sample\nfrom vqlib.gated import Gated",
        "sampling": "from vqlib import _backend as backend, _quiet\n\n\ndef sample():\n    from vqlib.book import runs",
        **dict.fromkeys(("_backend", "_quiet", "book/__init__", "book/runs", "gated", "metrics", "plots"), ""),
    }
    for name, text in files.items():
        path = tmp_path / "vqlib" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'"""What it is for."""\n\n{text}\n\n\ndef double(x):\n    """Return it twice."""\n    return 2 * x\n'
        )
    cell = "```{code-cell}\nimport vqlib\nfrom vqlib import metrics\n\nvqlib.sample()\n```\n"
    source.write_text(source.read_text() + "\n" + cell)
    monkeypatch.setattr(run, "execute", lambda notebook, title, **environment: None)
    for name, place in (("ROOT", tmp_path), ("NOTEBOOKS", tmp_path), ("RUNS", tmp_path / "runs")):
        monkeypatch.setattr(run, name, place)
    run.run_full(source)
    return source


def test_chapter_is_finished_until_what_it_imports_computes_otherwise(finished):
    modules = finished.parent / "vqlib"

    def is_finished_after(path, old, new):
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        answer = run.is_finished(finished)
        path.write_text(before)
        return answer

    assert run.is_finished(finished)
    assert is_finished_after(finished, "Old text", "New text")
    assert is_finished_after(finished, "2 + 2", "2 + (2)")
    assert not is_finished_after(finished, "2 + 2", "2 + 3")
    for name in ("sampling", "_backend", "metrics"):
        assert is_finished_after(modules / f"{name}.py", "Return it twice.", "Return x, doubled."), name
        assert is_finished_after(modules / f"{name}.py", "What it is for.", "For what it is."), name
        assert is_finished_after(modules / f"{name}.py", "2 * x", "2 * x  # twice"), name
        assert not is_finished_after(modules / f"{name}.py", "2 * x", "x * 2"), name
    for name in ("__init__", "_quiet", "book/runs", "gated", "plots"):
        assert is_finished_after(modules / f"{name}.py", "2 * x", "x * 2"), name


def test_each_public_name_is_found_in_its_module():
    for name in vqlib.__all__:
        member = getattr(vqlib, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert run.home_of(f"vqlib.{name}") == member.__module__
        elif inspect.ismodule(member):
            assert run.home_of(f"vqlib.{name}") == member.__name__


def test_minutes_are_recorded_beside_those_of_other_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "TIMES", tmp_path / "chapters.json")
    run.record("01-small", "quick", 0.514, "a machine")
    run.record("02-other", "quick", 2.0, "a machine")
    run.record("01-small", "default", 3.26, "another")
    run.record("02-other", "quick", 1.0, "another")
    assert json.loads(run.TIMES.read_text()) == {
        "01-small": {
            "quick": {"minutes": 0.5, "machine": "a machine"},
            "default": {"minutes": 3.3, "machine": "another"},
        },
        "02-other": {"quick": {"minutes": 1.0, "machine": "another"}},
    }
    assert re.search(r"\d cores.*tensorflow \d.*\d{4}-\d\d-\d\d", run.machine())


def test_run_refuses_a_chapter_that_writes_to_stderr_or_fails():
    for cell, message in (("import sys; sys.stderr.write('look out')", "stderr"), ("1 / 0", "ZeroDivisionError")):
        notebook = run.generate_chapter(SOURCES[0])
        notebook.cells = [nbformat.v4.new_code_cell(cell)]
        with pytest.raises(run.ChapterError, match=message):
            run.execute(notebook, "a chapter")


def test_run_leaves_no_output_without_content():
    """As the line is that said how far something is."""
    notebook = run.generate(SOURCES[0])
    code = "from IPython.display import display; print('before'); display({}, raw=True); print('after')"
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    run.execute(notebook, "a chapter")
    assert [output.text for output in notebook.cells[0].outputs] == ["before\nafter\n"]

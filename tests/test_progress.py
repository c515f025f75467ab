"""What takes long says how far it is, and leaves nothing behind."""

import os
import pathlib
import time

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import vqlib
from vqlib import _batches, _progress, evaluation, sampling
from vqlib._progress import announced, while_it_takes


@pytest.fixture
def impatient(monkeypatch):
    """Somebody looks, everything takes long, and comes in parts of two."""
    monkeypatch.setattr(_progress, "is_watched", lambda: True)
    monkeypatch.setattr(_progress, "PATIENCE", -1)
    monkeypatch.setattr(sampling, "SAMPLES_AT_ONCE", 2)
    monkeypatch.setattr(_batches, "ROWS_PER_BATCH", 2)


def assert_shown_and_wiped(out, *lines):
    assert "\n" not in out
    first, *shown, blank, end = out.split("\r")
    assert [line.rstrip() for line in shown] == list(lines)
    assert first == end == ""
    assert blank.isspace()
    assert len(blank) >= max(map(len, lines))


def test_what_is_soon_done_says_nothing(capsys):
    assert list(announced("abc", "letters")) == list("abc")
    assert capsys.readouterr().out == ""


def test_what_takes_long_says_how_far_it_is(impatient, capsys):
    assert list(announced("abcd", "letters")) == list("abcd")
    shares = ("0%", "25%", "50%", "75%")
    assert_shown_and_wiped(capsys.readouterr().out, *(f"letters: {share} ..." for share in shares))


def test_what_another_program_reads_is_not_told(impatient, monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.setattr(_progress, "PATIENCE", -1)
    assert list(announced("abcd", "letters")) == list("abcd")
    assert capsys.readouterr().out == ""


def test_an_error_leaves_no_line_behind(impatient, capsys):
    with pytest.raises(ZeroDivisionError):
        [1 / item for item in announced((1, 0), "divisions")]
    assert_shown_and_wiped(capsys.readouterr().out, "divisions: 0% ...", "divisions: 50% ...")


def test_sampling_encoding_decoding_and_judging_say_how_far_they_are(impatient, capsys, tiny_prior, tiny_vqvae, images):
    model = tiny_vqvae()
    images = images[:4]
    judge = vqlib.Classifier(images.shape[1:], filters=(2,))
    features = np.random.default_rng(0).normal(size=(8, 2))
    works = {
        "sampling": lambda: vqlib.sample(tiny_prior(), 4),
        "autoencoder": lambda: model.encode(images),
        "codebook": lambda: model.initialize_codebook(images, "data"),
        "classifier": lambda: judge.classify(images),
        "frechet_floor": lambda: evaluation.frechet_floor(features, [3, 4], repeats=1),
    }
    for name, work in works.items():
        work()
        assert_shown_and_wiped(capsys.readouterr().out, f"{name}: 0% ...", f"{name}: 50% ...")


def test_what_cannot_be_counted_is_named_while_it_takes(impatient, capsys):
    with while_it_takes("k-means of 9 vectors"):
        time.sleep(0.2)
    assert_shown_and_wiped(capsys.readouterr().out, "k-means of 9 vectors ...")


def test_what_cannot_be_counted_and_is_soon_done_says_nothing(impatient, monkeypatch, capsys):
    monkeypatch.setattr(_progress, "PATIENCE", 60)
    with while_it_takes("k-means of 9 vectors"):
        pass
    assert capsys.readouterr().out == ""


CELL = """
from vqlib import _progress
_progress.PATIENCE = -1
print("before")
for _ in range(2):
    list(_progress.announced("abcd", "letters"))
print("after")
"""


def test_in_a_notebook_the_line_replaces_itself_and_leaves_an_output_without_content():
    """No blanks, which keep a line of the page; what the cell shows besides stays."""
    shown = []

    class Watching(NotebookClient):
        def process_message(self, msg, cell, cell_index):
            if msg["msg_type"] in ("display_data", "update_display_data"):
                shown.append(msg["content"]["data"].get("text/plain"))
            return super().process_message(msg, cell, cell_index)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    root = pathlib.Path(vqlib.__file__).parents[1]
    Watching(notebook, timeout=600, coalesce_streams=True).execute(env={**os.environ, "PYTHONPATH": str(root)})
    (cell,) = notebook.cells
    assert shown == [*(f"letters: {share} ..." for share in ("0%", "25%", "50%", "75%")), None] * 2
    assert [output.text for output in cell.outputs if output.output_type == "stream"] == ["before\nafter\n"]
    assert [output.data for output in cell.outputs if output.output_type == "display_data"] == [{}, {}]
    nbformat.validate(notebook)

"""The benchmark counts right, takes turns, and the book shows what it measured."""

import json
import pathlib

import benchmark
import numpy as np
import pytest
import textbook

import vqlib
from vqlib.pixelcnn import MaskedCodeConv2D, MaskedConv2D

pytestmark = pytest.mark.book

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def directive(book_extension):
    """The book's extension that makes tables and plots of the figures."""
    return book_extension("benchmarks")


def test_multiply_adds_are_those_of_the_networks():
    counted = benchmark.multiply_adds()
    rows_added = counted.pop("rows added up in the first layer")
    assert rows_added["ours"] == 660 / 49
    kernels = [w.shape for w in textbook.pixelcnn().weights if len(w.shape) > 1]
    assert sum(count["reference"] for count in counted.values()) == sum(map(np.prod, kernels))
    live = 0
    for layer in vqlib.PixelCNN().network.layers:
        if isinstance(layer, MaskedConv2D) and not isinstance(layer, MaskedCodeConv2D):
            live += layer.mask.sum() * np.prod(layer.kernel.shape[2:])
        elif hasattr(layer, "kernel") and not isinstance(layer, MaskedCodeConv2D):
            live += np.prod(layer.kernel.shape)
    assert sum(count["ours"] for count in counted.values()) == live == 180_224


def test_both_take_turns_after_warming_up(capsys):
    calls = []
    taken = benchmark.in_turns("work", lambda: calls.append("one"), lambda: calls.append("other"), 3, warm_up=2)
    assert calls == ["one", "other"] * 5
    assert len(taken["reference"]) == len(taken["ours"]) == 3
    assert "work: " in capsys.readouterr().out


def test_sampling_is_timed_on_the_same_codes(capsys):
    taken = benchmark.sampling(2, 3, turns=2)
    assert (taken["number"], taken["side"]) == (2, 3)
    assert taken["first_call"] > max(taken["ours"]) > 0
    assert len(taken["reference"]) == 2


def test_ratios_are_those_of_the_pairs(directive):
    taken = {"reference": [3.0, 4.0, 10.0, 6.0, 8.0], "ours": [1.0, 2.0, 2.0, 2.0, 2.0]}
    np.testing.assert_array_equal(directive.ratios(taken), [3, 2, 5, 3, 4])
    assert directive.row("work", taken).split("|")[1:] == [
        " work ",
        " 6\xa0s ",
        " 2\xa0s ",
        " **3 (3 to 4)** ",
        " 5 ",
        "",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0123, "12.3 ms"), (0.5, "500 ms"), (2.345, "2.35 s"), (123.4, "123 s"), (1234.5, "1234 s")],
)
def test_durations_read_well(directive, seconds, words):
    assert directive.duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == words


def test_committed_figures_are_complete_and_make_every_part_of_the_page(directive):
    figures = json.loads((ROOT / "book" / "benchmarks" / "cpu.json").read_text())
    for name in ("prior_step", "vqvae_step", "encoding", "import"):
        assert len(figures[name]["reference"]) == len(figures[name]["ours"]) >= 5
    table = "\n".join(directive.speed(figures))
    assert directive.duration(np.median(figures["prior_step"]["ours"])) in table
    plots = directive.sampling(figures)
    assert plots.count("<svg") == plots.count('role="img"') == plots.count("aria-label=") == 2
    assert "#000000" not in plots, "black is invisible on a dark page"
    for part in ("machine", "arithmetic", "layers"):
        assert directive.PARTS[part](json.loads(json.dumps(figures)))

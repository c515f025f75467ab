"""The drawings of the book show what vqlib computes, and can be read."""

import pathlib
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import vqlib

pytestmark = pytest.mark.book

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pictures(book_extension):
    """The book's extension that draws."""
    return book_extension("pictures")


@pytest.fixture(scope="module")
def drawn(pictures):
    """Each drawing, parsed, by its name."""
    return {name: ET.fromstring(draw()) for name, draw in pictures.PICTURES.items()}


def influence(prior, rng):
    """Return (49, 49) bool: whether changing code j (column) moves the logits at i (row)."""
    grids = np.repeat(rng.integers(128, size=(1, 49)), 50, axis=0)  # the last stays as it is
    grids[np.arange(49), np.arange(49)] = (grids[np.arange(49), np.arange(49)] + 1) % 128
    logits = np.asarray(prior(grids.reshape(50, 7, 7))).reshape(50, 49, -1)  # (j, i, K)
    return (np.abs(logits[:49] - logits[49]) > 1e-7).any(axis=-1).T


def test_what_is_drawn_as_seen_is_what_the_networks_see(pictures, rng):
    np.testing.assert_array_equal(pictures.seen_by_plain(), influence(vqlib.PixelCNN(), rng))
    for num_layers in (1, 4):
        _, seen = pictures.seen_by_stacks(num_layers)
        np.testing.assert_array_equal(seen, influence(vqlib.GatedPixelCNN(num_layers=num_layers), rng))
    np.testing.assert_array_equal(seen, pictures.earlier())


def test_vertical_stack_sees_the_rows_above_only(pictures):
    vertical, _ = pictures.seen_by_stacks(4)
    row = np.arange(49) // 7
    np.testing.assert_array_equal(vertical, row[None, :] < row[:, None])


def test_cells_are_coloured_by_what_is_seen(pictures):
    colors, hidden = pictures.view(pictures.seen_by_plain(), 22)
    assert hidden.sum() == 3
    assert (colors == pictures.ORANGE).sum() == 3
    assert (colors == pictures.BLUE).sum() == 22 - 3


def test_every_drawing_says_what_is_to_be_seen(drawn):
    for name, svg in drawn.items():
        assert svg.get("role") == "img", name
        assert len(svg.get("aria-label")) > 100, name


def test_drawings_take_their_colours_from_the_page_and_from_the_palette(pictures, drawn):
    used = {element.get(key) for svg in drawn.values() for element in svg.iter() for key in ("fill", "stroke")}
    assert used <= {None, "none", "currentColor", *vqlib.plots.COLORS} - {"#000000"}
    assert {pictures.BLUE, pictures.ORANGE, pictures.GREEN, pictures.PINK} <= used


def test_nothing_is_drawn_beyond_the_edge(drawn):
    for name, svg in drawn.items():
        _, _, width, height = map(float, svg.get("viewBox").split())
        for text in svg.iter("{http://www.w3.org/2000/svg}text"):
            size, x, y = (float(text.get(key)) for key in ("font-size", "x", "y"))
            long = 0.6 * size * len(text.text) * (not text.get("transform"))
            before = long * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
            assert x - before >= 0, f"{name}: {text.text}"
            assert x - before + long <= width, f"{name}: {text.text}"
            assert size / 2 <= y <= height - size / 2, f"{name}: {text.text}"
            assert size >= 11, f"{name}: {text.text} is too small on a phone"


def test_shapes_are_those_of_the_models(drawn):
    words = {name: " ".join(svg.itertext()) for name, svg in drawn.items()}
    assert "7 × 7 × 16" in words["path"]
    assert "136 of 1,176" in words["blind-spot"]
    top, bottom = vqlib.VQVAE2().num_embeddings
    assert re.search(rf"7 × 7, each of {top}.*14 × 14, each of {bottom}", words["two-levels"], re.DOTALL)


def test_chapters_lead_to_the_drawings():
    text = " ".join(path.read_text() for path in (ROOT / "book").glob("[0-9][0-9]-*.md"))
    anchors = {"the-path-of-an-image", "where-gradients-flow", "masks-a-and-b", "the-blind-spot", "two-stacks"}
    assert anchors <= set(re.findall(r"\.\./book/pictures\.md#([\w-]+)", text))

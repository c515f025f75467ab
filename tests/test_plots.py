"""The figures: what they show, labelled, in one look."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from vqlib import metrics, plots

pytestmark = pytest.mark.usefixtures("figures_closed")


def shown(figure):
    """Return the axes that are visible."""
    return [axis for axis in figure.axes if axis.get_visible()]


def pictures(figure):
    return [np.asarray(axis.images[0].get_array()) for axis in shown(figure) if axis.images]


def test_style_is_used_by_figures_from_then_on():
    plots.use_style()
    figure, axis = plt.subplots()
    (line,) = axis.plot([0, 1])
    assert line.get_color() == plots.COLORS[0]
    assert plt.rcParams["font.size"] >= 9
    assert figure.get_layout_engine() is not None


def test_colours_are_those_of_okabe_and_ito():
    expected = ["0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "000000"]
    assert sorted(plots.COLORS) == sorted(f"#{color}" for color in expected)


def test_images_are_drawn_row_by_row_shifted_to_unit_range(images):
    figure = plots.show_images([images[:3], images[3:6]], labels=["given", "found"])
    assert isinstance(figure, plt.Figure)
    drawn = pictures(figure)
    assert len(drawn) == 6
    for picture, image in zip(drawn, images[:6], strict=True):
        np.testing.assert_allclose(picture, image[..., 0] + 0.5, atol=1e-6)
    assert [axis.get_ylabel() for axis in shown(figure)] == ["given", "", "", "found", "", ""]
    assert all(axis.images[0].get_clim() == (0, 1) for axis in shown(figure))  # one grey means one value everywhere


def test_one_array_of_images_is_broken_into_rows(images):
    figure = plots.show_images(images[:7], columns=3)
    assert len(figure.axes) == 9
    assert len(pictures(figure)) == len(shown(figure)) == 7
    assert len(pictures(plots.show_images(images[:4]))) == 4


def test_rows_of_different_lengths_are_all_drawn(images):
    assert len(pictures(plots.show_images([images[:2], images[:5]]))) == 7


def test_colour_images_are_drawn_in_colour(rng):
    images = rng.uniform(-0.5, 0.5, size=(2, 8, 8, 3))
    drawn = pictures(plots.show_images(images))
    np.testing.assert_allclose(drawn[0], images[0] + 0.5, atol=1e-6)


def test_code_maps_show_each_code_in_figures_and_in_colour(images, rng):
    codes = rng.integers(8, size=(2, 4, 4))
    figure = plots.show_codes(images[:2], codes, 8, decoded=images[2:4])
    axes = np.reshape(figure.axes, (3, 2))
    for i in range(2):
        np.testing.assert_array_equal(axes[1, i].images[0].get_array(), codes[i])
        assert [text.get_text() for text in axes[1, i].texts] == [str(code) for code in codes[i].ravel()]
        assert axes[1, i].images[0].get_clim() == (0, 7)
        np.testing.assert_allclose(axes[2, i].images[0].get_array(), images[2 + i, ..., 0] + 0.5, atol=1e-6)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["image", "codes", "decoded"]
    assert len(plots.show_codes(images[:2], codes, 8).axes) == 4


def test_figures_on_code_maps_stand_out_from_their_cells(images):
    codes = np.arange(16).reshape(1, 4, 4)
    figure = plots.show_codes(images[:1], codes, 16)
    axis = figure.axes[1]
    for text, code in zip(axis.texts, range(16), strict=True):
        cell = mpl.colormaps[plots.CODE_MAP](code / 15)[:3]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in cell]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        contrast = 1.05 / (luminance + 0.05) if text.get_color() == "white" else (luminance + 0.05) / 0.05
        assert contrast > 3, code


def test_history_is_labelled_and_validation_dashed():
    history = {"loss": [3, 2, 1], "val_loss": [3, 2.5, 2], "perplexity": [5, 6, 7]}
    figure = plots.show_history(history, ("loss",), ("perplexity",), title="training")
    first, second = figure.axes
    assert [line.get_linestyle() for line in first.lines] == ["-", "--"]
    np.testing.assert_array_equal(first.lines[0].get_data(), [[1, 2, 3], [3, 2, 1]])
    np.testing.assert_array_equal(first.lines[1].get_data(), [[1, 2, 3], [3, 2.5, 2]])
    assert len(second.lines) == 1
    assert (first.get_xlabel(), second.get_xlabel()) == ("epoch", "epoch")
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["loss", "the same, validation"]
    assert figure.get_suptitle() == "training"


def test_code_usage_is_sorted_and_says_how_many_codes_are_used():
    figure = plots.show_code_usage(metrics.code_counts(np.array([4, 4, 4, 1, 1, 0]), 6))
    (axis,) = figure.axes
    np.testing.assert_allclose([bar.get_height() for bar in axis.patches], [3 / 6, 2 / 6, 1 / 6])
    assert axis.get_title() == "3 of 6 codes in use"
    assert axis.get_xlabel()
    assert axis.get_ylabel()
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 1 / 6)
    assert plots.show_code_usage([1, 2], title="mine").axes[0].get_title() == "mine"

"""The figures: what they show, labelled, in one look."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from vqlib import plots

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


def drawn_the_same(figure, images):
    for picture, image in zip(pictures(figure), images, strict=True):
        np.testing.assert_allclose(picture, np.clip(image[..., 0] + 0.5, 0, 1), atol=1e-6)


def test_tensors_lists_and_single_images_are_drawn_like_arrays(images):
    drawn_the_same(plots.show_images(keras.ops.convert_to_tensor(images[:3])), images[:3])
    drawn_the_same(plots.show_images([keras.ops.convert_to_tensor(images[:3]), images[3:5]]), images[:5])
    drawn_the_same(plots.show_images(images[0]), images[:1])
    drawn_the_same(plots.show_images(list(images[:3])), images[:3])
    assert np.reshape(plots.show_images(list(images[:6]), columns=3).axes, (2, 3)).shape == (2, 3)
    drawn_the_same(plots.show_images([[images[0], *images[3:5]], [images[1]]]), images[[0, 3, 4, 1]])
    drawn_the_same(
        plots.show_images(keras.ops.cast(images[:1], "bfloat16")), images[:1].astype("bfloat16").astype("f4")
    )


def test_what_a_decoder_makes_beyond_the_range_is_cut_off(images):
    beyond = images.copy()
    beyond[:, :2] *= 1.09
    drawn_the_same(plots.show_images(beyond[:3]), beyond[:3])
    beyond[0, 0, 0] = 0.9  # one pixel in 64 of an image, of all under a hundredth
    drawn_the_same(plots.show_images(beyond[:3]), beyond[:3])


@pytest.mark.parametrize(
    "show", [plots.show_images, lambda images: plots.show_codes(images, np.zeros((2, 4, 4), int), 8)]
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x + 0.5,
            r"must lie in \[-0.5, 0.5\], but lie in \[0.\d+, 0.99\d+\]\. For pixels in \[0, 1\]: images - 0.5",
        ),
        (lambda x: (x + 0.5) * 255, r"but lie in \[\d.*, 25\d.*in 0\.\.255: images / 255 - 0.5"),
        (lambda x: ((x + 0.5) * 255).astype("uint8"), r"must be floating point in \[-0.5, 0.5\], but are uint8"),
        (lambda x: 2 * x, "many of them far out"),
        (lambda x: np.where(x > 0.4, np.nan, x), "contain NaN or infinity"),
        (lambda x: x[..., 0], r"but have shape \(2, 8, 8\)\. For images without channels: images\[\.\.\., None\]"),
        (lambda x: x[0, :, :, 0], r"but have shape \(8, 8\)"),
        (lambda x: np.repeat(x, 2, axis=-1), r"but have shape \(2, 8, 8, 2\)"),
        (lambda x: x[:0], r"but have shape \(0, 8, 8, 1\)"),
    ],
)
def test_images_of_another_form_are_refused(images, show, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        show(change(images[:2]))


def test_rows_and_labels_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match=r"labels must be one for each of 2 row\(s\)"):
        plots.show_images([images[:2], images[:2]], ["one"])
    with pytest.raises(ValueError, match="rows is empty"):
        plots.show_images([])
    with pytest.raises(ValueError, match=r"rows\[1\] must be images"):
        plots.show_images([images[:2], images[0, ..., 0]])
    with pytest.raises(ValueError, match="columns must be an integer"):
        plots.show_images(images, columns=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"codes": np.zeros((4, 4), int)}, r"codes must have shape \(images, height, width\), but have \(4, 4\)"),
        ({"codes": np.zeros((3, 4, 4), int)}, "as many: 2 images and 3 maps of codes"),
        ({"codes": np.zeros((2, 4, 4))}, "codes must be integers"),
        ({"codes": np.full((2, 4, 4), 8)}, r"codes must lie in 0\.\.7"),
        ({"decoded": np.zeros((1, 8, 8, 1), "float32")}, "as many: 2 images and 2 maps of codes, 1 decoded"),
        ({"decoded": np.ones((2, 8, 8, 1), "float32")}, r"decoded must lie in \[-0.5, 0.5\]"),
    ],
)
def test_codes_that_do_not_fit_the_images_are_refused(images, changed, message):
    arguments = {"images": images[:2], "codes": np.zeros((2, 4, 4), int), "num_embeddings": 8, **changed}
    with pytest.raises((TypeError, ValueError), match=message):
        plots.show_codes(**arguments)


def test_code_maps_take_tensors(images, rng):
    codes = rng.integers(8, size=(2, 4, 4))
    figure = plots.show_codes(*map(keras.ops.convert_to_tensor, (images[:2], codes)), 8)
    np.testing.assert_array_equal(figure.axes[3].images[0].get_array(), codes[1])


def test_code_maps_show_each_code_in_figures_and_in_colour(images, rng):
    codes = rng.integers(8, size=(2, 4, 4))
    figure = plots.show_codes(images[:2], codes, 8, decoded=images[2:4])
    axes = np.reshape(figure.axes, (3, 2))
    for i in range(2):
        np.testing.assert_array_equal(axes[1, i].images[0].get_array(), codes[i])
        assert [text.get_text() for text in axes[1, i].texts] == [str(code) for code in codes[i].ravel()]
        assert axes[1, i].images[0].get_clim() == (-0.5, 7.5)
        np.testing.assert_allclose(axes[2, i].images[0].get_array(), images[2 + i, ..., 0] + 0.5, atol=1e-6)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["image", "codes", "decoded"]
    assert len(plots.show_codes(images[:2], codes, 8).axes) == 4


def colors_of(num_embeddings):
    """Return the colours of a map of all codes, in order, RGB (K, 3), and of the figures on it."""
    figure = plots.show_codes(np.zeros((1, 8, 8, 1)), np.arange(num_embeddings).reshape(1, -1, 8), num_embeddings)
    axis = figure.axes[1]
    cells = axis.images[0].to_rgba(axis.images[0].get_array())
    return cells[..., :3].reshape(-1, 3), [text.get_color() for text in axis.texts]


def luminances(colors):
    linear = np.where(colors <= 0.03928, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_figures_on_code_maps_stand_out_from_their_cells():
    colors, inks = colors_of(128)
    light = luminances(colors) + 0.05
    contrast = np.where(np.equal(inks, "white"), 1.05 / light, light / 0.05)
    assert contrast.min() > 4


def test_colours_of_codes_tell_them_apart_and_do_not_order_them():
    """A colour map that grows, such as viridis, would show neighbouring names as like ones."""
    colors, _ = colors_of(128)
    assert np.linalg.norm(np.diff(colors, axis=0), axis=1).min() > 0.3
    assert len(np.unique(colors.round(3), axis=0)) == 128
    for channel in (*colors.T, luminances(colors)):
        assert abs(np.corrcoef(channel, np.arange(128))[0, 1]) < 0.1
    np.testing.assert_array_equal(colors_of(16)[0], colors[:16])


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


def test_history_takes_what_fit_returns_and_a_metric_alone():
    history = keras.callbacks.History()
    history.history = {"loss": [3, 2]}
    figure = plots.show_history(history, "loss")
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_data(), [[1, 2], [3, 2]])


def test_validation_is_drawn_at_the_epochs_that_had_one():
    history = {"loss": [8, 7, 6, 5, 4, 3, 2, 1], "val_loss": [6, 7]}
    for often, epochs in {3: [3, 6], 4: [4, 8]}.items():
        validation = plots.show_history(history, "loss", validation_freq=often).axes[0].lines[1]
        np.testing.assert_array_equal(validation.get_data(), [epochs, [6, 7]])


@pytest.mark.parametrize(
    ("number", "often", "expected"),
    [(2, 1, "each epoch gives 8"), (9, 1, "each epoch"), (4, 3, "every 3 epochs gives 2")],
)
def test_validation_that_does_not_fit_the_epochs_is_refused(number, often, expected):
    history = {"loss": [1] * 8, "val_loss": [1] * number}
    with pytest.raises(
        ValueError, match=rf"val_loss has {number} values, but in 8 epochs .*{expected}.*validation_freq"
    ):
        plots.show_history(history, "loss", validation_freq=often)


def test_frequency_of_validation_is_an_integer():
    with pytest.raises(ValueError, match="validation_freq must be an integer of at least 1, but 0 was given"):
        plots.show_history({"loss": [1], "val_loss": [1]}, "loss", validation_freq=0)


@pytest.mark.parametrize("panels", [(), ((),), ("loss", "accuracy")], ids=str)
def test_history_without_the_metric_says_which_there_are(panels):
    with pytest.raises(ValueError, match=r"Known: loss, perplexity\."):
        plots.show_history({"loss": [1], "val_loss": [1], "perplexity": [2]}, *panels)

"""The code on the page of troubleshooting runs, and helps."""

import contextlib
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import vqlib

pytestmark = pytest.mark.book

PAGE = pathlib.Path(__file__).parents[1] / "book" / "troubleshooting.md"


def code_after(words):
    """Return the first block of Python below some words of the page."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(words) == 1
    return re.search(r"```python\n(.*?)```", text[text.index(words) :], re.DOTALL)[1]


def test_training_is_stopped_by_the_reconstruction_and_not_by_the_loss(tiny_vqvae, images, monkeypatch):
    histories = {}
    warned = pytest.warns(UserWarning, match="EarlyStopping watches val_loss")
    for monitor, says in (("val_reconstruction_loss", contextlib.nullcontext()), ("val_loss", warned)):
        model = tiny_vqvae()
        model.compile("adam")
        # Reconstructions get better, and the codebook loss, which is in the loss, grows faster.
        logs = {"val_reconstruction_loss": iter(np.linspace(1, 0.1, 30)), "val_loss": iter(np.linspace(1, 2, 30))}
        evaluate = model.evaluate

        def scripted(*arguments, evaluate=evaluate, logs=logs, **named):
            measured = evaluate(*arguments, **named)
            return measured | {name.removeprefix("val_"): next(values) for name, values in logs.items()}

        monkeypatch.setattr(model, "evaluate", scripted)
        names = {"keras": keras, "model": model, "images": images, "more_images": images}
        with says:
            exec(code_after("**`EarlyStopping` ends").replace("val_reconstruction_loss", monitor), names)
        histories[monitor] = model.history.history["val_loss"]
    assert {monitor: len(losses) for monitor, losses in histories.items()} == {
        "val_reconstruction_loss": 30,
        "val_loss": 4,
    }


def test_codes_of_a_model_of_ones_own_are_counted(images, capsys):
    quantizer = vqlib.VectorQuantizer(8, 4)
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 2, strides=2)])
    names = {"np": np, "vqlib": vqlib, "quantizer": quantizer, "encoder": encoder, "images": images}
    exec(code_after("**A model of your own does not show the perplexity.**"), names)
    used, perplexity = re.fullmatch(r"(\d+) codes in use, perplexity ([\d.]+)\n", capsys.readouterr().out).groups()
    counts = np.bincount(np.ravel(quantizer.encode(encoder(images))), minlength=8)
    assert int(used) == np.count_nonzero(counts)
    assert float(perplexity) == pytest.approx(vqlib.metrics.perplexity(counts))


def test_pictures_are_brought_into_the_range():
    names = {
        "keras": keras,
        "images": tf.data.Dataset.from_tensor_slices(np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)),
    }
    exec(code_after("**`images must lie in [-0.5, 0.5], but lie in [0, 255]`**"), names)
    (image,) = names["images"].as_numpy_iterator()
    np.testing.assert_allclose(image.ravel(), np.arange(256) / 255 - 0.5, atol=1e-6)

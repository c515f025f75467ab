"""Models outside Keras: ONNX Runtime and LiteRT compute what vqlib computes."""

import contextlib
import pathlib
import re

import keras
import numpy as np
import pytest

import vqlib
from vqlib import (
    Classifier,
    FiniteScalarQuantizer,
    GatedPixelCNN,
    LookupFreeQuantizer,
    MaskedTransformer,
    ProductQuantizer,
    ResidualQuantizer,
    SimVQ,
    TransformerPrior,
    VectorQuantizer,
    exports,
    load_pretrained,
)

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras exports to both from TensorFlow alone"),
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),  # Keras's, about tf2onnx
]
PAGE = pathlib.Path(__file__).parents[1] / "book" / "keep-and-move.md"
WITH = "comes with the extra export: pip install .[export]"


def bound(exported):
    """Return the difference that the page on keeping and moving allows."""
    return float(re.search(rf"^\| {exported} \| below (0\.0*1)\b", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1])


def by_onnx(path):
    """Return a function that runs an ONNX file with ONNX Runtime, which has to be valid."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(None, inputs)


def by_litert(path):
    """Return a function that runs a LiteRT file with the interpreter's own operations, without TensorFlow's."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path)).get_signature_runner()
    return lambda **inputs: [value for _, value in sorted(run(**inputs).items())]


@pytest.fixture(params=["onnx", "litert"])
def exported(request, tmp_path):
    """Return a function that exports a model and runs what was written."""
    for module in {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}[request.param]:
        pytest.importorskip(module, reason=f"{module} {WITH}")
    ending, run = {"onnx": ("onnx", by_onnx), "litert": ("tflite", by_litert)}[request.param]

    def export(model):
        path = tmp_path / f"model.{ending}"
        model.export(path, format=request.param, verbose=False)
        return run(path)

    return export


@pytest.fixture(scope="module")
def pictures():
    return vqlib.load_dataset("digits").x_test[:60]


# Halves


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_halves_take_the_arguments_of_export_in_their_order(half, tiny_vqvae, tmp_path, capsys):
    getattr(exports.split(tiny_vqvae()), half).export(tmp_path / "model", "tf_saved_model", False)
    assert (tmp_path / "model" / "saved_model.pb").is_file()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["mnist-vqvae", "mnist-ema-vqvae", "mnist-two-levels-vqvae"])
def test_halves_do_what_the_tokenizer_does(name, pictures):
    model = load_pretrained(name)
    halves = exports.split(model)
    codes, found = model.encode(pictures), halves.encoder.predict(pictures, verbose=0)
    for one, other in zip(
        *(each if isinstance(each, (tuple, list)) else [each] for each in (codes, found)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    decoded = halves.decoder.predict(codes, verbose=0)
    np.testing.assert_allclose(decoded, model.decode(codes), atol=1e-6)
    assert halves.encoder.trainable_variables == halves.decoder.trainable_variables == []
    assert model.trainable_variables  # the tokenizer itself can still be trained


def test_encoder_of_every_kind_of_codebook_gives_its_codes(exported, pictures):
    model = load_pretrained("mnist-ema-vqvae")
    (codes,) = exported(exports.split(model).encoder)(images=pictures)
    np.testing.assert_array_equal(codes, model.encode(pictures))
    assert codes.dtype == np.int32


UNSHIPPED = {
    "scalar": lambda: FiniteScalarQuantizer((4, 3, 3)),
    "signs": lambda: LookupFreeQuantizer(4),
    "linear map": lambda: SimVQ(8, 4),
    "sphere": lambda: VectorQuantizer(8, 4, normalize=True),
    "stages": lambda: ResidualQuantizer([VectorQuantizer(8, 4), VectorQuantizer(8, 4)]),
    "parts": lambda: ProductQuantizer(LookupFreeQuantizer(2), num_parts=2),
}


@pytest.mark.parametrize("kind", UNSHIPPED)
def test_halves_with_other_quantizers_give_codes_and_images(kind, exported, images, tiny_vqvae):
    model = tiny_vqvae(quantizer=UNSHIPPED[kind]())
    kernel = model.encoder.get_layer("to_embedding").kernel
    kernel.assign(20 * kernel)  # or all would be rounded to one code
    (codes,) = exported(exports.split(model).encoder)(images=images)
    np.testing.assert_array_equal(codes, model.encode(images))
    assert len(np.unique(codes)) > 1
    (decoded,) = exported(exports.split(model).decoder)(codes=codes)
    assert np.abs(decoded - model.decode(codes)).max() < bound("codes to images")


def test_decoder_makes_the_images(exported, pictures):
    model = load_pretrained("mnist-ema-vqvae")
    codes = model.encode(pictures)
    (decoded,) = exported(exports.split(model).decoder)(codes=codes)
    assert np.abs(decoded - model.decode(codes)).max() < bound("codes to images")


def test_encoder_of_two_levels_gives_both(exported, pictures):
    model = load_pretrained("mnist-two-levels-vqvae")
    found = exported(exports.split(model).encoder)(images=pictures)
    for one, other in zip(found, model.encode(pictures), strict=True):
        np.testing.assert_array_equal(one, other)


def test_decoder_of_two_levels_takes_both(exported, pictures):
    model = load_pretrained("mnist-two-levels-vqvae")
    top, bottom = model.encode(pictures)
    (decoded,) = exported(exports.split(model).decoder)(top_codes=top, bottom_codes=bottom)
    assert np.abs(decoded - model.decode(top, bottom)).max() < bound("codes to images")


# Whole models


@pytest.mark.parametrize("name", ["mnist-vqvae", "mnist-two-levels-vqvae"])
def test_whole_tokenizer_reconstructs(exported, name, pictures):
    model = load_pretrained(name)
    (found,) = exported(model)(images=pictures)
    assert np.abs(found - model.predict(pictures, verbose=0)).max() < bound("whole tokenizer")


def test_plain_prior_gives_its_logits(exported, pictures):
    model, prior = load_pretrained("mnist")
    codes = model.encode(pictures)
    (logits,) = exported(prior)(codes=codes)
    assert np.abs(logits - prior.predict(codes, verbose=0)).max() < bound("logits of a prior")


def test_prior_told_the_class_gives_its_logits(exported, pictures):
    model, prior = load_pretrained("mnist-ema")
    codes, labels = model.encode(pictures), np.arange(60, dtype="int32") % 10
    (logits,) = exported(prior)(codes=codes, condition=labels)
    assert np.abs(logits - prior.predict((codes, labels), verbose=0)).max() < bound("logits of a prior")


def test_prior_of_the_bottom_gives_its_logits(exported, pictures):
    model, _, prior = load_pretrained("mnist-two-levels")
    top, bottom = model.encode(pictures)
    (logits,) = exported(prior)(codes=bottom, condition=top)
    assert np.abs(logits - prior.predict((bottom, top), verbose=0)).max() < bound("logits of a prior")


@pytest.mark.parametrize("make", [TransformerPrior, MaskedTransformer])
def test_transformer_gives_its_logits(exported, rng, make):
    prior = make((3, 4), 5, 8, 2, 2, condition_shape=(), num_conditions=3, condition_dropout=0.1)
    prior.set_weights([rng.normal(size=w.shape) / np.sqrt(max(len(w), 4)) for w in prior.get_weights()])
    codes, labels = rng.integers(5, size=(60, 3, 4)).astype("int32"), np.arange(60, dtype="int32") % 4 - 1
    codes[:30, 1] = getattr(prior, "mask_code", 0)
    (logits,) = exported(prior)(codes=codes, condition=labels)
    assert np.abs(logits - prior.predict((codes, labels), verbose=0)).max() < bound("logits of a prior")


def test_classifier_gives_its_logits(exported, images):
    model = Classifier((8, 8, 1), 5, (4, 6))
    (logits,) = exported(model)(images=images)
    np.testing.assert_allclose(logits, model.predict(images, verbose=0), atol=1e-5)


# What export leaves as it was


def look_ups(prior):
    return [layer.look_up for layer in prior.network.layers if hasattr(layer, "look_up")]


def test_export_leaves_the_look_ups_as_they_were(monkeypatch, tmp_path):
    prior, seen = GatedPixelCNN((2, 2), 3, filters=4, num_layers=1), []
    before = look_ups(prior)
    assert any(before)
    monkeypatch.setattr(
        keras.Model, "export", lambda self, filepath, format, input_signature=None: seen.append(look_ups(self))
    )
    for format in ("onnx", "litert", "tf_saved_model"):
        prior.export(tmp_path / "p", format)
        assert look_ups(prior) == before
    assert seen == [[False] * len(before), [False] * len(before), before]


def test_failed_export_leaves_the_look_ups_as_they_were(tmp_path):
    prior = GatedPixelCNN((2, 2), 3, filters=4, num_layers=1)
    before = look_ups(prior)
    with contextlib.suppress(ValueError):
        prior.export(tmp_path / "no-such-ending", format="litert")
    assert look_ups(prior) == before

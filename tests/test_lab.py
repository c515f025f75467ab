"""``vqlib.lab``: which models it takes, and what it says of the others."""

import html.parser
import pathlib
import re

import numpy as np
import pytest

import vqlib
from vqlib.book import labs


@pytest.fixture(scope="module")
def model():
    """A model that the labs can show."""
    return vqlib.VQVAE(num_embeddings=12, embedding_dim=3, filters=(4, 5))


REFUSED = {
    "a lab without a model": ("cells", {}, "no lab 'cells' that shows a model, only 'paint', 'prior', 'levels'"),
    "no such lab": ("nothing", {}, "no lab 'nothing'"),
    "other images": ("paint", {"image_shape": (32, 32, 3)}, r"\(32, 32, 3\) and \(8, 8\)"),
    "another grid": ("paint", {"filters": (4, 4, 4), "strides": (2, 1, 1)}, r"\(28, 28, 1\) and \(14, 14\)"),
    "other layers": ("paint", {"filters": (4, 4, 4), "strides": (2, 2, 1)}, r"strides \(2, 2, 1\)"),
    "more codes than a byte holds": ("paint", {"num_embeddings": 257}, "num_embeddings=257"),
    "codes by rounding": ("paint", {"quantizer": vqlib.FiniteScalarQuantizer((5, 5))}, "FiniteScalarQuantizer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_model_that_a_lab_cannot_show_is_refused(case):
    name, arguments, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        vqlib.lab(name, vqlib.VQVAE(**arguments))


def test_network_of_ones_own_is_refused(model):
    own = vqlib.VQVAE(num_embeddings=12, embedding_dim=3, encoder=model.encoder)
    with pytest.raises(ValueError, match="has an encoder of its own"):
        vqlib.lab("paint", own)


def test_model_of_another_class_is_refused(model, tiny_vqvae2, tiny_prior):
    for other in (tiny_vqvae2(), tiny_prior(), None):
        with pytest.raises(TypeError, match=rf"'paint' shows a vqlib.VQVAE, but a {type(other).__name__}"):
            vqlib.lab("paint", other)
    with pytest.raises(TypeError, match=r"'levels' shows a vqlib\.VQVAE2, but a VQVAE was given"):
        vqlib.lab("levels", model)


def test_two_levels_that_a_lab_cannot_show_are_refused(tiny_vqvae2):
    with pytest.raises(ValueError, match=r"\(14, 14\), but this one has \(8, 8, 1\) and \(2, 2\) and \(4, 4\)"):
        vqlib.lab("levels", tiny_vqvae2())
    with pytest.raises(ValueError, match="num_embeddings=300"):
        vqlib.lab("levels", vqlib.VQVAE2(num_embeddings=(8, 300), filters=(4, 4)))
    quantizers = vqlib.VectorQuantizer(8, 2), vqlib.FiniteScalarQuantizer((5, 5))
    with pytest.raises(ValueError, match="FiniteScalarQuantizer"):
        vqlib.lab("levels", vqlib.VQVAE2(quantizers=quantizers, filters=(4, 4)))


def test_prior_has_to_be_of_the_models_codes_and_told_no_more_than_a_class(model, tiny_prior):
    with pytest.raises(TypeError, match=r"needs a vqlib\.PixelCNN or GatedPixelCNN as prior, but none"):
        vqlib.lab("prior", model)
    with pytest.raises(TypeError, match="but a VQVAE was given"):
        vqlib.lab("prior", model, model)
    for condition in ({"condition_shape": (), "num_conditions": 3}, {"condition_shape": (7, 7), "num_conditions": 10}):
        with pytest.raises(ValueError, match="told nothing, or one of 10 classes"):
            vqlib.lab("prior", model, vqlib.GatedPixelCNN(num_embeddings=12, filters=4, **condition))
    for wrong in ({"num_embeddings": 12}, {"code_shape": (7, 7), "num_embeddings": 13}):
        with pytest.raises(ValueError, match=r"\(7, 7\) and num_embeddings=12, but is of"):
            vqlib.lab("prior", model, tiny_prior(**wrong))
    with pytest.raises(ValueError, match="shows no prior"):
        vqlib.lab("paint", model, tiny_prior(code_shape=(7, 7), num_embeddings=12))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_diverged_model_is_refused(value):
    diverged = vqlib.VQVAE()
    diverged.encoder.layers[1].bias.assign(np.full(32, value, "float32"))
    with pytest.raises(ValueError, match="down_0/bias of the VQVAE hold NaN or infinity"):
        labs.weights_as_script("weights/model", diverged)


def test_lab_says_what_it_is_where_there_is_no_notebook(model):
    assert repr(vqlib.lab("paint", model)).startswith("Lab: Paint with codes. A notebook shows it")


def test_what_is_left_where_a_notebook_takes_the_frame_away_says_why(model):
    parser, left = html.parser.HTMLParser(), []
    parser.handle_data = left.append
    parser.feed(vqlib.lab("paint", model)._repr_html_())
    assert "".join(left) == labs.NO_SCRIPTS


def test_no_committed_notebook_holds_a_lab():
    notebooks = list((pathlib.Path(__file__).parents[1] / "notebooks").rglob("*.ipynb"))
    assert notebooks
    assert not [path.name for path in notebooks if "srcdoc=" in path.read_text(encoding="utf-8")]


# Syntax that browsers got after 2020. What came later without syntax of its own, `deno check` finds by its types.
YOUNGER = {
    "logical assignment": r"(?:\?\?|\|\||&&)=",
    "separators in numbers": r"\b\d+_\d",
    "private names, and static blocks": r"[.\s]#\w+\s*[(=;]|\bstatic\s*\{",
}


@pytest.mark.parametrize("kind", YOUNGER)
def test_scripts_of_labs_are_es2020(kind):
    for script in labs.FOLDER.glob("*.js"):
        if script.name != "digits.js":  # holds data
            assert not re.search(YOUNGER[kind], script.read_text(encoding="utf-8")), script.name

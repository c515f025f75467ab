"""The arithmetic of the labs, in JavaScript, makes the codes and the images that vqlib makes."""

import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import vqlib
from vqlib.book.labs import FOLDER as LABS
from vqlib.book.labs import weights_as_script

HERE = pathlib.Path(__file__).parent / "labs"
ARITHMETIC, PIXELCNN, GATED, HIERARCHY = (
    LABS / f"{name}.js" for name in ("arithmetic", "pixelcnn", "gated", "hierarchy")
)
AS_BYTES = {
    "encode": ("uint8", (7, 7)),
    "decode": ("<f4", (28, 28, 1)),
    "encodeLevels": ("uint8", (49 + 196,)),
    "decodeLevels": ("<f4", (28, 28, 1)),
    "logits": ("<f8", (7, 7, 128)),
    "classes": ("<f8", (50, 10)),
    "sees": ("uint8", (49, 49)),
}


def find_runner():
    """Return a command that runs JavaScript: Node, or Deno, which `make install` brings."""
    if node := shutil.which("node"):
        return [node]
    beside = pathlib.Path(sys.executable).parent
    if deno := shutil.which("deno", path=os.pathsep.join([str(beside), os.environ.get("PATH", "")])):
        return [deno, "run", "--allow-read"]
    pytest.skip("There is neither Node nor Deno here; the labs are tried in Chromium.")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that computes with a model's weights, as a lab does: of images, or of grids of codes."""
    folder, command = tmp_path_factory.mktemp("weights"), find_runner()

    def ask(what, model, given, scripts=(ARITHMETIC, PIXELCNN, GATED, HIERARCHY)):
        weights = folder / "weights.js"
        weights.write_text(weights_as_script("weights/model", model))
        arguments = [*command, HERE / "run.cjs", *scripts, weights, "weights/model", what]
        made = subprocess.run(arguments, input=given.tobytes(), capture_output=True, check=False)
        assert made.returncode == 0, made.stderr.decode()
        dtype, shape = AS_BYTES[what.split(":")[0]]
        return np.frombuffer(made.stdout, dtype).reshape(-1, *shape)

    return ask


@pytest.fixture(scope="module")
def model():
    """The tokenizer that the labs show."""
    return vqlib.load_pretrained("mnist-vqvae")


@pytest.fixture(scope="module")
def images():
    """Test images of MNIST where it is found without a network, and else the embedded digits."""
    folder = pathlib.Path(os.environ.get("VQLIB_DATA_DIR", "no folder"))
    name = "mnist" if (folder / "mnist.npz").exists() else "digits"
    return vqlib.load_dataset(name).x_test.astype("<f4")


@pytest.fixture(scope="module")
def codes(model, images):
    """Their codes, by vqlib."""
    return np.asarray(model.encode(images)).astype("uint8")


def test_codes_are_those_of_vqlib(run, model, images, codes):
    found = run("encode", model, images)
    assert found.shape == codes.shape
    assert np.mean(found == codes) >= 0.999
    assert len(np.unique(codes)) > 60


def test_decoded_images_are_those_of_vqlib(run, model, codes):
    difference = np.abs(run("decode", model, codes) - model.decode(codes))
    assert difference.max() < 0.005


def test_codes_that_no_image_has_are_decoded_too(run, model, rng):
    codes = rng.integers(model.num_embeddings, size=(20, 7, 7)).astype("uint8")
    assert np.abs(run("decode", model, codes) - model.decode(codes)).max() < 0.005


def test_fresh_weights_and_biases_are_not_taken_for_the_trained_ones(run, rng):
    keras.utils.set_random_seed(1)
    fresh = vqlib.VQVAE(num_embeddings=128, embedding_dim=16)
    fresh.set_weights([w if w.ndim > 1 else rng.normal(size=w.shape) for w in fresh.get_weights()])
    codes = rng.integers(128, size=(5, 7, 7)).astype("uint8")
    assert np.abs(run("decode", fresh, codes) - fresh.decode(codes)).max() < 0.005


@pytest.fixture(scope="module")
def prior():
    """The prior of its codes."""
    return vqlib.load_pretrained("mnist-prior")


def test_logits_are_those_of_vqlib_at_every_position(run, prior, codes):
    some = codes[:: max(len(codes) // 300, 1)]
    difference = np.abs(run("logits", prior, some) - prior(some.astype("int32")))
    assert difference.max() < 0.02


def test_logits_of_grids_that_no_image_has_are_those_of_vqlib(run, prior, rng):
    codes = rng.integers(prior.num_embeddings, size=(20, 7, 7)).astype("uint8")
    codes[1] = codes[0]
    codes[1, 3, 3] = (codes[0, 3, 3] + 1) % 128  # of what was kept, the second half is stale
    assert np.abs(run("logits", prior, codes) - prior(codes.astype("int32"))).max() < 0.02


def test_what_a_position_sees_is_what_the_book_draws(run, prior, codes, book_extension):
    assert np.array_equal(run("sees", prior, codes[:1])[0], book_extension("pictures").seen_by_plain())


@pytest.fixture(scope="module")
def told():
    """The gated prior, which is told a class."""
    return vqlib.load_pretrained("mnist-ema-prior")


@pytest.fixture(scope="module")
def told_codes(images):
    """Grids of its codes: some of test images, and some that no image has."""
    some = images[:: max(len(images) // 40, 1)]
    drawn = np.random.default_rng(0).integers(128, size=(10, 7, 7))
    drawn[1] = drawn[0]
    drawn[1, 3, 3] = (drawn[0, 3, 3] + 1) % 128  # of what was kept, the second half is stale
    return np.concatenate([vqlib.load_pretrained("mnist-ema-vqvae").encode(some), drawn]).astype("uint8")


@pytest.fixture(scope="module")
def told_logits(told, told_codes):
    """Its logits for each class, by vqlib: (10, N, 7, 7, K)."""
    codes = told_codes.astype("int32")
    return np.stack([told((codes, np.full(len(codes), digit))) for digit in range(10)])


@pytest.mark.parametrize("digit", range(10))
def test_logits_of_the_gated_prior_are_those_of_vqlib_for_each_class(run, told, told_codes, told_logits, digit):
    assert np.abs(run(f"logits:{digit}", told, told_codes) - told_logits[digit]).max() < 0.02


def test_logits_of_a_gated_prior_that_knows_no_classes_are_those_of_vqlib(run, rng):
    keras.utils.set_random_seed(1)
    fresh = vqlib.GatedPixelCNN(num_embeddings=128, filters=10, num_layers=3)  # 10 is no multiple of 4
    fresh.set_weights([w if w.ndim > 1 else rng.normal(size=w.shape) for w in fresh.get_weights()])
    codes = rng.integers(128, size=(10, 7, 7)).astype("uint8")
    assert np.abs(run("logits", fresh, codes) - fresh(codes.astype("int32"))).max() < 0.02


def test_prior_that_is_told_nothing_is_the_mean_over_classes(run, told, told_codes, told_logits):
    every = told_logits.reshape(10, len(told_codes), 49, 128)
    logs = every - np.logaddexp.reduce(every, axis=-1, keepdims=True)
    given = told_codes.reshape(1, -1, 49, 1).astype(int)
    spent = np.take_along_axis(logs, given, axis=-1)[..., 0].cumsum(axis=-1)  # log p(c_1 ... c_n | y), (10, N, 49)
    scores = np.concatenate([np.zeros_like(spent[..., :1]), spent], axis=-1)
    classes = scores - np.logaddexp.reduce(scores, axis=0)  # equation 7.3, after 0 to 49 codes
    found = run("classes", told, told_codes)
    assert np.abs(found - np.exp(classes).transpose(1, 2, 0)).max() < 0.01
    expected = np.logaddexp.reduce(classes[..., :49, None] + logs, axis=0)
    found = run("logits", told, told_codes).reshape(expected.shape)
    assert np.abs(found - expected).max() < 0.02


def test_gated_prior_sees_what_the_book_draws(run, told, told_codes, book_extension):
    _, seen = book_extension("pictures").seen_by_stacks(told.num_layers)
    assert np.array_equal(run("sees", told, told_codes[:1])[0], seen)
    fresh = vqlib.GatedPixelCNN(num_layers=2)  # one that does not see everything
    _, seen = book_extension("pictures").seen_by_stacks(2)
    assert np.array_equal(run("sees", fresh, told_codes[:1])[0], seen)
    assert not seen[48].all()


def test_images_of_the_gated_priors_codes_are_those_of_vqlib(run, images, told_codes):
    model = vqlib.load_pretrained("mnist-ema-vqvae")
    codes = np.asarray(model.encode(images)).astype("uint8")
    assert np.mean(run("encode", model, images) == codes) >= 0.999
    assert np.abs(run("decode", model, told_codes) - model.decode(told_codes)).max() < 0.005


def side_by_side(top, bottom):
    """Return the codes of both levels as the labs have them, uint8 (N, 49 + 196)."""
    return np.concatenate([top.reshape(-1, 49), bottom.reshape(-1, 196)], axis=1).astype("uint8")


@pytest.fixture(scope="module")
def two_levels():
    """The tokenizer with two levels that a lab shows."""
    return vqlib.load_pretrained("mnist-two-levels-vqvae")


@pytest.fixture(scope="module")
def both(two_levels, images):
    """The codes of both levels, by vqlib."""
    return two_levels.encode(images)


def test_codes_of_both_levels_are_those_of_vqlib(run, two_levels, images, both):
    found, expected = run("encodeLevels", two_levels, images), side_by_side(*both)
    assert found.shape == expected.shape
    assert np.mean(found[:, :49] == expected[:, :49]) >= 0.999
    assert np.mean(found[:, 49:] == expected[:, 49:]) >= 0.999
    assert len(np.unique(expected[:, :49])) > 60


def test_images_of_two_levels_are_those_of_vqlib(run, two_levels, both, rng):
    top, bottom = both
    exchanged = top[:1000], bottom[:1000][::-1]
    dice = rng.integers(128, size=(20, 7, 7)).astype("int32"), rng.integers(8, size=(20, 14, 14)).astype("int32")
    for codes in (exchanged, dice):
        found = run("decodeLevels", two_levels, side_by_side(*codes))
        assert np.abs(found - two_levels.decode(*codes)).max() < 0.005


def test_fresh_two_levels_are_not_taken_for_the_trained_ones(run, rng, images):
    keras.utils.set_random_seed(1)
    fresh = vqlib.VQVAE2(num_embeddings=(20, 6), embedding_dim=5, filters=(7, 6))
    fresh.set_weights([w if w.ndim > 1 else 0.1 * rng.normal(size=w.shape) for w in fresh.get_weights()])
    some = images[:40]
    fresh.initialize_codebook(some)
    codes = side_by_side(*fresh.encode(some))
    assert np.mean(run("encodeLevels", fresh, some) == codes) > 0.99
    assert [len(np.unique(level)) for level in (codes[:, :49], codes[:, 49:])] == [20, 6]
    dice = rng.integers(20, size=(5, 7, 7)).astype("int32"), rng.integers(6, size=(5, 14, 14)).astype("int32")
    assert np.abs(run("decodeLevels", fresh, side_by_side(*dice)) - fresh.decode(*dice)).max() < 0.005


# Mistakes that a port makes, and what they change.
MISTAKES = {
    "a ReLU that is forgotten": ("relu && sums[n] < 0", "false"),
    "a bias that is forgotten": ("sums.set(bias.values, start)", "sums.fill(0, start, start)"),
    "padding on the other side": ("Math.floor(Math.max(needed, 0) / 2)", "Math.ceil(Math.max(needed, 0) / 2)"),
    "a kernel that is not turned": ("turned(weights[", "(weights["),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_found(run, model, codes, tmp_path, name):
    right, wrong = MISTAKES[name]
    source = ARITHMETIC.read_text()
    assert right in source
    mistaken = tmp_path / "arithmetic.js"
    mistaken.write_text(source.replace(right, wrong))
    try:
        found = run("decode", model, codes[:5], scripts=(mistaken, PIXELCNN, GATED))
    except AssertionError:
        return
    assert np.isnan(found).any() or np.abs(found - model.decode(codes[:5])).max() > 0.05


# How many numbers of each model the labs compute with: none behind a mask, none that only training needs.
NUMBERS = {
    "mnist-vqvae": 49_937,
    "mnist-ema-vqvae": 49_937,
    "mnist-prior": 574_592,
    "mnist-ema-prior": 477_728,
    "mnist-two-levels-vqvae": 48_817,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_weights_take_two_letters_each(name):
    script = weights_as_script("weights/model", vqlib.load_pretrained(name))
    assert script.startswith('vqlabs.loaded["weights/model"] = {')
    shapes, values = re.search(r'"shapes": (.*), "values": "(.*)"\};\n$', script).groups()
    shapes = json.loads(shapes).values()
    assert sum(map(math.prod, shapes)) == NUMBERS[name]
    assert len(values) == 2 * (NUMBERS[name] + sum(math.prod(shape[:-1]) for shape in shapes))  # each row has its step
    assert not re.search(r"[\\<>&']", script)  # it may stand in a page, too


def test_small_weights_are_kept_as_well_as_large_ones(run, model, codes):
    small = keras.models.clone_model(model)
    last = [weight.path.startswith("to_pixels") for weight in model.weights]
    small.set_weights([w / 1000 if one else w for w, one in zip(model.get_weights(), last, strict=True)])
    found, expected = run("decode", small, codes[:5]), np.asarray(small.decode(codes[:5]))
    assert np.abs(found - expected).max() < 0.005 / 1000


def test_weights_of_all_labs_together_are_under_three_megabytes(book_extension):
    scripts = [weights_as_script(name, vqlib.load_pretrained(name)) for name in book_extension("labs").MODELS]
    assert sum(map(len, scripts)) < 3_000_000

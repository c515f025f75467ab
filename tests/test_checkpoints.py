"""Checkpoints: what was saved is what is loaded, or an error says why not."""

import inspect
import json
import shutil
import time

import keras
import numpy as np
import pytest

import vqlib
from vqlib import VQVAE, VQVAE2, Classifier, GatedPixelCNN, PixelCNN, checkpoints, load_card, load_pretrained
from vqlib.checkpoints import CheckpointError

SAVED = {"seed": 7, "epochs": 3, "minutes": 1.26, "metrics": {"mse": 0.25}}


@pytest.fixture(scope="module")
def saved(tiny_vqvae, tiny_prior, digits, tmp_path_factory):
    """A folder with a VQVAE named small-vqvae and its prior, small-prior; not to be changed."""
    folder = tmp_path_factory.mktemp("checkpoints")
    model = tiny_vqvae(data_variance=0.3)
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    checkpoints.save(model, "small-vqvae", data=digits, folder=folder, **SAVED)
    tokenizer = load_card("small-vqvae", folder)["sha256"]
    prior = tiny_prior(code_shape=(4, 4), num_embeddings=8)
    checkpoints.save(prior, "small-prior", data=digits, folder=folder, tokenizer=tokenizer, **SAVED)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """The same in a folder of the test's own."""
    return shutil.copytree(saved, tmp_path / "checkpoints")


def change_card(folder, name, **changes):
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_config(folder, name, **changes):
    change_card(folder, name, config={**load_card(name, folder)["config"], **changes})


# The way there and back


def test_loaded_models_are_those_that_were_saved(folder, tiny_vqvae, tiny_prior, images):
    model, prior = load_pretrained("small", folder)
    assert type(model) is VQVAE
    assert type(prior) is PixelCNN
    before, prior_before = tiny_vqvae(data_variance=0.3), tiny_prior(code_shape=(4, 4), num_embeddings=8)
    codes = before.encode(images)
    np.testing.assert_array_equal(model.encode(images), codes)
    np.testing.assert_array_equal(model.decode(codes), before.decode(codes))
    np.testing.assert_array_equal(prior(codes), prior_before(codes))
    assert model.data_variance == 0.3


def test_pair_has_names(folder):
    pair = load_pretrained("small", folder)
    assert isinstance(pair, tuple)
    assert pair._fields == ("model", "prior")
    assert (type(pair.model), type(pair.prior)) == (VQVAE, PixelCNN)


def test_models_load_on_their_class(folder, tiny_vqvae, images):
    for name in ("small", "small-vqvae"):
        model = VQVAE.from_pretrained(name, folder)
        assert type(model) is VQVAE
        np.testing.assert_array_equal(model.encode(images), tiny_vqvae().encode(images))
    assert type(PixelCNN.from_pretrained("small", folder=folder)) is PixelCNN


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (VQVAE, "large", r"There is no VQVAE called 'large' in .*\. Known: small-vqvae\."),
        (VQVAE, "small-prior", "There is no VQVAE called 'small-prior'"),
        (VQVAE2, "small", r"There is no VQVAE2 called 'small' in .*\. Known: none\."),
        (Classifier, "small", "There is no Classifier called 'small'"),
    ],
)
def test_model_of_another_class_is_refused_with_the_known_ones(folder, model, name, message):
    with pytest.raises(CheckpointError, match=message):
        model.from_pretrained(name, folder)


def test_help_shows_no_path_of_a_machine():
    for function in (load_pretrained, load_card, checkpoints.names, checkpoints.save, VQVAE.from_pretrained):
        assert "/" not in str(inspect.signature(function)).replace("Path/", "")
        assert inspect.signature(function).parameters["folder"].default is None


def test_each_of_a_pair_loads_alone(folder):
    assert type(load_pretrained("small-vqvae", folder)) is VQVAE
    assert type(load_pretrained("small-prior", folder)) is PixelCNN


def test_loaded_models_work_at_once(folder, images):
    model, prior = load_pretrained("small", folder)
    assert model.decode(vqlib.sample(prior, 3)).shape == (3, 8, 8, 1)
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.evaluate(images, verbose=0, return_dict=True)["loss"])


def test_names_are_those_of_the_cards(folder):
    assert checkpoints.names(folder) == ["small-prior", "small-vqvae"]


def test_card_says_how_the_weights_were_made(folder, digits):
    card = load_card("small-vqvae", folder)
    assert (card["name"], card["model"]) == ("small-vqvae", "VQVAE")
    assert (card["seed"], card["epochs"], card["minutes"], card["metrics"]) == (7, 3, 1.3, {"mse": 0.25})
    assert card["dataset"] == {"name": "digits", "sha256": digits.sha256, "training_images": 1_297}
    assert card["versions"]["keras"] == keras.__version__
    assert card["versions"]["numpy"] == np.__version__
    assert set(card["versions"]) == {"python", keras.backend.backend(), "keras", "numpy"}
    assert card["device"]
    assert card["parameters"] == load_pretrained("small-vqvae", folder).count_params()
    assert len(card["sha256"]) == 64
    assert len(load_card("small-prior", folder)["tokenizer"]) == 64


def test_file_holds_the_weights_and_no_state_of_an_optimizer(folder):
    parameters = load_card("small-vqvae", folder)["parameters"]
    model = load_pretrained("small-vqvae", folder)
    model.save_weights(folder / "bare.weights.h5")
    size = (folder / "small-vqvae.weights.h5").stat().st_size
    assert 4 * parameters < size <= 1.05 * (folder / "bare.weights.h5").stat().st_size


def test_model_that_cannot_be_saved_leaves_the_earlier_one_as_it_was(folder, tiny_vqvae, digits):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoints.save(tiny_vqvae(seed=1), "small-vqvae", data=digits, folder=folder, **SAVED, note=np.float32(1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_renewed_card_has_other_entries_and_the_same_model(folder):
    before, weights = load_card("small-vqvae", folder), (folder / "small-vqvae.weights.h5").read_bytes()
    checkpoints.renew_card("small-vqvae", folder=folder, rows=[{"mse": 1.0}], metrics={"mse": 0.5})
    assert load_card("small-vqvae", folder) == {**before, "rows": [{"mse": 1.0}], "metrics": {"mse": 0.5}}
    assert (folder / "small-vqvae.weights.h5").read_bytes() == weights
    with pytest.raises(CheckpointError, match="no checkpoint 'other'"):
        checkpoints.renew_card("other", folder=folder, rows=[])


def test_files_of_other_programs_are_no_checkpoints(folder):
    for name, text in (("alien", "{}"), ("list", '["model", "sha256"]'), ("number", "3")):
        (folder / f"{name}.json").write_text(text)
    assert checkpoints.names(folder) == ["small-prior", "small-vqvae"]
    assert type(VQVAE.from_pretrained("small", folder)) is VQVAE
    with pytest.raises(CheckpointError, match=r"no VQVAE called 'large' in .*Known: small-vqvae\."):
        VQVAE.from_pretrained("large", folder)
    with pytest.raises(CheckpointError, match=r"no checkpoint 'alien' in .*Known: small-prior, small-vqvae\."):
        load_pretrained("alien", folder)


# What is refused


def test_missing_checkpoint_is_refused_with_the_known_ones(folder):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint 'large' in .*Known: small-prior, small-vqvae"):
        load_pretrained("large", folder)


def test_empty_folder_is_said_to_be_empty(tmp_path):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint 'mnist' in .*Known: none"):
        load_pretrained("mnist", tmp_path)


def test_missing_weights_are_refused(folder):
    (folder / "small-vqvae.weights.h5").unlink()
    with pytest.raises(CheckpointError, match=r"small-vqvae.weights.h5 is missing, although its card is there"):
        load_pretrained("small-vqvae", folder)


def test_damaged_card_is_refused(folder):
    path = folder / "small-vqvae.json"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(CheckpointError, match=r"small-vqvae.json is damaged .* Install the package again"):
        load_card("small-vqvae", folder)
    assert "small-vqvae" in checkpoints.names(folder)


def test_missing_prior_is_refused(folder):
    (folder / "small-prior.json").unlink()
    with pytest.raises(CheckpointError, match=r"There is no checkpoint 'small-prior'"):
        load_pretrained("small", folder)


@pytest.mark.parametrize("name", ["small-vqvae", "small-prior"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_corrupted_weights_are_refused(folder, name, place):
    path = folder / f"{name}.weights.h5"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is not the file that its card describes: its sha256 is .*damaged"):
        load_pretrained("small", folder)


def test_weights_cut_short_are_refused(folder):
    path = folder / "small-vqvae.weights.h5"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"is not the file that its card describes"):
        load_pretrained("small-vqvae", folder)


@pytest.mark.parametrize(
    "changes",
    [{"filters": [5]}, {"filters": [4, 4]}, {"filters": []}, {"image_shape": [8, 8, 3]}],
    ids=str,
)
def test_weights_of_another_architecture_are_refused(folder, changes):
    change_config(folder, "small-vqvae", **changes)
    with pytest.raises(CheckpointError, match=r"holds the weights of another architecture than small-vqvae's card"):
        load_pretrained("small-vqvae", folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_embeddings": 9},
        {"filters": 4},
        {"num_residual_blocks": 1},
        {"num_residual_blocks": 3},
        {"num_pixelcnn_layers": 1},
        {"num_pixelcnn_layers": 3},
    ],
    ids=str,
)
def test_prior_of_another_architecture_is_refused(folder, changes):
    change_config(folder, "small-prior", **changes)
    with pytest.raises(CheckpointError, match=r"holds the weights of another architecture than small-prior's card"):
        load_pretrained("small-prior", folder)


def test_prior_of_another_tokenizer_is_refused(folder, tiny_vqvae, digits):
    checkpoints.save(tiny_vqvae(seed=1), "small-vqvae", data=digits, folder=folder, **SAVED)
    with pytest.raises(
        CheckpointError, match=r"small-prior was trained on the codes of another model than small-vqvae"
    ):
        load_pretrained("small", folder)
    assert type(load_pretrained("small-prior", folder)) is PixelCNN


def test_prior_of_an_unknown_tokenizer_is_refused(folder, tiny_prior, digits):
    prior = tiny_prior(code_shape=(4, 4), num_embeddings=8)
    checkpoints.save(prior, "small-prior", data=digits, folder=folder, **SAVED)
    with pytest.raises(
        CheckpointError, match=r"small-prior was trained on the codes of another model than small-vqvae"
    ):
        load_pretrained("small", folder)


@pytest.fixture
def two_levels(tmp_path, digits):
    """A folder with a VQVAE2 named small-vqvae, and its two priors."""
    model = VQVAE2(image_shape=(8, 8, 1), num_embeddings=(8, 4), embedding_dim=4, filters=(4, 4))
    checkpoints.save(model, "small-vqvae", data=digits, folder=tmp_path, **SAVED)
    top = GatedPixelCNN((2, 2), 8, filters=4, num_layers=1, condition_shape=(), num_conditions=10)
    bottom = GatedPixelCNN((4, 4), 4, filters=4, num_layers=1, condition_shape=(2, 2), num_conditions=8)
    tokenizer = load_card("small-vqvae", tmp_path)["sha256"]
    for name, prior in (("small-top-prior", top), ("small-bottom-prior", bottom)):
        checkpoints.save(prior, name, data=digits, folder=tmp_path, tokenizer=tokenizer, **SAVED)
    return tmp_path


def test_two_levels_load_with_the_prior_of_each(two_levels):
    loaded = load_pretrained("small", two_levels)
    assert loaded._fields == ("model", "top_prior", "bottom_prior")
    model, top, bottom = loaded
    assert type(model) is VQVAE2
    top_codes = vqlib.sample(top, 3, condition=[0, 1, 2])
    bottom_codes = vqlib.sample(bottom, 3, condition=top_codes)
    assert model.decode(top_codes, bottom_codes).shape == (3, 8, 8, 1)


def test_one_of_several_models_of_a_class_has_to_be_named(two_levels):
    with pytest.raises(
        CheckpointError, match="'small' has 2 models of GatedPixelCNN: name one, small-bottom-prior or "
    ):
        GatedPixelCNN.from_pretrained("small", two_levels)
    assert GatedPixelCNN.from_pretrained("small-top-prior", two_levels).code_shape == (2, 2)


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_prior_of_a_level_of_another_tokenizer_is_refused(two_levels, level):
    change_card(two_levels, f"small-{level}-prior", tokenizer="0" * 64)
    with pytest.raises(
        CheckpointError, match=rf"small-{level}-prior was trained on the codes of another model than sma"
    ):
        load_pretrained("small", two_levels)


def test_failed_load_is_caught_as_a_value_error(tmp_path):
    with pytest.raises(ValueError, match="There is no checkpoint"):
        load_pretrained("mnist", tmp_path)


# What is shipped


def test_models_of_the_book_are_shipped():
    assert {"mnist-prior", "mnist-vqvae", "mnist-two-levels-vqvae"} <= set(checkpoints.names())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (VQVAE, "mnist"),
        (VQVAE, "mnist-ema"),
        (VQVAE2, "mnist-two-levels"),
        (PixelCNN, "mnist"),
        (GatedPixelCNN, "mnist-ema"),
        (Classifier, "mnist"),
        (Classifier, "mnist-classifier"),
    ],
)
def test_shipped_models_load_on_their_class(model, name):
    assert type(model.from_pretrained(name)) is model
    assert inspect.signature(model.from_pretrained).parameters["name"].default == "mnist"


@pytest.mark.usefixtures("no_network")
def test_shipped_pair_loads_within_5_seconds_and_without_a_network():
    start = time.process_time()  # not by the clock, since other programs run beside the tests
    model, prior = load_pretrained("mnist")
    assert time.process_time() - start < 5
    assert (model.image_shape, model.code_shape, prior.code_shape) == ((28, 28, 1), (7, 7), (7, 7))
    assert prior.num_embeddings == model.num_embeddings
    assert type(load_pretrained("mnist-vqvae")) is VQVAE
    assert type(load_pretrained("mnist-prior")) is PixelCNN


def test_shipped_models_reconstruct_and_draw_digits(digits):
    model, prior = load_pretrained("mnist")
    images = digits.x_test[:100]
    error = vqlib.metrics.mean_squared_error(images, model.decode(model.encode(images)))
    assert error < 0.25 * np.var(images)
    samples = model.decode(vqlib.sample(prior, 16, seed=0))
    assert np.abs(samples).max() < 1
    assert samples[:, :2].mean() < -0.45  # MNIST's margin is empty
    assert samples[:, 10:18, 10:18].mean() > -0.4


def test_shipped_codebook_was_trained():
    codebook = np.asarray(load_pretrained("mnist-vqvae").quantizer.codebook)
    assert np.abs(codebook).max() > 0.05


def test_shipped_models_of_two_levels_fit_together():
    model, top_prior, bottom_prior = load_pretrained("mnist-two-levels")
    assert (top_prior.code_shape, bottom_prior.code_shape) == model.code_shapes
    assert (top_prior.num_embeddings, bottom_prior.num_embeddings) == model.num_embeddings
    assert (bottom_prior.condition_shape, bottom_prior.num_conditions) == (top_prior.code_shape, 128)
    assert (top_prior.condition_shape, top_prior.num_conditions) == ((), 10)


@pytest.mark.parametrize("name", checkpoints.names())
def test_cards_of_shipped_models_are_complete(name):
    card = load_card(name)
    assert {"dataset", "seed", "epochs", "versions", "device", "minutes", "metrics", "sha256", "config"} <= set(card)
    assert card["dataset"]["name"] == "mnist"
    assert card["dataset"]["training_images"] == 55_000
    assert card["metrics"]
    assert all(np.isfinite(value) for value in card["metrics"].values())

"""The VQ-VAE: its parameters, its training, its metrics, and the way to disk and back."""

import inspect
import json
import subprocess
import sys
import textwrap
import tracemalloc

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import VQVAE, VectorQuantizer, _batches
from vqlib.autoencoder import build_decoder, build_encoder

LOSSES = ("reconstruction_loss", "codebook_loss", "commitment_loss", "perplexity", "codes_used")


@keras.saving.register_keras_serializable("vqlib-tests")
class RoundingQuantizer(keras.layers.Layer):
    """A codebook without weights: each of D entries is rounded to -1 or 1, and the signs are the bits of the code."""

    def __init__(self, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        self.embedding_dim = embedding_dim
        self.num_embeddings = 2**embedding_dim

    def call(self, z):
        return z + ops.stop_gradient(self.decode(self.encode(z)) - z)

    def encode(self, z):
        return ops.sum(ops.cast(z > 0, "int32") * 2 ** ops.arange(self.embedding_dim), axis=-1)

    def decode(self, codes):
        bits = ops.floor_divide(ops.expand_dims(codes, -1), 2 ** ops.arange(self.embedding_dim)) % 2
        return ops.cast(2 * bits - 1, "float32")

    def get_config(self):
        return {**super().get_config(), "embedding_dim": self.embedding_dim}


@pytest.fixture
def trained(tiny_vqvae, images):
    """A VQVAE after a few steps, with every weight off its start."""
    model = tiny_vqvae(data_variance=0.08)
    model.initialize_codebook(images)
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)  # for these few steps faster than compiling
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    return model


# Architecture


@pytest.mark.parametrize(("num_embeddings", "total"), [(64, 48_913), (128, 49_937)])
def test_parameters_are_those_of_the_keras_example(num_embeddings, total):
    model = VQVAE(num_embeddings=num_embeddings)
    assert model.encoder.count_params() == 19_856
    assert model.decoder.count_params() == 28_033
    assert model.count_params() == total
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == total


def test_defaults_are_those_of_the_design():
    model = VQVAE()
    assert (model.image_shape, model.code_shape) == ((28, 28, 1), (7, 7))
    assert (model.num_embeddings, model.embedding_dim, model.quantizer.beta) == (128, 16, 0.25)


@pytest.mark.parametrize(
    ("image_shape", "filters", "strides", "code_shape"),
    [
        ((32, 32, 3), (4, 8), 2, (8, 8)),
        ((24, 36, 2), (4, 6, 8), (2, 3, 2), (2, 3)),
        ((9, 6, 1), (5,), 3, (3, 2)),
        ((8, 8, 1), (4, 4), (1, 2), (4, 4)),
    ],
    ids=str,
)
def test_other_image_shapes_depths_and_strides(image_shape, filters, strides, code_shape, rng):
    model = VQVAE(image_shape, num_embeddings=8, embedding_dim=4, filters=filters, strides=strides)
    images = rng.uniform(-0.5, 0.5, size=(4, *image_shape)).astype("float32")
    assert model(images).shape == images.shape
    codes = model.encode(images)
    assert codes.shape == (4, *code_shape) == (4, *model.code_shape)
    assert model.decode(codes).shape == images.shape
    convolutions = [layer for layer in model.encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [*filters, 4]
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.fit(images, verbose=0).history["loss"][0])


def test_hidden_layers_of_encoder_and_decoder_are_rectified():
    encoder, decoder = build_encoder((8, 8, 1), 4), build_decoder((2, 2), 4, 1)
    for network in (encoder, decoder):
        hidden, last = network.layers[1:-1], network.layers[-1]
        assert len(hidden) == 2
        assert all(layer.activation is keras.activations.relu for layer in hidden)
        assert last.activation is keras.activations.linear


def test_reconstruction_is_decode_of_encode(trained, images):
    reconstructions = np.asarray(trained(images))
    np.testing.assert_allclose(trained.decode(trained.encode(images)), reconstructions, atol=1e-5)
    np.testing.assert_allclose(trained.predict(images, verbose=0), reconstructions, atol=1e-5)


def test_codes_are_int32_and_images_float32(trained, images):
    codes = trained.encode(images)
    assert isinstance(codes, np.ndarray)
    assert codes.dtype == np.int32
    decoded = trained.decode(codes.astype("int64"))
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == np.float32


def test_encode_and_decode_work_batch_by_batch(trained, rng, monkeypatch):
    images = rng.uniform(-0.5, 0.5, size=(20, 8, 8, 1)).astype("float32")
    codes, decoded = trained.encode(images), trained.decode(trained.encode(images))
    np.testing.assert_array_equal(trained.encode(images, batch_size=3), codes)
    np.testing.assert_allclose(trained.decode(codes, batch_size=3), decoded, atol=1e-6)
    monkeypatch.setattr(_batches, "ROWS_PER_BATCH", 7)
    np.testing.assert_array_equal(trained.encode(images), codes)
    np.testing.assert_allclose(trained.decode(codes), decoded, atol=1e-6)


def test_no_images_have_no_codes(trained):
    assert trained.encode(np.zeros((0, 8, 8, 1), "float32")).shape == (0, 4, 4)
    assert trained.decode(np.zeros((0, 4, 4), "int32")).shape == (0, 8, 8, 1)


# Training


def test_codebook_leaves_its_initial_range_while_training(digits):
    keras.utils.set_random_seed(0)
    model = VQVAE(num_embeddings=16, embedding_dim=4, filters=(8, 8), data_variance=digits.variance)
    before = np.array(model.quantizer.codebook)
    assert np.abs(before).max() <= 0.05
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(digits.x_train[:256], batch_size=32, epochs=4, verbose=0)
    assert np.abs(np.asarray(model.quantizer.codebook)).max() > 0.05


def test_every_part_moves_after_one_step(tiny_vqvae, images):
    model = tiny_vqvae()
    model.compile("sgd")
    before = [np.array(v) for v in model.trainable_variables]
    model.fit(images, batch_size=20, epochs=1, verbose=0)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(np.asarray(variable), old), variable.path


def test_training_lowers_the_loss(digits):
    keras.utils.set_random_seed(0)
    model = VQVAE(num_embeddings=16, embedding_dim=4, filters=(8, 8), data_variance=digits.variance)
    model.initialize_codebook(digits.x_train[:64])
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(digits.x_train[:256], batch_size=32, epochs=8, verbose=0).history
    assert history["reconstruction_loss"][-1] < 0.6 * history["reconstruction_loss"][0]


def test_fit_with_plain_compile_reports_every_metric(tiny_vqvae, images):
    model = tiny_vqvae()
    model.compile("adam")
    history = model.fit(images, validation_data=images[:5], batch_size=8, epochs=2, verbose=0).history
    assert set(history) == {f"{prefix}{name}" for name in ("loss", *LOSSES) for prefix in ("", "val_")}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in history.values())


def test_fit_takes_tf_data_as_it_is(tiny_vqvae, images):
    import tensorflow as tf  # a dependency on every backend: Keras's trainers all take its datasets

    model = tiny_vqvae()
    model.compile("adam")
    batches = tf.data.Dataset.from_tensor_slices(images).batch(8)
    history = model.fit(batches, validation_data=batches, shuffle=False, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


def test_same_seed_same_training(tiny_vqvae, images):
    def weights(seed):
        model = tiny_vqvae(seed)
        model.compile("adam", run_eagerly=True)
        model.fit(images, batch_size=8, verbose=0)
        return model.get_weights()

    once = weights(3)
    for first, again in zip(once, weights(3), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.allclose(once[0], weights(4)[0])


def test_loss_is_reconstruction_plus_codebook_plus_commitment(trained, images):
    found = trained.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    parts = found["reconstruction_loss"] + found["codebook_loss"] + found["commitment_loss"]
    np.testing.assert_allclose(found["loss"], parts, rtol=1e-5)


def test_gradient_is_that_of_the_three_terms(trained, images):
    # By hand, from the paper's equation 3, with the chosen codes held fixed.
    codes = trained.quantizer.encode(trained.encoder(images))

    def loss():
        z = trained.encoder(images)
        e = ops.take(trained.quantizer.codebook, codes, axis=0)
        output = trained.decoder(z + ops.stop_gradient(e - z))
        reconstruction = ops.mean((images - output) ** 2) / 0.08
        codebook = ops.mean((ops.stop_gradient(z) - e) ** 2)
        return reconstruction + codebook + 0.25 * ops.mean((z - ops.stop_gradient(e)) ** 2)

    expected = gradients(loss, variables=trained.trainable_variables)
    before = [np.array(v) for v in trained.trainable_variables]
    trained.compile(keras.optimizers.SGD(1.0))
    trained.fit(images, batch_size=20, verbose=0)
    for variable, old, gradient in zip(trained.trainable_variables, before, expected, strict=True):
        np.testing.assert_allclose(old - np.asarray(variable), gradient, rtol=1e-3, atol=1e-5, err_msg=variable.path)


# Metrics


NO_CALL = "compute_loss takes what the call before it has left"


@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_a_loss_without_a_call_before_it_is_refused(make, images, request):
    model = request.getfixturevalue(make)()
    model.compile("adam")
    with pytest.raises(RuntimeError, match=NO_CALL):
        model.compute_loss(x=images, y_pred=images)
    predicted = model(images)
    model.compute_loss(x=images, y_pred=predicted)
    with pytest.raises(RuntimeError, match=NO_CALL):
        model.compute_loss(x=images, y_pred=predicted)


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_nothing_of_a_compiled_step_is_kept_alive(use, tiny_vqvae, images):
    model = tiny_vqvae()
    model.compile("adam")
    getattr(model, use)(images, verbose=0)
    assert vars(model._kept) == {}
    with pytest.raises(RuntimeError, match=NO_CALL):
        model.compute_loss(x=images, y_pred=images)


def test_metrics_run_over_the_dataset_and_are_not_averaged_over_batches(trained, images):
    trained.compile("adam")
    images[16:] = np.sign(images[16:]) / 2  # a last smaller batch that is unlike the others
    found = trained.evaluate(images, batch_size=8, verbose=0, return_dict=True)

    z = np.asarray(trained.encoder(images), "float64")
    codes = trained.encode(images)
    squared_gap = (z - np.asarray(trained.quantizer.codebook)[codes]) ** 2
    p = np.bincount(codes.ravel(), minlength=8) / codes.size
    expected = {
        "reconstruction_loss": np.mean((images - trained.predict(images, verbose=0).astype("float64")) ** 2) / 0.08,
        "codebook_loss": np.mean(squared_gap),
        "commitment_loss": 0.25 * np.mean(squared_gap),
        "perplexity": np.exp(-np.sum(p[p > 0] * np.log(p[p > 0]))),
        "codes_used": np.count_nonzero(p),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)

    batches = [trained.evaluate(images[i : i + 8], verbose=0, return_dict=True) for i in (0, 8, 16)]
    for name in ("reconstruction_loss", "codebook_loss", "commitment_loss", "perplexity"):
        mean = np.mean([batch[name] for batch in batches])
        assert abs(mean - expected[name]) > 1e-3 * expected[name], f"the test cannot tell for {name}"


def test_validation_metrics_are_those_of_evaluate(tiny_vqvae, images):
    model = tiny_vqvae(data_variance=0.08)
    model.compile("adam")
    history = model.fit(images[:16], validation_data=images[16:], batch_size=3, epochs=2, verbose=0).history
    found = model.evaluate(images[16:], batch_size=3, verbose=0, return_dict=True)
    for name, value in found.items():
        np.testing.assert_allclose(history[f"val_{name}"][-1], value, rtol=1e-5, err_msg=name)


def test_metrics_start_anew_each_time(trained, images):
    first = trained.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    trained.evaluate(-images, batch_size=8, verbose=0)
    assert trained.evaluate(images, batch_size=8, verbose=0, return_dict=True) == pytest.approx(first, rel=1e-5)


def test_data_variance_divides_the_reconstruction_loss(tiny_vqvae, images):
    losses = []
    for variance in (1.0, 0.1):
        model = tiny_vqvae(data_variance=variance)
        model.compile("adam", run_eagerly=True)
        losses.append(model.evaluate(images, verbose=0, return_dict=True)["reconstruction_loss"])
    np.testing.assert_allclose(losses[1], 10 * losses[0], rtol=1e-4)


# Mixed precision


def test_mixed_precision_leaves_the_codes_of_the_encoders_outputs_unchanged(mixed_bfloat16, tiny_vqvae, images):
    model = tiny_vqvae(num_embeddings=64)
    model.initialize_codebook(np.concatenate([images] * 2))
    z = model.encoder(images)
    assert z.dtype == "float32"
    distances = np.sum((np.asarray(z, "float64")[..., None, :] - np.asarray(model.quantizer.codebook)) ** 2, axis=-1)
    expected = np.argmin(distances, axis=-1)
    np.testing.assert_array_equal(model.encode(images), expected)
    np.testing.assert_allclose(model.quantizer(z), np.asarray(model.quantizer.codebook)[expected], atol=1e-5)
    assert model(images).dtype == "float32"


def test_mixed_precision_trains(mixed_bfloat16, tiny_vqvae, images):
    model = tiny_vqvae()
    before = np.array(model.quantizer.codebook)
    model.compile("adam")
    history = model.fit(images, validation_data=images, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    assert model.quantizer.codebook.dtype == "float32"
    assert not np.array_equal(np.asarray(model.quantizer.codebook), before)


# To disk and back


def test_saved_models_give_the_same_codes_and_logits_in_a_fresh_process(trained, images, tmp_path, tiny_prior):
    prior = tiny_prior(code_shape=(4, 4), num_embeddings=8)
    codes = trained.encode(images)
    prior.compile("adam", run_eagerly=True)
    prior.fit(codes, verbose=0)
    samples = vqlib.sample(prior, 3, seed=5)  # keeps a compiled loop with the prior, which must not hinder saving
    trained.save(tmp_path / "vqvae.keras")
    prior.save(tmp_path / "prior.keras")
    np.save(tmp_path / "images.npy", images)
    script = """
        import numpy as np
        import vqlib
        import keras

        images = np.load("images.npy")
        model, prior = keras.saving.load_model("vqvae.keras"), keras.saving.load_model("prior.keras")
        assert type(model) is vqlib.VQVAE and type(prior) is vqlib.PixelCNN
        codes = model.encode(images)
        np.savez("found.npz", codes=codes, images=model.decode(codes), logits=prior.predict(codes, verbose=0),
                 samples=vqlib.sample(prior, 3, seed=5), metrics=model.evaluate(images, verbose=0),
                 bits=prior.evaluate(codes, verbose=0))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["codes"], codes)
    assert len(np.unique(codes)) > 2
    np.testing.assert_allclose(found["images"], trained.decode(codes), atol=1e-6)
    np.testing.assert_allclose(found["logits"], prior.predict(codes, verbose=0), atol=1e-5)
    np.testing.assert_array_equal(found["samples"], samples)
    np.testing.assert_allclose(found["metrics"], trained.evaluate(images, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(found["bits"], prior.evaluate(codes, verbose=0), rtol=1e-5)


def test_every_argument_survives_saving(tmp_path):
    model = VQVAE((12, 18, 2), 9, 5, beta=0.7, filters=(3, 4), strides=(2, 3), data_variance=0.3)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    for name in ("image_shape", "num_embeddings", "embedding_dim", "filters", "strides", "data_variance", "code_shape"):
        assert getattr(twin, name) == getattr(model, name), name
    assert twin.quantizer.beta == 0.7


def test_weights_survive_saving(trained, images, tmp_path):
    trained.save_weights(tmp_path / "model.weights.h5")
    twin = VQVAE.from_config(trained.get_config())
    twin.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(twin.encode(images), trained.encode(images))


def test_training_goes_on_after_loading(trained, images, tmp_path):
    trained.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    for model in (trained, twin):
        model.fit(images, batch_size=8, shuffle=False, verbose=0)
    for first, second in zip(trained.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_own_networks_survive_saving(own_networks, images, tmp_path):
    encoder, decoder = own_networks()
    model = VQVAE((8, 8, 1), 8, 4, encoder=encoder, decoder=decoder, data_variance=0.08)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    codes = model.encode(images)
    np.testing.assert_array_equal(twin.encode(images), codes)
    np.testing.assert_array_equal(twin.decode(codes), model.decode(codes))
    assert set(twin.get_config()) == set(model.get_config()) >= {"encoder", "decoder"}


def test_config_of_usual_networks_does_not_name_them():
    assert set(VQVAE().get_config()) == {
        *keras.Model.get_config(VQVAE()),
        *("image_shape", "data_variance", "filters", "strides", "quantizer"),
    }


# Networks of one's own


@pytest.fixture
def own_networks():
    """Return a function that makes an encoder to a grid of 2 x 4 codes of 4 entries, and its decoder."""

    def make(grid=(2, 4), dimension=4):
        strides = (8 // grid[0], 8 // grid[1])
        encoder = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(dimension, 5, strides=strides, padding="same"),
                keras.layers.BatchNormalization(),
            ]
        )
        decoder = keras.Sequential(
            [keras.Input((*grid, dimension)), keras.layers.Conv2DTranspose(1, 5, strides=strides, padding="same")]
        )
        return encoder, decoder

    return make


def test_own_networks_are_trained_encode_and_decode(own_networks, images):
    encoder, decoder = own_networks()
    model = VQVAE((8, 8, 1), 8, 4, encoder=encoder, decoder=decoder, data_variance=0.08)
    assert model.code_shape == model.levels[0].code_shape == (2, 4)
    model.initialize_codebook(images)
    before = [np.array(network.weights[0]) for network in (encoder, decoder)]
    model.compile("adam")
    model.fit(images, batch_size=8, verbose=0)
    for network, old in zip((encoder, decoder), before, strict=True):
        assert not np.array_equal(np.asarray(network.weights[0]), old)
    codes = model.encode(images)
    np.testing.assert_array_equal(codes, model.quantizer.encode(encoder(images)))
    expected = decoder(model.quantizer.decode(codes))
    np.testing.assert_allclose(model.decode(codes), np.clip(expected, -0.5, 0.5), atol=1e-6)


def test_decoded_images_are_valid_images(images):
    model = VQVAE((8, 8, 1), 8, 4, filters=(3,), strides=2)
    codes = np.random.default_rng(0).integers(0, 8, (40, 4, 4)).astype("int32")
    scale = 20 / np.std(model.decode(codes))
    for weight in model.decoder.trainable_variables[-2:]:
        weight.assign(weight * scale)
    expected = np.asarray(model.decoder(model.quantizer.decode(codes)))
    assert expected.min() < -1 < 1 < expected.max()
    decoded = model.decode(codes, batch_size=16)
    np.testing.assert_allclose(decoded, np.clip(expected, -0.5, 0.5), atol=1e-4)
    assert model.encode(decoded).shape == (40, 4, 4)


def test_an_own_encoder_goes_with_the_usual_decoder_of_the_same_strides(own_networks, images):
    encoder, _ = own_networks(grid=(4, 4))
    model = VQVAE((8, 8, 1), 8, 4, filters=(3,), strides=2, encoder=encoder)
    assert model.decode(model.encode(images)).shape == images.shape


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        (
            {"dimension": 3},
            {},
            r"encoder must make \(batch, h, w, 4\) of images \(batch, 8, 8, 1\), since",
        ),
        ({}, None, r"decoder must make images \(batch, 8, 8, 1\) of \(batch, 2, 4, 4\), but makes \(None, 8, 16, 1\)"),
        ({"grid": (4, 4)}, {"grid": (4, 2)}, r"expected shape=\(None, 4, 2, 4\), found shape=\(None, 4, 4, 4\)"),
    ],
    ids=["dimension", "usual decoder", "decoder"],
)
def test_own_networks_that_do_not_fit_are_refused(own_networks, encoder, decoder, message):
    networks = {"encoder": own_networks(**encoder)[0]}
    if decoder is not None:
        networks["decoder"] = own_networks(**decoder)[1]
    with pytest.raises(ValueError, match=message):
        VQVAE((8, 8, 1), 8, 4, **networks)


@pytest.mark.parametrize(
    ("make", "part"),
    [("tiny_vqvae", part) for part in ("encoder", "quantizer", "decoder")]
    + [("tiny_vqvae2", part) for part in ("stem", "top_encoder", "bottom_encoder", "quantizers", "decoder")],
)
def test_parts_cannot_be_replaced(make, part, images, request):
    model = request.getfixturevalue(make)()
    codes, old = model.encode(images), getattr(model, part)
    with pytest.raises(AttributeError, match=rf"{part} cannot be replaced: .*Make a new VQVAE"):
        setattr(model, part, None)
    assert getattr(model, part) is old
    np.testing.assert_array_equal(model.encode(images)[0], codes[0])


SECOND_LEVEL_OF_16 = {VQVAE: {"strides": (2, 1)}, vqlib.VQVAE2: {}}  # cells, of the last or only level


# What a model has to know of its data


@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_adapt_takes_the_variance_and_starts_the_codebooks(make, images, request):
    model, twin = request.getfixturevalue(make)(), request.getfixturevalue(make)()
    model.adapt(images, seed=2)
    assert model.data_variance == float(np.var(images, dtype="float64"))
    twin.initialize_codebook(images, seed=2)
    for level, other in zip(model.levels, twin.levels, strict=True):
        np.testing.assert_array_equal(level.quantizer.codebook, other.quantizer.codebook)


def test_adapt_gives_the_variance_of_the_dataset(digits):
    model = VQVAE(num_embeddings=8)
    model.adapt(digits.x_train, "data")
    assert model.data_variance == digits.variance


def test_adapt_changes_the_loss_of_a_model_that_was_compiled_and_used(tiny_vqvae, images):
    model = tiny_vqvae()
    model.compile(keras.optimizers.SGD(0.0))
    model.evaluate(images, verbose=0)
    model.fit(images, verbose=0)
    model.adapt(images)
    expected = np.mean((images - model.predict(images, verbose=0)) ** 2) / np.var(images)
    found = model.evaluate(images, verbose=0, return_dict=True)["reconstruction_loss"]
    assert found == pytest.approx(expected, rel=1e-4)
    assert model.fit(images, verbose=0).history["reconstruction_loss"][0] == pytest.approx(expected, rel=1e-4)


def test_adapt_starts_from_a_sample_of_many_images(tiny_vqvae, images, monkeypatch):
    monkeypatch.setattr(vqlib.autoencoder, "IMAGES_TO_ADAPT_TO", 12)
    model, twin = tiny_vqvae(), tiny_vqvae()
    model.adapt(images, seed=1)
    twin.initialize_codebook(images[np.random.default_rng(1).choice(20, 12, replace=False)], seed=1)
    np.testing.assert_array_equal(model.quantizer.codebook, twin.quantizer.codebook)
    assert model.data_variance == float(np.var(images, dtype="float64"))


def test_adapt_of_a_model_without_a_codebook_takes_the_variance(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=vqlib.FiniteScalarQuantizer((4, 2)))
    model.adapt(images)
    assert model.data_variance == float(np.var(images, dtype="float64"))


def test_adapt_refuses_images_without_variance(tiny_vqvae):
    with pytest.raises(ValueError, match="images must not all be of one colour"):
        tiny_vqvae().adapt(np.zeros((10, 8, 8, 1), "float32"))


def test_adapt_refuses_no_images(tiny_vqvae, images):
    with pytest.raises(ValueError, match="There are no images to adapt to"):
        tiny_vqvae().adapt(images[:0])


def nan_at_the_last_level(model):
    last = getattr(model, "bottom_encoder", None) or model.encoder
    last.get_layer("to_embedding").bias.assign(np.full(4, np.nan))


@pytest.mark.parametrize(
    ("break_it", "number", "method", "message"),
    [
        (None, 20, "bogus", r'method must be "kmeans" or "data", but \'bogus\' was given'),
        (None, 2, "kmeans", r"40 codes need at least as many vectors to start from; 32 were given"),
        (nan_at_the_last_level, 20, "data", r"encoder makes NaN or infinity of these images|vectors contain NaN"),
    ],
    ids=["method", "too few", "NaN"],
)
@pytest.mark.parametrize("kind", [VQVAE, vqlib.VQVAE2])
@pytest.mark.parametrize("use", ["adapt", "initialize_codebook"])
def test_a_refused_start_leaves_the_model_as_it_was(use, kind, break_it, number, method, message, images):
    model = kind((8, 8, 1), 40 if kind is VQVAE else (4, 40), 4, filters=(4, 4), **SECOND_LEVEL_OF_16[kind])
    if break_it is not None:
        break_it(model)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        getattr(model, use)(images[:number], method)
    assert model.data_variance == 1
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_of_many_vectors_the_codebook_starts_from_a_sample_whatever_the_batches(make, images, monkeypatch, request):
    monkeypatch.setattr(vqlib.autoencoder, "VECTORS_TO_START_FROM", 70)
    model, twin = request.getfixturevalue(make)(), request.getfixturevalue(make)()
    given = []
    quantizer = model.levels[-1].quantizer
    monkeypatch.setattr(type(quantizer), "initialize", lambda self, vectors, *_: given.append(np.asarray(vectors)))
    model.initialize_codebook(images, seed=5)
    twin.initialize_codebook(images, seed=5, batch_size=3)
    whole = np.reshape(model._outputs_for(images, len(model.levels) - 1), (-1, 4))
    drawn = np.sort(np.random.default_rng(5).choice(len(whole), 70, replace=False))
    of_model, of_twin = given[: len(given) // 2][-1], given[-1]
    np.testing.assert_allclose(of_model, whole[drawn], atol=1e-6)
    np.testing.assert_allclose(of_twin, of_model, atol=1e-6)


# Levels


@pytest.mark.parametrize(
    ("make", "names"), [("tiny_vqvae", ["only"]), ("tiny_vqvae2", ["top", "bottom"])], ids=["one", "two"]
)
def test_code_can_be_written_for_one_level_and_for_two(make, names, images, request):
    model = request.getfixturevalue(make)()
    codes = model.encode(images)
    grids = codes if isinstance(codes, tuple) else (codes,)
    assert [level.name for level in model.levels] == names
    for level, grid in zip(model.levels, grids, strict=True):
        assert grid.shape == (20, *level.code_shape)
        assert grid.max() < level.quantizer.num_embeddings
    metrics = [metric.name for metric in model.metrics]
    assert [metric.name for level in model.levels for metric in level.metrics.values()] == metrics[-len(names) * 4 :]


# Memory


def test_batches_are_smaller_for_larger_pictures_and_as_large_as_ever_for_small_ones():
    def sizes(model):
        return (
            _batches.batch_size_for(model._bytes_of_encoding()),
            _batches.batch_size_for(_batches.bytes_of_activations(model.decoder)),
        )

    assert sizes(VQVAE()) == sizes(vqlib.VQVAE2()) == (1024, 1024)
    assert max(sizes(VQVAE((256, 256, 3), 512))) < 50
    assert max(sizes(vqlib.VQVAE2((256, 256, 3)))) < 130
    assert min(sizes(VQVAE((4096, 4096, 3)))) == 1


@keras.saving.register_keras_serializable("vqlib-tests")
class OwnEncoder(keras.Model):
    """A network written as a class, of whose layers Keras knows no shape."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(4, 3, strides=4, padding="same")

    def call(self, images):
        return self.conv(images)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable("vqlib-tests")
class OwnDecoder(OwnEncoder):
    """The same for the way back."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2DTranspose(3, 3, strides=4, padding="same")


def test_batches_of_networks_of_unknown_shapes_are_smaller_for_larger_pictures():
    small = VQVAE((28, 28, 1), encoder=OwnEncoder(), embedding_dim=4)
    large = VQVAE((256, 256, 3), encoder=OwnEncoder(), decoder=OwnDecoder(), embedding_dim=4)
    assert _batches.batch_size_for(small._bytes_of_encoding()) == 1024
    assert _batches.batch_size_for(large._bytes_of_encoding()) <= 32
    assert _batches.batch_size_for(large._bytes_of_decoding()) <= 32


def test_adapt_needs_no_copy_of_the_images(monkeypatch):
    monkeypatch.setattr(_batches, "VALUES_AT_ONCE", 5000)
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 32, 32, 1)).astype("float32")
    model = VQVAE((32, 32, 1), quantizer=vqlib.FiniteScalarQuantizer((4, 2)))
    model.adapt(images[:10])
    tracemalloc.start()
    try:
        model.adapt(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < images.nbytes / 10
    assert model.data_variance == float(np.var(images, dtype="float64"))


def test_memory_of_encoding_decoding_and_of_the_codebooks_start_does_not_grow_with_the_pictures():
    pytest.importorskip("resource", reason="peak memory is read with the module resource, which only Unix has")
    script = """
        import resource, sys
        import numpy as np
        import vqlib
        from vqlib import _batches

        def peak():  # bytes; Linux counts in KiB, macOS in bytes
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

        _batches.BYTES_PER_BATCH = 2**26
        model = vqlib.VQVAE((256, 256, 3), 8, 4)
        images = np.random.default_rng(0).uniform(-0.5, 0.5, (48, 256, 256, 3)).astype("float32")
        model.decode(model.encode(images[:1]))
        before = peak()
        codes = model.encode(images)
        model.initialize_codebook(images, "data")
        model.decode(codes)
        print(peak() - before)
    """
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 0.35e9  # with all images at once 0.7e9


@pytest.mark.parametrize("size", [0, -1, 2.0, "8"])
@pytest.mark.parametrize("method", ["encode", "initialize_codebook"])
def test_a_batch_size_below_one_is_refused(tiny_vqvae, images, method, size):
    with pytest.raises(ValueError, match=rf"batch_size must be an integer of at least 1, but {size!r} was given"):
        getattr(tiny_vqvae(), method)(images, batch_size=size)


# A training that diverged


@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_of_which_the_encoder_makes_no_number_have_no_codes(make, value, images, request):
    model = request.getfixturevalue(make)()
    model.encode(images)
    last = getattr(model, "bottom_encoder", None) or model.encoder
    last.get_layer("to_embedding").bias.assign(np.full(4, value))
    with pytest.raises(ValueError, match=r"encoder makes NaN or infinity of these images.*its training has diverged"):
        model.encode(images)


# Signatures


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        (VQVAE, {"num_embeddings": "128", "embedding_dim": "16", "beta": "0.25"}),
        (vqlib.VQVAE2, {"num_embeddings": "(128, 8)", "embedding_dim": "16", "beta": "0.25"}),
    ],
)
def test_signatures_show_the_defaults(kind, defaults):
    parameters = inspect.signature(kind).parameters
    assert {name: repr(parameters[name].default) for name in defaults} == defaults


# Another quantizer


def test_another_quantizer_plugs_in(tiny_vqvae, images, tmp_path):
    model = tiny_vqvae(quantizer=RoundingQuantizer(3))
    assert (model.num_embeddings, model.embedding_dim) == (8, 3)
    before = np.array(model.encoder.weights[0])
    model.compile("adam")
    history = model.fit(images, validation_data=images, batch_size=8, epochs=2, verbose=0).history
    metrics = ("loss", "reconstruction_loss", "perplexity", "codes_used")
    assert set(history) == {f"{prefix}{name}" for name in metrics for prefix in ("", "val_")}
    counts = vqlib.metrics.code_counts(model.encode(images), 8)
    found = model.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    assert found["codes_used"] == np.count_nonzero(counts) > 1
    assert found["perplexity"] == pytest.approx(vqlib.metrics.perplexity(counts), rel=1e-5)
    assert history["loss"] == pytest.approx(history["reconstruction_loss"], rel=1e-5)
    assert not np.array_equal(np.asarray(model.encoder.weights[0]), before)
    codes = model.encode(images)
    np.testing.assert_array_equal(codes, np.sum((np.asarray(model.encoder(images)) > 0) * [1, 2, 4], axis=-1))
    np.testing.assert_allclose(model.decode(codes), np.clip(model(images), -0.5, 0.5), atol=1e-6)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras").encode(images), codes)


def test_prior_takes_codes_of_any_quantizer(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=RoundingQuantizer(3))
    prior = vqlib.PixelCNN(model.code_shape, model.num_embeddings, filters=4)
    prior.compile("adam", run_eagerly=True)
    prior.fit(model.encode(images), verbose=0)
    assert model.decode(vqlib.sample(prior, 2)).shape == (2, 8, 8, 1)


@pytest.mark.parametrize("given", [{"num_embeddings": 128}, {"embedding_dim": 16}, {"beta": 0.25}], ids=str)
def test_quantizer_and_its_sizes_together_are_refused_also_where_they_are_the_defaults(given):
    with pytest.raises(ValueError, match="Give either quantizer, or num_embeddings, embedding_dim and beta"):
        VQVAE(**given, quantizer=VectorQuantizer(8, 4))


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        ("ema", "but 'ema' is no layer"),
        (VectorQuantizer, "but <class .*> is no layer"),
        (keras.layers.Dense(3), "lacks encode, decode, num_embeddings, embedding_dim"),
    ],
    ids=["name", "class", "another layer"],
)
def test_what_is_no_quantizer_is_refused(quantizer, message):
    with pytest.raises(TypeError, match=rf"quantizer must be a layer with encode, decode.*{message}"):
        VQVAE(quantizer=quantizer)


def test_numbers_of_numpy_are_numbers():
    model = VQVAE((8, 8, 1), np.int64(8), np.int32(4), filters=np.array([3]), strides=np.int64(2))
    assert json.loads(json.dumps(model.get_config()))["strides"] == 2
    assert model.code_shape == (4, 4)


# Bad input

USES = {
    "encode": lambda model, images: model.encode(images),
    "fit": lambda model, images: model.fit(images, verbose=0),
    "validation": lambda model, images: model.fit(np.zeros((4, 8, 8, 1), "float32"), validation_data=images, verbose=0),
    "evaluate": lambda model, images: model.evaluate(images, verbose=0),
    "predict": lambda model, images: model.predict(images, verbose=0),
    "initialize_codebook": lambda model, images: model.initialize_codebook(images),
}


@pytest.fixture(scope="module", params=["tiny_vqvae", "tiny_vqvae2"])
def strict_model(request):
    """A model of each class, to which no test hands anything that it takes."""
    model = request.getfixturevalue(request.param)()
    model.compile("adam")
    return model


@pytest.fixture(params=USES)
def use(request, strict_model):
    """Each way to hand images to a model."""
    return lambda images: USES[request.param](strict_model, images)


@pytest.mark.parametrize("shape", [(8, 8), (20, 8, 8), (1, 20, 8, 8, 1)], ids=str)
def test_images_of_wrong_rank_are_refused(use, shape):
    with pytest.raises(ValueError, match=r"must have rank 4, \(batch, height, width, channels\), but have shape"):
        use(np.zeros(shape, "float32"))


def test_images_of_wrong_size_are_refused(use):
    with pytest.raises(ValueError, match=r"must be 8 x 8, but have shape \(20, 8, 9, 1\)"):
        use(np.zeros((20, 8, 9, 1), "float32"))


def test_images_with_wrong_channels_are_refused(use):
    with pytest.raises(ValueError, match=r"must have 1 channel\(s\) on the last axis, but have shape \(20, 8, 8, 3\)"):
        use(np.zeros((20, 8, 8, 3), "float32"))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_images_of_wrong_dtype_are_refused(use, dtype):
    with pytest.raises(TypeError, match=rf"must be floating point, but are {dtype}\. Convert: images\.astype"):
        use(np.zeros((20, 8, 8, 1), dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_with_nan_or_infinity_are_refused(use, images, value):
    images[3, 0, 0, 0] = images[7, 1, 1, 0] = images[7, 2, 2, 0] = value
    with pytest.raises(ValueError, match=r"contain NaN or infinity, in 2 of 20 images"):
        use(images)


def test_images_in_0_to_255_are_refused(use, images):
    with pytest.raises(ValueError, match=r"must lie in \[-0.5, 0.5\], but lie in .*255\]\. .*images / 255 - 0.5"):
        use(np.round((images - images.min()) / (images.max() - images.min()) * 255))


def test_images_in_0_to_1_are_refused(use, images):
    with pytest.raises(ValueError, match=r"must lie in \[-0.5, 0.5\], but lie in .*in \[0, 1\]: images - 0.5"):
        use(images + 0.5)


def test_validation_images_in_a_tuple_are_checked(tiny_vqvae, images):
    model = tiny_vqvae()
    model.compile("adam")
    with pytest.raises(ValueError, match=r"images to validate on must lie in \[-0.5, 0.5\]"):
        model.fit(images, validation_data=(images + 0.5, images), verbose=0)


@pytest.mark.parametrize(("codes", "found"), [(8, "8..8"), (-1, "-1..-1")])
def test_codes_out_of_range_are_refused(tiny_vqvae, codes, found):
    with pytest.raises(ValueError, match=rf"codes must lie in 0..7 \(num_embeddings=8\), but lie in {found}"):
        tiny_vqvae().decode(np.full((2, 4, 4), codes))


def test_codes_that_are_not_integers_are_refused(tiny_vqvae):
    with pytest.raises(TypeError, match=r"codes must be integers \(code indices\), but are float64"):
        tiny_vqvae().decode(np.zeros((2, 4, 4)))


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 5), (2, 16), (2, 4, 4, 1)], ids=str)
def test_code_grid_of_wrong_shape_is_refused(tiny_vqvae, shape):
    with pytest.raises(ValueError, match=r"codes must have shape \(batch, 4, 4\), but have shape"):
        tiny_vqvae().decode(np.zeros(shape, "int32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (28, 28)}, r"image_shape must be \(height, width, channels\), but \(28, 28\) was given"),
        ({"image_shape": (28, 0, 1)}, r"entry of image_shape must be an integer of at least 1, but 0"),
        ({"image_shape": (30, 28, 1)}, r"divisible by 4, the product of the strides, but image_shape is \(30, 28, 1\)"),
        ({"filters": 64}, r"filters must hold a number for each strided layer, for example \(32, 64\), but 64 was"),
        ({"filters": (32, 0)}, r"entry of filters and strides must be an integer of at least 1, but 0"),
        ({"strides": 2.0}, r"entry of filters and strides must be an integer of at least 1, but 2.0"),
        ({"strides": (2, 2.0)}, r"entry of filters and strides must be an integer of at least 1, but 2.0"),
        ({"strides": (2, 2, 1)}, r"strides must be .*one for each entry of filters"),
        ({"num_embeddings": 0}, r"num_embeddings must be an integer of at least 1, but 0 was given"),
        ({"embedding_dim": -1}, r"embedding_dim must be an integer of at least 1, but -1 was given"),
        ({"beta": -1}, r"beta must be at least 0, but -1 was given"),
        ({"data_variance": 0.0}, r"data_variance must be above 0, but 0.0 was given"),
        ({"data_variance": float("nan")}, r"data_variance must be above 0, but nan was given"),
        ({"data_variance": None}, r"data_variance must be above 0, but None was given. It is one number, the variance"),
        ({"data_variance": np.ones(3)}, r"data_variance must be above 0, but array\(\[1., 1., 1.\]\) was given"),
        ({"image_shape": 32}, r"image_shape must be \(height, width, channels\), but 32 was given"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VQVAE(**arguments)

"""VQ-VAE-2: two levels of codes, what depends on what, its training, and the way to disk and back."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import layers, ops
from sklearn.cluster import KMeans
from test_autoencoder import RoundingQuantizer

import vqlib
from vqlib import VQVAE, VQVAE2, VectorQuantizer, checkpoints

QUANTIZER_METRICS = ("codebook_loss", "commitment_loss", "perplexity", "codes_used")
METRICS = ("reconstruction_loss", *(f"{level}_{name}" for level in ("top", "bottom") for name in QUANTIZER_METRICS))


@pytest.fixture
def model(tiny_vqvae2, images):
    """A VQVAE2 with codebooks that k-means started, so that many codes are in use."""
    model = tiny_vqvae2(data_variance=0.08)
    model.initialize_codebook(images)
    return model


@pytest.fixture
def trained(model, images):
    """The same after a few steps, with every weight off its start."""
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)  # for these few steps faster than compiling
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    return model


def multiply_adds(network):
    """Return the multiply-adds of a network's convolutions, an image."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer)
        elif isinstance(layer, layers.Conv2DTranspose):  # each input is spread by the kernel
            total += np.prod(layer.input.shape[1:3]) * np.prod(layer.kernel.shape)
        elif isinstance(layer, layers.Conv2D):
            total += np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape)
    return int(total)


# Architecture


def test_parameters_are_those_of_the_docstring_and_no_more_than_vqvaes():
    model = VQVAE2()
    parts = {"stem": 320, "top_encoder": 19_536, "bottom_encoder": 5_680, "decoder": 21_105}
    assert {name: getattr(model, name).count_params() for name in parts} == parts
    assert [quantizer.count_params() for quantizer in model.quantizers] == [128 * 16, 8 * 16]
    assert model.count_params() == 48_817 <= VQVAE().count_params()
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 48_817


def test_multiply_adds_are_those_of_the_docstring():
    two, one = VQVAE2(), VQVAE()
    search = 49 * 128 * 16
    total = sum(map(multiply_adds, (two.stem, two.top_encoder, two.bottom_encoder, two.decoder)))
    assert round((total + search + 196 * 8 * 16) / 1e6, 1) == 5.5
    assert round((multiply_adds(one.encoder) + multiply_adds(one.decoder) + search) / 1e6, 1) == 5.4


def test_defaults_are_those_of_the_design():
    model = VQVAE2()
    assert (model.image_shape, model.code_shapes) == ((28, 28, 1), ((7, 7), (14, 14)))
    assert model.num_embeddings == (128, 8)
    assert [(each.embedding_dim, each.beta) for each in model.quantizers] == [(16, 0.25)] * 2


def test_one_number_of_embeddings_is_for_both_levels():
    assert VQVAE2((8, 8, 1), 9).num_embeddings == (9, 9)


def test_other_image_shapes(tiny_vqvae2, rng):
    model = tiny_vqvae2(image_shape=(12, 20, 3), filters=(3, 7))
    images = rng.uniform(-0.5, 0.5, size=(4, 12, 20, 3)).astype("float32")
    assert model(images).shape == images.shape
    top, bottom = model.encode(images)
    assert (top.shape, bottom.shape) == ((4, 3, 5), (4, 6, 10))
    assert model.decode(top, bottom).shape == images.shape
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.fit(images, verbose=0).history["loss"][0])


def test_all_layers_are_rectified_but_the_last_of_each_network_and_the_enlarged_top(model):
    networks = (model.stem, model.top_encoder, model.bottom_encoder, model.decoder, model.decoder.get_layer("decoder"))
    convolutions = [layer for each in networks for layer in each.layers if hasattr(layer, "kernel_size")]
    by_activation = {keras.activations.relu: set(), keras.activations.linear: set()}
    for layer in convolutions:
        by_activation[layer.activation].add(layer.name)
    assert list(by_activation.values()) == [
        {"down", "down_0", "decode_top", "up_0", "up_1"},
        {"to_embedding", "enlarge_top", "to_pixels"},
    ]


# What depends on what


def test_bottom_encoder_sees_the_quantized_top(model, images):
    top, bottom = model.quantizers
    features = model.stem(images)
    z_top = model.top_encoder(features)
    top_codes, bottom_codes = model.encode(images)
    np.testing.assert_array_equal(top_codes, top.encode(z_top))
    seeing_quantized = bottom.encode(model.bottom_encoder([features, top.decode(top_codes)]))
    np.testing.assert_array_equal(bottom_codes, seeing_quantized)
    assert not np.array_equal(seeing_quantized, bottom.encode(model.bottom_encoder([features, z_top])))


def test_bottom_codes_change_with_the_top_codebook_and_top_codes_not_with_the_bottom(model, images):
    top, bottom = model.quantizers
    top_codes, bottom_codes = model.encode(images)
    assert len(np.unique(top_codes)) > 2
    bottom.codebook.assign(bottom.codebook[::-1])
    np.testing.assert_array_equal(model.encode(images)[0], top_codes)
    bottom.codebook.assign(bottom.codebook[::-1])
    top.codebook.assign(top.codebook[::-1])
    reversed_top, changed_bottom = model.encode(images)
    np.testing.assert_array_equal(reversed_top, 5 - top_codes)  # the same entries under other numbers
    np.testing.assert_array_equal(changed_bottom, bottom_codes)
    top.codebook.assign(top.codebook + 3.0)
    assert np.mean(model.encode(images)[1] != bottom_codes) > 0.1


def test_bottom_loss_reaches_the_top_encoder_straight_through(model, images):
    def bottom_input():
        features = model.stem(images)
        top = model.quantizers[0](model.top_encoder(ops.stop_gradient(features)))
        return ops.sum(model.bottom_encoder([ops.stop_gradient(features), top]) ** 2)

    for gradient in gradients(bottom_input, variables=model.top_encoder.trainable_variables):
        assert np.abs(gradient).max() > 0


def test_decoder_paints_from_both_levels_and_only_nearby(model, images):
    top, bottom = (codes[:1] for codes in model.encode(images))
    image = model.decode(top, bottom)[0]
    other_top, other_bottom = top.copy(), bottom.copy()
    other_top[0, 0, 0], other_bottom[0, 0, 0] = (top[0, 0, 0] + 1) % 6, (bottom[0, 0, 0] + 1) % 8
    of_top = model.decode(other_top, bottom)[0] != image
    of_bottom = model.decode(top, other_bottom)[0] != image
    assert of_top[0, 0].all()
    assert of_bottom[0, 0].all()
    assert 0 < of_bottom.sum() < of_top.sum() <= of_top.size
    assert not of_bottom[6:].any()
    assert not of_bottom[:, 6:].any()


# Codes and images


def test_reconstruction_is_decode_of_encode(trained, images):
    reconstructions = np.asarray(trained(images))
    np.testing.assert_allclose(trained.decode(*trained.encode(images)), reconstructions, atol=1e-5)
    np.testing.assert_allclose(trained.predict(images, verbose=0), reconstructions, atol=1e-5)


def test_decode_takes_what_encode_gave(trained, images):
    codes = trained.encode(images)
    np.testing.assert_array_equal(trained.decode(codes), trained.decode(*codes))
    np.testing.assert_array_equal(trained.decode(list(codes)), trained.decode(*codes))


@pytest.mark.parametrize("codes", [np.zeros((2, 2, 2), int), (np.zeros((2, 2, 2), int),)], ids=["top", "a single one"])
def test_codes_of_one_level_alone_are_refused(tiny_vqvae2, codes):
    with pytest.raises(TypeError, match=r"decode takes the codes of both levels: decode\(top, bottom\), or"):
        tiny_vqvae2().decode(codes)


def test_codes_are_int32_top_first_and_images_float32(trained, images):
    top, bottom = trained.encode(images)
    assert (top.shape, bottom.shape) == ((20, 2, 2), (20, 4, 4))
    decoded = trained.decode(top.astype("int64"), bottom.astype("uint8"))
    for array, dtype in ((top, np.int32), (bottom, np.int32), (decoded, np.float32)):
        assert isinstance(array, np.ndarray)
        assert array.dtype == dtype


def test_encode_and_decode_work_batch_by_batch(trained, images):
    codes = trained.encode(images)
    for found, expected in zip(trained.encode(images, batch_size=7), codes, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(trained.decode(codes, batch_size=7), trained.decode(codes), atol=1e-6)


def test_no_images_have_no_codes(trained):
    top, bottom = trained.encode(np.zeros((0, 8, 8, 1), "float32"))
    assert (top.shape, bottom.shape) == ((0, 2, 2), (0, 4, 4))
    assert (top.dtype, bottom.dtype) == ("int32", "int32")
    assert trained.decode(top, bottom).shape == (0, 8, 8, 1)


def test_top_codes_can_be_swapped_between_images(trained, images):
    top, bottom = trained.encode(images)
    swapped = trained.decode(top[::-1], bottom)
    assert swapped.shape == images.shape
    assert not np.allclose(swapped, trained.decode(top, bottom))


# Training


def test_every_part_moves_after_one_step(tiny_vqvae2, images):
    model = tiny_vqvae2()
    model.compile("sgd")
    before = [np.array(v) for v in model.trainable_variables]
    model.fit(images, batch_size=20, epochs=1, verbose=0)
    assert {"top_quantizer/codebook", "bottom_quantizer/codebook"} <= {v.path for v in model.trainable_variables}
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(np.asarray(variable), old), variable.path


def test_moving_averages_of_both_levels_move_in_fit_but_not_in_evaluate(tiny_vqvae2, images):
    model = tiny_vqvae2(quantizers=[vqlib.EMAVectorQuantizer(8, 4), vqlib.EMAVectorQuantizer(8, 4)])
    before = [np.array(quantizer.codebook) for quantizer in model.quantizers]
    model.compile("adam")
    model.evaluate(images, verbose=0)
    np.testing.assert_array_equal([quantizer.codebook for quantizer in model.quantizers], before)
    model.fit(images, verbose=0)
    for quantizer, start in zip(model.quantizers, before, strict=True):
        assert np.abs(np.asarray(quantizer.codebook) - start).max() > 1e-5


def test_training_lowers_the_loss(digits):
    keras.utils.set_random_seed(0)
    model = VQVAE2(num_embeddings=16, embedding_dim=4, filters=(8, 8), data_variance=digits.variance)
    model.initialize_codebook(digits.x_train[:64])
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(digits.x_train[:256], batch_size=32, epochs=4, verbose=0).history
    assert history["reconstruction_loss"][-1] < 0.6 * history["reconstruction_loss"][0]


def test_fit_with_plain_compile_reports_every_metric_under_its_levels_name(tiny_vqvae2, images):
    model = tiny_vqvae2()
    model.compile("adam")
    history = model.fit(images, validation_data=images[:5], batch_size=8, epochs=2, verbose=0).history
    assert set(history) == {f"{prefix}{name}" for name in ("loss", *METRICS) for prefix in ("", "val_")}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in history.values())


def test_gradient_is_that_of_the_five_terms(trained, images):
    # By hand, with the chosen codes held fixed: reconstruction, and for each level codebook and commitment loss.
    codes = trained.encode(images)

    def quantize(level, z):
        e = ops.take(trained.quantizers[level].codebook, codes[level], axis=0)
        codebook_loss, commitment_loss = (
            ops.mean((ops.stop_gradient(z) - e) ** 2),
            ops.mean((z - ops.stop_gradient(e)) ** 2),
        )
        return z + ops.stop_gradient(e - z), codebook_loss + 0.25 * commitment_loss

    def loss():
        features = trained.stem(images)
        top, top_loss = quantize(0, trained.top_encoder(features))
        bottom, bottom_loss = quantize(1, trained.bottom_encoder([features, top]))
        return ops.mean((images - trained.decoder([top, bottom])) ** 2) / 0.08 + top_loss + bottom_loss

    expected = gradients(loss, variables=trained.trainable_variables)
    before = [np.array(v) for v in trained.trainable_variables]
    trained.compile(keras.optimizers.SGD(1.0))
    trained.fit(images, batch_size=20, verbose=0)
    for variable, old, gradient in zip(trained.trainable_variables, before, expected, strict=True):
        np.testing.assert_allclose(old - np.asarray(variable), gradient, rtol=1e-3, atol=1e-5, err_msg=variable.path)


def test_metrics_run_over_the_dataset_and_belong_to_their_level(trained, images):
    trained.compile("adam")
    images[16:] = np.sign(images[16:]) / 2  # a last smaller batch that is unlike the others
    found = trained.evaluate(images, batch_size=8, verbose=0, return_dict=True)

    top_codes, bottom_codes = trained.encode(images)
    top, bottom = trained.quantizers
    features = trained.stem(images)
    z_top = np.asarray(trained.top_encoder(features))
    z_bottom = np.asarray(trained.bottom_encoder([features, top.decode(top_codes)]))
    error = np.mean((images - trained.predict(images, verbose=0).astype("float64")) ** 2)
    expected = {"reconstruction_loss": error / 0.08}
    for level, quantizer, z, codes in (("top", top, z_top, top_codes), ("bottom", bottom, z_bottom, bottom_codes)):
        squared_gap = np.mean((z - np.asarray(quantizer.codebook)[codes]) ** 2)
        counts = vqlib.metrics.code_counts(codes, quantizer.num_embeddings)
        expected[f"{level}_codebook_loss"] = squared_gap
        expected[f"{level}_commitment_loss"] = 0.25 * squared_gap
        expected[f"{level}_perplexity"] = vqlib.metrics.perplexity(counts)
        expected[f"{level}_codes_used"] = np.count_nonzero(counts)
    losses = [value for name, value in expected.items() if name.endswith("_loss")]
    expected["loss"] = sum(losses)
    assert len(losses) == 5
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    named = trained.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    listed = trained.evaluate(images, batch_size=8, verbose=0)
    assert {name: float(value) for name, value in named.items()} == pytest.approx(found, rel=1e-5)
    assert sorted(map(float, listed)) == pytest.approx(sorted(found.values()), rel=1e-5)


def test_validation_metrics_are_those_of_evaluate(tiny_vqvae2, images):
    model = tiny_vqvae2(data_variance=0.08)
    model.compile("adam")
    history = model.fit(images[:16], validation_data=images[16:], batch_size=3, epochs=2, verbose=0).history
    found = model.evaluate(images[16:], batch_size=3, verbose=0, return_dict=True)
    for name, value in found.items():
        np.testing.assert_allclose(history[f"val_{name}"][-1], value, rtol=1e-5, err_msg=name)


def test_codebooks_start_at_the_k_means_centres_the_bottom_one_after_the_top_one(tiny_vqvae2, images):
    model = tiny_vqvae2()
    model.initialize_codebook(images, seed=3)
    features = model.stem(images)
    z_top = model.top_encoder(features)
    top = model.quantizers[0].decode(model.quantizers[0].encode(z_top))
    for quantizer, z in zip(model.quantizers, (z_top, model.bottom_encoder([features, top])), strict=True):
        vectors = np.reshape(ops.convert_to_numpy(z), (-1, 4))
        centres = KMeans(quantizer.num_embeddings, n_init=1, random_state=3).fit(vectors).cluster_centers_
        np.testing.assert_allclose(quantizer.codebook, centres, atol=1e-6)


def test_a_prior_takes_the_codes_of_each_level(trained, images):
    for level, codes in enumerate(trained.encode(images)):
        prior = vqlib.PixelCNN(trained.code_shapes[level], trained.num_embeddings[level], filters=4)
        prior.compile("adam", run_eagerly=True)
        assert np.isfinite(prior.fit(codes, verbose=0).history["loss"][0])


# Mixed precision


def test_mixed_precision_searches_in_float32_and_trains(mixed_bfloat16, model, images):
    features = model.stem(images)
    assert features.dtype == "bfloat16"
    top_codes, bottom_codes = model.encode(images)
    z_top = model.top_encoder(features)
    z_bottom = model.bottom_encoder([features, model.quantizers[0].decode(top_codes)])
    for z, codes, quantizer in zip((z_top, z_bottom), (top_codes, bottom_codes), model.quantizers, strict=True):
        assert z.dtype == "float32"
        gaps = np.asarray(z, "float64")[..., None, :] - np.asarray(quantizer.codebook)
        np.testing.assert_array_equal(codes, np.argmin(np.sum(gaps**2, axis=-1), axis=-1))
    assert model(images).dtype == "float32"
    before = [np.array(quantizer.codebook) for quantizer in model.quantizers]
    model.compile("adam")
    history = model.fit(images, validation_data=images, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    for quantizer, old in zip(model.quantizers, before, strict=True):
        assert quantizer.codebook.dtype == "float32"
        assert not np.array_equal(np.asarray(quantizer.codebook), old)


# To disk and back


def test_every_argument_survives_saving(tmp_path):
    model = VQVAE2((12, 16, 2), (9, 7), 5, beta=0.7, filters=(3, 4), data_variance=0.3)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert type(twin) is VQVAE2
    for name in ("image_shape", "num_embeddings", "filters", "data_variance", "code_shapes"):
        assert getattr(twin, name) == getattr(model, name), name
    assert [(each.embedding_dim, each.beta) for each in twin.quantizers] == [(5, 0.7)] * 2


def test_training_goes_on_after_loading(trained, images, tmp_path):
    trained.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    codes = trained.encode(images)
    for found, expected in zip(twin.encode(images), codes, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(twin.decode(*codes), trained.decode(*codes))
    for model in (trained, twin):
        model.fit(images, batch_size=8, shuffle=False, verbose=0)
    for first, second in zip(trained.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_checkpoint_holds_both_levels(trained, images, digits, tmp_path):
    checkpoints.save(trained, "small", data=digits, folder=tmp_path, seed=0, epochs=2, minutes=0.1, metrics={})
    loaded = vqlib.load_pretrained("small", tmp_path)
    assert type(loaded) is VQVAE2
    for found, expected in zip(loaded.encode(images), trained.encode(images), strict=True):
        np.testing.assert_array_equal(found, expected)


# Other quantizers


def test_other_quantizers_plug_in(tiny_vqvae2, images, tmp_path):
    model = tiny_vqvae2(quantizers=(VectorQuantizer(5, 6), RoundingQuantizer(3)))
    assert model.num_embeddings == (5, 8)
    model.compile("adam")
    history = model.fit(images, batch_size=8, verbose=0).history
    of_bottom = ("bottom_perplexity", "bottom_codes_used")
    assert set(history) == {"loss", "reconstruction_loss", *(f"top_{name}" for name in QUANTIZER_METRICS), *of_bottom}
    top, bottom = codes = model.encode(images)
    assert (top.max() < 5, bottom.max() < 8) == (True, True)
    np.testing.assert_allclose(model.decode(top, bottom), np.clip(model(images), -0.5, 0.5), atol=1e-5)
    model.save(tmp_path / "model.keras")
    for found, expected in zip(keras.saving.load_model(tmp_path / "model.keras").encode(images), codes, strict=True):
        np.testing.assert_array_equal(found, expected)


# Bad input; images are checked in test_autoencoder.py


@pytest.mark.parametrize(
    ("top", "bottom", "message"),
    [
        (np.full((2, 2, 2), 6), np.zeros((2, 4, 4), int), r"top codes must lie in 0..5 .*but lie in 6..6"),
        (np.zeros((2, 2, 2), int), np.full((2, 4, 4), 8), r"bottom codes must lie in 0..7 .*but lie in 8..8"),
        (np.zeros((2, 4, 4), int), np.zeros((2, 2, 2), int), r"top codes must have shape \(batch, 2, 2\)"),
        (np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int), r"bottom codes must have shape \(batch, 4, 4\)"),
        (np.zeros((1, 2, 2), int), np.zeros((3, 4, 4), int), r"must be of as many images, but are of 1 and of 3"),
    ],
    ids=["top range", "bottom range", "swapped", "bottom shape", "numbers"],
)
def test_bad_codes_are_refused(tiny_vqvae2, top, bottom, message):
    with pytest.raises(ValueError, match=message):
        tiny_vqvae2().decode(top, bottom)


def test_codes_that_are_not_integers_are_refused(tiny_vqvae2):
    with pytest.raises(TypeError, match=r"bottom codes must be integers \(code indices\), but are float64"):
        tiny_vqvae2().decode(np.zeros((2, 2, 2), int), np.zeros((2, 4, 4)))


SHARED = VectorQuantizer(8, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (28, 28)}, r"image_shape must be \(height, width, channels\), but \(28, 28\) was given"),
        ({"image_shape": (28, 0, 1)}, r"entry of image_shape must be an integer of at least 1, but 0"),
        ({"image_shape": (28, 30, 1)}, r"divisible by 4, .*but image_shape is \(28, 30, 1\)"),
        ({"filters": (32, 0)}, r"Each entry of filters must be an integer of at least 1, but 0"),
        ({"filters": (32, 32, 64)}, r"filters must be a pair, or one integer for both, but \(32, 32, 64\)"),
        ({"num_embeddings": (64,)}, r"num_embeddings must be a pair, or one integer for both, but \(64,\)"),
        ({"num_embeddings": 64.0}, r"num_embeddings must be an integer of at least 1, but 64.0 was given"),
        ({"num_embeddings": (64, 0)}, r"num_embeddings must be an integer of at least 1, but 0 was given"),
        ({"embedding_dim": 0}, r"embedding_dim must be an integer of at least 1, but 0 was given"),
        ({"beta": -1}, r"beta must be at least 0, but -1 was given"),
        ({"data_variance": 0.0}, r"data_variance must be above 0, but 0.0 was given"),
        ({"quantizers": [SHARED]}, r"quantizers must be two different layers, top and bottom"),
        ({"quantizers": [SHARED, SHARED]}, r"quantizers must be two different layers, top and bottom"),
        ({"quantizers": [SHARED, SHARED], "beta": 1}, r"Give either quantizers, or num_embeddings, embedding_dim and"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VQVAE2(**arguments)

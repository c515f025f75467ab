"""What Keras has not: sums of rows, functions compiled once, trainings that XLA compiles."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import VQVAE, _batches, sampling
from vqlib import _backend as backend
from vqlib.sampling import sample, sample_plainly

TENSORFLOW = keras.backend.backend() == "tensorflow"
tensorflow_only = pytest.mark.skipif(not TENSORFLOW, reason="counts the traces of tf.function")


# Sums of rows

OUTPUTS = {
    "each": [0, 1, 2, 3, 4, 5],
    "several": [0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 5],
    "gaps": [1, 1, 4],
    "only the first": [0, 0],
    "only the last": [5],
    "none": [],
}


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
def test_sums_of_rows_and_their_gradient_are_numpys(outputs, parts, rng, monkeypatch):
    monkeypatch.setattr(backend, "PARTS", parts)
    outputs = np.array(outputs, "int32")
    table = rng.normal(size=(9, 4)).astype("float32")
    for batch in (1, 2, 3, 4, 5):
        rows = rng.integers(9, size=(batch, len(outputs))).astype("int32")
        weights = rng.normal(size=(batch, 6, 4)).astype("float32")
        expected, slope = np.zeros((batch, 6, 4)), np.zeros((9, 4))
        for b in range(batch):
            np.add.at(expected[b], outputs, table[rows[b]])
            np.add.at(slope, rows[b], weights[b, outputs])

        def total(table, rows=rows, weights=weights):
            return ops.sum(backend.sum_of_rows(table, ops.convert_to_tensor(rows), outputs, 6) * weights)

        found = backend.sum_of_rows(ops.convert_to_tensor(table), ops.convert_to_tensor(rows), outputs, 6)
        assert tuple(found.shape) == (batch, 6, 4)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(*gradients(total, [table]), slope, atol=1e-5)


@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_fewer_outputs_than_parts_are_summed(num_outputs, rng):
    assert num_outputs < backend.PARTS
    table = rng.normal(size=(3, 2)).astype("float32")
    outputs = np.repeat(np.arange(num_outputs, dtype="int32"), 2)
    rows = rng.integers(3, size=(4, len(outputs))).astype("int32")
    found = backend.sum_of_rows(ops.convert_to_tensor(table), ops.convert_to_tensor(rows), outputs, num_outputs)
    np.testing.assert_allclose(found, table[rows].reshape(4, num_outputs, 2, 2).sum(axis=2), atol=1e-6)


# Compiled once


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_samplers_follow_weights_that_change(tiny_prior, draw):
    prior, other = (tiny_prior(seed, spread=1.5, num_residual_blocks=1) for seed in (1, 2))
    expected = draw(other, 20)
    before = draw(prior, 20)
    prior.set_weights(other.get_weights())
    np.testing.assert_array_equal(draw(prior, 20), expected)
    assert not np.array_equal(before, expected)


def test_encode_and_decode_follow_weights_that_change(tiny_vqvae, images):
    model, other = tiny_vqvae(0), tiny_vqvae(1)
    other.initialize_codebook(images)
    codes = other.encode(images)
    decoded = other.decode(codes)
    assert not np.array_equal(model.encode(images), codes)
    assert not np.allclose(model.decode(codes), decoded)
    model.set_weights(other.get_weights())
    np.testing.assert_array_equal(model.encode(images), codes)
    np.testing.assert_array_equal(model.decode(codes), decoded)


def test_each_model_keeps_functions_of_its_own(tiny_vqvae, images):
    one, other = tiny_vqvae(0), tiny_vqvae(1)
    codes = one.encode(images)
    other.encode(images)
    functions = [vars(model)["_compiled"][VQVAE._encode_batch] for model in (one, other)]
    assert functions[0] is not functions[1]
    np.testing.assert_array_equal(one.encode(images), codes)
    assert vars(one)["_compiled"][VQVAE._encode_batch] is functions[0]


@tensorflow_only
@pytest.mark.parametrize(("draw", "loop"), [(sample, "_incremental_loop"), (sample_plainly, "_plain_loop")])
def test_one_trace_serves_all_batch_sizes_seeds_temperatures_and_weights(tiny_prior, draw, loop, rng):
    prior = tiny_prior(num_residual_blocks=1)
    draw(prior, 3)
    draw(prior, 5, seed=8)
    draw(prior, 1, temperature=0.5)
    draw(prior, 1, temperature=2)
    prior.set_weights([0.5 * w for w in prior.get_weights()])
    draw(prior, codes=rng.integers(3, size=(6, 2, 2)), keep=np.eye(2, dtype=bool), temperature=np.float64(0.7))
    (function,) = vars(prior)["_compiled"].values()
    assert function is vars(prior)["_compiled"][getattr(sampling, loop)]
    assert function.experimental_get_tracing_count() == 1


@tensorflow_only
@pytest.mark.parametrize(("draw", "loop"), [(sample, "_incremental_loop"), (sample_plainly, "_plain_loop")])
def test_one_trace_serves_all_conditions(draw, loop, rng):
    prior = vqlib.GatedPixelCNN((2, 2), 3, filters=4, num_layers=2, condition_shape=(), num_conditions=4)
    draw(prior, 3, condition=np.array([0, 1, 3]))
    draw(prior, 1, condition=[2], seed=8, temperature=0.5)
    known, keep = rng.integers(3, size=(6, 2, 2)), np.eye(2, dtype=bool)
    draw(prior, codes=known, keep=keep, temperature=2, condition=rng.integers(4, size=6, dtype="uint8"))
    (function,) = vars(prior)["_compiled"].values()
    assert function is vars(prior)["_compiled"][getattr(sampling, loop)]
    assert function.experimental_get_tracing_count() == 1


@tensorflow_only
@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_one_trace_serves_all_images_and_codes(make, images, monkeypatch, request):
    model = request.getfixturevalue(make)()

    def decode_codes_of(images, dtype):
        codes = model.encode(images)
        grids = codes if isinstance(codes, tuple) else (codes,)
        model.decode(*(grid.astype(dtype) for grid in grids))

    for number in (20, 3, 1):
        decode_codes_of(images[:number], "int64")
    model.encode(images.astype("float64"))
    monkeypatch.setattr(_batches, "ROWS_PER_BATCH", 7)
    model.set_weights([0.5 * w for w in model.get_weights()])
    decode_codes_of(images, "int32")
    assert set(vars(model)["_compiled"]) == {type(model)._encode_batch, type(model)._decode_batch}
    assert [each.experimental_get_tracing_count() for each in vars(model)["_compiled"].values()] == [1, 1]


# Compiled by XLA


def history_and_weights(model, data, jit_compile):
    model.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
    history = model.fit(data, validation_data=data[:4], batch_size=8, shuffle=False, verbose=0).history
    return history, model.get_weights()


def assert_same_training(one, other):
    assert set(one[0]) == set(other[0])
    for name, values in one[0].items():
        np.testing.assert_allclose(values, other[0][name], rtol=1e-4, err_msg=name)
    for found, expected in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_training_of_an_autoencoder_that_xla_compiles_is_the_same(make, images, request):
    def train(jit_compile):
        model = request.getfixturevalue(make)(data_variance=0.08)
        model.initialize_codebook(images)
        return history_and_weights(model, images, jit_compile)

    assert_same_training(train(True), train(False))


def test_training_of_a_prior_that_xla_compiles_is_the_same(tiny_prior, rng):
    codes = rng.integers(5, size=(20, 3, 3)).astype("int32")

    def train(jit_compile):
        prior = tiny_prior(code_shape=(3, 3), num_embeddings=5, num_residual_blocks=1, num_pixelcnn_layers=0)
        return history_and_weights(prior, codes, jit_compile)

    assert_same_training(train(True), train(False))


@pytest.mark.parametrize("condition_shape", [None, (), (1, 3)], ids=str)
def test_training_of_a_gated_prior_that_xla_compiles_is_the_same(rng, condition_shape):
    codes = rng.integers(5, size=(20, 3, 3)).astype("int32")
    conditioned = {"condition_shape": condition_shape, "num_conditions": 4} if condition_shape is not None else {}

    def train(jit_compile):
        keras.utils.set_random_seed(0)
        prior = vqlib.GatedPixelCNN((3, 3), 5, filters=4, num_layers=2, **conditioned)
        data = codes if not conditioned else (codes, np.ones((20, *condition_shape), "int32"))
        prior.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
        history = prior.fit(data, batch_size=8, shuffle=False, verbose=0).history
        looks_up = {prior.network.get_layer(name).look_up for name in ("vertical_0", "horizontal_0")}
        assert looks_up == {backend.sparse_sums_pay() and not jit_compile}
        return history, prior.get_weights()

    assert_same_training(train(True), train(False))


def test_first_layer_looks_rows_up_where_xla_does_not_compile(tiny_prior, monkeypatch):
    monkeypatch.setattr(backend, "sparse_sums_pay", lambda: True)
    prior = tiny_prior()
    first = prior.network.get_layer("codes_masked")
    assert first.look_up
    for jit_compile, looks_up in [(True, False), (False, True), (True, False)]:
        prior.compile("adam", jit_compile=jit_compile)
        assert first.look_up == looks_up
    prior.compile("adam", None, None, None, None, False, 1, False)  # by position, as keras.Model.compile takes them
    assert first.look_up
    prior.compile("adam")
    assert first.look_up == (not prior.jit_compile)
    monkeypatch.setattr(backend, "sparse_sums_pay", lambda: False)
    prior.compile("adam", jit_compile=False)
    assert not first.look_up


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # Keras says so of any untrained model
@pytest.mark.parametrize("how", [{"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_how_a_prior_was_compiled_survives_saving(tiny_prior, rng, tmp_path, how):
    prior = tiny_prior()
    prior.compile(keras.optimizers.Adam(0.02), **how)
    prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    assert (twin.compiled, twin.jit_compile, twin.run_eagerly) == (True, prior.jit_compile, prior.run_eagerly)
    assert prior.jit_compile == ("jit_compile" in how)
    looks_up = [model.network.get_layer("codes_masked").look_up for model in (prior, twin)]
    assert looks_up == [backend.sparse_sums_pay() and not prior.jit_compile] * 2


@pytest.mark.skipif(not TENSORFLOW, reason="run_eagerly is TensorFlow's")
def test_training_of_a_prior_goes_on_after_loading(tiny_prior, rng, tmp_path):
    codes = rng.integers(3, size=(8, 2, 2)).astype("int32")
    prior = tiny_prior()
    prior.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    prior.fit(codes, batch_size=4, verbose=0)
    prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    for model in (prior, twin):  # with the same optimizer, its moments and its step
        model.fit(codes, batch_size=4, shuffle=False, verbose=0)
    assert int(twin.optimizer.iterations) == 4
    for found, expected in zip(twin.get_weights(), prior.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_prior_that_was_not_compiled_is_not_after_loading(tiny_prior, tmp_path):
    tiny_prior().save(tmp_path / "prior.keras")
    assert not keras.saving.load_model(tmp_path / "prior.keras").compiled
    assert isinstance(keras.saving.load_model(tmp_path / "prior.keras"), vqlib.PixelCNN)

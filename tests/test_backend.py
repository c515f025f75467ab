"""Functions compiled once, that serve all sizes and follow weights that change."""

import keras
import numpy as np
import pytest

import vqlib
from vqlib import _backend as backend
from vqlib.sampling import sample, sample_plainly

TENSORFLOW = keras.backend.backend() == "tensorflow"
tensorflow_only = pytest.mark.skipif(not TENSORFLOW, reason="JAX traces a function for each shape")


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_samplers_follow_weights_that_change(tiny_prior, draw):
    prior, other = (tiny_prior(seed, spread=1.5, num_residual_blocks=1) for seed in (1, 2))
    expected = draw(other, 20, seed=0)
    before = draw(prior, 20, seed=0)
    prior.set_weights(other.get_weights())
    np.testing.assert_array_equal(draw(prior, 20, seed=0), expected)
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
    expected = [np.asarray(model.quantizer.encode(model.encoder(images))) for model in (one, other)]
    for _ in range(2):  # the second time, what was kept
        for model, codes in zip((one, other), expected, strict=True):
            np.testing.assert_array_equal(model.encode(images), codes)
    assert not np.array_equal(*expected)


def test_function_is_compiled_once_for_its_name():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    vectors = keras.KerasTensor((None, 3), "float32")
    double = backend.compiled(model, "double", lambda x: 2 * model(x), vectors)
    assert backend.num_traces(model) == {}
    x = np.ones((4, 3), "float32")
    np.testing.assert_array_equal(double(x), 2 * np.asarray(model(x)))
    model.set_weights([w + 1 for w in model.get_weights()])
    np.testing.assert_array_equal(double(x), 2 * np.asarray(model(x)))
    assert backend.num_traces(model) == {"double": 1}
    assert backend.compiled(model, "double", lambda x: 3 * model(x), vectors) is double
    triple = backend.compiled(model, "triple", lambda x: 3 * model(x), vectors)
    np.testing.assert_array_equal(triple(x), 3 * np.asarray(model(x)))
    assert backend.num_traces(model) == {"double": 1, "triple": 1}
    assert backend.num_traces(keras.Sequential()) == {}


@tensorflow_only
@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_one_trace_serves_all_batch_sizes_seeds_temperatures_and_weights(tiny_prior, draw, rng):
    prior = tiny_prior(num_residual_blocks=1)
    draw(prior, 3)
    draw(prior, 5, seed=8)
    draw(prior, 1, temperature=0.5)
    draw(prior, 1, temperature=2)
    prior.set_weights([0.5 * w for w in prior.get_weights()])
    draw(prior, codes=rng.integers(3, size=(6, 2, 2)), keep=np.eye(2, dtype=bool), temperature=np.float64(0.7))
    assert backend.num_traces(prior) == {draw.__name__: 1}


@tensorflow_only
@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_one_trace_serves_all_conditions(draw, rng):
    prior = vqlib.GatedPixelCNN((2, 2), 3, filters=4, num_layers=2, condition_shape=(), num_conditions=4)
    draw(prior, 3, condition=np.array([0, 1, 3]))
    draw(prior, 1, condition=[2], seed=8, temperature=0.5)
    draw(prior, 2, condition=2)
    known, keep = rng.integers(3, size=(6, 2, 2)), np.eye(2, dtype=bool)
    draw(prior, codes=known, keep=keep, temperature=2, condition=rng.integers(4, size=6, dtype="uint8"))
    assert backend.num_traces(prior) == {draw.__name__: 1}


@tensorflow_only
@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_one_trace_serves_all_images_and_codes(make, images, request):
    model = request.getfixturevalue(make)()

    def decode_codes_of(images, dtype):
        codes = model.encode(images)
        grids = codes if isinstance(codes, tuple) else (codes,)
        model.decode(*(grid.astype(dtype) for grid in grids))

    for number in (20, 3, 1):
        decode_codes_of(images[:number], "int64")
    model.encode(images.astype("float64"))
    model.set_weights([0.5 * w for w in model.get_weights()])
    decode_codes_of(images, "int32")
    assert list(backend.num_traces(model).values()) == [1, 1]

"""Lookup-free quantization: signs for codes, and a loss of entropies that has all of them used."""

import itertools
import math

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

from vqlib import LookupFreeQuantizer
from vqlib import _backend as backend


def corners(d):
    """Return all entries, (2**d, d), the sign of the first entry changing fastest."""
    return np.array(list(itertools.product((-1, 1), repeat=d)))[:, ::-1]


def entropy(p):
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)


def probabilities(z, temperature):
    """Return the softmax of the distances to all corners, in float64: (N, K)."""
    logits = -np.sum((z.astype("float64")[:, None] - corners(z.shape[1])) ** 2, axis=-1) / temperature
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def entropy_loss(z, temperature):
    """Return the loss as its formula says, with a table of all probabilities."""
    p = probabilities(z, temperature)
    return entropy(p).mean() - entropy(p.mean(axis=0))


def vectors(n=40, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype("float32")


# Codes


@pytest.mark.parametrize("d", [1, 2, 5, 10])
def test_codes_are_numbered_by_their_signs(d):
    quantizer = LookupFreeQuantizer(d)
    assert (quantizer.num_embeddings, quantizer.embedding_dim) == (2**d, d)
    np.testing.assert_array_equal(quantizer.decode(np.arange(2**d)), corners(d))
    np.testing.assert_array_equal(quantizer.encode(corners(d).astype("float32")), np.arange(2**d))


def test_the_code_is_that_of_the_nearest_corner():
    z = vectors().reshape(2, 5, 4, 5)
    quantizer = LookupFreeQuantizer(5)
    nearest = np.argmin(((z[..., None, :] - corners(5)) ** 2).sum(axis=-1), axis=-1)
    codes = quantizer.encode(z)
    assert codes.dtype == "int32"
    np.testing.assert_array_equal(codes, nearest)
    np.testing.assert_array_equal(quantizer(z), np.where(z > 0, 1, -1))


def test_zero_is_negative():
    quantizer = LookupFreeQuantizer(3)
    z = np.array([[0.0, -0.0, 1e-30]], "float32")
    np.testing.assert_array_equal(quantizer.encode(z), [4])
    np.testing.assert_array_equal(quantizer(z), [[-1, -1, 1]])


def test_the_most_codes_that_can_be_named():
    quantizer = LookupFreeQuantizer(30, entropy_weight=0)
    assert quantizer.num_embeddings == 2**30
    z = np.array([np.ones(30), np.r_[-np.ones(29), 1]], "float32")
    np.testing.assert_array_equal(quantizer.encode(z), [2**30 - 1, 2**29])
    np.testing.assert_array_equal(quantizer.decode(np.array([2**30 - 1, 2**29])), z)


# Losses


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_the_entropy_loss_is_that_of_a_softmax_over_all_codes(d, temperature):
    z = vectors(d=d)
    quantizer = LookupFreeQuantizer(d, temperature=temperature)
    np.testing.assert_allclose(quantizer.entropy_loss(z), entropy_loss(z, temperature), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        quantizer.entropy_loss(z.reshape(2, 5, 4, d)), entropy_loss(z, temperature), rtol=1e-4, atol=1e-6
    )


def test_the_entropy_loss_by_hand():
    # The logits are log 3 and -log 3: the bit is set with probability 3/4, and 1/4.
    z = np.array([[math.log(3) / 4], [-math.log(3) / 4]], "float32")
    of_each = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    np.testing.assert_allclose(LookupFreeQuantizer(1).entropy_loss(z), of_each - math.log(2), rtol=1e-5)


def test_the_entropy_loss_is_least_where_all_codes_are_sure_and_in_equal_use():
    quantizer = LookupFreeQuantizer(4)
    all_codes = 50 * corners(4).astype("float32")
    np.testing.assert_allclose(quantizer.entropy_loss(all_codes), -4 * math.log(2), rtol=1e-5)
    np.testing.assert_allclose(quantizer.entropy_loss(all_codes[:1]), 0, atol=1e-6)
    np.testing.assert_allclose(quantizer.entropy_loss(np.zeros((7, 4), "float32")), 0, atol=1e-5)
    # Each bit is set in half of these, but two codes are all that they use.
    np.testing.assert_allclose(quantizer.entropy_loss(all_codes[[0, -1]]), -math.log(2), rtol=1e-5)


def test_the_entropy_loss_has_the_gradient_of_its_formula():
    z, step = vectors(n=6, d=3), 1e-5
    quantizer = LookupFreeQuantizer(3, temperature=2.0)
    (found,) = gradients(quantizer.entropy_loss, [z])
    expected = np.zeros(z.shape)
    for place in np.ndindex(z.shape):
        moved = np.zeros(z.shape)
        moved[place] = step
        high, low = (entropy_loss(z.astype("float64") + sign * moved, 2.0) for sign in (1, -1))
        expected[place] = (high - low) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-6, 30.0, 1e4])
def test_the_entropy_loss_of_very_small_and_large_entries_is_finite(size):
    z = size * corners(6).astype("float32")
    quantizer = LookupFreeQuantizer(6, temperature=0.01)
    assert np.isfinite(quantizer.entropy_loss(z))
    (found,) = gradients(quantizer.entropy_loss, [z])
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("beta", "entropy_weight"), [(0.25, 0.1), (0.0, 1.0), (2.0, 0.0)])
def test_losses_are_weighed_and_added(beta, entropy_weight):
    z = vectors()
    quantizer = LookupFreeQuantizer(5, beta, entropy_weight, temperature=2.0)
    quantized = quantizer(z, return_quantized=True)
    commitment = beta * np.mean((z - np.sign(z)) ** 2)
    of_entropy = entropy_weight * entropy_loss(z, 2.0)
    assert quantized.codebook_loss is None
    np.testing.assert_allclose(quantized.commitment_loss, commitment, rtol=1e-5)
    np.testing.assert_allclose(quantized.entropy_loss, of_entropy, rtol=1e-4)
    np.testing.assert_allclose(quantizer.losses, [commitment + of_entropy], rtol=1e-4)
    assert quantizer.weights == []


def test_z_gets_the_gradient_of_the_output_and_of_the_commitment_loss():
    z = vectors()
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    quantizer = LookupFreeQuantizer(5, beta=0.5, entropy_weight=0.0)
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)) + sum(quantizer.losses), [z])
    np.testing.assert_allclose(found, weights + 2 * 0.5 * (z - np.sign(z)) / z.size, rtol=1e-5, atol=1e-7)


def test_the_entropy_loss_brings_more_codes_into_use():
    used = {}
    for entropy_weight in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(512, 8)).astype("float32")
        layer = keras.layers.Dense(6, bias_initializer=keras.initializers.Constant(3.0))  # nearly all are positive
        quantizer = LookupFreeQuantizer(6, entropy_weight=entropy_weight)
        model = keras.Sequential([keras.Input((8,)), layer, quantizer])
        model.compile(keras.optimizers.Adam(0.05), lambda x, y: 0.0 * ops.sum(y))
        model.fit(x, x, batch_size=512, epochs=60, verbose=0)
        used[entropy_weight] = len(np.unique(quantizer.encode(layer(x))))
    assert used[0.0] < 40
    assert used[1.0] == 64


# In models


def test_a_model_reports_its_losses(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=LookupFreeQuantizer(3))
    model.compile("adam")
    history = model.fit(images, batch_size=len(images), verbose=0).history
    assert "codebook_loss" not in history
    parts = sum(history[name][0] for name in ("reconstruction_loss", "commitment_loss", "entropy_loss"))
    np.testing.assert_allclose(history["loss"][0], parts, rtol=1e-5)
    assert history["entropy_loss"][0] < 0


def test_bits_are_counted_in_float32_under_mixed_precision(mixed_bfloat16):
    z = ops.cast(vectors(), "bfloat16")
    quantizer = LookupFreeQuantizer(5)
    quantized = quantizer(z, return_quantized=True)
    expected = entropy_loss(np.asarray(ops.cast(z, "float32")), 1.0)
    np.testing.assert_allclose(quantized.entropy_loss, 0.1 * expected, rtol=1e-4)
    assert keras.backend.standardize_dtype(quantized.z_q.dtype) == "bfloat16"


def test_it_works_inside_a_compiled_function_with_unknown_batch_size():
    z = vectors(n=12)
    quantizer = LookupFreeQuantizer(5)

    def round_trip(vectors):
        codes = quantizer.encode(vectors)
        return codes, quantizer.decode(codes), quantizer(vectors), quantizer.entropy_loss(vectors)

    compiled = backend.compiled(quantizer, "round_trip", round_trip, keras.KerasTensor((None, None, 5), "float32"))
    codes, decoded, z_q, loss = compiled(z.reshape(3, 4, 5))
    np.testing.assert_array_equal(codes, quantizer.encode(z.reshape(3, 4, 5)))
    np.testing.assert_array_equal(decoded, np.sign(z).reshape(3, 4, 5))
    np.testing.assert_array_equal(z_q, decoded)
    np.testing.assert_allclose(loss, entropy_loss(z, 1.0), rtol=1e-4)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_dim": 0}, r"embedding_dim must be an integer of at least 1, but 0 was given"),
        ({"embedding_dim": 2.0}, r"embedding_dim must be an integer of at least 1, but 2.0 was given"),
        ({"embedding_dim": 31}, r"embedding_dim must be at most 30, but 31 was given"),
        ({"beta": -0.1}, r"beta must be at least 0, but -0.1 was given"),
        ({"entropy_weight": -1}, r"entropy_weight must be at least 0, but -1 was given"),
        ({"entropy_weight": math.nan}, r"entropy_weight must be at least 0, but nan was given"),
        ({"temperature": 0.0}, r"temperature must be above 0, but 0.0 was given"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LookupFreeQuantizer(**{"embedding_dim": 4, **arguments})


def test_wrong_vectors_and_codes_are_refused():
    quantizer = LookupFreeQuantizer(3)
    with pytest.raises(ValueError, match=r"last axis of z must have embedding_dim=3 entries, but z has shape"):
        quantizer(np.zeros((5, 4), "float32"))
    with pytest.raises(ValueError, match=r"z contains NaN or infinity"):
        quantizer.encode(np.full((1, 3), np.nan, "float32"))
    with pytest.raises(ValueError, match=r"codes must lie in 0..7 \(num_embeddings=8\), but lie in 0..8"):
        quantizer.decode(np.array([0, 8]))

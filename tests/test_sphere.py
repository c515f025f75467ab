"""Codebooks on the unit sphere: `normalize=True` of the quantizers whose entries learn by gradient or are averages."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import EMAVectorQuantizer, VectorQuantizer
from vqlib.quantizers import on_unit_sphere, rotation_trick

KINDS = [VectorQuantizer, EMAVectorQuantizer]
every_kind = pytest.mark.parametrize("kind", KINDS)


def unit(x):
    """Return vectors scaled to length 1, in float64."""
    x = np.asarray(x, "float64")
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def across(z):
    """Return the Jacobian of z / |z|, (N, D, D): what lies along z is taken out, and the rest divided by |z|."""
    u = unit(z)
    return (np.eye(z.shape[-1]) - u[:, :, None] * u[:, None, :]) / np.linalg.norm(z, axis=-1)[:, None, None]


def vectors_and_codebook(n=50, k=16, d=6, seed=0):
    """Return vectors and entries whose lengths differ, so that the nearest entry is not that of the largest cosine."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, d)) * generator.uniform(0.1, 5, size=(n, 1))
    codebook = generator.normal(size=(k, d)) * generator.uniform(0.1, 5, size=(k, 1))
    return z.astype("float32"), codebook.astype("float32")


def on_sphere(kind, codebook, **arguments):
    quantizer = kind(*codebook.shape, normalize=True, **arguments)
    quantizer.codebook.assign(codebook)
    return quantizer


def nearest(z, codebook):
    return np.argmax(unit(z) @ unit(codebook).T, axis=-1)


# Unit vectors


def test_unit_vectors_and_their_gradient():
    z, _ = vectors_and_codebook()
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    np.testing.assert_allclose(on_unit_sphere(z), unit(z), rtol=1e-5)
    (found,) = gradients(lambda z: ops.sum(weights * on_unit_sphere(z)), [z])
    np.testing.assert_allclose(found, np.einsum("nij,nj->ni", across(z), weights), rtol=1e-3, atol=1e-5)


def test_vectors_without_a_direction_stay_zero_and_get_no_gradient():
    z = np.array([[0, 0], [1e-13, 0], [3, 4]], "float32")
    np.testing.assert_allclose(on_unit_sphere(z), [[0, 0], [0, 0], [0.6, 0.8]], rtol=1e-6)
    (found,) = gradients(lambda z: ops.sum(on_unit_sphere(z)), [z])
    np.testing.assert_array_equal(found[:2], np.zeros((2, 2)))
    assert np.isfinite(found).all()


# The layer


@every_kind
def test_the_code_is_that_of_the_largest_cosine(kind):
    z, codebook = vectors_and_codebook()
    quantizer = on_sphere(kind, codebook)
    expected = nearest(z, codebook)
    assert (expected != np.argmin(((z[:, None] - codebook) ** 2).sum(-1), axis=1)).any()
    np.testing.assert_array_equal(quantizer.encode(z), expected)
    np.testing.assert_array_equal(quantizer.encode(1e-4 * z), expected)
    np.testing.assert_allclose(quantizer(z), unit(codebook)[expected], atol=1e-6)


@every_kind
def test_a_vector_without_a_direction_gets_the_first_code(kind):
    for seed in range(5):
        quantizer = on_sphere(kind, vectors_and_codebook(seed=seed)[1])
        np.testing.assert_array_equal(quantizer.encode(np.zeros((2, 6), "float32")), [0, 0])


@every_kind
def test_decode_gives_unit_vectors(kind):
    _, codebook = vectors_and_codebook()
    quantizer = on_sphere(kind, codebook)
    np.testing.assert_allclose(quantizer.decode(np.arange(16)), unit(codebook), rtol=1e-5)


@every_kind
def test_a_new_codebook_lies_on_the_sphere(kind):
    keras.utils.set_random_seed(0)
    quantizer = kind(8, 4, normalize=True)
    codebook = np.asarray(quantizer.codebook)
    np.testing.assert_allclose(np.linalg.norm(codebook, axis=1), np.ones(8), rtol=1e-6)
    keras.utils.set_random_seed(0)
    np.testing.assert_allclose(codebook, unit(kind(8, 4).codebook), rtol=1e-5)  # where it would have been, scaled
    if kind is EMAVectorQuantizer:
        np.testing.assert_allclose(quantizer.sums, codebook, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.25, 2.0])
def test_losses_and_their_gradients_are_those_of_the_sphere(beta):
    z, codebook = vectors_and_codebook()
    quantizer = on_sphere(VectorQuantizer, codebook, beta=beta)
    codes = nearest(z, codebook)
    gap = unit(z) - unit(codebook)[codes]
    quantized = quantizer(z, return_quantized=True)
    np.testing.assert_allclose(quantized.codebook_loss, np.mean(gap**2), rtol=1e-4)
    np.testing.assert_allclose(quantized.commitment_loss, beta * np.mean(gap**2), rtol=1e-4)
    np.testing.assert_allclose(quantizer.losses, [(1 + beta) * np.mean(gap**2)], rtol=1e-4)

    def losses(z):
        quantizer(z)
        return sum(quantizer.losses)

    of_z, of_codebook = gradients(losses, [z], [quantizer.codebook])
    of_unit_z = 2 * beta * gap / z.size
    np.testing.assert_allclose(of_z, np.einsum("nij,nj->ni", across(z), of_unit_z), rtol=1e-3, atol=1e-7)
    of_entries = np.zeros(codebook.shape)
    np.add.at(of_entries, codes, -2 * gap / z.size)
    np.testing.assert_allclose(of_codebook, np.einsum("kij,kj->ki", across(codebook), of_entries), rtol=1e-3, atol=1e-7)


@every_kind
@pytest.mark.parametrize("estimator", ["straight_through", "rotation"])
def test_the_gradient_of_the_output_goes_through_the_scaling_of_z(kind, estimator):
    z, codebook = vectors_and_codebook()
    quantizer = on_sphere(kind, codebook, beta=0.0, estimator=estimator)
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    e = unit(codebook)[nearest(z, codebook)].astype("float32")
    of_unit_z = weights
    if estimator == "rotation":
        (of_unit_z,) = gradients(lambda u: ops.sum(weights * rotation_trick(u, e)), [unit(z).astype("float32")])
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)), [z])
    np.testing.assert_allclose(found, np.einsum("nij,nj->ni", across(z), of_unit_z), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.sum(found * z, axis=1), np.zeros(50), atol=1e-5)  # z gets no longer by it


def test_averages_on_the_sphere_follow_their_equations(rng):
    z, codebook = vectors_and_codebook(n=300)
    quantizer = on_sphere(EMAVectorQuantizer, unit(codebook), decay=0.9)
    counts = rng.uniform(1, 5, size=16)
    quantizer.counts.assign(counts)
    quantizer.sums.assign(counts[:, None] * unit(codebook))
    n, m = counts, counts[:, None] * unit(codebook)
    for batch in np.split(z, 3):
        codes = nearest(batch, quantizer.codebook)
        quantizer(batch, training=True)
        for i in range(16):
            n[i] = 0.9 * n[i] + 0.1 * np.sum(codes == i)
            m[i] = 0.9 * m[i] + 0.1 * unit(batch)[codes == i].sum(axis=0)
        np.testing.assert_allclose(quantizer.counts, n, rtol=1e-5)
        np.testing.assert_allclose(quantizer.sums, m, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(quantizer.codebook, unit(m), rtol=1e-4, atol=1e-5)


def test_an_entry_that_nothing_chooses_stays_where_it_is_for_ever():
    codebook = np.array([[1, 0], [-0.6, -0.8]], "float32")
    quantizer = on_sphere(EMAVectorQuantizer, codebook, decay=0.1)  # its sum is no number of float32 after 50 batches
    quantizer.sums.assign(codebook)
    for _ in range(60):
        quantizer(np.array([[5, 1]], "float32"), training=True)
    assert np.abs(np.asarray(quantizer.sums[1])).max() < 1e-30
    np.testing.assert_allclose(quantizer.codebook, [unit([5, 1]), [-0.6, -0.8]], rtol=1e-5)


def test_a_dead_entry_restarts_on_the_sphere():
    z, codebook = vectors_and_codebook(n=200, k=3, d=2)
    quantizer = on_sphere(EMAVectorQuantizer, unit(codebook), restart_below=0.1, seed=0)
    quantizer.counts.assign([100, 0.5, 100])
    quantizer.sums.assign([[100, 0], [0.5, 0], [-100, 0]])
    quantizer(z, training=True)
    restarted = np.asarray(quantizer.codebook[1])
    np.testing.assert_allclose(np.abs(unit(z) - restarted).sum(axis=1).min(), 0, atol=1e-5)


@every_kind
@pytest.mark.parametrize("method", ["kmeans", "data"])
def test_initialize_starts_on_the_sphere(kind, method, rng):
    centres = unit(rng.normal(size=(5, 3)))
    which = np.repeat(np.arange(5), 40)
    z = (centres[which] + 0.01 * rng.normal(size=(200, 3))) * rng.uniform(0.1, 9, size=(200, 1))
    quantizer = kind(5, 3, normalize=True)
    quantizer.initialize(z.astype("float32"), method)
    codebook = np.asarray(quantizer.codebook)
    np.testing.assert_allclose(np.linalg.norm(codebook, axis=1), np.ones(5), rtol=1e-5)
    if method == "kmeans":
        assert np.abs(centres[:, None] - codebook).sum(axis=-1).min(axis=1).max() < 0.03
    else:
        assert np.abs(unit(z)[None] - codebook[:, None]).sum(axis=-1).min(axis=1).max() < 1e-5
    if kind is EMAVectorQuantizer:
        np.testing.assert_allclose(unit(quantizer.sums), codebook, rtol=1e-5)


@every_kind
def test_search_on_the_sphere_is_float32_under_mixed_precision(kind, mixed_bfloat16):
    z, codebook = vectors_and_codebook(n=500, k=128, d=16)
    quantizer = on_sphere(kind, codebook)
    np.testing.assert_array_equal(quantizer.encode(z), nearest(z, codebook))
    z = ops.cast(z, "bfloat16")
    quantized = quantizer(z, return_quantized=True)
    np.testing.assert_array_equal(quantized.codes, nearest(ops.cast(z, "float32"), codebook))
    assert keras.backend.standardize_dtype(quantized.z_q.dtype) == "bfloat16"


def test_without_it_nothing_is_scaled():
    assert not VectorQuantizer(8, 4).normalize
    assert not EMAVectorQuantizer(8, 4).normalize
    assert VectorQuantizer(8, 4, normalize=np.True_).get_config()["normalize"] is True


def test_a_model_with_both_kinds_trains(tiny_vqvae2, images):
    model = tiny_vqvae2(quantizers=[kind(8, 4, normalize=True) for kind in KINDS])
    model.initialize_codebook(images)
    model.compile("adam")
    history = model.fit(images, verbose=0, epochs=2).history
    assert np.isfinite(history["loss"]).all()
    assert history["top_codes_used"][-1] > 1
    assert vqlib.VQVAE2.from_config(model.get_config()).quantizers[0].normalize

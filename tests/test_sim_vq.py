"""SimVQ: a frozen table, and one linear map that moves all entries."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import SimVQ
from vqlib.quantizers import rotation_trick


def vectors_and_quantizer(n=50, k=16, d=6, **arguments):
    """Return vectors, and a quantizer with a table and a map that are no identity."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=(n, d)).astype("float32")
    quantizer = SimVQ(k, d, **arguments)
    quantizer.table.assign(generator.normal(size=(k, d)))
    quantizer.linear.assign(generator.normal(size=(d, d)))
    return z, quantizer


def entries_of(quantizer):
    """Return C W in float64."""
    return np.asarray(quantizer.table, "float64") @ np.asarray(quantizer.linear, "float64")


def nearest(z, entries):
    return np.argmin(((z[:, None] - entries) ** 2).sum(axis=-1), axis=1)


def test_entries_are_the_table_times_the_map():
    z, quantizer = vectors_and_quantizer()
    entries = entries_of(quantizer)
    codes = nearest(z, entries)
    assert (codes != nearest(z, np.asarray(quantizer.table))).any()
    np.testing.assert_allclose(quantizer.codebook, entries, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(quantizer.decode(np.arange(16)), entries, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(quantizer.encode(z), codes)
    np.testing.assert_allclose(quantizer(z), entries[codes], rtol=1e-4, atol=1e-5)


def test_a_new_codebook_is_a_table_of_vectors_about_1_long():
    quantizer = SimVQ(4096, 16)
    np.testing.assert_array_equal(quantizer.codebook, quantizer.table)
    np.testing.assert_allclose(np.mean(np.asarray(quantizer.table) ** 2), 1 / 16, rtol=0.05)
    np.testing.assert_allclose(np.mean(quantizer.table), 0, atol=0.01)


@pytest.mark.parametrize("beta", [0.0, 0.25, 2.0])
def test_the_codebook_loss_moves_the_map_alone(beta):
    z, quantizer = vectors_and_quantizer(beta=beta)
    entries, table = entries_of(quantizer), np.asarray(quantizer.table, "float64")
    codes = nearest(z, entries)
    gap = z - entries[codes]
    quantized = quantizer(z, return_quantized=True)
    np.testing.assert_allclose(quantized.codebook_loss, np.mean(gap**2), rtol=1e-4)
    np.testing.assert_allclose(quantized.commitment_loss, beta * np.mean(gap**2), rtol=1e-4)
    np.testing.assert_allclose(quantizer.losses, [(1 + beta) * np.mean(gap**2)], rtol=1e-4)

    def losses(z):
        quantizer(z)
        return sum(quantizer.losses)

    assert [id(v) for v in quantizer.trainable_variables] == [id(quantizer.linear)]
    of_z, of_linear = gradients(losses, [z], [quantizer.linear])
    np.testing.assert_allclose(of_linear, table[codes].T @ (-2 * gap / z.size), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(of_z, 2 * beta * gap / z.size, rtol=1e-3, atol=1e-6)


def test_one_step_moves_entries_that_no_vector_has_chosen():
    z, quantizer = vectors_and_quantizer(n=3, k=16)
    model = keras.Sequential([keras.Input((6,)), quantizer])
    model.compile(keras.optimizers.SGD(0.1), lambda x, y: 0.0 * ops.sum(y))
    entries, table = entries_of(quantizer), np.array(quantizer.table)
    unchosen = np.setdiff1d(np.arange(16), nearest(z, entries))
    model.fit(z, z, verbose=0)
    assert len(unchosen) >= 13
    assert np.abs(entries_of(quantizer) - entries)[unchosen].max(axis=1).min() > 1e-4
    np.testing.assert_array_equal(quantizer.table, table)


@pytest.mark.parametrize("estimator", ["straight_through", "rotation"])
def test_the_output_has_the_gradient_of_the_estimator_and_moves_no_weight(estimator):
    z, quantizer = vectors_and_quantizer(beta=0.0, estimator=estimator)
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    entries = entries_of(quantizer)
    e = entries[nearest(z, entries)].astype("float32")
    expected = weights
    if estimator == "rotation":
        (expected,) = gradients(lambda z: ops.sum(weights * rotation_trick(z, e)), [z])
    of_z, of_linear = gradients(lambda z: ops.sum(weights * quantizer(z)), [z], [quantizer.linear])
    np.testing.assert_allclose(of_z, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(of_linear, np.zeros((6, 6)))


def test_on_the_sphere_the_code_is_that_of_the_largest_cosine():
    z, quantizer = vectors_and_quantizer(normalize=True)
    entries = entries_of(quantizer)
    entries /= np.linalg.norm(entries, axis=1, keepdims=True)
    codes = np.argmax(z @ entries.T, axis=1)
    np.testing.assert_array_equal(quantizer.encode(z), codes)
    np.testing.assert_allclose(quantizer(z), entries[codes], rtol=1e-4, atol=1e-5)


def test_weights_and_search_are_float32_under_mixed_precision(mixed_bfloat16):
    z, quantizer = vectors_and_quantizer(n=500, k=128, d=16)
    assert {v.dtype for v in quantizer.variables} == {"float32"}
    np.testing.assert_array_equal(quantizer.encode(z), nearest(z, entries_of(quantizer)))


def test_adapt_leaves_the_frozen_table_alone(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=SimVQ(8, 4))
    before = np.array(model.quantizer.codebook)
    model.adapt(images)
    np.testing.assert_allclose(model.data_variance, images.var(), rtol=1e-4)
    np.testing.assert_array_equal(model.quantizer.codebook, before)
    with pytest.raises(TypeError, match=r"SimVQ has no codebook to initialize. Leave this call out"):
        model.initialize_codebook(images)


def test_a_model_reports_both_losses_and_warns_of_who_watches_them(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=SimVQ(8, 4))
    model.compile("adam")
    with pytest.warns(UserWarning, match="EarlyStopping watches val_loss"):
        history = model.fit(
            images, validation_data=images, callbacks=[keras.callbacks.EarlyStopping()], verbose=0
        ).history
    assert {"codebook_loss", "commitment_loss", "perplexity", "codes_used"} <= set(history)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": -1}, r"beta must be at least 0, but -1 was given"),
        ({"estimator": "gumbel"}, r"estimator must be one of straight_through, rotation, but 'gumbel' was given"),
        ({"num_embeddings": 0}, r"num_embeddings must be an integer of at least 1, but 0 was given"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        vqlib.SimVQ(**{"num_embeddings": 8, "embedding_dim": 4, **arguments})

"""The quantizer: the right codes, the right gradients, little memory."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from gradients import gradients
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from keras import ops

import vqlib
from vqlib import EMAVectorQuantizer, FiniteScalarQuantizer, VectorQuantizer, quantizers
from vqlib import _backend as backend


def quantizer_with(codebook, **arguments):
    """Return a quantizer that holds this codebook."""
    quantizer = VectorQuantizer(*codebook.shape, **arguments)
    quantizer.codebook.assign(codebook)
    return quantizer


def distances(z, codebook):
    """Return all squared distances in float64, the textbook way: (N, K)."""
    difference = z.astype("float64")[:, None, :] - codebook.astype("float64")[None]  # (N, K, D)
    return np.sum(difference**2, axis=-1)


def vectors_and_codebook(n=50, k=16, d=6, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, d)).astype("float32")
    return z, generator.normal(size=(k, d)).astype("float32")


# The search


@given(
    leading=array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=5),
    k=st.integers(1, 40),
    d=st.integers(1, 16),
    seed=st.integers(0, 2**32 - 1),
)
def test_codes_equal_a_float64_reference_where_float32_is_exact(leading, k, d, seed):
    # Multiples of 1/4 in [-2, 2]: every product and sum is exact in float32, so ties, which abound, are real ties, and
    # the first of the nearest entries must win, as in np.argmin.
    generator = np.random.default_rng(seed)
    z = (generator.integers(-8, 9, size=(*leading, d)) / 4).astype("float32")
    codebook = (generator.integers(-8, 9, size=(k, d)) / 4).astype("float32")
    codes = np.asarray(quantizer_with(codebook).encode(z))
    expected = np.argmin(distances(z.reshape(-1, d), codebook), axis=1).reshape(leading)
    assert codes.dtype == "int32"
    np.testing.assert_array_equal(codes, expected)


@given(
    n=st.integers(1, 60),
    k=st.integers(1, 130),
    d=st.integers(1, 32),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_codes_equal_a_float64_reference_up_to_rounding(n, k, d, scale, seed):
    z, codebook = (scale * array for array in vectors_and_codebook(n, k, d, seed))
    z, codebook = z.astype("float32"), codebook.astype("float32")
    codes = np.asarray(quantizer_with(codebook).encode(z))
    reference = distances(z, codebook)
    rounding = 1e-5 * (np.sum(z.astype("float64") ** 2, axis=1) + np.max(np.sum(codebook.astype("float64") ** 2, 1)))
    chosen = reference[np.arange(n), codes]
    assert np.all(chosen <= reference.min(axis=1) + rounding)
    ranked = np.sort(reference, axis=1)
    clear = np.ones(n, bool) if k == 1 else ranked[:, 1] - ranked[:, 0] > rounding
    np.testing.assert_array_equal(codes[clear], np.argmin(reference, axis=1)[clear])


def test_of_equal_entries_the_first_wins():
    codebook = np.array([[5.0], [1.0], [1.0], [3.0]], "float32")
    np.testing.assert_array_equal(
        quantizer_with(codebook).encode(np.array([[1.0], [2.0], [9.0]], "float32")), [1, 1, 0]
    )


@pytest.mark.parametrize("leading", [(), (1,), (7,), (3, 5), (2, 4, 4), (2, 3, 4, 5)], ids=str)
def test_every_leading_shape(leading, rng):
    _, codebook = vectors_and_codebook(d=4)
    quantizer = quantizer_with(codebook)
    z = rng.normal(size=(*leading, 4)).astype("float32")
    expected = np.argmin(distances(z.reshape(-1, 4), codebook), axis=1).reshape(leading)
    codes = quantizer.encode(z)
    assert codes.shape == leading
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(quantizer.decode(codes), codebook[expected])
    z_q = quantizer(z)
    assert z_q.shape == (*leading, 4)
    np.testing.assert_allclose(z_q, codebook[expected], atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("convert", [np.asarray, ops.convert_to_tensor])
def test_vectors_that_are_not_finite_have_no_codes(value, convert):
    z, codebook = vectors_and_codebook()
    z[7, 2] = value
    with pytest.raises(ValueError, match=r"z contains NaN or infinity, which no codebook entry is near to"):
        quantizer_with(codebook).encode(convert(z))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the graph is TensorFlow's")
def test_search_needs_no_operation_on_bits_which_exporters_do_not_know():
    import tensorflow as tf

    quantizer = VectorQuantizer(8, 4)
    graph = tf.function(quantizer.encode).get_concrete_function(tf.TensorSpec((None, 4))).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "ArgMin" in kinds
    assert not kinds & {"Bitcast", "BitwiseAnd"}


def test_no_vectors_have_no_codes():
    assert VectorQuantizer(8, 4).encode(np.zeros((0, 7, 4), "float32")).shape == (0, 7)


def test_output_is_decode_of_encode():
    z, codebook = vectors_and_codebook()
    quantizer = quantizer_with(codebook)
    np.testing.assert_allclose(quantizer(z), quantizer.decode(quantizer.encode(z)), atol=1e-6)


def test_entries_encode_to_themselves():
    _, codebook = vectors_and_codebook(k=128, d=16)
    np.testing.assert_array_equal(quantizer_with(codebook).encode(codebook), np.arange(128))


@pytest.mark.parametrize("n", [1, 6, 7, 8, 13, 14, 15, 50])
def test_chunked_search_gives_the_same_codes(n, monkeypatch):
    z, codebook = vectors_and_codebook(n)
    whole = np.asarray(quantizers.nearest_codes(z, codebook))
    monkeypatch.setattr(quantizers, "ROWS_PER_SEARCH", 7)
    np.testing.assert_array_equal(quantizers.nearest_codes(z, codebook), whole)
    np.testing.assert_array_equal(whole, np.argmin(distances(z, codebook), axis=1))


def test_codes_of_60000_images_need_less_than_1_gb():
    pytest.importorskip("resource", reason="peak memory is read with the module resource, which only Unix has")
    script = """
        import resource, sys
        import numpy as np
        import vqlib

        def peak():  # bytes; Linux counts in KiB, macOS in bytes
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

        quantizer = vqlib.VectorQuantizer(128, 16)
        z = np.tile(np.random.default_rng(0).normal(size=(49, 16)).astype("float32"), (60_000, 1))  # (2.94 M, 16)
        first = np.asarray(quantizer.encode(z[:49]))
        before = peak()
        codes = np.asarray(quantizer.encode(z))
        print(peak() - before)
        assert codes.shape == (60_000 * 49,)
        assert (codes.reshape(-1, 49) == first).mean() > 0.999
    """
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 1e9


def test_search_stays_float32_under_mixed_precision(mixed_bfloat16):
    z, codebook = vectors_and_codebook(n=500, k=128, d=16)
    expected = np.argmin(distances(z, codebook), axis=1)
    quantizer = quantizer_with(codebook)
    assert quantizer.codebook.dtype == "float32"
    np.testing.assert_array_equal(quantizer.encode(z), expected)
    z_q = quantizer(z)  # a layer with a bfloat16 compute dtype would round z on its way in
    assert z_q.dtype == "float32"
    np.testing.assert_allclose(z_q, codebook[expected], atol=1e-5)


def test_bfloat16_vectors_are_searched_in_float32(mixed_bfloat16):
    z, codebook = vectors_and_codebook(n=500, k=128, d=16)
    quantizer = quantizer_with(codebook)
    z = ops.cast(z, "bfloat16")
    expected = np.argmin(distances(np.asarray(ops.cast(z, "float32")), codebook), axis=1)
    np.testing.assert_array_equal(quantizer.encode(z), expected)
    assert keras.backend.standardize_dtype(quantizer(z).dtype) == "bfloat16"


def test_search_works_inside_a_compiled_function_with_unknown_batch_size():
    z, codebook = vectors_and_codebook(n=12)
    quantizer = quantizer_with(codebook)

    def round_trip(vectors):
        codes = quantizer.encode(vectors)
        return codes, quantizer.decode(codes), quantizer(vectors)

    compiled = backend.compiled(quantizer, "round_trip", round_trip, keras.KerasTensor((None, None, 6), "float32"))
    codes, decoded, z_q = compiled(z.reshape(3, 4, 6))
    np.testing.assert_array_equal(codes, np.argmin(distances(z, codebook), axis=1).reshape(3, 4))
    np.testing.assert_array_equal(decoded, codebook[np.asarray(codes)])
    np.testing.assert_allclose(z_q, decoded, atol=1e-5)


# The gradients


def losses_of(quantizer, z):
    """Return the sum of the losses that the quantizer adds when it is called."""
    quantizer(z)
    return sum(quantizer.losses)


def test_codebook_is_trainable():
    quantizer = VectorQuantizer(8, 4)
    assert [id(v) for v in quantizer.trainable_variables] == [id(quantizer.codebook)]
    assert quantizer.codebook.shape == (8, 4)
    model = vqlib.VQVAE(image_shape=(8, 8, 1), num_embeddings=8, embedding_dim=4, filters=(4,))
    assert any(v is model.quantizer.codebook for v in model.trainable_variables)


def test_codebook_starts_in_keras_uniform_range():
    codebook = np.asarray(VectorQuantizer(256, 16).codebook)
    assert np.abs(codebook).max() <= 0.05
    assert np.abs(codebook).max() > 0.04


def test_codebook_initializer_is_used():
    quantizer = VectorQuantizer(8, 4, codebook_initializer=keras.initializers.Constant(0.7))
    np.testing.assert_allclose(quantizer.codebook, np.full((8, 4), 0.7), rtol=1e-6)


def test_codebook_moves_after_one_step():
    quantizer = VectorQuantizer(8, 4)
    model = keras.Sequential([keras.Input((4,)), quantizer])
    model.compile("sgd", "mse")
    before = np.array(quantizer.codebook)
    z = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    model.fit(z, z, batch_size=16, epochs=1, verbose=0)
    assert np.abs(np.asarray(quantizer.codebook) - before).max() > 1e-4


def test_without_beta_z_gets_exactly_the_gradient_of_the_decoder():
    z, codebook = vectors_and_codebook()
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    quantizer = quantizer_with(codebook, beta=0.0)

    def output(z_q):
        return ops.sum(ops.sin(weights * z_q))  # a decoder that is not linear

    (found,) = gradients(lambda z: output(quantizer(z)) + sum(quantizer.losses), [z])
    (expected,) = gradients(output, [quantizer(z)])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("beta", [0.1, 0.25, 2.0])
def test_z_gets_the_gradient_of_the_decoder_plus_that_of_the_commitment_loss(beta):
    z, codebook = vectors_and_codebook()
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    quantizer = quantizer_with(codebook, beta=beta)
    e = codebook[np.asarray(quantizer.encode(z))]
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)) + sum(quantizer.losses), [z])
    np.testing.assert_allclose(found, weights + 2 * beta * (z - e) / z.size, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("beta", [0.0, 0.25, 2.0])
def test_beta_scales_only_the_gradient_of_z(beta):
    z, codebook = vectors_and_codebook()
    quantizer = quantizer_with(codebook, beta=beta)
    codes = np.asarray(quantizer.encode(z))
    of_z, of_codebook = gradients(lambda z: losses_of(quantizer, z), [z], [quantizer.codebook])
    expected = np.zeros_like(codebook)
    np.add.at(expected, codes, 2 * (codebook[codes] - z) / z.size)
    np.testing.assert_allclose(of_codebook, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(of_z, 2 * beta * (z - codebook[codes]) / z.size, rtol=1e-5, atol=1e-8)


def test_decoder_does_not_move_the_codebook():
    z, codebook = vectors_and_codebook()
    quantizer = quantizer_with(codebook)
    (gradient,) = gradients(lambda: ops.sum(quantizer(z) ** 2), variables=[quantizer.codebook])
    np.testing.assert_array_equal(gradient, np.zeros_like(codebook))


def test_only_chosen_codes_get_a_gradient():
    z, codebook = vectors_and_codebook(n=10, k=40)
    quantizer = quantizer_with(codebook)
    chosen = np.unique(quantizer.encode(z))
    (gradient,) = gradients(lambda: losses_of(quantizer, z), variables=[quantizer.codebook])
    moved = np.flatnonzero(np.abs(gradient).sum(axis=1))
    assert len(chosen) < 40
    np.testing.assert_array_equal(moved, chosen)


def test_losses_are_those_of_the_paper():
    z, codebook = vectors_and_codebook()
    quantizer = quantizer_with(codebook, beta=0.4)
    quantizer(z)
    mean = np.mean((z - codebook[np.asarray(quantizer.encode(z))]) ** 2)
    assert len(quantizer.losses) == 1
    np.testing.assert_allclose(quantizer.losses[0], 1.4 * mean, rtol=1e-5)


def test_who_asks_for_all_gets_codes_and_losses_beside_the_output():
    z, codebook = vectors_and_codebook()
    quantizer = quantizer_with(codebook, beta=0.4)
    quantized = quantizer(z.reshape(5, 10, 6), return_quantized=True)
    codes = np.argmin(distances(z, codebook), axis=1)
    mean = np.mean((z - codebook[codes]) ** 2)
    np.testing.assert_array_equal(quantized.codes, codes.reshape(5, 10))
    np.testing.assert_array_equal(quantized.z_q, quantizer(z.reshape(5, 10, 6)))
    np.testing.assert_allclose(quantized.codebook_loss, mean, rtol=1e-5)
    np.testing.assert_allclose(quantized.commitment_loss, 0.4 * mean, rtol=1e-5)


def test_in_a_model_of_ones_own_a_quantizer_reports_no_metric():
    z, codebook = vectors_and_codebook()
    inputs = keras.Input((6,))
    model = keras.Model(inputs, quantizer_with(codebook)(inputs))
    model.compile("sgd", "mse")
    assert set(model.fit(z, z, verbose=0).history) == {"loss"}


# The rest


def test_initialize_puts_the_codebook_on_the_clusters(rng):
    centres = 10 * rng.normal(size=(5, 3))
    z = (centres[rng.integers(5, size=(40, 4, 4))] + 0.01 * rng.normal(size=(40, 4, 4, 3))).astype("float32")
    quantizer = VectorQuantizer(5, 3)
    quantizer.initialize(z)
    assert np.sqrt(distances(np.asarray(quantizer.codebook), centres).min(axis=0)).max() < 0.1
    assert quantizer.codebook.dtype == "float32"
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(z)), z, atol=0.1)


@pytest.mark.parametrize("method", ["kmeans", "data"])
def test_of_many_vectors_initialize_takes_a_sample(method, rng, monkeypatch):
    monkeypatch.setattr(quantizers, "VECTORS_TO_START_FROM", 100)
    z = rng.normal(size=(30, 10, 3)).astype("float32")
    sample = np.random.default_rng(4).choice(z.reshape(-1, 3), 100, replace=False)
    of_all, of_sample = VectorQuantizer(8, 3), VectorQuantizer(8, 3)
    of_all.initialize(z, method, seed=4)
    of_sample.initialize(sample, method, seed=4)
    np.testing.assert_array_equal(of_all.codebook, of_sample.codebook)


def test_initialize_is_seeded(rng):
    z = rng.normal(size=(200, 3)).astype("float32")
    first, again, other = VectorQuantizer(8, 3), VectorQuantizer(8, 3), VectorQuantizer(8, 3)
    first.initialize(z, seed=1)
    again.initialize(z, seed=1)
    other.initialize(z, seed=2)
    np.testing.assert_array_equal(first.codebook, again.codebook)
    assert not np.allclose(np.asarray(first.codebook), np.asarray(other.codebook))


def test_config_makes_the_same_quantizer():
    quantizer = VectorQuantizer(8, 4, beta=0.7, codebook_initializer=keras.initializers.Constant(0.3), name="vq")
    twin = VectorQuantizer.from_config(quantizer.get_config())
    assert (twin.num_embeddings, twin.embedding_dim, twin.beta, twin.name) == (8, 4, 0.7, "vq")
    np.testing.assert_allclose(twin.codebook, np.full((8, 4), 0.3), rtol=1e-6)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(quantizer)).beta == 0.7


# Bad input


@pytest.mark.parametrize("name", ["num_embeddings", "embedding_dim"])
@pytest.mark.parametrize("size", [0, -3, 2.0, True, "8", None], ids=str)
def test_sizes_below_one_are_refused(name, size):
    with pytest.raises(ValueError, match=rf"{name} must be an integer of at least 1, but {size!r} was given"):
        VectorQuantizer(**{"num_embeddings": 8, "embedding_dim": 4, name: size})


@pytest.mark.parametrize("beta", [-0.25, float("nan")])
def test_negative_beta_is_refused(beta):
    with pytest.raises(ValueError, match=rf"beta must be at least 0, but {beta} was given"):
        VectorQuantizer(8, 4, beta=beta)


@pytest.mark.parametrize("shape", [(10, 5), (2, 4, 7, 7), (3,), ()], ids=str)
@pytest.mark.parametrize("method", ["__call__", "encode", "initialize"])
def test_wrong_last_axis_is_refused(method, shape):
    with pytest.raises(ValueError, match=r"[Ll]ast axis of z must have embedding_dim=4 entries, but z has shape"):
        getattr(VectorQuantizer(8, 4), method)(np.zeros(shape, "float32"))


@pytest.mark.parametrize("method", ["__call__", "encode", "initialize"])
def test_vectors_of_integers_are_refused(method):
    with pytest.raises(TypeError, match=r"z must be floating point, but is int32"):
        getattr(VectorQuantizer(8, 4), method)(np.zeros((10, 4), "int32"))


@pytest.mark.parametrize(("codes", "found"), [([0, 8], "0..8"), ([-1, 3], "-1..3")])
@pytest.mark.parametrize("container", [list, np.array, ops.convert_to_tensor])
def test_codes_out_of_range_are_refused(container, codes, found):
    with pytest.raises(ValueError, match=rf"codes must lie in 0..7 \(num_embeddings=8\), but lie in {found}"):
        VectorQuantizer(8, 4).decode(container(codes))


@pytest.mark.parametrize("codes", [[0.0, 1.0], [True, False]], ids=str)
def test_codes_that_are_not_integers_are_refused(codes):
    with pytest.raises(TypeError, match=r"codes must be integers \(code indices\), but are (float|bool)"):
        VectorQuantizer(8, 4).decode(np.array(codes))


@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
@pytest.mark.parametrize("method", ["kmeans", "data"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_start_no_codebook(kind, method, value):
    quantizer = kind(8, 4)
    before = quantizer.get_weights()
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    vectors[7, 1] = value
    with pytest.raises(ValueError, match=r"vectors contain NaN or infinity, on which no codebook can start"):
        quantizer.initialize(vectors, method)
    for now, old in zip(quantizer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize("make", [lambda: VectorQuantizer(8, 4), lambda: FiniteScalarQuantizer((2,) * 4)])
@pytest.mark.parametrize("method", ["encode", "decode"])
def test_inputs_of_a_functional_model_are_refused(make, method):
    symbol = keras.Input((3, 4), dtype="float32" if method == "encode" else "int32")
    with pytest.raises(TypeError, match=rf"{method} takes values, but a keras.Input .*vqlib.exports.split"):
        getattr(make(), method)(symbol)


@pytest.mark.parametrize("method", ["kmeans", "data"])
def test_too_few_vectors_to_start_from_are_refused(method):
    with pytest.raises(ValueError, match=r"8 codes need at least as many vectors to start from; 5 were given"):
        VectorQuantizer(8, 4).initialize(np.zeros((5, 4), "float32"), method)

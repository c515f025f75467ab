"""Several codes for each vector: stages that quantize what is left over, and parts of the channels."""

import itertools

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops
from sklearn.cluster import KMeans

import vqlib
from vqlib import (
    EMAVectorQuantizer,
    FiniteScalarQuantizer,
    LookupFreeQuantizer,
    ProductQuantizer,
    ResidualQuantizer,
    SimVQ,
    VectorQuantizer,
    autoencoder,
    exports,
    quantizers,
)
from vqlib import _backend as backend
from vqlib.quantizers import rotation_trick


def vectors(n=40, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype("float32")


def codebooks(number=3, k=8, d=6, seed=1):
    """Return entries for each stage, (number, K, D), smaller from stage to stage."""
    entries = np.random.default_rng(seed).normal(size=(number, k, d))
    return (entries * 0.6 ** np.arange(number)[:, None, None]).astype("float32")


def quantizer_of(entries, kind=VectorQuantizer, composite=ResidualQuantizer, shared=False, arguments=None, **others):
    """Return a quantizer with these entries, (N, K, D); where it is shared, with the first of them for all."""
    quantizers = [kind(*each.shape, **(arguments or {})) for each in entries]
    for quantizer, each in zip(quantizers, entries, strict=True):
        quantizer.codebook.assign(each)
        if kind is EMAVectorQuantizer:
            quantizer.sums.assign(each)  # counts are 1
    return composite(quantizers[0], len(entries), **others) if shared else composite(quantizers, **others)


# of the levels of (5, 4, 2), which are -1, -0.5, ..., 1; -1, -0.5, 0, 0.5; and -1, 0; half a step beyond them
MIDDLE, REACH = np.array([0, -0.25, -0.5]), np.array([1.25, 1, 1])


def nearest(z, entries):
    return np.argmin(((z[..., None, :] - entries) ** 2).sum(axis=-1), axis=-1)


def greedy(z, entries):
    """Return codes (..., N), residuals (N, ..., D) that the stages see, and the sums after each stage, in float64."""
    left, codes, residuals, sums = z.astype("float64"), [], [], []
    for each in entries.astype("float64"):
        residuals.append(left)
        codes.append(nearest(left, each))
        left = left - each[codes[-1]]
        sums.append(z - left)
    return np.stack(codes, axis=-1), np.stack(residuals), np.stack(sums)


def all_sums(entries):
    """Return all tuples of codes, (K**N, N), and the sum of the entries of each, (K**N, D)."""
    tuples = np.array(list(itertools.product(*(range(len(each)) for each in entries))))
    return tuples, sum(each[tuples[:, n]] for n, each in enumerate(entries.astype("float64")))


def mse(z, found):
    return np.mean((z - np.asarray(found)) ** 2)


SHARED = pytest.mark.parametrize("shared", [False, True], ids=["own codebooks", "shared"])


def stacked(entries, shared):
    """Return the entries of each stage, as `quantizer_of` has them."""
    return np.stack([entries[0]] * len(entries)) if shared else entries


# Residual codes: search and look-up


@SHARED
def test_each_stage_quantizes_what_those_before_it_left_over(shared):
    z, entries = vectors().reshape(2, 5, 4, 6), codebooks()
    quantizer = quantizer_of(entries, shared=shared)
    codes, _, sums = greedy(z, stacked(entries, shared))
    assert (quantizer.num_embeddings, quantizer.embedding_dim, quantizer.codes_per_vector) == (8, 6, 3)
    found = quantizer.encode(z)
    assert found.dtype == "int32"
    np.testing.assert_array_equal(found, codes)
    np.testing.assert_allclose(quantizer(z), sums[-1], atol=1e-6)
    quantized = quantizer(z, return_quantized=True)
    np.testing.assert_array_equal(quantized.codes, codes)
    np.testing.assert_allclose(quantized.errors, ((z - sums) ** 2).mean(axis=(1, 2, 3, 4)), rtol=1e-5)


@SHARED
def test_the_first_codes_are_a_stream_that_was_cut(shared):
    z, entries = vectors(), codebooks()
    quantizer = quantizer_of(entries, shared=shared)
    codes, _, sums = greedy(z, stacked(entries, shared))
    for n in (1, 2, 3):
        np.testing.assert_allclose(quantizer.decode(codes[:, :n]), sums[n - 1], atol=1e-6)
    np.testing.assert_allclose(quantizer.decode(codes[:, :2].tolist()), sums[1], atol=1e-6)


def test_one_vector_has_an_axis_of_codes_alone():
    z, entries = vectors(1)[0], codebooks()
    quantizer = quantizer_of(entries, stage_dropout=1.0)
    codes, _, sums = greedy(z, entries)
    np.testing.assert_array_equal(quantizer.encode(z), codes)
    np.testing.assert_allclose(quantizer.decode(codes), sums[-1], atol=1e-6)
    assert quantizer(z, training=True).shape == (6,)


def test_stages_of_signs_with_half_the_scale_are_binary_digits():
    quantizer = ResidualQuantizer([LookupFreeQuantizer(3) for _ in range(8)], scale=0.5)
    z = np.random.default_rng(0).uniform(-2, 2, size=(200, 3)).astype("float32")
    codes = quantizer.encode(z)
    for n in range(1, 9):
        step = 2.0 ** (2 - n)  # between neighbours on the grid of 2**n points
        expected = (np.floor(z / step) + 0.5) * step
        np.testing.assert_allclose(quantizer.decode(codes[:, :n]), expected, atol=1e-5)
    np.testing.assert_allclose(quantizer(z), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize(
    ("make", "begin"),
    [
        (lambda: SimVQ(8, 3), lambda z: z),
        (lambda: FiniteScalarQuantizer((5, 4, 2)), lambda z: MIDDLE + REACH * np.tanh((z - MIDDLE) / REACH)),
        (lambda: LookupFreeQuantizer(3), lambda z: z),
        (lambda: VectorQuantizer(8, 3, normalize=True), lambda z: z / np.linalg.norm(z, axis=-1, keepdims=True)),
        (lambda: EMAVectorQuantizer(8, 3), lambda z: z),
    ],
    ids=["linear map", "scalar", "signs", "sphere", "averages"],
)
def test_any_quantizer_can_be_a_stage(make, begin, scale):
    quantizer = ResidualQuantizer([make(), make()], scale=scale)
    z = vectors(d=3)
    r_0 = begin(z).astype("float32")
    left, codes = r_0, []
    for n, stage in enumerate(quantizer.stages):
        codes.append(np.asarray(stage.encode(left / scale**n)))
        left = left - scale**n * np.asarray(stage.decode(codes[n]))
    np.testing.assert_array_equal(quantizer.encode(z), np.stack(codes, axis=-1))
    np.testing.assert_allclose(quantizer(z), r_0 - left, atol=1e-6)
    np.testing.assert_allclose(quantizer.decode(quantizer.encode(z)), r_0 - left, atol=1e-6)


@SHARED
@pytest.mark.parametrize(
    "make",
    [lambda: FiniteScalarQuantizer((5, 4, 2)), lambda: VectorQuantizer(512, 3, normalize=True)],
    ids=["scalar", "sphere"],
)
def test_z_cannot_run_away_where_no_loss_keeps_it(make, shared):
    quantizer = ResidualQuantizer(make(), 3, scale=0.5) if shared else ResidualQuantizer([make(), make()], scale=0.5)
    weights, z = vectors(d=3), 1000 * np.sign(vectors(d=3, seed=2))
    assert max(quantizer(z, return_quantized=True).errors) < 0.2
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)), [z])
    np.testing.assert_allclose(np.sum(found * z, axis=-1), 0, atol=1e-4)  # nothing pushes it farther
    (near,) = gradients(lambda z: ops.sum(weights * quantizer(z)), [1e-3 * z])
    assert np.abs(near).max() > 0.1


# Residual codes: losses and gradients


@SHARED
@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
def test_losses_are_the_sums_over_stages(kind, shared):
    z, entries = vectors(), codebooks()
    quantizer = quantizer_of(entries, kind, shared=shared, arguments={"beta": 0.4})
    _, _, sums = greedy(z, stacked(entries, shared))
    total = sum(mse(z, after) for after in sums)
    quantized = quantizer(z, return_quantized=True)
    np.testing.assert_allclose(quantized.codebook_loss, total, rtol=1e-5)
    np.testing.assert_allclose(quantized.commitment_loss, 0.4 * total, rtol=1e-5)
    np.testing.assert_allclose(sum(quantizer.losses), (1.4 if kind is VectorQuantizer else 0.4) * total, rtol=1e-5)
    assert quantizer.learned_by_gradient == (kind is VectorQuantizer)


def test_losses_of_different_stages_are_added_by_name():
    quantizer = ResidualQuantizer([VectorQuantizer(8, 3), LookupFreeQuantizer(3)])
    assert quantizer.losses_given == ("codebook_loss", "commitment_loss", "entropy_loss")
    z = vectors(d=3)
    quantized = quantizer(z, return_quantized=True)
    first = quantizer.stages[0](z, return_quantized=True)
    second = quantizer.stages[1](z - np.asarray(first.z_q), return_quantized=True)
    np.testing.assert_allclose(quantized.codebook_loss, first.codebook_loss, rtol=1e-5)
    np.testing.assert_allclose(quantized.commitment_loss, first.commitment_loss + second.commitment_loss, rtol=1e-5)
    np.testing.assert_allclose(quantized.entropy_loss, second.entropy_loss, rtol=1e-5)


def test_stages_of_rounded_scalars_add_no_loss():
    quantizer = ResidualQuantizer(FiniteScalarQuantizer((5, 5)), num_stages=3, scale=0.5)
    quantized = quantizer(vectors(d=2), return_quantized=True)
    assert quantizer.losses == []
    assert (quantized.codebook_loss, quantized.commitment_loss, quantized.entropy_loss) == (None, None, None)


@SHARED
def test_z_gets_the_gradient_of_the_output_once_and_of_every_stages_commitment(shared):
    z, entries = vectors(), codebooks()
    quantizer = quantizer_of(entries, shared=shared, arguments={"beta": 0.5})
    weights = vectors(seed=2)
    _, _, sums = greedy(z, stacked(entries, shared))
    expected = 2 * 0.5 * (z - sums).sum(axis=0) / z.size
    (of_losses,) = gradients(lambda z: (quantizer(z), sum(quantizer.losses))[1], [z])
    np.testing.assert_allclose(of_losses, expected, rtol=1e-4, atol=1e-6)
    (of_all,) = gradients(lambda z: ops.sum(weights * quantizer(z)) + sum(quantizer.losses), [z])
    np.testing.assert_allclose(of_all, weights + expected, rtol=1e-4, atol=1e-6)


@SHARED
def test_each_stages_entries_are_moved_by_its_own_residuals(shared):
    z, entries = vectors(), codebooks()
    quantizer = quantizer_of(entries, shared=shared)
    codes, residuals, _ = greedy(z, stacked(entries, shared))
    expected = np.zeros(entries.shape)
    for n in range(3):
        place = 0 if shared else n
        gaps = stacked(entries, shared)[n][codes[:, n]] - residuals[n]
        np.add.at(expected[place], codes[:, n], 2 * gaps / z.size)
    books = [each.codebook for each in quantizer.quantizers]
    assert len(quantizer.trainable_variables) == len(books) == (1 if shared else 3)
    weights = vectors(seed=2)
    _, *found = gradients(lambda z: ops.sum(weights * quantizer(z)) + sum(quantizer.losses), [z], books)
    for one, other in zip(found, expected, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_rotation_is_that_to_the_sum():
    z, entries, weights = vectors(), codebooks(), vectors(seed=2)
    quantizer = quantizer_of(entries, estimator="rotation", arguments={"beta": 0.0})
    e = np.asarray(quantizer.decode(quantizer.encode(z)))
    (expected,) = gradients(lambda z: ops.sum(weights * rotation_trick(z, e)), [z])
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)), [z])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - weights).max() > 0.1


@SHARED
def test_averages_move_once_a_step_by_the_residuals_of_their_stages(shared):
    z, entries = vectors(), codebooks()
    quantizer = quantizer_of(entries, EMAVectorQuantizer, shared=shared, arguments={"decay": 0.9})
    codes, residuals, sums = greedy(z, stacked(entries, shared))
    np.testing.assert_allclose(quantizer(z, training=True), sums[-1], atol=1e-6)  # of the codebooks before they moved
    for place, each in enumerate(quantizer.quantizers):
        stages = range(3) if shared else [place]
        counts, added = np.zeros(8), np.zeros((8, 6))
        for n in stages:
            np.add.at(counts, codes[:, n], 1)
            np.add.at(added, codes[:, n], residuals[n])
        np.testing.assert_allclose(each.counts, 0.9 + 0.1 * counts, rtol=1e-5)
        np.testing.assert_allclose(each.sums, 0.9 * entries[place] + 0.1 * added, rtol=1e-4, atol=1e-5)


# Stages that are left out in training


def lengths(z, entries, found):
    """Return after how many stages each output is cut."""
    _, _, sums = greedy(z, entries)
    distances = np.abs(sums - np.asarray(found)).reshape(len(sums), len(z), -1).max(axis=-1)  # (N, B)
    assert distances.min(axis=0).max() < 1e-5  # each is one of the sums
    return 1 + distances.argmin(axis=0)


@pytest.mark.parametrize("stage_dropout", [0.5, 1.0])
def test_examples_keep_a_random_number_of_first_stages(stage_dropout):
    z, entries = vectors(4000).reshape(1000, 2, 2, 6), codebooks()
    quantizer = quantizer_of(entries, stage_dropout=stage_dropout, seed=3)
    found = lengths(z, entries, quantizer(z, training=True))  # one for all vectors of an example
    shares = np.bincount(found, minlength=4)[1:] / 1000
    expected = stage_dropout / 3 + np.array([0, 0, 1 - stage_dropout])
    np.testing.assert_allclose(shares, expected, atol=0.05)
    again = lengths(z, entries, quantizer(z, training=True))
    assert (found != again).mean() > 0.2
    np.testing.assert_array_equal(
        found, lengths(z, entries, quantizer_of(entries, stage_dropout=stage_dropout, seed=3)(z, training=True))
    )


def test_all_stages_are_given_out_but_in_training():
    z, entries = vectors(), codebooks()
    quantizer = quantizer_of(entries, stage_dropout=1.0)
    _, _, sums = greedy(z, entries)
    for found in (quantizer(z), quantizer(z, training=False), quantizer.decode(quantizer.encode(z))):
        np.testing.assert_allclose(found, sums[-1], atol=1e-6)
    whole = quantizer_of(entries)
    np.testing.assert_allclose(whole(z, training=True), sums[-1], atol=1e-6)
    assert len(whole.variables) == 3  # no state of random numbers


def test_stages_that_are_left_out_learn_all_the_same():
    z, entries = vectors(), codebooks()
    cut, whole = (
        quantizer_of(entries, stage_dropout=dropout)(z, training=True, return_quantized=True) for dropout in (1.0, 0.0)
    )
    assert np.abs(cut.z_q - whole.z_q).max() > 0.1
    for name in ("codes", "codebook_loss", "commitment_loss", "errors"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)


def test_the_gradient_goes_through_what_was_cut_as_through_the_whole():
    z, weights = vectors(), vectors(seed=2)
    quantizer = quantizer_of(codebooks(), stage_dropout=1.0, arguments={"beta": 0.0})
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z, training=True)), [z])
    np.testing.assert_allclose(found, weights, rtol=1e-5)


# Starts


def test_each_stage_starts_at_the_centres_of_its_residuals():
    z = vectors(500)
    quantizer = ResidualQuantizer([EMAVectorQuantizer(8, 6) for _ in range(3)])
    quantizer.initialize(z, seed=5)
    left = z
    for n, stage in enumerate(quantizer.stages):
        means = KMeans(8, n_init=1, random_state=5 + n).fit(left)
        np.testing.assert_allclose(stage.codebook, means.cluster_centers_, atol=1e-4)
        np.testing.assert_allclose(stage.sums / stage.counts[:, None], stage.codebook, rtol=1e-4, atol=1e-6)
        left = left - means.cluster_centers_[means.predict(left)]
    np.testing.assert_allclose(quantizer(z, return_quantized=True).errors[-1], np.mean(left**2), rtol=1e-3)


def test_a_start_counts_the_scale():
    z = vectors(500)
    plain, scaled = (ResidualQuantizer([VectorQuantizer(8, 6) for _ in range(3)], scale=scale) for scale in (1.0, 0.25))
    for quantizer in (plain, scaled):
        quantizer.initialize(z)
    np.testing.assert_allclose(scaled.decode(scaled.encode(z)), plain.decode(plain.encode(z)), atol=1e-4)


def test_each_stage_starts_from_other_vectors():
    # Those that became entries of the stage before leave zeros.
    z = vectors(100)
    quantizer = ResidualQuantizer([VectorQuantizer(8, 6) for _ in range(3)])
    quantizer.initialize(z, "data")
    errors = np.asarray(quantizer(z, return_quantized=True).errors)
    assert errors[2] < 0.9 * errors[1] < 0.8 * errors[0]


def test_a_shared_codebook_starts_with_entries_for_what_is_left_over():
    z = vectors(500)
    shared = ResidualQuantizer(VectorQuantizer(16, 6), num_stages=4)
    shared.initialize(z)
    alone = VectorQuantizer(16, 6)
    alone.initialize(z)
    only_for_z = ResidualQuantizer(alone, num_stages=4)
    error, without = (q(z, return_quantized=True).errors[-1] for q in (shared, only_for_z))
    assert error < 0.7 * without


def test_stages_without_a_codebook_to_start_stay_as_they_are():
    z = vectors(100, d=2)
    quantizer = ResidualQuantizer([FiniteScalarQuantizer((4, 4)), VectorQuantizer(16, 2)])
    quantizer.initialize(z)
    r_0 = (np.tanh(z + 0.25) - 0.25).astype("float32")  # half a step beyond -1 and 0.5
    left = r_0 - np.asarray(quantizer.stages[0](r_0))
    expected = KMeans(16, n_init=1, random_state=1).fit(left).cluster_centers_
    np.testing.assert_allclose(quantizer.stages[1].codebook, expected, atol=1e-4)
    nothing = ResidualQuantizer([FiniteScalarQuantizer((4, 4))])
    with pytest.raises(TypeError, match=r"No stage has a codebook to initialize. Leave this call out"):
        nothing.initialize(z)


@pytest.mark.parametrize("composite", [ResidualQuantizer, ProductQuantizer])
@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda z: z[:7], {}, r"8 codes need at least as many vectors to start from; 7 were given"),
        (lambda z: np.where(np.arange(z.shape[1]) == z.shape[1] - 1, np.nan, z), {}, r"vectors contain NaN"),
        (lambda z: z, {"method": "random"}, r'method must be "kmeans" or "data", but \'random\' was given'),
        (lambda z: z[:, :2], {}, r"last axis of z must have embedding_dim"),
    ],
)
def test_a_start_that_fails_changes_nothing(composite, change, arguments, message):
    quantizer = quantizer_of(codebooks(2), composite=composite)
    z = change(vectors(d=quantizer.embedding_dim)).astype("float32")
    with pytest.raises(ValueError, match=message):
        quantizer.initialize(z, **arguments)
    for each, entries in zip(quantizer.quantizers, codebooks(2), strict=True):
        np.testing.assert_array_equal(each.codebook, entries)


@SHARED
@pytest.mark.parametrize("composite", [ResidualQuantizer, ProductQuantizer])
def test_a_start_from_many_vectors_takes_a_sample(composite, shared, monkeypatch):
    monkeypatch.setattr(quantizers, "VECTORS_TO_START_FROM", 100)
    quantizer, again = (quantizer_of(codebooks(d=2), composite=composite, shared=shared) for _ in range(2))
    z = vectors(1000, d=quantizer.embedding_dim)
    quantizer.initialize(z, "data")
    again.initialize(np.random.default_rng(0).choice(z, 100, replace=False), "data")
    for one, other in zip(quantizer.quantizers, again.quantizers, strict=True):
        np.testing.assert_array_equal(one.codebook, other.codebook)


# In models


def residual_model(tiny_vqvae, stage_dropout=0.0, kind=EMAVectorQuantizer, shared=False):
    quantizers = [kind(8, 4) for _ in range(1 if shared else 3)]
    quantizer = ResidualQuantizer(quantizers[0] if shared else quantizers, 3 if shared else None, stage_dropout, seed=1)
    return tiny_vqvae(quantizer=quantizer, data_variance=0.08)


def test_a_model_has_an_axis_of_codes_more_and_decodes_a_stream_that_was_cut(tiny_vqvae, images):
    model = residual_model(tiny_vqvae)
    model.adapt(images)
    assert model.code_shape == model.levels[0].code_shape == (4, 4, 3)
    codes = model.encode(images)
    z = model.encoder(images)
    assert codes.shape == (20, 4, 4, 3)
    np.testing.assert_array_equal(codes, model.quantizer.encode(z))
    for n in (3, 1, 2, 3):
        expected = model.decoder(model.quantizer.decode(codes[..., :n]))
        np.testing.assert_allclose(model.decode(codes[..., :n]), expected, atol=1e-5)
    np.testing.assert_allclose(model.decode(codes), model.predict(images, verbose=0), atol=1e-5)
    for wrong in (codes[..., :0], codes[..., 0], np.concatenate([codes, codes], axis=-1)):
        with pytest.raises(ValueError, match=r"codes must have shape \(batch, 4, 4, 3\), but have shape"):
            model.decode(wrong)


def test_a_start_draws_from_the_vectors_of_a_model_however_many_codes_they_have(tiny_vqvae, images, monkeypatch):
    monkeypatch.setattr(autoencoder, "VECTORS_TO_START_FROM", 100)
    given = []
    monkeypatch.setattr(ResidualQuantizer, "initialize", lambda self, vectors, *_: given.append(len(vectors)))
    residual_model(tiny_vqvae).initialize_codebook(images)
    assert given == [100]


def test_a_model_measures_each_stage(tiny_vqvae, images):
    model = residual_model(tiny_vqvae)
    model.adapt(images)
    model.compile("sgd")
    found = model.evaluate(images, batch_size=8, return_dict=True, verbose=0)
    codes, z = model.encode(images), np.asarray(model.encoder(images))
    for n in (1, 2, 3):
        counts = vqlib.metrics.code_counts(codes[..., n - 1], 8)
        np.testing.assert_allclose(found[f"stage_{n}_perplexity"], vqlib.metrics.perplexity(counts), rtol=1e-4)
        assert found[f"stage_{n}_codes_used"] == np.count_nonzero(counts)
        error = mse(z, model.quantizer.decode(codes[..., :n]))
        np.testing.assert_allclose(found[f"stage_{n}_error"], error, rtol=1e-4)
    total = sum(found[f"stage_{n}_error"] for n in (1, 2, 3))
    np.testing.assert_allclose(found["codebook_loss"], total, rtol=1e-4)
    np.testing.assert_allclose(found["loss"], found["reconstruction_loss"] + found["commitment_loss"], rtol=1e-4)
    assert "perplexity" not in found


@SHARED
@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
def test_training_makes_the_error_of_every_stage_smaller(tiny_vqvae, images, kind, shared):
    model = residual_model(tiny_vqvae, 0.5, kind, shared)
    model.adapt(images)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(images, batch_size=10, epochs=15, verbose=0).history
    assert history["reconstruction_loss"][-1] < 0.9 * history["reconstruction_loss"][0]
    cut = [mse(images, model.decode(model.encode(images)[..., :n])) for n in (1, 2, 3)]
    assert cut[0] > cut[1] > cut[2]


@SHARED
@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
def test_a_saved_model_goes_on_as_if_nothing_had_happened(tiny_vqvae, images, kind, shared, tmp_path):
    model = residual_model(tiny_vqvae, 0.5, kind, shared)
    model.adapt(images)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, batch_size=10, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.quantizer.shared == shared
    assert loaded.quantizer.get_config().keys() == model.quantizer.get_config().keys()
    assert (loaded.quantizer.stage_dropout, loaded.quantizer.seed) == (0.5, 1)
    np.testing.assert_array_equal(loaded.encode(images), model.encode(images))
    for each in (model, loaded):
        each.fit(images, batch_size=10, shuffle=False, verbose=0)  # with the same stages left out
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_configuration_makes_the_same_layer():
    quantizer = ResidualQuantizer(
        [VectorQuantizer(8, 3, beta=0.7), SimVQ(8, 3)], stage_dropout=0.25, scale=0.5, estimator="rotation", seed=4
    )
    again = ResidualQuantizer.from_config(quantizer.get_config())
    assert [type(stage).__name__ for stage in again.stages] == ["VectorQuantizer", "SimVQ"]
    assert again.stages[0].beta == 0.7
    assert (again.stage_dropout, again.scale, again.estimator, again.seed) == (0.25, 0.5, "rotation", 4)
    shared = ProductQuantizer.from_config(ProductQuantizer(SimVQ(8, 3), num_parts=2).get_config())
    assert (shared.shared, shared.codes_per_vector, shared.embedding_dim) == (True, 2, 6)


def test_two_levels_of_stages_and_of_parts(tiny_vqvae2, images):
    top = ResidualQuantizer(EMAVectorQuantizer(8, 4), num_stages=3)
    bottom = ProductQuantizer([EMAVectorQuantizer(8, 2), EMAVectorQuantizer(8, 2)])
    model = tiny_vqvae2(quantizers=[top, bottom], data_variance=0.08)
    model.adapt(images)
    model.compile("adam")
    history = model.fit(images, verbose=0).history
    assert {"top_stage_3_error", "top_codebook_loss", "bottom_part_2_perplexity"} <= set(history)
    codes = model.encode(images)
    assert model.code_shapes == ((2, 2, 3), (4, 4, 2))
    assert [each.shape for each in codes] == [(20, 2, 2, 3), (20, 4, 4, 2)]
    np.testing.assert_allclose(model.decode(codes), model.predict(images, verbose=0), atol=1e-5)
    assert model.decode(codes[0][..., :1], codes[1]).shape == images.shape
    with pytest.raises(ValueError, match=r"bottom codes must have shape \(batch, 4, 4, 2\)"):
        model.decode(codes[0], codes[1][..., :1])


def test_too_few_vectors_for_the_stages_of_one_level_leave_the_other_as_it_is(tiny_vqvae2, images):
    stages = ResidualQuantizer(EMAVectorQuantizer(512, 4), num_stages=2)
    model = tiny_vqvae2(quantizers=[EMAVectorQuantizer(8, 4), stages])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"512 codes need at least as many vectors to start from; 320 were given"):
        model.initialize_codebook(images)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_priors_refuse_several_codes_at_a_place(tiny_vqvae, images):
    model = residual_model(tiny_vqvae)
    for prior in (vqlib.PixelCNN, vqlib.GatedPixelCNN):
        with pytest.raises(ValueError, match=r"one code at each place, but \(4, 4, 3\) was given.*codes\[\.\.\., 0\]"):
            prior(model.code_shape, model.num_embeddings)
    prior = vqlib.PixelCNN((4, 4), 8, filters=4)
    prior.compile("adam")
    codes = model.encode(images)
    with pytest.raises(ValueError, match=r"must have shape \(batch, 4, 4\), but have shape \(20, 4, 4, 3\)"):
        prior.fit(codes, verbose=0)
    prior.fit(codes[..., 0], verbose=0)


def test_halves_take_and_give_all_stages(tiny_vqvae, images):
    model = residual_model(tiny_vqvae)
    encoder, decoder = exports.split(model)
    codes = model.encode(images)
    np.testing.assert_array_equal(encoder(images), codes)
    np.testing.assert_allclose(decoder(codes), model.decode(codes), atol=1e-6)
    assert decoder._input_signature().shape == (None, 4, 4, 3)


def test_a_callback_that_watches_the_loss_is_warned_of(tiny_vqvae, images):
    model = residual_model(tiny_vqvae, kind=VectorQuantizer)
    model.compile("adam")
    with pytest.warns(UserWarning, match="EarlyStopping watches val_loss"):
        model.fit(images, validation_data=images, callbacks=[keras.callbacks.EarlyStopping()], epochs=0, verbose=0)


def test_a_model_without_a_codebook_to_start_says_so(tiny_vqvae, images):
    quantizer = ResidualQuantizer(FiniteScalarQuantizer((4, 4, 4)), num_stages=2, scale=0.5)
    model = tiny_vqvae(quantizer=quantizer)
    model.adapt(images)
    with pytest.raises(TypeError, match=r"ResidualQuantizer has no codebook to initialize. Leave this call out"):
        model.initialize_codebook(images)


@pytest.mark.parametrize("composite", [ResidualQuantizer, ProductQuantizer])
def test_the_search_is_float32_under_mixed_precision(mixed_bfloat16, composite):
    entries = codebooks()
    quantizer = quantizer_of(entries, composite=composite)
    z = ops.cast(vectors(500, d=quantizer.embedding_dim), "bfloat16")
    exact = np.asarray(ops.cast(z, "float32"))
    assert {v.dtype for v in quantizer.variables} == {"float32"}
    found = quantizer(z, training=True, return_quantized=True)
    if composite is ResidualQuantizer:
        expected, _, _ = greedy(exact, entries)
    else:
        expected = np.stack([nearest(exact[:, 6 * n : 6 * n + 6], entries[n]) for n in range(3)], axis=-1)
    np.testing.assert_array_equal(found.codes, expected)
    assert keras.backend.standardize_dtype(found.z_q.dtype) == "bfloat16"


@pytest.mark.parametrize("composite", [ResidualQuantizer, ProductQuantizer])
def test_it_works_inside_a_compiled_function_with_unknown_batch_size(composite):
    quantizer = quantizer_of(codebooks(), composite=composite)
    z = vectors(12, d=quantizer.embedding_dim).reshape(3, 4, -1)

    def round_trip(vectors):
        codes = quantizer.encode(vectors)
        return codes, quantizer.decode(codes), quantizer(vectors)

    signature = keras.KerasTensor((None, None, quantizer.embedding_dim), "float32")
    codes, decoded, z_q = backend.compiled(quantizer, "round_trip", round_trip, signature)(z)
    np.testing.assert_array_equal(codes, quantizer.encode(z))
    np.testing.assert_allclose(decoded, quantizer.decode(codes), atol=1e-6)
    np.testing.assert_allclose(z_q, quantizer(z), atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX knows all shapes")
@pytest.mark.parametrize("composite", [ResidualQuantizer, ProductQuantizer])
def test_codes_of_an_unknown_number_of_stages_or_parts_are_refused(composite):
    quantizer = quantizer_of(codebooks(), composite=composite)
    decode = backend.compiled(quantizer, "decode", quantizer.decode, keras.KerasTensor((None, None), "int32"))
    with pytest.raises(ValueError, match=r"The last axis of codes must hold .*3 codes, .* have shape \(None, None\)"):
        decode(np.zeros((5, 3), "int32"))


@pytest.mark.parametrize(
    "make", [lambda kind: ResidualQuantizer(kind(8, 4), 2, 0.5), lambda kind: ProductQuantizer(kind(8, 2), 2)]
)
def test_it_is_a_layer_of_a_functional_model(make, tmp_path):
    x = keras.Input((3, 3, 4))
    model = keras.Model(x, make(EMAVectorQuantizer)(keras.layers.Dense(4)(x)))
    z = vectors(20, d=36).reshape(20, 3, 3, 4)
    model.compile("sgd", "mse")
    model.fit(z, z, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(z, verbose=0), model.predict(z, verbose=0))


# Parts of the channels


@SHARED
def test_each_part_quantizes_its_channels(shared):
    entries = codebooks(3, d=2)
    quantizer = quantizer_of(entries, composite=ProductQuantizer, shared=shared, arguments={"beta": 0.5})
    z = vectors().reshape(2, 5, 4, 6)
    each = stacked(entries, shared)
    channels = [z[..., 2 * n : 2 * n + 2] for n in range(3)]
    codes = np.stack([nearest(channels[n], each[n]) for n in range(3)], axis=-1)
    e = np.concatenate([each[n][codes[..., n]] for n in range(3)], axis=-1)
    assert (quantizer.num_embeddings, quantizer.embedding_dim, quantizer.codes_per_vector) == (8, 6, 3)
    np.testing.assert_array_equal(quantizer.encode(z), codes)
    np.testing.assert_allclose(quantizer.decode(codes), e, atol=1e-6)
    quantized = quantizer(z, return_quantized=True)
    np.testing.assert_array_equal(quantized.codes, codes)
    np.testing.assert_allclose(quantized.z_q, e, atol=1e-6)
    assert quantized.errors is None
    total = sum(mse(channels[n], e[..., 2 * n : 2 * n + 2]) for n in range(3))
    np.testing.assert_allclose(quantized.codebook_loss, total, rtol=1e-5)
    np.testing.assert_allclose(sum(quantizer.losses), 1.5 * total, rtol=1e-5)
    weights = vectors(seed=2).reshape(z.shape)
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)) + sum(quantizer.losses), [z])
    np.testing.assert_allclose(found, weights + 2 * 0.5 * (z - e) / (z.size / 3), rtol=1e-4, atol=1e-6)


@SHARED
def test_averages_of_parts_move_once_a_step_and_after_the_search(shared):
    z, entries = vectors(), codebooks(3, d=2)
    quantizer = quantizer_of(entries, EMAVectorQuantizer, ProductQuantizer, shared, {"decay": 0.5})
    codes, e = quantizer.encode(z), quantizer(z)
    quantized = quantizer(z, training=True, return_quantized=True)
    np.testing.assert_array_equal(quantized.codes, codes)
    np.testing.assert_allclose(quantized.z_q, e, atol=1e-6)
    for place, part in enumerate(quantizer.quantizers):
        counts = np.bincount(np.ravel(codes if shared else codes[:, place]), minlength=8)
        np.testing.assert_allclose(part.counts, 0.5 + 0.5 * counts, rtol=1e-5)


def test_the_nearest_entries_of_the_parts_are_the_nearest_product():
    entries = codebooks(3, d=2)
    quantizer = quantizer_of(entries, composite=ProductQuantizer)
    tuples = np.array(list(itertools.product(range(8), repeat=3)))
    products = np.concatenate([entries[n][tuples[:, n]] for n in range(3)], axis=-1)
    z = vectors()
    np.testing.assert_array_equal(quantizer.encode(z), tuples[nearest(z, products)])


def test_parts_may_be_of_different_sizes():
    quantizer = ProductQuantizer([VectorQuantizer(16, 3), LookupFreeQuantizer(4)])
    z = vectors(100, d=7)
    quantizer.initialize(z)
    expected = KMeans(16, n_init=1, random_state=0).fit(z[:, :3])
    np.testing.assert_allclose(quantizer.parts[0].codebook, expected.cluster_centers_, atol=1e-5)
    np.testing.assert_array_equal(quantizer(z)[:, 3:], np.where(z[:, 3:] > 0, 1, -1))


def test_a_shared_part_starts_from_the_channels_of_all():
    quantizer = ProductQuantizer(VectorQuantizer(16, 3), num_parts=2)
    z = vectors(100)
    quantizer.initialize(z)
    pooled = np.concatenate([z[:, :3], z[:, 3:]])
    expected = KMeans(16, n_init=1, random_state=0).fit(pooled).cluster_centers_
    np.testing.assert_allclose(quantizer.parts[1].codebook, expected, atol=1e-5)


def test_a_model_of_parts_measures_each(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=ProductQuantizer([EMAVectorQuantizer(8, 2), EMAVectorQuantizer(8, 2)]))
    model.adapt(images)
    model.compile("adam")
    history = model.fit(images, verbose=0).history
    assert {"part_1_perplexity", "part_2_codes_used", "codebook_loss", "commitment_loss"} <= set(history)
    assert not any(name.endswith("error") for name in history)
    codes = model.encode(images)
    assert codes.shape == (20, *model.code_shape) == (20, 4, 4, 2)
    with pytest.raises(ValueError, match=r"codes must have shape \(batch, 4, 4, 2\), but have shape \(20, 4, 4, 1\)"):
        model.decode(codes[..., :1])


# Bad input


STAGES = [VectorQuantizer(8, 4), VectorQuantizer(8, 4)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"stages": []}, TypeError, r"stages must be a list of quantizers, or one quantizer for all stages, but \[\]"),
        ({"stages": 3}, TypeError, r"stages must be a list of quantizers, or one quantizer"),
        ({"stages": [keras.layers.Dense(4)]}, TypeError, r"Each of stages must be one of vqlib's quantizers"),
        ({"stages": [ResidualQuantizer(STAGES)]}, TypeError, r"that give one code a vector, for example"),
        ({"stages": ResidualQuantizer(STAGES), "num_stages": 2}, TypeError, r"that give one code a vector"),
        ({"stages": STAGES[0]}, ValueError, r"One quantizer for all stages needs their number, num_stages"),
        ({"stages": STAGES[0], "num_stages": 0}, ValueError, r"num_stages must be an integer of at least 1, but 0"),
        ({"num_stages": 2}, ValueError, r"num_stages goes with one quantizer for all stages: leave it out"),
        ({"stages": [STAGES[0]] * 2}, ValueError, r"One layer stands in stages more than once. .* num_stages"),
        (
            {"stages": [STAGES[0], VectorQuantizer(9, 4)]},
            ValueError,
            r"All stages must have one num_embeddings, since .*, but it is \[8, 9\]",
        ),
        (
            {"stages": [STAGES[0], VectorQuantizer(8, 5)]},
            ValueError,
            r"All stages must have one embedding_dim, that of the vectors, but it is \[4, 5\]",
        ),
        ({"stage_dropout": 1.1}, ValueError, r"stage_dropout must be at least 0 and at most 1, but 1.1 was given"),
        ({"stage_dropout": float("nan")}, ValueError, r"stage_dropout must be at least 0 and at most 1, but nan"),
        ({"scale": 0}, ValueError, r"scale must be above 0 and finite, but 0 was given"),
        ({"estimator": "gumbel"}, ValueError, r"estimator must be one of straight_through, rotation, but 'gumbel'"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ResidualQuantizer(**{"stages": STAGES, **arguments})


def test_parts_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"All parts must have one num_embeddings, .*, but it is \[8, 9\]"):
        ProductQuantizer([VectorQuantizer(8, 4), VectorQuantizer(9, 4)])
    with pytest.raises(ValueError, match=r"One quantizer for all parts needs their number, num_parts"):
        ProductQuantizer(VectorQuantizer(8, 4))


def test_wrong_vectors_and_codes_are_refused():
    quantizer = ResidualQuantizer(STAGES)
    with pytest.raises(ValueError, match=r"last axis of z must have embedding_dim=4 entries, but z has shape"):
        quantizer(np.zeros((5, 3), "float32"))
    with pytest.raises(ValueError, match=r"z contains NaN or infinity"):
        quantizer.encode(np.full((1, 4), np.nan, "float32"))
    with pytest.raises(TypeError, match=r"z must be floating point"):
        quantizer.encode(np.zeros((1, 4), "int32"))
    for shape in ((5, 3), (5, 0), ()):
        with pytest.raises(ValueError, match=r"last axis of codes must hold 1 to 2 codes, one for each stage, but"):
            quantizer.decode(np.zeros(shape, "int32"))
    with pytest.raises(ValueError, match=r"codes must lie in 0..7 \(num_embeddings=8\), but lie in 0..8"):
        quantizer.decode(np.array([[0, 8]]))
    with pytest.raises(ValueError, match=r"last axis of codes must hold 2 codes, one for each part, but"):
        ProductQuantizer(STAGES).decode(np.zeros((5, 1), "int32"))

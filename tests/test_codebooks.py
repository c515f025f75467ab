"""Codebooks that live otherwise: moving averages, restarts, rotated gradients, and rounding without a codebook."""

import json

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import EMAVectorQuantizer, FiniteScalarQuantizer, LookupFreeQuantizer, SimVQ, VectorQuantizer
from vqlib.quantizers import rotation_trick, straight_through


def vectors_and_codebook(n=50, k=16, d=6, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, d)).astype("float32")
    return z, generator.normal(size=(k, d)).astype("float32")


def moving_average_from(codebook, counts, **arguments):
    """Return a quantizer with this codebook and these counts, and sums that match."""
    quantizer = EMAVectorQuantizer(*codebook.shape, **arguments)
    quantizer.codebook.assign(codebook)
    quantizer.counts.assign(counts)
    quantizer.sums.assign(counts[:, None] * codebook)
    return quantizer


# Moving averages


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.99])
def test_averages_follow_the_paper_step_by_step(decay, rng):
    z, codebook = vectors_and_codebook(n=300)
    counts = rng.uniform(1, 5, size=16).astype("float32")
    quantizer = moving_average_from(codebook, counts, decay=decay, epsilon=1e-3)
    n, m = counts.astype("float64"), counts[:, None] * codebook.astype("float64")
    for batch in np.split(z.reshape(3, 10, 10, 6), 3):
        codes = np.asarray(quantizer.encode(batch)).ravel()
        quantizer(batch, training=True)
        for i in range(16):
            chose = batch.reshape(-1, 6)[codes == i]
            n[i] = decay * n[i] + (1 - decay) * len(chose)
            m[i] = decay * m[i] + (1 - decay) * chose.sum(axis=0)
        np.testing.assert_allclose(quantizer.counts, n, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(quantizer.sums, m, rtol=1e-4, atol=1e-5)
        smoothed = (n + 1e-3) / (n.sum() + 16 * 1e-3) * n.sum()
        np.testing.assert_allclose(quantizer.codebook, m / smoothed[:, None], rtol=1e-4, atol=1e-5)


def test_averages_settle_on_the_means_of_the_cells(rng):
    centres = np.array([[3, 0], [0, 3], [-3, 0], [0, -3]], "float32")
    quantizer = moving_average_from(centres + 0.5, np.ones(4, "float32"), decay=0.9)
    z = np.repeat(centres, 25, axis=0) + rng.normal(scale=0.1, size=(100, 2)).astype("float32")
    for _ in range(100):
        quantizer(z, training=True)
    np.testing.assert_allclose(quantizer.codebook, z.reshape(4, 25, 2).mean(axis=1), atol=1e-3)


def test_an_entry_that_nothing_chooses_stays_where_it_is():
    codebook = np.array([[0.0, 0.0], [9.0, 9.0]], "float32")
    quantizer = moving_average_from(codebook, np.ones(2, "float32"))
    for _ in range(20):
        quantizer(np.full((10, 2), 0.5, "float32"), training=True)
    np.testing.assert_allclose(quantizer.codebook[1], [9, 9], rtol=1e-3)
    assert float(quantizer.codebook[0, 0]) > 0.3


def test_without_epsilon_an_average_over_nothing_leaves_its_entry_alone():
    codebook = np.array([[0.0, 0.0], [9.0, 9.0]], "float32")
    quantizer = moving_average_from(codebook, np.ones(2, "float32"), decay=0.0, epsilon=0.0)
    quantizer(np.full((10, 2), 0.5, "float32"), training=True)
    assert float(quantizer.counts[1]) == 0
    np.testing.assert_array_equal(quantizer.codebook, [[0.5, 0.5], [9, 9]])


def test_averages_move_only_in_training():
    z, codebook = vectors_and_codebook()
    quantizer = moving_average_from(codebook, np.ones(16, "float32"))
    for call in (lambda: quantizer(z), lambda: quantizer(z, training=False), lambda: quantizer.encode(z)):
        call()
        np.testing.assert_array_equal(quantizer.codebook, codebook)
        np.testing.assert_array_equal(quantizer.counts, np.ones(16))


def test_averages_that_are_not_trainable_do_not_move(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=EMAVectorQuantizer(8, 4))
    model.quantizer.trainable = False
    model.compile("sgd")
    before = np.array(model.quantizer.codebook)
    model.fit(images, verbose=0)
    np.testing.assert_array_equal(model.quantizer.codebook, before)
    np.testing.assert_array_equal(model.quantizer.counts, np.ones(8))


def test_a_new_quantizer_has_averages_that_match_its_codebook():
    quantizer = EMAVectorQuantizer(8, 4)
    before = np.array(quantizer.codebook)
    np.testing.assert_allclose(quantizer.sums / quantizer.counts[:, None], before, rtol=1e-6)
    assert np.ptp(before) > 0.05


@pytest.mark.parametrize("method", ["kmeans", "data"])
def test_initialize_sets_averages_that_match_the_codebook(method, rng):
    z = rng.normal(size=(20, 7, 7, 4)).astype("float32")
    quantizer = EMAVectorQuantizer(32, 4)
    quantizer.initialize(z, method)
    codebook = np.array(quantizer.codebook)
    np.testing.assert_allclose(quantizer.sums / quantizer.counts[:, None], codebook, rtol=1e-5)
    used = np.bincount(np.ravel(quantizer.encode(z)), minlength=32)
    np.testing.assert_allclose(quantizer.counts, used / used.mean(), rtol=1e-5)
    quantizer(z, training=True)  # the first step is a small one
    assert np.abs(np.asarray(quantizer.codebook) - codebook).max() < 0.6 * codebook.std()


def test_initialize_gives_an_entry_that_no_vector_is_left_for_an_average_to_move(rng):
    vectors = rng.normal(size=(4, 2)).astype("float32")
    vectors[3] = vectors[2]
    quantizer = EMAVectorQuantizer(4, 2)
    quantizer.initialize(vectors, "data")  # two entries are the same, and all vectors choose the first of them
    np.testing.assert_allclose(np.sort(quantizer.counts), [0.25, 1, 1, 2])
    np.testing.assert_allclose(quantizer.sums / quantizer.counts[:, None], quantizer.codebook, rtol=1e-6)


def test_loss_is_the_commitment_loss_alone_and_the_codebook_gets_no_gradient():
    z, codebook = vectors_and_codebook()
    quantizer = moving_average_from(codebook, np.ones(16, "float32"), beta=0.4)
    quantized = quantizer(z, return_quantized=True)
    mean = np.mean((z - codebook[np.asarray(quantizer.encode(z))]) ** 2)
    np.testing.assert_allclose(quantizer.losses, [0.4 * mean], rtol=1e-5)
    np.testing.assert_allclose(quantized.codebook_loss, mean, rtol=1e-5)
    np.testing.assert_allclose(quantized.commitment_loss, 0.4 * mean, rtol=1e-5)
    assert quantizer.trainable_variables == []


def test_averages_are_float32_under_mixed_precision(mixed_bfloat16):
    z, codebook = vectors_and_codebook(n=500)
    quantizer = moving_average_from(codebook, np.ones(16, "float32"))
    quantizer(ops.cast(z, "bfloat16"), training=True)
    assert {v.dtype for v in (quantizer.codebook, quantizer.counts, quantizer.sums)} == {"float32"}
    assert np.asarray(quantizer.counts).max() > 1


@pytest.mark.parametrize("estimator", ["straight_through", "rotation"])
def test_the_output_is_from_the_codebook_before_the_step(estimator):
    z, codebook = vectors_and_codebook()
    quantizer = moving_average_from(codebook, np.ones(16, "float32"), decay=0.5, estimator=estimator)
    expected = codebook[np.asarray(quantizer.encode(z))]
    np.testing.assert_allclose(quantizer(z, training=True), expected, atol=1e-5)
    assert np.abs(np.asarray(quantizer.codebook) - codebook).max() > 0.1


# Restarts


def dead_and_alive(restart_below):
    """Return a quantizer whose second entry is far from all vectors, after one step, and the vectors."""
    z = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    codebook = np.array([[0.0, 0.0], [50.0, 50.0], [0.5, 0.5]], "float32")
    counts = np.array([100.0, 0.5, 100.0], "float32")  # a mean of 66.8
    quantizer = moving_average_from(codebook, counts, restart_below=restart_below, seed=0)
    quantizer(z, training=True)
    return quantizer, z


def test_a_dead_entry_restarts_on_a_vector_of_the_batch():
    quantizer, z = dead_and_alive(restart_below=0.02)  # below a count of 1.3
    np.testing.assert_allclose(np.abs(z - np.asarray(quantizer.codebook[1])).sum(axis=1).min(), 0, atol=1e-4)
    counts = np.asarray(quantizer.counts)
    assert 0.02 * counts.mean() < counts[1] < 0.05 * counts.mean()  # alive, for a while
    assert counts[0] > 90


def test_an_entry_above_the_threshold_is_not_restarted():
    quantizer, _ = dead_and_alive(restart_below=0.005)  # below a count of 0.33
    np.testing.assert_allclose(quantizer.codebook[1], [50, 50], rtol=1e-2)


def test_without_restarts_a_dead_entry_stays():
    quantizer, _ = dead_and_alive(restart_below=0.0)
    np.testing.assert_allclose(quantizer.codebook[1], [50, 50], rtol=1e-2)


def test_restarts_bring_all_codes_into_use(rng):
    z = rng.uniform(-1, 1, size=(512, 2)).astype("float32")
    used = {}
    for restart_below in (0.0, 0.1):
        quantizer = EMAVectorQuantizer(32, 2, decay=0.9, restart_below=restart_below, seed=0)
        quantizer.codebook.assign(np.full((32, 2), 5.0) + rng.normal(size=(32, 2)))
        quantizer._start_averages(np.ones(32))
        for _ in range(60):
            quantizer(z, training=True)
        used[restart_below] = len(np.unique(quantizer.encode(z)))
    assert used[0.0] < 10
    assert used[0.1] == 32


def test_restarts_are_seeded():
    codebooks = [np.asarray(dead_and_alive(0.02)[0].codebook) for _ in range(2)]
    np.testing.assert_array_equal(*codebooks)


# The rotation trick


def test_rotation_forward_is_the_entry():
    z, codebook = vectors_and_codebook()
    z_q = codebook[np.arange(50) % 16]
    np.testing.assert_allclose(rotation_trick(z, z_q), z_q, atol=1e-6)


def test_rotation_gradient_is_that_of_a_rotation_and_scaling_from_z_to_the_entry():
    z, codebook = vectors_and_codebook(n=8)
    z_q, weights = codebook[:8], np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
    (found,) = gradients(lambda z: ops.sum(weights * rotation_trick(z, z_q)), [z])
    for a, b, g, gradient in zip(z.astype("float64"), z_q.astype("float64"), weights, found, strict=True):
        u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
        c = u @ v
        k = np.outer(v, u) - np.outer(u, v)
        rotation = np.eye(6) + k + k @ k / (1 + c)  # from u to v in their plane, the identity beside it
        np.testing.assert_allclose(rotation @ u, v, atol=1e-9)
        np.testing.assert_allclose(
            np.linalg.norm(b) / np.linalg.norm(a) * rotation.T @ g, gradient, rtol=1e-4, atol=1e-5
        )


def test_rotation_passes_no_gradient_to_the_entry():
    z, codebook = vectors_and_codebook(n=16)
    (of_entry,) = gradients(lambda z_q: ops.sum(rotation_trick(z, z_q) ** 2), [codebook])
    np.testing.assert_array_equal(of_entry, np.zeros_like(codebook))


def test_rotation_of_zeros_and_opposites_is_finite():
    z = np.array([[0, 0], [1, 0], [0, 0], [1, 1]], "float32")
    z_q = np.array([[1, 0], [-2, 0], [0, 0], [0, 0]], "float32")
    np.testing.assert_allclose(rotation_trick(z, z_q), z_q, atol=1e-6)
    (found,) = gradients(lambda z: ops.sum(rotation_trick(z, z_q)), [z])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
@pytest.mark.parametrize(("name", "function"), [("straight_through", straight_through), ("rotation", rotation_trick)])
def test_estimator_gives_the_gradient_of_the_input(kind, name, function):
    z, codebook = vectors_and_codebook()
    quantizer = kind(16, 6, beta=0.0, estimator=name)
    quantizer.codebook.assign(codebook)
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    z_q = codebook[np.asarray(quantizer.encode(z))]
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)), [z])
    (expected,) = gradients(lambda z: ops.sum(weights * function(z, z_q)), [z])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# Finite scalar quantization


@pytest.mark.parametrize("levels", [(2,), (3,), (8, 4, 4), (5, 5, 5), (2, 3, 4, 5)], ids=str)
def test_every_code_of_a_grid_can_be_reached_and_decoded(levels, rng):
    quantizer = FiniteScalarQuantizer(levels)
    k, d = int(np.prod(levels)), len(levels)
    assert (quantizer.num_embeddings, quantizer.embedding_dim) == (k, d)
    grid = np.asarray(quantizer.decode(np.arange(k)))
    assert len(np.unique(grid, axis=0)) == k
    for entry, level in zip(grid.T, levels, strict=True):
        np.testing.assert_allclose(np.unique(entry), (np.arange(level) - level // 2) / (level // 2), atol=1e-6)
    z = rng.normal(scale=2.0, size=(200 * k, d)).astype("float32")
    codes = np.asarray(quantizer.encode(z))
    assert len(np.unique(codes)) == k
    np.testing.assert_allclose(quantizer(z), grid[codes], atol=1e-6)


def test_zero_stays_zero_and_extremes_stay_in_range():
    quantizer = FiniteScalarQuantizer((8, 5))
    np.testing.assert_array_equal(quantizer(np.zeros((1, 2), "float32")), [[0, 0]])
    np.testing.assert_allclose(quantizer(np.full((1, 2), -1e6, "float32")), [[-1, -1]])
    np.testing.assert_allclose(quantizer(np.full((1, 2), 1e6, "float32")), [[0.75, 1]])


def test_rounding_passes_the_gradient_of_the_tanh():
    quantizer = FiniteScalarQuantizer((5, 5))
    z, weights = np.random.default_rng(0).normal(size=(2, 20, 2)).astype("float32")
    (found,) = gradients(lambda z: ops.sum(weights * quantizer(z)), [z])
    np.testing.assert_allclose(found, weights * (1 - np.tanh(z) ** 2), rtol=1e-4, atol=1e-6)  # 2 / (5 // 2) of it is 1


def test_scalar_quantizer_adds_no_loss_and_has_no_weights(rng):
    quantizer = FiniteScalarQuantizer((4, 4))
    z = rng.normal(size=(100, 2)).astype("float32")
    quantized = quantizer(z, return_quantized=True)
    assert quantizer.losses == []
    assert quantizer.weights == []
    np.testing.assert_array_equal(quantized.codes, quantizer.encode(z))
    assert quantized.codebook_loss is None
    assert quantized.commitment_loss is None


# All of them, in a model

KINDS = {
    "loss": lambda: VectorQuantizer(8, 4),
    "rotation": lambda: VectorQuantizer(8, 4, estimator="rotation"),
    "moving average": lambda: EMAVectorQuantizer(8, 4),
    "restarts": lambda: EMAVectorQuantizer(8, 4, restart_below=0.3, decay=0.5, seed=0),
    "loss on the sphere": lambda: VectorQuantizer(8, 4, normalize=True),
    "moving average on the sphere": lambda: EMAVectorQuantizer(8, 4, normalize=True, estimator="rotation"),
    "linear map": lambda: SimVQ(8, 4),
    "scalar": lambda: FiniteScalarQuantizer((4, 2)),
    "signs": lambda: LookupFreeQuantizer(3),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_fit_lowers_the_loss(kind, tiny_vqvae, digits):
    model = tiny_vqvae(image_shape=(28, 28, 1), quantizer=KINDS[kind](), data_variance=digits.variance)
    model.compile(keras.optimizers.Adam(3e-3))
    history = model.fit(digits.x_train[:640], batch_size=32, epochs=3, verbose=0).history
    assert history["reconstruction_loss"][-1] < 0.7 * history["reconstruction_loss"][0]
    assert history["codes_used"][-1] > 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("scalar", "signs")])
def test_codebook_moves_in_fit_but_not_in_evaluate(kind, tiny_vqvae, images):
    model = tiny_vqvae(quantizer=KINDS[kind]())
    before = np.array(model.quantizer.codebook)
    model.compile("adam")
    model.evaluate(images, verbose=0)
    np.testing.assert_array_equal(model.quantizer.codebook, before)
    model.fit(images, verbose=0)
    assert np.abs(np.asarray(model.quantizer.codebook) - before).max() > 1e-5


@every_kind
def test_a_saved_model_goes_on_as_if_it_had_not_stopped(kind, tiny_vqvae, images, tmp_path):
    model = tiny_vqvae(quantizer=KINDS[kind]())
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, batch_size=10, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert type(twin.quantizer) is type(model.quantizer)
    for each in (model, twin):
        each.fit(images, batch_size=10, epochs=2, shuffle=False, verbose=0)
    for mine, other in zip(model.variables, twin.variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6, err_msg=mine.path)
    np.testing.assert_array_equal(model.encode(images), twin.encode(images))


@every_kind
def test_a_training_taken_up_in_mid_run_ends_as_one_that_ran_through(kind, tiny_vqvae, images, tmp_path):
    def train(epochs, folder):
        keras.utils.set_random_seed(0)
        model = tiny_vqvae(quantizer=KINDS[kind]())
        model.compile(keras.optimizers.Adam(1e-2))
        resumable = [vqlib.Resumable(folder)]
        model.fit(images, batch_size=10, epochs=epochs, shuffle=False, verbose=0, callbacks=resumable)
        return model

    through = train(4, tmp_path / "through")
    train(2, tmp_path / "stopped")
    resumed = train(4, tmp_path / "stopped")
    for mine, other in zip(through.quantizer.variables, resumed.quantizer.variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6, err_msg=mine.path)
    np.testing.assert_allclose(through.predict(images, verbose=0), resumed.predict(images, verbose=0), atol=1e-5)


@every_kind
def test_config_makes_the_same_quantizer(kind):
    quantizer = KINDS[kind]()
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(quantizer))
    assert twin.get_config() == quantizer.get_config()
    assert type(twin) is type(quantizer)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decay": 1.0}, r"decay must be at least 0 and below 1, but 1.0 was given"),
        ({"decay": -0.1}, r"decay must be at least 0 and below 1, but -0.1 was given"),
        ({"epsilon": -1e-5}, r"epsilon must be at least 0, but -1e-05 was given"),
        ({"restart_below": 1.0}, r"restart_below must be at least 0 and below 1, but 1.0 was given"),
        ({"restart_below": -1}, r"restart_below must be at least 0 and below 1, but -1 was given"),
        ({"estimator": "gumbel"}, r"estimator must be one of straight_through, rotation, but 'gumbel' was given"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EMAVectorQuantizer(8, 4, **arguments)


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match=r'method must be "kmeans" or "data", but \'random\' was given'):
        VectorQuantizer(2, 2).initialize(np.zeros((5, 2), "float32"), method="random")


@pytest.mark.parametrize("levels", [(1, 4), (4, 0), (2.0,)], ids=str)
def test_levels_below_two_are_refused(levels):
    with pytest.raises(ValueError, match=r"Each entry of levels must be"):
        FiniteScalarQuantizer(levels)


@pytest.mark.parametrize("levels", [(), 8], ids=str)
def test_no_levels_are_refused(levels):
    with pytest.raises(ValueError, match=r"levels must hold at least one number, for example \(8, 4, 4\), but"):
        FiniteScalarQuantizer(levels)


@pytest.mark.parametrize("levels", [(1000,) * 4, (2**16, 2**15), np.full(9, 256)], ids=str)
def test_more_codes_than_int32_can_name_are_refused(levels):
    number = np.prod([int(level) for level in levels], dtype=object)
    with pytest.raises(ValueError, match=rf"levels must have at most 2147483647 combinations, .*{number:,}"):
        FiniteScalarQuantizer(levels)


def test_as_many_codes_as_int32_can_name_are_taken():
    assert FiniteScalarQuantizer((2**16 - 1, 2**15)).num_embeddings == 2_147_450_880


@pytest.mark.parametrize("restart_below", [0.0, 0.02])
def test_a_seed_may_be_an_integer_of_numpy(restart_below):
    quantizer = EMAVectorQuantizer(8, 4, restart_below=restart_below, seed=np.int64(3))
    assert json.loads(json.dumps(quantizer.get_config()))["seed"] == 3
    twin = EMAVectorQuantizer(8, 4, restart_below=restart_below, seed=3)
    for mine, other in zip(quantizer.variables[3:], twin.variables[3:], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_levels_may_be_an_array():
    quantizer = FiniteScalarQuantizer(np.array([8, 4]))
    assert quantizer.get_config()["levels"] == (8, 4)
    assert quantizer.num_embeddings == 32


def test_a_quantizer_without_a_codebook_cannot_be_initialized(tiny_vqvae, images):
    model = tiny_vqvae(quantizer=FiniteScalarQuantizer((4, 2)))
    with pytest.raises(TypeError, match=r"FiniteScalarQuantizer has no codebook to initialize"):
        model.initialize_codebook(images)

"""The prior: it sees the past and nothing else, as the textbook's masked convolutions do."""

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import PixelCNN
from vqlib.pixelcnn import MaskedCodeConv2D, MaskedConv2D, causal_mask

SIDE = 7
CELLS = SIDE * SIDE
K = 5
EARLIER = np.tril(np.ones((CELLS, CELLS), bool), -1)  # [p, q]: position p may see position q


def masked_layers(prior):
    return [layer for layer in prior.network.layers if isinstance(layer, MaskedConv2D)]


def one_hot(codes, num_embeddings=K):
    return ops.one_hot(codes, num_embeddings, dtype="float32")


def textbook_convolution(x, layer):
    """Convolve with the whole masked kernel, (B, H, W, C) -> (B, H, W, filters), before the activation."""
    kernel = ops.convert_to_tensor(layer.kernel) * causal_mask(layer.kernel_size, layer.mask_type)[:, :, None, None]
    return ops.conv(x, kernel, padding="same") + ops.convert_to_tensor(layer.bias)


def one_hot_path(prior):
    """Return the prior as a differentiable function of one-hot codes: (B, h, w, K) float -> (B, h, w, K)."""
    first = prior.network.layers[1]
    assert isinstance(first, MaskedCodeConv2D)
    rest = keras.Model(first.output, prior.network.output)
    return lambda x: rest(first.activation(textbook_convolution(x, first)))


@pytest.fixture
def open_prior():
    """A prior of the default depth in which every path is open: positive weights, so nothing cancels.

    Code 0 looks up zeros and no layer has a bias: a grid of zeros gives zeros, and whatever else one code gives
    stands alone, not lost in the rounding of something larger.
    """
    prior = PixelCNN((SIDE, SIDE), K, filters=4)
    generator = np.random.default_rng(0)
    prior.set_weights([(w.ndim > 1) * generator.uniform(0.5, 1.5, size=w.shape) for w in prior.get_weights()])
    kernel = prior.network.layers[1].kernel
    kernel.assign(kernel * (np.arange(K) > 0)[:, None])
    return prior


@pytest.fixture
def wild_prior():
    """A prior of the default depth with large random weights of both signs."""
    prior = PixelCNN((SIDE, SIDE), K, filters=6)
    generator = np.random.default_rng(1)
    prior.set_weights([generator.normal(size=w.shape) / np.sqrt(max(w[..., 0].size, 1)) for w in prior.get_weights()])
    return prior


def seen_by_gradient(prior, codes):
    """Return which positions q have any gradient from the logits of p: (49, 49) bool [p, q]."""
    path = one_hot_path(prior)
    batch = np.repeat(codes, CELLS, axis=0)  # the p-th copy answers for position p
    weights = np.random.default_rng(2).uniform(0.5, 1.5, size=K).astype("float32")

    def output(x):
        logits = ops.reshape(path(x), (CELLS, CELLS, K))
        return ops.sum(ops.diagonal(ops.tensordot(logits, weights, 1)))

    (gradient,) = gradients(output, [one_hot(batch)])
    return (gradient.reshape(CELLS, CELLS, K) != 0).any(axis=-1)


def seen_by_perturbation(prior, codes):
    """Return which positions q change the logits of p when their code changes: (49, 49) bool [p, q]."""
    same = np.repeat(codes.reshape(1, CELLS), CELLS, axis=0)
    changed = same.copy()
    changed[np.arange(CELLS), np.arange(CELLS)] = (same.diagonal() + 1) % K  # the q-th copy differs at q
    before, after = (np.asarray(prior(c.reshape(-1, SIDE, SIDE))).reshape(CELLS, CELLS, K) for c in (same, changed))
    return (before != after).any(axis=-1).T


# Parameters


def test_parameters_are_those_of_the_keras_example():
    prior = PixelCNN(code_shape=(7, 7), num_embeddings=128)
    assert prior.count_params() == 1_049_728
    assert sum(int(np.prod(v.shape)) for v in prior.trainable_variables) == 1_049_728


def test_defaults_are_those_of_the_example():
    assert (
        PixelCNN().get_config().items()
        >= {
            "code_shape": (7, 7),
            "num_embeddings": 128,
            "filters": 128,
            "num_residual_blocks": 2,
            "num_pixelcnn_layers": 2,
        }.items()
    )


def test_masks_are_constants_and_no_weights(wild_prior):
    assert wild_prior.non_trainable_weights == []
    assert all(len(layer.weights) == 2 for layer in masked_layers(wild_prior))


# Masks


def test_masks_are_those_of_the_paper():
    np.testing.assert_array_equal(causal_mask(3, "A"), [[1, 1, 1], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(causal_mask(3, "B"), [[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(causal_mask(1, "A"), [[0]])
    np.testing.assert_array_equal(causal_mask(1, "B"), [[1]])
    assert causal_mask(7, "A").sum() == 24
    assert causal_mask(7, "B").sum() == 25


def test_first_layer_is_of_type_a_and_the_others_of_type_b(wild_prior):
    layers = masked_layers(wild_prior)
    assert [layer.mask_type for layer in layers] == ["A", "B", "B", "B", "B"]
    assert [layer.kernel_size for layer in layers] == [7, 3, 3, 1, 1]


# Causality


def test_one_hot_path_is_the_prior(wild_prior, rng):
    codes = rng.integers(K, size=(3, SIDE, SIDE))
    np.testing.assert_allclose(one_hot_path(wild_prior)(one_hot(codes)), wild_prior(codes), atol=1e-4)


def test_no_logit_has_a_gradient_from_its_own_or_a_later_code(open_prior, wild_prior, rng):
    codes = rng.integers(K, size=(1, SIDE, SIDE))
    for prior in (open_prior, wild_prior):
        seen = seen_by_gradient(prior, codes)
        assert not (seen & ~EARLIER).any()
        assert (seen & EARLIER).any()


def test_no_logit_changes_with_its_own_or_a_later_code(open_prior, wild_prior, rng):
    for prior in (open_prior, wild_prior):
        for _ in range(2):
            seen = seen_by_perturbation(prior, rng.integers(K, size=(1, SIDE, SIDE)))
            assert not (seen & ~EARLIER).any()
            assert (seen & EARLIER).any()


def test_blind_spot_is_136_of_1176_pairs(open_prior, rng):
    by_gradient = seen_by_gradient(open_prior, rng.integers(1, K, size=(1, SIDE, SIDE)))
    by_perturbation = seen_by_perturbation(open_prior, np.zeros((1, SIDE, SIDE), int))
    np.testing.assert_array_equal(by_gradient, by_perturbation)
    assert EARLIER.sum() == 1_176
    assert (EARLIER & ~by_gradient).sum() == 136


def test_first_position_sees_nothing(wild_prior, rng):
    logits = np.asarray(wild_prior(rng.integers(K, size=(6, SIDE, SIDE))))[:, 0, 0]
    np.testing.assert_array_equal(logits, np.broadcast_to(logits[0], logits.shape))


# Non-linearity


def test_each_hidden_layer_is_rectified(wild_prior, rng):
    hidden = [layer for layer in wild_prior.network.layers if hasattr(layer, "kernel") and layer.name != "logits"]
    assert len(hidden) == 9  # one masked layer of codes, two blocks of three, two masked 1 x 1
    for layer in hidden:
        codes = rng.integers(K, size=(4, SIDE, SIDE))
        if isinstance(layer, MaskedCodeConv2D):
            y = np.asarray(layer(codes))
        else:
            x = rng.normal(size=(4, SIDE, SIDE, layer.kernel.shape[-2])).astype("float32")
            y = np.asarray(layer(x))
            assert not np.allclose(np.asarray(layer(-x)), -y, atol=0.1), layer.name
        assert y.min() == 0, layer.name
        assert y.max() > 0, layer.name
        assert (y > 0).mean() < 0.9, layer.name


def test_logits_are_no_affine_function_of_the_codes(wild_prior):
    # Of an affine function, two changes at once would do what they do one by one, added up.
    grids = np.zeros((4, SIDE, SIDE), int)
    grids[1, 0, 0] = grids[2, 0, 1] = grids[3, 0, 0] = grids[3, 0, 1] = 2
    neither, first, second, both = np.asarray(wild_prior(grids))[:, 1:]
    effect = np.abs(first - neither).max()
    assert np.abs(both - first - second + neither).max() > 0.01 * effect > 0


def test_layers_behind_the_residual_blocks_do_not_collapse_to_a_linear_map(wild_prior, rng):
    head = keras.Model(masked_layers(wild_prior)[-2].input, wild_prior.network.output)
    x = rng.normal(size=(4, SIDE, SIDE, 6)).astype("float32")
    assert np.abs(np.asarray(head(x) + head(-x) - 2 * head(0 * x))).max() > 0.01


# Equal to the textbook's convolutions


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_masked_convolution_equals_the_textbooks(mask_type, kernel_size, rng):
    layer = MaskedConv2D(6, kernel_size, mask_type)
    x = rng.normal(size=(3, 5, 4, 2)).astype("float32")
    layer(x)
    layer.bias.assign(rng.normal(size=6))
    weights = rng.normal(size=(3, 5, 4, 6)).astype("float32")

    def output_and_gradients(convolve):
        slopes = gradients(lambda x: ops.sum(convolve(x) * weights), [x], [layer.kernel, layer.bias])
        return [convolve(x), *slopes]

    found = output_and_gradients(layer)
    expected = output_and_gradients(lambda x: textbook_convolution(x, layer))
    for name, one, other in zip(("output", "dx", "dkernel", "dbias"), found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_convolution_of_codes_equals_the_textbooks_of_one_hot_codes(mask_type, kernel_size, rng):
    layer = MaskedCodeConv2D(K, 6, kernel_size, mask_type)
    codes = rng.integers(K, size=(3, 5, 4)).astype("int32")
    layer(codes)
    assert layer.kernel.shape == (kernel_size, kernel_size, K, 6)
    layer.bias.assign(rng.normal(size=6))
    weights = rng.normal(size=(3, 5, 4, 6)).astype("float32")

    def output_and_gradients(convolve):
        slopes = gradients(lambda: ops.sum(convolve() * weights), variables=[layer.kernel, layer.bias])
        return [convolve(), *slopes]

    found = output_and_gradients(lambda: layer(codes))
    expected = output_and_gradients(lambda: textbook_convolution(one_hot(codes), layer))
    for name, one, other in zip(("output", "dkernel", "dbias"), found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("make", [lambda a: MaskedConv2D(6, 3, "B", a), lambda a: MaskedCodeConv2D(K, 6, 3, "A", a)])
def test_activation_comes_last(make, rng):
    plain, activated = make(None), make("tanh")
    x = rng.integers(K, size=(2, 4, 4)) if isinstance(plain, MaskedCodeConv2D) else rng.normal(size=(2, 4, 4, 3))
    plain(x), activated(x)
    plain.bias.assign(rng.normal(size=6))
    activated.set_weights(plain.get_weights())
    np.testing.assert_allclose(activated(x), np.tanh(plain(x)), atol=1e-6)


def test_masked_weights_have_no_effect(wild_prior, rng):
    codes = rng.integers(K, size=(4, SIDE, SIDE))
    before = np.asarray(wild_prior(codes))
    changed = 0
    for layer in masked_layers(wild_prior):
        hidden = causal_mask(layer.kernel_size, layer.mask_type)[:, :, None, None] == 0
        kernel = np.asarray(layer.kernel)
        layer.kernel.assign(np.where(hidden, 100 * rng.normal(size=kernel.shape), kernel))
        changed += np.count_nonzero(np.asarray(layer.kernel) != kernel)
    assert changed == 25 * K * 6 + 2 * 4 * 6 * 3
    np.testing.assert_array_equal(wild_prior(codes), before)


def test_live_weights_have_an_effect(wild_prior, rng):
    codes = rng.integers(K, size=(4, SIDE, SIDE))
    before = np.asarray(wild_prior(codes))
    for layer in masked_layers(wild_prior):
        kernel = np.asarray(layer.kernel)
        layer.kernel.assign(1.1 * kernel)
        assert np.abs(np.asarray(wild_prior(codes)) - before).max() > 1e-4, layer.name
        layer.kernel.assign(kernel)


def test_inference_changes_no_weight(wild_prior, rng):
    codes = rng.integers(K, size=(4, SIDE, SIDE))
    wild_prior.compile("adam", run_eagerly=True)
    before = wild_prior.get_weights()
    wild_prior(codes)
    wild_prior.predict(codes, verbose=0)
    wild_prior.evaluate(codes, verbose=0)
    vqlib.sample(wild_prior, 2)
    for old, new in zip(before, wild_prior.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_training_leaves_masked_weights_alone(wild_prior, rng):
    wild_prior.compile("sgd", run_eagerly=True)
    before = [np.array(layer.kernel) for layer in masked_layers(wild_prior)]
    wild_prior.fit(rng.integers(K, size=(8, SIDE, SIDE)), verbose=0)
    for layer, old in zip(masked_layers(wild_prior), before, strict=True):
        moved = (np.asarray(layer.kernel) != old).any(axis=(2, 3))
        np.testing.assert_array_equal(moved, causal_mask(layer.kernel_size, layer.mask_type) == 1)


# Loss, metrics, training


def nats_by_hand(prior, codes):
    """Return the negative log-likelihood of each code, float64: (N, h, w)."""
    logits = np.asarray(prior(codes), "float64")
    log_p = logits - np.log(np.sum(np.exp(logits - logits.max(-1, keepdims=True)), -1, keepdims=True))
    log_p -= logits.max(-1, keepdims=True)
    return -np.take_along_axis(log_p, codes[..., None], axis=-1)[..., 0]


def test_loss_and_metrics_are_the_cross_entropy_over_the_dataset(tiny_prior, rng):
    prior = tiny_prior(code_shape=(3, 4), num_embeddings=K)
    codes = rng.integers(K, size=(10, 3, 4))
    codes[8:] = np.asarray(prior(codes))[8:].argmin(axis=-1)  # a last smaller batch unlike the others
    prior.compile("adam")
    found = prior.evaluate(codes, batch_size=4, verbose=0, return_dict=True)
    nats = nats_by_hand(prior, codes)
    assert set(found) == {"loss", "nats_per_code", "bits_per_image", "accuracy"}
    np.testing.assert_allclose(found["loss"], nats.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["nats_per_code"], nats.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_image"], nats.sum(axis=(1, 2)).mean() / np.log(2), rtol=1e-5)
    likeliest = np.asarray(prior(codes)).argmax(axis=-1)
    np.testing.assert_allclose(found["accuracy"], (likeliest == codes).mean(), rtol=1e-5)
    per_batch = [nats[i : i + 4].mean() for i in (0, 4, 8)]
    assert abs(np.mean(per_batch) - nats.mean()) > 1e-2, "the test cannot tell"


def test_probabilities_of_all_grids_sum_to_one(tiny_prior):
    prior = tiny_prior()
    grids = np.stack(np.unravel_index(np.arange(81), (3, 3, 3, 3)), axis=-1).reshape(81, 2, 2)
    np.testing.assert_allclose(np.exp(-nats_by_hand(prior, grids).sum(axis=(1, 2))).sum(), 1, rtol=1e-5)


def test_fit_with_plain_compile_reports_every_metric(tiny_prior, rng):
    prior = tiny_prior(code_shape=(3, 4), num_embeddings=K)
    codes = rng.integers(K, size=(10, 3, 4)).astype("int32")
    prior.compile("adam")
    history = prior.fit(codes, validation_data=codes[:3], batch_size=5, epochs=2, verbose=0).history
    np.testing.assert_allclose(prior.predict(codes, verbose=0), prior(codes), atol=1e-5)
    metrics = ("loss", "nats_per_code", "bits_per_image", "accuracy")
    assert set(history) == {f"{prefix}{name}" for name in metrics for prefix in ("", "val_")}
    np.testing.assert_allclose(history["val_loss"][-1], nats_by_hand(prior, codes[:3]).mean(), rtol=1e-4)


def test_training_learns_the_codes(rng):
    keras.utils.set_random_seed(0)
    prior = PixelCNN((3, 3), 4, filters=16)
    codes = np.repeat(rng.integers(4, size=(200, 1, 1)), 3, axis=1).repeat(3, axis=2)  # each grid of one code
    prior.compile(keras.optimizers.Adam(3e-3))
    found = prior.fit(codes, batch_size=20, epochs=12, verbose=0).history
    # All that is to be learned is the first code, ln 4 nats in 9; the rest follows from it.
    assert found["nats_per_code"][-1] < 0.35
    assert found["accuracy"][-1] > 0.85


def test_one_step_is_gradient_descent_on_the_cross_entropy(tiny_prior, rng):
    prior = tiny_prior(code_shape=(3, 4), num_embeddings=K)
    codes = rng.integers(K, size=(8, 3, 4))

    def loss():
        return -ops.mean(ops.take_along_axis(ops.log_softmax(prior(codes)), codes[..., None], axis=-1))

    expected = gradients(loss, variables=prior.trainable_variables)
    before = prior.get_weights()
    prior.compile(keras.optimizers.SGD(1.0))
    prior.fit(codes, batch_size=8, verbose=0)
    for old, new, gradient in zip(before, prior.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, atol=1e-5, rtol=1e-3)


def test_numpy_integers_do_as_arguments(rng):
    codes = rng.integers(K, size=(2, 3, 4))
    sizes = {"filters": np.int64(4), "num_residual_blocks": np.uint8(1), "num_pixelcnn_layers": np.int32(0)}
    prior = PixelCNN(np.array(codes.shape[1:]), codes.max() + 1, **sizes)
    assert prior(codes).shape == (2, 3, 4, codes.max() + 1)
    keys = ("code_shape", "num_embeddings", *sizes)
    assert [type(prior.get_config()[key]) for key in keys] == [tuple, *[int] * 4]
    assert PixelCNN.from_config(prior.get_config()).get_config() == prior.get_config()


def test_other_grids_and_depths(rng):
    prior = PixelCNN((4, 6), 9, filters=4, num_residual_blocks=1, num_pixelcnn_layers=3)
    assert prior(rng.integers(9, size=(2, 4, 6))).shape == (2, 4, 6, 9)
    assert [layer.kernel_size for layer in masked_layers(prior)] == [7, 3, 1, 1, 1]


@pytest.mark.parametrize("blocks", [0, 2])  # without blocks it is the first layer's dropout alone
def test_dropout_is_for_training_alone(tiny_prior, rng, blocks):
    plain, dropped = (tiny_prior(num_residual_blocks=blocks, dropout=dropout) for dropout in (0, 0.5))
    dropped.set_weights([*plain.get_weights(), *dropped.get_weights()[len(plain.get_weights()) :]])
    codes = rng.integers(plain.num_embeddings, size=(8, *plain.code_shape))
    np.testing.assert_array_equal(dropped(codes), plain(codes))
    np.testing.assert_array_equal(plain(codes, training=True), plain(codes))
    assert (np.asarray(dropped(codes, training=True)) != np.asarray(dropped(codes, training=True))).any()
    np.testing.assert_array_equal(vqlib.sample(dropped, 9, seed=0), vqlib.sample(plain, 9, seed=0))
    assert dropped.get_config()["dropout"] == 0.5


def test_saved_prior_gives_the_same_logits(wild_prior, rng, tmp_path):
    codes = rng.integers(K, size=(4, SIDE, SIDE))
    wild_prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    assert twin.get_config() == {**wild_prior.get_config(), "name": twin.name}
    np.testing.assert_array_equal(twin(codes), wild_prior(codes))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run_eagerly is TensorFlow's")
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
    assert isinstance(keras.saving.load_model(tmp_path / "prior.keras"), PixelCNN)


def test_mixed_precision_keeps_logits_float32(mixed_bfloat16, tiny_prior, rng):
    prior = tiny_prior(code_shape=(3, 4), num_embeddings=K)
    codes = rng.integers(K, size=(4, 3, 4))
    assert prior(codes).dtype == "float32"
    prior.compile("adam", run_eagerly=True)
    assert np.isfinite(prior.fit(codes, verbose=0).history["loss"][0])


# Bad input

USES = {
    "call": lambda prior, codes: prior(codes),
    "fit": lambda prior, codes: prior.fit(codes, verbose=0),
    "validation": lambda prior, codes: prior.fit(np.zeros((2, 3, 4), int), validation_data=codes, verbose=0),
    "evaluate": lambda prior, codes: prior.evaluate(codes, verbose=0),
    "predict": lambda prior, codes: prior.predict(codes, verbose=0),
}


@pytest.fixture(scope="module")
def strict_prior():
    """A prior to which no test hands anything that it takes."""
    prior = PixelCNN((3, 4), K, filters=4)
    prior.compile("adam")
    return prior


@pytest.fixture(params=USES)
def use(request, strict_prior):
    """Each way to hand codes to a prior."""
    return lambda codes: USES[request.param](strict_prior, codes)


@pytest.mark.parametrize(("code", "found"), [(K, "0..5"), (-1, "-1..0"), (300, "0..300")])
def test_codes_out_of_range_are_refused(use, code, found):
    codes = np.zeros((2, 3, 4), int)
    codes[1, 2, 3] = code
    with pytest.raises(ValueError, match=rf"must lie in 0..4 \(num_embeddings=5\), but lie in {found}"):
        use(codes)


def test_codes_that_are_not_integers_are_refused(use):
    with pytest.raises(TypeError, match=r"must be integers \(code indices\), but are float"):
        use(np.zeros((2, 3, 4)))


def test_codes_to_validate_on_are_refused_before_the_training(strict_prior):
    before = strict_prior.get_weights()
    with pytest.raises(ValueError, match=r"codes to validate on must lie in 0..4"):
        strict_prior.fit(np.zeros((2, 3, 4), int), validation_data=np.full((2, 3, 4), K), verbose=0)
    for found, expected in zip(strict_prior.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 3), (2, 12), (2, 3, 4, 1)], ids=str)
def test_code_grid_of_wrong_shape_is_refused(use, shape):
    with pytest.raises(ValueError, match=r"must have shape \(batch, 3, 4\), but have shape"):
        use(np.zeros(shape, int))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code_shape": (7,)}, r"code_shape must be \(height, width\), but \(7,\) was given"),
        ({"code_shape": 7}, r"code_shape must be \(height, width\), but 7 was given"),
        ({"code_shape": (7, 0)}, r"Each entry of code_shape must be an integer of at least 1, but 0 was given"),
        ({"num_embeddings": 0}, r"num_embeddings must be an integer of at least 1, but 0 was given"),
        ({"filters": -2}, r"filters must be an integer of at least 1, but -2 was given"),
        ({"filters": 1}, r"filters must be at least 2, because half of them are used within a block; 1 was given"),
        ({"num_residual_blocks": -1}, r"num_residual_blocks must be an integer of at least 0, but -1 was given"),
        ({"num_pixelcnn_layers": 1.5}, r"num_pixelcnn_layers must be an integer of at least 0, but 1.5 was given"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, but 1.0 was given"),
        ({"condition_shape": (), "num_conditions": 10}, r"PixelCNN takes no condition: .* or take GatedPixelCNN"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PixelCNN(**arguments)


@pytest.mark.parametrize(
    ("kernel_size", "mask_type", "message"),
    [
        (4, "A", r"kernel_size must be odd, so that the kernel has a centre, but 4 was given"),
        (0, "A", r"kernel_size must be an integer of at least 1, but 0 was given"),
        (3, "C", r"mask_type must be \"A\" or \"B\", but 'C' was given"),
    ],
)
def test_bad_masks_are_refused(kernel_size, mask_type, message):
    with pytest.raises(ValueError, match=message):
        causal_mask(kernel_size, mask_type)
    with pytest.raises(ValueError, match=message):
        MaskedConv2D(4, kernel_size, mask_type)

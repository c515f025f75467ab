"""The gated prior: it sees all of the past and nothing else, follows its condition, and is sampled fast and right."""

import math

import keras
import numpy as np
import pytest
from gradients import gradients
from keras import ops

import vqlib
from vqlib import GatedPixelCNN, PixelCNN, checkpoints, sample
from vqlib.gated import CroppedCodeConv2D, CroppedConv2D, gate
from vqlib.pixelcnn import MaskedConv2D
from vqlib.sampling import sample_plainly

SIDE = 7
CELLS = SIDE * SIDE
K = 5
EARLIER = np.tril(np.ones((CELLS, CELLS), bool), -1)  # [p, q]: position p may see position q


def with_random_weights(prior, seed=0, spread=1.0):
    """Give a prior weights of both signs, biases too, so that its logits hang on all codes before."""
    generator = np.random.default_rng(seed)
    prior.set_weights([spread * generator.normal(size=w.shape) / np.sqrt(max(len(w), 4)) for w in prior.get_weights()])
    return prior


def wild(code_shape=(4, 6), condition_shape=None, num_layers=2, dropout=0.0):
    """Return a small prior."""
    conditioned = {} if condition_shape is None else {"condition_shape": condition_shape, "num_conditions": 3}
    prior = GatedPixelCNN(code_shape, K, filters=6, num_layers=num_layers, dropout=dropout, **conditioned)
    return with_random_weights(prior, spread=2.0)


def inputs(prior, rng, number=6):
    """Return random codes, with a random condition where the prior takes one."""
    codes = rng.integers(prior.num_embeddings, size=(number, *prior.code_shape)).astype("int32")
    if prior.condition_shape is None:
        return codes
    return codes, rng.integers(prior.num_conditions, size=(number, *prior.condition_shape)).astype("int32")


def full_convolution(x, layer):
    """Convolve as :class:`CroppedConv2D` does, with its kernel in the middle of a 7 x 7 one of zeros."""
    kernel = np.zeros((7, 7, *layer.kernel.shape[2:]), "float32")
    rows, columns = (slice(3 + first, 4 + last) for first, last in (layer.rows, layer.columns))
    kernel[rows, columns] = np.asarray(layer.kernel)
    return np.asarray(ops.conv(ops.convert_to_tensor(x), kernel, padding="same")) + np.asarray(layer.bias)


# Size


def test_defaults_are_no_larger_than_the_plain_prior():
    plain, gated = PixelCNN(), GatedPixelCNN()
    dense = [layer for layer in gated.network.layers if hasattr(layer, "kernel")]
    multiplied = sum(int(np.prod(each.kernel.shape)) for each in dense if not isinstance(each, CroppedCodeConv2D))
    live = 0
    for layer in plain.network.layers[2:]:
        taps = layer.mask.mean() if isinstance(layer, MaskedConv2D) else 1
        live += int(taps * np.prod(layer.kernel.shape)) if hasattr(layer, "kernel") else 0
    assert (gated.count_params(), plain.count_params()) == (470_048, 1_049_728)
    assert (multiplied, live) == (173_568, 180_224)


# What a position sees


@pytest.fixture(scope="module")
def open_prior():
    """A prior of the default depth in which every path is open: positive weights, no biases, code 0 looks up zeros."""
    prior = GatedPixelCNN((SIDE, SIDE), K, filters=4)
    generator = np.random.default_rng(0)
    prior.set_weights([(w.ndim > 1) * generator.uniform(0.02, 0.06, size=w.shape) for w in prior.get_weights()])
    for name in ("vertical_0", "horizontal_0"):
        kernel = prior.network.get_layer(name).kernel
        kernel.assign(kernel * (np.arange(K) > 0)[:, None])
    return prior


def seen_by_gradient(prior, codes):
    """Return which positions q have any gradient from the logits of p: (49, 49) bool [p, q]."""
    first = [prior.network.get_layer(name) for name in ("vertical_0", "horizontal_0")]
    rest = keras.Model([layer.output for layer in first], prior.network.output)
    weights = np.random.default_rng(2).uniform(0.5, 1.5, size=K).astype("float32")

    def output(x):
        logits = ops.reshape(rest([CroppedConv2D.call(layer, x) for layer in first]), (CELLS, CELLS, K))
        return ops.sum(ops.diagonal(ops.tensordot(logits, weights, 1)))  # the p-th copy answers for position p

    (gradient,) = gradients(output, [ops.one_hot(np.repeat(codes, CELLS, axis=0), K, dtype="float32")])
    return (gradient.reshape(CELLS, CELLS, K) != 0).any(axis=-1)


def seen_by_perturbation(prior, codes, condition=()):
    """Return which positions q change the logits of p when their code changes: (49, 49) bool [p, q]."""
    same = np.repeat(codes.reshape(1, CELLS), CELLS, axis=0)
    changed = same.copy()
    changed[np.arange(CELLS), np.arange(CELLS)] = (same.diagonal() + 1) % K  # the q-th copy differs at q
    grids = (each.reshape(-1, SIDE, SIDE) for each in (same, changed))
    before, after = (np.asarray(prior((x, *condition) if condition else x)).reshape(CELLS, CELLS, K) for x in grids)
    return (before != after).any(axis=-1).T


def test_no_legal_pair_is_blind(open_prior, rng):
    assert EARLIER.sum() == 1_176
    np.testing.assert_array_equal(seen_by_gradient(open_prior, rng.integers(1, K, size=(1, SIDE, SIDE))), EARLIER)
    np.testing.assert_array_equal(seen_by_perturbation(open_prior, np.zeros((1, SIDE, SIDE), int)), EARLIER)


@pytest.mark.parametrize("condition_shape", [None, (), (7, 7)], ids=str)
def test_no_logit_hangs_on_its_own_or_a_later_code(condition_shape, rng):
    prior = wild((SIDE, SIDE), condition_shape, num_layers=4)
    codes = rng.integers(K, size=(1, SIDE, SIDE))
    condition = [] if condition_shape is None else [rng.integers(3, size=(CELLS, *condition_shape))]
    seen = [seen_by_perturbation(prior, codes, condition)]
    if not condition:
        seen.append(seen_by_gradient(prior, codes))
    for each in seen:
        assert not (each & ~EARLIER).any()
        assert (each & EARLIER).sum() > 500


# Equal to the equations written plainly


@pytest.mark.parametrize(("rows", "columns"), [((-3, -1), (-3, 3)), ((0, 0), (-3, -1)), ((-1, 0), (-1, 1))], ids=str)
def test_cropped_convolution_is_one_with_a_kernel_of_zeros_around_it(rows, columns, rng):
    layer, codes_layer = CroppedConv2D(6, rows, columns), CroppedCodeConv2D(K, 6, rows, columns)
    for shape in [(5, 4), (1, 1), (1, 6), (6, 1)]:
        x, codes = rng.normal(size=(3, *shape, 2)).astype("float32"), rng.integers(K, size=(3, *shape))
        one_hot = np.eye(K, dtype="float32")[codes]
        layer(x), codes_layer(codes.astype("int32"))
        for each in (layer, codes_layer):
            each.bias.assign(rng.normal(size=6))
        np.testing.assert_allclose(layer(x), full_convolution(x, layer), atol=1e-5)
        for codes_layer.look_up in (True, False):
            found = codes_layer.call(ops.convert_to_tensor(codes.astype("int32")))
            np.testing.assert_allclose(found, full_convolution(one_hot, codes_layer), atol=1e-5)


def test_gate_is_tanh_times_sigmoid(rng):
    x = rng.normal(size=(3, 4, 10)).astype("float32")
    np.testing.assert_allclose(gate(x), np.tanh(x[..., :5]) / (1 + np.exp(-x[..., 5:])), atol=1e-6)


@pytest.mark.parametrize("condition_shape", [None, (), (2, 3)], ids=str)
def test_logits_are_those_of_the_equations_written_plainly(condition_shape, rng):
    prior = wild(condition_shape=condition_shape, num_layers=3)
    layer = prior.network.get_layer
    x = inputs(prior, rng)
    codes = x if condition_shape is None else x[0]

    def dense(y, name):
        bias = 0 if layer(name).bias is None else np.asarray(layer(name).bias)
        return (np.asarray(y, "float32") @ np.asarray(layer(name).kernel) + bias).astype("float32")

    def told(n, stack):
        if condition_shape is None:
            return 0
        if condition_shape == ():
            return dense(np.eye(3)[x[1]][:, None, None], f"condition_to_{stack}_{n}")
        y = np.asarray(layer("condition").get_layer("condition_embedding").embeddings)[x[1]]
        y = y.repeat(2, axis=1).repeat(2, axis=2).astype("float32")  # (6, 4, 6, 6)
        for i in range(2):
            conv = layer("condition").get_layer(f"condition_conv_{i}")
            y = np.maximum(np.asarray(ops.conv(y, conv.kernel, padding="same")) + np.asarray(conv.bias), 0)
        return dense(y, f"condition_to_{stack}_{n}")

    vertical = horizontal = np.eye(K, dtype="float32")[codes]
    for n in range(3):
        before = full_convolution(vertical, layer(f"vertical_{n}")) + told(n, "vertical")
        aside = full_convolution(horizontal, layer(f"horizontal_{n}")) + told(n, "horizontal")
        vertical = np.asarray(gate(before))
        out = dense(gate(aside + dense(before, f"vertical_to_horizontal_{n}")), f"out_{n}")
        horizontal = out + horizontal if n else out
    expected = dense(np.maximum(dense(np.maximum(horizontal, 0), "hidden"), 0), "logits")
    np.testing.assert_allclose(prior(x), expected, atol=1e-4)


def test_condition_enters_every_gate(rng):
    prior = wild(condition_shape=(), num_layers=2)
    twin = GatedPixelCNN.from_config(prior.get_config())
    codes = np.repeat(inputs(prior, rng, 1)[0], 2, axis=0)
    names = [f"condition_to_{stack}_{n}" for stack in ("vertical", "horizontal") for n in range(2)]
    for alone in names:
        twin.set_weights(prior.get_weights())
        for name in set(names) - {alone}:
            kernel = twin.network.get_layer(name).kernel
            kernel.assign(0 * kernel)
        one, other = np.asarray(twin((codes, np.array([0, 1]))))
        assert (np.abs(one - other).max(axis=-1) > 1e-4).all(), alone


# Training


@pytest.mark.parametrize("condition_shape", [None, (), (1, 2)], ids=str)
def test_loss_and_metrics_are_the_cross_entropy(condition_shape, rng):
    prior = wild((3, 4), condition_shape)
    x = inputs(prior, rng, 10)
    codes = x if condition_shape is None else x[0]
    prior.compile("adam")
    found = prior.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    logits = np.asarray(prior(x), "float64")
    np.testing.assert_allclose(prior.predict(x, batch_size=4, verbose=0), logits, atol=1e-4)
    chosen = np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    nats = np.log(np.exp(logits).sum(axis=-1)) - chosen
    assert set(found) == {"loss", "nats_per_code", "bits_per_image", "accuracy"}
    np.testing.assert_allclose([found["loss"], found["nats_per_code"]], nats.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_image"], 12 * nats.mean() / np.log(2), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], (logits.argmax(axis=-1) == codes).mean(), rtol=1e-5)


@pytest.mark.parametrize("pack", [lambda x: (x,), lambda x: (x, None)], ids=["(x,)", "(x, None)"])
def test_training_learns_the_codes_of_each_class(pack, rng):
    keras.utils.set_random_seed(0)
    labels = rng.integers(4, size=200)
    codes = np.broadcast_to((labels * 3 % 4)[:, None, None], (200, 2, 2)).astype("int32")
    prior = GatedPixelCNN((2, 2), 4, filters=8, num_layers=2, dropout=0.1, condition_shape=(), num_conditions=4)
    prior.compile(keras.optimizers.Adam(0.02))
    x = (codes, labels)
    history = prior.fit(x, validation_data=pack(x), batch_size=20, epochs=8, verbose=0).history
    assert history["val_nats_per_code"][-1] < 0.1  # without the label, the first code alone costs ln 4 / 4 = 0.35
    drawn = sample(prior, 8, condition=np.arange(8) % 4, temperature=0.2, seed=0)
    np.testing.assert_array_equal(drawn, np.broadcast_to((np.arange(8) * 3 % 4)[:, None, None], (8, 2, 2)))


def test_numpy_integers_do_as_arguments(rng):
    codes, labels = rng.integers(K, size=(2, 3, 4)), rng.integers(3, size=(2, 1, 2))
    sizes = {"filters": np.int64(4), "num_layers": np.uint8(1), "num_conditions": labels.max() + 1}
    prior = GatedPixelCNN(np.array(codes.shape[1:]), codes.max() + 1, condition_shape=np.array([1, 2]), **sizes)
    assert prior((codes, labels)).shape == (2, 3, 4, codes.max() + 1)
    config = prior.get_config()
    assert [type(config[key]) for key in sizes] == [int] * 3
    assert [type(size) for size in config["condition_shape"]] == [int] * 2


def test_dropout_is_for_training_alone(rng):
    plain, dropped = wild((2, 3)), wild((2, 3), dropout=0.5)
    codes = inputs(plain, rng)
    np.testing.assert_array_equal(dropped(codes), plain(codes))
    np.testing.assert_array_equal(dropped.predict(codes, verbose=0), plain.predict(codes, verbose=0))
    one, other = (np.asarray(dropped(codes, training=True)) for _ in range(2))
    assert (one != other).any(axis=(0, 3)).all()
    np.testing.assert_array_equal(plain(codes, training=True), plain(codes))
    np.testing.assert_array_equal(sample(dropped, 9, seed=0), sample(plain, 9, seed=0))


# Told nothing, and guided


def told_or_not(**arguments):
    """Return a small prior that may be told one of three classes, or nothing."""
    conditioned = {"condition_shape": (), "num_conditions": 3, "condition_dropout": 0.3, **arguments}
    return with_random_weights(GatedPixelCNN((3, 4), K, filters=6, num_layers=2, **conditioned), spread=2.0)


def test_training_tells_a_share_of_the_examples_nothing(rng):
    prior = told_or_not()
    codes = np.repeat(rng.integers(K, size=(1, 3, 4)), 2000, axis=0)
    labels = rng.integers(3, size=2000)
    told, untold = np.asarray(prior((codes, labels))), np.asarray(prior((codes, np.full(2000, -1))))
    assert (told != untold).any(axis=-1).all()
    trained = np.asarray(prior((codes, labels), training=True))
    was_told = np.isclose(trained, told, atol=1e-5).all(axis=(1, 2, 3))
    was_not = np.isclose(trained, untold, atol=1e-5).all(axis=(1, 2, 3))
    assert (was_told != was_not).all()  # all of the condition, or nothing of it
    assert abs(was_not.mean() - 0.3) < 0.05
    assert (np.asarray(prior((codes, labels), training=True)) != trained).any()


def test_prior_that_is_told_nothing_is_one_without_a_condition(rng):
    prior, plain = told_or_not(), GatedPixelCNN((3, 4), K, filters=6, num_layers=2)
    for layer in plain.network.layers:
        layer.set_weights(prior.network.get_layer(layer.name).get_weights())
    codes = rng.integers(K, size=(6, 3, 4))
    np.testing.assert_allclose(prior((codes, np.full(6, -1))), plain(codes), atol=1e-5)
    np.testing.assert_array_equal(sample(prior, 20, condition=-1, seed=0), sample(plain, 20, seed=0))


@pytest.mark.parametrize("guidance", [0.5, 3.0, -1.0])
def test_guided_samples_are_drawn_from_the_guided_logits(guidance, rng):
    prior = told_or_not()

    class GuidedByHand:
        code_shape, num_embeddings = prior.code_shape, K

        def __call__(self, codes):
            told, untold = prior((codes, labels)), prior((codes, -np.ones_like(labels)))
            return told + guidance * (told - untold)

    labels = rng.integers(3, size=60).astype("int32")
    arguments = {"condition": labels, "guidance": guidance, "seed": 1, "temperature": 0.7}
    codes = sample(prior, **arguments)
    np.testing.assert_array_equal(codes, sample_plainly(prior, **arguments))
    np.testing.assert_array_equal(codes, sample_plainly(GuidedByHand(), 60, seed=1, temperature=0.7))
    assert (codes != sample(prior, **{**arguments, "guidance": 0.0})).any()


def test_prior_in_double_precision_is_sampled_alike():
    prior = told_or_not()
    expected = [sample(prior, 30, condition=1, seed=0, guidance=guidance) for guidance in (0, 2)]
    keras.config.set_dtype_policy("float64")
    try:
        double = GatedPixelCNN.from_config({**prior.get_config(), "dtype": "float64"})
        double.set_weights(prior.get_weights())
        for guidance, codes in zip((0, 2), expected, strict=True):
            for draw in (sample, sample_plainly):
                drawn = draw(double, 30, condition=1, seed=0, guidance=guidance)
                assert np.mean((drawn == codes).all(axis=(1, 2))) > 0.9
    finally:
        keras.config.set_dtype_policy("float32")


def test_guidance_may_change_from_call_to_call_and_be_none():
    prior = told_or_not()
    drawn = {guidance: sample(prior, 60, condition=2, seed=1, guidance=guidance) for guidance in (0, 1, 4.0)}
    assert len({codes.tobytes() for codes in drawn.values()}) == 3
    np.testing.assert_array_equal(drawn[0], sample(prior, 60, condition=2, seed=1))
    untold = sample(prior, 60, condition=-1, seed=1)
    np.testing.assert_array_equal(untold, sample(prior, 60, condition=2, seed=1, guidance=-1))


@pytest.mark.parametrize("guidance", [math.nan, math.inf, "1", [1.0, 2.0], None], ids=str)
def test_guidance_is_a_finite_number(guidance):
    prior = told_or_not()
    with pytest.raises(ValueError, match=r"guidance must be a finite number, but"):
        sample(prior, 2, condition=1, guidance=guidance)
    with pytest.raises(ValueError, match=r"values in 0\.\.\d+, or -1 for nothing told"):
        sample(prior, 2)


def test_guidance_is_refused_by_a_prior_that_was_always_told(rng):
    for prior, told in ((wild(), {}), (wild(condition_shape=()), {"condition": 1})):
        with pytest.raises(ValueError, match=r"guidance=2 was given, but this prior never learned .*condition_dropout"):
            sample(prior, 3, guidance=2, **told)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.2 \(num_conditions=3\), but lies in -1\.\.-1"):
        sample(wild(condition_shape=()), 3, condition=-1)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.2 .*, or be -1 for nothing, but lies in -2\.\.-2"):
        sample(told_or_not(), 3, condition=-2)


def test_training_that_leaves_out_conditions_is_saved_and_goes_on(rng, tmp_path):
    prior = told_or_not(dropout=0.1)
    x = inputs(prior, rng, 40)
    prior.compile("adam")
    prior.fit(x, verbose=0)
    prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    assert twin.get_config() == prior.get_config()
    assert twin.condition_dropout == 0.3
    np.testing.assert_array_equal(twin(x), prior(x))
    assert np.isfinite(twin.fit(x, verbose=0).history["loss"][0])


# Saving


@pytest.mark.parametrize("condition_shape", [None, (), (2, 3)], ids=str)
def test_saved_prior_gives_the_same_logits(condition_shape, rng, tmp_path, digits):
    prior = wild(condition_shape=condition_shape, dropout=0.25)
    x = inputs(prior, rng)
    prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    assert twin.get_config() == prior.get_config()
    assert twin.dropout == 0.25  # the logits do not show it
    np.testing.assert_array_equal(twin(x), prior(x))
    checkpoints.save(prior, "gated", data=digits, seed=0, epochs=1, minutes=1, metrics={}, folder=tmp_path)
    loaded = vqlib.load_pretrained("gated", tmp_path)
    assert type(loaded) is GatedPixelCNN
    np.testing.assert_array_equal(loaded(x), prior(x))


# Sampling: fast and plainly, the same codes from the same noise

SAMPLED = [
    ((1, 1), None, 1),
    ((1, 5), (), 2),
    ((5, 1), (5, 1), 2),
    ((4, 6), (2, 3), 2),
    ((7, 7), None, 4),
]


@pytest.mark.parametrize(("code_shape", "condition_shape", "num_layers"), SAMPLED, ids=str)
def test_fast_samples_are_those_of_the_whole_network(code_shape, condition_shape, num_layers, rng):
    prior = wild(code_shape, condition_shape, num_layers)
    for number, temperature in [(20, 1.0), (3, 0.4), (1, 2.5)]:
        known = rng.integers(K, size=(number, *code_shape)).astype("int32")
        keep = rng.random(known.shape) < 0.4
        condition = None if condition_shape is None else rng.integers(3, size=(number, *condition_shape))
        arguments = {"seed": number, "temperature": temperature, "condition": condition}
        codes = sample(prior, number, **arguments)
        np.testing.assert_array_equal(codes, sample_plainly(prior, number, **arguments))
        inpainted = sample(prior, codes=known, keep=keep, **arguments)
        np.testing.assert_array_equal(inpainted, sample_plainly(prior, codes=known, keep=keep, **arguments))
        np.testing.assert_array_equal(inpainted[keep], known[keep])
        if number == 20:
            assert (codes != codes[0]).any(axis=0).all()


def test_each_sample_follows_its_own_condition(rng, monkeypatch):
    prior = wild(condition_shape=(2, 3))
    condition = rng.integers(3, size=(12, 2, 3))
    whole = sample(prior, condition=condition, seed=0)
    for other in (condition[::-1], (condition + 1) % 3):
        assert not np.array_equal(sample(prior, condition=other, seed=0), whole)
    monkeypatch.setattr(vqlib.sampling, "SAMPLES_AT_ONCE", 5)
    np.testing.assert_array_equal(sample(prior, condition=condition, seed=0), whole)


def test_gated_prior_that_sees_its_own_row_from_above_is_only_drawn_from_plainly():
    prior = wild()
    prior.network.get_layer("vertical_0").origin = (2, 3)
    with pytest.raises(ValueError, match=r"'vertical_0' sees the code that is to be drawn: .*_plainly draws"):
        sample(prior, 3)
    assert sample_plainly(prior, 3).shape == (3, 4, 6)


@pytest.mark.parametrize("condition_shape", [None, (1, 2)], ids=str)
def test_mixed_precision_works(mixed_bfloat16, condition_shape, rng):
    conditioned = {} if condition_shape is None else {"condition_shape": condition_shape, "num_conditions": 3}
    prior = with_random_weights(GatedPixelCNN((3, 4), K, filters=6, num_layers=2, dropout=0.1, **conditioned))
    x = inputs(prior, rng, 50)
    assert prior(x).dtype == "float32"
    condition = x[1] if conditioned else None
    codes = sample(prior, 50, condition=condition, seed=0)
    assert (
        codes == sample_plainly(prior, 50, condition=condition, seed=0)
    ).mean() > 0.9  # bfloat16 tips some close choices
    prior.compile("adam")
    assert np.isfinite(prior.fit(x, verbose=0).history["loss"][0])


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, r"filters must be an integer of at least 1, but 0 was given"),
        ({"num_layers": 0}, r"num_layers must be an integer of at least 1, but 0 was given"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, but 1.0 was given"),
        ({"dropout": False}, r"dropout must be at least 0 and below 1, but False was given"),
        ({"dropout": "0.1"}, r"dropout must be at least 0 and below 1, but '0.1' was given"),
        ({"code_shape": (7,)}, r"code_shape must be \(height, width\), but \(7,\) was given"),
        ({"condition_dropout": 0.1}, r"condition_dropout is for class labels: give condition_shape=\(\)"),
        (
            {"condition_shape": (7, 7), "num_conditions": 2, "condition_dropout": 0.1},
            r"condition_dropout is for class labels",
        ),
        (
            {"condition_shape": (), "num_conditions": 2, "condition_dropout": 1},
            r"condition_dropout must be at least 0 and below 1, but 1 was",
        ),
        ({"condition_shape": ()}, r"Give both condition_shape and num_conditions, or neither"),
        ({"num_conditions": 10}, r"Give both .* For class labels, condition_shape=\(\)"),
        ({"condition_shape": (), "num_conditions": 0}, r"num_conditions must be an integer of at least 1"),
        ({"condition_shape": (7,), "num_conditions": 2}, r"condition_shape must be \(\) for class labels, or \(height"),
        ({"condition_shape": (3, 7), "num_conditions": 2}, r"divide those of code_shape=\(7, 7\), but \(3, 7\) was"),
        ({"condition_shape": (0, 7), "num_conditions": 2}, r"Each entry of condition_shape must be an integer"),
        (
            {"condition_shape": 10, "num_conditions": 10},
            r"or \(height, width\) .*, but 10 was given\. How many .* num_cond",
        ),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GatedPixelCNN(**arguments)


@pytest.mark.parametrize(("rows", "columns"), [((1, 2), (0, 0)), ((0, 0), (-1, -2))], ids=str)
def test_kernels_that_begin_after_the_position_or_are_empty_are_refused(rows, columns):
    with pytest.raises(ValueError, match=r"must begin at 0 or before, and not end before that"):
        CroppedConv2D(4, rows, columns)


USES = {
    "call": lambda prior, x: prior(x),
    "fit": lambda prior, x: prior.fit(x, verbose=0),
    "validation": lambda prior, x: prior.fit((CODES, LABELS), validation_data=(x,), verbose=0),
    "evaluate": lambda prior, x: prior.evaluate(x, verbose=0),
    "predict": lambda prior, x: prior.predict(x, verbose=0),
}
CODES, LABELS = np.zeros((2, 4, 6), "int32"), np.zeros(2, "int32")


@pytest.fixture(scope="module")
def strict_prior():
    """A prior that is told a class, to which no test hands anything that it takes."""
    prior = wild(condition_shape=())
    prior.compile("adam")
    return prior


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (CODES, ValueError, r"this prior is conditioned and takes the pair \(codes, condition\)"),
        ((CODES, LABELS + 3), ValueError, r"class labels, must lie in 0..2 \(num_conditions=3\), but lies in 3..3"),
        ((CODES, LABELS - 1), ValueError, r"must lie in 0..2 \(num_conditions=3\), but lies in -1..-1"),
        ((CODES, LABELS[:, None]), ValueError, r"condition must be class labels of shape \((2|batch)\), but has"),
        ((CODES, LABELS + 0.5), TypeError, r"condition must be integers, class labels, but is float"),
        ((CODES + 5, LABELS), ValueError, r"must lie in 0..4 \(num_embeddings=5\)"),
    ],
    ids=["codes alone", "label too large", "label below 0", "labels of rank 2", "float labels", "code too large"],
)
def test_what_a_conditioned_prior_does_not_take_is_refused(strict_prior, use, x, error, message):
    with pytest.raises(error, match=message):
        use(strict_prior, x)


def test_condition_of_another_length_is_refused(strict_prior):
    with pytest.raises(ValueError, match=r"condition must be class labels of shape \(2\), but has shape \(1,\)"):
        strict_prior.fit((CODES, LABELS[:1]))


@pytest.mark.parametrize("make", [wild, lambda: PixelCNN((4, 6), K, filters=2)], ids=["gated", "plain"])
def test_pair_is_refused_by_a_prior_without_a_condition(make):
    prior = make()
    prior.compile("adam")
    with pytest.raises(ValueError, match=r"a tuple was given, but this prior takes an array of codes alone"):
        prior.fit((CODES, LABELS))

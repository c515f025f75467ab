"""The masked transformer: what a step hides, what it learns from that, and what can be said of its bits."""

import keras
import numpy as np
import pytest
from keras import ops
from test_transformer import K, inputs, wild

from vqlib import MaskedTransformer, Resumable
from vqlib.masked import hidden_probabilities, hidden_share


def masked(condition_shape=None, **arguments):
    """Return a small masked transformer over 3 x 4 grids."""
    return wild((3, 4), condition_shape, make=MaskedTransformer, **arguments)


def nats_of(logits, codes):
    """Return minus the log-probability of each code: (B, h, w, K) -> (B, h, w)."""
    logits = np.asarray(logits, "float64")
    chosen = np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    return np.log(np.exp(logits).sum(axis=-1)) - chosen


# What a step hides


def test_cosine_schedule_hides_all_at_first_and_nothing_at_the_end():
    np.testing.assert_allclose(hidden_share([0, 1 / 3, 0.5, 2 / 3, 1]), [1, 3**0.5 / 2, 0.5**0.5, 0.5, 0], atol=1e-12)


@pytest.mark.parametrize("number", [1, 12, 49])
def test_probabilities_are_those_of_the_schedule(number):
    u = (np.arange(100_000) + 0.5) / 100_000
    counted = np.bincount(np.ceil(number * hidden_share(u)).astype(int), minlength=number + 1) / len(u)
    np.testing.assert_allclose(hidden_probabilities(number), counted[1:], atol=2e-5)


def test_a_step_hides_as_many_as_the_schedule_says_at_any_places():
    prior = masked()
    codes = np.zeros((4_000, 3, 4), "int32")
    first, second = (np.asarray(prior.hide(codes, prior.training_seeds)) for _ in range(2))
    assert (first != second).any()
    counted = np.bincount(first.sum(axis=(1, 2)), minlength=13) / len(codes)
    assert counted[0] == 0
    np.testing.assert_allclose(counted[1:], hidden_probabilities(12), atol=1e-3)  # spread evenly, not at random
    expected = (np.arange(1, 13) * hidden_probabilities(12)).sum() / 12
    np.testing.assert_allclose(first.mean(axis=0), expected, atol=0.03)
    few = first[first.sum(axis=(1, 2)) == 2].reshape(-1, 12)
    np.testing.assert_allclose(np.corrcoef(few.T)[~np.eye(12, dtype=bool)], -1 / 11, atol=0.2)  # no pattern


def test_place_in_a_batch_does_not_decide_how_many_are_hidden():
    prior = masked()
    codes = np.zeros((4, 3, 4), "int32")
    counted = [np.asarray(prior.hide(codes, prior.training_seeds)).sum(axis=(1, 2)) for _ in range(200)]
    expected = (np.arange(1, 13) * hidden_probabilities(12)).sum()
    np.testing.assert_allclose(np.mean(counted, axis=0), expected, atol=1.2)
    assert np.mean(counted, axis=1).std() < 0.7 * np.std(counted) / 2  # than four that do not hang on each other


def test_codes_in_one_byte_have_room_for_what_is_hidden(rng, monkeypatch):
    prior = MaskedTransformer((2, 2), 256, 4, 1, 2)
    codes = rng.integers(256, size=(4, 2, 2))
    monkeypatch.setattr(prior, "hide", lambda codes, seeds: ops.ones_like(codes, "bool"))
    with prior._hiding():
        logits, _ = prior(codes.astype("uint8"))
    np.testing.assert_array_equal(logits, prior(np.full((4, 2, 2), 256)))


@pytest.mark.parametrize("condition_shape", [None, (), (1, 2)], ids=str)
def test_a_step_sees_nothing_of_what_it_hides(condition_shape, rng, monkeypatch):
    prior = masked(condition_shape)
    x = inputs(prior, rng)
    codes, *condition = [x] if condition_shape is None else x
    hidden = rng.random(codes.shape) < 0.5
    monkeypatch.setattr(prior, "hide", lambda codes, seeds: ops.convert_to_tensor(hidden))
    other = np.where(hidden, (codes + 1) % K, codes)
    with prior._hiding():
        one, two = (prior((each, *condition) if condition else each) for each in (codes, other))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], hidden)
    seen = np.where(hidden, prior.mask_code, codes)
    np.testing.assert_array_equal(one[0], prior((seen, *condition) if condition else seen))


def test_only_steps_of_training_and_evaluation_hide(rng):
    prior = masked(dropout=0.1)
    codes = inputs(prior, rng)
    before = np.asarray(prior(codes))
    prior.compile("adam")
    prior.evaluate(codes, verbose=0)
    np.testing.assert_array_equal(prior(codes), before)
    np.testing.assert_allclose(prior.predict(codes, verbose=0), before, atol=1e-5)
    assert ops.is_tensor(prior(codes, training=True))


# What a position sees


def test_every_position_sees_all_that_is_not_hidden_on_every_side(rng):
    prior = masked(num_layers=1)
    codes = rng.integers(K, size=(12, 3, 4))
    codes[:] = codes[0]
    for hidden in (False, True):
        same, changed = codes.reshape(12, 12).copy(), codes.reshape(12, 12).copy()
        changed[np.arange(12), np.arange(12)] = (same.diagonal() + 1) % K
        if hidden:
            same[:, 5] = changed[:, 5] = prior.mask_code
        before, after = (np.asarray(prior(each.reshape(-1, 3, 4))).reshape(12, 12, K) for each in (same, changed))
        seen = (before != after).any(axis=-1).T  # [p, q]
        expected = np.ones((12, 12), bool)
        expected[:, 5] = not hidden
        np.testing.assert_array_equal(seen, expected)


# Loss and metrics


@pytest.mark.parametrize("condition_shape", [None, ()], ids=str)
def test_loss_and_metrics_are_those_of_the_hidden_codes(condition_shape, rng, monkeypatch):
    prior = masked(condition_shape)
    x = inputs(prior, rng, 8)
    codes, *condition = [x] if condition_shape is None else x
    hidden = rng.random(codes.shape) < rng.random((8, 1, 1))
    hidden[:, 0, 0] = True
    monkeypatch.setattr(prior, "hide", lambda codes, seeds: ops.convert_to_tensor(hidden))
    prior.compile("adam")
    found = prior.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    seen = np.where(hidden, K, codes)
    logits = np.asarray(prior((seen, *condition) if condition else seen))
    nats = nats_of(logits, codes)
    right = logits.argmax(axis=-1) == codes
    each = np.array([row[h].mean() for row, h in zip(nats, hidden, strict=True)])
    weights = 1 / 12 / hidden_probabilities(12)[hidden.sum(axis=(1, 2)) - 1]
    assert set(found) == {"loss", "nats_per_code", "bits_per_image_bound", "accuracy"}
    np.testing.assert_allclose([found["loss"], found["nats_per_code"]], nats[hidden].mean(), rtol=1e-4)
    np.testing.assert_allclose(found["accuracy"], right[hidden].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_image_bound"], 12 / np.log(2) * (weights * each).mean(), rtol=1e-4)


def test_bound_is_the_mean_over_all_orders_of_writing_a_grid(rng):
    prior = wild((1, 3), make=MaskedTransformer)
    codes = rng.integers(K, size=(1, 1, 3))
    bits = []
    for order in np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]):
        seen, total = np.full((1, 1, 3), K), 0.0
        for place in order:
            total += nats_of(prior(seen), codes)[0, 0, place] / np.log(2)
            seen[0, 0, place] = codes[0, 0, place]
        bits.append(total)
    prior.compile("adam")
    found = prior.evaluate(np.repeat(codes, 6_000, axis=0), batch_size=2_000, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["bits_per_image_bound"], np.mean(bits), rtol=0.005)
    assert max(bits) - min(bits) > 0.03 * np.mean(bits), "the test cannot tell"


def test_bound_of_a_prior_that_knows_nothing_is_that_of_equal_codes(rng):
    prior = masked()
    prior.set_weights([0 * w for w in prior.get_weights()])
    prior.compile("adam")
    found = prior.evaluate(inputs(prior, rng, 600), batch_size=200, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["nats_per_code"], np.log(K), rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_image_bound"], 12 * np.log2(K), rtol=0.01)


def test_evaluation_is_the_same_each_time_and_within_fit(rng):
    prior = masked(condition_shape=(), condition_dropout=0.1)
    x = inputs(prior, rng, 50)
    prior.compile(keras.optimizers.SGD(0.0))
    within = prior.fit(x, validation_data=(x,), validation_batch_size=20, epochs=2, verbose=0).history
    found = prior.evaluate(x, batch_size=20, verbose=0, return_dict=True)
    again = prior.evaluate(x, batch_size=20, verbose=0, return_dict=True)
    for name, value in found.items():
        assert again[name] == value
        np.testing.assert_allclose(within[f"val_{name}"], value, rtol=1e-5)
    assert within["nats_per_code"][0] != within["nats_per_code"][1]  # which hides others in each epoch


def test_training_learns_codes_from_those_around_them(rng):
    keras.utils.set_random_seed(0)
    codes = np.broadcast_to(rng.integers(4, size=(300, 1, 1)), (300, 2, 2)).astype("int32")
    prior = MaskedTransformer((2, 2), 4, 16, 1, 2)
    prior.compile(keras.optimizers.AdamW(0.02))
    history = prior.fit(codes, validation_data=codes, batch_size=20, epochs=10, verbose=0).history
    # the first code of any order costs 2 bits, all others nothing
    assert history["val_bits_per_image_bound"][-1] == pytest.approx(2.0, abs=0.25)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="on JAX the order of the examples is another one")
def test_interrupted_training_hides_what_one_that_was_not_would(rng, tmp_path):
    codes = rng.integers(K, size=(40, 3, 4)).astype("int32")

    def trained(*epochs):
        for number in epochs:
            keras.utils.set_random_seed(0)
            prior = MaskedTransformer((3, 4), K, 8, 1, 2)
            prior.compile(keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.9))
            kept = [Resumable(tmp_path / str(epochs))]
            history = prior.fit(codes, epochs=number, batch_size=20, shuffle=False, verbose=0, callbacks=kept).history
        return history, prior.get_weights()

    (whole, weights), (parts, resumed) = trained(2), trained(1, 2)
    np.testing.assert_allclose(parts["nats_per_code"], whole["nats_per_code"], rtol=1e-5)
    for one, other in zip(weights, resumed, strict=True):  # averaged ones
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(weights, trained(2)[1], strict=True):  # loaded
        np.testing.assert_array_equal(one, other)


# Bad input


USES = {
    "fit": lambda prior, x: prior.fit(x, verbose=0),
    "evaluate": lambda prior, x: prior.evaluate(x, verbose=0),
    "call": lambda prior, x: prior(x + 1),
    "predict": lambda prior, x: prior.predict(x + 1, verbose=0),
}


@pytest.mark.parametrize("use", USES)
def test_codes_that_hide_something_are_for_calls_and_predictions_alone(use):
    prior = masked()
    prior.compile("adam")
    codes = np.full((2, 3, 4), K)
    message = {
        "fit": r"codes to train on must lie in 0\.\.4 \(num_embeddings=5\), but lie in 5\.\.5",
        "evaluate": r"codes to evaluate must lie in 0\.\.4 \(num_embeddings=5\), but lie in 5\.\.5",
        "call": r"codes must lie in 0\.\.4 \(num_embeddings=5\), or be 5 where they are hidden .*, but lie in 6\.\.6",
        "predict": r"codes to predict from must lie in 0\.\.4 .*, or be 5 where they are hidden .*, but lie in 6\.\.6",
    }[use]
    with pytest.raises(ValueError, match=message):
        USES[use](prior, codes)
    assert prior(codes).shape == prior.predict(codes, verbose=0).shape == (2, 3, 4, K)

"""The samplers draw from the model's distribution, keep what they must, and answer to their seed."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from vqlib import GatedPixelCNN, PixelCNN, TransformerPrior, sample, sampling
from vqlib.sampling import gumbel_noise, sample_plainly, samples_at_once

# All 81 grids of 2 x 2 codes with K = 3, in the order of their number in base 3.
GRIDS = np.stack(np.unravel_index(np.arange(81), (3, 3, 3, 3)), axis=-1).reshape(81, 2, 2)


def probabilities(prior, temperature=1.0):
    """Return the exact probability of each of the 81 grids, float64."""
    logits = np.asarray(prior(GRIDS), "float64") / temperature  # (81, 2, 2, 3)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return np.take_along_axis(p, GRIDS[..., None], axis=-1)[..., 0].prod(axis=(1, 2))


class Exponential:
    """A generator whose exponential noise is 0 for code 1, the smallest that there is, and 25 for all others."""

    def standard_exponential(self, shape, dtype):
        noise = np.full(shape, 25.0, dtype)
        noise[..., 1] = 0
        return noise


# NumPy's float32 exponential noise of this seed is 0 once in its first 200,000 draws, the 181,537th of them.
SEED_OF_A_ZERO = 41


def counts(codes):
    return np.bincount(codes.reshape(len(codes), 4) @ [27, 9, 3, 1], minlength=81)


def agreement(observed, p):
    """Return the p-value of a chi-square test, grids with fewer than 5 expected counts put together."""
    expected = p * observed.sum()
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    kept = expected > 0
    assert observed[~kept].sum() == 0
    assert kept.sum() > 4
    return stats.chisquare(observed[kept], expected[kept]).pvalue


def likeliest(prior, codes, keep):
    """Fill a grid by hand, position by position, with the likeliest code: (N, h, w) -> (N, h, w)."""
    codes = codes.copy()
    for i, j in np.ndindex(*prior.code_shape):
        best = np.asarray(prior(codes))[:, i, j].argmax(axis=-1)
        codes[:, i, j] = np.where(keep[:, i, j], codes[:, i, j], best)
    return codes


@pytest.fixture
def prior(tiny_prior):
    """A prior over 2 x 2 grids with K = 3 whose probabilities are far from uniform."""
    return tiny_prior(seed=1, spread=1.5)


@pytest.fixture
def wide_prior(tiny_prior):
    """A prior over 3 x 4 grids with K = 7. With this seed the likeliest code is not the same everywhere."""
    return tiny_prior(seed=10, spread=1.0, code_shape=(3, 4), num_embeddings=7)


# The distribution


def test_frequencies_agree_with_the_models_probabilities(prior):
    observed = counts(sample(prior, 5_000, seed=0))
    assert agreement(observed, probabilities(prior)) > 0.01
    assert agreement(observed, np.full(81, 1 / 81)) < 1e-6, "the test cannot tell the model from chance"
    by_cell = probabilities(prior).reshape(3, 3, 3, 3)
    independent = np.einsum("a,b,c,d", *(by_cell.sum(axis=tuple({0, 1, 2, 3} - {i})) for i in range(4))).ravel()
    assert agreement(observed, independent) < 1e-6, "the test cannot tell the model from independent codes"


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_divides_the_logits(prior, temperature):
    observed = counts(sample(prior, 5_000, temperature=temperature, seed=0))
    assert agreement(observed, probabilities(prior, temperature)) > 0.01
    assert agreement(observed, probabilities(prior)) < 1e-6


def test_low_temperature_gives_the_likeliest_codes(wide_prior):
    codes = sample(wide_prior, 3, temperature=1e-6)
    start = np.zeros((3, 3, 4), "int32")
    np.testing.assert_array_equal(codes, likeliest(wide_prior, start, np.zeros(start.shape, bool)))
    assert len(np.unique(codes)) > 1


def test_samples_are_drawn_anew_for_each_grid_and_position(prior):
    # With all logits equal, every grid is as likely as any other: nothing is left but the noise.
    prior.set_weights([0 * w for w in prior.get_weights()])
    observed = counts(sample(prior, 5_000, seed=0))
    assert agreement(observed, np.full(81, 1 / 81)) > 0.01


# The noise


def test_noise_is_gumbels(rng):
    noise = gumbel_noise(rng, (400, 250))
    assert (noise.dtype, noise.shape) == (np.float32, (400, 250))
    assert stats.kstest(noise.ravel(), stats.gumbel_r.cdf).pvalue > 0.01
    assert stats.kstest(noise.ravel() + 0.02, stats.gumbel_r.cdf).pvalue < 1e-6, "the test cannot tell"


def test_noise_is_minus_the_logarithm_of_every_draw_but_zero():
    exponential = np.random.default_rng(SEED_OF_A_ZERO).standard_exponential(200_000, dtype="float32")
    assert np.count_nonzero(exponential == 0) == 1, "NumPy draws other numbers now: take another seed"
    noise = gumbel_noise(np.random.default_rng(SEED_OF_A_ZERO), (200_000,))
    drawn = exponential > 0
    np.testing.assert_array_equal(noise[drawn], -np.log(exponential[drawn]))
    assert 15 < noise[~drawn] < 17


def test_noise_has_a_bound(rng):
    for _ in range(10):  # 2e8 draws at K = 128 are a tenth of these
        assert gumbel_noise(rng, (1_600_000,)).max() < 20
    assert gumbel_noise(Exponential(), (3,)).max() < 20


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_code_40_nats_below_another_is_never_drawn(draw, monkeypatch):
    prior = PixelCNN((1, 2), 128, filters=2)
    prior.set_weights([0 * w for w in prior.get_weights()])
    prior.network.get_layer("logits").bias.assign([0] + [-40] * 127)
    assert not draw(prior, 1_000, seed=SEED_OF_A_ZERO).any()
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Exponential())
    assert not draw(prior, 2, seed=0).any(), "the smallest draw there is beats 40 nats"


# Seeds


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_without_a_seed_each_call_draws_other_codes(wide_prior, draw):
    keras.utils.set_random_seed(0)
    first, second = (draw(wide_prior, 8) for _ in range(2))
    assert not np.array_equal(first, second)
    keras.utils.set_random_seed(0)
    np.testing.assert_array_equal(draw(wide_prior, 8), first)
    np.testing.assert_array_equal(draw(wide_prior, 8), second)
    keras.utils.set_random_seed(1)
    assert not np.array_equal(draw(wide_prior, 8), first)


def test_same_seed_same_codes(wide_prior):
    np.testing.assert_array_equal(sample(wide_prior, 8, seed=3), sample(wide_prior, 8, seed=3))


def test_other_seed_other_codes(wide_prior):
    assert not np.array_equal(sample(wide_prior, 8, seed=3), sample(wide_prior, 8, seed=4))


def test_sampling_leaves_the_global_random_state_alone(wide_prior):
    keras.utils.set_random_seed(0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002, the state that readers seed
    sample(wide_prior, 2, seed=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    first = sample(wide_prior, 8, seed=3)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(sample(wide_prior, 8, seed=3), first)


def test_samples_are_int32_numpy_in_range(wide_prior):
    codes = sample(wide_prior, 50)
    assert isinstance(codes, np.ndarray)
    assert (codes.dtype, codes.shape) == (np.int32, (50, 3, 4))
    assert 0 <= codes.min() < codes.max() <= 6


def test_sampler_follows_weights_that_change(wide_prior):
    before = sample(wide_prior, 8, seed=0)
    wide_prior.set_weights([-w for w in wide_prior.get_weights()])
    after = sample(wide_prior, 8, seed=0)
    twin = PixelCNN.from_config(wide_prior.get_config())
    twin.set_weights(wide_prior.get_weights())
    np.testing.assert_array_equal(sample(twin, 8, seed=0), after)
    assert not np.array_equal(before, after)


def test_sampling_works_under_mixed_precision(mixed_bfloat16, tiny_prior):
    prior = tiny_prior(spread=1.5, code_shape=(3, 4), num_embeddings=7)
    codes = sample(prior, 50, seed=0)
    assert len(np.unique(codes)) > 3
    assert (codes == sample_plainly(prior, 50, seed=0)).mean() > 0.9  # bfloat16 tips some close choices


# Inpainting


def test_inpainting_keeps_what_it_must_and_draws_the_rest(wide_prior, rng):
    known = rng.integers(7, size=(6, 3, 4))
    keep = rng.random((6, 3, 4)) < 0.5
    codes = [sample(wide_prior, codes=known, keep=keep, seed=seed) for seed in range(20)]
    for drawn in codes:
        np.testing.assert_array_equal(drawn[keep], known[keep])
    varies = (np.stack(codes) != codes[0]).any(axis=0)
    assert varies[~keep].all()


def test_inpainting_draws_given_the_codes_before(wide_prior, rng):
    known = rng.integers(7, size=(6, 3, 4)).astype("int32")
    keep = rng.random((6, 3, 4)) < 0.5
    codes = sample(wide_prior, codes=known, keep=keep, temperature=1e-6)
    np.testing.assert_array_equal(codes, likeliest(wide_prior, known, keep))


def test_inpainting_frequencies_agree_with_the_conditional_probabilities(prior):
    known = np.full((5_000, 2, 2), 2)
    observed = counts(sample(prior, codes=known, keep=np.array([[True, False], [False, False]]), seed=0))
    p = np.where(GRIDS[:, 0, 0] == 2, probabilities(prior), 0)
    assert agreement(observed, p / p.sum()) > 0.01


def test_codes_that_are_not_kept_do_not_matter(wide_prior, rng):
    keep = np.zeros((3, 4), bool)
    keep[:2] = True
    known, other = rng.integers(7, size=(2, 6, 3, 4))
    other[:, keep] = known[:, keep]
    np.testing.assert_array_equal(
        sample(wide_prior, codes=known, keep=keep, seed=1), sample(wide_prior, codes=other, keep=keep, seed=1)
    )


def test_later_kept_codes_do_not_change_earlier_draws(wide_prior, rng):
    keep = np.zeros((3, 4), bool)
    keep[2] = True
    codes = sample(wide_prior, codes=rng.integers(7, size=(6, 3, 4)), keep=keep, seed=1)
    np.testing.assert_array_equal(codes[:, :2], sample(wide_prior, 6, seed=1)[:, :2])


def test_one_mask_serves_all_grids(wide_prior, rng):
    known, keep = rng.integers(7, size=(6, 3, 4)), rng.random((3, 4)) < 0.5
    np.testing.assert_array_equal(
        sample(wide_prior, codes=known, keep=keep, seed=0),
        sample(wide_prior, codes=known, keep=np.stack([keep] * 6), seed=0),
    )


def test_inpainting_changes_nothing_that_it_was_given(wide_prior, rng):
    known, keep = rng.integers(7, size=(6, 3, 4)).astype("int32"), rng.random((6, 3, 4)) < 0.5
    codes_before, keep_before = known.copy(), keep.copy()
    sample(wide_prior, codes=known, keep=keep)
    np.testing.assert_array_equal(known, codes_before)
    np.testing.assert_array_equal(keep, keep_before)


# Bad input

KNOWN = np.zeros((2, 3, 4), "int32")
KEEP = np.ones((3, 4), bool)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_temperature_of_zero_or_below_is_refused(wide_prior, temperature):
    with pytest.raises(ValueError, match=rf"temperature must be above 0, but {temperature} was given"):
        sample(wide_prior, 2, temperature=temperature)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, r"Give num_samples, the number of grids to draw, or codes and keep"),
        ({"num_samples": 0}, ValueError, r"num_samples must be an integer of at least 1, but 0 was given"),
        ({"num_samples": 2.0}, ValueError, r"num_samples must be an integer of at least 1, but 2.0 was given"),
        ({"codes": KNOWN}, ValueError, r"For inpainting give both codes and keep"),
        ({"num_samples": 2, "keep": KEEP}, ValueError, r"For inpainting give both codes and keep"),
        ({"num_samples": 3, "codes": KNOWN, "keep": KEEP}, ValueError, r"num_samples=3, but 2 grids of codes"),
        ({"codes": KNOWN + 7, "keep": KEEP}, ValueError, r"codes must lie in 0..6 \(num_embeddings=7\)"),
        ({"codes": KNOWN - 1, "keep": KEEP}, ValueError, r"codes must lie in 0..6 .*but lie in -1..-1"),
        ({"codes": KNOWN + 0.5, "keep": KEEP}, TypeError, r"codes must be integers \(code indices\), but are float64"),
        ({"codes": KNOWN[:, :2], "keep": KEEP}, ValueError, r"codes must have shape \(batch, 3, 4\)"),
        ({"codes": KNOWN[0], "keep": KEEP}, ValueError, r"codes must have shape \(batch, 3, 4\)"),
        ({"codes": KNOWN, "keep": KEEP[:2]}, ValueError, r"keep must be a bool array of shape \(3, 4\) or \(2, 3, 4\)"),
        ({"codes": KNOWN, "keep": KEEP.astype(int)}, ValueError, r"keep must be a bool array .*but is int64"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(wide_prior, arguments, error, message):
    with pytest.raises(error, match=message):
        sample(wide_prior, **arguments)


class OwnPrior(keras.Model):
    """A prior of one's own, whose shapes are lists. It prefers the code of its condition."""

    def __init__(self):
        super().__init__()
        self.num_embeddings = self.num_conditions = 5
        vars(self).update(code_shape=[3, 4], condition_shape=[3, 4])  # Keras would wrap the lists

    def call(self, inputs):
        codes, condition = inputs
        return 50 * ops.one_hot(condition, 5) + 0 * ops.one_hot(codes, 5)


@pytest.mark.parametrize("each", [True, False], ids=["for each grid", "for all grids"])
def test_shapes_of_an_own_prior_may_be_lists(each, rng):
    codes = rng.integers(5, size=(2, 3, 4))
    condition = rng.integers(5, size=(2, 3, 4)) if each else rng.integers(5, size=(3, 4))
    keep = rng.random((3, 4)) < 0.5
    drawn = sample_plainly(OwnPrior(), codes=codes, keep=keep, condition=condition, seed=0)
    np.testing.assert_array_equal(drawn, np.where(keep, codes, condition))


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_what_is_no_prior_is_refused(draw, tiny_vqvae, wide_prior):
    with pytest.raises(
        TypeError, match=r"takes a prior, and this is the VQVAE: `model, prior = vqlib\.load_pretrained"
    ):
        draw(tiny_vqvae(), 4)
    with pytest.raises(TypeError, match=r"a tuple of 2 was given\. .*`model, prior = vqlib\.load_pretrained\(\)`"):
        draw((tiny_vqvae(), wide_prior), 4)
    with pytest.raises(TypeError, match=r"such as PixelCNN or GatedPixelCNN, but a Sequential was given"):
        draw(keras.Sequential(), 4)
    with pytest.raises(TypeError, match=r"but a str was given"):
        draw("mnist", 4)


# Conditions


@pytest.fixture
def told_prior():
    """A prior over 2 x 3 grids that does what a label, or a grid of 1 x 3 codes, tells it."""

    def make(condition_shape):
        keras.utils.set_random_seed(0)
        prior = GatedPixelCNN(
            (2, 3), 5, filters=6, num_layers=2, condition_shape=condition_shape, num_conditions=4, dropout=0.1
        )
        generator = np.random.default_rng(0)
        prior.set_weights([2 * generator.normal(size=w.shape) / np.sqrt(max(len(w), 4)) for w in prior.get_weights()])
        return prior

    return make


@pytest.mark.parametrize("draw", [sample, sample_plainly])
@pytest.mark.parametrize("condition_shape", [(), (1, 3)], ids=str)
def test_condition_gives_the_number_of_samples_or_stands_for_all(told_prior, rng, condition_shape, draw):
    prior = told_prior(condition_shape)
    conditions = rng.integers(4, size=(9, *condition_shape))
    np.testing.assert_array_equal(
        draw(prior, condition=conditions, seed=0), draw(prior, 9, condition=conditions.tolist(), seed=0)
    )
    one = draw(prior, 9, condition=conditions[0], seed=0)
    np.testing.assert_array_equal(one, draw(prior, 9, condition=np.stack([conditions[0]] * 9), seed=0))
    assert not np.array_equal(one, draw(prior, 9, condition=(conditions[0] + 1) % 4, seed=0))
    known, keep = rng.integers(5, size=(9, 2, 3)), np.array([[True] * 3, [False] * 3])
    np.testing.assert_array_equal(
        draw(prior, codes=known, keep=keep, condition=conditions[0], seed=0),
        draw(prior, codes=known, keep=keep, condition=[conditions[0]] * 9, seed=0),
    )


LABELS = np.array([0, 3])


@pytest.mark.parametrize(
    ("condition_shape", "arguments", "error", "message"),
    [
        ((), {"num_samples": 2}, ValueError, r"is conditioned on class labels: .* of shape \(num_samples\), .*0..3"),
        (
            (1, 3),
            {},
            ValueError,
            r"conditioned on grids of codes: .* of shape \(num_samples, 1, 3\), .*\(1, 3\) for all",
        ),
        ((), {"condition": 1}, ValueError, r"Give num_samples, the number of grids to draw, or codes and keep"),
        ((), {"num_samples": 3, "condition": LABELS}, ValueError, r"class labels of shape \(3\), but has shape \(2,\)"),
        (
            (1, 3),
            {"condition": LABELS},
            ValueError,
            r"must be grids of codes of shape \(2, 1, 3\), but has shape \(2,\)",
        ),
        ((), {"condition": LABELS + 1}, ValueError, r"condition, class labels, must lie in 0..3 .* but lies in 1..4"),
        ((), {"num_samples": 2, "condition": 4}, ValueError, r"condition, class labels, must lie in 0..3 .* in 4..4"),
        ((), {"condition": LABELS + 0.5}, TypeError, r"condition must be integers, class labels, but is float64"),
    ],
    ids=str,
)
def test_bad_conditions_are_refused(told_prior, condition_shape, arguments, error, message):
    with pytest.raises(error, match=message):
        sample(told_prior(condition_shape), **arguments)


def test_condition_of_a_prior_without_one_is_refused(wide_prior):
    with pytest.raises(ValueError, match=r"condition was given, but this prior is not conditioned: leave it out"):
        sample(wide_prior, 2, condition=LABELS)


# Memory


@pytest.mark.parametrize(
    ("code_shape", "num_embeddings", "number"),
    [((7, 7), 128, 1024), ((14, 14), 8, 1024), ((32, 32), 512, 64), ((256, 256), 8192, 1)],
    ids=str,
)
def test_samples_at_once_are_fewer_of_large_grids(code_shape, num_embeddings, number, wide_prior):
    wide_prior.code_shape, wide_prior.num_embeddings = code_shape, num_embeddings
    assert samples_at_once(wide_prior) == number
    assert number == 1 or number * 4 * np.prod(code_shape) * num_embeddings <= 2**27


def test_samples_at_once_are_fewer_where_each_position_looks_at_all_others():
    prior = TransformerPrior((32, 32), 16, hidden_dim=4, num_layers=1, num_heads=4)
    assert samples_at_once(prior) == 8 == 2**27 / (4 * 4 * 1024**2)  # bytes of one attention's scores, 4 heads


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_codes_do_not_hang_on_how_many_are_drawn_at_once(told_prior, rng, draw, monkeypatch):
    prior = told_prior(())
    known, keep, condition = rng.integers(5, size=(12, 2, 3)), rng.random((12, 2, 3)) < 0.5, rng.integers(4, size=12)
    arguments = {"codes": known, "keep": keep, "condition": condition, "seed": 0}
    whole = draw(prior, **arguments)
    monkeypatch.setattr(sampling, "BYTES_AT_ONCE", 5 * 4 * 6 * 128)
    assert samples_at_once(prior) == 5
    np.testing.assert_array_equal(draw(prior, **arguments), whole)

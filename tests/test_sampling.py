"""The sampler draws from the model's distribution, keeps what it must, and answers to its seed."""

import keras
import numpy as np
import pytest
from scipy import stats

import vqlib
from vqlib import PixelCNN, sample

# All 81 grids of 2 x 2 codes with K = 3, in the order of their number in base 3.
GRIDS = np.stack(np.unravel_index(np.arange(81), (3, 3, 3, 3)), axis=-1).reshape(81, 2, 2)


def probabilities(prior, temperature=1.0):
    """Return the exact probability of each of the 81 grids, float64."""
    logits = np.asarray(prior(GRIDS), "float64") / temperature  # (81, 2, 2, 3)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return np.take_along_axis(p, GRIDS[..., None], axis=-1)[..., 0].prod(axis=(1, 2))


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


# Seeds


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
    before = sample(wide_prior, 8)
    wide_prior.set_weights([-w for w in wide_prior.get_weights()])
    after = sample(wide_prior, 8)
    twin = PixelCNN.from_config(wide_prior.get_config())
    twin.set_weights(wide_prior.get_weights())
    np.testing.assert_array_equal(sample(twin, 8), after)
    assert not np.array_equal(before, after)


def test_sampling_works_under_mixed_precision(mixed_bfloat16, tiny_prior):
    prior = tiny_prior(spread=1.5, code_shape=(3, 4), num_embeddings=7)
    codes = sample(prior, 50)
    assert len(np.unique(codes)) > 3
    assert (codes == vqlib.sampling.sample_plainly(prior, 50)).mean() > 0.9  # bfloat16 tips some close choices


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
        sample(wide_prior, codes=known, keep=keep), sample(wide_prior, codes=known, keep=np.stack([keep] * 6))
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


def test_sample_is_public():
    assert vqlib.sample is sample

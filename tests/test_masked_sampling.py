"""Many codes in a step: as many as the schedule says, the surest first, around what is kept on any side."""

import numpy as np
import pytest
from test_masked import masked
from test_transformer import K, wild

from vqlib import GatedPixelCNN, MaskedTransformer, PixelCNN, TransformerPrior, sample, sample_masked, sampling
from vqlib import _backend as backend
from vqlib.masked_sampling import num_hidden
from vqlib.sampling import gumbel_noise, sample_plainly


def by_hand(prior, codes, keep, steps, confidence_noise, seed, logits_of=None, temperature=1.0):
    """Draw as the docstring says, grid by grid and place by place."""
    logits_of = logits_of or (lambda seen: np.asarray(prior(seen)))
    noise = gumbel_noise(np.random.default_rng(seed), (len(codes), steps, *prior.code_shape, K + 1))
    codes = np.where(keep, codes, K)
    for step in range(steps):
        logits = logits_of(codes) / temperature
        for n, grid in enumerate(codes):
            hidden = [place for place in np.ndindex(*grid.shape) if grid[place] == K]
            sureness = {}
            for place in hidden:
                code = (logits[n][place] + noise[n, step][place][:K]).argmax()
                log_p = logits[n][place][code] - np.log(np.exp(logits[n][place].astype("float64")).sum())
                sureness[place] = log_p + confidence_noise * (1 - (step + 1) / steps) * noise[n, step][place][K]
                grid[place] = code
            again = num_hidden((~keep[n]).sum(), steps)[step]
            for place in sorted(hidden, key=sureness.get)[:again]:
                grid[place] = K
    return codes


# How many


@pytest.mark.parametrize(
    ("number", "steps", "expected"),
    [
        (49, 1, [0]),
        (49, 2, [34, 0]),
        (49, 4, [45, 34, 18, 0]),
        (49, 8, [48, 45, 40, 34, 27, 18, 9, 0]),
        (49, 49, list(range(48, -1, -1))),
        (12, 3, [10, 6, 0]),  # 12 cos(60 degrees), which floating point puts just above or below 6
        (3, 5, [2, 1, 0, 0, 0]),
        (0, 3, [0, 0, 0]),
    ],
)
def test_number_that_stays_hidden_falls_by_the_cosine(number, steps, expected):
    assert num_hidden(number, steps).tolist() == expected


def test_each_grid_has_a_number_of_its_own():
    np.testing.assert_array_equal(num_hidden([49, 3], 4), [[45, 34, 18, 0], [2, 1, 0, 0]])


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 11, 49, 60])
def test_each_step_finds_a_code_until_none_is_hidden(steps):
    number = np.arange(100)
    hidden = np.concatenate([number[:, None], num_hidden(number, steps)], axis=1)
    assert (np.diff(hidden) < 0)[hidden[:, :-1] > 0].all()
    assert (hidden[:, -1] == 0).all()


# What is drawn


@pytest.mark.parametrize("steps", [1, 3, 12, 20])
def test_samples_are_those_of_the_steps_written_plainly(steps, rng):
    prior = masked()
    known, keep = rng.integers(K, size=(20, 3, 4)), rng.random((20, 3, 4)) < 0.3
    nothing = np.zeros(keep.shape, bool)
    codes = sample_masked(prior, 20, steps=steps, seed=3, confidence_noise=2.0)
    np.testing.assert_array_equal(codes, by_hand(prior, known, nothing, steps, 2.0, 3))
    codes = sample_masked(prior, steps=steps, seed=3, confidence_noise=2.0, codes=known, keep=keep, temperature=0.7)
    np.testing.assert_array_equal(codes, by_hand(prior, known, keep, steps, 2.0, 3, temperature=0.7))
    assert (codes.dtype, codes.shape) == (np.int32, (20, 3, 4))


def test_one_step_draws_every_code_by_itself(rng):
    prior = masked()
    codes = sample_masked(prior, 4_000, steps=1, seed=0)
    logits = np.asarray(prior(np.full((1, 3, 4), K)), "float64")[0]
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    found = np.stack([(codes == code).mean(axis=0) for code in range(K)], axis=-1)
    np.testing.assert_allclose(found, p, atol=0.03)
    both = ((codes[:, 0, 0] == p[0, 0].argmax()) & (codes[:, 0, 1] == p[0, 1].argmax())).mean()
    np.testing.assert_allclose(both, p[0, 0].max() * p[0, 1].max(), atol=0.03)


def test_kept_codes_stay_and_are_seen_from_every_side(rng):
    prior, known = masked(), rng.integers(K, size=(30, 3, 4))
    keep = np.zeros((3, 4), bool)
    keep[2] = True  # the last row, which a prior in raster order does not see
    codes = sample_masked(prior, codes=known, keep=keep, seed=0)
    np.testing.assert_array_equal(codes[:, 2], known[:, 2])
    other = np.where(keep, (known + 1) % K, known)
    assert (sample_masked(prior, codes=other, keep=keep, seed=0)[:, :2] != codes[:, :2]).any()
    not_kept = np.where(keep, known, (known + 1) % K)
    np.testing.assert_array_equal(sample_masked(prior, codes=not_kept, keep=keep, seed=0), codes)
    np.testing.assert_array_equal(sample_masked(prior, codes=known, keep=np.ones((3, 4), bool)), known)


def test_each_sample_follows_its_own_condition_however_many_are_drawn_at_a_time(rng, monkeypatch):
    prior, labels = masked(()), rng.integers(3, size=12)
    whole = sample_masked(prior, condition=labels, seed=0)
    assert not np.array_equal(sample_masked(prior, condition=(labels + 1) % 3, seed=0), whole)
    monkeypatch.setattr(sampling, "SAMPLES_AT_ONCE", 40)  # 5 at a time in 8 steps
    np.testing.assert_array_equal(sample_masked(prior, condition=labels, seed=0), whole)


def test_guided_samples_are_drawn_from_the_guided_logits(rng):
    prior, labels = masked((), condition_dropout=0.3), rng.integers(3, size=20)

    def guided(codes):
        told, untold = (np.asarray(prior((codes, each))) for each in (labels, np.full(20, -1)))
        return told + 1.5 * (told - untold)

    codes = sample_masked(prior, condition=labels, guidance=1.5, seed=1, steps=4)
    nothing = np.zeros(codes.shape, bool)
    np.testing.assert_array_equal(codes, by_hand(prior, codes, nothing, 4, 4.5, 1, guided))
    assert (codes != sample_masked(prior, condition=labels, seed=1, steps=4)).any()


def test_low_temperature_and_top_1_draw_the_likeliest_codes(rng):
    prior = masked()
    arguments = {"steps": 12, "seed": 0, "confidence_noise": 0}
    codes = sample_masked(prior, 2, top_k=1, **arguments)
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes, sample_masked(prior, 2, temperature=1e-5, **arguments))


def test_seed_decides_and_noise_of_the_confidence_matters():
    prior = masked()
    codes = sample_masked(prior, 20, seed=3)
    np.testing.assert_array_equal(sample_masked(prior, 20, seed=3), codes)
    for other in ({"seed": 4}, {"seed": 3, "confidence_noise": 0}, {"seed": 3, "steps": 7}, {"seed": None}):
        assert not np.array_equal(sample_masked(prior, 20, **other), codes)


@pytest.mark.skipif(backend.tf is None, reason="JAX traces each shape")
def test_one_trace_serves_all_steps():
    prior = masked()
    for steps in (1, 3, 8):
        sample_masked(prior, steps + 1, steps=steps, confidence_noise=steps)
    assert backend.num_traces(prior) == {"sample_masked": 1}


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, r"steps must be an integer of at least 1, but 0 was given"),
        ({"steps": 2.5}, r"steps must be an integer of at least 1, but 2.5 was given"),
        ({"confidence_noise": -1}, r"confidence_noise must be a finite number, at least 0, but -1 was given"),
        ({"confidence_noise": np.inf}, r"confidence_noise must be a finite number, at least 0, but inf was given"),
        ({"confidence_noise": np.nan}, r"confidence_noise must be a finite number, at least 0, but nan was given"),
        ({"temperature": 0}, r"temperature must be above 0, but 0 was given"),
        ({"top_p": 2}, r"top_p must be above 0 and at most 1"),
        ({"guidance": 1}, r"guidance=1 was given, but this prior never learned"),
        ({"condition": 1}, r"condition was given, but this prior is not conditioned"),
        ({"codes": np.zeros((2, 3, 4), int)}, r"For inpainting give both codes and keep"),
        (
            {"codes": np.full((2, 3, 4), K), "keep": np.ones((3, 4), bool)},
            r"codes must lie in 0..4 \(num_emb",
        ),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_masked(masked(), 2, **arguments)


@pytest.mark.parametrize("make", [PixelCNN, GatedPixelCNN, TransformerPrior, lambda: "mnist"])
def test_priors_in_raster_order_are_drawn_from_by_sample(make):
    with pytest.raises(TypeError, match=r"takes a MaskedTransformer, .* are drawn from by vqlib\.sample\."):
        sample_masked(make(), 2)


@pytest.mark.parametrize("draw", [sample, sample_plainly])
def test_masked_transformer_is_drawn_from_by_sample_masked(draw):
    with pytest.raises(TypeError, match=r"A MaskedTransformer has no order .*: draw from it by vqlib\.sample_masked"):
        draw(wild(make=MaskedTransformer), 2)

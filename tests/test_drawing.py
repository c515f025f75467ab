"""How a code is drawn from logits: top-k and nucleus leave out what they must, in all samplers alike."""

import numpy as np
import pytest

from vqlib import _backend as backend
from vqlib import sample
from vqlib.drawing import truncated
from vqlib.sampling import sample_plainly

P = np.array([0.05, 0.4, 0.1, 0.25, 0.2])


def kept(p, **arguments):
    """Return the codes that stay, of probabilities; `top_k` is 5 unless given."""
    logits = np.log(np.asarray(p)).astype("float32")
    found = np.asarray(truncated(logits, **{"top_k": 5, **arguments}))
    stays = np.isfinite(found)
    np.testing.assert_array_equal(found[stays], logits[stays])
    assert (found[~stays] == -np.inf).all()
    return list(np.flatnonzero(stays))


@pytest.fixture
def wide_prior(tiny_prior):
    return tiny_prior(seed=10, spread=1.0, code_shape=(3, 4), num_embeddings=7)


@pytest.mark.parametrize(("top_k", "codes"), [(1, [1]), (2, [1, 3]), (4, [1, 2, 3, 4]), (5, [0, 1, 2, 3, 4])])
def test_top_k_leaves_the_likeliest(top_k, codes):
    assert kept(P, top_k=top_k) == codes


@pytest.mark.parametrize(
    ("top_p", "codes"),
    [(0.01, [1]), (0.39, [1]), (0.41, [1, 3]), (0.64, [1, 3]), (0.66, [1, 3, 4]), (0.96, [0, 1, 2, 3, 4])],
)
def test_nucleus_is_the_fewest_codes_with_that_probability(top_p, codes):
    assert kept(P, top_p=top_p) == codes


def test_nucleus_of_probability_1_leaves_all_however_sums_are_rounded():
    assert kept([1, 1e-9, 1e-12], top_p=1.0) == [0, 1, 2]


def test_both_leave_what_each_lets_stay():
    assert kept(P, top_k=2, top_p=0.9) == [1, 3]
    assert kept(P, top_k=4, top_p=0.41) == [1, 3]


def test_codes_as_likely_as_the_last_that_stays_stay_too():
    assert kept([0.1, 0.3, 0.3, 0.3], top_k=1) == [1, 2, 3]
    assert kept([0.25] * 4, top_p=0.1) == [0, 1, 2, 3]


def test_every_row_is_truncated_by_itself(rng):
    logits = rng.normal(size=(2, 3, 6)).astype("float32")
    found = np.asarray(truncated(logits, 2, 0.7))
    for place in np.ndindex(2, 3):
        np.testing.assert_array_equal(found[place], truncated(logits[place], 2, 0.7))


TRUNCATED = [{"top_k": 2}, {"top_p": 0.6}, {"top_k": 3, "top_p": 0.6, "temperature": 0.4}]


@pytest.mark.parametrize("strengths", TRUNCATED, ids=str)
def test_samples_hold_no_code_that_is_left_out(wide_prior, strengths):
    codes = sample(wide_prior, 60, seed=0, **strengths)
    np.testing.assert_array_equal(codes, sample_plainly(wide_prior, 60, seed=0, **strengths))
    logits = np.asarray(wide_prior(codes)) / strengths.get("temperature", 1.0)
    stays = np.isfinite(truncated(logits, strengths.get("top_k", 7), strengths.get("top_p", 2.0)))
    assert np.take_along_axis(stays, codes[..., None], axis=-1).all()
    all_codes = sample(wide_prior, 60, seed=0, temperature=strengths.get("temperature", 1.0))
    assert not np.take_along_axis(stays, all_codes[..., None], axis=-1).all()
    assert (codes != codes[0]).any()


def test_top_1_is_the_likeliest_code(wide_prior):
    np.testing.assert_array_equal(sample(wide_prior, 3, top_k=1, seed=0), sample(wide_prior, 3, temperature=1e-6))


def test_to_leave_out_nothing_changes_nothing(wide_prior):
    codes = sample(wide_prior, 30, seed=0)
    for nothing in ({"top_k": 7}, {"top_k": 100}, {"top_p": 1.0}, {"top_p": 1}):
        np.testing.assert_array_equal(sample(wide_prior, 30, seed=0, **nothing), codes)


@pytest.mark.skipif(backend.tf is None, reason="JAX traces each shape")
def test_one_trace_serves_all_strengths(wide_prior):
    for strengths in TRUNCATED:
        sample(wide_prior, 2, **strengths)
    sample(wide_prior, 2)
    assert backend.num_traces(wide_prior) == {"sample, truncated": 1, "sample": 1}


@pytest.mark.parametrize("draw", [sample, sample_plainly])
@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({"top_k": 0}, r"top_k must be an integer of at least 1, but 0 was given"),
        ({"top_k": 2.5}, r"top_k must be an integer of at least 1, but 2.5 was given"),
        ({"top_p": 0}, r"top_p must be above 0 and at most 1, how much probability stays, but 0 was given"),
        ({"top_p": 90}, r"top_p must be above 0 and at most 1, .*but 90 was given"),
    ],
    ids=str,
)
def test_strengths_that_make_no_sense_are_refused(wide_prior, draw, strengths, message):
    with pytest.raises(ValueError, match=message):
        draw(wide_prior, 2, **strengths)

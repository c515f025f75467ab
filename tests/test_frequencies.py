"""Logits into integers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqlib.frequencies import HIGHEST, LARGEST, MARGIN, POWERS, SHIFT_ENDS, SHIFTS, STEPS, frequencies, safe_shift

STEP = math.log(2) / STEPS  # of a logit


def test_powers_are_exact():
    """The eighth power of each is the highest that is not above the power of 2."""
    for behind, power in enumerate(POWERS.tolist()):
        assert power**STEPS <= 2 ** (STEPS * HIGHEST - behind) < (power + 1) ** STEPS
    assert POWERS[[0, 8, 160]].tolist() == [2**20, 2**19, 1]


def test_frequencies_of_whole_bits():
    logits = math.log(2) * np.array([[0.0, -1.0, 3.0, -30.0, 3.05], [5.0, 5.0, 5.0, 5.0, 5.0]])
    expected = [[2**17, 2**16, 2**20, 1, 2**20], [2**20] * 5]
    np.testing.assert_array_equal(frequencies(logits, 0), expected)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 100.0]))
def test_rounding_costs_next_to_nothing(seed, spread):
    logits = spread * np.random.default_rng(seed).normal(size=(50, 128))
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    counts = frequencies(logits, 0)
    q = counts / counts.sum(axis=-1, keepdims=True)
    bits = (p * np.log2(np.maximum(p, 1e-300) / q)).sum(axis=-1)
    assert bits.max() < 0.002
    assert bits.mean() < 0.0008


def test_logits_at_a_border_get_other_borders():
    assert safe_shift(np.array([[0.0, 1.0]])) == 0
    at_border = np.array([[0.3, 0.5 * STEP]])
    assert safe_shift(at_border) == 1
    assert safe_shift(at_border + MARGIN * STEP / 2) == 1
    assert safe_shift(at_border + MARGIN * STEP * 2) == 0
    both = np.array([[0.5 * STEP, (0.5 - 1 / SHIFTS) * STEP]])
    assert safe_shift(both) == 2


@given(st.integers(0, 2**32 - 1))
def test_what_differs_by_less_than_the_margin_gets_the_same_integers(seed):
    """Logits on borders, of those that stay and of others; moved as another machine might move them."""
    generator = np.random.default_rng(seed)
    borders = generator.integers(-300, 300, size=(4, 9)) + 0.5 - generator.integers(3, size=(4, 9)) / SHIFTS
    logits = STEP * borders
    shift = safe_shift(logits)
    other = logits + 0.9 * MARGIN * STEP * generator.choice([-1, 1], size=logits.shape)
    np.testing.assert_array_equal(frequencies(logits, shift), frequencies(other, shift))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_must_be_finite(value):
    with pytest.raises(ValueError, match="gives NaN or infinity"):
        safe_shift(np.array([[0.0, value]]))


@pytest.mark.parametrize(
    ("logits", "largest"),
    [
        (np.array([[LARGEST + 0.1, 0.0]]), "1e\\+03"),
        (np.array([[-1e15, 0.0]]), "1e\\+15"),
        (STEP * (0.5 - np.arange(SHIFTS) / SHIFTS)[None], "0.0433"),
    ],
    ids=["large", "small", "everywhere"],
)
def test_logits_that_no_borders_suit_are_refused(logits, largest):
    with pytest.raises(ValueError, match=f"as large as {largest}, cannot be rounded"):
        safe_shift(logits)


def test_margin_is_hundreds_of_the_last_digits_of_the_largest_logits():
    assert np.spacing(LARGEST / STEP) < MARGIN / 500
    assert safe_shift(np.array([[LARGEST - 0.1, 0.1 - LARGEST]])) == 0
    assert safe_shift(np.zeros((0, 3))) == 0


def test_borders_that_stay_cost_nothing_to_say():
    assert len(SHIFT_ENDS) == SHIFTS
    assert SHIFT_ENDS[-1] == 2**16
    assert -math.log2(SHIFT_ENDS[0] / 2**16) < 0.0004

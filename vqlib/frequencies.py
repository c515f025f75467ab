"""Logits into integers, the same on each machine: what a range coder takes for probabilities.

Floating point gives other last digits on another processor, with another number of threads, or of grids at a time. So
logits are rounded, coarsely, to an eighth of a bit; from there on all is integers: the frequency of a code is
2^(20 - d / 8), `d` being the eighths of a bit that the likeliest code is ahead. But beside the border of two steps the
last digit decides, however coarse they are. So who encodes looks whether a logit lies within MARGIN of a border. If so,
all borders move, and the file says by how much.
"""

import math

import numpy as np

STEPS = 8  # to which a bit of a logit is rounded: costs 0.03% of the bits of MNIST, 4 would cost 0.1%
HIGHEST = 20  # bits of the likeliest code's frequency; one that is 20 bits behind, or more, has the frequency 1
MARGIN = 2.0**-30  # of a step, to a border: a thousand times what was seen to differ in double precision
LARGEST = 1000  # logit: the last digit of double precision is 1/500 of the margin there, and coarser above
SHIFTS = 16  # places to which borders can move
UNMOVED = (1 << 16) - SHIFTS + 1  # frequency of borders that stay, out of 2 ** 16: writing it costs 0.0003 bits
SHIFT_ENDS = np.cumsum([UNMOVED] + [1] * (SHIFTS - 1))  # where the part of each shift ends


def frequencies(logits: np.ndarray, shift: int) -> np.ndarray:
    """Return the integers that stand for probabilities: (N, K) float64 -> (N, K) int64, each from 1 to 2^20.

    Only the rounding is floating point: who has logits that differ by less than MARGIN, and no border nearby, gets the
    same integers.
    """
    steps = np.floor(_in_steps(logits, shift))
    behind = steps.max(axis=-1, keepdims=True) - steps
    return POWERS[np.minimum(behind, STEPS * HIGHEST).astype("int64")]


def safe_shift(logits: np.ndarray) -> int:
    """Return by how much, in 0..SHIFTS - 1, borders have to move so that no logit lies within MARGIN of one.

    Raises
    ------
    ValueError
        If a logit is not finite, or beyond LARGEST; or if, wherever borders are, some logit is too near to one.
    """
    if not np.isfinite(logits).all():
        raise ValueError("The prior gives NaN or infinity for these codes: its training has diverged. Train it anew.")
    largest = np.abs(logits).max(initial=0)
    for shift in range(SHIFTS):
        steps = _in_steps(logits, shift)
        if largest <= LARGEST and (np.abs(steps - np.round(steps)) >= MARGIN).all():
            return shift
    raise ValueError(
        f"The prior's logits, as large as {largest:.3g}, cannot be rounded so that another machine gets the same."
    )


def _in_steps(logits: np.ndarray, shift: int) -> np.ndarray:
    """Return logits in steps; the borders are at integers, by 1/2 and `shift` away from where a logit of 0 is."""
    return logits * (STEPS / math.log(2)) + (0.5 + shift / SHIFTS)


def _power(behind: int) -> int:
    """Return 2^(HIGHEST - behind / 8), rounded down, without floating point: the square root of a root of a root."""
    return math.isqrt(math.isqrt(math.isqrt(1 << STEPS * HIGHEST - behind)))


POWERS = np.array([_power(behind) for behind in range(STEPS * HIGHEST + 1)])

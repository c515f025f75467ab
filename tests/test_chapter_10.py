"""Chapter 10: the checks of its exercises, and the coder that it builds by hand."""

import math
from fractions import Fraction

import chapters
import numpy as np
import pytest

import vqlib

NAMES = {"1": "bits_with_table", "2": "read_symbols", "3": "shortest_digits", "4": "bits_for_flags"}


def passes(exercise, attempt):
    """Return what the check of an exercise says of an attempt."""
    return chapters.passes(f"10.{exercise}", {"np": np, "vqlib": vqlib, "Fraction": Fraction, NAMES[exercise]: attempt})


def coin(q):
    """Return the entropy of a yes or no, in bits."""
    return -(q * np.log2(q) + (1 - q) * np.log2(1 - q))


def read(value, table, count, *, subtract=True, divide=True, strict=False, widths=lambda table, symbol: table[symbol]):
    """Return the symbols of a number, and how that goes wrong: by what differs from the defaults."""
    symbols = []
    for _ in range(count):
        start, symbol = Fraction(0), 0
        while symbol < len(table) - 1:
            end = start + table[symbol]
            if value < end or (strict and value == end):
                break
            start, symbol = end, symbol + 1
        symbols.append(symbol)
        value = value - start if subtract else value
        value = value / widths(table, symbol) if divide else value
        value = value if subtract else value % 1
    return symbols


def digits(low, width, *, whole_part=True, up=True, may_touch=True, pad=True, least=0):
    """Return the shortest digits, and how that goes wrong: by what differs from the defaults."""
    length = least
    while True:
        first = math.ceil(low * 2**length) if up else math.floor(low * 2**length)
        end, limit = first + whole_part, (low + width) * 2**length
        if end < limit or (may_touch and end == limit):
            return [int(digit) for digit in f"{first:0{length if pad else 1}b}"] if length else []
        length += 1


def nearest_length(low, width):
    """Return as many digits as the width's bits, rounded up: one too few where the interval lies badly."""
    length = math.ceil(-math.log2(width))
    return [int(digit) for digit in f"{math.ceil(low * 2**length):0{length}b}"] if length else []


def some_flag(margin, step, logits):
    return 1 - (1 - 2 * margin / step) ** logits


RIGHT = {
    "1": [
        lambda p, q: float(p @ -np.log2(q)),
        lambda p, q: np.array(sum(-a * np.log2(b) for a, b in zip(p, q, strict=True))),
    ],
    "2": [
        lambda value, table, count: tuple(read(value, table, count)),
        lambda value, table, count: np.array(read(value, table, count)),
    ],
    "3": [lambda low, width: np.array(digits(low, width)), lambda low, width: tuple(digits(low, width))],
    "4": [
        lambda margin, step, logits, positions: np.float64(positions) * coin(some_flag(margin, step, logits)),
        lambda margin, step, logits, positions: positions * coin((1 - 2 * margin / step) ** logits),
    ],
}
WRONG = {
    "1": {
        "the entropy of the table": lambda p, q: -np.sum(q * np.log2(q)),
        "the entropy of the symbols": lambda p, q: -np.nansum(p * np.log2(np.where(p > 0, p, np.nan))),
        "the divergence": lambda p, q: np.nansum(p * np.log2(np.where(p > 0, p, np.nan) / q)),
        "nats": lambda p, q: -np.sum(p * np.log(q)),
        "all symbols alike": lambda p, q: -np.mean(np.log2(q)),
        "p and q exchanged": lambda p, q: -np.sum(q * np.log2(np.maximum(p, 1e-9))),
        "no minus": lambda p, q: np.sum(p * np.log2(q)),
        "the logarithm of the mean": lambda p, q: -np.log2(np.sum(p * q)),
        "a mean instead of a sum": lambda p, q: -np.mean(p * np.log2(q)),
        "whole bits": lambda p, q: np.sum(p * np.ceil(-np.log2(q))),
        "the likeliest alone": lambda p, q: -np.log2(q[np.argmax(p)]),
    },
    "2": {
        "nothing subtracted": lambda value, table, count: read(value, table, count, subtract=False),
        "not stretched": lambda value, table, count: read(value, table, count, divide=False),
        "an end belongs to its part": lambda value, table, count: read(value, table, count, strict=True),
        "all parts alike": lambda value, table, count: read(
            value, table, count, widths=lambda table, symbol: Fraction(1, len(table))
        ),
        "backwards": lambda value, table, count: read(value, table, count)[::-1],
        "the first one, again and again": lambda value, table, count: read(value, table, 1) * count,
        "one too few": lambda value, table, count: read(value, table, count - 1),
    },
    "3": {
        "the number alone is inside": lambda low, width: digits(low, width, whole_part=False),
        "rounded down": lambda low, width: digits(low, width, up=False),
        "the ends may not touch": lambda low, width: digits(low, width, may_touch=False),
        "no zeros behind the point": lambda low, width: digits(low, width, pad=False),
        "a digit more at once": lambda low, width: digits(low, width, least=math.ceil(-math.log2(width)) + 1),
        "backwards": lambda low, width: digits(low, width)[::-1],
        "a zero more": lambda low, width: [*digits(low, width), 0],
        "as many as the width says": nearest_length,
    },
    "4": {
        "one side of the border": lambda m, s, n, k: k * coin(1 - (1 - m / s) ** n),
        "probabilities added": lambda m, s, n, k: k * coin(min(n * 2 * m / s, 1 - 1e-12)),
        "nats": lambda m, s, n, k: k * coin(some_flag(m, s, n)) * np.log(2),
        "one position": lambda m, s, n, k: coin(some_flag(m, s, n)),
        "a flag for each logit": lambda m, s, n, k: k * n * coin(2 * m / s),
        "a bit for each": lambda m, s, n, k: k * 1.0,
        "one flag for the image": lambda m, s, n, k: coin(some_flag(m, s, n * k)),
        "a yes alone": lambda m, s, n, k: -k * some_flag(m, s, n) * np.log2(some_flag(m, s, n)),
    },
}


@pytest.mark.parametrize(("exercise", "place"), [(name, place) for name in RIGHT for place in range(2)])
def test_right_answers_pass(exercise, place):
    assert passes(exercise, RIGHT[exercise][place]) is True


@pytest.mark.parametrize(("exercise", "mistake"), [(name, mistake) for name in WRONG for mistake in WRONG[name]])
def test_wrong_answers_are_refused(exercise, mistake):
    assert passes(exercise, WRONG[exercise][mistake]) is False


@pytest.mark.parametrize("exercise", NAMES)
def test_blank_is_told(exercise, capsys):
    assert passes(exercise, lambda *arguments: None) is False
    assert "nothing returned yet" in capsys.readouterr().out


@pytest.fixture(scope="module")
def coder():
    """Return the chapter's coder: what the cells of its two classes and of `write` define."""
    namespace = {"np": np}
    for words in ("class Encoder:", "class Decoder:"):
        exec(chapters.cell_with(10, words), namespace)
    return chapters.functions(10, "write", given=namespace)


@pytest.mark.parametrize("seed", range(30))
def test_coder_of_the_chapter_gives_back_what_it_wrote_in_as_many_bytes_as_vqlibs(coder, seed):
    """Parts as small as 1 of a million, so that a carry goes through many bytes."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, (10 ** rng.uniform(0, 6, size=(300, 7))).astype("int64"))
    ends, symbols = sizes.cumsum(axis=1), rng.integers(7, size=300)
    written = coder["write"](symbols, ends)
    decoder = coder["Decoder"](written)
    assert [decoder.decode(end) for end in ends] == symbols.tolist()
    theirs = vqlib.range_coder.RangeEncoder()
    for symbol, end, size in zip(symbols, ends, sizes, strict=True):
        theirs.encode(int(end[symbol] - size[symbol]), int(size[symbol]), int(end[-1]))
    assert theirs.finish() == written


def test_a_carry_goes_through_bytes_of_255(coder):
    """The message begins just below a half, and the last symbol lifts it above."""
    encoder = coder["Encoder"]()
    encoder.encode(2**40 - 1, 2, 2**41)  # around the middle
    encoder.encode(1, 1, 2)  # and its upper half
    data = encoder.finish()
    decoder = coder["Decoder"](data)
    assert decoder.decode(np.array([2**40 - 1, 2**40 + 1, 2**41])) == 1
    assert decoder.decode(np.array([1, 2])) == 1
    assert data[0] == 128

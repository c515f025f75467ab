"""Symbols through the range coder, and back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqlib.range_coder import LARGEST_TOTAL, RangeDecoder, RangeDecodingError, RangeEncoder


def encoded(parts):
    """Return the bytes of symbols, each (start, size, total)."""
    encoder = RangeEncoder()
    for part in parts:
        encoder.encode(*part)
    return encoder.finish()


def places(data, parts):
    """Return where the decoder finds each symbol; raise unless that takes all bytes."""
    decoder, found = RangeDecoder(data), []
    for start, size, total in parts:
        found.append(decoder.place(total))
        decoder.decode(start, size)
    decoder.finish()
    return found


@st.composite
def symbols(draw):
    total = draw(st.integers(1, 300) | st.just(LARGEST_TOTAL) | st.integers(1, LARGEST_TOTAL))
    start = draw(st.integers(0, total - 1))
    return start, draw(st.integers(1, total - start)), total


@pytest.mark.parametrize(
    ("parts", "data"),
    [
        ([], b"\0"),
        ([(0, 1, 1)], b"\0"),
        ([(0, 1, 4)], b"\0"),  # 00
        ([(3, 1, 4)], b"\xc0"),  # 11
        ([(1, 1, 2), (0, 1, 2), (1, 1, 2)], b"\xa0"),  # 101
        ([(1, 1, 3)], b"\x56"),  # from 1/3 = 0.555..., in base 16
        ([(byte, 1, 256) for byte in b"vqlib"], b"vqlib"),
    ],
)
def test_exact_bytes(parts, data):
    assert encoded(parts) == data


def test_carry_runs_through_digits_that_are_written():
    """The middle third lies on both sides of 1/2 again and again: the digits 0.7fff... become 0.8000..."""
    middle = [(1, 1, 3)] * 20
    assert encoded([*middle, (0, 1, 3)])[:3] == b"\x7f\xff\xff"
    parts = [*middle, (2, 1, 3)]
    data = encoded(parts)
    assert data[:3] == b"\x80\x00\x00"
    assert places(data, parts) == [1] * 20 + [2]


@given(st.lists(symbols(), max_size=60))
def test_every_symbol_comes_back_and_costs_its_bits(parts):
    data = encoded(parts)
    for (start, size, _), place in zip(parts, places(data, parts), strict=True):
        assert start <= place < start + size
    bits = sum(math.log2(total) - math.log2(size) for _, size, total in parts)
    assert 8 * len(data) < bits + 0.01 * len(parts) + 9


def test_a_million_bits_cost_a_million_bits():
    parts = [(5, 3, 11), (0, 1, 1000), (1, 999, 1000)] * 20_000
    bits = sum(math.log2(total / size) for _, size, total in parts)
    assert bits <= 8 * len(encoded(parts)) < bits + 10


@pytest.mark.parametrize(
    "part",
    [(0, 0, 4), (-1, 1, 4), (3, 2, 4), (4, 1, 4), (0, 1, LARGEST_TOTAL + 1)],
    ids=["empty", "negative", "beyond", "after", "total"],
)
def test_symbol_that_could_not_be_read_is_refused(part):
    with pytest.raises(ValueError, match="A symbol takes a part of the integers"):
        encoded([part])


def test_numpys_integers_are_as_good():
    """In 64 bits, the sums would run over without a word."""
    parts = [(5, 3, 11), (0, 1, 1000), (999, 1, 1000)] * 20
    data = encoded(parts)
    as_numpy = [tuple(np.array(part)) for part in parts]
    assert encoded(as_numpy) == data
    assert places(data, as_numpy) == places(data, parts)


def test_floating_point_is_refused():
    with pytest.raises(TypeError, match="float"):
        encoded([(0, 0.5, 1)])
    decoder = RangeDecoder(b"v")
    with pytest.raises(TypeError, match="float"):
        decoder.place(1.0)
    decoder.place(1)
    with pytest.raises(TypeError, match="float"):
        decoder.decode(0, 1.0)


def test_number_that_no_symbol_has_is_refused():
    """The interval's length is no multiple of 3: the last of it is left over."""
    with pytest.raises(RangeDecodingError, match="not what an encoder with these totals wrote"):
        places(b"\xff" * 8, [(0, 1, 3)])


@given(st.lists(symbols(), max_size=60))
def test_bytes_are_as_many_as_the_symbols_take(parts):
    data = encoded(parts)
    decoder = RangeDecoder(data + b"\0")
    for start, size, total in parts:
        decoder.place(total)
        decoder.decode(start, size)
    with pytest.raises(RangeDecodingError, match="go on after the last symbol"):
        decoder.finish()


def test_bytes_that_end_early_are_refused():
    """However many symbols are asked for: zeros would go on for ever."""
    parts = [(0, 1, 256)] * 20
    data = encoded(parts)
    assert data == bytes(20)
    for length in range(20):
        with pytest.raises(RangeDecodingError):
            places(data[:length], parts)
    for short in (data, b"\0", b""):
        with pytest.raises(RangeDecodingError, match="end before the symbols do"):
            places(short, [(0, 1, 256)] * 1000)


@pytest.mark.parametrize("part", [(3, 1), (1, 1), (2, 0), (-1, 1)], ids=["above", "below", "empty", "negative"])
def test_part_of_another_symbol_is_refused(part):
    decoder = RangeDecoder(b"\xa0")
    assert decoder.place(4) == 2
    with pytest.raises(ValueError, match="is not the part of the symbol that place"):
        decoder.decode(*part)
    decoder.decode(2, 1)
    with pytest.raises(ValueError, match="is not the part"):
        decoder.decode(0, 1)  # of a symbol whose place was not asked for


@pytest.mark.parametrize("total", [0, -1, LARGEST_TOTAL + 1])
def test_total_is_checked(total):
    with pytest.raises(ValueError, match="total must be in"):
        RangeDecoder(b"v").place(total)

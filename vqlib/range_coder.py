"""A range coder: symbols into a number between 0 and 1 that is written byte by byte, and back, all in integers.

Martin (1979, "Range encoding: an algorithm for removing redundancy from a digitised message"). The number lies in an
interval, and a symbol of probability p narrows it to p of its length. In the end the number needs as many digits as
tell it from those outside: the sum of all -log2 p, in bits, to the next byte. So the coder knows nothing of models, and
loses nothing to speak of: whether a file is short is for the probabilities to say.

:func:`vqlib.compress` writes codes with it. Floating point has no place here: who decodes must find the same integers.
That is also why no library does this. ``constriction``, the one that is well kept, takes probabilities as floating
point and rounds them itself, by a rule whose default differs between its versions 0.4 and 0.5: files would hang on its
version, for the sake of some sixty lines that take a tenth of the time.
"""

import operator

PRECISION = 64  # bits of the interval's length, when it is longest
BYTES = PRECISION // 8
SHORTEST = 1 << PRECISION - 8  # below this, a byte of the number is known
MASK = (1 << PRECISION) - 1
LARGEST_TOTAL = 1 << 48  # so that a share is off by 2 ** -8 of itself at most, and mostly by far less


class RangeEncoder:
    """Writes symbols, each as a part of the integers from 0 to `total`: its own are `start` to ``start + size``.

    Used like this::

        encoder = RangeEncoder()
        encoder.encode(start=3, size=1, total=4)  # a symbol with a share of 1/4: 2 bits
        data = encoder.finish()
    """

    def __init__(self) -> None:
        self.low = 0  # where the interval begins; the bytes written are the digits before it
        self.length = 1 << PRECISION
        self.data = bytearray()

    def encode(self, start: int, size: int, total: int) -> None:
        """Narrow the interval to a symbol's part.

        Parameters
        ----------
        start, size, total : int, of Python or NumPy
            0 <= start < start + size <= total <= LARGEST_TOTAL

        Raises
        ------
        ValueError
            If they are not so: such a symbol could not be read back.
        TypeError
            If one is no integer.
        """
        start, size, total = map(operator.index, (start, size, total))  # NumPy's have 64 bits, too few for what follows
        if not 0 <= start < start + size <= total <= LARGEST_TOTAL:
            raise ValueError(
                f"A symbol takes a part of the integers 0..total, with total at most 2^48, but start={start}, "
                f"size={size}, total={total} were given."
            )
        unit = self.length // total
        self.low += start * unit
        self.length = size * unit
        if self.low > MASK:  # beyond the digits here: 1 is carried into those written
            self._carry()
        while self.length < SHORTEST:
            self.data.append(self.low >> PRECISION - 8)
            self.low = self.low << 8 & MASK
            self.length <<= 8

    def finish(self) -> bytes:
        """Return all bytes, of a number in the interval. Called once, after the last symbol."""
        self.low = (self.low + SHORTEST - 1) // SHORTEST * SHORTEST  # inside: the interval is longer
        if self.low > MASK:
            self._carry()
        self.data.append(self.low >> PRECISION - 8)
        return bytes(self.data)

    def _carry(self) -> None:
        """Add 1 to the last digit written, and to those before it where a digit was the highest."""
        self.low &= MASK
        place = len(self.data) - 1
        while self.data[place] == 0xFF:
            self.data[place] = 0
            place -= 1
        self.data[place] += 1


class RangeDecodingError(ValueError):
    """Bytes are not what an encoder wrote of such symbols."""


class RangeDecoder:
    """Reads what a :class:`RangeEncoder` wrote, in the same order.

    Used like this::

        decoder = RangeDecoder(data)
        place = decoder.place(total=4)  # for each symbol: an integer of its part, which tells the symbol
        decoder.decode(start=3, size=1)
        decoder.finish()
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = int.from_bytes(data[:BYTES].ljust(BYTES, b"\0"), "big")  # of the number in the interval
        self.length = 1 << PRECISION
        self.unit = 0
        self.read = BYTES  # how many are in `offset`
        self.end = len(data) + BYTES - 1  # how many are in the end: of the last number, the encoder writes one byte

    def place(self, total: int) -> int:
        """Return where the number lies among the integers from 0 to `total`, which are the next symbol's.

        Raises
        ------
        RangeDecodingError
            If it lies beyond them, in the rest that no symbol has: then no encoder wrote this with these totals.
        ValueError
            If `total` is not in 1..LARGEST_TOTAL.
        """
        total = operator.index(total)
        if not 0 < total <= LARGEST_TOTAL:
            raise ValueError(f"total must be in 1..2^48, but {total} was given.")
        self.unit = self.length // total
        place = self.offset // self.unit
        if place >= total:
            raise RangeDecodingError("The bytes are not what an encoder with these totals wrote.")
        return place

    def decode(self, start: int, size: int) -> None:
        """Narrow the interval to the part of the symbol that :meth:`place` told.

        Raises
        ------
        RangeDecodingError
            If the bytes end before this symbol does.
        ValueError
            If the part does not hold what :meth:`place` gave.
        """
        start, size = map(operator.index, (start, size))
        offset, length = self.offset - start * self.unit, size * self.unit
        if not 0 <= offset < length:
            raise ValueError(f"start={start}, size={size} is not the part of the symbol that place() told.")
        while length < SHORTEST:
            if self.read >= self.end:
                raise RangeDecodingError("The bytes end before the symbols do.")
            offset = offset << 8 | (self.data[self.read] if self.read < len(self.data) else 0)
            length <<= 8
            self.read += 1
        self.offset, self.length, self.unit = offset, length, 0  # no part of a symbol holds, before place()

    def finish(self) -> None:
        """Raise RangeDecodingError unless the symbols took all bytes."""
        if self.read != self.end:
            raise RangeDecodingError("The bytes go on after the last symbol.")

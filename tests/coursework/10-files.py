# Answers to assignment 10 that are right in other words, or wrong, in place of the reference solution. The title of
# each names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: F811, F821

# %% q1 4 of 4: one product of fractions, and one whole number
def bits_learning(symbols, K):
    width, seen = Fraction(1), []
    for symbol in np.asarray(symbols).tolist():
        width *= Fraction(1 + seen.count(symbol), K + len(seen))
        seen.append(symbol)
    return np.log2(float(width.denominator)) - np.log2(float(width.numerator))


def read_learning(digits, K, count):
    number, scale, counts, symbols = int("".join(map(str, digits)), 2), 2 ** len(digits), np.ones(K, int), []
    for _ in range(count):
        ends = counts.cumsum().tolist()
        symbol = next(k for k in range(K) if number * ends[-1] < ends[k] * scale)
        number, scale = number * ends[-1] - (ends[symbol] - int(counts[symbol])) * scale, scale * int(counts[symbol])
        symbols.append(symbol)
        counts[symbol] += 1
    return np.array(symbols)


my_symbols = read_learning(my_digits, 4, 40)


# %% q1 2 of 4: the table holds the symbol that is to be written
# says: The decoder cannot know it yet
def bits_learning(symbols, K):
    counts, bits = np.ones(K), 0.0
    for symbol in symbols:
        counts[symbol] += 1
        bits -= np.log2(counts[symbol] / counts.sum())
    return bits


# %% q1 2 of 4: shares in the whole sequence
# says: which the decoder does not know before its end
def bits_learning(symbols, K):
    shares = np.bincount(symbols, minlength=K) / len(symbols)
    return -np.sum(np.log2(shares[symbols]))


# %% q1 1 of 4: a table that never learns
# says: The table never learns
def bits_learning(symbols, K):
    return len(symbols) * np.log2(K)


my_bits = bits_learning(my_symbols, 4)


# %% q1 2 of 4: nats
# says: with the natural logarithm
def bits_learning(symbols, K):
    counts, nats = np.ones(K), 0.0
    for symbol in symbols:
        nats -= np.log(counts[symbol] / counts.sum())
        counts[symbol] += 1
    return nats


# %% q1 3 of 4: floats
# says: floats run out of digits
def read_learning(digits, K, count):
    value, counts, symbols = sum(d / 2 ** (i + 1) for i, d in enumerate(digits)), np.ones(K), []
    for _ in range(count):
        ends = np.cumsum(counts) / counts.sum()
        symbol = min(int(np.searchsorted(ends, value, side="right")), K - 1)
        value = (value - ends[symbol] + counts[symbol] / counts.sum()) * counts.sum() / counts[symbol]
        symbols.append(symbol)
        counts[symbol] += 1
    return symbols


# %% q1 2 of 4: a number is read by a table that never learns
# says: The table never learns
def read_learning(digits, K, count):
    value = sum(Fraction(int(digit), 2 ** (place + 1)) for place, digit in enumerate(digits))
    symbols = []
    for _ in range(count):
        value *= K
        symbols.append(int(value))
        value -= symbols[-1]
    return symbols


# %% q1 2 of 4: the last digit counts most
# says: The first digit behind the point counts a half
def read_learning(digits, K, count, forwards=read_learning):
    return forwards(digits[::-1], K, count)


# %% q2 3 of 3: bytes are counted, and what is left of the register
def coder_bits(sizes, totals, places):
    width, written = 256**places, places
    for size, total in zip(np.asarray(sizes).tolist(), np.asarray(totals).tolist(), strict=True):
        width = (width // total) * size
        while width < 256**places // 256:
            width, written = width << 8, written + 1
    return 8 * written - np.log2(float(width))


# %% q2 1 of 3: the sum of -log2 p
# says: What the division rounds away is missing
def coder_bits(sizes, totals, places):
    return np.sum(np.log2(totals / sizes))


# %% q2 1 of 3: nats
# says: Those are nats
def coder_bits(sizes, totals, places, in_bits=coder_bits):
    return np.log(2) * in_bits(sizes, totals, places)


# %% q2 1 of 3: whole bits for each symbol
# says: does not round for each symbol
def coder_bits(sizes, totals, places, in_bits=coder_bits):
    width, bits = 256**places, 0
    for size, total in zip(sizes, totals, strict=True):
        after = width // int(total) * int(size)
        bits += np.ceil(np.log2(width / after))
        width = after * 256 if after < 256 ** (places - 1) else after
    return bits


# %% q2 2 of 3: one byte at most is written after a symbol
# says: with 3 places
def coder_bits(sizes, totals, places):
    width, bits = 256**places, 0.0
    for size, total in zip(sizes, totals, strict=True):
        after = max(1, width // int(total) * int(size))
        bits += np.log2(width / after)
        width = after * 256 if after < 256 ** (places - 1) else after
    return bits


# %% q2 2 of 3: what the coder pays is called its loss
# says: not what it loses
my_loss = coder_bits(my_sizes, my_totals, 2)


# %% q2 2 of 3: a share is called bits
# says: Bits are asked for
my_loss = coder_bits(my_sizes, my_totals, 2) / ideal - 1


# %% q2 2 of 3: a place more than is needed
# says: one place fewer
my_places = my_places + 1


# %% q3 3 of 3: what is over a border, and a loop
def at_risk(logits, step, delta, shift):
    over = np.mod(logits + step / 2 + step * shift / 16, step)
    return ((over < delta) | (step - over < delta)).any(axis=-1)


def least_shifts(logits, step, delta):
    shifts = np.zeros(np.shape(logits)[:-1], int)
    for place in np.ndindex(shifts.shape):
        while at_risk(logits[place], step, delta, shifts[place]):
            shifts[place] += 1
    return shifts


# %% q3 1 of 3: borders at the multiples of the step
# says: Borders lie in the middle
def at_risk(logits, step, delta, shift):
    in_steps = logits / step + shift / 16
    return np.any(np.abs(in_steps - np.round(in_steps)) * step < delta, axis=-1)


# %% q3 1 of 3: one side of a border
# says: two sides
def at_risk(logits, step, delta, shift):
    return np.any(np.mod(logits + step * (0.5 + shift / 16), step) < delta, axis=-1)


# %% q3 1 of 3: delta in steps
# says: delta is in logits
def at_risk(logits, step, delta, shift):
    in_steps = logits / step + 0.5 + shift / 16
    return np.any(np.abs(in_steps - np.round(in_steps)) < delta, axis=-1)


# %% q3 1 of 3: all logits must be at risk
# says: One logit is enough
def at_risk(logits, step, delta, shift):
    in_steps = logits / step + 0.5 + shift / 16
    return np.all(np.abs(in_steps - np.round(in_steps)) * step < delta, axis=-1)


# %% q3 1 of 3: no shift
# says: The shift moves the borders
def at_risk(logits, step, delta, shift):
    in_steps = logits / step + 0.5
    return np.any(np.abs(in_steps - np.round(in_steps)) * step < delta, axis=-1)


# %% q3 2 of 3: the first shift with a risk
# says: for which there *is* a risk
def least_shifts(logits, step, delta):
    return np.argmax([at_risk(logits, step, delta, shift) for shift in range(16)], axis=0)


# %% q3 2 of 3: the last shift without
# says: The least is asked for
def least_shifts(logits, step, delta):
    return 15 - np.argmin([at_risk(logits, step, delta, shift) for shift in range(15, -1, -1)], axis=0)


# %% q3 2 of 3: positions are called files
# says: How many *files*
my_unsafe = at_risk(my_logits, my_step, my_delta, 0).sum()


# %% q3 2 of 3: only what is moved is counted
# says: A shift of 0 is written, too
my_shift_bits = 10 * np.count_nonzero(my_shifts)


# %% q3 2 of 3: four bits each
# says: What does an arithmetic coder need
my_shift_bits = 4 * my_shifts.size


# %% q4 3 of 3: bytes of Python
def seal(content, fingerprint):
    rest = bytes(fingerprint) + bytes(content)
    number = zlib.crc32(rest)
    check = bytes(number >> 8 * place & 255 for place in (3, 2, 1, 0))
    return list(b"vq10" + check + rest)


def examine(data, fingerprint):
    data = bytes(bytearray(data))
    if not data.startswith(b"vq10"):
        return 1
    if len(data) >= 12 and seal(data[12:], data[8:12]) == list(data):
        return 3 * (data[8:12] != bytes(fingerprint))
    return 2


# %% q4 2 of 3: a check value of the content alone
# says: the fingerprint too
def seal(content, fingerprint):
    return np.concatenate([MAGIC, check_value(content), fingerprint, content])


# %% q4 2 of 3: a check value of all
# says: The beginning stands before it
def seal(content, fingerprint):
    rest = np.concatenate([fingerprint, content])
    return np.concatenate([MAGIC, check_value(np.concatenate([MAGIC, rest])), rest])


# %% q4 2 of 3: the lowest byte first
# says: The highest byte comes first
def seal(content, fingerprint):
    rest = np.concatenate([fingerprint, content])
    return np.concatenate([MAGIC, check_value(rest)[::-1], rest])


# %% q4 2 of 3: no check value
# says: Where is the check value
def seal(content, fingerprint):
    return np.concatenate([MAGIC, fingerprint, content])


# %% q4 2 of 3: other models first
# says: one bit changed in its fingerprint
def examine(data, fingerprint):
    if not np.array_equal(data[:4], MAGIC):
        return 1
    if len(data) >= 12 and not np.array_equal(data[8:12], fingerprint):
        return 3
    return 2 if len(data) < 12 or not np.array_equal(check_value(data[8:]), data[4:8]) else 0


# %% q4 2 of 3: a file that is too short
# says: of the first 8 bytes
def examine(data, fingerprint):
    if not np.array_equal(data[:4], MAGIC):
        return 1
    if len(data) < 8 or (len(data) > 8 and not np.array_equal(check_value(data[8:]), data[4:8])):
        return 2
    return 0 if np.array_equal(data[8:12], fingerprint) else 3


# %% q4 2 of 3: whole or not
# says: What is the matter with each
my_verdicts = [examine(file, my_print) > 0 for file in my_files]

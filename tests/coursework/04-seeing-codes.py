# Answers to assignment 4 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: E402, F811, F821

# %% q1 3 of 3: a loop over the cells
def typical_grid(codes, num_embeddings):
    rows = []
    for r in range(codes.shape[1]):
        rows.append([int(np.bincount(codes[:, r, c]).argmax()) for c in range(codes.shape[2])])
    return rows


# %% q1 3 of 3: SciPy
from scipy.stats import mode


def typical_grid(codes, num_embeddings):
    return mode(codes, axis=0).mode


# %% q1 3 of 3: one-hot codes, summed by Keras
def typical_grid(codes, num_embeddings):
    return ops.argmax(ops.sum(ops.one_hot(codes, num_embeddings), axis=0), axis=-1)


# %% q1 0 of 3: a mean of codes, rounded
# says: names have no mean
def typical_grid(codes, num_embeddings):
    return np.round(np.mean(codes, axis=0)).astype("int32")


my_typical = typical_grid(model.encode(my_images), K)
my_empty = int(np.sum(my_typical == blank_codes))


# %% q1 1 of 3: a median of codes
# says: sorts the codes by number
def typical_grid(codes, num_embeddings):
    return np.sort(codes, axis=0)[len(codes) // 2]


# %% q1 1 of 3: codes as floats
# says: whole numbers
def typical_grid(codes, num_embeddings):
    codes = np.asarray(codes)
    counts = [np.sum(codes == k, axis=0) for k in range(num_embeddings)]
    return np.argmax(counts, axis=0).astype("float32")


# %% q1 1 of 3: all cells are counted at once
# says: on its own
def typical_grid(codes, num_embeddings):
    return np.full(codes.shape[1:], np.bincount(codes.ravel()).argmax())


# %% q1 1 of 3: argmax over the wrong axis
# says: another axis
def typical_grid(codes, num_embeddings):
    return np.array([np.bincount(grid.ravel()).argmax() for grid in codes])


# %% q1 2 of 3: of two equally frequent codes the one that comes first
# says: smallest number
import collections


def typical_grid(codes, num_embeddings):
    return [
        [collections.Counter(codes[:, r, c].tolist()).most_common(1)[0][0] for c in range(codes.shape[2])]
        for r in range(codes.shape[1])
    ]


# %% q1 2 of 3: one name for nothing
# says: more than one name
my_empty = int(np.sum(my_typical == blank_codes[3, 3]))


# %% q1 2 of 3: the names of nothing, wherever they stand
# says: Compare cell by cell
my_empty = int(np.isin(my_typical, blank_codes).sum())


# %% q2 3 of 3: sets of positions, layer by layer
def field(kernels, strides, size, index):
    sees = [{n} for n in range(size)]
    for k, s in zip(kernels, strides, strict=True):
        outputs = (len(sees) + s - 1) // s
        left = max((outputs - 1) * s + k - len(sees), 0) // 2
        sees = [set().union(*sees[max(i * s - left, 0) : i * s - left + k]) for i in range(outputs)]
    return min(sees[index]), max(sees[index])


# %% q2 3 of 3: asked of a network, by gradients
import keras


def field(kernels, strides, size, index):
    layers = [keras.layers.Input((size, 1))]
    for k, s in zip(kernels, strides, strict=True):
        layers.append(keras.layers.Conv1D(1, k, strides=s, padding="same", kernel_initializer="ones"))
    network, x = keras.Sequential(layers), tf.ones((1, size, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        code = network(x)[0, index, 0]
    return np.flatnonzero(tape.gradient(code, x)[0, :, 0])[[0, -1]]


# %% q2 3 of 3: another encoder of the same measures
swapped = {4: (4, 1, 1), 6: (2, 3, 1), 8: (4, 2, 1)}[my_jump]
before = np.cumprod((1, *swapped))[:3]
my_kernels, my_strides = (
    next(
        np.array(kernels)
        for kernels in np.ndindex(6, 6, 6)
        if np.all(np.array(kernels) >= swapped) and (np.array(kernels) - 1) @ before == my_width - 1
    ),
    list(swapped),
)


# %% q2 1 of 3: the padding is forgotten
# says: moves the field
def field(kernels, strides, size, index):
    width, jump = 1, 1
    for k, s in zip(kernels, strides, strict=True):
        width, jump = width + (k - 1) * jump, jump * s
    return index * jump, min(index * jump + width, size) - 1


# %% q2 1 of 3: zeros are taken for pixels
# says: is not a pixel
def field(kernels, strides, size, index):
    sizes = [size]
    for s in strides:
        sizes.append(-(-sizes[-1] // s))
    first = last = index
    for k, s, n, m in list(zip(kernels, strides, sizes, sizes[1:], strict=False))[::-1]:
        before = max((m - 1) * s + k - n, 0) // 2
        first, last = first * s - before, last * s - before + k - 1
    return first, last


# %% q2 1 of 3: one pixel too many
# says: not the first one outside
reference_field = field


def field(kernels, strides, size, index):
    first, last = reference_field(kernels, strides, size, index)
    return first, last + 1


# %% q2 1 of 3: from the first layer to the last
# says: begins at the last layer
def field(kernels, strides, size, index):
    first = last = index
    n = size
    for k, s in zip(kernels, strides, strict=True):
        m = -(-n // s)
        before = max((m - 1) * s + k - n, 0) // 2
        first, last, n = first * s - before, last * s - before + k - 1, m
    return max(first, 0), min(last, size - 1)


# %% q2 2 of 3: a padding that does not ask how many inputs there are
# says: entries differ
def field(kernels, strides, size, index):
    sizes = [size]
    for s in strides:
        sizes.append(-(-sizes[-1] // s))
    first = last = index
    for k, s, n in list(zip(kernels, strides, sizes, strict=False))[::-1]:
        first, last = max(first * s - (k - s) // 2, 0), min(last * s - (k - s) // 2 + k - 1, n - 1)
    return first, last


# %% q2 2 of 3: the product of strides includes the layer's own
# says: is its own among them
def wrong_width(kernels, strides):
    return 1 + sum((k - 1) * int(np.prod(strides[: i + 1])) for i, k in enumerate(kernels))


my_kernels, my_strides = next(
    (k, s)
    for s in np.ndindex(6, 6, 6)
    for k in np.ndindex(6, 6, 6)
    if np.prod(s) == my_jump and min(np.subtract(k, s)) >= 0 and wrong_width(k, s) == my_width
)


# %% q2 2 of 3: a neighbour's encoder
# says: 9 pixels apart
my_kernels, my_strides = (5, 5, 5), (3, 3, 1)


# %% q3 3 of 3: by trying, one cell at a time
def painters(decoder, z, row, column):
    z = np.asarray(z)
    before = np.asarray(decoder(z))[:, row, column]
    answer, noise = np.zeros(z.shape[1:3], bool), np.random.default_rng(0)
    for cell in np.ndindex(answer.shape):
        for _ in range(3):
            tried = z.copy()
            tried[:, cell[0], cell[1]] += noise.normal(size=z.shape[-1]).astype(z.dtype)
            answer[cell] |= bool(np.any(np.abs(np.asarray(decoder(tried))[:, row, column] - before) > 1e-6))
    return answer


# %% q3 3 of 3: the gradient of a sum of squares, as a list
def painters(decoder, z, row, column):
    z = tf.Variable(z)
    with tf.GradientTape() as tape:
        pixel = decoder(z)[:, row, column]
        loss = tf.reduce_sum(pixel * tf.random.stateless_uniform(pixel.shape, (1, 2), 0.5, 1.5))
    return (np.abs(tape.gradient(loss, z)).sum(axis=(0, 3)) > 0).tolist()


# %% q3 2 of 3: the entries of a vector cancel
# says: cancel
def painters(decoder, z, row, column):
    z = tf.Variable(z)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(decoder(z)[:, row, column])
    return np.sum(tape.gradient(total, z), axis=(0, 3)) != 0


# %% q3 1 of 3: row and column are swapped
# says: in their places
reference_painters = painters


def painters(decoder, z, row, column):
    return reference_painters(decoder, z, column, row)


# %% q3 1 of 3: the whole image
# says: the whole image
def painters(decoder, z, row, column):
    z = tf.Variable(z)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(decoder(z))
    return np.any(tape.gradient(total, z) != 0, axis=(0, 3))


# %% q3 1 of 3: true where a cell has no say
# says: other way round
reference_painters = painters


def painters(decoder, z, row, column):
    return ~reference_painters(decoder, z, row, column)


# %% q3 1 of 3: the nearest code alone
# says: overlap
def painters(decoder, z, row, column):
    height, width = np.shape(z)[1:3]
    answer = np.zeros((height, width), bool)
    answer[row * height // np.shape(decoder(z))[1], column * width // np.shape(decoder(z))[2]] = True
    return answer


# %% q3 2 of 3: the first channel of the first image
# says: at all images, and at all channels
def painters(decoder, z, row, column):
    z = tf.Variable(z)
    with tf.GradientTape() as tape:
        total = decoder(z)[0, row, column, 0]
    return np.any(tape.gradient(total, z) != 0, axis=(0, 3))


# %% q3 2 of 3: the codes that see the pixel
# says: paints more than it sees
def axis_count(pixel):
    return sum(4 * cell <= pixel <= 4 * cell + 6 for cell in range(7))


my_counts = [axis_count(row) * axis_count(column) for row, column in my_pixels]


# %% q3 2 of 3: rows and columns are added up
# says: the numbers multiply
def axis_count(pixel):
    return sum(4 * cell - 1 <= pixel <= 4 * cell + 7 for cell in range(7))


my_counts = [axis_count(row) + axis_count(column) for row, column in my_pixels]


# %% q4 4 of 4: a loop over the left codes, natural logarithms divided by that of 2
def bits_given_left(codes, num_embeddings):
    codes = np.asarray(codes)
    left, right = codes[..., :-1].ravel(), codes[..., 1:].ravel()
    total = 0
    for k in np.unique(left):
        counts = np.bincount(right[left == k])
        shares = counts[counts > 0] / counts.sum()
        total += np.mean(left == k) * np.sum(shares * np.log(1 / shares)) / np.log(2)
    return total


my_bits = bits_given_left(my_codes, K)
my_perplexity = np.exp(my_bits * np.log(2))


# %% q4 4 of 4: a table of shares, by Keras in float32
def bits_given_left(codes, num_embeddings):
    parts = codes[:, :, :-1], codes[:, :, 1:]
    left, right = (ops.one_hot(ops.reshape(part, (-1,)), num_embeddings) for part in parts)
    table = ops.matmul(ops.transpose(left), right) / left.shape[0]
    given = table / ops.maximum(ops.sum(table, axis=1, keepdims=True), 1e-9)
    return -ops.sum(table * ops.log2(ops.where(table > 0, given, 1.0)))


# %% q4 4 of 4: a little is added, so that no logarithm is of zero
def bits_given_left(codes, num_embeddings):
    table = np.zeros((num_embeddings, num_embeddings))
    np.add.at(table, (codes[:, :, :-1], codes[:, :, 1:]), 1 / codes[:, :, 1:].size)
    given = table / (table.sum(axis=1, keepdims=True) + 1e-12)
    return -np.sum(table * np.log2(given + 1e-12))


# %% q4 2 of 4: zero times the logarithm of zero
# says: costs no bits
def bits_given_left(codes, num_embeddings):
    table = np.zeros((num_embeddings, num_embeddings))
    np.add.at(table, (codes[:, :, :-1], codes[:, :, 1:]), 1 / codes[:, :, 1:].size)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = table * np.log2(table / table.sum(axis=1, keepdims=True))
    return -np.sum(bits)


# %% q4 2 of 4: nats called bits
# says: nats
def bits_given_left(codes, num_embeddings):
    left, right = codes[:, :, :-1].ravel(), codes[:, :, 1:].ravel()
    table = np.bincount(left * num_embeddings + right, minlength=num_embeddings**2).reshape(num_embeddings, -1)
    given = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return -np.sum(table[table > 0] * np.log(given[table > 0])) / left.size


# %% q4 2 of 4: the neighbour above
# says: wrong axis
reference_bits = bits_given_left


def bits_given_left(codes, num_embeddings):
    return reference_bits(np.swapaxes(codes, 1, 2), num_embeddings)


# %% q4 2 of 4: the last column gets the first one as its neighbour
# says: last column
reference_bits = bits_given_left


def bits_given_left(codes, num_embeddings):
    return reference_bits(np.concatenate([codes, codes[:, :, :1]], axis=2), num_embeddings)


# %% q4 2 of 4: the end of a row and the beginning of the next
# says: no neighbours
reference_bits = bits_given_left


def bits_given_left(codes, num_embeddings):
    return reference_bits(np.reshape(codes, (1, 1, -1)), num_embeddings)


# %% q4 2 of 4: the left code is paid for, the right one known
# says: the left one is paid for
reference_bits = bits_given_left


def bits_given_left(codes, num_embeddings):
    return reference_bits(codes[:, :, ::-1], num_embeddings)


# %% q4 2 of 4: a plain mean over the left codes
# says: no plain mean
def bits_given_left(codes, num_embeddings):
    left, right = codes[:, :, :-1].ravel(), codes[:, :, 1:].ravel()
    return np.mean([entropy_bits(np.bincount(right[left == k])) for k in np.unique(left)])


# %% q4 2 of 4: what is saved, not what is paid
# says: not what still has to be paid
def bits_given_left(codes, num_embeddings):
    return entropy_bits(np.bincount(codes[:, :, 1:].ravel())) - my_reference(codes, num_embeddings)


def my_reference(codes, num_embeddings):
    pairs = np.bincount((codes[:, :, :-1] * num_embeddings + codes[:, :, 1:]).ravel(), minlength=num_embeddings**2)
    return entropy_bits(pairs) - entropy_bits(pairs.reshape(num_embeddings, -1).sum(axis=1))


# %% q4 2 of 4: both codes of a pair are paid for
# says: cost together
def bits_given_left(codes, num_embeddings):
    return entropy_bits(np.bincount((codes[:, :, :-1] * num_embeddings + codes[:, :, 1:]).ravel()))


# %% q4 2 of 4: the neighbour is not looked at
# says: nothing is known of its neighbour
def bits_given_left(codes, num_embeddings):
    return entropy_bits(np.bincount(codes[:, :, 1:].ravel()))


# %% q4 2 of 4: the sign is forgotten
# says: below zero
reference_bits = bits_given_left


def bits_given_left(codes, num_embeddings):
    return -reference_bits(codes, num_embeddings)


# %% q4 3 of 4: grid by grid
# says: not grid by grid
reference_bits = bits_given_left


def bits_given_left(codes, num_embeddings):
    return np.mean([reference_bits(codes[n : n + 1], num_embeddings) for n in range(len(codes))])


# %% q4 2 of 4: perplexity in the wrong base
# says: mixes two bases
my_perplexity = np.exp(my_bits)


# %% q4 2 of 4: the shuffled grids are left out
# says: the whole truth
my_saving = entropy_bits(np.bincount(my_codes[:, :, 1:].ravel())) - my_bits


# %% q4 2 of 4: only what the codes still cost is compared
# says: in the shuffled grids they are others
my_saving = bits_given_left(my_shuffled, K) - my_bits


# %% q4 2 of 4: nats called bits in the numbers alone
# says: nats, not bits
my_bits, my_perplexity = my_bits * np.log(2), np.exp(my_bits * np.log(2))


# %% q4 2 of 4: the entropy of all codes, the first column among them
# says: in the shuffled grids they are others
my_saving = (entropy_bits(np.bincount(my_codes.ravel())) - my_bits) - (
    entropy_bits(np.bincount(my_shuffled.ravel())) - bits_given_left(my_shuffled, K)
)


# %% q5 4 of 4: every pair of codewords, and whether both are nearest where they meet
def snaps(a, b, codebook):
    def nearest(t):
        return np.sum(((1 - t) * a + t * b - codebook) ** 2, axis=1)

    times = set()
    for i in range(len(codebook)):
        for j in range(i):
            gap = [d[i] - d[j] for d in (nearest(0), nearest(1))]
            if gap[0] * gap[1] < 0:
                t = gap[0] / (gap[0] - gap[1])
                if nearest(t)[i] <= nearest(t).min() + 1e-9:
                    times.add(t)
    return sorted(times)


def visited(a, b, codebook):
    times = np.array([0, *snaps(a, b, codebook), 1])
    middle = (times[:-1] + times[1:]) / 2
    return [int(np.argmin(np.sum(((1 - t) * a + t * b - codebook) ** 2, axis=1))) for t in middle]


# %% q5 4 of 4: halves of the way, as long as their ends differ
def split(a, b, codebook, start=0.0, end=1.0):
    """Return the (t, code) at which codes begin, found by cutting the way in two at the wall of the ends."""

    def lines(t):
        return np.sum(codebook**2, axis=1) - 2 * codebook @ ((1 - t) * a + t * b)

    i, j = int(np.argmin(lines(start))), int(np.argmin(lines(end)))
    if i == j:
        return []
    gap = [lines(t)[i] - lines(t)[j] for t in (0, 1)]
    t = gap[0] / (gap[0] - gap[1])
    lowest = int(np.argmin(lines(t)))
    if lines(t)[lowest] > lines(t)[i] - 1e-9:
        return [(t, j)]
    return split(a, b, codebook, start, t) + split(a, b, codebook, t, end)


def visited(a, b, codebook):
    first = np.argmin(np.sum((codebook - a) ** 2, axis=1))
    return ops.convert_to_tensor([int(first)] + [code for _, code in split(a, b, codebook)])


def snaps(a, b, codebook):
    return np.array([t for t, _ in split(a, b, codebook)])


# %% q5 4 of 4: numbers as floats
my_changes, my_detours = float(my_changes), np.float32(my_detours)


# %% q5 1 of 4: steps, and where they find another code
# says: steps at which you looked
def visited(a, b, codebook):
    line = a + np.linspace(0, 1, 201)[:, None] * (b - a)
    codes = np.argmin(np.sum((line[:, None] - codebook) ** 2, axis=2), axis=1)
    return codes[np.r_[True, codes[1:] != codes[:-1]]]


def snaps(a, b, codebook):
    line = a + np.linspace(0, 1, 201)[:, None] * (b - a)
    codes = np.argmin(np.sum((line[:, None] - codebook) ** 2, axis=2), axis=1)
    return np.linspace(0, 1, 201)[1:][codes[1:] != codes[:-1]]


# %% q5 3 of 4: steps for the codes, walls for the times
# says: short time
def visited(a, b, codebook):
    line = a + np.linspace(0, 1, 201)[:, None] * (b - a)
    codes = np.argmin(np.sum((line[:, None] - codebook) ** 2, axis=2), axis=1)
    return codes[np.r_[True, codes[1:] != codes[:-1]]]


# %% q5 2 of 4: codes sorted by number
# says: In which order
reference_visited = visited


def visited(a, b, codebook):
    return np.unique(reference_visited(a, b, codebook))


# %% q5 2 of 4: codes as floats
# says: whole numbers
reference_visited = visited


def visited(a, b, codebook):
    return np.array(reference_visited(a, b, codebook), "float32")


# %% q5 2 of 4: argmin over the wrong axis
# says: over the codewords
def visited(a, b, codebook):
    line = a + np.linspace(0, 1, 201)[:, None] * (b - a)
    return np.argmin(np.sum((line[:, None] - codebook) ** 2, axis=2), axis=0)


# %% q5 2 of 4: only the wall between the two ends
# says: Is another one nearer there
def snaps(a, b, codebook):
    start, end = (np.sum((codebook - v) ** 2, axis=1) for v in (a, b))
    i, j = np.argmin(start), np.argmin(end)
    gap = start[j] - start[i], end[j] - end[i]
    return [gap[0] / (gap[0] - gap[1])] if i != j else []


# %% q5 2 of 4: all walls of the first codeword
# says: first codeword only
def snaps(a, b, codebook):
    start, end = (np.sum((codebook - v) ** 2, axis=1) for v in (a, b))
    i = np.argmin(start)
    lead, last = start - start[i], end - end[i]
    return np.sort([s / (s - e) for s, e in zip(lead, last, strict=True) if e < 0])


# %% q5 3 of 4: one codeword between the ends, and no more
# says: should have the shape
def snaps(a, b, codebook):
    start, end = (np.sum((codebook - v) ** 2, axis=1) for v in (a, b))

    def wall(i, j):
        return (start[j] - start[i]) / (start[j] - start[i] - end[j] + end[i])

    i, j = np.argmin(start), np.argmin(end)
    if i == j:
        return []
    m = np.argmin(start + wall(i, j) * (end - start))
    return [wall(i, j)] if m in (i, j) else [wall(i, m), wall(m, j)]


# %% q5 2 of 4: from b to a
# says: t runs from 0 at a
reference_snaps = snaps


def snaps(a, b, codebook):
    return reference_snaps(b, a, codebook)


# %% q5 1 of 4: distance without its square
# says: Is there a square
def walk(a, b, codebook):
    start, end = (np.sqrt(np.sum((codebook - v) ** 2, axis=1)) for v in (a, b))
    codes, times = [int(np.argmin(start))], []
    while codes[-1] != np.argmin(end):
        lead = start - start[codes[-1]]
        fall = lead - (end - end[codes[-1]])
        meets = np.where(fall > 0, lead / np.where(fall > 0, fall, 1), np.inf)
        codes.append(int(np.argmin(meets)))
        times.append(meets.min())
    return codes, times


def visited(a, b, codebook):
    return walk(a, b, codebook)[0]


def snaps(a, b, codebook):
    return walk(a, b, codebook)[1]


# %% q5 3 of 4: the ends are counted, not the changes
# says: may change more than once
my_changes = int(sum(codes[0] != codes[-1] for codes in ways))


# %% q5 3 of 4: codes on detours, not cells
# says: Count the cells
my_detours = sum(len(codes) - 2 for codes in ways if len(codes) > 2)

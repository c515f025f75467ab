# Answers to assignment 9 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: E402, F811, F821

# %% q1 3 of 3: loops over blocks, and what is decoded so far
def encode_levels(images, books):
    decoded, grids = np.zeros(images.shape), []
    for n in range(len(books)):
        size = 2 ** (len(books) - n)
        grid = np.zeros((len(images), images.shape[1] // size, images.shape[2] // size), int)
        for image, i, j in np.ndindex(grid.shape):
            block = (image, slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size))
            remainder = np.mean(images[block]) - np.mean(decoded[block])
            grid[image, i, j] = min(range(len(books[n])), key=lambda k: (remainder - books[n][k]) ** 2)
            decoded[block] += books[n][grid[image, i, j]]
        grids.append(grid)
    return tuple(grids)


def decode_levels(grids, books):
    decoded = 0
    for grid, values in zip(grids, books, strict=True):  # twice as large with each level, from the top down
        decoded = np.kron(decoded + values[grid], np.ones((1, 2, 2)))
    return decoded


# %% q1 3 of 3: Keras operations
from keras import ops


def encode_levels(images, books):
    left, grids = ops.convert_to_tensor(images, "float64"), []
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        means = ops.average_pool(left[..., None], size, size)[..., 0]
        grids.append(ops.argmin((means[..., None] - values) ** 2, axis=-1))
        says = ops.take(ops.convert_to_tensor(values, "float64"), grids[-1])
        left = left - ops.repeat(ops.repeat(says, size, axis=1), size, axis=2)
    return grids


# %% q1 1 of 3: told the top before quantization
# says: before quantization
def encode_levels(images, books):
    grids, left = [], images
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        means = block_means(left, size)
        grids.append(nearest(means, values))
        left = left - lay_over(means, size)
    return grids


# %% q1 1 of 3: no level is told anything
# says: Was it told the top
def encode_levels(images, books):
    return [nearest(block_means(images, 2 ** (len(books) - n)), values) for n, values in enumerate(books)]


# %% q1 2 of 3: told the level just above only
# says: levels further up
def encode_levels(images, books):
    grids, told = [], np.zeros(images.shape)
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        grids.append(nearest(block_means(images - told, size), values))
        told = lay_over(values[grids[-1]], size)
    return grids


# %% q1 1 of 3: the grid is repeated, not its entries
# says: The whole grid was repeated
def encode_levels(images, books):
    grids, left = [], images
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        grids.append(nearest(block_means(left, size), values))
        left = left - np.tile(values[grids[-1]], (1, size, size))
    return grids


# %% q1 1 of 3: the codes are laid over the image
# says: Codes are names
def encode_levels(images, books):
    grids, left = [], images
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        grids.append(nearest(block_means(left, size), values))
        left = left - lay_over(grids[-1], size)
    return grids


# %% q1 1 of 3: the bottom level first in the list
# says: bottom level first
reference = encode_levels


def encode_levels(images, books):
    return reference(images, books)[::-1]


# %% q1 1 of 3: the bottom is quantized first, and the top gets what it leaves over
# says: grid of top codes is not right
def encode_levels(images, books):
    grids, left = [], images
    for n, values in reversed(list(enumerate(books))):
        size = 2 ** (len(books) - n)
        grids.insert(0, nearest(block_means(left, size), values))
        left = left - lay_over(values[grids[0]], size)
    return grids


# %% q1 1 of 3: argmin over the wrong axis
# says: should have the shape
def encode_levels(images, books):
    top = np.argmin(np.abs(block_means(images, 4)[..., None] - books[0]), axis=0)
    return [top, np.argmin(np.abs(block_means(images, 2)[..., None] - books[-1]), axis=0)]


# %% q1 1 of 3: codes as floats
# says: whole numbers
reference = encode_levels


def encode_levels(images, books):
    return [grid.astype("float32") for grid in reference(images, books)]


# %% q1 2 of 3: the decoder without the top
# says: Only the bottom level
def decode_levels(grids, books):
    return lay_over(books[-1][grids[-1]], 2)


# %% q1 1 of 3: the top's grid is repeated at the size of the bottom's
# says: the grid is not repeated
def encode_levels(images, books):
    grids, left = [], block_means(images, 2)
    for n, values in enumerate(books):
        size = 2 ** (len(books) - 1 - n)
        grids.append(nearest(block_means(left, size), values))
        left = left - np.tile(values[grids[-1]], (1, size, size))
    return grids


# %% q1 1 of 3: the difference in the other direction
# says: wrong sign
def encode_levels(images, books):
    grids, left = [], images
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        grids.append(nearest(block_means(left, size), values))
        left = lay_over(values[grids[-1]], size) - left
    return grids


# %% q1 1 of 3: what the top says is added
# says: for what it leaves over
def encode_levels(images, books):
    grids, left = [], images
    for n, values in enumerate(books):
        size = 2 ** (len(books) - n)
        grids.append(nearest(block_means(left, size), values))
        left = left + lay_over(values[grids[-1]], size)
    return grids


# %% q1 2 of 3: told the top only
# says: levels in between
def encode_levels(images, books):
    top = nearest(block_means(images, 2 ** len(books)), books[0])
    left = images - lay_over(books[0][top], 2 ** len(books))
    return [top, *(nearest(block_means(left, 2 ** (len(books) - n)), books[n]) for n in range(1, len(books)))]


# %% q1 2 of 3: the decoder without the bottom
# says: Only the top level
def decode_levels(grids, books):
    return lay_over(books[0][grids[0]], 2 ** len(books))


# %% q1 2 of 3: the decoder repeats the grids
# says: the grid is not repeated
def decode_levels(grids, books):
    sizes = [2 ** (len(books) - n) for n in range(len(books))]
    return sum(np.tile(values[grid], (1, s, s)) for grid, values, s in zip(grids, books, sizes, strict=True))


# %% q2 3 of 3: variances inside blocks, and no lay_over
def what_remains(images, top_values):
    def blocks(size):
        n, h, w = images.shape
        return images.reshape(n, h // size, size, w // size, size)

    inside = blocks(2).var(axis=(2, 4)).mean()
    squared = (blocks(4).mean(axis=(2, 4))[..., None] - top_values) ** 2
    return np.array([inside, inside + squared.min(axis=-1).mean()])


my_errors = np.array(my_errors)


# %% q2 3 of 3: by way of a bottom with very many codes
def what_remains(images, top_values):
    top = lay_over(block_means(images, 4), 4)
    quantized = top_values[nearest(top, top_values)]
    errors = []
    for told in (quantized, top):
        said = np.round(block_means(images - told, 2), 7)
        errors.append(np.mean((quantized + lay_over(said, 2) - images) ** 2))
    return errors


# %% q2 1 of 3: as if the bottom could say each pixel
# says: not the pixels
def what_remains(images, top_values):
    top = block_means(images, 4)
    return 0.0, np.mean((top_values[nearest(top, top_values)] - top) ** 2)


# %% q2 1 of 3: as if it made no difference
# says: another top than the bottom was told
def what_remains(images, top_values):
    inside = np.mean((images - lay_over(block_means(images, 2), 2)) ** 2)
    return inside, inside


# %% q2 1 of 3: the second is the error of the top alone
# says: the top alone
def what_remains(images, top_values):
    inside = np.mean((images - lay_over(block_means(images, 2), 2)) ** 2)
    top = top_values[nearest(block_means(images, 4), top_values)]
    return inside, np.mean((images - lay_over(top, 4)) ** 2)


# %% q2 2 of 3: summed over the images
# says: mean over all images
reference = what_remains


def what_remains(images, top_values):
    return np.multiply(len(images), reference(images, top_values))


# %% q2 2 of 3: the errors in the wrong order
# says: wrong order
my_errors = my_errors[::-1]


# %% q2 2 of 3: the decoder is given the top before quantization
# says: It has the codes only
said = lay_over(block_means(my_images, 4), 4) + lay_over(my_bottom[trusting], 2)
my_errors = [my_errors[0], np.mean((said - my_images) ** 2)]


# %% q2 2 of 3: a neighbour's errors
# says: not right
my_errors = [0.0052, 0.0561]


# %% q2 1 of 3: the second case without what stays inside the blocks
# says: Something stays unsaid
def what_remains(images, top_values):
    top = block_means(images, 4)
    inside = np.mean((images - lay_over(block_means(images, 2), 2)) ** 2)
    return inside, np.mean((top_values[nearest(top, top_values)] - top) ** 2)


# %% q2 1 of 3: blocks of 4 x 4 for the bottom, too
# says: The bottom sees more
def what_remains(images, top_values):
    top = block_means(images, 4)
    inside = np.mean((images - lay_over(top, 4)) ** 2)
    return inside, inside + np.mean((top_values[nearest(top, top_values)] - top) ** 2)


# %% q2 2 of 3: summed over all pixels
# says: mean over all pixels
reference = what_remains


def what_remains(images, top_values):
    return np.multiply(images.size, reference(images, top_values)) if len(images) > 1 else reference(images, top_values)


# %% q2 2 of 3: sums in place of means
# says: sums, not means
my_errors = np.multiply(my_errors, my_images.size)


# %% q2 2 of 3: the bottom is told nothing
# says: told nothing at all
alone = nearest(block_means(my_images, 2), my_bottom)
my_errors = [my_errors[0], np.mean((decode_levels([top, alone], books) - my_images) ** 2)]


# %% q2 2 of 3: a bottom without limits
# says: Yours has my_bottom
my_errors = what_remains(my_images, my_top)


# %% q3 3 of 3: loops over pairs
def exchange_table(images, decoded, labels):
    table = [[[], []], [[], []]]
    for i in range(len(images)):
        for j in range(len(images)):
            if j != i:
                column = 1 if labels[i] == labels[j] else 0
                table[0][column].append(vqlib.metrics.mean_squared_error(images[i], decoded[j, i]))
                table[1][column].append(vqlib.metrics.mean_squared_error(images[i], decoded[i, j]))
    return [[sum(errors) / len(errors) for errors in row] for row in table]


# %% q3 0 of 3: top and bottom are exchanged
# says: whose bottom codes are they
reference = exchange_table


def exchange_table(images, decoded, labels):
    return reference(images, decoded, labels)[::-1]


my_table = exchange_table(my_digits, my_decoded, my_labels)


# %% q3 0 of 3: an image with itself counts as a pair
# says: no exchange
def exchange_table(images, decoded, labels):
    same = labels[:, None] == labels
    errors = [np.mean((decoded - each) ** 2, axis=(2, 3, 4)) for each in (images, images[:, None])]
    return np.array([[each[~same].mean(), each[same].mean()] for each in errors])


my_table = exchange_table(my_digits, my_decoded, my_labels)


# %% q3 1 of 3: sums over pixels
# says: mean over the pixels
reference = exchange_table


def exchange_table(images, decoded, labels):
    return reference(images, decoded, labels) * images[0].size


my_table = exchange_table(my_digits, my_decoded, my_labels)


# %% q3 1 of 3: a mean over images first
# says: not over images first
def exchange_table(images, decoded, labels):
    table = np.zeros((2, 2, len(images)))
    for i in range(len(images)):
        for column in range(2):
            partners = [j for j in range(len(images)) if j != i and (labels[i] == labels[j]) == column]
            if partners:
                table[0, column, i] = np.mean((decoded[partners, i] - images[i]) ** 2)
                table[1, column, i] = np.mean((decoded[i, partners] - images[i]) ** 2)
            else:
                table[:, column, i] = np.nan
    return np.nanmean(table, axis=2)


# %% q3 2 of 3: the columns of the table are exchanged
# says: columns are exchanged
my_table = my_table[:, ::-1]


# %% q3 1 of 3: sums over pairs
# says: sums, not means
def exchange_table(images, decoded, labels):
    same, other = labels[:, None] == labels, ~np.eye(len(labels), dtype=bool)
    errors = [np.mean((decoded - each) ** 2, axis=(2, 3, 4)) for each in (images, images[:, None])]
    return np.array([[each[~same].sum(), each[same & other].sum()] for each in errors])


# %% q4 4 of 4: one code at a time, with another value each
def verdict(network, top, bottom):
    h, w = bottom.shape
    numbers = np.arange(h * w).reshape(h, w)
    before = network(top[None], bottom[None])[0]
    found = set()
    for i, j in np.ndindex(h, w):
        other = bottom.copy()
        other[i, j] = 3 - other[i, j]
        moved = np.abs(network(top[None], other[None])[0] - before).max(axis=-1) > 1e-9
        if moved[numbers < numbers[i, j]].any():
            found.add("ahead")
        if moved[i, j]:
            found.add("itself")
    told = False
    for i, j in np.ndindex(h // 2, w // 2):
        other = top.copy()
        other[i, j] = 3 - other[i, j]
        moved = np.abs(network(other[None], bottom[None])[0] - before).max(axis=-1) > 1e-9
        for y, x in zip(*np.nonzero(moved), strict=True):
            told = told or (i, j) > (y // 2, x // 2)
    for word in ("ahead", "itself"):
        if word in found:
            return word
    return "right" if told else "top masked"


# %% q4 0 of 4: always right
# says: Which codes may it not see
def verdict(network, top, bottom):
    return "right"


# %% q4 0 of 4: the table of what moves what is transposed
# says: drawn first
def verdict(network, top, bottom):
    before = network(top[None], bottom[None])[0].reshape(bottom.size, -1)
    moved = np.zeros((bottom.size, bottom.size), bool)  # [position, code]
    for j in range(bottom.size):
        other = bottom.copy()
        other.flat[j] = (other.flat[j] + 1) % 4
        moved[:, j] = np.any(network(top[None], other[None])[0].reshape(bottom.size, -1) != before, axis=1)
    if np.any(np.tril(moved, k=-1)):
        return "ahead"
    return "itself" if np.any(np.diag(moved)) else "right"


# %% q4 2 of 4: the centre may be seen
# says: has the centre of its mask open
reference = verdict


def verdict(network, top, bottom):
    answer = reference(network, top, bottom)
    return "right" if answer == "itself" else answer


# %% q4 2 of 4: a mask of columns: earlier is further left
# says: mask transposed
reference = verdict


def verdict(network, top, bottom):
    row, column = np.indices(bottom.shape).reshape(2, -1)
    before = network(top[None], bottom[None])[0].reshape(bottom.size, -1)
    for j in range(bottom.size):
        other = bottom.copy()
        other.flat[j] = (other.flat[j] + 1) % 4
        moved = np.any(network(top[None], other[None])[0].reshape(bottom.size, -1) != before, axis=1)
        if np.any(moved & (column < column[j]) & (row <= row[j])):
            return "ahead"
    answer = reference(network, top, bottom)
    return "right" if answer == "ahead" else answer


# %% q4 0 of 4: the top is taken for a leak, as if it were masked like the codes
# says: All of the top is drawn before
reference = verdict


def verdict(network, top, bottom):
    answer = reference(network, top, bottom)
    return {"right": "top masked", "top masked": "right"}.get(answer, answer)


# %% q4 1 of 4: a short reach is taken for a fault
# says: need not see all
def verdict(network, top, bottom):
    before = network(top[None], bottom[None])[0].reshape(bottom.size, -1)
    seen = np.zeros((bottom.size, bottom.size), bool)
    for j in range(bottom.size):
        other = bottom.copy()
        other.flat[j] = (other.flat[j] + 1) % 4
        seen[:, j] = np.any(network(top[None], other[None])[0].reshape(bottom.size, -1) != before, axis=1)
    return "right" if np.array_equal(seen, np.tri(bottom.size, k=-1, dtype=bool)) else "ahead"


# %% q4 0 of 4: nothing is returned
# says: nothing yet
reference = verdict


def verdict(network, top, bottom):
    reference(network, top, bottom)


# %% q4 1 of 4: itself before ahead
# says: the first of them counts
reference = verdict


def verdict(network, top, bottom):
    others = np.stack(
        [np.where(np.arange(bottom.size).reshape(bottom.shape) == n, 3 - bottom, bottom) for n in range(bottom.size)]
    )
    moved = network(np.repeat(top[None], len(others), axis=0), others) != network(top[None], bottom[None])
    own = moved.reshape(bottom.size, bottom.size, 4).any(axis=2).diagonal()
    return "itself" if own.any() else reference(network, top, bottom)


# %% q4 2 of 4: a neighbourhood of 3 x 3 is all that is looked at
# says: how the second begins
reference = verdict


def verdict(network, top, bottom):
    answer, ahead = reference(network, top, bottom), False
    row, column = np.indices(bottom.shape)
    before = network(top[None], bottom[None])[0]
    for i, j in np.ndindex(bottom.shape):
        other = bottom.copy()
        other[i, j] = 3 - other[i, j]
        moved = np.any(network(top[None], other[None])[0] != before, axis=-1)
        near = (abs(row - i) <= 1) & (abs(column - j) <= 1)
        ahead = ahead or np.any(moved & near & ((row < i) | ((row == i) & (column < j))))
    return "right" if answer == "ahead" and not ahead else answer


# %% q4 2 of 4: for its own code, only the first position is looked at
# says: at the last position alone
reference = verdict


def verdict(network, top, bottom):
    answer, other = reference(network, top, bottom), bottom.copy()
    other[0, 0] = 3 - other[0, 0]
    moved = np.any(network(top[None], other[None])[0, 0, 0] != network(top[None], bottom[None])[0, 0, 0])
    return "right" if answer == "itself" and not moved else answer


# %% q5 4 of 4: NumPy's flat arrays, and a softmax by hand
def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    (h, w, K), M = top_noise.shape, bottom_noise.shape[2]
    top = []
    for noise in top_noise.reshape(-1, K):
        top.append(int((top_logits[top[-1] if top else K] + noise).argmax()))
    top = np.array(top).reshape(h, w)
    over, bottom = np.kron(top, np.ones((2, 2), int)).ravel(), []
    for t, noise in zip(over, bottom_noise.reshape(-1, M), strict=True):
        bottom.append(int((bottom_logits[t][bottom[-1] if bottom else M] + noise).argmax()))
    return [top.tolist(), np.array(bottom).reshape(2 * h, 2 * w).tolist()]


def price(top, bottom, top_logits, bottom_logits):
    def probability(logits, code):
        return np.exp(logits[code]) / sum(np.exp(logits))

    bits, before = [0.0, 0.0], top_logits.shape[1]
    for code in np.ravel(top):
        bits[0] += np.log2(1 / probability(top_logits[before], code))
        before = code
    before = bottom_logits.shape[2]
    for (i, j), code in np.ndenumerate(bottom):
        bits[1] += np.log2(1 / probability(bottom_logits[top[i // 2][j // 2]][before], code))
        before = code
    return bits


# %% q5 4 of 4: Keras operations
from keras import ops


def price(top, bottom, top_logits, bottom_logits):
    def bits(codes, logits):  # (n,), (n, K)
        return ops.sum(ops.sparse_categorical_crossentropy(codes, logits, from_logits=True)) / np.log(2)

    over = np.kron(top, np.ones((2, 2), int)).ravel()
    before_top, before_bottom = (np.concatenate([[-1], codes.ravel()[:-1]]) for codes in (top, bottom))
    return ops.stack(
        [bits(top.ravel(), top_logits[before_top]), bits(bottom.ravel(), bottom_logits[over, before_bottom])]
    )


# %% q5 2 of 4: argmax in place of sampling
# says: The largest logit alone
reference = draw_levels


def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    return reference(top_logits, bottom_logits, 0 * top_noise, 0 * bottom_noise)


# %% q5 1 of 4: argmax in place of sampling, and what it costs
# says: all the same
pairs = [
    draw_levels(*my_tables, 0 * noise[0], 0 * noise[1]) for noise in zip(my_top_noise, my_bottom_noise, strict=True)
]
mean = np.mean([price(*pair, *my_tables) for pair in pairs], axis=0)
my_bits = [*mean, mean[1]]
reference = draw_levels


def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    return reference(top_logits, bottom_logits, 0 * top_noise, 0 * bottom_noise)


# %% q5 2 of 4: the top grid is repeated, not its codes
# says: its own four positions
def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    top, before = np.zeros(top_noise.shape[:2], int), -1
    for place in np.ndindex(top.shape):
        top[place] = before = np.argmax(top_logits[before] + top_noise[place])
    over = np.tile(top, (2, 2))
    bottom, before = np.zeros(bottom_noise.shape[:2], int), -1
    for place in np.ndindex(bottom.shape):
        bottom[place] = before = np.argmax(bottom_logits[over[place], before] + bottom_noise[place])
    return top, bottom


# %% q5 2 of 4: each row starts anew
# says: a code was drawn before
def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    top, bottom = np.zeros(top_noise.shape[:2], int), np.zeros(bottom_noise.shape[:2], int)
    for place in np.ndindex(top.shape):
        before = top[place[0], place[1] - 1] if place[1] else -1
        top[place] = np.argmax(top_logits[before] + top_noise[place])
    for i, j in np.ndindex(bottom.shape):
        before = bottom[i, j - 1] if j else -1
        bottom[i, j] = np.argmax(bottom_logits[top[i // 2, j // 2], before] + bottom_noise[i, j])
    return top, bottom


# %% q5 2 of 4: the first code follows code 0
# says: none was drawn, not code 0
def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    top, before = np.zeros(top_noise.shape[:2], int), 0
    for place in np.ndindex(top.shape):
        top[place] = before = np.argmax(top_logits[before] + top_noise[place])
    bottom, before = np.zeros(bottom_noise.shape[:2], int), 0
    for i, j in np.ndindex(bottom.shape):
        bottom[i, j] = before = np.argmax(bottom_logits[top[i // 2, j // 2], before] + bottom_noise[i, j])
    return top, bottom


# %% q5 3 of 4: K taken for M where no bottom code was drawn yet
# says: M codes, not K
def draw_levels(top_logits, bottom_logits, top_noise, bottom_noise):
    top, before = np.zeros(top_noise.shape[:2], int), top_noise.shape[2]
    for place in np.ndindex(top.shape):
        top[place] = before = np.argmax(top_logits[before] + top_noise[place])
    bottom, before = np.zeros(bottom_noise.shape[:2], int), top_noise.shape[2]
    for i, j in np.ndindex(bottom.shape):
        bottom[i, j] = before = np.argmax(bottom_logits[top[i // 2, j // 2], before] + bottom_noise[i, j])
    return top, bottom


# %% q5 2 of 4: nats called bits
# says: Those are nats
reference = price


def price(top, bottom, top_logits, bottom_logits):
    return np.multiply(np.log(2), reference(top, bottom, top_logits, bottom_logits))


my_bits = np.multiply(np.log(2), my_bits)


# %% q5 2 of 4: a mean in place of a sum
# says: its bits are a sum
reference = price


def price(top, bottom, top_logits, bottom_logits):
    return np.divide(reference(top, bottom, top_logits, bottom_logits), (np.size(top), np.size(bottom)))


my_bits = np.divide(my_bits, (6, 24, 24))


# %% q5 3 of 4: logits taken for logarithms of probabilities
# says: add up to 1
def price(top, bottom, top_logits, bottom_logits):
    over = np.kron(top, np.ones((2, 2), int)).ravel()
    before_top, before_bottom = (np.concatenate([[-1], codes.ravel()[:-1]]) for codes in (top, bottom))
    return np.array(
        [
            -np.sum(top_logits[before_top, top.ravel()]) / np.log(2),
            -np.sum(bottom_logits[over, before_bottom, bottom.ravel()]) / np.log(2),
        ]
    )


# %% q5 3 of 4: the bond is broken in the other direction
# says: Which way did you roll
before = [price(t, b, *my_tables)[1] for t, b in zip(tops[-1:] + tops[:-1], bottoms, strict=True)]
my_bits = [*my_bits[:2], np.mean(before)]


# %% q5 3 of 4: a neighbour's bits
# says: not right
my_bits = [8.04, 26.88, 39.81]


# %% q5 3 of 4: the sign of the logarithm
# says: below zero
reference = price


def price(top, bottom, top_logits, bottom_logits):
    return np.negative(reference(top, bottom, top_logits, bottom_logits))


# %% q5 3 of 4: the bottom is priced with the top's grid repeated
# says: table of another top code
reference = price


def price(top, bottom, top_logits, bottom_logits):
    bits = -(bottom_logits - np.log(np.sum(np.exp(bottom_logits), axis=-1, keepdims=True))) / np.log(2)
    before = np.append(-1, bottom.ravel()[:-1])
    bottom_bits = bits[np.tile(top, (2, 2)).ravel(), before, bottom.ravel()].sum()
    return reference(top, bottom, top_logits, bottom_logits)[0], bottom_bits


# %% q5 3 of 4: each row is priced as if it were the first
# says: At the start of a row, too
reference = price


def price(top, bottom, top_logits, bottom_logits):
    tops = [reference(row[None], bottom[:2, :2], top_logits, bottom_logits)[0] for row in top]
    bottoms = [0.0]
    for i, row in enumerate(bottom):
        bits = -(bottom_logits - np.log(np.sum(np.exp(bottom_logits), axis=-1, keepdims=True))) / np.log(2)
        bottoms.append(bits[np.repeat(top[i // 2], 2), np.append(-1, row[:-1]), row].sum())
    return sum(tops), sum(bottoms)


# %% q5 3 of 4: the bits of both levels
# says: both levels together
my_bits = [*my_bits[:2], my_bits[0] + my_bits[2]]


# %% q5 3 of 4: sums over the pairs
# says: sums over the pairs
my_bits = np.multiply(100, my_bits)

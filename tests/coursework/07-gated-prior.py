# Answers to assignment 7 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: F811, F821

# %% q1 2 of 2: a loop over the images
def told_gate(x, labels, weights):
    answer = []
    for features, label in zip(x, labels, strict=True):
        y = features if label < 0 else features + weights[label]
        half = y.shape[-1] // 2
        answer.append(np.tanh(y[..., :half]) / (1 + np.exp(-y[..., half:])))
    return answer


# %% q1 2 of 2: a matrix product with one-hot labels, of which -1 has none
def told_gate(x, labels, weights):
    told = ops.matmul(ops.one_hot(labels, len(weights)), weights)
    a, b = ops.split(x + ops.reshape(told, (-1, 1, 1, x.shape[-1])), 2, axis=-1)
    return ops.multiply(ops.sigmoid(b), ops.tanh(a))


# %% q1 1 of 2: the label -1 is taken for the last class
# says: the last class
def told_gate(x, labels, weights):
    a, b = ops.split(x + weights[labels][:, None, None], 2, axis=-1)
    return ops.tanh(a) * ops.sigmoid(b)


# %% q1 0 of 2: the halves swapped
# says: The halves are swapped
def told_gate(x, labels, weights):
    told = np.where(labels[:, None] >= 0, weights[labels], 0)
    b, a = ops.split(x + told[:, None, None], 2, axis=-1)
    return ops.tanh(a) * ops.sigmoid(b)


# %% q1 0 of 2: the class after the gate
# says: before tanh and sigmoid
def told_gate(x, labels, weights):
    a, b = ops.split(x, 2, axis=-1)
    told = np.where(labels[:, None] >= 0, weights[labels], 0)[:, : a.shape[-1]]
    return ops.tanh(a) * ops.sigmoid(b) + told[:, None, None]


# %% q1 0 of 2: broadcast over the wrong axis
# says: Along which axis of x
def told_gate(x, labels, weights):
    a, b = ops.split(x + np.where(labels[:, None] >= 0, weights[labels], 0), 2, axis=-1)
    return ops.tanh(a) * ops.sigmoid(b)


# %% q2 4 of 4: the layers of the chapter, on the grid turned over its diagonal
def first_layer(x, left, above):
    x, left, above = (np.swapaxes(each, *axes) for each, axes in ((x, (1, 2)), (left, (0, 1)), (above, (0, 1))))
    rows = ops.pad(x, [[0, 0], [3, 0], [3, 3], [0, 0]])[:, :-1]
    columns = ops.pad(x, [[0, 0], [0, 0], [3, 0], [0, 0]])[:, :, :-1]
    return ops.swapaxes(ops.conv(rows, left) + ops.conv(columns, above), 1, 2)


# %% q2 4 of 4: loops, and counting
def first_layer(x, left, above):
    batch, height, width, _ = x.shape
    answer = np.zeros((batch, height, width, left.shape[-1]))
    for i, j in np.ndindex(height, width):
        for r in range(max(0, i - 3), min(height, i + 4)):
            for c in range(max(0, j - 3), j):
                answer[:, i, j] += x[:, r, c] @ left[r - i + 3, c - j + 3]
        for r in range(max(0, i - 3), i):
            answer[:, i, j] += x[:, r, j] @ above[r - i + 3, 0]
    return answer


my_missed = my_column * my_height + my_row - min(my_row, 3)
my_missed -= 3 * (min(my_height, my_row + 4) - max(0, my_row - 3))
my_layers = float(np.ceil(max(my_height, my_width) - 1 - 2))


# %% q2 3 of 4: the last row and column of a kernel come first
# says: mirrored
def first_layer(x, left, above):
    columns = ops.pad(x, [[0, 0], [3, 3], [3, 0], [0, 0]])[:, :, :-1]
    rows = ops.pad(x, [[0, 0], [3, 0], [0, 0], [0, 0]])[:, :-1]
    return ops.conv(columns, left[::-1, ::-1].copy()) + ops.conv(rows, above[::-1].copy())


# %% q2 2 of 4: the left stack is not moved: it sees its own column
# says: sees itself
def first_layer(x, left, above):
    columns = ops.pad(x, [[0, 0], [3, 3], [2, 0], [0, 0]])
    rows = ops.pad(x, [[0, 0], [3, 0], [0, 0], [0, 0]])[:, :-1]
    return ops.conv(columns, left) + ops.conv(rows, above)


# %% q2 2 of 4: centre unmasked, the upper stack is not moved
# says: kernel `above` alone, a position sees itself
def first_layer(x, left, above):
    columns = ops.pad(x, [[0, 0], [3, 3], [3, 0], [0, 0]])[:, :, :-1]
    return ops.conv(columns, left) + ops.conv(ops.pad(x, [[0, 0], [2, 0], [0, 0], [0, 0]]), above)


# %% q2 2 of 4: moved a row too far
# says: one row too far
def first_layer(x, left, above):
    columns = ops.pad(x, [[0, 0], [3, 3], [3, 0], [0, 0]])[:, :, :-1]
    rows = ops.pad(x, [[0, 0], [4, 0], [0, 0], [0, 0]])[:, :-2]
    return ops.conv(columns, left) + ops.conv(rows, above)


# %% q2 2 of 4: a convolution with the position in the middle
# says: columns to its right
def first_layer(x, left, above):
    return ops.conv(x, left, padding="same") + ops.conv(x, above, padding="same")


# %% q2 2 of 4: row by row, as in the chapter
# says: sees more than it was meant to
def first_layer(x, left, above):
    rows = ops.pad(x, [[0, 0], [6, 0], [3, 0], [0, 0]])[:, :, :-1]
    columns = ops.pad(x, [[0, 0], [3, 0], [0, 0], [0, 0]])[:, :-1]
    return ops.conv(rows, left) + ops.conv(columns, above)


# %% q2 3 of 4: transposed, what a prior misses that reads row by row
# says: row by row
my_missed = my_row * my_width + my_column - 3
my_missed -= min(my_row, 3) * (min(my_width, my_column + 4) - max(0, my_column - 3))


# %% q2 3 of 4: the first layer counts like the others
# says: N layers see N + 2
my_layers = max(my_height, my_width) - 1


# %% q2 3 of 4: the shorter side only
# says: one of the two sides
my_layers = min(my_height, my_width) - 3


# %% q3 4 of 4: Keras's loss, a loop, and a shift by hand
def bits_by_class(logits, codes):
    nats = [keras.losses.sparse_categorical_crossentropy(codes, told, from_logits=True) for told in logits]
    return ops.transpose(ops.sum(ops.stack(nats), axis=(2, 3))) / np.log(2)


def most_likely(bits, shares):
    return [int(np.argmax([np.log(shares[y]) - row[y] * np.log(2) for y in range(len(shares))])) for row in bits]


def untold_bits(bits, shares):
    least = np.min(bits, axis=1)
    return least - np.log2(2 ** (least[:, None] - bits) @ shares)


# %% q3 2 of 4: nats called bits
# says: Those are nats
def bits_by_class(logits, codes):
    nats = [keras.losses.sparse_categorical_crossentropy(codes, told, from_logits=True) for told in logits]
    return ops.transpose(ops.sum(ops.stack(nats), axis=(2, 3)))


# %% q3 2 of 4: logits taken for logarithms of probabilities
# says: A logit is no logarithm
def bits_by_class(logits, codes):
    chosen = np.stack([np.take_along_axis(told, codes[..., None], axis=-1)[..., 0] for told in logits])
    return -np.sum(chosen, axis=(2, 3)).T / np.log(2)


# %% q3 3 of 4: the exponential of a large logit
# says: not finite
def bits_by_class(logits, codes):
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.sum(np.exp(logits), axis=-1, keepdims=True)
        chosen = np.stack([np.take_along_axis(told, codes[..., None], axis=-1)[..., 0] for told in p])
        return -np.sum(np.log2(chosen), axis=(2, 3)).T


# %% q3 2 of 4: argmin over the wrong axis
# says: not one grid for each class
def most_likely(bits, shares):
    return np.argmin(bits - np.log2(shares), axis=0)


# %% q3 2 of 4: all classes equally frequent
# says: The shares change nothing
def most_likely(bits, shares):
    return np.argmin(bits, axis=1)


# %% q3 2 of 4: the most frequent class
# says: most frequent class
def most_likely(bits, shares):
    return np.full(len(bits), np.argmax(shares))


# %% q3 2 of 4: the dearest class
# says: the unlikely one
def most_likely(bits, shares):
    return np.argmax(bits, axis=1)


# %% q3 2 of 4: classes as floats
# says: whole numbers
def most_likely(bits, shares):
    return np.argmin(bits - np.log2(shares), axis=1).astype("float32")


# %% q3 3 of 4: 2 to the -3,000 is zero in a float
# says: is zero in a float
def untold_bits(bits, shares):
    with np.errstate(divide="ignore"):
        return -np.log2(2.0**-bits @ shares)


# %% q3 3 of 4: the likeliest class alone
# says: The others may give this grid
def untold_bits(bits, shares):
    return np.min(bits - np.log2(shares), axis=1)


# %% q3 3 of 4: a mean of bits in place of probabilities
# says: The mean is over the probabilities
def untold_bits(bits, shares):
    return bits @ shares


# %% q3 3 of 4: worth measured as if all classes were equally frequent
# says: In your town they are not
my_worth = np.mean(untold_bits(my_bits, np.full(10, 0.1)) - told)


# %% q3 3 of 4: a neighbour's numbers
# says: not right
my_worth, my_accuracy = 2.2, 0.88


# %% q4 3 of 3: boolean products, other types
def sees(height, width, masks):
    places = [(r, c) for r in range(height) for c in range(width)]
    view = np.eye(len(places), dtype=int)
    for mask in masks:
        up, aside = mask.shape[0] // 2, mask.shape[1] // 2
        step = np.zeros((len(places), len(places)), int)
        for i, (row, column) in enumerate(places):
            for j, (r, c) in enumerate(places):
                if abs(r - row) <= up and abs(c - column) <= aside:
                    step[i, j] = mask[r - row + up, c - column + aside]
        view = np.minimum(step @ view, 1)
    return view.astype(bool)


my_unseen = np.array(my_unseen)


# %% q4 3 of 3: images of single codes, convolved
def sees(height, width, masks):
    view = np.eye(height * width).reshape(-1, height, width)  # one code at a time
    for mask in masks:
        up, aside = mask.shape[0] // 2, mask.shape[1] // 2
        framed = np.pad(view, ((0, 0), (up, up), (aside, aside)))
        view = np.zeros_like(view)
        for r, c in np.argwhere(mask):
            view += framed[:, r : r + height, c : c + width]
        view = np.minimum(view, 1)
    return view.reshape(height * width, -1).T > 0


# %% q4 1 of 3: positions and codes changed places
# says: turned over
right = sees


def sees(height, width, masks):
    return right(height, width, masks).T


# %% q4 1 of 3: the mask mirrored
# says: mirrored
right = sees


def sees(height, width, masks):
    return right(height, width, [mask[:, ::-1] for mask in masks])


# %% q4 1 of 3: paths around the border
# says: around the border
def sees(height, width, masks):
    view = np.eye(height * width, dtype=bool)
    for mask in masks:
        step = np.zeros_like(view)
        for r, c in np.argwhere(mask):
            step |= np.eye(height * width, k=int((r - mask.shape[0] // 2) * width + c - mask.shape[1] // 2), dtype=bool)
        view = step @ view
    return view


# %% q4 2 of 3: layers in the wrong order
# says: wrong order
right = sees


def sees(height, width, masks):
    return right(height, width, masks[::-1])


# %% q4 1 of 3: the last layer alone
# says: two rows up
right = sees


def sees(height, width, masks):
    return right(height, width, masks[-1:])


# %% q4 2 of 3: what is seen, counted
# says: How many are missed
my_unseen = [int(before.sum()) - count for count in my_unseen]


# %% q4 2 of 3: what comes after counts too
# says: also what comes after
my_unseen = [int(np.sum(~view)) for view in views]


# %% q4 2 of 3: one layer too many
# says: one layer too many
my_unseen = [
    int(np.sum(before & ~sees(grid_height, grid_width, [first] + layers * [later]))) for layers in (1, 2, 3, 5, 20)
]


# %% q4 2 of 3: what more layers mend
# says: What do they not
my_hidden = 1 - my_hidden


# %% q4 2 of 3: of all legal pairs
# says: all legal pairs
my_hidden = my_unseen[4] / before.sum()

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


# %% q4 4 of 4: eigenvalues of the product, and least squares by hand
def frechet(features, others):
    first, second = np.cov(features.T), np.cov(others.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    gap = np.linalg.norm(features.mean(axis=0) - others.mean(axis=0))
    return gap**2 + sum(np.diag(first)) + sum(np.diag(second)) - 2 * sum(roots)


def at_infinity(sizes, distances):
    columns = np.array([[1.0, 1 / n] for n in sizes])
    return float(np.linalg.lstsq(columns, np.asarray(distances), rcond=None)[0][0])


# %% q4 3 of 4: vqlib's own, which wants more images than features
# says: stopped with ValueError
def frechet(features, others):
    return evaluation.frechet_distance(features, others)


# %% q4 3 of 4: the last trace is taken once
# says: taken twice
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    return gap + np.trace(first) + np.trace(second) - np.sum(roots)


# %% q4 3 of 4: the traces of the covariances are forgotten
# says: traces of the two covariances
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    return np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2) - 2 * np.sum(roots)


# %% q4 3 of 4: the product without its root
# says: root of the product is missing
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    return gap + np.trace(first) + np.trace(second) - 2 * np.trace(first @ second)


# %% q4 3 of 4: the roots of the entries
# says: roots of its entries
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    with np.errstate(invalid="ignore"):
        return gap + np.trace(first) + np.trace(second) - 2 * np.trace(np.sqrt(first @ second))


# %% q4 3 of 4: one feature at a time, as in equation 7.5
# says: each feature by itself
def frechet(features, others):
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    return gap + np.sum((features.std(axis=0, ddof=1) - others.std(axis=0, ddof=1)) ** 2)


# %% q4 2 of 4: a line against N
# says: not against 1 / N
def at_infinity(sizes, distances):
    return np.polyfit(sizes, distances, 1)[1]


ann_infinity, ben_infinity = at_infinity(ann_sizes, ann_distances), at_infinity(ben_sizes, ben_distances)


# %% q4 2 of 4: the slope in place of the end
# says: how steep
def at_infinity(sizes, distances):
    return np.polyfit(1 / sizes, distances, 1)[0]


ann_infinity, ben_infinity = at_infinity(ann_sizes, ann_distances), at_infinity(ben_sizes, ben_distances)


# %% q4 3 of 4: a line through two of the points
# says: All of them count
def at_infinity(sizes, distances):
    n, m = np.argmin(sizes), np.argmax(sizes)
    return (distances[m] * sizes[m] - distances[n] * sizes[n]) / (sizes[m] - sizes[n])


ann_infinity, ben_infinity = at_infinity(ann_sizes, ann_distances), at_infinity(ben_sizes, ben_distances)


# %% q4 3 of 4: twice the distance in place of a tenth above it
# says: A tenth above it is much nearer
ann_enough, ben_enough = ann_slope / ann_infinity, ben_slope / ben_infinity


# %% q4 3 of 4: a tenth above the last measurement
# says: at the largest N, which still holds
ann_enough = ann_slope / (1.1 * ann_distances[2] - ann_infinity)


# %% q4 3 of 4: a tenth is taken for 0.1
# says: not 0.1
ann_enough = 10 * ann_slope


# %% q4 3 of 4: the distance at infinity over the slope
# says: upside down
ann_enough = 10 * ann_infinity / ann_slope


# %% q4 3 of 4: model and real rows overlap
# says: The first N rows are for the model
ann_distances = [np.mean([frechet(ann[rows[:n]], real[rows[:n]]) for rows in my_rows[n]]) for n in ann_sizes]


# %% q5 3 of 3: a loop over pairs; numbers in another order
def moved_distances(images, training_images):
    answer = np.zeros((len(images), len(training_images)))
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-0.5)
    height, width = images.shape[1:3]
    for n, m in np.ndindex(answer.shape):
        moved = [framed[n, r : r + height, c : c + width] for r in range(3) for c in range(3)]
        answer[n, m] = min(np.mean((training_images[m] - each) ** 2) for each in moved)
    return answer


my_threshold = 1.0
for n in range(150):
    others = [m for m in range(150) if m != n]
    my_threshold = min(my_threshold, np.min(among[n, others]) / 4)
accused = [n for n in range(40) if my_nearest[n] < my_threshold][::-1]


# %% q5 3 of 3: Keras operations, one move at a time
def moved_distances(images, training_images):
    framed, best = ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-0.5), None
    for r in range(3):
        for c in range(3):
            moved = framed[:, r : r + images.shape[1], c : c + images.shape[2]]
            errors = ops.mean(ops.square(moved[:, None] - training_images[None]), axis=(2, 3, 4))
            best = errors if best is None else ops.minimum(best, errors)
    return best


# %% q5 1 of 3: distance without its square
# says: squared
def moved_distances(images, training_images):
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-0.5)
    moved = [framed[:, r : r + images.shape[1], c : c + images.shape[2]] for r in range(3) for c in range(3)]
    return np.min([np.mean(np.abs(x[:, None] - training_images), axis=(2, 3, 4)) for x in moved], axis=0)


# %% q5 1 of 3: not moved
# says: not moved
def moved_distances(images, training_images):
    return np.mean((images[:, None] - training_images) ** 2, axis=(2, 3, 4))


# %% q5 2 of 3: around the border, which no digit touches
# says: does not come back at the other
def moved_distances(images, training_images):
    moved = [np.roll(images, (r, c), axis=(1, 2)) for r in (-1, 0, 1) for c in (-1, 0, 1)]
    return np.min([np.mean((x[:, None] - training_images) ** 2, axis=(2, 3, 4)) for x in moved], axis=0)


# %% q5 1 of 3: zeros come in at the border
# says: Zero is grey
def moved_distances(images, training_images):
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moved = [framed[:, r : r + images.shape[1], c : c + images.shape[2]] for r in range(3) for c in range(3)]
    return np.min([np.mean((x[:, None] - training_images) ** 2, axis=(2, 3, 4)) for x in moved], axis=0)


# %% q5 1 of 3: one move for all images
# says: best one of its own
def moved_distances(images, training_images):
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-0.5)
    moved = [framed[:, r : r + images.shape[1], c : c + images.shape[2]] for r in range(3) for c in range(3)]
    return min((np.mean((x[:, None] - training_images) ** 2, axis=(2, 3, 4)) for x in moved), key=np.sum)


# %% q5 2 of 3: the nearest sample of each training image
# says: the other way round
my_nearest = moved_distances(my_samples, my_training).min(axis=0)


# %% q5 2 of 3: each image is its own neighbour
# says: its own nearest neighbour
my_threshold = moved_distances(my_training, my_training).min() / 4
accused = np.flatnonzero(my_nearest < my_threshold)


# %% q5 2 of 3: half in place of a quarter
# says: half as far is a quarter
my_threshold = among.min() / 2


# %% q5 2 of 3: the honest ones
# says: honest
accused = np.flatnonzero(my_nearest >= my_threshold)


# %% q5 2 of 3: pixel by pixel, the thief goes free
# says: accused
accused = np.flatnonzero(evaluation.nearest_images(my_samples, my_training)[1][:, 0] / 784 < my_threshold)

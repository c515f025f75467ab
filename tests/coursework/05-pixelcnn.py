# Answers to assignment 5 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: E402, F811, F821

# %% q1 3 of 3: a loop over the cells, as lists
def column_mask(kernel_height, kernel_width, kind):
    rows = []
    for i in range(kernel_height):
        rows.append([])
        for j in range(kernel_width):
            ahead = (kernel_width // 2 - j, i - kernel_height // 2)
            rows[-1].append(ahead < (0, 0) or (kind == "B" and ahead == (0, 0)))
    return rows


# %% q1 3 of 3: what comes before the middle in the order of writing; weights counted as floats
def column_mask(kernel_height, kernel_width, kind):
    order = np.arange(kernel_height * kernel_width).reshape(kernel_width, kernel_height).T[:, ::-1]
    middle = order[kernel_height // 2, kernel_width // 2]
    return ops.cast(order <= middle - (kind == "A"), "float32")


a, b = (np.prod(size) // 2 for size in (first_kernel, later_kernel))
live_weights = float(a * K * filters + layers * (b + 1) * filters**2)
multiply_adds = live_weights * (height * width) ** 2.0


# %% q1 1 of 3: mask A where B belongs
# says: mask B lets it through
def column_mask(kernel_height, kernel_width, kind):
    mask = np.zeros((kernel_height, kernel_width))
    mask[:, kernel_width // 2 + 1 :] = 1
    mask[: kernel_height // 2, kernel_width // 2] = 1
    return mask


# %% q1 1 of 3: centre unmasked
# says: hides the position itself
def column_mask(kernel_height, kernel_width, kind):
    mask = np.zeros((kernel_height, kernel_width))
    mask[:, kernel_width // 2 + 1 :] = 1
    mask[: kernel_height // 2 + 1, kernel_width // 2] = 1
    return mask


# %% q1 1 of 3: rows in place of columns
# says: row by row
def column_mask(kernel_height, kernel_width, kind):
    mask = np.zeros((kernel_height, kernel_width))
    mask[: kernel_height // 2] = 1
    mask[kernel_height // 2, : kernel_width // 2 + (kind == "B")] = 1
    return mask


# %% q1 1 of 3: transposed mask: columns from left to right
# says: first column is at the right
def column_mask(kernel_height, kernel_width, kind):
    mask = np.zeros((kernel_height, kernel_width))
    mask[:, : kernel_width // 2] = 1
    mask[: kernel_height // 2 + (kind == "B"), kernel_width // 2] = 1
    return mask


# %% q1 1 of 3: the future in place of the past
# says: still to be written
reference_mask = column_mask


def column_mask(kernel_height, kernel_width, kind):
    return 1 - np.asarray(reference_mask(kernel_height, kernel_width, kind))


# %% q1 1 of 3: height and width mixed up
# says: Height comes first
reference_mask = column_mask


def column_mask(kernel_height, kernel_width, kind):
    return reference_mask(kernel_width, kernel_height, kind)


# %% q1 2 of 3: the last column alone, which is right for three columns
# says: entries differ
def column_mask(kernel_height, kernel_width, kind):
    mask = np.zeros((kernel_height, kernel_width))
    mask[:, -1] = 1
    mask[: kernel_height // 2 + (kind == "B"), kernel_width // 2] = 1
    return mask


# %% q1 2 of 3: masked weights are counted
# says: masked weights are among them
live_weights = int(np.prod(first_kernel)) * K * filters + layers * int(np.prod(later_kernel)) * filters**2


# %% q1 2 of 3: one run for the whole grid
# says: One run gives one code
multiply_adds = height * width * live_weights


# %% q1 2 of 3: mask A is counted in every layer
# says: later layers see their middle
live_weights = int(taps_first * K * filters + layers * (taps_later - 1) * filters**2)


# %% q2 4 of 4: one change at a time, one pair at a time
def forbidden_pairs(network, codes, num_embeddings, order):
    places, pairs = list(np.ndindex(codes.shape)), set()
    before = np.asarray(network(np.array([codes])))[0]
    for place in places:
        for code in range(num_embeddings):
            changed = np.array([codes])
            changed[0][place] = code
            moved = np.abs(np.asarray(network(changed))[0] - before).max(axis=-1)
            pairs |= {(other, place) for other in places if moved[other] > 1e-5 and order[place] >= order[other]}
    return len(pairs)


# %% q2 4 of 4: all changes in one batch, with TensorFlow
import tensorflow as tf


def forbidden_pairs(network, codes, num_embeddings, order):
    n = codes.size
    changed = np.tile(codes.ravel(), (n, num_embeddings, 1))
    changed[np.arange(n), :, np.arange(n)] = np.arange(num_embeddings)
    both = network(np.concatenate([codes[None], changed.reshape(-1, *codes.shape)]).astype("int32"))
    moved = tf.abs(both[1:] - both[:1])
    moved = tf.reduce_max(tf.reshape(moved, (n, num_embeddings, n, -1)), axis=[1, 3]) > 1e-5  # [j, i]
    return tf.math.count_nonzero(moved & (order.ravel()[:, None] >= order.ravel()[None]))


# %% q2 1 of 4: one change at each position, as in the chapter
# says: peek for some codes only
def forbidden_pairs(network, codes, num_embeddings, order):
    n, when, count = codes.size, order.ravel(), 0
    before = np.asarray(network(codes[None])).reshape(n, -1)
    for j in range(n):
        changed = codes.copy()
        changed.flat[j] = (changed.flat[j] + 1) % num_embeddings
        moved = (np.abs(np.asarray(network(changed[None])).reshape(n, -1) - before) > 1e-5).any(axis=1)
        count += int(np.sum(moved & (when[j] >= when)))
    return count


# %% q2 2 of 4: code 0 is not tried
# says: peeks where a later code is 0
def forbidden_pairs(network, codes, num_embeddings, order):
    pairs = set()
    before = np.asarray(network(codes[None]))[0]
    for place in np.ndindex(codes.shape):
        for code in range(1, num_embeddings):
            changed = codes.copy()
            changed[place] = code
            moved = (np.abs(np.asarray(network(changed[None]))[0] - before) > 1e-5).any(axis=-1)
            pairs |= {
                (other, place) for other in np.ndindex(codes.shape) if moved[other] and order[place] >= order[other]
            }
    return len(pairs)


# %% q2 1 of 4: a code may see itself
# says: sees itself is as bad
def forbidden_pairs(network, codes, num_embeddings, order):
    n = codes.size
    changed = np.tile(codes.ravel(), (n, num_embeddings, 1))
    changed[np.arange(n), :, np.arange(n)] = np.arange(num_embeddings)
    both = np.asarray(network(np.concatenate([codes[None], changed.reshape(-1, *codes.shape)])))
    touches = (np.abs(both[1:] - both[:1]) > 1e-5).reshape(n, num_embeddings, n, -1).any(axis=(1, 3))
    return int(np.sum(touches & (order.ravel()[:, None] > order.ravel()[None])))


# %% q2 0 of 4: changed and watched are swapped
# says: Which of the two is changed
def forbidden_pairs(network, codes, num_embeddings, order):
    n = codes.size
    changed = np.tile(codes.ravel(), (n, num_embeddings, 1))
    changed[np.arange(n), :, np.arange(n)] = np.arange(num_embeddings)
    both = np.asarray(network(np.concatenate([codes[None], changed.reshape(-1, *codes.shape)])))
    touches = (np.abs(both[1:] - both[:1]) > 1e-5).reshape(n, num_embeddings, n, -1).any(axis=(1, 3))
    return int(np.sum(touches & (order.ravel()[None] >= order.ravel()[:, None])))


# %% q2 0 of 4: a pair counts for each code that shows it
# says: however many codes show it
def forbidden_pairs(network, codes, num_embeddings, order):
    n = codes.size
    changed = np.tile(codes.ravel(), (n, num_embeddings, 1))
    changed[np.arange(n), :, np.arange(n)] = np.arange(num_embeddings)
    both = np.asarray(network(np.concatenate([codes[None], changed.reshape(-1, *codes.shape)])))
    touches = (np.abs(both[1:] - both[:1]) > 1e-5).reshape(n, num_embeddings, n, -1).any(axis=3)  # [j, code, i]
    return int(np.sum(touches & (order.ravel()[:, None] >= order.ravel()[None])[:, None]))


# %% q2 0 of 4: whether, not how many
# says: How many pairs
reference = forbidden_pairs


def forbidden_pairs(network, codes, num_embeddings, order):
    return reference(network, codes, num_embeddings, order) > 0


# %% q2 3 of 4: the order is always by rows
# says: Is it judged by rows?
reference = forbidden_pairs


def forbidden_pairs(network, codes, num_embeddings, order):
    return reference(network, codes, num_embeddings, np.arange(codes.size).reshape(codes.shape))


# %% q2 3 of 4: rounding is guilty
# says: honest, but for rounding
def forbidden_pairs(network, codes, num_embeddings, order):
    n = codes.size
    changed = np.tile(codes.ravel(), (n, num_embeddings, 1))
    changed[np.arange(n), :, np.arange(n)] = np.arange(num_embeddings)
    both = np.asarray(network(np.concatenate([codes[None], changed.reshape(-1, *codes.shape)])))
    touches = (both[1:] != both[:1]).reshape(n, num_embeddings, n, -1).any(axis=(1, 3))
    return int(np.sum(touches & (order.ravel()[:, None] >= order.ravel()[None])))


# %% q2 2 of 4: only the sum of the logits is watched
# says: gets away with it
def forbidden_pairs(network, codes, num_embeddings, order):
    n = codes.size
    changed = np.tile(codes.ravel(), (n, num_embeddings, 1))
    changed[np.arange(n), :, np.arange(n)] = np.arange(num_embeddings)
    both = np.asarray(network(np.concatenate([codes[None], changed.reshape(-1, *codes.shape)]))).sum(axis=-1)
    touches = (np.abs(both[1:] - both[:1]) > 1e-5).reshape(n, num_embeddings, n).any(axis=1)
    return int(np.sum(touches & (order.ravel()[:, None] >= order.ravel()[None])))


# %% q2 0 of 4: nobody is ever guilty
# says: is not right
def forbidden_pairs(network, codes, num_embeddings, order):
    return 0


# %% q3 3 of 3: paths, followed step by step
def blind_pairs(masks, order):
    count = 0
    for place in np.ndindex(order.shape):
        reached = {place}
        for mask in reversed(masks):
            further = set()
            for y, x in reached:
                for a, b in zip(*np.nonzero(mask), strict=True):
                    further.add((y + a - mask.shape[0] // 2, x + b - mask.shape[1] // 2))
            reached = {(y, x) for y, x in further if 0 <= y < order.shape[0] and 0 <= x < order.shape[1]}
        count += sum(order[other] < order[place] and other not in reached for other in np.ndindex(order.shape))
    return count


# %% q3 3 of 3: convolutions of ones, as in the chapter
def blind_pairs(masks, order):
    n = order.size
    x = ops.reshape(ops.eye(n), (n, *order.shape, 1))  # picture j has a one at j
    for mask in masks:
        kernel = ops.cast(np.asarray(mask)[:, :, None, None], "float32")
        x = ops.cast(ops.conv(x, kernel, padding="same") > 0, "float32")
    sees = ops.convert_to_numpy(ops.reshape(x, (n, n))).T > 0
    return np.sum((order.ravel()[None] < order.ravel()[:, None]) & ~sees).astype(float)


# %% q3 1 of 3: only the last layer counts
# says: Is that passed on?
reference = blind_pairs


def blind_pairs(masks, order):
    return reference(masks[-1:], order)


# %% q3 1 of 3: the kernel is upside down
# says: upside down
reference = blind_pairs


def blind_pairs(masks, order):
    return reference([np.flip(mask) for mask in masks], order)


# %% q3 1 of 3: the pairs that it sees
# says: the pairs that it sees
reference = blind_pairs


def blind_pairs(masks, order):
    return order.size * (order.size - 1) // 2 - reference(masks, order)


# %% q3 1 of 3: the border is no border
# says: around the border
def blind_pairs(masks, order):
    n, height, width = order.size, *order.shape
    reach = np.eye(n, dtype=bool).reshape(n, height, width)  # [j, y, x]
    for mask in masks:
        steps = np.argwhere(mask) - np.array(mask.shape) // 2
        reach = np.any([np.roll(reach, (-dy, -dx), axis=(1, 2)) for dy, dx in steps], axis=0)
    legal = order.ravel()[None] < order.ravel()[:, None]
    return int(np.sum(legal & ~reach.reshape(n, n).T))


# %% q3 1 of 3: pairs that are not legal count as well
# says: not legal
def blind_pairs(masks, order):
    x = ops.reshape(ops.eye(order.size), (order.size, *order.shape, 1))
    for mask in masks:
        x = ops.conv(x, ops.cast(np.asarray(mask)[:, :, None, None], "float32"), padding="same")
    return int(ops.sum(ops.cast(x == 0, "int32")))


# %% q3 2 of 3: legal by rows, whatever the order
# says: Is it the order that says
reference = blind_pairs


def blind_pairs(masks, order):
    return reference(masks, np.arange(order.size).reshape(order.shape))


# %% q3 2 of 3: the last layer reads the codes
# says: Which layer reads the codes?
reference = blind_pairs


def blind_pairs(masks, order):
    return reference(masks[::-1], order)


# %% q3 2 of 3: kernels are taken for square
# says: is not right
reference = blind_pairs


def blind_pairs(masks, order):
    return reference([mask[:, : mask.shape[0]] for mask in masks], order)


# %% q3 2 of 3: the limit is not looked for
# says: More layers see further
blind_for_good = my_blind


# %% q3 2 of 3: one layer more is taken for the limit
# says: is not the end
blind_for_good = blind_pairs([*my_masks, causal_mask(3, "B")], my_order)


# %% q3 2 of 3: all is seen in the end
# says: stay blind for ever
blind_for_good = 0


# %% q4 3 of 3: one code at a time, in powers of two
def bits_to_complete(logits, codes, keep):
    bits = [0.0] * len(codes)
    for b, i, j in np.ndindex(codes.shape):
        if not keep[i, j]:
            row = logits[b, i, j] - np.max(logits[b, i, j])
            bits[b] += np.log2(np.sum(np.exp(row))) - row[codes[b, i, j]] * np.log2(np.e)
    return bits


my_bits = float(np.sum(bits_to_complete(my_logits, my_codes, np.zeros((7, 7), bool)))) / 40
my_perplexity = np.exp(my_bits * np.log(2) / 49)


# %% q4 3 of 3: Keras's cross-entropy, in float32
def bits_to_complete(logits, codes, keep):
    nats = keras.losses.sparse_categorical_crossentropy(codes, ops.cast(logits, "float32"), from_logits=True)
    return ops.sum(ops.where(keep, 0.0, nats), axis=(1, 2)) / np.log(2).astype("float32")


# %% q4 1 of 3: nats called bits
# says: Those are nats
reference = bits_to_complete


def bits_to_complete(logits, codes, keep):
    return reference(logits, codes, keep) * np.log(2)


# %% q4 1 of 3: what is kept counts, too
# says: What is kept costs nothing
reference = bits_to_complete


def bits_to_complete(logits, codes, keep):
    return reference(logits, codes, np.zeros_like(keep))


# %% q4 1 of 3: the kept codes are counted, the others are not
# says: They are the ones that cost nothing
reference = bits_to_complete


def bits_to_complete(logits, codes, keep):
    return reference(logits, codes, ~keep)


# %% q4 1 of 3: mean in place of sum
# says: By the chain rule
reference = bits_to_complete


def bits_to_complete(logits, codes, keep):
    return reference(logits, codes, keep) / np.sum(~keep)


# %% q4 1 of 3: one number for all grids
# says: not the mean over all grids
reference = bits_to_complete


def bits_to_complete(logits, codes, keep):
    return np.mean(reference(logits, codes, keep))


# %% q4 1 of 3: softmax over the wrong axis
# says: Over which axis
def bits_to_complete(logits, codes, keep):
    p = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    own = np.take_along_axis(p, codes[..., None], axis=-1)[..., 0]
    return -np.sum(np.log2(own) * ~keep, axis=(1, 2))


# %% q4 1 of 3: logits are taken for logarithms of probabilities
# says: no logarithms of probabilities yet
def bits_to_complete(logits, codes, keep):
    own = np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    return -np.sum(own * ~keep, axis=(1, 2)) / np.log(2)


# %% q4 1 of 3: the likeliest code in place of the one that is there
# says: likeliest codes would cost
reference = bits_to_complete


def bits_to_complete(logits, codes, keep):
    return reference(logits, np.argmax(logits, axis=-1), keep)


# %% q4 2 of 3: exp overflows
# says: not finite
def bits_to_complete(logits, codes, keep):
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.sum(np.exp(logits), axis=-1, keepdims=True)
        own = np.take_along_axis(p, codes[..., None], axis=-1)[..., 0]
        return -np.sum(np.where(keep, 0, np.log2(own)), axis=(1, 2))


# %% q4 2 of 3: nats called bits in my own number
# says: Those are nats
my_bits = my_bits * np.log(2)


# %% q4 2 of 3: the upper rows in place of the lower
# says: which the receiver has
my_lower_bits = my_bits - my_lower_bits


# %% q4 2 of 3: the mean of the perplexities of the grids
# says: First the mean
my_perplexity = np.mean(2 ** (bits_to_complete(my_logits, my_codes, nothing) / 49))


# %% q4 2 of 3: perplexity in the wrong base
# says: mixes two bases
my_perplexity = np.exp(my_bits / 49)


# %% q5 4 of 4: one grid at a time, pieces by searchsorted
def draw(network, codes, keep, order, uniform, temperature):
    answer = []
    for grid, numbers in zip(codes, uniform, strict=True):
        grid = np.array(grid)
        for place in sorted(np.ndindex(order.shape), key=lambda place: order[place]):
            if not keep[place]:
                scaled = np.asarray(network(grid[None]), "float64")[0][place] / temperature
                p = np.exp(scaled - np.max(scaled)) / np.sum(np.exp(scaled - np.max(scaled)))
                grid[place] = min(int(np.searchsorted(np.cumsum(p), numbers[place], side="right")), len(p) - 1)
        answer.append(grid.tolist())
    return answer


# %% q5 4 of 4: Keras operations, in float32
def draw(network, codes, keep, order, uniform, temperature):
    codes = ops.cast(codes, "int32")
    for step in range(order.size):
        here = ops.convert_to_tensor((order == step) & ~keep)
        p = ops.softmax(ops.cast(network(codes), "float32") / temperature, axis=-1)
        ends = ops.cumsum(p, axis=-1)[..., :-1]
        drawn = ops.sum(ops.cast(ends <= ops.cast(uniform, "float32")[..., None], "int32"), axis=-1)
        codes = ops.where(here, drawn, codes)
    return codes


# %% q5 0 of 4: argmax in place of sampling
# says: Nothing was drawn
def draw(network, codes, keep, order, uniform, temperature):
    codes = np.array(codes)
    for i, j in sorted(np.ndindex(order.shape), key=lambda place: order[place]):
        if not keep[i, j]:
            codes[:, i, j] = np.argmax(network(codes), axis=-1)[:, i, j]
    return codes


# %% q5 2 of 4: temperature multiplied
# says: temperature divides the logits
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return reference(network, codes, keep, order, uniform, 1 / temperature)


# %% q5 2 of 4: temperature forgotten
# says: Where is the temperature?
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return reference(network, codes, keep, order, uniform, 1.0)


# %% q5 0 of 4: softmax over the wrong axis
# says: Which axis is that?
def draw(network, codes, keep, order, uniform, temperature):
    codes = np.array(codes)
    for i, j in sorted(np.ndindex(order.shape), key=lambda place: order[place]):
        if not keep[i, j]:
            p = ops.softmax(network(codes)[:, i, j] / temperature, axis=0)
            ends = np.cumsum(p, axis=1)[:, :-1]
            codes[:, i, j] = np.sum(ends <= uniform[:, i, j, None], axis=1)
    return codes


# %% q5 0 of 4: all positions from one run
# says: What was drawn first
def draw(network, codes, keep, order, uniform, temperature):
    p = ops.softmax(network(codes) / temperature, axis=-1)
    drawn = np.sum(np.cumsum(p, axis=-1)[..., :-1] <= uniform[..., None], axis=-1)
    return np.where(keep, codes, drawn)


# %% q5 3 of 4: exp overflows
# says: large number is infinite
def draw(network, codes, keep, order, uniform, temperature):
    codes = np.array(codes)
    for i, j in sorted(np.ndindex(order.shape), key=lambda place: order[place]):
        if not keep[i, j]:
            with np.errstate(all="ignore"):
                weights = np.exp(np.asarray(network(codes))[:, i, j] / temperature)
                ends = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)[:, :-1]
            codes[:, i, j] = np.sum(ends <= uniform[:, i, j, None], axis=1)
    return codes


# %% q5 1 of 4: kept codes are drawn anew
# says: kept code was drawn anew
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return reference(network, codes, np.zeros_like(keep), order, uniform, temperature)


# %% q5 1 of 4: all is drawn, then the kept codes are put back
# says: have to be there before
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return np.where(keep, codes, reference(network, codes, np.zeros_like(keep), order, uniform, temperature))


# %% q5 0 of 4: the last code has the first piece
# says: first from the left
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return reference(network, codes, keep, order, 1 - uniform, temperature)


# %% q5 2 of 4: always by rows
# says: when all that come before it
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return reference(network, codes, keep, np.arange(order.size).reshape(order.shape), uniform, temperature)


# %% q5 0 of 4: codes as floats
# says: whole numbers
reference = draw


def draw(network, codes, keep, order, uniform, temperature):
    return reference(network, codes, keep, order, uniform, temperature).astype("float32")

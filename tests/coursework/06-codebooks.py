# Answers to assignment 6 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: E402, F811, F821

# %% q1 3 of 3: a loop, with vqlib's perplexity and a running sum
def vital_signs(log, window):
    perplexities, dead, total = [], [], 0
    for t, row in enumerate(log):
        total = total + row - (log[t - window] if t >= window else 0)
        if t >= window - 1:
            perplexities.append(vqlib.metrics.perplexity(total))
            dead.append(list(total).count(0))
    return perplexities, dead


# %% q1 3 of 3: Keras operations, float32, logarithms to the base 2
def vital_signs(log, window):
    sums = ops.cumsum(ops.cast(np.concatenate([np.zeros((1, log.shape[1])), log]), "float32"), axis=0)
    counts = sums[window:] - sums[:-window]
    p = counts / ops.sum(counts, axis=1, keepdims=True)
    bits = -ops.sum(p * ops.log2(ops.where(p > 0, p, 1.0)), axis=1)
    return 2**bits, ops.sum(ops.cast(counts < 0.5, "int32"), axis=1)


# %% q1 1 of 3: perplexity in the wrong base
# says: mixes two bases
def vital_signs(log, window):
    counts = np.stack([log[t : t + window].sum(axis=0) for t in range(len(log) - window + 1)])
    p = counts / counts.sum(axis=1, keepdims=True)
    return 2 ** -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1), np.sum(counts == 0, axis=1)


# %% q1 1 of 3: e to the power of bits
# says: e to the power of bits
def vital_signs(log, window):
    counts = np.stack([log[t : t + window].sum(axis=0) for t in range(len(log) - window + 1)])
    p = counts / counts.sum(axis=1, keepdims=True)
    return np.exp(-np.sum(p * np.log2(np.where(p > 0, p, 1)), axis=1)), np.sum(counts == 0, axis=1)


# %% q1 1 of 3: the mean of the batches' perplexities
# says: took their mean
reference = vital_signs


def vital_signs(log, window):
    each, dead = reference(log, 1)[0], reference(log, window)[1]
    return [np.mean(each[t : t + window]) for t in range(len(dead))], dead


# %% q1 1 of 3: zero times the logarithm of zero
# says: adds nothing
def vital_signs(log, window):
    counts = np.stack([log[t : t + window].sum(axis=0) for t in range(len(log) - window + 1)])
    p = counts / counts.sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        return np.exp(-np.sum(p * np.log(p), axis=1)), np.sum(counts == 0, axis=1)


# %% q1 1 of 3: dead where any batch did not choose it
# says: no batch of the window
reference = vital_signs


def vital_signs(log, window):
    unused = [(log[t : t + window] == 0).any(axis=0).sum() for t in range(len(log) - window + 1)]
    return reference(log, window)[0], unused


# %% q1 2 of 3: each batch weighs the same, whatever its size
# says: Batches differ in size
def vital_signs(log, window):
    share = log / log.sum(axis=1, keepdims=True)
    p = np.stack([share[t : t + window].mean(axis=0) for t in range(len(log) - window + 1)])
    return np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1)), axis=1)), np.sum(p == 0, axis=1)


# %% q1 2 of 3: the first batch of the window
# says: When is the window complete
alarm = alarm - 24


# %% q1 2 of 3: codes in use
# says: codes in use
dead_25, dead_100 = 32 - dead_25, 32 - dead_100


# %% q1 1 of 3: the entropy in nats
# says: That is the entropy. Perplexity
reference = vital_signs


def vital_signs(log, window):
    perplexities, dead = reference(log, window)
    return np.log(perplexities), dead


# %% q1 1 of 3: the entropy in bits
# says: entropy, in bits
reference = vital_signs


def vital_signs(log, window):
    perplexities, dead = reference(log, window)
    return np.log2(perplexities), dead


# %% q1 1 of 3: each batch for itself
# says: perplexity of each batch
reference = vital_signs


def vital_signs(log, window):
    return reference(log, 1)


# %% q1 1 of 3: windows that do not overlap
# says: one batch after the one before
reference = vital_signs


def vital_signs(log, window):
    return tuple(signs[::window] for signs in reference(log, window))


# %% q1 1 of 3: codes in use in place of dead ones
# says: How many are not
reference = vital_signs


def vital_signs(log, window):
    perplexities, dead = reference(log, window)
    return perplexities, log.shape[1] - dead


# %% q1 2 of 3: batches counted from one
# says: Count batches from 0
alarm = alarm + 1


# %% q1 2 of 3: the first window in place of the last
# says: What does the last one say
dead_25, dead_100 = my_dead[0], vital_signs(my_log, 100)[1][0]


# %% q2 4 of 4: a loop over the codes
def patient_step(z, codebook, counts, sums, decay, epsilon):
    codes = np.array([min(range(len(codebook)), key=lambda k: sum((vector - codebook[k]) ** 2)) for vector in z])
    parts = []
    for k, entry in enumerate(codebook):
        chosen = z[codes == k]
        count = counts[k] * decay + len(chosen) * (1 - decay)
        total = sums[k] * decay + chosen.sum(axis=0) * (1 - decay)
        parts.append((entry + (total - count * entry) / (count + epsilon), count, total))
    return tuple(np.array(part) for part in zip(*parts, strict=True))


# %% q2 4 of 4: Keras operations in float32, the square expanded
def patient_step(z, codebook, counts, sums, decay, epsilon):
    z, codebook, counts, sums = (ops.cast(part, "float32") for part in (z, codebook, counts, sums))
    codes = ops.argmin(ops.sum(codebook**2, axis=1) - 2 * ops.matmul(z, ops.transpose(codebook)), axis=1)
    one_hot = ops.one_hot(codes, codebook.shape[0], dtype="float32")
    counts = counts + (1 - decay) * (ops.sum(one_hot, axis=0) - counts)
    sums = sums + (1 - decay) * (ops.matmul(ops.transpose(one_hot), z) - sums)
    return (sums + epsilon * codebook) / ops.expand_dims(counts + epsilon, 1), counts, sums


# %% q2 4 of 4: TensorFlow, a loop over the vectors
import tensorflow as tf


def loss_left(z, codebook, beta):
    terms = []
    for vector in tf.unstack(tf.convert_to_tensor(z)):
        distances = tf.norm(tf.stop_gradient(codebook) - vector, axis=1)
        terms.append(tf.reduce_min(distances) ** 2)
    return beta * tf.add_n(terms) / z.shape[0] / z.shape[1]


# %% q2 2 of 4: decay on the wrong side
# says: Decay is on the wrong side
reference = patient_step


def patient_step(z, codebook, counts, sums, decay, epsilon):
    return reference(z, codebook, counts, sums, 1 - decay, epsilon)


# %% q2 2 of 4: sums divided by the batch's counts
# says: divide by the counts of this batch
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
    sums = decay * sums + (1 - decay) * one_hot.T @ z
    return (sums + epsilon * codebook) / (one_hot.sum(axis=0) + epsilon)[:, None], counts, sums


# %% q2 2 of 4: smoothing forgotten
# says: has no mean
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
    sums = decay * sums + (1 - decay) * one_hot.T @ z
    with np.errstate(all="ignore"):
        return sums / counts[:, None], counts, sums


# %% q2 2 of 4: equation 6.4 as in the chapter
# says: That is equation 6.4
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
    sums = decay * sums + (1 - decay) * one_hot.T @ z
    total = counts.sum()
    smoothed = (counts + epsilon) / (total + len(counts) * epsilon) * total
    return sums / smoothed[:, None], counts, sums


# %% q2 2 of 4: the free vector is in the count alone, and nothing is scaled back
# says: in the count and not in the sum
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
    sums = decay * sums + (1 - decay) * one_hot.T @ z
    return sums / (counts + epsilon)[:, None], counts, sums


# %% q2 2 of 4: distance without its square
# says: squared before the sum
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[np.abs(z[:, None] - codebook).sum(axis=2).argmin(axis=1)]
    counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
    sums = decay * sums + (1 - decay) * one_hot.T @ z
    return (sums + epsilon * codebook) / (counts + epsilon)[:, None], counts, sums


# %% q2 2 of 4: argmin over the wrong axis
# says: minimum is over the codewords
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=0)]
    counts = decay * counts + (1 - decay) * one_hot.sum(axis=0)
    sums = decay * sums + (1 - decay) * one_hot.T @ z[: len(codebook)]
    return (sums + epsilon * codebook) / (counts + epsilon)[:, None], counts, sums


# %% q2 2 of 4: the mean of the batch's vectors in place of their sum
# says: not their mean
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    used = one_hot.sum(axis=0)
    counts = decay * counts + (1 - decay) * used
    sums = decay * sums + (1 - decay) * one_hot.T @ z / np.maximum(used, 1)[:, None]
    return (sums + epsilon * codebook) / (counts + epsilon)[:, None], counts, sums


# %% q2 2 of 4: the free vectors are kept
# says: without the free vector
reference = patient_step


def patient_step(z, codebook, counts, sums, decay, epsilon):
    entries, counts, sums = reference(z, codebook, counts, sums, decay, epsilon)
    return entries, counts + epsilon, sums + epsilon * codebook


# %% q2 3 of 4: what was not chosen does not shrink
# says: counts less than before
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    chosen = one_hot.any(axis=0)
    counts = np.where(chosen, decay * counts + (1 - decay) * one_hot.sum(axis=0), counts)
    sums = np.where(chosen[:, None], decay * sums + (1 - decay) * one_hot.T @ z, sums)
    return (sums + epsilon * codebook) / (counts + epsilon)[:, None], counts, sums


# %% q2 3 of 4: what an average remembers
# says: how many batches an average remembers
batches_to_halfway = round(1 / (1 - my_decay))


# %% q2 3 of 4: the count has halved
# says: when the count has halved
batches_to_halfway = np.log(0.5) / np.log(my_decay)


# %% q2 2 of 4: the old count does not shrink
# says: What shrinks
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    counts = counts + (1 - decay) * one_hot.sum(axis=0)
    sums = sums + (1 - decay) * one_hot.T @ z
    return (sums + epsilon * codebook) / (counts + epsilon)[:, None], counts, sums


# %% q2 2 of 4: divided by the old counts
# says: divide by the old counts
def patient_step(z, codebook, counts, sums, decay, epsilon):
    one_hot = np.eye(len(codebook))[((z[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)]
    sums = decay * sums + (1 - decay) * one_hot.T @ z
    entries = (sums + epsilon * codebook) / (counts + epsilon)[:, None]
    return entries, decay * counts + (1 - decay) * one_hot.sum(axis=0), sums


# %% q2 3 of 4: missing stop_gradient
# says: It moves the codebook
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    return beta * ops.mean((z - ops.take(codebook, codes, axis=0)) ** 2)


# %% q2 3 of 4: stop_gradient on the wrong side, the codebook loss
# says: leaves it alone
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    return beta * ops.mean((ops.stop_gradient(z) - ops.take(codebook, codes, axis=0)) ** 2)


# %% q2 3 of 4: both losses
# says: Those are both losses
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    e = ops.take(codebook, codes, axis=0)
    return ops.mean((ops.stop_gradient(z) - e) ** 2) + beta * ops.mean((z - ops.stop_gradient(e)) ** 2)


# %% q2 3 of 4: beta is forgotten
# says: Where is beta
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    return ops.mean((z - ops.stop_gradient(ops.take(codebook, codes, axis=0))) ** 2)


# %% q2 3 of 4: the difference is not squared
# says: Is each difference squared
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    return beta * ops.mean(ops.abs(z - ops.stop_gradient(ops.take(codebook, codes, axis=0))))


# %% q2 2 of 4: the free vectors are kept in the sums alone
# says: Keep the sums without
reference = patient_step


def patient_step(z, codebook, counts, sums, decay, epsilon):
    entries, counts, sums = reference(z, codebook, counts, sums, decay, epsilon)
    return entries, counts, sums + epsilon * codebook


# %% q2 3 of 4: a mean over the vectors
# says: or over the vectors
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    return beta * ops.mean(ops.sum((z - ops.stop_gradient(ops.take(codebook, codes, axis=0))) ** 2, axis=1))


# %% q2 3 of 4: a sum in place of the mean
# says: It is a mean, not a sum
def loss_left(z, codebook, beta):
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    return beta * ops.sum((z - ops.stop_gradient(ops.take(codebook, codes, axis=0))) ** 2)


# %% q3 3 of 3: a loop, one restart after the other
def restart_worst(z, codebook, counts, sums, restart_below):
    entries, new_counts, new_sums = codebook.copy(), counts.copy(), sums.copy()
    distances = [min(float(np.dot(v - e, v - e)) for e in codebook) for v in z]
    for k in range(len(codebook)):
        if counts[k] < restart_below * sum(counts) / len(counts):
            n = distances.index(max(distances))
            distances[n] = -1
            entries[k], new_counts[k] = z[n], 2 * restart_below * counts.mean()
            new_sums[k] = new_counts[k] * z[n]
    return entries, new_counts, new_sums


# %% q3 3 of 3: Keras operations, with the largest distances by top_k
def restart_worst(z, codebook, counts, sums, restart_below):
    z, codebook, counts, sums = (ops.cast(part, "float64") for part in (z, codebook, counts, sums))
    dead = np.flatnonzero(counts < restart_below * ops.mean(counts))
    far = ops.top_k(ops.min(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1), len(dead))[1]
    vectors, least = ops.take(z, far, axis=0), restart_below * ops.mean(counts)
    counts = ops.scatter_update(counts, dead[:, None], ops.full((len(dead),), 2 * float(least), dtype="float64"))
    sums = ops.scatter_update(sums, dead[:, None], 2 * least * vectors)
    return ops.scatter_update(codebook, dead[:, None], vectors), counts, sums


# %% q3 1 of 3: counts are forgotten
# says: counts are the old ones
reference = restart_worst


def restart_worst(z, codebook, counts, sums, restart_below):
    return reference(z, codebook, counts, sums, restart_below)[0], counts, sums


# %% q3 1 of 3: sums are forgotten
# says: sums are the old ones
reference = restart_worst


def restart_worst(z, codebook, counts, sums, restart_below):
    return *reference(z, codebook, counts, sums, restart_below)[:2], sums


# %% q3 1 of 3: sums are the vectors
# says: Sum over count
reference = restart_worst


def restart_worst(z, codebook, counts, sums, restart_below):
    entries, new_counts, _ = reference(z, codebook, counts, sums, restart_below)
    return entries, new_counts, np.where((counts < restart_below * counts.mean())[:, None], entries, sums)


# %% q3 0 of 3: the nearest vectors in place of the farthest
# says: served best
def restart_worst(z, codebook, counts, sums, restart_below):
    least = restart_below * counts.mean()
    dead = np.flatnonzero(counts < least)
    vectors = z[np.argsort(((z[:, None] - codebook) ** 2).sum(axis=2).min(axis=1))[: len(dead)]]
    codebook, counts, sums = codebook.copy(), counts.copy(), sums.copy()
    codebook[dead], counts[dead], sums[dead] = vectors, 2 * least, 2 * least * vectors
    return codebook, counts, sums


my_distortions = my_perplexities = share_worse = None


# %% q3 0 of 3: all to the same vector
# says: one of its own
def restart_worst(z, codebook, counts, sums, restart_below):
    least = restart_below * counts.mean()
    dead = (counts < least)[:, None]
    vector = z[((z[:, None] - codebook) ** 2).sum(axis=2).min(axis=1).argmax()]
    counts = np.where(dead[:, 0], 2 * least, counts)
    return np.where(dead, vector, codebook), counts, np.where(dead, 2 * least * vector, sums)


my_distortions = None


# %% q3 1 of 3: far from the origin
# says: not from the origin
def restart_worst(z, codebook, counts, sums, restart_below):
    least = restart_below * counts.mean()
    dead = np.flatnonzero(counts < least)
    vectors = z[np.argsort(-(z**2).sum(axis=1))[: len(dead)]]
    codebook, counts, sums = codebook.copy(), counts.copy(), sums.copy()
    codebook[dead], counts[dead], sums[dead] = vectors, 2 * least, 2 * least * vectors
    return codebook, counts, sums


# %% q3 2 of 3: far without the square
# says: Far is meant in squares
def restart_worst(z, codebook, counts, sums, restart_below):
    least = restart_below * counts.mean()
    dead = np.flatnonzero(counts < least)
    vectors = z[np.argsort(-np.abs(z[:, None] - codebook).sum(axis=2).min(axis=1))[: len(dead)]]
    codebook, counts, sums = codebook.copy(), counts.copy(), sums.copy()
    codebook[dead], counts[dead], sums[dead] = vectors, 2 * least, 2 * least * vectors
    return codebook, counts, sums


# %% q3 2 of 3: the mean over the entries
# says: sums over them
my_distortions = np.array(my_distortions) / 16


# %% q3 2 of 3: those that are better off
# says: better off
share_worse = np.mean(measured[2][1] < measured[0][1])


# %% q3 1 of 3: the farthest vector comes last
# says: goes to the first code
def restart_worst(z, codebook, counts, sums, restart_below):
    least = restart_below * counts.mean()
    dead = np.flatnonzero(counts < least)
    vectors = z[np.argsort(((z[:, None] - codebook) ** 2).sum(axis=2).min(axis=1))[len(z) - len(dead) :]]
    codebook, counts, sums = codebook.copy(), counts.copy(), sums.copy()
    codebook[dead], counts[dead], sums[dead] = vectors, 2 * least, 2 * least * vectors
    return codebook, counts, sums


# %% q3 1 of 3: the threshold is a number of vectors
# says: fraction of the mean count
reference = restart_worst


def restart_worst(z, codebook, counts, sums, restart_below):
    return reference(z, codebook, counts, sums, restart_below / counts.mean())


# %% q3 1 of 3: the new count is the threshold itself
# says: dead again
reference = restart_worst


def restart_worst(z, codebook, counts, sums, restart_below):
    entries, new, new_sums = reference(z, codebook, counts, sums, restart_below)
    dead = counts < restart_below * counts.mean()
    return entries, np.where(dead, new / 2, new), np.where(dead[:, None], new_sums / 2, new_sums)


# %% q3 2 of 3: per cent
# says: That is per cent
share_worse = 100 * share_worse


# %% q3 2 of 3: the number of patches
# says: the number of patches
share_worse = np.sum(measured[2][1] > measured[0][1])


# %% q4 4 of 4: NumPy's own mixed radix, a search among the levels, and TensorFlow
import tensorflow as tf


def to_codes(z, levels):
    digits = [
        np.abs(np.tanh(column)[:, None] - np.linspace(-1, 1, n)).argmin(axis=1)
        for column, n in zip(np.asarray(z).T, levels, strict=True)
    ]
    return np.ravel_multi_index(tuple(digits), tuple(levels))


def to_vectors(codes, levels):
    return [
        [np.linspace(-1, 1, n)[i] for i, n in zip(np.unravel_index(code, tuple(levels)), levels, strict=True)]
        for code in codes
    ]


def quantize(z, levels):
    steps = tf.constant(np.asarray(levels) - 1, "float32") / 2
    squashed = tf.math.tanh(z)
    rounded = tf.round((squashed + 1) * steps) / steps - 1
    return tf.stop_gradient(rounded) + squashed - tf.stop_gradient(squashed)


# %% q4 4 of 4: a gradient written by hand
import tensorflow as tf


@tf.custom_gradient
def rounded(scaled):
    return tf.round(scaled), lambda g: g


def quantize(z, levels):
    half = (np.asarray(levels, "float32") - 1) / 2
    return rounded((tf.tanh(z) + 1) * half) / half - 1


# %% q4 2 of 4: codes as floats
# says: whole numbers
reference = to_codes


def to_codes(z, levels):
    return ops.cast(reference(z, levels), "float32")


# %% q4 2 of 4: the first entry counts ones
# says: The last entry counts ones
def to_codes(z, levels):
    digits = np.round((np.tanh(z) + 1) / 2 * (levels - 1)).astype(int)
    return digits @ np.cumprod([1, *levels[:-1]])


def to_vectors(codes, levels):
    return codes[:, None] // np.cumprod([1, *levels[:-1]]) % levels / (levels - 1) * 2 - 1


codes_in_use = len(np.unique(to_codes(my_vectors, my_levels)))


# %% q4 1 of 4: the chapter's half step
# says: shifts by half a step
def to_codes(z, levels):
    layer = vqlib.FiniteScalarQuantizer(tuple(int(level) for level in levels))
    digits = ops.convert_to_numpy(layer.encode(np.asarray(z, "float32")))[:, None] // layer._steps % layer._levels
    return np.ravel_multi_index(tuple(digits.T), tuple(levels))


def quantize(z, levels):
    return vqlib.FiniteScalarQuantizer(tuple(int(level) for level in levels))(z)


# %% q4 2 of 4: place values for two entries only
# says: with the levels
def to_codes(z, levels):
    digits = np.round((np.tanh(z) + 1) / 2 * (levels - 1)).astype(int)
    return digits[:, 0] * levels[-1] + digits[:, -1]


codes_in_use = len(np.unique(to_codes(my_vectors, my_levels)))


# %% q4 2 of 4: the entry is not squashed
# says: squashed before
def to_codes(z, levels):
    digits = np.round((np.clip(z, -1, 1) + 1) / 2 * (levels - 1)).astype(int)
    return np.ravel_multi_index(tuple(digits.T), tuple(levels))


# %% q4 2 of 4: missing stop_gradient
# says: No gradient arrives
def quantize(z, levels):
    squashed = ops.tanh(z)
    return squashed + (ops.cast(to_vectors(to_codes(z, levels), levels), "float32") - squashed)


# %% q4 2 of 4: stop_gradient on the wrong side
# says: wrong sign
def quantize(z, levels):
    squashed = ops.tanh(z)
    return ops.stop_gradient(squashed) + (ops.cast(to_vectors(to_codes(z, levels), levels), "float32") - squashed)


# %% q4 2 of 4: past the tanh, too
# says: which has a slope
def quantize(z, levels):
    return z + ops.stop_gradient(ops.cast(to_vectors(to_codes(z, levels), levels), "float32") - z)


# %% q4 2 of 4: not rounded
# says: not rounded
def quantize(z, levels):
    return ops.tanh(z)


# %% q4 3 of 4: the levels are added up
# says: The levels multiply
codes_there_are = int(sum(my_levels))


# %% q4 2 of 4: as many steps as levels
# says: three steps between them
def to_codes(z, levels):
    digits = np.round((np.tanh(z) + 1) / 2 * levels).astype(int)
    return digits @ np.cumprod([1, *levels[:0:-1]])[::-1]


# %% q4 2 of 4: the level below
# says: not the one below
def to_codes(z, levels):
    digits = ((np.tanh(z) + 1) / 2 * (levels - 1)).astype(int)
    return digits @ np.cumprod([1, *levels[:0:-1]])[::-1]


# %% q4 2 of 4: levels do not count from 0
# says: count from 0
def to_codes(z, levels):
    digits = np.round(np.tanh(z) / 2 * (levels - 1)).astype(int)
    return digits @ np.cumprod([1, *levels[:0:-1]])[::-1]


# %% q4 3 of 4: numbers of levels in place of levels
# says: numbers of the levels
def to_vectors(codes, levels):
    return np.stack(np.unravel_index(codes, tuple(levels)), axis=1)


# %% q4 3 of 4: half the number of levels in place of half the steps
# says: three equal steps
def to_vectors(codes, levels):
    return (np.stack(np.unravel_index(codes, tuple(levels)), axis=1) - levels // 2) / (levels // 2)


# %% q4 3 of 4: there and not back
# says: The last entry counts ones
def to_vectors(codes, levels):
    return codes[:, None] // np.cumprod([1, *levels[:-1]]) % levels / (levels - 1) * 2 - 1


# %% q4 2 of 4: the chapter's quantizer
# says: read as in equation 6.6
def to_codes(z, levels):
    return vqlib.FiniteScalarQuantizer(tuple(int(level) for level in levels)).encode(np.asarray(z, "float32"))


# %% q5 3 of 3: sorted lists, and the sum of squares
def paired_difference(rows, first, second, name):
    def numbers(method):
        chosen = [row for row in rows if row["method"] == method]
        if name == "bits":
            return {row["seed"]: 49 * np.log(row["test_perplexity"]) / np.log(2) for row in chosen}
        return {row["seed"]: row[name] for row in chosen}

    one, other = numbers(first), numbers(second)
    d = [other[seed] - one[seed] for seed in sorted(set(one) & set(other))]
    mean = sum(d) / len(d)
    return [mean, (sum((x - mean) ** 2 for x in d) / (len(d) - 1)) ** 0.5]


# %% q5 1 of 3: first minus second
# says: second minus first
reference = paired_difference


def paired_difference(rows, first, second, name):
    return reference(rows, second, first, name)


# %% q5 1 of 3: the spread without n - 1
# says: With n - 1
def paired_difference(rows, first, second, name):
    found = {m: {r["seed"]: r["test_mse"] for r in rows if r["method"] == m} for m in (first, second)}
    d = [found[second][seed] - found[first][seed] for seed in found[first]]
    return np.mean(d), np.std(d)


# %% q5 1 of 3: the order of the rows in place of the seeds
# says: paired by seed
def paired_difference(rows, first, second, name):
    one, other = ([r["test_mse"] for r in rows if r["method"] == m] for m in (first, second))
    d = [b - a for a, b in zip(one, other, strict=False)]
    return np.mean(d), np.std(d, ddof=1)


# %% q5 1 of 3: the two spreads together
# says: Take differences first
def paired_difference(rows, first, second, name):
    found = {m: {r["seed"]: r["test_mse"] for r in rows if r["method"] == m} for m in (first, second)}
    one, other = ([found[m][seed] for seed in found[first]] for m in (first, second))
    return np.mean(other) - np.mean(one), np.hypot(np.std(one, ddof=1), np.std(other, ddof=1))


# %% q5 2 of 3: both at the beta of the paper
# says: Take each at its own best
at_quarter = [row for row in all_rows if row["beta"] == 0.25 and row["epochs"] == 2 and row["num_codes"] == 128]
my_mse = paired_difference(at_quarter, first, second, "test_mse")


# %% q5 2 of 3: nats called bits
# says: Those are nats
reference = paired_difference


def paired_difference(rows, first, second, name):
    scale = np.log(2) if name == "bits" else 1
    return np.array(reference(rows, first, second, name)) * scale


# %% q5 2 of 3: bits of the difference of perplexities
# says: difference of the perplexities
reference = paired_difference


def paired_difference(rows, first, second, name):
    return reference(rows, first, second, "test_perplexity" if name == "bits" else name)


# %% q5 2 of 3: the other one wins
# says: What does the rule say
verdict = {"first": "second", "second": "first", "not seen": "first"}[verdict]


# %% q5 2 of 3: a neighbour's methods
# says: not right
my_mse, my_bits = (0.002, 0.0001), (-3.0, 2.0)


# %% q5 1 of 3: the error of the mean
# says: error of the mean
def paired_difference(rows, first, second, name):
    found = {(r["method"], r["seed"]): r[name] for r in rows if name in r}
    d = [found[second, seed] - value for (method, seed), value in found.items() if method == first]
    return np.mean(d), np.std(d, ddof=1) / len(d) ** 0.5


# %% q5 1 of 3: all rows of both, paired or not
# says: is no pair
def paired_difference(rows, first, second, name):
    one, other = ([r["test_mse"] for r in rows if r["method"] == m] for m in (first, second))
    return np.mean(other) - np.mean(one), np.hypot(np.std(one, ddof=1), np.std(other, ddof=1))


# %% q5 2 of 3: bits a code
# says: An image has 49 codes
reference = paired_difference


def paired_difference(rows, first, second, name):
    return np.array(reference(rows, first, second, name)) / (49 if name == "bits" else 1)


# %% q5 2 of 3: the spread of two numbers that have nothing in common
# says: and in pairs
one, other = ([r["test_mse"] for r in rows if r["method"] == m] for m in (first, second))
my_mse = (my_mse[0], np.hypot(np.std(one, ddof=1), np.std(other, ddof=1)))

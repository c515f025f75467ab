# Answers to assignment 1 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: F811, F821

# %% q1 4 of 4: a loop over the vectors
def weighted_codes(x, codebook, weights):
    codes = []
    for row in x:
        codes.append(int(np.argmin([np.dot(weights, (row - e) ** 2) for e in codebook])))
    return codes


# %% q1 4 of 4: Keras operations on scaled entries, in float32
def weighted_codes(x, codebook, weights):
    scale = np.sqrt(weights)
    x, codebook = ops.cast(x * scale, "float32"), ops.cast(codebook * scale, "float32")
    return ops.argmax(ops.matmul(x, ops.transpose(codebook)) - ops.sum(codebook * codebook, axis=-1) / 2, axis=-1)


# %% q1 3 of 4: all differences at once
# says: held
def weighted_codes(x, codebook, weights):
    return np.argmin(np.sum(weights * (x[:, None] - codebook) ** 2, axis=-1), axis=1)


# %% q1 1 of 4: distance without its square
# says: squared
def weighted_codes(x, codebook, weights):
    return np.array([np.argmin(np.sum(weights * np.abs(row - codebook), axis=-1)) for row in x])


# %% q1 1 of 4: argmin over the wrong axis
# says: over the codewords
def weighted_codes(x, codebook, weights):
    return np.argmin(np.sum(weights * (x[:, None] - codebook) ** 2, axis=-1), axis=0)


# %% q1 1 of 4: codes as floats
# says: whole numbers
def weighted_codes(x, codebook, weights):
    norms = np.sum(weights * codebook**2, axis=1)
    return np.argmin(norms - 2 * x @ (weights * codebook).T, axis=1).astype("float32")


# %% q1 1 of 4: the weights are forgotten
# says: with its weight
def weighted_codes(x, codebook, weights):
    return np.argmin(np.sum(codebook**2, axis=1) - 2 * x @ codebook.T, axis=1)


# %% q1 1 of 4: the weight is forgotten in the product
# says: product of x and e
def weighted_codes(x, codebook, weights):
    return np.argmin(np.sum(weights * codebook**2, axis=1) - 2 * x @ codebook.T, axis=1)


# %% q1 3 of 4: bytes of float64
# says: 4 bytes
gigabytes_differences, gigabytes_distances = N * K * D * 8 / 1e9, N * K * 8 / 1e9


# %% q1 3 of 4: a neighbour's numbers
# says: not right
gigabytes_differences, gigabytes_distances = D * 0.5, 0.5


# %% q2 3 of 3: loops, and the foot of the perpendicular
def margins(x, codebook):
    answer = []
    for point in x:
        order = np.argsort([np.linalg.norm(point - e) for e in codebook])
        own, best = codebook[order[0]], np.inf
        for other in codebook[order[1:]]:
            normal = (other - own) / np.linalg.norm(other - own)
            best = min(best, float(np.dot((own + other) / 2 - point, normal)))
        answer.append(best)
    return np.array(answer)


# %% q2 3 of 3: TensorFlow's numbers, float32
def margins(x, codebook):
    x, codebook = ops.cast(x, "float32"), ops.cast(codebook, "float32")
    d = ops.sum((x[:, None] - codebook) ** 2, axis=2)
    own = ops.argmin(d, axis=1)
    apart = ops.sqrt(ops.sum((ops.take(codebook, own, axis=0)[:, None] - codebook) ** 2, axis=2))
    d = (d - ops.min(d, axis=1, keepdims=True)) / (2 * ops.maximum(apart, 1e-9))
    return ops.min(ops.where(apart < 1e-6, 1e9, d), axis=1)


# %% q2 0 of 3: half the difference of the distances
# says: unless x is on the segment
def margins(x, codebook):
    d = np.sort(np.linalg.norm(x[:, None] - codebook, axis=2), axis=1)
    return (d[:, 1] - d[:, 0]) / 2


# %% q2 0 of 3: not divided by how far the codewords are apart
# says: divide by how far
def margins(x, codebook):
    d = np.sort(np.sum((x[:, None] - codebook) ** 2, axis=2), axis=1)
    return d[:, 1] - d[:, 0]


# %% q2 2 of 3: only the second nearest codeword
# says: second nearest codeword
def margins(x, codebook):
    d = np.sum((x[:, None] - codebook) ** 2, axis=2)
    first, second = np.argsort(d, axis=1)[:, :2].T
    n = np.arange(len(x))
    return (d[n, second] - d[n, first]) / (2 * np.linalg.norm(codebook[first] - codebook[second], axis=1))


# %% q2 0 of 3: the vector's own codeword is among those it is compared with
# says: own codeword
def margins(x, codebook):
    d = np.sum((x[:, None] - codebook) ** 2, axis=2)
    return np.min(d - d.min(axis=1, keepdims=True), axis=1)


# %% q3 4 of 4: a step for each value, by the logarithm
def round_bits(values, bits):
    values = np.asarray(values, "float64")
    size = np.where(values == 0, 1, np.abs(values))
    step = 2.0 ** (np.floor(np.log2(size)) - bits + 1)
    return np.rint(values / step) * step


# %% q3 2 of 4: one bit too many
# says: One bit too many
def round_bits(values, bits):
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissa, bits + 1)), exponent - bits - 1)


# %% q3 2 of 4: digits behind the point
# says: significant bits
def round_bits(values, bits):
    return np.round(values, bits)


# %% q3 2 of 4: cut off
# says: cut off
def round_bits(values, bits):
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits)


# %% q3 3 of 4: zero divided by zero
# says: Zero has no logarithm
def round_bits(values, bits):
    with np.errstate(all="ignore"):
        step = 2.0 ** (np.floor(np.log2(np.abs(values))) - bits + 1)
        return np.round(values / step) * step


# %% q3 2 of 4: the result is not rounded, so that the first term changes nothing
# says: not right
terms = round_bits(np.sum(codewords**2, axis=1), 8) - round_bits(2 * points @ codewords.T, 8)
true = np.argmin(np.sum((points[:, None] - codewords) ** 2, axis=2), axis=1)
share_with = share_without = np.mean(np.argmin(terms, axis=1) != true)


# %% q3 2 of 4: the share of right codes
# says: right codes
share_with, share_without, share_centred = 1 - share_with, 1 - share_without, 1 - share_centred


# %% q4 3 of 3: NumPy, one vector and one pair at a time
def residual_encode(z, first, second):
    z = np.asarray(z)
    codes = np.zeros((*z.shape[:-1], 2), "int64")
    for place in np.ndindex(z.shape[:-1]):
        pairs = list(np.ndindex(len(first), len(second)))
        errors = [np.linalg.norm(z[place] - first[k] - second[j]) for k, j in pairs]
        codes[place] = pairs[int(np.argmin(errors))]
    return codes


def residual_decode(codes, first, second):
    return second[np.asarray(codes)[..., 1]] + first[np.asarray(codes)[..., 0]]


# %% q4 3 of 3: vqlib's quantizer, with all sums as its codebook
def residual_encode(z, first, second):
    sums = np.concatenate([e + second for e in first])
    vq = vqlib.VectorQuantizer(num_embeddings=len(sums), embedding_dim=sums.shape[1])
    vq.codebook.assign(sums)
    return np.stack(np.divmod(np.asarray(vq.encode(z)), len(second)), axis=-1)


# %% q4 3 of 3: for each codeword of the first, the best of the second
def residual_encode(z, first, second):
    rest = np.asarray(z)[..., None, None, :] - first[:, None] - second
    errors = np.sum(rest**2, axis=-1)
    one = np.argmin(errors.min(axis=-1), axis=-1)
    two = np.argmin(np.take_along_axis(errors, one[..., None, None], axis=-2)[..., 0, :], axis=-1)
    return np.stack([one, two], axis=-1)


# %% q4 1 of 3: greedy, one stage after the other
# says: one stage after the other
def residual_encode(z, first, second):
    codes, rest = [], np.asarray(z)
    for codebook in (first, second):
        codes.append(np.argmin(np.sum((rest[..., None, :] - codebook) ** 2, axis=-1), axis=-1))
        rest = rest - codebook[codes[-1]]
    return np.stack(codes, axis=-1)


# %% q4 1 of 3: each codebook sees the vector itself
# says: searched alone
def residual_encode(z, first, second):
    near = [np.argmin(np.sum((z[..., None, :] - e) ** 2, axis=-1), axis=-1) for e in (first, second)]
    return np.stack(near, axis=-1)


# %% q4 1 of 3: one name for the pair
# says: one name for the pair
reference_encode = residual_encode


def residual_encode(z, first, second):
    codes = np.asarray(reference_encode(z, first, second))
    return codes[..., 0] * len(second) + codes[..., 1]


# %% q4 1 of 3: the second code before the first
# says: stands before
reference_encode = residual_encode


def residual_encode(z, first, second):
    return np.asarray(reference_encode(z, first, second))[..., ::-1]


# %% q4 1 of 3: codes as floats
# says: whole numbers
reference_encode = residual_encode


def residual_encode(z, first, second):
    return ops.cast(reference_encode(z, first, second), "float32")


# %% q4 1 of 3: codes along the first axis
# says: last axis
reference_encode = residual_encode


def residual_encode(z, first, second):
    return np.moveaxis(np.asarray(reference_encode(z, first, second)), -1, 0)


# %% q4 2 of 3: one codebook is forgotten
# says: Only one of the two
def residual_decode(codes, first, second):
    return ops.take(first, codes[..., 0], axis=0)


# %% q5 3 of 3: a loop over the codes, with the logarithm of the inverse share
def entropy_bits(codes, num_embeddings):
    codes, total = list(np.ravel(codes)), 0
    for k in set(codes):
        share = codes.count(k) / len(codes)
        total += share * np.log(1 / share) / np.log(2)
    return total


my_entropy = entropy_bits(my_codes, 32)
my_perplexity = np.exp(my_entropy * np.log(2))


# %% q5 1 of 3: nats called bits
# says: nats
def entropy_bits(codes, num_embeddings):
    p = np.bincount(np.ravel(codes)) / np.size(codes)
    return -np.sum(p[p > 0] * np.log(p[p > 0]))


# %% q5 1 of 3: a plain mean over the codes
# says: weighted by its share
def entropy_bits(codes, num_embeddings):
    p = np.bincount(np.ravel(codes)) / np.size(codes)
    return -np.mean(np.log2(p[p > 0]))


# %% q5 1 of 3: the sign is forgotten
# says: below zero
def entropy_bits(codes, num_embeddings):
    p = np.bincount(np.ravel(codes)) / np.size(codes)
    return np.sum(p[p > 0] * np.log2(p[p > 0]))


# %% q5 2 of 3: perplexity in the wrong base
# says: mixes two bases
my_perplexity = np.exp(my_entropy)


# %% q5 2 of 3: a neighbour's entropy
# says: not right
my_entropy, my_perplexity = 3.1, 2**3.1

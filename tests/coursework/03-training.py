# Answers to assignment 3 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: E402, F811, F821


# %% q1 4 of 4: the functional way, padded by hand, activations as layers
def build(image_shape, filters, embedding_dim):
    images = x = keras.Input(image_shape)
    for channels in filters:
        x = keras.layers.ZeroPadding2D(1)(x)
        x = keras.layers.ReLU()(keras.layers.Conv2D(channels, (4, 4), strides=(2, 2))(x))
    z = keras.layers.Conv2D(embedding_dim, 1)(x)
    z_q = x = keras.Input(z.shape[1:])
    for channels in filters[::-1]:
        x = keras.layers.Conv2DTranspose(channels, 4, strides=2)(x)
        x = keras.layers.ReLU()(keras.layers.Cropping2D(1)(x))
    x = keras.layers.Conv2DTranspose(image_shape[-1], 3, padding="same")(x)
    return keras.Model(images, z), keras.Model(z_q, x)


# %% q1 4 of 4: the numbers by a formula, as an array and a tuple
import itertools

h, w, c = my_shape
down, up = [c, *my_filters], [my_dim, *my_filters[::-1]]
my_grid = np.array([h, w]) // 2 ** len(my_filters)
encoder_parameters = sum((16 * a + 1) * b for a, b in itertools.pairwise(down)) + (down[-1] + 1) * my_dim
decoder_parameters = sum((16 * a + 1) * b for a, b in itertools.pairwise(up)) + (9 * up[-1] + 1) * c
my_parameters = (encoder_parameters, decoder_parameters, encoder_parameters)


# %% q1 3 of 4: the kernels of the chapter
# says: The kernels of the strided layers are 4 x 4.
def build(image_shape, filters, embedding_dim):
    return vqlib.autoencoder.build_encoder(image_shape, embedding_dim, filters), vqlib.autoencoder.build_decoder(
        [size // 2 ** len(filters) for size in image_shape[:2]], embedding_dim, image_shape[2], filters
    )


# %% q1 3 of 4: the decoder's channels in the order of the encoder's
# says: which of the filters comes first?
def build(image_shape, filters, embedding_dim):
    layers = keras.layers
    encoder, decoder = keras.Sequential([keras.Input(image_shape)]), keras.Sequential()
    for channels in filters:
        encoder.add(layers.Conv2D(channels, 4, strides=2, padding="same", activation="relu"))
        decoder.add(layers.Conv2DTranspose(channels, 4, strides=2, padding="same", activation="relu"))
    encoder.add(layers.Conv2D(embedding_dim, 1))
    decoder.add(layers.Conv2D(image_shape[2], 3, padding="same"))
    decoder.build((None, *encoder.output_shape[1:]))
    return encoder, decoder


# %% q1 3 of 4: a ReLU behind the last layers
# says: never gives a number below zero
right_build = build


def build(*arguments):
    models = right_build(*arguments)
    for model in models:
        model.layers[-1].activation = keras.activations.relu
    return models


# %% q1 3 of 4: a sigmoid behind the last layer, as for pixels from 0 to 1
# says: The decoder never gives a number below zero.
right_build = build


def build(*arguments):
    models = right_build(*arguments)
    models[1].layers[-1].activation = keras.activations.sigmoid
    return models


# %% q1 3 of 4: tanh in place of ReLU
# says: mirror each other
right_build = build


def build(*arguments):
    models = right_build(*arguments)
    for layer in models[0].layers[:-1] + models[1].layers[:-1]:
        layer.activation = keras.activations.tanh
    return models


# %% q1 3 of 4: tanh behind the last layer, as for pixels from -1 to 1
# says: The decoder gives no large numbers. Which of its activations cannot?
right_build = build


def build(*arguments):
    models = right_build(*arguments)
    models[1].layers[-1].activation = keras.activations.tanh
    return models


# %% q1 3 of 4: no activation at all
# says: encoder(x) and encoder(-x) mirror each other.
right_build = build


def build(*arguments):
    models = right_build(*arguments)
    for layer in models[0].layers + models[1].layers:
        layer.activation = keras.activations.linear
    return models


# %% q1 3 of 4: no padding
# says: How is the image padded?
def build(image_shape, filters, embedding_dim):
    encoder = keras.Sequential([keras.Input(image_shape)])
    for channels in filters:
        encoder.add(keras.layers.Conv2D(channels, 4, strides=2, activation="relu"))
    encoder.add(keras.layers.Conv2D(embedding_dim, 1))
    decoder = keras.Sequential([keras.Input(encoder.output_shape[1:])])
    for channels in reversed(filters):
        decoder.add(keras.layers.Conv2DTranspose(channels, 4, strides=2, activation="relu"))
    decoder.add(keras.layers.Conv2D(image_shape[2], 3, padding="same"))
    return encoder, decoder


# %% q1 3 of 4: a larger image, a larger encoder
# says: What of that depends on its size?
my_parameters[2] = 4 * my_parameters[0]

# %% q1 3 of 4: a grid of fractions
# says: The pair my_grid should be whole numbers
my_grid = [size / 8 for size in my_shape[:2]]


# %% q2 3 of 3: loops, and what certain positions leave out
def kl_bits(q, prior):
    total = 0
    for row in q:
        for position in row:
            for share, expected in zip(position, prior, strict=True):
                if share:
                    total += share * np.log2(share / expected)
    return total


# %% q2 3 of 3: cross-entropy less entropy, in nats, then in bits
def kl_bits(q, prior):
    q, prior = ops.cast(q, "float32"), ops.cast(prior, "float32")
    cross_entropy = -ops.sum(ops.matmul(q, ops.log(prior)[:, None]))
    entropy = -ops.sum(q * ops.log(ops.where(q > 0, q, 1.0)))
    return (cross_entropy - entropy) / ops.log(2.0)


# %% q2 1 of 3: nats called bits
# says: Those are nats.
def kl_bits(q, prior):
    return np.sum(q * np.log(np.where(q > 0, q, 1) / prior))


# %% q2 1 of 3: a mean over positions
# says: Every position is paid for.
def kl_bits(q, prior):
    return np.mean(np.sum(q * np.log2(np.where(q > 0, q, 1) / prior), axis=-1))


# %% q2 2 of 3: one row of the grid
# says: uniform prior is not right yet
def kl_bits(q, prior):
    return np.sum(q[0] * np.log2(np.where(q[0] > 0, q[0], 1) / prior))


# %% q2 1 of 3: the entropy is forgotten, as for an encoder without doubts
# says: Where is the encoder's own entropy?
def kl_bits(q, prior):
    return -np.sum(q * np.log2(prior))


# %% q2 1 of 3: always the uniform prior
# says: Where is the one that is given?
def kl_bits(q, prior):
    return np.sum(q * np.log2(np.where(q > 0, q, 1) * len(prior)))


# %% q2 1 of 3: the other divergence
# says: Which of the two weighs the logarithm?
def kl_bits(q, prior):
    with np.errstate(divide="ignore"):
        return np.sum(prior * np.log2(prior / q))


# %% q2 1 of 3: zero times minus infinity
# says: Zero times the logarithm of zero
def kl_bits(q, prior):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum(q * np.log2(q / prior))


# %% q2 2 of 3: the KL term taken for a constant, whatever the prior
# says: What does the prior weigh in the third case?
changes = [changes[0], changes[1], 0.0]

# %% q2 2 of 3: from after to before
# says: from `before` to `after`, or the other way?
changes = [-change for change in changes]

# %% q2 2 of 3: changes in nats
# says: These are nats.
changes = np.array(changes) * np.log(2)


# %% q3 4 of 4: TensorFlow, codes found in a loop, codewords by one-hot
import tensorflow as tf


def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = tf.linalg.matmul(x, encoder)
    codes = [min(range(len(codebook)), key=lambda k: float(tf.norm(v - codebook[k]))) for v in z]
    e = tf.one_hot(codes, len(codebook)) @ codebook
    painted = (z - tf.stop_gradient(z) + tf.stop_gradient(e)) @ decoder
    losses = [tf.reduce_mean(tf.math.squared_difference(painted, x)) / variance]
    losses += [tf.keras.losses.MSE(tf.reshape(tf.stop_gradient(z), [-1]), tf.reshape(e, [-1]))]
    losses += [beta * tf.reduce_sum(tf.square(z - tf.stop_gradient(e))) / float(tf.size(z))]
    return tf.stack(losses)


# %% q3 4 of 4: the quantizer that comes with vqlib, on the codebook that is given
def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = x @ ops.convert_to_tensor(encoder)
    z_q = ops.take(codebook, vqlib.quantizers.nearest_codes(z, codebook), axis=0)
    x_hat = vqlib.quantizers.straight_through(z, z_q) @ ops.convert_to_tensor(decoder)
    mse = [ops.mean(ops.square(gap)) for gap in (x_hat - x, ops.stop_gradient(z) - z_q, z - ops.stop_gradient(z_q))]
    return mse[0] / variance, mse[1], beta * mse[2]


# %% q3 2 of 4: missing stop_gradient in the last two terms
# says: It should not move the encoder.
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    reconstruction = right_terms(x, encoder, codebook, decoder, beta, variance)[0]
    z = ops.matmul(x, encoder)
    codes = ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)
    loss = ops.mean((z - ops.take(codebook, codes, axis=0)) ** 2)
    return reconstruction, loss, beta * loss


# %% q3 2 of 4: stop_gradient on the wrong side of the last two terms
# says: It should not move the encoder.
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    reconstruction, codebook_loss, commitment_loss = right_terms(x, encoder, codebook, decoder, beta, variance)
    return reconstruction, commitment_loss / beta, codebook_loss * beta


# %% q3 2 of 4: missing stop_gradient in the commitment loss alone
# says: commitment loss on the codebook is not right yet. It should not move the codebook.
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    reconstruction, codebook_loss, commitment_loss = right_terms(x, encoder, codebook, decoder, beta, variance)
    return reconstruction, codebook_loss, (beta * codebook_loss + commitment_loss) / 2


# %% q3 2 of 4: missing stop_gradient before the decoder: no estimator
# says: what carries it past the choice of a code?
def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = ops.matmul(x, encoder)
    z_q = ops.take(codebook, ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1), axis=0)
    loss = ops.mean((x - ops.matmul(z_q, decoder)) ** 2) / variance
    codebook_loss = ops.mean((ops.stop_gradient(z) - z_q) ** 2)
    return loss, codebook_loss, beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2)


# %% q3 2 of 4: the estimator with its stop on the wrong side
# says: Which part of the sum has the stop?
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = ops.matmul(x, encoder)
    z_q = ops.take(codebook, ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1), axis=0)
    x_hat = ops.matmul(ops.stop_gradient(z) + (z_q - z), decoder)
    return ops.mean((x - x_hat) ** 2) / variance, *right_terms(x, encoder, codebook, decoder, beta, variance)[1:]


# %% q3 2 of 4: right numbers by NumPy, which no gradient passes
# says: None arrives
def three_terms(x, encoder, codebook, decoder, beta, variance):
    x, encoder, codebook, decoder = (np.asarray(part) for part in (x, encoder, codebook, decoder))
    z = x @ encoder
    z_q = codebook[np.argmin(np.sum((z[:, None] - codebook) ** 2, axis=2), axis=1)]
    gap = np.mean((z - z_q) ** 2)
    return np.mean((x - z_q @ decoder) ** 2) / variance, gap, beta * gap


# %% q3 2 of 4: beta on the codebook term
# says: beta is on the codebook loss.
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    reconstruction, codebook_loss, commitment_loss = right_terms(x, encoder, codebook, decoder, beta, variance)
    return reconstruction, beta * codebook_loss, commitment_loss / beta


# %% q3 2 of 4: the variance of the data is forgotten
# says: Where is the variance of the data?
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    return right_terms(x, encoder, codebook, decoder, beta, 1.0)


# %% q3 2 of 4: the variance of the batch
# says: not that of a batch
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    return right_terms(x, encoder, codebook, decoder, beta, ops.var(x))


# %% q3 2 of 4: the standard deviation in place of the variance
# says: not its square root
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    return right_terms(x, encoder, codebook, decoder, beta, variance**0.5)


# %% q3 2 of 4: the variance under the whole loss
# says: The variance divides the first term alone.
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    return [loss / variance for loss in right_terms(x, encoder, codebook, decoder, beta, 1.0)]


# %% q3 2 of 4: sums over the entries of a vector, means over vectors
# says: over the entries, or over the vectors?
right_terms = three_terms


def three_terms(x, encoder, codebook, decoder, beta, variance):
    first, second, third = right_terms(x, encoder, codebook, decoder, beta, variance)
    return first * x.shape[1], second * codebook.shape[1], third * codebook.shape[1]


# %% q3 0 of 4: argmin over the wrong axis
# says: one code for each vector
def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = ops.matmul(x, encoder)
    z_q = ops.take(codebook, ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=0), axis=0)
    x_hat = ops.matmul(z + ops.stop_gradient(z_q - z), decoder)
    codebook_loss = ops.mean((ops.stop_gradient(z) - z_q) ** 2)
    return ops.mean((x - x_hat) ** 2) / variance, codebook_loss, beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2)


# %% q3 1 of 4: distance without its square
# says: Is each difference squared before the sum?
def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = ops.matmul(x, encoder)
    z_q = ops.take(codebook, ops.argmin(ops.sum(ops.abs(z[:, None] - codebook), axis=2), axis=1), axis=0)
    x_hat = ops.matmul(z + ops.stop_gradient(z_q - z), decoder)
    codebook_loss = ops.mean((ops.stop_gradient(z) - z_q) ** 2)
    return ops.mean((x - x_hat) ** 2) / variance, codebook_loss, beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2)


# %% q3 0 of 4: codes as floats
# says: three_terms stopped with
def three_terms(x, encoder, codebook, decoder, beta, variance):
    z = ops.matmul(x, encoder)
    codes = ops.cast(ops.argmin(ops.sum((z[:, None] - codebook) ** 2, axis=2), axis=1), "float32")
    z_q = np.asarray(codebook)[np.asarray(codes)]
    x_hat = ops.matmul(z + ops.stop_gradient(z_q - z), decoder)
    codebook_loss = ops.mean((ops.stop_gradient(z) - z_q) ** 2)
    return ops.mean((x - x_hat) ** 2) / variance, codebook_loss, beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2)


# %% q4 3 of 3: everything put together, codes counted by a dict
def judge(batches, num_embeddings, variance):
    x, x_hat, codes = (np.concatenate(part) for part in zip(*batches, strict=True))
    counts = {}
    for code in codes.ravel():
        counts[int(code)] = counts.get(int(code), 0) + 1
    entropy = sum(-n / codes.size * np.log2(n / codes.size) for n in counts.values())
    return [((x - x_hat) ** 2).mean() / variance, len(counts), 2**entropy]


# %% q4 3 of 3: Keras operations
def judge(batches, num_embeddings, variance):
    x, x_hat, codes = (ops.concatenate(part, axis=0) for part in zip(*batches, strict=True))
    p = ops.mean(ops.one_hot(ops.reshape(codes, (-1,)), num_embeddings), axis=0)
    entropy = -ops.sum(p * ops.log(p + 1e-12))
    return ops.mean(ops.square(x - x_hat)) / variance, ops.count_nonzero(p), ops.exp(entropy)


# %% q4 1 of 3: a mean over batches
# says: a mean over batches gives its images too much weight
right_judge = judge


def judge(batches, num_embeddings, variance):
    return np.mean([right_judge([batch], num_embeddings, variance) for batch in batches], axis=0)


# %% q4 1 of 3: perplexity in the wrong base, e to the bits
# says: e to the entropy in bits mixes two bases.
right_judge = judge


def judge(batches, num_embeddings, variance):
    loss, used, perplexity = right_judge(batches, num_embeddings, variance)
    return loss, used, np.exp(np.log2(perplexity))


# %% q4 1 of 3: perplexity in the wrong base, 2 to the nats
# says: 2 to the entropy in nats mixes two bases.
right_judge = judge


def judge(batches, num_embeddings, variance):
    loss, used, perplexity = right_judge(batches, num_embeddings, variance)
    return loss, used, 2 ** np.log(perplexity)


# %% q4 1 of 3: the entropy in nats called bits, and perplexity
# says: That is the entropy.
right_judge = judge


def judge(batches, num_embeddings, variance):
    loss, used, perplexity = right_judge(batches, num_embeddings, variance)
    return loss, used, np.log(perplexity)


# %% q4 1 of 3: the variance of the data is forgotten
# says: Where is the variance of the data?
right_judge = judge


def judge(batches, num_embeddings, variance):
    return right_judge(batches, num_embeddings, 1)


# %% q4 2 of 3: a sum over channels
# says: those of every channel
right_judge = judge


def judge(batches, num_embeddings, variance):
    loss, used, perplexity = right_judge(batches, num_embeddings, variance)
    return loss * batches[0][0].shape[-1], used, perplexity


# %% q4 2 of 3: the highest code, for the number of codes
# says: number of codes in use of batches of
right_judge = judge


def judge(batches, num_embeddings, variance):
    loss, _, perplexity = right_judge(batches, num_embeddings, variance)
    return loss, 1 + max(int(np.max(codes)) for _, _, codes in batches), perplexity


# %% q4 1 of 3: codes in use of each batch, added up
# says: A code that occurs in both batches is one code.
right_judge = judge


def judge(batches, num_embeddings, variance):
    loss, _, perplexity = right_judge(batches, num_embeddings, variance)
    return loss, sum(len(np.unique(codes)) for _, _, codes in batches), perplexity


# %% q4 1 of 3: codes as floats
# says: judge stopped with
right_judge = judge


def judge(batches, num_embeddings, variance):
    codes = np.concatenate([codes.ravel() for _, _, codes in batches]).astype("float32")
    p = np.bincount(codes, minlength=num_embeddings) / codes.size
    return *right_judge(batches, num_embeddings, variance)[:2], np.exp(-np.sum(p * np.log(p + 1e-12)))


# %% q4 2 of 3: the perplexity of all, twice
# says: That is the perplexity of all batches together.
batch_mean = my_judgement[2]

# %% q4 2 of 3: the mean over batches, twice
# says: Is that the mean over the batches?
my_judgement = (*my_judgement[:2], batch_mean)


# %% q5 3 of 3: loops, and a diagnosis that counts codes in use
def symptoms(record):
    start, end, z = (np.asarray(record[name]) for name in ("start", "end", "z"))
    moved = sum(list(a) != list(b) for a, b in zip(start, end, strict=True)) / len(end)
    codes, total = set(), 0.0
    for vector in z:
        distances = ((end - vector) ** 2).mean(axis=1)
        codes.add(int(distances.argmin()))
        total += distances.min()
    spread = ((z - z.mean(axis=0)) ** 2).mean()
    return np.array([moved, len(codes) / len(end), total / len(z) / spread])


def diagnose(record):
    moved, _, relative_error = symptoms(record)
    if moved < 0.5:
        return "collapsed" if moved else "frozen"
    return "healthy" if relative_error < 0.4 else "runaway"


# %% q5 2 of 3: the codebook before training
# says: The codebook is that at the end of training.
right_symptoms = symptoms


def symptoms(record):
    moved = right_symptoms(record)[0]
    return [moved, *right_symptoms({**record, "end": record["start"]})[1:]]


# %% q5 2 of 3: entries that moved, not codewords
# says: A codeword has moved if any of its entries has
right_symptoms = symptoms


def symptoms(record):
    return [np.mean(record["start"] != record["end"]), *right_symptoms(record)[1:]]


# %% q5 2 of 3: the loss as it is, without the spread
# says: Where is the spread?
right_symptoms = symptoms


def symptoms(record):
    moved, in_use, relative_error = right_symptoms(record)
    return [moved, in_use, relative_error * np.mean(np.var(record["z"], axis=0))]


# %% q5 2 of 3: the length of z in place of its variance
# says: it is around the mean of z
right_symptoms = symptoms


def symptoms(record):
    moved, in_use, relative_error = right_symptoms(record)
    return [moved, in_use, relative_error * np.mean(np.var(record["z"], axis=0)) / np.mean(record["z"] ** 2)]


# %% q5 2 of 3: a distance in absolute numbers, which depends on the unit
# says: A healthy patient measured in large units is found to be 'runaway'
def diagnose(record):
    moved, _, relative_error = symptoms(record)
    if moved < 0.5:
        return "collapsed" if moved else "frozen"
    return "runaway" if relative_error * np.mean(np.var(record["z"], axis=0)) > 1 else "healthy"


# %% q5 2 of 3: frozen by its distance, not by its codebook
# says: A frozen patient whose codes are all in use
def diagnose(record):
    moved, _, relative_error = symptoms(record)
    if relative_error > 0.25:
        return "frozen" if moved == 0 else "runaway"
    return "healthy" if moved > 0.5 or moved == 0 else "collapsed"


# %% q5 1 of 3: a falling loss is called health
# says: Your collapsed patient is found to be 'healthy'
def diagnose(record):
    moved, _, relative_error = symptoms(record)
    if moved == 0:
        return "frozen"
    return "runaway" if relative_error > 0.5 else "healthy"


# %% q5 3 of 3: by the codes in use
def diagnose(record):
    moved, in_use, relative_error = symptoms(record)
    if not moved:
        return "frozen"
    if relative_error > 0.6:
        return "runaway"
    return "collapsed" if in_use < 0.4 else "healthy"

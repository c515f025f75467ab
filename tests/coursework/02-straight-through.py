# Answers to assignment 2 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: E402, F811, F821

# %% q1 3 of 3: a loop
def unmoved(z, codebook, push):
    answer = []
    for vector in z:
        first, second = (
            min(range(len(codebook)), key=lambda k: sum((v - codebook[k]) ** 2)) for v in (vector, vector + push)
        )
        answer.append(first == second)
    return answer


# %% q1 3 of 3: Keras operations, the square expanded
def unmoved(z, codebook, push):
    codebook = ops.cast(codebook, "float32")
    codes = [
        ops.argmin(
            ops.sum(codebook**2, axis=1) - 2 * ops.matmul(ops.cast(v, "float32"), ops.transpose(codebook)), axis=1
        )
        for v in (z, z + push)
    ]
    return ops.equal(*codes)


# %% q1 1 of 3: the vectors are compared, not their codewords
# says: the vector itself moves
def unmoved(z, codebook, push):
    return np.all(z == z + push, axis=1)


# %% q1 1 of 3: the other way round
# says: other way round
def unmoved(z, codebook, push):
    codes = [np.argmin(np.sum((v[:, None] - codebook) ** 2, axis=2), axis=1) for v in (z, z + push)]
    return codes[0] != codes[1]


# %% q1 1 of 3: argmin over the wrong axis
# says: minimum runs over the codewords
def unmoved(z, codebook, push):
    codes = [np.argmin(np.sum((v[:, None] - codebook) ** 2, axis=2), axis=0) for v in (z, z + push)]
    return codes[0] == codes[1]


# %% q1 2 of 3: distance without its square
# says: entries differ
def unmoved(z, codebook, push):
    codes = [np.argmin(np.sum(np.abs(v[:, None] - codebook), axis=2), axis=1) for v in (z, z + push)]
    return codes[0] == codes[1]


# %% q1 2 of 3: the shares that change
# says: lose their codeword
shares = [1 - share for share in shares]


# %% q2 4 of 4: two terms, each with the gradient of one
def shared_gradient(z, z_q, alpha):
    still = ops.stop_gradient(z_q)
    return still + alpha * (z - ops.stop_gradient(z)) + (1 - alpha) * (z_q - still)


# %% q2 4 of 4: a gradient written by hand
import tensorflow as tf


def shared_gradient(z, z_q, alpha):
    @tf.custom_gradient
    def forward(z, z_q):
        return tf.identity(z_q), lambda g: (alpha * g, (1 - alpha) * g)

    return forward(tf.convert_to_tensor(z), tf.convert_to_tensor(z_q))


# %% q2 1 of 4: missing stop_gradient
# says: No gradient arrives at z
def shared_gradient(z, z_q, alpha):
    return z + (z_q - z)


# %% q2 1 of 4: stop_gradient on the wrong side
# says: wrong sign
def shared_gradient(z, z_q, alpha):
    return ops.stop_gradient(z) + (z_q - z)


# %% q2 2 of 4: equation 2.1, whatever alpha is
# says: Where is alpha?
def shared_gradient(z, z_q, alpha):
    return z + ops.stop_gradient(z_q - z)


# %% q2 0 of 4: a mixture of values
# says: It sees z
def shared_gradient(z, z_q, alpha):
    return alpha * z + (1 - alpha) * z_q


# %% q2 1 of 4: the shares are swapped
# says: No gradient arrives at z
def shared_gradient(z, z_q, alpha):
    mixed = alpha * z_q + (1 - alpha) * z
    return mixed + ops.stop_gradient(z_q - mixed)


# %% q3 4 of 4: the vectors that count are picked out, and TensorFlow stops the gradient
import tensorflow as tf


def masked_losses(z, e, mask, beta):
    z, e = (tf.boolean_mask(values, tf.cast(mask, "bool")) for values in (z, e))
    both = [tf.reduce_mean(tf.square(tf.stop_gradient(z) - e)), tf.reduce_mean(tf.square(z - tf.stop_gradient(e)))]
    return tf.stack([both[0], beta * both[1]])


# %% q3 2 of 4: beta on the codebook term
# says: beta is on the codebook loss
def masked_losses(z, e, mask, beta):
    count = ops.sum(mask) * z.shape[1]
    first = ops.sum(mask[:, None] * (ops.stop_gradient(z) - e) ** 2) / count
    second = ops.sum(mask[:, None] * (z - ops.stop_gradient(e)) ** 2) / count
    return beta * first, second


# %% q3 2 of 4: missing stop_gradient
# says: should not move z
def masked_losses(z, e, mask, beta):
    loss = ops.sum(mask[:, None] * (z - e) ** 2) / (ops.sum(mask) * z.shape[1])
    return loss, beta * loss


# %% q3 2 of 4: stop_gradient on the wrong side
# says: should not move z
def masked_losses(z, e, mask, beta):
    count = ops.sum(mask) * z.shape[1]
    first = ops.sum(mask[:, None] * (z - ops.stop_gradient(e)) ** 2) / count
    second = ops.sum(mask[:, None] * (ops.stop_gradient(z) - e) ** 2) / count
    return first, beta * second


# %% q3 2 of 4: missing stop_gradient in the commitment loss alone
# says: should not move the codewords
def masked_losses(z, e, mask, beta):
    count = ops.sum(mask) * z.shape[1]
    first = ops.sum(mask[:, None] * (ops.stop_gradient(z) - e) ** 2) / count
    return first, beta * ops.sum(mask[:, None] * (z - e) ** 2) / count


# %% q3 2 of 4: a mean over the padding, too
# says: over the padding
def masked_losses(z, e, mask, beta):
    first = ops.mean(mask[:, None] * (ops.stop_gradient(z) - e) ** 2)
    return first, beta * ops.mean(mask[:, None] * (z - ops.stop_gradient(e)) ** 2)


# %% q4 3 of 3: by the ratio of single entries
def diagnose(z, e, gradient_z, gradient_e, beta):
    n = np.argmax(np.abs(z - e))
    unit = (2 * (z - e) / z.size).ravel()[n]
    pulls = (gradient_z.ravel()[n] / unit, -gradient_e.ravel()[n] / unit)
    if np.allclose(pulls, (beta, 1), rtol=1e-3):
        return "right"
    if np.allclose(pulls, (1, beta), rtol=1e-3):
        return "beta"
    return "codebook" if np.isclose(pulls[1], 1, rtol=1e-3) else "commitment"


# %% q4 1 of 3: the two missing stops are mixed up
# says: is found to be
reference = diagnose


def diagnose(z, e, gradient_z, gradient_e, beta):
    answer = reference(z, e, gradient_z, gradient_e, beta)
    return {"codebook": "commitment", "commitment": "codebook"}.get(answer, answer)


# %% q4 0 of 3: always right
# says: How hard does each loss pull
def diagnose(z, e, gradient_z, gradient_e, beta):
    return "right"


# %% q4 1 of 3: which of the two is pulled harder
# says: is found to be
def diagnose(z, e, gradient_z, gradient_e, beta):
    return "right" if np.abs(gradient_z).sum() < np.abs(gradient_e).sum() else "beta"


# %% q5 3 of 3: TensorFlow, with the largest found by comparison
import tensorflow as tf


def hard_gumbel(logits, noise, temperature):
    disturbed = logits + noise
    hard = tf.cast(disturbed == tf.reduce_max(disturbed, axis=1, keepdims=True), "float32")
    soft = tf.nn.softmax(disturbed / temperature)
    return tf.stop_gradient(hard) - tf.stop_gradient(soft) + soft


# %% q5 1 of 3: no gradient
# says: No gradient arrives
def hard_gumbel(logits, noise, temperature):
    return ops.one_hot(ops.argmax(logits + noise, axis=-1), logits.shape[-1], dtype="float32")


# %% q5 0 of 3: missing stop_gradient, the soft choices alone
# says: Forward, they are hard
def hard_gumbel(logits, noise, temperature):
    return ops.softmax((logits + noise) / temperature, axis=-1)


# %% q5 1 of 3: stop_gradient on the wrong side
# says: wrong sign
def hard_gumbel(logits, noise, temperature):
    soft = ops.softmax((logits + noise) / temperature, axis=-1)
    hard = ops.one_hot(ops.argmax(soft, axis=-1), logits.shape[-1], dtype="float32")
    return ops.stop_gradient(soft) + (hard - soft)


# %% q5 0 of 3: no noise
# says: Is the noise in it
def hard_gumbel(logits, noise, temperature):
    soft = ops.softmax(logits / temperature, axis=-1)
    hard = ops.one_hot(ops.argmax(soft, axis=-1), logits.shape[-1], dtype="float32")
    return soft + ops.stop_gradient(hard - soft)


# %% q5 1 of 3: the temperature is forgotten
# says: divide by the temperature
def hard_gumbel(logits, noise, temperature):
    soft = ops.softmax(logits + noise, axis=-1)
    hard = ops.one_hot(ops.argmax(soft, axis=-1), logits.shape[-1], dtype="float32")
    return soft + ops.stop_gradient(hard - soft)


# %% q5 0 of 3: argmax over the wrong axis
# says: not of each column
def hard_gumbel(logits, noise, temperature):
    soft = ops.softmax((logits + noise) / temperature, axis=-1)
    hard = ops.transpose(ops.one_hot(ops.argmax(soft, axis=0), soft.shape[0], dtype="float32"))
    return soft + ops.stop_gradient(hard - soft)

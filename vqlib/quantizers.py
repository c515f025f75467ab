"""Quantizers: vectors to the nearest entries of a codebook, and the gradient past the choice."""

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import check_code_type, check_codes, check_positive_integer, check_vectors, is_array
from vqlib.metrics import CodesUsed, Perplexity

ROWS_PER_SEARCH = 65_536  # bounds the matrix of distances: 32 MiB at K = 128


def nearest_codes(vectors, codebook):
    """Return the index of the nearest codebook entry for each vector, by squared Euclidean distance.

    The square is expanded, ``|z|² + |e|² - 2 z·e``, and ``|z|²`` left out, because it is the same for every entry.
    The arithmetic is float32 whatever comes in: bfloat16 keeps 8 bits, too few to tell near entries apart. On recent
    GPUs TensorFlow multiplies float32 matrices in TensorFloat-32, with 11 bits, so a code close to a border may differ
    from the CPU's; ``tf.config.experimental.enable_tensor_float_32_execution(False)`` makes them equal.

    Parameters
    ----------
    vectors : float tensor, shape (N, D)
    codebook : float tensor, shape (K, D)

    Returns
    -------
    codes : int32 tensor, shape (N,), in 0..K - 1; of equally near entries the first
    """
    vectors, codebook = ops.cast(vectors, "float32"), ops.cast(codebook, "float32")
    half_norms = 0.5 * ops.sum(codebook**2, axis=1)  # (K,)

    def search(rows):
        return ops.cast(ops.argmin(half_norms - ops.matmul(rows, ops.transpose(codebook)), axis=1), "int32")

    total = vectors.shape[0]
    if not isinstance(total, int) or total <= ROWS_PER_SEARCH:  # not yet known: None, or a symbol on JAX
        return search(vectors)
    return ops.concatenate([search(vectors[i : i + ROWS_PER_SEARCH]) for i in range(0, total, ROWS_PER_SEARCH)])


def straight_through(z, z_q):
    """Return `z_q`, with the gradient of `z`: both (..., D). Bengio, Léonard and Courville (2013)."""
    return z + ops.stop_gradient(z_q - z)


def rotation_trick(z, z_q):
    """Return `z_q`, with the gradient of the rotation and scaling that take `z` there: both (..., D).

    Fifty et al. (2024, "Restructuring vector quantization with the rotation trick"), section 4.2. The angle between a
    gradient and its vector is the same at `z` as at `z_q`. A vector of length zero has no direction: it passes no
    gradient.
    """

    def dot(a, b):
        return ops.sum(a * b, axis=-1, keepdims=True)

    def normalized(x):
        return x / ops.maximum(ops.sqrt(dot(x, x)), 1e-12)

    fixed = ops.stop_gradient(z)
    z_hat, z_q_hat = normalized(fixed), normalized(ops.stop_gradient(z_q))
    r = normalized(z_hat + z_q_hat)
    scale = ops.sqrt(dot(z_q, z_q) / ops.maximum(dot(fixed, fixed), 1e-24))
    rotated = ops.stop_gradient(scale) * (z - 2 * r * dot(r, z) + 2 * ops.stop_gradient(z_q_hat) * dot(z_hat, z))
    return rotated + ops.stop_gradient(z_q - rotated)


ESTIMATORS = {"straight_through": straight_through, "rotation": rotation_trick}


class Quantizer(keras.layers.Layer):
    """What all quantizers share: K codes for vectors of D entries, and metrics of their use.

    A subclass gives ``_search``, (N, D) -> (N,) int32, ``_look_up``, (...) int32 -> (..., D), and ``call``, which
    hands the codes to ``_measure``.
    """

    def __init__(self, num_embeddings, embedding_dim, **kwargs):
        kwargs["autocast"] = False  # the search needs float32, also under a mixed-precision policy
        super().__init__(**kwargs)
        check_positive_integer("num_embeddings", num_embeddings)
        check_positive_integer("embedding_dim", embedding_dim)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.perplexity = Perplexity(num_embeddings)
        self.codes_used = CodesUsed(num_embeddings)

    def build(self, input_shape):
        """Check the shape; the weights exist from the start."""
        if tuple(input_shape[-1:]) != (self.embedding_dim,):
            raise ValueError(
                f"The last axis of z must have embedding_dim={self.embedding_dim} entries, "
                f"but z has shape {tuple(input_shape)}. Channels come last: (batch, height, width, embedding_dim)."
            )

    def encode(self, z):
        """Return the code of each vector: (..., D) float -> (...) int32."""
        z = ops.convert_to_tensor(z)
        check_vectors(z, self.embedding_dim)
        codes = self._search(ops.cast(ops.reshape(z, (-1, self.embedding_dim)), "float32"))
        return ops.reshape(codes, ops.shape(z)[:-1])

    def decode(self, codes):
        """Return the vectors that `codes` stand for: (...) int32 -> (..., D) float32."""
        check_code_type(codes)
        if is_array(codes):
            codes = check_codes(codes, self.num_embeddings)
        return self._look_up(codes)

    def finish_call(self):
        """Do what the last call had to leave over; a model's ``compute_loss`` does it, as :class:`vqlib.VQVAE`'s.

        On JAX, metrics cannot change in the call that ``fit`` or ``evaluate`` makes: Keras hands them to
        ``compute_loss`` alone. On several replicas of ``tf.distribute``, moving averages cannot: Keras mixes up the
        losses of replicas that wait for each other between ``add_loss`` and ``compute_loss``.
        """
        for work, arguments in vars(self).pop("_left_over", ()):
            work(*arguments)

    def _do(self, work, *arguments, now):
        """Do a part of a call, now or in :meth:`finish_call`."""
        if now:
            work(*arguments)
        else:
            vars(self)["_left_over"].append((work, arguments))

    def _measure(self, codes, **losses):
        """Update the metrics with the codes of a call, and its losses by the names of their metrics."""
        vars(self)["_left_over"] = []  # past Keras, which would track it
        self._do(self._update_metrics, codes, losses, now=not backend.is_stateless())

    def _update_metrics(self, codes, losses):
        for name, loss in losses.items():
            getattr(self, name).update_state(loss, sample_weight=ops.size(codes))  # a smaller last batch weighs less
        self.perplexity.update_state(codes)
        self.codes_used.update_state(codes)


@keras.saving.register_keras_serializable("vqlib")
class VectorQuantizer(Quantizer):
    """Replace each vector by the nearest entry of a codebook that a loss moves.

    Van den Oord, Vinyals and Kavukcuoglu (2017, "Neural discrete representation learning"), equations 1 and 2.

    The output carries the decoder's gradient straight through to the input, as if nothing had happened. Calling the
    layer adds the last two terms of the paper's equation 3 to the losses of the model, each a mean over all elements:
    ``codebook_loss``, mean((sg[z] - e)²), which moves only codebook entries, and ``commitment_loss``,
    beta * mean((z - sg[e])²), which moves only z. Both appear as metrics, with ``perplexity`` and ``codes_used``,
    over all the vectors seen since the metrics were reset.

    For z of shape (32, 7, 7, 16), 32 x 49 vectors of D = 16 entries are quantized, each on its own.

    Parameters
    ----------
    num_embeddings : int
        K, the number of codebook entries.
    embedding_dim : int
        D, the length of each.
    beta : float, at least 0
        Weight of the commitment loss. The paper uses 0.25, and found no change from 0.1 to 2.0.
    codebook_initializer : str or keras.initializers.Initializer
        Where the codebook starts; ``"uniform"`` is Keras's, in [-0.05, 0.05]. See also :meth:`initialize`.
    estimator : "straight_through" or "rotation"
        What gradient the input gets, see :func:`straight_through` and :func:`rotation_trick`.

    Raises
    ------
    ValueError
        If K or D is below 1, beta negative, the estimator unknown, or the last axis of an input is not D.
    TypeError
        If an input is not floating point, or codes are not integers.
    """

    moved_by_loss = True  # the codebook, rather than by other means

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        beta=0.25,
        codebook_initializer="uniform",
        estimator="straight_through",
        **kwargs,
    ):
        super().__init__(num_embeddings, embedding_dim, **kwargs)
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0, but {beta!r} was given. The paper uses 0.25.")
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, but {estimator!r} was given.")
        self.beta = beta
        self.codebook_initializer = keras.initializers.get(codebook_initializer)
        self.estimator = estimator
        self.codebook = self.add_weight(
            shape=(num_embeddings, embedding_dim),
            initializer=self.codebook_initializer,
            trainable=self.moved_by_loss,
            dtype="float32",
            autocast=False,
            aggregation="none" if self.moved_by_loss else "only_first_replica",
            name="codebook",
        )
        self.codebook_loss = keras.metrics.Mean(name="codebook_loss")
        self.commitment_loss = keras.metrics.Mean(name="commitment_loss")

    def call(self, z, training=None):
        """Quantize: (..., D) -> (..., D), with the estimator's gradient; adds the losses."""
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        z = ops.cast(z, "float32")
        codes = self.encode(z)
        z_q = self._look_up(codes)
        codebook_loss = ops.mean((ops.stop_gradient(z) - z_q) ** 2)
        commitment_loss = self.beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2)
        self.add_loss(codebook_loss + commitment_loss if self.moved_by_loss else commitment_loss)
        self._measure(codes, codebook_loss=codebook_loss, commitment_loss=commitment_loss)
        if training and self.trainable and not self.moved_by_loss:
            self._do(self._move_codebook, ops.stop_gradient(z), codes, now=not backend.several_replicas())
        return ops.cast(ESTIMATORS[self.estimator](z, z_q), dtype)

    def initialize(self, vectors, method="kmeans", seed=0):
        """Let the codebook start where the data are.

        Parameters
        ----------
        vectors : float array, shape (..., D)
            At least K vectors; a few thousand to a few ten thousand of the encoder's outputs do.
        method : "kmeans" or "data"
            The k-means centres of the vectors (scikit-learn), or K of the vectors, drawn without replacement.
        seed : int
        """
        check_vectors(vectors, self.embedding_dim)
        vectors = np.reshape(ops.convert_to_numpy(vectors), (-1, self.embedding_dim)).astype("float32")
        if len(vectors) < self.num_embeddings:
            raise ValueError(
                f"{self.num_embeddings} codes need at least as many vectors to start from; {len(vectors)} were given."
            )
        if method == "kmeans":
            from sklearn.cluster import KMeans

            entries = KMeans(self.num_embeddings, n_init=1, random_state=seed).fit(vectors).cluster_centers_
        elif method == "data":
            entries = np.random.default_rng(seed).choice(vectors, self.num_embeddings, replace=False)
        else:
            raise ValueError(f'method must be "kmeans" or "data", but {method!r} was given.')
        self.codebook.assign(entries)

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "beta": self.beta,
            "codebook_initializer": keras.initializers.serialize(self.codebook_initializer),
            "estimator": self.estimator,
        }

    def _search(self, vectors):
        return nearest_codes(vectors, self.codebook)

    def _look_up(self, codes):
        # The reshape makes the gradient dense: of a sparse one with repeated rows, Keras's Adam squares each by itself.
        codebook = ops.reshape(self.codebook, self.codebook.shape)
        return ops.take(codebook, codes, axis=0)  # (..., D)


@keras.saving.register_keras_serializable("vqlib")
class EMAVectorQuantizer(VectorQuantizer):
    """A :class:`VectorQuantizer` whose entries are moving averages of the vectors that chose them.

    Van den Oord, Vinyals and Kavukcuoglu (2017), appendix A.1. In training, each call updates for every entry i the
    number N of vectors that chose it and their sum m, and sets the entry to their ratio::

        N[i] = decay * N[i] + (1 - decay) * n[i]
        m[i] = decay * m[i] + (1 - decay) * sum of the n[i] vectors z that chose i
        e[i] = m[i] / N[i]

    With N smoothed by `epsilon` (Laplace), so that nothing is divided by zero; it also draws an entry that nothing
    chooses to the origin, after about a thousand batches at the defaults. The averages replace the codebook loss: only
    the commitment loss is added. The metric ``codebook_loss`` is the squared distance all the same.

    With ``trainable = False`` nothing moves, as in Keras's BatchNormalization.

    An entry that hardly any vector chooses is dead. With `restart_below`, it is put on a random vector of the batch
    (Dhariwal et al. 2020, "Jukebox", section 3.1).

    Parameters
    ----------
    num_embeddings, embedding_dim, beta, codebook_initializer, estimator
        As in :class:`VectorQuantizer`.
    decay : float, in [0, 1)
        0.99 in the paper: an average over about the last 100 batches.
    epsilon : float, at least 0
        Added to every N, which are then scaled back to their sum. With 0, an entry whose N is 0 stays where it is.
    restart_below : float, at least 0
        An entry is dead when its N is below this fraction of the mean N. 0, the default, restarts none.
    seed : int, optional
        For the choice of the vectors that restart entries.

    Raises
    ------
    ValueError
        Also if decay, epsilon or restart_below is out of its range.
    """

    moved_by_loss = False

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        beta=0.25,
        codebook_initializer="uniform",
        estimator="straight_through",
        decay=0.99,
        epsilon=1e-5,
        restart_below=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(num_embeddings, embedding_dim, beta, codebook_initializer, estimator, **kwargs)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, but {decay!r} was given. The paper uses 0.99.")
        if not epsilon >= 0:
            raise ValueError(f"epsilon must be at least 0, but {epsilon!r} was given.")
        if not 0 <= restart_below < 1:
            raise ValueError(
                f"restart_below must be at least 0 and below 1, but {restart_below!r} was given. "
                "It is a fraction of the mean use: 0.02 restarts entries with under a fiftieth of it."
            )
        self.decay = decay
        self.epsilon = epsilon
        self.restart_below = restart_below
        self.seed = seed
        self.counts = self._add_state((num_embeddings,), "counts")  # N
        self.sums = self._add_state((num_embeddings, embedding_dim), "sums")  # m
        self._start_averages(np.ones(num_embeddings))
        if restart_below:
            generator = keras.random.SeedGenerator(seed)
            start = generator.state
            generator.state = self._add_state((2,), "seed_generator_state", start.dtype)  # Keras saves weights alone
            generator.state.assign(start)
            vars(self)["_seed_generator"] = generator  # past Keras, which would count its state twice

    def initialize(self, vectors, method="kmeans", seed=0):
        """Let codebook and averages start where the data are, see :meth:`VectorQuantizer.initialize`."""
        super().initialize(vectors, method, seed)
        used = np.bincount(np.ravel(ops.convert_to_numpy(self.encode(vectors))), minlength=self.num_embeddings)
        self._start_averages(np.maximum(used / used.mean(), 1 / self.num_embeddings))

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "decay": self.decay,
            "epsilon": self.epsilon,
            "restart_below": self.restart_below,
            "seed": self.seed,
        }

    def _add_state(self, shape, name, dtype="float32"):
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            trainable=False,
            dtype=dtype,
            autocast=False,
            aggregation="only_first_replica",
            name=name,
        )

    def _start_averages(self, counts):
        """Let an average over few vectors stand behind each entry, so that the first batches may move it."""
        self.counts.assign(counts)
        self.sums.assign(counts[:, None] * ops.convert_to_numpy(self.codebook))

    def _move_codebook(self, z, codes):
        """Update the averages with one batch, and the codebook from them."""
        z, codes = ops.reshape(z, (-1, self.embedding_dim)), ops.ravel(codes)  # (N, D), (N,)
        ones = ops.ones_like(codes, "float32")
        used = backend.sum_over_replicas(ops.segment_sum(ones, codes, self.num_embeddings))  # (K,)
        added = backend.sum_over_replicas(ops.segment_sum(z, codes, self.num_embeddings))  # (K, D)
        counts = self.decay * self.counts + (1 - self.decay) * used
        sums = self.decay * self.sums + (1 - self.decay) * added
        if self.restart_below:
            counts, sums = self._restart(counts, sums, z)
        total = ops.sum(counts)
        smoothed = (counts + self.epsilon) * total / (total + self.num_embeddings * self.epsilon)
        self.counts.assign(counts)
        self.sums.assign(sums)
        kept = smoothed[:, None] > 0  # without epsilon, an average over nothing is no place to move to
        self.codebook.assign(ops.where(kept, sums / smoothed[:, None], ops.convert_to_tensor(self.codebook)))

    def _restart(self, counts, sums, z):
        """Put dead entries on random vectors, with twice the use that would be too little."""
        least = self.restart_below * ops.mean(counts)
        places = keras.random.uniform((self.num_embeddings,), seed=self._seed_generator)  # in [0, 1)
        rows = ops.cast(places * ops.cast(ops.shape(z)[0], "float32"), "int32")
        vectors = backend.of_first_replica(ops.take(z, rows, axis=0))  # (K, D)
        alive = counts >= least
        return ops.where(alive, counts, 2 * least), ops.where(alive[:, None], sums, 2 * least * vectors)

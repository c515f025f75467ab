"""VectorQuantizer: vectors to the nearest entries of a learned codebook, and the gradient straight through."""

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


@keras.saving.register_keras_serializable("vqlib")
class VectorQuantizer(keras.layers.Layer):
    """Replace each vector by the nearest entry of a learned codebook.

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

    Raises
    ------
    ValueError
        If K or D is below 1, beta negative, or the last axis of an input is not D.
    TypeError
        If an input is not floating point, or codes are not integers.
    """

    def __init__(self, num_embeddings, embedding_dim, beta=0.25, codebook_initializer="uniform", **kwargs):
        kwargs["autocast"] = False  # the search needs float32, also under a mixed-precision policy
        super().__init__(**kwargs)
        check_positive_integer("num_embeddings", num_embeddings)
        check_positive_integer("embedding_dim", embedding_dim)
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0, but {beta!r} was given. The paper uses 0.25.")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.beta = beta
        self.codebook_initializer = keras.initializers.get(codebook_initializer)
        self.codebook = self.add_weight(
            shape=(num_embeddings, embedding_dim),
            initializer=self.codebook_initializer,
            dtype="float32",
            autocast=False,
            name="codebook",
        )
        self.codebook_loss = keras.metrics.Mean(name="codebook_loss")
        self.commitment_loss = keras.metrics.Mean(name="commitment_loss")
        self.perplexity = Perplexity(num_embeddings)
        self.codes_used = CodesUsed(num_embeddings)

    def build(self, input_shape):
        """Check the shape; the codebook exists from the start."""
        if tuple(input_shape[-1:]) != (self.embedding_dim,):
            raise ValueError(
                f"The last axis of z must have embedding_dim={self.embedding_dim} entries, "
                f"but z has shape {tuple(input_shape)}. Channels come last: (batch, height, width, embedding_dim)."
            )

    def call(self, z):
        """Quantize: (..., D) -> (..., D), with the straight-through gradient; adds the two losses."""
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        z = ops.cast(z, "float32")
        codes = self.encode(z)
        z_q = self._look_up(codes)
        self._add_losses(z, z_q, codes)
        return ops.cast(z + ops.stop_gradient(z_q - z), dtype)

    def encode(self, z):
        """Return the index of the nearest codebook entry: (..., D) float -> (...) int32."""
        z = ops.convert_to_tensor(z)
        check_vectors(z, self.embedding_dim)
        codes = nearest_codes(ops.reshape(z, (-1, self.embedding_dim)), self.codebook)
        return ops.reshape(codes, ops.shape(z)[:-1])

    def decode(self, codes):
        """Return the codebook entries that `codes` stand for: (...) int32 -> (..., D) float32."""
        check_code_type(codes)
        if is_array(codes):
            codes = check_codes(codes, self.num_embeddings)
        return self._look_up(codes)

    def initialize(self, vectors, seed=0):
        """Set the codebook to the k-means centres of `vectors` (scikit-learn), so that it starts where the data are.

        Parameters
        ----------
        vectors : float array, shape (..., D)
            At least K vectors; a few thousand to a few ten thousand of the encoder's outputs do.
        seed : int
        """
        from sklearn.cluster import KMeans

        check_vectors(vectors, self.embedding_dim)
        vectors = np.reshape(ops.convert_to_numpy(vectors), (-1, self.embedding_dim)).astype("float32")
        if len(vectors) < self.num_embeddings:
            raise ValueError(
                f"k-means for {self.num_embeddings} codes needs as many vectors; {len(vectors)} were given."
            )
        self.codebook.assign(KMeans(self.num_embeddings, n_init=1, random_state=seed).fit(vectors).cluster_centers_)

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "beta": self.beta,
            "codebook_initializer": keras.initializers.serialize(self.codebook_initializer),
        }

    def _look_up(self, codes):
        # The reshape makes the gradient dense: of a sparse one with repeated rows, Keras's Adam squares each by itself.
        codebook = ops.reshape(self.codebook, self.codebook.shape)
        return ops.take(codebook, codes, axis=0)  # (..., D)

    def _add_losses(self, z, z_q, codes):
        codebook_loss = ops.mean((ops.stop_gradient(z) - z_q) ** 2)
        commitment_loss = self.beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2)
        self.add_loss(codebook_loss + commitment_loss)
        vars(self)["_unmeasured"] = (codebook_loss, commitment_loss, codes)  # past Keras, which would track it
        if keras.backend.backend() != "jax" or backend.has_values(z):
            self.update_metrics()

    def update_metrics(self):
        """Update the metrics with the last call, unless it did so itself.

        On JAX it cannot while ``fit`` or ``evaluate`` traces it, since Keras hands metrics to the model's
        ``compute_loss`` alone, which has to call this; :class:`vqlib.VQVAE` does.
        """
        last_call = vars(self).pop("_unmeasured", None)
        if last_call is None:
            return
        codebook_loss, commitment_loss, codes = last_call
        vectors = ops.size(codes)  # so that a smaller last batch weighs less
        self.codebook_loss.update_state(codebook_loss, sample_weight=vectors)
        self.commitment_loss.update_state(commitment_loss, sample_weight=vectors)
        self.perplexity.update_state(codes)
        self.codes_used.update_state(codes)

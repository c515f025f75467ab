"""Quantizers: vectors to the nearest entries of a codebook, and the gradient past the choice."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib._checks import check_code_type, check_codes, check_positive_integer, check_vectors, is_array
from vqlib._progress import while_it_takes
from vqlib._types import Tensor

ROWS_PER_SEARCH = 65_536  # bounds the matrix of distances: 32 MiB at K = 128
VECTORS_TO_START_FROM = 200_000  # of more, the codebook's start takes a sample: k-means of them takes a minute
METHODS_OF_STARTING = ("kmeans", "data")


def nearest_codes(vectors: Tensor, codebook: Tensor, equally_long: bool = False) -> Tensor:
    """Return the index of the nearest codebook entry for each vector, by squared Euclidean distance.

    The square is expanded, ``|z|² + |e|² - 2 z·e``, and ``|z|²`` left out, because it is the same for every entry.
    The arithmetic is float32 whatever comes in: bfloat16 keeps 8 bits, too few to tell near entries apart. On recent
    GPUs TensorFlow multiplies float32 matrices in TensorFloat-32, with 11 bits, so a code close to a border may differ
    from the CPU's; ``tf.config.experimental.enable_tensor_float_32_execution(False)`` makes them equal.
    Where the vectors lie much farther from the origin than from each other, the expansion loses the digits that tell
    them apart: with a spread of 1 around 100 in D = 16, 0.8 % of the codes are wrong.

    Parameters
    ----------
    vectors : float tensor, shape (N, D)
    codebook : float tensor, shape (K, D)
    equally_long : bool
        Whether all entries have one length, so that only ``z·e`` need be compared. Otherwise the rounding of ``|e|²``
        would choose the code of a vector of zeros, to which all of them are equally near.

    Returns
    -------
    codes : int32 tensor, shape (N,), in 0..K - 1; of equally near entries the first
    """
    vectors = ops.cast(vectors, "float32")
    codebook = ops.cast(codebook, "float32")
    half_norms = 0.0 if equally_long else 0.5 * ops.sum(codebook**2, axis=1)  # (K,)

    def search(rows: Tensor) -> Tensor:
        return backend.argmin(half_norms - ops.matmul(rows, ops.transpose(codebook)))

    total = vectors.shape[0]
    if not isinstance(total, int) or total <= ROWS_PER_SEARCH:  # not yet known: None, or a symbol on JAX
        return search(vectors)
    return ops.concatenate([search(vectors[i : i + ROWS_PER_SEARCH]) for i in range(0, total, ROWS_PER_SEARCH)])


def on_unit_sphere(x: Tensor) -> Tensor:
    """Return vectors scaled to length 1, with the gradient of that: (..., D).

    One shorter than 1e-12 has no direction: zeros are returned for it, and it gets no gradient.
    """
    squared = ops.sum(x * x, axis=-1, keepdims=True)
    has_direction = squared > 1e-24
    # The inner choice is for the gradient: that of a root at zero is infinite, and zero times infinity no number.
    return ops.where(has_direction, x / ops.sqrt(ops.where(has_direction, squared, 1.0)), 0.0)


def straight_through(z: Tensor, z_q: Tensor) -> Tensor:
    """Return `z_q`, with the gradient of `z`: both (..., D).

    The idea is Hinton's (2012, lecture 15b of his online course); Bengio, Léonard and Courville (2013) named it and
    compared it with others.
    """
    return z + ops.stop_gradient(z_q - z)


def rotation_trick(z: Tensor, z_q: Tensor) -> Tensor:
    """Return `z_q`, with the gradient of the rotation and scaling that take `z` there: both (..., D).

    Fifty et al. (2024, "Restructuring vector quantization with the rotation trick"), section 4.2. The angle between a
    gradient and its vector is the same at `z` as at `z_q`. A vector of length zero has no direction: it passes no
    gradient.
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return ops.sum(a * b, axis=-1, keepdims=True)

    fixed = ops.stop_gradient(z)
    z_hat = on_unit_sphere(fixed)
    z_q_hat = on_unit_sphere(ops.stop_gradient(z_q))
    r = on_unit_sphere(z_hat + z_q_hat)
    scale = ops.sqrt(dot(z_q, z_q) / ops.maximum(dot(fixed, fixed), 1e-24))
    rotated = ops.stop_gradient(scale) * (z - 2 * r * dot(r, z) + 2 * ops.stop_gradient(z_q_hat) * dot(z_hat, z))
    return rotated + ops.stop_gradient(z_q - rotated)


ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "straight_through": straight_through,
    "rotation": rotation_trick,
}


class Quantized(NamedTuple):
    """What a quantizer makes of vectors (..., D), for who asks it with ``return_quantized=True``."""

    z_q: Tensor  # (..., D), what calling the layer returns
    codes: Tensor  # (...), int32; (..., N) of a quantizer with N codes for a vector
    codebook_loss: Tensor | None = None  # scalars, of a quantizer that has them
    commitment_loss: Tensor | None = None
    entropy_loss: Tensor | None = None
    errors: Tensor | None = None  # (N,), of a residual quantizer: the mean squared error after each stage


class Quantizer(keras.layers.Layer):
    """The base class of quantizers: K codes for vectors of D entries.

    A subclass gives ``_search``, (N, D) -> (N,) int32, ``_look_up``, (...) int32 -> (..., D), and ``call``, and names
    in ``losses_given`` what it fills in of the losses of :class:`Quantized`; models have a metric for each.
    """

    losses_given: tuple[str, ...] = ()

    @property
    def losses_added(self) -> tuple[str, ...]:
        """Those of ``losses_given`` that calling the layer adds to the losses of the model."""
        return self.losses_given

    def __init__(self, num_embeddings: int, embedding_dim: int, **kwargs: Any) -> None:
        kwargs["autocast"] = False  # the search needs float32, also under a mixed-precision policy
        super().__init__(**kwargs)
        self.num_embeddings = check_positive_integer("num_embeddings", num_embeddings)
        self.embedding_dim = check_positive_integer("embedding_dim", embedding_dim)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check the shape; the weights exist from the start."""
        if tuple(input_shape[-1:]) != (self.embedding_dim,):
            raise ValueError(
                f"The last axis of z must have embedding_dim={self.embedding_dim} entries, "
                f"but z has shape {tuple(input_shape)}. Channels come last: (batch, height, width, embedding_dim)."
            )

    def encode(self, z: Tensor) -> Tensor:
        """Return the code of each vector: (..., D) float -> (...) int32.

        Raises
        ------
        ValueError
            If the last axis is not D, or `z` holds NaN or infinity; inside a compiled function, values are not seen.
        TypeError
            If `z` is not floating point, or a ``keras.Input``, which has no values.
        """
        return self._encode(self._checked(z))

    def _checked(self, z: Tensor) -> Tensor:
        """Raise unless `z` can be encoded; return it as a tensor."""
        _refuse_symbol(z, "encode")
        z = ops.convert_to_tensor(z)
        check_vectors(z, self.embedding_dim)
        if is_array(z) and not ops.all(ops.isfinite(z)):
            raise ValueError(
                "z contains NaN or infinity, which no codebook entry is near to. An encoder whose training diverged "
                "gives such vectors: train it again with a lower learning rate."
            )
        return z

    def decode(self, codes: Tensor) -> Tensor:
        """Return the vectors that `codes` stand for: (...) int32 -> (..., D) float32."""
        _refuse_symbol(codes, "decode")
        check_code_type(codes)
        if is_array(codes):
            codes = check_codes(codes, self.num_embeddings)
        return self._look_up(codes)

    def _within_reach(self, z: Tensor) -> Tensor:
        """Return z, (..., D) float32, as residual codes begin with it: a subclass puts it where no loss keeps it."""
        return z

    def _encode(self, z: Tensor) -> Tensor:
        codes = self._search(ops.cast(ops.reshape(z, (-1, self.embedding_dim)), "float32"))
        return ops.reshape(codes, ops.shape(z)[:-1])

    def _search(self, vectors: Tensor) -> Tensor:
        raise NotImplementedError

    def _look_up(self, codes: Tensor) -> Tensor:
        raise NotImplementedError


def _refuse_symbol(x: Any, method: str) -> None:
    """Raise if `x` is a tensor of a functional model."""
    if isinstance(x, keras.KerasTensor):
        raise TypeError(
            f"{method} takes values, but a keras.Input or what a model makes of one was given. In a functional model, "
            "call the quantizer as a layer; for a model of images to codes, or back, take vqlib.exports.split(model)."
        )


class NearestQuantizer(Quantizer):
    """The base class of quantizers that replace each vector by the nearest of K entries.

    A subclass gives ``_entries``, which returns them, (K, D), and says in ``learned_by_gradient`` whether the codebook
    loss is to move them.
    """

    learned_by_gradient = True  # rather than by other means
    losses_given = ("codebook_loss", "commitment_loss")

    @property
    def losses_added(self) -> tuple[str, ...]:
        """The commitment loss, and the codebook loss where it is to move the entries."""
        return self.losses_given if self.learned_by_gradient else ("commitment_loss",)

    def __init__(
        self, num_embeddings: int, embedding_dim: int, beta: float, estimator: str, normalize: bool, **kwargs: Any
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, **kwargs)
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0, but {beta!r} was given. The paper uses 0.25.")
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, but {estimator!r} was given.")
        self.beta = beta
        self.estimator = estimator
        self.normalize = bool(normalize)

    def call(self, z: Tensor, training: bool | None = None, return_quantized: bool = False) -> Any:
        """Quantize: (..., D) -> (..., D), with the estimator's gradient; adds the losses.

        With sg for stop_gradient, and means in place of sums::

            k = argmin_j |z - e_j|²                            equation 1
            z_q = e_k                                          equation 2
            codebook loss + commitment loss
                = |sg[z] - e_k|² + beta |z - sg[e_k]|²         equation 3
            output = z + sg[e_k - z]                           straight-through

        With ``normalize``, z and e stand for themselves, scaled to length 1. With ``return_quantized=True`` the answer
        is a :class:`Quantized`, which has codes and losses, too.
        """
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        codes = self._encode(z)  # (...)
        z = self._placed(ops.cast(z, "float32"))
        e = self._look_up(codes)  # (..., D)
        codebook_loss = ops.mean((ops.stop_gradient(z) - e) ** 2)
        commitment_loss = self.beta * ops.mean((z - ops.stop_gradient(e)) ** 2)
        z_q = ops.cast(ESTIMATORS[self.estimator](z, e), dtype)
        quantized = Quantized(z_q, codes, codebook_loss, commitment_loss)
        self.add_loss(sum(getattr(quantized, name) for name in self.losses_added))
        return quantized if return_quantized else z_q

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "beta": self.beta,
            "estimator": self.estimator,
            "normalize": self.normalize,
        }

    def _search(self, vectors: Tensor) -> Tensor:
        return nearest_codes(self._placed(vectors), self._placed(self._entries()), equally_long=self.normalize)

    def _look_up(self, codes: Tensor) -> Tensor:
        # The reshape makes the gradient dense: of a sparse one with repeated rows, Keras's Adam squares each by itself.
        entries = ops.reshape(self._entries(), (self.num_embeddings, self.embedding_dim))
        return ops.take(self._placed(entries), codes, axis=0)  # (..., D)

    def _within_reach(self, z: Tensor) -> Tensor:
        """Return z on the sphere, where the losses keep it; they tell nothing of its length."""
        return self._placed(z)

    def _placed(self, vectors: Tensor) -> Tensor:
        """Return vectors or entries, (..., D), where they are compared."""
        return on_unit_sphere(vectors) if self.normalize else vectors

    def _entries(self) -> Tensor:
        raise NotImplementedError


@keras.saving.register_keras_serializable("vqlib")
class VectorQuantizer(NearestQuantizer):
    """Replace each vector by the nearest entry of a codebook that learns by gradient.

    Van den Oord, Vinyals and Kavukcuoglu (2017, "Neural discrete representation learning"), equations 1 to 3.

    The output carries the decoder's gradient straight through to the input, as if nothing had happened. Calling the
    layer adds the last two terms of the paper's equation 3 to the losses of the model, each a mean over all elements:
    the codebook loss, which moves only codebook entries, and the commitment loss, which moves only z.

    For z of shape (32, 7, 7, 16), 32 x 49 vectors of D = 16 entries are quantized, each on its own.

    Where data are few or the encoder learns fast, many entries may stay unused, also after a start by k-means: the
    encoder leaves the place where they were put. :class:`vqlib.EMAVectorQuantizer` with ``restart_below=0.02`` brings
    them back, :class:`vqlib.SimVQ` moves all of them together, :class:`vqlib.FiniteScalarQuantizer` has none to lose,
    and more training steps help, too.

    The layer has no metrics. :class:`vqlib.VQVAE` and :class:`vqlib.VQVAE2` measure both losses, the perplexity and the
    number of codes in use; in a model of your own, count its codes with :class:`vqlib.metrics.Perplexity`.

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
    normalize : bool
        Whether the codebook lies on the unit sphere, where the nearest entry is that of the largest cosine (Yu et al.
        2021, "Vector-quantized image modeling with improved VQGAN", section 3.2). Vectors and entries are scaled to
        length 1, see :func:`on_unit_sphere`, before they are compared: so the losses are distances on the sphere, the
        output has length 1, and the gradient of z is across z. What says how long z is, is lost.

    Raises
    ------
    ValueError
        If K or D is below 1, beta negative, the estimator unknown, or the last axis of an input is not D.
    TypeError
        If an input is not floating point, or codes are not integers.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        beta: float = 0.25,
        codebook_initializer: Any = "uniform",
        estimator: str = "straight_through",
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, beta, estimator, normalize, **kwargs)
        self.codebook_initializer = keras.initializers.get(codebook_initializer)
        self.codebook = self.add_weight(
            shape=(self.num_embeddings, self.embedding_dim),
            initializer=self.codebook_initializer,
            trainable=self.learned_by_gradient,
            dtype="float32",
            autocast=False,
            aggregation="none" if self.learned_by_gradient else "only_first_replica",
            name="codebook",
        )
        if self.normalize:
            self.codebook.assign(on_unit_sphere(self.codebook))

    def initialize(self, vectors: Tensor, method: str = "kmeans", seed: int | None = 0) -> None:
        """Start the codebook where the data are.

        Parameters
        ----------
        vectors : float array, shape (..., D)
            At least K vectors; a few thousand to a few ten thousand of the encoder's outputs do. Of more than 200,000,
            as many are drawn.
        method : "kmeans" or "data"
            The k-means centres of the vectors (scikit-learn), or K of the vectors, drawn without replacement. With
            ``normalize``, these are vectors on the unit sphere, and their centres are scaled to length 1.
        seed : int, optional

        Raises
        ------
        ValueError
            If the method is unknown, or the vectors are fewer than K or hold NaN or infinity. Then nothing changes.
        """
        vectors = vectors_to_start_from(self, vectors, method, seed)
        vectors = ops.convert_to_numpy(self._placed(vectors))
        if method == "kmeans":
            from sklearn.cluster import KMeans

            with while_it_takes(f"k-means of {len(vectors):,} vectors"):
                entries = KMeans(self.num_embeddings, n_init=1, random_state=seed).fit(vectors).cluster_centers_
        else:
            entries = np.random.default_rng(seed).choice(vectors, self.num_embeddings, replace=False)
        self.codebook.assign(self._placed(ops.cast(entries, "float32")))

    def check_start(self, num_vectors: int, method: str) -> None:
        """Raise unless :meth:`initialize` can start from so many vectors, by this method."""
        if method not in METHODS_OF_STARTING:
            raise ValueError(f'method must be "kmeans" or "data", but {method!r} was given.')
        if num_vectors < self.num_embeddings:
            raise ValueError(
                f"{self.num_embeddings} codes need at least as many vectors to start from; {num_vectors} were given."
            )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "codebook_initializer": keras.initializers.serialize(self.codebook_initializer),
        }

    def _entries(self) -> Tensor:
        return self.codebook


def vectors_to_start_from(quantizer: Any, vectors: Tensor, method: str, seed: int | None) -> np.ndarray:
    """Return what a quantizer's codebook is to start from, (M, D) float32: `vectors`, or a sample of many.

    Raises a ValueError unless these are enough, by the quantizer's ``check_start``, and finite.
    """
    check_vectors(vectors, quantizer.embedding_dim)
    vectors = np.reshape(ops.convert_to_numpy(vectors), (-1, quantizer.embedding_dim)).astype("float32")
    quantizer.check_start(len(vectors), method)
    if not np.isfinite(vectors).all():
        raise ValueError(
            "vectors contain NaN or infinity, on which no codebook can start. An encoder whose training diverged "
            "gives such vectors: train it again with a lower learning rate."
        )
    if len(vectors) > VECTORS_TO_START_FROM:
        vectors = np.random.default_rng(seed).choice(vectors, VECTORS_TO_START_FROM, replace=False)
    return vectors

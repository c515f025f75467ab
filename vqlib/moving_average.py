"""EMAVectorQuantizer: a codebook of moving averages, in place of one that learns by gradient."""

import functools
import threading
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _backend as backend
from vqlib import _keras_internals
from vqlib._types import Tensor
from vqlib.quantizers import VectorQuantizer, on_unit_sphere


@keras.saving.register_keras_serializable("vqlib")
class EMAVectorQuantizer(VectorQuantizer):
    """A :class:`vqlib.VectorQuantizer` whose entries are moving averages of the vectors that chose them.

    Van den Oord, Vinyals and Kavukcuoglu (2017), appendix A.1. In training, each call updates for every entry i the
    number N of vectors that chose it and their sum m, and sets the entry to their ratio::

        N[i] = decay * N[i] + (1 - decay) * n[i]
        m[i] = decay * m[i] + (1 - decay) * sum of the n[i] vectors z that chose i
        e[i] = m[i] / N[i]

    N and m are the attributes ``counts`` and ``sums``; elsewhere they are called ``ema_cluster_size`` and ``ema_dw``
    (Sonnet), or ``cluster_size`` and ``embed_avg`` (vector-quantize-pytorch). N is smoothed by `epsilon` (Laplace), so
    that nothing is divided by zero; this also draws an entry that nothing chooses to the origin, after about a thousand
    batches at the defaults. The averages replace the codebook loss: only the commitment loss is added. The metric
    ``codebook_loss`` is the squared distance all the same.

    With ``trainable = False`` nothing moves, as in Keras's BatchNormalization.

    An entry that hardly any vector chooses is dead. With `restart_below`, a dead-code threshold, it is put on a random
    vector of the batch (Dhariwal et al. 2020, "Jukebox", section 3.1).

    Parameters
    ----------
    num_embeddings, embedding_dim, beta, codebook_initializer, estimator
        As in :class:`vqlib.VectorQuantizer`.
    decay : float, in [0, 1)
        0.99 in the paper: an average over about the last 100 batches.
    epsilon : float, at least 0
        Added to every N, which are then scaled back to their sum. With 0, an entry whose N is 0 stays where it is.
    restart_below : float, at least 0
        An entry is dead when its N is below this fraction of the mean N. 0, the default, restarts none.
    seed : int, optional
        For the choice of the vectors that restart entries.
    normalize : bool
        As in :class:`vqlib.VectorQuantizer`. The averages are those of vectors of length 1, and each entry is its m,
        scaled to length 1: an entry that nothing chooses stays where it is.

    Raises
    ------
    ValueError
        Also if decay, epsilon or restart_below is out of its range.
    """

    learned_by_gradient = False

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        beta: float = 0.25,
        codebook_initializer: Any = "uniform",
        estimator: str = "straight_through",
        decay: float = 0.99,
        epsilon: float = 1e-5,
        restart_below: float = 0.0,
        seed: int | None = None,
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, beta, codebook_initializer, estimator, normalize, **kwargs)
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
        self.seed = int(seed) if isinstance(seed, np.integer) else seed
        self.counts = self._add_state((self.num_embeddings,), "counts")  # N
        self.sums = self._add_state((self.num_embeddings, self.embedding_dim), "sums")  # m
        self._start_averages(np.ones(self.num_embeddings))
        if restart_below:
            generator = _keras_internals.seed_generator(self.seed, self._add_state)
            # In a partial, where Keras does not find the generator, whose state it would count twice.
            self._draw_places = functools.partial(keras.random.uniform, (self.num_embeddings,), seed=generator)
        self._kept = threading.local()  # each replica of tf.distribute has a thread of its own

    def call(self, z: Tensor, training: bool | None = None, return_quantized: bool = False) -> Any:
        """Quantize, see :meth:`vqlib.VectorQuantizer.call`; in training, move the codebook after that."""
        quantized = super().call(z, training, return_quantized=True)
        if training and self.trainable:
            self._kept.batch = ops.stop_gradient(self._placed(ops.cast(z, "float32"))), quantized.codes
            if not backend.several_replicas():
                self.finish_step()
        return quantized if return_quantized else quantized.z_q

    def finish_step(self) -> None:
        """Move the codebook by the vectors of the last call in training, unless that was done.

        The call does so itself, except where ``tf.distribute`` trains on several devices. There the sums run over all
        of them, and while they wait for each other, Keras mixes up what they gave to ``add_loss``: a model has to do
        this in ``compute_loss``, after it has read its ``losses``, as :class:`vqlib.VQVAE` does.
        """
        batch = vars(self._kept).pop("batch", None)
        if batch is not None:
            self._move_codebook(*batch)

    def initialize(self, vectors: Tensor, method: str = "kmeans", seed: int | None = 0) -> None:
        """Start codebook and averages where the data are, see :meth:`vqlib.VectorQuantizer.initialize`."""
        super().initialize(vectors, method, seed)
        used = np.bincount(np.ravel(ops.convert_to_numpy(self.encode(vectors))), minlength=self.num_embeddings)
        self._start_averages(np.maximum(used / used.mean(), 1 / self.num_embeddings))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "decay": self.decay,
            "epsilon": self.epsilon,
            "restart_below": self.restart_below,
            "seed": self.seed,
        }

    def _add_state(self, shape: tuple[int, ...], name: str, dtype: str = "float32") -> keras.Variable:
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            trainable=False,
            dtype=dtype,
            autocast=False,
            aggregation="only_first_replica",
            name=name,
        )

    def _start_averages(self, counts: np.ndarray) -> None:
        """Put an average over few vectors behind each entry, so that the first batches may move it."""
        self.counts.assign(counts)
        self.sums.assign(counts[:, None] * ops.convert_to_numpy(self.codebook))

    def _move_codebook(self, z: Tensor, codes: Tensor) -> None:
        """Update the averages with one batch, and the codebook from them."""
        z = ops.reshape(z, (-1, self.embedding_dim))  # (N, D)
        codes = ops.ravel(codes)  # (N,)
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
        if self.normalize:
            entries = on_unit_sphere(sums)
            found = ops.any(entries != 0, axis=1, keepdims=True)  # a sum to which nothing is added comes to its end
        else:
            entries = sums / smoothed[:, None]
            found = smoothed[:, None] > 0  # without epsilon, an average over nothing is no place to move to
        self.codebook.assign(ops.where(found, entries, ops.convert_to_tensor(self.codebook)))

    def _restart(self, counts: Tensor, sums: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Put dead entries on random vectors, with twice the use that would be too little."""
        least = self.restart_below * ops.mean(counts)
        rows = ops.cast(self._draw_places() * ops.cast(ops.shape(z)[0], "float32"), "int32")  # (K,)
        vectors = backend.of_first_replica(ops.take(z, rows, axis=0))  # (K, D)
        alive = counts >= least
        return ops.where(alive, counts, 2 * least), ops.where(alive[:, None], sums, 2 * least * vectors)

"""ResidualQuantizer: several codes for each vector, each for what the codes before it left over."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _keras_internals
from vqlib._checks import check_positive_integer, check_vectors
from vqlib._types import Tensor
from vqlib.composite import CompositeQuantizer
from vqlib.quantizers import ESTIMATORS, ROWS_PER_SEARCH, Quantized, Quantizer

CODES_IN_MIND = 128  # the K for which ROWS_PER_SEARCH is meant


@keras.saving.register_keras_serializable("vqlib")
class ResidualQuantizer(CompositeQuantizer):
    """Quantize a vector in stages: each quantizes the residual, what the stages before it left over.

    Juang and Gray (1982, "Multiple stage vector quantization for speech coding"); within an autoencoder Zeghidour et
    al. (2021, "SoundStream: an end-to-end neural audio codec"), algorithm 1, and Lee et al. (2022, "Autoregressive
    image generation using residual quantization"), section 3.1. A vector has N codes, one for each stage::

        r_0 = z
        k_n = the code of r_(n-1) in stage n
        r_n = r_(n-1) - e_n, e_n the entry of stage n for k_n
        z_q = e_1 + e_2 + ... + e_N

    N stages of K codes tell K**N vectors apart, and keep N K entries: eight stages of 16 codes cost 32 bits, for which
    one codebook would need 4,294,967,296 entries. The first n codes are a coarser description of the same vector:
    :meth:`decode` takes them, so a stream of codes can be cut behind any stage.

    For z of shape (32, 7, 7, 16) and eight stages, the codes are (32, 7, 7, 8). Each stage chooses what is best for
    itself, which need not be best for the sum: see :meth:`encode` for a search that looks ahead.

    The losses are the sums of those of the stages. Each sees its residual: the codebook loss of stage n moves only
    entries of stage n, and its commitment loss ``|r_(n-1) - sg[e_n]|²`` is the ``|z - sg[e_1 + ... + e_n]|²`` of Lee et
    al. What is subtracted passes no gradient, or z would get none from the later stages' losses.

    :class:`vqlib.VQVAE` measures each stage n: ``stage_n_perplexity``, ``stage_n_codes_used`` and ``stage_n_error``,
    the mean squared error of z after n stages.

    Parameters
    ----------
    stages : list of Quantizer, or Quantizer
        All of the same K and D. One quantizer alone is shared by all stages, as in Lee et al.
    num_stages : int, optional
        N, where the stages share one quantizer.
    stage_dropout : float, in [0, 1]
        How many of the examples, the entries of the first axis, are given out in training as the sum of their first n
        stages alone, n drawn from 1..N, each equally likely; so the decoder learns to read streams that were cut. 1 in
        Zeghidour et al., who call it quantizer dropout; 0.5 leaves half of the examples whole. The stages that are left
        out learn from the example all the same, because its residuals are those that they see in a stream that is not
        cut.
    scale : float, above 0
        Stage n quantizes its residual, divided by ``scale**(n - 1)``, and what it gives is multiplied by that; its
        losses are those of the divided residual. 1 for codebooks that learn how large residuals are. With entries that
        stay where they are, residuals have to be enlarged: 1/2 makes stages of :class:`vqlib.LookupFreeQuantizer` the
        binary digits of z, and does for ``FiniteScalarQuantizer((5, 5, 5))``, too.
    estimator : "straight_through" or "rotation"
        What gradient z gets from the sum, see :func:`vqlib.quantizers.straight_through`. It is taken once, from z to
        z_q: those of the stages play no part.
    seed : int, optional
        For the draws of `stage_dropout`.

    Raises
    ------
    ValueError
        If stages differ in K or D, an argument is out of its range, or the last axis of an input is not D.
    TypeError
        If a stage is not one of vqlib's quantizers with one code a vector, or an input is not floating point.
    """

    part = "stage"
    can_be_cut = True

    def __init__(
        self,
        stages: Quantizer | Sequence[Quantizer],
        num_stages: int | None = None,
        stage_dropout: float = 0.0,
        scale: float = 1.0,
        estimator: str = "straight_through",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 <= stage_dropout <= 1:
            raise ValueError(
                f"stage_dropout must be at least 0 and at most 1, but {stage_dropout!r} was given. "
                "It is the fraction of the examples that are cut behind one of their stages."
            )
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be above 0 and finite, but {scale!r} was given.")
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, but {estimator!r} was given.")
        super().__init__(stages, num_stages, split=False, **kwargs)
        self.stage_dropout = stage_dropout
        self.scale = scale
        self.estimator = estimator
        self.seed = int(seed) if isinstance(seed, np.integer) else seed
        if stage_dropout:
            generator = _keras_internals.seed_generator(self.seed, self._add_state)
            # In a partial, where Keras does not find the generator, whose state it would count twice.
            self._draw = functools.partial(keras.random.uniform, dtype="float32", seed=generator)

    @property
    def stages(self) -> list[Quantizer]:
        """The quantizer of each stage, N of them, all the same one where it is shared."""
        return self.each

    def call(self, z: Tensor, training: bool | None = None, return_quantized: bool = False) -> Any:
        """Quantize: (..., D) -> (..., D), with the estimator's gradient; the stages add their losses.

        With ``return_quantized=True`` the answer is a :class:`vqlib.quantizers.Quantized`: codes (..., N), the losses,
        summed over stages, and ``errors``, (N,). These are of all stages, also where `stage_dropout` cuts `z_q`.
        """
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        z = ops.cast(z, "float32")
        residuals, codes, parts, errors = [], [], [], []
        so_far = ops.zeros_like(z)
        for n, stage in enumerate(self.stages):
            residuals.append((z - so_far) / self.scale**n)
            codes.append(stage._encode(residuals[n]))
            parts.append(ops.stop_gradient(self._entry(n, codes[n])))  # (..., D)
            so_far = so_far + parts[n]
            errors.append(ops.mean(ops.stop_gradient(z - so_far) ** 2))
        _, losses = self._call_each(residuals, training)  # after the search: no codebook moves within it
        e = self._cut(parts) if training and self.stage_dropout else so_far
        z_q = ops.cast(ESTIMATORS[self.estimator](z, e), dtype)
        if not return_quantized:
            return z_q
        return Quantized(z_q, ops.stack(codes, axis=-1), **losses, errors=ops.stack(errors))

    def encode(self, z: Tensor, beam: int = 1) -> Tensor:
        """Return the codes of each vector, one for each stage: (..., D) float -> (..., N) int32.

        Parameters
        ----------
        z : float tensor, shape (..., D)
        beam : int, at least 1
            How many candidates are kept after each stage. With 1, each stage takes its code for itself (greedy). With
            more, every candidate is tried with every entry of the next stage, and of all these the `beam` with the
            least error go on: what was second best may leave a residual that the next stage fits better. The first
            candidate after the last stage is taken. With ``K**(N - 1)`` nothing is left out, and the codes are the best
            that there are. It takes about `beam` times as long. Training is greedy. Where stages share their entries,
            some candidates are others in another order, and a beam is worth less.

        Returns
        -------
        codes : int32 tensor, shape (..., N), in 0..K - 1

        Raises
        ------
        ValueError
            If the last axis is not D, `beam` below 1, or `z` holds NaN or infinity; inside a compiled function, values
            are not seen.
        TypeError
            If `z` is not floating point, or a ``keras.Input``, which has no values.
        """
        if check_positive_integer("beam", beam) == 1:
            return super().encode(z)
        z = self._checked(z)
        vectors = ops.cast(ops.reshape(z, (-1, self.embedding_dim)), "float32")
        rows = max(1, ROWS_PER_SEARCH * CODES_IN_MIND // (beam * self.num_embeddings))
        total = vectors.shape[0]
        if not isinstance(total, int) or total <= rows:  # not yet known: None, or a symbol on JAX
            codes = self._search_ahead(vectors, beam)
        else:
            parts = [self._search_ahead(vectors[i : i + rows], beam) for i in range(0, total, rows)]
            codes = ops.concatenate(parts)
        return ops.reshape(codes, (*ops.shape(z)[:-1], self.codes_per_vector))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the vectors that the codes of all stages, or of the first n, stand for: (..., n) -> (..., D) float32.

        ``decode(codes[..., :n])`` is the stream, cut behind stage n.

        Raises
        ------
        ValueError
            If the last axis does not hold 1 to N codes, or a code is not in 0..K - 1.
        TypeError
            If codes are not integers, or a ``keras.Input``.
        """
        return super().decode(codes)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "stage_dropout": self.stage_dropout,
            "scale": self.scale,
            "estimator": self.estimator,
            "seed": self.seed,
        }

    def _encode(self, z: Tensor) -> Tensor:
        residual, codes = ops.cast(z, "float32"), []
        for n, stage in enumerate(self.stages):
            codes.append(stage._encode(residual / self.scale**n))
            residual = residual - self._entry(n, codes[n])
        return ops.stack(codes, axis=-1)

    def _look_up(self, codes: Tensor) -> Tensor:
        return sum(self._entry(n, codes[..., n]) for n in range(codes.shape[-1]))

    def _entry(self, n: int, codes: Tensor) -> Tensor:
        """Return what stage n, from 0, adds to the sum for its codes: (...) -> (..., D)."""
        return self.scale**n * self.stages[n]._look_up(codes)

    def _search_ahead(self, vectors: Tensor, beam: int) -> Tensor:
        """Return codes of a small error, by a beam search: (M, D) -> (M, N)."""
        residuals = vectors[:, None]  # (M, b, D), of each of b candidates
        chosen = ops.zeros_like(residuals[..., :0], "int32")  # (M, b, stages done)
        for n in range(self.codes_per_vector):
            entries = self._entry(n, ops.arange(self.num_embeddings, dtype="int32"))  # (K, D)
            squares = ops.sum(residuals**2, axis=-1)[..., None] + ops.sum(entries**2, axis=-1)
            errors = squares - 2 * ops.matmul(residuals, ops.transpose(entries))  # (M, b, K)
            candidates = errors.shape[1] * self.num_embeddings
            flat = ops.reshape(errors, (-1, candidates))
            _, places = ops.top_k(-flat, min(beam, candidates))  # the least error first
            origins = ops.cast(places // self.num_embeddings, "int32")[..., None]
            codes = ops.cast(places % self.num_embeddings, "int32")  # (M, b)
            residuals = ops.take_along_axis(residuals, origins, axis=1) - ops.take(entries, codes, axis=0)
            chosen = ops.concatenate([ops.take_along_axis(chosen, origins, axis=1), codes[..., None]], axis=-1)
        return chosen[:, 0]

    def _cut(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the sums of some first stages for some examples, and of all stages for the others: (..., D)."""
        rank = len(parts[0].shape)
        shape = (ops.shape(parts[0])[0], *[1] * (rank - 1)) if rank > 1 else (1,)
        drawn = self._draw(shape) / self.stage_dropout  # below 1 for those that are cut
        kept = ops.where(drawn < 1, 1 + ops.floor(drawn * len(parts)), len(parts))  # 1..N
        return sum(ops.where(kept > n, part, 0.0) for n, part in enumerate(parts))

    def _initialize(self, vectors: np.ndarray, method: str, seed: int | None) -> None:
        # Each stage draws anew: of vectors that have become entries of the one before, nothing is left.
        seeds = [None if seed is None else seed + n for n in range(max(2, self.codes_per_vector))]
        if self.shared:
            (quantizer,) = self.quantizers
            quantizer.initialize(vectors, method, seeds[0])
            quantizer.initialize(np.concatenate(list(self._residuals(vectors))), method, seeds[1])  # for these, too
            return
        for n, residual in enumerate(self._residuals(vectors)):
            if hasattr(self.stages[n], "initialize"):
                self.stages[n].initialize(residual, method, seeds[n])  # before the next residual is computed

    def _residuals(self, vectors: np.ndarray) -> Any:
        """Yield what each stage quantizes, (M, D), computed when it is asked for."""
        residual = vectors
        for n, stage in enumerate(self.stages):
            yield residual / np.float32(self.scale**n)
            codes = stage.encode(residual / np.float32(self.scale**n))
            residual = residual - ops.convert_to_numpy(self._entry(n, codes))

    def _add_state(self, shape: tuple[int, ...], name: str, dtype: str) -> keras.Variable:
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            trainable=False,
            dtype=dtype,
            autocast=False,
            aggregation="only_first_replica",
            name=name,
        )

"""ResidualQuantizer: several codes for each vector, each for what the codes before it left over."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib import _keras_internals
from vqlib._checks import check_vectors
from vqlib._types import Tensor
from vqlib.composite import CompositeQuantizer
from vqlib.quantizers import ESTIMATORS, Quantized, Quantizer


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
    itself, which need not be best for the sum.

    The losses are the sums of those of the stages. Each sees its residual: the codebook loss of stage n moves only
    entries of stage n, and its commitment loss ``|r_(n-1) - sg[e_n]|²`` is the ``|z - sg[e_1 + ... + e_n]|²`` of Lee et
    al. What is subtracted passes no gradient, or z would get none from the later stages' losses.

    r_0 is not z itself where the first stage has no loss that keeps z near its entries, and z would run away. With
    :class:`vqlib.FiniteScalarQuantizer` it is z after a tanh, which squashes it into the range of the levels; with
    ``normalize`` it is z, scaled to length 1. z gets the gradient of that, too.

    :class:`vqlib.VQVAE` measures each stage n: ``stage_n_perplexity``, ``stage_n_codes_used`` and ``stage_n_error``,
    the mean squared error of r_0 after n stages.

    Parameters
    ----------
    stages : list of Quantizer, or Quantizer
        All of the same K and D. One quantizer alone is shared by all stages, as in Lee et al.
    num_stages : int, optional
        N, where the stages share one quantizer.
    stage_dropout : float, in [0, 1]
        How many of the examples, the entries of the first axis, are given out in training as the sum of their first n
        stages alone, n drawn from 1..N, each equally likely; so the decoder learns to read streams that were cut. 1 in
        Zeghidour et al., section III.C, who call it quantizer dropout; 0.5 in Kumar et al. (2023, "High-fidelity audio
        compression with improved RVQGAN"), section 3.3, since streams that are not cut get worse by it. Unlike there,
        the stages that are left out learn from the example all the same, because its residuals are those that they see
        in a stream that is not cut.
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
        z = self._prepared(z)
        seen, codes, entries, left = zip(*self._descend(z), strict=True)
        _, _, losses = self._call_each(seen, training)  # after the search: no codebook moves within it
        e = self._cut(entries) if training and self.stage_dropout else sum(entries)
        z_q = ops.cast(ESTIMATORS[self.estimator](z, e), dtype)
        if not return_quantized:
            return z_q
        errors = [ops.mean(residual**2) for residual in left]
        return Quantized(z_q, ops.stack(codes, axis=-1), **losses, errors=ops.stack(errors))

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
        return ops.stack([codes for _, codes, _, _ in self._descend(self._prepared(z))], axis=-1)

    def _look_up(self, codes: Tensor) -> Tensor:
        return sum(self._entry(n, codes[..., n]) for n in range(codes.shape[-1]))

    def _prepared(self, z: Tensor) -> Tensor:
        """Return r_0, (..., D) float32."""
        return self.stages[0]._within_reach(ops.cast(z, "float32"))

    def _descend(self, z: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield for each stage what it quantizes, its codes (...), what they add to the sum, and what is left over."""
        residual = z  # (..., D)
        for n, stage in enumerate(self.stages):
            seen = residual / self.scale**n
            codes = stage._encode(seen)
            entries = ops.stop_gradient(self._entry(n, codes))
            residual = residual - entries
            yield seen, codes, entries, residual

    def _entry(self, n: int, codes: Tensor) -> Tensor:
        """Return what stage n, from 0, adds to the sum for its codes: (...) -> (..., D)."""
        return self.scale**n * self.stages[n]._look_up(codes)

    def _cut(self, entries: Sequence[Tensor]) -> Tensor:
        """Return the sums of some first stages for some examples, and of all stages for the others: (..., D)."""
        rank = len(entries[0].shape)
        shape = (ops.shape(entries[0])[0], *[1] * (rank - 1)) if rank > 1 else (1,)
        drawn = self._draw(shape) / self.stage_dropout  # below 1 for those that are cut
        kept = ops.where(drawn < 1, 1 + ops.floor(drawn * len(entries)), len(entries))  # 1..N
        return sum(ops.where(kept > n, each, 0.0) for n, each in enumerate(entries))

    def _initialize(self, vectors: np.ndarray, method: str, seed: int | None) -> None:
        # Each start draws anew: of vectors that have become entries of the one before, nothing is left.
        seeds = [None if seed is None else seed + n for n in range(max(2, self.codes_per_vector))]
        vectors = ops.convert_to_numpy(self._prepared(vectors))
        if self.shared:
            (quantizer,) = self.quantizers
            quantizer.initialize(vectors, method, seeds[0])
            residuals = [seen for seen, _, _, _ in self._descend(vectors)]
            quantizer.initialize(ops.concatenate(residuals), method, seeds[1])  # for what is left over, too
            return
        residual = vectors
        for n, stage in enumerate(self.stages):
            seen = residual / np.float32(self.scale**n)
            if hasattr(stage, "initialize"):
                stage.initialize(seen, method, seeds[n])
            residual = residual - ops.convert_to_numpy(self._entry(n, stage.encode(seen)))

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

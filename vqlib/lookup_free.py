"""LookupFreeQuantizer: codes that are signs, without a codebook and without a search."""

from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib._checks import check_positive_integer, check_vectors
from vqlib._types import Tensor
from vqlib.quantizers import Quantized, Quantizer, straight_through

MOST_BITS = 30  # codes are int32, and so is their number


@keras.saving.register_keras_serializable("vqlib")
class LookupFreeQuantizer(Quantizer):
    """Replace each entry of a vector by its sign, 1 or -1; the D signs are the bits of the code.

    LFQ of Yu et al. (2023, "Language model beats diffusion: tokenizer is key to visual generation"), section 3.1. The K
    = 2**D entries are the corners of a cube; the nearest of them to a vector are its signs, so there is nothing to
    search and nothing to learn. An entry that is 0 or less gives -1. Code k has 1 where bit d of k is set, d = 0, the
    lowest, for the first entry.

    The gradient goes straight through, and two losses are added. The commitment loss is that of
    :class:`vqlib.VectorQuantizer`. The entropy loss is there because nothing else would have all codes used, see
    :meth:`entropy_loss`.

    Parameters
    ----------
    embedding_dim : int, at most 30
        D: 7 for 128 codes, 10 for 1,024.
    beta : float, at least 0
        Weight of the commitment loss, a mean over all elements.
    entropy_weight : float, at least 0
        Weight of the entropy loss. With 0 it is not computed; otherwise it takes K numbers of memory.
    temperature : float, above 0
        The larger, the farther from 0 an entry must be to have the entropy loss take its sign for sure. An entry of 1
        or -1 is so with probability ``sigmoid(4 / temperature)``, 0.98 at 1. The paper names no value.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the last axis of an input is not D.
    TypeError
        If an input is not floating point, or codes are not integers.
    """

    losses_given = ("commitment_loss", "entropy_loss")

    def __init__(
        self,
        embedding_dim: int,
        beta: float = 0.25,
        entropy_weight: float = 0.1,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        embedding_dim = check_positive_integer("embedding_dim", embedding_dim)
        if embedding_dim > MOST_BITS:
            raise ValueError(
                f"embedding_dim must be at most {MOST_BITS}, but {embedding_dim} was given: each entry doubles the "
                "number of codes, which int32 has to number."
            )
        for name, weight in (("beta", beta), ("entropy_weight", entropy_weight)):
            if not weight >= 0:
                raise ValueError(f"{name} must be at least 0, but {weight!r} was given.")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, but {temperature!r} was given.")
        super().__init__(2**embedding_dim, embedding_dim, **kwargs)
        self.beta = beta
        self.entropy_weight = entropy_weight
        self.temperature = temperature
        self._powers = 2 ** np.arange(embedding_dim, dtype="int32")

    def call(self, z: Tensor, return_quantized: bool = False) -> Any:
        """Quantize: (..., D) -> (..., D), 1 and -1, with the straight-through gradient; adds the losses.

        With ``return_quantized=True`` the answer is a :class:`vqlib.quantizers.Quantized`, which has codes and losses,
        too.
        """
        check_vectors(z, self.embedding_dim)
        dtype = keras.backend.standardize_dtype(z.dtype)
        z = ops.cast(z, "float32")
        codes = self._encode(z)
        signs = self._look_up(codes)
        commitment_loss = self.beta * ops.mean((z - signs) ** 2)
        entropy_loss = self.entropy_weight * self.entropy_loss(z) if self.entropy_weight else ops.zeros(())
        self.add_loss(commitment_loss + entropy_loss)
        z_q = ops.cast(straight_through(z, signs), dtype)
        return Quantized(z_q, codes, None, commitment_loss, entropy_loss) if return_quantized else z_q

    def entropy_loss(self, z: Tensor) -> Tensor:
        """Return the mean entropy of each vector's code, minus the entropy of the mean code, in nats: (..., D) -> ().

        Yu et al. (2023), section 3.1. Here the code of a vector is uncertain, with probabilities by distance::

            p(c | z) = softmax over the corners c of -|z - c|² / temperature
            loss = mean over z of H(p(c | z)) - H(mean over z of p(c | z))

        The first term wants entries far from 0, the second all codes in equal use; the loss lies in -D log 2 to 0, and
        is minus the mutual information of vectors and codes. All corners are equally long, so that only ``2 z·c``
        counts of the distance, which is a sum over entries: the bits of a vector are independent, and bit d is set with
        probability ``sigmoid(4 z_d / temperature)``. Its entropy is the sum of those of its bits. The mean over vectors
        is no product of bits any more, and is computed in full, as a (2**(D/2), 2**(D/2)) matrix: the probabilities of
        the first half of the bits, transposed, times those of the second half. That takes N K multiply-adds.
        """
        logits = ops.reshape(ops.cast(z, "float32"), (-1, self.embedding_dim)) * (4 / self.temperature)  # (N, D)
        of_each = ops.mean(ops.sum(ops.softplus(logits) - logits * ops.sigmoid(logits), axis=-1))
        middle = self.embedding_dim // 2
        first, second = (_of_all_bits(half) for half in (logits[:, :middle], logits[:, middle:]))
        mean = ops.matmul(ops.transpose(first), second) / ops.cast(ops.shape(logits)[0], "float32")
        of_mean = -ops.sum(mean * ops.log(ops.maximum(mean, 1e-30)))  # 0 log 0 is 0
        return of_each - of_mean

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "beta": self.beta,
            "entropy_weight": self.entropy_weight,
            "temperature": self.temperature,
        }

    def _search(self, vectors: Tensor) -> Tensor:
        return ops.sum(ops.cast(vectors > 0, "int32") * self._powers, axis=-1)

    def _look_up(self, codes: Tensor) -> Tensor:
        bits = ops.expand_dims(codes, -1) // self._powers % 2  # (..., D)
        return ops.cast(2 * bits - 1, "float32")


def _of_all_bits(logits: Tensor) -> Tensor:
    """Return the probabilities of all combinations of independent bits, from their logits: (N, d) -> (N, 2**d)."""
    bits = np.arange(logits.shape[-1])[:, None]
    is_set = (np.arange(2 ** len(bits)) >> bits & 1).astype("float32")  # (d, 2**d)
    return ops.exp(ops.matmul(ops.log_sigmoid(logits), is_set) + ops.matmul(ops.log_sigmoid(-logits), 1 - is_set))

"""SimVQ: a codebook that moves as a whole, by one linear map."""

from typing import Any

import keras
from keras import ops

from vqlib._types import Tensor
from vqlib.quantizers import NearestQuantizer


@keras.saving.register_keras_serializable("vqlib")
class SimVQ(NearestQuantizer):
    """Replace each vector by the nearest entry of a codebook C W, of which only the D x D matrix W learns.

    Zhu et al. (2024, "Addressing representation collapse in vector quantized models with one linear layer"). The rows
    of C, (K, D), are drawn from a normal distribution of variance 1 / D, so that they are about 1 long, and stay as
    they are. Search, losses and the gradient of z are those of :class:`vqlib.VectorQuantizer`; but the
    codebook loss moves W, and with it all entries, those too that no vector has chosen: none is left behind alone.

    W starts as the identity, and the codebook as C. There is no ``initialize``: a start by k-means would have to place
    each entry, and what can be placed is their cloud alone. The encoder comes to it instead, by the commitment loss.

    Parameters
    ----------
    num_embeddings, embedding_dim, beta, estimator, normalize
        As in :class:`vqlib.VectorQuantizer`.

    Attributes
    ----------
    table : keras.Variable, shape (K, D)
        C, which is not trained.
    linear : keras.Variable, shape (D, D)
        W

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
        estimator: str = "straight_through",
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, beta, estimator, normalize, **kwargs)
        self.linear = self.add_weight(
            shape=(self.embedding_dim, self.embedding_dim),
            initializer="identity",
            dtype="float32",
            autocast=False,
            name="linear",
        )
        self.table = self.add_weight(
            shape=(self.num_embeddings, self.embedding_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.embedding_dim**-0.5),
            trainable=False,
            dtype="float32",
            autocast=False,
            name="table",
        )

    @property
    def codebook(self) -> Tensor:
        """C W, the entries: (K, D) float32."""
        return ops.matmul(self.table, self.linear)

    def _entries(self) -> Tensor:
        return self.codebook

"""What quantizers share that give each vector several codes, each by a quantizer of its own."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from vqlib._checks import check_positive_integer, shape_of
from vqlib._types import Tensor
from vqlib.quantizers import Quantizer, vectors_to_start_from


class CompositeQuantizer(Quantizer):
    """The base class of quantizers with several codes for each vector: N of them, on a last axis of their own.

    A subclass gives ``call``, ``_encode``, ``_look_up`` and ``_initialize``, and names in ``part`` what each of its
    quantizers is: "stage" or "part". With `quantizers` one quantizer alone, `number` of them are one and the same.

    Attributes
    ----------
    quantizers : list of Quantizer
        Each one once.
    shared : bool
        Whether one quantizer gives all codes.
    codes_per_vector : int
        N
    """

    quantizers: list[Quantizer]
    codes_per_vector: int
    part = "part"
    can_be_cut = False  # whether the first few of a vector's codes can be decoded without the rest

    def __init__(
        self, quantizers: Quantizer | Sequence[Quantizer], number: int | None, split: bool, **kwargs: Any
    ) -> None:
        each = self._checked_quantizers(quantizers, number)
        shared = isinstance(quantizers, Quantizer)
        sizes = [quantizer.num_embeddings for quantizer in each]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"All {self.part}s must have one num_embeddings, since their codes lie in one array, but it is {sizes}."
            )
        lengths = [quantizer.embedding_dim for quantizer in each]
        if not split and len(set(lengths)) > 1:
            raise ValueError(f"All {self.part}s must have one embedding_dim, that of the vectors, but it is {lengths}.")
        super().__init__(sizes[0], sum(lengths) if split else lengths[0], **kwargs)
        self.quantizers = each[:1] if shared else each
        self.shared = shared
        self.codes_per_vector = len(each)
        given = [name for quantizer in self.quantizers for name in quantizer.losses_given]
        self.losses_given = tuple(dict.fromkeys(given))

    @property
    def each(self) -> list[Quantizer]:
        """The quantizer of each code, N of them."""
        return self.quantizers * self.codes_per_vector if self.shared else list(self.quantizers)

    @property
    def learned_by_gradient(self) -> bool:
        """Whether the loss is to move a codebook."""
        return any(getattr(quantizer, "learned_by_gradient", False) for quantizer in self.quantizers)

    @property
    def can_start(self) -> bool:
        """Whether there is a codebook that :meth:`initialize` can start."""
        return any(hasattr(quantizer, "initialize") for quantizer in self.quantizers)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the vectors that `codes` stand for: (..., N) int32 -> (..., D) float32."""
        number = shape_of(codes)[-1:]
        fewest = 1 if self.can_be_cut else self.codes_per_vector
        if not number or number[0] is None or not fewest <= number[0] <= self.codes_per_vector:
            expected = f"1 to {self.codes_per_vector}" if self.can_be_cut else f"{self.codes_per_vector}"
            raise ValueError(
                f"The last axis of codes must hold {expected} codes, one for each {self.part}, "
                f"but codes have shape {shape_of(codes)}."
            )
        return super().decode(codes)

    def initialize(self, vectors: Tensor, method: str = "kmeans", seed: int | None = 0) -> None:
        """Start all codebooks where the data are, see :meth:`vqlib.VectorQuantizer.initialize`.

        Each is given the vectors that it will quantize. One without a codebook to start, as
        :class:`vqlib.FiniteScalarQuantizer`, stays as it is.

        Parameters
        ----------
        vectors : float array, shape (..., D)
            At least K vectors. Of more than 200,000, as many are drawn, the same for all codebooks.
        method : "kmeans" or "data"
        seed : int, optional

        Raises
        ------
        TypeError
            If there is no codebook to start, or `vectors` are not floating point.
        ValueError
            As :meth:`vqlib.VectorQuantizer.initialize`. Then nothing changes.
        """
        if not self.can_start:
            raise TypeError(f"No {self.part} has a codebook to initialize. Leave this call out.")
        # All is checked now, or some would start and a later one not.
        self._initialize(vectors_to_start_from(self, vectors, method, seed), method, seed)

    def check_start(self, num_vectors: int, method: str) -> None:
        """Raise unless :meth:`initialize` can start from so many vectors, by this method."""
        for quantizer in self.quantizers:
            if hasattr(quantizer, "check_start"):
                quantizer.check_start(num_vectors, method)

    def finish_step(self) -> None:
        """Move the codebooks that are moving averages, see :meth:`vqlib.EMAVectorQuantizer.finish_step`."""
        for quantizer in self.quantizers:
            if hasattr(quantizer, "finish_step"):
                quantizer.finish_step()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        serialized = [keras.saving.serialize_keras_object(quantizer) for quantizer in self.quantizers]
        shared = {f"{self.part}s": serialized[0], f"num_{self.part}s": self.codes_per_vector}
        return {**super().get_config(), **(shared if self.shared else {f"{self.part}s": serialized})}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer from :meth:`get_config`'s answer."""
        name = f"{cls.part}s"
        given = config[name]
        make = keras.saving.deserialize_keras_object
        return cls(**{**config, name: [make(each) for each in given] if isinstance(given, list) else make(given)})

    def _call_each(
        self, vectors: Sequence[Tensor], training: bool | None
    ) -> tuple[list[Tensor], Tensor, dict[str, Tensor]]:
        """Call each quantizer on its vectors, N times (..., d); return outputs, codes (..., N), and the sums of losses.

        A shared one is called once, on all of them, so that averages move once a step.
        """
        if not self.shared:
            found = [
                quantizer(each, training=training, return_quantized=True)
                for quantizer, each in zip(self.quantizers, vectors, strict=True)
            ]
            losses = {
                name: sum(getattr(one, name) for one in found if getattr(one, name) is not None)
                for name in self.losses_given
            }
            return [one.z_q for one in found], ops.stack([one.codes for one in found], axis=-1), losses
        (quantizer,) = self.quantizers
        one = quantizer(ops.stack(list(vectors), axis=-2), training=training, return_quantized=True)
        if quantizer.losses_added:  # it has added their means
            mean = sum(getattr(one, name) for name in quantizer.losses_added)
            self.add_loss((self.codes_per_vector - 1) * mean)
        losses = {name: self.codes_per_vector * getattr(one, name) for name in self.losses_given}
        return [one.z_q[..., n, :] for n in range(self.codes_per_vector)], one.codes, losses

    def _initialize(self, vectors: np.ndarray, method: str, seed: int | None) -> None:
        raise NotImplementedError

    def _checked_quantizers(self, quantizers: Any, number: Any) -> list[Quantizer]:
        """Return the quantizer of each code; raise unless some are given, or one and a number of codes."""
        name = f"{self.part}s"
        if isinstance(quantizers, Quantizer):
            if number is None:
                raise ValueError(
                    f"One quantizer for all {name} needs their number, num_{name}. Otherwise give a list of {name}."
                )
            check_positive_integer(f"num_{name}", number)
        elif not isinstance(quantizers, (list, tuple)) or not quantizers:
            raise TypeError(
                f"{name} must be a list of quantizers, or one quantizer for all {name}, but {quantizers!r} was given."
            )
        elif number is not None:
            raise ValueError(f"num_{name} goes with one quantizer for all {name}: leave it out beside a list.")
        each = quantizers if isinstance(quantizers, (list, tuple)) else [quantizers]
        for quantizer in each:
            if not isinstance(quantizer, Quantizer) or isinstance(quantizer, CompositeQuantizer):
                raise TypeError(
                    f"Each of {name} must be one of vqlib's quantizers that give one code a vector, for example "
                    f"vqlib.EMAVectorQuantizer(16, 16), but {quantizer!r} is not."
                )
        if len({id(quantizer) for quantizer in each}) < len(each):
            raise ValueError(
                f"One layer stands in {name} more than once. For a codebook that all {name} share, give it alone, "
                f"and num_{name}."
            )
        return [quantizers] * int(number) if isinstance(quantizers, Quantizer) else list(quantizers)

"""Level: one level of codes of an autoencoder, so that code can be written for one level and for two."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqlib._checks import as_array, check_codes, shape_of
from vqlib._types import Tensor
from vqlib.composite import CompositeQuantizer
from vqlib.metrics import CodesUsed, Perplexity
from vqlib.quantizers import Quantized


def check_quantizer(quantizer: Any, name: str = "quantizer") -> None:
    """Raise unless `quantizer` is a layer that has what a quantizer needs."""
    missing = [part for part in ("encode", "decode", "num_embeddings", "embedding_dim") if not hasattr(quantizer, part)]
    if isinstance(quantizer, keras.layers.Layer) and not missing:
        return
    what = f"lacks {', '.join(missing)}" if isinstance(quantizer, keras.layers.Layer) else "is no layer"
    raise TypeError(
        f"{name} must be a layer with encode, decode, num_embeddings and embedding_dim, for example "
        f"vqlib.EMAVectorQuantizer(128, 16), but {quantizer!r} {what}."
    )


class Level:
    """One level of codes: its name, its quantizer, the shape of its grids, and the metrics that its model reports.

    Attributes
    ----------
    name : str
        "only" in :class:`vqlib.VQVAE`, "top" and "bottom" in :class:`vqlib.VQVAE2`.
    quantizer : keras.layers.Layer
    grid_shape : tuple of int, (h, w)
        Of the vectors that are quantized.
    code_shape : tuple of int, (h, w) or (h, w, N)
        The latter where the quantizer gives N codes for a vector.
    can_start : bool
        Whether the quantizer has a codebook that its ``initialize`` can start.
    metrics : dict of str to keras.metrics.Metric
        ``perplexity`` and ``codes_used``, and the losses that the quantizer gives, such as ``codebook_loss`` and
        ``commitment_loss`` of a :class:`vqlib.VectorQuantizer`; in the model's logs, each stands after the prefix. Of
        several codes for a vector each has its own, ``stage_1_perplexity`` and ``stage_1_codes_used``, and after each
        stage of a :class:`vqlib.ResidualQuantizer` there is ``stage_1_error``.
    """

    def __init__(self, name: str, quantizer: Any, grid_shape: tuple[int, int], prefix: str = "") -> None:
        self.name = name
        self.quantizer = quantizer
        self.grid_shape = grid_shape
        self.code_shape: tuple[int, ...] = grid_shape
        self.can_start = getattr(quantizer, "can_start", hasattr(quantizer, "initialize"))
        self._gives_all = "return_quantized" in inspect.signature(quantizer.call).parameters
        self._groups: tuple[str, ...] = ("",)  # of metrics
        self._errors: tuple[str, ...] = ()
        self._several = isinstance(quantizer, CompositeQuantizer)
        if self._several:
            self.code_shape = (*grid_shape, quantizer.codes_per_vector)
            self._groups = tuple(f"{quantizer.part}_{n + 1}_" for n in range(quantizer.codes_per_vector))
            self._errors = self._groups if quantizer.can_be_cut else ()
        self._losses = getattr(quantizer, "losses_given", ()) if self._gives_all else ()
        self.metrics: dict[str, keras.metrics.Metric] = {}
        for group in self._groups:
            for measure, kind in (("perplexity", Perplexity), ("codes_used", CodesUsed)):
                self.metrics[f"{group}{measure}"] = kind(quantizer.num_embeddings, name=f"{prefix}{group}{measure}")
        for mean in (*(f"{group}error" for group in self._errors), *self._losses):
            self.metrics[mean] = keras.metrics.Mean(name=f"{prefix}{mean}")

    def quantize(self, z: Tensor, training: bool | None) -> Quantized:
        """Call the quantizer on z, (B, h, w, D)."""
        if self._gives_all:
            return self.quantizer(z, training=training, return_quantized=True)
        return Quantized(self.quantizer(z, training=training), self.quantizer.encode(z))

    def check_codes(self, codes: Any, name: str = "codes") -> np.ndarray:
        """Raise unless `codes` are those of this level, (B, h, w), and return them as int32 NumPy.

        Of the stages of a :class:`vqlib.ResidualQuantizer`, the first few will do: (B, h, w, n).
        """
        codes = as_array(codes, name)
        shape: Sequence[int] = self.code_shape
        if self._errors and len(shape_of(codes)) == len(shape) + 1 and 1 <= shape_of(codes)[-1] <= shape[-1]:
            shape = (*self.grid_shape, shape_of(codes)[-1])
        return check_codes(codes, self.quantizer.num_embeddings, shape, name)

    def update_metrics(self, quantized: Quantized) -> None:
        """Add one batch to the metrics."""
        codes = ops.cast(quantized.codes, "int32")
        for n, group in enumerate(self._groups):
            of_group = codes[..., n] if self._several else codes
            for name in ("perplexity", "codes_used"):
                self.metrics[f"{group}{name}"].update_state(of_group)
        size = ops.size(codes)  # a smaller last batch weighs less
        for name in self._losses:
            self.metrics[name].update_state(getattr(quantized, name), sample_weight=size)
        errors: Tensor = quantized.errors
        for n, group in enumerate(self._errors):
            self.metrics[f"{group}error"].update_state(errors[n], sample_weight=size)

"""Level: one level of codes of an autoencoder, so that code can be written for one level and for two."""

import inspect
from typing import Any

import keras
from keras import ops

from vqlib._types import Tensor
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
    code_shape : tuple of int, (h, w)
    metrics : dict of str to keras.metrics.Metric
        ``perplexity`` and ``codes_used``, and the losses that the quantizer gives, such as ``codebook_loss`` and
        ``commitment_loss`` of a :class:`vqlib.VectorQuantizer`; in the model's logs, each stands after the prefix.
    """

    def __init__(self, name: str, quantizer: Any, code_shape: tuple[int, int], prefix: str = "") -> None:
        self.name = name
        self.quantizer = quantizer
        self.code_shape = code_shape
        self._gives_all = "return_quantized" in inspect.signature(quantizer.call).parameters
        self.metrics: dict[str, keras.metrics.Metric] = {
            "perplexity": Perplexity(quantizer.num_embeddings, name=f"{prefix}perplexity"),
            "codes_used": CodesUsed(quantizer.num_embeddings, name=f"{prefix}codes_used"),
        }
        self._losses = getattr(quantizer, "losses_given", ()) if self._gives_all else ()
        for loss in self._losses:
            self.metrics[loss] = keras.metrics.Mean(name=f"{prefix}{loss}")

    def quantize(self, z: Tensor, training: bool | None) -> Quantized:
        """Call the quantizer on z, (B, h, w, D)."""
        if self._gives_all:
            return self.quantizer(z, training=training, return_quantized=True)
        return Quantized(self.quantizer(z, training=training), self.quantizer.encode(z))

    def update_metrics(self, quantized: Quantized) -> None:
        """Add one batch to the metrics."""
        codes = ops.cast(quantized.codes, "int32")
        for name in ("perplexity", "codes_used"):
            self.metrics[name].update_state(codes)
        for name in self._losses:  # a smaller last batch weighs less
            self.metrics[name].update_state(getattr(quantized, name), sample_weight=ops.size(codes))

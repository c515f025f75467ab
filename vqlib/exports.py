"""A tokenizer's two halves as models of their own, to be used where there is no vqlib: images to codes, and back."""

from typing import Any, NamedTuple

import keras

from vqlib._model import ExportedModel
from vqlib._types import Tensor
from vqlib.autoencoder import Autoencoder


class Half(ExportedModel):
    """Half of what a tokenizer does, codebook and all, with the tokenizer's own weights.

    Its layers are the tokenizer's, too: who sets ``trainable`` of a half sets that of the tokenizer's layers.
    """

    def __init__(self, model: Autoencoder, name: str) -> None:
        super().__init__(name=name, trainable=False)
        self.model = model
        self.built = True


class Encoder(Half):
    """Images (B, H, W, C), float32 in [-0.5, 0.5], to int32 codes, B times ``code_shape``; of two levels, to both."""

    def call(self, images: Tensor) -> Any:
        """Return the codes."""
        *codes, _ = self.model._encode_batch(images)
        return codes if len(codes) > 1 else codes[0]

    def _input_signature(self) -> keras.InputSpec:
        """Return the shape and dtype of images."""
        return keras.InputSpec(shape=(None, *self.model.image_shape), dtype="float32", name="images")


class Decoder(Half):
    """int32 codes, B times ``code_shape``, or those of both levels, to images (B, H, W, C), float32 in [-0.5, 0.5]."""

    def call(self, codes: Any) -> Tensor:
        """Return the images."""
        (images,) = self.model._decode_batch(*(codes if isinstance(codes, (list, tuple)) else [codes]))
        return images

    def _input_signature(self) -> Any:
        """Return the shape and dtype of codes, or of both levels'."""
        levels = self.model.levels
        if len(levels) == 1:
            return keras.InputSpec(shape=(None, *levels[0].code_shape), dtype="int32", name="codes")
        return [
            keras.InputSpec(shape=(None, *level.code_shape), dtype="int32", name=f"{level.name}_codes")
            for level in levels
        ]


class Halves(NamedTuple):
    """The two halves of a tokenizer."""

    encoder: Encoder
    decoder: Decoder


def split(model: Autoencoder) -> Halves:
    """Return a tokenizer's halves, each a model that ``export`` writes to a file of its own.

    Parameters
    ----------
    model : VQVAE or VQVAE2

    Returns
    -------
    encoder : Encoder
        Images to codes, as ``model.encode``.
    decoder : Decoder
        Codes to images, as ``model.decode``.
    """
    return Halves(Encoder(model, name="encoder"), Decoder(model, name="decoder"))

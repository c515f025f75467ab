"""VQVAE2: two levels of codes, the bottom one for what the top one leaves out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike

from vqlib._batches import is_finite
from vqlib._checks import check_image_type, check_positive_integer
from vqlib._defaults import Unset, or_default, unset
from vqlib._forms import OURS
from vqlib._types import Tensor
from vqlib.autoencoder import Autoencoder, build_decoder, build_encoder
from vqlib.levels import Level, check_quantizer
from vqlib.quantizers import VectorQuantizer

LEVELS = ("top", "bottom")


def build_stem(image_shape: Sequence[int], filters: int) -> keras.Model:
    """Return what both levels see of the images, (B, H, W, C) -> (B, H / 2, W / 2, F): a 3 x 3 convolution, ReLU."""
    images = keras.Input(image_shape, name="images")
    features = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu", name="down")(images)
    return keras.Model(images, features, name="stem")


def build_bottom_encoder(top_shape: Sequence[int], feature_shape: Sequence[int], embedding_dim: int) -> keras.Model:
    """Return the bottom level's encoder, features (B, h, w, F) and the quantized top -> (B, h, w, D).

    The top, of shape (B, h / 2, w / 2, D_top), is decoded to the features' size and laid beside them; then a 1 x 1
    convolution to D channels.
    """
    features = keras.Input(feature_shape, name="features")
    top = keras.Input(top_shape, name="quantized_top")
    decoded_top = layers.Conv2DTranspose(
        feature_shape[-1], 3, strides=2, padding="same", activation="relu", name="decode_top"
    )(top)
    both = layers.Concatenate(name="both")([features, decoded_top])  # (B, h, w, 2 F)
    z = layers.Conv2D(embedding_dim, 1, dtype="float32", name="to_embedding")(both)  # float32 also in mixed precision
    return keras.Model([features, top], z, name="bottom_encoder")


def build_decoder_of_both(
    top_shape: Sequence[int], bottom_shape: Sequence[int], channels: int, filters: int
) -> keras.Model:
    """Return the decoder, the quantized top and bottom -> (B, H, W, C).

    The top, of half the bottom's height and width, is enlarged by a transposed convolution and laid beside the bottom.
    """
    top = keras.Input(top_shape, name="quantized_top")
    bottom = keras.Input(bottom_shape, name="quantized_bottom")
    enlarged_top = layers.Conv2DTranspose(top_shape[-1], 3, strides=2, padding="same", name="enlarge_top")(top)
    both = layers.Concatenate(name="both")([enlarged_top, bottom])  # (B, h, w, D_top + D_bottom)
    to_images = build_decoder(bottom_shape[:2], both.shape[-1], channels, (filters, filters), strides=(2, 1))
    return keras.Model([top, bottom], to_images(both), name="decoder_of_both")


@keras.saving.register_keras_serializable("vqlib")
class VQVAE2(Autoencoder):
    """A VQ-VAE with two levels of codes (Razavi, van den Oord and Vinyals 2019, section 3.1, figure 2a, algorithm 1).

    The top level sees the image at a quarter of its height and width, and is quantized first. The bottom level, at half
    the height and width, sees the image *and* the quantized top, so that it need not repeat what the top codes say. The
    decoder sees both. Trained like :class:`vqlib.VQVAE`, by ``compile(optimizer)`` and ``fit(images)``; the loss is
    ``reconstruction_loss`` plus codebook and commitment loss of either level. Their metrics carry the level's name:
    ``top_perplexity``, ``bottom_codes_used``. Let callbacks such as ``EarlyStopping`` watch
    ``"val_reconstruction_loss"`` with ``mode="min"``, as with :class:`vqlib.VQVAE`.

    With the defaults, images (B, 28, 28, 1) become 49 top codes (B, 7, 7) of log2 128 = 7 bits and 196 bottom codes
    (B, 14, 14) of 3 bits: 931 bits an image before any prior, where VQVAE has 343. Compare the two by rate *and*
    distortion. The networks are about as large: 48,817 parameters and 5.5 million multiply-adds an image, against
    49,937 and 5.4 million. The paper's, for images of 256 x 256, have residual blocks, which these have not.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C); H and W divisible by 4.
    num_embeddings : int or pair of int
        K of the top and of the bottom codebook; one integer for both.
    embedding_dim : int
        D of both codebooks.
    beta : float
        Weight of the commitment losses.
    filters : pair of int
        Channels at half and at a quarter of the height and width.
    data_variance : float
        Variance of the training pixels, on the scale of the images; ``data.variance`` of :func:`vqlib.load_dataset`.
        With 1, the reconstruction loss of most pictures is small beside the others; :meth:`adapt` finds the variance.
    quantizers : pair of keras.layers.Layer, optional
        Top and bottom, in place of the classic :class:`vqlib.VectorQuantizer`; as the `quantizer` of
        :class:`vqlib.VQVAE`. Then leave K, D and beta out.

    Attributes
    ----------
    code_shapes : pair of tuple of int
        (h, w) of the top and of the bottom level, or (h, w, N), as in :class:`vqlib.VQVAE`.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (28, 28, 1),
        num_embeddings: int | Sequence[int] = unset((128, 8)),
        embedding_dim: int = unset(16),
        beta: float = unset(0.25),
        filters: int | Sequence[int] = (32, 64),
        data_variance: float = 1.0,
        quantizers: Sequence[keras.layers.Layer] | None = None,
        **kwargs: Any,
    ) -> None:
        if quantizers is None:
            sizes = _pair("num_embeddings", or_default(num_embeddings))
            quantizers = [
                VectorQuantizer(size, or_default(embedding_dim), or_default(beta), name=f"{level}_quantizer")
                for level, size in zip(LEVELS, sizes, strict=True)
            ]
        elif not all(isinstance(given, Unset) for given in (num_embeddings, embedding_dim, beta)):
            raise ValueError("Give either quantizers, or num_embeddings, embedding_dim and beta: they have their own.")
        if not isinstance(quantizers, Sequence) or len(quantizers) != 2 or quantizers[0] is quantizers[1]:
            raise ValueError(f"quantizers must be two different layers, top and bottom, but are {quantizers}.")
        for quantizer in quantizers:
            check_quantizer(quantizer, "Each of quantizers")
        widths = tuple(check_positive_integer("Each entry of filters", width) for width in _pair("filters", filters))
        # Fixed names: the same weights make the same file.
        super().__init__(image_shape, 4, data_variance, **{"name": "vqvae2", **kwargs})
        height, width, channels = self.image_shape
        self.filters = widths
        grid_shapes = ((height // 4, width // 4), (height // 2, width // 2))
        top_shape, bottom_shape = (
            (*shape, quantizer.embedding_dim) for shape, quantizer in zip(grid_shapes, quantizers, strict=True)
        )
        stem = build_stem(self.image_shape, self.filters[0])
        feature_shape = stem.output_shape[1:]
        self._set_parts(
            quantizers=list(quantizers),
            stem=stem,
            top_encoder=build_encoder(feature_shape, top_shape[-1], self.filters[1:], name="top_encoder"),
            bottom_encoder=build_bottom_encoder(top_shape, feature_shape, bottom_shape[-1]),
            decoder=build_decoder_of_both(top_shape, bottom_shape, channels, self.filters[0]),
        )
        self._set_levels(
            *(
                Level(name, quantizer, shape, prefix=f"{name}_")
                for name, quantizer, shape in zip(LEVELS, quantizers, grid_shapes, strict=True)
            )
        )
        self.code_shapes = tuple(level.code_shape for level in self.levels)
        for quantizer, shape in zip(quantizers, (top_shape, bottom_shape), strict=True):
            quantizer.build((None, *shape))
        self.built = True

    @property
    def num_embeddings(self) -> tuple[int, int]:
        """K of the top and of the bottom codebook."""
        top, bottom = self.quantizers
        return top.num_embeddings, bottom.num_embeddings

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Reconstruct: (B, H, W, C) -> (B, H, W, C)."""
        check_image_type(images, self.image_shape)
        top, bottom = self.levels
        features = self.stem(images)  # (B, H / 2, W / 2, F)
        of_top = top.quantize(self.top_encoder(features), training)  # (B, H / 4, W / 4, D)
        of_bottom = bottom.quantize(self.bottom_encoder([features, of_top.z_q]), training)  # (B, H / 2, W / 2, D)
        self._kept.quantized = of_top, of_bottom
        return self.decoder([of_top.z_q, of_bottom.z_q])

    def encode(self, images: ArrayLike, batch_size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of images, batch by batch.

        Parameters
        ----------
        images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        batch_size : int, optional
            Images encoded at once; as many as half a gigabyte holds by default, and 1024 at most.

        Returns
        -------
        top : int32 NumPy array, shape (N, H / 4, W / 4)
        bottom : int32 NumPy array, shape (N, H / 2, W / 2)

        Raises
        ------
        ValueError
            If the images have another shape or range, or an encoder makes NaN or infinity of them.
        TypeError
            If they are not floating point.
        """
        top, bottom = self._encode_levels(images, batch_size)
        return top, bottom

    def decode(self, top: Any, bottom: ArrayLike | None = None, batch_size: int | None = None) -> np.ndarray:
        """Return the images that codes of both levels stand for, batch by batch.

        Takes what :meth:`encode` gave, ``decode((top, bottom))``, as well as ``decode(top, bottom)``. Any top codes go
        with any bottom codes: ``decode(top[::-1], bottom)`` swaps the top codes between images.

        Parameters
        ----------
        top : int array, shape (N, H / 4, W / 4), in 0..K_top - 1; or a pair, top and bottom
        bottom : int array, shape (N, H / 2, W / 2), in 0..K_bottom - 1
        batch_size : int, optional
            Images decoded at once; as many as half a gigabyte holds by default, and 1024 at most.

        Returns
        -------
        images : float32 NumPy array, shape (N, H, W, C)
            In [-0.5, 0.5]. The decoder's own outputs lie a little beyond here and there; that is cut off.
        """
        if bottom is None:
            if not isinstance(top, (tuple, list)) or len(top) != 2:
                raise TypeError(
                    "decode takes the codes of both levels: decode(top, bottom), or what encode gave, a pair."
                )
            top, bottom = top
        codes = [
            level.check_codes(grids, f"{level.name} codes")
            for grids, level in zip((top, bottom), self.levels, strict=True)
        ]
        if len(codes[0]) != len(codes[1]):
            raise ValueError(
                "top and bottom codes must be of as many images, "
                f"but are of {len(codes[0])} and of {len(codes[1])}. "
                "To decode one grid with many, repeat it: np.repeat(top, len(bottom), axis=0)."
            )
        return self._decode_levels(codes, batch_size)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this model anew."""
        quantizers = [keras.saving.serialize_keras_object(quantizer) for quantizer in self.quantizers]
        return {**super().get_config(), "filters": self.filters, "quantizers": quantizers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "VQVAE2":
        """Make a model from :meth:`get_config`'s answer."""
        quantizers = [keras.saving.deserialize_keras_object(quantizer) for quantizer in config["quantizers"]]
        return cls(**{**config, "quantizers": quantizers})

    def _outputs_for(self, images: Tensor, place: int) -> Tensor:
        features = self.stem(images)
        z_top = self.top_encoder(features)
        if place == 0:
            return z_top
        top = self.quantizers[0]
        return self.bottom_encoder([features, top.decode(top.encode(z_top))])

    def _encode_batch(self, images: Tensor) -> tuple[Tensor, ...]:
        top, bottom = self.quantizers
        features = self.stem(images)
        z_top = self.top_encoder(features)
        top_codes = top.encode(z_top)
        z_bottom = self.bottom_encoder([features, top.decode(top_codes)])
        codes = (top_codes, bottom.encode(z_bottom))
        return *(ops.cast(each, "int32") for each in codes), is_finite(z_top, z_bottom)

    def _decode_batch(self, *codes: Tensor) -> tuple[Tensor]:
        z_q = [quantizer.decode(each) for quantizer, each in zip(self.quantizers, codes, strict=True)]
        return (ops.clip(self.decoder(z_q), *OURS),)


def _pair(name: str, values: Any) -> tuple[int, int]:
    """Return one value for each level, given two, or one for both."""
    pair = (values, values) if np.ndim(values) == 0 else tuple(values)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a pair, or one integer for both, but {values} was given.")
    return pair

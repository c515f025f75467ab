"""VQVAE2: two levels of codes, the bottom one for what the top one leaves out."""

import keras
import numpy as np
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._checks import check_codes, check_images, check_positive_integer
from vqlib.autoencoder import Autoencoder, batches, build_decoder, build_encoder
from vqlib.quantizers import VectorQuantizer

LEVELS = ("top", "bottom")


def build_stem(image_shape, filters):
    """Return what both levels see of the images, (B, H, W, C) -> (B, H / 2, W / 2, F): a 3 x 3 convolution, ReLU."""
    images = keras.Input(image_shape, name="images")
    features = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu", name="down")(images)
    return keras.Model(images, features, name="stem")


def build_bottom_encoder(top_shape, feature_shape, embedding_dim):
    """Return the bottom level's encoder, features (B, h, w, F) and the quantized top -> (B, h, w, D).

    The top, of shape (B, h / 2, w / 2, D_top), is decoded to the features' size and laid beside them; then a 1 x 1
    convolution to D channels.
    """
    features, top = keras.Input(feature_shape, name="features"), keras.Input(top_shape, name="quantized_top")
    decoded_top = layers.Conv2DTranspose(
        feature_shape[-1], 3, strides=2, padding="same", activation="relu", name="decode_top"
    )(top)
    both = layers.Concatenate(name="both")([features, decoded_top])  # (B, h, w, 2 F)
    z = layers.Conv2D(embedding_dim, 1, dtype="float32", name="to_embedding")(both)  # float32 also in mixed precision
    return keras.Model([features, top], z, name="bottom_encoder")


def build_decoder_of_both(top_shape, bottom_shape, channels, filters):
    """Return the decoder, the quantized top and bottom -> (B, H, W, C).

    The top, of half the bottom's height and width, is enlarged by a transposed convolution and laid beside the bottom.
    """
    top, bottom = keras.Input(top_shape, name="quantized_top"), keras.Input(bottom_shape, name="quantized_bottom")
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
    ``top_perplexity``, ``bottom_codes_used``.

    With the defaults, images (B, 28, 28, 1) become 49 top codes (B, 7, 7) of log2 128 = 7 bits and 196 bottom codes
    (B, 14, 14) of 3 bits: 931 bits an image before any prior, where VQVAE has 343. Compare the two by rate *and*
    distortion. The networks are about as large: 48,817 parameters and 5.5 million multiply-adds an image, against
    49,937 and 5.4 million. The paper's, for images of 256 x 256, have residual blocks, which these have not.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C); H and W divisible by 4.
    num_embeddings : int or pair of int
        K of the top and of the bottom codebook, (128, 8) by default; one integer for both.
    embedding_dim : int
        D of both codebooks, 16 by default.
    beta : float
        Weight of the commitment losses, 0.25 by default.
    filters : pair of int
        Channels at half and at a quarter of the height and width.
    data_variance : float
        Variance of the training pixels, on the scale of the images; ``data.variance`` of :func:`vqlib.load_dataset`.
    quantizers : pair of keras.layers.Layer, optional
        Top and bottom, in place of the classic :class:`vqlib.VectorQuantizer`; as the `quantizer` of
        :class:`vqlib.VQVAE`. Then leave K, D and beta out.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_embeddings=None,
        embedding_dim=None,
        beta=None,
        filters=(32, 64),
        data_variance=1.0,
        quantizers=None,
        **kwargs,
    ):
        if quantizers is None:
            sizes = _pair("num_embeddings", (128, 8) if num_embeddings is None else num_embeddings)
            dimension, beta = 16 if embedding_dim is None else embedding_dim, 0.25 if beta is None else beta
            quantizers = [
                VectorQuantizer(size, dimension, beta, name=f"{level}_quantizer")
                for level, size in zip(LEVELS, sizes, strict=True)
            ]
        elif (num_embeddings, embedding_dim, beta) != (None, None, None):
            raise ValueError("Give either quantizers, or num_embeddings, embedding_dim and beta: they have their own.")
        if len(quantizers) != 2 or quantizers[0] is quantizers[1]:
            raise ValueError(f"quantizers must be two different layers, top and bottom, but are {quantizers}.")
        for width in _pair("filters", filters):
            check_positive_integer("Each entry of filters", width)
        # Fixed names: the same weights make the same file.
        super().__init__(image_shape, 4, data_variance, **{"name": "vqvae2", **kwargs})
        height, width, channels = self.image_shape
        self.filters = _pair("filters", filters)
        self.code_shapes = ((height // 4, width // 4), (height // 2, width // 2))
        self.quantizers = list(quantizers)
        top_shape, bottom_shape = (
            (*shape, quantizer.embedding_dim)
            for shape, quantizer in zip(self.code_shapes, self.quantizers, strict=True)
        )
        self.stem = build_stem(self.image_shape, self.filters[0])
        feature_shape = self.stem.output_shape[1:]
        self.top_encoder = build_encoder(feature_shape, top_shape[-1], self.filters[1:], name="top_encoder")
        self.bottom_encoder = build_bottom_encoder(top_shape, feature_shape, bottom_shape[-1])
        self.decoder = build_decoder_of_both(top_shape, bottom_shape, channels, self.filters[0])
        for quantizer, shape in zip(self.quantizers, (top_shape, bottom_shape), strict=True):
            quantizer.build((None, *shape))
        self.built = True

    @property
    def num_embeddings(self):
        """K of the top and of the bottom codebook."""
        return tuple(quantizer.num_embeddings for quantizer in self.quantizers)

    def call(self, images, training=None):
        """Reconstruct: (B, H, W, C) -> (B, H, W, C)."""
        quantize_top, quantize_bottom = self.quantizers
        features = self.stem(images)  # (B, H / 2, W / 2, F)
        top = quantize_top(self.top_encoder(features), training=training)  # (B, H / 4, W / 4, D)
        bottom = quantize_bottom(self.bottom_encoder([features, top]), training=training)  # (B, H / 2, W / 2, D)
        return self.decoder([top, bottom])

    def encode(self, images):
        """Return the codes of images, batch by batch: (N, H, W, C) in [-0.5, 0.5] -> top and bottom, int32, NumPy.

        The top codes have the shape (N, H / 4, W / 4), the bottom codes (N, H / 2, W / 2).
        """
        check_images(images, self.image_shape)
        encode = backend.compiled(self, _encode, keras.KerasTensor((None, *self.image_shape), "float32"))
        pairs = [encode(np.asarray(batch, "float32")) for batch in batches(images)]
        return tuple(
            np.concatenate([np.zeros((0, *shape), "int32"), *(ops.convert_to_numpy(pair[level]) for pair in pairs)])
            for level, shape in enumerate(self.code_shapes)
        )

    def decode(self, top, bottom):
        """Return the images that codes of both levels stand for, batch by batch.

        Any top codes go with any bottom codes: ``decode(top[::-1], bottom)`` swaps the top codes between images.

        Parameters
        ----------
        top : int array, shape (N, H / 4, W / 4), in 0..K_top - 1
        bottom : int array, shape (N, H / 2, W / 2), in 0..K_bottom - 1

        Returns
        -------
        images : float32 NumPy array, shape (N, H, W, C)
        """
        top, bottom = (
            check_codes(codes, size, shape, f"{level} codes")
            for codes, size, shape, level in zip(
                (top, bottom), self.num_embeddings, self.code_shapes, LEVELS, strict=True
            )
        )
        if len(top) != len(bottom):
            raise ValueError(
                f"top and bottom codes must be of as many images, but are of {len(top)} and of {len(bottom)}. "
                "To decode one grid with many, repeat it: np.repeat(top, len(bottom), axis=0)."
            )
        grids = (keras.KerasTensor((None, *shape), "int32") for shape in self.code_shapes)
        decode = backend.compiled(self, _decode, *grids)
        images = [ops.convert_to_numpy(decode(*pair)) for pair in zip(batches(top), batches(bottom), strict=True)]
        return np.concatenate([np.zeros((0, *self.image_shape), "float32"), *images])

    def initialize_codebook(self, images, method="kmeans", seed=0):
        """Start both codebooks from the encoders' outputs for `images` (a few hundred do), top first.

        `method` is "kmeans", for their k-means centres, or "data", for some of them. The bottom encoder's outputs
        depend on the quantized top, so the bottom codebook has to wait for the top one.
        """
        check_images(images, self.image_shape)
        top, bottom = self.quantizers
        features = self.stem(images)
        z_top = self.top_encoder(features)
        top.initialize(z_top, method, seed)
        bottom.initialize(self.bottom_encoder([features, top.decode(top.encode(z_top))]), method, seed)

    def get_metrics_result(self):
        """Return the metrics by name, those of a quantizer under its level's: both quantizers use the same names."""
        results = super().get_metrics_result()
        for level, quantizer in zip(LEVELS, self.quantizers, strict=True):
            for metric in quantizer.metrics:
                results.pop(metric.name, None)
                results[f"{level}_{metric.name}"] = metric.result()
        return results

    def get_config(self):
        """Return the arguments that make this model anew."""
        quantizers = [keras.saving.serialize_keras_object(quantizer) for quantizer in self.quantizers]
        return {**super().get_config(), "filters": self.filters, "quantizers": quantizers}

    @classmethod
    def from_config(cls, config):
        """Make a model from :meth:`get_config`'s answer."""
        quantizers = [keras.saving.deserialize_keras_object(quantizer) for quantizer in config["quantizers"]]
        return cls(**{**config, "quantizers": quantizers})


def _encode(model, images):
    top, bottom = model.quantizers
    features = model.stem(images)
    top_codes = top.encode(model.top_encoder(features))
    return top_codes, bottom.encode(model.bottom_encoder([features, top.decode(top_codes)]))


def _decode(model, top_codes, bottom_codes):
    top, bottom = model.quantizers
    return model.decoder([top.decode(top_codes), bottom.decode(bottom_codes)])


def _pair(name, values):
    """Return one value for each level, given two, or one for both."""
    pair = (values, values) if np.ndim(values) == 0 else tuple(values)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a pair, or one integer for both, but {values} was given.")
    return pair

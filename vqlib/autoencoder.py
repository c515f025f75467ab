"""VQVAE: a convolutional encoder, a quantizer, and a decoder that mirrors the encoder; what all autoencoders share."""

import keras
import numpy as np
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._callbacks import show_data
from vqlib._checks import check_codes, check_images, check_positive_integer, inputs_of, refuse_sample_weight
from vqlib._progress import announced
from vqlib.quantizers import VectorQuantizer

IMAGES_PER_BATCH = 1024  # in encode and decode


def build_encoder(image_shape, embedding_dim, filters=(32, 64), strides=2, name="encoder"):
    """Return the encoder, (B, H, W, C) -> (B, H / s, W / s, D), s the product of the strides.

    One strided 3 x 3 convolution with a ReLU for each entry of `filters`, then a 1 x 1 convolution to D channels.
    """
    images = keras.Input(image_shape, name="images")
    x = images
    for i, (width, stride) in enumerate(zip(filters, strides_of(filters, strides), strict=True)):
        x = layers.Conv2D(width, 3, strides=stride, padding="same", activation="relu", name=f"down_{i}")(x)
    z = layers.Conv2D(embedding_dim, 1, dtype="float32", name="to_embedding")(x)  # float32 also in mixed precision
    return keras.Model(images, z, name=name)


def build_decoder(code_shape, embedding_dim, channels, filters=(32, 64), strides=2):
    """Return the decoder, (B, h, w, D) -> (B, H, W, C): the strided layers transposed, then 3 x 3 to C channels."""
    z_q = keras.Input((*code_shape, embedding_dim), name="quantized")
    x = z_q
    stages = list(enumerate(zip(filters, strides_of(filters, strides), strict=True)))
    for i, (width, stride) in reversed(stages):
        x = layers.Conv2DTranspose(width, 3, strides=stride, padding="same", activation="relu", name=f"up_{i}")(x)
    images = layers.Conv2DTranspose(channels, 3, padding="same", dtype="float32", name="to_pixels")(x)
    return keras.Model(z_q, images, name="decoder")


def strides_of(filters, strides):
    """Return one stride for each entry of `filters`."""
    return (strides,) * len(filters) if np.ndim(strides) == 0 else tuple(strides)


class Autoencoder(keras.Model):
    """What VQVAE and :class:`vqlib.VQVAE2` share: fit, evaluate and predict on images, which are their own targets.

    A subclass gives ``call``, images (B, H, W, C) -> reconstructions (B, H, W, C), and has quantizers among its layers,
    which add losses of their own.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C)
    stride : int
        What H and W must be divisible by.
    data_variance : float
        Divides the mean squared error.
    """

    def __init__(self, image_shape, stride, data_variance, **kwargs):
        super().__init__(**kwargs)
        if len(image_shape) != 3:
            raise ValueError(f"image_shape must be (height, width, channels), but {tuple(image_shape)} was given.")
        for size in image_shape:
            check_positive_integer("Each entry of image_shape", size)
        if image_shape[0] % stride or image_shape[1] % stride:
            raise ValueError(
                f"Height and width must be divisible by {stride}, the product of the strides, "
                f"but image_shape is {tuple(image_shape)}. Pad or crop the images."
            )
        if not data_variance > 0:
            raise ValueError(f"data_variance must be above 0, but {data_variance!r} was given.")
        self.image_shape = tuple(image_shape)
        self.data_variance = float(data_variance)
        self.reconstruction_loss = keras.metrics.Mean(name="reconstruction_loss")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of a batch: reconstruction, plus what quantizers added; the images are the targets."""
        refuse_sample_weight(sample_weight)
        squared_error = ops.mean((ops.cast(x, "float32") - y_pred) ** 2)
        reconstruction_loss = squared_error / self.data_variance
        self.reconstruction_loss.update_state(reconstruction_loss, sample_weight=ops.shape(x)[0])
        loss = backend.share_of_replica(reconstruction_loss + sum(self.losses))
        for layer in self.layers:
            if hasattr(layer, "finish_call"):
                layer.finish_call()
        return loss

    def fit(self, x=None, *args, **kwargs):
        """Train on images, see ``keras.Model.fit``; arrays are checked first, ``tf.data`` is taken as it is."""
        self._check(x, "images to train on")
        self._check(inputs_of(kwargs.get("validation_data")), "images to validate on")
        show_data(kwargs.get("callbacks"), x, batch_size=kwargs.get("batch_size"))
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Evaluate on images, see ``keras.Model.evaluate``; ``return_dict=True`` names the metrics."""
        self._check(x, "images to evaluate")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Reconstruct images in batches, see ``keras.Model.predict``: (N, H, W, C) -> (N, H, W, C), NumPy."""
        self._check(x, "images to reconstruct")
        return super().predict(x, *args, **kwargs)

    def get_config(self):
        """Return the arguments of this class."""
        return {**super().get_config(), "image_shape": self.image_shape, "data_variance": self.data_variance}

    def _check(self, images, name):
        if isinstance(images, np.ndarray):
            check_images(images, self.image_shape, name)


@keras.saving.register_keras_serializable("vqlib")
class VQVAE(Autoencoder):
    """A vector-quantized variational autoencoder (van den Oord, Vinyals and Kavukcuoglu 2017).

    Trained by ``compile(optimizer)`` and ``fit(images)``, without targets. The loss is the paper's equation 3 with a
    Gaussian decoder: ``reconstruction_loss``, the mean squared error over `data_variance`, plus the quantizer's
    ``codebook_loss`` and ``commitment_loss``. All are metrics, over the dataset.

    With the defaults, images (B, 28, 28, 1) become z (B, 7, 7, 16), codes (B, 7, 7), and images again; 48,913
    parameters at K = 64, as in the Keras example of 2021.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C); H and W divisible by the product of the strides.
    num_embeddings, embedding_dim : int
        K and D of the codebook, 128 and 16 by default.
    beta : float
        Weight of the commitment loss, 0.25 by default.
    filters : sequence of int
        Channels of each strided layer of the encoder; the decoder's are the same, reversed.
    strides : int or sequence of int
        The stride of each of these layers.
    data_variance : float
        Variance of the training pixels, on the scale of the images; ``data.variance`` of :func:`vqlib.load_dataset`.
    quantizer : keras.layers.Layer, optional
        In place of the classic :class:`VectorQuantizer`: any layer (..., D) -> (..., D) with ``encode``, ``decode``,
        ``num_embeddings`` and ``embedding_dim``, which adds its losses itself. Then leave K, D and beta out.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_embeddings=None,
        embedding_dim=None,
        beta=None,
        filters=(32, 64),
        strides=2,
        data_variance=1.0,
        quantizer=None,
        **kwargs,
    ):
        if quantizer is None:
            quantizer = VectorQuantizer(
                128 if num_embeddings is None else num_embeddings,
                16 if embedding_dim is None else embedding_dim,
                0.25 if beta is None else beta,
                name="quantizer",
            )
        elif (num_embeddings, embedding_dim, beta) != (None, None, None):
            raise ValueError("Give either quantizer, or num_embeddings, embedding_dim and beta: it has its own.")
        for size in (*filters, *strides_of(filters, strides)):
            check_positive_integer("Each entry of filters and strides", size)
        if len(strides_of(filters, strides)) != len(filters):
            raise ValueError(
                f"strides must be one integer, or one for each entry of filters, {tuple(filters)}, but are {strides}."
            )
        stride = int(np.prod(strides_of(filters, strides)))
        # Fixed names: the same weights make the same file.
        super().__init__(image_shape, stride, data_variance, **{"name": "vqvae", **kwargs})
        self.code_shape = (image_shape[0] // stride, image_shape[1] // stride)
        self.filters = tuple(filters)
        self.strides = strides if np.ndim(strides) == 0 else tuple(strides)
        self.encoder = build_encoder(self.image_shape, quantizer.embedding_dim, self.filters, self.strides)
        self.quantizer = quantizer
        self.decoder = build_decoder(
            self.code_shape, quantizer.embedding_dim, image_shape[2], self.filters, self.strides
        )
        self.quantizer.build((None, *self.code_shape, quantizer.embedding_dim))
        self.built = True

    @property
    def num_embeddings(self):
        """K, the number of codes."""
        return self.quantizer.num_embeddings

    @property
    def embedding_dim(self):
        """D, the length of a codebook entry."""
        return self.quantizer.embedding_dim

    def call(self, images, training=None):
        """Reconstruct: (B, H, W, C) -> (B, H, W, C)."""
        return self.decoder(self.quantizer(self.encoder(images), training=training))

    def encode(self, images):
        """Return the codes of images, batch by batch: (N, H, W, C) in [-0.5, 0.5] -> (N, h, w) int32, NumPy."""
        check_images(images, self.image_shape)
        encode = backend.compiled(self, _encode, keras.KerasTensor((None, *self.image_shape), "float32"))
        codes = [ops.convert_to_numpy(encode(np.asarray(batch, "float32"))) for batch in batches(images)]
        return np.concatenate([np.zeros((0, *self.code_shape), "int32"), *codes])

    def decode(self, codes):
        """Return the images that codes stand for, batch by batch: (N, h, w) int -> (N, H, W, C) float32, NumPy."""
        codes = check_codes(codes, self.num_embeddings, self.code_shape)
        decode = backend.compiled(self, _decode, keras.KerasTensor((None, *self.code_shape), "int32"))
        images = [ops.convert_to_numpy(decode(batch)) for batch in batches(codes)]
        return np.concatenate([np.zeros((0, *self.image_shape), "float32"), *images])

    def initialize_codebook(self, images, method="kmeans", seed=0):
        """Start the codebook from the encoder's outputs for `images` (a few hundred do).

        `method` is "kmeans", for their k-means centres, or "data", for some of them.
        """
        check_images(images, self.image_shape)
        if not hasattr(self.quantizer, "initialize"):
            raise TypeError(f"{type(self.quantizer).__name__} has no codebook to initialize. Leave this call out.")
        self.quantizer.initialize(self.encoder(images), method, seed)

    def get_config(self):
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "quantizer": keras.saving.serialize_keras_object(self.quantizer),
        }

    @classmethod
    def from_config(cls, config):
        """Make a model from :meth:`get_config`'s answer."""
        return cls(**{**config, "quantizer": keras.saving.deserialize_keras_object(config["quantizer"])})


def _encode(model, images):
    return model.quantizer.encode(model.encoder(images))


def _decode(model, codes):
    return model.decoder(model.quantizer.decode(codes))


def batches(array):
    """Return the parts of an array that ``encode`` and ``decode`` work on, one after the other."""
    starts = announced(range(0, len(array), IMAGES_PER_BATCH), "autoencoder")
    return (array[i : i + IMAGES_PER_BATCH] for i in starts)

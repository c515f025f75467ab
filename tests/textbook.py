"""VQ-VAE, PixelCNN and sampling as the first tutorials write them: plain, correct and slow.

The reference that vqlib's faster ways are tested against and timed against. Weights come in the same order, and
:func:`copy_weights` brings them over, both ways.
"""

import keras
import numpy as np
from keras import layers, ops

from vqlib.pixelcnn import causal_mask


def copy_weights(source, target):
    """Give `target` the weights of `source`; a 1 x 1 convolution's (1, 1, C, F) may be a Dense layer's (C, F)."""
    target.set_weights(
        [np.reshape(w, there.shape) for w, there in zip(source.get_weights(), target.weights, strict=True)]
    )


class MaskedConv(layers.Layer):
    """A convolution with its whole kernel, multiplied by the mask: (B, H, W, C) -> (B, H, W, filters)."""

    def __init__(self, filters, kernel_size, mask_type, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(filters, kernel_size, padding="same")
        self.mask = causal_mask(kernel_size, mask_type)[:, :, None, None]

    def build(self, input_shape):
        """Make the kernel and the bias."""
        self.conv.build(input_shape)

    def call(self, x):
        """Mask, convolve, add the bias, apply the ReLU."""
        return ops.relu(ops.conv(x, self.conv.kernel * self.mask, padding="same") + self.conv.bias)


def pixelcnn(code_shape=(7, 7), num_embeddings=128, filters=128, num_residual_blocks=2, num_pixelcnn_layers=2):
    """Return the prior as a functional model: codes (B, h, w) int -> logits (B, h, w, K)."""
    codes = keras.Input(code_shape, dtype="int32")
    x = MaskedConv(filters, 7, "A")(OneHot(num_embeddings)(codes))
    for _ in range(num_residual_blocks):
        y = layers.Conv2D(filters, 1, activation="relu")(x)
        y = MaskedConv(filters // 2, 3, "B")(y)
        y = layers.Conv2D(filters, 1, activation="relu")(y)
        x = layers.Add()([x, y])
    for _ in range(num_pixelcnn_layers):
        x = MaskedConv(filters, 1, "B")(x)
    return keras.Model(codes, layers.Conv2D(num_embeddings, 1)(x))


class OneHot(layers.Layer):
    """Codes (...) int -> (..., K) float32, a one where the code is."""

    def __init__(self, num_embeddings, **kwargs):
        super().__init__(**kwargs)
        self.num_embeddings = num_embeddings

    def call(self, codes):
        """Return the one-hot vectors."""
        return ops.one_hot(codes, self.num_embeddings)

    def compute_output_shape(self, shape):
        """Return the shape with K at the end."""
        return (*shape, self.num_embeddings)


def gumbel_noise(generator, shape):
    """Return standard Gumbel noise, float64, from the float32 exponential noise of a generator."""
    exponential = generator.standard_exponential(shape, dtype="float32").astype("float64")
    return -np.log(np.where(exponential == 0, 2.0**-24, exponential))  # a 0 stands for anything below about that


def sample(network, noise, temperature=1.0, codes=None, keep=None):
    """Draw grids of codes: `predict` on the whole grid for every position, of which one is kept.

    `noise` is standard Gumbel noise (N, h, w, K); `codes` and `keep`, (N, h, w), are for inpainting.
    """
    codes = np.zeros(noise.shape[:3], "int32") if codes is None else codes.astype("int32")
    for i, j in np.ndindex(*noise.shape[1:3]):
        logits = network.predict(codes, batch_size=min(len(codes), 256), verbose=0)
        drawn = np.argmax(logits[:, i, j] / temperature + noise[:, i, j], axis=-1)
        codes[:, i, j] = drawn if keep is None else np.where(keep[:, i, j], codes[:, i, j], drawn)
    return codes


class VectorQuantizer(layers.Layer):
    """Nearest codebook entries by one matrix of distances and a product with one-hot codes: (..., D) -> (..., D)."""

    def __init__(self, num_embeddings, embedding_dim, beta=0.25, **kwargs):
        super().__init__(**kwargs)
        self.num_embeddings, self.embedding_dim, self.beta = num_embeddings, embedding_dim, beta
        self.codebook = self.add_weight(shape=(num_embeddings, embedding_dim), initializer="uniform", name="codebook")

    def call(self, z):
        """Quantize, add both losses, pass the gradient straight through."""
        one_hot = ops.one_hot(self.encode(ops.reshape(z, (-1, self.embedding_dim))), self.num_embeddings)
        z_q = ops.reshape(ops.matmul(one_hot, self.codebook), ops.shape(z))
        self.add_loss(ops.mean((z_q - ops.stop_gradient(z)) ** 2))
        self.add_loss(self.beta * ops.mean((ops.stop_gradient(z_q) - z) ** 2))
        return z + ops.stop_gradient(z_q - z)

    def encode(self, flat):
        """Return the codes of vectors: (N, D) -> (N,) int."""
        similarity = ops.matmul(flat, ops.transpose(self.codebook))  # (N, K)
        squares = ops.sum(flat**2, axis=1, keepdims=True) + ops.sum(self.codebook**2, axis=1)
        return ops.argmin(squares - 2 * similarity, axis=1)


class VQVAE(keras.Model):
    """Encoder, quantizer and decoder for 28 x 28 images, trained by ``fit(images)``."""

    def __init__(self, num_embeddings=128, embedding_dim=16, data_variance=1.0, **kwargs):
        super().__init__(**kwargs)
        self.data_variance = data_variance
        self.encoder = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2D(embedding_dim, 1),
            ]
        )
        self.quantizer = VectorQuantizer(num_embeddings, embedding_dim)
        self.decoder = keras.Sequential(
            [
                keras.Input((7, 7, embedding_dim)),
                layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2DTranspose(1, 3, padding="same"),
            ]
        )
        self.reconstruction_loss = keras.metrics.Mean(name="reconstruction_loss")
        self.vq_loss = keras.metrics.Mean(name="vq_loss")
        self.built = True

    def call(self, images):
        """Reconstruct: (B, 28, 28, 1) -> (B, 28, 28, 1)."""
        return self.decoder(self.quantizer(self.encoder(images)))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of a batch: reconstruction, codebook and commitment."""
        reconstruction_loss = ops.mean((x - y_pred) ** 2) / self.data_variance
        self.reconstruction_loss.update_state(reconstruction_loss)
        self.vq_loss.update_state(sum(self.losses))
        return reconstruction_loss + sum(self.losses)

    def encode(self, images):
        """Return codes: the encoder's outputs for all images, then one matrix of all distances."""
        z = self.encoder.predict(images, verbose=0)  # (N, 7, 7, D)
        return ops.convert_to_numpy(self.quantizer.encode(z.reshape(-1, z.shape[-1]))).reshape(z.shape[:-1])

"""PixelCNN: masked convolutions that predict each code from those above it and to its left."""

import keras
import numpy as np
from keras import layers, ops

from vqlib._checks import check_code_type, check_codes, check_positive_integer, is_array, refuse_sample_weight
from vqlib.metrics import bits_per_image


def causal_mask(kernel_size, mask_type):
    """Return the mask of a causal convolution.

    Van den Oord, Kalchbrenner and Kavukcuoglu (2016, "Pixel recurrent neural networks"), figure 2 and section 3.4.

    Parameters
    ----------
    kernel_size : int, odd
    mask_type : "A" or "B"
        Both let through the rows above, and what is to the left in the same row. "A", for the first layer, hides the
        position itself; "B", for all later layers, lets it through, since it no longer holds the code to predict.

    Returns
    -------
    float32 array, shape (kernel_size, kernel_size), of ones and zeros
    """
    check_positive_integer("kernel_size", kernel_size)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that the kernel has a centre, but {kernel_size} was given.")
    if mask_type not in ("A", "B"):
        raise ValueError(f'mask_type must be "A" or "B", but {mask_type!r} was given.')
    centre = kernel_size // 2
    mask = np.zeros((kernel_size, kernel_size), "float32")
    mask[:centre] = 1
    mask[centre, : centre + (mask_type == "B")] = 1
    return mask


@keras.saving.register_keras_serializable("vqlib")
class MaskedConv2D(layers.Layer):
    """A 'same' convolution whose kernel is multiplied by :func:`causal_mask`: (B, H, W, C) -> (B, H, W, filters).

    The mask is a constant and the kernel keeps its full shape, (k, k, C, filters), as in the textbook. Its lower rows
    are always masked, so they are cut off before the convolution and cost nothing.

    Parameters
    ----------
    filters : int
    kernel_size : int, odd
    mask_type : "A" or "B"
    activation : str or callable, optional
    kernel_initializer : str or keras.initializers.Initializer
    """

    def __init__(self, filters, kernel_size, mask_type, activation=None, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("filters", filters)
        self.filters = filters
        self.kernel_size = kernel_size
        self.mask_type = mask_type
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.mask = causal_mask(kernel_size, mask_type)

    def build(self, input_shape):
        """Make kernel and bias."""
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        """Convolve with the masked kernel, add the bias, apply the activation."""
        half = self.kernel_size // 2
        x = ops.pad(x, [[0, 0], [half, 0], [half, half], [0, 0]])
        return self.activation(ops.conv(x, self.live_kernel()) + self.bias)

    def live_kernel(self):
        """Return the rows of the masked kernel that are not all zero: (k // 2 + 1, k, C, filters)."""
        mask = ops.convert_to_tensor(self.mask[:, :, None, None], self.compute_dtype)
        return (self.kernel * mask)[: self.kernel_size // 2 + 1]

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "mask_type": self.mask_type,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("vqlib")
class MaskedCodeConv2D(MaskedConv2D):
    """A :class:`MaskedConv2D` of one-hot codes, without the one-hot: (B, H, W) int -> (B, H, W, filters).

    A kernel tap times a one-hot vector is one row of that tap. So each live tap is a table (K, filters), the output is
    a sum of looked-up rows, and nothing is multiplied. Beyond the border one more row, of zeros, is looked up.
    """

    def __init__(self, num_embeddings, filters, kernel_size, mask_type, activation=None, **kwargs):
        super().__init__(filters, kernel_size, mask_type, activation, **kwargs)
        check_positive_integer("num_embeddings", num_embeddings)
        self.num_embeddings = num_embeddings

    def build(self, input_shape):
        """Make the kernel that the same convolution of one-hot codes would have."""
        super().build((*input_shape, self.num_embeddings))

    def call(self, codes):
        """Sum the rows that the neighbours' codes look up, add the bias, apply the activation."""
        height, width = codes.shape[1:3]
        half = self.kernel_size // 2
        outside = self.num_embeddings
        codes = ops.pad(codes, [[0, 0], [half, 0], [half, half]], constant_values=outside)
        tables = ops.pad(self.live_kernel(), [[0, 0], [0, 0], [0, 1], [0, 0]])  # (k // 2 + 1, k, K + 1, filters)
        tables = [ops.unstack(row) for row in ops.unstack(tables)]
        rows = [
            ops.take(tables[i][j], codes[:, i : i + height, j : j + width], axis=0) for i, j in np.argwhere(self.mask)
        ]
        return self.activation(sum(rows) + self.bias)

    def get_config(self):
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "num_embeddings": self.num_embeddings}


def residual_block(x, filters, name):
    """1 x 1, masked 3 x 3 with half the channels, 1 x 1, each with a ReLU, added to x: (B, H, W, F) -> (B, H, W, F)."""
    y = layers.Conv2D(filters, 1, activation="relu", name=f"{name}_in")(x)
    y = MaskedConv2D(filters // 2, 3, "B", activation="relu", name=f"{name}_masked")(y)
    y = layers.Conv2D(filters, 1, activation="relu", name=f"{name}_out")(y)
    return layers.Add(name=f"{name}_sum")([x, y])


def build_network(code_shape, num_embeddings, filters, num_residual_blocks, num_pixelcnn_layers):
    """Return the network, codes (B, h, w) int -> logits (B, h, w, K)."""
    codes = keras.Input(code_shape, dtype="int32", name="codes")
    x = MaskedCodeConv2D(num_embeddings, filters, 7, "A", activation="relu", name="codes_masked")(codes)
    for i in range(num_residual_blocks):
        x = residual_block(x, filters, f"block_{i}")
    for i in range(num_pixelcnn_layers):
        x = MaskedConv2D(filters, 1, "B", activation="relu", name=f"masked_{i}")(x)
    logits = layers.Conv2D(num_embeddings, 1, dtype="float32", name="logits")(x)
    return keras.Model(codes, logits, name="network")


@keras.saving.register_keras_serializable("vqlib")
class PixelCNN(keras.Model):
    """A prior over grids of codes: a product over positions, each given those before it in raster order.

    Van den Oord, Kalchbrenner and Kavukcuoglu (2016, "Pixel recurrent neural networks"), equation 1.

    Called on codes (B, h, w) int32 it returns logits (B, h, w, K): those at a position depend only on codes above it,
    or to its left in the same row. Trained by ``compile(optimizer)`` and ``fit(codes)``, without targets: the codes
    are their own. Metrics, over the dataset: ``loss`` and ``nats_per_code``, the mean negative log-likelihood of a
    code; ``bits_per_image``, the same for a whole grid, in bits; ``accuracy``, how often the likeliest code is right.

    The defaults are the architecture of the Keras example of 2021: 1,049,728 parameters, masked ones counted.

    Parameters
    ----------
    code_shape : tuple of int
        (h, w) of the grid of codes.
    num_embeddings : int
        K.
    filters : int, even
        Channels of the hidden layers.
    num_residual_blocks, num_pixelcnn_layers : int
        How many residual blocks, and how many masked 1 x 1 layers behind them.
    """

    def __init__(
        self,
        code_shape=(7, 7),
        num_embeddings=128,
        filters=128,
        num_residual_blocks=2,
        num_pixelcnn_layers=2,
        **kwargs,
    ):
        super().__init__(**{"name": "pixelcnn", **kwargs})  # fixed names: the same weights make the same file
        if len(code_shape) != 2:
            raise ValueError(f"code_shape must be (height, width), but {tuple(code_shape)} was given.")
        for name, size in (("code_shape", code_shape[0]), ("code_shape", code_shape[1]), ("filters", filters)):
            check_positive_integer(name, size)
        check_positive_integer("num_embeddings", num_embeddings)
        self.code_shape = tuple(code_shape)
        self.num_embeddings = num_embeddings
        self.filters = filters
        self.num_residual_blocks = num_residual_blocks
        self.num_pixelcnn_layers = num_pixelcnn_layers
        self.network = build_network(self.code_shape, num_embeddings, filters, num_residual_blocks, num_pixelcnn_layers)
        self.nats_per_code = keras.metrics.Mean(name="nats_per_code")
        self.bits_per_image = BitsPerImage(self.code_shape)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    def call(self, codes):
        """Return the logits of each position's code: (B, h, w) int -> (B, h, w, K) float32."""
        check_code_type(codes, self.code_shape)
        if is_array(codes):
            check_codes(codes, self.num_embeddings, self.code_shape)
        return self.network(codes)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean negative log-likelihood of a code, in nats. The codes are their own targets."""
        refuse_sample_weight(sample_weight)
        nats = keras.losses.sparse_categorical_crossentropy(x, y_pred, from_logits=True)  # (B, h, w)
        self.nats_per_code.update_state(nats)
        self.bits_per_image.update_state(nats)
        self.accuracy.update_state(x, y_pred)
        return ops.mean(nats)

    def fit(self, x=None, *args, **kwargs):
        """Train on codes, see ``keras.Model.fit``; arrays are checked first, ``tf.data`` is taken as it is."""
        self._check(x, "codes to train on")
        self._check(kwargs.get("validation_data"), "codes to validate on")
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Evaluate on codes, see ``keras.Model.evaluate``; ``return_dict=True`` names the metrics."""
        self._check(x, "codes to evaluate")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Return the logits of codes in batches, see ``keras.Model.predict``: (N, h, w) -> (N, h, w, K), NumPy."""
        self._check(x, "codes")
        return super().predict(x, *args, **kwargs)

    def get_config(self):
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "code_shape": self.code_shape,
            "num_embeddings": self.num_embeddings,
            "filters": self.filters,
            "num_residual_blocks": self.num_residual_blocks,
            "num_pixelcnn_layers": self.num_pixelcnn_layers,
        }

    def _check(self, codes, name):
        if isinstance(codes, np.ndarray):
            check_codes(codes, self.num_embeddings, self.code_shape, name)


@keras.saving.register_keras_serializable("vqlib")
class BitsPerImage(keras.metrics.Mean):
    """The mean of nats a code, given as bits for a whole grid of codes, see :func:`vqlib.metrics.bits_per_image`."""

    def __init__(self, code_shape, name="bits_per_image", **kwargs):
        super().__init__(name=name, **kwargs)
        self.code_shape = tuple(code_shape)

    def result(self):
        """Return the bits."""
        return super().result() * bits_per_image(1.0, self.code_shape)

    def get_config(self):
        """Return the arguments that make this metric anew."""
        return {**super().get_config(), "code_shape": self.code_shape}

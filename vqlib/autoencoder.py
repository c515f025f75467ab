"""VQVAE: a convolutional encoder, a quantizer, and a decoder that mirrors the encoder; what all autoencoders share."""

import math
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike

from vqlib import _backend as backend
from vqlib import _keras_internals
from vqlib._batches import batch_size_for, bytes_of_activations, in_batches, is_finite, variance
from vqlib._checks import (
    IMAGE_AXES,
    as_array,
    check_image_type,
    check_images,
    check_positive_integer,
    check_sizes,
    refuse_sample_weight,
    shape_of,
)
from vqlib._defaults import Unset, or_default, unset
from vqlib._forms import OURS
from vqlib._model import CheckedModel, learned_by_gradient, warn_of_loss_watchers
from vqlib._progress import announced
from vqlib._types import Tensor
from vqlib.levels import Level, check_quantizer
from vqlib.quantizers import VECTORS_TO_START_FROM, Quantized, VectorQuantizer

IMAGES_TO_ADAPT_TO = 1000  # for the start of the codebook
CHANNELS_OF_UNKNOWN = 64  # as large as the image: what a network is taken to make that is a class of its own


def build_encoder(
    image_shape: Sequence[int],
    embedding_dim: int,
    filters: Sequence[int] = (32, 64),
    strides: int | Sequence[int] = 2,
    name: str = "encoder",
) -> keras.Model:
    """Return the encoder, (B, H, W, C) -> (B, H / s, W / s, D), s the product of the strides.

    One strided 3 x 3 convolution with a ReLU for each entry of `filters`, then a 1 x 1 convolution to D channels.
    """
    images = keras.Input(image_shape, name="images")
    x = images
    for i, (width, stride) in enumerate(zip(filters, strides_of(filters, strides), strict=True)):
        x = layers.Conv2D(width, 3, strides=stride, padding="same", activation="relu", name=f"down_{i}")(x)
    z = layers.Conv2D(embedding_dim, 1, dtype="float32", name="to_embedding")(x)  # float32 also in mixed precision
    return keras.Model(images, z, name=name)


def build_decoder(
    code_shape: Sequence[int],
    embedding_dim: int,
    channels: int,
    filters: Sequence[int] = (32, 64),
    strides: int | Sequence[int] = 2,
) -> keras.Model:
    """Return the decoder, (B, h, w, D) -> (B, H, W, C): the strided layers transposed, then 3 x 3 to C channels."""
    z_q = keras.Input((*code_shape, embedding_dim), name="quantized")
    x = z_q
    stages = list(enumerate(zip(filters, strides_of(filters, strides), strict=True)))
    for i, (width, stride) in reversed(stages):
        x = layers.Conv2DTranspose(width, 3, strides=stride, padding="same", activation="relu", name=f"up_{i}")(x)
    images = layers.Conv2DTranspose(channels, 3, padding="same", dtype="float32", name="to_pixels")(x)
    return keras.Model(z_q, images, name="decoder")


def strides_of(filters: Sequence[int], strides: int | Sequence[int]) -> tuple[int, ...]:
    """Return one stride for each entry of `filters`."""
    values = np.asarray(strides).tolist()
    return tuple(values) if isinstance(values, list) else (values,) * len(filters)


class Autoencoder(CheckedModel):
    """What VQVAE and :class:`vqlib.VQVAE2` share: training, encoding and decoding of images, their own targets.

    A subclass gives

    - ``call``, images (B, H, W, C) -> reconstructions (B, H, W, C), which quantizes by :meth:`Level.quantize`, and
      leaves the answers of all levels in ``_kept.quantized``, for ``compute_loss``;
    - ``_outputs_for``, images and the place of a level -> what the level quantizes, (B, h, w, D);
    - ``_encode_batch``, images -> the codes of each level, and whether all that was quantized is finite;
    - ``_decode_batch``, the codes of each level -> a tuple of images, what lies beyond [-0.5, 0.5] cut off;

    and calls ``_set_parts`` with its networks and ``_set_levels`` at the end of its constructor.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C)
    stride : int
        What H and W must be divisible by.
    data_variance : float
        Divides the mean squared error.

    Attributes
    ----------
    levels : tuple of Level
        One for each level of codes. What is written as ``for level in model.levels`` works for one level and for two.
    """

    def __init__(self, image_shape: Sequence[int], stride: int, data_variance: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_shape = check_sizes("image_shape", image_shape, IMAGE_AXES)
        if self.image_shape[0] % stride or self.image_shape[1] % stride:
            raise ValueError(
                f"Height and width must be divisible by {stride}, the product of the strides, "
                f"but image_shape is {self.image_shape}. Pad or crop the images."
            )
        if np.ndim(data_variance) or not isinstance(data_variance, (int, float, np.number)) or not data_variance > 0:
            raise ValueError(
                f"data_variance must be above 0, but {data_variance!r} was given. "
                "It is one number, the variance of all training pixels: x_train.var(); adapt(x_train) finds it."
            )
        self.data_variance = float(data_variance)
        self.reconstruction_loss = keras.metrics.Mean(name="reconstruction_loss")
        self._kept = threading.local()  # what a call leaves for compute_loss; a replica of tf.distribute has a thread

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that is none of the model's parts."""
        if name in vars(self).get("_parts", ()):
            raise AttributeError(
                f"{name} cannot be replaced: compiled functions would go on with the old one, and a saved model with "
                f"a new one of the usual kind. Make a new {type(self).__name__}, which takes parts of your own."
            )
        super().__setattr__(name, value)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of a batch: reconstruction, plus what quantizers added; the images are the targets.

        It takes what the call that made `y_pred` has left of its levels, in the same thread, and only once.
        """
        refuse_sample_weight(sample_weight)
        all_quantized = self._take_quantized()
        if all_quantized is None:
            raise RuntimeError(
                "compute_loss takes what the call before it has left: call the model on these images first, in the "
                "same thread, model(images, training=True), and compute the loss once. fit and evaluate do both."
            )
        squared_error = ops.mean((ops.cast(x, "float32") - y_pred) ** 2)
        reconstruction_loss = squared_error / self.data_variance
        loss = backend.share_of_replica(reconstruction_loss + sum(self.losses))
        self.reconstruction_loss.update_state(reconstruction_loss, sample_weight=ops.shape(x)[0])
        for level, quantized in zip(self.levels, all_quantized, strict=True):
            level.update_metrics(quantized)
            if hasattr(level.quantizer, "finish_step"):
                level.quantizer.finish_step()
        return loss

    def predict_step(self, *args: Any) -> Any:
        """Return what ``keras.Model.predict_step`` returns. No loss is computed, so nothing is left for one."""
        outputs = super().predict_step(*args)
        self._take_quantized()
        return outputs

    def adapt(self, images: ArrayLike, method: str = "kmeans", seed: int | None = 0) -> None:
        """Take from training images what the model has to know of its data before it is trained.

        Sets ``data_variance`` to their variance, and starts the codebooks from the encoder's outputs for at most 1,000
        of them, see :meth:`initialize_codebook`. Call it before ``fit``, and not again: the loss changes its scale.

        Parameters
        ----------
        images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        method : "kmeans" or "data"
        seed : int, optional
            For the choice of the images, and of the codebook's start.

        Raises
        ------
        ValueError
            Also if there are no images, or they are all of one colour, or too few for the codebooks. Then nothing
            changes.
        """
        images = np.asarray(check_images(images, self.image_shape))
        if not len(images):
            raise ValueError("There are no images to adapt to.")
        data_variance = variance(images)
        if not data_variance > 0:
            raise ValueError("images must not all be of one colour: the loss is divided by their variance.")
        if any(level.can_start for level in self.levels):
            if len(images) > IMAGES_TO_ADAPT_TO:
                images = images[np.random.default_rng(seed).choice(len(images), IMAGES_TO_ADAPT_TO, replace=False)]
            self.initialize_codebook(images, method, seed)
        self.data_variance = data_variance
        _keras_internals.forget_compiled(self)  # with the old variance

    def initialize_codebook(
        self, images: ArrayLike, method: str = "kmeans", seed: int | None = 0, batch_size: int | None = None
    ) -> None:
        """Start the codebooks from the encoder's outputs for `images` (a few hundred do), one level after the other.

        The top level comes first: what the bottom level quantizes depends on the quantized top. The start does not
        last where the encoder still moves; for codes that fall out of use, see ``restart_below`` of
        :class:`vqlib.EMAVectorQuantizer`.

        Parameters
        ----------
        images : float array, shape (N, H, W, C), in [-0.5, 0.5]
            When they have more than 200,000 vectors, as many of these are drawn.
        method : "kmeans" or "data"
            For the k-means centres of the vectors, or for some of them.
        seed : int, optional
        batch_size : int, optional
            Images encoded at once; as many as half a gigabyte holds by default.

        Raises
        ------
        TypeError
            If no quantizer has a codebook to start.
        ValueError
            If the images or the method are not as above, or the encoder makes too few vectors of them for a codebook,
            or NaN or infinity. Then no codebook changes.
        """
        images = np.asarray(check_images(images, self.image_shape))
        places = [place for place, level in enumerate(self.levels) if level.can_start]
        if not places:
            kind = type(self.levels[0].quantizer).__name__
            raise TypeError(f"{kind} has no codebook to initialize. Leave this call out.")
        size = batch_size_for(self._bytes_of_encoding(), batch_size)
        for place in places:
            level = self.levels[place]
            if hasattr(level.quantizer, "check_start"):
                level.quantizer.check_start(shape_of(images)[0] * math.prod(level.grid_shape), method)
        if len(places) > 1:  # the first codebook must not move where what a later one starts from is not finite
            self._encode_levels(images, batch_size)
        for place in places:
            self.levels[place].quantizer.initialize(self._vectors_of(images, place, seed, size), method, seed)

    def _input_signature(self) -> keras.InputSpec:
        """Return the shape and dtype of images."""
        return keras.InputSpec(shape=(None, *self.image_shape), dtype="float32", name="images")

    def _check_inputs(self, x: Any, purpose: str) -> Any:
        """Raise unless `x` are images; return them, a list as an array."""
        return check_images(x, self.image_shape, f"images {purpose}")

    def _check_targets(self, x: Any, y: Any) -> Any:
        """Return `y`, a list as an array. Anything will do: images are their own targets."""
        return None if y is None else as_array(y, "y")

    def _outputs_of_none(self) -> np.ndarray:
        """Return no images."""
        return np.zeros((0, *self.image_shape), "float32")

    def _is_all_inputs(self, data: Any) -> bool:
        """Whether `data` is a list of single images."""
        return isinstance(data, (tuple, list)) and all(len(shape_of(image)) == 3 for image in data)

    def _warn_of(self, callbacks: Any) -> None:
        """Warn of callbacks that take the loss for progress while the loss moves the codebook."""
        if any(learned_by_gradient(level.quantizer) for level in self.levels):
            warn_of_loss_watchers(callbacks)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this class."""
        return {**super().get_config(), "image_shape": self.image_shape, "data_variance": self.data_variance}

    def _set_parts(self, **parts: keras.layers.Layer) -> None:
        """Set attributes that stay: functions are compiled with them."""
        for name, part in parts.items():
            setattr(self, name, part)
        self._parts = tuple(parts)

    def _set_levels(self, *levels: Level) -> None:
        self.levels = levels
        self._metrics_of_levels = [metric for level in levels for metric in level.metrics.values()]  # found by Keras

    def _take_quantized(self) -> tuple[Quantized, ...] | None:
        """Return what the last call has left, and keep it no longer: it may be of a graph, which it would keep, too."""
        return vars(self._kept).pop("quantized", None)

    def _outputs_for(self, images: Tensor, place: int) -> Tensor:
        raise NotImplementedError

    def _encode_batch(self, images: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _decode_batch(self, *codes: Tensor) -> tuple[Tensor]:
        raise NotImplementedError

    def _bytes_of_encoding(self) -> int:
        """Return the bytes that one image takes on its way to codes: activations, distances and their parts."""
        networks = [getattr(self, name) for name in self._parts if "coder" in name or name == "stem"]
        activations = sum(self._bytes_of(network) for network in networks if network is not self.decoder)
        distances = sum(np.prod(level.code_shape) * level.quantizer.num_embeddings for level in self.levels)
        return activations + 8 * int(distances)

    def _bytes_of_decoding(self) -> int:
        """Return the bytes that one image takes on its way from codes."""
        return self._bytes_of(self.decoder)

    def _bytes_of(self, network: keras.layers.Layer) -> int:
        """Return the bytes of a network's activations for one image; of unknown shapes, those of a wide layer."""
        height, width, _ = self.image_shape
        return bytes_of_activations(network) or 4 * CHANNELS_OF_UNKNOWN * height * width

    def _vectors_of(self, images: Any, place: int, seed: int | None, batch_size: int) -> np.ndarray:
        """Return what a level quantizes, (N, D); a sample where there is much of it, so that memory is bounded."""
        level = self.levels[place]
        cells = int(np.prod(level.grid_shape))
        total = cells * len(images)
        drawn = np.arange(total)
        if total > VECTORS_TO_START_FROM:
            drawn = np.sort(np.random.default_rng(seed).choice(total, VECTORS_TO_START_FROM, replace=False))
        parts = [np.zeros((0, level.quantizer.embedding_dim), "float32")]
        for start in announced(range(0, len(images), batch_size), "codebook"):
            z = ops.convert_to_numpy(self._outputs_for(images[start : start + batch_size], place))
            vectors = np.reshape(z, (-1, level.quantizer.embedding_dim))
            first, end = np.searchsorted(drawn, [cells * start, cells * start + len(vectors)])
            parts.append(vectors[drawn[first:end] - cells * start])
        return np.concatenate(parts)

    def _encode_levels(self, images: Any, batch_size: int | None) -> tuple[np.ndarray, ...]:
        """Return the codes of each level, (N, *code_shape) int32."""
        images = check_images(images, self.image_shape)
        size = batch_size_for(self._bytes_of_encoding(), batch_size)
        grids = tuple(np.empty((len(images), *level.code_shape), "int32") for level in self.levels)
        done = 0
        for *codes, finite in in_batches(
            self._encode_batch, images, dtype="float32", batch_size=size, what="autoencoder"
        ):
            if not finite:
                raise ValueError(
                    "The encoder makes NaN or infinity of these images, which no code stands for: its training has "
                    "diverged. Train the model anew, with a lower learning rate."
                )
            for grid, part in zip(grids, codes, strict=True):
                grid[done : done + len(part)] = part
            done += len(codes[0])
        return grids

    def _decode_levels(self, codes: Sequence[np.ndarray], batch_size: int | None) -> np.ndarray:
        """Return the images that checked codes of all levels stand for."""
        size = batch_size_for(self._bytes_of_decoding(), batch_size)
        images = np.empty((len(codes[0]), *self.image_shape), "float32")
        done = 0
        for (part,) in in_batches(self._decode_batch, *codes, dtype="int32", batch_size=size, what="autoencoder"):
            images[done : done + len(part)] = part
            done += len(part)
        return images


@keras.saving.register_keras_serializable("vqlib")
class VQVAE(Autoencoder):
    """A vector-quantized variational autoencoder (van den Oord, Vinyals and Kavukcuoglu 2017).

    Trained by ``compile(optimizer)`` and ``fit(images)``, without targets. The loss is the paper's equation 3 with a
    Gaussian decoder: ``reconstruction_loss``, the mean squared error over `data_variance`, plus the quantizer's
    ``codebook_loss`` and ``commitment_loss``. All are metrics, over the dataset, beside ``perplexity`` and
    ``codes_used``.

    With the defaults, images (B, 28, 28, 1) become z (B, 7, 7, 16), codes (B, 7, 7), and images again; 48,913
    parameters at K = 64, as in the Keras example of 2021.

    The loss of a codebook that learns by gradient is no measure of progress: it rises in the first epochs, while
    pictures get better. Let callbacks watch the pictures, as ``EarlyStopping(monitor="val_reconstruction_loss",
    mode="min")`` does; ``fit`` warns of one that watches the loss.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C); H and W divisible by the product of the strides.
    num_embeddings, embedding_dim : int
        K and D of the codebook.
    beta : float
        Weight of the commitment loss.
    filters : sequence of int
        Channels of each strided layer of the encoder; the decoder's are the same, reversed.
    strides : int or sequence of int
        The stride of each of these layers.
    data_variance : float
        Variance of the training pixels, on the scale of the images; ``data.variance`` of :func:`vqlib.load_dataset`.
        With 1, the reconstruction loss of most pictures is small beside the others; :meth:`adapt` finds the variance.
    quantizer : keras.layers.Layer, optional
        In place of the classic :class:`vqlib.VectorQuantizer`: any layer (..., D) -> (..., D) with ``encode``,
        ``decode``, ``num_embeddings`` and ``embedding_dim``, which adds its losses itself. Then leave K, D and beta
        out. A :class:`vqlib.ResidualQuantizer` or :class:`vqlib.ProductQuantizer` gives each vector several codes, on
        an axis of their own.
    encoder, decoder : keras.Model, optional
        Networks of your own, (B, H, W, C) -> (B, h, w, D) and (B, h, w, D) -> (B, H, W, C), h x w being the grid of
        codes. `filters` and `strides` are those of the network that is not given.

    Attributes
    ----------
    code_shape : tuple of int
        (h, w); where the quantizer gives several codes for a vector, (h, w, their number).
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (28, 28, 1),
        num_embeddings: int = unset(128),
        embedding_dim: int = unset(16),
        beta: float = unset(0.25),
        filters: Sequence[int] = (32, 64),
        strides: int | Sequence[int] = 2,
        data_variance: float = 1.0,
        quantizer: keras.layers.Layer | None = None,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        **kwargs: Any,
    ) -> None:
        if quantizer is None:
            sizes = or_default(num_embeddings), or_default(embedding_dim)
            quantizer = VectorQuantizer(*sizes, or_default(beta), name="quantizer")
        elif not all(isinstance(given, Unset) for given in (num_embeddings, embedding_dim, beta)):
            raise ValueError("Give either quantizer, or num_embeddings, embedding_dim and beta: it has its own.")
        check_quantizer(quantizer)
        if np.ndim(filters) != 1:
            raise ValueError(
                f"filters must hold a number for each strided layer, for example (32, 64), but {filters!r} was given."
            )
        widths = tuple(check_positive_integer("Each entry of filters and strides", width) for width in filters)
        steps = tuple(
            check_positive_integer("Each entry of filters and strides", step) for step in strides_of(widths, strides)
        )
        if len(steps) != len(widths):
            raise ValueError(
                f"strides must be one integer, or one for each entry of filters, {widths}, but are {strides}."
            )
        stride = math.prod(steps)
        # Fixed names: the same weights make the same file.
        super().__init__(
            image_shape, 1 if encoder is not None else stride, data_variance, **{"name": "vqvae", **kwargs}
        )
        self.filters = widths
        given = np.asarray(strides).tolist()
        self.strides = tuple(given) if np.ndim(strides) else given
        self._own_parts = [name for name, part in (("encoder", encoder), ("decoder", decoder)) if part is not None]
        dimension = quantizer.embedding_dim
        if encoder is None:
            encoder = build_encoder(self.image_shape, dimension, self.filters, self.strides)
        z_shape = encoder.compute_output_shape((None, *self.image_shape))
        if len(z_shape) != 4 or z_shape[-1] != dimension:
            raise ValueError(
                f"encoder must make (batch, h, w, {dimension}) of images (batch, {_listed(self.image_shape)}), since "
                f"embedding_dim of the quantizer is {dimension}, but makes {tuple(z_shape)}."
            )
        grid_shape = (z_shape[1], z_shape[2])
        if decoder is None:
            decoder = build_decoder(grid_shape, dimension, self.image_shape[2], self.filters, self.strides)
        found = decoder.compute_output_shape((None, *z_shape[1:]))
        if tuple(found[1:]) != self.image_shape:
            raise ValueError(
                f"decoder must make images (batch, {_listed(self.image_shape)}) of (batch, {_listed(z_shape[1:])}), "
                f"but makes {tuple(found)}. The usual one enlarges by {stride}, the product of the strides."
            )
        self._set_parts(encoder=encoder, quantizer=quantizer, decoder=decoder)
        self._set_levels(Level("only", quantizer, grid_shape))
        self.code_shape = self.levels[0].code_shape
        quantizer.build((None, *z_shape[1:]))
        self.built = True

    @property
    def num_embeddings(self) -> int:
        """K, the number of codes."""
        return self.quantizer.num_embeddings

    @property
    def embedding_dim(self) -> int:
        """D, the length of a codebook entry."""
        return self.quantizer.embedding_dim

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Reconstruct: (B, H, W, C) -> (B, H, W, C)."""
        check_image_type(images, self.image_shape)
        quantized = self.levels[0].quantize(self.encoder(images), training)
        self._kept.quantized = (quantized,)
        return self.decoder(quantized.z_q)

    def encode(self, images: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """Return the codes of images, batch by batch.

        Parameters
        ----------
        images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        batch_size : int, optional
            Images encoded at once; as many as half a gigabyte holds by default, and 1024 at most.

        Returns
        -------
        codes : int32 NumPy array, shape (N, h, w) or (N, h, w, codes a vector), in 0..K - 1

        Raises
        ------
        ValueError
            If the images have another shape or range, or the encoder makes NaN or infinity of them.
        TypeError
            If they are not floating point.
        """
        (codes,) = self._encode_levels(images, batch_size)
        return codes

    def decode(self, codes: ArrayLike, batch_size: int | None = None) -> np.ndarray:
        """Return the images that codes stand for, batch by batch.

        Parameters
        ----------
        codes : int array, shape (N, h, w) or (N, h, w, codes a vector), in 0..K - 1
            Of the stages of a :class:`vqlib.ResidualQuantizer`, the first n will do: ``codes[..., :n]``.
        batch_size : int, optional
            Images decoded at once; as many as half a gigabyte holds by default, and 1024 at most.

        Returns
        -------
        images : float32 NumPy array, shape (N, H, W, C)
            In [-0.5, 0.5]. The decoder's own outputs lie a little beyond here and there; that is cut off.
        """
        return self._decode_levels([self.levels[0].check_codes(codes)], batch_size)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this model anew."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "quantizer": keras.saving.serialize_keras_object(self.quantizer),
            **{name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self._own_parts},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "VQVAE":
        """Make a model from :meth:`get_config`'s answer."""
        parts: dict[str, Any] = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("quantizer", "encoder", "decoder")
            if name in config
        }
        return cls(**(config | parts))

    def _outputs_for(self, images: Tensor, place: int) -> Tensor:
        return self.encoder(images)

    def _encode_batch(self, images: Tensor) -> tuple[Tensor, ...]:
        z = self.encoder(images)
        return ops.cast(self.quantizer.encode(z), "int32"), is_finite(z)

    def _decode_batch(self, codes: Tensor) -> tuple[Tensor]:
        return (ops.clip(self.decoder(self.quantizer.decode(codes)), *OURS),)


def _listed(shape: Sequence[int | None]) -> str:
    return ", ".join(str(size) for size in shape)

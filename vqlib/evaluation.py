"""How good samples and codes are: a classifier and distances between its features, nearest images, picture codecs."""

import io
import math

import keras
import numpy as np
import PIL.features
import PIL.Image
from keras import layers, ops

from vqlib import _backend as backend
from vqlib._callbacks import show_data
from vqlib._checks import check_images, check_positive_integer, dtype_of, refuse_sample_weight, shape_of
from vqlib._progress import announced
from vqlib.data import to_images
from vqlib.metrics import mean_squared_error

IMAGES_PER_BATCH = 1024  # in features and classify
# How Pillow writes each format, at its smallest, with and without loss.
LOSSY = {"JPEG": {"optimize": True}, "WebP": {"method": 6}}
LOSSLESS = {"PNG": {"optimize": True}, "WebP": {"method": 6, "lossless": True, "quality": 100}}


@keras.saving.register_keras_serializable("vqlib")
class Classifier(keras.Model):
    """A small convolutional classifier, which judges samples: by the class that it reads, and by its features.

    Trained by ``compile(optimizer)`` and ``fit(images, labels)``. Called on images (B, H, W, C) it returns logits
    (B, num_classes). Metrics, over the dataset: ``loss``, the mean cross-entropy in nats, and ``accuracy``.

    For each entry of `filters` a 3 x 3 convolution with a ReLU and a 2 x 2 max-pooling; then the features, a dense
    layer with a leaky ReLU, so that none of them dies; then the logits. With the defaults 89,546 parameters.

    Parameters
    ----------
    image_shape : tuple of int
        (H, W, C).
    num_classes : int
    filters : sequence of int
        Channels of each convolution; the last is also F, the number of features.
    """

    def __init__(self, image_shape=(28, 28, 1), num_classes=10, filters=(16, 32, 64), **kwargs):
        super().__init__(**{"name": "classifier", **kwargs})  # fixed names: the same weights make the same file
        if len(image_shape) != 3:
            raise ValueError(f"image_shape must be (height, width, channels), but {tuple(image_shape)} was given.")
        for size in (*image_shape, *filters, num_classes):
            check_positive_integer("num_classes, and each entry of image_shape and filters,", size)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.filters = tuple(filters)
        self.body = keras.Sequential([keras.Input(image_shape)], name="body")  # (B, H, W, C) -> (B, F)
        for i, width in enumerate(filters):
            self.body.add(layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{i}"))
            self.body.add(layers.MaxPooling2D(padding="same", name=f"pool_{i}"))
        self.body.add(layers.Flatten(name="flatten"))
        self.body.add(layers.Dense(filters[-1], activation="leaky_relu", dtype="float32", name="features"))
        self.logits = layers.Dense(num_classes, dtype="float32", name="logits")  # float32 also in mixed precision
        self.logits.build((None, filters[-1]))
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    def call(self, images):
        """Return the logits: (B, H, W, C) -> (B, num_classes) float32."""
        return self.logits(self.body(images))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean cross-entropy of a batch, in nats."""
        refuse_sample_weight(sample_weight)
        self.accuracy.update_state(y, y_pred)
        nats = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)  # (B,)
        return backend.share_of_replica(ops.mean(nats))

    def fit(self, x=None, y=None, *args, **kwargs):
        """Train on images and labels, see ``keras.Model.fit``; arrays are checked first."""
        self._check(x, y)
        if isinstance(kwargs.get("validation_data"), (tuple, list)):
            self._check(*kwargs["validation_data"][:2])
        show_data(kwargs.get("callbacks"), x, y, kwargs.get("batch_size"))
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Evaluate on images and labels, see ``keras.Model.evaluate``; ``return_dict=True`` names the metrics."""
        self._check(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def features(self, images):
        """Return the features, what the logits are made of: (N, H, W, C) in [-0.5, 0.5] -> (N, F) float32, NumPy."""
        return self._in_batches(_features, images, np.zeros((0, self.filters[-1]), "float32"))

    def classify(self, images):
        """Return the likeliest class of each image: (N, H, W, C) in [-0.5, 0.5] -> (N,) int32, NumPy."""
        return self._in_batches(_classify, images, np.zeros(0, "int32"))

    def get_config(self):
        """Return the arguments that make this model anew."""
        config = {"image_shape": self.image_shape, "num_classes": self.num_classes, "filters": self.filters}
        return {**super().get_config(), **config}

    def _in_batches(self, function, images, empty):
        check_images(images, self.image_shape)
        run = backend.compiled(self, function, keras.KerasTensor((None, *self.image_shape), "float32"))
        starts = announced(range(0, len(images), IMAGES_PER_BATCH), "classifier")
        batches = (np.asarray(images[i : i + IMAGES_PER_BATCH], "float32") for i in starts)
        return np.concatenate([empty, *(ops.convert_to_numpy(run(batch)) for batch in batches)])

    def _check(self, images, labels):
        if not isinstance(images, np.ndarray):
            return
        check_images(images, self.image_shape)
        shape, dtype = shape_of(labels), dtype_of(labels)
        if shape != images.shape[:1] or not dtype.startswith(("int", "uint")):
            raise ValueError(f"labels must be {len(images)} integers, one an image, but are {dtype} of shape {shape}.")
        low, high = np.min(labels), np.max(labels)
        if low < 0 or high >= self.num_classes:
            raise ValueError(f"labels must lie in 0..{self.num_classes - 1}, but lie in {low}..{high}.")


def _features(model, images):
    return model.body(images)


def _classify(model, images):
    return ops.cast(ops.argmax(model(images), axis=-1), "int32")


def frechet_distance(features, other_features):
    r"""Return the Frechet distance between two sets of features, each taken for a Gaussian.

    :math:`\|\mu_1 - \mu_2\|^2 + \mathrm{Tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})`, equation 6 of Heusel
    et al. (2017), "GANs trained by a two time-scale update rule converge to a local Nash equilibrium": the square of
    the distance, which is what gets reported. It compares only with what the same features gave at the same N.

    Parameters
    ----------
    features, other_features : float arrays, shapes (N, F) and (M, F)
        Finite; N and M above F, since fewer rows leave a covariance without full rank.

    Returns
    -------
    float, at least 0, in squared units of the features; computed in float64
    """
    mean, covariance = _moments(features, "features")
    other_mean, other_covariance = _moments(other_features, "other_features")
    if len(mean) != len(other_mean):
        raise ValueError(f"Both must have as many features, but have {len(mean)} and {len(other_mean)}.")
    # Tr((S1 S2)^(1/2)) is the sum of the singular values of S1^(1/2) S2^(1/2): no root of an unsymmetric matrix.
    fidelity = np.linalg.norm(_root(covariance) @ _root(other_covariance), "nuc")
    distance = np.sum((mean - other_mean) ** 2) + np.trace(covariance + other_covariance) - 2 * fidelity
    return max(float(distance), 0.0)  # rounding can leave it below by 1e-14 of the traces


def frechet_floor(features, sizes, repeats=10, seed=0):
    """Return Frechet distances of real against real: what a perfect model would score, by the number of images.

    The distance between finite sets is biased: its mean falls about as 1 / N towards the true one (Chong and Forsyth
    2020, "Effectively unbiased FID and Inception Score and where to find them"). Judge N samples by the floor at N.

    Parameters
    ----------
    features : float array, shape (M, F)
        Of real images.
    sizes : sequence of int
        Each N above F, and at most M / 2.
    repeats : int
        How many draws of two disjoint sets of N rows. All are from the same M rows, so that near N = M / 2 they spread
        less than fresh images would.
    seed : int

    Returns
    -------
    float64 array, shape (len(sizes), repeats); its mean and standard deviation over the last axis are the floor
    """
    check_positive_integer("repeats", repeats)
    for size in sizes:
        if 2 * size > len(features):
            raise ValueError(f"Two disjoint sets of {size} need {2 * size} rows, but features has {len(features)}.")
    generator = np.random.default_rng(seed)

    def draw(size):
        rows = generator.permutation(features)[: 2 * size]
        return frechet_distance(rows[:size], rows[size:])

    draws = announced([size for size in sizes for _ in range(repeats)], "frechet_floor")
    return np.reshape([draw(size) for size in draws], (len(sizes), repeats))


def _moments(features, name):
    """Return mean (F,) and covariance (F, F) in float64, of checked features."""
    features = np.asarray(features, "float64")
    if features.ndim != 2:
        raise ValueError(f"{name} must have shape (images, features), but has shape {features.shape}.")
    if len(features) <= features.shape[1]:
        least = features.shape[1] + 1
        raise ValueError(f"{name} has {len(features)} rows; a covariance of full rank needs {least}. Give more images.")
    if not np.isfinite(features).all():
        raise ValueError(f"{name} holds NaN or infinity.")
    return features.mean(axis=0), np.cov(features, rowvar=False).reshape(features.shape[1], -1)


def _root(covariance):
    """Return the symmetric square root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def nearest_images(images, training_images, k=1):
    """Find the training images nearest to each image, pixel by pixel: a sample that was memorised shows itself.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
    training_images : float array, shape (M, H, W, C), in [-0.5, 0.5]
    k : int, at most M

    Returns
    -------
    indices : int64 array, shape (N, k)
        Into `training_images`, the nearest first.
    squared_distances : float64 array, shape (N, k)
        Sums over the pixels; divided by H * W * C, mean squared errors.
    """
    from sklearn.neighbors import NearestNeighbors

    check_images(images)
    check_images(training_images, np.shape(images)[1:], "training_images")
    check_positive_integer("k", k)
    rows, training_rows = (np.reshape(x, (len(x), -1)) for x in (images, training_images))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(training_rows)  # in chunks, by its own working
    indices = search.kneighbors(rows, return_distance=False)  # (N, k)
    differences = (training_rows[some] - row.astype("float64") for some, row in zip(indices, rows, strict=True))
    return indices, np.stack([np.sum(difference**2, axis=-1) for difference in differences])


def codec_rate(images, codec, quality=None, sheet=False):
    """Measure what a picture format pays for images and what it loses, from files that Pillow writes and reads back.

    Pillow comes with Matplotlib.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
        Grey or colour: C is 1 or 3. Rounded to 8 bits a channel first.
    codec : "PNG", "JPEG" or "WebP"
    quality : int in 0..100, optional
        For JPEG and WebP; without it, PNG and WebP lose nothing.
    sheet : bool
        False: a file for each image, which for a small image is mostly header. True: one file, with all images tiled
        in a square, the rest black. They share the header, and also the blocks and tables of the codec.

    Returns
    -------
    bits_per_image : float
        8 times the bytes of all files, header and all, over N.
    mse : float
        Mean squared error of what the files decode to, on the scale of the images.
    """
    check_images(images)
    if shape_of(images)[-1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, grey or colour, but have shape {shape_of(images)}.")
    options = _options(codec, quality)
    pixels = np.round((np.asarray(images, "float64") + 0.5) * 255).astype("uint8")
    pictures = [_tile(pixels)] if sheet else pixels
    grey = pixels.shape[-1] == 1
    size, decoded = 0, []
    for picture in pictures:
        file = io.BytesIO()
        PIL.Image.fromarray(picture[..., 0] if grey else picture).save(file, codec, **options)
        size += len(file.getvalue())
        read = PIL.Image.open(file).convert("L" if grey else "RGB")  # WebP has no grey
        decoded.append(np.asarray(read).reshape(picture.shape))
    decoded = _untile(decoded[0], pixels.shape) if sheet else np.stack(decoded)
    return 8 * size / len(images), mean_squared_error(images, to_images(decoded))


def _options(codec, quality):
    """Return how Pillow is to write the format, or raise."""
    known, how = (LOSSLESS, "without") if quality is None else (LOSSY, "with")
    if codec not in known:
        raise ValueError(f"There is no codec {codec!r} {how} a quality. Known {how} one: {', '.join(known)}.")
    if codec == "WebP" and not PIL.features.check("webp"):
        raise RuntimeError("This Pillow was built without WebP. Install one from PyPI: pip install --upgrade pillow.")
    if quality is None:
        return known[codec]
    if not 0 <= quality <= 100:
        raise ValueError(f"quality must lie in 0..100, but {quality!r} was given.")
    return {**known[codec], "quality": quality}


def _tile(pixels):
    """Return one picture of all images, row by row: (N, H, W, C) -> (h * H, w * W, C), zero where images run out."""
    number, height, width, channels = pixels.shape
    columns = math.ceil(math.sqrt(number))
    padded = np.pad(pixels, [[0, -number % columns], [0, 0], [0, 0], [0, 0]])
    grid = padded.reshape(-1, columns, height, width, channels).swapaxes(1, 2)  # (h, H, w, W, C)
    return grid.reshape(-1, columns * width, channels)


def _untile(sheet, shape):
    """Return the images of a sheet that :func:`_tile` made: (h * H, w * W, C) -> `shape`, (N, H, W, C)."""
    number, height, width, channels = shape
    grid = sheet.reshape(len(sheet) // height, height, -1, width, channels).swapaxes(1, 2)  # (h, w, H, W, C)
    return grid.reshape(-1, height, width, channels)[:number]

"""Datasets in, arrays out: the same split and the same scale for every model in the book."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import zipfile
import zlib

import keras
import numpy as np

SHAPES = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3), "digits": (28, 28)}
KERAS_FILES = {  # in the folder datasets of Keras's cache
    "mnist": ["mnist.npz"],
    "fashion_mnist": [
        f"fashion-mnist/{part}-ubyte.gz"
        for part in ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3")
    ],
    "cifar10": ["cifar-10-batches-py-target_archive"],
}
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
VALIDATION_IMAGES = 5_000  # the last of the training file, for the datasets that Keras ships
DIGITS_SPLIT = (1_297, 250, 250)


class DatasetNotFoundError(FileNotFoundError):
    """No place that was looked in holds the dataset."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, split three ways.

    Attributes
    ----------
    name : str
    x_train, x_val, x_test : float32 arrays, shape (N, H, W, C), in [-0.5, 0.5]
        Disjoint. Every model in the book trains on the first, is chosen on the second and judged on the third, so
        that a prior is never judged on images that its tokenizer was trained on.
    y_train, y_val, y_test : int32 arrays, shape (N,)
        Class labels.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @functools.cached_property
    def variance(self):
        """The variance of all training pixels, a float, on the scale of the images."""
        return float(np.var(self.x_train, dtype="float64"))

    @functools.cached_property
    def sha256(self):
        """A hash over all images and labels, hexadecimal: the same for the same data in the same order."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self)[1:]:
            digest.update(np.ascontiguousarray(getattr(self, field.name)))
        return digest.hexdigest()


def load_dataset(name="mnist", data_dir=None):
    """Load a dataset, from the first place that has it.

    Looked in: `data_dir`, the folder named by the environment variable ``VQLIB_DATA_DIR``, and Keras's own cache and
    download. In the two folders, ``<name>.npz`` with the arrays x_train, y_train, x_test and y_test (uint8 images) is
    looked for. "digits" needs none of these: it is part of scikit-learn.

    Parameters
    ----------
    name : "mnist", "fashion_mnist", "cifar10" or "digits"
        "digits" holds 1,797 real handwritten digits of 8 x 8 pixels, resized to 20 x 20 and centred in 28 x 28, as
        MNIST's were.
    data_dir : path, optional

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If the name is unknown, or a file is damaged or does not hold what it should.
    DatasetNotFoundError
        If no place has the dataset. Another dataset is never put in its place.
    """
    if name not in SHAPES:
        raise ValueError(f"Unknown dataset {name!r}. Known: {', '.join(SHAPES)}.")
    if name == "digits":
        return _digits()
    path, looked = find_file(name, data_dir)
    if path:
        return _split(name, _read_npz(name, path))
    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        looked.append(f"Keras's cache and download: {error}")
        raise DatasetNotFoundError(
            f"The dataset {name!r} was not found. Looked in:\n- "
            + "\n- ".join(looked)
            + f"\nWays out: put {name}.npz into a folder and set VQLIB_DATA_DIR to it or pass data_dir; connect to the "
            'network once, so that Keras can download it; or use load_dataset("digits"), which needs neither.'
        ) from error
    return _split(name, {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test})


def find_file(name, data_dir=None):
    """Look for a dataset's file in the folders that :func:`load_dataset` looks in before it asks Keras.

    Returns
    -------
    path : pathlib.Path or None
        The file in the first folder that has it.
    looked : list of str
        The folders before it, and why it was none of them, in words.
    """
    looked = []
    for source, folder in (("data_dir", data_dir), ("$VQLIB_DATA_DIR", os.environ.get("VQLIB_DATA_DIR"))):
        if not folder:
            looked.append(f"{source}: not given")
            continue
        path = pathlib.Path(folder) / f"{name}.npz"
        if path.is_file():
            return path, looked
        looked.append(f"{source}: no file {path}")
    return None, looked


def keras_files(name):
    """Return the files with which Keras loads a dataset from its cache; where one is not there, it downloads it."""
    home = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return [home / "datasets" / file for file in KERAS_FILES[name]]


def check_file(path):
    """Raise ValueError where a file is cut short or lacks an array; it reads the file's table of contents alone."""
    with _opened(path) as file:
        for name in ARRAYS:
            if name not in file:
                raise KeyError(f"{name} is not among {', '.join(file)}")


def to_images(pixels):
    """Turn pixels (N, H, W) or (N, H, W, C), uint8 in 0..255, into images (N, H, W, C), float32 in [-0.5, 0.5]."""
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return pixels.astype("float32") / 255 - 0.5


@contextlib.contextmanager
def _opened(path):
    """Open a file of arrays; what goes wrong is said in the reader's words."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            yield file
    except TypeError as error:  # a single array cannot be asked for another by name
        raise ValueError(f"{path} holds one array. It must hold x_train, y_train, x_test and y_test.") from error
    except KeyError as error:
        raise ValueError(
            f"{path} lacks an array: {error}. It must hold x_train, y_train, x_test and y_test."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}). Fetch it again.") from error
    except ValueError as error:  # what NumPy raises for pickled objects
        raise ValueError(f"{path} cannot be read as plain arrays: {error} Pickled files are refused.") from error


def _read_npz(name, path):
    """Return the four arrays of a file, checked."""
    with _opened(path) as file:
        arrays = {key: file[key] for key in ARRAYS}
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.shape[1:] != SHAPES[name] or x.dtype != np.uint8:
            raise ValueError(
                f"x_{part} in {path} must be uint8 of shape (N, {', '.join(map(str, SHAPES[name]))}), "
                f"but is {x.dtype} of shape {x.shape}."
            )
        if y.size != len(x) or not np.issubdtype(y.dtype, np.integer):
            raise ValueError(f"y_{part} in {path} must be {len(x)} integers, but is {y.dtype} of shape {y.shape}.")
    if len(arrays["x_train"]) <= VALIDATION_IMAGES:
        raise ValueError(
            f"{path} holds {len(arrays['x_train'])} training images; above {VALIDATION_IMAGES} are needed."
        )
    return arrays


def _split(name, arrays):
    """Return the dataset, with the last training images set aside for validation."""
    x, y = arrays["x_train"], arrays["y_train"].astype("int32").ravel()
    cut = len(x) - VALIDATION_IMAGES
    return Dataset(
        name,
        *(to_images(x[:cut]), y[:cut]),
        *(to_images(x[cut:]), y[cut:]),
        *(to_images(arrays["x_test"]), arrays["y_test"].astype("int32").ravel()),
    )


def _digits():
    """Return scikit-learn's digits, shuffled once and for all, resized, and split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    pixels = digits.images[order, :, :, None].astype("float32") / 16  # (1797, 8, 8, 1) in [0, 1]
    pixels = keras.ops.image.resize(pixels, (20, 20), interpolation="bicubic", data_format="channels_last")
    pixels = np.clip(keras.ops.convert_to_numpy(pixels), 0, 1)
    images = np.pad(pixels, [(0, 0), (4, 4), (4, 4), (0, 0)]) - 0.5
    labels = digits.target[order].astype("int32")
    cuts = np.cumsum(DIGITS_SPLIT)[:2]
    parts = zip(np.split(images, cuts), np.split(labels, cuts), strict=True)
    return Dataset("digits", *(array for part in parts for array in part))

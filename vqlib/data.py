"""Datasets in, arrays out: the same split and the same scale for every model in the book."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np

from vqlib import _batches
from vqlib._checks import check_images, check_labels, to_numpy
from vqlib._forms import as_images, rescaled, split_rows

SHAPES: dict[str, tuple[int, ...]] = {
    "mnist": (28, 28),
    "fashion_mnist": (28, 28),
    "cifar10": (32, 32, 3),
    "digits": (28, 28),
}
KERAS_FILES = {  # in the folder datasets of Keras's cache
    "mnist": ["mnist.npz"],
    "fashion_mnist": [
        f"fashion-mnist/{part}-ubyte.gz"
        for part in ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3")
    ],
    "cifar10": ["cifar-10-batches-py-target_archive"],
}
PARTS = ("train", "val", "test")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
VALIDATION_IMAGES = 5_000  # the last of the training file, for the datasets that Keras ships
DIGITS_SPLIT = (1_297, 250, 250)
OTHER_FORMS = "Dataset.from_arrays takes images and labels in other forms."


class DatasetNotFoundError(FileNotFoundError):
    """No place that was looked in holds the dataset."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels, split three ways.

    The arrays must be as described here. :meth:`from_arrays` makes them so from other forms, and
    :func:`vqlib.load_images` from a folder of pictures. A dataset equals itself alone; whether two hold the same,
    ``sha256`` tells.

    Attributes
    ----------
    name : str
    x_train, x_val, x_test : float32 arrays, shape (N, H, W, C), in [-0.5, 0.5]
        Disjoint. Every model in the book trains on the first, is chosen on the second and judged on the third, so
        that a prior is never judged on images that its tokenizer was trained on.
    y_train, y_val, y_test : int32 arrays, shape (N,), or None
        Class labels, from 0; None, all three, where there are none. A column, (N, 1), is taken for labels.
    class_names : tuple of str, optional
        The name of each label.

    Raises
    ------
    TypeError, ValueError
        If an array has another dtype, shape or range.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray | None
    x_val: np.ndarray
    y_val: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check the arrays."""
        missing = [f"y_{part}" for part in PARTS if getattr(self, f"y_{part}") is None]
        if 0 < len(missing) < len(PARTS):
            raise ValueError(f"Missing: {', '.join(missing)}. Give the labels of all three parts, or of none.")
        for part in PARTS:
            images, labels = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if not isinstance(images, np.ndarray) or images.dtype != np.float32:
                raise TypeError(f"x_{part} must be a float32 array, but is {_described(images)}. {OTHER_FORMS}")
            check_images(images, None if part == "train" else self.x_train.shape[1:], f"x_{part}")
            if labels is not None:
                object.__setattr__(self, f"y_{part}", self._checked_labels(labels, len(images), f"y_{part}"))

    def __repr__(self) -> str:
        """Return the dataset in words: its arrays would fill the screen."""
        sizes = "/".join(str(len(getattr(self, f"x_{part}"))) for part in PARTS)
        shape = " x ".join(map(str, self.x_train.shape[1:]))
        if self.class_names is not None:
            labels = f"{len(self.class_names)} classes"
        else:
            labels = "no labels" if self.y_train is None else "labels"
        return f"<Dataset {self.name!r}: {sizes} images to train/validate/test on, {shape}, {labels}>"

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any = None,
        *,
        x_val: Any = None,
        y_val: Any = None,
        x_test: Any = None,
        y_test: Any = None,
        value_range: tuple[float, float] | None = None,
        validation: float = 0.1,
        test: float = 0.1,
        seed: int | None = 0,
        class_names: Sequence[str] | None = None,
        name: str = "own",
    ) -> Self:
        """Make a dataset from images in any usual form.

        Parameters
        ----------
        x : array, tensor or sequence of images, shape (N, H, W) or (N, H, W, C)
            uint8 in 0..255, floating point in [0, 1], or floating point in [-0.5, 0.5]; which of these, dtype and
            values tell. Where they leave it open, nothing is guessed: an error asks for `value_range`.
        y : array of int, shape (N,) or (N, 1), optional
            Class labels, from 0.
        x_val, y_val, x_test, y_test : optional
            The same for the validation and the test images. Those that are not given are drawn from `x`, and its
            order then changes.
        value_range : pair of float, optional
            The values of black and white, for example (0, 255), (0, 16) or (-1, 1); then any numbers will do.
        validation, test : float
            The shares of `x` to be drawn as validation and as test images.
        seed : int or None
            For that draw; None draws anew each time.
        class_names : sequence of str, optional
            The name of each label.
        name : str

        Returns
        -------
        Dataset

        Raises
        ------
        TypeError, ValueError
            If images or labels have none of these forms; the message says what was found.
        """
        given = {"x": x, "x_val": x_val, "x_test": x_test}
        images = as_images({key: value for key, value in given.items() if key == "x" or value is not None}, value_range)
        labels = {}
        for key, value in {"y": y, "y_val": y_val, "y_test": y_test}.items():
            whose = key.replace("y", "x")
            if value is not None and whose not in images:
                raise ValueError(f"{key} was given, but no {whose}.")
            if value is not None:
                labels[key] = to_numpy(check_labels(value, len(images[whose]), name=key)).astype("int32")
        names = None if class_names is None else tuple(map(str, class_names))
        validation = 0 if "x_val" in images else validation
        test = 0 if "x_test" in images else test
        drawn = split_rows(len(images["x"]), validation, test, seed)
        fields: dict[str, Any] = {}
        for part, rows in zip(PARTS, drawn, strict=True):
            source, chosen = (f"_{part}", slice(None)) if f"x_{part}" in images else ("", rows)
            fields[f"x_{part}"] = images[f"x{source}"][chosen]
            fields[f"y_{part}"] = labels[f"y{source}"][chosen] if f"y{source}" in labels else None
        return cls(name, class_names=names, **fields)

    def _checked_labels(self, labels: Any, number: int, name: str) -> np.ndarray:
        if not isinstance(labels, np.ndarray) or labels.dtype != np.int32:
            raise TypeError(f"{name} must be an int32 array, but is {_described(labels)}. {OTHER_FORMS}")
        if self.class_names is None:
            return check_labels(labels, number, name=name)
        number_of_names = len(self.class_names)
        return check_labels(labels, number, number_of_names, f"{name}, labels of the {number_of_names} class_names,")

    @functools.cached_property
    def variance(self) -> float:
        """The variance of all training pixels, a float, on the scale of the images."""
        return _batches.variance(self.x_train)

    @functools.cached_property
    def sha256(self) -> str:
        """A hash over all images and labels, hexadecimal: the same for the same data in the same order."""
        digest = hashlib.sha256()
        for part in PARTS:
            for array in (getattr(self, f"x_{part}"), getattr(self, f"y_{part}")):
                if array is not None:
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def load_dataset(name: str = "mnist", data_dir: str | os.PathLike[str] | None = None) -> Dataset:
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


def find_file(name: str, data_dir: str | os.PathLike[str] | None = None) -> tuple[pathlib.Path | None, list[str]]:
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


def keras_files(name: str) -> list[pathlib.Path]:
    """Return the files with which Keras loads a dataset from its cache; where one is not there, it downloads it."""
    home = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return [home / "datasets" / file for file in KERAS_FILES[name]]


def check_file(path: pathlib.Path) -> None:
    """Raise ValueError where a file is cut short or lacks an array; it reads the file's table of contents alone."""
    with _opened(path) as file:
        for name in ARRAYS:
            if name not in file:
                raise KeyError(f"{name} is not among {', '.join(file)}")


def to_images(pixels: np.ndarray) -> np.ndarray:
    """Turn pixels (N, H, W) or (N, H, W, C), uint8 in 0..255, into images (N, H, W, C), float32 in [-0.5, 0.5]."""
    return rescaled(pixels[..., None] if pixels.ndim == 3 else pixels, 0, 255)


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Turn images in [-0.5, 0.5], or a little beyond, into pixels of the same shape, uint8 in 0..255, rounded."""
    return np.clip(np.round((images.astype("float64") + 0.5) * 255), 0, 255).astype("uint8")


def _described(array: Any) -> str:
    """Return dtype and shape of an array, or the type of what is none, in words."""
    return f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Any]:
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


def _read_npz(name: str, path: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the four arrays of a file, checked."""
    with _opened(path) as file:
        arrays = {key: file[key] for key in ARRAYS}
    for part in ("train", "test"):
        x = arrays[f"x_{part}"]
        if x.shape[1:] != SHAPES[name] or x.dtype != np.uint8:
            raise ValueError(
                f"x_{part} in {path} must be uint8 of shape (N, {', '.join(map(str, SHAPES[name]))}), "
                f"but is {x.dtype} of shape {x.shape}."
            )
        check_labels(arrays[f"y_{part}"], len(x), name=f"y_{part} in {path}")
    if len(arrays["x_train"]) <= VALIDATION_IMAGES:
        raise ValueError(
            f"{path} holds {len(arrays['x_train'])} training images; above {VALIDATION_IMAGES} are needed."
        )
    return arrays


def _split(name: str, arrays: Mapping[str, np.ndarray]) -> Dataset:
    """Return the dataset, with the last training images set aside for validation."""
    x, y = arrays["x_train"], arrays["y_train"].astype("int32")
    cut = len(x) - VALIDATION_IMAGES
    return Dataset(
        name,
        x_train=to_images(x[:cut]),
        y_train=y[:cut],
        x_val=to_images(x[cut:]),
        y_val=y[cut:],
        x_test=to_images(arrays["x_test"]),
        y_test=arrays["y_test"].astype("int32"),
    )


def _digits() -> Dataset:
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
    (x_train, x_val, x_test), (y_train, y_val, y_test) = np.split(images, cuts), np.split(labels, cuts)
    return Dataset("digits", x_train, y_train, x_val, y_val, x_test, y_test)

"""A folder of pictures in, a dataset out."""

import collections
import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageOps

from vqlib._checks import check_positive_integer
from vqlib._forms import split_rows
from vqlib._progress import announced
from vqlib.data import PARTS, Dataset, to_images

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
OTHER_PICTURES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".ppm", ".svg", ".tga", ".tif", ".tiff"}
PART_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
ORIENTATION = 0x0112  # in EXIF
ON_THE_SIDE = {5, 6, 7, 8}  # its values that exchange width and height


class Picture(NamedTuple):
    """A picture's file, its class ("" where there are none), and its part ("" where the folder is not split)."""

    path: pathlib.Path
    label: str
    part: str


class Header(NamedTuple):
    """What a picture's file says before its pixels."""

    size: tuple[int, int]  # (height, width), as it is to be seen
    is_grey: bool


def load_images(
    folder: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    labels: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int | None = 0,
    skip_unreadable: bool = False,
    name: str | None = None,
) -> Dataset:
    """Load a folder of pictures: PNG, JPEG and WebP.

    All files below the folder with the suffixes .png, .jpg, .jpeg and .webp are read, in the order of their paths.
    Hidden ones (``.thumbs``, ``__MACOSX``) are left out, and so are files that are no pictures. Links to folders are
    followed; a folder that several lead to is read once, so that no picture is in two parts.

    ============================  ====================================================================================
    in the folder                 what becomes of it
    ============================  ====================================================================================
    sub-folders                   classes, where there are two or more, in the order of the alphabet: ``cat/1.png``,
                                  ``dog/1.png``. All files of a sub-folder belong to it, however deep they lie.
    train, val and test           If all sub-folders have these names (or valid, validation), and two at least are
                                  there, they are the split, and classes lie below them. A part that is missing is
                                  drawn from train.
    other sizes                   A picture is scaled until it just covers `size`, with its proportions and Pillow's
                                  bicubic filter, and what hangs over is cut off, as much on either side.
    a camera's turn (EXIF)        is carried out.
    transparency                  The picture is laid on white.
    colour where grey is wanted   becomes luma, 0.299 R + 0.587 G + 0.114 B; a palette counts as colour unless all of
                                  it is grey.
    16 bits a channel             The upper 8 are kept.
    moving pictures               are refused, since one frame is not the picture. A phone's JPEG with several
                                  pictures in it (MPO) is its first.
    unreadable files              are refused, all at once and by name.
    ============================  ====================================================================================

    The pixels are kept as bytes until all are read; of the float32 arrays, four times as large, each is made once.

    Parameters
    ----------
    folder : path
    size : int or pair of int, optional
        (H, W) of the images, one number for both; by default the size that all pictures have. VQVAE's strides must
        divide it: by default, 4.
    channels : 1 or 3, optional
        Grey or colour; by default what all pictures are.
    labels : bool, optional
        Whether sub-folders are classes. By default they are, where there are two or more.
    validation, test : float
        The shares of the pictures to be drawn as validation and as test images.
    seed : int or None
        For that draw, and the order of the training images; None draws anew each time.
    skip_unreadable : bool
        Go on without the files that are refused; a warning names them.
    name : str, optional
        Of the dataset; by default the folder's.

    Returns
    -------
    Dataset
        Its ``class_names`` are the sub-folders'; its labels are None where there are none.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds no pictures, or unreadable ones, or pictures of different sizes, or grey ones and colour ones, where
        `size` or `channels` do not say what to make of them.
    """
    root = pathlib.Path(folder).expanduser()
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1, for grey, or 3, for colour, but {channels!r} was given.")
    shape = None if size is None else _checked_size(size)
    pictures, refused = _pictures(root, labels)
    if shape is None or channels is None:
        headers = _headers(pictures, refused)
        if not headers:
            raise ValueError(_in_words(root, refused))
        shape = shape or _common_size(root, headers)
        channels = channels or _common_channels(root, headers)
    pixels = np.empty((len(pictures), *shape, channels), "uint8")
    taken: list[Picture] = []
    for picture in announced(pictures, "load_images"):
        if picture.path in refused:
            continue
        try:
            pixels[len(taken)] = _read(picture.path, shape, channels)
        except Exception as error:  # a damaged file raises anything
            refused[picture.path] = _reason(error)
        else:
            taken.append(picture)
    if refused and not (skip_unreadable and taken):
        raise ValueError(_in_words(root, refused))
    if refused:
        warnings.warn(_in_words(root, refused), stacklevel=2)
    class_names = tuple(sorted({picture.label for picture in taken} - {""})) or None
    numbers = np.array([class_names.index(picture.label) if class_names else 0 for picture in taken], "int32")
    fields: dict[str, Any] = {}
    rows = _rows_of_parts([picture.part for picture in taken], validation, test, seed)
    for part, chosen in zip(PARTS, rows, strict=True):
        fields[f"x_{part}"] = to_images(pixels[chosen])
        fields[f"y_{part}"] = numbers[chosen] if class_names else None
    return Dataset(name or root.resolve().name, class_names=class_names, **fields)


def _checked_size(size: Any) -> tuple[int, int]:
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"size must be one integer, or (height, width), but {size!r} was given.")
    for side in sides:
        check_positive_integer("size, each side,", side)
    return int(sides[0]), int(sides[1])


def _files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield all files below a folder that are not hidden; links are followed, each folder once.

    Of several ways to one folder in the same place, the folder itself is taken, or the first link by the alphabet.
    """
    listed = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        paths = sorted((pathlib.Path(folder) / name for name in folders), key=lambda path: (path.is_symlink(), path))
        folders.clear()  # os.walk goes on with those that are put back
        for path in paths:
            place = os.path.realpath(path)
            if not path.name.startswith((".", "__")) and place not in listed:
                listed.add(place)
                folders.append(path.name)
        yield from (pathlib.Path(folder) / name for name in names if not name.startswith((".", "__")))


def _pictures(root: pathlib.Path, labels: bool | None) -> tuple[list[Picture], dict[pathlib.Path, str]]:
    """Return the pictures below a folder, in the order of their paths, and why others are refused, by their files."""
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is {'a file' if root.exists() else 'not there'}. Give a folder of pictures.")
    files = sorted(_files(root), key=lambda path: path.relative_to(root).as_posix())
    refused = {path: "neither PNG, JPEG nor WebP" for path in files if path.suffix.lower() in OTHER_PICTURES}
    paths = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not paths:
        other = f", but {len(refused)} pictures of other kinds" if refused else ""
        raise ValueError(f"{root} holds no PNG, JPEG or WebP pictures{other}. They end in {', '.join(SUFFIXES)}.")
    folders = [path.relative_to(root).parts[:-1] for path in paths]
    parts = [PART_FOLDERS.get(folder[0].lower(), "") if folder else "" for folder in folders]
    if len(set(parts)) > 1 and "" not in parts:
        if "train" not in parts:
            raise ValueError(f"{root} holds pictures to validate or test on, but no folder train.")
        folders = [folder[1:] for folder in folders]
    else:
        parts = [""] * len(paths)
    classes = [folder[0] if folder else "" for folder in folders]
    if labels is None:
        labels = len(set(classes)) > 1
    if labels and not any(classes):
        raise ValueError(f"{root} has no sub-folders, whose names would be the labels. Leave labels out.")
    if labels and not all(classes):
        raise ValueError(
            f"{root}: {classes.count('')} pictures lie beside the sub-folders, and so have no label. Move them into "
            "one, or take all pictures without labels: labels=False."
        )
    if not labels:
        classes = [""] * len(paths)
    return list(map(Picture, paths, classes, parts)), refused


def read_picture(path: pathlib.Path, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Return the pixels of one picture, uint8, of a shape (H, W, C); grey from colours where C is 1.

    Raises
    ------
    ValueError
        If it cannot be read, or has another height or width.
    """
    refused: dict[pathlib.Path, str] = {}
    headers = _headers([Picture(path, "", "")], refused)
    if refused:
        raise ValueError(f"{path} cannot be taken: {refused[path]}.")
    height, width, channels = image_shape
    if headers[path].size != (height, width):
        found = " x ".join(map(str, headers[path].size))
        raise ValueError(f"{path} has {found} pixels, height x width, but the model takes {height} x {width}.")
    try:
        return _read(path, (height, width), channels)
    except Exception as error:  # a damaged file raises anything
        raise ValueError(f"{path} cannot be taken: {_reason(error)}.") from error


def _rows_of_parts(
    parts: Sequence[str], validation: float, test: float, seed: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows to train, validate and test on: as the folders have it, and what they do not say, drawn."""
    if not any(parts):
        return split_rows(len(parts), validation, test, seed)
    given = {part: np.flatnonzero(np.equal(parts, part)) for part in PARTS}
    train = np.random.default_rng(seed).permutation(given["train"])
    validation = 0 if given["val"].size else validation
    test = 0 if given["test"].size else test
    rows, drawn_to_validate, drawn_to_test = split_rows(len(train), validation, test, seed)
    return (
        train[rows],
        given["val"] if given["val"].size else train[drawn_to_validate],
        given["test"] if given["test"].size else train[drawn_to_test],
    )


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[PIL.Image.Image]:
    """Open a picture of one of the formats; its pixels are not read yet."""
    with PIL.Image.open(path, formats=FORMATS) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":
            raise ValueError(f"a moving picture, of {frames} frames")
        yield picture


def _headers(pictures: Sequence[Picture], refused: dict[pathlib.Path, str]) -> dict[pathlib.Path, Header]:
    """Return the headers of pictures by their files; those that cannot be read are put to the refused."""
    headers = {}
    for path, *_ in announced(pictures, "load_images, sizes"):
        try:
            with _opened(path) as picture:
                width, height = picture.size
                turned = picture.getexif().get(ORIENTATION) in ON_THE_SIDE
                headers[path] = Header((width, height) if turned else (height, width), _is_grey(picture))
        except Exception as error:  # a damaged file raises anything
            refused[path] = _reason(error)
    return headers


def _is_grey(picture: PIL.Image.Image) -> bool:
    if picture.mode in ("P", "PA"):
        palette = np.reshape(np.array(picture.getpalette("RGB")), (-1, 3))
        return bool((palette == palette[:, :1]).all())
    return picture.mode in GREY_MODES


def _common_size(root: pathlib.Path, headers: Mapping[pathlib.Path, Header]) -> tuple[int, int]:
    """Return the size that all pictures have, or raise with those that there are."""
    sizes = collections.Counter(header.size for header in headers.values())
    if len(sizes) == 1:
        return next(iter(sizes))
    found = ", ".join(f"{height} x {width} ({number})" for (height, width), number in sizes.most_common(5))
    raise ValueError(
        f"The pictures in {root} have {len(sizes)} sizes, height x width (how many): {found}"
        f"{', ...' if len(sizes) > 5 else ''}. Ask for one, to which they are scaled and cropped: size=64, or "
        "size=(height, width)."
    )


def _common_channels(root: pathlib.Path, headers: Mapping[pathlib.Path, Header]) -> int:
    """Return 1 where all pictures are grey and 3 where all are in colour, or raise with how many are which."""
    grey = sum(header.is_grey for header in headers.values())
    if grey in (0, len(headers)):
        return 1 if grey else 3
    raise ValueError(
        f"Of the pictures in {root}, {grey} are grey and {len(headers) - grey} in colour. "
        "Ask for all in colour, channels=3, or all in grey, channels=1."
    )


def _read(path: pathlib.Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """Return a picture's pixels: uint8, (height, width, channels)."""
    with _opened(path) as file:
        picture = PIL.ImageOps.exif_transpose(file)
        if picture.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut off all above 255
            picture = PIL.Image.fromarray((np.asarray(picture).astype("int64") >> 8).astype("uint8"))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
        height, width = size
        if picture.size != (width, height):
            picture = PIL.ImageOps.fit(picture, (width, height), PIL.Image.Resampling.BICUBIC)
        return np.asarray(picture).reshape(height, width, channels)


def _reason(error: Exception) -> str:
    """Return in words why a file cannot be taken."""
    if isinstance(error, PIL.UnidentifiedImageError):  # its message is the path
        return "neither PNG, JPEG nor WebP, or damaged"
    return str(error) or type(error).__name__


def _in_words(root: pathlib.Path, refused: Mapping[pathlib.Path, str]) -> str:
    """Return which pictures are refused, and why, a line each."""
    lines = [f"- {path.relative_to(root).as_posix()}: {reason}" for path, reason in sorted(refused.items())]
    return "\n".join(
        [
            f"{len(refused)} of the pictures in {root} cannot be taken:",
            *lines,
            "Mend or remove them; or leave them out, with a warning: skip_unreadable=True.",
        ]
    )

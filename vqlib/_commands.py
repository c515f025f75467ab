"""Pictures into short files, and back, from a terminal: ``python -m vqlib compress`` and ``decompress``."""

import io
import os
import pathlib

import PIL.Image

from vqlib import checkpoints
from vqlib._files import write_atomically
from vqlib.compression import CompressionError, compress, decompress, made_with
from vqlib.data import to_images, to_pixels
from vqlib.image_folder import read_picture

Path = str | os.PathLike[str]


def compress_picture(picture: Path, file: Path, name: str) -> str:
    """Write a picture as a short file, with the shipped models of a name; return a line on it.

    Raises
    ------
    ValueError, OSError
        If there are no such models, they take no such picture, or a file cannot be read or written.
    """
    if name not in _names():
        raise ValueError(f"There is no tokenizer with its prior called {name!r}. Known: {', '.join(_names())}.")
    _check_target(file, picture)
    models = checkpoints.load_pretrained(name)
    pixels = read_picture(pathlib.Path(picture), models[0].image_shape)
    data = compress(to_images(pixels[None]), models)
    write_atomically(file, data)
    return f"{picture}: {pathlib.Path(picture).stat().st_size:,} bytes, {file}: {len(data):,} bytes, with {name}."


def decompress_picture(file: Path, picture: Path) -> str:
    """Write the picture that a short file holds, as PNG, with the shipped models that fit; return a line on it.

    Raises
    ------
    ValueError, OSError
        If the file is none of these, damaged, or not of one picture; no shipped models fit; or a file cannot be read or
        written.
    """
    _check_target(picture, file)
    data = pathlib.Path(file).read_bytes()
    if pathlib.Path(picture).suffix.lower() != ".png":
        raise ValueError(f"A picture is written as PNG, which loses nothing more, but {picture} does not end in .png.")
    for name in _names():
        models = checkpoints.load_pretrained(name)
        if made_with(data, models):
            break
    else:
        raise CompressionError(
            f"{file} was made with none of {', '.join(_names())}: vqlib.decompress takes the models."
        )
    images = decompress(data, models)
    if len(images) != 1:
        raise CompressionError(f"{file} holds {len(images)} images: vqlib.decompress gives them all.")
    pixels = to_pixels(images[0])
    png = io.BytesIO()
    PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(png, "PNG")
    write_atomically(picture, png.getvalue())
    return f"{file}: {len(data):,} bytes, {picture}: {len(png.getvalue()):,} bytes, with {name}."


def _check_target(target: Path, source: Path) -> None:
    """Raise where a file that is to be written is a folder, or what it is made from. Any other file is replaced."""
    target, source = pathlib.Path(target), pathlib.Path(source)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: name a file in it.")
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} would be written over itself: name another file.")


def _names() -> list[str]:
    """Return the names of shipped tokenizers with their priors."""
    return sorted(name.removesuffix("-vqvae") for name in checkpoints.names() if name.endswith("-vqvae"))

"""Files that are written whole or not at all."""

import os
import pathlib


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write a file whole or not at all: whoever reads it finds what it held before, or all of `data`.

    Parameters
    ----------
    path : path
        Its folder is made if it is not there.
    data : str or bytes
        Text is written as UTF-8, with the line ends that it has.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    replace(partial, path)


def replace(partial: pathlib.Path, path: pathlib.Path) -> None:
    """Put a finished file in the place of another one, after the disk has it: also a power failure leaves one whole."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)

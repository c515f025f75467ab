"""What was handed in: which file is whose, which one counts, and what is to be said about it."""

import collections
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import re
import zipfile
from collections.abc import Iterable, Sequence

import nbformat

from vqgrader import wire
from vqlib.coursework.assignment import identity

LARGEST = 2**24  # bytes of a notebook with its outputs
CELLS = 2_000


@dataclasses.dataclass
class File:
    """A file of the folder.

    Attributes
    ----------
    name : str, its path within the folder
    time : when it was last changed
    cells : the notebook's cells, nothing but their kinds and texts, or None if there is no notebook in it
    student : whose it is
    notes : what a grader should know, in words
    """

    name: str
    time: datetime.datetime
    cells: list[nbformat.NotebookNode] | None = None
    student: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def sha256(self) -> str:
        """A hash of the cells: a notebook that was only run again has the same."""
        texts = [[cell.cell_type, cell.source] for cell in self.cells or ()]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def scan(
    folder: pathlib.Path,
    assignment: str,
    roster: Sequence[str] = (),
    deadline: datetime.datetime | None = None,
) -> list[File]:
    """Return all files of a folder and its subfolders as :class:`File`, each with its student.

    The student is the one id of the roster that stands in the file's path; else the one in the notebook; else the
    file's name without its ending.
    """
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        time = datetime.datetime.fromtimestamp(path.lstat().st_mtime).replace(microsecond=0)
        file = File(_printable(os.fsencode(path.relative_to(folder)).decode(errors="replace")), time)
        try:
            file.cells = _read(path, file.name)
        except Exception as error:  # nobody has checked what the file is; it is reported, and no other one suffers
            file.notes.append(f"not a notebook that can be read: {wire.one_line(type(error).__name__, error)}")
        _recognise(file, assignment, roster)
        if deadline and time > deadline:
            file.notes.append(f"late: {time}")
        files.append(file)
    return files


def newest(files: Iterable[File]) -> dict[str, File]:
    """Return, by student, the file that counts; the others are noted with it and with themselves.

    A student whose only notebook cannot be read has that one.
    """
    groups: dict[str, list[File]] = collections.defaultdict(list)
    for file in files:
        if file.cells is not None or (file.name.endswith((".ipynb", ".zip")) and not _hidden(file.name)):
            groups[file.student].append(file)
    counting = {}
    for student, group in sorted(groups.items()):
        *others, last = sorted(group, key=lambda file: (file.cells is not None, file.time, file.name))
        for file in others:
            if file.cells is None:
                last.notes.append(f"also handed in: {file.name}, which cannot be read")
                continue
            same = " with the same content" if file.sha256 == last.sha256 else ""
            file.notes.append(f"not graded: {last.name} is newer")
            last.notes.append(f"also handed in: {file.name}{same}")
        counting[student] = last
    return counting


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey: names of files may hold that, and line breaks."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _hidden(name: str) -> bool:
    """Return whether a path is what programs leave behind: copies of Jupyter's, notes of macOS."""
    return any(part.startswith(".") or part == "__MACOSX" for part in pathlib.PurePosixPath(name).parts)


def _read(path: pathlib.Path, name: str) -> list[nbformat.NotebookNode]:
    """Return the cells of a notebook, which may be the one notebook of a zip file."""
    if path.is_symlink() or not path.is_file():
        raise ValueError("a link, or no file")
    if _hidden(name):
        raise ValueError("a hidden file, left by a program")
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [inside for inside in archive.namelist() if inside.endswith(".ipynb") and not _hidden(inside)]
            if len(names) != 1:
                raise ValueError(f"{len(names)} notebooks in the zip file")
            with archive.open(names[0]) as file:
                return _cells(file.read(LARGEST + 1))
    with path.open("rb") as file:
        return _cells(file.read(LARGEST + 1))


def _cells(data: bytes) -> list[nbformat.NotebookNode]:
    """Return the cells of a notebook that comes as bytes."""
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST >> 20} MB")
    found = json.loads(data.decode("utf-8-sig"))["cells"]
    if len(found) > CELLS:
        raise ValueError(f"more than {CELLS} cells")
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    return [
        make.get(cell["cell_type"], nbformat.v4.new_raw_cell)(
            wire.truncate("".join(cell["source"]), LARGEST), id=f"cell-{number}"
        )
        for number, cell in enumerate(found)
    ]


def _recognise(file: File, assignment: str, roster: Sequence[str]) -> None:
    """Say whose file it is, and note what does not fit."""
    code = [cell.source for cell in file.cells or () if cell.cell_type == "code"]
    claimed, words = _claimed(code), _words(file.name)
    found = [student for student in roster if _within(_words(student), words)]
    in_path = [one for one in found if not any(one != other and _within(_words(one), _words(other)) for other in found)]
    stem = identity(pathlib.PurePosixPath(file.name).stem)
    file.student = in_path[0] if len(in_path) == 1 else claimed or stem
    if file.cells is None:
        return
    if len(in_path) > 1:
        file.notes.append(f"the path names several students: {', '.join(in_path)}")
    if not claimed:
        file.notes.append("the notebook has no student id")
    elif claimed != file.student:
        file.notes.append(f"the notebook has the student id {claimed}")
    if roster and file.student not in roster:
        file.notes.append("not on the roster")
    names = {match for source in code for match in re.findall(r'\bAssignment\(\s*["\']([^"\']+)["\']', source)}
    if names and assignment not in names:
        file.notes.append(wire.truncate(f"this is the assignment {', '.join(sorted(names))}", 200))


def _words(text: str) -> list[str]:
    """Return the words of a text, as ids are compared."""
    return re.findall(r"[^\W_]+", identity(text))


def _within(part: list[str], words: list[str]) -> bool:
    """Return whether some words follow each other in others."""
    return bool(part) and any(words[start : start + len(part)] == part for start in range(len(words)))


def _claimed(code: Sequence[str]) -> str:
    """Return the student id that a notebook sets to a plain string, without running it."""
    for source in reversed(code):
        match = re.search(
            r"""^STUDENT_ID\s*=\s*(["'])(((?!\1)[^\\\n]){1,100})\1\s*(#.*)?$""", source, flags=re.MULTILINE
        )
        if match and match[2].isprintable():
            return identity(match[2])
    return ""

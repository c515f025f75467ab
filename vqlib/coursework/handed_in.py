"""What was handed in: which file is whose, which one counts, and what is to be said about it."""

import ast
import collections
import dataclasses
import datetime
import hashlib
import pathlib
import re
import zipfile

import nbformat


@dataclasses.dataclass
class File:
    """A file of the folder.

    Attributes
    ----------
    name : str, its path within the folder
    time : when it was last changed
    text : the notebook's JSON, or None if there is no notebook in it
    student : whose it is
    notes : what a grader should know, in words
    """

    name: str
    time: datetime.datetime
    text: str | None = None
    student: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def sha256(self):
        """A hash of the notebook."""
        return hashlib.sha256((self.text or "").encode()).hexdigest()

    @property
    def cells(self):
        """The notebook's cells."""
        return nbformat.reads(self.text, as_version=4).cells


def scan(folder, assignment, roster=(), deadline=None):
    """Return all files of a folder and its subfolders as :class:`File`, each with its student.

    The student is the one id of the roster that stands in the file's path; else the one in the notebook; else the
    file's name without its ending.
    """
    folder = pathlib.Path(folder)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    files = []
    for path in paths:
        time = datetime.datetime.fromtimestamp(path.stat().st_mtime).replace(microsecond=0)
        file = File(str(path.relative_to(folder)), time)
        try:
            file.text = _read(path)
        except (OSError, ValueError, zipfile.BadZipFile, nbformat.ValidationError) as error:
            file.notes.append(f"not a notebook that can be read: {str(error).splitlines()[0]}")
        _recognise(file, assignment, roster)
        if deadline and time > deadline:
            file.notes.append(f"late: {time}")
        files.append(file)
    return files


def newest(files):
    """Return, by student, the file that counts; the others are noted with it and with themselves."""
    groups = collections.defaultdict(list)
    for file in files:
        if file.text is not None:
            groups[file.student].append(file)
    counting = {}
    for student, group in sorted(groups.items()):
        *older, last = sorted(group, key=lambda file: (file.time, file.name))
        for file in older:
            same = " with the same content" if file.sha256 == last.sha256 else ""
            file.notes.append(f"not graded: {last.name} is newer")
            last.notes.append(f"also handed in: {file.name}{same}")
        counting[student] = last
    return counting


def _read(path):
    """Return the text of a notebook, which may be the one notebook of a zip file."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".ipynb") and "__MACOSX" not in name]
            if len(names) != 1:
                raise ValueError(f"{len(names)} notebooks in the zip file")
            text = archive.read(names[0]).decode()
    else:
        text = path.read_text(encoding="utf-8")
    nbformat.reads(text, as_version=4)
    return text


def _recognise(file, assignment, roster):
    """Say whose file it is, and note what does not fit."""
    code = [] if file.text is None else [cell.source for cell in file.cells if cell.cell_type == "code"]
    claimed = _claimed(code)
    words = re.split(r"[^a-z0-9]+", file.name.lower())
    in_path = [student for student in roster if _within(re.split(r"[^a-z0-9]+", student), words)]
    file.student = in_path[0] if len(in_path) == 1 else claimed or pathlib.Path(file.name).stem.strip().lower()
    if file.text is None:
        return
    if not claimed:
        file.notes.append("the notebook has no student id")
    elif claimed != file.student:
        file.notes.append(f"the notebook has the student id {claimed}")
    if roster and file.student not in roster:
        file.notes.append("not on the roster")
    names = {match for source in code for match in re.findall(r'\bAssignment\(\s*["\']([^"\']+)["\']', source)}
    if names and assignment not in names:
        file.notes.append(f"this is the assignment {', '.join(sorted(names))}")


def _within(part, words):
    """Whether some words follow each other in others."""
    return any(words[start : start + len(part)] == part for start in range(len(words)))


def _claimed(code):
    """Return the student id that a notebook sets to a plain string, without running it."""
    for source in reversed(code):
        match = re.search(r"^STUDENT_ID\s*=\s*([\"'].*?[\"'])\s*(?:#.*)?$", source, flags=re.MULTILINE)
        if match:
            try:
                return str(ast.literal_eval(match[1])).strip().lower()
            except (SyntaxError, ValueError):
                continue
    return ""

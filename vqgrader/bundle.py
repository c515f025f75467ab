"""An assignment as `make coursework` built it."""

import hashlib
import json
import pathlib
from typing import TypedDict

from vqgrader.tables import GradingError


class QuestionConfig(TypedDict):
    """What questions.json says of a question: its points, and whether a person gives them."""

    points: float
    manual: bool


class Bundle:
    """An assignment as `make coursework` built it.

    Attributes
    ----------
    name : str
    questions : dict, name -> :class:`QuestionConfig`, in the order of the notebook
    tests : list of paths, with the hidden ones
    sha256 : a hash of all of it
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder.resolve()
        if not (self.folder / "questions.json").is_file():
            raise GradingError(f"{folder} is no assignment. `make coursework` builds them, in build/coursework.")
        self.name = self.folder.name
        self.questions: dict[str, QuestionConfig] = json.loads(
            (self.folder / "questions.json").read_text(encoding="utf-8")
        )
        self.tests = sorted((self.folder / "tests").glob("*.py"))
        texts = [path.read_bytes() for path in (self.folder / "questions.json", *self.tests)]
        self.sha256 = hashlib.sha256(b"\0".join(texts)).hexdigest()

    @property
    def manual(self) -> list[str]:
        """The questions that a person marks."""
        return [name for name, question in self.questions.items() if question["manual"]]

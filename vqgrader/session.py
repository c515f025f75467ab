"""A student's notebook, run in a process of its own; its names, as a test sees them."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import nbformat

from vqgrader import wire
from vqgrader.limits import Limits
from vqgrader.sandbox import Sandbox
from vqlib.coursework.answers import AnswerError

RESTARTS = 3  # after a cell or call that brought the process down
GRACE = 15  # seconds beyond a limit, for a process that is busy, before it is ended
OUTPUTS = 2**25  # bytes kept of all outputs together

Outputs = list[dict[str, str]]  # of a cell: for each of them, kind of data -> data


def run_order(cells: Sequence[nbformat.NotebookNode]) -> list[int]:
    """Return which cells to run: all code, but cells that only check or hand in, which need nothing here."""
    return [
        index
        for index, cell in enumerate(cells)
        if cell.cell_type == "code"
        and not all(re.match(r"\s*(#|$|grader\.(check|submit)\()", line) for line in cell.source.splitlines())
    ]


def shown(outputs: object) -> Outputs:
    """Return what is kept of a cell's outputs: text, cut to a length, and PNG pictures."""
    kept = []
    for output in outputs if isinstance(outputs, list) else ():
        text, picture = (output.get(kind) if isinstance(output, dict) else None for kind in wire.SHOWN)
        data = {"text/plain": wire.truncate(text, wire.LONGEST_OUTPUT)} if text else {}
        if isinstance(picture, str) and re.fullmatch(r"[A-Za-z0-9+/=\s]+", picture):
            data["image/png"] = picture
        if data:
            kept.append(data)
    return kept


def error_text(answer: Mapping[str, Any]) -> str:
    """Return what a process says of an error in one text, whatever it sent."""
    parts = [answer[key] for key in ("error", "message") if answer.get(key)]
    return wire.truncate(": ".join(map(str, parts)))


class Session:
    """Runs the code cells of a notebook from top to bottom; those that miss a name, once more after the others.

    So cells that were moved behind the one that needs them still count. A cell that brings the process down is left
    out, and the others run again. Begin with :meth:`start`::

        with Session.start(cells, limits) as session:
            session.run()

    Attributes
    ----------
    outputs : dict, index of a cell -> its outputs as notebooks hold them
    errors : dict, index of a cell -> what it stopped with
    late : list of the cells that ran only at the second try
    """

    def __init__(self, cells: Sequence[nbformat.NotebookNode], limits: Limits, isolated: bool = True) -> None:
        self.cells = cells
        self.limits = limits
        self.isolated = isolated
        self.deadline = time.monotonic() + limits.total
        self.sandbox: Sandbox | None = None
        self.starts = 0
        self.skipped: dict[int, str] = {}
        self._forget()

    @classmethod
    def start(cls, cells: Sequence[nbformat.NotebookNode], limits: Limits, isolated: bool = True) -> Self:
        """Return a session whose process is there, and in which nothing has run yet."""
        session = cls(cells, limits, isolated)
        session._start_process()
        return session

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()

    def left(self) -> float:
        """Return how many seconds are left of the time for all."""
        return self.deadline - time.monotonic()

    def run(self) -> None:
        """Run the notebook, as often as it takes to leave out what brings the process down."""
        while not self._run_cells() and self._may_restart():
            self._start_process()

    def restart(self) -> None:
        """Run the notebook in a new process, after a call that brought the last one down, unless that was too often."""
        if self._may_restart():
            self._start_process()
            self.run()

    def _may_restart(self) -> bool:
        return self.starts <= RESTARTS and self.left() > 0

    def _start_process(self) -> None:
        self.close()
        self.starts += 1
        self._forget()
        self.sandbox = Sandbox(self.limits, self.isolated)

    def _forget(self) -> None:
        """Forget what the last process did, but not which cells to skip."""
        self.outputs: dict[int, Outputs] = {}
        self.errors: dict[int, str] = dict(self.skipped)
        self.late: list[int] = []
        self.room = OUTPUTS

    def _run_cells(self) -> bool:
        """Run all cells; return False if the process did not survive one, which is skipped from then on."""
        waiting = [index for index in run_order(self.cells) if index not in self.skipped]
        before: list[int] = []
        while waiting and waiting != before:
            before, waiting = waiting, []
            for index in before:
                try:
                    answer = self.ask({"do": "run", "source": self.cells[index].source})
                except EOFError as error:
                    self.skipped[index] = self.errors[index] = str(error)
                    return False
                self._keep(index, shown(answer.get("outputs")))
                if answer.get("error"):
                    self.errors[index] = error_text(answer)
                    if answer.get("misses_name"):
                        waiting.append(index)
                elif self.errors.pop(index, None):
                    self.late.append(index)
        return True

    def _keep(self, index: int, outputs: Outputs) -> None:
        self.room -= len(json.dumps(outputs))
        dropped = [{"text/plain": "(not kept: the outputs of this notebook are too large)"}]
        self.outputs[index] = outputs if self.room > 0 else dropped

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message to the process and return its answer.

        Raises
        ------
        EOFError
            If the process ended, or had to be ended. It says why.
        """
        if self.sandbox is None:
            raise EOFError("the process had ended before")
        limit = min(self.limits.cell, self.left())
        if limit <= 0:
            self.close()
            raise EOFError(f"ended: all of it took longer than {math.ceil(self.limits.total)} seconds")
        try:
            return self.sandbox.ask({**message, "seconds": limit}, limit + GRACE)
        except TimeoutError as error:
            self.close()
            raise EOFError(f"ended after {math.ceil(limit)} seconds, because it could not be interrupted") from error
        except (EOFError, OSError) as error:
            self.close()
            raise EOFError("brought its process down; was there enough memory?") from error

    def value(self, message: dict[str, Any]) -> Any:
        """Return the value that a message asks for; where the last call brought the process down, from a new one."""
        if self.sandbox is None:
            self.restart()
        try:
            answer = self.ask(message)
        except EOFError as error:
            raise AnswerError(str(error)) from error
        if answer.get("error"):
            raise AnswerError(error_text(answer))
        return wire.unpack(answer["value"], lambda exported: Remote(self, exported))

    def close(self) -> None:
        """End the process, if there is one."""
        if self.sandbox is not None:
            self.sandbox.close()
            self.sandbox = None


class Namespace(Mapping[str, Any]):
    """The names of a notebook, asked for when a test wants them; those given here stand in front."""

    def __init__(self, session: Session, **ours: Any) -> None:
        self.session = session
        self.ours = ours

    def get(self, name: str, default: Any = None) -> Any:
        """Return what the notebook calls `name`."""
        value = self.ours[name] if name in self.ours else self.session.value({"do": "get", "name": name})
        return default if value is None else value

    def __getitem__(self, name: str) -> Any:
        """Return what the notebook calls `name`, or None."""
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        """Return whether the notebook has a value of that name."""
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Refuse: a test asks for the names that it knows."""
        raise TypeError("The names of a notebook cannot be listed.")

    def __len__(self) -> int:
        """Refuse, as :meth:`__iter__` does."""
        raise TypeError("The names of a notebook cannot be counted.")


class Remote:
    """Stands for an object in the student's process: it is called, and has attributes and items, like that one."""

    def __init__(self, session: Session, exported: dict[str, Any]) -> None:
        self._session = session
        self._exported = exported
        self.__name__ = exported["name"]

    def _pack(self, value: Any) -> Any:
        return wire.pack(value, lambda other: other._exported)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it there."""
        packed = {"arguments": self._pack(list(arguments)), "named": self._pack(named)}
        return self._session.value({"do": "call", "of": self._exported, **packed})

    def __getattr__(self, name: str) -> Any:
        """Return its attribute."""
        if name.startswith("__"):  # what NumPy, copy and others look for
            raise AttributeError(name)
        return self._session.value({"do": "attribute", "of": self._exported, "name": name})

    def __getitem__(self, key: Any) -> Any:
        """Return its item."""
        return self._session.value({"do": "item", "of": self._exported, "key": self._pack(key)})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: the object is there, and stays there."""
        return self

    def _vqlib_probe(self, name: str, arguments: tuple[Any, ...]) -> Any:
        return self._session.value({"do": "probe", "name": name, "arguments": self._pack(list(arguments))})

"""A student's notebook, run in a process of its own; its names, as a test sees them."""

import json
import math
import re
import time

from vqlib.coursework import wire
from vqlib.coursework.answers import AnswerError
from vqlib.coursework.sandbox import Sandbox

RESTARTS = 3  # after a cell or call that brought the process down
GRACE = 15  # seconds beyond a limit, for a process that is busy, before it is ended
OUTPUTS = 2**25  # bytes kept of all outputs together


def run_order(cells):
    """Return which cells to run: all code, but cells that only check or hand in, which need nothing here."""
    return [
        index
        for index, cell in enumerate(cells)
        if cell.cell_type == "code"
        and not all(re.match(r"\s*(#|$|grader\.(check|submit)\()", line) for line in cell.source.splitlines())
    ]


def shown(outputs):
    """Return what is kept of a cell's outputs: text, cut to a length, and PNG pictures."""
    kept = []
    for output in outputs if isinstance(outputs, list) else ():
        text, picture = (output.get(kind) if isinstance(output, dict) else None for kind in wire.SHOWN)
        data = {"text/plain": wire.words(text, wire.PRINTED)} if text else {}
        if isinstance(picture, str) and re.fullmatch(r"[A-Za-z0-9+/=\s]+", picture):
            data["image/png"] = picture
        if data:
            kept.append(data)
    return kept


class Session:
    """Runs the code cells of a notebook from top to bottom; those that miss a name, once more after the others.

    So cells that were moved behind the one that needs them still count. A cell that brings the process down is left
    out, and the others run again.

    Attributes
    ----------
    outputs : dict, index of a cell -> its outputs as notebooks hold them
    errors : dict, index of a cell -> what it stopped with
    late : list of the cells that ran only at the second try
    """

    def __init__(self, cells, limits, isolated=True):
        self.cells, self.limits, self.isolated = cells, limits, isolated
        self.deadline = time.monotonic() + limits.total
        self.sandbox, self.starts, self.skipped = None, 0, {}
        self.outputs, self.errors, self.late = {}, {}, []
        self.run()

    def left(self):
        """Return how many seconds are left of the time for all."""
        return self.deadline - time.monotonic()

    def run(self):
        """Run the notebook in a new process, as often as it takes to leave out what brings it down."""
        while self.starts <= RESTARTS and self.left() > 0:
            self.close()
            self.starts += 1
            self.sandbox = Sandbox(self.limits, self.isolated)
            self.outputs, self.errors, self.late, self.room = {}, dict(self.skipped), [], OUTPUTS
            if self._run_cells():
                return

    def _run_cells(self):
        """Run all cells; return False if the process did not survive one, which is skipped from then on."""
        waiting, before = [index for index in run_order(self.cells) if index not in self.skipped], None
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
                    self.errors[index] = str(AnswerError(answer))
                    if answer["error"] == "NameError":
                        waiting.append(index)
                elif self.errors.pop(index, None):
                    self.late.append(index)
        return True

    def _keep(self, index, outputs):
        self.room -= len(json.dumps(outputs))
        dropped = [{"text/plain": "(not kept: the outputs of this notebook are too large)"}]
        self.outputs[index] = outputs if self.room > 0 else dropped

    def ask(self, message):
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

    def value(self, message):
        """Return the value that a message asks for."""
        try:
            answer = self.ask(message)
        except EOFError as error:
            self.run()  # for the tests that follow
            raise AnswerError({"message": str(error)}) from error
        if answer.get("error"):
            raise AnswerError(answer)
        return wire.unpack(answer["value"], lambda lent: Remote(self, lent))

    def close(self):
        """End the process, if there is one."""
        if self.sandbox is not None:
            self.sandbox.close()
            self.sandbox = None


class Names:
    """The names of a notebook, asked for when a test wants them; those given here stand in front."""

    def __init__(self, session, **ours):
        self.session, self.ours = session, ours

    def get(self, name, default=None):
        """Return what the notebook calls `name`."""
        value = self.ours[name] if name in self.ours else self.session.value({"do": "get", "name": name})
        return default if value is None else value

    def __getitem__(self, name):
        """Return what the notebook calls `name`, or None."""
        return self.get(name)

    def __contains__(self, name):
        """Whether the notebook has a value of that name."""
        return self.get(name) is not None


class Remote:
    """Stands for an object in the student's process: it is called, and has attributes and items, like that one."""

    def __init__(self, session, lent):
        self._session, self._lent, self.__name__ = session, lent, lent["name"]

    def _pack(self, value):
        return wire.pack(value, lambda other: other._lent)

    def __call__(self, *arguments, **named):
        """Call it there."""
        message = {"do": "call", "of": self._lent, "arguments": self._pack(list(arguments)), "named": self._pack(named)}
        return self._session.value(message)

    def __getattr__(self, name):
        """Return its attribute."""
        if name.startswith("__"):  # what NumPy, copy and others look for
            raise AttributeError(name)
        return self._session.value({"do": "attribute", "of": self._lent, "name": name})

    def __getitem__(self, key):
        """Return its item."""
        return self._session.value({"do": "item", "of": self._lent, "key": self._pack(key)})

    def __deepcopy__(self, memo):
        """Return itself: the object is there, and stays there."""
        return self

    def _vqlib_probe(self, name, arguments):
        return self._session.value({"do": "probe", "name": name, "arguments": self._pack(list(arguments))})

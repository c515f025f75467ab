"""A student's notebook, run in a process of its own; its names, as a test sees them."""

import time

from vqlib.coursework import sandbox, wire

RESTARTS = 3  # after a cell or call that brought the process down
GRACE = 15  # seconds beyond a limit, for a process that is busy, before it is ended


class AnswerError(Exception):
    """A student's code stopped with an error in its own process."""


def run_order(cells):
    """Return which cells to run: all code but checks and the last word, which need nothing here."""
    return [
        index
        for index, cell in enumerate(cells)
        if cell.cell_type == "code" and cell.source.strip() and not cell.source.lstrip().startswith("grader.")
    ]


class Session:
    """Runs the code cells of a notebook from top to bottom; those that fail, once more after the others.

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
        self.process = self.connection = None
        self.outputs, self.errors, self.late, self.skipped, self.starts = {}, {}, [], {}, 0
        self.run()

    def run(self):
        """Run the notebook in a new process, as often as it takes to leave out what brings it down."""
        while self.starts <= RESTARTS:
            self.close()
            self.starts += 1
            self.process, self.connection = sandbox.start(self.limits, self.isolated)
            self.outputs, self.errors, self.late = {}, dict(self.skipped), []
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
                    self.skipped[index] = str(error)
                    return False
                self.outputs[index] = answer.get("outputs", [])
                if answer.get("error"):
                    self.errors[index] = f"{answer['error']}: {answer['message']}"
                    if answer["error"] == "NameError":
                        waiting.append(index)
                elif index in self.errors:
                    del self.errors[index]
                    self.late.append(index)
        return True

    def ask(self, message):
        """Send a message to the process and return its answer.

        Raises
        ------
        EOFError
            If the process ended, or had to be ended. It says why.
        """
        if self.process is None:
            raise EOFError("the process had ended before")
        left = self.deadline - time.monotonic()
        limit = min(self.limits.cell, left)
        if limit <= 0:
            self.close()
            raise EOFError(f"ended: all of it took longer than {wire.seconds(self.limits.total)}")
        self.connection.settimeout(limit + GRACE)
        try:
            wire.send(self.connection, {**message, "seconds": limit})
            return wire.receive(self.connection)
        except TimeoutError as error:
            self.close()
            raise EOFError(f"ended after {wire.seconds(limit)}, because it could not be interrupted") from error
        except (EOFError, OSError) as error:
            self.close()
            raise EOFError("brought its process down; was there enough memory?") from error

    def value(self, message):
        """Return the value that a message asks for."""
        try:
            answer = self.ask(message)
        except EOFError as error:
            if self.starts <= RESTARTS and time.monotonic() < self.deadline:
                self.run()  # for the tests that follow
            raise AnswerError(str(error)) from error
        if answer.get("error"):
            raise AnswerError(f"{answer['error']}: {answer['message']}")
        return wire.unpack(answer["value"], lambda lent: Remote(self, lent))

    def close(self):
        """End the process, if there is one."""
        if self.process is not None:
            self.connection.close()
            self.process.kill()
            self.process.wait()
            self.process = None


class Names(dict):
    """The names of a notebook, asked for when a test wants them; those given here stand in front."""

    def __init__(self, session, **ours):
        super().__init__(ours)
        self.session = session

    def get(self, name, default=None):
        """Return what the notebook calls `name`."""
        if name in self:
            return super().get(name)
        value = self.session.value({"do": "get", "name": name})
        return default if value is None else value

    def __missing__(self, name):
        """Return what the notebook calls `name`, or None."""
        return self.get(name)


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

    def _vqlib_probe(self, name, arguments):
        return self._session.value({"do": "probe", "name": name, "arguments": self._pack(list(arguments))})

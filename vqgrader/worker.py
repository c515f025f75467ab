"""The process in which a student's code runs: it does what the grader asks, cell by cell and call by call.

It knows the notebook and the public checks, and nothing else. See :mod:`vqgrader.sandbox` for what it may do.
A student's code can change all that is in it, this module too. So nothing here protects the grader.
"""

import argparse
import contextlib
import math
import pathlib
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

from vqgrader import wire
from vqlib.coursework import probes


class TooSlow(BaseException):
    """A cell or call was at it for longer than it may; no Exception, so that ``except Exception`` lets it pass."""


@contextlib.contextmanager
def at_most(limit: float) -> Iterator[None]:
    """Interrupt what takes longer than `limit` seconds, and once more every 5 seconds where that was caught."""

    def stop(*_: object) -> None:
        raise TooSlow(f"stopped after {math.ceil(limit)} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def error_payload(error: BaseException) -> dict[str, Any]:
    """Return an exception as data."""
    misses_name = isinstance(error, NameError)
    return {"error": type(error).__name__, "message": wire.truncate(str(error)), "misses_name": misses_name}


class Worker:
    """Answers the grader's messages."""

    def __init__(self, connection: socket.socket) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        class Shell(InteractiveShell):
            """Draws figures into the notebook; there is no other place."""

            def enable_gui(self, gui: object = None) -> None:
                """Do nothing."""

        shell = {"colors": "nocolor", "xmode": "Minimal"}
        config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": shell})
        self.connection = connection
        self.exported: list[Any] = []
        self.shell = Shell.instance(config=config)
        self.shell.run_line_magic("matplotlib", "inline")

    def export(self, value: Any) -> dict[str, Any]:
        """Keep a value, and return the number that stands for it."""
        self.exported.append(value)
        name = getattr(value, "__name__", type(value).__name__)
        return {"kind": "exported", "number": len(self.exported) - 1, "name": str(name)}

    def unpack(self, packed: Any) -> Any:
        """Return a value that the grader sent, or one that stands for a number it was given before."""
        return wire.unpack(packed, lambda exported: self.exported[exported["number"]])

    def run(self, source: str) -> dict[str, Any]:
        """Run a cell; return its outputs, and its error in words if there was one."""
        from IPython.utils.capture import capture_output

        with capture_output() as captured:
            result = self.shell.run_cell(source, store_history=False)
        outputs = [{"text/plain": wire.truncate(captured.stdout + captured.stderr, wire.LONGEST_OUTPUT)}]
        for output in captured.outputs:
            outputs.append({kind: output.data[kind] for kind in wire.SHOWN if kind in output.data})
        error = result.error_before_exec or result.error_in_exec
        return {"outputs": outputs, **(error_payload(error) if error else {})}

    def do(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a message."""
        if message["do"] == "run":
            return self.run(message["source"])
        if message["do"] == "get":
            value = self.shell.user_ns.get(message["name"])
        elif message["do"] == "attribute":
            value = getattr(self.unpack(message["of"]), message["name"])
        elif message["do"] == "item":
            value = self.unpack(message["of"])[self.unpack(message["key"])]
        elif message["do"] == "call":
            value = self.unpack(message["of"])(*self.unpack(message["arguments"]), **self.unpack(message["named"]))
        else:
            value = getattr(probes, message["name"])(*self.unpack(message["arguments"]))
        return {"value": wire.pack(value, self.export)}

    def serve(self) -> None:
        """Say that it is there, then answer until the grader is gone."""
        self.connection.sendall(wire.encode({"value": "ready"}))
        while True:
            try:
                message = wire.receive(self.connection)
            except EOFError:
                return
            try:
                with at_most(message["seconds"]):
                    answer = wire.encode(self.do(message))
            except (Exception, TooSlow, SystemExit, KeyboardInterrupt) as error:
                answer = wire.encode(error_payload(error))
            self.connection.sendall(answer)


def lower(limit: int, value: int) -> None:
    """Set a limit, for good, unless a lower one holds already."""
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def main() -> None:
    """Set the limits, then serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    for name in ("memory", "file", "cpu"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--processes", type=int)
    arguments = parser.parse_args()
    lower(resource.RLIMIT_AS, arguments.memory)
    lower(resource.RLIMIT_FSIZE, arguments.file)
    lower(resource.RLIMIT_CPU, arguments.cpu)
    lower(resource.RLIMIT_CORE, 0)
    if arguments.processes:
        lower(resource.RLIMIT_NPROC, arguments.processes)
    first_to_go = pathlib.Path("/proc/self/oom_score_adj")
    if first_to_go.exists():
        first_to_go.write_text("1000")  # where memory runs out, Linux ends this process and not the grader
    pathlib.Path("tmp").mkdir(exist_ok=True)
    with socket.socket(fileno=arguments.socket) as connection:
        Worker(connection).serve()


if __name__ == "__main__":
    main()

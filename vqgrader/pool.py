"""Work in processes of their own, several at a time: one that crashes, hangs or eats memory stops no other."""

import collections
import enum
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

PRELOADED = ["vqgrader.examine", "keras"]  # imported once, for all processes; most hidden tests use Keras


class Kind(enum.Enum):
    """How a task failed."""

    RAISED = enum.auto()  # it raised an exception
    FATAL = enum.auto()  # it raised one for which the others will fail, too
    DIED = enum.auto()  # its process ended
    LATE = enum.auto()  # its time was up


class Failure(NamedTuple):
    """What ended a task, in words: not every exception survives the way to another process.

    Attributes
    ----------
    kind : Kind
    error : the name of an exception
    message : what it says
    """

    kind: Kind
    error: str
    message: str


def default_jobs(memory: int) -> int:
    """Return how many processes at once suit this machine, of which each may take so many MB.

    As many as there are cores, if the memory would do when each takes half of what it may.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return max(1, min(cores, int(2 * megabytes / memory)))


def run(
    function: Callable[..., object],
    tasks: Mapping[str, tuple[Any, ...]],
    jobs: int,
    seconds: float,
    fatal: type[Exception] | tuple[type[Exception], ...] = (),
) -> Generator[tuple[str, Failure | None, float], None, None]:
    """Call a function for each task; yield (name, None or a Failure, seconds) as each ends.

    Parameters
    ----------
    function : of a module, with what each task holds as its arguments
    tasks : dict, name -> arguments
    jobs : how many processes there are at a time
    seconds : after which a process is ended
    fatal : exceptions that are a failure of the kind `FATAL`
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    waiting = collections.deque(tasks.items())
    running: dict[Connection, tuple[str, BaseProcess, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name, arguments = waiting.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(target=_work, args=(theirs, function, arguments, fatal))
                process.start()
                theirs.close()
                running[ours] = name, process, time.monotonic()
            ready = multiprocessing.connection.wait(list(running), timeout=1)
            for ours, (name, process, start) in list(running.items()):
                taken = time.monotonic() - start
                if ours not in ready and taken < seconds:
                    continue
                del running[ours]
                late = Failure(Kind.LATE, "TimeoutError", f"not done after {seconds:.0f} seconds")
                outcome = _outcome(ours) if ours in ready else late
                _end(process, patience=5 if ours in ready else 0)
                yield name, outcome, taken
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            _end(process, patience=5)


def _outcome(connection: Connection) -> Failure | None:
    """Return what a process sent, or that it sent nothing."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        words = "its process in the grader ended; was there enough memory?"
        return Failure(Kind.DIED, "ChildProcessError", words)


def _end(process: BaseProcess, patience: float) -> None:
    process.join(patience)
    process.kill()
    process.join()


def _work(
    connection: Connection,
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    fatal: type[Exception] | tuple[type[Exception], ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process says when to end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        function(*arguments)
        outcome = None
    except Exception as error:
        traceback.print_exc()
        kind = Kind.FATAL if isinstance(error, fatal) else Kind.RAISED
        outcome = Failure(kind, type(error).__name__, str(error))
    connection.send(outcome)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)

"""How far something is that takes long, in a line that overwrites itself and is gone in the end."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

PATIENCE = 5  # seconds of silence


def is_watched():
    """Whether somebody looks at what is printed, in a terminal or a notebook, and no other program reads it."""
    return sys.stdout is not None and (sys.stdout.isatty() or "ipykernel" in sys.modules)


class Line:
    """A line on the screen that can be replaced; nothing where nobody looks."""

    def __init__(self):
        self.shown = ""

    def show(self, text):
        """Show a text in place of the last one."""
        if not is_watched():
            return
        print("\r" + text.ljust(len(self.shown)), end="", flush=True)
        self.shown = text

    def wipe(self):
        """Leave nothing, if anything was shown."""
        if self.shown:
            self.show("")
            print(end="\r", flush=True)


def announced(items, what):
    """Yield the items of a sequence; when they take longer than PATIENCE, a line says what share of them is done."""
    line, started = Line(), time.monotonic()
    try:
        for done, item in enumerate(items):
            if time.monotonic() - started > PATIENCE:
                line.show(f"{what}: {done / len(items):.0%} ...")
            yield item
    finally:
        line.wipe()


@contextlib.contextmanager
def while_it_takes(what: str) -> Iterator[None]:
    """Show a line while a block runs, from PATIENCE seconds on, where no part of it can be counted."""
    line = Line()
    timer = threading.Timer(PATIENCE, line.show, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        line.wipe()

"""How far something is that takes long, in a line that overwrites itself and is gone in the end."""

import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
PATIENCE = 5  # seconds of silence


def is_notebook() -> bool:
    """Whether what is shown goes into a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def is_watched() -> bool:
    """Whether somebody looks at what is printed, in a terminal or a notebook, and no other program reads it."""
    return is_notebook() or (sys.stdout is not None and sys.stdout.isatty())


class Line:
    """A line on the screen that can be replaced; nothing where nobody looks."""

    def __init__(self) -> None:
        self.shown = ""
        self._display_id = ""

    def show(self, text: str) -> None:
        """Show a text in place of the last one."""
        if not is_watched():
            return
        if is_notebook():
            self._display({"text/plain": text})
        else:
            print("\r" + text.ljust(len(self.shown)), end="", flush=True)
        self.shown = text

    def wipe(self) -> None:
        """Leave nothing, if anything was shown."""
        if not self.shown:
            return
        if is_notebook():
            self._display({})  # an output without a content: a stream of blanks would keep its place
            self._display_id = ""
        else:
            self.show("")
            print(end="\r", flush=True)
        self.shown = ""

    def _display(self, content: dict[str, Any]) -> None:
        from IPython.display import display

        update = bool(self._display_id)
        self._display_id = self._display_id or uuid.uuid4().hex
        display(content, raw=True, display_id=self._display_id, update=update)


def announced(items: Sequence[Item], what: str) -> Generator[Item, None, None]:
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

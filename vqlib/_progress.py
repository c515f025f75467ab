"""How far something is that takes long, in a line that overwrites itself and is gone in the end."""

import time

PATIENCE = 5  # seconds of silence


class Line:
    """A line on the screen that can be replaced."""

    def __init__(self):
        self.shown = ""

    def show(self, text):
        """Show a text in place of the last one."""
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

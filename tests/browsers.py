"""The browser that tests look at the book with: the one that book/print.py prints it with."""

import contextlib
import functools
import http.server
import importlib.util
import os
import pathlib
import threading
import types

import pytest
from axe_playwright_python.sync_playwright import Axe

BOOK = pathlib.Path(__file__).parents[1] / "book"
_spec = importlib.util.spec_from_file_location("book_print", BOOK / "print.py")
printing = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(printing)
FLAGS, PATIENCE = printing.FLAGS, printing.PATIENCE
WIDTHS = (360, 1280)
SCHEMES = ("light", "dark")
FOLLOWS = "(scheme) => document.documentElement.dataset.theme === scheme"
# Leaves one block of code for each set of colours, and of the others their text, which takes as much room: axe looks at
# each word that has an element of its own, which took minutes.
PLAIN_CODE = """() => {
  const seen = new Set();
  for (const code of document.querySelectorAll(".highlight pre")) {
    const place = code.closest(".output") ? "output" : "input";
    const kinds = [...code.querySelectorAll("span")].map((word) => `${place} ${word.className}`);
    if (kinds.every((kind) => seen.has(kind))) code.textContent = code.textContent;
    kinds.forEach((kind) => seen.add(kind));
  }
}"""
# Leaves letters of each formula, in its colour: what MathJax draws is no text, and a single letter axe does not weigh.
PLAIN_FORMULAS = "document.querySelectorAll('mjx-container').forEach((formula) => { formula.textContent = 'x = y'; })"
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
# Waits until Tab stops at all that scrolls, as the theme sees to a moment after a change of the size; or for so many
# milliseconds, and axe will find what Tab does not reach.
REACHABLE = """(patience) => new Promise((done) => {
  const all = [...document.querySelectorAll("article, article *")]
    .filter((part) => /auto|scroll/.test(getComputedStyle(part).overflowX));
  const until = performance.now() + patience;
  const look = () => {
    const left = all.some((part) => part.scrollWidth > part.clientWidth && part.tabIndex < 0);
    if (left && performance.now() < until) setTimeout(look, 20);
    else done();
  };
  look();
})"""


def find_browser():
    """Return the path of Chromium or Chrome; without one, skip, or fail where `VQLIB_NEEDS_BROWSER` is set."""
    if path := printing.find_browser():
        return path
    message = f"The book is not looked at. {printing.NO_BROWSER}"
    if os.environ.get("VQLIB_NEEDS_BROWSER"):
        pytest.fail(message)
    pytest.skip(message)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log, and no icon to a browser that asks for one where the page names none."""

    def do_GET(self):
        if self.path == "/favicon.ico":
            self.send_response(http.HTTPStatus.NO_CONTENT)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def served(folder):
    """Serve a folder, and give its address."""
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:  # a test that fails would else keep pytest from ending
            server.shutdown()
            thread.join()


def open_page(browser, url, origin, **options):
    """Open a page and wait until it asks for nothing more; return it, a record of what goes wrong, and the answers."""
    page = browser.new_page(**{"viewport": {"width": WIDTHS[-1], "height": 800}, **options})
    page.set_default_timeout(PATIENCE)
    record = types.SimpleNamespace(foreign=[], failed=[], errors=[])
    responses = []
    own = (origin, "data:", "blob:")

    def requested(request):
        if not request.url.startswith(own):
            record.foreign.append(request.url)

    def answered(response):
        responses.append(response)
        if response.status >= 400:
            record.failed.append(f"{response.url}: {response.status}")

    def said(message):
        if message.type == "error":
            record.errors.append(message.text)

    page.on("request", requested)
    page.on("websocket", lambda socket: record.foreign.append(socket.url))
    page.on("response", answered)
    page.on("requestfailed", lambda request: record.failed.append(f"{request.url}: {request.failure}"))
    page.on("console", said)
    page.on("pageerror", lambda error: record.errors.append(str(error)))
    printing.visit(page, url)
    page.wait_for_load_state("networkidle")
    return page, record, responses


def show(page, scheme):
    """Show a page in the light or the dark scheme."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(FOLLOWS, arg=scheme)


def pause(page, milliseconds):
    """Wait on the page's own clock, behind what it has to do by then, however long other programs keep it from that."""
    page.evaluate("(ms) => new Promise((done) => requestAnimationFrame(() => setTimeout(done, ms)))", milliseconds)


def audit(page):
    """Return what axe finds to be a barrier on a page with all folds open; it is changed and of no use after this."""
    page.add_style_tag(content=STILL)
    page.evaluate(PLAIN_CODE)
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    page.evaluate(REACHABLE, 3000)
    found = barriers(page, rules={"color-contrast": {"enabled": False}})
    page.evaluate(PLAIN_FORMULAS)
    page.set_viewport_size({"width": WIDTHS[-1], "height": 800})
    for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        show(page, scheme)
        page.evaluate(REACHABLE, 3000)
        found += [f"{scheme}: {barrier}" for barrier in barriers(page, **options)]
    return found


def barriers(page, **options):
    """Return the violations on a page, as it is shown now, that axe calls serious or critical."""
    options = {"resultTypes": ["violations"], "preload": False, **options}
    return [
        f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for violation in Axe().run(page, options=options).response["violations"]
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]

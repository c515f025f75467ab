"""The book in a browser: all of it comes from its own folder, nothing fails, nothing is wider than the page."""

import base64
import gzip
import re
import types
import urllib.parse

import numpy as np
import pytest
from browsers import BOOK, PATIENCE, SCHEMES, WIDTHS, audit, find_browser, open_page, served, show

pytestmark = pytest.mark.browser

CHAPTERS = [path.stem for path in sorted(BOOK.glob("[0-9][0-9]-*.md"))]

# What a page shows once MathJax, where the page loads it, has set all formulas. A command that MathJax does not know
# stays as text with its backslash.
LOOK = """async () => {
  await window.MathJax?.startup?.promise;
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    images: all("img").length,
    broken: all("img").filter((image) => !image.naturalWidth).map((image) => image.src),
    formulas: all(".math").length,
    plain: all(".math").filter((math) => !math.querySelector("mjx-container")).map((math) => math.innerText),
    refused: all("mjx-merror").map((error) => error.dataset.mjxError).concat(
      all("mjx-assistive-mml mtext").map((text) => text.textContent).filter((text) => text.startsWith("\\\\"))
    ),
    numbers: all("mjx-labels mjx-mtd:not(:empty)").length,
  };
}"""
OPEN_FOLDS = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
# Numbered formulas that begin to the left of their box, where no scrolling goes, or that their number lies upon.
CLIPPED = """() => [...document.querySelectorAll(".math:has(mjx-labels)")].filter((math) => {
  const [box, formula, number] = [math, math.querySelector("mjx-table"), math.querySelector("mjx-labels mjx-mtd")]
    .map((element) => element.getBoundingClientRect());
  return formula.left < box.left - 1 || formula.right > number.left + 1;
}).map((math) => math.innerText)"""
# Pairs of blocks of text in the article, none within another, that lie on each other by more than two pixels. What
# scrolls sideways counts as far as it is shown.
OVERLAPS = """() => {
  const kinds = ":is(h1, h2, h3, h4, p, li, dt, dd, pre, td, th, summary, figcaption, div.math, svg text)";
  const boxOf = (part) => {
    const range = document.createRange();
    range.selectNodeContents(part);
    const box = (part.querySelector("mjx-container") ? part : range).getBoundingClientRect();
    const shown = (part.closest("pre, .pst-scrollable-table-container, div.math") || document.body)
      .getBoundingClientRect();
    return {part, top: box.top, bottom: box.bottom,
      left: Math.max(box.left, shown.left), right: Math.min(box.right, shown.right)};
  };
  const boxes = [...document.querySelectorAll(`article ${kinds}`)]
    .filter((part) => part.textContent.trim() && part.checkVisibility() && !part.querySelector(kinds))
    .map(boxOf).sort((one, other) => one.top - other.top);
  const name = (box) => box.part.textContent.trim().slice(0, 40);
  return boxes.flatMap((box, i) => {
    const found = [];
    for (let j = i + 1; j < boxes.length && boxes[j].top < box.bottom - 2; j++) {
      const shared = Math.min(box.right, boxes[j].right) - Math.max(box.left, boxes[j].left);
      if (shared > 2) found.push(`${name(box)} | ${name(boxes[j])}`);
    }
    return found;
  });
}"""
# How a chapter begins, up to the last of its cells tagged `setup`: a picture, a caption, or what a cell is called.
BEGINNING = """() => {
  const name = (part) => {
    if (part.matches("p.cell-caption")) return "caption";
    if (part.querySelector(".cell_output img")) return "picture";
    return (part.querySelector("summary > .collapsed") || part.querySelector("pre")).textContent.split("\\n")[0];
  };
  const parts = [...document.querySelectorAll("article :is(div.cell, p.cell-caption)")];
  return parts.slice(0, parts.findLastIndex((part) => part.matches(".tag_setup")) + 1).map(name);
}"""
# Code that is shown, not folded, and has a line wider than its box.
CUT = """() => [...document.querySelectorAll("div.cell_input pre")]
  .filter((code) => !code.closest("details") && code.scrollWidth > code.clientWidth)
  .map((code) => code.innerText.split("\\n").reduce((a, b) => b.length > a.length ? b : a))"""
EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def look(page):
    """Return what is on a page with all folds open, and by how much it is too wide at each width, in each scheme."""
    seen = types.SimpleNamespace(**page.evaluate(LOOK), excess={}, cut=[], clipped=[], overlaps=[])
    page.evaluate(OPEN_FOLDS)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        seen.cut += page.evaluate(CUT)
        seen.clipped += page.evaluate(CLIPPED)
        seen.overlaps += page.evaluate(OVERLAPS)
        for scheme in SCHEMES:
            show(page, scheme)
            seen.excess[width, scheme] = page.evaluate(EXCESS)
    return seen


def weigh(responses, known):
    """Return the bytes that a page and all it loads send over the network, text compressed as web servers do.

    `known` holds the bytes of files that many pages load, by their address, and gets those that are not among them.
    """
    text = (".html", ".css", ".js", ".json", ".svg")
    total = 0
    for response in responses:
        path = urllib.parse.urlsplit(response.url).path
        size = known.get(response.url)
        if size is None:
            body = response.body()
            size = len(gzip.compress(body) if path.endswith(text) else body)
        if path.startswith("/_static/"):
            known[response.url] = size
        total += size
    return total


def visit(browser, url, origin, known):
    """Open a page once, and return what it does and looks like; `known` as for `weigh`."""
    page, record, responses = open_page(browser, url, origin)
    seen = {**vars(look(page)), **vars(record), "bytes": weigh(responses, known), "barriers": audit(page)}
    page.close()
    return types.SimpleNamespace(**seen)


@pytest.fixture(scope="module")
def visits(browser, address, html):
    """What each page of the book does and looks like, by its path."""
    names = [path.relative_to(html).as_posix() for path in sorted(html.rglob("*.html"))]
    pages = [name for name in names if not name.startswith("_static/") and name != "index.html"]
    known = {}
    return {name: visit(browser, address + name, address, known) for name in pages}


# Pages made wrong on purpose, each with what has to find it, and words of what is found.
FORMULA = """<div class="math" style="position: relative; width: 200px; height: 20px"><mjx-container>
  <mjx-table style="position: absolute; left: {left}px; width: 100px">x = 1</mjx-table>
  <mjx-labels><mjx-mtd style="position: absolute; left: {number}px">(1)</mjx-mtd></mjx-labels></mjx-container></div>"""
WRONG = {
    "picture from elsewhere": (
        "foreign",
        "<img src='http://elsewhere.invalid/x.png' alt='x'>",
        "elsewhere.invalid/x.png",
    ),
    "socket to elsewhere": (
        "foreign",
        "<script>new WebSocket('ws://elsewhere.invalid/')</script>",
        "ws://elsewhere.in",
    ),
    "style that is missing": ("failed", "<link rel='stylesheet' href='missing.css'>", "missing.css: 404"),
    "script that fails": ("errors", "<script>throw new Error('on purpose')</script>", "on purpose"),
    "complaint on the console": ("errors", "<script>console.error('on purpose')</script>", "on purpose"),
    "picture that is missing": ("broken", "<img src='missing.png' alt='x'>", "missing.png"),
    "formula that is not set": ("plain", "<span class='math'>x^2</span>", "x^2"),
    "formula that is refused": (
        "refused",
        "<mjx-merror data-mjx-error='Extra close brace'></mjx-merror>",
        "Extra close",
    ),
    "command that is unknown": (
        "refused",
        "<mjx-assistive-mml><math><mtext>\\unknown</mtext></math></mjx-assistive-mml>",
        "\\unknown",
    ),
    "formula cut off at the left": ("clipped", FORMULA.format(left=-30, number=150), "x = 1"),
    "number on its formula": ("clipped", FORMULA.format(left=0, number=80), "x = 1"),
    "text on text": (
        "overlaps",
        "<p>The lower text.</p><p style='margin-top: -2.2em'>The upper text.</p>",
        "upper text. | ",
    ),
    "code that is cut": (
        "cut",
        f"<div class='cell_input'><pre style='width: 300px; overflow: auto'>{80 * 'x'}</pre></div>",
        80 * "x",
    ),
    "picture without words": ("barriers", "<img src='dot.svg'>", "image-alt"),
    "scrolled text that Tab does not reach": (
        "barriers",
        f"<div style='width: 300px; overflow-x: auto'><pre>{80 * 'x'}</pre></div>",
        "scrollable-region-focusable",
    ),
    "pale formula": ("barriers", "<mjx-container style='color: #ddd'></mjx-container>", "light: color-contrast"),
    "pale in the light": ("barriers", "<style>p {color: #ddd; background: #fff}</style>", "light: color-contrast"),
    "pale in the dark": (
        "barriers",
        "<style>@media (prefers-color-scheme: dark) {p {color: #333; background: #111}}</style>",
        "dark: color-contrast",
    ),
}
RIGHT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width"><script>
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  follow();
  dark.addEventListener("change", follow);
</script></head><body><main><article><h1>A page</h1><p>Its text.</p>%s</article></main></body></html>"""
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'


@pytest.fixture(scope="module")
def visit_page(browser, tmp_path_factory):
    """Return a function that visits a page with something in it."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "dot.svg").write_text(DOT)
    (folder / "noise.js").write_text(f"// {base64.b64encode(np.random.default_rng(0).bytes(2_200_000)).decode()}")
    with served(folder) as origin:

        def visited(part):
            (folder / "page.html").write_text(RIGHT % part, encoding="utf-8")
            return visit(browser, f"{origin}page.html", origin, {})

        yield visited


def test_nothing_is_found_on_a_page_that_is_right(visit_page):
    seen = visit_page("<img src='dot.svg' alt='A dot.'>" + FORMULA.format(left=0, number=150))
    assert not {kind: getattr(seen, kind) for kind, *_ in WRONG.values() if getattr(seen, kind)}
    assert set(seen.excess.values()) == {0}
    assert 500 < seen.bytes < 1500
    assert (seen.images, seen.formulas, seen.numbers) == (1, 1, 1)


@pytest.mark.parametrize("name", WRONG)
def test_page_made_wrong_on_purpose_is_found(visit_page, name):
    kind, part, words = WRONG[name]
    found = getattr(visit_page(part), kind)
    assert [entry for entry in found if words in entry], found


def test_page_that_is_too_wide_or_too_heavy_is_found(visit_page):
    wide = visit_page("<div style='width: 500px; height: 1px; margin-left: -8px'></div>")
    assert wide.excess == {(360, "light"): 140, (360, "dark"): 140, (1280, "light"): 0, (1280, "dark"): 0}
    assert visit_page("<script src='noise.js'></script>").bytes > 2_000_000


def collect(visits, part):
    """Return `page: entry` for every entry that the pages have in one part of their record."""
    return [f"{name}: {entry}" for name, visit in visits.items() for entry in getattr(visit, part)]


def test_every_page_is_opened(visits, html):
    assert {"book/index.html", "search.html", "genindex.html"} <= set(visits)
    assert {path.relative_to(html).as_posix() for path in html.glob("notebooks/*.html")} <= set(visits)


def test_no_page_asks_for_anything_from_elsewhere(visits):
    assert not collect(visits, "foreign")


def test_no_request_fails(visits):
    assert not collect(visits, "failed")


def test_no_page_reports_an_error(visits):
    assert not collect(visits, "errors")


def test_every_image_is_there(visits):
    assert not collect(visits, "broken")
    assert sum(visit.images for visit in visits.values()) > 20


def test_every_formula_is_typeset(visits):
    assert not collect(visits, "plain")
    assert sum(visit.formulas for visit in visits.values()) > 100


def test_mathjax_refuses_no_formula_and_knows_every_command(visits):
    assert not collect(visits, "refused")


def test_every_numbered_equation_shows_its_number(visits, html):
    tags = {name: (html / name).read_text(encoding="utf-8").count(r"\tag{") for name in visits}
    assert {name: visit.numbers for name, visit in visits.items()} == tags
    assert sum(tags.values()) > 20


def test_numbered_formulas_can_be_read_whole(visits):
    assert not collect(visits, "clipped")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(visits, width, scheme):
    excess = {name: visit.excess[width, scheme] for name, visit in visits.items()}
    assert not {name: pixels for name, pixels in excess.items() if pixels > 0}


def test_no_line_of_code_is_cut(visits):
    assert not collect(visits, "cut")


def test_no_text_lies_on_another(visits):
    assert not collect(visits, "overlaps")


def test_no_page_weighs_more_than_two_megabytes(visits):
    weights = {name: visit.bytes for name, visit in visits.items()}
    assert not {name: weight for name, weight in weights.items() if weight > 2_000_000}
    assert min(weights.values()) > 100_000


def test_axe_finds_no_serious_barrier(visits):
    assert not collect(visits, "barriers")


def test_front_door_leads_to_the_first_page(browser, address):
    page, record, _ = open_page(browser, address + "index.html", address)
    page.wait_for_url(address + "book/index.html")
    page.close()
    assert record == types.SimpleNamespace(foreign=[], failed=[], errors=[])


def test_chapter_opened_as_a_file_is_whole(browser, html):
    url = (html / "notebooks" / "01-quantization.html").as_uri()
    page, record, _ = open_page(browser, url, html.as_uri())
    seen = look(page)
    page.close()
    assert record == types.SimpleNamespace(foreign=[], failed=[], errors=[])
    assert not seen.broken + seen.plain


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_fold_of_a_chapter_opens_by_keyboard(browser, address, chapter):
    page, record, _ = open_page(browser, f"{address}notebooks/{chapter}.html", address)
    assert page.locator("article details.choice").count() >= 9  # answers of a quiz
    assert page.locator("article details.hide > summary").count() >= 15
    assert page.locator("article details.hide > summary[aria-label]").count() == 0  # what one hears is what one sees
    for fold in page.locator("article details").all():
        inside = fold.locator(":scope > :not(summary)").first
        assert not fold.evaluate("fold => fold.open")
        assert not inside.is_visible()
        fold.locator("summary").first.press("Enter")
        assert fold.evaluate("fold => fold.open")
        assert inside.is_visible()
    page.close()
    assert not record.foreign + record.failed + record.errors


def setup_cells(chapter):
    """Return what the cells of a chapter that are tagged `setup` are called: the title, or the first line."""
    text = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\} ipython3\n:tags: \[setup\b.*\]\n\n(.*)$", text, re.MULTILINE)
    return [line.removeprefix("# @title ") for line in cells]


with_setup_cells = pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if setup_cells(chapter)])


@with_setup_cells
def test_chapter_begins_with_a_picture_and_its_caption_and_then_comes_what_sets_it_up(browser, address, chapter):
    page, record, _ = open_page(browser, f"{address}notebooks/{chapter}.html", address)
    found = page.evaluate(BEGINNING)
    page.close()
    assert len(found) >= 4
    assert found == ["picture", "caption", *setup_cells(chapter)]
    assert not record.foreign + record.failed + record.errors


@with_setup_cells
def test_without_its_script_a_chapter_begins_as_its_notebook_does(browser, address, chapter):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.route("**/setup.js*", lambda route: route.abort())
    page.goto(f"{address}notebooks/{chapter}.html")
    found = page.evaluate(BEGINNING)
    page.close()
    assert found == setup_cells(chapter)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sspktc", "pksstc"),
        ("spkkt", "pkkst"),
        ("scpk", "cpks"),  # what is no set-up stays
        ("sptk", "pstk"),  # the caption is not this picture's
        ("spkspk", "pksspk"),
        ("sct", "sct"),  # no picture
        ("t", "t"),
    ],
)
def test_setup_cells_go_below_the_first_picture_and_its_captions_and_all_else_stays(browser, before, after):
    part = {
        "s": "<div class='cell tag_setup' id='s'></div>",
        "c": "<div class='cell' id='c'><div class='cell_output'>printed</div></div>",
        "p": "<div class='cell' id='p'><div class='cell_output'><img alt=''></div></div>",
        "k": "<p class='cell-caption' id='k'></p>",
        "t": "<p id='t'></p>",
    }
    script = (BOOK / "_static" / "setup.js").read_text(encoding="utf-8")
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.set_content(f"<script>{script}</script><article class='bd-article'>{''.join(map(part.get, before))}</article>")
    found = page.evaluate("[...document.querySelector('article').children].map((part) => part.id).join('')")
    page.close()
    assert found == after


def test_below_the_picture_folds_open_and_copy_and_anchors_lead_where_they_led(browser, address):
    page, record, _ = open_page(browser, f"{address}notebooks/06-codebooks.html#what-health-is", address)
    assert 0 <= page.locator("#what-health-is h2").bounding_box()["y"] < 300
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    fold = page.locator(".tag_setup details").nth(1)
    fold.locator("summary").click()
    fold.locator("button.copybtn").click(force=True)  # shown under the pointer
    copied = page.evaluate("navigator.clipboard.readText()")
    page.close()
    assert copied.startswith("import vqlib  # isort: skip")
    assert copied.strip().endswith('"mnist")')
    assert not record.foreign + record.failed + record.errors


@pytest.mark.parametrize("scheme", SCHEMES)
def test_on_a_phone_the_buttons_open_the_books_and_the_pages_contents(browser, address, scheme):
    page, record, _ = open_page(browser, address + "notebooks/05-pixelcnn.html", address)
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    show(page, scheme)
    page.locator(".secondary-toggle:visible").click()
    page.locator("dialog a[href='#temperature']").click()
    page.locator("#pst-secondary-sidebar-modal").wait_for(state="hidden")
    assert page.url.endswith("#temperature")
    assert 0 <= page.locator("#temperature h2").bounding_box()["y"] < 300
    page.locator(".primary-toggle:visible").click()
    page.locator("dialog a", has_text="Notation").click()
    page.wait_for_url(address + "book/notation.html")
    page.close()
    assert not record.foreign + record.failed + record.errors


def test_on_a_wide_window_the_button_folds_the_books_contents_away(browser, address):
    page, record, _ = open_page(browser, address + "book/index.html", address)
    contents = page.locator("#pst-primary-sidebar")
    assert contents.is_visible()
    page.locator(".primary-toggle:visible").click()
    contents.wait_for(state="hidden")
    page.close()
    assert not record.foreign + record.failed + record.errors


def test_search_finds_the_blind_spot(browser, address):
    page, record, _ = open_page(browser, address + "book/index.html", address)
    page.keyboard.press("Control+K")
    page.keyboard.type("blind spot")
    page.keyboard.press("Enter")
    page.wait_for_url(address + "search.html?q=blind+spot")
    results = page.locator("#search-results li a")
    results.first.wait_for()
    page.locator("#search-results .context", has_text="of stacked masked convolutions").first.wait_for()  # no headings
    found = [link.get_attribute("href") for link in results.all()]
    page.close()
    assert [href for href in found if "05-pixelcnn" in href], found
    assert not record.foreign + record.failed + record.errors


@pytest.mark.parametrize(("needed", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_missing_browser_is_a_failure_only_where_one_is_needed(monkeypatch, tmp_path, needed, outcome):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VQLIB_NEEDS_BROWSER", needed)
    with pytest.raises(outcome, match="apt-get install chromium"):
        find_browser()

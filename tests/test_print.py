"""A printed chapter is whole and clean, and the book's PDF holds all of them."""

import itertools
import re
import subprocess
import sys
import unicodedata

import pytest
from browsers import BOOK, FLAGS, PATIENCE, find_browser, printing
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

pytestmark = pytest.mark.browser

CHAPTER = "notebooks/01-quantization"
PAPER = {"width": 673, "height": 986}  # what the margins leave of an A4 page, in pixels
CUT = """(paper) => [...document.querySelectorAll("article :is(pre, img, svg, table, div.math)")].filter((part) => {
  const box = part.getBoundingClientRect();
  const tall = part.matches("img, svg") && box.height > paper.height;
  return box.width && (tall || box.right > paper.width + 1 || part.scrollWidth > part.clientWidth + 1);
}).map((part) => part.outerHTML.slice(0, 200))"""
NOT_ON_PAPER = (
    "Skip to main content",
    "Show the code",
    "Open issue",
    "Print to PDF",
    "Back to top",
    "Copy to clipboard",
    "Getting started",  # the side bar
    "Troubleshooting",
    "By The vqlib authors",  # the footer
)


@pytest.fixture(scope="module")
def chapter(html, tmp_path_factory):
    """One chapter printed out of each scheme, and what of it is cut off on paper."""
    path, folder = find_browser(), tmp_path_factory.mktemp("print")
    url = (html / f"{CHAPTER}.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            printing.print_page(page, url, folder / f"{scheme}.pdf")
            assert page.evaluate("document.documentElement.dataset.theme") == scheme
        page.set_viewport_size(PAPER)
        page.emulate_media(media="print", color_scheme="light")
        cut = page.evaluate(CUT, PAPER)
        browser.close()
    return PdfReader(folder / "light.pdf"), PdfReader(folder / "dark.pdf"), cut


@pytest.fixture(scope="module")
def book(html, tmp_path_factory):
    """The whole book as one PDF."""
    find_browser()
    path = tmp_path_factory.mktemp("print") / "book.pdf"
    subprocess.run([sys.executable, BOOK / "print.py", html, path], check=True)
    return PdfReader(path)


def letters(text):
    """Return the letters and digits of a text alone: a PDF has spaces, line breaks and ligatures of its own."""
    return re.sub(r"[^a-zA-Z0-9]", "", unicodedata.normalize("NFKC", text))


def is_printed(part, pages):
    """Whether a text stands on one of the pages, or begins on one and goes on at the top of the next."""
    return any(part in page for page in pages) or any(
        part[:cut] in page and following.startswith(part[cut:])
        for page, following in itertools.pairwise(pages)
        for cut in range(1, len(part))
    )


def test_page_that_is_slow_to_come_is_printed_whole(tmp_path):
    busy = "<script>for (const end = performance.now() + 400; performance.now() < end; );</script>"
    parts = "".join(f"<h2>Part {n}</h2>{busy}" for n in range(8))
    (tmp_path / "slow.html").write_text(f"<!doctype html><title>Slow</title><article>{parts}</article>")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS, timeout=PATIENCE)
        printing.print_page(browser.new_page(), (tmp_path / "slow.html").as_uri(), tmp_path / "slow.pdf")
        browser.close()
    text = " ".join(page.extract_text() for page in PdfReader(tmp_path / "slow.pdf").pages)
    assert [n for n in range(8) if f"Part {n}" in text] == list(range(8))


def test_page_that_leads_on_while_one_waits_for_it_is_visited_at_its_end(tmp_path):
    slow = "<script>window.MathJax = {startup: {promise: new Promise((done) => setTimeout(done, %s))}}</script>"
    onwards = "<script>setTimeout(() => location.replace('end.html'), 200)</script>"
    (tmp_path / "door.html").write_text(f"<!doctype html><title>Door</title>{slow % 60_000}{onwards}")
    (tmp_path / "end.html").write_text(f"<!doctype html><title>End</title>{slow % 400}<p>Here.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS, timeout=PATIENCE)
        page = browser.new_page()
        printing.visit(page, (tmp_path / "door.html").as_uri())
        assert page.title() == "End"
        assert page.evaluate("performance.now()") > 400
        browser.close()


def test_every_paragraph_and_cell_is_printed_but_for_closed_folds(chapter, html):
    pages = [letters(page.extract_text()) for page in chapter[0].pages]
    printed = "".join(pages)
    article = BeautifulSoup((html / f"{CHAPTER}.html").read_text(encoding="utf-8"), "html.parser").article
    folds = article.find_all("details")
    inside = [letters(fold.get_text().removeprefix(fold.summary.get_text()))[:60] for fold in folds]
    assert len(inside) > 5
    assert not [text for text in inside if text and text in printed]
    assert [fold for fold in folds if letters(fold.summary.get_text()) in printed]
    for fold in folds:
        fold.decompose()
    parts = [part for part in article.select("p, pre, li") if not part.select(".math")]
    assert len(parts) > 50
    assert not [part.get_text() for part in parts if not is_printed(letters(part.get_text()), pages)]


def test_nothing_to_press_is_printed(chapter):
    printed = letters("".join(page.extract_text() for page in chapter[0].pages))
    assert not [text for text in NOT_ON_PAPER if letters(text) in printed]


def test_every_printed_page_has_its_number(chapter):
    pages, title = chapter[0].pages, "1. Quantization — Discrete representation learning, hands on"
    for n, page in enumerate(pages, 1):
        assert page.extract_text().endswith(f"{title} {n} / {len(pages)}")


def test_no_printed_page_is_empty_and_their_number_is_sane(chapter):
    assert 10 < len(chapter[0].pages) < 40
    assert not [n for n, page in enumerate(chapter[0].pages) if not page.extract_text().strip() and not page.images]


def test_nothing_is_cut_off_on_paper(chapter):
    assert not chapter[2]


def test_dark_page_is_printed_as_a_light_one(chapter):
    light, dark = ([page.get_contents().get_data() for page in reader.pages] for reader in chapter[:2])
    assert dark == light


def test_book_has_a_bookmark_for_each_page_in_order(book, html):
    parts = printing.contents()
    titles = {}
    for name in itertools.chain.from_iterable(names for _, names in parts):
        heading = BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser").h1
        titles[name] = heading.contents[0].strip()
    expected = [title for caption, names in parts for title in (caption, *(titles[name] for name in names)) if title]
    found, starts = [], []

    def walk(outline):
        for item in outline:
            if isinstance(item, list):
                walk(item)
            elif item.title in expected:
                found.append(item.title)
                starts.append(book.get_destination_page_number(item))

    walk(book.outline)
    assert found == expected
    assert starts == sorted(starts)
    for title, start in zip(found, starts, strict=True):
        if title in titles.values():
            assert letters(title) in letters(book.pages[start].extract_text())


def test_links_of_the_book_lead_inside_it_or_to_the_web(book):
    inside, outside = [], []
    for link in itertools.chain.from_iterable(page.get("/Annots", []) for page in book.pages):
        link = link.get_object()
        if "/Dest" in link:
            inside.append(book._get_page_number_by_indirect(link["/Dest"][0]))
        elif "/A" in link:
            outside.append(link["/A"]["/URI"])
    assert len(inside) > 100
    assert None not in inside
    assert not [uri for uri in outside if not uri.startswith(("https://", "http://"))]

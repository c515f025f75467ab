"""Print the built book as one PDF, by Chromium.

    python book/print.py _build/html _build/book.pdf

Each page of the table of contents is printed as the browser's "print" would do it, and the PDFs are joined: with
bookmarks, and with links between pages that lead to the page inside the PDF.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile

import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import Destination, Fit, NameObject

ROOT = pathlib.Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # what is asked of another host fails at once
]
NO_BROWSER = (
    f"None of {', '.join(BROWSERS)} is on the PATH. "
    "On Debian: apt-get install chromium; elsewhere: https://www.chromium.org/getting-involved/download-chromium/"
)
READY = "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; return true; }"
HEADINGS = "found => found.map((heading) => [heading.parentElement.id, heading.firstChild.textContent.trim()])"
PATIENCE = 120_000  # milliseconds, for a machine that is busy with something else
FOOTER = """
<div style="font: 7pt sans-serif; width: 100%; padding: 0 16mm; display: flex; justify-content: space-between">
<span class="title"></span><span><span class="pageNumber"></span> / <span class="totalPages"></span></span>
</div>"""


def find_browser():
    """Return the path of Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def contents():
    """Return (caption, names of pages) for each part of the book, in order; the first page has no caption."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    parts = [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in toc["parts"]]
    return [(None, [toc["root"]]), *parts]


def visit(page, url):
    """Open a page of the book, and wait until it is read to its end, with its pictures, formulas and fonts.

    A page that leads on to another one may do so meanwhile.
    """
    page.goto(url, timeout=PATIENCE)
    page.wait_for_function(READY, timeout=PATIENCE)


def print_page(page, url, path):
    """Print one page of the book into a file; return its headings as (anchor, text)."""
    visit(page, url)
    page.pdf(
        path=path,
        format="A4",
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",  # none, in place of date and title
        footer_template=FOOTER,
    )
    return page.locator("article :is(h1, h2)").evaluate_all(HEADINGS)


def join(parts, html):
    """Return the writer of one PDF from (caption, [(name, headings, path)]) for each part."""
    writer = PdfWriter()
    readers = {name: PdfReader(path) for _, pages in parts for name, _, path in pages}
    first = {}  # the number of the page that each page of the book begins on
    for name, reader in readers.items():
        first[name] = len(writer.pages)
        writer.append(reader, import_outline=False)
    anchors = {name: places(reader, first[name]) for name, reader in readers.items()}
    starts = {page_address(html, name): number for name, number in first.items()}
    for caption, pages in parts:
        part = caption and writer.add_outline_item(title=caption, page_number=first[pages[0][0]])
        for name, ((_, title), *sections), _ in pages:
            chapter = writer.add_outline_item(title=title, page_number=first[name], parent=part)
            for anchor, text in sections:
                number, top = anchors[name][anchor]
                writer.add_outline_item(title=text, page_number=number, parent=chapter, fit=Fit.xyz(top=top))
    for name, reader in readers.items():
        for page in writer.pages[first[name] : first[name] + len(reader.pages)]:
            for link in page.get("/Annots", []):
                lead(writer, link.get_object(), anchors[name], starts)
    del writer.root_object["/Names"]  # each may stand for a place in several pages of the book
    return writer


def places(reader, first):
    """Return the number of the page and the height of each anchor of a PDF whose first page gets this number."""
    return {
        name.removeprefix("/"): (first + reader.get_destination_page_number(place), float(place.top))
        for name, place in reader.named_destinations.items()
    }


def lead(writer, link, anchors, starts):
    """Let a link to an anchor of its own page, or to another page of the book, lead there inside the PDF."""
    if "/Dest" in link:
        number, top = anchors[link["/Dest"].removeprefix("/")]
        fit = Fit.xyz(top=top)
    else:
        address = link["/A"].get("/URI", "").split("#")[0]
        if not address.startswith("file:"):
            return
        del link["/A"]
        if address not in starts:  # a picture alone, which the page shows already
            return
        number, fit = starts[address], Fit.fit()
    link[NameObject("/Dest")] = Destination("", writer.pages[number].indirect_reference, fit).dest_array


def page_address(html, name):
    """Return the address of a page of the book, opened as a file."""
    return (html.resolve() / f"{name}.html").as_uri()


def main():
    """Print the book that lies in one folder into one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", type=pathlib.Path, help="the folder of the built book")
    parser.add_argument("pdf", type=pathlib.Path)
    arguments = parser.parse_args()
    path = find_browser() or sys.exit(NO_BROWSER)
    parts = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE)
        page = browser.new_page()
        for caption, names in contents():
            parts.append((caption, []))
            for name in names:
                printed = pathlib.Path(folder, f"{name.replace('/', '-')}.pdf")
                headings = print_page(page, page_address(arguments.html, name), printed)
                parts[-1][1].append((name, headings, printed))
        browser.close()
        writer = join(parts, arguments.html)
        config = yaml.safe_load((ROOT / "_config.yml").read_text())
        writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
        writer.write(arguments.pdf)
    print(f"{len(writer.pages)} pages: {arguments.pdf}")


if __name__ == "__main__":
    main()

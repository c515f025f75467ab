"""The book builds without a warning, and every link in it leads somewhere."""

import copy
import pathlib
import re
import urllib.parse

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = pathlib.Path(__file__).parents[1]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]


@pytest.fixture(scope="session")
def pages(html):
    """The parsed pages, by their path in the book."""
    return {
        str(path.relative_to(html)): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.relative_to(html).parts
    }


def test_book_holds_every_page_and_every_chapter(pages):
    sources = [*(ROOT / "book").glob("[a-z]*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert {str(path.relative_to(ROOT).with_suffix(".html")) for path in sources} <= set(pages)


def test_every_internal_link_and_anchor_resolves(html, pages):
    anchors = {
        name: {tag.get("id") for tag in page.find_all(id=True)} | {tag.get("name") for tag in page.find_all("a")}
        for name, page in pages.items()
    }
    broken, checked = [], 0
    for name, page in pages.items():
        for tag, attribute in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
            for element in page.find_all(tag, attrs={attribute: True}):
                link = urllib.parse.urlsplit(element[attribute])
                if link.scheme or link.netloc or element[attribute] in ("", "#"):
                    continue
                checked += 1
                target = html / name
                if link.path:
                    target = (target.parent / urllib.parse.unquote(link.path)).resolve()
                page_name = str(target.relative_to(html)) if target.is_relative_to(html) else None
                anchor = urllib.parse.unquote(link.fragment)
                if not target.is_file() or (anchor and page_name in anchors and anchor not in anchors[page_name]):
                    broken.append(f"{name}: {element[attribute]}")
    assert not broken, "\n".join(broken)
    assert checked > 100


def test_links_to_the_repository_name_files_that_exist(pages):
    address = REPOSITORY["url"].removeprefix("https://github.com/")
    branch = REPOSITORY["branch"]
    pattern = re.compile(
        rf"https://(?:colab\.research\.google\.com/github|github\.com)/{re.escape(address)}/\w+/{branch}/([^?#]*)"
    )
    links = {(name, a["href"]) for name, page in pages.items() for a in page.find_all("a", href=True)}
    found = [(name, href, match[1]) for name, href in links if (match := pattern.match(href))]
    assert not [f"{name}: {href}" for name, href, path in found if not (ROOT / urllib.parse.unquote(path)).exists()]
    colab = {path for _, href, path in found if "colab" in href}
    assert colab >= {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert not [path for path in colab if not path.endswith(".ipynb")]


def test_every_image_is_described(pages):
    for name, page in pages.items():
        for image in page.find_all("img"):
            alt = image.get("alt", "").strip()
            assert alt, f"{name}: {image.get('src')} has no alternative text"
            assert not re.search(r"[0-9a-f]{16}|_images/|\.png$", alt), f"{name}: {alt} describes nothing"


def test_no_directive_shows_as_raw_text(pages):
    for name, page in pages.items():
        article = copy.copy(page.find("article") or page)
        for tag in article.find_all(["pre", "script", "style"]) + article.find_all(class_="math"):
            tag.decompose()
        for code in article.find_all("code"):
            code.replace_with(f"`{code.get_text()}`")
        leak = re.search(r"(```|~~~|:::)\s*\{.*|\{[a-z][\w:-]*\}`.*", article.get_text())
        assert not leak, f"{name}: {leak[0]}"


def test_numbered_equations_are_not_split(pages):
    """Sphinx puts an equation with a double backslash into `split`, where MathJax refuses a tag: break lines by cr."""
    equations = [(name, equation.text) for name, page in pages.items() for equation in page.select("div.math")]
    assert any("\\tag" in equation for _, equation in equations)
    for name, equation in equations:
        assert not ("\\begin{split}" in equation and "\\tag" in equation), f"{name}: {equation.strip()[:90]}"


def test_every_paper_that_a_chapter_cites_is_in_the_references():
    bibliography = (ROOT / "book" / "references.bib").read_text()
    cited = {
        (path.name, number)
        for path in (ROOT / "book").glob("*.md")
        for number in re.findall(r"arxiv\.org/(?:abs|pdf)/(\d+\.\d+)", path.read_text())
    }
    assert not {(name, number) for name, number in cited if f"arxiv.org/abs/{number}" not in bibliography}

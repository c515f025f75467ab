"""The book builds without a warning, and every link in it leads somewhere."""

import copy
import importlib
import importlib.metadata
import inspect
import pathlib
import pkgutil
import posixpath
import re
import urllib.parse

import pytest
import yaml
from bs4 import BeautifulSoup
from chapters import cells
from docutils import nodes
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from sphinx import addnodes
from sphinx.errors import ExtensionError

import vqlib

pytestmark = pytest.mark.book

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


def test_folds_of_code_have_the_titles_of_their_cells_and_the_code_has_none(pages):
    for path in sorted((ROOT / "book").glob("[0-9][0-9]-*.md")):
        folds = [
            (fold.select_one(".collapsed").text, fold.select_one(".expanded").text, fold.select_one("pre").text)
            for fold in pages[f"notebooks/{path.stem}.html"].select("article details:is(.above-input, .above-code)")
        ]
        titles = re.findall(r"^# @title (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(titles) > 15
        seen = [
            re.sub("^(Figure|Table|Result): ", lambda kind: f"Code of the {kind[1].lower()}: ", title)
            for title in titles
        ]
        assert [closed for closed, _, _ in folds] == seen
        assert [opened for _, opened, _ in folds] == seen
        assert not [code for _, _, code in folds if "@title" in code]
        checks = [code for name, _, code in folds if name.startswith("Check of exercise ")]
        assert len(checks) >= 3
        assert all("vqlib.check(" in code for code in checks), path.stem


def own_address():
    """Return the address at which the book is published."""
    owner, name = REPOSITORY["url"].removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


def test_no_link_leaves_the_book_for_its_own_public_address(pages):
    """A copy on a disk must not lead to the web where it has the page itself."""
    links = [(name, a["href"]) for name, page in pages.items() for a in page.find_all("a", href=True)]
    assert not [f"{name}: {href}" for name, href in links if href.startswith(own_address())]
    assert ("notebooks/07-gated-prior.html", "../book/pictures.html#two-stacks") in links


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/**/*.ipynb")), ids=lambda path: path.stem)
def test_addresses_of_the_book_in_notebooks_lead_to_pages_and_headings_that_it_has(pages, path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"{re.escape(own_address())}([\w/.-]*)(?:#([\w-]+))?", text)
    assert found
    for page, anchor in found:
        assert page in pages
        assert not anchor or pages[page].find(id=anchor), f"{page} has no #{anchor}"


def public_modules():
    """Return the modules of vqlib whose names are described: not those of the book and of coursework."""
    found = pkgutil.walk_packages(vqlib.__path__, "vqlib.")
    names = [module.name for module in found if not re.search(r"\._|^vqlib\.(book|coursework)\b", module.name)]
    return [importlib.import_module(name) for name in names]


def test_every_public_name_is_described_and_leads_to_a_page_of_the_book(pages):
    described = {dt["id"]: dt.find_next_sibling("dd") for dt in pages["book/api.html"].select("dt.sig[id]")}
    offered = {f"vqlib.{name}" for name in vqlib.__all__ if callable(getattr(vqlib, name))}
    defined = {
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name, member in vars(module).items()
        if inspect.isfunction(member) or inspect.isclass(member)
        if member.__module__.partition("._")[0] == module.__name__ and name[0] != "_" and name not in vqlib.__all__
    }
    assert {"vqlib.exports.split", "vqlib.levels.Level", "vqlib.hierarchy.build_stem"} <= defined
    assert "vqlib.evaluation.frechet_limit" in defined  # of a private module of the package
    assert offered | defined <= set(described)
    ends = {name: described[name].find_all("p", recursive=False)[-1] for name in offered | defined}
    assert not [name for name, end in ends.items() if not re.match(r"(In chapters? \d|See .*\.$)", end.text)]
    assert not [name for name, end in ends.items() if not end.find("a", href=True)]
    assert ends["vqlib.load_images"].text == "See Your own pictures."


def test_signatures_of_public_names_say_what_makes_them(pages):
    found = pages["book/api.html"].select("dl.class > dt.sig[id]")
    signatures = {dt["id"]: dt.text.replace("\n", "").partition("(")[2] for dt in found}
    assert not [name for name, text in signatures.items() if text.startswith("*args, **kwargs)")]
    assert signatures["vqlib.quantizers.Quantized"].startswith("z_q, codes, codebook_loss=None, ")
    assert signatures["vqlib.VQVAE"].startswith("image_shape=(28, 28, 1), num_embeddings=128, ")
    fields = pages["book/api.html"].find(id="vqlib.checkpoints.TokenizerAndPrior").find_next_sibling("dd")
    assert "A named tuple: model, prior." in fields.text


def test_no_description_of_a_parameter_is_lost(pages):
    """As "K." would be, which is the head of a list."""
    items = pages["book/api.html"].select("dl.field-list :is(li, dd)")
    described = [item.text.strip() for item in items]
    assert "num_embeddings (int) \u2013 K, the number of codes." in described
    assert not [item.find_previous("strong").text for item in items if not item.text.strip()]
    assert not [text for text in described if text.endswith("\u2013")]


def test_public_names_lead_to_the_chapters_that_use_them(pages):
    def chapters(name):
        entry = pages["book/api.html"].find(id=name).find_next_sibling("dd")
        return [link["href"] for link in entry.select("a[href*='notebooks/']")]

    assert chapters("vqlib.FiniteScalarQuantizer") == ["../notebooks/06-codebooks.html"]
    uses = ["../notebooks/08-judging-samples.html", "../notebooks/10-files.html"]
    assert chapters("vqlib.evaluation.codec_rate") == uses
    assert "../notebooks/01-quantization.html" in chapters("vqlib.plots.use_style")
    code = "\n".join(cell for number in range(1, 11) for cell in cells(number))
    used = set(re.findall(r"\bvqlib\.(\w+)\(", code))
    assert len(used) > 10
    assert not [name for name in used if not chapters(f"vqlib.{name}")]


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


# What learners ask, and words of the answer that stand in the section that the page of questions leads to.
QUESTIONS = {
    "Why is there a stop_gradient?": "gradient is zero",
    "On which side does stop_gradient belong?": "should stand still",
    "Why are there two losses if they are always equal?": "same value and different gradients",
    "What should beta be?": "how well 0.25 happens to suit them",
    "Does the rotation trick help?": "is a matter of measurement",
    "Why does the VQ loss rise?": "spreading its outputs",
    "What is perplexity?": "equally likely",
    "What is a good perplexity?": "no number to aim at",
    "Is the PixelCNN the decoder?": "never sees a pixel",
    "How do I generate an image?": "the decoder of the VQ-VAE paints it",
    "Why sample, and not take the argmax?": "and the same grid every time",
    "Why is the mask different in the first layer?": "it must not see",
    "Does the residual connection leak?": "Sums of features that keep the rule",
    "Why does a stack of masked layers have a blind spot?": "costs a row",
    "How do two stacks remove the blind spot?": "rectangles stack without holes",
    "How many codes do I need?": "no magic number",
}


def section_at(pages, start, href):
    """Return the section that a link of a page leads to."""
    path, anchor = href.split("#")
    return pages[posixpath.normpath(posixpath.join(posixpath.dirname(start), path))].find(id=anchor)


def test_what_learners_ask_is_answered_where_the_page_of_questions_leads(pages):
    sections = {}
    for section in pages["book/questions.html"].select("article section section section"):
        section.find("h3").find("a", class_="headerlink").decompose()
        sections[section.find("h3").get_text()] = [a["href"] for a in section.select("a[href*='notebooks/']")]
    assert set(QUESTIONS) <= set(sections)
    assert all("#" in href for links in sections.values() for href in links)
    assert all(sections.values())
    for question, words in QUESTIONS.items():
        answers = [section_at(pages, "book/questions.html", href).get_text() for href in sections[question]]
        assert words in " ".join(" ".join(answers).split()), question


def test_each_chapter_leads_from_the_first_use_of_a_term_to_the_glossary(pages, book_extension):
    first_use = book_extension("first_use")
    terms = {first_use.nodes.make_id(term): definition for term, definition in first_use.glossary().items()}
    used = set()
    for name, page in pages.items():
        shown = page.select(".first-use")
        if not name.startswith("notebooks/"):
            assert not shown, name
            continue
        assert len(shown) >= 10, f"{name}: only {len(shown)} terms lead to the glossary"
        found = [each["id"].removeprefix("use-") for each in shown]
        assert len(found) == len(set(found)), f"{name}: a term leads to the glossary twice"
        for each, term in zip(shown, found, strict=True):
            assert each.parent["href"] == f"../book/glossary.html#term-{pages_id(pages, term)}"
            assert each.parent["title"] == first_use.short(terms[term])
            assert not each.find_parent(["h1", "h2", "h3", "pre", "code"]), f"{name}: {term}"
        used |= set(found)
    assert {"blind-spot", "perplexity", "straight-through-estimator", "floor", "dead-code"} <= used


def pages_id(pages, term):
    """Return the glossary's anchor of a term, without its beginning: Sphinx keeps capitals."""
    anchors = [dt["id"].removeprefix("term-") for dt in pages["book/glossary.html"].find_all("dt", id=True)]
    (found,) = (anchor for anchor in anchors if anchor.lower() == term)
    return found


def test_definitions_read_well_under_the_pointer(book_extension):
    first_use = book_extension("first_use")
    for term, definition in first_use.glossary().items():
        text = first_use.short(definition)
        assert 15 < len(text) < 180, term
        assert not re.search(r"[\\{}`]", text), f"{term}: {text}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A blind\nspot, two dead codes and a code.", ["blind spot", "dead code", "code"]),
        ("The learning rate of this code in one line of code.", []),
        ("A curve that is level, a step of one grey level, and two levels.", ["level"]),
        ("Codebooks and decoders, autoencoders, gated PixelCNN", ["codebook", "decoder", "gated PixelCNN"]),
    ],
)
def test_terms_are_found_in_the_plural_over_a_line_end_and_not_in_another_meaning(book_extension, text, found):
    first_use = book_extension("first_use")
    terms = list(first_use.glossary())
    matches = [match.lastgroup for match in first_use.pattern(terms).finditer(text)]
    assert [terms[int(group[1:])] for group in matches if group] == found


def test_index_leads_from_a_term_to_the_chapters_that_use_it(pages):
    entries = {li.find("strong").get_text(): li for li in pages["book/terms.html"].select("ul.book-index li")}
    blind_spot = {a.get_text(): a["href"] for a in entries["blind spot"].find_all("a")}
    assert blind_spot["blind spot"] == "../book/glossary.html#term-blind-spot"
    assert blind_spot["chapter\N{NO-BREAK SPACE}5"] == "../notebooks/05-pixelcnn.html#use-blind-spot"
    assert "removed by two stacks" in blind_spot
    sidebar = pages["notebooks/01-quantization.html"].select(".bd-sidebar-primary a.reference.internal")
    assert "Index" in {a.get_text(strip=True) for a in sidebar}


def test_front_page_has_a_card_for_each_chapter_with_what_its_header_says(pages, book_extension):
    header = book_extension("chapters").header
    cards = {card.find("a")["href"]: card for card in pages["book/index.html"].select(".sd-card")}
    for path in sorted((ROOT / "book").glob("[0-9][0-9]-*.md")):
        says, card = header(path), cards[f"../notebooks/{path.stem}.html"]
        assert card.find("a").get_text() == says["title"]
        assert card.find("strong").get_text().endswith("?")
        assert f"{says['read']} minutes to read, {says['run']} to run" in " ".join(card.get_text().split())
        assert "You need" in card.get_text()


def test_chapter_without_its_time_is_refused(book_extension, tmp_path):
    chapters = book_extension("chapters")
    path = tmp_path / "09-new.md"
    path.write_text("# 9. New\n\n**You need** nothing.\n\n**Time:** 30 minutes to read.\n")
    with pytest.raises(chapters.ExtensionError, match=r"09-new.md has no line for 'read'"):
        chapters.header(path)


def rows_of(table):
    """Return the cells of an HTML table, the heading first."""
    return [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]


def test_status_page_says_which_versions_are_installed_and_supported(pages):
    heading, *rows = rows_of(pages["book/status.html"].find("table"))
    assert heading == ["package", "supported", "this book"]
    installed = {name: importlib.metadata.version(name) for name, *_ in rows[1:]}
    assert {name: version for name, _, version in rows[1:]} == installed
    supported = {name: specifier for name, specifier, _ in rows}
    assert supported.pop("Python") == importlib.metadata.metadata("vqlib")["Requires-Python"]
    requirements = [Requirement(line) for line in importlib.metadata.requires("vqlib")]
    expected = {each.name: each.specifier for each in requirements if each.marker is None}
    assert {name: SpecifierSet(specifier) for name, specifier in supported.items()} == expected


def test_minutes_are_those_that_were_recorded(book_extension):
    chapters = book_extension("chapters")
    measured = {
        "01-quantization": {"quick": {"minutes": 0.51, "machine": "one"}, "default": {"minutes": 2, "machine": "two"}},
        "02-straight-through": {"quick": {"minutes": 1.5, "machine": "one"}},
    }
    heading, _, first, second, third, *others = chapters.times(measured)
    assert heading == "| chapter | to read | to run, `quick` | to run, `default` |"  # no chapter has a full run
    assert first.endswith("| 40 | 0.5 (1) | 2.0 (2) |")
    assert second.endswith("| 1.5 (1) | not measured |")
    assert third.endswith("| not measured | not measured |")
    assert others[-2:] == ["1. one", "2. two"]


def test_asides_and_nothing_else_stand_in_the_margin(pages):
    quotes = [quote for page in pages.values() for quote in page.find_all("blockquote")]
    asides = [quote for quote in quotes if quote.get_text().strip().startswith("Aside.")]
    assert len(asides) >= 3
    assert [quote for quote in quotes if "margin" in quote.get("class", [])] == asides


def test_printed_sentences_wrap_and_columns_and_logs_do_not(pages):
    printed = pages["notebooks/05-pixelcnn.html"].select("div.output:has(pre)")
    wraps = {output.get_text().strip(): "wrapped" in output["class"] for output in printed}
    (sentence,) = (text for text in wraps if text.startswith("136 of 1,176 legal pairs"))
    (columns,) = (text for text in wraps if text.startswith("InputLayer"))
    assert wraps[sentence]
    assert not wraps[columns]
    logs = [text for text in wraps if "Epoch 1" in text]
    assert logs
    assert not any(wraps[text] for text in logs)


def invitation(*targets):
    """Return a paragraph of a chapter that leads to labs."""
    links = [addnodes.pending_xref("", nodes.Text("a lab"), reftargetid=target) for target in targets]
    return nodes.paragraph("", "", nodes.Text(""), nodes.strong("", "In the lab:"), nodes.Text(" try it in "), *links)


def test_paragraph_that_leads_to_a_lab_is_known_and_has_to_lead_to_one(book_extension):
    labs = book_extension("labs")
    right = invitation("the-prior-at-work")
    assert labs.is_invitation(right)
    assert labs.lab_named(right) == "prior"
    assert not labs.is_invitation(nodes.paragraph("", "", nodes.Text("In the lab: nothing.")))
    for wrong in (invitation(), invitation("no-such-lab"), invitation("cells", "slopes")):
        with pytest.raises(ExtensionError, match=r"In the lab: try it in .* has to link to one"):
            labs.lab_named(wrong)


def test_figure_that_a_lab_names_and_that_is_not_there_is_refused(book_extension):
    labs = book_extension("labs")
    caption = nodes.paragraph("", "Figure 1.12. What to see.", classes=["cell-caption"])
    document = nodes.container("", nodes.image(uri="one.png"), nodes.image(uri="two.png"), caption)
    assert labs.figure_of(document, "1.12")["uri"] == "two.png"
    with pytest.raises(ExtensionError, match=r"no figure 1\.1,"):
        labs.figure_of(document, "1.1")

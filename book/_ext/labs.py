"""The directive ``lab``: a place on the page that scripts of vqlib/book/static/labs fill.

```{lab} cells
```

What to try first stands above it, from the table of vqlib.book.labs, or else what the directive holds. A page gets the
scripts of its own labs and no others. Where no scripts run, a reader sees why, and a figure of the same. The weights of
trained models are written as scripts when the book is built, from the checkpoints.

Chapters are notebooks, which can hold no directives. A paragraph of theirs that begins with ``**In the lab:**`` and
links to a lab on the page of labs has that lab below it, in a fold: nothing is computed before it is opened.
"""

import base64
import functools
import hashlib
import html
import io
import pathlib
import re

from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from vqlib import checkpoints
from vqlib.book import labs

ROOT = pathlib.Path(__file__).parents[2]
PAGE, CHAPTERS = "book/labs", "notebooks/"
GATED = "notebooks/07-gated-prior"  # here the prior at work is this chapter's
MODELS = (  # whose weights the labs ask for
    "mnist-vqvae",
    "mnist-prior",
    "mnist-ema-vqvae",
    "mnist-ema-prior",
    "mnist-two-levels-vqvae",
)


@functools.cache
def model(name):
    """Return a shipped model."""
    return checkpoints.load_pretrained(name)


@functools.cache
def still():
    """Return what the labs with images show before a script runs."""
    return labs.start_of(model("mnist-vqvae"))


@functools.cache
def levels():
    """Return what the lab with two levels shows before its model comes."""
    return labs.levels_as_data(model("mnist-two-levels-vqvae"))


def picture(pixels, words):
    """Return an image, uint8 (H, W), as HTML."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(words)}" />'


def still_as_html():
    """Return the figure that the labs with images show where no scripts run."""
    digit, image, codes, rebuilt = still()
    grid = "\n".join(" ".join(f"{code:3d}" for code in row) for row in codes)
    before = picture(image, f"A handwritten {digit} of the test set.")
    after = picture(rebuilt, f"The same {digit}, rebuilt from the codes.")
    return f'<div class="lab-still">{before}<pre>{grid}</pre>{after}</div>\n'


class lab(nodes.General, nodes.Element):
    """The place of a lab."""


class fallback(nodes.General, nodes.Element):
    """What stands in the place of a lab where no scripts run."""


def place_of(name, *above, folded=False):
    """Return the place of a lab, and what stands above it: by default, what to try first."""
    if not above:
        first = nodes.Text(f" {labs.LABS[name].first}")
        above = [nodes.paragraph("", "", nodes.strong("", "Try this first:"), first)]
    return lab("", *above, fallback("", name=name, folded=folded), name=name, folded=folded)


def note_dependencies(env, name):
    """Let a page be read again where what its lab consists of has changed."""
    chapter = ROOT / CHAPTERS / f"{labs.LABS[name].chapter}.ipynb"
    for path in (__file__, labs.__file__, labs.FOLDER / "digits.js", chapter):
        env.note_dependency(str(path))


class Lab(SphinxDirective):
    """A lab, and the sentence that stands above it."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return the place of the lab."""
        (name,) = self.arguments
        if name not in labs.LABS:
            raise self.error(f"There is no lab {name!r}, only {', '.join(labs.LABS)}.")
        note_dependencies(self.env, name)
        own = self.parse_text_to_nodes(StringList(self.content, self.env.docname)) if self.content else []
        return [place_of(name, *own)]


# ---------------------------------------------------------------- In chapters


def is_invitation(paragraph):
    """Whether a paragraph leads to a lab."""
    first = next((part for part in paragraph.children if part.astext()), None)  # MyST may put an empty text before
    return isinstance(first, nodes.strong) and first.astext() == "In the lab:"


def lab_named(paragraph):
    """Return the name of the lab that a paragraph links to."""
    named = {nodes.make_id(room.title): name for name, room in labs.LABS.items()}
    links = [link.get("reftargetid") for link in paragraph.findall(addnodes.pending_xref)]
    found = [named[target] for target in links if target in named]
    if len(found) != 1:
        raise ExtensionError(f"{paragraph.astext()!r} links to {found or 'no lab'}, but has to link to one.")
    return found[0]


class Invitations(SphinxTransform):
    """Put a lab below each paragraph of a chapter that leads to one."""

    default_priority = 705  # after the links to the glossary: what stands in a fold is no first use

    def apply(self, **kwargs):
        """Change the document of a chapter; leave others as they are."""
        if not self.env.docname.startswith(CHAPTERS):
            return
        for paragraph in [each for each in self.document.findall(nodes.paragraph) if is_invitation(each)]:
            name = lab_named(paragraph)
            note_dependencies(self.env, name)
            paragraph.parent.insert(paragraph.parent.index(paragraph) + 1, place_of(name, folded=True))


# ---------------------------------------------------------------- Without scripts


def figure_of(document, number):
    """Return the image of the figure that a caption of a chapter gives this number."""
    previous = None
    for part in document.findall(lambda node: isinstance(node, (nodes.paragraph, nodes.image))):
        if isinstance(part, nodes.image):
            previous = part
        elif "cell-caption" in part["classes"] and re.match(rf"Figure {re.escape(number)}\. ", part.astext()):
            return previous
    raise ExtensionError(f"There is no figure {number}, which a lab names.")


class Figures(SphinxPostTransform):
    """Give the labs of a page the figures of chapters that show the same."""

    formats = ("html",)
    default_priority = 20

    def run(self, **kwargs):
        """Change the document."""
        for place in self.document.findall(fallback):
            room = labs.LABS[place["name"]]
            if room.figure and not place["folded"]:  # in a chapter, the figure is not far
                place += figure_of(self.env.get_doctree(CHAPTERS + room.chapter), room.figure).copy()


# ---------------------------------------------------------------- HTML


def visit_lab(translator, node):
    """Open the place of a lab, and the fold around it."""
    room, name, builder = labs.LABS[node["name"]], node["name"], translator.builder
    data = ""
    if "paint" in room.scripts:
        data = f" data-start='{still().as_data()}'"
        if builder.current_docname != PAGE:
            data += f' data-more="{builder.get_relative_uri(builder.current_docname, PAGE)}"'
    elif name == "levels":
        data = f" data-start='{levels()}'"
    elif name == "prior" and builder.current_docname == GATED:
        data = ' data-prior="gated"'
    if node["folded"]:
        summary = f"<summary>Open the lab here: {html.escape(room.title)}</summary>"
        translator.body.append(f'<details class="lab-fold">{summary}\n')
    translator.body.append(
        f'<div class="lab" data-lab="{name}" role="group" aria-label="Lab: {html.escape(room.title)}"{data}>\n'
    )


def depart_lab(translator, node):
    """Name the scripts, and close the place."""
    root = "../" * translator.builder.current_docname.count("/")
    scripts = reversed(labs.LABS[node["name"]].scripts)
    sources = [f'<a href="{root}_static/labs/{script}.js">{script}.js</a>' for script in scripts]
    translator.body.append(f'<p class="lab-source">How it is done: {", ".join(sources)}</p>\n</div>\n')
    if node["folded"]:
        translator.body.append("</details>\n")


def visit_fallback(translator, node):
    """Open what stands in the place of a lab."""
    figure = still_as_html() if "paint" in labs.LABS[node["name"]].scripts else ""
    translator.body.append(f'<div class="lab-fallback">{figure}')


def depart_fallback(translator, node):
    """Say why there is no lab, and where the book shows the same."""
    builder, page = translator.builder, translator.builder.current_docname
    room, chapter = labs.LABS[node["name"]], CHAPTERS + labs.LABS[node["name"]].chapter
    where = "This chapter"
    if chapter != page:
        where = f'<a href="{builder.get_relative_uri(page, chapter)}">Chapter {int(room.chapter[:2])}</a>'
    shows = f"shows the same in figure {room.figure}" if room.figure else "shows figures of the same"
    translator.body.append(
        '<p><span class="lab-reason">This lab is a script, and scripts do not run here.</span> '
        f"{where} {shows}.</p></div>\n"
    )


def add_scripts(app, pagename, templatename, context, doctree):
    """Give a page the scripts of its labs."""
    names = dict.fromkeys(place["name"] for place in doctree.findall(lab)) if doctree else ()
    scripts = dict.fromkeys(script for name in names for script in ("shared", *labs.LABS[name].scripts))
    for script in scripts:
        if not (labs.FOLDER / f"{script}.js").exists():
            raise ExtensionError(f"{pagename} has a lab that needs {labs.FOLDER / script}.js, which is not there.")
        app.add_js_file(f"labs/{script}.js")
    if scripts:
        app.add_css_file("labs/labs.css")


def write_weights(app, exception):
    """Write the weights of the models beside the scripts, unless the same program wrote the same there already."""
    if exception is not None or app.builder.format != "html":
        return
    program = hashlib.sha256(pathlib.Path(labs.__file__).read_bytes()).hexdigest()
    folder = pathlib.Path(app.outdir) / "_static" / "labs" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        path, of = folder / f"{name}.js", f"// {name}, sha256 {checkpoints.load_card(name)['sha256']}, by {program}\n"
        if not (path.exists() and path.read_text().startswith(of)):
            path.write_text(of + labs.weights_as_script(f"weights/{name}", model(name)))


def setup(app):
    """Register the directive, the labs of chapters, the scripts of a page, and the weights."""
    app.add_node(lab, html=(visit_lab, depart_lab))
    app.add_node(fallback, html=(visit_fallback, depart_fallback))
    app.add_directive("lab", Lab)
    app.add_transform(Invitations)
    app.add_post_transform(Figures)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_weights)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""The first use of a glossary term in each chapter leads to the glossary, and stands in the index.

Chapters are notebooks, which can hold no roles: Colab would show them raw. So the links are made when the book is
built. Headings, code, formulas, links and the titles of papers are left alone.
"""

import pathlib
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

GLOSSARY = pathlib.Path(__file__).parents[1] / "glossary.md"
CHAPTERS = "notebooks/"
SILENT = (nodes.title, nodes.FixedTextElement, nodes.literal, nodes.math, nodes.raw, nodes.reference)
SILENT += (addnodes.pending_xref, nodes.Invisible, nodes.image)
PAPERS = "further reading"
# The same words in another meaning.
OTHERWISE = (
    r"learning rates?",
    r"rate of its own",
    r"(?:lines?|piece|form) of (?:\w+ )?code",
    r"(?:in|this|the|real|chapter's|well-known|very) code",
    r"code (?:cells?|uses)",
    r"turns a condition",
    r"condition for",
    r"(?:is|grey) level",
)


def glossary():
    """Return the definition of each term of the glossary, as Markdown on one line."""
    block = re.search(r"```\{glossary\}\n(.*?)\n```", GLOSSARY.read_text(encoding="utf-8"), re.DOTALL)[1]
    found = {}
    for entry in block.split("\n\n"):
        lines = entry.split("\n")
        terms = [line for line in lines if not line.startswith(" ")]
        found |= dict.fromkeys(terms, " ".join(line.strip() for line in lines[len(terms) :]))
    return found


def short(definition):
    """Return the first sentence of a definition, without markup."""
    text = re.sub(r"\{term\}`([^`<]+?)(?: <[^`]*>)?`", r"\1", definition)
    return re.split(r"(?<=\.) ", re.sub(r"[$`*]", "", text))[0]


def pattern(terms):
    """Return an expression that finds the terms, also in the plural and over a line's end; a group is their number."""
    numbered = sorted(enumerate(terms), key=lambda pair: -len(pair[1]))
    wanted = [rf"(?P<t{number}>{re.escape(term)}(?:e?s)?)" for number, term in numbered]
    words = "|".join([*OTHERWISE, *wanted]).replace(r"\ ", r"\s+").replace(" ", r"\s+")
    return re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)


def text_nodes(document):
    """Yield the text of a document that is neither heading nor code, formula or link, nor in `PAPERS`."""

    def is_silent(node):
        return isinstance(node, SILENT) or PAPERS in node.get("names", [])

    for text in list(document.findall(nodes.Text)):
        parent = text.parent
        while parent is not None and not is_silent(parent):
            parent = parent.parent
        if parent is None:
            yield text


class FirstUse(SphinxTransform):
    """Link each glossary term where a chapter first uses it, and enter it into the index."""

    default_priority = 700  # before the domains collect the index

    def apply(self, **kwargs):
        """Change the document of a chapter; leave others as they are."""
        if not self.env.docname.startswith(CHAPTERS):
            return
        self.env.note_dependency(str(GLOSSARY))
        terms = list(glossary())
        expression, unseen = pattern(terms), set(range(len(terms)))
        chapter = f"chapter\N{NO-BREAK SPACE}{int(self.env.docname.removeprefix(CHAPTERS)[:2])}"
        for text in text_nodes(self.document):
            made, end = [], 0
            for match in expression.finditer(text.astext()):
                if match.lastgroup is None or (number := int(match.lastgroup[1:])) not in unseen:
                    continue
                unseen.remove(number)
                made += [nodes.Text(text.astext()[end : match.start()]), *link(terms[number], match[0], chapter)]
                end = match.end()
            if made:
                text.parent.replace(text, [*made, nodes.Text(text.astext()[end:])])


def link(term, words, chapter):
    """Return an index entry, and a link to the glossary."""
    name = "use-" + nodes.make_id(term)
    entry = addnodes.index(entries=[("single", f"{term}; {chapter}", name, "", None)])
    shown = nodes.inline(words, words, ids=[name], classes=["first-use"], term=term)
    return entry, addnodes.pending_xref("", shown, refdomain="std", reftype="term", reftarget=term, refexplicit=True)


class Tooltips(SphinxPostTransform):
    """Give the links, once Sphinx knows where they lead, the definition to show under the pointer."""

    default_priority = 20  # after Sphinx's own, at 10

    def run(self, **kwargs):
        """Change the document."""
        definitions = glossary()
        for shown in self.document.findall(nodes.inline):
            if "first-use" in shown["classes"]:
                shown.parent["reftitle"] = short(definitions[shown["term"]])


def setup(app):
    """Register the transforms."""
    app.add_transform(FirstUse)
    app.add_post_transform(Tooltips)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""The directive ``book-index``: the index as a page of the book, which the table of contents can name.

Sphinx's own, genindex.html, is no document, so no table of contents can hold it.
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.environment.adapters.indexentries import IndexEntries
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective


class Placeholder(nodes.General, nodes.Element):
    """Where the index goes once all pages are read."""


class BookIndex(SphinxDirective):
    """All entries, by letter."""

    def run(self):
        """Return a placeholder, and note the page."""
        self.env.book_index_page = self.env.docname
        return [Placeholder()]


class EntriesLeadToSections(SphinxTransform):
    """Let an entry that stands before a heading lead to its section.

    The directive ``index`` makes an anchor without text, and Sphinx's search stumbles over a result that leads there.
    """

    default_priority = 700  # before the domains collect the index

    def apply(self, **kwargs):
        """Change the document."""
        heads = {name: section["ids"][0] for section in self.document.findall(nodes.section) for name in section["ids"]}
        for index in self.document.findall(addnodes.index):
            index["entries"] = [(*entry[:2], heads.get(entry[2], entry[2]), *entry[3:]) for entry in index["entries"]]


def links(name, targets, to_root):
    """Return a name as a link to its target, or as text where it has none."""
    found = [nodes.reference("", name, internal=True, refuri=to_root + uri) for _, uri in targets]
    return found or [nodes.Text(name)]


def joined(parts, separator):
    """Return lists of nodes as one list, with text between them."""
    return [node for part in parts for node in (nodes.Text(separator), *part)][1:]


def entries(letter, names, to_root):
    """Return the heading of a letter, and the list of its entries, each with those below it on the same line."""
    listed = nodes.bullet_list(classes=["book-index"])
    for name, (targets, subitems, _) in names:
        below = joined([links(sub, found, to_root) for sub, found in subitems], ", ")
        head = nodes.strong("", "", *links(name, targets, to_root))
        line = [head, *([nodes.Text(": "), *below] if below else [])]
        listed += nodes.list_item("", nodes.paragraph("", "", *line))
    return nodes.rubric(letter, letter), listed


def fill(app, document, name):
    """Replace the placeholder on the page that has one."""
    for placeholder in list(document.findall(Placeholder)):
        to_root = "../" * name.count("/")
        made = IndexEntries(app.env).create_index(app.builder)
        placeholder.replace_self([node for letter, names in made for node in entries(letter, names, to_root)])


def pages_to_write_again(app, env):
    """Name the page of the index: a change of any page may change it."""
    page = getattr(env, "book_index_page", None)
    return [page] if page else []


def setup(app):
    """Register the directive."""
    app.add_directive("book-index", BookIndex)
    app.add_transform(EntriesLeadToSections)
    app.connect("doctree-resolved", fill)
    app.connect("env-updated", pages_to_write_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Captions of figures that cells draw: a notebook can hold no directive, so a caption is a paragraph behind the cell.

`*Figure 6.1. What to see.*`, a paragraph of its own, gets the class ``cell-caption``, for custom.css and setup.js.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

CAPTION = re.compile(r"Figure \d+\.\d+\. ")


def is_caption(paragraph):
    """Whether all of a paragraph is emphasized, and it begins with a figure's number."""
    first, *others = paragraph.children
    return isinstance(first, nodes.emphasis) and not others and CAPTION.match(first.astext()) is not None


class Captions(SphinxTransform):
    """Mark the captions."""

    default_priority = 690  # before links to the glossary go into the text

    def apply(self, **kwargs):
        """Change the document."""
        for paragraph in self.document.findall(nodes.paragraph):
            if paragraph.children and is_caption(paragraph):
                paragraph["classes"].append("cell-caption")


def setup(app):
    """Register the transform."""
    app.add_transform(Captions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

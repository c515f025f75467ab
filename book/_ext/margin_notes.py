"""A quotation that begins with "Aside." goes into the margin, where the window has one.

So a side remark is plain Markdown, which Colab shows as a quotation.
"""

from docutils import nodes
from sphinx.transforms import SphinxTransform


class MarginNotes(SphinxTransform):
    """Mark the asides with the theme's class."""

    default_priority = 700

    def apply(self, **kwargs):
        """Change the document."""
        for quote in self.document.findall(nodes.block_quote):
            if quote.astext().startswith("Aside. "):
                quote["classes"].append("margin")


def setup(app):
    """Register the transform."""
    app.add_transform(MarginNotes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

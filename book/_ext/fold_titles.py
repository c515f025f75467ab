"""A folded cell that has a title is named by it: `# @title Solution to exercise 1.1`, as Colab shows it.

Otherwise a solution looks like the code of a plot.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform


class FoldTitles(SphinxTransform):
    """Put the titles of cells in place of "Show code cell source"."""

    default_priority = 700

    def apply(self, **kwargs):
        """Change the document."""
        for cell in self.document.findall(nodes.container):
            title = cell.get("hide_mode") == "input" and re.match(r"# @title (.+)", cell[0].astext())
            if title:
                cell["prompt_show"] = cell["prompt_hide"] = title[1].strip()


def setup(app):
    """Register the transform."""
    app.add_transform(FoldTitles)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

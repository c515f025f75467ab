"""Folds of cells say what is in them: the check or the solution of an exercise, or code."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


def names(code):
    """Return what stands on the fold over a cell's code while it is closed, and while it is open."""
    title = re.match(r"# @title (.+)", code)  # Colab shows it, too
    if title:
        return title[1], title[1]
    if re.search(r"^\w+ = vqlib\.check\(", code, re.MULTILINE):
        return "Check", "Check"
    return "Show the code", "Hide the code"


class NameFolds(SphinxPostTransform):
    """Put our words on folds, before Myst-NB makes them of the cells."""

    default_priority = 198

    def run(self, **kwargs):
        """Name the folds of a page."""
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code" and cell.get("hide_mode") in ("input", "all"):
                cell["prompt_show"], cell["prompt_hide"] = names(cell.children[0].astext())


def setup(app):
    """Register the transform."""
    app.add_post_transform(NameFolds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

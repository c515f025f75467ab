"""Folds of cells that say what is in them: the check or the solution of an exercise, or code."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


def content(code):
    """Return in words what the fold over a cell's code holds."""
    if re.match(r"# @title Solution", code):
        return "the solution"
    if re.search(r"^\w+ = vqlib\.check\(", code, re.MULTILINE):
        return "the check"
    return "the code"


class NameFolds(SphinxPostTransform):
    """Put our words on folds, before Myst-NB makes them of the cells."""

    default_priority = 198

    def run(self, **kwargs):
        """Name the folds of a page."""
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code" and cell.get("hide_mode") == "input":
                what = content(cell.children[0].astext())
                cell["prompt_show"], cell["prompt_hide"] = f"Show {what}", f"Hide {what}"


def setup(app):
    """Register the transform."""
    app.add_post_transform(NameFolds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

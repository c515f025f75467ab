"""The fold over a cell's code bears the title that the code begins with, which Colab shows, too."""

import re

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform

TITLE = re.compile(r"# @title (.+)\n")


def name(title):
    """Return what stands on the fold: on these pages figures, tables and results are seen, and only code is folded."""
    return re.sub(r"^(Figure|Table|Result): ", lambda kind: f"Code of the {kind[1].lower()}: ", title)


class NameFolds(SphinxPostTransform):
    """Move titles from the code to the folds, before Myst-NB makes them of the cells."""

    default_priority = 198

    def run(self, **kwargs):
        """Name the folds of a page."""
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code" and cell.get("hide_mode") in ("input", "all"):
                code = next(cell.children[0].findall(nodes.literal_block))
                title = TITLE.match(code.astext())
                if title is None:
                    raise ExtensionError(f"{self.env.docname}: a hidden cell has no title: {code.astext()[:60]}")
                cell["prompt_show"] = cell["prompt_hide"] = name(title[1])
                code.rawsource = code.astext()[title.end() :]
                code[:] = [nodes.Text(code.rawsource)]


def setup(app):
    """Register the transform."""
    app.add_post_transform(NameFolds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

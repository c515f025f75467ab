"""What a cell prints in sentences goes on in the next line where it does not fit: the result often stands at the end.

What it prints in columns, with several spaces in a row, scrolls sideways instead, and so do the logs of trainings.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

COLUMNS = re.compile(r"\S {2,}\S")


class WrappedOutputs(SphinxTransform):
    """Mark the outputs that may wrap."""

    default_priority = 700

    def apply(self, **kwargs):
        """Change the document."""
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") != "cell_code_output" or "output" in cell.parent.get("hide_mode", ""):
                continue
            for printed in cell.findall(nodes.literal_block):
                if not COLUMNS.search(printed.astext()):
                    printed["classes"].append("wrapped")


def setup(app):
    """Register the transform."""
    app.add_transform(WrappedOutputs)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""What a grading leaves to be read: the notebook as it ran, a page for the student, a page for the grader."""

import copy
import html

import nbformat

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ margin: 1.6rem 0 0; font-size: 1.15rem; }}
ul {{ margin: 0.3rem 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


class Lines:
    """Collects what a writer writes."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        """Add text."""
        self.text += text


def executed(notebook, outputs):
    """Return a notebook with the outputs of its run here in place of those that it came with."""
    notebook = copy.deepcopy(notebook)
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.execution_count = None
            shown = [data for data in outputs.get(index, []) if data]
            cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
        cell.pop("attachments", None)
    return notebook


def by_eye(student, notebook):
    """Return a page with what is to be graded by eye, or with the whole notebook if the marks around it are gone."""
    from nbconvert import HTMLExporter
    from otter.export.exporters.base_exporter import BaseExporter

    part = BaseExporter.filter_cells(copy.deepcopy(notebook), pagebreaks=False)
    shown = part if part.cells else notebook
    shown.metadata["title"] = student
    body, _ = HTMLExporter(sanitize_html=True, template_name="basic").from_notebook_node(shown)
    return PAGE.format(title=html.escape(student), body=body)


def feedback(bundle, row, result, marks):
    """Return a student's page: the score of each question, what failed and why, and the grader's comments."""
    escape, parts = html.escape, [f"<p>{row['total']} of {row['possible']} points.</p>"]
    if row["notes"]:
        parts.append(f"<p>{escape(row['notes'])}.</p>")
    for name, question in bundle.questions.items() if result else ():
        score = "not marked yet" if row[name] == "" else f"{row[name]} of {question['points']}"
        parts.append(f"<h2>{escape(name)}: {score}</h2>")
        if question["manual"]:
            comment = marks[row["student"], name]["comment"].strip()
            parts.append(f"<p>{escape(comment)}</p>" if comment else "")
            continue
        items = []
        for case in result["questions"][name]["cases"]:
            kind = "check on other data" if case["hidden"] else "check"
            items.append(f"A {kind} passed." if case["passed"] else f"A {kind} failed. {escape(case['reason'])}")
        parts.append("<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>")
    if result and result["errors"]:
        parts.append("<h2>Cells that stopped with an error</h2>")
        items = [f"<li>Cell {int(index) + 1}: {escape(error)}</li>" for index, error in result["errors"].items()]
        parts.append("<ul>" + "".join(items) + "</ul>")
    return PAGE.format(title=escape(f"{bundle.name}: {row['student']}"), body="\n".join(parts))

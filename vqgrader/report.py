"""What a grading leaves to be read: the notebook as it ran, a page for the student, a page for the grader."""

import copy
import html
from collections.abc import Iterable, Mapping, Sequence

import nbformat

from vqgrader.bundle import Bundle
from vqgrader.results import Marks, Result, Row
from vqlib.coursework import _otter

TEXT = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "span", "pre", "del"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
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


def executed(
    cells: Sequence[nbformat.NotebookNode], outputs: Mapping[int, Iterable[Mapping[str, str]]]
) -> nbformat.NotebookNode:
    """Return a notebook with these cells, and the outputs of their run here."""
    notebook = nbformat.v4.new_notebook(cells=copy.deepcopy(list(cells)))
    for index, found in outputs.items():
        notebook.cells[index].outputs = [nbformat.v4.new_output("display_data", data=data) for data in found]
    return notebook


def clean(part: object) -> str:
    """Return HTML without what could run or load something; nbconvert's own filter would not pass a paragraph."""
    import bleach

    return bleach.clean(
        str(part), {*bleach.ALLOWED_TAGS, *TEXT, *TABLE}, {**bleach.ALLOWED_ATTRIBUTES, "*": ["class", "id"]}
    )


def manual_page(student: str, notebook: nbformat.NotebookNode) -> str:
    """Return a page with what a person grades, or with the whole notebook if the marks around it are gone."""
    from nbconvert import HTMLExporter

    part = _otter.manual_cells(notebook)
    shown = part if part.cells else notebook
    shown.metadata["title"] = student
    exporter = HTMLExporter(sanitize_html=True, template_name="basic", filters={"clean_html": clean})
    body, _ = exporter.from_notebook_node(shown)
    return PAGE.format(title=html.escape(student), body=body)


def feedback(bundle: Bundle, row: Row, result: Result | None, marks: Marks) -> str:
    """Return a student's page: the score of each question, what failed and why, and the grader's comments."""
    escape = html.escape
    parts = [f"<p>{row['total']} of {row['possible']} points.</p>"]
    if row["notes"]:
        parts.append(f"<p>{escape(row['notes'])}.</p>")
    for name, question in bundle.questions.items():
        score = "not marked yet" if row[name] == "" else f"{row[name]} of {question['points']}"
        parts.append(f"<h2>{escape(name)}: {score}</h2>")
        comment = marks.get((row["student"], name), {}).get("comment")
        parts.append(f"<p>{escape(comment)}</p>" if comment else "")
        items = []
        for case in result["questions"][name]["cases"] if result and not question["manual"] else ():
            kind = "check on other data" if case["hidden"] else "check"
            items.append(f"A {kind} passed." if case["passed"] else f"A {kind} failed. {escape(case['reason'])}")
        parts.append(bullets(items))
    if result and result["errors"]:
        parts.append("<h2>Cells that stopped with an error</h2>")
        parts.append(bullets(f"Cell {int(index) + 1}: {escape(error)}" for index, error in result["errors"].items()))
    return PAGE.format(title=escape(f"{bundle.name}: {row['student']}"), body="\n".join(parts))


def bullets(items: Iterable[str]) -> str:
    """Return a list in HTML."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def summary(bundle: Bundle, rows: Sequence[Row], results: Mapping[str, Result | None]) -> str:
    """Return how each question went, in words: the scores that were given, and the tests that nobody passed."""
    lines = [f"{bundle.name}: {len(rows)} students"]
    for name, question in bundle.questions.items():
        scores = [row[name] for row in rows if row["file"] and row[name] != ""]
        counts = ", ".join(f"{scores.count(score)} x {score}" for score in sorted(set(scores)))
        mean = f"mean {sum(scores) / len(scores):.2f} of {question['points']} ({counts})" if scores else "no score yet"
        lines.append(f"{name}: {mean}")
    graded = [result["questions"] for result in results.values() if result]
    for name in graded[0] if graded else ():
        for number, cases in enumerate(zip(*(result[name]["cases"] for result in graded), strict=True), 1):
            if not any(case["passed"] for case in cases):
                kind = "hidden test" if cases[0]["hidden"] else "public check"
                lines.append(f"{name}: nobody passed test {number}, a {kind}. Is it right, and was it taught?")
    unmarked = sum(row[name] == "" for row in rows for name in bundle.questions)
    if unmarked:
        lines.append(f"{unmarked} answers are without a mark: write it into marks.csv and run the same command again.")
    return "\n".join(lines) + "\n"

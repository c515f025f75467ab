"""What the chapters' own headers, the pinned versions and the measured times say, as parts of other pages.

The directive ``chapter-map`` shows a card for each chapter that its lines name, ``NN-name: the question``; time and
prerequisites are read from the chapter. ``chapter-times`` is the table of minutes, ``versions`` that of versions.
"""

import json
import pathlib
import re
import tomllib

from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from vqlib.book.profiles import Profile

ROOT = pathlib.Path(__file__).parents[2]
BOOK = ROOT / "book"
TIMES = BOOK / "benchmarks" / "chapters.json"
HEADER = {
    "title": r"^# ([^\n]+)$",
    "needs": r"^\*\*You need\*\* (.+?\.)(?=\s)",
    "read": r"^\*\*Time:\*\* (\d+) minutes to read\. To run, ",
    "run": r"^\*\*Time:\*\* .+? To run, (.+?) on two processor cores",
}


def header(path):
    """Return what a chapter's header says: title, needs, read (minutes) and run (in words)."""
    text, found = path.read_text(encoding="utf-8"), {}
    for name, expression in HEADER.items():
        match = re.search(expression, text, re.MULTILINE | re.DOTALL)
        if match is None:
            raise ExtensionError(f"{path.name} has no line for {name!r}: `{expression}`. See the other chapters.")
        found[name] = " ".join(match[1].split())
    return found


def card(stem, question):
    """Return the card of a chapter, as lines of Markdown."""
    says = header(BOOK / f"{stem}.md")
    needs = re.sub(r"\]\((?=\d)", "](../notebooks/", says["needs"])
    return [
        f"::::{{grid-item-card}} [{says['title']}](../notebooks/{stem}.ipynb)",
        f"**{question}**",
        "",
        f"You need {needs}",
        ":::{card-footer}",
        f"{says['read']} minutes to read, {says['run']} to run",
        ":::",
        "::::",
    ]


def times(measured):
    """Return the table of minutes, a column for each profile measured, and a note for each machine: Markdown lines."""
    profiles = [profile for profile in Profile if any(profile in runs for runs in measured.values())]
    lines = ["| chapter | to read |" + "".join(f" to run, `{profile}` |" for profile in profiles)]
    lines += ["| --- |" + " ---: |" * (1 + len(profiles))]
    machines = []
    for path in sorted(BOOK.glob("[0-9][0-9]-*.md")):
        says, cells = header(path), []
        for profile in profiles:
            run = measured.get(path.stem, {}).get(profile)
            if run and run["machine"] not in machines:
                machines.append(run["machine"])
            cells.append(f"{run['minutes']:.1f} ({machines.index(run['machine']) + 1})" if run else "not measured")
        lines.append(
            "| " + " | ".join([f"[{says['title']}](../notebooks/{path.stem}.ipynb)", says["read"], *cells]) + " |"
        )
    return [*lines, "", *(f"{number}. {machine}" for number, machine in enumerate(machines, 1))]


def versions():
    """Return the table of versions, as lines of Markdown."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    constraints = re.findall(r"^([\w.-]+)==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    pinned = {name.lower().replace("_", "-"): version for name, version in constraints}
    python = re.search(r"- python=(.+)", (ROOT / "environment.yml").read_text())[1]
    lines = ["| package | supported | this book |", "| --- | --- | --- |"]
    lines.append(f"| Python | {project['requires-python']} | {python} |")
    for requirement in project["dependencies"]:
        name, supported = re.match(r"([\w-]+)(.*)", requirement).groups()
        lines.append(f"| {name} | {supported.strip() or 'any'} | {pinned[name]} |")
    return lines


class Lines(SphinxDirective):
    """A directive that makes Markdown."""

    depends_on = ()

    def run(self):
        """Return the nodes of the lines."""
        for path in (*BOOK.glob("[0-9][0-9]-*.md"), *self.depends_on):
            self.env.note_dependency(str(path))
        return self.parse_text_to_nodes(StringList(self.lines(), str(BOOK)))


class ChapterMap(Lines):
    """Cards of the chapters that the directive's lines name."""

    has_content = True

    def lines(self):
        """Return a grid of cards."""
        chapters = [line.split(": ", 1) for line in self.content if line.strip()]
        return [":::::{grid} 1 1 2 2", ":gutter: 3", "", *(line for each in chapters for line in card(*each)), ":::::"]


class ChapterTimes(Lines):
    """The table of minutes."""

    depends_on = (TIMES,)

    def lines(self):
        """Return the table."""
        return times(json.loads(TIMES.read_text()) if TIMES.exists() else {})


class Versions(Lines):
    """The table of versions."""

    depends_on = tuple(ROOT / name for name in ("pyproject.toml", "constraints.txt", "environment.yml"))

    def lines(self):
        """Return the table."""
        return versions()


def setup(app):
    """Register the directives."""
    app.add_directive("chapter-map", ChapterMap)
    app.add_directive("chapter-times", ChapterTimes)
    app.add_directive("versions", Versions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

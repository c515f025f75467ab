"""Links of the notebooks: whole addresses on Colab and GitHub, links within the book in the book.

A notebook that is opened elsewhere has no page of the book beside it: `whole` writes these links out when it is made.
The book reads the notebooks through `within`, its inverse. So MyST checks page and anchor as it does on other pages,
and a copy of the book on a disk never leads to the web.
"""

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).parents[2]
LINK = re.compile(r"\]\((?P<path>(?:\.\./book/)?[\w-]+)\.(?P<kind>md|ipynb)(?P<anchor>#[\w-]+)?\)")


def repository():
    """Return the public address of the repository, and its branch."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return config["url"], config["branch"]


def pages():
    """Return the address at which GitHub publishes the book, up to its last slash."""
    owner, name = repository()[0].removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


def whole(text):
    """Write out the links of a notebook that only the book can follow: to its other pages, and to a heading."""

    def replaced(link):
        if link["kind"] == "ipynb" and not link["anchor"]:  # the notebook beside this one: Colab finds it
            return link[0]
        folder = "" if link["path"].startswith("../") else "notebooks/"
        return f"]({pages()}{folder}{link['path'].removeprefix('../')}.html{link['anchor'] or ''})"

    return LINK.sub(replaced, text)


def within(text):
    """Undo `whole`."""
    page = re.compile(rf"\]\({re.escape(pages())}(?P<folder>book|notebooks)/(?P<name>[\w-]+)\.html")
    beginnings = {"book": "](../book/{}.md", "notebooks": "]({}.ipynb"}
    return page.sub(lambda link: beginnings[link["folder"]].format(link["name"]), text)


def read(app, docname, source):
    """Let Sphinx read a notebook with the links of the book."""
    if docname.startswith("notebooks/"):
        source[0] = within(source[0])


def setup(app):
    """Register the reader."""
    app.connect("source-read", read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

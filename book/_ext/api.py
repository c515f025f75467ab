"""The reference of vqlib, from its docstrings.

``public MODULE`` shows what a module, or a private module of a package, defines and ``vqlib`` itself does not offer;
``public MODULE NAME ...`` these names alone. Each entry names the chapters whose code uses it, or else the page of
``PAGES``. autodoc and napoleon read the docstrings: a role in one that leads nowhere is a warning. Write it within
``eval-rst``, because docstrings are reStructuredText.
"""

import functools
import importlib
import inspect
import pathlib
import re

from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import inspect as sphinx_inspect

BOOK = pathlib.Path(__file__).parents[1]
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The page for names that no chapter's code uses: of a module, and of single names that belong elsewhere.
PAGES = {
    "vqlib.attention": "book/keep-and-move",
    "vqlib.autoencoder": "notebooks/03-training",
    "vqlib.book.labs": "book/labs",
    "vqlib.book.runs": "book/getting-started",
    "vqlib.checkpoints": "book/keep-and-move",
    "vqlib.code_lookup": "book/speed",
    "vqlib.compression": "notebooks/10-files",
    "vqlib.composite": "notebooks/06-codebooks",
    "vqlib.conditions": "notebooks/07-gated-prior",
    "vqlib.data": "book/getting-started",
    "vqlib.data.Dataset": "book/own-data",
    "vqlib.data.DatasetNotFoundError": "book/troubleshooting",
    "vqlib.drawing": "notebooks/07-gated-prior",
    "vqlib.evaluation": "notebooks/08-judging-samples",
    "vqlib.exports": "book/keep-and-move",
    "vqlib.frequencies": "notebooks/10-files",
    "vqlib.gated": "notebooks/07-gated-prior",
    "vqlib.hierarchy": "notebooks/09-two-levels",
    "vqlib.image_folder": "book/own-data",
    "vqlib.incremental": "book/speed",
    "vqlib.levels": "notebooks/09-two-levels",
    "vqlib.lookup_free": "notebooks/06-codebooks",
    "vqlib.masked": "book/keep-and-move",
    "vqlib.masked_sampling": "book/keep-and-move",
    "vqlib.metrics": "notebooks/03-training",
    "vqlib.metrics.BitsPerImage": "notebooks/05-pixelcnn",
    "vqlib.pixelcnn": "notebooks/05-pixelcnn",
    "vqlib.plots": "notebooks/04-seeing-codes",
    "vqlib.prior": "notebooks/05-pixelcnn",
    "vqlib.product": "notebooks/06-codebooks",
    "vqlib.quantizers": "notebooks/01-quantization",
    "vqlib.range_coder": "notebooks/10-files",
    "vqlib.residual": "notebooks/06-codebooks",
    "vqlib.sampling": "book/speed",
    "vqlib.sim_vq": "notebooks/06-codebooks",
    "vqlib.transformer": "book/keep-and-move",
}
OUR_OWN = {"call", "compile", "evaluate", "export", "fit", "predict"}  # methods of Keras's that vqlib says more about


def home(member):
    """Return the name of the module that offers a function or class: the one that defines it, or its package."""
    return member.__module__.partition("._")[0]


def defined(module):
    """Return the public functions and classes, by name, that a module defines and that vqlib itself does not offer."""
    offered = set(vars(importlib.import_module("vqlib"))["__all__"])
    return [
        name
        for name, member in vars(module).items()
        if (inspect.isfunction(member) or inspect.isclass(member)) and home(member) == module.__name__
        if not name.startswith("_") and name not in offered
    ]


def methods(member):
    """Return the names of the public methods and properties that vqlib adds to what Keras's classes have."""
    parents = inspect.getmro(member)
    inherited = {name for parent in parents if parent.__module__.startswith("keras") for name in vars(parent)} - OUR_OWN
    ours = [name for parent in parents if parent.__module__.startswith("vqlib") for name in vars(parent)]
    return [
        name
        for name in dict.fromkeys(ours)
        if not name.startswith("_") and name not in inherited and is_code(getattr(member, name))
    ]


def is_named_tuple(member):
    """Whether a member of a module is a class of named tuples."""
    return inspect.isclass(member) and issubclass(member, tuple) and hasattr(member, "_fields")


def is_code(member):
    """Whether a member of a class is a method or a property, and says what it is for."""
    return (isinstance(member, (property, functools.cached_property)) or inspect.isroutine(member)) and inspect.getdoc(
        member
    ) is not None


def chapters(name, module):
    """Return the stems of the chapters whose code uses a name of a module of vqlib."""
    where = module.__name__.rpartition(".")[2]
    use = re.compile(rf"\b(vqlib|{where})\.{name}\b|^\s*from {module.__name__} import [^\n]*\b{name}\b", re.MULTILINE)
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("[0-9][0-9]-*.md"))}
    return [stem for stem, text in sources.items() if any(use.search(cell) for cell in CELL.findall(text))]


def way_on(name, module):
    """Return the sentence, with links, that says where the book speaks of a name."""
    links = [f":doc:`{int(stem[:2])} </notebooks/{stem}>`" for stem in chapters(name, module)]
    if links:
        return f"In chapter{'s' if len(links) > 1 else ''} {', '.join(links)}."
    place = home(getattr(module, name))
    page = PAGES.get(f"{place}.{name}") or PAGES[place]
    folder, _, stem = page.partition("/")
    return f"See chapter :doc:`{int(stem[:2])} </{page}>`." if folder == "notebooks" else f"See :doc:`/{page}`."


def entry(name, module):
    """Return the directive that describes a name, as lines of reStructuredText."""
    member = getattr(module, name)
    if inspect.isclass(member):
        lines = [f".. autoclass:: {module.__name__}.{name}"]
        lines += [f"   :members: {', '.join(methods(member))}"] if methods(member) else []
    else:
        lines = [f".. autofunction:: {module.__name__}.{name}"]
    if is_named_tuple(member):
        lines += ["", f"   A named tuple: {', '.join(f'``{field}``' for field in member._fields)}."]
    return [*lines, "", f"   {way_on(name, module)}", ""]


class Public(Directive):
    """The public names of a module."""

    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Return their descriptions."""
        module = importlib.import_module(self.arguments[0])
        names = self.arguments[1].split() if len(self.arguments) > 1 else defined(module)
        env = self.state.document.settings.env
        for path in (module.__file__, *BOOK.glob("[0-9][0-9]-*.md")):
            env.note_dependency(str(path))
        lines = [line for name in names for line in entry(name, module)]
        node = addnodes.desc_content()
        self.state.nested_parse(StringList(lines, module.__file__), self.content_offset, node)
        return node.children


class PublicNames(SphinxTransform):
    """Let a role name what its own module calls it, and keep names of code out of the book's index, one of ideas."""

    default_priority = 690  # before book_index looks

    def apply(self, **kwargs):
        """Change the document."""
        for role in self.document.findall(addnodes.pending_xref):
            role["refspecific"] = True  # Sphinx then looks for names that end so
        for description in self.document.findall(addnodes.desc):
            index = description.parent[description.parent.index(description) - 1]
            index["entries"] = []


def arguments(app, what, name, member, options, signature, returned):
    """Give a class the signature of its `__init__`: Keras's classes have a `__new__` that takes anything.

    Of named tuples, it is the other way round; errors and protocols are not made by the reader.
    """
    if what != "class":
        return None
    if issubclass(member, Exception) or getattr(member, "_is_protocol", False):
        return "", None
    if is_named_tuple(member):
        found = inspect.signature(member)
    else:
        found = sphinx_inspect.signature(member.__init__, bound_method=True)
    return sphinx_inspect.stringify_signature(found, show_annotation=False), None


def take_back(app, what, name, member, options, lines):
    """Undo what napoleon does to a property, whose sentence it takes for a type, up to a colon."""
    if what == "property":
        lines[:] = inspect.getdoc(member).splitlines()


def setup(app):
    """Register the directive, and what it needs."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.add_directive("public", Public)
    app.add_transform(PublicNames)
    app.connect("autodoc-process-signature", arguments)
    app.connect("autodoc-process-docstring", take_back, priority=600)  # after napoleon
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

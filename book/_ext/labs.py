"""The directive ``lab``: a place on the page that a script of book/_static/labs fills.

```{lab} cells
What to try first, in one sentence.
```

A page gets the scripts of its own labs and no others. Where no scripts run, a reader sees why, and where the book shows
the same as figures. The weights of trained models are written as scripts when the book is built, from the checkpoints.
"""

import base64
import functools
import hashlib
import html
import io
import json
import pathlib
import re
from typing import NamedTuple

import numpy as np
from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from vqlib import checkpoints

FOLDER = pathlib.Path(__file__).parents[1] / "_static" / "labs"
MODELS = ("mnist-vqvae", "mnist-prior", "mnist-ema-vqvae", "mnist-ema-prior")  # whose weights the labs ask for


class Room(NamedTuple):
    """What a lab is called, the scripts that it consists of beside shared.js, and the chapter that teaches it."""

    title: str
    scripts: tuple[str, ...]
    chapter: str


LABS = {
    "strip": Room("A digit and its codes", ("arithmetic", "easel", "paint"), "04-seeing-codes"),
    "cells": Room("Cells", ("codebooks", "plane", "cells"), "01-quantization"),
    "slopes": Room("Slopes", ("codebooks", "plane", "slopes"), "02-straight-through"),
    "cloud": Room("Cloud and codebook", ("codebooks", "plane", "cloud"), "06-codebooks"),
    "paint": Room("Paint with codes", ("arithmetic", "easel", "paint"), "04-seeing-codes"),
    "prior": Room("The prior at work", ("arithmetic", "pixelcnn", "gated", "easel", "prior"), "05-pixelcnn"),
}


@functools.cache
def model(name):
    """Return a shipped model."""
    return checkpoints.load_pretrained(name)


@functools.cache
def digits():
    """Return the test images that the labs begin with: their labels, and uint8 (N, 28, 28)."""
    held = json.loads(re.search(r"digits = (\{.*\});", (FOLDER / "digits.js").read_text())[1])
    return held["labels"], np.frombuffer(base64.b64decode(held["pixels"]), "uint8").reshape(-1, 28, 28)


@functools.cache
def still():
    """Return what the labs with images show before a script runs: the digit, the image, its codes, the image rebuilt.

    Returns
    -------
    int, uint8 (28, 28), int32 (7, 7), uint8 (28, 28)
    """
    labels, images = digits()
    codes = model("mnist-vqvae").encode(images[:1, ..., None].astype("float32") / 255 - 0.5)
    rebuilt = np.asarray(model("mnist-vqvae").decode(codes))[0, ..., 0]
    return labels[0], images[0], np.asarray(codes)[0], np.round((rebuilt.clip(-0.5, 0.5) + 0.5) * 255).astype("uint8")


def picture(pixels, words):
    """Return an image, uint8 (H, W), as HTML."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(words)}" />'


def still_as_html():
    """Return the figure that the labs with images show where no scripts run."""
    digit, image, codes, rebuilt = still()
    grid = "\n".join(" ".join(f"{code:3d}" for code in row) for row in codes)
    before = picture(image, f"A handwritten {digit} of the test set.")
    after = picture(rebuilt, f"The same {digit}, rebuilt from the codes.")
    return f'<div class="lab-still">{before}<pre>{grid}</pre>{after}</div>\n'


def still_as_data():
    """Return the same for the script."""
    digit, image, codes, rebuilt = still()
    as_text = {
        "label": digit,
        "image": base64.b64encode(image.tobytes()).decode(),
        "codes": codes.ravel().tolist(),
        "rebuilt": base64.b64encode(rebuilt.tobytes()).decode(),
    }
    return json.dumps(as_text)


class lab(nodes.General, nodes.Element):
    """The place of a lab."""


class Lab(SphinxDirective):
    """A lab, and the sentence that stands above it."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return the place of the lab."""
        (name,) = self.arguments
        if name not in LABS:
            raise self.error(f"There is no lab {name!r}, only {', '.join(LABS)}.")
        for path in (__file__, FOLDER / "digits.js"):
            self.env.note_dependency(str(path))
        return [lab("", *self.parse_text_to_nodes(StringList(self.content, self.env.docname)), name=name)]


def visit(translator, node):
    """Open the place of a lab."""
    room, name = LABS[node["name"]], node["name"]
    start = f" data-start='{still_as_data()}'" if "paint" in room.scripts else ""
    if name == "strip":
        builder = translator.builder
        start += f' data-more="{builder.get_relative_uri(builder.current_docname, "book/labs")}"'
    translator.body.append(
        f'<div class="lab" data-lab="{name}" role="group" aria-label="Lab: {html.escape(room.title)}"{start}>\n'
    )


def depart(translator, node):
    """Say what there is without scripts, and close the place."""
    room, builder, page = LABS[node["name"]], translator.builder, translator.builder.current_docname
    chapter = builder.get_relative_uri(page, f"notebooks/{room.chapter}")
    figure = still_as_html() if "paint" in room.scripts else ""
    translator.body.append(
        f'<div class="lab-fallback">{figure}<p>'
        '<span class="lab-reason">This lab is a script, and scripts do not run here.</span> '
        f'<a class="reference internal" href="{chapter}">Chapter {int(room.chapter[:2])}</a> shows figures of the same.'
        "</p></div>\n"
    )
    root = "../" * page.count("/")
    sources = [f'<a href="{root}_static/labs/{script}.js">{script}.js</a>' for script in reversed(room.scripts)]
    translator.body.append(f'<p class="lab-source">How it is done: {", ".join(sources)}</p>\n</div>\n')


def add_scripts(app, pagename, templatename, context, doctree):
    """Give a page the scripts of its labs."""
    names = dict.fromkeys(place["name"] for place in doctree.findall(lab)) if doctree else ()
    scripts = dict.fromkeys(script for name in names for script in ("shared", *LABS[name].scripts))
    for script in scripts:
        if not (FOLDER / f"{script}.js").exists():
            raise ExtensionError(f"{pagename} has a lab that needs {FOLDER / script}.js, which is not there.")
        app.add_js_file(f"labs/{script}.js")
    if scripts:
        app.add_css_file("labs/labs.css")


def write_weights(app, exception):
    """Write the weights of the models beside the scripts, unless the same program wrote the same there already."""
    if exception is not None or app.builder.format != "html":
        return
    from vqlib.book import labs as writing

    program = hashlib.sha256(pathlib.Path(writing.__file__).read_bytes()).hexdigest()
    folder = pathlib.Path(app.outdir) / "_static" / "labs" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        path, of = folder / f"{name}.js", f"// {name}, sha256 {checkpoints.load_card(name)['sha256']}, by {program}\n"
        if not (path.exists() and path.read_text().startswith(of)):
            path.write_text(of + writing.weights_as_script(f"weights/{name}", model(name)))


def setup(app):
    """Register the directive, the scripts of a page, and the weights."""
    app.add_node(lab, html=(visit, depart))
    app.add_directive("lab", Lab)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_weights)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

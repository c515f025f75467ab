"""The labs: which there are, the weights and images that they need, and labs in a notebook with the reader's model.

A lab itself is JavaScript, in ``static/labs`` beside this file: pages of the book and notebooks have the same scripts,
and an installed vqlib has them, too.
"""

import base64
import functools
import html
import json
import pathlib
from typing import Any, NamedTuple

import keras
import numpy as np

from vqlib.autoencoder import VQVAE, strides_of
from vqlib.gated import GatedPixelCNN
from vqlib.hierarchy import VQVAE2
from vqlib.pixelcnn import PixelCNN
from vqlib.quantizers import VectorQuantizer

FOLDER = pathlib.Path(__file__).parent / "static" / "labs"
IMAGE_SHAPE, STRIDES = (28, 28, 1), (2, 2)  # what the labs with images are drawn for
CODE_SHAPES = ((7, 7), (14, 14))  # of one level, or of two
MOST_CODES = 256  # a code is a byte
CLASSES = 10  # that a prior may be told


class Room(NamedTuple):
    """A lab: its title, its scripts beside shared.js, the chapter that teaches it, what to try first, a figure of it.

    The figure is the number of one in the chapter that shows the same; labs with images have a picture of their own.
    """

    title: str
    scripts: tuple[str, ...]
    chapter: str
    first: str = ""
    figure: str = ""


LABS = {
    "strip": Room("A digit and its codes", ("arithmetic", "easel", "paint"), "04-seeing-codes"),
    "cells": Room(
        "Cells",
        ("codebooks", "plane", "cells"),
        "01-quantization",
        "codeword 5 serves two clouds. Drag it onto one of them, watch the distortion, and then press "
        '"Step of k‑means".',
        "1.2",
    ),
    "slopes": Room(
        "Slopes",
        ("codebooks", "plane", "slopes"),
        "02-straight-through",
        'press "Run", and see where z ends. Then press "Back", tick "The codebook moves, too", and run again.',
        "2.1",
    ),
    "cloud": Room(
        "Cloud and codebook",
        ("codebooks", "plane", "cloud"),
        "06-codebooks",
        'press "Run", and see how many codes are in use. Then tick "Restart dead codes", and run again.',
        "6.4",
    ),
    "paint": Room(
        "Paint with codes",
        ("arithmetic", "easel", "paint"),
        "04-seeing-codes",
        'draw a digit of your own over the one that is there, or press "Empty" before. Then choose a code below and '
        "change a single cell.",
    ),
    "levels": Room(
        "Two levels",
        ("arithmetic", "hierarchy", "easel", "levels"),
        "09-two-levels",
        'the top codes are of the first image, the bottom codes of the second. Press "All first" below the bottom '
        'codes; then choose "Second image" and paint some cells of either level.',
        "9.3",
    ),
    "prior": Room(
        "The prior at work",
        ("arithmetic", "pixelcnn", "gated", "easel", "prior"),
        "05-pixelcnn",
        'press "Step" a few times and look at what the next code could be; then draw the upper half of a digit, and '
        'let the prior write the rest by "Sample again".',
        "5.9",
    ),
}
# Of the labs, those that a notebook can show: the class of the model, and under which name they look for its weights.
WITH_MODELS = {
    "paint": (VQVAE, "weights/mnist-vqvae"),
    "prior": (VQVAE, "weights/mnist-vqvae"),
    "levels": (VQVAE2, "weights/mnist-two-levels-vqvae"),
}
PRIOR = "weights/mnist-prior"
NO_SCRIPTS = "This lab is a script, and scripts do not run here. Run the cell again, or trust the notebook."


# ---------------------------------------------------------------- What the labs need

# What neither JavaScript's strings nor HTML need to escape: 87 letters, so that two of them tell 7,569 numbers apart.
LETTERS = "".join(letter for letter in map(chr, range(33, 127)) if letter not in "\"&'<>\\`")
LARGEST = (len(LETTERS) ** 2 - 1) // 2
STEPS_AN_OCTAVE = 128


def weights_as_script(name: str, model: keras.Model) -> str:
    """Return a script that gives the labs a model's weights, at two letters a number.

    Two letters hold 12.9 bits. Since each row of a weight has a step of its own, they keep as much as 16-bit floats do,
    which take 2.7 letters in base64: 99.98% of the codes of MNIST's test images, and the priors' logits to 0.014.

    Parameters
    ----------
    name : str
        Under which the labs find it.
    model : VQVAE, VQVAE2, PixelCNN or GatedPixelCNN

    Returns
    -------
    str
        ``vqlabs.loaded[name] = {letters, shapes, values}``: the shape of each weight, by its path, in the order of
        `values`. Of each row, along the last axis, `values` has first the logarithm of the row's step, to base 2 and
        times 128, then the row in steps, all of them whole numbers in -3784..3784. Two letters are one number: the
        place of the first in `letters`, times 87, plus that of the second, less 3784. Of a kernel with a mask,
        (k, k, C, F), there are only the taps that this lets through: (taps, C, F). A VQVAE's codebook is
        ``quantizer/codebook``, whatever the quantizer's name, and what serves training alone is left out. Paths of a
        VQVAE2 begin with the part: ``stem/down/kernel``, ``top_quantizer/codebook``.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite.
    """
    arrays = _arrays_of(model)
    lost = [path for path, array in arrays.items() if not np.isfinite(array).all()]
    if lost:
        raise ValueError(
            f"{', '.join(lost)} of the {type(model).__name__} hold NaN or infinity. Its training has diverged: "
            "train it anew, with a lower learning rate."
        )
    for layer in _masked_layers(model):
        arrays[layer.kernel.path] = arrays[layer.kernel.path][layer.mask > 0]
    numbers = np.concatenate([_as_numbers(array).ravel() for array in arrays.values()]) + LARGEST
    letters = np.frombuffer(LETTERS.encode(), "uint8")[np.stack(np.divmod(numbers, len(LETTERS)), axis=-1)]
    packed = {
        "letters": LETTERS,
        "shapes": {path: array.shape for path, array in arrays.items()},
        "values": letters.tobytes().decode(),
    }
    return f"vqlabs.loaded[{json.dumps(name)}] = {json.dumps(packed)};\n"


def _as_numbers(array: np.ndarray) -> np.ndarray:
    """Return each row's step and the row in steps: (..., F) float -> (rows, 1 + F) int."""
    rows = array.reshape(-1, array.shape[-1])
    largest = np.abs(rows).max(axis=1, keepdims=True)
    smallest_step = 2.0 ** (-LARGEST / STEPS_AN_OCTAVE)
    steps = np.ceil(STEPS_AN_OCTAVE * np.log2(np.maximum(largest / LARGEST, smallest_step)))  # rounded up: it shall fit
    return np.concatenate([steps, np.round(rows / 2 ** (steps / STEPS_AN_OCTAVE))], axis=1).astype(int)


def _arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights that a model computes with, by their paths."""
    if isinstance(model, VQVAE2):  # layers of two parts have one name
        parts = (model.stem, model.top_encoder, model.bottom_encoder, model.decoder)
        weights = {f"{part.name}/{weight.path}": weight for part in parts for weight in part.weights}
        codebooks = {f"{level.name}_quantizer/codebook": _codewords(level.quantizer) for level in model.levels}
    elif isinstance(model, VQVAE):
        weights = {weight.path: weight for part in (model.encoder, model.decoder) for weight in part.weights}
        codebooks = {"quantizer/codebook": _codewords(model.quantizer)}
    else:
        weights, codebooks = {weight.path: weight for weight in model.weights}, {}
    return {path: keras.ops.convert_to_numpy(weight) for path, weight in weights.items()} | codebooks


def _codewords(quantizer: Any) -> np.ndarray:
    """Return what each code stands for, (K, D), whatever the quantizer keeps."""
    return keras.ops.convert_to_numpy(quantizer.decode(np.arange(quantizer.num_embeddings, dtype="int32")))


def _masked_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a prior whose kernels have a mask."""
    network = getattr(model, "network", None)
    return [layer for layer in network.layers if hasattr(layer, "mask")] if network else []


@functools.cache
def digits() -> tuple[list[int], np.ndarray]:
    """Return the test images of MNIST that the labs begin with: their labels, and uint8 (N, 28, 28)."""
    script = (FOLDER / "digits.js").read_text()
    held = json.loads(script[script.index("{") : script.rindex("}") + 1])
    return held["labels"], np.frombuffer(base64.b64decode(held["pixels"]), "uint8").reshape(-1, 28, 28)


def as_floats(images: np.ndarray) -> np.ndarray:
    """Return images of bytes (N, H, W) as models take them: float32 (N, H, W, 1) in [-0.5, 0.5]."""
    return images[..., None].astype("float32") / 255 - 0.5


def as_bytes(decoded: np.ndarray) -> np.ndarray:
    """Return a decoded image (H, W, 1) as uint8 (H, W); what lies beyond [-0.5, 0.5] is cut off."""
    return np.round((decoded[..., 0].clip(-0.5, 0.5) + 0.5) * 255).astype("uint8")


class Start(NamedTuple):
    """What the labs with images show first: a digit, its image (28, 28), its codes, and the image rebuilt."""

    digit: int
    image: np.ndarray
    codes: np.ndarray
    rebuilt: np.ndarray

    def as_data(self) -> str:
        """Return it for the scripts, as JSON."""
        return json.dumps(
            {
                "label": self.digit,
                "image": base64.b64encode(self.image.tobytes()).decode(),
                "codes": self.codes.ravel().tolist(),
                "rebuilt": base64.b64encode(self.rebuilt.tobytes()).decode(),
            }
        )


def start_of(model: VQVAE) -> Start:
    """Return what the labs with images show first with a model; images as uint8."""
    labels, images = digits()
    codes = model.encode(as_floats(images[:1]))
    (rebuilt,) = model.decode(codes)
    return Start(labels[0], images[0], codes[0], as_bytes(rebuilt))


def levels_as_data(model: VQVAE2) -> str:
    """Return what the lab with two levels shows first, as JSON.

    Its sources are two digits and the image without ink; it paints the top of the first with the bottom of the second.
    """
    images = np.concatenate([digits()[1][:2], np.zeros((1, *IMAGE_SHAPE[:2]), "uint8")])
    top, bottom = model.encode(as_floats(images))
    (painted,) = model.decode(top[:1], bottom[1:2])
    return json.dumps(
        {
            "images": [base64.b64encode(image.tobytes()).decode() for image in images],
            "top": top.reshape(3, -1).tolist(),
            "bottom": bottom.reshape(3, -1).tolist(),
            "painted": base64.b64encode(as_bytes(painted).tobytes()).decode(),
        }
    )


# ---------------------------------------------------------------- In a notebook


class NotebookLab:
    """A lab that a notebook shows where it is the last line of a cell.

    Attributes
    ----------
    title : str
    page : str
        The lab, a page of HTML that needs nothing else: not the book, not a network, not the notebook's kernel.
    """

    def __init__(self, title: str, page: str) -> None:
        self.title = title
        self.page = page

    def __repr__(self) -> str:
        """Say what this is, where there is no notebook."""
        return f"Lab: {self.title}. A notebook shows it where it is the last line of a cell."

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, so that nothing of the notebook's styles and scripts meets its own.

        A browser shows nothing of what stands between the tags of a frame. JupyterLab, which takes the frame away where
        a notebook is not trusted, leaves it.
        """
        style = "border: 0; width: 100%"
        name, page = html.escape(f"Lab: {self.title}"), html.escape(self.page)
        return f'<iframe title="{name}" style="{style}" height="900" srcdoc="{page}">{NO_SCRIPTS}</iframe>'


def lab(name: str, model: VQVAE | VQVAE2, prior: PixelCNN | GatedPixelCNN | None = None) -> NotebookLab:
    """Return a lab of the book with a trained model of yours; the last line of a cell shows it.

    It works in JupyterLab, VS Code and Colab, and goes on without a kernel, since the weights are in it. So the
    notebook grows by 0.2 megabytes for ``"paint"``, and by about 1.5 with a prior of the usual size: clear the cell's
    output before you share it.

    Parameters
    ----------
    name : str
        ``"paint"``: an image to draw on, its codes to change, and what they paint. ``"prior"``: the prior writes a grid
        of codes, one after the other, and completes what you draw. ``"levels"``: the codes of two levels, exchanged
        between two images.
    model : VQVAE, or for ``"levels"`` VQVAE2
        For images of (28, 28, 1), with vqlib's own networks, two layers of stride 2 and so grids of 7 x 7 in a VQVAE,
        at most 256 codes, and a :class:`vqlib.VectorQuantizer` or :class:`vqlib.EMAVectorQuantizer`. The numbers of
        filters are free, and D.
    prior : PixelCNN or GatedPixelCNN
        For ``"prior"`` alone: trained on the codes of `model`; told nothing, or one of ten classes.

    Returns
    -------
    NotebookLab

    Raises
    ------
    TypeError
        If `model` or `prior` is of another class.
    ValueError
        If there is no lab of this name that shows a model, or this lab cannot show this one.
    """
    if name not in WITH_MODELS:
        known = ", ".join(map(repr, WITH_MODELS))
        raise ValueError(
            f"There is no lab {name!r} that shows a model, only {known}. All labs are on the book's page of labs."
        )
    kind, weights = WITH_MODELS[name]
    if not isinstance(model, kind):
        raise TypeError(f"The lab {name!r} shows a vqlib.{kind.__name__}, but a {type(model).__name__} was given.")
    _check_model(model)
    scripts = {script: (FOLDER / f"{script}.js").read_text(encoding="utf-8") for script in ("shared", "digits")}
    scripts["weights"] = weights_as_script(weights, model)
    if name == "prior":
        _check_prior(prior, model)
        scripts["weights of the prior"] = weights_as_script(PRIOR, prior)
    elif prior is not None:
        raise ValueError(f"The lab {name!r} shows no prior: leave it out, or take the lab 'prior'.")
    for script in (*LABS[name].scripts, "notebook"):
        scripts[script] = (FOLDER / f"{script}.js").read_text(encoding="utf-8")
    start = start_of(model).as_data() if isinstance(model, VQVAE) else levels_as_data(model)
    return NotebookLab(LABS[name].title, _page(name, start, list(scripts.values())))


def _page(name: str, start: str, scripts: list[str]) -> str:
    """Return a page that holds a lab, its styles and its scripts."""
    room = LABS[name]
    title = html.escape(f"Lab: {room.title}")
    styles = [(FOLDER / f"{sheet}.css").read_text(encoding="utf-8") for sheet in ("labs", "notebook")]
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width">',
            *(f"<style>{style}</style>" for style in styles),
            "</head><body><main>",
            f'<div class="lab" data-lab="{name}" role="group" aria-label="{title}" data-start=\'{start}\'>',
            f"<p><strong>Try this first:</strong> {html.escape(room.first)}</p>",
            f'<p class="lab-fallback"><span class="lab-reason">{NO_SCRIPTS}</span></p></div></main>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
        ]
    )


def _check_model(model: VQVAE | VQVAE2) -> None:
    """Raise unless the labs can show a model of a right class."""
    shapes = tuple(level.code_shape for level in model.levels)
    shown = CODE_SHAPES[: len(shapes)]
    if model.image_shape != IMAGE_SHAPE or shapes != shown:
        raise ValueError(
            f"The labs show models with images of {IMAGE_SHAPE} and codes of {_listed(shown)}, "
            f"but this one has {model.image_shape} and {_listed(shapes)}."
        )
    if isinstance(model, VQVAE) and (model._own_parts or strides_of(model.filters, model.strides) != STRIDES):
        own = f"has an {' and a '.join(model._own_parts)} of its own" if model._own_parts else ""
        other = own or f"has the strides {strides_of(model.filters, model.strides)}"
        raise ValueError(f"The labs compute with vqlib's networks, with the strides {STRIDES}, but this model {other}.")
    for quantizer in (level.quantizer for level in model.levels):
        if quantizer.num_embeddings > MOST_CODES:
            raise ValueError(
                f"The labs show at most {MOST_CODES} codes a level, but num_embeddings={quantizer.num_embeddings} here."
            )
        if not isinstance(quantizer, VectorQuantizer):
            raise ValueError(
                "The labs give each vector its nearest codeword, as vqlib.VectorQuantizer and EMAVectorQuantizer do, "
                f"but a quantizer of this model is a {type(quantizer).__name__}."
            )


def _listed(shapes: tuple[tuple[int, ...], ...]) -> str:
    return " and ".join(map(str, shapes))


def _check_prior(prior: Any, model: VQVAE) -> None:
    """Raise unless the lab can show a prior for the codes of a model."""
    if not isinstance(prior, (PixelCNN, GatedPixelCNN)):
        given = "none" if prior is None else f"a {type(prior).__name__}"
        raise TypeError(f"The lab 'prior' needs a vqlib.PixelCNN or GatedPixelCNN as prior, but {given} was given.")
    if (prior.condition_shape, prior.num_conditions) not in ((None, None), ((), CLASSES)):
        raise ValueError(
            f"The lab 'prior' shows a prior that is told nothing, or one of {CLASSES} classes, condition_shape=() and "
            f"num_conditions={CLASSES}, but this one has condition_shape={prior.condition_shape} and "
            f"num_conditions={prior.num_conditions}."
        )
    if (prior.code_shape, prior.num_embeddings) != (model.code_shape, model.num_embeddings):
        raise ValueError(
            f"prior must be of the model's codes, {model.code_shape} and num_embeddings={model.num_embeddings}, "
            f"but is of {prior.code_shape} and num_embeddings={prior.num_embeddings}."
        )

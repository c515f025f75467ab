"""Trained weights, shipped with the package, each with a card that says how they were made."""

import datetime
import hashlib
import importlib
import json
import pathlib
import platform
import re

import keras
import numpy as np

from vqlib import _backend as backend
from vqlib.autoencoder import VQVAE
from vqlib.classifier import Classifier
from vqlib.gated import GatedPixelCNN
from vqlib.hierarchy import VQVAE2
from vqlib.pixelcnn import PixelCNN

FOLDER = pathlib.Path(__file__).parent
MODELS = {model.__name__: model for model in (VQVAE, VQVAE2, PixelCNN, GatedPixelCNN, Classifier)}


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or does not belong to what it is loaded with."""


def load_pretrained(name="mnist", folder=FOLDER):
    """Load shipped models: no network, no training, a few seconds.

    Parameters
    ----------
    name : str
        "mnist" gives a pair, (VQVAE, PixelCNN), the second trained on the codes of the first; "mnist-vqvae" and
        "mnist-prior" give one of them. "mnist-ema" is the pair of Part II, whose GatedPixelCNN is told the class.
        "mnist-two-levels" gives three, (VQVAE2, top prior, bottom prior): the first prior is told the class, the second
        the top codes. :func:`names` lists all.
    folder : path, optional
        Where the weights and cards lie; the package's own by default.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, its file is not the one that the card was written for, the weights do not fit
        the architecture, or the prior was trained on another model's codes.
    """
    if f"{name}-vqvae" not in names(folder):
        return _load(name, folder)
    model = _load(f"{name}-vqvae", folder)
    names_of_priors = [
        f"{name}{level}-prior" for level in (("-top", "-bottom") if isinstance(model, VQVAE2) else ("",))
    ]
    priors = [_load(prior, folder) for prior in names_of_priors]
    for prior in names_of_priors:
        check_prior(prior, folder)
    return model, *priors


def load_card(name, folder=FOLDER):
    """Return the card of a checkpoint: a dict with the dataset, seed, epochs, versions, minutes and test metrics."""
    path = pathlib.Path(folder) / f"{name}.json"
    if not path.is_file():
        known = ", ".join(names(folder)) or "none"
        raise CheckpointError(f"There is no checkpoint {name!r} in {folder}. Known: {known}.")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}). Install the package again.") from error


def names(folder=FOLDER):
    """Return the names of all checkpoints in a folder, sorted."""
    return sorted(path.stem for path in pathlib.Path(folder).glob("*.json"))


def check_weights(name, folder=FOLDER):
    """Return the file of a checkpoint's weights; raise CheckpointError unless it is the one that the card describes."""
    card = load_card(name, folder)
    weights = pathlib.Path(folder) / f"{name}.weights.h5"
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing, although its card is there. Install the package again.")
    found = _sha256(weights)
    if found != card["sha256"]:
        raise CheckpointError(
            f"{weights} is not the file that its card describes: its sha256 is {found[:12]}..., "
            f"the card says {card['sha256'][:12]}... It is damaged or was exchanged; install the package again."
        )
    return weights


def check_prior(name, folder=FOLDER):
    """Raise CheckpointError unless a prior was trained on the codes of its tokenizer as it is now.

    The tokenizer of ``<x>-prior``, ``<x>-top-prior`` and ``<x>-bottom-prior`` is ``<x>-vqvae``.
    """
    tokenizer = re.sub(r"(-top|-bottom)?-prior$", "-vqvae", name)
    if load_card(name, folder).get("tokenizer") != load_card(tokenizer, folder)["sha256"]:
        raise CheckpointError(
            f"The prior {name} was trained on the codes of another model than {tokenizer} as it is now: "
            "run the chapter that trains it again, in the full profile."
        )


def save(model, name, *, data, seed, epochs, minutes, metrics, folder=FOLDER, **more):
    """Write a model's weights and its card.

    Parameters
    ----------
    model : one of the classes in MODELS
    name : str
    data : Dataset
        What it was trained on; its name and hash go into the card.
    seed, epochs : int
    minutes : float
        Wall-clock time of the training.
    metrics : dict of str to float
        Measured on the test images.
    folder : path, optional
    more : JSON values
        Further entries of the card.
    """
    folder = pathlib.Path(folder)
    weights = folder / f"{name}.weights.h5"
    untrained = type(model).from_config(model.get_config())  # without an optimizer, whose state would triple the file
    untrained.set_weights(model.get_weights())
    untrained.save_weights(weights)
    card = {
        "name": name,
        "model": type(model).__name__,
        "config": model.get_config(),
        "sha256": _sha256(weights),
        "dataset": {"name": data.name, "sha256": data.sha256, "training_images": len(data.x_train)},
        "seed": seed,
        "epochs": epochs,
        "minutes": round(minutes, 1),
        "metrics": metrics,
        "parameters": model.count_params(),
        "versions": versions(),
        "device": device(),
        "date": datetime.date.today().isoformat(),
        **more,
    }
    (folder / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")


def versions():
    """Return the versions that a result depends on, a dict."""
    name = keras.backend.backend()
    return {
        "python": platform.python_version(),
        name: importlib.import_module(name).__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def device():
    """Return in words what Keras computes on: the names of the GPUs, or the processor."""
    return ", ".join(backend.accelerators()) or f"CPU ({platform.machine()})"


def _load(name, folder):
    """Load one model, checking its file against its card."""
    weights = check_weights(name, folder)
    card = load_card(name, folder)
    model = MODELS[card["model"]].from_config(card["config"])
    if model.count_params() != card["parameters"]:
        raise CheckpointError(
            f"{weights} holds the weights of another architecture than {name}'s card: "
            f"{card['parameters']:,} parameters against {model.count_params():,}."
        )
    try:
        model.load_weights(weights)
    except ValueError as error:
        raise CheckpointError(
            f"{weights} holds the weights of another architecture than {name}'s card: {error}"
        ) from error
    return model


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

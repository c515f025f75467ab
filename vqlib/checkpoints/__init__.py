"""Trained weights, shipped with the package, each with a card that says how they were made.

:func:`names` lists them. A tokenizer is ``<x>-vqvae``, its prior ``<x>-prior``, or ``<x>-top-prior`` and
``<x>-bottom-prior`` for two levels; others of its codes are ``<x>-transformer-prior`` and ``<x>-masked-prior``. Load
the models of one name by :func:`vqlib.load_pretrained`, or one of them on its class:
``vqlib.VQVAE.from_pretrained("mnist")``. :func:`save` writes one, :func:`vqlib.load_card` reads its card.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import tempfile
from typing import Any, NamedTuple, TypeVar

import keras

from vqlib._environment import device, versions
from vqlib._files import write_atomically
from vqlib.autoencoder import VQVAE
from vqlib.classifier import Classifier
from vqlib.data import Dataset
from vqlib.gated import GatedPixelCNN
from vqlib.hierarchy import VQVAE2
from vqlib.masked import MaskedTransformer
from vqlib.pixelcnn import PixelCNN
from vqlib.prior import Prior
from vqlib.transformer import TransformerPrior

FOLDER = pathlib.Path(__file__).parent
MODELS = {
    model.__name__: model
    for model in (VQVAE, VQVAE2, PixelCNN, GatedPixelCNN, TransformerPrior, MaskedTransformer, Classifier)
}
KINDS_OF_PRIORS = ("top", "bottom", "transformer", "masked")
ENDINGS = ("vqvae", "prior", *(f"{kind}-prior" for kind in KINDS_OF_PRIORS), "classifier")  # of a checkpoint's name

AnyModel = TypeVar("AnyModel", bound=keras.Model)
Folder = str | os.PathLike[str] | None


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or does not belong to what it is loaded with."""


class TokenizerAndPrior(NamedTuple):
    """A VQVAE, and the prior that was trained on its codes."""

    model: VQVAE
    prior: Prior


class TokenizerAndPriors(NamedTuple):
    """A VQVAE2, the prior of its top codes, and that of its bottom codes, which is conditioned on the top ones."""

    model: VQVAE2
    top_prior: Prior
    bottom_prior: Prior


def load_pretrained(name: str = "mnist", folder: Folder = None) -> Any:
    """Load shipped models: no network, no training, a few seconds.

    Parameters
    ----------
    name : str
        What it gives:

        - "mnist": a VQVAE and the PixelCNN trained on its codes, as in ``model, prior = load_pretrained("mnist")``;
        - "mnist-ema": the pair of Part II, whose GatedPixelCNN is told the class;
        - "mnist-two-levels": a VQVAE2, the prior of its top codes, which is told the class, and the prior of its bottom
          codes, which is told the top ones;
        - the name of one checkpoint, such as "mnist-vqvae", "mnist-prior" or "mnist-classifier": one model.

        :func:`vqlib.checkpoints.names` lists all checkpoints.
    folder : path, optional
        Where weights and cards lie; by default the package's own.

    Returns
    -------
    TokenizerAndPrior, TokenizerAndPriors or keras.Model
        The first two are named tuples, ``(model, prior)`` and ``(model, top_prior, bottom_prior)``. One model alone is
        no tuple.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, its file is not the one that the card was written for, the weights do not fit
        the architecture, or a model and priors are loaded together of which a prior was trained on another model's
        codes. One that is loaded alone may be any model's: :func:`vqlib.checkpoints.check_prior` tells.
    """
    if f"{name}-vqvae" not in names(folder):
        return _load(name, folder)
    model = _load(f"{name}-vqvae", folder)
    levels = ("-top", "-bottom") if isinstance(model, VQVAE2) else ("",)
    names_of_priors = [f"{name}{level}-prior" for level in levels]
    priors = [_load(prior, folder) for prior in names_of_priors]
    for prior in names_of_priors:
        check_prior(prior, folder)
    return TokenizerAndPriors(model, *priors) if isinstance(model, VQVAE2) else TokenizerAndPrior(model, *priors)


def load_as(model: type[AnyModel], name: str = "mnist", folder: Folder = None) -> AnyModel:
    """Load one shipped model of a class; what each model's ``from_pretrained`` does.

    Parameters
    ----------
    model : one of the classes in MODELS
    name : str
        Of a checkpoint, "mnist-vqvae", or the first part of it, "mnist", where one checkpoint alone is of this class.
    folder : path, optional
        Where weights and cards lie; by default the package's own.

    Raises
    ------
    CheckpointError
        If no checkpoint of this name is of this class, or several are; and as for :func:`load_pretrained`.
    """
    candidates = {name, *(f"{name}-{ending}" for ending in ENDINGS)} & set(names(folder))
    fitting = sorted(each for each in candidates if load_card(each, folder)["model"] == model.__name__)
    if len(fitting) == 1:
        return _load(fitting[0], folder)
    if fitting:
        raise CheckpointError(f"{name!r} has {len(fitting)} models of {model.__name__}: name one, {_or(fitting)}.")
    known = [each for each in names(folder) if load_card(each, folder)["model"] == model.__name__]
    raise CheckpointError(
        f"There is no {model.__name__} called {name!r} in {_place(folder)}. Known: {_or(known) or 'none'}."
    )


def load_card(name: str, folder: Folder = None) -> dict[str, Any]:
    """Return the card of a checkpoint: a dict with the dataset, seed, epochs, versions, minutes and test metrics."""
    path = _place(folder) / f"{name}.json"
    if not (path.is_file() and _may_be_card(path)):
        known = ", ".join(names(folder)) or "none"
        raise CheckpointError(f"There is no checkpoint {name!r} in {path.parent}. Known: {known}.")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}). Install the package again.") from error


def names(folder: Folder = None) -> list[str]:
    """Return the names of all checkpoints in a folder, by default the shipped ones, sorted."""
    return sorted(path.stem for path in _place(folder).glob("*.json") if _may_be_card(path))


def check_weights(name: str, folder: Folder = None) -> pathlib.Path:
    """Return the file of a checkpoint's weights; raise CheckpointError unless it is the one that the card describes."""
    card = load_card(name, folder)
    weights = _place(folder) / f"{name}.weights.h5"
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing, although its card is there. Install the package again.")
    found = _sha256(weights.read_bytes())
    if found != card["sha256"]:
        raise CheckpointError(
            f"{weights} is not the file that its card describes: its sha256 is {found[:12]}..., "
            f"the card says {card['sha256'][:12]}... It is damaged or was exchanged; install the package again."
        )
    return weights


def check_prior(name: str, folder: Folder = None) -> None:
    """Raise CheckpointError unless a prior was trained on the codes of its tokenizer as it is now.

    The tokenizer of ``<x>-prior``, ``<x>-top-prior``, ``<x>-bottom-prior``, ``<x>-transformer-prior`` and
    ``<x>-masked-prior`` is ``<x>-vqvae``.
    """
    tokenizer = re.sub(rf"(-({'|'.join(KINDS_OF_PRIORS)}))?-prior$", "-vqvae", name)
    if load_card(name, folder).get("tokenizer") != load_card(tokenizer, folder)["sha256"]:
        raise CheckpointError(
            f"The prior {name} was trained on the codes of another model than {tokenizer} as it is now: "
            "run the chapter that trains it again, in the full profile."
        )


def save(
    model: keras.Model,
    name: str,
    *,
    data: Dataset,
    seed: int,
    epochs: int,
    minutes: float,
    metrics: dict[str, float],
    folder: Folder = None,
    **more: Any,
) -> None:
    """Write a model's weights and its card; if that fails, what was there before stays.

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
        By default the package's own.
    more : JSON values
        Further entries of the card.
    """
    untrained = type(model).from_config(model.get_config())  # without an optimizer, whose state would triple the file
    untrained.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / f"{name}.weights.h5"
        untrained.save_weights(file)
        weights = file.read_bytes()
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
    text = _written(card)
    place = _place(folder)
    write_atomically(place / f"{name}.weights.h5", weights)
    write_atomically(place / f"{name}.json", text)


def renew_card(name: str, *, folder: Folder = None, **more: Any) -> None:
    """Write entries of a card, in place of those that it has by these names; its other entries and the model stay.

    Raises
    ------
    ValueError
        If there is no such card.
    """
    card = load_card(name, folder)
    write_atomically(_place(folder) / f"{name}.json", _written({**card, **more}))


def _load(name: str, folder: Folder) -> Any:
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


def _may_be_card(path: pathlib.Path) -> bool:
    """Whether a file is a card, or a damaged one, and not JSON of another program."""
    try:
        found = json.loads(path.read_text())
    except ValueError:
        return True  # load_card says what is wrong with it
    return isinstance(found, dict) and {"model", "sha256"} <= found.keys()


def _written(card: dict[str, Any]) -> str:
    return json.dumps(card, indent=2) + "\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _place(folder: Folder) -> pathlib.Path:
    return FOLDER if folder is None else pathlib.Path(folder)


def _or(names: list[str]) -> str:
    return " or ".join(names)

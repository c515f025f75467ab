"""What vqlib finds where it is installed, and what to do about that which is wrong: ``python -m vqlib doctor``.

Each function looks at one thing and returns findings. Nothing but Python itself is imported before it is looked at,
because the doctor has to work where a package is missing or damaged.
"""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
import pkgutil
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import vqlib
from vqlib import _quiet
from vqlib._stderr import held_back
from vqlib.book.profiles import Profile, profile

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

# module:name that chapters use, where that is more than to import the package's name with "_" for "-".
USED = {
    "matplotlib": "matplotlib.pyplot:figure",
    "pillow": "PIL.Image:open",
    "scikit-learn": "sklearn.datasets:load_digits",
    "tensorflow-probability": "tensorflow_probability:distributions.Categorical",
}
EXTRAS = ("chapters",)  # of vqlib's requirements, where its metadata have it: what chapters import beside vqlib
NETWORK = "the network, for datasets that are not here yet"
AGAIN = "Install vqlib again, see Getting started."
ABOVE = "Mend what is wrong above. If nothing is, install vqlib again, see Getting started."


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and what to do about it.

    Attributes
    ----------
    name, found : str
    remedy : str
        Empty where all is well.
    stops : bool
        Whether a chapter would stop because of it.
    needs : str
        What a chapter would need that was not looked at.
    """

    name: str
    found: str
    remedy: str = ""
    stops: bool = False
    needs: str = ""


def main() -> int:
    """Look at everything and print it; return 1 if something would stop a chapter, otherwise 0."""
    vqlib._watch.needed = False  # what is wrong with Keras, or with vqlib, is not to show as the other's fault
    sections: dict[str, list[Callable[[], Iterable[Finding]]]] = {
        "Backend of Keras": [backend],  # first, since a wrong one lets all imports fail
        "Versions": [versions],
        "What Keras computes on": [device],
        "Where the datasets come from": [datasets],
        "Shipped checkpoints": [checkpoints],
        "Settings": [settings],
    }
    findings: list[Finding] = []
    for title, looks in sections.items():
        print(title, flush=True)  # at once: looking takes some seconds
        found = [finding for look in looks for finding in _looked(look)]
        print(*map(_in_words, found), sep="\n", end="\n\n", flush=True)
        findings += found
    stopping = sum(finding.stops for finding in findings)
    if stopping:
        print(f"Marked WRONG: {stopping}. Do what the lines with -> say, from the top, then ask the doctor again.")
    else:
        needs = ", ".join(dict.fromkeys(finding.needs for finding in findings if finding.needs))
        print(f"All is well: nothing here would stop a chapter{needs and f'. What it may need: {needs}'}.")
    return int(stopping > 0)


def versions() -> list[Finding]:
    """Look at Python, the packages that vqlib needs, and vqlib; what it supports is in its metadata."""
    try:
        metadata = importlib.metadata.metadata("vqlib")
    except importlib.metadata.PackageNotFoundError:
        remedy = "In the folder that holds pyproject.toml: python -m pip install -e ."
        return [Finding("vqlib", "not installed, so that nothing says which versions it supports", remedy, True)]
    from packaging.specifiers import SpecifierSet

    packages = [package(requirement) for requirement in requirements(backend_told()[0], *EXTRAS)]
    return [python(SpecifierSet(metadata["Requires-Python"])), *packages, vqlib_itself()]


def requirements(*extras: str) -> list["Requirement"]:
    """Return what vqlib requires, and what its `extras` add, as the installed package's metadata have it."""
    from packaging.requirements import Requirement

    parsed = map(Requirement, importlib.metadata.requires("vqlib") or [])
    return [
        r for r in parsed if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def python(supported: "SpecifierSet") -> Finding:
    """Look at Python's version; `supported` is a ``packaging.specifiers.SpecifierSet``."""
    found = f"{platform.python_version()} (supported: {supported})"
    if supported.contains(platform.python_version(), prereleases=True):
        return Finding("Python", found)
    return Finding("Python", found, "Install a supported Python, and vqlib with it, see Getting started.", True)


def package(requirement: "Requirement") -> Finding:
    """Import a package as chapters do, and look at its version; takes a ``packaging.requirements.Requirement``."""
    name, supported = requirement.name, f"(supported: {requirement.specifier})"
    used = USED.get(name, name.replace("-", "_"))
    module = re.split("[.:]", used)[0]
    install = f'python -m pip install "{name}{requirement.specifier}"'
    try:
        pkgutil.resolve_name(used)
        version = sys.modules[module].__version__
    except Exception as error:  # a damaged package raises anything
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            return Finding(name, f"missing {supported}", install, True)
        again = install.replace("install", "install --force-reinstall --no-deps")
        remedy = f"If it names a missing package, install that one; otherwise: {again}"
        return Finding(name, f"{_installed(name)}, but cannot be imported: {_message(error)}", remedy, True)
    if requirement.specifier.contains(version, prereleases=True):
        return Finding(name, f"{version} {supported}")
    return Finding(name, f"{version} {supported}", install, True)


def vqlib_itself() -> Finding:
    """Import all that vqlib offers."""
    version = importlib.metadata.version("vqlib")
    try:
        for name in vqlib.__all__:
            getattr(vqlib, name)
    except Exception as error:
        return Finding("vqlib", f"{version}, but cannot be imported: {_message(error)}", ABOVE, True)
    return Finding("vqlib", f"{version}, in {pathlib.Path(vqlib.__file__).parent}")


def backend() -> list[Finding]:
    """Look at the backend that Keras is told to use, before Keras is imported; look on with one that is there.

    What fails for want of a backend is no fault of its own: everything else is looked at as it will be when the remedy
    is done.
    """
    name, source = backend_told()
    if name == "tensorflow":
        return [Finding("backend", f"{name} ({source})")]
    there = name in _quiet.BACKENDS and importlib.util.find_spec(name) is not None
    found = (
        f"{name} ({source})" if there or name not in _quiet.BACKENDS else f"{name} ({source}), which is not installed"
    )
    if not there:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # this process's own
    remedy = f"Chapters need TensorFlow (vqlib alone: {' or '.join(_quiet.BACKENDS)}): "
    remedy += "unset the variable KERAS_BACKEND" if source == "KERAS_BACKEND" else f'write "tensorflow" into {source}'
    return [Finding("backend", found, f"{remedy}.", True)]


def backend_told() -> tuple[str, str]:
    """Return the name of the backend that Keras is told to use, and what tells it so."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    config = pathlib.Path(home) / "keras.json"
    if config.is_file():
        with contextlib.suppress(ValueError):  # Keras passes over a damaged file too
            name = json.loads(config.read_text()).get("backend", "tensorflow")
            if name != "tensorflow":
                return name, str(config)
    return "tensorflow", "the default"


def device() -> list[Finding]:
    """Look at what Keras computes on."""
    from vqlib import _environment

    return [Finding("device", _environment.device())]


def datasets() -> list[Finding]:
    """Look where ``vqlib.load_dataset`` would take each dataset from, without reading or downloading it."""
    from vqlib import data

    return [*_data_folder(data.SHAPES), *map(dataset, data.SHAPES)]


def dataset(name: str) -> Finding:
    """Look where ``vqlib.load_dataset`` would take a dataset from."""
    from vqlib import data

    if name == "digits":
        return Finding(name, "embedded in scikit-learn")
    path, _ = data.find_file(name)
    if path:
        try:
            data.check_file(path)
        except ValueError as error:
            remedy = "Put a whole file in its place, or unset VQLIB_DATA_DIR so that Keras fetches one."
            return Finding(name, str(error), remedy, True)
        return Finding(name, f"{path}, by VQLIB_DATA_DIR")
    cached = data.keras_files(name)
    if not all(file.is_file() for file in cached):
        return Finding(name, "the network, from where Keras fetches it when it is first loaded", needs=NETWORK)
    try:
        if cached[0].suffix == ".npz":
            data.check_file(cached[0])
    except ValueError as error:
        return Finding(name, f"the network, because the copy in Keras's cache is of no use: {error}", needs=NETWORK)
    return Finding(name, f"{cached[0] if len(cached) == 1 else cached[0].parent}, Keras's cache")


def _data_folder(names: Iterable[str]) -> list[Finding]:
    """Look at the folder that VQLIB_DATA_DIR names, if it does."""
    folder = os.environ.get("VQLIB_DATA_DIR")
    if not folder:
        return []
    if not pathlib.Path(folder).is_dir():
        remedy = "Set it to the folder that holds mnist.npz (the folder, not the file), or unset it."
        return [Finding("VQLIB_DATA_DIR", f"{folder} is not a folder, and is passed over", remedy)]
    if not any((pathlib.Path(folder) / f"{name}.npz").is_file() for name in names):
        remedy = "Put mnist.npz into it, or unset the variable."
        return [Finding("VQLIB_DATA_DIR", f"{folder} holds no dataset, and is passed over", remedy)]
    return []


def checkpoints(folder: pathlib.Path | None = None) -> list[Finding]:
    """Look at the weights in a folder, the shipped ones by default: whole, and each prior with its tokenizer."""
    from vqlib.checkpoints import FOLDER, names

    folder = folder or FOLDER
    weights = ".weights.h5"
    found = sorted({*names(folder), *(path.name.removesuffix(weights) for path in folder.glob(f"*{weights}"))})
    if not found:
        return [Finding("none", f"there are no checkpoints in {folder}", AGAIN, True)]
    return [checkpoint(name, folder) for name in found]


def checkpoint(name: str, folder: pathlib.Path) -> Finding:
    """Look at a checkpoint: its sha256 is that of its card, and a prior belongs to its tokenizer."""
    from vqlib.checkpoints import CheckpointError, check_prior, check_weights

    try:
        check_weights(name, folder)
        if name.endswith("-prior"):
            check_prior(name, folder)
    except CheckpointError as error:
        return Finding(name, str(error), AGAIN, True)
    return Finding(name, "whole, and trained on its tokenizer's codes" if name.endswith("-prior") else "whole")


def settings() -> list[Finding]:
    """Look at the profile and at the folder that trainings are kept in."""
    try:
        current = profile()
    except ValueError as error:
        remedy = f"Set VQLIB_PROFILE to one of {', '.join(Profile)}, or unset it."
        return [Finding("profile", str(error), remedy, True), run_folder("default")]
    source = "VQLIB_PROFILE" if os.environ.get("VQLIB_PROFILE") else "VQLIB_PROFILE is not set"
    return [Finding("profile", f"{current} ({source})"), run_folder(current)]


def run_folder(profile: str) -> Finding:
    """Look at the folder that a profile keeps its trainings in: whether it can be written to, and what it holds."""
    from vqlib.book import runs

    folder = runs.run_folder().absolute()
    if profile == "quick":
        return Finding("run folder", f"{folder}, not used: the quick profile keeps nothing")
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())  # the rest would be made
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        remedy = "Set VQLIB_RUN_DIR to a folder that can be written to."
        return Finding("run folder", f"{folder} cannot be written to: {error.strerror}", remedy, True)
    if there != folder:
        return Finding("run folder", f"{folder}, writable, made with the first run")
    kept = runs.kept_runs()
    of_profile = sum(name.endswith(f"-{profile}") for name in kept)
    return Finding("run folder", f"{folder}, writable; kept runs: {len(kept)}, {of_profile} of them of this profile")


def _installed(name: str) -> str:
    """Return the version of a package that may not be importable, as its metadata have it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def _looked(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a function finds, past all that packages print; its failure is a finding too."""
    with held_back(), contextlib.redirect_stdout(io.StringIO()):
        try:
            return list(look())
        except Exception as error:
            found = f"could not be looked at: {type(error).__name__}: {_message(error)}"
            return [Finding(look.__name__, found, ABOVE, True)]


def _message(error: Exception) -> str:
    """Return an error's message in one line; TensorFlow's begins with a whole traceback."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith((" ", "Traceback"))]
    return lines[0] if lines else type(error).__name__


def _in_words(finding: Finding) -> str:
    """Return a finding as one or two lines."""
    mark = "WRONG" if finding.stops else "note" if finding.remedy else "ok"
    remedy = f"\n        -> {finding.remedy}" if finding.remedy else ""
    return f"  {mark:5} {finding.name:23} {finding.found}{remedy}"

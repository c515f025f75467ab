"""The doctor: it finds what is wrong, says what to do, and works where nothing else does."""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import vqlib
from vqlib import __main__ as command
from vqlib import _environment, checkpoints, data
from vqlib._stderr import held_back
from vqlib.book import doctor

pytestmark = pytest.mark.usefixtures("clean_environment", "no_network")
SOME = {name: np.zeros(1, "uint8") for name in data.ARRAYS}


@pytest.fixture
def keras_home(clean_environment, tmp_path):
    """An empty cache of Keras."""
    from keras.src.utils import file_utils

    home = tmp_path / "keras"
    home.mkdir()
    clean_environment.setenv("KERAS_HOME", str(home))
    clean_environment.setattr(file_utils.config, "keras_home", lambda: str(home))  # Keras reads the variable at import
    return home


@pytest.fixture
def data_folder(clean_environment, tmp_path):
    """The empty folder that VQLIB_DATA_DIR names."""
    folder = tmp_path / "data"
    folder.mkdir()
    clean_environment.setenv("VQLIB_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def shipped(tmp_path):
    """A copy of the shipped checkpoints, for a test to damage."""
    return shutil.copytree(checkpoints.FOLDER, tmp_path / "checkpoints")


def by_name(findings):
    return {finding.name: finding for finding in findings}


def is_well(finding):
    return not finding.stops and not finding.remedy


# The command


def run(tmp_path, **environment):
    paths = [environment.pop("stubs", ""), str(pathlib.Path(vqlib.__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-m", "vqlib", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
        capture_output=True,
        text=True,
    )


def test_command_finds_all_well_where_all_is_well(tmp_path):
    answer = run(tmp_path, KERAS_BACKEND="tensorflow", KERAS_HOME=str(tmp_path))
    assert (answer.returncode, answer.stderr) == (0, ""), answer.stdout
    assert "\nAll is well: nothing here would stop a chapter. What it may need: the network, for" in answer.stdout
    lines = answer.stdout.splitlines()
    assert {line[:5] for line in lines if line.startswith(" ")} == {"  ok "}
    for name in ("Python", "tensorflow-probability", "vqlib", "device", "mnist", "mnist-prior", "profile"):
        (line,) = (line for line in lines if line[8:31].strip() == name)
        assert line[31] == " " != line[32], "the columns are not aligned"
    assert not (tmp_path / "runs").exists()


def test_command_works_where_vqlib_cannot_be_imported(tmp_path):
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(f"print('noise')\nraise ImportError('{name} has no bottom')\n")
    answer = run(tmp_path, stubs=str(tmp_path))
    assert (answer.returncode, answer.stderr) == (1, "")
    assert "keras has no bottom\n        -> " in answer.stdout
    assert "tensorflow has no bottom\n        -> " in answer.stdout
    assert f"ok    numpy                   {np.__version__}" in answer.stdout
    assert "WRONG vqlib " in answer.stdout
    assert "Traceback" not in answer.stdout
    assert "noise" not in answer.stdout
    assert "what the lines with -> say" in answer.stdout.splitlines()[-1]


def test_backend_that_is_not_there_is_one_finding_with_one_remedy(tmp_path):
    """Keras cannot be imported then, nor anything that stands on it; and no package is missing."""
    answer = run(tmp_path, KERAS_BACKEND="torch", KERAS_HOME=str(tmp_path))
    assert (answer.returncode, answer.stderr) == (1, "")
    wrong = [line for line in answer.stdout.splitlines() if line.startswith("  WRONG")]
    assert wrong == ["  WRONG backend                 torch (KERAS_BACKEND)"]
    remedies = [line for line in answer.stdout.splitlines() if "->" in line and "lines with ->" not in line]
    assert len(remedies) == 1
    assert "unset the variable KERAS_BACKEND" in remedies[0]
    assert "All is well" not in answer.stdout


@pytest.mark.parametrize("words", [[], ["docter"]], ids=str)
def test_no_command_or_an_unknown_one_gives_a_usage_line_and_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    assert "usage: python -m vqlib [-h] {doctor,compress,decompress}" in capsys.readouterr().err


@pytest.fixture
def only(monkeypatch):
    """Return a function that runs the doctor with nothing but one thing to look at, and returns the exit status."""

    def run(look):
        for name in ("backend", "device", "datasets", "checkpoints", "settings"):
            monkeypatch.setattr(doctor, name, list)
        monkeypatch.setattr(doctor, "versions", look)
        return command.main(["doctor"])

    return run


@pytest.mark.parametrize(
    ("finding", "line", "status"),
    [
        (doctor.Finding("thing", "there"), "  ok    thing                   there\n", 0),
        (doctor.Finding("thing", "odd", "Turn it."), "  note  thing                   odd\n        -> Turn it.\n", 0),
        (doctor.Finding("thing", "lost", "Buy.", True), "  WRONG thing                   lost\n        -> Buy.\n", 1),
    ],
)
def test_status_is_1_for_what_would_stop_a_chapter_alone(only, capsys, finding, line, status):
    assert only(lambda: [finding]) == status
    shown = capsys.readouterr().out
    assert line in shown
    assert ("All is well" in shown) == (status == 0)


def test_a_look_that_fails_is_a_finding(only, capsys):
    def cellar():
        raise RuntimeError("no light")

    assert only(cellar) == 1
    assert "WRONG cellar                  could not be looked at: RuntimeError: no light" in capsys.readouterr().out


def test_what_packages_print_is_not_shown(only, capfd):
    def noisy():
        print("on stdout")
        os.write(2, b"on stderr")
        return []

    assert only(noisy) == 0
    shown = capfd.readouterr()
    assert "on stdout" not in shown.out
    assert shown.err == ""


def test_nothing_is_held_back_where_there_is_no_stream(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with held_back():
        done = True
    assert done


# Versions


def test_package_in_the_range_is_well():
    finding = doctor.package(Requirement("numpy>=1.26"))
    assert is_well(finding)
    assert finding.found == f"{np.__version__} (supported: >=1.26)"


def test_package_out_of_the_range_is_wrong():
    finding = doctor.package(Requirement("numpy>=99"))
    assert finding.stops
    assert finding.remedy == 'python -m pip install "numpy>=99"'


def test_prerelease_of_a_supported_version_is_well(monkeypatch):
    monkeypatch.setattr(np, "__version__", "9.0.0rc1")
    assert is_well(doctor.package(Requirement("numpy>=1.26")))


def test_missing_package_is_wrong(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_probability", None)
    finding = doctor.package(Requirement("tensorflow-probability>=0.25"))
    assert finding.stops
    assert finding.found == "missing (supported: >=0.25)"
    assert finding.remedy == 'python -m pip install "tensorflow-probability>=0.25"'


def test_package_that_lacks_another_is_not_said_to_be_missing(monkeypatch, tmp_path):
    (tmp_path / "lacking.py").write_text("import surely_nowhere")
    monkeypatch.syspath_prepend(tmp_path)
    finding = doctor.package(Requirement("lacking>=1"))
    assert finding.stops
    assert finding.found == "installed, but cannot be imported: No module named 'surely_nowhere'"


def test_package_without_what_chapters_use_is_wrong(monkeypatch):
    damaged = types.ModuleType("tensorflow_probability")
    damaged.__version__ = "0.25.0"
    monkeypatch.setitem(sys.modules, "tensorflow_probability", damaged)
    finding = doctor.package(Requirement("tensorflow-probability>=0.25"))
    version = importlib.metadata.version("tensorflow-probability")
    assert finding.stops
    assert finding.found.startswith(f"{version}, but cannot be imported: ")
    assert finding.remedy.endswith('python -m pip install --force-reinstall --no-deps "tensorflow-probability>=0.25"')


def test_message_is_the_error_and_not_the_traceback_that_tensorflow_puts_before_it():
    error = ImportError("Traceback (most recent call last):\n  File x\nImportError: no libx.so\n\nSee the manual.")
    assert doctor._message(error) == "ImportError: no libx.so"
    assert doctor._message(AssertionError()) == "AssertionError"


def test_python_below_the_range_is_wrong():
    assert is_well(doctor.python(SpecifierSet(">=3.11")))
    finding = doctor.python(SpecifierSet(">=4"))
    assert finding.stops
    assert platform.python_version() in finding.found
    assert ">=4" in finding.found


def test_ranges_are_those_of_the_installed_package(monkeypatch):
    lines = ["numpy>=2.5", 'jax<9; extra == "jax"', 'pytest>=8; extra == "test"']
    monkeypatch.setattr(importlib.metadata, "requires", {"vqlib": lines}.get)
    assert [str(r) for r in doctor.requirements()] == ["numpy>=2.5"]
    assert [r.name for r in doctor.requirements("tensorflow")] == ["numpy"]
    assert [r.name for r in doctor.requirements("jax")] == ["numpy", "jax"]


def test_all_that_vqlib_requires_is_looked_at(monkeypatch):
    monkeypatch.setattr(doctor, "package", lambda requirement: doctor.Finding(requirement.name, ""))
    names = [finding.name for finding in doctor.versions()]
    assert names == ["Python", *(requirement.name for requirement in doctor.requirements("chapters")), "vqlib"]
    assert {"keras", "numpy", "tensorflow", "matplotlib", "scikit-learn", "tf-keras"} < {*names}


def test_vqlib_that_is_not_installed_is_wrong(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", missing)
    (finding,) = doctor.versions()
    assert finding.stops
    assert finding.name == "vqlib"
    assert "pip install -e ." in finding.remedy


def test_requirement_that_is_raised_is_looked_at(monkeypatch):
    """Keras and TensorFlow below the range are named; the range is the installed package's own."""
    lines = [
        "keras>=99",
        "tensorflow>=99",
        'tensorflow-probability>=99; extra == "chapters"',
        'pytest>=99; extra == "test"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", {"vqlib": lines}.get)
    wrong = [finding for finding in doctor.versions() if finding.stops]
    assert [finding.name for finding in wrong] == ["keras", "tensorflow", "tensorflow-probability"]
    assert all("(supported: >=99)" in finding.found for finding in wrong)


def test_vqlib_that_lacks_a_part_is_wrong(monkeypatch):
    monkeypatch.setattr(vqlib, "__all__", [*vqlib.__all__, "lost"])
    finding = doctor.vqlib_itself()
    assert finding.stops
    assert finding.found.endswith("but cannot be imported: module 'vqlib' has no attribute 'lost'")


# The backend


@pytest.fixture
def backend(monkeypatch, tmp_path):
    """Return a function that sets the variable, and a configuration of Keras, and returns what the doctor finds."""

    def look(variable=None, configured=None):
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        if variable is not None:
            monkeypatch.setenv("KERAS_BACKEND", variable)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        if configured is not None:
            (tmp_path / "keras.json").write_text(configured)
        (finding,) = doctor.backend()
        return finding

    return look


def test_tensorflow_is_well(backend):
    assert is_well(backend())
    assert is_well(backend("tensorflow", '{"backend": "jax"}'))
    assert is_well(backend("", '{"backend": "tensorflow"}'))
    assert is_well(backend(configured="{cut off"))


@pytest.mark.parametrize("configured", [True, False], ids=["in keras.json", "by the variable"])
@pytest.mark.parametrize("name", ["jax", "torch", "numpy"])
def test_another_backend_would_stop_a_chapter(backend, name, configured, tmp_path):
    finding = backend(configured=json.dumps({"backend": name})) if configured else backend(name)
    assert finding.stops
    assert finding.found.startswith(f"{name} (")
    assert "TensorFlow (vqlib alone: tensorflow or jax)" in finding.remedy
    expected = str(tmp_path / "keras.json") if configured else "unset the variable KERAS_BACKEND"
    assert expected in finding.remedy


@pytest.mark.parametrize("there", [True, False])
def test_jax_is_looked_at_where_it_is_installed(backend, monkeypatch, there):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if there else None)
    finding = backend("jax")
    assert ("which is not installed" in finding.found) == (not there)
    assert doctor.backend_told()[0] == ("jax" if there else "tensorflow")


def test_device_is_that_of_the_cards():
    assert [finding.found for finding in doctor.device()] == [_environment.device()]


# Where the datasets come from


def test_file_in_the_folder_of_the_variable_is_found(data_folder, keras_home):
    np.savez(data_folder / "mnist.npz", **SOME)
    found = by_name(doctor.datasets())
    assert list(found) == list(data.SHAPES)
    assert is_well(found["mnist"])
    assert found["mnist"].found == f"{data_folder / 'mnist.npz'}, by VQLIB_DATA_DIR"
    assert found["fashion_mnist"].found.startswith("the network")


def test_without_a_folder_and_a_cache_there_are_the_network_and_the_embedded_digits(keras_home):
    found = by_name(doctor.datasets())
    assert all(is_well(finding) for finding in found.values())
    for name in ("mnist", "fashion_mnist", "cifar10"):
        assert found[name].found.startswith("the network")
    assert found["digits"].found == "embedded in scikit-learn"
    assert not list(keras_home.iterdir())


def test_folder_without_a_dataset_is_noted(data_folder, keras_home):
    first, *rest = doctor.datasets()
    assert (first.name, first.stops) == ("VQLIB_DATA_DIR", False)
    assert "holds no dataset" in first.found
    assert "mnist.npz" in first.remedy
    assert by_name(rest)["mnist"].found.startswith("the network")


def test_file_in_place_of_the_folder_is_noted(data_folder, keras_home, monkeypatch):
    np.savez(data_folder / "mnist.npz", **SOME)
    monkeypatch.setenv("VQLIB_DATA_DIR", str(data_folder / "mnist.npz"))
    first, *_ = doctor.datasets()
    assert "is not a folder" in first.found
    assert "the folder, not the file" in first.remedy


def test_damaged_file_in_the_folder_is_wrong(data_folder):
    path = data_folder / "mnist.npz"
    np.savez(path, **SOME)
    path.write_bytes(path.read_bytes()[:-30])
    finding = doctor.dataset("mnist")
    assert finding.stops
    assert f"{path} is damaged or cut short" in finding.found
    assert finding.remedy


def test_file_that_lacks_an_array_is_wrong(data_folder):
    np.savez(data_folder / "mnist.npz", x_train=SOME["x_train"])
    finding = doctor.dataset("mnist")
    assert finding.stops
    assert "lacks an array: 'y_train is not among x_train'" in finding.found


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_cache_is_looked_for_where_keras_looks(name, keras_home, monkeypatch):
    """Keras downloads each file that is not there yet to the place where it will look for it."""
    from keras.src.datasets import cifar10, fashion_mnist, mnist
    from keras.src.utils import file_utils

    class NotWhole(Exception):
        pass

    def download(origin, path, progress):
        asked.append(pathlib.Path(path))
        pathlib.Path(path).touch()

    def refuse(*_, **__):
        raise NotWhole

    asked = []
    monkeypatch.setattr(file_utils, "urlretrieve", download)
    monkeypatch.setattr(file_utils, "validate_file", lambda *_, **__: True)
    monkeypatch.setattr(file_utils, "extract_archive", refuse)
    monkeypatch.setattr(np, "load", refuse)
    monkeypatch.setattr(fashion_mnist.gzip, "open", refuse)
    module = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10}[name]
    with pytest.raises(NotWhole):
        module.load_data()
    assert asked == data.keras_files(name)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_dataset_in_the_cache_needs_no_network(name, keras_home):
    *files, last = data.keras_files(name)
    last.parent.mkdir(parents=True)
    for file in files:
        file.touch()
    assert doctor.dataset(name).found.startswith("the network")
    with last.open("wb") as stream:
        np.savez(stream, **SOME)
    finding = doctor.dataset(name)
    assert is_well(finding)
    assert finding.found == f"{last.parent if files else last}, Keras's cache"


def test_cached_file_that_is_cut_short_is_fetched_again(keras_home):
    (file,) = data.keras_files("mnist")
    file.parent.mkdir()
    file.write_bytes(b"PK")
    assert doctor.dataset("mnist").found.startswith("the network, because the copy in Keras's cache is of no use")


# Checkpoints


def test_shipped_checkpoints_are_whole():
    found = doctor.checkpoints()
    assert [finding.name for finding in found] == checkpoints.names()
    assert all(is_well(finding) for finding in found)
    assert by_name(found)["mnist-prior"].found == "whole, and trained on its tokenizer's codes"


def test_damaged_weights_are_wrong_and_the_others_well(shipped):
    path = shipped / "mnist-ema-vqvae.weights.h5"
    path.write_bytes(path.read_bytes()[:-1])
    found = by_name(doctor.checkpoints(shipped))
    assert [name for name, finding in found.items() if finding.stops] == ["mnist-ema-vqvae"]
    assert "is not the file that its card describes" in found["mnist-ema-vqvae"].found
    assert found["mnist-ema-vqvae"].remedy


def test_prior_of_another_tokenizer_is_wrong(shipped):
    path = shipped / "mnist-prior.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer": "0" * 64}))
    found = by_name(doctor.checkpoints(shipped))
    assert [name for name, finding in found.items() if finding.stops] == ["mnist-prior"]
    assert "was trained on the codes of another model" in found["mnist-prior"].found


@pytest.mark.parametrize(
    ("missing", "message"),
    [("mnist-vqvae.json", "There is no checkpoint 'mnist-vqvae'"), ("mnist-vqvae.weights.h5", "is missing")],
)
def test_weights_or_card_alone_are_wrong(shipped, missing, message):
    (shipped / missing).unlink()
    finding = by_name(doctor.checkpoints(shipped))["mnist-vqvae"]
    assert finding.stops
    assert message in finding.found


def test_package_without_checkpoints_is_wrong(tmp_path):
    (finding,) = doctor.checkpoints(tmp_path)
    assert finding.stops
    assert "there are no checkpoints" in finding.found


# Settings


def test_profile_that_does_not_exist_is_wrong(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VQLIB_PROFILE", "fast")
    profile, folder = doctor.settings()
    assert profile.stops
    assert "is 'fast'" in profile.found
    assert "quick, default, full" in profile.remedy
    assert is_well(folder)


def test_kept_runs_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("VQLIB_PROFILE", "full")
    monkeypatch.setenv("VQLIB_RUN_DIR", str(tmp_path))
    for name in ("03-vqvae-full", "03-vqvae-default", "05-prior-full", "begun-full"):
        (tmp_path / name).mkdir()
        if name != "begun-full":
            (tmp_path / name / "run.json").touch()
    profile, folder = doctor.settings()
    assert profile.found == "full (VQLIB_PROFILE)"
    assert is_well(folder)
    assert folder.found == f"{tmp_path}, writable; kept runs: 3, 2 of them of this profile"
    assert len(list(tmp_path.iterdir())) == 4


def test_run_folder_that_is_not_there_is_not_made(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    profile, folder = doctor.settings()
    assert profile.found == "default (VQLIB_PROFILE is not set)"
    assert is_well(folder)
    assert folder.found == f"{tmp_path / 'runs'}, writable, made with the first run"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", [".", "a/b"])
def test_run_folder_that_cannot_be_written_to_is_wrong(monkeypatch, tmp_path, below):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VQLIB_RUN_DIR", str(tmp_path / "file" / below))
    finding = doctor.run_folder("default")
    assert finding.stops
    assert "cannot be written to: Not a directory" in finding.found
    assert "VQLIB_RUN_DIR" in finding.remedy


def test_run_folder_does_not_matter_in_the_quick_profile(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VQLIB_RUN_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("VQLIB_PROFILE", "quick")
    _, folder = doctor.settings()
    assert is_well(folder)
    assert "keeps nothing" in folder.found

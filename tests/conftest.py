"""Fixtures that several test files share."""

import fcntl
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import settings

import vqlib

# Derandomized: the same examples on every machine and in every run, so that no test fails by chance.
settings.register_profile("vqlib", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("vqlib")
# Keras and TensorFlow take six seconds to import. So only workers do it here, and neither what starts them nor a run of
# tests that need neither.
if "PYTEST_XDIST_WORKER" in os.environ:
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Workers that all want every core wait for each other. Not by the environment: the kernels that run notebooks
        # would inherit it, and with another number of threads the last digits of their outputs differ.
        tf.config.threading.set_intra_op_parallelism_threads(1)
mpl.use("agg")  # not by MPLBACKEND: the kernels that run the notebooks would inherit it
# The marks, each for what tests need beyond vqlib: the slowest first, and last the tests that look at notebooks which
# have run. The grader's come before those in a browser, so that not both workers begin with the book, for which one of
# them would wait while the other builds it.
MARKS = ("grading", "browser", "coursework", "book", "xla", "unit", "lint", "notebooks")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark cells of notebooks and unit tests, and put files in the order in which workers take them."""

    def place(item):
        if item.path.suffix == ".ipynb":
            return -1
        return next(i for i, mark in enumerate(MARKS) if item.get_closest_marker(mark))

    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("notebooks")
        elif not any(item.get_closest_marker(mark) for mark in MARKS):
            item.add_marker("unit")
    items.sort(key=place)


def made_once(tmp_path_factory, name, make):
    """Return a folder that `make` fills: by one worker, for which the others wait."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tmp_path_factory.mktemp(name)
        make(folder)
        return folder
    folder = tmp_path_factory.getbasetemp().parent / name  # of all workers
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            make(partial)
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def book_extension():
    """Return a function that imports one of the book's extensions, which belong to no package, by its name."""

    def load(name):
        path = pathlib.Path(__file__).parents[1] / "book" / "_ext" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"book_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The folder of the book's HTML, built afresh, once."""

    def build(folder):
        root = pathlib.Path(__file__).parents[1]
        jupyter_book = pathlib.Path(sys.executable).with_name("jupyter-book")
        build = subprocess.run(
            [jupyter_book, "build", root, "--path-output", folder, "-q", "-n", "-W", "--keep-going"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert build.returncode == 0, build.stdout[-3000:] + build.stderr[-6000:]

    return made_once(tmp_path_factory, "book", build) / "_build" / "html"


@pytest.fixture(scope="module")
def browser():
    """One headless browser with a fresh profile. Not for the session: asyncio would find its loop in other tests."""
    from browsers import FLAGS, PATIENCE, find_browser
    from playwright.sync_api import sync_playwright

    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(browser, html):
    """The address at which the built book is served."""
    from browsers import served

    with served(html) as found:
        yield found


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with vqlib as its wheel installs it."""

    def install(folder):
        root, source = pathlib.Path(__file__).parents[1], folder / "source"
        for package in ("vqlib", "vqgrader"):
            shutil.copytree(root / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, source)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        made = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
        subprocess.run([*pip, "wheel", "--quiet", *made], check=True)
        (wheel,) = folder.glob("*.whl")
        subprocess.run([*pip, "install", "--quiet", "--no-deps", "--target", folder / "site", wheel], check=True)

    return made_once(tmp_path_factory, "wheel", install) / "site"


@pytest.fixture
def clean_environment(monkeypatch):
    """No variable that vqlib reads is set."""
    for variable in ("VQLIB_DATA_DIR", "VQLIB_PROFILE", "VQLIB_RUN_DIR"):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


@pytest.fixture
def no_network(monkeypatch):
    """Keras has no dataset in its cache and cannot download one."""
    import keras

    def load_data():
        raise Exception("URL fetch failure: no network in this test")

    for name in ("mnist", "fashion_mnist", "cifar10"):
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", load_data)


@pytest.fixture
def mixed_bfloat16():
    """Layers made in the test compute in bfloat16 and keep float32 weights."""
    yield from under_policy("mixed_bfloat16")


@pytest.fixture
def double_precision():
    """Layers made in the test compute in float64, and have such weights."""
    yield from under_policy("float64")


def under_policy(name):
    """Set Keras's policy of dtypes, yield once, and set what was there before."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def figures_closed():
    """Figures that the test draws are closed behind it, and the style of plots is put back."""
    with plt.rc_context():
        yield
    plt.close("all")


@pytest.fixture(scope="session")
def digits():
    """The embedded digits."""
    return vqlib.load_dataset("digits")


@pytest.fixture
def rng():
    """A seeded NumPy generator."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_vqvae():
    """Return a function that makes a small VQVAE for 8 x 8 images, seeded; its codes have the shape (4, 4)."""
    import keras

    def make(seed=0, **arguments):
        keras.utils.set_random_seed(seed)
        quantizer = {} if "quantizer" in arguments else {"num_embeddings": 8, "embedding_dim": 4}
        return vqlib.VQVAE(**{"image_shape": (8, 8, 1), "filters": (4,), **quantizer, **arguments})

    return make


@pytest.fixture(scope="session")
def tiny_vqvae2():
    """Return a function that makes a small VQVAE2 for 8 x 8 images, seeded; codes of the shapes (2, 2) and (4, 4)."""
    import keras

    def make(seed=0, **arguments):
        keras.utils.set_random_seed(seed)
        codebooks = {} if "quantizers" in arguments else {"num_embeddings": (6, 8), "embedding_dim": 4}
        return vqlib.VQVAE2(**{"image_shape": (8, 8, 1), "filters": (4, 5), **codebooks, **arguments})

    return make


@pytest.fixture(scope="session")
def tiny_prior():
    """Return a function that makes a small PixelCNN, seeded, whose logits have the standard deviation `spread`.

    With the depth of the default architecture. Fresh weights would give nearly the same logits everywhere, and fresh
    biases, zeros, would hide one that is forgotten.
    """
    import keras

    def make(seed=0, spread=1.0, **arguments):
        keras.utils.set_random_seed(seed)
        prior = vqlib.PixelCNN(**{"code_shape": (2, 2), "num_embeddings": 3, "filters": 8, **arguments})
        generator = np.random.default_rng(seed)
        prior.set_weights([w if w.ndim > 1 else 0.2 * generator.normal(size=w.shape) for w in prior.get_weights()])
        codes = generator.integers(prior.num_embeddings, size=(64, *prior.code_shape))
        kernel = prior.network.layers[-1].kernel
        kernel.assign(kernel * (spread / np.std(prior(codes))))
        return prior

    return make


@pytest.fixture
def images(rng):
    """20 random images of 8 x 8 pixels in [-0.5, 0.5]."""
    return rng.uniform(-0.5, 0.5, size=(20, 8, 8, 1)).astype("float32")

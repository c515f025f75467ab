"""What ``import vqlib`` imports, what it keeps silent, and what Keras knows of vqlib's classes."""

import ast
import os
import pathlib
import subprocess
import sys
import types

import keras
import pytest

import vqlib
from vqlib import _quiet

ROOT = pathlib.Path(vqlib.__file__).parents[1]


def run(code, *path, **environment):
    """Run code in a fresh Python, in which `path` comes before vqlib."""
    paths = os.pathsep.join(map(str, [*path, ROOT]))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
    )


# Names


def test_every_public_name_is_there_and_listed():
    assert [name for name in vqlib.__all__ if not hasattr(vqlib, name)] == []
    assert {*vqlib.__all__, "quantizers", "book", "coursework"} <= {*dir(vqlib)}
    assert not {"sys", "importlib", "_quiet", "Any"} & {*dir(vqlib)}


def test_what_is_imported_late_is_what_a_type_checker_reads():
    tree = ast.parse(pathlib.Path(vqlib.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    read = {alias.name: node.module for node in block.body for alias in node.names}
    modules = {name for name, module in read.items() if module == "vqlib"}
    assert {name: module.removeprefix("vqlib.") for name, module in read.items() if name not in modules} == vqlib._HOMES
    assert {*read, "__version__"} == {*vqlib.__all__}


def test_docstring_names_all_that_is_public():
    assert [name for name in vqlib.__all__ if f"``{name}``" not in vqlib.__doc__ and name != "__version__"] == []


def test_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'vqlib' has no attribute 'VQVAE3'"):
        _ = vqlib.VQVAE3
    assert not hasattr(vqlib, "_nothing")
    assert not hasattr(vqlib, "nonsense.more")
    assert not hasattr(vqlib, "book.runs")
    assert not hasattr(vqlib, "")


def test_import_brings_neither_keras_nor_matplotlib_whatever_the_command_line():
    heavy = ("keras", "tensorflow", "matplotlib", "sklearn", "scipy")
    code = f"import sys, vqlib, vqlib._files, vqlib.coursework; print([n for n in {heavy} if n in sys.modules])"
    answer = run(code)
    assert (answer.stdout, answer.stderr) == ("[]\n", "")


# Keras


ORDERS = {
    "vqlib first": "import vqlib; import tensorflow; import keras",
    "a module first": "from vqlib.metrics import mean_squared_error; import keras",
    "keras first": "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import keras; import vqlib",
}


@pytest.mark.parametrize("order", ORDERS)
def test_saved_models_load_in_silence_after_import_vqlib_alone(order, tmp_path, tiny_vqvae, tiny_vqvae2, tiny_prior):
    quantizer = vqlib.EMAVectorQuantizer(num_embeddings=8, embedding_dim=4, restart_below=0.1, seed=1)
    models = [
        tiny_vqvae(quantizer=quantizer),
        tiny_vqvae2(),
        tiny_prior(),
        vqlib.GatedPixelCNN((2, 2), 3, filters=4, num_layers=1),
        vqlib.TransformerPrior((2, 2), 3, 4, 1, 2, condition_shape=(), num_conditions=3, condition_dropout=0.1),
        vqlib.MaskedTransformer((2, 2), 3, 4, 1, 2),
        vqlib.Classifier((8, 8, 1), 3, filters=(2,)),
    ]
    for number, model in enumerate(models):
        model.save(tmp_path / f"{number}.keras")
    code = f"""
{ORDERS[order]}
for number in range({len(models)}):
    print(type(keras.saving.load_model(rf"{tmp_path}/{{number}}.keras")).__name__)
known = {{name for name in keras.saving.get_custom_objects() if name.startswith("vqlib>")}}
import importlib, pkgutil, vqlib
for module in pkgutil.walk_packages(vqlib.__path__, "vqlib."):
    if not module.name.startswith(("vqlib.coursework.", "vqlib.__main__")):
        importlib.import_module(module.name)
print(sorted({{name for name in keras.saving.get_custom_objects() if name.startswith("vqlib>")}} - known))
"""
    answer = run(code, KERAS_BACKEND=keras.backend.backend())
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [*(type(model).__name__ for model in models), "[]"]
    if order != "keras first":  # then Keras has written already
        assert answer.stderr == ""


def test_backend_that_vqlib_cannot_compute_on_is_refused_with_keras():
    answer = run("import vqlib\nimport keras", KERAS_BACKEND="numpy")
    assert answer.returncode == 1
    assert "vqlib computes on tensorflow or jax, but the backend of Keras is numpy" in answer.stderr.splitlines()[-1]
    assert "KERAS_BACKEND" in answer.stderr.splitlines()[-1]


def test_backend_that_keras_itself_names_is_refused_too(monkeypatch):
    """As it is where its file keras.json names one."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ImportError, match="the backend of Keras is torch"):
        _quiet.Watch(list).keras_is_there()


# Silence


@pytest.fixture
def watch(monkeypatch, tmp_path):
    """Return a function that watches the import of stub modules, which it writes; returns a list of what it noticed."""

    def install(**sources):
        noticed = []
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(_quiet, "NOISY", tuple(sources))
        watcher = _quiet.Watch(lambda: noticed.append([name for name in sources if name in sys.modules]))
        monkeypatch.setattr(sys, "meta_path", [watcher, *sys.meta_path])
        return noticed

    yield install
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_what_a_noisy_module_writes_is_held_back(watch, capfd):
    watch(noisy_stub="import os; os.write(2, b'all is well'); VALUE = 1")
    import noisy_stub

    assert noisy_stub.VALUE == 1
    assert capfd.readouterr().err == ""
    assert type(noisy_stub.__loader__).__module__ == type(noisy_stub.__spec__.loader).__module__ != _quiet.__name__


def test_what_a_noisy_module_writes_is_shown_if_it_fails(watch, capfd):
    watch(noisy_stub="import os; os.write(2, b'no such library'); raise ImportError('lost')")
    with pytest.raises(ImportError, match="lost"):
        import noisy_stub  # noqa: F401
    assert capfd.readouterr().err == "no such library"


def test_models_are_imported_once_when_the_outermost_import_has_ended(watch, monkeypatch):
    noticed = watch(outer_stub="import inner_stub; DONE = True", inner_stub="", later_stub="")
    monkeypatch.setattr(_quiet, "_check_backend", lambda name: noticed.append(sys.modules["outer_stub"].DONE))
    import outer_stub  # noqa: F401

    assert noticed == [True, ["outer_stub", "inner_stub"]]
    import later_stub  # noqa: F401

    assert len(noticed) == 2


TENSORFLOW = """
import os
def write(*_, **__):
    os.write(2, b"said on first use")
write()
class config:
    list_physical_devices = write
"""


def test_tensorflow_says_nothing_when_it_is_imported_and_first_used(tmp_path):
    (tmp_path / "tensorflow.py").write_text(TENSORFLOW)
    code = "import vqlib, os, tensorflow; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    answer = run(code, tmp_path, TF_CPP_MIN_LOG_LEVEL="1")
    assert (answer.stdout, answer.stderr) == ("1\n", "")
    before = run("import tensorflow, vqlib", tmp_path)
    assert before.stderr == "said on first use", "what is imported before vqlib is silent on first use alone"


@pytest.mark.parametrize("gpus", [[], ["GPU:0"]], ids=["CPU", "GPU"])
def test_xla_compiles_its_first_function_in_silence_where_there_is_a_gpu(gpus):
    """Or TensorFlow writes red lines into the first training."""
    compiled = []

    class OpError(Exception):
        pass

    def function(body, jit_compile):
        def call():
            compiled.append((body(), jit_compile))
            raise OpError("the library of the driver is missing")  # which the training will say

        return call

    config = types.SimpleNamespace(list_physical_devices={"GPU": gpus}.get)
    errors = types.SimpleNamespace(OpError=OpError)
    _quiet._start(types.SimpleNamespace(config=config, errors=errors, function=function, zeros=lambda shape: shape))
    assert compiled == [((), True)] * len(gpus)

"""Keras and TensorFlow without their start-up messages, and Keras's knowledge of vqlib's classes.

``import vqlib`` imports neither, but watches for them. TensorFlow's native code writes messages to the standard error
stream before it reads ``TF_CPP_MIN_LOG_LEVEL``, which silences only later ones; in a notebook they would open every
chapter with red lines that say that all is well. So that stream is held back while they are imported, by whomever. What
goes wrong still arrives as an exception; set the variable to "0" before importing vqlib to see everything from then on.

``keras.saving.load_model`` finds a class by a name under which it was registered, where it is defined. So vqlib's
models are imported as soon as Keras is there.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from vqlib._stderr import held_back

BACKENDS = ("tensorflow", "jax")
NOISY = ("keras", "tensorflow")


class Watch(importlib.abc.MetaPathFinder):
    """Finds modules as the finders behind it do, and wraps the importing of Keras, TensorFlow and vqlib's own modules.

    Parameters
    ----------
    define_models : callable
        Imports vqlib's models. It is called once, when the outermost import ends that brought Keras: within one of
        vqlib's own modules, that module is not complete before.
    """

    def __init__(self, define_models: Callable[[], None]) -> None:
        self.define_models = define_models
        self.needed = True
        self._imports = threading.local()  # its depth: how many of the wrapped imports this thread is in

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that another finder gives, with a loader that wraps its own; None for other modules."""
        if fullname not in NOISY and not fullname.startswith("vqlib."):
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    @contextlib.contextmanager
    def importing(self, name: str) -> Iterator[None]:
        """Import a module in this block: in silence if it is a noisy one, and with the models behind it."""
        if name == "keras" and self.needed:
            _check_backend(os.environ.get("KERAS_BACKEND"))
        depth = getattr(self._imports, "depth", 0)
        self._imports.depth = depth + 1
        try:
            with held_back() if name in NOISY else contextlib.nullcontext():
                yield
        finally:
            self._imports.depth = depth
        if depth == 0 and "keras" in sys.modules:
            self.keras_is_there()

    def keras_is_there(self) -> None:
        """Import vqlib's models, once; raise ImportError where they cannot compute on Keras's backend."""
        if self.needed:
            _check_backend(importlib.import_module("keras").backend.backend())
            self.needed = False
            self.define_models()


class _Loader(importlib.abc.Loader):
    """Loads a module by another loader, which then takes its place."""

    def __init__(self, loader: Any, watch: Watch) -> None:
        self.loader, self.watch = loader, watch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        with self.watch.importing(module.__name__):
            self.loader.exec_module(module)
            if module.__name__ == "tensorflow":
                _start(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def _start(tensorflow: Any) -> None:
    """Let TensorFlow do what writes messages on first use: look for GPUs, and compile for one."""
    if tensorflow.config.list_physical_devices("GPU"):
        with contextlib.suppress(tensorflow.errors.OpError):  # what fails here fails again, and loudly, in a training
            tensorflow.function(lambda: tensorflow.zeros(()), jit_compile=True)()


def _check_backend(name: str | None) -> None:
    if name and name not in BACKENDS:
        raise ImportError(
            f"vqlib computes on {' or '.join(BACKENDS)}, but the backend of Keras is {name}. Set the environment "
            "variable KERAS_BACKEND to one of them before Python starts, or unset it: TensorFlow is the default."
        )


def watch_imports(define_models: Callable[[], None]) -> Watch:
    """Silence Keras and TensorFlow from now on, and import vqlib's models with Keras; whatever is there already too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    watch = Watch(define_models)
    sys.meta_path.insert(0, watch)
    if "tensorflow" in sys.modules:
        with held_back():
            _start(sys.modules["tensorflow"])
    return watch

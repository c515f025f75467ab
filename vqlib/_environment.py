"""What a result depends on beside code and data: versions, and what Keras computes on."""

import importlib
import platform

import keras
import numpy as np

from vqlib import _backend as backend


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, by name: python, Keras's backend, keras, numpy."""
    name = keras.backend.backend()
    return {
        "python": platform.python_version(),
        name: importlib.import_module(name).__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def device() -> str:
    """Return in words what Keras computes on: the names of the GPUs, or the processor."""
    return ", ".join(backend.accelerators()) or f"CPU ({platform.machine()})"

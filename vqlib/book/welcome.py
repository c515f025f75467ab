"""What a reader wants to know before the first cell of a chapter goes on."""

import importlib
import os
import platform

import keras

from vqlib import _environment
from vqlib._version import __version__
from vqlib.book.profiles import profile


def show_setup(takes_long: str) -> None:
    """Print versions, what Keras computes on, the profile, and what will take long.

    Parameters
    ----------
    takes_long : str
        What of the chapter takes more than some seconds, and how long, in the default profile.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        backend = f"TensorFlow {importlib.import_module(backend).__version__}"
    current = profile()
    print(f"vqlib {__version__}, Keras {keras.__version__} on {backend}, Python {platform.python_version()}")
    print(f"Computes on: {_environment.device()}, {os.cpu_count()} processor cores")
    print(f'Profile "{current}": {current.sentence}')
    print(f'Takes long, in the profile "default": {takes_long}')

"""What a reader wants to know before the first cell of a chapter goes on."""

import os
import platform

import keras

from vqlib import checkpoints, runs
from vqlib._quiet import tensorflow
from vqlib._version import __version__

PROFILES = {
    "full": "everything is trained from scratch, for hours in some chapters",
    "default": "what the chapter teaches is trained here, what earlier chapters trained is loaded",
    "quick": "a few steps on small data, to see that everything runs; the results mean nothing",
}


def show_setup(takes_long):
    """Print versions, what Keras computes on, the profile, and what will take long.

    Parameters
    ----------
    takes_long : str
        What of the chapter takes more than some seconds, and how long, in the default profile.
    """
    backend = keras.backend.backend() if tensorflow is None else f"TensorFlow {tensorflow.__version__}"
    profile = runs.profile()
    print(f"vqlib {__version__}, Keras {keras.__version__} on {backend}, Python {platform.python_version()}")
    print(f"Computes on: {checkpoints.device()}, {os.cpu_count()} processor cores")
    print(f'Profile "{profile}": {PROFILES[profile]}')
    print(f'Takes long, in the profile "default": {takes_long}')

"""Keras, imported without the start-up messages of its backend.

TensorFlow's native code writes them to the standard error stream before it reads ``TF_CPP_MIN_LOG_LEVEL``, which
silences only later ones. In a notebook they would open every chapter with red lines that say that all is well. What
goes wrong still arrives as an exception; set the variable to "0" before importing vqlib to see everything from then on.
"""

import os

from vqlib._stderr import held_back


def _import_keras():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back():
        import keras

        if keras.backend.backend() != "tensorflow":
            return None
        import tensorflow

        tensorflow.config.list_physical_devices("GPU")  # without a GPU, the driver says so on first use
    return tensorflow


tensorflow = _import_keras()  # None where Keras runs on another backend

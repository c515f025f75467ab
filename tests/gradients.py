"""Gradients on the backend in use, so that a test need not know which one that is."""

import keras
import numpy as np
from keras import ops

TENSORFLOW = keras.backend.backend() == "tensorflow"


def gradients(function, arrays=(), variables=()):
    """Return the gradients of the number ``function(*arrays)``: NumPy arrays, those of the Keras variables last.

    Where the number does not depend on one of them, zeros. The function may use the losses of layers that it calls.
    """
    arrays = [ops.convert_to_tensor(array) for array in arrays]
    values = [variable.value for variable in variables]
    differentiate = _by_tape if TENSORFLOW else _by_jax
    return [np.asarray(each) for each in differentiate(function, arrays, variables, values)]


def _by_tape(function, arrays, variables, values):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arrays)
        number = function(*arrays)
    return map(tf.convert_to_tensor, tape.gradient(number, [*arrays, *values], unconnected_gradients="zero"))


def _by_jax(function, arrays, variables, values):
    import jax

    def stateless(arrays, values):
        with keras.StatelessScope(list(zip(variables, values, strict=True)), collect_losses=True):
            return function(*arrays)

    of_arrays, of_variables = jax.grad(stateless, argnums=(0, 1))(arrays, values)
    return [*of_arrays, *of_variables]

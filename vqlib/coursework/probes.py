"""What checks ask of a student's objects beyond calling them. They run where the objects live, and return data."""

import tracemalloc

import numpy as np


def peak_megabytes(function, *arguments):
    """Return the most memory, in MB, that NumPy held at a time while `function` ran."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def gradients(function, *arrays):
    """Return the gradient of the sum of what `function` gives, for each of the float arrays that it is given.

    Where no gradient arrives, None stands; that is not the same as zeros.
    """
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        total = tf.reduce_sum(tf.convert_to_tensor(function(*tensors)))
    found = tape.gradient(total, tensors)
    return [None if gradient is None else np.asarray(tf.convert_to_tensor(gradient)) for gradient in found]

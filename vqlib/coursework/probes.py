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
    """Return the gradient of the sum of what `function` gives, for each of the float arrays that it is given."""
    return pullback(function, 1.0, *arrays)


def pullback(function, weights, *arrays):
    """Return the gradient of the weighted sum of what `function` gives, for each of the float arrays that it is given.

    Where no gradient arrives, there are zeros.
    """
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = tf.cast(tf.convert_to_tensor(function(*tensors)), "float32")
        total = tf.reduce_sum(np.asarray(weights, "float32") * output)
    found = tape.gradient(total, tensors, unconnected_gradients="zero")
    return [np.asarray(tf.convert_to_tensor(gradient)) for gradient in found]


def pullback_first(function, weights, array, *others):
    """Return the gradient of the weighted sum of what `function` gives, for its first argument alone.

    The other arguments are handed on as they are, so they may be integers. Where no gradient arrives, there are zeros.
    """
    return pullback(lambda tensor: function(tensor, *others), weights, array)[0]

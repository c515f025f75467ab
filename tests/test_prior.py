"""What the networks of priors are made of."""

import numpy as np
import pytest

from vqlib.prior import Dense


@pytest.mark.parametrize("shape", [(50, 1, 7, 96), (50, 7, 7, 96), (50, 1, 1, 96), (50, 96)])
def test_dense_layer_is_the_same_matrix_at_every_position(rng, shape):
    """Of one row, too, which TensorFlow 2.20 multiplies wrongly, or dies of, where it is left to Keras."""
    layer = Dense(96, activation="relu")
    x = rng.normal(size=shape).astype("float32")
    y = np.asarray(layer(x))
    kernel, bias = (np.asarray(weight) for weight in layer.weights)
    assert y.shape == shape
    assert y == pytest.approx(np.maximum(x @ kernel + bias, 0), abs=1e-4)

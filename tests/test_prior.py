"""What the networks of priors are made of."""

import keras
import numpy as np
import pytest

from vqlib import _backend as backend
from vqlib.pixelcnn import MaskedConv2D
from vqlib.prior import Dense, dtype_of_logits


def one_by_one(units, activation):
    """Return a masked 1 x 1 convolution, which is a Dense layer, too."""
    return MaskedConv2D(units, 1, "B", activation=activation)


@pytest.mark.parametrize("make", [Dense, one_by_one])
@pytest.mark.parametrize("shape", [(50, 1, 7, 96), (50, 7, 7, 96), (50, 1, 1, 96)])
def test_a_layer_is_the_same_matrix_at_every_position(rng, shape, make):
    """Of one row, too, which TensorFlow 2.20 multiplies wrongly, or dies of, where it is left to Keras."""
    layer = make(96, activation="relu")
    x = rng.normal(size=shape).astype("float32")
    y = np.asarray(layer(x))
    kernel, bias = (np.asarray(weight).reshape(-1, 96) for weight in layer.weights)
    assert y.shape == shape
    assert y == pytest.approx(np.maximum(x @ kernel + bias, 0), abs=1e-4)


def test_logits_are_float32_in_mixed_precision_and_float64_in_double(mixed_bfloat16):
    assert dtype_of_logits() == "float32"
    with backend.double_precision():
        assert dtype_of_logits() == "float64"


def test_tanh_of_float64_is_float64(rng):
    """On JAX, that of Keras is off by 1e-7."""
    x = rng.normal(size=1000) * 5
    with backend.double_precision():
        y = keras.ops.convert_to_numpy(backend.tanh(keras.ops.convert_to_tensor(x, "float64")))
    np.testing.assert_allclose(y, np.tanh(x), rtol=0, atol=1e-15)

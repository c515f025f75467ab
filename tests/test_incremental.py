"""One position at a time: each layer, each box and each prior gives what it gives for whole grids."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import vqlib
from vqlib.gated import CroppedCodeConv2D, CroppedConv2D, GatedLayer
from vqlib.incremental import (
    IncrementalCodeConv,
    IncrementalConv,
    IncrementalHorizontalConv,
    IncrementalVerticalConv,
    InRow,
    incremental,
)
from vqlib.pixelcnn import MaskedCodeConv2D, MaskedConv2D, ResidualBlock, causal_mask
from vqlib.sampling import sample, sample_plainly

K = 5
SHAPES = [(5, 4), (1, 1), (1, 6), (6, 1)]


def with_biases(*parts, rng):
    """Give layers biases, which are zeros at first and would hide one that is forgotten."""
    for layer in parts:
        layer.bias.assign(rng.normal(size=layer.bias.shape))


def features(rng, *shape):
    return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))


def run_along(network, grid, sees_itself):
    """Run an incremental network over a grid, (B, H, W, ...) -> (B, H, W, ...).

    At each position it is handed the inputs of the row before it, or, where `sees_itself`, up to it.
    """
    state, outputs = network.initial_state(ops.convert_to_tensor(len(grid), "int32")), []
    for i in range(grid.shape[1]):
        row = network.begin_row(state)
        inputs = [grid[:, i, j] for j in range(grid.shape[2])]
        outputs.append([network.step(row, inputs[: j + sees_itself]) for j in range(len(inputs))])
        state = network.end_row(row, inputs)
    return np.stack([np.stack(row, axis=1) for row in outputs], axis=1)


# Layers


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_masked_convolution_step_by_step(kernel_size, shape, rng):
    layer = MaskedConv2D(6, kernel_size, "B", "tanh")
    x = features(rng, 3, *shape, 2)
    layer(x)
    with_biases(layer, rng=rng)
    np.testing.assert_allclose(run_along(IncrementalConv(layer, shape[1]), x, True), layer(x), atol=1e-5)


def code_layers():
    return [
        MaskedCodeConv2D(K, 6, 7, "A"),
        MaskedCodeConv2D(K, 6, 3, "A"),
        CroppedCodeConv2D(K, 6, (-3, -1), (-3, 3)),
        CroppedCodeConv2D(K, 6, (0, 0), (-3, -1)),
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("which", range(4), ids=["masked 7 x 7", "masked 3 x 3", "vertical", "horizontal"])
def test_convolution_of_codes_step_by_step(which, shape, rng):
    layer = code_layers()[which]
    codes = ops.convert_to_tensor(rng.integers(K, size=(3, *shape)).astype("int32"))
    layer(codes)
    with_biases(layer, rng=rng)
    np.testing.assert_allclose(run_along(IncrementalCodeConv(layer, shape[1]), codes, False), layer(codes), atol=1e-5)


def test_convolution_of_codes_follows_a_mask_that_was_changed(rng):
    layer = MaskedCodeConv2D(K, 6, 7, "A")
    layer.mask[:3, 3] = 0  # nothing straight above
    layer.mask[3, 1] = 0  # nor the second to the left
    codes = ops.convert_to_tensor(rng.integers(K, size=(3, 5, 4)).astype("int32"))
    layer(codes)
    np.testing.assert_allclose(run_along(IncrementalCodeConv(layer, 4), codes, False), layer(codes), atol=1e-5)


def see_itself(layer):
    layer.mask = causal_mask(7, "B")


def begin_a_row_too_low(layer):
    layer.origin = (2, 3)


@pytest.mark.parametrize(("which", "break_it"), [(0, see_itself), (2, begin_a_row_too_low)], ids=["mask", "origin"])
def test_convolution_that_sees_the_code_to_draw_is_refused(which, break_it, rng):
    layer = code_layers()[which]
    layer(rng.integers(K, size=(3, 5, 4)))
    break_it(layer)
    with pytest.raises(
        ValueError, match=rf"The layer '{layer.name}' sees the code that is to be drawn: .*_plainly draws"
    ):
        IncrementalCodeConv(layer, 4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_vertical_convolution_row_by_row(shape, rng):
    layer = CroppedConv2D(6, (-1, 0), (-1, 1))
    x = features(rng, 3, *shape, 2)
    layer(x)
    with_biases(layer, rng=rng)
    network = IncrementalVerticalConv(layer, shape[1])
    state, rows = network.initial_state(3), []
    for i in range(shape[0]):
        conv = InRow(network, state)
        rows.append(conv(x[:, i : i + 1]))
        state = conv.end()
    np.testing.assert_allclose(ops.concatenate(rows, axis=1), layer(x), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_horizontal_convolution_step_by_step(shape, rng):
    layer = CroppedConv2D(6, (0, 0), (-1, 0))
    x = features(rng, 3, *shape, 2)
    layer(x)
    with_biases(layer, rng=rng)
    np.testing.assert_allclose(run_along(IncrementalHorizontalConv(layer), x, True), layer(x), atol=1e-5)


# Boxes: what is added around the convolutions at one position is what is added for a grid


def test_residual_block_step_by_step(rng):
    block = ResidualBlock(6, "block")
    x = features(rng, 3, 5, 4, 6)
    expected = block(x)
    with_biases(block.reduce, block.masked, block.expand, rng=rng)
    assert not np.allclose(block(x), expected, atol=0.1)
    conv = IncrementalConv(block.masked, 4)
    state, rows = conv.initial_state(3), []
    for i in range(5):
        masked = InRow(conv, state)
        rows.append(ops.stack([block.step(x[:, i, j], masked) for j in range(4)], axis=1))
        state = masked.end()
    np.testing.assert_allclose(ops.stack(rows, axis=1), block(x), atol=1e-5)


@pytest.mark.parametrize("conditioned", [False, True])
def test_gated_layer_row_by_row_and_step_by_step(conditioned, rng):
    layer = GatedLayer(1, K, 6, dropout=0.5, conditioned=conditioned)
    above, here = features(rng, 3, 5, 4, 6), features(rng, 3, 5, 4, 6)
    condition = features(rng, 3, 5, 4, 2) if conditioned else None
    layer(above, here, condition)
    with_biases(layer.vertical, layer.horizontal, layer.to_horizontal, layer.out, rng=rng)
    vertical, horizontal = IncrementalVerticalConv(layer.vertical, 4), IncrementalHorizontalConv(layer.horizontal)
    state, rows_above, rows_here = vertical.initial_state(3), [], []
    for i in range(5):
        row = slice(i, i + 1)
        down, along = InRow(vertical, state), InRow(horizontal, None)
        told = condition[:, row] if conditioned else None
        next_above, from_above = layer.vertical_step(down(above[:, row]), told)
        steps = [layer.horizontal_step(along(here[:, i, j]), from_above[:, 0, j], here[:, i, j]) for j in range(4)]
        rows_above.append(next_above)
        rows_here.append(ops.stack(steps, axis=1))
        state = down.end()
    expected_above, expected_here = layer(above, here, condition)
    np.testing.assert_allclose(ops.concatenate(rows_above, axis=1), expected_above, atol=1e-5)
    np.testing.assert_allclose(ops.stack(rows_here, axis=1), expected_here, atol=1e-5)


def test_first_gated_layer_adds_no_codes(rng):
    layer = GatedLayer(0, K, 6, dropout=0.0, conditioned=False)
    codes = ops.convert_to_tensor(rng.integers(K, size=(3, 5, 4)).astype("int32"))
    above, here = layer(codes, codes)
    _, from_above = layer.vertical_step(layer.vertical(codes))
    np.testing.assert_allclose(here, layer.horizontal_step(layer.horizontal(codes), from_above), atol=1e-6)
    assert above.shape == here.shape == (3, 5, 4, 6)


# Priors


@pytest.mark.parametrize("condition_shape", [None, (), (5, 2)], ids=str)
def test_gated_prior_step_by_step(condition_shape, rng):
    conditioned = {} if condition_shape is None else {"condition_shape": condition_shape, "num_conditions": 3}
    prior = vqlib.GatedPixelCNN((5, 4), K, filters=6, num_layers=3, **conditioned)
    prior.set_weights([rng.normal(size=w.shape) / np.sqrt(max(len(w), 4)) for w in prior.get_weights()])
    codes = ops.convert_to_tensor(rng.integers(K, size=(3, 5, 4)).astype("int32"))
    condition = [] if condition_shape is None else [ops.convert_to_tensor(rng.integers(3, size=(3, *condition_shape)))]
    found = run_along(incremental(prior, *condition), codes, False)
    np.testing.assert_allclose(found, prior((codes, *condition) if condition else codes), atol=1e-4)


def test_plain_prior_step_by_step(tiny_prior, rng):
    prior = tiny_prior(code_shape=(5, 4), num_embeddings=K)
    codes = ops.convert_to_tensor(rng.integers(K, size=(3, 5, 4)).astype("int32"))
    np.testing.assert_allclose(run_along(incremental(prior), codes, False), prior(codes), atol=1e-5)


class Follower(keras.Model):
    """A reader's own prior: each code hangs on the one to its left and, in the first column, on nothing."""

    def __init__(self, code_shape, num_embeddings):
        super().__init__()
        self.code_shape, self.num_embeddings = code_shape, num_embeddings
        self.after = layers.Embedding(num_embeddings + 1, num_embeddings, embeddings_initializer="normal")
        self.after.build()

    def call(self, codes):
        """Return the logits: (B, h, w) int -> (B, h, w, K)."""
        return self.after(ops.pad(codes, [[0, 0], [0, 0], [1, 0]], constant_values=self.num_embeddings)[:, :, :-1])


class IncrementalFollower:
    """A Follower, one position at a time; its state counts rows, for the sake of having one."""

    def __init__(self, prior):
        self.prior = prior

    def initial_state(self, batch):
        return {"rows": ops.zeros((), "int32"), "start": ops.full((batch,), self.prior.num_embeddings, "int32")}

    def begin_row(self, state):
        return state

    def step(self, row, inputs):
        return self.prior.after(inputs[-1] if inputs else row["start"])

    def end_row(self, row, inputs):
        assert len(inputs) == self.prior.code_shape[1]
        return {"rows": row["rows"] + 1, "start": row["start"]}


def test_prior_of_a_class_that_is_not_registered_is_only_drawn_from_plainly():
    keras.utils.set_random_seed(0)
    prior = Follower((2, 3), K)
    said = r"how to run a Follower one position at a time\. .*sample_plainly draws .*register its class"
    with pytest.raises(TypeError, match=said):
        sample(prior, 4)
    assert sample_plainly(prior, 4).shape == (4, 2, 3)


def test_prior_of_ones_own_is_drawn_from_when_it_is_registered(rng):
    class Registered(Follower):
        pass

    incremental.register(Registered, IncrementalFollower)
    keras.utils.set_random_seed(0)
    prior = Registered((3, 4), K)
    codes = sample(prior, 50, seed=1)
    np.testing.assert_array_equal(codes, sample_plainly(prior, 50, seed=1))
    assert len(np.unique(codes)) == K
    known, keep = rng.integers(K, size=(6, 3, 4)), rng.random((6, 3, 4)) < 0.5
    inpainted = sample(prior, codes=known, keep=keep, seed=2)
    np.testing.assert_array_equal(inpainted, sample_plainly(prior, codes=known, keep=keep, seed=2))

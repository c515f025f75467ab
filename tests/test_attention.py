"""The boxes of a transformer: equal to the equations written plainly, and one position at a time to all at once."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from vqlib.attention import EPSILON, Attention, Block, GridPositions, KeptRow, RMSNorm, attend, check_heads, gelu

SHAPES = [(3, 4), (1, 1), (1, 5), (5, 1)]
C, H = 6, 2


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attend_by_hand(q, k, v, visible):
    """One head, one position after the other: (T, d), (S, d), (S, d) -> (T, d)."""
    out = np.zeros((len(q), v.shape[1]))
    for t in range(len(q)):
        seen = np.flatnonzero(visible[t])
        weights = softmax(np.array([q[t] @ k[s] for s in seen]) / math.sqrt(q.shape[1]))
        out[t] = sum(weight * v[s] for weight, s in zip(weights, seen, strict=True))
    return out


def normed(x, layer):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON) * np.asarray(layer.scale)


def dense(x, layer):
    return x @ np.asarray(layer.kernel) + (0 if layer.bias is None else np.asarray(layer.bias))


def attention_by_hand(x, attention):
    """The output of an :class:`Attention`: (B, T, C) -> (B, T, C)."""
    q, k, v = (dense(x, layer) for layer in (attention.query, attention.key, attention.value))
    visible = np.tril(np.ones((x.shape[1],) * 2)) if attention.causal else np.ones((x.shape[1],) * 2)
    heads = [slice(i, i + C // H) for i in range(0, C, C // H)]
    each = [
        np.concatenate([attend_by_hand(*(y[b][:, head] for y in (q, k, v)), visible) for head in heads], axis=-1)
        for b in range(len(x))
    ]
    return dense(np.stack(each), attention.out)


def with_wild_weights(*layers, rng):
    for layer in layers:
        layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])


def wild_attention(causal, rng):
    attention = Attention(C, H, causal, "a")
    attention(ops.zeros((1, 2, C)))
    with_wild_weights(attention.query, attention.key, attention.value, attention.out, rng=rng)
    return attention


def wild_block(causal, rng):
    block = Block(C, H, causal, 0.1, "b")
    block(ops.zeros((1, 2, C)))
    parts = (block.attention.query, block.attention.key, block.attention.value, block.attention.out)
    with_wild_weights(*parts, block.attention_norm, block.norm, block.expand, block.contract, rng=rng)
    return block


def features(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def run_along(box, attention, x, shape):
    """Run a box over a grid one position at a time, with what is kept: (B, h * w, C) -> (B, h * w, C)."""
    state, outputs = KeptRow.start(attention, len(x), shape), []
    for i in range(shape[0]):
        row = KeptRow(state, ops.convert_to_tensor(i, "int32"), shape)
        outputs += [box.step(ops.convert_to_tensor(x[:, i * shape[1] + j]), row) for j in range(shape[1])]
        state = row.end()
    return np.stack(outputs, axis=1)


# Equal to the equations written plainly


@pytest.mark.parametrize("causal", [True, False])
def test_attend_is_the_weighted_mean_written_plainly(causal, rng):
    q, k, v = features(rng, 5, 3), features(rng, 5, 3), features(rng, 5, 3)
    visible = np.tril(np.ones((5, 5), bool)) if causal else np.ones((5, 5), bool)
    found = attend(*(x[None, None] for x in (q, k, v)), visible if causal else None)
    np.testing.assert_allclose(found[0, 0], attend_by_hand(q, k, v, visible), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_hidden_has_no_weight_at_all(dtype, rng):
    q, k, v = (ops.cast(features(rng, 2, 1, 4, 3), dtype) for _ in range(3))
    visible = np.tril(np.ones((4, 4), bool))
    with_later = [ops.concatenate([x[:, :, :3], 100 + x[:, :, 3:]], axis=2) for x in (k, v)]
    one, other = (np.asarray(ops.cast(attend(q, *kv, visible), "float32")) for kv in ((k, v), with_later))
    np.testing.assert_array_equal(one[:, :, :3], other[:, :, :3])
    assert (one[:, :, 3] != other[:, :, 3]).any()


def test_gelu_is_about_x_times_the_normal_distribution_function():
    x = np.linspace(-6, 6, 101)
    exact = np.array([each * 0.5 * (1 + math.erf(each / math.sqrt(2))) for each in x])
    np.testing.assert_allclose(gelu(x.astype("float32")), exact, atol=5e-4)
    by_tanh = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(gelu(x.astype("float32")), by_tanh, atol=1e-6)


def test_norm_divides_by_the_root_mean_square(rng):
    layer, x = RMSNorm(), 5 * features(rng, 3, 4, 6) + 1
    np.testing.assert_allclose((np.asarray(layer(x)) ** 2).mean(axis=-1), 1, rtol=1e-5)
    with_wild_weights(layer, rng=rng)
    np.testing.assert_allclose(layer(x), normed(x, layer), rtol=1e-5)
    np.testing.assert_array_equal(layer(np.zeros((1, 6), "float32")), np.zeros((1, 6)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX computes float64 only where told to")
def test_norm_and_gelu_of_float64_are_exact(rng):
    x = rng.normal(size=(5, 6)) * 3
    layer = RMSNorm(dtype="float64")
    np.testing.assert_allclose(layer(x), normed(x, layer), rtol=1e-14)
    by_tanh = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(gelu(ops.convert_to_tensor(x)), by_tanh, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_norm_of_large_features_in_low_precision(dtype):
    """The square of 300 is more than float16 has."""
    layer = RMSNorm(dtype=f"mixed_{dtype}")
    found = layer(ops.cast(np.array([[300.0, -300.0, 300.0]]), dtype))
    assert found.dtype == dtype
    np.testing.assert_array_equal(ops.cast(found, "float32"), [[1, -1, 1]])


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_that_of_each_head_put_together(causal, rng):
    attention, x = wild_attention(causal, rng), features(rng, 3, 5, C)
    np.testing.assert_allclose(attention(x), attention_by_hand(x, attention), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("causal", [True, False])
def test_block_adds_attention_and_two_layers(causal, rng):
    block, x = wild_block(causal, rng), features(rng, 3, 5, C)
    y = x + attention_by_hand(normed(x, block.attention_norm), block.attention)
    expected = y + dense(np.asarray(gelu(dense(normed(y, block.norm), block.expand).astype("float32"))), block.contract)
    np.testing.assert_allclose(block(x), expected, atol=1e-3, rtol=1e-4)


def test_positions_add_a_vector_for_the_row_and_one_for_the_column(rng):
    layer = GridPositions((2, 3), before=1)
    layer(np.zeros((1, 7, C), "float32"))
    with_wild_weights(layer, rng=rng)
    rows, columns = layer.get_weights()
    expected = np.array([rows[i] + columns[j] for i in range(2) for j in range(3)])
    x = features(rng, 2, 7, C)
    np.testing.assert_allclose(layer(x)[:, 1:], x[:, 1:] + expected, atol=1e-6)
    np.testing.assert_array_equal(layer(x)[:, 0], x[:, 0])
    np.testing.assert_allclose(layer.vectors(), expected, atol=1e-6)
    twin = GridPositions.from_config(layer.get_config())
    assert (twin.code_shape, twin.before) == ((2, 3), 1)


# One position at a time


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention_step_by_step(shape, rng):
    attention, x = wild_attention(True, rng), features(rng, 3, shape[0] * shape[1], C)
    np.testing.assert_allclose(run_along(attention, attention, x, shape), attention(x), atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_block_step_by_step(shape, rng):
    block, x = wild_block(True, rng), features(rng, 3, shape[0] * shape[1], C)
    np.testing.assert_allclose(run_along(block, block.attention, x, shape), block(x), atol=1e-3)


def test_what_is_kept_keeps_its_shape_and_only_of_rows_that_were_computed(rng):
    attention, x = wild_attention(True, rng), features(rng, 2, 3, C)
    state = KeptRow.start(attention, 2, (4, 3))
    row = KeptRow(state, ops.convert_to_tensor(1, "int32"), (4, 3))
    for j in range(3):
        attention.step(ops.convert_to_tensor(x[:, j]), row)
    for before, after, layer in zip(state, row.end(), (attention.key, attention.value), strict=True):
        assert before.shape == after.shape == (2, H, 12, C // H)
        assert not np.asarray(before).any()
        expected = np.zeros((2, H, 12, C // H))
        expected[:, :, 3:6] = np.asarray(attention.split(layer(x)))
        np.testing.assert_allclose(after, expected, atol=1e-6)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((96, 5), r"hidden_dim=96 cannot be divided among num_heads=5: give a multiple of it, such as 95"),
        ((4, 8), r"such as 8"),
        ((0, 4), r"hidden_dim must be an integer of at least 1, but 0 was given"),
        ((96, 2.0), r"num_heads must be an integer of at least 1, but 2.0 was given"),
    ],
    ids=str,
)
def test_channels_that_do_not_fit_the_heads_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_heads(*arguments)

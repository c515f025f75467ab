"""Chapter 7: the checks of its exercises, and what it builds by hand, against the library on small priors."""

import chapters
import keras
import numpy as np
import pytest
from keras import ops

import vqlib
from vqlib.pixelcnn import MaskedConv2D

NAMES = {"1": "layers_needed", "2": "told_gate", "3": "class_probabilities", "4": "probabilities_of_both"}


def softmax(logits):
    p = np.exp(logits - np.max(logits))
    return p / p.sum()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate_of(y):
    values, openness = np.split(y, 2)
    return np.tanh(values) * sigmoid(openness)


RIGHT = {
    "1": [
        lambda n: 1 if n < 5 else n - 3,
        lambda n: next(layers for layers in range(1, n + 9) if layers + 2 >= n - 1),
        lambda n: np.int64(max(n, 4) - 3),
    ],
    "2": [
        lambda y, label, weights: gate_of(y + np.eye(10)[label] @ weights),
        lambda y, label, weights: ops.convert_to_tensor(gate_of(y + weights[label])),
    ],
    "3": [
        lambda bits: softmax(-np.log(2) * bits),
        lambda bits: 2 ** (-bits - np.logaddexp2.reduce(-bits)),
        lambda bits: [1 / np.sum(2.0 ** np.minimum(each - bits, 1000)) for each in bits],
    ],
    "4": [
        lambda a, b, nothing: softmax(a + b - nothing),
        lambda a, b, nothing: ops.softmax(nothing + (a - nothing) + (b - nothing)),
    ],
}
WRONG = {
    "1": {
        "a layer less": lambda n: max(1, n - 4),
        "a layer more": lambda n: n - 2,
        "three rows a layer": lambda n: max(1, -(-(n - 1) // 3)),
        "no least": lambda n: n - 3,
        "the other sign": lambda n: abs(n - 3) or 1,
        "none for one code": lambda n: max(min(n - 1, 1), n - 3),
    },
    "2": {
        "behind the gate": lambda y, label, weights: gate_of(y) + weights[label, : len(y) // 2],
        "the other half first": lambda y, label, weights: gate_of(np.roll(y + weights[label], len(y) // 2)),
        "the values alone": lambda y, label, weights: gate_of(y + weights[label] * (np.arange(len(y)) < len(y) // 2)),
        "no class": lambda y, label, weights: gate_of(y),
        "every other one": lambda y, label, weights: (
            np.tanh((y + weights[label])[::2]) * sigmoid((y + weights[label])[1::2])
        ),
        "two tanh": lambda y, label, weights: np.prod(np.tanh(np.split(y + weights[label], 2)), axis=0),
    },
    "3": {
        "of e": lambda bits: softmax(-bits),
        "the most expensive": lambda bits: softmax(np.log(2) * bits),
        "underflow": lambda bits: 2.0**-bits / max(np.sum(2.0**-bits), 1e-300),
        "the cheapest alone": lambda bits: (bits == bits.min()).astype(float),
        "not normalized": lambda bits: 2.0 ** (bits.min() - bits),
        "shares of bits": lambda bits: bits / bits.sum(),
    },
    "4": {
        "the sum": lambda a, b, nothing: softmax(a + b),
        "the mean": lambda a, b, nothing: softmax((a + b) / 2),
        "nothing twice": lambda a, b, nothing: softmax(a + b - 2 * nothing),
        "nothing added": lambda a, b, nothing: softmax(a + b + nothing),
        "mixed": lambda a, b, nothing: (softmax(a) + softmax(b)) / 2,
        "logits": lambda a, b, nothing: a + b - nothing,
        "overflow": lambda a, b, nothing: np.exp(np.minimum(a + b - nothing, 700)) / 1e300,
    },
}


@pytest.mark.parametrize(("exercise", "n"), [(e, n) for e, answers in RIGHT.items() for n in range(len(answers))])
def test_right_answers_pass(exercise, n):
    assert chapters.accepts(7, NAMES, exercise, RIGHT[exercise][n])


@pytest.mark.parametrize(("exercise", "mistake"), [(e, mistake) for e, answers in WRONG.items() for mistake in answers])
def test_wrong_answers_do_not_pass(exercise, mistake):
    assert not chapters.accepts(7, NAMES, exercise, WRONG[exercise][mistake])


@pytest.fixture
def told():
    """A small prior that can be told a class or nothing, and whose logits differ."""
    keras.utils.set_random_seed(0)
    prior = vqlib.GatedPixelCNN(
        (7, 7), 128, filters=4, num_layers=2, condition_shape=(), num_conditions=10, condition_dropout=0.1
    )
    for weight in prior.trainable_variables:
        weight.assign(keras.random.normal(weight.shape, stddev=0.5))
    return prior


def test_sampler_of_the_chapter_draws_what_vqlib_does(told):
    sample_guided = chapters.functions(7, "sample_guided", given={"np": np, "ops": ops})["sample_guided"]
    labels = np.arange(10)
    by_hand = sample_guided(told, labels, w=1.0, seed=3)
    fast = vqlib.sample(told, condition=labels, guidance=1.0, seed=3)
    assert np.mean((by_hand == fast).all(axis=(1, 2))) >= 0.8
    assert not np.array_equal(fast, vqlib.sample(told, condition=labels, seed=3))


def test_two_classes_at_once_are_the_classes_added_to_nothing(told):
    code = chapters.cell_with(7, "class Both:").partition("pairs = ")[0]
    given = {"told": told, "ops": ops}
    exec(code, given)
    both = given["Both"](4, 9)
    codes = np.random.default_rng(0).integers(0, 128, (3, 7, 7))
    a, b, nothing = (np.asarray(told((codes, np.full(3, label)))) for label in (4, 9, -1))
    np.testing.assert_allclose(np.asarray(both(ops.convert_to_tensor(codes))), a + b - nothing, atol=1e-4)
    assert vqlib.sampling.sample_plainly(both, 2, seed=0).shape == (2, 7, 7)


def test_blind_spot_put_back_is_that_of_any_plain_stack_and_survives_a_step():
    names = chapters.functions(7, "influence", given={"np": np, "ops": ops})
    code = chapters.cell_with(7, "class Cut(").partition("blinded =")[0]
    names |= {"keras": keras, "vqlib": vqlib}
    exec(code, names)
    gated = names["put_blind_spot_back"](vqlib.GatedPixelCNN())
    gated.compile("sgd")
    codes = np.random.default_rng(0).integers(0, 128, (8, 7, 7))
    gated.fit(codes, verbose=0)
    plain = vqlib.PixelCNN(num_residual_blocks=6)
    seen = names["influence"](gated, codes[0])
    np.testing.assert_array_equal(seen, names["influence"](plain, codes[0]))
    assert (np.tril(np.ones((49, 49), bool), k=-1) & ~seen).sum() > 0


def test_plain_prior_without_its_relus():
    names = chapters.functions(7, "without_relus", given={"keras": keras, "MaskedConv2D": MaskedConv2D})
    prior = names["without_relus"](vqlib.PixelCNN(filters=4, dropout=0.2))
    masked = [layer for layer in prior.network.layers if isinstance(layer, MaskedConv2D)]
    assert len(masked) == 5
    assert all(layer.activation is keras.activations.linear for layer in masked)

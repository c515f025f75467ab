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


@pytest.fixture(scope="module")
def mean():
    """Return the mean of a number over the three runs of a prior that the shipped one's card has."""
    rows = vqlib.load_card("mnist-ema-prior")["rows"]

    def mean(method, name):
        values = [row[name] for row in rows if row["method"] == method]
        assert len(values) == 3
        return np.mean(values)

    return mean


PLAIN, LINEAR, RIVAL = "plain", "plain, no ReLUs", "plain, no ReLUs, dropout"
CUT, GATED, TOLD = "gated, blind spot put back", "gated", "gated, told the class"


def steps(mean, name):
    """What each row is worth to the next one, in the chapter's order."""
    values = [mean(method, name) for method in (PLAIN, LINEAR, RIVAL, CUT, GATED)]
    return -np.diff(values)


def test_most_of_the_bits_are_those_of_mending_the_rival(mean):
    relus, dropout, gates, blind_spot = steps(mean, "test_bits_per_image")
    assert relus + dropout > 0.6 * (relus + dropout + gates + blind_spot)
    assert gates == pytest.approx(1, abs=0.2)
    assert blind_spot == min(relus, dropout, gates, blind_spot) > 0
    assert 4 < mean(GATED, "test_bits_per_image") - mean(TOLD, "test_bits_per_image") < 5  # as the quiz says


def test_samples_mind_the_blind_spot_more_than_gates_and_dropout(mean):
    relus, dropout, gates, blind_spot = steps(mean, "frechet_excess")
    assert relus > blind_spot > max(dropout, gates)
    rows = vqlib.load_card("mnist-ema-prior")["rows"]
    distance = {(row["method"], row["seed"]): row["frechet_excess"] for row in rows}
    for one, other, is_sure in ((LINEAR, RIVAL, False), (RIVAL, CUT, False), (CUT, GATED, True)):
        gaps = [distance[one, seed] - distance[other, seed] for seed in range(3)]
        assert (np.mean(gaps) > np.std(gaps, ddof=1)) is np.bool_(is_sure)


def test_plan_and_labels_are_two_thirds_of_the_distance_and_nothing_told_is_worst(mean):
    assert mean(TOLD, "frechet_excess") / mean(GATED, "frechet_excess") == pytest.approx(1 / 3, abs=0.04)
    assert mean(TOLD, "frechet_excess_untold") > mean(PLAIN, "frechet_excess")


def test_a_little_guidance_is_better_by_both_judges_and_more_is_not(mean):
    runs = [row["guided"] for row in vqlib.load_card("mnist-ema-prior")["rows"] if row["method"] == TOLD]
    others = sorted(mean(method, "frechet_excess") for method in (PLAIN, LINEAR, RIVAL, CUT, GATED, TOLD))
    for run in runs:
        strengths, distances, read = zip(*(point.values() for point in run), strict=True)
        assert strengths == (0, 0.25, 0.5, 1, 2)
        assert np.argmin(distances) == 1
        assert list(read) == sorted(read)
        assert read[2] > 0.985
        assert others[-2] < distances[-1] < others[-1]
        assert distances[3] == pytest.approx(2 * distances[0], rel=0.1)
        assert distances[4] == pytest.approx(5 * distances[0], rel=0.1)


def test_short_trainings_prefer_higher_rates():
    tuning = vqlib.load_card("mnist-ema-prior")["tuning"]

    def bits(method, epochs, option):
        rows = [row for row in tuning if row["method"] == method and row["epochs"] == epochs and option in row]
        return {row[option]: row["val_bits_per_image"] for row in rows}

    short, whole = bits(GATED, 3, "peak"), bits(GATED, 15, "peak")
    assert min(short, key=short.get) == 0.006
    assert whole[0.006] > max(whole[0.002], whole[0.004]) + 0.5
    assert whole[0.002] == pytest.approx(whole[0.004], abs=0.1)
    assert min(bits(RIVAL, 3, "peak").items(), key=lambda pair: pair[1])[0] == 0.003
    assert bits(RIVAL, 15, "peak")[0.003] < bits(RIVAL, 15, "peak")[0.0015]
    assert min(bits(RIVAL, 15, "dropout").items(), key=lambda pair: pair[1])[0] == 0.2

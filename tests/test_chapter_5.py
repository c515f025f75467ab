"""The checks of chapter 5's exercises: right answers pass however they are written, wrong ones do not."""

import chapters
import keras
import numpy as np
import pytest
from keras import ops

import vqlib
from vqlib.pixelcnn import causal_mask

NAMES = {
    "5.1": "mask",
    "5.2": "bits_per_image",
    "5.3": "tempered",
    "5.4": "columns_to_the_right",
    "5.5": "importance_weights",
    "5.6": "my_prior",
}


@pytest.fixture(scope="module")
def chapter():
    """Return what the chapter has defined where its exercises begin, as far as their checks use it."""
    codes = np.random.default_rng(0).integers(128, size=(640, 7, 7)).astype("int32")
    names = {"keras": keras, "np": np, "ops": ops, "vqlib": vqlib, "causal_mask": causal_mask}
    names |= {"train_codes": codes, "test_codes": codes}
    return chapters.functions(5, "influence", given=names)


def passes(chapter, exercise, attempt):
    """Return whether an attempt passes the check of an exercise."""
    return chapters.passes(exercise, {**chapter, NAMES[exercise]: attempt})


def raster(size):
    return np.arange(size * size).reshape(size, size)


def softmax(x):
    weights = np.exp(x - np.max(x))
    return weights / weights.sum()


def plus_row(size, kind):
    """The whole middle row is let through."""
    mask = np.zeros((size, size))
    mask[: size // 2 + 1] = 1
    return mask


RIGHT = {
    "5.1": [
        causal_mask,
        lambda size, kind: causal_mask(size, kind).tolist(),
        lambda size, kind: causal_mask(size, kind) > 0,
        lambda size, kind: causal_mask(size, kind).astype("int8"),
        lambda size, kind: ops.convert_to_tensor(causal_mask(size, kind)),
    ],
    "5.2": [
        lambda nats, height, width: height * width * nats * np.log2(np.e),
        lambda nats, height, width: 1.4427 * nats * height * width,
    ],
    "5.3": [
        lambda logits, t: ops.softmax(logits / t),
        lambda logits, t: softmax(logits) ** (1 / t) / np.sum(softmax(logits) ** (1 / t)),
        lambda logits, t: np.exp(logits / t - np.logaddexp.reduce(logits / t)),
    ],
    "5.4": [
        lambda k, n, d: k // 2 + min(n, d - 1),
        lambda k, n, d: (k - 1) // 2 + (d - 1 if d <= n else n),
        lambda k, n, d: max(
            [k // 2 + later for later in range(n + 1) if 1 <= d - later <= k // 2] or [k // 2 + min(n, d - 1)]
        ),
    ],
    "5.5": [
        lambda nats, keep: ops.softmax(-np.sum(nats * keep, axis=(1, 2))),
        lambda nats, keep: softmax(-np.array([grid[keep].sum() for grid in nats])),
        lambda nats, keep: softmax(-np.where(keep, nats, 0).sum(axis=(1, 2))).astype("float32"),
    ],
}
WRONG = {
    "5.1": {
        "A and B swapped": lambda size, kind: causal_mask(size, "AB".replace(kind, "")),
        "the whole middle row": plus_row,
        "a triangle": lambda size, kind: np.tril(np.ones((size, size)), -1 if kind == "A" else 0),
        "turned to columns": lambda size, kind: causal_mask(size, kind).T,
        "the rows below": lambda size, kind: np.flip(causal_mask(size, kind)),
        "right at a size of three only": lambda size, kind: np.pad(causal_mask(3, kind), size // 2)[:size, :size],
    },
    "5.2": {
        "ln 2 times": lambda nats, height, width: height * width * nats * np.log(2),
        "without positions": lambda nats, height, width: nats / np.log(2),
        "always 49": lambda nats, height, width: 49 * nats / np.log(2),
        "nats": lambda nats, height, width: height * width * nats,
        "logarithm to base 10": lambda nats, height, width: height * width * nats / np.log10(2),
        "the square of the height": lambda nats, height, width: (height + 1) * width * nats / np.log(2),
    },
    "5.3": {
        "times T": lambda logits, t: softmax(logits * t),
        "the probabilities are divided": lambda logits, t: softmax(logits) / t,
        "the maximum of other numbers is subtracted": lambda logits, t: (
            np.exp(logits / t - logits.max()) / np.sum(np.exp(logits / t - logits.max()))
        ),
        "no maximum": lambda logits, t: np.exp(logits / t) / np.sum(np.exp(logits / t)),
        "not normalised": lambda logits, t: np.exp((logits - logits.max()) / t),
        "a power of T": lambda logits, t: softmax(logits) ** t / np.sum(softmax(logits) ** t),
    },
    "5.4": {
        "how many rows": lambda k, n, d: k // 2 + n,
        "as far as up": lambda k, n, d: d,
        "every row gives one": lambda k, n, d: k // 2 + d - 1,
        "the first layer takes no row": lambda k, n, d: k // 2 + min(n, d),
        "the first layer alone": lambda k, n, d: k // 2,
        "a float": lambda k, n, d: k / 2 - 0.5 + min(n, d - 1),
    },
    "5.5": {
        "all places": lambda nats, keep: softmax(-nats.sum(axis=(1, 2))),
        "the drawn places": lambda nats, keep: softmax(-nats[:, ~keep].sum(axis=1)),
        "the wrong sign": lambda nats, keep: softmax(nats[:, keep].sum(axis=1)),
        "the mean": lambda nats, keep: softmax(-nats[:, keep].mean(axis=1)),
        "not normalised": lambda nats, keep: np.exp(-nats[:, keep].sum(axis=1)),
        "underflow": lambda nats, keep: np.exp(-nats[:, keep].sum(axis=1)) / np.sum(np.exp(-nats[:, keep].sum(axis=1))),
        "the nats themselves": lambda nats, keep: nats[:, keep].sum(axis=1) / nats[:, keep].sum(),
        "only the last kept place": lambda nats, keep: softmax(-nats[:, -1, -1]),
        "whole rows": lambda nats, keep: softmax(-nats[:, keep.any(axis=1)].sum(axis=(1, 2))),
        "whole rows, by their first place": lambda nats, keep: softmax(-nats[:, keep[:, 0]].sum(axis=(1, 2))),
    },
}


@pytest.mark.parametrize(
    ("exercise", "answer"), [pytest.param(e, a, id=f"{e}-{i}") for e in RIGHT for i, a in enumerate(RIGHT[e])]
)
def test_right_answers_pass(chapter, exercise, answer):
    assert passes(chapter, exercise, answer)


@pytest.mark.parametrize(
    ("exercise", "answer"), [pytest.param(e, a, id=f"{e}-{w}") for e in WRONG for w, a in WRONG[e].items()]
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_wrong_answers_do_not_pass(chapter, exercise, answer):
    assert not passes(chapter, exercise, answer)


@pytest.mark.parametrize("exercise", NAMES)
def test_blanks_are_told(chapter, exercise, capsys):
    assert not passes(chapter, exercise, lambda *arguments: None)
    assert "nothing returned yet" in capsys.readouterr().out


class Masked(keras.layers.Conv2D):
    """A masked convolution as a reader may write it, and how it goes wrong: by its name in `mistake`."""

    def __init__(self, filters, size, kind, activation=None, mistake=None):
        super().__init__(filters, size, padding="same", activation=activation)
        last = size * size // 2 - (kind == "A")
        self.mask = (raster(size) <= last).astype("float32")[:, :, None, None]
        self.mistake = mistake
        if mistake == "upside down":
            self.mask = self.mask[::-1]
        if mistake == "sideways":
            self.mask = self.mask.swapaxes(0, 1)

    def build(self, input_shape):
        super().build(input_shape)
        if self.mistake == "masked once":
            self.kernel.assign(self.kernel * self.mask)

    def call(self, x):
        kernel = self.kernel if self.mistake == "masked once" else self.kernel * self.mask
        return self.activation(ops.conv(x, kernel, padding="same") + self.bias)


def own_prior(first="A", later="B", size=7, mistake=None, end=None, blocks=2):
    """Return a function that builds a small prior."""

    def my_prior(num_codes):
        codes = keras.Input((7, 7), dtype="int32")
        x = Masked(16, size, first, "relu", mistake)(ops.one_hot(codes, num_codes))
        for _ in range(blocks):
            x = Masked(16, 3, later, "relu", mistake)(x)
        return keras.Model(codes, Masked(num_codes, 1, later, end, mistake)(x))

    return my_prior


def with_a_shortcut(num_codes):
    """The codes go past mask A."""
    codes = keras.Input((7, 7), dtype="int32")
    one_hot = ops.one_hot(codes, num_codes)
    x = keras.layers.Dense(16)(one_hot) + Masked(16, 7, "A", "relu")(one_hot)
    return keras.Model(codes, keras.layers.Dense(num_codes)(Masked(16, 3, "B")(x)))


def with_an_embedding(num_codes):
    """Vectors are looked up, where the chapter takes one-hot codes."""
    codes = keras.Input((7, 7), dtype="int32")
    x = Masked(16, 7, "A", "relu")(keras.layers.Embedding(num_codes, 16)(codes))
    x = Masked(16, 3, "B", "relu")(x)
    return keras.Model(codes, keras.layers.Dense(num_codes)(Masked(16, 3, "B", "relu")(x)))


def with_a_dense_end(num_codes):
    """The last layer mixes all places."""
    codes = keras.Input((7, 7), dtype="int32")
    x = keras.layers.Flatten()(Masked(4, 7, "A", "relu")(ops.one_hot(codes, num_codes)))
    return keras.Model(codes, keras.layers.Reshape((7, 7, num_codes))(keras.layers.Dense(49 * num_codes)(x)))


@pytest.mark.parametrize(
    "answer",
    [own_prior(), own_prior(size=5, blocks=3), with_an_embedding],
    ids=["as in the chapter", "deeper", "an embedding"],
)
def test_right_networks_pass(chapter, answer):
    assert passes(chapter, "5.6", answer)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        pytest.param(own_prior(first="B"), "Mask A in the first layer", id="mask B first"),
        pytest.param(own_prior(mistake="masked once"), "Is the kernel masked in call?", id="masked once"),
        pytest.param(own_prior(mistake="upside down"), "Mask A in the first layer", id="upside down"),
        pytest.param(own_prior(mistake="sideways"), "Mask A in the first layer", id="sideways"),
        pytest.param(with_a_dense_end, "Mask A in the first layer", id="a dense end"),
        pytest.param(own_prior(end="softmax"), "no softmax", id="probabilities"),
        pytest.param(with_a_shortcut, "Mask A in the first layer", id="a shortcut"),
        pytest.param(own_prior(size=3, blocks=0), "sees little of the past", id="no reach"),
        pytest.param(lambda num_codes: own_prior()(num_codes + 1), "keeps the grid", id="one code too many"),
    ],
)
def test_wrong_networks_do_not_pass(chapter, answer, hint, capsys):
    assert not passes(chapter, "5.6", answer)
    assert hint in capsys.readouterr().out


def test_a_network_with_mask_a_everywhere_does_not_pass(chapter, capsys):
    """It leaks nothing, and forgets its neighbour."""

    def my_prior(num_codes):
        codes = keras.Input((7, 7), dtype="int32")
        x = Masked(16, 7, "A", "relu")(ops.one_hot(codes, num_codes))
        x = Masked(16, 3, "A", "relu")(x)
        return keras.Model(codes, keras.layers.Dense(num_codes)(x))

    assert not passes(chapter, "5.6", my_prior)
    assert "The code to the left is not used." in capsys.readouterr().out


def hidden(layers):
    """Return which earlier codes a position cannot see, (49, 49), through 7 x 7 with mask A and some 3 x 3 with B."""
    joined = {}
    for size, kind in ((7, "A"), (3, "B")):
        mask = np.pad(causal_mask(size, kind), 7)
        offset = [[np.array(divmod(j, 7)) - divmod(i, 7) + size // 2 + 7 for j in range(49)] for i in range(49)]
        joined[kind] = np.array([[mask[tuple(place)] for place in row] for row in offset])
    paths = np.linalg.matrix_power(joined["B"], layers) @ joined["A"]
    return np.tril(paths == 0, -1)


def test_what_the_answer_says_of_more_layers_holds():
    i, j = np.indices((49, 49))
    up, right = i // 7 - j // 7, j % 7 - i % 7
    wedge = (up > 0) & (right > 2 + up)
    too_far = (up > 5) | (right < -5)
    assert (hidden(2).sum(), hidden(10).sum()) == (136, 55)
    assert np.array_equal(hidden(10), wedge)
    assert np.array_equal(hidden(2), np.tril(wedge | too_far | (right > 5), -1))

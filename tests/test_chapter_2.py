"""Chapter 2: its checks of exercises take what is right in any form, refuse what is wrong, and say what is wrong."""

import re

import chapters
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import vqlib

NAMES = {1: "kmeans_rates", 2: "resting_place", 3: "round_straight_through", 4: "rotated_gradient_by_hand", 6: "Gate"}


def theirs(*names, **known):
    """Return functions of the chapter, by name, in one namespace with what is known there."""
    given = {"np": np, "ops": ops, "tf": tf, "keras": keras, "vqlib": vqlib, **known}
    return chapters.functions(2, *names, given=given)


CHAPTERS = theirs("nearest", "quantize", "straight_through", "codebook_loss", "commitment_loss", "gradients")
nearest, quantize, straight_through, codebook_loss, commitment_loss, gradients = (
    CHAPTERS[name]
    for name in ("nearest", "quantize", "straight_through", "codebook_loss", "commitment_loss", "gradients")
)


def passes(exercise, attempt):
    """Return whether an attempt passes the check of an exercise, run as a reader runs it."""
    return chapters.passes(f"2.{exercise}", {**CHAPTERS, NAMES[exercise]: attempt})


def blanks():
    """Yield what the reader finds: (exercise, function or class with blanks)."""
    for exercise, name in NAMES.items():
        for cell in chapters.cells(2):
            if re.search(rf"^(def|class) {name}\(", cell, re.MULTILINE):
                namespace = dict(CHAPTERS)
                exec(cell, namespace)
                yield exercise, namespace[name]


def test_blanks_are_told_from_wrong_answers(capsys):
    found = list(blanks())
    assert [exercise for exercise, _ in found] == list(NAMES)
    for exercise, blank in found:
        assert passes(exercise, blank) is False
        assert "nothing returned yet" in capsys.readouterr().out, exercise


def rates(codes, k, d, half=2, total=len, empty=0.0, minlength=True):
    counts = np.bincount(codes, minlength=k if minlength else 0)
    return np.where(counts > 0, total(codes) * d / (half * np.maximum(counts, 1)), empty)


def rates_by_mask(codes, k, d):
    answer = np.zeros(k)
    for code in set(codes.tolist()):
        answer[code] = codes.size * d / 2 / np.sum(codes == code)
    return answer.tolist()


def rest(e, x, beta, spacing, outside=np.inf, inside=lambda z, e, spacing: abs(z - e) < spacing / 2):
    z = e + (x - e) / beta
    return z if inside(z, e, spacing) else outside


@tf.custom_gradient
def rounded(z):
    return ops.round(z), lambda upstream: upstream


def turned(z, e, g, angle=1, scale=lambda z, e: np.linalg.norm(e) / np.linalg.norm(z)):
    a = angle * (np.arctan2(z[1], z[0]) - np.arctan2(e[1], e[0]))
    return scale(z, e) * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ g


def turned_with_complex_numbers(z, e, g):
    z, e, g = (complex(*v) for v in (z, e, g))
    turn = (z / abs(z)) / (e / abs(e))
    answer = abs(e) / abs(z) * turn * g
    return [answer.real, answer.imag]


def turned_with_the_matrix(z, e, g):
    z_hat, e_hat = z / np.linalg.norm(z), e / np.linalg.norm(e)
    r = (z_hat + e_hat) / np.linalg.norm(z_hat + e_hat)
    matrix = np.eye(2) - 2 * np.outer(r, r) + 2 * np.outer(e_hat, z_hat)
    return np.linalg.norm(e) / np.linalg.norm(z) * matrix.T @ g


def mirrored(z, e, g):
    """Reflect the gradient instead of turning it."""
    z_hat, e_hat = z / np.linalg.norm(z), e / np.linalg.norm(e)
    r = (z_hat + e_hat) / np.linalg.norm(z_hat + e_hat)
    return np.linalg.norm(e) / np.linalg.norm(z) * (2 * np.outer(r, r) - np.eye(2)) @ g


class Gate(keras.layers.Layer):
    """A right answer to exercise 2.6; its parts are those that wrong ones change."""

    def __init__(self, num_embeddings, embedding_dim, beta=0.25):
        super().__init__()
        self.beta = beta
        self.make_codebook((num_embeddings, embedding_dim))

    def make_codebook(self, shape):
        self.codebook = self.add_weight(shape=shape, name="codebook")

    def add_losses(self, z, e):
        self.add_loss(codebook_loss(z, e) + commitment_loss(z, e, self.beta))

    def output(self, z, e):
        return straight_through(z, e)

    def flat(self, z):
        return ops.reshape(z, (-1, z.shape[-1]))

    def call(self, z):
        vectors = self.flat(z)
        e = quantize(vectors, self.codebook)
        self.add_losses(vectors, e)
        return ops.reshape(self.output(vectors, e), z.shape)


def gate(**parts):
    """Return the right layer with some of its methods replaced."""
    return type("Gate", (Gate,), parts)


def one_hot_call(self, z):
    """Answer with products instead of look-ups, and TensorFlow's own operations."""
    distances = tf.reduce_sum((z[..., None, :] - tf.convert_to_tensor(self.codebook)) ** 2, axis=-1)
    e = tf.one_hot(tf.argmin(distances, axis=-1), self.codebook.shape[0]) @ tf.convert_to_tensor(self.codebook)
    self.add_loss(tf.reduce_mean((tf.stop_gradient(z) - e) ** 2))
    self.add_loss(self.beta * tf.reduce_mean((z - tf.stop_gradient(e)) ** 2))
    return z + tf.stop_gradient(e - z)


def untracked(self, shape):
    self.codebook = tf.Variable(np.zeros(shape, "float32"))
    return self.codebook


def announced(self, shape):
    self.codebook = None


def build(self, shape):
    self.codebook = self.add_weight(shape=(6, 2), name="codebook")


def with_codewords(initializer):
    def make_codebook(self, shape):
        self.codebook = self.add_weight(shape=shape, initializer=initializer, name="codebook")

    return make_codebook


RIGHT = [
    (1, "as in the text", rates),
    (1, "a mask, a list", rates_by_mask),
    (2, "as in the text", rest),
    (2, "the border is inside", lambda *case: rest(*case, inside=lambda z, e, spacing: abs(z - e) <= spacing / 2)),
    (2, "np.where", lambda e, x, b, s: np.where(abs((x - e) / b) < s / 2, e + (x - e) / b, np.inf)),
    (3, "as in the text", lambda z: straight_through(z, ops.round(z))),
    (3, "a gradient by hand", rounded),
    (3, "the bracket around z", lambda z: ops.stop_gradient(ops.round(z)) + z - ops.stop_gradient(z)),
    (4, "as in the text", turned),
    (4, "complex numbers", turned_with_complex_numbers),
    (4, "the matrix of (2.7)", turned_with_the_matrix),
    (6, "as in the text", Gate),
    (6, "products instead of look-ups", gate(call=one_hot_call)),
    (6, "vqlib's own layer", vqlib.VectorQuantizer),
    (6, "a codebook made in build", gate(make_codebook=lambda self, shape: None, build=build)),
    (6, "a codebook made in build, None before", gate(make_codebook=announced, build=build)),
    (6, "random codewords", gate(make_codebook=with_codewords("random_normal"))),
]


def sparse_call(self, z):
    e = ops.take(self.codebook, nearest(ops.reshape(z, (-1, z.shape[-1])), self.codebook), axis=0)
    e = ops.reshape(e, z.shape)
    self.add_losses(z, e)
    return self.output(z, e)


def gathered_call(self, z):
    """Look up as in NumPy, by TensorFlow's own operations."""
    codebook = tf.convert_to_tensor(self.codebook)
    distances = tf.reduce_sum((z[..., None, :] - codebook) ** 2, axis=-1)
    e = tf.gather(self.codebook.value, tf.argmin(distances, axis=-1))
    self.add_losses(z, e)
    return self.output(z, e)


WRONG = [
    (1, "D forgotten", lambda c, k, d: rates(c, k, 1), "Mind the codeword"),
    (1, "2 forgotten", lambda c, k, d: rates(c, k, d, half=1), "Two of four"),
    (1, "1 / n", lambda c, k, d: rates(c, k, 1, half=1, total=lambda codes: 1), "Two of four"),
    (1, "infinite for an empty cell", lambda c, k, d: rates(c, k, d, empty=np.inf), "nobody chose"),
    (1, "no minlength", lambda c, k, d: rates(c, k, d, minlength=False), "the last ones too"),
    (1, "the gradient's factor itself", lambda c, k, d: 2 * np.bincount(c, minlength=k) / len(c) / d, "nobody chose"),
    (1, "one rate for all", lambda c, k, d: np.full(k, len(c) * d / 2 / np.bincount(c).max()), "nobody chose"),
    (2, "never without rest", lambda e, x, b, s: e + (x - e) / b, "far outside"),
    (2, "None for no rest", lambda *case: rest(*case, outside=None), "not None"),
    (2, "relative to the codeword", lambda *case: rest(*case) - case[0], "not always 0"),
    (
        2,
        "within a whole spacing",
        lambda *case: rest(*case, inside=lambda z, e, s: abs(z - e) < s),
        "far outside|smaller",
    ),
    (2, "the wrong sign", lambda e, x, b, s: rest(e, 2 * e - x, b, s), "the target"),
    (2, "a weighted mean", lambda e, x, b, s: (x + b * e) / (1 + b), "the target"),
    (2, "a forgotten 2", lambda e, x, b, s: rest(e, e + (x - e) / 2, b, s), "the target"),
    (2, "no absolute value", lambda *case: rest(*case, inside=lambda z, e, s: z - e < s / 2), "both sides"),
    (2, "the border for no rest", lambda e, x, b, s: np.clip(e + (x - e) / b, e - s / 2, e + s / 2), "far outside"),
    (
        2,
        "the target, if it is inside",
        lambda e, x, b, s: x if abs(x - e) < s / 2 else np.inf,
        "nearer to its codeword",
    ),
    (
        2,
        "no rest where the cell is not the target's",
        lambda e, x, b, s: rest(e, x, b, s) if abs(x - e) < s / 2 else np.inf,
        "wrong cell",
    ),
    (3, "plain rounding", ops.round, "Row 1"),
    (3, "the wrong stop", lambda z: ops.stop_gradient(z) + (ops.round(z) - z), "Row 1"),
    (3, "everything stopped", lambda z: ops.stop_gradient(ops.round(z)), "Row 1"),
    (3, "the bracket reversed", lambda z: z + ops.stop_gradient(z - ops.round(z)), "Row 1"),
    (3, "cut off, not rounded", lambda z: straight_through(z, ops.trunc(z)), "Row 1"),
    (3, "twice the slope", lambda z: 2 * z + ops.stop_gradient(ops.round(z) - 2 * z), "Row 1"),
    (3, "no stop at all", lambda z: z + (ops.round(z) - z), "Row 1"),
    (4, "turned the forward way", lambda z, e, g: turned(z, e, g, angle=-1), "outward push"),
    (4, "the scale upside down", lambda z, e, g: turned(z, e, g) * (z @ z) / (e @ e), "only the factor"),
    (4, "no scale", lambda z, e, g: turned(z, e, g, scale=lambda z, e: 1), "only the factor"),
    (4, "no turn", lambda z, e, g: turned(z, e, g, angle=0), "outward push"),
    (4, "straight-through", lambda z, e, g: g, "outward push"),
    (4, "a mirror, no turn", mirrored, "only the factor|turns back"),
    (6, "a codebook that is no weight", gate(make_codebook=untracked), "add_weight"),
    (6, "codewords that are all zero", gate(make_codebook=with_codewords("zeros")), "start equal"),
    (6, "codewords that are all one", gate(make_codebook=with_codewords("ones")), "start equal"),
    (6, "the look-up without reshape", gate(call=lambda self, z: sparse_call(self, z)), "a plain array"),
    (6, "a gather without reshape", gate(call=lambda self, z: gathered_call(self, z)), "a plain array"),
    (6, "call left blank", gate(call=lambda self, z: None), "nothing, from call.*decoder sees codewords"),
    (6, "call left as dots", gate(call=lambda self, z: ...), "nothing, from call.*decoder sees codewords"),
    (6, "no estimator", gate(output=lambda self, z, e: e), "The decoder's gradient"),
    (6, "a wrong stop", gate(output=lambda self, z, e: ops.stop_gradient(z) + e - z), "The decoder's gradient"),
    (6, "z itself", gate(output=lambda self, z, e: z), "codewords"),
    (6, "only lists of vectors", gate(call=lambda self, z: flat_only(self, z)), "any shape"),
    (6, "no losses", gate(add_losses=lambda self, z, e: None), "add_loss"),
    (6, "only the codebook loss", gate(add_losses=lambda self, z, e: self.add_loss(codebook_loss(z, e))), "add_loss"),
    (6, "sums", gate(add_losses=lambda self, z, e: self.add_loss(1.25 * ops.sum((z - e) ** 2))), "add_loss"),
    (
        6,
        "beta on the wrong term",
        gate(add_losses=lambda self, z, e: self.add_loss(commitment_loss(z, e, 1.0) + self.beta * codebook_loss(z, e))),
        "beta on the commitment loss",
    ),
    (
        6,
        "no stop in the codebook loss",
        gate(add_losses=lambda self, z, e: self.add_loss(ops.mean((z - e) ** 2) + commitment_loss(z, e, self.beta))),
        "a stop on what stands still",
    ),
    (
        6,
        "no stop in the commitment loss",
        gate(add_losses=lambda self, z, e: self.add_loss(codebook_loss(z, e) + self.beta * ops.mean((z - e) ** 2))),
        "Of the codebook loss alone",
    ),
]


def flat_only(self, z):
    e = quantize(ops.reshape(z, (-1, z.shape[-1])), self.codebook)
    self.add_losses(ops.reshape(z, (-1, z.shape[-1])), e)
    return straight_through(ops.reshape(z, (-1, z.shape[-1])), e)


def named(rows):
    return [pytest.param(exercise, *others, id=f"2.{exercise} {title}") for exercise, title, *others in rows]


@pytest.mark.parametrize(("exercise", "attempt"), named(RIGHT))
def test_right_answers_pass_however_they_are_written(exercise, attempt, capsys):
    assert passes(exercise, attempt), capsys.readouterr().out


@pytest.mark.parametrize(("exercise", "attempt", "says"), named(WRONG))
def test_wrong_answers_fail_and_are_told_why(exercise, attempt, says, capsys):
    assert passes(exercise, attempt) is False
    out = capsys.readouterr().out
    assert "nothing returned yet" not in out
    assert re.search(says, out), out


def test_what_the_answer_says_of_a_strong_commitment_holds():
    path = theirs("descend", "straight_through_slope", stairs=np.arange(-2.0, 3.0), target=0.4)["descend"](3.0)
    assert path[-1] == pytest.approx(-1 + 1.4 / 3, abs=1e-3)
    assert np.all(np.abs(path + 1) < 0.5)  # in the cell of -1 to the end


def test_figures_take_their_colours_from_the_key():
    figures = [cell for cell in chapters.cells(2) if "# @title Figure: " in cell]
    assert len(figures) == 13
    assert not [cell for cell in figures if re.search(r"\b(BLUE|ORANGE|GREEN|PINK|COLORS|cmap)\b", cell)]

"""Chapter 3: its checks of exercises take right answers, however written, and refuse the mistakes that people make."""

import chapters
import pytest

# What the chapter has imported where its exercises begin.
IMPORTS = """
import vqlib
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import ops
"""
NEAREST = """
def nearest(z, codebook):
    return ops.argmin(ops.sum((z[..., None, :] - codebook) ** 2, axis=-1), axis=-1)
"""
# Of a quantizer: what an attempt at exercise 3.6 changes in it.
QUANTIZER = """
class Attempt(keras.layers.Layer):
    def __init__(self, num_embeddings, embedding_dim, beta):
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.beta = num_embeddings, embedding_dim, beta
        self.codebook = self.add_weight(shape=(num_embeddings, embedding_dim))

    def encode(self, z):
        return nearest(z, self.codebook)

    def decode(self, codes):
        return ops.take(self.codebook, codes, axis=0)

    def call(self, z):
        z_q = self.decode(self.encode(z))
        self.add_loss(ops.mean((ops.stop_gradient(z) - z_q) ** 2))
        self.add_loss(self.beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2))
        return z + ops.stop_gradient(z_q - z)


make_quantizer = Attempt
"""


def quantizer(old, new):
    """Return the quantizer with one place of it changed."""
    assert old in QUANTIZER
    return NEAREST + QUANTIZER.replace(old, new)


# For each exercise: attempts that are right, and wrong ones, each with the mistake that is in it.
ATTEMPTS = {
    "3.1": (
        {
            "logarithm of the power": "import math\nuniform_bits = lambda K, h, w: math.log2(K ** (h * w))",
            "nats, converted": "uniform_bits = lambda K, h, w: h * w * np.log(K) / np.log(2)",
        },
        {
            "each code rounded up": "uniform_bits = lambda K, h, w: h * w * np.ceil(np.log2(K))",
            "each code rounded down": "uniform_bits = lambda K, h, w: h * w * np.floor(np.log2(K))",
            "the sum rounded up": "uniform_bits = lambda K, h, w: np.ceil(h * w * np.log2(K))",
            "nats": "uniform_bits = lambda K, h, w: h * w * np.log(K)",
            "one position": "uniform_bits = lambda K, h, w: np.log2(K)",
            "positions among the choices": "uniform_bits = lambda K, h, w: np.log2(K * h * w)",
        },
    ),
    "3.2": (
        {
            "a small number inside": (
                "def perplexity(n):\n p = n / n.sum()\n return np.exp(-np.sum(p * np.log(p + 1e-12)))"
            ),
            "base 2": "def perplexity(n):\n p = n[n > 0] / n.sum()\n return 2 ** -np.sum(p * np.log2(p))",
            "the library": "perplexity = vqlib.metrics.perplexity",
        },
        {
            "zeros become NaN": (
                "def perplexity(n):\n p = n / n.sum()\n with np.errstate(all='ignore'):\n"
                "  return np.exp(-np.sum(p * np.log(p)))"
            ),
            "two bases": "def perplexity(n):\n p = n[n > 0] / n.sum()\n return np.exp(-np.sum(p * np.log2(p)))",
            "the entropy": "def perplexity(n):\n p = n[n > 0] / n.sum()\n return -np.sum(p * np.log(p))",
            "no total": "def perplexity(n):\n p = n[n > 0]\n return np.exp(-np.sum(p * np.log(p)))",
            "squared shares": "def perplexity(n):\n p = n / n.sum()\n return 1 / np.sum(p**2)",
            "codes in use": "perplexity = lambda n: float(np.count_nonzero(n))",
            "the wrong sign": "def perplexity(n):\n p = n[n > 0] / n.sum()\n return np.exp(np.sum(p * np.log(p)))",
            "a mean": "def perplexity(n):\n p = n[n > 0] / n.sum()\n return np.exp(-np.mean(np.log(p)))",
        },
    ),
    "3.3": (
        {
            "added at once": (
                "def codebook_step(z, codes, book, rate):\n book = book.copy()\n"
                " np.add.at(book, codes, rate * 2 * (z - book[codes]) / z.size)\n return book"
            ),
            "one-hot": (
                "def codebook_step(z, codes, book, rate):\n chosen = np.eye(len(book))[codes]\n"
                " return book - rate * 2 / z.size * (chosen.T @ (book[codes] - z))"
            ),
        },
        {
            name: (
                "def codebook_step(z, codes, book, rate):\n book = book.copy()\n for k in range(len(book)):\n"
                f"  {line}\n return book"
            )
            for name, line in {
                "no 2": "book[k] -= rate * (book[k] - z[codes == k]).sum(0) / z.size",
                "a mean over the vectors": "book[k] -= rate * 2 * (book[k] - z[codes == k]).sum(0) / len(z)",
                "a mean over its own vectors": (
                    "book[k] -= rate * 2 * (book[k] - z[codes == k]).sum(0) / max(1, z[codes == k].size)"
                ),
                "a sum": "book[k] -= rate * 2 * (book[k] - z[codes == k]).sum(0)",
                "away": "book[k] += rate * 2 * (book[k] - z[codes == k]).sum(0) / z.size",
                "all entries": "book[k] -= rate * 2 * (book[k] - z).sum(0) / z.size",
                "onto the mean": "book[k] = z[codes == k].mean(0) if (codes == k).any() else book[k]",
            }.items()
        }
        | {
            "the last one wins": (
                "def codebook_step(z, codes, book, rate):\n book = book.copy()\n"
                " book[codes] += rate * 2 * (z - book[codes]) / z.size\n return book"
            ),
        },
    ),
    "3.4": (
        {
            "a tuple": "two_batches = lambda: ((0, 3, 0, 0), (0, 0, 3, 0))",
            "shares": "two_batches = lambda: np.array([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])",
        },
        {
            "the same code": "two_batches = lambda: [[10, 0, 0, 0], [10, 0, 0, 0]]",
            "unequal": "two_batches = lambda: [[10, 0, 0, 0], [0, 5, 0, 0]]",
            "two codes in all": "two_batches = lambda: [[10, 0], [0, 10]]",
            "codes instead of counts": "two_batches = lambda: [[0, 0, 0, 0], [1, 1, 1, 1]]",
            "ragged": "two_batches = lambda: [[10, 0, 0, 0], [0, 10]]",
            "below zero": "two_batches = lambda: [[10, 0, 0, -1], [0, 10, 0, 0]]",
            "two codes in each": "two_batches = lambda: [[5, 5, 0, 0], [0, 0, 5, 5]]",
        },
    ),
    "3.6": (
        {
            "as in the paper": NEAREST + QUANTIZER,
            "made when first called": quantizer(
                "        self.codebook = self.add_weight(shape=(num_embeddings, embedding_dim))\n",
                "\n    def build(self, shape):\n"
                "        self.codebook = self.add_weight(shape=(self.num_embeddings, self.embedding_dim))\n",
            ),
            "the library": "make_quantizer = lambda k, d, b: vqlib.VectorQuantizer(k, d, beta=b)",
        },
        {
            "no gradient through": quantizer("return z + ops.stop_gradient(z_q - z)", "return z_q"),
            "the gradient reaches the codebook": quantizer(
                "z + ops.stop_gradient(z_q - z)", "z_q + z - ops.stop_gradient(z)"
            ),
            "beta on the codebook": quantizer(
                "self.add_loss(ops.mean((ops.", "self.add_loss(self.beta * ops.mean((ops."
            ),
            "no beta": quantizer("self.add_loss(self.beta * ", "self.add_loss(1 * "),
            "nothing stands still": quantizer("(ops.stop_gradient(z) - z_q)", "(z - z_q)"),
            "a codebook that is not a weight": quantizer(
                "self.add_weight(shape=(num_embeddings, embedding_dim))",
                "tf.Variable(tf.random.normal((num_embeddings, embedding_dim)))",
            ),
            "one loss only": quantizer(
                "        self.add_loss(self.beta * ops.mean((z - ops.stop_gradient(z_q)) ** 2))\n", ""
            ),
            "farthest": quantizer("return nearest(z, self.codebook)", "return nearest(-z, self.codebook)"),
        },
    ),
}


def passes(exercise, attempt):
    """Return whether an exercise's check takes an attempt, given as code."""
    names = {}
    exec(IMPORTS + attempt, names)
    return chapters.passes(exercise, names)


def attempts(kind):
    """Return a mark that runs a test on the attempts that are right (0), or on those that are wrong (1)."""
    return pytest.mark.parametrize(
        ("exercise", "attempt"),
        [
            pytest.param(exercise, attempt, id=f"{exercise}, {name}")
            for exercise, both in ATTEMPTS.items()
            for name, attempt in both[kind].items()
        ],
    )


@attempts(0)
def test_right_answers_pass(exercise, attempt):
    assert passes(exercise, attempt)


@attempts(1)
def test_wrong_answers_do_not(exercise, attempt):
    assert not passes(exercise, attempt)

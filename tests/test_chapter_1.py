"""Chapter 1: checks of exercises take right answers in any form, refuse wrong ones, and say what is wrong with them."""

import ast
import functools

import chapters
import numpy as np
import pytest
from keras import ops

import vqlib

NAMES = {
    1: "dense_bias",
    2: "compression_ratio",
    3: "restart_dead",
    4: "product_codes",
    5: "residual_codes",
    6: "lloyd_with_price",
}


THEIRS = chapters.functions(1, "squared_distances", "nearest", "distortion", "lloyd", given={"np": np})
squared_distances, nearest = THEIRS["squared_distances"], THEIRS["nearest"]


def passes(exercise, attempt):
    """Return whether an attempt passes the check of an exercise, run as a reader runs it."""
    namespace = {"np": np, "functools": functools, "vqlib": vqlib, **THEIRS}
    for number in range(1, exercise + 1):
        namespace[NAMES[number]] = attempt if number == exercise else lambda *arguments: None
        exec(chapters.cell_with(1, f"# @title Check of exercise 1.{number}\n"), namespace)
    return namespace["solved"]


def test_blanks_are_told_from_wrong_answers(capsys):
    for exercise in NAMES:
        assert passes(exercise, lambda *arguments: None) is False
        assert capsys.readouterr().out.count("nothing returned yet") == exercise


def bias(codebook):
    return -0.5 * np.sum(codebook**2, axis=1)


def norms(codebook):
    return np.linalg.norm(codebook, axis=1)


def ratio(images, k, size, code_bits=lambda k: np.ceil(np.log2(k)), books=1, float_bits=32, side=None):
    codes = images * (side or 28 // size) ** 2 * code_bits(k)
    return images * 6272 / (codes + books * k * size**2 * float_bits)


def restart(x, codebook, errors=None, order=lambda errors: np.argsort(-errors)):
    codes = nearest(x, codebook)
    errors = np.sum((x - codebook[codes]) ** 2, axis=1) if errors is None else errors(x, codebook)
    dead = np.setdiff1d(np.arange(len(codebook)), codes)
    codebook = codebook.copy()
    codebook[dead] = x[order(errors)[: len(dead)]]
    return codebook


def restart_in_place(x, codebook):
    codebook[:] = restart(x, codebook)
    return codebook


def restart_greedily(x, codebook):
    codebook, dead = codebook.copy(), np.setdiff1d(np.arange(len(codebook)), nearest(x, codebook))
    for k in dead:
        codebook[k] = x[np.argmax(squared_distances(x, codebook).min(axis=1))]
    return codebook


def restart_on_one_point(x, codebook):
    return restart(x, codebook, order=lambda errors: np.full(len(errors), np.argmax(errors)))


def product(x, books, axis=1):
    parts = np.split(x, len(books), axis=1)
    return np.stack([nearest(part, book) for part, book in zip(parts, books, strict=True)], axis=axis)


def product_by_loops(x, books):
    size = books.shape[2]
    return [
        [int(np.argmin(np.sum((row[m * size : m * size + size] - book) ** 2, axis=1))) for m, book in enumerate(books)]
        for row in x
    ]


def residual(x, books, sign=-1, keep=False, axis=1):
    codes, left = [], x
    for book in books:
        codes.append(nearest(left, book))
        left = (x if keep else left) + sign * book[codes[-1]]
    return np.stack(codes, axis=axis)


def residual_together(x, books):
    """Take the best sum, not the best codeword at each stage."""
    choices = np.array(list(np.ndindex(*[len(book) for book in books])))
    sums = np.sum([book[choices[:, m]] for m, book in enumerate(books)], axis=0)
    return choices[nearest(x, sums)]


def priced(x, codebook, price, steps, log=np.log2, half=1.0, update=True, drop=True, sign=1, again=False):
    k = len(codebook)
    lengths = np.full(k, log(k))
    for _ in range(steps):
        codes = np.argmin(half * squared_distances(x, codebook) + sign * price * lengths, axis=1)
        counts = np.bincount(codes, minlength=len(codebook))
        used = np.flatnonzero(counts) if drop else np.arange(len(codebook))
        codebook = np.stack([x[codes == j].mean(axis=0) if counts[j] else codebook[j] for j in used])
        if again:
            codes = np.argmin(squared_distances(x, codebook) + price * lengths[used], axis=1)
            counts, used = np.bincount(codes, minlength=len(used)), np.arange(len(used))
        shares = np.maximum(counts[used], 1e-9) / len(x)
        lengths = -log(shares) if update else np.full(len(used), log(k))
    return codebook, lengths


def priced_and_dropped_in_one_place(x, codebook, *arguments):
    """Leave codewords that nobody chose out of the codebook, but not their lengths."""
    kept, lengths = priced(x, codebook, *arguments)
    return kept, np.append(lengths, np.full(len(codebook) - len(kept), np.inf))


RIGHT = [
    (1, "as in the text", bias),
    (1, "a list", lambda c: [-0.5 * float(e @ e) for e in c]),
    (1, "operations of Keras", lambda c: -ops.sum(ops.cast(c, "float32") ** 2, axis=1) / 2),
    (1, "the same number added to all", lambda c: 0.5 * (np.max(norms(c) ** 2) - norms(c) ** 2)),
    (2, "as in the text", ratio),
    (2, "whole numbers only", lambda n, k, s: n * 6272 / (n * (28 // s) ** 2 * (k - 1).bit_length() + k * s * s * 32)),
    (2, "per image", lambda n, k, s: 6272 / ((28 // s) ** 2 * np.ceil(np.log2(k)) + 32 * k * s * s / n)),
    (3, "as in the text", restart),
    (3, "sorted the other way", lambda x, c: restart(x, c, order=lambda e: np.argsort(e)[::-1])),
    (3, "a list of lists", lambda x, c: restart(x, c).tolist()),
    (4, "as in the text", product),
    (4, "loops", product_by_loops),
    (5, "as in the text", residual),
    (5, "the sum so far", lambda x, books: residual(x, list(books))),
    (6, "as in the text", priced),
    (6, "a list of two", lambda *arguments: [np.asarray(part).tolist() for part in priced(*arguments)]),
]
WRONG = [
    (1, "the sign", lambda c: -bias(c), "Long codewords have an advantage"),
    (1, "nothing", lambda c: np.zeros(len(c)), "Long codewords have an advantage"),
    (1, "not halved", lambda c: 2 * bias(c), "lose too often"),
    (1, "length, not its square", lambda c: -0.5 * norms(c), "squares of all D entries"),
    (1, "the mean over D", lambda c: -0.5 * np.mean(c**2, axis=1), "squares of all D entries"),
    (1, "the mean, not halved", lambda c: -np.mean(c**2, axis=1), "Is it a sum or a mean?"),
    (1, "keepdims", lambda c: bias(c)[:, None], r"The shape is (3, 1), but (3,) is expected"),
    (1, "no axis", lambda c: -0.5 * np.sum(c**2), r"The shape is (), but (3,) is expected"),
    (1, "the other axis", lambda c: -0.5 * np.sum(c**2, axis=0), r"The shape is (2,), but (3,) is expected"),
    (2, "no whole bits", lambda *a: ratio(*a, code_bits=np.log2), "100 codes take 7 bits"),
    (2, "no codebook", lambda *a: ratio(*a, books=0), "do not forget the codebook"),
    (2, "a codebook for each image", lambda n, *a: ratio(n, *a, books=n), "hardly counts"),
    (2, "upside down", lambda *a: 1 / ratio(*a), "Bits before over bits after"),
    (2, "28 // size patches", lambda n, k, s: ratio(n, k, s, side=np.sqrt(28 // s)), "7 x 7 codes"),
    (2, "bytes for bits in the codebook", lambda *a: ratio(*a, float_bits=4), "floats of 32 bits"),
    (2, "one float for each codeword", lambda n, k, s: ratio(n, k, s, books=1 / s**2), "64 x 16 floats"),
    (3, "all on one point", restart_on_one_point, "the second worst (2.5, 0)"),
    (3, "the best first", lambda x, c: restart(x, c, order=np.argsort), "the worst point is (5, 0)"),
    (
        3,
        "far from the origin",
        lambda x, c: restart(x, c, errors=lambda x, c: np.sum(x**2, axis=1)),
        "Only (2, 0) is badly served",
    ),
    (
        3,
        "far from codeword 0",
        lambda x, c: restart(x, c, errors=lambda x, c: np.sum((x - c[0]) ** 2, axis=1)),
        "Only (2, 0) is badly served",
    ),
    (
        3,
        "sums of |x - e|",
        lambda x, c: restart(x, c, errors=lambda x, c: np.sum(np.abs(x - c[nearest(x, c)]), axis=1)),
        "The squared distances are 32 at (4, 4)",
    ),
    (
        3,
        "the largest of |x - e|",
        lambda x, c: restart(x, c, errors=lambda x, c: np.max(np.abs(x - c[nearest(x, c)]), axis=1)),
        "The squared distances are 32 at (4, 4)",
    ),
    (3, "measured again after each move", restart_greedily, "before the first one moved"),
    (3, "in place", restart_in_place, "Work on a copy"),
    (3, "the dead are dropped", lambda x, c: c[np.unique(nearest(x, c))], "The shape is (1, 2), but (3, 2)"),
    (3, "all codewords move", lambda x, c: x[: len(c)], "Codewords 1 and 2 are dead"),
    (4, "parts in rows", lambda *a: product(*a, axis=0), "The shape is (2, 3), but (3, 2) is expected"),
    (4, "one codebook for all parts", lambda x, b: product(x, b[:1].repeat(len(b), 0)), "with codebook m only"),
    (4, "entries in turn", lambda x, b: product(x[:, [0, 2, 1, 3]] if x.shape[1] == 4 else x, b), "codebook m only"),
    (4, "two parts, always", lambda x, b: product(x[:, :4], b[:2]) if len(b) == 2 else [[1, 0], [0, 1]], "Three parts"),
    (4, "one name for all parts", lambda x, b: product(x, b) @ 2 ** np.arange(len(b)), "The shape is (3,), but (3, 2)"),
    (5, "the vector at each stage", lambda x, b: residual(x, b, sign=0), "It does not see the vector itself"),
    (5, "added, not subtracted", lambda x, b: residual(x, b, sign=1), "2.6 is left"),
    (
        5,
        "only the last codeword subtracted",
        lambda x, b: residual(x, b, keep=True),
        "what all stages before have left",
    ),
    (5, "stages in rows", lambda x, b: residual(x, b, axis=0), "The shape is (2, 3), but (3, 2) is expected"),
    (5, "the last stage only", lambda x, b: residual(x, b)[:, -1], "The shape is (3,), but (3, 2) is expected"),
    (6, "the price is ignored", lambda x, c, price, steps: priced(x, c, 0.0, steps), "changes to the shorter name"),
    (6, "nats", lambda *a: priced(*a, log=np.log), "lengths -log2"),
    (6, "long names are cheap", lambda *a: priced(*a, sign=-1), "changes to the shorter name"),
    (6, "half of the distance", lambda *a: priced(*a, half=0.5), "The whole squared distance"),
    (6, "names of equal length for ever", lambda *a: priced(*a, update=False), "lengths -log2"),
    (6, "the mean over D", lambda x, *a: priced(x, *a, half=1 / x.shape[1]), "no mean is taken"),
    (6, "chosen again before the lengths", lambda *a: priced(*a, again=True), "come from one choice of codes"),
    (6, "nobody is dropped", lambda *a: priced(*a, drop=False), "The shape is (3, 2), but (2, 2) is expected"),
    (6, "dropped in the codebook only", priced_and_dropped_in_one_place, "dropped from codebook and lengths"),
    (6, "one length for all", lambda *a: (priced(*a)[0], np.mean(priced(*a)[1])), "a column of lengths"),
    (6, "the codebook alone", lambda *a: priced(*a)[0], "The shape is (2, 1), but (2, 2) is expected"),
    (6, "one step, always", lambda x, c, price, steps: priced(x, c, price, 1), "After one step"),
]


@pytest.mark.parametrize(("exercise", "answer"), [case[::2] for case in RIGHT], ids=[f"{n}: {t}" for n, t, _ in RIGHT])
def test_right_answers_pass_however_they_are_written(exercise, answer):
    assert passes(exercise, answer) is True


@pytest.mark.parametrize(
    ("exercise", "answer", "says"), [(n, f, s) for n, _, f, s in WRONG], ids=[f"{n}: {t}" for n, t, *_ in WRONG]
)
def test_wrong_answers_are_refused_with_what_is_wrong(exercise, answer, says, capsys):
    assert passes(exercise, answer) is False
    told = " ".join(capsys.readouterr().out.split())
    assert says in told
    assert "pass" not in told.rpartition("not yet")[2]


def clouds_and_start(seed, size):
    """Return what the chapter's cell with the clouds makes of another seed and number of codewords."""
    cell = chapters.cell_with(1, "clouds = np.concatenate(")
    assert "default_rng(28)" in cell
    assert "size=8" in cell
    namespace = {"np": np, **THEIRS}
    exec(cell.replace("default_rng(28)", f"default_rng({seed})").replace("size=8", f"size={size}"), namespace)
    return namespace["clouds"], namespace["codebooks"][-1], namespace["distortions"][-1]


def test_what_the_answer_says_of_five_codewords_holds(capsys):
    ends = {}
    for seed in (31, 32, 33, 34):
        clouds, codebook, ends[seed] = clouds_and_start(seed, 5)
        own = [np.bincount(cloud, minlength=5) for cloud in nearest(clouds, codebook).reshape(5, 150)]
        main = {int(np.argmax(counts)) for counts in own}
        halves = [counts for counts in own if np.sort(counts)[-2] > 50]
        assert (len(main), len(halves)) == ((5, 0) if seed < 33 else (4, 1)), seed
    assert 2.5 < min(ends[33], ends[34]) / max(ends[31], ends[32]) < 3
    assert max(ends[33], ends[34]) / min(ends[31], ends[32]) < 3


def test_what_the_answer_says_of_a_moved_codeword_holds():
    cell = chapters.cell_with(1, "[-1.3, 0.6],")
    namespace = {"np": np}
    exec(cell, namespace)
    codebook = namespace["codebook"]
    places = np.stack(np.meshgrid(*2 * [np.linspace(-3, 3, 300)]), axis=-1).reshape(-1, 2)
    before = np.bincount(nearest(places, codebook), minlength=6)
    codebook[4] = 0, 3
    assert np.sign(np.bincount(nearest(places, codebook), minlength=6) - before).tolist() == [1, 1, 1, -1, 1, -1]
    codebook[4] = codebook[1]
    assert np.bincount(nearest(places, codebook), minlength=6)[4] == 0


def test_no_two_cells_of_a_figure_have_one_colour():
    cell = chapters.cell_with(1, "def draw_cells")
    (colors,) = [node.value for node in ast.parse(cell).body if isinstance(node, ast.Assign)][:1]
    colors = eval(compile(ast.Expression(colors), "colors", "eval"), {"vqlib": vqlib})
    assert len(set(colors)) == len(colors) == 8
    assert "cells % " not in cell

"""The checks of chapter 8's exercises: right answers pass however they are written, wrong ones do not."""

import chapters
import numpy as np
import pytest
from keras import ops
from sklearn.neighbors import NearestNeighbors

import vqlib
from vqlib import evaluation

NAMES = {
    "8.1": "frechet_1d",
    "8.2": "at_infinity",
    "8.3": "unbiased",
    "8.4": "bits_at",
    "8.6": "my_precision_and_recall",
}


def passes(exercise, attempt):
    """Return whether an attempt passes the check of an exercise."""
    return chapters.passes(exercise, {"np": np, "vqlib": vqlib, "evaluation": evaluation, NAMES[exercise]: attempt})


def off_diagonal(table):
    return table[~np.eye(len(table), dtype=bool)].mean()


def precision_and_recall(
    samples, real, k=3, *, place=None, inside=np.less_equal, swapped=False, own=False, some=np.any
):
    """Precision and recall, and how they go wrong: by what differs from the defaults."""

    def share(x, y):
        within, between = (np.linalg.norm(each[:, None] - y, axis=-1) for each in (y, x))
        radii = np.sort(within, axis=1)[:, k if place is None else place(k)]
        if own:  # balls around those that are asked about
            radii = np.sort(np.linalg.norm(x[:, None] - x, axis=-1), axis=1)[:, k, None]
        return np.mean(some(inside(between, radii), axis=1))

    found = share(samples, real), share(real, samples)
    return found[::-1] if swapped else found


def by_trees(samples, real, k=3):
    """Precision and recall, in a third way."""

    def share(x, y):
        radii = NearestNeighbors(n_neighbors=k).fit(y).kneighbors()[0][:, -1]
        return np.mean([np.any(np.sqrt(((y - each) ** 2).sum(1)) <= radii) for each in x])

    return [share(samples, real), share(real, samples)]


RIGHT = {
    "8.1": [
        lambda x, y: ops.square(ops.mean(x) - ops.mean(y)) + ops.square(ops.std(x) - ops.std(y)),
        lambda x, y: (x.mean() - y.mean()) ** 2 + x.var() + y.var() - 2 * np.sqrt(x.var() * y.var()),
    ],
    "8.2": [
        lambda n_1, d_1, n_2, d_2: np.polyfit([1 / n_1, 1 / n_2], [d_1, d_2], 1)[1],
        lambda n_1, d_1, n_2, d_2: d_1 - (d_1 - d_2) / (1 / n_1 - 1 / n_2) / n_1,
    ],
    "8.3": [
        lambda x, y, between: off_diagonal(x) + off_diagonal(y) - 2 * between.mean(),
        lambda x, y, between: (
            2 * x[np.triu_indices(len(x), 1)].sum() / (len(x) ** 2 - len(x))
            + 2 * y[np.triu_indices(len(y), 1)].sum() / (len(y) ** 2 - len(y))
            - 2 * between.sum() / between.size
        ),
    ],
    "8.4": [
        lambda mse, b_1, m_1, b_2, m_2: np.exp(
            np.interp(-np.log(mse), [-np.log(m_1), -np.log(m_2)], np.log([b_1, b_2]))
        ),
        lambda mse, b_1, m_1, b_2, m_2: b_1 * (mse / m_1) ** (np.log(b_2 / b_1) / np.log(m_2 / m_1)),
    ],
    "8.6": [precision_and_recall, by_trees, evaluation.precision_and_recall],
}
WRONG = {
    "8.1": {
        "variances": lambda x, y: (x.mean() - y.mean()) ** 2 + (x.var() - y.var()) ** 2,
        "one less": lambda x, y: (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2,
        "a root": lambda x, y: np.hypot(x.mean() - y.mean(), x.std() - y.std()),
        "the sum first": lambda x, y: (x.mean() - y.mean() + x.std() - y.std()) ** 2,
        "a difference of squares": lambda x, y: (x.mean() - y.mean()) ** 2 + abs(x.var() - y.var()),
        "the mean alone": lambda x, y: (x.mean() - y.mean()) ** 2,
        "point by point": lambda x, y: np.mean((np.sort(x) - np.sort(y)[: len(x)]) ** 2),
    },
    "8.2": {
        "the smaller bias": lambda n_1, d_1, n_2, d_2: min(d_1, d_2),
        "along N": lambda n_1, d_1, n_2, d_2: np.polyfit([n_1, n_2], [d_1, d_2], 1)[1],
        "the slope": lambda n_1, d_1, n_2, d_2: (d_1 - d_2) / (1 / n_1 - 1 / n_2),
        "the difference": lambda n_1, d_1, n_2, d_2: d_2 - (d_1 - d_2),
        "weights the other way": lambda n_1, d_1, n_2, d_2: (n_1 * d_2 - n_2 * d_1) / (n_1 - n_2),
        "an absolute value": lambda n_1, d_1, n_2, d_2: (n_2 * d_2 - n_1 * d_1) / abs(n_2 - n_1),
    },
    "8.3": {
        "with itself": lambda x, y, between: x.mean() + y.mean() - 2 * between.mean(),
        "divided by n squared": lambda x, y, between: (
            (x.sum() - np.trace(x)) / x.size + (y.sum() - np.trace(y)) / y.size - 2 * between.mean()
        ),
        "between once": lambda x, y, between: off_diagonal(x) + off_diagonal(y) - between.mean(),
        "between without its diagonal": lambda x, y, between: (
            off_diagonal(x) + off_diagonal(y) - 2 * (between.sum() - np.trace(between)) / (between.size - len(between))
        ),
        "one triangle, all pairs": lambda x, y, between: (
            np.triu(x, 1).sum() / (len(x) ** 2 - len(x))
            + np.triu(y, 1).sum() / (len(y) ** 2 - len(y))
            - 2 * between.mean()
        ),
        "the diagonal by a number": lambda x, y, between: (
            (x.sum() - len(x)) / (len(x) ** 2 - len(x))
            + (y.sum() - len(y)) / (len(y) ** 2 - len(y))
            - 2 * between.mean()
        ),
    },
    "8.4": {
        "linear": lambda mse, b_1, m_1, b_2, m_2: np.interp(-mse, [-m_1, -m_2], [b_1, b_2]),
        "logarithm of the error alone": lambda mse, b_1, m_1, b_2, m_2: np.interp(
            -np.log(mse), [-np.log(m_1), -np.log(m_2)], [b_1, b_2]
        ),
        "logarithm of the bits alone": lambda mse, b_1, m_1, b_2, m_2: np.exp(
            np.interp(-mse, [-m_1, -m_2], np.log([b_1, b_2]))
        ),
        "the other way": lambda mse, b_1, m_1, b_2, m_2: b_2 * (mse / m_1) ** (np.log(b_1 / b_2) / np.log(m_2 / m_1)),
        "the first good enough": lambda mse, b_1, m_1, b_2, m_2: b_1 if m_1 <= mse else b_2,
        "half-way": lambda mse, b_1, m_1, b_2, m_2: np.sqrt(b_1 * b_2),
    },
    "8.6": {
        "itself counts": lambda x, y, k=3: precision_and_recall(x, y, k, place=lambda k: k - 1),
        "one too far": lambda x, y, k=3: precision_and_recall(x, y, k, place=lambda k: k + 1 if k < 2 else k),
        "always the third": lambda x, y, k=3: precision_and_recall(x, y, min(3, len(y) - 1, len(x) - 1)),
        "without the edge": lambda x, y, k=3: precision_and_recall(x, y, k, inside=np.less),
        "swapped": lambda x, y, k=3: precision_and_recall(x, y, k, swapped=True),
        "balls around the samples": lambda x, y, k=3: precision_and_recall(x, y, k, own=True),
        "in all balls": lambda x, y, k=3: precision_and_recall(x, y, k, some=np.all),
        "the mean ball": lambda x, y, k=3: precision_and_recall(
            x, y, k, inside=lambda between, radii: between <= radii.mean()
        ),
        "the nearest one's ball": lambda x, y, k=3: precision_and_recall(
            x, y, k, inside=lambda between, radii: (between <= radii) & (between == between.min(axis=1, keepdims=True))
        ),
    },
}


@pytest.mark.parametrize(
    ("exercise", "answer"), [pytest.param(e, a, id=f"{e}-{i}") for e in RIGHT for i, a in enumerate(RIGHT[e])]
)
def test_right_answers_pass(exercise, answer):
    assert passes(exercise, answer)


@pytest.mark.parametrize(
    ("exercise", "answer"), [pytest.param(e, a, id=f"{e}-{w}") for e in WRONG for w, a in WRONG[e].items()]
)
def test_wrong_answers_do_not_pass(exercise, answer):
    assert not passes(exercise, answer)


@pytest.mark.parametrize("exercise", NAMES)
def test_blanks_are_told(exercise, capsys):
    assert not passes(exercise, lambda *arguments: None)
    assert "nothing returned yet" in capsys.readouterr().out


def test_verdicts_of_the_text_are_those_of_the_card():
    """What chapters 7 and 8 say of the sets in words, where no cell of theirs asserts it."""
    judged = {row["method"]: row for row in vqlib.load_card("mnist-ema-prior")["judged"]}
    guided, ours, thief = (judged[name] for name in ("our prior, guided", "our prior", "thief"))
    example, part_one, shares = (judged[name] for name in ("example of 2021", "pair of Part I", "Part I, true shares"))
    for judge in ("frechet_excess", "second_excess"):
        assert guided[judge] < 0.6 * ours[judge]
        assert example[judge] < shares[judge] < part_one[judge]
        assert shares[judge] == pytest.approx(0.9 * part_one[judge], rel=0.05)
    assert example["kernel_distance"] > part_one["kernel_distance"]
    real = ("other test images", "validation images", "through the codes")
    others = [row for name, row in judged.items() if name not in (*real, "thief")]
    for judge in ("frechet_excess", "kernel_distance"):
        assert thief[judge] < min(row[judge] for row in others)
    assert [row["method"] for row in others if row["second_excess"] < thief["second_excess"] + 0.3] == [
        guided["method"]
    ]
    assert guided["second_excess"] == pytest.approx(thief["second_excess"], abs=0.3)  # the spread over draws
    assert example["precision"] < ours["precision"] < guided["precision"]
    assert guided["recall"] < ours["recall"] < part_one["recall"]

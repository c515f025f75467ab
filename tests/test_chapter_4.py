"""Chapter 4: its checks of exercises take what is right in any form, and refuse what is wrong."""

import functools
import types

import chapters
import numpy as np
import pytest
from keras import ops
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

import vqlib

NAMES = {1: "decoder_reach", 2: "tidy", 3: "bag_of_codes", 4: "hamming", 6: "own_share"}


passes = functools.partial(chapters.accepts, 4, NAMES)
solution = functools.partial(chapters.solution, 4)


@pytest.mark.parametrize("exercise", NAMES)
def test_blank_is_told_from_a_wrong_answer(exercise, capsys):
    assert passes(exercise, lambda *arguments: None) is False
    assert "nothing returned yet" in capsys.readouterr().out


def reach_in_closed_form(kernels, strides):
    return 1 + sum((k - 1) * int(np.prod(strides[i + 1 :])) for i, k in enumerate(kernels))


def reach_by_the_last_layer(kernels, strides):
    if not kernels:
        return 1
    return (reach_by_the_last_layer(kernels[:-1], strides[:-1]) - 1) * strides[-1] + kernels[-1]


def renamed_one_by_one(codes, order):
    rows = {int(old): new for new, old in enumerate(order)}
    return np.vectorize(rows.get)(codes)


def shares(patches, pairs=True):
    patches = np.reshape(patches, (len(patches), -1))
    n, squares = len(patches), np.sum(patches**2)
    total = np.sum(np.sum(patches, axis=0) ** 2)
    return (total - squares) / (n - 1) / squares if pairs else total / n / squares


def left_out(patches, pairs=True):
    return [shares(np.delete(patches, i, axis=0), pairs) for i in range(len(patches))]


def gram_share(patches):
    flat = np.reshape(patches, (len(patches), -1))
    gram = flat @ flat.T
    n = len(gram)
    return gram[~np.eye(n, dtype=bool)].mean() / np.diag(gram).mean()


def gram_own_share(patches):
    found = [gram_share(np.delete(patches, i, axis=0)) for i in range(len(patches))]
    return [gram_share(patches), np.std(found) * np.sqrt(len(found) - 1)]


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        *[(exercise, solution(exercise)) for exercise in NAMES],
        (1, reach_in_closed_form),
        (1, lambda kernels, strides: np.int64(reach_in_closed_form(kernels, strides))),
        (1, reach_by_the_last_layer),
        (2, lambda codes, order: np.argsort(order)[codes]),
        (2, renamed_one_by_one),
        (2, lambda codes, order: np.argmax(codes[..., None] == order, axis=-1)),
        (3, lambda codes, k: np.sum(codes[..., None] == np.arange(k), axis=(1, 2))),
        (3, lambda codes, k: [[int(np.sum(grid == i)) for i in range(k)] for grid in codes]),
        (3, lambda codes, k: [np.histogram(grid, bins=np.arange(k + 1))[0] for grid in codes]),
        (4, lambda query, collection: [int(np.sum(grid != query)) for grid in collection]),
        (4, lambda query, collection: np.count_nonzero(collection - query, axis=(1, 2))),
        (4, lambda query, collection: query.size - np.sum(collection == query, axis=(1, 2))),
        (4, lambda query, collection: ops.sum(ops.cast(ops.not_equal(query, collection), "int32"), axis=(1, 2))),
        (6, gram_own_share),
    ],
)
def test_right_answers_pass_however_they_are_written(exercise, answer):
    assert passes(exercise, answer) is True


def encoder_field(kernels, strides):
    field, jump = 1, 1
    for k, s in zip(kernels, strides, strict=True):
        field, jump = field + (k - 1) * jump, jump * s
    return field


def reach(kernels, strides, step):
    n = 1
    for k, s in zip(kernels, strides, strict=True):
        n = step(n, k, s)
    return n


def renamed_in_place(codes, order):
    codes = codes.copy()
    for new, old in enumerate(order):
        codes[codes == old] = new
    return codes


def present(codes, k):
    bags = np.zeros((len(codes), k), int)
    for bag, grid in zip(bags, codes, strict=True):
        bag[grid] += 1  # an index that occurs twice counts once
    return bags


def bags_of_names(query, collection):
    """Compare which codes there are, and forget where."""
    return [int(np.sum(np.sort(query, axis=None) != np.sort(grid, axis=None))) for grid in collection]


def jackknife(patches, factor, pairs=True):
    found = left_out(patches, pairs)
    return shares(patches, pairs), np.sqrt(factor(len(found)) * np.sum((found - np.mean(found)) ** 2))


def right_factor(n):
    return (n - 1) / n


def errors_around_the_share(patches):
    found = left_out(patches)
    return shares(patches), np.sqrt(right_factor(len(found)) * np.sum((found - shares(patches)) ** 2))


def around_the_mean(patches):
    """Return the share around the mean patch of the others, a correlation of pixels."""
    flat = np.reshape(patches, (len(patches), -1))
    table = np.corrcoef(flat + 1e-9 * np.arange(flat.shape[1]))
    return np.mean(table[~np.eye(len(table), dtype=bool)]), 0.0


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (1, lambda kernels, strides: reach_in_closed_form(kernels[::-1], strides[::-1])),
        (1, encoder_field),
        (1, lambda kernels, strides: 1 + sum((k - 1) * int(np.prod(strides[i:])) for i, k in enumerate(kernels))),
        (1, lambda kernels, strides: reach(kernels, strides, lambda n, k, s: n * s + k)),
        (1, lambda kernels, strides: reach(kernels, strides, lambda n, k, s: (n - 1) * s + k - 1)),
        (1, lambda kernels, strides: reach(kernels, strides, lambda n, k, s: (n - 1) + k)),  # no stride
        (1, lambda kernels, strides: reach(kernels, strides, lambda n, k, s: max(n * s, (n - 1) * s + k))),
        (2, lambda codes, order: order[codes]),
        (2, lambda codes, order: codes),
        (2, lambda codes, order: np.searchsorted(order, codes)),  # takes the order for a sorted one
        (2, renamed_in_place),
        (2, lambda codes, order: order[order[codes]]),  # right where three names go round
        (2, lambda codes, order: np.argsort(-order)[codes]),
        (3, lambda codes, k: np.bincount(codes.ravel(), minlength=k)),
        (3, lambda codes, k: np.stack([np.bincount(grid.ravel()) for grid in codes])),
        (3, lambda codes, k: np.sum(codes[..., None] == np.arange(k), axis=(1, 2)) / codes[0].size),
        (3, lambda codes, k: np.any(codes[..., None] == np.arange(k), axis=(1, 2)).astype(int)),
        (3, present),
        (3, lambda codes, k: np.stack([np.histogram(grid, bins=k)[0] for grid in codes])),  # bins of any width
        (3, lambda codes, k: np.sum(codes[:, 0, :, None] == np.arange(k), axis=1)),  # the first row alone
        (4, lambda query, collection: np.mean(query != collection, axis=(1, 2))),
        (4, lambda query, collection: np.sum(np.abs(query - collection), axis=(1, 2))),
        (4, lambda query, collection: np.sum(query == collection, axis=(1, 2))),
        (4, lambda query, collection: np.sum(query != collection)),
        (4, bags_of_names),
        (4, lambda query, collection: np.any(query != collection, axis=(1, 2)).astype(int)),
        (4, lambda query, collection: np.sum(np.any(query != collection, axis=1), axis=1)),  # columns that differ
        (6, lambda patches: jackknife(patches, right_factor, pairs=False)),  # each patch with itself as well
        (6, lambda patches: jackknife(patches, lambda n: 1 / n)),  # the spread of the shares
        (6, lambda patches: jackknife(patches, lambda n: 1 / n / (n - 1))),  # as of independent shares
        (6, lambda patches: jackknife(patches, lambda n: 1.0)),
        (6, lambda patches: shares(patches)),  # no error
        (6, around_the_mean),
        (6, lambda patches: np.maximum(jackknife(patches, right_factor), 0)),  # a share below 0 cut off
        (6, lambda patches: (np.mean(left_out(patches)), jackknife(patches, right_factor)[1])),
        (6, errors_around_the_share),
        (6, lambda patches: (np.sqrt(max(shares(patches), 0)), jackknife(patches, right_factor)[1])),
    ],
)
def test_wrong_answers_do_not_pass(exercise, answer, capsys):
    assert passes(exercise, answer) is False
    assert "not yet" in capsys.readouterr().out


def test_a_mean_is_not_called_right_but_of_another_type(capsys):
    assert passes(4, lambda query, collection: np.mean(query != collection, axis=(1, 2))) is False
    assert "values are right" not in capsys.readouterr().out


@pytest.mark.parametrize("exercise", [1, 3, 4])
def test_where_floats_are_refused_a_whole_number_was_asked_for(exercise, capsys):
    assert passes(exercise, lambda *arguments: np.asarray(solution(exercise)(*arguments), float)) is False
    assert "values are right" in capsys.readouterr().out
    blank = chapters.cell_with(4, f"def {NAMES[exercise]}(")
    assert "whole number" in " ".join(blank.split())


def shown(title, **given):
    """Return the text that a cell of the chapter shows, with what it needs given."""
    shows = []
    exec(chapters.cell_with(4, f"# @title {title}\n"), {"np": np, "vqlib": vqlib, "Markdown": shows.append, **given})
    return shows[0]


def test_the_search_leaves_the_query_out_and_goes_by_vectors():
    # two digits of six images, each image with a name of its own in all cells; the names of a digit lie together
    entries = np.append(np.arange(6), 100 + np.arange(6))[:, None].astype("float32")
    text = shown(
        "Result: search by names and by entries",
        codes=np.tile(np.arange(12)[:, None, None], (1, 7, 7)),
        codebook=entries,
        data=types.SimpleNamespace(y_test=np.repeat([3, 8], 6)),
        some=slice(None),
        solution_4_4=solution(4),
    )
    # five of six others are of the digit; by names all others are as far, and the first in the list are found
    assert "**42%** by names and in **83%** by entries; the nearest one alone in 50% and 100%" in text
    assert "lead by 41.7 percentage points" in text


def test_the_bits_are_those_of_a_histogram_of_the_training_images():
    train = np.tile(np.array([0, 1] * 500)[:, None, None], (1, 7, 7))
    text = shown(
        "Table: bits per image, by what we know",
        model=types.SimpleNamespace(encode=lambda images: train),
        data=types.SimpleNamespace(x_train=None),
        codes=np.zeros((10, 7, 7), int),  # by their own histogram they would cost nothing
        K=2,
        ours=0,
        row=3,
        column=3,
    )
    assert text.count("| 49 | 1.0 |") == 3


def test_axes_are_named_by_what_the_codes_add_and_grow_with_it():
    """Codes whose entries say, along three directions of a codebook, how much ink they add and where."""
    given = {"np": np, "PCA": PCA, "spearmanr": spearmanr}
    theirs = chapters.functions(4, "describe", "find_axes", given=given)
    generator = np.random.default_rng(0)
    k = 40
    amount, right, down = generator.uniform(1, 3, k), *generator.integers(1, 8, (2, k))
    added = np.zeros((k, 9, 9, 1))
    added[np.arange(k), down, right, 0] = amount
    entries = np.stack([-30 * amount, 5.0 * right, -2.0 * down], axis=1)
    codebook = entries @ np.linalg.qr(generator.normal(size=(3, 3)))[0]
    codes = np.append(np.arange(k), generator.integers(k, size=48 * k)).reshape(k, 7, 7)
    quantities = theirs["describe"](added, codes, np.arange(k))
    np.testing.assert_allclose(quantities["where its ink is: right"], right - 4, atol=1e-4)
    np.testing.assert_allclose(quantities["where its ink is: down"], down - 4, atol=1e-4)
    points, correlation, strongest, shares = theirs["find_axes"](codebook, np.arange(k), quantities)
    names = [list(quantities)[n] for n in strongest]
    assert names == ["how much ink it adds", "where its ink is: right", "where its ink is: down"]
    assert np.all(correlation[strongest, np.arange(3)] > 0.9)
    assert all(spearmanr(points[:, n], quantities[name]).statistic > 0.9 for n, name in enumerate(names))
    assert shares[0] > shares[1] > shares[2]


def test_border_table_counts_ink_where_the_fields_at_the_border_see_it():
    images = np.full((4, 28, 28, 1), -0.5)
    images[0, 6, 10], images[1, 7, 10], images[2, 24, 10], images[3, 10, 24] = 0.5, 0.5, 0.5, 0.5
    text = shown(
        "Table: what the fields at the border see",
        data=types.SimpleNamespace(x_test=images),
        receptive_field=7,
        jump=4,
        by_cell=np.arange(49.0).reshape(7, 7),
    )
    assert "| upper | pixel rows 0 to 6 | 25% | 25.0% | 3.0 |" in text
    assert "| lower | pixel rows 24 to 27 | 25% | 25.0% | 45.0 |" in text
    assert "| left | pixel columns 0 to 6 | 0% | 0.0% | 21.0 |" in text
    assert "| right | pixel columns 24 to 27 | 25% | 25.0% | 27.0 |" in text


def test_pixels_of_the_fields_differ_first_in_ink_and_then_in_its_place():
    """What the text under figure 4.8 says of the fields without any network, here on the digits of scikit-learn."""
    images = vqlib.load_dataset("digits").x_test
    corners = range(4, 21, 4)
    fields = np.concatenate([images[:, y : y + 7, x : x + 7].reshape(-1, 49) for y in corners for x in corners])
    ink, *places = PCA(n_components=3).fit(fields[fields.max(axis=1) > -0.5]).components_
    assert abs(ink.mean()) * 7 > 0.9, "its cosine with a field of one grey"
    x, y = np.meshgrid(np.arange(7.0) - 3, np.arange(7.0) - 3)
    slopes = np.linalg.lstsq(np.stack([x.ravel(), y.ravel()], axis=1), np.transpose(places), rcond=None)[0]  # (2, 2)
    explained = np.stack([x.ravel(), y.ravel()], axis=1) @ slopes
    assert np.all(np.sum(explained**2, axis=0) > 0.8), "from one side of the field to the other"
    assert abs(slopes[:, 0] @ slopes[:, 1]) < 0.2 * np.prod(np.linalg.norm(slopes, axis=0)), "at right angles"

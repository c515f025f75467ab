"""The tables of the results page say what the cards say."""

import io
import json
import re

import chapters
import numpy as np
import pytest
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

import vqlib
from vqlib import checkpoints
from vqlib.evaluation import PrecisionAndRecall

pytestmark = pytest.mark.book


@pytest.fixture(scope="module")
def cards(book_extension):
    """The book's extension that makes tables of cards."""
    return book_extension("cards")


def rows_of(lines):
    """Return the cells of a Markdown table, the heading first, without the line below it."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for i, line in enumerate(lines) if i != 1]


def test_rows_that_differ_in_the_seed_are_one_line_with_mean_and_spread(cards):
    row = {
        "method": "one",
        "epochs": 4,
        "parameters": 49_937,
        "test_mse": 0.003,
        "test_codes_used": 128,
        "test_perplexity": 30.0,
    }
    rows = [
        {**row, "seed": 0},
        {**row, "seed": 1, "test_mse": 0.005, "test_perplexity": 34.0},
        {**row, "seed": 0, "epochs": 30, "test_mse": 0.002},
        {**row, "seed": 0, "method": "other", "parameters": 10},
    ]
    heading, *lines = rows_of(cards.comparison(rows))
    assert heading == ["method", "epochs", "MSE", "codes used", "perplexity", "seeds", "parameters"]
    lines = [[cell.replace("\u00a0", " ") for cell in line] for line in lines]
    assert lines == [
        ["one", "4", "0.00400 ± 0.00141", "128", "32.0 ± 2.8", "2", "49,937"],
        ["one", "30", "0.00200", "128", "30.0", "1", "49,937"],
        ["other", "4", "0.00300", "128", "30.0", "1", "10"],
    ]


def test_rows_of_other_codes_or_beta_are_another_line(cards):
    row = {"method": "one", "num_codes": 2048, "beta": 0.25, "test_mse": 0.003, "prior_bits": 81.24}
    rows = [
        {**row, "seed": 0},
        {**row, "seed": 1},
        {**row, "seed": 0, "beta": 25.0},
        {**row, "seed": 0, "num_codes": 128},
    ]
    assert rows_of(cards.comparison(rows)) == [
        ["method", "codes", "beta", "MSE", "bits, small prior", "seeds"],
        ["one", "2,048", "0.25", "0.00300", "81.2", "2"],
        ["one", "2,048", "25", "0.00300", "81.2", "1"],
        ["one", "128", "0.25", "0.00300", "81.2", "1"],
    ]


def test_rows_may_lack_numbers(cards):
    rows = [{"method": "one", "frechet_ratio": 3.21}, {"method": "other", "frechet_ratio": 1.0, "class_accuracy": 0.98}]
    assert rows_of(cards.comparison(rows)) == [
        ["method", "Fréchet, times the floor", "read as asked"],
        ["one", "3.2", ""],
        ["other", "1.0", "98.0%"],
    ]


def test_all_numbers_that_chapter_8_writes_of_a_set_are_shown(cards):
    one, given = {"prior": 0.5}, {"N": 10, "can_be_asked": ["prior"], "as_asked": {"prior": 0.9}}
    given |= {"verdict": {"prior": np.array([1.0, 2.0])}, "second_verdict": {"prior": np.array([3.0, 4.0])}}
    given |= {"kernel": {"prior": np.array([0.4, 0.6])}, "second_as_asked": one}
    given |= {"pairs": {"prior": PrecisionAndRecall(0.25, 0.75)}}
    row = chapters.functions(8, "row_of", given=given)["row_of"]("prior")
    heading, line = rows_of(cards.comparison([row]))
    assert len(heading) == len(set(row) - {"images"})  # N stands in the text
    assert line == ["prior", "1.50", "3.50", "0.500", "0.25", "0.75", "90.0%", "50.0%"]


def test_number_that_some_seeds_lack_is_the_mean_over_the_others(cards):
    row = {"method": "one", "test_codes_used": 1196}
    rows = [{**row, "seed": 0}, {**row, "seed": 1, "prior_bits": 80.0}, {**row, "seed": 2, "prior_bits": 82.0}]
    assert rows_of(cards.comparison(rows)) == [
        ["method", "codes used", "bits, small prior", "seeds"],
        ["one", "1,196", "81.0\u00a0±\u00a01.4", "3"],
    ]


@pytest.fixture
def swept():
    """Rows of a sweep over beta: "one" is best at 25 by validation, at 0.25 by test and by its first seed."""
    table = [
        ("one", 128, 0.25, 2, 0, 0.004, 0.001),
        ("one", 128, 0.25, 2, 1, 0.009, 0.001),
        ("one", 128, 25.0, 2, 0, 0.005, 0.007),
        ("one", 128, 25.0, 2, 1, 0.006, 0.009),
        ("other", 128, 0.25, 2, 0, 0.001, 0.003),
        ("other", 128, 25.0, 2, 0, 0.002, 0.003),
        ("rounded", 125, 0.0, 2, 0, 0.008, 0.006),
        ("one", 2048, 25.0, 2, 0, 0.004, 0.005),
        ("one", 128, 2.5, 30, 0, 0.0001, 0.002),
    ]
    names = ("method", "num_codes", "beta", "epochs", "seed", "val_mse", "test_mse")
    return [dict(zip(names, values, strict=True)) for values in table]


def shown(cards, rows, options, folder, monkeypatch):
    """Return the cells of the table that a page shows of a card with these rows, and what the build complains of."""
    (folder / "made-up.json").write_text(json.dumps({"rows": rows}))
    (folder / "index.md").write_text("\n".join(["# Page", "", "```{card-rows} made-up", *options, "```", ""]))
    monkeypatch.setattr(cards, "FOLDER", folder)
    complaints = io.StringIO()
    with docutils_namespace():
        settings = {"extensions": ["myst_parser"]}
        app = Sphinx(folder, None, folder / "out", folder / "trees", "dummy", settings, None, complaints)
        app.add_directive("card-rows", cards.CardRows)
        app.build()
        page = app.env.get_doctree("index")
    return [[cell.astext() for cell in row.children] for row in page.findall(nodes.row)], complaints.getvalue()


def test_page_shows_each_method_at_its_best_beta_by_validation(cards, swept, tmp_path, monkeypatch):
    options = [":epochs: 2", ":num_codes: 125 128", ":best: beta"]
    lines, complaints = shown(cards, swept, options, tmp_path, monkeypatch)
    assert not complaints
    assert [[cell.replace("\u00a0", " ") for cell in line] for line in lines] == [
        ["method", "codes", "beta", "epochs", "MSE", "seeds"],
        ["one", "128", "25", "2", "0.00800 ± 0.00141", "2"],
        ["other", "128", "0.25", "2", "0.00300", "1"],
        ["rounded", "125", "–", "2", "0.00600", "1"],
    ]


def test_page_shows_the_rows_that_are_asked_for(cards, swept, tmp_path, monkeypatch):
    (_, *lines), complaints = shown(cards, swept, [":num_codes: 2048"], tmp_path, monkeypatch)
    assert not complaints
    assert lines == [["one", "2,048", "25", "2", "0.00500", "1"]]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [(":epochs: 4", "No row of made-up"), (":epochs: few", "invalid literal"), (":best: bits", '"bits" unknown')],
)
def test_page_that_asks_for_what_is_not_there_is_refused(cards, swept, option, complaint, tmp_path, monkeypatch):
    assert complaint in shown(cards, swept, [option], tmp_path, monkeypatch)[1]


@pytest.mark.parametrize("name", checkpoints.names())
def test_table_of_all_cards_has_every_metric_of_each(cards, name):
    card = vqlib.load_card(name)
    table = dict(rows_of(cards.table([card])))
    assert table["parameters"] == f"{card['parameters']:,}"
    for metric, value in card["metrics"].items():
        label, _, form = cards.METRICS.get(metric, (metric, metric, "{:.4g}"))
        assert table[label] == form.format(value)


def test_each_shipped_model_has_its_column_on_the_results_page(cards):
    page = (checkpoints.FOLDER.parents[1] / "book" / "results.md").read_text(encoding="utf-8")
    tables = [cards.shipped(*models.split()) for models in re.findall(r"{model-cards} (.*)", page)]
    assert sorted(card["name"] for table in tables for card in table) == sorted(checkpoints.names())


def test_a_table_has_no_row_for_what_none_of_its_models_has(cards):
    tables = {name: rows_of(cards.table(cards.shipped(name))) for name in ("VQVAE", "PixelCNN", "Classifier")}
    assert all(any(line[1:]) for table in tables.values() for line in table)
    assert "test bits an image" in {line[0] for line in tables["PixelCNN"]}
    assert "test bits an image" not in {line[0] for line in tables["VQVAE"]}

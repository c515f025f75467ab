"""The tables of the results page say what the cards say."""

import re

import pytest

import vqlib
from vqlib import checkpoints

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


def test_rows_may_lack_numbers(cards):
    rows = [{"method": "one", "frechet_ratio": 3.21}, {"method": "other", "frechet_ratio": 1.0, "class_accuracy": 0.98}]
    assert rows_of(cards.comparison(rows)) == [
        ["method", "Fréchet, times the floor", "read as asked"],
        ["one", "3.2", ""],
        ["other", "1.0", "98.0%"],
    ]


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

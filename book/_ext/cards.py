"""Tables of what the shipped models reach, read from their cards when the book is built.

The directive ``model-cards CLASS ...`` shows the cards of all models of these classes, ``card-rows NAME KEY`` the
comparison that a card holds under a key, "rows" unless one is given: one row for each method and number of epochs, mean
and standard deviation over seeds.
"""

import json
import pathlib
import statistics

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

FOLDER = pathlib.Path(__file__).parents[2] / "vqlib" / "checkpoints"
METRICS = {  # what a card calls it: a label, the same in short, and how to write it
    "test_mse": ("test MSE, pixels in [-0.5, 0.5]", "MSE", "{:.5f}"),
    "test_psnr": ("test PSNR, decibels", "PSNR", "{:.2f}"),
    "test_codes_used": ("codes used on the test set", "codes used", "{:.0f}"),
    "test_perplexity": ("perplexity of the codes on the test set", "perplexity", "{:.1f}"),
    "test_bits_per_image": ("test bits an image", "bits", "{:.2f}"),
    "frechet_ratio": ("Fréchet distance of samples, times the floor", "Fréchet, times the floor", "{:.1f}"),
    "class_accuracy": ("samples read as the class asked for", "read as asked", "{:.1%}"),
    "test_nats_per_code": ("test nats a code", "nats", "{:.4f}"),
    "fixed_length_bits": ("bits an image at a fixed length", "bits, fixed length", "{:.0f}"),
    "other_top_mse": ("error with another image's top codes", "with another's top", "{:.4f}"),
    "other_bottom_mse": ("error with another image's bottom codes", "with another's bottom", "{:.4f}"),
    "test_accuracy": ("test accuracy of the likeliest code", "accuracy", "{:.3f}"),
    "test_class_accuracy": ("test images classified right", "classified right", "{:.2%}"),
    "frechet_floor": ("Fréchet distance of real from real images", "floor", "{:.3f}"),
}


def facts(card):
    """Return what a card says, as a dict of label to text, which is empty for what it does not say."""
    config = card["config"]
    wrapped = config.get("quantizers") or [config["quantizer"]] if {"quantizer", "quantizers"} & set(config) else []
    with_codes = [quantizer["config"] for quantizer in wrapped] or [config]

    def sizes(name):
        return ", ".join(str(each[name]) for each in with_codes if name in each)

    measured = {label: "" for label, _, _ in METRICS.values()}
    for key, value in card["metrics"].items():
        label, _, form = METRICS.get(key, (key, key, "{:.4g}"))
        measured[label] = form.format(value)
    return {
        "model": f"`{card['model']}`",
        "trained on": f"{card['dataset']['name']}, {card['dataset']['training_images']:,} images",
        "codes, K": sizes("num_embeddings"),
        "entries of a codebook vector, D": sizes("embedding_dim"),
        "parameters": f"{card['parameters']:,}",
        **measured,
        "epochs": str(card["epochs"]),
        "minutes to train": f"{card['minutes']:.1f}",
        "device": card["device"],
        "versions": ", ".join(f"{name} {version}" for name, version in card["versions"].items()),
        "seed": str(card["seed"]),
        "date": card["date"],
    }


def table(cards):
    """Return a Markdown table, lines: a row for each fact that a card has, a column for each model."""
    columns = [facts(card) for card in cards]
    labels = dict.fromkeys(label for column in columns for label in column)  # in order, each once
    labels = [label for label in labels if any(column.get(label) for column in columns)]
    return [
        "| | " + " | ".join(f"`{card['name']}`" for card in cards) + " |",
        "| --- |" + " --- |" * len(cards),
        *(f"| {label} | " + " | ".join(column.get(label, "") for column in columns) + " |" for label in labels),
    ]


def over_seeds(values, form):
    """Return the mean of values, and their standard deviation where they differ."""
    spread = f"\u00a0±\u00a0{form.format(statistics.stdev(values))}" if len(set(values)) > 1 else ""  # on one line
    return form.format(statistics.mean(values)) + spread


def comparison(rows):
    """Return a Markdown table, lines, of a card's rows: those that differ in the seed alone are one row.

    A row that lacks a number has an empty cell, and a number that all rows lack has no column.
    """
    groups = {}
    for row in rows:
        groups.setdefault((row["method"], row.get("epochs")), []).append(row)

    def measured(name):
        return lambda group: over_seeds([row[name] for row in group], METRICS[name][2]) if name in group[0] else ""

    def stated(name):
        return lambda group: f"{group[0][name]:,}" if name in group[0] else ""

    columns = {
        "method": lambda group: group[0]["method"],
        "epochs": stated("epochs"),
        **{METRICS[name][1]: measured(name) for name in METRICS},
        "seeds": lambda group: str(len(group)) if "seed" in group[0] else "",
        "parameters": stated("parameters"),
        "multiply-adds": stated("multiply_adds"),
    }
    cells = {heading: [cell(group) for group in groups.values()] for heading, cell in columns.items()}
    cells = {heading: column for heading, column in cells.items() if any(column)}
    lines = [f"| {' | '.join(line)} |" for line in zip(*cells.values(), strict=True)]
    return [f"| {' | '.join(cells)} |", "| --- |" + " --- |" * (len(cells) - 1), *lines]


def shipped(*models):
    """Return the cards of all shipped models of some classes, those with short names, of early chapters, first."""
    paths = sorted(FOLDER.glob("*.json"), key=lambda path: (len(path.stem), path.stem))
    return [card for card in (json.loads(path.read_text()) for path in paths) if card["model"] in models]


class ModelCards(SphinxDirective):
    """The cards of the models of some classes, as one table; a sentence where there are none."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Return the table's nodes."""
        cards = shipped(*self.arguments[0].split())
        return parsed(self, table(cards) if cards else ["No such model is shipped yet."])


class CardRows(SphinxDirective):
    """The rows of one card, as a table."""

    required_arguments = 1
    optional_arguments = 1

    def run(self):
        """Return the table's nodes."""
        name, key = (*self.arguments, "rows")[:2]
        return parsed(self, comparison(json.loads((FOLDER / f"{name}.json").read_text())[key]))


def parsed(directive, lines):
    """Return the nodes of Markdown lines."""
    node = nodes.container()
    directive.state.nested_parse(StringList(lines, str(FOLDER)), 0, node)
    for made in node.findall(nodes.table):
        made["classes"].append("cards")
    return node.children


def pages_to_read_again(app, env, added, changed, removed):
    """Name the page with the table: a card that is new is no dependency of the last build."""
    return ["book/results"]


def setup(app):
    """Register the directives."""
    app.add_directive("model-cards", ModelCards)
    app.add_directive("card-rows", CardRows)
    app.connect("env-get-outdated", pages_to_read_again)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

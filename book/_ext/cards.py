"""Tables of what the shipped models reach, read from their cards when the book is built.

The directive ``model-cards CLASS ...`` shows the cards of all models of these classes, ``card-rows NAME KEY`` the
comparison that a card holds under a key, "rows" unless one is given: one row for each setting, mean and standard
deviation over seeds. Its options choose among many rows: ``:epochs: 2`` and ``:num_codes: 125 128`` those that have one
of these numbers, and ``:best: beta`` those of each method at its own best beta.
"""

import json
import pathlib
import statistics
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

SETTINGS = ("method", "num_codes", "beta", "epochs")  # what rows of one group share
FOLDER = pathlib.Path(__file__).parents[2] / "vqlib" / "checkpoints"
METRICS = {  # what a card calls it: a label, the same in short, and how to write it
    "test_mse": ("test MSE, pixels in [-0.5, 0.5]", "MSE", "{:.5f}"),
    "test_psnr": ("test PSNR, decibels", "PSNR", "{:.2f}"),
    "test_codes_used": ("codes used on the test set", "codes used", "{:,.0f}"),
    "test_perplexity": ("perplexity of the codes on the test set", "perplexity", "{:.1f}"),
    "entropy_bits": ("bits per image by the codes' entropy", "bits at most", "{:.0f}"),
    "prior_bits": ("bits per image of a small prior", "bits, small prior", "{:.1f}"),
    "test_bits_per_image": ("test bits an image", "bits", "{:.2f}"),
    "frechet_excess": ("Fréchet distance of samples, above the floor", "Fréchet, above the floor", "{:.2f}"),
    "second_excess": ("Fréchet distance by a second classifier", "by a second classifier", "{:.2f}"),
    "kernel_distance": ("kernel distance of samples", "KID", "{:.3f}"),
    "precision": ("precision of samples", "precision", "{:.2f}"),
    "recall": ("recall of samples", "recall", "{:.2f}"),
    "frechet_ratio": ("Fréchet distance of samples, times the floor", "Fréchet, times the floor", "{:.1f}"),
    "class_accuracy": ("samples read as the class asked for", "read as asked", "{:.1%}"),
    "second_accuracy": ("the same by a second classifier", "by the second", "{:.1%}"),
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


def at_best(rows, setting):
    """Return the rows of each method at that value of a setting at which its validation error is least.

    The error of a value is the mean over the rows that have it. No figure for the test images takes part in the choice.
    """
    errors = {}
    for row in rows:
        errors.setdefault(row["method"], {}).setdefault(row[setting], []).append(row["val_mse"])
    best = {
        method: min((statistics.mean(each), value) for value, each in by_value.items())[1]
        for method, by_value in errors.items()
    }
    return [row for row in rows if row[setting] == best[row["method"]]]


def comparison(rows):
    """Return a Markdown table, lines, of a card's rows: those that differ in the seed alone are one row.

    A number is the mean over the seeds that have it. Where none has it, the cell is empty, and a number that all rows
    lack has no column.
    """
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in SETTINGS), []).append(row)

    def measured(name):
        def cell(group):
            values = [row[name] for row in group if name in row]
            return over_seeds(values, METRICS[name][2]) if values else ""

        return cell

    def stated(name, form="{:,}", zero="0"):
        return lambda group: (form.format(group[0][name]) if group[0][name] else zero) if name in group[0] else ""

    columns = {
        "method": lambda group: group[0]["method"],
        "codes": stated("num_codes"),
        "beta": stated("beta", "{:g}", zero="–"),  # FSQ has none
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
    """The rows of one card, or those that the options choose, as a table."""

    required_arguments = 1
    optional_arguments = 1
    option_spec: ClassVar = {
        "epochs": directives.positive_int_list,
        "num_codes": directives.positive_int_list,
        "best": lambda setting: directives.choice(setting, SETTINGS),
    }

    def run(self):
        """Return the table's nodes."""
        name, key = (*self.arguments, "rows")[:2]
        rows = json.loads((FOLDER / f"{name}.json").read_text())[key]
        for setting in ("epochs", "num_codes"):
            if setting in self.options:
                rows = [row for row in rows if row.get(setting) in self.options[setting]]
        if not rows:
            raise self.error(f"No row of {name} is what {self.options} asks for.")
        return parsed(self, comparison(at_best(rows, self.options["best"]) if "best" in self.options else rows))


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

"""The directive ``model-cards``: a table of the shipped models, read from their cards when the book is built."""

import json
import pathlib

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

FOLDER = pathlib.Path(__file__).parents[2] / "vqlib" / "checkpoints"
METRICS = {
    "test_mse": ("test MSE, pixels in [-0.5, 0.5]", "{:.5f}"),
    "test_psnr": ("test PSNR, decibels", "{:.2f}"),
    "test_codes_used": ("codes used on the test set", "{:.0f}"),
    "test_perplexity": ("perplexity of the codes on the test set", "{:.1f}"),
    "test_nats_per_code": ("test nats a code", "{:.4f}"),
    "test_bits_per_image": ("test bits an image", "{:.2f}"),
    "test_accuracy": ("test accuracy of the likeliest code", "{:.3f}"),
}


def facts(card):
    """Return what a card says, as a dict of label to text."""
    model = {**card["config"], **card["config"].get("quantizer", {}).get("config", {})}
    measured = {}
    for key, value in card["metrics"].items():
        label, form = METRICS.get(key, (key, "{:.4g}"))
        measured[label] = form.format(value)
    return {
        "model": f"`{card['model']}`",
        "trained on": f"{card['dataset']['name']}, {card['dataset']['training_images']:,} images",
        "codes, K": str(model["num_embeddings"]),
        **({"entries of a codebook vector, D": str(model["embedding_dim"])} if "embedding_dim" in model else {}),
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
    """Return a Markdown table, lines: a row for each fact, a column for each model."""
    columns = [facts(card) for card in cards]
    labels = dict.fromkeys(label for column in columns for label in column)  # in order, each once
    return [
        "| | " + " | ".join(f"`{card['name']}`" for card in cards) + " |",
        "| --- |" + " --- |" * len(cards),
        *(f"| {label} | " + " | ".join(column.get(label, "") for column in columns) + " |" for label in labels),
    ]


class ModelCards(SphinxDirective):
    """All cards, as one table; a sentence where there are none."""

    def run(self):
        """Return the table's nodes."""
        paths = sorted(FOLDER.glob("*.json"), reverse=True)  # the vqvae before the prior
        lines = table([json.loads(path.read_text()) for path in paths])
        if not paths:
            lines = ["No trained models are shipped yet."]
        node = nodes.container(classes=["model-cards"])
        self.state.nested_parse(StringList(lines, str(FOLDER)), 0, node)
        return node.children


def pages_to_read_again(app, env, added, changed, removed):
    """Name the page with the table: a card that is new is no dependency of the last build."""
    return ["book/results"]


def setup(app):
    """Register the directive."""
    app.add_directive("model-cards", ModelCards)
    app.connect("env-get-outdated", pages_to_read_again)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

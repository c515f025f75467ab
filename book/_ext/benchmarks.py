"""The directive ``benchmark``: tables and plots of book/benchmarks/*.json, which `make benchmark` writes.

```{benchmark} cpu speed
```

The first word names the file, the second the part: machine, speed, sampling, layers or arithmetic.
"""

import io
import json
import pathlib
import re

import matplotlib as mpl
import numpy as np
from docutils import nodes
from docutils.statemachine import StringList
from matplotlib.figure import Figure
from sphinx.util.docutils import SphinxDirective

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
ORANGE, BLUE = "#d55e00", "#3a8fd0"  # legible on white and on black


def duration(seconds):
    """Return seconds in words, with three digits."""
    if seconds < 1:
        return f"{seconds * 1000:.3g}\N{NO-BREAK SPACE}ms"
    return f"{seconds:.3g}\N{NO-BREAK SPACE}s" if seconds < 1000 else f"{seconds:.0f}\N{NO-BREAK SPACE}s"


def ratios(taken):
    """Return how many times faster ours was, for each pair of turns."""
    return np.array(taken["reference"]) / np.array(taken["ours"])


def spread(values, form="{:.3g}"):
    """Return the median, and the quartiles where there are enough values for them."""
    low, middle, high = (form.format(value) for value in np.percentile(values, [25, 50, 75]))
    return f"{middle} ({low} to {high})" if len(values) >= 5 else middle


def row(label, taken):
    """Return one line of the table of speed."""
    reference, ours = np.median(taken["reference"]), np.median(taken["ours"])
    factor = spread(ratios(taken))
    return f"| {label} | {duration(reference)} | {duration(ours)} | **{factor}** | {len(taken['ours'])} |"


def machine(figures):
    """Return one sentence about the machine."""
    about = figures["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return [
        f"Machine: {about['device']}, {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB; "
        f"Keras on {about['backend']}; {versions}; {about['date']}. A product of two 2048 x 2048 float32 matrices runs "
        f"at {about['flops'] / 1e9:.0f} GFLOP/s."
    ]


def speed(figures):
    """Return the table of speed."""
    memory = {which: figures["encoding_memory"][which] / 2**20 for which in ("reference", "ours")}
    return [
        "| work | textbook | vqlib | times faster: median (quartiles) | pairs |",
        "| --- | ---: | ---: | ---: | ---: |",
        row("PixelCNN training step, K = 128, 7 x 7, batch 128", figures["prior_step"]),
        *(
            row(f"sampling {taken['number']:,} image{'s' * (taken['number'] > 1)}, 7 x 7", taken)
            for taken in figures["sampling_number"]
        ),
        row("VQ-VAE training step, batch 128", figures["vqvae_step"]),
        row("encoding 60,000 images", figures["encoding"]),
        f"| encoding 60,000 images: memory at its peak, beyond the images | {memory['reference']:,.0f} MiB "
        f"| {memory['ours']:,.0f} MiB | **{memory['reference'] / memory['ours']:.3g} times less** | 1 |",
        row("`import vqlib` (against `import keras`)", figures["import"]),
    ]


def arithmetic(figures):
    """Return the table of multiply-adds, and the least time that they take."""
    counts = figures["multiply_adds"]
    rows_added = counts.pop("rows added up in the first layer")["ours"]
    total = {which: sum(count[which] for count in counts.values()) for which in ("reference", "ours")}
    # Forward, and backward for the input and for the weights; the first layer has no gradient of its input.
    passes = 3 * total["ours"] * 49 * 128
    floor = 2 * passes / figures["machine"]["flops"]
    return [
        "| multiply-adds for one position | textbook | vqlib |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {count['reference']:,} | {count['ours']:,} |" for name, count in counts.items()),
        f"| **all** | **{total['reference']:,}** | **{total['ours']:,}** |",
        "",
        f"In place of the first layer's products, vqlib adds up {rows_added:.1f} rows of {128} numbers for a position. "
        f"A training step on 128 grids computes {passes / 1e9:.1f} billion multiply-adds that count, "
        f"so at the rate of large matrices it cannot take less than **{floor * 1000:.0f} ms** here. "
        f"It takes {duration(np.median(figures['prior_step']['ours']))}.",
    ]


def layers(figures):
    """Return the table of the layers' times."""
    lines = ["| layer, forward and backward | in the network | textbook | vqlib |", "| --- | ---: | ---: | ---: |"]
    for name, taken in figures["layers"].items():
        one, other = (duration(np.median(taken[which])) for which in ("reference", "ours"))
        lines.append(f"| {name} | {taken['count']} x | {one} | {other} |")
    return lines


def plot(points, label):
    """Return a plot of (x, textbook's seconds, vqlib's seconds) as SVG in the colours of the page."""
    x, reference, ours = np.array(points).T
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.size": 11}):
        figure = Figure(figsize=(4.2, 3.2), layout="constrained")
        axis = figure.subplots()
        axis.loglog(x, reference, marker="s", color=ORANGE, linestyle="--", label="textbook")
        axis.loglog(x, ours, marker="o", color=BLUE, label="vqlib")
        axis.set_xticks(x, [f"{value:,.0f}" for value in x])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.set(xlabel=label, ylabel="seconds")
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.patch.set_visible(False)
        figure.patch.set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    svg = re.sub(r'width="[\d.]+pt" ?height="[\d.]+pt"', "", svg, count=1)
    said = "; ".join(f"{n:g}: {duration(one)} and {duration(other)}" for n, one, other in points)
    alt = f"Sampling time against {label}, both axes logarithmic, textbook and vqlib. At {said}."
    return svg.replace("<svg ", f'<svg class="benchmark-plot" role="img" aria-label="{alt}" ', 1)


def sampling(figures):
    """Return the plots of sampling time, side by side where there is room."""
    plots = [
        plot([(t[key], np.median(t["reference"]), np.median(t["ours"])) for t in figures[f"sampling_{key}"]], label)
        for key, label in (("number", "number of images, 7 x 7 codes"), ("side", "side of the grid, 10 images"))
    ]
    return f'<div class="benchmark-plots">{"".join(plots)}</div>'


PARTS = {"machine": machine, "speed": speed, "arithmetic": arithmetic, "layers": layers, "sampling": sampling}


class Benchmark(SphinxDirective):
    """One part of one file; a sentence where nobody has made the file yet."""

    required_arguments = 2

    def run(self):
        """Return the part's nodes."""
        name, part = self.arguments
        path = FOLDER / f"{name}.json"
        self.env.note_dependency(str(path))
        if not path.exists():
            missing = "Not measured yet: no such machine was at hand."
            return [nodes.paragraph(text=missing)] if part == "machine" else []
        made = PARTS[part](json.loads(path.read_text()))
        if part == "sampling":
            return [nodes.raw("", made, format="html")]
        node = nodes.container()
        self.state.nested_parse(StringList(made, str(path)), 0, node)
        return node.children


def setup(app):
    """Register the directive."""
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

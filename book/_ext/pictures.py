"""The directive ``picture``: a schematic drawing as SVG, from code, with its caption.

```{picture} masks
The caption, in Markdown.
```

Lines and text take the colour of the page, so that a picture reads on light and dark, and all are 360 units wide, so
that their text is legible on a phone. Shapes, masks and what a network sees are asked of vqlib, not drawn by hand.
"""

import html
import re

import numpy as np
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # vqlib.plots.COLORS; a test compares
SIDE = 7  # of the grids of codes
WIDTH = 360
SUBSCRIPT = re.compile(r"_(\w)")
LOWERED = r'<tspan dy="3" font-size="75%">\1</tspan><tspan dy="-3">&#8203;</tspan>'  # and what follows, back up


class Drawing:
    """Parts of a picture, as SVG."""

    def __init__(self):
        self.parts = []

    def text(self, x, y, words, size=13, anchor="middle", color="currentColor", turn=None):
        """Write words, line by line, around (x, y); the letter behind an underscore is a subscript."""
        lines = words.split("\n")
        turned = f' transform="rotate({turn} {x} {y})"' if turn else ""
        for number, line in enumerate(lines):
            place = y + (number - (len(lines) - 1) / 2) * size * 1.2
            self.parts.append(
                f'<text x="{x}" y="{place:g}" font-size="{size}" text-anchor="{anchor}" dominant-baseline="central" '
                f'fill="{color}"{turned}>{SUBSCRIPT.sub(LOWERED, html.escape(line))}</text>'
            )

    def box(self, x, y, words, width=132, height=38, color="currentColor"):
        """Draw a box with words around (x, y)."""
        self.parts.append(
            f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width}" height="{height}" rx="4" fill="none" '
            f'stroke="{color}" stroke-width="1.6"/>'
        )
        self.text(x, y, words)

    def arrow(self, *points, color="currentColor", dashed=False):
        """Draw an arrow along points, its head at the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        along = np.array([x1 - x0, y1 - y0]) / np.hypot(x1 - x0, y1 - y0)
        across, tip = np.array([-along[1], along[0]]), np.array([x1, y1])
        head = [tip, tip - 9 * along + 4.5 * across, tip - 9 * along - 4.5 * across]
        path = [*points[:-1], tuple(tip - 6 * along)]
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{_points(path)}" fill="none" stroke="{color}" stroke-width="1.8"{dashes}/>'
            f'<polygon points="{_points(head)}" fill="{color}"/>'
        )

    def grid(self, x, y, cell, colors, star=None, crossed=None):
        """Draw a grid of cells, its upper left corner at (x, y); `colors` (h, w) holds colours, or "" for none."""
        for (row, column), color in np.ndenumerate(np.asarray(colors, object)):
            left, top = x + column * cell, y + row * cell
            fill = f'fill="{color}" fill-opacity="0.7"' if color else 'fill="none"'
            self.parts.append(
                f'<rect x="{left:g}" y="{top:g}" width="{cell}" height="{cell}" {fill} stroke="currentColor" '
                'stroke-opacity="0.5"/>'
            )
            if (row, column) == star:
                self.text(left + cell / 2, top + cell / 2, "★", size=cell * 0.8)
            elif crossed is not None and crossed[row, column]:
                self.text(left + cell / 2, top + cell / 2, "×", size=cell * 0.9)

    def svg(self, height, label):
        """Return the picture."""
        return (
            f'<svg class="picture" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(label)}" '
            f'xmlns="http://www.w3.org/2000/svg">{"".join(self.parts)}</svg>'
        )


def _points(points):
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def shape(*sizes):
    """Write a shape."""
    return " × ".join(f"{size:,}" for size in sizes if size is not None)


def reach(layer):
    """Return (49, 49) bool: whether the output of a masked layer at i (row) sees its input at j (column)."""
    seen = np.zeros((SIDE, SIDE, SIDE, SIDE), bool)
    steps = np.argwhere(layer.mask) - layer.origin
    for row, column in np.ndindex(SIDE, SIDE):
        for r, c in steps + np.array([row, column]):
            if 0 <= r < SIDE and 0 <= c < SIDE:
                seen[row, column, r, c] = True
    return seen.reshape(SIDE**2, SIDE**2)


def earlier():
    """Return (49, 49) bool: whether j (column) comes before i (row)."""
    return np.tril(np.ones((SIDE**2, SIDE**2), bool), k=-1)


def seen_by_plain():
    """Return (49, 49) bool: what each position of vqlib's PixelCNN sees."""
    import vqlib

    seen = np.eye(SIDE**2, dtype=bool)
    for layer in vqlib.PixelCNN((SIDE, SIDE)).network.layers:
        if hasattr(layer, "mask_type"):
            seen = reach(layer) @ seen
    return seen


def seen_by_stacks(num_layers):
    """Return two (49, 49) bool: what each position of vqlib's GatedPixelCNN sees by the vertical stack, and in all."""
    import vqlib

    layers = vqlib.GatedPixelCNN((SIDE, SIDE), num_layers=num_layers).network.layers
    layer = {each.name: each for each in layers if hasattr(each, "origin")}
    vertical = horizontal = np.eye(SIDE**2, dtype=bool)
    for number in range(num_layers):
        vertical = reach(layer[f"vertical_{number}"]) @ vertical
        horizontal = reach(layer[f"horizontal_{number}"]) @ horizontal | vertical
    return vertical, horizontal


def path():
    """Draw the data's path."""
    import vqlib

    model = vqlib.VQVAE()
    grid, z, number = shape(*model.code_shape), shape(*model.encoder.output_shape), model.num_embeddings
    image, drawing = shape(*model.image_shape), Drawing()
    rows = ("image", "encoder", "nearest codeword", f"codes, {grid}", "look-up", "decoder", "reconstruction")
    carried = (image, f"z, {z}", "a whole number each", "looked up again", f"z_q, {z}", image)
    places = [24 + 66 * number for number in range(len(rows))]
    for y, words in zip(places, rows, strict=True):
        drawing.box(85, y, words)
    for y, words in zip(places, carried, strict=False):
        drawing.arrow((85, y + 19), (85, y + 47))
        drawing.text(95, y + 32, words, size=12, anchor="start")
    _, _, nearest, codes, look_up, *_ = places
    drawing.box(280, nearest, f"codebook,\n{shape(number, model.embedding_dim)}", color=GREEN, height=42)
    drawing.arrow((214, nearest), (151, nearest), color=GREEN)
    drawing.arrow((346, nearest), (354, nearest), (354, look_up), (151, look_up), color=GREEN)
    drawing.box(280, codes, "PixelCNN: which\ngrids are likely?", color=ORANGE, height=42)
    drawing.arrow((214, codes), (151, codes), color=ORANGE, dashed=True)
    return drawing.svg(
        places[-1] + 24,
        f"From top to bottom: an image of {image} numbers; the encoder, which makes vectors of the shape {z}; the "
        f"search for the nearest of {number} codewords, which makes {grid} codes; the look-up, which makes "
        "vectors again; the decoder; the reconstruction. The codebook serves search and look-up. The PixelCNN is "
        "beside the codes only.",
    )


def gradients():
    """Draw where gradients flow and where they are stopped."""
    drawing = Drawing()
    encoder, search, decoder, loss = 30, 140, 250, 330
    for y, words in ((encoder, "encoder"), (search, "nearest codeword"), (decoder, "decoder")):
        drawing.box(105, y, words)
    drawing.box(105, loss, "reconstruction loss", color=ORANGE, width=146)
    for start, end in ((encoder, search), (search, decoder), (decoder, loss)):
        drawing.arrow((85, start + 19), (85, end - 19))
    drawing.text(78, 106, "z", anchor="end")
    drawing.text(78, 182, "z_q", anchor="end")
    drawing.arrow((125, loss - 19), (125, decoder + 19), color=ORANGE)
    drawing.arrow((125, decoder - 19), (125, 205), (18, 205), (18, 75), (125, 75), (125, encoder + 19), color=ORANGE)
    drawing.text(9, 140, "straight through", size=12, turn=-90)
    drawing.arrow((150, decoder - 19), (150, search + 19), dashed=True)
    drawing.text(150, 195, "✕", size=20)
    drawing.text(160, 214, "no gradient\nthrough argmin", size=11, anchor="start")
    drawing.box(275, search, "codebook")
    drawing.arrow((209, search), (171, search))
    drawing.box(275, encoder, "commitment loss\nβ mean (z − sg[e])²", color=PINK, width=150, height=44)
    drawing.arrow((200, encoder), (171, encoder), color=PINK)
    drawing.box(275, 290, "codebook loss\nmean (sg[z] − e)²", color=GREEN, width=150, height=44)
    drawing.arrow((275, 268), (275, search + 19), color=GREEN)
    return drawing.svg(
        356,
        "From top to bottom, in the colour of the text: encoder, z, nearest codeword, z_q, decoder. In orange, "
        "from the reconstruction loss: up through the decoder, then around the search, straight through to the "
        "encoder; the way through the search is crossed out. In green, from the codebook loss to the codebook "
        "only. In pink, from the commitment loss to the encoder only.",
    )


def masks():
    """Draw masks A and B."""
    from vqlib.pixelcnn import causal_mask

    drawing, centre = Drawing(), (SIDE // 2, SIDE // 2)
    for x, kind, words in ((12, "A", "first layer: codes"), (192, "B", "later layers: features")):
        mask = causal_mask(SIDE, kind)
        drawing.text(x + 77, 12, f"mask {kind}", size=14)
        drawing.grid(x, 26, 22, np.where(mask > 0, BLUE, ""), star=centre)
        drawing.text(x + 77, 195, words, size=12)
    return drawing.svg(
        206,
        f"Two grids of {SIDE} x {SIDE} cells with a star in the middle. Mask A: the rows above and the cells to "
        "the left of the star are filled, the star's own cell is not. Mask B: the same, and the star's own cell "
        "is filled.",
    )


def legend(drawing, y, entries):
    """Explain colours, one below the other: (colour, whether crossed, words)."""
    for number, (color, crossed, words) in enumerate(entries):
        drawing.grid(12, y + 22 * number, 15, [[color]], crossed=np.array([[crossed]]))
        drawing.text(36, y + 22 * number + 8, words, size=12, anchor="start")


def view(seen, position):
    """Return the colours of what a position sees, and (7, 7) bool: what comes before it and is not seen."""
    hidden = (earlier() & ~seen)[position].reshape(SIDE, SIDE)
    before = earlier()[position].reshape(SIDE, SIDE)
    return np.where(hidden, ORANGE, np.where(before, BLUE, "")), hidden


def blind_spot():
    """Draw the blind spot of a stack of masked layers."""
    seen, drawing = seen_by_plain(), Drawing()
    for x, position in zip((8, 128, 248), (22, 36, 42), strict=True):
        colors, hidden = view(seen, position)
        drawing.grid(x, 6, 15, colors, star=divmod(position, SIDE), crossed=hidden)
    legend(drawing, 124, ((BLUE, False, "earlier, and seen"), (ORANGE, True, "earlier, but never seen")))
    count, legal = (earlier() & ~seen).sum(), earlier().sum()
    drawing.text(12, 178, f"{count} of {legal:,} pairs of positions are never seen", size=12, anchor="start")
    return drawing.svg(
        190,
        "Three grids of codes, each with a star further down. Most cells before the star are blue, seen. Orange "
        "cells with a cross are not: a wedge at the right edge, in the rows above the star, and for the last row "
        "also the first row.",
    )


def two_stacks():
    """Draw the two stacks of a gated PixelCNN, and what they see."""
    drawing = Drawing()
    drawing.box(180, 22, "codes", width=90, height=32)
    drawing.box(88, 92, "vertical stack:\nrows above", color=BLUE, width=140, height=44)
    drawing.box(272, 92, "horizontal stack:\nits own row", color=GREEN, width=140, height=44)
    drawing.box(272, 162, "logits", width=90, height=32)
    drawing.arrow((135, 22), (88, 22), (88, 70))
    drawing.arrow((225, 22), (272, 22), (272, 70))
    drawing.arrow((158, 92), (202, 92), color=BLUE)
    drawing.text(180, 126, "at each layer,\nnever back", size=11)
    drawing.arrow((272, 114), (272, 146))
    position = 45
    for x, num_layers in ((28, 1), (208, 4)):
        vertical, seen = seen_by_stacks(num_layers)
        colors, hidden = view(seen, position)
        own_row = (seen & ~vertical)[position].reshape(SIDE, SIDE)
        drawing.text(x + 63, 204, f"{num_layers} layer{'s' if num_layers > 1 else ''}", size=13)
        drawing.grid(x, 216, 18, np.where(own_row, GREEN, colors), star=divmod(position, SIDE), crossed=hidden)
    entries = ((BLUE, False, "seen by the vertical stack"), (GREEN, False, "seen by the horizontal stack"))
    legend(drawing, 354, (*entries, (ORANGE, True, "earlier, but not seen yet")))
    return drawing.svg(
        422,
        "Above: codes go into a vertical stack, for the rows above, and a horizontal stack, for the own row. An "
        "arrow leads from the vertical to the horizontal stack, none back; logits come from the horizontal one. "
        "Below: what a star in the last row sees. With 1 layer, three rows above it and three cells to its left; "
        "with 4 layers every cell before.",
    )


def two_levels():
    """Draw the two levels of a VQ-VAE-2."""
    import vqlib

    model, drawing = vqlib.VQVAE2(), Drawing()
    image, features = shape(*model.image_shape), shape(*model.stem.output_shape[1:])
    (top, bottom), sizes = (shape(*each) for each in model.code_shapes), model.num_embeddings
    left, right = 88, 272
    drawing.box(180, 22, f"image, {image}", width=150)
    drawing.box(180, 88, f"features, {features}", width=170)
    drawing.box(left, 160, "top encoder", width=140)
    drawing.box(left, 232, f"top codes,\n{top}, each of {sizes[0]}", color=BLUE, width=140, height=46)
    drawing.box(right, 232, "bottom encoder", width=140)
    drawing.box(right, 306, f"bottom codes,\n{bottom}, each of {sizes[1]}", color=ORANGE, width=156, height=46)
    drawing.box(180, 390, "decoder", width=150)
    drawing.box(180, 456, f"reconstruction, {image}", width=200)
    drawing.arrow((180, 41), (180, 69))
    drawing.arrow((130, 107), (88, 141))
    drawing.arrow((230, 107), (272, 213))
    drawing.arrow((left, 179), (left, 209))
    drawing.arrow((158, 232), (202, 232), color=BLUE)
    drawing.arrow((right, 251), (right, 283))
    drawing.arrow((left, 255), (140, 371), color=BLUE)
    drawing.arrow((right, 329), (225, 371), color=ORANGE)
    drawing.arrow((180, 409), (180, 437))
    return drawing.svg(
        480,
        f"From top to bottom: an image of {image}; features of {features}, for both levels. On the left the top "
        f"encoder makes {top} top codes. On the right the bottom encoder sees the features and the quantized top, "
        f"and makes {bottom} bottom codes. Both go into the decoder, which makes the reconstruction.",
    )


PICTURES = {
    "path": path,
    "gradients": gradients,
    "masks": masks,
    "blind-spot": blind_spot,
    "two-stacks": two_stacks,
    "two-levels": two_levels,
}


class Picture(SphinxDirective):
    """One picture and its caption."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return a figure."""
        self.env.note_dependency(__file__)
        figure = nodes.figure("", nodes.raw("", PICTURES[self.arguments[0]](), format="html"), classes=["picture"])
        (caption,) = self.parse_text_to_nodes(StringList(self.content, self.env.docname))
        figure += nodes.caption("", "", *caption.children)
        return [figure]


def setup(app):
    """Register the directive."""
    app.add_directive("picture", Picture)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

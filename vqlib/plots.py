"""The figures that chapters share: one look, colour-blind safe, labelled."""

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler

# Okabe and Ito's colours, told apart by readers with any colour vision, ordered for contrast on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 2,
}
CODE_MAP = "viridis"


def use_style():
    """Give all figures from here on the look of the book."""
    plt.rcParams.update(STYLE)


def show_images(rows, labels=None, columns=None, size=0.9):
    """Draw rows of images, with a label before each row.

    Parameters
    ----------
    rows : sequence of float arrays, each (N, H, W, C), in [-0.5, 0.5]
        For example images and their reconstructions. One array alone is broken into rows of `columns`.
    labels : sequence of str, optional
        One for each row.
    columns : int, optional
        Images a row; by default all.
    size : float
        Inches for each image.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if isinstance(rows, np.ndarray):
        columns = columns or len(rows)
        rows = [rows[i : i + columns] for i in range(0, len(rows), columns)]
    columns = columns or max(map(len, rows))
    margin = 0.09 * max(map(len, labels)) if labels is not None else 0  # inches for the labels
    figure, axes = plt.subplots(len(rows), columns, figsize=(size * columns + margin, size * len(rows)), squeeze=False)
    for r, images in enumerate(rows):
        for c, axis in enumerate(axes[r]):
            _bare(axis)
            if c < len(images):
                _draw_image(axis, images[c])
            else:
                axis.set_visible(False)
        if labels is not None:
            axes[r][0].set_ylabel(labels[r], rotation=0, ha="right", va="center")
    return figure


def show_codes(images, codes, num_embeddings, decoded=None, size=2.2):
    """Draw images over the maps of their codes, each cell coloured by its code and numbered.

    Codes are names, not amounts: like colours mean nothing but the same code, or one with a near index.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
    codes : int array, shape (N, h, w)
    num_embeddings : int
        K, for the same colours in every figure.
    decoded : float array, shape (N, H, W, C), optional
        What the codes decode to, as a third row.
    size : float
        Inches for each image.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = 2 if decoded is None else 3
    figure, axes = plt.subplots(rows, len(images), figsize=(size * len(images), size * rows), squeeze=False)
    for i in range(len(images)):
        _draw_image(axes[0][i], images[i])
        axes[1][i].imshow(codes[i], cmap=CODE_MAP, vmin=0, vmax=num_embeddings - 1)
        for (y, x), code in np.ndenumerate(codes[i]):
            ink = "black" if code > 0.55 * num_embeddings else "white"
            axes[1][i].text(x, y, int(code), ha="center", va="center", fontsize=8, color=ink)
        if decoded is not None:
            _draw_image(axes[2][i], decoded[i])
    for axis in axes.ravel():
        _bare(axis)
    for axis, label in zip(axes[:, 0], ("image", "codes", "decoded"), strict=False):
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
    return figure


def show_history(history, *panels, title=None):
    """Draw training curves, one panel for each group of metrics, with validation dashed.

    Parameters
    ----------
    history : dict of str to list of float
        What ``model.fit(...).history`` holds.
    panels : sequences of str
        The metrics of each panel, for example ``("reconstruction_loss",)``.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = min(len(panels), 2)  # more would be too small to read on a phone
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.ravel()[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.ravel(), panels, strict=False):
        for i, metric in enumerate(panel):
            epochs = np.arange(1, len(history[metric]) + 1)
            axis.plot(epochs, history[metric], color=COLORS[i], marker=".", label=metric)
            if f"val_{metric}" in history:
                axis.plot(
                    epochs, history[f"val_{metric}"], color=COLORS[i], linestyle="--", label="the same, validation"
                )
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=9)
    if title:
        figure.suptitle(title)
    return figure


def show_code_usage(counts, title=None):
    """Draw how often each code occurs, the most used first, on a logarithmic scale; never used ones are left blank.

    Parameters
    ----------
    counts : int array, shape (K,), see :func:`vqlib.metrics.code_counts`
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    counts = np.sort(np.asarray(counts))[::-1]
    share = counts / counts.sum()
    figure, axis = plt.subplots(figsize=(6.5, 2.8))
    axis.bar(np.arange(len(share))[share > 0], share[share > 0], width=1.0)
    axis.axhline(1 / len(share), color=COLORS[1], linestyle="--", label=f"all {len(share)} equally often")
    axis.set(yscale="log", xlim=(-1, len(share)), xlabel="codes, the most used first", ylabel="share of all codes")
    axis.set_title(title or f"{np.count_nonzero(counts)} of {len(counts)} codes in use")
    axis.legend(fontsize=9)
    return figure


def _draw_image(axis, image):
    """Draw one image from [-0.5, 0.5], grey or in colour."""
    axis.imshow(np.clip(np.squeeze(image) + 0.5, 0, 1), cmap="gray", vmin=0, vmax=1)


def _bare(axis):
    """Take ticks and frame away, and keep the label."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)

"""The figures that chapters share: one look, colour-blind safe, labelled."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, hsv_to_rgb
from matplotlib.figure import Figure

from vqlib._checks import check_codes, check_positive_integer, to_numpy

# Okabe and Ito's colours, told apart by readers with any colour vision, ordered for contrast on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE: dict[Any, Any] = {
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
# What a decoder makes may lie beyond [-0.5, 0.5], where it is cut off. Images on another scale do so by far more.
OVERSHOOT = 0.05  # what may lie beyond, in any number of pixels
FAR = 0.45  # beyond it: pixels in [-1, 1] are, a decoder's are not, however little it was trained
SHARE = 0.01


def use_style() -> None:
    """Give all figures from here on the look of the book."""
    plt.rcParams.update(STYLE)


def show_images(
    rows: Any, labels: Sequence[str] | None = None, columns: int | None = None, size: float = 0.9
) -> Figure:
    """Draw rows of images, with a label before each row.

    Parameters
    ----------
    rows : sequence of float arrays or tensors, each (N, H, W, C), in [-0.5, 0.5]
        For example images and their reconstructions. C is 1 or 3. One array alone, or a list of images (H, W, C), is
        broken into rows of `columns`; one image alone is drawn alone. What a decoder makes may lie a little beyond the
        range, and is cut off there.
    labels : sequence of str, optional
        One for each row.
    columns : int, optional
        Images a row; by default all.
    size : float
        Inches for each image.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If the images have another shape, are not floating point, or are on another scale.
    """
    if columns is not None:
        check_positive_integer("columns", columns)
    drawn = _rows(rows, columns)
    if labels is not None and (isinstance(labels, str) or len(labels) != len(drawn)):
        raise ValueError(f"labels must be one for each of {len(drawn)} row(s), but are {labels!r}.")
    columns = columns or max(map(len, drawn))
    margin = 0.09 * max(map(len, labels)) if labels is not None else 0  # inches for the labels
    figure, axes = plt.subplots(
        len(drawn), columns, figsize=(size * columns + margin, size * len(drawn)), squeeze=False
    )
    for r, images in enumerate(drawn):
        for c, axis in enumerate(axes[r]):
            _bare(axis)
            if c < len(images):
                _draw_image(axis, images[c])
            else:
                axis.set_visible(False)
        if labels is not None:
            axes[r][0].set_ylabel(labels[r], rotation=0, ha="right", va="center")
    return figure


def show_codes(
    images: Any, codes: npt.ArrayLike, num_embeddings: int, decoded: Any = None, size: float = 2.2
) -> Figure:
    """Draw images over the maps of their codes, each cell coloured by its code and numbered.

    Codes are names, not amounts, so the colours have no order: those of neighbouring indices are far from each other.

    Parameters
    ----------
    images : float array or tensor, shape (N, H, W, C), in [-0.5, 0.5]
    codes : int array, shape (N, h, w), in 0..K - 1
    num_embeddings : int
        K. A code has the same colour in every figure, whatever K is.
    decoded : float array or tensor, shape (N, H, W, C), optional
        What the codes decode to, as a third row.
    size : float
        Inches for each image.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        As for :func:`show_images`; and if there are not as many maps of codes as images, or codes beyond K.
    """
    check_positive_integer("num_embeddings", num_embeddings)
    images = _checked_images(images, "images")
    maps = check_codes(to_numpy(codes), num_embeddings)
    decoded = None if decoded is None else _checked_images(decoded, "decoded")
    if maps.ndim != 3:
        raise ValueError(f"codes must have shape (images, height, width), but have {maps.shape}.")
    if len(maps) != len(images) or (decoded is not None and len(decoded) != len(images)):
        found = f"{len(images)} images and {len(maps)} maps of codes"
        raise ValueError(f"There must be as many: {found}{'' if decoded is None else f', {len(decoded)} decoded'}.")
    rows = 2 if decoded is None else 3
    colors = _code_colors(num_embeddings)
    is_light = colors**2.2 @ (0.2126, 0.7152, 0.0722) > 0.18  # (K,): luminance, where black reads as well as white
    figure, axes = plt.subplots(rows, len(images), figsize=(size * len(images), size * rows), squeeze=False)
    for i in range(len(images)):
        _draw_image(axes[0][i], images[i])
        axes[1][i].imshow(maps[i], cmap=ListedColormap(colors), vmin=-0.5, vmax=num_embeddings - 0.5)
        for (y, x), code in np.ndenumerate(maps[i]):
            ink = "black" if is_light[code] else "white"
            axes[1][i].text(x, y, int(code), ha="center", va="center", fontsize=8, color=ink)
        if decoded is not None:
            _draw_image(axes[2][i], decoded[i])
    for axis in axes.ravel():
        _bare(axis)
    for axis, label in zip(axes[:, 0], ("image", "codes", "decoded"), strict=False):
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
    return figure


def _code_colors(num_embeddings: int) -> np.ndarray:
    """Return a colour for each code, RGB in [0, 1], float64 (K, 3), such that its index says nothing about it.

    Each hue is the golden section of the circle away from the one before, so that any few neighbours are spread over
    all of it. Value and saturation step in cycles of three and five, for readers who cannot tell hues apart.
    """
    k = np.arange(num_embeddings)
    hue, value, saturation = k * (5**0.5 - 1) / 2 % 1, 0.95 - 0.25 * (k % 3), 0.35 + 0.15 * (2 * k % 5)
    return hsv_to_rgb(np.stack([hue, saturation, value], axis=-1))


def show_history(
    history: Any, *panels: str | Sequence[str], title: str | None = None, validation_freq: int = 1
) -> Figure:
    """Draw training curves, one panel for each group of metrics, with validation dashed.

    Parameters
    ----------
    history : dict of str to list of float, or keras.callbacks.History
        What ``model.fit(...)`` returns, or its ``history``.
    panels : str or sequences of str
        The metrics of each panel: ``"loss"``, or ``("codebook_loss", "commitment_loss")``.
    title : str, optional
    validation_freq : int
        After how many epochs each there was a validation: what ``fit`` was given.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If no metrics are named, or one that the history does not hold, or a metric was not validated that often.
    """
    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    groups = [(panel,) if isinstance(panel, str) else tuple(panel) for panel in panels]
    known = ", ".join(name for name in curves if not name.startswith("val_")) or "none, since nothing was trained"
    if not groups or not all(groups):
        raise ValueError(f'Name the metrics of each panel, for example show_history(history, "loss"). Known: {known}.')
    for metric in (metric for group in groups for metric in group if metric not in curves):
        raise ValueError(f"The history holds no metric {metric!r}. Known: {known}.")
    check_positive_integer("validation_freq", validation_freq)
    columns = min(len(groups), 2)  # more would be too small to read on a phone
    rows = -(-len(groups) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.ravel()[len(groups) :]:
        axis.set_visible(False)
    for axis, group in zip(axes.ravel(), groups, strict=False):
        for i, metric in enumerate(group):
            color = COLORS[i % len(COLORS)]
            epochs = np.arange(1, len(curves[metric]) + 1)
            axis.plot(epochs, curves[metric], color=color, marker=".", label=metric)
            if f"val_{metric}" in curves:
                validated = epochs[validation_freq - 1 :: validation_freq]
                validation = curves[f"val_{metric}"]
                _check_validated(f"val_{metric}", validation, validated, len(epochs), validation_freq)
                axis.plot(validated, validation, color=color, linestyle="--", label="the same, validation")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=9)
    if title:
        figure.suptitle(title)
    return figure


def _check_validated(
    name: str, values: Sequence[float], validated: np.ndarray, epochs: int, validation_freq: int
) -> None:
    """Raise unless there is a value for each epoch that was validated."""
    if len(values) != len(validated):
        often = "each epoch" if validation_freq == 1 else f"every {validation_freq} epochs"
        raise ValueError(
            f"{name} has {len(values)} values, but in {epochs} epochs a validation after {often} gives "
            f"{len(validated)}. Say how often there was one, as to fit: validation_freq=2."
        )


def _rows(rows: Any, columns: int | None) -> list[np.ndarray]:
    """Return what `show_images` was given as rows, each of images (N, H, W, C), checked."""
    if not isinstance(rows, (list, tuple)):
        images = to_numpy(rows)
        images = images[None] if images.ndim == 3 and images.shape[-1] in (1, 3) else images
    elif not rows:
        raise ValueError("There is nothing to draw: rows is empty.")
    else:
        arrays = [
            np.stack([to_numpy(image) for image in row]) if isinstance(row, (list, tuple)) else to_numpy(row)
            for row in rows
        ]
        if any(array.ndim != 3 or array.shape[-1] not in (1, 3) for array in arrays):
            return [_checked_images(array, f"rows[{i}]") for i, array in enumerate(arrays)]
        images = np.stack(arrays)
    images = _checked_images(images, "images")
    columns = columns or len(images)
    return [images[i : i + columns] for i in range(0, len(images), columns)]


def _checked_images(images: Any, name: str) -> np.ndarray:
    """Return images as an array, or raise with what they are; they may lie a little beyond [-0.5, 0.5]."""
    images = to_numpy(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise ValueError(
            f"{name} must be images (N, height, width, channels), grey or colour, but have shape {images.shape}. "
            "For images without channels: images[..., None]; for one image: images[None]."
        )
    if not np.issubdtype(images.dtype, np.floating) and images.dtype.name != "bfloat16":
        raise TypeError(f"{name} must be floating point in [-0.5, 0.5], but are {images.dtype}. images / 255 - 0.5?")
    values = images.astype("float32")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} contain NaN or infinity, which has no colour.")
    low, high = values.min(), values.max()
    found = f"{name} must lie in [-0.5, 0.5], but lie in [{low:.4g}, {high:.4g}]"
    if low > -OVERSHOOT and np.mean(values > 0.5 + OVERSHOOT) > SHARE:
        raise ValueError(f"{found}. For pixels in [0, 1]: images - 0.5; in 0..255: images / 255 - 0.5.")
    if np.mean(np.abs(values) > 0.5 + FAR) > SHARE:
        raise ValueError(f"{found}, many of them far out. Put them on the scale first, or cut them off with np.clip.")
    return values


def _draw_image(axis: Axes, image: np.ndarray) -> None:
    """Draw one image, grey or in colour; what lies beyond [-0.5, 0.5] is cut off."""
    axis.imshow(np.clip(np.squeeze(image, -1 if image.shape[-1] == 1 else ()) + 0.5, 0, 1), cmap="gray", vmin=0, vmax=1)


def _bare(axis: Axes) -> None:
    """Take ticks and frame away, and keep the label."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)

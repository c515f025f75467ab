"""What Keras does not show to the callbacks of a training, and vqlib's models do."""

from collections.abc import Iterable
from typing import Any

import keras


def show_data(callbacks: Any, x: Any, y: Any = None, batch_size: int | None = None) -> None:
    """Show to each callback that has a method ``on_data`` what the training is on, before it begins.

    Parameters
    ----------
    callbacks : Callback, list of Callback, or None
        As in ``fit``, and so are the others.
    """
    flat: Iterable[Any] = getattr(callbacks, "callbacks", None) or keras.tree.flatten(callbacks)
    for callback in flat:
        if hasattr(callback, "on_data"):
            callback.on_data(x, y, batch_size)

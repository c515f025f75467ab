"""What checks ask of a student's objects beyond calling them. They run where the objects live, and return data."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vqlib._types import Tensor


def peak_megabytes(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the most memory, in MB, that NumPy held at a time while `function` ran."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def pullback(function: Callable[..., Any], weights: ArrayLike, *arrays: ArrayLike) -> list[np.ndarray]:
    """Return the gradient of the weighted sum of what `function` gives, for each of the float arrays that it is given.

    Where no gradient arrives, there are zeros.
    """
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(np.asarray(array, "float32")) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = tf.cast(tf.convert_to_tensor(function(*tensors)), "float32")
        total = tf.reduce_sum(np.asarray(weights, "float32") * output)
    found = tape.gradient(total, tensors, unconnected_gradients="zero")
    return [np.asarray(tf.convert_to_tensor(gradient)) for gradient in found]


def call_with_network(function: Callable[..., Any], table: ArrayLike, *arguments: Any) -> Any:
    """Return what `function` gives for a network over grids of codes, put in front of its other arguments.

    The network takes codes (B, h, w) to logits (B, h, w, K), a tensor, as a prior does. Its logits at position i are
    the sum over all positions j of `table[i, j, code at j]`, an array (n, n, K, K) with n = h * w in raster order.
    """
    from keras import ops

    tables = np.asarray(table, "float32")

    def network(grids: ArrayLike) -> Tensor:
        codes = np.asarray(grids)
        if codes.ndim != 3:
            raise ValueError(f"The network takes codes of shape (B, h, w), but they have the shape {codes.shape}.")
        logits = tables[:, np.arange(len(tables)), codes.reshape(len(codes), -1)].sum(axis=2)  # (n, B, K)
        return ops.convert_to_tensor(np.moveaxis(logits, 0, 1).reshape(*codes.shape, -1))

    return function(network, *arguments)


def with_network(
    function: Callable[..., Any],
    layers: Sequence[tuple[str, dict[str, Any]]],
    weights: Sequence[ArrayLike],
    *arguments: Any,
) -> Any:
    """Return what `function` gives for a Keras network that is made here, and the other arguments.

    Parameters
    ----------
    layers : list of [name of a Keras layer, dict of its keywords], the input first
    weights : list of arrays, all weights of the network in their order
    """
    import keras

    network = keras.Sequential([getattr(keras.layers, name)(**keywords) for name, keywords in layers])
    network.set_weights(weights)
    return function(network, *arguments)


def pullback_first(function: Callable[..., Any], weights: ArrayLike, array: ArrayLike, *others: Any) -> np.ndarray:
    """Return the gradient of the weighted sum of what `function` gives, for its first argument alone.

    The other arguments are handed on as they are, so they may be integers. Where no gradient arrives, there are zeros.
    """
    return pullback(lambda tensor: function(tensor, *others), weights, array)[0]


def table_network(
    by_top: ArrayLike, by_bottom: ArrayLike, num_embeddings: int = 4, seed: int = 0
) -> Callable[[ArrayLike, ArrayLike], np.ndarray]:
    """Return a stand-in for a bottom prior: each logit moves with just the codes that it is said to see.

    Parameters
    ----------
    by_top : bool array, shape (H, W, h, w)
        Whether the logits at each bottom position see each top code.
    by_bottom : bool array, shape (H, W, H, W)
        Whether they see each bottom code.

    Returns
    -------
    function : top codes (N, h, w), bottom codes (N, H, W) -> logits (N, H, W, num_embeddings)
        Another code always gives other logits, and what is not seen changes none of them by even a digit.
    """
    generator = np.random.default_rng(seed)
    sees = [np.asarray(seen, bool) for seen in (by_top, by_bottom)]
    sees = [seen.reshape(-1, *seen.shape[2:]) for seen in sees]  # (H W, h, w) and (H W, H, W)
    shape = sees[1].shape[1:]
    tables = [generator.integers(1000, size=(*seen.shape[1:], num_embeddings, num_embeddings)) for seen in sees]

    def network(top: ArrayLike, bottom: ArrayLike) -> np.ndarray:
        """Return the logits for grids of codes: (N, h, w), (N, H, W) -> (N, H, W, K)."""
        logits = np.zeros(1)
        for name, grids, seen, table in zip(("top", "bottom"), (top, bottom), sees, tables, strict=True):
            codes = np.asarray(grids)
            if codes.ndim != 3 or codes.shape[1:] != seen.shape[1:]:
                raise ValueError(
                    f"{name} must be of shape (N, {seen.shape[1]}, {seen.shape[2]}), but is {codes.shape}."
                )
            rows, columns = np.indices(codes.shape[1:])
            logits = logits + np.einsum("pij,nijk->npk", seen, table[rows, columns, codes])  # whole numbers: exact
        return logits.reshape(-1, *shape, num_embeddings)

    return network


def answers_about_networks(
    function: Callable[..., Any],
    networks: Sequence[tuple[ArrayLike, ArrayLike]],
    top: np.ndarray,
    bottom: np.ndarray,
) -> list[Any]:
    """Return what `function` says of networks when it is called with (network, top, bottom).

    Parameters
    ----------
    networks : list of pairs of bool arrays
        For each of them what :func:`table_network` takes.
    """
    return [function(table_network(*sees, seed=seed), top.copy(), bottom.copy()) for seed, sees in enumerate(networks)]

"""What a prior is told: a class or nothing, or another grid of codes, as its network sees it."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from vqlib._checks import check_share
from vqlib._types import Tensor


@keras.saving.register_keras_serializable("vqlib")
class ConditionDropout(layers.Layer):
    """Zeros in place of the condition, for a share of the examples of a training step: (B, 1, 1, C) -> (B, 1, 1, C).

    Ho and Salimans (2022, "Classifier-free diffusion guidance"), algorithm 1. Unlike Dropout it leaves out all of an
    example's condition or nothing, and scales nothing.

    Parameters
    ----------
    rate : float in [0, 1)
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return `x`, in training without that of some examples."""
        if not training:
            return x
        is_kept = keras.random.uniform((ops.shape(x)[0], 1, 1, 1), seed=self.seed_generator) >= self.rate
        return x * ops.cast(is_kept, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew."""
        return {**super().get_config(), "rate": self.rate}


def build_condition(
    condition_shape: tuple[int, ...],
    num_conditions: int,
    condition_dropout: float,
    code_shape: tuple[int, ...],
    filters: int,
) -> keras.Model:
    """Return the model from a condition to what the layers see of it: (B,) -> (B, 1, 1, K'), or -> (B, h, w, F).

    A class label becomes a one-hot vector, the same for all positions; -1, and in training a share of the labels,
    becomes zeros. A grid of codes is looked up, brought to the size of the grid to draw, and goes through two ordinary
    convolutions: all of it is known in advance.
    """
    condition = keras.Input(condition_shape, dtype="int32", name="condition")
    if condition_shape == ():
        is_class = ops.equal(condition[:, None], np.arange(num_conditions))  # a one-hot vector, but zeros for -1
        x = ops.cast(is_class, keras.config.floatx())[:, None, None]
        if condition_dropout:
            x = ConditionDropout(condition_dropout, name="condition_dropout")(x)
        return keras.Model(condition, x, name="condition")
    factors = tuple(n // m for n, m in zip(code_shape, condition_shape, strict=True))
    x = layers.Embedding(num_conditions, filters, name="condition_embedding")(condition)
    x = layers.UpSampling2D(factors, name="condition_up")(x)
    for n in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"condition_conv_{n}")(x)
    return keras.Model(condition, x, name="condition")


def check_condition_dropout(
    condition_dropout: float, condition_shape: tuple[int, ...] | None, code_shape: tuple[int, ...]
) -> float:
    """Return the share as a Python float; raise unless it, and the shapes, are what :func:`build_condition` takes."""
    if condition_shape and any(n % m for n, m in zip(code_shape, condition_shape, strict=True)):
        raise ValueError(
            "condition_shape must be () for class labels, or (height, width) that divide those of "
            f"code_shape={code_shape}, but {condition_shape} was given."
        )
    condition_dropout = check_share("condition_dropout", condition_dropout)
    if condition_dropout and condition_shape != ():
        raise ValueError(
            "condition_dropout is for class labels: give condition_shape=() and num_conditions, or leave it out."
        )
    return condition_dropout

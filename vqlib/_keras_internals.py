"""What vqlib needs of Keras and Keras does not promise: all of it is here, and nothing else of vqlib knows of it.

``tests/test_keras_internals.py`` has a test for each, which says what breaks when Keras changes it. Tried with Keras
3.13 to 3.15.
"""

from collections.abc import Callable
from typing import Any

import keras

SEED_STATE = "seed_generator_state"  # what Keras calls the variable of a keras.random.SeedGenerator


def start_at(model: keras.Model, epoch: int | None) -> None:
    """Let the ``fit`` that is beginning start at an epoch, from 0; with None, all later ones where they are told to.

    Keras's own BackupAndRestore does the same. ``initial_epoch`` is an argument of ``fit``, which callbacks cannot set.
    Keras reads it between ``on_train_begin`` and the first ``on_epoch_begin``, and never takes it back.
    """
    model._initial_epoch = epoch


def has_no_value(variable: keras.Variable) -> bool:
    """Whether Keras has taken the value out of a variable, as its ``fit`` on JAX does; to ask for it is an error."""
    return variable._value is None


def forget_compiled(model: keras.Model) -> None:
    """Have ``fit``, ``evaluate`` and ``predict`` compile their functions anew when they are next called."""
    model.train_function = model.test_function = model.predict_function = None


def is_from_fit(arguments: dict[str, Any]) -> bool:
    """Whether ``evaluate`` was called by the ``fit`` that is running, from its arguments by name."""
    return bool(arguments.get("_use_cached_eval_dataset"))


def random_states(model: keras.Model) -> list[Any]:
    """Return the states of the model's random numbers, as dropout has one, that are not among its weights."""
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.non_trainable_variables
        if variable.path.endswith(SEED_STATE) and id(variable) not in weights
    ]


def has_history(model: keras.Model | None, params: dict[str, Any]) -> bool:
    """Whether the ``fit`` that is running, which gave `params` to its callbacks, has a History behind them.

    Keras's ``CallbackList``, which ``fit`` takes as it is, may lack it. ``model.history`` is then an earlier one's.
    """
    history = getattr(model, "history", None)
    return history is not None and history.params is params


def after_callbacks(model: keras.Model, action: Callable[[], None]) -> None:
    """Call `action` when the ``fit`` that is running ends, after ``on_train_end`` of all callbacks given to it.

    Keras puts its History, ``model.history``, behind them.
    """
    history = model.history
    on_train_end = history.on_train_end

    def then_act(logs: dict[str, Any] | None = None) -> None:
        vars(history).pop("on_train_end", None)  # once
        on_train_end(logs)
        action()

    history.on_train_end = then_act


def seed_generator(
    seed: int | None, state_of: Callable[[tuple[int, ...], str, str], Any]
) -> keras.random.SeedGenerator:
    """Return a generator of seeds whose state is a weight, so that it is saved with a model and restored.

    Keras makes the state a variable of its own, which is saved with no model. The layer keeps the generator where Keras
    does not look for one, in a ``functools.partial``, or Keras counts the state twice.

    Parameters
    ----------
    seed : int, optional
    state_of : callable
        Makes the weight, from its shape, name and dtype.
    """
    generator = keras.random.SeedGenerator(seed)
    start = generator.state
    generator.state = state_of(tuple(start.shape), SEED_STATE, start.dtype)
    generator.state.assign(start)
    return generator


def compile_from_config(model: keras.Model, config: dict[str, Any]) -> None:
    """Compile a loaded model as it was.

    Keras does so by itself only where ``compile`` is its own. A class that overrides ``compile`` overrides
    ``compile_from_config``, too, and calls this.
    """
    model.compile(**keras.saving.deserialize_keras_object(config))
    if model.optimizer is not None:
        model.optimizer.build(model.trainable_variables)

"""What vqlib needs of Keras and Keras does not promise is as vqlib needs it: each test says what breaks otherwise."""

import functools

import keras
import numpy as np
import pytest

from vqlib import _keras_internals


def model_with(*layers):
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile("sgd", "mse")
    return model


def fit(model, *callbacks, **arguments):
    x = np.ones((4, 2), "float32")
    return model.fit(x, x[:, : model.output_shape[-1]], verbose=0, callbacks=list(callbacks), **arguments)


def test_variable_without_its_value_is_known():
    """Otherwise a training on JAX that stops half-way leaves a model without weights."""
    variable = keras.Variable(np.ones(2, "float32"))
    assert not _keras_internals.has_no_value(variable)
    variable._value = None
    assert _keras_internals.has_no_value(variable)


def test_training_starts_at_an_epoch_that_a_callback_names():
    """Otherwise an interrupted run trains its epochs twice."""
    begun = []

    class StartAtTwo(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            _keras_internals.start_at(self.model, 2)

        def on_epoch_begin(self, epoch, logs=None):
            begun.append(epoch)

    model = model_with(keras.layers.Dense(1))
    fit(model, StartAtTwo(), epochs=4)
    assert begun == [2, 3]
    _keras_internals.start_at(model, None)
    assert len(fit(model, epochs=3).epoch) == 3, "a later training starts there too"


class Scaled(keras.layers.Layer):
    """Multiplies by a number that is no weight, so that a compiled function goes on with the one it was made with."""

    factor = 2.0

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return x * self.factor + self.bias


def test_forgotten_functions_are_compiled_anew():
    """Otherwise a model goes on with the variance that it had before adapt, or cannot be used after an interruption."""
    model = model_with(Scaled())
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.ones((4, 2), "float32")
    works = {
        "fit": lambda: model.fit(x, x, verbose=0).history["loss"][0],
        "evaluate": lambda: model.evaluate(x, x, verbose=0),
        "predict": lambda: model.predict(x, verbose=0).mean(),
    }
    assert {name: work() for name, work in works.items()} == {"fit": 1, "evaluate": 1, "predict": 2}
    model.layers[0].factor = 4.0
    assert {name: work() for name, work in works.items()} == {"fit": 1, "evaluate": 1, "predict": 2}
    _keras_internals.forget_compiled(model)
    assert {name: work() for name, work in works.items()} == {"fit": 9, "evaluate": 9, "predict": 4}


class Asked(keras.Sequential):
    """Notes for each call of evaluate whether it came from fit."""

    def evaluate(self, *args, **kwargs):
        self.from_fit = [*getattr(self, "from_fit", []), _keras_internals.is_from_fit(kwargs)]
        return super().evaluate(*args, **kwargs)


def test_evaluation_within_a_training_is_known():
    """Otherwise validation data are checked anew in each epoch, and those that only Keras understands refused."""
    model = Asked([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2), "float32")
    fit(model, validation_data=(x, x), epochs=2)
    model.evaluate(x, x, verbose=0)
    assert model.from_fit == [True, True, False]


def test_history_of_the_running_fit_is_told_from_an_earlier_one():
    """Otherwise a run in a CallbackList without a history is never kept as finished."""
    found = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            found.append(_keras_internals.has_history(self.model, self.params))

    model = model_with(keras.layers.Dense(1))
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    fit(model, Look())
    model.fit(x, y, verbose=0, callbacks=keras.callbacks.CallbackList([Look()], model=model, epochs=1))
    model.fit(x, y, verbose=0, callbacks=keras.callbacks.CallbackList([Look()], True, model=model, epochs=1))
    assert found == [True, False, True]
    assert not _keras_internals.has_history(keras.Sequential(), {})


def test_states_of_random_numbers_are_found_and_make_a_training_repeat_itself():
    """Otherwise a run with dropout that was interrupted ends with other numbers."""
    model = model_with(keras.layers.Dropout(0.5), keras.layers.Dropout(0.5))
    states = _keras_internals.random_states(model)
    assert len(states) == 2
    x = np.ones((3, 2), "float32")
    before = [keras.ops.convert_to_numpy(state) for state in states]
    first = keras.ops.convert_to_numpy(model(x, training=True))
    second = keras.ops.convert_to_numpy(model(x, training=True))
    assert not np.array_equal(first, second), "the random numbers are the same, so that the test cannot tell"
    for state, value in zip(states, before, strict=True):
        state.assign(value)
    np.testing.assert_array_equal(model(x, training=True), first)


def test_action_comes_after_all_callbacks_and_once():
    """Otherwise the weights that EarlyStopping restores are not those that are kept."""
    seen = []

    class First(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            _keras_internals.after_callbacks(self.model, lambda: seen.append("action"))
            _keras_internals.after_callbacks(self.model, lambda: seen.append("another"))

    class Last(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            seen.append("last")

    model = model_with(keras.layers.Dense(1))
    history = fit(model, First(), Last(), epochs=2)
    assert seen == ["last", "action", "another"]
    assert len(history.history["loss"]) == 2
    history.on_train_end()
    fit(model, Last())
    assert seen == ["last", "action", "another", "last"]


class Noisy(keras.layers.Layer):
    """Adds random numbers whose state is a weight."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        generator = _keras_internals.seed_generator(3, self.state)
        self.draw = functools.partial(keras.random.normal, seed=generator)

    def state(self, shape, name, dtype):
        return self.add_weight(shape=shape, name=name, dtype=dtype, initializer="zeros", trainable=False)

    def call(self, x):
        return x + self.draw(keras.ops.shape(x))


def test_generator_whose_state_is_a_weight_is_saved_and_draws_what_keras_draws(tmp_path):
    """Otherwise a reloaded quantizer restarts its dead codes at other vectors than one that went on."""
    x = np.zeros((3, 2), "float32")
    model = keras.Sequential([keras.Input((2,)), Noisy()])
    plain = keras.random.normal((3, 2), seed=keras.random.SeedGenerator(3))
    np.testing.assert_array_equal(model(x), plain)
    assert len(model.variables) == 1
    model.save_weights(tmp_path / "model.weights.h5")
    following = keras.ops.convert_to_numpy(model(x))
    again = keras.Sequential([keras.Input((2,)), Noisy()])
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again(x), following)


class Compiled(keras.Sequential):
    """Overrides compile, as vqlib's models do."""

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        self.is_compiled_here = True

    def compile_from_config(self, config):
        _keras_internals.compile_from_config(self, config)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_model_that_overrides_compile_is_compiled_when_it_is_loaded(tmp_path, rate):
    """Otherwise a loaded model has lost its optimizer, or its optimizer's state."""
    model = Compiled([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate, momentum=0.5), "mse")
    fit(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", custom_objects={"Compiled": Compiled})
    assert again.is_compiled_here
    assert float(again.optimizer.learning_rate) == rate
    for found, expected in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(found, expected)

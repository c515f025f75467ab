"""CheckedModel: the doors that all models share, each with a check before Keras's own machinery.

A call that fails inside Keras leaves its mark: on TensorFlow the optimizer's variables belong to a step that was never
finished, on JAX the weights have left the model. So nothing that a door can know is found out later.
"""

import contextlib
import inspect
import os
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import keras
import numpy as np

from vqlib import _keras_internals
from vqlib._backend import tf
from vqlib._callbacks import show_data
from vqlib._checks import refuse_sample_weight, shape_of

LOSS_ARGUMENTS = ("loss", "loss_weights", "metrics", "weighted_metrics")
WATCHERS = (keras.callbacks.EarlyStopping, keras.callbacks.ModelCheckpoint, keras.callbacks.ReduceLROnPlateau)


class ExportedModel(keras.Model):
    """A model that knows what its inputs are, and so can be exported before it has seen any."""

    def _input_signature(self) -> Any:
        """Return what a batch of inputs is: a ``keras.InputSpec``, or several, without a batch size."""
        raise NotImplementedError

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Write the model for use without Keras, see ``keras.Model.export``; it need not have been called before."""
        arguments = arguments_of(keras.Model.export, self, filepath, *args, **kwargs)
        if arguments.get("input_signature") is None:
            arguments["input_signature"] = [self._input_signature()]
        super().export(**arguments)


class CheckedModel(ExportedModel):
    """A model whose inputs are checked before Keras sees them.

    They may be arrays, tensors of any library, lists, or what gives batches: ``tf.data.Dataset``,
    ``keras.utils.PyDataset``, PyTorch's ``DataLoader``, a generator. Of arrays, all values are looked at; of what gives
    batches, the first one, and nothing is taken from it.

    A subclass gives ``_input_signature``, ``_check_inputs``, ``_outputs_of_none`` and, where it has targets,
    ``_check_targets``.
    """

    _compile_takes: tuple[str, ...] = ()  # of LOSS_ARGUMENTS

    def _check_inputs(self, x: Any, purpose: str) -> Any:
        """Raise unless `x` is a batch of inputs, or all of them; return it, lists as arrays."""
        raise NotImplementedError

    def _check_targets(self, x: Any, y: Any) -> Any:
        """Raise unless `y` are targets for `x`, which is checked. Not here: the inputs are their own targets."""
        return y

    def _outputs_of_none(self) -> np.ndarray:
        """Return what ``predict`` makes of no inputs."""
        raise NotImplementedError

    def _is_all_inputs(self, data: Any) -> bool:
        """Whether a tuple or list is all inputs itself, rather than (inputs, targets)."""
        return False

    def _warn_of(self, callbacks: Any) -> None:
        """Warn where callbacks watch what does not say how good this model is."""

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configure the training, see ``keras.Model.compile``. The loss is the model's own."""
        arguments = arguments_of(keras.Model.compile, self, *args, **kwargs)
        for name in LOSS_ARGUMENTS:
            if arguments.get(name) is not None and name not in self._compile_takes:
                what = "the loss" if name.startswith("loss") else "what is measured"
                raise ValueError(
                    f"compile({name}={arguments[name]!r}): {what} is {type(self).__name__}'s own. Leave {name} out: "
                    'compile(optimizer="adam").'
                )
        super().compile(**arguments)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was. Keras does so by itself only where ``compile`` is its own."""
        _keras_internals.compile_from_config(self, config)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train, see ``keras.Model.fit``; inputs, targets and ``validation_data`` are checked first."""
        arguments = arguments_of(keras.Model.fit, self, x, y, *args, **kwargs)
        refuse_weights(arguments)
        arguments["x"], arguments["y"] = self._checked(x, y, "to train on")
        if arguments.get("validation_data") is not None:
            arguments["validation_data"] = self._checked_pair(arguments["validation_data"], "to validate on")
        if gives_batches(x) and not isinstance(x, keras.utils.PyDataset):
            arguments.setdefault("shuffle", False)  # Keras shuffles arrays, and warns that it cannot shuffle these
        self._warn_of(arguments.get("callbacks"))
        show_data(arguments.get("callbacks"), arguments["x"], arguments["y"], arguments.get("batch_size"))
        build_optimizer(self)
        with kept_whole(self):
            return super().fit(**arguments)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, see ``keras.Model.evaluate``; ``return_dict=True`` names the metrics."""
        arguments = arguments_of(keras.Model.evaluate, self, x, y, *args, **kwargs)
        if not _keras_internals.is_from_fit(arguments):  # which has checked the data
            refuse_weights(arguments)
            arguments["x"], arguments["y"] = self._checked(x, y, "to evaluate")
        with kept_whole(self):
            return super().evaluate(**arguments)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """Return the outputs for all inputs, in batches, see ``keras.Model.predict``; NumPy."""
        arguments = arguments_of(keras.Model.predict, self, x, *args, **kwargs)
        if gives_batches(x):
            arguments["x"] = self._checked_batches(x, "to predict from", with_targets=False)
        else:
            arguments["x"] = self._check_inputs(x, "to predict from")
            if number_of(arguments["x"]) == 0:
                return self._outputs_of_none()
        with kept_whole(self):
            return super().predict(**arguments)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train on one batch, see ``keras.Model.train_on_batch``."""
        arguments = arguments_of(keras.Model.train_on_batch, self, x, y, *args, **kwargs)
        refuse_weights(arguments)
        arguments["x"], arguments["y"] = self._checked(x, y, "to train on")
        build_optimizer(self)
        with kept_whole(self):
            return super().train_on_batch(**arguments)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate on one batch, see ``keras.Model.test_on_batch``."""
        arguments = arguments_of(keras.Model.test_on_batch, self, x, y, *args, **kwargs)
        refuse_weights(arguments)
        arguments["x"], arguments["y"] = self._checked(x, y, "to evaluate")
        with kept_whole(self):
            return super().test_on_batch(**arguments)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Return the outputs for one batch of inputs, NumPy."""
        x = self._check_inputs(x, "to predict from")
        return super().predict_on_batch(x) if number_of(x) else self._outputs_of_none()

    @classmethod
    def from_pretrained(cls, name: str = "mnist", folder: str | os.PathLike[str] | None = None) -> Self:
        """Load a shipped model of this class, see :func:`vqlib.load_pretrained`.

        Parameters
        ----------
        name : str
            Of a checkpoint, such as "mnist-vqvae"; or its beginning, "mnist", where only one is of this class.
        folder : path, optional
            Where weights and cards lie; by default the package's own.

        Raises
        ------
        vqlib.checkpoints.CheckpointError
            If no checkpoint of this name is of this class, or several are, or the file is not what its card describes.
        """
        from vqlib.checkpoints import load_as  # which knows all models

        return load_as(cls, name, folder)

    def get_build_config(self) -> dict[str, Any]:
        """Return the shape of the inputs, which the constructor has built the model for."""
        return {"input_shape": keras.tree.map_structure(lambda spec: spec.shape, self._input_signature())}

    def _checked(self, x: Any, y: Any, purpose: str) -> tuple[Any, Any]:
        """Return inputs and targets that Keras may see, or raise."""
        if gives_batches(x):
            return self._checked_batches(x, purpose), y
        x = self._check_inputs(x, purpose)
        if number_of(x) == 0:
            raise ValueError(f"There is nothing {purpose}: no inputs were given.")
        return x, self._check_targets(x, y)

    def _checked_pair(self, data: Any, purpose: str) -> Any:
        """Return what ``fit`` takes as validation data, as Keras understands it, or raise."""
        if gives_batches(data):
            return self._checked(data, None, purpose)[0]
        if self._is_all_inputs(data):
            data = (data,)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        refuse_sample_weight(sample_weight)
        x, y = self._checked(x, y, purpose)
        return (x,) if y is None else (x, y)

    def _checked_batches(self, data: Any, purpose: str, with_targets: bool = True) -> Any:
        """Return what gives batches, with all of them still in it; raise unless the first one is right."""
        if is_described(data):  # no batch is made only to be refused
            self._check_batch(data.element_spec, purpose, with_targets)
        first, data = first_batch(data)
        if first == []:
            raise ValueError(f"There is nothing {purpose}: there was no batch.")
        for batch in first or []:
            self._check_batch(batch, purpose, with_targets)
        return data

    def _check_batch(self, batch: Any, purpose: str, with_targets: bool) -> None:
        """Raise unless a batch is x, (x,) or (x, y) of which the inputs are right and, if wanted, the targets."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        refuse_sample_weight(sample_weight)
        if isinstance(x, dict):
            raise TypeError(
                f"A batch {purpose} must be an array, or a tuple, but is a dict of {', '.join(map(repr, x))}. "
                'Take what the model needs out of it: dataset.map(lambda batch: batch["image"]).'
            )
        codes_or_images, *_ = keras.tree.flatten(self._input_signature())
        if not isinstance(x, (tuple, list)) and len(shape_of(x)) == len(codes_or_images.shape) - 1:
            raise ValueError(
                f"Batches are needed {purpose}, but single examples were given, of shape {shape_of(x)}. "
                "Put some together: dataset.batch(128)."
            )
        x = self._check_inputs(x, purpose)
        if with_targets:
            self._check_targets(x, y)


def build_optimizer(model: keras.Model) -> None:
    """Make the variables of the optimizer, where the model has one without, before a step is compiled.

    On TensorFlow Keras makes them while it traces the first step, which TensorFlow then traces once more: a small model
    waits twice as long for it.
    """
    if model.compiled and not model.optimizer.built:
        with model.distribute_strategy.scope() if tf else contextlib.nullcontext():
            model.optimizer.build(model.trainable_variables)


@contextlib.contextmanager
def kept_whole(model: keras.Model) -> Iterator[None]:
    """Leave the model usable if Keras stops half-way: interrupted, or at a batch that no door has seen.

    On TensorFlow, a step that could not be finished is forgotten. On JAX, Keras takes the values out of the variables
    for an epoch, and where its first step fails does not put them back.
    """
    variables = []
    if keras.backend.backend() == "jax":
        build_optimizer(model)  # as Keras does next
        variables = [*model.variables, *(model.optimizer.variables if model.compiled else [])]
    values = [variable.value for variable in variables]
    try:
        yield
    except BaseException:
        _keras_internals.forget_compiled(model)
        for variable, value in zip(variables, values, strict=True):
            if _keras_internals.has_no_value(variable):
                variable.assign(value)
        raise


def arguments_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a method by name, without the object, as Python would bind them."""
    signature = inspect.signature(function)
    bound = signature.bind(*args, **kwargs)
    arguments = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    del arguments["self"]
    return arguments


def refuse_weights(arguments: dict[str, Any]) -> None:
    """Raise if weights are among the arguments."""
    for name in ("sample_weight", "class_weight"):
        refuse_sample_weight(arguments.get(name), name)


def number_of(x: Any) -> int | None:
    """Return how many examples there are in inputs, which may be a tuple of arrays."""
    return shape_of(keras.tree.flatten(x)[0])[0]


def gives_batches(data: Any) -> bool:
    """Whether `data` gives batches, one after the other, rather than being an array, a tensor or a list of them."""
    if isinstance(data, (types.GeneratorType, keras.utils.PyDataset)):
        return True
    is_array = hasattr(data, "shape") or hasattr(data, "__array__")
    is_iterable = hasattr(data, "__iter__") and not isinstance(data, (Iterator, tuple, list, dict, str, bytes))
    return is_iterable and not is_array


def first_batch(data: Any) -> tuple[list[Any] | None, Any]:
    """Return the first batch, in a list, and `data` with that batch still in it.

    The list is empty if there is none. It is None for the parts that ``tf.distribute`` gives to each device.
    """
    if isinstance(data, types.GeneratorType):
        first = list(_next_of(data))
        return first, _chain(first, data)
    if isinstance(data, keras.utils.PyDataset):
        return ([] if data.num_batches == 0 else [data[0]]), data
    if tf is not None and isinstance(data, tf.distribute.DistributedDataset):
        return None, data
    return list(_next_of(iter(data))), data


def is_described(data: Any) -> bool:
    """Whether a ``tf.data.Dataset`` tells the shapes of its batches."""
    if tf is None or not isinstance(data, tf.data.Dataset):
        return False
    specs = keras.tree.flatten(data.element_spec)
    return all(isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None for spec in specs)


def _next_of(iterator: Iterator[Any]) -> Iterator[Any]:
    for batch in iterator:
        yield batch
        return


def _chain(first: Iterable[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """Yield all, as a generator: Keras takes no other iterator."""
    yield from first
    yield from rest


def learned_by_gradient(quantizer: Any) -> bool:
    """Whether the loss moves a quantizer's codebook, rather than moving averages or nothing."""
    return getattr(quantizer, "learned_by_gradient", False)


def warn_of_loss_watchers(callbacks: Any) -> None:
    """Warn of callbacks that take the loss of a model whose loss moves its codebook for a measure of progress."""
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a CallbackList
    for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
        watches = isinstance(callback, WATCHERS) and callback.monitor in ("loss", "val_loss")
        if watches and getattr(callback, "save_best_only", True):
            prefix = callback.monitor.removesuffix("loss")
            warnings.warn(
                f"{type(callback).__name__} watches {callback.monitor}, which says little about progress: it holds the "
                "codebook loss, which starts low and rises while the images get better. "
                f'Give monitor="{prefix}reconstruction_loss", mode="min".',
                stacklevel=4,
            )

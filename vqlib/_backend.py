"""What `keras.ops` has not: each function here knows the backends that it is for."""

import collections
import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
from keras import ops

from vqlib._types import Tensor

tf: Any = importlib.import_module("tensorflow") if keras.backend.backend() == "tensorflow" else None


class _Compiled:
    """The compiled functions of a model, by name, and how often each was traced."""

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., Any]] = {}
        self.traces: collections.Counter[str] = collections.Counter()

    def trace(self, name: str, function: Callable[..., Any], *arrays: Tensor) -> Any:
        """Call a function, which happens only while it is traced."""
        self.traces[name] += 1
        return function(*arrays)


def compiled(model: Any, name: str, function: Callable[..., Any], *arguments: keras.KerasTensor) -> Callable[..., Any]:
    """Return a function of arrays as a compiled one, made once and kept with the model under a name.

    It serves all batch sizes and sees weights that change.

    Parameters
    ----------
    model : keras.Model
        Whose variables the function uses.
    name : str
        A later call with this name returns what the first one made, whatever function it gives.
    function : callable
        For example a method of the model.
    *arguments : keras.KerasTensor
        The shapes, None where any size will do, and dtypes of the arrays.
    """
    kept = _kept(model)
    if name not in kept.functions:
        kept.functions[name] = _compile(model, functools.partial(kept.trace, name, function), arguments)
    return kept.functions[name]


def num_traces(model: Any) -> dict[str, int]:
    """Return how often each compiled function of a model was traced, by its name. It is there for tests."""
    return dict(_kept(model).traces)


def _kept(model: Any) -> _Compiled:
    if not hasattr(model, "_compiled"):
        model._compiled = _Compiled()
    return model._compiled


def _compile(model: Any, function: Callable[..., Any], arguments: Sequence[keras.KerasTensor]) -> Callable[..., Any]:
    if keras.backend.backend() == "tensorflow":
        return tf.function(
            function, autograph=False, input_signature=[tf.TensorSpec(x.shape, x.dtype) for x in arguments]
        )
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def pure(values: list[Tensor], *arrays: Tensor) -> Any:
            with keras.StatelessScope(list(zip(model.variables, values, strict=True))):
                return function(*arrays)

        return lambda *arrays: pure([variable.value for variable in model.variables], *arrays)
    return function


def matmul(x: Tensor, matrix: Tensor) -> Tensor:
    """Return ``ops.matmul(x, matrix)``, a grid of one row, (B, 1, W, C), without that axis: (..., C) -> (..., F).

    With it, TensorFlow 2.18 to 2.20, which Colab has, writes beyond its memory on a CPU: numbers are wrong, or the
    process dies.
    """
    if len(x.shape) == 4 and x.shape[1] == 1:
        return ops.matmul(x[:, 0], matrix)[:, None]
    return ops.matmul(x, matrix)


def argmin(x: Tensor) -> Tensor:
    """Return the place of the least entry along the last axis, the first of equal ones: (..., K) -> (...) int32.

    On TensorFlow, Keras's own tells -0 from 0 by their bits, in operations that exporters do not know.
    """
    return ops.argmin(x, axis=-1) if tf is None else tf.argmin(x, axis=-1, output_type="int32")


def tanh(x: Tensor) -> Tensor:
    """Return ``ops.tanh(x)``; of float64 by the sigmoid, because on JAX Keras's own makes float32 of it."""
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        return 2 * ops.sigmoid(2 * x) - 1
    return ops.tanh(x)


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Within the block, layers that are made are float64 and compute on the processor, whatever else there is.

    In this thread alone: Keras's policy, its device and JAX's float64 are each thread's own.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        with _float64_allowed(), keras.device("cpu:0"):
            yield
    finally:
        keras.config.set_dtype_policy(policy)


def _float64_allowed() -> contextlib.AbstractContextManager[Any]:
    """Keep JAX, which otherwise does so, from taking float32 where float64 was asked for; in this thread alone."""
    if keras.backend.backend() != "jax":
        return contextlib.nullcontext()
    jax: Any = importlib.import_module("jax")
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return importlib.import_module("jax.experimental").enable_x64(True)  # of older JAX


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor has its values now: none that is traced, inside a compiled function, has."""
    if keras.backend.backend() == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    return hasattr(tensor, "numpy")


def accelerators() -> list[str]:
    """Return the names of the GPUs, or other accelerators, that there are to compute on."""
    if keras.backend.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    if tf is None:
        return []
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def several_replicas() -> bool:
    """Whether this runs in one of several replicas of ``tf.distribute``; within a strategy's scope alone, in none."""
    if keras.backend.backend() != "tensorflow" or tf.distribute.in_cross_replica_context():
        return False
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def share_of_replica(loss: Tensor) -> Tensor:
    """Return the loss that one replica of ``tf.distribute`` adds to the others': its mean, over the replicas."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync if several_replicas() else loss


def sum_over_replicas(x: Tensor) -> Tensor:
    """Return the sum of a tensor over the replicas of ``tf.distribute``, on each of them."""
    return tf.distribute.get_replica_context().all_reduce("sum", x) if several_replicas() else x


def of_first_replica(x: Tensor) -> Tensor:
    """Return the first replica's tensor, on each of the replicas of ``tf.distribute``."""
    if not several_replicas():
        return x
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return sum_over_replicas(x * ops.cast(replica == 0, x.dtype))

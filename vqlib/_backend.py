"""What `keras.ops` has not: each function here knows the backends that it is for."""

import functools
import importlib

import keras
import numpy as np
from keras import ops

from vqlib import _keras_internals

tf = importlib.import_module("tensorflow") if keras.backend.backend() == "tensorflow" else None

PARTS = 4  # of a sum of rows, each on a core


def sparse_sums_pay():
    """Whether sums of looked-up rows beat products with one-hot vectors: on TensorFlow, on a machine without a GPU."""
    return tf is not None and not tf.config.list_physical_devices("GPU")


def sum_of_rows(table, rows, outputs, num_outputs):
    """Add up rows of a table, without a copy of each: output ``outputs[p]`` of grid b gets ``table[rows[b, p]]``.

    Parameters
    ----------
    table : float tensor, shape (R, F)
    rows : int tensor, shape (B, P), in 0..R - 1
    outputs : int array, shape (P,), ascending, in 0..num_outputs - 1
    num_outputs : int

    Returns
    -------
    float tensor, shape (B, num_outputs, F); its gradient has the table's shape
    """
    batch, filters = ops.shape(rows)[0], table.shape[1]
    parts = PARTS if tf is not None else 1  # TensorFlow adds up a sum on one core
    sums = []
    for positions in np.array_split(np.arange(num_outputs), min(parts, num_outputs)):
        start, end = np.searchsorted(outputs, [positions[0], positions[-1] + 1])
        size = len(positions)
        if start == end:  # the gradient of TensorFlow's empty sum is not zero but uninitialised
            sums.append(ops.zeros((batch, size, filters), table.dtype))
            continue
        numbers = ops.arange(batch, dtype="int32")[:, None] * size + (outputs[start:end] - positions[0])
        some = _sum_of_rows(table, ops.ravel(rows[:, start:end]), ops.ravel(numbers), batch * size)
        sums.append(ops.reshape(some, (-1, size, filters)))
    return ops.concatenate(sums, axis=1)


def _sum_of_rows(table, rows, sums, num_sums):
    if tf is None:
        return ops.segment_sum(ops.take(table, rows, axis=0), sums, num_sums, sorted=True)
    return tf.raw_ops.SparseSegmentSumWithNumSegments(data=table, indices=rows, segment_ids=sums, num_segments=num_sums)


def compiled(model, function, *arguments):
    """Return ``function(model, *arrays)`` as a compiled function of the arrays, made once and kept with the model.

    It serves all batch sizes and sees weights that change. `arguments` are KerasTensors: the shapes, None where any
    size will do, and dtypes of the arrays.
    """
    kept = vars(model).setdefault("_compiled", {})  # past Keras, which would take it for a part of the model
    if function not in kept:
        kept[function] = _compile(model, functools.partial(function, model), arguments)
    return kept[function]


def _compile(model, function, arguments):
    if keras.backend.backend() == "tensorflow":
        return tf.function(
            function, autograph=False, input_signature=[tf.TensorSpec(x.shape, x.dtype) for x in arguments]
        )
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def pure(values, *arrays):
            with keras.StatelessScope(list(zip(model.variables, values, strict=True))):
                return function(*arrays)

        return lambda *arrays: pure([variable.value for variable in model.variables], *arrays)
    return function


def has_values(tensor):
    """Whether a tensor has its values now: none that is traced, inside a compiled function, has."""
    if keras.backend.backend() == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    return hasattr(tensor, "numpy")


def is_stateless():
    """Whether Keras keeps variables as they are, and collects their new values: in its ``fit`` on JAX."""
    return _keras_internals.in_stateless_scope()


def accelerators():
    """Return the names of the GPUs, or other accelerators, that there are to compute on."""
    if keras.backend.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    if tf is None:
        return []
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def several_replicas():
    """Whether ``tf.distribute`` trains on several devices."""
    return keras.backend.backend() == "tensorflow" and tf.distribute.get_strategy().num_replicas_in_sync > 1


def share_of_replica(loss):
    """Return the loss that one replica of ``tf.distribute`` adds to the others': its mean, over the replicas."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync if several_replicas() else loss


def sum_over_replicas(x):
    """Return the sum of a tensor over the replicas of ``tf.distribute``, on each of them."""
    return tf.distribute.get_replica_context().all_reduce("sum", x) if several_replicas() else x


def of_first_replica(x):
    """Return the first replica's tensor, on each of the replicas of ``tf.distribute``."""
    if not several_replicas():
        return x
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return sum_over_replicas(x * ops.cast(replica == 0, x.dtype))

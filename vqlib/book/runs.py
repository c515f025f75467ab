"""How a long training survives an interruption."""

import hashlib
import json
import os
import pathlib
import tempfile
import time
from typing import Any

import keras
import numpy as np

from vqlib import _keras_internals
from vqlib._files import replace, write_atomically
from vqlib._progress import Line
from vqlib.book.profiles import profile

RECORD = "run.json"  # in the folder of each run
FORMAT = 1  # of the record
ROWS = 16  # of the data, whose values are compared
UNKNOWN = "unknown"  # in the record: not compared
END = "end.weights.h5"  # of a finished training; those after its last epoch have the epoch's number


def run_folder() -> pathlib.Path:
    """Return the folder that runs are kept in: what the variable ``VQLIB_RUN_DIR`` names, or else ``runs``."""
    return pathlib.Path(os.environ.get("VQLIB_RUN_DIR") or "runs")


def kept_runs() -> list[str]:
    """Return the names of the runs that are kept there, ``<name>-<profile>``, sorted."""
    return sorted(record.parent.name for record in run_folder().glob(f"*/{RECORD}"))


def keep_run(name: str) -> list[keras.callbacks.Callback]:
    """Return the callbacks for ``fit`` that let the training called `name` resume after an interruption.

    Its state lies in ``$VQLIB_RUN_DIR/<name>-<profile>``, in ``runs/`` without that variable, see :class:`Resumable`.
    While ``fit`` itself is silent (``verbose=0``), a line says how far it is.

    Parameters
    ----------
    name : str
        Another one for each training.

    Returns
    -------
    list of keras.callbacks.Callback
        Empty in the quick profile, which has nothing to lose and is soon over.
    """
    current = profile()
    if current == "quick":
        return []
    return [Resumable(run_folder() / f"{name}-{current}"), LiveLine(name)]


class LiveLine(keras.callbacks.Callback):
    """Says which epoch of a silent training it is, in a line that overwrites itself.

    It is gone when the training ends. An interruption leaves it: Keras does not tell callbacks of one.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.line = Line()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the number of the epoch that begins."""
        if not self.params.get("verbose"):
            self.line.show(f"{self.name}: epoch {epoch + 1} of {self.params['epochs']} ...")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Wipe the line."""
        self.line.wipe()


class Resumable(keras.callbacks.Callback):
    """Keeps the state of a training after every epoch, and takes it up from there when ``fit`` is called again.

    The state is what Keras's BackupAndRestore keeps, weights, optimizer and epoch, and what it does not: the history,
    which ``fit`` returns whole, and prints unless ``verbose=0``, and the random numbers of dropout. On TensorFlow,
    where ``keras.utils.set_random_seed`` fixes the order of the examples, a training that was interrupted ends with
    the same numbers as one that was not.

    A training that came to its end is finished, also where a callback ended it, as EarlyStopping and TerminateOnNaN do.
    Calling ``fit`` again loads it: the weights of its end, those that ``restore_best_weights`` restored, and the
    history. Only with more epochs than it was given then does it go on, from the last epoch that was trained. The
    states of other callbacks are not kept: after an interruption EarlyStopping counts its patience anew.

    The folder is refused, in words that say what differs, when it holds the run of a model with other arguments, of
    another optimizer, or on other data: other shapes, or other values in some of the rows, or another batch size. Data
    and batch size are compared where they are known: for arrays, and in models of vqlib. Keras does not show them to
    callbacks; a model of your own can, by calling ``on_data`` in its ``fit``.

    Parameters
    ----------
    folder : path
        One folder for each training; delete it to start afresh.

    Raises
    ------
    ValueError
        By ``fit``, if the folder holds another run, or if it is given a ``keras.callbacks.CallbackList`` without what
        ``fit`` adds to a plain list.
    OSError
        By ``fit``, before the first epoch, if the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        self.folder = pathlib.Path(folder)
        self._training: dict[str, Any] = {}  # what must be as it was: model, optimizer, data, batch size
        self._data: str | dict[str, str] = UNKNOWN
        self._batch_size: str | int = UNKNOWN
        self._epochs: list[dict[str, float]] = []  # of each its logs
        self._state: dict[str, Any] = {}  # after the last of them: which epoch comes next, the weights, random numbers
        self._finished: int | None = None  # the number of epochs that a finished training was given
        self._is_loaded = False
        self._started = 0.0

    @property
    def record(self) -> pathlib.Path:
        """The file with the arguments of the training, and the history."""
        return self.folder / RECORD

    def on_data(self, x: Any, y: Any = None, batch_size: int | None = None) -> None:
        """Note what the training is on: `x`, `y` and `batch_size` as ``fit`` takes them."""
        self._data = fingerprint(x, y)
        self._batch_size = UNKNOWN if self._data == UNKNOWN else batch_size or 32  # Keras's default

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore weights, optimizer, epoch and history, if there are any, and show the history."""
        if "epochs" not in (self.params or {}) or not _keras_internals.has_history(self.model, self.params):
            raise ValueError(
                "A run is kept with what fit adds to its callbacks and a CallbackList may lack: the history, and the "
                "number of epochs. Give fit a plain list, callbacks=[Resumable(...)]."
            )
        _keras_internals.start_at(self.model, None)  # a run that was interrupted may have left its own
        self._check_folder()
        self._training = {
            "model": _arguments(self.model),
            "optimizer": _arguments(self.model.optimizer),
            "data": self._data,
            "batch_size": self._batch_size,
        }
        if int(self.model.optimizer.iterations) > 0:  # trained in this session, where callbacks may have set the rate
            self._training["optimizer"] = _without_rate(self._training["optimizer"])
        self._epochs, self._state, self._finished, self._is_loaded = [], {}, None, False
        if self.record.exists():
            self._restore(self._read())
        _keras_internals.after_callbacks(self.model, self._finish)
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Let later trainings start where they are told to, also if this one is interrupted: it has begun."""
        _keras_internals.start_at(self.model, None)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the state after this epoch."""
        now = time.monotonic()
        seconds, self._started = now - self._started, now
        self._epochs.append({"seconds": seconds, **{key: float(value) for key, value in (logs or {}).items()}})
        weights = f"epoch-{epoch + 1}.weights.h5"
        self._keep_weights(weights)
        states = [keras.ops.convert_to_numpy(state).tolist() for state in _keras_internals.random_states(self.model)]
        self._state = {"epoch": epoch + 1, "weights": weights, "random_states": states}
        self._write()
        for other in self.folder.glob("epoch-*.weights.h5"):
            if other.name != weights:
                other.unlink()

    def _finish(self) -> None:
        """Keep the weights of the end, and give ``fit`` the history of all epochs to return."""
        _keras_internals.start_at(self.model, None)
        if self._epochs and not self._is_loaded:
            self._keep_weights(END)
            self._finished = self.params["epochs"]
            self._write()
        merged: dict[str, list[float]] = {}
        for epoch in self._epochs:
            for name, value in epoch.items():
                merged.setdefault(name, []).append(value)
        self.model.history.epoch = list(self._numbers())
        self.model.history.history = merged

    def _check_folder(self) -> None:
        """Make the folder, or raise OSError that says how to name another."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise OSError(
                f"The state of the training cannot be kept in {self.folder}: {error.strerror}. Name a folder that can "
                "be written to; for vqlib.keep_run, the environment variable VQLIB_RUN_DIR does."
            ) from error

    def _read(self) -> dict[str, Any]:
        """Return the record; raise ValueError unless it is one of this training."""
        afresh = "Use another folder, or delete this one to start afresh."
        record = json.loads(self.record.read_text())
        if record.get("format") != FORMAT:
            raise ValueError(f"{self.folder} holds a run that another version of vqlib kept in its own way. {afresh}")
        first, *more = _differences(record["training"], self._training) or [""]
        if first:
            others = f" And {len(more)} more of its arguments." if more else ""
            raise ValueError(f"{self.folder} holds the run of another training: {first}.{others} {afresh}")
        return record

    def _restore(self, record: dict[str, Any]) -> None:
        """Take the training up where the record has it: at its end, or after the last epoch."""
        self._training = {
            key: self._training[key] if value == UNKNOWN else value for key, value in record["training"].items()
        }
        self._epochs = record["epochs"]
        self._state = {"epoch": len(self._epochs), **record["state"]}  # which the first records did not name
        asked = self.params["epochs"]
        self._is_loaded = record["finished"] is not None and asked <= record["finished"]
        optimizer = self.model.optimizer
        if not optimizer.built:  # or it would have nothing to load its state into
            optimizer.build(self.model.trainable_variables)
        self.model.load_weights(self.folder / (END if self._is_loaded else self._state["weights"]))
        states = _keras_internals.random_states(self.model)
        for state, value in zip(states, self._state["random_states"], strict=True):
            state.assign(value)
        _keras_internals.start_at(self.model, asked if self._is_loaded else self._state["epoch"])
        if self.params.get("verbose"):
            self._show_earlier_epochs()

    def _numbers(self) -> range:
        """Return the numbers of the epochs that are done, from 0; the first one is ``fit``'s `initial_epoch`."""
        following = self._state.get("epoch", 0)
        return range(following - len(self._epochs), following)

    def _keep_weights(self, name: str) -> None:
        partial = self.folder / "partial.weights.h5"
        self.model.save_weights(partial)
        replace(partial, self.folder / name)

    def _write(self) -> None:
        record = {
            "format": FORMAT,
            "training": self._training,
            "finished": self._finished,
            "state": self._state,
            "epochs": self._epochs,
        }
        write_atomically(self.record, json.dumps(record))

    def _show_earlier_epochs(self) -> None:
        """Print what ``fit`` printed for the epochs that are done, one line each."""
        done = len(self._epochs)
        print("1 epoch was trained before:" if done == 1 else f"{done} epochs were trained before:")
        for number, epoch in zip(self._numbers(), self._epochs, strict=True):
            metrics = (f"{name}: {value:.4f}" for name, value in epoch.items() if name != "seconds")
            print(f"Epoch {number + 1} - {epoch['seconds']:.0f}s - " + " - ".join(metrics))


def fingerprint(x: Any, y: Any = None) -> str | dict[str, str]:
    """Return shapes and dtypes of training data, and a hash of some rows; UNKNOWN of what is no array, as ``tf.data``.

    Parameters
    ----------
    x, y : array, tensor, or tuple, list or dict of them
        As ``fit`` takes them.
    """
    arrays: list[Any] = []
    waiting = [x, y]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, (tuple, list, dict)):
            waiting = [*(part.values() if isinstance(part, dict) else part), *waiting]
        elif isinstance(part, np.ndarray) or keras.ops.is_tensor(part):
            arrays.append(part)
        elif part is not None:
            return UNKNOWN
    digest = hashlib.sha256()
    for array in arrays:
        for row in np.linspace(0, len(array) - 1, min(len(array), ROWS)).astype(int):
            digest.update(np.asarray(array[int(row)]).tobytes())
    shapes = [f"{tuple(array.shape)} {getattr(array.dtype, 'name', array.dtype)}" for array in arrays]
    return {"arrays": " and ".join(shapes), "values": digest.hexdigest()[:16]}


def _arguments(thing: Any) -> dict[str, Any]:
    """Return the class and the config of a model or an optimizer, as JSON reads it back, whatever names it has."""
    config = json.loads(json.dumps(thing.get_config(), default=lambda value: type(value).__name__))
    return {"class": type(thing).__name__, **_renamed(config, {})}


def _renamed(config: Any, names: dict[str, str]) -> Any:
    """Return a config with the names of models and layers, which Keras counts up within a session, numbered anew."""
    if isinstance(config, list):
        return [_renamed(value, names) for value in config]
    if isinstance(config, dict):
        if isinstance(config.get("name"), str):
            names.setdefault(config["name"], f"name {len(names)}")
        return {key: _renamed(value, names) for key, value in config.items()}
    return names.get(config, config) if isinstance(config, str) else config


def _without_rate(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's arguments with its learning rate, if that is a number, not known."""
    return {
        key: UNKNOWN if key == "learning_rate" and isinstance(value, float) else value
        for key, value in optimizer.items()
    }


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in words how the arguments of two trainings differ, where both are known."""
    return [
        difference
        for part in ("model", "optimizer", "data", "batch_size")
        for difference in _difference(part, before[part], now[part])
    ]


def _difference(name: str, before: Any, now: Any) -> list[str]:
    if UNKNOWN in (before, now) or before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        shared = [key for key in before if key in now]
        return [words for key in shared for words in _difference(f"{name}.{key}", before[key], now[key])]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [words for i, (one, other) in pairs for words in _difference(f"{name}[{i}]", one, other)]
    if name == "data.values":
        return ["its data have other values"]
    before, now = (f"{value:g}" if isinstance(value, float) else str(value) for value in (before, now))
    return [f"{name} was {before[:80]}, and now is {now[:80]}"]

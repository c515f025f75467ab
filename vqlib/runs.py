"""How long a chapter trains, and how a long training survives an interruption."""

import json
import os
import pathlib
import time

import keras

from vqlib._progress import Line

PROFILES = ("full", "quick", "default")
RECORD = "run.json"  # in the folder of each run


def profile():
    """Return the profile that the environment variable ``VQLIB_PROFILE`` names: "full", "quick" or "default".

    "full" trains everything from scratch on the whole dataset, "quick" a few steps on embedded data, and "default",
    without the variable, is what a reader wants: train what the chapter teaches, load what earlier chapters trained.
    """
    name = os.environ.get("VQLIB_PROFILE") or "default"
    if name not in PROFILES:
        raise ValueError(f"VQLIB_PROFILE must be one of {', '.join(PROFILES)}, but is {name!r}.")
    return name


def run_folder():
    """Return the folder that runs are kept in: what the variable ``VQLIB_RUN_DIR`` names, or else ``runs``."""
    return pathlib.Path(os.environ.get("VQLIB_RUN_DIR") or "runs")


def kept_runs():
    """Return the names of the runs that are kept there, ``<name>-<profile>``, sorted."""
    return sorted(record.parent.name for record in run_folder().glob(f"*/{RECORD}"))


def keep_run(name):
    """Return the callbacks for ``fit`` that let the training called `name` resume after an interruption.

    Its state lies in ``$VQLIB_RUN_DIR/<name>-<profile>``, in ``runs/`` without that variable. While ``fit`` itself is
    silent (``verbose=0``), a line says how far it is. In the quick profile, which has nothing to lose and is soon over,
    no callbacks.
    """
    current = profile()
    if current == "quick":
        return []
    return [Resumable(run_folder() / f"{name}-{current}"), LiveLine(name)]


class LiveLine(keras.callbacks.Callback):
    """Say which epoch of a silent training it is, in a line that overwrites itself and is gone in the end."""

    def __init__(self, name):
        super().__init__()
        self.name, self.line = name, Line()

    def on_epoch_begin(self, epoch, logs=None):
        """Show the number of the epoch that begins."""
        if not self.params.get("verbose"):
            self.line.show(f"{self.name}: epoch {epoch + 1} of {self.params['epochs']} ...")

    def on_train_end(self, logs=None):
        """Wipe the line."""
        self.line.wipe()


class Resumable(keras.callbacks.BackupAndRestore):
    """Keep the state of a training after every epoch, and take it up from there when ``fit`` is called again.

    Keras's BackupAndRestore, which keeps weights and optimizer, with some additions: the history of earlier epochs
    comes back too, and is printed unless ``verbose=0``; so does the state of dropout's random numbers, which is no
    weight; a finished run is kept, so that calling ``fit`` again only loads it; and a folder that holds the run of
    another model is refused. The optimizer's steps tell which epochs are done, so that an interruption between the
    writing of two files does no harm. On TensorFlow, where ``keras.utils.set_random_seed`` fixes the order of the
    examples, a run that was interrupted ends with the same numbers as one that was not.

    Parameters
    ----------
    folder : path
        One folder for each training; delete it to start afresh.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        super().__init__(str(self.folder / "state"), double_checkpoint=True, delete_checkpoint=False)
        # Of each epoch: its logs, and at its end the states of random numbers and the optimizer's steps.
        self.epochs, self.seeds, self.steps = [], [], []

    def on_train_begin(self, logs=None):
        """Restore weights, optimizer, epoch and history, if there are any, and show the history."""
        model = json.loads(json.dumps(_without_names(self.model.get_config()), default=str))
        if self.record.exists():
            record = json.loads(self.record.read_text())
            if _without_names(record["model"]) != model:
                raise ValueError(
                    f"{self.folder} holds the run of a model with other arguments. "
                    "Use another folder, or delete this one to start afresh."
                )
            steps = record.get("steps", [None] * len(record["epochs"]))  # an older vqlib kept none
            if None not in steps:
                (self.folder / "state" / "training_metadata.json").unlink(missing_ok=True)  # Keras's; may be cut off
            super().on_train_begin(logs)
            if None not in steps:
                now = int(self.model.optimizer.iterations)
                self.model._initial_epoch = steps.index(now) + 1 if now in steps else 0
            done = self.model._initial_epoch or 0
            self.steps = steps[:done]
            self.epochs = record["epochs"][:done]
            self.seeds = record.get("seeds", [None] * done)[:done]  # an older vqlib kept none
            if self.seeds and self.seeds[-1]:
                for state, value in zip(self._random_states(), self.seeds[-1], strict=True):
                    state.assign(value)
            if self.params.get("verbose"):
                self._show_earlier_epochs()
        self.head = {"model": model}
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Keep the state after this epoch."""
        seconds, self.started = time.monotonic() - self.started, time.monotonic()
        self.epochs.append({"seconds": seconds, **{key: float(value) for key, value in logs.items()}})
        self.seeds.append([keras.ops.convert_to_numpy(state).tolist() for state in self._random_states()])
        self.steps.append(int(self.model.optimizer.iterations))
        partial = self.record.with_suffix(".partial")
        self.folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({**self.head, "epochs": self.epochs, "seeds": self.seeds, "steps": self.steps}))
        partial.replace(self.record)
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        """Give ``fit`` the history of all epochs to return, those before an interruption included."""
        super().on_train_end(logs)
        self.model._initial_epoch = None  # or a later fit would start there too
        history = self.model.history
        history.epoch = list(range(len(self.epochs)))
        history.history = {key: [epoch[key] for epoch in self.epochs] for key in self.epochs[0]}

    def _random_states(self):
        """Return the states of the model's random numbers that are not among its weights."""
        weights = {id(weight) for weight in self.model.weights}
        return [
            variable
            for variable in self.model.non_trainable_variables
            if variable.path.endswith("seed_generator_state") and id(variable) not in weights
        ]

    def _show_earlier_epochs(self):
        """Print what ``fit`` printed for the epochs that are done, one line each."""
        print(f"{len(self.epochs)} epochs were trained before:")
        for number, epoch in enumerate(self.epochs, start=1):
            metrics = (f"{name}: {value:.4f}" for name, value in epoch.items() if name != "seconds")
            print(f"Epoch {number} - {epoch['seconds']:.0f}s - " + " - ".join(metrics))

    @property
    def record(self):
        """The file with the model's arguments and the history."""
        return self.folder / RECORD


def _without_names(config):
    """Return a config without the names of models and layers, which Keras counts up within a session."""
    if isinstance(config, (list, tuple)):
        return [_without_names(value) for value in config]
    if not isinstance(config, dict):
        return config
    of_a_layer = "trainable" in config
    return {key: _without_names(value) for key, value in config.items() if not (of_a_layer and key == "name")}

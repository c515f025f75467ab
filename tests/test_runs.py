"""Profiles, and trainings that survive an interruption."""

import importlib
import json
import os
import pathlib
import subprocess
import sys

import interruptible
import keras
import numpy as np
import pytest

import vqlib
from vqlib import Resumable, _progress, keep_run, profile
from vqlib.book.runs import LiveLine, fingerprint

pytestmark = pytest.mark.usefixtures("clean_environment")


class Interruption(Exception):
    """The power goes."""


class InterruptAfter(keras.callbacks.Callback):
    """Interrupt the training when `epochs` epochs are done and the next one has begun."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise Interruption


class Watch(keras.callbacks.Callback):
    """Note the epochs that are trained, and the weights that the first of them starts from."""

    def __init__(self):
        super().__init__()
        self.begun = []

    def on_epoch_begin(self, epoch, logs=None):
        if not self.begun:
            self.weights = self.model.get_weights()
        self.begun.append(epoch)


@pytest.fixture
def train(tiny_vqvae, images, tmp_path):
    """Return a function that trains a fresh model as a chapter does, and returns the model and what fit returned.

    Without shuffling, so that nothing but weights, optimizer and epoch tells an interrupted training from another.
    """

    def run(
        *callbacks,
        seed=0,
        model=None,
        optimizer=lambda: keras.optimizers.Adam(1e-2),
        folder=tmp_path / "run",
        data=images,
        **fit,
    ):
        if model is None:
            model = tiny_vqvae(seed, **{name: fit.pop(name) for name in ARGUMENTS if name in fit})
            model.compile(optimizer(), run_eagerly=True)
        resumable = [] if folder is None else [Resumable(folder)]
        usual = {"validation_data": images[:4], "batch_size": 10, "epochs": 4, "shuffle": False, "verbose": 0}
        history = model.fit(data, callbacks=[*resumable, *callbacks], **{**usual, **fit})
        return model, history

    run.folder = tmp_path
    return run


ARGUMENTS = ("beta", "num_embeddings", "data_variance")  # of the model, the others being those of fit


# Profiles


def test_profile_is_default_without_the_variable(clean_environment):
    assert profile() == "default"
    clean_environment.setenv("VQLIB_PROFILE", "")
    assert profile() == "default"


@pytest.mark.parametrize("name", ["full", "quick", "default"])
def test_profile_is_that_of_the_variable(clean_environment, name):
    clean_environment.setenv("VQLIB_PROFILE", name)
    assert profile() == name
    assert f"{profile()}" == name
    assert {name: 1}[profile()] == 1


@pytest.mark.parametrize("name", ["fast", "FULL", "quick "])
def test_unknown_profile_is_refused(clean_environment, name):
    clean_environment.setenv("VQLIB_PROFILE", name)
    with pytest.raises(ValueError, match=rf"VQLIB_PROFILE must be one of quick, default, full, but is '{name}'"):
        profile()
    with pytest.raises(ValueError, match="VQLIB_PROFILE must be one of"):
        keep_run("03-vqvae")


def test_quick_profile_keeps_nothing(clean_environment):
    clean_environment.setenv("VQLIB_PROFILE", "quick")
    assert keep_run("03-vqvae") == []


@pytest.mark.parametrize("name", ["full", "default"])
def test_other_profiles_keep_runs(clean_environment, name, tmp_path):
    clean_environment.setenv("VQLIB_PROFILE", name)
    callback, _ = keep_run("03-vqvae")
    assert isinstance(callback, Resumable)
    assert callback.folder.as_posix() == f"runs/03-vqvae-{name}"
    clean_environment.setenv("VQLIB_RUN_DIR", str(tmp_path))
    callback, _ = keep_run("03-vqvae")
    assert callback.folder == tmp_path / f"03-vqvae-{name}"


def test_a_silent_training_says_which_epoch_it_is_and_wipes_it_away(train, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "is_watched", lambda: True)
    train(LiveLine("03-vqvae"), epochs=2)
    shown = capsys.readouterr().out
    assert "03-vqvae: epoch 1 of 2" in shown
    assert "03-vqvae: epoch 2 of 2" in shown
    assert "\n" not in shown
    *_, blank, end = shown.split("\r")
    assert end == ""
    assert blank.isspace()
    assert len(blank) >= len("03-vqvae: epoch 2 of 2")
    train(LiveLine("03-vqvae"), epochs=1, verbose=2, folder=None)
    assert "03-vqvae" not in capsys.readouterr().out


def test_an_empty_variable_names_no_folder(clean_environment):
    clean_environment.setenv("VQLIB_RUN_DIR", "")
    callback, _ = keep_run("03-vqvae")
    assert callback.folder.as_posix() == "runs/03-vqvae-default"


# Runs


def test_uninterrupted_run_is_as_without_the_callback(train):
    plain, plain_history = train(folder=None)
    kept, kept_history = train()
    assert kept_history.history.keys() - {"seconds"} == plain_history.history.keys()
    np.testing.assert_allclose(kept_history.history["loss"], plain_history.history["loss"], rtol=1e-6)
    for first, second in zip(plain.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_interrupted_run_is_taken_up_where_it_was(train):
    watch = Watch()
    whole, whole_history = train(folder=None)
    with pytest.raises(Interruption):
        train(watch, InterruptAfter(2))
    assert watch.begun == [0, 1, 2]

    at_the_break, _ = train(folder=None, epochs=2)
    watch = Watch()
    interrupted, history = train(watch, seed=5)  # a fresh process would make other weights: they must not matter
    assert watch.begun == [2, 3]
    for restored, expected in zip(watch.weights, at_the_break.get_weights(), strict=True):
        np.testing.assert_allclose(restored, expected, atol=1e-6)
    # Weights, optimizer and history go on as if nothing had happened.
    for first, second in zip(whole.get_weights(), interrupted.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert history.epoch == [0, 1, 2, 3]
    for name, values in whole_history.history.items():
        assert len(history.history[name]) == 4
        np.testing.assert_allclose(history.history[name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_interrupted_run_is_taken_up_with_the_same_model(train):
    model, _ = train(epochs=0, folder=None)
    with pytest.raises(Interruption):
        train(InterruptAfter(2), model=model)
    watch = Watch()
    model, history = train(watch, model=model)
    assert watch.begun == [2, 3]
    assert len(history.history["loss"]) == 4
    assert model.optimizer.iterations == 8


def test_interruption_of_a_resumed_run_leaves_nothing_behind_for_later_trainings(train):
    """Neither for one that is not kept, nor for one that is kept elsewhere."""
    model, _ = train(epochs=0, folder=None)
    for epochs in (1, 3):
        with pytest.raises(Interruption):
            train(InterruptAfter(epochs), model=model)
    watch = Watch()
    _, history = train(watch, model=model, folder=None, epochs=2)
    assert watch.begun == history.epoch == [0, 1]
    watch = Watch()
    _, history = train(watch, model=model, folder=train.folder / "other", epochs=2)
    assert watch.begun == history.epoch == [0, 1]


def test_run_interrupted_before_its_first_epoch_leaves_nothing_behind_for_a_kept_training(train):
    class InterruptAtOnce(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise Interruption

    model, _ = train(epochs=3)
    with pytest.raises(Interruption):
        train(InterruptAtOnce(), model=model)
    watch = Watch()
    _, history = train(watch, model=model, folder=train.folder / "other", epochs=2)
    assert watch.begun == history.epoch == [0, 1]


def test_run_that_begins_at_a_later_epoch_resumes_and_loads(train, capsys):
    whole, whole_history = train(folder=None, initial_epoch=4, epochs=8)
    with pytest.raises(Interruption):
        train(InterruptAfter(6), initial_epoch=4, epochs=8)
    watch = Watch()
    interrupted, history = train(watch, seed=5, initial_epoch=4, epochs=8, verbose=2)
    assert watch.begun == [6, 7]
    assert history.epoch == whole_history.epoch == [4, 5, 6, 7]
    np.testing.assert_allclose(history.history["loss"], whole_history.history["loss"], rtol=1e-3)
    for found, expected in zip(interrupted.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "2 epochs were trained before:\nEpoch 5 - " in capsys.readouterr().out
    watch = Watch()
    _, loaded = train(watch, initial_epoch=4, epochs=8)
    assert watch.begun == []
    assert loaded.epoch == [4, 5, 6, 7]
    assert loaded.history == history.history
    train(watch, epochs=9)
    assert watch.begun == [8]


def test_run_whose_record_names_no_epoch_is_taken_up(train):
    """As the first records did not, whose runs all began at the first epoch."""
    with pytest.raises(Interruption):
        train(InterruptAfter(2))
    path = train.folder / "run" / "run.json"
    record = json.loads(path.read_text())
    record["state"].pop("epoch", None)
    path.write_text(json.dumps(record))
    watch = Watch()
    _, history = train(watch)
    assert watch.begun == [2, 3]
    assert history.epoch == [0, 1, 2, 3]


def test_run_in_a_list_of_callbacks_that_cannot_carry_it_is_refused(tiny_vqvae, images, tmp_path):
    """The list of Keras's own has a history and the number of epochs only where it is told so."""
    model = tiny_vqvae()
    model.compile("adam", run_eagerly=True)

    def train(**arguments):
        callbacks = keras.callbacks.CallbackList([Resumable(tmp_path / "run")], **arguments)
        return model.fit(images, epochs=2, verbose=0, callbacks=callbacks)

    incomplete = ({}, {"model": model, "epochs": 2}, {"model": model, "add_history": True})
    for arguments in incomplete:
        with pytest.raises(ValueError, match=r"a plain list, callbacks=\[Resumable\(\.\.\.\)\]"):
            train(**arguments)
    history = train(model=model, add_history=True, epochs=2)
    assert history.epoch == [0, 1]
    with pytest.raises(ValueError, match="a plain list"):  # also where the model has an earlier history
        train(model=model, epochs=2)
    assert train(model=model, add_history=True, epochs=2).history == history.history


def test_run_interrupted_in_its_first_epoch_starts_afresh(train):
    with pytest.raises(Interruption):
        train(InterruptAfter(0))
    watch = Watch()
    _, history = train(watch)
    assert watch.begun == [0, 1, 2, 3]
    assert len(history.history["loss"]) == 4


@pytest.mark.parametrize("written", ["weights", "record"])
def test_run_interrupted_while_a_file_is_written_goes_on_from_the_epoch_before(train, monkeypatch, written):
    """The third epoch's file is written, but not yet in its place."""
    whole, whole_history = train(folder=None)
    replace = pathlib.Path.replace
    name = "run.json" if written == "record" else "epoch-3.weights.h5"

    def die(path, target):
        if target.name == name and (written == "weights" or json.loads(path.read_text())["epochs"][2:]):
            raise Interruption
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "replace", die)
        with pytest.raises(Interruption):
            train()
    watch = Watch()
    model, history = train(watch)
    assert watch.begun == [2, 3]
    assert history.history["loss"] == pytest.approx(whole_history.history["loss"], rel=1e-4)
    for found, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_run_interrupted_before_old_weights_are_removed_goes_on(train, tmp_path):
    with pytest.raises(Interruption):
        train(InterruptAfter(2))
    old = tmp_path / "run" / "epoch-1.weights.h5"
    assert not old.exists()
    old.write_text("")
    watch = Watch()
    train(watch)
    assert watch.begun == [2, 3]
    assert [path.name for path in sorted((tmp_path / "run").iterdir())] == [
        "end.weights.h5",
        "epoch-4.weights.h5",
        "run.json",
    ]


def test_finished_run_is_only_loaded(train):
    model, history = train()
    watch = Watch()
    again, loaded = train(watch, seed=5)
    assert watch.begun == []
    assert loaded.history == history.history
    for first, second in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


# A training ended by a callback


def test_training_stopped_early_is_finished(train, images):
    """With the best weights restored: they come back, and so do history and evaluation."""

    def stop():
        return keras.callbacks.EarlyStopping(
            "val_reconstruction_loss", mode="max", patience=1, restore_best_weights=True
        )

    model, history = train(stop(), epochs=12)
    evaluation = model.evaluate(images, verbose=0)
    assert len(history.history["loss"]) == 2 < 12, "the training was not stopped, so that the test cannot tell"
    for seed in (5, 6):
        watch = Watch()
        again, loaded = train(watch, stop(), epochs=12, seed=seed)
        assert watch.begun == []
        assert loaded.history == history.history
        assert again.evaluate(images, verbose=0) == evaluation
        for found, expected in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_best_weights_are_kept_of_a_training_that_was_not_stopped_too(train):
    best = keras.callbacks.EarlyStopping("val_reconstruction_loss", mode="max", patience=9, restore_best_weights=True)
    model, _ = train(best, epochs=3)
    last, _ = train(folder=None, epochs=3)
    again, _ = train(epochs=3, seed=5)
    for found, expected, other in zip(again.get_weights(), model.get_weights(), last.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert not np.array_equal(found, other), "the best weights were the last"


def test_training_that_diverged_is_finished(train):

    def optimizer():
        return keras.optimizers.SGD(1e20)

    _, history = train(keras.callbacks.TerminateOnNaN(), optimizer=optimizer, epochs=9)
    assert len(history.history["loss"]) < 9
    watch = Watch()
    _, loaded = train(watch, keras.callbacks.TerminateOnNaN(), optimizer=optimizer, epochs=9)
    assert watch.begun == []
    np.testing.assert_array_equal(loaded.history["loss"], history.history["loss"])


def test_more_epochs_go_on_from_the_last_and_not_from_the_best(train):
    best = keras.callbacks.EarlyStopping("val_reconstruction_loss", mode="max", patience=9, restore_best_weights=True)
    train(best, epochs=2)
    whole, _ = train(folder=None, epochs=3)
    watch = Watch()
    longer, _ = train(watch, epochs=3)
    assert watch.begun == [2]
    for found, expected in zip(longer.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_longer_training_that_is_interrupted_is_no_longer_finished(train):
    train(epochs=1)
    with pytest.raises(Interruption):
        train(InterruptAfter(2), epochs=3)
    watch = Watch()
    _, history = train(watch, epochs=3)
    assert watch.begun == [2]
    assert len(history.history["loss"]) == 3


# History


def test_training_of_no_epoch_has_no_history(train, tmp_path):
    _, history = train(epochs=0)
    assert history.history == {}
    assert not (tmp_path / "run" / "run.json").exists()
    train(epochs=2)
    _, history = train(epochs=0)
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize("first", [True, False], ids=["dropped", "added"])
def test_history_of_a_run_whose_validation_was_dropped_or_added(train, images, first):
    validation = {True: images[:4], False: None}
    with pytest.raises(Interruption):
        train(InterruptAfter(1), validation_data=validation[first])
    _, history = train(validation_data=validation[not first])
    assert len(history.history["loss"]) == 4
    assert len(history.history["val_loss"]) == (1 if first else 3)


def test_validation_every_other_epoch_is_in_the_history(train):
    _, plain = train(folder=None, validation_freq=2)
    _, history = train(validation_freq=2)
    assert len(history.history["val_loss"]) == 2
    assert history.history.keys() - {"seconds"} == plain.history.keys()
    assert history.history["val_loss"] == pytest.approx(plain.history["val_loss"], rel=1e-5)


@pytest.mark.parametrize(("count", "words"), [(1, "1 epoch was trained before:"), (2, "2 epochs were trained before:")])
def test_log_of_earlier_epochs_is_shown_again(train, capsys, count, words):
    _, history = train(epochs=count)
    assert capsys.readouterr().out == ""
    train(epochs=count, verbose=2)
    first, *epochs = capsys.readouterr().out.splitlines()
    assert first == words
    assert [line.split(" - ")[0] for line in epochs] == [f"Epoch {number + 1}" for number in range(count)]
    assert f"val_loss: {history.history['val_loss'][-1]:.4f}" in epochs[-1]


def test_finished_run_goes_on_when_more_epochs_are_asked_for(train):
    train(epochs=2)
    watch = Watch()
    _, history = train(watch, epochs=3)
    assert watch.begun == [2]
    assert len(history.history["loss"]) == 3


def test_model_with_a_restored_run_can_be_trained_on(train):
    train()
    model, _ = train()
    watch = Watch()
    train(watch, model=model, folder=None, epochs=2)
    assert watch.begun == [0, 1]


def test_history_says_how_long_each_epoch_took(train):
    _, history = train(epochs=2)
    assert len(history.history["seconds"]) == 2
    assert all(0 < seconds < 60 for seconds in history.history["seconds"])


# What is refused


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({"beta": 0.5}, "beta was 0.25, and now is 0.5"),
        ({"num_embeddings": 9}, "num_embeddings was 8, and now is 9"),
        ({"data_variance": 0.3}, "data_variance was 1, and now is 0.3"),
        ({"optimizer": lambda: keras.optimizers.SGD(1e-2)}, "optimizer.class was Adam, and now is SGD"),
        ({"optimizer": lambda: keras.optimizers.Adam(1e-4)}, "optimizer.learning_rate was 0.01, and now is 0.0001"),
        ({"optimizer": lambda: keras.optimizers.Adam(1e-2, clipnorm=1.0)}, "optimizer.clipnorm was None, and now is 1"),
        (
            {"optimizer": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 100))},
            "optimizer.learning_rate was 0.01, and now is .*CosineDecay",
        ),
        ({"batch_size": 5}, "batch_size was 10, and now is 5"),
        ({"data": np.zeros((19, 8, 8, 1), "float32")}, r"data.arrays was \(20, 8, 8, 1\) float32, and now is \(19,"),
        ({"data": np.zeros((20, 8, 8, 1), "float32")}, "its data have other values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_run_of_another_training_is_refused(train, arguments, difference):
    with pytest.raises(Interruption):
        train(InterruptAfter(1))
    watch = Watch()
    with pytest.raises(ValueError, match=rf"holds the run of another training: .*{difference}.*delete this one"):
        train(watch, **arguments)
    assert watch.begun == []


def test_learning_rate_that_callbacks_changed_is_not_held_against_the_same_model(train):
    slower = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-2 / (epoch + 1))
    model, _ = train(folder=None, epochs=0)
    with pytest.raises(Interruption):
        train(slower, InterruptAfter(2), model=model)
    watch = Watch()
    train(watch, slower, model=model)
    assert watch.begun == [2, 3]
    watch = Watch()
    train(watch, slower)  # in a new process
    assert watch.begun == []


def test_schedule_that_is_the_same_is_taken_up(train):
    def optimizer():
        return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 100))

    with pytest.raises(Interruption):
        train(InterruptAfter(1), optimizer=optimizer)
    watch = Watch()
    train(watch, optimizer=optimizer)
    assert watch.begun == [1, 2, 3]


def test_all_of_vqlibs_models_show_their_data(tiny_vqvae, tiny_vqvae2, tiny_prior, images, rng, tmp_path):
    codes, labels = rng.integers(3, size=(20, 2, 2)), rng.integers(4, size=20)
    conditioned = {"code_shape": (2, 2), "num_embeddings": 3, "filters": 4, "num_layers": 1}
    conditioned |= {"condition_shape": (), "num_conditions": 4}
    trainings = [
        (tiny_vqvae(), images, None),
        (tiny_vqvae2(), images, None),
        (tiny_prior(), codes, None),
        (vqlib.GatedPixelCNN(**conditioned), (codes, labels), None),
        (vqlib.Classifier((8, 8, 1), 4, filters=(2,)), images, labels),
    ]
    for number, (model, x, y) in enumerate(trainings):
        model.compile("adam", run_eagerly=True)
        targets = () if y is None else (y,)
        folder = tmp_path / f"{number}"
        model.fit(x, *targets, batch_size=20, verbose=0, callbacks=[Resumable(folder)])
        training = json.loads((folder / "run.json").read_text())["training"]
        assert training["data"] == fingerprint(x, y)
        assert training["batch_size"] == 20


class Batches(keras.utils.PyDataset):
    """Two batches of ten images."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (self.images[10 * index : 10 * index + 10],)


def test_data_that_only_give_batches_are_not_compared(train, images):
    _, history = train(data=Batches(images), epochs=1, batch_size=None)
    watch = Watch()
    _, again = train(watch, epochs=1)
    assert watch.begun == []
    assert again.history == history.history
    train(data=images[:10], epochs=2)  # which are known from now on
    with pytest.raises(ValueError, match=r"data\.arrays"):
        train(epochs=2)


def functional(activation="relu"):
    """A model that shows its data to nobody, and whose config names its layers in several places."""
    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(1, 1, activation=activation)(x)
    return keras.Model(x, keras.layers.Add()([x, y]))


def test_model_of_ones_own_resumes_and_another_is_refused(images, tmp_path):
    watch = Watch()

    def train(*callbacks, **arguments):
        keras.utils.set_random_seed(0)
        model = functional(**arguments)
        model.compile("adam", "mse")
        kept = [Resumable(tmp_path / "own"), *callbacks]
        return model.fit(images, images, epochs=3, verbose=0, callbacks=kept).history["loss"]

    with pytest.raises(Interruption):
        train(InterruptAfter(1))
    assert len(train(watch)) == 3
    assert watch.begun == [1, 2]
    with pytest.raises(ValueError, match=r"model.layers\[1\].config.activation was relu, and now is elu"):
        train(activation="elu")


def test_fingerprint_tells_data_apart(rng):
    x, y = rng.normal(size=(50, 3)).astype("float32"), np.arange(50)
    last = x.copy()
    last[-1, 0] += 1
    assert fingerprint(x, y) == fingerprint(x.copy(), keras.ops.convert_to_tensor(y)) == fingerprint((x, y))
    assert fingerprint(x, y)["arrays"] == "(50, 3) float32 and (50,) int64"
    different = [(x, None), (x, y + 1), (last, y), (x[::-1], y), (x[:-1], y), (x.astype("float64"), y)]
    assert fingerprint(x, y) not in [fingerprint(*each) for each in different]
    assert fingerprint(iter(x)) == fingerprint([1, 2]) == "unknown"
    assert fingerprint(x[:0])["arrays"] == "(0, 3) float32"


def test_run_that_another_version_kept_is_refused(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"model": {}, "epochs": [{"loss": 1.0}], "seeds": [], "steps": [2]}')
    watch = Watch()
    with pytest.raises(ValueError, match=r"a run that another version of vqlib kept.*delete this one to start afresh"):
        train(watch)
    assert watch.begun == []


@pytest.mark.parametrize("below", [".", "a/b"])
def test_folder_that_cannot_be_made_is_named_before_the_first_epoch(train, tmp_path, below):
    (tmp_path / "file").touch()
    watch = Watch()
    with pytest.raises(OSError, match=r"cannot be kept in .*file.*VQLIB_RUN_DIR"):
        train(watch, folder=tmp_path / "file" / below)
    assert watch.begun == []


def test_folder_is_there_when_the_training_begins(train, tmp_path):
    with pytest.raises(Interruption):
        train(InterruptAfter(0))
    assert (tmp_path / "run").is_dir()


def test_runs_in_two_folders_do_not_meet(train, tmp_path):
    train(epochs=1)
    watch = Watch()
    train(watch, epochs=1, folder=tmp_path / "other", beta=0.5)
    assert watch.begun == [0]


def test_prior_resumes_too(tiny_prior, tmp_path, rng):
    codes = rng.integers(3, size=(8, 2, 2))
    watch = Watch()

    def train(*callbacks):
        prior = tiny_prior()
        prior.compile("adam", run_eagerly=True)
        return prior.fit(codes, epochs=2, verbose=0, callbacks=[Resumable(tmp_path / "prior"), *callbacks])

    with pytest.raises(Interruption):
        train(InterruptAfter(1))
    assert len(train(watch).history["bits_per_image"]) == 2
    assert watch.begun == [1]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere, Keras's order of examples is not kept")
@pytest.mark.parametrize("name", ["vqvae", "pixelcnn", "gated"])
def test_killed_run_ends_with_the_same_numbers_as_a_whole_one(name, tmp_path):
    tensorflow = importlib.import_module("tensorflow")
    command = [sys.executable, interruptible.__file__, name, tmp_path / "killed"]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(vqlib.__file__).parents[1])}
    # As many threads as here, 0 for all: with another number, the last digits differ.
    environment["TF_NUM_INTRAOP_THREADS"] = str(tensorflow.config.threading.get_intra_op_parallelism_threads())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout.readline() == "half way\n"
        child.kill()
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert len(record["epochs"]) == 2
    watch = Watch()
    weights, history = interruptible.train(name, tmp_path / "killed", watch)
    assert watch.begun == [2, 3, 4]
    whole_weights, whole_history = interruptible.train(name, tmp_path / "whole")
    assert history == whole_history
    for found, expected in zip(weights, whole_weights, strict=True):
        np.testing.assert_array_equal(found, expected)

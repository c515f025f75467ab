"""Profiles, and trainings that survive an interruption."""

import json
import shutil
import subprocess
import sys

import interruptible
import keras
import numpy as np
import pytest

from vqlib import Resumable, _progress, keep_run, profile
from vqlib.runs import LiveLine

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

    def run(*callbacks, epochs=4, seed=0, model=None, folder=tmp_path / "run", verbose=0, **arguments):
        if model is None:
            model = tiny_vqvae(seed, **arguments)
            model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        resumable = [] if folder is None else [Resumable(folder)]
        history = model.fit(
            images,
            validation_data=images[:4],
            batch_size=10,
            epochs=epochs,
            shuffle=False,
            verbose=verbose,
            callbacks=[*resumable, *callbacks],
        )
        return model, history

    return run


# Profiles


def test_profile_is_default_without_the_variable(clean_environment):
    assert profile() == "default"
    clean_environment.setenv("VQLIB_PROFILE", "")
    assert profile() == "default"


@pytest.mark.parametrize("name", ["full", "quick", "default"])
def test_profile_is_that_of_the_variable(clean_environment, name):
    clean_environment.setenv("VQLIB_PROFILE", name)
    assert profile() == name


@pytest.mark.parametrize("name", ["fast", "FULL", "quick "])
def test_unknown_profile_is_refused(clean_environment, name):
    clean_environment.setenv("VQLIB_PROFILE", name)
    with pytest.raises(ValueError, match=rf"VQLIB_PROFILE must be one of full, quick, default, but is '{name}'"):
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
    interrupted, watch = None, Watch()
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
    watch = Watch()
    with pytest.raises(Interruption) as caught:
        train(InterruptAfter(2))
    del caught
    model, history = train(watch)
    assert watch.begun == [2, 3]
    assert len(history.history["loss"]) == 4
    assert model.optimizer.iterations == 8


def test_run_interrupted_in_its_first_epoch_starts_afresh(train):
    with pytest.raises(Interruption):
        train(InterruptAfter(0))
    watch = Watch()
    _, history = train(watch)
    assert watch.begun == [0, 1, 2, 3]
    assert len(history.history["loss"]) == 4


def test_run_interrupted_between_record_and_weights_starts_afresh(train, tmp_path):
    with pytest.raises(Interruption):
        train(InterruptAfter(1))
    for path in (tmp_path / "run" / "state").iterdir():  # as if the power had gone before the first weights were kept
        path.unlink()
    watch = Watch()
    _, history = train(watch)
    assert watch.begun == [0, 1, 2, 3]
    assert len(history.history["loss"]) == 4


@pytest.mark.parametrize("metadata", ['{"epoch": 1, "batch": 0}', "", None], ids=["old", "cut off", "none"])
def test_run_interrupted_between_weights_and_metadata_trains_no_epoch_twice(train, tmp_path, metadata):
    with pytest.raises(Interruption):
        train(InterruptAfter(2))
    path = tmp_path / "run" / "state" / "training_metadata.json"
    path.unlink() if metadata is None else path.write_text(metadata)
    watch = Watch()
    model, history = train(watch)
    assert watch.begun == [2, 3]
    assert len(history.history["loss"]) == 4
    assert model.optimizer.iterations == 8


def test_run_interrupted_between_record_and_new_weights_trains_the_epoch_again(train, tmp_path):
    with pytest.raises(Interruption):
        train(InterruptAfter(2))
    state = tmp_path / "run" / "state"
    for name in ("latest.weights.h5", "training_metadata.json"):
        shutil.copy(state / f"{name}.bkp", state / name)
    watch = Watch()
    model, _ = train(watch)
    assert watch.begun == [1, 2, 3]
    assert model.optimizer.iterations == 8


def test_finished_run_is_only_loaded(train):
    model, history = train()
    watch = Watch()
    again, loaded = train(watch, seed=5)
    assert watch.begun == []
    assert loaded.history == history.history
    for first, second in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_log_of_earlier_epochs_is_shown_again(train, capsys):
    _, history = train(epochs=2)
    assert capsys.readouterr().out == ""
    train(epochs=2, verbose=2)
    first, *epochs = capsys.readouterr().out.splitlines()
    assert first == "2 epochs were trained before:"
    assert [line.split(" - ")[0] for line in epochs] == ["Epoch 1", "Epoch 2"]
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


@pytest.mark.parametrize("arguments", [{"beta": 0.5}, {"num_embeddings": 9}, {"data_variance": 0.3}], ids=str)
def test_run_of_a_model_with_other_arguments_is_refused(train, arguments):
    train(epochs=1)
    watch = Watch()
    with pytest.raises(ValueError, match=r"holds the run of a model with other arguments.*delete this one"):
        train(watch, **arguments)
    assert watch.begun == []


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
    command = [sys.executable, interruptible.__file__, name, tmp_path / "killed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
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


def test_run_kept_by_an_older_vqlib_is_taken_up(train, tmp_path):
    train(epochs=2)
    record = tmp_path / "run" / "run.json"
    old = json.loads(record.read_text())
    del old["seeds"], old["steps"]
    record.write_text(json.dumps(old))
    watch = Watch()
    train(watch, epochs=3)
    assert watch.begun == [2]
    assert json.loads(record.read_text())["seeds"][:2] == [None, None]
    train(watch, epochs=4)
    assert watch.begun == [2, 3]

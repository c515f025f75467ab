"""Training on two devices is training on one: the same losses, metrics, weights and codes."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")

# In a process of its own: the logical devices are made before TensorFlow starts. SGD shows a gradient that is doubled,
# which Adam hides; so one training by Adam is enough, which shows that an optimizer with variables of its own works.
SCRIPT = """
    import sys

    import numpy as np
    import vqlib
    import keras
    import tensorflow as tf

    two_devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_visible_devices([], "GPU")
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two_devices)
    generator = np.random.default_rng(0)
    images = generator.uniform(-0.5, 0.5, (32, 4, 4, 1)).astype("float32")
    codes = generator.integers(5, size=(32, 2, 3)).astype("int32")
    labels = generator.integers(3, size=32)


    def first_half(data):
        return ((data[0][:16], data[1][:16]),) if isinstance(data, tuple) else data[:16]


    def codes_from(model, make, data):
        if make in (prior, gated):
            return vqlib.sample(model, 32, condition=data[1] if make is gated else None)
        levels = model.encode(data)
        return np.concatenate([np.ravel(codes) for codes in (levels if make is two_levels else [levels])])


    def autoencoder():
        return vqlib.VQVAE((4, 4, 1), 8, 4, filters=(4,), data_variance=0.08)


    def moving_average(restart_below=0.0):
        quantizer = vqlib.EMAVectorQuantizer(8, 4, decay=0.8, restart_below=restart_below, seed=0)
        return vqlib.VQVAE((4, 4, 1), filters=(4,), data_variance=0.08, quantizer=quantizer)


    def stages(stage_dropout=0.0):
        stage = vqlib.EMAVectorQuantizer(8, 4, decay=0.8)
        quantizer = vqlib.ResidualQuantizer(stage, num_stages=2, stage_dropout=stage_dropout, seed=0)
        return vqlib.VQVAE((4, 4, 1), filters=(4,), data_variance=0.08, quantizer=quantizer)


    def two_levels():
        return vqlib.VQVAE2((4, 4, 1), 8, 4, filters=(4, 4), data_variance=0.08)


    def prior():
        return vqlib.PixelCNN((2, 3), 5, filters=4, num_residual_blocks=1, num_pixelcnn_layers=0)


    def gated():
        conditioned = {"condition_shape": (), "num_conditions": 3}
        return vqlib.GatedPixelCNN((2, 3), 5, filters=4, num_layers=2, **conditioned)


    def train(strategy, make, data, optimizer):
        validation = {"validation_data": first_half(data), "validation_batch_size": 8}
        validation = validation if optimizer == "sgd" else {}
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = make()
            step = 1.0 if make in (prior, gated) else 0.02
            model.compile(keras.optimizers.SGD(step) if optimizer == "sgd" else keras.optimizers.Adam(1e-2))
        start = model.get_weights()
        found = model.fit(data, batch_size=8, epochs=2, shuffle=False, verbose=0, **validation).history
        for i, (w, old) in enumerate(zip(model.get_weights(), start)):
            found[f"weight {i}"], found[f"start {i}"] = w, old
        if optimizer == "sgd":
            found["codes"] = codes_from(model, make, data)
        return found


    strategies = {"one": tf.distribute.get_strategy(), "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])}
    assert strategies["two"].num_replicas_in_sync == 2
    found = {}
    autoencoders = dict.fromkeys((autoencoder, moving_average, stages, two_levels), images)
    work = {**autoencoders, prior: codes, gated: (codes, labels)}
    for make, data in work.items():
        for optimizer in ("sgd", "adam") if make is autoencoder else ("sgd",):
            for devices, strategy in strategies.items():
                for name, value in train(strategy, make, data, optimizer).items():
                    found[f"{make.__name__}/{optimizer}/{devices}/{name}"] = value
    with strategies["two"].scope():
        restarted = moving_average(restart_below=0.5)
        restarted.compile(keras.optimizers.SGD(0.0))
    restarted.fit(images, batch_size=8, epochs=10, shuffle=False, verbose=0)
    found["restarted"] = [values.numpy() for values in restarted.quantizer.codebook.value.values]
    found["vectors"] = restarted.encoder(images)
    for stage_dropout in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        with strategies["two"].scope():
            cut = stages(stage_dropout)
            cut.compile(keras.optimizers.SGD(0.0))
        for name, value in cut.fit(images, batch_size=8, shuffle=False, verbose=0).history.items():
            found[f"cut/{stage_dropout}/{name}"] = value
    for devices, strategy in strategies.items():
        keras.utils.set_random_seed(0)
        with strategy.scope():
            layer = vqlib.EMAVectorQuantizer(8, 4, decay=0.5)
            found["outside/start"] = layer.get_weights()[0]
            layer(images.reshape(-1, 4), training=True)
        found[f"outside/{devices}"] = layer.get_weights()[0]
    np.savez("found.npz", **found)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the trainings of all models gave, by model, optimizer, devices and name."""
    folder = tmp_path_factory.mktemp("devices")
    subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT)], cwd=folder, check=True)
    with np.load(folder / "found.npz") as arrays:
        return dict(arrays)


CODEBOOK_METRICS = {"reconstruction_loss", "codebook_loss", "commitment_loss", "perplexity", "codes_used"}
PRIOR_METRICS = {"nats_per_code", "bits_per_image", "accuracy"}


@pytest.mark.parametrize(
    ("model", "optimizer", "metrics"),
    [
        ("autoencoder", "sgd", CODEBOOK_METRICS),
        ("autoencoder", "adam", CODEBOOK_METRICS),
        ("moving_average", "sgd", CODEBOOK_METRICS),
        ("stages", "sgd", {"reconstruction_loss", "commitment_loss", "stage_2_error", "stage_2_codes_used"}),
        ("two_levels", "sgd", {"reconstruction_loss", "top_codebook_loss", "top_codes_used", "bottom_perplexity"}),
        ("prior", "sgd", PRIOR_METRICS),
        ("gated", "sgd", PRIOR_METRICS),
    ],
)
def test_two_devices_train_as_one(found, model, optimizer, metrics):
    one, two = (
        {key.split("/")[-1]: value for key, value in found.items() if key.startswith(f"{model}/{optimizer}/{devices}/")}
        for devices in ("one", "two")
    )
    prefixes = ("", "val_") if optimizer == "sgd" else ("",)
    assert set(one) == set(two) >= {f"{prefix}{name}" for name in ("loss", *metrics) for prefix in prefixes}
    if optimizer == "sgd":
        np.testing.assert_array_equal(two.pop("codes"), one["codes"])
        assert len(np.unique(one["codes"])) > 2
    for name, value in two.items():
        np.testing.assert_allclose(value, one[name], rtol=1e-3, atol=1e-5, err_msg=name)
    moved = [
        np.abs(value - one[name.replace("weight", "start")]).max() for name, value in one.items() if "weight" in name
    ]
    assert min(moved) > 1e-4, "the test cannot tell"


def test_outside_of_a_replica_averages_move_as_on_one_device(found):
    np.testing.assert_allclose(found["outside/two"], found["outside/one"], rtol=1e-6)
    assert np.abs(found["outside/two"] - found["outside/start"]).max() > 1e-3


def test_entries_restart_on_the_same_vectors_on_all_devices(found):
    first, second = found["restarted"]
    np.testing.assert_array_equal(first, second)
    distance = np.linalg.norm(found["vectors"].reshape(-1, 1, 4) - first, axis=-1).min(axis=0)
    assert distance.max() < 0.2 * np.linalg.norm(found["vectors"], axis=-1).max()


def test_stages_are_left_out_on_all_devices_and_learn_as_if_they_were_not(found):
    for name in ("stage_1_error", "stage_2_error", "stage_2_perplexity", "commitment_loss"):
        np.testing.assert_allclose(found[f"cut/1.0/{name}"], found[f"cut/0.0/{name}"], rtol=1e-4, err_msg=name)
    assert abs(found["cut/1.0/reconstruction_loss"] / found["cut/0.0/reconstruction_loss"] - 1) > 1e-4

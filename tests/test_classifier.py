"""The classifier that judges samples."""

import keras
import numpy as np
import pytest
from keras import ops

import vqlib
from vqlib import Classifier, _batches, checkpoints
from vqlib.evaluation import frechet_distance


@pytest.fixture
def tiny_classifier(images):
    """A small classifier for 8 x 8 images, seeded, with biases that are not zero, which tells images apart."""
    keras.utils.set_random_seed(0)
    model = Classifier((8, 8, 1), 5, (4, 6))
    generator = np.random.default_rng(0)
    model.set_weights([w if w.ndim > 1 else generator.normal(size=w.shape) for w in model.get_weights()])
    model.logits.bias.assign(model.logits.bias - np.mean(model(images), axis=0))
    return model


@pytest.fixture
def labels(rng):
    return rng.integers(5, size=20).astype("int32")


def test_default_classifier_is_small_enough_to_ship():
    assert Classifier().count_params() == 89_546


def test_classifier_learns_digits(digits):
    keras.utils.set_random_seed(0)
    model = Classifier(filters=(8, 16, 32))
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(digits.x_train, digits.y_train, batch_size=64, epochs=4, verbose=0)
    accuracy = np.mean(model.classify(digits.x_test) == digits.y_test)
    assert accuracy > 0.9
    scores = model.evaluate(digits.x_test, digits.y_test, verbose=0, return_dict=True)
    assert scores["accuracy"] == pytest.approx(accuracy)
    own = frechet_distance(model.features(digits.x_test), model.features(digits.x_val))
    flipped = frechet_distance(model.features(digits.x_test[:, ::-1]), model.features(digits.x_val))
    assert flipped > 3 * own


def test_loss_of_the_classifier_is_the_cross_entropy(tiny_classifier, images, labels):
    tiny_classifier.compile("adam")
    loss = tiny_classifier.evaluate(images, labels, verbose=0, return_dict=True)["loss"]
    logits = np.asarray(tiny_classifier(images), "float64")
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(20), labels]
    assert loss == pytest.approx(nats.mean(), rel=1e-4)


def test_features_and_classes_are_those_of_the_logits_in_every_batch(tiny_classifier, images, monkeypatch):
    monkeypatch.setattr(_batches, "ROWS_PER_BATCH", 7)
    features, classes = tiny_classifier.features(images), tiny_classifier.classify(images)
    assert (features.shape, features.dtype) == ((20, 6), np.float32)
    assert (classes.shape, classes.dtype) == ((20,), np.int32)
    kernel, bias = tiny_classifier.logits.get_weights()
    logits = features @ kernel + bias
    np.testing.assert_allclose(tiny_classifier(images), logits, atol=1e-5)
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))
    assert len(set(classes)) > 1
    assert tiny_classifier.features(images[:0]).shape == (0, 6)
    assert tiny_classifier.classify(images[:0]).shape == (0,)


def test_memory_of_features_and_classes_is_bounded_in_bytes(monkeypatch):
    rows = []
    monkeypatch.setattr(_batches, "BYTES_PER_BATCH", 2**20)
    model = Classifier((32, 32, 3), 5, (4, 6))
    for name in ("_features_of_batch", "_classes_of_batch"):
        monkeypatch.setattr(
            Classifier, name, lambda self, images: (rows.append(images.shape) or ops.sum(images, (1, 2)),)
        )
    # What the layers of one image make: 32 x 32 x 4, 16 x 16 x 4, 16 x 16 x 6, 8 x 8 x 6 twice, 6 floats.
    of_one = 4 * (32 * 32 * 4 + 16 * 16 * 4 + 16 * 16 * 6 + 2 * 8 * 8 * 6 + 6)
    monkeypatch.setattr(_batches.backend, "compiled", lambda model, name, method, *_: method)
    images = np.zeros((80, 32, 32, 3), "float32")
    model._in_batches(model._features_of_batch, images, None)
    assert 2**20 // of_one == 35
    assert [shape[0] for shape in rows] == [35, 35, 10]
    rows.clear()
    model._in_batches(model._classes_of_batch, images, 50)
    assert [shape[0] for shape in rows] == [50, 30]


def test_no_feature_of_a_classifier_dies(tiny_classifier, images):
    dense = tiny_classifier.body.get_layer("features")
    dense.bias.assign(dense.bias - 100)  # a ReLU would give zeros
    assert np.all(np.std(tiny_classifier.features(images), axis=0) > 0)


@pytest.mark.usefixtures("mixed_bfloat16")
def test_features_are_float32_under_mixed_precision(images):
    model = Classifier((8, 8, 1), 5, (4, 6))
    assert model.body.get_layer("conv_0").compute_dtype == "bfloat16"
    features = model.features(images)
    assert features.dtype == np.float32
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(features, "bfloat16"), "float32"))
    assert (features != rounded).any()  # computed so, not only stored so
    assert keras.backend.standardize_dtype(model(images).dtype) == "float32"


def test_classifier_survives_saving(tiny_classifier, images, tmp_path):
    tiny_classifier.save(tmp_path / "classifier.keras")
    twin = keras.saving.load_model(tmp_path / "classifier.keras")
    assert (type(twin), twin.image_shape, twin.num_classes, twin.filters) == (Classifier, (8, 8, 1), 5, (4, 6))
    np.testing.assert_array_equal(twin(images), tiny_classifier(images))


def test_classifier_ships_with_a_card(tiny_classifier, images, digits, tmp_path):
    facts = {"seed": 0, "epochs": 1, "minutes": 0.1, "metrics": {"accuracy": 0.5}}
    checkpoints.save(tiny_classifier, "small-classifier", data=digits, folder=tmp_path, **facts)
    twin = vqlib.load_pretrained("small-classifier", tmp_path)
    assert type(twin) is Classifier
    np.testing.assert_array_equal(twin.features(images), tiny_classifier.features(images))


def test_training_of_a_classifier_that_xla_compiles_is_the_same(tiny_classifier, images, labels):
    start, ends = tiny_classifier.get_weights(), []
    for jit_compile in (True, False):
        tiny_classifier.set_weights(start)
        tiny_classifier.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
        tiny_classifier.fit(images, labels, batch_size=10, shuffle=False, verbose=0)
        ends.append(tiny_classifier.get_weights())
    for one, other, before in zip(*ends, start, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert not np.array_equal(one, before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.arange(19), r"labels must be 20 integers, one an image, but are int64 of shape \(19,\)"),
        (np.zeros(20, "float32"), r"labels must be 20 integers, one an image, but are float32 of shape \(20,\)"),
        (np.eye(20), r"labels .* shape \(20, 20\)\. For one-hot labels: np.argmax\(labels, axis=-1\)"),
        (None, r"labels are missing\. Give 20 integers, one an image"),
        (np.arange(20) % 6, r"labels must lie in 0..4, but lie in 0..5"),
        (np.arange(20) % 5 - 1, r"labels must lie in 0..4, but lie in -1..3"),
    ],
    ids=["too few", "floats", "one-hot", "none", "too high", "negative"],
)
def test_wrong_labels_are_refused(tiny_classifier, images, labels, wrong, message):
    tiny_classifier.compile("adam")
    with pytest.raises(ValueError, match=message):
        tiny_classifier.fit(images, wrong)
    with pytest.raises(ValueError, match=message):
        tiny_classifier.fit(images, labels, validation_data=(images, wrong))
    with pytest.raises(ValueError, match=message):
        tiny_classifier.evaluate(images, wrong)


@pytest.mark.parametrize(
    "form", [np.asarray, ops.convert_to_tensor, lambda y: y.tolist()], ids=["array", "tensor", "list"]
)
def test_column_of_labels_is_taken_for_labels(tiny_classifier, images, labels, form):
    tiny_classifier.compile(keras.optimizers.SGD(0.1))
    expected = tiny_classifier.evaluate(images, labels, verbose=0)
    assert tiny_classifier.evaluate(images, form(labels[:, None]), verbose=0) == expected
    tiny_classifier.fit(images, form(labels[:, None]), validation_data=(images, form(labels[:, None])), verbose=0)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.4, but lie in 1\.\.5"):
        tiny_classifier.fit(images, form(labels[:, None] % 5 + 1))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a dataset of TensorFlow")
def test_column_of_labels_in_a_dataset_is_taken_for_labels(tiny_classifier, images, labels):
    import tensorflow as tf

    tiny_classifier.compile(keras.optimizers.SGD(0.1))
    expected = tiny_classifier.evaluate(images, labels, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((images, labels[:, None])).batch(20)
    np.testing.assert_allclose(tiny_classifier.evaluate(batches, verbose=0), expected, rtol=1e-6)


def test_images_on_another_scale_are_refused(tiny_classifier, images, labels):
    tiny_classifier.compile("adam")
    for use in (tiny_classifier.features, tiny_classifier.classify, lambda x: tiny_classifier.fit(x, labels)):
        with pytest.raises(
            ValueError, match=r"images.* must lie in \[-0.5, 0.5\].*clip it, np.clip\(images, -0.5, 0.5\)"
        ):
            use(3 * images)


@pytest.mark.parametrize("arguments", [{"image_shape": (8, 8)}, {"num_classes": 0}, {"filters": (4, 0)}], ids=str)
def test_classifier_refuses_sizes_that_make_no_sense(arguments):
    with pytest.raises(ValueError, match=r"image_shape must be|must be an integer of at least 1, but 0 was given"):
        Classifier(**arguments)


@pytest.mark.parametrize("filters", [(), 64], ids=str)
def test_classifier_refuses_filters_that_are_no_list_of_widths(filters):
    with pytest.raises(
        ValueError, match=r"filters must be the channels of each convolution, at least one.*, but .* given"
    ):
        Classifier(filters=filters)

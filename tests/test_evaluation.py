"""Judging samples: the classifier, Frechet distances, nearest images, picture codecs."""

import keras
import numpy as np
import PIL.features
import pytest
from keras import ops

import vqlib
from vqlib import Classifier, checkpoints, evaluation
from vqlib.evaluation import codec_rate, frechet_distance, frechet_floor, nearest_images


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


# The classifier


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
    monkeypatch.setattr(evaluation, "IMAGES_PER_BATCH", 7)
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
        (None, r"labels must be 20 integers, one an image, but are object"),
        (np.arange(20) % 6, r"labels must lie in 0..4, but lie in 0..5"),
        (np.arange(20) % 5 - 1, r"labels must lie in 0..4, but lie in -1..3"),
    ],
    ids=["too few", "floats", "none", "too high", "negative"],
)
def test_wrong_labels_are_refused(tiny_classifier, images, labels, wrong, message):
    tiny_classifier.compile("adam")
    with pytest.raises(ValueError, match=message):
        tiny_classifier.fit(images, wrong)
    with pytest.raises(ValueError, match=message):
        tiny_classifier.fit(images, labels, validation_data=(images, wrong))
    with pytest.raises(ValueError, match=message):
        tiny_classifier.evaluate(images, wrong)


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


# Frechet distances


def moments_exactly(rows, mean, root):
    """Return rows moved and scaled so that they have exactly this mean, and root @ root.T as their covariance."""
    rows = rows - rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return rows @ root.T + mean


def test_frechet_distance_of_known_gaussians(rng):
    one, other = rng.normal(size=(50, 4)), rng.normal(size=(70, 4))
    zero, identity, shift = np.zeros(4), np.eye(4), np.array([1.0, -2, 0, 3])
    start = moments_exactly(one, zero, identity)
    assert frechet_distance(start, start) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(start, moments_exactly(other, zero, identity)) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(start, moments_exactly(other, shift, identity)) == pytest.approx(14)
    assert frechet_distance(start, moments_exactly(other, shift, 3 * identity)) == pytest.approx(14 + 4 * (3 - 1) ** 2)
    scales = np.array([1.0, 2, 5, 0.5])
    assert frechet_distance(start, moments_exactly(other, zero, np.diag(scales))) == pytest.approx(17.25)


def test_frechet_distance_of_covariances_that_do_not_commute(rng):
    one, other = rng.normal(size=(30, 2)), rng.normal(size=(40, 2))
    first, second = np.array([[2.0, 0], [0, 1]]), np.array([[1.0, 0], [3, 1]])
    product = first @ first.T @ second @ second.T  # 2 x 2: Tr(P^(1/2))^2 = Tr(P) + 2 det(P)^(1/2)
    root_trace = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(first @ first.T) + np.trace(second @ second.T) - 2 * root_trace
    found = frechet_distance(moments_exactly(one, np.ones(2), first), moments_exactly(other, np.ones(2), second))
    assert found == pytest.approx(expected)


def test_frechet_distance_in_one_dimension():
    assert frechet_distance([[0.0], [2]], [[10.0], [14]]) == pytest.approx(11**2 + (np.sqrt(8) - np.sqrt(2)) ** 2)


def test_frechet_distance_bears_features_that_are_constant_or_far_from_zero(rng):
    rows = rng.normal(size=(200, 5)).astype("float32")
    rows[:, 1] = 0
    rows[:, 2] = rows[:, 3]
    assert frechet_distance(rows, rows[::-1]) == pytest.approx(0, abs=1e-10)
    rows += np.float32(1000)
    assert frechet_distance(rows, rows[::-1]) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(rows, rows + np.float32(1)) == pytest.approx(5, rel=1e-3)


def test_frechet_distance_is_never_below_zero(rng):
    assert min(frechet_distance(rows, rows) for rows in rng.normal(size=(50, 20, 5))) >= 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((9, 2, 2)), r"must have shape \(images, features\), but has shape \(9, 2, 2\)"),
        (np.zeros((4, 4)), "has 4 rows; a covariance of full rank needs 5"),
        (np.full((9, 4), np.nan), "holds NaN or infinity"),
        (np.zeros((9, 3)), "must have as many features, but have"),
    ],
    ids=["rank", "too few", "nan", "other features"],
)
def test_frechet_distance_refuses_what_it_cannot_judge(rng, wrong, message):
    right = rng.normal(size=(9, 4))
    for pair in ((right, wrong), (wrong, right)):
        with pytest.raises(ValueError, match=message):
            frechet_distance(*pair)


def test_frechet_floor_falls_as_one_over_n(rng):
    floor = frechet_floor(rng.normal(size=(4000, 8)), (100, 400, 1600), repeats=12)
    assert (floor.shape, floor.dtype) == ((3, 12), np.float64)
    means = floor.mean(axis=1)
    np.testing.assert_allclose(means[:-1] / means[1:], 4, rtol=0.3)
    assert np.all(floor.std(axis=1) > 0)


def test_frechet_floor_compares_disjoint_rows_and_repeats_itself(monkeypatch):
    rows, pairs = np.arange(20.0)[:, None], []
    monkeypatch.setattr(evaluation, "frechet_distance", lambda *pair: pairs.append(pair) or 0.0)
    frechet_floor(rows, (4, 10), repeats=3, seed=1)
    first = list(pairs)
    assert [len(one) for one, _ in first] == [4] * 3 + [10] * 3
    assert all(len({*one.ravel(), *other.ravel()}) == 2 * len(one) == 2 * len(other) for one, other in first)
    assert not np.array_equal(first[0][0], first[1][0])
    pairs.clear()
    frechet_floor(rows, (4, 10), repeats=3, seed=1)
    np.testing.assert_array_equal(first[0], pairs[0])
    pairs.clear()
    frechet_floor(rows, (4,), repeats=1, seed=2)
    assert not np.array_equal(first[0], pairs[0])


def test_frechet_floor_refuses_more_rows_than_there_are(rng):
    with pytest.raises(ValueError, match="Two disjoint sets of 11 need 22 rows, but features has 21"):
        frechet_floor(rng.normal(size=(21, 2)), (5, 11))


# Nearest images


def test_nearest_images_are_numpys(rng, images):
    training = rng.uniform(-0.5, 0.5, size=(300, 8, 8, 1)).astype("float32")
    indices, squared = nearest_images(images, training, k=3)
    assert indices.shape == squared.shape == (20, 3)
    distances = np.sum((images[:, None].astype("float64") - training) ** 2, axis=(2, 3, 4))  # (20, 300)
    np.testing.assert_array_equal(indices, np.argsort(distances, axis=1)[:, :3])
    np.testing.assert_allclose(squared, np.sort(distances, axis=1)[:, :3], rtol=1e-12)


def test_memorised_image_is_found_at_distance_zero(images):
    indices, squared = nearest_images(images[[7, 3]], images)
    np.testing.assert_array_equal(indices, [[7], [3]])
    np.testing.assert_array_equal(squared, 0)


def test_nearest_images_refuse_images_of_another_shape(images):
    with pytest.raises(ValueError, match="training_images must be 8 x 8"):
        nearest_images(images, images[:, :7])
    with pytest.raises(ValueError, match="k must be an integer of at least 1, but 0 was given"):
        nearest_images(images, images, k=0)


# Picture codecs

webp = pytest.mark.skipif(not PIL.features.check("webp"), reason="this Pillow was built without WebP")
CODECS = ["PNG", "JPEG", pytest.param("WebP", marks=webp)]
LOSSY = CODECS[1:]
LOSSLESS = [CODECS[0], CODECS[2]]


@pytest.fixture
def colours(digits):
    """10 images in colour, of 8 bits: each channel another digit."""
    return np.concatenate([digits.x_test[i : i + 10] for i in range(3)], axis=-1)


@pytest.mark.parametrize("sheet", [False, True])
@pytest.mark.parametrize("codec", LOSSLESS)
def test_codec_without_quality_loses_nothing_of_8_bits(rng, codec, sheet):
    for channels in (1, 3):
        eight_bits = vqlib.data.to_images(rng.integers(256, size=(7, 5, 6, channels)).astype("uint8"))
        bits, mse = codec_rate(eight_bits, codec, sheet=sheet)
        assert mse == 0
        assert bits > 8 * 5 * 6 * channels  # noise cannot be packed


def test_png_pays_for_the_rounding_of_images_that_are_not_8_bits(images):
    assert codec_rate(images, "PNG")[1] == pytest.approx(1 / 255**2 / 12, rel=0.1)


@pytest.mark.parametrize("sheet", [False, True])
@pytest.mark.parametrize("codec", LOSSY)
def test_more_quality_costs_more_bits_and_loses_less(digits, codec, sheet):
    points = [codec_rate(digits.x_test[:30], codec, quality, sheet) for quality in (10, 40, 70, 95)]
    bits, mse = zip(*points, strict=True)
    assert list(bits) == sorted(set(bits))
    assert list(mse) == sorted(set(mse), reverse=True)
    assert 0 < mse[-1] < 0.001 < 4 * bits[0] < 4 * 8 * 784


@pytest.mark.parametrize("codec", CODECS)
def test_sheet_shares_the_header_and_shows_the_same_images(digits, colours, codec):
    quality = None if codec == "PNG" else 60
    for images in (digits.x_test[:30], colours):  # 30 leave the last row of the sheet unfilled
        (each, mse), (shared, sheet_mse) = (codec_rate(images, codec, quality, sheet) for sheet in (False, True))
        assert shared < 0.9 * each
        assert sheet_mse == pytest.approx(mse, rel=0.3)


def test_bits_are_those_of_the_files(digits, tmp_path):
    from PIL import Image

    for i, image in enumerate(digits.x_test[:3]):
        Image.fromarray(np.round((image[..., 0] + 0.5) * 255).astype("uint8")).save(
            tmp_path / f"{i}.png", optimize=True
        )
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert codec_rate(digits.x_test[:3], "PNG")[0] == pytest.approx(8 * size / 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("GIF",), "no codec 'GIF' without a quality. Known without one: PNG, WebP"),
        (("JPEG",), "no codec 'JPEG' without a quality"),
        (("PNG", 50), "no codec 'PNG' with a quality. Known with one: JPEG, WebP"),
        (("JPEG", 101), r"quality must lie in 0..100, but 101 was given"),
        (("JPEG", -1), r"quality must lie in 0..100, but -1 was given"),
    ],
    ids=str,
)
def test_codec_rate_refuses_what_pillow_cannot_write(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        codec_rate(images, *arguments)


def test_codec_rate_refuses_images_that_are_no_pictures(images):
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, grey or colour"):
        codec_rate(np.repeat(images, 2, axis=-1), "PNG")
    with pytest.raises(ValueError, match=r"images must lie in \[-0.5, 0.5\]"):
        codec_rate(images + 1, "PNG")


def test_missing_webp_is_said_to_be_missing(images, monkeypatch):
    monkeypatch.setattr(PIL.features, "check", lambda feature: feature != "webp")
    assert codec_rate(images, "PNG")[0] > 0
    with pytest.raises(RuntimeError, match="This Pillow was built without WebP"):
        codec_rate(images, "WebP")

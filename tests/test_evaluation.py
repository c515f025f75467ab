"""Judging samples: Frechet distances, nearest images, picture codecs."""

import keras
import numpy as np
import PIL.features
import pytest

import vqlib
from vqlib import evaluation
from vqlib.evaluation import codec_rate, frechet_distance, frechet_floor, nearest_images

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
    distances = [frechet_distance(rows, rows) for rows in 10 * rng.normal(size=(50, 20, 5))]
    assert distances.count(0) > 10  # where rounding had left them below
    assert min(distances) == 0


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


def test_features_may_be_tensors(rng):
    rows, others = rng.normal(size=(2, 20, 3)).astype("float32")
    tensors = [keras.ops.convert_to_tensor(each) for each in (rows, others)]
    assert frechet_distance(*tensors) == frechet_distance(rows, others)
    np.testing.assert_array_equal(frechet_floor(tensors[0], [5]), frechet_floor(rows, [5]))


def test_frechet_floor_refuses_a_size_that_is_no_number_of_rows(rng):
    with pytest.raises(ValueError, match="Each entry of sizes must be an integer of at least 1, but 0"):
        frechet_floor(rng.normal(size=(21, 2)), (5, 0))


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
    with pytest.raises(ValueError, match="k must be at most the number of training images, 20, but 21 was given"):
        nearest_images(images, images, k=21)


def test_images_may_be_tensors_or_a_rounding_beyond(images):
    tensor = keras.ops.convert_to_tensor(images)
    np.testing.assert_array_equal(nearest_images(tensor[:3], tensor)[0], [[0], [1], [2]])
    assert codec_rate(tensor, "PNG") == codec_rate(images, "PNG")
    white = np.full((1, 8, 8, 1), 0.5, "float32")
    assert codec_rate(white + np.float32(9e-4), "PNG")[1] == pytest.approx(8.1e-7, rel=1e-2)
    assert codec_rate(-white - np.float32(9e-4), "PNG")[1] == pytest.approx(8.1e-7, rel=1e-2)


def test_quality_may_be_an_integer_of_numpy(images):
    assert codec_rate(images, "JPEG", np.int64(50)) == codec_rate(images, "JPEG", 50)


def test_no_images_are_near_to_nothing(images):
    for k in (1, 3):
        indices, distances = nearest_images(images[:0], images, k)
        assert (indices.shape, indices.dtype) == ((0, k), np.int64)
        assert (distances.shape, distances.dtype) == ((0, k), np.float64)


def test_no_images_have_no_rate(images):
    with pytest.raises(ValueError, match="There are no images to measure"):
        codec_rate(images[:0], "PNG")


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
        (("JPEG", 101), r"quality must be an integer in 0..100, but 101 was given"),
        (("JPEG", -1), r"quality must be an integer in 0..100, but -1 was given"),
        (("JPEG", 50.5), r"quality must be an integer in 0..100, but 50.5 was given"),
        (("JPEG", True), r"quality must be an integer in 0..100, but True was given"),
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

"""Judging samples: distances between features, precision and recall, nearest images and grids, picture codecs."""

import keras
import numpy as np
import PIL.features
import pytest

import vqlib
from vqlib.evaluation import (
    _codecs,
    _distances,
    codec_rate,
    codec_rate_at,
    frechet_distance,
    frechet_excess,
    frechet_floor,
    frechet_limit,
    kernel_distance,
    nearest_grids,
    nearest_images,
    precision_and_recall,
)

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
    monkeypatch.setattr(_distances, "frechet_distance", lambda *pair: pairs.append(pair) or 0.0)
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


# Frechet distances above the floor, and extrapolated


def test_frechet_excess_is_a_difference_of_distances_to_one_set(rng):
    rows, real = rng.normal(size=(50, 3)) + 1, rng.normal(size=(40, 3))
    found = frechet_excess(rows, real, 20, repeats=2, seed=5)
    assert (found.shape, found.dtype) == ((2,), np.float64)
    generator = np.random.default_rng(5)
    for value in found:
        some, drawn = generator.permutation(rows)[:20], generator.permutation(real)
        one, other = drawn[:20], drawn[20:]
        assert value == pytest.approx(frechet_distance(some, one) - frechet_distance(other, one))


def test_frechet_excess_hardly_depends_on_the_number_of_images_and_the_distance_does(rng):
    rows, real = rng.normal(size=(6000, 8)) + 0.1, rng.normal(size=(12000, 8))  # true distance: 8 * 0.01
    few, many = (frechet_excess(rows, real, size, repeats=20) for size in (150, 3000))
    assert many.mean() == pytest.approx(0.08, abs=0.01)
    assert few.mean() == pytest.approx(0.08, abs=3 * few.std() / np.sqrt(20))
    assert frechet_distance(rows[:150], real[:150]) > 0.3


def test_real_images_have_an_excess_of_zero_to_both_sides(rng):
    excess = frechet_excess(rng.normal(size=(900, 4)), rng.normal(size=(1800, 4)), 300, repeats=40)
    assert abs(excess.mean()) < 3 * excess.std() / np.sqrt(40)
    assert excess.min() < 0 < excess.max()


def test_frechet_limit_is_the_intercept_of_a_line_over_one_over_n(monkeypatch, rng):
    """Where distances lie on 3 + 50 / N, the limit is 3; off the line, that of the least squares."""
    monkeypatch.setattr(_distances, "frechet_distance", lambda one, other: 3 + 50 / len(one) + 0 * len(other))
    rows = rng.normal(size=(100, 2))
    np.testing.assert_allclose(frechet_limit(rows, rows, (10, 20, 50), repeats=3), [3, 3, 3])
    monkeypatch.setattr(_distances, "frechet_distance", lambda one, other: {10: 1.0, 20: 2.0, 50: 6.0}[len(one)])
    x, y = 1 / np.array([10, 20, 50]), np.array([1.0, 2, 6])
    slope = np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2)
    np.testing.assert_allclose(frechet_limit(rows, rows, (10, 20, 50), repeats=1), [y.mean() - slope * x.mean()])


def test_frechet_limit_draws_sets_of_each_size_anew(monkeypatch):
    rows, real, pairs = np.arange(20.0)[:, None], np.arange(100.0, 130)[:, None], []
    monkeypatch.setattr(_distances, "frechet_distance", lambda *pair: pairs.append(pair) or 0.0)
    frechet_limit(rows, real, (4, 20), repeats=2, seed=1)
    assert [(len(some), len(others)) for some, others in pairs] == [(4, 4), (20, 20)] * 2
    assert all(len(set(some.ravel())) == len(some) and some.max() < 20 for some, _ in pairs)
    assert all(len(set(others.ravel())) == len(others) and others.min() >= 100 for _, others in pairs)
    assert not np.array_equal(pairs[0][0], pairs[2][0])
    first = list(pairs)
    pairs.clear()
    frechet_limit(rows, real, (4, 20), repeats=2, seed=1)
    np.testing.assert_array_equal(first[3][1], pairs[3][1])


def test_frechet_limit_finds_the_distance_of_infinitely_many_images(rng):
    rows, real = rng.normal(size=(4000, 6)) + 0.2, rng.normal(size=(4000, 6))  # true distance: 6 * 0.04
    limits = frechet_limit(rows, real, (200, 400, 800, 1600), repeats=20)
    assert limits.mean() == pytest.approx(0.24, abs=0.02)
    assert frechet_distance(rows[:200], real[:200]) > 0.3


def test_draws_refuse_more_rows_than_there_are(rng):
    rows, real = rng.normal(size=(30, 2)), rng.normal(size=(50, 2))
    with pytest.raises(ValueError, match="A set of 31 needs 31 rows, but features has 30"):
        frechet_excess(rows, real, 31)
    with pytest.raises(ValueError, match="Two disjoint sets of 26 need 52 rows, but real_features has 50"):
        frechet_excess(rows, real, 26)
    with pytest.raises(ValueError, match=r"size must be an integer of at least 1, but 2\.5 was given"):
        frechet_excess(rows, real, 2.5)
    with pytest.raises(ValueError, match="A set of 31 needs 31 rows, but features has 30"):
        frechet_limit(rows, real, (10, 31))
    with pytest.raises(ValueError, match="A set of 31 needs 31 rows, but real_features has 30"):
        frechet_limit(real, rows, (10, 31))
    with pytest.raises(ValueError, match=r"A line needs two different sizes, but sizes are \[10, 10\]"):
        frechet_limit(rows, real, (10, 10))
    for measure in (
        lambda repeats: frechet_excess(rows, real, 9, repeats),
        lambda n: frechet_limit(rows, real, (8, 9), n),
    ):
        with pytest.raises(ValueError, match="repeats must be an integer of at least 1, but 0 was given"):
            measure(0)


# Kernel distances


def kernel_distance_in_loops(some, others):
    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(rows):
        return np.mean([k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j])

    return within(some) + within(others) - 2 * np.mean([k(x, y) for x in some for y in others])


def test_kernel_distance_by_hand():
    """One feature: within 27 and 8, between 1, 1, 27, 8... of the points {0, 1} and {1, 2}."""
    assert kernel_distance([[0.0], [1]], [[1.0], [2]]) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_kernel_distance_is_the_mean_over_pairs(rng, monkeypatch):
    some, others = rng.normal(size=(9, 4)), rng.normal(size=(7, 4)) + 0.5
    expected = kernel_distance_in_loops(some, others)
    assert kernel_distance(some, others) == pytest.approx(expected)
    assert kernel_distance(others, some) == pytest.approx(expected)
    monkeypatch.setattr(_distances, "VALUES_AT_ONCE", 20)  # parts of two rows, and of a single one
    assert kernel_distance(some, others) == pytest.approx(expected)


def test_kernel_distance_has_no_bias(rng):
    """Its mean is 0 for one distribution, and the same for few images as for many."""
    few = [kernel_distance(*rng.normal(size=(2, 20, 3))) for _ in range(300)]
    assert abs(np.mean(few)) < 3 * np.std(few) / np.sqrt(300)
    assert min(few) < 0
    few = [kernel_distance(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 0.5) for _ in range(300)]
    many = kernel_distance(rng.normal(size=(3000, 3)), rng.normal(size=(3000, 3)) + 0.5)
    assert np.mean(few) == pytest.approx(many, abs=3 * np.std(few) / np.sqrt(300))


def test_kernel_distance_sees_a_third_moment_that_the_frechet_distance_does_not(rng):
    skewed = np.repeat([[-1.0], [2]], [2000, 1000], axis=0)
    even = np.repeat([[-np.sqrt(2)], [np.sqrt(2)]], 1500, axis=0)
    assert frechet_distance(skewed, even) == pytest.approx(0, abs=1e-6)
    assert kernel_distance(skewed, even) > 1


# Precision and recall


def test_precision_and_recall_by_hand():
    """With k = 1, the balls of real images 0, 1, 4 reach 1, 1 and 3; those of samples 1.5, 8, 9 reach 6.5, 1 and 1."""
    found = precision_and_recall([[1.5], [8.0], [9.0]], [[0.0], [1.0], [4.0]], k=1)
    assert found == pytest.approx((1 / 3, 1))
    found = precision_and_recall([[7.0], [8.0], [30.0]], [[0.0], [1.0], [4.0]], k=1)  # 4 to 7: on the edge of the ball
    assert found == pytest.approx((1 / 3, 0))
    found = precision_and_recall([[7.0], [8.0], [30.0]], [[0.0], [1.0], [4.0]], k=2)  # reach 4, 3, 4 and 23, 22, 23
    assert found == pytest.approx((2 / 3, 1))


def test_a_parrot_has_no_recall_and_noise_no_precision(rng):
    real = rng.normal(size=(400, 2))
    parrot = np.repeat(real[:4], 100, axis=0)
    assert precision_and_recall(parrot, real) == pytest.approx((1, 4 / 400))
    noise = precision_and_recall(rng.uniform(-40, 40, size=(400, 2)), real)
    assert noise.precision < 0.05
    assert noise.recall > 0.95
    fresh = precision_and_recall(rng.normal(size=(400, 2)), real)
    assert min(fresh) > 0.9


def test_precision_and_recall_do_not_depend_on_the_parts(rng, monkeypatch):
    rows, real = rng.normal(size=(60, 3)), rng.normal(size=(50, 3)) + 1
    whole = precision_and_recall(rows, real)
    monkeypatch.setattr(_distances, "VALUES_AT_ONCE", 130)
    assert precision_and_recall(rows, real) == whole
    assert 0 < whole.precision < 1 > whole.recall > 0


def test_precision_and_recall_need_more_images_than_neighbours(rng):
    rows = rng.normal(size=(9, 2))
    with pytest.raises(ValueError, match="features has 3 rows; k=3 needs 4 or more"):
        precision_and_recall(rows[:3], rows)
    with pytest.raises(ValueError, match="real_features has 3 rows; k=3 needs 4 or more"):
        precision_and_recall(rows, rows[:3])
    with pytest.raises(ValueError, match="k must be an integer of at least 1, but 0 was given"):
        precision_and_recall(rows, rows, k=0)


@pytest.mark.parametrize("measure", [kernel_distance, precision_and_recall, lambda x, y: frechet_excess(x, y, 4)])
def test_measures_refuse_what_are_no_features(rng, measure):
    right = rng.normal(size=(9, 3))
    for wrong, message in (
        (np.zeros((9, 2, 2)), r"must have shape \(images, features\), but has shape \(9, 2, 2\)"),
        (np.full((9, 3), np.inf), "holds NaN or infinity"),
        (np.zeros((9, 2)), "must have as many features, but have"),
        (np.zeros((1, 3)), "has 1 rows; at least 2 are needed"),
    ):
        for pair in ((right, wrong), (wrong, right)):
            with pytest.raises(ValueError, match=message):
                measure(*pair)


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


# Nearest grids


def test_nearest_grids_by_hand():
    training = np.array([[[0, 1], [2, 3]], [[0, 1], [9, 9]], [[5, 5], [5, 5]], [[0, 1], [2, 300]]])
    indices, distances = nearest_grids(np.array([[[0, 1], [2, 44]], [[5, 5], [5, 5]]]), training, k=4)
    np.testing.assert_array_equal(indices, [[0, 3, 1, 2], [2, 0, 1, 3]])  # equally near: in their order
    np.testing.assert_array_equal(distances, [[1, 1, 2, 4], [0, 4, 4, 4]])  # 300 is not 44, as it is in one byte
    assert indices.dtype == distances.dtype == np.int64


def test_nearest_grids_are_numpys(rng):
    codes, training = rng.integers(0, 4, size=(5, 20, 20)), rng.integers(0, 4, size=(30, 20, 20))
    expected = np.sum(codes[:, None] != training, axis=(2, 3))  # beyond 255, which a byte would not hold
    indices, distances = nearest_grids(codes, keras.ops.convert_to_tensor(training), k=30)
    np.testing.assert_array_equal(distances, np.sort(expected, axis=1))
    np.testing.assert_array_equal(np.take_along_axis(expected, indices, axis=1), distances)
    codes, training = rng.integers(0, 2, size=(5, 2, 2)), rng.integers(0, 2, size=(300, 2, 2))
    expected = np.sum(codes[:, None] != training, axis=(2, 3))  # with many that are equally near
    indices, _ = nearest_grids(codes, training, k=200)
    np.testing.assert_array_equal(indices, np.argsort(expected, axis=1, kind="stable")[:, :200])


def test_no_grids_are_near_to_nothing():
    indices, distances = nearest_grids(np.zeros((0, 2, 2), "int32"), np.zeros((3, 2, 2), "int32"), k=2)
    assert indices.shape == distances.shape == (0, 2)


def test_nearest_grids_refuse_what_cannot_be_compared():
    grids = np.zeros((3, 2, 2), "int32")
    with pytest.raises(ValueError, match=r"training_codes must have shape \(batch, 2, 2\), but have shape \(3, 2, 3\)"):
        nearest_grids(grids, np.zeros((3, 2, 3), "int32"))
    with pytest.raises(
        ValueError, match=r"codes must be grids, .*, but have shape \(2, 2\). For one grid: codes\[None\]"
    ):
        nearest_grids(grids[0], grids)
    with pytest.raises(TypeError, match="training_codes must be integers"):
        nearest_grids(grids, grids.astype("float32"))
    with pytest.raises(ValueError, match="k must be at most the number of training grids, 3, but 4 was given"):
        nearest_grids(grids, grids, k=4)


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


# Picture codecs at a given error


def test_rate_at_an_error_lies_between_those_of_neighbouring_qualities(digits):
    images = digits.x_test[:30]
    (bits, mse), (more_bits, less) = (codec_rate(images, "JPEG", quality, sheet=True) for quality in (40, 41))
    assert less < mse
    middle = codec_rate_at(images, "JPEG", np.sqrt(mse * less), sheet=True)
    assert middle == pytest.approx(np.sqrt(bits * more_bits))
    assert codec_rate_at(images, "JPEG", less, sheet=True) == pytest.approx(more_bits)
    assert codec_rate_at(images, "JPEG", np.float32(mse * 0.9999), sheet=True) == pytest.approx(bits, rel=1e-3)


@pytest.mark.parametrize("codec", LOSSY)
def test_a_smaller_error_costs_more_bits(digits, codec):
    """Also of a format whose error does not fall at every step of quality, as WebP's."""
    images = digits.x_test[:30]
    (few, worse), (many, better) = (codec_rate(images, codec, quality, sheet=True) for quality in (20, 60))
    bits = [codec_rate_at(images, codec, mse, sheet=True) for mse in np.geomspace(worse, better, 5)[1:-1]]
    assert few < bits[0] < bits[1] < bits[2] < many


def test_rate_at_an_error_is_that_of_the_curve_in_logarithms(monkeypatch, images):
    """Of a format whose bits are 1000 times the error to the power of -0.5, any error has just these."""

    def rate(images, codec, quality, sheet):
        return 1000 * (0.1 * 0.9**quality) ** -0.5, 0.1 * 0.9**quality

    monkeypatch.setattr(_codecs, "codec_rate", rate)
    for mse in (0.099, 0.0123, 3e-6):
        assert codec_rate_at(images, "JPEG", mse) == pytest.approx(1000 * mse**-0.5)


def test_rate_at_an_error_bears_a_step_that_loses_nothing_and_one_that_changes_nothing(monkeypatch, images):
    monkeypatch.setattr(_codecs, "codec_rate", lambda images, codec, q, sheet: (q, 0.5 if q < 60 else 0.0))
    assert codec_rate_at(images, "WebP", 0.25) == 60
    monkeypatch.setattr(_codecs, "codec_rate", lambda images, codec, q, sheet: (q, 0.5))
    assert codec_rate_at(images, "WebP", 0.5) == 1


def test_rate_at_an_error_refuses_what_no_quality_reaches(images):
    with pytest.raises(
        ValueError, match=r"JPEG reaches errors from .*, at quality 100, to .*, at quality 0, .* is 0.9"
    ):
        codec_rate_at(images, "JPEG", 0.9)
    with pytest.raises(ValueError, match=r"JPEG reaches errors from .*, but mse is 1e-12"):
        codec_rate_at(images, "JPEG", 1e-12)
    for mse in (0, -1.0, "0.1", float("nan")):
        with pytest.raises(ValueError, match=r"mse must be above 0, but .* was given. Without loss: codec_rate"):
            codec_rate_at(images, "JPEG", mse)
    with pytest.raises(ValueError, match="no codec 'PNG' with a quality"):
        codec_rate_at(images, "PNG", 0.01)

"""Perplexity, codes in use, distortion and bits."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqlib import metrics


def test_code_counts_count_every_code():
    counts = metrics.code_counts(np.array([[0, 2, 2], [4, 2, 0]]), 6)
    np.testing.assert_array_equal(counts, [2, 0, 3, 0, 1, 0])
    assert counts.dtype == np.int64


@pytest.mark.parametrize("codes", [[0, 6], [-1, 0]])
def test_code_counts_refuse_codes_out_of_range(codes):
    with pytest.raises(ValueError, match=r"codes must lie in 0..5 \(num_embeddings=6\), but lie in"):
        metrics.code_counts(np.array(codes), 6)


def test_code_counts_refuse_codes_that_are_not_integers():
    with pytest.raises(TypeError, match=r"codes must be integers \(code indices\), but are float64"):
        metrics.code_counts(np.array([0.0, 1.0]), 6)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 0, 0, 0], 1), ([3, 3, 3, 3], 4), ([7, 7, 0, 0], 2), ([2, 1, 1], 2**1.5)],
    ids=str,
)
def test_perplexity_of_known_histograms(counts, expected):
    assert metrics.perplexity(counts) == pytest.approx(expected)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40).filter(any))
def test_perplexity_lies_between_one_and_the_codes_used(counts):
    value = metrics.perplexity(counts)
    assert 1 - 1e-9 <= value <= np.count_nonzero(counts) * (1 + 1e-9)
    assert metrics.perplexity([10 * n for n in counts]) == pytest.approx(value)


@pytest.mark.parametrize("counts", [[0, 0], [3, -1], [], [3, np.nan], [3, np.inf]], ids=str)
def test_perplexity_refuses_what_is_no_histogram(counts):
    with pytest.raises(ValueError, match="counts must be finite and not negative, and at least one of them above zero"):
        metrics.perplexity(counts)


def test_mean_squared_error_by_hand():
    assert metrics.mean_squared_error(np.array([0.0, 0.5]), np.array([0.1, 0.2])) == pytest.approx(0.05)


def test_mean_squared_error_sums_in_float64():
    images = np.full(3_000_000, 0.1, "float32")
    assert metrics.mean_squared_error(images, 0 * images) == pytest.approx(float(np.float32(0.1)) ** 2, rel=1e-12)


def test_mean_squared_error_refuses_images_of_another_shape():
    with pytest.raises(ValueError, match=r"\(28, 28, 28, 1\).*\(28, 28, 28\)"):
        metrics.mean_squared_error(np.zeros((28, 28, 28, 1)), np.zeros((28, 28, 28)))


def test_psnr_by_hand():
    assert metrics.psnr(0.01) == pytest.approx(20)
    assert metrics.psnr(0.00418) == pytest.approx(23.788, abs=1e-3)
    assert metrics.psnr(255**2 / 1000, peak=255) == pytest.approx(30)


def test_psnr_of_equal_images_is_infinite():
    assert metrics.psnr(0.0) == np.inf


def test_psnr_of_a_model_that_diverged_is_no_number():
    assert np.isnan(metrics.psnr(float("nan")))


def test_nats_a_code_become_bits_an_image():
    assert metrics.bits_per_image(np.log(2), (7, 7)) == pytest.approx(49)
    assert metrics.bits_per_image(1.0364, (7, 7)) == pytest.approx(73.3, abs=0.05)  # figures measured together
    assert metrics.bits_per_image(np.log(128), (7, 7)) == pytest.approx(49 * 7)
    assert metrics.bits_per_image(1.0, (2, 3)) == pytest.approx(6 / np.log(2))


def test_position_bits_by_hand():
    training = np.array([[[0, 1]], [[0, 1]], [[0, 0]]])  # two positions; with one more of each of K = 3 codes:
    codes = np.array([[[0, 1]], [[2, 0]]])  # 4/6 and 3/6, then 1/6 and 2/6
    expected = -np.mean([np.log2(4 / 6 * 3 / 6), np.log2(1 / 6 * 2 / 6)])
    assert metrics.position_bits(codes, training, 3) == pytest.approx(expected)


def test_position_bits_of_codes_without_pattern_are_those_of_a_fixed_length(rng):
    codes = rng.integers(8, size=(20_000, 2, 3))
    assert metrics.position_bits(codes[10_000:], codes[:10_000], 8) == pytest.approx(6 * 3, rel=0.001)


def test_position_bits_tell_positions_apart():
    codes = np.tile(np.arange(4).reshape(2, 2), (10_000, 1, 1))
    assert metrics.position_bits(codes, codes, 4) < 0.01
    assert metrics.position_bits(codes[:, ::-1], codes, 4) > 40


def test_position_bits_refuse_grids_of_another_shape_and_codes_out_of_range():
    with pytest.raises(ValueError, match=r"codes must have shape \(batch, 7, 7\), but have shape \(3, 49\)"):
        metrics.position_bits(np.zeros((3, 49), int), np.zeros((5, 7, 7), int), 4)
    with pytest.raises(ValueError, match=r"training_codes must lie in 0..3"):
        metrics.position_bits(np.zeros((3, 2, 2), int), np.full((5, 2, 2), 4), 4)


# The streaming metrics


@given(
    k=st.integers(1, 20),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_streaming_metrics_equal_those_of_all_codes_at_once(k, sizes, seed):
    generator = np.random.default_rng(seed)
    perplexity, used = metrics.Perplexity(k), metrics.CodesUsed(k)
    batches = [generator.integers(k, size=n).astype("int32") for n in sizes]
    for batch in batches:
        perplexity.update_state(batch)
        used.update_state(batch)
    counts = metrics.code_counts(np.concatenate(batches), k)
    np.testing.assert_allclose(perplexity.result(), metrics.perplexity(counts), rtol=1e-5)
    assert used.result() == np.count_nonzero(counts)


def test_streaming_metrics_start_anew_after_a_reset():
    perplexity, used = metrics.Perplexity(4), metrics.CodesUsed(4)
    for metric in (perplexity, used):
        metric.update_state(np.array([[0, 1], [2, 3]]))
        metric.reset_state()
        metric.update_state(np.array([3, 3]))
        assert metric.result() == 1


def test_before_any_code_perplexity_is_one_and_no_code_is_used():
    assert metrics.Perplexity(4).result() == 1
    assert metrics.CodesUsed(4).result() == 0


@pytest.mark.parametrize("metric", [metrics.Perplexity, metrics.CodesUsed])
def test_streaming_metrics_survive_their_config(metric):
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric(7, name="mine")))
    assert (type(twin), twin.num_embeddings, twin.name) == (metric, 7, "mine")
    with pytest.raises(ValueError, match="num_embeddings must be an integer of at least 1, but 0 was given"):
        metric(0)


@pytest.mark.parametrize("metric", [metrics.Perplexity, metrics.CodesUsed])
def test_streaming_metrics_refuse_weights(metric):
    counted = metric(4)
    with pytest.raises(ValueError, match="sample_weight is not supported"):
        counted.update_state(np.array([0, 1]), sample_weight=np.array([1, 0]))
    np.testing.assert_array_equal(counted.counts, np.zeros(4))


@pytest.mark.parametrize("metric", [metrics.Perplexity, metrics.CodesUsed])
def test_streaming_metrics_of_a_number_of_numpy_can_be_written_as_json(metric):
    assert json.loads(json.dumps(metric(np.int64(4)).get_config()))["num_embeddings"] == 4


def test_bits_of_an_image_are_streamed_and_survive_their_config():
    metric = metrics.BitsPerImage((2, 3))
    twin = metrics.BitsPerImage.from_config(metric.get_config())
    for each in (metric, twin):
        each.update_state(np.log(2) * np.array([1.0, 2.0]))
        each.update_state(np.log(2) * np.array([3.0, 6.0]))
        np.testing.assert_allclose(each.result(), 6 * 3, rtol=1e-6)

"""The datasets: one split, one scale, looked for in one order, and never another in their place."""

import dataclasses
import hashlib
import io

import keras
import numpy as np
import pytest

from vqlib import DatasetNotFoundError, data, load_dataset

pytestmark = pytest.mark.usefixtures("clean_environment", "no_network")
SMALL = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}


def arrays(name="mnist", train=40, test=10, seed=0):
    """Return random images and labels as a dataset file holds them."""
    generator = np.random.default_rng(seed)
    return {
        f"{kind}_{part}": generator.integers(256 if kind == "x" else 10, size=shape, dtype="uint8")
        for part, n in (("train", train), ("test", test))
        for kind, shape in (("x", (n, *SMALL[name])), ("y", (n,)))
    }


def write(folder, name="mnist", compressed=False, **changed):
    """Write a dataset file into a folder; entries of None are left out."""
    folder.mkdir(exist_ok=True)
    content = {key: value for key, value in {**arrays(name), **changed}.items() if value is not None}
    (np.savez_compressed if compressed else np.savez)(folder / f"{name}.npz", **content)
    return folder


@pytest.fixture(autouse=True)
def few_validation_images(monkeypatch):
    """Set 15 images aside in place of 5,000, so that small files do."""
    assert data.VALIDATION_IMAGES == 5_000
    monkeypatch.setattr(data, "VALIDATION_IMAGES", 15)


def hashes(images):
    return [hashlib.sha256(np.ascontiguousarray(image)).hexdigest() for image in images]


def parts(dataset):
    return {part: (getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")) for part in ("train", "val", "test")}


# What is loaded


@pytest.mark.parametrize("name", SMALL)
def test_images_are_float32_nhwc_in_half_a_unit_around_zero(name, tmp_path):
    content = arrays(name)
    dataset = load_dataset(name, write(tmp_path, name))
    assert dataset.name == name
    for x, y in parts(dataset).values():
        assert x.dtype == np.float32
        assert y.dtype == np.int32
        assert x.shape == (len(y), *(SMALL[name] + (1,))[:3])
    assert dataset.x_train.min() == -0.5
    assert dataset.x_train.max() == 0.5
    pixels = np.concatenate([content["x_train"], content["x_test"]]).reshape(50, *dataset.x_train.shape[1:])
    images = np.concatenate([dataset.x_train, dataset.x_val, dataset.x_test])
    np.testing.assert_allclose((images + 0.5) * 255, pixels, atol=1e-4)
    labels = np.concatenate([dataset.y_train, dataset.y_val, dataset.y_test])
    np.testing.assert_array_equal(labels, np.concatenate([content["y_train"], content["y_test"]]))


def test_labels_in_a_column_are_flattened(tmp_path):
    content = arrays("cifar10")
    write(tmp_path, "cifar10", y_train=content["y_train"][:, None], y_test=content["y_test"][:, None])
    np.testing.assert_array_equal(load_dataset("cifar10", tmp_path).y_test, content["y_test"])


def test_validation_images_are_the_last_of_the_training_file(tmp_path):
    dataset = load_dataset(data_dir=write(tmp_path))
    assert [len(x) for x, _ in parts(dataset).values()] == [25, 15, 10]


def test_splits_of_a_file_are_disjoint(tmp_path):
    found = [hashes(x) for x, _ in parts(load_dataset(data_dir=write(tmp_path))).values()]
    assert len({h for part in found for h in part}) == sum(map(len, found)) == 50


def test_splits_of_digits_are_disjoint(digits):
    found = {part: set(hashes(x)) for part, (x, _) in parts(digits).items()}
    assert not found["train"] & found["val"]
    assert not found["train"] & found["test"]
    assert not found["val"] & found["test"]
    assert sum(map(len, found.values())) == 1_797


def test_splits_are_the_same_each_time(digits, tmp_path):
    write(tmp_path)
    assert load_dataset("digits").sha256 == digits.sha256
    assert load_dataset(data_dir=tmp_path).sha256 == load_dataset(data_dir=tmp_path).sha256
    keras.utils.set_random_seed(99)
    assert load_dataset("digits").sha256 == digits.sha256


def test_split_of_digits_is_the_one_that_every_model_was_trained_on(digits):
    assert [len(x) for x, _ in parts(digits).values()] == [1_297, 250, 250]
    order = np.random.default_rng(0).permutation(1_797)
    from sklearn.datasets import load_digits

    np.testing.assert_array_equal(
        np.concatenate([y for _, y in parts(digits).values()]), load_digits().target[order].astype("int32")
    )
    assert len(np.unique(digits.y_test)) == 10


def test_digits_look_like_mnists(digits):
    for x, y in parts(digits).values():
        assert x.shape == (len(y), 28, 28, 1)
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
        assert x.min() == -0.5
        assert 0.4 < x.max() <= 0.5
        frame = np.ones((28, 28), bool)
        frame[4:24, 4:24] = False
        assert (x[:, frame] == -0.5).all()


def test_variance_is_that_of_the_training_images_on_their_scale(tmp_path, digits):
    dataset = load_dataset(data_dir=write(tmp_path))
    expected = np.var(arrays()["x_train"][:25] / 255)
    assert dataset.variance == pytest.approx(expected, rel=1e-6)
    assert isinstance(dataset.variance, float)
    assert digits.variance == pytest.approx(np.mean((digits.x_train - digits.x_train.mean(dtype="f8")) ** 2), rel=1e-4)


def test_hash_tells_data_apart(tmp_path):
    first, other = load_dataset(data_dir=write(tmp_path / "a")), arrays()
    other["x_train"][0, 0, 0] ^= 1
    assert load_dataset(data_dir=write(tmp_path / "b", x_train=other["x_train"])).sha256 != first.sha256
    other = arrays()
    other["y_test"][0] += 1
    assert load_dataset(data_dir=write(tmp_path / "c", y_test=other["y_test"])).sha256 != first.sha256
    assert load_dataset(data_dir=write(tmp_path / "d", compressed=True)).sha256 == first.sha256


def test_dataset_is_frozen(digits):
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "mnist"


# Where it is looked for


def test_data_dir_comes_before_the_variable_and_the_variable_before_keras(tmp_path, clean_environment):
    write(tmp_path / "argument", y_train=np.full(40, 1))
    write(tmp_path / "variable", y_train=np.full(40, 2))
    content = {**arrays(), "y_train": np.full(40, 3)}
    clean_environment.setattr(
        keras.datasets.mnist,
        "load_data",
        lambda: ((content["x_train"], content["y_train"]), (content["x_test"], content["y_test"])),
    )
    assert load_dataset().y_train[0] == 3
    clean_environment.setenv("VQLIB_DATA_DIR", str(tmp_path / "variable"))
    assert load_dataset().y_train[0] == 2
    assert load_dataset(data_dir=tmp_path / "argument").y_train[0] == 1
    assert load_dataset(data_dir=str(tmp_path / "argument")).y_train[0] == 1
    assert load_dataset(data_dir=tmp_path / "elsewhere").y_train[0] == 2


def test_missing_dataset_names_each_place_and_the_ways_out(tmp_path, clean_environment):
    clean_environment.setenv("VQLIB_DATA_DIR", str(tmp_path / "variable"))
    with pytest.raises(DatasetNotFoundError, match="The dataset 'fashion_mnist' was not found") as caught:
        load_dataset("fashion_mnist", tmp_path / "argument")
    message = str(caught.value)
    assert f"data_dir: no file {tmp_path / 'argument' / 'fashion_mnist.npz'}" in message
    assert f"$VQLIB_DATA_DIR: no file {tmp_path / 'variable' / 'fashion_mnist.npz'}" in message
    assert "Keras's cache and download: URL fetch failure" in message
    assert "set VQLIB_DATA_DIR" in message
    assert 'load_dataset("digits")' in message


def test_places_that_were_not_given_are_said_so():
    with pytest.raises(DatasetNotFoundError, match=r"data_dir: not given\n- \$VQLIB_DATA_DIR: not given"):
        load_dataset()


def test_an_empty_variable_is_none(clean_environment, tmp_path):
    clean_environment.setenv("VQLIB_DATA_DIR", "")
    clean_environment.chdir(write(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=r"\$VQLIB_DATA_DIR: not given"):
        load_dataset()


@pytest.mark.parametrize("name", SMALL)
def test_no_other_dataset_is_put_in_place_of_a_missing_one(name, tmp_path):
    for other in set(SMALL) - {name}:
        write(tmp_path, other)
    with pytest.raises(DatasetNotFoundError, match=f"The dataset '{name}' was not found"):
        load_dataset(name, tmp_path)


def test_missing_dataset_is_a_missing_file():
    assert issubclass(DatasetNotFoundError, FileNotFoundError)


def test_digits_need_no_network_and_no_folder(digits):
    assert load_dataset("digits", data_dir="nowhere").sha256 == digits.sha256


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"Unknown dataset 'minst'\. Known: mnist, fashion_mnist, cifar10, digits"):
        load_dataset("minst")


# Damaged files: an error, and no look at the next place


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_file_cut_short_is_refused(tmp_path, keep):
    path = write(tmp_path) / "mnist.npz"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"mnist.npz is damaged or cut short .*Fetch it again"):
        load_dataset(data_dir=tmp_path)


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "mnist.npz").touch()
    with pytest.raises(ValueError, match=r"mnist.npz is damaged or cut short"):
        load_dataset(data_dir=tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("place", [0.2, 0.4, 0.6])
def test_file_with_a_changed_byte_is_refused(tmp_path, compressed, place):
    path = write(tmp_path, compressed=compressed) / "mnist.npz"
    content = bytearray(path.read_bytes())
    for i in range(8):
        content[int(place * len(content)) + i] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist.npz is damaged or cut short .*Fetch it again"):
        load_dataset(data_dir=tmp_path)


def test_page_saved_as_a_dataset_is_refused(tmp_path):
    (tmp_path / "mnist.npz").write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"mnist.npz (is damaged|cannot be read as plain arrays)"):
        load_dataset(data_dir=tmp_path)


def test_single_array_saved_as_a_dataset_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, arrays()["x_train"])
    (tmp_path / "mnist.npz").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"mnist.npz .*x_train, y_train, x_test and y_test"):
        load_dataset(data_dir=tmp_path)


def test_pickled_file_is_refused(tmp_path):
    write(tmp_path, x_train=np.array([{"not": "an image"}] * 40, dtype=object))
    with pytest.raises(ValueError, match=r"mnist.npz cannot be read as plain arrays: .*Pickled files are refused"):
        load_dataset(data_dir=tmp_path)


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_file_that_lacks_an_array_is_refused(tmp_path, key):
    write(tmp_path, **{key: None})
    with pytest.raises(ValueError, match=rf"mnist.npz lacks an array: .*{key}.* It must hold x_train"):
        load_dataset(data_dir=tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("shape", [(40, 27, 28), (40, 784), (40, 28, 28, 1), (40,)], ids=str)
def test_images_of_wrong_shape_are_refused(tmp_path, part, shape):
    write(tmp_path, **{f"x_{part}": np.zeros(shape, "uint8")})
    with pytest.raises(ValueError, match=rf"x_{part} in .* must be uint8 of shape \(N, 28, 28\), but is uint8"):
        load_dataset(data_dir=tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_images_of_wrong_dtype_are_refused(tmp_path, dtype):
    write(tmp_path, x_train=np.zeros((40, 28, 28), dtype))
    with pytest.raises(ValueError, match=rf"x_train in .* must be uint8 of shape \(N, 28, 28\), but is {dtype}"):
        load_dataset(data_dir=tmp_path)


@pytest.mark.parametrize(
    "labels", [np.zeros(39, int), np.zeros(40), np.zeros((40, 10), int)], ids=lambda y: str(y.shape)
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    write(tmp_path, y_train=labels)
    with pytest.raises(ValueError, match=r"y_train in .* must be 40 integers, but is"):
        load_dataset(data_dir=tmp_path)


def test_too_few_training_images_are_refused(tmp_path):
    few = arrays(train=15)
    write(tmp_path, x_train=few["x_train"], y_train=few["y_train"])
    with pytest.raises(ValueError, match=r"holds 15 training images; above 15 are needed"):
        load_dataset(data_dir=tmp_path)


def test_a_damaged_file_is_no_reason_to_look_elsewhere(tmp_path, clean_environment):
    write(tmp_path / "good")
    write(tmp_path / "bad", x_test=None)
    clean_environment.setenv("VQLIB_DATA_DIR", str(tmp_path / "good"))
    with pytest.raises(ValueError, match=r"bad.mnist.npz lacks an array"):
        load_dataset(data_dir=tmp_path / "bad")

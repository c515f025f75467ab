"""The datasets: one split, one scale, looked for in one order, and never another in their place."""

import dataclasses
import hashlib
import io
import tracemalloc

import keras
import numpy as np
import pytest

from vqlib import Dataset, DatasetNotFoundError, _batches, data, load_dataset

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


@pytest.mark.parametrize("values_at_once", [2**22, 1000, 128])
def test_variance_is_numpys_to_the_last_bit(values_at_once, digits, monkeypatch):
    """Trainings depend on it: the loss is divided by it."""
    monkeypatch.setattr(_batches, "VALUES_AT_ONCE", values_at_once)
    assert dataclasses.replace(digits).variance == float(np.var(digits.x_train, dtype="float64"))


def test_variance_needs_no_copy_of_the_images(monkeypatch):
    monkeypatch.setattr(_batches, "VALUES_AT_ONCE", 5000)
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (1001, 30, 31, 1)).astype("float32")
    dataset = Dataset("own", images, None, images, None, images, None)
    tracemalloc.start()
    try:
        found = dataset.variance
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < images.nbytes / 10  # NumPy's own copies all to float64: twice the images
    assert found == float(np.var(images, dtype="float64"))


def test_hash_tells_data_apart(tmp_path):
    first, other = load_dataset(data_dir=write(tmp_path / "a")), arrays()
    other["x_train"][0, 0, 0] ^= 1
    assert load_dataset(data_dir=write(tmp_path / "b", x_train=other["x_train"])).sha256 != first.sha256
    other = arrays()
    other["y_test"][0] += 1
    assert load_dataset(data_dir=write(tmp_path / "c", y_test=other["y_test"])).sha256 != first.sha256
    assert load_dataset(data_dir=write(tmp_path / "d", compressed=True)).sha256 == first.sha256


def test_dataset_is_equal_to_itself_alone(tmp_path):
    first, second = (load_dataset(data_dir=write(tmp_path)) for _ in range(2))
    assert first == first
    assert first != second  # whether they hold the same, sha256 tells
    assert len({first, second, first}) == 2


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


def test_missing_dataset_is_caught_as_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="was not found"):
        load_dataset("mnist", tmp_path)


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
    with pytest.raises(ValueError, match=r"y_train in .* must be 40 integers, one an image, but are"):
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


# From arrays


@pytest.fixture
def pixels():
    """30 random pictures, (30, 8, 8, 3), uint8 in 0..255."""
    return np.random.default_rng(0).integers(256, size=(30, 8, 8, 3), dtype="uint8")


def all_images(dataset):
    return np.concatenate([x for x, _ in parts(dataset).values()])


FORMS = {
    "uint8": lambda x: x,
    "[0, 1]": lambda x: x / 255,
    "[0, 1] as float16": lambda x: (x / 255).astype("float16"),
    "[-0.5, 0.5]": lambda x: x / 255 - 0.5,
    "a list": lambda x: list(x),
    "lists": lambda x: x.tolist(),
    "a tensor": lambda x: keras.ops.convert_to_tensor(x / 255),
    "a rounding beyond": lambda x: (x / 255) * 1.00001 - 0.000005,
    "(0, 255)": lambda x: x.astype("float64"),
    "(-1, 1)": lambda x: x / 127.5 - 1,
    "(0, 16)": lambda x: x / 255 * 16,
    "(0, 1)": lambda x: x / 255 / 4,
}


@pytest.mark.parametrize("form", FORMS)
def test_images_in_any_usual_form_make_the_same_dataset(pixels, form):
    given = FORMS[form](pixels)
    value_range = {"lists": (0, 255)}.get(form) or (eval(form) if form.startswith("(") else None)
    dataset = Dataset.from_arrays(given, value_range=value_range)
    expected = all_images(Dataset.from_arrays(pixels))
    if form == "(0, 1)":
        expected = (expected + 0.5) / 4 - 0.5
    np.testing.assert_allclose(all_images(dataset), expected, atol=6e-4 if "16" in form else 1e-5)
    assert all_images(dataset).dtype == np.float32
    assert all_images(dataset).max() <= 0.5


def test_uint8_pixels_become_what_a_dataset_file_gives(pixels):
    dataset = Dataset.from_arrays(pixels, x_val=pixels[:5], x_test=pixels[5:7])
    np.testing.assert_array_equal(dataset.x_train, data.to_images(pixels))
    np.testing.assert_array_equal(dataset.x_train, pixels.astype("float32") / 255 - 0.5)
    assert dataset.name == "own"


def test_images_on_the_scale_of_the_models_stay_as_they_are(pixels):
    images = np.clip(np.random.default_rng(0).normal(size=(9, 4, 4, 1)) / 5, -0.5, 0.5).astype("float32")
    np.testing.assert_array_equal(Dataset.from_arrays(images, x_val=images, x_test=images).x_train, images)


def test_images_without_a_channel_axis_get_one(pixels):
    assert Dataset.from_arrays(pixels[..., 0]).x_train.shape == (24, 8, 8, 1)
    assert Dataset.from_arrays(pixels[..., :1]).x_train.shape == (24, 8, 8, 1)


def test_booleans_are_black_and_white(pixels):
    dataset = Dataset.from_arrays(pixels[..., 0] > 127, x_val=pixels[:1, ..., 0] > 127, x_test=pixels[:1, ..., 0] > 127)
    np.testing.assert_array_equal(dataset.x_train[..., 0], np.where(pixels[..., 0] > 127, 0.5, -0.5))


def test_given_parts_stay_and_the_others_are_drawn(pixels):
    labels = np.arange(30)
    dataset = Dataset.from_arrays(pixels, labels, x_test=pixels[:4], y_test=labels[:4], validation=0.2)
    assert [len(x) for x, _ in parts(dataset).values()] == [24, 6, 4]
    np.testing.assert_array_equal(dataset.y_test, labels[:4])
    assert sorted([*dataset.y_train, *dataset.y_val]) == list(range(30))
    for x, y in parts(dataset).values():
        np.testing.assert_array_equal(x, data.to_images(pixels[y]))
        assert y.dtype == np.int32
    in_order = Dataset.from_arrays(pixels, labels, x_val=pixels, y_val=labels, x_test=pixels, y_test=labels)
    np.testing.assert_array_equal(in_order.y_train, labels)


def test_drawn_parts_are_disjoint_and_the_same_each_time(pixels):
    dataset = Dataset.from_arrays(pixels, np.arange(30))
    drawn = np.concatenate([y for _, y in parts(dataset).values()])
    assert sorted(drawn) == list(range(30))
    assert list(drawn) != list(range(30))
    assert Dataset.from_arrays(pixels, np.arange(30)).sha256 == dataset.sha256
    assert Dataset.from_arrays(pixels, np.arange(30), seed=1).sha256 != dataset.sha256


def test_dataset_says_in_words_what_it_holds(pixels):
    assert repr(Dataset.from_arrays(pixels)) == (
        "<Dataset 'own': 24/3/3 images to train/validate/test on, 8 x 8 x 3, no labels>"
    )
    named = Dataset.from_arrays(pixels, np.arange(30) % 2, class_names=["cat", "dog"], name="pets")
    assert repr(named).endswith("8 x 8 x 3, 2 classes>")
    assert named.class_names == ("cat", "dog")
    assert repr(named).startswith("<Dataset 'pets'")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x / 255 / 2, r"float64 in \[0, 0.5\], which may be the dark half of \[0, 1\] or the bright half"),
        (lambda x: x.astype("float32"), r"float32 in \[0, 255\], which is none of the usual forms.*value_range"),
        (lambda x: x / 127.5 - 1, r"float64 in \[-1, 1\], which is none of the usual forms"),
        (lambda x: x.astype("int64"), r"int64 in \[0, 255\], which is none of the usual forms"),
        (lambda x: (x > 9).astype("uint8"), r"uint8 in \[0, 1\], so that nearly black pixels .*value_range=\(0, 1\)"),
        (lambda x: x[0], r"must have shape .*, but has \(8, 8, 3\)\. If it is one image, .* x\[None\]"),
        (lambda x: x.reshape(30, -1), r"but has \(30, 192\)\. If each row is one image, .*reshape"),
        (lambda x: np.moveaxis(x, -1, 1), r"but has \(30, 3, 8, 8\)\. Its channels come first"),
        (lambda x: x[None], r"but has \(1, 30, 8, 8, 3\)"),
        (lambda x: [x[0], x[1, :4]], r"x must all have one shape, but have several: \(4, 8, 3\), \(8, 8, 3\)"),
        (lambda x: np.where(x > 250, np.nan, x / 255), r"x contains NaN or infinity, in \d+ of 30 images"),
        (lambda x: x[:0], "there are no images"),
    ],
)
def test_images_in_no_usual_form_are_refused_with_what_was_found(pixels, change, message):
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(change(pixels))


@pytest.mark.parametrize("wrong", ["a folder", {"x": 1}, object(), iter([1]), None], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("value_range", [None, (0, 1)])
def test_what_is_no_array_is_refused(wrong, value_range):
    with pytest.raises(TypeError, match=r"x must be an array, but .* was given"):
        Dataset.from_arrays(wrong, value_range=value_range)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.zeros(29, int)}, r"y must be 30 integers, one an image, but are int64 of shape \(29,\)"),
        ({"y": np.zeros(30)}, r"y must be 30 integers, one an image, but are float64 .*astype\('int32'\)"),
        ({"y": ["cat"] * 30}, r"one an image, but are str.*np.unique\(names, return_inverse=True\)"),
        ({"y": np.eye(30, dtype=int)}, r"but are int64 of shape \(30, 30\)\. For one-hot labels: np.argmax"),
        ({"y": np.full(30, -1)}, r"y must be labels from 0, but lie in -1\.\.-1"),
        (
            {"y": np.arange(30), "class_names": "ab"},
            r"y_train, labels of the 2 class_names, must lie in 0\.\.1, but lie in 0\.\.29",
        ),
        ({"y_test": np.zeros(3, int)}, "y_test was given, but no x_test"),
        ({"y": np.zeros(30, int), "x_val": "part"}, "Missing: y_val"),
        ({"value_range": (1, 0)}, r"value_range must be \(black, white\)"),
        ({"value_range": (0, 100)}, r"x must lie in \[0, 100\], its value_range, but lies in \[0, 255\]"),
        ({"x_val": "small"}, r"the same height, width and channels, but there are: x \(8, 8, 3\), x_val \(4, 8, 3\)"),
        ({"validation": 0.6, "test": 0.6}, "30 images are too few to set 18 aside"),
    ],
    ids=lambda x: str(list(x)) if isinstance(x, dict) else "",
)
def test_arguments_that_do_not_fit_are_refused(pixels, arguments, message):
    if "x_val" in arguments:
        arguments = {**arguments, "x_val": pixels[:5] if arguments["x_val"] == "part" else pixels[:5, :4]}
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(pixels, **arguments)


# The constructor, which takes nothing but the one form


def fields(**changed):
    images, labels = np.zeros((4, 8, 8, 1), "float32"), np.arange(4, dtype="int32")
    of_parts = {f"{kind}_{part}": value for part in data.PARTS for kind, value in (("x", images), ("y", labels))}
    return {"name": "mine", **of_parts, **changed}


def test_column_of_labels_is_taken_for_labels(pixels):
    labels = np.arange(30)
    dataset = Dataset.from_arrays(pixels, labels[:, None])
    np.testing.assert_array_equal(dataset.y_train, Dataset.from_arrays(pixels, labels).y_train)
    column = np.arange(4, dtype="int32")[:, None]
    np.testing.assert_array_equal(Dataset(**fields(y_val=column)).y_val, [0, 1, 2, 3])


def test_dataset_takes_the_form_that_it_describes():
    assert Dataset(**fields()).class_names is None
    assert Dataset(**fields(y_train=None, y_val=None, y_test=None)).y_val is None
    assert len(Dataset(**fields(x_val=np.zeros((0, 8, 8, 1), "float32"), y_val=np.zeros(0, "int32"))).x_val) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_val": np.zeros((4, 8, 8, 1))}, r"x_val must be a float32 array, but is float64 of shape \(4, 8, 8, 1\)\."),
        ({"x_train": [[0.0]]}, r"x_train must be a float32 array, but is list\. Dataset\.from_arrays takes"),
        ({"x_test": np.ones((4, 8, 8, 1), "float32")}, r"x_test must lie in \[-0.5, 0.5\]"),
        ({"x_test": np.zeros((4, 8, 9, 1), "float32")}, "x_test must be 8 x 8"),
        ({"y_val": np.arange(4)}, r"y_val must be an int32 array, but is int64 of shape \(4,\)\. Dataset\.from_arrays"),
        ({"y_val": [0, 1, 2, 3]}, r"y_val must be an int32 array, but is list\."),
        (
            {"y_val": np.arange(5, dtype="int32")},
            r"y_val must be 4 integers, one an image, but are int32 of shape \(5,\)",
        ),
        ({"y_val": None}, "Missing: y_val"),
        ({"y_test": np.full(4, -1, "int32")}, r"y_test must be labels from 0, but lie in -1"),
        (
            {"class_names": ("a", "b", "c")},
            r"y_train, labels of the 3 class_names, must lie in 0\.\.2, but",
        ),
    ],
    ids=lambda x: str(list(x)) if isinstance(x, dict) else "",
)
def test_dataset_refuses_any_other_form(changed, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Dataset(**fields(**changed))

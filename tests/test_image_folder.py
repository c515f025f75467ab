"""A folder of pictures as a dataset: what each kind of file becomes, the split, and what is refused."""

import numpy as np
import PIL.Image
import pytest

from vqlib import Dataset, _progress, load_images


def picture(seed=0, size=(8, 8), channels=3):
    """Return a random picture, uint8."""
    shape = size if channels == 1 else (*size, channels)
    return np.random.default_rng(seed).integers(256, size=shape, dtype="uint8")


def write(path, pixels=None, **options):
    """Write a picture, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(picture() if pixels is None else pixels).save(path, **options)
    return path


def fill(folder, number=10, suffix=".png", start=0, **arguments):
    """Write pictures that are all different."""
    for i in range(start, start + number):
        write(folder / f"{i:02}{suffix}", picture(seed=i, **arguments))
    return folder


def all_images(data):
    return np.concatenate([data.x_train, data.x_val, data.x_test])


def as_bytes(images):
    return {image.tobytes() for image in images}


def only_image(folder, **arguments):
    """Load a folder in which all pictures are the same, and return it as pixels in 0..255."""
    images = all_images(load_images(folder, **arguments))
    assert (images == images[0]).all()
    return (images[0] + 0.5) * 255


def copies(path, number=3):
    """Copy a picture, since three are the least that can be split."""
    for i in range(1, number):
        (path.parent / f"{path.stem}{i}{path.suffix}").write_bytes(path.read_bytes())
    return path.parent


# What comes out


def test_pictures_are_the_images_of_a_dataset(tmp_path):
    data = load_images(fill(tmp_path / "mine"))
    assert type(data) is Dataset
    assert (data.name, data.class_names, data.y_train, data.y_test) == ("mine", None, None, None)
    assert [len(x) for x in (data.x_train, data.x_val, data.x_test)] == [8, 1, 1]
    images = all_images(data)
    assert (images.dtype, images.shape) == (np.float32, (10, 8, 8, 3))
    pixels = {picture(seed=i).tobytes() for i in range(10)}
    assert as_bytes(np.round((images + 0.5) * 255).astype("uint8")) == pixels


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        (".png", {}, 0.01),
        (".webp", {"lossless": True}, 0.01),
        (".jpg", {"quality": 100}, 3),
        (".JPEG", {"quality": 100}, 3),
    ],
)
def test_each_format_is_read(tmp_path, suffix, options, tolerance):
    smooth = np.add.outer(np.arange(16), np.arange(16)).astype("uint8") * 8
    write(tmp_path / f"a{suffix}", smooth, **options)
    found = only_image(copies(tmp_path / f"a{suffix}"), channels=1)
    assert np.abs(found[..., 0] - smooth).max() <= tolerance


def test_sub_folders_are_classes(tmp_path):
    fill(tmp_path / "dog" / "deep" / "er", 10)
    fill(tmp_path / "cat", 10, start=10)
    data = load_images(tmp_path)
    assert data.class_names == ("cat", "dog")
    cats = {(picture(seed=i) / np.float32(255) - np.float32(0.5)).astype("float32").tobytes() for i in range(10, 20)}
    for images, labels in ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)):
        assert [image.tobytes() in cats for image in images] == [label == 0 for label in labels]
    assert np.bincount(np.concatenate([data.y_train, data.y_val, data.y_test])).tolist() == [10, 10]


def test_labels_can_be_left_out_and_asked_for(tmp_path):
    fill(tmp_path / "cat")
    assert load_images(tmp_path).class_names is None  # one sub-folder is a place, no class
    assert load_images(tmp_path, labels=True).class_names == ("cat",)
    fill(tmp_path / "dog")
    assert load_images(tmp_path, labels=False).y_train is None
    fill(tmp_path, 2)
    with pytest.raises(ValueError, match=r"2 pictures lie beside the sub-folders, .* labels=False"):
        load_images(tmp_path)
    assert len(all_images(load_images(tmp_path, labels=False))) == 22


def test_labels_without_sub_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no sub-folders, whose names would be the labels"):
        load_images(fill(tmp_path), labels=True)


# The split


def test_split_is_disjoint_and_the_same_each_time(tmp_path):
    fill(tmp_path, 30)
    data = load_images(tmp_path, validation=0.2, test=0.3)
    parts = [as_bytes(x) for x in (data.x_train, data.x_val, data.x_test)]
    assert [len(part) for part in parts] == [15, 6, 9]
    assert len(set.union(*parts)) == 30
    assert load_images(tmp_path, validation=0.2, test=0.3).sha256 == data.sha256
    assert load_images(tmp_path, validation=0.2, test=0.3, seed=1).sha256 != data.sha256


def test_training_images_are_shuffled(tmp_path):
    fill(tmp_path / "a", 20)
    fill(tmp_path / "b", 20)
    assert len(set(load_images(tmp_path).y_train[:10])) == 2


def test_folders_train_and_test_are_the_split(tmp_path):
    for number, part in enumerate(("train", "test")):
        for label in ("cat", "dog"):
            fill(tmp_path / part / label, 10, start=20 * number + 10 * (label == "dog"))
    data = load_images(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert [len(x) for x in (data.x_train, data.x_val, data.x_test)] == [18, 2, 20]
    to_test_on = {picture(seed=i).tobytes() for i in range(20, 40)}
    assert as_bytes(np.round((data.x_test + 0.5) * 255).astype("uint8")) == to_test_on
    assert len(set(data.y_train[:8])) == 2  # shuffled, too
    fill(tmp_path / "Validation" / "cat", 5, start=50)
    data = load_images(tmp_path)
    assert [len(x) for x in (data.x_train, data.x_val)] == [20, 5]
    assert len(set(data.y_train[:8])) == 2  # still, where nothing is drawn


def test_a_class_may_be_called_train(tmp_path):
    for label in ("bus", "train"):
        fill(tmp_path / label, 5)
    assert load_images(tmp_path).class_names == ("bus", "train")


def test_split_without_images_to_train_on_is_refused(tmp_path):
    for part in ("val", "test"):
        fill(tmp_path / part, 5)
    with pytest.raises(ValueError, match="no folder train"):
        load_images(tmp_path)


def test_too_few_pictures_to_split_are_refused(tmp_path):
    with pytest.raises(ValueError, match="2 images are too few to set 1 aside for validation and 1 for tests"):
        load_images(fill(tmp_path, 2))


# Sizes and colours


def test_mixed_sizes_are_named_with_what_to_do(tmp_path):
    fill(tmp_path, 3)
    write(tmp_path / "wide.png", picture(size=(6, 9)))
    with pytest.raises(ValueError, match=r"have 2 sizes, height x width \(how many\): 8 x 8 \(3\), 6 x 9 \(1\)\. Ask"):
        load_images(tmp_path)
    assert load_images(tmp_path, size=4).x_train.shape[1:] == (4, 4, 3)
    assert load_images(tmp_path, (4, 6)).x_train.shape[1:] == (4, 6, 3)


def test_picture_is_scaled_to_cover_and_cropped_at_its_centre(tmp_path):
    wide = np.zeros((20, 60, 3), "uint8")
    wide[:, 20:40] = (200, 100, 50)  # the square in the middle
    found = only_image(copies(write(tmp_path / "a.png", wide)), size=10)
    np.testing.assert_allclose(found[:, 2:8], np.broadcast_to([200, 100, 50], (10, 6, 3)), atol=1.5)
    assert found[0, 0, 0] > 150  # no black bars


def test_grey_and_colour_together_are_named_with_what_to_do(tmp_path):
    fill(tmp_path, 3)
    write(tmp_path / "grey.png", picture(channels=1))
    with pytest.raises(ValueError, match=r"1 are grey and 3 in colour\. Ask for all in colour, channels=3"):
        load_images(tmp_path)
    assert load_images(tmp_path, channels=3).x_train.shape[-1] == 3
    assert load_images(tmp_path, channels=1).x_train.shape[-1] == 1


def test_colour_becomes_luma(tmp_path):
    flat = np.full((8, 8, 3), (200, 100, 50), "uint8")
    found = only_image(copies(write(tmp_path / "a.png", flat)), channels=1)
    np.testing.assert_allclose(found, 0.299 * 200 + 0.587 * 100 + 0.114 * 50, atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA"])
def test_grey_files_of_all_kinds_make_one_channel(tmp_path, mode):
    black_and_white = PIL.Image.fromarray(np.tile(np.uint8([[0, 255], [255, 0]]), (4, 4))).convert(mode)
    black_and_white.save(tmp_path / "a.png")
    found = only_image(copies(tmp_path / "a.png"))
    np.testing.assert_allclose(found[:2, :2, 0], [[0, 255], [255, 0]], atol=1e-3)
    assert found.shape == (8, 8, 1)


def test_palette_of_colours_makes_three_channels(tmp_path):
    flat = PIL.Image.fromarray(np.full((8, 8, 3), (200, 100, 50), "uint8")).quantize(2)
    assert flat.mode == "P"
    flat.save(tmp_path / "a.png")
    np.testing.assert_allclose(only_image(copies(tmp_path / "a.png"))[0, 0], [200, 100, 50], atol=1e-3)


def test_transparent_pixels_are_white(tmp_path):
    pixels = np.zeros((8, 8, 4), "uint8")
    pixels[:4] = (200, 100, 50, 255)
    pixels[6:] = (200, 100, 50, 51)  # a fifth
    found = only_image(copies(write(tmp_path / "a.png", pixels)))
    np.testing.assert_allclose(found[0, 0], [200, 100, 50], atol=1e-3)
    np.testing.assert_allclose(found[5, 0], 255, atol=1e-3)
    np.testing.assert_allclose(found[7, 0], [244, 224, 214], atol=1.5)


def test_palette_with_transparency_lies_on_white(tmp_path):
    flat = PIL.Image.fromarray(np.full((8, 8), 7, "uint8"), "P")
    flat.putpalette([0, 0, 0] * 7 + [200, 100, 50])
    flat.save(tmp_path / "a.png", transparency=7)
    np.testing.assert_allclose(only_image(copies(tmp_path / "a.png"), channels=3), 255, atol=1e-3)


def test_of_16_bits_the_upper_8_are_kept(tmp_path):
    levels = np.array([[0, 255, 256], [32768, 65279, 65535]], "uint16")
    found = only_image(copies(write(tmp_path / "a.png", levels)))
    np.testing.assert_allclose(found[..., 0], [[0, 0, 1], [128, 254, 255]], atol=1e-3)


def test_picture_is_turned_as_the_camera_says(tmp_path):
    left_white = np.zeros((8, 16), "uint8")
    left_white[:, :8] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn it to the right to see it
    write(tmp_path / "a.png", left_white, exif=exif)
    found = only_image(copies(tmp_path / "a.png"))
    assert found.shape == (16, 8, 1)
    np.testing.assert_allclose(found[:8], 255, atol=1e-3)
    np.testing.assert_allclose(found[8:], 0, atol=1e-3)
    np.testing.assert_allclose(only_image(tmp_path, size=(16, 8)), found)


def test_cmyk_becomes_rgb(tmp_path):
    PIL.Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(only_image(copies(tmp_path / "a.jpg")), np.zeros((8, 8, 3)), atol=3)


# What is refused


@pytest.fixture
def bad_folder(tmp_path):
    """Five good pictures, and one of each kind that cannot be taken."""
    folder = fill(tmp_path / "bad", 5)
    whole = write(folder / "sub" / "cut.png", picture(size=(64, 64))).read_bytes()
    (folder / "sub" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "empty.webp").touch()
    frames = [PIL.Image.fromarray(picture(seed=i)) for i in range(2)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "old.gif")
    (folder / "notes.txt").write_text("no picture, and not meant to be one")
    write(folder / ".hidden.png")
    write(folder / "__MACOSX" / "a.png")
    return folder


REFUSED = {
    "empty.webp": "neither PNG, JPEG nor WebP, or damaged",
    "moving.png": "a moving picture, of 2 frames",
    "moving.webp": "a moving picture, of 2 frames",
    "old.gif": "neither PNG, JPEG nor WebP",
    "page.jpg": "neither PNG, JPEG nor WebP, or damaged",
    "sub/cut.png": "image file is truncated",
}


@pytest.mark.parametrize("asked", [{}, {"size": 8, "channels": 3}], ids=["found", "asked"])
def test_unreadable_pictures_are_all_named_at_once(bad_folder, asked):
    asked = {"labels": False, "size": 8, **asked}
    with pytest.raises(ValueError, match=r"6 of the pictures in .* cannot be taken") as caught:
        load_images(bad_folder, **asked)
    _, *lines, last = str(caught.value).splitlines()
    assert len(lines) == 6
    for line, (name, reason) in zip(lines, REFUSED.items(), strict=True):
        assert line.startswith(f"- {name}: {reason}")
    assert "skip_unreadable=True" in last


def test_unreadable_pictures_can_be_left_out_with_a_warning(bad_folder):
    with pytest.warns(UserWarning, match=r"(?s)6 of the pictures.*empty\.webp.*sub/cut\.png"):
        data = load_images(bad_folder, 8, labels=False, skip_unreadable=True)
    assert as_bytes(all_images(data)) == as_bytes(all_images(load_images(fill(bad_folder.parent / "good", 5))))


def test_folder_of_nothing_but_unreadable_pictures_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    for asked in ({}, {"size": 8, "channels": 1}):
        with pytest.raises(ValueError, match=r"1 of the pictures in .* cannot be taken:\n- a\.png"):
            load_images(tmp_path, skip_unreadable=True, **asked)


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no PNG, JPEG or WebP pictures\. They end in "):
        load_images(tmp_path)
    PIL.Image.fromarray(picture()).save(tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"holds no PNG, JPEG or WebP pictures, but 1 pictures of other kinds"):
        load_images(tmp_path)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not there\. Give a folder"):
        load_images(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"a\.png is a file\. Give a folder"):
        load_images(write(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size, each side, must be an integer of at least 1"),
        ({"size": (8, 8, 3)}, r"size must be one integer, or \(height, width\), but \(8, 8, 3\)"),
        ({"channels": 4}, "channels must be 1, for grey, or 3, for colour, but 4"),
        ({"validation": 1.0}, "validation must be a share"),
        ({"test": -0.1}, "test must be a share"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        load_images(fill(tmp_path, 3), **wrong)


# How it is read


def test_links_are_followed_and_circles_end(tmp_path):
    fill(tmp_path / "elsewhere", 5)
    folder = fill(tmp_path / "mine" / "cat", 5, start=10).parent
    (folder / "dog").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "again").symlink_to(folder)
    data = load_images(folder)
    assert data.class_names == ("cat", "dog")
    assert len(all_images(data)) == 10


def test_pictures_that_several_links_lead_to_are_taken_once(tmp_path):
    fill(tmp_path / "elsewhere", 8)
    fill(tmp_path / "elsewhere" / "deep", 4, start=8)
    folder = fill(tmp_path / "mine" / "zebra", 4, start=12).parent
    for name, place in {"cat": "elsewhere", "dog": "elsewhere", "emu": "elsewhere/deep", "ape": "mine/zebra"}.items():
        (folder / name).symlink_to(tmp_path / place)
    data = load_images(folder)
    images = all_images(data)
    assert len(images) == len(as_bytes(images)) == 16
    assert data.class_names == ("cat", "emu", "zebra")  # folders before links to them, then by the alphabet
    assert np.bincount(np.concatenate([data.y_train, data.y_val, data.y_test])).tolist() == [8, 4, 4]


def test_long_loads_say_how_far_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_progress, "is_watched", lambda: True)
    monkeypatch.setattr(_progress, "PATIENCE", -1)
    load_images(fill(tmp_path, 4))
    out = capsys.readouterr().out
    assert "load_images, sizes: 75% ..." in out
    assert "load_images: 50% ..." in out


def test_pixels_are_bytes_until_all_are_read(tmp_path):
    import tracemalloc

    fill(tmp_path, 40, size=(256, 256))
    values = 40 * 256 * 256 * 3
    tracemalloc.start()
    load_images(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * values  # 1 in bytes, 4 in float32, and what one part takes while it is made

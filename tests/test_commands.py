"""``python -m vqlib compress`` and ``decompress``."""

import numpy as np
import PIL.Image
import pytest

import vqlib
import vqlib.__main__ as command
from vqlib.compression import compress
from vqlib.data import to_images, to_pixels


@pytest.fixture(scope="module")
def pixels(digits):
    return to_pixels(digits.x_test[:2])[..., 0]


@pytest.fixture
def picture(tmp_path, pixels):
    path = tmp_path / "in.png"
    PIL.Image.fromarray(pixels[0]).save(path)
    return path


def run(*words):
    return command.main([str(word) for word in words])


@pytest.mark.parametrize(
    ("options", "name", "most"),
    [
        ([], "mnist-ema", 40),
        (["--model", "mnist"], "mnist", 40),
        (["--model", "mnist-two-levels"], "mnist-two-levels", 80),
    ],
    ids=["default", "plain", "two levels"],
)
def test_picture_becomes_a_short_file_and_comes_back(tmp_path, picture, pixels, options, name, most, capsys):
    file, back = tmp_path / "out.vq", tmp_path / "back.png"
    assert run("compress", picture, file, *options) == 0
    size = file.stat().st_size
    assert 18 < size < most < picture.stat().st_size
    assert f"{file}: {size} bytes, with {name}." in capsys.readouterr().out
    assert run("decompress", file, back) == 0
    assert f"{file}: {size} bytes, {back}: " in capsys.readouterr().out
    model = vqlib.load_pretrained(f"{name}-vqvae")
    expected = to_pixels(model.decode(model.encode(to_images(pixels[:1])))[0])[..., 0]
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(back)), expected)


def test_picture_in_colour_becomes_grey(tmp_path, picture, pixels):
    PIL.Image.fromarray(np.repeat(pixels[0][..., None], 3, axis=-1)).save(tmp_path / "colour.png")
    for name in ("in", "colour"):
        assert run("compress", tmp_path / f"{name}.png", tmp_path / f"{name}.vq") == 0
    assert (tmp_path / "in.vq").read_bytes() == (tmp_path / "colour.vq").read_bytes()


def refused(capsys, *words):
    """Return what a command that fails says."""
    assert run(*words) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


def test_picture_that_cannot_be_taken(tmp_path, picture, capsys):
    file = tmp_path / "out.vq"
    PIL.Image.new("L", (30, 28)).save(tmp_path / "wide.png")
    assert "28 x 30 pixels, height x width, but the model takes 28 x 28" in refused(
        capsys, "compress", tmp_path / "wide.png", file
    )
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:-60])
    (tmp_path / "text.png").write_text("no picture")
    for name in ("cut.png", "text.png", "none.png"):
        assert f"{name} cannot be taken: " in refused(capsys, "compress", tmp_path / name, file)
    assert not file.exists()


def test_file_is_not_written_where_it_would_do_harm(tmp_path, picture, capsys):
    before = picture.read_bytes()
    link, folder = tmp_path / "link.png", tmp_path / "folder.png"
    link.symlink_to(picture)
    folder.mkdir()
    for target, message in (
        (picture, f"{picture} would be written over itself"),
        (link, f"{link} would be written over itself"),
        (folder, f"{folder} is a folder: name a file in it."),
    ):
        assert message in refused(capsys, "compress", picture, target)
        assert message in refused(capsys, "decompress", picture, target)
    assert picture.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "in.png", "link.png"]


def test_another_file_is_replaced_and_its_folder_made(tmp_path, picture, capsys):
    file, back = tmp_path / "new" / "out.vq", tmp_path / "other" / "back.png"
    back.parent.mkdir()
    back.write_bytes(b"another one")
    assert run("compress", picture, file, "--model", "mnist") == 0
    assert run("decompress", file, back) == 0
    assert [path.name for path in (*file.parent.iterdir(), *back.parent.iterdir())] == ["out.vq", "back.png"]
    with PIL.Image.open(back) as image:
        assert image.size == (28, 28)


@pytest.mark.parametrize("name", ["mnist-vqvae", "minst"])
def test_name_without_tokenizer_and_prior(tmp_path, picture, name, capsys):
    message = refused(capsys, "compress", picture, tmp_path / "out.vq", "--model", name)
    assert (
        f"There is no tokenizer with its prior called '{name}'. Known: mnist, mnist-ema, mnist-two-levels." in message
    )


def test_file_that_holds_no_picture(tmp_path, picture, pixels, capsys):
    file, back = tmp_path / "out.vq", tmp_path / "back.png"
    assert "No such file" in refused(capsys, "decompress", file, back)
    assert run("compress", picture, file, "--model", "mnist") == 0
    capsys.readouterr()
    data = file.read_bytes()
    assert "does not end in .png" in refused(capsys, "decompress", file, tmp_path / "back.jpg")
    file.write_bytes(data[:-1])
    assert "damaged or cut short" in refused(capsys, "decompress", file, back)
    assert "no file that vqlib.compress made" in refused(capsys, "decompress", picture, back)
    models = vqlib.load_pretrained("mnist")
    file.write_bytes(compress(to_images(pixels), models))
    assert "holds 2 images" in refused(capsys, "decompress", file, back)
    models.prior.set_weights([1.1 * weight for weight in models.prior.get_weights()])
    file.write_bytes(compress(to_images(pixels[:1]), models))
    assert "made with none of mnist, mnist-ema, mnist-two-levels" in refused(capsys, "decompress", file, back)
    assert not back.exists()


def test_usage_says_what_the_words_are(capsys):
    with pytest.raises(SystemExit) as caught:
        run("compress", "in.png")
    assert caught.value.code == 2
    assert "usage: python -m vqlib compress [-h] [--model MODEL] picture file" in capsys.readouterr().err

"""The how-to pages: each block of code on them runs as it stands, one after the other."""

import pathlib
import re

import keras
import numpy as np
import PIL.Image
import pytest

import vqlib

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the pages use tf.data, and export"),
    pytest.mark.usefixtures("figures_closed"),
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),  # Keras's, about tf2onnx
]
BOOK = pathlib.Path(__file__).parents[1] / "book"
EXPORTED = ("ONNX and LiteRT", "New pictures without vqlib")  # the sections that need the extra


def blocks(page):
    """Return the blocks of Python of a page, each as (section, number of the line before it, code)."""
    text = (BOOK / page).read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start(1)]
        section = re.findall(r"^#+ (.*)$", before, re.MULTILINE)[-1]
        found.append((section, before.count("\n"), match[1]))
    assert len(found) == len(re.findall(r"^```py", text, re.MULTILINE))
    return found


def run(page, chosen):
    """Run blocks in one namespace, as a reader does who copies them one by one, and return it."""
    names = {}
    for _, line, code in chosen:
        exec(compile("\n" * line + code, str(BOOK / page), "exec"), names)
    return names


@pytest.fixture
def own_pictures(tmp_path, monkeypatch):
    """A folder with the pictures that the page on own data speaks of, which is the current one."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    shapes = vqlib.load_dataset("digits").x_train[:90, ..., 0]
    tints = np.random.default_rng(0).uniform(0.4, 1, size=(90, 3))
    pixels = np.uint8(255 * (shapes[..., None] + 0.5) * tints[:, None, None])
    for i, picture in enumerate(pixels):
        path = tmp_path / "pictures" / ("cat", "dog", "emu")[i % 3] / f"{i}.{('png', 'jpg', 'webp')[i // 30]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(picture).resize((40 + i % 5, 36)).save(path)
    np.save(tmp_path / "pixels.npy", pixels)
    # Keras reads no WebP; what a reader has for tf.data is PNG or JPEG.
    return tmp_path


def test_recipes_for_own_pictures_run_as_they_stand(own_pictures, capfd):
    found = run("own-data.md", blocks("own-data.md"))
    out = capfd.readouterr().out
    assert "<Dataset 'pictures': 72/9/9 images to train/validate/test on, 32 x 32 x 3, 3 classes>" in out
    assert "<Dataset 'my pictures': 72/9/9 images to train/validate/test on, 28 x 28 x 3, no labels>" in out
    data, model = found["data"], found["model"]
    assert data.class_names == ("bright", "dark")
    error = vqlib.metrics.mean_squared_error(data.x_test, model.decode(found["codes"]))
    assert error < 0.8 * np.var(data.x_test)  # it has learned something of the pictures
    assert found["samples"].shape == (16, 28, 28, 3)


@pytest.mark.parametrize("section", ["A folder", "Arrays", "tf.data"])
def test_each_recipe_for_own_pictures_runs_by_itself(own_pictures, section):
    found = run("own-data.md", [block for block in blocks("own-data.md") if block[0] == section])
    assert ("train" if section == "tf.data" else "data") in found


def test_first_recipe_goes_on_to_new_pictures(own_pictures):
    page = blocks("own-data.md")
    chosen = [block for block in page if block[0] in ("A folder", "From pictures to new pictures")]
    found = run(
        "own-data.md", [(section, line, code.replace("epochs=20", "epochs=1")) for section, line, code in chosen]
    )
    assert found["samples"].shape == (16, 32, 32, 3)


PRINTED = {  # in each section on how to keep a model
    "A whole model": "",
    "Weights alone": "{'mse': 0.0038}",
    "Codes apart from their model": "",
    "Images in a short file": "",
    "SavedModel": "",
}


@pytest.mark.parametrize("section", PRINTED)
def test_each_way_to_keep_a_model_runs_by_itself(tmp_path, monkeypatch, capfd, section):
    monkeypatch.chdir(tmp_path)
    first, *others = blocks("keep-and-move.md")
    assert {block[0] for block in others} == {*PRINTED, *EXPORTED}
    run("keep-and-move.md", [first, *(block for block in others if block[0] == section)])
    assert PRINTED[section] in capfd.readouterr().out


def test_ways_to_move_a_model_run_as_they_stand(tmp_path, monkeypatch):
    for module in ("tf2onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(module, reason=f"{module} comes with the extra export: pip install .[export]")
    monkeypatch.chdir(tmp_path)
    first, *others = blocks("keep-and-move.md")
    found = run("keep-and-move.md", [first, *(block for block in others if block[0] in EXPORTED)])
    codes, images, prior = found["codes"], found["images"], found["prior"]
    np.testing.assert_array_equal(found["codes_outside"], codes)
    np.testing.assert_array_equal(found["codes_on_a_phone"], codes)
    np.testing.assert_allclose(found["decoded"], found["model"].decode(codes), atol=1e-5)
    np.testing.assert_allclose(found["logits"], prior.predict((codes, found["labels"]), verbose=0), atol=1e-4)
    assert found["new_images"].shape == (10, *images.shape[1:])
    assert np.mean(found["judged"] == np.arange(10)) >= 0.7  # digits, and of the classes that were asked for

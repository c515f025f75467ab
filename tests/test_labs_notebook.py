"""Labs in a notebook, with a model of the reader's: played in a browser, in a frame as a notebook shows them."""

import io

import keras
import numpy as np
import pytest
from browsers import PATIENCE, STILL, WIDTHS, barriers, open_page, served
from PIL import Image
from test_labs import EXCESS, OFFERS, PIXELS, QUIET, as_image, as_shown, assert_likeliest, chances

import vqlib
from vqlib.book import labs

pytestmark = pytest.mark.browser

HIDDEN = "document.documentElement.scrollHeight - innerHeight"
TALLER = "(height) => document.querySelector('iframe').clientHeight > height"
ICON = '<link rel="icon" href="data:,">'
AROUND = {"light": "color: #222; background: #fff", "dark": "color: #ddd; background: #111"}
NOTEBOOK = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A notebook</title>
%s<style>body {%s}</style></head><body><main><h1>A notebook</h1>%s</main></body></html>"""


@pytest.fixture(scope="module")
def model():
    """A model as no chapter has it, with weights that paint something, and a codebook by moving averages."""
    keras.utils.set_random_seed(2)
    quantizer = vqlib.EMAVectorQuantizer(40, 5, restart_below=0.1, seed=1)
    model = vqlib.VQVAE(filters=(6, 9), quantizer=quantizer)
    images = labs.as_floats(labs.digits()[1])
    model.initialize_codebook(images)
    paint_clearly(model, images)
    return model


def paint_clearly(model, images):
    """Let a model with fresh weights, which paint hardly anything, paint something that one sees."""
    kernel = model.decoder.weights[-2]
    kernel.assign(kernel * (0.25 / model.decode(model.encode(images)).std()))


@pytest.fixture(scope="module")
def prior(tiny_prior):
    """A prior of its codes, with other layers than the chapters'."""
    return tiny_prior(code_shape=(7, 7), num_embeddings=40, filters=6, num_residual_blocks=3, num_pixelcnn_layers=1)


class Notebook:
    """A notebook's page with a lab, opened from a disk: nothing may be asked for, nothing may go wrong."""

    def __init__(self, browser, folder, lab, theme="light", **options):
        path = folder / "notebook.html"
        path.write_text(NOTEBOOK % (ICON, AROUND[theme], lab._repr_html_()), encoding="utf-8")
        self.page, self.record, _ = open_page(browser, path.as_uri(), path.as_uri(), **options)
        self.frame = self.page.frames[1]
        self.lab = self.frame.locator(".lab")
        self.cells = self.lab.locator(".easel-codes [role=gridcell]")

    def press(self, name):
        self.lab.get_by_role("button", name=name, exact=True).click()
        self.frame.locator("[data-ready]").wait_for(timeout=PATIENCE)

    @property
    def codes(self):
        """The codes that the grid shows, (7, 7), -1 where none is written."""
        return np.array([int(number or -1) for number in self.cells.all_text_contents()]).reshape(7, 7)

    def pixels(self, square):
        """What the canvas of a square shows, uint8 (28, 28)."""
        return np.array(self.lab.locator(f".easel-{square} canvas").evaluate(PIXELS), "uint8").reshape(28, 28)

    def close(self):
        self.page.close()
        assert self.record == QUIET


@pytest.fixture
def paint(browser, model, tmp_path):
    """The lab in which one paints, with the model."""
    notebook = Notebook(browser, tmp_path, vqlib.lab("paint", model))
    yield notebook
    notebook.close()


def test_before_a_touch_the_digit_its_codes_and_its_image_are_those_of_the_model(paint, model):
    codes = paint.codes
    assert len(np.unique(codes)) > 5
    assert np.array_equal(model.encode(as_image(paint.pixels("image"))), codes[None])
    assert np.array_equal(paint.pixels("result"), as_shown(model.decode(codes[None].astype("int32"))))


def test_codes_and_images_are_those_of_the_readers_model(paint, model):
    paint.press("Dice")
    assert len(np.unique(paint.codes)) > 15
    shown = as_shown(model.decode(paint.codes[None].astype("int32")))
    assert np.abs(paint.pixels("result").astype(int) - shown).max() <= 2
    assert shown.std() > 20
    agreeing = []
    for _ in range(5):
        paint.press("Test digit")
        agreeing.append(model.encode(as_image(paint.pixels("image")))[0] == paint.codes)
    assert np.mean(agreeing) > 0.99
    palette = paint.lab.get_by_role("grid", name="The palette").get_by_role("gridcell")
    assert sorted(int(code) for code in palette.all_text_contents()) == list(range(40))


@pytest.fixture(scope="module")
def gated():
    """A gated prior of its codes, which is told a class."""
    keras.utils.set_random_seed(3)
    prior = vqlib.GatedPixelCNN(num_embeddings=40, filters=6, num_layers=3, condition_shape=(), num_conditions=10)
    draw = np.random.default_rng(3).normal
    prior.set_weights([weight if weight.ndim > 1 else draw(size=weight.shape) for weight in prior.get_weights()])
    return prior


@pytest.mark.parametrize(("which", "told"), [("prior", {}), ("gated", {"condition": 4})])
def test_next_codes_are_those_of_the_readers_prior(browser, model, request, which, told, tmp_path):
    prior = request.getfixturevalue(which)
    writer = Notebook(browser, tmp_path, vqlib.lab("prior", model, prior))
    assert not writer.lab.get_by_role("combobox", name="Prior").is_visible()
    writer.press("Upper half of a digit")
    classes = writer.lab.get_by_role("combobox", name="Told")
    assert classes.is_visible() == bool(told)
    if told:
        classes.select_option(label="it is a 4")
    for _ in range(30):
        writer.press("Step")
    codes = writer.codes
    codes.flat[30:] = -1
    expected = chances(prior, codes, 30, **told)
    offered = [text.split(": ") for text in writer.lab.locator(".prior-list button").evaluate_all(OFFERS)]
    assert_likeliest(offered, expected)
    writer.press("To the end")
    assert (writer.codes >= 0).all()
    writer.close()


def test_two_levels_are_those_of_the_readers_model(browser, tmp_path):
    keras.utils.set_random_seed(4)
    model = vqlib.VQVAE2(num_embeddings=(30, 9), embedding_dim=6, filters=(5, 8))
    images = labs.as_floats(labs.digits()[1])
    model.initialize_codebook(images)
    paint_clearly(model, images)
    notebook = Notebook(browser, tmp_path, vqlib.lab("levels", model))
    for _ in range(2):
        cells = [notebook.lab.get_by_role("grid").nth(n).get_by_role("gridcell").all_text_contents() for n in (0, 1)]
        top, bottom = (np.array(each, "int32") for each in cells)
        shown = as_shown(model.decode(top.reshape(1, 7, 7), bottom.reshape(1, 14, 14)))
        assert np.abs(notebook.pixels("result").astype(int) - shown).max() <= 2
        assert shown.std() > 20
        assert min(len(np.unique(top)), len(np.unique(bottom))) > 5
        (expected, _), (_, other) = (model.encode(as_image(notebook.pixels(name))) for name in ("first", "second"))
        assert np.mean(top == expected.ravel()) > 0.99
        assert np.mean(bottom == other.ravel()) > 0.99
        notebook.press("Another first image")
    notebook.close()


def test_there_is_no_link_where_there_is_no_address_and_the_image_is_saved(paint):
    assert not paint.lab.get_by_role("button", name="Link to this grid").count()
    with paint.page.expect_download() as waiting:
        paint.press("Save as PNG")
    saved = np.asarray(Image.open(io.BytesIO(waiting.value.path().read_bytes())).convert("L"))
    assert np.array_equal(saved[::10, ::10], paint.pixels("result"))


@pytest.mark.parametrize("theme", AROUND)
@pytest.mark.parametrize("width", WIDTHS)
def test_frame_is_as_high_as_the_lab_and_light_or_dark_as_the_notebook(browser, model, tmp_path, theme, width):
    viewport = {"width": width, "height": 800}
    notebook = Notebook(browser, tmp_path, vqlib.lab("paint", model), theme, viewport=viewport)
    assert not axe_in(notebook)
    notebook.frame.wait_for_function(f"{HIDDEN} <= 0")
    small = notebook.page.locator("iframe").bounding_box()["height"]
    notebook.press("Show all codes")
    notebook.page.wait_for_function(TALLER, arg=small + 50)  # by a message from the frame
    notebook.frame.wait_for_function(f"{HIDDEN} <= 0")
    assert notebook.frame.evaluate(EXCESS) <= 0
    assert notebook.page.evaluate(EXCESS) <= 0
    assert notebook.frame.evaluate("document.documentElement.dataset.theme") == theme
    assert not axe_in(notebook)
    notebook.page.evaluate("document.body.style.color = 'rgb(128, 255, 128)'")
    notebook.frame.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    notebook.close()


def axe_in(notebook):
    """Return the barriers that axe finds in a notebook and the frame."""
    for frame in notebook.page.frames:
        frame.add_style_tag(content=STILL)
    return barriers(notebook.page)


def test_untrusted_notebook_says_why_there_is_nothing(browser, model, tmp_path):
    page = browser.new_page(java_script_enabled=False)
    page.set_content(NOTEBOOK % (ICON, AROUND["light"], vqlib.lab("paint", model)._repr_html_()))
    assert "scripts do not run here" in page.frame_locator("iframe").locator(".lab").inner_text()
    page.close()


# How the page around a lab may be closed off: by a policy that lets in nothing from outside, by a frame of another
# origin (Colab), or by a sandbox that takes the lab's own origin away.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
CLOSED = {
    "policy": (f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">', "<iframe ", 1),
    "frame of another origin": ("", "<iframe ", 2),
    "sandbox": ("", '<iframe sandbox="allow-scripts" ', 1),
}


@pytest.mark.parametrize("kind", CLOSED)
def test_lab_runs_where_the_notebook_is_closed_off(browser, model, tmp_path, kind):
    head, opening, depth = CLOSED[kind]
    shown = vqlib.lab("paint", model)._repr_html_().replace("<iframe ", opening, 1).replace("900", "300", 1)
    (tmp_path / "index.html").write_text(NOTEBOOK % (ICON + head, AROUND["dark"], shown), encoding="utf-8")
    (tmp_path / "around").mkdir()
    with served(tmp_path) as inner, served(tmp_path / "around") as outer:
        output = f'<iframe title="Output" src="{inner}" width="700" height="1200"></iframe>'
        page_around = NOTEBOOK % (ICON, AROUND["light"], output)
        (tmp_path / "around" / "index.html").write_text(page_around, encoding="utf-8")
        own = "http://127.0.0.1"
        page, record, _ = open_page(browser, outer if depth == 2 else inner, own, color_scheme="light")
        frame = page.frames[depth]
        before = frame.locator(".easel-codes").inner_text()
        frame.get_by_role("button", name="Dice").click()
        frame.locator("[data-ready]").wait_for()
        assert frame.locator(".easel-codes").inner_text() != before
        assert frame.evaluate("document.documentElement.dataset.theme") == ("light" if kind == "sandbox" else "dark")
        if kind == "sandbox":  # here the lab cannot ask for more room, but it can be scrolled
            frame.get_by_role("button", name="Save as PNG").scroll_into_view_if_needed()
            assert frame.evaluate("scrollY") > 0
        else:
            frame.wait_for_function(f"{HIDDEN} <= 0")
        page.close()
        assert record == QUIET

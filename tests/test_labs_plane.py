"""The labs in the plane: their rules against NumPy and vqlib, and the labs themselves, played in a browser."""

import json
import math
import re
import shutil
import subprocess
import types

import keras
import numpy as np
import pytest
from browsers import PATIENCE, barriers, pause
from keras import ops
from sklearn.cluster import KMeans

import vqlib
from vqlib.book import labs

pytestmark = pytest.mark.browser

FRAME = 16  # milliseconds of script that a browser has between two pictures
EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The page around a lab, in the colours of the book's theme.
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>A lab</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>
  html {--pst-color-background: #fff; --pst-color-text-base: #222832; --pst-color-text-muted: #48566b;
    --pst-color-border: #c9c9c9; --pst-color-surface: #f3f4f5}
  html[data-theme=dark] {--pst-color-background: #121212; --pst-color-text-base: #ced6dd;
    --pst-color-text-muted: #9ca4af; --pst-color-border: #48566b; --pst-color-surface: #29313d}
  body {background: var(--pst-color-background); color: var(--pst-color-text-base); max-width: 46rem}
  * {box-sizing: border-box}
</style><link rel="stylesheet" href="%(folder)s/labs.css"></head><body><main><h1>A lab</h1>
<div class="lab" data-lab="%(name)s" role="group" aria-label="Lab"><p>Try this.</p>
<p class="lab-fallback">Not here.</p></div></main>%(scripts)s</body></html>"""


# ---------------------------------------------------------------- The rules

CALL = """({name, given}) => {
  const random = () => { state = (state * 1103515245 + 12345) % 2147483648; return state / 2147483648; };
  let state = 1;
  const answer = vqlabs.codebooks[name](...given.map((value) => (value === "random" ? random : value)));
  return JSON.stringify(answer);
}"""


@pytest.fixture(scope="module", params=["node", "chromium"])
def rules(request):
    """Return the functions of codebooks.js, as Node runs them, and as a browser does."""
    source = (labs.FOLDER / "codebooks.js").read_text(encoding="utf-8")
    if request.param == "node":
        if not (node := shutil.which("node")):
            pytest.skip("There is no Node here; the same is tried in Chromium.")

        def call(request):
            script = f"globalThis.vqlabs = {{}};\n{source}\nconsole.log(({CALL})({json.dumps(request)}));"
            return subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True).stdout
    else:
        page = request.getfixturevalue("browser").new_page()
        page.add_script_tag(content=f"var vqlabs = {{}};\n{source}")

        def call(request):
            return page.evaluate(CALL, request)

    def named(name):
        def ask(*given):
            plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in given]
            answer = json.loads(call({"name": name, "given": plain}))
            return answer if isinstance(answer, dict) else np.array(answer)

        return ask

    names = re.findall(r"^  function (\w+)", source, re.MULTILINE)
    return types.SimpleNamespace(**{name: named(name) for name in names})


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(200, 3))


@pytest.fixture
def codebook():
    return np.random.default_rng(1).normal(size=(12, 3))


def layer_at(codebook, kind=vqlib.VectorQuantizer, **options):
    layer = kind(*codebook.shape, **options)
    layer.codebook.assign(codebook)
    return layer


def test_codes_and_distortion_are_those_of_vqlib(rules, points, codebook):
    codes = ops.convert_to_numpy(layer_at(codebook).encode(points.astype("float32")))
    assert len(set(codes)) > 8
    assert np.array_equal(rules.encode(points, codebook), codes)
    assert np.isclose(rules.distortion(points, codebook), np.mean((points - codebook[codes]) ** 2))


def test_of_equally_near_codewords_the_first_is_chosen(rules):
    assert rules.nearest([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]) == 0


def test_kmeans_ends_where_that_of_scikit_learn_does(rules, points, codebook):
    library = KMeans(12, init=codebook, n_init=1, max_iter=300, tol=0).fit(points).cluster_centers_
    assert np.allclose(rules.kmeans(points, codebook), library)
    assert np.allclose(rules.kmeansStep(points, library), library)


def test_codeword_that_no_point_chose_stays_in_a_step_of_kmeans(rules, points, codebook):
    codebook[3] = 50
    assert np.array_equal(rules.kmeansStep(points, codebook)[3], codebook[3])


def test_starts_are_different_points(rules, points):
    few = points[:12]
    crowded = few.repeat(5, axis=0)  # of points in one place, no second one is far from those already chosen
    for start in (rules.draw(few, 12, "random"), rules.farApart(crowded, 12, "random")):
        assert np.array_equal(np.unique(start, axis=0), np.unique(few, axis=0))


def test_cells_are_those_of_the_nearest_codeword_and_fill_the_box(rules):
    codebook = np.random.default_rng(2).uniform(-1, 1, (9, 2))
    codebook[8] = codebook[2]  # in the same place: the first has the cell
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    area = 0
    for k in range(9):
        corners = rules.cell(k, codebook, box)
        if k == 8:
            assert not len(corners)
            continue
        nexts = np.roll(corners, -1, axis=0)
        area += 0.5 * np.sum(corners[:, 0] * nexts[:, 1] - corners[:, 1] * nexts[:, 0])
        inside = corners * 0.98 + corners.mean(axis=0) * 0.02
        assert set(rules.encode(inside, codebook)) == {k}
    assert np.isclose(area, 4)


def test_perplexity_is_that_of_vqlib(rules):
    for counts in ([1, 1, 1, 1], [985, 1, 0, 3], [0, 7, 0]):
        assert np.isclose(rules.perplexity(counts), vqlib.metrics.perplexity(counts))


def gradient_of(function, value):
    import tensorflow as tf

    value = tf.constant(value, "float32")
    with tf.GradientTape() as tape:
        tape.watch(value)
        loss = function(value)
    return ops.convert_to_numpy(tape.gradient(loss, value))


def test_gradients_of_z_and_its_codeword_are_those_of_the_losses(rules):
    z, e, target = (np.random.default_rng(seed).normal(size=3).astype("float32") for seed in range(3))
    borrowed = gradient_of(lambda z: ops.sum((vqlib.quantizers.straight_through(z, e) - target) ** 2), z)
    assert np.allclose(rules.straightThroughGradient(e, target), borrowed, atol=1e-5)
    commitment = gradient_of(lambda z: 0.25 * ops.sum((z - e) ** 2), z)
    assert np.allclose(rules.commitmentGradient(z, e, 0.25), commitment, atol=1e-5)
    assert np.allclose(rules.codewordGradient(z, e), gradient_of(lambda e: ops.sum((z - e) ** 2), e), atol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 16])
def test_rotated_gradient_is_that_of_vqlib(rules, size):
    z, e, wish = (np.random.default_rng(seed).normal(size=size).astype("float32") for seed in range(3))
    rotated = gradient_of(lambda z: ops.sum(wish * vqlib.quantizers.rotation_trick(z, e)), z)
    assert np.allclose(rules.rotatedGradient(z, e, wish), rotated, atol=1e-5)


def test_rotated_gradient_where_there_is_no_direction_and_where_it_is_opposite(rules):
    assert np.array_equal(rules.rotatedGradient([0.0, 0.0], [1.0, 0.0], [1.0, 1.0]), [0, 0])
    z, e, wish = (np.array(vector, "float32") for vector in ([1, 0], [-2, 0], [1, 3]))
    rotated = gradient_of(lambda z: ops.sum(wish * vqlib.quantizers.rotation_trick(z, e)), z)
    assert np.allclose(rules.rotatedGradient(z, e, wish), rotated)


def test_slope_of_the_average_and_resting_place_are_those_of_chapter_2(rules):
    stairs, target = np.arange(-2.0, 2.5), 0.4
    for z in (-1.3, -0.3, 0.3, 0.7):
        left, right = math.floor(z), math.floor(z) + 1
        rise = (right - target) ** 2 - (left - target) ** 2
        assert np.isclose(rules.averageSlope(z, stairs, target), rise)
    for z, same_as in ((-9, -1.5), (9, 1.5)):
        assert rules.averageSlope(z, stairs, target) == rules.averageSlope(same_as, stairs, target)
    assert np.isclose(rules.restingPlace(1.0, 0.8, 2.0), 0.9)  # exercise 2.2


def test_step_of_the_codebook_loss_is_that_of_vqlib_and_plain_descent(rules, points, codebook):
    layer = layer_at(codebook, beta=0.0)
    layer.build(points.shape)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(1.5), loss=lambda x, y: 0.0 * ops.sum(y))
    model.train_on_batch(points, points)
    moved = ops.convert_to_numpy(layer.codebook)
    assert np.abs(moved - codebook).max() > 0.05
    assert np.allclose(rules.lossStep(points, codebook, 1.5), moved, atol=1e-5)


@pytest.mark.parametrize(("decay", "epsilon"), [(0.0, 0.0), (0.0, 1e-5), (0.9, 1e-5), (0.9, 0.5), (0.99, 1e-5)])
def test_moving_averages_are_those_of_vqlib(rules, points, codebook, decay, epsilon):
    codebook[5] = 40  # never chosen
    layer = layer_at(codebook, vqlib.EMAVectorQuantizer, decay=decay, epsilon=epsilon)
    layer._start_averages(np.ones(12))
    averages = rules.startAverages(codebook)
    for batch in points.reshape(4, 50, 3):
        layer(batch.astype("float32"), training=True)
        averages = rules.averageStep(batch, averages, decay, epsilon)
    assert np.allclose(averages["counts"], layer.counts, atol=1e-5)
    assert np.allclose(averages["sums"], layer.sums, rtol=1e-5, atol=1e-5)
    assert np.allclose(averages["codebook"], layer.codebook, rtol=1e-4, atol=1e-5)


def test_restart_is_that_of_chapter_6(rules, points, codebook):
    counts = np.array([5, 0.1, 3, 0.0, *[2.0] * 8])
    averages = rules.startAverages(codebook, counts)
    rows = np.random.default_rng(3).integers(0, 200, 12)
    answer = rules.restart(points, averages, 0.2, rows)
    least = 0.2 * counts.mean()
    dead = counts < least
    assert dead.sum() == 2
    assert answer["restarted"] == np.flatnonzero(dead).tolist()
    assert np.allclose(answer["codebook"], np.where(dead[:, None], points[rows], codebook))
    assert np.allclose(answer["counts"], np.where(dead, 2 * least, counts))
    sums = np.where(dead[:, None], 2 * least * points[rows], counts[:, None] * codebook)
    assert np.allclose(answer["sums"], sums)


# ---------------------------------------------------------------- The labs


@pytest.fixture
def open_lab(browser, tmp_path):
    """Return a function that opens a page with a lab from its file, and fails if the page complained at the end."""
    contexts = []
    complaints = []

    def opened(name, width=1000, **options):
        needed = ("shared", *labs.LABS[name].scripts)
        scripts = "".join(f'<script src="{labs.FOLDER.as_uri()}/{script}.js"></script>' for script in needed)
        file = tmp_path / f"{name}.html"
        file.write_text(PAGE % {"folder": labs.FOLDER.as_uri(), "name": name, "scripts": scripts}, encoding="utf-8")
        options = {"reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": 1400}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: None if request.url.startswith("file:") else complaints.append(request.url))
        page.goto(file.as_uri())
        page.locator(".lab-body svg").first.wait_for()
        assert page.locator(".lab-fallback").is_hidden()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def number(page, key):
    """Return a number of a lab, the last one of its text."""
    text = page.locator(f"[data-number={key}]").locator("visible=true").inner_text().replace("−", "-")
    return float(re.findall(r"-?\d+(?:\.\d+)?", text)[-1])


def press(page, words):
    page.get_by_role("button", name=words, exact=True).click()


def handle(page, name):
    return page.get_by_role("slider", name=name, exact=True)


def place_of(page, name):
    """Return where a handle says it is."""
    text = handle(page, name).get_attribute("aria-valuetext").replace("−", "-")
    return np.array([float(value) for value in re.findall(r"-?\d+\.\d+", text)[:2]])


def middle(locator):
    box = locator.locator(".lab-grip").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page, name, right, down):
    """Take hold of a handle with the mouse, and carry it by so many pixels."""
    x, y = middle(handle(page, name))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=6)
    page.mouse.up()


def drag_by_finger(page, name, right, down):
    x, y = middle(handle(page, name))
    touch = page.context.new_cdp_session(page)

    def send(kind, *places):
        points = [{"x": x, "y": y} for x, y in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", (x, y))
    for share in (0.25, 0.5, 0.75, 1):
        send("touchMove", (x + share * right, y + share * down))
    send("touchEnd")


def drawn(page, selector="path.lab-dots", nth=0):
    """Return the places of dots, in units of the drawing."""
    d = page.locator(selector).nth(nth).get_attribute("d")
    return np.array(re.findall(r"M(-?[\d.]+),(-?[\d.]+)h0", d), float)


# Whether the curve of the best codebooks, for which the lab searches bit by bit, is whole, and another one than before.
WHOLE_CURVE = """(before) => {
  const d = document.querySelectorAll("path.lab-dots")[1].getAttribute("d");
  return d.split("M").length === 17 && d !== before;
}"""


def barriers_in_both_schemes(page):
    """Return what axe finds to be a barrier on a page, in the light and in the dark."""
    found = []
    for scheme in ("light", "dark"):
        page.evaluate("(scheme) => { document.documentElement.dataset.theme = scheme; }", scheme)
        found += [f"{scheme}: {barrier}" for barrier in barriers(page)]
    return found


# Milliseconds of script for each event of a drag, in increasing order: the listeners run inside dispatchEvent.
COST_OF_A_DRAG = """(name) => {
  const handle = [...document.querySelectorAll("[role=slider]")].find((one) => one.getAttribute("aria-label") === name);
  const drawing = handle.ownerSVGElement;
  const box = handle.querySelector(".lab-grip").getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const send = (kind, target, clientX, clientY) => {
    const start = performance.now();
    const options = {bubbles: true, cancelable: true, button: 0, pointerId: 1, clientX, clientY};
    target.dispatchEvent(new PointerEvent(kind, options));
    return performance.now() - start;
  };
  drawing.setPointerCapture = () => {};
  send("pointerdown", handle, x, y);
  const spent = [];
  for (let i = 0; i < 120; i++) {
    spent.push(send("pointermove", drawing, x + 60 * Math.sin(i / 10), y + 60 * Math.sin(i / 7)));
  }
  send("pointerup", drawing, x, y);
  return spent.sort((a, b) => a - b);
}"""


def check_speed(page, name):
    spent = page.evaluate(COST_OF_A_DRAG, name)
    print(f"{name}: median {spent[60]:.2f} ms, 95% {spent[114]:.2f} ms, most {spent[-1]:.2f} ms of script an event")
    assert spent[60] < FRAME  # what other programs do to the slowest of them is not the lab's doing


def distortion_as_drawn(page):
    """Return the distortion of the points and codewords where they are drawn."""
    points = (drawn(page) - 200) / 398 * 6 * [1, -1]
    names = [handle.get_attribute("aria-label") for handle in page.locator(".lab-codeword").all()]
    codebook = np.array([place_of(page, name) for name in names])
    assert points.shape == (300, 2)
    return ((points[:, None] - codebook) ** 2).sum(axis=-1).min(axis=1).mean() / 2


def wait_until_said(page):
    pause(page, 700)
    return page.locator(".lab-said").inner_text()


def test_cells_codeword_dragged_with_the_mouse_changes_the_distortion(open_lab):
    page = open_lab("cells")
    before, place = number(page, "distortion"), place_of(page, "Codeword 5")
    assert np.isclose(before, distortion_as_drawn(page), rtol=0.01)
    cells = page.locator(".lab-cell").evaluate_all("(cells) => cells.map((cell) => cell.getAttribute('d'))")
    drag(page, "Codeword 5", 45, -30)
    said = wait_until_said(page)
    moved = place_of(page, "Codeword 5") - place
    assert moved[0] > 0.3
    assert moved[1] > 0.2
    assert number(page, "distortion") != before
    assert np.isclose(number(page, "distortion"), distortion_as_drawn(page), rtol=0.01)
    assert f"Distortion {number(page, 'distortion'):.3f}" in said
    after = page.locator(".lab-cell").evaluate_all("(cells) => cells.map((cell) => cell.getAttribute('d'))")
    assert cells[5] != after[5]
    assert cells[0] == after[0]  # no neighbour of 5


def test_cells_codeword_moves_by_arrow_keys_and_stays_in_the_plane(open_lab):
    page = open_lab("cells")
    page.keyboard.press("Tab")
    assert handle(page, "Codeword 0").evaluate("(handle) => handle === document.activeElement")
    before = number(page, "distortion")
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowUp"):
        page.keyboard.press(key)
    wait_until_said(page)
    assert np.allclose(place_of(page, "Codeword 0"), [-0.9, -0.4])
    assert number(page, "distortion") != before
    for _ in range(10):
        page.keyboard.press("Shift+ArrowLeft")
    wait_until_said(page)
    assert np.allclose(place_of(page, "Codeword 0"), [-3, -0.4])


def test_cells_codeword_is_dragged_by_a_finger_and_the_page_beside_it_scrolls(open_lab):
    page = open_lab("cells", width=360, has_touch=True)
    page.set_viewport_size({"width": 360, "height": 500})
    before = place_of(page, "Codeword 4")
    drag_by_finger(page, "Codeword 4", 30, 20)
    wait_until_said(page)
    assert np.all(np.abs(place_of(page, "Codeword 4") - before) > 0.15)
    assert page.evaluate("scrollY") == 0
    touched = "(element) => getComputedStyle(element).touchAction"
    assert page.locator(".lab-codeword").first.evaluate(touched) == "none"
    assert page.locator("svg.lab-plane").first.evaluate(touched) == "auto"


def test_cells_kmeans_walks_down_to_rest(open_lab):
    page = open_lab("cells")
    seen = [number(page, "distortion")]
    for _ in range(3):
        press(page, "Step of k‑means")
        seen.append(number(page, "distortion"))
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 4
    press(page, "Run to the end")
    assert "at rest" in page.locator("[data-number=steps]").inner_text()
    wait_until_said(page)
    codebook = np.array([place_of(page, f"Codeword {k}") for k in range(6)])
    points = (drawn(page) - 200) / 398 * 6 * [1, -1]
    rest = KMeans(6, init=codebook, n_init=1, tol=0).fit(points).cluster_centers_
    assert np.allclose(rest, codebook, atol=0.01)


def test_cells_kmeans_glides_where_motion_is_welcome(open_lab):
    page = open_lab("cells", reduced_motion="no-preference")
    before = number(page, "distortion")
    press(page, "Run to the end")
    page.wait_for_function("document.querySelector('[data-number=steps]').textContent.includes('at rest')")
    assert number(page, "distortion") < before
    assert number(page, "steps") > 1


def test_cells_bad_start_leaves_codewords_without_a_point(open_lab):
    page = open_lab("cells")
    press(page, "Run to the end")
    good = number(page, "distortion")
    press(page, "Bad start")
    press(page, "Run to the end")
    assert number(page, "empty") > 0
    assert page.locator(".lab-dead").count() == number(page, "empty")
    assert number(page, "distortion") > good
    press(page, "Start at points")
    assert number(page, "empty") == 0


def test_cells_codewords_are_added_up_to_16_and_removed_down_to_one(open_lab):
    page = open_lab("cells")
    page.wait_for_function(WHOLE_CURVE, arg="")
    ring = page.locator(".lab-here").get_attribute("d")
    for K in range(7, 17):
        press(page, "Add a codeword")
        assert page.locator(".lab-codeword").count() == K
    assert page.get_by_role("button", name="Add a codeword").is_disabled()
    assert number(page, "rate") == 4
    assert page.locator(".lab-here").get_attribute("d") != ring
    handle(page, "Codeword 2").focus()
    page.keyboard.press("Delete")
    assert page.locator(".lab-codeword").count() == 15
    for _ in range(14):
        page.get_by_role("button", name="Remove codeword").click()
    assert page.locator(".lab-codeword").count() == 1
    assert page.get_by_role("button", name="Remove codeword").is_disabled()
    assert number(page, "rate") == 0


def test_cells_curve_lies_below_every_codebook(open_lab):
    page = open_lab("cells")
    page.wait_for_function(WHOLE_CURVE, arg="")
    curve = drawn(page, nth=1)
    assert len(curve) == 16
    assert (np.diff(curve[:, 1]) >= 0).all()  # down to the right
    assert curve[-1, 1] > curve[0, 1] + 80
    before = page.locator("path.lab-dots").nth(1).get_attribute("d")
    press(page, "New points")
    page.wait_for_function(WHOLE_CURVE, arg=before)
    assert not np.array_equal(drawn(page, nth=1), curve)


def test_cells_drag_keeps_up_with_the_pointer(open_lab):
    page = open_lab("cells")
    for _ in range(10):
        press(page, "Add a codeword")
    pause(page, 300)
    check_speed(page, "Codeword 4")


def choose(page, label, words):
    page.get_by_label(label).select_option(label=words)


def slide(page, label, keys):
    for key in keys:
        page.get_by_role("slider", name=label).press(key)


@pytest.mark.parametrize("way", ["moving averages", "its loss"])
def test_cloud_codebook_is_killed_by_a_start_at_random_and_revived_by_restarts(open_lab, way):
    page = open_lab("cloud")
    choose(page, "The codebook moves by", way)
    press(page, "Run")
    assert number(page, "batches") == 300
    dead, perplexity, distance = (number(page, key) for key in ("dead", "perplexity", "distance"))
    assert dead > 8
    assert page.locator(".lab-gone").count() == dead
    assert page.locator(".lab-alive").count() == 16 - dead
    press(page, "Run")
    assert number(page, "dead") > 8  # as long as one waits
    assert number(page, "restarted") == 0
    page.get_by_label("Restart dead codes").check()
    press(page, "Run")
    assert number(page, "dead") == 0
    assert number(page, "restarted") >= dead
    assert number(page, "perplexity") > 3 * perplexity
    assert number(page, "distance") < distance / 3
    assert (
        f"16 of 16 codes are in use, perplexity {number(page, 'perplexity')}" in page.locator(".lab-said").inner_text()
    )


@pytest.mark.parametrize("start", ["on points", "from k‑means"])
def test_cloud_codebook_that_starts_where_the_points_are_stays_alive(open_lab, start):
    page = open_lab("cloud")
    choose(page, "It starts", start)
    before = number(page, "distance")
    assert (number(page, "dead"), number(page, "batches")) == (0, 0)
    press(page, "Run")
    assert number(page, "dead") == 0
    assert number(page, "distance") < before + 0.02


def test_cloud_one_batch_moves_only_what_it_chose(open_lab):
    page = open_lab("cloud")
    choose(page, "The codebook moves by", "its loss")
    marks = (
        "[...document.querySelectorAll('.lab-alive, .lab-gone')].map((mark) => mark.getAttribute('transform')).sort()"
    )
    before = page.evaluate(marks)
    press(page, "One batch")
    assert number(page, "batches") == 1
    sticks = page.locator("path.lab-sticks").get_attribute("d")
    assert sticks.count("L") == 64
    ends = set(re.findall(r"L([-\d.,]+)", sticks))
    moved = set(page.evaluate(marks)) - set(before)
    assert {f"translate({end})" for end in ends} == moved


def test_cloud_that_is_carried_away_leaves_codes_behind(open_lab):
    page = open_lab("cloud")
    choose(page, "It starts", "from k‑means")
    distance = number(page, "distance")
    drag(page, "The cloud", 90, 60)
    assert number(page, "dead") > 0
    moved = number(page, "distance")
    assert moved > 3 * distance
    seen = [moved]
    for decay in (["ArrowRight"] * 2, ["ArrowLeft"] * 2):  # 0.99 is slow and leaves it behind, 0.9 is quick
        slide(page, "Decay", decay)
        for _ in range(10):
            press(page, "One batch")
        seen.append(number(page, "distance"))
    assert seen[0] > seen[1] > 2 * seen[2]
    page.get_by_role("button", name="Start again").click()
    assert number(page, "dead") == 0
    handle(page, "The cloud").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert np.allclose(place_of(page, "The cloud"), [3.2, 4.5])
    assert number(page, "dead") > 0


def test_cloud_learning_rate_that_is_too_large_is_noticed(open_lab):
    page = open_lab("cloud")
    choose(page, "The codebook moves by", "its loss")
    assert page.get_by_label("Decay").is_hidden()
    slide(page, "Learning rate", ["End"])
    press(page, "Run")
    assert page.locator("[data-number=distance]").inner_text() == "over 999"
    assert number(page, "batches") < 100  # it does not go on
    assert "too large" in page.locator(".lab-said").inner_text()
    press(page, "Start again")
    assert number(page, "distance") < 20


def test_cloud_runs_and_pauses_where_motion_is_welcome(open_lab):
    page = open_lab("cloud", reduced_motion="no-preference")
    press(page, "Run")
    page.wait_for_function("Number(document.querySelector('[data-number=batches]').textContent) >= 3")
    press(page, "Pause")
    batches = number(page, "batches")
    assert batches < 300
    pause(page, 300)
    assert number(page, "batches") == batches
    press(page, "Run")
    page.wait_for_function("(than) => document.querySelector('[data-number=batches]').textContent > than", arg=batches)


def test_cloud_drag_keeps_up_with_the_pointer(open_lab):
    check_speed(open_lab("cloud"), "The cloud")


def descend(z, codebook, target, beta, moves=False, steps=120, rate=0.05, turn=None):
    """Return z and the codebook after steps of gradient descent, as chapter 2 writes it, and the changes of code."""
    codebook, codes = np.array(codebook, float), []
    z, target = np.array(z, float), np.array(target, float)
    for _ in range(steps):
        k = ((codebook - z) ** 2).sum(axis=1).argmin()
        codes.append(k)
        e = codebook[k].copy()
        gradient = 2 * (e - target)
        if turn:
            gradient = turn(z, e, gradient)
        if moves:
            codebook[k] = e - rate * 2 * (e - z)
        z = z - rate * (gradient + beta * 2 * (z - e))
    codes.append(((codebook - z) ** 2).sum(axis=1).argmin())
    return z, codebook, np.count_nonzero(np.diff(codes[-61:]))


def set_slider(page, label, value):
    """Move a slider as keys do, all the way at once."""
    page.locator("label:visible", has_text=label).locator("input").fill(str(value))


@pytest.mark.parametrize(
    ("beta", "spacing", "moves"),
    [(0.25, 1, False), (0, 1, False), (1, 1, False), (4, 1, False), (0.25, 0.5, False), (0.25, 1, True), (0, 1, True)],
)
def test_slopes_z_ends_where_chapter_2_says(open_lab, beta, spacing, moves):
    page = open_lab("slopes")
    set_slider(page, "β", beta)
    set_slider(page, "Spacing", spacing)
    if moves:
        page.get_by_label("The codebook moves, too").locator("visible=true").check()
    press(page, "Step")
    press(page, "Run")
    half = math.floor(2.3 / spacing)
    stairs = np.arange(-half, half + 1)[:, None] * spacing
    z, codebook, changes = descend([-1.4], stairs, [0.4], beta, moves, 121)
    e = codebook[np.abs(codebook - z).argmin()]
    shown = page.locator("[data-number=z]").inner_text().replace("−", "-")
    assert shown == f"{z[0]:.2f} → {e[0]:.2f}".replace("-0.00", "0.00")
    steps = page.locator("[data-number=outcome]").locator("visible=true").inner_text()
    resting = (beta >= 1 and not moves) or (beta == 0.25 and spacing == 1 and moves)
    assert steps == ("121, at rest" if changes == 0 and "rest" in steps else f"121, {changes} changes")
    if resting:
        assert changes == 0
    if not moves:
        assert (changes > 0) == (beta < 1)
    else:
        assert abs(z[0] - 0.4) < 0.05  # with a codebook that follows, z comes to the target
        assert abs(e[0] - 0.4) < 0.05
    if beta == 4:
        assert e[0] == -1  # held in the cell where it was, which is not the best
    assert f"After 121 steps z is at {z[0]:.2f}".replace("-", "−") in page.locator(".lab-said").inner_text()


def test_slopes_numbers_follow_z_and_the_target(open_lab):
    page = open_lab("slopes")
    z, target = "z, the encoder output", "The target x"
    handle(page, z).locator("visible=true").focus()
    for key in ["Shift+ArrowRight"] * 3 + ["ArrowRight"] * 2:
        page.keyboard.press(key)
    assert page.locator("[data-number=z]").inner_text() == "0.30 → 0.00"
    assert [number(page, key) for key in ("true", "borrowed", "together")] == [0, -0.8, -0.65]
    assert page.locator("[data-number=average]").inner_text() == "0.20, other sign"
    assert number(page, "cancel") == 1.6
    stick = page.locator("path.lab-thick.tone-1").get_attribute("d")
    for _ in range(4):
        handle(page, target).locator("visible=true").press("ArrowLeft")
    assert number(page, "borrowed") == 0
    assert page.locator("path.lab-thick.tone-1").get_attribute("d") != stick
    set_slider(page, "β", 1)
    assert number(page, "commitment") == 0.6
    x, y = middle(handle(page, z).locator("visible=true"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 200, steps=5)  # it stays on the stairs
    page.mouse.up()
    assert page.locator("[data-number=z]").inner_text().endswith("→ 1.00")
    assert number(page, "borrowed") == 2
    press(page, "Back")
    assert page.locator("[data-number=z]").inner_text() == "−1.40 → −1.00"


def test_slopes_in_the_plane_arrows_are_turned_and_scaled(open_lab):
    page = open_lab("slopes")
    press(page, "In the plane")
    assert page.get_by_role("button", name="In the plane").get_attribute("aria-pressed") == "true"
    assert page.locator("[data-number=average]").is_hidden()

    def pair(key):
        text = page.locator(f"[data-number={key}]").locator("visible=true").inner_text().replace("−", "-")
        return np.array([float(value) for value in text.split(", ")])

    z, e, target = np.array([2.2, -0.4]), np.array([1.7, 0.6]), np.array([2.4, 2.1])
    push = 2 * (target - e)
    angle = np.arctan2(*z[::-1]) - np.arctan2(*e[::-1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert np.allclose(pair("asked"), push)
    assert np.allclose(pair("borrowed"), push)
    rotated = np.linalg.norm(e) / np.linalg.norm(z) * turn @ push
    assert np.allclose(pair("turned"), rotated, atol=0.006)
    assert np.isclose(number(page, "angle"), np.rad2deg(angle), atol=0.6)
    arrows = page.locator("path.lab-arrow:visible").evaluate_all("(all) => all.map((one) => one.getAttribute('d'))")
    drag(page, "z, the encoder output", -40, 10)
    pause(page, 50)
    assert not np.allclose(pair("turned"), rotated, atol=0.05)
    after = page.locator("path.lab-arrow:visible").evaluate_all("(all) => all.map((one) => one.getAttribute('d'))")
    assert arrows != after
    page.get_by_label("The same for z in other places").check()
    wind = page.locator(".lab-field").get_attribute("d")
    assert wind.count("M") > 150
    page.get_by_label("z follows").select_option(label="the rotation trick")
    assert page.locator(".lab-field").get_attribute("d") != wind


@pytest.mark.parametrize("way", ["straight-through", "the rotation trick"])
def test_slopes_descent_in_the_plane_follows_the_gradient_that_is_chosen(open_lab, way):
    page = open_lab("slopes")
    press(page, "In the plane")
    page.get_by_label("z follows").select_option(label=way)
    for _ in range(5):
        page.get_by_role("button", name="Step", exact=True).locator("visible=true").click()
    six = [[-1.6, 0.9], [0.2, 1.3], [1.7, 0.6], [-0.9, -1.1], [0.9, -0.8], [2.5, -1.9]]

    def turned(z, e, gradient):
        angle = np.arctan2(*z[::-1]) - np.arctan2(*e[::-1])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.linalg.norm(e) / np.linalg.norm(z) * turn @ gradient

    z, *_ = descend([2.2, -0.4], six, [2.4, 2.1], 0.25, steps=5, turn=None if "straight" in way else turned)
    point = handle(page, "z, the encoder output").locator("visible=true")
    text = point.get_attribute("aria-valuetext").replace("−", "-")
    assert text == f"at {z[0]:.2f}, {z[1]:.2f}"


def test_slopes_drags_keep_up_with_the_pointer(open_lab):
    page = open_lab("slopes")
    check_speed(page, "z, the encoder output")
    press(page, "In the plane")
    page.get_by_label("The same for z in other places").check()
    page.evaluate("document.querySelector('.lab-parts').remove()")  # the staircase, whose z has the same name
    check_speed(page, "z, the encoder output")


@pytest.mark.parametrize("name", ["cells", "cloud", "slopes"])
def test_lab_fits_a_phone_and_is_open_to_all(open_lab, name):
    page = open_lab(name, width=360)
    assert page.evaluate(EXCESS) == 0
    assert not barriers_in_both_schemes(page)
    for button in page.locator(".lab-button:enabled").all():
        if button.is_visible():
            button.click()
    pause(page, 700)
    assert page.evaluate(EXCESS) == 0
    assert not barriers_in_both_schemes(page)

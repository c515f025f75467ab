"""Images and codes into short files, and back."""

import math
import threading

import keras
import numpy as np
import pytest
from keras import ops

import vqlib
from vqlib import compression
from vqlib.compression import CompressionError, Contents, compress_codes, decompress_codes
from vqlib.frequencies import MARGIN, STEPS
from vqlib.incremental import incremental

STEP = math.log(2) / STEPS  # of a logit
CLASSES = 3


def with_weights(model, seed=0):
    """Give a model weights that do not depend on Keras and its backend, and return it."""
    generator = np.random.default_rng(seed)
    model.set_weights([0.5 * generator.normal(size=weight.shape).astype("float32") for weight in model.get_weights()])
    return model


def gated(seed=0, **arguments):
    arguments = {"code_shape": (4, 4), "num_embeddings": 8, "filters": 4, "num_layers": 2, **arguments}
    return with_weights(vqlib.GatedPixelCNN(**arguments), seed)


def told_class(**arguments):
    return gated(condition_shape=(), num_conditions=CLASSES, **arguments)


def plain():
    return with_weights(vqlib.PixelCNN((4, 4), 8, filters=4))


def transformer(code_shape=(4, 4), num_embeddings=8, **arguments):
    arguments = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, **arguments}
    return with_weights(vqlib.TransformerPrior(code_shape, num_embeddings, **arguments))


def on_top():
    return gated(condition_shape=(2, 2), num_conditions=6)


PRIORS = {
    "plain": lambda: [plain()],
    "told nothing": lambda: [gated()],
    "told the class": lambda: [told_class()],
    "two levels": lambda: [told_class(code_shape=(2, 2), num_embeddings=6), on_top()],
    "transformer": lambda: [transformer()],
    "transformer told the class": lambda: [transformer(condition_shape=(), num_conditions=CLASSES)],
    "two levels by transformers": lambda: [
        transformer((2, 2), 6, condition_shape=(), num_conditions=CLASSES),
        transformer(condition_shape=(2, 2), num_conditions=6),
    ],
}
TOLD = ("told the class", "two levels", "transformer told the class", "two levels by transformers")


@pytest.fixture(scope="module")
def made(tiny_vqvae, tiny_vqvae2):
    """Return a function that makes a tokenizer and its priors, of a kind, once."""
    kept = {}

    def make(kind):
        if kind not in kept:
            tokenizer = tiny_vqvae2() if kind.startswith("two levels") else tiny_vqvae()
            kept[kind] = (with_weights(tokenizer), *PRIORS[kind]())
        return kept[kind]

    return make


def codes_for(models, number, seed=1):
    """Return random codes of all levels, as the tokenizer's ``encode`` gives them."""
    generator = np.random.default_rng(seed)
    grids = [
        generator.integers(level.quantizer.num_embeddings, size=(number, *level.code_shape)).astype("int32")
        for level in models[0].levels
    ]
    return grids[0] if len(grids) == 1 else tuple(grids)


def labels_for(kind, number):
    return np.arange(number) % CLASSES if kind in TOLD else None


def bits_of(models, codes, labels):
    """Return the bits of each image and its label, by the likelihood that the whole network gives at once."""
    _, *priors = models
    grids, bits, above = codes if isinstance(codes, tuple) else (codes,), 0.0, None
    for prior, grid in zip(priors, grids, strict=True):
        told = {None: None, (): labels}.get(prior.condition_shape, above)
        logits = ops.convert_to_numpy(prior(grid if told is None else (grid, told))).astype("float64")
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
        bits = bits - np.log2(np.take_along_axis(p, grid[..., None], axis=-1)).sum(axis=(1, 2, 3))
        above = grid
    return bits + (0 if labels is None else math.log2(CLASSES))


def shortest(models, codes):
    """Return the label under which each of 20 images costs the fewest bits."""
    return np.argmin([bits_of(models, codes, np.full(20, label)) for label in range(CLASSES)], axis=0)


def assert_same(contents, codes, labels):
    assert isinstance(contents, Contents)
    for found, expected in zip(keras.tree.flatten(contents.codes), keras.tree.flatten(codes), strict=True):
        assert found.dtype == "int32"
        np.testing.assert_array_equal(found, expected)
    if labels is None:
        assert contents.labels is None
    else:
        np.testing.assert_array_equal(contents.labels, labels)


# Round trips


@pytest.mark.parametrize(("kind", "number"), [*((kind, 7) for kind in PRIORS), ("two levels", 0), ("two levels", 1)])
def test_codes_and_labels_come_back(made, kind, number):
    models, labels = made(kind), labels_for(kind, number)
    codes = codes_for(models, number)
    data = compress_codes(codes, models, labels)
    assert_same(decompress_codes(data, models), codes, labels)


@pytest.mark.parametrize("kind", PRIORS)
def test_file_is_as_long_as_the_prior_says(made, kind):
    models, number = made(kind), 200
    codes, labels = codes_for(models, number), labels_for(kind, number)
    bits = bits_of(models, codes, labels).sum()
    header = 8 * 18
    assert bits < 8 * len(compress_codes(codes, models, labels)) < 1.001 * bits + header + 8


@pytest.mark.parametrize("kind", PRIORS)
def test_images_come_back_as_the_tokenizer_gives_them(made, images, kind):
    models = made(kind)
    model = models[0]
    data = vqlib.compress(images, models)
    np.testing.assert_array_equal(vqlib.decompress(data, models), model.decode(model.encode(images)))


def test_many_images_go_through_in_blocks(made, monkeypatch):
    announced, told = compression.announced, []

    def recorded(items, what):
        for place, item in enumerate(announced(items, what)):
            told.append((place + 1, len(items), what))
            yield item

    monkeypatch.setattr(compression, "announced", recorded)
    monkeypatch.setattr(compression, "IMAGES_AT_ONCE", 3)
    models, labels = made("two levels"), labels_for("two levels", 7)
    codes = codes_for(models, 7)
    data = compress_codes(codes, models, labels)
    rows = 3 * (2 + 4)  # of three blocks, and both levels
    assert told == [(row + 1, rows, "codes") for row in range(rows)]
    assert_same(decompress_codes(data, models), codes, labels)


def test_200_images_need_two_bytes_to_count_them():
    assert [compression._as_bytes(number) for number in (0, 127, 128, 200)] == [
        b"\0",
        b"\x7f",
        b"\x80\x01",
        b"\xc8\x01",
    ]
    for number in (0, 127, 128, 200, 10**6, 2**35 - 1):
        written = compression._as_bytes(number)
        assert compression._number(bytes(8) + written + b"rest") == (number, 8 + len(written))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("plain", "7671633148eda8d6b3bd1cd93b33b83e0263e07c60c3fa20811fde6a14f7d55017"),
        ("told nothing", "76716331cfa0134b3e5981633b33b83e02987b608076ddd76f6ed6df881403"),
        ("told the class", "76716331e66593cb3e615700838fdf5b022a373b31574a05e95108664abaa0a2"),
        ("two levels", "76716331d8ab1fc7350b9c14b430357502212e8ddff28ab5f71960dd6a4cb92a747a"),
        ("transformer", "767163311ef246faadcc5e593b33b83e027a7120431f5d66830ddd03a78e"),
        (
            "transformer told the class",
            "76716331b64385e66c04f4d5838fdf5b0225c684d76a525bf997bc23a675de41840f",
        ),
        (
            "two levels by transformers",
            "767163316998afe45082df1cb43035750220c4ca6da2afc53c9fdb85b2ba466c81e5",
        ),
    ],
)
def test_exact_bytes_on_every_backend(made, kind, expected):
    """What one machine wrote, with TensorFlow, every other one reads and writes: the format, and no last digit."""
    models = made(kind)
    data = compress_codes(codes_for(models, 2), models, labels_for(kind, 2))
    assert data.hex() == expected


def test_label_left_out_is_the_one_that_makes_the_file_shortest(made):
    models = made("told the class")
    codes = codes_for(models, 20)
    labels = decompress_codes(compress_codes(codes, models), models).labels
    np.testing.assert_array_equal(labels, shortest(models, codes))
    assert len(set(labels.tolist())) > 1


def test_labels_are_looked_for_with_few_grids_at_a_time(made, monkeypatch):
    """Logits of all grids at once might not fit into memory."""
    models, nats, sizes = made("told the class"), compression._nats, []

    def recorded(logits, codes):
        sizes.append(len(logits))
        return nats(logits, codes)

    monkeypatch.setattr(compression, "_nats", recorded)
    monkeypatch.setattr(compression, "samples_at_once", lambda prior: 3)
    codes = codes_for(models, 8)
    labels = compression._shortest_labels([codes], models[1:], CLASSES)
    assert sizes == [3] * 3 + [3] * 3 + [2] * 3
    bits = [bits_of(models, codes, np.full(8, label)) for label in range(CLASSES)]
    np.testing.assert_array_equal(labels, np.argmin(bits, axis=0))


# The same probabilities on both sides


def other_machine(monkeypatch, amount):
    """Let priors give logits that differ by up to an amount, as on another machine."""
    generator = np.random.default_rng(0)

    class Other:
        def __init__(self, *arguments):
            self.network = incremental(*arguments)

        def __getattr__(self, name):
            return getattr(self.network, name)

        def step(self, *arguments):
            logits = self.network.step(*arguments)
            return logits + amount * generator.choice([-1.0, 1.0], size=logits.shape)

    monkeypatch.setattr(compression, "incremental", Other)


@pytest.mark.parametrize("kind", PRIORS)
def test_another_machines_last_digits_change_nothing(made, kind, monkeypatch):
    models, labels = made(kind), labels_for(kind, 50)
    codes = codes_for(models, 50)
    data = compress_codes(codes, models, labels)
    other_machine(monkeypatch, 0.9 * MARGIN * STEP)
    assert_same(decompress_codes(data, models), codes, labels)
    assert compress_codes(codes, models, labels) == data


@pytest.mark.parametrize(("kind", "amount"), [*((kind, 1e-3) for kind in PRIORS), ("plain", 1.0), ("plain", np.nan)])
def test_other_probabilities_are_told_and_give_no_picture(made, kind, amount, monkeypatch):
    models, labels = made(kind), labels_for(kind, 50)
    data = compress_codes(codes_for(models, 50), models, labels)
    other_machine(monkeypatch, amount)
    with pytest.raises(CompressionError, match="this machine computes other probabilities"):
        vqlib.decompress(data, models)


class Constant:
    """A prior with the same logits everywhere."""

    code_shape, num_embeddings = (4, 4), 8

    def __init__(self, logits):
        self.logits = np.asarray(logits, "float64")

    def get_config(self):
        return {"logits": self.logits}

    @classmethod
    def from_config(cls, config):
        assert config.pop("dtype") == "float64"
        return cls(**config)

    def get_weights(self):
        return [self.logits]

    def set_weights(self, weights):
        (self.logits,) = weights


class ConstantSteps:
    def __init__(self, prior):
        self.logits = prior.logits

    def initial_state(self, batch):
        return batch

    def begin_row(self, state):
        return state

    def step(self, row, inputs):
        return np.tile(self.logits, (row, 1))

    def end_row(self, row, inputs):
        return row


incremental.register(Constant)(ConstantSteps)


def test_logits_on_borders_are_read_by_another_machine(made, monkeypatch):
    """Rounded alone, each of these would be a toss of a coin."""
    models = made("plain")[0], Constant(STEP * (np.arange(8) + 0.5))
    codes = codes_for(models, 5)
    data = compress_codes(codes, models)
    other_machine(monkeypatch, 0.9 * MARGIN * STEP)
    assert_same(decompress_codes(data, models), codes, None)


def test_prior_that_fixes_its_dtype_is_refused(made, monkeypatch):
    """Its last digits would be coarser than the margin, and no file sure to be read elsewhere."""
    models = made("plain")
    monkeypatch.setattr("vqlib.pixelcnn.dtype_of_logits", lambda: "float32")
    with pytest.raises(TypeError, match="PixelCNN was made in float64, but gives logits in float32"):
        compress_codes(codes_for(models, 1), models)


def test_mixed_precision_writes_the_same_bytes(made, mixed_bfloat16):
    model, prior = made("told the class")
    codes = codes_for((model,), 3)
    mixed = told_class()
    assert mixed.network.layers[-1].compute_dtype == "float32"
    assert mixed.stacks.hidden.compute_dtype == "bfloat16"
    data = compress_codes(codes, (model, mixed), [0, 1, 2])
    assert data == compress_codes(codes, (model, prior), [0, 1, 2])


def test_threads_do_not_meet(made):
    """Each has its own precision: that of others, and of this one behind it, stays as it is."""
    models, kinds = made("told the class"), set()
    codes, done = codes_for(models, 20), []
    expected = compress_codes(codes, models, np.zeros(20, "int32"))
    threads = [
        threading.Thread(target=lambda: done.append(compress_codes(codes, models, np.zeros(20, "int32"))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        kinds |= {keras.config.dtype_policy().name, ops.ones(1).dtype.name, keras.layers.Dense(1).compute_dtype}
    for thread in threads:
        thread.join()
    assert done == [expected] * 3
    assert kinds == {"float32"}


def test_diverged_prior_is_refused(made):
    models = made("plain")[0], Constant([np.nan] * 8)
    with pytest.raises(ValueError, match="The prior gives NaN or infinity"):
        compress_codes(codes_for(models, 1), models)


@pytest.mark.parametrize("kind", ["plain", "told the class", "transformer told the class"])
def test_double_precision_differs_by_far_less_than_the_margin(kind):
    """With 1 and 20 grids at once, position by position and whole, compiled and not; in float32 it differs by more."""
    (prior,) = PRIORS[kind]()
    codes = np.random.default_rng(0).integers(8, size=(20, 4, 4)).astype("int32")
    told = [np.arange(20, dtype="int32") % CLASSES] if kind in TOLD else []

    def stepwise(prior, rows):
        grids = []

        class Recorder(compression._Writer):
            def shift(self, logits):
                grids.append(logits)
                return 0

        compression._run(prior, [each[rows] for each in told], Recorder(), codes[rows], iter(range(4)))
        return np.stack(grids, axis=1)

    with compression.backend.double_precision():
        double = compression._in_double_precision(prior)
        assert {weight.dtype.name for weight in double.get_weights()} == {"float64"}
        at_once = stepwise(double, slice(None))
        one_by_one = np.concatenate([stepwise(double, slice(i, i + 1)) for i in range(4)])
        if keras.backend.backend() == "tensorflow":
            compiled = keras.ops.convert_to_numpy(
                compression.backend.compiled(
                    double,
                    "whole",
                    lambda *x: double.network(x if told else x[0]),
                    *(keras.KerasTensor((None, *each.shape[1:]), "int32") for each in (codes, *told)),
                )(codes, *told)
            ).reshape(20, 16, 8)
            assert np.abs(at_once - compiled).max() < MARGIN * STEP / 100
    single = prior.predict((codes, *told) if told else codes, verbose=0).reshape(20, 16, 8)
    assert np.abs(at_once[:4] - one_by_one).max() < MARGIN * STEP / 100
    assert np.abs(at_once - single).max() > MARGIN * STEP


def test_what_is_set_for_double_precision_is_put_back(made):
    models = made("plain")
    codes = codes_for(models, 1)
    before = keras.config.dtype_policy().name
    compress_codes(codes, models)
    with pytest.raises(ValueError, match="NaN"):
        compress_codes(codes, (models[0], Constant([np.nan] * 8)))
    assert keras.config.dtype_policy().name == before == "float32"
    assert ops.convert_to_tensor(np.ones(1)).dtype == (
        "float64" if keras.backend.backend() == "tensorflow" else "float32"
    )


def test_prior_is_left_as_it_was(made):
    models = made("told the class")
    before = models[1].get_weights()
    compress_codes(codes_for(models, 2), models)
    for old, new in zip(before, models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
        assert new.dtype == "float32"


# Files that are not what they should be


@pytest.fixture(scope="module")
def small(made):
    models = made("told the class")
    return models, compress_codes(codes_for(models, 2), models, np.array([2, 0]))


def test_every_bit_that_flips_is_found(small):
    models, data = small
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(CompressionError):
                decompress_codes(bytes(damaged), models)


def test_every_byte_that_becomes_another_is_found(small):
    """By the check value, before anything is decoded."""
    _, data = small
    for place in range(len(data)):
        for value in range(256):
            if value != data[place]:
                with pytest.raises(CompressionError):
                    compression._checked_file(data[:place] + bytes([value]) + data[place + 1 :])


def test_every_cut_and_every_addition_is_found(small):
    models, data = small
    for length in range(len(data)):
        with pytest.raises(CompressionError):
            decompress_codes(data[:length], models)
    for more in (b"\0", b"\n", data):
        with pytest.raises(CompressionError, match="damaged or cut short"):
            decompress_codes(data + more, models)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no file that vqlib.compress made"),
        (b"\x89PNG\r\n\x1a\n", "no file that vqlib.compress made"),
        (b"vqc", "another version of the format"),
        (b"vqc2" + bytes(20), "another version of the format"),
        (b"vqc1", "damaged or cut short"),
        (b"vqc1" + bytes(100), "damaged or cut short"),
    ],
)
def test_foreign_file_is_refused(small, data, message):
    with pytest.raises(CompressionError, match=message):
        vqlib.decompress(data, small[0])


def test_what_is_no_bytes_is_refused(small):
    with pytest.raises(TypeError, match="data must be bytes, but a str was given"):
        vqlib.decompress("digit.vq", small[0])


def test_bytes_in_any_wrapping(small):
    models, data = small
    for wrapped in (bytearray(data), memoryview(data)):
        assert_same(decompress_codes(wrapped, models), *decompress_codes(data, models))


def resealed(body):
    """Return a file whose check value over all bytes is right, whatever they are: forged, or by one chance in 2^32."""
    return compression.MAGIC + compression._crc(body) + body


@pytest.mark.parametrize("number", [0, 1, 3, 200, 2**35 - 1])
def test_file_that_holds_fewer_or_more_than_it_counts(small, number):
    """And it is found before there is room made for all of them."""
    models, data = small
    body = data[8:16] + compression._as_bytes(number) + data[17:]
    with pytest.raises(CompressionError, match="other probabilities"):
        decompress_codes(resealed(body), models)


@pytest.mark.parametrize("more", [b"\0", b"v"])
def test_file_with_more_than_its_codes_take(small, more):
    models, data = small
    with pytest.raises(CompressionError, match="other probabilities"):
        decompress_codes(resealed(data[8:] + more), models)


def test_file_that_counts_without_end(small):
    models, data = small
    for count in (b"\xff" * 3, b"\xff" * 1000, b"\xff" * 5 + b"\0"):
        with pytest.raises(CompressionError, match="does not say how many images"):
            decompress_codes(resealed(data[8:16] + count), models)


def test_thousands_of_damaged_files_are_found(small):
    """Bytes that are changed, left out, put in, put elsewhere; a few in each."""
    models, data = small
    generator = np.random.default_rng(0)
    for _ in range(5000):
        damaged = bytearray(data)
        for _ in range(generator.integers(1, 5)):
            place, other = sorted(generator.integers(len(damaged), size=2))
            match generator.integers(4):
                case 0:
                    damaged[place] = generator.integers(256)
                case 1:
                    del damaged[place:other]
                case 2:
                    damaged[place:place] = generator.bytes(generator.integers(1, 9))
                case 3:
                    damaged[place:other] = damaged[place:other][::-1]
        if damaged != data:
            with pytest.raises(CompressionError):
                decompress_codes(bytes(damaged), models)


def test_hundreds_of_forged_files_give_nothing_else(made):
    """With the first check value right, the second one finds it, or it is what the file held."""
    models = made("plain")[0], Constant(np.linspace(0, 4, 8))
    data = compress_codes(codes_for(models, 3), models)
    expected = decompress_codes(data, models)
    generator = np.random.default_rng(0)
    for _ in range(400):
        body = bytearray(data[8:])
        body[generator.integers(4, len(body))] = generator.integers(256)
        body += generator.bytes(generator.integers(2))
        try:
            found = decompress_codes(resealed(bytes(body)), models)
        except CompressionError:
            continue
        assert_same(found, *expected)


@pytest.mark.parametrize("part", ["tokenizer", "prior"])
def test_other_models_are_told(small, tiny_vqvae, part):
    (model, prior), data = small
    assert compression.made_with(data, (model, prior))
    others = (with_weights(tiny_vqvae(), 1), prior) if part == "tokenizer" else (model, told_class(seed=1))
    assert not compression.made_with(data, others)
    with pytest.raises(CompressionError, match="made with other models than these"):
        vqlib.decompress(data, others)


def test_one_weight_is_enough_to_be_another_model(small):
    (model, prior), data = small
    weights = prior.get_weights()
    weights[0].flat[0] += 1e-3
    other = told_class()
    other.set_weights(weights)
    assert not compression.made_with(data, (model, other))


def test_weights_of_low_precision_are_told_apart(made):
    """NumPy knows bfloat16 as no floating point."""
    model, _ = made("told the class")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("bfloat16")
    try:
        one, other = told_class(), told_class()
    finally:
        keras.config.set_dtype_policy(before)
    weights = other.get_weights()
    assert weights[0].dtype.name == "bfloat16"
    weights[0] = -weights[0]
    other.set_weights(weights)
    data = compress_codes(codes_for((model,), 1), (model, one), [0])
    assert compression.made_with(data, (model, one))
    assert not compression.made_with(data, (model, other))


# Arguments


@pytest.mark.parametrize(
    ("models", "error", "message"),
    [
        (lambda model, prior: model, TypeError, "models must be a tokenizer and its priors"),
        (lambda model, prior: (prior, model), TypeError, "but a tuple of 2 was given"),
        (lambda model, prior: (), TypeError, "but a tuple of 0 was given"),
        (lambda model, prior: (model, "mnist-prior"), TypeError, "but a str is given as a prior"),
        (lambda model, prior: (model,), ValueError, r"VQVAE needs 1 prior\(s\), but 0 were given"),
        (lambda model, prior: (model, prior, prior), ValueError, "but 2 were given"),
        (
            lambda model, prior: (model, gated(code_shape=(4, 5))),
            ValueError,
            r"\(4, 4\) out of 8, .* \(4, 5\) out of 8",
        ),
        (
            lambda model, prior: (model, gated(num_embeddings=9)),
            ValueError,
            "out of 8, but its prior is for .* out of 9",
        ),
        (
            lambda model, prior: (model, vqlib.MaskedTransformer((4, 4), 8, 4, 1, 2)),
            TypeError,
            "A MaskedTransformer gives a grid no probability",
        ),
        (lambda model, prior: (model, on_top()), ValueError, "not those of the level above"),
    ],
)
def test_models_that_do_not_fit_are_refused(made, models, error, message):
    given = models(*made("plain"))
    with pytest.raises(error, match=message):
        compress_codes(np.zeros((1, 4, 4), "int32"), given)
    with pytest.raises(error, match=message):
        decompress_codes(b"vqc1", given)


@pytest.mark.parametrize(
    ("kind", "codes", "labels", "error", "message"),
    [
        ("plain", np.zeros((2, 4, 4), "int32"), [0, 1], ValueError, "no prior is told the class"),
        ("plain", np.zeros((2, 4, 3), "int32"), None, ValueError, "codes must have shape"),
        ("plain", np.full((2, 4, 4), 8), None, ValueError, r"codes must lie in 0\.\.7"),
        ("plain", np.zeros((2, 4, 4)), None, TypeError, "codes must be integers"),
        ("told the class", np.zeros((2, 4, 4), "int32"), [0, 3], ValueError, r"labels must lie in 0\.\.2"),
        ("told the class", np.zeros((2, 4, 4), "int32"), [0], ValueError, "labels must be 2 integers"),
        ("two levels", np.zeros((2, 4, 4), "int32"), None, ValueError, "codes must be a grid for each of 2 levels"),
        (
            "two levels",
            (np.zeros((1, 2, 2), "int32"), np.zeros((2, 4, 4), "int32")),
            None,
            ValueError,
            "codes of 1 and 2 images",
        ),
    ],
)
def test_arguments_are_refused(made, kind, codes, labels, error, message):
    with pytest.raises(error, match=message):
        compress_codes(codes, made(kind), labels)


def test_images_are_checked(made):
    with pytest.raises(TypeError, match="images must be floating point"):
        vqlib.compress(np.zeros((1, 8, 8, 1), "uint8"), made("plain"))


def test_prior_without_a_way_to_run_it_is_refused(made):
    class Unknown(Constant):
        pass

    incremental.register(Unknown)(lambda prior: incremental.dispatch(object)(prior))
    with pytest.raises(TypeError, match="one position at a time"):
        compress_codes(np.zeros((1, 4, 4), "int32"), (made("plain")[0], Unknown([0.0] * 8)))

"""The doors of all models: what they refuse, before Keras has touched the model, and what they let in."""

import dataclasses
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import vqlib
from vqlib import _checks, _keras_internals
from vqlib._checks import as_array, check_code_range, check_images, check_positive_integer, check_sizes, dtype_of

tf = pytest.importorskip("tensorflow")

N = 8
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(-0.5, 0.5, size=(N, 8, 8, 1)).astype("float32")
CODES = GENERATOR.integers(5, size=(N, 4, 6)).astype("int32")
LABELS = GENERATOR.integers(3, size=N).astype("int32")

Arrays = Any  # x, or a tuple of arrays


@dataclasses.dataclass
class Model:
    """A kind of model, and inputs and targets that it takes."""

    make: Callable[[], keras.Model]
    x: Arrays
    y: Any = None

    @property
    def arguments(self):
        """What fit takes."""
        return (self.x,) if self.y is None else (self.x, self.y)


MODELS = {
    "vqvae": Model(lambda: vqlib.VQVAE((8, 8, 1), 8, 4, filters=(4,)), IMAGES),
    "vqvae2": Model(lambda: vqlib.VQVAE2((8, 8, 1), 8, 4, filters=(4, 4)), IMAGES),
    "pixelcnn": Model(
        lambda: vqlib.PixelCNN((4, 6), 5, filters=4, num_residual_blocks=1, num_pixelcnn_layers=0), CODES
    ),
    "conditioned": Model(
        lambda: vqlib.GatedPixelCNN((4, 6), 5, filters=4, num_layers=2, condition_shape=(), num_conditions=3),
        (CODES, LABELS),
    ),
    "transformer": Model(
        lambda: vqlib.TransformerPrior((4, 6), 5, 4, 1, 2, condition_shape=(), num_conditions=3), (CODES, LABELS)
    ),
    "masked": Model(lambda: vqlib.MaskedTransformer((4, 6), 5, 4, 1, 2), CODES),
    "classifier": Model(lambda: vqlib.Classifier((8, 8, 1), 3, (4, 6)), IMAGES, LABELS),
}

NOT_A_NUMBER = IMAGES.copy()
NOT_A_NUMBER[2, 1, 1, 0] = np.nan
IMAGES_REFUSED = {
    "uint8": (np.round((IMAGES + 0.5) * 255).astype("uint8"), TypeError, "must be floating point, but are uint8"),
    "0 to 255": (
        np.round((IMAGES + 0.5) * 255).astype("float32"),
        ValueError,
        r"must lie in .* but lie in \[\d+, 254\]\. .*/ 255",
    ),
    "0 to 1": (IMAGES + 0.5, ValueError, r"must lie in \[-0.5, 0.5\], but lie in \[0.0"),
    "-1 to 0": (IMAGES - 0.5, ValueError, r"must lie in \[-0.5, 0.5\], but lie in \[-0.99"),
    "not finite": (NOT_A_NUMBER, ValueError, r"contain NaN or infinity, in 1 of \d images"),
    "another size": (IMAGES[:, :7], ValueError, r"must be 8 x 8, but have shape \(\w+, 7, 8, 1\)"),
    "colour": (np.repeat(IMAGES, 3, axis=-1), ValueError, r"must have 1 channel\(s\) on the last axis"),
}
CODES_REFUSED = {
    "too large": (CODES + 1, ValueError, r"must lie in 0..4 \(num_embeddings=5\), but lie in 1..5"),
    "negative": (CODES - 1, ValueError, r"must lie in 0..4 \(num_embeddings=5\), but lie in -1..3"),
    "floats": (CODES.astype("float32"), TypeError, r"must be integers \(code indices\), but are float32"),
    "another size": (CODES[:, :3], ValueError, r"must have shape \(batch, 4, 6\), but have shape \(\w+, 3, 6\)"),
}
REFUSED = {
    "vqvae": IMAGES_REFUSED,
    "vqvae2": {fault: IMAGES_REFUSED[fault] for fault in ("uint8", "0 to 1")},
    "pixelcnn": CODES_REFUSED,
    "conditioned": {
        **{name: ((codes, LABELS), *answer) for name, (codes, *answer) in CODES_REFUSED.items()},
        "label too large": ((CODES, LABELS + 1), ValueError, r"class labels, must lie in 0..2 .* but lies in \d..3"),
        "negative label": ((CODES, LABELS - 3), ValueError, r"must lie in 0..2 \(num_conditions=3\)"),
        "float labels": ((CODES, LABELS / 1.0), TypeError, "condition must be integers, class labels, but is float"),
        "column of labels": ((CODES, LABELS[:, None]), ValueError, r"1\)\. For labels in a column: condition\[:, 0\]"),
        "one-hot labels": ((CODES, np.eye(3, dtype=int)[LABELS]), ValueError, "must be class labels of shape"),
        "codes alone": (CODES, ValueError, r"is conditioned and takes the pair \(codes, condition\)"),
    },
    "transformer": {
        "too large": ((CODES + 1, LABELS), *CODES_REFUSED["too large"][1:]),
        "codes alone": (CODES, ValueError, r"is conditioned and takes the pair \(codes, condition\)"),
    },
    "masked": {
        "too large": (CODES + 2, ValueError, r"must lie in 0..4 \(num_embeddings=5\),.* but lie in 2..6"),
        "floats": CODES_REFUSED["floats"],
        "pair": ((CODES, LABELS), ValueError, "a tuple was given, but this prior takes an array of codes alone"),
    },
    "classifier": {fault: IMAGES_REFUSED[fault] for fault in ("uint8", "0 to 1")},
}
CASES = [
    pytest.param(name, *case, id=f"{name}-{fault}") for name, cases in REFUSED.items() for fault, case in cases.items()
]


class Torch:
    """A tensor of PyTorch, as another backend sees it: a dtype without a name, values by ``detach`` and ``cpu``."""

    class Dtype:
        def __init__(self, name):
            self.printed = f"torch.{name}"

        def __str__(self):
            return self.printed

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, Torch.Dtype(values.dtype.name)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, place):
        return Torch(self.values[place])

    def detach(self):
        return self

    def cpu(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Can't convert a tensor on a GPU to NumPy. Use Tensor.cpu().")


class Batches(keras.utils.PyDataset):
    """Batches of four."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def __len__(self):
        return N // 4

    def __getitem__(self, index):
        return keras.tree.map_structure(lambda array: array[4 * index : 4 * index + 4], self.data)


def generator(data):
    """Yield batches of four."""
    yield from (Batches(data)[index] for index in range(N // 4))


def of_unknown_rank(data):
    """Return a dataset of one array that does not tell the shape of its batches."""
    return tf.data.Dataset.from_generator(lambda: generator(data), output_types=(data[0].dtype.name,))


WHOLE = {
    "array": lambda array: array,
    "list": list,
    "tensor": keras.ops.convert_to_tensor,
    "TensorFlow's": tf.constant,
    "PyTorch's": Torch,
}
IN_BATCHES = {
    "tf.data": lambda data: tf.data.Dataset.from_tensor_slices(data).batch(4),
    "PyDataset": Batches,
    "generator": generator,
}
ARRAY_DOORS = {
    "fit": lambda model, *data: model.fit(*data, verbose=0),
    "evaluate": lambda model, *data: model.evaluate(*data, verbose=0),
    "predict": lambda model, x, *_: model.predict(x, verbose=0),
    "train_on_batch": lambda model, *data: model.train_on_batch(*data),
    "test_on_batch": lambda model, *data: model.test_on_batch(*data),
    "predict_on_batch": lambda model, x, *_: model.predict_on_batch(x),
}
BATCH_DOORS = {name: ARRAY_DOORS[name] for name in ("fit", "evaluate", "predict")}


@pytest.fixture(scope="module")
def strict():
    """Return a compiled model of each kind: the same one for each test, since what is refused leaves no trace."""
    made = {}

    def get(name):
        if name not in made:
            keras.utils.set_random_seed(0)
            made[name] = MODELS[name].make()
            made[name].compile(keras.optimizers.SGD(1e-3))
        return made[name]

    return get


@pytest.fixture(params=MODELS)
def kind(request):
    return MODELS[request.param]


@pytest.fixture
def fresh(kind):
    """A model of each kind, compiled and never used."""
    keras.utils.set_random_seed(0)
    model = kind.make()
    model.compile(keras.optimizers.SGD(1e-2))
    return model


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


# What is refused


@pytest.mark.parametrize("container", WHOLE)
@pytest.mark.parametrize(("name", "x", "error", "message"), CASES)
def test_wrong_arrays_are_refused_before_keras_sees_them(strict, name, x, error, message, container):
    model, right = strict(name), MODELS[name]
    before = model.get_weights()
    wrong = keras.tree.map_structure(WHOLE[container], x)
    targets = right.arguments[1:]
    for door in ARRAY_DOORS.values():
        with pytest.raises(error, match=message):
            door(model, wrong, *targets)
    with pytest.raises(error, match=f"to validate on.*{message}|condition.*{message}|{message}"):
        model.fit(*right.arguments, validation_data=(wrong, *targets), verbose=0)
    assert_same(model.get_weights(), before)
    assert np.isfinite(model.train_on_batch(*right.arguments)).all()


@pytest.mark.parametrize("container", IN_BATCHES)
@pytest.mark.parametrize(("name", "x", "error", "message"), CASES)
def test_wrong_batches_are_refused_before_keras_sees_them(strict, name, x, error, message, container):
    model, right = strict(name), MODELS[name]
    before = model.get_weights()

    def wrong():
        return IN_BATCHES[container]((x, *right.arguments[1:]))

    for door in BATCH_DOORS.values():
        with pytest.raises(error, match=message):
            door(model, wrong())
    with pytest.raises(error, match=message):
        model.fit(*right.arguments, validation_data=wrong(), verbose=0)
    assert_same(model.get_weights(), before)
    assert np.isfinite(model.train_on_batch(*right.arguments)).all()


def test_message_tells_what_the_images_were_for(strict):
    model = strict("vqvae")
    for door, purpose in {"fit": "to train on", "evaluate": "to evaluate", "predict": "to predict from"}.items():
        with pytest.raises(ValueError, match=f"images {purpose} must lie in"):
            ARRAY_DOORS[door](model, IMAGES + 1)
    with pytest.raises(ValueError, match="images to validate on must lie in"):
        model.fit(IMAGES, validation_data=IMAGES + 1, verbose=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, r"labels must lie in 0..2, but lie in 1..3"),
        (LABELS.astype("float32"), r"labels must be \d?.?integers, one an image, but are float32 of shape"),
        (LABELS[:, None] / 1.0, r"labels must be .*float64 of shape .*\. Convert: labels.astype\('int32'\)"),
        (np.eye(3, dtype="int32")[LABELS], r"labels must be .*of shape \(.*, 3\)\. For one-hot labels: np.argmax"),
    ],
    ids=["too large", "floats", "column of floats", "one-hot"],
)
@pytest.mark.parametrize("container", [*WHOLE, *IN_BATCHES])
def test_wrong_labels_of_a_classifier_are_refused(strict, labels, message, container):
    model = strict("classifier")
    before = model.get_weights()
    for door in ("fit", "evaluate") if container in IN_BATCHES else ("fit", "evaluate", "train_on_batch"):
        if container in IN_BATCHES:
            data = [IN_BATCHES[container]((IMAGES, labels))]
        else:
            data = [WHOLE[container](IMAGES), WHOLE[container](labels)]
        with pytest.raises(ValueError, match=message):
            ARRAY_DOORS[door](model, *data)
    assert_same(model.get_weights(), before)


def calls_with_sample_weight(model, x, y, weights):
    """Return each call that hands over weights, by name, by position and in a dataset."""
    calls = [
        lambda: model.fit(x, y, sample_weight=weights),
        lambda: model.fit(x, y, 32, 1, 0, None, 0.0, None, True, None, weights),
        lambda: model.evaluate(x, y, sample_weight=weights),
        lambda: model.evaluate(x, y, 32, 0, weights),
        lambda: model.train_on_batch(x, y, weights),
        lambda: model.test_on_batch(x, y, weights),
    ]
    if y is not None:
        calls += [
            lambda: model.fit(x, y, validation_data=(x, y, weights)),
            lambda: model.fit(tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(4)),
            lambda: model.fit(generator((x, y, weights))),
            lambda: model.evaluate(Batches((x, y, weights))),
        ]
    return calls


def calls_with_class_weight(model, x, y):
    """Return each call that hands over weights of classes."""
    return [
        lambda: model.fit(x, y, class_weight={0: 1.0}),
        lambda: model.fit(x, y, 32, 1, 0, None, 0.0, None, True, {0: 1.0}),
        lambda: model.train_on_batch(x, y, class_weight={0: 1.0}),
    ]


@pytest.mark.parametrize("targets", ["own", "labels"])
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_refused_however_they_come(strict, name, targets):
    model, x = strict(name), MODELS[name].x
    y = LABELS if targets == "labels" else MODELS[name].y
    before = model.get_weights()
    for call in calls_with_sample_weight(model, x, y, np.zeros(N, "float32")):
        with pytest.raises(ValueError, match="sample_weight is not supported"):
            call()
    for call in calls_with_class_weight(model, x, y):
        with pytest.raises(ValueError, match="class_weight is not supported"):
            call()
    assert_same(model.get_weights(), before)


def test_refused_first_call_leaves_a_model_that_trains(fresh, kind):
    before = fresh.get_weights()
    targets = LABELS if kind.y is None else kind.y
    with pytest.raises(ValueError, match="sample_weight"):
        fresh.fit(kind.x, targets, sample_weight=np.ones(N))
    with pytest.raises(ValueError, match="sample_weight"):
        fresh.fit(tf.data.Dataset.from_tensor_slices((kind.x, targets, np.ones(N))).batch(4))
    with pytest.raises(ValueError, match="sample_weight"):
        fresh.evaluate(kind.x, targets, sample_weight=np.ones(N))
    assert_same(fresh.get_weights(), before)
    assert np.isfinite(fresh(kind.x)).all()
    assert np.isfinite(fresh.fit(*kind.arguments, verbose=0).history["loss"]).all()
    assert any((one != other).any() for one, other in zip(fresh.get_weights(), before, strict=True))


@pytest.mark.parametrize("door", ["fit", "evaluate", "predict", "train_on_batch"])
def test_interrupted_first_call_leaves_a_model_that_trains(door, monkeypatch):
    kind = MODELS["vqvae"]
    fresh = kind.make()
    fresh.compile("adam")
    before = fresh.get_weights()

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(fresh), "call" if door == "predict" else "compute_loss", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ARRAY_DOORS[door](fresh, *kind.arguments)
    assert_same(fresh.get_weights(), before)
    assert np.isfinite(fresh.predict(kind.x, verbose=0)).all()
    assert np.isfinite(fresh.fit(*kind.arguments, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("dataset", [*IN_BATCHES, "array"])
def test_conditioned_prior_names_the_way_out_where_codes_and_labels_are_apart(strict, dataset):
    model = strict("conditioned")
    data = (CODES, LABELS) if dataset == "array" else (IN_BATCHES[dataset]((CODES, LABELS)),)
    with pytest.raises(ValueError, match=re.escape("dataset.map(lambda codes, condition: ((codes, condition),))")):
        model.fit(*data, verbose=0)


def test_that_way_out_is_one(strict):
    flat = tf.data.Dataset.from_tensor_slices((CODES, LABELS)).batch(4)
    dataset = flat.map(lambda codes, condition: ((codes, condition),))
    strict("conditioned").fit(dataset, validation_data=dataset, verbose=0)


def test_pairs_and_tuples_that_are_no_inputs_are_refused(strict):
    for name in ("vqvae", "classifier"):
        with pytest.raises(ValueError, match=r"must be one array, but a tuple of 2 arrays was given"):
            strict(name).fit((IMAGES, IMAGES), verbose=0)
    with pytest.raises(ValueError, match="a tuple was given, but this prior takes an array of codes alone"):
        strict("pixelcnn").fit((CODES, LABELS), verbose=0)


@pytest.mark.parametrize("name", MODELS)
def test_single_examples_are_refused(strict, name):
    model, data = strict(name), MODELS[name].arguments
    dataset = tf.data.Dataset.from_tensor_slices(data)
    examples = (keras.tree.map_structure(lambda array: array[0], data) for _ in range(3))
    for singles in (dataset, examples):
        with pytest.raises(ValueError, match=r"Put some together: dataset.batch|must have shape \(batch, 4, 6\)"):
            model.fit(singles, verbose=0)


@pytest.mark.parametrize("name", ["vqvae", "pixelcnn", "classifier"])
def test_dict_is_refused_with_its_keys(strict, name):
    x = MODELS[name].x
    dataset = tf.data.Dataset.from_tensor_slices({"image": x, "label": LABELS}).batch(4)
    with pytest.raises(TypeError, match=r"is a dict of 'image', 'label'\. .*dataset.map"):
        strict(name).fit(dataset, verbose=0)
    with pytest.raises(TypeError, match="must be an array, but a dict of 'image' was given"):
        strict(name).fit({"image": x}, verbose=0)


@pytest.mark.parametrize("x", [None, "pictures/"], ids=str)
def test_what_is_no_array_is_refused(strict, x):
    with pytest.raises(TypeError, match=f"must be an array, but {x!r} was given"):
        strict("vqvae").fit(x, verbose=0)


def test_nothing_to_learn_from_is_refused(fresh, kind):
    none = keras.tree.map_structure(lambda array: array[:0], kind.arguments)
    for door in ("fit", "evaluate", "train_on_batch"):
        with pytest.raises(ValueError, match=r"There is nothing to .*: no inputs were given"):
            ARRAY_DOORS[door](fresh, *none)
    for data in (IN_BATCHES["tf.data"](kind.arguments).take(0), (batch for batch in [])):
        with pytest.raises(ValueError, match="There is nothing to train on: there was no batch"):
            fresh.fit(data, verbose=0)


def test_prediction_from_nothing_is_nothing(fresh, kind):
    none = keras.tree.map_structure(lambda array: array[:0], kind.x)
    for outputs in (fresh.predict(none, verbose=0), fresh.predict_on_batch(none)):
        assert (outputs.shape, outputs.dtype) == ((0, *fresh(kind.x).shape[1:]), np.float32)


def test_batches_of_unknown_rank_are_looked_at(strict):
    dataset = of_unknown_rank((IMAGES,))
    assert dataset.element_spec[0].shape.rank is None
    with pytest.raises(ValueError, match="images to evaluate must lie in"):
        strict("vqvae").evaluate(of_unknown_rank((IMAGES + 1,)), verbose=0)


def test_dataset_is_refused_by_its_description_before_a_batch_is_made(strict):
    def never(*args):
        raise AssertionError("a batch was made")

    dataset = tf.data.Dataset.range(1).map(lambda i: tf.numpy_function(never, [i], tf.uint8))
    dataset = dataset.map(lambda x: tf.ensure_shape(x, (4, 8, 8, 1)))
    with pytest.raises(TypeError, match="must be floating point, but are uint8"):
        strict("vqvae").fit(dataset, verbose=0)


# What is let in


def test_every_container_trains_like_arrays_and_no_batch_is_lost(kind):
    model = kind.make()
    start = model.get_weights()
    random = [(state, keras.ops.convert_to_numpy(state)) for state in _keras_internals.random_states(model)]

    def train(*data, **options):
        model.set_weights(start)
        for state, first in random:
            state.assign(first)
        model.compile(keras.optimizers.SGD(1e-2), run_eagerly=True)
        model.fit(*data, verbose=0, **options)
        return model.get_weights()

    expected = train(*kind.arguments, batch_size=4, shuffle=False)
    found = {
        name: train(*keras.tree.map_structure(WHOLE[name], kind.arguments), batch_size=4, shuffle=False)
        for name in ("list", "tensor", "TensorFlow's")
    }
    found["tf.data"] = train(IN_BATCHES["tf.data"](kind.arguments))
    found["PyDataset"] = train(Batches(kind.arguments), shuffle=False)
    found["generator"] = train(generator(kind.arguments), steps_per_epoch=N // 4)
    for name, weights in found.items():
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6, err_msg=name)
    assert any((one != other).any() for one, other in zip(expected, start, strict=True))


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras on JAX makes the variables beforehand itself"
)
@pytest.mark.parametrize("train", ["fit", "train_on_batch"])
def test_training_step_is_traced_once(train, tiny_vqvae, images):
    """Keras would make the optimizer's variables within the step, and TensorFlow trace the step twice for that."""
    model, traces = tiny_vqvae(), []
    model.train_step, step = lambda data: traces.append(1) or step(data), model.train_step
    model.compile(optimizer="adam")
    for _ in range(2):
        getattr(model, train)(images)
    assert traces == [1]


def test_single_images_and_grids_in_lists_are_inputs(strict):
    for name in ("vqvae", "pixelcnn"):
        model, x = strict(name), MODELS[name].x
        few = [x[0], x[1], x[2]]
        history = model.fit(x, validation_data=few, verbose=0).history
        np.testing.assert_allclose(model.predict(few, verbose=0), model.predict(x[:3], verbose=0), atol=1e-6)
        expected = model.evaluate(x[:3], verbose=0, return_dict=True)["loss"]
        assert history["val_loss"][0] == pytest.approx(expected, rel=1e-4)


def test_lists_of_images_are_encoded_and_of_several_shapes_refused(strict):
    model = strict("vqvae")
    np.testing.assert_array_equal(model.encode(list(IMAGES)), model.encode(IMAGES))
    with pytest.raises(ValueError, match=r"images must all have one shape, .*: \(4, 8, 1\), \(8, 8, 1\)\. Resize"):
        model.encode([IMAGES[0], IMAGES[1, :4]])


def test_encode_says_what_to_do_with_a_dataset(strict):
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    with pytest.raises(TypeError, match=r"BatchDataset was given\. Take its batches one by one"):
        strict("vqvae").encode(dataset)
    codes = np.concatenate([strict("vqvae").encode(batch) for batch in dataset])
    np.testing.assert_array_equal(codes, strict("vqvae").encode(IMAGES))


def test_tensors_of_other_libraries_are_encoded(strict):
    class OnHost(Torch):
        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype)

        def __getitem__(self, place):
            return OnHost(self.values[place])

    np.testing.assert_array_equal(strict("vqvae").encode(OnHost(IMAGES)), strict("vqvae").encode(IMAGES))


FORMS = {
    "vqvae": {"x": IMAGES, "(x,)": (IMAGES,), "(x, x)": (IMAGES, IMAGES), "(x, y)": (IMAGES, LABELS)},
    "vqvae2": {"x": IMAGES},
    "pixelcnn": {"x": CODES, "(x,)": (CODES,), "(x, x)": (CODES, CODES), "[x, y]": [CODES, LABELS]},
    "conditioned": {
        "(codes, labels)": (CODES, LABELS),
        "[codes, labels]": [CODES, LABELS],
        "((codes, labels),)": ((CODES, LABELS),),
        "((codes, labels), y)": ((CODES, LABELS), LABELS),
    },
    "classifier": {"(x, y)": (IMAGES, LABELS), "[x, y]": [IMAGES, LABELS]},
}


@pytest.mark.parametrize(
    ("name", "data"),
    [pytest.param(name, data, id=f"{name}-{form}") for name in FORMS for form, data in FORMS[name].items()],
)
def test_validation_data_are_taken_in_every_form_by_name_and_by_position(strict, name, data):
    model, right = strict(name), MODELS[name]
    x, y = right.x, right.y
    by_name = model.fit(x, y, validation_data=data, verbose=0).history["val_loss"]
    assert by_name == pytest.approx([model.evaluate(x, y, verbose=0, return_dict=True)["loss"]], rel=1e-4)
    by_position = model.fit(x, y, 32, 1, 0, None, 0.0, data).history["val_loss"]
    assert by_position == pytest.approx([model.evaluate(x, y, verbose=0, return_dict=True)["loss"]], rel=1e-4)


def test_validation_data_by_position_are_checked_before_the_training(strict):
    model = strict("vqvae")
    before = model.get_weights()
    with pytest.raises(ValueError, match="images to validate on must lie in"):
        model.fit(IMAGES, None, 32, 1, 0, None, 0.0, IMAGES + 1)
    assert_same(model.get_weights(), before)


def test_images_a_rounding_beyond_the_range_are_taken(strict):
    model = strict("vqvae")
    model.encode(IMAGES / np.abs(IMAGES).max() * np.float32(0.5 * (1 + 1e-3)))
    white = np.full((1, 200, 300, 1), 0.5, "float32")
    smaller = tf.image.resize(white, (8, 8), antialias=True).numpy()
    assert smaller.max() > 0.5
    model.encode(smaller)


@pytest.mark.parametrize(("value", "printed"), [(0.502, "0.502"), (0.5012, "0.5012"), (-0.50123, "-0.50123")])
def test_message_on_the_range_has_digits_enough_to_tell(value, printed):
    images = np.zeros((1, 2, 2, 1), "float32")
    images[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=re.escape(printed)):
        check_images(images)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_floating_point_type_is_taken(strict, dtype):
    images = keras.ops.convert_to_numpy(keras.ops.cast(0.5 * IMAGES, dtype))
    assert strict("vqvae").encode(images).shape == (N, 4, 4)
    with pytest.raises(ValueError, match="must lie in"):
        strict("vqvae").encode(images + images.dtype.type(1))


# compile


LOSS_ARGUMENTS = {"loss": "mse", "loss_weights": [2.0], "metrics": ["mae"], "weighted_metrics": ["mae"]}


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name in MODELS
        for argument in LOSS_ARGUMENTS
        if (name, argument) != ("classifier", "metrics")
    ],
)
def test_compile_refuses_what_the_model_would_not_use(name, argument):
    model = MODELS[name].make()
    with pytest.raises(ValueError, match=rf"compile\({argument}=.*own\. Leave {argument} out"):
        model.compile("adam", **{argument: LOSS_ARGUMENTS[argument]})
    assert not model.compiled


def test_refused_compile_leaves_the_last_one(strict):
    model = strict("vqvae")
    optimizer = model.optimizer
    with pytest.raises(ValueError, match=r"compile\(loss='mse'\): the loss is VQVAE's own\. Leave loss out"):
        model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"compile\(metrics=\['mae'\]\): what is measured is VQVAE's own"):
        model.compile("adam", metrics=["mae"])
    assert model.optimizer is optimizer
    assert np.isfinite(model.fit(IMAGES, verbose=0).history["loss"]).all()


def test_classifier_takes_more_metrics_and_keeps_them_when_loaded(tmp_path):
    model = MODELS["classifier"].make()
    model.compile("adam", run_eagerly=True, metrics=[keras.metrics.SparseTopKCategoricalAccuracy(3, name="top")])
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        assert each.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["top"] == 1.0


# Loaded, and exported


def exported(model, x, folder):
    """Return what an exported model answers."""
    model.export(folder / "exported", verbose=False)
    reloaded = tf.saved_model.load(folder / "exported")
    return reloaded.serve(keras.tree.map_structure(tf.constant, x))


def test_model_that_was_never_called_is_exported(kind, tmp_path):
    model = kind.make()
    np.testing.assert_allclose(exported(model, kind.x, tmp_path), model(kind.x), atol=1e-5)
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.fit(*kind.arguments, verbose=0).history["loss"]).all()


def test_loaded_model_evaluates_and_is_exported_at_once(kind, tmp_path):
    model = kind.make()
    model.compile(keras.optimizers.SGD(1e-2), run_eagerly=True)
    model.fit(*kind.arguments, verbose=0)
    model.save(tmp_path / "model.keras")
    expected = model.evaluate(*kind.arguments, verbose=0, return_dict=True)
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert twin.evaluate(*kind.arguments, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    if kind is MODELS["vqvae"]:
        twin = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(exported(twin, kind.x, tmp_path), model(kind.x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vqvae", (None, 8, 8, 1)),
        ("vqvae2", (None, 8, 8, 1)),
        ("pixelcnn", (None, 4, 6)),
        ("conditioned", ((None, 4, 6), (None,))),
        ("classifier", (None, 8, 8, 1)),
    ],
)
def test_build_configuration_is_the_shape_of_the_inputs(name, shape):
    assert MODELS[name].make().get_build_config() == {"input_shape": shape}


# Callbacks that watch the loss


def vqvae_with(quantizer):
    model = vqlib.VQVAE((8, 8, 1), filters=(4,), quantizer=quantizer)
    model.compile(keras.optimizers.SGD(1e-3))
    return model


WATCHERS = {
    "EarlyStopping": keras.callbacks.EarlyStopping,
    "ReduceLROnPlateau": keras.callbacks.ReduceLROnPlateau,
    "ModelCheckpoint": lambda **options: keras.callbacks.ModelCheckpoint(
        "never.weights.h5", save_best_only=True, save_weights_only=True, **options
    ),
}


@pytest.mark.parametrize("name", ["vqvae", "vqvae2"])
@pytest.mark.parametrize("watcher", WATCHERS)
@pytest.mark.parametrize("monitor", ["val_loss", "loss"])
def test_callbacks_that_watch_the_loss_of_a_learned_codebook_are_warned_of(
    strict, name, watcher, monitor, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    callback = WATCHERS[watcher](monitor=monitor)
    remedy = f'monitor="{monitor.removesuffix("loss")}reconstruction_loss", mode="min"'
    with pytest.warns(UserWarning, match=rf"^{watcher} watches {monitor}, .*{re.escape(remedy)}") as caught:
        strict(name).fit(IMAGES, validation_data=IMAGES, callbacks=[callback], epochs=0, verbose=0)
    assert [warning.filename for warning in caught if warning.category is UserWarning] == [__file__]


@pytest.mark.parametrize("watcher", WATCHERS)
def test_the_remedy_is_one(strict, watcher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = WATCHERS[watcher](monitor="val_reconstruction_loss", mode="min")
    strict("vqvae").fit(IMAGES, validation_data=IMAGES, callbacks=callback, verbose=0, epochs=2)


def test_other_callbacks_and_codebooks_are_not_warned_of(strict, tmp_path):
    every = keras.callbacks.ModelCheckpoint(tmp_path / "each.weights.h5", save_weights_only=True)
    strict("vqvae").fit(IMAGES, validation_data=IMAGES, callbacks=[every], epochs=0, verbose=0)
    models = {
        vqvae_with(vqlib.EMAVectorQuantizer(8, 4)): IMAGES,
        vqvae_with(vqlib.FiniteScalarQuantizer((4, 4))): IMAGES,
        vqvae_with(vqlib.LookupFreeQuantizer(4)): IMAGES,
    }
    for model, x in {**models, strict("pixelcnn"): CODES}.items():
        model.fit(x, validation_data=x, callbacks=[keras.callbacks.EarlyStopping()], epochs=0, verbose=0)


# The checks themselves


def test_integers_of_numpy_become_pythons():
    for value in (3, np.int64(3), np.uint8(3)):
        assert check_positive_integer("size", value) == 3
        assert type(check_positive_integer("size", value)) is int
    assert check_sizes("code_shape", np.array([4, 6]), ("height", "width")) == (4, 6)
    for value in (True, 0, 2.0, np.float32(2), "2", None):
        with pytest.raises(ValueError, match="size must be an integer of at least 1, but "):
            check_positive_integer("size", value)
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width, channels\), but 32 was given"):
        check_sizes("image_shape", 32, _checks.IMAGE_AXES)


def test_models_take_sizes_from_arrays():
    prior = vqlib.PixelCNN(CODES.shape[1:], CODES.max() + 1, filters=np.int64(4))
    assert prior(CODES).shape == (N, 4, 6, 5)
    assert vqlib.Classifier((8, 8, 1), LABELS.max() + 1)(IMAGES).shape == (N, 3)


def test_dtypes_of_all_libraries_have_one_name():
    assert [dtype_of(wrap(IMAGES)) for wrap in WHOLE.values()] == ["float32"] * len(WHOLE)


def test_symbolic_tensors_have_no_values_to_look_at():
    assert not _checks.is_array(keras.KerasTensor((None, 2), "int32"))
    assert check_images(keras.KerasTensor((None, 8, 8, 1), "float32"), (8, 8, 1)) is not None


def test_arrays_are_returned_as_they_are_and_numbers_as_arrays():
    assert as_array(IMAGES, "images") is IMAGES
    assert as_array(3, "codes").shape == ()
    np.testing.assert_array_equal(as_array([[1, 2], [3, 4]], "codes"), [[1, 2], [3, 4]])


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_checks_take_little_memory(monkeypatch, dtype):
    monkeypatch.setattr(_checks, "VALUES_AT_ONCE", 2**14)
    values = np.zeros((4096, 16, 16, 1), dtype)
    tracemalloc.start()
    check_images(values) if dtype == "float32" else check_code_range(values, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes / 16


@pytest.mark.parametrize("make", ["tiny_vqvae", "tiny_vqvae2"])
def test_model_called_on_whole_numbers_says_how_to_convert_them(make, images, request):
    model = request.getfixturevalue(make)()
    with pytest.raises(TypeError, match=r"must be floating point, but are uint8\. Convert"):
        model(keras.ops.convert_to_tensor((images + 0.5) * 255, "uint8"))

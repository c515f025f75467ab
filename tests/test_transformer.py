"""The prior by attention: it sees all of the past and nothing else, follows its condition, is sampled right."""

import keras
import numpy as np
import pytest
from test_attention import dense, normed, softmax

import vqlib
from vqlib import GatedPixelCNN, MaskedTransformer, TransformerPrior, checkpoints, sample, sample_masked
from vqlib.attention import gelu
from vqlib.sampling import sample_plainly

SIDE = 7
CELLS = SIDE * SIDE
K = 5
EARLIER = np.tril(np.ones((CELLS, CELLS), bool), -1)  # [p, q]: position p may see position q


def with_random_weights(prior, seed=0, spread=2.0):
    """Give a prior weights of both signs, biases and scales too, so that its logits hang on all codes before."""
    generator = np.random.default_rng(seed)
    prior.set_weights([spread * generator.normal(size=w.shape) / np.sqrt(max(len(w), 4)) for w in prior.get_weights()])
    return prior


def wild(code_shape=(3, 4), condition_shape=None, num_layers=2, make=TransformerPrior, **arguments):
    """Return a small prior."""
    conditioned = {} if condition_shape is None else {"condition_shape": condition_shape, "num_conditions": 3}
    return with_random_weights(make(code_shape, K, 8, num_layers, 2, **{"dropout": 0.0, **conditioned, **arguments}))


def inputs(prior, rng, number=6):
    """Return random codes, with a random condition where the prior takes one."""
    codes = rng.integers(prior.num_embeddings, size=(number, *prior.code_shape)).astype("int32")
    if prior.condition_shape is None:
        return codes
    return codes, rng.integers(prior.num_conditions, size=(number, *prior.condition_shape)).astype("int32")


# Size


def test_defaults_have_the_parameters_of_the_gated_prior_and_the_small_one_its_work():
    gated, prior, small = GatedPixelCNN(), TransformerPrior(), TransformerPrior(hidden_dim=64, num_layers=3)
    assert (gated.count_params(), prior.count_params(), small.count_params()) == (470_048, 471_296, 166_336)
    assert MaskedTransformer().count_params() == 471_392
    for each, multiplied in ((prior, 454_656), (small, 155_648)):
        kernels = [layer.kernel for layer in each.network.layers if hasattr(layer, "kernel")]
        assert sum(int(np.prod(kernel.shape)) for kernel in kernels) == multiplied
    seen = (CELLS + 1) // 2  # positions that one sees, on average
    assert 155_648 + 3 * 2 * 64 * seen == 165_248  # the gated one: 173,568


# What a position sees


def seen_by_perturbation(prior, codes, condition=()):
    """Return which positions q change the logits of p when their code changes: (49, 49) bool [p, q]."""
    same = np.repeat(codes.reshape(1, CELLS), CELLS, axis=0)
    changed = same.copy()
    changed[np.arange(CELLS), np.arange(CELLS)] = (same.diagonal() + 1) % K  # the q-th copy differs at q
    grids = (each.reshape(-1, SIDE, SIDE) for each in (same, changed))
    before, after = (np.asarray(prior((x, *condition) if condition else x)).reshape(CELLS, CELLS, -1) for x in grids)
    return (before != after).any(axis=-1).T


@pytest.mark.parametrize("condition_shape", [None, (), (7, 7)], ids=str)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_one_layer_sees_every_code_before_and_no_layer_any_after(num_layers, condition_shape, rng):
    prior = wild((SIDE, SIDE), condition_shape, num_layers)
    codes = rng.integers(K, size=(1, SIDE, SIDE))
    condition = [] if condition_shape is None else [rng.integers(3, size=(CELLS, *condition_shape))]
    assert EARLIER.sum() == 1_176
    np.testing.assert_array_equal(seen_by_perturbation(prior, codes, condition), EARLIER)


def test_every_code_is_seen_whatever_its_values(rng):
    prior, codes = wild(num_layers=1), rng.integers(K, size=(1, 3, 4))
    for code in range(K):
        changed = codes.copy()
        changed[0, 0, 0] = code
        differs = (np.asarray(prior(codes)) != np.asarray(prior(changed))).any(axis=-1)[0].ravel()
        np.testing.assert_array_equal(differs[1:], code != codes[0, 0, 0])


# Equal to the equations written plainly


def by_hand(prior, codes, condition):
    """The logits in NumPy, grid by grid; what a condition becomes before it is added is left to its own network."""
    layers = {each.name: each for each in prior.network.layers}
    told = None
    if condition is not None:
        told = dense(np.asarray(layers["condition"](condition)), layers["condition_to_tokens"])
    out = []
    for number, grid in enumerate(codes):
        x = embedded(prior, layers, grid.ravel(), None if told is None else told[number])
        for n in range(prior.num_layers):
            x = x + attention_by_hand(prior, layers, n, normed(x, layers[f"block_{n}_attention_norm"]))
            y = dense(normed(x, layers[f"block_{n}_norm"]), layers[f"block_{n}_expand"])
            x = x + dense(np.asarray(gelu(y.astype("float32"))), layers[f"block_{n}_contract"])
        y = dense(normed(x[-grid.size :], layers["norm"]), layers["logits"])
        out.append(y.reshape(*grid.shape, K))
    return np.stack(out)


def embedded(prior, layers, codes, told):
    """The sequence that the first block sees: (N,) -> (T, C)."""
    tokens = np.asarray(layers["tokens"].embeddings)
    x = [tokens[-1], *(tokens[code] for code in codes)]  # [START] is the last
    first = 1
    if prior.causal:
        x, first = x[:-1], 0
    rows, columns = (np.asarray(each) for each in layers["positions"].get_weights())
    for place in range(len(codes)):
        i, j = divmod(place, prior.code_shape[1])
        x[first + place] = x[first + place] + rows[i] + columns[j] + (told[i, j] if prior.condition_shape else 0)
    if prior.condition_shape == ():
        x[0] = x[0] + told[0, 0]
    return np.stack(x)


def attention_by_hand(prior, layers, n, y):
    heads = []
    for head in np.split(np.arange(prior.hidden_dim), prior.num_heads):
        q, k, v = (dense(y, layers[f"block_{n}_attention_{name}"])[:, head] for name in ("query", "key", "value"))
        scores = q @ k.T / np.sqrt(len(head))
        if prior.causal:
            scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
        heads.append(softmax(scores) @ v)
    return dense(np.concatenate(heads, axis=-1), layers[f"block_{n}_attention_out"])


@pytest.mark.parametrize("make", [TransformerPrior, MaskedTransformer])
@pytest.mark.parametrize("condition_shape", [None, (), (1, 2)], ids=str)
def test_logits_are_those_of_the_equations_written_plainly(make, condition_shape, rng):
    prior = wild((3, 4), condition_shape, make=make)
    x = inputs(prior, rng, 3)
    codes, condition = (x, None) if condition_shape is None else x
    if make is MaskedTransformer:
        codes[:, 1, 1:] = K  # hidden
    np.testing.assert_allclose(prior(x), by_hand(prior, codes, condition), atol=1e-3)


# Told a class, or nothing


@pytest.mark.parametrize("make", [TransformerPrior, MaskedTransformer])
def test_prior_that_is_told_nothing_is_one_without_a_condition(make, rng):
    prior, plain = wild(condition_shape=(), condition_dropout=0.3, make=make), wild(make=make)
    for layer in plain.network.layers:
        layer.set_weights(prior.network.get_layer(layer.name).get_weights())
    codes = rng.integers(K, size=(6, 3, 4))
    np.testing.assert_allclose(prior((codes, np.full(6, -1))), plain(codes), atol=1e-5)
    assert (np.asarray(prior((codes, np.zeros(6, int)))) != np.asarray(plain(codes))).any(axis=-1).all()


def test_training_tells_a_share_of_the_examples_nothing(rng):
    prior = wild(condition_shape=(), condition_dropout=0.3)
    codes, labels = np.repeat(rng.integers(K, size=(1, 3, 4)), 1000, axis=0), rng.integers(3, size=1000)
    told, untold = np.asarray(prior((codes, labels))), np.asarray(prior((codes, np.full(1000, -1))))
    trained = np.asarray(prior((codes, labels), training=True))
    was_told, was_not = (np.isclose(trained, each, atol=1e-4).all(axis=(1, 2, 3)) for each in (told, untold))
    assert (was_told != was_not).all()  # all of the condition, or nothing of it
    assert abs(was_not.mean() - 0.3) < 0.05


# Training and saving


def test_training_learns_the_codes_of_each_class(rng):
    keras.utils.set_random_seed(0)
    labels = rng.integers(4, size=200)
    codes = np.broadcast_to((labels * 3 % 4)[:, None, None], (200, 2, 2)).astype("int32")
    prior = TransformerPrior((2, 2), 4, 16, 1, 2, condition_shape=(), num_conditions=4)
    prior.compile(keras.optimizers.AdamW(0.02))
    history = prior.fit((codes, labels), validation_data=((codes, labels),), batch_size=20, epochs=6, verbose=0).history
    assert history["val_nats_per_code"][-1] < 0.1  # without the label, the first code alone costs ln 4 / 4 = 0.35
    assert history["val_bits_per_image"][-1] == pytest.approx(
        4 * history["val_nats_per_code"][-1] / np.log(2), rel=1e-4
    )
    drawn = sample(prior, 8, condition=np.arange(8) % 4, temperature=0.2, seed=0)
    np.testing.assert_array_equal(drawn, np.broadcast_to((np.arange(8) * 3 % 4)[:, None, None], (8, 2, 2)))


def test_dropout_is_for_training_alone(rng):
    plain, dropped = wild(), wild(dropout=0.5)
    codes = inputs(plain, rng)
    np.testing.assert_array_equal(dropped(codes), plain(codes))
    one, other = (np.asarray(dropped(codes, training=True)) for _ in range(2))
    assert (one != other).any(axis=-1).all()


@pytest.mark.parametrize("make", [TransformerPrior, MaskedTransformer])
@pytest.mark.parametrize("condition_shape", [None, (), (1, 2)], ids=str)
def test_saved_prior_gives_the_same_logits(make, condition_shape, rng, tmp_path, digits):
    prior = wild(condition_shape=condition_shape, dropout=0.25, make=make)
    x = inputs(prior, rng)
    prior.save(tmp_path / "prior.keras")
    twin = keras.saving.load_model(tmp_path / "prior.keras")
    assert twin.get_config() == prior.get_config()
    assert twin.dropout == 0.25  # the logits do not show it
    np.testing.assert_array_equal(twin(x), prior(x))
    name = "mnist-transformer-prior" if make is TransformerPrior else "mnist-masked-prior"
    checkpoints.save(prior, name, data=digits, seed=0, epochs=1, minutes=1, metrics={}, folder=tmp_path)
    for loaded in (vqlib.load_pretrained(name, tmp_path), make.from_pretrained("mnist", tmp_path)):
        assert type(loaded) is make
        np.testing.assert_array_equal(loaded(x), prior(x))


# Sampling: fast and plainly, the same codes from the same noise

SAMPLED = [((1, 1), None, 1), ((1, 5), (), 2), ((5, 1), (5, 1), 2), ((4, 6), (2, 3), 2), ((7, 7), (), 3)]


@pytest.mark.parametrize(("code_shape", "condition_shape", "num_layers"), SAMPLED, ids=str)
def test_fast_samples_are_those_of_the_whole_network(code_shape, condition_shape, num_layers, rng):
    prior = wild(code_shape, condition_shape, num_layers)
    for number, temperature in [(20, 1.0), (3, 0.4)]:
        known = rng.integers(K, size=(number, *code_shape)).astype("int32")
        keep = rng.random(known.shape) < 0.4
        condition = None if condition_shape is None else rng.integers(3, size=(number, *condition_shape))
        arguments = {"seed": number, "temperature": temperature, "condition": condition}
        codes = sample(prior, number, **arguments)
        np.testing.assert_array_equal(codes, sample_plainly(prior, number, **arguments))
        inpainted = sample(prior, codes=known, keep=keep, **arguments)
        np.testing.assert_array_equal(inpainted, sample_plainly(prior, codes=known, keep=keep, **arguments))
        np.testing.assert_array_equal(inpainted[keep], known[keep])
    assert (codes.size < 20) or (codes != codes[0]).any()


def test_guided_samples_are_drawn_from_the_guided_logits(rng):
    prior, labels = wild(condition_shape=(), condition_dropout=0.1), rng.integers(3, size=40)
    arguments = {"condition": labels, "guidance": 1.5, "seed": 1, "top_k": 3}
    codes = sample(prior, **arguments)
    np.testing.assert_array_equal(codes, sample_plainly(prior, **arguments))
    assert (codes != sample(prior, **{**arguments, "guidance": 0.0})).any()


def test_mixed_precision_works(mixed_bfloat16, rng):
    prior = wild(condition_shape=(), dropout=0.1)
    x = inputs(prior, rng, 50)
    assert prior(x).dtype == "float32"
    codes = sample(prior, 50, condition=x[1], seed=0)
    assert (codes == sample_plainly(prior, 50, condition=x[1], seed=0)).mean() > 0.8  # bfloat16 tips close choices
    prior.compile("adam")
    assert np.isfinite(prior.fit(x, verbose=0).history["loss"][0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX computes float64 only where told to")
@pytest.mark.parametrize("make", [TransformerPrior, MaskedTransformer])
def test_double_precision_works(make, double_precision, rng):
    prior = wild(condition_shape=(), condition_dropout=0.1, make=make)
    x = inputs(prior, rng, 20)
    assert prior(x).dtype == "float64"
    np.testing.assert_allclose(prior(x), by_hand(prior, *x), rtol=1e-4, atol=1e-4)
    arguments = {"condition": x[1], "seed": 0, "guidance": 0.5, "top_k": 3}
    if make is TransformerPrior:
        np.testing.assert_array_equal(sample(prior, **arguments), sample_plainly(prior, **arguments))
    else:
        assert sample_masked(prior, **arguments).shape == (20, 3, 4)
    prior.compile("adam")
    assert np.isfinite(prior.fit(x, verbose=0).history["loss"][0])


# Bad input


@pytest.mark.parametrize("make", [TransformerPrior, MaskedTransformer])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 10}, r"hidden_dim=10 cannot be divided among num_heads=4"),
        ({"num_layers": 0}, r"num_layers must be an integer of at least 1, but 0 was given"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, but 1.0 was given"),
        ({"code_shape": (7,)}, r"code_shape must be \(height, width\), but \(7,\) was given"),
        ({"condition_dropout": 0.1}, r"condition_dropout is for class labels: give condition_shape=\(\)"),
        ({"num_conditions": 10}, r"Give both .* For class labels, condition_shape=\(\)"),
        ({"condition_shape": (3, 7), "num_conditions": 2}, r"divide those of code_shape=\(7, 7\), but \(3, 7\) was"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)

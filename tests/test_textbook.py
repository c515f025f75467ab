"""Ours equals the textbook's: the same logits, codes, gradients and trainings from the same weights."""

import keras
import numpy as np
import pytest
import textbook
from textbook import copy_weights, gumbel_noise

import vqlib
from vqlib import VQVAE, sample
from vqlib.pixelcnn import MaskedCodeConv2D, causal_mask
from vqlib.sampling import sample_plainly


@pytest.fixture(scope="session")
def wild_prior(tiny_prior):
    """Return a function that makes a small PixelCNN whose first layer counts: its logits hang on the codes before."""

    def make(spread=1.5, **arguments):
        prior = tiny_prior(**{"num_embeddings": 7, **arguments})
        generator = np.random.default_rng(1)
        first, last = prior.network.get_layer("codes_masked"), prior.network.get_layer("logits")
        first.kernel.assign(0.3 * generator.normal(size=first.kernel.shape))
        logits = prior(random_codes(generator, prior, 64))
        last.kernel.assign(last.kernel * (spread / np.std(logits)))
        return prior

    return make


def textbook_of(prior):
    """Return the textbook's network with the weights of a prior."""
    network = textbook.pixelcnn(
        prior.code_shape, prior.num_embeddings, prior.filters, prior.num_residual_blocks, prior.num_pixelcnn_layers
    )
    copy_weights(prior, network)
    return network


def random_codes(rng, prior, number):
    return rng.integers(prior.num_embeddings, size=(number, *prior.code_shape)).astype("int32")


def assert_close(found, expected, **tolerance):
    """Compare two lists of weights; a 1 x 1 convolution's may have the shape of a Dense layer's."""
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(np.ravel(one), np.ravel(other), err_msg=f"weight {i}", **tolerance)


class LossOfEachStep(keras.callbacks.Callback):
    """Keep the loss of the epoch so far, after each step."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def losses_of_training(model, *data, **arguments):
    steps = LossOfEachStep()
    model.fit(*data, shuffle=False, verbose=0, callbacks=[steps], **arguments)
    return steps.losses


# PixelCNN: logits, gradients, training


@pytest.mark.parametrize("code_shape", [(7, 7), (3, 4), (1, 1), (1, 5), (5, 1), (9, 3)], ids=str)
@pytest.mark.parametrize(
    ("num_embeddings", "filters", "depth"), [(5, 8, (2, 2)), (17, 6, (1, 1)), (2, 2, (0, 0))], ids=str
)
def test_logits_equal_the_textbooks(wild_prior, rng, code_shape, num_embeddings, filters, depth):
    prior = wild_prior(
        code_shape=code_shape,
        num_embeddings=num_embeddings,
        filters=filters,
        num_residual_blocks=depth[0],
        num_pixelcnn_layers=depth[1],
    )
    codes = random_codes(rng, prior, 6)
    np.testing.assert_allclose(prior(codes), textbook_of(prior)(codes), atol=1e-5)


def test_weights_travel_both_ways(wild_prior, rng):
    prior = wild_prior(code_shape=(3, 4))
    codes = random_codes(rng, prior, 6)
    network = textbook_of(prior)
    network.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in network.get_weights()])
    assert np.abs(np.asarray(network(codes)) - np.asarray(prior(codes))).max() > 0.1
    copy_weights(network, prior)
    np.testing.assert_allclose(prior(codes), network(codes), atol=1e-5)


def weights_after_a_step(model, start, batch, run_eagerly, **loss):
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=run_eagerly, **loss)
    model.set_weights([np.reshape(old, w.shape) for old, w in zip(start, model.weights, strict=True)])
    model.fit(*batch, batch_size=len(batch[0]), verbose=0)
    return model.get_weights()


CROSS_ENTROPY = {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}


# In 1 x 1, 1 x 3 and 2 x 2, some parts of the sparse sums hold no pair at all.
@pytest.mark.filterwarnings(r"ignore:Gradients do not exist for variables \['codes_masked/kernel'\]")  # 1 x 1: no use
@pytest.mark.parametrize("code_shape", [(7, 7), (3, 4), (1, 1), (1, 3), (2, 2), (5, 1)], ids=str)
def test_gradients_equal_the_textbooks_for_every_batch_size(wild_prior, rng, code_shape):
    prior = wild_prior(code_shape=code_shape)
    network = textbook_of(prior)
    start = prior.get_weights()
    for batch_size in (1, 2, 3, 5):
        codes = random_codes(rng, prior, batch_size)
        ours = weights_after_a_step(prior, start, [codes], True)
        theirs = weights_after_a_step(network, start, [codes, codes], True, **CROSS_ENTROPY)
        assert_close(ours, theirs, atol=1e-5)
        assert not np.allclose(ours[-1], start[-1], atol=1e-3), "the test cannot tell"


def test_gradients_equal_the_textbooks_in_a_compiled_step(wild_prior, rng):
    prior = wild_prior()
    network = textbook_of(prior)
    start = prior.get_weights()
    codes = random_codes(rng, prior, 3)
    ours = weights_after_a_step(prior, start, [codes], False)
    assert_close(ours, weights_after_a_step(network, start, [codes, codes], False, **CROSS_ENTROPY), atol=1e-5)


def test_training_follows_the_textbooks(wild_prior, rng):
    prior = wild_prior(code_shape=(3, 4), num_residual_blocks=1, num_pixelcnn_layers=1)
    network = textbook_of(prior)
    codes = random_codes(rng, prior, 18)  # batches of 5, 5, 5 and 3
    prior.compile(keras.optimizers.Adam(1e-2))
    network.compile(keras.optimizers.Adam(1e-2), **CROSS_ENTROPY)
    ours = losses_of_training(prior, codes, batch_size=5, epochs=5)
    theirs = losses_of_training(network, codes, codes, batch_size=5, epochs=5)
    assert len(ours) == 20
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert ours[-1] < 0.9 * ours[0]


@pytest.mark.parametrize("code_shape", [(7, 7), (2, 2), (2, 5)], ids=str)
def test_looking_rows_up_equals_multiplying_one_hot_codes(wild_prior, rng, code_shape):
    prior = wild_prior(code_shape=code_shape)
    first = prior.network.get_layer("codes_masked")
    assert isinstance(first, MaskedCodeConv2D)
    start = prior.get_weights()
    for batch_size in (1, 2, 5):
        codes = random_codes(rng, prior, batch_size)
        logits, after = [], []
        for look_up in (True, False):
            prior.set_weights(start)
            prior.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
            first.look_up = look_up
            logits.append(np.asarray(prior(codes)))
            prior.fit(codes, batch_size=batch_size, verbose=0)
            after.append(prior.get_weights())
        np.testing.assert_allclose(*logits, atol=1e-5)
        assert_close(*after, atol=1e-5)


# Sampling

SMALL = [((2, 2), 2, 0), ((1, 6), 1, 0), ((6, 1), 1, 1), ((1, 1), 0, 2)]
LARGE = [((7, 7), 2, 2), ((9, 3), 2, 1)]  # grid, residual blocks, layers behind them


@pytest.fixture(scope="module")
def pair(request, wild_prior):
    """A prior whose codes vary, and the textbook's network with the same weights, which no test changes."""
    code_shape, blocks, layers = request.param
    prior = wild_prior(code_shape=code_shape, num_residual_blocks=blocks, num_pixelcnn_layers=layers)
    network = textbook_of(prior)
    weights = prior.get_weights()
    yield prior, network
    assert_close(prior.get_weights(), weights, rtol=0)
    assert_close(network.get_weights(), weights, rtol=0)


def assert_same_codes(pair, number, seed=0, temperature=1.0, codes=None, keep=None):
    """Draw in all three ways from the same noise, and return the codes."""
    prior, network = pair
    noise = gumbel_noise(np.random.default_rng(seed), (number, *prior.code_shape, prior.num_embeddings))
    whole_keep = None if keep is None else np.broadcast_to(keep, codes.shape)
    expected = textbook.sample(network, noise, temperature, codes, whole_keep)
    arguments = {"num_samples": number, "temperature": temperature, "seed": seed, "codes": codes, "keep": keep}
    np.testing.assert_array_equal(sample(prior, **arguments), expected)
    np.testing.assert_array_equal(sample_plainly(prior, **arguments), expected)
    return expected


def assert_varied(codes):
    assert (codes != codes[0]).any(axis=0).all()  # at every position
    assert len(np.unique(codes)) > 3


@pytest.mark.parametrize("pair", LARGE, indirect=True, ids=str)
def test_codes_of_large_grids_are_the_textbooks_from_the_same_noise(pair, rng):
    assert_varied(assert_same_codes(pair, 33))
    known = random_codes(rng, pair[0], 7)
    assert_same_codes(pair, 7, seed=5, temperature=0.7, codes=known, keep=rng.random(known.shape) < 0.3)


@pytest.mark.parametrize("pair", SMALL, indirect=True, ids=str)
def test_whole_grids_are_the_textbooks_from_the_same_noise(pair):
    for seed, number in enumerate([1, 7, 33]):
        codes = assert_same_codes(pair, number, seed=seed)
    assert_varied(codes)


@pytest.mark.parametrize("temperature", [0.3, 2.5])
@pytest.mark.parametrize("pair", SMALL, indirect=True, ids=str)
def test_codes_at_another_temperature_are_the_textbooks(pair, temperature):
    codes = assert_same_codes(pair, 33, seed=4, temperature=temperature)
    assert not np.array_equal(codes, sample(pair[0], 33, seed=4))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("pair", SMALL, indirect=True, ids=str)
def test_inpainted_codes_are_the_textbooks(pair, rng, shared):
    known = random_codes(rng, pair[0], 7)
    keep = rng.random(pair[0].code_shape if shared else known.shape) < 0.5
    codes = assert_same_codes(pair, 7, seed=5, codes=known, keep=keep)
    kept = np.broadcast_to(keep, known.shape)
    np.testing.assert_array_equal(codes[kept], known[kept])


def test_samples_in_pieces_are_those_in_one_piece(wild_prior, rng, monkeypatch):
    prior = wild_prior(num_residual_blocks=0, num_pixelcnn_layers=0)
    network = textbook_of(prior)
    known, keep = random_codes(rng, prior, 12), rng.random((12, 2, 2)) < 0.5
    whole, inpainted = sample(prior, 12, seed=6), sample(prior, codes=known, keep=keep, seed=6)
    monkeypatch.setattr(vqlib.sampling, "SAMPLES_AT_ONCE", 5)
    np.testing.assert_array_equal(sample(prior, 12, seed=6), whole)
    np.testing.assert_array_equal(sample(prior, codes=known, keep=keep, seed=6), inpainted)
    assert_same_codes((prior, network), 12, seed=6, codes=known, keep=keep)


def test_first_layer_that_sees_its_own_position_is_only_drawn_from_plainly(wild_prior):
    prior = wild_prior(code_shape=(2, 3))
    network = textbook_of(prior)
    hidden = sample_plainly(prior, 33, seed=0)
    looking = wild_prior(code_shape=(2, 3))
    looking.network.get_layer("codes_masked").mask = causal_mask(7, "B")
    with pytest.raises(ValueError, match=r"'codes_masked' sees the code that is to be drawn: .*_plainly draws"):
        sample(looking, 33)
    first = next(layer for layer in network.layers if isinstance(layer, textbook.MaskedConv))
    first.mask = causal_mask(7, "B")[:, :, None, None]
    codes = sample_plainly(looking, 33, seed=0)
    noise = gumbel_noise(np.random.default_rng(0), (33, 2, 3, 7))
    np.testing.assert_array_equal(codes, textbook.sample(network, noise))
    assert not np.array_equal(codes, hidden)


# VQVAE


@pytest.fixture
def autoencoders(digits):
    """Ours and the textbook's VQVAE from the same start, a codebook that is spread over the encoder's outputs."""
    keras.utils.set_random_seed(0)
    ours = VQVAE(num_embeddings=9, embedding_dim=4, data_variance=digits.variance)
    generator = np.random.default_rng(0)
    ours.set_weights([w if w.ndim > 1 else 0.1 * generator.normal(size=w.shape) for w in ours.get_weights()])
    ours.initialize_codebook(digits.x_train[:32])
    theirs = textbook.VQVAE(9, 4, digits.variance)
    copy_weights(ours, theirs)
    return ours, theirs


def test_autoencoder_reconstructs_and_encodes_as_the_textbooks(autoencoders, digits):
    ours, theirs = autoencoders
    images = digits.x_train[:20]
    codes = ours.encode(images)
    np.testing.assert_array_equal(codes, theirs.encode(images))
    assert len(np.unique(codes)) > 4
    np.testing.assert_allclose(ours(images), theirs(images), atol=1e-5)
    np.testing.assert_allclose(ours.decode(codes), theirs(images), atol=1e-5)


def test_autoencoder_trains_as_the_textbooks(autoencoders, digits):
    ours, theirs = autoencoders
    images = digits.x_train[:40]
    losses = []
    for model in autoencoders:
        model.compile(keras.optimizers.Adam(3e-3))
        losses.append(losses_of_training(model, images, batch_size=16, epochs=4))  # the last of 8
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < 0.95 * losses[0][0]
    assert_close(ours.get_weights(), theirs.get_weights(), atol=1e-3)
    np.testing.assert_array_equal(ours.encode(images), theirs.encode(images))


def test_one_step_of_the_autoencoder_is_the_textbooks(autoencoders, digits):
    ours, theirs = autoencoders
    before = ours.get_weights()
    for model in autoencoders:
        model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
        model.fit(digits.x_train[:7], batch_size=7, verbose=0)
    assert_close(ours.get_weights(), theirs.get_weights(), atol=1e-5, rtol=1e-3)
    assert all((new != old).any() for new, old in zip(ours.get_weights(), before, strict=True))

"""Each model, its training compiled by XLA, as Keras does on a GPU: the losses and weights of the plain training.

Where the two draw random numbers in another way, for dropout and for codes that start anew, only what does not hang on
these is compared. Along the CPU's path no model meets XLA otherwise.
"""

import keras
import numpy as np
import pytest

import vqlib
from vqlib.code_lookup import sparse_sums_pay

pytestmark = [
    pytest.mark.xla,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX compiles by XLA always"),
]


def trained(make, data, jit_compile, optimizer=keras.optimizers.SGD, **arguments):
    """Return the metrics of a model after three steps and one of validation, and its weights."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(optimizer(0.01), jit_compile=jit_compile)
    history = model.fit(*data, batch_size=8, epochs=1, shuffle=False, verbose=0, **arguments).history
    return {name: values[0] for name, values in history.items()}, model.get_weights()


def assert_same_training(make, data, **arguments):
    """Train plainly and by XLA, and compare."""
    (plain, expected), (by_xla, found) = (
        trained(make, data, jit_compile, **arguments) for jit_compile in (False, True)
    )
    assert set(plain) == set(by_xla)
    assert np.isfinite(list(plain.values())).all()
    for name, value in plain.items():
        np.testing.assert_allclose(by_xla[name], value, rtol=1e-4, err_msg=name)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.fixture
def images(rng):
    """20 images, so that the last batch is smaller."""
    return rng.uniform(-0.5, 0.5, size=(20, 8, 8, 1)).astype("float32")


def started(make, images, **arguments):
    model = make(data_variance=0.08, **arguments)
    model.initialize_codebook(images)
    return model


# Autoencoders


def test_vqvae(tiny_vqvae, images):
    assert_same_training(lambda: started(tiny_vqvae, images), [images], validation_data=images[:4])


def test_vqvae_by_the_rotation_trick(tiny_vqvae, images):
    def make():
        return started(tiny_vqvae, images, quantizer=vqlib.VectorQuantizer(8, 4, estimator="rotation"))

    # Fresh encoders give short vectors, whose gradients the trick makes long: steps of a fixed size bear that.
    assert_same_training(make, [images], optimizer=keras.optimizers.Adam)


def test_vqvae_whose_codebook_follows_moving_averages(tiny_vqvae, images):
    assert_same_training(lambda: started(tiny_vqvae, images, quantizer=vqlib.EMAVectorQuantizer(8, 4)), [images])


def test_vqvae_whose_dead_codes_start_anew(tiny_vqvae, images):
    def make():
        quantizer = vqlib.EMAVectorQuantizer(8, 4, decay=0.5, restart_below=0.9, seed=0)
        return started(tiny_vqvae, images, quantizer=quantizer)

    # Where they start is drawn; how the encoder and the first batch fare is not.
    (plain, _), (by_xla, weights) = (trained(make, [images[:8]], jit_compile) for jit_compile in (False, True))
    for name in ("loss", "reconstruction_loss", "perplexity", "codes_used"):
        np.testing.assert_allclose(by_xla[name], plain[name], rtol=1e-4, err_msg=name)
    assert all(np.isfinite(w).all() for w in weights)


@pytest.mark.parametrize("kind", [vqlib.VectorQuantizer, vqlib.EMAVectorQuantizer])
def test_vqvae_on_the_sphere(kind, tiny_vqvae, images):
    def make():
        return started(tiny_vqvae, images, quantizer=kind(8, 4, normalize=True))

    # A short vector's gradient is as long as the vector is short: steps of a fixed size bear that.
    assert_same_training(make, [images], optimizer=keras.optimizers.Adam)


def test_vqvae_whose_codebook_moves_by_a_linear_map(tiny_vqvae, images):
    assert_same_training(lambda: tiny_vqvae(quantizer=vqlib.SimVQ(8, 4), data_variance=0.08), [images])


def test_vqvae_of_rounded_scalars(tiny_vqvae, images):
    assert_same_training(
        lambda: tiny_vqvae(quantizer=vqlib.FiniteScalarQuantizer((5, 3)), data_variance=0.08), [images]
    )


def test_vqvae_of_signs(tiny_vqvae, images):
    assert_same_training(lambda: tiny_vqvae(quantizer=vqlib.LookupFreeQuantizer(3), data_variance=0.08), [images])


@pytest.mark.parametrize("kind", [vqlib.VectorQuantizer, vqlib.EMAVectorQuantizer])
def test_vqvae_of_stages_and_of_parts(kind, tiny_vqvae, images):
    def stages():
        return started(tiny_vqvae, images, quantizer=vqlib.ResidualQuantizer([kind(8, 4), kind(8, 4)]))

    def parts():
        return started(tiny_vqvae, images, quantizer=vqlib.ProductQuantizer(kind(8, 2), num_parts=2))

    assert_same_training(stages, [images])
    assert_same_training(parts, [images])


def test_vqvae_whose_stages_are_left_out_at_random(tiny_vqvae, images):
    def make():
        quantizers = [vqlib.EMAVectorQuantizer(8, 4), vqlib.EMAVectorQuantizer(8, 4)]
        return started(tiny_vqvae, images, quantizer=vqlib.ResidualQuantizer(quantizers, stage_dropout=0.5, seed=0))

    # Which are is drawn, and the encoder learns by it; how the stages fare with the first batch is not.
    (plain, _), (by_xla, weights) = (trained(make, [images[:8]], jit_compile) for jit_compile in (False, True))
    for name in ("commitment_loss", "stage_1_error", "stage_2_error", "stage_2_perplexity"):
        np.testing.assert_allclose(by_xla[name], plain[name], rtol=1e-4, err_msg=name)
    assert all(np.isfinite(w).all() for w in weights)


def test_vqvae_of_two_levels(tiny_vqvae2, images):
    assert_same_training(lambda: started(tiny_vqvae2, images), [images], validation_data=images[:4])


# Priors


@pytest.fixture
def codes(rng):
    """20 grids of 3 x 3 codes."""
    return rng.integers(5, size=(20, 3, 3)).astype("int32")


def first_layers_look_up(prior):
    return {layer.look_up for layer in prior.network.layers if hasattr(layer, "look_up")}


def test_pixelcnn(tiny_prior, codes):
    def make():
        return tiny_prior(code_shape=(3, 3), num_embeddings=5, num_residual_blocks=1, num_pixelcnn_layers=1)

    assert_same_training(make, [codes], validation_data=codes[:4])


@pytest.mark.parametrize("condition_shape", [None, (), (1, 3)], ids=["plain", "class", "grid"])
def test_gated_pixelcnn(codes, rng, condition_shape):
    conditioned = {} if condition_shape is None else {"condition_shape": condition_shape, "num_conditions": 4}
    x = codes if condition_shape is None else (codes, rng.integers(4, size=(20, *condition_shape)))
    assert_same_training(lambda: vqlib.GatedPixelCNN((3, 3), 5, filters=4, num_layers=2, **conditioned), [x])


def test_gated_pixelcnn_with_dropout(codes):
    def make():
        return vqlib.GatedPixelCNN((3, 3), 5, filters=8, num_layers=2, dropout=0.1)

    # XLA draws other masks. Validation has none, and after these few small steps it hardly hangs on them.
    (plain, _), (by_xla, _) = (
        trained(make, [codes], jit_compile, validation_data=codes) for jit_compile in (False, True)
    )
    np.testing.assert_allclose(by_xla["val_loss"], plain["val_loss"], rtol=0.02)
    np.testing.assert_allclose(by_xla["loss"], plain["loss"], rtol=0.02)


@pytest.mark.parametrize("condition_shape", [None, (), (1, 3)], ids=["plain", "class", "grid"])
def test_transformer_prior(codes, rng, condition_shape):
    conditioned = {} if condition_shape is None else {"condition_shape": condition_shape, "num_conditions": 4}
    x = codes if condition_shape is None else (codes, rng.integers(4, size=(20, *condition_shape)))
    assert_same_training(lambda: vqlib.TransformerPrior((3, 3), 5, 8, 2, 2, dropout=0.0, **conditioned), [x])


def test_masked_transformer(codes, monkeypatch):
    hidden = np.arange(9).reshape(3, 3) % 2 == 0  # XLA would draw others

    def hide(self, codes, seeds):
        return keras.ops.broadcast_to(hidden, keras.ops.shape(codes))

    monkeypatch.setattr(vqlib.MaskedTransformer, "hide", hide)
    assert_same_training(lambda: vqlib.MaskedTransformer((3, 3), 5, 8, 1, 2, dropout=0.0), [codes])


def test_priors_multiply_one_hot_codes_where_xla_compiles(tiny_prior):
    prior = tiny_prior()
    for jit_compile in (True, False):
        prior.compile("adam", jit_compile=jit_compile)
        assert first_layers_look_up(prior) == {sparse_sums_pay() and not jit_compile}


# The judge


def test_classifier(images, rng):
    labels = rng.integers(3, size=20)
    assert_same_training(lambda: vqlib.Classifier(image_shape=(8, 8, 1), num_classes=3), [images, labels])

"""A small training that keeps its state. As a script it stops in the middle of an epoch and waits to be killed."""

import vqlib  # isort: skip, first: it silences TensorFlow's start-up messages

import sys
import time

import keras
import numpy as np


class Stop(keras.callbacks.Callback):
    """Say so in the middle of the third epoch, and wait."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 1):
            print("half way", flush=True)
            time.sleep(600)


def make(name):
    """Return a seeded model, one of each kind that has something random in its training, and its data."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    if name == "vqvae":  # whose dead codes restart at random vectors
        quantizer = vqlib.EMAVectorQuantizer(num_embeddings=8, embedding_dim=4, seed=1)
        model = vqlib.VQVAE(image_shape=(8, 8, 1), filters=(4,), quantizer=quantizer)
        return model, rng.uniform(-0.5, 0.5, size=(50, 8, 8, 1)).astype("float32")
    codes = rng.integers(5, size=(50, 3, 3)).astype("int32")
    if name == "pixelcnn":
        return vqlib.PixelCNN(code_shape=(3, 3), num_embeddings=5, filters=8), codes
    return vqlib.GatedPixelCNN(code_shape=(3, 3), num_embeddings=5, filters=8, num_layers=2, dropout=0.3), codes


def train(name, folder, *callbacks):
    """Train a model for five epochs in shuffled order; return its weights and the history."""
    model, data = make(name)
    model.compile(keras.optimizers.Adam(1e-2))
    kept = [vqlib.Resumable(folder), *callbacks]
    history = model.fit(data, validation_data=data[:10], batch_size=10, epochs=5, verbose=0, callbacks=kept).history
    return model.get_weights(), {key: values for key, values in history.items() if key != "seconds"}


if __name__ == "__main__":
    train(*sys.argv[1:], Stop())

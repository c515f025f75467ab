"""What the labs of the book's pages need of trained models: their weights, as scripts.

The labs themselves are JavaScript, in the book's sources.
"""

import json

import keras
import numpy as np

# What neither JavaScript's strings nor HTML need to escape: 87 letters, so that two of them tell 7,569 numbers apart.
LETTERS = "".join(letter for letter in map(chr, range(33, 127)) if letter not in "\"&'<>\\`")
LARGEST = (len(LETTERS) ** 2 - 1) // 2
STEPS_AN_OCTAVE = 128


def weights_as_script(name: str, model: keras.Model) -> str:
    """Return a script that gives the labs a model's weights, at two letters a number.

    Two letters hold 12.9 bits. Since each row of a weight has a step of its own, they keep as much as 16-bit floats do,
    which take 2.7 letters in base64: 99.98% of the codes of MNIST's test images, and the priors' logits to 0.014.

    Parameters
    ----------
    name : str
        Under which the labs find it.
    model : VQVAE, PixelCNN or GatedPixelCNN

    Returns
    -------
    str
        ``vqlabs.loaded[name] = {letters, shapes, values}``: the shape of each weight, by its path, in the order of
        `values`. Of each row, along the last axis, `values` has first the logarithm of the row's step, to base 2 and
        times 128, then the row in steps, all of them whole numbers in -3784..3784. Two letters are one number: the
        place of the first in `letters`, times 87, plus that of the second, less 3784. Of a kernel with a mask,
        (k, k, C, F), there are only the taps that this lets through: (taps, C, F). What a quantizer needs for training
        alone is left out.
    """
    arrays = {path: keras.ops.convert_to_numpy(weight) for path, weight in _weights(model).items()}
    for layer in _masked_layers(model):
        arrays[layer.kernel.path] = arrays[layer.kernel.path][layer.mask > 0]
    numbers = np.concatenate([_as_numbers(array).ravel() for array in arrays.values()]) + LARGEST
    letters = np.frombuffer(LETTERS.encode(), "uint8")[np.stack(np.divmod(numbers, len(LETTERS)), axis=-1)]
    packed = {
        "letters": LETTERS,
        "shapes": {path: array.shape for path, array in arrays.items()},
        "values": letters.tobytes().decode(),
    }
    return f"vqlabs.loaded[{json.dumps(name)}] = {json.dumps(packed)};\n"


def _as_numbers(array: np.ndarray) -> np.ndarray:
    """Return each row's step and the row in steps: (..., F) float -> (rows, 1 + F) int."""
    rows = array.reshape(-1, array.shape[-1])
    largest = np.abs(rows).max(axis=1, keepdims=True)
    smallest_step = 2.0 ** (-LARGEST / STEPS_AN_OCTAVE)
    steps = np.ceil(STEPS_AN_OCTAVE * np.log2(np.maximum(largest / LARGEST, smallest_step)))  # rounded up: it shall fit
    return np.concatenate([steps, np.round(rows / 2 ** (steps / STEPS_AN_OCTAVE))], axis=1).astype(int)


def _weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights by their paths; of a quantizer, whatever its name, the codebook as quantizer/codebook."""
    quantizer = getattr(model, "quantizer", None)
    if quantizer is None:
        return {weight.path: weight for weight in model.weights}
    inside = {weight.path for weight in quantizer.weights}
    others = {weight.path: weight for weight in model.weights if weight.path not in inside}
    return {**others, "quantizer/codebook": quantizer.codebook}


def _masked_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a prior whose kernels have a mask."""
    network = getattr(model, "network", None)
    return [layer for layer in network.layers if hasattr(layer, "mask")] if network else []

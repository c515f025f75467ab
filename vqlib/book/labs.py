"""What the labs of the book's pages need of trained models: their weights, as scripts.

The labs themselves are JavaScript, in the book's sources.
"""

import base64
import json

import keras


def weights_as_script(name: str, model: keras.Model) -> str:
    """Return a script that gives the labs a model's weights, as 16-bit floats.

    Half of the bits of the numbers keep 99.97% of the codes of MNIST's test images; 8 bits would keep 99.3%.

    Parameters
    ----------
    name : str
        Under which the labs find it.
    model : VQVAE or PixelCNN

    Returns
    -------
    str
        ``vqlabs.loaded[name] = {shapes, values}``: the shape of each weight, by its path, in the order of `values`,
        which is base64. Of a masked kernel, (k, k, C, F), only the taps that its mask lets through: (taps, C, F).
    """
    arrays = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    for layer in _masked_layers(model):
        arrays[layer.kernel.path] = arrays[layer.kernel.path][layer.mask > 0]
    values = b"".join(array.astype("<f2").tobytes() for array in arrays.values())
    packed = {
        "shapes": {path: array.shape for path, array in arrays.items()},
        "values": base64.b64encode(values).decode(),
    }
    return f"vqlabs.loaded[{json.dumps(name)}] = {json.dumps(packed)};\n"


def _masked_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a prior whose kernels have a mask."""
    network = getattr(model, "network", None)
    return [layer for layer in network.layers if hasattr(layer, "mask")] if network else []

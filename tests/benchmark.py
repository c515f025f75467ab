"""Time vqlib against the textbook's way (textbook.py) on this machine, and write the figures down as JSON.

    python tests/benchmark.py book/benchmarks/cpu.json

Both do the same work with the same weights, in turns and in one process, so that whatever else the machine does hits
both. Kept are the seconds of each turn; the book's page makes medians and ratios of them. A quarter of an hour on two
cores, which should have nothing else to do. For Linux.
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import vqlib  # isort: skip, first: it silences TensorFlow's start-up messages

import keras
import numpy as np
import textbook
from keras import ops

BATCH = 128
RNG = np.random.default_rng(0)


def seconds(work):
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(name, reference, ours, turns, warm_up=1):
    """Run both `turns` times, one after the other; return the seconds of each."""
    for _ in range(warm_up):
        reference()
        ours()
    taken = {"reference": [], "ours": []}
    for _ in range(turns):
        taken["reference"].append(seconds(reference))
        taken["ours"].append(seconds(ours))
    one, other = np.median(taken["reference"]), np.median(taken["ours"])
    print(f"{name}: {one:.4f} s and {other:.4f} s, {one / other:.2f} times", flush=True)
    return taken


def priors(**arguments):
    """Return the textbook's prior and ours with the same weights, compiled for training."""
    ours = vqlib.PixelCNN(**arguments)
    reference = textbook.pixelcnn(**arguments)
    textbook.copy_weights(ours, reference)
    ours.compile(optimizer=keras.optimizers.Adam(3e-4))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    reference.compile(optimizer=keras.optimizers.Adam(3e-4), loss=loss, metrics=["accuracy"])
    return reference, ours


def autoencoders():
    """Return the textbook's VQ-VAE and ours with the same weights, compiled for training."""
    ours, reference = vqlib.VQVAE(data_variance=0.095), textbook.VQVAE(data_variance=0.095)
    textbook.copy_weights(ours, reference)
    for model in (ours, reference):
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
    return reference, ours


def random_images(number):
    """Return uniform noise in place of images: how fast a network computes does not depend on what it is shown."""
    images = RNG.random((number, 28, 28, 1), dtype="float32")
    images -= 0.5  # in place: a copy would raise the peak of memory that is measured
    return images


def prior_step():
    """A training step of the prior, K = 128, 7 x 7 codes, 128 grids."""
    reference, ours = priors()
    codes = RNG.integers(128, size=(BATCH, 7, 7)).astype("int32")
    return in_turns(
        "prior step", lambda: reference.train_on_batch(codes, codes), lambda: ours.train_on_batch(codes), 60, warm_up=5
    )


def vqvae_step():
    """A training step of the VQ-VAE, K = 128, 128 images of 28 x 28."""
    reference, ours = autoencoders()
    images = random_images(BATCH)
    return in_turns(
        "VQ-VAE step", lambda: reference.train_on_batch(images), lambda: ours.train_on_batch(images), 60, warm_up=5
    )


def sampling(number, side, turns):
    """Draw `number` grids of side x side codes."""
    reference, ours = priors(code_shape=(side, side))
    noise = vqlib.sampling.gumbel_noise(np.random.default_rng(0), (number, side, side, 128))
    first = seconds(lambda: vqlib.sample(ours, number))  # compiles
    reference.predict(np.zeros((min(number, 256), side, side), "int32"), verbose=0)  # compiles
    drawn = {}
    taken = in_turns(
        f"{number} samples of {side} x {side}",
        lambda: drawn.update(reference=textbook.sample(reference, noise)),
        lambda: drawn.update(ours=vqlib.sample(ours, number)),
        turns,
        warm_up=0,
    )
    assert (drawn["reference"] == drawn["ours"]).mean() > 0.999
    return {"number": number, "side": side, "first_call": first, **taken}


def encoding():
    """The codes of 60,000 images."""
    reference, ours = autoencoders()
    images = random_images(60_000)
    return in_turns("encoding", lambda: reference.encode(images), lambda: ours.encode(images), 5)


def peak_memory(which):
    """Return the bytes that encoding 60,000 images needs at its peak, beyond images and models, in this process."""
    models = dict(zip(("reference", "ours"), autoencoders(), strict=True))
    images = random_images(60_000)
    models[which].encode(images[:1024])  # compiles
    before = memory("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    models[which].encode(images)
    return memory("VmHWM") - before


def memory(name):
    """Return what Linux says of this process's memory: VmRSS, in use now, or VmHWM, the peak; in bytes."""
    return 1024 * int(re.search(rf"{name}:\s*(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])


def in_own_process(*arguments):
    """Run Python with these arguments and return what it prints."""
    here = pathlib.Path(__file__).parent
    return subprocess.run([sys.executable, *arguments], cwd=here, check=True, capture_output=True, text=True).stdout


def encoding_memory():
    """The peak of memory while 60,000 images are encoded, beyond the images and the models."""
    print("memory of encoding")
    code = "import benchmark, json; print(json.dumps(benchmark.peak_memory({!r})))"
    return {which: json.loads(in_own_process("-c", code.format(which))) for which in ("reference", "ours")}


def importing():
    """``import vqlib`` against ``import keras``, each in a process of its own."""
    return in_turns(
        "import", lambda: in_own_process("-c", "import keras"), lambda: in_own_process("-c", "import vqlib"), 5
    )


def multiply_adds(code_shape=(7, 7), num_embeddings=128, filters=128):
    """Return the multiply-adds of one forward pass for each position: the textbook's, and the ones that count."""
    half = filters // 2
    first = vqlib.PixelCNN(code_shape, num_embeddings, filters).network.get_layer("codes_masked")
    rows_added = first.views(*code_shape).shape[1] / np.prod(code_shape)
    both = ("reference", "ours")
    return {
        "first layer, 7 x 7": {"reference": 49 * num_embeddings * filters, "ours": 0},
        "two masked 3 x 3": {"reference": 2 * 9 * filters * half, "ours": 2 * 5 * filters * half},
        "four 1 x 1 in the blocks": dict.fromkeys(both, 2 * (filters * filters + half * filters)),
        "two masked 1 x 1": dict.fromkeys(both, 2 * filters * filters),
        "logits": dict.fromkeys(both, filters * num_embeddings),
        "rows added up in the first layer": {"reference": 0, "ours": rows_added},
    }


def layer_times():
    """Return the seconds of forward and backward of each kind of layer at the size of a training step."""
    import tensorflow as tf

    def both_ways(layer, x):
        sources = [*([x] if x.dtype.is_floating else []), *(w.value for w in layer.trainable_weights)]

        @functools.partial(tf.function, autograph=False)
        def step():
            with tf.GradientTape() as tape:
                tape.watch(sources)
                y = tf.reduce_sum(layer(x) ** 2)
            return [tf.reduce_sum(tf.convert_to_tensor(gradient)) for gradient in tape.gradient(y, sources)]

        return lambda: [gradient.numpy() for gradient in step()]

    reference, ours = priors()
    named = {layer.name: layer for layer in ours.network.layers}
    one_hot, first = reference.layers[1:3]
    masked = [layer for layer in reference.layers if isinstance(layer, textbook.MaskedConv)]
    plain = [layer for layer in reference.layers if type(layer) is keras.layers.Conv2D]
    codes = tf.constant(RNG.integers(128, size=(BATCH, 7, 7)), tf.int32)
    wide, narrow = (tf.random.normal((BATCH, 7, 7, channels)) for channels in (128, 64))
    kinds = {
        "first layer, 7 x 7": (keras.Sequential([one_hot, first]), named["codes_masked"], codes, 1),
        "masked 3 x 3": (masked[1], named["block_0_masked"], wide, 2),
        "1 x 1, 128 to 128": (plain[0], named["block_0_in"], wide, 5),
        "1 x 1, 64 to 128": (plain[1], named["block_0_out"], narrow, 2),
    }
    return {
        name: {"count": count, **in_turns(name, both_ways(one, x), both_ways(other, x), 20, warm_up=3)}
        for name, (one, other, x, count) in kinds.items()
    }


def arithmetic_rate():
    """Return the floating-point operations a second of a product of two float32 matrices, 2048 x 2048."""
    a = ops.convert_to_tensor(RNG.normal(size=(2048, 2048)).astype("float32"))
    shapes = [keras.KerasTensor(a.shape, "float32")] * 2
    product = vqlib._backend.compiled(keras.Sequential(), "product", ops.matmul, *shapes)
    ops.convert_to_numpy(product(a, a))
    return 2 * 2048**3 / np.median([seconds(lambda: ops.convert_to_numpy(product(a, a))) for _ in range(9)])


def machine():
    """Return what the figures depend on."""
    about_cpu = pathlib.Path("/proc/cpuinfo").read_text()
    cpu = re.search(r"model name\s*: (.*)", about_cpu)
    return {
        "device": vqlib.checkpoints.device(),
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "backend": keras.backend.backend(),
        "versions": {"python": platform.python_version(), **vqlib.checkpoints.versions()},
        "date": datetime.date.today().isoformat(),
        "flops": arithmetic_rate(),
    }


def main(path):
    """Run everything and write `path`."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    figures = {
        "machine": machine(),
        "prior_step": prior_step(),
        "vqvae_step": vqvae_step(),
        "encoding": encoding(),
        "encoding_memory": encoding_memory(),
        "import": importing(),
        "sampling_number": [sampling(n, 7, turns) for n, turns in ((1, 9), (10, 9), (100, 5), (1000, 3))],
        "sampling_side": [sampling(10, side, turns) for side, turns in ((7, 5), (14, 3), (22, 1), (32, 1))],
        "multiply_adds": multiply_adds(),
        "layers": layer_times() if on_tensorflow else {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=pathlib.Path, help="the JSON file to write")
    main(parser.parse_args().out)

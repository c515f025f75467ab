"""Images as a file as short as a prior says: codes, written by a range coder with the prior's probabilities.

:func:`compress` and :func:`decompress` are what most need. Who decodes must compute the *same* probabilities as who
encoded, to the last bit: one that differs garbles all that follows. But floating point gives other last digits on
another processor, with another number of threads, or of images at a time, compiled or not. (Ballé, Johnston and Minnen
2019, "Integer networks for data compression with latent-variable models", show the damage, and make networks of
integers.) Here any prior will do that :func:`vqlib.incremental.incremental` knows, and three things see to it:

1. Both sides run the same function, one position at a time over as many images at once, in double precision, on the
   processor. What still differs are some 1e-13 of a logit.
2. ``vqlib.frequencies`` rounds logits, and from there on all is integers. Who encodes looks that no logit lies so
   near to the border of two steps that the other side could round it to the other one.
3. A check value over the codes tells what went wrong all the same, and no wrong picture comes out.

A file: MAGIC; a CRC-32 of all that follows; the models' fingerprint; a CRC-32 of the codes and labels; how many images
there are, seven bits a byte; then what the range coder wrote. Some 18 bytes before the first code. Check values and
fingerprint are for accidents, each of which they miss once in 2^32 times, and not against forgers.
"""

import contextlib
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vqlib import _backend as backend
from vqlib._checks import check_codes, check_labels
from vqlib._progress import announced
from vqlib.frequencies import SHIFT_ENDS, frequencies, safe_shift
from vqlib.incremental import incremental
from vqlib.range_coder import RangeDecoder, RangeDecodingError, RangeEncoder
from vqlib.sampling import samples_at_once

MAGIC = b"vqc1"  # the last sign is the version of the format; constants belong to it, too, those of the coder as well
IMAGES_AT_ONCE = 1024
DIGITS = 5  # bytes, at most, that say how many images there are
GARBLED = (
    "The file is whole, but from the same models this machine computes other probabilities than the one that made it, "
    "so that its codes cannot be read. Decompress it with the versions of vqlib, Keras and its backend with which it "
    "was made."
)

Block = tuple[list[np.ndarray], np.ndarray]  # grids of codes of all levels, and labels, of some of the images


class CompressionError(ValueError):
    """A file is none of vqlib's, or damaged, or cannot be read with these models, or on this machine."""


class Contents(NamedTuple):
    """What a file holds."""

    codes: Any  # int32, (N, h, w); of two levels, the pair of them: as ``model.encode`` gives them
    labels: np.ndarray | None  # int32, (N,), where a prior is told the class


def compress(images: ArrayLike, models: Sequence[Any], labels: ArrayLike | None = None) -> bytes:
    """Return the bytes of a file that holds images, as codes: about as many bits as the prior's, and 18 bytes.

    The tokenizer loses what it always loses; its codes come back to the last one. 1,000 images of MNIST take 3 seconds
    on two processor cores, 12 where they have two levels, and 5 more where labels are left out.

    Parameters
    ----------
    images : float array, shape (N, H, W, C), in [-0.5, 0.5]
    models : tuple
        A tokenizer, and a prior for each of its levels, from the top: what :func:`vqlib.load_pretrained` gives, or your
        own. A prior is one that :func:`vqlib.incremental.incremental` knows, told nothing, the class, or the codes of
        the level above; its class makes it anew ``from_config`` with ``dtype="float64"``, as a Keras model's does.
    labels : int array, shape (N,), optional
        The class of each image, where a prior is told it; the file keeps it, for log2 of the number of classes in bits.
        Left out, each image gets the class that makes it shortest.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ValueError
        If images, models or labels are not so, or do not fit each other; or a prior gives NaN, logits beyond 1,000 in
        size, or logits in less than float64.
    """
    model, _ = _parts(models)
    return compress_codes(model.encode(images), models, labels)


def decompress(data: bytes, models: Sequence[Any]) -> np.ndarray:
    """Return the images of a file that :func:`compress` made, as the tokenizer's decoder paints them.

    Parameters
    ----------
    data : bytes
    models : tuple
        Those with which it was made.

    Returns
    -------
    float32 array, shape (N, H, W, C)

    Raises
    ------
    CompressionError
        If this is no such file; it is damaged or cut short; it was made with other models; or this machine computes
        other probabilities.
    """
    model, _ = _parts(models)
    return model.decode(decompress_codes(data, models).codes)


def compress_codes(codes: Any, models: Sequence[Any], labels: ArrayLike | None = None) -> bytes:
    """Return the bytes of a file that holds codes, as :func:`compress` does.

    Parameters
    ----------
    codes : int array, shape (N, h, w), or the pair of them
        As the tokenizer's ``encode`` gives them.
    models, labels
        As for :func:`compress`, and so are what is returned and raised.
    """
    model, priors = _parts(models)
    grids = _checked_codes(codes, model)
    number = len(grids[0])
    classes = _num_classes(priors)
    if classes is None and labels is not None:
        raise ValueError("labels were given, but no prior is told the class: leave them out.")
    if labels is not None:
        labels = np.array(check_labels(labels, number, classes), "int32")
    elif classes is not None:
        labels = _shortest_labels(grids, priors, classes)
    else:
        labels = np.zeros(number, "int32")
    writer = _Writer()
    _through(writer, priors, (([grid[some] for grid in grids], labels[some]) for some in _blocks(number)), number)
    stream = writer.encoder.finish()
    body = b"".join([_fingerprint(models), _check_value(grids, labels), _as_bytes(number), stream])
    return MAGIC + _crc(body) + body


def decompress_codes(data: bytes, models: Sequence[Any]) -> Contents:
    """Return the codes and labels of a file, see :func:`decompress` for arguments and errors."""
    model, priors = _parts(models)
    body = _checked_file(data)
    if not made_with(data, models):
        raise CompressionError("The file was made with other models than these, or with these before more training.")
    number, start = _number(body)
    reader = _Reader(body[start:])
    # A block at a time, however many the file says that there are: one that holds fewer ends before them.
    blocks = (_zeros(model, some.stop - some.start) for some in _blocks(number))
    try:
        done = [_zeros(model, 0), *_through(reader, priors, blocks, number)]
        reader.decoder.finish()
    except RangeDecodingError as error:
        raise CompressionError(GARBLED) from error
    grids = [np.concatenate(parts) for parts in zip(*(grids for grids, _ in done), strict=True)]
    labels = np.concatenate([labels for _, labels in done])
    if _check_value(grids, labels) != body[4:8]:
        raise CompressionError(GARBLED)
    codes = grids[0] if len(grids) == 1 else tuple(grids)
    return Contents(codes, None if _num_classes(priors) is None else labels)


def made_with(data: bytes, models: Sequence[Any]) -> bool:
    """Whether a file was made with these models; raises CompressionError where it is none, or damaged."""
    return _checked_file(data)[:4] == _fingerprint(models)


# Codes through the coder


class _Writer:
    """Writes symbols."""

    def __init__(self) -> None:
        self.encoder = RangeEncoder()

    def shift(self, logits: np.ndarray) -> int:
        """Return by how much the borders of steps move, and write it."""
        shift = safe_shift(logits)
        self.symbols(np.array([shift]), SHIFT_ENDS[None])
        return shift

    def symbols(self, known: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Write the symbols that are known, (N,), given where the part of each possible one ends, (N, S)."""
        rows = np.arange(len(known))
        starts = np.pad(ends, [[0, 0], [1, 0]])  # where the one before ends
        start, end = starts[rows, known], ends[rows, known]
        for part in zip(start.tolist(), (end - start).tolist(), ends[:, -1].tolist(), strict=True):
            self.encoder.encode(*part)
        return known


class _Reader:
    """Reads, in the same order, what a :class:`_Writer` wrote."""

    def __init__(self, data: bytes) -> None:
        self.decoder = RangeDecoder(data)

    def shift(self, logits: np.ndarray) -> int:
        """Read by how much the borders of steps move."""
        if not np.isfinite(logits).all():
            raise RangeDecodingError("The prior gives NaN or infinity, which no writer takes.")
        return int(self.symbols(np.zeros(1, "int32"), SHIFT_ENDS[None])[0])

    def symbols(self, known: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Read symbols, (N,), given where the part of each possible one ends, (N, S). Of `known`, only N is."""
        read = np.empty(len(known), "int32")
        for row, each in enumerate(ends):
            symbol = np.searchsorted(each, self.decoder.place(each[-1]), side="right")
            start = each[symbol - 1] if symbol else 0
            self.decoder.decode(start, each[symbol] - start)
            read[row] = symbol
        return read


def _blocks(number: int) -> Iterator[slice]:
    """Yield which images go through a coder side by side."""
    for start in range(0, number, IMAGES_AT_ONCE):
        yield slice(start, min(start + IMAGES_AT_ONCE, number))


def _zeros(model: Any, number: int) -> Block:
    """Return room for the codes and labels of some images."""
    return [np.zeros((number, *level.code_shape), "int32") for level in model.levels], np.zeros(number, "int32")


def _through(coder: _Writer | _Reader, priors: Sequence[Any], blocks: Iterable[Block], number: int) -> list[Block]:
    """Send blocks, of `number` images in all, through a coder; return them. A reader writes into them what it reads."""
    classes = _num_classes(priors)
    rows_in_all = -(-number // IMAGES_AT_ONCE) * sum(prior.code_shape[0] for prior in priors)
    done = []
    with backend.double_precision(), contextlib.closing(announced(range(rows_in_all), "codes")) as rows:
        networks = [_in_double_precision(prior) for prior in priors]
        for grids, labels in blocks:
            if classes is not None:  # all are alike
                labels[:] = coder.symbols(labels, np.broadcast_to(np.arange(1, classes + 1), (len(labels), classes)))
            for level, prior in enumerate(networks):
                _run(prior, _condition(prior, grids[level - 1], labels), coder, grids[level], rows)
            done.append((grids, labels))
    return done


def _run(
    prior: Any, condition: Sequence[np.ndarray], coder: _Writer | _Reader, grid: np.ndarray, rows: Iterator[int]
) -> None:
    """Run a prior over grids, (N, h, w), one position after the other: how both sides compute probabilities.

    It takes one of `rows`, which says how far all is, for each of its rows.
    """
    number, height, width = grid.shape
    network = incremental(prior, *(ops.convert_to_tensor(each, "int32") for each in condition))
    state = network.initial_state(number)
    for i in range(height):
        next(rows)
        row = network.begin_row(state)
        known: list[Any] = []
        for j in range(width):
            logits = ops.convert_to_numpy(network.step(row, known))
            if logits.dtype != "float64":
                raise TypeError(
                    f"{type(prior).__name__} was made in float64, but gives logits in {logits.dtype}, in whose last "
                    "digits machines differ. Fix no dtype in its layers: vqlib.prior.dtype_of_logits() knows it."
                )
            ends = np.cumsum(frequencies(logits, coder.shift(logits)), axis=-1)
            grid[:, i, j] = coder.symbols(grid[:, i, j], ends)
            known.append(ops.convert_to_tensor(grid[:, i, j], "int32"))
        state = network.end_row(row, known)


# Models


def _parts(models: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return a tokenizer and its priors; raise unless they fit each other."""
    if not isinstance(models, (tuple, list)) or not models or not hasattr(models[0], "levels"):
        raise TypeError(
            "models must be a tokenizer and its priors, such as vqlib.load_pretrained() gives, or (model, prior), "
            f"but {_in_words(models)} was given."
        )
    model, *priors = models
    for prior in priors:
        if not (hasattr(prior, "code_shape") and hasattr(prior, "num_embeddings")):
            raise TypeError(f"models must be a tokenizer and its priors, but {_in_words(prior)} is given as a prior.")
        if hasattr(prior, "mask_code"):
            raise TypeError(
                f"A {type(prior).__name__} gives a grid no probability, by which it could be written. Give one that "
                "writes code by code: PixelCNN, GatedPixelCNN or TransformerPrior."
            )
    if len(priors) != len(model.levels):
        raise ValueError(f"{type(model).__name__} needs {len(model.levels)} prior(s), but {len(priors)} were given.")
    above = None
    for level, prior in zip(model.levels, priors, strict=True):
        wanted = tuple(level.code_shape), level.quantizer.num_embeddings
        found = tuple(prior.code_shape), prior.num_embeddings
        if found != wanted:
            raise ValueError(
                f"The {level.name} level has codes {wanted[0]} out of {wanted[1]}, but its prior is for "
                f"{found[0]} out of {found[1]}."
            )
        told = getattr(prior, "condition_shape", None)
        if told and (above is None or (tuple(told), prior.num_conditions) != above):
            raise ValueError(
                f"The prior of the {level.name} level is told grids of codes {tuple(told)} out of "
                f"{prior.num_conditions}, which are not those of the level above."
            )
        above = wanted
    return model, priors


def _in_double_precision(prior: Any) -> Any:
    """Return a copy of a prior with float64 weights, and layers that compute in float64."""
    copy = type(prior).from_config({**prior.get_config(), "dtype": "float64"})
    copy.set_weights(prior.get_weights())
    return copy


def _num_classes(priors: Sequence[Any]) -> int | None:
    """Return how many classes there are, where a prior is told one."""
    numbers = {prior.num_conditions for prior in priors if getattr(prior, "condition_shape", None) == ()}
    if len(numbers) > 1:
        raise ValueError(f"The priors are told classes, but of different numbers: {sorted(numbers)}.")
    return numbers.pop() if numbers else None


def _condition(prior: Any, above: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Return a list of what a prior is told, or of nothing."""
    shape = getattr(prior, "condition_shape", None)
    return [] if shape is None else [labels if shape == () else above]


def _checked_codes(codes: Any, model: Any) -> list[np.ndarray]:
    """Return the grids of each level; raise unless they are codes of the model."""
    grids = [codes] if len(model.levels) == 1 else codes
    if len(model.levels) > 1 and not (isinstance(codes, (tuple, list)) and len(codes) == len(model.levels)):
        raise ValueError(f"codes must be a grid for each of {len(model.levels)} levels, as model.encode gives them.")
    grids = [
        check_codes(grid, level.quantizer.num_embeddings, level.code_shape)
        for grid, level in zip(grids, model.levels, strict=True)
    ]
    if len({len(grid) for grid in grids}) > 1:
        raise ValueError(f"The levels have codes of {' and '.join(str(len(grid)) for grid in grids)} images.")
    return grids


def _shortest_labels(grids: Sequence[np.ndarray], priors: Sequence[Any], classes: int) -> np.ndarray:
    """Return the class of each image under which the priors that are told one find its codes likeliest: (N,) int32."""
    nats = np.zeros((len(grids[0]), classes))
    for grid, prior in zip(grids, priors, strict=True):
        if _num_classes([prior]) is None:
            continue
        at_once = samples_at_once(prior)  # whose logits fit into memory
        for start in announced(range(0, len(grid), at_once), "labels"):
            codes = grid[start : start + at_once]
            for label in range(classes):
                logits = prior.predict((codes, np.full(len(codes), label)), verbose=0)
                nats[start : start + at_once, label] += _nats(logits, codes)
    return nats.argmin(axis=1).astype("int32")


def _nats(logits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of the probability of each grid: (N, h, w, K) and (N, h, w) -> (N,)."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    logarithms = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    return logarithms.sum(axis=(1, 2))


def _fingerprint(models: Sequence[Any]) -> bytes:
    """Return 4 bytes that other weights would change: of the digests of all floating-point weights, in no order.

    Of the weights alone: configurations differ with names, mixed precision and Keras's version, which change no code.
    """
    digests = []
    for model in models:
        for weight in model.get_weights():
            if weight.dtype.kind not in "iu":  # not the states of random numbers, which differ between backends
                digests.append(hashlib.sha256(str(weight.shape).encode() + weight.astype("<f4").tobytes()).digest())
    return hashlib.sha256(b"".join(sorted(digests))).digest()[:4]


# Bytes


def _checked_file(data: bytes) -> bytes:
    """Return what follows the first check value of a file; raise unless it is whole, and one."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"data must be bytes, but {_in_words(data)} was given. Of a file: pathlib.Path(name).read_bytes()."
        )
    data = bytes(data)
    if not data.startswith(MAGIC[:3]):
        raise CompressionError("This is no file that vqlib.compress made, or its beginning is damaged.")
    if not data.startswith(MAGIC):
        raise CompressionError("The file is in another version of the format than this vqlib reads, or damaged.")
    body = data[8:]
    if len(body) < 9 or _crc(body) != data[4:8]:
        raise CompressionError("The file is damaged or cut short: its check value is another one. Fetch it again.")
    return body


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _check_value(grids: Sequence[np.ndarray], labels: np.ndarray) -> bytes:
    """Return 4 bytes of all codes and labels."""
    return _crc(b"".join(array.astype("<i4").tobytes() for array in (*grids, labels)))


def _as_bytes(number: int) -> bytes:
    """Return an integer as bytes of seven bits each, the lowest first; all but the last have the eighth bit set."""
    digits = []
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def _number(body: bytes) -> tuple[int, int]:
    """Return the number of images, and where the codes begin."""
    number = 0
    for place, digit in enumerate(body[8 : 8 + DIGITS]):
        number |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return number, 9 + place
    raise CompressionError("The file does not say how many images it holds.")


def _in_words(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"

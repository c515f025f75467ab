"""Messages between the grader and the process that runs a student's code.

A message is JSON behind its length in four bytes. Numbers, strings, arrays, and lists, tuples and dicts of them travel
by value. Everything else stays where it is, and a number is sent for it. Nothing is unpickled, so that what a student's
process sends cannot run here. A student's code can find the socket and send what it likes: the grader takes each
message as an answer of that student's functions, and believes nothing about its form.
"""

import base64
import json
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import ml_dtypes  # noqa: F401, teaches NumPy the name bfloat16
import numpy as np

LONGEST = 2**25  # bytes of a message: 32 MB of text may become some hundred MB of lists here
LONGEST_ERROR = 2_000  # characters kept of an error
LONGEST_OUTPUT = 20_000  # characters kept of one output
SHOWN = ("text/plain", "image/png")  # of a cell's outputs; the others could run in the browser of who reads them


def pack(value: Any, export: Callable[[Any], Any]) -> Any:
    """Return a value as JSON can hold it; `export` does that for what cannot travel."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if value is ...:
        return {"kind": "ellipsis"}
    if isinstance(value, list | tuple):
        return {"kind": "list" if isinstance(value, list) else "tuple", "items": [pack(item, export) for item in value]}
    if type(value) is dict:
        return {"kind": "dict", "items": [[pack(key, export), pack(item, export)] for key, item in value.items()]}
    if hasattr(value, "__array__"):
        try:
            array = np.asarray(value)
        except Exception:  # a symbolic tensor has no value; which exception says so is up to the library
            return export(value)
        if _travels(array.dtype):
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            return {"kind": "array", "dtype": _name(array.dtype), "shape": array.shape, "data": data}
    return export(value)


def unpack(packed: Any, find: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the value; `find` gives what stands for something that did not travel."""
    if not isinstance(packed, dict):
        return packed
    kind = packed["kind"]
    if kind == "ellipsis":
        return ...
    if kind in ("list", "tuple"):
        items = [unpack(item, find) for item in packed["items"]]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {unpack(key, find): unpack(item, find) for key, item in packed["items"]}
    if kind == "array":
        dtype = np.dtype(packed["dtype"])
        if not _travels(dtype):
            raise TypeError(f"no array of {dtype} is sent")
        return np.frombuffer(base64.b64decode(packed["data"]), dtype).reshape(packed["shape"]).copy()
    return find(packed)


def _travels(dtype: np.dtype) -> bool:
    """Return whether an array is numbers or text; short numbers such as bfloat16 call themselves void."""
    return dtype.kind in "biufU" or (dtype.kind == "V" and dtype.type is not np.void)


def _name(dtype: np.dtype) -> str:
    """Return the name with which NumPy finds a type again; that of bfloat16 hides in its string form."""
    return dtype.name if dtype.kind == "V" else dtype.str


def truncate(value: object, longest: int = LONGEST_ERROR) -> str:
    """Return what should be text as text that any file can hold, cut where it becomes too long."""
    text = value if isinstance(value, str) else repr(value)
    text = re.sub("[\ud800-\udfff\0]", "\N{REPLACEMENT CHARACTER}", text[: longest + 1])
    return text if len(text) <= longest else text[:longest] + " ... (cut here)"


def one_line(kind: str, message: object) -> str:
    """Return an error on one line, cut as :func:`truncate` does."""
    return truncate(" ".join(f"{kind}: {message}".splitlines()), 200)


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as bytes, its text in UTF-8: as long as it is in a notebook's file, in any script.

    Raises
    ------
    OverflowError
        If it is too long.
    """
    text = json.dumps(message, ensure_ascii=False).encode(errors="surrogatepass")  # as json.loads decodes
    if len(text) > LONGEST:
        raise OverflowError(f"too large to hand over: {len(text) / 2**20:.0f} MB, and {LONGEST >> 20} MB may be")
    return len(text).to_bytes(4, "big") + text


def receive(connection: socket.socket, until: float | None = None) -> dict[str, Any]:
    """Return the next message of a socket.

    Parameters
    ----------
    until : float, optional
        A time by ``time.monotonic()``: all of the message must be there by then, however it trickles in.

    Raises
    ------
    EOFError
        If the other side is gone, or sends what is no message.
    TimeoutError
    """
    length = int.from_bytes(_exactly(4, connection, until), "big")
    if length > LONGEST:
        raise EOFError("not a message")
    text = _exactly(length, connection, until)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EOFError("not a message") from error
    if not isinstance(message, dict):
        raise EOFError("not a message")
    return message


def _exactly(count: int, connection: socket.socket, until: float | None) -> bytes:
    data = bytearray()
    while len(data) < count:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        part = connection.recv(min(2**20, count - len(data)))
        if not part:
            raise EOFError("the other side is gone")
        data += part
    return bytes(data)

"""Messages between the grader and the process that runs a student's code.

A message is JSON: its length on a line, then the text. Numbers, strings, arrays, and lists, tuples and dicts of them
travel by value. Everything else stays where it is, and a number is sent for it. Nothing is unpickled, so that what a
student's process sends cannot run here.
"""

import base64
import json
import math

import ml_dtypes  # noqa: F401, teaches NumPy the name bfloat16
import numpy as np

LONGEST = 2**28  # bytes


def pack(value, lend):
    """Return a value as JSON can hold it; `lend` does that for what cannot travel."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if value is ...:
        return {"kind": "ellipsis"}
    if isinstance(value, (list, tuple)):
        return {"kind": "list" if isinstance(value, list) else "tuple", "items": [pack(item, lend) for item in value]}
    if type(value) is dict:
        return {"kind": "dict", "items": [[pack(key, lend), pack(item, lend)] for key, item in value.items()]}
    if hasattr(value, "__array__"):
        try:
            array = np.asarray(value)
        except Exception:  # a symbolic tensor has no value; which exception says so is up to the library
            return lend(value)
        if array.dtype.kind in "biufUV" and array.dtype.names is None:
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            return {"kind": "array", "dtype": _name(array.dtype), "shape": array.shape, "data": data}
    return lend(value)


def unpack(packed, find):
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
        array = np.frombuffer(base64.b64decode(packed["data"]), np.dtype(packed["dtype"]))
        return array.reshape(packed["shape"]).copy()
    return find(packed)


def _name(dtype):
    """Return the name with which NumPy finds a type again; that of bfloat16 hides in its string form."""
    return dtype.name if dtype.kind == "V" else dtype.str


def send(connection, message):
    """Send a message over a socket."""
    text = json.dumps(message).encode()
    connection.sendall(b"%d\n" % len(text) + text)


def receive(connection):
    """Return the next message of a socket.

    Raises
    ------
    EOFError
        If the other side is gone, or sends what is no message.
    TimeoutError
        If the socket has a time limit, and nothing came within it.
    """
    head = b""
    while not head.endswith(b"\n"):
        head += _some(connection, 1)
        if len(head) > 12:
            raise EOFError("not a message")
    if not head.strip().isdigit() or int(head) > LONGEST:
        raise EOFError("not a message")
    text = bytearray()
    while len(text) < int(head):
        text += _some(connection, min(2**20, int(head) - len(text)))
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EOFError("not a message") from error
    if not isinstance(message, dict):
        raise EOFError("not a message")
    return message


def _some(connection, count):
    data = connection.recv(count)
    if not data:
        raise EOFError("the other side is gone")
    return data


def seconds(limit):
    """Return a time limit in words."""
    return f"{math.ceil(limit)} seconds"

"""Defaults in signatures that can be told from the same values given by hand."""

from typing import Any, TypeVar, cast

Value = TypeVar("Value")


class Unset:
    """A default value that can be told from the same value given by hand; in a signature it shows as the value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        """Return what the value itself shows."""
        return repr(self.value)


def unset(value: Value) -> Value:
    """Return a default that :func:`or_default` replaces by `value`, for the signature of that type."""
    return cast(Value, Unset(value))


def or_default(value: Value) -> Value:
    """Return what was given, or the value of the default."""
    return value.value if isinstance(value, Unset) else value

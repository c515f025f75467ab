"""Names for what annotations speak of."""

from typing import Any

Tensor = Any  # a tensor of Keras's backend, or symbolic: no library exports a type for all of them

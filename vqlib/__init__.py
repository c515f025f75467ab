"""vqlib: vector quantization, VQ-VAE and PixelCNN in Keras 3, small enough to read chapter by chapter.

The library's own names:

- models and layers: ``VQVAE``, ``VQVAE2``, ``PixelCNN``, ``GatedPixelCNN``, ``TransformerPrior``,
  ``MaskedTransformer``, ``Classifier``; ``VectorQuantizer``, ``EMAVectorQuantizer``, ``SimVQ``,
  ``FiniteScalarQuantizer``, ``LookupFreeQuantizer``, ``ResidualQuantizer``, ``ProductQuantizer``
- data and trained weights: ``load_dataset``, ``load_images``, ``Dataset``, ``DatasetNotFoundError``;
  ``load_pretrained``, ``load_card``, and the module ``checkpoints``
- to use a model: ``sample``, ``sample_masked``, ``compress``, ``decompress``, and the modules ``metrics``,
  ``evaluation`` and ``plots``
- to train for long: ``Resumable``

The book's, which its chapters call: ``show_setup``, ``profile``, ``keep_run``, ``kept_runs``, ``check`` and ``lab``.

Importing the package is quick: each name, and each module as ``vqlib.<module>``, is imported when it is first used, and
all models together with Keras. It computes on TensorFlow or JAX, see ``KERAS_BACKEND`` in Keras's documentation.
"""

import importlib
import importlib.util
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

from vqlib import _quiet
from vqlib._version import __version__

if TYPE_CHECKING:
    from vqlib import checkpoints, evaluation, metrics, plots
    from vqlib.autoencoder import VQVAE
    from vqlib.book.exercises import check
    from vqlib.book.labs import lab
    from vqlib.book.profiles import profile
    from vqlib.book.runs import Resumable, keep_run, kept_runs
    from vqlib.book.welcome import show_setup
    from vqlib.checkpoints import load_card, load_pretrained
    from vqlib.classifier import Classifier
    from vqlib.compression import compress, decompress
    from vqlib.data import Dataset, DatasetNotFoundError, load_dataset
    from vqlib.finite_scalar import FiniteScalarQuantizer
    from vqlib.gated import GatedPixelCNN
    from vqlib.hierarchy import VQVAE2
    from vqlib.image_folder import load_images
    from vqlib.lookup_free import LookupFreeQuantizer
    from vqlib.masked import MaskedTransformer
    from vqlib.masked_sampling import sample_masked
    from vqlib.moving_average import EMAVectorQuantizer
    from vqlib.pixelcnn import PixelCNN
    from vqlib.product import ProductQuantizer
    from vqlib.quantizers import VectorQuantizer
    from vqlib.residual import ResidualQuantizer
    from vqlib.sampling import sample
    from vqlib.sim_vq import SimVQ
    from vqlib.transformer import TransformerPrior

__all__ = [
    "VQVAE",
    "VQVAE2",
    "Classifier",
    "Dataset",
    "DatasetNotFoundError",
    "EMAVectorQuantizer",
    "FiniteScalarQuantizer",
    "GatedPixelCNN",
    "LookupFreeQuantizer",
    "MaskedTransformer",
    "PixelCNN",
    "ProductQuantizer",
    "ResidualQuantizer",
    "Resumable",
    "SimVQ",
    "TransformerPrior",
    "VectorQuantizer",
    "__version__",
    "check",
    "checkpoints",
    "compress",
    "decompress",
    "evaluation",
    "keep_run",
    "kept_runs",
    "lab",
    "load_card",
    "load_dataset",
    "load_images",
    "load_pretrained",
    "metrics",
    "plots",
    "profile",
    "sample",
    "sample_masked",
    "show_setup",
]

_MODELS = {  # and layers: what Keras has to know to load a model
    "VQVAE": "autoencoder",
    "VQVAE2": "hierarchy",
    "PixelCNN": "pixelcnn",
    "GatedPixelCNN": "gated",
    "TransformerPrior": "transformer",
    "MaskedTransformer": "masked",
    "Classifier": "classifier",
    "VectorQuantizer": "quantizers",
    "EMAVectorQuantizer": "moving_average",
    "SimVQ": "sim_vq",
    "FiniteScalarQuantizer": "finite_scalar",
    "LookupFreeQuantizer": "lookup_free",
    "ResidualQuantizer": "residual",
    "ProductQuantizer": "product",
}
_HOMES = {
    **_MODELS,
    "Dataset": "data",
    "DatasetNotFoundError": "data",
    "Resumable": "book.runs",
    "check": "book.exercises",
    "compress": "compression",
    "decompress": "compression",
    "keep_run": "book.runs",
    "kept_runs": "book.runs",
    "lab": "book.labs",
    "load_card": "checkpoints",
    "load_dataset": "data",
    "load_images": "image_folder",
    "load_pretrained": "checkpoints",
    "profile": "book.profiles",
    "sample": "sampling",
    "sample_masked": "masked_sampling",
    "show_setup": "book.welcome",
}

if not TYPE_CHECKING:  # a checker would take any name for one of the package's

    def __getattr__(name: str) -> Any:
        """Import a public name, or a module of the package, where it is first used (PEP 562)."""
        if name in _HOMES:
            value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        elif name.isidentifier() and not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}"):
            value = importlib.import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    modules = (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return sorted({*__all__, *modules, *(name for name in globals() if name.startswith("__"))})


def _define_models() -> None:
    for home in dict.fromkeys(_MODELS.values()):
        importlib.import_module(f"{__name__}.{home}")


_watch = _quiet.watch_imports(_define_models)
if "keras" in sys.modules:
    _watch.keras_is_there()

"""vqlib: vector quantization, VQ-VAE and PixelCNN in Keras 3, small enough to read in one sitting."""

import sys

# `python -m vqlib` imports nothing here: its doctor has to work where one of these imports fails. While Python
# looks for the module after -m, "-m" stands in place of the program's name.
if sys.argv[0] != "-m" or sys.orig_argv[-len(sys.argv)] != "vqlib":
    from vqlib import _quiet  # noqa: F401, I001, first: TensorFlow starts with pages of messages
    from vqlib import evaluation, metrics, plots
    from vqlib._version import __version__
    from vqlib.autoencoder import VQVAE
    from vqlib.checkpoints import load_card, load_pretrained
    from vqlib.data import Dataset, DatasetNotFoundError, load_dataset
    from vqlib.image_folder import load_images
    from vqlib.classifier import Classifier
    from vqlib.exercises import check
    from vqlib.finite_scalar import FiniteScalarQuantizer
    from vqlib.gated import GatedPixelCNN
    from vqlib.hierarchy import VQVAE2
    from vqlib.moving_average import EMAVectorQuantizer
    from vqlib.pixelcnn import PixelCNN
    from vqlib.quantizers import VectorQuantizer
    from vqlib.runs import Resumable, keep_run, profile
    from vqlib.sampling import sample
    from vqlib.welcome import show_setup

__all__ = [
    "VQVAE",
    "VQVAE2",
    "Classifier",
    "Dataset",
    "DatasetNotFoundError",
    "EMAVectorQuantizer",
    "FiniteScalarQuantizer",
    "GatedPixelCNN",
    "PixelCNN",
    "Resumable",
    "VectorQuantizer",
    "__version__",
    "check",
    "evaluation",
    "keep_run",
    "load_card",
    "load_dataset",
    "load_images",
    "load_pretrained",
    "metrics",
    "plots",
    "profile",
    "sample",
    "show_setup",
]

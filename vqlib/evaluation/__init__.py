"""How good samples and codes are: distances between features, nearest training images and grids, picture codecs."""

from vqlib.evaluation._codecs import codec_rate, codec_rate_at
from vqlib.evaluation._distances import (
    PrecisionAndRecall,
    frechet_distance,
    frechet_excess,
    frechet_floor,
    frechet_limit,
    kernel_distance,
    precision_and_recall,
)
from vqlib.evaluation._neighbours import nearest_grids, nearest_images

__all__ = [
    "PrecisionAndRecall",
    "codec_rate",
    "codec_rate_at",
    "frechet_distance",
    "frechet_excess",
    "frechet_floor",
    "frechet_limit",
    "kernel_distance",
    "nearest_grids",
    "nearest_images",
    "precision_and_recall",
]

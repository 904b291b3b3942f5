"""Quality of images, measured on features of a pretrained network, and filters."""

from gansampler.quality._distances import kernel_distance
from gansampler.quality._feature_filters import (
    DistanceFilter,
    LabelFilter,
    MemorizationFilter,
)
from gansampler.quality._features import FeatureExtractor
from gansampler.quality._filters import BaseFilter, DiscriminatorFilter, Verdict

__all__ = [
    "BaseFilter",
    "DiscriminatorFilter",
    "DistanceFilter",
    "FeatureExtractor",
    "LabelFilter",
    "MemorizationFilter",
    "Verdict",
    "kernel_distance",
]

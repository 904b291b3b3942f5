"""Measures of the quality of images, on the features of a pretrained network."""

from gansampler.quality._distances import kernel_distance
from gansampler.quality._features import FeatureExtractor

__all__ = ["FeatureExtractor", "kernel_distance"]

"""Measures of the quality of images, on the features of a pretrained network."""

from gansampler.quality._features import FeatureExtractor

__all__ = ["FeatureExtractor"]

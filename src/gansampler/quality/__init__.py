"""Measures of the quality of images, on the features of a pretrained network.

:func:`quality_report` computes them all, compares them with those of real and of
untranslated images, and shows them as a page.
"""

from gansampler.quality._distances import frechet_distance, kernel_distance
from gansampler.quality._features import FeatureExtractor
from gansampler.quality._figures import QualityFigure
from gansampler.quality._neighbours import density_coverage, precision_recall
from gansampler.quality._report import QualityReport, quality_report

__all__ = [
    "FeatureExtractor",
    "QualityFigure",
    "QualityReport",
    "density_coverage",
    "frechet_distance",
    "kernel_distance",
    "precision_recall",
    "quality_report",
]

"""Quality of images, measured on features of a pretrained network, and filters.

:func:`quality_report` computes all figures, compares them with those of real and of
untranslated images, and shows them as a page.
"""

from gansampler.quality._distances import frechet_distance, kernel_distance
from gansampler.quality._feature_filters import (
    DistanceFilter,
    LabelFilter,
    MemorizationFilter,
)
from gansampler.quality._features import FeatureExtractor
from gansampler.quality._figures import QualityFigure
from gansampler.quality._filters import BaseFilter, DiscriminatorFilter, Verdict
from gansampler.quality._neighbours import density_coverage, precision_recall
from gansampler.quality._report import QualityReport, quality_report

__all__ = [
    "BaseFilter",
    "DiscriminatorFilter",
    "DistanceFilter",
    "FeatureExtractor",
    "LabelFilter",
    "MemorizationFilter",
    "QualityFigure",
    "QualityReport",
    "Verdict",
    "density_coverage",
    "frechet_distance",
    "kernel_distance",
    "precision_recall",
    "quality_report",
]

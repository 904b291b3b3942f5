"""Pretrained feature networks, with their weights and their normalisation.

A backbone maps images in [-1, 1] to features. Classifiers and measures of quality are
built on it.
"""

from gansampler.backbones._backbone import (
    Backbone,
    check_image_size,
    dry_run,
    full_precision,
)
from gansampler.backbones._build import build_backbone

__all__ = [
    "Backbone",
    "build_backbone",
    "check_image_size",
    "dry_run",
    "full_precision",
]

"""Losses for imbalanced classes and for image-to-image translators.

They need torch and nothing else.
"""

from gansampler.losses._adversarial import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
)
from gansampler.losses._binary_focal import BinaryFocalLoss, binary_focal_loss
from gansampler.losses._class_balanced import ClassBalancedLoss
from gansampler.losses._class_weights import class_weights
from gansampler.losses._contrastive import patch_contrastive_loss
from gansampler.losses._focal import FocalLoss, focal_loss
from gansampler.losses._ldam import LDAMLoss
from gansampler.losses._logit_adjusted import LogitAdjustedLoss

__all__ = [
    "BinaryFocalLoss",
    "ClassBalancedLoss",
    "FocalLoss",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "binary_focal_loss",
    "class_weights",
    "focal_loss",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "non_saturating_discriminator_loss",
    "non_saturating_generator_loss",
    "patch_contrastive_loss",
]

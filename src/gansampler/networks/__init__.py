"""Generators, discriminators and projections; they know no losses and no training.

A generator may have an attribute ``size_multiple``: the height and the width of its
input are padded to multiples of it.
"""

from gansampler.networks._discriminators import PatchDiscriminator
from gansampler.networks._init import init_weights
from gansampler.networks._mlp import MLPDiscriminator, MLPGenerator
from gansampler.networks._projected import FrozenFeatures, ProjectedDiscriminator
from gansampler.networks._projection import PatchProjection
from gansampler.networks._resnet import ResNetGenerator
from gansampler.networks._unet import UNetGenerator

__all__ = [
    "FrozenFeatures",
    "MLPDiscriminator",
    "MLPGenerator",
    "PatchDiscriminator",
    "PatchProjection",
    "ProjectedDiscriminator",
    "ResNetGenerator",
    "UNetGenerator",
    "init_weights",
]

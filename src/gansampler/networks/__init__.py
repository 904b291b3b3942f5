"""Generators and discriminators; they know no losses and no training.

A generator has an attribute ``size_multiple``: the height and width that it takes
are multiples of it.
"""

from gansampler.networks._discriminators import PatchDiscriminator
from gansampler.networks._init import init_weights
from gansampler.networks._mlp import MLPDiscriminator, MLPGenerator
from gansampler.networks._resnet import ResNetGenerator
from gansampler.networks._unet import UNetGenerator

__all__ = [
    "MLPDiscriminator",
    "MLPGenerator",
    "PatchDiscriminator",
    "ResNetGenerator",
    "UNetGenerator",
    "init_weights",
]

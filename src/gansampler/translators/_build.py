"""Build the networks that the parameters of adversarial translators name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from gansampler.backbones import Backbone, build_backbone
from gansampler.networks import (
    FrozenFeatures,
    MLPDiscriminator,
    PatchDiscriminator,
    ProjectedDiscriminator,
    ResNetGenerator,
)

N_BLOCKS_SMALL, N_BLOCKS_LARGE, LARGE_SIDE = 6, 9, 256
FEATURE_BACKBONE, FEATURE_SIDE = "efficientnet_lite0", 64


def build_resnet(
    sample_shape: tuple[int, ...],
    ngf: int,
    n_blocks: Literal["auto"] | int,
    *,
    global_skip: bool,
) -> ResNetGenerator:
    """Return a new ResNet generator for images of a shape."""
    if n_blocks == "auto":
        is_small = min(sample_shape[:-1]) < LARGE_SIDE
        n_blocks = N_BLOCKS_SMALL if is_small else N_BLOCKS_LARGE
    return ResNetGenerator(
        sample_shape[-1], ngf=ngf, n_blocks=n_blocks, global_skip=global_skip
    )


def build_discriminator(
    kind: Literal["patch", "projected"],
    sample_shape: tuple[int, ...],
    ndf: int,
    n_layers: int,
) -> nn.Module:
    """Return a new discriminator, for images of a kind, or for feature rows."""
    n_channels = sample_shape[-1]
    if len(sample_shape) == 1:
        return MLPDiscriminator(n_channels, width=ndf)
    if kind == "patch":
        return PatchDiscriminator(n_channels, ndf=ndf, n_layers=n_layers)
    return ProjectedDiscriminator(_build_backbone(n_channels), n_channels)


def build_features(n_channels: int) -> FrozenFeatures:
    """Return the pretrained features of a projected discriminator."""
    return FrozenFeatures(_build_backbone(n_channels))


def _build_backbone(n_channels: int) -> Backbone:
    return build_backbone(
        FEATURE_BACKBONE, in_channels=n_channels, min_side=FEATURE_SIDE
    )

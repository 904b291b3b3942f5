"""Build the networks that the parameters of adversarial translators name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from gansampler.backbones import build_backbone
from gansampler.networks import (
    MLPDiscriminator,
    PatchDiscriminator,
    ProjectedDiscriminator,
    ResNetGenerator,
)

N_BLOCKS_SMALL, N_BLOCKS_LARGE, LARGE_SIDE = 6, 9, 256
DISCRIMINATOR_BACKBONE, DISCRIMINATOR_SIDE = "efficientnet_lite0", 96


def build_resnet(
    sample_shape: tuple[int, ...],
    *,
    ngf: int,
    n_blocks: Literal["auto"] | int,
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
    *,
    ndf: int,
    n_layers: int,
) -> nn.Module:
    """Return a new discriminator, for images of a kind, or for feature rows."""
    n_channels = sample_shape[-1]
    if len(sample_shape) == 1:
        return MLPDiscriminator(n_channels, width=ndf)
    if kind == "patch":
        return PatchDiscriminator(n_channels, ndf=ndf, n_layers=n_layers)
    backbone = build_backbone(
        DISCRIMINATOR_BACKBONE, in_channels=n_channels, min_side=DISCRIMINATOR_SIDE
    )
    return ProjectedDiscriminator(backbone, n_channels)

"""Variants of SimGAN that are compared with it, and are not in the package."""

from __future__ import annotations

import torch
from torch import nn

from gansampler import SimGAN
from gansampler.backbones import build_backbone
from gansampler.networks import ProjectedDiscriminator, ResNetGenerator
from gansampler.translators._simgan import SimGANTask

# Relative to lambda_color.
MASK_WEIGHT = 0.25


class EnlargedSimGAN(SimGAN):
    """Images are enlarged to 96 px before the pretrained features."""

    def _build_discriminator(self):
        backbone = build_backbone("efficientnet_lite0", min_side=96)
        return ProjectedDiscriminator(backbone)


class _VariantTask(SimGANTask):
    def __init__(self, *args, source_share: float = 0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.source_share = source_share

    def update_discriminators(self, **images):
        """Show source images as further images that are not of the target class."""
        real, fake = images["discriminator_t"]
        n = int(self.source_share * len(fake))
        fake = torch.cat([fake.detach(), self._source[:n]])
        return super().update_discriminators(discriminator_t=(real, fake))

    def training_step(self, batch):
        """Keep the source images for the discriminator."""
        self._source = batch[0]
        return super().training_step(batch)

    def _color_loss(self, fake, source):
        loss = super()._color_loss(fake, source)
        mask = getattr(self.modules["generator_st"], "mask", None)
        if mask is not None:
            loss = loss + MASK_WEIGHT * mask.mean()
        return loss


class MaskGenerator(ResNetGenerator):
    """A generator that draws where it changes the image, and how.

    Parameters
    ----------
    n_channels, ngf, n_blocks
        See :class:`ResNetGenerator`.
    is_blend : bool
        Whether the change is a new image that is blended in, or is added in the space
        of `global_skip`.
    """

    def __init__(self, n_channels: int, *, ngf: int, n_blocks: int, is_blend: bool):
        super().__init__(n_channels + 1, ngf=ngf, n_blocks=n_blocks)
        first = nn.Conv2d(n_channels, ngf, 7, bias=False)
        nn.init.normal_(first.weight, 0, 0.02)
        self.layers[1] = first
        self.is_blend = is_blend

    def forward(self, input):
        """Change images, and keep the mask of shape (n, 1, height, width)."""
        output = self.layers(input)
        drawn, self.mask = output[:, :-1], torch.sigmoid(2 * output[:, -1:])
        if self.is_blend:
            return self.mask * torch.tanh(drawn) + (1 - self.mask) * input
        return torch.tanh(torch.atanh(input.clamp(-0.99, 0.99)) + self.mask * 2 * drawn)


class VariantSimGAN(SimGAN):
    """SimGAN with a mask, or with source images for the discriminator."""

    mask: str | None = None
    source_share = 0.0

    def _build_resnet(self):
        if self.mask is None:
            return super()._build_resnet()
        return MaskGenerator(
            self.sample_shape_[-1],
            ngf=self.ngf,
            n_blocks=6,
            is_blend=self.mask == "blend",
        )

    def _build_task(self, networks, data, settings):
        return _VariantTask(
            networks,
            data,
            settings,
            lambda_color=self.lambda_color,
            lambda_content=self.lambda_content,
            source_share=self.source_share,
        )


class SourceSimGAN(VariantSimGAN):
    """Half of what the discriminator learns to reject are source images."""

    source_share = 1.0


class MaskSimGAN(VariantSimGAN):
    """The change is masked."""

    mask = "change"


class MaskSourceSimGAN(VariantSimGAN):
    """The change is masked, and a third of what is rejected are source images."""

    mask, source_share = "change", 0.5


class BlendSimGAN(VariantSimGAN):
    """A new image is blended in under the mask."""

    mask = "blend"

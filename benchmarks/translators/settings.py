"""The settings that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from gansampler import CUT, CycleGAN
from gansampler.networks import ResNetGenerator
from gansampler.translators import AdversarialTask, AdversarialTranslator

FLIPS = {"horizontal_flip": True, "vertical_flip": True}
NEW = {
    **FLIPS,
    "ngf": 32,
    "n_blocks": 6,
    "discriminator": "projected",
    "augment_discriminator": True,
    "global_skip": True,
    "batch_size": 8,
    "betas": (0.0, 0.99),
    "ema_decay": 0.995,
}


@dataclass(kw_only=True, eq=False, repr=False)
class OneSided(AdversarialTranslator):
    """One generator, held to the source by colours and pretrained features.

    Parameters
    ----------
    {common_parameters}
    """

    lambda_color: float = 0.5
    lambda_content: float = 0.25

    def _build_networks(self):
        return {
            "generator_st": self._build_resnet(),
            "discriminator_t": self._build_discriminator(),
        }

    def _build_task(self, networks, data, settings):
        task = OneSidedTask(networks, data, settings)
        task.lambdas = self.lambda_color, self.lambda_content
        return task


class OneSidedTask(AdversarialTask):
    """The step of the prototype."""

    def training_step(self, batch):
        real_source, real_target = batch
        backbone = self.modules["discriminator_t"].backbone
        with self.frozen_discriminators():
            fake_target = self.modules["generator_st"](real_source).to(torch.float32)
            loss = self.adversarial_loss("discriminator_t", fake_target)
            color = (
                (F.avg_pool2d(fake_target, 8) - F.avg_pool2d(real_source, 8))
                .abs()
                .mean()
            )
            with torch.autocast("cpu", enabled=False):
                with torch.no_grad():
                    keys = backbone.stages(real_source)[-4:-2]
                queries = backbone.stages(fake_target)[-4:-2]
            content = sum(
                (a - b).square().mean() / (b.square().mean() + 1e-6)
                for a, b in zip(queries, keys)
            )
            self.update_generators(
                loss + self.lambdas[0] * color + self.lambdas[1] * content
            )
        losses = self.update_discriminators(discriminator_t=(real_target, fake_target))
        return {"adversarial": loss, "color": color, "content": content, **losses}


SETTINGS: dict[str, Callable[..., AdversarialTranslator]] = {
    "CycleGAN before": partial(
        CycleGAN,
        generator=partial(ResNetGenerator, ngf=24, n_blocks=4, global_skip=True),
        ndf=32,
        lr=3e-4,
        lambda_cycle=2.0,
        lambda_identity=0.0,
        **FLIPS,
    ),
    "prototype": partial(OneSided, **NEW),
    "CUT projected": partial(CUT, **NEW),
    "CUT projected fast": partial(CUT, **NEW, fast=True, lambda_nce=1.0),
    "CUT projected nce .25": partial(CUT, **NEW, lambda_nce=0.25),
    "CUT projected no skip": partial(CUT, **(NEW | {"global_skip": False})),
    "prototype no skip": partial(OneSided, **(NEW | {"global_skip": False})),
    "CycleGAN projected": partial(
        CycleGAN, **NEW, lambda_cycle=1.0, lambda_identity=0.0, pool_size=0
    ),
}

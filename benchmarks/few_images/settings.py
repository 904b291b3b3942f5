"""The settings that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gansampler import CUT, CycleGAN, SimGAN
from gansampler.networks import ResNetGenerator
from gansampler.translators import AdversarialTranslator

FLIPS: dict[str, Any] = {"horizontal_flip": True, "vertical_flip": True}
FEW_IMAGES: dict[str, Any] = {
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


def _simgan(**changes: Any) -> partial:
    return partial(SimGAN, **(FLIPS | changes))


SETTINGS: dict[str, Callable[..., AdversarialTranslator]] = {
    # The settings of the examples before there were others.
    "CycleGAN before": partial(
        CycleGAN,
        generator=partial(ResNetGenerator, ngf=24, n_blocks=4, global_skip=True),
        ndf=32,
        lr=3e-4,
        lambda_cycle=2.0,
        lambda_identity=0.0,
        **FLIPS,
    ),
    "CUT before": partial(CUT, ngf=32, **FLIPS),
    "SimGAN": _simgan(),
    "no global skip": _simgan(global_skip=False),
    "small generator": _simgan(ngf=24, n_blocks=4),
    "no augmentation": _simgan(augment_discriminator=False),
    "no moving average": _simgan(ema_decay=0.0),
    "patch discriminator": _simgan(discriminator="patch"),
    "no content loss": _simgan(lambda_content=0.0),
    "no colour loss": _simgan(lambda_color=0.0),
    "half of both losses": _simgan(lambda_content=0.125, lambda_color=1.0),
    "learning rate 4e-4": _simgan(lr=4e-4),
    "CUT, projected": partial(CUT, **FEW_IMAGES),
    "CycleGAN, projected": partial(
        CycleGAN, **FEW_IMAGES, lambda_cycle=1.0, lambda_identity=0.0, pool_size=0
    ),
}

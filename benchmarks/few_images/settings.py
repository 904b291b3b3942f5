"""The settings that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.few_images.variants import (
    BlendSimGAN,
    EnlargedSimGAN,
    MaskSimGAN,
    MaskSourceSimGAN,
    SourceSimGAN,
)
from gansampler import CUT, CycleGAN, SimGAN
from gansampler.networks import ResNetGenerator
from gansampler.translators import AdversarialTranslator

FLIPS: dict[str, Any] = {"horizontal_flip": True, "vertical_flip": True}
FEW_IMAGES: dict[str, Any] = {
    **FLIPS,
    "ngf": 16,
    "n_blocks": 6,
    "discriminator": "projected",
    "augment_discriminator": True,
    "global_skip": True,
    "batch_size": 8,
    "betas": (0.0, 0.99),
    "ema_decay": 0.995,
}


def _simgan(kind: type[SimGAN] = SimGAN, **changes: Any) -> partial:
    return partial(kind, **(FLIPS | changes))


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
    "32 filters": _simgan(ngf=32),
    "32 filters, features of 96 px": _simgan(EnlargedSimGAN, ngf=32),
    "24 filters, 4 blocks, features of 96 px": _simgan(
        EnlargedSimGAN, ngf=24, n_blocks=4
    ),
    "no global skip": _simgan(global_skip=False),
    "no augmentation": _simgan(augment_discriminator=False),
    "no moving average": _simgan(ema_decay=0.0),
    "patch discriminator": _simgan(discriminator="patch"),
    "no content loss": _simgan(lambda_content=0.0),
    "no colour loss": _simgan(lambda_color=0.0),
    "weaker losses": _simgan(lambda_content=0.1, lambda_color=0.5),
    "learning rate 4e-4": _simgan(lr=4e-4),
    "mask": _simgan(MaskSimGAN),
    "mask, new image": _simgan(BlendSimGAN),
    "source images rejected": _simgan(SourceSimGAN),
    "mask, source images rejected": _simgan(MaskSourceSimGAN),
    "CUT, projected": partial(CUT, **FEW_IMAGES),
    "CycleGAN, projected": partial(
        CycleGAN, **FEW_IMAGES, lambda_cycle=1.0, lambda_identity=0.0, pool_size=0
    ),
}

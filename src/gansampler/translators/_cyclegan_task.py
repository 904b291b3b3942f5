"""One step of CycleGAN."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from gansampler.images import ImageSequence
from gansampler.losses._adversarial import (
    least_squares_discriminator_loss,
    least_squares_generator_loss,
)
from gansampler.translators._pool import ImagePool
from gansampler.translators._task import TranslationTask

if TYPE_CHECKING:
    from gansampler.translators._cyclegan import CycleGAN

__all__ = ["CycleGANTask"]


class CycleGANTask(TranslationTask):
    """Generators first against frozen discriminators, then the discriminators.

    Instance normalisation treats each image by itself, so translating one domain and
    passing the other through for the identity loss share one batch, exactly.
    """

    model: CycleGAN

    def __init__(
        self,
        model: CycleGAN,
        source: ImageSequence,
        target: ImageSequence,
        data_seed: int,
        pool_seed: int,
    ) -> None:
        pool_seeds = np.random.SeedSequence(pool_seed).spawn(2)
        self.pool_s, self.pool_t = (
            ImagePool(model.pool_size, np.random.default_rng(seed))
            for seed in pool_seeds
        )
        size_multiple = getattr(model.generator_st_, "size_multiple", 1)
        super().__init__(
            model,
            source,
            target,
            data_seed,
            size_multiple,
            pools=(self.pool_s, self.pool_t),
        )
        self.modules = {
            "generator_st": model.generator_st_,
            "generator_ts": model.generator_ts_,
            "discriminator_s": model.discriminator_s_,
            "discriminator_t": model.discriminator_t_,
        }
        if model.generator_st_ema_ is not None:
            self.use_ema("generator_st", model.generator_st_ema_, model.ema_decay)
        self.use_adam(
            generators=chain(
                model.generator_st_.parameters(), model.generator_ts_.parameters()
            ),
            discriminators=chain(
                model.discriminator_s_.parameters(), model.discriminator_t_.parameters()
            ),
        )

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update generators, then discriminators."""
        real_source, real_target = batch
        fakes, losses = self._update_generators(real_source, real_target)
        losses |= self._update_discriminators(real_source, real_target, *fakes)
        return losses

    def _update_generators(self, real_source, real_target):
        self._freeze_discriminators(True)
        n = len(real_source)
        generator_st = self.modules["generator_st"]
        generator_ts = self.modules["generator_ts"]
        with_identity = self.model.lambda_identity > 0
        to_target, to_source = real_source, real_target
        if with_identity:
            to_target = torch.cat([real_source, real_target])
            to_source = torch.cat([real_target, real_source])
        st = self._generate(generator_st, to_target)
        ts = self._generate(generator_ts, to_source)
        fake_target, fake_source = st[:n], ts[:n]
        losses = {
            "adversarial_st": least_squares_generator_loss(
                self.modules["discriminator_t"](fake_target).to(real_target.dtype)
            ),
            "adversarial_ts": least_squares_generator_loss(
                self.modules["discriminator_s"](fake_source).to(real_source.dtype)
            ),
            "cycle_source": F.l1_loss(
                self._generate(generator_ts, fake_target), real_source
            ),
            "cycle_target": F.l1_loss(
                self._generate(generator_st, fake_source), real_target
            ),
        }
        total = (
            losses["adversarial_st"]
            + losses["adversarial_ts"]
            + self.model.lambda_cycle
            * (losses["cycle_source"] + losses["cycle_target"])
        )
        if with_identity:
            losses["identity_source"] = F.l1_loss(ts[n:], real_source)
            losses["identity_target"] = F.l1_loss(st[n:], real_target)
            total = total + self.model.lambda_identity * (
                losses["identity_source"] + losses["identity_target"]
            )
        self.update("generators", total)
        self.update_ema()
        return (fake_source.detach(), fake_target.detach()), losses

    def _generate(self, generator, images):
        """Return translations in full precision, of the shape of the images."""
        made = generator(images)
        if made.shape != images.shape:
            raise ValueError(
                "A generator must return images of the shape that it gets, "
                f"{tuple(images.shape[1:])} as (channels, height, width). Got "
                f"{tuple(made.shape[1:])}. Correct the callable `generator`, or give "
                "its module a `size_multiple`."
            )
        return made.to(images.dtype)

    def _update_discriminators(
        self, real_source, real_target, fake_source, fake_target
    ):
        self._freeze_discriminators(False)
        losses = {}
        for name, real, fake, pool in (
            ("discriminator_s", real_source, fake_source, self.pool_s),
            ("discriminator_t", real_target, fake_target, self.pool_t),
        ):
            judged = torch.cat([real, self.mix(pool, fake)])
            scores = self.modules[name](judged).to(real.dtype)
            n = len(real)
            losses[name] = least_squares_discriminator_loss(scores[:n], scores[n:])
        self.update("discriminators", torch.stack(list(losses.values())).sum())
        return losses

    def _freeze_discriminators(self, frozen: bool) -> None:
        for name in ("discriminator_s", "discriminator_t"):
            self.modules[name].requires_grad_(not frozen)

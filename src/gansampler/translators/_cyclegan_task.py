"""One step of CycleGAN, and the order in which it sees the images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from gansampler.images import ImageSequence, flip_at_random
from gansampler.losses._adversarial import (
    least_squares_discriminator_loss,
    least_squares_generator_loss,
)
from gansampler.training import TrainingTask
from gansampler.translators._base import Domain
from gansampler.translators._pool import ImagePool

if TYPE_CHECKING:
    from gansampler.translators._cyclegan import CycleGAN

__all__ = ["CycleGANTask"]


class CycleGANTask(TrainingTask):
    """Generators first against frozen discriminators, then the discriminators.

    Instance normalisation treats each image by itself, so translating one domain and
    passing the other through for the identity loss share one batch, exactly.
    """

    def __init__(
        self,
        model: CycleGAN,
        source: ImageSequence,
        target: ImageSequence,
        data_seed: int,
        pool_seed: int,
    ) -> None:
        self.model = model
        self.source, self.target = source, target
        self.modules = {
            "generator_st": model.generator_st_,
            "generator_ts": model.generator_ts_,
            "discriminator_s": model.discriminator_s_,
            "discriminator_t": model.discriminator_t_,
        }
        self.size_multiple = getattr(model.generator_st_, "size_multiple", 1)
        self.mixed_precision = source.is_image
        generators = chain(
            model.generator_st_.parameters(), model.generator_ts_.parameters()
        )
        discriminators = chain(
            model.discriminator_s_.parameters(), model.discriminator_t_.parameters()
        )
        self.optimizers = {
            name: torch.optim.Adam(parameters, lr=model.lr, betas=tuple(model.betas))
            for name, parameters in (
                ("generators", generators),
                ("discriminators", discriminators),
            )
        }
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
            for optimizer in self.optimizers.values()
        ]
        self.rng = np.random.default_rng(data_seed)
        pool_rng = np.random.default_rng(pool_seed)
        self.pool_s = ImagePool(model.pool_size, pool_rng)
        self.pool_t = ImagePool(model.pool_size, pool_rng)
        self.n_in_epoch = max(len(source), len(target))
        self.n_batches = -(-self.n_in_epoch // model.batch_size)

    def _lr_factor(self, epoch: int) -> float:
        past = epoch + 1 - self.model.n_epochs
        return 1.0 - max(0, past) / (self.model.n_epochs_decay + 1)

    def batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (real_source, real_target): shuffled, the smaller domain repeated."""
        domains: dict[Domain, ImageSequence] = {
            "source": self.source,
            "target": self.target,
        }
        orders = {name: self._order(len(domain)) for name, domain in domains.items()}
        for start in range(0, self.n_in_epoch, self.model.batch_size):
            part = slice(start, start + self.model.batch_size)
            yield tuple(
                self._flip(
                    self.model._encode(
                        domain, orders[name][part], self.size_multiple, name
                    )
                )
                for name, domain in domains.items()
            )

    def _order(self, n_samples: int) -> np.ndarray:
        rounds = -(-self.n_in_epoch // n_samples)
        shuffled = [self.rng.permutation(n_samples) for _ in range(rounds)]
        return np.concatenate(shuffled)[: self.n_in_epoch]

    def _flip(self, batch: torch.Tensor) -> torch.Tensor:
        if not self.source.is_image:
            return batch
        return flip_at_random(
            batch, self.rng, horizontal=True, vertical=self.model.vertical_flip
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
        st = generator_st(torch.cat([real_source, real_target]))
        ts = generator_ts(torch.cat([real_target, real_source]))
        if st.shape != torch.cat([real_source, real_target]).shape:
            raise ValueError(
                "A generator must return images of the shape that it gets, "
                f"{tuple(real_source.shape[1:])} as (channels, height, width). Got "
                f"{tuple(st.shape[1:])}. Correct the callable `generator`, or give "
                "its module a `size_multiple`."
            )
        fake_target, idt_target = st[:n], st[n:]
        fake_source, idt_source = ts[:n], ts[n:]
        losses = {
            "adversarial_st": least_squares_generator_loss(
                self.modules["discriminator_t"](fake_target)
            ),
            "adversarial_ts": least_squares_generator_loss(
                self.modules["discriminator_s"](fake_source)
            ),
            "cycle_source": F.l1_loss(generator_ts(fake_target), real_source),
            "cycle_target": F.l1_loss(generator_st(fake_source), real_target),
            "identity_source": F.l1_loss(idt_source, real_source),
            "identity_target": F.l1_loss(idt_target, real_target),
        }
        total = (
            losses["adversarial_st"]
            + losses["adversarial_ts"]
            + self.model.lambda_cycle
            * (losses["cycle_source"] + losses["cycle_target"])
            + self.model.lambda_identity
            * (losses["identity_source"] + losses["identity_target"])
        )
        self._step("generators", total)
        return (fake_source.detach(), fake_target.detach()), losses

    def _update_discriminators(
        self, real_source, real_target, fake_source, fake_target
    ):
        self._freeze_discriminators(False)
        losses = {}
        for name, real, fake, pool in (
            ("discriminator_s", real_source, fake_source, self.pool_s),
            ("discriminator_t", real_target, fake_target, self.pool_t),
        ):
            scores = self.modules[name](torch.cat([real, pool.query(fake)]))
            n = len(real)
            losses[name] = least_squares_discriminator_loss(scores[:n], scores[n:])
        self._step("discriminators", torch.stack(list(losses.values())).sum())
        return losses

    def _step(self, name: str, loss: torch.Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.backward(loss)
        optimizer.step()

    def _freeze_discriminators(self, frozen: bool) -> None:
        for name in ("discriminator_s", "discriminator_t"):
            self.modules[name].requires_grad_(not frozen)

"""What is trained for a translator with discriminators."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from gansampler.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
)
from gansampler.translators._augmentation import N_DRAWS, augment
from gansampler.translators._data import UnpairedData
from gansampler.translators._evaluation import Evaluation
from gansampler.translators._pool import ImagePool
from gansampler.translators._task import TranslationTask


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings:
    """What an :class:`AdversarialTask` gets from the translator's parameters.

    Attributes
    ----------
    hinge : bool
        Whether the adversarial losses are hinge losses instead of least squares.
    augment : bool
        Whether the discriminators see images changed at random.
    patience : int or None
        Evaluations without a smaller kernel distance after which training ends.
    lr, betas, n_epochs, n_epochs_decay
        Of the optimisers.
    pool_size, pool_seed
        Of the pools of earlier translations.
    step_seed : int
        Seed of what a step draws at random.
    """

    hinge: bool = False
    augment: bool = False
    patience: int | None = None
    lr: float
    betas: tuple[float, float]
    n_epochs: int
    n_epochs_decay: int
    pool_size: int
    pool_seed: int
    step_seed: int


class AdversarialTask(TranslationTask):
    r"""Base of the tasks with generators and discriminators, trained in turn.

    A subclass writes :meth:`training_step`, with the methods below. With the scores
    :math:`D(\cdot)` of a discriminator, the generator minimises
    :math:`\mathbb{E}[(D(\text{fake}) - 1)^2]`, and the discriminator
    :math:`\frac{1}{2}\mathbb{E}[(D(\text{real}) - 1)^2] +
    \frac{1}{2}\mathbb{E}[D(\text{fake})^2]`. Projected discriminators have hinge
    losses instead: :math:`-\mathbb{E}[D(\text{fake})]`, and
    :math:`\mathbb{E}[\max(0, 1 - D(\text{real}))] +
    \mathbb{E}[\max(0, 1 + D(\text{fake}))]`.

    Parameters
    ----------
    networks : dict of str -> Module
        Networks whose names start with ``discriminator`` are updated by
        :meth:`update_discriminators`, the others by :meth:`update_generators`.
    data : UnpairedData
        The samples of both domains.
    settings : AdversarialSettings
        Learning rate, pools and seeds, which :class:`AdversarialTranslator` passes.

    Attributes
    ----------
    pools : dict of str -> ImagePool
        Earlier translations for each discriminator.
    evaluation : Evaluation or None
        Measures the translations after some of the epochs. Feature rows have none.
    rng : numpy.random.Generator
        For what a step draws at random. It is the same in all processes, and part of
        a checkpoint.

    See Also
    --------
    AdversarialTranslator : Builds the task, and trains it.

    Examples
    --------
    The step of a translator whose only other loss is the change to the image:

    >>> from gansampler.translators import AdversarialTask
    >>> class SmallChange(AdversarialTask):
    ...     def training_step(self, batch):
    ...         real_source, real_target = batch
    ...         with self.frozen_discriminators():
    ...             fake_target = self.modules["generator_st"](real_source)
    ...             adversarial = self.adversarial_loss("discriminator_t", fake_target)
    ...             change = (fake_target - real_source).abs().mean()
    ...             self.update_generators(adversarial + change)
    ...         losses = self.update_discriminators(
    ...             discriminator_t=(real_target, fake_target)
    ...         )
    ...         return {"adversarial": adversarial, "change": change, **losses}
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
    ) -> None:
        super().__init__(networks, data)
        self.discriminators = [n for n in networks if n.startswith("discriminator")]
        generators = [n for n in networks if n not in self.discriminators]
        self.use_adam(
            lr=settings.lr,
            betas=settings.betas,
            n_epochs=settings.n_epochs,
            n_epochs_decay=settings.n_epochs_decay,
            generators=self._parameters(generators),
            discriminators=self._parameters(self.discriminators),
        )
        seeds: list[Any] = [settings.pool_seed]
        if len(self.discriminators) > 1:
            sequence = np.random.SeedSequence(settings.pool_seed)
            seeds = list(sequence.spawn(len(self.discriminators)))
        self.pools = {
            name: ImagePool(settings.pool_size, np.random.default_rng(seed))
            for name, seed in zip(self.discriminators, seeds, strict=True)
        }
        self.rng = np.random.default_rng(settings.step_seed)
        self.augment, self.patience = settings.augment, settings.patience
        self.evaluation: Evaluation | None = None
        self.best_distance = float("inf")
        self.best_generator: dict[str, torch.Tensor] | None = None
        self.n_evaluations_since_best = 0
        self.generator_loss, self.discriminator_loss = (
            (hinge_generator_loss, hinge_discriminator_loss)
            if settings.hinge
            else (least_squares_generator_loss, least_squares_discriminator_loss)
        )

    def _parameters(self, names: list[str]) -> Iterator[nn.Parameter]:
        every = chain.from_iterable(self.modules[name].parameters() for name in names)
        return (parameter for parameter in every if parameter.requires_grad)

    @contextlib.contextmanager
    def frozen_discriminators(self) -> Iterator[None]:
        """Compute no gradients for the discriminators' weights in this context."""
        networks = [self.modules[name] for name in self.discriminators]
        for network in networks:
            network.requires_grad_(False)
        try:
            yield
        finally:
            for network in networks:
                network.requires_grad_(True)

    def score(self, discriminator: str, *images: torch.Tensor) -> torch.Tensor:
        """Return a discriminator's scores, in the dtype of the images.

        The images are changed at random first, if the translator's parameters say so.

        Parameters
        ----------
        discriminator : str
            Its name.
        *images : Tensor of shape (n, n_channels, height, width) or (n, n_features)
            One or more batches, which are joined.

        Returns
        -------
        scores : Tensor of shape (n_all, n_scales, height', width') or (n_all, 1)
            They are higher for images that look real.
        """
        if self.augment:
            images = tuple(augment(batch, self._draw(len(batch))) for batch in images)
        joined = images[0] if len(images) == 1 else torch.cat(images)
        return self.modules[discriminator](joined).to(images[0].dtype)

    def _draw(self, n: int) -> np.ndarray:
        """Return uniform numbers for this process's share of a batch."""
        n_processes = self.process_group.world_size if self.is_shared else 1
        draws = self.rng.random((n * n_processes, N_DRAWS))
        return draws[self.process_group.rank * n :][:n] if self.is_shared else draws

    def adversarial_loss(self, discriminator: str, fake: torch.Tensor) -> torch.Tensor:
        """Return what a generator minimises, so that its images are scored as real.

        Parameters
        ----------
        discriminator : str
            Its name.
        fake : Tensor of shape (n, ...)
            Translations.

        Returns
        -------
        loss : Tensor of shape ()
        """
        return self.generator_loss(self.score(discriminator, fake))

    def update_generators(self, loss: torch.Tensor) -> None:
        """Update all networks but the discriminators, and the moving averages.

        Parameters
        ----------
        loss : Tensor of shape ()
        """
        self.update("generators", loss)
        self.update_ema()

    def update_discriminators(
        self, **images: tuple[torch.Tensor, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Update the discriminators on real images and on translations.

        Parameters
        ----------
        **images : tuple of (real, fake), Tensor of shape (n, ...)
            By the name of the discriminator. Translations are exchanged for earlier
            ones, and get no gradients.

        Returns
        -------
        losses : dict of str -> Tensor
            By the name of the discriminator.
        """
        losses = {}
        for name, (real, fake) in images.items():
            scores = self.score(name, real, self.mix(name, fake))
            on_real, on_fake = scores.split([len(real), len(fake)])
            losses[name] = self.discriminator_loss(on_real, on_fake)
        self.update("discriminators", torch.stack(list(losses.values())).sum())
        return losses

    def mix(self, discriminator: str, fake: torch.Tensor) -> torch.Tensor:
        """Exchange translations for earlier ones from the pool of a discriminator.

        All processes have the same pool, of the translations of all of them.

        Parameters
        ----------
        discriminator : str
            Its name.
        fake : Tensor of shape (n, ...)

        Returns
        -------
        mixed : Tensor of the same shape
            Without gradients.
        """
        pool = self.pools[discriminator]
        if not self.is_shared or pool.size == 0:
            return pool.query(fake)
        n, rank = len(fake), self.process_group.rank
        mixed = pool.query(self.process_group.gather(fake.detach()))
        return mixed[rank * n : (rank + 1) * n]

    def summarize(self, losses: dict[str, float]) -> dict[str, float]:
        """Return the mean adversarial losses of generators and discriminators.

        The discriminators' losses are those named as a discriminator. Those of the
        generators have names that start with "adversarial".
        """
        parts = {
            "generator": [v for k, v in losses.items() if k.startswith("adversarial")],
            "discriminator": [losses[k] for k in self.discriminators if k in losses],
        }
        if not all(parts.values()):
            return super().summarize(losses)
        return {name: sum(values) / len(values) for name, values in parts.items()}

    def end_epoch(self, record: dict[str, float]) -> bool:
        """Add the figures of an evaluation to the record; True if training should end.

        With `patience`, the generator with the smallest kernel distance is kept.
        """
        evaluation = self.evaluation
        if evaluation is None or not evaluation.is_due(int(record["n_steps"])):
            return False
        record |= evaluation(self.translate)
        if self.patience is None:
            return False
        self.n_evaluations_since_best += 1
        if record["kernel_distance"] < self.best_distance:
            self.best_distance = record["kernel_distance"]
            self.n_evaluations_since_best = 0
            self.best_generator = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self._translating_network().state_dict().items()
            }
        return self.n_evaluations_since_best >= self.patience

    def finish(self) -> None:
        """Give the network that translates the weights of the best evaluation."""
        if self.best_generator is not None:
            self._translating_network().load_state_dict(self.best_generator)

    def _translating_network(self) -> nn.Module:
        average = self.averages.get("generator_st")
        return self.modules["generator_st"] if average is None else average.module

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the data, the pools, `rng` and the best generator."""
        return {
            **super().state_dict(),
            "pools": [pool.state_dict() for pool in self.pools.values()],
            "rng": self.rng.bit_generator.state,
            "evaluation": self.evaluation and self.evaluation.state_dict(),
            "best_distance": self.best_distance,
            "best_generator": self.best_generator,
            "n_evaluations_since_best": self.n_evaluations_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        for pool, pool_state in zip(self.pools.values(), state["pools"], strict=True):
            pool.load_state_dict(pool_state, self.device)
        self.rng.bit_generator.state = state["rng"]
        if self.evaluation is not None:
            self.evaluation.load_state_dict(state["evaluation"])
        self.best_distance = state["best_distance"]
        self.best_generator = state["best_generator"]
        self.n_evaluations_since_best = state["n_evaluations_since_best"]

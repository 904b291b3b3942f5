"""What the training of every image translator shares: the data and their order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gansampler._serialization import comparable_params
from gansampler.images import ImageSequence, flip_chosen
from gansampler.training import TrainingTask
from gansampler.translators._pool import ImagePool

if TYPE_CHECKING:
    from gansampler.translators._base import BaseTranslator, Domain

__all__ = ["TranslationTask"]

BETAS = (0.5, 0.999)


class TranslationTask(TrainingTask):
    """Batches of two unpaired domains, shuffled and flipped; pools of earlier fakes.

    Subclass it for a translator of your own, and write :meth:`training_step`. The order
    of an epoch is drawn from the seed and the number of the epoch, so that a run can
    be taken up anywhere, by any number of processes.

    Parameters
    ----------
    model : BaseTranslator
        Its parameters `batch_size`, `lr` and `n_epochs` are read, and if it has them
        `betas`, `n_epochs_decay` and `vertical_flip`, whose defaults are those of
        :class:`~gansampler.CycleGAN`.
    source, target : ImageSequence
        What ``_fit`` of the model gets.
    seed : int
        Of the order and the flips.
    size_multiple : int, default=1
        Images are padded to multiples of it.
    pools : iterable of ImagePool, default=()
        Those that the step uses; they are part of a checkpoint.

    See Also
    --------
    gansampler.training.TrainingTask : What the engine asks of any task.
    ImagePool : Earlier translations for a discriminator.

    Notes
    -----
    Batches are tensors of shape (n, n_channels, height, width) in [-1, 1], or of
    shape (n, n_features). The last batch of an epoch may be a short one. Each of
    several processes gets its share of a batch; what a step draws at random must be
    the same in all of them, and belongs into :meth:`state_dict`.

    Examples
    --------
    A translator that learns to shift the channels:

    >>> import numpy as np
    >>> import torch
    >>> from gansampler.translators import BaseTranslator, TranslationTask
    >>> class MatchMeans(TranslationTask):
    ...     def __init__(self, model, source, target):
    ...         super().__init__(model, source, target, seed=0)
    ...         self.modules = {"shift": model.shift_}
    ...         self.use_adam(shift=model.shift_.parameters())
    ...
    ...     def training_step(self, batch):
    ...         source, target = batch
    ...         made = self.modules["shift"](source)
    ...         loss = (made.mean((0, 2, 3)) - target.mean((0, 2, 3))).square().sum()
    ...         self.update("shift", loss)
    ...         return {"colour": loss}
    >>> class Shift(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.change = torch.nn.Parameter(torch.zeros(3, 1, 1))
    ...
    ...     def forward(self, input):
    ...         return input + self.change
    >>> class ColourShift(BaseTranslator):
    ...     def __init__(self, *, n_epochs=30, batch_size=4, lr=0.03):
    ...         self.n_epochs, self.batch_size, self.lr = n_epochs, batch_size, lr
    ...
    ...     def _fit(self, source, target):
    ...         self.shift_ = Shift()
    ...         task = MatchMeans(self, source, target)
    ...         self.history_ = self._get_trainer().fit(task, n_epochs=self.n_epochs)
    ...
    ...     def _forward_network(self):
    ...         return self.shift_
    >>> dark = np.full((8, 8, 8, 3), 50, dtype=np.uint8)
    >>> translated = ColourShift().fit(dark, dark + 70).translate(dark)
    >>> bool(abs(int(translated[0, 0, 0, 0]) - 120) < 10)
    True
    """

    memory_advice = (
        "Lower `batch_size`, `ngf` or `ndf`, take smaller images, or set "
        "precision='bf16-mixed' in the trainer."
    )

    def __init__(
        self,
        model: Any,
        source: ImageSequence,
        target: ImageSequence,
        seed: int,
        size_multiple: int = 1,
        pools: Iterable[ImagePool] = (),
    ) -> None:
        self.model: BaseTranslator = model
        self.domains: dict[Domain, ImageSequence] = {
            "source": source,
            "target": target,
        }
        self.seed, self.size_multiple = seed, size_multiple
        self.pools, self.is_shared = list(pools), False
        self.averages: dict[str, AveragedModel] = {}
        self.is_image = self.mixed_precision = source.is_image
        self.batch_size: int = model.batch_size
        self.n_in_epoch = max(len(source), len(target))
        self.n_batches = -(-self.n_in_epoch // self.batch_size)
        self.schedulers = []

    def use_adam(self, **parameters: Iterable[torch.nn.Parameter]) -> None:
        """Make an optimiser for each group of parameters, and its schedule.

        The learning rate is constant for `n_epochs` and then falls linearly to 0.

        Parameters
        ----------
        **parameters : iterable of Parameter
            The name of each group is that of its optimiser.
        """
        model: Any = self.model
        betas = tuple(getattr(model, "betas", BETAS))
        if len(betas) != 2 or not all(
            isinstance(beta, Real) and 0 <= float(beta) < 1 for beta in betas
        ):
            raise ValueError(
                f"`betas` must be two numbers in [0, 1). Got {model.betas!r}. The "
                f"default is {BETAS}."
            )
        self.optimizers = {
            name: torch.optim.Adam(group, lr=model.lr, betas=betas, fused=True)
            for name, group in parameters.items()
        }
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
            for optimizer in self.optimizers.values()
        ]

    def use_ema(self, name: str, average: nn.Module, decay: float) -> None:
        r"""Keep a moving average of a network's weights, :math:`\bar w`.

        After each :meth:`update_ema`,
        :math:`\bar w \leftarrow d \bar w + (1 - d) w`; the first copies.

        Parameters
        ----------
        name : str
            Of the network in `modules`; that of the average is ``<name>_ema``.
        average : Module
            A copy of the network, which becomes its average.
        decay : float
            :math:`d`, in (0, 1).
        """
        averaged = AveragedModel(
            self.modules[name], multi_avg_fn=get_ema_multi_avg_fn(decay)
        )
        averaged.module = average.requires_grad_(False)
        self.averages[name] = self.modules[f"{name}_ema"] = averaged

    def update_ema(self) -> None:
        """Let the averages follow, after a step of the networks."""
        for name, averaged in self.averages.items():
            averaged.update_parameters(self.modules[name])

    def _lr_factor(self, epoch: int) -> float:
        model: Any = self.model
        past = epoch + 1 - model.n_epochs
        return 1.0 - max(0, past) / (getattr(model, "n_epochs_decay", 0) + 1)

    @abstractmethod
    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update the networks on (real_source, real_target)."""

    def batches(self, epoch: int, first: int = 1) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (real_source, real_target): shuffled, the smaller domain repeated."""
        self._check_batch_size()
        rng = np.random.default_rng([self.seed, epoch, self.draw])
        orders = {
            name: self._order(len(domain), rng) for name, domain in self.domains.items()
        }
        flips = {name: rng.random((self.n_in_epoch, 2)) < 0.5 for name in orders}
        parts = [
            range(start, min(start + self.batch_size, self.n_in_epoch))
            for start in range(0, self.n_in_epoch, self.batch_size)
        ][first - 1 :]
        shares = [self.process_group.share(part) for part in parts]
        slices = [slice(share.start, share.stop) for share in shares]
        # Files are decoded while the networks are busy with the batch before.
        ahead = {
            name: self.domains[name].prefetch([order[part] for part in slices])
            for name, order in orders.items()
        }
        for part, chosen in zip(parts, slices, strict=True):
            self.is_shared = self.process_group.is_shared(len(part))
            yield tuple(
                self._load(name, next(rows), flips[name][chosen])
                for name, rows in ahead.items()
            )

    def _load(self, name: Domain, rows: np.ndarray, flips: np.ndarray) -> torch.Tensor:
        batch = self.model._encode(self.domains[name], rows, self.size_multiple, name)
        if not self.is_image:
            return batch
        vertical: bool = getattr(self.model, "vertical_flip", False)
        return flip_chosen(batch, flips[:, 0], flips[:, 1] & vertical)

    def _order(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        rounds = -(-self.n_in_epoch // n_samples)
        shuffled = [rng.permutation(n_samples) for _ in range(rounds)]
        return np.concatenate(shuffled)[: self.n_in_epoch]

    def _check_batch_size(self) -> None:
        world_size = self.process_group.world_size
        if self.batch_size % world_size:
            raise ValueError(
                "`batch_size` counts the images of all processes together, and must be "
                f"a multiple of their number. Got {self.batch_size} for "
                f"{world_size} processes. Pass batch_size={world_size}, or a "
                "multiple of it."
            )

    def mix(self, pool: ImagePool, fakes: torch.Tensor) -> torch.Tensor:
        """Exchange fakes for earlier ones; each process holds all processes' fakes.

        Parameters
        ----------
        pool : ImagePool
        fakes : Tensor of shape (n, ...)

        Returns
        -------
        mixed : Tensor of the same shape
            Without gradients.
        """
        if not self.is_shared or pool.size == 0:
            return pool.query(fakes)
        n = len(fakes)
        mixed = pool.query(self.process_group.gather(fakes.detach()))
        return mixed[self.process_group.rank * n : (self.process_group.rank + 1) * n]

    def state_dict(self) -> dict[str, Any]:
        """Return the seed and the pools."""
        return {
            "seed": self.seed,
            "pools": [pool.state_dict() for pool in self.pools],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.seed = state["seed"]
        for pool, held in zip(self.pools, state["pools"], strict=True):
            pool.load_state_dict(held, self.device)

    def fingerprint(self) -> dict[str, Any]:
        """Return the parameters and hashes of the images."""
        return {
            "params": comparable_params(self.model),
            "data": [domain.fingerprint() for domain in self.domains.values()],
        }

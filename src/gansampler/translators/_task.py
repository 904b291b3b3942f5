"""What is trained for a translator: networks, batches and one step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gansampler.training import TrainingTask
from gansampler.translators._data import UnpairedData

BETAS = (0.5, 0.999)


class TranslationTask(TrainingTask):
    """Base of the tasks that train a translator; a subclass writes `training_step`.

    Parameters
    ----------
    networks : dict of str -> Module
        The networks by name, which :attr:`modules` then holds.
    data : UnpairedData
        The samples of both domains.

    See Also
    --------
    AdversarialTask : For translators with discriminators.
    gansampler.training.TrainingTask : What the engine asks of any task.

    Notes
    -----
    The last batch of an epoch may be smaller than the others. Each of several
    processes gets its share of a batch. What a step draws at random must be the same
    in all of them, and its state belongs to :meth:`state_dict`.

    Examples
    --------
    A translator that learns to shift the channels:

    >>> import numpy as np
    >>> import torch
    >>> from gansampler.translators import (
    ...     BaseTranslator,
    ...     TranslationTask,
    ...     UnpairedData,
    ... )
    >>> class MatchMeans(TranslationTask):
    ...     def training_step(self, batch):
    ...         real_source, real_target = batch
    ...         means = self.modules["shift"](real_source).mean((0, 2, 3))
    ...         loss = (means - real_target.mean((0, 2, 3))).square().sum()
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
    ...     def _fit(self, source, target):
    ...         self.shift_ = Shift()
    ...         data = UnpairedData(source=source, target=target, batch_size=4, seed=0)
    ...         task = MatchMeans({"shift": self.shift_}, data)
    ...         task.use_adam(lr=0.03, n_epochs=30, shift=self.shift_.parameters())
    ...         self._train(task, n_epochs=30)
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

    time_advice = 'lower `n_epochs`, use make_translator("minutes")'

    def __init__(self, networks: dict[str, nn.Module], data: UnpairedData) -> None:
        self.modules = dict(networks)
        self.data = data
        self.mixed_precision = data.source.is_image
        self.n_batches = data.n_batches
        self.optimizers, self.schedulers = {}, []
        self.averages: dict[str, AveragedModel] = {}
        # Parameters of the translator, by which a checkpoint's run is recognised.
        self.params: dict[str, Any] = {}
        self.translate_function: Callable[[npt.ArrayLike], np.ndarray] | None = None
        self.is_shared = False

    def use_adam(
        self,
        *,
        lr: float,
        n_epochs: int,
        n_epochs_decay: int = 0,
        betas: Sequence[Any] = BETAS,
        **parameters: Iterable[nn.Parameter],
    ) -> None:
        """Add an Adam optimiser for each group of parameters, and its schedule.

        Parameters
        ----------
        lr : float
            Learning rate.
        n_epochs : int
            Epochs at this learning rate.
        n_epochs_decay : int, default=0
            Further epochs over which it falls linearly to 0.
        betas : tuple of 2 float, default=(0.5, 0.999)
            Coefficients of Adam.
        **parameters : iterable of Parameter
            The groups, by the name of the optimiser.
        """
        if len(betas) != 2 or not all(
            isinstance(beta, Real) and 0 <= float(beta) < 1 for beta in betas
        ):
            raise ValueError(
                f"`betas` must be two numbers in [0, 1). Got {betas!r}. The default is "
                f"{BETAS}."
            )
        schedule = partial(_lr_factor, n_epochs=n_epochs, n_epochs_decay=n_epochs_decay)
        for name, group in parameters.items():
            optimizer = torch.optim.Adam(
                group, lr=lr, betas=(betas[0], betas[1]), fused=True
            )
            self.optimizers[name] = optimizer
            self.schedulers.append(
                torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
            )

    def use_ema(self, name: str, average: nn.Module, decay: float) -> None:
        r"""Keep a moving average :math:`\bar w` of the weights `w` of a network.

        The first :meth:`update_ema` copies `w`. After n of them, the next one sets
        :math:`\bar w \leftarrow d_n \bar w + (1 - d_n) w`, where
        :math:`d_n = \min(d, (1 + n) / (10 + n))`. So the average of a short run does
        not lag behind.

        Parameters
        ----------
        name : str
            The network in `modules`. The average is there as ``<name>_ema``.
        average : Module
            A copy of the network. It becomes the average.
        decay : float
            :math:`d`, in (0, 1).
        """
        averaged = AveragedModel(self.modules[name], avg_fn=partial(_average, decay))
        averaged.module = average.requires_grad_(False)
        self.averages[name] = self.modules[f"{name}_ema"] = averaged

    def update_ema(self) -> None:
        """Update the moving averages, after a step of the networks."""
        for name, averaged in self.averages.items():
            averaged.update_parameters(self.modules[name])

    @abstractmethod
    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update the networks on (real_source, real_target); return the losses."""

    def translate(self, X: npt.ArrayLike) -> np.ndarray:
        """Translate images with the networks in their present state, for callbacks."""
        if self.translate_function is None:
            return super().translate(X)
        return self.translate_function(X)

    def batches(self, epoch: int, first: int = 1) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (real_source, real_target)."""
        group = self.process_group
        for n_samples, batch in self.data.batches(
            epoch, first=first, draw=self.draw, group=group
        ):
            self.is_shared = group.is_shared(n_samples)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the data."""
        return {"seed": self.data.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned, with the schedule of this run.

        The state may be that of a run with fewer epochs, whose learning rate has
        fallen already.
        """
        self.data.seed = state["seed"]
        for scheduler in self.schedulers:
            if isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
                rates = zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
                groups = scheduler.optimizer.param_groups
                for group, (base, factor) in zip(groups, rates, strict=True):
                    group["lr"] = base * factor(scheduler.last_epoch)

    def fingerprint(self) -> dict[str, Any]:
        """Return the translator's parameters and hashes of the samples."""
        params = {name: p for name, p in self.params.items() if name != "n_epochs"}
        return {"params": params, "data": self.data.fingerprint()}


def _average(
    decay: float, average: torch.Tensor, weight: torch.Tensor, n_averaged: torch.Tensor
) -> torch.Tensor:
    """Return the next moving average."""
    n = int(n_averaged)
    return average.lerp(weight, 1 - min(decay, (1 + n) / (10 + n)))


def _lr_factor(epoch: int, *, n_epochs: int, n_epochs_decay: int) -> float:
    return 1.0 - max(0, epoch + 1 - n_epochs) / (n_epochs_decay + 1)

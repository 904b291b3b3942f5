"""What the engine runs: networks, optimisers, batches and one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import nn

__all__ = ["TrainingTask"]

Batch = tuple[torch.Tensor, ...]


class TrainingTask(ABC):
    """A thing to train: subclass it, and hand it to :meth:`Trainer.fit`.

    The engine moves the networks to the device and wraps networks and optimisers in
    place, so :meth:`training_step` must look them up in `modules` and `optimizers`
    each time.

    Attributes
    ----------
    modules : dict of str -> Module
        The networks, by name.
    optimizers : dict of str -> Optimizer
        The optimisers, by name.
    schedulers : list of LRScheduler
        Stepped by the engine after each epoch.
    n_batches : int
        Batches in an epoch.
    mixed_precision : bool
        Whether ``precision="auto"`` may use half precision in the networks.
    backward : callable
        ``backward(loss)``; set by the engine, to be used instead of
        ``loss.backward()``.
    device : torch.device
        Where the batches are; set by the engine.

    Examples
    --------
    >>> import torch
    >>> from gansampler import Trainer
    >>> from gansampler.training import TrainingTask
    >>> class FitLine(TrainingTask):
    ...     def __init__(self):
    ...         net = torch.nn.Linear(1, 1)
    ...         self.modules = {"net": net}
    ...         self.optimizers = {"net": torch.optim.SGD(net.parameters(), lr=0.1)}
    ...         self.schedulers = []
    ...         self.n_batches = 10
    ...
    ...     def batches(self, epoch):
    ...         for _ in range(self.n_batches):
    ...             x = torch.rand(8, 1)
    ...             yield x, 2 * x
    ...
    ...     def training_step(self, batch):
    ...         x, y = batch
    ...         loss = (self.modules["net"](x) - y).square().mean()
    ...         self.optimizers["net"].zero_grad()
    ...         self.backward(loss)
    ...         self.optimizers["net"].step()
    ...         return {"loss": loss.detach()}
    >>> history = Trainer().fit(FitLine(), n_epochs=20)
    >>> history[-1]["loss"] < history[0]["loss"]
    True
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    schedulers: list[torch.optim.lr_scheduler.LRScheduler]
    n_batches: int
    mixed_precision: bool = True
    backward: Callable[[torch.Tensor], None]
    device: torch.device

    @abstractmethod
    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, as tuples of tensors."""

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Update the networks on one batch and return the losses by name."""

    def end_epoch(self, record: dict[str, float]) -> bool:
        """Take stock of an epoch: may add figures to `record`; True ends the run."""
        return False

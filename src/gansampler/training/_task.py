"""What the engine runs: networks, optimisers, batches and one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from gansampler.training._process_group import ProcessGroup

__all__ = ["TrainingTask"]

Batch = tuple[torch.Tensor, ...]


class TrainingTask(ABC):
    """A thing to train: subclass it, and hand it to :meth:`Trainer.fit`.

    The engine calls :meth:`training_step` for each batch, in half precision where that
    is chosen. The step calls :meth:`update`, which does the rest: gradients (of all
    processes, if there are several) and the optimiser.

    For a run that can be stopped and taken up again anywhere, :meth:`batches` must be a
    function of the epoch and of what :meth:`state_dict` holds.

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
    memory_advice : str
        What a user can change where memory is short.
    draw : int
        How often the order of the data is to be drawn anew: 0, or 1 after a loss that
        was not finite. Set by the engine.
    process_group : ProcessGroup
        The processes that train together; set by the engine.
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
    ...     def batches(self, epoch, first=1):
    ...         for batch in range(first, self.n_batches + 1):
    ...             rng = torch.Generator().manual_seed(100 * epoch + batch)
    ...             x = torch.rand(8, 1, generator=rng)
    ...             yield x, 2 * x
    ...
    ...     def training_step(self, batch):
    ...         x, y = batch
    ...         loss = (self.modules["net"](x) - y).square().mean()
    ...         self.update("net", loss)
    ...         return {"loss": loss}
    >>> history = Trainer().fit(FitLine(), n_epochs=20)
    >>> history[-1]["loss"] < history[0]["loss"]
    True
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    schedulers: list[torch.optim.lr_scheduler.LRScheduler]
    n_batches: int
    mixed_precision: bool = True
    memory_advice: str = "Lower the batch size."
    draw: int = 0
    process_group: ProcessGroup = ProcessGroup()
    device: torch.device = torch.device("cpu")
    _backward: Callable[[torch.Tensor], None] | None = None

    @abstractmethod
    def batches(self, epoch: int, first: int = 1) -> Iterator[Batch]:
        """Yield this process's share of an epoch's batches, as tuples of tensors.

        Epochs and batches count from 1; a run that is taken up again asks for the
        batches from `first` on. See :meth:`ProcessGroup.share` for what a share is.
        """

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Update the networks on one batch and return the losses by name."""

    def update(self, optimizer: str, loss: torch.Tensor) -> None:
        """Take one step of an optimiser: its gradients are those of `loss` alone."""
        chosen = self.optimizers[optimizer]
        chosen.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, enabled=False):
            if self._backward is None:
                loss.backward()
            else:
                self._backward(loss)
            self.process_group.average_gradients(
                p for part in chosen.param_groups for p in part["params"]
            )
            chosen.step()
        # It holds the weights in half precision, as they were before the step.
        torch.clear_autocast_cache()

    def end_epoch(self, record: dict[str, float]) -> bool:
        """Take stock of an epoch: may add figures to `record`; True ends the run."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on, beside networks and optimisers.

        Tensors, NumPy arrays, numbers, text and None, in dicts, lists and tuples.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take over what :meth:`state_dict` returned."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what makes two runs the same one: parameters and data, JSON-able."""
        return {}

"""What the engine runs: networks, optimisers, batches and one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gansampler.training._process_group import ProcessGroup

Batch = tuple[torch.Tensor, ...]


class TrainingTask(ABC):
    """Networks and a training step. Subclass it and pass it to :meth:`Trainer.fit`.

    The engine calls :meth:`training_step` for each batch, in half precision where that
    is chosen. The step calls :meth:`update`, which computes the gradients, averages
    them over the processes and steps the optimiser.

    To resume a run at any step, :meth:`batches` must depend on nothing but the epoch,
    `draw` and what :meth:`state_dict` returns.

    Attributes
    ----------
    modules : dict of str -> Module
        The networks, by name.
    optimizers : dict of str -> Optimizer
        The optimisers, by name.
    schedulers : list of LRScheduler
        The engine steps them after each epoch.
    n_batches : int
        Number of batches per epoch.
    mixed_precision : bool
        Whether ``precision="auto"`` may use half precision in the networks.
    memory_advice : str
        What the user can change if memory is short.
    time_advice : str
        What the user can change if training takes too long.
    draw : int
        0 at first, and 1 after a loss that was not finite. Use it in the seed of the
        order of the data, so that the order then changes. Set by the engine.
    finished : bool
        Whether the last run came to its end. It is False after a run that `max_time`,
        Ctrl-C or a callback ended. Set by the engine.
    process_group : ProcessGroup
        The processes that train together. Set by the engine.
    device : torch.device
        The device of the batches. Set by the engine.

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
    time_advice: str = "train for fewer epochs"
    draw: int = 0
    finished: bool = False
    process_group: ProcessGroup = ProcessGroup()
    device: torch.device = torch.device("cpu")
    _backward: Callable[[torch.Tensor], None] = staticmethod(torch.Tensor.backward)

    @abstractmethod
    def batches(self, epoch: int, first: int = 1) -> Iterator[Batch]:
        """Yield this process's share of each batch of an epoch, as tuples of tensors.

        Epochs and batches count from 1. A resumed run asks for the batches from
        `first` on. See :meth:`ProcessGroup.share`.
        """

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Update the networks on one batch and return the losses by name."""

    def update(self, optimizer: str, loss: torch.Tensor) -> None:
        """Step an optimiser with the gradients of `loss`."""
        chosen = self.optimizers[optimizer]
        chosen.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, enabled=False):
            self._backward(loss)
            self.process_group.average_gradients(
                p for part in chosen.param_groups for p in part["params"]
            )
            chosen.step()
        # The cache holds half precision copies of the weights before the step.
        torch.clear_autocast_cache()

    def end_epoch(self, record: dict[str, float]) -> bool:
        """Act on the end of an epoch. May add to `record`; True ends the run."""
        return False

    def summarize(self, losses: dict[str, float]) -> dict[str, float]:
        """Return the figures that are shown during training, two at most.

        Parameters
        ----------
        losses : dict of str -> float
            Mean of each loss since the beginning of the epoch.

        Returns
        -------
        figures : dict of str -> float
            By default the first two losses.
        """
        return dict(list(losses.items())[:2])

    def translate(self, X: npt.ArrayLike) -> np.ndarray:
        """Translate images with the networks in their present state.

        :class:`SavePictures` calls it after an epoch. Override it in tasks that
        translate. By default it raises an error.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            uint8 in [0, 255] or floating in [0, 1].

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`
        """
        raise NotImplementedError(
            "Only a task that translates images can translate `X`. "
            f"{type(self).__name__} has no method `translate`. Define it, or remove "
            "the callback that calls it."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs in addition to networks and optimisers.

        Seeds, for example. It may consist of tensors, NumPy arrays, numbers, text and
        None, in dicts, lists and tuples.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what :meth:`state_dict` returned."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what identifies a run: parameters and hashes of the data.

        A run continues if the fingerprint and the initial weights of the networks are
        the same. Leave out the number of epochs; then a run with more epochs continues
        one with fewer. If the learning rate depends on the number of epochs, set it in
        :meth:`load_state_dict`.

        An entry ``"random_state": None``, at any depth, says that each call draws other
        initial weights. Then the fingerprint alone identifies the run.
        """
        return {}

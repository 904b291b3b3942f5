"""The loop: epochs of steps until the end, the time limit or a hook."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import torch
from lightning_fabric import Fabric

from gansampler.exceptions import TrainingDivergedError, TrainingStoppedWarning
from gansampler.training._progress import Progress
from gansampler.training._task import TrainingTask

if TYPE_CHECKING:
    from gansampler.training._trainer import Trainer

__all__ = ["Run", "set_up"]

# How many steps' losses stay on the device before they are looked at, so that a GPU
# is not made to wait for the CPU after each step.
STEPS_BETWEEN_CHECKS = 50


class Run:
    """The state of one fit: clock, history, and the losses not yet looked at."""

    def __init__(
        self,
        trainer: Trainer,
        task: TrainingTask,
        n_epochs: int,
        verbose: int,
        description: str,
    ) -> None:
        self.task, self.n_epochs = task, n_epochs
        self.callbacks = trainer.callbacks or []
        self.max_seconds = _seconds(trainer.max_time)
        self.start = time.monotonic()
        self.history: list[dict[str, float]] = []
        self.progress = Progress(
            n_epochs * task.n_batches,
            description,
            shown=verbose > 0 and trainer.progress_bar,
            unit="step",
        )
        self._pending: list[tuple[int, dict[str, torch.Tensor]]] = []
        self._sums: dict[str, float] = {}

    def loop(self, fabric: Fabric) -> None:
        """Run every epoch, with the hooks around them."""
        for callback in self.callbacks:
            callback.on_fit_start(self.task, self.n_epochs)
        for epoch in range(1, self.n_epochs + 1):
            if self._run_epoch(fabric, epoch):
                break
        for callback in self.callbacks:
            callback.on_fit_end(self.task, self.history)

    def close(self) -> None:
        """Leave the progress as it is."""
        self.progress.close()

    def _run_epoch(self, fabric: Fabric, epoch: int) -> bool:
        """Run one epoch; return whether the run is to end."""
        epoch_start, n_images, step, out_of_time = time.monotonic(), 0, 0, False
        self._sums = {}
        lr = next(iter(self.task.optimizers.values())).param_groups[0]["lr"]
        for step, batch in enumerate(self.task.batches(epoch), start=1):
            losses = self.task.training_step(fabric.to_device(batch))
            n_images += len(batch[0])
            self._pending.append((step, losses))
            for callback in self.callbacks:
                callback.on_step_end(self.task, epoch, step)
            if self.progress.wants_note:
                self._check_pending(epoch)
                self._note(epoch, step)
            elif len(self._pending) >= STEPS_BETWEEN_CHECKS:
                self._check_pending(epoch)
            self.progress.update(1)
            out_of_time = time.monotonic() - self.start > self.max_seconds
            if out_of_time:
                break
        self._check_pending(epoch)
        self._note(epoch, step)
        for scheduler in self.task.schedulers:
            scheduler.step()
        seconds = time.monotonic() - epoch_start
        record: dict[str, float] = {
            "epoch": epoch,
            "n_steps": step,
            "seconds": seconds,
            "images_per_second": n_images / max(seconds, 1e-9),
            "lr": lr,
            **{name: total / step for name, total in self._sums.items()},
        }
        finished = self.task.end_epoch(record)
        self.history.append(record)
        for callback in self.callbacks:
            finished = bool(callback.on_epoch_end(self.task, record)) or finished
        last = epoch == self.n_epochs and step == self.task.n_batches
        if not out_of_time and time.monotonic() - self.start > self.max_seconds:
            out_of_time = True
        if out_of_time and not last:
            warnings.warn(
                f"Training stopped after {time.monotonic() - self.start:.0f} s "
                f"(max_time={self.max_seconds:g} s) in epoch {epoch} of "
                f"{self.n_epochs}, after step {step} of {self.task.n_batches}. "
                "The networks are usable as they are; raise `max_time` for more.",
                TrainingStoppedWarning,
                stacklevel=2,
            )
        return finished or out_of_time

    def _note(self, epoch: int, step: int) -> None:
        means = {name: total / step for name, total in self._sums.items()}
        self.progress.note({"epoch": f"{epoch}/{self.n_epochs}", **means})

    def _check_pending(self, epoch: int) -> None:
        """Add the pending losses to the sums; refuse NaN and infinity."""
        if not self._pending:
            return
        names = list(self._pending[0][1])
        values = torch.stack(
            [
                torch.stack([losses[name].detach().float() for name in names])
                for _, losses in self._pending
            ]
        ).cpu()
        bad = (~torch.isfinite(values)).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise TrainingDivergedError(
                f"Every loss must stay finite. The loss {names[column]!r} became "
                f"{values[row, column].item()} in epoch {epoch}, step "
                f"{self._pending[row][0]}. Lower `lr`, or set precision='32-true' in "
                "the trainer."
            )
        for name, total in zip(names, values.sum(0).tolist(), strict=True):
            self._sums[name] = self._sums.get(name, 0.0) + total
        self._pending.clear()


@contextlib.contextmanager
def set_up(fabric: Fabric, task: TrainingTask) -> Iterator[None]:
    """Put a task on the device, and its plain networks back on the CPU afterwards."""
    modules, optimizers = dict(task.modules), dict(task.optimizers)
    for name, module in modules.items():
        module.train()
        task.modules[name] = fabric.setup_module(module)
    for name, optimizer in optimizers.items():
        wrapped = fabric.setup_optimizers(optimizer)
        task.optimizers[name] = cast(torch.optim.Optimizer, wrapped)
    task.backward, task.device = fabric.backward, fabric.device
    try:
        yield
    finally:
        for name, module in modules.items():
            task.modules[name] = module.cpu().eval()
        task.optimizers.update(optimizers)


def _seconds(limit: float | timedelta | None) -> float:
    if limit is None:
        return math.inf
    return limit.total_seconds() if isinstance(limit, timedelta) else float(limit)

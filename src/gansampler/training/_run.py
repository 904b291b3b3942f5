"""The loop: epochs of steps until the end, the time limit, Ctrl-C or a hook."""

from __future__ import annotations

import math
import time
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric

from gansampler.exceptions import (
    TrainingDivergedError,
    TrainingRestoredWarning,
    TrainingStoppedWarning,
)
from gansampler.training._checkpoint import Checkpoints
from gansampler.training._device import to_device
from gansampler.training._interrupt import Interrupt
from gansampler.training._progress import Progress
from gansampler.training._state import Snapshot, capture, is_finite, restore
from gansampler.training._task import TrainingTask

if TYPE_CHECKING:
    from gansampler.training._trainer import Trainer

__all__ = ["Run"]

# How many steps' losses stay on the device before they are looked at, so that a GPU
# is not made to wait for the CPU after each step.
STEPS_BETWEEN_CHECKS = 50
# How often processes with GPUs ask each other whether to stop: it costs a round trip.
STEPS_BETWEEN_QUESTIONS = 10


TIME, INTERRUPT = 1, 2


class _NotFiniteError(Exception):
    """A loss, or a weight, is NaN or infinite."""


class Run:
    """The state of one fit: where it is, its history, and losses not yet looked at."""

    def __init__(
        self,
        trainer: Trainer,
        task: TrainingTask,
        n_epochs: int,
        progress: Progress,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.task, self.n_epochs, self.progress = task, n_epochs, progress
        self.process_group = task.process_group
        is_first = self.process_group.rank == 0
        # One process writes and reports for all: their states are the same.
        self.callbacks = (trainer.callbacks or []) if is_first else []
        self.checkpoints = checkpoints if is_first else None
        self.max_seconds = _seconds(trainer.max_time)
        self.seconds_between_snapshots = _seconds(trainer.checkpoint_every)
        self.start = time.monotonic()
        self.interrupt = Interrupt()
        self.history: list[dict[str, float]] = []
        # The next step to take; both count from 1.
        self.epoch, self.step = 1, 1
        self.finished = n_epochs == 0
        self._seconds, self._n_images = 0.0, 0
        self._sums: dict[str, float] = {}
        self._pending: list[tuple[int, dict[str, torch.Tensor]]] = []
        self._snapshot: Snapshot | None = None
        self._snapshot_time = 0.0
        self._lr = self._get_lr()

    @property
    def n_steps(self) -> int:
        """Steps taken since the beginning of the run."""
        return (self.epoch - 1) * self.task.n_batches + self.step - 1

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        state = snapshot.unpack()
        restore(self.task, state["task"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.finished, self.history = state["finished"], state["history"]
        self._sums, self._seconds = state["sums"], state["seconds"]
        self._n_images, self._lr = state["n_images"], state["lr"]
        self._pending.clear()

    def snapshot(self) -> Snapshot:
        """Copy the state of the run."""
        return Snapshot.of(
            {
                "task": capture(self.task),
                "epoch": self.epoch,
                "step": self.step,
                "finished": self.finished,
                "history": self.history,
                "sums": self._sums,
                "seconds": self._seconds,
                "n_images": self._n_images,
                "lr": self._lr,
            }
        )

    def loop(self, fabric: Fabric) -> None:
        """Run every epoch, with the hooks around them."""
        for callback in self.callbacks:
            callback.on_fit_start(self.task, self.n_epochs)
        self.progress.start_at(self.n_steps)
        self._take_snapshot(write=False)
        reason = 0
        with self.interrupt.listen():
            while not (reason or self.finished):
                try:
                    reason = self._run_epoch(fabric)
                except _NotFiniteError as error:
                    self._go_back(error)
        if reason:
            self._stop(reason)
        for callback in self.callbacks:
            callback.on_fit_end(self.task, self.history)

    def _run_epoch(self, fabric: Fabric) -> int:
        """Run what is left of an epoch; return the reason to stop, or 0."""
        clock = time.monotonic()
        for batch in self.task.batches(self.epoch, self.step):
            with fabric.autocast():
                losses = self.task.training_step(to_device(fabric, batch))
            detached = {name: loss.detach() for name, loss in losses.items()}
            self._pending.append((self.step, detached))
            self._n_images += len(batch[0]) * self.process_group.world_size
            for callback in self.callbacks:
                callback.on_step_end(self.task, self.epoch, self.step)
            self.step += 1
            self._look_at_losses()
            self.progress.update(1)
            now = time.monotonic()
            self._seconds, clock = self._seconds + now - clock, now
            if self.step <= self.task.n_batches and self._asks_at(self.step):
                reason, is_due = self._ask()
                if reason or is_due:
                    self._take_snapshot()
                if reason:
                    return reason
        self._check_pending()
        self._note()
        self._end_epoch(clock)
        reason, is_due = self._ask()
        if reason or is_due or self.finished:
            self._take_snapshot()
        return 0 if self.finished else reason

    def _end_epoch(self, clock: float) -> None:
        for scheduler in self.task.schedulers:
            scheduler.step()
        self.process_group.average_buffers(self.task.modules.values())
        record = self._record()
        enough = self.task.end_epoch(record)
        self._seconds += time.monotonic() - clock
        record["seconds"] = self._seconds
        record["images_per_second"] = self._n_images / max(self._seconds, 1e-9)
        self.history.append(record)
        for callback in self.callbacks:
            enough = bool(callback.on_epoch_end(self.task, record)) or enough
        if self.checkpoints is not None:
            self.checkpoints.write_history(self.history)
        self.epoch, self.step = self.epoch + 1, 1
        self._sums, self._seconds, self._n_images = {}, 0.0, 0
        self._lr = self._get_lr()
        (agreed,) = self.process_group.agree(int(enough))
        self.finished = self.epoch > self.n_epochs or bool(agreed)

    def _record(self) -> dict[str, Any]:
        n_steps = self.step - 1
        return {
            "epoch": self.epoch,
            "n_steps": n_steps,
            "seconds": self._seconds,
            "images_per_second": self._n_images / max(self._seconds, 1e-9),
            "lr": self._lr,
            **{name: total / n_steps for name, total in self._sums.items()},
        }

    def _get_lr(self) -> float:
        return next(iter(self.task.optimizers.values())).param_groups[0]["lr"]

    def _asks_at(self, step: int) -> bool:
        on_cpu = self.task.device.type == "cpu"
        return (
            self.process_group.world_size == 1
            or on_cpu
            or step % STEPS_BETWEEN_QUESTIONS == 0
        )

    def _ask(self) -> tuple[int, int]:
        """Return the reason to stop, or 0, and whether a snapshot is due, for all."""
        now = time.monotonic()
        reason = TIME if now - self.start > self.max_seconds else 0
        if self.interrupt.asked:
            reason = INTERRUPT
        is_due = now - self._snapshot_time > self.seconds_between_snapshots
        reason, is_due_now = self.process_group.agree(reason, int(is_due))
        return reason, is_due_now

    def _stop(self, reason: int) -> None:
        """Say why the run ended early, and keep the figures of a part of an epoch."""
        if self.step > 1:
            where = f"epoch {self.epoch} of {self.n_epochs}, after step {self.step - 1}"
            where += f" of {self.task.n_batches}"
            self.history.append(self._record())
        else:
            where = f"epoch {self.epoch - 1} of {self.n_epochs}, at its end"
        why = "on request (Ctrl-C)"
        if reason == TIME:
            why = f"after {time.monotonic() - self.start:.0f} s "
            why += f"(max_time={self.max_seconds:g} s)"
        how = "raise `max_time` for more."
        if self.checkpoints is not None:
            how = "the same call goes on from here."
        elif reason == INTERRUPT:
            how = "set `checkpoint_dir` in the trainer to go on from such a point."
        if self.process_group.rank == 0:
            warnings.warn(
                f"Training stopped {why} in {where}. The networks are usable as they "
                f"are; {how}",
                TrainingStoppedWarning,
                stacklevel=2,
            )

    def _take_snapshot(self, write: bool = True) -> None:
        self._check_pending()
        if not is_finite(self.task):
            raise _NotFiniteError(
                f"A weight is NaN or infinite in epoch {self.epoch}, step {self.step}."
            )
        self._snapshot = self.snapshot()
        if write and self.checkpoints is not None:
            self.checkpoints.write(self._snapshot, self.n_steps)
        self._snapshot_time = time.monotonic()

    def _go_back(self, error: _NotFiniteError) -> None:
        """Restore the last good state; refuse to do that twice in a run."""
        advice = "Lower `lr`, or set precision='32-true' in the trainer."
        if self._snapshot is None or self.task.draw > 0:
            again = " That is the second time in this run." if self.task.draw else ""
            raise TrainingDivergedError(
                f"Every loss must stay finite. {error}{again} {advice}"
            )
        self.resume(self._snapshot)
        # In the same order it would end the same way.
        self.task.draw += 1
        if self.process_group.rank == 0:
            warnings.warn(
                f"Every loss must stay finite. {error} Training goes on, in another "
                f"order of the data, from the last good state: epoch {self.epoch}, "
                f"step {self.step}. If it happens again: {advice}",
                TrainingRestoredWarning,
                stacklevel=2,
            )
        self._take_snapshot()

    def _note(self) -> None:
        n_steps = max(self.step - 1, 1)
        means = {name: total / n_steps for name, total in self._sums.items()}
        rate = self._n_images / max(self._seconds, 1e-9)
        self.progress.note(
            {"epoch": f"{self.epoch}/{self.n_epochs}", "img/s": rate, **means}
        )

    def _look_at_losses(self) -> None:
        # Processes look at the same steps, whatever their bars show.
        wants_note = self.progress.wants_note
        if len(self._pending) >= STEPS_BETWEEN_CHECKS or (
            wants_note and self.process_group.world_size == 1
        ):
            self._check_pending()
        if wants_note:
            self._note()

    def _check_pending(self) -> None:
        """Add the pending losses to the sums; refuse NaN and infinity."""
        if not self._pending:
            return
        names = list(self._pending[0][1])
        values = torch.stack(
            [
                torch.stack([losses[name].float() for name in names])
                for _, losses in self._pending
            ]
        )
        values = self.process_group.mean(values).cpu()
        bad = (~torch.isfinite(values)).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise _NotFiniteError(
                f"The loss {names[column]!r} became {values[row, column].item()} in "
                f"epoch {self.epoch}, step {self._pending[row][0]}."
            )
        # One after the other: the same sum, however often they are looked at.
        for row in values.tolist():
            for name, value in zip(names, row, strict=True):
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._pending.clear()


def _seconds(limit: float | timedelta | None) -> float:
    if limit is None:
        return math.inf
    return limit.total_seconds() if isinstance(limit, timedelta) else float(limit)

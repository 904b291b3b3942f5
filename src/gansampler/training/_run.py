"""The loop: epochs of steps until the end, the time limit, Ctrl-C or a callback."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from lightning_fabric import Fabric

from gansampler.exceptions import (
    CheckpointWarning,
    TrainingDivergedError,
    TrainingRestoredWarning,
    TrainingStoppedWarning,
)
from gansampler.training._callbacks import Callback
from gansampler.training._checkpoint import Checkpoints
from gansampler.training._device import to_device
from gansampler.training._estimate import TimeEstimate
from gansampler.training._interrupt import Interrupt
from gansampler.training._progress import Progress
from gansampler.training._state import Snapshot, capture, is_finite, restore
from gansampler.training._task import TrainingTask

# The losses of this many steps stay on the device before they are checked, so that a
# GPU does not wait for the CPU after each step.
STEPS_BETWEEN_CHECKS = 50
# How often processes with GPUs agree on whether to stop, which takes time.
STEPS_BETWEEN_AGREEMENTS = 10

# Reasons to stop; if there are several, the largest counts.
CALLBACK, TIME, INTERRUPT = 1, 2, 3


class _NotFiniteError(Exception):
    """A loss or a weight is NaN or infinite."""


class Run:
    """One fit: its position, its history, and the losses that are not yet checked.

    Parameters
    ----------
    task : TrainingTask
        Already on the device, with its group of processes.
    n_epochs : int
    fabric : Fabric
    callbacks : sequence of Callback
    max_seconds : float
        Time limit.
    seconds_between_snapshots : float
        0 for a snapshot after each step.
    progress : Progress
    checkpoints : Checkpoints or None
        Where snapshots are written. None keeps them in memory.
    """

    def __init__(
        self,
        task: TrainingTask,
        n_epochs: int,
        fabric: Fabric,
        *,
        callbacks: Sequence[Callback],
        max_seconds: float,
        seconds_between_snapshots: float,
        progress: Progress,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.task, self.n_epochs, self.fabric = task, n_epochs, fabric
        self.process_group = task.process_group
        # One process writes and reports for all, because their states are the same.
        self.is_first = self.process_group.rank == 0
        self.callbacks = callbacks if self.is_first else []
        self.checkpoints = checkpoints if self.is_first else None
        self.max_seconds = max_seconds
        self.seconds_between_snapshots = seconds_between_snapshots
        self.progress = progress
        self.start = time.monotonic()
        self.interrupt = Interrupt()
        self.history: list[dict[str, float]] = []
        # The next step to take. Both count from 1.
        self.epoch, self.step = 1, 1
        self._ended_by_task = False
        self._seconds, self._n_images = 0.0, 0
        self._sums: dict[str, float] = {}
        self._pending: list[tuple[int, dict[str, torch.Tensor]]] = []
        self._snapshot: Snapshot | None = None
        self._snapshot_time = 0.0
        self._lr = self._get_lr()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do. A run that a callback ends is not finished."""
        return self._ended_by_task or self.epoch > self.n_epochs

    @property
    def n_steps(self) -> int:
        """Number of steps since the beginning of the run."""
        return (self.epoch - 1) * self.task.n_batches + self.step - 1

    def snapshot(self) -> Snapshot:
        """Copy the state of the run."""
        return Snapshot.of(
            {
                "task": capture(self.task),
                # Of 16-mixed: the factor that scales the loss.
                "precision": self.fabric.strategy.precision.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "ended_by_task": self._ended_by_task,
                "finished": self.finished,
                "history": self.history,
                "sums": self._sums,
                "seconds": self._seconds,
                "n_images": self._n_images,
                "lr": self._lr,
            }
        )

    def resume(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot."""
        state = snapshot.unpack()
        restore(self.task, state["task"])
        if state["precision"]:
            self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.epoch, self.step = state["epoch"], state["step"]
        self._ended_by_task, self.history = state["ended_by_task"], state["history"]
        self._sums, self._seconds = state["sums"], state["seconds"]
        self._n_images = state["n_images"]
        # A longer run may have another schedule.
        self._lr = state["lr"] if self.step > 1 else self._get_lr()
        self._pending.clear()

    def start_together(self) -> None:
        """Read the latest checkpoint, and give all processes the state of the first."""
        latest = self._read_latest()
        is_alone = self.process_group.world_size == 1
        if latest is not None or not is_alone:
            self.resume(self.process_group.from_first(latest or self.snapshot()))

    def _read_latest(self) -> Snapshot | None:
        """Return the latest state of this run, or else of one with fewer epochs."""
        if self.checkpoints is None:
            return None
        for run in (self.checkpoints, *self.checkpoints.find_shorter()):
            latest = run.read_latest()
            if latest is None:
                continue
            folder = str(run.folder)
            if run is not self.checkpoints:
                warnings.warn(
                    f"Training continues a run of {run.n_epochs} epochs, whose state "
                    f"is read from {folder!r}. If the learning rate depends on the "
                    "number of epochs, the result differs from that of a single run "
                    f"of {self.n_epochs} epochs. Delete this folder to train from the "
                    "beginning.",
                    CheckpointWarning,
                    stacklevel=2,
                )
            elif latest.unpack()["finished"]:
                warnings.warn(
                    "This run was finished by an earlier call. Its networks are read "
                    f"from {folder!r} and are not trained again. Delete this folder "
                    "to train again, or raise the number of epochs to continue.",
                    CheckpointWarning,
                    stacklevel=2,
                )
            return latest
        return None

    def loop(self) -> None:
        """Train until the end, and call the callbacks."""
        if not is_finite(self.task):
            raise TrainingDivergedError(
                "The weights of the networks must be finite before the first step. "
                "Some are NaN or infinite. Check how the networks are initialised, or "
                "the file of their weights."
            )
        started: list[Callback] = []
        try:
            for callback in self.callbacks:
                callback.on_fit_start(self.task, self.n_epochs)
                started.append(callback)
            self._train()
        finally:
            with contextlib.ExitStack() as stack:
                for callback in reversed(started):
                    stack.callback(callback.on_fit_end, self.task, self.history)

    def _train(self) -> None:
        self.progress.start_at(self.n_steps)
        self._take_snapshot(write=False)
        estimate = TimeEstimate(
            self.n_epochs * self.task.n_batches - self.n_steps,
            self.max_seconds,
            self.task.time_advice,
            on_gpu=self.task.device.type != "cpu",
        )
        reason = 0
        with self.interrupt.listen():
            while not (reason or self.finished):
                try:
                    reason = self._run_epoch(estimate)
                except _NotFiniteError as error:
                    self._go_back(error)
        if reason > CALLBACK:
            self._warn_stopped(reason)

    def _run_epoch(self, estimate: TimeEstimate) -> int:
        """Run the rest of an epoch; return the reason to stop, or 0."""
        clock = time.monotonic()
        for batch in self.task.batches(self.epoch, self.step):
            with self.fabric.autocast():
                losses = self.task.training_step(to_device(self.fabric, batch))
            detached = {name: loss.detach() for name, loss in losses.items()}
            self._pending.append((self.step, detached))
            self._n_images += len(batch[0]) * self.process_group.world_size
            for callback in self.callbacks:
                callback.on_step_end(self.task, self.epoch, self.step)
            self.step += 1
            now = time.monotonic()
            self._seconds, clock = self._seconds + now - clock, now
            self._look_at_losses()
            self.progress.update(1)
            estimate.note_step()
            if self.step <= self.task.n_batches and self._agrees_after_this_step():
                reason, is_due = self._agree()
                if reason or is_due:
                    self._take_snapshot()
                if reason:
                    return reason
        self._check_pending()
        self._note()
        ended_by_callback = self._end_epoch(clock)
        reason, is_due = self._agree(CALLBACK if ended_by_callback else 0)
        if reason or is_due or self.finished:
            self._take_snapshot()
        return 0 if self.finished else reason

    def _end_epoch(self, clock: float) -> bool:
        """Complete the history; return whether a callback ends the run."""
        for scheduler in self.task.schedulers:
            scheduler.step()
        self.process_group.average_buffers(self.task.modules.values())
        record = self._record()
        ended_by_task = self.task.end_epoch(record)
        self._seconds += time.monotonic() - clock
        record["seconds"] = self._seconds
        record["images_per_second"] = self._n_images / max(self._seconds, 1e-9)
        self.history.append(record)
        answers = [
            callback.on_epoch_end(self.task, record) for callback in self.callbacks
        ]
        if self.checkpoints is not None:
            self.checkpoints.write_history(self.history)
        self.epoch, self.step = self.epoch + 1, 1
        self._sums, self._seconds, self._n_images = {}, 0.0, 0
        self._lr = self._get_lr()
        (agreed,) = self.process_group.agree(int(ended_by_task))
        self._ended_by_task = bool(agreed)
        return any(answers)

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

    def _agrees_after_this_step(self) -> bool:
        return (
            self.process_group.world_size == 1
            or self.task.device.type == "cpu"
            or self.step % STEPS_BETWEEN_AGREEMENTS == 0
        )

    def _agree(self, reason: int = 0) -> tuple[int, int]:
        """Return, for all processes, the reason to stop and whether to snapshot."""
        now = time.monotonic()
        if now - self.start > self.max_seconds:
            reason = TIME
        if self.interrupt.requested:
            reason = INTERRUPT
        is_due = now - self._snapshot_time > self.seconds_between_snapshots
        reason, is_due_now = self.process_group.agree(reason, int(is_due))
        return reason, is_due_now

    def _warn_stopped(self, reason: int) -> None:
        """Warn about the early end, and add an unfinished epoch to the history."""
        where = f"at the end of epoch {self.epoch - 1} of {self.n_epochs}"
        if self.step > 1:
            where = f"in epoch {self.epoch} of {self.n_epochs}, after step "
            where += f"{self.step - 1} of {self.task.n_batches}"
            self.history.append(self._record())
        why = "because of Ctrl-C"
        if reason == TIME:
            why = f"at the time limit (max_time={self.max_seconds:g} s)"
        remedy = "To train for longer, raise `max_time`. " if reason == TIME else ""
        remedy += (
            "A second call trains from the beginning. To be able to continue a run, "
            "set `checkpoint_dir` in the trainer."
        )
        if self.checkpoints is not None:
            remedy = "Make the same call again"
            remedy += ", or raise `max_time`," if reason == TIME else ""
            remedy += " to continue the run."
        if self.is_first:
            warnings.warn(
                f"Training stopped {why} {where}. The networks can be used. {remedy}",
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
        """Restore the latest snapshot; the second time, raise an error."""
        remedy = "Lower `lr`, or set precision='32-true' in the trainer."
        if self._snapshot is None or self.task.draw > 0:
            raise TrainingDivergedError(
                f"Every loss must stay finite. {error} This is the second time in this "
                f"run. {remedy}"
            )
        self.resume(self._snapshot)
        # The same order of the data would lead to the same loss.
        self.task.draw += 1
        if self.is_first:
            warnings.warn(
                f"Every loss must stay finite. {error} Training continues from epoch "
                f"{self.epoch}, step {self.step}, with another order of the data. If "
                f"this happens again: {remedy}",
                TrainingRestoredWarning,
                stacklevel=2,
            )
        self._take_snapshot()

    def _note(self) -> None:
        n_steps = max(self.step - 1, 1)
        means = {name: total / n_steps for name, total in self._sums.items()}
        figures: dict[str, object] = {**self.task.summarize(means)}
        figures["epoch"] = f"{self.epoch}/{self.n_epochs}"
        figures["img/s"] = self._n_images / max(self._seconds, 1e-9)
        self.progress.note(figures)

    def _look_at_losses(self) -> None:
        # All processes check after the same steps, whatever their progress shows.
        wants_note = self.progress.wants_note
        if len(self._pending) >= STEPS_BETWEEN_CHECKS or (
            wants_note and self.process_group.world_size == 1
        ):
            self._check_pending()
        if wants_note:
            self._note()

    def _check_pending(self) -> None:
        """Add the pending losses to the sums; raise an error for NaN and infinity."""
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
        # One by one: the sum does not depend on how often losses are checked.
        for row in values.tolist():
            for name, value in zip(names, row, strict=True):
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._pending.clear()

"""Hooks into the engine, all no-ops unless overridden."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gansampler.training._task import TrainingTask

__all__ = ["Callback"]


class Callback:
    """Override the hooks that you need and pass an instance to :class:`Trainer`.

    Examples
    --------
    >>> from gansampler.training import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, task, record):
    ...         return record["loss"] < 0.1
    """

    def __sklearn_clone__(self) -> Callback:
        """Return this callback itself, so that the caller's object sees the run."""
        return self

    def on_fit_start(self, task: TrainingTask, n_epochs: int) -> None:
        """Before the first step."""

    def on_step_end(self, task: TrainingTask, epoch: int, step: int) -> None:
        """After each step; `epoch` and `step` count from 1."""

    def on_epoch_end(self, task: TrainingTask, record: dict[str, float]) -> bool | None:
        """After each epoch, with its figures. A true value ends the run."""

    def on_fit_end(self, task: TrainingTask, history: list[dict[str, float]]) -> None:
        """After the last step, however the run ended."""

"""A limit for trainings that other programs on the machine do not change."""

from __future__ import annotations

import time

from gansampler.training import Callback


class ProcessorTime(Callback):
    """End a run after some seconds of processor time. Use one thread.

    Parameters
    ----------
    seconds : float
        The run ends after the epoch in which they are over.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_fit_start(self, task, n_epochs) -> None:
        """Start the clock."""
        self._start = time.process_time()

    def on_epoch_end(self, task, record) -> bool:
        """End the run when the time is over."""
        return time.process_time() - self._start > self.seconds

"""The time that a run will take, from the time of its first steps."""

from __future__ import annotations

import multiprocessing
import time
import warnings

from gansampler.exceptions import LongTrainingWarning
from gansampler.training._process_group import launched_from_outside

# The first step is slower than the others and does not count.
MIN_STEPS, MIN_SECONDS = 3, 10.0
SECONDS_UNTIL_WARNING = 3600.0


class TimeEstimate:
    """Warn once if a run will take more than an hour.

    Parameters
    ----------
    n_left : int
        Number of steps to take.
    max_seconds : float
        Time limit of the run. A limit below the estimate is a choice of the user, who
        is not warned then.
    advice : str
        What the user can change to train for less time.
    on_gpu : bool
        Whether the networks are on a GPU.
    """

    def __init__(
        self, n_left: int, max_seconds: float, advice: str, *, on_gpu: bool
    ) -> None:
        self._n_left, self._max_seconds = n_left, max_seconds
        gpu = "" if on_gpu else ", or use a GPU"
        limit = "set `max_time` in the trainer"
        self._advice = f"To train for less time, {advice}, {limit}{gpu}."
        self._n_steps = 0
        self._first = 0.0
        self._is_done = not _is_main_process()

    def note_step(self) -> None:
        """Count a step; warn when the estimate is reliable."""
        if self._is_done:
            return
        now = time.monotonic()
        self._n_steps += 1
        if self._n_steps == 1:
            self._first = now
            return
        n_measured, seconds = self._n_steps - 1, now - self._first
        if n_measured < MIN_STEPS or seconds < MIN_SECONDS:
            return
        self._is_done = True
        per_step = seconds / n_measured
        n_left = self._n_left - self._n_steps
        estimate = per_step * n_left
        if SECONDS_UNTIL_WARNING < estimate < self._max_seconds:
            warnings.warn(
                f"This training will take about {describe(estimate)}: {n_left} steps "
                f"of {per_step:.2g} s each. {self._advice}",
                LongTrainingWarning,
                stacklevel=2,
            )


def describe(seconds: float) -> str:
    """Return a time of an hour or more in words, such as "1 h 20 min"."""
    # Rounded to ten minutes, because it is an estimate.
    hours, tens = divmod(round(seconds / 600), 6)
    if hours >= 10 or tens == 0:
        return f"{round(seconds / 3600)} h"
    return f"{hours} h {10 * tens} min"


def _is_main_process() -> bool:
    """Whether this is the process of the user, not one that was started to help."""
    is_worker = multiprocessing.current_process().name != "MainProcess"
    return not is_worker and not launched_from_outside()

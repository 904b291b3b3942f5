"""Progress: a bar in a terminal or notebook, and occasional lines in a log file.

A tqdm bar redraws itself with carriage returns, which would fill a log file with
thousands of lines. So if standard error is not a terminal, lines are printed instead.
Of several processes, only the first one reports.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

from tqdm.auto import tqdm

SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_DRAWS = 0.2


class Progress:
    """Count images or steps, and show speed, losses and the remaining time.

    Parameters
    ----------
    total : int
        What the count reaches at the end.
    description : str
        Shown before the count.
    shown : bool
        False shows nothing.
    unit : str, default="img"
        What is counted.

    Examples
    --------
    >>> from gansampler.training import Progress
    >>> progress = Progress(100, "translating", shown=False)
    >>> progress.update(10)
    >>> progress.close()
    """

    def __init__(
        self, total: int, description: str, *, shown: bool, unit: str = "img"
    ) -> None:
        self._total, self._description, self._unit = total, description, unit
        self._count, self._earlier, self._note = 0, 0, ""
        self._start = self._last_line = self._last_note = time.monotonic()
        self._bar: tqdm | None = None
        self._lines = False
        if not shown or int(os.environ.get("RANK", "0")) > 0:
            return
        if sys.stderr.isatty() or _in_notebook():
            self._bar = tqdm(
                total=total,
                desc=description,
                unit=unit,
                dynamic_ncols=True,
                mininterval=SECONDS_BETWEEN_DRAWS,
                smoothing=0.05,
            )
        else:
            self._lines = True

    def start_at(self, n_done: int) -> None:
        """Start with the count of an earlier run, which does not affect the speed."""
        self._count = self._earlier = n_done
        if self._bar is not None:
            self._bar.initial = self._bar.n = self._bar.last_print_n = n_done

    @property
    def wants_note(self) -> bool:
        """Whether it is time for new figures. It takes time to read losses on a GPU."""
        now = time.monotonic()
        due = (self._bar is not None and now - self._last_note > 1.0) or (
            self._lines and now - self._last_line > SECONDS_BETWEEN_LINES
        )
        if due:
            self._last_note = now
        return due

    def note(self, figures: Mapping[str, object]) -> None:
        """Show these figures beside the count."""
        self._note = " ".join(f"{name}={_short(v)}" for name, v in figures.items())
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)

    def update(self, n_done: int) -> None:
        """Count `n_done` more."""
        self._count += n_done
        if self._bar is not None:
            self._bar.update(n_done)
        elif self._lines and (
            time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES
        ):
            self._print_line()

    def close(self) -> None:
        """Show the last state, and end the display."""
        if self._bar is not None:
            self._bar.close()
        elif self._lines:
            self._print_line()
            self._lines = False

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        seconds = self._last_line - self._start
        rate = (self._count - self._earlier) / seconds if seconds > 0 else 0.0
        remaining = (self._total - self._count) / rate if rate > 0 else 0.0
        line = (
            f"{self._description}: {self._count}/{self._total} {self._unit} "
            f"({100 * self._count / max(self._total, 1):.0f}%), "
            f"{rate:.1f} {self._unit}/s, {tqdm.format_interval(seconds)} elapsed, "
            f"{tqdm.format_interval(remaining)} remaining"
        )
        sys.stderr.write(f"{line}, {self._note}\n" if self._note else f"{line}\n")


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    return type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

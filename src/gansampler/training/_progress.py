"""Progress: a bar in a terminal or notebook, and occasional lines in a log file.

A tqdm bar redraws itself with carriage returns, which would fill a log file with
thousands of lines. So if standard error is not a terminal, lines are printed instead.
Bars and lines have at most 100 columns. Of several processes, only the first one
reports.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # In a notebook without ipywidgets, the bar is text, as in a terminal.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

MAX_COLUMNS = 100
# Below the full width, this many columns of a bar are kept before figures are left out.
MIN_BAR = 3
MAX_DESCRIPTION = 30
# The first line of a log comes early. The intervals between lines then become longer.
SECONDS_UNTIL_LINE = 10.0
SECONDS_BETWEEN_LINES = 15.0, 60.0
SECONDS_BETWEEN_DRAWS = 0.2
# Of a terminal that does not know its size.
TERMINAL_SIZE = MAX_COLUMNS + 1, 24


class _Bar(tqdm):
    """A bar whose field "left" is the remaining time, at most until a time limit."""

    max_seconds = math.inf

    @property
    def format_dict(self) -> dict[str, Any]:
        """The fields of the bar."""
        fields = super().format_dict
        rate, elapsed = fields["rate"], fields["elapsed"]
        if rate is None and elapsed:
            rate = (fields["n"] - fields["initial"]) / elapsed
        left = "?"
        if rate:
            seconds = (fields["total"] - fields["n"]) / rate
            left = self.format_interval(_limit(seconds, elapsed, self.max_seconds))
        return {**fields, "left": left}


class Progress:
    """Count images or steps, and show the elapsed and remaining time and some figures.

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
    max_seconds : float, default=inf
        Time limit. The shown remaining time does not exceed it.
    estimates : bool, default=True
        False shows no times, because some counts take much longer than others. The
        figures then say what is being done, and are shown at once.

    Examples
    --------
    >>> from gansampler.training import Progress
    >>> progress = Progress(100, "translating", shown=False)
    >>> progress.update(10)
    >>> progress.close()
    """

    def __init__(
        self,
        total: int,
        description: str,
        *,
        shown: bool,
        unit: str = "img",
        max_seconds: float = math.inf,
        estimates: bool = True,
    ) -> None:
        if len(description) > MAX_DESCRIPTION:
            description = description[: MAX_DESCRIPTION - 3] + "..."
        self._total, self._description, self._unit = total, description, unit
        self._max_seconds, self._estimates = max_seconds, estimates
        self._count, self._earlier = 0, 0
        self._figures: list[str] = []
        self._start = self._last_note = time.monotonic()
        self._next_line = self._start + SECONDS_UNTIL_LINE
        self._bar: tqdm | None = None
        self._lines = False
        if not shown or int(os.environ.get("RANK", "0")) > 0:
            return
        self._is_notebook = in_notebook()
        if sys.stderr.isatty() or self._is_notebook:
            self._bar = _Bar(
                total=total,
                desc=description,
                unit=unit,
                mininterval=SECONDS_BETWEEN_DRAWS,
                smoothing=0.05,
                # Some terminals have 0 rows, in which tqdm would draw nothing.
                nrows=shutil.get_terminal_size(TERMINAL_SIZE).lines,
                **self._layout(),
            )
            self._bar.max_seconds = max_seconds
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
            self._lines and now > self._next_line
        )
        if due:
            self._last_note = now
        return due

    def note(self, figures: Mapping[str, object]) -> None:
        """Show these figures after the count, the first ones if there is little room.

        Parameters
        ----------
        figures : mapping of str -> float or str
            By their names. The name "img/s" stands behind its figure.
        """
        self._figures = [
            f"{_short(value)} {name}" if "/" in name else f"{name} {_short(value)}"
            for name, value in figures.items()
        ]
        if self._bar is not None:
            # The terminal may have another width than before.
            for name, value in self._layout().items():
                setattr(self._bar, name, value)
            if not self._estimates:
                self._bar.refresh()
        elif self._lines and not self._estimates:
            self._print_line_if_due()

    def update(self, n_done: int) -> None:
        """Count `n_done` more."""
        self._count += n_done
        if self._bar is not None:
            self._bar.update(n_done)
        elif self._lines and self._estimates:
            self._print_line_if_due()

    def close(self) -> None:
        """Show the last state, and end the display."""
        if self._bar is not None:
            self._bar.close()
        elif self._lines:
            self._print_line()
            self._lines = False

    def _layout(self) -> dict[str, object]:
        """Return the width and the format of a bar, with the figures that fit."""
        width = MAX_COLUMNS
        if not self._is_notebook:
            # The last column stays free, so that no line is wrapped.
            columns = shutil.get_terminal_size(TERMINAL_SIZE).columns
            width = min(width, columns - 1)
        elapsed = "{elapsed} elapsed" if width == MAX_COLUMNS else "{elapsed}"
        start = "{desc}: {percentage:3.0f}%|{bar}|"
        text = " {n_fmt}/{total_fmt} {unit}"
        if self._estimates:
            text = "" if self._figures else text
            text += f" {elapsed}, {{left}} left"
        # The longest that these fields are in a run of less than 100 hours.
        fields = {"elapsed": "1:00:00", "left": "10:00:00", "bar": "#" * MIN_BAR}
        fields |= {"desc": self._description, "unit": self._unit}
        fields |= {"n_fmt": str(self._total), "total_fmt": str(self._total)}
        length = len((start + text).format(percentage=100.0, **fields))
        end = _join_what_fits(self._figures, " ", width - length - len(","))
        end = f",{end}" if end else ""
        end = end.replace("{", "{{").replace("}", "}}")
        return {
            "ncols": None if self._is_notebook else width,
            "bar_format": start + text + end,
        }

    def _print_line_if_due(self) -> None:
        if time.monotonic() > self._next_line:
            self._print_line()

    def _print_line(self) -> None:
        now = time.monotonic()
        seconds = now - self._start
        first, longest = SECONDS_BETWEEN_LINES
        self._next_line = now + min(max(first, seconds / 4), longest)
        line = (
            f"{self._description}: {self._count}/{self._total} {self._unit} "
            f"({100 * self._count / max(self._total, 1):.0f}%)"
        )
        if self._estimates:
            rate = (self._count - self._earlier) / seconds if seconds > 0 else 0.0
            left = (self._total - self._count) / rate if rate > 0 else 0.0
            left = _limit(left, seconds, self._max_seconds)
            line += f", {tqdm.format_interval(seconds)} elapsed, "
            line += f"{tqdm.format_interval(left)} left"
        line += _join_what_fits(self._figures, ", ", MAX_COLUMNS - len(line))
        sys.stderr.write(f"{line}\n")


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    return type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _limit(left: float, elapsed: float, max_seconds: float) -> float:
    """Return the remaining seconds, at most those until the time limit."""
    return min(left, max(max_seconds - elapsed, 0.0))


def _join_what_fits(parts: list[str], separator: str, room: int) -> str:
    """Return the parts in order, each after a separator; leave out what is too long."""
    text = ""
    for part in parts:
        if len(text) + len(separator) + len(part) <= room:
            text += separator + part
    return text


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

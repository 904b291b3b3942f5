"""The results of a comparison as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from gansampler.model_selection._intervals import Difference

MAX_WIDTH = 88
MIN_ARM_WIDTH = 20
NBSP = "\N{NO-BREAK SPACE}"
GAP = "  "
LEFT = "text-align: left; padding: 0.2em 0.6em"
RIGHT = "text-align: right; padding: 0.2em 0.6em; white-space: nowrap"


class Row(NamedTuple):
    """An arm in a table: its mean score, its differences and its time per split."""

    arm: str
    score: float
    differences: list[Difference | None]
    seconds: float


def format_difference(difference: Difference) -> str:
    """Return a difference with its interval, such as "-0.012 [-0.031, 0.006]"."""
    mean, low, high = map(_format, difference)
    sign = "+" if difference.mean > 0 else ""
    return f"{sign}{mean} [{low}, {high}]"


def table_to_text(scoring: str, baselines: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table of at most 88 columns; long names of arms are wrapped.

    Parameters
    ----------
    scoring : str
        Name of the score.
    baselines : sequence of str
        The arms to which the others are compared.
    rows : sequence of Row
    """
    heads = ["score", *(f"difference to {name}" for name in baselines), "seconds"]
    cells = [_cells(row) for row in rows]
    columns = [list(column) for column in zip(*cells, strict=True)]
    widths = _widths(heads, columns)
    if sum(widths) > MAX_WIDTH - MIN_ARM_WIDTH:
        # Each interval is put below its difference.
        words = [
            [word for cell in column for word in cell.split(" ")] for column in columns
        ]
        widths = _widths(heads, words)
    remaining = MAX_WIDTH - sum(widths) - len(GAP) * len(widths)
    longest = max(len("arm"), *(len(row.arm) for row in rows))
    widths = [min(longest, remaining), *widths]
    lines = [scoring, *_wrapped(["arm", *heads], widths)]
    for row, values in zip(rows, cells, strict=True):
        lines += _wrapped([row.arm, *values], widths)
    return "\n".join(lines).replace(NBSP, " ")


def _widths(heads: Sequence[str], columns: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column, whose head is wrapped."""
    return [
        max(map(len, [*head.split(), *column]))
        for head, column in zip(heads, columns, strict=True)
    ]


def table_to_html(scoring: str, baselines: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table in HTML; parameters as in :func:`table_to_text`."""
    heads = ["score", *(f"difference to {name}" for name in baselines), "seconds"]
    lines = [
        "<table>",
        f'<caption style="{LEFT}">{escape(scoring)}</caption>',
        f'<thead><tr><th style="{LEFT}">arm</th>'
        + "".join(f'<th style="{RIGHT}">{escape(head)}</th>' for head in heads)
        + "</tr></thead>",
        "<tbody>",
    ]
    for row in rows:
        cells = "".join(f'<td style="{RIGHT}">{cell}</td>' for cell in _cells(row))
        arm = f'<th style="{LEFT}">{escape(row.arm)}</th>'
        lines.append(f"<tr>{arm}{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"])


def list_to_html(items: Sequence[str]) -> str:
    """Return sentences as a list in HTML."""
    return "\n".join(["<ul>", *(f"<li>{escape(item)}</li>" for item in items), "</ul>"])


def wrap(text: str) -> str:
    """Return a sentence in lines of at most 88 columns, without breaking intervals."""
    lines = textwrap.fill(
        _unbroken(text), MAX_WIDTH, subsequent_indent=GAP, break_on_hyphens=False
    )
    return lines.replace(NBSP, " ")


def _unbroken(text: str) -> str:
    """Return a text with spaces in its intervals that do not end a line."""
    return re.sub(r"\[.*?\]", lambda match: match[0].replace(" ", NBSP), text)


def _cells(row: Row) -> list[str]:
    return [
        _format(row.score),
        *(
            "" if d is None else _unbroken(format_difference(d))
            for d in row.differences
        ),
        f"{row.seconds:.2f}" if row.seconds < 10 else f"{row.seconds:.0f}",
    ]


def _format(value: float) -> str:
    # "z" shows a rounded -0.000 as 0.000.
    return f"{value:z.3f}" if abs(value) < 100 else f"{value:.4g}"


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of one row: the first cell to the left, the others right."""
    parts = [
        textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)
    ]
    lines = []
    for number in range(max(map(len, parts))):
        texts = [part[number] if number < len(part) else "" for part in parts]
        aligned = [
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        lines.append(GAP.join(aligned).rstrip())
    return lines

"""What can not be read: how it is told, and how it is left out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gansampler.exceptions import GANSamplerWarning, ImageFileError
from gansampler.images._lazy import LazyImages

__all__ = ["DICOM", "Offender", "check_choice", "describe", "leave_out"]

MOST_NAMED = 10
DICOM = "a DICOM file"

# Row, path (None where there is none) and reason.
Offender = tuple[int, str | None, str]


class Reader(Protocol):
    """What reads images by position, and knows their rows in the user's input."""

    rows: np.ndarray

    def __len__(self) -> int: ...

    def path(self, position: int) -> str | None: ...


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {list(choices)}. Got {value!r}. Pass "
            f"{name}={choices[0]!r}."
        )


def describe(offenders: Sequence[Offender]) -> str:
    """Return the first rows of a list with their reasons, and how many more."""
    named = "; ".join(
        f"row {row}{f' ({path})' if path else ''}: {reason}"
        for row, path, reason in offenders[:MOST_NAMED]
    )
    more = len(offenders) - MOST_NAMED
    text = named + (f"; and {more} more" if more > 0 else "")
    if any(reason == DICOM for _, _, reason in offenders):
        text += (
            ". DICOM is not read: convert it to PNG before, with dcmj2pnm of DCMTK or "
            "with pydicom, which also apply its window and photometric interpretation"
        )
    return text


def leave_out(
    lazy: LazyImages, reader: Reader, skipped: list[Offender]
) -> np.ndarray | None:
    """Read everything once, and leave out, with a warning, what can not be read.

    Parameters
    ----------
    lazy : LazyImages
    reader : Reader
        Behind `lazy`.
    skipped : list of Offender
        What the reader has left out already; grows.

    Returns
    -------
    positions : ndarray of int or None
        Those that can be read; None means all.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    failures = lazy.failures()
    n_rows = len(reader) + len(skipped)
    for position, error in failures.items():
        # The cause of an error of ours says it without row and path.
        cause = error.__cause__ if isinstance(error, ImageFileError) else None
        row = int(reader.rows[position])
        skipped.append((row, reader.path(position), f"damaged: {cause or error}"))
    skipped.sort()
    if not skipped:
        return None
    found = f"{len(skipped)} of {n_rows} images can not be read: {describe(skipped)}."
    if len(skipped) == n_rows:
        raise ValueError(f"At least one image must be left, but {found} Correct these.")
    warnings.warn(
        f"{found} They are left out, with their labels.",
        GANSamplerWarning,
        stacklevel=3,
    )
    return np.setdiff1d(np.arange(len(reader)), list(failures)) if failures else None

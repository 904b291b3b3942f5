"""Names for the files of synthetic images that every file system takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

__all__ = ["file_name", "folder_names"]

MOST_CHARACTERS = 40
# Names of devices on Windows, with any ending.
RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
}


def _slug(text: object) -> str:
    """Return a text in letters, digits, dots, dashes and underscores."""
    plain = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore").decode()
    # Windows drops dots at the end of a name, and Unix hides names that begin with one.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain)[:MOST_CHARACTERS].strip("-.")


def folder_names(labels: Iterable[object]) -> dict:
    """Name a folder for each label, no two of them alike.

    Names that differ in upper and lower case alone would be one folder on some
    systems, and so would labels of which nothing is left in ASCII.

    Parameters
    ----------
    labels : iterable of hashable
        In a fixed order, from which the names follow.

    Returns
    -------
    names : dict of label -> str
    """
    names: dict = {}
    taken: set[str] = set()
    for label in labels:
        stem = _slug(label) or "class"
        if stem.split(".")[0].lower() in RESERVED:
            stem = f"class-{stem}"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names[label] = name
    return names


def file_name(folder: str, number: int, parent: str | None, row: int, end: str) -> str:
    """Name a synthetic image by its class, its number and its parent.

    Parameters
    ----------
    folder : str
        Name of the class's folder.
    number : int
        Of the image among those made for its class.
    parent : str or None
        Path of the parent, where it has one.
    row : int
        Row of the parent.
    end : str
        ``"png"`` or ``"jpg"``.
    """
    stem = _slug(PurePath(parent).stem) if parent is not None else ""
    return f"{folder}_{number:06d}_from_{stem or f'row-{row}'}.{end}"

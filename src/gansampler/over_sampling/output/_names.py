"""Names of the files and folders in an output folder, valid on every file system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

JOURNAL = ".gansampler.jsonl"
LOCK = ".gansampler.lock"
MANIFEST_CSV = "manifest.csv"
MANIFEST_JSON = "manifest.json"
REJECTED_CSV = "rejected.csv"

MAX_CHARACTERS = 40
TAKEN = {JOURNAL, LOCK, MANIFEST_CSV, MANIFEST_JSON, REJECTED_CSV}
# Names of devices on Windows, with any suffix.
DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
}


def _slug(text: object) -> str:
    """Return a text in ASCII letters, digits, dots, dashes and underscores."""
    ascii_text = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore")
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_text.decode())
    # Windows drops dots at the end of a name. Unix hides names that begin with a dot.
    return slug[:MAX_CHARACTERS].strip("-.")


def folder_names(labels: Iterable[object]) -> dict:
    """Return a folder name for each label; all of them differ.

    Upper and lower case are one name on some systems. Labels without ASCII characters
    are numbered.

    Parameters
    ----------
    labels : iterable of hashable
        Their order decides the names.

    Returns
    -------
    names : dict of label -> str
    """
    names: dict = {}
    taken: set[str] = set()
    for label in labels:
        stem = _slug(label) or "class"
        if stem.lower() in TAKEN or stem.split(".")[0].lower() in DEVICES:
            stem = f"class-{stem}"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names[label] = name
    return names


def file_name(folder: str, number: int, parent: str | None, row: int, end: str) -> str:
    """Return the file name of a synthetic image: class, number and parent.

    Parameters
    ----------
    folder : str
        Name of the folder of the class.
    number : int
        Number of the image among those of its class.
    parent : str or None
        Path of the parent; None if it has no file.
    row : int
        Row of the parent.
    end : str
        ``"png"`` or ``"jpg"``.
    """
    stem = _slug(PurePath(parent).stem) if parent is not None else ""
    return f"{folder}_{number:06d}_from_{stem or f'row-{row}'}.{end}"

"""What is in an output folder: settings first, then a line for each chunk written.

The journal makes a stopped run one that can be continued. It grows by whole lines; a
last line that a killed process left unfinished is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gansampler._validation import to_python_scalar
from gansampler.over_sampling._disk import explained, replace_file

__all__ = ["Journal", "fingerprint", "to_json"]

JOURNAL = ".gansampler.jsonl"


def to_json(value: object) -> Any:
    """Return a parameter or a label in the form that JSON holds.

    Arrays become a digest. Of other objects only the kind is kept.
    """
    value = to_python_scalar(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        # Strings as they are, whatever width the array holds them in.
        data = value.tolist() if value.dtype.kind in "OUT" else value.tobytes()
        return hashlib.blake2b(repr(data).encode(), digest_size=16).hexdigest()
    if isinstance(value, dict):
        return {
            str(to_python_scalar(key)): to_json(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return getattr(value, "__name__", type(value).__name__)


def fingerprint(settings: dict[str, Any]) -> str:
    """Return a short name for settings in the form of JSON."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class Journal:
    """The journal of one output folder.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    path : Path
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL

    def begin(self, header: dict[str, Any]) -> None:
        """Make the journal of a new run."""
        replace_file(self.path, [json.dumps(header) + "\n"])

    def header(self) -> dict[str, Any] | None:
        """Return what the journal was begun with, or None where there is none."""
        if not self.path.exists():
            return None
        with self.path.open(encoding="utf-8") as file:
            return json.loads(file.readline())

    def records(self, folder: str) -> Iterator[dict[str, Any]]:
        """Yield what was added for a class folder, in the order of writing."""
        with self.path.open(encoding="utf-8") as file:
            file.readline()
            for line in file:
                if line.endswith("\n"):
                    record = json.loads(line)
                    if record["folder"] == folder:
                        yield record

    def chunks(self, folder: str) -> dict[int, dict[str, Any]]:
        """Return the chunks of a class folder by their start, in order.

        Of a chunk that was written anew the last record counts.
        """
        records = (record for record in self.records(folder) if "images" in record)
        return dict(sorted((record["start"], record) for record in records))

    def append(self, record: dict[str, Any]) -> None:
        """Add a record, after cutting off what is no whole line."""
        with explained(self.path), self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                end = file.read().rfind(b"\n") + 1
                file.truncate(end)
            file.seek(end)
            file.write(json.dumps(record).encode() + b"\n")

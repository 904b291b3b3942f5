"""The journal of an output folder, by which a stopped run can be resumed.

The first line holds the settings of the run. Each further line is an entry: the
translator of a class, or a chunk of images that was written. A further translator of a
class replaces the one before and its images, because its training went on. The journal
grows by whole lines. A last line that is cut off, because the process was killed, is
removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gansampler.over_sampling.output._disk import explain_write_errors, write_file
from gansampler.over_sampling.output._names import JOURNAL


class ImageEntry(NamedTuple):
    """One synthetic image in a file.

    Attributes
    ----------
    path : str
        Path of the file, relative to the output folder.
    parent : str or None
        Path of the parent; None if it has no file.
    parent_row : int
        Row of the parent.
    digest : str
        Hash of the pixels, to find equal images.
    checksum : str
        Hash of the file, to find damaged files.
    score : float or None
        Realism score of the image; None without a discriminator.
    context, context_row : str or None, int or None
        Path and row of the second parent of a mixture.
    share : float or None
        Share of the first parent in a mixture.
    """

    path: str
    parent: str | None
    parent_row: int
    digest: str
    checksum: str
    score: float | None
    context: str | None = None
    context_row: int | None = None
    share: float | None = None


class TranslatorEntry(NamedTuple):
    """The fitted translator of the images of a class.

    Attributes
    ----------
    folder : str
        Name of the class folder.
    translator : str
        Name of the translator, with a hash of a translation.
    finished : bool
        Whether its training came to its end.
    n_epochs : int or None
        Parameter of the translator, if it has one.
    """

    folder: str
    translator: str
    finished: bool
    n_epochs: int | None


class ChunkEntry(NamedTuple):
    """A chunk of images of a class, all of them written."""

    folder: str
    start: int
    images: list[ImageEntry]


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
        """Write the journal of a new run."""
        write_file(self.path, [json.dumps(header).encode() + b"\n"])

    def header(self) -> dict[str, Any] | None:
        """Return the header of the run; None if there is no journal."""
        if not self.path.exists():
            return None
        with self.path.open(encoding="utf-8") as file:
            return json.loads(file.readline())

    def translator(self, folder: str) -> TranslatorEntry | None:
        """Return the latest translator of a class; None before the first one."""
        found = None
        for entry in self._entries(folder):
            if isinstance(entry, TranslatorEntry):
                found = entry
        return found

    def chunks(self, folder: str) -> dict[int, ChunkEntry]:
        """Return the chunks of the latest translator of a class by their start.

        They are in order. The last entry counts if a chunk was written twice.
        """
        chunks: dict[int, ChunkEntry] = {}
        for entry in self._entries(folder):
            if isinstance(entry, ChunkEntry):
                chunks[entry.start] = entry
            else:
                chunks.clear()
        return dict(sorted(chunks.items()))

    def _entries(self, folder: str) -> Iterator[TranslatorEntry | ChunkEntry]:
        """Yield the entries of a class, in the order of writing."""
        with self.path.open(encoding="utf-8") as file:
            file.readline()
            for line in file:
                entry = json.loads(line) if line.endswith("\n") else {}
                if entry.get("folder") != folder:
                    continue
                if "translator" in entry:
                    yield TranslatorEntry(**entry)
                else:
                    images = [ImageEntry(*image) for image in entry["images"]]
                    yield ChunkEntry(folder, entry["start"], images)

    def append(self, entry: TranslatorEntry | ChunkEntry) -> None:
        """Append an entry, after removing a line that is cut off."""
        with explain_write_errors(self.path), self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                end = file.read().rfind(b"\n") + 1
                file.truncate(end)
            file.seek(end)
            file.write(json.dumps(entry._asdict()).encode() + b"\n")

"""A folder of synthetic images: written one by one, continued, never mixed.

Each class has a folder of its own; beside these are ``manifest.csv`` and
``manifest.json``, written when all images are there, and a journal. What is whole is
known by its bytes: a run that continues another makes the missing chunks again, and
writes those files only that are not there as they should be.

Two processes that make the same call write in turns, class by class: a lock, which the
system lifts if its holder dies, lets one wait, and it then finds the files whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import filelock

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import count_threads
from gansampler.over_sampling._disk import (
    checksum,
    checksum_of_file,
    explained,
    make_writable,
    refuse_source_folders,
    remove_leftovers,
    visible_files,
    write_image,
)
from gansampler.over_sampling._encoding import ENDINGS, encode
from gansampler.over_sampling._generation import Chunk
from gansampler.over_sampling._journal import Journal, fingerprint
from gansampler.over_sampling._manifest import write_manifest
from gansampler.over_sampling._names import file_name

__all__ = ["OutputFolder", "Parents"]

LOCK = ".gansampler.lock"
# For each image of a class the path of its parent, or None, and its row.
Parents = list[tuple[str | None, int]]


class OutputFolder:
    """Where one call of the sampler writes its images, or has begun to.

    Parameters
    ----------
    output_dir : path-like
        ``"{run}"`` in it becomes the run's fingerprint.
    output_format : {"png", "jpeg"}
    settings : dict
        What the images follow from, as JSON holds it. A folder takes one run.
    classes : dict of str -> dict
        For each class folder the ``label``, ``n_new`` and ``seed``. No part of the
        fingerprint: a run that continues another takes over its seeds.

    Attributes
    ----------
    path : Path
    classes : dict of str -> dict
        As given; after :meth:`open` those that the run was begun with.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        output_format: str,
        settings: dict[str, Any],
        classes: dict[str, dict[str, Any]],
    ) -> None:
        self.run = fingerprint(settings)
        self.path = Path(os.fspath(output_dir).replace("{run}", self.run)).expanduser()
        self.output_format = output_format
        self.settings = settings
        self.classes = classes
        self._journal = Journal(self.path)
        self._lock = filelock.FileLock(self.path / LOCK)

    def open(self, source_folders: Iterable[str], bytes_an_image: int) -> None:
        """Make the folder, or find the run that is to be continued in it.

        Parameters
        ----------
        source_folders : iterable of str
            The folders that hold originals.
        bytes_an_image : int
            About how much room each image takes.

        Raises
        ------
        ValueError
            If the folder is or holds one of originals, or belongs to something else.
        OSError
            If it can not be written to, or if the images will not fit.
        """
        refuse_source_folders(self.path, source_folders)
        make_writable(self.path)
        if self._is_free():
            with self._locked():
                # Another process may have begun a run meanwhile.
                if self._is_free():
                    self._check_space(bytes_an_image)
                    self._journal.begin(
                        {"settings": self.settings, "classes": self.classes}
                    )
        self.classes = self._check_settings()["classes"]
        self._check_space(bytes_an_image)

    def _is_free(self) -> bool:
        """Whether a run can begin here; refuse what holds other files.

        A run that ended before it had made an image leaves the folder free.
        """
        header, files = self._journal.header(), visible_files(self.path)
        if header is None and files:
            raise ValueError(
                "`output_dir` must be empty, new, or hold an earlier run of the "
                f"sampler. {str(self.path)!r} holds {files[0]!r}, and no record of "
                "such a run. Pass another, or empty it."
            )
        return header is None or (header["settings"] != self.settings and not files)

    def _check_settings(self) -> dict[str, Any]:
        """Return what the journal begins with, if it is that of this run."""
        header = self._journal.header() or {"settings": {}}
        found = header["settings"]
        names = sorted(found.keys() | self.settings.keys())
        other = [name for name in names if found.get(name) != self.settings.get(name)]
        if other:
            raise ValueError(
                "`output_dir` holds the images of one run; the same data and "
                f"parameters continue it. {str(self.path)!r} holds those of another, "
                f"which differs in {', '.join(other)}. Pass another output_dir, delete "
                "that folder, or put {run} into the name, as in "
                "output_dir='synthetic/{run}': each run then has a folder of its own, "
                "as cross-validation needs it."
            )
        return header

    def _check_space(self, bytes_an_image: int) -> None:
        n_missing = sum(described["n_new"] for described in self.classes.values())
        n_missing -= self._count_written()
        needed = n_missing * bytes_an_image
        free = shutil.disk_usage(self.path).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"The synthetic images must fit on the disk. {n_missing} files of "
                f"about {bytes_an_image / 1e3:.0f} kB need {needed / 1e6:.1f} MB; "
                f"{str(self.path)!r} has {free / 1e6:.1f} MB free. Make space, pass "
                "another output_dir or output_format='jpeg', or ask for fewer.",
            )

    def _count_written(self) -> int:
        if not visible_files(self.path):
            return 0
        return sum(
            len(record["images"])
            for folder in self.classes
            for record in self._journal.chunks(folder).values()
        )

    def is_begun(self) -> bool:
        """Whether a translator has made images here that are to be continued."""
        return any(next(self._journal.records(name), None) for name in self.classes)

    def names(self, folder: str, parents: Parents) -> list[str]:
        """Return the paths of the images of a class, below the output folder."""
        end = ENDINGS[self.output_format]
        return [
            f"{folder}/{file_name(folder, number, parent, row, end)}"
            for number, (parent, row) in enumerate(parents)
        ]

    def write(
        self,
        folder: str,
        translator: str,
        parents: Parents,
        make: Callable[[dict[int, list[bytes]]], Iterable[Chunk]],
    ) -> None:
        """Write the images of a class, or those that are missing.

        Parameters
        ----------
        folder : str
            A key of `classes`.
        translator : str
            Name of the fitted translator, by which another one is recognised.
        parents : list of (str or None, int)
        make : callable
            From the chunks that are whole, as start -> digests, to the others.

        Raises
        ------
        ValueError
            If another translator has begun.
        OSError
            If a file can not be written.
        """
        names = self.names(folder, parents)
        with self._locked():
            # While this one trained, another may have begun here.
            self._check_settings()
            self._check_translator(folder, translator)
            with explained(self.path / folder):
                (self.path / folder).mkdir(exist_ok=True)
            remove_leftovers(self.path)
            remove_leftovers(self.path / folder)
            known = self._journal.chunks(folder)
            whole = {
                start: [bytes.fromhex(image[3]) for image in record["images"]]
                for start, record in known.items()
                if self._is_whole(record)
            }
            for chunk in make(whole):
                record = self._write_chunk(folder, chunk, names, parents)
                if record != known.get(chunk.start):
                    self._journal.append(record)

    def finish(self) -> None:
        """Write the manifest."""
        with self._locked():
            header = {"classes": self.classes}
            write_manifest(self.path, header, self.run)

    def _write_chunk(
        self, folder: str, chunk: Chunk, names: list[str], parents: Parents
    ) -> dict[str, Any]:
        images = []
        scores = [None] * len(chunk.samples) if chunk.scores is None else chunk.scores
        with ThreadPoolExecutor(count_threads()) as pool:
            encoded = pool.map(partial(encode, self.output_format), chunk.samples)
            made = zip(encoded, chunk.digests, scores, strict=True)
            for number, (data, digest, score) in enumerate(made, start=chunk.start):
                path = self.path / names[number]
                if checksum_of_file(path) != checksum(data):
                    write_image(path, data)
                sums = [digest.hex(), checksum(data)]
                images.append([names[number], *parents[number], *sums, score])
        return {"folder": folder, "start": chunk.start, "images": images}

    def _is_whole(self, record: dict[str, Any]) -> bool:
        return all(
            checksum_of_file(self.path / name) == known
            for name, _, _, _, known, _ in record["images"]
        )

    def _check_translator(self, folder: str, translator: str) -> None:
        first = next(self._journal.records(folder), None)
        if first is None:
            self._journal.append({"folder": folder, "translator": translator})
        elif first["translator"] != translator:
            raise ValueError(
                "A run is continued with the translators that began it. The images in "
                f"{str(self.path / folder)!r} are by {first['translator']}; this one "
                f"is {translator}. Pass the same one with prefit=True; or another "
                "output_dir to begin again."
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            warnings.warn(
                f"Another process is writing to {str(self.path)!r}. This one waits "
                "for it.",
                GANSamplerWarning,
                stacklevel=2,
            )
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

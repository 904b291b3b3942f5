"""The output folder of one run: this file decides where images are written.

Each class has a folder. Beside the class folders are ``manifest.csv`` and
``manifest.json``, which are written when all images exist, and the journal. Files are
compared by their bytes: a run that resumes another generates the missing chunks, and
writes only the files that are missing or damaged.

Two processes that make the same call take turns, class by class. The second one waits
for a lock and then finds the files written. The system releases the lock if its owner
dies.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import count_threads
from gansampler.over_sampling._generation import Chunk
from gansampler.over_sampling.output._disk import (
    checksum,
    checksum_of_file,
    explain_write_errors,
    make_writable,
    refuse_source_folders,
    remove_temporary_files,
    visible_files,
    write_image,
)
from gansampler.over_sampling.output._encoding import SUFFIXES, encode
from gansampler.over_sampling.output._journal import (
    ChunkEntry,
    ImageEntry,
    Journal,
    TranslatorEntry,
)
from gansampler.over_sampling.output._manifest import write_manifest
from gansampler.over_sampling.output._names import LOCK, file_name
from gansampler.over_sampling.output._settings import fingerprint

__all__ = ["ClassFolder", "OutputFolder", "Parent"]


class Parent(NamedTuple):
    """The source of a synthetic image: its path, if it has a file, and its row."""

    path: str | None
    row: int


class OutputFolder:
    """The folder to which one call of the sampler writes its images.

    Parameters
    ----------
    output_dir : path-like
        ``"{run}"`` in it is replaced by the fingerprint of the run.
    output_format : {"png", "jpeg"}
    settings : dict
        JSON-able settings of the run. A folder takes the images of one run.
    classes : dict of str -> dict
        The ``label``, ``n_new`` and ``seed`` of each class folder. They are no part of
        the fingerprint: a run that resumes another uses the seeds of that run.

    Attributes
    ----------
    path : Path
    classes : dict of str -> dict
        After :meth:`open`, those of the run that is resumed.
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
        self.journal = Journal(self.path)
        self._lock = filelock.FileLock(self.path / LOCK)

    def open(self, source_folders: Iterable[str], bytes_per_image: int) -> None:
        """Begin a run in the folder, or find the run that is to be resumed.

        Parameters
        ----------
        source_folders : iterable of str
            The folders of the originals.
        bytes_per_image : int
            Estimated size of a file.

        Raises
        ------
        ValueError
            If the folder is a folder of originals, or contains other files.
        OSError
            If it cannot be written to, or if the images will not fit on the disk.
        """
        refuse_source_folders(self.path, source_folders)
        make_writable(self.path)
        if self._is_free():
            with self._locked():
                # Another process may have begun a run since.
                if self._is_free():
                    self._check_space(bytes_per_image)
                    self.journal.begin(
                        {"settings": self.settings, "classes": self.classes}
                    )
        self.classes = self._check_settings()["classes"]
        self._check_space(bytes_per_image)

    def _is_free(self) -> bool:
        """Whether a run can begin here; refuse a folder with other files.

        A run that ended before its first image leaves the folder free.
        """
        header, files = self.journal.header(), visible_files(self.path)
        if header is None and files:
            raise ValueError(
                "`output_dir` must be empty, new, or contain an earlier run of the "
                f"sampler. {str(self.path)!r} contains {files[0]!r}, and no record of "
                "such a run. Pass another, or empty it."
            )
        return header is None or (header["settings"] != self.settings and not files)

    def _check_settings(self) -> dict[str, Any]:
        """Return the header of the journal; refuse that of another run."""
        header = self.journal.header() or {"settings": {}}
        found = header["settings"]
        names = sorted(found.keys() | self.settings.keys())
        other = [name for name in names if found.get(name) != self.settings.get(name)]
        if other:
            raise ValueError(
                "`output_dir` takes the images of one run. The same data and "
                f"parameters resume it. {str(self.path)!r} contains another run, "
                f"which differs in {', '.join(other)}. Pass another output_dir, delete "
                "that folder, or put {run} into the name, as in "
                "output_dir='synthetic/{run}': then each run has a separate folder, "
                "which cross-validation needs."
            )
        return header

    def _check_space(self, bytes_per_image: int) -> None:
        n_missing = sum(described["n_new"] for described in self.classes.values())
        n_missing -= self._count_written()
        needed = n_missing * bytes_per_image
        free = shutil.disk_usage(self.path).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"The synthetic images must fit on the disk. {n_missing} files of "
                f"about {bytes_per_image / 1e3:.0f} kB need {needed / 1e6:.1f} MB; "
                f"{str(self.path)!r} has {free / 1e6:.1f} MB free. Make space, pass "
                "another output_dir or output_format='jpeg', or ask for fewer.",
            )

    def _count_written(self) -> int:
        if not visible_files(self.path):
            return 0
        return sum(
            len(chunk.images)
            for folder in self.classes
            for chunk in self.journal.chunks(folder).values()
        )

    def is_begun(self) -> bool:
        """Whether a translator has begun to write images here."""
        return any(self.journal.translator(folder) for folder in self.classes)

    def names(self, folder: str, parents: Sequence[Parent]) -> list[str]:
        """Return the paths of the images of a class, relative to the output folder."""
        suffix = SUFFIXES[self.output_format]
        return [
            f"{folder}/{file_name(folder, number, parent.path, parent.row, suffix)}"
            for number, parent in enumerate(parents)
        ]

    @contextmanager
    def open_class(
        self, folder: str, translator: str, parents: Sequence[Parent]
    ) -> Iterator[ClassFolder]:
        """Lock the output folder, to write the images of a class that are missing.

        Parameters
        ----------
        folder : str
            A key of `classes`.
        translator : str
            Name of the fitted translator, to recognise another one.
        parents : sequence of Parent
            The parent of each image.

        Yields
        ------
        class_folder : ClassFolder

        Raises
        ------
        ValueError
            If another translator began the class.
        OSError
            If a file cannot be written.
        """
        with self._locked():
            # Another process may have begun a run during the training.
            self._check_settings()
            self._check_translator(folder, translator)
            with explain_write_errors(self.path / folder):
                (self.path / folder).mkdir(exist_ok=True)
            remove_temporary_files(self.path)
            remove_temporary_files(self.path / folder)
            yield ClassFolder(self, folder, parents)

    def _check_translator(self, folder: str, translator: str) -> None:
        first = self.journal.translator(folder)
        if first is None:
            self.journal.append(TranslatorEntry(folder, translator))
        elif first != translator:
            raise ValueError(
                "A run is resumed with the translators that began it. The images in "
                f"{str(self.path / folder)!r} are by {first}; this one is "
                f"{translator}. Pass the same one with prefit=True; or another "
                "output_dir to begin again."
            )

    def finish(self) -> None:
        """Write the manifest."""
        with self._locked():
            write_manifest(self.path, self.classes, self.run)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            warnings.warn(
                f"Another process is writing to {str(self.path)!r}. This process "
                "waits for it.",
                GANSamplerWarning,
                stacklevel=2,
            )
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


class ClassFolder:
    """The folder of one class, open for writing.

    Parameters
    ----------
    output : OutputFolder
        Locked.
    folder : str
        Name of the class folder.
    parents : sequence of Parent
        The parent of each image.

    Attributes
    ----------
    finished : dict of int -> list of bytes
        Digests of the chunks whose files are complete, by their start.
    """

    def __init__(
        self, output: OutputFolder, folder: str, parents: Sequence[Parent]
    ) -> None:
        self._output, self._folder, self._parents = output, folder, parents
        self._names = output.names(folder, parents)
        self._written = output.journal.chunks(folder)
        self.finished = {
            start: [bytes.fromhex(image.digest) for image in chunk.images]
            for start, chunk in self._written.items()
            if all(
                checksum_of_file(output.path / image.path) == image.checksum
                for image in chunk.images
            )
        }

    def put(self, chunk: Chunk, scores: Sequence[float | None]) -> None:
        """Write the images of a chunk, except the files that are complete already."""
        images = []
        with ThreadPoolExecutor(count_threads()) as pool:
            encode_image = partial(encode, self._output.output_format)
            encoded = pool.map(encode_image, chunk.samples)
            new = zip(encoded, chunk.digests, scores, strict=True)
            for number, (data, digest, score) in enumerate(new, start=chunk.start):
                name, parent = self._names[number], self._parents[number]
                path = self._output.path / name
                if checksum_of_file(path) != checksum(data):
                    write_image(path, data)
                images.append(
                    ImageEntry(name, *parent, digest.hex(), checksum(data), score)
                )
        entry = ChunkEntry(self._folder, chunk.start, images)
        if entry != self._written.get(chunk.start):
            self._output.journal.append(entry)

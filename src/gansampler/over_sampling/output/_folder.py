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
import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence, count_threads
from gansampler.over_sampling._generation import Chunk
from gansampler.over_sampling._plan import ClassPlan
from gansampler.over_sampling.output._disk import (
    checksum,
    checksum_of_file,
    explain_write_errors,
    make_writable,
    refuse_source_folders,
    remove_temporary_files,
    visible_files,
    write_file,
)
from gansampler.over_sampling.output._encoding import (
    SUFFIXES,
    check_channels,
    encode,
    estimate_bytes,
)
from gansampler.over_sampling.output._journal import (
    ChunkEntry,
    ImageEntry,
    Journal,
    TranslatorEntry,
)
from gansampler.over_sampling.output._manifest import write_manifest
from gansampler.over_sampling.output._names import LOCK, file_name, folder_names
from gansampler.over_sampling.output._settings import fingerprint, to_json
from gansampler.training import join_group, launched_from_outside


def is_first_process() -> bool:
    """Whether this process writes, of those that compute together."""
    return not launched_from_outside() or int(os.environ["RANK"]) == 0


def from_first_process(value: Any) -> Any:
    """Return the value of the first of the processes that compute together."""
    with join_group() as group:
        return group.from_first(value)


class FileOutput:
    """The files of the synthetic images of one call of the sampler.

    The first of several processes that compute together writes them.

    Parameters
    ----------
    output_dir : path-like
        ``"{run}"`` in it is replaced by the fingerprint of the run.
    output_format : {"png", "jpeg"}
    settings : dict
        JSON-able settings of the run. A folder takes the images of one run.
    images : ImageSequence
        The originals.
    plan : sequence of ClassPlan

    Attributes
    ----------
    path : Path
        The output folder.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        output_format: str,
        settings: dict[str, Any],
        images: ImageSequence,
        plan: Sequence[ClassPlan],
    ) -> None:
        check_channels(images.n_channels, output_format)
        self._run = fingerprint(settings)
        self.path = Path(os.fspath(output_dir).replace("{run}", self._run)).expanduser()
        self._format, self._settings, self._images = output_format, settings, images
        self._names = folder_names(grown.label for grown in plan)
        # No part of the settings: a run that resumes another uses the seeds of that.
        self._classes: dict[str, dict[str, Any]] = {
            self._names[label]: {"label": to_json(label), "n_new": int(n), "seed": seed}
            for label, n, *_, seed in plan
        }
        self._journal = Journal(self.path)
        self._lock = filelock.FileLock(self.path / LOCK)
        self._paths: list[str] = []

    def open(self) -> None:
        """Begin a run in the folder, or find the run that is to be resumed.

        Raises
        ------
        ValueError
            If the folder is a folder of originals, or contains other files.
        OSError
            If it cannot be written to, or if the images will not fit on the disk.
        """
        if not is_first_process():
            return
        paths = () if self._images.paths is None else self._images.paths
        refuse_source_folders(self.path, {str(Path(path).parent) for path in paths})
        make_writable(self.path)
        bytes_per_image = estimate_bytes(self._images, self._format)
        if self._is_free():
            with self._locked():
                # Another process may have begun a run since.
                if self._is_free():
                    self._check_space(bytes_per_image)
                    header = {"settings": self._settings, "classes": self._classes}
                    self._journal.begin(header)
        self._classes = self._check_settings()["classes"]
        self._check_space(bytes_per_image)

    def _is_free(self) -> bool:
        """Whether a run can begin here; refuse a folder with other files.

        A run that ended before its first image leaves the folder free.
        """
        header, files = self._journal.header(), visible_files(self.path)
        if header is None and files:
            raise ValueError(
                "`output_dir` must be empty, new, or contain an earlier run of the "
                f"sampler. {str(self.path)!r} contains {files[0]!r}, and no record of "
                "such a run. Pass another, or empty it."
            )
        return header is None or (header["settings"] != self._settings and not files)

    def _check_settings(self) -> dict[str, Any]:
        """Return the header of the journal; refuse that of another run."""
        header = self._journal.header() or {"settings": {}}
        found = header["settings"]
        names = sorted(found.keys() | self._settings.keys())
        other = [name for name in names if found.get(name) != self._settings.get(name)]
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
        n_missing = sum(described["n_new"] for described in self._classes.values())
        if visible_files(self.path):
            for name in self._classes:
                chunks = self._journal.chunks(name).values()
                n_missing -= sum(len(chunk.images) for chunk in chunks)
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

    def is_begun(self) -> bool:
        """Whether a translator has begun to write images; in the first process."""
        return is_first_process() and any(map(self._journal.translator, self._classes))

    def seed(self, label: object) -> int:
        """Return the seed of a class; that of the run that is resumed, if any."""
        return from_first_process(self._classes[self._names[label]]["seed"])

    @contextmanager
    def open_class(
        self, label: object, translator: Any, parents: np.ndarray
    ) -> Iterator[ClassFiles]:
        """Lock the folder, to write the images of a class that are missing.

        Parameters
        ----------
        label : object
        translator : BaseTranslator
            Fitted.
        parents : ndarray of int of shape (n_new,)
            Position of each parent among the originals.

        Yields
        ------
        class_files : ClassFiles

        Raises
        ------
        ValueError
            If another translator began the class.
        OSError
            If a file cannot be written.
        """
        files = ClassFiles(self.path, self._names[label], self._format, translator)
        files.name_images(self._images, parents)
        identity = _identity(translator, self._images)
        if is_first_process():
            with self._locked():
                # Another process may have begun a run during the training.
                self._check_settings()
                files.open(self._journal, identity)
                from_first_process(files.finished)
                yield files
        else:
            files.finished = from_first_process(None)
            yield files
        self._paths += [str(self.path / name) for name in files.names]

    def finish(self) -> list[str]:
        """Write the manifest; return the paths when all processes can read the files.

        Returns
        -------
        paths : list of str
            In the order of the classes.
        """
        if is_first_process():
            with self._locked():
                write_manifest(self.path, self._classes, self._run)
        from_first_process(None)
        return self._paths

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


class ClassFiles:
    """The files of one class. Only the first process has the journal, and writes.

    Parameters
    ----------
    path : Path
        The output folder.
    folder : str
        Name of the class folder.
    output_format : {"png", "jpeg"}
    translator : BaseTranslator
        Fitted.

    Attributes
    ----------
    names : list of str
        Paths of the images, relative to the output folder.
    finished : dict of int -> list of bytes
        Digests of the chunks whose files are complete, by their start.
    """

    names: list[str]
    finished: dict[int, list[bytes]]

    def __init__(
        self, path: Path, folder: str, output_format: str, translator: Any
    ) -> None:
        self._path, self._folder, self._format = path, folder, output_format
        self._translator = translator
        self._journal: Journal | None = None

    def name_images(self, images: ImageSequence, parents: np.ndarray) -> None:
        """Name the images by their parents, which are positions in `images`."""
        rows, paths = images.rows[parents].tolist(), images.paths
        known = [None] * len(rows) if paths is None else paths[parents].tolist()
        self._parents = list(zip(known, rows, strict=True))
        suffix = SUFFIXES[self._format]
        self.names = [
            f"{self._folder}/{file_name(self._folder, number, *parent, suffix)}"
            for number, parent in enumerate(self._parents)
        ]

    def open(self, journal: Journal, translator: str) -> None:
        """Prepare the class folder for writing, and find the finished chunks."""
        class_path, first = self._path / self._folder, journal.translator(self._folder)
        if first is None:
            journal.append(TranslatorEntry(self._folder, translator))
        elif first != translator:
            raise ValueError(
                "A run is resumed with the translators that began it. The images in "
                f"{str(class_path)!r} are by {first}; this one is {translator}. Pass "
                "the same one with prefit=True; or another output_dir to begin again."
            )
        with explain_write_errors(class_path):
            class_path.mkdir(exist_ok=True)
        remove_temporary_files(self._path)
        remove_temporary_files(class_path)
        self._journal, self._written = journal, journal.chunks(self._folder)
        self.finished = {
            start: [bytes.fromhex(image.digest) for image in chunk.images]
            for start, chunk in self._written.items()
            if all(
                checksum_of_file(self._path / image.path) == image.checksum
                for image in chunk.images
            )
        }

    def put(self, chunk: Chunk) -> None:
        """Score and write the images of a chunk; all processes compute the scores."""
        scores: list[float | None] = [None] * len(chunk.samples)
        if hasattr(self._translator, "realism_score"):
            computed = self._translator.realism_score(chunk.samples)
            scores = [round(float(score), 6) for score in computed]
        if self._journal is None:
            return
        images = []
        with ThreadPoolExecutor(count_threads()) as pool:
            encoded = pool.map(partial(encode, self._format), chunk.samples)
            new = zip(encoded, chunk.digests, scores, strict=True)
            for number, (data, digest, score) in enumerate(new, start=chunk.start):
                name, parent = self.names[number], self._parents[number]
                write_file(self._path / name, [data])
                sums = digest.hex(), checksum(data)
                images.append(ImageEntry(name, *parent, *sums, score))
        entry = ChunkEntry(self._folder, chunk.start, images)
        if entry != self._written.get(chunk.start):
            self._journal.append(entry)


def _identity(translator: Any, images: ImageSequence) -> str:
    """Return a name of a fitted translator: its class, and a hash of a translation."""
    translated = translator.translate(images.take([0]))
    digest = hashlib.blake2b(translated.tobytes(), digest_size=4).hexdigest()
    return f"{type(translator).__name__}-{digest}"

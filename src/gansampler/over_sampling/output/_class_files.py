"""The image files of one class in an output folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gansampler.images import ImageSequence, count_threads
from gansampler.over_sampling._samples import Chunk, ClassSamples
from gansampler.over_sampling.output._disk import (
    checksum,
    checksum_of_file,
    explain_write_errors,
    remove_temporary_files,
    write_file,
)
from gansampler.over_sampling.output._encoding import SUFFIXES, encode
from gansampler.over_sampling.output._journal import (
    ChunkEntry,
    ImageEntry,
    Journal,
    TranslatorEntry,
)
from gansampler.over_sampling.output._names import (
    MANIFEST_CSV,
    MANIFEST_JSON,
    REJECTED_CSV,
    file_name,
)


class ClassFiles:
    """The files of one class. Only the first process has the journal, and writes.

    Parameters
    ----------
    path : Path
        The output folder.
    folder : str
        Name of the class folder.
    output_format : {"png", "jpeg"}
    images : ImageSequence
        The originals.
    samples : ClassSamples
        The samples, whose parents are positions in `images`.

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
        self,
        path: Path,
        folder: str,
        output_format: str,
        images: ImageSequence,
        samples: ClassSamples,
    ) -> None:
        self._path, self._folder, self._format = path, folder, output_format
        self._samples = samples
        self._journal: Journal | None = None
        self._parents = _sources_of(images, samples.parents)
        self._contexts: list[tuple[Any, ...]] = [()] * samples.n_new
        mixed_with = samples.mixed_with()
        if mixed_with is not None:
            contexts, shares = mixed_with
            self._contexts = [
                (*context, round(float(share), 6))
                for context, share in zip(
                    _sources_of(images, contexts), shares, strict=True
                )
            ]
        suffix = SUFFIXES[output_format]
        self.names = [
            f"{folder}/{file_name(folder, number, *parent, suffix)}"
            for number, parent in enumerate(self._parents)
        ]

    def open(self, journal: Journal, translator: TranslatorEntry) -> bool:
        """Prepare the class folder for writing, and find the finished chunks.

        Returns
        -------
        is_replaced : bool
            Whether there were images by another translator, which are removed.
        """
        class_path, earlier = (
            self._path / self._folder,
            journal.translator(self._folder),
        )
        is_other = earlier is None or earlier.translator != translator.translator
        is_replaced = is_other and earlier is not None
        if is_replaced:
            # They list the images that are to be removed.
            for name in (MANIFEST_CSV, MANIFEST_JSON, REJECTED_CSV):
                (self._path / name).unlink(missing_ok=True)
        if is_other:
            journal.append(translator)
        with explain_write_errors(class_path):
            class_path.mkdir(exist_ok=True)
            if is_replaced:
                # With filters, the parents and so the names may be others than now.
                for file in class_path.glob(f"{self._folder}_*_from_*"):
                    file.unlink()
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
        return is_replaced

    def put(self, chunk: Chunk) -> None:
        """Score and write the images of a chunk; all processes compute the scores."""
        scores = self._samples.scores(chunk.samples)
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
                context = self._contexts[number]
                images.append(ImageEntry(name, *parent, *sums, score, *context))
        entry = ChunkEntry(self._folder, chunk.start, images)
        if entry != self._written.get(chunk.start):
            self._journal.append(entry)


def _sources_of(
    images: ImageSequence, positions: np.ndarray
) -> list[tuple[str | None, int]]:
    """Return the path, or None without files, and the row of some originals."""
    rows, paths = images.rows[positions].tolist(), images.paths
    known = [None] * len(rows) if paths is None else paths[positions].tolist()
    return list(zip(known, rows, strict=True))

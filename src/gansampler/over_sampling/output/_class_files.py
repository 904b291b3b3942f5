"""The image files of one class in an output folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gansampler.images import ImageSequence, count_threads
from gansampler.over_sampling._generation import Chunk
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
            for name in (MANIFEST_CSV, MANIFEST_JSON):
                (self._path / name).unlink(missing_ok=True)
        if is_other:
            journal.append(translator)
        with explain_write_errors(class_path):
            class_path.mkdir(exist_ok=True)
            if is_replaced:
                for name in self.names:
                    (self._path / name).unlink(missing_ok=True)
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

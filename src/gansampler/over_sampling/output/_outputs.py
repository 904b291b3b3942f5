"""The two outputs of the sampler: an array in memory, and files in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gansampler.images import ImageSequence
from gansampler.over_sampling._generation import Chunk
from gansampler.over_sampling._plan import ClassPlan
from gansampler.over_sampling.output._encoding import check_channels, estimate_bytes
from gansampler.over_sampling.output._folder import ClassFolder, OutputFolder, Parent
from gansampler.over_sampling.output._names import folder_names
from gansampler.over_sampling.output._settings import (
    is_repeatable,
    run_settings,
    to_json,
)
from gansampler.training import join_group, launched_from_outside

__all__ = ["ArrayOutput", "FileOutput", "open_output"]


def _is_first_process() -> bool:
    return not launched_from_outside() or int(os.environ["RANK"]) == 0


def _from_first_process(value: Any) -> Any:
    """Return the value of the first of the processes that compute together."""
    with join_group() as group:
        return group.from_first(value)


class ArrayOutput:
    """An array that is filled in order.

    Parameters
    ----------
    images : ImageSequence
        The originals. They begin the array if they are an array themselves.
    plan : sequence of ClassPlan
    """

    def __init__(self, images: ImageSequence, plan: Sequence[ClassPlan]) -> None:
        self._start = len(images) if images.form == "array" else 0
        n_new = sum(grown.n_new for grown in plan)
        shape = (self._start + n_new, *images.sample_shape)
        self._samples = np.empty(shape, dtype=images.dtype)
        if self._start:
            self._samples[: self._start] = images.array
        self._seeds = {grown.label: grown.draw_seed for grown in plan}

    def seed(self, label: object) -> int:
        """Return the seed of a class."""
        return _from_first_process(self._seeds[label])

    @contextmanager
    def open_class(
        self, label: object, translator: Any, parents: np.ndarray
    ) -> Iterator[_ClassRows]:
        """Open the rows of a class, which follow those of the class before."""
        rows = self._samples[self._start : self._start + len(parents)]
        yield _ClassRows({}, rows)
        self._start += len(parents)

    def finish(self) -> np.ndarray:
        """Return the array."""
        return self._samples


class _ClassRows(NamedTuple):
    """The rows of one class in an array; no chunk of them is finished."""

    finished: dict[int, list[bytes]]
    rows: np.ndarray

    def put(self, chunk: Chunk) -> None:
        """Copy a chunk to its rows."""
        self.rows[chunk.start : chunk.start + len(chunk.samples)] = chunk.samples


class FileOutput:
    """Files in an output folder.

    The first of several processes that compute together writes them.

    Parameters
    ----------
    folder : OutputFolder
        Open, in the first process.
    names : mapping of label -> str
        The class folders.
    images : ImageSequence
        The originals.
    """

    def __init__(
        self, folder: OutputFolder, names: Mapping[Any, str], images: ImageSequence
    ) -> None:
        self._folder, self._names, self._images = folder, names, images
        self._written: list[str] = []

    def seed(self, label: object) -> int:
        """Return the seed of a class; that of the run that is resumed, if any."""
        return _from_first_process(self._folder.classes[self._names[label]]["seed"])

    @contextmanager
    def open_class(
        self, label: object, translator: Any, parents: np.ndarray
    ) -> Iterator[_ClassFiles]:
        """Open the folder of a class.

        Parameters
        ----------
        label : object
        translator : BaseTranslator
            Fitted.
        parents : ndarray of int of shape (n_new,)
            Position of each parent among the originals.
        """
        name, paths = self._names[label], self._images.paths
        known = [None] * len(parents) if paths is None else paths[parents].tolist()
        rows = self._images.rows[parents].tolist()
        entries = [Parent(*entry) for entry in zip(known, rows, strict=True)]
        identity = _identity(translator, self._images)
        with ExitStack() as stack:
            folder = None
            if _is_first_process():
                folder = stack.enter_context(
                    self._folder.open_class(name, identity, entries)
                )
            finished = _from_first_process(folder and folder.finished)
            yield _ClassFiles(finished, translator, folder)
        relative = self._folder.names(name, entries)
        self._written += [str(self._folder.path / path) for path in relative]

    def finish(self) -> list[str]:
        """Write the manifest; return the paths when all processes can read the files.

        Returns
        -------
        paths : list of str
            In the order of the classes.
        """
        if _is_first_process():
            self._folder.finish()
        _from_first_process(None)
        return self._written


class _ClassFiles(NamedTuple):
    """The files of one class; only the first process has the folder open."""

    finished: dict[int, list[bytes]]
    translator: Any
    folder: ClassFolder | None

    def put(self, chunk: Chunk) -> None:
        """Score and write the images of a chunk; all processes compute the scores."""
        scores: list[float | None] = [None] * len(chunk.samples)
        if hasattr(self.translator, "realism_score"):
            computed = self.translator.realism_score(chunk.samples)
            scores = [round(float(score), 6) for score in computed]
        if self.folder is not None:
            self.folder.put(chunk, scores)


def _identity(translator: Any, images: ImageSequence) -> str:
    """Return a name of a fitted translator: its class, and a hash of a translation."""
    translated = translator.translate(images.take([0]))
    digest = hashlib.blake2b(translated.tobytes(), digest_size=4).hexdigest()
    return f"{type(translator).__name__}-{digest}"


def open_output(
    output_dir: str | os.PathLike[str] | None,
    output_format: str,
    images: ImageSequence,
    y: np.ndarray,
    plan: Sequence[ClassPlan],
    *,
    translator: Any,
    prefit: bool,
    source: object,
    random_state: object,
) -> ArrayOutput | FileOutput:
    """Return where synthetic samples are stored, or refuse it before training.

    Parameters
    ----------
    output_dir : path-like or None
        None stores samples in an array.
    output_format : {"png", "jpeg"}
    images : ImageSequence
        The originals.
    y : ndarray of shape (n_samples,)
        Their labels.
    plan : sequence of ClassPlan
    translator, prefit, source, random_state : object
        The parameters of the sampler. They identify the run.
    """
    if output_dir is None:
        return ArrayOutput(images, plan)
    check_channels(images.n_channels, output_format)
    names = folder_names(grown.label for grown in plan)
    classes = {
        names[grown.label]: {
            "label": to_json(grown.label),
            "n_new": int(grown.n_new),
            "seed": grown.draw_seed,
        }
        for grown in plan
    }
    settings = run_settings(
        images,
        y,
        {grown.label: grown.n_new for grown in plan},
        translator=translator,
        prefit=prefit,
        source=source,
        output_format=output_format,
        random_state=random_state,
    )
    folder = OutputFolder(output_dir, output_format, settings, classes)
    if _is_first_process():
        paths = () if images.paths is None else images.paths
        source_folders = {str(Path(path).parent) for path in paths}
        folder.open(source_folders, estimate_bytes(images, output_format))
        if folder.is_begun() and not is_repeatable(
            translator, prefit=prefit, random_state=random_state
        ):
            raise ValueError(
                "A run is resumed with equal translators. A run has begun in "
                f"{str(folder.path)!r}, and with random_state=None a second training "
                "gives others. Pass another output_dir, or delete that one. To be able "
                "to resume, pass an integer as random_state, or a translator whose "
                "trainer has a `checkpoint_dir`."
            )
    return FileOutput(folder, names, images)

"""The two outputs of the sampler: an array in memory, and files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from gansampler.images import ImageSequence
from gansampler.over_sampling._plan import ClassPlan
from gansampler.over_sampling._samples import Chunk, ClassSamples
from gansampler.over_sampling.output._folder import FileOutput, from_first_process
from gansampler.over_sampling.output._settings import RunIdentity, run_settings


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
        return from_first_process(self._seeds[label])

    @contextmanager
    def open_class(self, label: object, samples: ClassSamples) -> Iterator[_ClassRows]:
        """Open the rows of a class, which follow those of the class before."""
        rows = self._samples[self._start : self._start + samples.n_new]
        yield _ClassRows({}, rows)
        self._start += samples.n_new

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


def open_output(
    output_dir: str | os.PathLike[str] | None,
    output_format: str,
    images: ImageSequence,
    y: np.ndarray,
    plan: Sequence[ClassPlan],
    *,
    run: RunIdentity,
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
    run : RunIdentity
        What the samples follow from, beside the data and the parameters below.
    source, random_state : object
        Parameters of the sampler.
    """
    if output_dir is None:
        return ArrayOutput(images, plan)
    settings = run_settings(
        images,
        y,
        plan,
        run=run,
        source=source,
        output_format=output_format,
        random_state=random_state,
    )
    output = FileOutput(
        output_dir,
        output_format,
        settings,
        images,
        plan,
        continues_training=run.continues_training,
    )
    output.open()
    if output.is_begun() and not run.is_repeatable:
        raise ValueError(
            "A run is resumed with equal translators. A run has begun in "
            f"{str(output.path)!r}, and with random_state=None a second training "
            "gives others. Pass another output_dir, or delete that one. To be able "
            "to resume, pass an integer as random_state, or a translator whose "
            "trainer has a `checkpoint_dir`."
        )
    return output

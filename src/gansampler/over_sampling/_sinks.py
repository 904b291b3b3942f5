"""Where synthetic samples go as they are made: into an array, or into files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gansampler._serialization import comparable_params
from gansampler._validation import to_python_scalar
from gansampler.images import ImageSequence
from gansampler.over_sampling._encoding import check_channels, estimate_bytes
from gansampler.over_sampling._folder import OutputFolder
from gansampler.over_sampling._generation import Chunk
from gansampler.over_sampling._journal import to_json
from gansampler.over_sampling._names import folder_names
from gansampler.training import join_group, launched_from_outside

if TYPE_CHECKING:
    from gansampler.over_sampling._gan import GANOverSampler

__all__ = [
    "ArraySink",
    "FileSink",
    "check_output_dir",
    "from_first_process",
    "open_file_sink",
]

# From the chunks that need not be made, by their start, to the others.
Make = Callable[[dict[int, list[bytes]]], Iterable[Chunk]]


def _is_first_process() -> bool:
    return not launched_from_outside() or int(os.environ["RANK"]) == 0


def from_first_process(value: Any) -> Any:
    """Return what the first process gives, in each of those that compute together."""
    with join_group() as group:
        return group.from_first(value)


class ArraySink:
    """Fills an array, in order.

    Parameters
    ----------
    out : ndarray of shape (n_new, ...)
    seeds : dict of label -> int
    """

    def __init__(self, out: np.ndarray, seeds: dict[Any, int]) -> None:
        self._out, self._seeds, self._start = out, seeds, 0

    def seed(self, label: object) -> int:
        """Return the class's seed."""
        return self._seeds[label]

    def put(self, label: object, translator: Any, rows: np.ndarray, make: Make) -> None:
        """Put the samples behind those of the classes before."""
        for chunk in make({}):
            start = self._start + chunk.start
            self._out[start : start + len(chunk.samples)] = chunk.samples
        self._start += len(rows)

    def finish(self) -> None:
        """Leave the array as it is."""


class FileSink:
    """Writes files, or finds them written.

    Of several processes that compute together the first one writes.

    Parameters
    ----------
    folder : OutputFolder
        Open, in the process that writes.
    names : dict of label -> str
        The class folders.
    images : ImageSequence
        The originals.

    Attributes
    ----------
    paths : list of str
        The files, in the order of the classes.
    """

    def __init__(
        self, folder: OutputFolder, names: dict[Any, str], images: ImageSequence
    ) -> None:
        self._folder, self._names, self._images = folder, names, images
        self._rows, self._paths = images.rows, images.paths
        self.paths: list[str] = []

    def seed(self, label: object) -> int:
        """Return the class's seed: that of the run which is continued, if any."""
        return self._folder.classes[self._names[label]]["seed"]

    def put(self, label: object, translator: Any, rows: np.ndarray, make: Make) -> None:
        """Write the images of a class that are missing."""
        name = self._names[label]
        held = [None] * len(rows) if self._paths is None else self._paths[rows].tolist()
        parents = list(zip(held, self._rows[rows].tolist(), strict=True))
        identity = _identity(translator, self._images)

        # All processes take part in scoring.
        def scored(whole: dict[int, list[bytes]]) -> Iterable[Chunk]:
            return _scored(translator, make(whole))

        if _is_first_process():
            self._folder.write(
                name,
                identity,
                parents,
                lambda whole: scored(from_first_process(whole)),
            )
        else:
            for _ in scored(from_first_process(None)):
                pass
        names = self._folder.names(name, parents)
        self.paths += [str(self._folder.path / path) for path in names]

    def finish(self) -> None:
        """Write the manifest; return when the files are there, in all processes."""
        if _is_first_process():
            self._folder.finish()
        from_first_process(None)


def _scored(translator: Any, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Have the translator score what it made, if it has a discriminator."""
    for chunk in chunks:
        if hasattr(translator, "realism_score"):
            scores = translator.realism_score(chunk.samples)
            chunk.scores = [round(float(score), 6) for score in scores]
        yield chunk


def _identity(translator: Any, images: ImageSequence) -> str:
    """Name a fitted translator by its class and by what it makes of an image."""
    translated = translator.translate(images.take([0]))
    digest = hashlib.blake2b(translated.tobytes(), digest_size=4).hexdigest()
    return f"{type(translator).__name__}-{digest}"


def check_output_dir(form: str, output_dir: str | os.PathLike[str] | None) -> None:
    """Refuse a form of the data that does not go with the output that is asked for."""
    if form in ("paths", "frame") and output_dir is None:
        raise ValueError(
            "With paths, the synthetic images are written to files. Got "
            "output_dir=None. Pass output_dir='a/new/folder'."
        )
    if form == "array" and output_dir is not None:
        raise ValueError(
            "`output_dir` is for paths and torch data sets: from arrays come arrays. "
            f"Got output_dir={os.fspath(output_dir)!r} and an array. Leave it out, or "
            "pass the paths of the images."
        )


def open_file_sink(
    sampler: GANOverSampler, images: ImageSequence, y: np.ndarray, seeds: dict[Any, int]
) -> FileSink:
    """Open the output folder of a sampler, or refuse it before anything is trained."""
    check_channels(images.n_channels, sampler.output_format)
    n_new = sampler.sampling_strategy_
    names = folder_names(seeds)
    classes = {
        names[label]: {
            "label": to_json(label),
            "n_new": int(n_new[label]),
            "seed": seed,
        }
        for label, seed in seeds.items()
    }
    settings = _settings(sampler, images, y)
    folder = OutputFolder(sampler.output_dir, sampler.output_format, settings, classes)
    if _is_first_process():
        paths = () if images.paths is None else images.paths
        held_in = {str(Path(path).parent) for path in paths}
        folder.open(held_in, estimate_bytes(images, sampler.output_format))
        if folder.is_begun() and not _gives_the_same_again(sampler):
            raise ValueError(
                "A run is continued with translators that are the same again. "
                f"{str(folder.path)!r} is begun, and with random_state=None a second "
                "training gives others. Pass another output_dir or delete that one; "
                "and to be able to continue, random_state=0 or any other integer, or "
                "a translator whose trainer has a `checkpoint_dir`."
            )
    return FileSink(folder, names, images)


def _settings(
    sampler: GANOverSampler, images: ImageSequence, y: np.ndarray
) -> dict[str, Any]:
    """Return what the synthetic images follow from."""
    given = sampler.translator
    many = given if isinstance(given, Mapping) else {"": given}
    translators = {
        str(to_python_scalar(label)): comparable_params(translator)
        if hasattr(translator, "get_params")
        else type(translator).__name__
        for label, translator in many.items()
    }
    seed = sampler.random_state
    n_new = sampler.sampling_strategy_
    return {
        "format": 2,
        "X": images.fingerprint(),
        "y": to_json(y),
        "sampling_strategy": [
            [to_json(label), int(n)] for label, n in n_new.items() if n
        ],
        "translator": to_json(translators),
        "source": to_json(sampler.source),
        "prefit": bool(sampler.prefit),
        "output_format": sampler.output_format,
        "random_state": int(seed) if isinstance(seed, int | np.integer) else None,
    }


def _gives_the_same_again(sampler: GANOverSampler) -> bool:
    if sampler.prefit or sampler.random_state is not None:
        return True
    params = sampler.get_params()
    return params.get("translator__random_state") is not None or any(
        name.endswith("checkpoint_dir") and value is not None
        for name, value in params.items()
    )

"""Generate only samples that pass the quality filters."""

from __future__ import annotations

import copy
import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import numpy as np

from gansampler.exceptions import ShortfallError
from gansampler.images import ImageSequence
from gansampler.over_sampling._generation import (
    Flips,
    Translations,
    draw_sources,
    generate,
    samples_per_chunk,
)
from gansampler.over_sampling._quality_filters import (
    ClassFilterReport,
    FittedFilters,
)
from gansampler.over_sampling._samples import Chunk, Rejection
from gansampler.quality import Verdict

# At most this many candidates are generated for each sample that is needed.
MAX_CANDIDATES_PER_SAMPLE = 10
# Accepted samples beyond this are kept in a temporary file.
BYTES_IN_MEMORY = 2**28


class Accepted(NamedTuple):
    """Some candidates that all filters accepted.

    Attributes
    ----------
    samples : ndarray of shape (n, height, width, n_channels) or (n, n_features)
    sources : ndarray of int of shape (n,)
        Positions among the sources.
    digests : list of bytes
        One per image; empty for feature rows.
    """

    samples: np.ndarray
    sources: np.ndarray
    digests: list[bytes]


class Selection:
    """Candidates of one class are generated in order, and those that pass are kept.

    Parameters
    ----------
    translator : BaseTranslator
        Fitted.
    source : ImageSequence
        The samples to translate.
    filters : FittedFilters
    seed : int
        Seed by which sources are drawn.
    label : object
        Label of the class, for messages.

    Attributes
    ----------
    n_candidates, n_accepted : int
        Number of samples that were judged, and of those that were accepted.
    rejections : list of Rejection
    """

    def __init__(
        self,
        translator: Any,
        source: ImageSequence,
        filters: FittedFilters,
        *,
        seed: int,
        label: object,
    ) -> None:
        self.n_candidates = self.n_accepted = 0
        self.rejections: list[Rejection] = []
        self.filters, self.source = filters, source
        self._translator, self._seed, self._label = translator, seed, label
        self._digests: set[bytes] = set()

    def draw(self, n: int, *, verbose: int) -> Iterator[Accepted]:
        """Yield the next `n` samples that pass. An error leaves this object as it was.

        Parameters
        ----------
        n : int
        verbose : int
            Progress is shown from 1.

        Yields
        ------
        accepted : Accepted

        Raises
        ------
        ShortfallError
            If too few candidates pass.
        """
        end = self.n_candidates + MAX_CANDIDATES_PER_SAMPLE * n
        n_versions = Flips.of(self._translator).n_versions
        if self.source.is_image and n_versions is not None:
            end = min(end, n_versions * len(self.source))
        digests, rejections = set(self._digests), []
        n_found, n_drawn = 0, self.n_candidates
        while n_found < n:
            # No more candidates than samples are missing: all that pass are used.
            total = min(n_drawn + n - n_found, end)
            chosen = draw_sources(len(self.source), total, self._seed)
            try:
                for chunk in generate(
                    self._translator,
                    self.source,
                    chosen,
                    seed=self._seed,
                    label=self._label,
                    n_before=n_drawn,
                    seen=digests,
                    verbose=verbose,
                ):
                    sources = chosen[chunk.start : chunk.start + len(chunk.samples)]
                    verdicts = self.filters.judge(chunk.samples)
                    rejections += self._rejections(verdicts, chunk.start, sources)
                    passes = [verdict.accepted for verdict in verdicts.values()]
                    passing = np.flatnonzero(np.all(passes, axis=0))
                    kept = [chunk.digests[i] for i in passing if chunk.digests]
                    yield Accepted(chunk.samples[passing], sources[passing], kept)
                    n_found += len(passing)
                    n_drawn += len(sources)
            except ShortfallError:
                if not rejections:
                    raise
                # No further distinct images: the error below has the numbers.
                end = n_drawn
            if n_found < n and n_drawn == end:
                n_judged = n_drawn - self.n_candidates
                raise self._shortfall(n, n_found, n_judged, rejections)
        self.n_candidates, self._digests = n_drawn, digests
        self.n_accepted += n_found
        self.rejections += rejections

    def _rejections(
        self, verdicts: Mapping[str, Verdict], start: int, sources: np.ndarray
    ) -> list[Rejection]:
        rows, paths = self.source.rows[sources], self.source.paths
        parents = [None] * len(rows) if paths is None else paths[sources].tolist()
        return [
            Rejection(
                start + int(i),
                parents[i],
                int(rows[i]),
                name,
                round(float(verdict.figures[i]), 6),
                round(self.filters.thresholds[name], 6),
                verdict.reasons[i],
            )
            for i in range(len(rows))
            for name, verdict in verdicts.items()
            if not verdict.accepted[i]
        ]

    def _shortfall(
        self, n: int, n_found: int, n_judged: int, rejections: list[Rejection]
    ) -> ShortfallError:
        counts = self._count(rejections)
        by_filter = ", ".join(
            f"{name} {count} (threshold {self.filters.thresholds[name]:.4g})"
            for name, count in counts.items()
        )
        limit = f"at most {MAX_CANDIDATES_PER_SAMPLE} are generated for each of them"
        if n_judged < MAX_CANDIDATES_PER_SAMPLE * n:
            limit = "there are no further distinct ones"
        return ShortfallError(
            f"{n} synthetic samples of class {self._label!r} must pass the quality "
            f"filters. Of {n_judged} candidates, {n_found} passed, and {limit}. "
            f"Rejected: {by_filter}. If nearly all are rejected, look at some "
            "translations without the filter, and train the translator for longer. "
            "Otherwise ask for fewer samples, use more sources (source='rest'), or "
            "choose a threshold that rejects less."
        )

    def _count(self, rejections: list[Rejection]) -> dict[str, int]:
        counts = Counter(rejection.filter for rejection in rejections)
        return {name: counts[name] for name in self.filters.thresholds}

    def report(self) -> ClassFilterReport:
        """Return what the filters did so far."""
        return ClassFilterReport(
            self.n_candidates,
            self.n_accepted,
            self._count(self.rejections),
            dict(self.filters.thresholds),
            list(self.rejections),
        )

    def on(self, source: ImageSequence) -> Selection:
        """Return a copy that continues with a copy of the source."""
        copied = copy.copy(self)
        copied.source, copied.rejections = source, []
        return copied

    def generate(
        self, n: int, label: object, verbose: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return further samples that pass, and the rows of their parents."""
        parts = list(self.draw(n, verbose=verbose))
        row_shape = self.source.restore(self.source.batch([0])).shape[1:]
        samples = np.concatenate([part.samples for part in parts])
        positions = np.concatenate([part.sources for part in parts])
        return samples.reshape(n, *row_shape), self.source.rows[positions]


class FilteredTranslations(Translations):
    """Translations that pass filters, which are fitted to the real images.

    Parameters
    ----------
    translator : BaseTranslator
        Fitted.
    images : ImageSequence
        The originals.
    source, target : ndarray of int
        Positions of the samples that are translated, and of those of the class.
    n_new : int
    filters : sequence of filter
    seed : int
    label : object
        Label of the class, for messages.
    verbose : int
        Progress is shown from 1.

    Attributes
    ----------
    selection : Selection
        It can generate further samples.

    Raises
    ------
    ShortfallError
        If too few candidates pass.
    """

    def __init__(
        self,
        translator: Any,
        images: ImageSequence,
        source: np.ndarray,
        target: np.ndarray,
        n_new: int,
        *,
        filters: Sequence[Any],
        seed: int,
        label: object,
        verbose: int,
    ) -> None:
        super().__init__(translator, images, source, n_new, seed=seed, label=label)
        fitted = FittedFilters(filters, translator, self.source, images.subset(target))
        self.selection = Selection(
            translator, self.source, fitted, seed=seed, label=label
        )
        # The parents must be known before the first file is written.
        self._file = SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115
        positions: list[np.ndarray] = []
        self._accepted: list[bytes] = []
        try:
            for part in self.selection.draw(n_new, verbose=verbose):
                self._file.write(part.samples.tobytes())
                self._dtype = part.samples.dtype
                positions.append(part.sources)
                self._accepted += part.digests
        except BaseException:
            self._file.close()
            raise
        self.parents = source[np.concatenate(positions)]

    @property
    def name(self) -> str:
        """Class of the translator, and a hash of a translation and of the samples."""
        text = super().name.encode() + b"".join(self._accepted)
        digest = hashlib.blake2b(text, digest_size=4).hexdigest()
        return f"{type(self.translator).__name__}-{digest}"

    def chunks(
        self, finished: Mapping[int, list[bytes]], *, verbose: int
    ) -> Iterator[Chunk]:
        """Yield the samples that passed, in order, once."""
        size, shape = samples_per_chunk(self.source), self.source.sample_shape
        n_bytes = math.prod(shape) * self._dtype.itemsize
        with self._file:
            for start in range(0, self.n_new, size):
                n = min(size, self.n_new - start)
                if start in finished:
                    continue
                self._file.seek(start * n_bytes)
                data = np.frombuffer(self._file.read(n * n_bytes), dtype=self._dtype)
                digests = self._accepted[start : start + n]
                yield Chunk(start, data.reshape(n, *shape).copy(), digests)

    def rejections(self) -> list[Rejection]:
        """Return the candidates that were rejected, and why."""
        return self.selection.rejections

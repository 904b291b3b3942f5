"""Translate as many distinct sources as are asked for, chunk by chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gansampler.exceptions import ShortfallError
from gansampler.images import ImageSequence
from gansampler.over_sampling._variants import vary_images, vary_rows
from gansampler.training import Progress

if TYPE_CHECKING:
    from gansampler.translators import BaseTranslator

__all__ = ["Chunk", "draw_sources", "generate"]

# Large enough that its batches are full, small enough not to be felt in memory.
BYTES_A_CHUNK = 2**24
# A translation that equals an earlier one is tried again from other rotations.
MOST_RETRIES = 10
RANDOM_ROTATION = 8


@dataclass
class Chunk:
    """Consecutive synthetic samples of one class.

    Attributes
    ----------
    start : int
        Number of the first one.
    samples : ndarray of shape (n, height, width, n_channels) or (n, n_features)
    digests : list of bytes
        One for each image, by which equal ones are found; empty for feature rows.
    scores : sequence of float, default=None
        What the translator's ``realism_score`` gives for them, where asked for.
    """

    start: int
    samples: np.ndarray
    digests: list[bytes]
    scores: Sequence[float | None] | None = None


def draw_sources(n_sources: int, n_new: int, seed: int) -> np.ndarray:
    """Choose the source of each synthetic sample: none again before all were used.

    Parameters
    ----------
    n_sources : int
    n_new : int
    seed : int

    Returns
    -------
    chosen : ndarray of int of shape (n_new,)
        Positions among the sources.
    """
    rng = np.random.default_rng(seed)
    n_rounds = -(-n_new // n_sources)
    return np.concatenate([rng.permutation(n_sources) for _ in range(n_rounds)])[:n_new]


def generate(
    translator: BaseTranslator,
    source: ImageSequence,
    chosen: np.ndarray,
    *,
    seed: int,
    label: object = None,
    held: Mapping[int, list[bytes]] | None = None,
    verbose: int = 0,
) -> Iterator[Chunk]:
    """Yield translations of the chosen sources in order, all of them distinct.

    Where a chunk begins, and what is in it, follows from the arguments alone, so that
    a run which has some of the chunks makes the others as if it had made all.

    Parameters
    ----------
    translator : BaseTranslator
        Fitted.
    source : ImageSequence
        What to draw from.
    chosen : ndarray of int of shape (n_new,)
        As :func:`draw_sources` gives it.
    seed : int
        Of the rotations.
    label : object, default=None
        The class that is made, for messages.
    held : mapping of int -> list of bytes, default=None
        Chunks that are not to be made again, by their start, with their digests.
    verbose : int, default=0
        Progress is shown from 1.

    Yields
    ------
    chunk : Chunk

    Raises
    ------
    ShortfallError
        If the translator gives the same image again and again.
    """
    n_new = len(chosen)
    seen: set[bytes] = set()
    progress = Progress(n_new, f"translating to {label}", shown=verbose > 0)
    size = max(1, BYTES_A_CHUNK // max(source.take([0]).nbytes, 1))
    try:
        for start in range(0, n_new, size):
            rows = np.arange(start, min(start + size, n_new))
            if held is not None and start in held:
                seen.update(held[start])
            else:
                rng = np.random.default_rng([seed, start + 1])
                variants = rows // len(source)
                chunk = _make(translator, source, chosen[rows], variants, rng, seen)
                if chunk is None:
                    raise ShortfallError(
                        "All synthetic images must be distinct. Of "
                        f"{n_new} for class {label!r}, only {len(seen)} were made "
                        f"before the translator gave the same again {MOST_RETRIES} "
                        "times over. It may have collapsed to one output, or the "
                        "sources may be uniform: look at `translators_` and at the "
                        "sources, train for longer, or ask for fewer."
                    )
                yield Chunk(start, *chunk)
            progress.update(len(rows))
    finally:
        progress.close()


def _make(translator, source, chosen, variants, rng, seen):
    """Return samples and their digests, or None where some stay equal to others."""
    samples = _translate(translator, source, chosen, variants, rng)
    if not source.is_image:
        return samples, []
    digests = [_digest(sample) for sample in samples]
    pending = _repeated(digests, np.arange(len(samples)), seen)
    for _ in range(MOST_RETRIES - 1):
        if not len(pending):
            break
        turned = np.full(len(pending), RANDOM_ROTATION)
        samples[pending] = _translate(translator, source, chosen[pending], turned, rng)
        for row in pending:
            digests[row] = _digest(samples[row])
        pending = _repeated(digests, pending, seen)
    return None if len(pending) else (samples, digests)


def _translate(translator, source, chosen, variants, rng) -> np.ndarray:
    rows = source.take(chosen)
    if source.is_image:
        return translator.translate(vary_images(rows, variants, rng))
    # Jittered rows are floating; the caller's array gives them its own dtype.
    translated = translator.translate(vary_rows(rows, variants, rng))
    return source.restore(torch.from_numpy(translated))


def _digest(sample: np.ndarray) -> bytes:
    return hashlib.blake2b(sample.tobytes(), digest_size=16).digest()


def _repeated(digests: list[bytes], rows: np.ndarray, seen: set[bytes]) -> np.ndarray:
    """Return the rows that equal an earlier one, and remember the others."""
    repeated = []
    for row in rows:
        if digests[row] in seen:
            repeated.append(row)
        seen.add(digests[row])
    return np.asarray(repeated, dtype=np.intp)

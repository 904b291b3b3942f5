"""Translate as many distinct sources as are asked for, chunk by chunk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from gansampler.exceptions import ShortfallError
from gansampler.images import ImageSequence
from gansampler.over_sampling._variants import vary_images, vary_rows
from gansampler.training._progress import Progress

if TYPE_CHECKING:
    from gansampler.translators import BaseTranslator

__all__ = ["generate"]

BYTES_A_CHUNK = 2**25
# A translation that equals an earlier one is tried again from other rotations.
MOST_RETRIES = 10
RANDOM_ROTATION = 8


def generate(
    translator: BaseTranslator,
    source: ImageSequence,
    out: np.ndarray,
    *,
    rng: np.random.Generator,
    label: object = None,
    verbose: int = 0,
) -> np.ndarray:
    """Fill `out` with translations of sources, all of them distinct.

    Parameters
    ----------
    translator : BaseTranslator
        Fitted.
    source : ImageSequence
        What to draw from.
    out : ndarray of shape (n_new, height, width, n_channels) or (n_new, n_features)
        Written to.
    rng : numpy.random.Generator
    label : object, default=None
        The class that is made, for messages.
    verbose : int, default=0
        Progress is shown from 1.

    Returns
    -------
    chosen : ndarray of int of shape (n_new,)
        For each translation the position of its source in `source`.

    Raises
    ------
    ShortfallError
        If the translator gives the same image again and again.
    """
    n_new = len(out)
    n_rounds = -(-n_new // len(source))
    chosen = np.concatenate([rng.permutation(len(source)) for _ in range(n_rounds)])
    chosen = chosen[:n_new]
    variants = np.arange(n_new) // len(source)
    seen: set[bytes] = set()
    progress = Progress(n_new, f"translating to {label}", shown=verbose > 0)
    size = max(1, BYTES_A_CHUNK // max(out[0].nbytes, 1))
    for start in range(0, n_new, size):
        part = slice(start, min(start + size, n_new))
        pending = np.arange(part.start, part.stop)
        for _ in range(MOST_RETRIES):
            out[pending] = _translate(
                translator, source, chosen, variants, pending, rng
            )
            pending = _repeated(out, pending, seen) if source.is_image else pending[:0]
            if not len(pending):
                break
            variants[pending] = RANDOM_ROTATION
        if len(pending):
            progress.close()
            raise ShortfallError(
                f"All synthetic images must be distinct. Of {n_new} for class "
                f"{label!r}, only {len(seen)} were made before the translator gave "
                f"{len(pending)} of a chunk again {MOST_RETRIES} times over. It may "
                "have collapsed to one output, or the sources may be uniform: look at "
                "`translators_` and at the sources, train for longer, or ask for "
                "fewer."
            )
        progress.update(part.stop - part.start)
    progress.close()
    return chosen


def _translate(translator, source, chosen, variants, pending, rng) -> np.ndarray:
    rows = source.take(chosen[pending])
    if source.is_image:
        return translator.translate(vary_images(rows, variants[pending], rng))
    # Jittered rows are floating; the caller's array gives them its own dtype.
    translated = translator.translate(vary_rows(rows, variants[pending], rng))
    return source.restore(torch.from_numpy(translated))


def _repeated(out: np.ndarray, rows: np.ndarray, seen: set[bytes]) -> np.ndarray:
    """Return the rows that equal an earlier one, and remember the others."""
    repeated = []
    for row in rows:
        digest = hashlib.blake2b(out[row].tobytes(), digest_size=16).digest()
        if digest in seen:
            repeated.append(row)
        seen.add(digest)
    return np.asarray(repeated, dtype=np.intp)

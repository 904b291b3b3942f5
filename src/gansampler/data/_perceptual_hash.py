"""Perceptual hashes: 256 bits per image that are almost equal for its copies.

Each bit is the sign of one low frequency of the grey thumbnail of an image.
Compression, scaling, brightness and contrast change few signs. The usual length of 64
bits is too short for images of one kind: dermoscopic images show a dark spot on bright
skin, and hundreds of unrelated pairs would have hashes as similar as those of copies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.fft import dctn

from gansampler.images import ImageSequence, chunks

THUMBNAIL = 32
N_FREQUENCIES = 16  # in each direction
N_BITS = N_FREQUENCIES**2
# For a thumbnail in [0, 1]. Smaller frequencies are rounding errors.
NOISE_FLOOR = 2e-4
# Pairs that are compared at a time, which takes about 100 MB.
PAIRS_PER_BLOCK = 2**20
# The index splits hashes into 16 words of 16 bits.
WORD_BITS = 16
N_WORDS = N_BITS // WORD_BITS
# A pair from the index takes about as long as this many pairs of the full comparison.
INDEX_COST = 8
# Unlike neighbouring frequencies, shuffled bits hardly depend on each other.
SHUFFLED_BITS = np.random.RandomState(0).permutation(N_BITS)
# What makes all words that differ from a word in at most one bit.
ONE_BIT = np.concatenate([[0], 2 ** np.arange(WORD_BITS)])


def low_frequencies(images: ImageSequence) -> np.ndarray:
    """Return the low frequencies of the images' grey thumbnails.

    Parameters
    ----------
    images : ImageSequence

    Returns
    -------
    frequencies : ndarray of shape (n_samples, 16, 16), float32
        Coefficients of the orthonormal cosine transform. The first one, the mean, is
        set to 0.
    """
    frequencies = np.empty((len(images), N_FREQUENCIES, N_FREQUENCIES), np.float32)
    for rows in chunks(len(images), images.sample_shape):
        thumbnails = np.stack([_thumbnail(image) for image in images.take(rows)])
        if images.dtype == np.uint8:
            thumbnails /= 255
        transformed = dctn(thumbnails, axes=(1, 2), norm="ortho")
        frequencies[rows] = transformed[:, :N_FREQUENCIES, :N_FREQUENCIES]
    frequencies[:, 0, 0] = 0
    return frequencies


def hash_bits(frequencies: np.ndarray, orientation: int = 0) -> np.ndarray:
    """Return the hashes of images in one of their eight orientations.

    Parameters
    ----------
    frequencies : ndarray of shape (n_samples, 16, 16)
    orientation : int in [0, 8), default=0
        Sum of 1 to swap left and right, 2 to swap top and bottom, and 4 to swap
        rows and columns after that. 0 changes nothing. All flips and rotations by 90
        degrees are combinations of these.

    Returns
    -------
    hashes : ndarray of shape (n_samples, 4), uint64
    """
    # Mirroring negates the cosines of odd frequency.
    sign = np.where(np.arange(N_FREQUENCIES) % 2, -1, 1).astype(np.float32)
    if orientation & 1:
        frequencies = frequencies * sign
    if orientation & 2:
        frequencies = frequencies * sign[:, None]
    if orientation & 4:
        frequencies = frequencies.transpose(0, 2, 1)
    bits = frequencies.reshape(len(frequencies), -1) > NOISE_FLOOR
    return np.packbits(bits, axis=1).view(np.uint64)


def close_pairs(
    hashes: np.ndarray, others: np.ndarray | None, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the pairs of hashes that differ in few bits, in order of their rows.

    Two hashes of 16 words that differ in fewer than 32 bits have a word in which they
    differ in at most one bit. Up to that distance, only the pairs with such a word are
    compared, which an index finds, unless these are many.

    Parameters
    ----------
    hashes : ndarray of shape (n_hashes, 4), uint64
    others : ndarray of shape (n_others, 4), uint64, or None
        None compares `hashes` with each other, each pair once.
    max_distance : int

    Yields
    ------
    rows, other_rows, distances : ndarray of int
        Rows and distances of some of the pairs; without `others`, row < other row.
    """
    among_themselves = others is None
    others = hashes if others is None else others
    candidates = None
    if max_distance < 2 * N_WORDS:
        candidates = _candidates_from_index(_to_words(hashes), _to_words(others))
    is_indexed = candidates is not None
    if candidates is None:
        candidates = _all_candidates(hashes, others, max_distance)
    for rows, columns in candidates:
        if among_themselves:
            rows, columns = rows[rows < columns], columns[rows < columns]
        distances = _count_bits(hashes[rows] ^ others[columns])
        near = np.flatnonzero(distances <= max_distance)
        if is_indexed:
            # The index finds a pair once for each word, in the order of the words.
            pair = rows[near] * len(others) + columns[near]
            near = near[np.unique(pair, return_index=True)[1]]
        yield rows[near], columns[near], distances[near]


def _all_candidates(
    hashes: np.ndarray, others: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs whose last 64 bits differ in at most `max_distance` bits."""
    # The last bits belong to the highest frequencies, in which unrelated images
    # differ most.
    last = np.ascontiguousarray(others[:, -1])
    step = max(1, PAIRS_PER_BLOCK // max(len(others), 1))
    for start in range(0, len(hashes), step):
        differing = hashes[start : start + step, -1:] ^ last
        rows, columns = np.nonzero(np.bitwise_count(differing) <= max_distance)
        yield rows + start, columns


def _candidates_from_index(
    words: np.ndarray, other_words: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]] | None:
    """Return the pairs that have a word in which they differ in at most one bit.

    They come in blocks of rows, some of them several times. None if they are so many
    that comparing all pairs is faster.
    """
    # Of each word: the rows of `other_words` sorted by it, and where each value starts.
    order = np.argsort(other_words, axis=0, kind="stable")
    starts = np.zeros((N_WORDS, 2**WORD_BITS + 1), dtype=np.intp)
    for i, column in enumerate(other_words.T):
        np.cumsum(np.bincount(column, minlength=2**WORD_BITS), out=starts[i, 1:])

    def find(rows: slice, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the matches of word `i` start in `order`, and their number."""
        values = words[rows, i, None] ^ ONE_BIT
        return starts[i, values], starts[i, values + 1] - starts[i, values]

    def blocks(ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        limits = np.arange(PAIRS_PER_BLOCK, ends[-1], PAIRS_PER_BLOCK)
        cuts = np.unique([0, *np.searchsorted(ends, limits), len(words)])
        for start, stop in itertools.pairwise(cuts):
            pairs = []
            for i in range(N_WORDS):
                first, n_found = find(slice(start, stop), i)
                rows = np.repeat(np.arange(start, stop), n_found.sum(axis=1))
                first, n_found = first.ravel(), n_found.ravel()
                shift = first - np.cumsum(n_found) + n_found
                places = np.arange(len(rows)) + np.repeat(shift, n_found)
                pairs.append((rows, order[places, i]))
            rows, columns = map(np.concatenate, zip(*pairs, strict=True))
            yield rows, columns

    n_candidates = sum(find(slice(None), i)[1].sum(axis=1) for i in range(N_WORDS))
    ends = np.cumsum(n_candidates)
    if INDEX_COST * ends[-1] > len(words) * len(other_words):
        return None
    return blocks(ends)


def _to_words(hashes: np.ndarray) -> np.ndarray:
    """Return the shuffled bits of hashes as 16 integers of 16 bits."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)[:, SHUFFLED_BITS]
    words = np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint16)
    return words.astype(np.intp)


def _count_bits(differing: np.ndarray) -> np.ndarray:
    return np.bitwise_count(differing).sum(axis=1, dtype=np.intp)


def _thumbnail(image: np.ndarray) -> np.ndarray:
    n_channels = image.shape[-1]
    # A matrix product is the fastest way to average the channels.
    grey = image.astype(np.float32) @ np.full(n_channels, 1 / n_channels, np.float32)
    shrunk = Image.fromarray(grey).resize((THUMBNAIL,) * 2, Image.Resampling.BILINEAR)
    return np.asarray(shrunk)

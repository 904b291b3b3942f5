"""Perceptual hashes: 256 bits of an image that its copies have (nearly) in common.

A bit is the sign of one low frequency of the image's grey thumbnail. Compression,
scaling, brightness and contrast leave almost all signs as they were. 64 bits, the
usual length, are too few for images that are all of one kind: of dermoscopic images,
a dark spot on bright skin each, hundreds of unrelated pairs then come as close as
copies do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.fft import dctn

from gansampler.images import ImageSequence, chunks

__all__ = ["N_BITS", "close_pairs", "hash_bits", "low_frequencies"]

THUMBNAIL = 32
N_FREQUENCIES = 16  # in each direction
N_BITS = N_FREQUENCIES**2
# Of a thumbnail in [0, 1]. Below it is rounding, the sign of which is chance.
NOISE_FLOOR = 2e-4
# Pairs compared at a time: some 100 MB.
PAIRS_A_BLOCK = 2**22


def low_frequencies(images: ImageSequence) -> np.ndarray:
    """Return the low frequencies of the images' grey thumbnails.

    Parameters
    ----------
    images : ImageSequence

    Returns
    -------
    frequencies : ndarray of shape (n_samples, 16, 16), float32
        Coefficients of the orthonormal cosine transform; the mean, which is no
        frequency, is set to 0.
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
    """Return the hashes of images, as they are or flipped and turned.

    Parameters
    ----------
    frequencies : ndarray of shape (n_samples, 16, 16)
    orientation : int in [0, 8), default=0
        Sum of 1 to swap left and right, 2 to swap top and bottom, and 4 to swap
        rows and columns after that; 0 to leave the images as they are. These eight
        are all the flips and quarter turns.

    Returns
    -------
    hashes : ndarray of shape (n_samples, 4), uint64
    """
    # A mirrored cosine of odd frequency is its negative.
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

    Parameters
    ----------
    hashes : ndarray of shape (n_hashes, n_words), uint64
    others : ndarray of shape (n_others, n_words), uint64, or None
        None pairs `hashes` among themselves, each pair once.
    max_distance : int

    Yields
    ------
    rows, other_rows, distances : ndarray of int
        Those of some of the pairs; without `others`, row < other row.
    """
    among_themselves = others is None
    others = hashes if others is None else others
    # The last word holds the highest frequencies, in which unrelated images differ
    # most: by it alone nearly all pairs are ruled out.
    last_words = np.ascontiguousarray(others[:, -1])
    step = max(1, PAIRS_A_BLOCK // max(len(others), 1))
    for start in range(0, len(hashes), step):
        block = hashes[start : start + step]
        first = start if among_themselves else 0
        differing = block[:, -1:] ^ last_words[first:]
        rows, columns = np.nonzero(np.bitwise_count(differing) <= max_distance)
        rows, columns = rows + start, columns + first
        if among_themselves:
            rows, columns = rows[rows < columns], columns[rows < columns]
        distances = np.bitwise_count(hashes[rows] ^ others[columns]).sum(
            axis=1, dtype=np.intp
        )
        near = distances <= max_distance
        yield rows[near], columns[near], distances[near]


def _thumbnail(image: np.ndarray) -> np.ndarray:
    n_channels = image.shape[-1]
    # As a product with weights, the mean of the channels is quick.
    grey = image.astype(np.float32) @ np.full(n_channels, 1 / n_channels, np.float32)
    shrunk = Image.fromarray(grey).resize((THUMBNAIL,) * 2, Image.Resampling.BILINEAR)
    return np.asarray(shrunk)

"""How many samples are processed at a time, and what is done with a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

# Without gradients, 16 images of 256 x 256 px keep the activations of a 64-filter
# generator or of a VGG below 2 GB. Larger chunks are not faster.
PIXELS_PER_CHUNK = 16 * 256 * 256
MAX_SAMPLES_PER_CHUNK = 1024


def chunks(n_samples: int, sample_shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield consecutive row numbers in chunks that fit into memory.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    sample_shape : tuple of int
        (height, width, n_channels), or (n_features,).

    Yields
    ------
    rows : ndarray of int
        Row numbers of one chunk.

    Examples
    --------
    >>> from gansampler.images import chunks
    >>> [len(rows) for rows in chunks(20, (256, 256, 3))]
    [16, 4]
    """
    pixels = int(np.prod(sample_shape[:-1]))
    size = int(np.clip(PIXELS_PER_CHUNK // max(pixels, 1), 1, MAX_SAMPLES_PER_CHUNK))
    for start in range(0, n_samples, size):
        yield np.arange(start, min(start + size, n_samples))


def content_hash(
    take: Callable[[np.ndarray], np.ndarray],
    positions: np.ndarray,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> str:
    """Return a hash of samples in order, including their shape and dtype.

    Parameters
    ----------
    take : callable
        ``take(positions)`` returns the samples at some positions.
    positions : ndarray of int of shape (n_samples,)
    shape : tuple of int
        Shape of one sample.
    dtype : dtype

    Returns
    -------
    hash : str
        Hexadecimal.
    """
    header = repr(((len(positions), *shape), dtype.str))
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for rows in chunks(len(positions), shape):
        digest.update(np.ascontiguousarray(take(positions[rows])).data)
    return digest.hexdigest()


def flip_chosen(
    batch: torch.Tensor, left_right: npt.ArrayLike, upside_down: npt.ArrayLike
) -> torch.Tensor:
    """Flip the chosen images of a batch.

    Parameters
    ----------
    batch : Tensor of shape (n_samples, n_channels, height, width)
        Images.
    left_right : array-like of bool of shape (n_samples,)
        Which images are flipped horizontally.
    upside_down : array-like of bool of shape (n_samples,)
        Which images are flipped vertically.

    Returns
    -------
    batch : Tensor of shape (n_samples, n_channels, height, width)

    Examples
    --------
    >>> import torch
    >>> from gansampler.images import flip_chosen
    >>> images = torch.tensor([[[[1, 2]]], [[[3, 4]]]])
    >>> flip_chosen(images, [True, False], [False, False]).squeeze()
    tensor([[2, 1],
            [3, 4]])
    """
    for axis, flags in ((3, left_right), (2, upside_down)):
        chosen = torch.as_tensor(flags)
        if chosen.any():
            batch = torch.where(chosen[:, None, None, None], batch.flip(axis), batch)
    return batch

"""How many images are taken at a time, and what is done with them then."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["chunks", "flip_chosen"]

# Without gradients, 16 images of 256 x 256 px at a time keep the activations of a
# 64-filter generator or of a VGG below 2 GB; more do not make it faster.
PIXELS_A_CHUNK = 16 * 256 * 256
MOST_A_CHUNK = 1024


def chunks(n_samples: int, sample_shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield row numbers in order, as many at a time as memory allows.

    Parameters
    ----------
    n_samples : int
    sample_shape : tuple of int
        (height, width, n_channels), or (n_features,).

    Yields
    ------
    rows : ndarray of int

    Examples
    --------
    >>> from gansampler.images import chunks
    >>> [len(rows) for rows in chunks(20, (256, 256, 3))]
    [16, 4]
    """
    pixels = int(np.prod(sample_shape[:-1]))
    size = int(np.clip(PIXELS_A_CHUNK // max(pixels, 1), 1, MOST_A_CHUNK))
    for start in range(0, n_samples, size):
        yield np.arange(start, min(start + size, n_samples))


def flip_chosen(
    batch: torch.Tensor, left_right: npt.ArrayLike, upside_down: npt.ArrayLike
) -> torch.Tensor:
    """Flip the chosen images of a batch.

    Parameters
    ----------
    batch : Tensor of shape (n, n_channels, height, width)
    left_right, upside_down : array-like of bool of shape (n,)
        Which images are flipped that way.

    Returns
    -------
    batch : Tensor of the same shape

    Examples
    --------
    >>> import torch
    >>> from gansampler.images import flip_chosen
    >>> images = torch.tensor([[[[1, 2]]], [[[3, 4]]]])
    >>> flip_chosen(images, [True, False], [False, False]).squeeze()
    tensor([[2, 1],
            [3, 4]])
    """
    for axis, wanted in ((3, left_right), (2, upside_down)):
        chosen = torch.as_tensor(wanted)
        if chosen.any():
            batch = torch.where(chosen[:, None, None, None], batch.flip(axis), batch)
    return batch

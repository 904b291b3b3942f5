"""Mixtures of two samples: which ones, how much of each, and the mixing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from gansampler.images import ImageSequence
from gansampler.over_sampling._generation import draw_sources, samples_per_chunk
from gansampler.over_sampling._samples import Chunk, ClassSamples, digest_of
from gansampler.training import Progress

Method = Literal["cutmix", "mixup"]


class Mixtures(ClassSamples):
    """Mixtures of the samples of a class with samples of other classes.

    Parameters
    ----------
    method : {"cutmix", "mixup"}
    alpha : float
        Both parameters of the beta distribution of the shares.
    images : ImageSequence
        The originals.
    minority, contexts : ndarray of int
        Positions of the samples of the class, and of those that they are mixed with.
    n_new : int
    seed : int
    label : object
        Label of the class, for messages.

    Attributes
    ----------
    contexts : ndarray of int of shape (n_new,)
        Position among the originals of the second parent of each mixture.
    shares : ndarray of shape (n_new,)
        Share of the first parent, from 1/2 to 1.
    """

    def __init__(
        self,
        method: Method,
        alpha: float,
        images: ImageSequence,
        minority: np.ndarray,
        contexts: np.ndarray,
        n_new: int,
        *,
        seed: int,
        label: object,
    ) -> None:
        self.method, self.n_new = method, n_new
        self.parents = minority[draw_sources(len(minority), n_new, seed)]
        self.contexts = contexts[draw_sources(len(contexts), n_new, [seed, 1])]
        self._images, self._label = images, label
        drawn = np.random.default_rng([seed, 2]).beta(alpha, alpha, n_new)
        self.shares = np.maximum(drawn, 1 - drawn)
        if method == "cutmix":
            height, width = images.sample_shape[:2]
            places = np.random.default_rng([seed, 3]).random((n_new, 2))
            self._boxes = cut_boxes(self.shares, places, height, width)
            top, left, bottom, right = self._boxes.T
            # Boxes have whole pixels.
            self.shares = (bottom - top) * (right - left) / (height * width)

    @property
    def name(self) -> str:
        """The method."""
        return self.method

    def mixed_with(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the position of each second parent, and the share of the first one."""
        return self.contexts, self.shares

    def chunks(
        self, finished: Mapping[int, list[bytes]], *, verbose: int
    ) -> Iterator[Chunk]:
        """Yield the mixtures in order, without the finished chunks."""
        size = samples_per_chunk(self._images)
        progress = Progress(self.n_new, f"mixing {self._label}", shown=verbose > 0)
        try:
            for start in range(0, self.n_new, size):
                rows = np.arange(start, min(start + size, self.n_new))
                if start not in finished:
                    samples = self._mix(rows)
                    yield Chunk(start, samples, [digest_of(row) for row in samples])
                progress.update(len(rows))
        finally:
            progress.close()

    def _mix(self, rows: np.ndarray) -> np.ndarray:
        minority = self._images.take(self.parents[rows])
        context = self._images.take(self.contexts[rows])
        if self.method == "mixup":
            return mixup(minority, context, self.shares[rows])
        return cutmix(minority, context, self._boxes[rows])


def cut_boxes(
    shares: np.ndarray, places: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Return boxes within an image, whose shares of the pixels are near given ones.

    A box has about the proportions of the image. It is smaller than the image, and has
    at least half of its pixels.

    Parameters
    ----------
    shares : ndarray of shape (n,)
        In [1/2, 1].
    places : ndarray of shape (n, 2)
        In [0, 1): from the top to the bottom, and from the left to the right.
    height, width : int
        Size of the image in pixels, at least 8.

    Returns
    -------
    boxes : ndarray of int of shape (n, 4)
        Top, left, bottom and right; the last two are exclusive.
    """
    heights = np.rint(height * np.sqrt(shares)).astype(int)
    widths = np.rint(shares * height * width / heights).clip(max=width).astype(int)
    # Rounding makes some boxes too small, and others as large as the image.
    widths[2 * heights * widths < height * width] += 1
    widths[heights * widths == height * width] -= 1
    top = np.floor(places[:, 0] * (height - heights + 1)).astype(int)
    left = np.floor(places[:, 1] * (width - widths + 1)).astype(int)
    return np.stack([top, left, top + heights, left + widths], axis=1)


def cutmix(minority: np.ndarray, context: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return contexts in which the pixels of a box are those of the minority image.

    Parameters
    ----------
    minority, context : ndarray of shape (n, height, width, n_channels)
    boxes : ndarray of int of shape (n, 4)
        Result of :func:`cut_boxes`.
    """
    mixed = context.copy()
    for row, (top, left, bottom, right) in enumerate(boxes):
        box = np.s_[row, top:bottom, left:right]
        mixed[box] = minority[box]
    return mixed


def mixup(minority: np.ndarray, context: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return weighted means, in the dtype of the samples; whole numbers are rounded.

    Parameters
    ----------
    minority, context : ndarray of shape (n, ...)
        Images or feature rows.
    shares : ndarray of shape (n,)
        Weights of the minority samples.
    """
    dtype = minority.dtype
    precision = np.result_type(dtype, np.float32)
    weights = shares.astype(precision).reshape(-1, *[1] * (minority.ndim - 1))
    other = context.astype(precision)
    mixed = other + weights * (minority.astype(precision) - other)
    return (np.rint(mixed) if dtype.kind in "iub" else mixed).astype(dtype)

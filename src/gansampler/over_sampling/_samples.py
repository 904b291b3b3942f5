"""The synthetic samples of one class, whatever they are made by."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np


class Chunk(NamedTuple):
    """Consecutive synthetic samples of one class.

    Attributes
    ----------
    start : int
        Number of the first sample among those of its class.
    samples : ndarray of shape (n, height, width, n_channels) or (n, n_features)
    digests : list of bytes
        One per image, to find equal images; empty for feature rows.
    """

    start: int
    samples: np.ndarray
    digests: list[bytes]


class Rejection(NamedTuple):
    """A candidate that a quality filter rejected. The image itself is not kept.

    Attributes
    ----------
    candidate : int
        Number of the candidate among those of its class, from 0.
    parent : str or None
        Path of the parent; None if it has no file.
    parent_row : int
        Row of the parent.
    filter : str
        Name of the filter.
    figure, threshold : float
        What the filter compared.
    reason : str
    """

    candidate: int
    parent: str | None
    parent_row: int
    filter: str
    figure: float
    threshold: float
    reason: str


class ClassSamples(ABC):
    """The synthetic samples of one class: their parents, and how they are generated.

    Attributes
    ----------
    n_new : int
        Number of samples.
    parents : ndarray of int of shape (n_new,)
        Position among the originals of the parent of each sample.
    name : str
        How the samples are made. Of two runs in one folder, samples with another name
        replace the others.
    is_finished : bool
        Whether the training of the translator, if any, came to its end.
    """

    n_new: int
    parents: np.ndarray
    is_finished: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """How the samples are made."""

    @abstractmethod
    def chunks(
        self, finished: Mapping[int, list[bytes]], *, verbose: int
    ) -> Iterator[Chunk]:
        """Yield the samples in order, without the finished chunks."""

    def scores(self, samples: np.ndarray) -> list[float | None]:
        """Return the realism scores of some samples; None without a discriminator."""
        return [None] * len(samples)

    def mixed_with(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the position of each second parent, and the share of the first one.

        None if the samples have one parent each.
        """
        return None

    def rejections(self) -> list[Rejection] | None:
        """Return the candidates that were rejected; None without a filter."""
        return None


def digest_of(sample: np.ndarray) -> bytes:
    """Return a hash of the values of a sample."""
    return hashlib.blake2b(sample.tobytes(), digest_size=16).digest()

"""What an image sequence reads from."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gansampler.images._lazy import UnreadableImage


class Reader(Protocol):
    """Samples by position: what an :class:`ImageSequence` reads from.

    The readers of arrays, files and data sets differ in where the samples come from,
    and in nothing else.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, n_channels), or (n_features,)."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row of the user's input."""

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the samples."""

    @property
    def rows(self) -> np.ndarray:
        """Rows of the user's input at all positions."""

    @property
    def paths(self) -> np.ndarray | None:
        """Paths at all positions; None if the samples are not files."""

    @property
    def channels_first(self) -> bool:
        """Whether the user's images are a tensor with the channels first."""

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes, by label; None if the samples have none."""

    @property
    def skipped(self) -> list[UnreadableImage]:
        """Rows of the user's input that were left out."""

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return a copy of the samples at some positions."""

    def item(self, position: int) -> np.ndarray:
        """Return one image without rounding it to 8 bits."""

    def read_ahead(self, positions: np.ndarray) -> None:
        """Prepare samples that will be requested next."""

    def readable_positions(self) -> np.ndarray:
        """Read every sample; return the positions of those that can be read."""

    def fingerprint(self, positions: np.ndarray) -> str:
        """Return a hash of the samples at some positions."""

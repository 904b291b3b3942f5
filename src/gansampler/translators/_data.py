"""Two unpaired domains: the order of their samples, and batches for networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from gansampler.images import ImageSequence, flip_chosen
from gansampler.training import ProcessGroup

Domain = Literal["source", "target"]


@dataclass(kw_only=True)
class UnpairedData:
    """Shuffled batches of a source and a target domain.

    An epoch shows each sample of the larger domain once, and those of the smaller one
    equally often, give or take once. The order depends on the seed and the number of
    the epoch only, so that an interrupted run can continue anywhere.

    Parameters
    ----------
    source, target : ImageSequence
        The samples of the two domains.
    batch_size : int
        Samples of each domain per batch. The last batch of an epoch may be smaller.
    seed : int
        Seed of the order and of the flips.
    horizontal_flip, vertical_flip : bool, default=False
        Whether images are flipped at random, each with probability 1/2.
    size_multiple : int, default=1
        Images are padded so that height and width are multiples of it.
    scalers : dict of str -> StandardScaler, default=None
        For feature rows, what ``"source"`` and ``"target"`` are standardised with.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.images import ImageSequence
    >>> from gansampler.translators import UnpairedData
    >>> X = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    >>> data = UnpairedData(
    ...     source=ImageSequence(X), target=ImageSequence(X[:2]), batch_size=3, seed=0
    ... )
    >>> [tuple(real_source.shape) for _, (real_source, _) in data.batches(1)]
    [(3, 3, 8, 8), (2, 3, 8, 8)]
    """

    source: ImageSequence
    target: ImageSequence
    batch_size: int
    seed: int
    horizontal_flip: bool = False
    vertical_flip: bool = False
    size_multiple: int = 1
    scalers: Mapping[Domain, StandardScaler] | None = None

    @property
    def n_samples(self) -> int:
        """Samples of each domain per epoch."""
        return max(len(self.source), len(self.target))

    @property
    def n_batches(self) -> int:
        """Batches per epoch."""
        return -(-self.n_samples // self.batch_size)

    def batches(
        self,
        epoch: int,
        *,
        first: int = 1,
        draw: int = 0,
        group: ProcessGroup | None = None,
    ) -> Iterator[tuple[int, tuple[torch.Tensor, torch.Tensor]]]:
        """Yield the batches of an epoch, each with its size in all processes together.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 1.
        first : int, default=1
            Number of the first batch to yield.
        draw : int, default=0
            Another number gives another order.
        group : ProcessGroup, default=None
            Each of several processes gets its share of every batch.

        Yields
        ------
        n_samples : int
            Size of the batch in all processes together.
        batch : tuple of Tensor
            (real_source, real_target): tensors of float32 of shape (n, n_channels,
            height, width) in [-1, 1], or of shape (n, n_features).
        """
        group = group or ProcessGroup()
        self._check_batch_size(group.world_size)
        domains: dict[Domain, ImageSequence] = {
            "source": self.source,
            "target": self.target,
        }
        rng = np.random.default_rng([self.seed, epoch, draw])
        orders = {
            name: self._order(len(images), rng) for name, images in domains.items()
        }
        flips = {name: rng.random((self.n_samples, 2)) < 0.5 for name in domains}
        batches = [
            range(start, min(start + self.batch_size, self.n_samples))
            for start in range(0, self.n_samples, self.batch_size)
        ][first - 1 :]
        shares = [slice(s.start, s.stop) for s in map(group.share, batches)]
        # Files of the next batch are decoded while the networks process this one.
        rows = {
            name: images.prefetch([orders[name][share] for share in shares])
            for name, images in domains.items()
        }
        for batch, share in zip(batches, shares, strict=True):
            real_source, real_target = (
                self._load(name, next(rows[name]), flips[name][share])
                for name in domains
            )
            yield len(batch), (real_source, real_target)

    def fingerprint(self) -> list[Any]:
        """Return hashes of the source and of the target."""
        return [self.source.fingerprint(), self.target.fingerprint()]

    def _order(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        n_rounds = -(-self.n_samples // n_samples)
        shuffled = [rng.permutation(n_samples) for _ in range(n_rounds)]
        return np.concatenate(shuffled)[: self.n_samples]

    def _load(self, name: Domain, rows: np.ndarray, flips: np.ndarray) -> torch.Tensor:
        images = self.source if name == "source" else self.target
        scaler = None if self.scalers is None else self.scalers[name]
        batch = encode(images, rows, size_multiple=self.size_multiple, scaler=scaler)
        if not images.is_image:
            return batch
        horizontal, vertical = flips.T
        return flip_chosen(
            batch, horizontal & self.horizontal_flip, vertical & self.vertical_flip
        )

    def _check_batch_size(self, world_size: int) -> None:
        if self.batch_size % world_size:
            raise ValueError(
                "`batch_size` is the number of images in all processes together, and "
                f"must be a multiple of the number of processes. Got {self.batch_size} "
                f"for {world_size} processes. Pass batch_size={world_size}, or a "
                "multiple of it."
            )


def encode(
    images: ImageSequence,
    rows: npt.ArrayLike,
    *,
    size_multiple: int = 1,
    scaler: StandardScaler | None = None,
) -> torch.Tensor:
    """Return samples as networks take them: padded images, or standardised rows.

    Parameters
    ----------
    images : ImageSequence
    rows : array-like of int
        Which samples.
    size_multiple : int, default=1
        Images are padded so that height and width are multiples of it.
    scaler : StandardScaler, default=None
        For feature rows.

    Returns
    -------
    batch : Tensor of float32
    """
    if scaler is not None:
        unscaled = images.take(rows).astype(np.float64)
        return torch.from_numpy(scaler.transform(unscaled)).float()
    return pad_to_multiple(images.batch(rows), size_multiple)


def pad_to_multiple(batch: torch.Tensor, size_multiple: int) -> torch.Tensor:
    """Pad images (n, c, h, w) by reflection, at the bottom and at the right.

    Reflection adds at most one pixel less than the image has. Where more is needed,
    the padded image is reflected again.
    """
    height, width = batch.shape[-2:]
    bottom, right = -height % size_multiple, -width % size_multiple
    while bottom or right:
        down, across = min(bottom, height - 1), min(right, width - 1)
        batch = F.pad(batch, (0, across, 0, down), mode="reflect")
        height, width = batch.shape[-2:]
        bottom, right = bottom - down, right - across
    return batch

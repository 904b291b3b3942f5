"""The interface of every translator, and what all of them share.

Layer rule: knows images, networks, losses and the trainer; never a sampler.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn import functional as F

from gansampler.images import ImageSequence, chunks
from gansampler.training import Trainer

__all__ = ["BaseTranslator"]

Domain = Literal["source", "target"]


class BaseTranslator(BaseEstimator):
    """Base of the translators: ``fit(source, target)``, ``translate(X)``.

    A subclass builds and trains its networks in ``_fit(source, target)``, which gets
    two checked :class:`~gansampler.images.ImageSequence`, and names the network that
    translates in ``_forward_network()``. `_encode` and :meth:`_map` do the rest:
    images of any size from 8 px are padded to what the network takes and cropped
    again, and feature rows are standardised.

    See Also
    --------
    CycleGAN : The translator of the paper.

    Examples
    --------
    A translator that adds the difference of the two domains' mean images:

    >>> import numpy as np
    >>> import torch
    >>> from gansampler.translators import BaseTranslator
    >>> class AddDifference(torch.nn.Module):
    ...     def __init__(self, difference):
    ...         super().__init__()
    ...         self.register_buffer("difference", difference)
    ...
    ...     def forward(self, input):
    ...         return input + self.difference
    >>> class MeanShift(BaseTranslator):
    ...     _parameter_constraints = {}
    ...
    ...     def _fit(self, source, target):
    ...         means = [
    ...             domain.batch(np.arange(len(domain))).mean(dim=0)
    ...             for domain in (source, target)
    ...         ]
    ...         self.network_ = AddDifference(means[1] - means[0])
    ...
    ...     def _forward_network(self):
    ...         return self.network_
    >>> dark = np.full((4, 8, 8, 3), 50, dtype=np.uint8)
    >>> shift = MeanShift().fit(dark, dark + 70)
    >>> int(shift.translate(dark[:1]).max())
    120
    """

    def fit(self, source: npt.ArrayLike, target: npt.ArrayLike) -> BaseTranslator:
        """Learn to turn images of the source domain into ones of the target domain.

        The two need not be paired, nor of the same number.

        Parameters
        ----------
        source : array-like of shape (n_source, height, width, n_channels)
            uint8 in [0, 255] or floating in [0, 1]. Also (n_source, height, width)
            for grey images, or (n_source, n_features) for feature rows.
        target : array-like of shape (n_target, height, width, n_channels)
            Likewise; images of the same shape as the source's.

        Returns
        -------
        self : BaseTranslator

        Raises
        ------
        ValueError
            If a domain has fewer than two samples, or if their shapes differ.
        TrainingDivergedError
            If a loss is NaN or infinite.
        """
        self._validate_params()
        domains = {"source": _as_sequence(source), "target": _as_sequence(target)}
        for name, domain in domains.items():
            if len(domain) < 2:
                raise ValueError(
                    f"A translator learns from at least 2 samples of each domain. Got "
                    f"{len(domain)} of the {name}. Collect more, or drop that class."
                )
        shapes = [tuple(domain.sample_shape) for domain in domains.values()]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Source and target must be of the same shape. Got {shapes[0]} and "
                f"{shapes[1]}. Resize one of them."
            )
        self.sample_shape_ = shapes[0]
        self._fit_scalers(**domains)
        self._fit(**domains)
        return self

    def translate(self, X: npt.ArrayLike) -> np.ndarray:
        """Turn source images into target images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, of the shape seen there.

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`
        """
        return self._map(self._forward_network, X, "source", "target")

    @abstractmethod
    def _fit(self, source: ImageSequence, target: ImageSequence) -> None:
        """Build the networks and train them; set attributes that end in ``_``."""

    @abstractmethod
    def _forward_network(self) -> nn.Module:
        """Return the fitted network from source to target."""

    def _get_trainer(self) -> Trainer:
        trainer = getattr(self, "trainer", None)
        return Trainer() if trainer is None else trainer

    def _fit_scalers(self, source: ImageSequence, target: ImageSequence) -> None:
        """Standardise feature rows, each domain by itself; images need nothing.

        In these units the identity already gives the target's means and deviations,
        and the networks learn what is left.
        """
        self.scalers_: dict[str, StandardScaler] | None = None
        if not source.is_image:
            self.scalers_ = {
                name: StandardScaler().fit(
                    domain.take(np.arange(len(domain))).astype(np.float64)
                )
                for name, domain in (("source", source), ("target", target))
            }

    def _encode(
        self,
        images: ImageSequence,
        rows: npt.ArrayLike,
        size_multiple: int,
        domain: Domain,
    ) -> torch.Tensor:
        """Return rows as networks take them: standardised, or padded by reflection."""
        if self.scalers_ is not None:
            unscaled = images.take(rows).astype(np.float64)
            return torch.from_numpy(self.scalers_[domain].transform(unscaled)).float()
        batch = images.batch(rows)
        height, width = batch.shape[-2:]
        bottom, right = -height % size_multiple, -width % size_multiple
        if bottom or right:
            batch = F.pad(batch, (0, right, 0, bottom), mode="reflect")
        return batch

    def _decode(
        self, images: ImageSequence, batch: torch.Tensor, domain: Domain
    ) -> np.ndarray:
        """Undo :meth:`_encode`, in the caller's form and dtype."""
        if self.scalers_ is not None:
            rows = self.scalers_[domain].inverse_transform(batch.double().numpy())
            return images.restore(torch.from_numpy(rows))
        height, width = self.sample_shape_[:2]
        return images.restore(batch[..., :height, :width])

    def _map(
        self,
        get_network: Callable[[], nn.Module],
        X: npt.ArrayLike,
        domain: Domain,
        other: Domain,
    ) -> np.ndarray:
        """Take `X` of one domain through a network into the other."""
        check_is_fitted(self)
        images = _as_sequence(X)
        if tuple(images.sample_shape) != self.sample_shape_:
            raise ValueError(
                "A translator takes samples of the shape that it was fitted on, "
                f"{self.sample_shape_}. Got {tuple(images.sample_shape)}. Resize "
                "them, or fit another translator."
            )
        network = get_network()
        parts = list(chunks(len(images), images.sample_shape))
        batches: Iterator[torch.Tensor] = (
            self._encode(images, rows, getattr(network, "size_multiple", 1), domain)
            for rows in parts
        )
        # Half precision resolves the steps of uint8, and would show in floats.
        outputs = self._get_trainer().predict(
            network, batches, mixed_precision=images.dtype == np.uint8
        )
        first = next(outputs)
        part = self._decode(images, first, other)
        result = np.empty((len(images), *part.shape[1:]), dtype=part.dtype)
        result[parts[0]] = part
        for rows, output in zip(parts[1:], outputs, strict=True):
            result[rows] = self._decode(images, output, other)
        return result


def _as_sequence(X: npt.ArrayLike) -> ImageSequence:
    return X if isinstance(X, ImageSequence) else ImageSequence(X)

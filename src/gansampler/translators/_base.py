"""The interface of every translator, and what all of them share.

Layer rule: knows images, networks, losses and the trainer; never a sampler.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn import functional as F

from gansampler._validation import (
    DefaultPartsMixin,
    NearestNameMixin,
    restore_on_failure,
)
from gansampler.images import ImageSequence
from gansampler.training import Trainer

__all__ = ["BaseTranslator"]

Domain = Literal["source", "target"]


def _has_discriminator(translator: BaseTranslator) -> bool:
    return hasattr(translator, "_discriminator_network")


class BaseTranslator(NearestNameMixin, DefaultPartsMixin, BaseEstimator):
    """Base of the translators: ``fit(source, target)``, ``translate(X)``.

    A subclass builds and trains its networks in ``_fit(source, target)``, which gets
    two checked :class:`~gansampler.images.ImageSequence`, and names the network that
    translates in ``_forward_network()``. One that has a discriminator of the target
    domain may name it in ``_discriminator_network()``, for :meth:`realism_score`.
    ``_get_trainer()`` gives its parameter `trainer`, or the default one, and
    ``sample_shape_`` is set before ``_fit``. The base does the rest: images of any
    size from 8 px are padded to the network's ``size_multiple``, if it has one, and
    cropped again, and feature rows are standardised.

    See Also
    --------
    CycleGAN : The translator of the paper.
    CUT : One generator instead of two.
    TranslationTask : What trains the networks of a translator.

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

    # Of scikit-learn's kind, by name; what is not named is not checked.
    _parameter_constraints: dict = {}
    _default_parts: ClassVar = {"trainer": Trainer}

    @restore_on_failure
    def fit(
        self,
        source: npt.ArrayLike | ImageSequence,
        target: npt.ArrayLike | ImageSequence,
    ) -> BaseTranslator:
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

    def translate(self, X: npt.ArrayLike | ImageSequence) -> np.ndarray:
        """Turn source images into target images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, of the shape seen there.

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`
        """
        decode = partial(self._decode, domain="target")
        return self._map(self._forward_network, X, "source", decode)

    @available_if(_has_discriminator)
    def realism_score(self, X: npt.ArrayLike | ImageSequence) -> np.ndarray:
        """Say how real the discriminator of the target domain finds each sample.

        It learns to give 1 for images of the target domain and 0 for translations; a
        score is the mean of what it gives for the patches of an image. Scores order
        the translations of one translator and do not compare translators. High ones
        are no proof: the generator learned to deceive this very network.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Translations, or images of the target domain, in any form that
            :meth:`fit` takes, of the shape seen there.

        Returns
        -------
        scores : ndarray of float32 of shape (n_samples,)
        """
        return self._map(
            self._discriminator_network,
            X,
            "target",
            lambda images, output: output.float().flatten(1).mean(dim=1).numpy(),
        )

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Translate the images of a batch, as engines that map over batches call it.

        A fitted translator is pickled to their workers and keeps nothing between
        calls: ``dataset.map_batches(translator, batch_size=64)`` with Ray Data.

        Parameters
        ----------
        batch : mapping of str -> ndarray
            Its ``"image"`` is in a form that :meth:`translate` takes.

        Returns
        -------
        batch : dict of str -> ndarray
            The same, with ``"image"`` translated.
        """
        return {**batch, "image": self.translate(batch["image"])}

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
            # A data frame under sklearn.set_config(transform_output=...).
            scaled = np.array(self.scalers_[domain].transform(unscaled))
            return torch.from_numpy(scaled).float()
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
        X: npt.ArrayLike | ImageSequence,
        domain: Domain,
        decode: Callable[[ImageSequence, torch.Tensor], np.ndarray],
    ) -> np.ndarray:
        """Take `X` of one domain through a network."""
        check_is_fitted(self)
        images = _as_sequence(X)
        if tuple(images.sample_shape) != self.sample_shape_:
            raise ValueError(
                "A translator takes samples of the shape that it was fitted on, "
                f"{self.sample_shape_}. Got {tuple(images.sample_shape)}. Resize "
                "them, or fit another translator."
            )
        network = get_network()
        size_multiple = getattr(network, "size_multiple", 1)
        return self._get_trainer().predict(
            network,
            len(images),
            lambda rows: self._encode(images, rows, size_multiple, domain),
            lambda output: decode(images, output),
            n_pixels=math.prod(images.sample_shape[:-1]),
            # Half precision resolves the steps of uint8, and would show in floats.
            mixed_precision=images.dtype == np.uint8,
        )


def _as_sequence(X: npt.ArrayLike | ImageSequence) -> ImageSequence:
    return X if isinstance(X, ImageSequence) else ImageSequence(X)

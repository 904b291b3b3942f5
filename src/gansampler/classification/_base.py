"""What a fitted network classifier does: predict, embed, and go to a file.

Layer rule: knows no parameter of training.
"""

from __future__ import annotations

import math
import os
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import nn

from gansampler._validation import DefaultPartsMixin, NearestNameMixin
from gansampler.classification._data import check_samples
from gansampler.classification._files import read_classifier, write_classifier
from gansampler.classification._network import ClassifierNetwork
from gansampler.classification._task import Samples
from gansampler.images import ImageSequence
from gansampler.training import Trainer

__all__ = ["BaseNetworkClassifier"]

Self = TypeVar("Self", bound="BaseNetworkClassifier")


class BaseNetworkClassifier(
    NearestNameMixin, DefaultPartsMixin, ClassifierMixin, BaseEstimator
):
    """Predictions of a fitted `network_`, for images or for feature rows."""

    classes_: np.ndarray
    network_: nn.Module
    sample_shape_: tuple[int, ...]
    scaler_: StandardScaler | None
    _default_parts: ClassVar = {"trainer": Trainer}

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, of the shape seen there.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        positions = self._logits(X).argmax(1)
        return self.classes_[positions]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`predict`.

        Returns
        -------
        probabilities : ndarray of float64 of shape (n_samples, n_classes)
        """
        return softmax(self._logits(X), axis=1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits; for two classes, the log-odds of the second.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`predict`.

        Returns
        -------
        decision : ndarray of float64 of shape (n_samples,) or (n_samples, n_classes)
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def embed(self, X: Any) -> np.ndarray:
        """Return the features after global average pooling.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`predict`.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features)
            Of feature rows, the standardised rows.
        """
        check_is_fitted(self)
        images = check_samples(self, X, cache=False)
        if isinstance(self.network_, ClassifierNetwork):
            return self._map(_Embedding(self.network_), images)
        return self._map(nn.Identity(), images)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted network, parameters and history to one safetensors file.

        A trainer, a loss module and a random state that is no integer are not kept.

        Parameters
        ----------
        path : path-like
            Written atomically.
        """
        check_is_fitted(self)
        write_classifier(self, path)

    @classmethod
    def load(cls: type[Self], path: str | os.PathLike[str]) -> Self:
        """Read a fitted classifier that :meth:`save` wrote. No code in it is run.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        classifier : TransferClassifier
            Fitted, with ``trainer=None``. If its `loss` was a module, set it again
            before another :meth:`fit`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is damaged or holds something else.
        """
        return read_classifier(cls, path)

    def _get_trainer(self) -> Trainer:
        trainer = getattr(self, "trainer", None)
        return Trainer() if trainer is None else trainer

    def _samples(self, images: ImageSequence, target: np.ndarray) -> Samples:
        def encode(rows: np.ndarray) -> torch.Tensor:
            return self._encode(images, rows)

        return Samples(images, encode, target)

    def _encode(self, images: ImageSequence, rows: np.ndarray) -> torch.Tensor:
        if self.scaler_ is None:
            return images.batch(rows)
        # A data frame under sklearn.set_config(transform_output=...).
        scaled = np.array(self.scaler_.transform(images.take(rows).astype(np.float64)))
        return torch.from_numpy(scaled).float()

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        images = check_samples(self, X, cache=False)
        return self._map(self.network_, images).astype(np.float64)

    def _map(self, network: nn.Module, images: ImageSequence) -> np.ndarray:
        def encode(rows: np.ndarray) -> torch.Tensor:
            # Rows come in order: the next ones are decoded while these are computed.
            ahead = rows[0] + np.arange(2 * len(rows))
            images.read_ahead(ahead[ahead < len(images)])
            return self._encode(images, rows)

        return self._get_trainer().predict(
            network,
            len(images),
            encode,
            lambda output: output.float().numpy(),
            n_pixels=math.prod(images.sample_shape[:-1]),
            mixed_precision=images.is_image,
        )


class _Embedding(nn.Module):
    """A network whose output is its embedding."""

    def __init__(self, network: ClassifierNetwork) -> None:
        super().__init__()
        self.network = network
        # The mode of the whole is put back after a prediction, in the network too.
        self.training = network.training

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.embed(images)

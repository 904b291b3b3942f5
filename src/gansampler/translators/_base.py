"""The interface of every translator, and what all of them share.

Layer rule: knows images, networks, losses and the trainer; never a sampler.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from gansampler._serialization import comparable_params
from gansampler._validation import (
    DefaultPartsMixin,
    NearestNameMixin,
    restore_on_failure,
)
from gansampler.images import ImageSequence
from gansampler.training import Trainer
from gansampler.translators._data import Domain, encode
from gansampler.translators._task import TranslationTask


def _has_discriminator(translator: BaseTranslator) -> bool:
    return hasattr(translator, "_discriminator_network")


class BaseTranslator(NearestNameMixin, DefaultPartsMixin, BaseEstimator):
    """Base of all translators, with ``fit(source, target)`` and ``translate(X)``.

    A subclass writes two methods:

    - ``_fit(source, target)`` builds and trains the networks. It gets two checked
      :class:`~gansampler.images.ImageSequence`. ``sample_shape_`` is set before it is
      called. ``_train(task, n_epochs)`` trains a :class:`TranslationTask` with the
      parameters `trainer` and `verbose`, if the subclass has them, and sets
      ``history_`` and ``is_finished_``.
    - ``_forward_network()`` returns the network that translates.

    If there is a method ``_discriminator_network()`` that returns a discriminator of
    the target domain, the translator has :meth:`realism_score`.

    Images may be of any size from 8 px. They are padded to the ``size_multiple`` of
    the network, if it has one, and the output is cropped. Feature rows are
    standardised.

    See Also
    --------
    AdversarialTranslator : Base of the translators with discriminators.
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

    # Constraints in scikit-learn's form; parameters without one are not checked.
    _parameter_constraints: dict = {}
    # Half precision is exact enough for most networks and uint8, but not for floating
    # images.
    _mixed_precision: ClassVar = True
    _default_parts: ClassVar = {"trainer": Trainer}
    _explained_names: ClassVar = dict.fromkeys(
        ("image_size", "image_shape"),
        "It takes the size of the images from the data that it is fitted to.",
    )

    @restore_on_failure
    def fit(
        self,
        source: npt.ArrayLike | ImageSequence,
        target: npt.ArrayLike | ImageSequence,
    ) -> BaseTranslator:
        """Learn to translate images of the source domain into the target domain.

        The two domains need not be paired, and may have different sizes.

        Parameters
        ----------
        source : array-like of shape (n_source, height, width, n_channels)
            uint8 in [0, 255] or floating in [0, 1]. Also (n_source, height, width)
            for grey images, or (n_source, n_features) for feature rows.
        target : array-like of shape (n_target, height, width, n_channels)
            In the same form. Images have the same shape as those of the source.

        Returns
        -------
        self : BaseTranslator

        Raises
        ------
        ValueError
            If a domain has fewer than two samples, if their shapes differ, or if the
            second argument contains labels.
        TrainingDivergedError
            If a loss is NaN or infinite.
        """
        self._validate_params()
        _refuse_labels(source, target)
        domains = {"source": _as_sequence(source), "target": _as_sequence(target)}
        for name, domain in domains.items():
            if len(domain) < 2:
                raise ValueError(
                    "A translator needs at least 2 samples of each domain. Got "
                    f"{len(domain)} of the {name}. Collect more, or drop that class."
                )
        shapes = [tuple(domain.sample_shape) for domain in domains.values()]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Source and target must have the same shape. Got {shapes[0]} and "
                f"{shapes[1]}. Resize one of them."
            )
        self.sample_shape_ = shapes[0]
        self._fit_scalers(**domains)
        self._fit(**domains)
        return self

    def translate(self, X: npt.ArrayLike | ImageSequence) -> np.ndarray:
        """Translate source images into target images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, with the same height, width and
            channels.

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`
        """
        decode = partial(self._decode, domain="target")
        return self._map(self._forward_network, X, "source", decode)

    @available_if(_has_discriminator)
    def realism_score(self, X: npt.ArrayLike | ImageSequence) -> np.ndarray:
        """Return how real the discriminator of the target domain finds each sample.

        A patch discriminator is trained to return 1 for images of the target domain and
        0 for translations, and a projected one to return more than 1 and less than -1.
        The score of an image is the mean over its patches. Use
        scores to rank the translations of one translator, not to compare
        translators. A high score does not prove that an image is realistic, because
        the generator was trained to deceive this discriminator.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Translations, or images of the target domain, in any form that
            :meth:`fit` takes, with the same height, width and channels.

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
        """Translate the images of a batch, for tools that map a function over batches.

        A fitted translator can be pickled and stores nothing between calls, so that
        Ray Data can run ``dataset.map_batches(translator, batch_size=64)``.

        Parameters
        ----------
        batch : mapping of str -> ndarray
            ``batch["image"]`` is in a form that :meth:`translate` takes.

        Returns
        -------
        batch : dict of str -> ndarray
            The same entries, with ``"image"`` translated.
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

    def _train(self, task: TranslationTask, n_epochs: int) -> None:
        """Train a task, and set ``history_`` and ``is_finished_``."""
        task.params = comparable_params(self)
        task.translate_function = self.translate
        self.history_: list[dict[str, float]] = self._get_trainer().fit(
            task,
            n_epochs=n_epochs,
            verbose=getattr(self, "verbose", 0),
            description=type(self).__name__,
        )
        self.is_finished_ = task.finished

    def _fit_scalers(self, source: ImageSequence, target: ImageSequence) -> None:
        """Fit a scaler for the feature rows of each domain; images need none.

        In standardised units the identity already gives the target's means and
        deviations. The networks learn the remaining difference.
        """
        self.scalers_: dict[Domain, StandardScaler] | None = None
        if not source.is_image:
            source_scaler, target_scaler = (
                # Arrays even under sklearn.set_config(transform_output="pandas").
                StandardScaler()
                .set_output(transform="default")
                .fit(domain.take(np.arange(len(domain))).astype(np.float64))
                for domain in (source, target)
            )
            self.scalers_ = {"source": source_scaler, "target": target_scaler}

    def _decode(
        self, images: ImageSequence, batch: torch.Tensor, domain: Domain
    ) -> np.ndarray:
        """Return a network's output in the caller's form and dtype."""
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
        """Map a network over `X`, which belongs to a domain."""
        check_is_fitted(self)
        _refuse_single_image(X, self.sample_shape_)
        images = _as_sequence(X)
        if tuple(images.sample_shape) != self.sample_shape_:
            raise ValueError(
                "Samples must have the shape that the translator was fitted on, "
                f"{self.sample_shape_}. Got {tuple(images.sample_shape)}. Resize "
                "them, or fit another translator."
            )
        network = get_network()
        encode_rows = partial(
            encode,
            images,
            size_multiple=getattr(network, "size_multiple", 1),
            scaler=None if self.scalers_ is None else self.scalers_[domain],
        )
        return self._get_trainer().predict(
            network,
            len(images),
            encode_rows,
            lambda output: decode(images, output),
            n_pixels=math.prod(images.sample_shape[:-1]),
            mixed_precision=self._mixed_precision and images.dtype == np.uint8,
        )


def _refuse_labels(source: Any, target: Any) -> None:
    """Refuse labels in the place of target images."""
    if not (_is_flat(target) and len(target) == len(source)) or _is_flat(source):
        return
    counts = Counter(np.asarray(target).tolist()).most_common()
    first, *_, last = [repr(label) for label, _ in (*counts, *counts)]
    raise ValueError(
        "`fit` takes two sets of images, a source and a target. Got labels as the "
        "second argument. Pass the images of each class: "
        f"fit(X[y == {first}], X[y == {last}]). GANOverSampler takes images and "
        "labels: fit_resample(X, y)."
    )


def _is_flat(values: Any) -> bool:
    """Whether values are a sequence of scalars, such as labels or paths."""
    if isinstance(values, list | tuple):
        return len(values) > 0 and all(np.ndim(value) == 0 for value in values[:2])
    return getattr(values, "ndim", None) == 1 or type(values).__name__ == "Series"


def _refuse_single_image(X: Any, sample_shape: tuple[int, ...]) -> None:
    shape = tuple(getattr(X, "shape", ()))
    is_grey = len(sample_shape) == 3 and sample_shape[2] == 1
    if shape == sample_shape or (is_grey and shape == sample_shape[:2]):
        raise ValueError(
            "Samples must be passed as an array of several samples. Got a single one, "
            f"of shape {shape}. Pass X[:1] instead of X[0], or image[np.newaxis]."
        )


def _as_sequence(X: npt.ArrayLike | ImageSequence) -> ImageSequence:
    return X if isinstance(X, ImageSequence) else ImageSequence(X)

"""Filters of synthetic images, fitted to the real training images."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gansampler._validation import Interval, NearestNameMixin
from gansampler.images import ImageSequence

A_SHARE = Interval(Real, 0, 1, closed="both")


class Verdict(NamedTuple):
    """What a filter found about some candidates.

    Parameters
    ----------
    accepted : ndarray of bool of shape (n_samples,)
        Whether the filter accepts each candidate.
    figures : ndarray of float64 of shape (n_samples,)
        The figures that were compared with the threshold.
    reasons : list of str
        One per candidate: why it is rejected, or an empty text.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import Verdict
    >>> verdict = Verdict(np.array([False]), np.array([0.1]), ["0.1 is below 0.5"])
    >>> verdict.reasons
    ['0.1 is below 0.5']
    """

    accepted: np.ndarray
    figures: np.ndarray
    reasons: list[str]


class BaseFilter(NearestNameMixin, BaseEstimator):
    """Base of the filters: a figure of each candidate is compared with a threshold.

    A subclass writes three methods. ``_fit(source, target, target_scores)`` sets
    ``threshold_``; it gets two :class:`~gansampler.images.ImageSequence`.
    ``_compute(candidates, scores)`` returns the figure of each candidate.
    ``_passes(figures)`` compares them with the threshold. ``_rule`` describes a
    rejected candidate, with ``{figure}`` and ``{threshold}``.

    Attributes
    ----------
    threshold_ : float
        What the figures are compared with.

    Examples
    --------
    A filter that accepts bright images:

    >>> import numpy as np
    >>> from gansampler.quality import BaseFilter
    >>> class BrightnessFilter(BaseFilter):
    ...     _rule = "mean {figure} is below {threshold}"
    ...
    ...     def _fit(self, source, target, target_scores):
    ...         self.threshold_ = self._compute(target, None).min()
    ...
    ...     def _compute(self, candidates, scores):
    ...         images = candidates.take(np.arange(len(candidates)))
    ...         return images.mean(axis=(1, 2, 3))
    ...
    ...     def _passes(self, figures):
    ...         return figures >= self.threshold_
    >>> levels = np.arange(0, 240, 40, dtype=np.uint8)[:, None, None, None]
    >>> images = np.tile(levels, (1, 8, 8, 3))
    >>> fitted = BrightnessFilter().fit(source=images[:3], target=images[3:])
    >>> fitted.judge(images[[1, 4]])[::2]
    (array([False,  True]), ['mean 40 is below 120', ''])
    """

    # Whether the filter needs the scores of the translator's discriminator.
    needs_scores: ClassVar[bool] = False
    _parameter_constraints: dict = {}
    _rule: ClassVar[str]
    threshold_: float

    def fit(
        self,
        source: Any,
        target: Any,
        *,
        target_scores: npt.ArrayLike | None = None,
    ) -> Any:
        """Find the threshold from real images.

        Parameters
        ----------
        source, target : array-like of shape (n_samples, height, width, n_channels)
            Real training images of the source and of the class that grows: uint8 in
            [0, 255] or floating in [0, 1], or any other form of
            :class:`~gansampler.images.ImageSequence`. Feature rows of shape
            (n_samples, n_features) are used as features.
        target_scores : array-like of shape (n_target,), default=None
            The translator's ``realism_score`` of the real target images, for a filter
            whose `needs_scores` is true.

        Returns
        -------
        self : BaseFilter

        Raises
        ------
        ValueError
            If a parameter is not as described, if there are fewer than two images of
            the source or of the target, or if the scores are missing.
        """
        self._validate_params()
        domains = {"source": _open(source), "target": _open(target)}
        for name, images in domains.items():
            if len(images) < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least two real images of the "
                    f"source and of the target. Got {len(images)} of the {name}. Pass "
                    "more, or leave out the filter."
                )
        scores = self._checked(target_scores, len(domains["target"]), "target_scores")
        self._fit(domains["source"], domains["target"], scores)
        return self

    def judge(self, candidates: Any, *, scores: npt.ArrayLike | None = None) -> Verdict:
        """Return which candidates are accepted, and why the others are not.

        Parameters
        ----------
        candidates : array-like of shape (n_samples, height, width, n_channels)
            Synthetic images, in any form that :meth:`fit` takes.
        scores : array-like of shape (n_samples,), default=None
            The translator's ``realism_score`` of the candidates, for a filter whose
            `needs_scores` is true.

        Returns
        -------
        verdict : Verdict

        Raises
        ------
        NotFittedError
            If :meth:`fit` was not called.
        ValueError
            If the scores are missing.
        """
        check_is_fitted(self, "threshold_")
        images = _open(candidates)
        known = self._checked(scores, len(images), "scores")
        figures = np.asarray(self._compute(images, known), dtype=np.float64)
        accepted = np.asarray(self._passes(figures), dtype=bool)
        threshold = f"{self.threshold_:.4g}"
        reasons = [
            "" if passes else self._rule.format(figure=f"{x:.4g}", threshold=threshold)
            for passes, x in zip(accepted, figures, strict=True)
        ]
        return Verdict(accepted, figures, reasons)

    def _checked(self, scores: Any, n_images: int, name: str) -> np.ndarray | None:
        """Return scores as an array; None if the filter does not need them."""
        if not self.needs_scores:
            return None
        if scores is None or np.shape(scores) != (n_images,):
            found = "None" if scores is None else f"shape {np.shape(scores)}"
            raise ValueError(
                f"{type(self).__name__} compares scores of the translator: `{name}` "
                f"must have one for each image, {n_images}. Got {found}. Pass "
                f"{name}=translator.realism_score(images)."
            )
        return np.asarray(scores, dtype=np.float64)

    @abstractmethod
    def _fit(
        self,
        source: ImageSequence,
        target: ImageSequence,
        target_scores: np.ndarray | None,
    ) -> None:
        """Set the fitted attributes."""

    @abstractmethod
    def _compute(
        self, candidates: ImageSequence, scores: np.ndarray | None
    ) -> np.ndarray:
        """Return the figure of each candidate."""

    @abstractmethod
    def _passes(self, figures: np.ndarray) -> np.ndarray:
        """Return whether each figure is accepted."""


def _open(X: Any) -> ImageSequence:
    return X if isinstance(X, ImageSequence) else ImageSequence(X)


class DiscriminatorFilter(BaseFilter):
    """Accept candidates that the translator's discriminator finds realistic.

    The ``realism_score`` of a candidate must be at least a quantile of the scores of
    the real target images.

    Parameters
    ----------
    quantile : float, default=0.1
        Share of the real target images whose score is below the threshold, in [0, 1].

    Attributes
    ----------
    threshold_ : float
        The smallest score that is accepted.

    See Also
    --------
    LabelFilter : Uses a classifier that the generator was not trained to deceive.

    Notes
    -----
    The discriminator has seen the real target images during the training, and the
    generator was trained to deceive it. So this filter may reject most candidates of
    one translator, and none of another. Scores of a translator without a discriminator
    do not exist; the sampler refuses it before the training.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import DiscriminatorFilter
    >>> images = np.random.default_rng(0).random((5, 8, 8, 3))
    >>> fitted = DiscriminatorFilter(quantile=0.5).fit(
    ...     images, images, target_scores=[0.1, 0.2, 0.3, 0.4, 0.5]
    ... )
    >>> fitted.judge(images[:2], scores=[0.25, 0.35]).accepted
    array([False,  True])
    """

    needs_scores = True
    _parameter_constraints: dict = {"quantile": [A_SHARE]}
    _rule = "realism score {figure} is below {threshold}"

    def __init__(self, *, quantile=0.1):
        self.quantile = quantile

    def _fit(self, source, target, target_scores):
        self.threshold_ = float(np.quantile(target_scores, self.quantile))

    def _compute(self, candidates, scores):
        return scores

    def _passes(self, figures):
        return figures >= self.threshold_

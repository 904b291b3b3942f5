"""Filters that compare features of synthetic images with those of real ones."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gansampler._validation import HasMethods, StrOptions
from gansampler.images import ImageSequence
from gansampler.quality._features import FeatureExtractor
from gansampler.quality._filters import A_SHARE, BaseFilter

MAX_FOLDS = 5
# Share of the real target images that the automatic threshold would reject.
REJECTED_SHARE = 0.1
# Features of equal images differ by rounding.
SAME_IMAGE = 1e-6


class FeatureFilter(BaseFilter):
    """Base of the filters that compare features of a pretrained network.

    Parameters
    ----------
    extractor : FeatureExtractor, default=None
        From images to features. None means ``FeatureExtractor()``. It is not cloned:
        filters with the same extractor compute the features of an image once.

    Attributes
    ----------
    extractor_ : FeatureExtractor
        The extractor in use.
    """

    _parameter_constraints: dict = {"extractor": [HasMethods(["transform"]), None]}

    def __init__(self, *, extractor=None):
        self.extractor = extractor

    def _fit(self, source, target, target_scores):
        extractor = self.extractor
        self.extractor_ = FeatureExtractor() if extractor is None else extractor
        self._fit_features(self._features(source), self._features(target))

    def _compute(self, candidates, scores):
        return self._compute_from_features(self._features(candidates))

    def _features(self, images: ImageSequence) -> np.ndarray:
        """Return features in float64; feature rows are features themselves."""
        if images.is_image:
            features = self.extractor_.transform(images)
        else:
            features = images.take(np.arange(len(images)))
        return np.asarray(features, dtype=np.float64)

    @abstractmethod
    def _fit_features(self, source: np.ndarray, target: np.ndarray) -> None:
        """Set the fitted attributes from the features of the real images."""

    @abstractmethod
    def _compute_from_features(self, features: np.ndarray) -> np.ndarray:
        """Return the figure of each candidate from its features."""


class LabelFilter(FeatureFilter):
    """Accept candidates that a classifier finds to be of the class that grows.

    A logistic regression on features of a pretrained network is fitted to the real
    source images against the real target images, with balanced class weights.

    Parameters
    ----------
    min_probability : float or "auto", default="auto"
        The smallest probability of the target class that is accepted, in [0, 1].
        ``"auto"`` means the 10 % quantile of the probabilities of the real target
        images, each by a classifier that was fitted without it (5 folds).
    extractor : FeatureExtractor, default=None
        From images to features. None means ``FeatureExtractor()``.

    Attributes
    ----------
    threshold_ : float
        The smallest probability that is accepted.
    classifier_ : Pipeline
        Standardisation and logistic regression, fitted to all real images.
    extractor_ : FeatureExtractor
        The extractor in use.

    See Also
    --------
    DistanceFilter : Needs no images of the source that differ from the target.

    Notes
    -----
    The balanced weights make 0.5 the point where both classes are equally likely,
    whatever their sizes. If the classes cannot be told apart by their features, the
    automatic threshold is low, and the filter rejects little. Candidates that pass are
    typical of their class by construction. So the result shows fewer of the difficult
    images near the border of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import LabelFilter
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(2, 30, 4)) + np.array([[[-3]], [[3]]])
    >>> fitted = LabelFilter().fit(source, target)
    >>> fitted.judge([[-3.0] * 4, [3.0] * 4]).accepted
    array([False,  True])
    """

    _parameter_constraints: dict = {
        **FeatureFilter._parameter_constraints,
        "min_probability": [A_SHARE, StrOptions({"auto"})],
    }
    _rule = "probability {figure} of the class is below {threshold}"

    def __init__(self, *, min_probability="auto", extractor=None):
        super().__init__(extractor=extractor)
        self.min_probability = min_probability

    def _fit_features(self, source, target):
        features = np.concatenate([source, target])
        is_target = np.repeat([0, 1], [len(source), len(target)])
        classifier = make_pipeline(
            StandardScaler(),
            LogisticRegression(class_weight="balanced", max_iter=1000),
        )
        self.classifier_ = classifier.fit(features, is_target)
        if not isinstance(self.min_probability, str):
            self.threshold_ = float(self.min_probability)
            return
        folds = StratifiedKFold(min(MAX_FOLDS, len(source), len(target)))
        found = cross_val_predict(
            classifier, features, is_target, cv=folds, method="predict_proba"
        )
        self.threshold_ = float(np.quantile(found[is_target == 1, 1], REJECTED_SHARE))

    def _compute_from_features(self, features):
        return self.classifier_.predict_proba(features)[:, 1]

    def _passes(self, figures):
        return figures >= self.threshold_


class NearestRealFilter(FeatureFilter):
    """Base of the filters by the distance to the nearest of some real images.

    The threshold is a quantile of the distances of these images from each other. A
    distance is 1 less the cosine of two vectors of features. Features are standardised
    by the mean and the deviation of all real images.

    Parameters
    ----------
    quantile : float
        In [0, 1].
    extractor : FeatureExtractor, default=None
        From images to features. None means ``FeatureExtractor()``.
    """

    _parameter_constraints: dict = {
        **FeatureFilter._parameter_constraints,
        "quantile": [A_SHARE],
    }

    def _fit_distances(self, references: np.ndarray, real: np.ndarray) -> None:
        """Set the attributes; `references` are the images that count as near."""
        self.scaler_ = StandardScaler().fit(real)
        self.neighbors_ = NearestNeighbors(n_neighbors=1, metric="cosine")
        self.neighbors_.fit(self.scaler_.transform(references))
        # Without an argument, no image is its own neighbour.
        distances, _ = self.neighbors_.kneighbors()
        self.threshold_ = float(np.quantile(distances, self.quantile))

    def _compute_from_features(self, features):
        distances, _ = self.neighbors_.kneighbors(self.scaler_.transform(features))
        return distances[:, 0]


class DistanceFilter(NearestRealFilter):
    """Accept candidates that are near to a real image of the class that grows.

    The distance of a candidate to the nearest real target image must not be larger
    than a quantile of the same distances of the real target images, each to the
    nearest other one. A distance is 1 less the cosine of two vectors of standardised
    features of a pretrained network.

    Parameters
    ----------
    quantile : float, default=0.95
        Share of the real target images that would pass, in [0, 1].
    extractor : FeatureExtractor, default=None
        From images to features. None means ``FeatureExtractor()``.

    Attributes
    ----------
    threshold_ : float
        The largest distance that is accepted, in [0, 2].
    scaler_ : StandardScaler
        Mean and deviation of the features of all real images.
    neighbors_ : NearestNeighbors
        The real target images.
    extractor_ : FeatureExtractor
        The extractor in use.

    See Also
    --------
    MemorizationFilter : Rejects candidates that are too near.

    Notes
    -----
    CosSIF [1]_ filters synthetic images after the training by their cosine similarity
    to real images, too. It removes a fixed share of them, such as 15 %. Here the
    threshold follows from the real images, so that a good translator loses few
    candidates and a bad one many.

    References
    ----------
    .. [1] M. Islam, H. Zunair, N. Mohammed, "CosSIF: Cosine similarity-based image
       filtering to overcome low inter-class variation in synthetic medical image
       datasets", Computers in Biology and Medicine, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import DistanceFilter
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(2, 30, 4)) + np.array([[[-3]], [[3]]])
    >>> fitted = DistanceFilter().fit(source, target)
    >>> fitted.judge([[-3.0] * 4, [3.0] * 4]).accepted
    array([False,  True])
    """

    _rule = "distance {figure} to the nearest real image is above {threshold}"

    def __init__(self, *, quantile=0.95, extractor=None):
        super().__init__(extractor=extractor)
        self.quantile = quantile

    def _fit_features(self, source, target):
        self._fit_distances(target, np.concatenate([source, target]))

    def _passes(self, figures):
        return figures <= self.threshold_


class MemorizationFilter(NearestRealFilter):
    """Reject candidates that are nearly copies of a real training image.

    The distance of a candidate to the nearest real image, of the source or of the
    target, must be larger than a small quantile of the same distances of the real
    images, each to the nearest other one. So a copy of a target image is rejected, and
    also a translation that is hardly different from its source. A distance is 1 less
    the cosine of two vectors of standardised features of a pretrained network.

    Parameters
    ----------
    quantile : float, default=0.05
        Share of the real images that would be rejected, in [0, 1].
    extractor : FeatureExtractor, default=None
        From images to features. None means ``FeatureExtractor()``.

    Attributes
    ----------
    threshold_ : float
        Candidates at this distance and nearer ones are rejected, in [0, 2].
    scaler_ : StandardScaler
        Mean and deviation of the features of all real images.
    neighbors_ : NearestNeighbors
        All real images.
    extractor_ : FeatureExtractor
        The extractor in use.

    See Also
    --------
    DistanceFilter : Rejects candidates that are too far away.

    Notes
    -----
    A copy is rejected even if the real images have duplicates. Images that pass may
    still show a real person or a real lesion: this is a check of the quality, and no
    proof of privacy.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.quality import MemorizationFilter
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(2, 30, 4)) + np.array([[[-3]], [[3]]])
    >>> fitted = MemorizationFilter().fit(source, target)
    >>> fitted.judge([source[0], target[0], [9.0, 0.0, -9.0, 9.0]]).accepted
    array([False, False,  True])
    """

    _rule = "distance {figure} to the nearest real image is not above {threshold}"

    def __init__(self, *, quantile=0.05, extractor=None):
        super().__init__(extractor=extractor)
        self.quantile = quantile

    def _fit_features(self, source, target):
        real = np.concatenate([source, target])
        self._fit_distances(real, real)
        self.threshold_ = max(self.threshold_, SAME_IMAGE)

    def _passes(self, figures):
        return figures > self.threshold_

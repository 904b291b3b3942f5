"""The sampler: which rows are sources, how many are made, in what form they return.

Layer rule: knows translators by their interface and nothing of networks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import clone
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from gansampler._validation import (
    HasMethods,
    check_target_type,
    clone_parametrized,
    plain,
    spawn_seeds,
)
from gansampler.images import ImageSequence
from gansampler.over_sampling._generation import generate
from gansampler.translators import BaseTranslator, CycleGAN

__all__ = ["GANOverSampler"]


class GANOverSampler(BaseOverSampler):
    """Over-sample by translating images of other classes into the class that lacks.

    For each class to be grown a translator learns to turn images of a source class
    into ones of that class, and translates as many as are missing. It is an
    imbalanced-learn sampler, for ``imblearn`` pipelines, cross-validation and grid
    searches.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class has afterwards, as in imbalanced-learn: a float
        is the ratio of minority to majority in a binary problem; ``"minority"``,
        ``"not minority"``, ``"not majority"``, ``"all"`` (``"auto"`` is ``"not
        majority"``) grow these classes to the majority's count; a dict or a callable
        of `y` gives the count of each class.
    translator : BaseTranslator or dict of label -> BaseTranslator, default=None
        What translates; cloned for each class to be grown. None means
        :class:`~gansampler.CycleGAN` with its defaults. One without a `random_state`
        of its own gets a seed of the sampler's. With `prefit` it is fitted already,
        and a dict holds one for each class to be grown.
    source : "majority", "rest" or label, default="majority"
        Which images are translated: those of the largest other class, of all other
        classes, or of the class with this label.
    image_shape : tuple of (height, width, n_channels), default=None
        The shape of each image where `X` holds flattened ones. Rows of an `X` of two
        dimensions without it are feature rows.
    prefit : bool, default=False
        Whether `translator` is fitted and is used as it is. It must not have seen
        data that the result is tested on.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Attributes
    ----------
    sampling_strategy_ : dict of label -> int
        How many samples were made for each class.
    translators_ : dict of label -> BaseTranslator
        The fitted translators.
    sample_indices_ : ndarray of int of shape (n_samples_new,)
        For each row of the output the row of `X` that it is, or was translated from.
    is_synthetic_ : ndarray of bool of shape (n_samples_new,)
        Which rows of the output were made.
    n_features_in_ : int
        Values in a sample: ``height * width * n_channels`` for images.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, where `X` is a data frame.

    See Also
    --------
    gansampler.CycleGAN : The default translator.
    gansampler.make_melanet : Sampler and classifier in a pipeline.
    imblearn.over_sampling.RandomOverSampler : Repeats samples instead.

    Notes
    -----
    The output holds the rows of `X` first, unchanged and in their order, then the
    synthetic ones class by class. Sources are drawn without replacement; when more
    are needed than there are, they are used again flipped and rotated (feature rows:
    with a little noise), and no two synthetic images are the same.

    Resampling belongs inside the pipeline, so that cross-validation splits before it.

    References
    ----------
    .. [1] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> from collections import Counter
    >>> from gansampler import CycleGAN, GANOverSampler
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(20, weights=(0.7, 0.3), image_size=16, random_state=0)
    >>> sampler = GANOverSampler(
    ...     translator=CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4),
    ...     random_state=0,
    ... )
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> X_resampled.shape
    (28, 16, 16, 3)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [('benign', 14), ('malignant', 14)]
    >>> int(sampler.is_synthetic_.sum())
    8
    """

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        "translator": [HasMethods(["fit", "translate"]), Mapping, None],
        # Any label may be a source; it is looked up among the labels of y.
        "source": "no_validation",
        "image_shape": ["array-like", None],
        "prefit": ["boolean"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        sampling_strategy="auto",
        translator=None,
        source="majority",
        image_shape=None,
        prefit=False,
        random_state=None,
        verbose=0,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.translator = translator
        self.source = source
        self.image_shape = image_shape
        self.prefit = prefit
        self.random_state = random_state
        self.verbose = verbose

    def fit_resample(self, X, y, **params):
        """Resample the data set.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Images: uint8 in [0, 255] or floating in [0, 1]. Also a list of such
            images, (n_samples, height, width) for grey images, (n_samples, height *
            width * n_channels) with `image_shape`, or (n_samples, n_features) for
            feature rows.
        y : array-like of shape (n_samples,)
            Labels of any type that scikit-learn takes.
        **params : dict
            Metadata that a pipeline passes on; none is used.

        Returns
        -------
        X_resampled : array-like of shape (n_samples_new, ...)
            In the form and dtype of `X`: first its rows, then the synthetic ones.
        y_resampled : array-like of shape (n_samples_new,)
            In the form of `y`.

        Raises
        ------
        ValueError, TypeError
            If `X`, `y` or a parameter is not as described; nothing was trained then.
        ShortfallError
            If the translator gives too few distinct images.
        TrainingDivergedError
            If a loss is NaN or infinite.
        """
        if isinstance(X, list) and X and np.ndim(X[0]) > 1:
            # Without this, imbalanced-learn would return nested lists of numbers.
            X_resampled, y_resampled = super().fit_resample(_stack(X), y, **params)
            return list(X_resampled), y_resampled
        return super().fit_resample(X, y, **params)

    def _check_X_y(self, X, y, accept_sparse=None):
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        if hasattr(X, "dtypes") and hasattr(X, "sparse"):
            # A data frame of sparse columns; those of the output are sparse again.
            X = X.sparse.to_dense()
        is_image = getattr(X, "ndim", 2) != 2 or self.image_shape is not None
        if getattr(X, "ndim", 2) == 2:
            X, y = validate_data(self, X=X, y=y, reset=True, accept_sparse=False)
        if is_image:
            images = ImageSequence(X, self.image_shape)
            y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
            check_consistent_length(X, y)
            self.n_features_in_ = int(np.prod(images.sample_shape))
        return X, y, binarize_y

    def _fit_resample(self, X, y):
        images = ImageSequence(X, self.image_shape)
        plan = self._plan(y)
        rng = check_random_state(self.random_state)
        seeds = {label: spawn_seeds(rng, 2) for label in plan}
        self._check_prefit(images, plan)

        n_new = sum(self.sampling_strategy_[label] for label in plan)
        X_resampled = np.empty((len(X) + n_new, *X.shape[1:]), dtype=X.dtype)
        X_resampled[: len(X)] = X
        y_resampled = np.empty(len(X) + n_new, dtype=y.dtype)
        y_resampled[: len(X)] = y
        self.sample_indices_ = np.empty(len(X) + n_new, dtype=np.intp)
        self.sample_indices_[: len(X)] = np.arange(len(X))
        self.is_synthetic_ = np.arange(len(X) + n_new) >= len(X)
        self.translators_ = {}

        start = len(X)
        for label, (source_rows, target_rows) in plan.items():
            fit_seed, generate_seed = seeds[label]
            source = images.subset(source_rows)
            self.translators_[label] = self._fitted_translator(
                label, source, images.subset(target_rows), fit_seed
            )
            stop = start + self.sampling_strategy_[label]
            chosen = generate(
                self.translators_[label],
                source,
                X_resampled[start:stop].reshape(-1, *images.sample_shape),
                rng=np.random.default_rng(generate_seed),
                label=plain(label),
                verbose=self.verbose,
            )
            self.sample_indices_[start:stop] = source_rows[chosen]
            y_resampled[start:stop] = label
            start = stop
        return X_resampled, y_resampled

    def _plan(self, y):
        """Return label -> (rows of the source, rows of the target), or refuse."""
        labels, counts = np.unique(y, return_counts=True)
        n_held = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        plan = {}
        for label, n_new in self.sampling_strategy_.items():
            if n_new == 0:
                continue
            others = labels[labels != label]
            if isinstance(self.source, str) and self.source == "rest":
                is_source = y != label
            elif isinstance(self.source, str) and self.source == "majority":
                largest = max(others.tolist(), key=lambda other: n_held[other])
                is_source = y == largest
            else:
                is_source = y == self._source_label(label, labels)
            rows = np.flatnonzero(is_source), np.flatnonzero(y == label)
            for role, part in zip(("source", "target"), rows, strict=True):
                if len(part) < 2:
                    raise ValueError(
                        "A translator needs at least 2 samples of its source and of "
                        f"its target. To grow class {plain(label)!r} by {n_new}, the "
                        f"{role} has {len(part)}. Collect more, or leave it out: "
                        "sampling_strategy={label: n_samples, ...} names the classes "
                        "to grow."
                    )
            plan[label] = rows
        return plan

    def _source_label(self, label, labels):
        known = labels.tolist()
        if self.source not in known:
            raise ValueError(
                "`source` must be 'majority', 'rest' or a label of y. Got "
                f"{self.source!r}; the labels are {known}."
            )
        if self.source == label:
            raise ValueError(
                f"A class cannot be its own source. source={self.source!r} is itself "
                f"to be grown by {self.sampling_strategy_[label]}. Leave it out of "
                "`sampling_strategy`, or use source='majority'."
            )
        return self.source

    def _check_prefit(self, images, plan):
        """Refuse fitted translators that do not fit, before any work is done."""
        if not self.prefit:
            if isinstance(self.translator, Mapping):
                raise ValueError(
                    "`translator` may be a dict only of fitted translators. Got a "
                    "dict and prefit=False. Pass prefit=True, or one translator."
                )
            return
        for label in plan:
            translator = self._prefit_translator(label, plan)
            check_is_fitted(translator)
            if tuple(translator.sample_shape_) != tuple(images.sample_shape):
                raise ValueError(
                    "A fitted translator takes samples of the shape that it was "
                    f"fitted on. That for class {plain(label)!r} takes "
                    f"{tuple(translator.sample_shape_)}. Got samples of "
                    f"{tuple(images.sample_shape)}. Resize them, or fit another."
                )

    def _prefit_translator(self, label, plan):
        if self.translator is None:
            raise ValueError(
                "prefit=True needs a fitted `translator`. Got None. Fit one with "
                "CycleGAN(...).fit(source, target), or load one with CycleGAN.load."
            )
        if not isinstance(self.translator, Mapping):
            if len(plan) > 1:
                raise ValueError(
                    "One fitted translator makes one class. Got one for the classes "
                    f"{[plain(grown) for grown in plan]}. Pass a dict label -> fitted "
                    "translator."
                )
            return self.translator
        if label not in self.translator:
            raise ValueError(
                "`translator` must hold a fitted translator for each class to be "
                f"grown. Class {plain(label)!r} is missing; it has "
                f"{[plain(known) for known in self.translator]}."
            )
        return self.translator[label]

    def _fitted_translator(self, label, source, target, seed) -> BaseTranslator:
        if self.prefit:
            return self._prefit_translator(label, [label])
        translator = CycleGAN() if self.translator is None else clone(self.translator)
        params = translator.get_params(deep=False)
        if "random_state" in params and params["random_state"] is None:
            translator.set_params(random_state=seed)
        if "verbose" in params and not params["verbose"]:
            translator.set_params(verbose=self.verbose)
        return translator.fit(source, target)

    def __sklearn_clone__(self):
        """Clone, but keep fitted translators: they are data here, not settings."""
        if not self.prefit:
            return clone_parametrized(self)
        params = self.get_params(deep=False)
        translator = params.pop("translator")
        params = {name: clone(value, safe=False) for name, value in params.items()}
        return type(self)(**params, translator=translator)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.sampler_tags.sample_indices = True
        return tags


def _stack(images):
    shapes = {np.shape(image) for image in images}
    if len(shapes) > 1:
        raise ValueError(
            "All images must be of one shape. Got "
            f"{sorted(shapes)[:3]}{' and others' if len(shapes) > 3 else ''}. Resize "
            "them before."
        )
    return np.stack(images)

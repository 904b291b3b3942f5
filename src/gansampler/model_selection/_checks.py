"""Checks of the parameters of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.utils import check_consistent_length, column_or_1d, indexable
from sklearn.utils.multiclass import check_classification_targets

from gansampler._validation import check_labels, to_python_scalar
from gansampler.images import find_form, stack_images
from gansampler.model_selection._comparison import BASELINES


def check_samplers(samplers: Any) -> dict[str, Any]:
    """Return the samplers by the names of their arms, or refuse them."""
    if not isinstance(samplers, Mapping):
        if not hasattr(samplers, "fit_resample"):
            raise TypeError(
                "`samplers` must be a dict of name -> sampler, or a sampler. Got "
                f"{type(samplers).__name__}. Pass {{'SMOTE': SMOTE()}}, for instance."
            )
        kind = samplers if isinstance(samplers, type) else type(samplers)
        samplers = {kind.__name__: samplers}
    if not samplers:
        raise ValueError(
            "`samplers` must contain at least one sampler. Got an empty dict. Pass "
            "{'SMOTE': SMOTE()}, for instance."
        )
    for name, sampler in samplers.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"The names of `samplers` must be text. Got {name!r}. Rename it."
            )
        if name in BASELINES:
            raise ValueError(
                f"The names {BASELINES[0]!r} and {BASELINES[1]!r} are reserved for "
                f"arms that are always compared. Got {name!r}. Rename it, or leave "
                "it out."
            )
        if isinstance(sampler, type) or not hasattr(sampler, "fit_resample"):
            got = f"the class {sampler.__name__}" if isinstance(sampler, type) else ""
            raise TypeError(
                "A sampler must be an object with the method `fit_resample`. Got "
                f"{got or type(sampler).__name__} as {name!r}. Pass SMOTE(), for "
                "instance."
            )
    return dict(samplers)


def check_data(
    X: Any, y: Any, groups: Any
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Return the data, the labels and the groups, or refuse them.

    A list of images becomes an array, and sparse matrices a form whose rows can be
    selected. Labels and groups become arrays.
    """
    if isinstance(X, list | tuple):
        form = find_form(X)
        if form.name == "array":
            X = stack_images(form.data) if form.is_separate else np.asarray(X)
    (X,) = indexable(X)
    check_labels(y)
    y = column_or_1d(np.asarray(y), warn=True)
    check_consistent_length(X, y)
    check_classification_targets(y)
    if groups is not None:
        groups = column_or_1d(np.asarray(groups))
        check_consistent_length(y, groups)
    return X, y, groups


def check_scoring(classifier: Any, scoring: Any, y: np.ndarray) -> Any:
    """Return a function of a fitted classifier and test data that computes scores."""
    n_classes = len(np.unique(y))
    if isinstance(scoring, str) and scoring == "roc_auc" and n_classes > 2:
        raise ValueError(
            f"scoring='roc_auc' is for two classes. Got {n_classes} classes. Pass "
            "scoring='roc_auc_ovr' or 'balanced_accuracy', for instance."
        )
    return metrics.check_scoring(classifier, scoring=scoring)


def check_class_sizes(y: np.ndarray, cv: Any) -> None:
    """Refuse a single class, and classes with fewer samples than there are folds."""
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2:
        raise ValueError(
            "`y` must have at least 2 classes. Got only one class: "
            f"{labels.tolist()}. Pass samples of another class."
        )
    smallest = int(np.argmin(counts))
    if isinstance(cv, Integral) and counts[smallest] < cv:
        plural = "s" if counts[smallest] > 1 else ""
        raise ValueError(
            "With synthetic_weight='auto', each class must have at least as many "
            f"samples as `cv` has folds, {cv}. Got {counts[smallest]} sample{plural} "
            f"of class {to_python_scalar(labels[smallest])!r}. Pass more samples, a "
            "smaller `cv`, or a number as `synthetic_weight`."
        )

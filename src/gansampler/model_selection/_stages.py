"""Fit a classifier on real and synthetic rows, and then on the real rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from gansampler.model_selection._resampling import Resampled, take

# What classifiers call their number of epochs.
EPOCHS = ("n_epochs", "max_iter")


def row_weights(
    y: np.ndarray,
    is_synthetic: np.ndarray,
    synthetic_weight: float,
    class_balance: str,
) -> np.ndarray | None:
    """Return the weight of each row in the loss, or None if all are 1.

    The formula is in the notes of :class:`TwoStageClassifier`.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Labels. Each class has real rows.
    is_synthetic : ndarray of bool of shape (n_rows,)
        Which rows are synthetic.
    synthetic_weight : float
        Weight of a synthetic row, relative to a real row of its class.
    class_balance : {"prevalence", "balanced"}
        Whether the total weights of the classes are in the proportion of the real rows,
        or equal.

    Returns
    -------
    weights : ndarray of float64 of shape (n_rows,), or None
        Their sum is the number of real rows.
    """
    classes, target = np.unique(y, return_inverse=True)
    wanted = np.bincount(target[~is_synthetic], minlength=len(classes)).astype(float)
    if class_balance == "balanced":
        wanted[:] = wanted.mean()
    relative = np.where(is_synthetic, synthetic_weight, 1.0)
    totals = np.bincount(target, weights=relative)
    weights = relative * (wanted / totals)[target]
    return None if (weights == 1).all() else weights


def check_classifier(classifier: Any, *, weighs: bool, real_only_share: float) -> None:
    """Refuse a classifier that cannot do what the parameters need.

    Parameters
    ----------
    classifier : classifier
        The classifier.
    weighs : bool
        Whether rows may have different weights.
    real_only_share : float
        Share of the epochs on real rows only.

    Raises
    ------
    TypeError
        If rows must be weighted, and `fit` has no `sample_weight`.
    ValueError
        If `real_only_share` is not 0, and the classifier has no `warm_start` or too few
        epochs.
    """
    name = type(classifier).__name__
    if weighs and not has_fit_parameter(_last_step(classifier), "sample_weight"):
        raise TypeError(
            "The `fit` of the classifier must have the parameter `sample_weight`, "
            f"which weighs the synthetic rows. That of {name} has none. Pass another "
            "classifier, or synthetic_weight=0 and class_balance='prevalence'."
        )
    if real_only_share == 0:
        return
    params = classifier.get_params(deep=False)
    epochs = [key for key in EPOCHS if key in params]
    if "warm_start" not in params or not epochs:
        raise ValueError(
            "With `real_only_share`, the classifier must have `warm_start` and a "
            f"number of epochs, {' or '.join(f'`{key}`' for key in EPOCHS)}. Got "
            f"real_only_share={real_only_share:g} and {name}. Pass "
            "TransferClassifier(), for instance, or real_only_share=0."
        )
    if params[epochs[0]] < 2:
        raise ValueError(
            f"With `real_only_share`, `{epochs[0]}` of the classifier must be at least "
            f"2, one epoch for each stage. Got {params[epochs[0]]}. Raise it."
        )


def fit_on_real(classifier: Any, X: Any, y: np.ndarray, class_balance: str) -> Any:
    """Fit a classifier on real rows alone."""
    weight = row_weights(y, np.zeros(len(y), dtype=bool), 0.0, class_balance)
    return _fit_weighted(classifier, X, y, weight)


def fit_on_both(
    classifier: Any,
    data: Resampled,
    synthetic_weight: float,
    *,
    class_balance: str,
    real_only_share: float,
) -> Any:
    """Fit a classifier on real and synthetic rows, and perhaps then on real rows.

    Parameters
    ----------
    classifier : classifier
        Not fitted. It is fitted in place, and keeps its parameters.
    data : Resampled
        Real and synthetic rows.
    synthetic_weight : float
        Weight of a synthetic row, relative to a real row of its class.
    class_balance : {"prevalence", "balanced"}
        See :func:`row_weights`.
    real_only_share : float
        Share of the epochs, the last ones, on real rows only. Each of the two stages
        has at least one epoch.

    Returns
    -------
    classifier : classifier
        Fitted.
    """
    weight = row_weights(data.y, data.is_synthetic, synthetic_weight, class_balance)
    if real_only_share == 0:
        return _fit_weighted(classifier, data.X, data.y, weight)
    params = classifier.get_params(deep=False)
    epochs = next(key for key in EPOCHS if key in params)
    n_epochs = params[epochs]
    n_last = min(max(round(real_only_share * n_epochs), 1), n_epochs - 1)
    classifier.set_params(**{epochs: n_epochs - n_last})
    _fit_weighted(classifier, data.X, data.y, weight)
    # The first fit was new in any case, because the classifier was not fitted.
    classifier.set_params(**{epochs: n_last, "warm_start": True})
    real = np.flatnonzero(~data.is_synthetic)
    fit_on_real(classifier, take(data.X, real), data.y[real], class_balance)
    return classifier.set_params(
        **{epochs: n_epochs, "warm_start": params["warm_start"]}
    )


def _fit_weighted(
    classifier: Any, X: Any, y: np.ndarray, weight: np.ndarray | None
) -> Any:
    if weight is None:
        return classifier.fit(X, y)
    prefix = ""
    last = classifier
    while isinstance(last, Pipeline):
        prefix += f"{last.steps[-1][0]}__"
        last = last.steps[-1][1]
    return classifier.fit(X, y, **{f"{prefix}sample_weight": weight})


def _last_step(classifier: Any) -> Any:
    while isinstance(classifier, Pipeline):
        classifier = classifier.steps[-1][1]
    return classifier

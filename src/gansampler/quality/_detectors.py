"""Linear classifiers on features: real against synthetic, and source against target."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N_FOLDS = 5


def detector_auc(
    real: np.ndarray,
    fake: np.ndarray,
    real_groups: np.ndarray,
    fake_groups: np.ndarray,
    seed: int,
) -> float:
    """Return how well a classifier tells two sets apart, by cross-validation.

    Parameters
    ----------
    real, fake : ndarray of shape (n_images, n_features)
        Features of both sets.
    real_groups, fake_groups : ndarray of shape (n_images,)
        Images of one group are never in both the training and the test part.
    seed : int
        Of the folds.

    Returns
    -------
    auc : float
        Mean of the folds of the area under the ROC curve. 0.5 means that the
        classifier cannot tell them apart. NaN if a fold would lack one of the sets.
    """
    X = np.concatenate([real, fake])
    y = np.repeat([0, 1], [len(real), len(fake)])
    groups = np.concatenate([real_groups, fake_groups])
    aucs = []
    for train, test in _folds(y, groups, seed):
        if len(np.unique(y[train])) < 2 or len(np.unique(y[test])) < 2:
            return float("nan")
        scores = _classifier().fit(X[train], y[train]).decision_function(X[test])
        aucs.append(roc_auc_score(y[test], scores))
    return float(np.mean(aucs)) if aucs else float("nan")


def target_votes(
    features: dict[str, np.ndarray], groups: dict[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """Return which images a classifier of real images takes for the target class.

    Parameters
    ----------
    features : dict of str -> ndarray of shape (n_images, n_features)
        "source" and "target" have real images, on which the classifiers are trained.
    groups : dict of str -> ndarray of shape (n_images,)
        At least of "source" and "target".
    seed : int
        Of the folds.

    Returns
    -------
    votes : dict of str -> ndarray of bool of shape (n_images,)
        An image whose group is in the data is judged by the classifier that was
        trained without the group. Other images are judged by the mean of all of them.
        Empty if a class has fewer than two groups.
    """
    X = np.concatenate([features["source"], features["target"]])
    y = np.repeat([0, 1], [len(features["source"]), len(features["target"])])
    known = np.concatenate([groups["source"], groups["target"]])
    models = []
    for train, test in _folds(y, known, seed):
        if len(np.unique(y[train])) < 2:
            return {}
        models.append((_classifier().fit(X[train], y[train]), known[test]))
    if not models:
        return {}
    votes = {}
    for name, part in features.items():
        scores = np.array([model.decision_function(part) for model, _ in models])
        mean = scores.mean(0)
        if name in groups:
            for score, (_, held_out) in zip(scores, models, strict=True):
                is_held_out = np.isin(groups[name], held_out)
                mean[is_held_out] = score[is_held_out]
        votes[name] = mean > 0
    return votes


def _classifier() -> Any:
    regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    return make_pipeline(StandardScaler(), regression)


def _folds(y: np.ndarray, groups: np.ndarray, seed: int) -> list[Any]:
    """Return the folds; none if there are too few groups of a class."""
    n_groups = [len(np.unique(groups[y == label])) for label in (0, 1)]
    n_folds = min(N_FOLDS, *n_groups)
    if n_folds < 2:
        return []
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return list(splitter.split(y, y, groups))

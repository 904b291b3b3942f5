"""Interval of a difference between two arms of a cross-validation."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE_LEVEL = 0.95


class Difference(NamedTuple):
    """Difference between the mean scores of two arms.

    Parameters
    ----------
    mean : float
        Mean of the differences. Positive if the arm is better than the other one.
    low, high : float
        95% interval.

    Examples
    --------
    >>> from gansampler.model_selection import Difference
    >>> difference = Difference(mean=0.02, low=-0.01, high=0.05)
    >>> difference.low > 0
    False
    """

    mean: float
    low: float
    high: float


def corrected_difference(
    differences: np.ndarray,
    n_train: np.ndarray,
    n_test: np.ndarray,
    *,
    level: float = CONFIDENCE_LEVEL,
) -> Difference:
    """Return the mean of paired differences with the interval of Nadeau and Bengio.

    Parameters
    ----------
    differences : ndarray of shape (n_splits,)
        Differences of the scores of two arms, in each split.
    n_train, n_test : ndarray of int of shape (n_splits,)
        Numbers of original samples.
    level : float, default=0.95
        Probability of the interval.
    """
    n_splits = len(differences)
    # Training parts overlap, so that the scores of the splits are correlated.
    scale = 1 / n_splits + float(np.mean(n_test / n_train))
    error = math.sqrt(scale * np.var(differences, ddof=1))
    quantile = stats.t.ppf((1 + level) / 2, n_splits - 1)
    mean = float(np.mean(differences))
    return Difference(
        mean, float(mean - quantile * error), float(mean + quantile * error)
    )

"""Confidence intervals: Wilson's, DeLong's and the stratified bootstrap's."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import binomtest, bootstrap, norm, rankdata
from sklearn.metrics import average_precision_score
from sklearn.utils import check_random_state

from gansampler.metrics._binary import (
    BoolArray,
    FloatArray,
    check_binary,
    check_both_classes,
    check_scores,
)

__all__ = ["roc_auc_interval"]

Interval = tuple[float, float]


def roc_auc_interval(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    confidence_level: float = 0.95,
) -> Interval:
    r"""Confidence interval of the area under the ROC curve, by DeLong's method.

    The area itself is :func:`sklearn.metrics.roc_auc_score`'s. The interval is
    symmetric on the logit scale, so that it stays within 0 and 1.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The true labels, of two classes.

    y_score : array-like of shape (n_samples,)
        Score of the positive class: higher means more likely positive. Probabilities
        or any other finite numbers.

    pos_label : int, float, bool or str, default=None
        The label of the positive class. `None` means 1 where the labels are 0 and 1
        or -1 and 1, and True where they are booleans; for other labels it must be
        given.

    confidence_level : float, default=0.95
        Coverage asked for, above 0 and below 1.

    Returns
    -------
    low, high : float
        Bounds of the interval, between 0 and 1.

    Raises
    ------
    ValueError
        If a class has no case, if a score is NaN or infinite or there is not one a
        case, or if `confidence_level` is out of range.

    See Also
    --------
    clinical_report : The area, its interval and more.

    Notes
    -----
    With :math:`m` positive and :math:`n` negative cases, let :math:`V_i` be the share
    of the negative cases below positive case :math:`i` (ties count half), and
    :math:`W_j` the share of the positive cases above negative case :math:`j`. Their
    common mean is the area :math:`A`, and [1]_

    .. math:: \widehat{\mathrm{var}}(A) = \frac{s^2_V}{m} + \frac{s^2_W}{n}.

    The interval is that of :math:`\mathrm{logit}(A)` with the standard error
    :math:`\sqrt{\widehat{\mathrm{var}}(A)} / (A (1 - A))`, transformed back [2]_.

    Where the classes are separated without an error that variance is 0, though the
    data do not show an area of exactly 1. The bound is then Clopper and Pearson's for
    :math:`\min(m, n)` disjoint pairs, all in the right order. With a single case in
    a class nothing can be said: the interval is (0, 1).

    .. versionadded:: 0.1

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas
       under two or more correlated receiver operating characteristic curves: a
       nonparametric approach", Biometrics, 44(3), 837-845, 1988.
    .. [2] M. S. Pepe, "The Statistical Evaluation of Medical Tests for
       Classification and Prediction", Oxford University Press, 2003.

    Examples
    --------
    >>> from gansampler.metrics import roc_auc_interval
    >>> y_true = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    >>> y_score = [0.1, 0.2, 0.3, 0.3, 0.5, 0.6, 0.4, 0.5, 0.8, 0.9]
    >>> low, high = roc_auc_interval(y_true, y_score)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.44 to 0.98
    """
    is_positive, _, pos_label = check_binary(y_true, None, pos_label)
    check_both_classes(is_positive, pos_label)
    scores = check_scores(y_score, len(is_positive))
    check_confidence_level(confidence_level)
    return delong_interval(is_positive, scores, confidence_level)


def delong_interval(
    is_positive: BoolArray, scores: FloatArray, confidence_level: float
) -> Interval:
    """Return the interval that `roc_auc_interval` describes, of checked arrays."""
    positive, negative = scores[is_positive], scores[~is_positive]
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return 0.0, 1.0
    # A case's rank among all, less its rank among its own, counts the others below.
    ranks = rankdata(np.concatenate([positive, negative]))
    share_below = (ranks[:m] - rankdata(positive)) / n
    share_above = 1 - (ranks[m:] - rankdata(negative)) / m
    area = share_below.mean()
    variance = share_below.var(ddof=1) / m + share_above.var(ddof=1) / n
    if positive.min() > negative.max() or positive.max() < negative.min():
        k = min(m, n)
        bounds = binomtest(k if area > 0.5 else 0, k).proportion_ci(confidence_level)
        return float(bounds.low), float(bounds.high)
    half_width = norm.ppf((1 + confidence_level) / 2) * np.sqrt(variance)
    low, high = expit(logit(area) + np.array([-1, 1]) * half_width / area / (1 - area))
    return float(low), float(high)


def average_precision_interval(
    is_positive: BoolArray,
    scores: FloatArray,
    confidence_level: float,
    n_bootstrap: int,
    random_state: int | np.random.RandomState | None,
) -> Interval:
    """Return the percentile interval of a bootstrap within each of the classes."""
    positive, negative = scores[is_positive], scores[~is_positive]
    if min(len(positive), len(negative)) < 2:
        return 0.0, 1.0
    labels = np.repeat([True, False], [len(positive), len(negative)])

    def statistic(positive: FloatArray, negative: FloatArray) -> float:
        return average_precision_score(labels, np.concatenate([positive, negative]))

    # A seed of its own leaves NumPy's global random state as it was.
    seed = None
    if random_state is not None:
        seed = check_random_state(random_state).randint(2**31 - 1)
    bounds = bootstrap(
        (positive, negative),
        statistic,
        n_resamples=n_bootstrap,
        confidence_level=confidence_level,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(bounds.low), float(bounds.high)


def wilson_interval(count: int, total: int, confidence_level: float) -> Interval:
    """Return Wilson's score interval of a share."""
    bounds = binomtest(count, total).proportion_ci(confidence_level, method="wilson")
    return float(bounds.low), float(bounds.high)


def check_confidence_level(confidence_level: float) -> None:
    """Raise unless the level is between 0 and 1."""
    if not 0 < confidence_level < 1:
        raise ValueError(
            "`confidence_level` must be above 0 and below 1. Got "
            f"{confidence_level!r}. Pass confidence_level=0.95 for 95 %."
        )

"""Confidence intervals of shares, of the ROC AUC and of the average precision."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, rankdata
from sklearn.utils import check_random_state

from gansampler.metrics._binary import (
    BoolArray,
    FloatArray,
    check_binary,
    check_both_classes,
    check_scores,
)

Interval = tuple[float, float]


def roc_auc_interval(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    confidence_level: float = 0.95,
) -> Interval:
    r"""Confidence interval of the area under the ROC curve.

    The area itself is :func:`sklearn.metrics.roc_auc_score`. The interval is a score
    interval with DeLong's variance. It stays within 0 and 1 and is suitable for few
    cases.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of two classes.

    y_score : array-like of shape (n_samples,)
        Score of the positive class: a probability or any finite number that is higher
        for more likely positive cases.

    pos_label : int, float, bool or str, default=None
        Label of the positive class. None means 1 for the labels 0 and 1 or -1 and 1,
        and True for booleans. Other labels need `pos_label`.

    confidence_level : float, default=0.95
        Nominal coverage, above 0 and below 1.

    Returns
    -------
    low, high : float
        Bounds of the interval, between 0 and 1.

    Raises
    ------
    ValueError
        If a class has no cases, if a score is NaN or infinite, if the number of scores
        and labels differs, or if `confidence_level` is out of range.

    See Also
    --------
    clinical_report : The area with its interval, and other figures.

    Notes
    -----
    Let :math:`V_i` be the share of the :math:`n` negative cases below positive case
    :math:`i` (ties count half), and :math:`W_j` the share of the :math:`m` positive
    cases above negative case :math:`j`. The mean of each is the area :math:`A`, and
    DeLong's variance [1]_ is

    .. math:: D = \frac{s^2_V}{m} + \frac{s^2_W}{n}.

    With few cases, or an area close to 1, :math:`D` is often too small, and it is 0 for
    perfectly separated classes. The bounds :math:`\theta` therefore solve Newcombe's
    equation [2]_, scaled to DeLong's variance where that is larger:

    .. math::
        (A - \theta)^2 = z^2 \max\left(1, \frac{D}{N(A)}\right) N(\theta), \quad
        N(\theta) = \frac{\theta (1 - \theta)}{m n} \left(1 + k
        \left(\frac{1 - \theta}{2 - \theta} + \frac{\theta}{1 + \theta}\right)\right),

    with :math:`k = (m + n) / 2 - 1` and the normal quantile :math:`z`. In simulations
    with 5 positive and 50 or 300 negative cases, the 95 % interval covered areas from
    0.6 to 0.95 in 91 to 97 % of the samples.

    If all scores are equal, or a class has a single case, the scores give no
    information and the interval is (0, 1).

    .. versionadded:: 0.1

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas
       under two or more correlated receiver operating characteristic curves: a
       nonparametric approach", Biometrics, 44(3), 837-845, 1988.
    .. [2] R. G. Newcombe, "Confidence intervals for an effect size measure based on the
       Mann-Whitney statistic. Part 2: asymptotic methods and evaluation", Statistics in
       Medicine, 25(4), 559-573, 2006.

    Examples
    --------
    >>> from gansampler.metrics import roc_auc_interval
    >>> y_true = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    >>> y_score = [0.1, 0.2, 0.3, 0.3, 0.5, 0.6, 0.4, 0.5, 0.8, 0.9]
    >>> low, high = roc_auc_interval(y_true, y_score)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.47 to 0.97
    """
    is_positive, _, pos_label = check_binary(y_true, None, pos_label)
    check_both_classes(is_positive, pos_label)
    scores = check_scores(y_score, len(is_positive))
    check_confidence_level(confidence_level)
    return auc_interval(is_positive, scores, confidence_level)


def auc_interval(
    is_positive: BoolArray, scores: FloatArray, confidence_level: float
) -> Interval:
    """Return the interval of `roc_auc_interval` for checked arrays."""
    positive, negative = scores[is_positive], scores[~is_positive]
    m, n = len(positive), len(negative)
    if min(m, n) < 2 or scores.min() == scores.max():
        return 0.0, 1.0
    # The rank among all cases minus the rank within the class is the number of cases of
    # the other class below.
    ranks = rankdata(np.concatenate([positive, negative]))
    share_below = (ranks[:m] - rankdata(positive)) / n
    share_above = 1 - (ranks[m:] - rankdata(negative)) / m
    area = share_below.mean()
    delong = share_below.var(ddof=1) / m + share_above.var(ddof=1) / n

    def newcombe(theta: float) -> float:
        k = (m + n) / 2 - 1
        inflation = 1 + k * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return theta * (1 - theta) * inflation / (m * n)

    factor = norm.ppf((1 + confidence_level) / 2) ** 2
    if delong > newcombe(area):
        factor *= delong / newcombe(area)

    def lower_bound(area: float) -> float:
        # An area of 1 is a second solution. The bound is below it.
        below = min(area, 1 - 1e-9)
        return brentq(lambda t: (area - t) ** 2 - factor * newcombe(t), 0, below)

    # The equation is symmetric: with 1 - area, it gives 1 minus the upper bound.
    low, high = (lower_bound(a) if a > 0 else 0.0 for a in (area, 1 - area))
    return float(low), float(1 - high)


def average_precision_interval(
    is_positive: BoolArray,
    scores: FloatArray,
    confidence_level: float,
    n_bootstrap: int,
    random_state: int | np.random.RandomState | None,
) -> Interval | None:
    """Return the percentile interval of a bootstrap within each class."""
    if n_bootstrap == 0:
        return None
    positive, negative = scores[is_positive], scores[~is_positive]
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return 0.0, 1.0
    # Only the order of the scores matters: the average precision is computed from the
    # number of cases at each score of a positive case, from the highest to the lowest.
    # Negative cases count at the next lower score of a positive case.
    levels = np.unique(positive)
    n_levels = len(levels)
    positive_level = n_levels - 1 - np.searchsorted(levels, positive)
    negative_level = n_levels - np.searchsorted(levels, negative, side="right")
    # A separate generator leaves NumPy's global random state unchanged.
    seed = None
    if random_state is not None:
        seed = check_random_state(random_state).randint(2**31 - 1)
    rng = np.random.default_rng(seed)
    values = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        drawn = positive_level[rng.integers(m, size=m, dtype=np.int32)]
        n_positive = np.bincount(drawn, minlength=n_levels)
        drawn = negative_level[rng.integers(n, size=n, dtype=np.int32)]
        n_negative = np.bincount(drawn, minlength=n_levels)[:n_levels]
        found = n_positive.cumsum()
        # No case is called positive before the first one is drawn: 0 / 0 counts as 0.
        n_called = np.maximum(found + n_negative.cumsum(), 1)
        values[i] = n_positive @ (found / n_called) / m
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


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

"""The report of a binary problem with a rare positive class."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    roc_auc_score,
)

from gansampler.metrics._binary import (
    FloatArray,
    check_binary,
    check_both_classes,
    check_scores,
)
from gansampler.metrics._intervals import (
    average_precision_interval,
    check_confidence_level,
    delong_interval,
    wilson_interval,
)
from gansampler.metrics._result import ImbalancedReport

__all__ = ["clinical_report"]


def clinical_report(
    y_true: ArrayLike,
    y_pred: ArrayLike | None = None,
    y_score: ArrayLike | None = None,
    *,
    pos_label: Any = None,
    threshold: float | None = None,
    confidence_level: float = 0.95,
    n_bootstrap: int = 2000,
    random_state: int | np.random.RandomState | None = None,
) -> ImbalancedReport:
    """Report on a binary problem with a rare positive class, with intervals.

    Give it the labels and scores of held-out cases. What is rare is known from few
    cases, so that every share comes with its interval and its counts.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The true labels, of two classes, with at least one case of each.

    y_pred : array-like of shape (n_samples,), default=None
        The predicted labels. `None` calls positive what has a `y_score` of at least
        `threshold`.

    y_score : array-like of shape (n_samples,), default=None
        Score of the positive class: a probability, or any finite number that is
        higher where the class is more likely. `None` leaves out the figures that
        need scores.

    pos_label : int, float, bool or str, default=None
        The label of the positive class: the one to be detected. `None` means 1 where
        the labels are 0 and 1 or -1 and 1, and True where they are booleans; for
        other labels it must be given.

    threshold : float, default=None
        Score from which a case is called positive, where `y_pred` is not given.
        `None` means 0.5 for scores within [0, 1]; for other scores it must be given.
        Choose it on validation data, not on the data that are reported on.

    confidence_level : float, default=0.95
        Coverage of the intervals, above 0 and below 1.

    n_bootstrap : int, default=2000
        Number of resamples for the interval of the average precision.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples: pass an int for the same interval every time.

    Returns
    -------
    report : ImbalancedReport
        The counts, shares, areas and intervals. `print(report)` shows a table and
        `report.to_dict()` is ready for JSON.

    Raises
    ------
    ValueError
        If a class has no case, if there are more than two, if neither predictions nor
        scores are given, if a threshold is given beside predictions or is missing for
        scores out of [0, 1], or if the positive class is not clear.

    See Also
    --------
    sensitivity_score : One of the figures.
    specificity_score : One of the figures.
    roc_auc_interval : The interval of the area under the ROC curve.
    imblearn.metrics.clinical_report : Figures of every class, with
        neither scores nor intervals.

    Notes
    -----
    Sensitivity, specificity and the predictive values have Wilson's score interval
    [1]_, which holds for few cases and for shares near 0 and 1. The area under the
    ROC curve has DeLong's interval, see :func:`roc_auc_interval`. The average
    precision has the percentile interval of a bootstrap that resamples positive and
    negative cases apart; it has no width where the classes are separated without an
    error, and is (0, 1) where a class has a single case.

    The predictive values hold for data with this `prevalence` only.

    .. versionadded:: 0.1

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", Journal of the American Statistical Association, 22(158), 209-212,
       1927.

    Examples
    --------
    Of 75 melanomas 22 are missed, and 59 of 304 benign lesions raise an alarm. The
    sensitivity is 0.707; 0.918 is how far a negative answer can be trusted.

    >>> import numpy as np
    >>> from gansampler.metrics import clinical_report
    >>> y_true = np.repeat(["malignant", "benign"], [75, 304])
    >>> y_pred = np.repeat(
    ...     ["malignant", "benign", "malignant", "benign"], [53, 22, 59, 245]
    ... )
    >>> print(clinical_report(y_true, y_pred, pos_label="malignant"))
    379 cases, 75 of them positive ('malignant', 19.8%)
    called positive by the given predictions
    <BLANKLINE>
                         called positive  called negative
    positive                       53 TP            22 FN
    negative                       59 FP           245 TN
    <BLANKLINE>
                                                  value   95% interval
    sensitivity       TP / (TP + FN) = 53 / 75    0.707   0.596 to 0.798
    specificity       TN / (TN + FP) = 245 / 304  0.806   0.758 to 0.846
    PPV               TP / (TP + FP)              0.473   0.383 to 0.565
    NPV               TN / (TN + FN)              0.918   0.878 to 0.945
    balanced accuracy                             0.756
    geometric mean                                0.755
    """
    is_positive, called_positive, pos_label = check_binary(y_true, y_pred, pos_label)
    check_both_classes(is_positive, pos_label)
    check_confidence_level(confidence_level)
    scores = None if y_score is None else check_scores(y_score, len(is_positive))
    if called_positive is None:
        if scores is None:
            raise ValueError(
                "A report needs `y_pred` or `y_score`. Got neither. Pass "
                "y_score=classifier.predict_proba(X)[:, 1], say."
            )
        threshold = _check_threshold(threshold, scores)
        called_positive = np.asarray(scores >= threshold)
    elif threshold is not None:
        raise ValueError(
            "`threshold` turns scores into predictions where there are none. Got "
            f"threshold={threshold!r} and `y_pred`. Pass one of the two."
        )

    counts = confusion_matrix(is_positive, called_positive, labels=[False, True])
    (tn, fp), (fn, tp) = counts.tolist()
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    ppv = npv = ppv_interval = npv_interval = None
    if tp + fp:
        ppv = tp / (tp + fp)
        ppv_interval = wilson_interval(tp, tp + fp, confidence_level)
    if tn + fn:
        npv = tn / (tn + fn)
        npv_interval = wilson_interval(tn, tn + fn, confidence_level)
    roc_auc = average_precision = brier_score = roc_interval = ap_interval = None
    if scores is not None:
        roc_auc = float(roc_auc_score(is_positive, scores))
        roc_interval = delong_interval(is_positive, scores, confidence_level)
        average_precision = float(average_precision_score(is_positive, scores))
        ap_interval = average_precision_interval(
            is_positive, scores, confidence_level, n_bootstrap, random_state
        )
        if _are_probabilities(scores):
            brier_score = float(brier_score_loss(is_positive, scores))
    return ImbalancedReport(
        pos_label=pos_label.item() if isinstance(pos_label, np.generic) else pos_label,
        threshold=threshold,
        true_positives=tp,
        false_negatives=fn,
        true_negatives=tn,
        false_positives=fp,
        sensitivity=sensitivity,
        specificity=specificity,
        positive_predictive_value=ppv,
        negative_predictive_value=npv,
        balanced_accuracy=(sensitivity + specificity) / 2,
        geometric_mean=math.sqrt(sensitivity * specificity),
        roc_auc=roc_auc,
        average_precision=average_precision,
        brier_score=brier_score,
        sensitivity_interval=wilson_interval(tp, tp + fn, confidence_level),
        specificity_interval=wilson_interval(tn, tn + fp, confidence_level),
        positive_predictive_value_interval=ppv_interval,
        negative_predictive_value_interval=npv_interval,
        roc_auc_interval=roc_interval,
        average_precision_interval=ap_interval,
        confidence_level=confidence_level,
    )


def _are_probabilities(scores: FloatArray) -> bool:
    return bool(scores.min() >= 0 and scores.max() <= 1)


def _check_threshold(threshold: float | None, scores: FloatArray) -> float:
    if threshold is not None:
        return float(threshold)
    if not _are_probabilities(scores):
        raise ValueError(
            "Without `threshold`, `y_score` must be within [0, 1], and 0.5 divides it. "
            f"Got scores from {scores.min():.4g} to {scores.max():.4g}. Pass "
            "threshold=0 for a decision function, or one chosen on validation data."
        )
    return 0.5

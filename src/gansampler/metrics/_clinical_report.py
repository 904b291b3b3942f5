"""The clinical report of a binary classifier, as figures and as a table."""

import dataclasses
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
    check_binary,
    check_both_classes,
    check_scores,
)
from gansampler.metrics._html import report_to_html
from gansampler.metrics._intervals import (
    Interval,
    auc_interval,
    average_precision_interval,
    check_confidence_level,
    wilson_interval,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClinicalReport:
    """Figures of a binary classifier, from :func:`clinical_report`.

    ``print(report)`` shows them as a table. A notebook shows them as HTML tables, with
    an explanation of each figure.

    Attributes
    ----------
    pos_label : int, float, bool or str
        Label of the positive class.

    threshold : float or None
        Lowest score that was called positive. None if `y_pred` was given.

    true_positives, false_negatives, true_negatives, false_positives : int
        Counts of the confusion matrix.

    sensitivity : float
        TP / (TP + FN): share of the positive cases that are called positive.

    specificity : float
        TN / (TN + FP): share of the negative cases that are called negative.

    positive_predictive_value : float or None
        TP / (TP + FP): share of the positive answers that are right. None if no case
        is called positive.

    negative_predictive_value : float or None
        TN / (TN + FN): share of the negative answers that are right. None if no case
        is called negative.

    balanced_accuracy : float
        Mean of sensitivity and specificity.

    geometric_mean : float
        Square root of sensitivity times specificity.

    roc_auc : float or None
        Area under the ROC curve. None without `y_score`.

    average_precision : float or None
        Area under the precision-recall curve. A random score gives `prevalence`. None
        without `y_score`.

    brier_score : float or None
        Mean squared difference of score and label. 0 is best. None without a `y_score`
        within [0, 1].

    sensitivity_interval, specificity_interval : tuple of two floats
        Wilson's score intervals.

    positive_predictive_value_interval, negative_predictive_value_interval : \
tuple of two floats or None
        Wilson's score intervals.

    roc_auc_interval : tuple of two floats or None
        Interval of :func:`roc_auc_interval`. None without `y_score`.

    average_precision_interval : tuple of two floats or None
        Percentile interval of a bootstrap within each class. None without `y_score`
        or with ``n_bootstrap=0``.

    confidence_level : float
        Nominal coverage of the intervals.

    See Also
    --------
    clinical_report : Computes the report.

    Notes
    -----
    .. versionadded:: 0.1

    Examples
    --------
    >>> from gansampler.metrics import clinical_report
    >>> report = clinical_report([0, 0, 0, 1, 1], [0, 0, 1, 1, 0])
    >>> report.sensitivity, report.false_positives
    (0.5, 1)
    """

    pos_label: Any
    threshold: float | None
    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int
    sensitivity: float
    specificity: float
    positive_predictive_value: float | None = None
    negative_predictive_value: float | None = None
    balanced_accuracy: float
    geometric_mean: float
    roc_auc: float | None = None
    average_precision: float | None = None
    brier_score: float | None = None
    sensitivity_interval: Interval
    specificity_interval: Interval
    positive_predictive_value_interval: Interval | None = None
    negative_predictive_value_interval: Interval | None = None
    roc_auc_interval: Interval | None = None
    average_precision_interval: Interval | None = None
    confidence_level: float

    @property
    def n_samples(self) -> int:
        """Number of cases."""
        return (
            self.true_positives
            + self.false_negatives
            + self.true_negatives
            + self.false_positives
        )

    @property
    def prevalence(self) -> float:
        """Share of positive cases."""
        return (self.true_positives + self.false_negatives) / self.n_samples

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as Python objects that JSON can hold.

        Returns
        -------
        figures : dict
            All attributes, `n_samples` and `prevalence`. Intervals are lists.
        """
        figures = dataclasses.asdict(self)
        figures |= {"n_samples": self.n_samples, "prevalence": self.prevalence}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in figures.items()
        }

    def _repr_html_(self) -> str:
        return report_to_html(self.to_dict())

    def __str__(self) -> str:
        tp, fn = self.true_positives, self.false_negatives
        fp, tn = self.false_positives, self.true_negatives
        called = "by the given predictions"
        if self.threshold is not None:
            called = f"where the score is at least {self.threshold:.4g}"
        lines = [
            f"{self.n_samples} cases, {tp + fn} of them positive "
            f"({self.pos_label!r}, {self.prevalence:.1%})",
            f"called positive {called}",
            "",
            f"{'':20}{'called positive':>16}{'called negative':>17}",
            f"{'positive':<20}{tp:>13} TP{fn:>14} FN",
            f"{'negative':<20}{fp:>13} FP{tn:>14} TN",
            "",
            f"{'':46}value   {100 * self.confidence_level:g}% interval",
        ]
        for attribute, title, meaning in [
            ("sensitivity", "sensitivity", f"TP / (TP + FN) = {tp} / {tp + fn}"),
            ("specificity", "specificity", f"TN / (TN + FP) = {tn} / {tn + fp}"),
            ("positive_predictive_value", "PPV", "TP / (TP + FP)"),
            ("negative_predictive_value", "NPV", "TN / (TN + FN)"),
            ("balanced_accuracy", "balanced accuracy", ""),
            ("geometric_mean", "geometric mean", ""),
            ("roc_auc", "ROC AUC", "by chance 0.500"),
            (
                "average_precision",
                "average precision",
                f"by chance {self.prevalence:.3f}",
            ),
            ("brier_score", "Brier score", "0 is best"),
        ]:
            value = getattr(self, attribute)
            if value is None:
                continue
            interval = getattr(self, f"{attribute}_interval", None)
            bounds = "   {:.3f} to {:.3f}".format(*interval) if interval else ""
            lines.append(f"{title:<18}{meaning:<28}{value:.3f}{bounds}")
        return "\n".join(lines)


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
) -> ClinicalReport:
    """Report of a binary classifier for a rare positive class, with intervals.

    It is computed from the labels and scores of held-out cases. A rare class has few
    cases, so that each share is shown with its counts and its confidence interval.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of two classes with at least one case each.

    y_pred : array-like of shape (n_samples,), default=None
        Predicted labels. With None, the cases with a `y_score` of at least `threshold`
        are called positive.

    y_score : array-like of shape (n_samples,), default=None
        Score of the positive class: a probability or any finite number that is higher
        for more likely positive cases. None leaves out the figures that need scores.

    pos_label : int, float, bool or str, default=None
        Label of the positive class, the one to be detected. None means 1 for the
        labels 0 and 1 or -1 and 1, and True for booleans. Other labels need
        `pos_label`.

    threshold : float, default=None
        Lowest score that is called positive, if `y_pred` is not given. None means 0.5
        for scores within [0, 1]. Other scores need `threshold`. Choose it on validation
        data, not on the data of the report.

    confidence_level : float, default=0.95
        Nominal coverage of the intervals, above 0 and below 1.

    n_bootstrap : int, default=2000
        Number of bootstrap samples for the interval of the average precision. 0 leaves
        the interval out.

    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap. Pass an int for a reproducible interval.

    Returns
    -------
    report : ClinicalReport
        Counts, shares, areas and intervals. ``print(report)`` shows a table, and
        ``report.to_dict()`` can be written as JSON.

    Raises
    ------
    ValueError
        If a class has no cases, if there are more than two classes, if neither
        predictions nor scores are given, if both predictions and a threshold are given,
        if scores outside [0, 1] have no threshold, or if the labels need `pos_label`.

    See Also
    --------
    sensitivity_score : Sensitivity alone.
    specificity_score : Specificity alone.
    roc_auc_interval : Interval of the area under the ROC curve.
    imblearn.metrics.classification_report_imbalanced : Figures of each class, without
        scores and intervals.

    Notes
    -----
    Sensitivity, specificity and the predictive values have Wilson's score interval
    [1]_, which is suitable for few cases and for shares close to 0 and 1. The area
    under the ROC curve has the interval of :func:`roc_auc_interval`. The average
    precision has the percentile interval of a bootstrap that resamples positive and
    negative cases separately. This interval is a single point if the classes are
    perfectly separated, and (0, 1) if a class has a single case.

    The predictive values apply only to data with the same `prevalence`.

    .. versionadded:: 0.1

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", Journal of the American Statistical Association, 22(158), 209-212,
       1927.

    Examples
    --------
    22 of 75 melanomas are missed, and 59 of 304 benign lesions are called malignant.
    The sensitivity is 0.707. The NPV, 0.918, is the share of the negative answers that
    are right.

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
    if n_bootstrap < 0:
        raise ValueError(
            f"`n_bootstrap` must be an int >= 0. Got {n_bootstrap!r}. Pass 0 for no "
            "interval of the average precision."
        )
    scores = None if y_score is None else check_scores(y_score, len(is_positive))
    are_probabilities = scores is not None and 0 <= scores.min() <= scores.max() <= 1
    if called_positive is None:
        if scores is None:
            raise ValueError(
                "A report needs `y_pred` or `y_score`. Got neither. Pass e.g. "
                "y_score=classifier.predict_proba(X)[:, 1]."
            )
        if threshold is None and not are_probabilities:
            raise ValueError(
                "Without `threshold`, `y_score` must be within [0, 1]. Got scores from "
                f"{scores.min():.4g} to {scores.max():.4g}. Pass threshold=0 for a "
                "decision function, or one chosen on validation data."
            )
        threshold = 0.5 if threshold is None else float(threshold)
        called_positive = scores >= threshold
    elif threshold is not None:
        raise ValueError(
            "`threshold` is for a report without `y_pred`. Got "
            f"threshold={threshold!r} and `y_pred`. Pass one of the two."
        )

    counts = confusion_matrix(is_positive, called_positive, labels=[False, True])
    (tn, fp), (fn, tp) = counts.tolist()
    figures: dict[str, Any] = {}
    for name, count, total in [
        ("sensitivity", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("positive_predictive_value", tp, tp + fp),
        ("negative_predictive_value", tn, tn + fn),
    ]:
        if total:
            figures[name] = count / total
            interval = wilson_interval(count, total, confidence_level)
            figures[f"{name}_interval"] = interval
    if scores is not None:
        figures["roc_auc"] = float(roc_auc_score(is_positive, scores))
        roc_auc_interval = auc_interval(is_positive, scores, confidence_level)
        figures["roc_auc_interval"] = roc_auc_interval
        average_precision = average_precision_score(is_positive, scores)
        figures["average_precision"] = float(average_precision)
        figures["average_precision_interval"] = average_precision_interval(
            is_positive, scores, confidence_level, n_bootstrap, random_state
        )
        if are_probabilities:
            figures["brier_score"] = float(brier_score_loss(is_positive, scores))
    sensitivity, specificity = figures["sensitivity"], figures["specificity"]
    return ClinicalReport(
        pos_label=pos_label.item() if isinstance(pos_label, np.generic) else pos_label,
        threshold=threshold,
        true_positives=tp,
        false_negatives=fn,
        true_negatives=tn,
        false_positives=fp,
        balanced_accuracy=(sensitivity + specificity) / 2,
        geometric_mean=math.sqrt(sensitivity * specificity),
        confidence_level=confidence_level,
        **figures,
    )

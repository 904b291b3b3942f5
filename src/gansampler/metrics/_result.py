"""What a report holds, and how it prints."""

import dataclasses
from typing import Any

from gansampler.metrics._intervals import Interval

__all__ = ["ImbalancedReport"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImbalancedReport:
    """What `clinical_report` found; `print` it for a table.

    Attributes
    ----------
    pos_label : int, float, bool or str
        The label of the positive class.

    threshold : float or None
        Score from which a case was called positive; None where `y_pred` was given.

    true_positives, false_negatives, true_negatives, false_positives : int
        The confusion counts.

    sensitivity : float
        TP / (TP + FN): share of the positive cases that were found.

    specificity : float
        TN / (TN + FP): share of the negative cases that were left alone.

    positive_predictive_value : float or None
        TP / (TP + FP): share of the positive answers that are right. None where no
        case was called positive.

    negative_predictive_value : float or None
        TN / (TN + FN): share of the negative answers that are right. None where no
        case was called negative.

    balanced_accuracy : float
        Mean of sensitivity and specificity.

    geometric_mean : float
        Square root of their product.

    roc_auc : float or None
        Area under the ROC curve; None without `y_score`.

    average_precision : float or None
        Area under the precision-recall curve; None without `y_score`. A score that
        knows nothing gets `prevalence`.

    brier_score : float or None
        Mean squared difference of score and truth, 0 is best; None unless `y_score`
        is there and within [0, 1].

    sensitivity_interval, specificity_interval : tuple of two floats
        Wilson's score intervals.

    positive_predictive_value_interval, negative_predictive_value_interval : \
tuple of two floats or None
        Wilson's score intervals.

    roc_auc_interval : tuple of two floats or None
        DeLong's interval.

    average_precision_interval : tuple of two floats or None
        Percentile interval of the bootstrap within each class.

    confidence_level : float
        Of all the intervals.

    See Also
    --------
    clinical_report : Computes it.

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
    positive_predictive_value: float | None
    negative_predictive_value: float | None
    balanced_accuracy: float
    geometric_mean: float
    roc_auc: float | None
    average_precision: float | None
    brier_score: float | None
    sensitivity_interval: Interval
    specificity_interval: Interval
    positive_predictive_value_interval: Interval | None
    negative_predictive_value_interval: Interval | None
    roc_auc_interval: Interval | None
    average_precision_interval: Interval | None
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
        """Share of the positive cases among all."""
        return (self.true_positives + self.false_negatives) / self.n_samples

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain Python objects, ready for JSON.

        Returns
        -------
        figures : dict
            Every attribute, and `n_samples` and `prevalence`. Intervals are lists.
        """
        figures = dataclasses.asdict(self)
        figures |= {"n_samples": self.n_samples, "prevalence": self.prevalence}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in figures.items()
        }

    def __str__(self) -> str:
        n_positive = self.true_positives + self.false_negatives
        n_negative = self.true_negatives + self.false_positives
        called = "by the given predictions"
        if self.threshold is not None:
            called = f"where the score is at least {self.threshold:.4g}"
        found, missed = self.true_positives, self.false_negatives
        alarmed, spared = self.false_positives, self.true_negatives
        chance = self.prevalence
        lines = [
            f"{self.n_samples} cases, {n_positive} of them positive "
            f"({self.pos_label!r}, {chance:.1%})",
            f"called positive {called}",
            "",
            f"{'':20}{'called positive':>16}{'called negative':>17}",
            f"{'positive':<20}{found:>13} TP{missed:>14} FN",
            f"{'negative':<20}{alarmed:>13} FP{spared:>14} TN",
            "",
            f"{'':46}value   {100 * self.confidence_level:g}% interval",
        ]
        for attribute, title, meaning in [
            ("sensitivity", "sensitivity", f"TP / (TP + FN) = {found} / {n_positive}"),
            ("specificity", "specificity", f"TN / (TN + FP) = {spared} / {n_negative}"),
            ("positive_predictive_value", "PPV", "TP / (TP + FP)"),
            ("negative_predictive_value", "NPV", "TN / (TN + FN)"),
            ("balanced_accuracy", "balanced accuracy", ""),
            ("geometric_mean", "geometric mean", ""),
            ("roc_auc", "ROC AUC", "by chance 0.500"),
            ("average_precision", "average precision", f"by chance {chance:.3f}"),
            ("brier_score", "Brier score", "0 is best"),
        ]:
            value = getattr(self, attribute)
            if value is None:
                continue
            interval = getattr(self, f"{attribute}_interval", None)
            bounds = "   {:.3f} to {:.3f}".format(*interval) if interval else ""
            lines.append(f"{title:<18}{meaning:<28}{value:.3f}{bounds}")
        return "\n".join(lines)

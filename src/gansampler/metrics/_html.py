"""The clinical report as HTML tables, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

PADDING = "padding: 0.2em 0.6em"


def report_to_html(figures: Mapping[str, Any]) -> str:
    """Return the figures of a clinical report as HTML, with a sentence for each.

    Parameters
    ----------
    figures : mapping of str -> object
        Result of :meth:`ClinicalReport.to_dict`.

    Returns
    -------
    html : str
        Two tables with a text before and after them. Labels are escaped.
    """
    tp, fn = figures["true_positives"], figures["false_negatives"]
    fp, tn = figures["false_positives"], figures["true_negatives"]
    label = f"<i>{escape(str(figures['pos_label']))}</i>"
    level = f"{100 * figures['confidence_level']:g}%"
    prevalence = f"{figures['prevalence']:.1%}"
    called = "The predictions say which cases are called positive."
    if figures["threshold"] is not None:
        called = (
            "A case is called positive if its score is at least "
            f"{figures['threshold']:.4g}."
        )
    meanings = {
        "sensitivity": (
            "Sensitivity",
            f"{tp} of the {tp + fn} positive cases are called positive.",
        ),
        "specificity": (
            "Specificity",
            f"{tn} of the {tn + fp} negative cases are called negative.",
        ),
        "positive_predictive_value": (
            "Positive predictive value (PPV)",
            f"{tp} of the {tp + fp} cases that are called positive are positive.",
        ),
        "negative_predictive_value": (
            "Negative predictive value (NPV)",
            f"{tn} of the {tn + fn} cases that are called negative are negative.",
        ),
        "balanced_accuracy": (
            "Balanced accuracy",
            "Mean of sensitivity and specificity. By chance 0.500.",
        ),
        "geometric_mean": (
            "Geometric mean",
            "Square root of sensitivity times specificity.",
        ),
        "roc_auc": (
            "Area under the receiver operating characteristic curve (ROC AUC)",
            "How often a positive case has a higher score than a negative case, if one "
            "of each is drawn. By chance 0.500.",
        ),
        "average_precision": (
            "Average precision",
            "Mean share of positive cases among the cases with the highest scores, "
            f"over all thresholds. By chance {figures['prevalence']:.3f}.",
        ),
        "brier_score": (
            "Brier score",
            "Mean squared difference between the score and the truth, which is 1 or 0. "
            "The best value is 0.",
        ),
    }
    rows = []
    for name, (title, meaning) in meanings.items():
        if figures[name] is None:
            continue
        bounds = figures.get(f"{name}_interval")
        interval = "{:.3f} to {:.3f}".format(*bounds) if bounds else ""
        cells = [f"{figures[name]:.3f}", interval, meaning]
        rows.append(_row(title, cells, last="left"))
    counts = [
        _row("is positive", [f"{tp} (true positives)", f"{fn} (false negatives)"]),
        _row("is negative", [f"{fp} (false positives)", f"{tn} (true negatives)"]),
    ]
    return (
        f"<div><p>{figures['n_samples']} cases, {tp + fn} of them positive "
        f"(label {label}, {prevalence}). {called}</p>"
        f"{_table(['', 'called positive', 'called negative'], counts)}"
        f"{_table(['', 'value', f'{level} interval', 'meaning'], rows)}"
        f"<p>The {level} interval shows which values are compatible with the data. It "
        "is wider if there are fewer cases. The predictive values are valid only for "
        f"data in which {prevalence} of the cases are positive.</p></div>"
    )


def _table(names: list[str], rows: list[str]) -> str:
    head = "".join(
        f'<th style="text-align: center; {PADDING}">{name}</th>' for name in names
    )
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _row(title: str, cells: list[str], last: str = "right") -> str:
    sides = ["right; white-space: nowrap"] * (len(cells) - 1) + [last]
    columns = "".join(
        f'<td style="text-align: {side}; {PADDING}">{cell}</td>'
        for side, cell in zip(sides, cells, strict=True)
    )
    return f'<tr><th style="text-align: left; {PADDING}">{title}</th>{columns}</tr>'

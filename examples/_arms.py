"""The comparison of the longer examples: one classifier, three training sets."""

from __future__ import annotations

import time

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone

from gansampler import TransferClassifier
from gansampler.metrics import ClinicalReport, clinical_report

Labelled = tuple[np.ndarray, np.ndarray]


def resample_randomly(X: np.ndarray, y: np.ndarray, random_state: int) -> Labelled:
    """Repeat minority images; imbalanced-learn's sampler takes two dimensions only."""
    sampler = RandomOverSampler(random_state=random_state)
    rows, y_resampled = sampler.fit_resample(X.reshape(len(X), -1), y)
    return rows.reshape(-1, *X.shape[1:]), y_resampled


def run_arms(
    arms: dict[str, Labelled], test: Labelled, classifier: TransferClassifier
) -> tuple[dict[str, ClinicalReport], dict[str, TransferClassifier]]:
    """Train a clone of the classifier on each arm and report on the test set."""
    reports, models = {}, {}
    X_test, y_test = test
    for arm, (X, y) in arms.items():
        start = time.monotonic()
        labels, counts = np.unique(y, return_counts=True)
        class_counts = ", ".join(
            f"{n} {label}" for label, n in zip(labels, counts, strict=True)
        )
        print(f"\nClassifier, {arm}: {class_counts}", flush=True)
        models[arm] = clone(classifier).fit(X, y)
        positive = models[arm].classes_.tolist().index("malignant")
        scores = models[arm].predict_proba(X_test)[:, positive]
        reports[arm] = clinical_report(
            y_test == "malignant", y_score=scores, random_state=0
        )
        print(f"took {time.monotonic() - start:.0f} s", flush=True)
    return reports, models


def print_table(reports: dict[str, ClinicalReport]) -> None:
    """Print one line per arm, each figure with its 95 % interval."""
    columns = ("roc_auc", "average_precision", "sensitivity", "specificity")
    heads = ("AUC", "average precision", "sensitivity", "specificity")
    width = max(map(len, reports))
    print("\n" + " " * width + "".join(f"  {head:>20}" for head in heads))
    for arm, report in reports.items():
        cells = []
        for column in columns:
            low, high = getattr(report, f"{column}_interval")
            cells.append(f"{getattr(report, column):.3f} [{low:.3f}, {high:.3f}]")
        print(f"{arm:<{width}}" + "".join(f"  {cell:>20}" for cell in cells))
    print(
        "\nIn brackets: 95 % intervals over this test set. Sensitivity and specificity "
        "are\nthose at the threshold 0.5. One seed per arm: intervals that overlap are "
        "no\nevidence that one arm beats another."
    )

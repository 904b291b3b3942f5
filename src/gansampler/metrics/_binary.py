"""Checks of labels and scores, as booleans and finite floats."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import unique_labels

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


def check_binary(
    y_true: ArrayLike, y_pred: ArrayLike | None, pos_label: Any
) -> tuple[BoolArray, BoolArray | None, Any]:
    """Return which true and predicted labels are positive, and the positive label."""
    given = [column_or_1d(y) for y in (y_true, y_pred) if y is not None]
    check_consistent_length(*given)
    if y_pred is not None and _are_scores(given[0], given[1]):
        raise ValueError(
            "`y_pred` must have labels. Got numbers that are no labels of `y_true`, "
            f"such as {given[1][~np.isin(given[1], given[0])][0]:.4g}. Pass scores and "
            "probabilities by name, y_score=..."
        )
    labels = unique_labels(*given).tolist()
    if len(labels) > 2:
        raise ValueError(
            f"The labels must be of two classes. Got {labels}. To compare one class "
            "with the rest, pass booleans: y_true == label, y_pred == label."
        )
    if pos_label is None:
        if not (set(labels) <= {0, 1} or set(labels) <= {-1, 1}):
            raise ValueError(
                "`pos_label` may be left out only for labels 0 and 1, -1 and 1, or "
                f"booleans. Got {labels}. Pass the class to be detected, e.g. "
                f"pos_label={labels[-1]!r}."
            )
        pos_label = True if given[0].dtype == bool else 1
    elif len(labels) == 2 and pos_label not in labels:
        raise ValueError(
            f"`pos_label` must be one of the labels {labels}. Got {pos_label!r}."
        )
    positive = [np.asarray(y == pos_label, dtype=bool) for y in given]
    return positive[0], positive[1] if len(positive) == 2 else None, pos_label


def _are_scores(y_true: np.ndarray, y_pred: np.ndarray) -> bool:
    """Whether predictions are fractions, which labels are not."""
    is_float = y_pred.dtype.kind == "f" and np.isfinite(y_pred).all()
    return bool(is_float and (y_pred % 1 != 0).any() and y_true.dtype.kind != "f")


def check_both_classes(is_positive: BoolArray, pos_label: Any) -> None:
    """Raise unless both classes have at least one case."""
    check_has_cases(is_positive, "positive", pos_label)
    check_has_cases(~is_positive, "negative", pos_label)


def check_has_cases(is_member: BoolArray, name: str, pos_label: Any) -> None:
    """Raise if `y_true` has no case of the class called `name`."""
    if not is_member.any():
        raise ValueError(
            f"`y_true` must have at least one {name} case. Got none in "
            f"{len(is_member)} cases with pos_label={pos_label!r}. Check pos_label, or "
            "stratify the split of the data."
        )


def check_scores(y_score: ArrayLike, n_samples: int) -> FloatArray:
    """Return one finite score per case."""
    scores = np.asarray(y_score, dtype=np.float64)
    if scores.shape != (n_samples,):
        raise ValueError(
            "`y_score` must have one score of the positive class per case: shape "
            f"({n_samples},). Got {scores.shape}. From predict_proba, pass its column: "
            "proba[:, list(classifier.classes_).index(pos_label)]."
        )
    if not np.isfinite(scores).all():
        n_bad = int((~np.isfinite(scores)).sum())
        raise ValueError(
            f"`y_score` must be finite. Got {n_bad} NaN or infinite of {n_samples}. "
            "Leave those cases out, or correct the classifier."
        )
    return scores

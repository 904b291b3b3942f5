"""Sensitivity and specificity of the class to be detected."""

from typing import Any

from numpy.typing import ArrayLike
from sklearn.metrics import recall_score

from gansampler.metrics._binary import check_binary, check_has_cases


def sensitivity_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, pos_label: Any = None
) -> float:
    r"""Share of the positive cases that are called positive.

    .. math:: \text{sensitivity} = \frac{TP}{TP + FN}

    Also called recall, or the true positive rate, of the positive class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of two classes.

    y_pred : array-like of shape (n_samples,)
        Predicted labels.

    pos_label : int, float, bool or str, default=None
        Label of the positive class, the one to be detected. None means 1 for the
        labels 0 and 1 or -1 and 1, and True for booleans. Other labels need
        `pos_label`.

    Returns
    -------
    sensitivity : float
        Between 0 and 1. 1 is best.

    Raises
    ------
    ValueError
        If there is no positive case in `y_true`, if there are more than two classes,
        or if the labels need `pos_label`.

    See Also
    --------
    specificity_score : Share of the negative cases that are called negative.
    clinical_report : Both with intervals, and other figures.

    Notes
    -----
    The negative predictive value, :math:`TN / (TN + FN)`, is sometimes published under
    this name. It is the share of the negative answers that are right. It is high
    whenever positive cases are rare, and does not measure how many of them are found.

    .. versionadded:: 0.1

    Examples
    --------
    >>> from gansampler.metrics import sensitivity_score
    >>> y_true = ["malignant", "malignant", "benign", "benign", "benign"]
    >>> y_pred = ["malignant", "benign", "benign", "benign", "malignant"]
    >>> sensitivity_score(y_true, y_pred, pos_label="malignant")
    0.5
    """
    is_positive, called_positive, pos_label = check_binary(y_true, y_pred, pos_label)
    check_has_cases(is_positive, "positive", pos_label)
    return float(recall_score(is_positive, called_positive))


def specificity_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, pos_label: Any = None
) -> float:
    r"""Share of the negative cases that are called negative.

    .. math:: \text{specificity} = \frac{TN}{TN + FP}

    Also called the true negative rate, or the recall of the negative class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of two classes.

    y_pred : array-like of shape (n_samples,)
        Predicted labels.

    pos_label : int, float, bool or str, default=None
        Label of the positive class, the one to be detected. None means 1 for the
        labels 0 and 1 or -1 and 1, and True for booleans. Other labels need
        `pos_label`.

    Returns
    -------
    specificity : float
        Between 0 and 1. 1 is best.

    Raises
    ------
    ValueError
        If there is no negative case in `y_true`, if there are more than two classes,
        or if the labels need `pos_label`.

    See Also
    --------
    sensitivity_score : Share of the positive cases that are called positive.
    clinical_report : Both with intervals, and other figures.

    Notes
    -----
    .. versionadded:: 0.1

    Examples
    --------
    >>> from gansampler.metrics import specificity_score
    >>> y_true = ["malignant", "malignant", "benign", "benign"]
    >>> y_pred = ["malignant", "benign", "benign", "malignant"]
    >>> specificity_score(y_true, y_pred, pos_label="malignant")
    0.5
    """
    is_positive, called_positive, pos_label = check_binary(y_true, y_pred, pos_label)
    check_has_cases(~is_positive, "negative", pos_label)
    return float(recall_score(is_positive, called_positive, pos_label=False))

"""Sensitivity and specificity of the class to be detected."""

from typing import Any

from numpy.typing import ArrayLike
from sklearn.metrics import recall_score

from gansampler.metrics._binary import check_any, check_binary

__all__ = ["sensitivity_score", "specificity_score"]


def sensitivity_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, pos_label: Any = None
) -> float:
    r"""Share of the positive cases that were found.

    .. math:: \text{sensitivity} = \frac{TP}{TP + FN}

    Also called recall, or the true positive rate, of the positive class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The true labels, of two classes.

    y_pred : array-like of shape (n_samples,)
        The predicted labels.

    pos_label : int, float, bool or str, default=None
        The label of the positive class: the one to be detected. `None` means 1 where
        the labels are 0 and 1 or -1 and 1, and True where they are booleans; for
        other labels it must be given.

    Returns
    -------
    sensitivity : float
        Between 0 and 1; 1 is best.

    Raises
    ------
    ValueError
        If there is no positive case in `y_true`, if there are more than two classes,
        or if `pos_label` is not given and not clear.

    See Also
    --------
    specificity_score : Share of the negative cases that were left alone.
    clinical_report : Both, with intervals and more.

    Notes
    -----
    The negative predictive value, :math:`TN / (TN + FN)`, is sometimes published
    under this name. It says how far a negative answer can be trusted, is high
    wherever positive cases are rare, and is no measure of how many were found.

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
    check_any(is_positive, "positive", pos_label)
    return float(recall_score(is_positive, called_positive))


def specificity_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, pos_label: Any = None
) -> float:
    r"""Share of the negative cases that were left alone.

    .. math:: \text{specificity} = \frac{TN}{TN + FP}

    Also called the true negative rate, or the recall of the negative class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The true labels, of two classes.

    y_pred : array-like of shape (n_samples,)
        The predicted labels.

    pos_label : int, float, bool or str, default=None
        The label of the positive class: the one to be detected. `None` means 1 where
        the labels are 0 and 1 or -1 and 1, and True where they are booleans; for
        other labels it must be given.

    Returns
    -------
    specificity : float
        Between 0 and 1; 1 is best.

    Raises
    ------
    ValueError
        If there is no negative case in `y_true`, if there are more than two classes,
        or if `pos_label` is not given and not clear.

    See Also
    --------
    sensitivity_score : Share of the positive cases that were found.
    clinical_report : Both, with intervals and more.

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
    check_any(~is_positive, "negative", pos_label)
    return float(recall_score(is_positive, called_positive, pos_label=False))

"""One weight per class, from the number of its samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansampler.losses._arguments import check_choice


def check_class_counts(class_counts: object) -> Tensor:
    """Return the number of samples per class in float64; each must be at least 1."""
    counts = torch.as_tensor(class_counts).to(torch.float64)
    if counts.dim() != 1 or counts.numel() == 0 or not bool((counts >= 1).all()):
        raise ValueError(
            "`class_counts` must be the number of samples of each class, at least 1. "
            f"Got {counts.tolist()}. Pass e.g. numpy.bincount(y) for labels 0, 1, ..., "
            "and leave out classes without samples."
        )
    return counts


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Return (1 - beta) / (1 - beta^n), scaled to add up to the number of classes."""
    if not 0.0 <= beta < 1.0:
        raise ValueError(
            f"`beta` must be in [0, 1). Got {beta!r}. Pass 0.9, 0.99, 0.999 or 0.9999. "
            "The closer it is to 1, the closer the weights are to inverse frequency."
        )
    if beta == 0.0:
        return torch.ones_like(class_counts)
    weights = -1 / torch.expm1(class_counts * np.log(beta))
    return weights * (len(weights) / weights.sum())


def class_weights(
    y: "Sequence[Any] | np.ndarray | Tensor",
    scheme: str = "balanced",
    *,
    beta: float = 0.999,
) -> Tensor:
    r"""Class weights that compensate for the class frequencies.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: numbers, strings or booleans.
    scheme : {"balanced", "effective", "sqrt"}, default="balanced"
        Formula of the weight of a class with :math:`n_c` of the :math:`n` samples in
        :math:`C` classes:

        - ``"balanced"``: :math:`n / (C n_c)`, as in scikit-learn;
        - ``"sqrt"``: the square root of ``"balanced"``, a milder correction;
        - ``"effective"``: :math:`(1 - \beta) / (1 - \beta^{n_c})`, the inverse of the
          effective number of samples [1]_, scaled so that the weights add up to
          :math:`C`.
    beta : float, default=0.999
        Parameter of ``"effective"``, in [0, 1). 0 gives equal weights. The closer it is
        to 1, the closer the weights are to inverse frequency.

    Returns
    -------
    Tensor of shape (n_classes,), of torch's default floating-point dtype
        Positive weights in the sorted order of the labels, the order of ``classes_`` in
        scikit-learn's estimators.

    Raises
    ------
    ValueError
        If ``y`` is empty or not one-dimensional, ``scheme`` is unknown, or ``beta`` is
        out of range.

    See Also
    --------
    FocalLoss : Takes the weights as ``alpha``.
    ClassBalancedLoss : The focal loss with ``"effective"`` weights.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song and Belongie, "Class-balanced loss based on effective
       number of samples", CVPR 2019.

    Examples
    --------
    >>> from gansampler.losses import class_weights
    >>> class_weights(["benign"] * 6 + ["malignant"] * 2)
    tensor([0.6667, 2.0000])
    >>> class_weights([0, 0, 0, 0, 1], scheme="sqrt")
    tensor([0.7906, 1.5811])
    """
    check_choice(scheme, "scheme", ("balanced", "effective", "sqrt"))
    labels = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            "`y` must be one-dimensional, with one label per sample, and not empty. "
            f"Got shape {labels.shape}. Pass numpy.ravel(y)."
        )
    _, numbers = np.unique(labels, return_counts=True)
    counts = check_class_counts(numbers)
    if scheme == "effective":
        weights = effective_number_weights(counts, beta)
    else:
        weights = counts.sum() / (len(counts) * counts)
        if scheme == "sqrt":
            weights = weights.sqrt()
    return weights.to(torch.get_default_dtype())

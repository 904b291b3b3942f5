"""The focal loss weighted by the effective number of samples (Cui et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gansampler.losses._class_weights import (
    check_class_counts,
    effective_number_weights,
)
from gansampler.losses._focal import FocalLoss


class ClassBalancedLoss(FocalLoss):
    r"""Focal loss weighted by the inverse of the effective number of samples.

    Each further sample of a class adds less information than the one before. With the
    probability :math:`\beta` that a new sample overlaps with the existing ones, the
    effective number of samples is :math:`E_n = (1 - \beta^n) / (1 - \beta)`, and the
    loss of a sample of class :math:`y` is

    .. math::
        -\alpha_y (1 - p_y)^\gamma \log p_y,
        \qquad \alpha_c = \frac{C / E_{n_c}}{\sum_k 1 / E_{n_k}}.

    Parameters
    ----------
    class_counts : sequence of int or Tensor, of shape (n_classes,)
        Number of training samples of each class, in the order of the logits.
    beta : float, default=0.999
        Overlap of the samples, in [0, 1). 0 gives equal weights. The closer it is to 1,
        the closer the weights are to inverse frequency.
    gamma : float or Tensor of shape (n_classes,), default=2.0
        Focusing parameter, as in :class:`FocalLoss`. 0 gives the paper's class-balanced
        softmax cross-entropy.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        As in :class:`FocalLoss`.
    ignore_index : int, default=-100
        Class index of rows that are ignored.
    label_smoothing : float, default=0.0
        As in :class:`FocalLoss`.

    Attributes
    ----------
    alpha : Tensor of shape (n_classes,)
        The weights, a buffer of the module. They add up to ``n_classes``.

    Raises
    ------
    ValueError
        If a class has no sample, or a parameter is out of range.

    See Also
    --------
    class_weights : These and other weights, from labels.
    LDAMLoss : Cross-entropy with larger margins for rarer classes.

    Notes
    -----
    With ``reduction="mean"`` the loss is divided by the sum of the weights of the
    batch, as in torch. The paper's code divides by the number of samples instead, which
    is ``reduction="sum"`` divided by the batch size.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song and Belongie, "Class-balanced loss based on effective
       number of samples", CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import ClassBalancedLoss
    >>> criterion = ClassBalancedLoss([900, 100], beta=0.999)
    >>> criterion.alpha
    tensor([0.2764, 1.7236])
    >>> criterion(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))
    tensor(0.1733)
    """

    def __init__(
        self,
        class_counts: Sequence[int] | Tensor,
        *,
        beta: float = 0.999,
        gamma: float | Tensor = 2.0,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        weights = effective_number_weights(check_class_counts(class_counts), beta)
        super().__init__(
            gamma=gamma,
            alpha=weights.to(torch.get_default_dtype()),
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
        self.beta = beta

"""The focal loss weighted by the effective number of samples (Cui et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gansampler.losses._class_weights import (
    check_class_counts,
    effective_number_weights,
)
from gansampler.losses._focal import FocalLoss

__all__ = ["ClassBalancedLoss"]


class ClassBalancedLoss(FocalLoss):
    r"""Focal loss weighted by the inverse of the effective number of samples.

    The n-th sample of a class brings less that is new than the first. With
    :math:`\beta` the chance that a new sample overlaps with those seen, the effective
    number of samples is :math:`E_n = (1 - \beta^n) / (1 - \beta)`, and the loss of a
    sample of class :math:`y` is

    .. math::
        -\alpha_y (1 - p_y)^\gamma \log p_y,
        \qquad \alpha_c = \frac{C / E_{n_c}}{\sum_k 1 / E_{n_k}}.

    Parameters
    ----------
    class_counts : sequence of int or Tensor, of shape (n_classes,)
        Number of training samples of each class, in the order of the logits.
    beta : float, default=0.999
        In [0, 1). 0 is no weighting; towards 1 the weights tend to inverse frequency.
    gamma : float or Tensor of shape (n_classes,), default=2.0
        Focusing parameter, as in :class:`FocalLoss`. 0 gives the paper's class-balanced
        softmax cross-entropy.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        As in :class:`FocalLoss`.
    ignore_index : int, default=-100
        Class index of rows that do not count.
    label_smoothing : float, default=0.0
        As in :class:`FocalLoss`.

    Attributes
    ----------
    alpha : Tensor of shape (n_classes,)
        The weights, a buffer. They add up to ``n_classes``.

    Raises
    ------
    ValueError
        If a class has no sample, or a parameter is out of its range.

    See Also
    --------
    class_weights : The same weights, and others, from labels.
    LDAMLoss : Larger margins for rarer classes.

    Notes
    -----
    With ``reduction="mean"`` the loss is divided by the weights of the batch, as in
    torch, where the paper's code divides by the number of samples: it equals
    ``reduction="sum"`` over the batch size.

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
            gamma,
            weights.to(torch.get_default_dtype()),
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
        self.beta = beta

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"beta={self.beta}, {super().extra_repr()}"

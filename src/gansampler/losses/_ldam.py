"""Label-distribution-aware margins with deferred re-weighting (Cao et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gansampler.losses import _arguments as arguments
from gansampler.losses._class_weights import (
    check_class_counts,
    effective_number_weights,
)
from gansampler.losses._focal import focal_loss
from gansampler.losses._module import LossModule


class LDAMLoss(LossModule):
    r"""Cross-entropy with a larger margin for a rarer class.

    Before the softmax, the logit of the true class :math:`y` is lowered by a margin

    .. math::
        \Delta_y = \Delta_{\max} \left( \frac{n_{\min}}{n_y} \right)^{1/4},
        \qquad
        \ell = -w_y \log \frac{e^{s (z_y - \Delta_y)}}
            {e^{s (z_y - \Delta_y)} + \sum_{c \ne y} e^{s z_c}} .

    The weights :math:`w` are 1 before epoch ``reweight_epoch``. From then on they are
    those of the effective number of samples. Weights from the start would make the
    network learn worse features.

    Parameters
    ----------
    class_counts : sequence of int or Tensor, of shape (n_classes,)
        Number of training samples of each class, in the order of the logits.
    max_margin : float, default=0.5
        Margin of the rarest class, at least 0, in units of the logits.
    scale : float, default=30.0
        Factor of the logits, above 0. The default is for logits that are cosines, in
        [-1, 1], from a last layer with normalised features and weights. Pass 1.0 for an
        ordinary linear layer.
    reweight_epoch : int, default=None
        First epoch, counted from 0, with weights. None means never. The paper starts at
        80 % of the training. Call ``set_epoch`` at the start of each epoch.
    beta : float, default=0.9999
        Parameter of the effective number of samples, in [0, 1).
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        As in :class:`FocalLoss`.
    ignore_index : int, default=-100
        Class index of rows that are ignored.

    Attributes
    ----------
    margins : Tensor of shape (n_classes,)
        The margins, a buffer of the module.
    alpha : Tensor of shape (n_classes,)
        The current weights, a buffer of the module. A checkpoint includes them.

    Raises
    ------
    ValueError
        If a class has no sample, or a parameter is out of range.

    See Also
    --------
    ClassBalancedLoss : The same weights from the start, without margins.
    LogitAdjustedLoss : Cross-entropy adjusted by the logarithm of the frequency.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga and Ma, "Learning imbalanced datasets with
       label-distribution-aware margin loss", NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import LDAMLoss
    >>> criterion = LDAMLoss([1600, 100], reweight_epoch=1, beta=0.999)
    >>> criterion.margins
    tensor([0.2500, 0.5000])
    >>> for epoch in range(2):
    ...     criterion.set_epoch(epoch)
    ...     print(criterion.alpha)
    tensor([1., 1.])
    tensor([0.2131, 1.7869])
    """

    margins: Tensor
    alpha: Tensor
    _weights: Tensor

    def __init__(
        self,
        class_counts: Sequence[int] | Tensor,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        reweight_epoch: int | None = None,
        beta: float = 0.9999,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        counts = check_class_counts(class_counts)
        self.max_margin = arguments.check_number(max_margin, "max_margin")
        self.scale = arguments.check_number(scale, "scale", positive=True)
        dtype = torch.get_default_dtype()
        margins = self.max_margin * (counts.min() / counts).pow(0.25)
        weights = effective_number_weights(counts, beta)
        self.register_buffer("margins", margins.to(dtype))
        self.register_buffer("alpha", torch.ones_like(margins, dtype=dtype))
        self.register_buffer("_weights", weights.to(dtype), persistent=False)
        self.reweight_epoch = reweight_epoch
        self.beta = beta
        self.reduction = arguments.check_reduction(reduction)
        self.ignore_index = ignore_index
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the weights of an epoch.

        Parameters
        ----------
        epoch : int
            The epoch that starts, counted from 0.
        """
        weighted = self.reweight_epoch is not None and epoch >= self.reweight_epoch
        self.alpha.copy_(self._weights if weighted else torch.ones_like(self.alpha))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        input : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
            Logits, floating point.
        target : Tensor of shape (), (N,) or (N, d1, ...)
            Class indices, of an integer dtype.

        Returns
        -------
        Tensor of shape (), or of the shape of ``target`` for ``reduction="none"``
            The loss.
        """
        arguments.check_input(input)
        if not arguments.check_class_target(input, target):
            raise ValueError(
                f"{type(self).__name__} needs class indices, of an integer dtype. Got "
                "class probabilities. Pass target.argmax(1)."
            )
        axis = 0 if input.dim() == 1 else 1
        arguments.check_n_classes(self.margins, input.shape[axis], "class_counts")
        numbers = torch.arange(input.shape[axis], device=input.device)
        shape = (-1, *[1] * (input.dim() - axis - 1))
        is_true_class = numbers.view(shape) == target.unsqueeze(axis)
        margins = self.margins.to(input).view(shape)
        return focal_loss(
            self.scale * (input - torch.where(is_true_class, margins, 0.0)),
            target,
            gamma=0.0,
            alpha=self.alpha,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
        )

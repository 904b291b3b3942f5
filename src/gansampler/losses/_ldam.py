"""Label-distribution-aware margins with deferred re-weighting (Cao et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gansampler.losses import _arguments as check
from gansampler.losses._class_weights import (
    check_class_counts,
    effective_number_weights,
)
from gansampler.losses._focal import focal_loss

__all__ = ["LDAMLoss"]


class LDAMLoss(nn.Module):
    r"""Cross-entropy with a larger margin for a rarer class.

    Before the softmax, the logit of the true class :math:`y` is lowered by a margin

    .. math::
        \Delta_y = \Delta_{\max} \left( \frac{n_{\min}}{n_y} \right)^{1/4},
        \qquad
        \ell = -w_y \log \frac{e^{s (z_y - \Delta_y)}}
            {e^{s (z_y - \Delta_y)} + \sum_{c \ne y} e^{s z_c}} .

    The weights :math:`w` are 1 until epoch ``reweight_epoch``, and from then on those
    of the effective number of samples: with re-weighting from the start the features
    would be learned worse.

    Parameters
    ----------
    class_counts : sequence of int or Tensor, of shape (n_classes,)
        Number of training samples of each class, in the order of the logits.
    max_margin : float, default=0.5
        Margin of the rarest class, at least 0, in units of the logits.
    scale : float, default=30.0
        Factor of the logits, above 0. The default belongs to logits that are cosines,
        in [-1, 1]: give the network a last layer of normalised features and weights,
        or pass 1.0 for an ordinary linear layer.
    reweight_epoch : int, default=None
        First epoch, counted from 0, in which the weights apply; None: never. The paper
        takes it at 80 % of the training. Tell the loss the epoch by ``set_epoch``.
    beta : float, default=0.9999
        Of the effective number of samples, in [0, 1).
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        As in :class:`FocalLoss`.
    ignore_index : int, default=-100
        Class index of rows that do not count.

    Attributes
    ----------
    margins : Tensor of shape (n_classes,)
        The margins, a buffer.
    alpha : Tensor of shape (n_classes,)
        The weights in force, a buffer, so that a checkpoint holds them.

    Raises
    ------
    ValueError
        If a class has no sample, or a parameter is out of its range.

    See Also
    --------
    ClassBalancedLoss : The weights alone, from the start.
    LogitAdjustedLoss : Margins that follow the logarithm of the frequency.

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
        self.max_margin = check.check_non_negative(max_margin, "max_margin")
        self.scale = check.check_positive(scale, "scale")
        dtype = torch.get_default_dtype()
        margins = self.max_margin * (counts.min() / counts).pow(0.25)
        weights = effective_number_weights(counts, beta)
        self.register_buffer("margins", margins.to(dtype))
        self.register_buffer("alpha", torch.ones_like(margins, dtype=dtype))
        self.register_buffer("_weights", weights.to(dtype), persistent=False)
        self.reweight_epoch = reweight_epoch
        self.beta = beta
        self.reduction = check.check_reduction(reduction)
        self.ignore_index = ignore_index
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Apply the weights if ``epoch``, counted from 0, is one that has them.

        Parameters
        ----------
        epoch : int
            The epoch that begins.
        """
        if self.reweight_epoch is not None and epoch >= self.reweight_epoch:
            self.alpha.copy_(self._weights)
        else:
            self.alpha.fill_(1)

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
        Tensor of shape (), or of the shape of ``target`` without a reduction
            The loss.
        """
        check.check_input(input)
        check.check_index_target(input, target, type(self).__name__)
        axis = 0 if input.dim() == 1 else 1
        check.check_n_classes(self.margins, input.shape[axis], "class_counts")
        numbers = torch.arange(input.shape[axis], device=input.device)
        shape = (-1, *[1] * (input.dim() - axis - 1))
        own = numbers.view(shape) == target.unsqueeze(axis)
        margins = self.margins.to(input).view(shape)
        return focal_loss(
            self.scale * (input - torch.where(own, margins, 0.0)),
            target,
            0.0,
            self.alpha,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
        )

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return (
            f"max_margin={self.max_margin}, scale={self.scale}, "
            f"reweight_epoch={self.reweight_epoch}, beta={self.beta}, "
            f"reduction={self.reduction!r}, ignore_index={self.ignore_index}"
        )

"""Cross-entropy of logits adjusted by the class frequencies (Menon et al. 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gansampler.losses import _arguments as arguments
from gansampler.losses._class_weights import check_class_counts
from gansampler.losses._focal import focal_loss
from gansampler.losses._module import LossModule


class LogitAdjustedLoss(LossModule):
    r"""Cross-entropy of logits plus the logarithm of the class frequencies.

    With :math:`\pi_c = n_c / n` the share of class :math:`c` in the training data,

    .. math::
        \ell = -\log \frac{e^{z_y + \tau \log \pi_y}}
            {\sum_c e^{z_c + \tau \log \pi_c}} .

    The trained network gives logits for balanced classes. For ``tau=1`` their argmax
    minimises the balanced error, with nothing added at prediction time.

    Parameters
    ----------
    class_counts : sequence of int or Tensor, of shape (n_classes,)
        Number of training samples of each class, in the order of the logits.
    tau : float, default=1.0
        Strength of the adjustment, at least 0. 0 gives the ordinary cross-entropy.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        As in :class:`FocalLoss`.
    ignore_index : int, default=-100
        Class index of rows that are ignored.
    label_smoothing : float, default=0.0
        Amount of label smoothing, in [0, 1], as in :class:`torch.nn.CrossEntropyLoss`.

    Attributes
    ----------
    adjustment : Tensor of shape (n_classes,)
        ``tau`` times the logarithm of the frequencies, a buffer of the module.

    Raises
    ------
    ValueError
        If a class has no sample, or a parameter is out of range.

    See Also
    --------
    LDAMLoss : Cross-entropy with margins from the fourth root of the frequency.

    References
    ----------
    .. [1] Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-tail learning via logit
       adjustment", ICLR 2021.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import LogitAdjustedLoss
    >>> criterion = LogitAdjustedLoss([900, 100])
    >>> criterion(torch.zeros(1, 2), torch.tensor([1]))  # -log(0.1)
    tensor(2.3026)
    """

    adjustment: Tensor

    def __init__(
        self,
        class_counts: Sequence[int] | Tensor,
        *,
        tau: float = 1.0,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        counts = check_class_counts(class_counts)
        self.tau = arguments.check_number(tau, "tau")
        adjustment = self.tau * (counts / counts.sum()).log()
        self.register_buffer("adjustment", adjustment.to(torch.get_default_dtype()))
        self.reduction = arguments.check_reduction(reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = arguments.check_label_smoothing(label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        input : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
            Logits, floating point.
        target : Tensor
            Class indices of shape (), (N,) or (N, d1, ...), of an integer dtype, or
            class probabilities of the shape of ``input``.

        Returns
        -------
        Tensor of shape (), or one loss per row for ``reduction="none"``
            The loss.
        """
        arguments.check_input(input)
        arguments.check_class_target(input, target)
        axis = 0 if input.dim() == 1 else 1
        arguments.check_n_classes(self.adjustment, input.shape[axis], "class_counts")
        shape = (-1, *[1] * (input.dim() - axis - 1))
        return focal_loss(
            input + self.adjustment.to(input).view(shape),
            target,
            gamma=0.0,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

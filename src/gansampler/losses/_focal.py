"""The focal loss in softmax form, a drop-in replacement for ``nn.CrossEntropyLoss``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gansampler.losses import _arguments as arguments
from gansampler.losses._kernels._autograd import compute_loss, is_transformed
from gansampler.losses._kernels._blocks import can_read
from gansampler.losses._kernels._class_indices import class_index_kernel
from gansampler.losses._kernels._class_probabilities import class_probability_kernel
from gansampler.losses._kernels._differentiable import (
    class_index_loss,
    class_probability_loss,
)
from gansampler.losses._module import LossModule, as_buffer


@arguments.number_by_position
def focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float | Sequence[float] | Tensor = 2.0,
    alpha: Sequence[float] | Tensor | None = None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Focal loss of softmax logits, the function of :class:`FocalLoss`.

    Parameters
    ----------
    input : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
        Logits, floating point.
    target : Tensor
        Class indices of shape (), (N,) or (N, d1, ...), of an integer dtype, or class
        probabilities of the shape of ``input``, of a floating-point dtype.
    gamma : float or Tensor of shape (C,), default=2.0
        Focusing parameter, at least 0. One gamma per class is passed by keyword.
    alpha : Tensor of shape (C,), default=None
        One weight per class.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        How the losses of the rows are combined.
    ignore_index : int, default=-100
        Class index of rows that are ignored.
    label_smoothing : float, default=0.0
        Amount of label smoothing, in [0, 1].

    Returns
    -------
    Tensor of shape (), or one loss per row for ``reduction="none"``
        The loss, of the dtype of ``input`` (float32 from half precision under
        autocast).

    Raises
    ------
    IndexError
        If a class index is out of range (checked on the CPU).
    TypeError
        If ``input`` or ``target`` is not a tensor of a suitable dtype, or one gamma per
        class is given by position.
    ValueError
        If shapes do not match, a parameter is out of range, or ``ignore_index`` is a
        class index and the target is class probabilities.

    See Also
    --------
    FocalLoss : The module, with the definition of the loss.
    binary_focal_loss : The sigmoid form.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import focal_loss
    >>> input = torch.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    >>> focal_loss(input, torch.tensor([0, 0]), reduction="none").detach()
    tensor([0.0018, 1.6501])
    """
    gamma = arguments.check_gamma(gamma)
    alpha = arguments.check_alpha(alpha)
    arguments.check_reduction(reduction)
    label_smoothing = arguments.check_label_smoothing(label_smoothing)
    arguments.check_input(input)
    indices = arguments.check_class_target(input, target, ignore_index)
    if single := input.dim() == 1:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    n_classes = input.shape[1]
    arguments.check_n_classes(gamma, n_classes, "gamma")
    arguments.check_n_classes(alpha, n_classes, "alpha")

    dtype = torch.promote_types(input.dtype, torch.float32)
    if isinstance(gamma, Tensor):
        gamma = gamma.to(input.device, dtype)
    if alpha is not None:
        alpha = alpha.to(input.device, dtype)
    row_weight = None
    if indices:
        target, row_weight = _split_ignored(target, ignore_index, n_classes, dtype)
    weight = row_weight
    if indices and alpha is not None:
        weight = alpha[target] if weight is None else alpha[target] * weight
    scale = _scale(input, target, row_weight, weight, reduction, dtype)
    forms: tuple[Any, Any] = class_index_kernel, class_index_loss
    settings: dict[str, Any] = {"weight": weight}
    if label_smoothing or not indices:
        # Each class has a term with its own alpha.
        forms = class_probability_kernel, class_probability_loss
        settings = {"weight": row_weight, "alpha": alpha}
        settings["label_smoothing"] = label_smoothing
    loss = compute_loss(*forms, input, target, gamma=gamma, scale=scale, **settings)
    return loss.squeeze(0) if single and reduction == "none" else loss


def _split_ignored(
    target: Tensor, ignore_index: int, n_classes: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Return valid class indices, and 0 for ignored rows and 1 for others.

    None replaces the second if no row is ignored.
    """
    target = target.long()
    if not can_read(target) or is_transformed(target):
        counted = target != ignore_index
        return torch.where(counted, target, 0), counted.to(dtype)
    row_weight: Tensor | None = None
    low, high = _bounds(target)
    if low <= ignore_index <= high:
        counted = target != ignore_index
        row_weight = counted.to(dtype)
        # The ignored rows become 0, which is a class.
        target = torch.where(counted, target, 0)
        low, high = _bounds(target)
    if low < 0 or high >= n_classes:
        raise IndexError(
            f"`target` must be class indices from 0 to {n_classes - 1} or "
            f"ignore_index={ignore_index}. Got {low if low < 0 else high}. Give the "
            "network one output for each class."
        )
    return target, row_weight


def _bounds(target: Tensor) -> tuple[int, int]:
    """Return the smallest and the largest index, or (0, -1) for an empty target."""
    if target.numel() == 0:
        return 0, -1
    low, high = target.aminmax()
    return int(low), int(high)


def _scale(
    input: Tensor,
    target: Tensor,
    row_weight: Tensor | None,
    weight: Tensor | None,
    reduction: str,
    dtype: torch.dtype,
) -> Tensor | None:
    """Return the factor of the sum of the losses, or None for no reduction."""
    if reduction == "none":
        return None
    count = torch.ones((), dtype=dtype, device=input.device)
    if reduction == "mean" and weight is not None:
        count = weight.sum()
    elif reduction == "mean":
        count *= input.numel() / max(input.shape[1], 1)
    elif reduction == "mean_positive":
        positive = target[:, 1:] if target.is_floating_point() else target != 0
        if row_weight is not None:
            positive = positive * row_weight
        count = positive.sum(dtype=dtype).clamp(min=1)
    # If no row counts the loss is 0, not 0 / 0.
    return torch.where(count == 0, 1, count).reciprocal()


class FocalLoss(LossModule):
    r"""Focal loss in softmax form, a drop-in replacement for cross-entropy.

    With :math:`p = \mathrm{softmax}(z)`, a sample of class :math:`y` has the loss

    .. math::
        \ell = -\alpha_y (1 - p_y)^{\gamma_y} \log p_y,

    and a sample of class probabilities :math:`q`, from the target or from label
    smoothing, has the loss

    .. math::
        \ell = -\sum_c q_c \, \alpha_c (1 - p_c)^{\gamma_c} \log p_c .

    ``gamma=0`` is :class:`torch.nn.CrossEntropyLoss` with ``weight=alpha``.

    Parameters
    ----------
    gamma : float or Tensor of shape (C,), default=2.0
        Focusing parameter, at least 0. The larger it is, the less well-classified
        samples count. A tensor or sequence of one gamma per class must be passed by
        keyword, because ``nn.CrossEntropyLoss`` takes the class weights first.
    alpha : Tensor or sequence of float, of shape (C,), default=None
        One weight per class, at least 0. None means 1 for each class. See
        ``class_weights`` for weights from labels. A single number is an error, because
        it would only rescale the loss.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        - ``"mean"``: the sum divided by the sum of :math:`\alpha_y` over the rows that
          are not ignored, as in torch; for class probabilities, divided by the number
          of rows;
        - ``"sum"``: the sum of the losses;
        - ``"none"``: one loss per row;
        - ``"mean_positive"``: the sum divided by the number of positives, at least 1.
          Class 0 is the background and all others are positive. For class
          probabilities, the number is the sum of the probabilities of those classes.
    ignore_index : int, default=-100
        Class index of rows that are ignored. If all rows are ignored, or the batch is
        empty, the loss and its gradient are 0. With class probabilities as target, an
        index of 0 or more is an error, as in torch.
    label_smoothing : float, default=0.0
        Amount of label smoothing, in [0, 1]. The target becomes
        :math:`(1 - \varepsilon) q_c + \varepsilon / C`.

    Attributes
    ----------
    gamma : float or Tensor of shape (C,)
        The parameter. A tensor is a buffer of the module.
    alpha : Tensor of shape (C,) or None
        The weights, a buffer of the module.

    Raises
    ------
    TypeError
        If one gamma per class is given by position, or if ``gamma`` or ``alpha``
        requires a gradient.
    ValueError
        If a parameter is out of range.

    See Also
    --------
    BinaryFocalLoss : The sigmoid form.
    ClassBalancedLoss : Focal loss with weights from the effective number of samples.
    focal_loss : The function. It also gives the gradient with respect to ``alpha`` and
        to one ``gamma`` per class.

    Notes
    -----
    The loss and its gradient are computed in at least float32, from log-odds that do
    not cancel. They are finite for any logits for which the true values are finite. A
    class with a logit of -inf is excluded.

    The loss works with ``torch.compile``, ``torch.export`` and ``torch.func``. It does
    not support TorchScript, which torch has deprecated.

    The code published with the paper that this library reproduces [2]_ weights both
    columns of a softmax, the true one by :math:`\alpha` and the other by
    :math:`1 - \alpha`. With two classes :math:`p_o = 1 - p_y`, and
    :math:`\alpha` cancels out:

    .. math::
        \alpha (1 - p_y)^\gamma \log p_y
        + (1 - \alpha) \, p_o^\gamma \log(1 - p_o)
        = (1 - p_y)^\gamma \log p_y .

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection",
       ICCV 2017.
    .. [2] Zunair and Ben Hamza, "Melanoma detection using adversarial training and deep
       transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> import torch
    >>> from gansampler import FocalLoss
    >>> criterion = FocalLoss(gamma=2.0, alpha=[0.25, 0.75])
    >>> input = torch.tensor([[2.0, 0.0], [0.0, 0.5]], requires_grad=True)
    >>> loss = criterion(input, torch.tensor([0, 1]))
    >>> loss.backward()
    >>> loss.detach()
    tensor(0.0511)
    """

    gamma: float | Tensor
    alpha: Tensor | None

    @arguments.number_by_position
    def __init__(
        self,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: Sequence[float] | Tensor | None = None,
        *,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.gamma = as_buffer(arguments.check_gamma(gamma, in_module=True))
        self.register_buffer("alpha", arguments.check_alpha(alpha, in_module=True))
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
            class probabilities of the shape of ``input``, of a floating-point dtype.

        Returns
        -------
        Tensor of shape (), or one loss per row for ``reduction="none"``
            The loss, of the dtype of ``input`` (float32 from half precision under
            autocast).
        """
        return focal_loss(
            input,
            target,
            gamma=self.gamma,
            alpha=self.alpha,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

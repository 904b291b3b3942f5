"""The focal loss in softmax form: a drop-in for ``nn.CrossEntropyLoss``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gansampler.losses import _arguments as check
from gansampler.losses._autograd import apply_kernel, is_transformed
from gansampler.losses._dense_kernel import dense_kernel
from gansampler.losses._memory import may_peek
from gansampler.losses._plain import class_rows, dense_rows
from gansampler.losses._softmax_kernel import softmax_kernel

__all__ = ["FocalLoss", "focal_loss"]


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
    r"""Return the focal loss of softmax logits; the function of :class:`FocalLoss`.

    Parameters
    ----------
    input : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
        Logits, floating point.
    target : Tensor
        Class indices of shape (), (N,) or (N, d1, ...), of an integer dtype, or class
        probabilities of the shape of ``input``, of a floating-point one.
    gamma : float or Tensor of shape (C,), default=2.0
        Focusing parameter, at least 0.
    alpha : Tensor of shape (C,), default=None
        One weight a class.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        What is done with the losses of the rows.
    ignore_index : int, default=-100
        Class index of rows that do not count.
    label_smoothing : float, default=0.0
        In [0, 1].

    Returns
    -------
    Tensor of shape (), or one loss a row without a reduction
        The loss, of the dtype of ``input`` (float32 from half precision under
        autocast).

    Raises
    ------
    IndexError
        If a class index is out of range (seen on the CPU).
    TypeError
        If ``input`` or ``target`` is no tensor of a fitting dtype.
    ValueError
        If shapes do not fit or a parameter is out of its range.

    See Also
    --------
    FocalLoss : The module, where all is defined.
    binary_focal_loss : The sigmoid form.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import focal_loss
    >>> input = torch.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    >>> focal_loss(input, torch.tensor([0, 0]), reduction="none").detach()
    tensor([0.0018, 1.6501])
    """
    gamma = check.check_gamma(gamma)
    alpha = check.check_alpha(alpha)
    check.check_reduction(reduction)
    label_smoothing = check.check_label_smoothing(label_smoothing)
    check.check_input(input)
    indices = check.check_class_target(input, target)
    if input.dim() == 1:
        loss = focal_loss(
            input.unsqueeze(0),
            target.unsqueeze(0),
            gamma,
            alpha,
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
        return loss.squeeze(0) if reduction == "none" else loss
    n_classes = input.shape[1]
    check.check_n_classes(gamma, n_classes, "gamma")
    check.check_n_classes(alpha, n_classes, "alpha")

    dtype = torch.promote_types(input.dtype, torch.float32)
    if isinstance(gamma, Tensor):
        gamma = gamma.to(input.device, dtype)
    if alpha is not None:
        alpha = alpha.to(input.device, dtype)
    counted = weight = None
    if indices:
        target, counted = _split_ignored(target, ignore_index, n_classes)
        weight = counted if counted is None else counted.to(dtype)
        if alpha is not None:
            weight = alpha[target] if weight is None else alpha[target] * weight
    scale = _scale(input, target, counted, weight, reduction, dtype)

    kernel: Callable[..., tuple[Tensor, Tensor | None]] = softmax_kernel
    rows: Callable[..., Tensor] = class_rows
    settings: dict[str, Any] = {"gamma": gamma, "weight": weight}
    if label_smoothing or not indices:
        # alpha has a part in each class's term here, not in the row's.
        kernel, rows = dense_kernel, dense_rows
        settings["weight"] = counted if counted is None else counted.to(dtype)
        settings |= {"alpha": alpha, "label_smoothing": label_smoothing}

    def plain(input: Tensor, target: Tensor) -> Tensor:
        loss = rows(input.to(dtype), target, **settings)
        return loss if scale is None else loss.sum() * scale

    loss = apply_kernel(
        input, target, partial(kernel, scale=scale, **settings), plain, (gamma, alpha)
    )
    # As in torch's own losses, half precision gives a float32 loss under autocast.
    if torch.is_autocast_enabled(input.device.type):
        return loss
    return loss.to(input.dtype)


def _split_ignored(
    target: Tensor, ignore_index: int, n_classes: int
) -> tuple[Tensor, Tensor | None]:
    """Return valid class indices, and which rows count (None: all of them)."""
    target = target.long()
    counted: Tensor | None = None
    if not may_peek(target) or is_transformed(target):
        counted = target != ignore_index
        return torch.where(counted, target, 0), counted
    low, high = _bounds(target)
    if low <= ignore_index <= high:
        counted = target != ignore_index
        target = torch.where(counted, target, 0)
        # Whatever is ignored has become 0, which is a class.
        low, high = _bounds(target)
    if low < 0 or high >= n_classes:
        raise IndexError(
            f"`target` must hold class indices from 0 to {n_classes - 1} or "
            f"ignore_index={ignore_index}. Got {low if low < 0 else high}. Give the "
            "network one output for each class."
        )
    return target, counted


def _bounds(target: Tensor) -> tuple[int, int]:
    """Return the least and the largest index; (0, -1), an empty range, without any."""
    if target.numel() == 0:
        return 0, -1
    low, high = target.aminmax()
    return int(low), int(high)


def _scale(
    input: Tensor,
    target: Tensor,
    counted: Tensor | None,
    weight: Tensor | None,
    reduction: str,
    dtype: torch.dtype,
) -> Tensor | None:
    """Return what the sum of the losses is multiplied by; None where there is none."""
    if reduction == "none":
        return None
    count = torch.full((), 1, dtype=dtype, device=input.device)
    if reduction == "mean":
        count *= input.numel() / max(input.shape[1], 1)
        if weight is not None:
            count = weight.sum()
    elif reduction == "mean_positive":
        if target.is_floating_point():
            count = target[:, 1:].sum(dtype=dtype)
        else:
            positive = target != 0
            count = (positive if counted is None else positive & counted).sum(
                dtype=dtype
            )
        count = count.clamp(min=1)
    # Where nothing counts the loss is 0, not 0 / 0.
    return torch.where(count == 0, 1, count).reciprocal()


class FocalLoss(nn.Module):
    r"""Focal loss in softmax form, a drop-in for :class:`torch.nn.CrossEntropyLoss`.

    With :math:`p = \mathrm{softmax}(z)`, a sample of class :math:`y` has the loss

    .. math::
        \ell = -\alpha_y (1 - p_y)^{\gamma_y} \log p_y,

    and a sample of class probabilities :math:`q`, given or from label smoothing,

    .. math::
        \ell = -\sum_c q_c \, \alpha_c (1 - p_c)^{\gamma_c} \log p_c .

    ``gamma=0`` is torch's cross-entropy with ``weight=alpha``.

    Parameters
    ----------
    gamma : float or Tensor of shape (C,), default=2.0
        Focusing parameter, at least 0; a tensor or sequence holds one a class. The
        larger, the less do samples count that are already classified well.
    alpha : Tensor or sequence of float, of shape (C,), default=None
        One weight a class, at least 0; None: 1 each. See ``class_weights`` for weights
        from labels. A single number is refused: it would only rescale the loss.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        - ``"mean"``: torch's, the sum divided by the sum of :math:`\alpha_y` over the
          rows that count; for class probabilities by the number of rows;
        - ``"sum"``;
        - ``"none"``: one loss a row;
        - ``"mean_positive"``: the sum divided by the number of positives, at least 1.
          Class 0 is the background, all others are positive; of class probabilities,
          their sum over the other classes counts.
    ignore_index : int, default=-100
        Class index of rows that do not count. Where no row counts, the loss is 0 with
        a gradient of 0, as for an empty batch.
    label_smoothing : float, default=0.0
        In [0, 1]: the target becomes :math:`(1 - \varepsilon) q_c + \varepsilon / C`.

    Attributes
    ----------
    gamma : float or Tensor of shape (C,)
        As given; a buffer if a tensor.
    alpha : Tensor of shape (C,) or None
        A buffer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    BinaryFocalLoss : The sigmoid form.
    ClassBalancedLoss : With weights from the effective number of samples.
    focal_loss : The function.

    Notes
    -----
    The loss and its gradient are computed in at least float32, from log-odds that do
    not cancel: both are finite wherever their true values are, for any logits. A
    logit of -inf is a class that cannot be.

    The code published with the paper that this library reproduces [2]_ weighs both
    columns of a softmax, the true one by :math:`\alpha` and the other by
    :math:`1 - \alpha`. There :math:`p_o = 1 - p_y`, and so :math:`\alpha` cancels out:

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
        gamma = check.check_gamma(gamma)
        check.check_values(gamma, "gamma")
        if isinstance(gamma, Tensor):
            self.register_buffer("gamma", gamma)
        else:
            self.gamma = gamma
        alpha = check.check_alpha(alpha)
        check.check_values(alpha, "alpha")
        self.register_buffer("alpha", alpha)
        self.reduction = check.check_reduction(reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = check.check_label_smoothing(label_smoothing)

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
        Tensor of shape (), or one loss a row without a reduction
            The loss, of the dtype of ``input`` (float32 from half precision under
            autocast).
        """
        return focal_loss(
            input,
            target,
            self.gamma,
            self.alpha,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return (
            f"gamma={check.describe(self.gamma)}, alpha={check.describe(self.alpha)}, "
            f"reduction={self.reduction!r}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}"
        )

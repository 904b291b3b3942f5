"""The focal loss in sigmoid form: a drop-in for ``nn.BCEWithLogitsLoss``."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gansampler.losses import _arguments as check
from gansampler.losses._autograd import apply_kernel
from gansampler.losses._plain import sigmoid_rows
from gansampler.losses._sigmoid_kernel import Pair, sigmoid_kernel

__all__ = ["BinaryFocalLoss", "binary_focal_loss"]


def binary_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float | Sequence[float] | Tensor = 2.0,
    alpha: float | Sequence[float] | Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    r"""Return the focal loss of sigmoid logits; that of :class:`BinaryFocalLoss`.

    Parameters
    ----------
    input : Tensor of any shape
        Logits, floating point.
    target : Tensor of the shape of ``input``
        Labels 0 and 1, or probabilities of the positive class, of any real dtype.
    gamma : float or Tensor of shape (2,), default=2.0
        Focusing parameter, at least 0.
    alpha : float or Tensor of shape (2,), default=None
        Weight of the positive class, or of (negative, positive).
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        What is done with the losses of the logits.

    Returns
    -------
    Tensor of shape (), or of the shape of ``input`` without a reduction
        The loss, of the dtype of ``input`` (float32 from half precision under
        autocast).

    Raises
    ------
    TypeError
        If ``input`` or ``target`` is no tensor of a fitting dtype.
    ValueError
        If shapes do not fit or a parameter is out of its range.

    See Also
    --------
    BinaryFocalLoss : The module, where all is defined.
    focal_loss : The softmax form.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import binary_focal_loss
    >>> input, target = torch.tensor([2.0, -2.0]), torch.tensor([1.0, 1.0])
    >>> binary_focal_loss(input, target, reduction="none")
    tensor([0.0018, 1.6501])
    """
    gamma = check.check_gamma(gamma)
    check.check_n_classes(gamma, 2, "gamma")
    alpha = check.check_binary_alpha(alpha)
    check.check_reduction(reduction)
    check.check_input(input)
    check.check_binary_target(input, target)
    gammas: Pair = (gamma, gamma)
    if isinstance(gamma, Tensor):
        gamma = gamma.to(input.device)
        gammas = (gamma[0], gamma[1])
    alphas: Pair | None = None
    if isinstance(alpha, Tensor):
        alpha = alpha.to(input.device)
        alphas = (alpha[0], alpha[1])
    elif alpha is not None:
        alphas = (1 - alpha, alpha)
    settings: dict[str, Any] = {"gamma": gammas, "alpha": alphas}
    settings["reduction"] = reduction
    loss = apply_kernel(
        input,
        target,
        partial(sigmoid_kernel, **settings),
        partial(_plain_loss, **settings),
        (gamma, alpha),
    )
    # Like torch's own losses, half precision gives a float32 loss under autocast.
    if torch.is_autocast_enabled(input.device.type):
        return loss
    return loss.to(input.dtype)


def _plain_loss(
    input: Tensor, target: Tensor, gamma: Pair, alpha: Pair | None, reduction: str
) -> Tensor:
    """Return the loss in at least float32, by differentiable operations alone."""
    dtype = torch.promote_types(input.dtype, torch.float32)
    target = target.to(dtype)
    rows = sigmoid_rows(input.to(dtype), target, gamma, alpha or (1.0, 1.0))
    if reduction == "none":
        return rows
    loss = rows.sum()
    if reduction == "mean":
        return loss / max(rows.numel(), 1)
    if reduction == "mean_positive":
        return loss / target.sum().clamp(min=1)
    return loss


class BinaryFocalLoss(nn.Module):
    r"""Focal loss in sigmoid form, a drop-in for :class:`torch.nn.BCEWithLogitsLoss`.

    With :math:`p = \sigma(z)` and a target :math:`t`, 0, 1 or a probability between,

    .. math::
        \ell = -t \, \alpha_1 (1 - p)^{\gamma_1} \log p
               - (1 - t) \, \alpha_0 \, p^{\gamma_0} \log(1 - p) .

    ``gamma=0`` with ``alpha=None`` is torch's binary cross-entropy.

    Parameters
    ----------
    gamma : float or Tensor of shape (2,), default=2.0
        Focusing parameter, at least 0, for both classes or for (negative, positive).
    alpha : float, or Tensor or sequence of float of shape (2,), default=None
        A float in [0, 1] weighs the positive class, and ``1 - alpha`` the negative, as
        in RetinaNet; two weights are those of (negative, positive); None: 1 each.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        - ``"mean"``: torch's, the sum divided by the number of logits;
        - ``"sum"``;
        - ``"none"``: one loss a logit;
        - ``"mean_positive"``: RetinaNet's, the sum divided by that of the targets, at
          least 1.

    Attributes
    ----------
    gamma : float or Tensor of shape (2,)
        As given; a buffer if a tensor.
    alpha : float, Tensor of shape (2,) or None
        As given; a buffer if a tensor.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    FocalLoss : The softmax form.
    binary_focal_loss : The function.

    Notes
    -----
    For targets of 0 and 1 this is torchvision's ``sigmoid_focal_loss``. Between, it is
    the expectation over the label, linear in the target, as for the class probabilities
    of the softmax form, where torchvision mixes the probabilities before the power.

    The loss and its gradient are computed in at least float32, from log-odds that do
    not cancel: both are finite wherever their true values are, for any logits. An
    empty batch has the loss 0.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection",
       ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> from gansampler import BinaryFocalLoss
    >>> criterion = BinaryFocalLoss(gamma=2.0, alpha=0.25)
    >>> input = torch.tensor([2.0, -2.0, 0.5], requires_grad=True)
    >>> loss = criterion(input, torch.tensor([1.0, 1.0, 0.0]))
    >>> loss.backward()
    >>> loss.detach()
    tensor(0.2320)
    """

    gamma: float | Tensor
    alpha: float | Tensor | None

    def __init__(
        self,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        gamma = check.check_gamma(gamma)
        check.check_n_classes(gamma, 2, "gamma")
        check.check_values(gamma, "gamma")
        alpha = check.check_binary_alpha(alpha)
        check.check_values(alpha, "alpha")
        if isinstance(gamma, Tensor):
            self.register_buffer("gamma", gamma)
        else:
            self.gamma = gamma
        if isinstance(alpha, Tensor):
            self.register_buffer("alpha", alpha)
        else:
            self.alpha = alpha
        self.reduction = check.check_reduction(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        input : Tensor of any shape
            Logits, floating point.
        target : Tensor of the shape of ``input``
            Labels 0 and 1, or probabilities of the positive class, of any real dtype.

        Returns
        -------
        Tensor of shape (), or of the shape of ``input`` without a reduction
            The loss, of the dtype of ``input`` (float32 from half precision under
            autocast).
        """
        return binary_focal_loss(
            input, target, self.gamma, self.alpha, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return (
            f"gamma={check.describe(self.gamma)}, alpha={check.describe(self.alpha)}, "
            f"reduction={self.reduction!r}"
        )

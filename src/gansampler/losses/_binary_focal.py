"""The focal loss in sigmoid form, a drop-in for ``nn.BCEWithLogitsLoss``."""

from collections.abc import Sequence

from torch import Tensor

from gansampler.losses import _arguments as arguments
from gansampler.losses._kernels._autograd import compute_loss
from gansampler.losses._kernels._differentiable import sigmoid_loss
from gansampler.losses._kernels._sigmoid import sigmoid_kernel
from gansampler.losses._module import LossModule, as_buffer


@arguments.number_by_position
def binary_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float | Sequence[float] | Tensor = 2.0,
    alpha: float | Sequence[float] | Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    r"""Focal loss of sigmoid logits, the function of :class:`BinaryFocalLoss`.

    Parameters
    ----------
    input : Tensor of any shape
        Logits, floating point.
    target : Tensor of the shape of ``input``
        Labels 0 and 1, or probabilities of the positive class, of any real dtype.
    gamma : float or Tensor of shape (2,), default=2.0
        Focusing parameter, at least 0, for both classes or for (negative, positive).
        Two gammas are passed by keyword.
    alpha : float or Tensor of shape (2,), default=None
        Weight of the positive class, or the weights of (negative, positive).
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        How the losses of the logits are combined.

    Returns
    -------
    Tensor of shape (), or of the shape of ``input`` for ``reduction="none"``
        The loss, of the dtype of ``input`` (float32 from half precision under
        autocast).

    Raises
    ------
    TypeError
        If ``input`` or ``target`` is not a tensor of a suitable dtype, or two gammas
        are given by position.
    ValueError
        If shapes do not match or a parameter is out of range.

    See Also
    --------
    BinaryFocalLoss : The module, with the definition of the loss.
    focal_loss : The softmax form.

    Examples
    --------
    >>> import torch
    >>> from gansampler.losses import binary_focal_loss
    >>> input, target = torch.tensor([2.0, -2.0]), torch.tensor([1.0, 1.0])
    >>> binary_focal_loss(input, target, reduction="none")
    tensor([0.0018, 1.6501])
    """
    gamma = arguments.check_gamma(gamma)
    arguments.check_n_classes(gamma, 2, "gamma")
    alpha = arguments.check_binary_alpha(alpha)
    arguments.check_reduction(reduction)
    arguments.check_input(input)
    arguments.check_binary_target(input, target)
    if isinstance(gamma, Tensor):
        gamma = gamma.to(input.device)
    if isinstance(alpha, Tensor):
        alpha = alpha.to(input.device)
    return compute_loss(
        sigmoid_kernel,
        sigmoid_loss,
        input,
        target,
        gamma=gamma,
        alpha=(1 - alpha, alpha) if isinstance(alpha, float) else alpha,
        reduction=reduction,
    )


class BinaryFocalLoss(LossModule):
    r"""Focal loss in sigmoid form, a drop-in for binary cross-entropy.

    With :math:`p = \sigma(z)` and a target :math:`t`, a label 0 or 1 or a probability,

    .. math::
        \ell = -t \, \alpha_1 (1 - p)^{\gamma_1} \log p
               - (1 - t) \, \alpha_0 \, p^{\gamma_0} \log(1 - p) .

    ``gamma=0`` with ``alpha=None`` is :class:`torch.nn.BCEWithLogitsLoss`.

    Parameters
    ----------
    gamma : float or Tensor of shape (2,), default=2.0
        Focusing parameter, at least 0, for both classes or for (negative, positive).
        Two gammas must be passed by keyword, because ``nn.BCEWithLogitsLoss`` takes
        weights first.
    alpha : float, or Tensor or sequence of float of shape (2,), default=None
        A float in [0, 1] weights the positive class, and ``1 - alpha`` the negative
        class, as in RetinaNet. Two weights are those of (negative, positive). None
        means 1 for both.
    reduction : {"mean", "sum", "none", "mean_positive"}, default="mean"
        - ``"mean"``: the sum divided by the number of logits, as in torch;
        - ``"sum"``: the sum of the losses;
        - ``"none"``: one loss per logit;
        - ``"mean_positive"``: the sum divided by the sum of the targets, at least 1, as
          in RetinaNet.

    Attributes
    ----------
    gamma : float or Tensor of shape (2,)
        The parameter. A tensor is a buffer of the module.
    alpha : float, Tensor of shape (2,) or None
        The weights. A tensor is a buffer of the module.

    Raises
    ------
    TypeError
        If two gammas are given by position, or if ``gamma`` or ``alpha`` requires a
        gradient.
    ValueError
        If a parameter is out of range.

    See Also
    --------
    FocalLoss : The softmax form.
    binary_focal_loss : The function.

    Notes
    -----
    For targets of 0 and 1 this is torchvision's ``sigmoid_focal_loss``. For a target
    between 0 and 1 it is the expected loss over the label, which is linear in the
    target. Torchvision instead mixes the probabilities before it takes the power.

    The loss and its gradient are computed in at least float32, from log-odds that do
    not cancel. They are finite for any logits for which the true values are finite. The
    loss of an empty batch is 0.

    The loss works with ``torch.compile``, ``torch.export`` and ``torch.func``. It does
    not support TorchScript, which torch has deprecated.

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

    @arguments.number_by_position
    def __init__(
        self,
        gamma: float | Sequence[float] | Tensor = 2.0,
        alpha: float | Sequence[float] | Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.gamma = as_buffer(arguments.check_gamma(gamma, in_module=True))
        arguments.check_n_classes(self.gamma, 2, "gamma")
        self.alpha = as_buffer(arguments.check_binary_alpha(alpha, in_module=True))
        self.reduction = arguments.check_reduction(reduction)

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
        Tensor of shape (), or of the shape of ``input`` for ``reduction="none"``
            The loss, of the dtype of ``input`` (float32 from half precision under
            autocast).
        """
        return binary_focal_loss(
            input,
            target,
            gamma=self.gamma,
            alpha=self.alpha,
            reduction=self.reduction,
        )

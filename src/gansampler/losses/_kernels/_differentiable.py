"""The focal losses as differentiable tensor operations.

Compilers trace this form, ``torch.func`` transforms it, and it has derivatives of every
order in both modes. The kernels compute the same values in one pass.

Everything is computed from log-odds. For a class of probability p, let ``u`` be the
log-odds against it, log((1 - p) / p). Then -log p = softplus(u) and
log(1 - p) = -softplus(-u). Both are exact at either end, where p itself is rounded to 0
or 1. In the sigmoid form, u is the logit with the opposite sign. In the softmax form,
u is the logsumexp of the other logits minus the logit of the class.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Replaces infinite log-odds where 0 * inf would be NaN.
_LARGE = 1e30


def _focal_term(log_odds: Tensor, gamma: float | Tensor) -> Tensor:
    """Return (1 - p)^gamma * (-log p), where ``log_odds`` is log((1 - p) / p)."""
    cross_entropy = -F.logsigmoid(-log_odds)
    if not isinstance(gamma, Tensor) and gamma == 0:
        return cross_entropy
    # The factor is constant at infinite log-odds, and the clamp has the gradient 0.
    finite = log_odds.clamp(-_LARGE, _LARGE)
    return torch.exp(gamma * F.logsigmoid(finite)) * cross_entropy


def _without_excluded(loss: Tensor, excluded: Tensor) -> Tensor:
    """Replace infinite losses of labels with target 0, because 0 * inf is NaN.

    Finite losses stay: they are the gradient with respect to the target.
    """
    return loss.masked_fill(excluded & ~loss.isfinite(), 0.0)


def sigmoid_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor,
    alpha: tuple[float, float] | Tensor | None,
    reduction: str,
) -> Tensor:
    """Return the loss of sigmoid logits, in at least float32.

    ``gamma``, if a tensor, and ``alpha`` are (negative, positive).
    """
    dtype = torch.promote_types(input.dtype, torch.float32)
    input, target = input.to(dtype), target.to(dtype)
    gammas = gamma if isinstance(gamma, Tensor) else (gamma, gamma)
    alphas = (1.0, 1.0) if alpha is None else alpha
    positive = alphas[1] * _focal_term(-input, gammas[1])
    negative = alphas[0] * _focal_term(input, gammas[0])
    loss = target * _without_excluded(positive, target == 0)
    loss = loss + (1 - target) * _without_excluded(negative, target == 1)
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.sum() / max(loss.numel(), 1)
    if reduction == "mean_positive":
        return loss.sum() / target.sum().clamp(min=1)
    return loss.sum()


class _Shift(torch.autograd.Function):
    """Subtract the maximum of each row from its logits.

    If the maximum is +inf, the result is the limit: 0 there and -inf elsewhere. The
    loss does not depend on the shift, so the gradient passes unchanged.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor) -> Tensor:
        largest = input.amax(1, keepdim=True)
        limit = torch.where(input == torch.inf, 0.0, -torch.inf).to(input.dtype)
        # If all logits are -inf there is no limit, and -inf - -inf is NaN.
        return torch.where(largest == torch.inf, limit, input - largest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Save nothing."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


class _ShiftWithForwardMode(_Shift):
    """The same with a forward-mode derivative, which ``torch.compile`` refuses."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return tangents[0].clone()


def _shift(input: Tensor, weight: Tensor | None) -> Tensor:
    """Subtract the maximum of each row; rows of weight 0 become 0, even from NaN."""
    if weight is not None:
        input = torch.where((weight == 0).unsqueeze(1), 0.0, input)
    compiling = torch.compiler.is_compiling()
    return (_Shift if compiling else _ShiftWithForwardMode).apply(input)


def _log_odds_against(shifted: Tensor, chosen: Tensor) -> Tensor:
    """Return the log-odds against the one class of each row that ``chosen`` marks."""
    logit = torch.where(chosen, shifted, 0.0).sum(1)
    others = shifted.masked_fill(chosen, -torch.inf)
    # The gradient of logsumexp is NaN if all its terms are -inf.
    absent = (others == -torch.inf).all(1)
    log_others = torch.logsumexp(others.masked_fill(absent.unsqueeze(1), 0.0), 1)
    return torch.where(absent, -torch.inf, log_others) - logit


def _class_numbers(input: Tensor) -> Tensor:
    """Return 0, 1, ..., shaped to broadcast along dimension 1 of ``input``."""
    numbers = torch.arange(input.shape[1], device=input.device)
    return numbers.view(1, -1, *[1] * (input.dim() - 2))


def to_probabilities(target: Tensor, input: Tensor, label_smoothing: float) -> Tensor:
    """Return smoothed class probabilities from class indices or probabilities."""
    if not target.is_floating_point():
        target = _class_numbers(input) == target.unsqueeze(1)
    target = target.to(input.dtype)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[1]
    return target


def _reduce(rows: Tensor, weight: Tensor | None, scale: Tensor | None) -> Tensor:
    """Return the weighted losses, or ``scale`` times their sum."""
    if weight is not None:
        rows = rows * weight
    return rows if scale is None else rows.sum() * scale


def class_index_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor,
    weight: Tensor | None,
    scale: Tensor | None,
) -> Tensor:
    """Return the loss for valid class indices, in at least float32.

    ``weight`` has one weight per row. ``scale`` is the factor of the sum of the losses.
    None returns the loss of each row.
    """
    input = input.to(torch.promote_types(input.dtype, torch.float32))
    shifted = _shift(input, weight)
    chosen = _class_numbers(input) == target.unsqueeze(1)
    if isinstance(gamma, Tensor):
        gamma = gamma[target]
    rows = _focal_term(_log_odds_against(shifted, chosen), gamma)
    return _reduce(rows, weight, scale)


def class_probability_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    scale: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """Return the loss for class probabilities or smoothed class indices.

    It is in at least float32. ``weight`` and ``scale`` are as in `class_index_loss`.
    """
    input = input.to(torch.promote_types(input.dtype, torch.float32))
    shape = (1, -1, *[1] * (input.dim() - 2))
    target = to_probabilities(target, input, label_smoothing)
    shifted = _shift(input, weight)
    # Only the largest class can have p > 1/2, where 1 - p cancels. Its terms are
    # computed from the other classes.
    largest = _class_numbers(input) == shifted.detach().argmax(1, keepdim=True)
    top = _log_odds_against(shifted, largest).unsqueeze(1)
    log_p = torch.where(largest, F.logsigmoid(-top), F.log_softmax(shifted, 1))
    weights = target if alpha is None else target * alpha.view(shape)
    loss = _without_excluded(-log_p, weights == 0)
    if isinstance(gamma, Tensor) or gamma != 0:
        p = torch.where(largest, 0.0, log_p.clamp(min=-_LARGE).exp())
        log_q = torch.where(
            largest, F.logsigmoid(top.clamp(-_LARGE, _LARGE)), torch.log1p(-p)
        )
        exponent = gamma.view(shape) if isinstance(gamma, Tensor) else gamma
        loss = torch.exp(exponent * log_q) * loss
    return _reduce((weights * loss).sum(1), weight, scale)

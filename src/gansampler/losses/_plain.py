"""The focal losses as plain, differentiable tensor operations.

This is the form that compilers trace, that ``torch.func`` transforms and that double
backward differentiates. ``_fused`` computes the same values in one pass.

Everything is written in log-odds. For a class with probability p, let ``u`` be the
log-odds *against* it, log((1 - p) / p). Then -log p = softplus(u) and
log(1 - p) = -softplus(-u), both exact at either end, where p itself has rounded to 0
or 1. In the sigmoid form u is the logit with its sign turned; in the softmax form it
is logsumexp of the other logits minus the class's own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "class_rows",
    "dense_rows",
    "focal_from_log_odds",
    "sigmoid_rows",
    "soft_target",
]

# Stands in for an infinite log-odds where 0 * inf would make a NaN.
_HUGE = 1e30


def focal_from_log_odds(log_odds: Tensor, gamma: float | Tensor) -> Tensor:
    """(1 - p)^gamma * (-log p), where ``log_odds`` is log((1 - p) / p)."""
    cross_entropy = -F.logsigmoid(-log_odds)
    if not isinstance(gamma, Tensor) and gamma == 0:
        return cross_entropy
    # At infinite log-odds the factor is flat: the clamp takes it out of the gradient.
    finite = log_odds.clamp(-_HUGE, _HUGE)
    return torch.exp(gamma * F.logsigmoid(finite)) * cross_entropy


def sigmoid_rows(
    input: Tensor,
    target: Tensor,
    gamma: tuple[float | Tensor, float | Tensor],
    alpha: tuple[float | Tensor, float | Tensor],
) -> Tensor:
    """Loss of each logit; ``gamma`` and ``alpha`` are (negative, positive)."""
    positive = alpha[1] * focal_from_log_odds(-input, gamma[1])
    negative = alpha[0] * focal_from_log_odds(input, gamma[0])
    # An infinite loss of the class that the target excludes must not become NaN.
    positive = torch.where(target == 0, 0.0, target * positive)
    return positive + torch.where(target == 1, 0.0, (1 - target) * negative)


class _Shifted(torch.autograd.Function):
    """Logits less their maximum; where that is +inf, the limit: 0 there, else -inf.

    The loss does not change with the shift, so the gradient passes as it is.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor) -> Tensor:
        largest = input.amax(1, keepdim=True)
        limit = torch.where(input == torch.inf, 0.0, -torch.inf).to(input.dtype)
        # Where all are -inf there is no limit, and -inf - -inf says so with a NaN.
        return torch.where(largest == torch.inf, limit, input - largest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing to save."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


def _log_odds_against(shifted: Tensor, chosen: Tensor) -> Tensor:
    """Log-odds against the one class of each row that ``chosen`` marks."""
    own = torch.where(chosen, shifted, 0.0).sum(1)
    others = shifted.masked_fill(chosen, -torch.inf)
    # logsumexp has no gradient where all is -inf: there the others are zero for good.
    absent = (others == -torch.inf).all(1)
    log_others = torch.logsumexp(others.masked_fill(absent.unsqueeze(1), 0.0), 1)
    return torch.where(absent, -torch.inf, log_others) - own


def _classes(input: Tensor) -> Tensor:
    """Class numbers, shaped to broadcast along dimension 1 of ``input``."""
    numbers = torch.arange(input.shape[1], device=input.device)
    return numbers.view(1, -1, *[1] * (input.dim() - 2))


def _counted(input: Tensor, weight: Tensor | None) -> Tensor:
    """Logits with zeros in the rows that do not count, lest their NaNs do."""
    if weight is None:
        return input
    return torch.where((weight == 0).unsqueeze(1), 0.0, input)


def soft_target(target: Tensor, input: Tensor, label_smoothing: float) -> Tensor:
    """Class probabilities from class indices or probabilities, smoothed."""
    if not target.is_floating_point():
        target = _classes(input) == target.unsqueeze(1)
    target = target.to(input.dtype)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[1]
    return target


def class_rows(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor,
    weight: Tensor | None,
) -> Tensor:
    """Loss of each row for valid class indices; ``weight`` is one number a row."""
    shifted = _Shifted.apply(_counted(input, weight))
    chosen = _classes(input) == target.unsqueeze(1)
    if isinstance(gamma, Tensor):
        gamma = gamma[target]
    rows = focal_from_log_odds(_log_odds_against(shifted, chosen), gamma)
    return rows if weight is None else rows * weight


def dense_rows(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """Loss of each row for class probabilities or smoothed class indices."""
    shape = (1, -1, *[1] * (input.dim() - 2))
    target = soft_target(target, input, label_smoothing)
    shifted = _Shifted.apply(_counted(input, weight))
    # Only the largest class can have p > 1/2: for it, go by the others; for the rest,
    # 1 - p has no cancellation.
    largest = _classes(input) == shifted.detach().argmax(1, keepdim=True)
    top = _log_odds_against(shifted, largest).unsqueeze(1)
    log_p = torch.where(largest, F.logsigmoid(-top), F.log_softmax(shifted, 1))
    # An infinite loss of a class that the target excludes is not part of it.
    loss = torch.where(target == 0, 0.0, -log_p)
    if isinstance(gamma, Tensor) or gamma != 0:
        p = torch.where(largest, 0.0, log_p.clamp(min=-_HUGE).exp())
        log_q = torch.where(
            largest, F.logsigmoid(top.clamp(-_HUGE, _HUGE)), torch.log1p(-p)
        )
        exponent = gamma.view(shape) if isinstance(gamma, Tensor) else gamma
        loss = torch.exp(exponent * log_q) * loss
    if alpha is not None:
        loss = alpha.view(shape) * loss
    rows = (target * loss).sum(1)
    return rows if weight is None else rows * weight

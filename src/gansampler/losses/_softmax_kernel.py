"""The focal loss of class indices and its gradient in one pass.

For a row of logits z with true class y, let o be the sum of
e_c = exp(z_c - z_y), the one exponential a logit, over the other classes c. Then
p = 1 / (1 + o) is the probability of y, q = o / (1 + o) that of the others, and::

    loss  = q^gamma s,  with s = -log p = log1p(o)
    slope = q^gamma (q + gamma p s)
    d loss / d z_y = -slope,   d loss / d z_c = slope e_c / o

Nothing cancels, and no maximum has to be found first. Where a logit is so far above the
true one that the exponential is inexact or overflows, the slab is done again from the
maximum. The work is done slab by slab in the memory of the gradient itself.
"""

import math

import torch
from torch import Tensor

from gansampler.losses._memory import may_peek
from gansampler.losses._slabs import Layout, Part, run_slabs

__all__ = ["softmax_kernel"]

# Stands in for an infinite -log p, where p * log p has the limit 0.
_HUGE = 1e30

# Up to here the rounding of (z_c - z_y) * log2(e) is no error to speak of.
_FAR = math.exp(40)


def _from_own_logit(z: Tensor, target: Tensor, e: Tensor) -> tuple[Tensor, ...] | None:
    """Return (o, s, p, q) with the exponentials, 0 for the true class, left in ``e``.

    None where a row is out of range.
    """
    own = z.gather(1, target)
    # exp2 is the fastest exponential that torch has on a CPU.
    torch.sub(z, own, out=e).mul_(1 / math.log(2)).exp2_().scatter_(1, target, 0)
    others = e.sum(1, keepdim=True)
    if z.numel() and not others.amax().item() < _FAR:
        return None
    p = (others + 1).reciprocal_()
    return others, others.log1p(), p, others * p


def _from_maximum(z: Tensor, target: Tensor, e: Tensor) -> tuple[Tensor, ...]:
    """Return the same for any logits, shifted by their maximum m.

    Here log p = (z_y - m) - log1p(o + (e_y - 1)): if y has the largest logit then
    e_y - 1 is 0; if not, both terms are negative.
    """
    largest = z.amax(1, keepdim=True)
    infinite = largest == torch.inf
    largest.clamp_(max=torch.finfo(z.dtype).max)
    # A logit of +inf is the whole of the sum; the others vanish beside it.
    torch.sub(z, largest, out=e).clamp_(max=0)
    log_p = e.gather(1, target)
    log_p = torch.where(infinite & (log_p < 0), -torch.inf, log_p)
    e.exp_().scatter_(1, target, 0)
    others = e.sum(1, keepdim=True)
    p = log_p.exp()
    log_p.sub_((p - 1).add_(others).log1p_())
    total = others + p
    return others, log_p.neg_(), p / total, others / total


def _slab(
    z: Tensor,
    target: Tensor,
    weight: Tensor | None,
    gamma: float | Tensor,
    scale: Tensor | None,
    e: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """Return the loss of each row; put the gradient of ``scale`` times its sum."""
    terms = _from_own_logit(z, target, e) if may_peek(z) else None
    others, s, p, q = terms or _from_maximum(z, target, e)
    loss, slope = s, q
    if isinstance(gamma, Tensor) or gamma != 0:
        factor = q.pow(gamma)
        loss = s * factor
        slope = p.mul_(s.clamp_(max=_HUGE)).mul_(gamma).add_(q).mul_(factor)
    if weight is not None:
        loss = loss * weight
        slope.mul_(weight)
    if scale is not None:
        slope.mul_(scale)
    if gradient is not None:
        others.clamp_(min=torch.finfo(z.dtype).tiny)
        torch.mul(e, slope / others, out=gradient)
        gradient.scatter_(1, target, slope.neg_())
    if weight is not None:
        # What does not count is nothing, even where its logits are not finite.
        absent = weight == 0
        loss.masked_fill_(absent, 0)
        if gradient is not None:
            gradient.masked_fill_(absent, 0)
    return loss


def softmax_kernel(
    input: Tensor,
    target: Tensor,
    need_gradient: bool,
    *,
    gamma: float | Tensor,
    weight: Tensor | None,
    scale: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Return loss and gradient for class indices, in at least float32.

    ``weight`` is one weight a row, ``scale`` what the sum is multiplied by; None gives
    the loss of each row.
    """
    layout = Layout(input)
    targets = layout.rows(target)
    weights = None if weight is None else layout.rows(weight)

    def slab(z: Tensor, part: Part, gradient: Tensor | None) -> Tensor:
        y = targets[part]
        return _slab(
            z,
            y,
            None if weights is None else weights[part],
            gamma[y] if isinstance(gamma, Tensor) else gamma,
            scale,
            layout.workspace(z, gradient),
            gradient,
        )

    return run_slabs(input, layout, slab, need_gradient, scale)

"""The focal loss of class indices and its gradient in one pass.

For a row of logits z with true class y, let own = exp(z_y), o be the sum of
e_c = exp(z_c), the one exponential a logit, over the other classes c, and t their sum.
Then p = own / t is the probability of y, q = o / t that of the others, and::

    loss  = q^gamma s,  with s = -log p = log1p(o / own)
    slope = q^gamma (q + gamma p s)
    d loss / d z_y = -slope,   d loss / d z_c = slope e_c / o

Nothing cancels, and neither a maximum has to be found nor a row's logits shifted
first. Where the logits are so large or small that the exponentials are inexact or leave
the range of numbers, the slab is done again from the maximum. The work is done slab by
slab in the memory of the gradient itself.
"""

import math

import torch
from torch import Tensor

from gansampler.losses._memory import may_peek
from gansampler.losses._slabs import Layout, Part, run_slabs

__all__ = ["softmax_kernel"]

# Stands in for an infinite -log p, where p * log p has the limit 0.
_HUGE = 1e30

# Some ten numbers a row, or the slab's size again where its maximum has to be found.
_N_BUFFERS = 4


def _exp_(z: Tensor) -> Tensor:
    """Exponential in place; exp2 is the fastest that torch has on a CPU."""
    return z.mul_(1 / math.log(2)).exp2_() if may_peek(z) else z.exp_()


def _in_range(own: Tensor, others: Tensor, total: Tensor) -> bool:
    """Tell whether all rows are exact and finite, computed without a shift.

    The rounding of z * log2(e) is a relative error of the exponential, in proportion to
    abs(z). Where y is likely, q^gamma multiplies it, so that there the logits must be
    nearer to 0 than where it is not. The rounding of float32 then adds up to less than
    1e-5 for gamma up to 5. A sum of 0 may have lost its digits.
    """
    (own_low, own_high), (low, high) = (
        (bounds.min.item(), bounds.max.item())
        for bounds in (own.aminmax(), others.aminmax())
    )
    return (
        2**-60 < own_low <= own_high < 2**32
        and torch.finfo(others.dtype).tiny < low <= high < 2**60
        and total.amin().item() > 2**-12
    )


def _directly(z: Tensor, target: Tensor, e: Tensor) -> tuple[Tensor, ...] | None:
    """Return (o, s, p, q) with the exponentials, 0 for the true class, left in ``e``.

    None where a row is out of range.
    """
    torch.mul(z, 1 / math.log(2), out=e).exp2_()
    own = e.gather(1, target)
    e.scatter_(1, target, torch.zeros_like(own))
    others = e.sum(1, keepdim=True)
    total = own + others
    if not _in_range(own, others, total):
        return None
    return others, (others / own).log1p_(), own.div_(total), others / total


def _from_maximum(z: Tensor, target: Tensor, e: Tensor) -> tuple[Tensor, ...]:
    """Return the same of any logits, shifted by their maximum m.

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
    _exp_(e).scatter_(1, target, 0)
    others = e.sum(1, keepdim=True)
    p = log_p.exp()
    log_p.sub_((p - 1).add_(others).log1p_())
    total = others + p
    return others, log_p.neg_(), p / total, others / total


def _loss(
    terms: tuple[Tensor, ...],
    e: Tensor,
    target: Tensor,
    weight: Tensor | None,
    gamma: float | Tensor,
    scale: Tensor | None,
    gradient: Tensor | None,
) -> Tensor:
    """Return the loss of each row; put the gradient of ``scale`` times its sum.

    ``terms`` are (o, s, p, q), and ``e`` the exponentials; the terms are overwritten.
    """
    others, s, p, q = terms
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
        others.clamp_(min=torch.finfo(e.dtype).tiny)
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

    direct = may_peek(input)

    def slab(z: Tensor, part: Part, gradient: Tensor | None) -> Tensor:
        nonlocal direct
        y = targets[part]
        e = torch.empty_like(z) if gradient is None else gradient
        terms = _directly(z, y, e) if direct else None
        if terms is None:
            # The next slabs are likely to be out of range as well.
            direct = False
            e = layout.workspace(z, gradient)
            terms = _from_maximum(z, y, e)
        return _loss(
            terms,
            e,
            y,
            None if weights is None else weights[part],
            gamma[y] if isinstance(gamma, Tensor) else gamma,
            scale,
            gradient,
        )

    return run_slabs(input, layout, slab, _N_BUFFERS, need_gradient, scale)

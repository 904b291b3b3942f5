"""The focal loss of class indices and its gradient in one pass.

For a row of logits z with true class y, let e_c = exp(z_c) for every class c and o the
sum of e_c over the classes other than y. With t = e_y + o, p = e_y / t is the
probability of y and q = o / t that of the other classes, and::

    loss  = q^gamma s,  with s = -log p = log1p(o / e_y)
    slope = q^gamma (q + gamma p s)
    d loss / d z_y = -slope,   d loss / d z_c = slope e_c / o

Nothing cancels, and the maximum of the row is not needed. If the logits are so large or
small that an exponential is inexact, overflows or underflows, the block is computed
again with the maximum subtracted. The intermediate values are written into the memory
of the gradient.
"""

import math

import torch
from torch import Tensor

from gansampler.losses._kernels._blocks import Block, Layout, can_read, run_blocks

# Replaces an infinite -log p. The limit of p log p is 0.
_LARGE = 1e30

# A block needs about ten numbers per row, and its own size again for the maximum.
_N_BUFFERS = 4


def _exp_(z: Tensor) -> Tensor:
    """Exponential in place. On a CPU, exp2 is torch's fastest."""
    return z.mul_(1 / math.log(2)).exp2_() if can_read(z) else z.exp_()


def _in_range(e_true: Tensor, others: Tensor, total: Tensor) -> bool:
    """Tell whether all rows are finite and exact without a subtracted maximum.

    The rounding of z * log2(e) is a relative error of the exponential that grows with
    abs(z). If y is likely, this error is multiplied by q^gamma, so that the logits must
    be closer to 0 than if y is unlikely. Within these bounds the rounding of float32
    adds up to less than 1e-5 for gamma up to 5. A sum close to 0 may have lost digits.
    """
    (true_low, true_high), (low, high) = (
        (bounds.min.item(), bounds.max.item())
        for bounds in (e_true.aminmax(), others.aminmax())
    )
    return (
        2**-60 < true_low <= true_high < 2**32
        and torch.finfo(others.dtype).tiny < low <= high < 2**60
        and total.amin().item() > 2**-12
    )


def _direct_terms(z: Tensor, target: Tensor, e: Tensor) -> tuple[Tensor, ...] | None:
    """Return (o, s, p, q), or None if a row is out of range.

    The exponentials are written into ``e``, with 0 for the true class.
    """
    torch.mul(z, 1 / math.log(2), out=e).exp2_()
    e_true = e.gather(1, target)
    e.scatter_(1, target, torch.zeros_like(e_true))
    others = e.sum(1, keepdim=True)
    total = e_true + others
    if not _in_range(e_true, others, total):
        return None
    return others, (others / e_true).log1p_(), e_true.div_(total), others / total


def _shifted_terms(z: Tensor, target: Tensor, e: Tensor) -> tuple[Tensor, ...]:
    """Return (o, s, p, q) for any logits, with their maximum m subtracted.

    Here log p = (z_y - m) - log1p(o + (e_y - 1)). If y has the largest logit, e_y - 1
    is 0. If not, both terms are negative.
    """
    largest = z.amax(1, keepdim=True)
    infinite = largest == torch.inf
    largest.clamp_(max=torch.finfo(z.dtype).max)
    # A logit of +inf has probability 1, all others 0.
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
    """Return the loss of each row. Write the gradient of ``scale`` times their sum.

    ``terms`` are (o, s, p, q) and are overwritten. ``e`` are the exponentials.
    """
    others, s, p, q = terms
    loss, slope = s, q
    if isinstance(gamma, Tensor) or gamma != 0:
        factor = q.pow(gamma)
        loss = s * factor
        slope = p.mul_(s.clamp_(max=_LARGE)).mul_(gamma).add_(q).mul_(factor)
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
        # A row of weight 0 has the loss 0, even if its logits are not finite.
        absent = weight == 0
        loss.masked_fill_(absent, 0)
        if gradient is not None:
            gradient.masked_fill_(absent, 0)
    return loss


def class_index_kernel(
    input: Tensor,
    target: Tensor,
    need_gradient: bool,
    *,
    gamma: float | Tensor,
    weight: Tensor | None,
    scale: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Return loss and gradient for class indices, in at least float32.

    ``weight`` has one weight per row. ``scale`` is the factor of the sum of the losses.
    None returns the loss of each row.
    """
    layout = Layout(input)
    targets = layout.rows(target)
    weights = None if weight is None else layout.rows(weight)
    try_direct = can_read(input)

    def compute_block(z: Tensor, block: Block, gradient: Tensor | None) -> Tensor:
        nonlocal try_direct
        y = targets[block]
        e = torch.empty_like(z) if gradient is None else gradient
        terms = _direct_terms(z, y, e) if try_direct else None
        if terms is None:
            # The remaining blocks are probably out of range too.
            try_direct = False
            e = layout.buffer(z, gradient)
            terms = _shifted_terms(z, y, e)
        return _loss(
            terms,
            e,
            y,
            None if weights is None else weights[block],
            gamma[y] if isinstance(gamma, Tensor) else gamma,
            scale,
            gradient,
        )

    return run_blocks(input, layout, compute_block, _N_BUFFERS, need_gradient, scale)

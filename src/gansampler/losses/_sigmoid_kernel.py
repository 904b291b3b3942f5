"""The focal loss of sigmoid logits and its gradient in one pass.

Let u be the log-odds against the true label: minus the input for a positive, the input
for a negative one. With q = sigmoid(u), the probability of the wrong label, and
s = softplus(u), minus the log-probability of the true one::

    loss = q^gamma s        d loss / d u = q^gamma (q + gamma (1 - q) s)

One exponential gives q, and s = max(u, 0) - log1p(-min(q, 1 - q)) has no cancellation
at either end. The work is done chunk by chunk in place, so that all that is between
stays in the caches.
"""

import math

import torch
from torch import Tensor

from gansampler.losses._memory import chunk_numel, may_peek, with_large_pages

__all__ = ["Pair", "sigmoid_kernel"]

# Stands in for an infinite s, where (1 - q) s has the limit 0.
_HUGE = 1e30

# Buffers of a chunk's size, rounded up.
_N_BUFFERS = 8

Pair = tuple[float | Tensor, float | Tensor]


def _flat(tensor: Tensor, like: Tensor) -> Tensor:
    """All elements in one dimension, in the order in which ``like`` lies in memory."""
    order = sorted(range(like.dim()), key=like.stride, reverse=True)
    return tensor.permute(order).reshape(-1)


def _term(
    u: Tensor,
    s: Tensor,
    slope: Tensor,
    weight: Tensor | None,
    gamma: float | Tensor,
    rows: Tensor | None,
) -> Tensor:
    """Return the weighted sum of the losses, or leave each one in ``rows``.

    ``slope`` receives the weighted derivative by ``u``; ``u`` and ``s`` are
    overwritten.
    """
    q = torch.sigmoid(u, out=slope)
    torch.sub(q.new_ones(()), q, out=s)
    torch.minimum(s, q, out=s).neg_().log1p_()
    torch.sub(u.clamp_(min=0), s, out=s)
    factor = weight
    if focused := isinstance(gamma, Tensor) or gamma != 0:
        factor = torch.pow(q, gamma, out=u)
        if weight is not None:
            factor.mul_(weight)
    if rows is not None:
        loss = rows.copy_(s) if factor is None else torch.mul(s, factor, out=rows)
    else:
        loss = s.sum() if factor is None else torch.dot(s, factor)
    if focused:
        if rows is not None or not may_peek(s) or not math.isfinite(loss.item()):
            s.clamp_(max=_HUGE)
        s.addcmul_(q, s, value=-1)
        if isinstance(gamma, Tensor):
            slope.add_(s.mul_(gamma))
        else:
            slope.add_(s, alpha=gamma)
    if factor is not None:
        slope.mul_(factor)
    return loss


def _hard_chunk(
    z: Tensor,
    t: Tensor,
    gamma: float | Tensor,
    alpha: Pair | None,
    scratch: Tensor,
    slope: Tensor,
    rows: Tensor | None,
) -> Tensor | None:
    """Loss of targets that are all 0 or 1, by one term; None for any others.

    The gradient is left in ``slope``.
    """
    u, s, weight, _ = scratch.unbind()
    not_t = torch.sub(t.new_ones(()), t, out=u)
    if torch.dot(t, not_t).item() != 0:
        return None
    # The sign of the derivative of u by the logit: -1 for a positive, else 1.
    torch.sub(not_t, t, out=u).mul_(z)
    if alpha is None:
        loss = _term(u, s, slope, None, gamma, rows)
    else:
        torch.mul(t, alpha[1] - alpha[0], out=weight).add_(alpha[0])
        loss = _term(u, s, slope, weight, gamma, rows)
    slope.addcmul_(slope, t, value=-2)
    return loss


def _soft_chunk(
    z: Tensor,
    t: Tensor,
    gamma: Pair,
    alpha: Pair | None,
    scratch: Tensor,
    slope: Tensor,
    rows: Tensor | None,
) -> Tensor:
    """Loss of any targets: both labels' terms, weighted by the target."""
    u, s, weight, label_slope = scratch.unbind()
    slope.zero_()
    total = torch.zeros_like(z) if rows is None else rows.zero_()
    loss = torch.empty_like(z)
    for label, sign in ((1, -1), (0, 1)):
        torch.mul(t, -sign, out=weight).add_(1 - label)
        # A label that the target excludes has no part, though its loss be infinite.
        torch.mul(z, sign, out=u).masked_fill_(weight == 0, 0)
        if alpha is not None:
            weight.mul_(alpha[label])
        total.add_(_term(u, s, label_slope, weight, gamma[label], loss))
        slope.add_(label_slope, alpha=sign)
    return total.sum() if rows is None else rows


def sigmoid_kernel(
    input: Tensor,
    target: Tensor,
    need_gradient: bool,
    *,
    gamma: Pair,
    alpha: Pair | None,
    reduction: str,
) -> tuple[Tensor, Tensor | None]:
    """Return the loss, and its gradient where asked for, in at least float32.

    ``gamma`` and ``alpha`` are (negative, positive).
    """
    dtype = torch.promote_types(input.dtype, torch.float32)
    if may_peek(input):
        gamma = (float(gamma[0]), float(gamma[1]))
        alpha = alpha and (float(alpha[0]), float(alpha[1]))
    gradient = None
    if need_gradient:
        gradient = with_large_pages(torch.empty_like(input, dtype=dtype))
    rows = torch.empty_like(input, dtype=dtype) if reduction == "none" else None
    scale: float | Tensor = 1.0
    if reduction == "mean":
        scale = 1 / max(input.numel(), 1)
    elif reduction == "mean_positive":
        scale = target.sum(dtype=dtype).clamp_(min=1).reciprocal_()

    like = torch.empty_like(input, device="meta")
    flat_input, flat_target = _flat(input, like), _flat(target, like)
    flat_gradient = None if gradient is None else _flat(gradient, like)
    flat_rows = None if rows is None else _flat(rows, like)
    size = min(chunk_numel(input, _N_BUFFERS), input.numel())
    scratch = torch.empty((5, size), dtype=dtype, device=input.device)
    sums = [scratch.new_zeros(())]
    for start in range(0, input.numel(), max(size, 1)):
        part = slice(start, start + size)
        z, t = flat_input[part].to(dtype), flat_target[part].to(dtype)
        buffers = scratch[:4, : len(z)]
        slope = scratch[4, : len(z)] if flat_gradient is None else flat_gradient[part]
        row = None if flat_rows is None else flat_rows[part]
        loss = None
        if may_peek(t) and gamma[0] == gamma[1]:
            loss = _hard_chunk(z, t, gamma[0], alpha, buffers, slope, row)
        if loss is None:
            loss = _soft_chunk(z, t, gamma, alpha, buffers, slope, row)
        if row is None:
            sums.append(loss)
            if need_gradient and reduction != "sum":
                slope.mul_(scale)
    if rows is not None:
        return rows, gradient
    return torch.stack(sums).sum().mul_(scale), gradient

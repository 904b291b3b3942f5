"""The focal loss of sigmoid logits and its gradient in one pass.

Let u be the log-odds against the true label: minus the input for a positive label, the
input for a negative one. With q = sigmoid(u), the probability of the wrong label, and
s = softplus(u), minus the log-probability of the true label::

    loss = q^gamma s        d loss / d u = q^gamma (q + gamma (1 - q) s)

One exponential gives q, and s = max(u, 0) - log1p(-min(q, 1 - q)) has no cancellation
at either end. The work is done in place, block by block, so that the intermediate
values stay in the caches.
"""

import math

import torch
from torch import Tensor

from gansampler.losses._kernels._blocks import (
    block_numel,
    can_read,
    with_large_pages,
)

# Replaces an infinite s. The limit of (1 - q) s is 0.
_LARGE = 1e30

# Number of buffers of the size of a block, rounded up.
_N_BUFFERS = 8

Pair = tuple[float | Tensor, float | Tensor]


def _flat(tensor: Tensor, like: Tensor) -> Tensor:
    """Return all elements in one dimension, in the memory order of ``like``."""
    order = sorted(range(like.dim()), key=like.stride, reverse=True)
    return tensor.permute(order).reshape(-1)


def _pair(values: float | tuple[float, float] | Tensor, read: bool) -> Pair:
    """Return the values for (negative, positive), as floats if they can be read."""
    if isinstance(values, Tensor):
        return tuple(values.tolist()) if read else (values[0], values[1])
    return values if isinstance(values, tuple) else (values, values)


def _term(
    u: Tensor,
    s: Tensor,
    slope: Tensor,
    weight: Tensor | None,
    gamma: float | Tensor,
    rows: Tensor | None,
) -> Tensor:
    """Return the sum of the weighted losses, or write each loss into ``rows``.

    The weighted derivative with respect to ``u`` is written into ``slope``. ``u`` and
    ``s`` are overwritten.
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
        if rows is not None or not can_read(s) or not math.isfinite(loss.item()):
            s.clamp_(max=_LARGE)
        s.addcmul_(q, s, value=-1)
        if isinstance(gamma, Tensor):
            slope.add_(s.mul_(gamma))
        else:
            slope.add_(s, alpha=gamma)
    if factor is not None:
        slope.mul_(factor)
    return loss


def _hard_block(
    z: Tensor,
    t: Tensor,
    gamma: float | Tensor,
    alpha: Pair | None,
    buffers: Tensor,
    slope: Tensor,
    rows: Tensor | None,
) -> Tensor | None:
    """Return the loss for targets 0 and 1, or None if there are any others.

    The gradient is written into ``slope``.
    """
    u, s, weight, _ = buffers.unbind()
    not_t = torch.sub(t.new_ones(()), t, out=u)
    if torch.dot(t, not_t).item() != 0:
        return None
    # The derivative of u with respect to the logit is -1 for a positive label, else 1.
    torch.sub(not_t, t, out=u).mul_(z)
    if alpha is not None:
        torch.mul(t, alpha[1] - alpha[0], out=weight).add_(alpha[0])
    loss = _term(u, s, slope, None if alpha is None else weight, gamma, rows)
    slope.addcmul_(slope, t, value=-2)
    return loss


def _soft_block(
    z: Tensor,
    t: Tensor,
    gamma: Pair,
    alpha: Pair | None,
    buffers: Tensor,
    slope: Tensor,
    rows: Tensor | None,
) -> Tensor:
    """Return the loss for any targets: the terms of both labels, weighted by them."""
    u, s, weight, label_slope = buffers.unbind()
    slope.zero_()
    total = torch.zeros_like(z) if rows is None else rows.zero_()
    loss = torch.empty_like(z)
    for label, sign in ((1, -1), (0, 1)):
        torch.mul(t, -sign, out=weight).add_(1 - label)
        # A label of weight 0 has no part in the loss, even if its loss is infinite.
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
    gamma: float | Tensor,
    alpha: tuple[float, float] | Tensor | None,
    reduction: str,
) -> tuple[Tensor, Tensor | None]:
    """Return loss and, if needed, gradient, in at least float32.

    ``gamma``, if a tensor, and ``alpha`` are (negative, positive).
    """
    dtype = torch.promote_types(input.dtype, torch.float32)
    gammas = _pair(gamma, can_read(input))
    alphas = None if alpha is None else _pair(alpha, can_read(input))
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
    size = min(block_numel(input, _N_BUFFERS), input.numel())
    scratch = torch.empty((5, size), dtype=dtype, device=input.device)
    sums = [scratch.new_zeros(())]
    for start in range(0, input.numel(), max(size, 1)):
        block = slice(start, start + size)
        z, t = flat_input[block].to(dtype), flat_target[block].to(dtype)
        buffers = scratch[:4, : len(z)]
        slope = scratch[4, : len(z)] if flat_gradient is None else flat_gradient[block]
        row = None if flat_rows is None else flat_rows[block]
        loss = None
        if can_read(t) and gammas[0] == gammas[1]:
            loss = _hard_block(z, t, gammas[0], alphas, buffers, slope, row)
        if loss is None:
            loss = _soft_block(z, t, gammas, alphas, buffers, slope, row)
        if row is None:
            sums.append(loss)
            if need_gradient and reduction != "sum":
                slope.mul_(scale)
    if rows is not None:
        return rows, gradient
    return torch.stack(sums).sum().mul_(scale), gradient

"""The focal loss of class probabilities and its gradient in one pass.

Every class has a term. With the softmax p, the weights w = q alpha of the target q, and
G_c = p_c d/dp_c of (1 - p_c)^gamma log p_c, for a row of logits z::

    loss        = -sum_c w_c (1 - p_c)^gamma log p_c
    G_c         = (1 - p_c)^gamma (1 - gamma h_c),  with h_c = p_c log p_c / (1 - p_c)
    d loss / d z_j = p_j sum_c w_c G_c - w_j G_j

Only the class k of the largest logit can have p > 1/2, where 1 - p cancels. With o the
sum of e_c = exp(z_c - z_k) over the other classes, 1 - p_k = o / (1 + o),
h_k = -log1p(o) / o, and the gradient with respect to z_k is p_k sum_{c != k} w_c G_c
minus (1 - p_k) w_k G_k.
"""

import torch
from torch import Tensor

from gansampler.losses._kernels._blocks import Block, Layout, can_read, run_blocks
from gansampler.losses._kernels._differentiable import to_probabilities

# Replaces an infinite -log p. The limit of p log p is 0.
_LARGE = 1e30

# Number of buffers of the size of a block.
_N_BUFFERS = 8


def _loss(
    z: Tensor,
    w: Tensor,
    gamma: float | Tensor,
    log_p: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """Return the loss of each row and write the gradient.

    ``w`` and ``log_p``, the buffer of log p, are overwritten.
    """
    largest, k = z.max(1, keepdim=True)
    infinite = largest == torch.inf
    bounded = largest.clamp(max=torch.finfo(z.dtype).max)
    torch.sub(z, bounded, out=log_p)
    if not can_read(z) or bool(infinite.any()):
        # A logit of +inf has probability 1, all others 0.
        log_p.clamp_(max=0)
        log_p.masked_fill_(infinite & (log_p < 0), -torch.inf)
    p = log_p.exp().scatter_(1, k, 0)
    others = p.sum(1, keepdim=True)
    log_total = others.log1p()
    log_p.sub_(log_total)
    p_top = (others + 1).reciprocal_()
    q_top = others * p_top
    p.mul_(p_top).scatter_(1, k, p_top)

    # A class of weight 0 has no part in the loss, even if its own loss is infinite.
    loss = (w * log_p).masked_fill_(w == 0, 0)
    if isinstance(gamma, Tensor) or gamma != 0:
        q = torch.sub(1, p).scatter_(1, k, q_top)
        factor = q.pow(gamma)
        loss.mul_(factor)
        w.mul_(factor)
        h = log_p.clamp_(min=-_LARGE).mul_(p).div_(q)
        others.clamp_(min=torch.finfo(z.dtype).tiny)
        h.scatter_(1, k, others.log1p().div_(others).neg_())
        w.mul_(h.mul_(gamma).neg_().add_(1))
    loss = loss.sum(1, keepdim=True).neg_()
    if gradient is not None:
        w_top = w.gather(1, k)
        w.scatter_(1, k, 0)
        w_others = w.sum(1, keepdim=True)
        torch.sub(p.mul_(w_others + w_top), w, out=gradient)
        gradient.scatter_(1, k, p_top.mul_(w_others).sub_(q_top.mul_(w_top)))
    return loss


def class_probability_kernel(
    input: Tensor,
    target: Tensor,
    need_gradient: bool,
    *,
    gamma: float | Tensor,
    alpha: Tensor | None,
    weight: Tensor | None,
    scale: Tensor | None,
    label_smoothing: float,
) -> tuple[Tensor, Tensor | None]:
    """Return loss and gradient for class probabilities or smoothed class indices.

    They are in at least float32. ``weight`` has one weight per row. ``scale`` is the
    factor of the sum of the losses. None returns the loss of each row.
    """
    layout = Layout(input)
    soft = target.is_floating_point()
    targets = layout.cube(target) if soft else layout.rows(target)
    weights = None if weight is None else layout.rows(weight)
    if isinstance(gamma, Tensor):
        gamma = gamma.view(1, -1, 1)

    def compute_block(z: Tensor, block: Block, gradient: Tensor | None) -> Tensor:
        y = targets[block]
        w = layout.buffer(z, None)
        w.copy_(to_probabilities(y if soft else y.squeeze(1), z, label_smoothing))
        if alpha is not None:
            w.mul_(alpha.view(1, -1, 1))
        loss = _loss(z, w, gamma, layout.buffer(z, None), gradient)
        if weights is not None:
            loss.mul_(weights[block])
            # A row of weight 0 has the loss 0, even if its logits are not finite.
            absent = weights[block] == 0
            loss.masked_fill_(absent, 0)
            if gradient is not None:
                gradient.mul_(weights[block]).masked_fill_(absent, 0)
        if gradient is not None and scale is not None:
            gradient.mul_(scale)
        return loss

    return run_blocks(input, layout, compute_block, _N_BUFFERS, need_gradient, scale)

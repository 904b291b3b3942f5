"""The bridge between autograd and the one-pass kernels.

A kernel computes a loss and its gradient together, so that one exponential serves
both. :func:`apply_kernel` uses it wherever plain eager autograd runs; wherever the
computation is itself transformed (compiled, exported, ``torch.func``, forward mode,
double backward), the plain form takes its place, being made of differentiable
operations alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gansampler.losses._memory import may_peek

__all__ = ["apply_kernel", "is_transformed"]

Kernel = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]
Plain = Callable[[Tensor, Tensor], Tensor]


def is_transformed(*tensors: Tensor) -> bool:
    """Tell whether a compiler or a transform, not eager autograd, sees the tensors."""
    return (
        torch.compiler.is_compiling()
        # These two tests, of torch.func and of is_grads_batched, have no public name;
        # torch.autograd.Function.apply makes the first of them itself.
        or torch._C._are_functorch_transforms_active()
        or any(
            type(tensor) not in (Tensor, torch.nn.Parameter)
            or torch._C._functorch.is_legacy_batchedtensor(tensor)
            or forward_ad.unpack_dual(tensor).tangent is not None
            for tensor in tensors
        )
    )


class _Fused(torch.autograd.Function):
    """Loss whose gradient the forward pass has already computed."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, target: Tensor, kernel: Kernel, plain: Plain
    ) -> Tensor:
        loss, ctx.gradient = kernel(input, target, True)
        ctx.save_for_backward(input, target)
        ctx.kernel, ctx.plain = kernel, plain
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad_output,) = grad_outputs
        input, target = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Asked for a graph of the gradient: differentiate the plain form.
            loss = ctx.plain(input, target)
            (gradient,) = torch.autograd.grad(
                loss, input, grad_output, create_graph=True
            )
            return gradient, None, None, None
        # The gradient is handed on without a copy, so a second backward pass through
        # a retained graph computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            _, gradient = ctx.kernel(input, target, True)
        if 0 < grad_output.dim() < gradient.dim():
            # One loss for all the classes of a row.
            grad_output = grad_output.unsqueeze(1)
        if is_transformed(grad_output):
            gradient = gradient * grad_output
        elif not (
            grad_output.dim() == 0 and may_peek(grad_output) and grad_output.item() == 1
        ):
            gradient.mul_(grad_output)
        return gradient.to(input.dtype), None, None, None


def apply_kernel(
    input: Tensor,
    target: Tensor,
    kernel: Kernel,
    plain: Plain,
    parameters: tuple[object, ...],
) -> Tensor:
    """Return the loss, by ``kernel`` where that is possible, else by ``plain``.

    ``parameters`` are what else the loss depends on. The kernel gives the gradient of
    ``input`` alone, so the plain form is used when one of them requires its own.
    """
    if is_transformed(input, target) or any(
        isinstance(tensor, Tensor) and (tensor.requires_grad or is_transformed(tensor))
        for tensor in (target, *parameters)
    ):
        return plain(input, target)
    with torch.autocast(input.device.type, enabled=False):
        if torch.is_grad_enabled() and input.requires_grad:
            return _Fused.apply(input, target, kernel, plain)
        return kernel(input, target, False)[0]

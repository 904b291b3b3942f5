"""The choice between the kernels and the differentiable form.

A kernel computes a loss and its gradient together, so that both use the same
exponentials. :func:`compute_loss` uses a kernel in ordinary eager autograd. It uses the
differentiable form where something else follows the computation: ``torch.compile``,
``torch.export``, ``torch.func``, forward mode or a second derivative.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gansampler.losses._kernels._blocks import can_read

# (input, target, need_gradient, **settings) -> loss, gradient
Kernel = Callable[..., tuple[Tensor, Tensor | None]]
# (input, target, **settings) -> loss
DifferentiableForm = Callable[..., Tensor]


def _private_test(name: str) -> Callable[..., bool]:
    """Return a private function of torch, or one that always answers True.

    True selects the differentiable form, which is slower but always correct.
    """
    try:
        return attrgetter(name)(torch._C)
    except AttributeError:
        return lambda *tensors: True


# Torch has no public tests for active ``torch.func`` transforms and for tensors that
# ``is_grads_batched`` has batched.
_are_transforms_active = _private_test("_are_functorch_transforms_active")
_is_batched = _private_test("_functorch.is_legacy_batchedtensor")


def is_transformed(*tensors: Tensor) -> bool:
    """Tell whether something other than eager autograd follows the tensors."""
    return (
        torch.compiler.is_compiling()
        or _are_transforms_active()
        or any(
            type(tensor) not in (Tensor, torch.nn.Parameter)
            or _is_batched(tensor)
            or forward_ad.unpack_dual(tensor).tangent is not None
            for tensor in tensors
        )
    )


class _KernelFunction(torch.autograd.Function):
    """Loss whose gradient is computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        target: Tensor,
        kernel: Kernel,
        differentiable_form: DifferentiableForm,
        settings: dict[str, Any],
    ) -> Tensor:
        loss, ctx.gradient = kernel(input, target, True, **settings)
        ctx.save_for_backward(input, target)
        ctx.kernel, ctx.differentiable_form = kernel, differentiable_form
        ctx.settings = settings
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad_output,) = grad_outputs
        input, target = ctx.saved_tensors
        if torch.is_grad_enabled():
            # The caller wants to differentiate the gradient.
            loss = ctx.differentiable_form(input, target, **ctx.settings)
            (gradient,) = torch.autograd.grad(
                loss, input, grad_output, create_graph=True
            )
            return gradient, None, None, None, None
        # The gradient is returned without a copy. A second backward pass through a
        # retained graph therefore computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            _, gradient = ctx.kernel(input, target, True, **ctx.settings)
        if 0 < grad_output.dim() < gradient.dim():
            # A row has one loss for all its classes.
            grad_output = grad_output.unsqueeze(1)
        if is_transformed(grad_output):
            gradient = gradient * grad_output
        elif not (
            grad_output.dim() == 0 and can_read(grad_output) and grad_output.item() == 1
        ):
            gradient.mul_(grad_output)
        return gradient.to(input.dtype), None, None, None, None


def compute_loss(
    kernel: Kernel,
    differentiable_form: DifferentiableForm,
    input: Tensor,
    target: Tensor,
    **settings: Any,
) -> Tensor:
    """Return the loss by ``kernel`` where possible, else by ``differentiable_form``.

    Both take ``settings``. A kernel gives the gradient with respect to ``input`` only,
    so that the differentiable form is used where another tensor requires a gradient.
    """
    others = [target, *(s for s in settings.values() if isinstance(s, Tensor))]
    if is_transformed(input, *others) or any(t.requires_grad for t in others):
        loss = differentiable_form(input, target, **settings)
    else:
        with torch.autocast(input.device.type, enabled=False):
            if torch.is_grad_enabled() and input.requires_grad:
                loss = _KernelFunction.apply(
                    input, target, kernel, differentiable_form, settings
                )
            else:
                loss, _ = kernel(input, target, False, **settings)
    # As in torch's own losses, half precision gives a float32 loss under autocast.
    if torch.is_autocast_enabled(input.device.type):
        return loss
    return loss.to(input.dtype)

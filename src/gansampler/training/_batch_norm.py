"""Batch normalisation with the statistics of the whole batch, in several processes.

torch.nn.SyncBatchNorm does the same, and only on GPUs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gansampler.training._process_group import ProcessGroup


@contextlib.contextmanager
def synchronised_batch_norm(
    modules: Iterable[nn.Module], group: ProcessGroup
) -> Iterator[None]:
    """Let the batch normalisation of networks use the statistics of all processes."""
    layers = [
        layer
        for module in modules
        for layer in module.modules()
        if group.world_size > 1
        and isinstance(layer, _BatchNorm)
        and type(layer).forward is _BatchNorm.forward
    ]
    for layer in layers:
        layer.forward = partial(_forward, layer, group)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _forward(
    layer: _BatchNorm, group: ProcessGroup, input: torch.Tensor
) -> torch.Tensor:
    if not layer.training and layer.running_mean is not None:
        return _BatchNorm.forward(layer, input)
    x = input if input.dtype == torch.float64 else input.float()
    dims = [0, *range(2, x.dim())]
    mean = group.mean_with_gradient(x.mean(dims, keepdim=True))
    centred = x - mean
    # In two passes: the mean of squares minus the squared mean is inexact.
    variance = group.mean_with_gradient(centred.square().mean(dims, keepdim=True))
    if layer.training and layer.running_mean is not None:
        n = group.world_size * x.numel() // x.shape[1]
        _update_running_statistics(layer, mean.detach(), variance.detach(), n)
    output = centred * torch.rsqrt(variance + layer.eps)
    if layer.affine:
        output = output * layer.weight.view_as(mean) + layer.bias.view_as(mean)
    return output.to(input.dtype)


def _update_running_statistics(
    layer: Any, mean: torch.Tensor, variance: torch.Tensor, n: int
) -> None:
    layer.num_batches_tracked += 1
    momentum = layer.momentum
    if momentum is None:
        momentum = 1.0 / float(layer.num_batches_tracked)
    unbiased = variance * (n / (n - 1))
    for running, new in ((layer.running_mean, mean), (layer.running_var, unbiased)):
        running.lerp_(new.flatten().to(running.dtype), momentum)

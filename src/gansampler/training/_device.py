"""The device and the number format of one process, by way of lightning-fabric."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import nn

from gansampler.training._process_group import ProcessGroup
from gansampler.training._task import TrainingTask

__all__ = [
    "convert",
    "deterministic_kernels",
    "is_available",
    "make_fabric",
    "on_gpu",
    "set_up",
    "to_device",
]


def make_fabric(
    accelerator: str, device: int | list[int], precision: str, mixed_precision: bool
) -> Fabric:
    """Return the Fabric of one device; the group of processes is no concern of its."""

    def make(precision: str) -> Fabric:
        return Fabric(
            accelerator=accelerator,
            devices=device,
            precision=precision,  # type: ignore[arg-type]
            plugins=[LightningEnvironment()],
        )

    with _quiet_fabric(), _without_fabric_run():
        if precision == "auto":
            plain = make("32-true")
            if not mixed_precision or not _has_bfloat16(plain.device):
                return plain
            precision = "bf16-mixed"
        return make(precision)


def on_gpu(accelerator: str) -> bool:
    """Whether this accelerator is a CUDA device here."""
    return accelerator in ("cuda", "gpu", "auto") and torch.cuda.is_available()


def is_available(accelerator: str) -> bool:
    """Whether this machine has such a device."""
    has_mps = torch.backends.mps.is_available()
    return {
        "cuda": torch.cuda.is_available(),
        "gpu": torch.cuda.is_available() or has_mps,
        "mps": has_mps,
    }.get(accelerator, True)


def convert(fabric: Fabric, module: nn.Module) -> nn.Module:
    """Put a module on the device, in the number format of its weights."""
    module.to(fabric.device)
    return fabric.strategy.precision.convert_module(module)


def to_device(fabric: Fabric, batch):
    """Put a tensor, or a tuple of them, on the device, in that number format."""
    return fabric.strategy.precision.convert_input(fabric.to_device(batch))


@contextlib.contextmanager
def set_up(fabric: Fabric, task: TrainingTask, group: ProcessGroup) -> Iterator[None]:
    """Put a task on the device, and its networks back on the CPU afterwards."""
    optimizers = dict(task.optimizers)
    for module in task.modules.values():
        convert(fabric, module.train())
    for name, optimizer in optimizers.items():
        wrapped = fabric.setup_optimizers(optimizer)
        task.optimizers[name] = cast(torch.optim.Optimizer, wrapped)
    task._backward, task.device, task.process_group = (
        fabric.backward,
        fabric.device,
        group,
    )
    try:
        yield
    finally:
        for module in task.modules.values():
            module.cpu().eval()
        task.optimizers.update(optimizers)
        task._backward = None


@contextlib.contextmanager
def deterministic_kernels(device: torch.device) -> Iterator[None]:
    """Make cuDNN choose the same kernel twice, and leave its setting as it was."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=True
    ):
        yield


@contextlib.contextmanager
def _quiet_fabric() -> Iterator[None]:
    """Keep Fabric's announcements of its own choices off the user's screen."""
    logger = logging.getLogger("lightning_fabric.utilities.rank_zero")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


@contextlib.contextmanager
def _without_fabric_run() -> Iterator[None]:
    """Hide what ``fabric run`` tells Fabric: there it means all processes together."""
    hidden = {name: os.environ.pop(name) for name in _fabric_variables()}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _fabric_variables() -> list[str]:
    return [name for name in os.environ if name.startswith("LT_")]


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        names = ("avx512_bf16", "amx_bf16", "arm_bf16")
        return any(capabilities.get(name) for name in names)
    return False

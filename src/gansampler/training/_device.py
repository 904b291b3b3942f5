"""The device and the number format of one process, by means of lightning-fabric."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from itertools import chain
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import nn

from gansampler.training._batch_norm import synchronised_batch_norm
from gansampler.training._process_group import ProcessGroup
from gansampler.training._task import TrainingTask

# The two contexts around it change a logger and the environment of the whole process.
_MAKING_FABRIC = threading.Lock()


def make_fabric(
    accelerator: str, device: int | list[int], precision: str, mixed_precision: bool
) -> Fabric:
    """Return a Fabric for one device. It does not manage the group of processes."""

    def make(precision: str) -> Fabric:
        return Fabric(
            accelerator=accelerator,
            devices=device,
            precision=precision,  # type: ignore[arg-type]
            plugins=[LightningEnvironment()],
        )

    with _MAKING_FABRIC, _quiet_fabric(), _without_fabric_run():
        if precision == "auto":
            full = make("32-true")
            if not mixed_precision or not _has_bfloat16(full.device):
                return full
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


@contextlib.contextmanager
def placed(fabric: Fabric, module: nn.Module) -> Iterator[None]:
    """Put a module on the device, in the number format of its weights.

    Afterwards its device, its number format and the modes of its parts (training or
    evaluation) are as before.
    """
    modes = [(part, part.training) for part in module.modules()]
    device, dtype = _device_and_dtype(module)
    module.to(fabric.device)
    fabric.strategy.precision.convert_module(module)
    try:
        yield
    finally:
        module.to(device)
        if _device_and_dtype(module)[1] != dtype:
            module.to(dtype)
        for part, mode in modes:
            part.training = mode


def _device_and_dtype(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    tensors = chain(module.parameters(), module.buffers())
    first = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    return first.device, first.dtype


def to_device(fabric: Fabric, batch):
    """Put a tensor, or a tuple of them, on the device, in the run's number format."""
    return fabric.strategy.precision.convert_input(fabric.to_device(batch))


@contextlib.contextmanager
def set_up(fabric: Fabric, task: TrainingTask, group: ProcessGroup) -> Iterator[None]:
    """Prepare a task for training; afterwards its networks are on the CPU."""
    modules, optimizers = list(task.modules.values()), dict(task.optimizers)
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.callback(module.cpu)
            stack.callback(module.eval)
            stack.enter_context(placed(fabric, module.train()))
        stack.enter_context(synchronised_batch_norm(modules, group))
        for name, optimizer in optimizers.items():
            wrapped = fabric.setup_optimizers(optimizer)
            task.optimizers[name] = cast(torch.optim.Optimizer, wrapped)
        task._backward = fabric.backward
        task.device, task.process_group = fabric.device, group
        try:
            yield
        finally:
            task.optimizers.update(optimizers)
            del task._backward


@contextlib.contextmanager
def deterministic_kernels(device: torch.device) -> Iterator[None]:
    """Make cuDNN choose the same kernel each time; restore its setting afterwards."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=True
    ):
        yield


@contextlib.contextmanager
def _quiet_fabric() -> Iterator[None]:
    """Hide the messages in which Fabric reports its choices."""
    logger = logging.getLogger("lightning_fabric.utilities.rank_zero")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


@contextlib.contextmanager
def _without_fabric_run() -> Iterator[None]:
    """Hide the settings of ``fabric run``: they describe all processes together."""
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

"""The complete state of a run as tensors and JSON, and back.

Nested dicts, lists and tuples of tensors, arrays, numbers, text and None become one
JSON text and a flat dict of tensors. Nothing is pickled.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import torch

from gansampler.training._task import TrainingTask

Tensors = dict[str, torch.Tensor]


class Snapshot(NamedTuple):
    """A copy of a state, on the CPU, in the form of a checkpoint file."""

    packed: Any
    tensors: Tensors

    @classmethod
    def of(cls, state: dict[str, Any]) -> Snapshot:
        """Copy a state."""
        tensors: Tensors = {}
        return cls(_pack(state, tensors, ""), tensors)

    def unpack(self) -> dict[str, Any]:
        """Return the state. Its tensors share memory with the copy."""
        return _unpack(self.packed, self.tensors)


def _pack(value: Any, tensors: Tensors, path: str) -> Any:
    """Return a value as JSON can express it; add its tensors to `tensors`."""
    if isinstance(value, torch.Tensor | np.ndarray):
        tensor = torch.as_tensor(value).detach()
        # A copy, because training changes the original.
        tensors[path] = tensor.to("cpu", copy=True).contiguous()
        return {"tensor" if isinstance(value, torch.Tensor) else "array": path}
    if isinstance(value, dict):
        pairs = [
            [key, _pack(item, tensors, f"{path}.{key}")] for key, item in value.items()
        ]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        items = [_pack(item, tensors, f"{path}.{i}") for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(
        "The state of a run may have tensors, arrays, numbers, text and None. Got "
        f"{type(value).__name__} at {path!r}. Return its parts from `state_dict`."
    )


def _unpack(value: Any, tensors: Tensors) -> Any:
    """Undo :func:`_pack`."""
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "tuple":
        return tuple(_unpack(item, tensors) for item in content)
    return {key: _unpack(item, tensors) for key, item in content}


def capture(task: TrainingTask) -> dict[str, Any]:
    """Return everything in a task that training changes, and the random states."""
    return {
        "modules": {name: m.state_dict() for name, m in task.modules.items()},
        "optimizers": {name: o.state_dict() for name, o in task.optimizers.items()},
        "schedulers": [scheduler.state_dict() for scheduler in task.schedulers],
        "task": task.state_dict(),
        "draw": task.draw,
        "random": capture_random(task.device.type == "cuda"),
    }


def restore(task: TrainingTask, state: dict[str, Any]) -> None:
    """Restore what :func:`capture` returned."""
    for name, module in task.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimizer in task.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    for scheduler, saved in zip(task.schedulers, state["schedulers"], strict=True):
        scheduler.load_state_dict(saved)
    task.load_state_dict(state["task"])
    task.draw = state["draw"]
    restore_random(state["random"])


def capture_random(uses_cuda: bool) -> dict[str, Any]:
    """Return the states of the global generators of Python, NumPy and torch."""
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if uses_cuda else [],
    }


def restore_random(state: dict[str, Any]) -> None:
    """Restore what :func:`capture_random` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    # Another machine may have another number of GPUs.
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def is_finite(task: TrainingTask) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(
        bool(torch.isfinite(tensor).all())
        for module in task.modules.values()
        for tensor in module.parameters()
    )

"""The processes that train together, and what they tell each other.

All of them hold the same state; they differ in the share of each batch that they
compute. So one can write for all, and a run can go on with another number of them.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.distributed as dist

from gansampler.exceptions import ProcessFailedError

__all__ = ["ProcessGroup", "join_group", "launched_from_outside"]

ERROR_KEY = "gansampler/error"
# Another process may write a checkpoint or decode its first images meanwhile.
PATIENCE = dt.timedelta(minutes=30)
SECONDS_FOR_THE_MESSAGE = 2
LOST = (RuntimeError, dist.DistBackendError, dist.DistNetworkError)


def launched_from_outside() -> bool:
    """Whether torchrun, ``fabric run`` or a parent of ours started this process."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


class ProcessGroup:
    """The processes that share a run; here, this one alone.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    world_size : int
        Processes.

    Examples
    --------
    >>> from gansampler.training import ProcessGroup
    >>> ProcessGroup().share([4, 1, 3])
    [4, 1, 3]
    """

    rank: int = 0
    world_size: int = 1

    def share(self, rows):
        """Return this process's share of the rows of a batch: a run of them, in order.

        A batch that can not be divided evenly is computed whole by each process, which
        gives every one the gradient of the whole.
        """
        if len(rows) % self.world_size:
            return rows
        n = len(rows) // self.world_size
        return rows[self.rank * n : (self.rank + 1) * n]

    def is_shared(self, n_rows: int) -> bool:
        """Whether a batch of so many rows is divided."""
        return self.world_size > 1 and n_rows % self.world_size == 0

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes."""

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Join the processes' tensors, of one shape, in the order of their ranks."""
        return tensor

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the mean of a tensor over the processes."""
        return tensor

    def add_arrays(self, array: np.ndarray) -> None:
        """Replace an array by its sum over the processes, in place."""

    def agree(self, *flags: int) -> tuple[int, ...]:
        """Return the largest number that any process gives, for each flag."""
        return flags

    def average_buffers(self, modules: Iterable[torch.nn.Module]) -> None:
        """Replace running statistics by their mean over the processes."""

    def from_first(self, value):
        """Return what the first process gives."""
        return value


class _Distributed(ProcessGroup):
    """The processes of torch's default process group."""

    def __init__(self) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        chosen = [p for p in parameters if p.requires_grad]
        # A parameter without a part in the loss has none on any process.
        with_gradient = [p for p in chosen if p.grad is not None]
        if not with_gradient:
            return
        gradients = [p.grad for p in with_gradient if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self.mean(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for parameter, part in zip(with_gradient, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        dist.all_reduce(tensor)
        return tensor.div_(self.world_size)

    def add_arrays(self, array: np.ndarray) -> None:
        dist.all_reduce(torch.from_numpy(array))

    def agree(self, *flags: int) -> tuple[int, ...]:
        tensor = torch.tensor(flags)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tuple(tensor.tolist())

    def average_buffers(self, modules: Iterable[torch.nn.Module]) -> None:
        for module in modules:
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    self.mean(buffer)

    def from_first(self, value):
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]


@contextlib.contextmanager
def join_group() -> Iterator[ProcessGroup]:
    """Give the group of this process, and end all of it where one process fails.

    Raises
    ------
    ProcessFailedError
        If another process of the group has failed, with its message.
    """
    if not launched_from_outside():
        yield ProcessGroup()
        return
    if not dist.is_initialized():
        # Arrays and flags go by the CPU, gradients by the device.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        atexit.register(_leave)
    store = dist.distributed_c10d._get_default_store()
    try:
        yield _Distributed()
    except BaseException as error:
        # A lost connection is how the failure of another process looks from here.
        message = _message_of_another(store) if type(error) in LOST else None
        if message is not None:
            raise ProcessFailedError(message) from error
        if type(error) in LOST and "onnection" in str(error):
            raise ProcessFailedError(
                "Each of the processes that train together must go on to the end. "
                "Another one was lost without a word; it may have been killed, for "
                f"memory for example. ({str(error).splitlines()[0]})"
            ) from error
        rank = dist.get_rank() if dist.is_initialized() else "?"
        with contextlib.suppress(RuntimeError):
            store.set(
                ERROR_KEY,
                f"Process {rank} of {os.environ['WORLD_SIZE']} failed, and with it the "
                f"run. {type(error).__name__}: {error}",
            )
        # The others wait for this process: it hangs up on them.
        dist.destroy_process_group()
        raise


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _message_of_another(store: dist.Store) -> str | None:
    with contextlib.suppress(RuntimeError):
        store.wait([ERROR_KEY], dt.timedelta(seconds=SECONDS_FOR_THE_MESSAGE))
        return store.get(ERROR_KEY).decode()
    return None

"""The processes that train together, and the messages between them.

All processes have the same state. They differ in the share of each batch that they
compute. So one process can write for all, and a run can continue with another number
of processes.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

import numpy as np
import torch
import torch.distributed as dist

from gansampler.exceptions import ProcessFailedError

ERROR_KEY = "gansampler/error"
# Another process may write a checkpoint or decode its first images meanwhile.
TIMEOUT = dt.timedelta(minutes=30)
SECONDS_FOR_THE_MESSAGE = 2
CONNECTION_ERRORS = (RuntimeError, dist.DistBackendError, dist.DistNetworkError)

# Whether this thread is inside `join_group`.
_has_joined = ContextVar("_has_joined", default=False)


def launched_from_outside() -> bool:
    """Whether this is one of several processes that train together.

    They were started by torchrun, by ``fabric run`` or by ``Trainer(devices=2)``.

    Returns
    -------
    launched : bool

    Examples
    --------
    >>> from gansampler.training import launched_from_outside
    >>> launched_from_outside()
    False
    """
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


class ProcessGroup:
    """The processes that share a run. This class is the group of one process.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    world_size : int
        Number of processes.

    Examples
    --------
    >>> from gansampler.training import ProcessGroup
    >>> ProcessGroup().share([4, 1, 3])
    [4, 1, 3]
    """

    rank: int = 0
    world_size: int = 1

    def share(self, rows):
        """Return this process's share of the rows of a batch, a slice of them.

        If the number of rows is not a multiple of the number of processes, every
        process computes the whole batch. Then each has the gradient of the whole.
        """
        if len(rows) % self.world_size:
            return rows
        n = len(rows) // self.world_size
        return rows[self.rank * n : (self.rank + 1) * n]

    def is_shared(self, n_rows: int) -> bool:
        """Whether the processes divide a batch of `n_rows` rows among them."""
        return self.world_size > 1 and n_rows % self.world_size == 0

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes."""

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Join the tensors of all processes, which have one shape, ordered by rank."""
        return tensor

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the mean of a tensor over the processes."""
        return tensor

    def mean_with_gradient(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the mean of a tensor over the processes, for use in a loss."""
        return tensor

    def add_arrays(self, array: np.ndarray) -> None:
        """Replace an array by its sum over the processes, in place."""

    def agree(self, *flags: int) -> tuple[int, ...]:
        """Return, for each flag, the largest value in any process."""
        return flags

    def average_buffers(self, modules: Iterable[torch.nn.Module]) -> None:
        """Replace running statistics by their mean over the processes."""

    def from_first(self, value):
        """Return the value that the first process passes."""
        return value


class _Distributed(ProcessGroup):
    """The processes of torch's default process group."""

    def __init__(self) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        # A parameter that the loss does not depend on has no gradient in any process.
        with_gradient = [
            (p, p.grad) for p in parameters if p.requires_grad and p.grad is not None
        ]
        if not with_gradient:
            return
        flat = self.mean(torch.cat([grad.reshape(-1) for _, grad in with_gradient]))
        parts = flat.split([grad.numel() for _, grad in with_gradient])
        for (parameter, _), part in zip(with_gradient, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        dist.all_reduce(tensor)
        return tensor.div_(self.world_size)

    def mean_with_gradient(self, tensor: torch.Tensor) -> torch.Tensor:
        return _Sum.apply(tensor) / self.world_size

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
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


class _Sum(torch.autograd.Function):
    """The sum over the processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.apply(gradient)


@contextlib.contextmanager
def join_group() -> Iterator[ProcessGroup]:
    """Give the group of this process, and end all processes if one of them fails.

    Inside another `join_group`, that is during a run, it gives the group of this
    process alone. So a callback, which only the first process calls, can translate
    images without waiting for the others.

    Yields
    ------
    group : ProcessGroup

    Raises
    ------
    ProcessFailedError
        If another process of the group has failed, with its message.

    Examples
    --------
    >>> from gansampler.training import join_group
    >>> with join_group() as group:
    ...     group.world_size
    1
    """
    if not launched_from_outside() or _has_joined.get():
        yield ProcessGroup()
        return
    if not dist.is_initialized():
        # Arrays and flags are sent from the CPU, gradients from the device.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=TIMEOUT)
        atexit.register(_leave_group)
    store = dist.distributed_c10d._get_default_store()
    token = _has_joined.set(True)
    try:
        yield _Distributed()
    except BaseException as error:
        # The failure of another process shows here as a lost connection.
        is_connection_error = type(error) in CONNECTION_ERRORS
        message = _message_of_another(store) if is_connection_error else None
        if message is not None:
            raise ProcessFailedError(message) from error
        if is_connection_error and "onnection" in str(error):
            raise ProcessFailedError(
                "All processes of a run must work until its end. The connection to "
                "another one was lost; it may have been killed, for example because "
                f"memory was short. Start the program again. "
                f"({str(error).splitlines()[0]})"
            ) from error
        rank = dist.get_rank() if dist.is_initialized() else "?"
        with contextlib.suppress(RuntimeError):
            store.set(
                ERROR_KEY,
                f"Process {rank} of {os.environ['WORLD_SIZE']} failed and ended the "
                f"run. {type(error).__name__}: {error}",
            )
        # The others wait for this process: close the connection.
        dist.destroy_process_group()
        raise
    finally:
        _has_joined.reset(token)


def _leave_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _message_of_another(store: dist.Store) -> str | None:
    with contextlib.suppress(RuntimeError):
        store.wait([ERROR_KEY], dt.timedelta(seconds=SECONDS_FOR_THE_MESSAGE))
        return store.get(ERROR_KEY).decode()
    return None

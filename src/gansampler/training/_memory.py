"""Batch sizes for prediction, and the error if training needs too much memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from gansampler.exceptions import OutOfMemoryError
from gansampler.training._process_group import ProcessGroup
from gansampler.training._task import TrainingTask

# Up to this size the activations of a layer stay in the caches of a CPU. A GPU needs
# at least that size to be busy.
PIXELS_ON_CPU, PIXELS_ON_GPU = 2**16, 2**20
MAX_SAMPLES = 1024


def batch_size_for(device: torch.device, n_pixels: int) -> int:
    """Return how many samples of `n_pixels` pixels each make a batch."""
    pixels = PIXELS_ON_CPU if device.type == "cpu" else PIXELS_ON_GPU
    return int(np.clip(pixels // max(n_pixels, 1), 1, MAX_SAMPLES))


def map_rows(
    compute: Callable[[np.ndarray], np.ndarray],
    n_samples: int,
    batch_size: int,
    group: ProcessGroup,
) -> np.ndarray:
    """Compute the rows of an array batch by batch. Several processes divide the rows.

    Batches that exceed a GPU's memory are halved.
    """
    per_process = -(-n_samples // group.world_size)
    first = min(group.rank * per_process, n_samples)
    last = min(first + per_process, n_samples)
    batch_size = min(batch_size, max(last - first, 1))
    result: np.ndarray | None = None
    start = first
    while start < last or result is None:
        # A process without rows computes one, to learn the shape of the result.
        stop = min(start + batch_size, last) if start < last else start
        rows = np.arange(start, stop) if start < stop else np.arange(1)
        try:
            part = compute(rows)
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            batch_size //= 2
            torch.cuda.empty_cache()
            continue
        if result is None:
            make = np.empty if group.world_size == 1 else np.zeros
            result = make((n_samples, *part.shape[1:]), dtype=part.dtype)
        result[start:stop] = part[: stop - start]
        start = stop
    # A row is zero in all processes except the one that computed it.
    group.add_arrays(result)
    return result


@contextlib.contextmanager
def explain_out_of_memory(task: TrainingTask) -> Iterator[None]:
    """If memory is short, say in the error what is needed and what to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        weights = sum(
            tensor.nbytes
            for module in task.modules.values()
            for tensor in module.state_dict().values()
        )
        # Gradients, and the two moments of Adam.
        fixed = 4 * weights
        memory = "the machine's memory"
        reached = ""
        if task.device.type == "cuda":
            total = torch.cuda.get_device_properties(task.device).total_memory
            memory = f"the GPU's {total / 2**30:.1f} GiB"
            peak = torch.cuda.max_memory_allocated(task.device)
            reached = f" {peak / 2**30:.1f} GiB were in use at most."
        raise OutOfMemoryError(
            f"Training must fit into {memory}. Networks, gradients and optimisers need "
            f"about {fixed / 2**30:.2f} GiB. The activations need the rest; they grow "
            f"with batch size, image size and width.{reached} {task.memory_advice} "
            f"({str(error).splitlines()[0]})"
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    # On a CPU torch raises a RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error) or "not enough memory" in str(error)
    )

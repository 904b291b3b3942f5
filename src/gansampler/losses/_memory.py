"""How the kernels meet the machine: what they may look at, chunk sizes, large pages."""

import ctypes
import mmap
import sys

import torch
from torch import Tensor

__all__ = ["chunk_numel", "may_peek", "with_large_pages"]

# From here on the C library maps fresh memory for every allocation.
_MAPPED_BYTES = 32 * 2**20


def may_peek(tensor: Tensor) -> bool:
    """Tell whether reading a value is free; an accelerator would have to be awaited."""
    return tensor.device.type == "cpu"


def chunk_numel(tensor: Tensor, n_buffers: int) -> int:
    """Elements to work on at a time, with ``n_buffers`` buffers of that size.

    On the CPU as many as stay in the caches and still occupy every thread (torch
    splits an operation among threads from 32,768 elements each), and so few that the
    buffers do not outweigh the tensor; elsewhere enough to make the launch of a kernel
    cheap.
    """
    if tensor.device.type == "cpu":
        share = max(tensor.numel() // n_buffers, 65536)
        return min(max(262144 * torch.get_num_threads(), (1 << 23) // n_buffers), share)
    return 1 << 24


def with_large_pages(tensor: Tensor) -> Tensor:
    """Ask Linux to back a large new tensor with large pages, and return it.

    The first touch of fresh memory, 4 KiB by 4 KiB, can take as long as the loss
    itself. This is advice alone: where it is not taken nothing changes.
    """
    n_bytes = tensor.numel() * tensor.element_size()
    if sys.platform == "linux" and may_peek(tensor) and n_bytes >= _MAPPED_BYTES:
        page = mmap.PAGESIZE
        start = -(-tensor.data_ptr() // page) * page
        length = (tensor.data_ptr() + n_bytes - start) // page * page
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_HUGEPAGE
        )
    return tensor

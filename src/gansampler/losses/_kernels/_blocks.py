"""Division of (N, C, d1, ...) logits into blocks, without a change of memory layout."""

import ctypes
import math
import mmap
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Number of classes below which operations along adjacent classes are slow.
_FEW_CLASSES = 64

# From this size, the C library maps new memory for every allocation.
_MAPPED_BYTES = 32 * 2**20

Block = tuple[slice, slice, slice]


def can_read(tensor: Tensor) -> bool:
    """Tell whether values can be read without waiting for an accelerator."""
    return tensor.device.type == "cpu"


def block_numel(tensor: Tensor, n_buffers: int) -> int:
    """Return how many elements to process at a time, with ``n_buffers`` buffers.

    On the CPU, a block fits into the caches and is large enough to use every thread:
    torch divides an operation among threads from 32,768 elements per thread. The
    buffers together are not larger than the tensor. On other devices, a block is large
    enough that launching the operations takes little of the time.
    """
    if can_read(tensor):
        share = max(tensor.numel() // n_buffers, 65536)
        return min(max(262144 * torch.get_num_threads(), (1 << 23) // n_buffers), share)
    return 1 << 24


def with_large_pages(tensor: Tensor) -> Tensor:
    """Advise Linux to use large pages for a new, large tensor, and return it.

    With pages of 4 KiB, the first write to the memory of the gradient takes half as
    long as the whole loss. The system may ignore the advice.
    """
    n_bytes = tensor.numel() * tensor.element_size()
    if sys.platform == "linux" and can_read(tensor) and n_bytes >= _MAPPED_BYTES:
        offset = -tensor.data_ptr() % mmap.PAGESIZE
        length = (n_bytes - offset) // mmap.PAGESIZE * mmap.PAGESIZE
        start = ctypes.c_void_p(tensor.data_ptr() + offset)
        ctypes.CDLL(None).madvise(start, ctypes.c_size_t(length), mmap.MADV_HUGEPAGE)
    return tensor


class Layout:
    """View of (N, C, d1, ...) tensors as (n, C, m) and of (N, d1, ...) as (n, 1, m).

    Logits whose classes are adjacent in memory, as in channels-last images, become
    (N * d1 * ..., C, 1), all others (N, C, d1 * ...). Nothing is transposed in memory.
    """

    def __init__(self, input: Tensor) -> None:
        self.n, self.n_classes, *rest = input.shape
        self.rest = tuple(rest)
        self.m = math.prod(rest)
        self.classes_last = input.movedim(1, -1).is_contiguous()

    def empty(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a new tensor with the shape and memory layout of the logits."""
        if self.classes_last:
            shape: tuple[int, ...] = (self.n, *self.rest, self.n_classes)
            return torch.empty(shape, dtype=dtype, device=device).movedim(-1, 1)
        shape = (self.n, self.n_classes, *self.rest)
        return torch.empty(shape, dtype=dtype, device=device)

    def cube(self, tensor: Tensor) -> Tensor:
        """Return (N, C, d1, ...) as (n, C, m)."""
        if self.classes_last:
            return tensor.movedim(1, -1).reshape(self.n * self.m, self.n_classes, 1)
        return tensor.reshape(self.n, self.n_classes, self.m)

    def rows(self, tensor: Tensor) -> Tensor:
        """Return (N, d1, ...) as (n, 1, m)."""
        if self.classes_last:
            return tensor.reshape(self.n * self.m, 1, 1)
        return tensor.reshape(self.n, 1, self.m)

    def buffer(self, z: Tensor, gradient: Tensor | None) -> Tensor:
        """Return a tensor of the shape of the block ``z``, quick to sum over classes.

        This is the memory of ``gradient``, if there is one. Where few classes are
        adjacent in memory, it is a new tensor with one class after the other.
        """
        if self.classes_last and self.n_classes < _FEW_CLASSES:
            shape = (self.n_classes, z.shape[0], 1)
            return torch.empty(shape, dtype=z.dtype, device=z.device).movedim(0, 1)
        return torch.empty_like(z) if gradient is None else gradient

    def blocks(self, numel: int) -> Iterator[Block]:
        """Divide (n, C, m) into blocks of about equal size, at most ``numel`` elements.

        Each block has all classes.
        """
        n, m = (self.n * self.m, 1) if self.classes_last else (self.n, self.m)
        width = _even_size(m, numel // self.n_classes)
        height = _even_size(n, numel // (self.n_classes * max(m, 1)))
        for i in range(0, n, height):
            for j in range(0, m, width):
                yield slice(i, i + height), slice(None), slice(j, j + width)


def _even_size(total: int, largest: int) -> int:
    """Return the size of the fewest equal parts that are at most ``largest``."""
    n_parts = -(-total // max(largest, 1))
    return -(-total // max(n_parts, 1)) or 1


def run_blocks(
    input: Tensor,
    layout: Layout,
    compute_block: Callable[[Tensor, Block, Tensor | None], Tensor],
    n_buffers: int,
    need_gradient: bool,
    scale: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Compute loss and gradient block by block.

    Parameters
    ----------
    input : Tensor of shape (N, C, d1, ...)
    layout : Layout
        Layout of ``input``.
    compute_block : callable
        ``compute_block(logits, block, gradient)`` returns the loss of each row of the
        block. It writes the gradient, multiplied by ``scale``, into ``gradient`` unless
        that is None.
    n_buffers : int
        Number of buffers of the size of a block that ``compute_block`` needs.
    need_gradient : bool
        Whether to compute the gradient.
    scale : Tensor of shape () or None
        Factor of the sum of the losses. None returns the loss of each row.

    Returns
    -------
    loss : Tensor of shape () or (N, d1, ...)
    gradient : Tensor of shape (N, C, d1, ...) or None
    """
    dtype = torch.promote_types(input.dtype, torch.float32)
    logits = layout.cube(input)
    gradient = cube = None
    if need_gradient:
        gradient = with_large_pages(layout.empty(dtype, input.device))
        cube = layout.cube(gradient)
    shape = (layout.n, *layout.rest) if scale is None else (0, *layout.rest)
    rows = input.new_empty(shape, dtype=dtype)
    sums = [input.new_zeros((), dtype=dtype)]
    for block in layout.blocks(block_numel(input, n_buffers)):
        z = logits[block].to(dtype)
        loss = compute_block(z, block, None if cube is None else cube[block])
        if scale is None:
            layout.rows(rows)[block] = loss
        else:
            sums.append(loss.sum())
    if scale is None:
        return rows, gradient
    return torch.stack(sums).sum().mul_(scale), gradient

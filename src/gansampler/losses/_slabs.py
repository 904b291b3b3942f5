"""Work on (N, C, d1, ...) logits slab by slab, in the layout in which they lie."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gansampler.losses._memory import chunk_numel, with_large_pages

__all__ = ["Layout", "Part", "run_slabs"]

# Classes; reductions and broadcasts along fewer elements than this are slow.
_FEW = 64

Part = tuple[slice, slice, slice]


class Layout:
    """View of (N, C, d1, ...) tensors as (n, C, m) and of (N, d1, ...) as (n, 1, m).

    Logits whose classes lie side by side, as in channels-last images, become
    (N * d1 * ..., C, 1), all others (N, C, d1 * ...), so that nothing is transposed.
    """

    def __init__(self, input: Tensor) -> None:
        self.n, self.n_classes, *rest = input.shape
        self.rest = tuple(rest)
        self.m = math.prod(rest)
        self.classes_last = input.movedim(1, -1).is_contiguous()

    def empty(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a new tensor of the shape and layout of the logits."""
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

    def workspace(self, z: Tensor, gradient: Tensor | None) -> Tensor:
        """Return a tensor like the slab ``z`` that is quick to reduce over classes.

        That is the gradient's own memory, except where few classes lie side by side:
        there one class after the other goes into a buffer.
        """
        if self.classes_last and self.n_classes < _FEW:
            shape = (self.n_classes, z.shape[0], 1)
            return torch.empty(shape, dtype=z.dtype, device=z.device).movedim(0, 1)
        return torch.empty_like(z) if gradient is None else gradient

    def parts(self, numel: int) -> Iterator[Part]:
        """Cut (n, C, m) into even slabs of ``numel`` elements or fewer.

        All classes are in each slab.
        """
        n, m = (self.n * self.m, 1) if self.classes_last else (self.n, self.m)
        width = _even_share(m, numel // self.n_classes)
        height = _even_share(n, numel // (self.n_classes * max(m, 1)))
        for i in range(0, n, height):
            for j in range(0, m, width):
                yield slice(i, i + height), slice(None), slice(j, j + width)


def _even_share(total: int, most: int) -> int:
    """Return the size of the fewest parts of nearly one size, of at most ``most``."""
    n_parts = -(-total // max(most, 1))
    return -(-total // max(n_parts, 1)) or 1


Slab = Callable[[Tensor, Part, Tensor | None], Tensor]


def run_slabs(
    input: Tensor,
    layout: Layout,
    slab: Slab,
    n_buffers: int,
    need_gradient: bool,
    scale: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Gather loss and gradient from the slabs.

    Parameters
    ----------
    input : Tensor of shape (N, C, d1, ...)
    layout : Layout
        The layout of ``input``.
    slab : callable
        ``slab(logits, part, gradient)`` returns the loss of each row of the part and
        leaves its gradient by the logits, scaled as the result is, in ``gradient``
        unless that is None.
    n_buffers : int
        Buffers of its own size that a slab needs.
    need_gradient : bool
        Whether the gradient is kept.
    scale : Tensor of shape () or None
        What the sum of the losses is multiplied by; None returns each row's loss.

    Returns
    -------
    loss : Tensor of shape () or (N, d1, ...)
    gradient : Tensor of shape (N, C, d1, ...) or None
    """
    dtype = torch.promote_types(input.dtype, torch.float32)
    logits = layout.cube(input)
    gradient = None
    if need_gradient:
        gradient = with_large_pages(layout.empty(dtype, input.device))
        cube = layout.cube(gradient)
    # Of the shape of the target, or of no use.
    shape = (layout.n, *layout.rest) if scale is None else (0, *layout.rest)
    rows = input.new_empty(shape, dtype=dtype)
    sums = [input.new_zeros((), dtype=dtype)]
    for part in layout.parts(chunk_numel(input, n_buffers)):
        z = logits[part].to(dtype)
        loss = slab(z, part, cube[part] if need_gradient else None)
        if scale is None:
            layout.rows(rows)[part] = loss
        else:
            sums.append(loss.sum())
    if scale is None:
        return rows, gradient
    return torch.stack(sums).sum().mul_(scale), gradient

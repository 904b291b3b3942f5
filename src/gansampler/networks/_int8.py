"""Residual blocks in 8-bit integers, for translation on CPUs.

Processors with the VNNI instructions multiply them twice as fast as bfloat16, and four
times as fast as float32.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from gansampler.networks._layers import InstanceNorm2d

__all__ = ["Int8Conv2d", "Int8ResidualBlock", "has_int8"]

# Standard deviations that 8 bits resolve after an instance normalisation. What exceeds
# them is cut off; with more of them, what does not is resolved less finely.
RANGE = 8.0


@cache
def has_int8() -> bool:
    """Whether this CPU is fast at, and this torch capable of, 8-bit convolutions.

    They are no public part of torch, so that they are tried before they are used.
    """
    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni")):
        return False
    conv = nn.Conv2d(16, 2, 3, bias=False)
    nn.init.ones_(conv.weight[0])
    nn.init.constant_(conv.weight[1], -1.0)
    # The greatest products: without the instructions, which oneDNN can be told not to
    # use, sums of two of them are cut off at 16 bits.
    input = torch.full((1, 16, 3, 3), 255, dtype=torch.uint8)
    input = input.contiguous(memory_format=torch.channels_last)
    for zero_point in (0, 128):
        try:
            layer = Int8Conv2d(conv, scale=1.0, zero_point=zero_point)
            output = layer(input, torch.float32).flatten()
        except (AttributeError, RuntimeError, TypeError):
            return False
        largest = 144.0 * (255 - zero_point)
        if not torch.allclose(output, torch.tensor([largest, -largest])):
            return False
    return True


class Int8Conv2d(nn.Module):
    """A fitted convolution without bias or padding, on bytes.

    Parameters
    ----------
    conv : Conv2d
        Its weights are rounded to 8 bits, those of each output channel to a scale of
        their own.
    scale : float
        What a step of the input's bytes stands for.
    zero_point : int
        The byte that stands for zero.
    """

    def __init__(self, conv: nn.Conv2d, *, scale: float, zero_point: int) -> None:
        super().__init__()
        self.scale, self.zero_point = scale, zero_point
        weight = conv.weight.detach().float()
        largest = weight.abs().amax(dim=(1, 2, 3))
        self.weight_scales = (largest / 127).clamp(min=torch.finfo().tiny)
        self.weight_zero_points = torch.zeros(len(weight), dtype=torch.int64)
        self.weight = torch.ops.onednn.qconv_prepack(
            (weight / self.weight_scales[:, None, None, None]).round_().to(torch.int8),
            self.weight_scales,
            scale,
            zero_point,
            [1, 1],
            [0, 0],
            [1, 1],
            1,
        )

    def forward(self, input: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Map uint8 (n, c, h, w) to `dtype` (n, out_channels, h - k + 1, w - k + 1)."""
        return torch.ops.onednn.qconv_pointwise(
            input,
            self.scale,
            self.zero_point,
            self.weight,
            self.weight_scales,
            self.weight_zero_points,
            None,
            [1, 1],
            [0, 0],
            [1, 1],
            1,
            1.0,
            0,
            dtype,
            "none",
            [],
            "",
        )


class Int8ResidualBlock(nn.Module):
    """A fitted residual block whose two convolutions take bytes.

    It needs no calibration. What the second convolution takes was normalised, so that
    its range is known. What the first one takes is scaled to the range of 8 bits, each
    image by itself, and scaled back.

    Parameters
    ----------
    first, second : Conv2d
        Fitted convolutions without bias or padding, their kernels of one odd size.
    """

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.n_pad = first.kernel_size[0] // 2
        self.first = Int8Conv2d(first, scale=1.0, zero_point=128)
        self.second = Int8Conv2d(second, scale=RANGE / 255, zero_point=0)
        self.norm = InstanceNorm2d(second.out_channels)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (n, c, h, w) to the same shape and dtype."""
        largest = input.abs().amax(dim=(1, 2, 3), keepdim=True)
        # Not 127: half precision may round the quotient up.
        step = (largest / 126).clamp_(min=torch.finfo(input.dtype).tiny)
        hidden = self._pad(_to_bytes(input * (1 / step)))
        hidden = self.norm(self.first(hidden, input.dtype).mul_(step))
        # Zero becomes the least value, so that this is the rectifier, too.
        hidden = hidden.mul_(255 / RANGE).sub_(128).clamp_(-128, 127)
        hidden = self._pad(_to_bytes(hidden))
        return input + self.norm(self.second(hidden, input.dtype))

    def _pad(self, input: torch.Tensor) -> torch.Tensor:
        return F.pad(input, (self.n_pad,) * 4, mode="reflect")


def _to_bytes(values: torch.Tensor) -> torch.Tensor:
    """Round values from -128 to 127, in place, and return them plus 128 as uint8."""
    # To signed integers and then to unsigned ones is the fastest way.
    return values.round_().to(torch.int8).view(torch.uint8).bitwise_xor_(128)

"""Layers that compute the same as torch's own layers, in less time."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

# From this number of values per image on, one call per image is faster than a copy.
MIN_SIZE_TO_SPLIT = 2**18


def to_fast_layout(input: torch.Tensor) -> torch.Tensor:
    """Return images (n, c, h, w) in the memory layout in which convolutions are fast.

    On CPUs it is channels last. All layers of a network then keep it.
    """
    if input.device.type == "cpu":
        return input.contiguous(memory_format=torch.channels_last)
    return input


class InstanceNorm2d(nn.InstanceNorm2d):
    """Instance normalisation that keeps the channels-last layout on CPUs.

    torch's layer returns the default layout, and the next convolution has to convert
    it. The batch normalisation of a single image gives the same result and keeps the
    layout.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise each channel of each image of (n, c, h, w)."""
        n, c, h, w = input.shape
        if input.device.type != "cpu" or h * w == 1:
            return super().forward(input)
        if n == 1:
            return self._normalize(to_fast_layout(input))
        if c * h * w >= MIN_SIZE_TO_SPLIT:
            images = to_fast_layout(input).split(1)
            return torch.cat([self._normalize(image) for image in images])
        # One call for all images: their channels become those of a single image.
        image = input.permute(2, 3, 0, 1).reshape(1, h, w, n * c).permute(0, 3, 1, 2)
        image = self._normalize(image).permute(0, 2, 3, 1).reshape(h, w, n, c)
        return to_fast_layout(image.permute(2, 3, 0, 1))

    def _normalize(self, image: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(image, None, None, training=True, eps=self.eps)


class ReflectionPad2d(nn.ReflectionPad2d):
    """Reflection padding that keeps half precision.

    On CPUs autocast pads in float32 and converts before and after. Padding copies
    values and computes nothing, so that half precision gives the same result.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (n, c, h, w) to (n, c, h + top + bottom, w + left + right)."""
        with _without_autocast(input):
            return super().forward(input)


def _without_autocast(tensor: torch.Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, enabled=False)


class UpsampledConv2d(nn.Conv2d):
    r"""Nearest-neighbour upsampling by 2, padding and convolution in one operation.

    Neighbouring pixels of the upsampled image are equal. Weights that meet the same
    pixel can therefore be added before the multiplication: with a kernel
    :math:`w_0, w_1, w_2` in one dimension,

    .. math:: y_{2i} = w_0 x_{i-1} + (w_1 + w_2) x_i, \qquad
        y_{2i+1} = (w_0 + w_1) x_i + w_2 x_{i+1},

    which is a transposed convolution of stride 2. A kernel of 3 x 3 then needs 2.25
    times fewer multiplications. The weights are those of the ordinary convolution.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : {3, 4}
        With 3 the upsampled image is padded by reflection. With 4 it is padded by
        one row and column of zeros before it and by two after it.
    bias : bool, default=True
    """

    _fold: torch.Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias)
        # It reverses a row of the kernel and adds each weight to its neighbour.
        k = kernel_size
        fold = torch.zeros(k + 1, k)
        for i in range(k):
            fold[i : i + 2, k - 1 - i] = 1
        self.register_buffer("_fold", torch.kron(fold, fold), persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, 2 h, 2 w)."""
        with _without_autocast(input):
            k = self.kernel_size[0] + 1
            kernel = self.weight.transpose(0, 1).flatten(2) @ self._fold.T
            kernel = kernel.unflatten(2, (k, k))
            if self.kernel_size == (3, 3):
                # A reflection of the upsampled image repeats the pixels at its edge.
                input = F.pad(input, (1, 1, 1, 1), mode="replicate")
        if self.kernel_size == (3, 3):
            return F.conv_transpose2d(input, kernel, self.bias, stride=2, padding=3)
        return F.conv_transpose2d(
            input, kernel, self.bias, stride=2, padding=2, output_padding=1
        )


class RowwiseConv2d(nn.Conv2d):
    """A convolution to few channels, computed as one convolution per kernel row.

    CPU kernels compute at least 8 or 16 output channels at once. The three channels
    of an image leave most of them unused. Here each row of the kernel has output
    channels of its own, and the results of the rows are added in float32.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h - k + 1, w - k + 1)."""
        n_rows = self.kernel_size[0]
        kernel = self.weight.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)
        rows = F.conv2d(input, kernel).unflatten(1, (n_rows, self.out_channels))
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        height = input.shape[-2] - n_rows + 1
        output = rows[:, 0, :, :height]
        for row in range(1, n_rows):
            output = output + rows[:, row, :, row : row + height]
        if self.bias is not None:
            output = output + self.bias[:, None, None]
        return output

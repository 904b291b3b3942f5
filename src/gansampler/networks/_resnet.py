"""The residual generator of Johnson et al. (2016), as CycleGAN uses it."""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch
from torch import nn

from gansampler.networks._init import init_weights
from gansampler.networks._int8 import Int8ResidualBlock, has_int8
from gansampler.networks._layers import (
    InstanceNorm2d,
    ReflectionPad2d,
    RowwiseConv2d,
    UpsampledConv2d,
    to_fast_layout,
)

__all__ = ["ResNetGenerator"]

BRIGHTEST = 0.99


class ResNetGenerator(nn.Module):
    """Two strided convolutions down, residual blocks, two upsamplings.

    Reflection padding and instance normalisation throughout; tanh at the end. Each
    upsampling repeats pixels and convolves: transposed convolutions, which the first
    implementations had there, leave checkerboards [2]_. Convolutions before a
    normalisation have no bias, which it would take away again.

    Parameters
    ----------
    n_channels : int
        Channels of the images, in and out.
    ngf : int, default=64
        Filters of the first layer; the blocks have 4 times as many.
    n_blocks : int, default=9
        Residual blocks.
    global_skip : bool, default=False
        Whether the network draws a change to its input, not a new image: the output
        is ``tanh(atanh(input) + layers(input))``. It starts from the source image,
        and so needs far fewer steps, and it keeps closer to it.

    Attributes
    ----------
    size_multiple : int
        Height and width must be multiples of it: 4.

    References
    ----------
    .. [1] J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual losses for real-time style
       transfer and super-resolution", ECCV 2016.
    .. [2] A. Odena, V. Dumoulin, C. Olah, "Deconvolution and checkerboard
       artifacts", Distill, 2016.

    Examples
    --------
    >>> import torch
    >>> from gansampler.networks import ResNetGenerator
    >>> generator = ResNetGenerator(3, ngf=4, n_blocks=1)
    >>> generator(torch.zeros(2, 3, 16, 24)).shape
    torch.Size([2, 3, 16, 24])
    """

    size_multiple = 4

    def __init__(
        self,
        n_channels: int,
        *,
        ngf: int = 64,
        n_blocks: int = 9,
        global_skip: bool = False,
    ) -> None:
        super().__init__()
        self.global_skip = global_skip
        layers: list[nn.Module] = [
            ReflectionPad2d(3),
            nn.Conv2d(n_channels, ngf, 7, bias=False),
            *_norm_relu(ngf),
        ]
        for width in (ngf, 2 * ngf):
            layers += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
                *_norm_relu(2 * width),
            ]
        layers += [_ResidualBlock(4 * ngf) for _ in range(n_blocks)]
        for width in (4 * ngf, 2 * ngf):
            layers += [
                UpsampledConv2d(width, width // 2, 3, bias=False),
                *_norm_relu(width // 2),
            ]
        layers += [ReflectionPad2d(3), RowwiseConv2d(ngf, n_channels, 7)]
        self.layers = nn.Sequential(*layers)
        init_weights(self)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map NCHW images in [-1, 1] to such images of the same shape."""
        input = to_fast_layout(input)
        change = self.layers(input)
        if self.global_skip:
            # Black and white are a finite change away.
            change = change + torch.atanh(input.clamp(-BRIGHTEST, BRIGHTEST))
        return torch.tanh(change)

    def to_int8(self) -> ResNetGenerator:
        """Return a copy for CPUs whose residual blocks compute in 8-bit integers.

        It can not be trained. The other layers are shared with this generator. Where
        the processor or torch does not have such convolutions, this generator itself
        is returned.
        """
        if not has_int8():
            return self
        generator = copy.copy(self)
        layers = [
            layer.to_int8() if isinstance(layer, _ResidualBlock) else layer
            for layer in self.layers
        ]
        generator._modules = {"layers": nn.Sequential(*layers)}
        return generator


class _ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            *_norm_relu(width),
            ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            InstanceNorm2d(width),
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input + self.layers(input)

    def to_int8(self) -> Int8ResidualBlock:
        convs = [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
        weights = [conv.weight.detach().float() for conv in convs]
        made_of, block = _int8_blocks.get(self, ([], None))
        if block is None or not all(map(torch.equal, made_of, weights)):
            block = Int8ResidualBlock(*convs)
            _int8_blocks[self] = [weight.clone() for weight in weights], block
        return block


# What each block's weights were, and what was made of them. To make it takes longer
# than to translate a small image. It is no part of the blocks, and so neither of their
# copies nor of their files.
_int8_blocks: WeakKeyDictionary[
    _ResidualBlock, tuple[list[torch.Tensor], Int8ResidualBlock]
] = WeakKeyDictionary()


def _norm_relu(width: int) -> tuple[nn.Module, nn.Module]:
    return InstanceNorm2d(width), nn.ReLU(inplace=True)

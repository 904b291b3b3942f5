"""The residual generator of Johnson et al. (2016), as CycleGAN uses it."""

from __future__ import annotations

import torch
from torch import nn

from gansampler.networks._init import init_weights
from gansampler.networks._layers import (
    InstanceNorm2d,
    ReflectionPad2d,
    RowwiseConv2d,
    UpsampledConv2d,
    to_fast_layout,
)

# atanh is infinite at 1. This value keeps black and white at a finite distance.
MAX_SKIPPED = 0.99


class ResNetGenerator(nn.Module):
    """Two strided convolutions, residual blocks, and two upsampling layers.

    All layers use reflection padding and instance normalisation; the output is that
    of a tanh. An upsampling layer repeats pixels and then convolves. Transposed
    convolutions, which the first implementations used, leave checkerboard patterns
    [2]_. Convolutions before a normalisation have no bias, because the normalisation
    would remove it.

    Parameters
    ----------
    n_channels : int
        Channels of the images, in and out.
    ngf : int, default=64
        Filters of the first layer; the blocks have 4 times as many.
    n_blocks : int, default=9
        Number of residual blocks.
    global_skip : bool, default=False
        Whether the layers compute a change to the input instead of a new image: the
        output is ``tanh(atanh(input) + layers(input))``. Training starts from the
        source image. It needs far fewer steps, and the output stays closer to the
        input.

    Attributes
    ----------
    size_multiple : int
        Height and width must be multiples of it: 4.
    feature_widths : tuple of int
        Channels of the features that :meth:`features` returns.

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
        strided = []
        for width in (ngf, 2 * ngf):
            strided.append(len(layers))
            layers += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
                *_norm_relu(2 * width),
            ]
        first_block = len(layers)
        middle_block = first_block + (n_blocks - 1) // 2
        layers += [_ResidualBlock(4 * ngf) for _ in range(n_blocks)]
        for width in (4 * ngf, 2 * ngf):
            layers += [
                UpsampledConv2d(width, width // 2, 3, bias=False),
                *_norm_relu(width // 2),
            ]
        layers += [ReflectionPad2d(3), RowwiseConv2d(ngf, n_channels, 7)]
        self.layers = nn.Sequential(*layers)
        blocks = sorted({first_block, middle_block})
        self._feature_layers = (*strided, *blocks)
        self.feature_widths = (n_channels, 2 * ngf, *[4 * ngf] * (1 + len(blocks)))
        init_weights(self)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map NCHW images in [-1, 1] to such images of the same shape."""
        input = to_fast_layout(input)
        return self._to_image(self.layers(input), input)

    def features(self, input: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of the first half of the layers that CUT compares.

        They are the image itself, the outputs of the two strided convolutions, of the
        first residual block, and of the middle one, which is the fifth of nine. With
        one or two blocks the first is the middle one.

        Parameters
        ----------
        input : Tensor of shape (n, n_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        features : list of Tensor of shape (n, n_channels_of_layer, height', width')
        """
        last = self._feature_layers[-1]
        return [input, *self._run(self.layers[: last + 1], input)[1]]

    def forward_with_features(
        self, input: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the output, and what :meth:`features` returns, from one pass.

        Parameters
        ----------
        input : Tensor of shape (n, n_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        output : Tensor of the shape of `input`
        features : list of Tensor
        """
        fast = to_fast_layout(input)
        hidden, features = self._run(self.layers, fast)
        return self._to_image(hidden, fast), [input, *features]

    def _run(
        self, layers: nn.Sequential, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the output of layers, and that of each one whose output is compared.

        No layer after one of these changes its input in place.
        """
        features = []
        for position, layer in enumerate(layers):
            hidden = layer(hidden)
            if position in self._feature_layers:
                features.append(hidden)
        return hidden, features

    def _to_image(self, change: torch.Tensor, input: torch.Tensor) -> torch.Tensor:
        if self.global_skip:
            change = change + torch.atanh(input.clamp(-MAX_SKIPPED, MAX_SKIPPED))
        return torch.tanh(change)


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


def _norm_relu(width: int) -> tuple[nn.Module, nn.Module]:
    return InstanceNorm2d(width), nn.ReLU(inplace=True)

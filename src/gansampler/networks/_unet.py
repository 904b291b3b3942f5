"""The U-Net generator of the published code of Zunair and Ben Hamza (2020)."""

import torch
from torch import nn

from gansampler.networks._init import init_weights
from gansampler.networks._layers import (
    InstanceNorm2d,
    UpsampledConv2d,
    to_fast_layout,
)


class UNetGenerator(nn.Module):
    """An encoder and a decoder with skip connections between them.

    Each level of the encoder is a strided 4 x 4 convolution, a leaky ReLU (0.2) and an
    instance normalisation. Each level of the decoder is a nearest-neighbour upsampling,
    a convolution, a ReLU, an instance normalisation, and the concatenation with the
    encoder's features of the same size. The output is that of a tanh.

    Parameters
    ----------
    n_channels : int
        Channels of the images, in and out.
    ngf : int, default=32
        Filters of the first layer.
    depth : int, default=4
        Number of levels. The smaller side of the images must be at least
        ``2 ** (depth + 1)``.

    Attributes
    ----------
    size_multiple : int
        Height and width must be multiples of it: ``2 ** depth``.

    References
    ----------
    .. [1] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> import torch
    >>> from gansampler.networks import UNetGenerator
    >>> generator = UNetGenerator(1, ngf=4, depth=2)
    >>> generator(torch.zeros(2, 1, 16, 24)).shape
    torch.Size([2, 1, 16, 24])
    """

    def __init__(self, n_channels: int, *, ngf: int = 32, depth: int = 4) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        widths = [ngf * 2**i for i in range(depth)]
        self.downs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(n_in, n_out, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
                InstanceNorm2d(n_out),
            )
            for n_in, n_out in zip([n_channels, *widths], widths, strict=False)
        )
        self.ups = nn.ModuleList()
        n_in = widths[-1]
        for n_out in reversed(widths[:-1]):
            self.ups.append(
                nn.Sequential(
                    UpsampledConv2d(n_in, n_out, 4),
                    nn.ReLU(inplace=True),
                    InstanceNorm2d(n_out),
                )
            )
            n_in = 2 * n_out
        self.head = nn.Sequential(
            UpsampledConv2d(n_in, n_channels, 4),
            nn.Tanh(),
        )
        init_weights(self)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map NCHW images in [-1, 1] to such images of the same shape."""
        features = to_fast_layout(input)
        skips = []
        for down in self.downs:
            features = down(features)
            skips.append(features)
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            features = torch.cat([up(features), skip], dim=1)
        return self.head(features)

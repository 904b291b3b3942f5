"""The patch discriminator of Isola et al. (2017)."""

import torch
from torch import nn

from gansampler.networks._init import init_weights
from gansampler.networks._layers import InstanceNorm2d, to_fast_layout


class PatchDiscriminator(nn.Module):
    """4 x 4 convolutions that return one score for each of many overlapping patches.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    ndf : int, default=64
        Filters of the first layer. Each further layer doubles them, up to 8 times.
    n_layers : int, default=3
        Number of strided layers. 3 layers score patches of 70 x 70 px. The smaller
        side of the images must be at least ``3 * 2 ** n_layers``, such as 24 px for 3
        layers.

    References
    ----------
    .. [1] P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros, "Image-to-image translation
       with conditional adversarial networks", CVPR 2017.

    Examples
    --------
    >>> import torch
    >>> from gansampler.networks import PatchDiscriminator
    >>> PatchDiscriminator(3, ndf=4)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 1, 6, 6])
    """

    def __init__(self, n_channels: int, *, ndf: int = 64, n_layers: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(n_channels, ndf, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width = ndf
        for layer in range(1, n_layers + 1):
            wider = ndf * min(2**layer, 8)
            stride = 2 if layer < n_layers else 1
            layers += [
                # The normalisation would remove a bias.
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=False),
                InstanceNorm2d(wider),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        init_weights(self)

    @staticmethod
    def layers_that_fit(side: int, n_layers: int) -> int:
        """Return `n_layers`, or the most that images with this smaller side allow."""
        while n_layers > 1 and side < 3 * 2**n_layers:
            n_layers -= 1
        return n_layers

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map images of shape (n, n_channels, h, w) to scores (n, 1, h', w')."""
        return self.layers(to_fast_layout(input))

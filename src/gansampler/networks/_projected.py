"""The projected discriminator of Sauer et al. (2021)."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from gansampler.networks._layers import to_fast_layout

N_SCALES = 4
# Each head has strided layers until its feature maps have at most this many pixels.
MAX_SIDE = 8


class FrozenFeatures(nn.Module):
    """A feature network that stays as it is while other networks are trained.

    Its weights get no gradients, and its layers stay in evaluation mode.

    Parameters
    ----------
    network : Module
        Network with a method ``stages(images)``, such as a
        :class:`~gansampler.backbones.Backbone`.

    Examples
    --------
    >>> from gansampler.backbones import build_backbone
    >>> from gansampler.networks import FrozenFeatures
    >>> features = FrozenFeatures(build_backbone("squeezenet1_1", weights=None))
    >>> any(part.training for part in features.train().network.modules())
    False
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Leave the network in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Leave the weights without gradients."""
        return self

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps at each resolution, from fine to coarse.

        Parameters
        ----------
        images : Tensor of shape (n, n_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        maps : list of Tensor of shape (n, n_features, h, w)
            In the dtype of the weights; autocast does not apply.
        """
        weight = next(self.network.parameters())
        # Depthwise convolutions are slower in half precision on CPUs.
        with torch.autocast(images.device.type, enabled=False):
            return self.network.stages(to_fast_layout(images.to(weight.dtype)))


class ProjectedDiscriminator(nn.Module):
    """Score images by the features of a pretrained network, at several resolutions.

    The features are frozen. They are mixed by random convolutions that are frozen too:
    across channels, and from coarse to fine resolutions. Only the heads are trained,
    one per resolution, with spectral normalisation [2]_. Such a discriminator needs far
    fewer images and steps than one that starts from pixels.

    Parameters
    ----------
    backbone : Module
        Pretrained network with a method ``stages(images)``, which returns feature maps
        from fine to coarse, such as a :class:`~gansampler.backbones.Backbone`. The
        last four are used. It becomes frozen.
    n_channels : int, default=3
        Channels of the images.
    width : int, default=64
        Channels of the mixed features and of the heads.

    References
    ----------
    .. [1] A. Sauer, K. Chitta, J. Müller, A. Geiger, "Projected GANs converge faster",
       NeurIPS 2021.
    .. [2] T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral normalization for
       generative adversarial networks", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from gansampler.backbones import build_backbone
    >>> from gansampler.networks import ProjectedDiscriminator
    >>> backbone = build_backbone("squeezenet1_1", weights=None, min_side=64)
    >>> discriminator = ProjectedDiscriminator(backbone)
    >>> discriminator(torch.zeros(2, 3, 32, 32)).shape[:2]
    torch.Size([2, 4])
    """

    def __init__(
        self, backbone: nn.Module, n_channels: int = 3, *, width: int = 64
    ) -> None:
        super().__init__()
        self.features = FrozenFeatures(backbone)
        with torch.no_grad():
            side = max(64, getattr(backbone, "min_side", 1))
            maps = self._stages(torch.zeros(1, n_channels, side, side))
        if not maps:
            raise ValueError(
                "The backbone of a projected discriminator must have feature maps. "
                f"Got {type(backbone).__name__}, which returns feature vectors only. "
                "Choose a convolutional network."
            )
        self.across_channels = nn.ModuleList(
            nn.Conv2d(stage.shape[1], width, 1) for stage in maps
        )
        self.across_scales = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in maps
        )
        for layer in (*self.across_channels, *self.across_scales):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
            layer.requires_grad_(False)
        self.heads = nn.ModuleList(
            _build_head(width, min(stage.shape[2:])) for stage in maps
        )

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the heads get gradients. The other layers stay frozen."""
        self.heads.requires_grad_(requires_grad)
        return self

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map images to scores, with one channel per resolution.

        Parameters
        ----------
        input : Tensor of shape (n, n_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        scores : Tensor of shape (n, n_scales, h, w)
            In the dtype of the weights. Coarser scores are repeated to the size of the
            finest ones.
        """
        with torch.autocast(input.device.type, enabled=False):
            features = self._mix(self._stages(input))
            scores = [
                head(maps) for head, maps in zip(self.heads, features, strict=True)
            ]
            size = scores[0].shape[2:]
            return torch.cat([F.interpolate(s, size) for s in scores], dim=1)

    def _stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.features.stages(images)[-N_SCALES:]

    def _mix(self, stages: list[torch.Tensor]) -> list[torch.Tensor]:
        """Mix the channels of each stage, and then the stages from coarse to fine."""
        features: list[torch.Tensor] = []
        coarser: torch.Tensor | None = None
        for maps, across_channels, across_scales in zip(
            reversed(stages),
            reversed(self.across_channels),
            reversed(self.across_scales),
            strict=True,
        ):
            mixed = across_channels(maps)
            if coarser is not None:
                mixed = mixed + F.interpolate(
                    coarser, mixed.shape[2:], mode="bilinear", align_corners=False
                )
            # The sum of the pixels' variances would grow from scale to scale.
            coarser = 0.5 * across_scales(mixed)
            features.append(coarser)
        return features[::-1]


class _SpectralConv2d(nn.Conv2d):
    """A convolution whose weights are divided by their largest singular value.

    Each pass in training mode improves the estimate of its singular vectors by one
    power iteration (Miyato et al. 2018). Modules with torch's parametrization cannot
    be pickled.
    """

    u: torch.Tensor
    v: torch.Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        matrix = self.weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(len(matrix)), dim=0))
        self.register_buffer("v", F.normalize(matrix.T @ self.u, dim=0))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h', w')."""
        matrix = self.weight.flatten(1)
        if self.training:
            with torch.no_grad():
                # New tensors: the gradients of an earlier pass need the old ones.
                self.u = F.normalize(matrix @ self.v, dim=0)
                self.v = F.normalize(matrix.T @ self.u, dim=0)
        largest = torch.dot(self.u, matrix @ self.v)
        return self._conv_forward(input, self.weight / largest, self.bias)


def _build_head(width: int, side: int) -> nn.Sequential:
    """Return strided convolutions down to a few pixels, and one score for each."""
    layers: list[nn.Module] = []
    for _ in range(max(0, math.ceil(math.log2(side / MAX_SIDE)))):
        layers += [
            _SpectralConv2d(width, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
    layers += [
        _SpectralConv2d(width, width, 3, padding=1),
        nn.LeakyReLU(0.2),
        _SpectralConv2d(width, 1, 1),
    ]
    return nn.Sequential(*layers)

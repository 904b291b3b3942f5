"""The perceptrons of the contrastive loss of Park et al. (2020)."""

from collections.abc import Sequence

import torch
from torch import nn

from gansampler.networks._init import init_weights


class PatchProjection(nn.Module):
    """Map the features of an image at chosen pixels to vectors that can be compared.

    Each layer has a perceptron with one hidden layer.

    Parameters
    ----------
    widths : sequence of int
        Channels of each layer, such as ``feature_widths`` of a
        :class:`ResNetGenerator`.
    n_features : int, default=256
        Length of the vectors.

    References
    ----------
    .. [1] T. Park, A. A. Efros, R. Zhang, J.-Y. Zhu, "Contrastive learning for
       unpaired image-to-image translation", ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> from gansampler.networks import PatchProjection
    >>> projection = PatchProjection([3, 8], n_features=16)
    >>> features = [torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 4, 4)]
    >>> pixels = [torch.tensor([0, 9, 63]), torch.tensor([5])]
    >>> [tuple(vectors.shape) for vectors in projection(features, pixels)]
    [(2, 3, 16), (2, 1, 16)]
    """

    def __init__(self, widths: Sequence[int], *, n_features: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, n_features),
                nn.ReLU(inplace=True),
                nn.Linear(n_features, n_features),
            )
            for width in widths
        )
        init_weights(self)

    def forward(
        self, features: Sequence[torch.Tensor], pixels: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Project the features of each layer at the same pixels of every image.

        Parameters
        ----------
        features : sequence of Tensor of shape (n, n_channels, height, width)
            One tensor per layer.
        pixels : sequence of Tensor of int64 of shape (n_pixels,)
            One tensor per layer: pixel numbers, counted row by row.

        Returns
        -------
        vectors : list of Tensor of shape (n, n_pixels, n_features)
        """
        vectors = []
        for head, maps, at in zip(self.heads, features, pixels, strict=True):
            width = maps.shape[3]
            vectors.append(head(maps.permute(0, 2, 3, 1)[:, at // width, at % width]))
        return vectors

"""Fully connected networks for feature rows."""

import torch
from torch import nn


class MLPGenerator(nn.Module):
    """A residual perceptron: the input plus a learned change.

    Parameters
    ----------
    n_features : int
        Values per row, in and out.
    width : int, default=64
        Units of the two hidden layers.

    Examples
    --------
    >>> import torch
    >>> from gansampler.networks import MLPGenerator
    >>> MLPGenerator(5, width=8)(torch.zeros(2, 5)).shape
    torch.Size([2, 5])
    """

    size_multiple = 1

    def __init__(self, n_features: int, *, width: int = 64) -> None:
        super().__init__()
        self.layers = _perceptron(n_features, width, n_features)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map rows of shape (n, n_features) to rows of the same shape."""
        return input + self.layers(input)


class MLPDiscriminator(nn.Module):
    """A perceptron that returns one score per row.

    Parameters
    ----------
    n_features : int
        Values per row.
    width : int, default=64
        Units of the two hidden layers.

    Examples
    --------
    >>> import torch
    >>> from gansampler.networks import MLPDiscriminator
    >>> MLPDiscriminator(5, width=8)(torch.zeros(2, 5)).shape
    torch.Size([2, 1])
    """

    def __init__(self, n_features: int, *, width: int = 64) -> None:
        super().__init__()
        self.layers = _perceptron(n_features, width, 1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map rows of shape (n, n_features) to scores of shape (n, 1)."""
        return self.layers(input)


def _perceptron(n_in: int, width: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, width),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(width, n_out),
    )

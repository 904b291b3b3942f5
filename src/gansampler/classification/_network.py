"""A classifier as a torch module: backbone, average pooling and linear layer."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from gansampler.classification._backbones import (
    Backbone,
    build_backbone,
    check_backbone,
)
from gansampler.classification._weights import get_normalisation, load_weights

__all__ = ["ClassifierNetwork", "add_head", "build_classifier"]


class ClassifierNetwork(nn.Module):
    """Backbone, global average pooling and one linear layer.

    :func:`build_classifier` builds one.

    Parameters
    ----------
    backbone : Module
        Maps normalised images of shape (n, in_channels, height, width) to features of
        shape (n, n_features, h, w).
    n_features : int
        Number of channels of the features.
    n_classes : int
        Number of logits.
    mean, std : sequence of float of length in_channels
        Mean and standard deviation of each channel, for values in [0, 1]. Images are
        normalised with them.
    norm : Module, default=None
        Layer that is applied to the pooled features, of shape (n, n_features). None
        means no layer.

    Attributes
    ----------
    backbone : Module
        Layers that compute the spatial features. A vision transformer returns its
        class token as a map of 1 x 1.
    norm : Module
        Layer normalisation after the pooling in ConvNeXt and MaxViT; an identity in
        other networks.
    head : Linear
        Layer that maps pooled features to logits.

    See Also
    --------
    build_classifier : Build a network from the name of a backbone.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gansampler.classification import ClassifierNetwork
    >>> network = ClassifierNetwork(
    ...     nn.Conv2d(3, 5, 3), 5, 2, mean=[0.5] * 3, std=[0.5] * 3
    ... )
    >>> network(torch.zeros(4, 3, 8, 8)).shape
    torch.Size([4, 2])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone, n_features, n_classes, *, mean, std, norm=None):
        super().__init__()
        self.backbone = backbone
        self.norm = nn.Identity() if norm is None else norm
        self.head = nn.Linear(n_features, n_classes)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features after global average pooling.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        features : Tensor of shape (n, n_features)
        """
        images = ((images + 1) / 2 - self.mean) / self.std
        maps = self.backbone(images)
        with _disable_autocast(maps.device):
            return self.norm(maps.to(self.mean.dtype).mean((2, 3)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        logits : Tensor of shape (n, n_classes)
        """
        features = self.embed(images)
        with _disable_autocast(features.device):
            return self.head(features)


def _disable_autocast(device: torch.device) -> AbstractContextManager:
    """Compute in full precision: rounded logits have ties, which lowers the AUC."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def build_classifier(
    backbone: str,
    n_classes: int,
    *,
    weights: str | os.PathLike[str] | None,
    in_channels: int = 3,
) -> ClassifierNetwork:
    """Build a classifier from a classification model of torchvision.

    Global average pooling and one linear layer replace the head of the model. The
    network accepts images of any size that is large enough for the backbone.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model, such as ``"vgg16"``.
    n_classes : int
        Number of logits.
    weights : str, path-like or None
        Pretrained weights. One of

        - ``"DEFAULT"`` or another name of the backbone's weights in torchvision, such
          as ``"IMAGENET1K_V1"``; they are downloaded once;
        - the path of a state dict (saved by ``torch.save`` or as .safetensors) of the
          torchvision model, of a network that this function built, or of a saved
          :class:`TransferClassifier`;
        - None for random weights.

        The linear layer always has random weights.
    in_channels : int, default=3
        Number of channels of the images. If it is not 3, the pretrained filters of the
        first convolution are summed over red, green and blue and divided by
        `in_channels`. An image with equal channels then gives the same features as a
        grey RGB image. The mean and the standard deviation for the normalisation are
        averaged over the three channels.

    Returns
    -------
    network : ClassifierNetwork
        The network, in training mode and on the CPU. Its input has the shape
        (n, in_channels, height, width) and values **in [-1, 1]**. The network
        normalises the images as its weights require.

    Raises
    ------
    ValueError
        If the backbone or the weights are unknown.
    FileNotFoundError
        If there is no file at the path.
    ModelFileError
        If the file is not a state dict, or does not fit the backbone.
    WeightsDownloadError
        If the weights cannot be downloaded.

    See Also
    --------
    TransferClassifier : A scikit-learn classifier that trains such a network.

    Notes
    -----
    Random weights are drawn from the global generator of torch, as in any module. A
    vision transformer uses its class token in place of an average, and its position
    embeddings are interpolated to the size of the images. MaxViT accepts only images
    whose height and width are multiples of 224.

    Examples
    --------
    >>> import torch
    >>> from gansampler import build_classifier
    >>> network = build_classifier("shufflenet_v2_x0_5", 2, weights=None).eval()
    >>> images = torch.rand(4, 3, 32, 32) * 2 - 1
    >>> network(images).shape
    torch.Size([4, 2])
    >>> network.embed(images).shape
    torch.Size([4, 1024])
    """
    backbone = check_backbone(backbone)
    for name, number in (("n_classes", n_classes), ("in_channels", in_channels)):
        if number < 1:
            raise ValueError(f"`{name}` must be an integer >= 1. Got {number!r}.")
    state = load_weights(backbone, weights)
    mean, std = get_normalisation(backbone, weights)
    parts = build_backbone(
        backbone, in_channels=in_channels, mean=mean, std=std, state=state
    )
    return add_head(parts, n_classes)


def add_head(backbone: Backbone, n_classes: int) -> ClassifierNetwork:
    """Return a classifier on a backbone, with a random linear layer."""
    return ClassifierNetwork(
        backbone.layers,
        backbone.n_features,
        n_classes,
        mean=backbone.mean,
        std=backbone.std,
        norm=backbone.norm,
    )

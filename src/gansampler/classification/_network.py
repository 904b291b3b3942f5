"""A classifier as a plain torch module: backbone, average pooling, linear layer."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from gansampler.classification._backbones import (
    Parts,
    check_backbone,
    dry_run,
    first_convolution,
    split_model,
    widen_first_convolution,
)
from gansampler.classification._weights import State, normalisation, resolve_weights
from gansampler.exceptions import ModelFileError

__all__ = [
    "ClassifierNetwork",
    "build_classifier",
    "build_from_state",
    "check_image_size",
]

# Every backbone takes images of this size.
USUAL_SIDE = 224
SMALLEST_SIDE, LARGEST_TRIED_SIDE = 8, 512


class ClassifierNetwork(nn.Module):
    """Backbone, global average pooling and one linear layer.

    Built by :func:`build_classifier`.

    Parameters
    ----------
    backbone : Module
        Maps normalised images of shape (n, in_channels, height, width) to features of
        shape (n, n_features, h, w).
    n_features : int
        Channels of the features.
    n_classes : int
        Logits.
    mean, std : sequence of float of length in_channels
        Of values in [0, 1]; images are normalised by them.
    norm : Module, default=None
        Applied to the pooled features, of shape (n, n_features). None for none.

    Attributes
    ----------
    backbone : Module
        The spatial features. Those of a vision transformer are its class token, a map
        of 1 x 1.
    norm : Module
        The layer normalisation that ConvNeXt and MaxViT have after pooling; an
        identity elsewhere.
    head : Linear
        From pooled features to logits.

    See Also
    --------
    build_classifier : Builds one from the name of a backbone.

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
            In [-1, 1].

        Returns
        -------
        features : Tensor of shape (n, n_features)
        """
        images = ((images + 1) / 2 - self.mean) / self.std
        maps = self.backbone(images)
        with _full_precision(maps.device):
            return self.norm(maps.to(self.mean.dtype).mean((2, 3)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits.

        Parameters
        ----------
        images : Tensor of shape (n, in_channels, height, width)
            In [-1, 1].

        Returns
        -------
        logits : Tensor of shape (n, n_classes)
        """
        features = self.embed(images)
        with _full_precision(features.device):
            return self.head(features)


def _full_precision(device: torch.device) -> AbstractContextManager:
    """Keep autocast off: logits of 8 bits would tie, which costs AUC."""
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
    """Build a classifier on any of torchvision's classification models.

    The model's own head is replaced by global average pooling and one linear layer,
    so that images of any size from the backbone's smallest one fit.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model, such as ``"vgg16"``.
    n_classes : int
        Logits.
    weights : str, path-like or None
        ``"DEFAULT"`` or another name of the backbone's weights in torchvision, such
        as ``"IMAGENET1K_V1"``, which are downloaded once; the path of a state dict
        (of ``torch.save`` or .safetensors) of the torchvision model, of a network
        built here, or of a saved :class:`TransferClassifier`; or None for random
        weights. The linear layer is always new.
    in_channels : int, default=3
        Channels of the images. Pretrained filters of the first convolution are summed
        over red, green and blue and divided by `in_channels`, so that an image with
        equal channels gives what a grey one gives. The mean and standard deviation
        for the normalisation are averaged over the three, then.

    Returns
    -------
    network : ClassifierNetwork
        In training mode, on the CPU. It takes images of shape
        (n, in_channels, height, width) **in [-1, 1]** and normalises them itself as
        its weights need it.

    Raises
    ------
    ValueError
        If the backbone or the weights are unknown, or if a state dict does not fit.
    FileNotFoundError
        If there is no file at the path.
    WeightsDownloadError
        If the weights can not be downloaded.

    See Also
    --------
    TransferClassifier : The same as a scikit-learn classifier, with its training.

    Notes
    -----
    Random weights are drawn from torch's global generator, as those of any module.
    Of a vision transformer the class token is used in place of an average, and its
    position embeddings are interpolated to the size of the images. MaxViT takes
    images of 224 x 224 px, or of multiples of that, only.

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
    state = resolve_weights(backbone, weights)
    mean, std = normalisation(backbone, weights)
    return build_from_state(backbone, n_classes, in_channels, mean, std, state)


def build_from_state(
    backbone: str,
    n_classes: int,
    in_channels: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    state: State | None,
) -> ClassifierNetwork:
    """Build a network around a state dict; its head is new."""
    options = {}
    if state is not None and backbone.startswith("vit_"):
        options = _grid_of(state)
    parts = split_model(backbone, **options)
    if in_channels != 3:
        widen_first_convolution(parts.backbone, in_channels)
        mean, std = (
            (sum(mean) / len(mean),) * in_channels,
            (sum(std) / len(std),) * in_channels,
        )
    shape = dry_run(parts.backbone, (2, in_channels, USUAL_SIDE, USUAL_SIDE))
    network = ClassifierNetwork(
        parts.backbone, shape[1], n_classes, mean=mean, std=std, norm=parts.norm
    )
    if state is not None:
        _load_pretrained(network, parts, state)
    return network


def check_image_size(network: nn.Module, backbone: str, shape: tuple[int, ...]) -> None:
    """Refuse images that are too small for a network, and say which are not.

    Parameters
    ----------
    network : Module
    backbone : str
        For the message.
    shape : tuple of (height, width, n_channels)

    Raises
    ------
    ValueError
        If the network can not be run on such images.
    """
    height, width, n_channels = shape
    error = _failure(network, (2, n_channels, height, width))
    if error is None:
        return
    side = _smallest_side(network, n_channels)
    raise ValueError(
        f"Images must fit the backbone. The smallest that {backbone} takes are of "
        f"{side} x {side} px. Got {height} x {width} px ({error}). Resize the images, "
        "or choose another `backbone`."
    ) from error


def _smallest_side(network: nn.Module, n_channels: int) -> int:
    def fits(side: int) -> bool:
        return _failure(network, (2, n_channels, side, side)) is None

    # Coarsely first: a run takes up to half a second. Not by halves: MaxViT takes no
    # larger ones either.
    step = SMALLEST_SIDE
    coarse = next(filter(fits, range(step, LARGEST_TRIED_SIDE, step)))
    return next(filter(fits, range(coarse - step + 1, coarse + 1)))


def _failure(network: nn.Module, shape: tuple[int, ...]) -> Exception | None:
    try:
        dry_run(network, shape)
    except (RuntimeError, ValueError, AssertionError) as error:
        return error
    return None


def _grid_of(state: State) -> dict[str, int]:
    """Return the image size that a vision transformer's weights are for."""
    prefix = "backbone." if _is_own(state) else ""
    positions = state.get(f"{prefix}encoder.pos_embedding")
    filters = state.get(f"{prefix}conv_proj.weight")
    if positions is None or filters is None:
        return {}
    return {"image_size": math.isqrt(positions.shape[1] - 1) * filters.shape[-1]}


def _is_own(state: State) -> bool:
    return any(name.startswith("backbone.") for name in state)


def _load_pretrained(network: ClassifierNetwork, parts: Parts, state: State) -> None:
    """Load all but the head, from a state dict of torchvision's names or of ours."""
    names = parts.names
    if _is_own(state):
        names = {name: name for name in names} | {"mean": "mean", "std": "std"}
    found = {own: state[name] for own, name in names.items() if name in state}
    first = f"backbone.{first_convolution(network.backbone)}.weight"
    own_state = network.state_dict()
    in_channels = own_state[first].shape[1]
    if first in found and found[first].shape[1] != in_channels:
        filters = found[first].sum(1, keepdim=True) / in_channels
        found[first] = filters.expand(-1, in_channels, -1, -1)
        for name in ("mean", "std"):
            if name in found:
                found[name] = (
                    found[name].mean(1, keepdim=True).expand(-1, in_channels, -1, -1)
                )
    # Files from before this counter existed do well without it.
    missing = [
        name
        for own, name in names.items()
        if own not in found and not own.endswith("num_batches_tracked")
    ]
    wrong = [
        f"{names[own]} {tuple(tensor.shape)}, not {tuple(own_state[own].shape)}"
        for own, tensor in found.items()
        if tensor.shape != own_state[own].shape
    ]
    if missing or wrong:
        raise ModelFileError(
            "`weights` must be a state dict of the backbone, with torchvision's names "
            f"or those of a network built here. Of {len(names)} tensors {len(missing)} "
            f"are missing (such as {missing[:3]}) and {len(wrong)} are of another "
            f"shape (such as {wrong[:3]}). Pass the `backbone` that it was saved from."
        )
    network.load_state_dict(found, strict=False)

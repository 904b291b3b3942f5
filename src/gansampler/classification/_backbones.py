"""The part of a torchvision classification model that comes before its pooling.

Layer rule: knows torchvision's models; never weights, files or losses.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import chain
from typing import Any, NamedTuple

import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer, get_model, list_models
from torchvision.models.vision_transformer import Encoder

from gansampler._validation import nearest_name

__all__ = [
    "Parts",
    "VisionTransformerBackbone",
    "check_backbone",
    "dry_run",
    "first_convolution",
    "split_model",
    "widen_first_convolution",
]

# torchvision lists the layers of a model in the order in which it runs them, and its
# pooling and head under one of these names.
HEAD_NAMES = frozenset({"avgpool", "classifier", "fc", "head", "heads"})
# Their auxiliary heads serve training on ImageNet only.
BUILD_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


class Parts(NamedTuple):
    """A torchvision model taken apart."""

    backbone: nn.Module
    norm: nn.Module
    # Name in {"backbone", "norm"} -> name in the torchvision model's state dict.
    names: dict[str, str]


def check_backbone(backbone: object) -> str:
    """Return the name of a torchvision classification model, or say what is near."""
    known = list_models(module=torchvision.models)
    if backbone not in known:
        raise ValueError(
            "`backbone` must be the name of a torchvision classification model. "
            f"Got {backbone!r}.{nearest_name(backbone, known)} All names: "
            "torchvision.models.list_models(module=torchvision.models)."
        )
    return str(backbone)


def split_model(backbone: str, **options: Any) -> Parts:
    """Build a torchvision model and take it apart, without its head.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model.
    **options
        For torchvision's builder.

    Returns
    -------
    parts : Parts
    """
    model = get_model(
        backbone, weights=None, **BUILD_OPTIONS.get(backbone, {}), **options
    )
    names = {id(t): name for name, t in model.state_dict(keep_vars=True).items()}
    features: nn.Module
    if backbone.startswith("vit_"):
        features = VisionTransformerBackbone(model)
    else:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for name, child in model.named_children():
            if name in HEAD_NAMES:
                break
            is_list = isinstance(child, nn.ModuleList)
            layers[name] = nn.Sequential(*child) if is_list else child
        if backbone.startswith("densenet"):
            # Its forward has a ReLU that is no layer.
            layers["relu"] = nn.ReLU()
        features = nn.Sequential(layers)
    norm = _norm_after_pooling(model)
    tensors = nn.ModuleDict({"backbone": features, "norm": norm})
    own = tensors.state_dict(keep_vars=True)
    return Parts(features, norm, {name: names[id(t)] for name, t in own.items()})


def _norm_after_pooling(model: nn.Module) -> nn.Module:
    """ConvNeXt and MaxViT normalise pooled features: part of what was pretrained."""
    classifier = getattr(model, "classifier", None)
    layers = classifier.modules() if isinstance(classifier, nn.Module) else ()
    for layer in layers:
        if isinstance(layer, nn.LayerNorm):
            # ConvNeXt's own class takes images only.
            norm = nn.LayerNorm(layer.normalized_shape, eps=layer.eps)
            norm.weight, norm.bias = layer.weight, layer.bias
            return norm
    return nn.Identity()


class VisionTransformerBackbone(nn.Module):
    """A vision transformer up to its class token, for images of any size.

    Position embeddings are interpolated (bicubic) to the grid of patches. Images are
    continued at the right and at the bottom up to a whole number of patches.

    Parameters
    ----------
    model : torchvision.models.VisionTransformer
        Its layers are taken over, not copied.
    """

    conv_proj: nn.Conv2d
    class_token: nn.Parameter
    encoder: Encoder

    def __init__(self, model: VisionTransformer) -> None:
        super().__init__()
        self.conv_proj = model.conv_proj
        self.class_token = model.class_token
        self.encoder = model.encoder

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, c, h, w) to their class tokens, of shape (n, d, 1, 1)."""
        patch = self.conv_proj.kernel_size[0]
        height, width = images.shape[-2:]
        padding = (0, -width % patch, 0, -height % patch)
        if any(padding):
            images = F.pad(images, padding, mode="replicate")
        patches = self.conv_proj(images)
        tokens = torch.cat(
            [
                self.class_token.expand(len(images), -1, -1),
                patches.flatten(2).transpose(1, 2),
            ],
            dim=1,
        )
        tokens = tokens + self._positions(patches.shape[-2], patches.shape[-1])
        encoder = self.encoder
        tokens = encoder.ln(encoder.layers(encoder.dropout(tokens)))
        return tokens[:, 0, :, None, None]

    def _positions(self, n_rows: int, n_columns: int) -> torch.Tensor:
        learned = self.encoder.pos_embedding
        side = math.isqrt(learned.shape[1] - 1)
        if (n_rows, n_columns) == (side, side):
            return learned
        # As a product with the matrix of the interpolation, whose gradient is the
        # same to the bit each time; that of F.interpolate on a GPU is not.
        grid = torch.eye(side * side, device=learned.device)
        matrix = F.interpolate(
            grid.view(-1, 1, side, side),
            size=(n_rows, n_columns),
            mode="bicubic",
            align_corners=True,
        )
        return torch.cat(
            [learned[:, :1], matrix.flatten(1).T.to(learned) @ learned[:, 1:]], dim=1
        )


def first_convolution(backbone: nn.Module) -> str:
    """Return the name of the convolution that sees the image."""
    return next(
        name for name, m in backbone.named_modules() if isinstance(m, nn.Conv2d)
    )


def widen_first_convolution(backbone: nn.Module, in_channels: int) -> None:
    """Put a new first convolution in place of the one for three channels."""
    name = first_convolution(backbone)
    old = backbone.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(
        in_channels,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    backbone.set_submodule(name, new)


def dry_run(module: nn.Module, shape: tuple[int, ...]) -> torch.Size:
    """Return the shape of a module's output without computing it.

    Parameters
    ----------
    module : Module
    shape : tuple of int
        Of the input.

    Returns
    -------
    shape : torch.Size
    """
    tensors = {
        name: tensor.to("meta")
        for name, tensor in chain(module.named_parameters(), module.named_buffers())
    }
    with torch.no_grad():
        images = torch.zeros(shape, device="meta")
        return torch.func.functional_call(module, tensors, (images,)).shape

"""The part of a torchvision classification model that comes before its pooling."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer, get_model
from torchvision.models.vision_transformer import Encoder

# torchvision lists the layers of a model in the order in which they run. Its pooling
# and its head have one of these names.
HEAD_NAMES = frozenset({"avgpool", "classifier", "fc", "head", "heads"})
# The auxiliary heads of these models are used in training on ImageNet only.
BUILD_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


class Parts(NamedTuple):
    """A torchvision model without its head."""

    body: nn.Module
    norm: nn.Module
    # Names in a Backbone, and the names in the state dict of torchvision.
    names: dict[str, str]


def split_model(backbone: str, **options: Any) -> Parts:
    """Build a torchvision model with random weights, without its head.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model.
    **options
        Options of the builder in torchvision.

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
        features = VisionTransformerBody(model)
    else:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for name, child in model.named_children():
            if name in HEAD_NAMES:
                break
            is_list = isinstance(child, nn.ModuleList)
            layers[name] = nn.Sequential(*child) if is_list else child
        if backbone.startswith("densenet"):
            # The forward method of DenseNet calls a ReLU that is not a layer.
            layers["relu"] = nn.ReLU()
        features = nn.Sequential(layers)
    norm = _norm_after_pooling(model)
    tensors = nn.ModuleDict({"body": features, "norm": norm}).state_dict(keep_vars=True)
    return Parts(features, norm, {name: names[id(t)] for name, t in tensors.items()})


def _norm_after_pooling(model: nn.Module) -> nn.Module:
    """Return the pretrained normalisation of pooled features, if there is one.

    ConvNeXt and MaxViT have one.
    """
    classifier = getattr(model, "classifier", None)
    layers = classifier.modules() if isinstance(classifier, nn.Module) else ()
    for layer in layers:
        if isinstance(layer, nn.LayerNorm):
            # The class that ConvNeXt uses accepts images only.
            norm = nn.LayerNorm(layer.normalized_shape, eps=layer.eps)
            norm.weight, norm.bias = layer.weight, layer.bias
            return norm
    return nn.Identity()


class VisionTransformerBody(nn.Module):
    """A vision transformer up to its class token, for images of any size.

    Position embeddings are interpolated (bicubic) to the grid of patches. Images are
    padded at the right and at the bottom to a whole number of patches.

    Parameters
    ----------
    model : torchvision.models.VisionTransformer
        The model whose layers are used. They are not copied.
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
        # The interpolation is written as a product with its matrix. On a GPU, the
        # gradient of F.interpolate is not reproducible; that of a product is.
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

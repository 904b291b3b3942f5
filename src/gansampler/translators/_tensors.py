"""What a fitted translator consists of, as tensors, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from gansampler.exceptions import ModelFileError
from gansampler.translators._data import Domain

STATE = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")


def networks_to_tensors(networks: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Return the states of networks, with names that start with the network's name."""
    return {
        f"{name}.{key}": tensor
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def load_networks(
    networks: Mapping[str, nn.Module],
    tensors: Mapping[str, torch.Tensor],
    path: str | os.PathLike[str],
) -> None:
    """Undo :func:`networks_to_tensors`, and set the networks to evaluation mode.

    Raises
    ------
    ModelFileError
        If the tensors, which were read from `path`, do not fit.
    """
    for name, network in networks.items():
        try:
            network.eval().load_state_dict(_with_prefix(tensors, f"{name}."))
        except RuntimeError as error:
            raise ModelFileError(
                f"The tensors of {name} in {path} must fit the network that the "
                f"parameters build. {error}"
            ) from error


def scalers_to_tensors(
    scalers: Mapping[Domain, StandardScaler] | None,
) -> dict[str, torch.Tensor]:
    """Return the states of scalers, with names that start with ``scalers.``."""
    return {
        f"scalers.{domain}.{key}": torch.from_numpy(np.asarray(getattr(scaler, key)))
        for domain, scaler in (scalers or {}).items()
        for key in STATE
    }


def scalers_from_tensors(
    tensors: Mapping[str, torch.Tensor],
) -> dict[Domain, StandardScaler] | None:
    """Undo :func:`scalers_to_tensors`. Translators of images have no scalers."""
    if not _with_prefix(tensors, "scalers."):
        return None
    domains: tuple[Domain, ...] = ("source", "target")
    scalers = {d: StandardScaler().set_output(transform="default") for d in domains}
    for domain, scaler in scalers.items():
        for key, tensor in _with_prefix(tensors, f"scalers.{domain}.").items():
            array = tensor.numpy()
            setattr(scaler, key, array if array.ndim else array.item())
    return scalers


def _with_prefix(
    tensors: Mapping[str, torch.Tensor], prefix: str
) -> dict[str, torch.Tensor]:
    """Return the tensors whose names start with a prefix, without the prefix."""
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }

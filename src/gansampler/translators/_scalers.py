"""Scalers of feature rows as tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from gansampler.translators._data import Domain

STATE = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")


def scalers_to_tensors(
    scalers: Mapping[Domain, StandardScaler],
) -> dict[str, torch.Tensor]:
    """Return the state of the scalers, with names that start with ``scalers.``."""
    return {
        f"scalers.{domain}.{key}": torch.from_numpy(np.asarray(getattr(scaler, key)))
        for domain, scaler in scalers.items()
        for key in STATE
    }


def scalers_from_tensors(
    tensors: Mapping[str, torch.Tensor],
) -> dict[Domain, StandardScaler]:
    """Undo :func:`scalers_to_tensors`."""
    domains: tuple[Domain, ...] = ("source", "target")
    scalers = {d: StandardScaler().set_output(transform="default") for d in domains}
    for domain, scaler in scalers.items():
        for key, tensor in with_prefix(tensors, f"scalers.{domain}.").items():
            array = tensor.numpy()
            setattr(scaler, key, array if array.ndim else array.item())
    return scalers


def with_prefix(
    tensors: Mapping[str, torch.Tensor], prefix: str
) -> dict[str, torch.Tensor]:
    """Return the tensors whose names start with a prefix, without the prefix."""
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }

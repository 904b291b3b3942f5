"""A fitted translator to a file and back."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from gansampler._serialization import load_model, params_to_json, save_model
from gansampler._validation import isolated_rng
from gansampler.exceptions import ModelFileError

__all__ = ["load_translator", "save_translator"]

SCALER_STATE = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")


def save_translator(model: Any, path: str | os.PathLike[str]) -> None:
    """Write networks, scalers, parameters and history.

    Parameters
    ----------
    model : BaseTranslator
        Fitted. Its class names its networks in ``_networks``.
    path : path-like
    """
    tensors = {
        f"{name}.{key}": tensor
        for name in _network_names(model)
        for key, tensor in getattr(model, f"{name}_").state_dict().items()
    }
    for domain, scaler in (model.scalers_ or {}).items():
        for key in SCALER_STATE:
            array = np.asarray(getattr(scaler, key))
            tensors[f"scalers.{domain}.{key}"] = torch.from_numpy(array)
    state = {
        "params": params_to_json(model.get_params(deep=False)),
        "sample_shape": model.sample_shape_,
        **params_to_json({"history": model.history_}),
    }
    save_model(path, type(model).__name__, tensors, state)


def load_translator(
    cls: type[Any], path: str | os.PathLike[str], **callables: Any
) -> Any:
    """Read what :func:`save_translator` wrote.

    Parameters
    ----------
    cls : type
        Its ``_build_networks()`` builds what its parameters ask for.
    path : path-like
    **callables : dict
        Parameters that were functions, which are not saved; None for one that was not.
    """
    kind = cls.__name__
    tensors, state = load_model(path, kind)
    params: dict[str, Any] = state["params"]
    params["betas"] = tuple(params["betas"])
    for name, function in callables.items():
        if function is not None:
            params[name] = function
        if params[name] is None:
            raise ModelFileError(
                f"{path} was fitted with a callable `{name}`, which is not saved. "
                f"Pass it: {kind}.load(path, {name}=...)."
            )
    model = cls(**params)
    model.sample_shape_ = tuple(state["sample_shape"])
    model.history_ = state["history"]
    model.scalers_ = None
    if len(model.sample_shape_) == 1:
        model.scalers_ = {
            domain: _scaler(tensors, f"scalers.{domain}.")
            for domain in ("source", "target")
        }
    with isolated_rng(0):
        model._build_networks()
    for name in _network_names(model):
        network = getattr(model, f"{name}_")
        try:
            network.load_state_dict(_part(tensors, f"{name}."))
        except RuntimeError as error:
            raise ModelFileError(
                f"The tensors of {name} in {path} must fit the network that the "
                f"parameters build. {error}"
            ) from error
        network.eval()
    return model


def _network_names(model: Any) -> list[str]:
    averages = [] if model.generator_st_ema_ is None else ["generator_st_ema"]
    return [*model._networks, *averages]


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def _scaler(tensors: dict[str, torch.Tensor], prefix: str) -> StandardScaler:
    scaler = StandardScaler()
    for key, tensor in _part(tensors, prefix).items():
        array = tensor.numpy()
        setattr(scaler, key, array if array.ndim else array.item())
    return scaler

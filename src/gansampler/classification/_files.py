"""A fitted classifier to and from one file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from gansampler._serialization import load_model, params_to_json, save_model
from gansampler._validation import isolated_rng
from gansampler.classification._network import build_from_state
from gansampler.classification._weights import normalisation
from gansampler.exceptions import ModelFileError

if TYPE_CHECKING:
    from gansampler.classification._base import BaseNetworkClassifier

__all__ = ["read_classifier", "write_classifier"]

Model = TypeVar("Model", bound="BaseNetworkClassifier")

KIND = "TransferClassifier"
LABEL_TYPES = (str, bool, int, float)
SCALER = ("mean_", "var_", "scale_")


def write_classifier(
    model: BaseNetworkClassifier, path: str | os.PathLike[str]
) -> None:
    """Write a fitted classifier; its network's tensors keep their names."""
    tensors = dict(model.network_.state_dict())
    if model.scaler_ is not None:
        for name in SCALER:
            tensors[f"scaler.{name}"] = torch.from_numpy(getattr(model.scaler_, name))
    params = model.get_params(deep=False)
    if isinstance(params["weights"], os.PathLike):
        params["weights"] = os.fspath(params["weights"])
    if isinstance(params["class_weight"], dict):
        # JSON would make text of the labels.
        params["class_weight"] = [
            [_plain(label), weight] for label, weight in params["class_weight"].items()
        ]
    names = getattr(model, "feature_names_in_", None)
    state = {
        "params": params_to_json(params),
        "classes": [_plain(label) for label in model.classes_.tolist()],
        "classes_dtype": model.classes_.dtype.str,
        "sample_shape": model.sample_shape_,
        "n_features_in": getattr(model, "n_features_in_", None),
        "feature_names_in": None if names is None else names.tolist(),
        "history": params_to_json({"history": model.history_})["history"],
    }
    save_model(path, KIND, tensors, state)


def read_classifier(cls: type[Model], path: str | os.PathLike[str]) -> Model:
    """Read what :func:`write_classifier` wrote."""
    tensors, state = load_model(path, KIND)
    params: dict[str, Any] = state["params"]
    if isinstance(params["class_weight"], list):
        params["class_weight"] = dict(params["class_weight"])
    model = cls(**params)
    model.classes_ = np.array(state["classes"], dtype=state["classes_dtype"])
    model.sample_shape_ = tuple(state["sample_shape"])
    if state["n_features_in"] is not None:
        model.n_features_in_ = state["n_features_in"]
    if state["feature_names_in"] is not None:
        model.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
    model.history_ = state["history"]
    model.scaler_ = None
    n_inputs, n_classes = model.sample_shape_[-1], len(model.classes_)
    try:
        network: nn.Module
        with isolated_rng(0):
            if len(model.sample_shape_) == 1:
                model.scaler_ = _read_scaler(tensors)
                network = nn.Linear(n_inputs, n_classes)
            else:
                mean, std = normalisation(model.backbone, model.weights)
                network = build_from_state(
                    model.backbone, n_classes, n_inputs, mean, std, tensors
                )
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise ModelFileError(
            f"The tensors in {path} must fit the network that the parameters build. "
            f"{error}"
        ) from error
    model.network_ = network.eval()
    return model


def _read_scaler(tensors: dict[str, torch.Tensor]) -> StandardScaler:
    scaler = StandardScaler()
    for name in SCALER:
        setattr(scaler, name, tensors.pop(f"scaler.{name}").numpy())
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler


def _plain(label: object) -> object:
    label = label.item() if isinstance(label, np.generic) else label
    if not isinstance(label, LABEL_TYPES):
        raise TypeError(
            "Labels must be text, integers, floats or booleans to be saved. Got "
            f"{label!r} of type {type(label).__name__}. Fit with other labels, or "
            "pickle the classifier."
        )
    return label

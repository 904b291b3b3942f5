"""A fitted network classifier: prediction, embedding, saving and loading.

It trains nothing: the classifiers that inherit from it do.
"""

from __future__ import annotations

import math
import os
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from gansampler._serialization import load_model, params_to_json, save_model
from gansampler._validation import (
    DefaultPartsMixin,
    NearestNameMixin,
    isolated_rng,
    to_python_scalar,
)
from gansampler.classification._data import (
    Samples,
    encode_labels,
    encode_samples,
    make_scaler,
)
from gansampler.classification._network import ClassifierNetwork, build_classifier
from gansampler.exceptions import ModelFileError
from gansampler.images import ImageSequence, find_form
from gansampler.training import Trainer

Self = TypeVar("Self", bound="BaseNetworkClassifier")

KIND = "TransferClassifier"
LABEL_TYPES = (str, bool, int, float)
# Smaller side of images for pretrained backbones.
MIN_SIDE = 64
SCALER = ("mean_", "var_", "scale_")


class BaseNetworkClassifier(
    NearestNameMixin, DefaultPartsMixin, ClassifierMixin, BaseEstimator
):
    """Prediction with a fitted `network_`, for images or for feature rows."""

    backbone: Any
    weights: Any
    min_side: Any
    image_shape: tuple[int, ...] | None
    path_column: Any
    resize: Any
    trainer: Trainer | None
    classes_: np.ndarray
    feature_names_in_: np.ndarray
    history_: list[dict[str, float]]
    n_features_in_: int
    network_: nn.Module
    sample_shape_: tuple[int, ...]
    scaler_: StandardScaler | None
    _default_parts: ClassVar = {"trainer": Trainer}

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Samples in any form that :meth:`fit` accepts, and of the same shape.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        positions = self._compute_logits(X).argmax(1)
        return self.classes_[positions]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`predict`.

        Returns
        -------
        probabilities : ndarray of float64 of shape (n_samples, n_classes)
        """
        return softmax(self._compute_logits(X), axis=1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits; for two classes, the log-odds of the second class.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`predict`.

        Returns
        -------
        decision : ndarray of float64 of shape (n_samples,) or (n_samples, n_classes)
        """
        logits = self._compute_logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def embed(self, X: Any) -> np.ndarray:
        """Return the features of the backbone, after global average pooling.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`predict`.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features)
            The standardised rows if the classifier was fitted on feature rows.
        """
        check_is_fitted(self)
        images = self._open_samples(X, cache=False)
        if isinstance(self.network_, ClassifierNetwork):
            return self._map(_Embedding(self.network_), images)
        return self._map(nn.Identity(), images)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted network, parameters and history to one safetensors file.

        The trainer, a loss module, the code of a `backbone` that is a Module or a
        callable, and a random state that is not an integer are not saved.

        Parameters
        ----------
        path : path-like
            The file. It is written atomically.
        """
        check_is_fitted(self)
        tensors = dict(self.network_.state_dict())
        if self.scaler_ is not None:
            for name in SCALER:
                values = getattr(self.scaler_, name)
                tensors[f"scaler.{name}"] = torch.from_numpy(values)
        params = self.get_params(deep=False)
        if isinstance(params["weights"], os.PathLike):
            params["weights"] = os.fspath(params["weights"])
        if isinstance(params["class_weight"], dict):
            # The keys of a JSON object are text, and labels may be numbers.
            params["class_weight"] = [
                [_check_label(label), weight]
                for label, weight in params["class_weight"].items()
            ]
        names = getattr(self, "feature_names_in_", None)
        state = {
            "params": params_to_json(params),
            "classes": [_check_label(label) for label in self.classes_],
            "classes_dtype": self.classes_.dtype.str,
            "sample_shape": self.sample_shape_,
            "feature_names_in": None if names is None else names.tolist(),
            "history": params_to_json({"history": self.history_})["history"],
        }
        save_model(path, KIND, tensors, state)

    @classmethod
    def load(
        cls: type[Self], path: str | os.PathLike[str], *, backbone: Any = None
    ) -> Self:
        """Read a fitted classifier that :meth:`save` wrote. No code in it is run.

        Parameters
        ----------
        path : path-like
            The file.
        backbone : Module or callable, default=None
            The `backbone` that the classifier was fitted with, if that was a Module or
            a callable. Its weights are not used.

        Returns
        -------
        classifier : TransferClassifier
            The fitted classifier, with ``trainer=None``. If its `loss` was a module,
            set it again before you call :meth:`fit`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is damaged, if :meth:`save` did not write it, or if it needs a
            `backbone`.
        """
        tensors, state = load_model(path, KIND)
        params: dict[str, Any] = state["params"]
        if backbone is not None:
            params["backbone"] = backbone
        if params["backbone"] is None:
            raise ModelFileError(
                f"The `backbone` of {path} was a Module or a callable, which is not "
                f"saved. Pass it: {cls.__name__}.load(path, backbone=...)."
            )
        if isinstance(params["class_weight"], list):
            params["class_weight"] = dict(params["class_weight"])
        model = cls(**params)
        model.classes_ = np.array(state["classes"], dtype=state["classes_dtype"])
        model.sample_shape_ = tuple(state["sample_shape"])
        model.n_features_in_ = math.prod(model.sample_shape_)
        if state["feature_names_in"] is not None:
            model.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
        model.history_ = state["history"]
        try:
            model.scaler_ = _pop_scaler(tensors) if "scaler.mean_" in tensors else None
            with isolated_rng(0):
                network = model._build_network(tensors)
            network.load_state_dict(tensors)
        except (KeyError, RuntimeError) as error:
            raise ModelFileError(
                f"The tensors in {path} must fit the network that the parameters "
                f"describe. {error} Save the classifier again."
            ) from error
        model.network_ = network.eval()
        return model

    def _build_network(self, weights: Any) -> nn.Module:
        n_inputs, n_classes = self.sample_shape_[-1], len(self.classes_)
        if len(self.sample_shape_) == 1:
            return nn.Linear(n_inputs, n_classes)
        height, width = self.sample_shape_[:2]
        return build_classifier(
            self.backbone,
            n_classes,
            weights=weights,
            in_channels=n_inputs,
            image_size=(height, width),
            min_side=self._resolve_min_side(),
        )

    def _resolve_min_side(self) -> int | None:
        is_pretrained = isinstance(self.backbone, str) and self.weights is not None
        return resolve(self.min_side, MIN_SIDE if is_pretrained else None)

    def _count_pixels(self, images: ImageSequence) -> int:
        """Return the number of pixels of an image in the network."""
        if not images.is_image or not isinstance(self.network_, ClassifierNetwork):
            return math.prod(images.sample_shape[:-1])
        height, width = images.sample_shape[:2]
        return math.prod(self.network_.backbone.input_size(height, width))

    def _get_trainer(self) -> Trainer:
        return Trainer() if self.trainer is None else self.trainer

    def _open_first_samples(
        self, X: Any, y: Any, classes: np.ndarray | None
    ) -> tuple[ImageSequence, np.ndarray]:
        """Open samples, set the attributes that follow from them, encode `y`.

        The classes are those of `y` if `classes` is None.
        """
        images = ImageSequence(
            X, self.image_shape, path_column=self.path_column, resize=self.resize
        )
        self.__dict__.pop("feature_names_in_", None)
        if images.form == "array":
            validate_data(self, X, y, skip_check_array=True)
        self.sample_shape_ = tuple(images.sample_shape)
        self.n_features_in_ = math.prod(self.sample_shape_)
        encoder = LabelEncoder()
        if classes is None:
            target = encode_labels(images, y, encoder.fit_transform)
        else:
            encoder.fit(classes)
            target = encode_labels(images, y, encoder.transform)
        self.classes_ = encoder.classes_
        return images, target

    def _open_more_samples(self, X: Any, y: Any) -> Samples:
        """Open samples of the same shape and classes as the first ones."""
        encoder = LabelEncoder()
        encoder.classes_ = self.classes_
        images = self._open_samples(X, cache=True)
        target = encode_labels(images, y, encoder.transform)
        return Samples(images, self.scaler_, target)

    def _open_samples(self, X: Any, *, cache: bool) -> ImageSequence:
        """Open samples for the fitted network, and check their shape."""
        image_shape = self.image_shape
        is_array = find_form(X, self.path_column).name == "array"
        if not is_array and len(self.sample_shape_) == 3:
            # Files and items of a data set are resized. Arrays are not.
            image_shape = self.sample_shape_
        images = ImageSequence(
            X,
            image_shape,
            path_column=self.path_column,
            resize=self.resize,
            cache=cache,
        )
        shape, expected = tuple(images.sample_shape), self.sample_shape_
        # For feature rows, validate_data raises an error with the text of scikit-learn.
        if shape != expected and (len(shape) > 1 or len(expected) > 1):
            raise ValueError(
                "Samples must have the shape that the classifier was fitted on, "
                f"{expected}. Got {shape}. Resize them, or fit another classifier."
            )
        if is_array and (not images.is_image or hasattr(X, "columns")):
            validate_data(self, X, reset=False, skip_check_array=True)
        return images

    def _compute_logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        images = self._open_samples(X, cache=False)
        return self._map(self.network_, images).astype(np.float64)

    def _map(self, network: nn.Module, images: ImageSequence) -> np.ndarray:
        def encode(rows: np.ndarray) -> torch.Tensor:
            # Decode the next rows while the network computes these.
            ahead = rows[0] + np.arange(2 * len(rows))
            images.read_ahead(ahead[ahead < len(images)])
            return encode_samples(images, self.scaler_, rows)

        return self._get_trainer().predict(
            network,
            len(images),
            encode,
            lambda output: output.float().numpy(),
            n_pixels=self._count_pixels(images),
            mixed_precision=images.is_image,
        )


def resolve(value: Any, automatic: Any) -> Any:
    """Return the value of a parameter, or what "auto" means for it."""
    return automatic if isinstance(value, str) and value == "auto" else value


class _Embedding(nn.Module):
    """A network whose output is its embedding."""

    def __init__(self, network: ClassifierNetwork) -> None:
        super().__init__()
        self.network = network
        # After a prediction, the trainer restores this mode in the network too.
        self.training = network.training

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.embed(images)


def _pop_scaler(tensors: dict[str, torch.Tensor]) -> StandardScaler:
    scaler = make_scaler()
    for name in SCALER:
        setattr(scaler, name, tensors.pop(f"scaler.{name}").numpy())
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler


def _check_label(label: object) -> object:
    label = to_python_scalar(label)
    if not isinstance(label, LABEL_TYPES):
        raise TypeError(
            "To save a classifier, its labels must be text, integers, floats or "
            f"booleans. Got {label!r} of type {type(label).__name__}. Fit with other "
            "labels, or pickle the classifier."
        )
    return label

"""From images to the features of a pretrained network."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch import nn

from gansampler._serialization import comparable_params
from gansampler._validation import (
    HasMethods,
    NearestNameMixin,
    StrOptions,
    at_least,
    isolated_rng,
)
from gansampler.backbones import Backbone, build_backbone, check_image_size
from gansampler.images import ImageSequence
from gansampler.training import Trainer

MAX_CACHED = 16


class FeatureExtractor(NearestNameMixin, TransformerMixin, BaseEstimator):
    """Map images to features of a pretrained network.

    This is a scikit-learn transformer whose :meth:`fit` learns nothing. For example,
    ``make_pipeline(FeatureExtractor(), LogisticRegression())`` classifies images.

    Parameters
    ----------
    backbone : str, Module or callable, default="efficientnet_lite0"
        The network; see :func:`~gansampler.backbones.build_backbone`.
    weights : str, path-like or None, default="DEFAULT"
        The pretrained weights; see :func:`~gansampler.backbones.build_backbone`.
    layer : "pooled" or list of int, default="pooled"
        The features. ``"pooled"`` means those after global average pooling. A list
        contains stages of the network, from the finest resolution (0) to the coarsest.
        The feature maps of each stage are averaged over the pixels, and the averages
        are concatenated.
    min_side : int, default=96
        Smaller side of the images in pixels. Images whose smaller side is shorter are
        enlarged (bicubic), because networks that were trained on ImageNet recognise
        little in small images.
    image_shape : tuple of (height, width, n_channels), default=None
        Shape of each image, for flattened images and for files, which are resized to
        it.
    trainer : Trainer, default=None
        Device and precision. None means ``Trainer()``.

    See Also
    --------
    gansampler.backbones.build_backbone : Build the network.
    gansampler.TransferClassifier : Fine-tune such a network.

    Notes
    -----
    Features are computed in float32, even with a `trainer` of lower precision. The
    features of the last 16 sets of images are kept in memory. They are used again for
    images of the same content.

    Examples
    --------
    >>> from gansampler.datasets import make_lesions
    >>> from gansampler.quality import FeatureExtractor
    >>> X, y = make_lesions(6, image_size=32, random_state=0)
    >>> extractor = FeatureExtractor("squeezenet1_1", weights=None)
    >>> extractor.transform(X).shape
    (6, 512)
    """

    _parameter_constraints: dict = {
        "backbone": [str, nn.Module, callable],
        "weights": [str, HasMethods(["__fspath__"]), None],
        "layer": [StrOptions({"pooled"}), list, tuple],
        "min_side": [at_least(1, int)],
        "image_shape": [tuple, list, None],
        "trainer": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        backbone="efficientnet_lite0",
        *,
        weights="DEFAULT",
        layer="pooled",
        min_side=96,
        image_shape=None,
        trainer=None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.min_side = min_side
        self.image_shape = image_shape
        self.trainer = trainer

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Check the parameters and the images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            As in :meth:`transform`.
        y : None
            Ignored.

        Returns
        -------
        self : FeatureExtractor
        """
        self._validate_params()
        self._open(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            uint8 in [0, 255] or floating in [0, 1]; or any other form of
            :class:`~gansampler.images.ImageSequence`.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If `X` holds no images, or images that are too small for the network.
        """
        self._validate_params()
        images = self._open(X)
        cache: OrderedDict[str, np.ndarray]
        cache = self.__dict__.setdefault("_cache", OrderedDict())
        key = json.dumps([images.fingerprint(), comparable_params(self)])
        if key not in cache:
            cache[key] = self._extract(images)
            while len(cache) > MAX_CACHED:
                cache.popitem(last=False)
        return cache[key].copy()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_cache"}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.three_d_array = True
        return tags

    def _open(self, X: Any) -> ImageSequence:
        is_open = isinstance(X, ImageSequence)
        images = X if is_open else ImageSequence(X, self.image_shape)
        if not images.is_image:
            raise ValueError(
                "`X` must have images. Got feature rows of "
                f"{images.sample_shape[0]} numbers. Pass image_shape=(height, width, "
                "n_channels) for flattened images."
            )
        return images

    def _extract(self, images: ImageSequence) -> np.ndarray:
        # Random weights are the same in each call.
        with isolated_rng(0):
            backbone = build_backbone(
                self.backbone,
                weights=self.weights,
                in_channels=images.n_channels,
                min_side=self.min_side,
            )
        stages = None if isinstance(self.layer, str) else list(self.layer)
        network = _FeatureNetwork(backbone, stages).eval()
        height, width, n_channels = images.sample_shape
        check_image_size(backbone, self.backbone, (height, width, n_channels))
        trainer = Trainer() if self.trainer is None else self.trainer
        return trainer.predict(
            network,
            len(images),
            images.batch,
            lambda features: features.float().numpy(),
            n_pixels=math.prod(backbone.input_size(height, width)),
            mixed_precision=False,
        )


class _FeatureNetwork(nn.Module):
    """Return pooled features, or the means of some stages."""

    def __init__(self, backbone: Backbone, stages: list[int] | None) -> None:
        super().__init__()
        self.backbone, self.stages = backbone, stages

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.stages is None:
            return self.backbone(images)
        maps = self.backbone.stages(images)
        if not all(0 <= stage < len(maps) for stage in self.stages):
            raise ValueError(
                "`layer` must be 'pooled' or a list of stages of the backbone, which "
                f"are 0 to {len(maps) - 1}. Got {self.stages}. Choose other stages."
            )
        return torch.cat([maps[stage].mean((2, 3)) for stage in self.stages], dim=1)

"""Major-to-minor translation, the estimator: it fits a classifier, and no GAN."""

from __future__ import annotations

import math
import os
import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from gansampler._serialization import load_model, params_to_json, save_model
from gansampler._validation import (
    HasMethods,
    at_least,
    explain_arguments,
    isolated_rng,
    spawn_seeds,
)
from gansampler.backbones import build_backbone, check_image_size
from gansampler.exceptions import ModelFileError, TranslationFailedWarning
from gansampler.images import ImageSequence
from gansampler.training import Trainer
from gansampler.translators._base import BaseTranslator
from gansampler.translators._data import encode
from gansampler.translators._gradient_steps import (
    GradientSteps,
    LinearClassifiers,
    TargetProbability,
)
from gansampler.translators._tensors import (
    load_networks,
    networks_to_tensors,
    scalers_from_tensors,
    scalers_to_tensors,
)

# Smaller images are enlarged to this side before their features are computed.
MIN_SIDE = 96


@explain_arguments
@dataclass(kw_only=True, eq=False, repr=False)
class MajorToMinor(BaseTranslator):
    r"""Translation by gradient steps on the pixels, against a classifier (M2m).

    No GAN is trained. :meth:`fit` fits a linear classifier :math:`g`, source versus
    target, to the features of a pretrained network. :meth:`translate` starts from a
    source image with a little noise, and changes the pixels :math:`x` by normalised
    gradient steps on

    .. math::

        \mathcal{L}(x) = -\log g_t(x) + \lambda f_s(x)

    where :math:`g_t` is the probability of the target class, and :math:`f_s` is the
    logit of the source class by a second classifier :math:`f` [1]_.

    .. versionadded:: 0.1

    Parameters
    ----------
    backbone : str, Module or callable, default="efficientnet_lite0"
        The pretrained network; see :func:`~gansampler.backbones.build_backbone`. Not
        used for feature rows.
    weights : str, path-like or None, default="DEFAULT"
        Its weights; see :func:`~gansampler.backbones.build_backbone`.
    n_steps : int, default=10
        Number of gradient steps of every image.
    step_size : float, default=0.002
        Length of a step: the root mean square of the changes of an image, whose values
        are in [0, 1] here. For feature rows, in standard deviations.
    lambda_source : float, default=0.5
        :math:`\lambda`, weight of the logit of the source class.
    gamma : float, default=0.9
        Probability :math:`g_t`, above 0 and below 1, from which on an image is accepted
        as one of the target class.
    trainer : Trainer, default=None
        Device and precision. None means ``Trainer()``.
    random_state : int, RandomState instance or None, default=None
        Source of the noise. An image gets the same noise in each call.

    Attributes
    ----------
    classifier_ : Module
        The network with both linear classifiers. It maps samples to the logits of the
        target class by :math:`g` and by :math:`f`, of shape (n_samples, 2).
    sample_shape_ : tuple of int
        (height, width, n_channels) of the images, or (n_features,).
    scalers_ : dict of str -> StandardScaler or None
        For feature rows, what they are standardised with.

    Warns
    -----
    TranslationFailedWarning
        If :meth:`translate` returns images that were not accepted.

    See Also
    --------
    gansampler.MinorityMix : Another baseline that needs no GAN.
    gansampler.SimGAN : A translator that is trained.
    gansampler.GANOverSampler : Over-samples a data set with a translator.

    Notes
    -----
    The changes are small and look like noise. On ISIC 2016 at 64 px, their root mean
    square was 3 grey levels of 256. The images are adversarial examples for :math:`g`.
    The idea is that they have features of the target class from which another
    classifier learns. It may also learn that only images of this class have noise.

    In the paper, :math:`g` is a network that was trained on the imbalanced data before.
    :math:`f` is the network that is being trained, on balanced batches, and images are
    generated anew for each batch. Here images are generated once, before your
    classifier is trained. So both are logistic regressions on the same features:
    :math:`g` is fitted to the samples as they are, and :math:`f` with balanced class
    weights. :math:`g` knows only the source and the target; other classes of the data
    set have no part.

    The paper replaces images that were not accepted by existing images of the target
    class. A translator must not do so, because the parent of such an image would be
    wrong. Instead, images that are not accepted get `n_steps` further steps of twice
    the length, up to 7 times. Those that then remain are returned as they are, with a
    warning. :meth:`realism_score` returns :math:`g_t`, which also is in the column
    ``score`` of a manifest, so that you can drop them.

    Feature rows are classified by linear models of the rows themselves. They move
    along nearly one direction, and the spread of the others remains that of the source.

    References
    ----------
    .. [1] J. Kim, J. Jeong, J. Shin, "M2m: Imbalanced classification via major-to-minor
       translation", CVPR 2020.

    Examples
    --------
    >>> from gansampler import MajorToMinor
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(12, weights=(0.5, 0.5), image_size=16, random_state=0)
    >>> translator = MajorToMinor(n_steps=2, random_state=0)
    >>> translator = translator.fit(X[y == "benign"], X[y == "malignant"])
    >>> translated = translator.translate(X[:3])
    >>> translated.shape
    (3, 16, 16, 3)
    >>> bool((translator.realism_score(translated) >= 0.9).all())
    True
    """

    backbone: Any = "efficientnet_lite0"
    weights: Any = "DEFAULT"
    n_steps: int = 10
    step_size: float = 0.002
    lambda_source: float = 0.5
    gamma: float = 0.9
    trainer: Trainer | None = None
    random_state: Any = None

    _parameter_constraints = {
        "backbone": [str, nn.Module, callable],
        "weights": [str, HasMethods(["__fspath__"]), None],
        "n_steps": [at_least(1, int)],
        "step_size": [at_least(0, open_=True)],
        "lambda_source": [at_least(0)],
        "gamma": [at_least(0, open_=True, below=1)],
        "trainer": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
    }
    # Half precision would round the pixels, by more than a step changes them.
    _mixed_precision: ClassVar = False

    def translate(self, X: npt.ArrayLike | ImageSequence) -> np.ndarray:
        """Translate source images into images that the classifier takes for target.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, with the same height, width and
            channels.

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`

        Warns
        -----
        TranslationFailedWarning
            If the classifier is not sure enough of some of them.
        """
        translated = super().translate(X)
        n_rejected = int((self.realism_score(translated) < self.gamma).sum())
        if n_rejected:
            warnings.warn(
                "Translations must have at least the probability gamma="
                f"{self.gamma} of the target class. {n_rejected} of "
                f"{len(translated)} have less, and are returned as they are. Lower "
                "`gamma`, raise `n_steps`, or drop images by their `realism_score`. "
                "If most images fail, the classifier does not tell source and target "
                "apart.",
                TranslationFailedWarning,
                stacklevel=2,
            )
        return translated

    def realism_score(self, X: npt.ArrayLike | ImageSequence) -> np.ndarray:
        """Return the probability of the target class, by the classifier :math:`g`.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Translations, or other images, in any form that :meth:`fit` takes, with the
            same height, width and channels.

        Returns
        -------
        scores : ndarray of float32 of shape (n_samples,)
            In [0, 1]. That of a translation is high because it was made so.
        """
        return super().realism_score(X)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted classifiers and the parameters to one safetensors file.

        The trainer, a random state that is not an integer, and a backbone that is no
        name are not saved.

        Parameters
        ----------
        path : path-like
            Written atomically.
        """
        check_is_fitted(self)
        tensors = networks_to_tensors({"classifier": self.classifier_})
        tensors |= scalers_to_tensors(self.scalers_)
        state = {
            "params": params_to_json(self.get_params(deep=False)),
            "sample_shape": self.sample_shape_,
        }
        save_model(path, type(self).__name__, tensors, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str], backbone: Any = None) -> Self:
        """Read a fitted translator that :meth:`save` wrote. No code in it is run.

        Parameters
        ----------
        path : path-like
        backbone : Module or callable, default=None
            The parameter, if it was no name.

        Returns
        -------
        translator : MajorToMinor
            Fitted, with ``trainer=None``.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is damaged, holds something else, or needs a backbone.
        """
        tensors, state = load_model(path, cls.__name__)
        params = state["params"]
        params["backbone"] = params["backbone"] if backbone is None else backbone
        if params["backbone"] is None:
            raise ModelFileError(
                f"{path} was fitted with a `backbone` that is no name, which is not "
                f"saved. Pass it: {cls.__name__}.load(path, backbone=...)."
            )
        model = cls(**params)
        model.sample_shape_ = tuple(state["sample_shape"])
        model.scalers_ = scalers_from_tensors(tensors)
        model.classifier_ = model._build_classifier(weights=None)
        load_networks({"classifier": model.classifier_}, tensors, path)
        return model

    def _fit_scalers(self, source: ImageSequence, target: ImageSequence) -> None:
        """Fit one scaler to the feature rows of both domains; images need none."""
        self.scalers_ = None
        if not source.is_image:
            both = [part.take(np.arange(len(part))) for part in (source, target)]
            scaler = StandardScaler().set_output(transform="default")
            scaler.fit(np.concatenate(both).astype(np.float64))
            self.scalers_ = {"source": scaler, "target": deepcopy(scaler)}

    def _fit(self, source: ImageSequence, target: ImageSequence) -> None:
        (seed,) = spawn_seeds(check_random_state(self.random_state), 1)
        network = self._build_classifier(self.weights)
        features = np.concatenate(
            [self._features(network, domain) for domain in (source, target)]
        )
        is_target = np.repeat([False, True], [len(source), len(target)])
        for row, class_weight in enumerate((None, "balanced")):
            weight, bias = _fit_linear(features, is_target, class_weight)
            network.heads.weight.data[row] = torch.from_numpy(weight)
            network.heads.bias.data[row] = bias
        network.noise_seed.fill_(seed)
        self.classifier_ = network

    def _build_classifier(self, weights: Any) -> LinearClassifiers:
        """Return the network with heads that are still to be fitted or loaded."""
        features: Any = nn.Identity()
        n_features = self.sample_shape_[-1]
        # Random weights are the same in each call.
        with isolated_rng(0):
            if self.scalers_ is None:
                features = build_backbone(
                    self.backbone,
                    weights=weights,
                    in_channels=self.sample_shape_[-1],
                    min_side=MIN_SIDE,
                )
                shape = self.sample_shape_
                n_features = check_image_size(features, self.backbone, shape)[1]
            return LinearClassifiers(features, n_features)

    def _features(
        self, network: LinearClassifiers, domain: ImageSequence
    ) -> np.ndarray:
        scaler = None if self.scalers_ is None else self.scalers_["source"]
        return self._get_trainer().predict(
            network.features,
            len(domain),
            lambda rows: encode(domain, rows, scaler=scaler),
            lambda features: features.double().numpy(),
            n_pixels=math.prod(domain.sample_shape[:-1]),
            mixed_precision=False,
        )

    def _forward_network(self) -> nn.Module:
        # Images have values in [-1, 1] in networks, an interval of length 2.
        is_image = self.scalers_ is None
        return GradientSteps(
            self.classifier_,
            n_steps=self.n_steps,
            step_size=self.step_size * (2 if is_image else 1),
            lambda_source=self.lambda_source,
            gamma=self.gamma,
            is_image=is_image,
        )

    def _discriminator_network(self) -> nn.Module:
        return TargetProbability(self.classifier_)


def _fit_linear(
    features: np.ndarray, is_target: np.ndarray, class_weight: str | None
) -> tuple[np.ndarray, float]:
    """Return weight and bias of a logistic regression on standardised features.

    The penalty is that for features with a mean square norm of 1. On ISIC 2016 at 64 px
    this C is near 1e-3, the best of 1e-4, 1e-3, 1e-2 and 1.
    """
    model = make_pipeline(
        StandardScaler().set_output(transform="default"),
        LogisticRegression(
            C=1 / features.shape[1], class_weight=class_weight, max_iter=1000
        ),
    ).fit(features, is_target)
    scaler, head = model
    weight = head.coef_[0] / scaler.scale_
    return weight, float(head.intercept_[0] - weight @ scaler.mean_)

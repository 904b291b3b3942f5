"""SimGAN: the estimator and its training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from gansampler._validation import at_least, explain_arguments
from gansampler.networks import MLPGenerator, ProjectedDiscriminator
from gansampler.translators._adversarial import AdversarialTranslator
from gansampler.translators._adversarial_task import (
    AdversarialSettings,
    AdversarialTask,
)
from gansampler.translators._build import build_features
from gansampler.translators._data import UnpairedData

# Colours are compared after averaging over squares of this many pixels.
COLOR_SIDE = 8
# The two finest of the four resolutions that a projected discriminator uses.
CONTENT_STAGES = slice(-4, -2)
MIN_ENERGY = 1e-6


@explain_arguments
@dataclass(kw_only=True, eq=False, repr=False)
class SimGAN(AdversarialTranslator):
    r"""Unpaired translation that keeps colours and pretrained features of the source.

    There is one generator :math:`G: S \to T` and one discriminator. In place of a
    second generator there are two losses of self-regularisation [1]_. The generator
    minimises

    .. math::

        \mathcal{L} = -\mathbb{E}_s[D(G(s))]
            + \lambda_\text{color} \mathbb{E}_s \|p(G(s)) - p(s)\|_1
            + \lambda_\text{content} \sum_{l=1}^{2} \mathbb{E}_s
            \frac{\|\psi_l(G(s)) - \psi_l(s)\|_2^2}{\|\psi_l(s)\|_2^2}

    where :math:`p` averages over squares of 8 x 8 pixels, :math:`\|\cdot\|_1` is the
    mean absolute difference of values in [-1, 1], and :math:`\psi_l` are feature maps
    of EfficientNet-Lite0, pretrained on ImageNet, at 1/4 and 1/8 of the resolution. The
    discriminator minimises :math:`\mathbb{E}[\max(0, 1 - D(\text{real}))] +
    \mathbb{E}[\max(0, 1 + D(\text{fake}))]`.

    By default the discriminator is projected. Of the translators of this package, this
    one needs the fewest images and steps. For images it needs the extra
    ``gansampler[pretrained]``. Feature rows have no features :math:`\psi_l`; :math:`p`
    is the identity for them, and the adversarial losses are least squares.

    .. versionadded:: 0.1

    Parameters
    ----------
    {common_parameters}
    lambda_color : float, default=2.0
        Weight of the loss that keeps colours.
    lambda_content : float, default=0.25
        Weight of the loss that keeps pretrained features.

    Attributes
    ----------
    {common_attributes}

    See Also
    --------
    gansampler.CUT : Keeps the content by contrasting patches.
    gansampler.CycleGAN : Translates in both directions.
    gansampler.GANOverSampler : Over-samples a data set with a translator.

    Notes
    -----
    In the first implementation [1]_ the features of the self-regularisation were the
    pixels, and the discriminator was trained from scratch.

    References
    ----------
    .. [1] A. Shrivastava, T. Pfister, O. Tuzel, J. Susskind, W. Wang, R. Webb,
       "Learning from simulated and unsupervised images through adversarial training",
       CVPR 2017.

    Examples
    --------
    >>> from gansampler import SimGAN
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(12, weights=(0.5, 0.5), image_size=16, random_state=0)
    >>> translator = SimGAN(ngf=4, n_blocks=1, n_epochs=1, random_state=0)
    >>> translator = translator.fit(X[y == "benign"], X[y == "malignant"])
    >>> translator.translate(X[:3]).shape
    (3, 16, 16, 3)
    """

    ngf: int = 16
    global_skip: bool = True
    discriminator: Literal["patch", "projected"] = "projected"
    augment_discriminator: bool = True
    batch_size: int = 8
    betas: tuple[float, float] = (0.0, 0.99)
    ema_decay: float = 0.995
    patience: int | None = 10
    lambda_color: float = 2.0
    lambda_content: float = 0.25

    _parameter_constraints = {
        **AdversarialTranslator._parameter_constraints,
        "lambda_color": [at_least(0)],
        "lambda_content": [at_least(0)],
    }

    def _build_networks(self) -> dict[str, nn.Module]:
        n_channels = self.sample_shape_[-1]
        discriminator = self._build_discriminator()
        if len(self.sample_shape_) == 1:
            generator: nn.Module = MLPGenerator(n_channels, width=self.ngf)
            return {"generator_st": generator, "discriminator_t": discriminator}
        networks = {
            "generator_st": self._build_resnet(),
            "discriminator_t": discriminator,
        }
        if not self._is_projected:
            networks["content"] = build_features(n_channels)
        return networks

    def _build_task(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
    ) -> SimGANTask:
        return SimGANTask(
            networks,
            data,
            settings,
            lambda_color=self.lambda_color,
            lambda_content=self.lambda_content,
        )


class SimGANTask(AdversarialTask):
    """Update the generator, then the discriminator.

    Parameters
    ----------
    networks, data, settings
        See :class:`AdversarialTask`.
    lambda_color, lambda_content : float
        See :class:`SimGAN`.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
        *,
        lambda_color: float,
        lambda_content: float,
    ) -> None:
        super().__init__(networks, data, settings)
        self.lambda_color, self.lambda_content = lambda_color, lambda_content
        # A projected discriminator has the same features. Rows have none.
        discriminator = networks["discriminator_t"]
        self.content: Any = networks.get("content")
        if isinstance(discriminator, ProjectedDiscriminator):
            self.content = discriminator.features

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update the generator, then the discriminator."""
        real_source, real_target = batch
        with self.frozen_discriminators():
            fake_target = self.modules["generator_st"](real_source)
            fake_target = fake_target.to(real_source.dtype)
            adversarial = self.adversarial_loss("discriminator_t", fake_target)
            color = self._color_loss(fake_target, real_source)
            losses = {"adversarial_st": adversarial, "color": color}
            total = adversarial + self.lambda_color * color
            if self.content is not None:
                losses["content"] = self._content_loss(fake_target, real_source)
                total = total + self.lambda_content * losses["content"]
            self.update_generators(total)
        return losses | self.update_discriminators(
            discriminator_t=(real_target, fake_target)
        )

    def _color_loss(self, fake: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        if source.ndim == 2:
            return F.l1_loss(fake, source)
        side = min(COLOR_SIDE, *source.shape[2:])
        return F.avg_pool2d(fake - source, side).abs().mean()

    def _content_loss(self, fake: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Return the squared change of the features, relative to the features."""
        with torch.no_grad():
            keys = self.content.stages(source)[CONTENT_STAGES]
        queries = self.content.stages(fake)[CONTENT_STAGES]
        changes = [
            (query - key).square().mean() / (key.square().mean() + MIN_ENERGY)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(changes).sum()

"""CUT and FastCUT: the estimator and its training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from gansampler._validation import StrOptions, at_least, explain_arguments
from gansampler.losses import patch_contrastive_loss
from gansampler.networks import PatchProjection
from gansampler.translators._adversarial import AdversarialTranslator
from gansampler.translators._adversarial_task import (
    AdversarialSettings,
    AdversarialTask,
)
from gansampler.translators._data import UnpairedData

LAMBDA_NCE, LAMBDA_NCE_FAST = 1.0, 10.0
# The published settings.
N_PATCHES = 256
TEMPERATURE = 0.07

Features = list[torch.Tensor]


@explain_arguments
@dataclass(kw_only=True, eq=False, repr=False)
class CUT(AdversarialTranslator):
    r"""Unpaired translation that keeps the content of images by contrasting patches.

    There is one generator :math:`G: S \to T` and one discriminator. A contrastive loss
    replaces the second generator of CycleGAN: each patch of a translation must be more
    similar to the patch of its source at the same place than to other patches of that
    source. The generator minimises

    .. math::

        \mathcal{L} = \mathbb{E}_s[(D(G(s)) - 1)^2] + \lambda_\text{nce} \cdot
            \tfrac{1}{2} \left(\mathbb{E}_s\, \ell(G(s), s)
            + \mathbb{E}_t\, \ell(G(t), t) \right)

    where the second contrastive loss is an identity loss. :math:`\ell(x, z)` is the
    mean, over layers :math:`l` of the generator's first half and 256 pixels
    :math:`i`, of

    .. math::

        -\log \frac{\exp(x_{li} \cdot z_{li} / \tau)}
            {\sum_j \exp(x_{li} \cdot z_{lj} / \tau)}

    with :math:`\tau = 0.07`. :math:`z_{li}` is the output of the layer for `z` at that
    pixel, mapped by a perceptron to 256 values and scaled to length 1. The
    discriminator minimises :math:`\frac{1}{2}\mathbb{E}[(D(\text{real}) - 1)^2] +
    \frac{1}{2}\mathbb{E}[D(\text{fake})^2]`.

    .. versionadded:: 0.1

    Parameters
    ----------
    {common_parameters}
    fast : bool, default=False
        Whether to use the settings of FastCUT: no identity loss, a larger
        `lambda_nce`, and in half of the steps flipped images, whose translations must
        match the images that are not flipped.
    lambda_nce : "auto" or float, default="auto"
        Weight of the contrastive loss. ``"auto"`` is 1.0, or 10.0 with `fast`.

    Attributes
    ----------
    {common_attributes}
    projection_ : Module
        The perceptrons of the contrastive loss.

    See Also
    --------
    gansampler.CycleGAN : Slower; translates feature rows too, and in both directions.
    gansampler.GANOverSampler : Over-samples a data set with a translator.

    Notes
    -----
    As published, the weight of the contrastive loss is divided equally between
    translation and identity, and among the layers: the image itself, the two strided
    convolutions, the first residual block and the middle one.

    References
    ----------
    .. [1] T. Park, A. A. Efros, R. Zhang, J.-Y. Zhu, "Contrastive learning for
       unpaired image-to-image translation", ECCV 2020.

    Examples
    --------
    >>> from gansampler import CUT
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(12, weights=(0.5, 0.5), image_size=16, random_state=0)
    >>> translator = CUT(
    ...     ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, random_state=0
    ... )
    >>> translator = translator.fit(X[y == "benign"], X[y == "malignant"])
    >>> translator.translate(X[:3]).shape
    (3, 16, 16, 3)
    """

    fast: bool = False
    lambda_nce: Literal["auto"] | float = "auto"

    _parameter_constraints = {
        **AdversarialTranslator._parameter_constraints,
        "fast": ["boolean"],
        "lambda_nce": [StrOptions({"auto"}), at_least(0)],
    }

    def _build_networks(self) -> dict[str, nn.Module]:
        if len(self.sample_shape_) == 1:
            raise ValueError(
                "CUT compares patches of images. Feature rows have no patches. Got "
                f"rows of {self.sample_shape_[0]} features. Use CycleGAN for feature "
                "rows; for flattened images, pass `image_shape` to the sampler."
            )
        generator = self._build_resnet()
        return {
            "generator_st": generator,
            "projection": PatchProjection(generator.feature_widths),
            "discriminator_t": self._build_discriminator(),
        }

    def _build_task(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
    ) -> CUTTask:
        lambda_nce = self.lambda_nce
        if lambda_nce == "auto":
            lambda_nce = LAMBDA_NCE_FAST if self.fast else LAMBDA_NCE
        return CUTTask(networks, data, settings, fast=self.fast, lambda_nce=lambda_nce)


class CUTTask(AdversarialTask):
    """Update the generator and the projection, then the discriminator.

    The keys of the contrastive loss are the features of the real images. They get no
    gradient, and the pass that translates the images computes them. Only if that pass
    was on flipped images are the real ones encoded once more.

    Parameters
    ----------
    networks, data, settings
        See :class:`AdversarialTask`.
    fast, lambda_nce : bool, float
        See :class:`CUT`.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
        *,
        fast: bool,
        lambda_nce: float,
    ) -> None:
        super().__init__(networks, data, settings)
        self.fast, self.lambda_nce = fast, lambda_nce

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update the generator, then the discriminator."""
        _, real_target = batch
        with self.frozen_discriminators():
            fake_target, losses = self._update_generator(*batch)
        return losses | self.update_discriminators(
            discriminator_t=(real_target, fake_target)
        )

    def _update_generator(
        self, real_source: torch.Tensor, real_target: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        generator: Any = self.modules["generator_st"]
        n = len(real_source)
        real = real_source if self.fast else torch.cat([real_source, real_target])
        is_flipped = self.fast and self.rng.random() < 0.5
        output, keys = generator.forward_with_features(
            real.flip(3) if is_flipped else real
        )
        output = output.to(real.dtype)
        queries = generator.features(output)
        if is_flipped:
            queries = [maps.flip(3) for maps in queries]
            with torch.no_grad():
                keys = generator.features(real)
        contrastive = self._contrastive_losses(queries, keys, n)
        fake_target = output[:n]
        adversarial = self.adversarial_loss("discriminator_t", fake_target)
        nce = torch.stack(contrastive).mean()
        self.update_generators(adversarial + self.lambda_nce * nce)
        losses = {"adversarial_st": adversarial, "nce_source": contrastive[0]}
        if not self.fast:
            losses["nce_target"] = contrastive[1]
        return fake_target, losses

    def _contrastive_losses(
        self, queries: Features, keys: Features, n: int
    ) -> list[torch.Tensor]:
        """Return the losses of the first `n` images and, if any, of the others."""
        projection = self.modules["projection"]
        dtype, device = queries[0].dtype, queries[0].device
        pixels = [self._draw_pixels(maps).to(device) for maps in queries]
        # Autocast reuses the half-precision weights of the first call in the second.
        # The first call must therefore be the one with gradients.
        projected_queries = projection(queries, pixels)
        with torch.no_grad():
            projected_keys = projection(keys, pixels)
        parts = [slice(n), slice(n, None)][: 1 + (len(queries[0]) > n)]
        # The division by the temperature would magnify errors of half precision.
        with torch.autocast(device.type, enabled=False):
            return [
                torch.stack(
                    [
                        patch_contrastive_loss(
                            query[part].to(dtype), key[part].to(dtype), TEMPERATURE
                        )
                        for query, key in zip(
                            projected_queries, projected_keys, strict=True
                        )
                    ]
                ).mean()
                for part in parts
            ]

    def _draw_pixels(self, maps: torch.Tensor) -> torch.Tensor:
        """Return distinct pixel numbers of a layer's output."""
        n_pixels = maps.shape[2] * maps.shape[3]
        chosen = self.rng.choice(n_pixels, min(N_PATCHES, n_pixels), replace=False)
        return torch.from_numpy(chosen)

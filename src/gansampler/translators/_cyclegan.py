"""CycleGAN: the estimator and its training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from gansampler._validation import StrOptions, at_least, explain_arguments
from gansampler.networks import MLPGenerator, UNetGenerator
from gansampler.translators._adversarial import AdversarialTranslator
from gansampler.translators._adversarial_task import (
    AdversarialSettings,
    AdversarialTask,
)
from gansampler.translators._data import UnpairedData

MAX_UNET_DEPTH = 4


@explain_arguments
@dataclass(kw_only=True, eq=False, repr=False)
class CycleGAN(AdversarialTranslator):
    r"""Unpaired image-to-image translation with cycle consistency.

    Two generators, :math:`G: S \to T` and :math:`F: T \to S`, are trained against two
    discriminators. The generators minimise

    .. math::

        \mathcal{L} =\; & \mathbb{E}_s[(D_T(G(s)) - 1)^2]
            + \mathbb{E}_t[(D_S(F(t)) - 1)^2] \\
          & + \lambda_\text{cycle} \left(\mathbb{E}_s \|F(G(s)) - s\|_1
            + \mathbb{E}_t \|G(F(t)) - t\|_1 \right) \\
          & + \lambda_\text{identity} \left(\mathbb{E}_t \|G(t) - t\|_1
            + \mathbb{E}_s \|F(s) - s\|_1 \right)

    with :math:`\|\cdot\|_1` the mean absolute difference of values in [-1, 1]. Each
    discriminator minimises
    :math:`\frac{1}{2}\mathbb{E}[(D(\text{real}) - 1)^2] +
    \frac{1}{2}\mathbb{E}[D(\text{fake})^2]`.

    Parameters
    ----------
    {common_parameters}
    generator : {"resnet", "unet"} or callable, default="resnet"
        ``"resnet"`` has reflection padding, instance normalisation and residual
        blocks; ``"unet"`` is that of the published code of [2]_. A callable takes the
        number of channels and returns a Module that maps NCHW images in [-1, 1] to
        images of the same shape. The module may have an integer ``size_multiple``.
        Batch normalisation is possible, but a step then takes more passes. Feature
        rows use a fully connected generator unless a callable is given.
    lambda_cycle : float, default=10.0
        Weight of the cycle loss.
    lambda_identity : float, default=1.0
        Weight of the identity loss, which keeps colours that need no change. It is
        not multiplied by `lambda_cycle`.

    Attributes
    ----------
    {common_attributes}
    generator_ts_ : Module
        Network from target to source.
    discriminator_s_ : Module
        Discriminator of source images.

    See Also
    --------
    gansampler.CUT : Faster, with one generator.
    gansampler.GANOverSampler : Over-samples a data set with a translator.

    References
    ----------
    .. [1] J.-Y. Zhu, T. Park, P. Isola, A. A. Efros, "Unpaired image-to-image
       translation using cycle-consistent adversarial networks", ICCV 2017.
    .. [2] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> from gansampler import CycleGAN
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(12, weights=(0.5, 0.5), image_size=16, random_state=0)
    >>> translator = CycleGAN(
    ...     ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, random_state=0
    ... )
    >>> translator = translator.fit(X[y == "benign"], X[y == "malignant"])
    >>> translator.translate(X[:3]).shape
    (3, 16, 16, 3)
    """

    pool_size: int = 50
    generator: str | Callable[[int], nn.Module] = "resnet"
    lambda_cycle: float = 10.0
    lambda_identity: float = 1.0

    _parameter_constraints = {
        **AdversarialTranslator._parameter_constraints,
        "generator": [StrOptions({"resnet", "unet"}), callable],
        "lambda_cycle": [at_least(0)],
        "lambda_identity": [at_least(0)],
    }

    def inverse_translate(self, X: npt.ArrayLike) -> np.ndarray:
        """Translate target images into source images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, with the same height, width and
            channels.

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`
        """
        decode = partial(self._decode, domain="source")
        return self._map(lambda: self.generator_ts_, X, "target", decode)

    def _build_networks(self) -> dict[str, nn.Module]:
        return {
            "generator_st": self._build_generator(),
            "generator_ts": self._build_generator(),
            "discriminator_s": self._build_discriminator(),
            "discriminator_t": self._build_discriminator(),
        }

    def _build_generator(self) -> nn.Module:
        n_channels = self.sample_shape_[-1]
        if callable(self.generator):
            network = self.generator(n_channels)
            if not isinstance(network, nn.Module):
                raise TypeError(
                    "A callable `generator` must return a torch.nn.Module. Got "
                    f"{type(network).__name__}. Return a module that maps images to "
                    "images of the same shape."
                )
            return network
        if len(self.sample_shape_) == 1:
            return MLPGenerator(n_channels, width=self.ngf)
        if self.generator == "unet":
            depth = min(MAX_UNET_DEPTH, self._side.bit_length() - 2)
            return UNetGenerator(n_channels, ngf=self.ngf, depth=depth)
        return self._build_resnet()

    def _build_task(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
    ) -> CycleGANTask:
        return CycleGANTask(
            networks,
            data,
            settings,
            lambda_cycle=self.lambda_cycle,
            lambda_identity=self.lambda_identity,
        )


class CycleGANTask(AdversarialTask):
    """Update the generators against frozen discriminators, then the discriminators.

    Parameters
    ----------
    networks, data, settings
        See :class:`AdversarialTask`.
    lambda_cycle, lambda_identity : float
        See :class:`CycleGAN`.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
        *,
        lambda_cycle: float,
        lambda_identity: float,
    ) -> None:
        super().__init__(networks, data, settings)
        self.lambda_cycle, self.lambda_identity = lambda_cycle, lambda_identity

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update generators, then discriminators."""
        real_source, real_target = batch
        with self.frozen_discriminators():
            fake_source, fake_target, losses = self._update_generators(*batch)
        return losses | self.update_discriminators(
            discriminator_s=(real_source, fake_source),
            discriminator_t=(real_target, fake_target),
        )

    def _update_generators(
        self, real_source: torch.Tensor, real_target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        with_identity = self.lambda_identity > 0
        fake_target, *idt_target = self._generate(
            "generator_st", real_source, *[real_target] * with_identity
        )
        fake_source, *idt_source = self._generate(
            "generator_ts", real_target, *[real_source] * with_identity
        )
        losses = {
            "adversarial_st": self.adversarial_loss("discriminator_t", fake_target),
            "adversarial_ts": self.adversarial_loss("discriminator_s", fake_source),
        }
        (rec_source,) = self._generate("generator_ts", fake_target)
        losses["cycle_source"] = F.l1_loss(rec_source, real_source)
        (rec_target,) = self._generate("generator_st", fake_source)
        losses["cycle_target"] = F.l1_loss(rec_target, real_target)
        total = (
            losses["adversarial_st"]
            + losses["adversarial_ts"]
            + self.lambda_cycle * (losses["cycle_source"] + losses["cycle_target"])
        )
        if with_identity:
            losses["identity_source"] = F.l1_loss(idt_source[0], real_source)
            losses["identity_target"] = F.l1_loss(idt_target[0], real_target)
            total = total + self.lambda_identity * (
                losses["identity_source"] + losses["identity_target"]
            )
        self.update_generators(total)
        return fake_source, fake_target, losses

    def _generate(self, name: str, *batches: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of a generator for equally large batches, in their dtype.

        A generator that treats each image separately gets all of them in one pass,
        which is faster and gives the same result.
        """
        generator = self.modules[name]
        if has_batch_statistics(generator):
            outputs = [generator(batch) for batch in batches]
        else:
            output, n = generator(torch.cat(batches)), len(batches[0])
            outputs = [output[i * n : (i + 1) * n] for i in range(len(batches))]
        for batch, output in zip(batches, outputs, strict=True):
            if output.shape != batch.shape:
                raise ValueError(
                    "A generator must return images of the shape of its input, "
                    f"{tuple(batch.shape[1:])} as (channels, height, width). Got "
                    f"{tuple(output.shape[1:])}. Correct the callable `generator`, or "
                    "give its module a `size_multiple`."
                )
        return [output.to(batches[0].dtype) for output in outputs]


def has_batch_statistics(network: nn.Module) -> bool:
    """Whether a network has normalisation layers that mix the images of a batch.

    These are batch normalisation, and layers that track statistics for evaluation.
    """
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
    return any(
        isinstance(layer, kinds) or getattr(layer, "track_running_stats", False)
        for layer in network.modules()
    )

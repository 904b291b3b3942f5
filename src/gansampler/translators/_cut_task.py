"""One step of CUT: what is contrasted, where, and the two updates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from gansampler.images import ImageSequence
from gansampler.losses._adversarial import (
    least_squares_discriminator_loss,
    least_squares_generator_loss,
)
from gansampler.losses._contrastive import patch_contrastive_loss
from gansampler.networks import ResNetGenerator, init_weights
from gansampler.networks._resnet import _ResidualBlock
from gansampler.translators._pool import ImagePool
from gansampler.translators._task import TranslationTask

if TYPE_CHECKING:
    from gansampler.translators._cut import CUT

__all__ = ["CUTTask", "PatchProjection", "split_encoder"]

# The published settings.
N_PATCHES = 256
N_PROJECTED = 256
TEMPERATURE = 0.07

Features = list[torch.Tensor]


def split_encoder(generator: ResNetGenerator) -> tuple[nn.Sequential, list[nn.Module]]:
    """Return the first half of a generator, and the layers whose outputs are compared.

    These are the two strided convolutions, the first block and the middle one, which
    is the fifth of nine. The image itself is compared, too.
    """
    layers = list(generator.layers)
    strided = [
        layer
        for layer in layers
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)
    ]
    blocks = [layer for layer in layers if isinstance(layer, _ResidualBlock)]
    middle = blocks[(len(blocks) - 1) // 2]
    compared = [*strided, blocks[0]] + [middle] * (middle is not blocks[0])
    return nn.Sequential(*layers[: layers.index(middle) + 1]), compared


class PatchProjection(nn.Module):
    """For each compared layer a perceptron from its channels to what is contrasted.

    Parameters
    ----------
    widths : list of int
        Channels of the image and of each compared layer.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, N_PROJECTED),
                nn.ReLU(inplace=True),
                nn.Linear(N_PROJECTED, N_PROJECTED),
            )
            for width in widths
        )
        init_weights(self)

    def forward(self, features: Features, places: Features) -> Features:
        """Project the features at some places, the same ones of each image.

        Parameters
        ----------
        features : list of Tensor of shape (n, n_channels, height, width)
        places : list of Tensor of int64 of shape (n_places,)
            Pixels, counted row by row.

        Returns
        -------
        projected : list of Tensor of shape (n, n_places, 256)
        """
        return [
            head(maps.permute(0, 2, 3, 1)[:, at // maps.shape[3], at % maps.shape[3]])
            for head, maps, at in zip(self.heads, features, places, strict=True)
        ]


class CUTTask(TranslationTask):
    """Generator and projection first against a frozen discriminator, then that one.

    The keys of the contrast, which get no gradient, are what the encoder makes of the
    real images. It has just made that for the translation: only where that one was of
    flipped images are they encoded once more.
    """

    model: CUT

    def __init__(
        self,
        model: CUT,
        source: ImageSequence,
        target: ImageSequence,
        data_seed: int,
        pool_seed: int,
        patch_seed: int,
    ) -> None:
        self.pool_t = ImagePool(model.pool_size, np.random.default_rng(pool_seed))
        # All processes draw the same from it: one place for all images of a batch.
        self.rng = np.random.default_rng(patch_seed)
        generator = model.generator_st_
        super().__init__(
            model,
            source,
            target,
            data_seed,
            generator.size_multiple,
            pools=(self.pool_t,),
        )
        self.modules = {
            "generator_st": generator,
            "discriminator_t": model.discriminator_t_,
            "projection": model.projection_,
        }
        if model.generator_st_ema_ is not None:
            self.use_ema("generator_st", model.generator_st_ema_, model.ema_decay)
        self.encoder, self.compared = split_encoder(generator)
        self.use_adam(
            generator=chain(generator.parameters(), model.projection_.parameters()),
            discriminator=model.discriminator_t_.parameters(),
        )

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Update the generator, then the discriminator."""
        real_source, real_target = batch
        fake_target, losses = self._update_generator(real_source, real_target)
        losses["discriminator_t"] = self._update_discriminator(real_target, fake_target)
        return losses

    def _update_generator(self, real_source, real_target):
        discriminator = self.modules["discriminator_t"].requires_grad_(False)
        n, with_identity = len(real_source), not self.model.fast
        real = torch.cat([real_source, real_target]) if with_identity else real_source
        flips = self.model.fast and self.rng.random() < 0.5
        made, keys = self._encode(
            self.modules["generator_st"], real.flip(3) if flips else real
        )
        made = made.to(real.dtype)
        queries = self._encode(self.encoder, made)[1]
        if flips:
            queries = [maps.flip(3) for maps in queries]
            with torch.no_grad():
                keys = self._encode(self.encoder, real)[1]
        contrasts = self._contrast(queries, keys, n)
        adversarial = least_squares_generator_loss(
            discriminator(made[:n]).to(real.dtype)
        )
        nce = torch.stack(contrasts).mean()
        self.update("generator", adversarial + self.model._weight_nce * nce)
        self.update_ema()
        names = ("nce_source", "nce_target")[: len(contrasts)]
        losses = {
            "adversarial_st": adversarial,
            **dict(zip(names, contrasts, strict=True)),
        }
        return made[:n].detach(), losses

    def _encode(
        self, network: nn.Module, images: torch.Tensor
    ) -> tuple[torch.Tensor, Features]:
        """Return a network's output, and the images and what the layers make of them.

        The network is the generator or its first half.
        """
        with _recorded(self.compared) as features:
            output = network(images)
        return output, [images, *features]

    def _contrast(
        self, queries: Features, keys: Features, n: int
    ) -> list[torch.Tensor]:
        """Return the contrastive losses of the first `n` images and of the others."""
        projection = self.modules["projection"]
        dtype, device = queries[0].dtype, queries[0].device
        places = [self._draw_places(maps).to(device) for maps in queries]
        # First with gradients: the weights in half precision are kept for the second.
        projected = projection(queries, places)
        with torch.no_grad():
            targets = projection(keys, places)
        # Divided by the temperature, half precision's errors would be seen.
        with torch.autocast(device.type, enabled=False):
            return [
                torch.stack(
                    [
                        patch_contrastive_loss(
                            query[part].to(dtype), key[part].to(dtype), TEMPERATURE
                        )
                        for query, key in zip(projected, targets, strict=True)
                    ]
                ).mean()
                for part in (slice(n), slice(n, None))
                if len(queries[0][part])
            ]

    def _draw_places(self, maps: torch.Tensor) -> torch.Tensor:
        """Choose pixels of a layer's output, each at most once."""
        n_pixels = maps.shape[2] * maps.shape[3]
        chosen = self.rng.choice(n_pixels, min(N_PATCHES, n_pixels), replace=False)
        return torch.from_numpy(chosen)

    def _update_discriminator(self, real_target, fake_target):
        discriminator = self.modules["discriminator_t"].requires_grad_(True)
        judged = torch.cat([real_target, self.mix(self.pool_t, fake_target)])
        scores = discriminator(judged).to(real_target.dtype)
        n = len(real_target)
        loss = least_squares_discriminator_loss(scores[:n], scores[n:])
        self.update("discriminator", loss)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Add the state of the patches' randomness."""
        return {**super().state_dict(), "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.rng.bit_generator.state = state["rng"]


@contextlib.contextmanager
def _recorded(layers: list[nn.Module]) -> Iterator[Features]:
    """Collect the outputs of layers, in the order in which they are run."""
    outputs: Features = []

    def keep(layer: nn.Module, args: Any, output: torch.Tensor) -> None:
        outputs.append(output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()

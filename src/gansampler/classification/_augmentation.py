"""Random changes of training images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torchvision.transforms import InterpolationMode, v2

from gansampler._validation import isolated_rng

Transform = Callable[[torch.Tensor], torch.Tensor]
AUGMENTATIONS = ("geometry", "color", "both")


def make_transform(
    augmentation: str | Transform | None,
    sample_shape: tuple[int, ...],
    *,
    any_angle: bool,
) -> Transform | None:
    """Return a function that changes one image at random.

    Parameters
    ----------
    augmentation : {"geometry", "color", "both"}, callable or None
        As in :class:`TransferClassifier`.
    sample_shape : tuple of int
        (height, width, n_channels) of the images, or (n_features,) of feature rows.
    any_angle : bool
        Whether images are rotated by any angle, or by up to 15 degrees.

    Returns
    -------
    transform : callable or None
        Maps a float tensor of shape (n_channels, height, width) in [0, 1] to another
        one. It draws from torch's global generator. None for feature rows.

    Raises
    ------
    ValueError
        If the colours of images with this number of channels cannot be changed.
    """
    if len(sample_shape) == 1:
        return None
    if not isinstance(augmentation, str):
        return augmentation
    height, width, n_channels = sample_shape
    transforms: list[torch.nn.Module] = []
    if augmentation in ("geometry", "both"):
        transforms += [
            # The parts that come into view show the mirrored image.
            v2.Pad(
                [max(width // 2 - 1, 0), max(height // 2 - 1, 0)],
                padding_mode="reflect",
            ),
            v2.RandomAffine(
                180 if any_angle else 15,
                # As shares of the padded image, which is twice as large.
                translate=(0.025, 0.025),
                scale=(0.8, 1.25),
                interpolation=InterpolationMode.BILINEAR,
            ),
            v2.CenterCrop([height, width]),
        ]
    if augmentation in ("color", "both"):
        if n_channels not in (1, 3):
            raise ValueError(
                "`augmentation` can change the colours of images with 1 or 3 channels. "
                f"Got {augmentation!r} for {n_channels} channels. Choose 'geometry', "
                "or pass a callable."
            )
        # Saturation and hue exist in RGB images only.
        rgb = {"saturation": 0.3, "hue": 0.05} if n_channels == 3 else {}
        transforms.append(v2.ColorJitter(brightness=0.3, contrast=0.3, **rgb))
    return v2.Compose(transforms)


def augment(
    images: torch.Tensor, transform: Transform, seeds: np.ndarray
) -> torch.Tensor:
    """Change each image of a batch at random.

    Parameters
    ----------
    images : Tensor of shape (n, n_channels, height, width)
        Images in [-1, 1].
    transform : callable
        From :func:`make_transform`.
    seeds : ndarray of int of shape (n,)
        Seed of each image. The changes of an image then do not depend on the others.

    Returns
    -------
    images : Tensor of shape (n, n_channels, height, width)
        Images in [-1, 1].
    """
    changed = torch.empty_like(images)
    for i, image in enumerate((images + 1) / 2):
        with isolated_rng(int(seeds[i])):
            result = transform(image)
        if not isinstance(result, torch.Tensor) or result.shape != image.shape:
            got = getattr(result, "shape", type(result).__name__)
            raise ValueError(
                "`augmentation` must map a tensor of shape (n_channels, height, width) "
                f"to one of the same shape, {tuple(image.shape)}. Got {got}. Add "
                "v2.Resize or v2.CenterCrop to it."
            )
        changed[i] = result
    return changed.clamp(0, 1) * 2 - 1

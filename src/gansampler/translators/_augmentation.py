"""Random changes of what a discriminator sees, through which gradients flow."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

# Largest change of the brightness, in the range [-1, 1] of the pixels.
BRIGHTNESS = 0.2
SATURATION = 0.5
CONTRAST = 0.25
# Largest shift, as a fraction of the height and the width.
SHIFT = 0.125
N_DRAWS = 5


def augment(images: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
    """Change colours and position of images at random, differentiably.

    If a discriminator sees real and generated images only after such changes, it cannot
    learn a few real images by heart [1]_. The generator does not learn the changes,
    because real images are changed as well.

    Parameters
    ----------
    images : Tensor of shape (n, n_channels, height, width)
        Images in [-1, 1].
    draws : ndarray of shape (n, 5)
        Uniform numbers in [0, 1): for brightness, saturation, contrast and the shifts
        to the right and downwards.

    Returns
    -------
    changed : Tensor of the shape of `images`
        Values can be outside of [-1, 1]. What a shift uncovers shows the reflected
        image.

    References
    ----------
    .. [1] S. Zhao, Z. Liu, J. Lin, J.-Y. Zhu, S. Han, "Differentiable augmentation for
       data-efficient GAN training", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from gansampler.translators import augment
    >>> images = torch.zeros(2, 3, 8, 8)
    >>> changed = augment(images, np.array([[0.5] * 5, [1.0] * 5]))
    >>> round(float(changed[0].mean()), 3), round(float(changed[1].mean()), 3)
    (0.0, 0.2)
    """
    # Between -1 and 1, of shape (5, n, 1, 1, 1).
    signed = torch.as_tensor(2 * draws.T - 1, dtype=images.dtype, device=images.device)
    brightness, saturation, contrast, right, down = signed[..., None, None, None]
    images = images + BRIGHTNESS * brightness
    grey = images.mean(1, keepdim=True)
    images = grey + (1 + SATURATION * saturation) * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (1 + CONTRAST * contrast) * (images - mean)
    # A shift by a whole image is 2 in the coordinates of the grid.
    theta = torch.eye(2, 3, dtype=images.dtype, device=images.device)
    theta = theta.repeat(len(images), 1, 1)
    theta[:, 0, 2] = -2 * SHIFT * right.flatten()
    theta[:, 1, 2] = -2 * SHIFT * down.flatten()
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

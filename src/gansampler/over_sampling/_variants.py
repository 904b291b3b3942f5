"""Distinct versions of one source, for when there are too few sources."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tv

__all__ = ["vary_images", "vary_rows"]

# As a share of each feature's standard deviation among the sources.
ROW_JITTER = 0.1


def vary_images(
    images: np.ndarray, variants: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Turn each image into the version with the number asked for.

    0 is the image itself; then come the other flips and rotations that keep its
    shape (7 for square images, 3 for others); from there on random rotations, with
    and without a flip, that reflect the image at its edges.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, n_channels)
        uint8 or floating; changed in place.
    variants : ndarray of int of shape (n,)
    rng : numpy.random.Generator

    Returns
    -------
    images : ndarray
        The same.
    """
    square = images.shape[1] == images.shape[2]
    n_exact = 8 if square else 4
    for i in np.flatnonzero(variants):
        if variants[i] < n_exact:
            images[i] = _flip_and_turn(images[i], int(variants[i]))
        else:
            images[i] = _rotate(images[i], rng.uniform(0, 360), rng.random() < 0.5)
    return images


def vary_rows(
    rows: np.ndarray, variants: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Add noise to the feature rows whose variant is not 0 (a smoothed bootstrap)."""
    changed = np.flatnonzero(variants)
    noise = rng.standard_normal((len(changed), rows.shape[1]))
    varied = rows.astype(np.float64)
    varied[changed] += ROW_JITTER * varied.std(axis=0) * noise
    return varied


def _flip_and_turn(image: np.ndarray, variant: int) -> np.ndarray:
    # 1, 2, 3 keep any image's shape; 4 and up turn by 90 degrees.
    if variant & 1:
        image = image[:, ::-1]
    if variant & 2:
        image = image[::-1]
    return image.transpose(1, 0, 2) if variant & 4 else image


def _rotate(image: np.ndarray, angle: float, flip: bool) -> np.ndarray:
    height, width = image.shape[:2]
    if flip:
        image = image[:, ::-1]
    # Half the diagonal is what corners need, and a reflection can give side - 1.
    margin = int(np.hypot(height, width) / 2) + 1
    padded = np.pad(
        image,
        (
            (min(margin, height - 1),) * 2,
            (min(margin, width - 1),) * 2,
            (0, 0),
        ),
        mode="reflect",
    )
    tensor = torch.from_numpy(np.ascontiguousarray(padded)).permute(2, 0, 1).float()
    turned = tv.rotate(tensor, angle, interpolation=tv.InterpolationMode.BILINEAR)
    cropped = tv.center_crop(turned, [height, width]).permute(1, 2, 0).numpy()
    if image.dtype == np.uint8:
        cropped = np.rint(cropped)
    return cropped.astype(image.dtype)

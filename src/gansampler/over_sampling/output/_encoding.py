"""Encode images as the bytes of a file, and estimate the size of a file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from gansampler.images import ImageSequence

SUFFIXES = {"png": "png", "jpeg": "jpg"}
CHANNELS = {"png": (1, 3, 4), "jpeg": (1, 3)}
JPEG_QUALITY = 95
# Number of sources that are encoded for the estimate.
N_ENCODED = 8
# File systems assign space in blocks.
BLOCK = 4096


def check_channels(n_channels: int, output_format: str) -> None:
    """Refuse a number of channels that the file format cannot store."""
    allowed = CHANNELS[output_format]
    if n_channels not in allowed:
        raise ValueError(
            f"Files of output_format={output_format!r} store images of "
            f"{' or '.join(map(str, allowed))} channels. Got {n_channels}. Pass "
            "image_shape=(height, width, 3) for RGB images."
        )


def encode(output_format: str, image: np.ndarray) -> bytes:
    """Return the bytes of an image file; equal images give equal bytes.

    Parameters
    ----------
    output_format : {"png", "jpeg"}
    image : ndarray of shape (height, width, n_channels)
        uint8, or floating in [0, 1], which is rounded to 8 bits.
    """
    if image.dtype != np.uint8:
        image = np.rint(image.astype(np.float64) * 255).astype(np.uint8)
    if image.shape[-1] == 1:
        image = image[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(image))
    buffer = io.BytesIO()
    if output_format == "jpeg":
        picture.save(buffer, "jpeg", quality=JPEG_QUALITY, subsampling=0)
    else:
        picture.save(buffer, "png")
    return buffer.getvalue()


def estimate_bytes(images: ImageSequence, output_format: str) -> int:
    """Return about how many bytes a synthetic image takes on a disk.

    The estimate is the largest of a few encoded sources, in whole blocks.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, N_ENCODED).astype(np.intp))
    sizes = [len(encode(output_format, image)) for image in images.take(rows)]
    return -(-max(sizes) // BLOCK) * BLOCK

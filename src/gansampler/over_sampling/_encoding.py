"""Images to the bytes of a file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from gansampler.images import ImageSequence

__all__ = ["ENDINGS", "check_channels", "encode", "estimate_bytes"]

ENDINGS = {"png": "png", "jpeg": "jpg"}
CHANNELS = {"png": (1, 3, 4), "jpeg": (1, 3)}
JPEG_QUALITY = 95
# Sources that are encoded to see how much room an image takes.
N_ENCODED = 8
# File systems hand out room in blocks.
BLOCK = 4096


def check_channels(n_channels: int, output_format: str) -> None:
    """Refuse images that files of this format do not hold."""
    known = CHANNELS[output_format]
    if n_channels not in known:
        raise ValueError(
            f"Files of output_format={output_format!r} hold images of "
            f"{' or '.join(map(str, known))} channels. Got {n_channels}. Pass "
            "image_shape=(height, width, 3) for RGB images."
        )


def encode(output_format: str, image: np.ndarray) -> bytes:
    """Return the bytes of an image file; the same image gives the same bytes.

    Parameters
    ----------
    output_format : {"png", "jpeg"}
    image : ndarray of uint8 of shape (height, width, n_channels)
    """
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
    """Return about how much room a synthetic image takes on a disk.

    It is as much as the largest of a few sources takes, in whole blocks.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, N_ENCODED).astype(np.intp))
    sizes = [len(encode(output_format, image)) for image in images.take(rows)]
    return -(-max(sizes) // BLOCK) * BLOCK

"""One image of any mode and size to an array of the shape that is worked with."""

from __future__ import annotations

import contextlib
import os

import numpy as np
from PIL import Image, ImageCms, ImageOps

__all__ = ["RESIZE", "check_mode", "decode_file", "to_array"]

RESIZE = ("crop", "stretch", "pad")
MODE_OF_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
BACKGROUND = "white"


def decode_file(
    path: str | os.PathLike[str], shape: tuple[int, int, int], resize: str
) -> np.ndarray:
    """Read a file as uint8 of shape (height, width, n_channels)."""
    with Image.open(path) as image:
        # A JPEG of many megapixels is decoded at a half, a quarter or an eighth where
        # that leaves twice the size asked for, so that the resize below sets the
        # quality. Both sides, as it may lie on its side.
        side = 2 * max(shape[:2])
        image.draft("L" if shape[2] == 1 else None, (side, side))
        return to_array(image, shape, resize)


def to_array(
    image: Image.Image, shape: tuple[int, int, int], resize: str
) -> np.ndarray:
    """Turn an image upright, and bring it to the channels and the size of `shape`.

    Parameters
    ----------
    image : Image
        Changed in place.
    shape : tuple of (height, width, n_channels)
    resize : {"crop", "stretch", "pad"}

    Returns
    -------
    array : ndarray of uint8 of shape `shape`
    """
    image.load()
    # EXIF that is damaged, in whatever way, says nothing: the image is upright.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    image = _fit(_convert(image, MODE_OF_CHANNELS[shape[2]]), shape[:2], resize)
    return np.asarray(image, dtype=np.uint8).reshape(shape)


def check_mode(image: Image.Image) -> str | None:
    """Return why the mode of an image can not be brought to 8 bits, or None."""
    if image.mode in ("I", "F") and not _is_deep_grey(image):
        return "32-bit pixels have no known range; save it with 8 or 16 bits"
    return None


def _is_deep_grey(image: Image.Image) -> bool:
    # Pillow brings 16-bit PGM files to the range of 16 bits, in the mode of 32.
    return image.mode.startswith("I;16") or (
        image.mode == "I" and image.format == "PPM"
    )


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if _is_deep_grey(image):
        # Pillow would clip 16 bits at 255; 65535 / 257 is 255.
        deep = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    elif reason := check_mode(image):
        raise ValueError(reason)
    elif image.mode == "La":
        image = image.convert("LA")
    elif image.mode == "LAB":
        image = _lab_to_rgb(image)
    if image.mode == mode:
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if mode != "RGBA":
            paper = Image.new("RGBA", image.size, BACKGROUND)
            image = Image.alpha_composite(paper, image)
    if image.mode not in ("1", "L", "RGB", "RGBA"):
        # Not every mode has a direct way to grey.
        image = image.convert("RGB")
    return image.convert(mode)


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only where the image is changed in place
    return converted


def _fit(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    """Bring an image to (height, width), with the bicubic filter and antialiasing."""
    height, width = size
    if image.size == (width, height):
        return image
    method = Image.Resampling.BICUBIC
    if resize == "crop":
        return ImageOps.fit(image, (width, height), method)
    if resize == "stretch":
        return image.resize((width, height), method)
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Zero in every channel: black, and transparent where there is alpha.
    padded = Image.new(image.mode, (width, height))
    corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    padded.paste(image.resize(inner, method), corner)
    return padded

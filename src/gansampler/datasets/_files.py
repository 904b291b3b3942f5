"""Image files to one array of one size: what every loader has in common."""

import struct
from collections import Counter
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

__all__ = ["check_image_size", "read_images"]

# What Pillow raises, by format, on files that are damaged or no images at all.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
_MAX_NAMED = 10


def check_image_size(image_size: object) -> tuple[int, int] | None:
    """Return (height, width), or None for the files' own size."""
    if image_size is None:
        return None
    sides = image_size if isinstance(image_size, (tuple, list)) else (image_size,) * 2
    is_count = [isinstance(s, Integral) and not isinstance(s, bool) for s in sides]
    if len(sides) != 2 or not all(is_count) or min(sides) < 1:
        raise ValueError(
            "`image_size` must be a positive int, a pair (height, width) of them, or "
            f"None for the files' own size. Got {image_size!r}. Pass image_size=256 "
            "for images of 256 x 256 pixels."
        )
    return int(sides[0]), int(sides[1])


def read_images(
    paths: Sequence[Path], image_size: tuple[int, int] | None
) -> np.ndarray:
    """Decode image files, upright and in RGB, and resize them to one size.

    Parameters
    ----------
    paths : sequence of Path of length n_samples
    image_size : tuple (height, width) or None
        None takes the files' own size, which must be the same for all.

    Returns
    -------
    ndarray of shape (n_samples, height, width, 3), uint8
        RGB.

    Raises
    ------
    OSError
        If files cannot be decoded; all of them are counted, the first ones named.
    ValueError
        If `image_size` is None and the files differ in size.
    """
    images: list[np.ndarray] = []
    failures: list[str] = []
    for path in paths:
        try:
            images.append(_read_image(path, image_size))
        except _UNREADABLE as error:
            failures.append(f"{path} ({error})")
    if failures:
        named = "; ".join(failures[:_MAX_NAMED])
        if len(failures) > _MAX_NAMED:
            named += f"; and {len(failures) - _MAX_NAMED} more"
        raise OSError(
            f"{len(failures)} of {len(paths)} image files could not be read: {named}. "
            "Replace them with whole ones, or take them out of the data set."
        )
    sizes = Counter(image.shape[:2] for image in images)
    if len(sizes) > 1:
        counts = ", ".join(
            f"{count} of {height} x {width}"
            for (height, width), count in sizes.most_common(5)
        )
        raise ValueError(
            "With image_size=None all files must have one size. Got "
            f"{len(sizes)} sizes (height x width): {counts}"
            f"{', ...' if len(sizes) > 5 else ''}. Pass an image_size to resize them."
        )
    return np.stack(images)


def _read_image(path: Path, image_size: tuple[int, int] | None) -> np.ndarray:
    with Image.open(path) as image:
        if image_size is not None:
            # A photograph of many megapixels is decoded at a half, a quarter or an
            # eighth where that still leaves twice the size asked for, so that the
            # resize below sets the quality. Both sides, as it may lie on its side.
            image.draft(None, (2 * max(image_size), 2 * max(image_size)))
        upright = _as_rgb(ImageOps.exif_transpose(image))
        if image_size is not None and upright.size != image_size[::-1]:
            upright = upright.resize(image_size[::-1], Image.Resampling.BICUBIC)
        return np.asarray(upright, dtype=np.uint8)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits at 255.
        deep = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.rint(deep / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no known range; save it with 8 or 16 bits")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")

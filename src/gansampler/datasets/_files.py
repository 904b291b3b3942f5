"""Decode image files into one array: shared by all loaders."""

import struct
from collections import Counter
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gansampler.images import decode_file, to_array, warn_if_dark

# What Pillow raises, depending on the format, if a file is damaged or not an image.
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
    """Return (height, width), or None to keep the size of the files."""
    if image_size is None:
        return None
    sides = image_size if isinstance(image_size, (tuple, list)) else (image_size,) * 2
    is_count = [isinstance(s, Integral) and not isinstance(s, bool) for s in sides]
    if len(sides) != 2 or not all(is_count) or min(sides) < 1:
        raise ValueError(
            "`image_size` must be a positive int, a pair (height, width) of them, or "
            f"None to keep the size of the files. Got {image_size!r}. Pass "
            "image_size=256 or (256, 256) for images of 256 x 256 pixels; they have 3 "
            "channels."
        )
    return int(sides[0]), int(sides[1])


def read_images(
    paths: Sequence[Path], image_size: tuple[int, int] | None
) -> np.ndarray:
    """Decode image files as upright RGB images of one size.

    Transparent images are put on a white background.

    Parameters
    ----------
    paths : sequence of Path of length n_samples
    image_size : tuple (height, width) or None
        None keeps the size of the files, which must be the same for all.

    Returns
    -------
    ndarray of shape (n_samples, height, width, 3), uint8
        RGB.

    Raises
    ------
    OSError
        If files cannot be decoded. The message counts them and names the first ones.
    ValueError
        If `image_size` is None and the files differ in size.

    Warns
    -----
    GANSamplerWarning
        If 16-bit grey files use a small part of their range.
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
            "Replace them, or remove them from the data set."
        )
    warn_if_dark(paths, stacklevel=3)
    sizes = Counter(image.shape[:2] for image in images)
    if len(sizes) > 1:
        counts = ", ".join(
            f"{count} of {height} x {width}"
            for (height, width), count in sizes.most_common(5)
        )
        raise ValueError(
            "With image_size=None all files must have the same size. Got "
            f"{len(sizes)} sizes (height x width): {counts}"
            f"{', ...' if len(sizes) > 5 else ''}. Pass an image_size to resize them."
        )
    return np.stack(images)


def _read_image(path: Path, image_size: tuple[int, int] | None) -> np.ndarray:
    if image_size is not None:
        return decode_file(path, (*image_size, 3), "stretch")
    with Image.open(path) as image:
        width, height = ImageOps.exif_transpose(image).size
        return to_array(image, (height, width, 3), "stretch")

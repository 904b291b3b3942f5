"""One image: check its file, decode it, and bring it to 8 bits, channels and size."""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from gansampler.exceptions import GANSamplerWarning

RESIZE = ("crop", "stretch", "pad")
# Mode of Pillow for each supported number of channels.
CHANNEL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
BACKGROUND = "white"
DICOM = (
    "a DICOM file; convert it to PNG first, with dcmj2pnm of DCMTK or with pydicom, "
    "which also apply its window and photometric interpretation"
)
ORIENTATION = 0x0112  # EXIF tag
TAIL_BYTES = 4096
# Many cameras and scanners store 10 or 12 bits in 16-bit files.
MAX_DARK = 2**12 - 1
N_DARK_FILES = 16


class FileCheck(NamedTuple):
    """What the header of a file says; `reason` is None if the file can be used."""

    reason: str | None
    n_bytes: int = 0
    mtime_ns: int = 0
    # (height, width), upright.
    size: tuple[int, int] = (0, 0)
    is_grey: bool = False
    is_deep_grey: bool = False
    has_several_frames: bool = False


def check_file(path: str) -> FileCheck:
    """Check the header and the end of a file.

    A file is decoded only if its format has no end mark, or if the mark is missing.
    """
    if not path:
        return FileCheck("the path is missing")
    try:
        file_path = Path(path)
        status = file_path.stat()
        if stat.S_ISDIR(status.st_mode):
            return FileCheck("a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            return FileCheck("not a regular file")
        if status.st_size == 0:
            return FileCheck("an empty file")
        with file_path.open("rb") as file:
            return _check_content(file, status)
    except FileNotFoundError:
        return FileCheck("there is no such file")
    except OSError as error:
        return FileCheck(error.strerror or str(error))
    # A path with a null character.
    except ValueError as error:
        return FileCheck(str(error))


def decode_file(
    path: str | os.PathLike[str], shape: tuple[int, int, int], resize: str
) -> np.ndarray:
    """Read an image file as an array of a given shape.

    Parameters
    ----------
    path : path-like
        File of any format and mode that Pillow reads, except 32-bit pixels.
    shape : tuple of (height, width, n_channels)
        Shape of the result; 1, 3 or 4 channels.
    resize : {"crop", "stretch", "pad"}
        How an image of another size is brought to `shape`.

    Returns
    -------
    array : ndarray of uint8 of shape (height, width, n_channels)
        The image in [0, 255].

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from gansampler.images import decode_file
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "a.png"
    >>> Image.new("RGB", (40, 30), (250, 120, 10)).save(path)
    >>> decode_file(path, (16, 16, 3), "crop").shape
    (16, 16, 3)
    >>> folder.cleanup()
    """
    with Image.open(path) as image:
        # Large JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, but at least
        # at twice the requested size, so that the resize below sets the quality. The
        # longer side is used for both, since the image may have to be rotated.
        side = 2 * max(shape[:2])
        image.draft("L" if shape[2] == 1 else None, (side, side))
        return to_array(image, shape, resize)


def to_array(
    image: Image.Image, shape: tuple[int, int, int], resize: str
) -> np.ndarray:
    """Return a PIL image as an upright array of a given shape.

    Parameters
    ----------
    image : Image
        Image of any mode except 32-bit pixels. It is changed in place.
    shape : tuple of (height, width, n_channels)
        Shape of the result; 1, 3 or 4 channels.
    resize : {"crop", "stretch", "pad"}
        How an image of another size is brought to `shape`.

    Returns
    -------
    array : ndarray of uint8 of shape (height, width, n_channels)
        The image in [0, 255].

    Examples
    --------
    >>> from PIL import Image
    >>> from gansampler.images import to_array
    >>> to_array(Image.new("L", (40, 30), 7), (8, 8, 3), "stretch")[0, 0].tolist()
    [7, 7, 7]
    """
    image.load()
    # Damaged EXIF data can raise any error. They are ignored.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    image = _fit(_convert(image, CHANNEL_MODES[shape[2]]), shape[:2], resize)
    return np.asarray(image, dtype=np.uint8).reshape(shape)


def warn_if_dark(
    images: Iterable[str | os.PathLike[str] | Image.Image], *, stacklevel: int = 1
) -> None:
    """Warn if 16-bit grey images use a small part of their range.

    Values are divided by 257, so that images of 10 or 12 bits become almost black.

    Parameters
    ----------
    images : iterable of path-like or Image
        Files or open images. The first 16 are checked. Files that cannot be read and
        images that are not 16-bit grey are ignored.
    stacklevel : int, default=1
        Stack level of the warning; 1 is the caller of this function.

    Warns
    -----
    GANSamplerWarning
        If the largest value found is at most 4095.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from PIL import Image
    >>> from gansampler.images import warn_if_dark
    >>> image = Image.fromarray(np.full((8, 8), 4000, dtype=np.uint16))
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_if_dark([image])
    >>> "largest value found is 4000" in str(caught[0].message)
    True
    """
    largest = [
        value
        for _, image in zip(range(N_DARK_FILES), images, strict=False)
        if (value := _largest_deep_value(image)) is not None
    ]
    if not largest or not 0 < max(largest) <= MAX_DARK:
        return
    # Sensors have an even number of bits.
    n_bits = max(8, -(-max(largest).bit_length() // 2) * 2)
    warnings.warn(
        "16-bit grey images should use the whole range from 0 to 65535, because their "
        f"values are divided by 257. The largest value found is {max(largest)}, in "
        f"the first {len(largest)} of them, so that they become almost black. If "
        f"their values have {n_bits} bits, save the files with values multiplied by "
        f"{2 ** (16 - n_bits)}, or load them and pass arrays divided by "
        f"{2**n_bits - 1}.",
        GANSamplerWarning,
        stacklevel=stacklevel + 1,
    )


def _largest_deep_value(image: str | os.PathLike[str] | Image.Image) -> int | None:
    """Return the largest value of a 16-bit grey image; None for other images."""
    if isinstance(image, Image.Image):
        return int(np.asarray(image).max()) if _is_deep_grey(image) else None
    # Damaged files can raise any error. They are reported when they are read.
    with contextlib.suppress(Exception), Image.open(image) as opened:
        return _largest_deep_value(opened)
    return None


def _check_content(file: BinaryIO, status: os.stat_result) -> FileCheck:
    try:
        with Image.open(file) as image:
            reason = _check_size(image) or _check_mode(image)
            if reason is None and not _has_end(file, image.format, status.st_size):
                image.load()
            return FileCheck(
                reason,
                status.st_size,
                status.st_mtime_ns,
                _upright_size(image),
                image.mode in GREY_MODES,
                _is_deep_grey(image),
                # An MPO file is one photograph with a preview.
                getattr(image, "is_animated", False) and image.format != "MPO",
            )
    except UnidentifiedImageError:
        file.seek(0)
        is_dicom = file.read(132)[128:] == b"DICM"
        return FileCheck(DICOM if is_dicom else "no image that Pillow knows")
    except Image.DecompressionBombError as error:
        return FileCheck(str(error))
    # Pillow has no error class for damaged files: any error is possible.
    except Exception as error:
        return FileCheck(f"damaged: {error}")


def _check_size(image: Image.Image) -> str | None:
    """Return the reason why an image is too large, or None."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        return (
            f"{image.width} x {image.height} px, more than the {limit} pixels of "
            "PIL.Image.MAX_IMAGE_PIXELS, perhaps a decompression bomb"
        )
    return None


def _check_mode(image: Image.Image) -> str | None:
    """Return the reason why a mode cannot be converted to 8 bits, or None."""
    if image.mode in ("I", "F") and not _is_deep_grey(image):
        return "32-bit pixels have no known range; save it with 8 or 16 bits"
    return None


def _is_deep_grey(image: Image.Image) -> bool:
    """Return whether an image has 16-bit grey values."""
    # Pillow reads 16-bit PGM files in mode "I", scaled to the range of 16 bits.
    return image.mode.startswith("I;16") or (
        image.mode == "I" and image.format == "PPM"
    )


def _has_end(file: BinaryIO, format_: str | None, n_bytes: int) -> bool:
    """Return whether a file has the mark with which its format ends."""
    position = file.tell()
    file.seek(max(0, n_bytes - TAIL_BYTES))
    tail = file.read()
    file.seek(position)
    if format_ in ("JPEG", "MPO"):
        # Compressed data cannot contain the mark: 00 follows each FF.
        return b"\xff\xd9" in tail
    if format_ == "PNG":
        return b"IEND" in tail
    if format_ == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    return False


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (height, width) after the EXIF orientation is applied."""
    width, height = image.size
    # Without EXIF data in the header, Pillow would decode a whole PNG to find them.
    if "exif" in image.info or image.format == "TIFF":
        with contextlib.suppress(Exception):  # damaged EXIF data
            if image.getexif().get(ORIENTATION, 1) >= 5:
                return width, height
    return height, width


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Return an image with 8 bits, in the mode "L", "RGB" or "RGBA"."""
    if _is_deep_grey(image):
        # Pillow would clip 16-bit values at 255. 65535 / 257 = 255.
        deep = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    elif reason := _check_mode(image):
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
            background = Image.new("RGBA", image.size, BACKGROUND)
            image = Image.alpha_composite(background, image)
    if image.mode not in ("1", "L", "RGB", "RGBA"):
        # Some modes cannot be converted to grey directly.
        image = image.convert("RGB")
    return image.convert(mode)


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only if the image is changed in place
    return converted


def _fit(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    """Bring an image to (height, width) with the antialiased bicubic filter."""
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
    # All channels are 0: black, and transparent if there is an alpha channel.
    padded = Image.new(image.mode, (width, height))
    corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    padded.paste(image.resize(inner, method), corner)
    return padded

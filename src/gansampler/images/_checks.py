"""All files are looked at before any work starts, and all that are bad are named."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, UnidentifiedImageError

from gansampler.images._decode import check_mode
from gansampler.images._forms import is_missing
from gansampler.images._offenders import DICOM

__all__ = ["FileCheck", "as_path", "check_files"]

FILES_A_JOB = 64
TAIL = 4096
ORIENTATION = 0x0112
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")


class FileCheck(NamedTuple):
    """What the header of a file says; `reason` is why it can not be used."""

    reason: str | None
    n_bytes: int = 0
    mtime_ns: int = 0
    # (height, width) when upright.
    size: tuple[int, int] = (0, 0)
    is_grey: bool = False
    has_more: bool = False


def as_path(entry: Any) -> str:
    """Return an entry as text; "" for a missing one."""
    return "" if is_missing(entry) else os.fsdecode(entry)


def check_files(paths: Sequence[str], n_threads: int) -> list[FileCheck]:
    """Look at the header and at the end of every file, in order.

    A file is decoded here only if its format does not mark its end, or if the mark is
    not there.

    Parameters
    ----------
    paths : sequence of str
    n_threads : int

    Returns
    -------
    checks : list of FileCheck
    """
    jobs = [paths[i : i + FILES_A_JOB] for i in range(0, len(paths), FILES_A_JOB)]
    # Pillow warns of what is judged here. The filters are those of the process, so
    # they are set around the threads, not in them.
    with warnings.catch_warnings(), ThreadPoolExecutor(n_threads) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        return [check for job in pool.map(_check_several, jobs) for check in job]


def _check_several(paths: Sequence[str]) -> list[FileCheck]:
    return [_check_file(path) for path in paths]


def _check_file(path: str) -> FileCheck:
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


def _check_content(file: BinaryIO, status: os.stat_result) -> FileCheck:
    try:
        with Image.open(file) as image:
            reason = _too_large(image) or check_mode(image)
            if reason is None and not _has_end(file, image.format, status.st_size):
                image.load()
            return FileCheck(
                reason,
                status.st_size,
                status.st_mtime_ns,
                _upright_size(image),
                image.mode in GREY_MODES,
                # A photograph with a preview beside it is one image.
                getattr(image, "is_animated", False) and image.format != "MPO",
            )
    except UnidentifiedImageError:
        file.seek(0)
        is_dicom = file.read(132)[128:] == b"DICM"
        return FileCheck(DICOM if is_dicom else "no image that Pillow knows")
    except Image.DecompressionBombError:
        return FileCheck(_bomb("more than twice"))
    # Pillow has no error of its own for damaged files: any may come.
    except Exception as error:
        return FileCheck(f"damaged: {error}")


def _too_large(image: Image.Image) -> str | None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        return _bomb(f"{image.width} x {image.height} px, more than")
    return None


def _bomb(size: str) -> str:
    return (
        f"{size} the {Image.MAX_IMAGE_PIXELS} pixels of PIL.Image.MAX_IMAGE_PIXELS, "
        "perhaps a decompression bomb"
    )


def _has_end(file: BinaryIO, format_: str | None, n_bytes: int) -> bool:
    """Whether the mark is there with which the format ends a whole file."""
    position = file.tell()
    file.seek(max(0, n_bytes - TAIL))
    tail = file.read()
    file.seek(position)
    if format_ in ("JPEG", "MPO"):
        # Not within the compressed data, where each FF is followed by 00.
        return b"\xff\xd9" in tail
    if format_ == "PNG":
        return b"IEND" in tail
    if format_ == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    return False


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    # Where there is no EXIF in the header, Pillow would decode a PNG to look for it.
    if "exif" in image.info or image.format == "TIFF":
        try:
            if image.getexif().get(ORIENTATION, 1) >= 5:
                return width, height
        except Exception:  # damaged EXIF, in whatever way
            pass
    return height, width

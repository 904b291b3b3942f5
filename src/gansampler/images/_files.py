"""Images in files, one path each."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gansampler.exceptions import GANSamplerWarning, ImageFileError
from gansampler.images._checks import FileCheck, as_path, check_files
from gansampler.images._decode import decode_file
from gansampler.images._offenders import Offender, describe
from gansampler.images._shapes import check_image_shape

__all__ = ["FileReader", "open_files"]

CHANNELS = (1, 3, 4)


class FileReader:
    """Decode the file at a position; refuse one that is not as it was.

    Parameters
    ----------
    paths : ndarray of str objects of shape (n_files,)
    rows : ndarray of int of shape (n_files,)
        Their rows in what the user passed.
    stamps : ndarray of int64 of shape (n_files, 2)
        Their sizes in bytes and times of modification.
    shape : tuple of (height, width, n_channels)
    resize : {"crop", "stretch", "pad"}
    """

    def __init__(
        self,
        paths: np.ndarray,
        rows: np.ndarray,
        stamps: np.ndarray,
        shape: tuple[int, int, int],
        resize: str,
    ) -> None:
        self.paths, self.rows, self.stamps = paths, rows, stamps
        self.shape, self.resize = shape, resize

    def __len__(self) -> int:
        return len(self.paths)

    def __call__(self, position: int) -> np.ndarray:
        """Return the image as uint8 of shape (height, width, n_channels)."""
        path = self.paths[position]
        try:
            status = Path(path).stat()
            if (status.st_size, status.st_mtime_ns) != tuple(self.stamps[position]):
                raise self._error(position, "it was changed since it was checked")
            return decode_file(path, self.shape, self.resize)
        except ImageFileError:
            raise
        except FileNotFoundError as error:
            raise self._error(position, "it was removed since") from error
        # Pillow has no error of its own for damaged files: any may come.
        except Exception as error:
            raise self._error(position, f"damaged: {error}") from error

    def _error(self, position: int, reason: str) -> ImageFileError:
        return ImageFileError(
            "Image files must be whole, and stay as they are while they are used. Row "
            f"{self.rows[position]} ({self.paths[position]}): {reason}. Replace the "
            "file, or leave the row out."
        )

    def path(self, position: int) -> str:
        """Return the path of a file."""
        return self.paths[position]

    def fingerprint(self, positions: np.ndarray) -> str:
        """Return a hash of these files' paths, sizes and times, and of the shape."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.shape, self.resize)).encode())
        for path in self.paths[positions]:
            digest.update(os.fsencode(path) + b"\0")
        digest.update(np.ascontiguousarray(self.stamps[positions]).tobytes())
        return digest.hexdigest()


def open_files(
    entries: list[Any],
    image_shape: object,
    resize: str,
    on_error: Literal["raise", "skip"],
    n_threads: int,
) -> tuple[FileReader, list[Offender]]:
    """Check every file, and return a reader of the good ones and the list of others.

    Raises
    ------
    ValueError
        If files are bad and `on_error` is "raise", or if `image_shape` is not given.
    """
    paths = [as_path(entry) for entry in entries]
    checks = check_files(paths, n_threads)
    offenders: list[Offender] = [
        (row, path, check.reason)
        for row, (path, check) in enumerate(zip(paths, checks, strict=True))
        if check.reason is not None
    ]
    if offenders and (on_error == "raise" or len(offenders) == len(paths)):
        raise ValueError(
            f"Every image file must be there and whole. {len(offenders)} of "
            f"{len(paths)} are not: {describe(offenders)}. Replace them, or leave "
            "those rows out; on_error='skip', where it is offered, leaves them out."
        )
    bad = {row for row, _, _ in offenders}
    rows = np.array([row for row in range(len(paths)) if row not in bad], dtype=np.intp)
    good = [checks[row] for row in rows]
    shape = _resolve_shape(image_shape, good)
    _warn_of_several([(row, paths[row]) for row in rows if checks[row].has_more])
    held = np.empty(len(rows), dtype=object)
    held[:] = [paths[row] for row in rows]
    stamps = np.array([(c.n_bytes, c.mtime_ns) for c in good], dtype=np.int64)
    return FileReader(held, rows, stamps.reshape(-1, 2), shape, resize), offenders


def _resolve_shape(
    image_shape: object, checks: list[FileCheck]
) -> tuple[int, int, int]:
    if image_shape is None:
        n_channels = 1 if all(check.is_grey for check in checks) else 3
        sizes = sorted({check.size for check in checks})
        if len(sizes) == 1:
            height, width = sizes[0]
            found = f"All files are of {height} x {width} px (height x width)"
        else:
            height, width, n_channels = 224, 224, 3
            found = f"The files are of {len(sizes)} sizes"
        raise ValueError(
            "With paths, `image_shape` must be the (height, width, n_channels) that "
            f"the images are brought to. Got None. {found}: pass image_shape="
            f"{(height, width, n_channels)}{', for instance' * (len(sizes) != 1)}."
        )
    shape = check_image_shape(image_shape)
    if shape[2] not in CHANNELS:
        raise ValueError(
            "Files are read with 1 channel (grey), 3 (RGB) or 4 (RGB and alpha). Got "
            f"image_shape={shape}. Pass image_shape={(*shape[:2], 3)}."
        )
    return shape


def _warn_of_several(files: list[tuple[int, str]]) -> None:
    if files:
        row, path = files[0]
        warnings.warn(
            "Of a file with several frames or pages, the first one is taken. "
            f"{len(files)} files have several, the first of them row {row} ({path}). "
            "Split them for more.",
            GANSamplerWarning,
            stacklevel=4,
        )

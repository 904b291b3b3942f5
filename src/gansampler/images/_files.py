"""Images in files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gansampler._validation import is_missing
from gansampler.exceptions import GANSamplerWarning, ImageFileError
from gansampler.images._arrays import check_image_shape
from gansampler.images._decode import (
    CHANNEL_MODES,
    FileCheck,
    check_file,
    decode_file,
    warn_if_dark,
)
from gansampler.images._lazy import (
    LazyReader,
    UnreadableImage,
    count_threads,
    describe_unreadable,
    map_in_jobs,
)


class FileReader(LazyReader):
    """Decode image files on demand; refuse a file that has changed.

    Parameters
    ----------
    entries : list of path-like
        Paths; missing values are reported like missing files.
    image_shape : tuple of (height, width, n_channels) or None
        Shape that the images are brought to. None is an error.
    resize : {"crop", "stretch", "pad"}
        How images of another size are brought to `image_shape`.
    on_error : {"raise", "skip"}
        What to do if a file is missing, or has a damaged header or end.
    cache : bool
        Whether decoded images stay in memory.

    Raises
    ------
    ValueError
        If files cannot be used and `on_error` is "raise", if no file can be used, or
        if `image_shape` is None or invalid.
    """

    paths: np.ndarray

    def __init__(
        self,
        entries: list[Any],
        image_shape: object,
        resize: str,
        on_error: Literal["raise", "skip"],
        *,
        cache: bool,
    ) -> None:
        n_threads = count_threads()
        paths = np.empty(len(entries), dtype=object)
        paths[:] = ["" if is_missing(e) else os.fsdecode(e) for e in entries]
        checks = _check_files(paths.tolist(), n_threads)
        unreadable = [
            UnreadableImage(row, path, check.reason)
            for row, (path, check) in enumerate(zip(paths, checks, strict=True))
            if check.reason is not None
        ]
        if unreadable and (on_error == "raise" or len(unreadable) == len(paths)):
            raise ValueError(
                f"Every image file must be there and whole. {len(unreadable)} of "
                f"{len(paths)} are not: {describe_unreadable(unreadable)}. "
                "Replace them, or leave those rows out; on_error='skip' does so, where "
                "it is a parameter."
            )
        rows = np.flatnonzero([check.reason is None for check in checks])
        checks = [checks[row] for row in rows]
        super().__init__(
            rows, _resolve_shape(image_shape, checks), n_threads=n_threads, cache=cache
        )
        self.paths, self.resize, self.skipped = paths[rows], resize, unreadable
        self._stamps = [(check.n_bytes, check.mtime_ns) for check in checks]
        self._hashes: dict[int, bytes] = {}
        several = [i for i, check in enumerate(checks) if check.has_several_frames]
        if several:
            warnings.warn(
                "Of a file with several frames or pages only the first one is used. "
                f"{len(several)} files have several, the first of them row "
                f"{rows[several[0]]} ({self.paths[several[0]]}). Save the frames as "
                "separate files to use them all.",
                GANSamplerWarning,
                stacklevel=3,
            )
        deep = [i for i, check in enumerate(checks) if check.is_deep_grey]
        warn_if_dark(self.paths[deep], stacklevel=3)

    def read(self, position: int) -> np.ndarray:
        """Return an image as uint8 of shape (height, width, n_channels)."""
        with self._open(position) as path:
            return decode_file(path, self.shape, self.resize)

    def fingerprint(self, positions: np.ndarray) -> str:
        """Return a hash of the content of some files, and of `shape` and `resize`.

        Their order counts; paths and times of modification do not.
        """
        new = [p for p in np.unique(positions).tolist() if p not in self._hashes]
        hashes = map_in_jobs(self._start(), self._hash, new)
        self._hashes.update(zip(new, hashes, strict=True))
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.shape, self.resize)).encode())
        for position in positions.tolist():
            digest.update(self._hashes[position])
        return digest.hexdigest()

    def _hash(self, position: int) -> bytes:
        with self._open(position) as path, Path(path).open("rb") as file:
            return hashlib.file_digest(file, hashlib.blake2b).digest()

    @contextlib.contextmanager
    def _open(self, position: int) -> Iterator[str]:
        """Give the path of an unchanged file; turn errors into an ImageFileError."""
        path = self.paths[position]
        try:
            status = Path(path).stat()
            if (status.st_size, status.st_mtime_ns) != self._stamps[position]:
                raise self._error(position, "it was changed since it was checked")
            yield path
        except ImageFileError:
            raise
        except FileNotFoundError as error:
            raise self._error(position, "it was removed since") from error
        # Pillow has no error class for damaged files: any error is possible.
        except Exception as error:
            raise self._error(position, f"damaged: {error}") from error

    def _error(self, position: int, reason: str) -> ImageFileError:
        return ImageFileError(
            "Image files must be whole and must not change while they are used. Row "
            f"{self.rows[position]} ({self.paths[position]}): {reason}. Replace the "
            "file, or leave the row out."
        )


def _check_files(paths: Sequence[str], n_threads: int) -> list[FileCheck]:
    """Check the header and the end of every file, in order."""
    # Pillow warns of what is checked here. Warning filters belong to the process, so
    # they are set around the threads and not in them.
    with warnings.catch_warnings(), ThreadPoolExecutor(n_threads) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        return map_in_jobs(pool, check_file, paths)


def _resolve_shape(
    image_shape: object, checks: list[FileCheck]
) -> tuple[int, int, int]:
    """Return the checked `image_shape`; propose one if it is None."""
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
    if shape[2] not in CHANNEL_MODES:
        raise ValueError(
            "Files are read with 1 channel (grey), 3 (RGB) or 4 (RGB and alpha). Got "
            f"image_shape={shape}. Pass image_shape={(*shape[:2], 3)}."
        )
    return shape

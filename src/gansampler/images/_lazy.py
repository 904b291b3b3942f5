"""Images that are read on demand, by several threads, and kept in memory if they fit.

:class:`LazyReader` is the base of the readers of files and of data sets.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gansampler.exceptions import GANSamplerWarning, ImageFileError

MAX_THREADS = 8
MAX_NAMED = 10
# Of the free memory at the first read, shared by all processes of the machine.
CACHE_SHARE = 0.25
MAX_CACHE_BYTES = 2**34
BYTES_AHEAD = 2**26
MIN_IMAGES_AHEAD = 16
JOB_SIZE = 64
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
DEFAULT_MEMORY = 2**31
# Threads and decoded images, which copies and pickles do not contain.
RUNTIME = {"_process", "_cache", "_is_read", "_pool", "_ahead"}

Item = TypeVar("Item")
Result = TypeVar("Result")


class UnreadableImage(NamedTuple):
    """An image that cannot be read; `path` is None for an item of a data set."""

    row: int
    path: str | None
    reason: str


def describe_unreadable(images: Sequence[UnreadableImage]) -> str:
    """Return a text with the first unreadable images and their reasons."""
    text = "; ".join(
        f"row {row}{f' ({path})' if path else ''}: {reason}"
        for row, path, reason in images[:MAX_NAMED]
    )
    if len(images) > MAX_NAMED:
        text += f"; and {len(images) - MAX_NAMED} more"
    return text


def count_threads() -> int:
    """Return the number of threads that decode images.

    Returns
    -------
    n_threads : int
        One thread per available processor, at most 8.

    Examples
    --------
    >>> from gansampler.images import count_threads
    >>> 1 <= count_threads() <= 8
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return min(MAX_THREADS, len(os.sched_getaffinity(0)))
    return min(MAX_THREADS, os.cpu_count() or 1)


def map_in_jobs(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Sequence[Item]
) -> list[Result]:
    """Call a function with every item, many items per job; return the results."""
    jobs = [items[i : i + JOB_SIZE] for i in range(0, len(items), JOB_SIZE)]
    results = pool.map(lambda job: [function(item) for item in job], jobs)
    return [result for part in results for result in part]


class LazyReader(ABC):
    """Base of readers that decode uint8 images on demand.

    Images stay in memory, in one array, if all of them fit into the limit of
    :func:`cache_limit` at the first read. A copy of the reader, in another process
    too, starts with an empty cache.

    Parameters
    ----------
    rows : ndarray of int of shape (n_images,)
        Rows of the images in the user's input.
    shape : tuple of (height, width, n_channels)
        Shape of each image.
    n_threads : int
        Number of threads that call :meth:`read`.
    cache : bool
        Whether images stay in memory.
    """

    dtype = np.dtype(np.uint8)
    paths: np.ndarray | None = None
    classes: list[str] | None = None
    channels_first = False

    def __init__(
        self,
        rows: np.ndarray,
        shape: tuple[int, int, int],
        *,
        n_threads: int,
        cache: bool,
    ) -> None:
        self.rows, self.n_threads, self.cache = rows, n_threads, cache
        self.shape = self.row_shape = shape
        self.skipped: list[UnreadableImage] = []
        self.max_ahead = max(MIN_IMAGES_AHEAD, BYTES_AHEAD // int(np.prod(shape)))
        self._reset()

    @abstractmethod
    def read(self, position: int) -> np.ndarray:
        """Return an image as uint8 of shape `shape`; called by several threads."""

    def _reset(self) -> None:
        self._process = 0
        self._pool: ThreadPoolExecutor
        self._ahead: dict[int, Future[np.ndarray]] = {}
        self._cache: np.ndarray | None = None
        self._is_read = np.zeros(len(self.rows), dtype=bool)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name not in RUNTIME
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def _start(self) -> ThreadPoolExecutor:
        """Return the threads. Create them and the cache once per process."""
        if self._process == os.getpid():
            return self._pool
        # A forked process inherits the decoded images, but no threads.
        if self._process == 0 and self.cache:
            n_bytes = len(self.rows) * int(np.prod(self.shape))
            if n_bytes <= cache_limit():
                # The system provides the memory when it is written to.
                self._cache = np.empty((len(self.rows), *self.shape), dtype=np.uint8)
        self._pool = ThreadPoolExecutor(self.n_threads, "gansampler-images")
        self._ahead = {}
        self._process = os.getpid()
        return self._pool

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return a copy of the images at some positions."""
        self._start()
        if self._cache is None:
            out = np.empty((len(positions), *self.shape), dtype=np.uint8)
            self._fill(out, np.arange(len(positions)), positions)
            return out
        missing = np.unique(positions[~self._is_read[positions]])
        if len(missing):
            self._fill(self._cache, missing, missing)
            self._is_read[missing] = True
        return self._cache[positions]

    def item(self, position: int) -> np.ndarray:
        """Return a copy of one image."""
        return self.take(np.array([position]))[0]

    def read_ahead(self, positions: np.ndarray) -> None:
        """Start to read the first of some images in the background."""
        pool = self._start()
        # Nothing is marked as read without a cache.
        positions = positions[~self._is_read[positions]]
        for position in positions[: self.max_ahead].tolist():
            if position not in self._ahead:
                self._ahead[position] = pool.submit(self.read, position)
        while len(self._ahead) > self.max_ahead:
            # The oldest was never requested.
            self._ahead.pop(next(iter(self._ahead))).cancel()

    def readable_positions(self) -> np.ndarray:
        """Read every image once; return the positions of those that can be read.

        The other images are added to `skipped`.

        Raises
        ------
        ValueError
            If no image can be read.

        Warns
        -----
        GANSamplerWarning
            If images were skipped, now or before.
        """
        errors = self._find_errors()
        n_rows = len(self.rows) + len(self.skipped)
        for position, error in errors.items():
            # The cause of an ImageFileError does not repeat the row and the path.
            cause = error.__cause__ if isinstance(error, ImageFileError) else None
            path = None if self.paths is None else self.paths[position]
            row = int(self.rows[position])
            reason = f"damaged: {cause or error}"
            self.skipped.append(UnreadableImage(row, path, reason))
        self.skipped.sort()
        if self.skipped:
            text = (
                f"{len(self.skipped)} of {n_rows} images cannot be read: "
                f"{describe_unreadable(self.skipped)}."
            )
            if len(self.skipped) == n_rows:
                raise ValueError(
                    f"At least one image must be readable. {text} Replace the images."
                )
            warnings.warn(
                f"{text} They are left out, with their labels.",
                GANSamplerWarning,
                stacklevel=3,
            )
        return np.setdiff1d(np.arange(len(self.rows)), list(errors))

    def _find_errors(self) -> dict[int, Exception]:
        """Read every image once, and return the errors by position."""
        errors: dict[int, Exception] = {}

        def try_to_read(position: int) -> None:
            try:
                image = self.read(position)
            except Exception as error:
                errors[position] = error
                return
            if self._cache is not None:
                self._cache[position] = image
                self._is_read[position] = True

        map_in_jobs(self._start(), try_to_read, range(len(self.rows)))
        return dict(sorted(errors.items()))

    def _fill(self, out: np.ndarray, places: np.ndarray, positions: np.ndarray) -> None:
        """Write images into `out`."""
        futures = deque(
            self._ahead.pop(position)
            if position in self._ahead
            else self._pool.submit(self.read, position)
            for position in positions.tolist()
        )
        try:
            for place in places.tolist():
                out[place] = futures.popleft().result()
        finally:
            # After an error.
            for future in futures:
                future.cancel()


def cache_limit() -> int:
    """Return the number of bytes that this process may use to keep decoded images.

    All processes of the machine together get a quarter of the free memory, and at most
    16 GiB. Their number is taken from the environment variables that launchers set.
    """
    n_processes = 1
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        if os.environ.get(name, "").isdecimal():
            n_processes = max(1, int(os.environ[name]))
            break
    return min(int(CACHE_SHARE * available_memory()), MAX_CACHE_BYTES) // n_processes


def available_memory() -> int:
    """Return the number of bytes of memory that this process may still use.

    On Linux this is the kernel's estimate, within the limit of the container; on
    other systems half of the memory of the machine.
    """
    return min(_available_on_machine(), _available_in_container())


def _available_on_machine() -> int:
    try:
        return _read_table(MEMINFO)["MemAvailable:"] * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return DEFAULT_MEMORY


def _available_in_container() -> int:
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        # The system frees cached files when memory is needed.
        used -= _read_table(CGROUP / "memory.stat")["inactive_file"]
    # No container, or a container without a limit ("max").
    except (OSError, KeyError, ValueError):
        return 2**63
    return max(0, limit - used)


def _read_table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}

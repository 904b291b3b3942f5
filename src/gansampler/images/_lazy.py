"""Images that are read when they are asked for, by threads, and kept where they fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from gansampler.images._memory import available_memory

__all__ = ["LazyImages", "count_threads"]

MOST_THREADS = 8
# The share of the memory that is free at the first read.
CACHE_SHARE = 0.25
BYTES_AHEAD = 2**26
LEAST_AHEAD = 16
MOST_A_JOB = 32


def count_threads() -> int:
    """Return how many threads decode: one a processor, no more than eight."""
    if hasattr(os, "sched_getaffinity"):
        return min(MOST_THREADS, len(os.sched_getaffinity(0)))
    return min(MOST_THREADS, os.cpu_count() or 1)


class LazyImages:
    """uint8 images behind a reader, by their positions.

    What was read is kept in one array if all of it fits into a quarter of the memory
    that is free at the first read. A copy, in another process too, starts empty.

    Parameters
    ----------
    read : callable
        ``read(position)`` gives an image as uint8 of shape `shape`. It is called by
        several threads.
    n_images : int
    shape : tuple of (height, width, n_channels)
    n_threads : int
    keep : bool
        False keeps nothing.
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        n_images: int,
        shape: tuple[int, int, int],
        *,
        n_threads: int,
        keep: bool,
    ) -> None:
        self.read, self.n_images, self.shape = read, n_images, shape
        self.n_threads, self.keep = n_threads, keep
        self.most_ahead = max(LEAST_AHEAD, BYTES_AHEAD // int(np.prod(shape)))
        self._forget()

    def _forget(self) -> None:
        self._process = 0
        self._cache: np.ndarray | None = None
        self._is_read: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = ("read", "n_images", "shape", "n_threads", "keep", "most_ahead")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _start(self) -> None:
        """Make the threads and the cache, in each process once."""
        if self._process == os.getpid():
            return
        # After a fork there are no threads, but what the parent has read is there.
        if self._process == 0 and self.keep:
            n_bytes = self.n_images * int(np.prod(self.shape))
            if n_bytes <= CACHE_SHARE * available_memory():
                # The system gives the memory as it is filled.
                self._cache = np.empty((self.n_images, *self.shape), dtype=np.uint8)
                self._is_read = np.zeros(self.n_images, dtype=bool)
        self._pool = ThreadPoolExecutor(self.n_threads, "gansampler-images")
        self._ahead: dict[int, Future[np.ndarray]] = {}
        self._process = os.getpid()

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return a copy of the images at some positions."""
        self._start()
        if self._cache is None or self._is_read is None:
            out = np.empty((len(positions), *self.shape), dtype=np.uint8)
            self._fill(out, np.arange(len(positions)), positions)
            return out
        missing = positions[~self._is_read[positions]]
        if len(missing):
            missing = np.unique(missing)
            self._fill(self._cache, missing, missing)
            self._is_read[missing] = True
        return self._cache[positions]

    def read_ahead(self, positions: np.ndarray) -> None:
        """Start to read images that will be asked for soon, as many as are sensible."""
        self._start()
        if self._is_read is not None:
            positions = positions[~self._is_read[positions]]
        for position in positions[: self.most_ahead].tolist():
            if position not in self._ahead:
                self._ahead[position] = self._pool.submit(self.read, position)
        while len(self._ahead) > self.most_ahead:
            # Nobody came for the oldest.
            self._ahead.pop(next(iter(self._ahead))).cancel()

    def failures(self) -> dict[int, Exception]:
        """Read every image once, and return the errors by position."""
        self._start()
        errors: dict[int, Exception] = {}

        def try_to_read(start: int) -> None:
            for position in range(start, min(start + MOST_A_JOB, self.n_images)):
                try:
                    image = self.read(position)
                except Exception as error:
                    errors[position] = error
                    continue
                if self._cache is not None and self._is_read is not None:
                    self._cache[position] = image
                    self._is_read[position] = True

        starts = range(0, self.n_images, MOST_A_JOB)
        # Consumed, so that what goes wrong beyond reading is seen.
        list(self._pool.map(try_to_read, starts))
        return dict(sorted(errors.items()))

    def _fill(self, out: np.ndarray, places: np.ndarray, positions: np.ndarray) -> None:
        """Put images into `out`: those begun ahead, and the others by all threads."""
        begun, others = [], []
        for place, position in zip(places.tolist(), positions.tolist(), strict=True):
            future = self._ahead.pop(position, None)
            if future is None:
                others.append((place, position))
            else:
                begun.append((place, future))
        # Small enough that the threads end together, large enough to be worth a job.
        size = int(np.clip(len(others) // (4 * self.n_threads), 1, MOST_A_JOB))
        jobs = [
            self._pool.submit(self._read_into, out, others[start : start + size])
            for start in range(0, len(others), size)
        ]
        try:
            for place, future in begun:
                out[place] = future.result()
            for job in jobs:
                job.result()
        except BaseException:
            for job in jobs:
                job.cancel()
            raise

    def _read_into(self, out: np.ndarray, pairs: list[tuple[int, int]]) -> None:
        for place, position in pairs:
            out[place] = self.read(position)

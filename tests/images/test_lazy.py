"""Images are decoded when they are needed, by threads, once where they fit."""

import copy
import multiprocessing
import os
import pickle
import threading
import time

import numpy as np
import pytest

from gansampler.exceptions import GANSamplerWarning
from gansampler.images import ImageSequence, _files, _lazy
from gansampler.images._lazy import LazyReader

SHAPE = (12, 10, 3)


class Reader(LazyReader):
    """Counts what is read, and by which threads; some positions may fail."""

    def __init__(self, n_images=100, *, seconds=0.0, bad=(), n_threads=2, cache=True):
        super().__init__(
            np.arange(n_images), (8, 8, 1), n_threads=n_threads, cache=cache
        )
        self.reads, self.threads = [], set()
        self.seconds, self.bad = seconds, bad

    def read(self, position):
        self.reads.append(position)
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        if position in self.bad:
            raise OSError(f"no {position}")
        return np.full((8, 8, 1), position, np.uint8)


def values(array):
    assert array.shape[1:] == (8, 8, 1)
    assert (array == array[:, :1, :1]).all()
    return array[:, 0, 0, 0].tolist()


def test_nothing_is_read_before_it_is_asked_for():
    images = reader = Reader()
    assert reader.reads == []
    assert values(images.take(np.array([7, 3, 7]))) == [7, 3, 7]
    assert sorted(reader.reads) == [3, 7]


@pytest.mark.parametrize("cache", [True, False])
def test_images_are_kept_if_requested(cache):
    images = reader = Reader(cache=cache)
    for _ in range(3):
        assert values(images.take(np.arange(40))) == list(range(40))
    assert len(reader.reads) == (40 if cache else 120)


def test_a_copy_is_given_out():
    images = Reader()
    images.take(np.arange(5))[:] = 99
    assert values(images.take(np.arange(5))) == [0, 1, 2, 3, 4]


def test_nothing_is_kept_where_memory_is_short(monkeypatch):
    # 100 images of 64 bytes are a quarter of 25,600.
    monkeypatch.setattr(_lazy, "available_memory", lambda: 25_599)
    images = reader = Reader()
    for _ in range(2):
        assert values(images.take(np.arange(5))) == [0, 1, 2, 3, 4]
    assert len(reader.reads) == 10
    monkeypatch.setattr(_lazy, "available_memory", lambda: 25_600)
    images = reader = Reader()
    for _ in range(2):
        images.take(np.arange(5))
    assert len(reader.reads) == 5


def test_all_threads_read():
    reader = Reader(seconds=0.002, n_threads=3)
    reader.take(np.arange(60))
    assert len(reader.threads) == 3
    assert threading.get_ident() not in reader.threads


def test_one_thread_reads_one_at_a_time():
    images = reader = Reader(seconds=0.001, n_threads=1)
    images.read_ahead(np.arange(10))
    images.take(np.arange(20))
    assert len(reader.threads) == 1
    assert reader.reads == list(range(20))


@pytest.mark.parametrize("cache", [True, False])
def test_read_ahead_starts_before_the_images_are_requested(cache):
    images = reader = Reader(seconds=0.005, cache=cache)
    images.read_ahead(np.array([4, 2]))
    images.read_ahead(np.array([2, 4, 6]))
    deadline = time.monotonic() + 10
    while len(reader.reads) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert values(images.take(np.array([2, 4, 6, 8]))) == [2, 4, 6, 8]
    assert sorted(reader.reads) == [2, 4, 6, 8]
    images.read_ahead(np.array([2]))
    images.take(np.array([2]))
    assert len(reader.reads) == (4 if cache else 5)


def test_read_ahead_is_bounded(monkeypatch):
    monkeypatch.setattr(_lazy, "MIN_IMAGES_AHEAD", 4)
    monkeypatch.setattr(_lazy, "BYTES_AHEAD", 64 * 6)
    images = reader = Reader(cache=False)
    images.read_ahead(np.arange(50))
    images.read_ahead(np.arange(50, 53))
    assert values(images.take(np.arange(3, 53))) == list(range(3, 53))
    # Of the first six, three gave way to three others, perhaps after they were read.
    assert [p for p in sorted(reader.reads) if p > 2] == list(range(3, 53))
    assert len(reader.reads) <= 53


def test_an_error_is_raised_where_the_image_is_asked_for():
    images = Reader(bad={5})
    images.read_ahead(np.array([4, 5]))
    assert values(images.take(np.array([4]))) == [4]
    for _ in range(2):
        with pytest.raises(OSError, match="no 5"):
            images.take(np.array([4, 5, 6]))
    assert values(images.take(np.array([6]))) == [6]


def test_unreadable_images_are_found_by_reading_everything_once():
    images = reader = Reader(bad={5, 99, 0})
    with pytest.warns(GANSamplerWarning, match="3 of 100 images cannot be read"):
        positions = images.readable_positions()
    assert positions.tolist() == np.setdiff1d(np.arange(100), [0, 5, 99]).tolist()
    assert images.skipped == [
        (0, None, "damaged: no 0"),
        (5, None, "damaged: no 5"),
        (99, None, "damaged: no 99"),
    ]
    images.take(positions)
    assert len(reader.reads) == 100


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda images: pickle.loads(pickle.dumps(images))]
)
def test_copies_start_empty_and_pickles_are_small(files, duplicate):
    paths, X = files
    images = ImageSequence(paths * 500, image_shape=SHAPE).subset(np.arange(1, 3000))
    small = len(pickle.dumps(images))
    np.testing.assert_array_equal(images.take([0, 1]), X[1:3])
    assert len(pickle.dumps(images)) == small < X[0].nbytes * 3000 / 5
    again = duplicate(images)
    np.testing.assert_array_equal(again.take([0, 1]), X[1:3])
    np.testing.assert_array_equal(again.rows, images.rows)
    assert again.fingerprint() == images.fingerprint()


def test_a_subset_shares_what_was_decoded(files, monkeypatch):
    paths, X = files
    images = ImageSequence(paths, image_shape=SHAPE)
    images.subset([3, 4]).take([0, 1])
    monkeypatch.setattr(_files, "decode_file", None)
    np.testing.assert_array_equal(images.subset([4]).take([0]), X[4:5])
    with pytest.raises(OSError, match="Row 5"):
        images.take([5])


def test_without_cache_every_read_is_a_read(files):
    images = ImageSequence(files[0], image_shape=SHAPE, cache=False)
    images.take([0])
    files[0][0].unlink()
    with pytest.raises(OSError, match="Row 0 .*removed"):
        images.take([0])


def _checksum(images, queue):
    queue.put(int(images.take(np.arange(len(images))).sum()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_reads_on(files):
    paths, X = files
    images = ImageSequence(paths, image_shape=SHAPE)
    images.take([0, 1])
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_checksum, args=(images, queue))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == int(X.sum())


def test_prefetch_gives_the_parts_back_in_order(files):
    paths, X = files
    parts = [np.array([5, 1]), np.array([0]), np.array([2, 3, 4])]
    for images in (ImageSequence(X), ImageSequence(paths, image_shape=SHAPE)):
        seen = list(images.prefetch(parts))
        assert [part.tolist() for part in seen] == [part.tolist() for part in parts]
        for part in images.prefetch(parts):
            np.testing.assert_array_equal(images.take(part), X[part])


def test_negative_rows_count_from_the_end(files):
    images = ImageSequence(files[0], image_shape=SHAPE)
    np.testing.assert_array_equal(images.take([-1, 0]), files[1][[-1, 0]])


class TestCacheLimit:
    @pytest.fixture(autouse=True)
    def _alone(self, monkeypatch):
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        monkeypatch.setattr(_lazy, "available_memory", lambda: 8 * 2**30)

    def test_is_a_quarter_of_the_free_memory(self):
        assert _lazy.cache_limit() == 2 * 2**30

    def test_is_shared_by_the_processes_of_the_machine(self, monkeypatch):
        monkeypatch.setenv("WORLD_SIZE", "8")
        assert _lazy.cache_limit() == 2**28
        # Of eight processes on two machines.
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
        assert _lazy.cache_limit() == 2**29

    @pytest.mark.parametrize("value", ["", "0", "many"])
    def test_ignores_variables_that_are_no_number(self, monkeypatch, value):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", value)
        assert _lazy.cache_limit() == 2 * 2**30

    def test_has_an_upper_bound(self, monkeypatch):
        monkeypatch.setattr(_lazy, "available_memory", lambda: 2**40)
        assert _lazy.cache_limit() == 16 * 2**30

    def test_decides_what_is_kept(self, monkeypatch):
        # 100 images of 64 bytes are a quarter of 25,600.
        monkeypatch.setattr(_lazy, "available_memory", lambda: 25_600)
        monkeypatch.setenv("WORLD_SIZE", "2")
        reader = Reader()
        for _ in range(2):
            reader.take(np.arange(5))
        assert len(reader.reads) == 10


class TestAvailableMemory:
    def test_is_within_what_the_machine_has(self):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert 0 < _lazy.available_memory() <= total

    def test_knows_the_limit_of_a_container(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_lazy, "CGROUP", tmp_path)
        (tmp_path / "memory.max").write_text("5000\n")
        (tmp_path / "memory.current").write_text("3000\n")
        (tmp_path / "memory.stat").write_text("anon 1000\ninactive_file 1800\n")
        assert _lazy.available_memory() == 3800
        (tmp_path / "memory.max").write_text("max\n")
        assert _lazy.available_memory() > 3800

    def test_without_the_kernels_tables(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_lazy, "CGROUP", tmp_path)
        monkeypatch.setattr(_lazy, "MEMINFO", tmp_path / "none")
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert _lazy.available_memory() == total // 2
        monkeypatch.delattr(os, "sysconf")
        assert _lazy.available_memory() == 2**31

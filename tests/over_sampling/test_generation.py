import tracemalloc

import numpy as np
import pytest

from gansampler.images import ImageSequence
from gansampler.over_sampling import _generation
from gansampler.over_sampling._generation import draw_sources, generate
from tests.over_sampling.translators import Invert


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    return ImageSequence(rng.integers(0, 256, (7, 64, 64, 3), dtype=np.uint8))


@pytest.fixture
def translator(source):
    return Invert(horizontal_flip=True, vertical_flip=True).fit(source, source)


def test_sources_take_turns():
    chosen = draw_sources(5, 18, seed=0)
    for start in range(0, 15, 5):
        assert sorted(chosen[start : start + 5]) == list(range(5))
    assert len(set(chosen[15:])) == 3
    assert draw_sources(5, 18, seed=0).tolist() == chosen.tolist()
    assert draw_sources(5, 18, seed=1).tolist() != chosen.tolist()


@pytest.mark.parametrize("left_out", [[], [0], [1, 3], [0, 1, 2, 3, 4, 5]])
def test_finished_chunks_change_nothing(source, translator, monkeypatch, left_out):
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 20 * 64 * 64 * 3)
    chosen = draw_sources(7, 110, seed=1)
    whole = {c.start: c for c in generate(translator, source, chosen, seed=1)}
    assert list(whole) == [0, 20, 40, 60, 80, 100]
    finished = {20 * i: whole[20 * i].digests for i in left_out}
    others = list(generate(translator, source, chosen, seed=1, finished=finished))
    assert [c.start for c in others] == [s for s in whole if s not in finished]
    for chunk in others:
        np.testing.assert_array_equal(chunk.samples, whole[chunk.start].samples)
        assert chunk.digests == whole[chunk.start].digests


def test_memory_does_not_grow_with_the_number(source, translator, monkeypatch):
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 20 * 64 * 64 * 3)

    def peak(n_new):
        chosen = draw_sources(7, n_new, seed=0)
        tracemalloc.start()
        try:
            for _ in generate(translator, source, chosen, seed=0):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(40)
    few, many = peak(100), peak(600)
    # 500 images are 6 MB; of each only a digest is remembered.
    assert many - few < 500 * 64 * 64 * 3 / 10

import numpy as np
import pytest
import torch

from gansampler.images import ImageSequence
from gansampler.translators import UnpairedData
from gansampler.translators._data import pad_to_multiple


@pytest.mark.parametrize("size", [(8, 8), (10, 33), (31, 9), (64, 17)])
@pytest.mark.parametrize("size_multiple", [1, 4, 32, 50])
def test_padding_equals_numpys_reflection(size, size_multiple):
    """Images smaller than what is added are reflected again."""
    images = torch.randn(2, 3, *size)
    padded = pad_to_multiple(images, size_multiple)
    added = [(0, 0), (0, 0), *((0, -side % size_multiple) for side in size)]
    np.testing.assert_array_equal(padded, np.pad(images, added, mode="reflect"))


def make_data(**params):
    X = np.random.default_rng(0).integers(0, 256, (9, 10, 12, 3), dtype=np.uint8)
    settings = {"source": X, "target": X[:4], "batch_size": 4, "seed": 3, **params}
    for name in ("source", "target"):
        settings[name] = ImageSequence(settings[name])
    return UnpairedData(**settings)


def test_batches_go_on_anywhere():
    data = make_data(horizontal_flip=True, size_multiple=8)
    whole = list(data.batches(2))
    assert [n for n, _ in whole] == [4, 4, 1]
    rest = list(data.batches(2, first=2))
    assert len(rest) == 2
    for (_, ours), (_, expected) in zip(rest, whole[1:], strict=True):
        for a, b in zip(ours, expected, strict=True):
            assert a.shape[1:] == (3, 16, 16)
            assert a.equal(b)


@pytest.mark.parametrize("change", [{"epoch": 3}, {"draw": 1}, {"seed": 4}])
def test_order_depends_on_epoch_draw_and_seed(change):
    data = make_data()
    _, (first, _) = next(data.batches(2))
    again = make_data(seed=change.pop("seed", 3))
    _, (other, _) = next(again.batches(**{"epoch": 2, **change}))
    assert not first.equal(other)


def test_flips_do_not_change_the_order():
    plain, flipped = (
        torch.cat([source for _, (source, _) in make_data(**params).batches(1)])
        for params in ({}, {"horizontal_flip": True})
    )
    same = (plain == flipped).flatten(1).all(1)
    mirrored = (plain == flipped.flip(3)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert same.any()
    assert mirrored.any()

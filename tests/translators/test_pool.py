import numpy as np
import torch

from gansampler.translators._pool import ImagePool


def numbered(start, n):
    return torch.arange(start, start + n, dtype=torch.float32).reshape(n, 1, 1, 1)


def test_no_pool_returns_the_new_images():
    images = numbered(0, 3)
    assert ImagePool(0, np.random.default_rng(0)).query(images).equal(images)


def test_first_images_pass_then_half_are_swapped():
    pool = ImagePool(20, np.random.default_rng(0))
    assert pool.query(numbered(0, 20)).equal(numbered(0, 20))
    n_old, returned, given = 0, [], list(range(20))
    for start in range(20, 2020, 4):
        out = pool.query(numbered(start, 4)).flatten()
        n_old += int((out < start).sum())
        returned += out.tolist()
        given += range(start, start + 4)
    assert 0.45 < n_old / 2000 < 0.55
    # Every image is returned once or still stored; none is lost or repeated.
    stored = pool.images.flatten().tolist()
    assert sorted(returned + stored) == given


def test_pool_does_not_alias_the_batch():
    pool = ImagePool(2, np.random.default_rng(0))
    images = numbered(5, 2)
    out = pool.query(images)
    images.zero_()
    assert out.flatten().tolist() == [5, 6]
    assert pool.images.flatten().tolist() == [5, 6]

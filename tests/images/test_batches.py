import numpy as np
import pytest
import torch

from gansampler.images import chunks, flip_chosen


@pytest.mark.parametrize("n_samples", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("shape", [(256, 256, 3), (2000, 3000, 1), (8, 8, 3), (5,)])
def test_chunks_hold_every_row_once(n_samples, shape):
    parts = list(chunks(n_samples, shape))
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(n_samples))
    assert max(map(len, parts)) <= 1024
    pixels = int(np.prod(shape[:-1]))
    assert all(len(p) == 1 or len(p) * pixels <= 2**20 for p in parts)


def test_chosen_images_are_flipped():
    batch = torch.arange(4 * 2 * 3 * 5).reshape(4, 2, 3, 5)
    flipped = flip_chosen(batch, [False, True, False, True], [False, False, True, True])
    torch.testing.assert_close(flipped[0], batch[0])
    torch.testing.assert_close(flipped[1], batch[1].flip(2))
    torch.testing.assert_close(flipped[2], batch[2].flip(1))
    torch.testing.assert_close(flipped[3], batch[3].flip(1, 2))


def test_none_chosen_is_none_flipped():
    batch = torch.rand(2, 1, 3, 3)
    assert flip_chosen(batch, np.zeros(2, bool), np.zeros(2, bool)) is batch

"""Tensors of torch as images."""

import numpy as np
import pytest
import torch

from gansampler.images import ImageSequence


@pytest.fixture
def X(rng):
    return rng.integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("channels_first", [False, True])
def test_both_layouts(X, dtype, channels_first):
    tensor = torch.from_numpy(X).to(dtype)
    expected = X if dtype == torch.uint8 else tensor.numpy() / 255
    tensor = tensor if dtype == torch.uint8 else tensor / 255
    if channels_first:
        tensor = tensor.permute(0, 3, 1, 2).contiguous()
    images = ImageSequence(tensor)
    assert (images.form, images.sample_shape) == ("array", (12, 10, 3))
    assert images.channels_first == channels_first
    np.testing.assert_array_equal(images.take([3, 1]), expected[[3, 1]])
    assert images.take([0]).dtype == expected.dtype
    assert images.restore(images.batch([2])).shape == (1, 12, 10, 3)
    assert np.shares_memory(images.array, tensor.numpy())
    assert images.fingerprint() == ImageSequence(expected).fingerprint()


def test_other_shapes(X):
    rows = torch.randn(5, 7, requires_grad=True)
    assert not ImageSequence(rows).is_image
    grey = ImageSequence(torch.from_numpy(X[..., 0]))
    np.testing.assert_array_equal(grey.take([1])[0, ..., 0], X[1, ..., 0])
    flat = ImageSequence(torch.from_numpy(X).flatten(1), (12, 10, 3))
    np.testing.assert_array_equal(flat.take([1]), X[1:2])
    half = torch.from_numpy(X).to(torch.bfloat16) / 255
    assert ImageSequence(half).dtype == np.float32


def test_list_of_tensors(X):
    tensors = list(torch.from_numpy(X).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(ImageSequence(tensors).take([4, 0]), X[[4, 0]])
    with pytest.raises(ValueError, match=r"row 1 of \(3, 9, 9\)"):
        ImageSequence([tensors[0], torch.zeros(3, 9, 9)])


@pytest.mark.parametrize(
    ("shape", "channels_first"),
    [
        ((2, 3, 16, 16), True),
        ((2, 1, 16, 9), True),
        ((2, 6, 16, 16), True),
        ((2, 16, 16, 6), False),
        ((2, 9, 16, 1), False),
    ],
)
def test_the_channels_are_the_side_that_is_too_short(shape, channels_first):
    assert ImageSequence(torch.zeros(shape)).channels_first == channels_first


def test_ambiguous_layouts(rng):
    for shape in [(2, 3, 16, 3), (2, 12, 16, 20), (2, 3, 4, 4)]:
        with pytest.raises(ValueError, match=r"does not tell where the channels are"):
            ImageSequence(torch.zeros(shape))
    X = torch.from_numpy(rng.random((2, 12, 16, 20)))
    last, first = ImageSequence(X, (12, 16, 20)), ImageSequence(X, (16, 20, 12))
    assert (last.channels_first, first.channels_first) == (False, True)
    np.testing.assert_array_equal(first.take([0]), X[:1].permute(0, 2, 3, 1))
    with pytest.raises(ValueError, match=r"Got \(16, 16, 3\) for a tensor of shape"):
        ImageSequence(X, (16, 16, 3))


def test_bad_values():
    with pytest.raises(ValueError, match="dtype int64"):
        ImageSequence(torch.zeros(2, 3, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        ImageSequence(torch.full((2, 3, 8, 8), 7.0))

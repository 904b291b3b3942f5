"""Changes of what a discriminator sees, against NumPy."""

import numpy as np
import pytest
import torch

from gansampler.translators import augment

MIDDLE = [0.5] * 5


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (3, 3, 16, 16)).astype(np.float32)


def apply(images, **changes):
    names = ["brightness", "saturation", "contrast", "right", "down"]
    draws = [changes.get(name, 0.5) for name in names]
    return augment(torch.from_numpy(images), np.tile(draws, (len(images), 1))).numpy()


def test_the_middle_of_all_ranges_changes_nothing(images):
    np.testing.assert_allclose(apply(images), images, atol=1e-5)


@pytest.mark.parametrize("draw", [0.0, 0.3, 1.0])
def test_colours(images, draw):
    signed = 2 * draw - 1
    np.testing.assert_allclose(
        apply(images, brightness=draw), images + 0.2 * signed, atol=1e-5
    )
    grey = images.mean(1, keepdims=True)
    np.testing.assert_allclose(
        apply(images, saturation=draw),
        grey + (1 + 0.5 * signed) * (images - grey),
        atol=1e-5,
    )
    mean = images.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(
        apply(images, contrast=draw),
        mean + (1 + 0.25 * signed) * (images - mean),
        atol=1e-5,
    )


def test_shifts_show_the_reflected_image(images):
    # An eighth of 16 pixels is 2.
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric")
    np.testing.assert_allclose(
        apply(images, right=1.0), padded[:, :, 2:-2, :-4], atol=1e-5
    )
    np.testing.assert_allclose(
        apply(images, down=0.0), padded[:, :, 4:, 2:-2], atol=1e-5
    )


def test_each_image_has_its_own_change(images):
    draws = np.random.default_rng(1).random((3, 5))
    together = augment(torch.from_numpy(images), draws)
    for i in range(3):
        alone = augment(torch.from_numpy(images[i : i + 1]), draws[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_gradients_flow():
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    draws = np.random.default_rng(0).random((2, 5))
    assert torch.autograd.gradcheck(lambda x: augment(x, draws), images)


@pytest.mark.parametrize("n_channels", [1, 2, 4])
def test_any_number_of_channels(n_channels):
    images = torch.rand(2, n_channels, 9, 13)
    assert augment(images, np.tile(MIDDLE, (2, 1))).shape == images.shape

"""The kernel distance against its definition."""

from itertools import product

import numpy as np
import pytest

from gansampler.quality import kernel_distance


def kernel(x, y):
    return (x @ y / len(x) + 1) ** 3


@pytest.mark.parametrize(("n_real", "n_fake"), [(2, 2), (5, 3), (4, 9)])
def test_equals_the_definition(n_real, n_fake):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(n_real, 7)), rng.normal(1, 2, size=(n_fake, 7))
    within = [
        np.mean([kernel(a, b) for a, b in product(x, x) if a is not b])
        for x in (list(real), list(fake))
    ]
    between = np.mean([kernel(a, b) for a, b in product(real, fake)])
    expected = within[0] + within[1] - 2 * between
    assert kernel_distance(real, fake) == pytest.approx(expected)


def test_is_unbiased():
    rng = np.random.default_rng(0)
    distances = [kernel_distance(*rng.normal(size=(2, 10, 4))) for _ in range(400)]
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances)) < 3 * error


def test_float32_features_are_not_rounded():
    # In float32 the difference of large kernel values loses all digits.
    rng = np.random.default_rng(0)
    real, fake = rng.normal(100, 1, size=(2, 30, 8)).astype(np.float32)
    expected = kernel_distance(real.astype(np.float64), fake.astype(np.float64))
    assert kernel_distance(real, fake) == expected


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        ((1, 4), (5, 4), "at least two images"),
        ((5, 4), (1, 4), "at least two images"),
        ((5, 4), (5, 3), r"Got shapes \(5, 4\) and \(5, 3\)"),
        ((5, 4, 4, 3), (5, 4, 4, 3), "FeatureExtractor"),
    ],
)
def test_says_what_is_wrong(real, fake, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(np.zeros(real), np.zeros(fake))

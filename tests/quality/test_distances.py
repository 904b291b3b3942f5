"""The distances against their definitions."""

from itertools import product

import numpy as np
import pytest
from scipy.linalg import sqrtm

from gansampler.quality import frechet_distance, kernel_distance


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


@pytest.mark.parametrize(("n_real", "n_fake"), [(40, 60), (5, 60), (7, 4), (2, 2)])
def test_frechet_distance_equals_the_definition(n_real, n_fake):
    """With full rank and without."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(n_real, 6)), rng.normal(1, 2, size=(n_fake, 6))
    of_real, of_fake = np.cov(real.T), np.cov(fake.T)
    half = sqrtm(of_real + 1e-12 * np.eye(6))
    root = sqrtm(half @ of_fake @ half + 1e-12 * np.eye(6))
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(
        of_real + of_fake - 2 * root.real
    )
    assert frechet_distance(real, fake) == pytest.approx(expected, abs=1e-4)
    assert frechet_distance(fake, real) == pytest.approx(expected, abs=1e-4)


def test_frechet_distance_of_known_distributions():
    """Normal distributions of variances 1 and 9: 4 of the means, 4 of each axis."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(50_000, 2)), rng.normal(0, 3, size=(50_000, 2))
    assert frechet_distance(real, fake + np.array([2, 0])) == pytest.approx(
        12, rel=0.02
    )
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_few_images_is_too_large():
    few, many = np.random.default_rng(0), np.random.default_rng(1)
    small = np.mean([frechet_distance(*few.normal(size=(2, 20, 8))) for _ in range(20)])
    large = frechet_distance(*many.normal(size=(2, 4000, 8)))
    assert small > 20 * large


@pytest.mark.parametrize("distance", [kernel_distance, frechet_distance])
@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        ((1, 4), (5, 4), "at least two images"),
        ((5, 4), (1, 4), "at least two images"),
        ((5, 4), (5, 3), r"Got shapes \(5, 4\) and \(5, 3\)"),
        ((5, 4, 4, 3), (5, 4, 4, 3), "FeatureExtractor"),
    ],
)
def test_says_what_is_wrong(distance, real, fake, message):
    with pytest.raises(ValueError, match=message):
        distance(np.zeros(real), np.zeros(fake))

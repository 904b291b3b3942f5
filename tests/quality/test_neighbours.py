"""Precision, recall, density and coverage against their definitions."""

import numpy as np
import pytest

from gansampler.quality import density_coverage, precision_recall


def radius(points, point, k):
    """The distance of a point of a set to its k-th neighbour in the set."""
    return sorted(np.linalg.norm(other - point) for other in points)[k]


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("n_real", "n_fake"), [(6, 9), (12, 5)])
def test_equal_their_definitions(k, n_real, n_fake):
    rng = np.random.default_rng(n_real)
    real, fake = rng.normal(size=(n_real, 3)), rng.normal(0.5, 1, size=(n_fake, 3))
    of_real = [radius(real, r, k) for r in real]
    of_fake = [radius(fake, f, k) for f in fake]
    inside = np.array(
        [
            [np.linalg.norm(r - f) <= of_real[i] for f in fake]
            for i, r in enumerate(real)
        ]
    )
    near_fake = [
        any(np.linalg.norm(r - f) <= of_fake[j] for j, f in enumerate(fake))
        for r in real
    ]
    assert precision_recall(real, fake, n_neighbors=k) == pytest.approx(
        (inside.any(0).mean(), np.mean(near_fake))
    )
    assert density_coverage(real, fake, n_neighbors=k) == pytest.approx(
        (inside.sum() / (k * n_fake), inside.any(1).mean())
    )


def test_collapse_has_high_precision_and_low_recall():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 8))
    collapsed = real[7] + rng.normal(0, 1e-3, size=(200, 8))
    precision, recall = precision_recall(real, collapsed)
    density, coverage = density_coverage(real, collapsed)
    assert precision == 1.0
    assert recall < 0.05
    assert density >= 1 / 5
    assert coverage < 0.3


def test_samples_of_one_distribution():
    real, fake = np.random.default_rng(0).normal(size=(2, 400, 4))
    precision, recall = precision_recall(real, fake)
    density, coverage = density_coverage(real, fake)
    assert min(precision, recall, coverage) > 0.85
    assert density == pytest.approx(1, abs=0.1)


def test_swapping_the_sets_swaps_precision_and_recall():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(30, 4)), rng.normal(0, 2, size=(40, 4))
    assert precision_recall(real, fake) == precision_recall(fake, real)[::-1]


@pytest.mark.parametrize("function", [precision_recall, density_coverage])
@pytest.mark.parametrize(
    ("real", "fake", "k", "message"),
    [
        ((5, 2), (9, 2), 5, r"n_neighbors=5 needs at least 6 images of each set"),
        ((9, 2), (5, 2), 5, r"Got shapes \(9, 2\) and \(5, 2\)"),
        ((9, 2), (9, 3), 2, "features of the same network"),
        ((9, 2), (9, 2), 0, "`n_neighbors` must be an int >= 1. Got 0."),
    ],
)
def test_says_what_is_wrong(function, real, fake, k, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros(real), np.zeros(fake), n_neighbors=k)

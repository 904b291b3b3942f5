"""The interval of a difference, against other computations and a simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import ShuffleSplit

from gansampler.model_selection._intervals import corrected_difference


def test_is_the_corrected_interval_of_nadeau_and_bengio():
    differences = np.array([0.03, -0.01, 0.04, 0.02, 0.05])
    n_train, n_test = np.full(5, 80), np.full(5, 20)
    found = corrected_difference(differences, n_train, n_test)
    # s^2 and t by hand, from the table of the t distribution.
    s2 = sum((d - 0.026) ** 2 for d in differences) / 4
    half = 2.776445 * ((1 / 5 + 20 / 80) * s2) ** 0.5
    assert found == pytest.approx((0.026, 0.026 - half, 0.026 + half), rel=1e-6)


def test_is_wider_than_the_ordinary_interval_by_the_correction_alone():
    differences = np.random.default_rng(0).normal(size=12)
    n_train, n_test = np.full(12, 90), np.full(12, 10)
    found = corrected_difference(differences, n_train, n_test)
    ordinary = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    ratio = (found.high - found.low) / (ordinary.high - ordinary.low)
    assert ratio == pytest.approx(np.sqrt(1 + 12 * 10 / 90))
    assert found.mean == pytest.approx((ordinary.low + ordinary.high) / 2)


def test_equal_scores_give_the_point_0():
    same = corrected_difference(np.zeros(3), np.full(3, 20), np.full(3, 10))
    assert same == (0.0, 0.0, 0.0)


def test_covers_the_true_difference_where_the_ordinary_interval_does_not():
    """Two nearest-mean classifiers that use two or four of four features."""
    n_samples, n_splits, n_repeats = 60, 10, 600
    centre = np.array([0.5, 0.3, 0.2, 0.0])
    rng = np.random.default_rng(0)

    def draw(n):
        y = rng.integers(0, 2, n)
        return rng.normal(size=(n, 4)) + np.outer(2 * y - 1, centre), y

    def accuracy_difference(train, test):
        (X, y), (X_test, y_test) = train, test
        middle = (X[y == 0].mean(0) + X[y == 1].mean(0)) / 2
        axis = X[y == 1].mean(0) - X[y == 0].mean(0)
        projected = (X_test - middle) * axis
        right = [(projected[:, :k].sum(1) > 0) == y_test for k in (2, 4)]
        return right[1].mean() - right[0].mean()

    splitter = ShuffleSplit(n_splits, test_size=0.2, random_state=0)
    splits = list(splitter.split(np.arange(n_samples)))
    n_train, n_test = np.full(n_splits, 48), np.full(n_splits, 12)
    large_test = draw(20000)
    truth = np.mean([accuracy_difference(draw(48), large_test) for _ in range(300)])
    covered = {"corrected": 0, "ordinary": 0}
    for _ in range(n_repeats):
        X, y = draw(n_samples)
        differences = np.array(
            [accuracy_difference((X[a], y[a]), (X[b], y[b])) for a, b in splits]
        )
        found = corrected_difference(differences, n_train, n_test)
        half = stats.t.ppf(0.975, n_splits - 1) * stats.sem(differences)
        covered["corrected"] += found.low <= truth <= found.high
        covered["ordinary"] += abs(differences.mean() - truth) <= half
    shares = {name: count / n_repeats for name, count in covered.items()}
    assert shares["corrected"] > 0.93
    assert shares["ordinary"] < 0.88

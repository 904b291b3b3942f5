import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from gansampler.metrics import roc_auc_interval
from gansampler.metrics._intervals import wilson_interval


def draw(rng, n_positive=30, n_negative=80, shift=1.2):
    y_true = np.repeat([1, 0], [n_positive, n_negative])
    return y_true, rng.normal(size=n_positive + n_negative) + shift * y_true


def variances(y_true, y_score):
    """Area and DeLong's variance from all pairs, and Hanley and McNeil's variance."""
    positive, negative = y_score[y_true == 1], y_score[y_true == 0]
    pairs = np.array([[(p > n) + 0.5 * (p == n) for n in negative] for p in positive])
    area = pairs.mean()
    m, n = pairs.shape
    delong = ((pairs.mean(axis=1) - area) ** 2).sum() / (m - 1) / m + (
        (pairs.mean(axis=0) - area) ** 2
    ).sum() / (n - 1) / n

    def hanley(theta):
        # Newcombe's method 5: the mean of both sizes in the place of each.
        others = (m + n) / 2 - 1
        q1, q2 = theta / (2 - theta), 2 * theta**2 / (1 + theta)
        spread = theta * (1 - theta) + others * (q1 + q2 - 2 * theta**2)
        return spread / (m * n)

    return area, delong, hanley


@pytest.mark.parametrize("n_decimals", [1, 8], ids=["ties", "no ties"])
@pytest.mark.parametrize("confidence_level", [0.8, 0.95])
@pytest.mark.parametrize(("n_positive", "shift"), [(30, 1.2), (5, 1.8), (5, -0.5)])
def test_bounds_solve_the_equation(n_decimals, confidence_level, n_positive, shift):
    y_true, y_score = draw(np.random.default_rng(0), n_positive, shift=shift)
    y_score = y_score.round(n_decimals)
    low, high = roc_auc_interval(y_true, y_score, confidence_level=confidence_level)
    area, delong, hanley = variances(y_true, y_score)
    assert 0 < low < area < high <= 1
    z = norm.ppf(0.5 + confidence_level / 2)
    factor = max(1, delong / hanley(area))
    for bound in (low, high):
        expected = z * np.sqrt(factor * hanley(bound))
        assert abs(area - bound) == pytest.approx(expected, rel=1e-6)


def test_width_for_the_papers_test_set():
    # About .031 is the standard error of an area of .81 with 75 / 304 cases.
    y_true = np.repeat([1, 0], [75, 304])
    quantiles = [norm.ppf((np.arange(n) + 0.5) / n) for n in (75, 304)]
    y_score = np.concatenate(quantiles) + np.sqrt(2) * norm.ppf(0.81) * y_true
    assert roc_auc_score(y_true, y_score) == pytest.approx(0.81, abs=0.005)
    low, high = roc_auc_interval(y_true, y_score)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.031, abs=0.004)


def coverage(n_positive, n_negative, area, n_samples, spread=1.0):
    """Share of the intervals that contain the true area, for normal scores."""
    rng = np.random.default_rng(0)
    y_true = np.repeat([1, 0], [n_positive, n_negative])
    shift = norm.ppf(area) * np.sqrt(1 + spread**2)
    scale = np.where(y_true == 1, spread, 1)
    scores = (scale * rng.normal(size=len(y_true)) for _ in range(n_samples))
    bounds = np.array([roc_auc_interval(y_true, s + shift * y_true) for s in scores])
    return ((bounds[:, 0] <= area) & (area <= bounds[:, 1])).mean()


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "area"), [(5, 300, 0.95), (5, 50, 0.8), (30, 80, 0.8)]
)
def test_covers_the_true_area(n_positive, n_negative, area):
    assert 0.93 < coverage(n_positive, n_negative, area, n_samples=400) < 0.995


@pytest.mark.slow
@pytest.mark.parametrize("area", [0.6, 0.75, 0.85, 0.95])
@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize(("n_positive", "n_negative"), [(5, 50), (5, 300), (20, 300)])
def test_covers_the_true_area_of_few_cases(n_positive, n_negative, area, spread):
    assert 0.9 < coverage(n_positive, n_negative, area, 1000, spread) < 0.995


def test_only_the_order_of_the_scores_counts():
    y_true, y_score = draw(np.random.default_rng(1))
    expected = roc_auc_interval(y_true, y_score)
    assert roc_auc_interval(y_true, np.exp(y_score)) == pytest.approx(expected)
    low, high = roc_auc_interval(y_true, -y_score)
    assert (1 - high, 1 - low) == pytest.approx(expected)
    labels = np.array(["benign", "malignant"])[y_true]
    assert roc_auc_interval(labels, y_score, pos_label="malignant") == expected
    swapped = roc_auc_interval(labels, -y_score, pos_label="benign")
    assert swapped == pytest.approx(expected)


def test_separated_classes_still_have_a_width():
    y_true = np.repeat([0, 1], [30, 10])
    low, high = roc_auc_interval(y_true, np.arange(40))
    assert high == 1
    _, _, hanley = variances(y_true, np.arange(40))
    assert 1 - low == pytest.approx(norm.ppf(0.975) * np.sqrt(hanley(low)), rel=1e-6)
    assert 0.8 < low < 0.95
    assert roc_auc_interval(y_true, -np.arange(40)) == pytest.approx((0, 1 - low))


def test_scores_without_information():
    assert roc_auc_interval([0, 0, 1, 1], [3, 3, 3, 3]) == (0, 1)
    assert roc_auc_interval([0] * 90 + [1] * 10, np.full(100, 0.1)) == (0, 1)
    assert roc_auc_interval([0, 0, 0, 1], [1, 2, 4, 3]) == (0, 1)


@pytest.mark.parametrize(
    ("y_true", "y_score", "options", "message"),
    [
        ([0, 0], [1, 2], {}, "at least one positive case"),
        ([1, 1], [1, 2], {}, "at least one negative case"),
        ([0, 1], [[0.1, 0.9], [0.8, 0.2]], {}, r"Got \(2, 2\). From predict_proba,"),
        ([0, 1], [1, 2, 3], {}, r"shape \(2,\). Got \(3,\)"),
        ([0, 1], [1, np.nan], {}, "must be finite. Got 1 NaN or infinite of 2"),
        ([0, 1], [1, -np.inf], {}, "must be finite"),
        (
            [0, 1],
            [1, 2],
            {"confidence_level": 95},
            "Got 95. Pass confidence_level=0.95",
        ),
        ([0, 1], [1, 2], {"pos_label": 2}, "Got 2"),
    ],
)
def test_errors(y_true, y_score, options, message):
    with pytest.raises(ValueError, match=message):
        roc_auc_interval(y_true, y_score, **options)


def test_wilson_interval_solves_its_equation():
    # Its bounds p are where the count is z standard errors of p away.
    z = norm.ppf(0.975)
    for count, total in [(0, 12), (53, 75), (245, 304), (9, 9)]:
        bounds = wilson_interval(count, total, 0.95)
        for p in bounds:
            distance = (count / total - p) ** 2
            assert distance == pytest.approx(z**2 * p * (1 - p) / total, abs=1e-12)

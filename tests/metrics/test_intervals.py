import numpy as np
import pytest
from scipy.stats import beta, norm
from sklearn.metrics import roc_auc_score

from gansampler.metrics import roc_auc_interval
from gansampler.metrics._intervals import wilson_interval


def draw(rng, n_positive=30, n_negative=80, shift=1.2):
    y_true = np.repeat([1, 0], [n_positive, n_negative])
    return y_true, rng.normal(size=n_positive + n_negative) + shift * y_true


def delong_reference(y_true, y_score, confidence_level):
    """DeLong's interval from the matrix of all pairs, pair by pair."""
    positive, negative = y_score[y_true == 1], y_score[y_true == 0]
    pairs = np.array([[(p > n) + 0.5 * (p == n) for n in negative] for p in positive])
    area = pairs.mean()
    m, n = pairs.shape
    variance = ((pairs.mean(axis=1) - area) ** 2).sum() / (m - 1) / m + (
        (pairs.mean(axis=0) - area) ** 2
    ).sum() / (n - 1) / n
    z = norm.ppf(0.5 + confidence_level / 2)
    odds = area / (1 - area)
    step = np.exp(z * np.sqrt(variance) / (area * (1 - area)))
    return tuple(o / (1 + o) for o in (odds / step, odds * step))


@pytest.mark.parametrize("n_decimals", [1, 8], ids=["ties", "no ties"])
@pytest.mark.parametrize("confidence_level", [0.8, 0.95])
def test_agrees_with_all_pairs(n_decimals, confidence_level):
    y_true, y_score = draw(np.random.default_rng(0))
    y_score = y_score.round(n_decimals)
    given = roc_auc_interval(y_true, y_score, confidence_level=confidence_level)
    expected = delong_reference(y_true, y_score, confidence_level)
    assert given == pytest.approx(expected)


def test_width_for_the_papers_test_set():
    # About .031 is the standard error of an area of .81 with 75 / 304 cases.
    y_true = np.repeat([1, 0], [75, 304])
    quantiles = [norm.ppf((np.arange(n) + 0.5) / n) for n in (75, 304)]
    y_score = np.concatenate(quantiles) + np.sqrt(2) * norm.ppf(0.81) * y_true
    assert roc_auc_score(y_true, y_score) == pytest.approx(0.81, abs=0.005)
    low, high = roc_auc_interval(y_true, y_score)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.031, abs=0.004)


def test_covers_the_true_area():
    rng = np.random.default_rng(0)
    true_area = norm.cdf(1.2 / np.sqrt(2))
    bounds = np.array([roc_auc_interval(*draw(rng)) for _ in range(600)])
    covered = (bounds[:, 0] <= true_area) & (true_area <= bounds[:, 1])
    assert 0.92 < covered.mean() < 0.98


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
    assert (low, high) == pytest.approx((beta.ppf(0.025, 10, 1), 1))
    low, high = roc_auc_interval(y_true, -np.arange(40))
    assert (low, high) == pytest.approx((0, beta.ppf(0.975, 1, 10)))


def test_degenerate_scores():
    assert roc_auc_interval([0, 0, 1, 1], [3, 3, 3, 3]) == pytest.approx((0.5, 0.5))
    assert roc_auc_interval([0, 0, 0, 1], [1, 2, 4, 3]) == (0, 1)


@pytest.mark.parametrize(
    ("y_true", "y_score", "options", "message"),
    [
        ([0, 0], [1, 2], {}, "at least one positive case"),
        ([1, 1], [1, 2], {}, "at least one negative case"),
        ([0, 1], [[0.1, 0.9], [0.8, 0.2]], {}, r"Got \(2, 2\). Of predict_proba, pass"),
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

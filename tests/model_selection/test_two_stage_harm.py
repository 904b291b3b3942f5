"""By default, synthetic rows do no harm, and are used where they help."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.utils import check_random_state

from gansampler import TwoStageClassifier

SEEDS = range(10)
LOGISTIC = LogisticRegression(max_iter=300)


class Synthesizer(BaseEstimator):
    """Add as many rows to class 1 as are missing, of a kind."""

    def __init__(self, kind="noise", random_state=None):
        self.kind = kind
        self.random_state = random_state

    def fit_resample(self, X, y):
        rng = check_random_state(self.random_state)
        n_new = (y == 0).sum() - (y == 1).sum()
        minority = X[y == 1][rng.randint((y == 1).sum(), size=n_new)]
        majority = X[y == 0][rng.randint((y == 0).sum(), size=n_new)]
        if self.kind == "noise":
            X_new = rng.uniform(size=minority.shape)
        elif self.kind == "shuffled pixels":
            X_new = np.array([rng.permutation(row) for row in minority])
        elif self.kind == "majority":
            X_new = majority
        else:
            X_new = 0.7 * minority + 0.3 * majority
        y_new = np.ones(n_new, dtype=int)
        return np.concatenate([X, X_new]), np.concatenate([y, y_new])


def draw_digits(seed):
    """Return training data with 20 eights, and test data with 60, both at 1:20."""
    X, label = load_digits(return_X_y=True)
    X, y = X / 16, (label == 8).astype(int)
    order = np.random.default_rng(seed).permutation(len(y))
    ones, zeros = order[y[order] == 1], order[y[order] == 0]
    train = np.concatenate([ones[:20], zeros[:400]])
    test = np.concatenate([ones[20:80], zeros[400:1600]])
    return X[train], y[train], X[test], y[test]


def scores(model, X, y, X_test, y_test):
    probabilities = model.fit(X, y).predict_proba(X_test)[:, 1]
    auc = roc_auc_score(y_test, probabilities)
    return np.array([auc, brier_score_loss(y_test, probabilities)])


@pytest.mark.parametrize("kind", ["noise", "shuffled pixels", "majority"])
def test_bad_synthetic_rows_are_left_out(kind):
    n_harmful = 0
    for seed in SEEDS:
        data = draw_digits(seed)
        alone = scores(LOGISTIC, *data)
        sampler = Synthesizer(kind)
        model = TwoStageClassifier(sampler, LOGISTIC, random_state=seed)
        auc, _ = scores(model, *data)
        assert auc >= alone[0] - 0.005, model.verdict_
        if seed < 3:
            fixed = TwoStageClassifier(
                sampler, LOGISTIC, synthetic_weight=1, random_state=seed
            )
            n_harmful += scores(fixed, *data)[0] < alone[0] - 0.005
    # They would have done harm.
    assert n_harmful == 3


@pytest.mark.parametrize(
    "sampler", [RandomOverSampler(), SMOTE(), Synthesizer("mix")], ids=str
)
def test_probabilities_stay_calibrated(sampler):
    """Also with synthetic rows, and although ordinary over-sampling worsens them."""
    differences = []
    for seed in range(5):
        data = draw_digits(seed)
        auto = TwoStageClassifier(sampler, LOGISTIC, random_state=seed)
        fixed = clone(auto).set_params(synthetic_weight=1)
        usual = make_pipeline(clone(sampler).set_params(random_state=seed), LOGISTIC)
        found = np.array([scores(model, *data) for model in (auto, fixed, usual)])
        differences.append(found - scores(LOGISTIC, *data))
    differences = np.array(differences)
    # The AUC of "auto", within noise.
    assert differences[:, 0, 0].mean() > -0.002
    assert differences[:, :2, 1].max() < 0.005
    assert differences[:, 2, 1].mean() > 0.005


def draw_normal(rng, n_rows, y):
    """Class 1 is shifted by a little in each of 60 dimensions."""
    return rng.normal(size=(n_rows, 60)) + 0.15 * y


class Truth(BaseEstimator):
    """Add rows from the distribution of class 1."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit_resample(self, X, y):
        rng = check_random_state(self.random_state)
        X_new = draw_normal(rng, 600, 1)
        return np.concatenate([X, X_new]), np.concatenate([y, np.ones(600, dtype=int)])


def test_synthetic_rows_that_help_are_used():
    """Rows that contain new information, with the default of three folds."""
    gains, weights = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y, y_test = np.repeat([0, 1], [600, 60]), np.repeat([0, 1], [500, 500])
        X = draw_normal(rng, 660, y[:, None])
        X_test = draw_normal(rng, 1000, y_test[:, None])
        model = TwoStageClassifier(Truth(), LOGISTIC, random_state=seed)
        data = X, y, X_test, y_test
        gains.append(scores(model, *data)[0] - scores(LOGISTIC, *data)[0])
        weights.append(model.synthetic_weight_)
    assert sum(weight > 0 for weight in weights) >= 4
    assert np.mean(gains) > 0.02

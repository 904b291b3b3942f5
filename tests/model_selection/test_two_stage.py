"""The two-stage classifier: weights, stages, and the choice of the weight."""

import numpy as np
import pytest
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    BorderlineSMOTE,
    RandomOverSampler,
)
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gansampler import TwoStageClassifier
from gansampler.model_selection._stages import row_weights


class Spy(BaseEstimator):
    """A sampler that adds copies of the minority and writes down what it gets."""

    seen: list = []

    def __init__(self, shuffled=False, is_broken=False):
        self.shuffled = shuffled
        self.is_broken = is_broken

    def fit_resample(self, X, y):
        if self.is_broken:
            raise AssertionError("nothing may be generated")
        self.seen.append(X)
        minority = X[y == 1]
        X_new = np.tile(minority, (3, 1)) + 0.1
        X_all = np.concatenate([X, X_new])
        y_all = np.concatenate([y, np.ones(len(X_new), dtype=int)])
        order = np.arange(len(y_all))
        if self.shuffled:
            order = np.random.default_rng(0).permutation(order)
        self.is_synthetic_ = order >= len(y)
        return X_all[order], y_all[order]


class Diary(ClassifierMixin, BaseEstimator):
    """A classifier that writes down how it is fitted."""

    calls: list = []

    def __init__(self, n_epochs=10, warm_start=False):
        self.n_epochs = n_epochs
        self.warm_start = warm_start

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.calls.append((self.n_epochs, self.warm_start, len(y), sample_weight))
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


@pytest.fixture(autouse=True)
def blank():
    Spy.seen.clear()
    Diary.calls.clear()


@pytest.mark.parametrize("weight", [0.25, 1.0, 3.0])
def test_weights_follow_the_rule(weight):
    """Classes keep their share, or have equal ones; the total is the real rows."""
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [60, 25, 40])
    is_synthetic = rng.random(125) < np.select([y == "a", y == "b"], [0, 0.6], 0.9)
    n_real = {c: int((~is_synthetic[y == c]).sum()) for c in "abc"}
    for balance in ("prevalence", "balanced"):
        weights = row_weights(y, is_synthetic, weight, balance)
        assert weights.sum() == pytest.approx(sum(n_real.values()))
        for c in "abc":
            share = n_real[c] if balance == "prevalence" else sum(n_real.values()) / 3
            assert weights[y == c].sum() == pytest.approx(share)
            if c != "a":
                real = weights[(y == c) & ~is_synthetic]
                synthetic = weights[(y == c) & is_synthetic]
                np.testing.assert_allclose(synthetic, weight * real[0])
                np.testing.assert_allclose(real, real[0])


def test_weight_zero_is_the_classifier_alone(imbalanced):
    X, y = imbalanced
    for classifier in (
        LogisticRegression(),
        SGDClassifier(loss="log_loss", random_state=3),
        RandomForestClassifier(5, random_state=3),
        KNeighborsClassifier(),
    ):
        model = TwoStageClassifier(
            Spy(is_broken=True), classifier, synthetic_weight=0, real_only_share=0.5
        ).fit(X, y)
        expected = classifier.fit(X, y).predict_proba(X)
        assert np.array_equal(model.predict_proba(X), expected)
        assert model.sampler_ is None
        assert model.synthetic_weight_ == 0
    balanced = TwoStageClassifier(
        Spy(is_broken=True),
        LogisticRegression(),
        synthetic_weight=0,
        class_balance="balanced",
    ).fit(X, y)
    expected = LogisticRegression(class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(balanced.classifier_.coef_, expected.coef_, rtol=1e-3)


def test_balanced_is_ordinary_over_sampling(imbalanced):
    """Up to the scale of the weights, and so of the penalty."""
    X, y = imbalanced
    sampler = SMOTE(random_state=0)
    settings = {"tol": 1e-10, "max_iter": 1000}
    model = TwoStageClassifier(
        sampler,
        LogisticRegression(**settings),
        synthetic_weight=1,
        class_balance="balanced",
    ).fit(X, y)
    X_all, y_all = sampler.fit_resample(X, y)
    expected = LogisticRegression(C=len(y) / len(y_all), **settings).fit(X_all, y_all)
    np.testing.assert_allclose(model.classifier_.coef_, expected.coef_, rtol=1e-5)
    assert model.n_synthetic_ == {1: 160}


def test_copies_of_all_rows_change_nothing(imbalanced):
    """Each copy takes its weight from its original. Any object can be a sampler."""
    X, y = imbalanced

    class Twice:
        def fit_resample(self, X, y):
            return np.concatenate([X, X]), np.concatenate([y, y])

    settings = {"tol": 1e-10, "max_iter": 1000}
    model = TwoStageClassifier(
        Twice(), LogisticRegression(**settings), synthetic_weight=0.5
    ).fit(X, y)
    expected = LogisticRegression(**settings).fit(X, y).coef_
    np.testing.assert_allclose(model.classifier_.coef_, expected, rtol=1e-6)


def test_is_synthetic_of_the_sampler_is_used(imbalanced):
    """The rows may then be in any order."""
    coefs = [
        TwoStageClassifier(
            Spy(shuffled), LogisticRegression(tol=1e-10), synthetic_weight=0.3
        )
        .fit(*imbalanced)
        .classifier_.coef_
        for shuffled in (False, True)
    ]
    np.testing.assert_allclose(coefs[0], coefs[1], rtol=1e-6)


@pytest.mark.parametrize(
    "sampler",
    [
        RandomOverSampler(),
        RandomOverSampler(shrinkage=0.5),
        SMOTE(),
        ADASYN(),
        BorderlineSMOTE(),
    ],
    ids=str,
)
def test_over_samplers_of_imbalanced_learn(imbalanced, sampler):
    X, y = imbalanced
    model = TwoStageClassifier(sampler, LogisticRegression(), synthetic_weight=0.5)
    n_new = model.fit(X, y).n_synthetic_
    assert list(n_new) == [1]
    assert 140 <= n_new[1] <= 180


@pytest.mark.parametrize("sampler", [SMOTEENN(), RandomUnderSampler()], ids=str)
def test_samplers_that_remove_rows_are_refused(imbalanced, sampler):
    X, y = imbalanced
    for weight in (0.5, "auto"):
        model = TwoStageClassifier(
            sampler, LogisticRegression(), synthetic_weight=weight
        )
        with pytest.raises(ValueError, match="must return all rows of `X` first"):
            model.fit(X, y)
        assert not hasattr(model, "classifier_")


def test_a_sampler_that_changes_rows_is_refused(imbalanced):
    class Shift(BaseEstimator):
        def fit_resample(self, X, y):
            return np.concatenate([X + 1e-3, X[:5]]), np.concatenate([y, y[:5]])

    model = TwoStageClassifier(Shift(), LogisticRegression(), synthetic_weight=1)
    with pytest.raises(ValueError, match="Shift got 200 rows and returned 205"):
        model.fit(*imbalanced)


def test_the_sampler_sees_training_parts_only(imbalanced):
    """One fit per split, and the groups are kept together."""
    X, y = imbalanced
    X = np.column_stack([np.arange(len(y)), X])
    groups = np.arange(len(y)) // 4
    model = TwoStageClassifier(
        Spy(), LogisticRegression(max_iter=2000), cv=4, random_state=0
    ).fit(X, y, groups=groups)
    n_fits = 4 if model.synthetic_weight_ == 0 else 5
    assert len(Spy.seen) == n_fits
    in_test = np.zeros(len(y), dtype=int)
    for part in Spy.seen[:4]:
        left_out = np.setdiff1d(np.arange(len(y)), part[:, 0].astype(int))
        in_test[left_out] += 1
        assert not np.intersect1d(groups[left_out], groups[part[:, 0].astype(int)]).size
    assert (in_test == 1).all()
    cv = list(StratifiedKFold(3).split(X, y))
    with pytest.raises(ValueError, match="No group may be in the training part"):
        TwoStageClassifier(Spy(), LogisticRegression(), cv=cv).fit(X, y, groups=groups)
    TwoStageClassifier(Spy(), LogisticRegression(max_iter=2000), cv=GroupKFold(3)).fit(
        X, y, groups=groups
    )


def test_results_are_those_of_an_ordinary_cross_validation(imbalanced):
    X, y = imbalanced
    cv = StratifiedKFold(3, shuffle=True, random_state=5)
    sampler = SMOTE(random_state=1)
    model = TwoStageClassifier(sampler, LogisticRegression(), cv=cv).fit(X, y)
    results = model.cv_results_
    assert results["param_synthetic_weight"].tolist() == [0, 0.25, 0.5, 1]
    for i, (train, test) in enumerate(cv.split(X, y)):
        X_all, y_all = sampler.fit_resample(X[train], y[train])
        is_new = np.arange(len(y_all)) >= len(train)
        for j, weight in enumerate([0, 0.25, 0.5, 1]):
            n_real = (y[train] == 1).sum()
            factor = n_real / (n_real + weight * is_new.sum())
            weights = np.where(y_all == 1, factor, 1.0)
            weights[is_new] *= weight
            expected = LogisticRegression().fit(X_all, y_all, weights)
            score = roc_auc_score(y[test], expected.decision_function(X[test]))
            assert results[f"split{i}_test_score"][j] == pytest.approx(score, abs=1e-3)
    scores = np.array([results[f"split{i}_test_score"] for i in range(3)])
    np.testing.assert_allclose(results["mean_test_score"], scores.mean(0))
    # scipy: t.ppf(0.84135, 2) = 1.3213; the test part is half as large as the other.
    differences = scores - scores[:, :1]
    np.testing.assert_allclose(results["mean_difference"], differences.mean(0))
    np.testing.assert_allclose(
        results["error_difference"],
        1.3213 * differences.std(0, ddof=1) * np.sqrt(1 / 3 + 1 / 2),
        rtol=1e-2,
    )


def test_more_than_two_classes():
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [60, 30, 12])
    X = rng.normal(size=(102, 3)) + (np.searchsorted(["a", "b", "c"], y))[:, None]
    model = TwoStageClassifier(SMOTE(), LogisticRegression(), random_state=0)
    model.fit(X, y)
    assert "roc_auc_ovr" in model.verdict_
    assert model.predict_proba(X).shape == (102, 3)
    weighted = model.set_params(synthetic_weight=1).fit(X, y)
    assert weighted.n_synthetic_ == {"b": 30, "c": 48}
    assert not hasattr(weighted, "verdict_")


@pytest.mark.parametrize(
    ("share", "expected"), [(0.2, (8, 2)), (0.01, (9, 1)), (0.99, (1, 9))]
)
def test_the_last_epochs_are_on_real_rows(imbalanced, share, expected):
    X, y = imbalanced
    model = TwoStageClassifier(
        SMOTE(), Diary(), synthetic_weight=0.5, real_only_share=share
    ).fit(X, y)
    first, second = Diary.calls
    assert (first[0], second[0]) == expected
    assert (first[1], second[1]) == (False, True)
    assert (first[2], second[2]) == (360, 200)
    assert first[3].sum() == pytest.approx(200)
    assert second[3] is None
    assert model.classifier_.get_params() == Diary().get_params()


def test_stages_of_a_classifier_of_scikit_learn(imbalanced):
    X, y = imbalanced
    sampler, classifier = (
        SMOTE(random_state=0),
        MLPClassifier(
            (4,), solver="sgd", learning_rate_init=0.01, max_iter=20, random_state=0
        ),
    )
    with pytest.warns(match="Maximum iterations"):
        model = TwoStageClassifier(
            sampler, classifier, synthetic_weight=1, real_only_share=0.5
        ).fit(X, y)
    X_all, y_all = sampler.fit_resample(X, y)
    # 20 real rows of the minority stand for 20, and so do 180 rows of both kinds.
    weights = np.where(y_all == 1, 20 / 180, 1.0)
    classifier.set_params(max_iter=10, warm_start=True)
    with pytest.warns(match="Maximum iterations"):
        classifier.fit(X_all, y_all, weights).fit(X, y)
    np.testing.assert_allclose(
        model.predict_proba(X), classifier.predict_proba(X), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("classifier", "params", "error", "match"),
    [
        (KNeighborsClassifier(), {}, TypeError, "KNeighborsClassifier has none"),
        (
            make_pipeline(StandardScaler(), KNeighborsClassifier()),
            {},
            TypeError,
            "must have the parameter `sample_weight`",
        ),
        (
            KNeighborsClassifier(),
            {"synthetic_weight": 0, "class_balance": "balanced"},
            TypeError,
            "sample_weight",
        ),
        (
            RandomForestClassifier(),
            {"real_only_share": 0.5},
            ValueError,
            "must have `warm_start` and a number of epochs",
        ),
        (
            Diary(n_epochs=1),
            {"real_only_share": 0.5, "scoring": "accuracy"},
            ValueError,
            "`n_epochs` of the classifier must be at least 2",
        ),
        (LogisticRegression(), {"cv": 21}, ValueError, "Got 20 samples of class 1"),
        (LogisticRegression(), {"cv": 1}, ValueError, "in the range"),
    ],
)
def test_errors_come_before_anything_is_generated(
    imbalanced, classifier, params, error, match
):
    model = TwoStageClassifier(Spy(is_broken=True), classifier, **params)
    with pytest.raises(error, match=match):
        model.fit(*imbalanced)


def test_a_pipeline_gets_the_weights(imbalanced):
    X, y = imbalanced
    sampler = SMOTE(random_state=0)
    model = TwoStageClassifier(
        sampler,
        make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10)),
        synthetic_weight=1,
    ).fit(X, y)
    X_all, y_all = sampler.fit_resample(X, y)
    scaled = StandardScaler().fit_transform(X_all)
    weights = np.where(y_all == 1, 20 / 180, 1.0)
    expected = LogisticRegression(tol=1e-10).fit(scaled, y_all, weights)
    np.testing.assert_allclose(model.classifier_[-1].coef_, expected.coef_, rtol=1e-6)


def test_the_same_seed_gives_the_same_result(imbalanced):
    X, y = imbalanced
    first, second, other = (
        TwoStageClassifier(
            SMOTE(),
            SGDClassifier(),
            synthetic_weight=1,
            random_state=seed,
        )
        .fit(X, y)
        .decision_function(X)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)

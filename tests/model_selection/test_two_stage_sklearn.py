"""The contract of scikit-learn for TwoStageClassifier."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gansampler import TwoStageClassifier


@parametrize_with_checks(
    [
        TwoStageClassifier(RandomOverSampler(), LogisticRegression()),
        TwoStageClassifier(
            SMOTE(k_neighbors=1),
            LogisticRegression(),
            synthetic_weight=0.5,
            class_balance="balanced",
        ),
    ]
)
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_cross_validation(imbalanced):
    model = TwoStageClassifier(
        SMOTE(k_neighbors=3), LogisticRegression(), random_state=0
    )
    scores = cross_val_score(model, *imbalanced, cv=2, scoring="roc_auc")
    assert scores.min() > 0.75


def test_grid_search_over_nested_parameters(imbalanced):
    X, y = imbalanced
    model = TwoStageClassifier(
        SMOTE(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        random_state=0,
    )
    grid = {
        "synthetic_weight": [0, 0.5],
        "sampler__k_neighbors": [1, 3],
        "classifier__logisticregression__C": [1e-6, 1.0],
    }
    search = GridSearchCV(model, grid, cv=2, scoring="neg_brier_score").fit(X, y)
    assert search.best_params_["classifier__logisticregression__C"] == 1.0
    assert search.best_estimator_.score(X, y) > 0.9


def test_data_frames_keep_their_names(imbalanced):
    X, y = imbalanced
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    model = TwoStageClassifier(SMOTE(random_state=0), LogisticRegression())
    model.set_params(synthetic_weight=0.5, random_state=0).fit(frame, pd.Series(y))
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    expected = clone(model).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(frame), expected, rtol=1e-12)


def test_methods_are_those_of_the_classifier():
    with_probabilities = TwoStageClassifier(SMOTE(), LogisticRegression())
    without = TwoStageClassifier(SMOTE(), SGDClassifier())
    assert hasattr(with_probabilities, "predict_proba")
    assert not hasattr(without, "predict_proba")
    assert hasattr(without, "decision_function")
    assert not hasattr(with_probabilities, "classes_")


def test_parameters_are_checked(imbalanced):
    with pytest.raises(ValueError, match="Did you mean 'prevalence'"):
        TwoStageClassifier(
            SMOTE(), LogisticRegression(), class_balance="prevalance"
        ).fit(*imbalanced)
    with pytest.raises(ValueError, match="'sampler' parameter"):
        TwoStageClassifier(LogisticRegression(), LogisticRegression()).fit(*imbalanced)
    with pytest.raises(TypeError, match="Did you mean random_state"):
        TwoStageClassifier(SMOTE(), LogisticRegression(), seed=0)

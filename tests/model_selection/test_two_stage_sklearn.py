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

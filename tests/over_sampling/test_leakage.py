import warnings

import numpy as np
import pytest
import torch
from imblearn.pipeline import make_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier
from skorch.helper import predefined_split
from torch.utils.data import TensorDataset

from gansampler import GANOverSampler
from gansampler.exceptions import GANSamplerWarning
from tests.over_sampling.translators import Invert


class Linear(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(192, 2), torch.nn.Softmax(dim=-1))


def skorch(**params):
    return NeuralNetClassifier(Linear, max_epochs=1, verbose=0, **params)


def held_out():
    labels = torch.tensor([0, 1, 0, 1])
    return predefined_split(TensorDataset(torch.zeros(4, 192), labels))


def flatten(X):
    return X.reshape(len(X), -1).astype(np.float32) / 255


@pytest.fixture
def data():
    X = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    return X, np.repeat([0, 1], [40, 20])


def pipeline(last):
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    return make_pipeline(sampler, FunctionTransformer(flatten), last)


LogReg = LogisticRegression

SPLITS = {
    "skorch": (lambda: skorch(), "train_split"),
    "network": (
        lambda: MLPClassifier((2,), max_iter=1, early_stopping=True),
        "validation_fraction",
    ),
    "boosting": (
        lambda: HistGradientBoostingClassifier(max_iter=1, early_stopping=True),
        "validation_fraction",
    ),
    "search": (lambda: GridSearchCV(LogReg(tol=1.0), {"C": [1, 2]}, cv=2), "cv"),
    "calibration": (lambda: CalibratedClassifierCV(LogReg(tol=1.0), cv=2), "cv"),
}


@pytest.mark.parametrize("case", SPLITS)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimator_that_splits_is_warned_of(data, case):
    make, how = SPLITS[case]
    with pytest.warns(GANSamplerWarning, match=rf"splits them itself \({how}\)"):
        pipeline(make()).fit(*data)


DOES_NOT_SPLIT = {
    "linear": lambda: LogReg(tol=1.0),
    "sgd": lambda: SGDClassifier(tol=1.0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=1),
    "skorch without": lambda: skorch(train_split=None),
    "skorch with a predefined split": lambda: skorch(train_split=held_out()),
}


@pytest.mark.parametrize("case", DOES_NOT_SPLIT)
def test_others_are_not(data, case):
    with warnings.catch_warnings():
        warnings.simplefilter("error", GANSamplerWarning)
        pipeline(DOES_NOT_SPLIT[case]()).fit(*data)


def test_it_is_told_in_cross_validation_too_and_not_without_a_pipeline(data):
    with pytest.warns(GANSamplerWarning, match="NeuralNetClassifier gets resampled"):
        cross_validate(pipeline(skorch()), *data, cv=2)
    # The search is around the sampler, as it should be.
    search = GridSearchCV(
        pipeline(LogReg(tol=1.0)), {"logisticregression__C": [1, 2]}, cv=2
    )
    search.fit(*data)
    GANOverSampler(translator=Invert()).fit_resample(*data)

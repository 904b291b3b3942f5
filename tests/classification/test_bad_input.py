"""Bad input raises an error with a remedy before anything is trained."""

import numpy as np
import pandas as pd
import pytest
import torch

from gansampler import Trainer, TransferClassifier
from gansampler.training import Callback

X = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
F = X / 255
Y = np.repeat(["a", "b"], [7, 3])


class CountStarts(Callback):
    def __init__(self):
        self.n_starts = 0

    def on_fit_start(self, task, n_epochs):
        self.n_starts += 1


def classifier(starts=None, **params):
    trainer = Trainer(
        accelerator="cpu",
        precision="32-true",
        callbacks=None if starts is None else [starts],
    )
    params = {"weights": None, "n_epochs": 1, "trainer": trainer, **params}
    return TransferClassifier(
        **{"backbone": "squeezenet1_1", "random_state": 0, **params}
    )


def with_value(value, array=F):
    array = array.copy()
    array[3, 1, ...] = value
    return array


# X, y, parameters, and the message: the rule, what was given, and what to do.
CASES = {
    "empty": (X[:0], [], {}, "0 sample.* while a minimum of 1 is required"),
    "none": (None, Y, {}, "`X` must hold images.* Got None. Pass"),
    "one class": (X, ["a"] * 10, {}, "at least 2 classes .*: \\['a'\\]"),
    "nan": (with_value(np.nan), Y, {}, "Got NaN in row 3. Replace"),
    "infinity": (with_value(-np.inf), Y, {}, "Got infinity in row 3. Replace"),
    "nan in rows": (with_value(np.nan, F[:, 0, :, 0]), Y, {}, "Input .*contains NaN"),
    "range": (F * 255, Y, {}, "lie in \\[0, 1\\]. Got values from 0 to 255. Divide"),
    "int64": (X.astype(np.int64), Y, {}, "Got dtype int64. Pass X.astype"),
    "objects": (X.astype(object), Y, {}, "Got dtype object. Pass X.astype"),
    "text": (np.full(X.shape, "q"), Y, {}, "Got dtype <U1. Pass X.astype"),
    "ragged": ([*X[:9], X[9, :9]], Y, {}, "one shape. Row 0 .*row 9 .*Resize"),
    "tensor": (torch.zeros(10, 3, 32, 3), Y, {}, "not tell where the channels are"),
    "first": (X.transpose(0, 3, 1, 2), Y, {}, "like channels first. Pass X.transpose"),
    "shape": (X, Y, {"image_shape": (32, 32, 1)}, "Got .32, 32, 1. for images.*Leave"),
    "small": (X[:, :12, :12], Y, {}, "that squeezenet1_1 .*17 px. Got 12 .*Resize"),
    "short": (X, Y[:8], {}, "inconsistent numbers of samples: .10, 8."),
    "no labels": (X, None, {}, "requires y to be passed, but the target y is None"),
    "one label": (X, "a", {}, "one label for each sample. Got one value of type str"),
    "nan label": (X, np.full(10, np.nan), {}, "Input y contains NaN"),
    "continuous": (X, np.linspace(0.1, 1, 10), {}, "Unknown label type: continuous"),
    "multilabel": (X, np.eye(10, dtype=int), {}, "should be a 1d array, got an array"),
    "missing": (X, ["a"] * 7 + [None] * 3, {}, "Row 7 of `y` has None. Give it"),
    "mixed": (X, ["a"] * 7 + [2] * 3, {}, "Row 0 of `y` is 'a', row 7 is 2. Pass"),
    "backbone": (X, Y, {"backbone": "restnet18"}, "Got 'restnet18'.*mean 'resnet18'"),
    "weights": (X, Y, {"weights": "DEFALT"}, "Got 'DEFALT'.*Did you mean 'DEFAULT'"),
    "loss": (X, Y, {"loss": "focl"}, "Got 'focl' instead. Did you mean 'focal'"),
    "optimizer": (X, Y, {"optimizer": "adma"}, "Got 'adma' instead. Did you mean 'ad"),
    "epochs": (X, Y, {"n_epochs": 1.5}, "The 'n_epochs' parameter of TransferClassif"),
    "freeze": (
        X,
        Y,
        {"freeze": "no"},
        "module in the body .*Got 'no'.*'features'",
    ),
    "trainer": (X, Y, {"trainer": "cpu"}, "The 'trainer' parameter of TransferClassi"),
    "paths": (["a.png", "b.png"], Y[:2], {}, "2 of 2 are not: row 0 .*row 1 .*Replace"),
}


@pytest.mark.parametrize("case", CASES)
def test_message_and_no_side_effects(case):
    images, y, params, message = CASES[case]
    before = repr(images), repr(y)
    starts = CountStarts()
    estimator = classifier(starts, **params)
    state = dict(vars(estimator))
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        estimator.fit(images, y)
    assert (repr(images), repr(y)) == before
    assert starts.n_starts == 0
    assert vars(estimator) == state


@pytest.fixture(scope="module")
def fitted():
    return classifier().fit(X, Y)


PREDICTED = {
    "size": (X[:, :24, :24], "fitted on, .32, 32, 3.. Got .24, 24, 3.. Resize"),
    "channels": (X[..., :1], "Got .32, 32, 1.. Resize"),
    "rows": (F[:, 0, :, 0], "Got .32,.. Resize"),
    "range": (F * 255, "Got values from 0 to 255. Divide"),
    "nan": (with_value(np.nan), "Got NaN in row 3. Replace"),
    "first": (X.transpose(0, 3, 1, 2), "looks like channels first. Pass X.transpose"),
    "empty": (X[:0], "0 sample.* while a minimum of 1 is required"),
    "file": (["no.png"], "1 of 1 are not: row 0 .no.png.: there is no such file"),
    "dtype": (X.astype(int), "Got dtype int64. Pass X.astype"),
}


@pytest.mark.parametrize("case", PREDICTED)
def test_messages_of_predict(case, fitted):
    images, message = PREDICTED[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        fitted.predict(images)


@pytest.mark.parametrize("data", [3, X, (X, Y, Y), (X,), "ab"])
def test_validation_data_must_be_a_pair(data):
    starts = CountStarts()
    with pytest.raises(ValueError, match=r"must be a pair of.*\(dataset, None\)"):
        classifier(starts).fit(X, Y, validation_data=data)
    assert starts.n_starts == 0


def test_unknown_validation_labels_start_no_training():
    starts = CountStarts()
    with pytest.raises(ValueError, match="unseen labels|previously unseen"):
        classifier(starts).fit(X, Y, validation_data=(X[:2, ::-1] // 2, ["a", "q"]))
    assert starts.n_starts == 0


def test_a_failed_fit_leaves_the_fitted_classifier_as_it_was():
    estimator = classifier().fit(X, Y)
    expected = estimator.predict_proba(X)
    with pytest.raises(ValueError, match="at least 2 classes"):
        estimator.fit(X[:, :24, :24], ["q"] * 10)
    assert estimator.classes_.tolist() == ["a", "b"]
    assert np.array_equal(estimator.predict_proba(X), expected)


def test_a_failed_fit_leaves_the_features_as_they_were():
    frame = pd.DataFrame(F[:, 0, :4, 0], columns=list("abcd"))
    estimator = classifier().fit(frame, Y)
    state = dict(vars(estimator))
    with pytest.raises(ValueError, match="at least 2 classes"):
        estimator.fit(frame[["a", "b"]], ["q"] * 10)
    with pytest.raises(ValueError, match="Pass a number as `lr`"):
        estimator.set_params(optimizer="sgd").fit(X, Y)
    estimator.set_params(optimizer="adamw")
    assert vars(estimator) == state
    assert estimator.n_features_in_ == 4
    assert estimator.feature_names_in_.tolist() == list("abcd")

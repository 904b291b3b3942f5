"""The contract of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.utils.data import TensorDataset

from gansampler import Trainer, TransferClassifier

EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "A sample of weight 2 is in one batch of an epoch, and its two copies are in "
        "different batches. The losses are equal, but the steps are not."
    )
}


@parametrize_with_checks(
    [
        TransferClassifier(
            # Fewer, longer steps than by default, for speed.
            batch_size=64,
            lr=0.05,
            n_epochs=30,
            trainer=Trainer(accelerator="cpu", precision="32-true"),
        )
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
)
def test_scikit_learn_contract(estimator, check):
    # The checks use feature rows, because their data are two-dimensional.
    check(estimator)


def test_cross_validation_in_two_processes(make, data):
    X, y = data
    model = make(n_epochs=1)
    scores = [
        cross_validate(model, X, y, cv=2, n_jobs=n_jobs, scoring="roc_auc")
        for n_jobs in (1, 2)
    ]
    assert np.array_equal(scores[0]["test_score"], scores[1]["test_score"])


def test_grid_search_over_nested_parameters(make, rows):
    X, y = rows
    grid = {"lr": [1e-30, 0.05], "trainer__precision": ["32-true", "64-true"]}
    search = GridSearchCV(make(n_epochs=5), grid, cv=2).fit(X, y)
    assert search.best_params_["lr"] == 0.05
    assert search.best_estimator_.score(X, y) == search.score(X, y)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_feature_rows_with_frames_as_output(make, rows, output, tmp_path):
    X, y = rows
    model = make().fit(X, y)
    expected = model.predict_proba(X)
    with config_context(transform_output=output):
        again = make().fit(X, y, validation_data=(X[::2], y[::2]))
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        np.testing.assert_array_equal(again.embed(X), model.embed(X))
        again.save(tmp_path / "model")
        loaded = TransferClassifier.load(tmp_path / "model")
        loaded.set_params(trainer=model.trainer)
        np.testing.assert_array_equal(loaded.predict_proba(X), expected)


def test_n_features_in_counts_the_values_of_a_sample(make, data, rows, tmp_path):
    """As in the sampler, whatever the form."""
    X, y = data
    paths = [tmp_path / f"{i}.png" for i in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    flat = X.reshape(len(X), -1)
    columns = pd.DataFrame(flat, columns=[f"p{i}" for i in range(flat.shape[1])])
    dataset = TensorDataset(
        torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(y == "malignant")
    )
    shape, n_values = (32, 32, 3), 32 * 32 * 3
    for images, labels in (
        (X, y),
        (flat, y),
        (columns, y),
        (paths, y),
        (dataset, None),
    ):
        model = make(n_epochs=1, image_shape=shape).fit(images, labels)
        assert model.n_features_in_ == n_values
        for other in (X, flat, paths, images):
            assert model.predict(other).shape == (20,)
    grey = make(n_epochs=1).fit(X[..., 0], y)
    assert grey.n_features_in_ == 32 * 32
    assert make(n_epochs=1).fit(*rows).n_features_in_ == 4
    model.save(tmp_path / "model")
    assert TransferClassifier.load(tmp_path / "model").n_features_in_ == n_values


def test_names_of_pixel_columns_are_checked(make, data):
    X, y = data
    flat = X.reshape(len(X), -1)
    columns = pd.DataFrame(flat, columns=[f"p{i}" for i in range(flat.shape[1])])
    model = make(n_epochs=1, image_shape=(32, 32, 3)).fit(columns, y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(columns[columns.columns[::-1]])


def test_representations():
    model = TransferClassifier("resnet18", lr=0.1)
    assert "lr=0.1" in repr(model)
    assert "resnet18" in model._repr_html_()

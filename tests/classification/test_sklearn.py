"""The contract of scikit-learn."""

import numpy as np
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.estimator_checks import parametrize_with_checks

from gansampler import Trainer, TransferClassifier

EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "A row of weight 2 is met once an epoch, its two copies in different batches: "
        "the losses are equal, the order of the steps is not."
    )
}


@parametrize_with_checks(
    [
        TransferClassifier(
            # Fewer, longer steps than by default, for speed.
            batch_size=64,
            lr=0.05,
            trainer=Trainer(accelerator="cpu", precision="32-true"),
        )
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
)
def test_scikit_learn_contract(estimator, check):
    # It is on the feature rows of the checks: images have no two-dimensional form.
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


def test_representations():
    model = TransferClassifier("resnet18", lr=0.1)
    assert "lr=0.1" in repr(model)
    assert "resnet18" in model._repr_html_()

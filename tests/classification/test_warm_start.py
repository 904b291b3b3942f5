"""Continuing from fitted weights: `warm_start` and `partial_fit`."""

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.nn import functional as F

from gansampler import Trainer, TransferClassifier

STOPPED = {"max_time": 1e-6}


def weights_of(model):
    return {k: v.clone() for k, v in model.network_.state_dict().items()}


def test_a_further_fit_takes_the_step_of_torch(make, rows):
    """All rows are in one batch, so that their order does not matter."""
    X, y = rows
    model = make(
        n_epochs=2,
        lr=0.1,
        weight_decay=0,
        batch_size=len(y),
        optimizer="adadelta",
        loss="cross_entropy",
        warm_start=True,
    ).fit(X, y)
    start = nn.Linear(4, 3)
    start.load_state_dict(model.network_.state_dict())
    scaler = model.scaler_
    # The rows are shifted: those of the first fit determine the standardisation.
    X_more = X + 1
    model.set_params(n_epochs=1).fit(X_more, y)
    assert model.scaler_ is scaler
    step = torch.optim.Adadelta(start.parameters(), lr=0.1)
    scaled = torch.from_numpy((X_more - X.mean(0)) / X.std(0)).float()
    loss = F.cross_entropy(
        start(scaled), torch.from_numpy(np.searchsorted([3, 5, 9], y))
    )
    loss.backward()
    step.step()
    torch.testing.assert_close(model.network_.weight, start.weight)
    assert [record["epoch"] for record in model.history_] == [1, 2, 3]
    assert model.history_[2]["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_without_warm_start_each_fit_is_new(make, data):
    X, y = data
    model = make().fit(X, y)
    expected = model.predict_proba(X)
    again = model.fit(X, y)
    assert np.array_equal(again.predict_proba(X), expected)
    assert len(again.history_) == 2
    # The first fit is the same with and without it.
    warm = make(warm_start=True).fit(X, y)
    assert np.array_equal(warm.predict_proba(X), expected)
    warm.fit(X, y)
    assert warm.history_[2]["loss"] < warm.history_[0]["loss"]
    assert len(warm.history_) == 4


def test_each_part_is_seen_in_another_order(make, data):
    """With the same seed in each call, the random changes would be the same."""
    X, y = data
    orders = []

    def see(image):
        orders.append(float(image.sum()))
        return image

    model = make(augmentation=see, horizontal_flip=False, lr=1e-30)
    for _ in range(2):
        model.partial_fit(X, y, classes=np.unique(y))
    first, second = orders[:20], orders[20:]
    assert sorted(first) == sorted(second)
    assert first != second


def test_partial_fit_learns_from_parts_of_single_classes(make):
    rng = np.random.default_rng(0)
    y = np.repeat(["benign", "malignant"], 40)
    X = rng.normal(size=(80, 2)) + 2.5 * (y == "malignant")[:, None]
    order = rng.permutation(80)
    # The first part has both classes, for the standardisation.
    model = make(batch_size=10).partial_fit(X, y, classes=["malignant", "benign"])
    for _ in range(20):
        for label in ("malignant", "benign"):
            part = order[y[order] == label]
            model.partial_fit(X[part], y[part])
    assert len(model.history_) == 41
    assert model.classes_.tolist() == ["benign", "malignant"]
    assert model.score(X, y) > 0.9


def test_first_partial_fit_is_a_fit_of_one_epoch(make, data):
    X, y = data
    one = make(n_epochs=1).fit(X, y)
    part = make(n_epochs=7).partial_fit(X, y, np.unique(y))
    torch.testing.assert_close(weights_of(part), weights_of(one), rtol=0, atol=0)
    # `partial_fit` goes on after `fit`, without classes.
    more = one.partial_fit(X, y)
    assert [record["epoch"] for record in more.history_] == [1, 2]
    torch.testing.assert_close(
        weights_of(part.partial_fit(X, y)), weights_of(more), rtol=0, atol=0
    )


def test_weights_of_parts_are_not_divided_by_their_mean(make, rows):
    """A part with weights of 2 counts twice as much as one with weights of 1."""
    X, y = rows
    settings = {"lr": 0.1, "weight_decay": 0, "optimizer": "sgd", "batch_size": 100}
    start = make(**{**settings, "lr": 1e-30}).partial_fit(X, y, [3, 5, 9])
    before = start.network_.weight.detach()
    classes = {"classes": [3, 5, 9]}
    steps = [
        make(class_weight=class_weight, **settings)
        .partial_fit(X, y, sample_weight=weight, **classes)
        .network_.weight.detach()
        - before
        for class_weight, weight in (
            (None, None),
            (None, np.full(len(y), 2.0)),
            ({3: 3.0, 5: 3.0, 9: 3.0}, None),
        )
    ]
    torch.testing.assert_close(steps[1], 2 * steps[0])
    torch.testing.assert_close(steps[2], 3 * steps[0])


@pytest.mark.parametrize("kind", [TransferClassifier, MLPClassifier])
def test_errors_are_those_of_scikit_learn(make, rows, kind):
    X, y = rows
    if kind is TransferClassifier:
        model, warm = make(), make(warm_start=True)
    else:
        # A tolerance with which it ends early, and does not warn.
        model, warm = kind(), kind(tol=1.0, n_iter_no_change=1, warm_start=True)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    model.partial_fit(X, y, classes=[3, 5, 9])
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, y, classes=[3, 5])
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :3], y)
    warm.fit(X, y)
    with pytest.raises(ValueError, match="warm_start"):
        warm.fit(X[y != 9], y[y != 9])


def test_other_errors(make, rows, data):
    X, y = rows
    with pytest.raises(ValueError, match="must be a dict or None in `partial_fit`"):
        make(class_weight="balanced").partial_fit(X, y, [3, 5, 9])
    model = make()
    with pytest.raises(ValueError, match="unseen labels"):
        model.partial_fit(X, y, [3, 5])
    # The failed call left nothing.
    assert not hasattr(model, "classes_")
    warm = make(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="shape that the classifier was fitted on"):
        warm.fit(*data)


def test_a_failed_fit_keeps_the_weights(make, data):
    X, y = data
    model = make(warm_start=True, augmentation="geometry").fit(X, y)
    before = weights_of(model)

    def fail(image):
        raise RuntimeError("no more")

    model.set_params(augmentation=fail)
    with pytest.raises(RuntimeError, match="no more"):
        model.fit(X, y)
    torch.testing.assert_close(weights_of(model), before, rtol=0, atol=0)
    assert len(model.history_) == 2


def test_a_loaded_classifier_continues(make, rows, tmp_path, trainer):
    X, y = rows
    model = make(warm_start=True).fit(X, y)
    model.save(tmp_path / "model")
    loaded = TransferClassifier.load(tmp_path / "model").set_params(trainer=trainer)
    assert loaded.warm_start
    expected = model.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(loaded.fit(X, y).predict_proba(X), expected)


@pytest.mark.parametrize("random_state", [0, None])
def test_each_part_is_a_run_of_its_own(make, data, tmp_path, random_state):
    """Also with random initial weights, which do not identify a run."""
    X, y = data
    trainer = Trainer(accelerator="cpu", precision="32-true", checkpoint_dir=tmp_path)
    model = make(trainer=trainer, random_state=random_state)
    for n_parts in (1, 2, 3):
        before = weights_of(model) if n_parts > 1 else {}
        model.partial_fit(X, y, np.unique(y))
        assert len(list(tmp_path.iterdir())) == n_parts
        after = weights_of(model)
        assert not before or not torch.equal(
            after["head.weight"], before["head.weight"]
        )


def test_a_stopped_second_fit_is_resumed(make, data, tmp_path):
    X, y = data
    settings = {"n_epochs": 3, "warm_start": True}
    expected = make(**settings).fit(X, y).fit(X, y)
    kept = {
        "accelerator": "cpu",
        "precision": "32-true",
        "checkpoint_dir": tmp_path,
        "checkpoint_every": 0,
    }
    model = make(**settings, trainer=Trainer(**kept)).fit(X, y)
    model.trainer = Trainer(**kept, **STOPPED)
    with pytest.warns(match="max_time"):
        model.fit(X, y)
    # The same calls in another process.
    again = make(**settings, trainer=Trainer(**kept))
    with pytest.warns(match="was finished by an earlier call"):
        again.fit(X, y)
    again.fit(X, y)
    torch.testing.assert_close(weights_of(again), weights_of(expected), rtol=0, atol=0)
    assert len(list(tmp_path.iterdir())) == 2

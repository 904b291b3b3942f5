"""The loss, its weights, the optimiser and when training ends."""

import numpy as np
import pytest
import torch
import torchvision
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn
from torch.nn import functional as F

from gansampler import FocalLoss, Trainer
from gansampler.classification import ClassifierNetwork
from gansampler.classification._task import LossWeights, WeightedLoss
from gansampler.exceptions import GANSamplerWarning

BATCH_NORM = "shufflenet_v2_x0_5"


class NoReduction(nn.Module):
    """A loss that cannot return one value per sample."""

    def forward(self, logits, target):
        return F.cross_entropy(logits, target)


def noise(n_samples, n_features=5, n_classes=2, seed=0):
    """Features that do not predict the labels: the validation loss soon rises."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_samples, n_features)), rng.integers(
        0, n_classes, n_samples
    )


def first_loss(model, X, y, sample_weight=None):
    """Loss of all samples before the first step."""
    model = clone(model).set_params(n_epochs=1, batch_size=len(y))
    return model.fit(X, y, sample_weight).history_[0]["loss"]


@pytest.mark.parametrize("class_weight", [None, "balanced", {3: 0.5, 9: 4.0}])
def test_weight_of_two_is_two_rows(make, rows, class_weight):
    X, y = rows
    weight = np.arange(len(y)) % 3
    twice = np.repeat(np.arange(len(y)), weight)
    model = make(class_weight=class_weight)
    expected = first_loss(model, X[twice], y[twice])
    assert first_loss(model, X, y, weight) == pytest.approx(expected, rel=1e-5)
    assert first_loss(model, X, y, 10.0 * weight) == pytest.approx(expected, rel=1e-5)
    assert first_loss(model, X, y) != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("class_weight", ["balanced", {3: 0.5, 5: 2.0, 9: 4.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_are_those_of_scikit_learn(rows, class_weight, weighted):
    _, y = rows
    sample_weight = np.random.default_rng(0).random(len(y)) if weighted else None
    classes, target = np.unique(y, return_inverse=True)
    weights = LossWeights(class_weight, classes, target, sample_weight)
    factor = 1.0 if sample_weight is None else sample_weight
    if class_weight == "balanced":
        totals = np.bincount(target, weights=np.broadcast_to(factor, len(y)))
        expected = factor / totals[target]
    else:
        expected = factor * compute_sample_weight(class_weight, y)
    np.testing.assert_allclose(
        weights.per_sample, expected / expected.mean(), rtol=1e-6
    )
    ratio = weights.per_class[2] / weights.per_class[0]
    by_row = expected / factor
    assert float(ratio) == pytest.approx((by_row[y == 9] / by_row[y == 3][0])[0])


def test_balanced_weights_find_the_rare_class(make, rows):
    X, y = rows
    plain, balanced = (
        make(class_weight=weight, n_epochs=20).fit(X, y).predict_proba(X)[:, 2].mean()
        for weight in (None, "balanced")
    )
    assert balanced > plain + 0.1


def test_loss_of_a_batch_is_that_of_numpy():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(6, 3)))
    target = rng.integers(0, 3, 6)
    weight = rng.random(6)
    p = np.exp(logits.numpy())
    p = (p / p.sum(1, keepdims=True))[np.arange(6), target]
    for loss, gamma, expected in (
        ("focal", 2.0, -((1 - p) ** 2) * np.log(p)),
        ("focal", 0.5, -((1 - p) ** 0.5) * np.log(p)),
        ("cross_entropy", 2.0, -np.log(p)),
    ):
        for weights in (None, weight):
            found = WeightedLoss(loss, gamma, weighted=weights is not None)(
                logits,
                torch.from_numpy(target),
                None if weights is None else torch.from_numpy(weights),
            )
            mean = np.mean(expected * (1 if weights is None else weights))
            assert float(found) == pytest.approx(mean, rel=1e-6)


def test_custom_losses(make, rows):
    X, y = rows
    expected = make(loss="cross_entropy").fit(X, y).predict_proba(X)
    custom = make(loss=nn.CrossEntropyLoss()).fit(X, y)
    np.testing.assert_allclose(custom.predict_proba(X), expected, rtol=1e-5)
    without = make(loss=NoReduction()).fit(X, y)
    np.testing.assert_allclose(without.predict_proba(X), expected, rtol=1e-5)
    # The reduction of the module is used.
    model = make(loss=nn.CrossEntropyLoss(reduction="sum"))
    mean = first_loss(make(loss="cross_entropy"), X, y)
    assert first_loss(model, X, y) == pytest.approx(len(y) * mean, rel=1e-5)
    weight = np.ones(len(y))
    assert first_loss(model, X, y, weight) == pytest.approx(len(y) * mean, rel=1e-5)


def test_custom_loss_with_weights(make, rows):
    X, y = rows
    weight = np.random.default_rng(0).random(len(y))
    loss = FocalLoss(gamma=1.0)
    custom = make(loss=loss).fit(X, y, weight)
    assert custom.loss.reduction == "mean"
    named = make(gamma=1.0).fit(X, y, weight)
    assert np.array_equal(custom.predict_proba(X), named.predict_proba(X))
    with pytest.raises(ValueError, match="one value per sample"):
        make(loss=NoReduction()).fit(X, y, weight)
    with pytest.raises(ValueError, match="`reduction` of a custom"):
        make(loss=FocalLoss(reduction="mean_positive")).fit(X, y, weight)


def test_freeze_keeps_the_backbone_exactly(make, data, tmp_path):
    X, y = data
    state = torchvision.models.get_model(BATCH_NORM, weights=None).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    params = {"weights": tmp_path / "weights.pth", "n_epochs": 3}
    frozen = make(BATCH_NORM, freeze=True, **params).fit(X, y)
    moved = make(BATCH_NORM, freeze_batch_norm=False, **params).fit(X, y)
    own = frozen.network_.backbone.body.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in own)
    free = moved.network_.backbone.body.state_dict()
    assert sum(torch.equal(free[name], state[name]) for name in free) == 0
    assert frozen.history_[-1]["loss"] < frozen.history_[0]["loss"]
    assert all(p.requires_grad for p in frozen.network_.parameters())


def test_early_stopping_takes_the_best_epoch(make):
    X, y = noise(40)
    X_val, y_val = noise(30, seed=1)
    # Some labels can be predicted, and many can only be memorised.
    y[:25], y_val[:20] = X[:25, 0] > 0, X_val[:20, 0] > 0
    model = make(patience=4, n_epochs=200, lr=0.03, loss="cross_entropy")
    model.fit(X, y, validation_data=(X_val, y_val))
    losses = [record["val_loss"] for record in model.history_]
    best = int(np.argmin(losses))
    assert 0 < best < 195
    assert len(losses) == best + 1 + 4
    p = model.predict_proba(X_val)[np.arange(30), y_val]
    assert -np.log(p).mean() == pytest.approx(losses[best], rel=1e-5)
    # Without patience, the last epoch is used.
    last = make(n_epochs=len(losses), lr=0.03, loss="cross_entropy")
    last.fit(X, y, validation_data=(X_val, y_val))
    p = last.predict_proba(X_val)[np.arange(30), y_val]
    assert -np.log(p).mean() == pytest.approx(losses[-1], rel=1e-5)
    accuracy = balanced_accuracy_score(y_val, last.predict(X_val))
    assert last.history_[-1]["val_balanced_accuracy"] == pytest.approx(accuracy)


@pytest.mark.filterwarnings("ignore:.*near-duplicates")
def test_early_stopping_restores_a_network_of_images(make, data):
    X, y = data
    model = make(BATCH_NORM, n_epochs=6, patience=6, lr=0.02, loss="cross_entropy")
    model.fit(X, y, validation_data=(X[:7], y[:7]))
    losses = [record["val_loss"] for record in model.history_]
    p = model.predict_proba(X[:7])[np.arange(7), (y[:7] == "malignant").astype(int)]
    assert -np.log(p).mean() == pytest.approx(min(losses), rel=1e-4)


def test_early_stopping_without_validation_data(make):
    X, y = noise(40)
    model = make(patience=3, n_epochs=400, lr=0.3, loss="cross_entropy").fit(X, y)
    losses = [record["loss"] for record in model.history_]
    assert len(losses) == np.argmin(losses) + 1 + 3 < 400


def test_learning_rate_falls_on_a_plateau(make):
    X, y = noise(40)
    model = make(lr_patience=3, n_epochs=16, optimizer="sgd", lr=0.5)
    model.fit(X, y, validation_data=noise(30, seed=1))
    lr, best, waited = 0.5, np.inf, 0
    for record in model.history_:
        assert record["lr"] == pytest.approx(lr)
        waited += 1
        if record["val_loss"] < best:
            best, waited = record["val_loss"], 0
        if waited == 3:
            lr, waited = lr / 10, 0
    assert lr < 0.01


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("adadelta", torch.optim.Adadelta),
    ],
)
def test_optimizers_take_the_step_of_torch(make, optimizer, kind):
    X, y = noise(10)
    settings = {"optimizer": optimizer, "lr": 0.05, "weight_decay": 0.2}
    start = make(n_epochs=1, lr=1e-30, weight_decay=0).fit(X, y).network_
    model = make(n_epochs=1, batch_size=10, loss="cross_entropy", **settings).fit(X, y)
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    step = kind(start.parameters(), lr=0.05, weight_decay=0.2, **momentum)
    scaled = torch.from_numpy(StandardScaler().fit_transform(X)).float()
    F.cross_entropy(start(scaled), torch.from_numpy(y)).backward()
    step.step()
    torch.testing.assert_close(model.network_.weight, start.weight)


@pytest.mark.filterwarnings("ignore:.*near-duplicates")
def test_published_recipe_runs(make, data):
    X, y = data
    model = make(
        optimizer="adadelta",
        lr=0.001,
        weight_decay=0,
        batch_size=16,
        n_epochs=3,
        lr_patience=5,
        patience=8,
        class_weight="balanced",
    ).fit(X, y, validation_data=(X[:6], y[:6]))
    assert np.isfinite([record["val_loss"] for record in model.history_]).all()


def test_last_image_joins_the_batch_before(make):
    X = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    y = np.arange(9) % 2
    model = make(BATCH_NORM, n_epochs=1, batch_size=4).fit(X, y)
    assert model.history_[0]["n_steps"] == 2
    with pytest.raises(ValueError, match="`batch_size` must be at least 2"):
        make(BATCH_NORM, batch_size=1).fit(X, y)
    assert (
        make(n_epochs=1, batch_size=1)
        .fit(X.repeat(2, 1).repeat(2, 2), y)
        .history_[0]["n_steps"]
        == 9
    )


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_flips(make, flips, monkeypatch):
    seen = []
    forward = ClassifierNetwork.forward

    def spy(network, images):
        seen.append(images.clone())
        return forward(network, images)

    monkeypatch.setattr(ClassifierNetwork, "forward", spy)
    X = np.random.default_rng(0).random((12, 32, 32, 3), dtype=np.float32)
    horizontal, vertical = flips
    make(
        n_epochs=1, batch_size=12, horizontal_flip=horizontal, vertical_flip=vertical
    ).fit(X, np.arange(12) % 2)
    originals = torch.from_numpy(X).permute(0, 3, 1, 2) * 2 - 1
    axes = [axis for axis, flip in ((3, horizontal), (2, vertical)) if flip]
    # The first call computes shapes only.
    counts = [
        sum(any(torch.equal(image, other) for other in variant) for image in seen[-1])
        for variant in (originals, *(originals.flip(axis) for axis in axes))
    ]
    assert sum(counts) == 12
    assert min(counts) > 0


def test_near_duplicates_in_validation_data_raise_a_warning(make, data):
    X, y = data
    model = make(BATCH_NORM, n_epochs=1)
    with pytest.warns(GANSamplerWarning, match="^2 of 3 validation images are near-"):
        model.fit(X[3:], y[3:], validation_data=(X[2:5], y[2:5]))


def test_a_class_without_weight_counts_as_absent(make, rows):
    """In scikit-learn, weight 0 means the same as leaving the sample out."""
    X, y = rows
    present = y != 9
    weight = np.arange(1, len(y) + 1) * present
    classes, target = np.unique(y, return_inverse=True)
    weights = LossWeights("balanced", classes, target, weight)
    without = LossWeights("balanced", classes[:2], target[present], weight[present])
    assert torch.equal(weights.per_class[:2], without.per_class)
    assert weights.per_class[2] == 0
    assert not weights.per_sample[~present].any()
    model = make(class_weight="balanced", n_epochs=10).fit(X, y, weight)
    assert model.score(X, y, weight) > 0.8
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.filterwarnings("ignore:.*near-duplicates")
def test_validation_in_double_precision(make, rows, data, images):
    X, y = data if images else rows
    trainer = Trainer(accelerator="cpu", precision="64-true")
    model = make(loss="cross_entropy", trainer=trainer, patience=1)
    model.fit(X, y, validation_data=(X, y))
    p = model.predict_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    losses = [record["val_loss"] for record in model.history_]
    assert min(losses) == pytest.approx(-np.log(p).mean(), rel=1e-6)


def test_a_step_in_double_precision(make, rows):
    X, y = rows
    trainer = Trainer(accelerator="cpu", precision="64-true")
    loss = nn.CrossEntropyLoss(weight=torch.tensor([0.3, 0.5, 1.7]))
    settings = {"optimizer": "sgd", "batch_size": len(y), "loss": loss}
    model = make(n_epochs=1, lr=0.1, trainer=trainer, **settings).fit(X, y)
    start = make(n_epochs=1, lr=1e-30, trainer=trainer, **settings).fit(X, y).network_
    start.double()
    scaled = torch.from_numpy(StandardScaler().fit_transform(X)).float().double()
    target = torch.from_numpy(np.searchsorted([3, 5, 9], y))
    loss.double()(start(scaled), target).backward()
    with torch.no_grad():
        expected = 0.999 * start.weight - 0.1 * start.weight.grad
    # Fitted weights have the dtype of before: they are rounded once.
    torch.testing.assert_close(
        model.network_.weight, expected.float(), rtol=1.2e-7, atol=0
    )


@pytest.mark.ddp
@pytest.mark.parametrize(
    ("reduction", "weighted"), [("sum", False), ("sum", True), ("mean", True)]
)
def test_two_processes_take_the_steps_of_one(make, rows, reduction, weighted):
    """Batches of 8 are divided, the last one of 7 is not. SGD sees the scale."""
    X, y = rows
    sample_weight = np.arange(len(y)) % 3 + 1.0 if weighted else None
    one, two = (
        make(
            loss=nn.CrossEntropyLoss(reduction=reduction),
            optimizer="sgd",
            lr=0.01,
            trainer=Trainer(accelerator="cpu", precision="64-true", devices=devices),
        ).fit(X, y, sample_weight, validation_data=(X[::2], y[::2]))
        for devices in (1, 2)
    )
    torch.testing.assert_close(two.network_.weight, one.network_.weight)
    for a, b in zip(one.history_, two.history_, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-6)
        assert b["val_loss"] == pytest.approx(a["val_loss"], rel=1e-6)

"""The classifier on images and on feature rows."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from torch import nn

from gansampler import Trainer, TransferClassifier
from gansampler.exceptions import ModelFileError

BATCH_NORM = "shufflenet_v2_x0_5"


def test_memorises_eight_images(make):
    rng = np.random.default_rng(3)
    X = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    y = np.array([0, 1] * 4)
    model = make(n_epochs=60, horizontal_flip=False).fit(X, y)
    assert model.score(X, y) == 1.0
    assert model.history_[-1]["loss"] < model.history_[0]["loss"] / 4


def test_learns_with_batch_normalisation(make, data):
    X, y = data
    train, test = np.arange(14), np.arange(14, 20)
    model = make("resnet18", n_epochs=8).fit(X[train], y[train])
    assert model.score(X[test], y[test]) == 1.0


def test_fitted_state_and_outputs(fitted, data):
    X, _ = data
    assert fitted.classes_.tolist() == ["benign", "malignant"]
    assert fitted.sample_shape_ == (32, 32, 3)
    assert not fitted.network_.training
    assert all(p.device.type == "cpu" for p in fitted.network_.parameters())
    assert [record["epoch"] for record in fitted.history_] == [1, 2]
    probabilities, decision = fitted.predict_proba(X), fitted.decision_function(X)
    assert probabilities.shape == (20, 2)
    assert decision.shape == (20,)
    assert probabilities.dtype == decision.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1)
    odds = probabilities[:, 1] / probabilities[:, 0]
    np.testing.assert_allclose(np.log(odds), decision, rtol=1e-9)
    assert np.array_equal(fitted.predict(X) == "malignant", decision > 0)
    # Compared with the module.
    with torch.no_grad():
        batch = torch.from_numpy(X).permute(0, 3, 1, 2) / 127.5 - 1
        logits = fitted.network_(batch)
        features = fitted.network_.embed(batch)
    np.testing.assert_allclose(
        decision, (logits[:, 1] - logits[:, 0]).numpy(), atol=1e-5
    )
    np.testing.assert_allclose(fitted.embed(X), features, rtol=1e-4, atol=1e-5)


def test_several_classes_and_grey_images(make):
    rng = np.random.default_rng(0)
    X, y = rng.random((9, 32, 24)), np.arange(9) % 3
    model = make(n_epochs=1).fit(X, y)
    assert model.sample_shape_ == (32, 24, 1)
    assert model.network_.backbone.body[0][0].weight.shape[1] == 1
    decision = model.decision_function(X)
    assert decision.shape == (9, 3)
    assert np.array_equal(model.predict(X), model.classes_[decision.argmax(1)])


def test_flattened_and_floating_images_are_the_same_images(make, data, fitted):
    X, y = data
    expected = fitted.predict_proba(X)
    flat = make(image_shape=(32, 32, 3)).fit(X.reshape(20, -1), y)
    assert np.array_equal(flat.predict_proba(X.reshape(20, -1)), expected)
    floating = make().fit(X / np.float64(255), y)
    np.testing.assert_allclose(floating.predict_proba(X / 255.0), expected, atol=1e-4)


def test_same_random_state_gives_the_same_bytes(make, data, fitted):
    X, y = data
    random_states = random.getstate(), np.random.get_state()[1], torch.get_rng_state()
    again = make().fit(X, y)
    assert random.getstate() == random_states[0]
    assert np.array_equal(np.random.get_state()[1], random_states[1])
    assert torch.equal(torch.get_rng_state(), random_states[2])
    for name, tensor in again.network_.state_dict().items():
        assert torch.equal(tensor, fitted.network_.state_dict()[name])
    other = make(random_state=1).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))


def test_copies_predict_the_same(fitted, data, tmp_path):
    X, _ = data
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path / "model")
    for copied in (
        copy.deepcopy(fitted),
        pickle.loads(pickle.dumps(fitted)),
        TransferClassifier.load(tmp_path / "model").set_params(trainer=fitted.trainer),
    ):
        assert np.array_equal(copied.predict_proba(X), expected)
        assert copied.classes_.dtype == fitted.classes_.dtype
        assert copied.history_ == fitted.history_
    loaded = TransferClassifier.load(tmp_path / "model")
    assert loaded.set_params(trainer=fitted.trainer).get_params() == fitted.get_params()
    refitted = clone(loaded).fit(*data)
    assert np.array_equal(refitted.predict_proba(X), expected)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "bcd"]),
        np.array(["a", "bcd"], dtype=object),
        np.array([2, 7], dtype=np.int16),
        np.array([False, True]),
        np.array([-1.0, 1.0], dtype=np.float32),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_of_any_type_come_back(labels, make, tmp_path):
    X = np.random.default_rng(0).normal(size=(12, 3))
    y = labels[(X[:, 0] > 0).astype(int)]
    weights = dict.fromkeys(labels.tolist(), 2.0)
    model = make(class_weight=weights, n_epochs=20).fit(X, y)
    model.save(tmp_path / "model")
    loaded = TransferClassifier.load(tmp_path / "model")
    predicted = loaded.predict(X)
    assert predicted.dtype == labels.dtype
    assert np.array_equal(predicted, model.predict(X))
    assert np.array_equal(predicted, y)
    assert loaded.class_weight == weights


def test_feature_names_survive_a_file(make, tmp_path):
    pd = pytest.importorskip("pandas")
    X, y = np.random.default_rng(0).normal(size=(12, 5)), np.arange(12) % 2
    frame = pd.DataFrame(X, columns=list("abcde"))
    make().fit(frame, y).save(tmp_path / "model")
    loaded = TransferClassifier.load(tmp_path / "model")
    assert loaded.feature_names_in_.tolist() == list("abcde")
    assert loaded.predict(frame).shape == (12,)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[list("edcba")])


def test_files_that_do_not_fit_are_refused(fitted, tmp_path):
    model = copy.deepcopy(fitted)
    model.backbone = "resnet18"
    model.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="state dict of the backbone"):
        TransferClassifier.load(tmp_path / "model")
    model = copy.deepcopy(fitted)
    model.classes_ = np.array([0, 1, 2])
    model.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="must fit the network"):
        TransferClassifier.load(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match="There is none at"):
        TransferClassifier.load(tmp_path / "absent")


def test_probe_on_rows_is_a_linear_model_of_standardised_rows(make, rows):
    X, y = rows
    model = make(n_epochs=30).fit(X, y)
    assert isinstance(model.network_, nn.Linear)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(model.embed(X), scaled, rtol=1e-5, atol=1e-6)
    weight = model.network_.weight.detach().numpy()
    expected = scaled @ weight.T + model.network_.bias.detach().numpy()
    np.testing.assert_allclose(model.decision_function(X), expected, atol=1e-5)
    assert model.score(X, y) > 0.8


def test_a_probe_on_embeddings(make, fitted, data):
    X, y = data
    probe = make(n_epochs=30).fit(fitted.embed(X), y)
    assert probe.score(fitted.embed(X), y) == 1.0


def test_one_class_is_refused(make, data):
    X, y = data
    with pytest.raises(ValueError, match="contains only one class"):
        make().fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"one class .*: \['benign'\]"):
        make().fit(X, y, sample_weight=y == "benign")


@pytest.mark.filterwarnings("ignore:.*near-duplicates")
def test_errors_say_what_to_do(make, data, fitted):
    X, y = data
    with pytest.raises(ValueError, match="smallest images that squeezenet1_1 accepts"):
        make().fit(X[:, :12, :12], y)
    with pytest.raises(
        ValueError, match=r"fitted on, \(32, 32, 3\)\. Got \(24, 32, 3\)"
    ):
        fitted.predict(X[:, :24])
    with pytest.raises(ValueError, match=r"fitted on, .* Got \(3072,\)"):
        fitted.predict(X.reshape(20, -1))
    with pytest.raises(ValueError, match="previously unseen labels"):
        make().fit(X, y, validation_data=(X[:2], ["benign", "naevus"]))
    with pytest.raises(ValueError, match="Pass a number as `lr`"):
        make(optimizer="sgd").fit(X, y)
    with pytest.raises(ValueError, match="must not be negative"):
        make().fit(X, y, sample_weight=-np.ones(20))
    with pytest.raises(ValueError, match="one number per sample"):
        make().fit(X, y, sample_weight=np.ones(19))
    with pytest.raises(ValueError, match="in a class of positive weight"):
        make(class_weight={"benign": 0.0, "malignant": 0.0}).fit(X, y)


def test_logits_are_not_rounded_by_mixed_precision(data):
    X, y = data
    model = TransferClassifier(
        "squeezenet1_1",
        weights=None,
        n_epochs=1,
        random_state=0,
        trainer=Trainer(accelerator="cpu", precision="bf16-mixed"),
    ).fit(X, y)
    logits = torch.from_numpy(model.decision_function(X))
    assert not torch.equal(logits.bfloat16().double(), logits)
    assert len(np.unique(logits)) == len(X)

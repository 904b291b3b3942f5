"""A classifier accepts images in every form that an image sequence accepts."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.model_selection import cross_val_predict
from torch.utils.data import Dataset

from gansampler import TransferClassifier
from gansampler.exceptions import ImageFileError

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def paths(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i, image in enumerate(data[0]):
        Image.fromarray(image).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(len(data[0]))]


class Labelled(Dataset):
    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return torch.from_numpy(self.X[index]).permute(2, 0, 1), self.y[index]


@pytest.fixture(scope="module")
def dataset(data):
    return Labelled(*data)


@pytest.fixture(scope="module")
def frame(paths):
    return pd.DataFrame({"file": paths, "site": "arm", "age": range(20)})


@pytest.fixture(scope="module")
def from_files(make, paths, data):
    return make(image_shape=SHAPE).fit(paths, data[1])


@pytest.mark.parametrize("form", ["list", "array", "Series", "column", "frame", "map"])
def test_every_form_gives_the_same_classifier(
    form, make, data, paths, frame, fitted, tmp_path
):
    X, y = data
    mapped = np.memmap(tmp_path / "X", np.uint8, "w+", shape=X.shape)
    mapped[:] = X
    images = {
        "list": paths,
        "array": np.array(paths),
        "Series": frame["file"],
        "column": frame[["file"]],
        "frame": frame,
        "map": mapped,
    }[form]
    model = make(image_shape=SHAPE, path_column="file").fit(images, y)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(images), expected)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    np.testing.assert_array_equal(model.predict(images), fitted.predict(X))
    np.testing.assert_array_equal(model.embed(images), fitted.embed(X))
    assert not model.network_.training
    assert model.score(images, y) == fitted.score(X, y)


def test_labels_of_a_data_set(make, data, dataset, fitted):
    X, y = data
    model = make().fit(dataset)
    assert model.classes_.tolist() == ["benign", "malignant"]
    assert model.sample_shape_ == SHAPE
    np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(model.predict_proba(dataset), fitted.predict_proba(X))
    other = make().fit(dataset, np.roll(y, 1))
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))


def test_tensors_with_the_channels_first(make, data, fitted):
    X, y = data
    tensor = torch.from_numpy(X).permute(0, 3, 1, 2).contiguous()
    model = make().fit(tensor, y)
    np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(model.embed(tensor), fitted.embed(X))
    coded = make().fit(tensor, torch.from_numpy((y == "malignant").astype(int)))
    assert coded.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(coded.predict_proba(tensor), fitted.predict_proba(X))


@pytest.mark.filterwarnings("ignore:.*near-duplicates")
def test_validation_data_of_any_form(make, data, paths, dataset):
    X, y = data
    losses = {
        name: [record["val_loss"] for record in model.history_]
        for name, model in {
            "array": make().fit(X, y, validation_data=(X, y)),
            "paths": make().fit(X, y, validation_data=(paths, y)),
            "dataset": make().fit(X, y, validation_data=(dataset, None)),
        }.items()
    }
    assert losses["paths"] == losses["dataset"] == losses["array"]


def test_files_are_resized_to_the_fitted_shape(fitted, data, save_large, make):
    large = save_large(data[0])
    cropped = fitted.predict_proba(large)
    assert cropped.shape == (20, 2)
    stretched = make(resize="stretch").fit(*data).predict_proba(large)
    assert not np.array_equal(cropped, stretched)


@pytest.fixture
def save_large(tmp_path):
    def save(X):
        paths = [tmp_path / f"{i}.png" for i in range(len(X))]
        for path, image in zip(paths, X, strict=True):
            Image.fromarray(image).resize((80, 50)).save(path)
        return paths

    return save


def test_a_file_model_is_saved_and_loaded(from_files, paths, tmp_path):
    assert from_files.n_features_in_ == 32 * 32 * 3
    from_files.save(tmp_path / "model.safetensors")
    again = TransferClassifier.load(tmp_path / "model.safetensors")
    again.set_params(trainer=from_files.trainer)
    np.testing.assert_array_equal(
        again.predict_proba(paths), from_files.predict_proba(paths)
    )


def test_a_refit_removes_the_column_names(make, rows, paths, data):
    X, y = rows
    model = make(n_epochs=1).fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert model.n_features_in_ == 4
    model.set_params(image_shape=SHAPE).fit(paths, data[1])
    assert model.n_features_in_ == 32 * 32 * 3
    assert not hasattr(model, "feature_names_in_")
    assert len(model.predict(data[0])) == 20


def test_cross_validation_over_paths(make, paths, data):
    model = make(image_shape=SHAPE, n_epochs=1)
    assert len(cross_val_predict(model, paths, data[1], cv=2)) == 20
    assert len(cross_val_predict(model, np.array(paths), data[1], cv=2)) == 20


def test_a_cache_that_does_not_fit_changes_nothing(
    make, paths, data, fitted, monkeypatch
):
    monkeypatch.setattr("gansampler.images._lazy.available_memory", lambda: 0)
    model = make(image_shape=SHAPE).fit(paths, data[1])
    np.testing.assert_array_equal(
        model.predict_proba(paths), fitted.predict_proba(data[0])
    )


def test_bad_files_are_named_before_training(make, paths, data, tmp_path):
    (tmp_path / "empty.png").touch()
    bad = [*paths[:18], tmp_path / "gone.png", tmp_path / "empty.png"]
    model = make(image_shape=SHAPE)
    with pytest.raises(ValueError, match=r"2 of 20 .*row 18 .*no such .*row 19 "):
        model.fit(bad, data[1])
    assert not hasattr(model, "network_")


def test_a_file_that_disappears_during_training_is_named(make, data, save_large):
    from gansampler import Trainer
    from gansampler.training import Callback

    paths = save_large(data[0])

    class Remove(Callback):
        def on_fit_start(self, task, n_epochs):
            paths[7].unlink()

    trainer = Trainer(accelerator="cpu", precision="32-true", callbacks=[Remove()])
    with pytest.raises(ImageFileError, match=r"Row 7 \(.*7\.png\): it was removed"):
        make(image_shape=SHAPE, trainer=trainer).fit(paths, data[1])


WRONG = {
    "no shape": (
        lambda f: (f.file, f.y),
        {"image_shape": None},
        r"All files are of 32 x 32 px.*image_shape=\(32, 32, 3\)",
    ),
    "no labels": (lambda f: (f.file, None), {}, "Pass `y`"),
    "no labels for arrays": (
        lambda f: (np.zeros((4, 32, 32, 3), np.uint8), None),
        {},
        "requires y to be passed",
    ),
    "fewer labels": (lambda f: (f.file, f.y[:-1]), {}, "inconsistent numbers"),
    "column not named": (lambda f: (f, f.y), {}, r"Pass path_column='file'"),
    "wrong column": (
        lambda f: (f, f.y),
        {"path_column": "files"},
        r"Did you mean 'file'\?",
    ),
    "wrong resize": (lambda f: (f.file, f.y), {"resize": "fit"}, "'resize' parameter"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_raises_an_error(case, make, frame, data):
    arguments, params, message = WRONG[case]
    frame = frame.assign(y=data[1])
    with pytest.raises(ValueError, match=message):
        make(**({"image_shape": SHAPE} | params)).fit(*arguments(frame))

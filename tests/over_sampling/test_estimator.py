"""The sampler as an estimator: `fit`, parameters, metadata, callbacks, warnings."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from imblearn.pipeline import make_pipeline
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer
from torch.utils.data import TensorDataset

from gansampler import (
    CUT,
    CycleGAN,
    GANOverSampler,
    SimGAN,
    Trainer,
    TransferClassifier,
    make_translator,
)
from gansampler.exceptions import TrainingStoppedWarning
from gansampler.training import Callback
from tests.over_sampling.translators import Invert

X = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
Y = np.repeat(["a", "b"], [8, 4])
ROWS = X[:, 0, 0].astype(np.float64)


def tiny(**params):
    return CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=1, batch_size=4, **params)


def test_diagram_names_the_images_and_not_their_values():
    sampler = GANOverSampler(translator=Invert(), random_state=0).fit(X, Y)
    diagram = sampler._repr_html_()
    assert "8 x 8 x 3 images" in diagram
    assert "x99" not in diagram
    sampler.fit(ROWS, Y)
    assert sampler.get_feature_names_out().tolist() == ["x0", "x1", "x2"]
    with pytest.raises(NotFittedError):
        GANOverSampler().get_feature_names_out()


def test_strategy_is_shown_in_plain_python():
    sampler = GANOverSampler(translator=Invert(), random_state=0).fit(X, Y)
    assert repr(sampler.sampling_strategy_) == "{'b': 4}"
    sampler.fit(X, np.repeat([0, 1], [8, 4]))
    assert repr(sampler.sampling_strategy_) == "{1: 4}"


FORMS = {
    "array": lambda files: (X, Y, {}),
    "list of images": lambda files: (list(X), list(Y), {}),
    "PIL images": lambda files: ([Image.fromarray(image) for image in X], Y, {}),
    "frame": lambda files: (pd.DataFrame(ROWS), pd.Series(Y), {}),
    "paths": lambda files: (
        files.paths,
        files.y,
        {"image_shape": (8, 8, 3), "output_dir": "new"},
    ),
    "data set": lambda files: (
        TensorDataset(torch.from_numpy(X).permute(0, 3, 1, 2), torch.arange(12) // 8),
        None,
        {},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_fit_takes_what_fit_resample_takes(files, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, y, params = FORMS[form](files)
    sampler = GANOverSampler(translator=Invert(), random_state=0, **params)
    assert sampler.fit(data, y) is sampler
    expected = sampler.sampling_strategy_, sampler.n_features_in_
    assert not hasattr(sampler, "translators_")
    assert not (tmp_path / "new").exists()
    if form != "frame":
        sampler.fit_resample(data, y)
        assert expected == (sampler.sampling_strategy_, sampler.n_features_in_)


def test_each_pixel_is_looked_at_once(monkeypatch):
    from gansampler.images import _arrays

    n_rows = []
    check = _arrays.check_values
    monkeypatch.setattr(
        _arrays, "check_values", lambda X: n_rows.append(len(X)) or check(X)
    )
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    sampler.fit_resample(X / 255, Y)
    assert n_rows.count(12) == 1


def test_nested_parameters_of_a_default_translator():
    sampler = GANOverSampler().set_params(
        translator__n_epochs=3, translator__trainer__max_time=5
    )
    assert type(sampler.translator) is SimGAN
    assert sampler.translator.n_epochs == 3
    assert sampler.translator.trainer.max_time == 5
    # The other parameters are the defaults.
    expected = make_translator("minutes", n_epochs=3, trainer__max_time=5)
    assert repr(sampler.translator) == repr(expected)
    sampler.set_params(translator=None, translator__n_epochs=4)
    assert sampler.translator.n_epochs == 4
    cut = CUT(n_epochs=7)
    sampler.set_params(translator=cut, translator__trainer__devices=2)
    assert sampler.translator is cut
    assert cut.trainer.devices == 2
    assert GANOverSampler().get_params()["translator"] is None


@pytest.mark.parametrize("estimator", [CycleGAN(), CUT(), TransferClassifier()])
def test_nested_parameters_of_a_default_trainer(estimator):
    estimator = clone(estimator).set_params(trainer__max_time=5)
    assert estimator.trainer.max_time == 5
    assert estimator.set_params(trainer__devices=2).trainer.max_time == 5
    with pytest.raises(ValueError, match="Invalid parameter 'max_tme' for.* Trainer"):
        clone(estimator).set_params(trainer=None, trainer__max_tme=5)


def flatten(X):
    return X.reshape(len(X), -1) / 255


def test_grid_search_over_a_default_translator(monkeypatch):
    monkeypatch.setattr(SimGAN, "_fit", lambda self, source, target: None)
    monkeypatch.setattr(SimGAN, "translate", lambda self, X: 255 - X)
    pipeline = make_pipeline(
        GANOverSampler(random_state=0),
        FunctionTransformer(flatten),
        LogisticRegression(tol=1.0),
    )
    grid = {"ganoversampler__translator__n_epochs": [2, 3]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, Y)
    best = search.best_estimator_.named_steps["ganoversampler"]
    epochs = {translator.n_epochs for translator in best.translators_.values()}
    assert epochs == {search.best_params_["ganoversampler__translator__n_epochs"]}


def test_metadata_is_ignored():
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    expected, _ = sampler.fit_resample(X, Y)
    again, _ = sampler.fit_resample(X, Y, groups=np.arange(12), sample_weight=None)
    np.testing.assert_array_equal(again, expected)
    assert sampler.fit(X, Y, groups=np.arange(12)) is sampler
    pipeline = make_pipeline(
        sampler, FunctionTransformer(flatten), LogisticRegression(tol=1.0)
    )
    pipeline.fit(X, Y, ganoversampler__groups=np.arange(12))


class Count(Callback):
    n_steps = 0

    def on_step_end(self, task, epoch, step):
        self.n_steps += 1


def test_the_callbacks_of_the_caller_see_the_run():
    count = Count()
    trainer = Trainer(accelerator="cpu", precision="32-true", callbacks=[count])
    sampler = GANOverSampler(translator=tiny(trainer=trainer), random_state=0)
    sampler.fit_resample(X, Y)
    assert count.n_steps == 2
    clone(sampler).fit_resample(X, Y)
    assert count.n_steps == 4


def stopped():
    trainer = Trainer(accelerator="cpu", precision="32-true", max_time=1e-9)
    return GANOverSampler(translator=tiny(trainer=trainer), random_state=0)


def test_a_warning_that_training_stopped_names_the_class():
    y = np.repeat(["a", "b", "c"], [6, 3, 3])
    show, filters = warnings.showwarning, warnings.filters[:]
    with pytest.warns(TrainingStoppedWarning) as caught:
        stopped().fit_resample(X, y)
    messages = [str(warning.message) for warning in caught]
    assert [message[:29] for message in messages] == [
        "Class 'b': Training stopped a",
        "Class 'c': Training stopped a",
    ]
    assert warnings.showwarning is show
    assert warnings.filters == filters


def test_as_an_error_it_names_the_class_too():
    with pytest.raises(TrainingStoppedWarning, match="Class 'b': Training stopped"):
        stopped().fit_resample(X, Y)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_feature_rows_with_frames_as_output_of_transformers(container):
    sampler = GANOverSampler(translator=tiny(), random_state=0)
    expected, _ = sampler.fit_resample(ROWS, Y)
    with sklearn.config_context(transform_output=container):
        got, _ = sampler.fit_resample(ROWS, Y)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_classifier_of_rows_with_frames_as_output_of_transformers(container):
    classifier = TransferClassifier(
        n_epochs=1, random_state=0, trainer=Trainer(precision="32-true")
    )
    expected = classifier.fit(ROWS, Y).predict_proba(ROWS)
    with sklearn.config_context(transform_output=container):
        got = classifier.fit(ROWS, Y).predict_proba(ROWS)
    np.testing.assert_array_equal(got, expected)

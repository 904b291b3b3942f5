"""The two-stage classifier with translators, as arrays and as files."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from PIL import Image
from sklearn.base import clone

from gansampler import (
    CycleGAN,
    GANOverSampler,
    Trainer,
    TransferClassifier,
    TwoStageClassifier,
)
from gansampler.datasets import make_lesions

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def lesions():
    return make_lesions(16, weights=(0.7, 0.3), image_size=32, random_state=0)


@pytest.fixture(scope="module")
def model():
    trainer = Trainer(accelerator="cpu", precision="32-true")
    translator = CycleGAN(
        ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, trainer=trainer
    )
    classifier = TransferClassifier(
        "squeezenet1_1",
        weights=None,
        min_side=1,
        image_shape=SHAPE,
        n_epochs=2,
        batch_size=8,
        random_state=0,
        trainer=trainer,
    )
    return TwoStageClassifier(
        GANOverSampler(translator=translator, image_shape=SHAPE, random_state=0),
        classifier,
        synthetic_weight=0.5,
        random_state=0,
    )


@pytest.fixture
def paths(lesions, tmp_path):
    folder = tmp_path / "originals"
    folder.mkdir()
    paths = [str(folder / f"{i}.png") for i in range(len(lesions[0]))]
    for path, image in zip(paths, lesions[0], strict=True):
        Image.fromarray(image).save(path)
    return paths


def test_stages_are_those_of_the_parts(model, lesions):
    X, y = lesions
    found = clone(model).set_params(real_only_share=0.5).fit(X, y)
    sampler = clone(model.sampler)
    X_all, y_all = sampler.fit_resample(X, y)
    n_real, n_new = (y == "malignant").sum(), sampler.is_synthetic_.sum()
    assert found.n_synthetic_ == {"malignant": n_new}
    weights = np.where(y_all == "malignant", n_real / (n_real + 0.5 * n_new), 1.0)
    weights[sampler.is_synthetic_] *= 0.5
    classifier = clone(model.classifier).set_params(n_epochs=1, warm_start=True)
    classifier.fit(X_all, y_all, weights)
    assert not np.array_equal(found.predict_proba(X), classifier.predict_proba(X))
    classifier.fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(X), classifier.predict_proba(X))
    assert found.n_features_in_ == 32 * 32 * 3
    assert found.score(X, y) == classifier.score(X, y)
    assert [record["epoch"] for record in found.classifier_.history_] == [1, 2]


def test_files(model, lesions, paths, tmp_path):
    X, y = lesions
    expected = clone(model).fit(X, y).predict_proba(X)
    folder = tmp_path / "synthetic"
    found = clone(model).set_params(sampler__output_dir=folder).fit(paths, y)
    assert (folder / "manifest.csv").is_file()
    np.testing.assert_array_equal(found.predict_proba(paths), expected)


def test_choice_with_files(model, lesions, paths, tmp_path):
    _, y = lesions
    folder = tmp_path / "synthetic"
    auto = clone(model).set_params(
        synthetic_weight="auto",
        cv=2,
        sampler__output_dir=folder,
        sampler__translator__n_epochs=1,
        classifier__n_epochs=1,
    )
    auto.fit(paths, y)
    folders = {"fold-1", "fold-2"} | ({"all"} if auto.synthetic_weight_ else set())
    assert {path.name for path in folder.iterdir()} == folders
    assert auto.cv_results_["mean_test_score"].shape == (4,)
    assert auto.predict(paths).shape == (16,)


def test_weight_zero_trains_no_translator(model, lesions):
    X, y = lesions
    found = clone(model).set_params(synthetic_weight=0).fit(X, y)
    expected = clone(model.classifier).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(found.predict_proba(X), expected)


def test_images_with_a_sampler_of_rows(model, lesions):
    """SMOTE gets flattened images, and the classifier images."""
    X, y = lesions
    found = clone(model).set_params(sampler=SMOTE(k_neighbors=2)).fit(X, y)
    n_new = (y == "benign").sum() - (y == "malignant").sum()
    assert found.n_synthetic_ == {"malignant": n_new}
    assert found.predict_proba(X).shape == (16, 2)

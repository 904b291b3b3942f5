"""Filters of synthetic images, against references in plain NumPy and scikit-learn."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gansampler.datasets import make_lesions
from gansampler.images import ImageSequence
from gansampler.quality import (
    DiscriminatorFilter,
    DistanceFilter,
    FeatureExtractor,
    LabelFilter,
    MemorizationFilter,
)

ALL = [DiscriminatorFilter, DistanceFilter, LabelFilter, MemorizationFilter]
OF_FEATURES = ALL[1:]


@pytest.fixture
def rows():
    """Feature rows of a source and of a target that overlap, and candidates."""
    rng = np.random.default_rng(0)
    source = rng.normal(size=(40, 5)) - 1
    return source, rng.normal(size=(25, 5)) + 1, rng.normal(size=(60, 5))


def cosine_distances(a, b):
    """Return 1 less the cosine of each pair, in plain NumPy."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return 1 - a @ b.T


def standardise(source, target):
    real = np.concatenate([source, target])
    return lambda x: (x - real.mean(axis=0)) / real.std(axis=0)


def leave_one_out(features):
    distances = cosine_distances(features, features)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)


@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_distance_to_the_nearest_target(rows, quantile):
    source, target, candidates = rows
    scale = standardise(source, target)
    expected = cosine_distances(scale(candidates), scale(target)).min(axis=1)
    threshold = np.quantile(leave_one_out(scale(target)), quantile)
    found = DistanceFilter(quantile=quantile).fit(source, target)
    verdict = found.judge(candidates)
    np.testing.assert_allclose(verdict.figures, expected)
    np.testing.assert_allclose(found.threshold_, threshold)
    np.testing.assert_array_equal(verdict.accepted, expected <= threshold)
    assert 0 < verdict.accepted.sum() < len(candidates)


def test_distance_to_the_nearest_real_image(rows):
    source, target, candidates = rows
    scale, real = standardise(source, target), np.concatenate([source, target])
    candidates[:4] = [source[0], target[0], source[3] + 1e-3, target[5] - 1e-3]
    expected = cosine_distances(scale(candidates), scale(real)).min(axis=1)
    threshold = np.quantile(leave_one_out(scale(real)), 0.2)
    found = MemorizationFilter(quantile=0.2).fit(source, target)
    verdict = found.judge(candidates)
    np.testing.assert_allclose(verdict.figures, expected, atol=1e-12)
    np.testing.assert_allclose(found.threshold_, threshold)
    np.testing.assert_array_equal(verdict.accepted, expected > threshold)
    assert not verdict.accepted[:4].any()
    assert verdict.accepted.any()


def test_copies_are_rejected_though_the_real_images_have_duplicates(rows):
    source, target, _ = rows
    found = MemorizationFilter().fit(np.tile(source, (2, 1)), np.tile(target, (2, 1)))
    assert not found.judge(np.concatenate([source, target])).accepted.any()


def test_probability_of_the_class(rows):
    source, target, candidates = rows
    X, y = np.concatenate([source, target]), np.repeat([0, 1], [40, 25])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    out_of_fold = cross_val_predict(model, X, y, cv=5, method="predict_proba")
    threshold = np.quantile(out_of_fold[40:, 1], 0.1)
    expected = model.fit(X, y).predict_proba(candidates)[:, 1]
    found = LabelFilter().fit(source, target)
    verdict = found.judge(candidates)
    np.testing.assert_allclose(verdict.figures, expected)
    assert found.threshold_ == threshold
    np.testing.assert_array_equal(verdict.accepted, expected >= threshold)
    strict = LabelFilter(min_probability=0.9).fit(source, target)
    assert strict.threshold_ == 0.9
    np.testing.assert_array_equal(strict.judge(candidates).accepted, expected >= 0.9)


def test_scores_of_the_discriminator(rows):
    source, target, candidates = rows
    rng = np.random.default_rng(0)
    of_target, of_candidates = rng.normal(size=25), rng.normal(size=60)
    found = DiscriminatorFilter(quantile=0.3)
    found.fit(source, target, target_scores=of_target)
    verdict = found.judge(candidates, scores=of_candidates)
    expected = of_candidates >= np.quantile(of_target, 0.3)
    np.testing.assert_array_equal(verdict.accepted, expected)
    with pytest.raises(ValueError, match=r"`target_scores` .* 25\. Got None"):
        found.fit(source, target)
    with pytest.raises(ValueError, match=r"`scores` .* 60\. Got shape \(3,\)"):
        found.judge(candidates, scores=[1, 2, 3])


@pytest.mark.parametrize("cls", ALL)
def test_reasons_name_figure_and_threshold(cls, rows):
    source, target, candidates = rows
    candidates[0] = source[0]
    scores = {"target_scores": np.arange(25.0)} if cls is DiscriminatorFilter else {}
    found = cls().fit(source, target, **scores)
    verdict = found.judge(candidates, scores=np.arange(-30, 30.0))
    assert not verdict.accepted.all()
    for accepted, figure, reason in zip(*verdict, strict=True):
        assert (reason == "") == accepted
        if reason:
            assert f"{figure:.4g}" in reason
            assert f"{found.threshold_:.4g}" in reason


@pytest.mark.parametrize("cls", ALL)
def test_is_an_estimator(cls, rows):
    source, target, candidates = rows
    name = next(name for name in cls().get_params() if name != "extractor")
    model = clone(cls().set_params(**{name: 0.25}))
    assert model.get_params()[name] == 0.25
    with pytest.raises(NotFittedError):
        model.judge(candidates)
    scores = {"target_scores": np.arange(25.0)} if cls is DiscriminatorFilter else {}
    model.fit(source, target, **scores)
    again = pickle.loads(pickle.dumps(model))
    figures = [m.judge(candidates, scores=np.ones(60)).figures for m in (model, again)]
    np.testing.assert_array_equal(*figures)
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        cls(**{name: 1.5}).fit(source, target)
    with pytest.raises(ValueError, match=r"at least two .* Got 1 of the target"):
        cls().fit(source, target[:1])
    with pytest.raises(TypeError):
        cls(0.5)


def test_pretrained_features_of_images(monkeypatch):
    X, y = make_lesions(24, weights=(0.5, 0.5), image_size=24, random_state=0)
    source, target = X[y == "benign"], X[y == "malignant"]
    extractor = FeatureExtractor(min_side=32)
    a, b = (extractor.transform(part).astype(float) for part in (source, target))
    computed, extract = [], extractor._extract

    def count(images):
        computed.append(len(images))
        return extract(images)

    monkeypatch.setattr(extractor, "_extract", count)
    candidates = np.concatenate([255 - target[:3], target[:2], source[:2]])
    for cls in OF_FEATURES:
        of_images = cls(extractor=extractor).fit(
            ImageSequence(source), ImageSequence(target)
        )
        found = of_images.judge(candidates)
        features = extractor.transform(candidates).astype(float)
        expected = cls().fit(a, b).judge(features)
        np.testing.assert_allclose(found.figures, expected.figures)
        np.testing.assert_array_equal(found.accepted, expected.accepted)
    # The copies, in the last filter.
    assert not found.accepted[3:].any()
    # Features are computed once for all filters.
    assert computed == [7]

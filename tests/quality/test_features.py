"""Features of images: values, forms, stages and the cache."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch.nn import functional as F

from gansampler.backbones import build_backbone
from gansampler.datasets import make_lesions
from gansampler.images import ImageSequence
from gansampler.quality import FeatureExtractor

X, y = make_lesions(10, weights=(0.5, 0.5), image_size=24, random_state=0)


@pytest.fixture(scope="module")
def extractor():
    return FeatureExtractor(min_side=48)


def as_batch(images, side):
    batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    return F.interpolate(batch, size=(side, side), mode="bicubic")


def test_equals_the_network_on_enlarged_images(extractor):
    with torch.no_grad():
        expected = build_backbone().eval()(as_batch(X, 48)).numpy()
    np.testing.assert_allclose(extractor.transform(X), expected, rtol=1e-4, atol=1e-4)


def test_stages_are_means_of_feature_maps():
    with torch.no_grad():
        maps = build_backbone().eval().stages(as_batch(X, 48))
    expected = np.concatenate([m.mean((2, 3)).numpy() for m in (maps[0], maps[3])], 1)
    found = FeatureExtractor(layer=[0, 3], min_side=48).transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_does_not_depend_on_the_batch(extractor):
    alone = np.concatenate([extractor.transform(X[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(alone, extractor.transform(X)[:3], rtol=1e-4, atol=1e-4)


def test_every_form_of_the_same_images(extractor):
    expected = extractor.transform(X)
    flat = clone(extractor).set_params(image_shape=(24, 24, 3))
    for found in (
        flat.transform(X.reshape(len(X), -1)),
        extractor.transform(ImageSequence(X)),
        extractor.transform(list(X)),
    ):
        np.testing.assert_array_equal(found, expected)


def test_grey_images(extractor):
    assert extractor.transform(X[..., 0]).shape == (10, 1280)


def test_equal_content_is_computed_once(extractor, monkeypatch):
    fresh = clone(extractor)
    first = fresh.transform(X)
    monkeypatch.setattr(fresh, "_extract", None)
    again = fresh.transform(X.copy())
    np.testing.assert_array_equal(again, first)
    again[:] = 0
    np.testing.assert_array_equal(fresh.transform(X), first)
    assert not hasattr(pickle.loads(pickle.dumps(fresh)), "_cache")
    assert not hasattr(clone(fresh), "_cache")


def test_other_settings_are_computed_anew(extractor):
    model = clone(extractor)
    before = model.transform(X)
    assert model.set_params(min_side=32).transform(X).shape == before.shape
    assert not np.array_equal(model.transform(X), before)


def test_random_weights_are_the_same_each_time():
    model = FeatureExtractor("squeezenet1_1", weights=None, min_side=32)
    np.testing.assert_array_equal(model.transform(X), clone(model).transform(X))


def test_in_a_pipeline(extractor):
    model = make_pipeline(extractor, LogisticRegression(max_iter=500)).fit(X, y)
    assert model.score(X, y) == 1.0


@pytest.mark.parametrize(
    ("params", "data", "match"),
    [
        (
            {"layer": [7]},
            X,
            "`layer` must be 'pooled' .* 0 to 4. Got .7",
        ),
        ({"layer": "last"}, X, "'layer' parameter"),
        ({}, np.zeros((4, 5)), "must have images. Got feature rows of 5 numbers"),
        ({"min_side": 0}, X, "'min_side' parameter"),
    ],
)
def test_bad_input_is_refused(params, data, match):
    with pytest.raises(ValueError, match=match):
        FeatureExtractor(**params).transform(data)


def test_features_of_an_own_network():
    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, 4, 5)
    extractor = FeatureExtractor(module, min_side=1)
    found = extractor.transform(X)
    with torch.no_grad():
        batch = torch.from_numpy(X).permute(0, 3, 1, 2) / 127.5 - 1
        expected = module(batch).mean((2, 3)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        module.weight += 1
    # The content of the network counts, not its identity.
    assert not np.allclose(extractor.transform(X), found)

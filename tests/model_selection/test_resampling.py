"""Seeds of estimators, and what samplers of several kinds get."""

import numpy as np
import pytest
from imblearn import FunctionSampler
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_sampler_pipeline
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from gansampler import GANOverSampler
from gansampler.model_selection._resampling import (
    resample,
    seed_estimator,
    seed_sampler,
)
from tests.over_sampling.translators import Invert


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_results_have_the_dtype_and_the_range_of_the_images(dtype):
    rng = np.random.default_rng(0)
    X = rng.choice([0, 255], (20, 4, 4, 1)).astype(dtype)
    y = np.repeat([0, 1], [15, 5])
    # It adds noise, which goes beyond black and white.
    sampler = RandomOverSampler(shrinkage=1.0, random_state=0)
    found, labels = resample(sampler, X, y)
    assert found.dtype == dtype
    assert found.shape == (30, 4, 4, 1)
    assert labels.tolist() == y.tolist() + [1] * 10
    as_float = X.reshape(20, -1).astype(np.result_type(dtype, np.float32))
    expected, _ = clone(sampler).fit_resample(as_float, y)
    if dtype == np.uint8:
        assert expected.min() < 0
        assert expected.max() > 255
        expected = np.clip(np.rint(expected), 0, 255)
    elif dtype == np.int16:
        expected = np.rint(expected)
    np.testing.assert_array_equal(found.reshape(30, -1), expected.astype(dtype))


def test_flattened_integers_are_converted_too(images):
    X, y = images
    sampler = RandomOverSampler(shrinkage=1.0, random_state=0)
    of_images, _ = resample(sampler, X, y)
    of_rows, _ = resample(sampler, X.reshape(24, -1), y)
    np.testing.assert_array_equal(of_rows, of_images.reshape(32, -1))


def test_samplers_of_anything_get_images_unchanged(images):
    X, y = images
    shapes = []

    def first_half(X, y):
        shapes.append((X.shape, X.dtype))
        return X[:12], y[:12]

    found, _ = resample(FunctionSampler(func=first_half, validate=False), X, y)
    np.testing.assert_array_equal(found, X[:12])
    pipeline = make_sampler_pipeline(
        FunctionSampler(func=first_half, validate=False),
        GANOverSampler(translator=Invert(), sampling_strategy={"common": 14}),
    )
    assert shapes == [((24, 8, 8, 3), np.uint8)]
    with pytest.raises(ValueError, match="more than 1 class"):
        resample(pipeline, X, y)
    assert shapes == [((24, 8, 8, 3), np.uint8)] * 2


def test_all_parts_without_a_seed_get_one():
    bagging = BaggingClassifier(DecisionTreeClassifier(random_state=3))
    model = make_pipeline(StandardScaler(), bagging)
    seed_estimator(model, 0)
    assert isinstance(bagging.random_state, int)
    assert bagging.estimator.random_state == 3
    other = clone(model).set_params(baggingclassifier__random_state=None)
    seed_estimator(other, 0)
    assert other[-1].random_state == bagging.random_state
    seed_estimator(object(), 0)


def test_a_seed_of_the_sampler_is_kept_and_seeds_its_translators():
    sampler = GANOverSampler(translator=Invert(), random_state=4)
    seed_sampler(sampler, 1, 2)
    assert (sampler.random_state, sampler.translator.random_state) == (4, None)
    sampler = GANOverSampler(translator=Invert(random_state=5))
    seed_sampler(sampler, 1, 2)
    assert (sampler.random_state, sampler.translator.random_state) == (1, 5)
    seed_sampler(sampler := GANOverSampler(translator=Invert()), 1, 2)
    assert (sampler.random_state, sampler.translator.random_state) == (1, 2)

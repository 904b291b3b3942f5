"""Suggestions for names and values that do not exist."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from gansampler import GANOverSampler, Trainer, TransferClassifier


@pytest.mark.parametrize("estimator", [GANOverSampler, TransferClassifier])
def test_image_size_is_image_shape(estimator):
    message = f"{estimator.__name__} has no parameter 'image_size'. Did you mean 'image"
    with pytest.raises(TypeError, match=message):
        estimator(image_size=32)


def test_names_that_a_classifier_does_not_have():
    with pytest.raises(TypeError, match=r"trainer=Trainer\(max_time=60\)"):
        TransferClassifier(max_time=60)
    with pytest.raises(TypeError, match="passed by name. Got Trainer"):
        TransferClassifier("resnet18", Trainer())
    classifier = TransferClassifier("resnet18")
    assert classifier.backbone == "resnet18"
    assert pickle.loads(pickle.dumps(clone(classifier))).backbone == "resnet18"


@pytest.mark.parametrize("estimator", [GANOverSampler, TransferClassifier])
@pytest.mark.parametrize("image_shape", [32, (32, 32), [32, 32], np.int64(32)])
def test_image_shape_of_sides_only(estimator, image_shape):
    model = estimator(image_shape=image_shape)
    with pytest.raises(ValueError, match=r"Pass image_shape=\(32, 32, 3\) for RGB"):
        model.fit(np.zeros((4, 3072), np.uint8), [0, 0, 1, 1])


def test_image_shape_without_sides():
    with pytest.raises(ValueError, match=r"Got 'big'.* Pass image_shape=\(224"):
        GANOverSampler(image_shape="big").fit(np.zeros((4, 12)), [0, 0, 1, 1])

"""Suggestions for names and values that do not exist."""

import copy
import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from gansampler import CUT, CycleGAN, GANOverSampler, Trainer, TransferClassifier
from gansampler.translators import BaseTranslator

UNKNOWN = {
    "image size": (GANOverSampler, "image_size", "Did you mean 'image_shape'"),
    "image size of a classifier": (
        TransferClassifier,
        "image_size",
        "TransferClassifier has no parameter 'image_size'. Did you mean 'image_shape'",
    ),
    "of the translator": (
        GANOverSampler,
        "n_epochs",
        r"Did you mean translator=CycleGAN\(n_epochs=...\)",
    ),
    "of the trainer of the translator": (
        GANOverSampler,
        "device",
        r"Did you mean translator=CycleGAN\(trainer=Trainer\(accelerator=...\)\)",
    ),
    "device": (Trainer, "device", "Did you mean 'accelerator'"),
    "a typo": (CUT, "n_epoch", "Did you mean 'n_epochs'"),
    "what no part has": (CycleGAN, "image_size", r"Its parameters are \['ngf', 'ndf'"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_parameters(case):
    estimator, name, message = UNKNOWN[case]
    with pytest.raises(TypeError, match=message):
        estimator(**{name: 32})


def test_parameters_without_a_name():
    with pytest.raises(TypeError, match=r"as GANOverSampler\(translator=...\)"):
        GANOverSampler(CycleGAN())
    with pytest.raises(TypeError, match=r"Got ndarray .*, such as CycleGAN\(ngf=...\)"):
        CycleGAN(np.zeros(3))
    assert TransferClassifier("resnet18").backbone == "resnet18"


@pytest.mark.parametrize("estimator", [GANOverSampler, TransferClassifier, Trainer])
def test_estimators_can_be_copied(estimator):
    original = estimator()
    for make in (clone, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))):
        assert make(original).get_params() == original.get_params()


def test_signatures_are_those_of_the_constructors():
    assert str(inspect.signature(BaseTranslator)) == "()"
    assert set(inspect.signature(Trainer).parameters) == set(Trainer().get_params())


def test_other_constructors_stay_as_they_are():
    class Own(GANOverSampler):
        def __init__(self, name, **params):
            self.name, self.params = name, params

    assert Own("a", anything=3).params == {"anything": 3}


@pytest.mark.parametrize("estimator", [GANOverSampler, TransferClassifier])
@pytest.mark.parametrize("image_shape", [32, (32, 32), [32, 32], np.int64(32)])
def test_image_shape_of_sides_only(estimator, image_shape):
    model = estimator(image_shape=image_shape)
    with pytest.raises(ValueError, match=r"Pass image_shape=\(32, 32, 3\) for RGB"):
        model.fit(np.zeros((4, 3072), np.uint8), [0, 0, 1, 1])


def test_image_shape_without_sides():
    with pytest.raises(ValueError, match=r"Got 'big' instead\. Pass image_shape=\(224"):
        GANOverSampler(image_shape="big").fit(np.zeros((4, 12)), [0, 0, 1, 1])

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from gansampler.images import ImageSequence


class Brightness(ClassifierMixin, BaseEstimator):
    """A classifier of images in any form, whose score is their mean brightness.

    It writes down each call.
    """

    calls: list = []

    def __init__(self, image_shape=None, path_column=None, random_state=None):
        self.image_shape = image_shape
        self.path_column = path_column
        self.random_state = random_state

    def _open(self, X):
        images = ImageSequence(X, self.image_shape, path_column=self.path_column)
        return images.take(np.arange(len(images)))

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        call = {"X": X, "y": y, "images": self._open(X), "seed": self.random_state}
        self.calls.append(call)
        return self

    def decision_function(self, X):
        return self._open(X).reshape(len(X), -1).mean(axis=1)

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 127).astype(int)]


@pytest.fixture
def brightness():
    Brightness.calls.clear()
    return Brightness()


@pytest.fixture
def images():
    """Twenty-four images with one pixel that numbers them; eight are "rare"."""
    X = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    X[:, 0, 0, 0] = np.arange(24)
    return X, np.repeat(["common", "rare"], [16, 8])


@pytest.fixture(scope="session")
def imbalanced():
    """Feature rows of two classes: 180 and 20."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [180, 20])[rng.permutation(200)]
    X = rng.normal(size=(200, 5)) + 0.8 * y[:, None]
    return X, y

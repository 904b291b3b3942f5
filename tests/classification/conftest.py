import numpy as np
import pytest

from gansampler import Trainer, TransferClassifier


@pytest.fixture(scope="session")
def trainer():
    return Trainer(accelerator="cpu", precision="32-true")


@pytest.fixture(scope="session")
def data():
    """Twenty images of 32 px, of which the second class is brighter."""
    rng = np.random.default_rng(0)
    y = np.array(["benign", "malignant"])[np.arange(20) % 3 // 2]
    X = rng.integers(0, 150, (20, 32, 32, 3), dtype=np.uint8)
    X[y == "malignant"] += 100
    return X, y


@pytest.fixture(scope="session")
def rows():
    """Feature rows of three classes, one of them rare."""
    rng = np.random.default_rng(1)
    y = np.repeat([3, 5, 9], [40, 25, 6])
    X = rng.normal(size=(len(y), 4)) * [1, 10, 0.1, 1] + (y == 5)[:, None] * 2.0
    return X, y


@pytest.fixture(scope="session")
def make(trainer):
    """Build a small classifier; keyword arguments override."""

    def build(backbone="squeezenet1_1", **params):
        settings = {
            "weights": None,
            "n_epochs": 2,
            "batch_size": 8,
            "random_state": 0,
            "lr_schedule": "constant",
            "min_side": 1,
            "trainer": trainer,
        }
        return TransferClassifier(backbone, **(settings | params))

    return build


@pytest.fixture(scope="session")
def fitted(make, data):
    return make().fit(*data)

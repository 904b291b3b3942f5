"""The two classifiers: a fine-tuned network, and a linear one on frozen features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.evidence.arms import Training
from gansampler import Trainer, TransferClassifier
from gansampler.quality import FeatureExtractor

Tests = dict[str, tuple[np.ndarray, np.ndarray]]

N_STEPS, BATCH_SIZE = 232, 32
# For a linear classifier, more samples repeat images without new information.
N_LINEAR = 2_000
EXTRACTOR = FeatureExtractor(trainer=Trainer(accelerator="cpu"))


def fine_tune(training: Training, tests: Tests, seed: int) -> dict[str, np.ndarray]:
    """Fine-tune EfficientNet-Lite0 in one pass over the samples.

    Parameters
    ----------
    training : Training
    tests : dict of str -> (X, y)
    seed : int

    Returns
    -------
    scores : dict of str -> ndarray of shape (n_test,)
        Log-odds of the small class.
    """
    settings = {
        "loss": "cross_entropy",
        "vertical_flip": True,
        "n_epochs": 1,
        "batch_size": BATCH_SIZE,
        # Enlarged images take twice as long and are not recognised better.
        "min_side": 1,
        "random_state": seed,
    }
    model = TransferClassifier(**(settings | training.params))
    model.fit(training.X, training.y)
    return {name: model.decision_function(X) for name, (X, _) in tests.items()}


def fit_linear(training: Training, tests: Tests, seed: int) -> dict[str, np.ndarray]:
    """Fit a logistic regression to frozen features. As :func:`fine_tune`."""
    features, y = _features_of_repeated(training.X), training.y
    if training.feature_sampler is not None:
        features, y = training.feature_sampler.fit_resample(features, y)
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=1e-3, class_weight=training.params.get("class_weight"), max_iter=1_000
        ),
    )
    model.fit(features, y)
    return {
        name: model.decision_function(EXTRACTOR.transform(X))
        for name, (X, _) in tests.items()
    }


def _features_of_repeated(X: np.ndarray) -> np.ndarray:
    """Return the features of images, computed once for equal images."""
    position: dict[bytes, int] = {}
    rows = [position.setdefault(image.tobytes(), len(position)) for image in X]
    _, first = np.unique(rows, return_index=True)
    return EXTRACTOR.transform(X[first])[rows]


CLASSIFIERS: dict[str, tuple[Callable, int]] = {
    "fine-tuned": (fine_tune, N_STEPS * BATCH_SIZE),
    "linear": (fit_linear, N_LINEAR),
}

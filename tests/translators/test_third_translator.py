"""The translator of forty lines in the documentation, run as it stands there."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from gansampler import GANOverSampler, Trainer
from gansampler.training import Callback
from gansampler.translators import BaseTranslator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "translators.md"


def shown():
    section = PAGE.read_text().split("## Your own translator\n")[1]
    code = re.search(r"```python\n(.*?)```", section, re.S)
    assert code is not None
    return code.group(1)


@pytest.fixture(scope="module")
def Recolour():  # noqa: N802
    namespace = {"__name__": __name__}
    exec(compile(shown(), PAGE, "exec"), namespace)
    # Where pickle looks for a class of this module.
    globals().update({name: namespace[name] for name in ("Recolour", "RecolourTask")})
    return namespace["Recolour"]


@pytest.fixture(scope="module")
def data():
    """Red squares on the left or the right; in green where the class is rare."""
    rng = np.random.default_rng(0)
    images = rng.normal(60, 5, (64, 8, 8, 3))
    y = np.repeat(["red", "green"], [40, 24])
    is_left = rng.random(64) < 0.5
    for image, label, left in zip(images, y, is_left, strict=True):
        columns = slice(0, 4) if left else slice(4, 8)
        image[2:6, columns, 0 if label == "red" else 1] += 120
    return images.clip(0, 255).astype(np.uint8), y, is_left


def test_it_is_of_forty_lines_at_most(Recolour):
    assert sum(bool(line.strip()) for line in shown().splitlines()) <= 40
    assert issubclass(Recolour, BaseTranslator)


def test_it_learns_in_the_sampler(Recolour, data):
    X, y, is_left = data
    sampler = GANOverSampler(translator=Recolour(), random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert np.unique(y_resampled, return_counts=True)[1].tolist() == [40, 40]
    made, parents = X_resampled[64:].astype(float), sampler.sample_indices_[64:]
    real = X[y == "green"].mean((0, 1, 2))
    before = np.abs(X[y == "red"].mean((0, 1, 2)) - real).max()
    after = np.abs(made.mean((0, 1, 2)) - real).max()
    assert after < before / 3
    # Drawn in green, where the parent was drawn in red.
    sides = made[:, 2:6, :4, 1].mean((1, 2)) > made[:, 2:6, 4:, 1].mean((1, 2))
    assert (sides == is_left[parents]).mean() > 0.9


def test_without_a_named_discriminator_there_are_no_scores(Recolour):
    assert not hasattr(Recolour(), "realism_score")


def test_it_clones_pickles_and_repeats_itself(Recolour, data):
    X, y, _ = data
    model = Recolour(n_epochs=1, random_state=0).fit(X[y == "red"], X[y == "green"])
    expected = model.translate(X).tobytes()
    again = clone(model).fit(X[y == "red"], X[y == "green"])
    for other in (again, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.translate(X).tobytes() == expected
    assert clone(model).get_params() == model.get_params()


class CrashAt(Callback):
    def on_step_end(self, task, epoch, step):
        if (epoch, step) == (2, 3):
            raise KeyError("crash")


def test_it_is_taken_up_again(Recolour, data, tmp_path):
    """A trainer is one parameter more."""
    X, y, _ = data

    class WithTrainer(Recolour):
        def __init__(self, *, n_epochs=3, batch_size=8, lr=2e-3, trainer=None):
            super().__init__(n_epochs=n_epochs, batch_size=batch_size, lr=lr)
            self.random_state = 0
            self.trainer = trainer

    def fit(**params):
        model = WithTrainer(trainer=Trainer(**params))
        return model.fit(X[y == "red"], X[y == "green"]).translate(X)

    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyError, match="crash"):
        fit(callbacks=[CrashAt()], **kept)
    assert len(list(tmp_path.iterdir())) == 1
    assert fit(**kept).tobytes() == fit().tobytes()

"""The translator of thirty lines in the documentation, run as it is printed there."""

import copy
import inspect
import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from gansampler import GANOverSampler, Trainer
from gansampler.training import Callback
from gansampler.translators import AdversarialTranslator

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


def tiny(Recolour, **params):
    settings = {"ndf": 8, "n_layers": 1, "n_epochs": 1, "batch_size": 8, "lr": 2e-3}
    return Recolour(**{**settings, **params})


def test_it_has_thirty_lines_at_most(Recolour):
    assert sum(bool(line.strip()) for line in shown().splitlines()) <= 30
    assert issubclass(Recolour, AdversarialTranslator)


def test_it_learns_in_the_sampler(Recolour, data):
    X, y, is_left = data
    sampler = GANOverSampler(translator=tiny(Recolour, n_epochs=200), random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert np.unique(y_resampled, return_counts=True)[1].tolist() == [40, 40]
    synthetic, parents = X_resampled[64:].astype(float), sampler.sample_indices_[64:]
    real = X[y == "green"].mean((0, 1, 2))
    before = np.abs(X[y == "red"].mean((0, 1, 2)) - real).max()
    after = np.abs(synthetic.mean((0, 1, 2)) - real).max()
    assert after < before / 3
    # Drawn in green, where the parent was drawn in red.
    left, right = synthetic[:, 2:6, :4, 1], synthetic[:, 2:6, 4:, 1]
    sides = left.mean((1, 2)) > right.mean((1, 2))
    assert (sides == is_left[parents]).mean() > 0.9


def test_it_clones_pickles_and_repeats_itself(Recolour, data):
    X, y, _ = data
    model = tiny(Recolour, random_state=0).fit(X[y == "red"], X[y == "green"])
    expected = model.translate(X).tobytes()
    again = clone(model).fit(X[y == "red"], X[y == "green"])
    for other in (again, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.translate(X).tobytes() == expected
    assert clone(model).get_params() == model.get_params()


class CrashAt(Callback):
    def on_step_end(self, task, epoch, step):
        if (epoch, step) == (2, 3):
            raise KeyError("crash")


def test_it_is_continued(Recolour, data, tmp_path):
    X, y, _ = data

    def fit(**params):
        model = tiny(Recolour, n_epochs=3, random_state=0, trainer=Trainer(**params))
        return model.fit(X[y == "red"], X[y == "green"]).translate(X)

    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyError, match="crash"):
        fit(callbacks=[CrashAt()], **kept)
    assert len(list(tmp_path.iterdir())) == 1
    assert fit(**kept).tobytes() == fit().tobytes()


def test_it_saves_loads_and_scores(Recolour, data, tmp_path):
    X, y, _ = data
    model = tiny(Recolour, random_state=0, ema_decay=0.5, pool_size=4)
    model.fit(X[y == "red"], X[y == "green"])
    model.save(tmp_path / "model")
    loaded = Recolour.load(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    assert loaded.translate(X).tobytes() == model.translate(X).tobytes()
    assert loaded.realism_score(X).tobytes() == model.realism_score(X).tobytes()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"betas": (0.5, 1.5)}, "`betas` must be two numbers"),
        ({"betas": (0.5,)}, "`betas` must be two numbers"),
        ({"betas": 0.5}, "'betas' parameter of Recolour"),
        ({"lr": -1.0}, "'lr' parameter of Recolour"),
        ({"horizontal_flip": "yes"}, "'horizontal_flip' parameter of Recolour"),
    ],
)
def test_its_parameters_are_checked_before_training(Recolour, data, params, message):
    X, y, _ = data

    class Refuse(Callback):
        def on_fit_start(self, task, n_epochs):
            raise AssertionError("training has started")

    model = tiny(Recolour, trainer=Trainer(callbacks=[Refuse()]), **params)
    with pytest.raises(ValueError, match=message):
        model.fit(X[y == "red"], X[y == "green"])


def test_a_dataclass_adds_a_parameter(Recolour, data):
    X, y, _ = data

    @dataclass(kw_only=True, eq=False, repr=False)
    class Weighted(Recolour):
        """A translator with one parameter more.

        Parameters
        ----------
        {common_parameters}
        lambda_content : float, default=1.0
            A weight.
        """

        lambda_content: float = 1.0

        _parameter_constraints = {
            **Recolour._parameter_constraints,
            "lambda_content": [float],
        }

    model = tiny(Weighted, lambda_content=2.0)
    assert clone(model).lambda_content == 2.0
    assert "lambda_content=2.0" in repr(model)
    assert model != clone(model)  # as for every estimator, by identity
    assert "ema_decay : float" in inspect.getdoc(Weighted)
    with pytest.raises(ValueError, match="'lambda_content' parameter of Weighted"):
        model.set_params(lambda_content=-1).fit(X[y == "red"], X[y == "green"])

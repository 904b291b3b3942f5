"""Translators for a time budget."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from gansampler import SimGAN, Trainer, make_translator
from gansampler.training import Callback
from gansampler.translators._make import BUDGETS

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_parameter_is_spelled_out(budget):
    translator = make_translator(budget, random_state=5, verbose=2)
    params = translator.get_params(deep=False)
    own = {"trainer", "random_state", "verbose"}
    assert params.keys() - own == BUDGETS[budget].params.keys()
    for name, value in BUDGETS[budget].params.items():
        assert params[name] == value
    assert (params["random_state"], params["verbose"]) == (5, 2)
    assert not hasattr(translator, "budget")
    assert clone(translator).get_params(deep=False).keys() == params.keys()


@pytest.mark.parametrize("budget", ["minutes", "hours"])
@pytest.mark.parametrize("shape", [(8, 8, 3), (12, 10, 1), (5,)])
def test_it_learns_images_and_feature_rows(budget, shape):
    small = {"n_epochs": 1, "ngf": 4, "ndf": 4, "n_blocks": 1}
    translator = make_translator(budget, random_state=0, **small)
    source, target = (RNG.random((5, *shape), dtype=np.float32) for _ in range(2))
    assert translator.fit(source, target).translate(source).shape == source.shape


def test_the_paper_is_that_of_melanet():
    from gansampler import make_melanet

    translator = make_melanet().named_steps["ganoversampler"].translator
    assert repr(translator) == repr(make_translator("paper"))
    assert (translator.generator, translator.n_layers) == ("unet", 4)
    assert translator.trainer is None


def test_time_limits():
    limits = {b: timedelta(**t) for b, t in (("minutes", {"minutes": 20}),)}
    assert make_translator("minutes").trainer.max_time == limits["minutes"]
    assert make_translator().trainer.max_time == limits["minutes"]
    assert make_translator("hours").trainer.max_time == timedelta(hours=6)
    # The caller's trainer stays as it is, and its own limit counts.
    callback = Callback()
    trainer = Trainer(accelerator="cpu", callbacks=[callback])
    translator = make_translator("minutes", trainer=trainer)
    assert trainer.max_time is None
    assert translator.trainer.max_time == limits["minutes"]
    assert translator.trainer.accelerator == "cpu"
    assert translator.trainer.callbacks == [callback]
    assert make_translator("hours", trainer=Trainer(max_time=5)).trainer.max_time == 5
    assert make_translator("paper", trainer=trainer).trainer is trainer
    unlimited = make_translator("minutes", trainer__max_time=None)
    assert unlimited.trainer.max_time is None


def test_overrides():
    translator = make_translator("minutes", n_epochs=3, trainer__precision="32-true")
    assert isinstance(translator, SimGAN)
    assert translator.n_epochs == 3
    assert translator.trainer.precision == "32-true"
    assert BUDGETS["minutes"].params["n_epochs"] != 3
    with pytest.raises(TypeError, match=r"'n_epoch'\. Did you mean 'n_epochs'\?"):
        make_translator("minutes", n_epoch=3)
    with pytest.raises(TypeError, match=r"trainer=Trainer\(max_time=3\)\? It is trai"):
        make_translator("minutes", max_time=3)
    with pytest.raises(TypeError, match="'image_size'. It takes the size of the im"):
        make_translator("minutes", image_size=64)
    with pytest.raises(TypeError, match="no parameter 'trainer__'"):
        make_translator("minutes", trainer__=3)


def test_budgets_by_name():
    with pytest.raises(ValueError, match=r"Got 'minute'\. Did you mean 'minutes'\?"):
        make_translator("minute")
    with pytest.raises(ValueError, match="Got 10"):
        make_translator(10)


def test_it_is_searched_like_any_other():
    translator = make_translator("minutes")
    for params in ParameterGrid({"n_epochs": [1, 2], "trainer__max_time": [5]}):
        other = clone(translator).set_params(**params)
        assert other.n_epochs == params["n_epochs"]
        assert other.trainer.max_time == 5
    assert translator.trainer.max_time == timedelta(minutes=20)


def in_the_table(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == "auto":
        return ""
    return f'`"{value}"`' if isinstance(value, str) else str(value)


def test_the_table_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "translators.md").read_text()
    rows = ["ngf", "n_blocks", "discriminator", "augment_discriminator", "global_skip"]
    rows += ["ema_decay", "n_epochs", "batch_size", "horizontal_flip"]
    for name in rows:
        cells = [in_the_table(params[name]) for _, params, _ in BUDGETS.values()]
        line = f"| `{name}` | {' | '.join(cells)} |".replace("|  |", "| |")
        assert line in page

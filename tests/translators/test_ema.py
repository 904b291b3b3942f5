"""The moving average of a generator's weights."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from gansampler import CUT, CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import TrainingRestoredWarning
from gansampler.training import Callback

KINDS = pytest.mark.parametrize("kind", [CycleGAN, CUT])


def tiny(kind, **params):
    defaults = {"ngf": 4, "ndf": 4, "n_blocks": 1, "n_epochs": 2, "batch_size": 4}
    defaults |= {"random_state": 0, "ema_decay": 0.8}
    return kind(**{**defaults, **params})


def weights(network):
    return [p.detach().clone().double().numpy() for p in network.parameters()]


class Watch(Callback):
    """Keeps the generator's weights after each step; may spoil them, or stop."""

    def __init__(self, crash_at=None, spoil_at=None):
        self.steps, self.crash_at, self.spoil_at = [], crash_at, spoil_at

    def on_step_end(self, task, epoch, step):
        self.steps.append(weights(task.modules["generator_st"]))
        if (epoch, step) == self.crash_at:
            raise KeyError("crash")
        if (epoch, step) == self.spoil_at:
            self.spoil_at = None
            with torch.no_grad():
                next(task.modules["generator_st"].parameters()).fill_(torch.nan)


@KINDS
def test_it_is_the_recursion_of_the_steps(domains, kind):
    watch = Watch()
    # The third decay is limited by 0.3, the first two by the number of steps.
    model = tiny(kind, ema_decay=0.3, trainer=Trainer(callbacks=[watch])).fit(*domains)
    expected = watch.steps[0]
    assert len(watch.steps) == 6
    decays = [2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17]
    decays[2:] = [min(0.3, decay) for decay in decays[2:]]
    for d, step in zip(decays, watch.steps[1:], strict=False):
        expected = [d * a + (1 - d) * w for a, w in zip(expected, step, strict=True)]
    for ours, other in zip(weights(model.generator_st_ema_), expected, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-7)
    last = weights(model.generator_st_)
    for ours, other in zip(last, watch.steps[-1], strict=True):
        np.testing.assert_array_equal(ours, other)


@KINDS
def test_images_are_translated_with_it(domains, kind):
    model, plain = (tiny(kind, ema_decay=d).fit(*domains) for d in (0.8, 0.0))
    assert plain.generator_st_ema_ is None
    # Training is the same with and without.
    for ours, other in zip(
        weights(model.generator_st_), weights(plain.generator_st_), strict=True
    ):
        np.testing.assert_array_equal(ours, other)
    averaged = copy.deepcopy(plain)
    averaged.generator_st_ = model.generator_st_ema_
    X = domains[0]
    np.testing.assert_array_equal(model.translate(X), averaged.translate(X))
    assert not np.array_equal(model.translate(X), plain.translate(X))


@KINDS
@pytest.mark.parametrize("crash", [(1, 1), (2, 2)])
def test_interrupted_equals_uninterrupted(domains, tmp_path, kind, crash):
    whole = tiny(kind).fit(*domains)
    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyError, match="crash"):
        tiny(kind, trainer=Trainer(callbacks=[Watch(crash)], **kept)).fit(*domains)
    resumed = tiny(kind, trainer=Trainer(**kept)).fit(*domains)
    for name in ("generator_st_", "generator_st_ema_"):
        for ours, other in zip(
            weights(getattr(resumed, name)), weights(getattr(whole, name)), strict=True
        ):
            np.testing.assert_array_equal(ours, other)


def test_a_loss_that_is_not_finite_does_not_reach_it(domains):
    trainer = Trainer(callbacks=[Watch(spoil_at=(1, 2))])
    with pytest.warns(TrainingRestoredWarning):
        model = tiny(CycleGAN, trainer=trainer).fit(*domains)
    assert all(np.isfinite(w).all() for w in weights(model.generator_st_ema_))


@KINDS
def test_copies_and_files_hold_it(domains, tmp_path, kind):
    model = tiny(kind).fit(*domains)
    expected = model.translate(domains[0])
    model.save(tmp_path / "model.safetensors")
    copies = [
        kind.load(tmp_path / "model.safetensors"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    for other in copies:
        np.testing.assert_array_equal(other.translate(domains[0]), expected)
    assert clone(model).ema_decay == 0.8
    refitted = model.set_params(ema_decay=0.0).fit(*domains)
    assert refitted.generator_st_ema_ is None
    refitted.translate(domains[0])


def test_without_an_epoch_it_is_the_generator(domains):
    model = tiny(CycleGAN, n_epochs=0).fit(*domains)
    for ours, other in zip(
        weights(model.generator_st_ema_), weights(model.generator_st_), strict=True
    ):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.ddp
def test_two_processes_give_the_average_of_one(domains):
    one, two = (
        tiny(
            CycleGAN,
            trainer=Trainer(accelerator="cpu", precision="64-true", devices=devices),
        ).fit(*domains)
        for devices in (1, 2)
    )
    for ours, other in zip(
        weights(two.generator_st_ema_), weights(one.generator_st_ema_), strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-9)


def test_feature_rows_and_the_sampler():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(15, 4)), np.repeat([0, 1], [10, 5])
    sampler = GANOverSampler(translator=tiny(CycleGAN), random_state=0)
    X_resampled, _ = sampler.fit_resample(X, y)
    assert np.isfinite(X_resampled).all()
    assert sampler.translators_[1].generator_st_ema_ is not None


@KINDS
@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9"])
def test_bad_decays(domains, kind, decay):
    with pytest.raises(ValueError, match="'ema_decay' parameter.* must be a float in"):
        tiny(kind, ema_decay=decay).fit(*domains)

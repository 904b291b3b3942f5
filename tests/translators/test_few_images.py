"""Projected discriminators, augmentation, the best generator, and failures."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gansampler import CUT, CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import TranslationFailedError, TranslationFailedWarning
from gansampler.images import ImageSequence
from gansampler.training import Callback
from gansampler.translators import _adversarial, _evaluation

IGNORES_FAILURES = pytest.mark.filterwarnings(
    "ignore::gansampler.exceptions.TranslationFailedWarning"
)
KINDS = pytest.mark.parametrize("kind", [CycleGAN, CUT])


def tiny(kind, **params):
    defaults = {"ngf": 4, "ndf": 4, "n_blocks": 1, "n_epochs": 2, "batch_size": 4}
    defaults |= {"discriminator": "projected", "augment_discriminator": True}
    return kind(**{**defaults, "random_state": 0, **params})


@pytest.fixture
def often(monkeypatch):
    """Evaluate after every epoch."""
    monkeypatch.setattr(_evaluation, "STEPS_BETWEEN_EVALUATIONS", 1)


@pytest.fixture
def mean_color(monkeypatch):
    """Measure kernel distances by the mean colour, which takes no time."""

    class MeanColor:
        def __init__(self, backbone):
            pass

        def transform(self, X):
            return X.mean(axis=(1, 2)) / 255

    monkeypatch.setattr(_evaluation, "FeatureExtractor", MeanColor)


def weights_of(model):
    return {
        f"{name}.{key}": tensor
        for name in model._network_names
        for key, tensor in getattr(model, f"{name}_").state_dict().items()
    }


def assert_same_weights(model, other):
    others = weights_of(other)
    for name, tensor in weights_of(model).items():
        assert torch.equal(others[name], tensor), name


class Crash(Callback):
    def __init__(self, epoch, step):
        self.at = epoch, step

    def on_step_end(self, task, epoch, step):
        if (epoch, step) == self.at:
            raise KeyError("crash")


@KINDS
def test_the_pretrained_features_stay_and_the_heads_learn(domains, kind):
    first, last = (tiny(kind, n_epochs=n).fit(*domains) for n in (0, 2))
    before, after = (model.discriminator_t_.state_dict() for model in (first, last))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("heads.") for name in changed)
    assert all(name.startswith("heads.") for name in changed)


def test_losses_are_hinge_losses(domains):
    model = tiny(CUT, augment_discriminator=False)
    source, target = (torch.rand(4, 3, 16, 16) * 2 - 1 for _ in range(2))
    model.sample_shape_, model.scalers_ = (16, 16, 3), None
    task = model._prepare(*map(ImageSequence, domains))
    network = copy.deepcopy(task.modules["discriminator_t"])
    with task.frozen_discriminators():
        loss = task.adversarial_loss("discriminator_t", source)
    torch.testing.assert_close(loss, -network(source).mean())
    network = copy.deepcopy(task.modules["discriminator_t"])
    losses = task.update_discriminators(discriminator_t=(target, source))
    scores = network(torch.cat([target, source]))
    expected = F.relu(1 - scores[:4]).mean() + F.relu(1 + scores[4:]).mean()
    torch.testing.assert_close(losses["discriminator_t"], expected)


@pytest.mark.parametrize("discriminator", ["patch", "projected"])
def test_augmented_images_differ_in_each_step(domains, discriminator):
    model = tiny(CUT, discriminator=discriminator)
    model.sample_shape_, model.scalers_ = (16, 16, 3), None
    task = model._prepare(*map(ImageSequence, domains))
    task.modules["discriminator_t"].eval()
    images = torch.zeros(2, 3, 16, 16)
    with torch.no_grad():
        scores = [task.score("discriminator_t", images) for _ in range(2)]
    assert not torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0][0], scores[0][1])


@KINDS
@pytest.mark.parametrize("crash", [(2, 2)])
def test_interrupted_equals_uninterrupted(
    domains, tmp_path, kind, crash, often, mean_color
):
    params = {"ema_decay": 0.5, "patience": 5}
    whole = tiny(kind, **params).fit(*domains)
    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    trainer = Trainer(callbacks=[Crash(*crash)], **kept)
    with pytest.raises(KeyError, match="crash"):
        tiny(kind, trainer=trainer, **params).fit(*domains)
    resumed = tiny(kind, trainer=Trainer(**kept), **params).fit(*domains)
    assert_same_weights(resumed, whole)
    for ours, expected in zip(resumed.history_, whole.history_, strict=True):
        assert ours["kernel_distance"] == expected["kernel_distance"]


@pytest.mark.ddp
@KINDS
def test_two_processes_give_the_weights_of_one(domains, kind):
    """Ten images in batches of four: the last one is of two, and is shared out too."""
    one, two = (
        tiny(
            kind,
            n_epochs=1,
            ema_decay=0.5,
            trainer=Trainer(accelerator="cpu", precision="64-true", devices=devices),
        ).fit(*domains)
        for devices in (1, 2)
    )
    others = weights_of(two)
    for name, tensor in weights_of(one).items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-6, atol=1e-6)


@KINDS
def test_save_load_and_pickle_give_the_same_bytes(domains, tmp_path, kind):
    model = tiny(kind, n_epochs=1).fit(*domains)
    model.save(tmp_path / "model.safetensors")
    loaded = kind.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == model.get_params()
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        assert_same_weights(other, model)
        np.testing.assert_array_equal(
            other.realism_score(domains[0]), model.realism_score(domains[0])
        )


def test_grey_images_and_feature_rows(domains):
    grey = [images[..., :1] for images in domains]
    assert tiny(CUT, n_epochs=1).fit(*grey).translate(grey[0]).shape == (10, 16, 16, 1)
    rows = [images.reshape(len(images), -1)[:, :5] / 255 for images in domains]
    assert tiny(CycleGAN, n_epochs=1).fit(*rows).translate(rows[0]).shape == (10, 5)


class Distances(Callback):
    """Keeps the generator after each epoch."""

    def __init__(self):
        self.generators = []

    def on_epoch_end(self, task, record):
        state = task.modules["generator_st"].state_dict()
        self.generators.append({name: t.clone() for name, t in state.items()})


@IGNORES_FAILURES
def test_the_generator_with_the_smallest_distance_is_kept(domains, often, mean_color):
    watch = Distances()
    params = {"discriminator": "patch", "lr": 0.02, "n_epochs": 12, "patience": 12}
    trainer = Trainer(callbacks=[watch])
    model = tiny(CUT, trainer=trainer, **params).fit(*domains)
    distances = [record["kernel_distance"] for record in model.history_]
    best = int(np.argmin(distances))
    assert best < len(distances) - 1
    for name, tensor in model.generator_st_.state_dict().items():
        assert torch.equal(tensor, watch.generators[best][name])


@IGNORES_FAILURES
def test_training_ends_after_patience(domains, often, mean_color):
    params = {"discriminator": "patch", "lr": 0.02, "n_epochs": 50, "patience": 2}
    model = tiny(CUT, **params).fit(*domains)
    distances = [record["kernel_distance"] for record in model.history_]
    assert model.is_finished_
    assert len(distances) < 50
    assert len(distances) - 1 - int(np.argmin(distances)) == 2


def test_the_distance_is_that_of_all_features(domains, often):
    model = tiny(CUT, n_epochs=1, patience=1).fit(*domains)
    assert np.isfinite(model.history_[0]["kernel_distance"])


@pytest.fixture
def one_failure(monkeypatch):
    """Report a failure after the first training only."""
    reports = iter([["The translations are bad."]])
    monkeypatch.setattr(
        _adversarial, "find_failures", lambda *args, **kwargs: next(reports, [])
    )


def test_a_failure_is_a_warning(domains, one_failure):
    with pytest.warns(TranslationFailedWarning, match="The translations are bad"):
        model = tiny(CUT, n_epochs=1).fit(*domains)
    model.translate(domains[0])


def test_a_failure_is_an_error(domains, one_failure):
    model = tiny(CUT, n_epochs=1, on_failure="raise")
    with pytest.raises(TranslationFailedError, match="The translations are bad"):
        model.fit(*domains)
    assert not hasattr(model, "generator_st_")


class Counter(Callback):
    n_fits = 0

    def on_fit_start(self, task, n_epochs):
        self.n_fits += 1


def test_a_failure_starts_another_training(domains, one_failure):
    counter = Counter()
    params = {"n_epochs": 1, "on_failure": "restart", "discriminator": "patch"}
    model = tiny(CUT, trainer=Trainer(callbacks=[counter]), **params).fit(*domains)
    assert counter.n_fits == 2
    first = tiny(CUT, n_epochs=1, discriminator="patch").fit(*domains)
    images = [translator.translate(domains[0]) for translator in (first, model)]
    assert (images[0] != images[1]).mean() > 0.5


class Same(torch.nn.Module):
    """Returns its input."""

    def __init__(self, n_channels):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, input):
        return self.factor * input


def test_a_translator_that_changes_nothing_is_reported(domains):
    params = {"lr": 1e-12, "discriminator": "patch", "n_epochs": 34}
    model = tiny(CycleGAN, generator=Same, **params)
    with pytest.warns(TranslationFailedWarning, match="almost equal to their sources"):
        model.fit(*domains)


def test_in_the_sampler(domains):
    X = np.concatenate(domains)
    y = np.repeat(["dark", "bright"], [10, 6])
    sampler = GANOverSampler(translator=tiny(CUT, n_epochs=1), random_state=0)
    assert len(sampler.fit_resample(X, y)[0]) == 20


@pytest.mark.parametrize(
    "params",
    [
        {"discriminator": "pixel"},
        {"augment_discriminator": 1.5},
        {"patience": 0},
        {"on_failure": "ignore"},
    ],
)
def test_bad_parameters(domains, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        tiny(CUT, **params).fit(*domains)

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.nn import functional as F

from gansampler import CUT, CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import ModelFileError, TrainingStoppedWarning
from gansampler.images import ImageSequence
from gansampler.training import Callback

FAST = pytest.mark.parametrize("fast", [False, True], ids=["CUT", "FastCUT"])


def tiny(**params):
    defaults = {"ngf": 4, "ndf": 4, "n_blocks": 1, "n_epochs": 1, "batch_size": 4}
    return CUT(**{**defaults, "random_state": 0, **params})


@pytest.fixture(scope="module")
def fitted(domains):
    return tiny(n_epochs=2).fit(*domains)


def make_task(model, source, target):
    model.sample_shape_, model.scalers_ = source.shape[1:], None
    torch.manual_seed(0)
    return model._prepare(ImageSequence(source), ImageSequence(target))


@FAST
@pytest.mark.parametrize("shape", [(8, 8, 3), (17, 23, 1), (9, 33, 4), (40, 16, 2)])
def test_any_size_and_number_of_channels(fast, shape):
    X = np.random.default_rng(0).random((5, *shape)).astype(np.float32)
    translated = tiny(fast=fast).fit(X[:3], X[3:]).translate(X)
    assert translated.shape == X.shape
    assert translated.dtype == X.dtype
    assert np.isfinite(translated).all()
    assert translated.min() >= 0
    assert translated.max() <= 1


def test_grey_images_keep_three_dimensions(domains):
    dark, bright = (domain[..., 0] for domain in domains)
    model = tiny().fit(dark, bright)
    assert model.sample_shape_ == (16, 16, 1)
    assert model.translate(dark).shape == dark.shape


def test_feature_rows_are_refused():
    rows = np.random.default_rng(0).normal(size=(6, 5))
    with pytest.raises(ValueError, match=r"have no patches. Got rows of 5 feat"):
        tiny().fit(rows, rows)


@FAST
def test_it_learns_a_known_translation(fast):
    """Dark images to bright ones, unpaired, whose bright side stays where it is."""
    rng = np.random.default_rng(0)
    n = 32
    images = rng.normal(0.2, 0.02, (2 * n, 8, 8, 1))
    is_left = rng.random(2 * n) < 0.5
    images[is_left, :, :4] += 0.2
    images[~is_left, :, 4:] += 0.2
    dark, bright = images[:n].clip(0, 1), 0.4 + images[n:].clip(0, 1)
    settings = {"ngf": 8, "ndf": 8, "n_epochs": 30, "batch_size": 8, "lr": 2e-3}
    model = tiny(fast=fast, horizontal_flip=True, **settings)
    translated = model.fit(dark, bright).translate(dark)
    assert translated.mean() == pytest.approx(bright.mean(), abs=0.15)
    sides = translated[:, :, :4].mean((1, 2, 3)) - translated[:, :, 4:].mean((1, 2, 3))
    assert np.mean((sides > 0) == is_left[:n]) > 0.9


def first_images(task, n):
    return [domain.batch(range(n)) for domain in (task.data.source, task.data.target)]


def features_of(generator, images):
    """What is compared, layer by layer, found by the layers' kinds alone."""
    found, hidden, blocks = [images], images, []
    for layer in generator.layers:
        hidden = layer(hidden)
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            found.append(hidden.clone())
        if "Residual" in type(layer).__name__:
            blocks.append(hidden.clone())
    return [*found, blocks[0], blocks[2]]


def contrast(query, key):
    losses = []
    for q, k in zip(F.normalize(query, dim=1), F.normalize(key, dim=1), strict=True):
        losses += [F.cross_entropy(a @ k / 0.07, i) for i, a in enumerate_rows(q)]
    return torch.stack(losses).mean()


def enumerate_rows(q):
    return ((torch.tensor(i), a) for i, a in enumerate(q.T))


@pytest.mark.parametrize(
    ("fast", "flips"), [(False, False), (True, False), (True, True)]
)
@pytest.mark.parametrize("n", [1, 4])
def test_step_equals_the_plain_step(domains, fast, flips, n):
    """One pass that records its features against separate passes and encodings.

    In double precision: in single, rounding takes some activations across zero.
    """
    model = tiny(fast=fast, n_blocks=6)
    task = make_task(model, *domains)
    for network in task.modules.values():
        network.double()
    generator, projection, discriminator = (
        copy.deepcopy(network) for network in task.modules.values()
    )
    draws = np.random.default_rng(7)
    while fast and (copy.deepcopy(draws).random() < 0.5) != flips:
        draws.random()
    task.rng = copy.deepcopy(draws)
    s, t = (images.double() for images in first_images(task, n))
    losses = task.training_step((s, t))

    if fast:
        draws.random()
    places = [
        draws.choice(side * side, min(side * side, 256), replace=False)
        for side in (16, 8, 4, 4, 4)
    ]

    def nce(fake, real, flipped):
        terms = []
        queries, keys = (features_of(generator, x) for x in (fake, real))
        for head, q, k, at in zip(projection.heads, queries, keys, places, strict=True):
            q = q.flip(3) if flipped else q
            q, k = (head(x.flatten(2)[:, :, at].transpose(1, 2)) for x in (q, k))
            terms.append(contrast(q.transpose(1, 2), k.detach().transpose(1, 2)))
        return torch.stack(terms).mean()

    fake = generator(s.flip(3) if flips else s)
    on_fake, on_real = discriminator(fake), discriminator(t)
    expected = {
        "adversarial_st": F.mse_loss(on_fake, torch.ones_like(on_fake)),
        "nce_source": nce(fake, s, flips),
    }
    total = expected["adversarial_st"] + 10 * expected["nce_source"]
    if not fast:
        expected["nce_target"] = nce(generator(t), t, False)
        total = expected["adversarial_st"] + 0.5 * (
            expected["nce_source"] + expected["nce_target"]
        )
    scored = discriminator(fake.detach())
    expected["discriminator_t"] = 0.5 * (
        F.mse_loss(on_real, torch.ones_like(on_real))
        + F.mse_loss(scored, torch.zeros_like(scored))
    )
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-9, atol=1e-9)
    for copied, name in ((generator, "generator_st_"), (projection, "projection_")):
        parameters = list(copied.parameters())
        gradients = torch.autograd.grad(total, parameters, retain_graph=True)
        scale = max(gradient.abs().max() for gradient in gradients).item()
        assert scale > 0
        ours = [parameter.grad for parameter in getattr(model, name).parameters()]
        for gradient, actual in zip(gradients, ours, strict=True):
            torch.testing.assert_close(actual, gradient, rtol=1e-9, atol=1e-9 * scale)


def test_places_are_distinct_and_at_most_256(domains):
    task = make_task(tiny(), *domains)
    for side, n_places in ((4, 16), (40, 256)):
        places = task._draw_pixels(torch.zeros(1, 1, side, side)).tolist()
        assert len(places) == len(set(places)) == n_places
        assert 0 <= min(places) <= max(places) < side * side


def test_half_precision_trains_every_weight(domains):
    """Keys are projected without gradients; the queries keep theirs under autocast."""
    model = tiny(fast=True)
    task = make_task(model, *domains)
    s, t = first_images(task, 4)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(4):
            losses = task.training_step((s, t))
            for network in task.modules.values():
                assert all(p.grad is not None for p in network.parameters())
            assert {loss.dtype for loss in losses.values()} == {torch.float32}


def test_the_pool_is_used(domains):
    model = tiny(pool_size=3).fit(*domains)
    task = make_task(tiny(pool_size=3), *domains)
    batch = next(task.batches(1))
    task.training_step(batch)
    assert task.pools["discriminator_t"].n_stored == 3
    assert model.history_[0]["n_steps"] == 3


@pytest.mark.parametrize(
    ("params", "expected"),
    [({}, 1.0), ({"fast": True}, 10.0), ({"fast": True, "lambda_nce": 2.5}, 2.5)],
)
def test_weight_of_the_contrastive_loss(domains, params, expected):
    assert make_task(tiny(**params), *domains).lambda_nce == expected


@FAST
def test_same_seed_same_bytes_and_global_generators_untouched(domains, fast):
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (
        tiny(fast=fast, random_state=seed).fit(*domains).translate(domains[0])
        for seed in (3, 3, 4)
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.get_rng_state().equal(states[2])


class CrashAt(Callback):
    def __init__(self, *at):
        self.at = at

    def on_step_end(self, task, epoch, step):
        if (epoch, step) == self.at:
            raise KeyError("crash")


def weights_of(model):
    return {
        f"{name}.{key}": tensor
        for name in model._network_names
        for key, tensor in getattr(model, f"{name}_").state_dict().items()
    }


def assert_same_bytes(model, other):
    for (name, a), b in zip(
        weights_of(model).items(), weights_of(other).values(), strict=True
    ):
        assert a.numpy().tobytes() == b.numpy().tobytes(), name


@FAST
@pytest.mark.parametrize("crash", [(1, 2), (2, 1), (2, 3)])
def test_interrupted_equals_uninterrupted(domains, tmp_path, fast, crash):
    params = {"fast": fast, "n_epochs": 2, "pool_size": 3}
    whole = tiny(**params).fit(*domains)
    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyError, match="crash"):
        tiny(**params, trainer=Trainer(callbacks=[CrashAt(*crash)], **kept)).fit(
            *domains
        )
    resumed = tiny(**params, trainer=Trainer(**kept)).fit(*domains)
    assert_same_bytes(resumed, whole)
    for ours, expected in zip(resumed.history_, whole.history_, strict=True):
        assert ours["nce_source"] == expected["nce_source"]


def test_a_time_limit_and_the_same_call_again(domains, tmp_path):
    whole = tiny(n_epochs=2).fit(*domains)
    trainer = Trainer(checkpoint_dir=tmp_path, max_time=1e-6)
    for _ in range(20):
        try:
            stopped = tiny(n_epochs=2, trainer=trainer).fit(*domains)
        except TrainingStoppedWarning:  # warnings are errors here
            continue
        break
    assert_same_bytes(stopped, whole)


@pytest.mark.ddp
@FAST
def test_two_processes_give_the_weights_of_one(domains, fast):
    """Ten images in batches of four: the last one is of two, and is shared out too."""
    one, two = (
        tiny(
            fast=fast,
            pool_size=3,
            trainer=Trainer(accelerator="cpu", precision="64-true", devices=devices),
        ).fit(*domains)
        for devices in (1, 2)
    )
    others = weights_of(two)
    for name, tensor in weights_of(one).items():
        # Of biases under a normalisation Adam makes steps from rounding errors.
        torch.testing.assert_close(others[name], tensor, rtol=1e-7, atol=1e-7)


@FAST
def test_save_and_load_give_the_same_bytes(domains, tmp_path, fast):
    model = tiny(fast=fast, lambda_nce=3.0).fit(*domains)
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = CUT.load(path)
    assert loaded.get_params() == model.get_params()
    assert loaded.history_ == model.history_
    assert loaded.translate(domains[0]).tobytes() == (
        model.translate(domains[0]).tobytes()
    )
    assert_same_bytes(loaded, model)
    with pytest.raises(ModelFileError, match=r"CycleGAN.load reads .* holds CUT"):
        CycleGAN.load(path)


def test_pickle_deepcopy_clone(fitted, domains):
    expected = fitted.translate(domains[0]).tobytes()
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert other.translate(domains[0]).tobytes() == expected
    with pytest.raises(NotFittedError):
        clone(fitted).translate(domains[0])
    with pytest.raises(NotFittedError):
        clone(fitted).save("never written")
    assert "CUT" in fitted._repr_html_()


def test_scores_order_images_by_the_discriminator(fitted, domains):
    _, bright = domains
    pixels = torch.from_numpy(bright).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        expected = fitted.discriminator_t_(pixels).mean(dim=(1, 2, 3))
    np.testing.assert_allclose(fitted.realism_score(bright), expected, atol=0.02)


def test_in_the_sampler(domains):
    X, y = np.concatenate(domains), np.repeat(["dark", "bright"], [10, 6])
    sampler = GANOverSampler(
        translator=tiny(random_state=None), sampling_strategy={"bright": 13}
    )
    first, again = (
        clone(sampler).set_params(random_state=0).fit_resample(X, y)[0]
        for _ in range(2)
    )
    assert first.shape == (23, 16, 16, 3)
    assert first.tobytes() == again.tobytes()
    with pytest.raises(ValueError, match="'lambda_nce' parameter of CUT must be"):
        sampler.set_params(translator__lambda_nce=-1).fit_resample(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fast": "yes"}, "'fast' parameter of CUT must be"),
        ({"ngf": 0}, "'ngf' parameter"),
        ({"lambda_nce": "high"}, "'lambda_nce' parameter"),
        ({"betas": (0.5, 1.5)}, "`betas` must be two numbers"),
        ({"betas": (0.5,)}, "`betas` must be two numbers"),
    ],
)
def test_bad_parameters(domains, params, message):
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(*domains)

"""SimGAN: its step, against the equations."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gansampler import SimGAN, Trainer
from gansampler.backbones import build_backbone
from gansampler.images import ImageSequence


def tiny(**params):
    defaults = {"ngf": 4, "n_blocks": 1, "n_epochs": 1, "batch_size": 4}
    return SimGAN(**{**defaults, "random_state": 0, **params})


def test_step_equals_the_equations(domains):
    model = tiny(
        augment_discriminator=False, ema_decay=0.0, lambda_color=2.0, lambda_content=3.0
    )
    model.sample_shape_, model.scalers_ = (16, 16, 3), None
    torch.manual_seed(0)
    task = model._prepare(*map(ImageSequence, domains))
    generator, discriminator = (
        copy.deepcopy(task.modules[name])
        for name in ("generator_st", "discriminator_t")
    )
    adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.0, 0.99))
    source, target = (torch.rand(4, 3, 16, 16) * 2 - 1 for _ in range(2))
    losses = task.training_step((source, target))

    features = build_backbone("efficientnet_lite0", min_side=64).eval()
    fake = generator(source)
    adversarial = -discriminator(fake).mean()
    color = sum(
        (fake - source)[:, :, i : i + 8, j : j + 8].mean((2, 3)).abs().mean() / 4
        for i in (0, 8)
        for j in (0, 8)
    )
    # 64 px: a quarter and an eighth of the resolution.
    content = 0
    for side in (16, 8):
        ours, theirs = (
            next(maps for maps in features.stages(x) if maps.shape[2] == side)
            for x in (fake, source)
        )
        content = content + (ours - theirs).square().sum() / theirs.square().sum()
    (adversarial + 2 * color + 3 * content).backward()
    adam.step()
    torch.testing.assert_close(losses["adversarial_st"], adversarial)
    torch.testing.assert_close(losses["color"], color)
    torch.testing.assert_close(losses["content"], content, rtol=1e-4, atol=1e-6)
    for ours, expected in zip(
        task.modules["generator_st"].parameters(), generator.parameters(), strict=True
    ):
        # Adam's first step is lr * sign(gradient).
        close = torch.isclose(ours, expected, rtol=0, atol=1e-6)
        assert close.float().mean() > 0.98
    scores = discriminator(torch.cat([target, fake.detach()]))
    expected = F.relu(1 - scores[:4]).mean() + F.relu(1 + scores[4:]).mean()
    torch.testing.assert_close(losses["discriminator_t"], expected, rtol=1e-4, atol=0)


def test_a_patch_discriminator_leaves_the_features_frozen(domains, tmp_path):
    model = tiny(discriminator="patch", ndf=4).fit(*domains)
    fresh = build_backbone("efficientnet_lite0", min_side=64).state_dict()
    for name, tensor in model.content_.network.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name
    model.save(tmp_path / "model.safetensors")
    loaded = SimGAN.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        loaded.translate(domains[0]), model.translate(domains[0])
    )


def test_weights_hold_the_translation_to_its_source(domains):
    changes = []
    for weight in (0.0, 100.0):
        model = tiny(
            n_epochs=6,
            lr=2e-3,
            ema_decay=0.0,
            lambda_color=weight,
            lambda_content=weight,
        ).fit(*domains)
        translated = model.translate(domains[0]).astype(float)
        changes.append(np.abs(translated - domains[0]).mean())
    assert changes[1] < 0.5 * changes[0]


@pytest.mark.parametrize("shape", [(8, 8, 1), (17, 23, 3), (9, 33, 4)])
def test_any_size_and_number_of_channels(shape):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (6, *shape), dtype=np.uint8)
    assert tiny().fit(X, X[:3]).translate(X).shape == X.shape


def test_two_seeds_and_one(domains):
    first, same, other = (
        tiny(random_state=seed, trainer=Trainer()).fit(*domains).translate(domains[0])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_feature_rows_move_to_the_target_distribution():
    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 1, (60, 4)), rng.normal(5, 2, (40, 4))
    model = SimGAN(ngf=16, ndf=16, n_epochs=20, random_state=0).fit(source, target)
    translated = model.translate(source)
    np.testing.assert_allclose(translated.mean(0), target.mean(0), atol=1.0)
    np.testing.assert_allclose(translated.std(0), target.std(0), rtol=0.5)
    # Each row keeps its place among the others.
    for ours, theirs in zip(translated.T, source.T, strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] > 0.7


@pytest.mark.parametrize("name", ["lambda_color", "lambda_content"])
def test_bad_parameters(domains, name):
    with pytest.raises(ValueError, match=name):
        tiny(**{name: -1}).fit(*domains)

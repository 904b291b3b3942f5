import copy
import json
import pickle
import random
import struct

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.nn import functional as F

from gansampler import CycleGAN
from gansampler.exceptions import ModelFileError
from gansampler.images import ImageSequence
from gansampler.networks import ResNetGenerator


def tiny(**params):
    defaults = {"ngf": 4, "ndf": 4, "n_blocks": 1, "n_epochs": 1, "batch_size": 4}
    return CycleGAN(**{**defaults, "random_state": 0, **params})


def make_task(model, source, target):
    """Build the networks and the task as `fit` does."""
    model.sample_shape_, model.scalers_ = source.sample_shape, None
    torch.manual_seed(0)
    return model._prepare(source, target)


@pytest.fixture(scope="module")
def fitted(domains):
    return tiny(n_epochs=2).fit(*domains)


def test_scores_are_what_the_discriminator_gives(fitted, domains):
    _, bright = domains
    pixels = torch.from_numpy(bright).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        expected = fitted.discriminator_t_(pixels).mean(dim=(1, 2, 3))
    scores = fitted.realism_score(bright)
    assert scores.shape == (6,)
    np.testing.assert_allclose(scores, expected, atol=0.02)  # bfloat16
    floats = fitted.realism_score((bright / 255).astype(np.float32))
    np.testing.assert_allclose(floats, expected, atol=1e-5)


def test_scores_of_feature_rows():
    rng = np.random.default_rng(0)
    model = tiny().fit(rng.normal(size=(20, 5)), rng.normal(3, 2, size=(20, 5)))
    X = rng.normal(3, 2, size=(7, 5))
    rows = torch.from_numpy(model.scalers_["target"].transform(X)).float()
    with torch.no_grad():
        expected = model.discriminator_t_(rows)[:, 0]
    np.testing.assert_allclose(model.realism_score(X), expected, atol=1e-5)


def test_scores_need_a_fit(domains):
    with pytest.raises(NotFittedError):
        tiny().realism_score(domains[0])


def bad_callable(n_channels):
    return nn.Conv2d(n_channels, n_channels, 3)


def one_convolution(n_channels):
    return nn.Sequential(nn.Conv2d(n_channels, n_channels, 3, padding=1), nn.Tanh())


class CoarseGenerator(nn.Module):
    """Needs sides of a multiple of 32."""

    size_multiple = 32

    def __init__(self, n_channels):
        super().__init__()
        self.layer = nn.Conv2d(n_channels, n_channels, 1)

    def forward(self, input):
        n, c, h, w = input.shape
        blocks = input.view(n, c, h // 32, 32, w // 32, 32)
        return torch.tanh(self.layer(blocks.reshape(input.shape)))


class ExtendedResNet(ResNetGenerator):
    """A user's generator with one more layer after those of the ResNet."""

    def __init__(self, n_channels):
        super().__init__(n_channels, ngf=4, n_blocks=1)
        self.extra = nn.Conv2d(n_channels, n_channels, 1)

    def forward(self, input):
        return torch.tanh(self.extra(super().forward(input)))


def batch_normalised(n_channels):
    return nn.Sequential(
        nn.Conv2d(n_channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, n_channels, 3, padding=1),
        nn.Tanh(),
    )


@pytest.mark.parametrize(
    "generator", ["resnet", "unet", one_convolution, CoarseGenerator, ExtendedResNet]
)
@pytest.mark.parametrize("shape", [(8, 8, 3), (17, 23, 1), (9, 33, 4), (40, 16, 2)])
def test_any_size_and_number_of_channels(generator, shape):
    X = np.random.default_rng(0).random((5, *shape)).astype(np.float32)
    translated = tiny(generator=generator).fit(X[:3], X[3:]).translate(X)
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
    assert model.inverse_translate(bright).dtype == np.uint8


def test_it_learns_a_known_translation():
    """Dark squares to bright ones: unpaired, and undone by the way back."""
    rng = np.random.default_rng(0)
    dark = rng.normal(0.25, 0.03, (32, 8, 8, 1)).clip(0, 1)
    bright = rng.normal(0.75, 0.03, (24, 8, 8, 1)).clip(0, 1)
    model = tiny(ngf=8, ndf=8, n_epochs=25, batch_size=8, lr=2e-3).fit(dark, bright)
    assert model.translate(dark).mean() == pytest.approx(0.75, abs=0.1)
    assert model.inverse_translate(bright).mean() == pytest.approx(0.25, abs=0.1)
    back = model.inverse_translate(model.translate(dark))
    assert np.abs(back - dark).mean() < 0.1


def test_feature_rows_move_to_the_target_distribution():
    """Means and deviations from the scalers, the correlation from the networks."""
    rng = np.random.default_rng(0)
    source = rng.multivariate_normal([0, 100], [[1, 0], [0, 100]], 400)
    target = rng.multivariate_normal([4, 60], [[4, -17], [-17, 100]], 300)
    model = tiny(ngf=32, ndf=32, n_epochs=30, batch_size=16, lr=2e-3, lambda_cycle=1.0)
    model.set_params(lambda_identity=0.0).fit(source, target)
    translated = model.translate(source)
    assert translated.dtype == np.float64
    np.testing.assert_allclose((translated.mean(0) - [4, 60]) / [2, 10], 0, atol=0.5)
    np.testing.assert_allclose(translated.std(0), [2, 10], rtol=0.35)
    assert abs(np.corrcoef(source.T)[0, 1]) < 0.1
    assert np.corrcoef(translated.T)[0, 1] < -0.5


@pytest.mark.parametrize("generator", ["resnet", "unet", batch_normalised])
@pytest.mark.parametrize("n", [1, 4])
def test_step_equals_the_textbook_step(domains, n, generator):
    """The batched step against six generator and four discriminator passes."""
    model = tiny(generator=generator, lambda_cycle=7.0, lambda_identity=0.5)
    source, target = (ImageSequence(domain) for domain in domains)
    task = make_task(model, source, target)
    nets = {
        name: copy.deepcopy(getattr(model, f"{name}_"))
        for name in (
            "generator_st",
            "generator_ts",
            "discriminator_s",
            "discriminator_t",
        )
    }
    batch = source.batch(range(n)), target.batch(range(n))
    losses = task.training_step(batch)

    st, ts, d_s, d_t = nets.values()
    s, t = batch
    fake_t, fake_s = st(s), ts(t)

    def one(x):
        return F.mse_loss(x, torch.ones_like(x))

    def zero(x):
        return F.mse_loss(x, torch.zeros_like(x))

    expected = {
        "adversarial_st": one(d_t(fake_t)),
        "adversarial_ts": one(d_s(fake_s)),
        "cycle_source": F.l1_loss(ts(fake_t), s),
        "cycle_target": F.l1_loss(st(fake_s), t),
        "identity_source": F.l1_loss(ts(s), s),
        "identity_target": F.l1_loss(st(t), t),
        "discriminator_s": 0.5 * (one(d_s(s)) + zero(d_s(fake_s.detach()))),
        "discriminator_t": 0.5 * (one(d_t(t)) + zero(d_t(fake_t.detach()))),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6)
    weights = {"cycle": 7.0, "identity": 0.5, "adversarial": 1.0}
    total = sum(
        weights[name.split("_")[0]] * value
        for name, value in expected.items()
        if not name.startswith("discriminator")
    )
    for name in ("generator_st", "generator_ts"):
        parameters = list(nets[name].parameters())
        gradients = torch.autograd.grad(total, parameters, retain_graph=True)
        ours = [p.grad for p in getattr(model, f"{name}_").parameters()]
        # Biases under a normalisation have gradients of rounding size only.
        scale = max(gradient.abs().max() for gradient in gradients)
        for expected_gradient, gradient in zip(gradients, ours, strict=True):
            torch.testing.assert_close(
                gradient, expected_gradient, rtol=1e-5, atol=1e-5 * scale.item()
            )


def test_learning_rate_is_constant_then_falls_linearly_to_zero(domains):
    model = tiny(n_epochs=2, n_epochs_decay=3, lr=0.004).fit(*domains)
    rates = [record["lr"] for record in model.history_]
    np.testing.assert_allclose(rates, [0.004, 0.004, 0.003, 0.002, 0.001], rtol=1e-6)


def test_an_epoch_shows_each_image_of_the_larger_domain_once(domains):
    task = make_task(tiny(batch_size=3), *map(ImageSequence, domains))
    batches = list(task.batches(1))
    assert task.n_batches == len(batches) == 4
    assert [len(s) for s, _ in batches] == [len(t) for _, t in batches] == [3, 3, 3, 1]
    seen = torch.cat([s for s, _ in batches]).flatten(1)
    assert len(seen.unique(dim=0)) == len(seen) == 10
    counts = (
        torch.cat([t for _, t in batches])
        .flatten(1)
        .unique(dim=0, return_counts=True)[1]
    )
    assert sorted(counts.tolist()) == [1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("horizontal", [False, True])
def test_images_are_flipped_only_if_asked_for(domains, horizontal, vertical):
    """Without the parameters there are no flips."""
    asked = {"horizontal_flip": horizontal, "vertical_flip": vertical}
    model = tiny(**{name: True for name, value in asked.items() if value})
    source = ImageSequence(domains[0])
    task = make_task(model, source, source)
    images = source.batch(range(len(source)))
    versions = {(v, h): images.flip([2] * v + [3] * h) for v in (0, 1) for h in (0, 1)}
    seen = set()
    for epoch in range(1, 9):
        shown = torch.cat([real_source for real_source, _ in task.batches(epoch)])
        assert len(shown) == len(images)
        for image in shown:
            (found,) = (
                key
                for key, version in versions.items()
                if (version == image).flatten(1).all(1).any()
            )
            seen.add(found)
    assert seen == {(v, h) for v in {0, int(vertical)} for h in {0, int(horizontal)}}


def test_same_seed_same_bytes_and_global_generators_untouched(domains):
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first = tiny(random_state=3).fit(*domains).translate(domains[0])
    again = tiny(random_state=3).fit(*domains).translate(domains[0])
    other = tiny(random_state=4).fit(*domains).translate(domains[0])
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.get_rng_state().equal(states[2])


def test_translation_does_not_depend_on_its_batch(fitted, domains):
    whole = fitted.translate(domains[0]).astype(int)
    single = np.concatenate(
        [fitted.translate(domains[0][i : i + 1]) for i in range(10)]
    )
    assert np.abs(whole - single).max() <= 1


def test_save_and_load_give_the_same_bytes(fitted, domains, tmp_path):
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    loaded = CycleGAN.load(path)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.history_ == fitted.history_
    assert loaded.sample_shape_ == fitted.sample_shape_
    for method in ("translate", "inverse_translate"):
        ours, theirs = (getattr(m, method)(domains[0]) for m in (fitted, loaded))
        assert ours.tobytes() == theirs.tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_parameters_that_are_no_functions_need_not_be_passed_to_load(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    assert CycleGAN.load(tmp_path / "m", generator=None).generator == "resnet"


def test_feature_translator_survives_saving(tmp_path):
    rows = np.random.default_rng(0).normal(5, 3, (20, 4))
    model = tiny().fit(rows, rows + 1)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(
        CycleGAN.load(tmp_path / "m").translate(rows), model.translate(rows)
    )


def test_callable_generator_is_asked_for_when_loading(domains, tmp_path):
    model = tiny(generator=one_convolution).fit(*domains)
    model.save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="generator="):
        CycleGAN.load(tmp_path / "m")
    loaded = CycleGAN.load(tmp_path / "m", generator=one_convolution)
    assert (
        loaded.translate(domains[0]).tobytes() == model.translate(domains[0]).tobytes()
    )


def test_damaged_foreign_and_newer_files_are_named(fitted, tmp_path):
    good = tmp_path / "good"
    fitted.save(good)
    data = good.read_bytes()
    with pytest.raises(FileNotFoundError, match="none at"):
        CycleGAN.load(tmp_path / "absent")
    (tmp_path / "torn").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        CycleGAN.load(tmp_path / "torn")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ModelFileError, match="damaged or of another format"):
        CycleGAN.load(tmp_path / "text")
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    for change, message in (
        ({"format_version": "99"}, "newer gansampler"),
        ({"kind": "TransferClassifier"}, "holds TransferClassifier"),
        ({"format": "other"}, "CycleGAN.load reads"),
    ):
        altered = dict(header, __metadata__={**header["__metadata__"], **change})
        text = json.dumps(altered).encode()
        text += b" " * (-len(text) % 8)
        changed = struct.pack("<Q", len(text)) + text + data[8 + size :]
        (tmp_path / "changed").write_bytes(changed)
        with pytest.raises(ModelFileError, match=message):
            CycleGAN.load(tmp_path / "changed")


def test_failed_save_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    monkeypatch.setattr(
        "gansampler._serialization.save_file",
        lambda *args, **kwargs: (_ for _ in ()).throw(OSError(28, "No space left")),
    )
    with pytest.raises(OSError, match="No space"):
        fitted.save(path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError, match="is no folder"):
        fitted.save(tmp_path / "absent" / "model")


def test_a_pickled_translator_maps_batches(fitted, domains):
    batch = {"image": domains[0], "name": np.arange(10)}
    before = copy.deepcopy(batch)
    mapped = pickle.loads(pickle.dumps(fitted))(batch)
    assert mapped.keys() == batch.keys()
    np.testing.assert_array_equal(mapped["image"], fitted.translate(domains[0]))
    for name in batch:
        np.testing.assert_array_equal(batch[name], before[name])


def test_pickle_deepcopy_clone(fitted, domains):
    expected = fitted.translate(domains[0]).tobytes()
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert other.translate(domains[0]).tobytes() == expected
    with pytest.raises(NotFittedError):
        clone(fitted).translate(domains[0])
    assert "CycleGAN" in fitted._repr_html_()


def test_a_subclass_of_the_resnet_translates_bytes_as_it_translates_floats(domains):
    model = tiny(generator=ExtendedResNet).fit(*domains)
    floats = model.translate((domains[0] / 255).astype(np.float32))
    # Half precision differs by a few of the 255 steps.
    difference = np.abs(model.translate(domains[0]) - 255 * floats)
    assert difference.max() < 6
    assert difference.mean() < 1


def test_translate_refuses_other_shapes(fitted, domains):
    with pytest.raises(
        ValueError, match=r"fitted on, \(16, 16, 3\)\. Got \(16, 16, 1\)"
    ):
        fitted.translate(domains[0][..., :1])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"generator": "vit"}, ValueError, "'generator' parameter of CycleGAN must be"),
        ({"ngf": 0}, ValueError, "'ngf' parameter"),
        ({"lr": 0}, ValueError, "'lr' parameter"),
        ({"betas": (0.5, 1.5)}, ValueError, "`betas` must be two numbers"),
        ({"trainer": "cpu"}, ValueError, "'trainer' parameter"),
        ({"generator": bad_callable}, ValueError, "size_multiple"),
        ({"generator": lambda n: None}, TypeError, "must return a torch.nn.Module"),
    ],
)
def test_bad_parameters(domains, params, error, message):
    with pytest.raises(error, match=message):
        tiny(**params).fit(*domains)


def test_bad_domains(domains):
    dark, bright = domains
    with pytest.raises(ValueError, match="at least 2 samples .* 1 of the target"):
        tiny().fit(dark, bright[:1])
    with pytest.raises(
        ValueError, match=r"same shape\. Got \(16, 16, 3\) and \(16, 16, 1"
    ):
        tiny().fit(dark, bright[..., :1])

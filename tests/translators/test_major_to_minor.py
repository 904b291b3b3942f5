"""Major-to-minor translation: its steps, against NumPy and scikit-learn."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from gansampler import GANOverSampler, MajorToMinor
from gansampler.backbones import build_backbone
from gansampler.exceptions import ModelFileError, TranslationFailedWarning
from gansampler.quality import FeatureExtractor


class Means(nn.Module):
    """A backbone of which all is known: the mean and the square of each channel."""

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images.square().mean((2, 3))], dim=1)


def tiny(**params):
    return MajorToMinor(**{"backbone": Means(), "random_state": 0, **params})


@pytest.fixture(scope="module")
def domains():
    rng = np.random.default_rng(0)
    source = rng.integers(0, 160, (12, 8, 9, 3), dtype=np.uint8)
    target = rng.integers(96, 256, (6, 8, 9, 3), dtype=np.uint8)
    return source, target


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (60, 4)), rng.normal([3, 0, 0, 0], 2, (20, 4))


def reference_classifiers(features, n_source):
    is_target = np.arange(len(features)) >= n_source
    C = 1 / features.shape[1]
    return [
        make_pipeline(
            StandardScaler(),
            LogisticRegression(C=C, class_weight=weight, max_iter=1000),
        ).fit(features, is_target)
        for weight in (None, "balanced")
    ]


@pytest.mark.parametrize("kind", ["means", "efficientnet_lite0", "rows"])
def test_classifiers_are_those_of_scikit_learn(domains, rows, kind):
    backbone = Means() if kind == "means" else "efficientnet_lite0"
    source, target = rows if kind == "rows" else domains
    samples = np.concatenate([source, target])
    if kind == "rows":
        X = StandardScaler().fit_transform(samples)
    else:
        X = FeatureExtractor(backbone, min_side=96).transform(samples).astype(float)
    model = tiny(backbone=backbone).fit(source, target)
    first, second = reference_classifiers(X, len(source))
    np.testing.assert_allclose(
        model.realism_score(samples), first.predict_proba(X)[:, 1], atol=1e-4
    )
    weight = second[-1].coef_[0] / second[0].scale_
    bias = second[-1].intercept_ - weight @ second[0].mean_
    heads = model.classifier_.heads
    got = X @ heads.weight[1].double().numpy() + float(heads.bias[1])
    np.testing.assert_allclose(got, X @ weight + bias, atol=1e-2)


@pytest.mark.parametrize("lambda_source", [0.0, 5.0])
def test_steps_on_rows_equal_the_equations(rows, lambda_source):
    # A low bar, so that no row gets a second round.
    model = tiny(lambda_source=lambda_source, gamma=1e-9, n_steps=3, step_size=0.3)
    model.fit(*rows)
    scaler = StandardScaler().fit(np.concatenate(rows))
    x = scaler.transform(rows[0])
    network = model._forward_network()
    noise = network._noise(torch.from_numpy(x).float()).double().numpy()
    np.testing.assert_allclose(np.sqrt(np.square(noise).mean(1)), 1.5, rtol=1e-5)
    x += noise
    first, second = reference_classifiers(
        scaler.transform(np.concatenate(rows)), len(rows[0])
    )
    for _ in range(3):
        p = first.predict_proba(x)[:, 1:]
        gradient = -(1 - p) * first[-1].coef_ / first[0].scale_
        gradient -= lambda_source / 2 * second[-1].coef_ / second[0].scale_
        x -= 0.3 * gradient / np.sqrt(np.square(gradient).mean(1, keepdims=True))
    expected = scaler.inverse_transform(x)
    np.testing.assert_allclose(model.translate(rows[0]), expected, atol=1e-3)


def test_the_source_logit_changes_the_direction(rows):
    one, other = (
        tiny(lambda_source=weight).fit(*rows).translate(rows[0]) for weight in (0, 50)
    )
    assert not np.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_are_accepted_and_stay_near_their_sources(domains, dtype):
    source, target = domains
    if dtype == np.float32:
        source, target = source / np.float32(255), target / np.float32(255)
    model = tiny(gamma=0.8).fit(source, target)
    before = model.realism_score(source)
    translated = model.translate(source)
    assert translated.dtype == dtype
    assert translated.shape == source.shape
    assert (before < 0.8).any()
    assert (model.realism_score(translated) >= 0.799).all()
    # Images stay correlated with their own sources.
    for ours, theirs in zip(translated, source, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.5


def test_later_rounds_reach_what_the_first_one_does_not(domains):
    source, target = domains
    short = tiny(n_steps=1, step_size=1e-4, gamma=0.7).fit(source, target)
    assert (short.realism_score(source) < 0.7).all()
    with pytest.warns(TranslationFailedWarning, match="12 of 12 have less"):
        short.translate(source)
    longer = tiny(n_steps=10, step_size=1e-3, gamma=0.7).fit(source, target)
    translated = longer.translate(source)
    assert (longer.realism_score(translated) >= 0.7).all()
    change = np.square(translated.astype(float) - source).mean((1, 2, 3)) ** 0.5
    # One round of 10 steps of 0.255 grey levels, and the noise of 5, are not enough.
    assert change.max() > 3.8


def test_classes_that_do_not_differ_are_reported(domains):
    source, _ = domains
    model = tiny().fit(source, source)
    with pytest.warns(TranslationFailedWarning, match="does not tell"):
        assert model.translate(source[:2]).shape == (2, 8, 9, 3)


def test_noise_follows_from_seed_and_image(domains):
    source, target = domains
    first, same, other = (
        tiny(random_state=seed, n_steps=2, gamma=0.1)
        .fit(source, target)
        .translate(source)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    model = tiny(n_steps=2, gamma=0.1).fit(source, target)
    np.testing.assert_allclose(
        model.translate(source[5:7]).astype(int), first[5:7], atol=1
    )
    network = model._forward_network()
    noise = network._noise(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]))
    assert not torch.equal(noise[0], noise[1])


def test_global_random_numbers_are_left_alone(domains):
    np.random.seed(0)
    torch.manual_seed(0)
    expected = np.random.random(), torch.rand(1)
    np.random.seed(0)
    torch.manual_seed(0)
    tiny(n_steps=1, gamma=0.1).fit(*domains).translate(domains[0])
    assert (np.random.random(), torch.rand(1)) == expected


@pytest.mark.parametrize("shape", [(8, 8, 1), (17, 23, 4)])
def test_any_size_and_number_of_channels(shape):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (6, *shape), dtype=np.uint8)
    model = MajorToMinor(n_steps=1, gamma=0.01, random_state=0).fit(X, X[:3] + 55)
    assert model.translate(X).shape == X.shape


def test_save_and_load(domains, rows, tmp_path):
    path = tmp_path / "model.safetensors"
    for backbone, (source, target) in (
        (Means(), domains),
        ("efficientnet_lite0", domains),
        ("efficientnet_lite0", rows),
    ):
        model = tiny(backbone=backbone, n_steps=1, gamma=0.02).fit(source, target)
        expected = model.translate(source)
        model.save(path)
        if isinstance(backbone, Means):
            with pytest.raises(ModelFileError, match="backbone=..."):
                MajorToMinor.load(path)
            loaded = MajorToMinor.load(path, backbone=backbone)
        else:
            loaded = MajorToMinor.load(path)
        assert loaded.n_steps == 1
        np.testing.assert_array_equal(loaded.translate(source), expected)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.translate(source), expected)


def test_the_callers_backbone_is_left_as_it_was(domains):
    backbone = build_backbone("squeezenet1_1", weights=None)
    before = {name: t.clone() for name, t in backbone.state_dict().items()}
    tiny(backbone=backbone, n_steps=1, gamma=0.01).fit(*domains).translate(domains[0])
    assert backbone.training
    assert all(p.requires_grad for p in backbone.parameters())
    assert all(
        torch.equal(before[name], t) for name, t in backbone.state_dict().items()
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma", 1.0), ("gamma", 0.0), ("n_steps", 0), ("step_size", 0), ("weights", 3)],
)
def test_bad_parameters(domains, name, value):
    with pytest.raises(ValueError, match=name):
        tiny(**{name: value}).fit(*domains)


class TestInTheSampler:
    def test_arrays(self, domains):
        X, y = np.concatenate(domains), np.repeat(["a", "b"], [12, 6])
        sampler = GANOverSampler(translator=tiny(gamma=0.6), random_state=0)
        X_resampled, _ = sampler.fit_resample(X, y)
        again, _ = clone(sampler).fit_resample(X, y)
        assert X_resampled.shape == (24, 8, 9, 3)
        np.testing.assert_array_equal(again, X_resampled)
        scores = sampler.translators_["b"].realism_score(X_resampled[18:])
        assert (scores >= 0.6).all()

    def test_feature_rows(self, rows):
        X, y = np.concatenate(rows), np.repeat([0, 1], [60, 20])
        sampler = GANOverSampler(translator=tiny(), random_state=0)
        X_resampled, _ = sampler.fit_resample(X, y)
        assert X_resampled.shape == (120, 4)
        (translator,) = sampler.translators_.values()
        assert (translator.realism_score(X_resampled[80:]) > 0.89).all()

    def test_paths_and_the_probabilities_in_the_manifest(self, domains, tmp_path):
        X, y = np.concatenate(domains), np.repeat(["a", "b"], [12, 6])
        (tmp_path / "old").mkdir()
        paths = [tmp_path / "old" / f"{number}.png" for number in range(18)]
        for path, image in zip(paths, X, strict=True):
            Image.fromarray(image).save(path)
        sampler = GANOverSampler(
            translator=tiny(gamma=0.6),
            image_shape=(8, 9, 3),
            output_dir=tmp_path / "new",
            random_state=0,
        )
        X_resampled, _ = sampler.fit_resample(paths, y)
        expected, _ = clone(sampler).set_params(output_dir=None).fit_resample(X, y)
        stored = np.stack([np.asarray(Image.open(path)) for path in X_resampled[18:]])
        np.testing.assert_array_equal(stored, expected[18:])
        table = np.genfromtxt(
            tmp_path / "new" / "manifest.csv", delimiter=",", names=True, dtype=None
        )
        assert set(table["translator"]).pop().startswith("MajorToMinor-")
        assert (table["score"] >= 0.6).all()

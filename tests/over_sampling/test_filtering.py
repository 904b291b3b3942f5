"""Only synthetic samples that pass the quality filters get into the result."""

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from gansampler import CycleGAN, GANOverSampler
from gansampler.datasets import make_lesions
from gansampler.exceptions import GANSamplerWarning, ShortfallError
from gansampler.images import ImageSequence
from gansampler.over_sampling import _filtering, _generation
from gansampler.over_sampling._quality_filters import copy_filters
from gansampler.quality import (
    DiscriminatorFilter,
    DistanceFilter,
    FeatureExtractor,
    LabelFilter,
    MemorizationFilter,
)
from tests.over_sampling.filters import MeanFilter
from tests.over_sampling.translators import Collapsed, Invert, Unsteady

N_SOURCES, N_NEW = 12, 9
ALL_PASS, NONE_PASS = MeanFilter(least=0), MeanFilter(least=256)


@pytest.fixture
def data():
    """Sources 0 to 5 are dark, so that their negatives are bright and pass."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (N_SOURCES + 3, 12, 12, 3), dtype=np.uint8)
    X[6:] += 150
    return X, np.repeat([0, 1], [N_SOURCES, 3])


@pytest.fixture
def paths(data, tmp_path):
    folder = tmp_path / "originals"
    folder.mkdir()
    names = [str(folder / f"scan {i}.png") for i in range(len(data[0]))]
    for name, image in zip(names, data[0], strict=True):
        Image.fromarray(image).save(name)
    return names


def sampler(quality_filter, translator=None, **params):
    translator = Invert() if translator is None else translator
    return GANOverSampler(
        translator=translator,
        quality_filter=quality_filter,
        **{"random_state": 0, **params},
    )


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not path.name.startswith(".")
    }


def test_exactly_the_bad_images_are_rejected(data):
    X, y = data
    model = sampler(MeanFilter())
    X_resampled, y_resampled = model.fit_resample(X, y)
    np.testing.assert_array_equal(X_resampled[:15], X)
    assert y_resampled.tolist() == [*y, *[1] * N_NEW]
    assert model.is_synthetic_.tolist() == [False] * 15 + [True] * N_NEW
    made, parents = X_resampled[15:], model.sample_indices_[15:]
    assert set(parents) <= set(range(6))
    # Each image is a shift of the negative of its parent.
    assert len({image.tobytes() for image in made}) == N_NEW
    first = len(set(parents))
    np.testing.assert_array_equal(made[:first], 255 - X[parents[:first]])
    # The order of the draws decides who is rejected.
    report = model.filter_report_[1]
    rejected = [r.parent_row for r in report.rejections]
    assert set(rejected) <= set(range(6, 12))
    assert report.n_candidates == report.n_accepted + len(rejected)
    assert report.n_accepted == N_NEW
    assert report.n_rejected == {"MeanFilter": len(rejected)}
    assert report.thresholds == {"MeanFilter": X[12:].mean(axis=(1, 2, 3)).min()}
    drawn = _generation.draw_sources(N_SOURCES, report.n_candidates, model_seed(model))
    np.testing.assert_array_equal(drawn[drawn < 6], parents)
    np.testing.assert_array_equal(drawn[drawn >= 6], rejected)
    found = [r.candidate for r in report.rejections]
    np.testing.assert_array_equal(found, np.flatnonzero(drawn >= 6))
    assert str(model.filter_report_) == (
        f"1: 9 of {report.n_candidates} candidates accepted\n"
        f"  MeanFilter: {len(rejected)} rejected, threshold "
        f"{report.thresholds['MeanFilter']:.4g}"
    )


def model_seed(model):
    return model._generated[1]._seed


def test_filters_are_fitted_to_the_training_images(data):
    X, y = data
    sampler(MeanFilter()).fit_resample(X, y)
    source, target = MeanFilter.fitted_to
    np.testing.assert_array_equal(source, X[y == 0])
    np.testing.assert_array_equal(target, X[y == 1])


@pytest.mark.parametrize("kind", ["images", "floating", "rows"])
def test_with_a_filter_that_accepts_all_nothing_changes(data, kind):
    X, y = data
    if kind != "images":
        X = X / 255
    params = {}
    if kind == "rows":
        X = X[:, 0, :, 0]
    params["sampling_strategy"] = {1: 43}
    expected = sampler(None, **params)
    result = expected.fit_resample(X, y)[0]
    assert expected.filter_report_ is None
    model = sampler([ALL_PASS, MeanFilter(least=-5)], **params)
    np.testing.assert_array_equal(model.fit_resample(X, y)[0], result)
    np.testing.assert_array_equal(model.sample_indices_, expected.sample_indices_)
    assert model.filter_report_[1].n_rejected == {"MeanFilter": 0, "MeanFilter-2": 0}


def test_memory_and_chunks_do_not_matter(data, monkeypatch):
    expected = sampler(MeanFilter()).fit_resample(*data)[0]
    monkeypatch.setattr(_filtering, "BYTES_IN_MEMORY", 1)
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 2 * 12 * 12 * 3)
    np.testing.assert_array_equal(
        sampler(MeanFilter()).fit_resample(*data)[0], expected
    )


def test_all_filters_must_accept(data):
    X, y = data
    model = sampler([ALL_PASS, MeanFilter()])
    X_resampled, _ = model.fit_resample(X, y)
    np.testing.assert_array_equal(
        X_resampled, sampler(MeanFilter()).fit_resample(X, y)[0]
    )
    counts = model.filter_report_[1].n_rejected
    assert counts["MeanFilter"] == 0
    assert counts["MeanFilter-2"] > 0


def test_too_few_that_pass(data):
    X, y = data
    model = sampler([NONE_PASS, ALL_PASS])
    message = (
        r"9 synthetic .* class 1 .* Of 90 candidates, 0 passed, and at most 10 .* "
        r"MeanFilter 90 \(threshold 256\), MeanFilter-2 0 .* train .* for longer"
    )
    with pytest.raises(ShortfallError, match=message):
        model.fit_resample(X, y)
    assert not hasattr(model, "filter_report_")
    with pytest.raises(ShortfallError, match="All synthetic images must be distinct"):
        sampler(NONE_PASS, Collapsed()).fit_resample(X, y)
    # Each of two sources has 49 versions.
    few = [*range(4, 6), *range(12, 15)]
    with pytest.raises(ShortfallError, match=r"Of 98 candidates, .* no further dist"):
        sampler(NONE_PASS, sampling_strategy={1: 23}, source=0).fit_resample(
            X[few], y[few]
        )


def test_further_images_pass_too(data):
    X, y = data
    model = sampler(MeanFilter())
    made = model.fit_resample(X, y)[0][15:]
    more, parents = model.generate(20)
    assert set(parents) <= set(range(6))
    assert more.mean(axis=(1, 2, 3)).min() >= X[12:].mean(axis=(1, 2, 3)).min()
    assert len({image.tobytes() for image in [*made, *more]}) == N_NEW + 20
    assert len(model.filter_report_[1].rejections) < 10


def test_files_manifest_and_resumption(data, paths, tmp_path):
    X, y = data
    folder = tmp_path / "made"
    model = sampler(MeanFilter(), output_dir=folder, image_shape=(12, 12, 3))
    found, _ = model.fit_resample(paths, y)
    in_memory = sampler(MeanFilter()).fit_resample(X, y)[0]
    images = np.stack([np.asarray(Image.open(path)) for path in found[15:]])
    np.testing.assert_array_equal(images, in_memory[15:])
    with (folder / "rejected.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    report = model.filter_report_[1]
    assert len(rejected) == len(report.rejections) > 0
    for row, rejection in zip(rejected, report.rejections, strict=True):
        expected = {"label": 1, **rejection._asdict()}
        assert row == {name: str(value) for name, value in expected.items()}
        assert row["parent"] == paths[int(row["parent_row"])]
    rows = json.loads((folder / "manifest.json").read_text())["images"]
    assert [row["parent"] for row in rows] == [
        paths[i] for i in model.sample_indices_[15:]
    ]
    before = contents(folder)
    for name in list(before)[::2]:
        (folder / name).unlink()
    clone(model).fit_resample(paths, y)
    assert contents(folder) == before
    with pytest.raises(ValueError, match="differs in quality_filter"):
        clone(model).set_params(quality_filter__least=7).fit_resample(paths, y)
    with pytest.raises(ValueError, match="differs in quality_filter"):
        clone(model).set_params(quality_filter=None).fit_resample(paths, y)


def test_a_stopped_run_is_resumed(data, tmp_path, monkeypatch):
    X, y = data
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 2 * 12 * 12 * 3)
    whole = sampler(MeanFilter(), output_dir=tmp_path / "whole")
    expected = whole.fit_resample(X, y)[0]
    stopped = sampler(MeanFilter(), output_dir=tmp_path / "stopped")
    chunks = _filtering.FilteredTranslations.chunks

    def stop(self, finished, *, verbose):
        for chunk in chunks(self, finished, verbose=verbose):
            if chunk.start >= 4:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(_filtering.FilteredTranslations, "chunks", stop)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit_resample(X, y)
    assert len(list((tmp_path / "stopped" / "1").iterdir())) == 4
    np.testing.assert_array_equal(stopped.fit_resample(X, y)[0], expected)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_another_translator_leaves_no_files_behind(data, tmp_path):
    model = sampler(MeanFilter(least=20), Unsteady(), output_dir=tmp_path / "made")
    model.fit_resample(*data)
    # Its file would have another parent.
    stale = tmp_path / "made" / "1" / "1_000003_from_row-99.png"
    shutil.copy(next((tmp_path / "made" / "1").iterdir()), stale)
    with pytest.warns(GANSamplerWarning, match="are replaced"):
        clone(model).fit_resample(*data)
    assert len(list((tmp_path / "made" / "1").iterdir())) == N_NEW


class SometimesInvert(Invert):
    """A translator that leaves every third source as it is."""

    def translate(self, X):
        is_same = X[:, 0, 0, 0] % 3 == 0
        return np.where(is_same[:, None, None, None], X, super().translate(X))


class TestPretrained:
    def test_scores_of_the_discriminator(self, data):
        X, y = data
        translator = CycleGAN(
            ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=6, random_state=0
        ).fit(ImageSequence(X[:12]), ImageSequence(X[12:]))
        threshold = np.quantile(translator.realism_score(X[12:]), 0.0)
        scores = translator.realism_score(translator.translate(X[:12]))
        # So that about a half of them pass.
        shift = float(np.median(scores) - threshold)
        score = translator.realism_score
        translator.realism_score = lambda images: (
            score(images) + shift * (len(images) == 3)
        )
        model = sampler(DiscriminatorFilter(quantile=0), translator, prefit=True)
        made = model.fit_resample(X, y)[0][15:]
        report = model.filter_report_[1]
        assert report.n_rejected["DiscriminatorFilter"] > 0
        least = report.thresholds["DiscriminatorFilter"]
        assert (score(made) >= least - 1e-5).all()

    def test_scores_need_a_discriminator(self, data, monkeypatch):
        monkeypatch.setattr(Invert, "_fit", None)
        with pytest.raises(ValueError, match="Invert has no discriminator"):
            sampler(DiscriminatorFilter()).fit_resample(*data)

    def test_label_filter_rejects_what_stays_as_the_source(self):
        X, y = make_lesions(40, weights=(0.8, 0.2), image_size=24, random_state=0)
        source = X[y == "benign"]
        # The target images are negatives. Every third source is not translated.
        source[:, 0, 0] = np.arange(len(source), dtype=np.uint8)[:, None]
        X = np.concatenate([source, 255 - X[y == "malignant"]])
        y = np.repeat([0, 1], [len(source), len(X) - len(source)])
        extractor = FeatureExtractor(min_side=32)
        filters = [LabelFilter(extractor=extractor), ALL_PASS]
        model = sampler(filters, SometimesInvert(), sampling_strategy={1: 24})
        model.fit_resample(X, y)
        parents = model.sample_indices_[40:]
        rejections = model.filter_report_[1].rejections
        assert (parents % 3 != 0).all()
        untranslated = {r.parent_row for r in rejections if r.parent_row % 3 == 0}
        assert len(untranslated) > 3
        assert all(r.filter == "LabelFilter" for r in rejections)

    def test_filters_with_equal_extractors_share_one(self):
        other = FeatureExtractor(min_side=64)
        filters = [LabelFilter(), DistanceFilter(), MemorizationFilter(extractor=other)]
        copies = copy_filters(filters)
        assert copies[0].extractor is copies[1].extractor
        assert copies[2].extractor not in (copies[0].extractor, other)
        assert filters[0].extractor is None


class TestEstimator:
    def test_parameters(self):
        model = sampler(DistanceFilter(quantile=0.8))
        assert model.get_params()["quality_filter__quantile"] == 0.8
        copied = clone(model).set_params(quality_filter__quantile=0.5)
        assert copied.quality_filter.quantile == 0.5
        assert model.quality_filter.quantile == 0.8

    def test_pickle(self, data):
        model = sampler([MeanFilter()])
        result = model.fit_resample(*data)[0]
        again = pickle.loads(pickle.dumps(model))
        assert str(again.filter_report_) == str(model.filter_report_)
        np.testing.assert_array_equal(again.fit_resample(*data)[0], result)

    @pytest.mark.parametrize(
        ("value", "error", "message"),
        [
            ([], ValueError, "Got an empty list. Pass None"),
            (LabelFilter, TypeError, r"Pass an instance, such as .*LabelFilter\(\)"),
            ([MeanFilter(), "label"], TypeError, "Got 'label'"),
            (0.5, TypeError, "must be a filter, a list of filters or None"),
            (DistanceFilter(quantile=2), ValueError, "'quantile' parameter"),
        ],
    )
    def test_what_is_no_filter(self, value, error, message, data, monkeypatch):
        monkeypatch.setattr(Invert, "_fit", None)
        with pytest.raises(error, match=message):
            sampler(value).fit_resample(*data)

    def test_grid_search(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1], [24, 12])
        X = rng.normal(size=(36, 4)) + y[:, None]
        search = GridSearchCV(
            make_pipeline(sampler(None), DecisionTreeClassifier(random_state=0)),
            {
                "ganoversampler__quality_filter": [
                    None,
                    LabelFilter(min_probability=0.0),
                    [LabelFilter(min_probability=0.0), MeanFilter(least=-9)],
                ]
            },
            cv=2,
            error_score="raise",
        )
        search.fit(X, y)
        assert len(search.cv_results_["mean_test_score"]) == 3

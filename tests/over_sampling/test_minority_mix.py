"""Mixtures of two samples: pixels, shares, parents and files, against NumPy."""

import csv
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer
from torch.utils.data import TensorDataset

from gansampler import MinorityMix
from gansampler.over_sampling import _generation
from gansampler.over_sampling._mixing import cut_boxes

METHODS = ["cutmix", "mixup"]


@parametrize_with_checks([MinorityMix(method="mixup", random_state=0)])
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def images():
    """Fifteen images of "a" and six of "b" and three of "c", each of one value."""
    y = np.repeat(["c", "a", "b"], [3, 15, 6])
    y = y[np.random.default_rng(0).permutation(24)]
    X = np.empty((24, 10, 12, 3), dtype=np.uint8)
    X[:] = 10 * np.arange(24)[:, None, None, None]
    return X, y


@pytest.mark.parametrize("method", METHODS)
def test_counts_order_and_parents(images, method):
    X, y = images
    sampler = MinorityMix(method=method, random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert Counter(y_resampled.tolist()) == {"a": 15, "b": 15, "c": 15}
    np.testing.assert_array_equal(X_resampled[:24], X)
    assert sampler.is_synthetic_.tolist() == [False] * 24 + [True] * 21
    for indices in (sampler.sample_indices_, sampler.context_indices_):
        np.testing.assert_array_equal(indices[:24], np.arange(24))
    # The label is that of the first parent; the second one is of the majority.
    np.testing.assert_array_equal(y[sampler.sample_indices_], y_resampled)
    assert set(y[sampler.context_indices_[24:]]) == {"a"}
    # No sample is drawn again before all were drawn.
    of_b, of_c = sampler.sample_indices_[24:33], sampler.sample_indices_[33:]
    assert Counter(Counter(of_b.tolist()).values()) == {1: 3, 2: 3}
    assert set(Counter(of_c.tolist()).values()) == {4}
    assert len(set(sampler.context_indices_[33:])) == 12


def test_cutmix_has_the_pixels_of_both_parents_and_their_share(images):
    X, y = images
    sampler = MinorityMix(random_state=0, sampling_strategy={"b": 200})
    X_resampled, _ = sampler.fit_resample(X, y)
    column = sampler.classes_.tolist().index("b")
    for row in range(24, len(X_resampled)):
        pixels = X_resampled[row, :, :, 0]
        from_minority = pixels == 10 * sampler.sample_indices_[row]
        from_context = pixels == 10 * sampler.context_indices_[row]
        assert (from_minority ^ from_context).all()
        # A full rectangle, and the same in all channels.
        inside = np.ix_(from_minority.any(1), from_minority.any(0))
        assert from_minority[inside].all()
        assert (X_resampled[row] == pixels[..., None]).all()
        share = from_minority.mean()
        assert 0.5 <= share < 1
        assert sampler.soft_labels_[row, column] == pytest.approx(share)
    shares = sampler.soft_labels_[24:, column]
    # Uniform in [1/2, 1] for alpha=1.
    assert shares.mean() == pytest.approx(0.75, abs=0.03)
    assert np.quantile(shares, [0.1, 0.9]) == pytest.approx([0.55, 0.95], abs=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_mixup_is_the_weighted_mean(dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (20, 9, 8, 1), dtype=np.uint8)
    if dtype != np.uint8:
        X = (X / 255).astype(dtype)
    y = np.repeat([0, 1], [16, 4])
    sampler = MinorityMix(method="mixup", random_state=0)
    X_resampled, _ = sampler.fit_resample(X, y)
    new = X_resampled[20:]
    assert new.dtype == dtype
    shares = sampler.soft_labels_[20:, 1].reshape(-1, 1, 1, 1)
    first = X[sampler.sample_indices_[20:]].astype(float)
    second = X[sampler.context_indices_[20:]].astype(float)
    expected = shares * first + (1 - shares) * second
    atol = 0.501 if dtype == np.uint8 else 1e-6
    np.testing.assert_allclose(new, expected, atol=atol)


def test_soft_labels_weigh_both_classes(images):
    X, y = images
    sampler = MinorityMix(source="rest", random_state=0)
    _, y_resampled = sampler.fit_resample(X, y)
    soft = sampler.soft_labels_
    assert sampler.classes_.tolist() == ["a", "b", "c"]
    assert soft.shape == (45, 3)
    np.testing.assert_allclose(soft.sum(1), 1)
    np.testing.assert_array_equal(soft[:24], y[:, None] == sampler.classes_)
    np.testing.assert_array_equal(sampler.classes_[soft.argmax(1)], y_resampled)
    contexts = np.searchsorted(sampler.classes_, y[sampler.context_indices_[24:]])
    new = np.arange(24, 45)
    np.testing.assert_allclose(soft[new, contexts], 1 - soft[new].max(1))
    assert set(y[sampler.context_indices_[24:]]) > {"a"}
    # A loss of torch takes them as targets.
    loss = torch.nn.functional.cross_entropy(torch.zeros(45, 3), torch.tensor(soft))
    assert float(loss) == pytest.approx(np.log(3))


@pytest.mark.parametrize("alpha", [0.1, 1.0, 20.0])
def test_alpha_is_that_of_a_folded_beta_distribution(alpha):
    X = np.arange(900.0).reshape(300, 3)
    y = np.repeat([0, 1], [299, 1])
    sampler = MinorityMix(
        method="mixup", alpha=alpha, sampling_strategy={1: 2001}, random_state=0
    )
    sampler.fit_resample(X, y)
    drawn = np.random.default_rng(1).beta(alpha, alpha, 100_000)
    expected = np.maximum(drawn, 1 - drawn)
    shares = sampler.soft_labels_[300:, 1]
    quantiles = [0.1, 0.5, 0.9]
    assert np.quantile(shares, quantiles) == pytest.approx(
        np.quantile(expected, quantiles), abs=0.02
    )


@pytest.mark.parametrize("size", [(8, 8), (8, 9), (100, 8), (17, 40)])
def test_boxes_have_at_least_half_of_the_pixels_and_not_all(size):
    height, width = size
    rng = np.random.default_rng(0)
    shares = np.concatenate([[0.5, 1.0], rng.uniform(0.5, 1, 500)])
    places = rng.random((502, 2))
    top, left, bottom, right = cut_boxes(shares, places, height, width).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (bottom <= height).all()
    assert (right <= width).all()
    areas = (bottom - top) * (right - left) / (height * width)
    assert (areas >= 0.5).all()
    assert (areas < 1).all()
    if min(size) > 16:
        np.testing.assert_allclose(areas, shares, atol=0.03)
        assert len(set(top)) > 4
        assert len(set(left)) > 8


def test_one_minority_sample_is_enough(images):
    X, _ = images
    y = np.arange(24) == 5
    sampler = MinorityMix(random_state=0)
    X_resampled, _ = sampler.fit_resample(X, y)
    assert set(sampler.sample_indices_[24:]) == {5}
    assert len(np.unique(X_resampled[24:].reshape(22, -1), axis=0)) > 15


def test_same_seed_same_mixtures_and_other_seed_others(images):
    first, same, other = (
        MinorityMix(random_state=seed).fit_resample(*images)[0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    sampler = MinorityMix(random_state=0)
    np.testing.assert_array_equal(clone(sampler).fit_resample(*images)[0], first)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(sampler)).fit_resample(*images)[0], first
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_size_of_the_chunks_does_not_matter(images, method, monkeypatch):
    sampler = MinorityMix(method=method, random_state=0)
    expected, _ = sampler.fit_resample(*images)
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 1000)
    np.testing.assert_array_equal(sampler.fit_resample(*images)[0], expected)


class TestForms:
    def test_flattened_images(self, images):
        X, y = images
        sampler = MinorityMix(random_state=0)
        expected, _ = sampler.fit_resample(X, y)
        got, _ = sampler.set_params(image_shape=(10, 12, 3)).fit_resample(
            X.reshape(24, -1), y
        )
        np.testing.assert_array_equal(got, expected.reshape(45, -1))
        assert sampler.n_features_in_ == 360

    def test_list_and_tensor(self, images):
        X, y = images
        sampler = MinorityMix(random_state=0)
        expected, _ = sampler.fit_resample(X, y)
        as_list, y_list = sampler.fit_resample(list(X), y.tolist())
        assert isinstance(y_list, list)
        np.testing.assert_array_equal(np.stack(as_list), expected)
        tensor, _ = sampler.fit_resample(torch.from_numpy(X).permute(0, 3, 1, 2), y)
        np.testing.assert_array_equal(tensor.permute(0, 2, 3, 1), expected)

    def test_frame_of_numbers(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame(rng.normal(size=(20, 3)), columns=list("abc"))
        y = pd.Series(np.repeat([0, 1], [15, 5]))
        sampler = MinorityMix(method="mixup", random_state=0)
        X_resampled, y_resampled = sampler.fit_resample(X, y)
        assert X_resampled.columns.tolist() == ["a", "b", "c"]
        assert sampler.feature_names_in_.tolist() == ["a", "b", "c"]
        assert y_resampled.tolist() == [0] * 15 + [1] * 15
        assert sampler.examples_ == {}

    def test_whole_numbers_stay_whole(self):
        X = np.arange(60).reshape(20, 3)
        y = np.repeat([0, 1], [15, 5])
        X_resampled, _ = MinorityMix(method="mixup", random_state=0).fit_resample(X, y)
        assert X_resampled.dtype == X.dtype
        assert X_resampled.max() <= 59

    def test_data_set(self, images):
        X, y = images
        labels = (y == "c").astype(int)
        tensors = torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(labels)
        sampler = MinorityMix(random_state=0)
        dataset, y_resampled = sampler.fit_resample(TensorDataset(*tensors), None)
        expected, _ = sampler.fit_resample(X, labels)
        assert len(dataset) == len(expected) == len(y_resampled) == 42
        mixed, label = dataset[41]
        np.testing.assert_allclose(np.moveaxis(np.asarray(mixed), 0, -1), expected[41])
        assert label == 1

    def test_one_hot_labels(self, images):
        X, y = images
        one_hot = (y[:, None] == np.array(["a", "b", "c"])).astype(int)
        sampler = MinorityMix(random_state=0)
        _, y_resampled = sampler.fit_resample(X, one_hot)
        np.testing.assert_array_equal(y_resampled.sum(0), [15, 15, 15])
        np.testing.assert_array_equal(
            sampler.soft_labels_.argmax(1), y_resampled.argmax(1)
        )

    def test_in_a_pipeline_and_a_grid_search(self, images):
        X, y = images
        pipeline = make_pipeline(
            MinorityMix(random_state=0),
            FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255),
            LogisticRegression(tol=1.0),
        )
        grid = {"minoritymix__method": METHODS}
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise")
        assert len(search.fit(X, y == "c").cv_results_["params"]) == 2


class TestFiles:
    def sampler(self, folder, **params):
        return MinorityMix(
            image_shape=(12, 12, 3), output_dir=folder, random_state=0, **params
        )

    def test_files_names_and_manifest(self, files, tmp_path):
        sampler = self.sampler(tmp_path / "new")
        X_resampled, y_resampled = sampler.fit_resample(files.paths, files.y)
        assert X_resampled[:19] == files.paths
        expected, _ = MinorityMix(random_state=0).fit_resample(files.images, files.y)
        stored = np.stack([np.asarray(Image.open(path)) for path in X_resampled[19:]])
        np.testing.assert_array_equal(stored, expected[19:])
        with (tmp_path / "new" / "manifest.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 17
        for number, row in enumerate(rows, start=19):
            parent = sampler.sample_indices_[number]
            context = sampler.context_indices_[number]
            assert X_resampled[number].endswith(row["path"])
            assert (row["parent"], row["context"]) == (
                files.paths[parent],
                files.paths[context],
            )
            assert (row["parent_row"], row["context_row"]) == (
                str(parent),
                str(context),
            )
            assert row["label"] == y_resampled[number]
            assert row["translator"] == "cutmix"
            share = sampler.soft_labels_[number].max()
            assert float(row["share"]) == pytest.approx(share, abs=1e-6)

    def test_an_interrupted_run_is_resumed(self, files, tmp_path, monkeypatch):
        monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 4 * 12 * 12 * 3)
        whole, _ = self.sampler(tmp_path / "whole").fit_resample(files.paths, files.y)
        sampler = self.sampler(tmp_path / "cut")
        paths, _ = sampler.fit_resample(files.paths, files.y)
        removed = [*paths[21:23], tmp_path / "cut" / "manifest.csv"]
        for path in map(Path, removed):
            path.unlink()
        again, _ = clone(sampler).fit_resample(files.paths, files.y)
        assert again == paths
        for one, other in zip(whole[19:], again[19:], strict=True):
            assert Path(one).read_bytes() == Path(other).read_bytes()
        manifests = [
            (tmp_path / name / "manifest.csv").read_text() for name in ("whole", "cut")
        ]
        assert manifests[0] == manifests[1]

    @pytest.mark.parametrize("params", [{"method": "mixup"}, {"alpha": 2.0}])
    def test_a_folder_takes_one_run(self, files, tmp_path, params):
        sampler = self.sampler(tmp_path / "new")
        sampler.fit_resample(files.paths, files.y)
        (name,) = params
        with pytest.raises(ValueError, match=f"differs in {name}"):
            sampler.set_params(**params).fit_resample(files.paths, files.y)

    def test_frame_of_paths(self, files, tmp_path):
        frame = pd.DataFrame({"path": files.paths, "site": np.arange(19)})
        sampler = self.sampler(tmp_path / "new", path_column="path")
        X_resampled, _ = sampler.fit_resample(frame, files.y)
        np.testing.assert_array_equal(X_resampled["site"], sampler.sample_indices_)

    def test_skipped_files(self, files, tmp_path):
        Path(files.paths[3]).write_bytes(b"no image")
        sampler = self.sampler(tmp_path / "new", on_error="skip")
        with pytest.warns(match="scan 3"):
            X_resampled, y_resampled = sampler.fit_resample(files.paths, files.y)
        assert len(X_resampled) == len(sampler.soft_labels_) == 33
        used = {*sampler.sample_indices_, *sampler.context_indices_}
        assert 3 not in used
        np.testing.assert_array_equal(files.y[sampler.sample_indices_], y_resampled)


def test_result_methods_and_examples(images):
    X, y = images
    sampler = MinorityMix(random_state=0)
    X_resampled, _ = sampler.fit_resample(X, y)
    synthetic = sampler.select_synthetic(X_resampled)
    np.testing.assert_array_equal(synthetic, X_resampled[sampler.is_synthetic_])
    assert sampler.get_feature_names_out().tolist() == ["10 x 12 x 3 images"]
    source, mixed, target, labels = sampler.examples_["b"]
    np.testing.assert_array_equal(source, X[sampler.context_indices_[24:32]])
    np.testing.assert_array_equal(mixed, X_resampled[24:32])
    np.testing.assert_array_equal(target, X[sampler.sample_indices_[24:32]])
    assert set(labels) == {"a"}
    # A mixture has two parents, so no group would be right for it.
    assert not hasattr(sampler, "resample_groups")
    assert not hasattr(pickle.loads(pickle.dumps(sampler)), "examples_")


class TestRefused:
    def test_cutmix_of_feature_rows(self):
        X, y = np.zeros((9, 4)), np.repeat([0, 1], [6, 3])
        sampler = MinorityMix()
        for method in (sampler.fit, sampler.fit_resample):
            with pytest.raises(ValueError, match="Pass method='mixup', or image_shape"):
                method(X, y)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("method", "cutmixup", "Did you mean 'cutmix'"),
            ("alpha", 0, "alpha"),
            ("source", "b ", "Did you mean 'b'"),
        ],
    )
    def test_bad_parameters(self, images, name, value, message):
        sampler = MinorityMix(sampling_strategy="minority").set_params(**{name: value})
        with pytest.raises(ValueError, match=message):
            sampler.fit_resample(*images)

    def test_missing_labels_are_named_by_this_sampler(self, images):
        with pytest.raises(ValueError, match="This MinorityMix estimator requires y"):
            MinorityMix().fit_resample(images[0], None)

    def test_paths_without_a_folder(self, files):
        with pytest.raises(ValueError, match="output_dir"):
            MinorityMix(image_shape=(12, 12, 3)).fit_resample(files.paths, files.y)

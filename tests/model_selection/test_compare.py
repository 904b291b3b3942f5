"""What the arms of a comparison get, and what is refused."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from PIL import Image
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, make_scorer, roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch.utils.data import TensorDataset

import gansampler
from gansampler import GANOverSampler, MinorityMix, compare_samplers
from gansampler.model_selection import SamplerComparison
from tests.over_sampling.translators import Invert

NONE, RANDOM = "none", "random over-sampling"


class Doubling:
    """A sampler that is no estimator: it repeats everything."""

    def fit_resample(self, X, y):
        return np.concatenate([X, X]), np.concatenate([y, y])


def write(images, folder):
    """Write images to files, and return their paths."""
    folder.mkdir()
    paths = [str(folder / f"{number}.png") for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def numbers(call):
    """The numbers of the images that a classifier was fitted on."""
    return call["images"][:, 0, 0, 0]


class TestArms:
    def test_scores_are_those_of_scikit_learn_on_the_same_splits(self, images):
        X, y = images
        X = X.reshape(24, -1)
        forest = RandomForestClassifier(5, random_state=3)
        cv = StratifiedKFold(4, shuffle=True, random_state=1)
        comparison = compare_samplers(Doubling(), forest, X, y, cv=cv)
        assert isinstance(comparison, SamplerComparison)
        assert comparison.arms == [NONE, RANDOM, "Doubling"]
        np.testing.assert_array_equal(
            comparison.scores["roc_auc"][NONE],
            cross_val_score(forest, X, y, cv=cv, scoring="roc_auc"),
        )

    def test_only_the_training_part_is_resampled(self, images, brightness):
        X, y = images
        cv = StratifiedKFold(4)
        comparison = compare_samplers({"twice": Doubling()}, brightness, X, y, cv=cv)
        # First the two baselines of all splits, then the samplers.
        calls = brightness.calls
        assert len(calls) == 12
        for number, (train, test) in enumerate(cv.split(X, y)):
            none, random = calls[2 * number : 2 * number + 2]
            twice = calls[8 + number]
            np.testing.assert_array_equal(numbers(none), train)
            np.testing.assert_array_equal(numbers(random)[:18], train)
            assert set(numbers(random)[18:]) <= set(train[train >= 16])
            np.testing.assert_array_equal(numbers(twice), [*train, *train])
            expected = roc_auc_score(y[test] == "rare", X[test].mean((1, 2, 3)))
            for arm in comparison.arms:
                assert comparison.scores["roc_auc"][arm][number] == expected
        assert comparison.n_added[RANDOM].tolist() == [6] * 4
        assert comparison.n_added["twice"].tolist() == [18] * 4
        assert comparison.n_train.tolist() == [18] * 4
        assert comparison.n_test.tolist() == [6] * 4
        assert comparison.n_samples == 24
        assert (comparison.resample_seconds["twice"] > 0).all()
        assert (comparison.fit_seconds["twice"] > 0).all()

    def test_smote_gets_flattened_floating_images_and_gives_back_uint8(
        self, images, brightness
    ):
        X, y = images
        cv = StratifiedKFold(2)
        smote = SMOTE(k_neighbors=2, random_state=0)
        compare_samplers({"SMOTE": smote}, brightness, X, y, cv=cv)
        train, _ = next(cv.split(X, y))
        rows, labels = smote.fit_resample(X[train].reshape(12, -1) / 1.0, y[train])
        call = brightness.calls[4]
        assert call["X"].dtype == np.uint8
        np.testing.assert_array_equal(
            call["X"], np.rint(rows).astype(np.uint8).reshape(-1, 8, 8, 3)
        )
        np.testing.assert_array_equal(call["y"], labels)
        # An interpolation lies between its ends; differences of uint8 would not.
        rare = X[train][y[train] == "rare"]
        assert (call["X"][12:] >= rare.min(axis=0)).all()
        assert (call["X"][12:] <= rare.max(axis=0)).all()

    def test_samplers_that_take_images_get_images(self, images, brightness):
        X, y = images
        gan = GANOverSampler(translator=Invert(), random_state=0)
        compare_samplers(gan, brightness, X, y, cv=StratifiedKFold(2))
        train, _ = next(StratifiedKFold(2).split(X, y))
        expected, _ = gan.fit_resample(X[train], y[train])
        np.testing.assert_array_equal(brightness.calls[4]["X"], expected)

    def test_every_arm_of_a_split_has_the_same_classifier_seed(
        self, images, brightness
    ):
        compare_samplers(Doubling(), brightness, *images, cv=3, random_state=0)
        seeds = np.array([call["seed"] for call in brightness.calls])
        baselines, sampler = seeds[:6].reshape(3, 2), seeds[6:]
        assert (baselines == sampler[:, None]).all()
        assert len(set(sampler)) == 3

    def test_own_seeds_are_kept(self, images, brightness):
        X, y = images
        brightness.set_params(random_state=7)
        sampler = RandomOverSampler(random_state=5)
        cv = StratifiedKFold(2)
        compare_samplers(sampler, brightness, X, y, cv=cv, random_state=0)
        assert {call["seed"] for call in brightness.calls} == {7}
        train, _ = next(cv.split(X, y))
        rows, _ = sampler.fit_resample(train.reshape(-1, 1), y[train])
        np.testing.assert_array_equal(numbers(brightness.calls[4]), rows.ravel())
        assert sampler.get_params()["random_state"] == 5

    def test_is_reproducible_and_leaves_the_global_generator_alone(self, images):
        X, y = images
        X = X.reshape(24, -1)
        gan = GANOverSampler(translator=Invert(), image_shape=(8, 8, 3))
        arms = {"SMOTE": SMOTE(k_neighbors=2), "gan": gan}
        state = np.random.get_state()[1].copy()
        runs = [
            compare_samplers(
                arms, RandomForestClassifier(5), X, y, cv=3, random_state=seed
            ).scores["roc_auc"]
            for seed in (0, 0, 1)
        ]
        for arm in runs[0]:
            np.testing.assert_array_equal(runs[0][arm], runs[1][arm])
        assert any((runs[0][arm] != runs[2][arm]).any() for arm in runs[0])
        np.testing.assert_array_equal(state, np.random.get_state()[1])
        assert gan.random_state is None
        assert gan.translator.random_state is None


class TestForms:
    @pytest.mark.parametrize("kind", ["list", "array", "series", "polars", "tuple"])
    def test_paths(self, kind, images, brightness, tmp_path):
        X, y = images
        paths = write(X, tmp_path / "originals")
        wrapped = {
            "list": list,
            "tuple": tuple,
            "array": np.array,
            "series": pd.Series,
            "polars": pl.Series,
        }[kind](paths)
        gan = GANOverSampler(
            translator=Invert(), image_shape=(8, 8, 3), output_dir=tmp_path / "out"
        )
        brightness.set_params(image_shape=(8, 8, 3))
        arms = {"gan": gan, "a/b: under": RandomUnderSampler()}
        comparison = compare_samplers(arms, brightness, wrapped, y, cv=2)
        assert comparison.n_added == {
            NONE: pytest.approx([0, 0]),
            RANDOM: pytest.approx([4, 4]),
            "gan": pytest.approx([4, 4]),
            "a/b: under": pytest.approx([-4, -4]),
        }
        # Each split has a folder of its own.
        written = sorted(p.name for p in (tmp_path / "out" / "gan").iterdir())
        assert written == ["fold-1", "fold-2"]
        for fold in (tmp_path / "out" / "gan").iterdir():
            assert len(list(fold.glob("rare/*.png"))) == 4

    def test_mixtures_of_files(self, images, brightness, tmp_path):
        X, y = images
        paths = write(X, tmp_path / "originals")
        mix = MinorityMix(image_shape=(8, 8, 3), output_dir=tmp_path / "out")
        brightness.set_params(image_shape=(8, 8, 3))
        comparison = compare_samplers({"mix": mix}, brightness, paths, y, cv=2)
        assert comparison.n_added["mix"].tolist() == [4, 4]
        written = sorted(p.name for p in (tmp_path / "out" / "mix").iterdir())
        assert written == ["fold-1", "fold-2"]

    def test_arms_with_one_output_dir_write_to_separate_folders(
        self, images, brightness, tmp_path
    ):
        X, y = images
        paths = write(X, tmp_path / "originals")
        arms = {
            name: GANOverSampler(
                translator=Invert(),
                image_shape=(8, 8, 3),
                output_dir=tmp_path / "out",
                sampling_strategy=ratio,
            )
            for name, ratio in {"A b": 1.0, "a:b": 0.75}.items()
        }
        brightness.set_params(image_shape=(8, 8, 3))
        for _ in range(2):  # The same call continues the folders.
            comparison = compare_samplers(
                arms, brightness, paths, y, cv=2, random_state=0
            )
            assert comparison.shared_translators == {"a:b": "A b"}
            found = sorted(
                str(path.parent.relative_to(tmp_path / "out"))
                for path in (tmp_path / "out").glob("*/*/rare/*.png")
            )
            assert found == (
                ["A-b/fold-1/rare"] * 4
                + ["A-b/fold-2/rare"] * 4
                + ["a-b-2/fold-1/rare"] * 2
                + ["a-b-2/fold-2/rare"] * 2
            )

    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_frame_of_paths(self, frame, images, brightness, tmp_path):
        X, y = images
        paths = write(X, tmp_path / "originals")
        data = frame({"file": paths, "age": np.arange(24)})
        gan = GANOverSampler(
            translator=Invert(),
            image_shape=(8, 8, 3),
            path_column="file",
            output_dir=tmp_path / "out",
        )
        brightness.set_params(image_shape=(8, 8, 3), path_column="file")
        comparison = compare_samplers(gan, brightness, data, y, cv=2)
        assert comparison.n_added["GANOverSampler"].tolist() == [4, 4]
        assert all(isinstance(call["X"], frame) for call in brightness.calls)

    def test_frame_of_numbers(self, images):
        X, y = images
        data = pd.DataFrame(X.reshape(24, -1)[:, :5].astype(float)).add_prefix("f")
        seen = []
        watch = FunctionTransformer(lambda X: seen.append(type(X)) or X)
        classifier = make_pipeline(watch, LogisticRegression())
        comparison = compare_samplers(
            SMOTE(k_neighbors=2), classifier, data, pd.Series(y), cv=2
        )
        assert comparison.n_added["SMOTE"].tolist() == [4, 4]
        assert set(seen) == {pd.DataFrame}

    def test_list_of_images(self, images, brightness):
        X, y = images
        compare_samplers(SMOTE(k_neighbors=2), brightness, list(X), list(y), cv=2)
        assert all(call["X"].shape[1:] == (8, 8, 3) for call in brightness.calls)

    def test_data_set(self, images, brightness):
        X, y = images
        tensors = torch.from_numpy(X).permute(0, 3, 1, 2)
        data = TensorDataset(tensors, torch.arange(24) // 16)
        gan = GANOverSampler(translator=Invert())
        comparison = compare_samplers(gan, brightness, data, y, cv=2)
        assert comparison.n_added["GANOverSampler"].tolist() == [4, 4]
        assert len(brightness.calls[1]["X"]) == 16


class TestSplits:
    @pytest.mark.parametrize(
        ("cv", "n_splits"),
        [
            (3, 3),
            (RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0), 4),
            ([(np.arange(0, 24, 2), np.arange(1, 24, 2))] * 2, 2),
            ([(np.arange(24) % 2 == 0, np.arange(24) % 2 == 1)] * 2, 2),
        ],
    )
    def test_kinds_of_cv(self, cv, n_splits, images, brightness):
        comparison = compare_samplers(Doubling(), brightness, *images, cv=cv)
        assert comparison.n_splits == n_splits
        assert len(brightness.calls) == 3 * n_splits

    def test_groups_stay_on_one_side(self, images, brightness):
        X, y = images
        groups = np.array([f"patient {number // 2}" for number in range(24)])
        compare_samplers(
            Doubling(), brightness, X, y, cv=3, groups=groups, random_state=0
        )
        fitted = [numbers(call) for call in brightness.calls if len(call["y"]) == 16]
        assert len(fitted) == 3
        for train in fitted:
            # Both images of a patient, or none.
            assert set(train // 2 * 2) | set(train // 2 * 2 + 1) == set(train)
        splitter = GroupKFold(3)
        found = compare_samplers(
            Doubling(), brightness, X, y, cv=splitter, groups=groups
        )
        assert found.n_splits == 3

    def test_a_splitter_that_divides_groups_is_refused(self, images, brightness):
        X, y = images
        groups = np.arange(24) // 2
        splits = [(np.arange(1, 24, 2), np.arange(0, 24, 2))] * 2
        with pytest.raises(ValueError, match="split 1, 12 are, such as group 0"):
            compare_samplers(Doubling(), brightness, X, y, cv=splits, groups=groups)
        assert brightness.calls == []

    def test_other_splits_that_are_refused(self, images, brightness):
        one = [(np.arange(12), np.arange(12, 24))]
        with pytest.raises(ValueError, match=r"at least 2 splits.*Got 1"):
            compare_samplers(Doubling(), brightness, *images, cv=one)
        common = [*one, (np.arange(13), np.arange(12, 24))]
        with pytest.raises(ValueError, match=r"split 2, 1 are, such as row 12"):
            compare_samplers(Doubling(), brightness, *images, cv=common)


class TestScoring:
    @pytest.mark.parametrize(
        ("scoring", "names"),
        [
            ("balanced_accuracy", ["balanced_accuracy"]),
            (["roc_auc", "accuracy"], ["roc_auc", "accuracy"]),
            ({"bal": make_scorer(balanced_accuracy_score)}, ["bal"]),
            (make_scorer(balanced_accuracy_score), ["score"]),
            (None, ["score"]),
            (lambda model, X, y: {"a": 1, "b": np.float32(2)}, ["a", "b"]),
        ],
    )
    def test_kinds_of_scoring(self, scoring, names, images, brightness):
        comparison = compare_samplers(
            Doubling(), brightness, *images, cv=2, scoring=scoring
        )
        assert list(comparison.scores) == names
        for by_arm in comparison.scores.values():
            assert {len(values) for values in by_arm.values()} == {2}
            assert list(by_arm) == comparison.arms

    def test_a_score_that_is_no_number_stops_before_the_samplers(self, images):
        X, y = images

        class Refusing:
            def fit_resample(self, X, y):
                raise AssertionError("too early")

        with (
            pytest.warns(UndefinedMetricWarning),
            pytest.raises(ValueError, match="Got nan for 'roc_auc'") as caught,
        ):
            compare_samplers(Refusing(), DummyClassifier(), X, y, cv=KFold(3))
        assert caught.value.__notes__ == ["This was arm 'none' in split 1 of 3."]

    def test_the_default_is_for_two_classes(self, images, brightness):
        X, _ = images
        y = np.arange(24) % 3
        with pytest.raises(ValueError, match=r"Got 3 classes.*'roc_auc_ovr'"):
            compare_samplers(Doubling(), brightness, X, y)
        assert brightness.calls == []
        rows = X.reshape(24, -1) / 255
        comparison = compare_samplers(
            Doubling(),
            RandomForestClassifier(5),
            rows,
            y,
            cv=2,
            scoring=["roc_auc_ovr", "balanced_accuracy"],
        )
        assert len(comparison.verdicts) == 4

    def test_unknown_score(self, images, brightness):
        with pytest.raises(ValueError, match="rok_auc"):
            compare_samplers(Doubling(), brightness, *images, scoring="rok_auc")


class TestRefusals:
    def test_an_error_names_the_arm_and_the_split(self, images, brightness):
        arms = {"fine": Doubling(), "many": SMOTE(k_neighbors=20)}
        with pytest.raises(ValueError, match="n_neighbors") as caught:
            compare_samplers(arms, brightness, *images, cv=2)
        assert caught.value.__notes__ == ["This was arm 'many' in split 1 of 2."]

    @pytest.mark.parametrize("name", [NONE, RANDOM])
    def test_reserved_names(self, name, images, brightness):
        with pytest.raises(ValueError, match=f"are reserved.*Got '{name}'"):
            compare_samplers({name: Doubling()}, brightness, *images)

    @pytest.mark.parametrize(
        ("samplers", "error", "message"),
        [
            ({}, ValueError, "at least one sampler"),
            ([SMOTE()], TypeError, "must be a dict of name -> sampler"),
            ({"a": SMOTE}, TypeError, "Got the class SMOTE as 'a'"),
            (SMOTE, TypeError, "Got the class SMOTE"),
            ({"a": DummyClassifier()}, TypeError, "Got DummyClassifier as 'a'"),
            ({3: SMOTE()}, ValueError, "must be text. Got 3"),
        ],
    )
    def test_samplers(self, samplers, error, message, images, brightness):
        with pytest.raises(error, match=message):
            compare_samplers(samplers, brightness, *images)

    def test_lengths(self, images, brightness):
        X, y = images
        with pytest.raises(ValueError, match="inconsistent numbers"):
            compare_samplers(Doubling(), brightness, X, y[1:])
        with pytest.raises(ValueError, match="inconsistent numbers"):
            compare_samplers(Doubling(), brightness, X, y, groups=y[1:])
        with pytest.raises(ValueError, match="one label for each sample"):
            compare_samplers(Doubling(), brightness, X, None)


def test_progress(images, brightness, capsys):
    compare_samplers(Doubling(), brightness, *images, cv=2, verbose=1)
    assert "comparing samplers: 6/6 fit" in capsys.readouterr().err
    compare_samplers(Doubling(), brightness, *images, cv=2)
    assert capsys.readouterr() == ("", "")


def test_is_a_public_name():
    assert gansampler.compare_samplers is compare_samplers

import copy
import pickle
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.preprocessing import FunctionTransformer

from gansampler import CycleGAN, GANOverSampler
from gansampler.exceptions import ShortfallError
from tests.over_sampling.translators import Collapsed, Invert


def tiny(**params):
    return CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=8, **params)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    y = np.repeat(["c", "a", "b"], [3, 15, 6])
    order = rng.permutation(24)
    return X, y[order]


@parametrize_with_checks(
    [
        GANOverSampler(
            translator=CycleGAN(ngf=4, ndf=4, n_epochs=1, batch_size=32), random_state=0
        )
    ]
)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


def test_sparse_input_is_refused(images):
    X = sparse.csr_matrix(np.eye(20))
    y = np.repeat([0, 1], [15, 5])
    sampler = GANOverSampler(translator=tiny())
    assert not sampler.__sklearn_tags__().input_tags.sparse
    with pytest.raises(TypeError, match="dense data is required"):
        sampler.fit_resample(X, y)


STRATEGIES = {
    "auto": ("auto", {"a": 15, "b": 15, "c": 15}),
    "minority": ("minority", {"a": 15, "b": 6, "c": 15}),
    "not minority": ("not minority", {"a": 15, "b": 15, "c": 3}),
    "not majority": ("not majority", {"a": 15, "b": 15, "c": 15}),
    "all": ("all", {"a": 15, "b": 15, "c": 15}),
    "dict": ({"b": 7, "c": 40}, {"a": 15, "b": 7, "c": 40}),
    "dict grows the majority": ({"a": 29}, {"a": 29, "b": 6, "c": 3}),
    "dict asks for nothing": ({"b": 6}, {"a": 15, "b": 6, "c": 3}),
    "callable": (
        lambda y: {"c": int((y == "a").sum()) * 2},
        {"a": 15, "b": 6, "c": 30},
    ),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_gives_exactly_the_counts(images, name):
    strategy, expected = STRATEGIES[name]
    sampler = GANOverSampler(
        sampling_strategy=strategy, translator=Invert(), random_state=0
    )
    X_resampled, y_resampled = sampler.fit_resample(*images)
    assert Counter(y_resampled.tolist()) == expected
    assert len(X_resampled) == sum(expected.values())


def test_ratio_for_two_classes(images):
    X, y = images
    sampler = GANOverSampler(sampling_strategy=0.8, translator=Invert(), random_state=0)
    _, y_resampled = sampler.fit_resample(X, y == "c")
    assert Counter(y_resampled.tolist()) == {False: 21, True: 16}


def test_originals_first_then_translations_of_the_named_parents(images):
    X, y = images
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert X_resampled[:24].tobytes() == X.tobytes()
    assert y_resampled[:24].tolist() == y.tolist()
    assert sampler.is_synthetic_.tolist() == [False] * 24 + [True] * 21
    np.testing.assert_array_equal(sampler.sample_indices_[:24], np.arange(24))
    parents = sampler.sample_indices_[24:]
    # Fewer are needed than there are sources, so each is used once, unturned.
    np.testing.assert_array_equal(X_resampled[24:], 255 - X[parents])
    assert set(y[parents]) == {"a"}
    assert len(set(parents[:9])) == 9
    assert len(set(parents[9:])) == 12
    assert sampler.n_features_in_ == 192


@pytest.mark.parametrize(
    ("source", "expected"), [("majority", {"a"}), ("rest", {"a", "b"}), ("b", {"b"})]
)
def test_source(images, source, expected):
    X, y = images
    sampler = GANOverSampler(
        sampling_strategy="minority", source=source, translator=Invert(), random_state=0
    )
    sampler.fit_resample(X, y)
    assert set(y[sampler.sample_indices_[24:]]) == expected
    (translator,) = sampler.translators_.values()
    np.testing.assert_array_equal(
        translator.seen_source_, X[np.isin(y, list(expected))]
    )
    assert translator.n_target_ == 3


def test_the_majority_itself_grows_from_the_next_largest_class(images):
    X, y = images
    sampler = GANOverSampler(
        sampling_strategy={"a": 20}, translator=Invert(), random_state=0
    )
    sampler.fit_resample(X, y)
    assert set(y[sampler.sample_indices_[24:]]) == {"b"}


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 11, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_many_more_than_sources_and_no_two_alike(shape, dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (8, *shape)).astype(np.uint8)
    if dtype == np.float32:
        X = X.astype(np.float32) / 255
    X[1] = X[0]
    translator = Invert(horizontal_flip=True, vertical_flip=True)
    sampler = GANOverSampler(
        sampling_strategy={1: 90}, translator=translator, random_state=0
    )
    X_resampled, _ = sampler.fit_resample(X, [0] * 5 + [1] * 3)
    made = X_resampled[8:]
    assert len({image.tobytes() for image in made}) == len(made) == 87
    uses = Counter(sampler.sample_indices_[8:].tolist())
    assert set(uses) == set(range(5))
    assert set(uses.values()) == {17, 18}
    # The flips and quarter turns are exact: their values are those of the parent.
    n_exact = 5 * (8 if shape[0] == shape[1] else 4)
    exact = 0
    for image, parent in zip(made, sampler.sample_indices_[8:], strict=True):
        known = np.sort((255 if dtype == np.uint8 else 1) - X[parent], axis=None)
        exact += np.allclose(np.sort(image, axis=None), known, atol=1e-6)
    # The two equal sources cannot both keep their flips.
    assert exact >= n_exact * 4 // 5


def test_collapse_is_an_error_that_says_so(images):
    sampler = GANOverSampler(translator=Collapsed(), random_state=0)
    with pytest.raises(ShortfallError, match=r"Of 9 for class 'b', only 1 were made"):
        sampler.fit_resample(*images)


def as_list(X):
    return list(X)


FORMS = {
    "images": (lambda X: X, {}),
    "grey": (lambda X: X[..., 0], {}),
    "one channel": (lambda X: X[..., :1], {}),
    "five channels": (lambda X: X[..., [0, 1, 2, 0, 1]], {}),
    "float32": (lambda X: (X / 255).astype(np.float32), {}),
    "float64": (lambda X: X / 255, {}),
    "flattened": (lambda X: X.reshape(24, -1), {"image_shape": (8, 8, 3)}),
    "odd": (lambda X: np.pad(X, ((0, 0), (0, 1), (0, 3), (0, 0))), {}),
    "features": (lambda X: X[:, 0, 0].astype(np.float64), {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_output_keeps_form_and_dtype(images, form):
    change, params = FORMS[form]
    X, y = change(images[0]), images[1]
    original = X.copy()
    sampler = GANOverSampler(translator=tiny(), random_state=0, **params)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert type(X_resampled) is np.ndarray
    assert X_resampled.dtype == X.dtype
    assert X_resampled.shape == (45, *X.shape[1:])
    assert X_resampled[:24].tobytes() == original.tobytes() == X.tobytes()
    assert y_resampled.dtype == y.dtype
    assert np.isfinite(X_resampled).all()


def test_lists_and_frames(images):
    X, y = images
    sampler = GANOverSampler(translator=tiny(), random_state=0)
    expected, _ = sampler.fit_resample(X, y)
    X_resampled, y_resampled = sampler.fit_resample(list(X), list(y))
    assert isinstance(X_resampled, list)
    assert isinstance(y_resampled, list)
    np.testing.assert_array_equal(np.stack(X_resampled), expected)
    frame = pd.DataFrame(X.reshape(24, -1)).add_prefix("px")
    sampler = GANOverSampler(translator=tiny(), image_shape=(8, 8, 3), random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(frame, pd.Series(y, name="label"))
    assert X_resampled.columns.tolist() == frame.columns.tolist()
    assert y_resampled.name == "label"
    np.testing.assert_array_equal(X_resampled.to_numpy(), expected.reshape(45, -1))
    assert sampler.feature_names_in_.tolist() == frame.columns.tolist()


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, -1]),
        np.array([True, False]),
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([2.0, 5.0]),
        np.array([300, 7], dtype=np.int16),
    ],
    ids=str,
)
def test_labels_of_any_type(images, labels):
    X = images[0]
    y = labels[np.repeat([0, 1], [18, 6])]
    _, y_resampled = GANOverSampler(translator=Invert(), random_state=0).fit_resample(
        X, y
    )
    assert y_resampled.dtype == y.dtype
    assert (y_resampled == labels[0]).sum() == (y_resampled == labels[1]).sum() == 18


def test_same_seed_same_bytes_and_global_generators_untouched(images):
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    runs = [
        GANOverSampler(translator=tiny(), random_state=seed).fit_resample(*images)[0]
        for seed in (1, 1, np.random.RandomState(1), 2)
    ]
    assert runs[0].tobytes() == runs[1].tobytes() == runs[2].tobytes()
    assert runs[0].tobytes() != runs[3].tobytes()
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.get_rng_state().equal(states[2])


def test_each_class_gets_a_seed_of_its_own(images):
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    sampler.fit_resample(*images)
    seeds = {t.random_state for t in sampler.translators_.values()}
    assert len(seeds) == 2
    sampler.set_params(translator__random_state=7).fit_resample(*images)
    assert {t.random_state for t in sampler.translators_.values()} == {7}


def test_without_a_seed_the_translator_gets_none_either(images):
    sampler = GANOverSampler(translator=Invert())
    sampler.fit_resample(*images)
    assert {t.random_state for t in sampler.translators_.values()} == {None}


def test_one_image_in_a_class_says_what_is_needed(images):
    X, y = images
    keep = np.flatnonzero(y != "c").tolist() + np.flatnonzero(y == "c")[:1].tolist()
    with pytest.raises(
        ValueError, match="at least 2 .* class 'c' by 14, the target has 1"
    ):
        GANOverSampler(translator=tiny()).fit_resample(X[keep], y[keep])


def never_trains(*args, **kwargs):
    raise AssertionError("trained before the input was checked")


BAD_CALLS = {
    "unknown source": ({"source": "d"}, "'majority', 'rest' or a label of y. Got 'd'"),
    "own source": ({"source": "c"}, "cannot be its own source. source='c'"),
    "prefit without one": ({"prefit": True, "translator": None}, "Got None"),
    "dict unfitted": ({"translator": {"b": Invert()}}, "prefit=False"),
    "prefit lacks a class": (
        {"prefit": True, "translator": {"b": Invert()}},
        "Class 'c' is missing|not fitted",
    ),
    "prefit one for two": ({"prefit": True}, r"One fitted .* \['b', 'c'\]"),
    "no translator": ({"translator": "cyclegan"}, "`translator` must be a translator"),
    "strategy": ({"sampling_strategy": "most"}, "'sampling_strategy' parameter of GAN"),
    "fewer than held": ({"sampling_strategy": {"b": 2}}, "6 samples and 2 samples"),
    "absent class": ({"sampling_strategy": {"z": 9}}, "'z'} target class is/are not"),
    "image_shape": ({"image_shape": (9, 8, 3)}, "Leave it out"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls_are_refused_before_training(images, case, monkeypatch):
    params, message = BAD_CALLS[case]
    monkeypatch.setattr(Invert, "_fit", never_trains)
    params = {"translator": Invert(), **params}
    with pytest.raises((TypeError, ValueError), match=message):
        GANOverSampler(**params).fit_resample(*images)


def test_labels_must_match_the_images(images):
    X, y = images
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GANOverSampler(translator=Invert()).fit_resample(X, y[:-1])
    with pytest.raises(ValueError, match="Images in a list must be of one shape"):
        GANOverSampler(translator=Invert()).fit_resample([*X[:-1], X[-1][:7]], y)


def test_prefit_trains_nothing(images, monkeypatch):
    X, y = images
    fitted = {label: Invert().fit(X[y == "a"], X[y == label]) for label in ("b", "c")}
    monkeypatch.setattr(Invert, "_fit", never_trains)
    sampler = GANOverSampler(translator=fitted, prefit=True, random_state=0)
    sampler.fit_resample(X, y)
    assert sampler.translators_["b"] is fitted["b"]
    one = GANOverSampler(
        translator=fitted["c"], prefit=True, sampling_strategy="minority"
    )
    # A clone, as cross-validation makes it, keeps the fitted translator.
    _, y_resampled = clone(one).fit_resample(X, y)
    assert (y_resampled == "c").sum() == 15
    with pytest.raises(
        ValueError, match=r"takes \(8, 8, 3\)\. Got samples of \(8, 8, 1"
    ):
        one.fit_resample(X[..., :1], y)


def test_pickle_deepcopy_clone_repr(images):
    sampler = GANOverSampler(translator=tiny(), random_state=0)
    expected, _ = sampler.fit_resample(*images)
    for other in (pickle.loads(pickle.dumps(sampler)), copy.deepcopy(sampler)):
        label = next(iter(other.translators_))
        np.testing.assert_array_equal(
            other.translators_[label].translate(images[0]),
            sampler.translators_[label].translate(images[0]),
        )
    assert not hasattr(clone(sampler), "translators_")
    assert clone(sampler).fit_resample(*images)[0].tobytes() == expected.tobytes()
    assert "GANOverSampler" in sampler._repr_html_()
    assert "GANOverSampler" in repr(sampler)


@pytest.fixture
def pipeline():
    flatten = FunctionTransformer(_flatten)
    model = LogisticRegression(max_iter=20, tol=0.1)
    sampler = GANOverSampler(translator=tiny(), random_state=0)
    return make_pipeline(sampler, flatten, model)


def _flatten(X):
    return X.reshape(len(X), -1) / 255


def test_cross_validation_in_two_processes(images, pipeline):
    X, y = images[0], images[1] == "a"
    pipeline.set_params(logisticregression__max_iter=500)
    here = cross_validate(pipeline, X, y, cv=3, n_jobs=1)["test_score"]
    there = cross_validate(pipeline, X, y, cv=3, n_jobs=2)["test_score"]
    np.testing.assert_array_equal(here, there)


def test_grid_search_over_translator_and_strategy(images, pipeline):
    grid = {
        "ganoversampler__translator__lambda_identity": [0.0, 1.0],
        "ganoversampler__sampling_strategy": ["minority", "auto"],
    }
    X, y = images[0], images[1] == "a"
    pipeline.set_params(logisticregression__max_iter=500)
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    best = search.best_estimator_.named_steps["ganoversampler"]
    assert len(best.translators_) == 1

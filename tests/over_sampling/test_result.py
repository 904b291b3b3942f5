"""Further samples after a result, and only the synthetic ones of it."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch.utils.data import Dataset

from gansampler import GANOverSampler
from gansampler.exceptions import ShortfallError
from gansampler.over_sampling import _generation
from tests.over_sampling.translators import Invert

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (19, 12, 12, 3), dtype=np.uint8)
Y = np.repeat(["a", "b", "c"], [12, 4, 3])


def sampler(**params):
    return GANOverSampler(translator=Invert(), random_state=0, **params)


def as_set(images):
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("chunk", [3, 1000])
@pytest.mark.parametrize("strategy", [{"b": 9}, {"b": 16, "c": 12}, {"b": 40}])
def test_further_images_are_new(monkeypatch, strategy, chunk):
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", chunk * X[0].nbytes)
    over = sampler(sampling_strategy=strategy)
    X_resampled, _ = over.fit_resample(X, Y)
    seen = as_set(over.select_synthetic(X_resampled))
    for n in (1, 5, 14):
        X_new, parents = over.generate(n, label="b")
        assert X_new.shape == (n, 12, 12, 3)
        assert X_new.dtype == np.uint8
        assert set(Y[parents]) == {"a"}
        new = as_set(X_new)
        assert len(new) == n
        assert not new & seen
        seen |= new


def test_no_source_is_drawn_again_before_all_were_drawn():
    """Twelve sources: five for the result, seven for the call after it."""
    over = sampler(sampling_strategy={"b": 9})
    over.fit_resample(X, Y)
    X_new, parents = over.generate(7, label="b")
    drawn = over.sample_indices_[over.is_synthetic_]
    assert sorted([*drawn, *parents]) == list(range(12))
    # The first version of a source is the source itself.
    np.testing.assert_array_equal(X_new, 255 - X[parents])


def test_the_same_calls_give_the_same_images():
    first, second = (sampler(sampling_strategy={"b": 9}) for _ in range(2))
    first.fit_resample(X, Y)
    second.fit_resample(X, Y)
    for n in (4, 20):
        for one, other in zip(first.generate(n), second.generate(n), strict=True):
            np.testing.assert_array_equal(one, other)


FORMS = {
    "flat": (X.reshape(19, -1), {"image_shape": (12, 12, 3)}, (432,)),
    "grey": (X[..., 0], {}, (12, 12)),
    "float": (X / np.float32(255), {}, (12, 12, 3)),
    "list": (list(X), {}, (12, 12, 3)),
    "rows": (RNG.normal(size=(19, 5)), {}, (5,)),
}


@pytest.mark.parametrize("form", FORMS)
def test_further_samples_have_the_form_of_the_rows(form):
    given, params, row_shape = FORMS[form]
    over = sampler(sampling_strategy={"b": 9}, **params)
    X_resampled, _ = over.fit_resample(given, Y)
    X_new, parents = over.generate(30)
    assert X_new.shape == (30, *row_shape)
    assert X_new.dtype == np.asarray(given).dtype
    assert len(parents) == 30
    seen = as_set(np.asarray(X_resampled))
    assert len(as_set(X_new) - seen) == 30


@pytest.mark.filterwarnings("ignore::gansampler.exceptions.GANSamplerWarning")
def test_further_images_of_paths(files, tmp_path):
    over = sampler(
        sampling_strategy={"b": 9},
        image_shape=(12, 12, 3),
        output_dir=tmp_path / "out",
        on_error="skip",
    )
    over.fit_resample([str(tmp_path / "lost.png"), *files.paths], ["b", *files.y])
    n_files = len(list(tmp_path.rglob("*.*")))
    X_new, parents = over.generate(5)
    assert X_new.dtype == np.uint8
    # Rows count from the missing file on.
    np.testing.assert_array_equal(X_new, 255 - files.images[parents - 1])
    assert len(list(tmp_path.rglob("*.*"))) == n_files
    # After a resumed run, the images in the files are known too.
    again = clone(over)
    again.fit_resample([str(tmp_path / "lost.png"), *files.paths], ["b", *files.y])
    np.testing.assert_array_equal(again.generate(5)[0], X_new)


def test_wrong_calls_of_generate():
    over = sampler(sampling_strategy={"b": 9, "c": 9})
    with pytest.raises(NotFittedError):
        over.generate(3, label="b")
    over.fit_resample(X, Y)
    with pytest.raises(ValueError, match=r"one of \['b', 'c'\]\. Got None"):
        over.generate(3)
    with pytest.raises(ValueError, match=r"one of \['b', 'c'\]\. Got 'a'"):
        over.generate(3, label="a")
    for n in (0, -1, 2.5, True, "many"):
        with pytest.raises(ValueError, match="`n` must be an integer of at least 1"):
            over.generate(n, label="b")


def test_too_many_further_images_leave_the_sampler_as_it_was():
    over = sampler(sampling_strategy={"b": 9})
    over.fit_resample(X, Y)
    with pytest.raises(ShortfallError):
        over.generate(12 * 49, label="b")
    assert len(over.generate(12 * 49 - 5)[0]) == 12 * 49 - 5


def test_a_copy_does_not_contain_the_images():
    over = sampler(sampling_strategy={"b": 9})
    over.fit_resample(X, Y)
    for other in (pickle.loads(pickle.dumps(over)), copy.deepcopy(over)):
        assert "_generated" not in vars(other)
        with pytest.raises(ValueError, match="Call `fit_resample` again"):
            other.generate(3)
    over.generate(3)


class Items(Dataset):
    def __len__(self):
        return 19

    def __getitem__(self, i):
        return torch.from_numpy(X[i]).permute(2, 0, 1), str(Y[i])


def test_only_the_synthetic_of_every_form(files, tmp_path):
    n = 19
    over = sampler(sampling_strategy={"b": 9})
    X_resampled, y_resampled = over.fit_resample(X, Y)
    synthetic = over.select_synthetic(X_resampled)
    np.testing.assert_array_equal(synthetic, X_resampled[over.is_synthetic_])
    assert over.select_synthetic(y_resampled).tolist() == ["b"] * 5
    as_list, _ = over.fit_resample(list(X), Y)
    np.testing.assert_array_equal(over.select_synthetic(as_list), synthetic)
    as_items, _ = over.fit_resample(Items())
    items = over.select_synthetic(as_items)
    assert len(items) == 5
    assert {as_items.classes[label] for _, label in items} == {"b"}
    for number, kind in enumerate((list, np.array, pd.Series, pl.Series)):
        out = tmp_path / f"out-{number}"
        over = sampler(
            sampling_strategy={"b": 9}, image_shape=(12, 12, 3), output_dir=out
        )
        paths, _ = over.fit_resample(kind(files.paths), Y)
        chosen = list(over.select_synthetic(paths))
        assert chosen == list(paths)[n:]
        assert all(str(path).startswith(str(out)) for path in chosen)
    frame = pd.DataFrame({"path": files.paths, "age": range(19)})
    for number, table in enumerate((frame, pl.from_pandas(frame))):
        out = tmp_path / f"frame-{number}"
        over = sampler(
            sampling_strategy={"b": 9},
            image_shape=(12, 12, 3),
            output_dir=out,
            path_column="path",
        )
        resampled, _ = over.fit_resample(table, Y)
        chosen = over.select_synthetic(resampled)
        assert type(chosen) is type(table)
        assert all(str(path).startswith(str(out)) for path in chosen["path"])
        assert len(chosen) == 5


def test_select_synthetic_refuses_other_data():
    over = sampler(sampling_strategy={"b": 9})
    with pytest.raises(NotFittedError):
        over.select_synthetic(X)
    over.fit_resample(X, Y)
    with pytest.raises(ValueError, match=r"the 24 rows .* Got 19"):
        over.select_synthetic(X)

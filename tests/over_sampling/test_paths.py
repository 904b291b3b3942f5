"""Paths in, paths out: what is returned, and what the files hold."""

import csv
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.pipeline import make_pipeline
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.preprocessing import FunctionTransformer
from torch.utils.data import DataLoader, TensorDataset

from gansampler import CycleGAN, GANOverSampler
from gansampler.data import OverSampledDataset
from gansampler.exceptions import GANSamplerWarning
from tests.over_sampling.translators import Invert


def sampler(output_dir, **params):
    params = {"translator": Invert(), "random_state": 0, **params}
    return GANOverSampler(image_shape=(12, 12, 3), output_dir=output_dir, **params)


def read(paths):
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_files_hold_the_translations_of_the_parents_they_name(files, tmp_path):
    out = tmp_path / "out"
    over = sampler(out)
    X, y = over.fit_resample(files.paths, files.y)
    assert X[:19] == files.paths
    assert Counter(y.tolist()) == {"a": 12, "b": 12, "c": 12}
    parents = over.sample_indices_[19:]
    np.testing.assert_array_equal(read(X[19:]), 255 - files.images[parents])
    for path, parent, label in zip(X[19:], parents, y[19:], strict=True):
        assert Path(path).is_relative_to(out / label)
        assert Path(path).name.endswith(f"_from_scan-{parent}.png")
    # The same images as arrays give the same draws.
    of_arrays = GANOverSampler(translator=Invert(), random_state=0)
    made, _ = of_arrays.fit_resample(files.images, files.y)
    np.testing.assert_array_equal(read(X[19:]), made[19:])


def test_manifest_says_what_each_file_is(files, tmp_path):
    over = sampler(tmp_path / "out")
    X, y = over.fit_resample(files.paths, files.y)
    with (tmp_path / "out" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())["images"]
    as_text = [
        {k: "" if v is None else str(v) for k, v in row.items()} for row in listed
    ]
    assert as_text == rows
    assert list(rows[0]) == [
        "path",
        "label",
        "parent",
        "parent_row",
        "translator",
        "finished",
        "seed",
        "score",
    ]
    assert [str(tmp_path / "out" / row["path"]) for row in rows] == X[19:]
    assert [row["label"] for row in rows] == y[19:].tolist()
    parents = over.sample_indices_[19:]
    assert [row["parent"] for row in rows] == [files.paths[i] for i in parents]
    assert [row["parent_row"] for row in listed] == parents.tolist()
    assert {row["translator"].split("-")[0] for row in rows} == {"Invert"}
    assert len({(row["label"], row["seed"]) for row in rows}) == 2
    assert {row["score"] for row in listed} == {None}, "Invert has no discriminator"


def test_manifest_holds_the_discriminators_scores(files, tmp_path):
    translator = CycleGAN(ngf=2, ndf=2, n_blocks=1, n_epochs=1, batch_size=4)
    over = sampler(tmp_path / "out", translator=translator)
    X, y = over.fit_resample(files.paths, files.y)
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())["images"]
    scores = {str(tmp_path / "out" / row["path"]): row["score"] for row in listed}
    for label in ("b", "c"):
        paths = [path for path, k in zip(X[19:], y[19:], strict=True) if k == label]
        expected = over.translators_[label].realism_score(read(paths))
        got = [scores[path] for path in paths]
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert len(set(got)) > 1


FORMS = {
    "list": lambda paths: paths,
    "list of Path": lambda paths: [Path(path) for path in paths],
    "strings": np.array,
    "objects": lambda paths: np.array(paths, dtype=object),
    "column": lambda paths: np.array(paths, dtype=object)[:, None],
    "Series": lambda paths: pd.Series(paths, name="file", index=range(5, 24)),
    "Series of objects": lambda paths: pd.Series(paths, dtype=object),
    "Series of categories": lambda paths: pd.Series(paths, dtype="category"),
}


@pytest.mark.parametrize("form", FORMS)
def test_paths_come_back_in_their_form(files, tmp_path, form):
    X = FORMS[form](files.paths)
    X_resampled, _ = sampler(tmp_path / "out").fit_resample(X, files.y)
    assert type(X_resampled) is type(X)
    assert len(X_resampled) == 36
    if isinstance(X, np.ndarray):
        assert X_resampled.dtype.kind == X.dtype.kind
        assert X_resampled.shape[1:] == X.shape[1:]
    elif isinstance(X, pd.Series):
        assert X_resampled.name == X.name
        assert X_resampled.index.tolist() == list(range(36))
        assert form.endswith("categories") or X_resampled.dtype == X.dtype
    values = np.ravel(X_resampled).tolist()
    assert {type(value) for value in values} == {type(np.ravel(X).tolist()[0])}
    assert [str(value) for value in values[:19]] == files.paths
    assert all(Path(value).is_file() for value in values)


def test_frame_inherits_the_other_columns(files, tmp_path):
    frame = pd.DataFrame(
        {
            "age": np.arange(19, dtype=np.int16),
            "image": files.paths,
            "site": pd.Categorical(["arm", "leg", "arm"] * 6 + ["leg"]),
            "seen": pd.date_range("2020-01-01", periods=19),
        },
        index=np.arange(100, 119),
    )
    over = sampler(tmp_path / "out", path_column="image")
    X, y = over.fit_resample(frame, pd.Series(files.y, name="label", index=frame.index))
    assert X.columns.tolist() == frame.columns.tolist()
    assert X.dtypes.tolist() == frame.dtypes.tolist()
    pd.testing.assert_frame_equal(X[:19], frame.reset_index(drop=True))
    parents = frame.iloc[over.sample_indices_[19:]]
    others = ["age", "site", "seen"]
    pd.testing.assert_frame_equal(
        X.iloc[19:][others].reset_index(drop=True),
        parents[others].reset_index(drop=True),
    )
    assert all(Path(path).is_relative_to(tmp_path / "out") for path in X["image"][19:])
    assert X.index.equals(y.index)
    assert y.name == "label"
    assert frame["image"].tolist() == files.paths


def test_a_tilde_is_the_home_directory(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    X, _ = sampler("~/out").fit_resample(files.paths, files.y)
    assert all(Path(path).is_relative_to(tmp_path / "out") for path in X[19:])


def test_polars_frame_and_series(files, tmp_path):
    frame = pl.DataFrame({"image": files.paths, "age": list(range(19))})
    over = sampler(tmp_path / "out", path_column="image")
    X, y = over.fit_resample(frame, pl.Series("label", files.y))
    assert y.name == "label"
    assert y.to_list()[19:] == ["b"] * 8 + ["c"] * 9
    assert X.schema == frame.schema
    assert X["age"].to_list() == over.sample_indices_.tolist()
    series, _ = sampler(tmp_path / "2").fit_resample(frame["image"], files.y)
    assert series.name == "image"
    names = [Path(path).name for path in series]
    assert names == [Path(path).name for path in X["image"]]


@pytest.mark.parametrize("frame_of", [pd.DataFrame, pl.DataFrame])
def test_a_column_of_the_labels_is_no_column_of_the_parents(files, tmp_path, frame_of):
    other = ["a", *files.y[1:-1], "b"]
    columns = {"image": files.paths, "dx": files.y.tolist(), "other": other}
    frame = frame_of(columns)
    over = sampler(tmp_path / "out", path_column="image")
    X, y = over.fit_resample(frame, frame["dx"])
    assert list(X["dx"]) == list(y)
    assert X["dx"].dtype == frame["dx"].dtype
    assert list(X["other"]) == [other[row] for row in over.sample_indices_]
    assert list(frame["dx"]) == files.y.tolist()


def test_polars_frame_of_numbers():
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(15, 3)).astype(np.float32), np.repeat([0, 1], [10, 5])
    frame = pl.DataFrame(rows, schema=["a", "b", "c"])
    over = GANOverSampler(translator=CycleGAN(ngf=4, ndf=4, n_epochs=1), random_state=0)
    X, labels = over.fit_resample(frame, pl.Series("label", y))
    assert X.schema == frame.schema
    assert labels.to_list() == [*y.tolist(), 1, 1, 1, 1, 1]
    assert X[:15].equals(frame)
    expected, _ = over.fit_resample(rows, y)
    np.testing.assert_array_equal(X.to_numpy(), expected)
    assert over.fit_resample(frame, y)[0].equals(X)
    assert over.feature_names_in_.tolist() == ["a", "b", "c"]


LABELS = {
    "strange": ["a/b", "ä ö", "..", "A/B"],
    "int": [0, 1, -1, 300],
    "float": [0.0, 2.0, 5.0],
    "bool": [False, True],
    "long": ["x", "y" * 300],
    "names of our files": [
        "x",
        "manifest.csv",
        "Manifest.JSON",
        ".gansampler.jsonl",
        ".gansampler.lock",
    ],
}


@pytest.mark.parametrize("kind", LABELS)
def test_any_label_gives_a_safe_name(files, tmp_path, kind):
    labels = LABELS[kind]
    counts = [19 - 3 * (len(labels) - 1), *[3] * (len(labels) - 1)]
    y = np.repeat(labels, counts)
    _, y_resampled = sampler(tmp_path / "out").fit_resample(files.paths, y)
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())["images"]
    assert [row["label"] for row in listed] == y_resampled[19:].tolist()
    folders = {row["label"]: row["path"].split("/")[0] for row in listed}
    assert len({folder.lower() for folder in folders.values()}) == len(labels) - 1
    for row in listed:
        name = row["path"].replace("/", "_")
        assert name.isascii()
        assert set('\\:*?"<>| ').isdisjoint(name)
        assert row["path"].count("/") == 1
        assert (tmp_path / "out" / row["path"]).is_file()


def test_folder_names_are_readable():
    from gansampler.over_sampling.output._names import folder_names

    labels = ["a/b", "ä ö", "..", "A/B", 0, 1.5, True, "CON", "良性", "manifest.csv"]
    assert list(folder_names(labels).values()) == [
        "a-b",
        "a-o",
        "class",
        "A-B-2",
        "0",
        "1.5",
        "True",
        "class-CON",
        "class-2",
        "class-manifest.csv",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_no_text(files, tmp_path):
    odd = os.fsencode(files.folder) + b"/\xff\xfe.png"
    Path(files.paths[0]).rename(os.fsdecode(odd))
    X = [odd, *map(os.fsencode, files.paths[1:])]
    X_resampled, _ = sampler(tmp_path / "out").fit_resample(X, files.y)
    assert X_resampled[0] == odd
    assert all(
        isinstance(path, bytes) and Path(os.fsdecode(path)).is_file()
        for path in X_resampled
    )
    assert odd in (tmp_path / "out" / "manifest.csv").read_bytes()
    made = [path for path in X_resampled[19:] if path.endswith(b"from_row-0.png")]
    assert len(made) in (1, 2)


def test_grey_images_and_jpeg(files, tmp_path):
    over = sampler(tmp_path / "out", output_format="jpeg")
    over.set_params(image_shape=(16, 16, 1))
    X, _ = over.fit_resample(files.paths, files.y)
    with Image.open(X[-1]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (16, 16))
    assert X[-1].endswith(".jpg")


def test_skipped_rows_are_gone_and_indices_are_those_of_x(files, tmp_path):
    Path(files.paths[2]).write_bytes(b"no image")
    Path(files.paths[14]).unlink()
    over = sampler(tmp_path / "out", on_error="skip")
    frame = pd.DataFrame({"image": files.paths, "patient": np.arange(19) // 2})
    with pytest.warns(GANSamplerWarning, match="2 of 19"):
        X, y = over.fit_resample(frame[["image"]], list(files.y))
    kept = [i for i in range(19) if i not in (2, 14)]
    assert X["image"].tolist()[:17] == [files.paths[i] for i in kept]
    assert over.sample_indices_[:17].tolist() == kept
    assert Counter(y) == {"a": 11, "b": 11, "c": 11}
    parents = over.sample_indices_[17:]
    assert set(files.y[parents]) == {"a"}
    np.testing.assert_array_equal(read(X["image"][17:]), 255 - files.images[parents])
    groups = over.resample_groups(frame["patient"])
    assert groups.tolist() == (over.sample_indices_ // 2).tolist()


def test_groups_keep_parent_and_child_on_one_side(files, tmp_path):
    over = sampler(tmp_path / "out")
    X, y = over.fit_resample(files.paths, files.y)
    groups = over.resample_groups([f"patient {i // 3}" for i in range(19)])
    for train, test in GroupKFold(3).split(X, y, groups):
        assert not set(over.sample_indices_[train]) & set(over.sample_indices_[test])
    with pytest.raises(ValueError, match=r"each row of `X`, 19\. Got shape \(36,\)"):
        over.resample_groups(groups)


def dataset_of(files):
    images = torch.from_numpy(files.images).permute(0, 3, 1, 2)
    return TensorDataset(images, torch.from_numpy((files.y != "a").astype(int)))


@pytest.mark.parametrize("writes", [False, True])
def test_torch_dataset(files, tmp_path, writes):
    dataset = dataset_of(files)
    out = tmp_path / "out" if writes else None
    over = GANOverSampler(translator=Invert(), output_dir=out, random_state=0)
    resampled, y = over.fit_resample(dataset)
    assert isinstance(resampled, OverSampledDataset)
    assert np.bincount(y).tolist() == [12, 12]
    assert resampled.is_synthetic.tolist() == over.is_synthetic_.tolist()
    assert resampled.parent.tolist() == over.sample_indices_.tolist()
    batches = DataLoader(resampled, batch_size=5)
    images = torch.cat([batch for batch, _ in batches])
    labels = torch.cat([batch for _, batch in batches])
    assert labels.tolist() == y.tolist()
    assert torch.equal(images[:19], dataset.tensors[0])
    assert torch.equal(images[19:], 255 - dataset.tensors[0][resampled.parent[19:]])
    assert (tmp_path / "out" / "manifest.csv").exists() == writes


def load(X):
    return read(X).reshape(len(X), -1) / 255


def test_cross_validation_has_a_folder_for_each_fold(files, tmp_path):
    over = sampler(str(tmp_path / "out" / "{run}"))
    pipeline = make_pipeline(
        over, FunctionTransformer(load), LogisticRegression(tol=0.1)
    )
    y = files.y == "a"
    first = cross_validate(pipeline, np.array(files.paths), y, cv=3)["test_score"]
    assert len(list((tmp_path / "out").iterdir())) == 3
    again = cross_validate(pipeline, np.array(files.paths), y, cv=3)["test_score"]
    np.testing.assert_array_equal(first, again)
    assert len(list((tmp_path / "out").iterdir())) == 3

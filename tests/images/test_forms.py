"""Every form in which images or their paths come."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from gansampler.exceptions import ImageFileError
from gansampler.images import ImageSequence
from gansampler.images._files import FileReader

SHAPE = (12, 10, 3)


def text(paths):
    return [str(path) for path in paths]


OF_PATHS = {
    "list of str": text,
    "list of Path": list,
    "tuple": tuple,
    "list of bytes": lambda paths: [os.fsencode(path) for path in paths],
    "mixed types of path": lambda paths: [str(paths[0]), *paths[1:]],
    "array of str": lambda paths: np.array(text(paths)),
    "array of bytes": lambda paths: np.array([os.fsencode(path) for path in paths]),
    "array of objects": lambda paths: np.array(paths, dtype=object),
    "column of an array": lambda paths: np.array(text(paths), dtype=object)[:, None],
    "string array of NumPy 2": lambda paths: np.array(
        text(paths), dtype=np.dtypes.StringDType()
    ),
    "Series": lambda paths: pd.Series(text(paths), index=range(10, 16)),
    "Series of objects": lambda paths: pd.Series(paths, dtype=object),
    "Series of categories": lambda paths: pd.Series(text(paths), dtype="category"),
    "Index": lambda paths: pd.Index(text(paths)),
    "polars Series": lambda paths: pl.Series(text(paths)),
}
OF_FRAMES = {
    "pandas, one column": lambda paths: pd.DataFrame({"file": text(paths)}),
    "pandas, one column of Path": lambda paths: pd.DataFrame({"file": paths}),
    "polars, one column": lambda paths: pl.DataFrame({"file": text(paths)}),
}


@pytest.mark.parametrize("case", OF_PATHS)
def test_paths(case, files):
    paths, X = files
    images = ImageSequence(OF_PATHS[case](paths), image_shape=SHAPE)
    assert (images.form, images.path_column) == ("paths", None)
    assert images.paths.dtype == object
    assert images.paths.tolist() == text(paths)
    assert len(images) == 6
    assert images.is_image
    assert images.dtype == np.uint8
    assert images.sample_shape == SHAPE
    assert images.n_channels == 3
    held = images.take([4, 0, 4])
    assert held.dtype == np.uint8
    np.testing.assert_array_equal(held, X[[4, 0, 4]])


@pytest.mark.parametrize("case", OF_FRAMES)
def test_frames_of_one_column(case, files):
    paths, X = files
    images = ImageSequence(OF_FRAMES[case](paths), image_shape=SHAPE)
    assert (images.form, images.path_column) == ("frame", "file")
    np.testing.assert_array_equal(images.take(np.arange(6)), X)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_frames_of_several_columns(make, files):
    paths, X = files
    frame = make({"age": [40] * 6, "file": text(paths), "site": ["arm"] * 6})
    images = ImageSequence(frame, SHAPE, path_column="file")
    assert (images.form, images.path_column) == ("frame", "file")
    np.testing.assert_array_equal(images.take([5]), X[5:])
    with pytest.raises(
        ValueError, match=r"several columns.*'file', 'site'\] hold text"
    ):
        ImageSequence(frame, SHAPE)
    with pytest.raises(ValueError, match=r"Got 'fil'\. Did you mean 'file'\?.*'age'"):
        ImageSequence(frame, SHAPE, path_column="fil")


def test_a_column_named_twice_is_refused(files):
    frame = pd.DataFrame([["a", "b"]], columns=["file", "file"])
    with pytest.raises(ValueError, match="Several are named 'file'"):
        ImageSequence(frame, SHAPE, path_column="file")


def test_frames_of_numbers_are_arrays(rng):
    rows = pd.DataFrame(rng.normal(size=(5, 3)), columns=list("abc"))
    images = ImageSequence(rows)
    assert (images.form, images.is_image, images.paths) == ("array", False, None)
    np.testing.assert_array_equal(images.take([1]), rows.to_numpy()[1:2])
    flat = pd.DataFrame(rng.integers(0, 256, (5, 192), dtype=np.uint8))
    assert ImageSequence(flat, (8, 8, 3)).sample_shape == (8, 8, 3)


def test_missing_first_path_is_still_a_path(files):
    frame = pd.DataFrame({"file": [None, str(files[0][0])]})
    with pytest.raises(ValueError, match=r"row 0: the path is missing"):
        ImageSequence(frame, SHAPE)
    with pytest.raises(ValueError, match=r"row 1: the path is missing"):
        ImageSequence(pd.Series([str(files[0][0]), pd.NA]), SHAPE)


OF_IMAGES = {
    "list": list,
    "tuple": tuple,
    "Series": lambda X: pd.Series(list(X)),
    "list of PIL images": lambda X: [Image.fromarray(image) for image in X],
}


@pytest.mark.parametrize("case", OF_IMAGES)
def test_separate_images_become_one_array(case, files):
    X = files[1]
    images = ImageSequence(OF_IMAGES[case](X))
    assert images.form == "array"
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images.array, X)


class Column(Sequence):
    """A column that is read on demand, as those of Hugging Face."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index]


def test_sequence_that_is_no_list(files):
    paths, X = files
    column = Column([Image.fromarray(image) for image in X])
    np.testing.assert_array_equal(ImageSequence(column).array, X)
    assert ImageSequence(Column(paths), SHAPE).form == "paths"


def test_pil_images_of_any_mode(files):
    X = files[1]
    pictures = [Image.fromarray(image) for image in X]
    palettes = [picture.quantize(16) for picture in pictures]
    expected = [np.asarray(picture.convert("RGB")) for picture in palettes]
    np.testing.assert_array_equal(ImageSequence(palettes).array, expected)
    grey = [picture.convert("L") for picture in pictures]
    assert ImageSequence(grey).sample_shape == (12, 10, 1)
    mixed = ImageSequence([grey[0], *pictures[1:]])
    np.testing.assert_array_equal(mixed.take([1]), X[1:2])
    np.testing.assert_array_equal(mixed.take([0])[0, :, :, 2], np.asarray(grey[0]))
    clear = [picture.convert("RGBA") for picture in pictures]
    assert ImageSequence(clear).sample_shape == (12, 10, 4)
    bits = [picture.convert("1") for picture in pictures]
    assert set(np.unique(ImageSequence(bits).array)) == {0, 255}


def test_pil_images_become_upright(files, save):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(save(files[1][0], "rotated.png", exif=exif))
    rotated = ImageSequence([image]).take([0])
    np.testing.assert_array_equal(rotated[0], np.rot90(files[1][0], -1))
    assert image.size == (10, 12)


def test_array_of_image_objects(files):
    X = np.empty(6, dtype=object)
    X[:] = list(files[1])
    np.testing.assert_array_equal(ImageSequence(X).array, files[1])


def test_map_of_a_file_is_not_loaded(rng, tmp_path):
    X = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    images = ImageSequence(mapped)
    assert images.form == "array"
    assert np.shares_memory(images.array, mapped)
    np.testing.assert_array_equal(images.subset([4]).take([0]), X[4:5])
    floating = np.memmap(tmp_path / "f", np.float32, "w+", shape=(6, 8, 8, 3))
    floating[:] = X / 255
    assert np.shares_memory(ImageSequence(floating).array, floating)
    floating[5, 0, 0, 0] = 7
    with pytest.raises(ValueError, match="Divide by 255"):
        ImageSequence(floating)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Endless:
    """A stream as those of Hugging Face."""

    column_names: ClassVar = ["image", "label"]

    def __iter__(self):
        return iter([])


def ragged(files):
    return [np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), np.zeros((9, 8, 3))]


BAD = {
    "one path": (lambda f: str(f[0]), TypeError, "one path for each image.*load_image"),
    "one Path": (lambda f: f[0], TypeError, "one path for each image"),
    "empty list": (lambda f: [], ValueError, "at least one image"),
    "empty array": (lambda f: np.array([], object), ValueError, "at least one image"),
    "empty Series": (lambda f: pd.Series([], dtype=str), ValueError, "at least one"),
    "paths, then an array": (
        lambda f: [f[0], np.zeros((8, 8, 3))],
        TypeError,
        "paths or images, not both. Row 1 is of type ndarray",
    ),
    "paths, then a number": (lambda f: [f[0], f[1], 3], TypeError, "Row 2 is .* int"),
    "arrays, then a path": (
        lambda f: [np.zeros((8, 8, 3)), f[0]],
        TypeError,
        "images or paths, not both. Row 1 is",
    ),
    "arrays, then None": (
        lambda f: [np.zeros((8, 8, 3)), None],
        TypeError,
        "Row 1 is of type NoneType",
    ),
    "ragged": (ragged, ValueError, r"row 2 of \(9, 8, 3\)"),
    "loader": (
        lambda f: DataLoader(TensorDataset(torch.zeros(2, 1, 8, 8))),
        TypeError,
        "loader.dataset",
    ),
    "stream": (lambda f: Stream(), TypeError, "map style.*Got Stream"),
    "one image": (
        lambda f: np.zeros((32, 24, 3)),
        ValueError,
        r"Got one image of shape \(32, 24, 3\)\. Pass X\[:1\] instead of X\[0\]",
    ),
    "one PIL image": (
        lambda f: Image.new("L", (8, 8)),
        TypeError,
        r"a list, \[image\]",
    ),
    "pairs": (
        lambda f: [(np.zeros((8, 8, 3)), "a"), (np.zeros((8, 8, 3)), "b")],
        TypeError,
        r"Got pairs\. .*\[label for image, label in X\] as `y`",
    ),
    "only None": (lambda f: [None, None], ValueError, "Got none in 2 entries"),
    "set": (lambda f: {str(f[0])}, TypeError, r"Got set\. Pass list\(X\)"),
    "iterator": (lambda f: map(str, f), TypeError, r"Got map\. Pass list\(X\)"),
    "dict": (
        lambda f: {"file": f},
        TypeError,
        r"Got dict with the keys \['file'\]\. Pass one of its values, .* X\['file'\]",
    ),
    "list of dicts": (
        lambda f: [{"label": 0, "image": np.zeros((8, 8, 3))}],
        TypeError,
        r"\[row\['image'\] for row in X\] as `X`, and \[row\['label'\] for",
    ),
    "stream without length": (lambda f: Endless(), TypeError, "Got Endless"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_form_is_refused(case, files):
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        ImageSequence(make(files[0]), image_shape=SHAPE if "path" in case else None)


def test_paths_need_an_image_shape(files, save):
    with pytest.raises(ValueError, match=r"All files are of 12 x 10 px.*\(12, 10, 3\)"):
        ImageSequence(files[0])
    grey = save(np.zeros((9, 11), np.uint8), "grey.png")
    with pytest.raises(ValueError, match=r"pass image_shape=\(9, 11, 1\)\."):
        ImageSequence([grey])
    with pytest.raises(ValueError, match=r"2 sizes.*\(224, 224, 3\), for instance"):
        ImageSequence([*files[0], grey])


@pytest.mark.parametrize("shape", [(12, 10, 2), (12, 10, 5), (4, 10, 3), (12, 10)])
def test_paths_need_a_sensible_image_shape(files, shape):
    with pytest.raises(ValueError, match="1 channel|at least 8 px|height, width"):
        ImageSequence(files[0], image_shape=shape)


def test_relative_paths(files, monkeypatch):
    monkeypatch.chdir(files[0][0].parent)
    images = ImageSequence([Path("3.png")], image_shape=SHAPE)
    assert images.paths.tolist() == ["3.png"]
    np.testing.assert_array_equal(images.take([0])[0], files[1][3])


def test_a_batch_of_files_restores_to_pixels(files):
    images = ImageSequence(files[0], image_shape=SHAPE)
    batch = images.batch([3, 1])
    assert batch.shape == (2, 3, 12, 10)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(images.restore(batch), files[1][[3, 1]])


def test_array_is_of_arrays_only(files):
    with pytest.raises(AttributeError):
        ImageSequence(files[0], image_shape=SHAPE).array  # noqa: B018


class TestFingerprint:
    def test_of_arrays_is_that_of_the_content(self, rng):
        X = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
        whole = ImageSequence(X).fingerprint()
        int(whole, 16)
        assert ImageSequence(X.copy()).fingerprint() == whole
        assert ImageSequence(np.asfortranarray(X)).fingerprint() == whole
        rows = ImageSequence(X).subset([4, 2])
        assert rows.fingerprint() == ImageSequence(X[[4, 2]]).fingerprint()
        assert rows.fingerprint() != ImageSequence(X[[2, 4]]).fingerprint()
        X[5, 7, 7, 2] ^= 1
        assert ImageSequence(X).fingerprint() != whole

    def test_of_arrays_knows_shape_and_dtype(self):
        zeros = [
            np.zeros((2, 8, 16, 1), np.uint8),
            np.zeros((2, 16, 8, 1), np.uint8),
            np.zeros((2, 8, 16, 1), np.float32),
            np.zeros((2, 4), np.float32),
        ]
        assert len({ImageSequence(X).fingerprint() for X in zeros}) == len(zeros)

    def test_of_several_blocks(self, rng, monkeypatch):
        X = rng.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
        whole = ImageSequence(X).fingerprint()
        monkeypatch.setattr("gansampler.images._batches.PIXELS_PER_CHUNK", 400)
        assert ImageSequence(X).fingerprint() == whole

    def test_of_files_is_that_of_their_content(self, files):
        paths, _ = files

        def fingerprint(paths, shape=SHAPE, **options):
            return ImageSequence(paths, shape, **options).fingerprint()

        whole = fingerprint(paths)
        assert fingerprint(text(paths)) == whole
        part = ImageSequence(paths, SHAPE).subset([3, 1])
        assert part.fingerprint() == fingerprint([paths[3], paths[1]])
        others = [
            whole,
            fingerprint(paths[::-1]),
            fingerprint(paths[1:]),
            fingerprint([*paths, paths[0]]),
            fingerprint(paths, (10, 10, 3)),
            fingerprint(paths, resize="pad"),
        ]
        assert len(set(others)) == len(others)

    def test_of_copied_files_is_the_same(self, files, tmp_path):
        paths, _ = files
        whole = ImageSequence(paths, SHAPE).fingerprint()
        folder = tmp_path / "other machine"
        folder.mkdir()
        copies = [folder / f"copy {path.name}" for path in paths]
        for path, copy in zip(paths, copies, strict=True):
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (1, 1))
        assert ImageSequence(copies, SHAPE).fingerprint() == whole

    def test_of_a_changed_file_of_the_same_size_and_time(self, files, save, rng):
        pixels = rng.integers(0, 256, SHAPE, dtype=np.uint8)
        path = save(pixels, "a.bmp")
        before = path.stat()
        whole = ImageSequence([path], SHAPE).fingerprint()
        save(255 - pixels, "a.bmp")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        assert ImageSequence([path], SHAPE).fingerprint() != whole

    def test_of_files_that_changed_after_they_were_opened(self, files):
        images = ImageSequence(files[0], SHAPE)
        files[0][3].write_bytes(files[0][2].read_bytes())
        with pytest.raises(ImageFileError, match=r"Row 3 .*changed since"):
            images.fingerprint()
        files[0][3].unlink()
        with pytest.raises(ImageFileError, match=r"Row 3 .*removed since"):
            images.fingerprint()

    def test_reads_each_file_once(self, files, monkeypatch):
        images = ImageSequence(files[0], SHAPE)
        whole = images.fingerprint()
        monkeypatch.setattr(FileReader, "_open", None)
        assert images.fingerprint() == whole
        assert images.subset([2]).fingerprint() != whole

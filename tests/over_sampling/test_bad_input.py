"""What a user is told of bad input; nothing is trained, changed or left behind."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gansampler import CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import GANSamplerWarning, ImageFileError, ShortfallError
from gansampler.over_sampling.output import _disk
from gansampler.training import Callback
from tests.over_sampling.translators import Collapsed, Invert

X = np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), dtype=np.uint8)
F = X / 255
Y = np.repeat(["a", "b"], [7, 3])
ONE_RULE = "floating in \\[0, 1\\]. Got dtype {}. Pass X.astype"
WHOLE = "a whole number of samples. Got {} for class 'b', which has 3"


class CountStarts(Callback):
    def __init__(self):
        self.n_starts = 0

    def on_fit_start(self, task, n_epochs):
        self.n_starts += 1


def tiny(callback=None, **params):
    trainer = Trainer(
        accelerator="cpu",
        precision="32-true",
        callbacks=[CountStarts() if callback is None else callback],
    )
    params = {"trainer": trainer, "n_epochs": 1, "batch_size": 4, **params}
    return CycleGAN(ngf=2, ndf=2, n_blocks=1, random_state=0, **params)


def with_value(value, array=F):
    array = array.copy()
    array[3, 1, ...] = value
    return array


def objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


# X, y, parameters and the message: the rule, what was given, what to do.
CASES = {
    "empty": (X[:0], Y[:0], {}, "0 sample.* while a minimum of 1 is required"),
    "empty list": ([], [], {}, "at least one image. Got none in 0 entries. Pass"),
    "none": (None, Y, {}, "`X` must hold images.* Got None. Pass"),
    "a number": (3, Y, {}, "Expected 2D array, got scalar array.*Reshape"),
    "one row": (F[0, 0, :, 0], Y, {}, "Expected 2D array, got 1D array.*Reshape"),
    "a mapping": ({"a": 1}, Y, {}, "Got dict with .* Pass one of its values"),
    "an iterator": (iter([1]), Y, {}, "Got list_iterator. Pass list"),
    "a tensor": (torch.zeros(10, 3, 9, 3), Y, {}, "not tell where the channels are"),
    "one path": ("a.png", Y, {}, "one path for each image. Got one path.*Pass a list"),
    "volumes": (X[None], Y[:1], {}, "Got an array of 5 dimensions.*pass their slices"),
    "one class": (X, ["a"] * 10, {}, "more than 1 class. Got 1 class instead"),
    "one image": (X, ["a"] * 9 + ["b"], {}, "at least 2.*target has 1. Collect more"),
    "nan": (with_value(np.nan), Y, {}, "Got NaN in row 3. Replace"),
    "infinity": (with_value(np.inf), Y, {}, "Got infinity in row 3. Replace"),
    "nan in rows": (with_value(np.nan, F[:, 0, :, 0]), Y, {}, "Input X contains NaN"),
    "above one": (
        F * 255,
        Y,
        {},
        "lie in \\[0, 1\\]. Got values from 0 to 255. Divide",
    ),
    "below zero": (F * 2 - 1, Y, {}, "Got values from -1 to 1.*\\(X \\+ 1\\) / 2"),
    "int64": (X.astype(np.int64), Y, {}, ONE_RULE.format("int64")),
    "bool": (X > 9, Y, {}, ONE_RULE.format("bool")),
    "complex": (F.astype(complex), Y, {}, ONE_RULE.format("complex128")),
    "objects": (X.astype(object), Y, {}, ONE_RULE.format("object")),
    "text": (np.full(X.shape, "q"), Y, {}, ONE_RULE.format("<U1")),
    "any objects": ([object()] * 10, Y, {}, "an entry of type object. Pass arrays"),
    "paths and images": (["a.png", X[0]], Y[:2], {}, "not both. Row 1 .*load"),
    "ragged": ([*X[:9], X[9, :9]], Y, {}, "one shape. Row 0 .*row 9 of .9,.*Resize"),
    "ragged rows": ([[1, 2]] * 9 + [[1]], Y, {}, "one length.*row 9 of 1. Resize"),
    "other shape": (X, Y, {"image_shape": (12, 12, 1)}, "Got .12, 12, 1. for .*Leave"),
    "shape of two": (X, Y, {"image_shape": (9, 9)}, "Got .9, 9.. Pass image_shape="),
    "no whole side": (X, Y, {"image_shape": (12.5, 12, 3)}, "Got .12.5, 12, 3.. Pass"),
    "tiny": (X[:, :4], Y, {}, "at least 8 px .*Got .* = .4, 12, 3.. Resize"),
    "columns": (
        X.reshape(10, -1),
        Y,
        {"image_shape": (12, 12, 1)},
        "Got 432 columns and .*which makes 144. Correct",
    ),
    "channels first": (
        X.transpose(0, 3, 1, 2),
        Y,
        {},
        "channels last.*Got shape .10, 3, 12, 12.* like channels first. Pass X.trans",
    ),
    "shape channels first": (
        X.reshape(10, -1),
        Y,
        {"image_shape": (3, 12, 12)},
        "looks like channels first. Pass image_shape=.12, 12, 3.",
    ),
    "labels too short": (X, Y[:8], {}, "inconsistent numbers of samples: .10, 8."),
    "one label": (
        X,
        3,
        {},
        "one label for each sample. Got one value of type int. Pas",
    ),
    "no labels": (X, None, {}, "requires y to be passed.*Pass the label of each"),
    "nan label": (X, np.r_[[0.0] * 7, [np.nan] * 3], {}, "Input y contains NaN"),
    "continuous": (X, np.linspace(0.1, 1, 10), {}, "Unknown label type: continuous"),
    "multilabel": (X, [[0, 1], [1, 1]] * 5, {}, "Multilabel.* not supported"),
    "missing": (X, ["a"] * 7 + [None] * 3, {}, "Row 7 of `y` has None. Give it"),
    "mixed": (X, ["a"] * 7 + [2] * 3, {}, "Row 0 of `y` is 'a', row 7 is 2. Pass"),
    "mixed objects": (X, objects([1] * 7 + ["b"] * 3), {}, "row 7 is 'b'. Pass"),
    "absent": (X, Y, {"sampling_strategy": {"bb": 9}}, "'bb'.* not present.*mean 'b'"),
    "fewer": (X, Y, {"sampling_strategy": {"a": 2}}, "is 7 samples and 2 .*Ask for"),
    "half": (X, Y, {"sampling_strategy": {"b": 5.5}}, WHOLE.format("5.5")),
    "text count": (X, Y, {"sampling_strategy": {"b": "9"}}, WHOLE.format("'9'")),
    "callable": (X, Y, {"sampling_strategy": len}, "must return a dict.* Got 10"),
    "low ratio": (X, Y, {"sampling_strategy": 0.1}, "Please increase the ratio"),
    "source": (X, Y, {"source": "majorty"}, "Got 'majorty'.*Did you mean 'majority'"),
    "array source": (
        X,
        Y,
        {"source": [1]},
        "a label of y. Got \\[1\\]; the labels are",
    ),
    "own source": (X, Y, {"source": "b"}, "own source.*source='b'.*Leave it out"),
    "strategy": (X, Y, {"sampling_strategy": "minorty"}, "Got 'minorty' instead.*mean"),
    "translator": (X, Y, {"translator": "gan"}, "Got 'gan'. Pass an instance"),
    "dict": (
        X,
        Y,
        {"translator": {"b": Invert()}},
        "Got a dict and prefit=False. Pass",
    ),
    "prefit": (X, Y, {"prefit": "no"}, "The 'prefit' parameter of GANOverSampler must"),
    "format": (X, Y, {"output_format": "pgn"}, "Got 'pgn' instead. Did you mean 'png'"),
    "on_error": (X, Y, {"on_error": "skp"}, "Got 'skp' instead. Did you mean 'skip'"),
    "resize": (X, Y, {"resize": 3}, "The 'resize' parameter of GANOverSampler must be"),
    "seed": (X, Y, {"random_state": "x"}, "The 'random_state' parameter of GANOverSa"),
    "rows and folder": (X[:, 0, 0], Y, {"output_dir": "q"}, "is for images. Got out"),
    "generator": (
        X,
        Y,
        {"translator": tiny(generator="restnet")},
        "The 'generator' parameter of CycleGAN must be a str among .*Got 'restnet' "
        "instead. Did you mean 'resnet'",
    ),
    "not fitted": (X, Y, {"prefit": True, "translator": Invert()}, "is not fitted yet"),
    "trainer": (
        X,
        Y,
        {"translator": tiny(trainer=Trainer(precision="bf16-mixd"))},
        "The 'precision' parameter of Trainer must be .*Got 'bf16-mixd'",
    ),
}


def copy_of(value):
    return value.copy() if isinstance(value, np.ndarray) else repr(value)


def is_same(value, before):
    if isinstance(value, np.ndarray):
        return value.dtype == before.dtype and repr(value.tolist()) == repr(
            before.tolist()
        )
    return repr(value) == before


@pytest.mark.parametrize("case", CASES)
def test_message_and_nothing_lost(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, y, params, message = CASES[case]
    before = copy_of(images), copy_of(y)
    starts = CountStarts()
    sampler = GANOverSampler(**{"translator": tiny(starts), **params})
    settings = repr(sampler.get_params(deep=False))
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        sampler.fit_resample(images, y)
    assert is_same(images, before[0])
    assert is_same(y, before[1])
    assert repr(sampler.get_params(deep=False)) == settings
    assert starts.n_starts == 0
    assert not list(tmp_path.iterdir())
    assert not {"sample_indices_", "translators_"} & vars(sampler).keys()


@pytest.mark.parametrize(
    ("shown", "shape"), [(X[..., :1], "12, 12, 1"), (X[:, :10], "10, 12, 3")]
)
def test_a_prefit_translator_of_another_shape(shown, shape):
    sampler = GANOverSampler(translator=tiny().fit(X[:4], X[4:]), prefit=True)
    with pytest.raises(ValueError, match=f"takes .12, 12, 3.. Got .*{shape}.*Resize"):
        sampler.fit_resample(shown, Y)


FAILING = {
    "data": (with_value(np.nan), Y, Invert(), ValueError),
    "training": (X[:, :9], Y[::-1], Invert(), LookupError),
    "generation": (X[:, :9], Y[::-1], Collapsed(), ShortfallError),
}


@pytest.mark.parametrize("case", FAILING)
@pytest.mark.parametrize("is_fitted", [True, False])
def test_a_failed_call_leaves_the_fitted_state_of_before(case, is_fitted, monkeypatch):
    def fail(self, **domains):
        raise LookupError("during training")

    images, y, translator, error = FAILING[case]
    sampler = GANOverSampler(translator=Invert(), random_state=0)
    if is_fitted:
        sampler.fit_resample(X, Y)
    before = dict(vars(sampler.set_params(translator=translator)))
    if case == "training":
        monkeypatch.setattr(Invert, "_fit", fail)
    with pytest.raises(error):
        sampler.fit_resample(images, y)
    assert vars(sampler).keys() == before.keys()
    assert all(vars(sampler)[name] is value for name, value in before.items())
    with pytest.raises(ValueError, match="NaN"):
        sampler.fit(with_value(np.nan), Y)
    assert vars(sampler).keys() == before.keys()


# Source, target, parameters of a CycleGAN and the message.
DOMAINS = {
    "one image": (X[:1], X[4:], {}, "at least 2 samples of each.*Got 1 of the source"),
    "shapes": (X[:4], X[4:, :9], {}, "the same shape. Got .12, 12, 3. and .9, 12, 3."),
    "nan": (with_value(np.nan), F, {}, "Got NaN in row 3. Replace"),
    "channels first": (X, X.transpose(0, 3, 1, 2), {}, "looks like channels first. P"),
    "type": (X, X, {"n_layers": "3"}, "The 'n_layers' parameter of CycleGAN must"),
    "betas": (X, X, {"betas": (1,)}, "`betas` must be two numbers in .0, 1.. Got .1,"),
    "no network": (X, X, {"generator": lambda n: n}, "a torch.nn.Module. Got int"),
    "max_time": (X, X, {"trainer": Trainer(max_time="1h")}, "The 'max_time' parameter"),
    "devices": (X, X, {"trainer": Trainer(devices=0)}, "The 'devices' parameter of Tr"),
}


@pytest.mark.parametrize("case", DOMAINS)
def test_messages_of_a_translator(case):
    source, target, params, message = DOMAINS[case]
    starts = CountStarts()
    translator = tiny(starts, **params)
    state = dict(vars(translator))
    with pytest.raises((ValueError, TypeError), match=message):
        translator.fit(source, target)
    assert starts.n_starts == 0
    assert vars(translator) == state


def test_a_failed_fit_leaves_a_translator_as_it_was():
    translator = tiny().fit(X[:4], X[4:])
    expected = translator.translate(X)
    translator.betas = ("a", 2)
    with pytest.raises(ValueError, match="`betas` must be two numbers"):
        translator.fit(X[:4, :9], X[4:, :9])
    assert np.array_equal(translator.translate(X), expected)


# Files.


def resample_files(paths, y, output_dir, starts=None, **params):
    params = {"translator": tiny(starts), **params}
    sampler = GANOverSampler(
        image_shape=(12, 12, 3), output_dir=output_dir, random_state=0, **params
    )
    return sampler.fit_resample(paths, y)


def spoil(files, monkeypatch):
    """Make seven of the files bad; return what is said of each, by its row."""
    paths = [Path(path) for path in files.paths]
    paths[0].unlink()
    paths[1].write_bytes(b"")
    paths[2].write_text("no image, but a text")
    paths[3].unlink()
    paths[3].mkdir()
    paths[4].write_bytes(paths[4].read_bytes()[:200])
    Image.new("1", (40, 40)).save(paths[5])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    wrong = {
        0: "there is no such file",
        1: "an empty file",
        2: "no image that Pillow knows",
        3: "a folder, not a file",
        4: "damaged",
        5: "perhaps a decompression bomb",
    }
    paths[6].chmod(0)
    wrong[6] = "Permission denied"
    return wrong


@pytest.mark.usefixtures("no_privileges")
def test_all_bad_files_are_named_at_once(files, tmp_path, monkeypatch):
    wrong = spoil(files, monkeypatch)
    starts = CountStarts()
    with pytest.raises(ValueError, match="must be there and whole") as caught:
        resample_files(files.paths, files.y, tmp_path / "new", starts)
    message = str(caught.value)
    assert f"{len(wrong)} of 19 are not" in message
    for row, reason in wrong.items():
        part = message.split(f"row {row} ({files.paths[row]}): ")[1].split("; row")[0]
        assert reason in part
    assert "Replace them, or leave those rows out" in message
    assert starts.n_starts == 0
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_privileges")
def test_bad_files_are_skipped_and_reported(files, tmp_path, monkeypatch):
    wrong = spoil(files, monkeypatch)
    with pytest.warns(GANSamplerWarning, match="are left out, with their") as caught:
        paths, y = resample_files(
            files.paths,
            files.y,
            tmp_path / "new",
            translator=Invert(),
            on_error="skip",
        )
    for row, reason in wrong.items():
        assert f"row {row} ({files.paths[row]}): " in str(caught[0].message)
        assert reason in str(caught[0].message)
    n_left = 19 - len(wrong)
    assert paths[:n_left] == [p for i, p in enumerate(files.paths) if i not in wrong]
    assert y[:n_left].tolist() == np.delete(files.y, list(wrong)).tolist()


def test_bad_output_folders(files, tmp_path):
    (tmp_path / "file").write_text("of the user")
    cases = {
        tmp_path / "file": "must be a folder. .*is a file. Pass another",
        files.folder: "apart from the folders of the originals.*Pass another",
        files.folder / "inside": "apart from the folders of the originals",
        None: "output_dir=None. Pass output_dir=",
    }
    for folder, message in cases.items():
        starts = CountStarts()
        with pytest.raises((ValueError, OSError), match=message):
            resample_files(files.paths, files.y, folder, starts)
        assert starts.n_starts == 0
    assert (tmp_path / "file").read_text() == "of the user"
    assert len(list(files.folder.iterdir())) == 19


@pytest.mark.usefixtures("no_privileges")
def test_read_only_output_folder(files, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    starts = CountStarts()
    with pytest.raises(PermissionError, match="can be written to.*give permission"):
        resample_files(files.paths, files.y, closed, starts)
    assert starts.n_starts == 0


def test_a_bad_parameter_of_the_translator_leaves_no_folder(files, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'resnet'"):
        resample_files(
            files.paths,
            files.y,
            tmp_path / "new",
            translator=tiny(generator="restnet"),
        )
    assert not (tmp_path / "new").exists()


def test_a_file_that_disappears_during_training(files, tmp_path, monkeypatch):
    # Without a cache every epoch reads the files again.
    monkeypatch.setattr("gansampler.images._lazy.CACHE_SHARE", 0)

    class Remove(Callback):
        def on_epoch_end(self, task, record):
            Path(files.paths[2]).unlink(missing_ok=True)

    with pytest.raises(ImageFileError, match="Row 2 .*it was removed since. Replace"):
        resample_files(
            files.paths,
            files.y,
            tmp_path / "new",
            translator=tiny(Remove(), n_epochs=3),
        )
    assert not list((tmp_path / "new").rglob("*.png"))


def test_a_full_disk_leaves_whole_files_and_the_originals(files, tmp_path, monkeypatch):
    before = {path: Path(path).read_bytes() for path in files.paths}
    replace, left = Path.replace, [3]

    def full(self, target):
        if str(target).endswith(".png"):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(_disk.Path, "replace", full)
    with pytest.raises(OSError, match="The disk is full at .*Make space") as caught:
        resample_files(files.paths, files.y, tmp_path / "new", translator=Invert())
    assert caught.value.errno == errno.ENOSPC
    written = list((tmp_path / "new").rglob("*.png"))
    assert len(written) == 3
    for path in written:
        with Image.open(path) as image:
            image.load()
    assert not list((tmp_path / "new").rglob("*.tmp"))
    assert {path: Path(path).read_bytes() for path in files.paths} == before

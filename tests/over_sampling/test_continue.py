"""Training that goes on, and the images in the output folder."""

import csv
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansampler import CycleGAN, GANOverSampler, Trainer
from gansampler.exceptions import (
    CheckpointWarning,
    GANSamplerWarning,
    TrainingStoppedWarning,
)
from gansampler.over_sampling import _generation
from gansampler.over_sampling.output import _class_files

pytestmark = [
    pytest.mark.filterwarnings("ignore::gansampler.exceptions.CheckpointWarning"),
    pytest.mark.filterwarnings("ignore::gansampler.exceptions.TrainingStoppedWarning"),
]
REPLACED = pytest.mark.filterwarnings("ignore:The synthetic images of class")


@pytest.fixture(autouse=True)
def chunks_of_four(monkeypatch):
    monkeypatch.setattr(_generation, "BYTES_PER_CHUNK", 4 * 12 * 12 * 3)


def sampler(out, checkpoints, *, max_time=None, **params):
    trainer = Trainer(
        accelerator="cpu",
        precision="32-true",
        checkpoint_dir=checkpoints,
        checkpoint_every=0,
        max_time=max_time,
    )
    # Each step changes the images by several grey levels.
    params = {"n_epochs": 3, "batch_size": 6, "lr": 0.02, **params}
    translator = CycleGAN(ngf=4, ndf=4, n_blocks=1, trainer=trainer, **params)
    return GANOverSampler(
        translator=translator,
        image_shape=(12, 12, 3),
        output_dir=out,
        random_state=0,
    )


def manifest(out):
    with (out / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def check_images(over, files, X):
    """Every image in the folder is what the translator of its class gives."""
    for row in range(len(files.images), len(X)):
        translator = over.translators_[Path(X[row]).parent.name]
        parent = files.images[over.sample_indices_[row]]
        (expected,) = translator.translate(parent[None])
        written = np.asarray(Image.open(X[row]))
        # A batch of one image may be rounded in another way.
        np.testing.assert_allclose(written.astype(int), expected, atol=1)


@REPLACED
def test_a_run_with_max_time_goes_on_until_its_end(files, tmp_path):
    """Each call takes one step further: 3 epochs of 2 steps."""
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    n_calls = 0
    finished = {"False"}
    while finished != {"True"}:
        over = sampler(out, checkpoints, max_time=1e-6)
        X, _ = over.fit_resample(files.paths, files.y)
        check_images(over, files, X)
        rows = manifest(out)
        assert len(rows) == 17
        finished = {row["finished"] for row in rows}
        n_calls += 1
        assert n_calls <= 6
    assert n_calls == 6
    whole = sampler(tmp_path / "whole", None)
    whole.fit_resample(files.paths, files.y)
    for row, expected in zip(rows, manifest(tmp_path / "whole"), strict=True):
        assert row == expected
        path = row["path"]
        assert (out / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


@REPLACED
def test_a_replaced_image_is_announced(files, tmp_path):
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    sampler(out, checkpoints, max_time=1e-6).fit_resample(files.paths, files.y)
    with pytest.warns(GANSamplerWarning, match=r"'b' in .*replaced, .* for longer\.$"):
        sampler(out, checkpoints).fit_resample(files.paths, files.y)


@REPLACED
@pytest.mark.parametrize("n_writes", [0, 3, 8, 11, 16])
@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_a_run_with_max_time_that_was_killed_goes_on(
    files, tmp_path, monkeypatch, n_writes, has_checkpoints
):
    out = tmp_path / "out"
    checkpoints = tmp_path / "checkpoints" if has_checkpoints else None
    write, left = _class_files.write_file, [n_writes]

    def stop(path, data):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(_class_files, "write_file", stop)
        with pytest.raises(KeyboardInterrupt):
            sampler(out, checkpoints, max_time=1e-6).fit_resample(files.paths, files.y)
    assert not (out / "manifest.csv").exists()
    for max_time in (1e-6, None):
        over = sampler(out, checkpoints, max_time=max_time)
        X, _ = over.fit_resample(files.paths, files.y)
        check_images(over, files, X)
        assert {row["finished"] for row in manifest(out)} == {str(max_time is None)}
    assert len(list(out.rglob("*.png"))) == 17


def test_a_kill_after_the_translator_was_replaced(files, tmp_path, monkeypatch):
    """No manifest lists removed images, and no image of the old one remains."""
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    sampler(out, checkpoints, max_time=1e-6).fit_resample(files.paths, files.y)

    def stop(path, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_class_files, "write_file", stop)
        with (
            pytest.warns(GANSamplerWarning, match="replaced"),
            pytest.raises(KeyboardInterrupt),
        ):
            sampler(out, checkpoints).fit_resample(files.paths, files.y)
    assert not (out / "manifest.csv").exists()
    assert not (out / "manifest.json").exists()
    assert not list((out / "b").glob("*.png"))
    over = sampler(out, checkpoints)
    with pytest.warns(GANSamplerWarning, match="'c' .*replaced"):
        X, _ = over.fit_resample(files.paths, files.y)
    check_images(over, files, X)


@REPLACED
def test_more_epochs_continue_and_replace(files, tmp_path):
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    sampler(out, checkpoints, n_epochs=1).fit_resample(files.paths, files.y)
    over = sampler(out, checkpoints, n_epochs=3)
    with pytest.warns(CheckpointWarning, match="continues a run of 1 epochs"):
        X, _ = over.fit_resample(files.paths, files.y)
    check_images(over, files, X)
    whole = sampler(tmp_path / "whole", None)
    whole.fit_resample(files.paths, files.y)
    for label, translator in over.translators_.items():
        other = whole.translators_[label]
        np.testing.assert_array_equal(
            translator.translate(files.images), other.translate(files.images)
        )
    # Again: nothing is trained and nothing replaced.
    with warnings.catch_warnings():
        warnings.simplefilter("error", GANSamplerWarning)
        warnings.simplefilter("ignore", CheckpointWarning)
        sampler(out, checkpoints, n_epochs=3).fit_resample(files.paths, files.y)


def never_trains(*args, **kwargs):
    raise AssertionError("trained before the folder was checked")


@pytest.mark.parametrize(
    ("has_checkpoints", "n_epochs", "message"),
    [
        (False, 4, r"n_epochs=3\. Got n_epochs=4.*checkpoint_dir=\.\.\."),
        (False, 2, r"not shortened.*n_epochs=3 or more"),
        (True, 2, r"not shortened.*n_epochs=3 or more"),
    ],
)
def test_what_cannot_be_continued_is_refused_before_training(
    files, tmp_path, monkeypatch, has_checkpoints, n_epochs, message
):
    out = tmp_path / "out"
    checkpoints = tmp_path / "checkpoints" if has_checkpoints else None
    sampler(out, checkpoints).fit_resample(files.paths, files.y)
    before = manifest(out)
    monkeypatch.setattr(CycleGAN, "_fit", never_trains)
    with pytest.raises(ValueError, match=message):
        sampler(out, checkpoints, n_epochs=n_epochs).fit_resample(files.paths, files.y)
    assert manifest(out) == before


def test_each_number_of_epochs_has_a_folder_of_its_own(files, tmp_path):
    """As in a grid search over the number of epochs."""
    for n_epochs in (1, 2):
        over = sampler(tmp_path / "out" / "{run}", None, n_epochs=n_epochs)
        over.fit_resample(files.paths, files.y)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_checkpoints_that_were_deleted(files, tmp_path):
    """The images are replaced by those of the second training, which are equal."""
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    sampler(out, checkpoints).fit_resample(files.paths, files.y)
    before = manifest(out)
    shutil.rmtree(checkpoints)
    sampler(out, checkpoints).fit_resample(files.paths, files.y)
    assert manifest(out) == before


def test_a_stopped_training_names_the_class(files, tmp_path):
    with pytest.warns(TrainingStoppedWarning, match=r"Class 'b': .*raise `max_time`"):
        sampler(tmp_path / "out", tmp_path / "checkpoints", max_time=1e-6).fit_resample(
            files.paths, files.y
        )

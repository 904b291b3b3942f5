"""A run on files is resumed on a copy of these files."""

import shutil

import numpy as np
import pytest

from gansampler import CycleGAN, Trainer
from gansampler.images import ImageSequence
from gansampler.training import Callback

SHAPE = (16, 16, 3)


class StopError(Exception):
    """Raised by a callback in place of a process that is killed."""


class StopAfter(Callback):
    def __init__(self, n_steps):
        self.n_steps = n_steps

    def on_step_end(self, task, epoch, step):
        self.n_steps -= 1
        if self.n_steps == 0:
            raise StopError


class CountSteps(Callback):
    n_steps = 0

    def on_step_end(self, task, epoch, step):
        CountSteps.n_steps += 1


@pytest.fixture
def run(tmp_path):
    def run(folder, callback=None, checkpoints="checkpoints"):
        images = ImageSequence(sorted(folder.iterdir()), SHAPE)
        translator = CycleGAN(
            ngf=4,
            ndf=4,
            n_blocks=1,
            n_epochs=2,
            batch_size=2,
            random_state=0,
            trainer=Trainer(
                accelerator="cpu",
                precision="32-true",
                checkpoint_dir=tmp_path / checkpoints,
                checkpoint_every=0,
                callbacks=[callback] if callback else None,
            ),
        )
        translator.fit(images.subset(range(4)), images.subset(range(4, 8)))
        return translator.translate(images.subset(range(4)))

    return run


@pytest.fixture
def folder(rng, save, tmp_path):
    (tmp_path / "data").mkdir()
    for i, image in enumerate(rng.integers(0, 256, (8, *SHAPE), dtype=np.uint8)):
        save(image, f"data/{i}.png")
    return tmp_path / "data"


def test_a_run_on_a_copy_of_the_files_is_resumed(run, folder, tmp_path):
    expected = run(folder, checkpoints="uninterrupted")
    with pytest.raises(StopError):
        run(folder, StopAfter(3))
    # Without the times of modification.
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    CountSteps.n_steps = 0
    np.testing.assert_array_equal(run(copy, CountSteps()), expected)
    assert 0 < CountSteps.n_steps < 4


def test_a_run_on_changed_files_starts_again(run, folder):
    with pytest.raises(StopError):
        run(folder, StopAfter(3))
    shutil.copyfile(folder / "1.png", folder / "0.png")
    CountSteps.n_steps = 0
    run(folder, CountSteps())
    assert CountSteps.n_steps == 4

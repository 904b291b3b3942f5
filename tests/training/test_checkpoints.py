"""Stopped, killed or damaged: a run goes on and ends as if nothing had happened."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from gansampler import Trainer
from gansampler.exceptions import (
    CheckpointError,
    CheckpointWarning,
    TrainingRestoredWarning,
    TrainingStoppedWarning,
)
from gansampler.training import Callback, _checkpoint, _trainer
from tests.training.line_task import LineTask


class StopError(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, epoch, step):
        self.at = epoch, step

    def on_step_end(self, task, epoch, step):
        if (epoch, step) == self.at:
            raise StopError


def trainer(folder, *callbacks, **params):
    return Trainer(
        accelerator="cpu",
        precision="32-true",
        checkpoint_dir=folder,
        checkpoint_every=0,
        callbacks=list(callbacks),
        **params,
    )


def files_of(folder):
    (run,) = Path(folder).iterdir()
    return sorted(run.glob("step-*.safetensors"))


def without_times(history):
    return [
        {k: v for k, v in record.items() if k not in ("seconds", "images_per_second")}
        for record in history
    ]


@pytest.fixture(scope="module")
def whole():
    task = LineTask()
    history = Trainer(accelerator="cpu", precision="32-true").fit(task, n_epochs=3)
    return task.net.weight.item(), without_times(history)


@pytest.mark.parametrize("crash", [(1, 1), (1, 3), (2, 1), (2, 2), (3, 3)])
def test_interrupted_equals_uninterrupted(tmp_path, whole, crash):
    with pytest.raises(StopError):
        trainer(tmp_path, CrashAt(*crash)).fit(LineTask(), n_epochs=3)
    task = LineTask()
    history = trainer(tmp_path).fit(task, n_epochs=3)
    assert task.net.weight.item() == whole[0]
    assert without_times(history) == whole[1]
    # The step of the crash was not written yet; those before it are not done again.
    assert task.visited[0] == crash


def test_a_finished_run_is_not_trained_again(tmp_path, whole):
    trainer(tmp_path).fit(LineTask(), n_epochs=3)
    task = LineTask()
    (run,) = tmp_path.iterdir()
    with pytest.warns(CheckpointWarning, match=rf"finished .*{run.name}.* again"):
        history = trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited == []
    assert (task.net.weight.item(), without_times(history)) == whole


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    trainer("~/runs").fit(LineTask(), n_epochs=1)
    assert files_of(tmp_path / "runs")


def test_other_settings_are_another_run(tmp_path):
    trainer(tmp_path).fit(LineTask(), n_epochs=3)
    for task, n_epochs in ((LineTask(n_batches=4), 3), (LineTask(), 2)):
        trainer(tmp_path).fit(task, n_epochs=n_epochs)
        assert task.visited[0] == (1, 1)
    assert len(list(tmp_path.iterdir())) == 3


def test_the_last_two_are_kept_and_the_history_is_json_lines(tmp_path):
    history = trainer(tmp_path).fit(LineTask(), n_epochs=3, description="line")
    names = [path.name for path in files_of(tmp_path)]
    assert names == ["step-0000000008.safetensors", "step-0000000009.safetensors"]
    (run,) = tmp_path.iterdir()
    assert run.name.startswith("line-")
    lines = (run / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history
    assert sorted(path.suffix for path in run.iterdir()) == [
        ".jsonl",
        ".safetensors",
        ".safetensors",
    ]


def tear(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def change_the_state(path):
    data = path.read_bytes()
    assert data.count(b"n_images") == 1
    path.write_bytes(data.replace(b"n_images", b"m_images"))


def write_text(path):
    path.write_text("import os\n")


@pytest.mark.parametrize(
    "damage", [tear, empty, flip_a_bit, change_the_state, write_text]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path, whole, damage
):
    with pytest.raises(StopError):
        trainer(tmp_path, CrashAt(2, 3)).fit(LineTask(), n_epochs=3)
    newest = files_of(tmp_path)[-1]
    damage(newest)
    task = LineTask()
    with pytest.warns(CheckpointWarning, match=newest.name):
        trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (2, 2)
    assert task.net.weight.item() == whole[0]


def test_a_foreign_checkpoint_is_named(tmp_path, whole):
    trainer(tmp_path / "a").fit(LineTask(n_batches=4), n_epochs=3)
    trainer(tmp_path / "b").fit(LineTask(), n_epochs=3)
    foreign = files_of(tmp_path / "a")[-1]
    shutil.copy(foreign, files_of(tmp_path / "b")[-1].with_name(foreign.name))
    task = LineTask()
    with (
        pytest.warns(CheckpointWarning, match="other settings or data"),
        pytest.warns(CheckpointWarning, match="finished"),
    ):
        trainer(tmp_path / "b").fit(task, n_epochs=3)
    assert task.net.weight.item() == whole[0]


def test_a_run_that_was_restored_can_be_taken_up(tmp_path):
    """The new order of the data is part of the state."""
    poisoned, crashing = LineTask(poison=[(1, 2)]), trainer(tmp_path, CrashAt(2, 1))
    with pytest.warns(TrainingRestoredWarning), pytest.raises(StopError):
        crashing.fit(poisoned, n_epochs=3)
    task = LineTask()
    trainer(tmp_path).fit(task, n_epochs=3)
    assert task.draw == 1


class EndAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, task, record):
        return record["epoch"] == self.epoch


def test_a_run_that_a_callback_ended_is_continued_by_others(tmp_path, whole):
    history = trainer(tmp_path, EndAfter(2)).fit(LineTask(), n_epochs=3)
    assert len(history) == 2
    task = LineTask()
    history = trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (3, 1)
    assert (task.net.weight.item(), without_times(history)) == whole


def test_files_may_vanish_while_another_process_uses_the_folder(tmp_path, whole):
    with pytest.raises(StopError):
        trainer(tmp_path, CrashAt(2, 2)).fit(LineTask(), n_epochs=3)
    (run,) = tmp_path.iterdir()
    for name in (".history-1", "step-0000000009.safetensors"):
        # Listed, but not there: as a file that was just removed.
        (run / name).symlink_to(tmp_path / "nowhere")
    task = LineTask()
    trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (2, 2)
    assert task.net.weight.item() == whole[0]


def test_files_are_flushed_through_a_handle_for_writing(tmp_path, monkeypatch):
    """On Windows, os.fsync refuses one that is open for reading."""
    fcntl = pytest.importorskip("fcntl", reason="needs POSIX")
    modes = []

    def fsync(handle):
        modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", fsync)
    trainer(tmp_path).fit(LineTask(), n_epochs=1)
    assert modes
    assert os.O_RDONLY not in modes


def test_the_gradient_scaler_is_part_of_it(tmp_path, monkeypatch):
    scales = []

    def make(accelerator, device, precision, mixed_precision):
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        scales.append(scaler)
        return Fabric(accelerator="cpu", devices=1, plugins=[plugin])

    monkeypatch.setattr(_trainer, "make_fabric", make)
    expected = LineTask()
    trainer(tmp_path / "a").fit(expected, n_epochs=3)
    with pytest.raises(StopError):
        trainer(tmp_path / "b", CrashAt(3, 1)).fit(LineTask(), n_epochs=3)
    task = LineTask()
    trainer(tmp_path / "b").fit(task, n_epochs=3)
    assert scales[2].get_scale() == scales[0].get_scale() == 4.0 * 2**4
    assert task.net.weight.item() == expected.net.weight.item()


def test_max_time_goes_on_where_it_stopped(tmp_path, whole):
    n_stops = 0
    for _ in range(20):
        task = LineTask(pause=0.02)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TrainingStoppedWarning)
            history = trainer(tmp_path, max_time=0.03).fit(task, n_epochs=3)
        if not caught:
            break
        n_stops += 1
        assert "Make the same call again" in str(caught[0].message)
    assert n_stops >= 2
    assert task.net.weight.item() == whole[0]
    assert without_times(history) == whole[1]


@pytest.mark.parametrize("earlier", [(1,), (2,), (1, 2), (2, 1)])
def test_more_epochs_continue_the_training(tmp_path, whole, earlier):
    """StepLR does not depend on the number of epochs, so nothing differs."""
    for n_epochs in earlier:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            trainer(tmp_path).fit(LineTask(), n_epochs=n_epochs)
    task = LineTask()
    longest = max(earlier)
    with pytest.warns(CheckpointWarning, match=f"continues a run of {longest} epochs"):
        history = trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (longest + 1, 1)
    assert (task.net.weight.item(), without_times(history)) == whole
    # The shorter runs are as before.
    task = LineTask()
    with pytest.warns(CheckpointWarning, match="finished"):
        assert len(trainer(tmp_path).fit(task, n_epochs=longest)) == longest
    assert task.visited == []


def test_more_epochs_continue_a_stopped_run(tmp_path, whole):
    with pytest.raises(StopError):
        trainer(tmp_path, CrashAt(2, 2)).fit(LineTask(), n_epochs=2)
    task = LineTask()
    with pytest.warns(CheckpointWarning, match="continues a run of 2 epochs"):
        trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (2, 2)
    assert task.net.weight.item() == whole[0]


def test_fewer_epochs_are_a_run_of_their_own(tmp_path, whole):
    trainer(tmp_path).fit(LineTask(), n_epochs=3)
    task, expected = LineTask(), LineTask()
    trainer(tmp_path).fit(task, n_epochs=2)
    Trainer(accelerator="cpu", precision="32-true").fit(expected, n_epochs=2)
    assert task.visited[0] == (1, 1)
    assert task.net.weight.item() == expected.net.weight.item()


def test_a_damaged_shorter_run_is_skipped(tmp_path, whole):
    for n_epochs in (1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            trainer(tmp_path).fit(LineTask(), n_epochs=n_epochs)
    for path in tmp_path.glob("*-2-epochs/*.safetensors"):
        tear(path)
    task = LineTask()
    with (
        pytest.warns(CheckpointWarning, match="continues a run of 1 epochs"),
        pytest.warns(CheckpointWarning, match="cannot be used"),
    ):
        trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (2, 1)
    assert task.net.weight.item() == whole[0]


def test_a_run_that_ended_itself_does_not_go_on(tmp_path):
    """As with early stopping: more epochs would not have been trained either."""

    class EndsItself(LineTask):
        def end_epoch(self, record):
            return record["epoch"] == 2

    trainer(tmp_path).fit(EndsItself(), n_epochs=3)
    task = EndsItself()
    with pytest.warns(CheckpointWarning, match="continues a run of 3 epochs"):
        history = trainer(tmp_path).fit(task, n_epochs=5)
    assert task.visited == []
    assert len(history) == 2
    assert task.finished


def test_the_task_knows_whether_it_is_finished(tmp_path):
    task = LineTask(pause=0.02)
    with pytest.warns(TrainingStoppedWarning, match="raise `max_time`,? .*continue"):
        trainer(tmp_path, max_time=0.01).fit(task, n_epochs=3)
    assert not task.finished
    trainer(tmp_path).fit(task, n_epochs=3)
    assert task.finished
    trainer(tmp_path / "other", EndAfter(1)).fit(task, n_epochs=3)
    assert not task.finished


def test_without_checkpoints_a_stopped_run_says_that_training_begins_anew():
    with pytest.warns(
        TrainingStoppedWarning,
        match=r"raise `max_time`\. A second call .* from the beginning.*checkpoint_dir",
    ):
        Trainer(max_time=0.001).fit(LineTask(pause=0.02), n_epochs=3)


@pytest.fixture
def listening():
    """Python's own handler; a job in the background may have begun without it."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_stops_after_the_step(tmp_path, whole):
    class PressAt(Callback):
        def on_step_end(self, task, epoch, step):
            if (epoch, step) == (2, 2):
                signal.raise_signal(signal.SIGINT)

    task = LineTask()
    with pytest.warns(TrainingStoppedWarning, match=r"Ctrl-C.* epoch 2 .* step 2"):
        history = trainer(tmp_path, PressAt()).fit(task, n_epochs=3)
    assert task.visited[-1] == (2, 2)
    assert history[-1]["n_steps"] == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = LineTask()
    trainer(tmp_path).fit(again, n_epochs=3)
    assert again.visited[0] == (2, 3)
    assert again.net.weight.item() == whole[0]


@pytest.mark.usefixtures("listening")
def test_a_second_ctrl_c_ends_at_once():
    class PressTwice(Callback):
        def on_step_end(self, task, epoch, step):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Trainer(callbacks=[PressTwice()]).fit(LineTask(), n_epochs=3)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("no_privileges")
@pytest.mark.parametrize("kind", ["file", "read-only"])
def test_a_folder_that_can_not_be_written_is_refused_before_work(tmp_path, kind):
    folder = tmp_path / "checkpoints"
    if kind == "file":
        folder.write_text("")
    else:
        folder.mkdir(mode=0o500)
    task = LineTask()
    with pytest.raises(CheckpointError, match="`checkpoint_dir` must be a folder"):
        trainer(folder).fit(task, n_epochs=3)
    assert task.visited == []


def test_too_little_space_is_refused_before_work(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=1, used=0, free=1)
    monkeypatch.setattr(_checkpoint.shutil, "disk_usage", lambda path: usage)
    task = LineTask()
    with pytest.raises(CheckpointError, match=r"need .* MB on the disk"):
        trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited == []


def test_a_disk_that_fills_up_leaves_the_earlier_checkpoint(
    tmp_path, monkeypatch, whole
):
    real, calls = _checkpoint.save_model, []

    def fill(*args):
        calls.append(args)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*args)

    monkeypatch.setattr(_checkpoint, "save_model", fill)
    with pytest.raises(CheckpointError, match=r"No space left.*undamaged"):
        trainer(tmp_path).fit(LineTask(), n_epochs=3)
    assert [path.name[-13:-12] for path in files_of(tmp_path)] == ["2", "3"]
    task = LineTask()
    trainer(tmp_path).fit(task, n_epochs=3)
    assert task.visited[0] == (2, 1)
    assert task.net.weight.item() == whole[0]


def test_every_random_state_is_part_of_it(tmp_path):
    class Noisy(LineTask):
        def training_step(self, batch):
            noise = random.random() + np.random.random() + torch.rand(()).item()
            return {**super().training_step(batch), "noise": torch.tensor(noise)}

    def seed():
        random.seed(1), np.random.seed(2), torch.manual_seed(3)

    seed()
    expected = trainer(tmp_path / "a").fit(Noisy(), n_epochs=3)
    seed()
    with pytest.raises(StopError):
        trainer(tmp_path / "b", CrashAt(2, 2)).fit(Noisy(), n_epochs=3)
    task = Noisy()
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
    history = trainer(tmp_path / "b").fit(task, n_epochs=3)
    assert without_times(history) == without_times(expected)
    # The caller's own are as before.
    assert (random.getstate(), str(np.random.get_state())) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])


# It imports once, and then forks a child for each line that it reads.
NURSERY = """
import os, sys, numpy as np, torch
from gansampler import CycleGAN, GANOverSampler, Trainer
import gansampler.training._run
import warnings
from gansampler.exceptions import CheckpointWarning

warnings.simplefilter("ignore", CheckpointWarning)

def job(folder, out):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (14, 8, 8, 3), dtype=np.uint8)
    y = np.repeat([0, 1, 2], [7, 4, 3])
    X[y == 1] //= 2
    trainer = Trainer(accelerator="cpu", checkpoint_dir=folder, checkpoint_every=0)
    sampler = GANOverSampler(
        translator=CycleGAN(
            ngf=4, ndf=4, n_blocks=1, n_epochs=3, batch_size=2, pool_size=3,
            ema_decay=0.9, trainer=trainer,
        ),
        random_state=0,
    )
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    np.savez(out + ".part.npz", X_resampled, y_resampled)
    os.replace(out + ".part.npz", out)

print("ready", flush=True)
while line := sys.stdin.readline():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job(*line.split())
            code = 0
        finally:
            os._exit(code)
    print(pid, flush=True)
    # Until it is waited for, its number is not another's.
    assert sys.stdin.readline() == "wait\\n"
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_any_moment_fit_resample_ends_with_the_same_bytes(tmp_path):
    """Twenty random moments, while a checkpoint is written after each step."""
    rng = random.Random(0)
    folder, out, whole = (tmp_path / n for n in ("checkpoints", "out.npz", "whole.npz"))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as nursery:

        def run(folder, out, seconds=None, unfinished=None):
            """Run the job; kill it after so long. Return whether it came to its end.

            With `unfinished`, kill it as soon after that as such a file is there.
            """
            print(folder, out, file=nursery.stdin, flush=True)
            pid = int(nursery.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                end = time.monotonic() + 2
                while unfinished and time.monotonic() < end:
                    if next(folder.glob(unfinished), None):
                        break
                os.kill(pid, signal.SIGKILL)
            print("wait", file=nursery.stdin, flush=True)
            code = int(nursery.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            return code == 0

        assert nursery.stdout.readline() == "ready\n"
        begin = time.monotonic()
        assert run(tmp_path / "others", whole)
        seconds = time.monotonic() - begin
        n_kills = n_unfinished = 0
        while n_kills < 20:
            unfinished = "*/.step-*" if n_kills % 2 else None
            moment = rng.uniform(0, 0.4 * seconds)
            if out.exists() or run(folder, out, moment, unfinished):
                assert_same(out, whole)
                # It came to its end: begin anew.
                out.unlink()
                shutil.rmtree(folder)
            else:
                n_kills += 1
                n_unfinished += bool(list(folder.glob("*/.step-*")))
        assert run(folder, out)
        assert_same(out, whole)
        nursery.stdin.close()
    assert n_unfinished > 0, "none was killed while it wrote"


def assert_same(path, other):
    with np.load(path) as a, np.load(other) as b:
        assert a.files == b.files
        for name in a.files:
            assert a[name].tobytes() == b[name].tobytes()

"""Several processes give what one gives, and end together."""

import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from gansampler import CycleGAN, Trainer
from gansampler.exceptions import ProcessFailedError, TrainingStoppedWarning
from gansampler.training import Callback, SavePictures, _launch, join_group
from tests.training.line_task import LineTask

pytestmark = pytest.mark.ddp


def trainer(devices, **params):
    return Trainer(accelerator="cpu", precision="32-true", devices=devices, **params)


def domains(n_source=10, n_target=7):
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 128, (n_source, 8, 8, 3), dtype=np.uint8)
    bright = rng.integers(128, 256, (n_target, 8, 8, 3), dtype=np.uint8)
    return dark, bright


def tiny(trainer, **params):
    return CycleGAN(
        ngf=4,
        ndf=4,
        n_blocks=1,
        batch_size=4,
        pool_size=3,
        random_state=0,
        trainer=trainer,
        **{"n_epochs": 2, **params},
    )


@pytest.mark.parametrize(
    ("precision", "n_epochs", "tolerance"), [("32-true", 1, 1e-5), ("64-true", 3, 1e-8)]
)
def test_two_processes_give_the_weights_of_one(precision, n_epochs, tolerance):
    """Ten images in batches of four: the last one is of two, and is shared out too."""
    one, two = (
        tiny(trainer(devices).set_params(precision=precision), n_epochs=n_epochs).fit(
            *domains()
        )
        for devices in (1, 2)
    )
    for name in ("generator_st_", "generator_ts_", "discriminator_s_"):
        pairs = zip(
            getattr(one, name).parameters(),
            getattr(two, name).parameters(),
            strict=True,
        )
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    for a, b in zip(one.history_, two.history_, strict=True):
        assert b["cycle_source"] == pytest.approx(a["cycle_source"], rel=1e-5)
        assert b["n_steps"] == a["n_steps"]


def test_a_batch_that_can_not_be_divided_is_computed_by_all():
    dark, bright = domains(9, 5)
    one, two = (
        tiny(trainer(devices).set_params(precision="64-true")).fit(dark, bright)
        for devices in (1, 2)
    )
    a, b = (model.translate(dark).astype(int) for model in (one, two))
    assert np.abs(a - b).max() <= 1


def test_too_small_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"Got 3 for 2 processes. Pass batch_size=2"):
        tiny(trainer(2)).set_params(batch_size=3).fit(*domains())


class FailIn(LineTask):
    def __init__(self, rank, how):
        super().__init__()
        self.rank, self.how = rank, how

    def training_step(self, batch):
        if self.process_group.rank == self.rank and self.at == (1, 2):
            if self.how == "kill":
                import os

                os.kill(os.getpid(), 9)
            raise KeyError("the answer", time.time())
        return super().training_step(batch)


@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_in_one_process_ends_all_with_its_message(rank):
    with pytest.raises(KeyError, match="the answer") as caught:
        trainer(2).fit(FailIn(rank, "raise"), n_epochs=2)
    assert time.time() - caught.value.args[1] < 30
    assert "training_step" in caught.value.__notes__[0]


def test_a_process_that_dies_ends_all():
    with pytest.raises(ProcessFailedError, match=r"Process 1 ended with .* -9"):
        trainer(2).fit(FailIn(1, "kill"), n_epochs=2)


class CrashAt(Callback):
    def __init__(self, *at):
        self.at = at

    def on_step_end(self, task, epoch, step):
        if (epoch, step) == self.at:
            raise KeyError("crash")


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(tmp_path, first, then):
    checkpoints = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyError, match="crash"):
        trainer(first, callbacks=[CrashAt(2, 2)], **checkpoints).fit(
            LineTask(), n_epochs=3
        )
    (run,) = tmp_path.iterdir()
    newest = max(path.name for path in run.glob("step-*"))
    assert newest == "step-0000000004.safetensors"
    task, whole = LineTask(), LineTask()
    history = trainer(then, **checkpoints).fit(task, n_epochs=3)
    expected = trainer(1).fit(whole, n_epochs=3)
    assert task.net.weight.item() == pytest.approx(whole.net.weight.item(), rel=1e-6)
    assert [h["loss"] for h in history] == pytest.approx([h["loss"] for h in expected])


def test_warnings_and_the_history_come_back():
    with pytest.warns(TrainingStoppedWarning, match="max_time=0.3"):
        history = trainer(2, max_time=0.3).fit(
            LineTask(n_batches=10_000, pause=0.01), n_epochs=1
        )
    assert 1 <= history[-1]["n_steps"] < 10_000


def test_large_arrays_are_shared_not_copied(tmp_path):
    array = np.arange(1_000_000)
    path = tmp_path / "call"
    _launch._write(path, {"array": array, "empty": np.empty(0), "list": [array]})
    assert path.stat().st_size < 10_000
    read = _launch._read(path)
    np.testing.assert_array_equal(read["array"], array)
    assert read["list"][0] is read["array"]
    assert len(read["empty"]) == 0


def test_a_plain_script_without_a_guard(tmp_path):
    """It is run once, and what it defines reaches the processes."""
    script = tmp_path / "script.py"
    script.write_text(
        "print('running')\n"
        "import numpy as np, torch\n"
        "from gansampler import CycleGAN, Trainer\n"
        "def build(n_channels):\n"
        "    return torch.nn.Conv2d(n_channels, n_channels, 3, padding=1)\n"
        "X = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)\n"
        "model = CycleGAN(generator=build, ndf=4, n_epochs=1, batch_size=2,\n"
        "                 trainer=Trainer(accelerator='cpu', devices=2), verbose=1)\n"
        "print(model.fit(X[:4], X[4:]).translate(X).shape)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["running", "(8, 8, 8, 3)"]
    # One process reports for all.
    assert ended.stderr.count("2/2 step (100%)") == 1


class Normalised(LineTask):
    """A line after batch normalisation, whose statistics are those of all rows."""

    def __init__(self):
        super().__init__(lr=0.3)
        self.net = nn.Sequential(
            nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Dropout(0.1), nn.Linear(2, 1)
        )
        for i, parameter in enumerate(self.net.parameters()):
            nn.init.constant_(parameter, 0.3 + 0.2 * i)
        self.modules = {"net": self.net}
        self.optimizers = {"net": torch.optim.SGD(self.net.parameters(), lr=0.3)}
        self.schedulers = []

    def batches(self, epoch, first=1):
        # Dropout is off. Each of two processes gets one row.
        self.net[2].eval()
        for step in range(first, self.n_batches + 1):
            self.at = epoch, step
            noise = torch.Generator().manual_seed(1000 * epoch + step)
            x = self.process_group.share(torch.rand(2, 1, generator=noise))
            yield x, 2 * x

    def translate(self, X):
        def encode(rows):
            return torch.from_numpy(X[rows, 0, 0] / 255.0).float()

        trainer = Trainer(accelerator="cpu", precision="32-true", devices=2)
        part = self.net[0], self.net[1]
        row = trainer.predict(nn.Sequential(*part), len(X), encode, torch.Tensor.numpy)
        assert row.shape == (len(X), 2)
        return X


def test_batch_statistics_are_those_of_all_processes(tmp_path):
    """Also: callbacks may predict, global random states and dtypes stay."""
    one, two = Normalised(), Normalised()
    state = list(two.net.state_dict())
    pictures = SavePictures(tmp_path, np.zeros((3, 4, 4, 1), dtype=np.uint8), every=2)
    Trainer(accelerator="cpu", precision="64-true").fit(one, n_epochs=3)
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    Trainer(
        accelerator="cpu", precision="64-true", devices=2, callbacks=[pictures]
    ).fit(two, n_epochs=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), str(np.random.get_state())) == before[1:]
    assert list(two.net.state_dict()) == state
    torch.testing.assert_close(one.net.state_dict(), two.net.state_dict())
    assert {p.dtype for p in two.net.parameters()} == {torch.float32}
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0002.png"]


class Drawn(LineTask):
    """As with random_state=None: each process draws weights, data and noise."""

    def __init__(self):
        super().__init__()
        self.seed = int.from_bytes(os.urandom(3), "big")
        torch.manual_seed(self.seed)
        nn.init.normal_(self.net.weight)
        self.seeds = []

    def training_step(self, batch):
        self.seeds.append(self.seed)
        losses = super().training_step(batch)
        return {**losses, "noise": torch.rand(())}

    def state_dict(self):
        return {"seed": self.seed}

    def load_state_dict(self, state):
        self.seed = state["seed"]


def fit_drawn():
    task = Drawn()
    noise = trainer(1).fit(task, n_epochs=2)[-1]["noise"]
    with join_group() as group:
        drawn = torch.rand(1)
        both = group.gather(torch.tensor([[task.net.weight.item(), task.seed, noise]]))
        return both.tolist(), group.gather(drawn).tolist(), set(task.seeds)


def test_without_a_seed_all_processes_start_from_the_state_of_the_first():
    (first, second), own, seeds = _launch.run_in_processes(2, fit_drawn)
    assert first == second
    assert seeds == {int(first[1])}
    # The generators of each process are its own again.
    assert own[0] != own[1]

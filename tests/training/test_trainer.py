import copy
import logging
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from gansampler import Trainer
from gansampler.exceptions import (
    OutOfMemoryError,
    TrainingDivergedError,
    TrainingRestoredWarning,
    TrainingStoppedWarning,
)
from gansampler.training import Callback, TensorBoard, _device
from tests.training.line_task import LineTask


def reference(n_epochs, n_batches):
    """The same descent in plain Python."""
    weight, velocity, lr, means = 0.0, 0.0, 0.1, []
    for epoch in range(1, n_epochs + 1):
        losses = []
        for step in range(1, n_batches + 1):
            noise = torch.Generator().manual_seed(1000 * epoch + step)
            x = torch.rand(4, 1, generator=noise).double().numpy()
            losses.append(np.mean((weight * x - 2 * x) ** 2))
            gradient = np.mean(2 * (weight * x - 2 * x) * x)
            velocity = 0.5 * velocity + gradient
            weight -= lr * velocity
        means.append(np.mean(losses))
        lr /= 2
    return weight, means


def test_history_and_weights_match_the_reference():
    task = LineTask()
    history = Trainer(accelerator="cpu", precision="32-true").fit(task, n_epochs=3)
    weight, means = reference(3, 3)
    assert task.net.weight.item() == pytest.approx(weight, rel=1e-5)
    np.testing.assert_allclose([h["loss"] for h in history], means, rtol=1e-5)
    assert [h["epoch"] for h in history] == [1, 2, 3]
    assert [h["lr"] for h in history] == pytest.approx([0.1, 0.05, 0.025])
    assert all(h["n_steps"] == 3 and h["images_per_second"] > 0 for h in history)


def test_networks_come_back_plain():
    task = LineTask()
    Trainer(accelerator="cpu").fit(task, n_epochs=1)
    assert task.modules["net"] is task.net
    assert not task.net.training
    pickle.dumps(task.net)


def test_max_time_stops_and_says_so():
    task = LineTask(n_batches=1000, pause=0.005)
    start = time.monotonic()
    with pytest.warns(
        TrainingStoppedWarning, match=r"max_time=0.1 s\) in epoch 1 of 5"
    ):
        history = Trainer(max_time=timedelta(seconds=0.1)).fit(task, n_epochs=5)
    assert time.monotonic() - start < 10
    assert 1 <= len(task.visited) < 1000
    assert history[-1]["n_steps"] == len(task.visited)


@pytest.mark.parametrize("poison", [(1, 1), (1, 2), (2, 3)])
def test_a_loss_that_is_not_finite_is_survived_once(poison):
    task = LineTask(poison=[poison])
    message = rf"'loss' became nan in epoch {poison[0]}, step {poison[1]}\."
    with pytest.warns(TrainingRestoredWarning, match=message):
        history = Trainer(checkpoint_every=0, precision="32-true").fit(task, n_epochs=3)
    # The state before the step was restored, and the step taken again.
    assert task.visited.count(poison) == 2
    weight, means = reference(3, 3)
    assert task.net.weight.item() == pytest.approx(weight, rel=1e-5)
    np.testing.assert_allclose([h["loss"] for h in history], means, rtol=1e-5)
    assert task.draw == 1


def test_the_second_time_it_is_an_error():
    task = LineTask(poison=[(1, 2), (2, 1)])
    message = r"'loss' became nan in epoch 2, step 1\. This is the second time"
    with (
        pytest.warns(TrainingRestoredWarning, match="epoch 1, step 2"),
        pytest.raises(TrainingDivergedError, match=message),
    ):
        Trainer(checkpoint_every=0).fit(task, n_epochs=4)
    assert task.modules["net"] is task.net


def test_weights_that_are_not_finite_at_the_start_are_an_error():
    task = LineTask()
    nn.init.constant_(task.net.weight, float("nan"))
    message = r"must be finite before the first step.*Check how"
    with pytest.raises(TrainingDivergedError, match=message):
        Trainer().fit(task, n_epochs=1)
    assert task.visited == []


def test_the_end_is_reported_after_an_error_too():
    ends = []

    class Reporter(Callback):
        def on_step_end(self, task, epoch, step):
            raise KeyError("crash")

        def on_fit_end(self, task, history):
            ends.append(history)

    class FailsToStart(Reporter):
        def on_fit_start(self, task, n_epochs):
            raise KeyError("start")

    with pytest.raises(KeyError, match="crash"):
        Trainer(callbacks=[Reporter(), Reporter()]).fit(LineTask(), n_epochs=1)
    assert ends == [[], []]
    # One that did not start does not end.
    with pytest.raises(KeyError, match="start"):
        Trainer(callbacks=[Reporter(), FailsToStart()]).fit(LineTask(), n_epochs=1)
    assert len(ends) == 3


def test_a_clone_has_the_same_callbacks():
    callback = Callback()
    assert clone(Trainer(callbacks=[callback])).callbacks[0] is callback


def test_hooks_are_called_in_order_and_may_end_the_run():
    calls = []

    class Recorder(Callback):
        def on_fit_start(self, task, n_epochs):
            calls.append(("start", n_epochs))

        def on_step_end(self, task, epoch, step):
            calls.append(("step", epoch, step))

        def on_epoch_end(self, task, record):
            calls.append(("epoch", record["epoch"]))
            return record["epoch"] == 2

        def on_fit_end(self, task, history):
            calls.append(("end", len(history)))

    Trainer(callbacks=[Callback(), Recorder()]).fit(LineTask(n_batches=2), n_epochs=9)
    assert calls == [
        ("start", 9),
        ("step", 1, 1),
        ("step", 1, 2),
        ("epoch", 1),
        ("step", 2, 1),
        ("step", 2, 2),
        ("epoch", 2),
        ("end", 2),
    ]


@pytest.mark.parametrize("precision", ["auto", "32-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize("n_pixels", [1, 2**15, 2**20])
def test_predict_keeps_order_and_mode(precision, n_pixels):
    net = nn.Linear(2, 1).train()
    rows = torch.arange(10.0).repeat(2, 1).T
    seen = []

    def encode(part):
        seen.append(len(part))
        return rows[part]

    trainer = Trainer(accelerator="cpu", precision=precision)
    result = trainer.predict(
        net, 10, encode, lambda out: out.float().numpy(), n_pixels=n_pixels
    )
    with torch.no_grad():
        np.testing.assert_allclose(result, net.float()(rows), rtol=2e-2, atol=2e-2)
    assert net.training
    assert max(seen) == {1: 10, 2**15: 2, 2**20: 1}[n_pixels]


class Nested(nn.Module):
    """Its first part is frozen, and in the mode of evaluation."""

    def __init__(self):
        super().__init__()
        self.frozen, self.head = nn.Dropout(), nn.Linear(1, 1, bias=False)

    def forward(self, input):
        return self.head(self.frozen(input))


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_predict_gives_the_network_back_as_it_was(precision):
    net = Nested().train()
    net.frozen.eval()
    trainer = Trainer(accelerator="cpu", precision=precision)
    trainer.predict(net, 3, lambda rows: torch.ones(len(rows), 1), torch.Tensor.numpy)
    assert (net.training, net.frozen.training, net.head.training) == (True, False, True)
    assert net.head.weight.dtype == torch.float32


def test_fit_gives_networks_back_in_their_number_format():
    task = LineTask()
    Trainer(accelerator="cpu", precision="64-true").fit(task, n_epochs=1)
    assert task.net.weight.dtype == torch.float32


class PredictAfter(Callback):
    """Predict with the network that is being trained."""

    def __init__(self, trainer):
        self.trainer, self.outputs, self.dtypes = trainer, [], set()

    def on_step_end(self, task, epoch, step):
        net = task.modules["net"]
        self.outputs += self.trainer.predict(
            net, 1, lambda rows: torch.ones(len(rows), 1), torch.Tensor.numpy
        ).tolist()
        self.dtypes.add((net.weight.device.type, net.weight.dtype))


@pytest.mark.parametrize(
    "accelerator", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
)
def test_predicting_in_a_callback_does_not_change_the_run(accelerator):
    settings = {"accelerator": accelerator, "precision": "64-true"}
    callback = PredictAfter(Trainer(**settings))
    expected, task = LineTask(), LineTask()
    Trainer(**settings).fit(expected, n_epochs=2)
    Trainer(**settings, callbacks=[callback]).fit(task, n_epochs=2)
    assert task.net.weight.item() == expected.net.weight.item()
    assert callback.outputs[-1] == pytest.approx([task.net.weight.item()])
    assert callback.dtypes == {(accelerator, torch.float64)}
    assert not task.net.training


def test_predict_halves_batches_that_exhaust_memory():
    sizes = []

    class Greedy(nn.Module):
        def forward(self, input):
            sizes.append(len(input))
            if len(input) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return input

    result = Trainer(accelerator="cpu").predict(
        Greedy(), 10, lambda rows: torch.tensor(rows), torch.Tensor.numpy
    )
    assert result.tolist() == list(range(10))
    assert sizes[:3] == [10, 5, 2]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError("9 GiB"),
    ],
)
def test_out_of_memory_says_what_to_change(error):
    class Greedy(LineTask):
        memory_advice = "Lower `batch_size`."

        def training_step(self, batch):
            raise error

    with pytest.raises(OutOfMemoryError, match=r"about .* GiB.*Lower `batch_size`"):
        Trainer().fit(Greedy(), n_epochs=1)


def test_other_errors_pass_as_they_are():
    class Broken(LineTask):
        def training_step(self, batch):
            raise RuntimeError("mat1 and mat2")

    with pytest.raises(RuntimeError, match="^mat1 and mat2$"):
        Trainer().fit(Broken(), n_epochs=1)


def test_weights_in_half_precision_are_cast_anew_after_an_update():
    """Two updates of one network in a step: the second sees the first's weights."""

    class TwoUpdates(LineTask):
        def training_step(self, batch):
            first = super().training_step(batch)
            return {"first": first["loss"], **super().training_step(batch)}

    history = Trainer(precision="bf16-mixed").fit(TwoUpdates(n_batches=1), n_epochs=1)
    assert history[0]["loss"] < 0.95 * history[0]["first"]


def test_threads_hide_the_messages_of_fabric_together():
    logger = logging.getLogger("lightning_fabric.utilities.rank_zero")
    disabled_in_between, make = [], _device.Fabric
    # The first one ends while the others are under way.
    seconds = iter([0.01] + 7 * [0.05])

    def slow_fabric(**settings):
        time.sleep(next(seconds))
        disabled_in_between.append(logger.disabled)
        return make(**settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_device, "Fabric", slow_fabric)
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(_device.make_fabric, "cpu", 1, "32-true", False)
                for _ in range(8)
            ]
            [job.result() for job in jobs]
    assert disabled_in_between == [True] * 8
    assert not logger.disabled


def test_quiet_by_default_and_a_line_when_logging(capfd):
    Trainer().fit(LineTask(), n_epochs=2)
    assert capfd.readouterr() == ("", "")
    Trainer().fit(LineTask(), n_epochs=2, verbose=1, description="line")
    out, err = capfd.readouterr()
    assert out == ""
    # One line for a short run, whole, with nothing that redraws it.
    assert err.count("\n") == 1
    assert err.startswith("line: 6/6 step (100%)")
    assert "\r" not in err
    Trainer(progress_bar=False).fit(LineTask(), n_epochs=2, verbose=1)
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("lightning_fabric.utilities.rank_zero").disabled


@pytest.mark.parametrize(
    "bad",
    [
        {"accelerator": "tpu"},
        {"precision": 16},
        {"max_time": 0},
        {"max_time": "1h"},
        {"devices": 0},
        {"callbacks": "all"},
        {"checkpoint_dir": 3},
        {"checkpoint_every": -1},
    ],
)
def test_bad_parameters_are_named(bad):
    name = next(iter(bad))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Trainer must be"):
        Trainer(**bad).fit(LineTask(), n_epochs=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
@pytest.mark.parametrize("accelerator", ["cuda", "gpu", "mps"])
def test_an_accelerator_that_is_not_there_is_refused(accelerator):
    if accelerator != "cuda" and torch.backends.mps.is_available():
        pytest.skip("has MPS")
    with pytest.raises(ValueError, match=f"Got '{accelerator}', which cannot be used"):
        Trainer(accelerator=accelerator).fit(LineTask(), n_epochs=1)


def test_callbacks_must_be_callbacks():
    with pytest.raises(TypeError, match=r"`callbacks` must be .* Got 3\."):
        Trainer(callbacks=[3]).fit(LineTask(), n_epochs=1)


@pytest.mark.parametrize("devices", [[], [0, 1], [-1], ["a"]])
def test_impossible_devices_are_refused(devices):
    with pytest.raises(ValueError, match="`devices` must be a number of devices"):
        Trainer(devices=devices, accelerator="cpu").fit(LineTask(), n_epochs=1)


def test_it_is_an_estimator():
    trainer = Trainer(precision="32-true", max_time=5)
    for other in (
        clone(trainer),
        copy.deepcopy(trainer),
        pickle.loads(pickle.dumps(trainer)),
    ):
        assert other.get_params() == trainer.get_params()


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        trainer = Trainer(callbacks=[TensorBoard(tmp_path)])
        history = trainer.fit(LineTask(), n_epochs=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit-1", "fit-2"]
    events = EventAccumulator(str(tmp_path / "fit-2")).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("loss")]
    assert losses == [(h["epoch"], pytest.approx(h["loss"])) for h in history]


def test_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install .gansampler\[tensorboard\]"):
        Trainer(callbacks=[TensorBoard(tmp_path)]).fit(LineTask(), n_epochs=1)

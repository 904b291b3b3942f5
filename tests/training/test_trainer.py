import copy
import logging
import pickle
import time
from datetime import timedelta

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from gansampler import Trainer
from gansampler.exceptions import TrainingDivergedError, TrainingStoppedWarning
from gansampler.training import Callback, TrainingTask


class LineTask(TrainingTask):
    """Fit y = 2 x by gradient descent, so that each step is known in closed form."""

    def __init__(self, *, n_batches=3, poison_at=None, pause=0.0):
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.net.weight)
        self.modules = {"net": self.net}
        optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.optimizers = {"net": optimizer}
        self.schedulers = [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]
        self.n_batches, self.poison_at, self.pause = n_batches, poison_at, pause
        self.n_steps = 0

    def batches(self, epoch):
        for _ in range(self.n_batches):
            yield torch.ones(4, 1), torch.full((4, 1), 2.0)

    def training_step(self, batch):
        time.sleep(self.pause)
        self.n_steps += 1
        input, target = batch
        loss = (self.modules["net"](input) - target).square().mean()
        self.optimizers["net"].zero_grad()
        self.backward(loss)
        self.optimizers["net"].step()
        if self.n_steps == self.poison_at:
            loss = loss * float("nan")
        return {"loss": loss.detach()}


def reference_losses(n_epochs, n_batches):
    weight, lr, means = 0.0, 0.1, []
    for _ in range(n_epochs):
        losses = []
        for _ in range(n_batches):
            losses.append((weight - 2) ** 2)
            weight -= lr * 2 * (weight - 2)
        means.append(np.mean(losses))
        lr /= 2
    return weight, means


def test_history_and_weights_match_the_closed_form():
    task = LineTask()
    history = Trainer(accelerator="cpu", precision="32-true").fit(task, n_epochs=3)
    weight, means = reference_losses(3, 3)
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
    assert 1 <= task.n_steps < 1000
    assert history[-1]["n_steps"] == task.n_steps


@pytest.mark.parametrize("poison_at", [1, 2, 5])
def test_divergence_names_loss_epoch_and_step(poison_at):
    task = LineTask(poison_at=poison_at)
    epoch, step = divmod(poison_at - 1, 3)
    message = rf"'loss' became nan in epoch {epoch + 1}, step {step + 1}\."
    with pytest.raises(TrainingDivergedError, match=message):
        Trainer().fit(task, n_epochs=4)
    assert task.modules["net"] is task.net


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


@pytest.mark.parametrize("precision", ["auto", "32-true", "bf16-mixed"])
def test_predict_keeps_order_and_mode(precision):
    net = nn.Linear(2, 1).train()
    batches = [torch.full((n, 2), float(n)) for n in (3, 1, 2)]
    outputs = list(Trainer(precision=precision).predict(net, iter(batches)))
    assert [len(output) for output in outputs] == [3, 1, 2]
    with torch.no_grad():
        for batch, output in zip(batches, outputs, strict=True):
            torch.testing.assert_close(output, net(batch), rtol=2e-2, atol=2e-2)
    assert net.training


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
    ],
)
def test_bad_parameters_are_named(bad):
    name = next(iter(bad))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Trainer must be"):
        Trainer(**bad).fit(LineTask(), n_epochs=1)


def test_more_devices_are_refused_rather_than_ignored():
    with pytest.raises(ValueError, match="`devices` must be 1"):
        Trainer(devices=2).fit(LineTask(), n_epochs=1)


def test_it_is_an_estimator():
    trainer = Trainer(precision="32-true", max_time=5)
    for other in (
        clone(trainer),
        copy.deepcopy(trainer),
        pickle.loads(pickle.dumps(trainer)),
    ):
        assert other.get_params() == trainer.get_params()

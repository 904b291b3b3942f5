"""Which calls share a run: those with the same parameters by content, and weights."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gansampler import CycleGAN, Trainer, TransferClassifier
from gansampler._serialization import comparable_params, content_hash
from tests.training.line_task import LineTask


class Scaled(nn.Conv2d):
    def __init__(self, n_channels, scale):
        super().__init__(n_channels, n_channels, 1)
        self.scale = scale

    def forward(self, input):
        return self.scale * super().forward(input)


def build(n_channels, scale):
    return Scaled(n_channels, scale)


class Builder:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, n_channels):
        return Scaled(n_channels, self.scale)


def closure(scale):
    return lambda n_channels: Scaled(n_channels, scale)


def network(seed):
    torch.manual_seed(seed)
    return nn.Linear(2, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: partial(build, scale=x),
        Builder,
        closure,
        network,
        lambda x: partial(build, scale=network(x)),
        np.random.RandomState,
        np.random.default_rng,
        lambda x: {"a": {x, "b"}},
        lambda x: type("Local", (), {"scale": x}),
        lambda x: nn.CrossEntropyLoss(label_smoothing=0.1 * x, weight=torch.ones(2)),
    ],
)
def test_a_hash_follows_the_content(make):
    with torch.random.fork_rng():
        first, same, other = (content_hash(make(x)) for x in (1, 1, 2))
    assert first == same
    assert first != other


def test_two_lambdas_differ():
    assert content_hash(lambda x: x + 1) != content_hash(lambda x: x + 2)


def test_what_can_not_be_pickled_counts_by_its_class():
    assert content_hash(iter([1]).__next__) != content_hash(sys.stdout)
    assert content_hash(sys.stdout) == content_hash(sys.stderr)


SCRIPT = """
{blank}
import torch
from functools import partial
from gansampler._serialization import content_hash

class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width

def block(n):
    return [Net(i) for i in range(n)] if n else recursive(n + 1)

def recursive(n):
    return block(n - 1)

def build(n_channels):
    assert n_channels not in {{"a", "b", "c"}}
    return torch.nn.Sequential(*[block(i) for i in range(3)])

print(content_hash([build, partial(build, 3), Net, Net(3), lambda x: Net(x)]))
"""


def test_the_hash_of_a_script_is_the_same_in_every_process(tmp_path):
    hashes = set()
    for seed, blank in ((1, ""), (2, "\n\n")):
        script = tmp_path / f"script-{seed}.py"
        script.write_text(SCRIPT.format(blank=blank))
        done = subprocess.run(
            [sys.executable, script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout)
    assert len(hashes) == 1


def test_files_count_by_their_content(tmp_path):
    hashes = []
    for name, content in (("a", b"1"), ("b", b"1"), ("a", b"2")):
        (tmp_path / name).write_bytes(content)
        hashes.append(comparable_params(TransferClassifier(weights=tmp_path / name)))
    assert hashes[0] == hashes[1] != hashes[2]


def test_parameters_that_do_not_change_the_result_are_left_out():
    model = CycleGAN(trainer=Trainer(devices=2), verbose=1, random_state=3)
    params = comparable_params(model)
    assert params.keys() >= {"class", "ngf", "random_state"}
    assert not params.keys() & {"trainer", "verbose"}


def fit(folder, **params):
    trainer = Trainer(accelerator="cpu", checkpoint_dir=folder)
    model = CycleGAN(
        ndf=4, n_epochs=1, batch_size=2, random_state=0, trainer=trainer, **params
    )
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return model.fit(X[:2], X[2:])


def test_two_generators_are_two_runs(tmp_path):
    """They have the same name and the same shapes."""
    for scale in (1.0, 2.0):
        model = fit(tmp_path, generator=partial(build, scale=scale))
        alone = fit(None, generator=partial(build, scale=scale))
        torch.testing.assert_close(
            model.generator_st_.state_dict(), alone.generator_st_.state_dict()
        )
    assert len(list(tmp_path.iterdir())) == 2


class Start(LineTask):
    def __init__(self, weight, random_state=0):
        super().__init__()
        nn.init.constant_(self.net.weight, weight)
        self.random_state = random_state

    def fingerprint(self):
        return {"params": {"random_state": self.random_state}}


def test_other_initial_weights_are_another_run(tmp_path):
    for weight in (0.0, 1.0):
        task = Start(weight)
        Trainer(checkpoint_dir=tmp_path).fit(task, n_epochs=1)
        assert task.visited[0] == (1, 1)


def test_random_initial_weights_continue_the_run(tmp_path):
    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0, "precision": "32-true"}
    expected = Start(0.0, None)
    Trainer(precision="32-true").fit(expected, n_epochs=3)
    with pytest.warns(match="max_time"):
        Trainer(max_time=1e-6, **kept).fit(Start(0.0, None), n_epochs=3)
    task = Start(5.0, None)
    Trainer(**kept).fit(task, n_epochs=3)
    assert task.visited[0] == (1, 2)
    assert task.net.weight.item() == expected.net.weight.item()


def test_where_it_runs_does_not_matter(tmp_path):
    with pytest.warns(match="max_time"):
        Trainer(max_time=1e-6, checkpoint_dir=tmp_path, precision="64-true").fit(
            Start(1.0), n_epochs=3
        )
    Trainer(checkpoint_dir=tmp_path).fit(Start(1.0), n_epochs=3)
    assert len(list(tmp_path.iterdir())) == 1

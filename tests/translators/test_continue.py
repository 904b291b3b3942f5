"""More epochs continue the training of a translator, with the new schedule."""

import numpy as np
import pytest

from gansampler import CUT, CycleGAN, Trainer
from gansampler.exceptions import CheckpointWarning, TrainingStoppedWarning

RNG = np.random.default_rng(0)
SOURCE, TARGET = (RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8) for _ in range(2))


def translator(checkpoints, kind=CycleGAN, *, max_time=None, **params):
    trainer = Trainer(
        accelerator="cpu",
        precision="32-true",
        checkpoint_dir=checkpoints,
        max_time=max_time,
    )
    params = {"ngf": 4, "ndf": 4, "n_blocks": 1, "batch_size": 3, **params}
    return kind(**params, trainer=trainer, random_state=0)


@pytest.mark.parametrize("kind", [CycleGAN, CUT])
def test_with_a_constant_rate_it_is_as_one_run(tmp_path, kind):
    translator(tmp_path, kind, n_epochs=1).fit(SOURCE, TARGET)
    with pytest.warns(CheckpointWarning, match="continues a run of 1 epochs"):
        continued = translator(tmp_path, kind, n_epochs=3).fit(SOURCE, TARGET)
    whole = translator(None, kind, n_epochs=3).fit(SOURCE, TARGET)
    np.testing.assert_array_equal(continued.translate(SOURCE), whole.translate(SOURCE))
    assert [record["epoch"] for record in continued.history_] == [1, 2, 3]
    assert continued.is_finished_


def rates(model):
    return [record["lr"] for record in model.history_]


def test_with_decay_the_new_schedule_holds_from_there(tmp_path):
    params = {"n_epochs_decay": 3, "lr": 0.004}
    short = translator(tmp_path, n_epochs=1, **params).fit(SOURCE, TARGET)
    assert rates(short) == pytest.approx([0.004, 0.003, 0.002, 0.001])
    with pytest.warns(CheckpointWarning, match="learning rate depends"):
        longer = translator(tmp_path, n_epochs=5, **params).fit(SOURCE, TARGET)
    # Four epochs were trained: the fifth is the last one at the full rate.
    expected = [0.004, 0.003, 0.002, 0.001, 0.004, 0.003, 0.002, 0.001]
    assert rates(longer) == pytest.approx(expected)
    # The weights are those of the shorter run, trained further.
    assert longer.history_[:4] == short.history_


def test_with_decay_the_same_number_of_epochs_is_as_one_run(tmp_path):
    params = {"n_epochs": 1, "n_epochs_decay": 2}
    with pytest.warns(TrainingStoppedWarning):
        stopped = translator(tmp_path, max_time=1e-6, **params).fit(SOURCE, TARGET)
    assert not stopped.is_finished_
    continued = translator(tmp_path, **params).fit(SOURCE, TARGET)
    whole = translator(None, **params).fit(SOURCE, TARGET)
    np.testing.assert_array_equal(continued.translate(SOURCE), whole.translate(SOURCE))
    assert rates(continued) == rates(whole)


def test_another_length_of_the_decay_is_another_run(tmp_path):
    translator(tmp_path, n_epochs=1, n_epochs_decay=1).fit(SOURCE, TARGET)
    # No warning that a run is continued.
    params = {"n_epochs": 2, "n_epochs_decay": 2}
    other = translator(tmp_path, **params).fit(SOURCE, TARGET)
    whole = translator(None, **params).fit(SOURCE, TARGET)
    np.testing.assert_array_equal(other.translate(SOURCE), whole.translate(SOURCE))


def test_a_saved_translator_knows_that_it_is_not_finished(tmp_path):
    for max_time in (1e-6, None):
        model = translator(None, n_epochs=1, max_time=max_time)
        if max_time is None:
            model.fit(SOURCE, TARGET)
        else:
            with pytest.warns(TrainingStoppedWarning):
                model.fit(SOURCE, TARGET)
        model.save(tmp_path / "model.safetensors")
        loaded = CycleGAN.load(tmp_path / "model.safetensors")
        assert loaded.is_finished_ is (max_time is None)


@pytest.mark.ddp
def test_several_processes_know_whether_they_finished(tmp_path):
    stopped = translator(tmp_path, n_epochs=1, batch_size=2, max_time=1e-6)
    stopped.trainer.devices = 2
    with pytest.warns(TrainingStoppedWarning):
        stopped.fit(SOURCE, TARGET)
    assert not stopped.is_finished_
    continued = translator(tmp_path, n_epochs=1, batch_size=2)
    continued.trainer.devices = 2
    assert continued.fit(SOURCE, TARGET).is_finished_

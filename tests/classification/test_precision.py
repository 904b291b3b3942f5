"""Which classifiers are trained in half precision."""

import pytest
import torch

from gansampler import Trainer
from gansampler.training import Callback


class Mixed(Callback):
    """Keep whether the task allows half precision."""

    def on_step_end(self, task, epoch, step):
        self.is_mixed = task.mixed_precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="CPUs only")
@pytest.mark.parametrize(
    ("backbone", "is_mixed"), [("squeezenet1_1", True), ("mobilenet_v2", False)]
)
def test_depthwise_convolutions_are_trained_in_float32(make, data, backbone, is_mixed):
    callback = Mixed()
    trainer = Trainer(accelerator="cpu", callbacks=[callback])
    make(backbone, n_epochs=1, trainer=trainer).fit(*data)
    assert callback.is_mixed == is_mixed

"""A task whose every step is known in closed form."""

import time

import torch
from torch import nn

from gansampler.training import TrainingTask


class LineTask(TrainingTask):
    """Fit y = 2 x by gradient descent on x = 1.

    Parameters
    ----------
    n_batches : int
    poison : tuple of (epoch, step)
        Steps whose loss is reported as NaN, and breaks the weight.
    pause : float
        Seconds a step.
    """

    def __init__(self, *, n_batches=3, poison=(), pause=0.0, lr=0.1):
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.net.weight)
        self.modules = {"net": self.net}
        optimizer = torch.optim.SGD(self.net.parameters(), lr=lr, momentum=0.5)
        self.optimizers = {"net": optimizer}
        self.schedulers = [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]
        self.n_batches, self.poison, self.pause = n_batches, set(poison), pause
        self.visited = []

    def batches(self, epoch, first=1):
        for step in range(first, self.n_batches + 1):
            self.at = (epoch, step)
            self.visited.append(self.at)
            noise = torch.Generator().manual_seed(1000 * epoch + step)
            rows = self.process_group.share(range(4))
            x = torch.rand(4, 1, generator=noise)[rows.start : rows.stop]
            yield x, 2 * x

    def training_step(self, batch):
        time.sleep(self.pause)
        input, target = batch
        loss = (self.modules["net"](input) - target).square().mean()
        if self.at in self.poison:
            self.poison.discard(self.at)
            loss = loss * float("nan")
        self.update("net", loss)
        return {"loss": loss}

    def fingerprint(self):
        return {"n_batches": self.n_batches}

"""What a user submits to a cluster: over-sample, classify, and save the results.

torchrun --nproc-per-node 2 cluster_job.py OUTPUT CHECKPOINTS [fail|slow]
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from gansampler import CycleGAN, GANOverSampler, Trainer, TransferClassifier
from gansampler.training import Callback

output, checkpoints, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
rank = os.environ.get("RANK", "0")


class Disturb(Callback):
    """Slow the steps down, and tell that they have begun."""

    def on_step_end(self, task, epoch, step):
        if how == ["slow"] and (epoch, step) >= (2, 1):
            (output / "begun").touch()
            time.sleep(0.3)


class FailingClassifier(TransferClassifier):
    def _build_network(self, *args):
        if how == ["fail"] and rank == "1":
            raise KeyError("the answer")
        return super()._build_network(*args)


rng = np.random.default_rng(0)
X = rng.integers(0, 128, (13, 8, 8, 3), dtype=np.uint8)
y = np.repeat(["benign", "malignant"], [9, 4])
X[y == "malignant"] += 100
trainer = Trainer(
    accelerator="cpu",
    precision="64-true",
    checkpoint_dir=checkpoints,
    checkpoint_every=0,
    callbacks=[Disturb()],
)
sampler = GANOverSampler(
    translator=CycleGAN(
        ngf=4, ndf=4, n_blocks=1, n_epochs=3, batch_size=2, trainer=trainer
    ),
    random_state=0,
    verbose=1,
)
X_resampled, y_resampled = sampler.fit_resample(X, y)
classifier = FailingClassifier(
    "squeezenet1_1",
    weights=None,
    n_epochs=1,
    batch_size=4,
    random_state=0,
    trainer=trainer,
)
X_large = X_resampled.repeat(4, axis=1).repeat(4, axis=2)
classifier.fit(X_large, y_resampled)
np.savez(
    output / f"rank-{rank}.npz",
    X=X_resampled,
    y=y_resampled,
    parents=sampler.sample_indices_,
    proba=classifier.predict_proba(X_large),
)

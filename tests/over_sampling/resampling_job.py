"""Resample files in each of several processes.

torchrun --nproc-per-node 2 resampling_job.py ORIGINALS OUTPUT RESULTS
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from gansampler import CycleGAN, GANOverSampler, Trainer
from gansampler.over_sampling import _generation

_generation.BYTES_PER_CHUNK = 4 * 12 * 12 * 3

if __name__ == "__main__":
    originals, output, results = sys.argv[1:]
    translator = CycleGAN(
        ngf=4,
        ndf=4,
        n_blocks=1,
        n_epochs=1,
        batch_size=2,
        random_state=0,
        trainer=Trainer(accelerator="cpu", precision="32-true"),
    )
    sampler = GANOverSampler(
        image_shape=(12, 12, 3),
        output_dir=output,
        translator=translator,
        # Seeds of their own, of which one must be taken.
        random_state=np.random.RandomState(int(os.environ["RANK"])),
    )
    X, y = sampler.fit_resample(
        [f"{originals}/scan {i}.png" for i in range(19)],
        np.repeat(["a", "b", "c"], [12, 4, 3]),
    )
    result = {
        "X": X,
        "y": y.tolist(),
        "indices": sampler.sample_indices_.tolist(),
        "all_there": all(Path(path).is_file() for path in X),
    }
    name = f"{os.environ['RANK']}.json"
    (Path(results) / name).write_text(json.dumps(result))

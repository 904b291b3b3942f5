"""The global random generators: seeded for a fit, and restored afterwards."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from gansampler._validation import isolated_rng

FIRST_FIT = """
import random, numpy as np, torch
from gansampler import CycleGAN, GANOverSampler
X = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
translator = CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=2)
before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
GANOverSampler(translator=translator, random_state=0).fit_resample(X, [0] * 4 + [1] * 2)
assert (random.getstate(), str(np.random.get_state())) == before[:2]
assert torch.equal(torch.get_rng_state(), before[2])
"""


def test_the_first_fit_of_a_process_leaves_them_as_they_were():
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FIT], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_threads_do_not_disturb_each_other():
    def draw(seed):
        with isolated_rng(seed):
            first = torch.rand(3).tolist(), np.random.rand(3).tolist()
            both.wait(0.2)
            return first, torch.rand(3).tolist(), np.random.rand(3).tolist()

    class Event(threading.Event):
        """Nobody sets it: it only gives the other thread time to interfere."""

    both = Event()
    expected = [draw(seed) for seed in (1, 2)]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, (1, 2))) == expected
    assert torch.equal(torch.get_rng_state(), before)

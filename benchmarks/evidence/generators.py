"""Translators of the arms. Their images are kept, because training takes long."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.processor_time import ProcessorTime
from gansampler import CUT, CycleGAN, GANOverSampler, SimGAN, Trainer
from gansampler.networks import ResNetGenerator
from gansampler.translators import BaseTranslator

CACHE = Path(__file__).with_name("cache")


def make_cyclegan(trainer: Trainer) -> CycleGAN:
    """Return a CycleGAN without pretrained features."""
    return CycleGAN(
        generator=partial(ResNetGenerator, ngf=24, n_blocks=4, global_skip=True),
        ndf=32,
        lr=3e-4,
        lambda_cycle=2.0,
        lambda_identity=0.0,
        horizontal_flip=True,
        vertical_flip=True,
        trainer=trainer,
    )


def make_cut(trainer: Trainer) -> CUT:
    """Return a CUT with a small generator."""
    return CUT(ngf=32, horizontal_flip=True, vertical_flip=True, trainer=trainer)


def make_simgan(trainer: Trainer) -> SimGAN:
    """Return a SimGAN with its default losses and networks."""
    return SimGAN(
        n_epochs=10_000,
        patience=30,
        horizontal_flip=True,
        vertical_flip=True,
        trainer=trainer,
    )


# With the minutes of training.
TRANSLATORS: dict[str, tuple[Callable[[Trainer], BaseTranslator], int]] = {
    "cyclegan": (make_cyclegan, 10),
    "cut": (make_cut, 10),
    "simgan": (make_simgan, 15),
}


def translate(
    translator: str,
    X: np.ndarray,
    y: np.ndarray,
    n: int,
    *,
    seed: int,
    shuffle: bool = False,
) -> np.ndarray:
    """Train a translator on a training set for its time, and return its images.

    Parameters
    ----------
    translator : str
        Key of `TRANSLATORS`.
    X : ndarray of uint8 of shape (n_images, height, width, n_channels)
    y : ndarray of int of shape (n_images,)
        1 is the small class.
    n : int
        Number of images to return.
    seed : int
        Seed of the sampler.
    shuffle : bool, default=False
        Whether the translator is trained on shuffled labels.

    Returns
    -------
    images : ndarray of uint8 of shape (n, height, width, n_channels)
    """
    digest = hashlib.sha256(X.tobytes() + y.tobytes()).hexdigest()[:12]
    name = f"{translator}{'-shuffled' if shuffle else ''}-{digest}-{n}-{seed}.npy"
    if (CACHE / name).exists():
        return np.load(CACHE / name)
    if shuffle:
        y = np.random.default_rng(seed).permutation(y)
    make, minutes = TRANSLATORS[translator]
    sampler = GANOverSampler(
        sampling_strategy={1: int((y == 1).sum()) + n},
        translator=make(Trainer(callbacks=[ProcessorTime(60 * minutes)])),
        random_state=seed,
    )
    start = time.monotonic()
    images = sampler.fit_resample(X, y)[0][len(X) :]
    history = sampler.translators_[1].history_
    n_steps = sum(record["n_steps"] for record in history)
    print(f"{name}: {n_steps} steps in {time.monotonic() - start:.0f} s", flush=True)
    CACHE.mkdir(exist_ok=True)
    part = CACHE / f"part-{name}"
    np.save(part, images)
    part.rename(CACHE / name)
    return images

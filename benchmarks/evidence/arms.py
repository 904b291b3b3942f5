"""The arms: each turns training images into what a classifier is trained with.

An arm is a function of the training set, a number of samples and a random generator.
It returns that many samples, so that each arm takes the same number of steps. To add an
arm, write such a function and list it in `ARMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from torchvision.transforms import InterpolationMode, v2

from benchmarks.evidence.generators import translate
from gansampler.losses import LogitAdjustedLoss


@dataclass(frozen=True)
class Training:
    """What a classifier is trained with.

    Attributes
    ----------
    X : ndarray of uint8 of shape (n, height, width, n_channels)
    y : ndarray of int of shape (n,)
    params : dict of str -> object
        Parameters of the TransferClassifier.
    feature_sampler : object or None
        Over-sampler of features; for the classifier on frozen features only.
    """

    X: np.ndarray
    y: np.ndarray
    params: dict[str, Any] = field(default_factory=dict)
    feature_sampler: Any = None


@dataclass(frozen=True)
class Task:
    """The input of an arm.

    Attributes
    ----------
    X : ndarray of uint8 of shape (n_images, height, width, n_channels)
    y : ndarray of int of shape (n_images,)
        1 is the small class.
    n : int
        Number of samples to return.
    rng : Generator
    generator_seed : int
        Seed of a translator.
    """

    X: np.ndarray
    y: np.ndarray
    n: int
    rng: np.random.Generator
    generator_seed: int

    def draw(self, rows: np.ndarray, n: int) -> np.ndarray:
        """Return `n` of the rows; none is drawn again before all were drawn."""
        n_rounds = -(-n // len(rows))
        rounds = [self.rng.permutation(rows) for _ in range(n_rounds)]
        return np.concatenate(rounds)[:n]

    def uniform(self) -> np.ndarray:
        """Return rows of all images."""
        return self.draw(np.arange(len(self.y)), self.n)

    def balanced(self) -> np.ndarray:
        """Return rows, half of them of the small class."""
        n_small = self.n // 2
        small = self.draw(np.flatnonzero(self.y == 1), n_small)
        large = self.draw(np.flatnonzero(self.y == 0), self.n - n_small)
        return self.rng.permutation(np.concatenate([small, large]))

    def take(self, rows: np.ndarray, **fields: Any) -> Training:
        """Return the training with these rows."""
        return Training(self.X[rows], self.y[rows], **fields)


def none(task: Task) -> Training:
    """Use the images as they are."""
    return task.take(task.uniform())


def random_over_sampling(task: Task) -> Training:
    """Repeat images of the small class."""
    return task.take(task.balanced())


def with_params(task: Task, **params: Any) -> Training:
    """Use the images as they are, and other parameters of the classifier."""
    return task.take(task.uniform(), params=params)


def logit_adjustment(task: Task) -> Training:
    """Add the log frequency of the class to its logit (Menon et al. 2021)."""
    loss = LogitAdjustedLoss(np.bincount(task.y).tolist())
    return task.take(task.uniform(), params={"loss": loss})


def smote_on_features(task: Task) -> Training:
    """Interpolate between features of the small class (Chawla et al. 2002)."""
    seed = int(task.rng.integers(2**31))
    # As many neighbours as there are, in very small classes.
    neighbors = min(5, int(task.y.sum()) - 1)
    sampler: Any = RandomOverSampler(random_state=seed)
    if neighbors > 0:
        sampler = SMOTE(k_neighbors=neighbors, random_state=seed)
    return Training(task.X, task.y, feature_sampler=sampler)


def augmented_minority(task: Task, transform: Callable) -> Training:
    """Repeat images of the small class, changed at random."""
    training = task.take(task.balanced())
    torch.manual_seed(int(task.rng.integers(2**31)))
    X = training.X.copy()
    for i in np.flatnonzero(training.y == 1):
        image = torch.from_numpy(X[i]).permute(2, 0, 1)
        X[i] = transform(image).permute(1, 2, 0).numpy()
    return Training(X, training.y)


def geometry(size: int) -> Callable:
    """Rotate by any angle, scale and shift, as the classifier's "geometry"."""
    return v2.Compose(
        [
            v2.Pad(size // 2 - 1, padding_mode="reflect"),
            v2.RandomAffine(
                180,
                translate=(0.025, 0.025),
                scale=(0.8, 1.25),
                interpolation=InterpolationMode.BILINEAR,
            ),
            v2.CenterCrop(size),
        ]
    )


def color() -> Callable:
    """Change brightness, contrast, saturation and hue."""
    return v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05)


def mixed(task: Task, kind: str) -> Training:
    """Mix half of the images with another one each.

    The label of a mixed image is drawn: it is that of an image with the share of the
    image as its probability. The expected loss is that of the mixed labels.

    - "mixup": pixels are averaged, with a share from Beta(0.4, 0.4) (Zhang et al.
      2018).
    - "cutmix": a box is replaced, with a share from Beta(1, 1) (Yun et al. 2019).
    - "cmo": as cutmix, and the image in the box is drawn from classes of equal
      probability (Park et al. 2022).
    """
    rows = task.uniform()
    partners = task.balanced() if kind == "cmo" else task.uniform()
    X, y = task.X[rows], task.y[rows]
    height, width = X.shape[1:3]
    for i in np.flatnonzero(task.rng.random(task.n) < 0.5):
        other = task.X[partners[i]]
        if kind == "mixup":
            share = task.rng.beta(0.4, 0.4)
            X[i] = np.round((1 - share) * X[i] + share * other).astype(np.uint8)
        else:
            side = np.sqrt(task.rng.beta(1, 1))
            middle = task.rng.integers((height, width))
            half = np.array([height, width]) * side / 2
            top, left = np.maximum(np.round(middle - half), 0).astype(int)
            bottom, right = np.round(middle + half).astype(int)
            box = np.s_[top:bottom, left:right]
            X[i][box] = other[box]
            share = X[i][box].shape[0] * X[i][box].shape[1] / (height * width)
        if task.rng.random() < share:
            y[i] = task.y[partners[i]]
    return Training(X, y)


def with_synthetic(
    task: Task, make: Callable[[Task, int], np.ndarray], n_times_fewer: int = 1
) -> Training:
    """Balance the classes with synthetic images, and use all images equally often.

    With `n_times_fewer`, only the first of them are used.
    """
    n_missing = int((task.y == 0).sum() - (task.y == 1).sum())
    synthetic = make(task, n_missing)[: n_missing // n_times_fewer]
    X = np.concatenate([task.X, synthetic])
    y = np.concatenate([task.y, np.ones(len(synthetic), int)])
    rows = task.draw(np.arange(len(y)), task.n)
    return Training(X[rows], y[rows])


def untranslated(task: Task, n: int) -> np.ndarray:
    """Return images of the large class, to be called small: a control."""
    return task.X[task.draw(np.flatnonzero(task.y == 0), n)]


def noise(task: Task, n: int) -> np.ndarray:
    """Return images of random pixels: a control."""
    return task.rng.integers(0, 256, (n, *task.X.shape[1:]), dtype=np.uint8)


def translated(task: Task, n: int, *, translator: str, shuffle: bool) -> np.ndarray:
    """Return translations of images of the large class.

    With `shuffle`, the translator is trained on shuffled labels: a control.
    """
    return translate(
        translator, task.X, task.y, n, seed=task.generator_seed, shuffle=shuffle
    )


def _augment_minority(task: Task, kind: str) -> Training:
    size = task.X.shape[1]
    transforms = {
        "geometry": [geometry(size)],
        "color": [color()],
        "both": [geometry(size), color()],
    }
    return augmented_minority(task, v2.Compose(transforms[kind]))


def _translated(
    translator: str, *, shuffle: bool = False, n_times_fewer: int = 1
) -> Callable:
    make = partial(translated, translator=translator, shuffle=shuffle)
    return partial(with_synthetic, make=make, n_times_fewer=n_times_fewer)


def _translated_and_geometry(translator: str) -> Callable:
    """Translate, and rotate, scale and shift all images."""

    def arm(task: Task) -> Training:
        training = _translated(translator)(task)
        return Training(training.X, training.y, params={"augmentation": "geometry"})

    return arm


ARMS: dict[str, Callable[[Task], Training]] = {
    "none": none,
    "random over-sampling": random_over_sampling,
    "class weights": partial(with_params, class_weight="balanced"),
    "focal loss": partial(with_params, loss="focal", gamma=2.0),
    "logit adjustment": logit_adjustment,
    "geometry": partial(with_params, augmentation="geometry"),
    "colour": partial(with_params, augmentation="color"),
    "geometry and colour": partial(with_params, augmentation="both"),
    "minority geometry": partial(_augment_minority, kind="geometry"),
    "minority colour": partial(_augment_minority, kind="color"),
    "minority geometry and colour": partial(_augment_minority, kind="both"),
    "mixup": partial(mixed, kind="mixup"),
    "CutMix": partial(mixed, kind="cutmix"),
    "CMO": partial(mixed, kind="cmo"),
    "SMOTE on features": smote_on_features,
    "CycleGAN": _translated("cyclegan"),
    "CUT": _translated("cut"),
    "SimGAN": _translated("simgan"),
    "SimGAN, a third": _translated("simgan", n_times_fewer=3),
    "SimGAN and geometry": _translated_and_geometry("simgan"),
    "control: shuffled labels": _translated("cyclegan", shuffle=True),
    "control: untranslated": partial(with_synthetic, make=untranslated),
    "control: noise": partial(with_synthetic, make=noise),
}
# Arms with a translator need several seeds of it.
GENERATED = (
    "CycleGAN",
    "CUT",
    "SimGAN",
    "SimGAN, a third",
    "SimGAN and geometry",
    "control: shuffled labels",
)
# Arms that only the classifier on frozen features has, and those that it lacks.
LINEAR_ONLY = ("SMOTE on features",)
# Losses and transforms; only "class weights" is known to both classifiers.
FINE_TUNED_ONLY = (
    "focal loss",
    "logit adjustment",
    "geometry",
    "colour",
    "geometry and colour",
    "SimGAN and geometry",
)

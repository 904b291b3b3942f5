"""The rulers: training images, and test images that no choice depends on.

Ruler A is ISIC 2016, B is training on ISIC 2016 and testing on HAM10000, and C is
training and testing on HAM10000 with 150 positive images. D is C with more and with
fewer images. E has digits and drawn lesions.

HAM10000 is divided by a hash of the name of the image. Choices, such as defaults of the
library, may use the half "choice". The half "report" is for results.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gansampler.datasets import load_isic2016, make_lesions

# At most this many negative images of HAM10000 are tested per half. The positive ones
# are fewer, and they determine the standard error.
MAX_NEGATIVE = 1_500
N_NEGATIVE_PER_POSITIVE = 10
ISIC = "isic"
HAM_SIZES = (25, 50, 100, 150, 300)
RATIOS = (5, 20, 100)
N_DRAWN, N_DRAWN_TEST = 600, 1_000


@dataclass(frozen=True)
class Ruler:
    """A training set and its test sets. Labels are 0, and 1 for the small class.

    Attributes
    ----------
    X : ndarray of uint8 of shape (n, height, width, n_channels)
    y : ndarray of int of shape (n,)
    tests : dict of str -> (X, y)
        By name: "A", "B choice", "B report" and so on.
    """

    X: np.ndarray
    y: np.ndarray
    tests: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of the training sets."""
    drawn = [f"{kind}-{ratio}" for kind in ("digits", "lesions") for ratio in RATIOS]
    return [ISIC, *(f"ham-{size}" for size in HAM_SIZES), *drawn]


@lru_cache(maxsize=2)
def load(name: str, draw: int, size: int, folder: Path) -> Ruler:
    """Return a training set with its test sets.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    draw : int
        Seed of the choice of training images; not used for ISIC 2016.
    size : int
        Height and width of skin images in pixels.
    folder : Path
        Folder with `isic2016` and `ham10000_128`.

    Returns
    -------
    ruler : Ruler
    """
    kind, _, number = name.partition("-")
    if kind == ISIC:
        return _load_isic(size, folder)
    if kind == "ham":
        return _load_ham(int(number), draw, size, folder)
    return _load_drawn(kind, int(number), draw)


def _load_isic(size: int, folder: Path) -> Ruler:
    parts = {}
    for split in ("train", "test"):
        X, y = load_isic2016(folder / "isic2016", split=split, image_size=size)
        parts[split] = X, (np.asarray(y) == "malignant").astype(int)
    X, y, half = _read_ham(size, folder)
    tests = {"A": parts["test"], **_halves("B", X, y, half, np.arange(len(y)))}
    return Ruler(*parts["train"], tests)


def _load_ham(n_positive: int, draw: int, size: int, folder: Path) -> Ruler:
    X, y, half = _read_ham(size, folder)
    rng = np.random.default_rng([draw, 0])
    positive, negative = (rng.permutation(np.flatnonzero(y == c)) for c in (1, 0))
    # The same test images for all sizes of a draw.
    n_most = max(HAM_SIZES)
    rest = [positive[n_most:], negative[N_NEGATIVE_PER_POSITIVE * n_most :]]
    n_negative = N_NEGATIVE_PER_POSITIVE * n_positive
    train = np.concatenate([positive[:n_positive], negative[:n_negative]])
    letter = "C" if n_positive == 150 else "D"
    tests = _halves(letter, X, y, half, np.sort(np.concatenate(rest)))
    return Ruler(X[train], y[train], tests)


def _load_drawn(kind: str, ratio: int, draw: int) -> Ruler:
    if kind == "digits":
        digits = load_digits()
        # Eights among nines: the pair that is confused most often.
        chosen = np.isin(digits.target, (8, 9))
        X = np.round(digits.images[chosen] * 255 / 16).astype(np.uint8)[..., None]
        X, y = X.repeat(4, 1).repeat(4, 2), (digits.target[chosen] == 8).astype(int)
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=0.5, stratify=y, random_state=draw
        )
    else:
        X, y = _draw_lesions(draw)
        X, X_test = X[:N_DRAWN], X[N_DRAWN:]
        y, y_test = y[:N_DRAWN], y[N_DRAWN:]
    negative, positive = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    n_positive = max(1, len(negative) // ratio)
    train = np.concatenate([negative, positive[:n_positive]])
    return Ruler(X[train], y[train], {"E": (X_test, y_test)})


@lru_cache(maxsize=1)
def _draw_lesions(draw: int) -> tuple[np.ndarray, np.ndarray]:
    n = N_DRAWN + N_DRAWN_TEST
    X, y = make_lesions(n, weights=(0.5, 0.5), random_state=draw)
    return X, (y == "malignant").astype(int)


def _halves(
    letter: str, X: np.ndarray, y: np.ndarray, half: np.ndarray, rows: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    tests = {}
    for value, name in enumerate(("choice", "report")):
        mine = rows[half[rows] == value]
        negative = mine[y[mine] == 0][:MAX_NEGATIVE]
        kept = np.sort(np.concatenate([mine[y[mine] == 1], negative]))
        tests[f"{letter} {name}"] = X[kept], y[kept]
    return tests


@lru_cache(maxsize=1)
def _read_ham(size: int, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, labels and halves of HAM10000."""
    folder = folder / "ham10000_128"
    with (folder / "labels.csv").open() as file:
        rows = [(row["image_id"], int(row["target"])) for row in csv.DictReader(file)]
    X = np.empty((len(rows), size, size, 3), np.uint8)
    for i, (name, _) in enumerate(rows):
        with Image.open(folder / "images" / f"{name}.jpg") as image:
            small = image.convert("RGB").resize((size, size), Image.Resampling.BOX)
            X[i] = np.asarray(small)
    half = [hashlib.sha256(name.encode()).digest()[0] % 2 for name, _ in rows]
    return X, np.array([target for _, target in rows]), np.array(half)

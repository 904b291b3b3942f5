"""The figures of a quality report, of each set of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances

from gansampler.quality._detectors import detector_auc, target_votes
from gansampler.quality._distances import frechet_distance, kernel_distance
from gansampler.quality._neighbours import (
    density_coverage,
    nearest_others,
    precision_recall,
)
from gansampler.quality._sets import Sets

N_DRAWS = 20
N_NEIGHBORS = 5
# Images of each set that a cross-validated detector needs.
MIN_DETECTED = 10
# An image is a near-duplicate if it is nearer than this share of the real images.
NEAR_QUANTILE = 0.05
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class QualityFigure:
    """One figure of a quality report: of the synthetic images, and of the references.

    Attributes
    ----------
    name : str
        Such as "kernel_distance".
    title : str
        Name in words.
    meaning : str
        One sentence that explains the figure.
    higher_is_better : bool
        Direction of the figure.
    values : dict of str -> float
        Of "synthetic", "real", "untranslated", "smote" and "repeated". A set for which
        the figure is not defined is missing.
    intervals : dict of str -> tuple of two floats
        Range of the middle 95 % of the draws of each set.
    status : {"like real", "between", "no gain", "worse", "too high", "biased", \
"cannot tell", "not defined"}
        The verdict in short. "between" is better than untranslated images and worse
        than real ones. "too high" is for shares of near-duplicates, and "biased" for
        the Fréchet distance of few images.
    verdict : str
        The verdict in a sentence.

    See Also
    --------
    quality_report : Compute all figures.

    Examples
    --------
    >>> from gansampler.quality import QualityFigure
    >>> figure = QualityFigure(
    ...     "recall", "Recall", "", True, {"synthetic": 0.4, "real": 0.6}, {}, "", ""
    ... )
    >>> figure.values["synthetic"]
    0.4
    """

    name: str
    title: str
    meaning: str
    higher_is_better: bool
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    status: str
    verdict: str


@dataclass(frozen=True)
class Measurements:
    """Values of all figures, before they are judged.

    Attributes
    ----------
    values : dict of str -> dict of str -> float
        By figure and by set.
    draws : dict of str -> dict of str -> ndarray of shape (n_draws,)
        By figure and by set. Draws of different sets with the same number are
        compared with the same real images.
    realism : ndarray of shape (n_synthetic,)
        Distance to the nearest real target image, relative to the median distance
        between nearest real target images. Lower is closer.
    nearest : dict of str -> ndarray of int of shape (n_synthetic,)
        Row of the nearest image of the "target" and of the "source".
    near : dict of str -> ndarray of bool of shape (n_synthetic,)
        Whether it is a near-duplicate of the nearest image.
    """

    values: dict[str, dict[str, float]]
    draws: dict[str, dict[str, np.ndarray]]
    realism: np.ndarray
    nearest: dict[str, np.ndarray]
    near: dict[str, np.ndarray]


def measure(
    sets: Sets, rng: np.random.RandomState, on_draw: Callable[[], None]
) -> Measurements:
    """Compute all figures of all sets.

    Parameters
    ----------
    sets : Sets
    rng : RandomState
    on_draw : callable
        Called after each draw.

    Returns
    -------
    measurements : Measurements
    """
    features = sets.features
    seed = int(rng.randint(2**31 - 1))
    flags = _flags(sets, seed)
    mean_distance = _mean_of_pairs(features["target"])
    draws: dict[str, dict[str, list[float]]] = {}
    if sets.n_draw >= 2:
        for reference, drawn in sets.draws(N_DRAWS, rng):
            for name, positions in drawn.items():
                key, rows = sets.rows(name)
                found = {
                    figure: _draw_flags(figure, name, flag, positions, rng)
                    for figure, flag in flags.items()
                    if name in flag
                }
                part = features[key][rows[positions]]
                found |= _distances(features["target"][reference], part)
                if mean_distance > 0:
                    found["diversity"] = _mean_of_pairs(part) / mean_distance
                if sets.n_draw >= MIN_DETECTED:
                    found["detector_auc"] = detector_auc(
                        features["target"][reference],
                        part,
                        sets.groups["target"][reference],
                        _groups_of(sets, key, rows[positions]),
                        seed,
                    )
                for figure, value in found.items():
                    draws.setdefault(figure, {}).setdefault(name, []).append(value)
            on_draw()
    arrays = {
        figure: {
            name: np.array(values)
            for name, values in of_sets.items()
            if not np.isnan(values).any()
        }
        for figure, of_sets in draws.items()
    }
    values = {
        figure: {name: float(array.mean()) for name, array in of_sets.items()}
        for figure, of_sets in arrays.items()
    }
    # Shares are known exactly.
    for figure, flag in flags.items():
        values[figure] = {name: float(part.mean()) for name, part in flag.items()}
    return Measurements(values, arrays, *_neighbours(sets))


def _draw_flags(
    figure: str,
    name: str,
    flag: Mapping[str, np.ndarray],
    positions: np.ndarray,
    rng: np.random.RandomState,
) -> float:
    """Return the share of the drawn images that count."""
    if (figure, name) == ("source_copies", "real"):
        # The real images of this figure are those of the source.
        n = len(flag[name])
        positions = rng.choice(n, min(n, len(positions)), replace=False)
    return float(flag[name][positions].mean())


def _distances(real: np.ndarray, part: np.ndarray) -> dict[str, float]:
    found = {
        "kernel_distance": kernel_distance(real, part),
        "frechet_distance": frechet_distance(real, part),
    }
    if len(real) > N_NEIGHBORS:
        names = ("precision", "recall", "density", "coverage")
        values = [
            *precision_recall(real, part, n_neighbors=N_NEIGHBORS),
            *density_coverage(real, part, n_neighbors=N_NEIGHBORS),
        ]
        found |= dict(zip(names, values, strict=True))
    return found


def _flags(sets: Sets, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Return for each image of each set whether it counts, for figures of shares."""
    flags: dict[str, dict[str, np.ndarray]] = {}
    votes = target_votes(sets.features, sets.groups, seed)
    if votes:
        flags["target_share"] = {
            name: votes[key][rows]
            for name in sets.names()
            for key, rows in [sets.rows(name)]
        }
    for figure, home in (("target_copies", "target"), ("source_copies", "source")):
        training = sets.features[home]
        if len(training) < 2:
            continue
        others = nearest_others(training)
        threshold = np.quantile(others, NEAR_QUANTILE)
        flag = {}
        for name in sets.names():
            key, rows = sets.rows(name)
            if name == "real":
                # Real images of the same class, each compared with the other ones.
                flag[name] = others <= threshold
                continue
            nearest = _between(sets.features[key], training).min(1)
            flag[name] = (nearest <= threshold)[rows]
        flags[figure] = flag
    return flags


def _neighbours(sets: Sets) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
    """Return the realism of each synthetic image, its neighbours, and near-duplicates.

    Without two real target images, the realism is the distance itself.
    """
    nearest, near = {}, {}
    realism = np.empty(0)
    for home in ("target", "source"):
        training = sets.features[home]
        distances = _between(sets.features["synthetic"], training)
        nearest[home] = distances.argmin(1)
        closest = distances.min(1)
        others = nearest_others(training) if len(training) > 1 else np.ones(1)
        near[home] = (closest <= np.quantile(others, NEAR_QUANTILE)) & (
            len(training) > 1
        )
        if home == "target":
            realism = closest / (np.median(others) or 1.0)
    return realism, nearest, near


def _between(features: np.ndarray, training: np.ndarray) -> np.ndarray:
    return pairwise_distances(features.astype(float), training.astype(float))


def _mean_of_pairs(features: np.ndarray) -> float:
    """Return the mean distance of two different images."""
    n = len(features)
    return float(pairwise_distances(features.astype(float)).sum() / max(n * (n - 1), 1))


def _groups_of(sets: Sets, key: str, rows: np.ndarray) -> np.ndarray:
    # No blend equals another image.
    return sets.groups[key][rows] if key in sets.groups else -1 - rows


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the range of the middle 95 % of the draws."""
    low, high = np.quantile(values, INTERVAL)
    return float(low), float(high)


def intervals_of(draws: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the range of the middle 95 % of the draws of each set."""
    return {name: interval(values) for name, values in draws.items()}

"""Areas under the ROC curve with intervals, over test images and seeds together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

N_RESAMPLES = 2_000


@dataclass(frozen=True)
class Scores:
    """The scores of one run on its test images.

    Attributes
    ----------
    seed : int
    generator : int or None
        Seed of the translator.
    scores : ndarray of float of shape (n,)
    labels : ndarray of bool of shape (n,)
    """

    seed: int
    generator: int | None
    scores: np.ndarray
    labels: np.ndarray


def weighted_aucs(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the area under the ROC curve for many weights of the images.

    Parameters
    ----------
    labels : ndarray of bool of shape (n,)
    scores : ndarray of shape (n,)
    weights : ndarray of shape (n_resamples, n)

    Returns
    -------
    aucs : ndarray of shape (n_resamples,)
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    sums = []
    for chosen in (labels, ~labels):
        parts = (weights * chosen)[:, order]
        sums.append(np.add.reduceat(parts, starts, axis=1, dtype=float))
    positive, negative = sums
    # A tie counts one half.
    below = negative.cumsum(1) - negative / 2
    return (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))


def resample_images(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return weights of bootstrap samples, drawn within each class.

    Parameters
    ----------
    labels : ndarray of bool of shape (n,)
    rng : Generator

    Returns
    -------
    weights : ndarray of int of shape (N_RESAMPLES, n)
    """
    weights = np.zeros((N_RESAMPLES, len(labels)), np.int16)
    for chosen in (labels, ~labels):
        n = int(chosen.sum())
        weights[:, chosen] = rng.multinomial(n, np.full(n, 1 / n), N_RESAMPLES)
    return weights


class Comparison:
    """The arms in bootstrap samples of test images and seeds.

    A bootstrap sample contains the same test images for all arms.

    Parameters
    ----------
    arms : dict of str -> list of Scores
    same_images : bool
        Whether all seeds have the same training and test images. The seeds of an arm
        are then resampled independently of those of other arms: first the seeds of its
        translator, then the runs of each. Otherwise a seed is a draw of images, and two
        arms are compared on the draws that both have.
    """

    def __init__(self, arms: dict[str, list[Scores]], *, same_images: bool) -> None:
        self.arms, self.same_images = arms, same_images
        rng = np.random.default_rng(0)
        labels = {run.seed: run.labels for runs in arms.values() for run in runs}
        weights: dict[int, np.ndarray] = {}
        for seed in sorted(labels):
            is_first = not weights
            if is_first or not same_images:
                images = resample_images(labels[seed], rng)
            weights[seed] = images
        self.aucs: dict[str, dict[int, float]] = {}
        self.resampled: dict[str, dict[int, np.ndarray]] = {}
        for arm, runs in arms.items():
            self.aucs[arm] = {
                run.seed: float(roc_auc_score(run.labels, run.scores)) for run in runs
            }
            self.resampled[arm] = {
                run.seed: weighted_aucs(run.labels, run.scores, weights[run.seed])
                for run in runs
            }

    def gain(self, arm: str, baseline: str) -> tuple[float, float, float]:
        """Return the gain in AUC over a baseline, and its 95 % interval."""
        seeds = {name: sorted(self.aucs[name]) for name in (arm, baseline)}
        rng = np.random.default_rng(1)
        if self.same_images:
            chosen = {
                name: _choose_runs([r.generator for r in self.arms[name]], rng)
                for name in seeds
            }
        else:
            common = sorted({*seeds[arm]} & {*seeds[baseline]})
            seeds = dict.fromkeys(seeds, common)
            draws = rng.integers(len(common), size=(N_RESAMPLES, len(common)))
            chosen = dict.fromkeys(seeds, draws)
        values, means = {}, {}
        for name, numbers in seeds.items():
            table = np.stack([self.resampled[name][number] for number in numbers], 1)
            values[name] = np.take_along_axis(table, chosen[name], axis=1).mean(1)
            means[name] = np.mean([self.aucs[name][number] for number in numbers])
        low, high = np.quantile(values[arm] - values[baseline], (0.025, 0.975))
        return float(means[arm] - means[baseline]), float(low), float(high)


def _choose_runs(generators: list[int | None], rng: np.random.Generator) -> np.ndarray:
    """Return positions of runs: translators are resampled, then runs of each.

    Runs without a translator are resampled independently.
    """
    n = len(generators)
    groups = [[i] for i in range(n)]
    if None not in generators:
        groups = [
            [i for i in range(n) if generators[i] == seed] for seed in {*generators}
        ]
    width = max(map(len, groups))
    table = np.stack([np.resize(group, width) for group in groups])
    sizes = np.array([len(group) for group in groups])
    drawn = rng.integers(len(groups), size=(N_RESAMPLES, n))
    return table[drawn, rng.integers(sizes[drawn])]

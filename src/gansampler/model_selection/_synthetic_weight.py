"""How much synthetic rows count in training, and the choice by cross-validation."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from gansampler._validation import spawn_seeds
from gansampler.model_selection._checks import check_scoring
from gansampler.model_selection._intervals import corrected_difference
from gansampler.model_selection._resampling import (
    prepare_sampler,
    resample_and_mark,
    seed_estimator,
    take,
)
from gansampler.model_selection._splits import Split, make_splits
from gansampler.model_selection._stages import fit_on_both, fit_on_real
from gansampler.training import Progress

# The weights to choose from. The first one leaves the synthetic rows out.
CANDIDATES = (0.0, 0.25, 0.5, 1.0)

# Probability of the interval of a difference that must lie above 0. In a large sample,
# it is one standard error to both sides.
LEVEL = 0.6827


class Choice(NamedTuple):
    """The weight that was chosen, and why."""

    weight: float
    results: dict[str, np.ndarray]
    verdict: str


def choose_weight(
    sampler: Any,
    classifier: Any,
    X: Any,
    y: np.ndarray,
    *,
    cv: Any,
    scoring: Any,
    groups: np.ndarray | None,
    class_balance: str,
    real_only_share: float,
    seed: int,
    verbose: int,
) -> Choice:
    """Choose the weight of synthetic rows by cross-validation.

    The sampler is fitted once in each split, to the training part. All other parameters
    than `seed` are those of :class:`TwoStageClassifier`.
    """
    if scoring == "roc_auc" and len(np.unique(y)) > 2:
        scoring = "roc_auc_ovr"
    scorer = check_scoring(classifier, scoring, y)
    rng = check_random_state(seed)
    splits = make_splits(cv, X, y, groups, spawn_seeds(rng, 1)[0])
    scores = np.empty((len(splits), len(CANDIDATES)))
    progress = Progress(
        len(splits) * (1 + len(CANDIDATES)),
        "choosing synthetic_weight",
        shown=verbose > 0,
        unit="fit",
        # A translator takes much longer than the classifiers.
        estimates=False,
    )
    try:
        for row, split in enumerate(splits):
            sampler_seed, translator_seed, classifier_seed = spawn_seeds(rng, 3)
            progress.note({"split": f"{row + 1}/{len(splits)}"})
            X_train, y_train = take(X, split.train), y[split.train]
            X_test, y_test = take(X, split.test), y[split.test]
            fitted = prepare_sampler(
                sampler, sampler_seed, translator_seed, f"fold-{row + 1}"
            )
            data = resample_and_mark(fitted, X_train, y_train)
            progress.update(1)
            for column, weight in enumerate(CANDIDATES):
                model = clone(classifier)
                seed_estimator(model, classifier_seed)
                if weight == 0:
                    fit_on_real(model, X_train, y_train, class_balance)
                else:
                    fit_on_both(
                        model,
                        data,
                        weight,
                        class_balance=class_balance,
                        real_only_share=real_only_share,
                    )
                scores[row, column] = _check_score(scorer(model, X_test, y_test))
                progress.update(1)
    finally:
        progress.close()
    return choose_from_scores(scores, splits, _describe(scoring))


def choose_from_scores(scores: np.ndarray, splits: list[Split], metric: str) -> Choice:
    """Choose the best weight that is better than 0 by more than the error, or 0.

    Parameters
    ----------
    scores : ndarray of shape (n_splits, n_candidates)
        Scores of the `CANDIDATES`. Higher is better.
    splits : list of Split
        The splits.
    metric : str
        Name of the score.
    """
    n_train = np.array([len(split.train) for split in splits])
    n_test = np.array([len(split.test) for split in splits])
    intervals = [
        corrected_difference(column - scores[:, 0], n_train, n_test, level=LEVEL)
        for column in scores.T
    ]
    differences = np.array([interval.mean for interval in intervals])
    errors = np.array([interval.mean - interval.low for interval in intervals])
    is_better = differences > errors
    best = int(np.argmax(np.where(is_better, differences, 0.0)))
    results = {
        "param_synthetic_weight": np.array(CANDIDATES),
        **{f"split{i}_test_score": row for i, row in enumerate(scores)},
        "mean_test_score": scores.mean(0),
        "std_test_score": scores.std(0),
        "mean_difference": differences,
        "error_difference": errors,
    }
    shown = best or 1 + int(np.argmax(differences[1:]))
    figures = (
        f"The mean {metric} of {len(splits)} splits is {scores[:, 0].mean():.4f} "
        f"without synthetic rows, and {scores[:, shown].mean():.4f} with "
        f"synthetic_weight={CANDIDATES[shown]:g}"
    )
    difference = f"{differences[shown]:+.4f} +- {errors[shown]:.4f}"
    if best:
        reason = "This is better by more than the error of the difference"
    else:
        figures += ", the best of the others"
        reason = "This is not better by more than the error of the difference"
    verdict = (
        f"synthetic_weight={CANDIDATES[best]:g} is used. {figures}. {reason}, "
        f"{difference}."
    )
    return Choice(float(CANDIDATES[best]), results, verdict)


def _describe(scoring: Any) -> str:
    """Return a name for a score that can be shown."""
    if scoring is None:
        return "score"
    return scoring if isinstance(scoring, str) else "value of `scoring`"


def _check_score(score: Any) -> float:
    if not isinstance(score, Real) or not math.isfinite(score):
        raise ValueError(
            f"A score must be a finite number. Got {score!r}. Many scores need samples "
            "of every class in each test part: pass another `cv`, another `scoring`, "
            "or a number as `synthetic_weight`."
        )
    return float(score)

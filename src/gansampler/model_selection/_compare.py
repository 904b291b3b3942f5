"""Compare over-samplers by the scores of a classifier, on the same splits."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone
from sklearn.utils import check_random_state

from gansampler._validation import spawn_seeds
from gansampler.model_selection._checks import (
    check_data,
    check_samplers,
    check_scoring,
)
from gansampler.model_selection._comparison import (
    BASELINES,
    NONE,
    RANDOM,
    SamplerComparison,
)
from gansampler.model_selection._resampling import (
    prepare_sampler,
    resample,
    seed_estimator,
    take,
)
from gansampler.model_selection._sharing import SharedTranslators
from gansampler.model_selection._splits import Split, make_splits
from gansampler.training import Progress


def compare_samplers(
    samplers: Any,
    classifier: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = 5,
    scoring: Any = "roc_auc",
    groups: Any = None,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> SamplerComparison:
    r"""Test on your data whether over-sampling helps a classifier.

    The data are split into training and test parts. Each sampler resamples the
    training part, a clone of the classifier is fitted on the result, and its scores on
    the unchanged test part are computed. All samplers get the same splits. No
    over-sampling and random over-sampling are always compared too.

    Parameters
    ----------
    samplers : sampler or dict of str -> sampler
        Objects with `fit_resample`, such as :class:`~gansampler.GANOverSampler` and
        the samplers of imbalanced-learn, by the name of their arm. A single sampler
        is named after its class. The names ``"none"`` and ``"random over-sampling"``
        are reserved.
    classifier : classifier
        Any classifier of scikit-learn. It must accept `X` in its form. For a
        classifier of two-dimensional data, pass flattened images, and
        `image_shape` to :class:`~gansampler.GANOverSampler`.
    X : array-like, list of paths, data frame or Dataset
        As in :meth:`gansampler.GANOverSampler.fit_resample`. A list of images becomes
        an array.
    y : array-like of shape (n_samples,)
        Labels of two or more classes.
    cv : int, splitter, iterable of (train, test) or None, default=5
        With an int, the number of stratified and shuffled folds; None means 5.
        Otherwise a splitter, such as
        :class:`sklearn.model_selection.RepeatedStratifiedKFold`, or at least two pairs
        of arrays of rows.
    scoring : str, callable, list, dict or None, default="roc_auc"
        As in :func:`sklearn.model_selection.cross_validate`. A single callable, and
        the score of the classifier with None, are named ``"score"``. For more than two
        classes, pass ``"roc_auc_ovr"`` or another score.
    groups : array-like of shape (n_samples,), default=None
        Group of each sample, such as the patient. No group is split between training
        and test part. With an int as `cv`,
        :class:`sklearn.model_selection.StratifiedGroupKFold` is used.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness. Pass an int for reproducible results. Samplers and
        classifiers whose `random_state` is None get seeds from it. In each split, the
        classifier has the same seed after all samplers. Estimators without a
        `random_state`, which draw from global generators, are not seeded.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Returns
    -------
    comparison : SamplerComparison
        Scores, differences with intervals, times, and a verdict in words.
        ``print(comparison)`` shows them.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described, if there are fewer than two splits, if a
        sample or a group is in both parts of a split, or if a score is NaN or infinite.
    Exception
        Any error of a sampler, the classifier or a scorer, with a note that names
        the arm and the split.

    See Also
    --------
    gansampler.model_selection.SamplerComparison : The result.
    gansampler.metrics.clinical_report : Figures of one classifier.
    sklearn.model_selection.cross_validate : Scores of one pipeline.

    Notes
    -----
    The training parts of a cross-validation overlap, so that the scores of its splits
    are correlated. An ordinary t interval ignores this and is too narrow. The intervals
    here are those of the corrected resampled t test [1]_. With the differences
    :math:`d_1, ..., d_k` of two arms in k splits, their mean :math:`\bar d` and their
    variance :math:`s^2` (divided by k - 1), the interval is

    .. math::

       \bar d \pm t_{k-1,\,0.975}
       \sqrt{\left(\frac{1}{k} + \frac{n_{test}}{n_{train}}\right) s^2}

    The ordinary interval has 1/k only. :math:`n_{test} / n_{train}` is the ratio of the
    original samples in both parts. An interval belongs to one difference: of 20
    samplers that make no difference, about one is called better or worse by chance.

    Samplers of imbalanced-learn that take rows of numbers, such as SMOTE, get arrays of
    images flattened. Integers are converted to floating numbers first, because SMOTE
    subtracts pixels, and unsigned integers cannot be negative. The result gets the
    shape and the dtype of `X`; integers are rounded, and limited to the range of the
    dtype. Samplers that choose rows, such as random over-sampling, work with all forms
    of `X`. All other samplers, and data frames, are passed on unchanged.

    Arms that train equal translators in a split train them once. These are
    :class:`~gansampler.GANOverSampler` with the same translator, source and seed, which
    differ in `sampling_strategy`, for instance. ``shared_translators`` of the result
    names them. If a sampler has an `output_dir`, its images are written to
    ``output_dir/<arm>/fold-<number of the split>``.

    The two baselines run first on all splits, so that a problem with the classifier or
    the score is found before any translator is trained.

    .. versionadded:: 0.1

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine
       Learning, 52, 239-281, 2003.

    Examples
    --------
    >>> from imblearn.over_sampling import SMOTE
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from gansampler import compare_samplers
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(100, weights=(0.8, 0.2), image_size=16, random_state=0)
    >>> comparison = compare_samplers(
    ...     {"SMOTE": SMOTE()},
    ...     make_pipeline(StandardScaler(), LogisticRegression(C=0.001)),
    ...     X.reshape(len(X), -1),
    ...     y,
    ...     random_state=0,
    ... )
    >>> comparison.scores["roc_auc"]["SMOTE"].shape
    (5,)
    >>> print(comparison.verdicts[1])
    SMOTE is not better than random over-sampling on your data: roc_auc -0.0...
    [-0.0..., 0.0...]. No difference can be seen with 100 samples and 5 splits.
    """
    samplers = check_samplers(samplers)
    X, y, groups = check_data(X, y, groups)
    rng = check_random_state(random_state)
    splits = make_splits(cv, X, y, groups, spawn_seeds(rng, 1)[0])
    seeds = [_Seeds(*spawn_seeds(rng, 3)) for _ in splits]
    scorer = check_scoring(classifier, scoring, y)
    name = scoring if isinstance(scoring, str) else "score"
    folders = _folder_names(list(samplers))
    arms = [NONE, RANDOM, *samplers]
    results: dict[str, list[_Result]] = {arm: [] for arm in arms}
    shared: dict[str, str] = {}
    progress = Progress(
        len(arms) * len(splits),
        "comparing samplers",
        shown=verbose > 0,
        unit="fit",
        # A translator takes much longer than the classifiers of the baselines.
        estimates=False,
    )

    def run(arm: str, sampler: Any, number: int) -> None:
        progress.note({"split": f"{number}/{len(splits)}", "sampler": arm})
        split = splits[number - 1]
        model = clone(classifier)
        seed_estimator(model, seeds[number - 1].classifier)
        results[arm].append(_run_arm(sampler, model, scorer, name, X, y, split))
        progress.update(1)

    try:
        # A problem with the classifier or the score is found before long trainings.
        for number in range(1, len(splits) + 1):
            for arm in BASELINES:
                sampler = RandomOverSampler() if arm == RANDOM else None
                seed_estimator(sampler, seeds[number - 1].sampler)
                with _naming(arm, number, len(splits)):
                    run(arm, sampler, number)
        for number, split in enumerate(splits, 1):
            clones = {
                arm: prepare_sampler(
                    sampler,
                    seeds[number - 1].sampler,
                    seeds[number - 1].translator,
                    f"{folders[arm]}/fold-{number}",
                )
                for arm, sampler in samplers.items()
            }
            sharing = SharedTranslators(clones)
            for arm in sharing.arms:
                with _naming(arm, number, len(splits)):
                    X_train, y_train = take(X, split.train), y[split.train]
                    sharing.plan(arm, clones[arm], X_train, y_train)
            for arm in sharing.ordered(list(clones)):
                with _naming(arm, number, len(splits)):
                    lender = sharing.lend(arm, clones[arm])
                    run(arm, clones[arm], number)
                    if lender is None:
                        sharing.keep(arm, clones[arm])
                    else:
                        shared[arm] = lender
    finally:
        progress.close()
    return SamplerComparison(
        scores={
            metric: {
                arm: np.array([result.scores[metric] for result in results[arm]])
                for arm in arms
            }
            for metric in results[NONE][0].scores
        },
        n_samples=len(y),
        n_train=np.array([len(split.train) for split in splits]),
        n_test=np.array([len(split.test) for split in splits]),
        n_added={arm: np.array([r.n_added for r in results[arm]]) for arm in arms},
        resample_seconds={
            arm: np.array([r.resample_seconds for r in results[arm]]) for arm in arms
        },
        fit_seconds={
            arm: np.array([r.fit_seconds for r in results[arm]]) for arm in arms
        },
        shared_translators=shared,
    )


class _Seeds(NamedTuple):
    """The seeds of a split."""

    classifier: int
    sampler: int
    translator: int


class _Result(NamedTuple):
    """What an arm gives in a split."""

    scores: dict[str, float]
    n_added: int
    resample_seconds: float
    fit_seconds: float


def _run_arm(
    sampler: Any,
    model: Any,
    scorer: Any,
    name: str,
    X: Any,
    y: np.ndarray,
    split: Split,
) -> _Result:
    """Resample the training part, fit a classifier on it, and score the test part."""
    X_train, y_train = take(X, split.train), y[split.train]
    start = time.perf_counter()
    if sampler is not None:
        X_train, y_train = resample(sampler, X_train, y_train)
    resampled = time.perf_counter()
    model.fit(X_train, y_train)
    fitted = time.perf_counter()
    scores = scorer(model, take(X, split.test), y[split.test])
    scores = scores if isinstance(scores, Mapping) else {name: scores}
    for metric, score in scores.items():
        if not isinstance(score, Real) or not math.isfinite(score):
            raise ValueError(
                f"A score must be a finite number. Got {score!r} for {metric!r}. Many "
                "scores need samples of every class in each test part: pass another "
                "`cv` or another `scoring`."
            )
    return _Result(
        scores={metric: float(score) for metric, score in scores.items()},
        n_added=len(y_train) - len(split.train),
        resample_seconds=resampled - start if sampler is not None else 0.0,
        fit_seconds=fitted - resampled,
    )


@contextmanager
def _naming(arm: str, number: int, n_splits: int) -> Iterator[None]:
    """Add the arm and the split to an error."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This was arm {arm!r} in split {number} of {n_splits}.")
        raise


def _folder_names(arms: list[str]) -> dict[str, str]:
    """Return a name for the output folder of each arm; no two are equal."""
    names: dict[str, str] = {}
    for number, arm in enumerate(arms, 1):
        name = re.sub(r"[^\w.-]+", "-", arm).strip("-.") or "arm"
        # Some file systems ignore case.
        if name.casefold() in (other.casefold() for other in names.values()):
            name = f"{name}-{number}"
        names[arm] = name
    return names

"""Which rows are translated into which class, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from gansampler._validation import nearest_name, to_python_scalar
from gansampler.images import ImageSequence
from gansampler.translators import BaseTranslator, CycleGAN

if TYPE_CHECKING:
    from gansampler.over_sampling._gan import GANOverSampler

__all__ = ["Plan", "check_strategy", "check_translator", "fit_translator", "make_plan"]

# For each label the positions of the source's samples and of the target's.
Plan = dict[Any, tuple[np.ndarray, np.ndarray]]


def make_plan(y: np.ndarray, n_new: Mapping[Any, int], source: object) -> Plan:
    """Return the rows of source and target for each class to be grown, or refuse.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
    n_new : mapping of label -> int
        How many samples each class lacks.
    source : "majority", "rest" or label

    Raises
    ------
    ValueError
        If a source or a target has fewer than two samples, or if `source` is unknown.
    """
    labels, counts = np.unique(y, return_counts=True)
    n_held = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    plan = {}
    for label, n_lacking in n_new.items():
        if n_lacking == 0:
            continue
        others = labels[labels != label]
        if isinstance(source, str) and source == "rest":
            is_source = y != label
        elif isinstance(source, str) and source == "majority":
            largest = max(others.tolist(), key=lambda other: n_held[other])
            is_source = y == largest
        else:
            _check_source(source, label, n_lacking, labels)
            is_source = y == source
        rows = np.flatnonzero(is_source), np.flatnonzero(y == label)
        for role, part in zip(("source", "target"), rows, strict=True):
            if len(part) < 2:
                raise ValueError(
                    "A translator needs at least 2 samples of its source and of its "
                    f"target. To grow class {to_python_scalar(label)!r} by "
                    f"{n_lacking}, the {role} has {len(part)}. Collect more, or leave "
                    "it out: sampling_strategy={label: n_samples, ...} names the "
                    "classes to grow."
                )
        plan[label] = rows
    return plan


def _check_source(source, label, n_lacking, labels) -> None:
    known = labels.tolist()
    if np.ndim(source) != 0 or source not in known:
        names = ["majority", "rest", *map(str, known)]
        raise ValueError(
            "`source` must be 'majority', 'rest' or a label of y. Got "
            f"{source!r}; the labels are {known}.{nearest_name(source, names)}"
        )
    if source == label:
        raise ValueError(
            f"A class cannot be its own source. source={source!r} is itself to be "
            f"grown by {n_lacking}. Leave it out of `sampling_strategy`, or use "
            "source='majority'."
        )


def check_strategy(strategy: object, y: np.ndarray) -> None:
    """Refuse counts of samples that are none, before anything is resampled.

    Parameters
    ----------
    strategy : mapping, callable or object
        Other than these two it is for imbalanced-learn to judge.
    y : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If it does not give a whole number for classes of `y`, no less than they have.
    """
    wanted = strategy(y) if callable(strategy) else strategy
    if not isinstance(wanted, Mapping):
        if callable(strategy):
            raise ValueError(
                "A callable `sampling_strategy` must return a dict {label: n_samples} "
                f"with the count of each class afterwards. Got {wanted!r}."
            )
        return
    labels, counts = np.unique(y, return_counts=True)
    n_held = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    for label, n_samples in wanted.items():
        if label not in n_held:
            raise ValueError(
                f"The {{{to_python_scalar(label)!r}}} target class is/are not present "
                "in the data. `sampling_strategy` must name labels of y, which are "
                f"{list(n_held)}."
                f"{nearest_name(label, list(map(str, n_held)))}"
            )
        is_whole = isinstance(n_samples, Integral) and not isinstance(n_samples, bool)
        if not is_whole:
            raise ValueError(
                "`sampling_strategy` must give each class a whole number of samples. "
                f"Got {to_python_scalar(n_samples)!r} for class "
                f"{to_python_scalar(label)!r}, which has {n_held[label]}. Round it."
            )
        if n_samples < n_held[label]:
            raise ValueError(
                "With over-sampling methods, the number of samples in a class should "
                "be greater or equal to the original number of samples. Originally, "
                f"there is {n_held[label]} samples and {to_python_scalar(n_samples)} "
                f"samples are asked, of class {to_python_scalar(label)!r}. Ask for "
                "more, or leave it out."
            )


def check_translator(
    sampler: GANOverSampler, images: ImageSequence, plan: Plan
) -> None:
    """Refuse translators that do not fit the data or have bad parameters.

    Called before any work is done.
    """
    if not sampler.prefit:
        if isinstance(sampler.translator, Mapping):
            raise ValueError(
                "`translator` may be a dict only of fitted translators. Got a dict "
                "and prefit=False. Pass prefit=True, or one translator."
            )
        for part in (sampler.translator, getattr(sampler.translator, "trainer", None)):
            if isinstance(part, BaseEstimator):
                part._validate_params()
        return
    for label in plan:
        translator = _prefit_translator(sampler, label, plan)
        check_is_fitted(translator)
        if tuple(translator.sample_shape_) != tuple(images.sample_shape):
            raise ValueError(
                "A fitted translator takes samples of the shape that it was fitted "
                f"on. That for class {to_python_scalar(label)!r} takes "
                f"{tuple(translator.sample_shape_)}. Got samples of "
                f"{tuple(images.sample_shape)}. Resize them, or fit another."
            )


def _prefit_translator(sampler, label, plan) -> BaseTranslator:
    if sampler.translator is None:
        raise ValueError(
            "prefit=True needs a fitted `translator`. Got None. Fit one with "
            "CycleGAN(...).fit(source, target), or load one with CycleGAN.load."
        )
    if not isinstance(sampler.translator, Mapping):
        if len(plan) > 1:
            raise ValueError(
                "One fitted translator makes one class. Got one for the classes "
                f"{[to_python_scalar(grown) for grown in plan]}. Pass a dict label -> "
                "fitted translator."
            )
        return sampler.translator
    if label not in sampler.translator:
        raise ValueError(
            "`translator` must hold a fitted translator for each class to be grown. "
            f"Class {to_python_scalar(label)!r} is missing; it has "
            f"{[to_python_scalar(known) for known in sampler.translator]}."
        )
    return sampler.translator[label]


def fit_translator(
    sampler: GANOverSampler,
    label: object,
    source: ImageSequence,
    target: ImageSequence,
    seed: int,
) -> BaseTranslator:
    """Return the fitted translator for a class."""
    if sampler.prefit:
        return _prefit_translator(sampler, label, [label])
    given = sampler.translator
    translator: Any = CycleGAN() if given is None else clone(given)
    params = translator.get_params(deep=False)
    # Without a seed of the sampler's the translator goes without, too: its trainer
    # may have a checkpoint of the run, which begins with a seed of its own.
    has_seed = params.get("random_state", 0) is not None
    if not has_seed and sampler.random_state is not None:
        translator.set_params(random_state=seed)
    if "verbose" in params and not params["verbose"]:
        translator.set_params(verbose=sampler.verbose)
    return translator.fit(source, target)

"""Which classes grow, from which rows, and by which translators."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from gansampler._validation import nearest_name, spawn_seeds, to_python_scalar
from gansampler.exceptions import LongTrainingWarning, TrainingStoppedWarning
from gansampler.images import ImageSequence
from gansampler.over_sampling._generation import check_n_versions
from gansampler.translators import BaseTranslator

ABOUT_LENGTH = (LongTrainingWarning, TrainingStoppedWarning)


class ClassPlan(NamedTuple):
    """A class that grows.

    Attributes
    ----------
    label : object
    n_new : int
        Number of synthetic samples.
    source : ndarray of int
        Positions of the samples that are translated.
    target : ndarray of int
        Positions of the samples of the class.
    fit_seed : int or None
        Seed of the translator; None if the sampler has no seed.
    draw_seed : int
        Seed by which sources are drawn.
    """

    label: Any
    n_new: int
    source: np.ndarray
    target: np.ndarray
    fit_seed: int | None
    draw_seed: int


def make_plan(
    y: np.ndarray,
    n_new: Mapping[Any, int],
    source: object,
    random_state: object,
    *,
    min_samples: int,
) -> list[ClassPlan]:
    """Return the classes that grow, or refuse them.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
    n_new : mapping of label -> int
        Number of synthetic samples per class.
    source : "majority", "rest" or label
    random_state : int, RandomState instance or None
    min_samples : int
        The smallest number of samples of a source and of a target.

    Raises
    ------
    ValueError
        If a source or a target has fewer samples, or if `source` is unknown.
    """
    counts = _count_labels(y)
    rows = {}
    for label, n_label in n_new.items():
        if n_label == 0:
            continue
        if isinstance(source, str) and source == "rest":
            is_source = y != label
        elif isinstance(source, str) and source == "majority":
            others = {other: n for other, n in counts.items() if other != label}
            is_source = y == max(others, key=others.__getitem__)
        else:
            _check_source(source, label, n_label, list(counts))
            is_source = y == source
        rows[label] = np.flatnonzero(is_source), np.flatnonzero(y == label)
        for role, part in zip(("source", "target"), rows[label], strict=True):
            if len(part) < min_samples:
                raise ValueError(
                    f"A translator needs at least {min_samples} samples of its source "
                    "and of its "
                    f"target. To grow class {to_python_scalar(label)!r} by {n_label}, "
                    f"the {role} has {len(part)}. Collect more, or leave it out: "
                    "sampling_strategy={label: n_samples, ...} names the classes to "
                    "grow."
                )
    rng = check_random_state(random_state)
    plan = []
    for label, (source_rows, target_rows) in rows.items():
        fit_seed, draw_seed = spawn_seeds(rng, 2)
        # A translator without a seed can resume from a checkpoint, whose seed it uses.
        seed = None if random_state is None else fit_seed
        plan.append(
            ClassPlan(label, n_new[label], source_rows, target_rows, seed, draw_seed)
        )
    return plan


def _count_labels(y: np.ndarray) -> dict[Any, int]:
    labels, counts = np.unique(y, return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def _check_source(source, label, n_label, labels) -> None:
    if np.ndim(source) != 0 or source not in labels:
        names = ["majority", "rest", *map(str, labels)]
        raise ValueError(
            "`source` must be 'majority', 'rest' or a label of y. Got "
            f"{source!r}; the labels are {labels}.{nearest_name(source, names)}"
        )
    if source == label:
        raise ValueError(
            f"A class cannot be its own source. source={source!r} is itself to be "
            f"grown by {n_label}. Leave it out of `sampling_strategy`, or use "
            "source='majority'."
        )


def refuse_number_of_images(strategy: object, y: Any) -> None:
    """Refuse a number above 1: it is a ratio, and counts need a dict.

    Parameters
    ----------
    strategy : object
    y : array-like of shape (n_samples,) or None
        Names a class in the message.

    Raises
    ------
    ValueError
    """
    if isinstance(strategy, bool) or not isinstance(strategy, Real) or strategy <= 1:
        return
    labels = np.asarray(y if y is not None else [])
    label = "label"
    if labels.ndim == 1 and len(labels):
        counts = Counter(labels.tolist())
        label = repr(min(counts, key=counts.__getitem__))
    raise ValueError(
        "A number as `sampling_strategy` is the ratio of minority to majority, at most "
        f"1. Got {strategy}. For a number of images, pass a dict with the count of "
        f"each class afterwards: sampling_strategy={{{label}: {strategy}}}."
    )


def refuse_names(translator: object) -> None:
    """Refuse the class of a translator, and the name of a translator or a budget.

    Raises
    ------
    TypeError
    """
    rule = "`translator` must be a translator or None."
    if isinstance(translator, type):
        name = translator.__name__
        raise TypeError(
            f"{rule} Got the class {name}. Pass an instance: translator={name}()."
        )
    if isinstance(translator, str):
        raise TypeError(
            f"{rule} Got {translator!r}. Pass an instance, such as "
            "translator=CycleGAN() or translator=make_translator('hours')."
        )


def check_strategy(strategy: object, y: np.ndarray) -> None:
    """Refuse counts per class that are no counts, or that are too low.

    Parameters
    ----------
    strategy : mapping, callable or object
        imbalanced-learn checks a strategy that is neither mapping nor callable.
    y : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If a count is no whole number, is below the number of existing samples, or is
        for a class that `y` does not have.
    """
    wanted = strategy(y) if callable(strategy) else strategy
    if not isinstance(wanted, Mapping):
        if callable(strategy):
            raise ValueError(
                "A callable `sampling_strategy` must return a dict {label: n_samples} "
                f"with the count of each class afterwards. Got {wanted!r}."
            )
        return
    counts = _count_labels(y)
    for label, n_samples in wanted.items():
        if label not in counts:
            raise ValueError(
                f"The {{{to_python_scalar(label)!r}}} target class is/are not present "
                "in the data. `sampling_strategy` must name labels of y, which are "
                f"{list(counts)}."
                f"{nearest_name(label, list(map(str, counts)))}"
            )
        is_whole = isinstance(n_samples, Integral) and not isinstance(n_samples, bool)
        if not is_whole:
            raise ValueError(
                "`sampling_strategy` must give each class a whole number of samples. "
                f"Got {to_python_scalar(n_samples)!r} for class "
                f"{to_python_scalar(label)!r}, which has {counts[label]}. Round it."
            )
        if n_samples < counts[label]:
            raise ValueError(
                "With over-sampling methods, the number of samples in a class should "
                "be greater or equal to the original number of samples. Originally, "
                f"there is {counts[label]} samples and {to_python_scalar(n_samples)} "
                f"samples are asked, of class {to_python_scalar(label)!r}. Ask for "
                "more, or leave it out."
            )


def prepare_translators(
    translator: Any, plan: Sequence[ClassPlan], images: ImageSequence, *, prefit: bool
) -> dict[Any, BaseTranslator]:
    """Return a translator for each class of the plan, or refuse them.

    Parameters
    ----------
    translator : BaseTranslator, mapping of label -> BaseTranslator, or None
        None is refused with `prefit`.
    plan : sequence of ClassPlan
    images : ImageSequence
        The originals.
    prefit : bool
        Whether translators are fitted. Others are cloned for each class.

    Raises
    ------
    ValueError
        If a translator or its trainer has a bad parameter, is not fitted, or does not
        fit the data.
    ShortfallError
        If the sources are too few for the number of distinct synthetic images.
    """
    if not prefit:
        if isinstance(translator, Mapping):
            raise ValueError(
                "`translator` may be a dict only of fitted translators. Got a dict "
                "and prefit=False. Pass prefit=True, or one translator."
            )
        for part in (translator, getattr(translator, "trainer", None)):
            if isinstance(part, BaseEstimator):
                part._validate_params()
    translators = {}
    for grown in plan:
        label = to_python_scalar(grown.label)
        if not prefit:
            chosen: Any = clone(translator)
        else:
            chosen = _fitted_translator(translator, grown.label, plan)
            if tuple(chosen.sample_shape_) != tuple(images.sample_shape):
                raise ValueError(
                    "A fitted translator takes samples of the shape that it was "
                    f"fitted on. That for class {label!r} takes "
                    f"{tuple(chosen.sample_shape_)}. Got samples of "
                    f"{tuple(images.sample_shape)}. Resize them, or fit another."
                )
        if images.is_image:
            check_n_versions(chosen, grown.n_new, len(grown.source), label)
        translators[grown.label] = chosen
    return translators


def _fitted_translator(translator, label, plan) -> BaseTranslator:
    if translator is None:
        raise ValueError(
            "prefit=True needs a fitted `translator`. Got None. Fit one with "
            "CycleGAN(...).fit(source, target), or load one with CycleGAN.load."
        )
    if isinstance(translator, Mapping):
        if label not in translator:
            raise ValueError(
                "`translator` must hold a fitted translator for each class to be "
                f"grown. Class {to_python_scalar(label)!r} is missing; it has "
                f"{[to_python_scalar(known) for known in translator]}."
            )
        translator = translator[label]
    elif len(plan) > 1:
        raise ValueError(
            "One fitted translator makes one class. Got one for the classes "
            f"{[to_python_scalar(grown.label) for grown in plan]}. Pass a dict label "
            "-> fitted translator."
        )
    check_is_fitted(translator)
    return translator


def fit_translator(
    translator: Any, grown: ClassPlan, images: ImageSequence, *, verbose: int
) -> None:
    """Fit the translator of a class.

    It gets the seed of the plan and `verbose`, unless it has a seed or is verbose.
    """
    params = translator.get_params(deep=False)
    if params.get("random_state", 0) is None and grown.fit_seed is not None:
        translator.set_params(random_state=grown.fit_seed)
    if "verbose" in params and not params["verbose"]:
        translator.set_params(verbose=verbose)
    with _naming_class(to_python_scalar(grown.label)):
        translator.fit(images.subset(grown.source), images.subset(grown.target))


@contextmanager
def _naming_class(label: object) -> Iterator[None]:
    """Begin each warning about the length of a training with the class in training.

    Only the warnings of this thread are changed. The filters of warnings stay as they
    are.
    """
    show: Callable[..., None] = warnings.showwarning
    thread: int | None = get_ident()

    def show_with_class(message, category, *args, **kwargs) -> None:
        if issubclass(category, ABOUT_LENGTH) and get_ident() == thread:
            message = category(f"Class {label!r}: {message}")
        show(message, category, *args, **kwargs)

    warnings.showwarning = show_with_class
    try:
        yield
    except ABOUT_LENGTH as warning:
        # A filter makes the warning an error.
        warning.args = (f"Class {label!r}: {warning}",)
        raise
    finally:
        thread = None
        warnings.showwarning = show

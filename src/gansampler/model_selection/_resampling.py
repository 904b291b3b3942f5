"""Seed estimators, select rows, and resample images in any form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from imblearn.base import BaseSampler
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state, get_tags
from torch.utils.data import Dataset, Subset

from gansampler._validation import safe_indexing, spawn_seeds
from gansampler.over_sampling import GANOverSampler
from gansampler.translators import BaseTranslator, make_translator


def take(X: Any, rows: np.ndarray) -> Any:
    """Return some rows of `X` in its form: array, list, data frame or data set."""
    if isinstance(X, Dataset):
        return Subset(X, rows.tolist())
    return safe_indexing(X, rows)


def seed_estimator(estimator: Any, seed: int) -> None:
    """Set each `random_state` of an estimator and its parts that is None."""
    params = estimator.get_params() if hasattr(estimator, "get_params") else {}
    names = sorted(
        name
        for name, value in params.items()
        if value is None and name.rpartition("__")[2] == "random_state"
    )
    seeds = spawn_seeds(check_random_state(seed), len(names))
    if names:
        estimator.set_params(**dict(zip(names, seeds, strict=True)))


def seed_sampler(sampler: Any, seed: int, translator_seed: int) -> None:
    """Set each `random_state` of a sampler that is None.

    The translators of all arms get the same seed, so that equal translators are
    trained once. A sampler with a `random_state` seeds its translators itself.
    """
    if not isinstance(sampler, GANOverSampler):
        seed_estimator(sampler, seed)
    elif sampler.random_state is None:
        sampler.random_state = seed
        translator = sampler.translator or make_translator()
        if not sampler.prefit and isinstance(translator, BaseTranslator):
            if translator.get_params(deep=False).get("random_state", 0) is None:
                translator.set_params(random_state=translator_seed)
            sampler.translator = translator


def prepare_sampler(
    sampler: Any, seed: int, translator_seed: int, subfolder: str | None
) -> Any:
    """Return a clone of a sampler with seeds, and an output folder of its own."""
    sampler = clone(sampler, safe=False)
    seed_sampler(sampler, seed, translator_seed)
    if getattr(sampler, "output_dir", None) is not None and subfolder is not None:
        sampler.output_dir = Path(os.fspath(sampler.output_dir)) / subfolder
    return sampler


class Resampled(NamedTuple):
    """Resampled data, and which of their rows are synthetic."""

    X: Any
    y: np.ndarray
    is_synthetic: np.ndarray


def resample_and_mark(sampler: Any, X: Any, y: np.ndarray) -> Resampled:
    """Resample as :func:`resample` does, and find the synthetic rows.

    They are those in `is_synthetic_` of the sampler. Without it, they are the rows
    after the original ones.

    Raises
    ------
    ValueError
        If a sampler without `is_synthetic_` does not return the original rows first.
    """
    n_rows = len(y)
    if _chooses_rows(sampler):
        rows, y_resampled = _choose_rows(sampler, y)
        is_kept = np.array_equal(rows[:n_rows], np.arange(n_rows))
        X_resampled = take(X, rows)
    else:
        X_resampled, y_resampled = resample(sampler, X, y)
        y_resampled = np.asarray(y_resampled)
        is_synthetic = getattr(sampler, "is_synthetic_", None)
        if is_synthetic is not None:
            return Resampled(X_resampled, y_resampled, np.asarray(is_synthetic, bool))
        is_kept = np.array_equal(y_resampled[:n_rows], y)
        is_kept = is_kept and _starts_with(X_resampled, X, n_rows)
    if not is_kept:
        raise ValueError(
            "A sampler without `is_synthetic_` must return all rows of `X` first and "
            "unchanged, and the synthetic rows after them. "
            f"{type(sampler).__name__} got {n_rows} rows and returned "
            f"{len(y_resampled)}, which do not begin with these. Pass a sampler that "
            "only adds rows, such as SMOTE, or one that sets `is_synthetic_`, an array "
            "of one boolean per row."
        )
    is_synthetic = np.arange(len(y_resampled)) >= n_rows
    return Resampled(X_resampled, y_resampled, is_synthetic)


def _starts_with(X_resampled: Any, X: Any, n_rows: int) -> bool:
    """Whether the first rows are those of `X`."""
    if isinstance(X, Dataset):
        return False
    first = take(X_resampled, np.arange(n_rows))
    if sparse.issparse(X):
        return first.shape == X.shape and (first != X).nnz == 0
    first, expected = np.asarray(first), np.asarray(X)
    return np.array_equal(first, expected, equal_nan=expected.dtype.kind in "fc")


def resample(sampler: Any, X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return resampled data in the form of `X`.

    Samplers that choose rows work for every form. Other samplers of imbalanced-learn
    that take rows of numbers get flattened images, as floating numbers.
    """
    if _chooses_rows(sampler):
        rows, y_resampled = _choose_rows(sampler, y)
        return take(X, rows), y_resampled
    if isinstance(X, np.ndarray) and _takes_rows_of_numbers(sampler):
        flat = X.reshape(len(X), -1)
        if X.dtype.kind in "iu":
            # Differences of unsigned integers are never negative: SMOTE would be wrong.
            flat = flat.astype(np.result_type(X.dtype, np.float32))
        flat, y_resampled = sampler.fit_resample(flat, y)
        return _restore(flat, X), y_resampled
    return sampler.fit_resample(X, y)


def _chooses_rows(sampler: Any) -> bool:
    if isinstance(sampler, RandomOverSampler):
        return sampler.shrinkage is None
    return isinstance(sampler, RandomUnderSampler)


def _choose_rows(sampler: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, y_resampled = sampler.fit_resample(np.arange(len(y)).reshape(-1, 1), y)
    return rows.ravel(), y_resampled


def _takes_rows_of_numbers(sampler: Any) -> bool:
    # FunctionSampler passes anything on with validate=False.
    return (
        isinstance(sampler, BaseSampler)
        and getattr(sampler, "validate", True)
        and not get_tags(sampler).input_tags.three_d_array
    )


def _restore(flat: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return flattened rows in the shape and the dtype of `X`."""
    if X.dtype.kind in "iu":
        limits = np.iinfo(X.dtype)
        flat = np.clip(np.rint(flat), limits.min, limits.max)
    return flat.astype(X.dtype, copy=False).reshape(-1, *X.shape[1:])

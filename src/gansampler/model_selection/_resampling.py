"""Seed estimators, select rows, and resample images in any form."""

from __future__ import annotations

from typing import Any

import numpy as np
from imblearn.base import BaseSampler
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.utils import check_random_state, get_tags
from torch.utils.data import Dataset, Subset

from gansampler._validation import safe_indexing, spawn_seeds
from gansampler.over_sampling import GANOverSampler
from gansampler.translators import BaseTranslator, CycleGAN


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
        translator = CycleGAN() if sampler.translator is None else sampler.translator
        if not sampler.prefit and isinstance(translator, BaseTranslator):
            if translator.get_params(deep=False).get("random_state", 0) is None:
                translator.set_params(random_state=translator_seed)
            sampler.translator = translator


def resample(sampler: Any, X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return resampled data in the form of `X`.

    Samplers that choose rows work for every form. Other samplers of imbalanced-learn
    that take rows of numbers get flattened images, as floating numbers.
    """
    if _chooses_rows(sampler):
        rows, y_resampled = sampler.fit_resample(np.arange(len(y)).reshape(-1, 1), y)
        return take(X, rows.ravel()), y_resampled
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

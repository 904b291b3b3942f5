"""The splits of the data into training and test parts."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv

from gansampler._validation import to_python_scalar


class Split(NamedTuple):
    """The rows of the training part and of the test part."""

    train: np.ndarray
    test: np.ndarray


def make_splits(
    cv: Any, X: Any, y: np.ndarray, groups: np.ndarray | None, seed: int
) -> list[Split]:
    """Return the splits, or refuse them.

    Parameters
    ----------
    cv : int, splitter, iterable of (train, test) or None
        None means 5.
    X : object
        The data, which some splitters use.
    y : ndarray of shape (n_samples,)
    groups : ndarray of shape (n_samples,) or None
    seed : int
        Seed of the shuffling, if `cv` is a number.

    Raises
    ------
    ValueError
        If there are fewer than two splits, or if a sample or a group is in the
        training part and in the test part of the same split.
    """
    cv = 5 if cv is None else cv
    if isinstance(cv, Integral):
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        cv = kind(int(cv), shuffle=True, random_state=seed)
    rows = np.arange(len(y))
    # The parts may be masks.
    splits = [
        Split(rows[train], rows[test])
        for train, test in check_cv(cv).split(X, y, groups)
    ]
    if len(splits) < 2:
        raise ValueError(
            "A comparison needs at least 2 splits, because the intervals follow from "
            f"the differences between splits. Got {len(splits)}. Pass cv=5, for "
            "instance."
        )
    for number, split in enumerate(splits, 1):
        _check_split(split, number, groups)
    return splits


def _check_split(split: Split, number: int, groups: np.ndarray | None) -> None:
    common = np.intersect1d(split.train, split.test)
    if len(common):
        raise ValueError(
            "No sample may be in the training part and in the test part of a split. "
            f"In split {number}, {len(common)} are, such as row {common[0]}. Pass "
            "another `cv`."
        )
    if groups is None:
        return
    divided = np.intersect1d(groups[split.train], groups[split.test])
    if len(divided):
        raise ValueError(
            "No group may be in the training part and in the test part of a split. "
            f"In split {number}, {len(divided)} are, such as group "
            f"{to_python_scalar(divided[0])!r}. Pass a splitter that uses groups, such "
            "as StratifiedGroupKFold, or a number as `cv`."
        )

"""The resampled data in the form in which the originals came."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gansampler.images import stack_images

__all__ = [
    "append_paths",
    "as_array",
    "find_label_columns",
    "from_polars",
    "set_columns",
    "take_labels",
]


def as_array(X: Any, is_separate: bool) -> tuple[Any, Callable[[np.ndarray], Any]]:
    """Return samples as imbalanced-learn takes them, and what undoes that.

    Of lists of images it would make nested lists of numbers.

    Parameters
    ----------
    X : list, ndarray, Series or data frame
    is_separate : bool
        Whether `X` holds images that are objects of their own.
    """
    is_list = isinstance(X, list | tuple)
    is_stack = is_list and (isinstance(X[0], np.ndarray) or np.ndim(X[0]) > 1)
    if is_separate or is_stack:
        return stack_images(list(X)), list if is_list else np.asarray
    return from_polars(X)


def from_polars(X: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return what polars holds as an array, and what undoes that; others unchanged.

    imbalanced-learn takes the frames and Series of polars for those of pandas.
    """
    if not type(X).__module__.startswith("polars."):
        return X, lambda resampled: resampled
    make: Callable[..., Any] = type(X)
    if hasattr(X, "columns"):
        return X.to_numpy(), partial(make, schema=X.schema)
    return X.to_numpy(), partial(make, X.name, dtype=X.dtype)


def find_label_columns(X: Any, y: np.ndarray) -> list[Any]:
    """Return the columns of a data frame that say what `y` says, row by row."""
    if not hasattr(X, "columns"):
        return []
    return [
        name
        for name in X.columns
        # As text: missing values of pandas do not compare.
        if all(str(a) == str(b) for a, b in zip(X[name], y, strict=True))
    ]


def set_columns(X: Any, names: list[Any], values: np.ndarray) -> Any:
    """Return a data frame with the same values in some columns."""
    for name in names:
        if hasattr(X, "iloc"):
            X[name] = type(X[name])(values, dtype=X[name].dtype, index=X.index)
        else:
            X = X.with_columns(type(X[name])(name, values, dtype=X[name].dtype))
    return X


def take_labels(y: Any, rows: np.ndarray) -> Any:
    """Return some labels, in the form in which they came."""
    if hasattr(y, "iloc"):
        return y.iloc[rows]
    if isinstance(y, list | tuple):
        return [y[row] for row in rows]
    return np.asarray(y)[rows]


def append_paths(
    X: Any, rows: np.ndarray, new: list[str], path_column: object = None
) -> Any:
    """Return rows of `X`, with new paths in the last of them.

    Parameters
    ----------
    X : list, ndarray, Series or data frame
        Holds paths.
    rows : ndarray of int of shape (n_samples_new,)
        Of the originals that are kept, then of the parents.
    new : list of str
        The paths of the last ``len(new)`` rows.
    path_column : column name, default=None
        Of a data frame; its other columns are those of the rows.

    Returns
    -------
    X_resampled : of the type of `X`
    """
    n_kept = len(rows) - len(new)
    if hasattr(X, "columns"):
        column = append_paths(X[path_column], rows, new)
        if not hasattr(X, "iloc"):
            return X[rows.tolist()].with_columns(column)
        resampled = X.iloc[rows].reset_index(drop=True)
        resampled[path_column] = column
        return resampled
    if isinstance(X, list | tuple):
        held = [X[row] for row in rows[:n_kept]]
        return held + _like(held, new)
    held = X.to_list() if hasattr(X, "to_list") else X.ravel().tolist()
    held = [held[row] for row in rows[:n_kept]]
    paths = held + _like(held, new)
    if not isinstance(X, np.ndarray):
        return _series(X, paths)
    array = np.empty(len(paths), dtype=object)
    array[:] = paths
    # Strings of fixed width become as wide as the longest path.
    dtype = X.dtype.kind if X.dtype.kind in "US" else X.dtype
    return array.astype(dtype).reshape(-1, *X.shape[1:])


def _like(held: list[Any], new: list[str]) -> list[Any]:
    """Return new paths of the type of those that are held."""
    if held and isinstance(held[0], os.PathLike):
        return [Path(path) for path in new]
    if held and isinstance(held[0], bytes):
        return [os.fsencode(path) for path in new]
    return new


def _series(X: Any, paths: list[Any]) -> Any:
    if not hasattr(X, "iloc"):
        return type(X)(X.name, paths)
    if hasattr(X, "cat"):
        # The new paths are none of its categories.
        return type(X)(paths, name=X.name)
    return type(X)(paths, name=X.name, dtype=X.dtype)

"""Bring labels in from the caller's containers, and results back into them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.preprocessing import label_binarize
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets

from gansampler._validation import (
    ArraysTransformer,
    check_labels,
    check_target_type,
)
from gansampler.data import OverSampledDataset
from gansampler.images import ImageSequence


def check_output_dir(
    images: ImageSequence, output_dir: str | os.PathLike[str] | None
) -> None:
    """Refuse an `output_dir` that does not go with `X`."""
    if images.form in ("paths", "frame") and output_dir is None:
        raise ValueError(
            "With paths, the synthetic images are written to files. Got "
            "output_dir=None. Pass output_dir='a/new/folder'."
        )
    if output_dir is not None and not images.is_image:
        raise ValueError(
            "`output_dir` is for images. Got output_dir="
            f"{os.fspath(output_dir)!r} and feature rows. Leave it out, or pass "
            "image_shape=(height, width, n_channels) if the rows are flattened images."
        )


class OpenedData(NamedTuple):
    """The data of the caller, and what they contain.

    Attributes
    ----------
    X, y : object
        The data in the containers of the caller.
    images : ImageSequence
        `X`, opened.
    labels : ndarray of shape (n_samples,)
        The label of each of `images`.
    is_one_hot : bool
        Whether `y` is one-hot.
    """

    X: Any
    y: Any
    images: ImageSequence
    labels: np.ndarray
    is_one_hot: bool


def open_data(X: Any, y: Any, *, name: str, **params: Any) -> OpenedData:
    """Open the data of the caller, or refuse them.

    Parameters
    ----------
    X : array-like, list of paths, data frame or Dataset
    y : array-like or None
        None takes the labels of a Dataset.
    name : str
        Name of the sampler, for messages.
    **params : dict
        Parameters of :class:`~gansampler.images.ImageSequence`.
    """
    if hasattr(X, "dtypes") and hasattr(X, "sparse"):
        # A data frame of sparse columns.
        images = ImageSequence(X.sparse.to_dense(), **params)
    else:
        images = ImageSequence(X, **params)
    if y is None and images.form != "dataset":
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y "
            "is None. Pass the label of each sample; only a torch Dataset contains "
            "them."
        )
    if y is None:
        y = rows_of_y = images.labels()
    else:
        check_labels(y)
        check_consistent_length(X, y)
        array = _labels_of(y)
        check_classification_targets(array)
        # Skipped rows have no image. NumPy also finds the type of nested lists.
        is_pandas = hasattr(array, "iloc")
        rows_of_y = (array.iloc if is_pandas else np.asarray(array))[images.rows]
    labels, is_one_hot = check_target_type(rows_of_y, indicate_one_vs_all=True)
    labels = check_array(labels, ensure_2d=False, dtype=None, input_name="y")
    return OpenedData(X, y, images, labels, is_one_hot)


def append(
    data: OpenedData,
    new: np.ndarray | list[str],
    labels: np.ndarray,
    parents: np.ndarray,
    *,
    resize: Any,
) -> tuple[Any, Any]:
    """Return the originals and the synthetic samples in the form of the caller.

    Parameters
    ----------
    data : OpenedData
        The originals.
    new : ndarray or list of str
        Paths of the synthetic images, or the images; after the originals if these are
        an array. Images in files are read again for an array.
    labels : ndarray of shape (n_samples_new,)
        Labels of the result.
    parents : ndarray of int of shape (n_samples_new,)
        Row of `X` of each row of the result.
    resize : {"crop", "stretch", "pad"}
        How items of a data set are resized.

    Returns
    -------
    X_resampled, y_resampled : object
        In the containers of `X` and `y`.
    """
    X, y, images = data.X, data.y, data.images
    columns = labels
    if data.is_one_hot:
        columns = label_binarize(labels, classes=np.unique(labels))
    y_resampled = _restore(y, columns)
    if images.form == "array":
        if isinstance(new, list):
            new = np.concatenate([images.array, *_read_again(new, images)])
        row_shape = images.restore(images.batch([0])).shape[1:]
        rows = np.reshape(new, (len(new), *row_shape))
        return _restore(X, rows, channels_first=images.channels_first), y_resampled
    if images.form == "dataset":
        # A cache would be filled in each worker of a loader.
        originals = ImageSequence(X, images.image_shape, resize=resize, cache=False)
        kept = originals.subset(images.rows)
        dataset = OverSampledDataset(kept, y_resampled, parents, synthetic=new)
        return dataset, y_resampled
    paths = [str(path) for path in new]
    if images.form == "paths":
        return _append_paths(X, parents, paths), y_resampled
    frame = _append_to_frame(X, parents, paths, images.path_column, labels)
    return frame, y_resampled


def _read_again(paths: list[str], images: ImageSequence) -> list[np.ndarray]:
    """Return at most one array of the images in files, in the dtype of others."""
    if not paths:
        return []
    files = ImageSequence(paths, images.image_shape, cache=False)
    stored = files.take(np.arange(len(paths)))
    return [stored if images.dtype == np.uint8 else (stored / 255).astype(images.dtype)]


def _is_polars(values: Any) -> bool:
    return type(values).__module__.startswith("polars.")


def _labels_of(y: Any) -> Any:
    """Return labels in a container that scikit-learn knows."""
    if _is_polars(y):
        return y.to_numpy()
    if isinstance(y, torch.Tensor):
        return y.detach().cpu().numpy()
    # Columns of a data set of Hugging Face.
    return list(y) if isinstance(y, Sequence) else y


def _restore(like: Any, values: np.ndarray, *, channels_first: bool = False) -> Any:
    """Return an array in the container of another one."""
    is_list = isinstance(like, list | tuple)
    tensor = like[0] if is_list else like
    if isinstance(tensor, torch.Tensor):
        rows = torch.from_numpy(values).to(tensor)
        rows = rows.movedim(-1, 1).contiguous() if channels_first else rows
        return list(rows) if is_list else rows
    if _is_polars(like):
        if hasattr(like, "columns"):
            return type(like)(values, schema=like.schema)
        return type(like)(like.name, values, dtype=like.dtype)
    if is_list:
        # ArraysTransformer would make nested lists of numbers of images.
        if values.ndim > 2 or isinstance(like[0], np.ndarray):
            return list(values)
    elif values.ndim > 2:
        return values
    return ArraysTransformer(like, None).transform(values, None)[0]


def _append_to_frame(
    X: Any, parents: np.ndarray, new: list[str], path_column: Any, labels: np.ndarray
) -> Any:
    """Return a frame whose new rows are those of the parents, with new paths.

    A column that contains the labels gets the labels of the result.
    """
    column = _append_paths(X[path_column], parents, new)
    if hasattr(X, "iloc"):
        resampled = X.iloc[parents].reset_index(drop=True)
        resampled[path_column] = column
    else:
        resampled = X[parents.tolist()].with_columns(column)
    n_existing = len(parents) - len(new)
    for name in resampled.columns:
        old = resampled[name]
        # Compared as text, because missing values of pandas do not compare.
        pairs = zip(old[:n_existing], labels[:n_existing], strict=True)
        if all(str(value) == str(label) for value, label in pairs):
            if hasattr(X, "iloc"):
                resampled[name] = type(old)(labels, dtype=old.dtype, index=old.index)
            else:
                series = type(old)(name, labels, dtype=old.dtype)
                resampled = resampled.with_columns(series)
    return resampled


def _append_paths(X: Any, parents: np.ndarray, new: list[str]) -> Any:
    """Return the paths of existing rows and new paths, in the container of `X`."""
    if isinstance(X, list | tuple):
        entries = list(X)
    else:
        entries = X.to_list() if hasattr(X, "to_list") else X.ravel().tolist()
    paths = [entries[row] for row in parents[: len(parents) - len(new)]]
    first = paths[0] if paths else None
    if isinstance(first, os.PathLike):
        paths += [Path(path) for path in new]
    elif isinstance(first, bytes):
        paths += [os.fsencode(path) for path in new]
    else:
        paths += new
    if isinstance(X, list | tuple):
        return paths
    if isinstance(X, np.ndarray):
        array = np.empty(len(paths), dtype=object)
        array[:] = paths
        # Strings of fixed width become as wide as the longest path.
        dtype = X.dtype.kind if X.dtype.kind in "US" else X.dtype
        return array.astype(dtype).reshape(-1, *X.shape[1:])
    if not hasattr(X, "iloc"):
        return type(X)(X.name, paths)
    # The new paths are not among the categories of a categorical Series.
    dtype = None if hasattr(X, "cat") else X.dtype
    return type(X)(paths, name=X.name, dtype=dtype)

"""The form of an input: an array, paths, a data frame with paths, or a data set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Number
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor, as_tensor, stack
from torch.utils.data import DataLoader, Dataset, IterableDataset

from gansampler._validation import is_missing, nearest_name
from gansampler.images._decode import GREY_MODES, to_array

FormName = Literal["array", "paths", "frame", "dataset"]
TEXT_KINDS = "OUST"
# Attributes of arrays, tables and their columns, which have items but are no data sets.
OF_ARRAYS = ("__array__", "__dataframe__", "dtype", "dtypes", "columns", "to_list")


class Form(NamedTuple):
    """An input, its form, and how it is read."""

    name: FormName
    # An array-like, a list of paths, or the data set.
    data: Any
    # The column of a data frame that holds the paths.
    path_column: Any = None
    # Whether an "array" is a list of images that have to be stacked.
    is_separate: bool = False


def find_form(X: Any, path_column: object = None) -> Form:
    """Return the form of an input.

    Parameters
    ----------
    X : array-like, list, Series, data frame or Dataset
        The input.
    path_column : column name or None
        Column of a data frame that holds paths. Ignored for other inputs.

    Returns
    -------
    form : Form
        Named tuple of the form's `name` ("array", "paths", "frame" or "dataset"), the
        `data`, the `path_column`, and `is_separate`, which says whether `data` is a
        list of images that have to be stacked.

    Raises
    ------
    ValueError, TypeError
        If `X` has none of these forms.

    Examples
    --------
    >>> from gansampler.images import find_form
    >>> find_form(["a.png", "b.png"]).name
    'paths'
    """
    if isinstance(X, (IterableDataset, DataLoader)):
        kind = type(X).__name__
        raise TypeError(
            "A torch data set must be of the map style, with __len__ and __getitem__. "
            f"Got {kind}, whose items have no index. Pass the data set of a loader "
            "(loader.dataset), or write the items to files and pass their paths."
        )
    if isinstance(X, Dataset) or _is_map_style(X):
        return Form("dataset", X)
    if X is None:
        raise ValueError(
            "`X` must hold images, their paths or feature rows. Got None. Pass an "
            "array, a list, a Series, a data frame or a torch data set."
        )
    if isinstance(X, (str, bytes, os.PathLike)):
        raise TypeError(
            f"`X` must hold one path for each image. Got one path, {os.fsdecode(X)!r}. "
            "Pass a list; gansampler.datasets.load_image_folder(folder, "
            "as_paths=True) makes it from a folder."
        )
    if isinstance(X, Image.Image):
        raise TypeError(
            "`X` must hold several images. Got one PIL image. Pass a list, [image]."
        )
    # Some sparse matrices are mappings. They get the message of scikit-learn.
    if isinstance(X, Mapping) and not hasattr(X, "dtype") and len(X):
        key = next(iter(X))
        raise TypeError(
            "`X` must be an array, a list, a Series, a data frame or a data set. Got "
            f"{type(X).__name__} with the keys {list(X)[:10]}. Pass one of its values, "
            f"such as X[{key!r}], and the labels as `y`."
        )
    has_no_length = isinstance(X, Iterable) and not hasattr(X, "__len__")
    if (has_no_length or isinstance(X, (Mapping, Set))) and not hasattr(X, "dtype"):
        raise TypeError(
            "`X` must be an array, a list, a Series, a data frame or a torch data set. "
            f"Got {type(X).__name__}. Pass list(X), in the order of the labels."
        )
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        return _form_of_frame(X, path_column)
    entries = _entries(X)
    if entries is None:
        return Form("array", X)
    if all(entry is None for entry in entries):
        raise ValueError(
            f"`X` must hold at least one image. Got none in {len(entries)} entries. "
            "Pass images, or their paths."
        )
    first = next((entry for entry in entries if not is_missing(entry)), None)
    if _is_path(first):
        return Form("paths", _checked_paths(entries))
    if _is_picture(first):
        return Form("array", entries, is_separate=True)
    if isinstance(first, (list, tuple)) and len(first) == 2 and _is_picture(first[0]):
        raise TypeError(
            "`X` must hold images without their labels. Got pairs. Pass two lists: "
            "[image for image, label in X] as `X`, and [label for image, label in X] "
            "as `y`."
        )
    if isinstance(first, Mapping):
        raise TypeError(
            "`X` must hold images, their paths or feature rows. Got dicts with the "
            f"keys {list(first)}. Pass two lists: {name_lists(first)}."
        )
    if not hasattr(first, "__array__") and not isinstance(first, (Number, Sequence)):
        raise TypeError(
            "`X` must hold images, their paths or feature rows. Got an entry of type "
            f"{type(first).__name__}. Pass arrays of numbers, PIL images, or paths."
        )
    if isinstance(first, Sequence) and isinstance(X, (list, tuple)):
        _check_lengths(entries)
    return Form("array", X)


def name_lists(row: Mapping[Any, Any]) -> str:
    """Return how to make lists of images and of labels from rows that are dicts."""
    image = next((key for key in row if _is_picture(row[key])), "image")
    label = "label" if "label" in row else next((k for k in row if k != image), "label")
    lists = [f"[row[{key!r}] for row in X]" for key in (image, label)]
    return f"{lists[0]} as `X`, and {lists[1]} as `y`"


def _is_map_style(X: Any) -> bool:
    """Whether an object has items by number, as the data sets of Hugging Face have."""
    has_items = hasattr(X, "__len__") and hasattr(X, "__getitem__")
    is_other = isinstance(X, (Sequence, Mapping, Set, bytes, os.PathLike))
    return has_items and not is_other and not any(hasattr(X, a) for a in OF_ARRAYS)


def _check_lengths(rows: list[Any]) -> None:
    for row, entry in enumerate(rows):
        n_values = len(entry) if isinstance(entry, Sequence) else 0
        if n_values != len(rows[0]):
            raise ValueError(
                "The rows of a nested list must have one length. Row 0 is of length "
                f"{len(rows[0])}, row {row} of {n_values}. Resize the images, or give "
                "each row all of its features."
            )


def _is_path(entry: object) -> bool:
    return isinstance(entry, (str, bytes, os.PathLike))


def _is_picture(entry: object) -> bool:
    if isinstance(entry, (np.ndarray, Tensor)):
        return entry.ndim > 1
    return isinstance(entry, Image.Image)


def _entries(X: Any) -> list[Any] | None:
    """Return the entries of a list, a Series or a column; None for other inputs."""
    if isinstance(X, Sequence) and not isinstance(X, memoryview):
        return list(X)
    kind = getattr(getattr(X, "dtype", None), "kind", "O")
    if kind not in TEXT_KINDS:
        return None
    if isinstance(X, np.ndarray):
        is_column = X.ndim == 1 or (X.ndim == 2 and X.shape[1] == 1)
        return X.ravel().tolist() if is_column else None
    # Series of pandas and polars.
    return list(X) if hasattr(X, "to_list") else None


def _form_of_frame(X: Any, path_column: object) -> Form:
    names = list(X.columns)
    if path_column is None:
        texts = [
            name
            for name, dtype in zip(names, X.dtypes, strict=True)
            if getattr(dtype, "kind", "O") in TEXT_KINDS
            and _is_path(next((v for v in X[name] if not is_missing(v)), None))
        ]
        if not texts:
            return Form("array", X)
        if len(names) > 1:
            raise ValueError(
                "With a data frame of several columns, `path_column` must name the "
                "column that holds the paths of the images. Got None; the columns "
                f"{texts} hold text. Pass path_column={texts[0]!r}, for instance; a "
                "frame of feature rows must hold numbers only."
            )
        path_column = texts[0]
    if path_column not in names:
        raise ValueError(
            "`path_column` must name a column of `X`. Got "
            f"{path_column!r}.{nearest_name(path_column, list(map(str, names)))} "
            f"The columns are {names}."
        )
    column = X[path_column]
    if hasattr(column, "columns"):
        raise ValueError(
            f"`path_column` must name one column of `X`. Several are named "
            f"{path_column!r}. Rename all but one."
        )
    return Form("frame", _checked_paths(list(column)), path_column)


def _checked_paths(entries: list[Any]) -> list[Any]:
    for row, entry in enumerate(entries):
        if not _is_path(entry) and not is_missing(entry):
            raise TypeError(
                "`X` must hold either paths or images, not both. Row "
                f"{row} is of type {type(entry).__name__}, others are paths. Write "
                "the images to files, or load the files."
            )
    return entries


def stack_images(entries: list[Any]) -> np.ndarray | Tensor:
    """Stack separate images of one shape into one array.

    Parameters
    ----------
    entries : list of ndarray, Image or Tensor
        Images of one shape. PIL images become upright and 8 bits deep, and all get 1
        channel if all are grey, 4 if all are RGBA, and 3 otherwise.

    Returns
    -------
    X : ndarray or Tensor of shape (n_samples, ...)
        The images in order; a tensor if the first image is one.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, or if an entry is missing or a path.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.images import stack_images
    >>> stack_images([np.zeros((8, 8)), np.ones((8, 8))]).shape
    (2, 8, 8)
    """
    for row, entry in enumerate(entries):
        if _is_path(entry) or is_missing(entry):
            raise TypeError(
                "`X` must hold either images or paths, not both. Row "
                f"{row} is of type {type(entry).__name__}, others are images. Load "
                "the file, or write the images to files."
            )
    is_tensor = isinstance(entries[0], Tensor)
    modes = {entry.mode for entry in entries if isinstance(entry, Image.Image)}
    n_channels = 1 if modes <= set(GREY_MODES) else 4 if modes == {"RGBA"} else 3
    images: list[Any] = [
        _pixels(entry, n_channels)
        if isinstance(entry, Image.Image)
        else (as_tensor if is_tensor else np.asarray)(entry)
        for entry in entries
    ]
    for row, image in enumerate(images):
        if image.shape != images[0].shape:
            raise ValueError(
                "Images in a list must be of one shape. Row 0 is of shape "
                f"{tuple(images[0].shape)}, row {row} of {tuple(image.shape)}. Resize "
                "them; or pass paths, whose images are resized to `image_shape`."
            )
    return stack(images) if is_tensor else np.stack(images)


def _pixels(picture: Image.Image, n_channels: int) -> np.ndarray:
    """Return a PIL image as an upright array; without channels if it is grey."""
    if picture.mode in ("F", "I"):
        # Of an unknown range. Floating values in [0, 1] are accepted later.
        return np.asarray(picture)
    # The picture belongs to the user.
    upright = picture.copy()
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(upright, in_place=True)
    shape = upright.height, upright.width, n_channels
    array = to_array(upright, shape, "stretch")
    return array[:, :, 0] if n_channels == 1 else array

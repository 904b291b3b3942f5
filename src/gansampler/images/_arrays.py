"""Images and feature rows that are in memory, or mapped into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import check_array

from gansampler.images._shapes import MIN_SIDE, check_image_shape

__all__ = [
    "as_uint8",
    "check_values",
    "content_hash",
    "looks_channels_first",
    "open_array",
]

BYTES_A_BLOCK = 2**24


def open_array(
    X: npt.ArrayLike, image_shape: object
) -> tuple[np.ndarray, tuple[int, int, int] | None, tuple[int, ...]]:
    """Check images or feature rows, and view them in their layout.

    Parameters
    ----------
    X : array-like
    image_shape : tuple of (height, width, n_channels) or None

    Returns
    -------
    array : ndarray
        NHWC images, or feature rows; of the dtype of `X`, and not copied.
    image_shape : tuple of (height, width, n_channels) or None
        None for feature rows.
    row_shape : tuple of int
        Of a row of `X`.
    """
    are_rows = image_shape is None and getattr(X, "ndim", 2) == 2
    X = _as_numeric_array(X, are_rows=are_rows)
    if X.ndim == 2 and image_shape is None:
        return X, None, X.shape[1:]
    shape = _resolve_shape(X, image_shape)
    check_values(X)
    return X.reshape(len(X), *shape), shape, X.shape[1:]


def _as_numeric_array(X: npt.ArrayLike, *, are_rows: bool) -> np.ndarray:
    """Return the array itself where it is one; of feature rows, refuse NaN too."""
    if isinstance(X, torch.Tensor):
        raise TypeError(
            "Images must be NumPy arrays with the channels last. Got a torch tensor "
            f"of shape {tuple(X.shape)}. Pass X.permute(0, 2, 3, 1).cpu().numpy() for "
            "NCHW images, X.cpu().numpy() for feature rows."
        )
    ndim = np.ndim(X) if hasattr(X, "shape") else None
    if ndim is not None and ndim > 4:
        raise ValueError(
            "Images must be of shape (n_samples, height, width, n_channels). "
            f"Got an array of {ndim} dimensions. Volumes and videos are not images: "
            "pass their slices or frames."
        )
    if ndim is not None and ndim > 2:
        _check_kind(np.asanyarray(X).dtype)
    return check_array(
        X, allow_nd=True, dtype="numeric", ensure_all_finite=are_rows, input_name="X"
    )


def _resolve_shape(X: np.ndarray, image_shape: object) -> tuple[int, int, int]:
    """Return the (height, width, n_channels) of an array's images."""
    if X.ndim == 2:
        shape = check_image_shape(image_shape)
        if X.shape[1] != np.prod(shape):
            raise ValueError(
                "Flattened images must have height * width * n_channels columns. "
                f"Got {X.shape[1]} columns and image_shape={shape}, which makes "
                f"{np.prod(shape)}. Correct `image_shape`, or pass unflattened images."
            )
        return shape
    held = (*X.shape[1:], 1)[:3]
    if X.ndim == 4 and looks_channels_first(held):
        raise ValueError(
            "Images must have their channels last: (n_samples, height, width, "
            f"n_channels). Got shape {X.shape}, which looks like channels first. "
            "Pass X.transpose(0, 2, 3, 1)."
        )
    shape = check_image_shape(held)
    if image_shape is not None and check_image_shape(image_shape) != shape:
        raise ValueError(
            f"`image_shape` must be that of the images. Got {image_shape} for images "
            f"of {shape}. Leave it out (flattened rows and files need it), or resize "
            "them."
        )
    return shape


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether (height, width, n_channels) is rather (n_channels, height, width)."""
    return shape[0] in (1, 3, 4) and shape[2] >= MIN_SIDE


def check_values(X: np.ndarray) -> None:
    """Refuse images that are neither uint8 nor floating in [0, 1]."""
    if X.dtype == np.uint8:
        return
    _check_kind(X.dtype)
    # One pass, block by block: the array may be a map of a file larger than memory.
    low, high = np.inf, -np.inf
    for rows in _blocks(len(X), X[:1].nbytes):
        part_low, part_high = X[rows].min(), X[rows].max()
        if not (np.isfinite(part_low) and np.isfinite(part_high)):
            _raise_not_finite(X, rows)
        low, high = min(low, float(part_low)), max(high, float(part_high))
    if low < 0 or high > 1:
        raise ValueError(
            "Floating-point images must lie in [0, 1]. "
            f"Got values from {low:g} to {high:g}. Divide by 255 for values in "
            "[0, 255]; pass (X + 1) / 2 for values in [-1, 1]; for feature rows pass "
            "an array of two dimensions without `image_shape`."
        )


def _check_kind(dtype: np.dtype) -> None:
    if dtype != np.uint8 and dtype.kind != "f":
        raise ValueError(
            "Images must be uint8 in [0, 255] or floating in [0, 1]. "
            f"Got dtype {dtype}. Pass X.astype(np.uint8) for values in [0, 255], "
            "or (X / X.max()).astype(np.float32) for wider ones."
        )


def content_hash(
    take: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], dtype: np.dtype
) -> str:
    """Return a hash of rows that `take` gives by number, and of shape and dtype."""
    digest = hashlib.blake2b(repr((shape, dtype.str)).encode(), digest_size=16)
    for rows in _blocks(shape[0], int(np.prod(shape[1:])) * dtype.itemsize):
        part = np.ascontiguousarray(take(np.arange(rows.start, rows.stop)))
        digest.update(part.data)
    return digest.hexdigest()


def _blocks(n_rows: int, bytes_a_row: int) -> Iterator[slice]:
    """Yield slices of rows, each of some megabytes."""
    size = max(1, BYTES_A_BLOCK // max(bytes_a_row, 1))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Return one image, uint8 or floating in [0, 1], as uint8."""
    check_values(image[None])
    if image.dtype == np.uint8:
        return image
    return np.rint(image.astype(np.float64) * 255).astype(np.uint8)


def _raise_not_finite(X: np.ndarray, rows: slice) -> None:
    finite = np.isfinite(X[rows].reshape(len(X[rows]), -1)).all(axis=1)
    row = int(np.flatnonzero(~finite)[0]) + rows.start
    what = "NaN" if np.isnan(X[row]).any() else "infinity"
    raise ValueError(
        f"Images must not contain NaN or infinity. Got {what} in row {row}. Replace "
        "such pixels, or leave the image out."
    )

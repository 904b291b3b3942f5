"""Arrays of images and of feature rows: their shape, their values, their reader."""

from __future__ import annotations

import operator

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import check_array

from gansampler._validation import suggest_image_shape
from gansampler.images._batches import chunks, content_hash

MIN_SIDE = 8


class ArrayReader:
    """Images or feature rows in memory, or memory-mapped.

    Parameters
    ----------
    X : array-like
        Images or feature rows. They are not copied if NumPy can view them.
    image_shape : tuple of (height, width, n_channels) or None
        Needed for flattened images.

    Attributes
    ----------
    array : ndarray
        NHWC images, or feature rows.
    shape : tuple of int
        (height, width, n_channels), or (n_features,).
    row_shape : tuple of int
        Shape of a row of `X`, with the channels last.
    channels_first : bool
        Whether `X` is a tensor with the channels first.
    """

    paths = None
    classes = None

    def __init__(self, X: npt.ArrayLike, image_shape: object) -> None:
        self.channels_first = False
        if isinstance(X, torch.Tensor):
            X, self.channels_first = view_tensor(X, image_shape)
        are_rows = image_shape is None and getattr(X, "ndim", 2) == 2
        array = _as_numeric_array(X, are_rows=are_rows)
        self.row_shape = self.shape = array.shape[1:]
        if array.ndim > 2 or image_shape is not None:
            self.shape = _resolve_shape(array, image_shape)
            check_values(array)
        self.array = array.reshape(len(array), *self.shape)
        self.dtype = array.dtype
        self.rows = np.arange(len(array))
        self.skipped: list = []

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return a copy of the samples at some positions."""
        # The results of networks depend on the order of the values in memory.
        return np.ascontiguousarray(self.array[positions])

    def item(self, position: int) -> np.ndarray:
        """Return a copy of one sample."""
        return self.array[position].copy()

    def read_ahead(self, positions: np.ndarray) -> None:
        """Do nothing: arrays need no preparation."""

    def readable_positions(self) -> np.ndarray:
        """Return all positions."""
        return self.rows

    def fingerprint(self, positions: np.ndarray) -> str:
        """Return a hash of the samples at some positions."""
        return content_hash(self.take, positions, self.shape, self.dtype)


def check_image_shape(image_shape: object) -> tuple[int, int, int]:
    """Check that a shape is (height, width, n_channels) with sides of at least 8 px.

    Parameters
    ----------
    image_shape : sequence of 3 int
        Height, width and number of channels, in that order.

    Returns
    -------
    image_shape : tuple of 3 int

    Raises
    ------
    ValueError
        If there are not three integers, or if one is too small.

    Examples
    --------
    >>> from gansampler.images import check_image_shape
    >>> check_image_shape([64, 48, 3])
    (64, 48, 3)
    """
    try:
        shape = tuple(map(operator.index, image_shape))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        shape = ()
    if len(shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, n_channels). "
            f"Got {image_shape!r}. {suggest_image_shape(image_shape)}"
        )
    height, width, n_channels = shape
    if looks_channels_first(shape):
        raise ValueError(
            "`image_shape` must be (height, width, n_channels). Got "
            f"{shape}, which looks like channels first. Pass image_shape="
            f"{(width, n_channels, height)}, and `X` with the channels last too."
        )
    if min(height, width) < MIN_SIDE or n_channels < 1:
        raise ValueError(
            f"Images must be at least {MIN_SIDE} px high and wide and have at least "
            f"one channel. Got (height, width, n_channels) = {shape}. "
            "Resize the images first."
        )
    return height, width, n_channels


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether a shape looks like (n_channels, height, width)."""
    return shape[0] in (1, 3, 4) and shape[2] >= MIN_SIDE


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Return one image, uint8 or floating in [0, 1], as uint8."""
    if image.dtype == np.uint8:
        return image
    return np.rint(image.astype(np.float64) * 255).astype(np.uint8)


def view_tensor(X: torch.Tensor, image_shape: object) -> tuple[np.ndarray, bool]:
    """Return a tensor as an array with the channels last, and whether they were first.

    Parameters
    ----------
    X : Tensor
        Images or feature rows. They are copied only from another device and from
        bfloat16, which NumPy does not have.
    image_shape : tuple of (height, width, n_channels) or None
        Decides if both layouts are possible.

    Raises
    ------
    ValueError
        If it cannot be told which dimension has the channels.
    """
    X = X.detach().cpu()
    X = X.float() if X.dtype == torch.bfloat16 else X
    if X.ndim != 4:
        return X.numpy(), False
    shape = tuple(X.shape[1:])
    first = (*shape[1:], shape[0])
    if image_shape is None:
        # No image is less than 8 px high or wide.
        are_possible = min(shape[:2]) >= MIN_SIDE, min(first[:2]) >= MIN_SIDE
    else:
        wanted = check_image_shape(image_shape)
        are_possible = shape == wanted, first == wanted
    if are_possible == (False, False) and image_shape is not None:
        raise ValueError(
            "`image_shape` must be the (height, width, n_channels) of the images. Got "
            f"{image_shape} for a tensor of shape {tuple(X.shape)}. Leave it out, or "
            "resize the images."
        )
    if are_possible[0] == are_possible[1]:
        raise ValueError(
            "A tensor of images must have the shape (n_samples, height, width, "
            "n_channels) or (n_samples, n_channels, height, width), with a height and "
            f"a width of at least {MIN_SIDE}. Got {tuple(X.shape)}, which does not "
            "tell where the channels are. Pass image_shape=(height, width, n_channels) "
            "with the tensor, or an array with the channels last: "
            "X.permute(0, 2, 3, 1).numpy() if they are first, X.numpy() if they are "
            "last."
        )
    channels_first = are_possible[1]
    return (X.permute(0, 2, 3, 1) if channels_first else X).numpy(), channels_first


def _as_numeric_array(X: npt.ArrayLike, *, are_rows: bool) -> np.ndarray:
    """Return X as a numeric array, uncopied if possible; refuse NaN in feature rows."""
    ndim = np.ndim(X) if hasattr(X, "shape") else 0
    if ndim > 4:
        raise ValueError(
            "Images must be of shape (n_samples, height, width, n_channels). "
            f"Got an array of {ndim} dimensions. Volumes and videos are not "
            "supported: pass their slices or frames."
        )
    if ndim > 2:
        _check_dtype(np.asanyarray(X).dtype)
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
    if X.ndim == 3 and X.shape[2] in (1, 3, 4):
        raise ValueError(
            "`X` must hold several images, (n_samples, height, width, n_channels). Got "
            f"one image of shape {X.shape}. Pass X[:1] instead of X[0], or "
            "image[None]."
        )
    shape_of_array = (*X.shape[1:], 1)[:3]
    if X.ndim == 4 and looks_channels_first(shape_of_array):
        raise ValueError(
            "Images must have their channels last: (n_samples, height, width, "
            f"n_channels). Got shape {X.shape}, which looks like channels first. "
            "Pass X.transpose(0, 2, 3, 1)."
        )
    shape = check_image_shape(shape_of_array)
    if image_shape is not None and check_image_shape(image_shape) != shape:
        raise ValueError(
            f"`image_shape` must be the shape of the images. Got {image_shape} for "
            f"images of shape {shape}. Leave it out (only flattened rows and files "
            "need it), or resize the images."
        )
    return shape


def check_values(X: np.ndarray) -> None:
    """Check that images are uint8, or floating in [0, 1]."""
    if X.dtype == np.uint8:
        return
    _check_dtype(X.dtype)
    # In chunks: the array may be a memory map of a file larger than the memory.
    low, high = np.inf, -np.inf
    for rows in chunks(len(X), (*X.shape[1:], 1)):
        part = X[rows[0] : rows[-1] + 1]
        part_low, part_high = float(part.min()), float(part.max())
        if not (np.isfinite(part_low) and np.isfinite(part_high)):
            _raise_not_finite(part, int(rows[0]))
        low, high = min(low, part_low), max(high, part_high)
    if low < 0 or high > 1:
        raise ValueError(
            "Floating-point images must lie in [0, 1]. "
            f"Got values from {low:g} to {high:g}. Divide by 255 for values in "
            "[0, 255]; pass (X + 1) / 2 for values in [-1, 1]; for feature rows pass "
            "an array of two dimensions without `image_shape`."
        )


def _check_dtype(dtype: np.dtype) -> None:
    if dtype != np.uint8 and dtype.kind != "f":
        raise ValueError(
            "Images must be uint8 in [0, 255] or floating in [0, 1]. "
            f"Got dtype {dtype}. Pass X.astype(np.uint8) for values in [0, 255], "
            "or (X / X.max()).astype(np.float32) for a larger range."
        )


def _raise_not_finite(part: np.ndarray, first_row: int) -> None:
    is_finite = np.isfinite(part.reshape(len(part), -1)).all(axis=1)
    row = int(np.flatnonzero(~is_finite)[0])
    value = "NaN" if np.isnan(part[row]).any() else "infinity"
    raise ValueError(
        f"Images must not contain NaN or infinity. Got {value} in row "
        f"{row + first_row}. Replace such pixels, or leave the image out."
    )

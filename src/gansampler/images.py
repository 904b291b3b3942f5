"""One sequence for every form in which users hold images.

Outside, images are NHWC arrays, NHW grey arrays, flattened rows, or feature rows.
Inside, a batch is a float32 tensor: NCHW with values in [-1, 1], or rows as they are.
:class:`ImageSequence` knows the way in and the way back, and copies nothing until a
batch is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import check_array

__all__ = ["ImageSequence", "check_image_shape", "chunks", "flip_at_random"]

MIN_SIDE = 8
# Without gradients, 16 images of 256 x 256 px at a time keep the activations of a
# 64-filter generator or of a VGG below 2 GB; more do not make it faster.
PIXELS_A_CHUNK = 16 * 256 * 256
MOST_A_CHUNK = 1024


def check_image_shape(image_shape: object) -> tuple[int, int, int]:
    """Check that a shape is (height, width, n_channels) with sides from 8 px.

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
        If it has another length, or if a number is too small.

    Examples
    --------
    >>> from gansampler.images import check_image_shape
    >>> check_image_shape([64, 48, 3])
    (64, 48, 3)
    """
    try:
        shape = tuple(int(side) for side in image_shape)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        shape = ()
    if len(shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, n_channels). "
            f"Got {image_shape!r}. Pass image_shape=(224, 224, 3) for RGB images, "
            "(224, 224, 1) for grey ones."
        )
    height, width, n_channels = shape
    if min(height, width) < MIN_SIDE or n_channels < 1:
        raise ValueError(
            f"Images must be at least {MIN_SIDE} px high and wide and have at least "
            f"one channel. Got (height, width, n_channels) = {shape}. "
            "Resize the images before."
        )
    return height, width, n_channels


def chunks(n_samples: int, sample_shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield row numbers in order, as many at a time as memory allows.

    Parameters
    ----------
    n_samples : int
    sample_shape : tuple of int
        (height, width, n_channels), or (n_features,).

    Yields
    ------
    rows : ndarray of int

    Examples
    --------
    >>> from gansampler.images import chunks
    >>> [len(rows) for rows in chunks(20, (256, 256, 3))]
    [16, 4]
    """
    pixels = int(np.prod(sample_shape[:-1]))
    size = int(np.clip(PIXELS_A_CHUNK // max(pixels, 1), 1, MOST_A_CHUNK))
    for start in range(0, n_samples, size):
        yield np.arange(start, min(start + size, n_samples))


def flip_at_random(
    batch: torch.Tensor, rng: np.random.Generator, *, horizontal: bool, vertical: bool
) -> torch.Tensor:
    """Flip each image of a batch with probability 1/2, each way by itself.

    Parameters
    ----------
    batch : Tensor of shape (n, n_channels, height, width)
    rng : numpy.random.Generator
    horizontal, vertical : bool
        Whether left and right, and top and bottom, may change places.

    Returns
    -------
    batch : Tensor of the same shape

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from gansampler.images import flip_at_random
    >>> rng = np.random.default_rng(0)
    >>> image = torch.tensor([[[[1, 2]]]])
    >>> flip_at_random(image, rng, horizontal=False, vertical=True)
    tensor([[[[1, 2]]]])
    """
    for axis, wanted in ((3, horizontal), (2, vertical)):
        if wanted:
            chosen = torch.from_numpy(rng.random(len(batch)) < 0.5)
            batch = torch.where(chosen[:, None, None, None], batch.flip(axis), batch)
    return batch


class ImageSequence:
    """A lazy, read-only sequence of images or feature rows.

    Parameters
    ----------
    X : array-like
        One of

        - ndarray of shape (n_samples, height, width, n_channels): images, uint8 in
          [0, 255] or floating in [0, 1];
        - ndarray of shape (n_samples, height, width): grey images, likewise;
        - array of shape (n_samples, height * width * n_channels) with `image_shape`:
          flattened images, likewise;
        - array of shape (n_samples, n_features) without `image_shape`: feature rows,
          any numeric dtype.

    image_shape : tuple of (height, width, n_channels), default=None
        The shape of each image. Needed for flattened images only.

    Attributes
    ----------
    array : ndarray
        The data in their layout, without a copy where NumPy can view them so.
    image_shape : tuple of (height, width, n_channels) or None
        None for feature rows.
    dtype : dtype
        That of the input, and of what :meth:`restore` gives back.

    Raises
    ------
    ValueError, TypeError
        If `X` is in none of these forms; the message names the rule and the remedy.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler.images import ImageSequence
    >>> X = np.full((2, 8, 8, 3), 255, dtype=np.uint8)
    >>> images = ImageSequence(X)
    >>> images.batch([1]).shape
    torch.Size([1, 3, 8, 8])
    >>> np.array_equal(images.restore(images.batch([0, 1])), X)
    True
    """

    def __init__(self, X: npt.ArrayLike, image_shape: object = None) -> None:
        X = _as_numeric_array(X)
        self.dtype = X.dtype
        self.image_shape: tuple[int, int, int] | None = None
        self._row_shape = X.shape[1:]
        self._rows: np.ndarray | None = None
        if X.ndim == 2 and image_shape is None:
            self.array = X
            return
        shape = _resolve_image_shape(X, image_shape)
        _check_image_values(X)
        self.image_shape = shape
        self.array = X.reshape(len(X), *shape)

    def __len__(self) -> int:
        return len(self.array) if self._rows is None else len(self._rows)

    @property
    def is_image(self) -> bool:
        """Whether the rows are images; feature rows otherwise."""
        return self.image_shape is not None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, n_channels), or (n_features,)."""
        return self.image_shape or self.array.shape[1:]

    @property
    def n_channels(self) -> int:
        """Number of channels, or of features."""
        return self.sample_shape[-1]

    def subset(self, rows: npt.ArrayLike) -> ImageSequence:
        """Return the sequence of some rows, without a copy of them.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)

        Returns
        -------
        subset : ImageSequence
        """
        part = object.__new__(ImageSequence)
        part.__dict__.update(self.__dict__)
        rows = np.asarray(rows, dtype=np.intp)
        part._rows = rows if self._rows is None else self._rows[rows]
        return part

    def take(self, rows: npt.ArrayLike) -> np.ndarray:
        """Return a copy of some rows: NHWC images, or feature rows, dtype kept."""
        rows = np.asarray(rows, dtype=np.intp)
        return self.array[rows if self._rows is None else self._rows[rows]]

    def batch(self, rows: npt.ArrayLike) -> torch.Tensor:
        """Return some rows as a tensor that networks take.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)

        Returns
        -------
        batch : Tensor of float32
            Images: shape (n_rows, n_channels, height, width), in [-1, 1].
            Feature rows: shape (n_rows, n_features), as they are.
        """
        part = torch.from_numpy(self.take(rows))
        if not self.is_image:
            return part.float()
        part = part.permute(0, 3, 1, 2).float()
        scale = 127.5 if self.dtype == np.uint8 else 0.5
        return part.div_(scale).sub_(1.0)

    def restore(self, batch: torch.Tensor) -> np.ndarray:
        """Give a batch the form and the dtype of the input: :meth:`batch` backwards.

        Parameters
        ----------
        batch : Tensor
            As :meth:`batch` gives it. Values outside [-1, 1] are clipped.

        Returns
        -------
        rows : ndarray of shape (n_rows, ...)
        """
        batch = batch.detach().cpu()
        if self.is_image:
            batch = batch.float().permute(0, 2, 3, 1).add(1.0)
            if self.dtype == np.uint8:
                rows = batch.mul(127.5).round_().clamp_(0, 255).numpy()
            else:
                rows = batch.mul(0.5).clamp_(0, 1).numpy()
        else:
            rows = batch.numpy()
            if self.dtype.kind in "iu":
                limits = np.iinfo(self.dtype)
                rows = np.clip(np.rint(rows.astype(float)), limits.min, limits.max)
        return rows.astype(self.dtype).reshape(len(rows), *self._row_shape)


def _as_numeric_array(X: npt.ArrayLike) -> np.ndarray:
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
    return check_array(X, allow_nd=True, dtype="numeric")


def _resolve_image_shape(X: np.ndarray, image_shape: object) -> tuple[int, int, int]:
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
    if X.ndim == 4 and held[0] in (1, 3, 4) and held[2] >= MIN_SIDE:
        raise ValueError(
            "Images must have their channels last: (n_samples, height, width, "
            f"n_channels). Got shape {X.shape}, which looks like channels first. "
            "Pass X.transpose(0, 2, 3, 1)."
        )
    shape = check_image_shape(held)
    if image_shape is not None and check_image_shape(image_shape) != shape:
        raise ValueError(
            f"`image_shape` must be that of the images. Got {image_shape} for images "
            f"of {shape}. Leave it out (only flattened rows need it), or resize them."
        )
    return shape


def _check_image_values(X: np.ndarray) -> None:
    if X.dtype == np.uint8:
        return
    if X.dtype.kind != "f":
        raise ValueError(
            "Images must be uint8 in [0, 255] or floating in [0, 1]. "
            f"Got dtype {X.dtype}. Pass X.astype(np.uint8) for values in [0, 255], "
            "or (X / X.max()).astype(np.float32) for wider ones."
        )
    low, high = float(X.min()), float(X.max())
    if low < 0 or high > 1:
        raise ValueError(
            "Floating-point images must lie in [0, 1]. "
            f"Got values from {low:g} to {high:g}. Divide by 255 for values in "
            "[0, 255]; pass (X + 1) / 2 for values in [-1, 1]; for feature rows pass "
            "an array of two dimensions without `image_shape`."
        )

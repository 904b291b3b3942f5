"""Images in whatever form, as one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from gansampler.images._arrays import content_hash, open_array
from gansampler.images._datasets import DatasetReader, read_labels
from gansampler.images._decode import RESIZE
from gansampler.images._files import FileReader, open_files
from gansampler.images._forms import find_form, stack_images
from gansampler.images._lazy import LazyImages, count_threads
from gansampler.images._offenders import Offender, check_choice, leave_out

__all__ = ["ImageSequence"]

ON_ERROR = ("raise", "skip")
PARTS_AHEAD = 5


class ImageSequence:
    """A lazy, read-only sequence of images or feature rows.

    Parameters
    ----------
    X : array-like, list of paths, data frame or Dataset
        One of

        - ndarray of shape (n_samples, height, width, n_channels): images, uint8 in
          [0, 255] or floating in [0, 1]; a :class:`numpy.memmap` stays on the disk;
        - ndarray of shape (n_samples, height, width): grey images, likewise;
        - array of shape (n_samples, height * width * n_channels) with `image_shape`:
          flattened images, likewise;
        - array of shape (n_samples, n_features) without `image_shape`: feature rows,
          any numeric dtype;
        - list, array or Series of n_samples paths (str or path-like), with
          `image_shape`;
        - data frame of pandas or polars with a column of paths, with `image_shape`;
        - map-style :class:`torch.utils.data.Dataset` of n_samples pairs (image,
          label): PIL images, tensors with the channels first or arrays with the
          channels last, uint8 or floating in [0, 1]. An item must be the same each
          time: without random augmentation.

    image_shape : tuple of (height, width, n_channels), default=None
        The shape of each image. Needed for flattened images, and for files, which are
        brought to it; 1 channel is grey, 3 are RGB, 4 are RGB and alpha. Of a data
        set None means the shape of the first item.
    path_column : str, default=None
        The column of a data frame that holds the paths; not needed where it is the
        only one. Not used for other forms.
    on_error : {"raise", "skip"}, default="raise"
        What is done about files that are missing or damaged. ``"raise"`` looks at
        every file's header and end, and names all that are bad. ``"skip"`` decodes
        each file once besides, leaves out what fails, and warns. Likewise for the
        items of a data set, of which ``"raise"`` looks at the first alone.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files and items of another size are brought to `image_shape`, with the
        bicubic filter, antialiased: the smaller side is scaled and the middle cut
        out; both sides are scaled; or the larger side is scaled and the rest is black.
    cache : bool, default=True
        Whether files and items are kept in memory once they are decoded, as uint8 of
        `image_shape`, if all of them fit into a quarter of the free memory.

    Attributes
    ----------
    form : {"array", "paths", "frame", "dataset"}
        That of `X`. A data frame without paths counts as an array.
    image_shape : tuple of (height, width, n_channels) or None
        None for feature rows.
    dtype : dtype
        That of the input, and of what :meth:`restore` gives back; uint8 for files and
        data sets.
    path_column : str or None
        The column of the paths.
    skipped : list of tuple (int, str or None, str)
        The rows left out, with their paths and the reasons.

    Raises
    ------
    ValueError, TypeError
        If `X` is in none of these forms, or if files are missing or damaged; the
        message names the rule and the remedy.

    Notes
    -----
    Files may be of any mode that Pillow opens. They are turned upright as their EXIF
    orientation says; transparency is laid over white, unless 4 channels are asked for;
    16-bit grey values are divided by 257, which brings the whole range to 8 bits;
    32-bit ones are refused, as they have no known range. Of animated images and of
    several pages the first is taken, with a warning. A file that is removed or changed
    later is an :class:`~gansampler.exceptions.ImageFileError` when it is read.

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

    Files are decoded when they are asked for:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "a.png"
    >>> Image.new("RGB", (40, 30), (250, 120, 10)).save(path)
    >>> files = ImageSequence([path], image_shape=(16, 16, 3))
    >>> files.take([0])[0, 8, 8].tolist()
    [250, 120, 10]
    >>> folder.cleanup()
    """

    def __init__(
        self,
        X: Any,
        image_shape: object = None,
        *,
        path_column: Any = None,
        on_error: Literal["raise", "skip"] = "raise",
        resize: Literal["crop", "stretch", "pad"] = "crop",
        cache: bool = True,
    ) -> None:
        check_choice("on_error", on_error, ON_ERROR)
        check_choice("resize", resize, RESIZE)
        form = find_form(X, path_column)
        self.form, self.path_column = form.name, form.path_column
        self.image_shape: tuple[int, int, int] | None
        self._row_shape: tuple[int, ...]
        self.skipped: list[Offender] = []
        # Positions in the array or the reader; None for all of them.
        self._rows: np.ndarray | None = None
        self._reader: FileReader | DatasetReader | None = None
        if form.name == "array":
            X = stack_images(form.data) if form.is_separate else form.data
            self._array, self.image_shape, self._row_shape = open_array(X, image_shape)
            self.dtype = self._array.dtype
            return
        n_threads = count_threads()
        if form.name == "dataset":
            self._reader = DatasetReader(form.data, image_shape, resize)
            # A data set need not bear several threads.
            n_threads = 1
        else:
            self._reader, self.skipped = open_files(
                form.data, image_shape, resize, on_error, n_threads
            )
        self.image_shape = self._row_shape = self._reader.shape
        self.dtype = np.dtype(np.uint8)
        self._lazy = LazyImages(
            self._reader,
            len(self._reader),
            self._reader.shape,
            n_threads=n_threads,
            keep=cache,
        )
        if on_error == "skip":
            self._rows = leave_out(self._lazy, self._reader, self.skipped)

    def __len__(self) -> int:
        if self._rows is not None:
            return len(self._rows)
        return len(self._array) if self._reader is None else len(self._reader)

    @property
    def array(self) -> np.ndarray:
        """The data in their layout, for the form "array" alone.

        Without a copy where NumPy can view the input so; all rows, in a subset too.
        """
        return self._array

    @property
    def is_image(self) -> bool:
        """Whether the rows are images; feature rows otherwise."""
        return self.image_shape is not None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, n_channels), or (n_features,)."""
        return self.image_shape or self._array.shape[1:]

    @property
    def n_channels(self) -> int:
        """Number of channels, or of features."""
        return self.sample_shape[-1]

    @property
    def rows(self) -> np.ndarray:
        """The rows of `X` that are held, in order."""
        positions = self._positions(np.arange(len(self)))
        return positions if self._reader is None else self._reader.rows[positions]

    @property
    def paths(self) -> np.ndarray | None:
        """The paths that are held, as an array of str objects; None without files."""
        if not isinstance(self._reader, FileReader):
            return None
        return self._reader.paths[self._positions(np.arange(len(self)))]

    def _positions(self, rows: npt.ArrayLike) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.intp)
        return rows if self._rows is None else self._rows[rows]

    def subset(self, rows: npt.ArrayLike) -> ImageSequence:
        """Return the sequence of some rows, without a copy of them.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)

        Returns
        -------
        subset : ImageSequence
            It shares what was decoded.
        """
        part = object.__new__(ImageSequence)
        part.__dict__.update(self.__dict__)
        part._rows = self._positions(rows)
        return part

    def take(self, rows: npt.ArrayLike) -> np.ndarray:
        """Return a copy of some rows: NHWC images, or feature rows, dtype kept."""
        positions = self._positions(rows)
        if self._reader is None:
            return self._array[positions]
        if len(positions) and positions.min() < 0:
            positions = positions % len(self._reader)
        return self._lazy.take(positions)

    def read_ahead(self, rows: npt.ArrayLike) -> None:
        """Start to decode rows that :meth:`take` will be asked for next.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)
            In the order in which they are needed. Of files and data sets, the first
            64 MiB of them are begun, in the background; arrays are ready as they are.
        """
        if self._reader is not None:
            self._lazy.read_ahead(self._positions(rows))

    def prefetch(self, parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield each part, while the images of the next ones are being decoded.

        Parameters
        ----------
        parts : sequence of ndarray of int
            Rows, in the order in which they will be taken.

        Yields
        ------
        rows : ndarray of int
        """
        for number, rows in enumerate(parts):
            if self._reader is not None:
                self.read_ahead(np.concatenate(parts[number : number + PARTS_AHEAD]))
            yield rows

    def labels(self) -> np.ndarray:
        """Return the labels of the rows held, which a torch data set has in its items.

        They are taken from its attribute ``targets`` where there is one, as in those
        of torchvision; otherwise every item is read.

        Returns
        -------
        labels : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If the items have no labels, or if this is no torch data set.
        """
        if not isinstance(self._reader, DatasetReader):
            raise ValueError(
                "Only a torch data set holds labels beside its images. Got the form "
                f"{self.form!r}. Pass `y`."
            )
        positions = self._positions(np.arange(len(self)))
        return read_labels(self._reader, self._lazy, positions)

    def fingerprint(self) -> str:
        """Return a hash that changes when the rows held do.

        Returns
        -------
        fingerprint : str
            Hexadecimal. Of arrays and data sets it is that of the content, with shape
            and dtype; of files that of paths, sizes and times of modification, in
            order, with `image_shape` and `resize`.
        """
        if isinstance(self._reader, FileReader):
            return self._reader.fingerprint(self._positions(np.arange(len(self))))
        return content_hash(self.take, (len(self), *self.sample_shape), self.dtype)

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
            Of files and data sets, NHWC images.
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

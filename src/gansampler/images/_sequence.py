"""Images in any form as one sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from gansampler.images._arrays import ArrayReader
from gansampler.images._datasets import DatasetReader
from gansampler.images._decode import RESIZE
from gansampler.images._files import FileReader
from gansampler.images._forms import find_form, stack_images
from gansampler.images._reader import Reader

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
        - ndarray of shape (n_samples, height, width): grey images of the same dtypes;
        - tensor of torch of shape (n_samples, height, width, n_channels) or (n_samples,
          n_channels, height, width): images of the same dtypes, or a tensor in one of
          the other shapes of arrays;
        - array of shape (n_samples, height * width * n_channels) with `image_shape`:
          flattened images of the same dtypes;
        - array of shape (n_samples, n_features) without `image_shape`: feature rows of
          any numeric dtype;
        - list, array or Series of n_samples paths (str or path-like), with
          `image_shape`;
        - data frame of pandas or polars with a column of paths, with `image_shape`;
        - map-style data set of torch or of Hugging Face, or another object with
          ``__len__`` and ``__getitem__``. Its items are pairs (image, label) or dicts
          with the keys ``"image"`` and ``"label"``. Images are PIL images, tensors
          with the channels first or arrays with the channels last, uint8 or floating
          in [0, 1]. An item must be the same at each access, so that random
          augmentation is not possible.

    image_shape : tuple of (height, width, n_channels), default=None
        Shape of each image. Required for flattened images and for files, which are
        resized to it. 1 channel is grey, 3 are RGB, 4 are RGB and alpha. For a data
        set, None means the shape of the first item. For a tensor, it tells the channels
        from the height and the width if the shape of the tensor does not.
    path_column : str, default=None
        Column of a data frame that holds the paths. Not needed if the data frame has
        one column only. Ignored for other forms.
    on_error : {"raise", "skip"}, default="raise"
        What to do with images that cannot be read. ``"raise"`` checks the header and
        the end of every file, and raises one error that names all bad files; for a
        data set, it checks the first item only. ``"skip"`` also decodes every image
        once, leaves out those that cannot be read, and warns.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How images of another size are brought to `image_shape`, with the antialiased
        bicubic filter. ``"crop"`` scales the image to cover the shape and cuts out
        the centre. ``"stretch"`` scales both sides. ``"pad"`` scales the image to fit
        into the shape and fills the rest with black.
    cache : bool, default=True
        Whether decoded files and items stay in memory, as uint8 of `image_shape`.
        They do so only if all of them fit into a quarter of the free memory, at most
        16 GiB. The processes of one machine that train together share this limit.

    Attributes
    ----------
    form : {"array", "paths", "frame", "dataset"}
        Form of `X`. A data frame without paths is an "array".
    image_shape : tuple of (height, width, n_channels) or None
        Shape of each image; None for feature rows.
    dtype : dtype
        Dtype of the input and of the result of :meth:`restore`; uint8 for files and
        data sets.
    path_column : str or None
        Column of the paths.
    channels_first : bool
        Whether `X` is a tensor with the channels first. All results have them last.
    classes : list of str or None
        Names of the classes, by label, if `X` is a data set that lists them.
    skipped : list of tuple (row, path, reason)
        Rows that were left out; path is None for data sets.

    Raises
    ------
    ValueError, TypeError
        If `X` has none of these forms, or if files are missing or damaged.

    Notes
    -----
    Files may have any format and mode that Pillow reads. They are rotated according to
    their EXIF orientation. Transparent images are put on a white background, unless
    4 channels are requested. Only the first frame or page of a file is used, with a
    warning if there are more.

    16-bit grey values are divided by 257, which maps their whole range to 8 bits.
    A warning is given if the first files use 12 bits only, because they become almost
    black. Files of 32 bits are refused, because their range is unknown.

    If a file is removed or changed later, reading it raises an
    :class:`~gansampler.exceptions.ImageFileError`.

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

    Files are decoded when they are needed:

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
        _check_choice("on_error", on_error, ON_ERROR)
        _check_choice("resize", resize, RESIZE)
        form = find_form(X, path_column)
        reader: Reader
        if form.name == "array":
            data = stack_images(form.data) if form.is_separate else form.data
            reader = ArrayReader(data, image_shape)
        elif form.name == "dataset":
            reader = DatasetReader(form.data, image_shape, resize, cache=cache)
        else:
            reader = FileReader(form.data, image_shape, resize, on_error, cache=cache)
        self.form, self.path_column = form.name, form.path_column
        self.dtype = reader.dtype
        self.channels_first, self.classes = reader.channels_first, reader.classes
        self.image_shape = reader.shape if len(reader.shape) == 3 else None
        self._reader = reader
        # Positions in the reader.
        self._positions = (
            reader.readable_positions()
            if on_error == "skip"
            else np.arange(len(reader.rows))
        )
        self.skipped = reader.skipped

    def __len__(self) -> int:
        return len(self._positions)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.sample_shape))
        if not self.is_image:
            return f"ImageSequence of {len(self)} feature rows, {shape}, {self.dtype}"
        origin = {"array": "", "dataset": ", from a data set"}
        return (
            f"ImageSequence of {len(self)} images, {shape}, {self.dtype}"
            f"{origin.get(self.form, ', from files')}"
        )

    @property
    def array(self) -> np.ndarray:
        """NHWC images or feature rows; only for the form "array".

        It is a view of the input if NumPy allows it. A subset returns all rows, too.
        """
        return cast(ArrayReader, self._reader).array

    @property
    def is_image(self) -> bool:
        """Whether the samples are images; otherwise they are feature rows."""
        return self.image_shape is not None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, n_channels), or (n_features,)."""
        return self._reader.shape

    @property
    def n_channels(self) -> int:
        """Number of channels, or of features."""
        return self.sample_shape[-1]

    @property
    def rows(self) -> np.ndarray:
        """Rows of `X` that the sequence contains, in order."""
        return self._reader.rows[self._positions]

    @property
    def paths(self) -> np.ndarray | None:
        """Paths as an array of str objects; None if the samples are not files."""
        paths = self._reader.paths
        return None if paths is None else paths[self._positions]

    def _resolve(self, rows: npt.ArrayLike) -> np.ndarray:
        """Return the positions of some rows of the sequence."""
        return self._positions[np.asarray(rows, dtype=np.intp)]

    def subset(self, rows: npt.ArrayLike) -> ImageSequence:
        """Return the sequence of some rows, without copying them.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)
            Rows of this sequence.

        Returns
        -------
        subset : ImageSequence
            Shares its decoded images with this sequence.
        """
        part = object.__new__(ImageSequence)
        part.__dict__.update(self.__dict__)
        part._positions = self._resolve(rows)
        return part

    def take(self, rows: npt.ArrayLike) -> np.ndarray:
        """Return a copy of some rows: NHWC images or feature rows of the same dtype."""
        return self._reader.take(self._resolve(rows))

    def item(self, row: int) -> np.ndarray:
        """Return a copy of one image as `X` has it.

        It differs from :meth:`take` only for a data set of floating images, which
        :meth:`take` rounds to 8 bits.

        Parameters
        ----------
        row : int
            Row of this sequence.

        Returns
        -------
        image : ndarray of shape (height, width, n_channels)
            uint8 in [0, 255], or floating in [0, 1].
        """
        return self._reader.item(int(self._positions[row]))

    def read_ahead(self, rows: npt.ArrayLike) -> None:
        """Start to decode rows that :meth:`take` will be asked for next.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)
            Rows in the order in which they are needed. The first 64 MiB of files and
            of items of data sets are decoded in the background. Nothing is done for
            arrays.
        """
        self._reader.read_ahead(self._resolve(rows))

    def prefetch(self, parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield each part while the images of the next parts are decoded.

        Parameters
        ----------
        parts : sequence of ndarray of int
            Rows in the order in which they will be taken.

        Yields
        ------
        rows : ndarray of int
            One of the parts.
        """
        for number, rows in enumerate(parts):
            self.read_ahead(np.concatenate(parts[number : number + PARTS_AHEAD]))
            yield rows

    def labels(self) -> np.ndarray:
        """Return the labels that a data set has in its items.

        They are taken from the attribute ``targets`` of the data set if it has one,
        as the data sets of torchvision do, or from the column ``"label"`` of a data set
        of Hugging Face. Otherwise every item is read.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Label of each row of the sequence.

        Raises
        ------
        ValueError
            If the items have no labels, or if the form is not "dataset".
        """
        if not isinstance(self._reader, DatasetReader):
            raise ValueError(
                "Only a torch data set holds labels beside its images. Got the form "
                f"{self.form!r}. Pass `y`."
            )
        return self._reader.labels(self._positions)

    def fingerprint(self) -> str:
        """Return a hash that changes if the data change.

        Returns
        -------
        fingerprint : str
            Hexadecimal hash. For arrays and data sets it depends on the values, the
            shape and the dtype; for files on their bytes, on `image_shape` and on
            `resize`. The order of the rows counts. Paths and times of modification do
            not, so that copied files have the same fingerprint.

        Notes
        -----
        Files are read once, by several threads, to hash them. 5,000 files of 170 kB
        took 2 s on two processors, a tenth of the time to decode them, when the system
        had them in its cache. Otherwise it takes the time to read them from the disk.
        """
        return self._reader.fingerprint(self._positions)

    def batch(self, rows: npt.ArrayLike) -> torch.Tensor:
        """Return some rows as the input of a network.

        Parameters
        ----------
        rows : array-like of int of shape (n_rows,)
            Rows of this sequence.

        Returns
        -------
        batch : Tensor of float32
            Images: shape (n_rows, n_channels, height, width), in [-1, 1].
            Feature rows: shape (n_rows, n_features), unchanged.
        """
        part = torch.from_numpy(self.take(rows))
        if not self.is_image:
            return part.float()
        part = part.permute(0, 3, 1, 2).float()
        scale = 127.5 if self.dtype == np.uint8 else 0.5
        return part.div_(scale).sub_(1.0)

    def restore(self, batch: torch.Tensor) -> np.ndarray:
        """Convert a batch back to the shape and dtype of the input.

        This is the inverse of :meth:`batch`.

        Parameters
        ----------
        batch : Tensor
            Batch like those of :meth:`batch`. Images are clipped to [-1, 1].

        Returns
        -------
        rows : ndarray of shape (n_rows, ...)
            Rows like those of `X`; NHWC images if `X` holds paths or is a data set or a
            tensor with the channels first.
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
        return rows.astype(self.dtype).reshape(len(rows), *self._reader.row_shape)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {list(choices)}. Got {value!r}. Pass "
            f"{name}={choices[0]!r}."
        )

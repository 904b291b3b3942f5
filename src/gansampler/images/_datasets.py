"""Images in a map-style data set, of torch or of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Subset

from gansampler.images._arrays import (
    as_uint8,
    check_image_shape,
    check_values,
    looks_channels_first,
)
from gansampler.images._batches import chunks, content_hash
from gansampler.images._decode import CHANNEL_MODES, to_array, warn_if_dark
from gansampler.images._forms import name_lists
from gansampler.images._lazy import LazyReader

IMAGE, LABEL = "image", "label"


class DatasetReader(LazyReader):
    """Read the items of a data set as uint8 images, and keep their labels.

    A single thread reads, because data sets need not support several.

    Parameters
    ----------
    dataset : Dataset
        Map-style data set. Its items are pairs (image, label), images, or dicts with
        an image and perhaps a label.
    image_shape : tuple of (height, width, n_channels) or None
        Shape that the images are brought to; None: the shape of the first item.
    resize : {"crop", "stretch", "pad"}
        How images of another size are brought to `image_shape`.
    cache : bool
        Whether decoded images stay in memory.
    """

    def __init__(
        self, dataset: Any, image_shape: object, resize: str, *, cache: bool
    ) -> None:
        if not hasattr(dataset, "__len__"):
            raise TypeError(
                "A torch data set must have __len__ and __getitem__. "
                f"{type(dataset).__name__} has no length. Add it."
            )
        n_items = len(cast(Sized, dataset))
        if n_items == 0:
            raise ValueError(
                "A torch data set must hold at least one image. Got one of length 0. "
                "Check its folder, split or filter."
            )
        self.dataset, self.resize = dataset, resize
        self._labels: dict[int, Any] = {}
        self.classes = _listed_classes(dataset)
        if image_shape is None:
            image = _image_of(dataset[0], 0)
            image_shape = _shape_of(image)
            if isinstance(image, Image.Image):
                warn_if_dark([image], stacklevel=3)
        shape = check_image_shape(image_shape)
        super().__init__(np.arange(n_items), shape, n_threads=1, cache=cache)

    def read(self, position: int) -> np.ndarray:
        """Return an image as uint8 of shape (height, width, n_channels)."""
        return np.ascontiguousarray(as_uint8(self.item(position)))

    def item(self, position: int) -> np.ndarray:
        """Return an image of the shape of this reader, in the dtype of the item."""
        try:
            item = self.dataset[position]
        except Exception as error:
            error.add_note(f"It was raised by item {position} of the torch data set.")
            raise
        if isinstance(item, Mapping) and LABEL in item:
            self._labels[position] = item[LABEL]
        elif isinstance(item, (tuple, list)) and len(item) > 1:
            self._labels[position] = item[1]
        image = _image_of(item, position)
        if isinstance(image, Image.Image):
            # `to_array` changes the image, which belongs to the data set.
            return to_array(image.copy(), self.shape, self.resize)
        if image.shape == self.shape:
            return image
        if {image.shape[2], self.shape[2]} - CHANNEL_MODES.keys():
            raise ValueError(
                "Items of a data set must be of one shape, unless they have 1, 3 "
                f"or 4 channels. Item {position} is of {image.shape}, not of "
                f"{self.shape}. Bring them to one shape in its transform."
            )
        pixels = as_uint8(image)
        picture = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
        resized = to_array(picture, self.shape, self.resize)
        if image.dtype == np.uint8:
            return resized
        return (resized / 255).astype(image.dtype)

    def labels(self, positions: np.ndarray) -> np.ndarray:
        """Return the labels that the data set lists, or else those of its items."""
        listed = _listed_labels(self.dataset)
        if listed is not None:
            return np.asarray([listed[position] for position in positions])
        new = np.array([p for p in positions if p not in self._labels], dtype=np.intp)
        for rows in chunks(len(new), self.shape):
            self.take(new[rows])
        missing = [position for position in new if position not in self._labels]
        if missing:
            raise ValueError(
                "Items of a torch data set must be pairs (image, label) if `y` is not "
                f"passed. Item {missing[0]} has no label. Pass `y`, or a data set with "
                "labels."
            )
        return np.asarray([_to_python(self._labels[p]) for p in positions])

    def fingerprint(self, positions: np.ndarray) -> str:
        """Return a hash of the images at some positions."""
        return content_hash(self.take, positions, self.shape, self.dtype)


def _listed_labels(dataset: Any) -> list[Any] | None:
    """Return the labels that a data set, or the data set of a `Subset`, lists."""
    if isinstance(dataset, Subset):
        labels = _listed_labels(dataset.dataset)
        return None if labels is None else [labels[i] for i in dataset.indices]
    if LABEL in (getattr(dataset, "column_names", None) or ()):
        return [_to_python(label) for label in dataset[LABEL]]
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None:
        return None
    labels = [_to_python(label) for label in targets]
    return labels if len(labels) == len(dataset) else None


def _listed_classes(dataset: Any) -> list[str] | None:
    """Return the names of the classes of a data set that lists its labels too."""
    if isinstance(dataset, Subset):
        return _listed_classes(dataset.dataset)
    if LABEL in (getattr(dataset, "column_names", None) or ()):
        # ClassLabel of Hugging Face.
        features = getattr(dataset, "features", {})
        names = getattr(features.get(LABEL), "names", None)
    else:
        names = getattr(dataset, "classes", None)
        names = None if _listed_labels(dataset) is None else names
    return None if names is None else [str(name) for name in names]


def _to_python(label: Any) -> Any:
    """Return the value of a tensor or a NumPy scalar as a Python object."""
    return label.tolist() if isinstance(label, torch.Tensor | np.generic) else label


def _image_of(item: Any, position: int) -> Any:
    """Return the image of an item as a PIL image, or as an array of shape (h, w, c)."""
    if isinstance(item, Mapping):
        if IMAGE not in item:
            raise TypeError(
                f"Items of a data set that are dicts must have the keys {IMAGE!r} and "
                f"{LABEL!r}. Item {position} has the keys {list(item)}. Rename the "
                f"columns, or pass two lists: {name_lists(item)}."
            )
        image = item[IMAGE]
    else:
        image = item[0] if isinstance(item, (tuple, list)) and item else item
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
        if image.ndim == 3:
            image = image.transpose(1, 2, 0)
    elif isinstance(image, np.ndarray):
        if image.ndim == 3 and looks_channels_first(image.shape):
            raise ValueError(
                "Images in a torch data set must be PIL images, tensors with the "
                "channels first or arrays with the channels last. Item "
                f"{position} is an array of shape {image.shape}, which looks like "
                "channels first. Return a tensor, or transpose(1, 2, 0) it."
            )
    else:
        raise TypeError(
            "Items of a torch data set must be (image, label), with a PIL image, a "
            f"tensor or an array. Item {position} is or begins with "
            f"{type(image).__name__}. Wrap the data set in one that returns pairs."
        )
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3:
        raise ValueError(
            "Images in a torch data set must have two or three dimensions. Item "
            f"{position} is of shape {image.shape}. Return single images."
        )
    try:
        check_values(image[None])
        return image
    except ValueError as error:
        error.add_note(
            f"This is item {position} of the torch data set. Remove Normalize from "
            "its transform."
        )
        raise


def _shape_of(image: Any) -> tuple[int, ...]:
    if not isinstance(image, Image.Image):
        return image.shape
    n_channels = {"1": 1, "L": 1, "RGBA": 4}.get(image.mode, 3)
    return image.height, image.width, n_channels

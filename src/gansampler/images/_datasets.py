"""Images in a torch data set of the map style, one item each."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset

from gansampler.images._arrays import as_uint8, looks_channels_first
from gansampler.images._decode import MODE_OF_CHANNELS, to_array
from gansampler.images._lazy import LazyImages
from gansampler.images._shapes import check_image_shape

__all__ = ["DatasetReader", "read_labels"]

ITEMS_A_READ = 64


class DatasetReader:
    """Read the item at a position as uint8, and remember its label.

    Parameters
    ----------
    dataset : Dataset
        Of the map style. Its items are pairs of an image and a label, or images.
    image_shape : tuple of (height, width, n_channels) or None
        None takes the shape of the first item.
    resize : {"crop", "stretch", "pad"}
    """

    def __init__(self, dataset: Dataset, image_shape: object, resize: str) -> None:
        if not hasattr(dataset, "__len__"):
            raise TypeError(
                "A torch data set must have __len__ and __getitem__. "
                f"{type(dataset).__name__} has no length. Add it."
            )
        n_items = len(cast(Sized, dataset))
        if n_items == 0:
            raise ValueError(
                "A torch data set must hold at least one image. Got one of length 0. "
                "Look at its folder, split or filter."
            )
        self.dataset, self.resize = dataset, resize
        self.rows = np.arange(n_items)
        self._labels: dict[int, Any] = {}
        if image_shape is None:
            image = _image_of(dataset[0], 0)
            shape = _natural_shape(image)
        else:
            shape = check_image_shape(image_shape)
        self.shape = check_image_shape(shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, position: int) -> np.ndarray:
        """Return the image as uint8 of shape (height, width, n_channels)."""
        try:
            item = self.dataset[position]
        except Exception as error:
            error.add_note(f"It was raised by item {position} of the torch data set.")
            raise
        if isinstance(item, (tuple, list)) and len(item) > 1:
            self._labels[position] = item[1]
        image = _image_of(item, position)
        if not isinstance(image, Image.Image) and image.shape != self.shape:
            mode = MODE_OF_CHANNELS.get(self.shape[2])
            if image.shape[2] not in MODE_OF_CHANNELS or mode is None:
                raise ValueError(
                    "Items of a data set must be of one shape, unless they have 1, 3 "
                    f"or 4 channels. Item {position} is of {image.shape}, not of "
                    f"{self.shape}. Bring them to one shape in its transform."
                )
            image = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
        if isinstance(image, Image.Image):
            # Upright is made in place, and the item is the data set's own.
            return to_array(image.copy(), self.shape, self.resize)
        return image

    def path(self, position: int) -> None:
        """Items have no path."""

    def label(self, position: int) -> Any:
        """Return the label of an item that was read."""
        if position not in self._labels:
            raise ValueError(
                "Items of a torch data set must be pairs (image, label) where no `y` "
                f"is passed. Item {position} has no label. Pass `y`, or a data set "
                "with labels."
            )
        return _plain(self._labels[position])

    def unread(self, positions: np.ndarray) -> np.ndarray:
        """Return those positions whose label is not known yet."""
        return np.array([p for p in positions if p not in self._labels], dtype=np.intp)


def read_labels(
    reader: DatasetReader, lazy: LazyImages, positions: np.ndarray
) -> np.ndarray:
    """Return labels as the data set lists them, or else by reading the items."""
    known = _listed_labels(reader.dataset)
    if known is not None:
        return np.asarray([known[position] for position in positions])
    unread = reader.unread(positions)
    for start in range(0, len(unread), ITEMS_A_READ):
        lazy.take(unread[start : start + ITEMS_A_READ])
    return np.asarray([reader.label(position) for position in positions])


def _listed_labels(dataset: Any) -> list[Any] | None:
    """Labels as torchvision's data sets list them, and torch's subsets of these."""
    if isinstance(dataset, Subset):
        labels = _listed_labels(dataset.dataset)
        return None if labels is None else [labels[i] for i in dataset.indices]
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None:
        return None
    labels = [_plain(label) for label in targets]
    return labels if len(labels) == len(dataset) else None


def _plain(label: Any) -> Any:
    """Return a tensor's or a NumPy scalar's value as Python's own."""
    if isinstance(label, (torch.Tensor, np.generic)):
        return label.tolist()
    return label


def _image_of(item: Any, position: int) -> Any:
    """Return the image of an item: of PIL, or as uint8 of shape (h, w, c)."""
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
        return np.ascontiguousarray(as_uint8(image))
    except ValueError as error:
        error.add_note(
            f"It is item {position} of the torch data set: leave a Normalize out of "
            "its transform."
        )
        raise


def _natural_shape(image: Any) -> tuple[int, ...]:
    if not isinstance(image, Image.Image):
        return image.shape
    n_channels = {"1": 1, "L": 1, "RGBA": 4}.get(image.mode, 3)
    return image.height, image.width, n_channels

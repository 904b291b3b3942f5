"""Original and synthetic images as one torch data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from gansampler.images import ImageSequence


class OverSampledDataset(Dataset[tuple[Any, Any]]):
    """Original and synthetic images, read on demand.

    It is created from the output of :class:`~gansampler.GANOverSampler` in any form.
    The sampler itself returns it if its input is a torch data set. It works with the
    workers of a ``DataLoader``.

    Parameters
    ----------
    X : array-like, list of paths, data frame or Dataset
        Resampled images, `X_resampled`, in any form that the sampler accepts.
    y : array-like of shape (n_samples,)
        Labels, `y_resampled`.
    sample_indices : array-like of int of shape (n_samples,)
        Attribute `sample_indices_` of the sampler: for each image, its row in the data
        before resampling, or the row that it was translated from.
    is_synthetic : array-like of bool of shape (n_samples,), default=None
        Attribute `is_synthetic_` of the sampler: which images are synthetic. Not
        needed with `synthetic`.
    synthetic : array-like or list of paths, default=None
        Synthetic images, if `X` contains the original images only.
    image_shape : tuple of (height, width, n_channels), default=None
        Shape that images are brought to. Required for paths and flattened images.
    path_column : column name, default=None
        Column of a data frame that holds the paths.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files of another size are brought to `image_shape`.
    transform : callable, default=None
        Function that is applied to each image when it is read.

    Attributes
    ----------
    parent : ndarray of int of shape (n_samples,)
        `sample_indices`. Images with the same parent belong on the same side of a
        split.
    is_synthetic : ndarray of bool of shape (n_samples,)
        Which images are synthetic.
    targets : list
        Labels. Labels that are text are given as integers, their positions in
        `classes`, because a ``DataLoader`` cannot make a tensor of text.
    classes : list of str or None
        Names of the classes, ``classes[target]``: those of the data set `X` if it lists
        them, as ``ImageFolder`` does, or else the labels that are text, sorted. None if
        the labels are numbers without names.
    class_to_idx : dict of str -> int or None
        Position of each of `classes`.
    transform : callable or None
        The parameter `transform`.

    Raises
    ------
    ValueError
        If the numbers of images, labels and parents differ.

    See Also
    --------
    gansampler.GANOverSampler : Create the synthetic images.
    gansampler.data.BalancedSampler : Draw every class equally often.

    Notes
    -----
    An item is a pair of an image and its target. The image is a tensor of shape
    (n_channels, height, width): uint8 in [0, 255], or float32 in [0, 1] if the original
    images are floating, also those of a data set. The transforms of
    ``torchvision.transforms.v2`` accept such tensors. With `transform`, the image is
    the result of `transform`.

    Examples
    --------
    >>> import numpy as np
    >>> from torch.utils.data import DataLoader
    >>> from gansampler import CycleGAN, GANOverSampler
    >>> from gansampler.data import OverSampledDataset
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(10, weights=(0.7, 0.3), image_size=16, random_state=0)
    >>> sampler = GANOverSampler(
    ...     translator=CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1), random_state=0
    ... )
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> dataset = OverSampledDataset(
    ...     X_resampled, y_resampled, sampler.sample_indices_, sampler.is_synthetic_
    ... )
    >>> len(dataset), int(dataset.is_synthetic.sum())
    (14, 4)
    >>> images, labels = next(iter(DataLoader(dataset, batch_size=4)))
    >>> images.shape, images.dtype
    (torch.Size([4, 3, 16, 16]), torch.uint8)
    >>> [dataset.classes[target] for target in labels]
    ['malignant', 'benign', 'benign', 'benign']
    """

    def __init__(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_indices: npt.ArrayLike,
        is_synthetic: npt.ArrayLike | None = None,
        *,
        synthetic: Any = None,
        image_shape: tuple[int, int, int] | None = None,
        path_column: Any = None,
        resize: Any = "crop",
        transform: Callable[[torch.Tensor], Any] | None = None,
    ) -> None:
        def as_sequence(images: Any) -> ImageSequence:
            if isinstance(images, ImageSequence):
                return images
            # Each worker would have a separate cache.
            return ImageSequence(
                images, image_shape, path_column=path_column, resize=resize, cache=False
            )

        self._parts = [as_sequence(X)]
        if synthetic is not None and len(synthetic):
            image_shape = self._parts[0].image_shape
            self._parts.append(as_sequence(synthetic))
        n_images = sum(len(part) for part in self._parts)
        labels: Any = y
        if labels is None:
            raise ValueError(
                "`y` must have the label of each image. Got None. Pass `y_resampled`, "
                "the second result of the sampler."
            )
        self.targets: list[Any] = (
            labels.tolist() if hasattr(labels, "tolist") else list(labels)
        )
        self.parent = np.asarray(sample_indices, dtype=np.intp)
        if synthetic is not None:
            is_synthetic = np.arange(n_images) >= len(self._parts[0])
        if is_synthetic is None:
            raise ValueError(
                "`is_synthetic` must say which images are synthetic. Got None. Pass "
                "the attribute `is_synthetic_` of the sampler."
            )
        self.is_synthetic = np.asarray(is_synthetic, dtype=bool)
        lengths = {
            "y": len(self.targets),
            "sample_indices": len(self.parent),
            "is_synthetic": len(self.is_synthetic),
        }
        for name, length in lengths.items():
            if length != n_images:
                raise ValueError(
                    f"`{name}` must have one entry for each image. Got {length} for "
                    f"{n_images} images. Pass everything that the sampler returned."
                )
        if not all(part.is_image for part in self._parts):
            raise ValueError(
                "`X` must contain images. Got feature rows, or flattened images "
                "without `image_shape`. Pass image_shape=(height, width, n_channels)."
            )
        self.transform = transform
        originals = self._parts[0]
        is_dataset = originals.form == "dataset"
        dtype = originals.item(0).dtype if is_dataset else originals.dtype
        self._is_floating = dtype != np.uint8
        self.classes = self._find_classes()
        self.class_to_idx = None
        if self.classes is not None:
            self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
            if _is_text(self.targets):
                self.targets = [self.class_to_idx[label] for label in self.targets]

    def _find_classes(self) -> list[str] | None:
        originals = self._parts[0]
        known = originals.classes
        if _is_text(self.targets):
            names = sorted({str(label) for label in self.targets})
            return known if known is not None and set(names) <= set(known) else names
        # The user may have passed other labels than those of the data set.
        is_listed = known is not None and np.array_equal(
            originals.labels(), self.targets[: len(originals)]
        )
        return known if is_listed else None

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self._parts[0].sample_shape))
        dtype = "float32" if self._is_floating else "uint8"
        n_synthetic = int(self.is_synthetic.sum())
        return (
            f"OverSampledDataset of {len(self)} images, {n_synthetic} of them "
            f"synthetic, {shape}, {dtype}"
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = range(len(self))[index]
        part = self._parts[0]
        position = row
        if row >= len(part):
            position -= len(part)
            part = self._parts[1]
        image = part.item(position).transpose(2, 0, 1)
        tensor = torch.from_numpy(np.ascontiguousarray(image))
        if self._is_floating:
            is_uint8 = tensor.dtype == torch.uint8
            tensor = tensor.float() / 255 if is_uint8 else tensor.float()
        if self.transform is not None:
            tensor = self.transform(tensor)
        return tensor, self.targets[row]


def _is_text(labels: list[Any]) -> bool:
    return bool(labels) and all(isinstance(label, str) for label in labels)

"""The data of a classifier: samples, labels and sample weights, checked."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from gansampler._validation import check_labels
from gansampler.images import ImageSequence


class Samples(NamedTuple):
    """Samples and their classes."""

    images: ImageSequence
    # Standardises feature rows. None for images.
    scaler: StandardScaler | None
    # Positions in `classes_`.
    target: np.ndarray

    def encode(self, rows: np.ndarray) -> torch.Tensor:
        """Return some samples as the input of a network."""
        return encode_samples(self.images, self.scaler, rows)

    def fingerprint(self) -> list[str]:
        """Return a hash of the inputs and a hash of the classes."""
        return [self.images.fingerprint(), blake2b(self.target.tobytes()).hexdigest()]


def encode_samples(
    images: ImageSequence, scaler: StandardScaler | None, rows: np.ndarray
) -> torch.Tensor:
    """Return some samples as a float32 batch for a network."""
    if scaler is None:
        return images.batch(rows)
    scaled = scaler.transform(images.take(rows).astype(np.float64))
    return torch.from_numpy(scaled).float()


def make_scaler() -> StandardScaler:
    """Return a scaler that gives arrays, also if scikit-learn is set to give frames."""
    return StandardScaler().set_output(transform="default")


def fit_scaler(
    images: ImageSequence, sample_weight: np.ndarray | None
) -> StandardScaler | None:
    """Return a scaler that is fitted to feature rows, or None for images."""
    if images.is_image:
        return None
    rows = images.take(np.arange(len(images))).astype(np.float64)
    return make_scaler().fit(rows, sample_weight=sample_weight)


def check_pair(data: object) -> tuple[Any, Any]:
    """Return validation samples and labels if they are given as a pair."""
    if isinstance(data, tuple | list) and len(data) == 2:
        return data[0], data[1]
    got = f" of length {len(data)}" if hasattr(data, "__len__") else ""
    raise ValueError(
        "`validation_data` must be a pair of samples and labels. Got "
        f"{type(data).__name__}{got}. Pass validation_data=(X_val, y_val), or "
        "(dataset, None) for a torch data set."
    )


def encode_labels(
    images: ImageSequence,
    y: npt.ArrayLike | None,
    encode: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return labels as positions in `classes_`.

    Parameters
    ----------
    images : ImageSequence
        The samples.
    y : array-like of shape (n_samples,), or None
        Labels. None uses those of a torch data set.
    encode : callable
        Method of a label encoder.

    Returns
    -------
    target : ndarray of int64 of shape (n_samples,)
    """
    if y is not None:
        check_labels(y)
    labels = column_or_1d(images.labels() if y is None else y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_consistent_length(images, labels)
    check_classification_targets(labels)
    return encode(labels).astype(np.int64)


def check_sample_weight(
    sample_weight: npt.ArrayLike | None, n_samples: int
) -> np.ndarray | None:
    """Return the sample weights as float64, or None if there are none."""
    if sample_weight is None:
        return None
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (n_samples,):
        raise ValueError(
            f"`sample_weight` must have the shape ({n_samples},), one number per "
            f"sample. Got the shape {weight.shape}. Pass one weight for each row of "
            "`X`."
        )
    if weight.min() < 0:
        raise ValueError(
            f"`sample_weight` must not be negative. Got {weight.min():g}. Use 0 to "
            "ignore a sample."
        )
    if weight.max() == 0:
        raise ValueError(
            "At least one value of `sample_weight` must be positive. Got a weight of "
            "zero for every sample. Pass None for equal weights."
        )
    return weight


def check_two_classes(
    classes: np.ndarray, target: np.ndarray, weight: np.ndarray | None
) -> None:
    """Raise an error if fewer than two classes have samples of positive weight."""
    if weight is not None:
        target = target[weight > 0]
    present = classes[np.unique(target)].tolist()
    if len(present) < 2:
        raise ValueError(
            "A classifier needs samples of at least 2 classes in the data, but the "
            "data contains only one class (samples of weight 0 do not count): "
            f"{present}. Pass samples of another class."
        )


def check_same_classes(classes: np.ndarray, target: np.ndarray) -> None:
    """Raise an error if a fit that continues another one lacks some of its classes."""
    present = np.unique(target)
    if len(present) < len(classes):
        raise ValueError(
            "With warm_start=True, `y` must have the classes of the first fit, "
            f"{classes.tolist()}. Got only {classes[present].tolist()}. Use "
            "`partial_fit`, or fit with warm_start=False."
        )

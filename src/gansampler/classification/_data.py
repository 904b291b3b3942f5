"""What a classifier accepts: samples, labels and weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from gansampler.images import ImageSequence

__all__ = [
    "check_sample_weight",
    "check_samples",
    "check_two_classes",
    "encode_labels",
]


def check_samples(estimator, X: npt.ArrayLike) -> ImageSequence:
    """Return samples for a fitted estimator, of the shape that it knows."""
    images = ImageSequence(X, estimator.image_shape)
    shape, known = tuple(images.sample_shape), estimator.sample_shape_
    # Of feature rows scikit-learn has its own words.
    if shape != known and (len(shape) > 1 or len(known) > 1):
        raise ValueError(
            "A classifier takes samples of the shape that it was fitted on, "
            f"{known}. Got {shape}. Resize them, or fit another classifier."
        )
    validate_data(estimator, X, reset=False, skip_check_array=True)
    return images


def encode_labels(
    images: ImageSequence,
    y: npt.ArrayLike,
    encode: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the labels of these samples as positions in `classes_`."""
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_consistent_length(images, labels)
    check_classification_targets(labels)
    return encode(labels).astype(np.int64)


def check_sample_weight(
    sample_weight: npt.ArrayLike | None, images: ImageSequence
) -> np.ndarray | None:
    """Return the weights as float64, one a sample."""
    if sample_weight is None:
        return None
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (len(images),):
        raise ValueError(
            "`sample_weight` must hold one number a sample. Got shape "
            f"{weight.shape} for {len(images)} samples."
        )
    if weight.min() < 0:
        raise ValueError(
            f"`sample_weight` must not be negative. Got {weight.min():g}. Use 0 for "
            "samples to leave out."
        )
    if weight.max() == 0:
        raise ValueError(
            "Some `sample_weight` must be positive. Got a weight of zero for every "
            "sample. Leave it out for equal weights."
        )
    return weight


def check_two_classes(
    classes: np.ndarray, target: np.ndarray, weight: np.ndarray | None
) -> None:
    """Refuse data with one class, or with one class of positive weight."""
    if weight is not None:
        target = target[weight > 0]
    present = classes[np.unique(target)].tolist()
    if len(present) < 2:
        raise ValueError(
            "A classifier needs samples of at least 2 classes in the data, but the "
            "data contains only one class (samples of weight 0 do not count): "
            f"{present}."
        )

"""What a classifier accepts: samples, labels and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from gansampler._validation import check_labels
from gansampler.images import ImageSequence, find_form

__all__ = [
    "check_pair",
    "check_sample_weight",
    "check_samples",
    "check_two_classes",
    "encode_labels",
    "open_samples",
]


def open_samples(
    estimator, X: Any, image_shape: object = None, *, cache: bool = True
) -> ImageSequence:
    """Return samples as the parameters of an estimator say they are to be read."""
    return ImageSequence(
        X,
        estimator.image_shape if image_shape is None else image_shape,
        path_column=estimator.path_column,
        resize=estimator.resize,
        cache=cache,
    )


def check_pair(data: object) -> tuple[Any, Any]:
    """Return held-out samples and their labels, given as a pair."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        got = (
            f"{len(data)} of them"
            if isinstance(data, tuple | list)
            else type(data).__name__
        )
        raise ValueError(
            f"`validation_data` must be a pair, samples and their labels. Got {got}. "
            "Pass validation_data=(X_val, y_val); of a torch data set, (dataset, None)."
        )
    return data[0], data[1]


def check_samples(estimator, X: Any, *, cache: bool = True) -> ImageSequence:
    """Return samples for a fitted estimator, of the shape that it knows."""
    is_array = find_form(X, estimator.path_column).name == "array"
    shape = None
    if not is_array and len(estimator.sample_shape_) == 3:
        # Arrays are taken as they are; files and items are brought to the shape.
        shape = estimator.sample_shape_
    images = open_samples(estimator, X, shape, cache=cache)
    shape, known = tuple(images.sample_shape), estimator.sample_shape_
    # Of feature rows scikit-learn has its own words.
    if shape != known and (len(shape) > 1 or len(known) > 1):
        raise ValueError(
            "A classifier takes samples of the shape that it was fitted on, "
            f"{known}. Got {shape}. Resize them, or fit another classifier."
        )
    if is_array:
        validate_data(estimator, X, reset=False, skip_check_array=True)
    return images


def encode_labels(
    images: ImageSequence,
    y: npt.ArrayLike | None,
    encode: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return labels, or those of a data set, as positions in `classes_`."""
    if y is not None:
        check_labels(y)
    labels = column_or_1d(images.labels() if y is None else y, warn=True)
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

"""What a fitted sampler knows of the samples: names, groups and examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from gansampler._validation import to_python_scalar
from gansampler.images import ImageSequence
from gansampler.over_sampling._plan import ClassPlan

N_EXAMPLES = 8


class Examples(NamedTuple):
    """A few images of a class that was grown.

    Attributes
    ----------
    source, translated, target : ndarray of shape (n, height, width, n_channels)
        Sources, their translations, and existing images of the class.
    source_labels : ndarray of shape (n,)
        Labels of the sources.
    """

    source: np.ndarray
    translated: np.ndarray
    target: np.ndarray
    source_labels: np.ndarray


def take_examples(
    images: ImageSequence,
    labels: np.ndarray,
    plan: Sequence[ClassPlan],
    parents: np.ndarray,
    new: np.ndarray | list[str],
) -> dict[Any, Examples]:
    """Return a few images of each class that was grown; nothing for feature rows.

    Parameters
    ----------
    images : ImageSequence
        The originals.
    labels : ndarray of shape (n_samples,)
        Their labels.
    plan : sequence of ClassPlan
        The classes, in the order of the synthetic samples.
    parents : ndarray of int of shape (n_samples_new,)
        Position of the parent of each row of the result.
    new : ndarray or list of str
        Synthetic images, after the originals if these are an array; or their paths.
    """
    examples: dict[Any, Examples] = {}
    if not images.is_image:
        return examples
    start = len(images)
    offset = start
    if isinstance(new, np.ndarray) and images.form == "array":
        offset = 0
    for grown in plan:
        rows = np.arange(start, start + min(grown.n_new, N_EXAMPLES))
        start += grown.n_new
        first = [new[row - offset] for row in rows]
        if isinstance(new, np.ndarray):
            translated = np.stack(first)
        else:
            files = ImageSequence(first, images.image_shape, cache=False)
            translated = files.take(np.arange(len(first)))
        examples[to_python_scalar(grown.label)] = Examples(
            images.take(parents[rows]),
            translated,
            images.take(grown.target[:N_EXAMPLES]),
            labels[parents[rows]],
        )
    return examples


class FittedSamplerMixin:
    """Methods of a fitted sampler that need neither its parameters nor its networks.

    List it before the base class of the sampler.
    """

    sample_indices_: np.ndarray
    _n_rows: int
    _sample_shape: tuple[int, ...]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features. Images get one name, with their shape.

        The diagram of a fitted sampler in a notebook shows them.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of feature rows. Not used for images.

        Returns
        -------
        names : ndarray of str objects
            As in scikit-learn for feature rows, and for images one name such as "64 x
            64 x 3 images".
        """
        check_is_fitted(self, "_sample_shape")
        if len(self._sample_shape) == 1:
            return super().get_feature_names_out(input_features)  # type: ignore[misc]
        shape = " x ".join(map(str, self._sample_shape))
        return np.array([f"{shape} images"], dtype=object)

    def resample_groups(self, groups: npt.ArrayLike) -> np.ndarray:
        """Return the groups of the resampled rows; each row has that of its parent.

        Use it to split resampled data with
        :class:`sklearn.model_selection.GroupKFold` or a similar splitter. Images of
        one patient, and synthetic images and their parents, then stay on one side.

        Parameters
        ----------
        groups : array-like of shape (n_samples,)
            Group of each row of `X`.

        Returns
        -------
        groups_resampled : ndarray of shape (n_samples_new,)

        Raises
        ------
        NotFittedError
            If :meth:`fit_resample` was not called.
        ValueError
            If the number of groups is not that of the rows.

        Examples
        --------
        >>> import numpy as np
        >>> from gansampler import CycleGAN, GANOverSampler
        >>> rng = np.random.default_rng(0)
        >>> X = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
        >>> sampler = GANOverSampler(
        ...     translator=CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1),
        ...     random_state=0,
        ... )
        >>> _ = sampler.fit_resample(X, [0, 0, 0, 0, 1, 1])
        >>> sampler.resample_groups(["a", "b", "c", "d", "e", "e"]).tolist()
        ['a', 'b', 'c', 'd', 'e', 'e', 'a', 'd']
        """
        check_is_fitted(self, "sample_indices_")
        groups = np.asarray(groups)
        if groups.ndim != 1 or len(groups) != self._n_rows:
            raise ValueError(
                "`groups` must contain one group for each row of `X`, "
                f"{self._n_rows}. Got shape {groups.shape}. Pass the groups of all "
                "rows, in their order, including those that were skipped."
            )
        return groups[self.sample_indices_]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without images: a pickle may be passed on to others."""
        state: Any = super().__getstate__()
        return {name: state[name] for name in state if name != "examples_"}

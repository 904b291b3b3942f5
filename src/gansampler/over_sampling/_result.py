"""What a sampler gives after it has resampled: examples, groups, further samples."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch.utils.data import Dataset, Subset

from gansampler._validation import nearest_name, to_python_scalar
from gansampler.images import ImageSequence
from gansampler.over_sampling._filtering import FilteredTranslations, Selection
from gansampler.over_sampling._generation import (
    check_n_versions,
    draw_sources,
    generate,
)
from gansampler.over_sampling._plan import ClassPlan
from gansampler.translators import BaseTranslator

N_EXAMPLES = 8


@dataclass
class GeneratedClass:
    """A class whose samples were generated, and from which more can be generated.

    Attributes
    ----------
    translator : BaseTranslator
        Fitted.
    source : ImageSequence
        The samples that are translated.
    seed : int
        Seed by which sources are drawn.
    n_generated : int
        Number of samples that were generated.
    digests : set of bytes
        Hashes of these samples.
    """

    translator: BaseTranslator
    source: ImageSequence
    seed: int
    n_generated: int
    digests: set[bytes]

    @classmethod
    def of(cls, samples: Any, images: ImageSequence) -> GeneratedClass | Selection:
        """Return the class of some translations, after they were generated.

        A copy of files has no decoded images, which would stay in memory.
        """
        source = samples.source
        if images.form in ("paths", "frame"):
            source = copy.deepcopy(source)
        if isinstance(samples, FilteredTranslations):
            return samples.selection.on(source)
        return cls(
            samples.translator, source, samples.seed, samples.n_new, samples.digests
        )

    def generate(
        self, n: int, label: object, verbose: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return further samples and the rows of their parents."""
        n_sources, total = len(self.source), self.n_generated + n
        if self.source.is_image:
            check_n_versions(self.translator, total, n_sources, label)
        chosen = draw_sources(n_sources, total, self.seed)
        digests = set(self.digests)
        parts = [
            chunk.samples
            for chunk in generate(
                self.translator,
                self.source,
                chosen,
                seed=self.seed,
                label=label,
                n_before=self.n_generated,
                seen=digests,
                verbose=verbose,
            )
        ]
        row_shape = self.source.restore(self.source.batch([0])).shape[1:]
        samples = np.concatenate(parts).reshape(n, *row_shape)
        parents = self.source.rows[chosen[self.n_generated :]]
        self.n_generated, self.digests = total, digests
        return samples, parents


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
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
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
    sources, targets : sequence of ndarray of int
        For each class, the positions of the sources of its samples, and of images of
        the class.
    new : ndarray or list of str
        Synthetic images, after the originals if these are an array; or their paths.
    """
    examples: dict[Any, Examples] = {}
    if not images.is_image:
        return examples
    is_after = isinstance(new, np.ndarray) and images.form == "array"
    start = len(images) if is_after else 0
    for grown, source, target in zip(plan, sources, targets, strict=True):
        n_shown = min(grown.n_new, N_EXAMPLES)
        first = [new[row] for row in range(start, start + n_shown)]
        start += grown.n_new
        if isinstance(new, np.ndarray):
            translated = np.stack(first)
        else:
            files = ImageSequence(first, images.image_shape, cache=False)
            translated = files.take(np.arange(len(first)))
        examples[to_python_scalar(grown.label)] = Examples(
            images.take(source[:n_shown]),
            translated,
            images.take(target[:N_EXAMPLES]),
            labels[source[:n_shown]],
        )
    return examples


class ResultMixin:
    """What every sampler offers after ``fit_resample``."""

    is_synthetic_: np.ndarray
    _sample_shape: tuple[int, ...]

    def select_synthetic(self, X_resampled):
        """Return only the synthetic samples of a resampled data set.

        For an array this is ``X_resampled[sampler.is_synthetic_]``. The method takes
        every form of data.

        Parameters
        ----------
        X_resampled : array-like, list of paths, data frame or Dataset
            What :meth:`fit_resample` returned, `X_resampled` or `y_resampled`.

        Returns
        -------
        X_synthetic : object
            In the form of `X_resampled`. For a Dataset, a
            :class:`torch.utils.data.Subset`.

        Raises
        ------
        NotFittedError
            If :meth:`fit_resample` was not called.
        ValueError
            If the number of rows is not that of the result.

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
        >>> X_resampled, y_resampled = sampler.fit_resample(X, [0, 0, 0, 0, 1, 1])
        >>> sampler.select_synthetic(X_resampled).shape
        (2, 8, 8, 3)
        >>> sampler.select_synthetic(y_resampled)
        [1, 1]
        """
        check_is_fitted(self, "is_synthetic_")
        n_rows = len(self.is_synthetic_)
        if len(X_resampled) != n_rows:
            raise ValueError(
                f"`X_resampled` must have the {n_rows} rows that `fit_resample` "
                f"returned. Got {len(X_resampled)}. Pass its result."
            )
        # The synthetic samples follow the others.
        start = n_rows - int(self.is_synthetic_.sum())
        if isinstance(X_resampled, Dataset):
            return Subset(X_resampled, range(start, n_rows))
        return getattr(X_resampled, "iloc", X_resampled)[start:]

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

    def __getstate__(self):
        """Return the attributes without images: a pickle may be passed on to others."""
        state: Any = super().__getstate__()
        images = ("_generated", "examples_")
        return {name: state[name] for name in state if name not in images}


class TranslationsMixin:
    """What a sampler by translation offers after ``fit_resample``."""

    sample_indices_: np.ndarray
    verbose: int
    _n_rows: int
    _generated: dict[Any, GeneratedClass | Selection]

    def generate(self, n, label=None):
        """Generate further samples of a class that was grown.

        The translators that :meth:`fit_resample` fitted translate further versions of
        their sources. No image is one that :meth:`fit_resample` or an earlier call
        returned. With a `quality_filter`, all images pass it. With an integer as
        `random_state`, the same calls give the same samples.

        Parameters
        ----------
        n : int
            Number of samples, at least 1.
        label : object, default=None
            A class of `translators_`. None takes the only one.

        Returns
        -------
        X_new : ndarray of shape (n, ...)
            In the shape and dtype of the rows of `X` if `X` was an array. For paths
            and data sets, images of uint8 of shape (n, height, width, n_channels). No
            files are written.
        parents : ndarray of int of shape (n,)
            For each sample, the row of `X` that it was translated from.

        Raises
        ------
        NotFittedError
            If :meth:`fit_resample` was not called.
        ValueError
            If `n` is no positive integer, if the class was not grown, or if this is a
            copy of the sampler, without the data. Copies and pickled samplers do not
            contain the images, which may be private or large.
        ShortfallError
            If there are too few distinct images, or too few that pass the filters.

        Examples
        --------
        >>> from gansampler import CycleGAN, GANOverSampler
        >>> from gansampler.datasets import make_lesions
        >>> X, y = make_lesions(20, weights=(0.7, 0.3), image_size=16, random_state=0)
        >>> sampler = GANOverSampler(
        ...     translator=CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4),
        ...     random_state=0,
        ... )
        >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
        >>> X_more, parents = sampler.generate(10, label="malignant")
        >>> X_more.shape
        (10, 16, 16, 3)
        >>> set(y[parents].tolist())
        {'benign'}
        """
        check_is_fitted(self, "sample_indices_")
        is_count = isinstance(n, int | np.integer) and not isinstance(n, bool)
        if not is_count or n < 1:
            raise ValueError(f"`n` must be an integer of at least 1. Got {n!r}.")
        if not hasattr(self, "_generated"):
            raise ValueError(
                "A copy of a sampler, or one that was pickled, does not contain the "
                "images that are translated. Call `fit_resample` again, or use "
                "`sampler.translators_[label].translate(images)`."
            )
        labels = [to_python_scalar(known) for known in self._generated]
        if label is None and len(labels) == 1:
            label = labels[0]
        if label not in labels:
            raise ValueError(
                f"`label` must be a class that was grown, one of {labels}. Got "
                f"{label!r}.{nearest_name(label, list(map(str, labels)))}"
            )
        return self._generated[label].generate(
            int(n), to_python_scalar(label), self.verbose
        )

    def resample_groups(self, groups):
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

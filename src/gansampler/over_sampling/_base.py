"""What the samplers share: the parameters of the data, and the flow of a resampling."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy
from sklearn.utils.validation import validate_data

from gansampler._validation import (
    NearestNameMixin,
    StrOptions,
    restore_on_failure,
    to_python_scalar,
)
from gansampler.images import ImageSequence
from gansampler.over_sampling._forms import append, check_output_dir, open_data
from gansampler.over_sampling._leakage import warn_of_leakage
from gansampler.over_sampling._plan import (
    ClassPlan,
    check_strategy,
    make_plan,
    refuse_number_of_images,
)
from gansampler.over_sampling._result import ResultMixin
from gansampler.over_sampling._samples import ClassSamples
from gansampler.over_sampling.output import RunIdentity, open_output


class BaseImageSampler(NearestNameMixin, ResultMixin, BaseOverSampler):
    """Base of the samplers: open the data, plan, then generate and store each class.

    A subclass writes the abstract methods below, and may replace ``_prepare``.
    """

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        # Any label of y.
        "source": "no_validation",
        # The images check it.
        "image_shape": "no_validation",
        # Any column of the frame.
        "path_column": "no_validation",
        "output_dir": [str, os.PathLike, None],
        "output_format": [StrOptions({"png", "jpeg"})],
        "on_error": [StrOptions({"raise", "skip"})],
        "resize": [StrOptions({"crop", "stretch", "pad"})],
        "verbose": ["verbose"],
    }
    # The smallest number of samples of a source and of a class that grows.
    _min_samples = 1

    @restore_on_failure
    def fit(self, X, y=None, **params):
        """Check the data and set `sampling_strategy_`, and generate nothing.

        Parameters
        ----------
        X : array-like, list of paths, data frame or Dataset
        y : array-like of shape (n_samples,), default=None
        **params : dict
            As in :meth:`fit_resample`.

        Returns
        -------
        self : object
        """
        refuse_number_of_images(self.sampling_strategy, y)
        self._validate_params()
        self._open(X, y)
        return self

    @restore_on_failure
    def fit_resample(self, X, y=None, **params):
        """Resample the data set.

        Parameters
        ----------
        X : array-like, list of paths, data frame or Dataset
            - Images of shape (n_samples, height, width, n_channels): uint8 in [0, 255]
              or floating in [0, 1]; also a list of such images, (n_samples, height,
              width) for grey images, (n_samples, height * width * n_channels) with
              `image_shape`, or (n_samples, n_features) for feature rows.
            - A tensor of torch of one of these shapes, or with the channels first.
            - With `image_shape` and `output_dir`, a list, array or Series of paths,
              or a data frame with a column of them.
            - A map-style :class:`torch.utils.data.Dataset` of (image, label), or of
              dicts with "image" and "label" as in a data set of Hugging Face.

        y : array-like of shape (n_samples,), default=None
            Labels of any type. None takes those of the data set.
        **params : dict
            Ignored, such as metadata of a pipeline.

        Returns
        -------
        X_resampled : array-like of shape (n_samples_new, ...)
            In the form and dtype of `X`: first its rows, then the synthetic samples.
            A tensor has the channels where those of `X` are.
            In a data frame, a synthetic row has the values of its parent, except for
            paths and labels. For a Dataset, a
            :class:`~gansampler.data.OverSampledDataset`.
        y_resampled : array-like of shape (n_samples_new,)
            In the form of `y`.

        Raises
        ------
        ValueError, TypeError
            If `X`, `y` or a parameter is not as described; before any training. After
            this and any other error, the sampler is in the state before the call.
        OSError
            If `output_dir` cannot be written to, or if the images do not fit on the
            disk. The files that were written remain, and the same call resumes.
        ShortfallError
            If a translator gives too few distinct images, or too few that pass the
            quality filters.
        TrainingDivergedError
            If a loss of a translator is NaN or infinite.

        Warns
        -----
        GANSamplerWarning
            If the last estimator of the pipeline splits its training data.
        """
        refuse_number_of_images(self.sampling_strategy, y)
        self._validate_params()
        warn_of_leakage()
        return self._fit_resample(X, y)

    def _fit_resample(self, X, y):
        data = self._open(X, y)
        images, labels = data.images, data.labels
        plan = make_plan(
            labels,
            self.sampling_strategy_,
            self.source,
            self.random_state,
            min_samples=self._min_samples,
        )
        self._prepare(plan, images)
        output = open_output(
            self.output_dir,
            self.output_format,
            images,
            labels,
            plan,
            run=self._identify_run(),
            source=self.source,
            random_state=self.random_state,
        )
        generated = []
        for grown in plan:
            samples = self._samples_of(grown, images, output)
            with output.open_class(grown.label, samples) as stored:
                for chunk in samples.chunks(stored.finished, verbose=self.verbose):
                    stored.put(chunk)
            generated.append(samples)
        new = output.finish()
        new_labels = [np.full(p.n_new, p.label, dtype=labels.dtype) for p in plan]
        y_resampled = np.concatenate([labels, *new_labels])
        parents = [samples.parents for samples in generated]
        positions = np.concatenate([np.arange(len(images)), *parents])
        self.sample_indices_ = images.rows[positions]
        self.is_synthetic_ = np.arange(len(y_resampled)) >= len(images)
        self._set_attributes(images, labels, plan, generated, new)
        return append(data, new, y_resampled, self.sample_indices_, resize=self.resize)

    @abstractmethod
    def _identify_run(self) -> RunIdentity:
        """Return what determines the synthetic samples, beside the data."""

    @abstractmethod
    def _samples_of(
        self, grown: ClassPlan, images: ImageSequence, output: Any
    ) -> ClassSamples:
        """Return the samples of a class that are to be generated.

        The seed by which they are drawn is ``output.seed(grown.label)``.
        """

    @abstractmethod
    def _set_attributes(
        self,
        images: ImageSequence,
        labels: np.ndarray,
        plan: Sequence[ClassPlan],
        generated: Sequence[ClassSamples],
        new: np.ndarray | list[str],
    ) -> None:
        """Set the fitted attributes of the subclass, after all samples exist."""

    def _prepare(self, plan: Sequence[ClassPlan], images: ImageSequence) -> None:
        """Refuse what cannot be done, before anything is written."""

    def _reads_images_often(self) -> bool:
        """Whether decoded images are worth their memory."""
        return True

    def _open(self, X, y):
        """Return the opened data; set the attributes that follow from them."""
        data = open_data(
            X,
            y,
            image_shape=self.image_shape,
            path_column=self.path_column,
            on_error=self.on_error,
            resize=self.resize,
            cache=self._reads_images_often(),
            name=type(self).__name__,
        )
        check_output_dir(data.images, self.output_dir)
        check_strategy(self.sampling_strategy, data.labels)
        n_new = check_sampling_strategy(
            self.sampling_strategy, data.labels, self._sampling_type
        )
        self.sampling_strategy_ = {to_python_scalar(k): int(n_new[k]) for k in n_new}
        # The columns of a frame of paths are no features.
        columns = X if data.images.form == "array" else data.images
        validate_data(self, columns, skip_check_array=True, ensure_2d=False)
        self._sample_shape = data.images.sample_shape
        self.n_features_in_ = int(np.prod(self._sample_shape))
        self._n_rows = len(X)
        return data

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.sampler_tags.sample_indices = True
        return tags

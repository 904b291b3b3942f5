"""The sampler: which rows are sources, how many are made, in what form they return.

Layer rule: knows translators by their interface and nothing of networks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import clone
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from gansampler._validation import (
    HasMethods,
    NearestNameMixin,
    StrOptions,
    check_labels,
    check_target_type,
    clone_parametrized,
)
from gansampler.data import OverSampledDataset
from gansampler.images import ImageSequence, find_form
from gansampler.over_sampling._forms import (
    append_paths,
    as_array,
    find_label_columns,
    from_polars,
    set_columns,
    take_labels,
)
from gansampler.over_sampling._leakage import warn_of_leakage
from gansampler.over_sampling._plan import check_strategy
from gansampler.over_sampling._resampling import resample
from gansampler.over_sampling._sinks import check_output_dir

__all__ = ["GANOverSampler"]


class GANOverSampler(NearestNameMixin, BaseOverSampler):
    """Over-sample by translating images of other classes into the class that lacks.

    For each class to be grown a translator learns to turn images of a source class
    into ones of that class, and translates as many as are missing. It is an
    imbalanced-learn sampler, for ``imblearn`` pipelines, cross-validation and grid
    searches.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class has afterwards, as in imbalanced-learn: a float
        is the ratio of minority to majority in a binary problem; ``"minority"``,
        ``"not minority"``, ``"not majority"``, ``"all"`` (``"auto"`` is ``"not
        majority"``) grow these classes to the majority's count; a dict or a callable
        of `y` gives the count of each class.
    translator : BaseTranslator or dict of label -> BaseTranslator, default=None
        What translates; cloned for each class to be grown. None means
        :class:`~gansampler.CycleGAN` with its defaults. One without a `random_state`
        of its own gets a seed of the sampler's. With `prefit` it is fitted already,
        and a dict holds one for each class to be grown.
    source : "majority", "rest" or label, default="majority"
        Which images are translated: those of the largest other class, of all other
        classes, or of the class with this label.
    image_shape : tuple of (height, width, n_channels), default=None
        The shape of each image where `X` holds flattened ones, and what files are
        brought to. Rows of an `X` of two dimensions without it are feature rows.
    prefit : bool, default=False
        Whether `translator` is fitted and is used as it is. It must not have seen
        data that the result is tested on.
    path_column : column name, default=None
        The column of a data frame that holds the paths of the images; not needed
        where it is the only one.
    output_dir : path-like, default=None
        Where the synthetic images are written if `X` holds paths; a torch data set
        may go without. A folder that is new, empty, or holds the same call's files:
        that call is then continued. ``"{run}"`` in it becomes a fingerprint of data
        and parameters: a folder for each call, as cross-validation needs it.
    output_format : {"png", "jpeg"}, default="png"
        Of the files.
    on_error : {"raise", "skip"}, default="raise"
        What is done about files that are missing or damaged: an error that names all
        of them before anything is trained, or a warning and a result without them.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files of another size are brought to `image_shape`: scaled and cropped in
        the middle, scaled each way, or scaled and filled up with black.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Attributes
    ----------
    sampling_strategy_ : dict of label -> int
        How many samples were made for each class.
    translators_ : dict of label -> BaseTranslator
        The fitted translators.
    sample_indices_ : ndarray of int of shape (n_samples_new,)
        For each row of the output the row of `X` that it is, or was translated from.
        Rows that were skipped do not occur.
    is_synthetic_ : ndarray of bool of shape (n_samples_new,)
        Which rows of the output were made.
    n_features_in_ : int
        Values in a sample: ``height * width * n_channels`` for images.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, where `X` is a data frame.

    See Also
    --------
    gansampler.CycleGAN : The default translator.
    gansampler.make_melanet : Sampler and classifier in a pipeline.
    gansampler.data.OverSampledDataset : The result as a torch data set.
    imblearn.over_sampling.RandomOverSampler : Repeats samples instead.

    Notes
    -----
    The output holds the rows of `X` first, unchanged and in their order, then the
    synthetic ones class by class. Sources are drawn without replacement; when more
    are needed than there are, they are used again flipped and rotated (feature rows:
    with a little noise), and no two synthetic images of a class are the same.

    Resampling belongs inside the pipeline, so that cross-validation splits before it.

    Files are named by class, number and parent, ``malignant/malignant_000012_from_
    ISIC_0001.png``, and written so that each is whole or not there.
    ``manifest.csv`` and ``manifest.json`` list them with label, parent, translator,
    seed and what the translator's ``realism_score`` gives, if it has a discriminator.
    The same call with the same integer as `random_state` goes on where one was
    stopped, with the same names and bytes. Memory does not grow with their number.

    References
    ----------
    .. [1] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> from collections import Counter
    >>> from gansampler import CycleGAN, GANOverSampler
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(20, weights=(0.7, 0.3), image_size=16, random_state=0)
    >>> sampler = GANOverSampler(
    ...     translator=CycleGAN(ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4),
    ...     random_state=0,
    ... )
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> X_resampled.shape
    (28, 16, 16, 3)
    >>> sorted(Counter(y_resampled.tolist()).items())
    [('benign', 14), ('malignant', 14)]
    >>> int(sampler.is_synthetic_.sum())
    8
    """

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        "translator": [HasMethods(["fit", "translate"]), Mapping, None],
        # Any label may be a source; it is looked up among the labels of y.
        "source": "no_validation",
        "image_shape": ["array-like", None],
        "prefit": ["boolean"],
        # Any name of a column; it is looked up in the frame.
        "path_column": "no_validation",
        "output_dir": [str, os.PathLike, None],
        "output_format": [StrOptions({"png", "jpeg"})],
        "on_error": [StrOptions({"raise", "skip"})],
        "resize": [StrOptions({"crop", "stretch", "pad"})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        sampling_strategy="auto",
        translator=None,
        source="majority",
        image_shape=None,
        prefit=False,
        path_column=None,
        output_dir=None,
        output_format="png",
        on_error="raise",
        resize="crop",
        random_state=None,
        verbose=0,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.translator = translator
        self.source = source
        self.image_shape = image_shape
        self.prefit = prefit
        self.path_column = path_column
        self.output_dir = output_dir
        self.output_format = output_format
        self.on_error = on_error
        self.resize = resize
        self.random_state = random_state
        self.verbose = verbose

    def fit_resample(self, X, y=None, **params):
        """Resample the data set.

        Parameters
        ----------
        X : array-like, list of paths, data frame or Dataset
            One of

            - images of shape (n_samples, height, width, n_channels): uint8 in [0, 255]
              or floating in [0, 1]; also a list of such images, (n_samples, height,
              width) for grey ones, (n_samples, height * width * n_channels) with
              `image_shape`, or (n_samples, n_features) for feature rows;
            - with `image_shape` and `output_dir`, a list, array or Series of paths,
              or a data frame with a column of them;
            - a map-style :class:`torch.utils.data.Dataset` of (image, label).

        y : array-like of shape (n_samples,), default=None
            Labels of any type that scikit-learn takes. None takes those of the data
            set.
        **params : dict
            Metadata that a pipeline passes on; none is used.

        Returns
        -------
        X_resampled : array-like of shape (n_samples_new, ...)
            In the form and dtype of `X`: first its rows, then the synthetic ones. The
            columns of a data frame other than that of the paths are the parent's, but
            one that holds the labels `y` holds those of the result. For a Dataset an
            :class:`~gansampler.data.OverSampledDataset`.
        y_resampled : array-like of shape (n_samples_new,)
            In the form of `y`.

        Raises
        ------
        ValueError, TypeError
            If `X`, `y` or a parameter is not as described; nothing was trained then.
        OSError
            If `output_dir` can not be written to, or if the images will not fit on
            the disk; what was written stays, and the same call goes on from there.
        ShortfallError
            If the translator gives too few distinct images.
        TrainingDivergedError
            If a loss is NaN or infinite.

        Warns
        -----
        GANSamplerWarning
            If the next estimator of the pipeline splits what it gets, so that parts of
            one image are on both sides.
        """
        self._validate_params()
        form = find_form(X, self.path_column)
        check_output_dir(form.name, self.output_dir)
        if y is not None:
            check_labels(y)
        # Those of an earlier call belong to other rows.
        self.__dict__.pop("sample_indices_", None)
        self._n_rows = len(X if y is None else y)
        if y is None and form.name != "dataset":
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None. Pass the label of each sample; only a torch "
                "Dataset brings its own."
            )
        warn_of_leakage()
        y, restore_labels = from_polars(y)
        if form.name != "array":
            X_resampled, y_resampled = self._fit_resample_lazy(X, y, **params)
            return X_resampled, restore_labels(y_resampled)
        X_held, restore = as_array(X, form.is_separate)
        X_resampled, y_resampled = super().fit_resample(X_held, y, **params)
        if X_held is not X and hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return restore(X_resampled), restore_labels(y_resampled)

    def _fit_resample_lazy(self, X, y, **params):
        """Resample what is read when it is needed: files and data sets."""
        images = self._open_images(X)
        if y is None:
            y = images.labels()
        else:
            check_consistent_length(X, y)
            label_columns = find_label_columns(X, y)
            y = take_labels(y, images.rows)
        made, y = super().fit_resample(images, y, **params)
        rows = self.sample_indices_
        if images.form != "dataset":
            X_resampled = append_paths(X, rows, made, images.path_column)
            return set_columns(X_resampled, label_columns, y), y
        # Without a cache, of which there would be one for each worker of a loader.
        originals = ImageSequence(
            X, images.image_shape, resize=self.resize, cache=False
        ).subset(images.rows)
        return OverSampledDataset(originals, y, rows, synthetic=made), y

    def _open_images(self, X):
        return ImageSequence(
            X,
            self.image_shape,
            path_column=self.path_column,
            on_error=self.on_error,
            resize=self.resize,
            # Training sees every image again and again; translating, once.
            cache=not self.prefit,
        )

    def _check_X_y(self, X, y, accept_sparse=None):
        # Of labels in nested lists imbalanced-learn would not know the type.
        y = y if hasattr(y, "shape") else np.asarray(y)
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        if not isinstance(X, ImageSequence) and (
            find_form(X, self.path_column).name != "array"
        ):
            X = self._open_images(X)
        if isinstance(X, ImageSequence):
            y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
            self.n_features_in_ = int(np.prod(X.sample_shape))
            check_strategy(self.sampling_strategy, y)
            return X, y, binarize_y
        if hasattr(X, "dtypes") and hasattr(X, "sparse"):
            # A data frame of sparse columns; those of the output are sparse again.
            X = X.sparse.to_dense()
        is_image = getattr(X, "ndim", 2) != 2 or self.image_shape is not None
        if getattr(X, "ndim", 2) == 2:
            X, y = validate_data(self, X=X, y=y, reset=True, accept_sparse=False)
        if is_image:
            images = ImageSequence(X, self.image_shape)
            y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
            check_consistent_length(X, y)
            self.n_features_in_ = int(np.prod(images.sample_shape))
        check_strategy(self.sampling_strategy, y)
        return X, y, binarize_y

    def _fit_resample(self, X, y):
        return resample(self, X, y)

    def resample_groups(self, groups):
        """Return the groups of the resampled rows: each has its parent's.

        Needed where a splitter such as :class:`sklearn.model_selection.GroupKFold`
        gets what this sampler returned: images that come from one patient, or from one
        another, then stay on one side.

        Parameters
        ----------
        groups : array-like of shape (n_samples,)
            Group of each row of the `X` that was resampled.

        Returns
        -------
        groups_resampled : ndarray of shape (n_samples_new,)

        Raises
        ------
        NotFittedError
            If nothing was resampled yet.
        ValueError
            If there is not one group for each row.

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
                "`groups` must hold one group for each row of `X`, "
                f"{self._n_rows}. Got shape {groups.shape}. Pass the groups of all "
                "rows, in their order, those that were skipped too."
            )
        return groups[self.sample_indices_]

    def __sklearn_clone__(self):
        """Clone, but keep fitted translators: they are data here, not settings."""
        if not self.prefit:
            return clone_parametrized(self)
        params = self.get_params(deep=False)
        translator = params.pop("translator")
        params = {name: clone(value, safe=False) for name, value in params.items()}
        return type(self)(**params, translator=translator)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.sampler_tags.sample_indices = True
        return tags

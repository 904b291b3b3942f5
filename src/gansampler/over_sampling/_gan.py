"""The sampler: open the images, plan, then fit, generate and store for each class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy
from sklearn.base import clone
from sklearn.utils.validation import validate_data

from gansampler._validation import (
    DefaultPartsMixin,
    HasMethods,
    NearestNameMixin,
    StrOptions,
    clone_parametrized,
    explain_arguments,
    restore_on_failure,
    to_python_scalar,
)
from gansampler.over_sampling._forms import append, check_output_dir, open_data
from gansampler.over_sampling._generation import draw_sources, generate
from gansampler.over_sampling._leakage import warn_of_leakage
from gansampler.over_sampling._plan import (
    check_strategy,
    fit_translator,
    make_plan,
    prepare_translators,
    refuse_names,
    refuse_number_of_images,
)
from gansampler.over_sampling._result import GeneratedClass, ResultMixin, take_examples
from gansampler.over_sampling.output import open_output
from gansampler.translators import make_translator


@explain_arguments
class GANOverSampler(NearestNameMixin, DefaultPartsMixin, ResultMixin, BaseOverSampler):
    """Over-sample by translating images of other classes into an under-represented one.

    For each class to be grown, a translator learns to turn images of a source class
    into images of that class, and then makes the images that are missing.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        Number of samples per class afterwards, as in imbalanced-learn. A float is the
        ratio of minority to majority for two classes. ``"minority"``, ``"not
        minority"``, ``"not majority"`` (``"auto"``) and ``"all"`` grow these classes
        to the count of the majority. A dict, or a callable of `y`, gives the counts.
    translator : BaseTranslator or dict of label -> BaseTranslator, default=None
        Translator that is cloned for each class to be grown. None means
        ``make_translator("minutes")``, see :func:`~gansampler.make_translator`. A
        translator without a `random_state` gets a seed of the sampler. With `prefit`,
        a fitted translator, or a dict with one for each class to be grown.
    source : "majority", "rest" or label, default="majority"
        Which images are translated: those of the largest other class, of all other
        classes, or of the class with this label.
    image_shape : tuple of (height, width, n_channels), default=None
        Shape of flattened images, or shape to which files are resized. Without it, an
        `X` of two dimensions contains feature rows.
    prefit : bool, default=False
        Whether `translator` is fitted. It must not have been fitted to test data.
    path_column : column name, default=None
        Column of a data frame with the paths, if the frame has other columns.
    output_dir : path-like, default=None
        Folder for the synthetic images if `X` contains paths; optional for arrays and
        data sets, whose floating values are then rounded to 8 bits. It must be new,
        empty, or that of the same call, which is then resumed. ``"{run}"`` in it is
        replaced by a fingerprint of data and parameters, which gives each fold of a
        cross-validation a folder.
    output_format : {"png", "jpeg"}, default="png"
        File format of the synthetic images.
    on_error : {"raise", "skip"}, default="raise"
        Whether missing and damaged files are an error before anything is trained, or
        are left out with a warning.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files are resized to `image_shape`: scaled and cropped in the middle,
        scaled each way, or scaled and padded with black.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Attributes
    ----------
    sampling_strategy_ : dict of label -> int
        Number of synthetic samples per class.
    translators_ : dict of label -> BaseTranslator
        The fitted translators.
    sample_indices_ : ndarray of int of shape (n_samples_new,)
        For each row of the output, the row of `X` that it is or was translated from.
        Skipped rows do not occur.
    is_synthetic_ : ndarray of bool of shape (n_samples_new,)
        Whether a row of the output is synthetic. ``X_resampled[is_synthetic_]`` are
        the synthetic samples of an array; for other forms, see
        :meth:`select_synthetic`.
    examples_ : dict of label -> tuple (source, translated, target, source_labels)
        Up to 8 images per class that was grown, as arrays: sources, their
        translations and images of the class, with the labels of the sources. For
        :func:`~gansampler.inspection.plot_translations`. Empty for feature rows. A
        pickle does not contain it.
    n_features_in_ : int
        Values per sample: ``height * width * n_channels`` for images.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns of a data frame of numbers.

    See Also
    --------
    gansampler.make_translator : A translator for a time budget; the default one.
    gansampler.make_melanet : Sampler and classifier in a pipeline.
    gansampler.data.OverSampledDataset : The result as a torch data set.
    imblearn.over_sampling.RandomOverSampler : Repeats samples instead.

    Notes
    -----
    The output begins with the rows of `X`, unchanged and in their order. The synthetic
    samples follow, class by class. No source is drawn again before all were drawn.
    From then on, other versions of the sources are translated. They are flipped only
    if the translator has ``horizontal_flip=True`` or ``vertical_flip=True``. They are
    rotated only if it has both, as images without an orientation allow. Otherwise they
    are shifted by up to 3 pixels. Feature rows get a little noise. No two synthetic
    images of a class are equal; if there are too few distinct ones, a
    :class:`~gansampler.exceptions.ShortfallError` says what to allow.

    Files are named by class, number and parent, ``malignant/malignant_000012_from_
    ISIC_0001.png``. ``manifest.csv`` and ``manifest.json`` list them with label,
    parent, translator, seed and realism score, and say whether the training of the
    translator was finished. With an integer as `random_state`, the same call resumes a
    stopped one and gives the same files. If `max_time` had stopped the training, a
    trainer with a `checkpoint_dir` continues it, and all images of the class are
    replaced. So does a call with more epochs.

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
        # Any label of y.
        "source": "no_validation",
        # The images check it.
        "image_shape": "no_validation",
        "prefit": ["boolean"],
        # Any column of the frame.
        "path_column": "no_validation",
        "output_dir": [str, os.PathLike, None],
        "output_format": [StrOptions({"png", "jpeg"})],
        "on_error": [StrOptions({"raise", "skip"})],
        "resize": [StrOptions({"crop", "stretch", "pad"})],
        "verbose": ["verbose"],
    }
    _default_parts: ClassVar = {"translator": make_translator}
    _explained_names: ClassVar = {
        "budget": "Pass translator=make_translator('hours'), for example."
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

    @restore_on_failure
    def fit(self, X, y=None, **params):
        """Check the data and set `sampling_strategy_`, without training.

        Parameters
        ----------
        X : array-like, list of paths, data frame or Dataset
        y : array-like of shape (n_samples,), default=None
        **params : dict
            As in :meth:`fit_resample`.

        Returns
        -------
        self : GANOverSampler
        """
        refuse_number_of_images(self.sampling_strategy, y)
        refuse_names(self.translator)
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
            If there are too few distinct images.
        TrainingDivergedError
            If a loss is NaN or infinite.

        Warns
        -----
        GANSamplerWarning
            If the last estimator of the pipeline splits its training data.
        """
        refuse_number_of_images(self.sampling_strategy, y)
        refuse_names(self.translator)
        self._validate_params()
        warn_of_leakage()
        return self._fit_resample(X, y)

    def _fit_resample(self, X, y):
        data = self._open(X, y)
        images, labels = data.images, data.labels
        plan = make_plan(
            labels, self.sampling_strategy_, self.source, self.random_state
        )
        translator = self.translator
        if translator is None and not self.prefit:
            translator = make_translator()
        self.translators_ = prepare_translators(
            translator, plan, images, prefit=self.prefit
        )
        output = open_output(
            self.output_dir,
            self.output_format,
            images,
            labels,
            plan,
            translator=translator,
            prefit=self.prefit,
            source=self.source,
            random_state=self.random_state,
        )
        parents = [np.arange(len(images))]
        self._generated = {}
        for grown in plan:
            translator = self.translators_[grown.label]
            if not self.prefit:
                fit_translator(translator, grown, images, verbose=self.verbose)
            seed = output.seed(grown.label)
            chosen = draw_sources(len(grown.source), grown.n_new, seed)
            parents.append(grown.source[chosen])
            digests: set[bytes] = set()
            with output.open_class(grown.label, translator, parents[-1]) as stored:
                for chunk in generate(
                    translator,
                    images.subset(grown.source),
                    chosen,
                    seed=seed,
                    label=to_python_scalar(grown.label),
                    finished=stored.finished,
                    seen=digests,
                    verbose=self.verbose,
                ):
                    stored.put(chunk)
            self._generated[grown.label] = GeneratedClass.of(
                translator, images, grown, seed, digests
            )
        new = output.finish()
        new_labels = [np.full(p.n_new, p.label, dtype=labels.dtype) for p in plan]
        y_resampled = np.concatenate([labels, *new_labels])
        positions = np.concatenate(parents)
        self.sample_indices_ = images.rows[positions]
        self.is_synthetic_ = np.arange(len(y_resampled)) >= len(images)
        self.examples_ = take_examples(images, labels, plan, positions, new)
        return append(data, new, y_resampled, self.sample_indices_, resize=self.resize)

    def _open(self, X, y):
        """Return the opened data; set the attributes that follow from them."""
        data = open_data(
            X,
            y,
            image_shape=self.image_shape,
            path_column=self.path_column,
            on_error=self.on_error,
            resize=self.resize,
            # Training reads every image again and again, translating reads it once.
            cache=not self.prefit,
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

    def __sklearn_clone__(self):
        """Clone, but keep fitted translators, which are data and not settings."""
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

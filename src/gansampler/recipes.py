"""Published pipelines with their published settings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from imblearn.pipeline import Pipeline

from gansampler.classification import TransferClassifier
from gansampler.images import check_image_shape
from gansampler.over_sampling import GANOverSampler
from gansampler.translators import CycleGAN

if TYPE_CHECKING:
    import numpy as np

    from gansampler.training import Trainer

__all__ = ["make_melanet", "one_for_each_majority_image"]


def one_for_each_majority_image(y: np.ndarray) -> dict:
    """Ask for as many new minority images as there are majority images.

    A `sampling_strategy` of :class:`~gansampler.GANOverSampler`.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of two or more classes; the smallest one is grown.

    Returns
    -------
    counts : dict of label -> int
        The count of the smallest class after resampling.

    Examples
    --------
    >>> from gansampler.recipes import one_for_each_majority_image
    >>> one_for_each_majority_image([0, 0, 0, 1])
    {1: 4}
    """
    counts = Counter(y.tolist() if hasattr(y, "tolist") else y)
    minority = min(counts, key=counts.__getitem__)
    return {minority: counts[minority] + max(counts.values())}


def make_melanet(
    *,
    image_size: int = 256,
    weights: str | None = "DEFAULT",
    trainer: Trainer | None = None,
    random_state=None,
    **overrides,
) -> Pipeline:
    """Build the pipeline of "MelaNet" [1]_ with its published settings.

    A CycleGAN translates each majority image into a minority one; a VGG16 with global
    average pooling is fine-tuned on the originals and the synthetic images with the
    focal loss.

    Parameters
    ----------
    image_size : int, default=256
        Height and width of the RGB images.
    weights : str or None, default="DEFAULT"
        Weights that the VGG16 starts from: a torchvision name, a path to a state
        dict, or None.
    trainer : Trainer, default=None
        Where both networks are trained.
    random_state : int, RandomState instance or None, default=None
        Given to sampler and classifier. A RandomState instance is shared by them.
    **overrides : dict
        Parameters of the steps to change, by the names that
        ``Pipeline.get_params()`` lists, such as
        ``ganoversampler__translator__n_epochs=20``.

    Returns
    -------
    pipeline : imblearn.pipeline.Pipeline
        Steps ``ganoversampler`` and ``transferclassifier``.

    Notes
    -----
    As published: images of 256 x 256; a U-Net generator with 32 first filters and a
    patch discriminator with 64, 128, 256 and 512 filters; 100 epochs of batch size 1
    with Adam (2e-4, beta1 0.5), lambda_cycle 10, lambda_identity 1; a classifier with
    Adadelta (0.001), batch size 16, at most 300 epochs, the rate divided by 10 after
    5 epochs without a better loss and the end after 8; focal loss with gamma 2;
    balanced class weights.

    Differing on purpose: the published code steers the rate and the end of training
    by the test set. Here they follow the training loss, or the loss on
    ``transferclassifier__validation_data`` where it is passed to ``fit``. The
    published alpha of 0.25 scales every class alike, so it is left out.

    References
    ----------
    .. [1] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> from gansampler import make_melanet
    >>> pipeline = make_melanet(
    ...     image_size=64, weights=None, transferclassifier__n_epochs=10
    ... )
    >>> [name for name, _ in pipeline.steps]
    ['ganoversampler', 'transferclassifier']
    """
    image_shape = check_image_shape((image_size, image_size, 3))
    translator = CycleGAN(
        generator="unet",
        ngf=32,
        ndf=64,
        n_layers=3,
        n_epochs=100,
        batch_size=1,
        lr=2e-4,
        betas=(0.5, 0.999),
        lambda_cycle=10.0,
        lambda_identity=1.0,
        trainer=trainer,
    )
    sampler = GANOverSampler(
        sampling_strategy=one_for_each_majority_image,
        translator=translator,
        image_shape=image_shape,
        random_state=random_state,
    )
    classifier = TransferClassifier(
        "vgg16",
        weights=weights,
        loss="focal",
        gamma=2.0,
        class_weight="balanced",
        optimizer="adadelta",
        lr=0.001,
        weight_decay=0.0,
        batch_size=16,
        n_epochs=300,
        lr_patience=5,
        patience=8,
        image_shape=image_shape,
        trainer=trainer,
        random_state=random_state,
    )
    pipeline = Pipeline(
        [("ganoversampler", sampler), ("transferclassifier", classifier)]
    )
    return pipeline.set_params(**overrides)

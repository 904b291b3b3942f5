"""Published pipelines with their published settings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from imblearn.pipeline import Pipeline

from gansampler.classification import TransferClassifier
from gansampler.images import check_image_shape
from gansampler.over_sampling import GANOverSampler
from gansampler.translators import make_translator

if TYPE_CHECKING:
    import numpy as np

    from gansampler.training import Trainer

__all__ = ["make_melanet", "one_for_each_majority_image"]


def one_for_each_majority_image(y: np.ndarray) -> dict:
    """Return a sampling strategy: one new minority image per majority image.

    Use it as the `sampling_strategy` of :class:`~gansampler.GANOverSampler`.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of two or more classes. New images are made for the smallest class.

    Returns
    -------
    counts : dict of label -> int
        Number of images of the smallest class after resampling.

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

    A CycleGAN translates each majority image into a minority image. A VGG16 with global
    average pooling is then fine-tuned with the focal loss on the original and the
    synthetic images.

    Parameters
    ----------
    image_size : int, default=256
        Height and width of the RGB images.
    weights : str or None, default="DEFAULT"
        Initial weights of the VGG16: a torchvision name, a path to a state dict, or
        None.
    trainer : Trainer, default=None
        Machine settings of translator and classifier.
    random_state : int, RandomState instance or None, default=None
        Passed to sampler and classifier, which share a RandomState instance.
    **overrides : dict
        Parameters of the steps to change, by their names in
        ``Pipeline.get_params()``, such as
        ``ganoversampler__translator__n_epochs=20``.

    Returns
    -------
    pipeline : imblearn.pipeline.Pipeline
        Steps ``ganoversampler`` and ``transferclassifier``.

    Notes
    -----
    As published:

    - images of 256 x 256 px, flipped from left to right at random for the translator;
    - a U-Net generator with 32 filters in the first layer, and a discriminator with
      four strided layers of 64, 128, 256 and 512 filters;
    - 100 epochs with batch size 1 and Adam (learning rate 2e-4, first coefficient
      0.5); lambda_cycle 10, lambda_identity 1; no pool of earlier translations;
    - a classifier trained with Adadelta (learning rate 0.001) and batch size 16 for at
      most 300 epochs. The learning rate is divided by 10 after 5 epochs without a
      lower loss; training ends after 8;
    - the focal loss with gamma 2, and balanced class weights.

    Differing on purpose:

    - An epoch of the translator shows each image of the larger class once. In the
      published code it has about as many steps as the smaller class has images, which
      is 4.2 times fewer on ISIC 2016.
    - Two images of a step are flipped independently of each other. In the published
      code both are flipped, or neither is.
    - Generators are updated before the discriminators. Each discriminator takes one
      step per batch, with half of the sum of its two losses. In the published code it
      is updated first, and takes two full steps: on real images, then on translations.
    - The discriminator has one more layer before the scores, with 512 filters and
      stride 1, and normalises before its leaky ReLU instead of after it.
    - Translations keep their brightness. The published code stretches the values of
      each translation to the range from 0 to 1.
    - The classifier normalises images by the mean and deviation of ImageNet, and flips
      training images from left to right at random. The published code does neither.
    - The learning rate and the end of training follow the training loss, or the loss
      on ``transferclassifier__validation_data`` if it is passed to ``fit``. In the
      published code they follow the loss on the test set.
    - There is no alpha in the focal loss. The published value of 0.25 scales the loss
      of every class alike.

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
    sampler = GANOverSampler(
        sampling_strategy=one_for_each_majority_image,
        translator=make_translator("paper", trainer=trainer),
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
        lr_schedule="constant",
        lr_patience=5,
        patience=8,
        min_side=1,
        image_shape=image_shape,
        trainer=trainer,
        random_state=random_state,
    )
    pipeline = Pipeline(
        [("ganoversampler", sampler), ("transferclassifier", classifier)]
    )
    return pipeline.set_params(**overrides)

"""CUT as an estimator: its parameters and its networks."""

from __future__ import annotations

import os
from copy import deepcopy

from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from gansampler._validation import (
    HasMethods,
    StrOptions,
    at_least,
    isolated_rng,
    spawn_seeds,
)
from gansampler.images import ImageSequence
from gansampler.networks import PatchDiscriminator, ResNetGenerator
from gansampler.translators._base import BaseTranslator
from gansampler.translators._cut_task import CUTTask, PatchProjection, split_encoder
from gansampler.translators._cyclegan import BLOCKS_LARGE, BLOCKS_SMALL, LARGE_SIDE
from gansampler.translators._files import load_translator, save_translator

__all__ = ["CUT"]

LAMBDA_NCE, LAMBDA_NCE_FAST = 1.0, 10.0


class CUT(BaseTranslator):
    r"""Unpaired translation that keeps its source by contrasting patches.

    One generator :math:`G: S \to T` and one discriminator; no way back. What CycleGAN
    asks of a second generator, that the source can be told from its translation, is
    asked of each patch: at the same place, a translation must be more like its source
    than like other places of it. The generator minimises

    .. math::

        \mathcal{L} = \mathbb{E}_s[(D(G(s)) - 1)^2] + \lambda_\text{nce} \cdot
            \tfrac{1}{2} \left(\mathbb{E}_s\, \ell(G(s), s)
            + \mathbb{E}_t\, \ell(G(t), t) \right)

    where the second contrast is an identity loss. :math:`\ell(x, z)` is the mean, over
    layers :math:`l` of the generator's first half and 256 places :math:`i`, of

    .. math::

        -\log \frac{\exp(x_{li} \cdot z_{li} / \tau)}
            {\sum_j \exp(x_{li} \cdot z_{lj} / \tau)}

    with :math:`\tau = 0.07`, :math:`z_{li}` what the layer makes of `z` there, taken
    through a perceptron to 256 values, and scaled to length 1. The discriminator
    minimises :math:`\frac{1}{2}\mathbb{E}[(D(\text{real}) - 1)^2] +
    \frac{1}{2}\mathbb{E}[D(\text{fake})^2]`.

    .. versionadded:: 0.1

    Parameters
    ----------
    fast : bool, default=False
        Whether to use the settings of FastCUT: no identity loss, a larger
        `lambda_nce`, and translations of flipped images that must be flipped
        translations.
    ngf, ndf : int, default=64
        Filters of the first layer of the generator and of the discriminator.
    n_blocks : "auto" or int, default="auto"
        Residual blocks of the generator. ``"auto"`` takes 6 for images whose smaller
        side is below 256 px and 9 from there.
    n_layers : int, default=3
        Strided layers of the discriminator; fewer where the images are too small for
        so many (below 24 px for 3).
    n_epochs : int, default=100
        Epochs at the full learning rate. An epoch shows each image of the larger
        domain once.
    n_epochs_decay : int, default=0
        Further epochs over which the learning rate falls linearly to 0.
    batch_size : int, default=1
        Images of each domain in a step.
    lr : float, default=2e-4
        Learning rate of Adam.
    betas : tuple of 2 float, default=(0.5, 0.999)
        Coefficients of Adam.
    lambda_nce : "auto" or float, default="auto"
        Weight of the contrastive loss. ``"auto"`` is 1.0, or 10.0 with `fast`.
    pool_size : int, default=0
        Earlier translations held for the discriminator; 0 for none.
    ema_decay : float, default=0.0
        Decay, for each step, of an exponential moving average of the weights of
        `generator_st_`, with which images are then translated; 0 for none. With 0.999
        it is an average over about the last 1,000 steps.
    vertical_flip : bool, default=False
        Whether training images are also flipped upside down at random. They always
        are flipped left to right.
    trainer : Trainer, default=None
        Device, precision, time limit. None means ``Trainer()``.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness of :meth:`fit`.
    verbose : int, default=0
        0 is quiet; progress is shown from 1.

    Attributes
    ----------
    generator_st_ : Module
        From source to target.
    generator_st_ema_ : Module or None
        The average of `generator_st_` over the steps, with `ema_decay`.
    discriminator_t_ : Module
        The judge of target images.
    projection_ : Module
        The perceptrons of the contrastive loss.
    history_ : list of dict
        For each epoch its number, time and mean losses.
    n_layers_ : int
        Strided layers that the discriminator has.
    sample_shape_ : tuple of int
        (height, width, n_channels) of the images.

    See Also
    --------
    gansampler.CycleGAN : Slower, for feature rows too, and with a way back.
    gansampler.GANOverSampler : Over-samples a data set with a translator.

    Notes
    -----
    As published, the weight of the contrastive loss is shared out evenly between the
    translation and the identity, and among the layers: the image itself, the two
    strided convolutions, the first residual block and the middle one.

    References
    ----------
    .. [1] T. Park, A. A. Efros, R. Zhang, J.-Y. Zhu, "Contrastive learning for
       unpaired image-to-image translation", ECCV 2020.

    Examples
    --------
    >>> from gansampler import CUT
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(12, weights=(0.5, 0.5), image_size=16, random_state=0)
    >>> translator = CUT(
    ...     ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, random_state=0
    ... )
    >>> translator = translator.fit(X[y == "benign"], X[y == "malignant"])
    >>> translator.translate(X[:3]).shape
    (3, 16, 16, 3)
    """

    _parameter_constraints: dict = {
        "fast": ["boolean"],
        "ngf": [at_least(1, int)],
        "ndf": [at_least(1, int)],
        "n_blocks": [StrOptions({"auto"}), at_least(1, int)],
        "n_layers": [at_least(1, int)],
        "n_epochs": [at_least(0, int)],
        "n_epochs_decay": [at_least(0, int)],
        "batch_size": [at_least(1, int)],
        "lr": [at_least(0, open_=True)],
        "betas": [tuple, list],
        "lambda_nce": [StrOptions({"auto"}), at_least(0)],
        "pool_size": [at_least(0, int)],
        "ema_decay": [at_least(0, below=1)],
        "vertical_flip": ["boolean"],
        "trainer": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _networks = ("generator_st", "discriminator_t", "projection")

    def __init__(
        self,
        *,
        fast=False,
        ngf=64,
        ndf=64,
        n_blocks="auto",
        n_layers=3,
        n_epochs=100,
        n_epochs_decay=0,
        batch_size=1,
        lr=2e-4,
        betas=(0.5, 0.999),
        lambda_nce="auto",
        pool_size=0,
        ema_decay=0.0,
        vertical_flip=False,
        trainer=None,
        random_state=None,
        verbose=0,
    ):
        self.fast = fast
        self.ngf = ngf
        self.ndf = ndf
        self.n_blocks = n_blocks
        self.n_layers = n_layers
        self.n_epochs = n_epochs
        self.n_epochs_decay = n_epochs_decay
        self.batch_size = batch_size
        self.lr = lr
        self.betas = betas
        self.lambda_nce = lambda_nce
        self.pool_size = pool_size
        self.ema_decay = ema_decay
        self.vertical_flip = vertical_flip
        self.trainer = trainer
        self.random_state = random_state
        self.verbose = verbose

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted networks, parameters and history to one safetensors file.

        A trainer and a random state that is no integer are not kept.

        Parameters
        ----------
        path : path-like
            Written atomically.
        """
        check_is_fitted(self)
        save_translator(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CUT:
        """Read a fitted translator that :meth:`save` wrote. No code in it is run.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        translator : CUT
            Fitted, with ``trainer=None``.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is damaged, or holds something else.
        """
        return load_translator(cls, path)

    def _forward_network(self) -> nn.Module:
        average = self.generator_st_ema_
        return self.generator_st_ if average is None else average

    def _discriminator_network(self) -> nn.Module:
        return self.discriminator_t_

    def _fit(self, source: ImageSequence, target: ImageSequence) -> None:
        if not source.is_image:
            raise ValueError(
                "CUT compares patches of images, and feature rows have none. Got rows "
                f"of {self.sample_shape_[0]} features. Use CycleGAN for them; for "
                "flattened images, pass `image_shape` to the sampler."
            )
        rng = check_random_state(self.random_state)
        init_seed, *seeds = spawn_seeds(rng, 4)
        with isolated_rng(init_seed):
            self._build_networks()
            self.history_ = self._get_trainer().fit(
                CUTTask(self, source, target, *seeds),
                n_epochs=self.n_epochs + self.n_epochs_decay,
                verbose=self.verbose,
                description="CUT",
            )

    def _build_networks(self) -> None:
        *size, n_channels = self.sample_shape_
        n_blocks = self.n_blocks
        if n_blocks == "auto":
            n_blocks = BLOCKS_SMALL if min(size) < LARGE_SIDE else BLOCKS_LARGE
        generator = ResNetGenerator(n_channels, ngf=self.ngf, n_blocks=n_blocks)
        n_blocks_compared = len(split_encoder(generator)[1]) - 2
        widths = [n_channels, 2 * self.ngf] + (1 + n_blocks_compared) * [4 * self.ngf]
        self.n_layers_ = PatchDiscriminator.layers_that_fit(min(size), self.n_layers)
        self.generator_st_ = generator
        self.generator_st_ema_ = deepcopy(generator) if self.ema_decay else None
        self.projection_ = PatchProjection(widths)
        self.discriminator_t_ = PatchDiscriminator(
            n_channels, ndf=self.ndf, n_layers=self.n_layers_
        )

    @property
    def _weight_nce(self) -> float:
        if self.lambda_nce == "auto":
            return LAMBDA_NCE_FAST if self.fast else LAMBDA_NCE
        return self.lambda_nce

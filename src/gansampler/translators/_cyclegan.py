"""CycleGAN as an estimator: its parameters and its networks."""

from __future__ import annotations

import os
from copy import deepcopy
from functools import partial

import numpy as np
import numpy.typing as npt
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
from gansampler.networks import (
    MLPDiscriminator,
    MLPGenerator,
    PatchDiscriminator,
    ResNetGenerator,
    UNetGenerator,
)
from gansampler.translators._base import BaseTranslator
from gansampler.translators._cyclegan_task import CycleGANTask
from gansampler.translators._files import load_translator, save_translator

__all__ = ["CycleGAN"]

BLOCKS_SMALL, BLOCKS_LARGE, LARGE_SIDE = 6, 9, 256
DEEPEST_UNET = 4


class CycleGAN(BaseTranslator):
    r"""Unpaired image-to-image translation with cycle consistency.

    Two generators, :math:`G: S \to T` and :math:`F: T \to S`, are trained against two
    discriminators. The generators minimise

    .. math::

        \mathcal{L} =\; & \mathbb{E}_s[(D_T(G(s)) - 1)^2]
            + \mathbb{E}_t[(D_S(F(t)) - 1)^2] \\
          & + \lambda_\text{cycle} \left(\mathbb{E}_s \|F(G(s)) - s\|_1
            + \mathbb{E}_t \|G(F(t)) - t\|_1 \right) \\
          & + \lambda_\text{identity} \left(\mathbb{E}_t \|G(t) - t\|_1
            + \mathbb{E}_s \|F(s) - s\|_1 \right)

    with :math:`\|\cdot\|_1` the mean absolute difference of values in [-1, 1]; each
    discriminator minimises
    :math:`\frac{1}{2}\mathbb{E}[(D(\text{real}) - 1)^2] +
    \frac{1}{2}\mathbb{E}[D(\text{fake})^2]`.

    Parameters
    ----------
    generator : {"resnet", "unet"} or callable, default="resnet"
        ``"resnet"`` has reflection padding, instance normalisation and residual
        blocks; ``"unet"`` is that of the published code of [2]_. A callable takes the
        number of channels and returns a Module that maps NCHW images in [-1, 1] to
        such images of the same shape; it may have an integer ``size_multiple``.
        Feature rows use a fully connected generator unless a callable is given.
    ngf, ndf : int, default=64
        Filters of the first layer of the generators and of the discriminators. For
        feature rows, the hidden units.
    n_blocks : "auto" or int, default="auto"
        Residual blocks of the ``"resnet"`` generator. ``"auto"`` takes 6 for images
        whose smaller side is below 256 px and 9 from there.
    n_layers : int, default=3
        Strided layers of the discriminators; fewer where the images are too small for
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
    lambda_cycle : float, default=10.0
        Weight of the cycle loss.
    lambda_identity : float, default=1.0
        Weight of the identity loss, which keeps colours where they need no change. It
        is a weight of its own, not a multiple of `lambda_cycle`.
    pool_size : int, default=50
        Earlier translations held for each discriminator; 0 for none.
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
    generator_st_, generator_ts_ : Module
        From source to target, and back.
    generator_st_ema_ : Module or None
        The average of `generator_st_` over the steps, with `ema_decay`.
    discriminator_s_, discriminator_t_ : Module
        The judges of source and of target images.
    history_ : list of dict
        For each epoch its number, time and mean losses.
    n_layers_ : int
        Strided layers that the discriminators have.
    sample_shape_ : tuple of int
        (height, width, n_channels) of the images, or (n_features,).
    scalers_ : dict of str -> StandardScaler or None
        For feature rows, what ``"source"`` and ``"target"`` are standardised with.

    See Also
    --------
    gansampler.GANOverSampler : Over-samples a data set with a translator.

    References
    ----------
    .. [1] J.-Y. Zhu, T. Park, P. Isola, A. A. Efros, "Unpaired image-to-image
       translation using cycle-consistent adversarial networks", ICCV 2017.
    .. [2] H. Zunair, A. Ben Hamza, "Melanoma detection using adversarial training
       and deep transfer learning", Physics in Medicine & Biology, 2020.

    Examples
    --------
    >>> from gansampler import CycleGAN
    >>> from gansampler.datasets import make_lesions
    >>> X, y = make_lesions(12, weights=(0.5, 0.5), image_size=16, random_state=0)
    >>> translator = CycleGAN(
    ...     ngf=4, ndf=4, n_blocks=1, n_epochs=1, batch_size=4, random_state=0
    ... )
    >>> translator = translator.fit(X[y == "benign"], X[y == "malignant"])
    >>> translator.translate(X[:3]).shape
    (3, 16, 16, 3)
    """

    _parameter_constraints: dict = {
        "generator": [StrOptions({"resnet", "unet"}), callable],
        "ngf": [at_least(1, int)],
        "ndf": [at_least(1, int)],
        "n_blocks": [StrOptions({"auto"}), at_least(1, int)],
        "n_layers": [at_least(1, int)],
        "n_epochs": [at_least(0, int)],
        "n_epochs_decay": [at_least(0, int)],
        "batch_size": [at_least(1, int)],
        "lr": [at_least(0, open_=True)],
        "betas": [tuple, list],
        "lambda_cycle": [at_least(0)],
        "lambda_identity": [at_least(0)],
        "pool_size": [at_least(0, int)],
        "ema_decay": [at_least(0, below=1)],
        "vertical_flip": ["boolean"],
        "trainer": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _networks = ("generator_st", "generator_ts", "discriminator_s", "discriminator_t")

    def __init__(
        self,
        *,
        generator="resnet",
        ngf=64,
        ndf=64,
        n_blocks="auto",
        n_layers=3,
        n_epochs=100,
        n_epochs_decay=0,
        batch_size=1,
        lr=2e-4,
        betas=(0.5, 0.999),
        lambda_cycle=10.0,
        lambda_identity=1.0,
        pool_size=50,
        ema_decay=0.0,
        vertical_flip=False,
        trainer=None,
        random_state=None,
        verbose=0,
    ):
        self.generator = generator
        self.ngf = ngf
        self.ndf = ndf
        self.n_blocks = n_blocks
        self.n_layers = n_layers
        self.n_epochs = n_epochs
        self.n_epochs_decay = n_epochs_decay
        self.batch_size = batch_size
        self.lr = lr
        self.betas = betas
        self.lambda_cycle = lambda_cycle
        self.lambda_identity = lambda_identity
        self.pool_size = pool_size
        self.ema_decay = ema_decay
        self.vertical_flip = vertical_flip
        self.trainer = trainer
        self.random_state = random_state
        self.verbose = verbose

    def inverse_translate(self, X: npt.ArrayLike) -> np.ndarray:
        """Turn target images into source images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_channels)
            In any form that :meth:`fit` takes, of the shape seen there.

        Returns
        -------
        X_translated : ndarray of the shape and dtype of `X`
        """
        decode = partial(self._decode, domain="source")
        return self._map(lambda: self.generator_ts_, X, "target", decode)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted networks, parameters and history to one safetensors file.

        A trainer and a random state that is no integer are not kept. The networks of
        a callable `generator` are kept, the callable is not: pass it to :meth:`load`.

        Parameters
        ----------
        path : path-like
            Written atomically.
        """
        check_is_fitted(self)
        save_translator(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, generator=None) -> CycleGAN:
        """Read a fitted translator that :meth:`save` wrote. No code in it is run.

        Parameters
        ----------
        path : path-like
        generator : callable, default=None
            The one that the translator was fitted with, if that was a callable.

        Returns
        -------
        translator : CycleGAN
            Fitted, with ``trainer=None``.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is damaged, holds something else, or needs another `generator`.
        """
        return load_translator(cls, path, generator=generator)

    def _forward_network(self) -> nn.Module:
        average = self.generator_st_ema_
        return self.generator_st_ if average is None else average

    def _discriminator_network(self) -> nn.Module:
        return self.discriminator_t_

    def _fit(self, source: ImageSequence, target: ImageSequence) -> None:
        rng = check_random_state(self.random_state)
        init_seed, data_seed, pool_seed = spawn_seeds(rng, 3)
        with isolated_rng(init_seed):
            self._build_networks()
            task = CycleGANTask(self, source, target, data_seed, pool_seed)
            self.history_ = self._get_trainer().fit(
                task,
                n_epochs=self.n_epochs + self.n_epochs_decay,
                verbose=self.verbose,
                description="CycleGAN",
            )

    def _build_networks(self) -> None:
        n_channels = self.sample_shape_[-1]
        for name in ("generator_st_", "generator_ts_"):
            setattr(self, name, self._build_generator(n_channels))
        self.generator_st_ema_ = (
            deepcopy(self.generator_st_) if self.ema_decay else None
        )
        is_image = len(self.sample_shape_) == 3
        side = min(self.sample_shape_[:2]) if is_image else 1
        self.n_layers_ = PatchDiscriminator.layers_that_fit(side, self.n_layers)
        for name in ("discriminator_s_", "discriminator_t_"):
            judge = (
                PatchDiscriminator(n_channels, ndf=self.ndf, n_layers=self.n_layers_)
                if is_image
                else MLPDiscriminator(n_channels, width=self.ndf)
            )
            setattr(self, name, judge)

    def _build_generator(self, n_channels: int) -> nn.Module:
        if callable(self.generator):
            network = self.generator(n_channels)
            if not isinstance(network, nn.Module):
                raise TypeError(
                    "A callable `generator` must return a torch.nn.Module. Got "
                    f"{type(network).__name__}."
                )
            return network
        if len(self.sample_shape_) == 1:
            return MLPGenerator(n_channels, width=self.ngf)
        side = min(self.sample_shape_[:2])
        if self.generator == "unet":
            depth = min(DEEPEST_UNET, side.bit_length() - 2)
            return UNetGenerator(n_channels, ngf=self.ngf, depth=depth)
        n_blocks = self.n_blocks
        if n_blocks == "auto":
            n_blocks = BLOCKS_SMALL if side < LARGE_SIDE else BLOCKS_LARGE
        return ResNetGenerator(n_channels, ngf=self.ngf, n_blocks=n_blocks)

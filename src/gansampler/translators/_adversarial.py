"""What all translators with discriminators share: parameters, training and files."""

from __future__ import annotations

import os
from abc import abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from gansampler._serialization import load_model, params_to_json, save_model
from gansampler._validation import (
    HasMethods,
    StrOptions,
    at_least,
    isolated_rng,
    spawn_seeds,
)
from gansampler.exceptions import ModelFileError
from gansampler.images import ImageSequence
from gansampler.networks import PatchDiscriminator, ResNetGenerator
from gansampler.training import Trainer
from gansampler.translators._adversarial_task import (
    AdversarialSettings,
    AdversarialTask,
)
from gansampler.translators._base import BaseTranslator
from gansampler.translators._build import build_discriminator, build_resnet
from gansampler.translators._data import UnpairedData
from gansampler.translators._docstrings import insert_sections
from gansampler.translators._evaluation import Evaluation
from gansampler.translators._monitors import find_failures, report_failures
from gansampler.translators._tensors import (
    load_networks,
    networks_to_tensors,
    scalers_from_tensors,
    scalers_to_tensors,
)


@dataclass(kw_only=True, eq=False, repr=False)
class AdversarialTranslator(BaseTranslator):
    """Base of the translators that train generators against discriminators.

    A subclass writes two methods:

    - ``_build_networks()`` returns a dict with the networks by name. There must be a
      ``generator_st``, which translates, and a ``discriminator_t``. Each network
      becomes an attribute whose name ends in ``_``. ``_build_resnet()`` and
      ``_build_discriminator()`` build networks by the parameters below.
    - ``_build_task(networks, data, settings)`` returns an :class:`AdversarialTask`,
      which says how one training step goes.

    A subclass with further parameters declares them as fields of a
    ``dataclass(kw_only=True, eq=False, repr=False)``, and adds their constraints to
    those of the base. In its docstring, the lines ``{common_parameters}`` and
    ``{common_attributes}`` are replaced by the texts below.

    Parameters
    ----------
    ngf, ndf : int, default=64
        Filters of the first layer of a generator and of a discriminator. For feature
        rows, the hidden units.
    n_blocks : "auto" or int, default="auto"
        Number of residual blocks of a ResNet generator. ``"auto"`` means 6 for images
        whose smaller side is below 256 px, and 9 for larger ones.
    global_skip : bool, default=False
        Whether a ResNet generator computes a change to its input instead of a new
        image.
    discriminator : {"patch", "projected"}, default="patch"
        ``"patch"`` is trained from the pixels. ``"projected"`` is trained on frozen
        features of EfficientNet-Lite0 (``gansampler[pretrained]``), with hinge losses.
        It needs fewer images and steps. Feature rows have a perceptron.
    augment_discriminator : bool, default=False
        Whether discriminators see images with random changes of colour and position,
        so that they cannot learn a few real images by heart.
    n_layers : int, default=3
        Number of strided layers of a patch discriminator. Small images get fewer: 3
        layers need 24 px.
    n_epochs : int, default=100
        Epochs at the full learning rate. An epoch shows each image of the larger
        domain once.
    n_epochs_decay : int, default=0
        Further epochs over which the learning rate falls linearly to 0.
    batch_size : int, default=1
        Images of each domain per step.
    lr : float, default=2e-4
        Learning rate of Adam.
    betas : tuple of 2 float, default=(0.5, 0.999)
        Coefficients of Adam.
    pool_size : int, default=0
        Earlier translations that are kept for each discriminator; 0 for none.
    ema_decay : float, default=0.0
        Decay per step of a moving average of `generator_st_`, which then translates. 0
        means none; 0.999 averages 1,000 steps, and fewer at the beginning.
    patience : int, default=None
        Training ends after this many evaluations without a smaller kernel distance to
        the target images, in features of EfficientNet-Lite1
        (``gansampler[pretrained]``), and the best generator is kept. Evaluations are
        100 steps or an epoch apart, whatever is more. None keeps the last generator.
    on_failure : {"warn", "raise", "restart"}, default="warn"
        What to do if training failed: for example, if translations equal their sources
        or look all the same. ``"restart"`` trains once more, and then warns. Feature
        rows, and runs of fewer than 100 steps, are not checked.
    horizontal_flip, vertical_flip : bool, default=False
        Whether training images are flipped at random from left to right, and upside
        down. Use flips only if a flipped image is as plausible as the original.
    trainer : Trainer, default=None
        Device, precision, time limit. None means ``Trainer()``.
    random_state : int, RandomState instance or None, default=None
        Source of all randomness of :meth:`fit`.
    verbose : int, default=0
        From 1 on, progress is shown.

    Attributes
    ----------
    generator_st_ : Module
        Network from source to target.
    generator_st_ema_ : Module or None
        Moving average of `generator_st_` over the steps, with `ema_decay`.
    discriminator_t_ : Module
        Discriminator of target images.
    history_ : list of dict
        Number, duration and mean losses of each epoch; after evaluations ``"change"``,
        ``"diversity"``, ``"foreign_color"``, ``"grid"``, ``"kernel_distance"`` as well.
    is_finished_ : bool
        Whether training came to its end, not to `max_time` or Ctrl-C.
    n_layers_ : int
        Number of strided layers that a discriminator has.
    sample_shape_ : tuple of int
        (height, width, n_channels) of the images, or (n_features,).
    scalers_ : dict of str -> StandardScaler or None
        For feature rows, what ``"source"`` and ``"target"`` are standardised with.

    See Also
    --------
    AdversarialTask : One training step.

    Examples
    --------
    A translator without any other loss than the adversarial one:

    >>> import numpy as np
    >>> from gansampler.translators import AdversarialTask, AdversarialTranslator
    >>> class PlainTask(AdversarialTask):
    ...     def training_step(self, batch):
    ...         source, target = batch
    ...         with self.frozen_discriminators():
    ...             fake = self.modules["generator_st"](source)
    ...             loss = self.adversarial_loss("discriminator_t", fake)
    ...             self.update_generators(loss)
    ...         return self.update_discriminators(discriminator_t=(target, fake))
    >>> class PlainGAN(AdversarialTranslator):
    ...     def _build_networks(self):
    ...         return {
    ...             "generator_st": self._build_resnet(),
    ...             "discriminator_t": self._build_discriminator(),
    ...         }
    ...
    ...     def _build_task(self, networks, data, settings):
    ...         return PlainTask(networks, data, settings)
    >>> translator = PlainGAN(ngf=4, ndf=4, n_epochs=1, random_state=0)
    >>> translator = translator.fit(*np.random.default_rng(0).random((2, 4, 16, 16, 3)))
    """

    ngf: int = 64
    ndf: int = 64
    n_blocks: Literal["auto"] | int = "auto"
    global_skip: bool = False
    discriminator: Literal["patch", "projected"] = "patch"
    augment_discriminator: bool = False
    n_layers: int = 3
    n_epochs: int = 100
    n_epochs_decay: int = 0
    batch_size: int = 1
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    pool_size: int = 0
    ema_decay: float = 0.0
    patience: int | None = None
    on_failure: Literal["warn", "raise", "restart"] = "warn"
    horizontal_flip: bool = False
    vertical_flip: bool = False
    trainer: Trainer | None = None
    random_state: Any = None
    verbose: int = 0

    _parameter_constraints = {
        "ngf": [at_least(1, int)],
        "ndf": [at_least(1, int)],
        "n_blocks": [StrOptions({"auto"}), at_least(1, int)],
        "global_skip": ["boolean"],
        "discriminator": [StrOptions({"patch", "projected"})],
        "augment_discriminator": ["boolean"],
        "n_layers": [at_least(1, int)],
        "n_epochs": [at_least(0, int)],
        "n_epochs_decay": [at_least(0, int)],
        "batch_size": [at_least(1, int)],
        "lr": [at_least(0, open_=True)],
        "betas": [tuple, list],
        "pool_size": [at_least(0, int)],
        "ema_decay": [at_least(0, below=1)],
        "patience": [at_least(1, int), None],
        "on_failure": [StrOptions({"warn", "raise", "restart"})],
        "horizontal_flip": ["boolean"],
        "vertical_flip": ["boolean"],
        "trainer": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__doc__:
            cls.__doc__ = insert_sections(cls, AdversarialTranslator)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted networks, parameters and history to one safetensors file.

        The trainer, a random state that is not an integer, and parameters that are
        functions are not saved.

        Parameters
        ----------
        path : path-like
            Written atomically.
        """
        check_is_fitted(self)
        tensors = networks_to_tensors(self._networks())
        tensors |= scalers_to_tensors(self.scalers_)
        state = {
            "params": params_to_json(self.get_params(deep=False)),
            "sample_shape": self.sample_shape_,
            "is_finished": self.is_finished_,
            **params_to_json({"history": self.history_}),
        }
        save_model(path, type(self).__name__, tensors, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **functions: Any) -> Self:
        """Read a fitted translator that :meth:`save` wrote. No code in it is run.

        Parameters
        ----------
        path : path-like
        **functions : callable
            Parameters that were functions, such as the `generator` of
            :class:`~gansampler.CycleGAN`.

        Returns
        -------
        translator : AdversarialTranslator
            Fitted, with ``trainer=None``.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is damaged, holds something else, or needs another function.
        """
        tensors, state = load_model(path, cls.__name__)
        params = state["params"]
        params["betas"] = tuple(params["betas"])
        params |= {name: value for name, value in functions.items() if value}
        for name, constraints in cls._parameter_constraints.items():
            if callable in constraints and params[name] is None:
                raise ModelFileError(
                    f"{path} was fitted with a callable `{name}`, which is not saved. "
                    f"Pass it: {cls.__name__}.load(path, {name}=...)."
                )
        model = cls(**params)
        model.sample_shape_ = tuple(state["sample_shape"])
        model.history_ = state["history"]
        model.is_finished_ = state["is_finished"]
        model.scalers_ = scalers_from_tensors(tensors)
        with isolated_rng(0):
            model._set_networks()
        load_networks(model._networks(), tensors, path)
        return model

    @abstractmethod
    def _build_networks(self) -> dict[str, nn.Module]:
        """Return new networks by name, for samples of ``sample_shape_``."""

    @abstractmethod
    def _build_task(
        self,
        networks: dict[str, nn.Module],
        data: UnpairedData,
        settings: AdversarialSettings,
    ) -> AdversarialTask:
        """Return the task that trains the networks."""

    def _fit(self, source: ImageSequence, target: ImageSequence) -> None:
        rng = check_random_state(self.random_state)
        failures = self._fit_once(source, target, rng)
        if failures and self.on_failure == "restart":
            failures = self._fit_once(source, target, rng)
        report_failures(failures, as_error=self.on_failure == "raise")

    def _fit_once(
        self, source: ImageSequence, target: ImageSequence, rng: np.random.RandomState
    ) -> list[str]:
        """Train, and return the signs of failure."""
        init_seed, *seeds = spawn_seeds(rng, 4)
        with isolated_rng(init_seed):
            task = self._prepare(source, target, *seeds)
            if self.scalers_ is None:
                task.evaluation = Evaluation(
                    source, target, seeds[0], distance=self.patience is not None
                )
            self._train(task, self.n_epochs + self.n_epochs_decay)
        task.finish()
        return find_failures(self.history_, hinge=self._is_projected)

    def _prepare(
        self,
        source: ImageSequence,
        target: ImageSequence,
        data_seed: int = 0,
        pool_seed: int = 0,
        step_seed: int = 0,
    ) -> AdversarialTask:
        """Build the networks and the task that trains them."""
        networks = self._set_networks()
        data = UnpairedData(
            source=source,
            target=target,
            batch_size=self.batch_size,
            seed=data_seed,
            horizontal_flip=self.horizontal_flip,
            vertical_flip=self.vertical_flip,
            size_multiple=getattr(networks["generator_st"], "size_multiple", 1),
            scalers=self.scalers_,
        )
        settings = AdversarialSettings(
            hinge=self._is_projected,
            augment=self.augment_discriminator and self.scalers_ is None,
            patience=self.patience,
            lr=self.lr,
            betas=self.betas,
            n_epochs=self.n_epochs,
            n_epochs_decay=self.n_epochs_decay,
            pool_size=self.pool_size,
            pool_seed=pool_seed,
            step_seed=step_seed,
        )
        task = self._build_task(networks, data, settings)
        if self.generator_st_ema_ is not None:
            task.use_ema("generator_st", self.generator_st_ema_, self.ema_decay)
        return task

    def _set_networks(self) -> dict[str, nn.Module]:
        """Build the networks, and make attributes of them."""
        self.n_layers_ = PatchDiscriminator.layers_that_fit(self._side, self.n_layers)
        networks = self._build_networks()
        self._network_names = list(networks)
        for name, network in networks.items():
            setattr(self, f"{name}_", network)
        self.generator_st_ema_: nn.Module | None = None
        if self.ema_decay:
            self.generator_st_ema_ = deepcopy(networks["generator_st"])
            self._network_names.append("generator_st_ema")
        return networks

    def _networks(self) -> dict[str, nn.Module]:
        return {name: getattr(self, f"{name}_") for name in self._network_names}

    def _build_resnet(self) -> ResNetGenerator:
        """Return a new ResNet generator."""
        shape, skip = self.sample_shape_, self.global_skip
        return build_resnet(shape, self.ngf, self.n_blocks, global_skip=skip)

    def _build_discriminator(self) -> nn.Module:
        """Return a new discriminator, for images or for feature rows."""
        kind, shape = self.discriminator, self.sample_shape_
        return build_discriminator(kind, shape, self.ndf, self.n_layers_)

    @property
    def _is_projected(self) -> bool:
        """Whether discriminators use pretrained features; those of rows do not."""
        return self.discriminator == "projected" and self.scalers_ is None

    @property
    def _side(self) -> int:
        """Smaller side of the images, or 1 for feature rows."""
        return min(self.sample_shape_[:-1], default=1)

    def _forward_network(self) -> nn.Module:
        average = self.generator_st_ema_
        return self.generator_st_ if average is None else average

    def _discriminator_network(self) -> nn.Module:
        return self.discriminator_t_

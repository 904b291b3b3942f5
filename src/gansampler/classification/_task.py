"""The training of a classifier: its batches, its step and when it stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import nn

from gansampler.classification._augmentation import (
    Transform,
    augment,
    make_transform,
)
from gansampler.classification._data import Samples
from gansampler.classification._loss import LossWeights, WeightedLoss
from gansampler.classification._network import (
    batch_norms,
    check_batch_size,
    freeze_layers,
    has_depthwise,
)
from gansampler.images import chunks, flip_chosen
from gansampler.training import TrainingTask

LR_FACTOR = 0.1
LR_LITE, LR_FINE_TUNING, LR_NEW_WEIGHTS, LR_FEATURE_ROWS = 4e-4, 2e-4, 1e-3, 1e-2
# Share of the steps in which a cosine schedule raises the learning rate.
WARM_UP = 0.1
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adadelta": torch.optim.Adadelta,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


def choose_lr(
    lr: float | str,
    optimizer: str,
    backbone: object,
    *,
    is_image: bool,
    is_new: bool,
) -> float:
    """Return the learning rate, or what "auto" means.

    Parameters
    ----------
    lr : float or "auto"
        The parameter of the classifier.
    optimizer : str
        Name of the optimiser.
    backbone : str, Module or callable
        The backbone.
    is_image : bool
        Whether the samples are images, or feature rows.
    is_new : bool
        Whether all trained weights are random at first.

    Returns
    -------
    lr : float
    """
    if not isinstance(lr, str):
        return lr
    if optimizer not in ("adam", "adamw"):
        raise ValueError(
            "`lr` must be a number unless the optimizer is 'adam' or 'adamw'. Got "
            f"lr='auto' and optimizer={optimizer!r}. Pass a number as `lr`."
        )
    if not is_image:
        return LR_FEATURE_ROWS
    if is_new:
        return LR_NEW_WEIGHTS
    is_lite = isinstance(backbone, str) and backbone.startswith("efficientnet_lite")
    return LR_LITE if is_lite else LR_FINE_TUNING


def cosine_factor(step: int, n_steps: int) -> float:
    """Return the share of the learning rate in a step, counted from 0.

    It rises linearly to 1 in the first tenth of the steps and then falls to 0 like half
    a period of a cosine.
    """
    done = (step + 1) / n_steps
    if done < WARM_UP:
        return done / WARM_UP
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


class ClassificationTask(TrainingTask):
    """Minimise a loss of logits, and compute validation scores after each epoch.

    Parameters
    ----------
    network : Module
        The network to train.
    loss : WeightedLoss
        The loss.
    weights : LossWeights
        Weights of the samples in the loss.
    samples, validation : Samples
        Training samples and validation samples. `validation` may be None.
    optimizer : {"adamw", "adam", "sgd", "adadelta"}
        Name of the optimiser.
    lr, weight_decay : float
        Settings of the optimiser.
    batch_size : int
        Samples per step.
    patience, lr_patience : int or None
        Epochs without a lower loss after which training ends, or after which the
        learning rate is reduced.
    n_epochs : int or None
        Number of epochs of a cosine schedule of the learning rate. None keeps the
        learning rate.
    evaluated : list of Module
        Layers that stay in evaluation mode.
    horizontal_flip, vertical_flip : bool
        Whether training images are flipped at random.
    transform : callable or None
        Changes a training image at random; see `make_transform`.
    seed : int
        Seed of the order of the samples, of the flips and of the random changes.
    settings : dict
        JSON-able parameters that identify the run.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: WeightedLoss,
        weights: LossWeights,
        samples: Samples,
        validation: Samples | None,
        *,
        optimizer: str,
        lr: float,
        weight_decay: float,
        batch_size: int,
        patience: int | None,
        lr_patience: int | None,
        n_epochs: int | None,
        evaluated: list[nn.Module],
        horizontal_flip: bool,
        vertical_flip: bool,
        transform: Transform | None,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        self.network, self.loss, self.weights = network, loss, weights
        self.samples, self.validation = samples, validation
        # On CPUs, gradients of depthwise convolutions take twice as long in bfloat16.
        is_slow = has_depthwise(network) and not torch.cuda.is_available()
        self.mixed_precision = samples.images.is_image and not is_slow
        self.evaluated = evaluated
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer_ = OPTIMIZERS[optimizer](trained, lr=lr, weight_decay=weight_decay)
        self.modules = {"network": network}
        self.optimizers = {"optimizer": optimizer_}
        self.schedulers = []
        self.plateau = None
        if lr_patience is not None:
            # torch waits for one more epoch than its `patience`.
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer_, factor=LR_FACTOR, patience=lr_patience - 1, threshold=0.0
            )
        self.flips, self.transform = (horizontal_flip, vertical_flip), transform
        self.seed, self.settings = seed, settings
        # Number of processes that divide the current batch among them.
        self.n_shares = 1
        n_samples = len(samples.target)
        self.starts = list(range(0, n_samples, batch_size))
        if len(self.starts) > 1 and n_samples % batch_size == 1:
            # Batch normalisation needs two samples: the last one joins the batch
            # before.
            self.starts.pop()
        self.n_batches = len(self.starts)
        self.n_scheduled = None if n_epochs is None else n_epochs * self.n_batches
        self.n_steps = 0
        self.lr = lr
        self.patience = patience
        self.best_loss = float("inf")
        self.best_state: dict[str, torch.Tensor] | None = None
        self.n_epochs_since_best = 0

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the weights, which inputs and logits are converted to."""
        return next(self.network.parameters()).dtype

    def batches(self, epoch: int, first: int = 1) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (inputs, target) or (inputs, target, weight), shuffled, augmented."""
        self._set_training_mode()
        n_samples = len(self.samples.target)
        rng = np.random.default_rng([self.seed, epoch, self.draw])
        order = rng.permutation(n_samples)
        flips = rng.random((n_samples, 2)) < 0.5
        flips &= self.flips
        seeds = rng.integers(2**32, size=n_samples)
        batches = np.split(order, self.starts[1:])[first - 1 :]
        shares = self.samples.images.prefetch(
            list(map(self.process_group.share, batches))
        )
        for batch, rows in zip(batches, shares, strict=True):
            self.n_shares = len(batch) // len(rows)
            inputs = self.samples.encode(rows)
            if self.samples.images.is_image:
                inputs = flip_chosen(inputs, *flips[rows].T)
                if self.transform is not None:
                    inputs = augment(inputs, self.transform, seeds[rows])
            target = torch.from_numpy(self.samples.target[rows])
            if self.weights.per_sample is None:
                yield inputs, target
            else:
                yield inputs, target, self.weights.per_sample[torch.from_numpy(rows)]

    def _set_training_mode(self) -> None:
        self.network.train()
        for module in self.evaluated:
            # In training mode, batch normalisation would update its statistics.
            module.eval()
        self.loss.module.to(self.device, self.dtype)

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Take one step of the optimiser."""
        inputs, target, *weight = batch
        if self.n_scheduled is not None:
            for group in self.optimizers["optimizer"].param_groups:
                group["lr"] = self.lr * cosine_factor(self.n_steps, self.n_scheduled)
        self.n_steps += 1
        logits = self.network(inputs).to(self.dtype)
        loss = self.loss(logits, target, *weight)
        if self.loss.is_sum:
            # The engine averages losses and gradients over the processes.
            loss = loss * self.n_shares
        self.update("optimizer", loss)
        return {"loss": loss}

    def state_dict(self) -> dict[str, Any]:
        """Return the seed, and the state of early stopping."""
        return {
            "seed": self.seed,
            "n_steps": self.n_steps,
            "plateau": self.plateau and self.plateau.state_dict(),
            "best_loss": self.best_loss,
            "best_state": self.best_state,
            "n_epochs_since_best": self.n_epochs_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.seed, self.n_steps = state["seed"], state["n_steps"]
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        self.best_loss, self.best_state = state["best_loss"], state["best_state"]
        self.n_epochs_since_best = state["n_epochs_since_best"]

    def fingerprint(self) -> dict[str, Any]:
        """Return the parameters, hashes of the data, and the weights."""
        parts = [self.samples, *([self.validation] if self.validation else [])]
        weights = self.weights.per_sample
        # A run with more epochs continues one with fewer.
        params = {name: p for name, p in self.settings.items() if name != "n_epochs"}
        return {
            "params": params,
            "data": [part.fingerprint() for part in parts],
            "weights": None if weights is None else weights.tolist(),
        }

    def end_epoch(self, record: dict[str, float]) -> bool:
        """Add validation scores to the record; True if training should end."""
        if self.validation is not None:
            record |= self._validate(self.validation)
        watched = record["loss" if self.validation is None else "val_loss"]
        if self.plateau is not None:
            self.plateau.step(watched)
        if self.patience is None:
            return False
        self.n_epochs_since_best += 1
        if watched < self.best_loss or self.best_state is None:
            self.best_loss, self.n_epochs_since_best = watched, 0
            self.best_state = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self.network.state_dict().items()
            }
        return self.n_epochs_since_best >= self.patience

    def _validate(self, samples: Samples) -> dict[str, float]:
        """Compute the validation scores, without half precision."""
        self.network.eval()
        parts = list(chunks(len(samples.target), samples.images.sample_shape))
        with torch.inference_mode():
            logits = torch.cat(
                [
                    self.network(samples.encode(rows).to(self.device, self.dtype))
                    for rows in samples.images.prefetch(parts)
                ]
            )
            target = torch.from_numpy(samples.target).to(self.device)
            weight = self.weights.per_class
            if weight is not None:
                weight = weight.to(logits)[target]
            loss = self.loss(logits, target, weight)
        recall = recall_score(
            samples.target,
            logits.argmax(1).cpu().numpy(),
            # Only classes that are in the validation data.
            labels=np.unique(samples.target),
            average="macro",
            zero_division=0,
        )
        return {"val_loss": float(loss), "val_balanced_accuracy": float(recall)}

    def finish(self) -> None:
        """Load the best weights, and make all weights trainable again."""
        if self.best_state is not None:
            self.network.load_state_dict(self.best_state)
        self.network.requires_grad_(True)
        self.network.zero_grad(set_to_none=True)


def build_task(
    network: nn.Module,
    weights: LossWeights,
    samples: Samples,
    validation: Samples | None,
    *,
    params: dict[str, Any],
    lr: float,
    freeze_batch_norm: bool,
    n_epochs: int,
    seed: int,
    settings: dict[str, Any],
) -> ClassificationTask:
    """Return a task with new optimisers. Layers are frozen until its end.

    Parameters
    ----------
    network : Module
        The network to train.
    weights : LossWeights
        Weights of the samples in the loss.
    samples, validation : Samples
        Training samples and validation samples. `validation` may be None.
    params : dict
        The parameters of the classifier.
    lr : float
        Learning rate.
    freeze_batch_norm : bool
        Whether batch normalisation keeps its mean and variance.
    n_epochs : int
        Number of epochs.
    seed : int
        Seed of the order of the samples and of all random changes.
    settings : dict
        JSON-able parameters that identify the run.
    """
    evaluated = freeze_layers(network, params["freeze"])
    if freeze_batch_norm:
        evaluated += batch_norms(network)
    check_batch_size(network, evaluated, params["batch_size"])
    is_weighted = weights.per_sample is not None
    transform = make_transform(
        params["augmentation"],
        samples.images.sample_shape,
        any_angle=params["horizontal_flip"] and params["vertical_flip"],
    )
    return ClassificationTask(
        network,
        WeightedLoss(params["loss"], params["gamma"], weighted=is_weighted),
        weights,
        samples,
        validation,
        optimizer=params["optimizer"],
        lr=lr,
        weight_decay=params["weight_decay"],
        batch_size=params["batch_size"],
        patience=params["patience"],
        lr_patience=params["lr_patience"],
        n_epochs=None if params["lr_schedule"] == "constant" else n_epochs,
        evaluated=evaluated,
        horizontal_flip=params["horizontal_flip"],
        vertical_flip=params["vertical_flip"],
        transform=transform,
        seed=seed,
        settings=settings,
    )

"""The training of a classifier: its loss, its step and when it stops."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.metrics import recall_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from gansampler.classification._data import Samples
from gansampler.images import chunks, flip_chosen
from gansampler.losses import FocalLoss
from gansampler.training import TrainingTask

LR_FACTOR = 0.1
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adadelta": torch.optim.Adadelta,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


class LossWeights:
    r"""The weight of each training sample in the loss. Their mean is 1.

    The loss of a batch is :math:`\frac{1}{n} \sum_i w_i \ell_i`. The weight
    :math:`w_i` is proportional to :math:`s_i c_{y_i}`, sample weight times class
    weight. The weights are divided by their mean over the training set, not over the
    batch. A sample of weight 2 then counts as two samples in any batch.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        As in :class:`TransferClassifier`.
    classes : ndarray of shape (n_classes,)
        The labels.
    target : ndarray of int of shape (n_samples,)
        Positions in `classes`.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    Attributes
    ----------
    per_class : Tensor of shape (n_classes,) or None
        Weights of validation samples. None if `class_weight` is None.
    per_sample : Tensor of shape (n_samples,) or None
        Weights of training samples. None if they are all equal.
    """

    def __init__(self, class_weight, classes, target, sample_weight) -> None:
        self.per_class: torch.Tensor | None = None
        self.per_sample: torch.Tensor | None = None
        samples = np.ones(len(target)) if sample_weight is None else sample_weight
        if class_weight is not None:
            with np.errstate(divide="ignore"):
                weights = compute_class_weight(
                    class_weight,
                    classes=classes,
                    y=classes[target],
                    sample_weight=sample_weight,
                )
            if class_weight == "balanced":
                # scikit-learn gives infinity to classes without weight.
                weights[np.bincount(target, samples, len(classes)) == 0] = 0
            if not (samples * weights[target]).any():
                raise ValueError(
                    "At least one sample of positive weight must be in a class of "
                    f"positive weight. Got class_weight={class_weight!r}. Raise the "
                    "weight of a class."
                )
            weights = weights / np.average(weights[target], weights=samples)
            self.per_class = torch.from_numpy(weights).float()
            samples = samples * weights[target]
        if class_weight is not None or sample_weight is not None:
            self.per_sample = torch.from_numpy(samples / samples.mean()).float()


class WeightedLoss:
    """The loss of a batch: the mean or the sum of weighted losses of its samples.

    Parameters
    ----------
    loss : {"focal", "cross_entropy"} or Module
        A module is copied.
    gamma : float
        Exponent of the focal loss.
    weighted : bool
        Whether the samples have weights.

    Attributes
    ----------
    module : Module
        The loss of each sample. Without weights, a custom module may return the loss
        of the whole batch.
    is_sum : bool
        Whether the loss of a batch is a sum. Otherwise it is a mean.
    """

    def __init__(self, loss: str | nn.Module, gamma: float, *, weighted: bool) -> None:
        self.module: nn.Module
        if isinstance(loss, nn.Module):
            self.module = copy.deepcopy(loss)
        elif loss == "focal":
            self.module = FocalLoss(gamma, reduction="none")
        else:
            self.module = nn.CrossEntropyLoss(reduction="none")
        reduction = getattr(self.module, "reduction", "none")
        self.is_sum = reduction == "sum"
        if not weighted or reduction == "none":
            return
        if reduction not in ("mean", "sum"):
            raise ValueError(
                "With `sample_weight` or `class_weight`, the `reduction` of a custom "
                f"`loss` must be 'none', 'mean' or 'sum'. Got {reduction!r}. Choose "
                "one of them, or leave out the weights."
            )
        self.module.reduction = "none"  # type: ignore[assignment]

    def __call__(
        self,
        logits: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        losses = self.module(logits, target)
        if weight is not None:
            if losses.shape != target.shape:
                raise ValueError(
                    "With `sample_weight` or `class_weight`, a custom `loss` must "
                    "return one value per sample, of shape "
                    f"{tuple(target.shape)}. Got the shape {tuple(losses.shape)}. "
                    "Pass a module with a `reduction` that can be set to 'none', or "
                    "leave out the weights."
                )
            losses = losses * weight
        return losses.sum() if self.is_sum else losses.mean()


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
    frozen : list of Module
        Layers that stay in evaluation mode. Their parameters require no gradients.
    horizontal_flip, vertical_flip : bool
        Whether training images are flipped at random.
    seed : int
        Seed of the order of the samples and of the flips.
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
        frozen: list[nn.Module],
        horizontal_flip: bool,
        vertical_flip: bool,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        self.network, self.loss, self.weights = network, loss, weights
        self.samples, self.validation = samples, validation
        self.mixed_precision = samples.images.is_image
        self.frozen = frozen
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
        self.flips = horizontal_flip, vertical_flip
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
        self.patience = patience
        self.best_loss = float("inf")
        self.best_state: dict[str, torch.Tensor] | None = None
        self.n_epochs_since_best = 0

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the weights, which inputs and logits are converted to."""
        return next(self.network.parameters()).dtype

    def batches(self, epoch: int, first: int = 1) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (inputs, target) or (inputs, target, weight), shuffled and flipped."""
        self._set_training_mode()
        n_samples = len(self.samples.target)
        rng = np.random.default_rng([self.seed, epoch, self.draw])
        order = rng.permutation(n_samples)
        flips = rng.random((n_samples, 2)) < 0.5
        flips &= self.flips
        batches = np.split(order, self.starts[1:])[first - 1 :]
        shares = self.samples.images.prefetch(
            list(map(self.process_group.share, batches))
        )
        for batch, rows in zip(batches, shares, strict=True):
            self.n_shares = len(batch) // len(rows)
            inputs = self.samples.encode(rows)
            if self.samples.images.is_image:
                inputs = flip_chosen(inputs, *flips[rows].T)
            target = torch.from_numpy(self.samples.target[rows])
            if self.weights.per_sample is None:
                yield inputs, target
            else:
                yield inputs, target, self.weights.per_sample[torch.from_numpy(rows)]

    def _set_training_mode(self) -> None:
        self.network.train()
        for module in self.frozen:
            # In training mode, batch normalisation would update its statistics.
            module.eval()
        self.loss.module.to(self.device, self.dtype)

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Take one step of the optimiser."""
        inputs, target, *weight = batch
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
            "plateau": self.plateau and self.plateau.state_dict(),
            "best_loss": self.best_loss,
            "best_state": self.best_state,
            "n_epochs_since_best": self.n_epochs_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.seed = state["seed"]
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        self.best_loss, self.best_state = state["best_loss"], state["best_state"]
        self.n_epochs_since_best = state["n_epochs_since_best"]

    def fingerprint(self) -> dict[str, Any]:
        """Return the parameters, hashes of the data, and the weights."""
        parts = [self.samples, *([self.validation] if self.validation else [])]
        weights = self.weights.per_sample
        return {
            "params": self.settings,
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

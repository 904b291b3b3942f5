"""One step of a classifier, the order in which it sees images, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import nn

from gansampler._serialization import comparable_params
from gansampler.classification._loss import RowWeights, WeightedLoss
from gansampler.images import ImageSequence, chunks, flip_chosen
from gansampler.training import TrainingTask

if TYPE_CHECKING:
    from gansampler.classification._transfer import TransferClassifier

__all__ = ["ClassificationTask", "Samples"]

LR_FACTOR = 0.1
MOMENTUM = 0.9


class Samples(NamedTuple):
    """Samples, how their rows become inputs of a network, and their classes."""

    images: ImageSequence
    encode: Callable[[np.ndarray], torch.Tensor]
    # Positions in `classes_`.
    target: np.ndarray

    def fingerprint(self) -> list[str]:
        """Return a hash of the inputs and one of the classes."""
        return [self.images.fingerprint(), blake2b(self.target.tobytes()).hexdigest()]


class ClassificationTask(TrainingTask):
    """Minimise a loss of logits; look at the validation data after each epoch.

    Parameters
    ----------
    model : TransferClassifier
        Whose parameters are read, and whose `network_` is trained.
    samples : Samples
    weights : RowWeights
    validation : Samples or None
    lr : float
    seed : int
        Of the order and the flips.
    """

    def __init__(
        self,
        model: TransferClassifier,
        samples: Samples,
        weights: RowWeights,
        validation: Samples | None,
        lr: float,
        seed: int,
    ) -> None:
        self.model = model
        self.network: nn.Module = model.network_
        self.samples, self.validation = samples, validation
        self.weights = weights
        self.loss = WeightedLoss(
            model.loss, model.gamma, weighted=weights.by_row is not None
        )
        self.is_image = samples.images.is_image
        self.mixed_precision = self.is_image
        self.frozen: nn.Module | None = None
        if model.freeze and self.is_image:
            self.frozen = self.network.get_submodule("backbone")
            self.network.requires_grad_(False)
            self.network.get_submodule("head").requires_grad_(True)
        optimizer = self._make_optimizer(lr)
        self.modules = {"network": self.network}
        self.optimizers = {"optimizer": optimizer}
        self.schedulers = []
        self.plateau = None
        if model.lr_patience is not None:
            # torch waits for one epoch more than it is told.
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer,
                factor=LR_FACTOR,
                patience=model.lr_patience - 1,
                threshold=0.0,
            )
        self.seed, self.n_shares = seed, 1
        self.n_samples = len(samples.target)
        self.starts = list(range(0, self.n_samples, model.batch_size))
        if len(self.starts) > 1 and self.n_samples % model.batch_size == 1:
            # Batch normalisation needs two: the last one joins the batch before.
            self.starts.pop()
        self.n_batches = len(self.starts)
        self.best_loss = float("inf")
        self.best_state: dict[str, torch.Tensor] | None = None
        self.n_epochs_since_best = 0

    def _make_optimizer(self, lr: float) -> torch.optim.Optimizer:
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        decay = self.model.weight_decay
        name = self.model.optimizer
        if name == "sgd":
            return torch.optim.SGD(
                parameters, lr=lr, momentum=MOMENTUM, weight_decay=decay
            )
        kind = {
            "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
            "adadelta": torch.optim.Adadelta,
        }[name]
        return kind(parameters, lr=lr, weight_decay=decay)

    def batches(self, epoch: int, first: int = 1) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (inputs, target, weight), shuffled and flipped; or without weight."""
        self._set_training_mode()
        rng = np.random.default_rng([self.seed, epoch, self.draw])
        order = rng.permutation(self.n_samples)
        flips = rng.random((self.n_samples, 2)) < 0.5
        flips &= [self.model.horizontal_flip, self.model.vertical_flip]
        batches = np.split(order, self.starts[1:])[first - 1 :]
        shares = self.samples.images.prefetch(
            list(map(self.process_group.share, batches))
        )
        for batch, rows in zip(batches, shares, strict=True):
            self.n_shares = len(batch) // len(rows)
            inputs = self.samples.encode(rows)
            if self.is_image:
                inputs = flip_chosen(inputs, *flips[rows].T)
            target = torch.from_numpy(self.samples.target[rows])
            if self.weights.by_row is None:
                yield inputs, target
            else:
                yield inputs, target, self.weights.by_row[torch.from_numpy(rows)]

    def _set_training_mode(self) -> None:
        self.network.train()
        if self.frozen is not None:
            # Else batch normalisation would go on learning its statistics.
            self.frozen.eval()
        self.loss.module.to(self.device)

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """Take one step of the optimiser."""
        inputs, target, *weight = batch
        logits = self.modules["network"](inputs).float()
        loss = self.loss(logits, target, weight[0] if weight else None)
        if self.loss.reduction == "sum":
            # The processes' gradients are averaged.
            loss = loss * self.n_shares
        self.update("optimizer", loss)
        return {"loss": loss}

    def state_dict(self) -> dict[str, Any]:
        """Return the seed, and what is known of the best epoch."""
        return {
            "seed": self.seed,
            "plateau": self.plateau and self.plateau.state_dict(),
            "best_loss": self.best_loss,
            "best_state": self.best_state,
            "n_epochs_since_best": self.n_epochs_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.seed = state["seed"]
        if self.plateau is not None:
            self.plateau.load_state_dict(state["plateau"])
        self.best_loss, self.best_state = state["best_loss"], state["best_state"]
        self.n_epochs_since_best = state["n_epochs_since_best"]

    def fingerprint(self) -> dict[str, Any]:
        """Return the parameters and a hash of the data."""
        parts = [self.samples, *([self.validation] if self.validation else [])]
        weights = self.weights.by_row
        return {
            "params": comparable_params(self.model),
            "data": [part.fingerprint() for part in parts],
            "weights": None if weights is None else weights.tolist(),
        }

    def end_epoch(self, record: dict[str, float]) -> bool:
        """Add the validation figures, and keep the best weights with `patience`."""
        if self.validation is not None:
            record |= self._validate(self.validation)
        watched = record["loss" if self.validation is None else "val_loss"]
        if self.plateau is not None:
            self.plateau.step(watched)
        if self.model.patience is None:
            return False
        self.n_epochs_since_best += 1
        if watched < self.best_loss or self.best_state is None:
            self.best_loss, self.n_epochs_since_best = watched, 0
            self.best_state = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self.network.state_dict().items()
            }
        return self.n_epochs_since_best >= self.model.patience

    def _validate(self, samples: Samples) -> dict[str, float]:
        self.network.eval()
        parts = list(chunks(len(samples.target), samples.images.sample_shape))
        with torch.inference_mode():
            logits = torch.cat(
                [
                    self.modules["network"](samples.encode(rows).to(self.device))
                    for rows in samples.images.prefetch(parts)
                ]
            ).float()
            target = torch.from_numpy(samples.target).to(self.device)
            weight = None
            if self.weights.by_class is not None:
                weight = self.weights.by_class.to(self.device)[target]
            elif self.weights.by_row is not None:
                weight = torch.ones(len(target), device=self.device)
            loss = self.loss(logits, target, weight)
        # Over the classes that the validation data have.
        recall = recall_score(
            samples.target,
            logits.argmax(1).cpu().numpy(),
            labels=np.unique(samples.target),
            average="macro",
            zero_division=0,
        )
        return {"val_loss": float(loss), "val_balanced_accuracy": float(recall)}

    def finish(self) -> None:
        """Put the best weights back, and leave no trace of training elsewhere."""
        if self.best_state is not None:
            self.network.load_state_dict(self.best_state)
        self.network.requires_grad_(True)
        self.network.zero_grad(set_to_none=True)

"""How the network of a classifier is trained: a new one, or the fitted one again."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
from sklearn.utils import check_random_state

from gansampler._serialization import comparable_params, content_hash
from gansampler._validation import isolated_rng, spawn_seeds
from gansampler.classification._base import BaseNetworkClassifier, resolve
from gansampler.classification._data import Samples, check_sample_weight, fit_scaler
from gansampler.classification._loss import LossWeights
from gansampler.classification._task import build_task, choose_lr

Self = TypeVar("Self", bound="TrainableNetworkClassifier")


class TrainableNetworkClassifier(BaseNetworkClassifier):
    """A network classifier that can be trained on opened samples."""

    optimizer: Any
    lr: Any
    lr_schedule: Any
    lr_patience: Any
    freeze: Any
    freeze_batch_norm: Any
    random_state: Any
    verbose: int

    def _open_training_samples(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        is_first: bool,
        classes: np.ndarray | None = None,
    ) -> tuple[Samples, np.ndarray | None]:
        """Open and check samples and their weights.

        In a first fit, set the attributes that follow from the samples. The classes
        are those of `y` if `classes` is None.
        """
        if is_first:
            images, target = self._open_first_samples(X, y, classes)
        else:
            images, _, target = self._open_more_samples(X, y)
        weight = check_sample_weight(sample_weight, len(images))
        if is_first:
            self.scaler_ = fit_scaler(images, weight)
        return Samples(images, self.scaler_, target), weight

    def _check_params(self) -> None:
        self._validate_params()
        if self.lr_patience is not None and self.lr_schedule != "constant":
            raise ValueError(
                "`lr_patience` requires lr_schedule='constant'. Got "
                f"lr_patience={self.lr_patience} and lr_schedule='cosine'. Change one "
                "of them."
            )

    def _train(
        self: Self,
        samples: Samples,
        validation: Samples | None,
        weights: LossWeights,
        *,
        n_epochs: int,
        is_first: bool,
    ) -> Self:
        """Train a new network, or a copy of the fitted one."""
        lr = choose_lr(
            self.lr,
            self.optimizer,
            self.backbone,
            is_image=samples.images.is_image,
            is_new=self.weights is None or self.freeze is True,
        )
        earlier = [] if is_first else self.history_
        # A fit that continues another one sees the samples in another order.
        n_seeds = 2 * (1 + len(earlier))
        rng = check_random_state(self.random_state)
        init_seed, data_seed = spawn_seeds(rng, n_seeds)[-2:]
        settings = {**comparable_params(self), "warm_start": None}
        with isolated_rng(init_seed):
            if is_first:
                self.network_ = self._build_network(self.weights)
            else:
                self.network_ = copy.deepcopy(self.network_)
                # A checkpoint identifies its run by this also if `random_state` is
                # None.
                settings["warm_start"] = content_hash(self.network_.state_dict())
            task = build_task(
                self.network_,
                weights,
                samples,
                validation,
                params=self.get_params(deep=False),
                lr=lr,
                freeze_batch_norm=resolve(
                    self.freeze_batch_norm, self.weights is not None
                ),
                n_epochs=n_epochs,
                seed=data_seed,
                settings=settings,
            )
            history = self._get_trainer().fit(
                task,
                n_epochs=n_epochs,
                verbose=self.verbose,
                description="TransferClassifier",
            )
        task.finish()
        self.history_ = earlier + [
            {**record, "epoch": len(earlier) + record["epoch"]} for record in history
        ]
        return self

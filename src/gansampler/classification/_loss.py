"""The loss of a classifier: class weights, sample weights, and the loss of a batch."""

from __future__ import annotations

import copy

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from gansampler.losses import FocalLoss


class LossWeights:
    r"""The weight of each training sample in the loss. Usually their mean is 1.

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
    is_part : bool, default=False
        Whether the samples are a part of the training set. Then the weights are not
        divided by their mean, which differs between the parts.

    Attributes
    ----------
    per_class : Tensor of shape (n_classes,) or None
        Weights of validation samples. None if `class_weight` is None.
    per_sample : Tensor of shape (n_samples,) or None
        Weights of training samples. None if they are all equal.
    """

    def __init__(
        self, class_weight, classes, target, sample_weight, *, is_part=False
    ) -> None:
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
            if not is_part:
                weights = weights / np.average(weights[target], weights=samples)
            self.per_class = torch.from_numpy(weights).float()
            samples = samples * weights[target]
        if class_weight is not None or sample_weight is not None:
            mean = 1.0 if is_part else samples.mean()
            self.per_sample = torch.from_numpy(samples / mean).float()


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

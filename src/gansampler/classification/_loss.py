"""The loss of a classifier, with class weights and sample weights."""

from __future__ import annotations

import copy

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from gansampler.losses import FocalLoss

__all__ = ["RowWeights", "WeightedLoss"]


class RowWeights:
    r"""The weight of each training row, of mean 1 over the training set.

    A batch's loss is :math:`\frac{1}{n} \sum_i w_i \ell_i` with
    :math:`w_i \propto s_i c_{y_i}`, sample weight times class weight. Dividing by the
    training set's mean, not by the batch's, lets a row with weight 2 count as two rows
    whichever rows it meets in a batch.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    classes : ndarray of shape (n_classes,)
    target : ndarray of int of shape (n_samples,)
        Positions in `classes`.
    sample_weight : ndarray of shape (n_samples,) or None

    Attributes
    ----------
    by_class : Tensor of shape (n_classes,) or None
        Class weights, scaled for rows of weight 1; None if there are none.
    by_row : Tensor of shape (n_samples,) or None
        None if there are neither class nor sample weights.
    """

    def __init__(self, class_weight, classes, target, sample_weight) -> None:
        self.by_class: torch.Tensor | None = None
        self.by_row: torch.Tensor | None = None
        rows = np.ones(len(target)) if sample_weight is None else sample_weight
        if class_weight is not None:
            weights = compute_class_weight(
                class_weight,
                classes=classes,
                y=classes[target],
                sample_weight=sample_weight,
            )
            if not (rows * weights[target]).any():
                raise ValueError(
                    "Some class of positive weight must be among the samples of "
                    f"positive weight. Got class_weight={class_weight!r}. Raise the "
                    "weight of a class."
                )
            weights = weights / np.average(weights[target], weights=rows)
            self.by_class = torch.from_numpy(weights).float()
            rows = rows * weights[target]
        if class_weight is not None or sample_weight is not None:
            self.by_row = torch.from_numpy(rows / rows.mean()).float()


class WeightedLoss:
    """A loss module, applied row by row where rows have weights.

    Parameters
    ----------
    loss : {"focal", "cross_entropy"} or Module
        A module is copied.
    gamma : float
        Of the focal loss.
    weighted : bool
        Whether weights will be given.
    """

    def __init__(self, loss: str | nn.Module, gamma: float, weighted: bool) -> None:
        self.module: nn.Module
        self.reduction = "mean"
        if isinstance(loss, nn.Module):
            self.module = copy.deepcopy(loss)
            if weighted:
                self._take_apart()
        elif loss == "focal":
            self.module = FocalLoss(gamma, reduction="none")
        else:
            self.module = nn.CrossEntropyLoss(reduction="none")

    def _take_apart(self) -> None:
        """Make the module give a loss a row, and remember how it would reduce them."""
        reduction = getattr(self.module, "reduction", "none")
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(
                "With `sample_weight` or `class_weight`, the `reduction` of a custom "
                f"`loss` must be 'none', 'mean' or 'sum'. Got {reduction!r}. Choose "
                "one of them, or leave out the weights."
            )
        self.reduction = "sum" if reduction == "sum" else "mean"
        if reduction != "none":
            self.module.reduction = "none"  # type: ignore[assignment]

    def __call__(
        self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        rows = self.module(logits, target)
        if weight is None:
            return rows.mean()
        if rows.shape != target.shape:
            raise ValueError(
                "With `sample_weight` or `class_weight`, a custom `loss` must give one "
                f"value a sample, of shape {tuple(target.shape)}. Got shape "
                f"{tuple(rows.shape)}. Give the module a `reduction` that can be set "
                "to 'none', or leave out the weights."
            )
        weighted = rows * weight
        return weighted.sum() if self.reduction == "sum" else weighted.mean()

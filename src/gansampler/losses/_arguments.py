"""What the losses accept: one home for the checks and for their messages."""

import math

import torch
from torch import Tensor

__all__ = [
    "check_alpha",
    "check_binary_alpha",
    "check_binary_target",
    "check_class_target",
    "check_gamma",
    "check_index_target",
    "check_input",
    "check_label_smoothing",
    "check_n_classes",
    "check_non_negative",
    "check_positive",
    "check_reduction",
    "check_values",
    "describe",
]

REDUCTIONS = ("none", "sum", "mean", "mean_positive")


def check_reduction(
    reduction: str, allowed: tuple[str, ...] = REDUCTIONS, name: str = "reduction"
) -> str:
    """Return ``reduction`` when it is one of the allowed words."""
    if reduction not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. "
            f"Got {reduction!r}."
        )
    return reduction


def check_label_smoothing(label_smoothing: float) -> float:
    """Return ``label_smoothing`` when it is a number of [0, 1]."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(
            f"`label_smoothing` must be in [0, 1]. Got {label_smoothing!r}. "
            "Pass 0.0 for hard targets."
        )
    return float(label_smoothing)


def check_non_negative(value: float, name: str) -> float:
    """Return ``value`` when it is a finite number of at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"`{name}` must be a finite number >= 0. Got {value!r}.")
    return float(value)


def check_positive(value: float, name: str) -> float:
    """Return ``value`` when it is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a finite number > 0. Got {value!r}.")
    return float(value)


def _one_a_class(values: object, name: str) -> Tensor:
    """One finite number >= 0 a class, from a tensor, an array or a sequence.

    A tensor is taken as it is, its values unseen: reading them would stop an
    accelerator and break a compiled graph.
    """
    numbers = torch.as_tensor(values)
    if not numbers.is_floating_point():
        numbers = numbers.to(torch.get_default_dtype())
    if numbers.dim() != 1 or numbers.numel() == 0:
        raise ValueError(
            f"`{name}` must be one-dimensional, one number a class. "
            f"Got shape {tuple(numbers.shape)}."
        )
    if not isinstance(values, Tensor):
        check_values(numbers, name)
    return numbers


def check_values(values: object, name: str) -> None:
    """Refuse a tensor with a number that is negative or not finite."""
    if not isinstance(values, Tensor):
        return
    if not bool((torch.isfinite(values) & (values >= 0)).all()):
        raise ValueError(
            f"`{name}` must be finite and >= 0 for every class. Got {values.tolist()}."
        )


def check_gamma(gamma: object) -> float | Tensor:
    """Return ``gamma`` as a float or as a tensor of one number a class."""
    if isinstance(gamma, list | tuple) or getattr(gamma, "ndim", 0) > 0:
        return _one_a_class(gamma, "gamma")
    try:
        number = float(gamma)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            "`gamma` must be a finite number >= 0, or one a class. "
            f"Got {gamma!r}. Pass gamma=2.0, or gamma=0.0 for the unfocused loss."
        )
    return number


def check_alpha(alpha: object) -> Tensor | None:
    """Return ``alpha`` of the softmax form as a tensor of one weight a class."""
    if alpha is None:
        return None
    if isinstance(alpha, str):
        raise ValueError(
            f"`alpha` must be None or one weight a class. Got {alpha!r}, which needs "
            "the labels of a data set, and a loss sees single batches. Pass "
            "alpha=class_weights(y, scheme='balanced')."
        )
    if isinstance(alpha, int | float) or getattr(alpha, "ndim", 1) == 0:
        raise ValueError(
            "`alpha` must be None or one weight a class in the softmax form. "
            f"Got the single number {alpha!r}, which would only rescale the loss. "
            "Pass one weight a class, e.g. alpha=[0.75, 0.25], or use "
            "BinaryFocalLoss, where a number weighs the positive class."
        )
    return _one_a_class(alpha, "alpha")


def check_binary_alpha(alpha: object) -> float | Tensor | None:
    """Return ``alpha`` of the sigmoid form: a float, or (negative, positive)."""
    if alpha is None:
        return None
    if isinstance(alpha, str):
        check_alpha(alpha)
    if isinstance(alpha, int | float):
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(
                "`alpha` as a number must be in [0, 1]: it weighs the positive class, "
                f"and 1 - alpha the negative. Got {alpha!r}. Pass two weights, "
                "alpha=[negative, positive], for any others."
            )
        return float(alpha)
    weights = _one_a_class(alpha, "alpha")
    check_n_classes(weights, 2, "alpha")
    return weights


def check_n_classes(values: object, n_classes: int, name: str) -> None:
    """Refuse a tensor of one number a class that does not fit ``n_classes``."""
    if isinstance(values, Tensor) and values.shape[0] != n_classes:
        raise ValueError(
            f"`{name}` must hold one number a class: {n_classes}. "
            f"Got {values.shape[0]}."
        )


def check_input(input: Tensor) -> None:
    """Refuse what is not a tensor of floating-point logits."""
    if not isinstance(input, Tensor):
        raise TypeError(
            f"`input` must be a torch.Tensor of logits. Got {type(input).__name__}. "
            "Pass torch.as_tensor(input)."
        )
    if not input.is_floating_point():
        raise TypeError(
            f"`input` must hold floating-point logits. Got {input.dtype}. "
            "Pass the network's output before softmax or sigmoid, or input.float()."
        )


def check_class_target(input: Tensor, target: Tensor) -> bool:
    """Tell class indices (True) from class probabilities, by dtype and shape."""
    if not isinstance(target, Tensor):
        raise TypeError(
            f"`target` must be a torch.Tensor. Got {type(target).__name__}. "
            "Pass torch.as_tensor(target)."
        )
    if input.dim() == 0:
        raise ValueError(
            "`input` must have shape (C,), (N, C) or (N, C, d1, ...). Got ()."
        )
    if target.is_floating_point():
        if target.shape != input.shape:
            raise ValueError(
                "`target` of class probabilities must have the shape of `input`, "
                f"{tuple(input.shape)}. Got {tuple(target.shape)}. Pass "
                "target.long() if these are class indices."
            )
        return False
    if target.dtype == torch.bool or target.is_complex():
        raise TypeError(
            "`target` must hold class indices (an integer dtype) or class "
            f"probabilities (a floating-point one). Got {target.dtype}. "
            "Pass target.long()."
        )
    expected = () if input.dim() == 1 else (input.shape[0], *input.shape[2:])
    if tuple(target.shape) != expected:
        hint = "Pass one class index a sample."
        if target.shape == input.shape:
            hint = "Pass target.argmax(1), or target.float() for probabilities."
        elif target.numel() == math.prod(expected):
            hint = f"Pass target.reshape({expected})."
        raise ValueError(
            f"`target` of class indices must have shape {expected} for an `input` of "
            f"shape {tuple(input.shape)}. Got {tuple(target.shape)}. {hint}"
        )
    return True


def check_index_target(input: Tensor, target: Tensor, name: str) -> None:
    """Refuse a target that is not of class indices."""
    if not check_class_target(input, target):
        raise ValueError(
            f"{name} takes class indices, of an integer dtype. Got class "
            "probabilities. Pass target.argmax(1)."
        )


def check_binary_target(input: Tensor, target: Tensor) -> None:
    """Refuse a target that is not of the shape of ``input``."""
    if not isinstance(target, Tensor):
        raise TypeError(
            f"`target` must be a torch.Tensor. Got {type(target).__name__}. "
            "Pass torch.as_tensor(target)."
        )
    if target.shape != input.shape:
        hint = "Pass one label or probability a logit."
        if target.numel() == input.numel():
            hint = f"Pass target.reshape({tuple(input.shape)})."
        raise ValueError(
            f"`target` must have the shape of `input`, {tuple(input.shape)}. "
            f"Got {tuple(target.shape)}. {hint}"
        )


def describe(value: object) -> str:
    """Return a parameter for ``repr``, a tensor as the list that gives it."""
    return str(value.tolist() if isinstance(value, Tensor) else value)

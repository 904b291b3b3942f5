"""Checks of the losses' arguments."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def number_by_position(function: Function) -> Function:
    """Let ``gamma`` be given by position only if it is a single number.

    Torch's losses have the class weights in this position.
    """
    position = list(inspect.signature(function).parameters).index("gamma")

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) > position and _is_per_class(args[position]):
            raise TypeError(
                "`gamma` given by position must be a single number. Got "
                f"{args[position]!r}. Pass alpha=... for class weights, which torch's "
                "losses take here, or gamma=... for one gamma per class."
            )
        return function(*args, **kwargs)

    return checked  # type: ignore[return-value]


def check_choice(value: str, name: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of the allowed words."""
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. Got {value!r}."
        )
    return value


def check_reduction(reduction: str) -> str:
    """Return ``reduction`` if it is one of the four words."""
    return check_choice(
        reduction, "reduction", ("none", "sum", "mean", "mean_positive")
    )


def check_label_smoothing(label_smoothing: float) -> float:
    """Return ``label_smoothing`` if it is in [0, 1]."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(
            f"`label_smoothing` must be in [0, 1]. Got {label_smoothing!r}. "
            "Pass 0.0 for hard targets."
        )
    return float(label_smoothing)


def check_number(value: float, name: str, *, positive: bool = False) -> float:
    """Return ``value`` if it is finite and at least 0, or above 0 if ``positive``."""
    if not (math.isfinite(value) and (value > 0 if positive else value >= 0)):
        bound = ">" if positive else ">="
        raise ValueError(f"`{name}` must be a finite number {bound} 0. Got {value!r}.")
    return float(value)


def _is_per_class(value: object) -> bool:
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def _check_per_class(values: object, name: str, *, in_module: bool) -> Tensor:
    """Return one finite number >= 0 per class as a tensor.

    The values of a tensor are checked in a module's constructor only. To read them in
    every call would stop an accelerator and break a compiled graph.
    """
    numbers = torch.as_tensor(values)
    if not numbers.is_floating_point():
        numbers = numbers.to(torch.get_default_dtype())
    if numbers.dim() != 1 or numbers.numel() == 0:
        raise ValueError(
            f"`{name}` must be one-dimensional, with one number per class. "
            f"Got shape {tuple(numbers.shape)}."
        )
    if in_module:
        _refuse_gradient(values, name)
    readable = in_module or not isinstance(values, Tensor)
    if readable and not bool((torch.isfinite(numbers) & (numbers >= 0)).all()):
        raise ValueError(
            f"`{name}` must be finite and >= 0 for every class. Got {numbers.tolist()}."
        )
    return numbers


def _refuse_gradient(value: object, name: str) -> None:
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError(
            f"`{name}` is not trained and must not require a gradient. Got a "
            f"{type(value).__name__} that requires one. Pass {name}.detach(). To train "
            "it, call focal_loss or binary_focal_loss with one number per class."
        )


def check_gamma(gamma: object, *, in_module: bool = False) -> float | Tensor:
    """Return ``gamma`` as a float or as a tensor of one number per class."""
    if _is_per_class(gamma):
        return _check_per_class(gamma, "gamma", in_module=in_module)
    _refuse_gradient(gamma, "gamma")
    try:
        number = float(gamma)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            "`gamma` must be a finite number >= 0, or one per class. "
            f"Got {gamma!r}. Pass gamma=2.0, or gamma=0.0 for the cross-entropy."
        )
    return number


def check_alpha(alpha: object, *, in_module: bool = False) -> Tensor | None:
    """Return ``alpha`` of the softmax form as a tensor of one weight per class."""
    if alpha is None:
        return None
    if isinstance(alpha, str):
        raise ValueError(
            f"`alpha` must be None or one weight per class. Got {alpha!r}, which needs "
            "the labels of a data set, and a loss sees single batches. Pass "
            "alpha=class_weights(y, scheme='balanced')."
        )
    if not _is_per_class(alpha):
        raise ValueError(
            "`alpha` must be None or one weight per class in the softmax form. "
            f"Got {alpha!r}. A single number would only rescale the loss. "
            "Pass one weight per class, e.g. alpha=[0.75, 0.25], or use "
            "BinaryFocalLoss, where a number weights the positive class."
        )
    return _check_per_class(alpha, "alpha", in_module=in_module)


def check_binary_alpha(
    alpha: object, *, in_module: bool = False
) -> float | Tensor | None:
    """Return ``alpha`` of the sigmoid form: a float, or (negative, positive)."""
    if isinstance(alpha, int | float):
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(
                "`alpha` as a number must be in [0, 1]: it weights the positive class, "
                f"and 1 - alpha the negative one. Got {alpha!r}. Pass two weights, "
                "alpha=[negative, positive], for any others."
            )
        return float(alpha)
    weights = check_alpha(alpha, in_module=in_module)
    check_n_classes(weights, 2, "alpha")
    return weights


def check_n_classes(values: object, n_classes: int, name: str) -> None:
    """Raise if a tensor does not have one number for each of ``n_classes``."""
    if isinstance(values, Tensor) and values.shape[0] != n_classes:
        raise ValueError(
            f"`{name}` must have one number per class: {n_classes}. "
            f"Got {values.shape[0]}."
        )


def _check_tensor(value: object, name: str) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"`{name}` must be a torch.Tensor. Got {type(value).__name__}. "
            f"Pass torch.as_tensor({name})."
        )


def check_input(input: Tensor) -> None:
    """Raise if ``input`` is not a tensor of floating-point logits."""
    _check_tensor(input, "input")
    if not input.is_floating_point():
        raise TypeError(
            f"`input` must be floating-point logits. Got {input.dtype}. "
            "Pass the network's output before softmax or sigmoid, or input.float()."
        )


def check_class_target(input: Tensor, target: Tensor, ignore_index: int = -100) -> bool:
    """Return True for class indices and False for class probabilities."""
    _check_tensor(target, "target")
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
        # As in torch, a negative index, such as the default, is no class.
        if ignore_index >= 0:
            raise ValueError(
                "`ignore_index` needs a `target` of class indices. Got "
                f"ignore_index={ignore_index} and class probabilities. Leave out "
                "`ignore_index`, and leave the rows to be ignored out of the batch."
            )
        return False
    if target.dtype == torch.bool or target.is_complex():
        raise TypeError(
            "`target` must be class indices (an integer dtype) or class "
            f"probabilities (a floating-point dtype). Got {target.dtype}. "
            "Pass target.long()."
        )
    expected = () if input.dim() == 1 else (input.shape[0], *input.shape[2:])
    if tuple(target.shape) != expected:
        hint = "Pass one class index per sample."
        if target.shape == input.shape:
            hint = "Pass target.argmax(1), or target.float() for probabilities."
        elif target.numel() == math.prod(expected):
            hint = f"Pass target.reshape({expected})."
        raise ValueError(
            f"`target` of class indices must have shape {expected} for an `input` of "
            f"shape {tuple(input.shape)}. Got {tuple(target.shape)}. {hint}"
        )
    return True


def check_binary_target(input: Tensor, target: Tensor) -> None:
    """Raise if ``target`` does not have the shape of ``input``."""
    _check_tensor(target, "target")
    if target.shape != input.shape:
        hint = "Pass one label or probability per logit."
        if target.numel() == input.numel():
            hint = f"Pass target.reshape({tuple(input.shape)})."
        raise ValueError(
            f"`target` must have the shape of `input`, {tuple(input.shape)}. "
            f"Got {tuple(target.shape)}. {hint}"
        )

"""Validation and random seeds, and every private import from scikit-learn.

Layer rule: imports nothing from gansampler except :mod:`gansampler.exceptions`.
"""

import contextlib
import functools
import inspect
import math
import random
import threading
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from imblearn.utils import check_target_type
from imblearn.utils._validation import ArraysTransformer
from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import assert_all_finite
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call as check_partial_fit_first_call,
)

__all__ = [
    "ArraysTransformer",
    "DefaultPartsMixin",
    "HasMethods",
    "Interval",
    "NearestNameMixin",
    "StrOptions",
    "at_least",
    "check_labels",
    "check_partial_fit_first_call",
    "check_target_type",
    "clone_parametrized",
    "explain_arguments",
    "explain_name",
    "is_missing",
    "isolated_rng",
    "nearest_name",
    "preserved_rng",
    "restore_on_failure",
    "safe_indexing",
    "spawn_seeds",
    "suggest_image_shape",
    "to_python_scalar",
]

# Names that users of other packages try, and those of this package.
OTHER_NAMES = {
    "device": "accelerator",
    "epochs": "n_epochs",
    "learning_rate": "lr",
    "seed": "random_state",
}

Self = TypeVar("Self")
Estimator = TypeVar("Estimator")
Params = ParamSpec("Params")
Result = TypeVar("Result")


def at_least(
    bound: float,
    kind: type = Real,
    *,
    open_: bool = False,
    below: float | None = None,
) -> Interval:
    """Return the constraint ``kind >= bound`` (``> bound`` where open), ``< below``."""
    if kind is int:
        kind = Integral
    elif kind is float:
        kind = Real
    return Interval(kind, bound, below, closed="neither" if open_ else "left")


def spawn_seeds(random_state: np.random.RandomState, n_seeds: int) -> list[int]:
    """Draw child seeds from one random state, in a fixed order."""
    return [int(seed) for seed in random_state.randint(2**31 - 1, size=n_seeds)]


# The global generators belong to the whole process: one thread at a time uses them.
_global_rng_lock = threading.RLock()


@contextlib.contextmanager
def preserved_rng() -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch afterwards.

    Threads that fit at the same time share these generators. A lock makes them fit
    one after the other, so that each result is reproducible.
    """
    devices = list(range(torch.cuda.device_count()))
    with _global_rng_lock, torch.random.fork_rng(devices=devices):
        python_state = random.getstate()
        numpy_state = np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed the global generators, and restore them afterwards.

    Layer initialisation and dropout draw from torch's global generator, and a user's
    network may draw from any of them. A seed makes the fit reproducible, and the
    caller's generators stay as they were. See :func:`preserved_rng` about threads.
    """
    with preserved_rng():
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        yield


def nearest_name(name: object, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of the known names, or ""."""
    import difflib

    close = difflib.get_close_matches(str(name), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def to_python_scalar(label: object) -> object:
    """Convert a NumPy scalar to a Python one, which messages show without its type."""
    return label.item() if isinstance(label, np.generic) else label


def suggest_image_shape(image_shape: object) -> str:
    """Return which `image_shape` to pass instead of a number, a pair or another value.

    Parameters
    ----------
    image_shape : object
        What was passed, such as 32 or (32, 32).

    Returns
    -------
    text : str
        A sentence.
    """
    sides = image_shape if isinstance(image_shape, (tuple, list)) else [image_shape] * 2
    are_sides = all(isinstance(s, Integral) and not isinstance(s, bool) for s in sides)
    height, width = map(int, sides) if len(sides) == 2 and are_sides else (224, 224)
    return (
        f"Pass image_shape=({height}, {width}, 3) for RGB images, or "
        f"({height}, {width}, 1) for grey images."
    )


def is_missing(entry: object) -> bool:
    """Whether an entry is None, NaN, or a missing value of pandas."""
    if isinstance(entry, float):
        return math.isnan(entry)
    return entry is None or type(entry).__name__ in ("NAType", "NaTType")


class NearestNameMixin:
    """Suggest the nearest option in the error about an unknown one.

    List it before :class:`sklearn.base.BaseEstimator` among the base classes.
    """

    def _validate_params(self) -> None:
        try:
            super()._validate_params()  # type: ignore[misc]
        except InvalidParameterError as error:
            nearest = _nearest_option(self, str(error))
            raise InvalidParameterError(f"{error}{nearest}") from None


class DefaultPartsMixin:
    """Let ``set_params(part__name=value)`` work where the parameter `part` is None.

    The part becomes its default, from `_default_parts`, and gets the value. It stands
    before :class:`sklearn.base.BaseEstimator` among the bases.
    """

    _default_parts: ClassVar[dict[str, Callable[[], Any]]] = {}

    def set_params(self, **params: Any) -> Any:
        """Set the parameters of this estimator and of its parts.

        Parameters
        ----------
        **params : dict
            Names and values; ``part__name`` sets a parameter of a part.

        Returns
        -------
        self : object
        """
        for key in list(params):
            part, is_nested, _ = key.partition("__")
            current = params.get(part, getattr(self, part, None))
            if is_nested and part in self._default_parts and current is None:
                params[part] = self._default_parts[part]()
        return super().set_params(**params)  # type: ignore[misc]


def explain_arguments(cls: type[Estimator]) -> type[Estimator]:
    """Decorate an estimator: wrong arguments of its constructor say what was meant.

    The signature of the constructor stays the same. A class attribute `_other_names`
    maps names that users of other packages try to the parameters of this class, and
    `_explained_names` maps names to a sentence that says why there is none.
    """
    constructed: Any = cls
    init = constructed.__init__
    _, *params = inspect.signature(init).parameters.values()
    names = [param.name for param in params]
    n_positional = sum(param.kind is param.POSITIONAL_OR_KEYWORD for param in params)

    @functools.wraps(init)
    def init_or_explain(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > n_positional:
            raise TypeError(_explain_position(cls, args[n_positional]))
        for name, value in kwargs.items():
            if name not in names:
                raise TypeError(explain_name(cls, name, value, names))
        init(self, *args, **kwargs)

    constructed.__init__ = init_or_explain
    return cls


def _explain_position(cls: Any, value: object) -> str:
    """Return the error about a value that was passed without a name."""
    suited = [
        name
        for name, constraints in cls._parameter_constraints.items()
        if any(
            isinstance(c, HasMethods | StrOptions) and c.is_satisfied_by(value)
            for c in constraints
            if not isinstance(constraints, str)
        )
    ]
    is_part = hasattr(value, "get_params")
    text = f"{type(value).__name__}(...)" if is_part else repr(value)
    hint = f" Did you mean {suited[0]}={text}?" if len(suited) == 1 else ""
    return (
        f"The parameters of {cls.__name__} are passed by name. Got {text} without "
        f"one.{hint}"
    )


def explain_name(cls: Any, name: str, value: object, names: list[str]) -> str:
    """Return the error about a name that is no parameter.

    Parameters
    ----------
    cls : type
    name : str
    value : object
        What was passed for it.
    names : list of str
        The parameters of the class.
    """
    start = f"{cls.__name__} has no parameter {name!r}."
    explained = getattr(cls, "_explained_names", {}).get(name)
    if explained is not None:
        return f"{start} {explained}"
    usual = {**OTHER_NAMES, **getattr(cls, "_other_names", {})}.get(name)
    if usual in names:
        return f"{start} Did you mean {usual}={value!r}?"
    for part, make in getattr(cls, "_default_parts", {}).items():
        inner = name.removeprefix(f"{part}__")
        for known in make().get_params():
            if known.rpartition("__")[2] in (inner, usual) or known == inner:
                return (
                    f"{start} Did you mean {part}={make.__name__}({known}={value!r})? "
                    f"It is {part}__{known} in `set_params` and in a grid search."
                )
    hint = nearest_name(name, names)
    return f"{start}{hint}" if hint else f"{start} It has {', '.join(names)}."


def _nearest_option(estimator: Any, message: str) -> str:
    if message.startswith("The 'image_shape' parameter"):
        return f" {suggest_image_shape(estimator.image_shape)}"
    for name, constraints in estimator._parameter_constraints.items():
        value = getattr(estimator, name, None)
        if isinstance(value, str) and message.startswith(f"The {name!r} parameter"):
            options = [c.options for c in constraints if isinstance(c, StrOptions)]
            return nearest_name(value, sorted({o for known in options for o in known}))
    return ""


def restore_on_failure(
    fit: Callable[Concatenate[Self, Params], Result],
) -> Callable[Concatenate[Self, Params], Result]:
    """Decorate a method: if it fails, the attributes of its object are restored.

    Without this, an estimator whose second fit failed would still count as fitted,
    with attributes from two data sets.
    """

    @functools.wraps(fit)
    def fit_or_restore(self: Self, *args: Params.args, **kwargs: Params.kwargs):
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return fit_or_restore


def check_labels(y: Any) -> None:
    """Refuse a single label, missing labels, and a mixture of text and numbers.

    NumPy would convert such a mixture to text, or fail to sort it. scikit-learn
    checks the rest, such as NaN among numbers.
    """
    is_several = hasattr(y, "__len__") or hasattr(y, "__array__")
    if not is_several or isinstance(y, (str, bytes)):
        raise ValueError(
            "`y` must have one label for each sample. Got one value of type "
            f"{type(y).__name__}. Pass a list or an array."
        )
    is_typed = getattr(getattr(y, "dtype", None), "kind", "O") not in "OT"
    if getattr(getattr(y, "dtype", None), "kind", "O") == "f":
        assert_all_finite(np.asarray(y), input_name="y")
    if is_typed or hasattr(y, "columns") or not hasattr(y, "__len__"):
        return
    first = None
    for row, label in enumerate(y):
        if is_missing(label) and not isinstance(label, float):
            raise ValueError(
                f"Labels must not be missing. Row {row} of `y` has {label!r}. Give it "
                "a label, or remove the row."
            )
        if first is None:
            first = label
        if isinstance(label, str) != isinstance(first, str):
            raise ValueError(
                "Labels must be all text or all numbers. Row 0 of `y` is "
                f"{to_python_scalar(first)!r}, row {row} is "
                f"{to_python_scalar(label)!r}. Pass "
                "[str(label) for label in y], for instance."
            )

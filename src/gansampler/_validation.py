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
from sklearn.utils import assert_all_finite
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
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
    "check_target_type",
    "clone_parametrized",
    "is_missing",
    "isolated_rng",
    "nearest_name",
    "preserved_rng",
    "restore_on_failure",
    "spawn_seeds",
    "suggest_image_shape",
    "to_python_scalar",
]

# Names of other libraries for parameters that exist here.
SYNONYMS = {
    "device": "accelerator",
    "epochs": "n_epochs",
    "image_size": "image_shape",
    "learning_rate": "lr",
    "seed": "random_state",
}

Self = TypeVar("Self")
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
    """Suggest the nearest parameter or option in the error about an unknown one.

    List it before :class:`sklearn.base.BaseEstimator` among the base classes.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Refuse arguments that the class does not have, with a suggestion."""
        # Without `self`.
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        unknown = [name for name in kwargs if name not in names]
        if unknown and len(names) == len(parameters):
            raise TypeError(
                f"{cls.__name__} has no parameter {unknown[0]!r}."
                f"{_nearest_parameter(cls, unknown[0], names)}"
            )
        if args and parameters and parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(
                f"The parameters of {cls.__name__} are passed by name. Got "
                f"{type(args[0]).__name__} without a name. Write it, such as "
                f"{cls.__name__}({_name_for(cls, args[0], names)}=...)."
            )
        return super().__new__(cls)

    # Base classes without a constructor would show the arguments of `__new__`.
    __new__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)]
    )

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


def _nearest_parameter(cls: Any, name: str, known: list[str]) -> str:
    """Return which parameter of a class, or of one of its parts, is meant."""
    for synonym in (name, SYNONYMS.get(name, name)):
        if synonym in known:
            return f" Did you mean {synonym!r}?"
        nested = _find_in_parts(cls, synonym)
        if nested:
            return f" Did you mean {nested}?"
    near = "" if name in SYNONYMS else nearest_name(name, known)
    return near or f" Its parameters are {known}."


def _find_in_parts(cls: Any, name: str) -> str | None:
    """Return how a parameter of a part, or of a part of it, is passed."""
    for part, make in getattr(cls, "_default_parts", {}).items():
        default = make()
        is_own = name in default.get_params(deep=False)
        inner = f"{name}=..." if is_own else _find_in_parts(type(default), name)
        if inner is not None:
            return f"{part}={type(default).__name__}({inner})"
    return None


def _name_for(cls: Any, value: object, known: list[str]) -> str:
    """Return the parameter that takes a value with its methods, or else the first."""
    for name, constraints in cls._parameter_constraints.items():
        methods = [c for c in constraints if isinstance(c, HasMethods)]
        if any(c.is_satisfied_by(value) for c in methods):
            return name
    return known[0]


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

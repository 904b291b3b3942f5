"""The one home of scikit-learn's and imbalanced-learn's private names, and of seeds.

Layer: imports nothing of gansampler but :mod:`gansampler.exceptions`.
"""

import contextlib
import random
from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
import torch
from imblearn.utils import check_target_type
from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
)

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "at_least",
    "check_target_type",
    "clone_parametrized",
    "isolated_rng",
    "nearest_name",
    "plain",
    "spawn_seeds",
]


def at_least(bound: float, kind: type = Real, *, open_: bool = False) -> Interval:
    """Return the parameter constraint ``kind >= bound`` (``> bound`` where open)."""
    if kind is int:
        kind = Integral
    elif kind is float:
        kind = Real
    return Interval(kind, bound, None, closed="neither" if open_ else "left")


def spawn_seeds(random_state: np.random.RandomState, n_seeds: int) -> list[int]:
    """Draw child seeds in a fixed order from one random state."""
    return [int(seed) for seed in random_state.randint(2**31 - 1, size=n_seeds)]


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators, and put them back after.

    Layer initialisation and dropout draw from torch's global generator, and a
    user's own network may draw from any of them; a fit must be reproducible and
    must not be felt outside.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if _cuda_in_use() else []
    with torch.random.fork_rng(devices=devices):
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _cuda_in_use() -> bool:
    return torch.cuda.is_available()


def nearest_name(name: object, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of the known names, or ""."""
    import difflib

    close = difflib.get_close_matches(str(name), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def plain(label: object) -> object:
    """Return a NumPy scalar as Python's own, which messages show without its type."""
    return label.item() if isinstance(label, np.generic) else label

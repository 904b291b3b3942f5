"""Tools for data sets: balanced batches, resampled data for torch, near-duplicates.

Each name is imported when it is first used, because the balanced sampler needs nothing
but torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gansampler.data._balanced_sampler import BalancedSampler
    from gansampler.data._duplicates import (
        find_near_duplicates,
        group_near_duplicates,
        warn_near_duplicates,
    )
    from gansampler.data._over_sampled import OverSampledDataset

_HOME = {
    "BalancedSampler": "_balanced_sampler",
    "OverSampledDataset": "_over_sampled",
    "find_near_duplicates": "_duplicates",
    "group_near_duplicates": "_duplicates",
    "warn_near_duplicates": "_duplicates",
}

__all__ = [
    "BalancedSampler",
    "OverSampledDataset",
    "find_near_duplicates",
    "group_near_duplicates",
    "warn_near_duplicates",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'gansampler.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gansampler.data.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

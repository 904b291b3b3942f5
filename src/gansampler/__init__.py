"""Over-sample imbalanced image data with trained image-to-image translators.

Names are imported on first use, so that ``from gansampler import FocalLoss`` loads
torch and nothing else.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gansampler.classification import TransferClassifier, build_classifier
    from gansampler.losses import BinaryFocalLoss, FocalLoss
    from gansampler.model_selection import TwoStageClassifier, compare_samplers
    from gansampler.over_sampling import GANOverSampler, MinorityMix
    from gansampler.recipes import make_melanet
    from gansampler.training import Trainer
    from gansampler.translators import (
        CUT,
        CycleGAN,
        MajorToMinor,
        SimGAN,
        make_translator,
    )

__version__ = "0.1.0"

_HOME = {
    "CUT": "translators",
    "BinaryFocalLoss": "losses",
    "CycleGAN": "translators",
    "FocalLoss": "losses",
    "GANOverSampler": "over_sampling",
    "MajorToMinor": "translators",
    "MinorityMix": "over_sampling",
    "SimGAN": "translators",
    "Trainer": "training",
    "TransferClassifier": "classification",
    "TwoStageClassifier": "model_selection",
    "build_classifier": "classification",
    "compare_samplers": "model_selection",
    "make_melanet": "recipes",
    "make_translator": "translators",
}
_SUBPACKAGES = {
    "backbones",
    "classification",
    "data",
    "datasets",
    "exceptions",
    "images",
    "inspection",
    "losses",
    "metrics",
    "model_selection",
    "networks",
    "over_sampling",
    "quality",
    "recipes",
    "training",
    "translators",
}

__all__ = [
    "CUT",
    "BinaryFocalLoss",
    "CycleGAN",
    "FocalLoss",
    "GANOverSampler",
    "MajorToMinor",
    "MinorityMix",
    "SimGAN",
    "Trainer",
    "TransferClassifier",
    "TwoStageClassifier",
    "build_classifier",
    "compare_samplers",
    "make_melanet",
    "make_translator",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"gansampler.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBPACKAGES:
        return importlib.import_module(f"gansampler.{name}")
    raise AttributeError(f"module 'gansampler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBPACKAGES})

"""Tell where the next step of a pipeline would split what a sampler made."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from imblearn.pipeline import Pipeline

from gansampler.exceptions import GANSamplerWarning

__all__ = ["warn_of_leakage"]


def warn_of_leakage() -> None:
    """Warn if the last step of the pipeline that calls splits its training data.

    A sampler is not told who takes its output; the pipeline that calls it is among the
    frames of the call. Where there is none, nothing can be said.
    """
    last = _last_step()
    how = None if last is None else _how_it_splits(last)
    if how is not None:
        warnings.warn(
            f"{type(last).__name__} gets resampled data and splits them itself "
            f"({how}): a synthetic image and its parent can come to lie on either side "
            "of that split, whose scores are then too good. Split before resampling, "
            "and pass the held-out part to it; see the documentation on leakage.",
            GANSamplerWarning,
            stacklevel=3,
        )


def _last_step() -> Any:
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Pipeline):
            return caller.steps[-1][1]
        frame = frame.f_back
    return None


def _how_it_splits(estimator: Any) -> str | None:
    """Return the parameter by which an estimator splits, or None."""
    params = (
        estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    )
    # skorch: the default. A predefined split is a function.
    if type(params.get("train_split")).__name__ == "ValidSplit":
        return "train_split"
    # scikit-learn's networks and boosted trees hold out only where they stop early.
    stops = params.get("early_stopping", True) is True
    if params.get("validation_fraction") and stops:
        return "validation_fraction"
    # Searches, calibration, stacking.
    if "cv" in params and params["cv"] != "prefit":
        return "cv"
    return None

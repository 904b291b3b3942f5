"""Warn of pipelines whose last step splits resampled data."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from imblearn.pipeline import Pipeline

from gansampler.exceptions import GANSamplerWarning


def warn_of_leakage() -> None:
    """Warn if the last step of the calling pipeline splits its training data.

    A pipeline does not tell a sampler which step follows. So the pipeline is looked up
    among the frames of the call. Without a pipeline there is no warning.
    """
    last = _last_step()
    how = None if last is None else _how_it_splits(last)
    if how is not None:
        warnings.warn(
            f"{type(last).__name__} gets resampled data and splits them itself "
            f"({how}). A synthetic image and its parent can be on both sides of that "
            "split, and its scores are then too good. Split before resampling, and "
            "pass the held-out part to the estimator; see the documentation on "
            "leakage.",
            GANSamplerWarning,
            stacklevel=4,
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
    """Return the parameter by which an estimator splits its data, or None."""
    params = (
        estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    )
    # The default of skorch; a predefined split is a function.
    if type(params.get("train_split")).__name__ == "ValidSplit":
        return "train_split"
    # scikit-learn's networks and boosted trees split only for early stopping.
    stops = params.get("early_stopping", True) is True
    if params.get("validation_fraction") and stops:
        return "validation_fraction"
    # Searches, calibration and stacking.
    if "cv" in params and params["cv"] != "prefit":
        return "cv"
    return None

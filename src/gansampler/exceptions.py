"""Errors and warnings that gansampler raises: one root for each.

Catch :class:`GANSamplerError` for every error that is ours alone; those that are
also a kind of a built-in error (a bad value, say) inherit from both, so that code
written for scikit-learn keeps working.
"""

__all__ = [
    "GANSamplerError",
    "GANSamplerWarning",
    "ModelFileError",
    "ShortfallError",
    "TrainingDivergedError",
    "TrainingStoppedWarning",
    "WeightsDownloadError",
]


class GANSamplerError(Exception):
    """Root of the errors that only gansampler raises."""


class TrainingDivergedError(GANSamplerError, ArithmeticError):
    """A loss became NaN or infinite, so that the networks hold no model any more."""


class ShortfallError(GANSamplerError, RuntimeError):
    """The translator could not give as many distinct samples as were asked for."""


class WeightsDownloadError(GANSamplerError, OSError):
    """Pretrained weights could not be downloaded."""


class ModelFileError(GANSamplerError, ValueError):
    """A file is not a model that gansampler saved, or is damaged."""


class GANSamplerWarning(UserWarning):
    """Root of the warnings that gansampler issues."""


class TrainingStoppedWarning(GANSamplerWarning):
    """Training ended before its last epoch; the fitted model is usable."""

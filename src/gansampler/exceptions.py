"""Errors and warnings that gansampler raises: one root for each.

Catch :class:`GANSamplerError` for every error that is ours alone; those that are
also a kind of a built-in error (a bad value, say) inherit from both, so that code
written for scikit-learn keeps working.
"""

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "GANSamplerError",
    "GANSamplerWarning",
    "ImageFileError",
    "ModelFileError",
    "OutOfMemoryError",
    "ProcessFailedError",
    "ShortfallError",
    "TrainingDivergedError",
    "TrainingRestoredWarning",
    "TrainingStoppedWarning",
    "WeightsDownloadError",
]


class GANSamplerError(Exception):
    """Root of the errors that only gansampler raises."""


class TrainingDivergedError(GANSamplerError, ArithmeticError):
    """A loss became NaN or infinite, so that the networks hold no model any more."""


class CheckpointError(GANSamplerError, OSError):
    """A checkpoint could not be written; the one before it is whole."""


class OutOfMemoryError(GANSamplerError, MemoryError):
    """Training needs more memory than the device has."""


class ProcessFailedError(GANSamplerError, RuntimeError):
    """Another of the processes that train together has failed."""


class ShortfallError(GANSamplerError, RuntimeError):
    """The translator could not give as many distinct samples as were asked for."""


class WeightsDownloadError(GANSamplerError, OSError):
    """Pretrained weights could not be downloaded."""


class ModelFileError(GANSamplerError, ValueError):
    """A file is not a model that gansampler saved, or is damaged."""


class ImageFileError(GANSamplerError, OSError):
    """An image file could not be decoded, or was removed or changed while in use."""


class GANSamplerWarning(UserWarning):
    """Root of the warnings that gansampler issues."""


class CheckpointWarning(GANSamplerWarning):
    """A checkpoint was passed over, or a finished run was taken from one."""


class TrainingRestoredWarning(GANSamplerWarning):
    """A loss became NaN or infinite, and training went on from an earlier state."""


class TrainingStoppedWarning(GANSamplerWarning):
    """Training ended before its last epoch; the fitted model is usable."""
